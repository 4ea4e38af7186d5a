//! The members of mod_proxy_balancer on the status page.
//!
//! ```text
//! ProxyBalancer[0]Name: balancer://mycluster
//! ProxyBalancer[0]Worker[0]Name: http://127.0.0.1:8001
//! ProxyBalancer[0]Worker[0]Status: Init Ok
//! ProxyBalancer[0]Worker[0]Elected: 12
//! ProxyBalancer[0]Worker[0]Busy: 0
//! ProxyBalancer[0]Worker[0]Sent: 4K
//! ProxyBalancer[0]Worker[0]Rcvd: 80K
//! ```

use crate::collector::prelude::*;
use crate::services::Series;

pub(super) const PREFIX: &[u8] = b"ProxyBalancer[";

const LABELS: &[&str] = &["balancer", "worker"];

static STATUS: Desc = gauge(
    "apache_proxy_balancer_status",
    "1, labelled by the state of a balancer's member, from Status.",
    &["balancer", "status", "worker"],
);
static ACCESSES: Desc = counter(
    "apache_proxy_balancer_accesses_total",
    "Requests handed to a balancer's member, from Elected.",
    LABELS,
);
static BUSY: Desc = gauge(
    "apache_proxy_balancer_busy",
    "Requests that a balancer's member is working on, from Busy.",
    LABELS,
);
static REQUESTS: Desc = counter(
    "apache_proxy_balancer_request_kbytes_total",
    "Kibibytes sent to a balancer's member, from Sent.",
    LABELS,
);
static RESPONSES: Desc = counter(
    "apache_proxy_balancer_response_kbytes_total",
    "Kibibytes received from a balancer's member, from Rcvd.",
    LABELS,
);

/// Numbers of a member: what follows its index, and the family.
static NUMBERS: [(&[u8], &Desc); 4] =
    [(b"Elected", &ACCESSES), (b"Busy", &BUSY), (b"Sent", &REQUESTS), (b"Rcvd", &RESPONSES)];

const UNKNOWN: &[u8] = b"UNKNOWN";

/// The members read so far, in the order of the page. A line belongs to the last that was named.
#[derive(Default)]
pub(super) struct Members<'p> {
    balancer: Option<&'p [u8]>,
    rows: Vec<Member<'p>>,
}

struct Member<'p> {
    balancer: &'p [u8],
    worker: &'p [u8],
    status: Option<&'p [u8]>,
    numbers: [Option<f64>; NUMBERS.len()],
}

impl<'p> Members<'p> {
    /// Takes a line whose key goes on after `PREFIX`.
    pub(super) fn read(&mut self, key: &[u8], value: Text<'p>) -> Result<()> {
        let Some(key) = after_index(key) else { return Ok(()) };
        if key == b"Name" {
            self.balancer = Some(value.bytes);
            return Ok(());
        }
        match key.strip_prefix(b"Worker[").and_then(after_index) {
            Some(b"Name") => self.add(value.bytes),
            Some(b"Status") => self.last().status = Some(value.bytes),
            Some(key) => {
                let number = NUMBERS.iter().position(|(name, _)| *name == key);
                if let Some(number) = number {
                    self.last().numbers[number] = Some(kilobytes(value).parse()?);
                }
            }
            None => {}
        }
        Ok(())
    }

    fn add(&mut self, worker: &'p [u8]) {
        let balancer = self.balancer.unwrap_or(UNKNOWN);
        self.rows.push(Member { balancer, worker, status: None, numbers: [None; 4] });
    }

    fn last(&mut self) -> &mut Member<'p> {
        if self.rows.is_empty() {
            self.add(UNKNOWN);
        }
        let last = self.rows.len() - 1;
        &mut self.rows[last]
    }

    /// Tells all. Members of one name, such as a host under two routes, are told as one: their
    /// numbers summed up, and each of their states.
    pub(super) fn push(mut self, series: &mut Series<'_>) {
        self.rows.sort_by_key(|member| (member.balancer, member.worker, member.status));
        for group in self.rows.chunk_by(|a, b| (a.balancer, a.worker) == (b.balancer, b.worker)) {
            let (balancer, worker) = (Repaired(group[0].balancer), Repaired(group[0].worker));
            for states in group.chunk_by(|a, b| a.status == b.status) {
                if let Some(status) = states[0].status {
                    series.push(&STATUS, &[&balancer, &Repaired(status), &worker], 1.0);
                }
            }
            for (at, (_, desc)) in NUMBERS.iter().enumerate() {
                let numbers = group.iter().filter_map(|member| member.numbers[at]);
                if let Some(sum) = numbers.reduce(|sum, number| sum + number) {
                    series.push(desc, &[&balancer, &worker], sum);
                }
            }
        }
    }
}

/// What follows `0]`.
fn after_index(key: &[u8]) -> Option<&[u8]> {
    let digits = key.iter().take_while(|byte| byte.is_ascii_digit()).count();
    key[digits..].strip_prefix(b"]").filter(|_| digits > 0)
}

/// `4K` without its unit, which is the only one that Apache writes here.
fn kilobytes(value: Text<'_>) -> Text<'_> {
    let bytes = value.bytes.strip_suffix(b"K").or_else(|| value.bytes.strip_suffix(b"k"));
    Text { bytes: bytes.unwrap_or(value.bytes), ..value }
}
