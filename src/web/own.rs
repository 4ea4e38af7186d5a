//! The agent's own numbers: `promhttp_*`, `process_*` and build information.

use std::sync::{Mutex, PoisonError};

use procfs_core::FromRead;
use procfs_core::process::Stat;
use prometheus::core::Collector;
use prometheus::proto::{Metric, MetricType};
use prometheus::{IntCounterVec, IntGauge, Opts, Registry};
use rustix::process::{Resource, getrlimit};

use crate::collector::{Error, Result};
use crate::exposition::{Desc, Kind, LabelValue, Samples, Value, counter, gauge};
use crate::host::cursor::Text;
use crate::host::{Listing, Root};

/// The release whose metrics, flags and answers this program gives.
pub const CONTRACT: &str = "1.12.1";
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

static BUILD: Desc = gauge(
    "hostwarden_build_info",
    "1, labelled by the version of the agent and what it was built for.",
    &["goarch", "goos", "version"],
);

static ORIGINAL_BUILD: Desc = gauge(
    "node_exporter_build_info",
    "1, labelled by the node_exporter release that the agent stands in for.",
    &["branch", "goarch", "goos", "goversion", "revision", "tags", "version"],
);

static PROCESS: [Desc; 9] = [
    counter("process_cpu_seconds_total", "CPU time of the agent, user and system.", &[]),
    gauge("process_max_fds", "Descriptors that the agent may open.", &[]),
    gauge("process_open_fds", "Descriptors that the agent has open.", &[]),
    gauge("process_resident_memory_bytes", "Resident memory of the agent.", &[]),
    gauge("process_start_time_seconds", "When the agent started, since the epoch.", &[]),
    gauge("process_virtual_memory_bytes", "Virtual memory of the agent.", &[]),
    gauge("process_virtual_memory_max_bytes", "Virtual memory that the agent may have.", &[]),
    counter(
        "process_network_receive_bytes_total",
        "Bytes received in the agent's network namespace, from net/netstat.",
        &[],
    ),
    counter(
        "process_network_transmit_bytes_total",
        "Bytes sent in the agent's network namespace, from net/netstat.",
        &[],
    ),
];

/// Ticks in a second, as /proc counts CPU time whatever the kernel's own clock.
const USER_HZ: f64 = 100.0;

/// Name of the system and the processor, as Go calls them.
pub fn platform() -> (&'static str, &'static str) {
    let arch = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "x86" => "386",
        other => other,
    };
    (std::env::consts::OS, arch)
}

/// Counters of the metrics handler, and what the kernel says of this process.
pub struct Own {
    registry: Registry,
    pub requests: IntCounterVec,
    pub errors: IntCounterVec,
    pub in_flight: IntGauge,
    process: Mutex<Process>,
}

impl Own {
    pub fn new() -> prometheus::Result<Self> {
        let requests = IntCounterVec::new(
            Opts::new("promhttp_metric_handler_requests_total", "Scrapes answered, by status."),
            &["code"],
        )?;
        let errors = IntCounterVec::new(
            Opts::new(
                "promhttp_metric_handler_errors_total",
                "Scrapes in which samples were left out, by the step that refused them.",
            ),
            &["cause"],
        )?;
        let in_flight = IntGauge::new(
            "promhttp_metric_handler_requests_in_flight",
            "Scrapes being answered, this one included.",
        )?;
        for code in ["200", "500", "503"] {
            requests.with_label_values(&[code]);
        }
        for cause in ["encoding", "gathering"] {
            errors.with_label_values(&[cause]);
        }
        let registry = Registry::new();
        registry.register(Box::new(requests.clone()))?;
        registry.register(Box::new(errors.clone()))?;
        registry.register(Box::new(in_flight.clone()))?;
        let process = Mutex::new(Process::new());
        Ok(Self { registry, requests, errors, in_flight, process })
    }

    /// Lets another part's counters be served beside these.
    pub fn register(&self, collector: Box<dyn Collector>) -> prometheus::Result<()> {
        self.registry.register(collector)
    }

    /// Pushes who this is.
    pub fn push_build(out: &mut Samples) {
        let (goos, goarch) = platform();
        out.push(&BUILD, &[&goarch, &goos, &VERSION], 1.0);
        out.push(&ORIGINAL_BUILD, &[&"", &goarch, &goos, &"", &VERSION, &"", &CONTRACT], 1.0);
    }

    /// Pushes the counters as they stand. Reads files of /proc: not for an async thread.
    pub fn push(&self, out: &mut Samples) {
        for family in self.registry.gather() {
            let (kind, value): (_, fn(&Metric) -> f64) = match family.get_field_type() {
                MetricType::COUNTER => (Kind::Counter, |metric| metric.get_counter().get_value()),
                MetricType::GAUGE => (Kind::Gauge, |metric| metric.get_gauge().get_value()),
                // None of the agent's own metrics is of another type.
                _ => continue,
            };
            let id = out.family(family.name(), kind, family.help());
            for metric in family.get_metric() {
                let pairs: Vec<_> =
                    metric.get_label().iter().map(|pair| (pair.name(), pair.value())).collect();
                let labels: Vec<(&str, &dyn LabelValue)> =
                    pairs.iter().map(|(name, value)| (*name, value as &dyn LabelValue)).collect();
                out.push_named(id, &labels, value(metric));
            }
        }
        let mut process = self.process.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = process.push(out) {
            tracing::debug!(err = %error, "no process metrics");
        }
    }
}

