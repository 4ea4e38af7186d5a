//! What CPUs spend their time on, from `/proc/stat`; what they are, from `/proc/cpuinfo`; throttling,
//! isolation and hotplug, from `/sys/devices/system/cpu`.

mod info;

use crate::collector::prelude::*;
use crate::host::cpus;
use crate::host::proc_stat::{IDLE, Seconds};
use crate::host::{Paths, Root};

static GUEST: Flag<bool> =
    flags::switch("collector.cpu.guest", true, "Tell the time spent in guests.");
static INFO: Flag<bool> =
    flags::switch("collector.cpu.info", false, "Tell what /proc/cpuinfo says of each CPU.");
static FLAGS_INCLUDE: Flag<String> = flags::text(
    "collector.cpu.info.flags-include",
    "",
    "Regexp of CPU flags to tell; sets --collector.cpu.info.",
);
static BUGS_INCLUDE: Flag<String> = flags::text(
    "collector.cpu.info.bugs-include",
    "",
    "Regexp of CPU bugs to tell; sets --collector.cpu.info.",
);

pub static SPEC: Spec = Spec::new(
    "cpu",
    On,
    "/proc/stat, /proc/cpuinfo and /sys/devices/system/cpu",
    &[&GUEST, &INFO, &FLAGS_INCLUDE, &BUGS_INCLUDE],
    |setup| Ok(Box::new(Cpu::new(setup)?)),
);

static SECONDS: Desc = counter(
    "node_cpu_seconds_total",
    "Time each CPU spent in each mode, in seconds; user and nice include guests.",
    &["cpu", "mode"],
);
static GUEST_SECONDS: Desc = counter(
    "node_cpu_guest_seconds_total",
    "Time each CPU ran guests, in seconds, by the mode it is also counted in.",
    &["cpu", "mode"],
);
static PACKAGE_THROTTLES: Desc = counter(
    "node_cpu_package_throttles_total",
    "Times a CPU package was throttled because it was too hot.",
    &["package"],
);
static CORE_THROTTLES: Desc = counter(
    "node_cpu_core_throttles_total",
    "Times a CPU core was throttled because it was too hot.",
    &["core", "package"],
);
static ISOLATED: Desc =
    gauge("node_cpu_isolated", "1 for each CPU that the scheduler leaves alone.", &["cpu"]);
static ONLINE: Desc =
    gauge("node_cpu_online", "Whether the CPU is online and may be given work.", &["cpu"]);

const MODES: [&str; 8] = ["user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal"];

/// Where a guest's times stand behind those of [`MODES`].
const GUEST_MODES: [(&str, usize); 2] = [("user", 8), ("nice", 9)];

struct Cpu {
    guest: bool,
    info: Option<info::Wanted>,
    isolated: Vec<u16>,
    times: Times,
    directories: Listing,
    throttles: Throttles,
}

impl Cpu {
    fn new(setup: &Setup<'_>) -> Result<Self, String> {
        setup.need_proc()?;
        setup.need_sys()?;
        let isolated = read_isolated(setup.paths)
            .map_err(|error| format!("unable to get isolated cpus: {error}"))?;
        let flags = setup.flags.get(&FLAGS_INCLUDE);
        let bugs = setup.flags.get(&BUGS_INCLUDE);
        let is_wanted = setup.flags.get(&INFO) || !flags.is_empty() || !bugs.is_empty();
        let wanted = info::Wanted {
            flags: compile(&flags)?,
            bugs: compile(&bugs)?,
            frequency: setup.is_enabled("cpufreq"),
        };
        Ok(Self {
            guest: setup.flags.get(&GUEST),
            info: is_wanted.then_some(wanted),
            isolated,
            times: Times::default(),
            directories: Listing::default(),
            throttles: Throttles::default(),
        })
    }

