//! Processes under supervisord, by its XML-RPC method `supervisor.getAllProcessInfo`.

use std::borrow::Cow;
use std::fmt::{Display, Write as _};
use std::time::Duration;

use crate::collector::prelude::*;
use crate::host::http::{self, Ask, Client, Endpoint, Line};
use crate::number;

mod xml;

use xml::{Token, Xml};

static URL: Flag<String> = flags::text(
    "collector.supervisord.url",
    "http://localhost:9001/RPC2",
    "Where supervisord answers: http://HOST:PORT/RPC2 or unix:///PATH.",
)
.env("SUPERVISORD_URL");

pub static SPEC: Spec = Spec::new("supervisord", Off, "supervisord's XML-RPC", &[&URL], |setup| {
    Ok(Box::new(Supervisord::new(&setup.flags.get(&URL))))
});

const LABELS: &[&str] = &["group", "name"];

static STATE: Desc = gauge(
    "node_supervisord_state",
    "What the process does: 0 stopped, 10 starting, 20 running, 30 backing off, 40 stopping, \
     100 exited, 200 failed for good, 1000 unknown.",
    LABELS,
);
static EXIT_STATUS: Desc =
    gauge("node_supervisord_exit_status", "What the process last exited with.", LABELS);
static UP: Desc =
    gauge("node_supervisord_up", "Whether the process is starting, running or stopping.", LABELS);
static START_TIME: Desc = counter(
    "node_supervisord_start_time_seconds",
    "When a process that is up was started, in seconds since 1970.",
    LABELS,
);

const CALL: &[u8] = b"<?xml version=\"1.0\"?><methodCall>\
    <methodName>supervisor.getAllProcessInfo</methodName><params></params></methodCall>";

const TIMEOUT: Duration = Duration::from_secs(10);

struct Supervisord {
    /// As it may be logged.
    url: String,
    /// A URL that names no endpoint fails every scrape, not the start.
    line: Result<Line, String>,
    ask: Ask,
    client: Client,
    process: Process,
}

impl Supervisord {
    fn new(url: &str) -> Self {
        let endpoint = match url.strip_prefix("unix:") {
            Some(rest) => {
                // unix:///run/supervisor.sock; a host between the slashes means nothing.
                let path = match rest.strip_prefix("//") {
                    Some(rest) => rest.find('/').map_or("", |at| &rest[at..]),
                    None => rest,
                };
                let path = path.split(['?', '#']).next().unwrap_or_default();
                String::from_utf8(http::decode(path))
                    .map_err(|_| "not UTF-8".into())
                    .and_then(|path| Endpoint::unix(path, "/RPC2"))
            }
            None => Endpoint::parse(url),
        };
        Self {
            url: http::shown(url),
            line: endpoint.map(Line::new),
            ask: Ask::post("text/xml", CALL),
            client: Client::new(None),
            process: Process::default(),
        }
    }
}

impl Collector for Supervisord {
    fn collect(&mut self, cx: &mut Cx<'_>, out: &mut Samples) -> Result<()> {
        let Self { url, line, ask, client, process } = self;
        let failed = |why: &dyn Display| Error::failed(format!("supervisord: {url}: {why}"));
        let deadline = http::sooner(cx.give_up_at(), TIMEOUT);
        let line = line.as_mut().map_err(|why| failed(why))?;
        let answer = client.ask(line, ask, deadline).map_err(|why| failed(&why))?;
        push_answer(answer.body(), process, out)
            .map_err(|why| Error::failed(format!("supervisord: {why}")))
    }
}

/// What supervisord says of a process.
#[derive(Debug, Default)]
struct Process {
    name: String,
    group: String,
    state: i64,
    exit_status: i64,
    start: i64,
}

const MALFORMED: &str = "malformed answer";

