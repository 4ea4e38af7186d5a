//! Clients that take time, room or memory: what they get, and that others do not notice.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::Duration;

use hostwarden::web::password;

use crate::agent::{Agent, BINARY, PATIENCE, basic, wait_for, wait_within};
use crate::certificates::file;
use crate::leaks::anonymous_kilobytes;

const ONE: [&str; 2] = ["--collector.disable-defaults", "--collector.loadavg"];
const ADDRESS: &str = "--web.listen-address=127.0.0.1:0";

/// An agent that may have 64 descriptors, and so 16 connections, 8 of them from one source.
fn small(arguments: &[&str]) -> Agent {
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -n 64; exec \"$0\" \"$@\"", BINARY, ADDRESS]).args(ONE);
    Agent::spawn(command.args(arguments))
}

fn users(folder: &tempfile::TempDir) -> String {
    let path = folder.path().join("config.yaml");
    let hash = password::hash(b"right", 4).unwrap();
    std::fs::write(&path, format!("basic_auth_users: {{prom: {hash}}}\n")).unwrap();
    format!("--web.config.file={}", path.display())
}

/// Whether the agent has ended this connection.
fn is_closed(stream: &mut TcpStream) -> bool {
    stream.set_nonblocking(true).unwrap();
    let ended = match stream.read(&mut [0; 16]) {
        Ok(count) => count == 0,
        Err(error) => error.kind() != std::io::ErrorKind::WouldBlock,
    };
    stream.set_nonblocking(false).unwrap();
    ended
}

#[test]
fn connections_that_only_stand_there_keep_nobody_out() {
    let folder = tempfile::tempdir().unwrap();
    let agent = small(&[&users(&folder)]);
    let request = format!("GET /metrics HTTP/1.1\r\nHost: x\r\n{}\r\n\r\n", basic("prom", "right"));
    let mut kept = BufReader::new(TcpStream::connect(agent.address).unwrap());
    kept.get_ref().set_read_timeout(Some(PATIENCE)).unwrap();
    let mut ask = move || {
        kept.get_mut().write_all(request.as_bytes()).unwrap();
        let mut status = String::new();
        kept.read_line(&mut status).unwrap();
        let mut length = 0;
        loop {
            let mut line = String::new();
            kept.read_line(&mut line).unwrap();
            if line == "\r\n" {
                break;
            }
            if let Some(value) = line.strip_prefix("content-length: ") {
                length = value.trim().parse().unwrap();
            }
        }
        kept.read_exact(&mut vec![0; length]).unwrap();
        status
    };
    assert_eq!(ask(), "HTTP/1.1 200 OK\r\n");
    let mut silent: Vec<_> = (0..40).map(|_| TcpStream::connect(agent.address).unwrap()).collect();
    // Half of the silent connections have a request's beginning, which helps them nothing.
    for stream in silent.iter_mut().step_by(2) {
        let _ = stream.write_all(b"GET /metrics HT");
    }
    wait_for("room", || {
        silent.iter_mut().map(is_closed).filter(|is_closed| !is_closed).count() < 8
    });
    for _ in 0..10 {
        assert_eq!(agent.log_in("/metrics", "prom", "right").status, 200);
        assert_eq!(agent.get("/-/healthy").status, 200);
    }
    assert_eq!(ask(), "HTTP/1.1 200 OK\r\n", "who has shown a password keeps the connection");
}

#[test]
fn a_crowd_that_has_gone_leaves_its_memory() {
    let agent = Agent::start(&ONE);
    assert_eq!(agent.get("/metrics").status, 200);
    let before = anonymous_kilobytes(&agent);
    let crowd: Vec<_> = (0..400)
        .map(|_| {
            let mut stream = TcpStream::connect(agent.address).unwrap();
            write!(stream, "GET /metrics HTTP/1.1\r\nX: {}", "x".repeat(16 * 1024)).unwrap();
            stream
        })
        .collect();
    wait_for("a crowd's memory", || anonymous_kilobytes(&agent) > before + 4096);
    drop(crowd);
    wait_for("the memory back", || anonymous_kilobytes(&agent) < before + 2048);
}

