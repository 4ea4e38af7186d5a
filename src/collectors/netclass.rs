//! Properties of network devices: what `/sys/class/net` says, read from rtnetlink where that says
//! the same.
//!
//! Reading one sysfs attribute takes as long as asking rtnetlink for a whole link, so on the live
//! host the default semantics come from the link dump that the scrape has anyway; see [`live`] for
//! what the dump lacks. The files themselves are read in a fixture tree, and where the sysfs belongs
//! to another network namespace.

mod files;
mod live;
mod rtnl;

use crate::collector::prelude::*;
use crate::number;
use files::Files;
use live::Live;
use rtnl::Rtnl;

static IGNORED: Flag<Option<Pattern>> =
    flags::pattern("collector.netclass.ignored-devices", "^$", "Devices to leave out.");
static IGNORE_INVALID_SPEED: Flag<bool> = flags::switch(
    "collector.netclass.ignore-invalid-speed",
    false,
    "Do not tell the speed of devices that do not know theirs.",
);
static NETLINK: Flag<bool> = flags::switch(
    "collector.netclass.netlink",
    false,
    "Tell what netlink says: alternative names, and no administrative state.",
);
static WITH_STATS: Flag<bool> = flags::switch(
    "collector.netclass_rtnl.with-stats",
    false,
    "Tell the traffic counters, too; in place of the collector netdev, with netlink only.",
);

pub static SPEC: Spec = Spec::new(
    "netclass",
    On,
    "rtnetlink links, /sys/class/net",
    &[&IGNORED, &IGNORE_INVALID_SPEED, &NETLINK, &WITH_STATS],
    |setup| {
        setup.need_sys()?;
        let ignored = setup.flags.get(&IGNORED);
        // An empty pattern is found in every name.
        let filter = Filter { exclude: Some(ignored.map_or_else(|| Pattern::new(""), Ok)?), include: None };
        if setup.flags.get(&NETLINK) {
            let with_stats = setup.flags.get(&WITH_STATS);
            return Ok(Box::new(Rtnl::new(filter, with_stats)));
        }
        Ok(Box::new(NetClass {
            filter,
            ignores_invalid_speed: setup.flags.get(&IGNORE_INVALID_SPEED),
            live: Live::default(),
            files: Files::default(),
        }))
    },
);

static UP: Desc = gauge(
    "node_network_up",
    "1 if the device's operational state is up, else 0.",
    &["device"],
);

static INFO: Desc = gauge(
    "node_network_info",
    "1 for each device, with its addresses and states as labels.",
    &["address", "adminstate", "broadcast", "device", "duplex", "ifalias", "operstate"],
);

static SPEED: Desc = gauge(
    "node_network_speed_bytes",
    "Speed of the line in bytes a second; negative if the device does not know it.",
    &["device"],
);

/// What sysfs says of one device.
#[derive(Debug, Default)]
struct Device {
    address: Vec<u8>,
    broadcast: Vec<u8>,
    duplex: Vec<u8>,
    operstate: Vec<u8>,
    ifalias: Vec<u8>,
    numbers: Numbers,
}

/// Attributes that are numbers, as far as the device has them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Numbers {
    addr_assign_type: Option<i64>,
    carrier: Option<i64>,
    carrier_changes: Option<i64>,
    carrier_up_count: Option<i64>,
    carrier_down_count: Option<i64>,
    dev_id: Option<i64>,
    dormant: Option<i64>,
    flags: Option<i64>,
    ifindex: Option<i64>,
    iflink: Option<i64>,
    link_mode: Option<i64>,
    mtu: Option<i64>,
    name_assign_type: Option<i64>,
    netdev_group: Option<i64>,
    /// In Mbit/s, which is not how it is told.
    speed: Option<i64>,
    tx_queue_len: Option<i64>,
    protocol_type: Option<i64>,
}

/// An attribute's file name, family and place.
struct Attribute {
    file: &'static str,
    desc: Desc,
    place: fn(&mut Numbers) -> &mut Option<i64>,
}

macro_rules! attributes {
    ($($file:literal $make:ident $name:literal $help:literal $field:ident;)*) => {
        static ATTRIBUTES: &[Attribute] = &[$(Attribute {
            file: $file,
            desc: $make(concat!("node_network_", $name), $help, &["device"]),
            place: |numbers| &mut numbers.$field,
        }),*];
    };
}

