//! The operating system's name and version, from `/etc/os-release`.

use std::ops::Range;

use jiff::civil::Date;
use jiff::tz::TimeZone;

use crate::collector::prelude::*;
use crate::number;

pub static SPEC: Spec = Spec::new("os", On, "/etc/os-release", &[], |_| Ok(Box::new(Os::default())));

static INFO: Desc = gauge(
    "node_os_info",
    "What os-release says of the operating system; always 1.",
    &[
        "build_id", "id", "id_like", "image_id", "image_version", "name", "pretty_name", "variant",
        "variant_id", "version", "version_codename", "version_id",
    ],
);
static VERSION: Desc = gauge(
    "node_os_version",
    "Major and minor version of the operating system, as one number.",
    &["id", "id_like", "name"],
);
static SUPPORT_END: Desc = gauge(
    "node_os_support_end_timestamp_seconds",
    "When support of the operating system ends, in seconds since 1970.",
    &[],
);

const FILES: [&str; 2] = ["etc/os-release", "usr/lib/os-release"];

/// The labels of [`INFO`] in their order, and behind them what becomes a value.
const KEYS: [&str; 13] = [
    "BUILD_ID", "ID", "ID_LIKE", "IMAGE_ID", "IMAGE_VERSION", "NAME", "PRETTY_NAME", "VARIANT",
    "VARIANT_ID", "VERSION", "VERSION_CODENAME", "VERSION_ID", "SUPPORT_END",
];
const ID: usize = 1;
const ID_LIKE: usize = 2;
const NAME: usize = 5;
const VERSION_ID: usize = 11;
const SUPPORT_END_DATE: usize = 12;

/// Values without quotes and escapes, one behind the other.
#[derive(Default)]
struct Os {
    text: Vec<u8>,
    values: [Range<usize>; KEYS.len()],
}

impl Collector for Os {
    fn collect(&mut self, cx: &mut Cx<'_>, out: &mut Samples) -> Result<()> {
        self.read(cx)?;
        let value = |at: usize| &self.text[self.values[at].clone()];
        let version = parse_version(value(VERSION_ID));
        let support_end = parse_support_end(value(SUPPORT_END_DATE))?;
        out.push(
            &INFO,
            &[
                &value(0), &value(1), &value(2), &value(3), &value(4), &value(5), &value(6),
                &value(7), &value(8), &value(9), &value(10), &value(11),
            ],
            1.0,
        );
        if version > 0.0 {
            out.push(&VERSION, &[&value(ID), &value(ID_LIKE), &value(NAME)], version);
        }
        if let Some(seconds) = support_end {
            out.push(&SUPPORT_END, &[], seconds);
        }
        Ok(())
    }
}

impl Os {
    fn read(&mut self, cx: &mut Cx<'_>) -> Result<()> {
        self.text.clear();
        self.values = Default::default();
        for path in FILES {
            if let Some(file) = cx.rootfs.read_present(path, cx.text)? {
                for line in file.scan() {
                    let line = line?;
                    self.parse_line(line.bytes.trim_ascii()).ok_or_else(|| line.malformed())?;
                }
                return Ok(());
            }
        }
        Err(Error::no_data("etc/os-release: no such file"))
    }

    /// `export PRETTY_NAME="Own OS 7" # a comment`; nothing when the line is none of that kind.
    fn parse_line(&mut self, line: &[u8]) -> Option<()> {
        if line.is_empty() || line[0] == b'#' {
            return Some(());
        }
        let at = memchr::memchr(b'=', line)?;
        let (key, value) = (line[..at].trim_ascii(), line[at + 1..].trim_ascii());
        let key = match key.strip_prefix(b"export ") {
            Some(key) if !key.is_empty() => key,
            _ => key,
        };
        if !is_key(key) {
            return None;
        }
        let start = self.text.len();
        unquote(value, &mut self.text)?;
        if let Some(at) = KEYS.iter().position(|known| known.as_bytes() == key) {
            self.values[at] = start..self.text.len();
        }
        Some(())
    }
}

fn is_key(key: &[u8]) -> bool {
    let is_start = |byte: u8| byte.is_ascii_alphabetic() || byte == b'_';
    let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || b"_./".contains(byte);
    matches!(key, [first, rest @ ..] if is_start(*first) && rest.iter().all(is_part))
}

/// Adds a value without its quotes, escapes and trailing comment.
fn unquote(value: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let mut rest = value;
    let mut quote = None;
    // Where the last byte ends that is no white space before a comment.
    let mut end = out.len();
    while let [byte, after @ ..] = rest {
        rest = after;
        match (quote, *byte) {
            (_, 0..32) => return None,
            (None, b'"' | b'\'') => {
                quote = Some(*byte);
                continue;
            }
            (None, b'#') => {
                out.truncate(end);
                return Some(());
            }
            (None, b' ') => {
                out.push(b' ');
                continue;
            }
            (Some(open), byte) if open == byte => {
                quote = None;
                continue;
            }
            (Some(b'"'), b'\\') => rest = unescape(rest, out)?,
            (_, byte) => out.push(byte),
        }
        end = out.len();
    }
    quote.is_none().then_some(())
}

/// Adds what an escape stands for, as in JSON, and returns what follows it.
fn unescape<'a>(text: &'a [u8], out: &mut Vec<u8>) -> Option<&'a [u8]> {
    let (kind, rest) = text.split_first()?;
    let byte = match kind {
        b'"' | b'\\' | b'/' => *kind,
        b'b' => 8,
        b'f' => 12,
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'u' => return unescape_utf16(rest, out),
        _ => return None,
    };
    out.push(byte);
    Some(rest)
}

