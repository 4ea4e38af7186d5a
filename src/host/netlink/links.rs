//! All network links of this network namespace, from one RTM_GETLINK dump a scrape.

mod mirror;
mod source;

use std::time::Instant;

use super::{Message, Payload};
use crate::exposition::LabelValue;
use crate::host::ATTRIBUTE_MAX;
pub use mirror::Mirror;
pub use source::Source;

const RTM_NEWLINK: u16 = 16;

/// `struct ifinfomsg`: family, type, index, flags, change mask.
const IFINFOMSG: usize = 16;

const IFLA_ADDRESS: u16 = 1;
const IFLA_BROADCAST: u16 = 2;
const IFLA_IFNAME: u16 = 3;
const IFLA_MTU: u16 = 4;
const IFLA_LINK: u16 = 5;
const IFLA_STATS: u16 = 7;
const IFLA_MASTER: u16 = 10;
const IFLA_TXQLEN: u16 = 13;
const IFLA_OPERSTATE: u16 = 16;
const IFLA_LINKMODE: u16 = 17;
const IFLA_LINKINFO: u16 = 18;
const IFLA_IFALIAS: u16 = 20;
const IFLA_STATS64: u16 = 23;
const IFLA_GROUP: u16 = 27;
const IFLA_PROMISCUITY: u16 = 30;
const IFLA_CARRIER: u16 = 33;
const IFLA_CARRIER_CHANGES: u16 = 35;
const IFLA_CARRIER_UP_COUNT: u16 = 47;
const IFLA_CARRIER_DOWN_COUNT: u16 = 48;
const IFLA_PROP_LIST: u16 = 52;
const IFLA_ALT_IFNAME: u16 = 53;
const IFLA_ALLMULTI: u16 = 61;

const IFLA_INFO_KIND: u16 = 1;
const IFLA_INFO_SLAVE_KIND: u16 = 4;
const IFLA_INFO_SLAVE_DATA: u16 = 5;
const IFLA_BOND_SLAVE_MII_STATUS: u16 = 2;

pub const IFF_UP: u32 = 0x1;
pub const IFF_LOOPBACK: u32 = 0x8;
pub const IFF_RUNNING: u32 = 0x40;
pub const IFF_PROMISC: u32 = 0x100;
pub const IFF_ALLMULTI: u32 = 0x200;
pub const IFF_LOWER_UP: u32 = 0x1_0000;
pub const IFF_DORMANT: u32 = 0x2_0000;

/// The counters of `struct rtnl_link_stats64`, in its order, without `rx_otherhost_dropped`.
pub const COUNTERS: usize = 24;

/// A name, address or the like, kept in place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Short<const N: usize> {
    bytes: [u8; N],
    length: usize,
}

impl<const N: usize> Default for Short<N> {
    fn default() -> Self {
        Self { bytes: [0; N], length: 0 }
    }
}

impl<const N: usize> Short<N> {
    /// Cut to what fits: the kernel's own limits are `N`.
    pub fn new(bytes: &[u8]) -> Self {
        let mut short = Self { length: bytes.len().min(N), ..Self::default() };
        short.bytes[..short.length].copy_from_slice(&bytes[..short.length]);
        short
    }

    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

/// What drives a link, as far as a collector asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Driver {
    Bond,
    Veth,
    #[default]
    Other,
}

/// One network link.
#[derive(Debug, Clone, Default)]
pub struct Link {
    pub index: u32,
    /// `ARPHRD_…`.
    pub protocol_type: u16,
    /// `IFF_…`, with the volatile ones that the device itself does not keep.
    pub flags: u32,
    pub name: Short<16>,
    pub address: Short<32>,
    pub broadcast: Short<32>,
    pub mtu: Option<u32>,
    /// Told only where it is not the link's own index.
    pub link: Option<u32>,
    pub master: Option<u32>,
    pub transmit_queue_length: Option<u32>,
    pub operstate: Option<u8>,
    pub link_mode: Option<u8>,
    pub group: Option<u32>,
    pub promiscuity: Option<u32>,
    /// Told since Linux 6.0.
    pub allmulti: Option<u32>,
    pub carrier: Option<u8>,
    pub carrier_changes: Option<u32>,
    pub carrier_up_count: Option<u32>,
    pub carrier_down_count: Option<u32>,
    pub counters: Option<[u64; COUNTERS]>,
    pub driver: Driver,
    /// How a bond sees this link of its: 0 is up.
    pub bond_mii_status: Option<u8>,
    /// The dump in which this link of this name was first seen.
    pub appeared: u64,
    /// The dump before which something about this link last changed, or may have.
    pub changed: u64,
    alias: Span,
    altnames: Span,
}

