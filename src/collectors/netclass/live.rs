//! Network devices as the link dump says, in the words of sysfs.
//!
//! What the dump lacks, and how it is kept fresh:
//!
//! * `name_assign_type`, `addr_assign_type`: change with a name or an address, and the kernel
//!   announces both to all listeners, even where the new value is the old one. Read when a link is
//!   new or was announced.
//! * `dev_id`: a property of the hardware. Read with them.
//! * `speed`, `duplex`: change without a word, such as a bond's when one of its links does, or a
//!   virtual machine's when its host says so. Read in every scrape from descriptors kept open, but
//!   only while the device is up: else sysfs has no value. A veth's are constants of its driver, and
//!   the loopback has none: there may be hundreds of the former, so both are read when announced.
//! * `flags`: the dump shows the device's own flags but for those that count their users, and these
//!   counts it tells as well. Before Linux 6.0 one of them is missing, and the file is read.

use std::collections::HashMap;

use super::{Device, is_without_value, number};
use crate::collector::prelude::*;
use crate::host::Attribute;
use crate::host::netlink::links::{
    ColonHex, Driver, IFF_ALLMULTI, IFF_DORMANT, IFF_LOOPBACK, IFF_LOWER_UP, IFF_PROMISC,
    IFF_RUNNING, IFF_UP, Link, Links, Mirror, Short,
};

/// sysfs's words for `IF_OPER_…`, in their order.
pub(super) const OPERSTATES: [&str; 7] =
    ["unknown", "notpresent", "down", "lowerlayerdown", "testing", "dormant", "up"];

pub(super) struct Live {
    pub(super) mirror: Mirror,
    kept: Kept,
    device: Device,
}

impl Default for Live {
    fn default() -> Self {
        let kept = Kept::new(Reads::Everything);
        Self { mirror: Mirror::default(), kept, device: Device::default() }
    }
}

impl Live {
    pub(super) fn tell(
        &mut self,
        links: &Links,
        filter: &Filter,
        cx: &mut Cx<'_>,
        out: &mut Samples,
        tell: &mut impl FnMut(&[u8], &mut Device, &mut Samples),
    ) -> Result<()> {
        let Self { kept, device, .. } = self;
        kept.forget_gone(links);
        out.all_or_nothing(|out| {
            for link in links.iter().filter(|link| !filter.drops(link.name.bytes())) {
                let known = kept.of(link, links, cx.sys, cx.text)?;
                device.clear();
                describe(link, links, device);
                known.complete(link, device, cx)?;
                tell(link.name.bytes(), device, out);
            }
            Ok(())
        })
    }
}

/// What the dump has.
fn describe(link: &Link, links: &Links, device: &mut Device) {
    ColonHex(link.address.bytes()).write(&mut device.address);
    ColonHex(link.broadcast.bytes()).write(&mut device.broadcast);
    let operstate = link.operstate.and_then(|state| OPERSTATES.get(usize::from(state)));
    device.operstate.extend_from_slice(operstate.unwrap_or(&"").as_bytes());
    device.ifalias.extend_from_slice(links.alias_in_sysfs(link));

    // sysfs writes these with %d, whatever their type.
    let signed = |value: Option<u32>| value.map(|value| i64::from(value.cast_signed()));
    let is_up = link.is(IFF_UP);
    let numbers = &mut device.numbers;
    numbers.carrier = link.carrier.filter(|_| is_up).map(i64::from);
    numbers.carrier_changes = signed(link.carrier_changes);
    numbers.carrier_up_count = signed(link.carrier_up_count);
    numbers.carrier_down_count = signed(link.carrier_down_count);
    numbers.dormant = is_up.then(|| i64::from(link.is(IFF_DORMANT)));
    numbers.flags = own_flags(link).map(i64::from);
    numbers.ifindex = Some(i64::from(link.index));
    numbers.iflink = signed(link.link.or(Some(link.index)));
    numbers.link_mode = link.link_mode.map(i64::from);
    numbers.mtu = signed(link.mtu);
    numbers.netdev_group = signed(link.group);
    numbers.tx_queue_len = signed(link.transmit_queue_length);
    numbers.protocol_type = Some(i64::from(link.protocol_type));
}

/// The flags that the device itself holds: without those that netlink works out, and with those
/// that netlink shows only where a user set them.
fn own_flags(link: &Link) -> Option<u32> {
    const WORKED_OUT: u32 = IFF_RUNNING | IFF_LOWER_UP | IFF_DORMANT | IFF_PROMISC | IFF_ALLMULTI;
    let mut flags = link.flags & !WORKED_OUT;
    if link.promiscuity? > 0 {
        flags |= IFF_PROMISC;
    }
    if link.allmulti? > 0 {
        flags |= IFF_ALLMULTI;
    }
    Some(flags)
}

/// How much of what netlink lacks is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reads {
    Everything,
    /// Where names, addresses and numbers come from.
    Assignments,
}

/// What sysfs said of links, by their index.
pub(super) struct Kept {
    reads: Reads,
    known: HashMap<u32, Known>,
    set: u64,
    path: String,
}

impl Kept {
    pub(super) fn new(reads: Reads) -> Self {
        Self { reads, known: HashMap::new(), set: 0, path: String::new() }
    }

    pub(super) fn forget_gone(&mut self, links: &Links) {
        if self.set < links.set_changed {
            self.set = links.number;
            self.known.retain(|&index, _| links.by_index(index).is_some());
        }
    }

