//! `hostwarden check endpoint URL`: what an operator looks at when a server is brought in, once
//! round: reachable, whose certificate, who is let in, and what the answer is worth.

mod exposition;
mod report;

use std::io::{self, Write};
use std::net::{IpAddr, SocketAddr, TcpStream, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, DATE, HeaderMap, HeaderValue};
use hyper::{Response, StatusCode};

use super::{Command, Given, Outcome, Run, one_line};
use crate::flags::{self, Flag, Values};
use crate::host::http::{Ask, Client, Endpoint, Fault, Line, shown};
use crate::host::terminal;
use crate::web::config;
use crate::web::tls::client::{self, Identity, Presented, Trust};
use report::{Mark, Report};

static USER: Flag<String> = flags::text("user", "", "User that the endpoint should let in.");
static PASSWORD_FILE: Flag<String> = flags::text(
    "password-file",
    "",
    "File that holds the user's password; without it, it is asked for or read from standard input.",
);
static CA: Flag<String> = flags::text(
    "ca",
    "",
    "PEM file of the authority, or of the server's own certificate; else the system's authorities.",
);
static CERT: Flag<String> =
    flags::text("cert", "", "PEM file of a certificate to show to a server that asks for one.");
static KEY: Flag<String> = flags::text("key", "", "PEM file of that certificate's key.");
static TIMEOUT: Flag<Duration> =
    flags::duration("timeout", "10s", "Longest wait for a connection, and for each answer.");
static JSON: Flag<bool> = flags::switch("json", false, "Print one JSON object.");

pub(super) static COMMAND: Command = Command {
    name: "check endpoint",
    help: "Check an endpoint as Prometheus will meet it: connection, certificate, password, \
           exposition, collectors, clock. Ends with 1 if anything is bad.",
    words: &["URL"],
    flags: &[&USER, &PASSWORD_FILE, &CA, &CERT, &KEY, &TIMEOUT, &JSON],
    run: Run::Own(run),
};

/// Days before its end from which on a certificate is noted, and is bad. Renewals take a while.
const CERTIFICATE_DAYS: (f64, f64) = (21.0, 7.0);

/// Clocks that differ by more than this shift what `time()` is compared with; then alerts lie.
const CLOCK_SECONDS: (f64, f64) = (1.0, 10.0);

/// Prometheus gives up after ten seconds unless it is told otherwise.
const SCRAPE_SECONDS: (f64, f64) = (2.0, 10.0);

/// Larger than any exposition that somebody should scrape.
const ANSWER_MAX: usize = 64 << 20;