/// `00e9`, or `d83d\ude00`: a surrogate needs another escape behind it, though not a fitting one.
fn unescape_utf16<'a>(text: &'a [u8], out: &mut Vec<u8>) -> Option<&'a [u8]> {
    let (first, mut rest) = split_unit(text)?;
    let decoded = if (0xd800..0xe000).contains(&first) {
        let (second, after) = split_unit(rest.strip_prefix(b"\\u")?)?;
        rest = after;
        // One character for a fitting pair, one replacement for anything else.
        char::decode_utf16([first, second]).next()
    } else {
        char::decode_utf16([first]).next()
    };
    let c = decoded.and_then(Result::ok).unwrap_or(char::REPLACEMENT_CHARACTER);
    out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
    Some(rest)
}

fn split_unit(text: &[u8]) -> Option<(u16, &[u8])> {
    let (unit, rest) = text.split_at_checked(4)?;
    Some((number::hex(unit)?.try_into().ok()?, rest))
}

/// The number that a version begins with: 12.04 for `12.04.1`, else 0.
fn parse_version(version: &[u8]) -> f64 {
    let digits = |text: &[u8]| text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let major = digits(version);
    let end = match version.get(major) {
        Some(b'.') => major + 1 + digits(&version[major + 1..]),
        _ => major,
    };
    if major == 0 { 0.0 } else { number::float(&version[..end]).unwrap_or_default() }
}

/// `2030-06-30`, the midnight in UTC that begins the day.
fn parse_support_end(date: &[u8]) -> Result<Option<i64>> {
    if date.is_empty() {
        return Ok(None);
    }
    parse_date(date)
        .map(Some)
        .ok_or_else(|| Error::malformed("etc/os-release: SUPPORT_END", date))
}

fn parse_date(date: &[u8]) -> Option<i64> {
    let (year, rest) = date.split_at_checked(4)?;
    let [b'-', month @ .., b'-', _, _] = rest else { return None };
    let (day, month) = (&date[date.len() - 2..], (month.len() == 2).then_some(month)?);
    let year = i16::try_from(number::uint(year)?).ok()?;
    let month = i8::try_from(number::uint(month)?).ok()?;
    let day = i8::try_from(number::uint(day)?).ok()?;
    let date = Date::new(year, month, day).ok()?;
    Some(date.to_zoned(TimeZone::UTC).ok()?.timestamp().as_second())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values() {
        for (value, expected) in [
            ("", Some("")),
            ("plain", Some("plain")),
            ("a b  # c", Some("a b")),
            ("a  '' # c", Some("a")),
            ("a#b", Some("a")),
            ("\"a # b\" # c", Some("a # b")),
            ("\"a \" # c", Some("a ")),
            ("'it \\n $x'", Some("it \\n $x")),
            ("a'b'\"c\"d", Some("abcd")),
            ("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", Some("\"\\/\u{8}\u{c}\n\r\t")),
            ("\"\\u00e9\\ud83d\\ude00\\ud83d\\u0041\"", Some("é😀\u{fffd}")),
            ("Größe # c", Some("Größe")),
            ("é # c", Some("é")),
            ("\\n", Some("\\n")),
            ("\"open", None),
            ("'open", None),
            ("\"\\", None),
            ("\"\\x\"", None),
            ("\"\\é\"", None),
            ("\"\\u12\"", None),
            ("\"\\u12g4\"", None),
            ("\"\\ud83d\"", None),
            ("a\tb", None),
        ] {
            let mut out = b"before".to_vec();
            let said = unquote(value.as_bytes(), &mut out);
            let said = said.map(|()| String::from_utf8(out.split_off(6)).unwrap());
            assert_eq!(said.as_deref(), expected, "{value:?}");
        }
    }

    #[test]
    fn lines() {
        for (line, value) in [
            ("ID=a", Some("a")),
            ("ID = a", Some("a")),
            ("export ID=a", Some("a")),
            ("export  ID=a", None),
            ("# ID=a", Some("")),
            ("a.b/c_1=2", Some("")),
            ("export =a", Some("")),
            ("export=a", Some("")),
            ("1ID=a", None),
            ("I-D=a", None),
            ("=a", None),
            ("ID", None),
        ] {
            let mut os = Os::default();
            let parsed = os.parse_line(line.as_bytes());
            let said = parsed.map(|()| String::from_utf8(os.text[os.values[ID].clone()].to_vec()).unwrap());
            assert_eq!(said.as_deref(), value, "{line:?}");
        }
    }

    #[test]
    fn versions_and_dates() {
        for (text, version) in
            [("", 0.0), ("12", 12.0), ("12.", 12.0), ("22.04.1", 22.04), ("v3", 0.0), ("3rc.1", 3.0), (".5", 0.0)]
        {
            assert_eq!(parse_version(text.as_bytes()), version, "{text}");
        }
        for (text, seconds) in [
            ("1970-01-02", Some(86400)),
            ("2028-02-29", Some(1_835_395_200)),
            ("2027-02-29", None),
            ("2027-13-01", None),
            ("2027-1-01", None),
            ("2027-01-1", None),
            ("2027-01-01 ", None),
            ("20270101", None),
            ("+027-01-01", None),
        ] {
            assert_eq!(parse_date(text.as_bytes()), seconds, "{text}");
        }
    }
}
