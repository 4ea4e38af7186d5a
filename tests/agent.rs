//! The real binary on a free port, and a client that says what it got, to the byte.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// The binary under test.
pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_hostwarden");

/// How long anything that a test waits for may take: far more than it needs.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A running agent; it ends with the test.
pub(crate) struct Agent {
    child: Child,
    pub(crate) address: SocketAddr,
    log: Arc<Mutex<String>>,
}

impl Agent {
    /// Starts the agent on a port that the kernel chooses.
    pub(crate) fn start(arguments: &[&str]) -> Self {
        let mut command = Command::new(BINARY);
        command.arg("--web.listen-address=127.0.0.1:0").args(arguments);
        Self::spawn(&mut command)
    }

    /// Starts what `command` says and waits until it tells its address.
    pub(crate) fn spawn(command: &mut Command) -> Self {
        let mut child = command.stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap());
        let mut read = String::new();
        let address = loop {
            let mut line = String::new();
            let count = lines.read_line(&mut line).unwrap();
            assert!(count > 0, "the agent ended:\n{read}");
            read.push_str(&line);
            if let Some((_, address)) = line.split_once("msg=\"Listening on\" address=") {
                break address.trim().parse().unwrap();
            }
        };
        let log = Arc::new(Mutex::new(read));
        let tail = Arc::clone(&log);
        std::thread::spawn(move || {
            for line in lines.lines().map_while(Result::ok) {
                tail.lock().unwrap().push_str(&(line + "\n"));
            }
        });
        Self { child, address, log }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    /// Waits for a log line that holds `text`.
    pub(crate) fn wait_for_log(&self, text: &str) {
        wait_for(&format!("{text:?} in the log"), || self.log().contains(text));
    }

    pub(crate) fn get(&self, path: &str) -> Response {
        self.request("GET", path, &[])
    }

    /// Asks for a page with a password.
    pub(crate) fn log_in(&self, path: &str, user: &str, password: &str) -> Response {
        self.request("GET", path, &[&basic(user, password)])
    }

    pub(crate) fn request(&self, method: &str, path: &str, headers: &[&str]) -> Response {
        request(self.address, method, path, headers)
    }

    /// Sends bytes as they are and reads until the agent closes.
    pub(crate) fn send(&self, bytes: &[u8]) -> Response {
        send(self.address, bytes)
    }

    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, signal).unwrap();
    }

    /// Waits for the agent's end and returns its exit code.
    pub(crate) fn wait(&mut self) -> Option<i32> {
        wait_for("the agent's end", || self.child.try_wait().unwrap().is_some());
        self.child.wait().unwrap().code()
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The header that carries a password.
pub(crate) fn basic(user: &str, password: &str) -> String {
    let credentials = http_auth_basic::Credentials::new(user, password);
    format!("Authorization: {}", credentials.as_http_header())
}

/// Asks whatever serves there.
pub(crate) fn request(address: SocketAddr, method: &str, path: &str, headers: &[&str]) -> Response {
    let mut lines = vec![format!("{method} {path} HTTP/1.1"), "Host: test".to_owned()];
    lines.extend(headers.iter().map(ToString::to_string));
    lines.push("Connection: close\r\n\r\n".to_owned());
    send(address, lines.join("\r\n").as_bytes())
}

fn send(address: SocketAddr, bytes: &[u8]) -> Response {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(bytes).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    Response::parse(&answer)
}

/// Runs the agent to its end.
pub(crate) fn run(arguments: &[&str]) -> Output {
    Command::new(BINARY).args(arguments).env("COLUMNS", "100").output().unwrap()
}

/// A port that was free a moment ago, for programs that cannot choose one themselves. It lies below
/// those that the kernel gives to clients, lest one of them take it until it is used.
pub(crate) fn free_port() -> u16 {
    const FIRST: u32 = 10_000;
    const COUNT: u32 = 20_000;
    static NEXT: AtomicU32 = AtomicU32::new(0);
    // Test runs beside each other begin at different places.
    let start = std::process::id().wrapping_mul(997);
    let ports = std::iter::repeat_with(|| {
        let at = start.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
        u16::try_from(FIRST + at % COUNT).unwrap()
    });
    let is_free = |port: &u16| TcpListener::bind(("0.0.0.0", *port)).is_ok();
    ports.take(COUNT as usize).find(is_free).expect("a free port")
}

/// Polls until `is_so`, and fails after a patience that no machine needs.
pub(crate) fn wait_for(what: &str, is_so: impl FnMut() -> bool) {
    wait_within(PATIENCE, what, is_so);
}

/// Polls for what has a time of its own to take.
pub(crate) fn wait_within(patience: Duration, what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + patience;
    while !is_so() {
        assert!(Instant::now() < deadline, "no {what} within {patience:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A response, taken apart.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Response {
    fn parse(answer: &[u8]) -> Self {
        let end = answer.windows(4).position(|window| window == b"\r\n\r\n");
        let end = end.unwrap_or_else(|| panic!("{:?}", String::from_utf8_lossy(answer)));
        let head = String::from_utf8(answer[..end].to_vec()).unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Self { status, head, body: answer[end + 4..].to_vec() }
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then_some(value.trim())
        })
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }

    /// The value of the sample that is written so.
    pub(crate) fn sample(&self, series: &str) -> Option<f64> {
        value(&self.text(), series)
    }
}

/// The value of a series in an exposition.
pub(crate) fn value(exposition: &str, series: &str) -> Option<f64> {
    exposition.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok())
}
