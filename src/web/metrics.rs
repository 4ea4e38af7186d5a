//! The metrics handler: from a request to an exposition.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use hyper::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, HeaderValue};
use hyper::{HeaderMap, Request, Response, StatusCode};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, TryAcquireError};

use super::door::Door;
use super::negotiate::{ContentType, Format, prefers_gzip};
use super::own::Own;
use super::{Answer, plain};
use crate::exposition::gzip::Gzip;
use crate::exposition::merge::Merge;
use crate::exposition::{Samples, protobuf, text};
use crate::flags::{self, AnyFlag, Flag, Values};
use crate::gather::{Filter, Gathered, Gatherer};

static MAX_REQUESTS: Flag<i64> = flags::integer(
    "web.max-requests",
    "40",
    "Scrapes answered at the same time, filtered ones too; 0 for no limit.",
);
static NO_OWN_METRICS: Flag<bool> = flags::switch(
    "web.disable-exporter-metrics",
    false,
    "Leave out the agent's own metrics (promhttp_*, process_*, hostwarden_*).",
);
pub static TIMEOUT: Flag<Duration> = flags::duration(
    "web.scrape-timeout",
    "9.5s",
    "Longest time a scrape may take that does not bring a timeout of its own.",
);

pub static FLAGS: &[&dyn AnyFlag] = &[&MAX_REQUESTS, &NO_OWN_METRICS, &TIMEOUT];

/// The header in which Prometheus says how long it waits.
const TIMEOUT_HEADER: &str = "x-prometheus-scrape-timeout-seconds";

/// Kept back from Prometheus' own timeout for encoding and the way home.
const MARGIN: Duration = Duration::from_millis(500);

/// Answers scrapes.
pub struct Metrics {
    gatherer: Arc<Gatherer>,
    own: Arc<Own>,
    door: Arc<Door>,
    slots: Option<Arc<Semaphore>>,
    max_requests: i64,
    timeout: Duration,
    shows_own: bool,
    encoders: Arc<Kept<Encoder>>,
    buffers: Arc<Kept<Vec<u8>>>,
}

impl Metrics {
    pub fn new(values: &Values, gatherer: Arc<Gatherer>, own: Arc<Own>, door: Arc<Door>) -> Self {
        let max_requests = values.get(&MAX_REQUESTS);
        let slots = usize::try_from(max_requests).ok().filter(|&slots| slots > 0);
        Self {
            gatherer,
            own,
            door,
            slots: slots.map(|slots| Arc::new(Semaphore::new(slots.min(Semaphore::MAX_PERMITS)))),
            max_requests,
            timeout: values.get(&TIMEOUT),
            shows_own: !values.get(&NO_OWN_METRICS),
            encoders: Arc::default(),
            buffers: Arc::default(),
        }
    }

    /// Answers one scrape.
    pub async fn answer<B>(&self, request: &Request<B>) -> Answer {
        let arrived = Instant::now();
        let filter = match filter(request.uri().query().unwrap_or_default()) {
            Ok(filter) => filter,
            Err(text) => return plain(StatusCode::BAD_REQUEST, text),
        };
        if let Err(error) = self.gatherer.check(&filter) {
            tracing::warn!(err = %error, "Couldn't create filtered metrics handler:");
            return plain(
                StatusCode::BAD_REQUEST,
                format!(
                    "Couldn't create filtered metrics handler: couldn't create collector: {error}"
                ),
            );
        }
        let Ok(slot) = self.slot() else {
            self.own.requests.with_label_values(&["503"]).inc();
            return self.refusal();
        };
        let _in_flight = InFlight::new(&self.own);
        let deadline = arrived + self.patience(request.headers());
        let answer = self.scrape(&filter, deadline, slot, request.headers()).await;
        self.own.requests.with_label_values(&[answer.status().as_str()]).inc();
        answer
    }

    /// Gathers as for a scrape, and draws something of it on a worker. Counts among the scrapes
    /// that run, but not among those that were answered.
    pub async fn show<T: Send + 'static>(
        &self,
        draw: impl FnOnce(&Gathered, &Samples) -> T + Send + 'static,
    ) -> Result<T, Answer> {
        let Ok(_slot) = self.slot() else { return Err(self.refusal()) };
        let deadline = Instant::now() + self.timeout;
        let (own, door) = (Arc::clone(&self.own), Arc::clone(&self.door));
        let draw = move |gathered: Gathered| {
            let mut samples = Samples::default();
            own.push(&mut samples);
            door.push(&mut samples);
            draw(&gathered, &samples)
        };
        self.gatherer.gather(&Filter::All, deadline, draw).await.ok_or_else(|| {
            plain(StatusCode::INTERNAL_SERVER_ERROR, "The page could not be drawn.\n")
        })
    }

    fn refusal(&self) -> Answer {
        let max = self.max_requests;
        plain(
            StatusCode::SERVICE_UNAVAILABLE,
            format!("Limit of concurrent requests reached ({max}), try again later.\n"),
        )
    }

    fn slot(&self) -> Result<Option<OwnedSemaphorePermit>, TryAcquireError> {
        self.slots.clone().map(Semaphore::try_acquire_owned).transpose()
    }

    /// How long the client waits, less a margin, but never longer than we would by ourselves.
    fn patience(&self, headers: &HeaderMap) -> Duration {
        headers
            .get(TIMEOUT_HEADER)
            .and_then(|value| value.to_str().ok()?.parse().ok())
            .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
            .filter(|timeout| !timeout.is_zero())
            .map_or(self.timeout, |timeout| timeout.saturating_sub(MARGIN).max(timeout / 2))
    }

    /// Gathers and encodes.
    async fn scrape(
        &self,
        filter: &Filter,
        deadline: Instant,
        slot: Option<OwnedSemaphorePermit>,
        headers: &HeaderMap,
    ) -> Answer {
        let accept = first(headers, &ACCEPT);
        let content_type = ContentType::from_accept(accept);
        let is_gzip = prefers_gzip(first(headers, &ACCEPT_ENCODING));
        let (encoders, buffers) = (Arc::clone(&self.encoders), Arc::clone(&self.buffers));
        let (own, door) = (Arc::clone(&self.own), Arc::clone(&self.door));
        let shows_own = self.shows_own;
        let encode = move |gathered: Gathered| {
            let mut encoder = encoders.take();
            let mut body = buffers.take();
            let shown = shows_own.then_some((&*own, &*door));
            let faults = encoder.encode(&gathered, shown, content_type.format, is_gzip, &mut body);
            encoders.give(encoder);
            if !faults.is_empty() {
                own.errors.with_label_values(&["gathering"]).inc();
                tracing::error!(err = faults, "error gathering metrics");
            }
            Lent { buffer: body, home: buffers }
        };
        let Some(body) = self.gatherer.gather(filter, deadline, encode).await else {
            return plain(
                StatusCode::INTERNAL_SERVER_ERROR,
                "An error has occurred while serving metrics:\n\nencoding panicked\n",
            );
        };
        let mut answer = Response::new(Bytes::from_owner(Body { body, _slot: slot }));
        let headers = answer.headers_mut();
        if let Ok(content_type) = HeaderValue::try_from(content_type.header()) {
            headers.insert(CONTENT_TYPE, content_type);
        }
        if is_gzip {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        answer
    }
}

