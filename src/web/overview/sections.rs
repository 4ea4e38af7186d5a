//! What stands around the tiles, from top to bottom.

use std::sync::Arc;

use super::figures::label;
use super::filesystems::{self, FileSystem};
use super::findings::{Finding, Grade};
use super::html::Html;
use super::parts::{bar, counter, folded, name, rows, section, spark};
use super::{Page, words};
use crate::exposition::SampleRef;
use crate::gather::{Answer, Verdict};

pub(super) fn header(page: &Page<'_>, grade: Grade, out: &mut Html) {
    let facts = &page.facts;
    out.raw("<header>\n<div>\n<h1><span class=\"dot ").raw(grade.class()).raw("\"></span>");
    out.text(&facts.host).raw("</h1>\n<p class=\"facts dots\">");
    let up = page.uptime().map(|seconds| format!("up {}", words::duration(seconds)));
    let all = [&facts.system, &facts.kernel, &facts.processor, &facts.machine].map(String::as_str);
    for fact in all.into_iter().chain(up.as_deref()).filter(|fact| !fact.is_empty()) {
        out.raw("<span>").text(fact).raw("</span> ");
    }
    out.raw("</p>\n</div>\n<div class=\"aside\">\n<nav><a href=\"");
    out.text(page.telemetry_path.trim_start_matches('/')).raw("\">Metrics</a> ");
    out.raw("<a href=\"-/healthy\">Healthy</a> <a href=\"-/ready\">Ready</a></nav>\n");
    out.raw("<p id=\"status\" role=\"status\">As of ").text(super::utc(page.now));
    out.raw("</p>\n</div>\n</header>\n");
}

pub(super) fn findings(findings: &[Finding], out: &mut Html) {
    if findings.is_empty() {
        out.raw("<p class=\"findings fine\">Nothing stands out.</p>\n");
        return;
    }
    rows(out, "findings", findings, |out, finding| {
        out.raw("<li class=\"").raw(finding.grade.class()).raw("\"><a href=\"#");
        out.raw(finding.section).raw("\">").text(&finding.text).raw("</a></li>");
    });
}

pub(super) fn file_systems(page: &Page<'_>, out: &mut Html) {
    let all = filesystems::all(&page.figures);
    if all.is_empty() {
        return;
    }
    let (storage, others): (Vec<_>, Vec<_>) = all.iter().partition(|system| system.is_storage);
    section(out, "filesystems", "File systems", |out| {
        rows(out, "rows space", storage, file_system);
        if !others.is_empty() {
            let summary = words::count(others.len(), "other mount", "other mounts");
            folded(out, "other-filesystems", summary, |out| {
                rows(out, "rows space", others, file_system);
            });
        }
    });
}

fn file_system(out: &mut Html, system: &FileSystem<'_>) {
    let percent = words::percent(system.used * 100.0);
    let grade = Grade::of_space(system.used);
    let read_only = if system.is_read_only { ", read-only" } else { "" };
    out.raw("<li>");
    name(out, system.mount_point, format_args!("{}, {}{read_only}", system.device, system.kind));
    bar(out, system.used, grade);
    out.raw("<b class=\"share ").raw(grade.class()).raw("\">").text(percent);
    out.raw("</b><span class=\"left\">").text(words::bytes(system.available)).raw(" left of ");
    out.text(words::bytes(system.size)).raw("</span></li>");
}

pub(super) fn disks(page: &Page<'_>, out: &mut Html) {
    let disks = page.figures.family("node_disk_io_time_seconds_total").iter().copied();
    let (busy, idle): (Vec<_>, Vec<_>) = disks.partition(|disk| disk.value() > 0.0);
    let Some(uptime) = page.uptime().filter(|_| !busy.is_empty()) else { return };
    section(out, "disks", "Disks <small class=\"since\">since boot</small>", |out| {
        rows(out, "rows flows", busy, |out, each| disk(page, each, uptime, out));
        if !idle.is_empty() {
            let summary = words::count(idle.len(), "disk never used", "disks never used");
            folded(out, "idle-disks", summary, |out| {
                rows(out, "rows flows", idle, |out, each| disk(page, each, uptime, out));
            });
        }
    });
}

fn disk(page: &Page<'_>, disk: SampleRef<'_>, uptime: f64, out: &mut Html) {
    let device = label(disk, "device");
    let beside = |family| page.figures.beside(family, disk).unwrap_or_default();
    out.raw("<li>");
    name(out, device, "");
    let busy = disk.value() * 100.0;
    let shown = words::percent(busy / uptime);
    flow(out, "busy", &format!("disk {device} busy"), busy, "percent", &shown);
    bytes(out, "read", &format!("disk {device} read"), beside("node_disk_read_bytes_total"));
    let written = beside("node_disk_written_bytes_total");
    bytes(out, "written", &format!("disk {device} written"), written);
    out.raw("</li>");
}

fn bytes(out: &mut Html, what: &'static str, key: &str, total: f64) {
    flow(out, what, key, total, "bytes", &words::bytes(total));
}

fn flow(
    out: &mut Html,
    what: &'static str,
    key: &str,
    total: f64,
    unit: &'static str,
    shown: &str,
) {
    out.raw("<div class=\"flow\"><span class=\"what\">").raw(what).raw("</span> ");
    counter(out, key, total, unit, shown);
    spark(out, key, (unit == "percent").then_some(100));
    out.raw("</div>");
}

