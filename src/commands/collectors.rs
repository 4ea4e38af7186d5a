//! `hostwarden collectors`: every collector, and what it has to say on this host.

use std::io::Write;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use super::{Command, Outcome, Run};
use crate::cli::Settings;
use crate::collector::{Setup, Spec};
use crate::collectors::ALL;
use crate::gather::{Answer, Filter, Gatherer, Verdict};
use crate::host;
use crate::web::metrics;

pub(super) static COMMAND: Command = Command {
    name: "collectors",
    help: "Print every collector: on or off, what it says on this host and what it reads; if it says \
           nothing, why, and what it takes. Those that are off are tried, too.",
    words: &[],
    flags: &[],
    run: Run::Agent(run),
};

fn run(settings: &Settings, out: &mut dyn Write) -> Outcome {
    host::raise_descriptor_limit();
    let mut rows = vec![["COLLECTOR", "STATE", "SAYS", "READS", "WHY NOT"].map(str::to_owned)];
    for (spec, finding) in try_all(settings)? {
        let state = if settings.enabled.contains(&spec.name) { "on" } else { "off" };
        let Finding { says, why } = finding;
        rows.push([spec.name.to_owned(), state.to_owned(), says, spec.reads.to_owned(), why]);
    }
    write_table(&rows, out)?;
    Ok(ExitCode::SUCCESS)
}

/// What came of trying a collector.
#[derive(Debug, PartialEq, Eq)]
struct Finding {
    says: String,
    why: String,
}

impl Finding {
    fn new(says: impl Into<String>, why: impl Into<String>) -> Self {
        Self { says: says.into(), why: why.into() }
    }
}

/// One scrape of all collectors that take their settings.
fn try_all(settings: &Settings) -> Result<Vec<(&'static Spec, Finding)>, Box<dyn std::error::Error>> {
    let Settings { values, enabled, paths, .. } = settings;
    let setup = Setup { flags: values, paths, enabled };
    let refusals: Vec<Option<String>> = ALL.iter().map(|spec| (spec.build)(&setup).err()).collect();
    let built = ALL.iter().zip(&refusals).filter(|(_, refusal)| refusal.is_none());
    let built: Vec<&'static str> = built.map(|(spec, _)| spec.name).collect();
    let gatherer = Gatherer::new(ALL, &built, values, paths)?;
    let timeout = values.get(&metrics::TIMEOUT);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let gathering = gatherer.gather(&Filter::All, Instant::now() + timeout, |gathered| gathered);
    let gathered = runtime.block_on(gathering).ok_or("the verdicts were lost")?;
    let findings = ALL.iter().zip(refusals).map(|(spec, refusal)| {
        let answer = gathered.answers.iter().find(|answer| answer.name == spec.name);
        let finding = match (refusal, answer) {
            (Some(refusal), _) => Finding::new("refused", refusal),
            (None, Some(answer)) => judge(answer, timeout),
            (None, None) => unreachable!("every collector that was built has answered"),
        };
        (*spec, finding)
    });
    Ok(findings.collect())
}

fn judge(answer: &Answer, timeout: Duration) -> Finding {
    let count = answer.samples.len();
    let why = answer.error.as_ref().map(ToString::to_string).unwrap_or_default();
    match answer.verdict {
        Verdict::Answered if count == 1 => Finding::new("1 sample", ""),
        Verdict::Answered if count > 1 => Finding::new(format!("{count} samples"), ""),
        Verdict::Answered => Finding::new("nothing", with_needs(answer.name, "")),
        Verdict::NoData => Finding::new("nothing", with_needs(answer.name, &why)),
        Verdict::Late | Verdict::Stuck => {
            Finding::new("late", format!("no answer within {timeout:?}"))
        }
        Verdict::Failed | Verdict::Panicked => {
            let why = match &answer.error {
                Some(error) if error.is_denied() => with_remedy(answer.name, &why),
                Some(error) if error.is_absent() => with_needs(answer.name, &why),
                _ if ASKS.contains(&answer.name) => with_needs(answer.name, &why),
                _ => why,
            };
            Finding::new("fails", why)
        }
    }
}

