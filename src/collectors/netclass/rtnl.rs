//! Network devices as netlink says: `--collector.netclass.netlink`.

use super::live::{Kept, OPERSTATES, Reads};
use super::{ATTRIBUTES, Numbers, SPEED, UP};
use crate::collector::prelude::*;
use crate::host::netlink::generic::{self, Family};
use crate::host::netlink::links::{COUNTERS, ColonHex, Link, Short};
use crate::host::netlink::{Message, push_attribute};

static INFO: Desc = gauge(
    "node_network_info",
    "1 for each device, with its addresses and states as labels.",
    &["address", "broadcast", "device", "duplex", "ifalias", "operstate"],
);

static ALTNAMES: Desc = gauge(
    "node_network_altnames_info",
    "1 for each further name of a device.",
    &["altname", "device"],
);

macro_rules! counters {
    ($($name:literal)*) => {
        /// In the order of `struct rtnl_link_stats64`. Gauges: so the original has them here.
        static STATISTICS: [Desc; COUNTERS] = [$(gauge(
            concat!("node_network_", $name, "_total"),
            concat!("Counter ", $name, " of the device."),
            &["device"],
        )),*];
    };
}

counters! {
    "receive_packets" "transmit_packets" "receive_bytes" "transmit_bytes"
    "receive_errors" "transmit_errors" "receive_dropped" "transmit_dropped"
    "multicast" "collisions"
    "receive_length_errors" "receive_over_errors" "receive_crc_errors"
    "receive_frame_errors" "receive_fifo_errors" "receive_missed_errors"
    "transmit_aborted_errors" "transmit_carrier_errors" "transmit_fifo_errors"
    "transmit_heartbeat_errors" "transmit_window_errors"
    "receive_compressed" "transmit_compressed" "receive_nohandler"
}

const ETHTOOL_MSG_LINKMODES_GET: u8 = 4;
const ETHTOOL_A_LINKMODES_HEADER: u16 = 1;
const ETHTOOL_A_LINKMODES_SPEED: u16 = 5;
const ETHTOOL_A_LINKMODES_DUPLEX: u16 = 6;
const ETHTOOL_A_HEADER_DEV_NAME: u16 = 2;
const ETHTOOL_A_HEADER_FLAGS: u16 = 3;
const ETHTOOL_FLAG_COMPACT_BITSETS: u32 = 1;
const NLA_F_NESTED: u16 = 0x8000;

const DUPLEX_HALF: u8 = 0;
const DUPLEX_FULL: u8 = 1;
const DUPLEX_UNKNOWN: u8 = 0xff;

pub(super) struct Rtnl {
    filter: Filter,
    with_stats: bool,
    ethtool: Family,
    was_absent: bool,
    request: Vec<u8>,
    modes: Vec<Mode>,
    /// The original reads what netlink lacks from here, wherever `--path.sysfs` points.
    sys: Root,
    kept: Kept,
}

/// What ethtool says of one device.
struct Mode {
    name: Short<16>,
    /// In Mbit/s; a device that does not know it says `u32::MAX`, and so does the original.
    speed: u32,
    duplex: u8,
}

impl Rtnl {
    pub(super) fn new(filter: Filter, with_stats: bool) -> Self {
        let mut header = Vec::new();
        let flags = ETHTOOL_FLAG_COMPACT_BITSETS.to_ne_bytes();
        push_attribute(&mut header, ETHTOOL_A_HEADER_FLAGS, &flags);
        let mut request = Vec::new();
        push_attribute(&mut request, ETHTOOL_A_LINKMODES_HEADER | NLA_F_NESTED, &header);
        Self {
            filter,
            with_stats,
            ethtool: Family::new("ethtool"),
            was_absent: false,
            request,
            modes: Vec::new(),
            sys: Root::new("/sys"),
            kept: Kept::new(Reads::Assignments),
        }
    }

    /// Speed and duplex of all devices that have them.
    fn read_modes(&mut self, cx: &Cx<'_>) -> Result<()> {
        let Self { ethtool, request, modes, .. } = self;
        modes.clear();
        let outcome = ethtool.dump(ETHTOOL_MSG_LINKMODES_GET, request, cx.give_up_at(), |message| {
            match message {
                None => modes.clear(),
                Some(message) => modes.extend(read_mode(message)),
            }
            Ok(())
        });
        let is_absent = outcome == Err(Errno::NOENT);
        if is_absent && !self.was_absent {
            tracing::info!("netlink has no ethtool family: speed and duplex are not told");
        }
        self.was_absent = is_absent;
        match outcome {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(errno) => Err(Error::io("ETHTOOL_MSG_LINKMODES_GET", errno)),
        }
    }
}

