//! The kernel's load balancer, from `/proc/net/ip_vs_stats` and `/proc/net/ip_vs`.

use std::cmp::Ordering;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::collector::prelude::*;
use crate::exposition::LabelValue;

static BACKEND_LABELS: Flag<String> = flags::text(
    "collector.ipvs.backend-labels",
    "local_address,local_port,remote_address,remote_port,proto,local_mark",
    "Labels of the backends' series, comma-separated; backends that then look alike are summed.",
);

pub static SPEC: Spec = Spec::new(
    "ipvs",
    On,
    "/proc/net/ip_vs_stats, /proc/net/ip_vs",
    &[&BACKEND_LABELS],
    |setup| {
        let labels = Labels::parse(&setup.flags.get(&BACKEND_LABELS))?;
        setup.need_proc()?;
        Ok(Box::new(Ipvs { labels, backends: Vec::new() }))
    },
);

static TOTALS: [Desc; 5] = [
    counter("node_ipvs_connections_total", "Connections made.", &[]),
    counter("node_ipvs_incoming_packets_total", "Packets from clients.", &[]),
    counter("node_ipvs_outgoing_packets_total", "Packets to clients.", &[]),
    counter("node_ipvs_incoming_bytes_total", "Bytes from clients.", &[]),
    counter("node_ipvs_outgoing_bytes_total", "Bytes to clients.", &[]),
];

/// In the order of [`Backend::values`]; which labels there are is a matter of the flag.
static BACKENDS: [Desc; 3] = [
    gauge("node_ipvs_backend_weight", "Share of new connections that a backend is to get.", &[]),
    gauge("node_ipvs_backend_connections_active", "Established connections to a backend.", &[]),
    gauge("node_ipvs_backend_connections_inactive", "Other connections to a backend.", &[]),
];

struct Ipvs {
    labels: Labels,
    backends: Vec<Backend>,
}

impl Collector for Ipvs {
    fn collect(&mut self, cx: &mut Cx<'_>, out: &mut Samples) -> Result<()> {
        let text = cx
            .proc
            .read_present("net/ip_vs_stats", cx.text)?
            .ok_or_else(|| Error::no_data("IPVS is not loaded"))?;
        for (desc, total) in TOTALS.iter().zip(totals(text)?) {
            out.push(desc, &[], total);
        }

        let text = cx.proc.read("net/ip_vs", cx.text)?;
        read_backends(text, &mut self.backends)?;
        let labels = &self.labels;
        self.backends.sort_unstable_by(|a, b| labels.order(text, a, b));
        for alike in self.backends.chunk_by(|a, b| labels.order(text, a, b).is_eq()) {
            let mut sums = [0_u64; BACKENDS.len()];
            for backend in alike {
                for (sum, value) in sums.iter_mut().zip(backend.values) {
                    *sum = sum.wrapping_add(value);
                }
            }
            labels.push(text, &alike[0], sums, out);
        }
        Ok(())
    }
}

/// The third line has the totals, in hexadecimal:
/// `  16AA370 E33656E5        0     51D8C8883AB3        0`
fn totals(text: Text<'_>) -> Result<[u64; TOTALS.len()]> {
    let mut lines = text.bytes.splitn(4, |&byte| byte == b'\n');
    let (Some(line), Some(_)) = (lines.nth(2), lines.next()) else {
        return Err(Error::truncated(text.path));
    };
    let line = Text { bytes: line, ..text };
    let mut fields = line.fields();
    let mut totals = [0; TOTALS.len()];
    for total in &mut totals {
        *total = fields.parse::<Hex>()?.0;
    }
    if fields.next().is_some() { Err(line.malformed()) } else { Ok(totals) }
}

/// One server behind one service.
struct Backend {
    service: Service,
    remote: (IpAddr, u16),
    values: [u64; BACKENDS.len()],
}

#[derive(Clone, Copy)]
struct Service {
    proto: &'static str,
    address: Option<IpAddr>,
    port: u16,
    mark: Span,
}

