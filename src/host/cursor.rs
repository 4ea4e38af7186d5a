//! Lines and fields of a kernel file, read in place; every error names the file and the token.

use crate::collector::{Error, Result};
use crate::exposition::LabelValue;
use crate::number;

/// The longest line that the original's scanner takes: 64 KiB less the newline.
const SCANNED_MAX: usize = 64 * 1024 - 1;

/// A file's content and, for errors, its path below its root.
#[derive(Debug, Clone, Copy)]
pub struct Text<'a> {
    pub path: &'a str,
    pub bytes: &'a [u8],
}

impl<'a> Text<'a> {
    pub fn new(path: &'a str, bytes: &'a [u8]) -> Self {
        Self { path, bytes }
    }

    /// Without white space at either end.
    pub fn trim(self) -> Self {
        Self { bytes: self.bytes.trim_ascii(), ..self }
    }

    /// The lines, without their newlines; a last line without one counts.
    pub fn lines(self) -> impl Iterator<Item = Text<'a>> {
        let bytes = self.bytes.strip_suffix(b"\n").unwrap_or(self.bytes);
        let is_empty = self.bytes.is_empty();
        bytes
            .split(|&byte| byte == b'\n')
            .filter(move |_| !is_empty)
            .map(move |line| Text { path: self.path, bytes: line })
    }

    /// The lines as the original's scanner hands them out: a carriage return before the newline is
    /// cut off, and a line of 64 KiB or more is an error, after which there are no more lines.
    pub fn scan(self) -> impl Iterator<Item = Result<Text<'a>>> {
        let mut is_over = false;
        self.lines().map_while(move |line| {
            if is_over {
                return None;
            }
            is_over = line.bytes.len() > SCANNED_MAX;
            if is_over {
                return Some(Err(Error::failed(format!("{}: line of over 64 KiB", line.path))));
            }
            let bytes = line.bytes.strip_suffix(b"\r").unwrap_or(line.bytes);
            Some(Ok(Text { bytes, ..line }))
        })
    }

    /// The words between white space.
    pub fn fields(self) -> Fields<'a> {
        Fields { path: self.path, rest: self.bytes }
    }

    /// Both sides of the first `separator`.
    pub fn split_once(self, separator: u8) -> Option<(Text<'a>, Text<'a>)> {
        let at = memchr::memchr(separator, self.bytes)?;
        let (left, right) = (&self.bytes[..at], &self.bytes[at + 1..]);
        Some((Text { bytes: left, ..self }, Text { bytes: right, ..self }))
    }

    pub fn strip_prefix(self, prefix: &[u8]) -> Option<Text<'a>> {
        Some(Text { bytes: self.bytes.strip_prefix(prefix)?, ..self })
    }

    /// The whole text as one number.
    pub fn parse<T: Number>(self) -> Result<T> {
        T::from_bytes(self.bytes).ok_or_else(|| self.malformed())
    }

    /// As UTF-8.
    pub fn as_str(self) -> Result<&'a str> {
        std::str::from_utf8(self.bytes).map_err(|_| self.malformed())
    }

    /// Where `part`, which was cut from this text, lies in it: kept where a borrow cannot be.
    pub fn span_of(self, part: &[u8]) -> Span {
        let start = part.as_ptr().addr() - self.bytes.as_ptr().addr();
        Span { start, end: start + part.len() }
    }

    /// What lies there.
    pub fn at(self, span: Span) -> Text<'a> {
        Text { bytes: &self.bytes[span.start..span.end], ..self }
    }

    /// The error for a text that cannot be parsed.
    pub fn malformed(self) -> Error {
        Error::malformed(self.path, self.bytes)
    }
}

/// A place in a text.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span {
    start: usize,
    end: usize,
}

/// The words of a line, taken one after another.
#[derive(Debug, Clone)]
pub struct Fields<'a> {
    path: &'a str,
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    /// The next word, or an error that the line is too short.
    pub fn word(&mut self) -> Result<&'a [u8]> {
        let path = self.path;
        self.next().map(|text| text.bytes).ok_or_else(|| Error::truncated(path))
    }

    /// The next word as a number.
    pub fn parse<T: Number>(&mut self) -> Result<T> {
        let path = self.path;
        self.next().ok_or_else(|| Error::truncated(path))?.parse()
    }

    /// The next word as a number, or nothing where the line ends.
    pub fn parse_next<T: Number>(&mut self) -> Result<Option<T>> {
        self.next().map(Text::parse).transpose()
    }

    /// What has not been taken, white space before it left out.
    pub fn rest(&self) -> &'a [u8] {
        self.rest.trim_ascii_start()
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Text<'a>;

    fn next(&mut self) -> Option<Text<'a>> {
        let rest = self.rest.trim_ascii_start();
        if rest.is_empty() {
            self.rest = rest;
            return None;
        }
        let end = rest.iter().position(u8::is_ascii_whitespace).unwrap_or(rest.len());
        let (word, rest) = rest.split_at(end);
        self.rest = rest;
        Some(Text { path: self.path, bytes: word })
    }
}