#[test]
fn long_heads_are_refused() {
    let agent = Agent::start(&ONE);
    let long = "a".repeat(100_000);
    for head in [
        format!("GET /{long} HTTP/1.1\r\nHost: x\r\n\r\n"),
        format!("GET / HTTP/1.1\r\nX: {long}\r\n\r\n"),
    ] {
        let mut stream = TcpStream::connect(agent.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let _ = stream.write_all(head.as_bytes());
        let mut answer = Vec::new();
        // What the agent did not read makes the kernel reset the connection.
        let _ = stream.read_to_end(&mut answer);
        let answer = String::from_utf8_lossy(&answer).into_owned();
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");
    }
    let many: Vec<String> = (0..200).map(|n| format!("X-{n}: 1")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    assert_eq!(agent.request("GET", "/metrics", &many).status, 431);
    assert_eq!(agent.get("/metrics").status, 200);
}

/// The kernel takes some megabytes; what is beyond them waits for the client.
#[test]
fn who_takes_no_answers_is_cut_off() {
    let agent = Agent::start(&[]);
    let mut stream = TcpStream::connect(agent.address).unwrap();
    stream.set_write_timeout(Some(Duration::from_millis(200))).unwrap();
    let request = "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n".repeat(1000);
    let _ = stream.write_all(request.as_bytes());
    let is_gone = || {
        let table = std::fs::read_to_string(format!("/proc/{}/net/tcp", agent.pid())).unwrap();
        let ours = format!(":{:04X}", agent.address.port());
        // Local address, remote address, state: 01 is an established connection.
        !table.lines().any(|line| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            fields.len() > 3 && fields[1].ends_with(&ours) && fields[3] == "01"
        })
    };
    assert!(!is_gone());
    // The client has 20 seconds from the moment at which the kernel takes no more.
    wait_within(3 * PATIENCE, "end of the connection", is_gone);
    assert_eq!(agent.get("/metrics").status, 200);
}

/// An agent with TLS whose collector hangs.
fn hung(folder: &tempfile::TempDir) -> Agent {
    let tree = folder.path().join("proc");
    std::fs::create_dir(&tree).unwrap();
    assert!(Command::new("mkfifo").arg(tree.join("loadavg")).status().unwrap().success());
    let config = folder.path().join("config.yaml");
    let [cert, key] = ["server.pem", "server.key"].map(|name| file(name).display().to_string());
    let yaml = format!("tls_server_config: {{cert_file: {cert}, key_file: {key}}}\n");
    std::fs::write(&config, yaml).unwrap();
    let procfs = format!("--path.procfs={}", tree.display());
    let config = format!("--web.config.file={}", config.display());
    Agent::start(&[ONE[0], ONE[1], &procfs, &config, "--web.max-requests=1"])
}

fn curl(agent: &Agent, timeout: &str) -> Command {
    let mut command = Command::new("curl");
    command
        .args(["--silent", "--max-time", "20", "--http2", "--cacert"])
        .arg(file("server.pem"))
        .args(["--header", &format!("X-Prometheus-Scrape-Timeout-Seconds: {timeout}")])
        .args(["--write-out", "%{http_code}", "--output", "/dev/null"])
        .arg(format!("https://localhost:{}/metrics", agent.address.port()));
    command
}

#[test]
fn over_http2_a_slot_comes_back_when_its_client_leaves() {
    let folder = tempfile::tempdir().unwrap();
    let agent = hung(&folder);
    let hold = || curl(&agent, "60").stdout(Stdio::null()).spawn().unwrap();
    let mut holder = hold();
    let probe = || String::from_utf8(curl(&agent, "0.1").output().unwrap().stdout).unwrap();
    wait_for("refusal", || {
        // A probe may have come before the holder, which then was refused itself.
        if holder.try_wait().unwrap().is_some() {
            holder = hold();
        }
        probe() == "503"
    });
    holder.kill().unwrap();
    holder.wait().unwrap();
    wait_for("slot after the client left", || probe() == "200");
}

#[test]
fn handshakes_and_silence_have_their_time() {
    let folder = tempfile::tempdir().unwrap();
    let agent = hung(&folder);
    let mut half = TcpStream::connect(agent.address).unwrap();
    half.write_all(&[22, 3, 1]).unwrap();
    let mut silent = TcpStream::connect(agent.address).unwrap();
    let mut agreed: Vec<_> = ["h2", "http/1.1"]
        .into_iter()
        .map(|protocol| {
            Command::new("openssl")
                .args(["s_client", "-quiet", "-alpn", protocol, "-connect"])
                .arg(agent.address.to_string())
                .stdin(Stdio::piped())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .unwrap()
        })
        .collect();
    wait_for("end of half a handshake", || is_closed(&mut half));
    wait_for("end of none", || is_closed(&mut silent));
    for client in &mut agreed {
        wait_for("end of a silent connection", || client.try_wait().unwrap().is_some());
    }
}
