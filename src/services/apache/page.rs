//! The lines of mod_status for programs.
//!
//! `Name: value`, of which some come with ExtendedStatus only, some with the event MPM, some with
//! other modules, and some with newer releases: what is missing is not told.

use super::balancer::{self, Members};
use crate::collector::prelude::*;
use crate::exposition::Value;
use crate::number;
use crate::services::Series;
use crate::services::problem::Problem;

static INFO: Desc = gauge(
    "apache_info",
    "1, labelled by what Apache calls itself and by its multi-processing module.",
    &["mpm", "version"],
);
static VERSION: Desc =
    gauge("apache_version", "Version as a number: 2.4.23 is 2.04023, from ServerVersion.", &[]);
static GENERATION: Desc = gauge(
    "apache_generation",
    "How often Apache read its configuration, or its processes were renewed.",
    &["type"],
);
static LOAD: Desc = gauge(
    "apache_load",
    "Runnable and uninterruptible tasks of the host, averaged over the interval.",
    &["interval"],
);
static ACCESSES: Desc =
    counter("apache_accesses_total", "Requests served, from Total Accesses.", &[]);
static SENT: Desc =
    counter("apache_sent_kilobytes_total", "Kibibytes sent, from Total kBytes.", &[]);
static DURATION: Desc = counter(
    "apache_duration_ms_total",
    "Milliseconds that all requests took, from Total Duration.",
    &[],
);
static CPU_TIME: Desc = counter(
    "apache_cpu_time_ms_total",
    "CPU time of Apache and its children, in milliseconds.",
    &["type"],
);
static CPU_LOAD: Desc =
    gauge("apache_cpuload", "Share of one CPU since the start, in percent, from CPULoad.", &[]);
static UPTIME: Desc =
    counter("apache_uptime_seconds_total", "Seconds since the start, from Uptime.", &[]);
static WORKERS: Desc = gauge("apache_workers", "Workers by whether they are busy.", &["state"]);
static PROCESSES: Desc =
    gauge("apache_processes", "Processes of the event MPM, and those about to end.", &["state"]);
static CONNECTIONS: Desc = gauge(
    "apache_connections",
    "Connections of the event MPM, in all and by what is waited for.",
    &["state"],
);
static SCOREBOARD: Desc =
    gauge("apache_scoreboard", "Worker slots by what they are doing.", &["state"]);

static GRACEFUL: Desc = gauge(
    "hostwarden_apache_graceful_workers",
    "Workers that finish a request before they end, from GracefulWorkers.",
    &[],
);
static WAITING: Desc = gauge(
    "hostwarden_apache_connections_waiting",
    "Connections of the event MPM that wait for input or output, from ConnsAsyncWaitIO.",
    &[],
);
static TLS_CACHE_MEMORY: Desc = gauge(
    "hostwarden_apache_tls_cache_memory_bytes",
    "Shared memory of mod_ssl's session cache, in bytes.",
    &[],
);
static TLS_CACHE_ENTRIES: Desc =
    gauge("hostwarden_apache_tls_cache_entries", "Sessions in mod_ssl's cache.", &[]);
static TLS_CACHE_USED: Desc = gauge(
    "hostwarden_apache_tls_cache_used_ratio",
    "How full mod_ssl's session cache is, from 0 to 1.",
    &["part"],
);
static TLS_CACHE_OLDEST: Desc = gauge(
    "hostwarden_apache_tls_cache_oldest_left_seconds",
    "Time left to the oldest sessions of mod_ssl's subcaches, in seconds.",
    &["of"],
);
static TLS_CACHE_EVENTS: Desc = counter(
    "hostwarden_apache_tls_cache_events_total",
    "What happened to sessions in mod_ssl's cache.",
    &["event"],
);

