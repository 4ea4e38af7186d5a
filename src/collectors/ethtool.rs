//! Drivers of network devices: what they are, what they can, and what they count, by the ethtool
//! ioctl.

use std::collections::HashMap;

use crate::collector::prelude::*;
use crate::exposition::name::sanitized;
use crate::host::ethtool::{Driver, Ethtool, Settings};

static INCLUDE: Flag<Option<Pattern>> =
    flags::pattern("collector.ethtool.device-include", "", "Devices to tell; no others are.");
static EXCLUDE: Flag<Option<Pattern>> =
    flags::pattern("collector.ethtool.device-exclude", "", "Devices not to tell.");
static METRICS: Flag<Option<Pattern>> = flags::pattern(
    "collector.ethtool.metrics-include",
    ".*",
    "Statistics to tell, by their names with `_` for other signs.",
);

pub static SPEC: Spec = Spec::new(
    "ethtool",
    Off,
    "ethtool ioctl, /sys/class/net",
    &[&INCLUDE, &EXCLUDE, &METRICS],
    |setup| {
        setup.need_sys()?;
        let filter = Filter::from_flags(setup.flags, &EXCLUDE, &INCLUDE);
        filter.log(&EXCLUDE, &INCLUDE);
        let ethtool = Ethtool::open().map_err(|errno| format!("ethtool: {errno}"))?;
        let metrics = setup.flags.get(&METRICS);
        let devices = Listing::default();
        Ok(Box::new(Devices { filter, metrics, ethtool, devices, counters: HashMap::new() }))
    },
);

static INFO: Desc = gauge(
    "node_ethtool_info",
    "The device's driver, and what it says of itself; always 1.",
    &["bus_info", "device", "driver", "expansion_rom_version", "firmware_version", "version"],
);
static PORT: Desc = gauge(
    "node_network_supported_port_info",
    "A kind of port that the device has; always 1.",
    &["device", "type"],
);
static AUTONEGOTIATE: Desc = gauge(
    "node_network_autonegotiate",
    "1 if the device agrees with the other side on speed and duplex.",
    &["device"],
);

/// What a device can, or what it offers to the other side.
struct Capabilities {
    speed: Desc,
    autonegotiate: Desc,
    pause: Desc,
    asymmetric_pause: Desc,
}

static SUPPORTED: Capabilities = Capabilities {
    speed: gauge(
        "node_network_supported_speed_bytes",
        "A speed that the device can, in bytes per second.",
        &["device", "duplex", "mode"],
    ),
    autonegotiate: gauge(
        "node_network_autonegotiate_supported",
        "1 if the device can agree with the other side on speed and duplex.",
        &["device"],
    ),
    pause: gauge(
        "node_network_pause_supported",
        "1 if the device can send and obey pause frames.",
        &["device"],
    ),
    asymmetric_pause: gauge(
        "node_network_asymmetricpause_supported",
        "1 if the device can have pause frames go one way only.",
        &["device"],
    ),
};
static ADVERTISED: Capabilities = Capabilities {
    speed: gauge(
        "node_network_advertised_speed_bytes",
        "A speed that the device offers, in bytes per second.",
        &["device", "duplex", "mode"],
    ),
    autonegotiate: gauge(
        "node_network_autonegotiate_advertised",
        "1 if the device offers to agree on speed and duplex.",
        &["device"],
    ),
    pause: gauge(
        "node_network_pause_advertised",
        "1 if the device offers to send and obey pause frames.",
        &["device"],
    ),
    asymmetric_pause: gauge(
        "node_network_asymmetricpause_advertised",
        "1 if the device offers pause frames that go one way only.",
        &["device"],
    ),
};

/// `ETHTOOL_LINK_MODE_…_BIT` of linux/ethtool.h.
const AUTONEGOTIATE_BIT: u32 = 6;
const PAUSE_BIT: u32 = 13;
const ASYMMETRIC_PAUSE_BIT: u32 = 14;

