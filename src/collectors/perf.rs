//! Hardware, software, cache and tracepoint events of each CPU, through `perf_event_open(2)`.
//!
//! Counters are opened once, at start, and count from there on. What the machine or the kernel's
//! `perf_event_paranoid` does not offer is left out without a word.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use crate::collector::prelude::*;
use crate::collector::errno_text;
use crate::exposition::FamilyId;
use crate::host::Paths;
use crate::host::perf::{self, Counter, Event, Type};
use crate::number;

static CPUS: Flag<String> = flags::text(
    "collector.perf.cpus",
    "",
    "CPUs to count on, such as 0,2-5,8-16:2; empty for all.",
);
static TRACEPOINT: Flag<Vec<String>> =
    flags::list("collector.perf.tracepoint", "", "Tracepoint to count, as subsystem:event.");
static NO_HARDWARE: Flag<bool> = flags::switch(
    "collector.perf.disable-hardware-profilers",
    false,
    "Leave out the events of the processor.",
);
static HARDWARE: Flag<Vec<String>> = flags::list(
    "collector.perf.hardware-profilers",
    "",
    "Event of the processor to count, such as CpuCycles; without, all of them.",
);
static NO_SOFTWARE: Flag<bool> = flags::switch(
    "collector.perf.disable-software-profilers",
    false,
    "Leave out the events of the kernel.",
);
static SOFTWARE: Flag<Vec<String>> = flags::list(
    "collector.perf.software-profilers",
    "",
    "Event of the kernel to count, such as PageFault; without, all of them.",
);
static NO_CACHE: Flag<bool> = flags::switch(
    "collector.perf.disable-cache-profilers",
    false,
    "Leave out the events of the caches.",
);
static CACHE: Flag<Vec<String>> = flags::list(
    "collector.perf.cache-profilers",
    "",
    "Event of the caches to count, such as LLReadMiss; without, all of them.",
);

pub static SPEC: Spec = Spec::new(
    "perf",
    Off,
    "perf_event_open(2)",
    &[
        &CPUS,
        &TRACEPOINT,
        &NO_HARDWARE,
        &HARDWARE,
        &NO_SOFTWARE,
        &SOFTWARE,
        &NO_CACHE,
        &CACHE,
    ],
    |setup| Ok(Box::new(Perf::new(setup)?)),
);

/// An event that may be chosen by name.
struct Profiler {
    name: &'static str,
    desc: Desc,
    config: u64,
}

/// A set of events with its flags.
struct Set {
    what: &'static str,
    kind: Type,
    without: &'static Flag<bool>,
    chosen: &'static Flag<Vec<String>>,
    profilers: &'static [Profiler],
    /// Whether a counter that cannot be read fails the collector.
    is_strict: bool,
}

static SETS: [Set; 3] = [
    Set {
        what: "hardware",
        kind: Type::Hardware,
        without: &NO_HARDWARE,
        chosen: &HARDWARE,
        profilers: &HARDWARE_EVENTS,
        is_strict: true,
    },
    Set {
        what: "software",
        kind: Type::Software,
        without: &NO_SOFTWARE,
        chosen: &SOFTWARE,
        profilers: &SOFTWARE_EVENTS,
        is_strict: false,
    },
    Set {
        what: "cache",
        kind: Type::HardwareCache,
        without: &NO_CACHE,
        chosen: &CACHE,
        profilers: &CACHE_EVENTS,
        is_strict: true,
    },
];

const fn event(name: &'static str, config: u64, metric: &'static str, help: &'static str) -> Profiler {
    Profiler { name, config, desc: counter(metric, help, &["cpu"]) }
}

static HARDWARE_EVENTS: [Profiler; 9] = [
    event("CpuCycles", 0, "node_perf_cpucycles_total", "Cycles, at whatever frequency the CPU ran."),
    event("CpuInstr", 1, "node_perf_instructions_total", "Instructions retired."),
    event("CacheRef", 2, "node_perf_cache_refs_total", "Cache accesses, commonly of the last level."),
    event("CacheMisses", 3, "node_perf_cache_misses_total", "Cache misses, commonly of the last level."),
    event("BranchInstr", 4, "node_perf_branch_instructions_total", "Branch instructions retired."),
    event("BranchMisses", 5, "node_perf_branch_misses_total", "Branches predicted wrongly."),
    event(
        "StalledCyclesFrontend",
        7,
        "node_perf_stalled_cycles_frontend_total",
        "Cycles in which no instruction could be issued.",
    ),
    event(
        "StalledCyclesBackend",
        8,
        "node_perf_stalled_cycles_backend_total",
        "Cycles in which no instruction could retire.",
    ),
    event(
        "RefCpuCycles",
        9,
        "node_perf_ref_cpucycles_total",
        "Cycles of the reference clock, whatever frequency the CPU ran at.",
    ),
];

