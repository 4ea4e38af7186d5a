//! The agent on this very host: beside a real node_exporter, under a real Prometheus.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

use hostwarden::collectors;

use crate::agent::{Agent, wait_for};
use crate::peers::{self, Program, Prometheus};

/// The collectors that run by default and that the other program has as well: it may be older than
/// the release that the agent stands in for.
fn compared(node_exporter: &Path) -> Vec<String> {
    let help = Command::new(node_exporter).arg("--help").output().unwrap();
    let help = [help.stdout, help.stderr].concat();
    let help = String::from_utf8_lossy(&help).replace("[no-]", "");
    let words: BTreeSet<&str> = help.split_whitespace().collect();
    let is_known = |name: &str| words.contains(&*format!("--collector.{name}"));
    collectors::ALL
        .iter()
        .filter(|spec| spec.enabled == hostwarden::collector::Enabled::On && is_known(spec.name))
        .map(|spec| format!("--collector.{}", spec.name))
        .collect()
}

/// Which mount points are left out: Debian's node_exporter has a default of its own.
fn mount_points() -> String {
    let flags = collectors::find("filesystem").unwrap().flags.iter().map(|flag| flag.definition());
    let name = "collector.filesystem.mount-points-exclude";
    let exclude = { flags }.find(|flag| flag.name == name).unwrap();
    format!("--{name}={}", exclude.default)
}

/// Samples that differ between two programs on one host, or that only one of them has for good
/// reason: their own, Go's runtime, and a host's links that come and go while tests run.
/// 1.11 tells `rotational` of `node_disk_info` from other files than 1.12.
const SKIP: &str = "^(go_|hostwarden_|promhttp_|process_|node_exporter_build_info|node_disk_info)";

#[test]
fn a_node_exporter_beside_it_gives_the_same_families_types_and_label_sets() {
    let Some(node_exporter) = peers::node_exporter() else { return };
    let mut flags = compared(&node_exporter);
    assert!(flags.len() > 30, "{flags:?}");
    flags.push("--collector.disable-defaults".to_owned());
    flags.push(mount_points());
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
    peers::assert_soon_equal(port, &agent, &["--names-only", "--skip", SKIP], 20);
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

/// The series in an exposition, `node_cpu_info{cpu="0"}`, without the labels that Prometheus adds,
/// and without empty ones, which it takes for none.
fn series(exposition: &str) -> BTreeSet<String> {
    let samples = exposition.lines().filter(|line| !line.starts_with('#'));
    let counts = |label: &&str| {
        !label.starts_with("instance=") && !label.starts_with("job=") && !label.ends_with("=\"\"")
    };
    let bare = |line: &str| {
        let (name, rest) = line.split_at(line.find(['{', ' ']).unwrap());
        let labels = rest.strip_prefix('{').map_or("", |rest| rest.rsplit_once('}').unwrap().0);
        // Prometheus sorts `le` and `quantile` among the others.
        let labels: BTreeSet<&str> = labels.split(',').filter(counts).collect();
        format!("{name}{{{}}}", labels.into_iter().collect::<Vec<_>>().join(","))
    };
    samples.map(bare).collect()
}

/// Families of all types, with numbers that are written the same by all versions of Prometheus.
const TEXTFILE: &str = "\
# TYPE test_seconds histogram
test_seconds_bucket{path=\"/a\",le=\"0.5\"} 3
test_seconds_bucket{path=\"/a\",le=\"2.5\"} 200
test_seconds_bucket{path=\"/a\",le=\"+Inf\"} 1e+06
test_seconds_sum{path=\"/a\"} 12.25
test_seconds_count{path=\"/a\"} 1e+06
test_seconds_bucket{path=\"/b\",le=\"+Inf\"} 0
test_seconds_sum{path=\"/b\"} 0
test_seconds_count{path=\"/b\"} 0
# TYPE test_size summary
test_size{kind=\"x\",quantile=\"0.5\"} 1.5
test_size{kind=\"x\",quantile=\"0.99\"} NaN
test_size_sum{kind=\"x\"} -7.5
test_size_count{kind=\"x\"} 300
# TYPE test_up gauge
test_up{name=\"größe\"} 5e-324
# TYPE test_down gauge
test_down{name=\"x\"} -Inf
# TYPE test_total counter
test_total{name=\"x\"} 1.7976931348623157e+308
test_none{name=\"x\"} 0.1
";

/// Scrapes the agent with a Prometheus that prefers protobuf, and holds what it stored against the
/// text.
fn reads_the_same_from_protobuf(command: Command, setting: &str) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("all.prom"), TEXTFILE).unwrap();
    let textfiles = format!("--collector.textfile.directory={}", folder.path().display());
    let agent = Agent::start(&[
        "--collector.disable-defaults",
        "--collector.stat",
        "--collector.os",
        "--collector.textfile",
        &textfiles,
    ]);
    let recorder = TcpListener::bind("127.0.0.1:0").unwrap();
    let prometheus = Prometheus::spawn(
        command,
        &format!(
            "- job_name: node\n  static_configs: [{{targets: ['{}', '{}']}}]\n{setting}",
            agent.address,
            recorder.local_addr().unwrap(),
        ),
    );
    let request = BufReader::new(recorder.accept().unwrap().0).lines().map(Result::unwrap);
    let accept =
        request.take_while(|line| !line.is_empty()).find(|line| line.starts_with("Accept:"));
    let answer = agent.request("GET", "/metrics", &[&accept.unwrap()]);
    let content_type = answer.header("content-type").unwrap();
    assert!(content_type.contains("encoding=delimited"), "{content_type}");

    let up = format!("up{{instance=\"{}\"}}", agent.address);
    wait_for("up", || prometheus.value(&up) == Some(1.0));
    let stored = prometheus.get("/federate?match[]=%7B__name__=~%22(node|test)_.*%22%7D").unwrap();
    let text = agent.get("/metrics").text();
    let mut said = series(&text);
    said.retain(|series| series.starts_with("node_") || series.starts_with("test_"));
    assert!(said.len() > 10 && said.iter().any(|series| series.starts_with("node_os_info{")));
    assert_eq!(series(&stored), said);
    // What does not change between two scrapes, to the last digit.
    let values = |text: &str| -> BTreeSet<(String, String)> {
        let samples = text.lines().filter(|line| line.starts_with("test_"));
        let value = |line: &str| {
            line.rsplit_once('}').unwrap().1.trim().split(' ').next().unwrap().to_owned()
        };
        samples.map(|line| (series(line).pop_first().unwrap(), value(line))).collect()
    };
    assert_eq!(values(&stored), values(&text));
    assert_eq!(values(&text).len(), 16);
}

#[test]
fn a_real_prometheus_reads_the_same_from_protobuf() {
    let mut debians = Command::new("prometheus");
    debians.arg("--enable-feature=native-histograms");
    reads_the_same_from_protobuf(debians, "");
    let Some(newest) = peers::fetched("prometheus") else { return };
    let setting = "  scrape_protocols: [PrometheusProto]\n";
    reads_the_same_from_protobuf(Command::new(newest), setting);
}