/// `TCP  C0A80016:0CEA wlc`, `FWM  10001000 wlc`, and the servers below:
/// `  -> C0A85216:0CEA      Tunnel  100    248        2`
fn read_backends(text: Text<'_>, backends: &mut Vec<Backend>) -> Result<()> {
    backends.clear();
    let mut service = Service { proto: "", address: None, port: 0, mark: Span::default() };
    for line in text.scan().map_while(Result::ok) {
        let mut fields = line.fields();
        let Some(first) = fields.next() else { continue };
        if matches!(first.bytes, b"IP" | b"Prot") {
            continue;
        }
        let second = fields.next().ok_or_else(|| line.malformed())?;
        match first.bytes {
            _ if second.bytes == b"RemoteAddress:Port" => {}
            b"TCP" | b"UDP" => {
                let proto = if first.bytes == b"TCP" { "TCP" } else { "UDP" };
                let (address, port) = socket_address(second)?;
                service = Service { proto, address: Some(address), port, mark: Span::default() };
            }
            b"FWM" => {
                let mark = text.span_of(second.bytes);
                service = Service { proto: "FWM", address: None, port: 0, mark };
            }
            // Services of other protocols are not seen: what stands below them is taken for the
            // service before, as the original takes it.
            b"->" if fields.clone().nth(3).is_some() => {
                let remote = socket_address(second)?;
                fields.next();
                let values = [fields.parse()?, fields.parse()?, fields.parse()?];
                backends.push(Backend { service, remote, values });
            }
            _ => {}
        }
    }
    Ok(())
}

/// `C0A80016:0CEA` or `[2620:0000:0000:0000:0000:0000:0000:0001]:0050`
fn socket_address(text: Text<'_>) -> Result<(IpAddr, u16)> {
    let bytes = text.bytes;
    let address = match bytes.len() {
        13 => number(&bytes[..8]).map(|bits| IpAddr::V4(Ipv4Addr::from_bits(bits))),
        46 => {
            let address = std::str::from_utf8(&bytes[1..40]).ok();
            address.and_then(|address| address.parse().ok()).map(|address: Ipv6Addr| {
                // Go prints an IPv4 address in IPv6's clothes as what it is.
                address.to_ipv4_mapped().map_or(IpAddr::V6(address), IpAddr::V4)
            })
        }
        _ => None,
    };
    let port = address.and_then(|_| u16::try_from(number(&bytes[bytes.len() - 4..])?).ok());
    address.zip(port).ok_or_else(|| text.malformed())
}

fn number(hex: &[u8]) -> Option<u32> {
    u32::try_from(crate::number::hex(hex)?).ok()
}

/// The labels there may be, in the order of the exposition.
static NAMES: [&str; 6] =
    ["local_address", "local_mark", "local_port", "proto", "remote_address", "remote_port"];

/// Which of [`NAMES`] the flag asks for, ascending.
struct Labels(Vec<usize>);

impl Labels {
    fn parse(list: &str) -> Result<Self, String> {
        let asked = || list.split(',').filter(|name| !name.is_empty());
        let mut unknown: Vec<&str> = asked().filter(|name| !NAMES.contains(name)).collect();
        if !unknown.is_empty() {
            unknown.sort_unstable();
            unknown.dedup();
            return Err(format!("unknown IPVS backend labels: {:?}", unknown.join(", ")));
        }
        Ok(Self((0..NAMES.len()).filter(|&at| asked().any(|name| name == NAMES[at])).collect()))
    }

    fn order(&self, text: Text<'_>, a: &Backend, b: &Backend) -> Ordering {
        let orders = self.0.iter().map(|&at| a.label(at, text).cmp(&b.label(at, text)));
        orders.fold(Ordering::Equal, Ordering::then)
    }

    fn push(
        &self,
        text: Text<'_>,
        backend: &Backend,
        values: [u64; BACKENDS.len()],
        out: &mut Samples,
    ) {
        let all: [Label<'_>; NAMES.len()] = std::array::from_fn(|at| backend.label(at, text));
        let labels: [(&str, &dyn LabelValue); NAMES.len()] = std::array::from_fn(|at| {
            let at = self.0.get(at).copied().unwrap_or_default();
            (NAMES[at], &all[at] as &dyn LabelValue)
        });
        for (desc, value) in BACKENDS.iter().zip(values) {
            out.push_labelled(desc, &labels[..self.0.len()], value);
        }
    }
}

impl Backend {
    fn label<'a>(&self, at: usize, text: Text<'a>) -> Label<'a> {
        let Self { service, remote, .. } = self;
        match NAMES[at] {
            "local_address" => Label::Address(service.address),
            "local_mark" => Label::Text(text.at(service.mark).bytes),
            "local_port" => Label::Port(service.port),
            "proto" => Label::Text(service.proto.as_bytes()),
            "remote_address" => Label::Address(Some(remote.0)),
            _ => Label::Port(remote.1),
        }
    }
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Label<'a> {
    Address(Option<IpAddr>),
    Port(u16),
    Text(&'a [u8]),
}