static SOFTWARE_EVENTS: [Profiler; 5] = [
    event("PageFault", 2, "node_perf_page_faults_total", "Page faults of both kinds."),
    event("ContextSwitch", 3, "node_perf_context_switches_total", "Switches from task to task."),
    event("CpuMigration", 4, "node_perf_cpu_migrations_total", "Tasks that came from another CPU."),
    event("MinorFault", 5, "node_perf_minor_faults_total", "Page faults settled without a disk."),
    event("MajorFault", 6, "node_perf_major_faults_total", "Page faults that had to read a disk."),
];

/// `PERF_COUNT_HW_CACHE_…` of linux/perf_event.h.
#[derive(Clone, Copy)]
enum Cache {
    L1Data = 0,
    L1Instr = 1,
    LastLevel = 2,
    DataTlb = 3,
    InstrTlb = 4,
    Branch = 5,
}

const READ_HIT: u64 = 0;
const WRITE_HIT: u64 = 1 << 8;
const READ_MISS: u64 = 1 << 16;
const WRITE_MISS: u64 = WRITE_HIT | READ_MISS;

const fn cache(
    name: &'static str,
    cache: Cache,
    access: u64,
    metric: &'static str,
    help: &'static str,
) -> Profiler {
    event(name, cache as u64 | access, metric, help)
}

#[rustfmt::skip]
static CACHE_EVENTS: [Profiler; 16] = [
    cache("L1DataReadHit", Cache::L1Data, READ_HIT, "node_perf_cache_l1d_read_hits_total", "Reads of the first level data cache."),
    cache("L1DataReadMiss", Cache::L1Data, READ_MISS, "node_perf_cache_l1d_read_misses_total", "Reads that missed the first level data cache."),
    cache("L1DataWriteHit", Cache::L1Data, WRITE_HIT, "node_perf_cache_l1d_write_hits_total", "Writes to the first level data cache."),
    cache("L1InstrReadMiss", Cache::L1Instr, READ_MISS, "node_perf_cache_l1_instr_read_misses_total", "Fetches that missed the first level instruction cache."),
    cache("LLReadHit", Cache::LastLevel, READ_HIT, "node_perf_cache_ll_read_hits_total", "Reads of the last level cache."),
    cache("LLReadMiss", Cache::LastLevel, READ_MISS, "node_perf_cache_ll_read_misses_total", "Reads that missed the last level cache."),
    cache("LLWriteHit", Cache::LastLevel, WRITE_HIT, "node_perf_cache_ll_write_hits_total", "Writes to the last level cache."),
    cache("LLWriteMiss", Cache::LastLevel, WRITE_MISS, "node_perf_cache_ll_write_misses_total", "Writes that missed the last level cache."),
    cache("DataTLBReadHit", Cache::DataTlb, READ_HIT, "node_perf_cache_tlb_data_read_hits_total", "Reads that asked the data TLB."),
    cache("DataTLBReadMiss", Cache::DataTlb, READ_MISS, "node_perf_cache_tlb_data_read_misses_total", "Reads that missed the data TLB."),
    cache("DataTLBWriteHit", Cache::DataTlb, WRITE_HIT, "node_perf_cache_tlb_data_write_hits_total", "Writes that asked the data TLB."),
    cache("DataTLBWriteMiss", Cache::DataTlb, WRITE_MISS, "node_perf_cache_tlb_data_write_misses_total", "Writes that missed the data TLB."),
    cache("InstrTLBReadHit", Cache::InstrTlb, READ_HIT, "node_perf_cache_tlb_instr_read_hits_total", "Fetches that asked the instruction TLB."),
    cache("InstrTLBReadMiss", Cache::InstrTlb, READ_MISS, "node_perf_cache_tlb_instr_read_misses_total", "Fetches that missed the instruction TLB."),
    cache("BPUReadHit", Cache::Branch, READ_HIT, "node_perf_cache_bpu_read_hits_total", "Branches that the prediction unit was asked for."),
    cache("BPUReadMiss", Cache::Branch, READ_MISS, "node_perf_cache_bpu_read_misses_total", "Branches that the prediction unit did not know."),
];

struct Perf {
    /// In the order of [`SETS`]; within a set one CPU after another.
    sets: [Vec<OnCpu>; 3],
    tracepoints: Tracepoints,
}