fn run(given: &Given, out: &mut dyn Write) -> Outcome {
    let url = url(&given.words[0]);
    let mut report = Report::new(out, &shown(&url), given.values.get(&JSON));
    let endpoint = Endpoint::parse(&url).map_err(|error| format!("{}: {error}", shown(&url)))?;
    if endpoint.has_user() {
        return Err("a password in the URL can be seen by all: use --user and --password-file".into());
    }
    let visit = Visit::new(&given.values, endpoint)?;
    visit.go(&mut report)?;
    Ok(if report.finish()? { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// A URL of a host alone means its metrics.
fn url(text: &str) -> String {
    let host = text.split_once("://").map_or(text, |(_, rest)| rest).trim_end_matches('/');
    if host.contains(['/', '?']) {
        text.to_owned()
    } else {
        format!("{}/metrics", text.trim_end_matches('/'))
    }
}

/// Who comes: the right user, one with a wrong password, or nobody.
struct Visit {
    endpoint: Endpoint,
    ca: Option<PathBuf>,
    identity: Option<Identity>,
    timeout: Duration,
    /// User and password, if the endpoint should ask for them.
    user: Option<(String, Vec<u8>)>,
}

impl Visit {
    fn new(values: &Values, endpoint: Endpoint) -> Result<Self, Box<dyn std::error::Error>> {
        let path = |flag: &Flag<String>| {
            Some(values.get(flag)).filter(|path| !path.is_empty()).map(PathBuf::from)
        };
        let user = values.get(&USER);
        let user = match user.is_empty() {
            true => None,
            false => {
                let password = password(&user, path(&PASSWORD_FILE).as_deref())?;
                Some((user, password))
            }
        };
        let identity = match (path(&CERT), path(&KEY)) {
            (Some(cert), Some(key)) => Some(Identity::read(&cert, &key)?),
            (None, None) => None,
            _ => return Err("--cert and --key belong together".into()),
        };
        Ok(Self { endpoint, ca: path(&CA), identity, timeout: values.get(&TIMEOUT), user })
    }

    fn trust(&self) -> Trust<'_> {
        self.ca.as_deref().map_or(Trust::System, Trust::File)
    }

    /// All checks in turn, until one makes the next ones pointless.
    fn go(&self, report: &mut Report<'_>) -> io::Result<()> {
        let Some((host, port)) = self.endpoint.address() else { return Ok(()) };
        let began = Instant::now();
        let mut stream = match connect(host, port, self.timeout) {
            Ok(stream) => stream,
            Err(error) => return report.bad("connection", error),
        };
        let address = stream.peer_addr()?;
        let took = milliseconds(began.elapsed());
        report.good("connection", format!("{address} answers in {took}"))?;
        let is_trusted = if self.endpoint.is_tls() {
            self.certificate(&mut stream, host, report)?
        } else {
            clear(address.ip(), report)?;
            true
        };
        drop(stream);
        // A password is for the right server alone.
        if !is_trusted {
            return report.bad("password", "not sent to a server that is not trusted");
        }
        let tls = || client::client(self.trust(), self.identity.as_ref());
        let tls = self.endpoint.is_tls().then(tls).transpose();
        let mut client = match tls {
            Ok(tls) => Client::new(tls),
            Err(error) => return report.bad("trust", error),
        };
        // The right one comes first: an agent that knows it lets us in whatever fails afterwards.
        self.scrape(&mut client, report)?;
        self.refusals(&mut client, report)
    }

    /// Whether the server is who it should be.
    fn certificate(
        &self,
        stream: &mut TcpStream,
        host: &str,
        report: &mut Report<'_>,
    ) -> io::Result<bool> {
        let presented = match Presented::by(stream, host, self.identity.as_ref()) {
            Ok(presented) => presented,
            Err(error) => {
                report.bad("certificate", format!("no TLS: {error}"))?;
                return Ok(false);
            }
        };
        let days = (presented.not_after as f64 - now()) / 86_400.0;
        let names = presented.names.join(", ");
        let (noted, bad) = CERTIFICATE_DAYS;
        let mark = match days {
            days if days < bad => Mark::Bad,
            days if days < noted => Mark::Note,
            _ => Mark::Good,
        };
        let end = if days < 0.0 { "expired".to_owned() } else { format!("{days:.0} days left") };
        report.tell("certificate", mark, format!("for {names}, {end}, {}", presented.version))?;
        match presented.verify(self.trust(), host) {
            Ok(()) => {
                report.good("trust", "chain, name and dates are right")?;
                Ok(true)
            }
            Err(error) => {
                report.bad("trust", error)?;
                Ok(false)
            }
        }
    }

    fn scrape(&self, client: &mut Client, report: &mut Report<'_>) -> io::Result<()> {
        let user = self.user.as_ref().map(|(user, password)| (user.as_str(), password.as_slice()));
        let (before, began) = (now(), Instant::now());
        let response = match self.ask(client, user) {
            Ok(response) => response,
            Err(Fault::Status(StatusCode::UNAUTHORIZED)) if self.user.is_none() => {
                return report.bad("answer", "wants a password: use --user");
            }
            Err(fault) => return report.bad("answer", fault),
        };
        let took = began.elapsed();
        let middle = before + took.as_secs_f64() / 2.0;
        let mark = grade(took.as_secs_f64(), SCRAPE_SECONDS);
        let size = response.body().len();
        report.tell("answer", mark, format!("{size} bytes in {}", milliseconds(took)))?;
        exposition::check(response.body(), text_header(&response, &CONTENT_TYPE), report)?;
        clock(&response, middle, report)
    }

    /// Nobody and a wrong password must not get in.
    fn refusals(&self, client: &mut Client, report: &mut Report<'_>) -> io::Result<()> {
        let Some((user, password)) = &self.user else { return Ok(()) };
        // bcrypt looks at no more than 72 bytes, from the first on.
        let wrong = [b"?", password.as_slice()].concat();
        for (check, visitor) in [
            ("wrong password", Some((user.as_str(), wrong.as_slice()))),
            ("no password", None),
        ] {
            match self.ask(client, visitor) {
                Err(Fault::Status(StatusCode::UNAUTHORIZED)) => report.good(check, "refused")?,
                Ok(_) => report.bad(check, "let in")?,
                Err(fault) => report.bad(check, format!("not refused, but {fault}"))?,
            }
        }
        Ok(())
    }

    fn ask(
        &self,
        client: &mut Client,
        user: Option<(&str, &[u8])>,
    ) -> Result<Response<Bytes>, Fault> {
        let mut headers = HeaderMap::new();
        if let Some((user, password)) = user {
            let plain = [user.as_bytes(), b":", password].concat();
            let value = format!("Basic {}", BASE64_STANDARD.encode(plain));
            if let Ok(mut value) = HeaderValue::try_from(value) {
                value.set_sensitive(true);
                headers.insert(AUTHORIZATION, value);
            }
        }
        let ask = Ask { follows: false, ..Ask::get(headers, ANSWER_MAX) };
        let mut line = Line::new(self.endpoint.clone());
        client.ask(&mut line, &ask, Instant::now() + self.timeout)
    }
}

fn password(user: &str, file: Option<&Path>) -> Result<Vec<u8>, Box<dyn std::error::Error>> {
    if let Some(file) = file {
        let content = config::read(file)?;
        return one_line(content.as_slice());
    }
    let stdin = io::stdin();
    match terminal::ask(&stdin, &format!("Password of {user}: "))? {
        Some(password) => Ok(password),
        None => one_line(stdin.lock()),
    }
}

fn connect(host: &str, port: u16, timeout: Duration) -> Result<TcpStream, String> {
    let addresses = (host, port).to_socket_addrs().map_err(|error| format!("{host}: {error}"))?;
    let mut why = format!("{host}: no address");
    for address in addresses {
        match try_connect(&address, timeout) {
            Ok(stream) => return Ok(stream),
            Err(error) => why = format!("{address}: {error}"),
        }
    }
    Err(why)
}

fn try_connect(address: &SocketAddr, timeout: Duration) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(address, timeout)?;
    stream.set_read_timeout(Some(timeout))?;
    stream.set_write_timeout(Some(timeout))?;
    Ok(stream)
}

/// Without TLS everybody on the way reads the password.
fn clear(address: IpAddr, report: &mut Report<'_>) -> io::Result<()> {
    if address.is_loopback() {
        return Ok(());
    }
    report.note("certificate", "no TLS: password and figures travel in the clear")
}

/// The agent's own clock in the exposition is finer than the header.
fn clock(
    response: &Response<Bytes>,
    middle: f64,
    report: &mut Report<'_>,
) -> io::Result<()> {
    let told = exposition::value(response.body(), "node_time_seconds");
    let date = || {
        let date = jiff::fmt::rfc2822::parse(text_header(response, &DATE)?).ok()?;
        Some(date.timestamp().as_second() as f64)
    };
    let Some(theirs) = told.or_else(date) else {
        return report.note("clock", "not told");
    };
    let apart = theirs - middle;
    let direction = if apart < 0.0 { "behind" } else { "ahead" };
    let text = format!("{:.2} s {direction} of this host's", apart.abs());
    report.tell("clock", grade(apart.abs(), CLOCK_SECONDS), text)
}

fn grade(value: f64, (noted, bad): (f64, f64)) -> Mark {
    match value {
        value if value >= bad => Mark::Bad,
        value if value >= noted => Mark::Note,
        _ => Mark::Good,
    }
}

fn text_header<'a>(response: &'a Response<Bytes>, name: &hyper::header::HeaderName) -> Option<&'a str> {
    response.headers().get(name)?.to_str().ok()
}

fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

fn milliseconds(duration: Duration) -> String {
    format!("{:.1} ms", duration.as_secs_f64() * 1e3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_alone_means_its_metrics() {
        for (text, expected) in [
            ("https://host:7231", "https://host:7231/metrics"),
            ("https://host:7231/", "https://host:7231/metrics"),
            ("http://host/node/metrics", "http://host/node/metrics"),
            ("http://host/?collect[]=cpu", "http://host/?collect[]=cpu"),
        ] {
            assert_eq!(url(text), expected);
        }
    }
}