fn read_mode(message: Message<'_>) -> Option<Mode> {
    let mut mode = Mode { name: Short::default(), speed: 0, duplex: DUPLEX_HALF };
    for (kind, value) in message.attributes(generic::HEADER) {
        match kind {
            ETHTOOL_A_LINKMODES_HEADER => {
                let mut header = value.attributes();
                let (_, name) = header.find(|&(kind, _)| kind == ETHTOOL_A_HEADER_DEV_NAME)?;
                mode.name = Short::new(name.text());
            }
            ETHTOOL_A_LINKMODES_SPEED => mode.speed = value.u32()?,
            ETHTOOL_A_LINKMODES_DUPLEX => mode.duplex = value.u8()?,
            _ => {}
        }
    }
    Some(mode)
}

impl Collector for Rtnl {
    fn collect(&mut self, cx: &mut Cx<'_>, out: &mut Samples) -> Result<()> {
        self.read_modes(cx)?;
        for mode in self.modes.iter().filter(|mode| !self.filter.drops(mode.name.bytes())) {
            out.push(&SPEED, &[&mode.name.bytes()], u64::from(mode.speed) * 125_000);
        }
        let links = cx.links()?;
        self.kept.forget_gone(&links);
        for link in links.iter().filter(|link| !self.filter.drops(link.name.bytes())) {
            let name = link.name.bytes();
            let operstate = operstate(link)?;
            let mode = self.modes.iter().find(|mode| mode.name == link.name);
            let duplex = mode.map_or(Ok(""), duplex)?;
            out.push(&UP, &[&name], operstate == "up");
            let (address, broadcast) = (ColonHex(link.address.bytes()), ColonHex(link.broadcast.bytes()));
            let alias = links.alias(link);
            out.push(&INFO, &[&address, &broadcast, &name, &duplex, &alias, &operstate], 1.0);
            for altname in links.altnames(link) {
                out.push(&ALTNAMES, &[&Repaired(altname), &name], 1.0);
            }
            let mut numbers = numbers(link);
            let known = self.kept.of(link, &links, &self.sys, cx.text)?;
            numbers.addr_assign_type = known.addr_assign_type;
            numbers.dev_id = known.dev_id;
            numbers.name_assign_type = known.name_assign_type;
            for attribute in ATTRIBUTES {
                if let Some(value) = *(attribute.place)(&mut numbers) {
                    out.push(&attribute.desc, &[&name], value);
                }
            }
            if self.with_stats
                && let Some(counters) = &link.counters
            {
                for (desc, value) in STATISTICS.iter().zip(counters) {
                    out.push(desc, &[&name], *value);
                }
            }
        }
        Ok(())
    }
}

fn operstate(link: &Link) -> Result<&'static str> {
    let state = link.operstate.unwrap_or(0);
    let known = OPERSTATES.get(usize::from(state)).copied();
    known.ok_or_else(|| Error::failed(format!("RTM_GETLINK: operational state {state}")))
}

fn duplex(mode: &Mode) -> Result<&'static str> {
    match mode.duplex {
        DUPLEX_HALF => Ok("Half"),
        DUPLEX_FULL => Ok("Full"),
        DUPLEX_UNKNOWN => Ok("Unknown"),
        other => Err(Error::failed(format!("ETHTOOL_MSG_LINKMODES_GET: duplex {other}"))),
    }
}

/// What netlink tells as numbers, without what it takes sysfs for.
fn numbers(link: &Link) -> Numbers {
    let index = i64::from(link.index);
    Numbers {
        carrier: link.carrier.map(i64::from),
        carrier_changes: link.carrier_changes.map(i64::from),
        carrier_up_count: link.carrier_up_count.map(i64::from),
        carrier_down_count: link.carrier_down_count.map(i64::from),
        // The original shows the link mode twice.
        dormant: link.link_mode.map(i64::from),
        flags: Some(i64::from(link.flags)),
        ifindex: Some(index),
        iflink: Some(link.link.filter(|&link| link > 0).map_or(index, i64::from)),
        link_mode: link.link_mode.map(i64::from),
        mtu: Some(link.mtu.map_or(0, i64::from)),
        netdev_group: link.group.map(i64::from),
        tx_queue_len: link.transmit_queue_length.map(i64::from),
        protocol_type: Some(i64::from(link.protocol_type)),
        ..Numbers::default()
    }
}
