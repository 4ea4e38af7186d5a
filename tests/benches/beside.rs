//! What a scrape costs the agent and a real node_exporter, from one run on this host.
//!
//! `cargo bench --bench beside [-- --scrapes N] [--flags "--collector.x ..."]`. Both run the same
//! collectors: the agent's defaults, or what `--flags` names.

#![expect(
    clippy::cast_precision_loss,
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a bench starts programs, prints and may panic"
)]

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use hostwarden::collector::Enabled;

fn main() {
    let options = Options::read();
    let peer = node_exporter();
    let mut programs = [
        Program::start("node_exporter", &peer, &options.flags),
        Program::start("hostwarden", Path::new(env!("CARGO_BIN_EXE_hostwarden")), &options.flags),
    ];
    println!("{} scrapes a row, {} flags", options.scrapes, options.flags.len());
    println!(
        "{:<14} {:<6} {:>10} {:>8} {:>8} {:>8} {:>8} {:>8}",
        "program", "mode", "CPU ms", "p50 ms", "p99 ms", "RSS MiB", "anon MiB", "samples"
    );
    for mode in [Mode::Plain, Mode::Gzip] {
        let rows = programs.each_mut().map(|program| program.measure(mode, options.scrapes));
        for (program, row) in programs.iter().zip(&rows) {
            println!(
                "{:<14} {:<6} {:>10.3} {:>8.2} {:>8.2} {:>8.1} {:>8.1} {:>8}",
                program.name,
                mode.name(),
                row.cpu,
                row.median,
                row.slowest,
                row.resident,
                row.anonymous,
                row.samples
            );
        }
        let [theirs, ours] = rows;
        println!(
            "{:<14} {:<6} CPU 1/{:.1}, p50 1/{:.1}, RSS 1/{:.1}",
            "ratio",
            mode.name(),
            theirs.cpu / ours.cpu,
            theirs.median / ours.median,
            theirs.resident / ours.resident
        );
    }
    for program in &mut programs {
        match program.system_calls() {
            Some(calls) => println!("{}: {calls:.0} system calls a scrape", program.name),
            None => println!("{}: system calls not counted, strace is missing", program.name),
        }
    }
    let ours = &mut programs[1];
    let before = ours.scraped;
    while ours.scraped < before.max(10_000) {
        ours.scrape(Mode::Plain);
    }
    let (resident, anonymous) = ours.memory();
    println!(
        "hostwarden after {} scrapes: RSS {resident:.1} MiB, {anonymous:.1} anonymous",
        ours.scraped
    );
}

struct Options {
    scrapes: usize,
    flags: Vec<String>,
}

impl Options {
    fn read() -> Self {
        let defaults = hostwarden::collectors::ALL
            .iter()
            .filter(|spec| spec.enabled == Enabled::On)
            .map(|spec| format!("--collector.{}", spec.name));
        let mut options = Self { scrapes: 500, flags: defaults.collect() };
        let mut arguments = std::env::args().skip(1);
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--scrapes" => options.scrapes = arguments.next().unwrap().parse().unwrap(),
                "--flags" => {
                    let flags = arguments.next().unwrap();
                    options.flags = flags.split_whitespace().map(str::to_owned).collect();
                }
                // Cargo's own.
                "--bench" => {}
                other => panic!("{other}: no such option"),
            }
        }
        options.flags.push("--collector.disable-defaults".to_owned());
        options
    }
}

#[derive(Clone, Copy)]
enum Mode {
    Plain,
    Gzip,
}

impl Mode {
    fn name(self) -> &'static str {
        match self {
            Mode::Plain => "plain",
            Mode::Gzip => "gzip",
        }
    }
}

struct Row {
    cpu: f64,
    median: f64,
    slowest: f64,
    resident: f64,
    anonymous: f64,
    samples: usize,
}

struct Program {
    name: &'static str,
    child: Child,
    connection: BufReader<TcpStream>,
    scraped: usize,
}

impl Program {
    fn start(name: &'static str, program: &Path, flags: &[String]) -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let child = Command::new(program)
            .args(flags)
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let deadline = Instant::now() + Duration::from_secs(10);
        let stream = loop {
            match TcpStream::connect(("127.0.0.1", port)) {
                Ok(stream) => break stream,
                Err(error) => assert!(Instant::now() < deadline, "{name}: {error}"),
            }
            std::thread::sleep(Duration::from_millis(10));
        };
        stream.set_nodelay(true).unwrap();
        Self { name, child, connection: BufReader::new(stream), scraped: 0 }
    }

