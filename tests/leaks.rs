//! What a thousand scrapes leave behind: nothing.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;

use crate::agent::{Agent, wait_for};

#[derive(Debug, PartialEq, Eq, Clone, Copy)]
struct Held {
    descriptors: usize,
    threads: usize,
}

fn held(agent: &Agent) -> Held {
    let count = |what: &str| fs::read_dir(format!("/proc/{}/{what}", agent.pid())).unwrap().count();
    Held { descriptors: count("fd"), threads: count("task") }
}

fn anonymous_kilobytes(agent: &Agent) -> usize {
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
    const SLACK_KILOBYTES: usize = 512;
    let agent = Agent::start(&[]);
    let mut connection = BufReader::new(TcpStream::connect(agent.address).unwrap());
    scrape(&mut connection, 10);
    // On a busy machine a slow run brings in a second worker, which leaves when it finds no work.
    wait_for("the async thread and one worker", || held(&agent).threads == 2);
    let first = held(&agent);
    scrape(&mut connection, 990);
    let memory = anonymous_kilobytes(&agent);
    for _ in 0..2 {
        scrape(&mut connection, 1000);
        wait_for("the descriptors and threads of the first scrapes", || held(&agent) == first);
        let now = anonymous_kilobytes(&agent);
        assert!(now <= memory + SLACK_KILOBYTES, "{memory} kB, now {now} kB");
    }
}
