//! The agent on this very host: beside a real node_exporter, under a real Prometheus.

use std::process::Command;

use hostwarden::collectors;

use crate::agent::{Agent, wait_for};
use crate::peers::{self, Program, Prometheus};

/// Collectors of both programs that are compared; the rest need a source that the other tests make.
fn compared() -> Vec<String> {
    collectors::ALL
        .iter()
        .filter(|spec| spec.enabled == hostwarden::collector::Enabled::On)
        .map(|spec| format!("--collector.{}", spec.name))
        .collect()
}

/// Samples that differ between two programs on one host, or that only one of them has for good
/// reason: their own, Go's runtime, and a host's links that come and go while tests run.
const SKIP: &str = "^(go_|hostwarden_|promhttp_|process_|node_exporter_build_info)";

#[test]
fn a_node_exporter_beside_it_gives_the_same_families_types_and_label_sets() {
    let Some(node_exporter) = peers::node_exporter() else { return };
    let mut flags = compared();
    flags.push("--collector.disable-defaults".to_owned());
    let port = peers::free_port();
    let _peer = Program::start(
        Command::new(node_exporter)
            .args(&flags)
            .arg(format!("--web.listen-address=127.0.0.1:{port}")),
    );
    wait_for("node_exporter", || peers::get(port, "/metrics").is_some());
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    let agent = Agent::start(&flags);
    // Links and mounts of other tests come and go: two scrapes of a quiet moment are wanted.
    let mut last = String::new();
    let is_equal = (0..20).any(|_| {
        let theirs = peers::get(port, "/metrics").unwrap();
        let ours = agent.get("/metrics").text();
        let outcome = peers::compare(&theirs, &ours, &["--names-only", "--skip", SKIP]);
        last = outcome.clone().unwrap_or_else(|difference| difference);
        outcome.is_ok()
    });
    assert!(is_equal, "{last}");
}

#[test]
fn promtool_says_nothing_that_it_does_not_say_of_node_exporter() {
    let agent = Agent::start(&[]);
    let ours = peers::promtool(&agent.get("/metrics").text());
    let Some(node_exporter) = peers::node_exporter() else { return };
    let port = peers::free_port();
    let _peer = Program::start(
        Command::new(node_exporter).arg(format!("--web.listen-address=127.0.0.1:{port}")),
    );
    wait_for("node_exporter", || peers::get(port, "/metrics").is_some());
    let theirs = peers::promtool(&peers::get(port, "/metrics").unwrap());
    let new: Vec<&String> = ours.iter().filter(|line| !theirs.contains(line)).collect();
    assert!(new.is_empty(), "{new:?}");
}

#[test]
fn a_real_prometheus_scrapes_it() {
    let agent = Agent::start(&[]);
    let prometheus = Prometheus::start(&format!(
        "- job_name: node\n  static_configs: [{{targets: ['{}']}}]\n",
        agent.address
    ));
    wait_for("up", || prometheus.value("up{job=\"node\"}") == Some(1.0));
    wait_for("a sample", || prometheus.value("node_load1").is_some());
    assert!(prometheus.value("count(node_scrape_collector_success)") > Some(5.0));
    assert!(prometheus.targets().contains("\"lastError\":\"\""), "{}", prometheus.targets());
}
