//! What nginx itself says, and what nginx-prometheus-exporter makes of it.

use std::process::Command;

use super::fake::{self, Fake};
use super::{NGINX_URI, STUB_STATUS, nginx, real};
use crate::agent::{Agent, wait_for};
use crate::peers::{self, Program, free_port};

/// What both have under other values, and what is the original's own or ours (see
/// tests/differences.md).
const SKIP: &str = "^(go_|process_|promhttp_|node_|hostwarden_|nginx_exporter_build_info)";

const NAMES: &[&str] = &["--names-only", "--skip", SKIP];

/// Holds the agent against the original on the same servers.
fn assert_equal_beside_the_original(urls: &[&str], how: &[&str]) {
    let Some(program) = peers::fetched("prometheus-nginx-exporter") else { return };
    let port = free_port();
    let _peer = Program::start(
        Command::new(program)
            .args(urls.iter().map(|url| format!("--nginx.scrape-uri={url}")))
            .arg(format!("--web.listen-address=127.0.0.1:{port}")),
    );
    wait_for("nginx-prometheus-exporter", || peers::get(port, "/metrics").is_some());
    let mut flags = vec!["--collector.disable-defaults".to_owned(), "--collector.nginx".to_owned()];
    flags.extend(urls.iter().map(|url| format!("--{NGINX_URI}={url}")));
    let agent = Agent::start(&flags.iter().map(String::as_str).collect::<Vec<_>>());
    let theirs = peers::get(port, "/metrics").unwrap();
    let ours = agent.get("/metrics").text();
    assert_eq!(theirs.matches("\nnginx_up").count(), urls.len(), "{theirs}");
    let outcome = peers::compare(&theirs, &ours, how);
    outcome.unwrap_or_else(|difference| panic!("{urls:?}: {difference}"));
}

#[test]
fn the_same_page_gives_the_same_values() {
    for page in [STUB_STATUS.to_owned(), STUB_STATUS.replace("16 15 31", "6717066 -1 65844359")] {
        let fake = Fake::start(move |_| fake::page(&page));
        let url = format!("http://{}/stub_status", fake.address);
        assert_equal_beside_the_original(&[&url], &["--skip", SKIP]);
    }
}

#[test]
fn over_tcp_and_over_a_socket() {
    let port = free_port();
    let server = real::nginx(&format!(
        "server {{ listen 127.0.0.1:{port}; listen unix:DIR/nginx.sock;\n\
         location /stub_status {{ stub_status; }} }}"
    ));
    let tcp = format!("http://127.0.0.1:{port}/stub_status");
    let socket = format!("unix:{}:/stub_status", server.path("nginx.sock").display());
    for url in [&tcp, &socket] {
        let mut running = nginx(&[(NGINX_URI, url)]);
        let lines = running.scrape().good();
        assert_eq!(lines.len(), 10, "{lines:#?}");
        for line in ["nginx_up 1", "nginx_connections_reading 0", "nginx_connections_writing 1"] {
            assert!(lines.contains(&line.to_owned()), "{line}: {lines:#?}");
        }
        assert!(
            lines.iter().any(|line| line.starts_with("hostwarden_nginx_info{version=\"nginx/"))
        );
        let total =
            |lines: &[String], name: &str| crate::agent::value(&lines.join("\n"), name).unwrap();
        // Each scrape is a request of its own over the connection that is kept.
        let again = running.scrape().good();
        for (name, more) in
            [("nginx_http_requests_total", 1.0), ("nginx_connections_accepted", 0.0)]
        {
            assert_eq!(total(&again, name), total(&lines, name) + more, "{name}");
        }
        assert_equal_beside_the_original(&[url], NAMES);
    }
}

#[test]
fn several_servers() {
    let stub = "location /stub_status { stub_status; }";
    let ports = [free_port(), free_port()];
    let start = |port: u16| real::nginx(&format!("server {{ listen 127.0.0.1:{port}; {stub} }}"));
    let _servers = ports.map(start);
    let urls = ports.map(|port| format!("http://127.0.0.1:{port}/stub_status"));
    assert_equal_beside_the_original(&[&urls[0], &urls[1]], NAMES);
    // The same two, and one of them down.
    let down = format!("http://127.0.0.1:{}/stub_status", free_port());
    assert_equal_beside_the_original(&[&urls[0], &down], NAMES);
}

/// The original asks the last socket for all of them.
#[test]
fn each_is_asked_where_it_is() {
    let stub = "location /stub_status { stub_status; }";
    let server = real::nginx(&format!("server {{ listen unix:DIR/nginx.sock; {stub} }}"));
    let socket = format!("unix:{}:/stub_status", server.path("nginx.sock").display());
    let ports = [free_port(), free_port()];
    let _servers =
        ports.map(|port| real::nginx(&format!("server {{ listen 127.0.0.1:{port}; {stub} }}")));
    let urls = ports.map(|port| format!("http://127.0.0.1:{port}/stub_status"));
    (0..5).for_each(|_| assert!(peers::get(ports[0], "/stub_status").is_some()));
    (0..9).for_each(|_| assert!(peers::get(ports[1], "/stub_status").is_some()));
    let flags = [(NGINX_URI, urls[0].as_str()), (NGINX_URI, &urls[1]), (NGINX_URI, &socket)];
    let lines = nginx(&flags).scrape().good();
    for (url, requests) in [(&urls[0], 6), (&urls[1], 10), (&socket, 1)] {
        let line = format!("nginx_http_requests_total{{addr=\"{url}\"}} {requests}");
        assert!(lines.contains(&line), "{line}: {lines:#?}");
    }
}