const PORTS: [(u32, &str); 6] =
    [(7, "TP"), (8, "AUI"), (9, "MII"), (10, "FIBRE"), (11, "BNC"), (16, "Backplane")];

/// Bit, Mbit/s, duplex and name of each mode that 32 bits can tell.
const MODES: [(u32, u32, &str, &str); 22] = [
    (0, 10, "half", "10baseT"),
    (1, 10, "full", "10baseT"),
    (2, 100, "half", "100baseT"),
    (3, 100, "full", "100baseT"),
    (4, 1_000, "half", "1000baseT"),
    (5, 1_000, "full", "1000baseT"),
    (12, 10_000, "full", "10000baseT"),
    (17, 1_000, "full", "1000baseKX"),
    (18, 10_000, "full", "10000baseKX4"),
    (19, 10_000, "full", "10000baseKR"),
    (20, 10_000, "full", "10000baseR_FEC"),
    (21, 20_000, "full", "20000baseMLD2"),
    (22, 20_000, "full", "20000baseKR2"),
    (23, 40_000, "full", "40000baseKR4"),
    (24, 40_000, "full", "40000baseCR4"),
    (25, 40_000, "full", "40000baseSR4"),
    (26, 40_000, "full", "40000baseLR4"),
    (27, 56_000, "full", "56000baseKR4"),
    (28, 56_000, "full", "56000baseCR4"),
    (29, 56_000, "full", "56000baseSR4"),
    (30, 56_000, "full", "56000baseLR4"),
    (31, 25_000, "full", "25000baseCR"),
];

struct Devices {
    filter: Filter,
    metrics: Option<Pattern>,
    ethtool: Ethtool,
    devices: Listing,
    /// By device.
    counters: HashMap<String, Counters>,
}

impl Collector for Devices {
    fn collect(&mut self, cx: &mut Cx<'_>, out: &mut Samples) -> Result<()> {
        const NET: &str = "class/net";

        let Self { filter, metrics, ethtool, devices, counters } = self;
        cx.sys.list(NET, devices).map_err(|error| match error {
            Error::Io { errno: Errno::ACCESS | Errno::PERM, .. } => {
                Error::no_data(error.to_string())
            }
            error => error.absent_is_no_data(),
        })?;
        let names = || devices.iter().filter(|entry| !entry.is_regular()).map(|entry| entry.name);
        if names().next().is_none() {
            return Err(Error::failed(format!("{NET}: no network devices")));
        }
        counters.retain(|device, _| names().any(|name| name == device));
        for device in names().filter(|device| !filter.drops(device)) {
            match ethtool.settings(device) {
                Ok(settings) => push_settings(device, settings, out),
                Err(errno) => untold(device, "settings", errno),
            }
            match ethtool.driver(device) {
                Ok(driver) => {
                    push_driver(device, &driver, out);
                    if !counters.contains_key(device) {
                        counters.insert(device.to_owned(), Counters::default());
                    }
                    let known = counters.get_mut(device).expect("put there just now");
                    known
                        .push(device, driver.statistics(), metrics.as_ref(), ethtool, out)
                        .unwrap_or_else(|errno| untold(device, "statistics", errno));
                }
                Err(errno) => untold(device, "driver", errno),
            }
        }
        Ok(())
    }
}

/// Many devices have only some of it.
fn untold(device: &str, what: &str, errno: Errno) {
    tracing::debug!(device, what, err = %errno, "ethtool tells nothing");
}

fn push_settings(device: &str, settings: Settings, out: &mut Samples) {
    let Settings { supported, advertising, autonegotiation } = settings;
    SUPPORTED.push(device, supported, out);
    for (_, port) in PORTS.iter().filter(|(bit, _)| has(supported, *bit)) {
        out.push(&PORT, &[&device, port], 1.0);
    }
    ADVERTISED.push(device, advertising, out);
    out.push(&AUTONEGOTIATE, &[&device], autonegotiation);
}

