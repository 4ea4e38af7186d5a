//! Where a request really comes from: `X-Forwarded-For`, believed from the proxies that the operator trusts and from nobody else.

use std::net::{IpAddr, SocketAddr};

use hyper::HeaderMap;

use crate::flags::{self, Flag, Values};

pub(super) static TRUSTED: Flag<Vec<String>> = flags::list(
    "web.trusted-proxy",
    "",
    "Address or network (10.0.0.0/8) of a proxy whose X-Forwarded-For is believed, or \"unix\" for whoever comes by a Unix socket.",
);

/// The proxies that are believed.
#[derive(Debug, Default)]
pub struct Proxies {
    networks: Vec<Network>,
    are_local: bool,
}

impl Proxies {
    pub fn from_flags(values: &Values) -> Result<Self, String> {
        let mut proxies = Self::default();
        for word in values.get(&TRUSTED).iter().filter(|word| !word.is_empty()) {
            if word == "unix" {
                proxies.are_local = true;
            } else {
                let network = Network::parse(word).ok_or_else(|| {
                    let name = TRUSTED.name();
                    format!("--{name}: {word:?} is no address, no network and not \"unix\"")
                })?;
                proxies.networks.push(network);
            }
        }
        Ok(proxies)
    }

    /// Whether the peer of a connection is such a proxy; a peer without an address came by a Unix socket or from a host of this guest.
    pub fn trust(&self, peer: Option<IpAddr>) -> bool {
        match peer {
            Some(address) => self.networks.iter().any(|network| network.contains(address)),
            None => self.are_local,
        }
    }

    /// The last address in the chain that no trusted proxy has.
    pub fn source(&self, peer: Option<IpAddr>, headers: &HeaderMap) -> Option<IpAddr> {
        let mut source = peer;
        let lines = headers.get_all("x-forwarded-for").into_iter().collect::<Vec<_>>();
        let mut hops = lines
            .iter()
            .rev()
            .flat_map(|line| line.to_str().unwrap_or_default().rsplit(',').map(str::trim));
        while self.trust(source) {
            // Whatever stands before what is no address was not written by a proxy of ours.
            let Some(hop) = hops.next().and_then(address) else { break };
            source = Some(hop);
        }
        source
    }
}

/// `192.0.2.1`, `2001:db8::1`, and either with a port.
fn address(hop: &str) -> Option<IpAddr> {
    let bare = hop.trim_start_matches('[').trim_end_matches(']');
    let with_port = || hop.parse::<SocketAddr>().ok().map(|address| address.ip());
    bare.parse().ok().or_else(with_port)
}

/// Addresses that begin with the same bits.
#[derive(Debug, Clone, Copy)]
struct Network {
    address: u128,
    is_v4: bool,
    mask: u128,
}

impl Network {
    fn parse(word: &str) -> Option<Self> {
        let (text, length) = match word.split_once('/') {
            Some((text, length)) => (text, Some(length.parse::<u32>().ok()?)),
            None => (word, None),
        };
        let (address, is_v4) = bits(text.parse().ok()?);
        let width = if is_v4 { 32 } else { 128 };
        let length = length.unwrap_or(width);
        let unmasked = width.checked_sub(length)?;
        let mask = u128::MAX.checked_shl(unmasked).unwrap_or(0);
        Some(Self { address: address & mask, is_v4, mask })
    }

    fn contains(&self, address: IpAddr) -> bool {
        let (address, is_v4) = bits(address);
        is_v4 == self.is_v4 && address & self.mask == self.address
    }
}

/// On a socket for both families, IPv4 comes in IPv6's clothes.
fn bits(address: IpAddr) -> (u128, bool) {
    match address.to_canonical() {
        IpAddr::V4(address) => (address.to_bits().into(), true),
        IpAddr::V6(address) => (address.to_bits(), false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxies(words: &[&str]) -> Result<Proxies, String> {
        let mut values = Values::default();
        words.iter().for_each(|word| values.give(TRUSTED.name(), *word));
        Proxies::from_flags(&values)
    }

    #[test]
    fn networks() {
        let trusted = proxies(&["192.0.2.1", "10.0.0.0/8", "2001:db8::/32", "0.0.0.0/32"]).unwrap();
        for (address, is_trusted) in [
            ("192.0.2.1", true),
            ("::ffff:192.0.2.1", true),
            ("192.0.2.2", false),
            ("10.255.0.1", true),
            ("11.0.0.1", false),
            ("2001:db8:1::1", true),
            ("2001:db9::1", false),
            ("::", false),
        ] {
            assert_eq!(trusted.trust(Some(address.parse().unwrap())), is_trusted, "{address}");
        }
        assert!(!trusted.trust(None));
        assert!(proxies(&["unix"]).unwrap().trust(None));
        assert!(proxies(&["0.0.0.0/0"]).unwrap().trust(Some("192.0.2.2".parse().unwrap())));
        assert!(!proxies(&["::/0"]).unwrap().trust(Some("192.0.2.2".parse().unwrap())));
        for word in ["proxy", "10.0.0.0/33", "10.0.0.0/", "::/129", "10.0.0.0/8/8", "/8"] {
            assert_eq!(
                proxies(&[word]).unwrap_err(),
                format!("--web.trusted-proxy: {word:?} is no address, no network and not \"unix\"")
            );
        }
    }

    #[test]
    fn the_chain_is_followed_as_far_as_it_is_trusted() {
        let trusted = proxies(&["10.0.0.0/8", "unix"]).unwrap();
        for (peer, lines, source) in [
            ("192.0.2.1", &["198.51.100.7"][..], "192.0.2.1"),
            ("10.0.0.1", &["198.51.100.7"], "198.51.100.7"),
            ("10.0.0.1", &["203.0.113.9, 198.51.100.7"], "198.51.100.7"),
            ("10.0.0.1", &["203.0.113.9, 198.51.100.7 ,10.0.0.2"], "198.51.100.7"),
            ("10.0.0.1", &["203.0.113.9", "198.51.100.7", "10.0.0.2"], "198.51.100.7"),
            ("10.0.0.1", &["198.51.100.7:4711"], "198.51.100.7"),
            ("10.0.0.1", &["[2001:db8::1]:4711"], "2001:db8::1"),
            ("10.0.0.1", &["[2001:db8::1]"], "2001:db8::1"),
            ("10.0.0.1", &["203.0.113.9, unknown"], "10.0.0.1"),
            ("10.0.0.1", &["203.0.113.9, unknown, 10.0.0.3"], "10.0.0.3"),
            ("10.0.0.1", &["10.0.0.9"], "10.0.0.9"),
            ("10.0.0.1", &[""], "10.0.0.1"),
            ("10.0.0.1", &[], "10.0.0.1"),
            ("", &["198.51.100.7"], "198.51.100.7"),
            ("", &[], ""),
        ] {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append("x-forwarded-for", line.parse().unwrap());
            }
            let found = trusted.source(peer.parse().ok(), &headers);
            assert_eq!(found, source.parse().ok(), "{peer} {lines:?}");
        }
    }
}
