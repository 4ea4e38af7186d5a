//! The figures that come first, each in a tile.

use std::fmt::Display;

use super::findings::Grade;
use super::html::Html;
use super::parts::{bar, counter, gauge, spark};
use super::{Page, words};

pub(super) fn all(page: &Page<'_>, out: &mut Html) {
    out.raw("<div class=\"tiles\">\n");
    for tile in [cpu, load, memory, swap, pressure, tasks, clock, certificate] {
        tile(page, out);
    }
    out.raw("</div>\n");
}

fn tile(out: &mut Html, id: &'static str, title: &'static str, fill: impl FnOnce(&mut Html)) {
    out.raw("<section class=\"tile\" id=\"").raw(id).raw("\"><h2>").raw(title).raw("</h2>");
    fill(out);
    out.raw("</section>\n");
}

fn big(out: &mut Html, grade: Grade, fill: impl FnOnce(&mut Html)) {
    out.raw("<p class=\"big ").raw(grade.class()).raw("\">");
    fill(out);
    out.raw("</p>");
}

fn big_words(out: &mut Html, grade: Grade, text: impl Display) {
    out.raw("<p class=\"big words ").raw(grade.class()).raw("\">").text(text).raw("</p>");
}

/// Words below the big figure.
fn small(out: &mut Html, text: impl Display) {
    out.raw("<p class=\"small\">").text(text).raw("</p>");
}

/// How the CPUs spend their time: words for the page, and the kernel's modes.
const MODES: [(&str, &[&str]); 4] = [
    ("user", &["user", "nice"]),
    ("system", &["system", "irq", "softirq"]),
    ("waiting", &["iowait"]),
    ("stolen", &["steal"]),
];

fn cpu(page: &Page<'_>, out: &mut Html) {
    let (cpus, Some(uptime)) = (page.cpus(), page.uptime()) else { return };
    if cpus == 0 {
        return;
    }
    // What this grows by in a second is a percentage of all CPUs.
    let total = |modes: &[&str]| {
        let seconds = |mode: &&str| page.figures.sum("node_cpu_seconds_total", "mode", mode);
        modes.iter().map(seconds).sum::<f64>() * 100.0 / cpus as f64
    };
    let share = |out: &mut Html, name: &str, total: f64| {
        counter(out, format_args!("cpu {name}"), total, "percent", words::percent(total / uptime));
    };
    tile(out, "cpu", "CPU", |out| {
        let busy = MODES.iter().filter(|(name, _)| *name != "waiting");
        big(out, Grade::Fine, |out| {
            share(out, "busy", busy.map(|(_, modes)| total(modes)).sum());
            out.raw(" <small class=\"since\">since boot</small>");
        });
        spark(out, "cpu busy", Some(100));
        out.raw("<p class=\"small dots\">");
        for (name, modes) in MODES {
            out.raw("<span>").text(name).raw(" ");
            share(out, name, total(modes));
            out.raw("</span> ");
        }
        out.raw("</p>");
    });
}

fn load(page: &Page<'_>, out: &mut Html) {
    let [Some(one), Some(five), Some(fifteen)] =
        ["node_load1", "node_load5", "node_load15"].map(|name| page.figures.value(name))
    else {
        return;
    };
    tile(out, "load", "Load", |out| {
        let cpus = page.cpus();
        let grade = Grade::of_load(one, cpus);
        big(out, grade, |out| gauge(out, "load", one, format_args!("{one:.2}")));
        spark(out, "load", None);
        let cpus = words::count(cpus, "CPU", "CPUs");
        small(out, format_args!("{five:.2} over 5 min, {fifteen:.2} over 15 min, {cpus}"));
    });
}