fn first<'a>(headers: &'a HeaderMap, name: &hyper::header::HeaderName) -> &'a str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

/// Reads `collect[]` and `exclude[]`.
fn filter(query: &str) -> Result<Filter, &'static str> {
    let mut collect = Vec::new();
    let mut exclude = Vec::new();
    for pair in query.split('&') {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        match super::unescape(key, true).as_str() {
            "collect[]" => collect.push(super::unescape(value, true)),
            "exclude[]" => exclude.push(super::unescape(value, true)),
            _ => {}
        }
    }
    match (collect.is_empty(), exclude.is_empty()) {
        (true, true) => Ok(Filter::All),
        (false, true) => Ok(Filter::Only(collect)),
        (true, false) => Ok(Filter::Without(exclude)),
        (false, false) => Err("Combined collect and exclude queries are not allowed."),
    }
}

/// Counts a scrape while it is answered, to its end or until its client leaves.
struct InFlight<'a>(&'a Own);

impl<'a> InFlight<'a> {
    fn new(own: &'a Own) -> Self {
        own.in_flight.inc();
        Self(own)
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.in_flight.dec();
    }
}

/// Turns what was gathered into a body; its memory is kept from scrape to scrape.
#[derive(Default)]
pub struct Encoder {
    own: Samples,
    merge: Merge,
    text: Vec<u8>,
    gzip: Gzip,
}

impl Encoder {
    /// Writes the body and returns, a line each, what had to be left out.
    pub fn encode(
        &mut self,
        gathered: &Gathered,
        own: Option<(&Own, &Door)>,
        format: Format,
        is_gzip: bool,
        body: &mut Vec<u8>,
    ) -> String {
        self.own.clear();
        Own::push_build(&mut self.own);
        if let Some((own, door)) = own {
            own.push(&mut self.own);
            door.push(&mut self.own);
        }
        let sources = gathered.sources(&self.own);
        self.merge.build(&sources);
        let plain = if is_gzip { &mut self.text } else { &mut *body };
        plain.clear();
        match format {
            Format::Text => text::write(&self.merge, &sources, plain),
            Format::Protobuf(encoding) => {
                protobuf::write(encoding, &self.merge, &sources, plain);
            }
        }
        if is_gzip {
            self.gzip.write(&self.text, body);
        }
        self.merge.faults().join("\n")
    }
}

/// Things that are taken for a while and given back.
#[derive(Debug)]
struct Kept<T>(Mutex<Vec<T>>);

impl<T> Default for Kept<T> {
    fn default() -> Self {
        Self(Mutex::new(Vec::new()))
    }
}

impl<T: Default> Kept<T> {
    /// As many as two Prometheus servers that scrape at the same moment need.
    const MAX: usize = 2;

    fn take(&self) -> T {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default()
    }

    fn give(&self, thing: T) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() < Self::MAX {
            kept.push(thing);
        }
    }
}

/// A body whose slot goes back when it has been sent. The slot does not go to the worker with the rest:
/// it is free when the client leaves, whatever still runs then.
struct Body {
    body: Lent,
    _slot: Option<OwnedSemaphorePermit>,
}

impl AsRef<[u8]> for Body {
    fn as_ref(&self) -> &[u8] {
        &self.body.buffer
    }
}

/// Memory that goes home when dropped.
struct Lent {
    buffer: Vec<u8>,
    home: Arc<Kept<Vec<u8>>>,
}

impl Drop for Lent {
    fn drop(&mut self) {
        self.home.give(std::mem::take(&mut self.buffer));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters() {
        assert_eq!(filter(""), Ok(Filter::All));
        assert_eq!(filter("name[]=up"), Ok(Filter::All));
        assert_eq!(
            filter("collect%5B%5D=cpu&collect[]=a+b"),
            Ok(Filter::Only(vec!["cpu".to_owned(), "a b".to_owned()]))
        );
        assert_eq!(filter("exclude[]="), Ok(Filter::Without(vec![String::new()])));
        assert!(filter("collect[]=a&exclude[]=b").is_err());
    }
}