/// Lines that are one sample each: key, family, and the value of its label if it has one.
static LINES: [(&[u8], &Desc, &str); 35] = [
    (b"ParentServerConfigGeneration", &GENERATION, "config"),
    (b"ParentServerMPMGeneration", &GENERATION, "mpm"),
    (b"Load1", &LOAD, "1min"),
    (b"Load5", &LOAD, "5min"),
    (b"Load15", &LOAD, "15min"),
    (b"Total Accesses", &ACCESSES, ""),
    (b"Total kBytes", &SENT, ""),
    (b"Total Duration", &DURATION, ""),
    (b"CPULoad", &CPU_LOAD, ""),
    (b"Uptime", &UPTIME, ""),
    (b"BusyWorkers", &WORKERS, "busy"),
    (b"IdleWorkers", &WORKERS, "idle"),
    (b"Processes", &PROCESSES, "all"),
    (b"Stopping", &PROCESSES, "stopping"),
    (b"ConnsTotal", &CONNECTIONS, "total"),
    (b"ConnsAsyncWriting", &CONNECTIONS, "writing"),
    (b"ConnsAsyncKeepAlive", &CONNECTIONS, "keepalive"),
    (b"ConnsAsyncClosing", &CONNECTIONS, "closing"),
    (b"GracefulWorkers", &GRACEFUL, ""),
    (b"ConnsAsyncWaitIO", &WAITING, ""),
    (b"CacheSharedMemory", &TLS_CACHE_MEMORY, ""),
    (b"CacheCurrentEntries", &TLS_CACHE_ENTRIES, ""),
    (b"CacheIndexUsage", &TLS_CACHE_USED, "index"),
    (b"CacheUsage", &TLS_CACHE_USED, "data"),
    (b"CacheTimeLeftOldestAvg", &TLS_CACHE_OLDEST, "average"),
    (b"CacheTimeLeftOldestMin", &TLS_CACHE_OLDEST, "minimum"),
    (b"CacheTimeLeftOldestMax", &TLS_CACHE_OLDEST, "maximum"),
    (b"CacheStoreCount", &TLS_CACHE_EVENTS, "store"),
    (b"CacheReplaceCount", &TLS_CACHE_EVENTS, "replace"),
    (b"CacheExpireCount", &TLS_CACHE_EVENTS, "expire"),
    (b"CacheDiscardCount", &TLS_CACHE_EVENTS, "discard"),
    (b"CacheRetrieveHitCount", &TLS_CACHE_EVENTS, "retrieve_hit"),
    (b"CacheRetrieveMissCount", &TLS_CACHE_EVENTS, "retrieve_miss"),
    (b"CacheRemoveHitCount", &TLS_CACHE_EVENTS, "remove_hit"),
    (b"CacheRemoveMissCount", &TLS_CACHE_EVENTS, "remove_miss"),
];

/// What each letter of the scoreboard stands for.
const STATES: [(u8, &str); 11] = [
    (b'_', "idle"),
    (b'S', "startup"),
    (b'R', "read"),
    (b'W', "reply"),
    (b'K', "keepalive"),
    (b'D', "dns"),
    (b'C', "closing"),
    (b'L', "logging"),
    (b'G', "graceful_stop"),
    (b'I', "idle_cleanup"),
    (b'.', "open_slot"),
];

pub(super) fn tell(page: Text<'_>, series: &mut Series<'_>) -> Result<(), Problem> {
    let has_line = |key: &[u8]| lines(page).any(|(name, _)| name == key);
    if !has_line(b"BusyWorkers") || !has_line(b"Scoreboard") {
        return Err(if is_for_people(page) { Problem::AutoMissing } else { Problem::NoStatusPage });
    }
    let mut reader = Reader::default();
    for (key, value) in lines(page) {
        // The first fault is told; the other lines are none the worse.
        if let Err(error) = reader.read(key, value, series) {
            reader.fault.get_or_insert(error);
        }
    }
    reader.finish(series)
}

/// Names and values; a name without a colon has an empty value.
fn lines(page: Text<'_>) -> impl Iterator<Item = (&[u8], Text<'_>)> {
    page.lines().map(|line| match line.split_once(b':') {
        Some((name, value)) => (name.bytes.trim_ascii(), value.trim()),
        None => (line.bytes.trim_ascii(), Text { bytes: b"", ..line }),
    })
}

fn is_for_people(page: Text<'_>) -> bool {
    memchr::memmem::find(page.bytes, b"<title>Apache Status</title>").is_some()
}