    fn measure(&mut self, mode: Mode, scrapes: usize) -> Row {
        for _ in 0..20 {
            self.scrape(mode);
        }
        let samples = match mode {
            Mode::Plain => count_samples(&self.scrape(mode)),
            Mode::Gzip => 0,
        };
        let before = self.cpu();
        let mut times: Vec<f64> = (0..scrapes)
            .map(|_| {
                let started = Instant::now();
                self.scrape(mode);
                started.elapsed().as_secs_f64() * 1e3
            })
            .collect();
        let cpu = (self.cpu() - before) / scrapes as f64;
        times.sort_by(f64::total_cmp);
        let (resident, anonymous) = self.memory();
        Row {
            cpu,
            median: times[scrapes / 2],
            slowest: times[scrapes * 99 / 100],
            resident,
            anonymous,
            samples,
        }
    }

    /// One scrape over the kept connection; returns the body.
    fn scrape(&mut self, mode: Mode) -> Vec<u8> {
        let encoding = match mode {
            Mode::Plain => "identity",
            Mode::Gzip => "gzip",
        };
        let request =
            format!("GET /metrics HTTP/1.1\r\nHost: bench\r\nAccept-Encoding: {encoding}\r\n\r\n");
        self.connection.get_mut().write_all(request.as_bytes()).unwrap();
        self.scraped += 1;
        read_body(&mut self.connection)
    }

    /// CPU time of all threads so far, in milliseconds.
    fn cpu(&self) -> f64 {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.child.id())).unwrap();
        let nanoseconds: f64 = tasks
            .filter_map(|task| fs::read_to_string(task.ok()?.path().join("schedstat")).ok())
            .map(|text| text.split(' ').next().unwrap().parse::<f64>().unwrap())
            .sum();
        nanoseconds / 1e6
    }

    /// Resident and anonymous memory, in MiB.
    fn memory(&self) -> (f64, f64) {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let value = |key: &str| -> f64 {
            let line = status.lines().find_map(|line| line.strip_prefix(key)).unwrap();
            line.trim().trim_end_matches(" kB").parse::<f64>().unwrap() / 1024.0
        };
        (value("VmRSS:"), value("RssAnon:"))
    }

    /// System calls a scrape, counted by strace over some dozens.
    fn system_calls(&mut self) -> Option<f64> {
        const SCRAPES: usize = 50;
        let summary = std::env::temp_dir().join(format!("calls-{}", self.child.id()));
        let mut strace = Command::new("strace")
            .args(["-f", "-c", "-o"])
            .arg(&summary)
            .args(["-p", &self.child.id().to_string()])
            .stderr(Stdio::piped())
            .spawn()
            .ok()?;
        // It says so once it is attached to all threads.
        let mut attached = String::new();
        BufReader::new(strace.stderr.take()?).read_line(&mut attached).ok()?;
        for _ in 0..SCRAPES {
            self.scrape(Mode::Plain);
        }
        Command::new("kill").args(["-INT", &strace.id().to_string()]).status().ok()?;
        strace.wait().ok()?;
        let text = fs::read_to_string(&summary).ok()?;
        fs::remove_file(&summary).ok()?;
        let total = text
            .lines()
            .last()?
            .split_whitespace()
            .find_map(|word| word.parse::<u64>().ok().filter(|&calls| calls > 100))?;
        Some(total as f64 / SCRAPES as f64)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn count_samples(body: &[u8]) -> usize {
    body.split(|&byte| byte == b'\n')
        .filter(|line| !line.is_empty() && !line.starts_with(b"#"))
        .count()
}

/// Reads one response: by its length, or in chunks as node_exporter sends them.
fn read_body(connection: &mut impl BufRead) -> Vec<u8> {
    let mut length = None;
    let mut is_chunked = false;
    loop {
        let mut line = String::new();
        assert!(connection.read_line(&mut line).unwrap() > 0, "closed");
        let line = line.trim_end().to_ascii_lowercase();
        if line.is_empty() {
            break;
        }
        if let Some(value) = line.strip_prefix("content-length:") {
            length = Some(value.trim().parse::<usize>().unwrap());
        }
        is_chunked |= line == "transfer-encoding: chunked";
    }
    let mut body = Vec::new();
    if is_chunked {
        loop {
            let mut line = String::new();
            connection.read_line(&mut line).unwrap();
            let size = usize::from_str_radix(line.trim(), 16).unwrap();
            let start = body.len();
            body.resize(start + size + 2, 0);
            connection.read_exact(&mut body[start..]).unwrap();
            body.truncate(start + size);
            if size == 0 {
                return body;
            }
        }
    }
    body.resize(length.unwrap(), 0);
    connection.read_exact(&mut body).unwrap();
    body
}

/// The newest node_exporter, fetched by the script beside the project, or the one installed.
fn node_exporter() -> PathBuf {
    const PACKAGE: &str = "prometheus-node-exporter";
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/tools/peers");
    if !script.is_file() {
        return PathBuf::from(PACKAGE);
    }
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("peers");
    let program = target.join(PACKAGE).join("usr/bin").join(PACKAGE);
    if !program.is_file() {
        assert!(Command::new(script).arg(&target).arg(PACKAGE).status().unwrap().success());
    }
    program
}
