//! CPU frequencies and governors, from `/sys/devices/system/cpu/cpu*/cpufreq`.

use crate::collector::prelude::*;
use crate::host::cpus;
use crate::number;

pub static SPEC: Spec =
    Spec::new("cpufreq", On, "/sys/devices/system/cpu/cpu*/cpufreq", &[], |setup| {
        setup.need_sys()?;
        Ok(Box::new(CpuFreq::default()))
    });

/// Files with a number of kilohertz, and what they are told as.
static FREQUENCIES: [(&str, Desc); 7] = [
    (
        "cpuinfo_cur_freq",
        gauge(
            "node_cpu_frequency_hertz",
            "Frequency that the hardware runs the CPU at now, in hertz.",
            &["cpu"],
        ),
    ),
    (
        "cpuinfo_avg_freq",
        gauge(
            "node_cpu_frequency_avg_hertz",
            "Average frequency of the CPU over a short while, in hertz.",
            &["cpu"],
        ),
    ),
    (
        "cpuinfo_max_freq",
        gauge(
            "node_cpu_frequency_max_hertz",
            "Highest frequency that the CPU can run at, in hertz.",
            &["cpu"],
        ),
    ),
    (
        "cpuinfo_min_freq",
        gauge(
            "node_cpu_frequency_min_hertz",
            "Lowest frequency that the CPU can run at, in hertz.",
            &["cpu"],
        ),
    ),
    (
        "scaling_cur_freq",
        gauge(
            "node_cpu_scaling_frequency_hertz",
            "Frequency that the kernel last chose for the CPU, in hertz.",
            &["cpu"],
        ),
    ),
    (
        "scaling_max_freq",
        gauge(
            "node_cpu_scaling_frequency_max_hertz",
            "Highest frequency that the kernel may choose for the CPU, in hertz.",
            &["cpu"],
        ),
    ),
    (
        "scaling_min_freq",
        gauge(
            "node_cpu_scaling_frequency_min_hertz",
            "Lowest frequency that the kernel may choose for the CPU, in hertz.",
            &["cpu"],
        ),
    ),
];

static GOVERNOR: Desc = gauge(
    "node_cpu_scaling_governor",
    "1 for the governor that chooses the CPU's frequency, 0 for the others it could have.",
    &["cpu", "governor"],
);

/// Numbers that nobody tells, yet a bad one fails the collector.
const CHECKED_NUMBERS: [&str; 2] = ["cpuinfo_transition_latency", "stats/total_trans"];

/// Files that nobody tells, yet must be there.
const NEEDED: [&str; 3] = ["scaling_driver", "related_cpus", "scaling_setspeed"];

#[derive(Default)]
struct CpuFreq {
    directories: Listing,
    offline: Vec<u16>,
    governors: Vec<u8>,
}

impl Collector for CpuFreq {
    fn collect(&mut self, cx: &mut Cx<'_>, out: &mut Samples) -> Result<()> {
        let Self { directories, offline, governors } = self;
        // What cannot be listed has no CPUs.
        let _ = cx.sys.try_list(cpus::DIRECTORY, directories);
        read_offline(cx, offline)?;
        let mut is_any = false;
        out.all_or_nothing(|out| {
            for directory in cpus::directories(directories) {
                let cpu = &directory[3..];
                if !offline.is_empty() && is_offline(cpu, offline)? {
                    continue;
                }
                is_any = true;
                if has_frequency(cx, directory)? {
                    push_cpu(cpu, governors, cx, out)?;
                }
            }
            Ok(())
        })?;
        if is_any { Ok(()) } else { Err(Error::failed("devices/system/cpu: no CPU")) }
    }
}

fn read_offline(cx: &mut Cx<'_>, offline: &mut Vec<u16>) -> Result<()> {
    offline.clear();
    let list = cx.sys.read("devices/system/cpu/offline", cx.text)?;
    if list.trim().bytes.is_empty() { Ok(()) } else { cpus::parse_list(list, offline) }
}

#[expect(clippy::cast_possible_truncation, reason = "the list's numbers are cut alike")]
fn is_offline(cpu: &str, offline: &[u16]) -> Result<bool> {
    let number = number::int(cpu.as_bytes())
        .ok_or_else(|| Error::malformed(cpus::DIRECTORY, cpu.as_bytes()))?;
    Ok(offline.contains(&(number as u16)))
}

fn has_frequency(cx: &mut Cx<'_>, directory: &str) -> Result<bool> {
    join(cx.path, &[cpus::DIRECTORY, "/", directory, "/cpufreq"]);
    match cx.sys.stat(cx.path) {
        Ok(_) => Ok(true),
        Err(Errno::NOENT) => Ok(false),
        Err(errno) => Err(Error::io(cx.path, errno)),
    }
}