    fn push_times(&mut self, cx: &mut Cx<'_>, out: &mut Samples) -> Result<()> {
        let stat = cx
            .shared
            .proc_stat
            .get(cx.deadline, |stat| stat.parse(cx.proc.read("stat", cx.text)?))?;
        self.times.take(&stat.cpus);
        for (cpu, seconds) in &self.times.highest {
            for (mode, value) in MODES.iter().zip(seconds) {
                out.push(&SECONDS, &[cpu, mode], *value);
            }
            for (mode, at) in GUEST_MODES.iter().filter(|_| self.guest) {
                out.push(&GUEST_SECONDS, &[cpu, mode], seconds[*at]);
            }
        }
        Ok(())
    }

    /// The original stops the program where there is no CPU; here the collector fails.
    fn push_online(&self, cx: &mut Cx<'_>, out: &mut Samples) -> Result<()> {
        for (at, directory) in cpus::directories(&self.directories).enumerate() {
            join(cx.path, &[cpus::DIRECTORY, "/", directory, "/online"]);
            let is_online = match cx.sys.try_attribute(cx.path, cx.text) {
                // A CPU that cannot be switched off, and on most machines none can.
                Err(Errno::NOENT) if at == 0 => return Ok(()),
                Ok(online) => online.bytes == b"1",
                Err(_) => false,
            };
            out.push(&ONLINE, &[&&directory[3..]], is_online);
        }
        match cpus::directories(&self.directories).next() {
            Some(_) => Ok(()),
            None => Err(Error::failed("devices/system/cpu: no CPU")),
        }
    }
}

impl Collector for Cpu {
    fn collect(&mut self, cx: &mut Cx<'_>, out: &mut Samples) -> Result<()> {
        if let Some(wanted) = &self.info {
            out.all_or_nothing(|out| info::push(wanted, cx, out))?;
        }
        self.push_times(cx, out)?;
        for cpu in &self.isolated {
            out.push(&ISOLATED, &[cpu], 1.0);
        }
        // What cannot be listed has no CPUs.
        let _ = cx.sys.try_list(cpus::DIRECTORY, &mut self.directories);
        self.throttles.push(&self.directories, cx, out);
        self.push_online(cx, out)
    }
}

fn compile(pattern: &str) -> Result<Option<Pattern>, String> {
    if pattern.is_empty() {
        return Ok(None);
    }
    Pattern::new(pattern).map(Some).map_err(|error| {
        let (flags, bugs) = (FLAGS_INCLUDE.name(), BUGS_INCLUDE.name());
        format!("--{flags} and --{bugs} must be regular expressions: {error}")
    })
}

/// Which CPUs are isolated is told to the kernel when it boots.
fn read_isolated(paths: &Paths) -> Result<Vec<u16>> {
    let mut isolated = Vec::new();
    let mut buffer = Vec::new();
    let mut sys = Root::new(&paths.sys);
    if let Some(list) = sys.read_present("devices/system/cpu/isolated", &mut buffer)? {
        cpus::parse_list(list, &mut isolated)?;
    }
    Ok(isolated)
}

/// The highest times seen of each CPU: some kernels let idle and iowait run backwards a little.
#[derive(Debug, Default)]
struct Times {
    highest: Vec<(i64, Seconds)>,
}

impl Times {
    fn take(&mut self, new: &[(i64, Seconds)]) {
        for (at, (cpu, seconds)) in new.iter().enumerate() {
            let highest = self.of(*cpu, at);
            // A CPU that lost so much idle time was taken out and came back counting from 0.
            if highest[IDLE] - seconds[IDLE] >= 3.0 {
                *highest = Seconds::default();
            }
            for (highest, new) in highest.iter_mut().zip(seconds) {
                *highest = highest.max(*new);
            }
        }
        if new.len() != self.highest.len() {
            self.highest.retain(|(cpu, _)| new.iter().any(|(present, _)| present == cpu));
        }
    }

    /// The times of `cpu`, which stands where it stood in the last scrape unless CPUs came or went.
    fn of(&mut self, cpu: i64, expected: usize) -> &mut Seconds {
        let is_cpu = |known: &(i64, Seconds)| known.0 == cpu;
        let at = match self.highest.get(expected) {
            Some(known) if is_cpu(known) => expected,
            _ => self.highest.iter().position(is_cpu).unwrap_or_else(|| {
                self.highest.push((cpu, Seconds::default()));
                self.highest.len() - 1
            }),
        };
        &mut self.highest[at].1
    }
}

