//! What an operator should look at first.

use super::figures::label;
use super::filesystems;
use super::{Page, words};
use crate::gather::Verdict;

/// How bad something is; the word is also the class that colours it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Grade {
    Fine,
    Notable,
    Bad,
}

impl Grade {
    pub(super) fn class(self) -> &'static str {
        match self {
            Grade::Fine => "fine",
            Grade::Notable => "notable",
            Grade::Bad => "bad",
        }
    }

    /// The grade of a share that is notable from `notable` on and bad from `bad` on.
    pub(super) fn of(share: f64, notable: f64, bad: f64) -> Self {
        match share {
            share if share >= bad => Grade::Bad,
            share if share >= notable => Grade::Notable,
            _ => Grade::Fine,
        }
    }

    pub(super) fn of_space(used: f64) -> Self {
        Self::of(used, 0.8, 0.92)
    }

    pub(super) fn of_memory(used: f64) -> Self {
        Self::of(used, 0.9, 0.95)
    }

    pub(super) fn of_swap(used: f64) -> Self {
        Self::of(used, 0.5, 0.9)
    }

    pub(super) fn of_load(load: f64, cpus: usize) -> Self {
        if cpus == 0 { Grade::Fine } else { Self::of(load / cpus as f64, 1.5, 4.0) }
    }

    pub(super) fn of_certificate(seconds_left: f64) -> Self {
        Self::of(-seconds_left / DAY, -21.0, -7.0)
    }

    pub(super) fn of_textfile(age: f64) -> Self {
        Self::of(age / DAY, 1.0, 7.0)
    }

    pub(super) fn of_verdict(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Answered | Verdict::NoData => Grade::Fine,
            Verdict::Failed | Verdict::Panicked | Verdict::Late | Verdict::Stuck => Grade::Bad,
        }
    }
}

const DAY: f64 = 86_400.0;

pub(super) struct Finding {
    pub(super) grade: Grade,
    /// The `id` of the section that tells more.
    pub(super) section: &'static str,
    pub(super) text: String,
}

type Check = fn(&Page<'_>, &mut dyn FnMut(Grade, &'static str, String));

static CHECKS: [Check; 11] = [
    collectors,
    units,
    disks,
    arrays,
    file_systems,
    memory,
    load,
    textfiles,
    certificate,
    clock,
    limits,
];

/// All that is not fine, the worst first.
pub(super) fn find(page: &Page<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for check in CHECKS {
        check(page, &mut |grade, section, text| {
            if grade > Grade::Fine {
                findings.push(Finding { grade, section, text });
            }
        });
    }
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.grade));
    findings
}

fn collectors(page: &Page<'_>, tell: &mut dyn FnMut(Grade, &'static str, String)) {
    for answer in page.answers {
        let text = format!("Collector {}: {}", answer.name, answer.verdict.as_str());
        tell(Grade::of_verdict(answer.verdict), "collectors", text);
    }
    for problem in page.figures.family("hostwarden_service_problem") {
        let [service, addr, reason] = ["service", "addr", "reason"].map(|key| label(*problem, key));
        let place = if addr.is_empty() { String::new() } else { format!(" at {addr}") };
        tell(Grade::Bad, "collectors", format!("Status page of {service}{place}: {reason}"));
    }
}

fn units(page: &Page<'_>, tell: &mut dyn FnMut(Grade, &'static str, String)) {
    for unit in page.failed_units() {
        tell(Grade::Bad, "units", format!("Unit {unit} has failed"));
    }
}

/// `smartmon_device_smart_healthy` comes from the textfile that smartmon.sh writes.
fn disks(page: &Page<'_>, tell: &mut dyn FnMut(Grade, &'static str, String)) {
    for disk in page.figures.family("smartmon_device_smart_healthy") {
        if disk.value() == 0.0 {
            tell(
                Grade::Bad,
                "disks",
                format!("Disk {} says that it is failing", label(*disk, "disk")),
            );
        }
    }
}

fn arrays(page: &Page<'_>, tell: &mut dyn FnMut(Grade, &'static str, String)) {
    for required in page.figures.family("node_md_disks_required") {
        let device = label(*required, "device");
        let is_active = |sample: &&crate::exposition::SampleRef<'_>| {
            label(**sample, "device") == device && label(**sample, "state") == "active"
        };
        let active = page.figures.family("node_md_disks").iter().find(is_active);
        let missing = required.value() - active.map_or(0.0, |active| active.value());
        if missing > 0.0 {
            tell(
                Grade::Bad,
                "disks",
                format!("RAID {device} lacks {missing} of {} disks", required.value()),
            );
        }
    }
}

