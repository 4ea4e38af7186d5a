//! What Apache itself says, and what apache_exporter makes of it.

use std::process::Command;

use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};

use super::fake::{self, Fake};
use super::real::{self, Server};
use super::{APACHE_URI, apache, file};
use crate::agent::{Agent, wait_for};
use crate::harness::Said;
use crate::peers::{self, Program, free_port};

/// What both have under other values, what is the original's own or ours, and what either has at
/// other times (see tests/differences.md).
const SKIP: &str = "^(go_|process_|promhttp_|node_|hostwarden_|apache_exporter_)";

/// Holds the agent against the original on the same server.
fn assert_equal_beside_the_original(url: &str, how: &[&str]) {
    let Some(program) = peers::fetched("prometheus-apache-exporter") else { return };
    let port = free_port();
    let _peer = Program::start(
        Command::new(program)
            .arg(format!("--scrape_uri={url}"))
            .arg(format!("--web.listen-address=127.0.0.1:{port}")),
    );
    wait_for("apache_exporter", || peers::get(port, "/metrics").is_some());
    let agent = Agent::start(&[
        "--collector.disable-defaults",
        "--collector.apache",
        &format!("--{APACHE_URI}={url}"),
    ]);
    let theirs = peers::get(port, "/metrics").unwrap();
    let ours = agent.get("/metrics").text();
    assert!(theirs.contains("apache_up 1"), "{theirs}");
    let outcome = peers::compare(&theirs, &ours, how);
    outcome.unwrap_or_else(|difference| panic!("{url}: {difference}"));
}

fn has(said: &Said, line: &str) -> bool {
    said.lines.iter().any(|told| told == line)
}

#[test]
fn the_same_page_gives_the_same_values() {
    let event = include_str!("pages/event.txt");
    let old = "Total Accesses: 302311\nTotal kBytes: 1677830\nCPULoad: 27.4052\nUptime: 45683\n\
        ReqPerSec: 6.61758\nBytesPerSec: 37609.1\nBytesPerReq: 5683.21\nBusyWorkers: 2\n\
        IdleWorkers: 8\nScoreboard: _W_______K......................\n";
    let busy = event
        .replace("CPUUser: 0", "CPUUser: .25")
        .replace("CPUChildrenSystem: 0", "CPUChildrenSystem: 1e1")
        .replace("Scoreboard: W__", "Scoreboard: WSRKDCLGI.")
        .replace("Elected: 0", "Elected: 12345678")
        .replace("Sent: 0K", "Sent: 17k")
        .replace("2.4.71", "2.10.3");
    for page in [event, old, &busy] {
        let page = page.to_owned();
        let fake = Fake::start(move |_| fake::page(&page));
        let url = format!("http://{}/server-status?auto", fake.address);
        assert_equal_beside_the_original(&url, &["--skip", SKIP]);
    }
}

#[test]
fn each_processing_module_with_and_without_extended_status() {
    for mpm in ["prefork", "worker", "event"] {
        for extended in ["On", "Off"] {
            let port = free_port();
            let config = format!("Listen 127.0.0.1:{port}\nExtendedStatus {extended}");
            let _server = real::apache(mpm, &[], &config);
            let url = format!("http://127.0.0.1:{port}/server-status?auto");
            let mut running = apache(&[(APACHE_URI, &url)]);
            // Until its first processes have settled, Apache counts none of them.
            let busy = "apache_workers{state=\"busy\"} 1";
            wait_for("a busy worker", || has(&running.scrape(), busy));
            let said = running.scrape();
            let what = format!("{mpm}, ExtendedStatus {extended}: {:#?}", said.lines);
            assert_eq!(said.outcome, Ok(()), "{what}");
            assert!(has(&said, "apache_up 1"), "{what}");
            assert!(has(&said, "apache_scoreboard{state=\"reply\"} 1"), "{what}");
            let is_told = |name: &str| said.lines.iter().any(|line| line.starts_with(name));
            assert!(
                is_told(&format!("apache_info{{mpm=\"{mpm}\",version=\"Apache/2.4.")),
                "{what}"
            );
            assert!(is_told("apache_version 2.04"), "{what}");
            assert!(is_told("apache_uptime_seconds_total "), "{what}");
            assert!(is_told("hostwarden_apache_graceful_workers "), "{what}");
            assert_eq!(is_told("apache_processes{"), mpm == "event", "{what}");
            assert_eq!(is_told("apache_connections{"), mpm == "event", "{what}");
            assert_eq!(is_told("apache_accesses_total "), extended == "On", "{what}");
            let problem =
                "hostwarden_service_problem{reason=\"extended_status_off\",service=\"apache\"} 1";
            assert_eq!(has(&said, problem), extended == "Off", "{what}");
            let skip = match extended {
                "On" => SKIP.to_owned(),
                _ => format!("{SKIP}|^apache_uptime_seconds_total"),
            };
            assert_equal_beside_the_original(&url, &["--names-only", "--skip", &skip]);
        }
    }
}