fn has(modes: u32, bit: u32) -> bool {
    modes & 1 << bit != 0
}

impl Capabilities {
    fn push(&'static self, device: &str, modes: u32, out: &mut Samples) {
        const BYTES_PER_MBIT: u32 = 125_000;

        for (_, speed, duplex, name) in MODES.iter().filter(|(bit, ..)| has(modes, *bit)) {
            let speed = u64::from(*speed) * u64::from(BYTES_PER_MBIT);
            out.push(&self.speed, &[&device, duplex, name], speed);
        }
        out.push(&self.autonegotiate, &[&device], has(modes, AUTONEGOTIATE_BIT));
        out.push(&self.pause, &[&device], has(modes, PAUSE_BIT));
        out.push(&self.asymmetric_pause, &[&device], has(modes, ASYMMETRIC_PAUSE_BIT));
    }
}

fn push_driver(device: &str, driver: &Driver, out: &mut Samples) {
    let (bus, rom, firmware) = (driver.bus(), driver.expansion_rom(), driver.firmware());
    let labels: [&dyn LabelValue; 6] =
        [&bus, &device, &driver.name(), &rom, &firmware, &driver.version()];
    out.push(&INFO, &labels, 1.0);
}

/// The statistics of one device.
#[derive(Debug, Default)]
struct Counters {
    /// As the driver names them, to see whether they are still the same.
    names: Vec<u8>,
    told: Vec<Counter>,
}

#[derive(Debug, PartialEq, Eq)]
struct Counter {
    /// The statistic's place.
    place: usize,
    family: String,
    help: String,
}

impl Counters {
    fn push(
        &mut self,
        device: &str,
        count: usize,
        metrics: Option<&Pattern>,
        ethtool: &mut Ethtool,
        out: &mut Samples,
    ) -> Result<(), Errno> {
        if count == 0 {
            return Ok(());
        }
        let names = ethtool.names(device, count)?;
        if names != self.names {
            self.told = counters(names, metrics);
            self.names.clear();
            self.names.extend_from_slice(names);
        }
        let mut told = self.told.iter().peekable();
        for (place, value) in ethtool.values(device, count)?.enumerate() {
            while let Some(counter) = told.next_if(|counter| counter.place == place) {
                let family = out.family(&*counter.family, Kind::Untyped, &*counter.help);
                out.push_named(family, &[("device", &device)], value);
            }
        }
        Ok(())
    }
}

/// What is told of the statistics with these names. Those that come out under one and the same
/// name are all left out.
fn counters(names: &[u8], metrics: Option<&Pattern>) -> Vec<Counter> {
    const NAME: usize = 32;

    // Of statistics that the driver calls the same, the last one is meant.
    let mut places = HashMap::new();
    for (place, name) in names.chunks(NAME).enumerate() {
        let end = memchr::memchr(0, name).unwrap_or(name.len());
        places.insert(&name[..end], place);
    }
    let mut families: HashMap<String, Option<Counter>> = HashMap::new();
    for (name, place) in places {
        let name = sanitized(name);
        let part = family_part(&name);
        if part.is_empty() || metrics.is_some_and(|metrics| !metrics.is_match(name.as_bytes())) {
            continue;
        }
        let usual = USUAL.iter().find(|(usual, ..)| *usual == name);
        let counter = match usual {
            Some((_, family, help)) => {
                Counter { place, family: (*family).to_owned(), help: (*help).to_owned() }
            }
            None => Counter {
                place,
                family: format!("node_ethtool_{part}"),
                help: format!("The driver's statistic {name}."),
            },
        };
        families.entry(part).and_modify(|other| *other = None).or_insert(Some(counter));
    }
    let mut told: Vec<Counter> = families.into_values().flatten().collect();
    told.sort_unstable_by_key(|counter| counter.place);
    told
}