    /// What is known of a link, read anew if it was announced since.
    pub(super) fn of(
        &mut self,
        link: &Link,
        links: &Links,
        sys: &Root,
        text: &mut Vec<u8>,
    ) -> Result<&Known> {
        let known = self.known.entry(link.index).or_default();
        if known.read_at < link.changed {
            *known = Known::default();
            // A device that is about to vanish or to change its name is asked again next time.
            if let Some(directory) = directory_of(link, sys, &mut self.path, text)? {
                known.read_assignments(&directory, text)?;
                if self.reads == Reads::Everything {
                    known.read_settings(&directory, link, text)?;
                }
                known.read_at = links.number;
            }
        }
        Ok(known)
    }
}

/// The link's directory, if the one of its name is still its own.
fn directory_of(
    link: &Link,
    sys: &Root,
    path: &mut String,
    text: &mut Vec<u8>,
) -> Result<Option<Root>> {
    let Ok(name) = std::str::from_utf8(link.name.bytes()) else { return Ok(None) };
    join(path, &["class/net/", name]);
    let directory = match sys.below(path) {
        Ok(directory) => directory,
        Err(errno) if is_without_value(errno) => return Ok(None),
        Err(errno) => return Err(Error::io(path, errno)),
    };
    let index = attribute(&directory, "ifindex", text)?.map(number);
    Ok(Some(directory).filter(|_| index == Some(i64::from(link.index))))
}

#[derive(Default)]
pub(super) struct Known {
    /// The dump after which it was read.
    read_at: u64,
    pub(super) addr_assign_type: Option<i64>,
    pub(super) dev_id: Option<i64>,
    pub(super) name_assign_type: Option<i64>,
    speed: Setting,
    duplex: Setting,
    flags: Setting,
}

/// An attribute that the dump does not have and that may change at any time.
#[derive(Default)]
enum Setting {
    #[default]
    Absent,
    /// Only seems so.
    Constant(Short<16>),
    Open(Attribute),
    /// Too many files are open.
    Closed,
}

impl Known {
    fn read_assignments(&mut self, directory: &Root, text: &mut Vec<u8>) -> Result<()> {
        for (file, place) in [
            ("addr_assign_type", &mut self.addr_assign_type),
            ("dev_id", &mut self.dev_id),
            ("name_assign_type", &mut self.name_assign_type),
        ] {
            *place = attribute(directory, file, text)?.map(number);
        }
        Ok(())
    }

    fn read_settings(&mut self, directory: &Root, link: &Link, text: &mut Vec<u8>) -> Result<()> {
        if link.driver == Driver::Veth || link.is(IFF_LOOPBACK) {
            self.speed = Setting::constant(directory, "speed", text)?;
            self.duplex = Setting::constant(directory, "duplex", text)?;
        } else {
            self.speed = Setting::open(directory, "speed")?;
            self.duplex = Setting::open(directory, "duplex")?;
        }
        if own_flags(link).is_none() {
            self.flags = Setting::open(directory, "flags")?;
        }
        Ok(())
    }

    /// Adds what the dump lacks.
    fn complete(&self, link: &Link, device: &mut Device, cx: &mut Cx<'_>) -> Result<()> {
        let numbers = &mut device.numbers;
        numbers.addr_assign_type = self.addr_assign_type;
        numbers.dev_id = self.dev_id;
        numbers.name_assign_type = self.name_assign_type;
        if link.is(IFF_UP) {
            numbers.speed = self.speed.read(link, "/speed", cx)?.map(number);
            let duplex = self.duplex.read(link, "/duplex", cx)?;
            device.duplex.extend_from_slice(duplex.unwrap_or_default());
        }
        if numbers.flags.is_none() {
            numbers.flags = self.flags.read(link, "/flags", cx)?.map(number);
        }
        Ok(())
    }
}

impl Setting {
    fn constant(directory: &Root, file: &str, text: &mut Vec<u8>) -> Result<Self> {
        let value = attribute(directory, file, text)?;
        Ok(value.map_or(Setting::Absent, |value| Setting::Constant(Short::new(value))))
    }

    fn open(directory: &Root, file: &str) -> Result<Self> {
        match directory.keep_attribute(file) {
            Ok(Some(attribute)) => Ok(Setting::Open(attribute)),
            Ok(None) => Ok(Setting::Closed),
            Err(errno) if is_without_value(errno) => Ok(Setting::Absent),
            Err(errno) => Err(Error::io(file, errno)),
        }
    }

    fn read<'t>(
        &'t self,
        link: &Link,
        file: &str,
        cx: &'t mut Cx<'_>,
    ) -> Result<Option<&'t [u8]>> {
        let outcome = match self {
            Setting::Absent => return Ok(None),
            Setting::Constant(value) => return Ok(Some(value.bytes())),
            Setting::Open(attribute) => attribute.read(cx.text),
            Setting::Closed => {
                let name = String::from_utf8_lossy(link.name.bytes());
                join(cx.path, &["class/net/", &name, file]);
                cx.sys.attribute_once(cx.path, cx.text).map(|text| text.bytes)
            }
        };
        match outcome {
            Ok(value) => Ok(Some(value)),
            Err(errno) if is_without_value(errno) || errno == Errno::NODEV => Ok(None),
            Err(errno) => Err(Error::io(file, errno)),
        }
    }
}

fn attribute<'t>(
    directory: &Root,
    file: &'t str,
    text: &'t mut Vec<u8>,
) -> Result<Option<&'t [u8]>> {
    match directory.attribute_once(file, text) {
        Ok(value) => Ok(Some(value.bytes)),
        Err(errno) if is_without_value(errno) || errno == Errno::NODEV => Ok(None),
        Err(errno) => Err(Error::io(file, errno)),
    }
}
