//! The collector ntp against a server in this process.

use std::net::UdpSocket;
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

use hostwarden::host::Paths;

use crate::harness::{Running, Said};

/// Answers one query; `change` makes of a good answer what is wanted, or nothing.
fn serve(
    address: &str,
    change: impl FnOnce(&mut Vec<u8>) -> bool + Send + 'static,
) -> (u16, JoinHandle<Vec<u8>>) {
    let socket = UdpSocket::bind(address).unwrap();
    let port = socket.local_addr().unwrap().port();
    let thread = std::thread::spawn(move || {
        let mut query = [0; 100];
        let (length, client) = socket.recv_from(&mut query).unwrap();
        let query = query[..length].to_vec();
        let mut answer = vec![0; 48];
        answer[0] = 4 << 3 | 4;
        answer[1] = 2;
        // Root delay 1/64 s, dispersion 1/128 s.
        answer[4..8].copy_from_slice(&1024u32.to_be_bytes());
        answer[8..12].copy_from_slice(&512u32.to_be_bytes());
        answer[16..24].copy_from_slice(&now().wrapping_sub(100 << 32).to_be_bytes());
        answer[24..32].copy_from_slice(&query[40..48]);
        answer[32..40].copy_from_slice(&now().to_be_bytes());
        answer[40..48].copy_from_slice(&now().to_be_bytes());
        if change(&mut answer) {
            socket.send_to(&answer, client).unwrap();
        }
        query
    });
    (port, thread)
}

fn now() -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    let fraction = (u64::from(now.subsec_nanos()) << 32) / 1_000_000_000;
    ((now.as_secs() + 2_208_988_800) << 32) + fraction
}

fn ask(port: u16, flags: &[(&str, &str)]) -> Said {
    let port = port.to_string();
    let mut all = vec![("collector.ntp.server-port", port.as_str())];
    all.extend_from_slice(flags);
    Running::start("ntp", &all).scrape()
}

fn value(lines: &[String], name: &str) -> f64 {
    let line = lines.iter().find(|line| line.split(' ').next() == Some(name)).unwrap();
    line.split(' ').nth(1).unwrap().parse().unwrap()
}

fn is_sane(change: impl FnOnce(&mut Vec<u8>) + Send + 'static) -> bool {
    let (port, server) = serve("127.0.0.1:0", |answer| {
        change(answer);
        true
    });
    let lines = ask(port, &[]).good();
    server.join().unwrap();
    assert_eq!(lines.len(), 8);
    value(&lines, "node_ntp_sanity") == 1.0
}

#[test]
fn a_good_answer_is_told_and_sane() {
    let (port, server) = serve("127.0.0.1:0", |_| true);
    let before = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs_f64();
    let lines = ask(port, &[("collector.ntp.protocol-version", "3")]).good();
    let query = server.join().unwrap();
    assert_eq!(query.len(), 48);
    assert_eq!(query[..4], [3 << 3 | 3, 0, 0, 0x20]);
    assert!(query[4..40].iter().all(|&byte| byte == 0));
    assert_eq!(value(&lines, "node_ntp_stratum"), 2.0);
    assert_eq!(value(&lines, "node_ntp_leap"), 0.0);
    assert_eq!(value(&lines, "node_ntp_root_delay_seconds"), 0.015_625);
    assert_eq!(value(&lines, "node_ntp_root_dispersion_seconds"), 0.007_812_5);
    assert_eq!(value(&lines, "node_ntp_sanity"), 1.0);
    assert!((0.0..1.0).contains(&value(&lines, "node_ntp_rtt_seconds")));
    assert!(value(&lines, "node_ntp_offset_seconds").abs() < 1.0);
    let age = before - value(&lines, "node_ntp_reference_timestamp_seconds");
    assert!((90.0..101.0).contains(&age), "{age}");
}