fn memory(page: &Page<'_>, out: &mut Html) {
    let (Some(used), Some(total)) =
        (page.memory_used(), page.figures.value("node_memory_MemTotal_bytes"))
    else {
        return;
    };
    tile(out, "memory", "Memory", |out| {
        filling(out, "memory", used, Grade::of_memory(used));
        let available = words::bytes(total * (1.0 - used));
        small(out, format_args!("{available} available of {}", words::bytes(total)));
    });
}

fn swap(page: &Page<'_>, out: &mut Html) {
    let Some(total) = page.figures.value("node_memory_SwapTotal_bytes") else { return };
    tile(out, "swap", "Swap", |out| match page.swap_used() {
        None => big_words(out, Grade::Fine, "none"),
        Some(used) => {
            filling(out, "swap", used, Grade::of_swap(used));
            small(out, format_args!("{} of {}", words::bytes(total * used), words::bytes(total)));
        }
    });
}

/// Something that is used up to this share.
fn filling(out: &mut Html, key: &str, used: f64, grade: Grade) {
    let percent = words::percent(used * 100.0);
    big(out, grade, |out| gauge(out, key, used * 100.0, &percent));
    bar(out, used, grade);
    spark(out, key, Some(100));
}

/// Share of the time in which tasks wait for something, from /proc/pressure.
fn pressure(page: &Page<'_>, out: &mut Html) {
    let waits = [
        ("CPU", "node_pressure_cpu_waiting_seconds_total"),
        ("memory", "node_pressure_memory_waiting_seconds_total"),
        ("disk", "node_pressure_io_waiting_seconds_total"),
    ]
    .map(|(what, family)| (what, page.figures.value(family)));
    let Some(uptime) = page.uptime().filter(|_| waits.iter().any(|(_, wait)| wait.is_some()))
    else {
        return;
    };
    tile(out, "pressure", "Waiting for", |out| {
        out.raw("<dl>");
        for (what, seconds) in waits {
            let total = seconds.unwrap_or_default() * 100.0;
            let key = format!("waiting for {what}");
            out.raw("<dt>").raw(what).raw("</dt><dd>");
            counter(out, &key, total, "percent", words::percent(total / uptime));
            spark(out, &key, Some(100));
            out.raw("</dd>");
        }
        out.raw("</dl><p class=\"small\">of the time<span class=\"since\">, since boot</span></p>");
    });
}

fn tasks(page: &Page<'_>, out: &mut Html) {
    let Some(running) = page.figures.value("node_procs_running") else { return };
    tile(out, "tasks", "Tasks", |out| {
        big(out, Grade::Fine, |out| {
            gauge(out, "running", running, running);
            out.raw(" <small>running</small>");
        });
        spark(out, "running", None);
        let blocked = page.figures.value("node_procs_blocked").unwrap_or_default();
        out.raw("<p class=\"small dots\"><span>").text(blocked).raw(" blocked by disks</span> ");
        if let Some(files) = page.figures.value("node_filefd_allocated") {
            out.raw("<span>").text(files).raw(" open files</span>");
        }
        out.raw("</p>");
    });
}

fn clock(page: &Page<'_>, out: &mut Html) {
    let Some(status) = page.figures.value("node_timex_sync_status") else { return };
    tile(out, "clock", "Clock", |out| {
        if status > 0.0 {
            let offset = page.figures.value("node_timex_offset_seconds").unwrap_or_default().abs();
            big_words(out, Grade::Fine, "synchronised");
            small(out, format_args!("{} off", words::short_duration(offset)));
        } else {
            big_words(out, Grade::Notable, "on its own");
            small(out, "not synchronised");
        }
    });
}

fn certificate(page: &Page<'_>, out: &mut Html) {
    let Some(left) = page.certificate_left() else { return };
    tile(out, "certificate", "Certificate", |out| {
        let grade = Grade::of_certificate(left);
        if left > 0.0 {
            big_words(out, grade, words::duration(left));
            small(out, "left of this agent's own");
        } else {
            big_words(out, grade, "expired");
            small(out, format_args!("{} ago", words::duration(-left)));
        }
    });
}
