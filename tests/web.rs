//! The endpoint over real sockets: paths, filters, negotiation, limits, signals.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use rustix::process::Signal;

use crate::agent::{Agent, PATIENCE, request, run, wait_for};

const ONE: [&str; 2] = ["--collector.disable-defaults", "--collector.loadavg"];

#[test]
fn paths() {
    let agent = Agent::start(&ONE);
    for method in ["GET", "POST", "DELETE", "OPTIONS", "FETCH"] {
        let response = agent.request(method, "/metrics", &[]);
        assert_eq!(response.status, 200, "{method}");
        assert!(response.sample("node_load1").is_some());
    }
    let head = agent.request("HEAD", "/metrics", &[]);
    assert_eq!((head.status, head.body.len()), (200, 0));
    let page = agent.get("/");
    assert_eq!(page.status, 200);
    assert_eq!(page.header("content-type"), Some("text/html; charset=UTF-8"));
    assert!(page.text().contains("<a href=\"metrics\">Metrics</a>"), "{}", page.text());
    assert!(page.text().contains(env!("CARGO_PKG_VERSION")));
    for path in ["/-/healthy", "/-/ready", "/%6detrics"] {
        assert_eq!(agent.get(path).status, 200, "{path}");
    }
    for path in ["/nothing", "/metrics/", "/favicon.ico", "/debug/pprof/"] {
        let response = agent.get(path);
        assert_eq!((response.status, response.text().as_str()), (404, "404 page not found\n"));
        assert_eq!(response.header("x-content-type-options"), Some("nosniff"));
    }
    for path in ["//metrics", "/./metrics"] {
        let response = agent.get(path);
        assert_eq!((response.status, response.header("location")), (307, Some("/metrics")));
    }
}

#[test]
fn a_telemetry_path_may_be_the_root_or_a_subtree() {
    let root = Agent::start(&[ONE[0], ONE[1], "--web.telemetry-path=/"]);
    for path in ["/", "/anything"] {
        assert!(root.get(path).sample("node_load1").is_some(), "{path}");
    }
    assert_eq!(root.get("/-/healthy").text(), "hostwarden is healthy.\n");
    let subtree = Agent::start(&[ONE[0], ONE[1], "--web.telemetry-path=/m/"]);
    assert!(subtree.get("/m/below").sample("node_load1").is_some());
    assert_eq!(subtree.get("/m").status, 404);
}

#[test]
fn malformed_requests_are_told_so() {
    let agent = Agent::start(&ONE);
    let response = agent.send(b"GET /metrics HTTP/1.1\r\nConnection: close\r\n\r\n");
    assert_eq!(response.status, 400);
    assert_eq!(response.text(), "400 Bad Request: missing required Host header");
    let two = b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\nConnection: close\r\n\r\n";
    assert_eq!(agent.send(two).text(), "400 Bad Request");
    assert_eq!(agent.send(b"NONSENSE\r\n\r\n").status, 400);
    let hello_of_tls = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03";
    assert_eq!(agent.send(hello_of_tls).status, 400);
    let old = agent.send(b"GET /metrics HTTP/1.0\r\n\r\n");
    assert!(old.status == 200 && old.sample("node_load1").is_some());
}

#[test]
fn filters() {
    let arguments = [ONE[0], ONE[1], "--collector.sockstat", "--log.level=debug"];
    let agent = Agent::start(&arguments);
    let only = agent.get("/metrics?collect[]=sockstat&collect%5B%5D=sockstat");
    assert!(
        only.text().contains("\nnode_sockstat_sockets_used ")
            && only.sample("node_load1").is_none()
    );
    assert!(only.text().contains("\nprocess_open_fds "));
    let without = agent.get("/metrics?exclude[]=sockstat&exclude[]=nothing");
    assert!(!without.text().contains("\nnode_sockstat_sockets_used "));
    assert!(without.sample("node_load1").is_some());
    let nothing = agent.get("/metrics?exclude[]=sockstat&exclude[]=loadavg");
    assert_eq!(nothing.status, 200);
    assert!(!nothing.text().contains("node_scrape_collector_success"));
    let prefix = "Couldn't create filtered metrics handler: couldn't create collector:";
    for (query, expected) in [
        ("collect[]=nothing", format!("{prefix} missing collector: nothing")),
        ("collect[]=", format!("{prefix} missing collector: ")),
        ("collect[]=netstat", format!("{prefix} disabled collector: netstat")),
        (
            "collect[]=sockstat&exclude[]=sockstat",
            "Combined collect and exclude queries are not allowed.".to_owned(),
        ),
    ] {
        let response = agent.get(&format!("/metrics?{query}"));
        assert_eq!((response.status, response.text()), (400, expected));
    }
    // None of the refusals counts as a scrape.
    let last = agent.get("/metrics");
    assert_eq!(last.sample("promhttp_metric_handler_requests_total{code=\"200\"}"), Some(3.0));
}

