//! Wireless interfaces as the kernel's nl80211 tells them.

use std::time::Instant;

use super::{HardwareAddress, Station, push_frequency, push_network};
use crate::collector::prelude::*;
use crate::host::netlink::generic::{self, Family};
use crate::host::netlink::links::Short;
use crate::host::netlink::{Attributes, Payload, push_attribute};

const GET_INTERFACE: u8 = 5;
const GET_STATION: u8 = 17;
const GET_SCAN: u8 = 32;

const ATTR_IFINDEX: u16 = 3;
const ATTR_IFNAME: u16 = 4;
const ATTR_MAC: u16 = 6;
const ATTR_STA_INFO: u16 = 21;
const ATTR_WIPHY_FREQ: u16 = 38;
const ATTR_BSS: u16 = 47;

const BSS_BSSID: u16 = 1;
const BSS_INFORMATION_ELEMENTS: u16 = 6;
const BSS_STATUS: u16 = 9;

const STA_INACTIVE_TIME: u16 = 1;
const STA_RX_BYTES: u16 = 2;
const STA_TX_BYTES: u16 = 3;
const STA_SIGNAL: u16 = 7;
const STA_TX_BITRATE: u16 = 8;
const STA_RX_PACKETS: u16 = 9;
const STA_TX_PACKETS: u16 = 10;
const STA_TX_RETRIES: u16 = 11;
const STA_TX_FAILED: u16 = 12;
const STA_RX_BITRATE: u16 = 14;
const STA_CONNECTED_TIME: u16 = 16;
const STA_BEACON_LOSS: u16 = 18;
const STA_RX_BYTES64: u16 = 23;
const STA_TX_BYTES64: u16 = 24;

const RATE_BITRATE: u16 = 1;
const RATE_BITRATE32: u16 = 5;

pub(super) struct Kernel {
    family: Family,
    request: Vec<u8>,
    interfaces: Vec<Interface>,
    stations: Vec<Station>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Interface {
    index: u32,
    /// Some virtual ones have none.
    name: Short<16>,
    megahertz: u32,
}

/// The network that an interface belongs to.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Network {
    bssid: HardwareAddress,
    ssid: Short<32>,
    status: u32,
}

impl Kernel {
    pub(super) fn new() -> Self {
        Self {
            family: Family::new("nl80211"),
            request: Vec::new(),
            interfaces: Vec::new(),
            stations: Vec::new(),
        }
    }
}

impl Collector for Kernel {
    fn collect(&mut self, cx: &mut Cx<'_>, out: &mut Samples) -> Result<()> {
        let deadline = cx.give_up_at();
        match self.family.is_present(deadline) {
            Ok(true) => {}
            Ok(false) => return Err(Error::no_data("the kernel has no nl80211")),
            Err(Errno::PERM | Errno::ACCESS) => {
                return Err(Error::no_data("generic netlink may not be used"));
            }
            Err(errno) => return Err(Error::io("nl80211", errno)),
        }
        self.list_interfaces(deadline).map_err(|errno| Error::io("GET_INTERFACE", errno))?;
        for at in 0..self.interfaces.len() {
            let Interface { index, name, megahertz } = self.interfaces[at];
            let name = name.bytes();
            if name.is_empty() {
                continue;
            }
            push_frequency(out, name, megahertz.into());
            self.request.clear();
            push_attribute(&mut self.request, ATTR_IFINDEX, &index.to_ne_bytes());
            let failed = |what: &str, errno| {
                let name = String::from_utf8_lossy(name);
                Err(Error::io(&format!("{what} of {name}"), errno))
            };
            match self.network(deadline) {
                Ok(Some(Network { bssid, ssid, status })) => {
                    push_network(out, name, &bssid, ssid.bytes(), status.into());
                }
                Ok(None) | Err(Errno::NOENT) => {}
                Err(errno) => return failed("GET_SCAN", errno),
            }
            match self.list_stations(deadline) {
                Ok(()) => self.stations.iter().for_each(|station| station.push(out, name)),
                Err(Errno::NOENT) => {}
                Err(errno) => return failed("GET_STATION", errno),
            }
        }
        Ok(())
    }
}

impl Kernel {
    fn list_interfaces(&mut self, deadline: Instant) -> Result<(), Errno> {
        let interfaces = &mut self.interfaces;
        self.family.dump(GET_INTERFACE, &[], deadline, |message| {
            match message {
                None => interfaces.clear(),
                Some(message) => {
                    interfaces.push(Interface::read(message.attributes(generic::HEADER)));
                }
            }
            Ok(())
        })
    }

    /// Of all networks that the interface has heard of, the one that it is part of.
    fn network(&mut self, deadline: Instant) -> Result<Option<Network>, Errno> {
        let mut found = None;
        self.family.dump(GET_SCAN, &self.request, deadline, |message| {
            match message {
                None => found = None,
                Some(message) if found.is_none() => {
                    found = Network::read(message.attributes(generic::HEADER))?;
                }
                Some(_) => {}
            }
            Ok(())
        })?;
        Ok(found)
    }