impl Link {
    pub fn is(&self, flag: u32) -> bool {
        self.flags & flag != 0
    }
}

#[derive(Debug, Clone, Copy, Default)]
struct Span {
    start: usize,
    end: usize,
}

/// All links as one dump told them.
#[derive(Debug, Default)]
pub struct Links {
    /// Counts the dumps, from 1.
    pub number: u64,
    /// The dump in which a link last appeared, went or changed its name.
    pub set_changed: u64,
    taken: Option<Instant>,
    /// In the order of their indexes.
    links: Vec<Link>,
    texts: Vec<u8>,
}

impl Links {
    pub fn iter(&self) -> std::slice::Iter<'_, Link> {
        self.links.iter()
    }

    pub fn len(&self) -> usize {
        self.links.len()
    }

    pub fn is_empty(&self) -> bool {
        self.links.is_empty()
    }

    pub fn by_index(&self, index: u32) -> Option<&Link> {
        self.position(index).map(|at| &self.links[at])
    }

    /// Where the link of that index stands in the list.
    pub fn position(&self, index: u32) -> Option<usize> {
        self.links.binary_search_by_key(&index, |link| link.index).ok()
    }

    pub fn alias(&self, link: &Link) -> &[u8] {
        &self.texts[link.alias.start..link.alias.end]
    }

    /// The alias as a reader of sysfs attributes sees it, who takes one read of this size.
    pub fn alias_in_sysfs(&self, link: &Link) -> &[u8] {
        let alias = self.alias(link);
        alias[..alias.len().min(ATTRIBUTE_MAX)].trim_ascii()
    }

    pub fn altnames(&self, link: &Link) -> impl Iterator<Item = &[u8]> {
        // Each is kept with a NUL behind it.
        self.texts[link.altnames.start..link.altnames.end]
            .split(|&byte| byte == 0)
            .filter(|name| !name.is_empty())
    }

    fn clear(&mut self) {
        self.links.clear();
        self.texts.clear();
    }

    fn add(&mut self, message: Message<'_>) {
        let (Some(protocol_type), Some(index), Some(flags)) =
            (message.body.u16_at(2), message.body.u32_at(4), message.body.u32_at(8))
        else {
            return;
        };
        let mut link = Link { index, protocol_type, flags, ..Link::default() };
        for (kind, value) in message.attributes(IFINFOMSG) {
            match kind {
                IFLA_ADDRESS => link.address = Short::new(value.0),
                IFLA_BROADCAST => link.broadcast = Short::new(value.0),
                IFLA_IFNAME => link.name = Short::new(value.text()),
                IFLA_MTU => link.mtu = value.u32(),
                IFLA_LINK => link.link = value.u32(),
                IFLA_MASTER => link.master = value.u32(),
                IFLA_TXQLEN => link.transmit_queue_length = value.u32(),
                IFLA_OPERSTATE => link.operstate = value.u8(),
                IFLA_LINKMODE => link.link_mode = value.u8(),
                IFLA_LINKINFO => read_link_info(&mut link, value),
                IFLA_IFALIAS => link.alias = self.keep(value.text()),
                IFLA_GROUP => link.group = value.u32(),
                IFLA_PROMISCUITY => link.promiscuity = value.u32(),
                IFLA_ALLMULTI => link.allmulti = value.u32(),
                IFLA_CARRIER => link.carrier = value.u8(),
                IFLA_CARRIER_CHANGES => link.carrier_changes = value.u32(),
                IFLA_CARRIER_UP_COUNT => link.carrier_up_count = value.u32(),
                IFLA_CARRIER_DOWN_COUNT => link.carrier_down_count = value.u32(),
                IFLA_PROP_LIST => link.altnames = self.keep_altnames(value),
                IFLA_STATS64 => link.counters = counters(|at| value.u64_at(at * 8)),
                // The 32-bit counters stand before the 64-bit ones, if those are there at all.
                IFLA_STATS if link.counters.is_none() => {
                    link.counters = counters(|at| value.u32_at(at * 4).map(u64::from));
                }
                _ => {}
            }
        }
        self.links.push(link);
    }

    fn keep(&mut self, text: &[u8]) -> Span {
        let start = self.texts.len();
        self.texts.extend_from_slice(text);
        Span { start, end: self.texts.len() }
    }

    fn keep_altnames(&mut self, properties: Payload<'_>) -> Span {
        let start = self.texts.len();
        for (kind, value) in properties.attributes() {
            if kind == IFLA_ALT_IFNAME {
                self.texts.extend_from_slice(value.text());
                self.texts.push(0);
            }
        }
        Span { start, end: self.texts.len() }
    }

    /// Puts the links in order and takes over from the dump before what is known about them.
    fn settle(&mut self, before: &Links) {
        self.links.sort_unstable_by_key(|link| link.index);
        // A disturbed dump may list a link twice.
        self.links.dedup_by_key(|link| link.index);
        let mut is_same_set = self.links.len() == before.links.len();
        for link in &mut self.links {
            let known = before.by_index(link.index).filter(|known| known.name == link.name);
            is_same_set &= known.is_some();
            link.appeared = known.map_or(self.number, |known| known.appeared);
            link.changed = known
                .filter(|known| known.flags == link.flags && known.address == link.address)
                .map_or(self.number, |known| known.changed);
        }
        self.set_changed = if is_same_set { before.set_changed } else { self.number };
    }
}