fn file_systems(page: &Page<'_>, tell: &mut dyn FnMut(Grade, &'static str, String)) {
    for system in filesystems::all(&page.figures) {
        let mount_point = system.mount_point;
        let used = words::percent(system.used * 100.0);
        if system.is_storage || system.kind == "tmpfs" {
            let grade = Grade::of_space(system.used);
            let left = words::bytes(system.available);
            tell(grade, "filesystems", format!("{mount_point} is {used} full, {left} left"));
            let inodes = words::percent(system.inodes_used * 100.0);
            let grade = Grade::of_space(system.inodes_used);
            tell(grade, "filesystems", format!("{mount_point} has used {inodes} of its inodes"));
        }
        if system.is_read_only && system.should_be_writable() {
            tell(Grade::Notable, "filesystems", format!("{mount_point} is mounted read-only"));
        }
    }
    for error in page.figures.family("node_filesystem_device_error") {
        if error.value() > 0.0 {
            let (mount_point, why) = (label(*error, "mountpoint"), label(*error, "device_error"));
            tell(Grade::Bad, "filesystems", format!("{mount_point} cannot be asked: {why}"));
        }
    }
}

fn memory(page: &Page<'_>, tell: &mut dyn FnMut(Grade, &'static str, String)) {
    if let Some(used) = page.memory_used() {
        let used_up = words::percent(used * 100.0);
        tell(Grade::of_memory(used), "memory", format!("{used_up} of the memory is in use"));
    }
    if let Some(used) = page.swap_used() {
        let used_up = words::percent(used * 100.0);
        tell(Grade::of_swap(used), "swap", format!("{used_up} of the swap is in use"));
    }
}

fn load(page: &Page<'_>, tell: &mut dyn FnMut(Grade, &'static str, String)) {
    let Some(load) = page.figures.value("node_load15") else { return };
    let cpus = page.cpus();
    let text = format!("Load {load:.1} over 15 minutes, on {}", words::count(cpus, "CPU", "CPUs"));
    tell(Grade::of_load(load, cpus), "load", text);
}

fn textfiles(page: &Page<'_>, tell: &mut dyn FnMut(Grade, &'static str, String)) {
    for error in page.figures.family("hostwarden_textfile_error") {
        let [file, line, reason] = ["file", "line", "reason"].map(|key| label(*error, key));
        let line = if line.is_empty() { String::new() } else { format!(", line {line}") };
        tell(Grade::Bad, "textfiles", format!("{file}{line}: {reason}"));
    }
    for file in page.figures.family("node_textfile_mtime_seconds") {
        let age = page.now - file.value();
        let text =
            format!("{} was last written {} ago", label(*file, "file"), words::duration(age));
        tell(Grade::of_textfile(age), "textfiles", text);
    }
}

fn certificate(page: &Page<'_>, tell: &mut dyn FnMut(Grade, &'static str, String)) {
    if let Some(left) = page.certificate_left() {
        let text = match left {
            ..0.0 => "The certificate has expired".to_owned(),
            _ => format!("The certificate expires in {}", words::duration(left)),
        };
        tell(Grade::of_certificate(left), "certificate", text);
    }
    if page.figures.value("hostwarden_config_last_reload_successful") == Some(0.0) {
        let text = "The configuration could not be read again; the last good one holds".to_owned();
        tell(Grade::Bad, "about", text);
    }
}

fn clock(page: &Page<'_>, tell: &mut dyn FnMut(Grade, &'static str, String)) {
    if page.figures.value("node_timex_sync_status") == Some(0.0) {
        tell(Grade::Notable, "clock", "The clock is not synchronised".to_owned());
    }
}

fn limits(page: &Page<'_>, tell: &mut dyn FnMut(Grade, &'static str, String)) {
    for (used, limit, what) in [
        ("node_filefd_allocated", "node_filefd_maximum", "open files that the kernel allows"),
        (
            "node_nf_conntrack_entries",
            "node_nf_conntrack_entries_limit",
            "connections that the firewall tracks",
        ),
    ] {
        if let Some(share) = page.figures.share(used, limit) {
            let used_up = words::percent(share * 100.0);
            tell(Grade::of_space(share), "tasks", format!("{used_up} of the {what} are in use"));
        }
    }
}
