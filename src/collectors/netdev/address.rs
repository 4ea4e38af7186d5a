//! Addresses of devices, from an RTM_GETADDR dump.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::collector::prelude::*;
use crate::host::netlink::{Message, Netlink, ROUTE};

static ADDRESS_INFO: Desc = gauge(
    "node_network_address_info",
    "1 for each address of a device, with the length of its prefix and its scope.",
    &["address", "device", "netmask", "scope"],
);

const RTM_NEWADDR: u16 = 20;
const RTM_GETADDR: u16 = 22;

/// `struct ifaddrmsg`: family, prefix length, flags, scope, interface index.
const IFADDRMSG: usize = 8;
const IFA_ADDRESS: u16 = 1;
/// On a point-to-point link IFA_ADDRESS is the peer's address, and this is ours.
const IFA_LOCAL: u16 = 2;

pub(super) struct Addresses {
    netlink: Netlink,
    found: Vec<Found>,
}

impl Default for Addresses {
    fn default() -> Self {
        Self { netlink: Netlink::new(ROUTE), found: Vec::new() }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Found {
    index: u32,
    address: IpAddr,
    prefix: u8,
}

impl Addresses {
    pub(super) fn push(
        &mut self,
        filter: &Filter,
        cx: &mut Cx<'_>,
        out: &mut Samples,
    ) -> Result<()> {
        let Self { netlink, found } = self;
        let links = cx.links()?;
        netlink
            .dump(RTM_GETADDR, &[0; IFADDRMSG], cx.give_up_at(), |message| {
                match message {
                    None => found.clear(),
                    Some(message) if message.kind == RTM_NEWADDR => found.extend(read(message)),
                    Some(_) => {}
                }
                Ok(())
            })
            .map_err(|errno| Error::io("RTM_GETADDR", errno))?;
        for &Found { index, address, prefix } in found.iter() {
            let Some(link) = links.by_index(index) else { continue };
            let device = link.name.bytes();
            if !filter.drops(device) {
                let address_text = format_args!("{address}");
                let labels: [&dyn LabelValue; 4] =
                    [&address_text, &device, &prefix, &scope(address)];
                out.push(&ADDRESS_INFO, &labels, 1.0);
            }
        }
        Ok(())
    }
}

fn read(message: Message<'_>) -> Option<Found> {
    let (mut address, mut local) = (None, None);
    for (kind, value) in message.attributes(IFADDRMSG) {
        match kind {
            IFA_ADDRESS => address = Some(value),
            IFA_LOCAL => local = Some(value),
            _ => {}
        }
    }
    let bytes = local.or(address)?.0;
    let prefix = message.body.u8_at(1)?;
    let index = message.body.u32_at(4)?;
    if let Ok(bytes) = <[u8; 4]>::try_from(bytes) {
        return Some(Found { index, address: Ipv4Addr::from(bytes).into(), prefix });
    }
    let address = Ipv6Addr::from(<[u8; 16]>::try_from(bytes).ok()?);
    // The original writes an IPv4 address in IPv6's clothes as IPv4, with what is left of its prefix.
    Some(match address.to_ipv4_mapped() {
        Some(mapped) => Found { index, address: mapped.into(), prefix: prefix.saturating_sub(96) },
        None => Found { index, address: address.into(), prefix },
    })
}

/// The original's word for an address, which is not the kernel's scope: a loopback address is
/// `link-local` here.
fn scope(address: IpAddr) -> &'static str {
    let is_link_local = match address {
        IpAddr::V4(v4) => v4.is_link_local() || v4.octets()[..3] == [224, 0, 0],
        IpAddr::V6(v6) => v6.is_unicast_link_local() || multicast_scope(v6) == Some(2),
    };
    if address.is_loopback() || is_link_local {
        return "link-local";
    }
    let is_broadcast = address == IpAddr::V4(Ipv4Addr::BROADCAST);
    match address {
        IpAddr::V6(v6) if multicast_scope(v6) == Some(1) => "interface-local",
        _ if address.is_unspecified() || address.is_multicast() || is_broadcast => "",
        _ => "global",
    }
}

fn multicast_scope(address: Ipv6Addr) -> Option<u8> {
    let octets = address.octets();
    (octets[0] == 0xff).then_some(octets[1] & 0xf)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes() {
        for (address, expected) in [
            ("127.0.0.53", "link-local"),
            ("::1", "link-local"),
            ("169.254.3.4", "link-local"),
            ("fe80::1", "link-local"),
            ("224.0.0.251", "link-local"),
            ("ff02::fb", "link-local"),
            ("ff01::1", "interface-local"),
            ("192.0.2.1", "global"),
            ("10.0.0.1", "global"),
            ("2001:db8::1", "global"),
            ("fd00::1", "global"),
            ("239.1.2.3", ""),
            ("ff05::1", ""),
            ("255.255.255.255", ""),
            ("0.0.0.0", ""),
            ("::", ""),
        ] {
            assert_eq!(scope(address.parse().unwrap()), expected, "{address}");
        }
    }
}