#[test]
fn content_type_and_encoding_follow_the_client() {
    let agent = Agent::start(&ONE);
    let plain = agent.get("/metrics");
    assert_eq!(
        plain.header("content-type"),
        Some("text/plain; version=0.0.4; charset=utf-8; escaping=underscores")
    );
    assert_eq!(plain.header("content-encoding"), None);
    let accept = "Accept: text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,*/*;q=0.2";
    let gzip = agent.request("GET", "/metrics", &[accept, "Accept-Encoding: gzip"]);
    assert_eq!(
        gzip.header("content-type"),
        Some("text/plain; version=0.0.4; charset=utf-8; escaping=allow-utf-8")
    );
    assert_eq!(gzip.header("content-encoding"), Some("gzip"));
    let mut text = String::new();
    flate2::read::GzDecoder::new(&gzip.body[..]).read_to_string(&mut text).unwrap();
    assert!(crate::agent::value(&text, "node_load1").is_some());
    let protobuf = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily";
    for (encoding, start) in [
        ("delimited", &b"\x0a\x15hostwarden_build_info"[..]),
        ("text", b"name: \"hostwarden_build_info\"\n"),
        ("compact-text", b"name:\"hostwarden_build_info\" help:"),
    ] {
        let accept = format!("Accept: {protobuf};encoding={encoding};q=0.7,text/plain;q=0.6");
        let path = "/metrics?collect[]=loadavg";
        let quiet = Agent::start(&[ONE[0], ONE[1], "--web.disable-exporter-metrics"]);
        let answer = quiet.request("GET", path, &[&accept]);
        let expected =
            format!("{}; encoding={encoding}; escaping=underscores", protobuf.replace(';', "; "));
        assert_eq!(answer.header("content-type"), Some(&*expected));
        let found = answer.body.windows(start.len()).position(|window| window == start);
        assert!(found.is_some_and(|at| at < 8), "{:?}", String::from_utf8_lossy(&answer.body));
    }
    let page = agent.request("GET", "/", &["Accept-Encoding: gzip"]);
    assert_eq!(page.header("content-encoding"), None);
}

#[test]
fn own_metrics_can_be_left_out() {
    let agent = Agent::start(&[ONE[0], ONE[1], "--web.disable-exporter-metrics"]);
    let text = agent.get("/metrics").text();
    for name in ["promhttp_", "process_", "go_"] {
        assert!(!text.contains(&format!("\n{name}")), "{name}");
    }
    assert!(text.contains("\nnode_exporter_build_info{"));
    assert!(text.contains("version=\"1.12.1\"} 1\n"));
}

