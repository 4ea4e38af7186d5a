//! What the endpoint costs behind a password and TLS, and what attackers take from it, beside a real node_exporter in the same run.
//!
//! `cargo bench --bench endpoint`. Both have the same collectors, certificate and user, with a bcrypt hash of cost 10. Attacked, the agent
//! is sent 50 different wrong passwords a second, each over a TLS connection of its own, while 1,000 connections are kept that send
//! nothing; what the program closes is opened again within a second. node_exporter is sent 9 a second: with more than it can hash, it
//! answers nobody any more. Flooded, both are sent the beginning of 1,000 TLS handshakes a second, each of which takes a signature.

#![expect(
    clippy::cast_precision_loss,
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a bench starts programs, prints and may panic"
)]

#[expect(dead_code, reason = "one kind of scrape is enough here")]
mod program;

use std::collections::VecDeque;
use std::fs;
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use hostwarden::web::password;
use http_auth_basic::Credentials;
use program::{Mode, Program, Stream, client_hello, defaults_known_to, node_exporter, secure};
use rustix::net::{AddressFamily, SocketType, bind, connect, socket};

const SCRAPES: usize = 500;
const ATTACKED_SCRAPES: usize = 300;
/// A program that takes longer has been measured by fewer scrapes.
const ENOUGH: Duration = Duration::from_secs(30);
const HALF_OPEN: usize = 1000;
const HANDSHAKES: u32 = 1000;

fn main() {
    let folder = tempfile::tempdir().unwrap();
    let peer = node_exporter();
    let mut flags = defaults_known_to(&peer);
    flags.push(format!("--web.config.file={}", write_config(folder.path()).display()));
    let ours = Path::new(env!("CARGO_BIN_EXE_hostwarden"));
    let mut programs = [
        Program::start_guarded("node_exporter", &peer, &flags, &login("right")),
        Program::start_guarded("hostwarden", ours, &flags, &login("right")),
    ];

    println!("{SCRAPES} scrapes over a kept TLS connection, with a password, compressed");
    let rows = programs.each_mut().map(|program| program.measure(Mode::Gzip, SCRAPES));
    for (program, row) in programs.iter().zip(&rows) {
        println!("{:<14} CPU {:.3} ms, p50 {:.2} ms", program.name, row.cpu, row.median);
    }
    println!("{:<14} CPU 1/{:.1}", "ratio", rows[0].cpu / rows[1].cpu);

    println!("\nMedians of {ATTACKED_SCRAPES} valid scrapes, {HALF_OPEN} half-open connections");
    println!(
        "{:<14} {:>9} {:>8} {:>11} {:>6} {:>8} {:>9}",
        "program", "sources", "idle ms", "attacked ms", "ratio", "guesses", "standing"
    );
    for (at, sources, per_second) in [(1, 1, 50), (1, 200, 50), (0, 1, 9)] {
        let program = &mut programs[at];
        let idle = median(program);
        let (attacked, guesses, standing) = attacked(program, sources, per_second);
        println!(
            "{:<14} {sources:>9} {idle:>8.2} {attacked:>11.2} {:>6.2} {guesses:>8} {standing:>9}",
            program.name,
            attacked / idle
        );
    }

    println!(
        "\nMedians of {ATTACKED_SCRAPES} valid scrapes, {HANDSHAKES} handshakes begun a second"
    );
    for program in &mut programs {
        let idle = median(program);
        let flooded = flooded(program);
        println!(
            "{:<14} idle {idle:.2} ms, flooded {flooded:.2} ms, ratio {:.2}",
            program.name,
            flooded / idle
        );
    }
}

fn write_config(folder: &Path) -> std::path::PathBuf {
    let issued = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    fs::write(folder.join("cert.pem"), issued.cert.pem()).unwrap();
    fs::write(folder.join("key.pem"), issued.signing_key.serialize_pem()).unwrap();
    let hash = password::hash(b"right", 10).unwrap();
    let path = folder.join("config.yaml");
    let yaml = format!(
        "tls_server_config: {{cert_file: cert.pem, key_file: key.pem}}\nbasic_auth_users: {{bench: {hash}}}\n"
    );
    fs::write(&path, yaml).unwrap();
    path
}

fn login(password: &str) -> String {
    format!("Authorization: {}", Credentials::new("bench", password).as_http_header())
}