attributes! {
    "addr_assign_type" gauge "address_assign_type"
        "Where the address comes from: 0 the hardware, 1 chance, 2 another device, 3 a user."
        addr_assign_type;
    "carrier" gauge "carrier" "1 if the device has a carrier." carrier;
    "carrier_changes" counter "carrier_changes_total"
        "How often the carrier came or went." carrier_changes;
    "carrier_up_count" counter "carrier_up_changes_total"
        "How often the carrier came." carrier_up_count;
    "carrier_down_count" counter "carrier_down_changes_total"
        "How often the carrier went." carrier_down_count;
    "dev_id" gauge "device_id"
        "Number that tells devices of one address apart." dev_id;
    "dormant" gauge "dormant" "1 if the device waits for something before it is up." dormant;
    "flags" gauge "flags" "Flags of the device, IFF_UP and so on, as one number." flags;
    "ifindex" gauge "iface_id" "The kernel's number of the device." ifindex;
    "iflink" gauge "iface_link" "Number of the device that this one stands on." iflink;
    "link_mode" gauge "iface_link_mode" "Link mode: 0 by default, 1 dormant." link_mode;
    "mtu" gauge "mtu_bytes" "Largest packet in bytes." mtu;
    "name_assign_type" gauge "name_assign_type"
        "Where the name comes from: 1 the kernel, 2 predicted, 3 a user, 4 renamed."
        name_assign_type;
    "netdev_group" gauge "net_dev_group" "Group of devices that this one is in." netdev_group;
    "tx_queue_len" gauge "transmit_queue_length"
        "Packets that may wait to be sent." tx_queue_len;
    "type" gauge "protocol_type" "Type of the hardware, ARPHRD_ETHER and so on." protocol_type;
}

/// The semantics of the default: what sysfs says.
struct NetClass {
    filter: Filter,
    ignores_invalid_speed: bool,
    live: Live,
    files: Files,
}

impl Collector for NetClass {
    fn collect(&mut self, cx: &mut Cx<'_>, out: &mut Samples) -> Result<()> {
        let Self { filter, ignores_invalid_speed, live, files } = self;
        let mut tell = |name: &[u8], device: &mut Device, out: &mut Samples| {
            device.push(name, *ignores_invalid_speed, out);
        };
        match live.mirror.links(cx)? {
            Some(links) => live.tell(&links, filter, cx, out, &mut tell),
            None => files.tell(filter, cx, out, &mut tell),
        }
    }
}

impl Device {
    fn clear(&mut self) {
        let Self { address, broadcast, duplex, operstate, ifalias, numbers } = self;
        for text in [address, broadcast, duplex, operstate, ifalias] {
            text.clear();
        }
        *numbers = Numbers::default();
    }

    fn push(&mut self, name: &[u8], ignores_invalid_speed: bool, out: &mut Samples) {
        let adminstate = match self.numbers.flags {
            None => "unknown",
            Some(flags) if flags & 1 == 1 => "up",
            Some(_) => "down",
        };
        out.push(&UP, &[&name], self.operstate == b"up");
        out.push(
            &INFO,
            &[
                &self.address,
                &adminstate,
                &self.broadcast,
                &name,
                &self.duplex,
                &self.ifalias,
                &self.operstate,
            ],
            1.0,
        );
        for attribute in ATTRIBUTES {
            if let Some(value) = *(attribute.place)(&mut self.numbers) {
                out.push(&attribute.desc, &[&name], value);
            }
        }
        if let Some(speed) = self.numbers.speed.filter(|&n| n >= 0 || !ignores_invalid_speed) {
            out.push(&SPEED, &[&name], speed.wrapping_mul(1_000_000) / 8);
        }
    }
}

/// A number as sysfs writes it; what is none counts as 0, as in the original.
fn number(text: &[u8]) -> i64 {
    number::int_any_base(text).unwrap_or(0)
}

/// Whether an attribute that was read with this outcome is as good as not there.
pub(super) fn is_without_value(errno: Errno) -> bool {
    // What a device does not have, a down one does not know, or a user may not see.
    matches!(
        errno,
        Errno::NOENT | Errno::ACCESS | Errno::PERM | Errno::OPNOTSUPP | Errno::INVAL
    )
}
