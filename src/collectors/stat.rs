//! Interrupts, context switches, forks and when the host booted, from `/proc/stat`.

use crate::collector::prelude::*;

static SOFTIRQ: Flag<bool> =
    flags::switch("collector.stat.softirq", false, "Tell soft interrupts by vector.");

pub static SPEC: Spec = Spec::new("stat", On, "/proc/stat", &[&SOFTIRQ], |setup| {
    setup.need_proc()?;
    Ok(Box::new(Stat { softirq: setup.flags.get(&SOFTIRQ) }))
});

static INTERRUPTS: Desc =
    counter("node_intr_total", "Interrupts served since the host booted.", &[]);
static CONTEXT_SWITCHES: Desc =
    counter("node_context_switches_total", "Switches from one task to another.", &[]);
static FORKS: Desc = counter("node_forks_total", "Processes and threads created.", &[]);
static BOOT_TIME: Desc =
    gauge("node_boot_time_seconds", "When the host booted, in seconds since 1970.", &[]);
static RUNNING: Desc = gauge("node_procs_running", "Tasks that run or could run.", &[]);
static BLOCKED: Desc = gauge("node_procs_blocked", "Tasks that wait for I/O to complete.", &[]);
static SOFTIRQS: Desc =
    counter("node_softirqs_total", "Soft interrupts served, by vector.", &["vector"]);

/// In the kernel's order.
const VECTORS: [&str; 10] = [
    "hi",
    "timer",
    "net_tx",
    "net_rx",
    "block",
    "block_iopoll",
    "tasklet",
    "sched",
    "hrtimer",
    "rcu",
];

struct Stat {
    softirq: bool,
}

impl Collector for Stat {
    fn collect(&mut self, cx: &mut Cx<'_>, out: &mut Samples) -> Result<()> {
        let stat = cx
            .shared
            .proc_stat
            .get(cx.deadline, |stat| stat.parse(cx.proc.read("stat", cx.text)?))?;
        out.push(&INTERRUPTS, &[], stat.interrupts);
        out.push(&CONTEXT_SWITCHES, &[], stat.context_switches);
        out.push(&FORKS, &[], stat.forks);
        out.push(&BOOT_TIME, &[], stat.boot_time);
        out.push(&RUNNING, &[], stat.running);
        out.push(&BLOCKED, &[], stat.blocked);
        for (vector, count) in VECTORS.iter().zip(stat.softirqs).filter(|_| self.softirq) {
            out.push(&SOFTIRQS, &[vector], count);
        }
        Ok(())
    }
}
