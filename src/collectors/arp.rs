//! Neighbours in the ARP table by device, from rtnetlink or `/proc/net/arp`.

use crate::collector::prelude::*;
use crate::collector::tally::Tally;
use crate::host::netlink::links::Links;
use crate::host::netlink::{Message, Netlink, ROUTE};
use crate::number;

static INCLUDE: Flag<Option<Pattern>> = flags::pattern(
    "collector.arp.device-include",
    "",
    "Devices whose neighbours are counted; no others are.",
);
static EXCLUDE: Flag<Option<Pattern>> = flags::pattern(
    "collector.arp.device-exclude",
    "",
    "Devices whose neighbours are not counted.",
);
static NETLINK: Flag<bool> = flags::switch(
    "collector.arp.netlink",
    true,
    "Ask the kernel over netlink rather than read net/arp below the procfs.",
);

pub static SPEC: Spec = Spec::new(
    "arp",
    On,
    "rtnetlink neighbours, or /proc/net/arp",
    &[&INCLUDE, &EXCLUDE, &NETLINK],
    |setup| {
        setup.need_proc()?;
        let filter = Filter::from_flags(setup.flags, &EXCLUDE, &INCLUDE);
        Ok(match setup.flags.get(&NETLINK) {
            true => {
                let netlink = Netlink::new(ROUTE);
                Box::new(Neighbours { filter, netlink, entries: Vec::new() })
            }
            false => Box::new(Table { filter, devices: Tally::default() }),
        })
    },
);

static ENTRIES: Desc = gauge(
    "node_arp_entries",
    "Neighbours in the ARP table, whatever their state but NOARP.",
    &["device"],
);

const RTM_NEWNEIGH: u16 = 28;
const RTM_GETNEIGH: u16 = 30;

/// `struct ndmsg`: family, padding, interface index, state, flags, type.
const NDMSG: usize = 12;
const AF_INET: u8 = 2;
/// Entries that are no neighbours: broadcast, multicast, loopback.
const NUD_NOARP: u16 = 0x40;

/// The table as rtnetlink lists it.
struct Neighbours {
    filter: Filter,
    netlink: Netlink,
    /// By place in the list of links.
    entries: Vec<u32>,
}

impl Collector for Neighbours {
    fn collect(&mut self, cx: &mut Cx<'_>, out: &mut Samples) -> Result<()> {
        let Self { filter, netlink, entries } = self;
        let links = cx.links()?;
        let mut request = [0; NDMSG];
        request[0] = AF_INET;
        netlink
            .dump(RTM_GETNEIGH, &request, cx.give_up_at(), |message| {
                match message {
                    None => {
                        entries.clear();
                        entries.resize(links.len(), 0);
                    }
                    Some(message) => {
                        if let Some(at) = place(message, &links) {
                            entries[at] += 1;
                        }
                    }
                }
                Ok(())
            })
            .map_err(|errno| Error::io("RTM_GETNEIGH", errno))?;
        for (link, &entries) in links.iter().zip(&*entries) {
            let name = link.name.bytes();
            if entries > 0 && !filter.drops(name) {
                out.push(&ENTRIES, &[&name], entries);
            }
        }
        Ok(())
    }
}

/// Where in the list of links the neighbour's device stands, if it counts.
fn place(message: Message<'_>, links: &Links) -> Option<usize> {
    let body = message.body;
    let counts = message.kind == RTM_NEWNEIGH
        && body.u8_at(0) == Some(AF_INET)
        && body.u16_at(8).is_some_and(|state| state & NUD_NOARP == 0);
    // A device that came after the links were listed is left for the next scrape.
    links.position(body.u32_at(4).filter(|_| counts)?)
}

/// The table as procfs shows it.
struct Table {
    filter: Filter,
    devices: Tally,
}

impl Collector for Table {
    fn collect(&mut self, cx: &mut Cx<'_>, out: &mut Samples) -> Result<()> {
        self.devices.clear();
        // IP address       HW type     Flags       HW address            Mask     Device
        // 192.0.2.1        0x1         0x2         02:00:5e:00:53:01     *        eth0
        for line in cx.proc.read("net/arp", cx.text)?.lines() {
            let mut fields = line.fields();
            let words: [Option<&[u8]>; 6] =
                std::array::from_fn(|_| fields.next().map(|text| text.bytes));
            let more = fields.count();
            match (words, more) {
                ([None, ..], _) | ([.., Some(_)], 3) => {}
                ([_, _, Some(flags), Some(address), _, Some(device)], 0) => {
                    let is_flags = number::uint_any_base(flags).is_some_and(|n| n <= 0xff);
                    if !is_flags || !is_hardware_address(address) {
                        return Err(line.malformed());
                    }
                    self.devices.count(device);
                }
                _ => return Err(line.malformed()),
            }
        }
        for (device, entries) in self.devices.iter() {
            if !self.filter.drops(device) {
                out.push(&ENTRIES, &[&device], entries);
            }
        }
        Ok(())
    }
}

/// 6, 8 or 20 bytes as `02:00:5e:00:53:01`, with dashes, or as `0200.5e00.5301`.
fn is_hardware_address(text: &[u8]) -> bool {
    let is_in_groups = |separator: u8, digits: usize| {
        text.split(|&byte| byte == separator)
            .all(|group| group.len() == digits && group.iter().all(u8::is_ascii_hexdigit))
    };
    match text.get(2) {
        Some(&separator @ (b':' | b'-')) => {
            is_in_groups(separator, 2) && [6, 8, 20].contains(&text.len().div_ceil(3))
        }
        _ => is_in_groups(b'.', 4) && [6, 8, 20].contains(&(text.len().div_ceil(5) * 2)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hardware_addresses() {
        for (text, is_one) in [
            ("02:00:5e:00:53:01", true),
            ("02-00-5E-00-53-01", true),
            ("0200.5e00.5301", true),
            ("02:00:5e:00:53:00:00:01", true),
            ("00:00:00:00:fe:80:00:00:00:00:00:00:02:00:5e:10:00:00:00:01", true),
            ("02:00:5e:00:53", false),
            ("02:00:5e:00:53:0g", false),
            ("02:00:5e:00-53:01", false),
            ("02:00:5e:00:53:01:", false),
            ("0200.5e00", false),
            ("*", false),
            ("", false),
        ] {
            assert_eq!(is_hardware_address(text.as_bytes()), is_one, "{text}");
        }
    }
}
