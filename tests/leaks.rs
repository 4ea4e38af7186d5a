//! What a thousand scrapes leave behind: nothing.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;

use crate::agent::{Agent, wait_for};
use crate::services::fake::{Fake, Reply, response};
use crate::services::{NGINX_URI, STUB_STATUS};

#[derive(Debug, PartialEq, Eq, Clone, Copy)]
struct Held {
    descriptors: usize,
    threads: usize,
}

fn held(agent: &Agent) -> Held {
    let count = |what: &str| fs::read_dir(format!("/proc/{}/{what}", agent.pid())).unwrap().count();
    Held { descriptors: count("fd"), threads: count("task") }
}

/// The names of its threads, sorted.
fn threads(agent: &Agent) -> Vec<String> {
    let tasks = fs::read_dir(format!("/proc/{}/task", agent.pid())).unwrap();
    // A thread may end meanwhile.
    let names = tasks.filter_map(|task| fs::read_to_string(task.ok()?.path().join("comm")).ok());
    let mut names: Vec<String> = names.map(|name| name.trim_end().to_owned()).collect();
    names.sort_unstable();
    names
}

fn is_any(directory: &str) -> bool {
    fs::read_dir(directory).is_ok_and(|entries| entries.count() > 0)
}

pub(crate) fn anonymous_kilobytes(agent: &Agent) -> usize {
    let status = fs::read_to_string(format!("/proc/{}/status", agent.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// Scrapes over a connection that stays open, so that it counts in every measurement.
fn scrape(connection: &mut BufReader<TcpStream>, times: usize) {
    let request = "GET /metrics HTTP/1.1\r\nHost: test\r\nAccept-Encoding: gzip\r\n\r\n";
    for _ in 0..times {
        connection.get_mut().write_all(request.as_bytes()).unwrap();
        let mut length = 0;
        loop {
            let mut line = String::new();
            connection.read_line(&mut line).unwrap();
            if line == "\r\n" {
                break;
            }
            if let Some(value) = line.strip_prefix("content-length: ") {
                length = value.trim().parse().unwrap();
            }
        }
        let mut body = vec![0; length];
        connection.read_exact(&mut body).unwrap();
    }
}

#[test]
fn descriptors_threads_and_memory_stay() {
    stay(&[], 1000, 0);
}

/// The servers answer, let go of the connection each time, or are not there.
#[test]
fn they_stay_with_web_servers_to_ask() {
    let (_servers, mut flags) = crate::services::real::both();
    let fickle = Fake::start(|_| Reply::End(response("200 OK", "", STUB_STATUS)));
    for url in [format!("http://{}/", fickle.address), "unix:/nowhere/nginx.sock".to_owned()] {
        flags.push(format!("--{NGINX_URI}={url}"));
    }
    stay(&flags.iter().map(String::as_str).collect::<Vec<_>>(), 300, 3);
}

/// `kept` connections may or may not be open when it is looked.
fn stay(flags: &[&str], scrapes: usize, kept: usize) {
    const SLACK_KILOBYTES: usize = 512;
    let agent = Agent::start(flags);
    let mut connection = BufReader::new(TcpStream::connect(agent.address).unwrap());
    scrape(&mut connection, 10);
    // Beside the async thread: one that runs the collectors, and one for each of those that ask
    // where no answer may come. On a busy machine a slow one brings in another worker, which leaves
    // when it finds no work.
    let has_btrfs = fs::read_to_string("/proc/1/mountinfo").unwrap().contains(" - btrfs ");
    let asking = [true, is_any("/sys/class/hwmon"), has_btrfs];
    let workers = 1 + asking.into_iter().filter(|&is_asking| is_asking).count();
    let idle: Vec<&str> = std::iter::once("hostwarden").chain(vec!["worker"; workers]).collect();
    wait_for(&format!("{idle:?}"), || threads(&agent) == idle);
    let first = held(&agent);
    scrape(&mut connection, scrapes);
    let memory = anonymous_kilobytes(&agent);
    for _ in 0..2 {
        scrape(&mut connection, scrapes);
        wait_for("the descriptors and threads of the first scrapes", || {
            let now = held(&agent);
            now.threads == first.threads && now.descriptors.abs_diff(first.descriptors) <= kept
        });
        let now = anonymous_kilobytes(&agent);
        assert!(now <= memory + SLACK_KILOBYTES, "{memory} kB, now {now} kB");
    }
}