    fn list_stations(&mut self, deadline: Instant) -> Result<(), Errno> {
        let stations = &mut self.stations;
        self.family.dump(GET_STATION, &self.request, deadline, |message| {
            match message {
                None => stations.clear(),
                Some(message) => {
                    let station = Station::read(message.attributes(generic::HEADER));
                    stations.push(station.ok_or(Errno::NOENT)?);
                }
            }
            Ok(())
        })
    }
}

impl Interface {
    fn read(attributes: Attributes<'_>) -> Self {
        let mut interface = Self::default();
        for (kind, value) in attributes {
            match kind {
                ATTR_IFINDEX => interface.index = value.u32().unwrap_or(0),
                ATTR_IFNAME => interface.name = Short::new(value.text()),
                ATTR_WIPHY_FREQ => interface.megahertz = value.u32().unwrap_or(0),
                _ => {}
            }
        }
        interface
    }
}

impl Network {
    /// `None` for one that the interface has only heard of: those have no status.
    fn read(mut attributes: Attributes<'_>) -> Result<Option<Self>, Errno> {
        let Some((_, network)) = attributes.find(|&(kind, _)| kind == ATTR_BSS) else {
            return Ok(None);
        };
        if !network.attributes().any(|(kind, _)| kind == BSS_STATUS) {
            return Ok(None);
        }
        let mut read = Self::default();
        for (kind, value) in network.attributes() {
            match kind {
                BSS_BSSID => read.bssid = Short::new(value.0),
                BSS_STATUS => read.status = value.u32().unwrap_or(0),
                BSS_INFORMATION_ELEMENTS => {
                    read.ssid = name(value.0).ok_or(Errno::BADMSG)?;
                }
                _ => {}
            }
        }
        Ok(Some(read))
    }
}

/// The name among the information elements of a beacon, each of which is its number, its length
/// and so many bytes. `None` when they break off.
fn name(mut elements: &[u8]) -> Option<Short<32>> {
    const SSID: u8 = 0;

    let mut name = Short::default();
    while let [number, rest @ ..] = elements {
        let (&length, rest) = rest.split_first()?;
        let (element, rest) = rest.split_at_checked(length.into())?;
        if *number == SSID {
            name = Short::new(element);
        }
        elements = rest;
    }
    Some(name)
}

impl Station {
    fn read(attributes: Attributes<'_>) -> Option<Self> {
        let mut station = Self::default();
        let mut has_info = false;
        for (kind, value) in attributes {
            match kind {
                ATTR_MAC => station.hardwareaddr = Short::new(value.0),
                ATTR_STA_INFO => {
                    station.read_info(value.attributes());
                    has_info = true;
                }
                _ => {}
            }
        }
        has_info.then_some(station)
    }

    fn read_info(&mut self, info: Attributes<'_>) {
        const MILLISECOND: i64 = 1_000_000;
        const SECOND: i64 = 1000 * MILLISECOND;

        let number = |value: Payload<'_>| value.u32().map_or(0, i64::from);
        let long = |value: Payload<'_>| value.u64_at(0).map_or(0, u64::cast_signed);
        let (mut received, mut transmitted) = (None, None);
        for (kind, value) in info {
            match kind {
                STA_CONNECTED_TIME => self.connected = number(value) * SECOND,
                STA_INACTIVE_TIME => self.inactive = number(value) * MILLISECOND,
                STA_RX_BYTES => self.receivedbytes = number(value),
                STA_TX_BYTES => self.transmittedbytes = number(value),
                STA_RX_BYTES64 => received = Some(long(value)),
                STA_TX_BYTES64 => transmitted = Some(long(value)),
                STA_RX_PACKETS => self.receivedpackets = number(value),
                STA_TX_PACKETS => self.transmittedpackets = number(value),
                STA_TX_RETRIES => self.transmitretries = number(value),
                STA_TX_FAILED => self.transmitfailed = number(value),
                STA_BEACON_LOSS => self.beaconloss = number(value),
                STA_SIGNAL => self.signal = value.u8().map_or(0, u8::cast_signed).into(),
                STA_RX_BITRATE => self.receivebitrate = bitrate(value.attributes()),
                STA_TX_BITRATE => self.transmitbitrate = bitrate(value.attributes()),
                _ => {}
            }
        }
        self.receivedbytes = received.unwrap_or(self.receivedbytes);
        self.transmittedbytes = transmitted.unwrap_or(self.transmittedbytes);
    }
}