/// The median of valid scrapes, in milliseconds, with a pause after each for the others.
fn median(program: &mut Program) -> f64 {
    let started = Instant::now();
    let mut times: Vec<f64> = (0..ATTACKED_SCRAPES)
        .take_while(|_| started.elapsed() < ENOUGH)
        .map(|_| {
            std::thread::sleep(Duration::from_millis(20));
            let started = Instant::now();
            program.scrape(Mode::Gzip);
            started.elapsed().as_secs_f64() * 1e3
        })
        .collect();
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

/// The median under attack, the guesses sent, and how many half-open connections stood.
fn attacked(program: &mut Program, sources: u8, per_second: u32) -> (f64, usize, usize) {
    let address = program.address;
    let is_over = AtomicBool::new(false);
    let guesses = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        scope.spawn(|| guess(address, sources, per_second, &is_over, &guesses));
        let holder = scope.spawn(|| hold(address, sources, &is_over));
        while guesses.load(Ordering::Relaxed) < 20 {
            std::thread::sleep(Duration::from_millis(20));
        }
        let median = median(program);
        is_over.store(true, Ordering::Relaxed);
        (median, guesses.load(Ordering::Relaxed), holder.join().unwrap())
    })
}

/// The median while clients begin handshakes that they do not end.
fn flooded(program: &mut Program) -> f64 {
    let address = program.address;
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| flood(address, &is_over));
        std::thread::sleep(Duration::from_millis(500));
        let median = median(program);
        is_over.store(true, Ordering::Relaxed);
        median
    })
}

fn flood(address: SocketAddr, is_over: &AtomicBool) {
    const KEPT: usize = 400;
    let hello = client_hello();
    let mut sent: VecDeque<TcpStream> = VecDeque::new();
    at_a_rate(HANDSHAKES, is_over, |number| {
        let Some(mut stream) = open(address, number, 1) else { return };
        if stream.write_all(&hello).is_ok() {
            sent.push_back(stream);
        }
        if sent.len() > KEPT {
            sent.pop_front();
        }
    });
}

/// Calls until it is over, with how often it has called before.
fn at_a_rate(per_second: u32, is_over: &AtomicBool, mut call: impl FnMut(usize)) {
    let started = Instant::now();
    for number in 0.. {
        let due = started + Duration::from_secs(1) / per_second * number;
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        if is_over.load(Ordering::Relaxed) {
            return;
        }
        call(number as usize);
    }
}

/// Sends wrong passwords and waits for no answer.
fn guess(
    address: SocketAddr,
    sources: u8,
    per_second: u32,
    is_over: &AtomicBool,
    guesses: &AtomicUsize,
) {
    const KEPT: usize = 100;
    let mut sent: VecDeque<Box<dyn Stream>> = VecDeque::new();
    at_a_rate(per_second, is_over, |number| {
        let Some(stream) = open(address, number, sources) else { return };
        let mut stream = secure(stream);
        let request = format!(
            "GET / HTTP/1.1\r\nHost: bench\r\n{}\r\n\r\n",
            login(&format!("guess {number}"))
        );
        if stream.write_all(request.as_bytes()).is_ok() {
            guesses.fetch_add(1, Ordering::Relaxed);
        }
        sent.push_back(Box::new(stream));
        if sent.len() > KEPT {
            sent.pop_front();
        }
    });
}

/// Keeps connections that send nothing, and says how many still stood a second after they were opened.
fn hold(address: SocketAddr, sources: u8, is_over: &AtomicBool) -> usize {
    let mut held: Vec<Option<TcpStream>> =
        (0..HALF_OPEN).map(|number| open(address, number, sources)).collect();
    loop {
        std::thread::sleep(Duration::from_secs(1));
        let standing = held.iter().filter(|stream| stands(stream)).count();
        if is_over.load(Ordering::Relaxed) {
            return standing;
        }
        for (number, stream) in held.iter_mut().enumerate().filter(|(_, stream)| !stands(stream)) {
            *stream = open(address, number, sources);
        }
    }
}

fn stands(stream: &Option<TcpStream>) -> bool {
    let would_block = |error: std::io::Error| error.kind() == std::io::ErrorKind::WouldBlock;
    stream.as_ref().is_some_and(|stream| {
        stream.set_nonblocking(true).unwrap();
        stream.peek(&mut [0]).is_err_and(would_block)
    })
}

/// A connection from 127.0.1.1 or one of the addresses after it.
fn open(address: SocketAddr, number: usize, sources: u8) -> Option<TcpStream> {
    let last = u8::try_from(number % usize::from(sources)).unwrap();
    let source = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(127, 0, 1, last + 1)), 0);
    let socket = socket(AddressFamily::INET, SocketType::STREAM, None).ok()?;
    bind(&socket, &source).ok()?;
    connect(&socket, &address).ok()?;
    Some(socket.into())
}
