//! Traffic counters of network devices, from rtnetlink or `/proc/net/dev`.

mod address;
mod alias;

use crate::collector::filter::renamed;
use crate::collector::prelude::*;
use crate::host::netlink::links::COUNTERS;
use address::Addresses;
use alias::Aliases;

static INCLUDE: Flag<Option<Pattern>> = flags::pattern(
    "collector.netdev.device-include",
    "",
    "Devices to tell of; not together with device-exclude.",
);
static EXCLUDE: Flag<Option<Pattern>> = flags::pattern(
    "collector.netdev.device-exclude",
    "",
    "Devices to leave out; not together with device-include.",
);
static OLD_INCLUDE: Flag<Option<Pattern>> =
    flags::pattern("collector.netdev.device-whitelist", "", "Old name of device-include.").hidden();
static OLD_EXCLUDE: Flag<Option<Pattern>> =
    flags::pattern("collector.netdev.device-blacklist", "", "Old name of device-exclude.").hidden();
static ADDRESS_INFO: Flag<bool> = flags::switch(
    "collector.netdev.address-info",
    false,
    "Tell the addresses of every device.",
);
static DETAILED: Flag<bool> = flags::switch(
    "collector.netdev.enable-detailed-metrics",
    false,
    "Tell every counter apart, under other names than net/dev's columns.",
);
static NETLINK: Flag<bool> = flags::switch(
    "collector.netdev.netlink",
    true,
    "Ask the kernel over netlink rather than read net/dev below the procfs.",
);
static LABEL_IFALIAS: Flag<bool> = flags::switch(
    "collector.netdev.label-ifalias",
    false,
    "Add the device's alias to every counter, as label ifalias.",
);

pub static SPEC: Spec = Spec::new(
    "netdev",
    On,
    "rtnetlink links, or /proc/net/dev",
    &[
        &INCLUDE,
        &EXCLUDE,
        &OLD_INCLUDE,
        &OLD_EXCLUDE,
        &ADDRESS_INFO,
        &DETAILED,
        &NETLINK,
        &LABEL_IFALIAS,
    ],
    |setup| {
        let include = renamed(setup.flags, &OLD_INCLUDE, &INCLUDE)?;
        let exclude = renamed(setup.flags, &OLD_EXCLUDE, &EXCLUDE)?;
        if include.is_some() && exclude.is_some() {
            return Err("device-exclude & device-include are mutually exclusive".to_owned());
        }
        let filter = Filter { exclude, include };
        filter.log(&EXCLUDE, &INCLUDE);
        let is_detailed = setup.flags.get(&DETAILED);
        let uses_netlink = setup.flags.get(&NETLINK);
        Ok(Box::new(NetDev {
            filter,
            columns: match (uses_netlink, is_detailed) {
                (true, true) => &DETAILED_COUNTERS,
                (true, false) => &LEGACY_COUNTERS,
                (false, true) => &DETAILED_COLUMNS,
                (false, false) => &LEGACY_COLUMNS,
            },
            uses_netlink,
            aliases: setup.flags.get(&LABEL_IFALIAS).then(Aliases::default),
            addresses: setup.flags.get(&ADDRESS_INFO).then(Addresses::default),
        }))
    },
);

macro_rules! counters {
    ($($static:ident $name:literal $help:literal;)*) => {
        $(static $static: Desc =
            counter(concat!("node_network_", $name, "_total"), $help, &["device"]);)*
    };
}

