//! What the queueing disciplines of network devices have done, from rtnetlink.

use serde::Deserialize;

use crate::collector::filter::renamed;
use crate::collector::prelude::*;
use crate::host::json;
use crate::host::netlink::links::{Links, Short};
use crate::host::netlink::{Message, Netlink, Payload, ROUTE};

static FIXTURES: Flag<String> = flags::text(
    "collector.qdisc.fixtures",
    "",
    "Directory with a results.json to tell in place of the kernel's answer.",
);
static INCLUDE: Flag<Option<Pattern>> = flags::pattern(
    "collector.qdisc.device-include",
    "",
    "Devices to tell; no others are. Not together with device-exclude.",
);
static EXCLUDE: Flag<Option<Pattern>> = flags::pattern(
    "collector.qdisc.device-exclude",
    "",
    "Devices not to tell. Not together with device-include.",
);
static OLD_INCLUDE: Flag<Option<Pattern>> =
    flags::pattern("collector.qdisk.device-include", "", "Old name of device-include.").hidden();
static OLD_EXCLUDE: Flag<Option<Pattern>> =
    flags::pattern("collector.qdisk.device-exclude", "", "Old name of device-exclude.").hidden();

pub static SPEC: Spec = Spec::new(
    "qdisc",
    Off,
    "rtnetlink queueing disciplines",
    &[&FIXTURES, &INCLUDE, &EXCLUDE, &OLD_INCLUDE, &OLD_EXCLUDE],
    |setup| {
        let include = renamed(setup.flags, &OLD_INCLUDE, &INCLUDE)?;
        let exclude = renamed(setup.flags, &OLD_EXCLUDE, &EXCLUDE)?;
        if include.is_some() && exclude.is_some() {
            return Err(format!(
                "--{} and --{} are mutually exclusive",
                INCLUDE.name(),
                EXCLUDE.name()
            ));
        }
        let filter = Filter { exclude, include };
        let fixtures = setup.flags.get(&FIXTURES);
        Ok(match fixtures.is_empty() {
            true => Box::new(Live { filter, netlink: Netlink::new(ROUTE), roots: Vec::new() }),
            false => Box::new(Fixtures { filter, directory: fixtures }),
        })
    },
);

const LABELS: &[&str] = &["device", "kind"];

static BYTES: Desc = counter("node_qdisc_bytes_total", "Bytes sent.", LABELS);
static PACKETS: Desc = counter("node_qdisc_packets_total", "Packets sent.", LABELS);
static DROPS: Desc = counter("node_qdisc_drops_total", "Packets dropped.", LABELS);
static REQUEUES: Desc = counter(
    "node_qdisc_requeues_total",
    "Packets that the device did not take and that were queued again.",
    LABELS,
);
static OVERLIMITS: Desc =
    counter("node_qdisc_overlimits_total", "Packets beyond the discipline's limit.", LABELS);
static QUEUE_LENGTH: Desc =
    gauge("node_qdisc_current_queue_length", "Packets that wait to be sent.", LABELS);
static BACKLOG: Desc = gauge("node_qdisc_backlog", "Bytes that wait to be sent.", LABELS);

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(default)]
struct Counts {
    bytes: u64,
    packets: u32,
    drops: u32,
    requeues: u32,
    overlimits: u32,
    #[serde(rename = "qlen")]
    queue_length: u32,
    backlog: u32,
}

fn push(out: &mut Samples, device: &[u8], kind: &[u8], counts: &Counts) {
    let labels: [&dyn LabelValue; 2] = [&device, &kind];
    out.push(&BYTES, &labels, counts.bytes);
    out.push(&PACKETS, &labels, counts.packets);
    out.push(&DROPS, &labels, counts.drops);
    out.push(&REQUEUES, &labels, counts.requeues);
    out.push(&OVERLIMITS, &labels, counts.overlimits);
    out.push(&QUEUE_LENGTH, &labels, counts.queue_length);
    out.push(&BACKLOG, &labels, counts.backlog);
}

struct Live {
    filter: Filter,
    netlink: Netlink,
    roots: Vec<Qdisc>,
}

