//! The real programs that the agent is held against: Prometheus, promtool, node_exporter.
//!
//! Prometheus and promtool are Debian's packages; a test that needs them fails without them. The
//! newest node_exporter is fetched by a script beside the project: where that is absent, the test
//! says what it left out.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

pub(crate) use crate::agent::free_port;
use crate::agent::{Agent, wait_for};

/// The folder beside the project with data and tools that are not part of it.
pub(crate) fn shared() -> Option<PathBuf> {
    let shared = Path::new(env!("CARGO_MANIFEST_DIR")).parent()?.join("shared");
    let is_there = shared.join("conformance").is_dir();
    if !is_there {
        eprintln!("left out: no folder `shared` beside the project");
    }
    is_there.then_some(shared)
}

/// The newest node_exporter, fetched once.
pub(crate) fn node_exporter() -> Option<PathBuf> {
    fetched("prometheus-node-exporter")
}

/// A program of that package, fetched and unpacked beside the build's output.
pub(crate) fn fetched(package: &str) -> Option<PathBuf> {
    static FETCHING: OnceLock<std::sync::Mutex<()>> = OnceLock::new();
    let _one_at_a_time = FETCHING.get_or_init(Default::default).lock().unwrap();
    let peers = shared()?.join("tools/peers");
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("peers");
    let program = target.join(package).join("usr/bin").join(package);
    if !program.is_file() {
        let status = Command::new(peers).arg(&target).arg(package).status().unwrap();
        assert!(status.success(), "{package} could not be fetched");
    }
    assert!(program.is_file(), "{}: no such program", program.display());
    Some(program)
}

/// A program that ends with the test.
pub(crate) struct Program(pub(crate) Child);

impl Program {
    pub(crate) fn start(command: &mut Command) -> Self {
        Self(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What a plain HTTP GET on a loopback port answers, or nothing.
pub(crate) fn get(port: u16, path: &str) -> Option<String> {
    use std::io::{Read, Write};
    let mut stream = std::net::TcpStream::connect(("127.0.0.1", port)).ok()?;
    let request = format!("GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n");
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).ok()?;
    let answer = String::from_utf8(answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    head.lines().next()?.contains(" 200 ").then(|| body.to_owned())
}

/// A Prometheus that scrapes every second what `scrape_configs` says.
pub(crate) struct Prometheus {
    _program: Program,
    _directory: tempfile::TempDir,
    port: u16,
}

impl Prometheus {
    /// Debian's; `scrape_configs` is the YAML list below that key.
    pub(crate) fn start(scrape_configs: &str) -> Self {
        Self::spawn(Command::new("prometheus"), scrape_configs)
    }

    /// Another one, or with more arguments.
    pub(crate) fn spawn(mut command: Command, scrape_configs: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let config = directory.path().join("prometheus.yml");
        let text = format!(
            "global:\n  scrape_interval: 1s\n  scrape_timeout: 1s\nscrape_configs:\n{scrape_configs}"
        );
        std::fs::write(&config, text).unwrap();
        let port = free_port();
        let program = Program::start(
            command
                .arg(format!("--config.file={}", config.display()))
                .arg(format!("--storage.tsdb.path={}", directory.path().join("data").display()))
                .arg(format!("--web.listen-address=127.0.0.1:{port}")),
        );
        wait_for("a ready Prometheus", || get(port, "/-/ready").is_some());
        Self { _program: program, _directory: directory, port }
    }

    /// The value of a query that gives one series, or nothing yet.
    pub(crate) fn value(&self, query: &str) -> Option<f64> {
        let query: String = query
            .bytes()
            .map(|byte| match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' => char::from(byte).to_string(),
                byte => format!("%{byte:02X}"),
            })
            .collect();
        let answer = self.get(&format!("/api/v1/query?query={query}"))?;
        let (_, value) = answer.split_once("\"value\":[")?;
        let (_, value) = value.split_once(",\"")?;
        value.split('"').next()?.parse().ok()
    }

    /// What it answers to a GET.
    pub(crate) fn get(&self, path: &str) -> Option<String> {
        get(self.port, path)
    }

    /// What Prometheus says of its targets, among it the last scrape's error.
    pub(crate) fn targets(&self) -> String {
        self.get("/api/v1/targets").unwrap_or_default()
    }
}

/// What `promtool check metrics` complains of.
pub(crate) fn promtool(exposition: &str) -> Vec<String> {
    use std::io::Write;
    let mut child = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(exposition.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    String::from_utf8(text).unwrap().lines().map(str::to_owned).collect()
}

/// Runs the comparison of two expositions that stands beside the project.
pub(crate) fn compare(expected: &str, actual: &str, arguments: &[&str]) -> Result<String, String> {
    let script = shared().expect("asked for before").join("conformance/compare.py");
    let directory = tempfile::tempdir().unwrap();
    let (left, right) = (directory.path().join("expected"), directory.path().join("actual"));
    std::fs::write(&left, expected).unwrap();
    std::fs::write(&right, actual).unwrap();
    let output =
        Command::new("python3").arg(script).args([&left, &right]).args(arguments).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() { Ok(text) } else { Err(text) }
}

/// Holds the agent against the program on that port until two scrapes of a quiet moment agree: on a
/// living host values move and devices come and go between them.
pub(crate) fn assert_soon_equal(port: u16, agent: &Agent, arguments: &[&str], tries: u32) {
    let mut last = String::new();
    let is_equal = (0..tries).any(|_| {
        let theirs = get(port, "/metrics").unwrap();
        let ours = agent.get("/metrics").text();
        let outcome = compare(&theirs, &ours, arguments);
        last = outcome.clone().unwrap_or_else(|difference| difference);
        outcome.is_ok()
    });
    assert!(is_equal, "{last}");
}