/// The counters as `read` finds them, by their place; kernels before 4.6 know one less.
fn counters(read: impl Fn(usize) -> Option<u64>) -> Option<[u64; COUNTERS]> {
    const EVER_KNOWN: usize = 23;
    read(EVER_KNOWN - 1)?;
    Some(std::array::from_fn(|at| read(at).unwrap_or(0)))
}

fn read_link_info(link: &mut Link, info: Payload<'_>) {
    let mut is_in_bond = false;
    for (kind, value) in info.attributes() {
        match kind {
            IFLA_INFO_KIND => {
                link.driver = match value.text() {
                    b"bond" => Driver::Bond,
                    b"veth" => Driver::Veth,
                    _ => Driver::Other,
                };
            }
            IFLA_INFO_SLAVE_KIND => is_in_bond = value.text() == b"bond",
            IFLA_INFO_SLAVE_DATA if is_in_bond => {
                let mut data = value.attributes();
                link.bond_mii_status = data
                    .find(|&(kind, _)| kind == IFLA_BOND_SLAVE_MII_STATUS)
                    .and_then(|(_, value)| value.u8());
            }
            _ => {}
        }
    }
}

/// A hardware address as sysfs shows it: `02:fc:00:00:00:01`.
pub struct ColonHex<'a>(pub &'a [u8]);

