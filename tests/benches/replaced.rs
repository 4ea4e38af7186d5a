//! What the agent costs beside all that it takes the place of, from one run on this host.
//!
//! `cargo bench --bench replaced`. The old way is a real node_exporter behind a site of nginx with gzip and a password, and an exporter
//! each for Apache and nginx; a round is one scrape of each of the three. The new way is one scrape of the agent, with the same password
//! and the same status pages. What the two servers need for their status pages is the same in both and is not counted.

#![expect(
    clippy::cast_precision_loss,
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a bench starts programs, prints and may panic"
)]

#[path = "../agent.rs"]
#[expect(dead_code, reason = "only its patience is wanted here")]
mod agent;
#[expect(dead_code, reason = "one kind of scrape is enough here")]
mod program;
#[path = "../services/real.rs"]
#[expect(dead_code, reason = "nobody is stopped here")]
mod real;

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use http_auth_basic::Credentials;
use program::{Mode, Program, cpu, defaults_known_to, fetched};
use real::Server;

const WARM_UP: usize = 20;
const ROUNDS: usize = 500;

fn main() {
    let (_servers, flags) = real::both();
    let folder = real::folder();
    let htpasswd = folder.path().join("htpasswd").display().to_string();
    std::fs::write(&htpasswd, format!("prom:{}", apr1("secret"))).unwrap();
    let login = format!("Authorization: {}", Credentials::new("prom", "secret").as_http_header());

    let exporter = fetched("prometheus-node-exporter");
    let node = Program::start("node_exporter", &exporter, &defaults_known_to(&exporter));
    let (site, address) = site(node.address, &htpasswd);
    let mut old = [node.behind(address, &login), apache_exporter(&flags), nginx_exporter(&flags)];
    let flags = [flags, vec![format!("--web.htpasswd-file={htpasswd}")]].concat();
    let ours = Path::new(env!("CARGO_BIN_EXE_hostwarden"));
    let mut new = [Program::start_asking("hostwarden", ours, &flags, &login)];

    println!("CPU ms a round, of {ROUNDS} compressed ones");
    let nginx = processes(&site);
    let before: f64 = nginx.iter().copied().map(cpu).sum();
    let old = total(&mut old);
    let vhost = (nginx.into_iter().map(cpu).sum::<f64>() - before) / (WARM_UP + ROUNDS) as f64;
    println!("{:<22} {vhost:>7.3}", "nginx before it");
    let new = total(&mut new);
    println!("{:<22} CPU 1/{:.1}", "ratio", (old + vhost) / new);
}

/// Scrapes all of them in turn, and prints what each of them takes.
fn total(programs: &mut [Program]) -> f64 {
    scrape(programs, WARM_UP);
    let before: Vec<f64> = programs.iter().map(Program::cpu).collect();
    scrape(programs, ROUNDS);
    let taken = programs.iter().zip(before).map(|(program, before)| {
        let taken = (program.cpu() - before) / ROUNDS as f64;
        println!("{:<22} {taken:>7.3}", program.name);
        taken
    });
    taken.sum()
}

fn scrape(programs: &mut [Program], rounds: usize) {
    for _ in 0..rounds {
        for program in &mut *programs {
            program.scrape(Mode::Gzip);
        }
    }
}

/// As Apache's `htpasswd` makes it, and as it stood before node_exporter.
fn apr1(password: &str) -> String {
    let output = Command::new("openssl").args(["passwd", "-apr1", password]).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

fn site(upstream: SocketAddr, htpasswd: &str) -> (Server, SocketAddr) {
    let address = SocketAddr::from(([127, 0, 0, 1], agent::free_port()));
    let server = real::nginx(&format!(
        "server {{ listen {address}; gzip on; gzip_types *; gzip_proxied any; keepalive_requests 100000;
         location / {{ auth_basic exporter; auth_basic_user_file {htpasswd}; proxy_pass http://{upstream}; }} }}"
    ));
    (server, address)
}

/// The server's first process and its children.
fn processes(server: &Server) -> Vec<u32> {
    let first = std::fs::read_to_string(server.path("pid")).unwrap();
    let first = first.trim();
    let children = std::fs::read_to_string(format!("/proc/{first}/task/{first}/children")).unwrap();
    std::iter::once(first)
        .chain(children.split_whitespace())
        .map(|pid| pid.parse().unwrap())
        .collect()
}

fn apache_exporter(flags: &[String]) -> Program {
    let program = fetched("prometheus-apache-exporter");
    Program::start("apache_exporter", &program, &[format!("--scrape_uri={}", uri(flags, "apache"))])
}

fn nginx_exporter(flags: &[String]) -> Program {
    let program = fetched("prometheus-nginx-exporter");
    let uri = format!("--nginx.scrape-uri={}", uri(flags, "nginx"));
    Program::start("nginx_exporter", &program, &[uri])
}

/// Where the agent's flags say that a server's status is.
fn uri<'a>(flags: &'a [String], server: &str) -> &'a str {
    let begin = format!("--collector.{server}.scrape-uri=");
    flags.iter().find_map(|flag| flag.strip_prefix(&begin)).unwrap()
}