/// As a label: the words that are left, with one space between them.
impl LabelValue for Fields<'_> {
    fn write(&self, out: &mut Vec<u8>) {
        for (at, word) in self.clone().enumerate() {
            if at > 0 {
                out.push(b' ');
            }
            out.extend_from_slice(word.bytes);
        }
    }
}

/// A number as the original's parsers read it.
pub trait Number: Sized {
    fn from_bytes(text: &[u8]) -> Option<Self>;
}

impl Number for f64 {
    fn from_bytes(text: &[u8]) -> Option<Self> {
        number::float(text)
    }
}

impl Number for u64 {
    fn from_bytes(text: &[u8]) -> Option<Self> {
        number::uint(text)
    }
}

impl Number for u32 {
    fn from_bytes(text: &[u8]) -> Option<Self> {
        number::uint(text)?.try_into().ok()
    }
}

impl Number for i64 {
    fn from_bytes(text: &[u8]) -> Option<Self> {
        number::int(text)
    }
}

/// A hexadecimal number without prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hex(pub u64);

impl Number for Hex {
    fn from_bytes(text: &[u8]) -> Option<Self> {
        number::hex(text).map(Hex)
    }
}

/// A number whose prefix tells its base: `0x1f`, `017`, `0b1`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AnyBase<T>(pub T);

impl Number for AnyBase<u64> {
    fn from_bytes(text: &[u8]) -> Option<Self> {
        number::uint_any_base(text).map(AnyBase)
    }
}

impl Number for AnyBase<i64> {
    fn from_bytes(text: &[u8]) -> Option<Self> {
        number::int_any_base(text).map(AnyBase)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(bytes: &str) -> Text<'_> {
        Text::new("net/dev", bytes.as_bytes())
    }

    #[test]
    fn lines_keep_empty_ones_and_need_no_last_newline() {
        let lines = |input| text(input).lines().map(|line| line.bytes.len()).collect::<Vec<_>>();
        assert!(lines("").is_empty());
        assert_eq!(lines("a\n"), [1]);
        assert_eq!(lines("a\n\nbc"), [1, 0, 2]);
    }

    #[test]
    fn spans_stand_for_parts() {
        let text = text("eth0: 1 22 ");
        let spans: Vec<Span> = text.fields().map(|field| text.span_of(field.bytes)).collect();
        let fields = spans.iter().map(|&span| text.at(span).as_str().unwrap());
        assert_eq!(fields.collect::<Vec<_>>(), ["eth0:", "1", "22"]);
    }

    #[test]
    fn a_scan_ends_at_a_line_too_long() {
        let fits = "x".repeat(SCANNED_MAX);
        for (input, expected) in [
            ("a\r\nb\r", vec![Some(1), Some(1)]),
            ("a\r\r\n\r\n", vec![Some(2), Some(0)]),
            (&format!("a\n{fits}\nb\n"), vec![Some(1), Some(SCANNED_MAX), Some(1)]),
            (&format!("a\n{fits}x\nb\n"), vec![Some(1), None]),
        ] {
            let lines = text(input).scan().map(|line| line.ok().map(|line| line.bytes.len()));
            assert_eq!(lines.collect::<Vec<_>>(), expected);
        }
        let error = text(&format!("{fits}x")).scan().last().unwrap().unwrap_err();
        assert_eq!(error.to_string(), "net/dev: line of over 64 KiB");
    }

    #[test]
    fn errors_name_the_file_and_the_token() {
        let error = text("12x").fields().parse::<u64>().unwrap_err();
        assert_eq!(error.to_string(), "net/dev: cannot parse \"12x\"");
        let error = text(" \t").fields().parse::<u64>().unwrap_err();
        assert_eq!(error.to_string(), "net/dev: ends too early");
    }

    #[test]
    fn fields_are_parsed_in_turn() {
        let mut fields = text("eth0: 1 -2 0x1f 2.5").fields();
        assert_eq!(fields.word().unwrap(), b"eth0:");
        assert_eq!(fields.parse::<u64>().unwrap(), 1);
        assert_eq!(fields.parse::<i64>().unwrap(), -2);
        assert_eq!(fields.parse::<AnyBase<u64>>().unwrap().0, 31);
        assert_eq!(fields.rest(), b"2.5");
        let mut rest = Vec::new();
        text("-2 \t 0x1f ").fields().write(&mut rest);
        assert_eq!(rest, b"-2 0x1f");
        assert_eq!(fields.parse_next::<f64>().unwrap(), Some(2.5));
        assert_eq!(fields.parse_next::<f64>().unwrap(), None);
    }
}