pub(super) fn links(page: &Page<'_>, out: &mut Html) {
    let links = page.figures.family("node_network_receive_bytes_total");
    if links.is_empty() {
        return;
    }
    // The links of containers carry what the host's own links carry as well.
    let is_outer = |link: &SampleRef<'_>| {
        let device = label(*link, "device");
        let is_used = link.value() > 0.0 || is_up(page, *link);
        is_used && device != "lo" && !device.starts_with("veth")
    };
    let (outer, others): (Vec<_>, Vec<_>) = links.iter().copied().partition(is_outer);
    let title = "Network links <small class=\"since\">since boot</small>";
    section(out, "links", title, |out| {
        rows(out, "rows flows", outer, |out, each| link(page, each, out));
        if !others.is_empty() {
            let summary = words::count(others.len(), "other link", "other links");
            folded(out, "other-links", summary, |out| {
                rows(out, "rows flows", others, |out, each| link(page, each, out));
            });
        }
    });
}

fn is_up(page: &Page<'_>, link: SampleRef<'_>) -> bool {
    page.figures.beside("node_network_up", link) == Some(1.0)
}

/// What did not get through.
const LOSSES: [&str; 4] = [
    "node_network_receive_errs_total",
    "node_network_receive_drop_total",
    "node_network_transmit_errs_total",
    "node_network_transmit_drop_total",
];

fn link(page: &Page<'_>, link: SampleRef<'_>, out: &mut Html) {
    let device = label(link, "device");
    let beside = |family| page.figures.beside(family, link).unwrap_or_default();
    let state = if is_up(page, link) { "up" } else { "not up" };
    let speed = match beside("node_network_speed_bytes") {
        speed if speed > 0.0 => format!(", {} Mbit/s", speed * 8.0 / 1e6),
        _ => String::new(),
    };
    out.raw("<li>");
    name(out, device, format_args!("{state}{speed}"));
    bytes(out, "in", &format!("link {device} in"), link.value());
    let sent = beside("node_network_transmit_bytes_total");
    bytes(out, "out", &format!("link {device} out"), sent);
    let lost: f64 = LOSSES.iter().map(|family| beside(family)).sum();
    if lost > 0.0 {
        out.raw("<span class=\"what\">").text(lost).raw(" packets lost or bad since boot</span>");
    }
    out.raw("</li>");
}

pub(super) fn units(page: &Page<'_>, out: &mut Html) {
    let failed = page.failed_units();
    section(out, "units", "systemd units", |out| {
        if page.figures.family("node_systemd_unit_state").is_empty() {
            out.raw(
                "<p class=\"note\">With <code>--collector.systemd</code> failed units show up ",
            );
            out.raw("here.</p>\n");
        } else if failed.is_empty() {
            out.raw("<p class=\"note\">No unit has failed.</p>\n");
        } else {
            rows(out, "rows", failed, |out, unit| {
                out.raw("<li class=\"bad\"><b>").text(unit).raw("</b> failed</li>");
            });
        }
    });
}

pub(super) fn textfiles(page: &Page<'_>, out: &mut Html) {
    let files = page.figures.family("node_textfile_mtime_seconds");
    if files.is_empty() {
        return;
    }
    section(out, "textfiles", "Textfiles", |out| {
        rows(out, "rows", files.iter().copied(), |out, file| {
            let age = page.now - file.value();
            out.raw("<li class=\"").raw(Grade::of_textfile(age).class()).raw("\"><b>");
            out.text(label(file, "file")).raw("</b> <span class=\"what\">written ");
            out.text(words::duration(age)).raw(" ago");
            if page.figures.beside("hostwarden_textfile_kept", file).is_some() {
                out.raw(", empty or torn now: what it said before is told");
            }
            out.raw("</span></li>");
        });
    });
}

pub(super) fn collectors(page: &Page<'_>, out: &mut Html) {
    let of = |verdicts: &[Verdict]| -> Vec<&Arc<Answer>> {
        let mut of: Vec<_> =
            page.answers.iter().filter(|answer| verdicts.contains(&answer.verdict)).collect();
        of.sort_by_key(|answer| answer.name);
        of
    };
    let broken = of(&[Verdict::Failed, Verdict::Panicked, Verdict::Late, Verdict::Stuck]);
    let answered = of(&[Verdict::Answered]);
    let silent = of(&[Verdict::NoData]);
    let longest = answered.iter().map(|answer| answer.duration.as_secs_f64()).fold(1e-9, f64::max);
    section(out, "collectors", "Collectors <small>and what each took</small>", |out| {
        if !broken.is_empty() {
            rows(out, "rows", broken, |out, answer| {
                let why = answer.error.as_ref().map(ToString::to_string).unwrap_or_default();
                out.raw("<li class=\"bad\"><b>").text(answer.name).raw("</b> ");
                out.text(answer.verdict.as_str()).raw(" <span class=\"what\">").text(why);
                out.raw("</span></li>");
            });
        }
        rows(out, "costs", answered, |out, answer| {
            let seconds = answer.duration.as_secs_f64();
            let cost = words::short_duration(seconds);
            out.raw("<li>").text(answer.name).raw(" <span class=\"what\">").text(cost);
            out.raw("</span>");
            bar(out, seconds / longest, Grade::Fine);
            out.raw("</li>");
        });
        if !silent.is_empty() {
            let names: Vec<&str> = silent.iter().map(|answer| answer.name).collect();
            out.raw("<p class=\"note\">Without a source on this host: ").text(names.join(", "));
            out.raw("</p>\n");
        }
    });
}