fn with_needs(collector: &str, why: &str) -> String {
    let needs = NEEDS.iter().find(|(name, _)| *name == collector);
    match (why, needs) {
        ("", None) => "there is nothing of the kind".to_owned(),
        (why, None) => why.to_owned(),
        ("", Some((_, needs))) => format!("needs {needs}"),
        (why, Some((_, needs))) => format!("{why}; needs {needs}"),
    }
}

/// What gives the service a capability.
macro_rules! drop_in {
    ($capability:literal, $file:literal) => {
        concat!(
            $capability,
            ": link /usr/share/hostwarden/systemd/",
            $file,
            " into /etc/systemd/system/hostwarden.service.d/, or run as root"
        )
    };
}

/// For what may not be read.
fn with_remedy(collector: &str, why: &str) -> String {
    let remedy = match collector {
        "ethtool" => drop_in!("CAP_NET_ADMIN", "ethtool.conf"),
        "perf" => drop_in!("CAP_PERFMON", "perf.conf"),
        _ => drop_in!("CAP_DAC_READ_SEARCH", "closed-files.conf"),
    };
    format!("{why}; needs {remedy}")
}

/// Collectors that ask another program: whatever fails, it is that program's doing.
const ASKS: [&str; 6] = ["apache", "logind", "nginx", "ntp", "supervisord", "systemd"];

/// What has to be there for a collector to say something, where that is not plain from what it
/// reads.
const NEEDS: &[(&str, &str)] = &[
    ("apache", "Apache with mod_status: --services.auto, or --collector.apache.scrape-uri"),
    ("arp", "a neighbour on the network that was spoken to"),
    ("bcache", "a bcache device"),
    ("bcachefs", "a mounted bcachefs"),
    ("bonding", "a bond: ip link add bond0 type bond"),
    ("btrfs", "a mounted btrfs"),
    ("cgroups", "a kernel with control groups of version 1 in its table"),
    ("conntrack", "connection tracking: modprobe nf_conntrack"),
    ("cpu_vulnerabilities", "Linux 4.15 or later"),
    ("cpufreq", "a driver for CPU frequencies; virtual machines have none"),
    ("dmi", "firmware with DMI tables"),
    ("dmmultipath", "a multipath device: multipathd"),
    ("drbd", "DRBD: modprobe drbd"),
    ("drm", "an AMD graphics card: modprobe amdgpu"),
    ("edac", "memory with error correction, and its driver"),
    ("ethtool", "a network device"),
    ("fibrechannel", "a Fibre Channel adapter"),
    ("hwmon", "sensors: modprobe coretemp or k10temp; virtual machines have none"),
    ("infiniband", "an InfiniBand or RoCE adapter"),
    ("ipvs", "a load balancer in the kernel: modprobe ip_vs"),
    ("kernel_hung", "a kernel that counts hung tasks: Linux 6.13 or later"),
    ("logind", "a system bus and logind: apt-get install dbus systemd"),
    ("mdadm", "software RAID: modprobe md_mod"),
    ("meminfo_numa", "a kernel with NUMA"),
    ("mountstats", "a mounted NFS"),
    ("nfs", "a mounted NFS"),
    ("nfsd", "an NFS server: modprobe nfsd"),
    ("nginx", "nginx with stub_status: --services.auto, or --collector.nginx.scrape-uri"),
    ("ntp", "an NTP server that answers: --collector.ntp.server"),
    ("nvme", "an NVMe disk"),
    ("nvmesubsystem", "an NVMe disk"),
    ("pcidevice", "a PCI bus"),
    ("perf", drop_in!("CAP_PERFMON", "perf.conf")),
    ("powersupplyclass", "a battery or a power supply with a sensor"),
    ("pressure", "a kernel that counts stalls: boot it with psi=1"),
    ("rapl", "a CPU with energy counters: modprobe intel_rapl_msr"),
    ("runit", "runit: --collector.runit.servicedir"),
    ("schedstat", "a kernel with CONFIG_SCHEDSTATS"),
    ("selinux", "SELinux"),
    ("supervisord", "supervisord with an HTTP server: --collector.supervisord.url"),
    ("swap", "swap space: swapon"),
    ("sysctl", "a parameter: --collector.sysctl.include"),
    ("systemd", "systemd, and a system bus: apt-get install dbus"),
    ("tapestats", "a tape drive"),
    ("textfile", "a file *.prom in --collector.textfile.directory"),
    ("thermal_zone", "thermal zones; virtual machines have none"),
    ("watchdog", "a watchdog: modprobe softdog"),
    ("wifi", "a wireless adapter"),
    ("xfrm", "a kernel that counts IPsec errors: CONFIG_XFRM_STATISTICS"),
    ("xfs", "a mounted XFS"),
    ("zfs", "ZFS: modprobe zfs"),
];