/// The packages and cores whose throttle counts were pushed; CPUs of one core share its counts.
#[derive(Debug, Default)]
struct Throttles {
    packages: Vec<u64>,
    /// Package and core.
    cores: Vec<(u64, u64)>,
}

impl Throttles {
    fn push(&mut self, directories: &Listing, cx: &mut Cx<'_>, out: &mut Samples) {
        self.packages.clear();
        self.cores.clear();
        for directory in cpus::directories(directories) {
            let mut read = |file| read_count(cx, directory, file);
            let Some(package) = read("topology/physical_package_id") else { continue };
            let Some(core) = read("topology/core_id") else { continue };
            if !self.cores.contains(&(package, core))
                && let Some(count) = read("thermal_throttle/core_throttle_count")
            {
                self.cores.push((package, core));
                out.push(&CORE_THROTTLES, &[&core, &package], count);
            }
            if !self.packages.contains(&package)
                && let Some(count) = read("thermal_throttle/package_throttle_count")
            {
                self.packages.push(package);
                out.push(&PACKAGE_THROTTLES, &[&package], count);
            }
        }
    }
}

fn read_count(cx: &mut Cx<'_>, directory: &str, file: &str) -> Option<u64> {
    join(cx.path, &[cpus::DIRECTORY, "/", directory, "/", file]);
    let text = cx.sys.try_attribute(cx.path, cx.text).ok()?;
    crate::number::uint(text.bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(user: f64, idle: f64) -> Seconds {
        let mut seconds = Seconds::default();
        seconds[0] = user;
        seconds[IDLE] = idle;
        seconds
    }

    #[test]
    fn a_bad_pattern_ends_the_start() {
        let mut flags = crate::flags::Values::default();
        flags.give("collector.cpu.info.bugs-include", "(");
        let setup = Setup { flags: &flags, paths: &Paths::default(), enabled: &["cpu"] };
        let error = Cpu::new(&setup).err().unwrap();
        assert!(error.contains("must be regular expressions: "), "{error}");
    }

    #[test]
    fn counters_never_run_backwards_by_a_little() {
        let mut times = Times::default();
        times.take(&[(0, seconds(10.0, 100.0)), (1, seconds(20.0, 100.0))]);
        times.take(&[(0, seconds(9.0, 97.5)), (1, seconds(21.0, 99.0))]);
        assert_eq!(times.highest, [(0, seconds(10.0, 100.0)), (1, seconds(21.0, 100.0))]);
    }

    #[test]
    fn a_cpu_that_was_taken_out_and_put_back_starts_anew() {
        let mut times = Times::default();
        times.take(&[(0, seconds(10.0, 100.0)), (1, seconds(20.0, 100.0))]);
        times.take(&[(0, seconds(11.0, 97.0)), (1, seconds(1.0, 2.0))]);
        assert_eq!(times.highest, [(0, seconds(11.0, 97.0)), (1, seconds(1.0, 2.0))]);
    }

    #[test]
    fn a_cpu_that_is_offline_is_forgotten() {
        let mut times = Times::default();
        times.take(&[(0, seconds(1.0, 1.0)), (1, seconds(2.0, 1.0)), (2, seconds(3.0, 1.0))]);
        times.take(&[(0, seconds(1.5, 1.0)), (2, seconds(3.5, 1.0))]);
        assert_eq!(times.highest, [(0, seconds(1.5, 1.0)), (2, seconds(3.5, 1.0))]);
        times.take(&[(0, seconds(1.5, 1.0)), (1, seconds(0.5, 1.0)), (2, seconds(3.5, 1.0))]);
        assert_eq!(times.of(1, 1), &seconds(0.5, 1.0));
        times.take(&[(3, seconds(1.0, 1.0))]);
        assert_eq!(times.highest, [(3, seconds(1.0, 1.0))]);
    }

    #[test]
    fn what_is_no_number_changes_nothing() {
        let mut times = Times::default();
        times.take(&[(0, seconds(1.0, f64::NAN))]);
        assert_eq!(times.highest, [(0, seconds(1.0, 0.0))]);
    }
}
