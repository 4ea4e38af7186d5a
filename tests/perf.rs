//! The collector perf against the running kernel.

use std::fs;

use hostwarden::host::Paths;

use crate::harness::Running;

const ONLY_SOFTWARE: [(&str, &str); 2] = [
    ("collector.perf.disable-hardware-profilers", "true"),
    ("collector.perf.disable-cache-profilers", "true"),
];

fn value(lines: &[String], series: &str) -> f64 {
    let line = lines.iter().find(|line| line.starts_with(series)).unwrap();
    line.rsplit(' ').next().unwrap().parse().unwrap()
}

#[test]
fn what_the_kernel_counts_is_told_and_rises() {
    let mut flags = ONLY_SOFTWARE.to_vec();
    flags.push(("collector.perf.cpus", "0"));
    let mut perf = Running::start("perf", &flags);
    let before = perf.scrape().good();
    if before.is_empty() {
        println!("left out: the kernel lets this user open no software event on a CPU");
        return;
    }
    let names: Vec<&str> = before.iter().map(|line| line.split(' ').next().unwrap()).collect();
    assert_eq!(
        names,
        [
            "node_perf_context_switches_total{cpu=\"0\"}",
            "node_perf_cpu_migrations_total{cpu=\"0\"}",
            "node_perf_major_faults_total{cpu=\"0\"}",
            "node_perf_minor_faults_total{cpu=\"0\"}",
            "node_perf_page_faults_total{cpu=\"0\"}",
        ]
    );
    // Whatever runs meanwhile on CPU 0 cannot do so without a switch.
    let switches = "node_perf_context_switches_total";
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
    while value(&perf.scrape().good(), switches) <= value(&before, switches) {
        assert!(std::time::Instant::now() < deadline, "no switch in ten seconds");
        std::thread::yield_now();
    }
}

#[test]
fn chosen_events_alone_are_counted_and_unknown_ones_mean_all() {
    let mut flags = ONLY_SOFTWARE.to_vec();
    flags.push(("collector.perf.software-profilers", "ContextSwitch"));
    flags.push(("collector.perf.software-profilers", "NoSuchThing"));
    let lines = Running::start("perf", &flags).scrape().good();
    assert!(lines.iter().all(|line| line.starts_with("node_perf_context_switches_total")));
    let mut flags = ONLY_SOFTWARE.to_vec();
    flags.push(("collector.perf.software-profilers", "NoSuchThing"));
    let all = Running::start("perf", &flags).scrape().good();
    assert_eq!(all.len(), 5 * lines.len());
}

#[test]
fn a_cpu_that_does_not_exist_has_no_events() {
    let flags = [("collector.perf.cpus", "60000")];
    assert!(Running::start("perf", &flags).scrape().good().is_empty());
}

#[test]
fn tracepoints_that_cannot_be_counted_end_the_start() {
    let tree = tempfile::tempdir().unwrap();
    let tracefs = tree.path().join("tracing");
    let event = tracefs.join("events/sched/no_such_event");
    fs::create_dir_all(&event).unwrap();
    // No kernel has that many.
    fs::write(event.join("id"), "4294967294\n").unwrap();
    let mounts = format!("proc /proc proc rw 0 0\ntracefs {} tracefs rw 0 0\n", tracefs.display());
    fs::write(tree.path().join("mounts"), mounts).unwrap();
    let paths = Paths { proc: tree.path().into(), ..Paths::default() };
    let start = |tracepoint| {
        let flags = [("collector.perf.cpus", "0"), ("collector.perf.tracepoint", tracepoint)];
        Running::try_start("perf", &flags, &paths).err().unwrap()
    };
    assert_eq!(start("sched"), "invalid tracepoint config sched");
    assert_eq!(start("a:b:c"), "invalid tracepoint config a:b:c");
    assert_eq!(
        start("sched:absent"),
        format!("perf: {}/events/sched/absent/id: no such file or directory", tracefs.display())
    );
    assert!(start("sched:no_such_event").starts_with("perf: sched:no_such_event on CPU 0: "));
}

#[test]
fn a_tracepoint_is_counted_under_its_own_name() {
    let mounts = fs::read_to_string("/proc/mounts").unwrap();
    if !mounts.lines().any(|line| line.split(' ').nth(2) == Some("tracefs")) {
        println!("left out: no tracefs is mounted");
        return;
    }
    let mut flags = ONLY_SOFTWARE.to_vec();
    flags.push(("collector.perf.disable-software-profilers", "true"));
    flags.push(("collector.perf.cpus", "0"));
    flags.push(("collector.perf.tracepoint", "sched:sched_switch"));
    flags.push(("collector.perf.tracepoint", "sched:sched_wakeup"));
    match Running::try_start("perf", &flags, &Paths::default()) {
        Ok(mut perf) => {
            let lines = perf.scrape().good();
            assert_eq!(lines.len(), 2);
            value(&lines, "node_perf_sched_sched_switch{cpu=\"0\"}");
            value(&lines, "node_perf_sched_sched_wakeup{cpu=\"0\"}");
        }
        Err(why) => println!("left out: {why}"),
    }
}