impl LabelValue for Label<'_> {
    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Label::Address(None) => {}
            Label::Address(Some(address)) => format_args!("{address}").write(out),
            Label::Port(port) => port.write(out),
            Label::Text(text) => text.write(out),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        for (text, expected) in [
            ("C0A80016:0CEA", Some("192.168.0.22:3306")),
            ("c0a80016.ffff", Some("192.168.0.22:65535")),
            ("[2620:0000:0000:0000:0000:0000:0000:0001]:0050", Some("2620::1:80")),
            ("[2620:0000:0000:0001:0000:0000:0000:0000]:0050", Some("2620:0:0:1:::80")),
            ("[0000:0000:0000:0000:0000:ffff:0a00:0001]:0050", Some("10.0.0.1:80")),
            ("[0000:0000:0000:0000:0000:0000:0a00:0001]:0050", Some("::a00:1:80")),
            ("C0A8001:0CEA", None),
            ("C0A8001G:0CEA", None),
            ("C0A80016:0CEx", None),
            ("[2620:0000:0000:0000:0000:0000:0000:001g]:0050", None),
            ("", None),
        ] {
            let parsed = socket_address(Text::new("net/ip_vs", text.as_bytes())).ok();
            let shown = parsed.map(|(address, port)| format!("{address}:{port}"));
            assert_eq!(shown.as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn services_and_what_stands_below_them() {
        const REMOTE: &str = "-> 0A000001:0050 Masq 1 2 3\n";
        let head = "IP Virtual Server version 1.2.1\nProt LocalAddress:Port Scheduler\n\
                    -> RemoteAddress:Port Forward Weight\n";
        for (text, expected) in [
            (String::new(), Some("")),
            (REMOTE.to_owned(), Some(",,0,,10.0.0.1,80 ")),
            (format!("UDP 0A000002:0035 rr\n\n  {REMOTE}"), Some("10.0.0.2,,53,UDP,10.0.0.1,80 ")),
            (format!("FWM 00010 rr\n{REMOTE}"), Some(",00010,0,FWM,10.0.0.1,80 ")),
            (format!("FWM 00010 rr\nTCP 0A000002:0035\n{REMOTE}"), Some("10.0.0.2,,53,TCP,10.0.0.1,80 ")),
            (format!("TCP 0A000002:0035\nSCTP 0A000003:0035\n{REMOTE}"), Some("10.0.0.2,,53,TCP,10.0.0.1,80 ")),
            ("-> 0A000001:0050 Masq 1 2\n".to_owned(), Some("")),
            ("-> 0A000001:0050 Masq 1 2 3x\n".to_owned(), None),
            ("-> 0A000001:005 Masq 1 2 3\n".to_owned(), None),
            ("TCP 0A00000:0050\n".to_owned(), None),
            ("TCP\n".to_owned(), None),
            ("IP\nProt\n \n".to_owned(), Some("")),
            (format!("{REMOTE}{}\nx", "x".repeat(1 << 16)), Some(",,0,,10.0.0.1,80 ")),
        ] {
            let text = format!("{head}{text}");
            let text = Text::new("net/ip_vs", text.as_bytes());
            let mut backends = Vec::new();
            let shown = read_backends(text, &mut backends).ok().map(|()| {
                let mut shown = Vec::new();
                for backend in &backends {
                    assert_eq!(backend.values, [1, 2, 3]);
                    for at in 0..NAMES.len() {
                        backend.label(at, text).write(&mut shown);
                        shown.push(if at + 1 < NAMES.len() { b',' } else { b' ' });
                    }
                }
                String::from_utf8(shown).unwrap()
            });
            assert_eq!(shown.as_deref(), expected, "{:.200}", text.as_str().unwrap());
        }
    }

    #[test]
    fn statistics() {
        for (text, expected) in [
            ("a\nb\n 1 2 F 0 ffff\n\n", Some([1, 2, 15, 0, 65535])),
            ("a\nb\n1 2 3 4 5\n", Some([1, 2, 3, 4, 5])),
            ("a\nb\n1 2 3 4 5", None),
            ("a\nb\n1 2 3 4\n\n", None),
            ("a\nb\n1 2 3 4 5 6\n\n", None),
            ("a\nb\n1 2 3 4 0x5\n\n", None),
            ("", None),
        ] {
            let totals = totals(Text::new("net/ip_vs_stats", text.as_bytes())).ok();
            assert_eq!(totals, expected, "{text:?}");
        }
    }

    #[test]
    fn labels_asked_for() {
        for (list, expected) in [
            ("", Ok(vec![])),
            (",proto,,local_port,proto", Ok(vec![2, 3])),
            ("proto,x,b ,x", Err("unknown IPVS backend labels: \"b , x\"")),
        ] {
            let labels = Labels::parse(list).map(|labels| labels.0);
            assert_eq!(labels, expected.map_err(str::to_owned), "{list}");
        }
    }
}