/// Statistics that nearly all drivers have, under names as Prometheus wants them.
const USUAL: [(&str, &str, &str); 7] = [
    ("rx_bytes", "node_ethtool_received_bytes_total", "Bytes received, as the driver counts."),
    ("rx_dropped", "node_ethtool_received_dropped_total", "Frames dropped on receipt."),
    ("rx_errors", "node_ethtool_received_errors_total", "Frames received with errors."),
    ("rx_packets", "node_ethtool_received_packets_total", "Packets received."),
    ("tx_bytes", "node_ethtool_transmitted_bytes_total", "Bytes sent, as the driver counts."),
    ("tx_errors", "node_ethtool_transmitted_errors_total", "Frames sent with errors."),
    ("tx_packets", "node_ethtool_transmitted_packets_total", "Packets sent."),
];

/// `Tx_LPI_entry_count` becomes `transmitted_lpi_entry_count`.
fn family_part(name: &str) -> String {
    let name = name.trim_start_matches('_').to_ascii_lowercase();
    with_word(&with_word(&name, "rx", "received"), "tx", "transmitted")
}

/// The name with one of its words replaced. Words share their `_`: of two in a row, only the first
/// is replaced.
fn with_word(name: &str, word: &str, by: &str) -> String {
    let mut replaced = String::with_capacity(name.len());
    let mut is_after_word = false;
    for (at, part) in name.split('_').enumerate() {
        if at > 0 {
            replaced.push('_');
        }
        is_after_word = part == word && !is_after_word;
        replaced.push_str(if is_after_word { by } else { part });
    }
    replaced
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(names: &[&str], metrics: Option<&str>) -> Vec<(usize, String)> {
        let mut bytes = Vec::new();
        for name in names {
            let end = bytes.len() + 32;
            bytes.extend_from_slice(name.as_bytes());
            bytes.resize(end, 0);
        }
        let metrics = metrics.map(|metrics| Pattern::new(metrics).unwrap());
        let told = counters(&bytes, metrics.as_ref());
        told.into_iter().map(|counter| (counter.place, counter.family)).collect()
    }

    #[test]
    fn names_of_families() {
        for (name, family) in [
            ("port.rx_errors", "port_received_errors"),
            ("Queue[0] AllocFails", "queue_0_allocfails"),
            ("Tx LPI entry count", "transmitted_lpi_entry_count"),
            ("[3]: tx_bytes", "3_transmitted_bytes"),
            ("     err", "err"),
            ("rx", "received"),
            ("rx_rx_rx", "received_rx_received"),
            ("rx_tx", "received_transmitted"),
            ("rxtx_prx", "rxtx_prx"),
            ("a__tx", "a__transmitted"),
            ("rx_dropped", "received_dropped_total"),
            ("Rx_dropped", "received_dropped"),
            ("tx_dropped", "transmitted_dropped"),
        ] {
            assert_eq!(told(&[name], None), [(0, format!("node_ethtool_{family}"))], "{name}");
        }
    }

    #[test]
    fn statistics_that_are_told() {
        let told = |names: &[&str], metrics| -> Vec<usize> {
            told(names, metrics).into_iter().map(|(place, _)| place).collect()
        };
        let exactly_32 = "x".repeat(32);
        for (names, metrics, places) in [
            (&["a", "b", "c"][..], None, &[0, 1, 2][..]),
            (&["a", "", "c"], None, &[0, 2]),
            (&[&exactly_32, "b"], None, &[0, 1]),
            // The same, and three that come out the same.
            (&["a", "b", "a"], None, &[1, 2]),
            (&["a.b", "c", "a b", "A_b"], None, &[1]),
            (&["rx_bytes", "received_bytes", "received_bytes_total"], None, &[2]),
            (&["rx_bytes", "tx bytes", "Tx"], Some("^tx_"), &[1]),
            (&["_", "é", "-_-"], None, &[]),
        ] {
            assert_eq!(told(names, metrics), places, "{names:?}");
        }
    }
}
