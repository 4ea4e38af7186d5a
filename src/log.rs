//! Log lines on standard error, with the keys, levels and quoting of Go's slog.

use std::fmt::{self, Write};
use std::panic;

use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use crate::flags::{self, AnyFlag, Flag, Values};

static LEVEL: Flag<String> = flags::text(
    "log.level",
    "info",
    "Least severe level that is logged: debug, info, warn or error.",
);
static FORMAT: Flag<String> =
    flags::text("log.format", "logfmt", "Shape of the log lines: logfmt or json.");

pub static FLAGS: &[&dyn AnyFlag] = &[&LEVEL, &FORMAT];

/// How much is logged, and in which shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    level: Level,
    is_json: bool,
}

impl Settings {
    pub fn from_flags(values: &Values) -> Result<Self, String> {
        let level = values.get(&LEVEL);
        let level = match level.to_ascii_lowercase().as_str() {
            "debug" => Level::DEBUG,
            "info" => Level::INFO,
            "warn" => Level::WARN,
            "error" => Level::ERROR,
            _ => return Err(format!("unrecognized log level {level}")),
        };
        let format = values.get(&FORMAT);
        let is_json = match format.as_str() {
            "logfmt" => false,
            "json" => true,
            _ => return Err(format!("unrecognized log format {format}")),
        };
        Ok(Self { level, is_json })
    }

    /// Makes all further log lines of the process go by these settings, panics among them.
    pub fn install(self) {
        let lines = Lines { is_json: self.is_json, zone: TimeZone::system() };
        tracing_subscriber::fmt()
            .with_max_level(self.level)
            .with_writer(std::io::stderr)
            .with_ansi(false)
            .event_format(lines)
            .init();
        panic::set_hook(Box::new(|panic| {
            let at = panic.location().map(ToString::to_string).unwrap_or_default();
            let text = panic.payload_as_str().unwrap_or_default();
            tracing::error!(at, err = text, "panic");
        }));
    }
}

/// Writes an event as one line.
struct Lines {
    is_json: bool,
    zone: TimeZone,
}

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut out: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let now = Timestamp::now().to_zoned(self.zone.clone());
        let metadata = event.metadata();
        let file = metadata.file().unwrap_or_default();
        let file = file.rsplit('/').next().unwrap_or(file);
        let source = format_args!("{file}:{}", metadata.line().unwrap_or_default()).to_string();
        let mut fields = Fields::default();
        event.record(&mut fields);
        let line = if self.is_json {
            fields.json(&now, *metadata.level(), &source)
        } else {
            fields.logfmt(&now, *metadata.level(), &source)
        };
        out.write_str(&line)?;
        out.write_char('\n')
    }
}

/// One value as it was recorded: JSON shows numbers and booleans bare.
enum Recorded {
    Text(String),
    Bare(String),
}

#[derive(Default)]
struct Fields {
    message: String,
    pairs: Vec<(&'static str, Recorded)>,
}

impl Fields {
    fn add(&mut self, field: &Field, value: Recorded) {
        match (field.name(), value) {
            ("message", Recorded::Text(text) | Recorded::Bare(text)) => self.message = text,
            (name, value) => self.pairs.push((name, value)),
        }
    }

    fn logfmt(&self, now: &Zoned, level: Level, source: &str) -> String {
        let mut line = format!("time={} level={level} source={source} msg=", time(now, 3));
        quote_if_needed(&mut line, &self.message);
        for (name, value) in &self.pairs {
            line.push(' ');
            line.push_str(name);
            line.push('=');
            let (Recorded::Text(text) | Recorded::Bare(text)) = value;
            quote_if_needed(&mut line, text);
        }
        line
    }