/// Columns as wide as they have to be, with two blanks between them and none at the end.
fn write_table<const N: usize>(rows: &[[String; N]], out: &mut dyn Write) -> std::io::Result<()> {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max();
    let widths: [usize; N] = std::array::from_fn(|column| width(column).unwrap_or(0));
    for row in rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(widths) {
            line.push_str(&format!("{cell:width$}  "));
        }
        writeln!(out, "{}", line.trim_end())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collector::Error;
    use crate::collectors;
    use crate::exposition::{Desc, Samples, gauge};
    use rustix::io::Errno;

    static UP: Desc = gauge("test_up", "A test.", &[]);

    fn answer(name: &'static str, verdict: Verdict, error: Option<Error>, count: usize) -> Answer {
        let mut samples = Samples::default();
        (0..count).for_each(|_| samples.push(&UP, &[], 1.0));
        Answer { name, samples, verdict, duration: Duration::ZERO, error }
    }

    #[test]
    fn findings() {
        let absent = Error::io("net/xfrm_stat", Errno::NOENT);
        let denied = |path| Some(Error::io(path, Errno::ACCESS));
        let broken = || Some(Error::failed("mdstat: cannot parse \"x\""));
        for (answer, says, why) in [
            (answer("loadavg", Verdict::Answered, None, 3), "3 samples", ""),
            (answer("uname", Verdict::Answered, None, 1), "1 sample", ""),
            (answer("xfs", Verdict::Answered, None, 0), "nothing", "needs a mounted XFS"),
            (answer("loadavg", Verdict::Answered, None, 0), "nothing", "there is nothing of the kind"),
            (
                answer("xfrm", Verdict::NoData, Some(absent.clone().absent_is_no_data()), 0),
                "nothing",
                "net/xfrm_stat: no such file or directory; needs a kernel that counts IPsec errors: \
                 CONFIG_XFRM_STATISTICS",
            ),
            (
                answer("schedstat", Verdict::Failed, Some(Error::io("schedstat", Errno::NOENT)), 0),
                "fails",
                "schedstat: no such file or directory; needs a kernel with CONFIG_SCHEDSTATS",
            ),
            (
                answer("slabinfo", Verdict::Failed, denied("slabinfo"), 0),
                "fails",
                "slabinfo: permission denied; needs CAP_DAC_READ_SEARCH: link \
                 /usr/share/hostwarden/systemd/closed-files.conf into \
                 /etc/systemd/system/hostwarden.service.d/, or run as root",
            ),
            (answer("zfs", Verdict::Failed, broken(), 0), "fails", "mdstat: cannot parse \"x\""),
            (
                answer("ntp", Verdict::Failed, Some(Error::failed("ntp: no answer")), 0),
                "fails",
                "ntp: no answer; needs an NTP server that answers: --collector.ntp.server",
            ),
            (
                answer("nfs", Verdict::Late, Some(Error::failed("no answer before")), 0),
                "late",
                "no answer within 9.5s",
            ),
        ] {
            let finding = judge(&answer, Duration::from_millis(9500));
            assert_eq!(finding, Finding::new(says, why), "{}", answer.name);
        }
    }

    #[test]
    fn what_is_needed_is_known_of_collectors_that_there_are() {
        let names: Vec<&str> = NEEDS.iter().map(|(name, _)| *name).collect();
        assert!(names.is_sorted(), "{names:?}");
        for name in names.iter().chain(&ASKS) {
            assert!(collectors::find(name).is_some(), "{name}");
        }
    }

    #[test]
    fn columns() {
        let row = |cells: [&str; 3]| cells.map(str::to_owned);
        let mut out = Vec::new();
        let rows = [row(["a", "wide", "x"]), row(["bcd", "é", ""]), row(["", "", "long one"])];
        write_table(&rows, &mut out).unwrap();
        let expected = "a    wide  x\nbcd  é\n           long one\n";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}