impl LabelValue for ColonHex<'_> {
    fn write(&self, out: &mut Vec<u8>) {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        for (at, byte) in self.0.iter().enumerate() {
            if at > 0 {
                out.push(b':');
            }
            out.push(DIGITS[usize::from(byte >> 4)]);
            out.push(DIGITS[usize::from(byte & 0xf)]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Messages, push_attribute};
    use super::*;

    /// A message as the kernel writes it.
    fn message(index: u32, name: &str, more: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
        let mut body = vec![0; IFINFOMSG];
        body[4..8].copy_from_slice(&index.to_ne_bytes());
        push_attribute(&mut body, IFLA_IFNAME, format!("{name}\0").as_bytes());
        more(&mut body);
        let mut message = u32::try_from(16 + body.len()).unwrap().to_ne_bytes().to_vec();
        message.extend_from_slice(&RTM_NEWLINK.to_ne_bytes());
        message.resize(16, 0);
        message.extend_from_slice(&body);
        message
    }

    fn links(number: u64, before: &Links, messages: &[Vec<u8>]) -> Links {
        let mut links = Links { number, ..Links::default() };
        for message in messages {
            Messages(message).for_each(|message| links.add(message));
        }
        links.settle(before);
        links
    }

    fn nested(outer: u16, parts: &[(u16, &[u8])]) -> impl FnOnce(&mut Vec<u8>) {
        let mut inner = Vec::new();
        for (kind, payload) in parts {
            push_attribute(&mut inner, *kind, payload);
        }
        move |body| push_attribute(body, outer, &inner)
    }

    #[test]
    fn a_bond_and_its_links() {
        let mut status = Vec::new();
        push_attribute(&mut status, 1, &[1]);
        push_attribute(&mut status, IFLA_BOND_SLAVE_MII_STATUS, &[2]);
        let slave = [
            (IFLA_INFO_KIND, &b"veth\0"[..]),
            (IFLA_INFO_SLAVE_KIND, b"bond\0"),
            (IFLA_INFO_SLAVE_DATA, &status),
        ];
        let port = [(IFLA_INFO_SLAVE_KIND, &b"bridge\0"[..]), (IFLA_INFO_SLAVE_DATA, &status)];
        let links = links(
            1,
            &Links::default(),
            &[
                message(9, "eno1", nested(IFLA_LINKINFO, &slave)),
                message(3, "bond0", nested(IFLA_LINKINFO, &[(IFLA_INFO_KIND, b"bond\0")])),
                message(5, "port1", nested(IFLA_LINKINFO, &port)),
            ],
        );
        let seen: Vec<_> =
            links.iter().map(|link| (link.index, link.driver, link.bond_mii_status)).collect();
        assert_eq!(
            seen,
            [(3, Driver::Bond, None), (5, Driver::Other, None), (9, Driver::Veth, Some(2))]
        );
        assert_eq!(links.by_index(9).unwrap().name.bytes(), b"eno1");
        assert!(links.by_index(4).is_none());
    }

    #[test]
    fn aliases_and_further_names() {
        let alias = "x".repeat(200);
        let names =
            [(IFLA_ALT_IFNAME, &b"first\0"[..]), (9, b"no\0"), (IFLA_ALT_IFNAME, b"second\0")];
        let links = links(
            1,
            &Links::default(),
            &[message(1, "lo", |body| {
                push_attribute(body, IFLA_IFALIAS, alias.as_bytes());
                nested(IFLA_PROP_LIST, &names)(body);
            })],
        );
        let link = links.by_index(1).unwrap();
        assert_eq!(links.alias(link), alias.as_bytes());
        assert_eq!(links.alias_in_sysfs(link), "x".repeat(128).as_bytes());
        assert_eq!(links.altnames(link).collect::<Vec<_>>(), [&b"first"[..], b"second"]);
    }

    #[test]
    fn counters_old_and_new() {
        let wide: Vec<u8> = (1..=25u64).flat_map(u64::to_ne_bytes).collect();
        let narrow: Vec<u8> = (1..=23u32).flat_map(u32::to_ne_bytes).collect();
        for (kind, payload, last) in [
            (IFLA_STATS64, &wide[..], Some(24)),
            (IFLA_STATS64, &wide[..184], Some(0)),
            (IFLA_STATS64, &wide[..176], None),
            (IFLA_STATS, &narrow, Some(0)),
        ] {
            let message = message(1, "lo", |body| push_attribute(body, kind, payload));
            let links = links(1, &Links::default(), &[message]);
            let counters = links.by_index(1).unwrap().counters;
            assert_eq!(counters.map(|counters| (counters[0], counters[23])), last.map(|n| (1, n)));
        }
    }

    #[test]
    fn what_changed_is_told_by_number() {
        let plain = |index, name: &str| message(index, name, |_| {});
        let first = links(1, &Links::default(), &[plain(1, "lo"), plain(2, "a"), plain(2, "a")]);
        let address = message(2, "a", |body| push_attribute(body, IFLA_ADDRESS, &[2, 0]));
        let second = links(2, &first, &[plain(1, "lo"), address.clone()]);
        let third = links(3, &second, &[plain(1, "lo"), address, plain(7, "b")]);
        let fourth = links(4, &third, &[plain(1, "lo"), plain(7, "c")]);
        let told = |links: &Links| -> (u64, Vec<(u64, u64)>) {
            (links.set_changed, links.iter().map(|link| (link.appeared, link.changed)).collect())
        };
        assert_eq!(told(&first), (1, vec![(1, 1), (1, 1)]));
        assert_eq!(told(&second), (1, vec![(1, 1), (1, 2)]));
        assert_eq!(told(&third), (3, vec![(1, 1), (1, 2), (3, 3)]));
        assert_eq!(told(&fourth), (4, vec![(1, 1), (4, 4)]));
    }
}