struct OnCpu {
    cpu: u32,
    counters: Vec<(&'static Desc, Counter)>,
}

impl Perf {
    fn new(setup: &Setup<'_>) -> Result<Self, String> {
        let flags = setup.flags;
        let cpus = match flags.get(&CPUS).as_str() {
            "" => (0..perf::cpu_count()).collect(),
            list => parse_cpus(list)?,
        };
        let names = if flags.is_given(TRACEPOINT.name()) { flags.get(&TRACEPOINT) } else { vec![] };
        let tracepoints = Tracepoints::open(setup.paths, &names, &cpus)?;
        let mut sets = [vec![], vec![], vec![]];
        for (set, counters) in SETS.iter().zip(&mut sets) {
            *counters = set.open(flags, &cpus)?;
        }
        Ok(Self { sets, tracepoints })
    }
}

impl Set {
    fn open(&self, flags: &flags::Values, cpus: &BTreeSet<u32>) -> Result<Vec<OnCpu>, String> {
        if flags.get(self.without) {
            return Ok(Vec::new());
        }
        let profilers = self.chosen(flags);
        let mut set = Vec::with_capacity(cpus.len());
        for &cpu in cpus {
            let mut counters = Vec::new();
            for profiler in &profilers {
                let event = Event { kind: self.kind, config: profiler.config };
                let Ok(counter) = Counter::open(event, cpu) else { continue };
                counter.start().map_err(|errno| {
                    format!("perf: {} on CPU {cpu}: {}", profiler.name, errno_text(errno))
                })?;
                counters.push((&profiler.desc, counter));
            }
            set.push(OnCpu { cpu, counters });
        }
        Ok(set)
    }

    /// The events named by the flag; all of them when it names none that exist.
    fn chosen(&self, flags: &flags::Values) -> Vec<&'static Profiler> {
        let mut names = Vec::new();
        if flags.is_given(self.chosen.name()) {
            names = flags.get(self.chosen);
            for name in &names {
                if !self.profilers.iter().any(|profiler| profiler.name == name) {
                    tracing::error!("Unknown {} profiler: {name}", self.what);
                }
            }
        }
        let is_named = |profiler: &&Profiler| names.iter().any(|name| name == profiler.name);
        let chosen: Vec<&Profiler> = self.profilers.iter().filter(is_named).collect();
        if chosen.is_empty() { self.profilers.iter().collect() } else { chosen }
    }

    fn push(&self, on: &OnCpu, out: &mut Samples) -> Result<()> {
        for (desc, counter) in &on.counters {
            match counter.read() {
                Ok(value) => out.push(desc, &[&on.cpu], value),
                Err(errno) if self.is_strict => return Err(unreadable(self.what, on.cpu, errno)),
                Err(_) => {}
            }
        }
        Ok(())
    }
}

impl Collector for Perf {
    fn collect(&mut self, _: &mut Cx<'_>, out: &mut Samples) -> Result<()> {
        for (set, counters) in SETS.iter().zip(&self.sets) {
            for on in counters {
                out.all_or_nothing(|out| set.push(on, out))?;
            }
        }
        self.tracepoints.push(out)
    }
}

fn unreadable(what: &str, cpu: u32, errno: Errno) -> Error {
    Error::failed(format!("perf: {what} events on CPU {cpu}: {}", errno_text(errno)))
}

/// `1`, `1-5` and `1-8:2`, with commas between them.
fn parse_cpus(list: &str) -> Result<BTreeSet<u32>, String> {
    /// The kernel's own limit is 8192.
    const CPUS_MAX: i64 = 1 << 16;

    let number = |text: &str| {
        number::int(text.as_bytes())
            .ok_or_else(|| format!("strconv.Atoi: parsing {text:?}: invalid syntax"))
    };
    let cpu = |cpu: i64| {
        let known = u32::try_from(cpu).ok().filter(|_| cpu < CPUS_MAX);
        known.ok_or_else(|| format!("--collector.perf.cpus: no CPU {cpu} in {list:?}"))
    };
    let mut cpus = BTreeSet::new();
    for part in list.split(',') {
        if !part.contains('-') {
            cpus.insert(cpu(number(part)?)?);
            continue;
        }
        let mut halves = part.split(':');
        let range = halves.next().unwrap_or_default();
        let stride = match (halves.next(), halves.next()) {
            (Some(stride), None) => number(stride)?,
            _ => 1,
        };
        let ends: Vec<&str> = range.split('-').collect();
        let [start, end] = ends[..] else { return Err(format!("invalid flag value {list:?}")) };
        let (start, end) = (number(start)?, number(end)?);
        let stride = usize::try_from(stride).ok().filter(|&stride| stride > 0);
        let stride = stride.ok_or_else(|| format!("invalid flag value {list:?}"))?;
        if start <= end {
            cpu(end)?;
        }
        for each in (start..=end).step_by(stride) {
            cpus.insert(cpu(each)?);
        }
    }
    Ok(cpus)
}

