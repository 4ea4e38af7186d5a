//! The collectors apache and nginx: against servers that behave badly, and against the real ones.

use std::path::Path;
use std::time::{Duration, Instant};

use hostwarden::host::Paths;
use rustix::process::Signal;

use crate::agent::{Agent, Response, wait_for};
use crate::harness::Running;
use crate::namespace;

/// What Apache itself says.
mod apache;
/// How pages are asked for, and what may go wrong.
mod asking;
/// A server that answers what a test likes.
pub(crate) mod fake;
/// The two site files before the agent.
mod fronting;
/// What nginx itself says.
mod nginx;
/// Apache and nginx, started for a test.
pub(crate) mod real;

const APACHE_URI: &str = "collector.apache.scrape-uri";
pub(crate) const NGINX_URI: &str = "collector.nginx.scrape-uri";

pub(crate) const STUB_STATUS: &str = "Active connections: 2 \nserver accepts handled requests\n \
    16 15 31 \nReading: 0 Writing: 1 Waiting: 1 \n";

const SERVER_STATUS: &str = "Total Accesses: 3\nTotal kBytes: 1\nCPULoad: .5\nUptime: 9\n\
    BusyWorkers: 1\nIdleWorkers: 4\nScoreboard: W____...\n";

fn apache(flags: &[(&str, &str)]) -> Running {
    Running::start("apache", flags)
}

fn nginx(flags: &[(&str, &str)]) -> Running {
    Running::start("nginx", flags)
}

fn refusal(collector: &str, flags: &[(&str, &str)]) -> String {
    Running::try_start(collector, flags, &Paths::default()).map(drop).unwrap_err()
}

/// Writes a file and returns its path as text.
fn file(directory: &Path, name: &str, content: &str) -> String {
    let path = directory.join(name);
    std::fs::write(&path, content).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn servers_that_are_stopped_cost_the_scrape_no_more_than_their_time() {
    let (servers, flags) = real::both();
    let agent = Agent::start(&flags.iter().map(String::as_str).collect::<Vec<_>>());
    let whole = agent.get("/metrics");
    let ups = |answer: &Response| ["apache_up", "nginx_up"].map(|up| answer.sample(up));
    assert_eq!(ups(&whole), [Some(1.0); 2]);
    servers.iter().for_each(|server| server.signal_all(Signal::STOP));
    let started = Instant::now();
    let without = agent.get("/metrics");
    // Two seconds for both, and far less than the scrape's own deadline of ten.
    assert!(started.elapsed() < Duration::from_secs(6), "{:?}", started.elapsed());
    assert_eq!(ups(&without), [Some(0.0); 2]);
    for service in ["apache", "nginx"] {
        let series =
            format!("hostwarden_service_problem{{reason=\"timeout\",service=\"{service}\"}}");
        assert_eq!(without.sample(&series), Some(1.0));
    }
    let verdicts = |answer: &Response| -> Vec<String> {
        let text = answer.text();
        let lines = text.lines().filter(|line| line.starts_with("node_scrape_collector_success"));
        let others = lines.filter(|line| !line.contains("apache") && !line.contains("nginx"));
        others.map(str::to_owned).collect()
    };
    assert!(verdicts(&whole).len() > 20);
    assert_eq!(verdicts(&without), verdicts(&whole));
    servers.iter().for_each(|server| server.signal_all(Signal::CONT));
    wait_for("both servers", || ups(&agent.get("/metrics")) == [Some(1.0); 2]);
}

#[test]
fn servers_are_found_at_the_usual_places_at_start_and_on_reload() {
    namespace::inside(
        "services::servers_are_found_at_the_usual_places_at_start_and_on_reload",
        || {
            namespace::ip("link set lo up");
            let agent = Agent::start(&["--collector.disable-defaults", "--services.auto"]);
            let ups = || ["apache_up", "nginx_up"].map(|up| agent.get("/metrics").sample(up));
            assert_eq!(ups(), [None, None]);
            let apache = real::apache("event", &[], "Listen 80");
            let nginx = real::nginx(
                "server { listen 127.0.0.1:8080; location /nginx_status { stub_status; } }",
            );
            agent.signal(Signal::HUP);
            wait_for("both servers", || ups() == [Some(1.0), Some(1.0)]);
            assert!(agent.log().contains("url=http://127.0.0.1:8080/nginx_status"));
            // What was found stays, be it up or down.
            drop((apache, nginx));
            assert_eq!(ups(), [Some(0.0), Some(0.0)]);
            agent.signal(Signal::HUP);
            agent.get("/metrics");
            assert_eq!(ups(), [Some(0.0), Some(0.0)]);

            let flags = ["--collector.disable-defaults", "--services.auto", "--no-collector.nginx"];
            let agent = Agent::start(&flags);
            let text = agent.get("/metrics").text();
            assert!(
                text.contains("node_scrape_collector_success{collector=\"apache\"} 0"),
                "{text}"
            );
            assert!(!text.contains("collector=\"nginx\""), "{text}");
        },
    );
}