/// Reads what the kernel says of this process, wherever `--path.procfs` points.
struct Process {
    root: Root,
    text: Vec<u8>,
    boot: Option<f64>,
}

impl Process {
    fn new() -> Self {
        Self { root: Root::new("/proc/self"), text: Vec::new(), boot: None }
    }

    fn push(&mut self, out: &mut Samples) -> Result<()> {
        let stat = Stat::from_read(self.root.read("stat", &mut self.text)?.bytes)
            .map_err(|error| Error::failed(format!("self/stat: {error}")))?;
        let boot = match self.boot {
            Some(boot) => boot,
            // When the agent started does not change with the clock.
            None => *self.boot.insert(boot_time(self.root.read("../stat", &mut self.text)?)?),
        };
        let [cpu, max_fds, open_fds, resident, start, virtual_memory, virtual_max, ..] = &PROCESS;
        let ticks = stat.utime.to_f64() + stat.stime.to_f64();
        out.push(cpu, &[], ticks / USER_HZ);
        out.push(max_fds, &[], soft(Resource::Nofile));
        out.push(open_fds, &[], self.open_descriptors()?);
        out.push(resident, &[], stat.rss.to_f64() * rustix::param::page_size().to_f64());
        out.push(start, &[], boot + stat.starttime.to_f64() / USER_HZ);
        out.push(virtual_memory, &[], stat.vsize);
        out.push(virtual_max, &[], soft(Resource::As));
        let octets = octets(self.root.read("net/netstat", &mut self.text)?)?;
        for (desc, value) in PROCESS[7..].iter().zip(octets) {
            out.push(desc, &[], value);
        }
        Ok(())
    }

    /// Since Linux 6.2 it is the size of the directory that lists them.
    fn open_descriptors(&self) -> Result<u64> {
        let size = self.root.stat("fd").map_or(0, |found| found.st_size);
        if let Ok(open @ 1..) = u64::try_from(size) {
            return Ok(open);
        }
        let mut listing = Listing::default();
        self.root.list("fd", &mut listing)?;
        // One of them is the listing's own.
        Ok(listing.names().count().saturating_sub(1) as u64)
    }
}

/// `btime 1763800000`
fn boot_time(stat: Text<'_>) -> Result<f64> {
    let line = stat.lines().find_map(|line| line.strip_prefix(b"btime "));
    line.ok_or_else(|| Error::truncated(stat.path))?.parse()
}

/// Received and sent octets: the values below the names of the pair of `IpExt:` lines.
fn octets(netstat: Text<'_>) -> Result<[f64; 2]> {
    let mut lines = netstat.lines().filter_map(|line| line.strip_prefix(b"IpExt: "));
    let (Some(names), Some(values)) = (lines.next(), lines.next()) else {
        return Err(Error::truncated(netstat.path));
    };
    let mut octets = [0.0; 2];
    for (name, value) in names.fields().zip(values.fields()) {
        match name.bytes {
            b"InOctets" => octets[0] = value.parse()?,
            b"OutOctets" => octets[1] = value.parse()?,
            _ => {}
        }
    }
    Ok(octets)
}

/// The limit in force; one that is none shows as 2^64 - 1.
fn soft(resource: Resource) -> u64 {
    getrlimit(resource).current.unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_process_is_told_in_full() {
        let own = Own::new().unwrap();
        own.requests.with_label_values(&["200"]).inc();
        let mut samples = Samples::default();
        Own::push_build(&mut samples);
        own.push(&mut samples);
        let value = |name: &str| {
            samples.iter().find(|sample| sample.name() == name.as_bytes()).unwrap().value()
        };
        for desc in &PROCESS[..7] {
            assert!(value(desc.name) > 0.0, "{}", desc.name);
        }
        assert!(value("process_start_time_seconds") > 1.7e9);
        assert_eq!(value("promhttp_metric_handler_requests_total"), 1.0);
        assert_eq!(value("node_exporter_build_info"), 1.0);
        let mut text = Vec::new();
        let limits = Root::new("/proc/self").read_once("limits", &mut text).unwrap();
        let limit = limits.lines().find_map(|line| line.strip_prefix(b"Max open files")).unwrap();
        let limit: f64 = limit.fields().next().unwrap().parse().unwrap();
        assert_eq!(value("process_max_fds"), limit);
    }

    #[test]
    fn octets_stand_below_their_names() {
        let text = "TcpExt: a b\nTcpExt: 1 2\nIpExt: InNoRoutes InOctets OutOctets\nIpExt: 0 7 9\n";
        assert_eq!(octets(Text::new("net/netstat", text.as_bytes())).unwrap(), [7.0, 9.0]);
        assert!(octets(Text::new("net/netstat", b"")).is_err());
    }
}
