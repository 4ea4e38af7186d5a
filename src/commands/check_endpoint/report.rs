//! What the checks found: a line each for people, or one JSON object.

use std::fmt::Display;
use std::io::{self, IsTerminal, Write};

use crate::log::quote_json;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mark {
    Good,
    /// To be known, and no reason to fail.
    Note,
    Bad,
}

impl Mark {
    fn word(self) -> &'static str {
        match self {
            Mark::Good => "good",
            Mark::Note => "note",
            Mark::Bad => "bad",
        }
    }

    /// The terminal's green, yellow, red.
    fn colour(self) -> u8 {
        match self {
            Mark::Good => 32,
            Mark::Note => 33,
            Mark::Bad => 31,
        }
    }
}

pub(super) struct Report<'a> {
    out: &'a mut dyn Write,
    is_good: bool,
    is_coloured: bool,
    /// The object so far, if that is what is wanted.
    json: Option<String>,
}

impl<'a> Report<'a> {
    pub(super) fn new(out: &'a mut dyn Write, url: &str, is_json: bool) -> Self {
        let json = is_json.then(|| {
            let mut json = "{\"url\":".to_owned();
            quote_json(&mut json, url);
            json + ",\"checks\":["
        });
        Self { out, is_good: true, is_coloured: io::stdout().is_terminal(), json }
    }

    pub(super) fn tell(&mut self, check: &str, mark: Mark, text: impl Display) -> io::Result<()> {
        self.is_good &= mark != Mark::Bad;
        let word = mark.word();
        if let Some(json) = &mut self.json {
            if !json.ends_with('[') {
                json.push(',');
            }
            json.push_str("{\"check\":");
            quote_json(json, check);
            json.push_str(&format!(",\"result\":\"{word}\",\"text\":"));
            quote_json(json, &text.to_string());
            json.push('}');
            return Ok(());
        }
        let (on, off) = match self.is_coloured {
            true => (format!("\u{1b}[{}m", mark.colour()), "\u{1b}[0m"),
            false => (String::new(), ""),
        };
        writeln!(self.out, "{on}{word:4}{off}  {check:15} {text}")
    }

    pub(super) fn good(&mut self, check: &str, text: impl Display) -> io::Result<()> {
        self.tell(check, Mark::Good, text)
    }

    pub(super) fn note(&mut self, check: &str, text: impl Display) -> io::Result<()> {
        self.tell(check, Mark::Note, text)
    }

    pub(super) fn bad(&mut self, check: &str, text: impl Display) -> io::Result<()> {
        self.tell(check, Mark::Bad, text)
    }

    /// Prints what is left to print; whether nothing was bad.
    pub(super) fn finish(self) -> io::Result<bool> {
        if let Some(json) = self.json {
            writeln!(self.out, "{json}],\"good\":{}}}", self.is_good)?;
        }
        Ok(self.is_good)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(is_json: bool) -> (String, bool) {
        let mut out = Vec::new();
        let mut report = Report::new(&mut out, "http://h/\"", is_json);
        report.is_coloured = false;
        report.good("answer", "7 bytes").unwrap();
        report.bad("no password", "let\tin").unwrap();
        let is_good = report.finish().unwrap();
        (String::from_utf8(out).unwrap(), is_good)
    }

    #[test]
    fn lines_and_json() {
        let lines = "good  answer          7 bytes\nbad   no password     let\tin\n";
        assert_eq!(told(false), (lines.to_owned(), false));
        let json = "{\"url\":\"http://h/\\\"\",\"checks\":[\
                    {\"check\":\"answer\",\"result\":\"good\",\"text\":\"7 bytes\"},\
                    {\"check\":\"no password\",\"result\":\"bad\",\"text\":\"let\\tin\"}],\"good\":false}\n";
        assert_eq!(told(true), (json.to_owned(), false));
    }
}