/// What takes more than one line to tell.
#[derive(Default)]
struct Reader<'p> {
    /// A bit for each of `LINES` that was told: a page that says something twice is heard once.
    told: u64,
    version: Option<&'p [u8]>,
    mpm: Option<&'p [u8]>,
    /// Seconds of user and system time.
    cpu_time: Option<[f64; 2]>,
    /// The same as `Uptime`, which comes with ExtendedStatus only.
    server_uptime: Option<Text<'p>>,
    has_scoreboard: bool,
    members: Members<'p>,
    fault: Option<Error>,
}

impl<'p> Reader<'p> {
    fn read(&mut self, key: &'p [u8], value: Text<'p>, series: &mut Series<'_>) -> Result<()> {
        match key {
            b"ServerVersion" => self.version = Some(value.bytes),
            b"ServerMPM" => self.mpm = Some(value.bytes),
            b"CPUUser" | b"CPUChildrenUser" => self.add_cpu_time(0, value)?,
            b"CPUSystem" | b"CPUChildrenSystem" => self.add_cpu_time(1, value)?,
            b"ServerUptimeSeconds" => self.server_uptime = Some(value),
            b"Scoreboard" if !self.has_scoreboard => {
                self.has_scoreboard = true;
                push_scoreboard(value.bytes, series);
            }
            _ => match key.strip_prefix(balancer::PREFIX) {
                Some(key) => self.members.read(key, value)?,
                None => self.push(key, value, series)?,
            },
        }
        Ok(())
    }

    fn add_cpu_time(&mut self, which: usize, value: Text<'_>) -> Result<()> {
        let seconds: f64 = value.parse()?;
        self.cpu_time.get_or_insert_default()[which] += seconds;
        Ok(())
    }

    /// Pushes a line that is a sample by itself.
    fn push(&mut self, key: &[u8], value: Text<'_>, series: &mut Series<'_>) -> Result<()> {
        let Some(at) = LINES.iter().position(|(name, ..)| *name == key) else { return Ok(()) };
        let (_, desc, label) = &LINES[at];
        // `CacheUsage: 12%`
        let value = match value.bytes.strip_suffix(b"%") {
            Some(percent) => Text { bytes: percent, ..value }.parse::<f64>()? / 100.0,
            None => value.parse()?,
        };
        let bit = 1 << at;
        if self.told & bit == 0 {
            series.push_with(desc, label, value);
        }
        self.told |= bit;
        Ok(())
    }

    fn has_told(&self, desc: &'static Desc) -> bool {
        let mut lines = LINES.iter().enumerate();
        lines.any(|(at, (_, of, _))| self.told & 1 << at != 0 && std::ptr::eq(*of, desc))
    }

    fn finish(mut self, series: &mut Series<'_>) -> Result<(), Problem> {
        const UNKNOWN: &[u8] = b"UNKNOWN";
        let version = self.version.unwrap_or(UNKNOWN);
        let mpm = self.mpm.unwrap_or(UNKNOWN);
        series.push(&INFO, &[&Repaired(mpm), &Repaired(version)], 1.0);
        if let Some(version) = self.version.and_then(version_number) {
            series.push(&VERSION, &[], version);
        }
        if let Some(seconds) = self.cpu_time {
            for (kind, seconds) in ["user", "system"].iter().zip(seconds) {
                series.push(&CPU_TIME, &[kind], seconds * 1000.0);
            }
        }
        // Apache leaves the line out while it has used no CPU time.
        if !self.has_told(&CPU_LOAD) {
            series.push(&CPU_LOAD, &[], 0.0);
        }
        if let Some(uptime) = self.server_uptime.filter(|_| !self.has_told(&UPTIME)) {
            match uptime.parse() {
                Ok(seconds) => series.push(&UPTIME, &[], seconds),
                Err(error) => drop(self.fault.get_or_insert(error)),
            }
        }
        let is_extended = self.has_told(&ACCESSES);
        self.members.push(series);
        match self.fault {
            Some(error) => Err(Problem::Malformed(error)),
            None if is_extended => Ok(()),
            None => Err(Problem::ExtendedStatusOff),
        }
    }
}

