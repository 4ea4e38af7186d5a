//! Sockets by protocol, from `/proc/net/sockstat` and `/proc/net/sockstat6`.

use crate::collector::prelude::*;

pub static SPEC: Spec =
    Spec::new("sockstat", On, "/proc/net/sockstat, /proc/net/sockstat6", &[], |_| {
        Ok(Box::new(Sockstat { v6: Vec::new(), page_size: page_size() }))
    });

static USED: Desc = gauge("node_sockstat_sockets_used", "Sockets of all families in use.", &[]);

/// What is told of a protocol, and what it means.
static STATES: [(&str, &str); 6] = [
    ("inuse", "sockets in use"),
    ("orphan", "sockets that no process holds any longer"),
    ("tw", "sockets in state TIME_WAIT"),
    ("alloc", "sockets allocated, in whatever state"),
    ("mem", "memory of the socket buffers, in pages"),
    ("memory", "memory of the fragments that wait to be joined, in bytes"),
];

const MEM: usize = 4;

struct Sockstat {
    v6: Vec<u8>,
    page_size: i64,
}

impl Collector for Sockstat {
    fn collect(&mut self, cx: &mut Cx<'_>, out: &mut Samples) -> Result<()> {
        if !cx.proc.is_present() {
            return Err(Error::failed("there is no procfs"));
        }
        let v4 = cx.proc.read_present("net/sockstat", cx.text)?;
        let v6 = cx.proc.read_present("net/sockstat6", &mut self.v6)?;
        out.all_or_nothing(|out| {
            let mut used = None;
            for (is_v4, text) in [(true, v4), (false, v6)] {
                for line in text.iter().flat_map(|text| text.scan()) {
                    match Line::parse(line?)? {
                        Line::Sockets(sockets) if is_v4 => used = Some(sockets),
                        Line::Sockets(_) => {}
                        Line::Protocol(name, states) => push(name, states, self.page_size, out),
                    }
                }
            }
            if let Some(used) = used {
                out.push(&USED, &[], used);
            }
            Ok(())
        })
    }
}

fn push(
    protocol: &str,
    states: [Option<i64>; STATES.len()],
    page_size: i64,
    out: &mut Samples,
) {
    let mut gauge = |state: &str, meaning: &str, value| {
        let name = Underscored(format_args!("node_sockstat_{protocol}_{state}"));
        let family = out.family(&name, Kind::Gauge, &format_args!("{protocol}: {meaning}."));
        out.push_named(family, &[], value);
    };
    for ((state, meaning), value) in STATES.iter().zip(states) {
        if let Some(value) = value {
            gauge(state, meaning, value);
        }
    }
    if let Some(pages) = states[MEM] {
        gauge("mem_bytes", "memory of the socket buffers, in bytes", pages.wrapping_mul(page_size));
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Line<'a> {
    Sockets(i64),
    Protocol(&'a str, [Option<i64>; STATES.len()]),
}

impl<'a> Line<'a> {
    /// `sockets: used 1602`, `TCP: inuse 35 orphan 0 tw 4 alloc 59 mem 22`
    fn parse(line: Text<'a>) -> Result<Self> {
        let mut words = line.bytes.split(|&byte| byte == b' ');
        let protocol = words.next().unwrap_or_default();
        let protocol = protocol.strip_suffix(b":").unwrap_or(protocol);
        let mut used = 0;
        let mut states = [None; STATES.len()];
        let mut is_bare = true;
        while let Some(key) = words.next() {
            is_bare = false;
            let value = words.next().ok_or_else(|| line.malformed())?;
            let AnyBase(value) = Text { bytes: value, ..line }.parse::<AnyBase<i64>>()?;
            if let Some(at) = STATES.iter().position(|(state, _)| state.as_bytes() == key) {
                states[at] = Some(value);
            } else if key == b"used" {
                used = value;
            }
        }
        if is_bare {
            return Err(line.malformed());
        }
        if protocol == b"sockets" {
            return Ok(Line::Sockets(used));
        }
        states[0].get_or_insert(0);
        Ok(Line::Protocol(Text { bytes: protocol, ..line }.as_str()?, states))
    }
}

fn page_size() -> i64 {
    i64::try_from(rustix::param::page_size()).expect("pages of less than 8 EiB")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines() {
        let protocol = |name, states| Some(Line::Protocol(name, states));
        for (line, expected) in [
            ("sockets: used 229", Some(Line::Sockets(229))),
            ("sockets used 0x10", Some(Line::Sockets(16))),
            ("sockets: free 3", Some(Line::Sockets(0))),
            ("RAW: inuse 3", protocol("RAW", [Some(3), None, None, None, None, None])),
            (
                "TCP: inuse 4 orphan 0 tw 04 alloc 17 mem -1",
                protocol("TCP", [Some(4), Some(0), Some(4), Some(17), Some(-1), None]),
            ),
            (
                "FRAG: inuse 0 memory 5 new 7",
                protocol("FRAG", [Some(0), None, None, None, None, Some(5)]),
            ),
            ("UDP: mem 3", protocol("UDP", [Some(0), None, None, None, Some(3), None])),
            ("UDP: inuse 3 inuse 4", protocol("UDP", [Some(4), None, None, None, None, None])),
            ("UDP:: inuse 3", protocol("UDP:", [Some(3), None, None, None, None, None])),
            ("", None),
            ("UDP:", None),
            ("UDP: inuse", None),
            ("UDP: inuse 3 mem", None),
            ("UDP: inuse x", None),
            ("UDP: inuse 3 new x", None),
            ("UDP: inuse  3", None),
            ("UDP: inuse 3 ", None),
            ("UDP: inuse 9223372036854775808", None),
        ] {
            let parsed = Line::parse(Text::new("net/sockstat", line.as_bytes())).ok();
            assert_eq!(parsed, expected, "{line}");
        }
    }
}