counters! {
    RX_PACKETS "receive_packets" "Packets received.";
    TX_PACKETS "transmit_packets" "Packets sent.";
    RX_BYTES "receive_bytes" "Bytes received.";
    TX_BYTES "transmit_bytes" "Bytes sent.";
    RX_ERRORS "receive_errors" "Packets received with faults.";
    TX_ERRORS "transmit_errors" "Packets that could not be sent.";
    RX_DROPPED "receive_dropped" "Packets received and dropped for want of room or of a taker.";
    TX_DROPPED "transmit_dropped" "Packets dropped before they were sent.";
    MULTICAST "multicast" "Multicast packets received.";
    COLLISIONS "collisions" "Collisions while sending.";
    RX_LENGTH_ERRORS "receive_length_errors" "Packets received of a wrong length.";
    RX_OVER_ERRORS "receive_over_errors" "Packets received that overran the ring.";
    RX_CRC_ERRORS "receive_crc_errors" "Packets received with a wrong checksum.";
    RX_FRAME_ERRORS "receive_frame_errors" "Packets received with a wrong alignment.";
    RX_FIFO_ERRORS "receive_fifo_errors" "Packets received that overran the device's queue.";
    RX_MISSED_ERRORS "receive_missed_errors" "Packets that the host was too slow to take.";
    TX_ABORTED_ERRORS "transmit_aborted_errors" "Packets whose sending was given up.";
    TX_CARRIER_ERRORS "transmit_carrier_errors" "Packets not sent as the carrier was lost.";
    TX_FIFO_ERRORS "transmit_fifo_errors" "Packets not sent as the device's queue ran dry.";
    TX_HEARTBEAT_ERRORS "transmit_heartbeat_errors" "Packets sent without a heartbeat after them.";
    TX_WINDOW_ERRORS "transmit_window_errors" "Packets that collided too late to be sent again.";
    RX_COMPRESSED "receive_compressed" "Compressed packets received.";
    TX_COMPRESSED "transmit_compressed" "Compressed packets sent.";
    RX_NOHANDLER "receive_nohandler" "Packets received on a device that takes none.";
    RX_ERRS "receive_errs" "Packets received with faults.";
    TX_ERRS "transmit_errs" "Packets that could not be sent.";
    RX_DROP "receive_drop" "Packets received and dropped, or missed.";
    TX_DROP "transmit_drop" "Packets dropped before they were sent.";
    RX_FIFO "receive_fifo" "Packets received that overran the device's queue.";
    TX_FIFO "transmit_fifo" "Packets not sent as the device's queue ran dry.";
    RX_FRAME "receive_frame" "Packets received of a wrong length, checksum or alignment.";
    RX_MULTICAST "receive_multicast" "Multicast packets received.";
    TX_COLLS "transmit_colls" "Collisions while sending.";
    TX_CARRIER "transmit_carrier" "Packets not sent for a fault on the line.";
}

/// A family and the places of the numbers whose sum it tells.
type Column = (&'static Desc, &'static [usize]);

/// Places in `struct rtnl_link_stats64`.
static DETAILED_COUNTERS: [Column; COUNTERS] = [
    (&RX_PACKETS, &[0]),
    (&TX_PACKETS, &[1]),
    (&RX_BYTES, &[2]),
    (&TX_BYTES, &[3]),
    (&RX_ERRORS, &[4]),
    (&TX_ERRORS, &[5]),
    (&RX_DROPPED, &[6]),
    (&TX_DROPPED, &[7]),
    (&MULTICAST, &[8]),
    (&COLLISIONS, &[9]),
    (&RX_LENGTH_ERRORS, &[10]),
    (&RX_OVER_ERRORS, &[11]),
    (&RX_CRC_ERRORS, &[12]),
    (&RX_FRAME_ERRORS, &[13]),
    (&RX_FIFO_ERRORS, &[14]),
    (&RX_MISSED_ERRORS, &[15]),
    (&TX_ABORTED_ERRORS, &[16]),
    (&TX_CARRIER_ERRORS, &[17]),
    (&TX_FIFO_ERRORS, &[18]),
    (&TX_HEARTBEAT_ERRORS, &[19]),
    (&TX_WINDOW_ERRORS, &[20]),
    (&RX_COMPRESSED, &[21]),
    (&TX_COMPRESSED, &[22]),
    (&RX_NOHANDLER, &[23]),
];

/// The same added up as net/dev does, and the one that net/dev does not have.
static LEGACY_COUNTERS: [Column; 17] = [
    (&RX_PACKETS, &[0]),
    (&TX_PACKETS, &[1]),
    (&RX_BYTES, &[2]),
    (&TX_BYTES, &[3]),
    (&RX_ERRS, &[4]),
    (&TX_ERRS, &[5]),
    (&RX_DROP, &[6, 15]),
    (&TX_DROP, &[7]),
    (&RX_MULTICAST, &[8]),
    (&TX_COLLS, &[9]),
    (&RX_FRAME, &[13, 10, 11, 12]),
    (&RX_FIFO, &[14]),
    (&TX_CARRIER, &[17, 16, 19, 20]),
    (&TX_FIFO, &[18]),
    (&RX_COMPRESSED, &[21]),
    (&TX_COMPRESSED, &[22]),
    (&RX_NOHANDLER, &[23]),
];

