//! A program under measurement: scraped over a kept connection, its time and memory as the kernel counts them.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use hostwarden::collector::Enabled;
use hostwarden::collectors;
use hostwarden::web::tls::client::{Trust, client};
use rustls::{ClientConnection, StreamOwned};

#[derive(Clone, Copy)]
pub(crate) enum Mode {
    Plain,
    Gzip,
}

impl Mode {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Mode::Plain => "plain",
            Mode::Gzip => "gzip",
        }
    }
}

pub(crate) struct Row {
    pub(crate) cpu: f64,
    pub(crate) median: f64,
    pub(crate) slowest: f64,
    pub(crate) resident: f64,
    pub(crate) anonymous: f64,
    pub(crate) samples: usize,
}

pub(crate) struct Program {
    pub(crate) name: &'static str,
    pub(crate) address: SocketAddr,
    child: Child,
    connection: BufReader<Box<dyn Stream>>,
    /// Header lines of every scrape.
    headers: String,
    pub(crate) scraped: usize,
}

/// Plain or over TLS.
pub(crate) trait Stream: Read + Write {}

impl<T: Read + Write> Stream for T {}

/// Speaks TLS with whoever is there.
pub(crate) fn secure(stream: TcpStream) -> impl Stream {
    StreamOwned::new(connection(), stream)
}

/// What a client begins with.
pub(crate) fn client_hello() -> Vec<u8> {
    let mut hello = Vec::new();
    connection().write_tls(&mut hello).unwrap();
    hello
}

fn connection() -> ClientConnection {
    let config = client(Trust::Anybody, None).unwrap();
    ClientConnection::new(config, "localhost".try_into().unwrap()).unwrap()
}

impl Program {
    pub(crate) fn start(name: &'static str, program: &Path, flags: &[String]) -> Self {
        Self::run(name, program, flags, String::new(), |stream| Box::new(stream))
    }

    /// Behind TLS and a password, which `flags` set up.
    pub(crate) fn start_guarded(
        name: &'static str,
        program: &Path,
        flags: &[String],
        header: &str,
    ) -> Self {
        let header = format!("{header}\r\n");
        Self::run(name, program, flags, header, |stream| Box::new(secure(stream)))
    }

    /// Behind a password alone.
    pub(crate) fn start_asking(
        name: &'static str,
        program: &Path,
        flags: &[String],
        header: &str,
    ) -> Self {
        Self::run(name, program, flags, format!("{header}\r\n"), |stream| Box::new(stream))
    }

    /// Asked from now on at another address, that of a site before it.
    pub(crate) fn behind(mut self, site: SocketAddr, header: &str) -> Self {
        let stream = TcpStream::connect(site).unwrap();
        stream.set_nodelay(true).unwrap();
        self.connection = BufReader::new(Box::new(stream));
        self.headers = format!("{header}\r\n");
        self
    }

    fn run(
        name: &'static str,
        program: &Path,
        flags: &[String],
        headers: String,
        over: fn(TcpStream) -> Box<dyn Stream>,
    ) -> Self {
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let child = Command::new(program)
            .args(flags)
            .arg(format!("--web.listen-address={address}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let deadline = Instant::now() + Duration::from_secs(10);
        let stream = loop {
            match TcpStream::connect(address) {
                Ok(stream) => break stream,
                Err(error) => assert!(Instant::now() < deadline, "{name}: {error}"),
            }
            std::thread::sleep(Duration::from_millis(10));
        };
        stream.set_nodelay(true).unwrap();
        let connection = BufReader::new(over(stream));
        let mut program = Self { name, address, child, connection, headers, scraped: 0 };
        // A connection that has asked for nothing does not stay for long.
        program.scrape(Mode::Plain);
        program
    }

    pub(crate) fn measure(&mut self, mode: Mode, scrapes: usize) -> Row {
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
    pub(crate) fn scrape(&mut self, mode: Mode) -> Vec<u8> {
        let encoding = match mode {
            Mode::Plain => "identity",
            Mode::Gzip => "gzip",
        };
        let headers = &self.headers;
        let request = format!(
            "GET /metrics HTTP/1.1\r\nHost: bench\r\nAccept-Encoding: {encoding}\r\n{headers}\r\n"
        );
        self.connection.get_mut().write_all(request.as_bytes()).unwrap();
        self.scraped += 1;
        read_body(&mut self.connection)
    }

    /// CPU time so far, in milliseconds.
    pub(crate) fn cpu(&self) -> f64 {
        cpu(self.child.id())
    }

    /// Resident and anonymous memory, in MiB.
    pub(crate) fn memory(&self) -> (f64, f64) {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let value = |key: &str| -> f64 {
            let line = status.lines().find_map(|line| line.strip_prefix(key)).unwrap();
            line.trim().trim_end_matches(" kB").parse::<f64>().unwrap() / 1024.0
        };
        (value("VmRSS:"), value("RssAnon:"))
    }

    /// System calls a scrape, counted by strace over some dozens.
    pub(crate) fn system_calls(&mut self) -> Option<f64> {
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

/// CPU time of all threads of a process so far, in milliseconds.
pub(crate) fn cpu(process: u32) -> f64 {
    let tasks = fs::read_dir(format!("/proc/{process}/task")).unwrap();
    let nanoseconds: f64 = tasks
        .filter_map(|task| fs::read_to_string(task.ok()?.path().join("schedstat")).ok())
        .map(|text| text.split(' ').next().unwrap().parse::<f64>().unwrap())
        .sum();
    nanoseconds / 1e6
}

fn count_samples(body: &[u8]) -> usize {
    body.split(|&byte| byte == b'\n')
        .filter(|line| !line.is_empty() && !line.starts_with(b"#"))
        .count()
}

/// The newest node_exporter.
pub(crate) fn node_exporter() -> PathBuf {
    fetched("prometheus-node-exporter")
}

/// The newest program of that package, fetched by the script beside the project, or the one installed.
pub(crate) fn fetched(package: &str) -> PathBuf {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/tools/peers");
    if !script.is_file() {
        return PathBuf::from(package);
    }
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("peers");
    let program = target.join(package).join("usr/bin").join(package);
    if !program.is_file() {
        assert!(Command::new(script).arg(&target).arg(package).status().unwrap().success());
    }
    program
}

/// Flags for the agent's defaults, as far as that node_exporter knows them: Debian's may be older than
/// the release that the agent stands in for.
pub(crate) fn defaults_known_to(node_exporter: &Path) -> Vec<String> {
    let help = Command::new(node_exporter).arg("--help").output().unwrap();
    let help = String::from_utf8([help.stdout, help.stderr].concat()).unwrap();
    let help = help.replace("[no-]", "");
    let is_known = |flag: &String| help.split_whitespace().any(|word| word == flag);
    let defaults = collectors::ALL.iter().filter(|spec| spec.enabled == Enabled::On);
    let flags = defaults.map(|spec| format!("--collector.{}", spec.name)).filter(is_known);
    flags.chain(["--collector.disable-defaults".to_owned()]).collect()
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