#[test]
fn answers_that_are_not_sane_are_told_all_the_same() {
    assert!(is_sane(|_| ()));
    // A kiss of death, an unset clock, a clock that was never set, one that is two hours ahead.
    assert!(!is_sane(|answer| answer[1] = 0));
    assert!(!is_sane(|answer| answer[0] |= 3 << 6));
    assert!(!is_sane(|answer| answer[16..24].fill(0)));
    assert!(!is_sane(|answer| {
        let ahead = (now() + (7200 << 32)).to_be_bytes();
        answer[32..40].copy_from_slice(&ahead);
        answer[40..48].copy_from_slice(&ahead);
    }));
}

#[test]
fn a_bad_answer_fails_the_collector() {
    type Change = fn(&mut Vec<u8>);
    let cases: [(Change, &str); 5] = [
        (|answer| answer[30] ^= 1, "answer to another query"),
        (|answer| answer[40..48].fill(0), "answer without a time"),
        (|answer| answer[0] = 4 << 3 | 5, "answer of a mode other than a server's"),
        (|answer| answer[32..40].fill(0xff), "clock ran backwards"),
        (|answer| answer.truncate(47), "answer too short"),
    ];
    for (change, why) in cases {
        let (port, server) = serve("127.0.0.1:0", move |answer| {
            change(answer);
            true
        });
        let said = ask(port, &[]);
        server.join().unwrap();
        assert_eq!(said.failure(), format!("ntp: 127.0.0.1 port {port}: {why}"));
        assert!(said.lines.is_empty());
    }
}

#[test]
fn a_silent_server_is_given_a_second_and_never_more_than_the_deadline() {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = socket.local_addr().unwrap().port().to_string();
    let mut ntp = Running::start("ntp", &[("collector.ntp.server-port", &port)]);
    let said = ntp.scrape();
    assert_eq!(said.failure(), format!("ntp: 127.0.0.1 port {port}: no answer"));
    assert!(said.took >= Duration::from_millis(950) && said.took < Duration::from_secs(5));
    let said = ntp.scrape_within(Duration::from_millis(100));
    assert_eq!(said.failure(), format!("ntp: 127.0.0.1 port {port}: no answer"));
    assert!(said.took < Duration::from_millis(900), "{:?}", said.took);
}

#[test]
fn no_server_is_noticed_at_once() {
    let port = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let said = ask(port, &[]);
    assert_eq!(said.failure(), format!("ntp: 127.0.0.1 port {port}: connection refused"));
    let said = ask(port, &[("collector.ntp.ip-ttl", "256")]);
    assert_eq!(said.failure(), format!("ntp: 127.0.0.1 port {port}: invalid argument"));
}

#[test]
fn a_server_may_have_an_address_of_version_6() {
    if UdpSocket::bind("[::1]:0").is_err() {
        println!("left out: this host has no ::1");
        return;
    }
    let (port, server) = serve("[::1]:0", |_| true);
    let lines = ask(port, &[("collector.ntp.server", "::1")]).good();
    server.join().unwrap();
    assert_eq!(value(&lines, "node_ntp_sanity"), 1.0);
}

#[test]
fn settings_that_end_the_start() {
    let start = |name, value| {
        Running::try_start("ntp", &[(name, value)], &Paths::default()).err().unwrap_or_default()
    };
    let not_local = "only IP address of local NTP server is valid for --collector.ntp.server";
    for server in ["localhost", "192.0.2.1", "127.0.0.1:123", ""] {
        assert_eq!(start("collector.ntp.server", server), not_local);
    }
    for server in ["127.9.9.9", "::1", "::ffff:127.0.0.1"] {
        assert_eq!(start("collector.ntp.server", server), "");
    }
    assert_eq!(
        start("collector.ntp.protocol-version", "5"),
        "invalid NTP protocol version 5; must be 2, 3, or 4"
    );
    for port in ["0", "65536", "-1"] {
        assert_eq!(
            start("collector.ntp.server-port", port),
            format!("invalid NTP port number {port}; must be between 1 and 65535 inclusive")
        );
    }
    assert!(!start("collector.ntp.local-offset-tolerance", "-1s").is_empty());
    let local = [("collector.ntp.server", "192.0.2.1"), ("collector.ntp.server-is-local", "true")];
    assert!(Running::try_start("ntp", &local, &Paths::default()).is_ok());
}