/// The tracepoints asked for, as one group of events on each CPU.
struct Tracepoints {
    /// Metric name and HELP text of each.
    names: Vec<(String, String)>,
    groups: Vec<(u32, perf::Group)>,
    families: Vec<FamilyId>,
}

impl Tracepoints {
    fn open(paths: &Paths, names: &[String], cpus: &BTreeSet<u32>) -> Result<Self, String> {
        let mut opened = Self { names: vec![], groups: vec![], families: vec![] };
        if names.is_empty() {
            return Ok(opened);
        }
        let mut events = Vec::with_capacity(names.len());
        let mut tracefs = None;
        for name in names {
            let mut parts = name.split(':');
            let (Some(subsystem), Some(event), None) = (parts.next(), parts.next(), parts.next())
            else {
                return Err(format!("invalid tracepoint config {name}"));
            };
            let tracefs = tracefs.get_or_insert_with(|| Tracefs::find(paths));
            events.push(Event { kind: Type::Tracepoint, config: tracefs.id(subsystem, event)? });
            // A subsystem's name may have a dash, as in xhci-hcd.
            let metric: String = format!("node_perf_{subsystem}_{event}")
                .chars()
                .map(|c| if c.is_ascii_alphanumeric() || c == ':' { c } else { '_' })
                .collect();
            opened.names.push((metric, format!("Passes of the tracepoint {name}.")));
        }
        for &cpu in cpus {
            let group = perf::Group::open(&events, cpu).map_err(|(at, errno)| {
                format!("perf: {} on CPU {cpu}: {}", names[at], errno_text(errno))
            })?;
            opened.groups.push((cpu, group));
        }
        for (cpu, group) in &opened.groups {
            group.start().map_err(|errno| {
                format!("perf: tracepoints on CPU {cpu}: {}", errno_text(errno))
            })?;
        }
        Ok(opened)
    }

    fn push(&mut self, out: &mut Samples) -> Result<()> {
        let Self { names, groups, families } = self;
        families.clear();
        families.extend(names.iter().map(|(name, help)| out.family(name, Kind::Counter, help)));
        for (cpu, group) in groups {
            let values = group.read().map_err(|errno| unreadable("tracepoint", *cpu, errno))?;
            for (family, value) in families.iter().zip(values) {
                out.push_named(*family, &[("cpu", cpu)], value);
            }
        }
        Ok(())
    }
}

/// Where tracepoints are described.
struct Tracefs {
    root: Root,
    shown: String,
}

impl Tracefs {
    /// The first tracefs that is mounted, or else where debugfs mounts one when it is looked at.
    fn find(paths: &Paths) -> Self {
        let mut mounts = Vec::new();
        let path = Root::new(&paths.proc).read("mounts", &mut mounts).ok().and_then(|mounts| {
            // "tracefs /sys/kernel/tracing tracefs rw,nosuid,nodev,noexec,relatime 0 0"
            let mut lines = mounts.lines().map(|line| line.bytes.split(|&byte| byte == b' '));
            let path = lines.find_map(|mut words| {
                let (_, path, kind) = (words.next()?, words.next()?, words.next()?);
                (kind == b"tracefs").then_some(path)
            })?;
            std::str::from_utf8(path).ok().map(Into::into)
        });
        let path = path.unwrap_or_else(|| paths.sys.join("kernel/debug/tracing"));
        Self { root: Root::new(&path), shown: path.display().to_string() }
    }

    fn id(&mut self, subsystem: &str, event: &str) -> Result<u64, String> {
        let mut path = String::new();
        let _ = write!(path, "events/{subsystem}/{event}/id");
        let id = self.root.attribute(&path, &mut Vec::new()).and_then(Text::parse);
        id.map_err(|error| format!("perf: {}/{error}", self.shown))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_cpus() {
        for (list, cpus) in [
            ("0", vec![0]),
            ("+3", vec![3]),
            ("1-3", vec![1, 2, 3]),
            ("1-10:5", vec![1, 6]),
            ("1-8:2,0", vec![0, 1, 3, 5, 7]),
            ("1-3:2:9", vec![1, 2, 3]),
            ("4,4,4-5", vec![4, 5]),
            ("5-1", vec![]),
        ] {
            let parsed: Vec<u32> = parse_cpus(list).unwrap().into_iter().collect();
            assert_eq!(parsed, cpus, "{list}");
        }
        for list in ["x", "", "1,", "1:2", "1-", "-1", "1-2-3", "1-5:", "1-5:0", "1-5:x", "1_0"] {
            assert!(parse_cpus(list).is_err(), "{list}");
        }
        assert!(parse_cpus("0-9999999999").is_err());
        assert_eq!(parse_cpus("1-2-3").unwrap_err(), "invalid flag value \"1-2-3\"");
    }
}