/// Columns of net/dev.
static LEGACY_COLUMNS: [Column; COLUMNS] = columns(&RX_ERRS, &RX_DROP, &TX_ERRS, &TX_DROP);
static DETAILED_COLUMNS: [Column; COLUMNS] =
    columns(&RX_ERRORS, &RX_DROPPED, &TX_ERRORS, &TX_DROPPED);

const COLUMNS: usize = 16;

const fn columns(
    rx_errors: &'static Desc,
    rx_dropped: &'static Desc,
    tx_errors: &'static Desc,
    tx_dropped: &'static Desc,
) -> [Column; COLUMNS] {
    [
        (&RX_BYTES, &[0]),
        (&RX_PACKETS, &[1]),
        (rx_errors, &[2]),
        (rx_dropped, &[3]),
        (&RX_FIFO, &[4]),
        (&RX_FRAME, &[5]),
        (&RX_COMPRESSED, &[6]),
        (&RX_MULTICAST, &[7]),
        (&TX_BYTES, &[8]),
        (&TX_PACKETS, &[9]),
        (tx_errors, &[10]),
        (tx_dropped, &[11]),
        (&TX_FIFO, &[12]),
        (&TX_COLLS, &[13]),
        (&TX_CARRIER, &[14]),
        (&TX_COMPRESSED, &[15]),
    ]
}

struct NetDev {
    filter: Filter,
    columns: &'static [Column],
    uses_netlink: bool,
    aliases: Option<Aliases>,
    addresses: Option<Addresses>,
}

impl Collector for NetDev {
    fn collect(&mut self, cx: &mut Cx<'_>, out: &mut Samples) -> Result<()> {
        if self.uses_netlink {
            let links = cx.links()?;
            if let Some(aliases) = &mut self.aliases {
                aliases.read(cx)?;
            }
            for link in links.iter() {
                if let Some(counters) = &link.counters {
                    self.push(link.name.bytes(), counters, out);
                }
            }
        } else {
            out.all_or_nothing(|out| self.read(cx, out))?;
        }
        match &mut self.addresses {
            Some(addresses) => addresses.push(&self.filter, cx, out),
            None => Ok(()),
        }
    }
}

impl NetDev {
    fn read(&mut self, cx: &mut Cx<'_>, out: &mut Samples) -> Result<()> {
        const HEAD: usize = 2;

        if let Some(aliases) = &mut self.aliases {
            aliases.read(cx)?;
        }
        // Inter-|   Receive                            |  Transmit
        //  face |bytes    packets errs drop fifo frame … |bytes    packets …
        //     lo:    1296      16    0    0    0     0 …      1296      16 …
        for (number, line) in cx.proc.read("net/dev", cx.text)?.scan().enumerate() {
            let line = line?;
            if number < HEAD {
                continue;
            }
            let at = memchr::memrchr(b':', line.bytes).ok_or_else(|| line.malformed())?;
            let (name, numbers) = (line.bytes[..at].trim_ascii(), &line.bytes[at + 1..]);
            if name.is_empty() {
                return Err(line.malformed());
            }
            let mut fields = Text { bytes: numbers, ..line }.fields();
            let mut values = [0; COLUMNS];
            for value in &mut values {
                *value = fields.parse()?;
            }
            self.push(name, &values, out);
        }
        Ok(())
    }

    fn push(&self, device: &[u8], numbers: &[u64], out: &mut Samples) {
        if self.filter.drops(device) {
            return;
        }
        let alias = self.aliases.as_ref().and_then(|aliases| aliases.of(device));
        for (desc, places) in self.columns {
            let sum = places.iter().fold(0u64, |sum, &place| sum.wrapping_add(numbers[place]));
            match alias {
                None => out.push(desc, &[&device], sum),
                Some(alias) => {
                    out.push_labelled(desc, &[("device", &device), ("ifalias", &alias)], sum);
                }
            }
        }
    }
}