/// In bits per second. What does not fit into 16 bits is told in 32 only.
fn bitrate(rate: Attributes<'_>) -> i64 {
    const UNIT: i64 = 100_000;

    let (mut short, mut long) = (None, None);
    for (kind, value) in rate {
        match kind {
            RATE_BITRATE => short = value.u16_at(0).map(i64::from),
            RATE_BITRATE32 => long = value.u32().map(i64::from),
            _ => {}
        }
    }
    long.or(short).unwrap_or(0) * UNIT
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Attributes as the kernel writes them.
    fn written(attributes: &[(u16, &[u8])]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (kind, value) in attributes {
            push_attribute(&mut bytes, *kind, value);
        }
        bytes
    }

    fn read(bytes: &[u8]) -> Attributes<'_> {
        Payload(bytes).attributes()
    }

    #[test]
    fn interfaces() {
        let bytes = written(&[
            (1, &[0; 4]),
            (ATTR_IFINDEX, &7u32.to_ne_bytes()),
            (ATTR_IFNAME, b"wlan0\0"),
            (ATTR_WIPHY_FREQ, &5180u32.to_ne_bytes()),
        ]);
        let expected = Interface { index: 7, name: Short::new(b"wlan0"), megahertz: 5180 };
        assert_eq!(Interface::read(read(&bytes)), expected);
        assert_eq!(Interface::read(read(b"")), Interface::default());
    }

    #[test]
    fn networks() {
        let address = [2, 0, 0x5e, 0, 0x53, 1];
        let network = |status: Option<&[u8]>, elements: &[u8]| {
            let mut parts = vec![(BSS_BSSID, &address[..]), (BSS_INFORMATION_ELEMENTS, elements)];
            parts.extend(status.map(|status| (BSS_STATUS, status)));
            written(&[(ATTR_IFINDEX, &[7, 0, 0, 0]), (ATTR_BSS, &written(&parts))])
        };
        let status = 1u32.to_ne_bytes();
        let elements = b"\x01\x02\x82\x84\x00\x04home\x03\x01\x0b";
        let expected =
            Network { bssid: Short::new(&address), ssid: Short::new(b"home"), status: 1 };
        for (bytes, expected) in [
            (network(Some(&status), elements), Ok(Some(expected))),
            (network(None, elements), Ok(None)),
            (network(Some(&status), b""), Ok(Some(Network { ssid: Short::new(b""), ..expected }))),
            (network(Some(&status), b"\x00\x05home"), Err(Errno::BADMSG)),
            (network(Some(&status), b"\x00"), Err(Errno::BADMSG)),
            (network(None, b"\x00"), Ok(None)),
            (Vec::new(), Ok(None)),
        ] {
            assert_eq!(Network::read(read(&bytes)), expected);
        }
    }

    #[test]
    fn stations() {
        let rate = |short: u16, long: Option<u32>| {
            let mut bytes = written(&[(RATE_BITRATE, &short.to_ne_bytes())]);
            if let Some(long) = long {
                push_attribute(&mut bytes, RATE_BITRATE32, &long.to_ne_bytes());
            }
            bytes
        };
        let number = |number: u32| number.to_ne_bytes();
        let (slow, fast) = (rate(541, None), rate(0, Some(86_000)));
        let info = written(&[
            (STA_INACTIVE_TIME, &number(1250)),
            (STA_CONNECTED_TIME, &number(61)),
            (STA_RX_BYTES, &number(7)),
            (STA_RX_BYTES64, &(1u64 << 40).to_ne_bytes()),
            (STA_TX_BYTES, &number(9)),
            (STA_SIGNAL, &[0xcc]),
            (STA_RX_BITRATE, &slow),
            (STA_TX_BITRATE, &fast),
            (STA_RX_PACKETS, &number(3)),
            (STA_TX_PACKETS, &number(4)),
            (STA_TX_RETRIES, &number(5)),
            (STA_TX_FAILED, &number(6)),
            (STA_BEACON_LOSS, &number(8)),
        ]);
        let address = [2, 0, 0x5e, 0, 0x53, 1];
        let bytes = written(&[(ATTR_MAC, &address), (ATTR_STA_INFO, &info)]);
        let expected = Station {
            hardwareaddr: Short::new(&address),
            connected: 61_000_000_000,
            inactive: 1_250_000_000,
            receivedbytes: 1 << 40,
            transmittedbytes: 9,
            receivedpackets: 3,
            transmittedpackets: 4,
            receivebitrate: 54_100_000,
            transmitbitrate: 8_600_000_000,
            signal: -52,
            transmitretries: 5,
            transmitfailed: 6,
            beaconloss: 8,
        };
        assert_eq!(Station::read(read(&bytes)), Some(expected));
        assert_eq!(Station::read(read(&written(&[(ATTR_MAC, &address)]))), None);
        let empty = written(&[(ATTR_STA_INFO, &[])]);
        assert_eq!(Station::read(read(&empty)), Some(Station::default()));
    }
}