#[test]
fn the_page_for_people_is_told_apart() {
    let port = free_port();
    let _server = real::apache("event", &[], &format!("Listen 127.0.0.1:{port}"));
    let said = apache(&[(APACHE_URI, &format!("http://127.0.0.1:{port}/server-status"))]).scrape();
    assert!(has(&said, "apache_up 0"));
    let problem = "hostwarden_service_problem{reason=\"auto_missing\",service=\"apache\"} 1";
    assert!(has(&said, problem), "{:#?}", said.lines);
}

/// A certificate as `openssl req -x509` makes them: its own authority.
fn certificate(server: &std::path::Path) -> [String; 2] {
    let mut params = CertificateParams::new(["localhost".to_owned()]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let certificate = params.self_signed(&key).unwrap().pem();
    [file(server, "server.pem", &certificate), file(server, "server.key", &key.serialize_pem())]
}

fn balancing(backend: &str) -> (Server, tempfile::TempDir, u16, u16, String) {
    let folder = real::folder();
    let [certificate, key] = certificate(folder.path());
    let (plain, secure) = (free_port(), free_port());
    let config = format!(
        "Listen 127.0.0.1:{plain}\nListen 127.0.0.1:{secure}\nProxyStatus On\n\
         SSLSessionCache shmcb:DIR/cache(512000)\n\
         <Proxy balancer://one>\nBalancerMember http://{backend} route=a\n\
         BalancerMember http://127.0.0.1:2 status=+D\n</Proxy>\n\
         <Proxy balancer://two>\nBalancerMember http://127.0.0.1:1\n</Proxy>\n\
         ProxyPass /one balancer://one\nProxyPass /two balancer://two\n\
         <VirtualHost *:{secure}>\nSSLEngine on\nSSLProtocol TLSv1.2 TLSv1.3\n\
         SSLCertificateFile {certificate}\nSSLCertificateKeyFile {key}\n</VirtualHost>\n"
    );
    let modules = [
        "socache_shmcb",
        "ssl",
        "slotmem_shm",
        "proxy",
        "proxy_http",
        "lbmethod_byrequests",
        "proxy_balancer",
    ];
    (real::apache("event", &modules, &config), folder, plain, secure, certificate)
}

#[test]
fn balancers_and_the_cache_of_tls_sessions() {
    let backend = Fake::start(|_| fake::page(&"x".repeat(5000)));
    let (_server, _folder, plain, secure, certificate) = balancing(&backend.address);
    for _ in 0..3 {
        assert!(peers::get(plain, "/one/").is_some());
    }
    let url = format!("http://127.0.0.1:{plain}/server-status?auto");
    let lines = apache(&[(APACHE_URI, &url)]).scrape().good();
    let member = format!("balancer=\"balancer://one\",worker=\"http://{}\"", backend.address);
    for (name, at_least) in [
        ("apache_proxy_balancer_accesses_total", 3.0),
        ("apache_proxy_balancer_busy", 0.0),
        ("apache_proxy_balancer_request_kbytes_total", 0.0),
        ("apache_proxy_balancer_response_kbytes_total", 14.0),
    ] {
        let value = crate::agent::value(&lines.join("\n"), &format!("{name}{{{member}}}"));
        assert!(value >= Some(at_least), "{name}: {value:?} in {lines:#?}");
    }
    let states = lines.iter().filter(|line| line.starts_with("apache_proxy_balancer_status"));
    assert_eq!(states.count(), 3, "{lines:#?}");
    assert!(lines.iter().any(|line| line.contains("status=\"Init Dis")), "{lines:#?}");
    assert!(lines.contains(&"hostwarden_apache_tls_cache_memory_bytes 512000".to_owned()));
    assert_equal_beside_the_original(&url, &["--names-only", "--skip", SKIP]);

    let secure = format!("https://localhost:{secure}/server-status?auto");
    let trusting = [(APACHE_URI, secure.as_str()), ("collector.apache.ca-file", &certificate)];
    let mut running = apache(&trusting);
    running.scrape().good();
    let lines = running.scrape().good();
    assert!(lines.contains(&"apache_up 1".to_owned()), "{lines:#?}");
    let careless = [(APACHE_URI, secure.as_str()), ("collector.apache.insecure", "true")];
    apache(&careless).scrape().good();
    let said = apache(&[(APACHE_URI, &secure)]).scrape();
    assert!(has(&said, "apache_up 0"));
    let problem = "hostwarden_service_problem{reason=\"tls\",service=\"apache\"} 1";
    assert!(has(&said, problem), "{:#?}", said.lines);
}