/// A discipline that no other one is above.
#[derive(Debug, PartialEq, Eq)]
struct Qdisc {
    device: Short<16>,
    kind: Short<16>,
    counts: Counts,
}

impl Collector for Live {
    fn collect(&mut self, cx: &mut Cx<'_>, out: &mut Samples) -> Result<()> {
        const RTM_GETQDISC: u16 = 38;

        let Self { filter, netlink, roots } = self;
        let links = cx.links()?;
        netlink
            .dump(RTM_GETQDISC, &[0; TCMSG], cx.give_up_at(), |message| {
                match message {
                    None => roots.clear(),
                    Some(message) => roots.extend(Qdisc::read(message, &links)),
                }
                Ok(())
            })
            .map_err(|errno| Error::io("RTM_GETQDISC", errno))?;
        for root in roots.iter().filter(|root| !filter.drops(root.device.bytes())) {
            push(out, root.device.bytes(), root.kind.bytes(), &root.counts);
        }
        Ok(())
    }
}

/// `struct tcmsg`: family, padding, interface index, handle, parent, info.
const TCMSG: usize = 20;

const TC_H_ROOT: u32 = u32::MAX;

const TCA_KIND: u16 = 1;
const TCA_STATS: u16 = 3;
const TCA_STATS2: u16 = 7;
const TCA_STATS_BASIC: u16 = 1;
const TCA_STATS_QUEUE: u16 = 3;

impl Qdisc {
    /// `None` for a discipline below another one. A device that came after the links were listed is
    /// left for the next scrape.
    fn read(message: Message<'_>, links: &Links) -> Option<Self> {
        let link = links.by_index(message.body.u32_at(4)?)?;
        if !matches!(message.body.u32_at(12)?, 0 | TC_H_ROOT) {
            return None;
        }
        let mut qdisc =
            Self { device: link.name, kind: Short::default(), counts: Counts::default() };
        for (kind, value) in message.attributes(TCMSG) {
            match kind {
                TCA_KIND => qdisc.kind = Short::new(value.text()),
                TCA_STATS => qdisc.counts.read_old(value)?,
                TCA_STATS2 => qdisc.counts.read(value)?,
                _ => {}
            }
        }
        Some(qdisc)
    }
}

impl Counts {
    fn read(&mut self, value: Payload<'_>) -> Option<()> {
        for (kind, value) in value.attributes() {
            match kind {
                TCA_STATS_BASIC => {
                    (self.bytes, self.packets) = (value.u64_at(0)?, value.u32_at(8)?);
                }
                TCA_STATS_QUEUE => {
                    self.queue_length = value.u32_at(0)?;
                    self.backlog = value.u32_at(4)?;
                    self.drops = value.u32_at(8)?;
                    self.requeues = value.u32_at(12)?;
                    self.overlimits = value.u32_at(16)?;
                }
                _ => {}
            }
        }
        Some(())
    }

    /// `struct tc_stats`, which has no requeues.
    fn read_old(&mut self, value: Payload<'_>) -> Option<()> {
        self.bytes = value.u64_at(0)?;
        self.packets = value.u32_at(8)?;
        self.drops = value.u32_at(12)?;
        self.overlimits = value.u32_at(16)?;
        self.queue_length = value.u32_at(28)?;
        self.backlog = value.u32_at(32)?;
        Some(())
    }
}

struct Fixtures {
    filter: Filter,
    directory: String,
}

/// One object of a `results.json`.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Fixture {
    ifacename: String,
    parent: u32,
    kind: String,
    #[serde(flatten)]
    counts: Counts,
}

impl Collector for Fixtures {
    fn collect(&mut self, cx: &mut Cx<'_>, out: &mut Samples) -> Result<()> {
        let root = Root::new(&self.directory);
        let qdiscs: Option<Vec<Fixture>> = json::read(&root, "results.json", cx.text)?;
        for qdisc in qdiscs.iter().flatten() {
            let device = qdisc.ifacename.as_bytes();
            if qdisc.parent == 0 && !self.filter.drops(device) {
                push(out, device, qdisc.kind.as_bytes(), &qdisc.counts);
            }
        }
        Ok(())
    }
}
