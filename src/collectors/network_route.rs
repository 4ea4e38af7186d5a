//! Routes of all tables, from rtnetlink.

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::collector::prelude::*;
use crate::host::netlink::links::Links;
use crate::host::netlink::{Attributes, Message, Netlink, Payload, ROUTE};

pub static SPEC: Spec = Spec::new("network_route", Off, "rtnetlink routes", &[], |_| {
    let netlink = Netlink::new(ROUTE);
    Ok(Box::new(Routes { netlink, hops: Vec::new(), counts: Vec::new() }))
});

static INFO: Desc = gauge(
    "node_network_route_info",
    "A route, or one next hop of a route with several, with a weight then; always 1.",
    &["dest", "device", "gw", "priority", "proto", "src", "weight"],
);
static ROUTES: Desc =
    gauge("node_network_routes", "Routes and next hops through the device.", &["device"]);

struct Routes {
    netlink: Netlink,
    hops: Vec<Hop>,
    /// By place in the list of links; the last is for those through no device.
    counts: Vec<u32>,
}

/// A way that a route leads.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Hop {
    destination: Option<Address>,
    prefix_length: u8,
    source: Option<Address>,
    protocol: u8,
    priority: u32,
    gateway: Option<Address>,
    /// The interface's index, 0 for none.
    device: u32,
    /// Only where the route has several ways.
    weight: Option<u16>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Address {
    V4(Ipv4Addr),
    V6(Ipv6Addr),
}

impl Collector for Routes {
    fn collect(&mut self, cx: &mut Cx<'_>, out: &mut Samples) -> Result<()> {
        const RTM_GETROUTE: u16 = 26;

        let Self { netlink, hops, counts } = self;
        let links = cx.links()?;
        netlink
            .dump(RTM_GETROUTE, &[0; RTMSG], cx.give_up_at(), |message| {
                match message {
                    None => hops.clear(),
                    Some(message) => read(message, hops).ok_or(Errno::BADMSG)?,
                }
                Ok(())
            })
            .map_err(|errno| Error::io("RTM_GETROUTE", errno))?;
        counts.clear();
        counts.resize(links.len() + 1, 0);
        for hop in &*hops {
            let place = links.position(hop.device).unwrap_or(links.len());
            counts[place] += 1;
            hop.push(name(&links, place), out);
        }
        for (place, count) in counts.iter().enumerate().filter(|(_, count)| **count > 0) {
            out.push(&ROUTES, &[&name(&links, place)], *count);
        }
        Ok(())
    }
}

fn name(links: &Links, place: usize) -> &[u8] {
    links.iter().nth(place).map_or(b"", |link| link.name.bytes())
}

/// `struct rtmsg`: family, length of the destination's and the source's prefix, type of service,
/// table, protocol, scope, type, flags.
const RTMSG: usize = 12;
const RTN_UNICAST: u8 = 1;

const RTA_DST: u16 = 1;
const RTA_OIF: u16 = 4;
const RTA_GATEWAY: u16 = 5;
const RTA_PRIORITY: u16 = 6;
const RTA_PREFSRC: u16 = 7;
const RTA_MULTIPATH: u16 = 9;

/// Adds the ways of one route; `None` when the message is not as it should be.
fn read(message: Message<'_>, hops: &mut Vec<Hop>) -> Option<()> {
    let body = message.body;
    if body.u8_at(7)? != RTN_UNICAST {
        return Some(());
    }
    let mut hop =
        Hop { prefix_length: body.u8_at(1)?, protocol: body.u8_at(5)?, ..Hop::default() };
    let mut ways = None;
    for (kind, value) in message.attributes(RTMSG) {
        match kind {
            RTA_DST => hop.destination = Some(Address::read(value)?),
            RTA_OIF => hop.device = value.u32()?,
            RTA_GATEWAY => hop.gateway = Some(Address::read(value)?),
            RTA_PRIORITY => hop.priority = value.u32()?,
            RTA_PREFSRC => hop.source = Some(Address::read(value)?),
            RTA_MULTIPATH => ways = Some(value),
            _ => {}
        }
    }
    match ways {
        Some(ways) => read_ways(hop, ways, hops),
        None => {
            hops.push(hop);
            Some(())
        }
    }
}