/// All states that Apache knows, and each letter that it does not as a state of its own.
fn push_scoreboard(board: &[u8], series: &mut Series<'_>) {
    let mut counts = [0_u32; 256];
    for &letter in board {
        counts[usize::from(letter)] += 1;
    }
    for (letter, state) in &STATES {
        let count = std::mem::take(&mut counts[usize::from(*letter)]);
        series.push(&SCOREBOARD, &[state], count.to_f64());
    }
    let (ascii, other) = counts.split_at(128);
    for (letter, &count) in (0_u8..).zip(ascii).filter(|(_, count)| **count > 0) {
        series.push(&SCOREBOARD, &[&Repaired(&[letter])], count.to_f64());
    }
    let other: u32 = other.iter().sum();
    if other > 0 {
        series.push(&SCOREBOARD, &[&"\u{FFFD}"], other.to_f64());
    }
}

/// `Apache/2.4.23 (Debian)` is 2.04023: two digits for the second part, three for the third.
fn version_number(server: &[u8]) -> Option<f64> {
    let server = std::str::from_utf8(server).ok()?;
    let (_, version) = server.split_once('/')?;
    let version = version.split(' ').next()?;
    let mut parts = version.split('.').map(|part| {
        let end = part.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(part.len());
        &part[..end]
    });
    let major = parts.next().filter(|major| !major.is_empty())?;
    let minor = parts.next().unwrap_or_default();
    let patch = parts.next().unwrap_or_default();
    number::float(format!("{major}.{minor:0>2}{patch:0>3}").as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exposition::merge::Merge;
    use crate::exposition::text;

    /// What a page is told as, without HELP and TYPE, and the reason of what is wrong with it.
    fn said(page: &str) -> (Vec<String>, Option<String>) {
        let mut out = Samples::default();
        let mut series = Series { address: None, out: &mut out };
        let problem = tell(Text::new("server-status", page.as_bytes()), &mut series).err();
        let sources = [out];
        let mut merge = Merge::default();
        merge.build(&sources);
        assert_eq!(merge.faults(), [""; 0]);
        let mut exposition = Vec::new();
        text::write(&merge, &sources, &mut exposition);
        let lines = std::str::from_utf8(&exposition).unwrap().lines();
        let lines = lines.filter(|line| !line.starts_with('#')).map(str::to_owned).collect();
        (lines, problem.map(|problem| problem.reason().to_owned()))
    }

    fn lines_of(page: &str, family: &str) -> Vec<String> {
        let is_of = |line: &String| {
            line.strip_prefix(family).is_some_and(|rest| rest.starts_with(['{', ' ']))
        };
        said(page).0.into_iter().filter(is_of).collect()
    }

    const OLD: &str = "Total Accesses: 302311\nTotal kBytes: 1677830\nCPULoad: 27.4052\n\
        Uptime: 45683\nReqPerSec: 6.61758\nBytesPerSec: 37609.1\nBytesPerReq: 5683.21\n\
        BusyWorkers: 2\nIdleWorkers: 8\nScoreboard: _W_______K......................\n";

    const WORKER: &str = "localhost\nServerVersion: Apache/2.4.23 (Unix)\nServerMPM: worker\n\
        Server Built: Jul 29 2016 04:26:14\nParentServerConfigGeneration: 1\n\
        ParentServerMPMGeneration: 0\nServerUptimeSeconds: 35\nServerUptime: 35 seconds\n\
        Load1: 0.00\nLoad5: 0.03\nLoad15: 0.05\nTotal Accesses: 4\nTotal kBytes: 2\n\
        Total Duration: 1200\nCPUUser: .25\nCPUSystem: .01\nCPUChildrenUser: 1\n\
        CPUChildrenSystem: 0\nCPULoad: .0571429\nUptime: 35\nBusyWorkers: 1\nIdleWorkers: 49\n\
        Scoreboard: W_S\n";

    #[test]
    fn a_page_of_an_old_release_is_told_as_far_as_it_goes() {
        let (lines, problem) = said(OLD);
        assert_eq!(problem, None);
        // The original tells 19, apache_up among them.
        assert_eq!(lines.len(), 18, "{lines:#?}");
        for line in [
            "apache_accesses_total 302311",
            "apache_sent_kilobytes_total 1.67783e+06",
            "apache_uptime_seconds_total 45683",
            "apache_cpuload 27.4052",
            "apache_info{mpm=\"UNKNOWN\",version=\"UNKNOWN\"} 1",
            "apache_workers{state=\"busy\"} 2",
            "apache_scoreboard{state=\"keepalive\"} 1",
            "apache_scoreboard{state=\"open_slot\"} 22",
            "apache_scoreboard{state=\"dns\"} 0",
        ] {
            assert!(lines.iter().any(|told| told == line), "{line}\n{lines:#?}");
        }
    }

    #[test]
    fn a_newer_page_has_versions_loads_and_cpu_time() {
        let (lines, problem) = said(WORKER);
        assert_eq!(problem, None);
        // The original tells 28, apache_up among them.
        assert_eq!(lines.len(), 27, "{lines:#?}");
        for line in [
            "apache_version 2.04023",
            "apache_info{mpm=\"worker\",version=\"Apache/2.4.23 (Unix)\"} 1",
            "apache_cpu_time_ms_total{type=\"system\"} 10",
            "apache_cpu_time_ms_total{type=\"user\"} 1250",
            "apache_generation{type=\"config\"} 1",
            "apache_load{interval=\"5min\"} 0.03",
            "apache_duration_ms_total 1200",
        ] {
            assert!(lines.iter().any(|told| told == line), "{line}\n{lines:#?}");
        }
    }

    #[test]
    fn without_extended_status_the_uptime_is_taken_from_elsewhere() {
        let page: String = WORKER
            .lines()
            .filter(|line| !line.starts_with("Total") && !line.starts_with("CPU"))
            .filter(|line| !line.starts_with("Uptime"))
            .map(|line| format!("{line}\n"))
            .collect();
        let (lines, problem) = said(&page);
        assert_eq!(problem.as_deref(), Some("extended_status_off"));
        assert!(lines.contains(&"apache_uptime_seconds_total 35".to_owned()), "{lines:#?}");
        assert!(lines.contains(&"apache_cpuload 0".to_owned()), "{lines:#?}");
    }

    #[test]
    fn a_bad_number_costs_its_own_sample_only() {
        for (good, bad) in [
            ("Total kBytes: 2", "Total kBytes: 2x"),
            ("Load1: 0.00", "Load1:"),
            ("CPUUser: .25", "CPUUser: much"),
        ] {
            let (lines, problem) = said(&WORKER.replace(good, bad));
            assert_eq!(problem.as_deref(), Some("malformed"), "{bad}");
            assert!(lines.len() >= 26, "{bad}: {lines:#?}");
        }
        let page = WORKER.replace("2.4.23", "2.4.23\nUptime: 1\nUptime: 2\nScoreboard: _");
        assert_eq!(
            lines_of(&page, "apache_uptime_seconds_total"),
            ["apache_uptime_seconds_total 1"]
        );
    }

    #[test]
    fn other_pages_are_told_apart() {
        let people = "<!DOCTYPE HTML>\n<html><head>\n<title>Apache Status</title>\n</head>";
        for (page, reason) in [
            (people, "auto_missing"),
            ("", "no_status_page"),
            ("<html>BusyWorkers: 1 Scoreboard: _</html>", "no_status_page"),
            ("BusyWorkers: 1\nIdleWorkers: 1\n", "no_status_page"),
            ("Active connections: 1 \nserver accepts handled requests\n", "no_status_page"),
        ] {
            assert_eq!(said(page), (Vec::new(), Some(reason.to_owned())), "{page}");
        }
    }

    #[test]
    fn versions() {
        for (server, number) in [
            ("Apache/2.4.23 (Unix)", Some(2.04023)),
            ("Apache/2.4.71 (Debian) OpenSSL/3.0.19", Some(2.04071)),
            ("Apache/2.2.22.2", Some(2.02022)),
            ("Apache/2.4.62-dev", Some(2.04062)),
            ("Apache/2.4", Some(2.04)),
            ("Apache/2", Some(2.0)),
            ("Apache", None),
            ("Apache/", None),
            ("Apache/x", None),
            ("", None),
        ] {
            assert_eq!(version_number(server.as_bytes()), number, "{server}");
        }
    }

    #[test]
    fn a_scoreboard_may_be_long_and_odd() {
        let page = |board: &str| format!("BusyWorkers: 1\nScoreboard: {board}\n");
        let long = "_".repeat(60_000) + &".".repeat(40_000);
        let lines = lines_of(&page(&long), "apache_scoreboard");
        assert!(lines.contains(&"apache_scoreboard{state=\"idle\"} 60000".to_owned()));
        assert!(lines.contains(&"apache_scoreboard{state=\"open_slot\"} 40000".to_owned()));
        let lines = lines_of(&page("_?\"é?"), "apache_scoreboard");
        for line in [
            "apache_scoreboard{state=\"?\"} 2",
            "apache_scoreboard{state=\"\\\"\"} 1",
            "apache_scoreboard{state=\"\u{FFFD}\"} 2",
        ] {
            assert!(lines.contains(&line.to_owned()), "{lines:?}");
        }
    }

    #[test]
    fn members_of_one_name_are_told_as_one() {
        let page = format!(
            "{WORKER}\
             ProxyBalancer[0]Name: balancer://one\n\
             ProxyBalancer[0]Worker[0]Name: http://a\n\
             ProxyBalancer[0]Worker[0]Status: Init Ok \n\
             ProxyBalancer[0]Worker[0]Elected: 3\n\
             ProxyBalancer[0]Worker[0]Busy: 1\n\
             ProxyBalancer[0]Worker[0]Sent: 4K\n\
             ProxyBalancer[0]Worker[0]Rcvd: 80k\n\
             ProxyBalancer[0]Worker[1]Name: http://b\n\
             ProxyBalancer[0]Worker[1]Status: Init Err \n\
             ProxyBalancer[0]Worker[2]Name: http://a\n\
             ProxyBalancer[0]Worker[2]Status: Init Dis \n\
             ProxyBalancer[0]Worker[2]Elected: 4\n\
             ProxyBalancer[1]Name: balancer://two\n\
             ProxyBalancer[1]Worker[0]Name: http://a\n\
             ProxyBalancer[1]Worker[0]Sent: 1.2M\n"
        );
        assert_eq!(said(&page).1.as_deref(), Some("malformed"));
        let family = |name: &str| lines_of(&page, &format!("apache_proxy_balancer_{name}"));
        assert_eq!(
            family("accesses_total"),
            [
                "apache_proxy_balancer_accesses_total{balancer=\"balancer://one\",worker=\"http://a\"} 7"
            ]
        );
        assert_eq!(
            family("request_kbytes_total"),
            [
                "apache_proxy_balancer_request_kbytes_total{balancer=\"balancer://one\",worker=\"http://a\"} 4"
            ]
        );
        assert_eq!(
            family("response_kbytes_total"),
            [
                "apache_proxy_balancer_response_kbytes_total{balancer=\"balancer://one\",worker=\"http://a\"} 80"
            ]
        );
        assert_eq!(
            family("status"),
            [
                "apache_proxy_balancer_status{balancer=\"balancer://one\",status=\"Init Dis\",worker=\"http://a\"} 1",
                "apache_proxy_balancer_status{balancer=\"balancer://one\",status=\"Init Err\",worker=\"http://b\"} 1",
                "apache_proxy_balancer_status{balancer=\"balancer://one\",status=\"Init Ok\",worker=\"http://a\"} 1",
            ]
        );
        let nameless = format!("{WORKER}ProxyBalancer[0]Worker[0]Busy: 2\n");
        assert_eq!(
            lines_of(&nameless, "apache_proxy_balancer_busy"),
            ["apache_proxy_balancer_busy{balancer=\"UNKNOWN\",worker=\"UNKNOWN\"} 2"]
        );
    }
}