fn push_answer(answer: &[u8], process: &mut Process, out: &mut Samples) -> Result<(), String> {
    let text = std::str::from_utf8(answer).map_err(|_| MALFORMED)?;
    let mut xml = Xml::new(text);
    xml.open("methodResponse").ok_or(MALFORMED)?;
    match xml.next_tag() {
        Some(Token::Open("params")) => {}
        Some(Token::Open("fault")) => return Err(fault(&mut xml)),
        _ => return Err(MALFORMED.into()),
    }
    for element in ["param", "value", "array", "data"] {
        xml.open(element).ok_or("answer is no array")?;
    }
    // What a process does not tell is taken from the one before it, as the original does.
    *process = Process::default();
    loop {
        match xml.next_tag() {
            Some(Token::Open("value")) => {}
            Some(Token::Close(_)) => return Ok(()),
            _ => return Err(MALFORMED.into()),
        }
        process.read(&mut xml)?;
        process.push(out);
        if xml.next_tag() != Some(Token::Close("value")) {
            return Err(MALFORMED.into());
        }
    }
}

/// `<value><struct><member><name>faultString</name><value><string>UNKNOWN_METHOD</string>…`
fn fault(xml: &mut Xml<'_>) -> String {
    let mut fault = "fault".to_owned();
    while let Some(token) = xml.token() {
        if token == Token::Open("string") {
            let text = xml.text("string").unwrap_or_default();
            let _ = write!(fault, " {text:?}");
        }
    }
    fault
}

impl Process {
    /// `<struct><member><name>state</name><value><int>20</int></value></member>…</struct>`
    fn read(&mut self, xml: &mut Xml<'_>) -> Result<(), String> {
        xml.open("struct").ok_or("a process is no struct")?;
        loop {
            match xml.next_tag() {
                Some(Token::Open("member")) => {}
                Some(Token::Close("struct")) => return Ok(()),
                _ => return Err(MALFORMED.into()),
            }
            xml.open("name").ok_or(MALFORMED)?;
            let name = xml.text("name").ok_or(MALFORMED)?;
            xml.open("value").ok_or(MALFORMED)?;
            let value = Value::read(xml).ok_or(MALFORMED)?;
            self.set(&name, value)?;
            if xml.next_tag() != Some(Token::Close("member")) {
                return Err(MALFORMED.into());
            }
        }
    }

    fn set(&mut self, name: &str, value: Value<'_>) -> Result<(), String> {
        match (name, value) {
            ("name", Value::Text(text)) => (*text).clone_into(&mut self.name),
            ("group", Value::Text(text)) => (*text).clone_into(&mut self.group),
            ("statename", Value::Text(_)) | ("stop" | "now" | "pid", Value::Number(_)) => {}
            ("state", Value::Number(number)) => self.state = number,
            ("exitstatus", Value::Number(number)) => self.exit_status = number,
            ("start", Value::Number(number)) => self.start = number,
            (
                "name" | "group" | "statename" | "stop" | "now" | "pid" | "state" | "exitstatus"
                | "start",
                value,
            ) => {
                return Err(format!("process {:?}: {name} is {}", self.name, value.kind()));
            }
            _ => {}
        }
        Ok(())
    }

    fn push(&self, out: &mut Samples) {
        let labels: &[&dyn LabelValue] = &[&self.group, &self.name];
        let is_up = matches!(self.state, 10 | 20 | 40);
        out.push(&STATE, labels, self.state);
        out.push(&EXIT_STATUS, labels, self.exit_status);
        out.push(&UP, labels, is_up);
        if is_up {
            out.push(&START_TIME, labels, self.start);
        }
    }
}

enum Value<'a> {
    Text(Cow<'a, str>),
    Number(i64),
    Other(&'a str),
}

impl<'a> Value<'a> {
    /// What stands between `<value>` and `</value>`: a typed element, or text by itself.
    fn read(xml: &mut Xml<'a>) -> Option<Self> {
        let mut text = Cow::Borrowed("");
        let value = loop {
            match xml.token()? {
                Token::Text(more) => text = more,
                Token::Close("value") => return Some(Self::Text(text)),
                Token::Close(_) => return None,
                Token::Open("string") => break Self::Text(xml.text("string")?),
                Token::Open(kind @ ("int" | "i1" | "i2" | "i4" | "i8")) => {
                    break Self::Number(number::int(xml.text(kind)?.trim().as_bytes())?);
                }
                Token::Open(kind) => {
                    xml.leave()?;
                    break Self::Other(kind);
                }
            }
        };
        (xml.next_tag()? == Token::Close("value")).then_some(value)
    }

    fn kind(&self) -> &'a str {
        match self {
            Self::Text(_) => "a string",
            Self::Number(_) => "an int",
            Self::Other(kind) => kind,
        }
    }
}