/// A tree whose `loadavg` is a FIFO that nobody writes: who reads it hangs.
fn hung_tree() -> tempfile::TempDir {
    let tree = tempfile::tempdir().unwrap();
    let fifo = tree.path().join("loadavg");
    assert!(std::process::Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    std::fs::create_dir(tree.path().join("net")).unwrap();
    std::fs::write(tree.path().join("net/sockstat"), "sockets: used 7\n").unwrap();
    tree
}

#[test]
fn scrapes_beyond_the_limit_are_refused_and_a_slot_comes_back_when_its_client_leaves() {
    let tree = hung_tree();
    let procfs = format!("--path.procfs={}", tree.path().display());
    let agent = Agent::start(&[ONE[0], ONE[1], &procfs, "--web.max-requests=1"]);
    let probe = || {
        let timeout = "X-Prometheus-Scrape-Timeout-Seconds: 0.1";
        agent.request("GET", "/metrics?collect[]=loadavg", &[timeout])
    };
    let mut held = TcpStream::connect(agent.address).unwrap();
    held.write_all(b"GET /metrics HTTP/1.1\r\nHost: test\r\n\r\n").unwrap();
    wait_for("refusal", || probe().status == 503);
    assert_eq!(probe().text(), "Limit of concurrent requests reached (1), try again later.\n");
    drop(held);
    wait_for("slot after the client left", || probe().status == 200);
    let refused = probe().sample("promhttp_metric_handler_requests_total{code=\"503\"}");
    assert!(refused >= Some(2.0), "{refused:?}");
}

#[test]
fn a_hung_file_costs_its_own_collector_and_not_the_scrape() {
    let tree = hung_tree();
    let procfs = format!("--path.procfs={}", tree.path().display());
    let agent = Agent::start(&[ONE[0], ONE[1], "--collector.sockstat", &procfs]);
    let timeout = "X-Prometheus-Scrape-Timeout-Seconds: 0.4";
    for _ in 0..3 {
        let response = agent.request("GET", "/metrics", &[timeout]);
        assert_eq!(response.status, 200);
        let success = |name: &str| {
            response.sample(&format!("node_scrape_collector_success{{collector=\"{name}\"}}"))
        };
        assert_eq!((success("loadavg"), success("sockstat")), (Some(0.0), Some(1.0)));
        assert_eq!(response.sample("node_sockstat_sockets_used"), Some(7.0));
    }
    let late = agent.log().matches("no answer before the scrape's deadline").count();
    assert_eq!(late, 1, "told when it changes, not at each scrape:\n{}", agent.log());
    // A writer lets the old call return, and may find that it does not read; the collector is tried again.
    drop(std::fs::File::options().write(true).open(tree.path().join("loadavg")).unwrap());
    std::fs::remove_file(tree.path().join("loadavg")).unwrap();
    std::fs::write(tree.path().join("loadavg"), "1.5 2 3 4/5 6\n").unwrap();
    wait_for("the collector's return", || agent.get("/metrics").sample("node_load1") == Some(1.5));
}

#[test]
fn a_silent_or_slow_client_is_cut_off() {
    let agent = Agent::start(&ONE);
    let mut silent = TcpStream::connect(agent.address).unwrap();
    let mut slow = TcpStream::connect(agent.address).unwrap();
    slow.write_all(b"GET /metrics HTTP/1.1\r\nHost:").unwrap();
    for stream in [&mut silent, &mut slow] {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut answer = Vec::new();
        // Closed, by a FIN or a reset.
        let _ = stream.read_to_end(&mut answer);
        assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 408"), "{answer:?}");
    }
}

#[test]
fn sighup_is_harmless_and_sigterm_ends_with_0_after_the_running_scrape() {
    let mut agent = Agent::start(&ONE);
    agent.signal(Signal::HUP);
    agent.wait_for_log("files read anew");
    assert_eq!(agent.get("/metrics").status, 200);
    agent.signal(Signal::TERM);
    assert_eq!(agent.wait(), Some(0));
}

#[test]
fn two_addresses_serve_alike_and_a_taken_one_ends_the_start() {
    let agent = Agent::start(&[ONE[0], ONE[1], "--web.listen-address=[::1]:0"]);
    wait_for("two listeners", || agent.log().matches("Listening on").count() == 2);
    let taken = format!("--web.listen-address={}", agent.address);
    let output = run(&[&taken]);
    assert_eq!(output.status.code(), Some(1));
    let log = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(log.contains("bind: address already in use"), "{log}");
}

#[test]
fn the_wildcard_serves_both_families() {
    let mut command = std::process::Command::new(crate::agent::BINARY);
    command.args(ONE).arg("--web.listen-address=:0");
    let agent = Agent::spawn(&mut command);
    assert!(agent.address.is_ipv6(), "{}", agent.address);
    for host in ["127.0.0.1", "::1"] {
        let address = SocketAddr::new(host.parse().unwrap(), agent.address.port());
        assert_eq!(request(address, "GET", "/metrics", &[]).status, 200);
    }
}