/// `struct rtnexthop`: length with its attributes, flags, weight less 1, interface index.
fn read_ways(route: Hop, mut ways: Payload<'_>, hops: &mut Vec<Hop>) -> Option<()> {
    const NEXT_HOP: usize = 8;

    while ways.0.len() >= NEXT_HOP {
        let length = usize::from(ways.u16_at(0)?);
        let attributes = Payload(ways.0.get(NEXT_HOP..length)?).attributes();
        hops.push(Hop {
            gateway: gateway(attributes)?,
            device: ways.u32_at(4)?,
            weight: Some(u16::from(ways.u8_at(3)?) + 1),
            ..route
        });
        ways.0 = ways.0.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    Some(())
}

/// A gateway of the other family (`RTA_VIA`) is not told.
fn gateway(mut attributes: Attributes<'_>) -> Option<Option<Address>> {
    match attributes.find(|&(kind, _)| kind == RTA_GATEWAY) {
        Some((_, value)) => Address::read(value).map(Some),
        None => Some(None),
    }
}

impl Hop {
    fn push(&self, device: &[u8], out: &mut Samples) {
        let destination: &dyn LabelValue = match &self.destination {
            Some(destination) if self.prefix_length > 0 => {
                &Prefix { address: destination, length: self.prefix_length }
            }
            _ => &"default",
        };
        let gateway: &dyn LabelValue = match &self.gateway {
            Some(gateway) => gateway,
            None => &"",
        };
        let source: &dyn LabelValue = match &self.source {
            Some(source) => source,
            None => &"",
        };
        let weight: &dyn LabelValue = match &self.weight {
            Some(weight) => weight,
            None => &"",
        };
        let protocol = protocol_name(self.protocol);
        let labels = [destination, &device, gateway, &self.priority, &protocol, source, weight];
        out.push(&INFO, &labels, 1.0);
    }
}

impl Address {
    fn read(value: Payload<'_>) -> Option<Self> {
        match value.0.len() {
            4 => value.0.first_chunk::<4>().map(|&bytes| Self::V4(bytes.into())),
            16 => value.0.first_chunk::<16>().map(|&bytes| Self::V6(bytes.into())),
            _ => None,
        }
    }
}

impl LabelValue for Address {
    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::V4(address) => format_args!("{address}").write(out),
            Self::V6(address) => match address.to_ipv4_mapped() {
                Some(address) => format_args!("{address}").write(out),
                None => format_args!("{address}").write(out),
            },
        }
    }
}

struct Prefix<'a> {
    address: &'a Address,
    length: u8,
}

impl LabelValue for Prefix<'_> {
    fn write(&self, out: &mut Vec<u8>) {
        match self.address {
            Address::V4(address) => format_args!("{address}/{}", self.length).write(out),
            Address::V6(address) => format_args!("{address}/{}", self.length).write(out),
        }
    }
}

/// `RTPROT_…` of linux/rtnetlink.h, as the original spells them.
fn protocol_name(protocol: u8) -> &'static str {
    match protocol {
        0 => "unspec",
        1 => "redirect",
        2 => "kernel",
        3 => "boot",
        4 => "static",
        8 => "gated",
        9 => "ra",
        10 => "mrt",
        11 => "zebra",
        12 => "bird",
        13 => "dnrouted",
        14 => "xorp",
        15 => "ntk",
        16 => "dhcp",
        17 => "mrouted",
        42 => "babel",
        186 => "bgp",
        187 => "isis",
        188 => "ospf",
        189 => "rip",
        192 => "eigrp",
        _ => "unknown",
    }
}