    fn json(&self, now: &Zoned, level: Level, source: &str) -> String {
        let time = time(now, 9);
        let mut line = format!(r#"{{"time":"{time}","level":"{level}","source":"{source}","msg":"#);
        quote_json(&mut line, &self.message);
        for (name, value) in &self.pairs {
            line.push(',');
            quote_json(&mut line, name);
            line.push(':');
            match value {
                Recorded::Text(text) => quote_json(&mut line, text),
                Recorded::Bare(text) => line.push_str(text),
            }
        }
        line.push('}');
        line
    }
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field, Recorded::Text(value.to_owned()));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.add(field, Recorded::Text(format!("{value:?}")));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.add(field, Recorded::Bare(value.to_string()));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.add(field, Recorded::Bare(value.to_string()));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.add(field, Recorded::Bare(value.to_string()));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.add(field, Recorded::Bare(value.to_string()));
    }
}

/// RFC 3339 with that many digits behind the second; UTC shows as `Z`.
fn time(now: &Zoned, digits: usize) -> String {
    let seconds = now.strftime("%Y-%m-%dT%H:%M:%S");
    let fraction = format!("{:09}", now.subsec_nanosecond());
    let zone =
        if now.offset().is_zero() { "Z".to_owned() } else { now.strftime("%:z").to_string() };
    format!("{seconds}.{}{zone}", &fraction[..digits])
}

fn quote_if_needed(line: &mut String, text: &str) {
    let is_plain = |c: char| !c.is_whitespace() && !c.is_control() && !matches!(c, '"' | '=');
    if !text.is_empty() && text.chars().all(is_plain) {
        line.push_str(text);
    } else {
        // A String takes every write.
        let _ = write!(line, "{text:?}");
    }
}

/// Appends a JSON string.
pub fn quote_json(line: &mut String, text: &str) {
    line.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => line.extend(['\\', c]),
            '\n' => line.push_str("\\n"),
            '\r' => line.push_str("\\r"),
            '\t' => line.push_str("\\t"),
            c if c.is_control() => {
                let _ = write!(line, "\\u{:04x}", u32::from(c));
            }
            c => line.push(c),
        }
    }
    line.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(level: &str, format: &str) -> Result<Settings, String> {
        let mut values = Values::default();
        values.give("log.level", level);
        values.give("log.format", format);
        Settings::from_flags(&values)
    }

    #[test]
    fn levels_in_any_case_and_formats_in_one() {
        assert_eq!(settings("WARN", "json"), Ok(Settings { level: Level::WARN, is_json: true }));
        assert_eq!(settings("bad", "json").unwrap_err(), "unrecognized log level bad");
        assert_eq!(settings("info", "JSON").unwrap_err(), "unrecognized log format JSON");
    }

    #[test]
    fn lines_look_like_those_of_slog() {
        let now =
            "2026-11-22T09:57:15.669123456Z".parse::<Timestamp>().unwrap().to_zoned(TimeZone::UTC);
        let fields = Fields {
            message: "collector failed".to_owned(),
            pairs: vec![
                ("name", Recorded::Text("cpu".to_owned())),
                ("duration_seconds", Recorded::Bare("0.25".to_owned())),
                ("err", Recorded::Text("stat: cannot parse \"x\"\n".to_owned())),
            ],
        };
        assert_eq!(
            fields.logfmt(&now, Level::ERROR, "gather.rs:7"),
            "time=2026-11-22T09:57:15.669Z level=ERROR source=gather.rs:7 \
             msg=\"collector failed\" name=cpu duration_seconds=0.25 \
             err=\"stat: cannot parse \\\"x\\\"\\n\""
        );
        assert_eq!(
            fields.json(&now, Level::ERROR, "gather.rs:7"),
            "{\"time\":\"2026-11-22T09:57:15.669123456Z\",\"level\":\"ERROR\",\
             \"source\":\"gather.rs:7\",\"msg\":\"collector failed\",\"name\":\"cpu\",\
             \"duration_seconds\":0.25,\"err\":\"stat: cannot parse \\\"x\\\"\\n\"}"
        );
        let berlin = now.with_time_zone(TimeZone::fixed(jiff::tz::offset(2)));
        assert_eq!(time(&berlin, 3), "2026-11-22T11:57:15.669+02:00");
    }
}