fn push_cpu(
    cpu: &str,
    governors: &mut Vec<u8>,
    cx: &mut Cx<'_>,
    out: &mut Samples,
) -> Result<()> {
    for (file, desc) in &FREQUENCIES {
        if let Some(kilohertz) = read_number(cx, cpu, file)? {
            out.push(desc, &[&cpu], kilohertz as f64 * 1000.0);
        }
    }
    for file in CHECKED_NUMBERS {
        read_number(cx, cpu, file)?;
    }
    for file in NEEDED {
        join(cx.path, &[cpus::DIRECTORY, "/cpu", cpu, "/cpufreq/", file]);
        cx.sys.attribute(cx.path, cx.text)?;
    }
    push_governors(cpu, governors, cx, out)?;
    check_table(cx, cpu, "stats/time_in_state", check_time)?;
    check_table(cx, cpu, "stats/trans_table", check_transitions)
}

fn push_governors(
    cpu: &str,
    available: &mut Vec<u8>,
    cx: &mut Cx<'_>,
    out: &mut Samples,
) -> Result<()> {
    available.clear();
    join(cx.path, &[cpus::DIRECTORY, "/cpu", cpu, "/cpufreq/", "scaling_available_governors"]);
    available.extend_from_slice(cx.sys.attribute(cx.path, cx.text)?.bytes);
    join(cx.path, &[cpus::DIRECTORY, "/cpu", cpu, "/cpufreq/", "scaling_governor"]);
    let current = cx.sys.attribute(cx.path, cx.text)?.bytes;
    if !current.is_empty() {
        for governor in available.split(|&byte| byte == b' ') {
            out.push(&GOVERNOR, &[&cpu, &governor], governor == current);
        }
    }
    Ok(())
}

/// A number; nothing where the driver has no such file or keeps it to root.
fn read_number(cx: &mut Cx<'_>, cpu: &str, file: &str) -> Result<Option<u64>> {
    const UNTOLD: [Errno; 3] = [Errno::NOENT, Errno::ACCESS, Errno::PERM];

    let path = [cpus::DIRECTORY, "/cpu", cpu, "/cpufreq/", file];
    cx.attribute_unless(&UNTOLD, &path)?.map(Text::parse).transpose()
}

/// Checks the lines of a table that nobody tells: a bad one fails the collector. One that the
/// kernel finds too big for a page does so in the original, and counts as absent here.
fn check_table(
    cx: &mut Cx<'_>,
    cpu: &str,
    file: &str,
    check: fn(usize, Text<'_>) -> Result<()>,
) -> Result<()> {
    join(cx.path, &[cpus::DIRECTORY, "/cpu", cpu, "/cpufreq/", file]);
    match cx.sys.read_present(cx.path, cx.text) {
        Ok(Some(text)) => text.lines().enumerate().try_for_each(|(at, line)| check(at, line)),
        Ok(None) | Err(Error::Io { errno: Errno::ACCESS | Errno::PERM | Errno::FBIG, .. }) => Ok(()),
        Err(error) => Err(error),
    }
}

/// `2400000 1234`
fn check_time(_: usize, line: Text<'_>) -> Result<()> {
    let mut fields = line.fields();
    match (fields.next(), fields.next(), fields.next()) {
        (None, ..) if line.bytes.is_empty() => Ok(()),
        (Some(frequency), Some(time), None) => {
            frequency.parse::<u64>()?;
            time.parse::<u64>().map(drop)
        }
        _ => Err(line.malformed()),
    }
}

/// `  2400000:         0        12`, below a line of headings.
fn check_transitions(at: usize, line: Text<'_>) -> Result<()> {
    if at == 0 || line.bytes.is_empty() {
        return Ok(());
    }
    let mut fields = line.fields();
    let first = fields.next().ok_or_else(|| line.malformed())?.bytes;
    let first = first.strip_suffix(b":").unwrap_or(first);
    if !first.is_empty() {
        Text { bytes: first, ..line }.parse::<u64>()?;
    }
    fields.try_for_each(|field| field.parse::<u64>().map(drop))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_that_nobody_tells_are_checked() {
        let check = |check: fn(usize, Text<'_>) -> Result<()>, text: &str| {
            let text = Text::new("stats", text.as_bytes());
            text.lines().enumerate().try_for_each(|(at, line)| check(at, line)).is_ok()
        };
        for (text, is_good) in [
            ("", true),
            ("2400000 1\n\n1200000 2\n", true),
            (" \n", false),
            ("2400000\n", false),
            ("2400000 1 2\n", false),
            ("2400000 -1\n", false),
        ] {
            assert_eq!(check(check_time, text), is_good, "{text:?}");
        }
        for (text, is_good) in [
            ("", true),
            ("   From  :    To\n", true),
            ("   From  :    To\n  : 1\n 2: 3 4\n\n", true),
            ("   From  :    To\n 2 3 x\n", false),
            ("   From  :    To\n  \n", false),
        ] {
            assert_eq!(check(check_transitions, text), is_good, "{text:?}");
        }
    }
}
