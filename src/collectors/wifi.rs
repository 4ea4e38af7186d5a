//! Wireless interfaces and the stations that they talk to, from nl80211.

mod fixtures;
mod kernel;

use serde::{Deserialize, Deserializer, de};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use crate::collector::prelude::*;
use crate::host::netlink::links::{ColonHex, Short};
use crate::number;
use fixtures::Fixtures;
use kernel::Kernel;

static FIXTURES: Flag<String> = flags::text(
    "collector.wifi.fixtures",
    "",
    "Directory of JSON files to tell in place of the kernel's answers.",
);

pub static SPEC: Spec = Spec::new("wifi", Off, "nl80211", &[&FIXTURES], |setup| {
    let fixtures = setup.flags.get(&FIXTURES);
    Ok(match fixtures.is_empty() {
        true => Box::new(Kernel::new()),
        false => Box::new(Fixtures::new(fixtures)),
    })
});

static FREQUENCY: Desc = gauge(
    "node_wifi_interface_frequency_hertz",
    "Frequency that the interface is tuned to, in hertz; 0 where it is not known.",
    &["device"],
);
static STATION_INFO: Desc = gauge(
    "node_wifi_station_info",
    "The network that the interface is part of; always 1.",
    &["bssid", "device", "mode", "ssid"],
);

const STATION: &[&str] = &["device", "mac_address"];

static CONNECTED: Desc = counter(
    "node_wifi_station_connected_seconds_total",
    "How long the station has been connected, in seconds.",
    STATION,
);
static INACTIVE: Desc = gauge(
    "node_wifi_station_inactive_seconds",
    "Time since the station was last heard of, in seconds.",
    STATION,
);
static RECEIVE_RATE: Desc = gauge(
    "node_wifi_station_receive_bits_per_second",
    "Rate at which the station is received, in bits per second.",
    STATION,
);
static TRANSMIT_RATE: Desc = gauge(
    "node_wifi_station_transmit_bits_per_second",
    "Rate at which is sent to the station, in bits per second.",
    STATION,
);
static RECEIVED_BYTES: Desc = counter(
    "node_wifi_station_receive_bytes_total",
    "Bytes received from the station.",
    STATION,
);
static TRANSMITTED_BYTES: Desc =
    counter("node_wifi_station_transmit_bytes_total", "Bytes sent to the station.", STATION);
static SIGNAL: Desc = gauge(
    "node_wifi_station_signal_dbm",
    "Strength at which the station was last received, in dBm.",
    STATION,
);
static RETRIES: Desc = counter(
    "node_wifi_station_transmit_retries_total",
    "Packets to the station that were sent again.",
    STATION,
);
static FAILED: Desc = counter(
    "node_wifi_station_transmit_failed_total",
    "Packets to the station that were given up.",
    STATION,
);
static BEACON_LOSS: Desc = counter(
    "node_wifi_station_beacon_loss_total",
    "How often the station's beacons were missed.",
    STATION,
);
static TRANSMITTED_PACKETS: Desc = counter(
    "node_wifi_station_transmitted_packets_total",
    "Packets sent to the station.",
    STATION,
);
static RECEIVED_PACKETS: Desc = counter(
    "node_wifi_station_received_packets_total",
    "Packets received from the station.",
    STATION,
);

/// A hardware address; the longest that netlink tells.
type HardwareAddress = Short<32>;

fn push_frequency(out: &mut Samples, device: &[u8], megahertz: i64) {
    out.push(&FREQUENCY, &[&device], megahertz as f64 * 1000.0 * 1000.0);
}

fn push_network(
    out: &mut Samples,
    device: &[u8],
    bssid: &HardwareAddress,
    ssid: &[u8],
    status: i64,
) {
    // nl80211 says 2 for an ad-hoc network that was joined; the original looks for a 3.
    let mode = match status {
        0 | 1 => "client",
        3 => "ad-hoc",
        _ => "unknown",
    };
    let labels: [&dyn LabelValue; 4] = [&ColonHex(bssid.bytes()), &device, &mode, &Ssid(ssid)];
    out.push(&STATION_INFO, &labels, 1.0);
}

/// A network's name: every byte that is not UTF-8 is shown as a U+FFFD.
struct Ssid<'a>(&'a [u8]);

impl LabelValue for Ssid<'_> {
    fn write(&self, out: &mut Vec<u8>) {
        for chunk in self.0.utf8_chunks() {
            chunk.valid().write(out);
            chunk.invalid().iter().for_each(|_| "\u{FFFD}".write(out));
        }
    }
}

/// A station that an interface talks to: an access point, a client, another member.
#[derive(Debug, Default, Clone, PartialEq, Eq, Deserialize)]
#[serde(default)]
struct Station {
    #[serde(deserialize_with = "base64_address")]
    hardwareaddr: HardwareAddress,
    /// In nanoseconds, as is `inactive`.
    connected: i64,
    inactive: i64,
    receivedbytes: i64,
    transmittedbytes: i64,
    receivedpackets: i64,
    transmittedpackets: i64,
    /// In bits per second, as is `transmitbitrate`.
    receivebitrate: i64,
    transmitbitrate: i64,
    /// In dBm.
    signal: i64,
    transmitretries: i64,
    transmitfailed: i64,
    beaconloss: i64,
}

impl Station {
    fn push(&self, out: &mut Samples, device: &[u8]) {
        let labels: [&dyn LabelValue; 2] = [&device, &ColonHex(self.hardwareaddr.bytes())];
        out.push(&CONNECTED, &labels, number::seconds(self.connected));
        out.push(&INACTIVE, &labels, number::seconds(self.inactive));
        for (desc, value) in [
            (&RECEIVE_RATE, self.receivebitrate),
            (&TRANSMIT_RATE, self.transmitbitrate),
            (&RECEIVED_BYTES, self.receivedbytes),
            (&TRANSMITTED_BYTES, self.transmittedbytes),
            (&SIGNAL, self.signal),
            (&RETRIES, self.transmitretries),
            (&FAILED, self.transmitfailed),
            (&BEACON_LOSS, self.beaconloss),
            (&TRANSMITTED_PACKETS, self.transmittedpackets),
            (&RECEIVED_PACKETS, self.receivedpackets),
        ] {
            out.push(desc, &labels, value);
        }
    }
}

fn base64_address<'de, D: Deserializer<'de>>(deserializer: D) -> Result<HardwareAddress, D::Error> {
    let text = String::deserialize(deserializer)?;
    BASE64_STANDARD.decode(text).map(|bytes| Short::new(&bytes)).map_err(de::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_networks() {
        for (ssid, shown) in [
            (&b"plain"[..], "plain"),
            ("caf\u{e9}".as_bytes(), "caf\u{e9}"),
            (b"a\xff\xfeb", "a\u{fffd}\u{fffd}b"),
            (b"\xe2\x82", "\u{fffd}\u{fffd}"),
            (b"", ""),
        ] {
            let mut out = Vec::new();
            Ssid(ssid).write(&mut out);
            assert_eq!(std::str::from_utf8(&out), Ok(shown));
        }
    }
}
