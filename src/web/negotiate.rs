//! What the client takes: content type, escaping of names, and encoding, by quality values.

use crate::exposition::protobuf::Encoding;

/// Shape of an exposition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Text,
    Protobuf(Encoding),
}

/// How a name outside the old alphabet would be written. None of ours is, so that the word is
/// only echoed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Escaping {
    AllowUtf8,
    Underscores,
    Dots,
    Values,
}

impl Escaping {
    const ALL: [(&'static str, Escaping); 4] = [
        ("allow-utf-8", Escaping::AllowUtf8),
        ("underscores", Escaping::Underscores),
        ("dots", Escaping::Dots),
        ("values", Escaping::Values),
    ];

    fn parse(word: &str) -> Option<Self> {
        Self::ALL.iter().find(|(name, _)| *name == word).map(|(_, escaping)| *escaping)
    }

    fn as_str(self) -> &'static str {
        Self::ALL.iter().find(|(_, escaping)| *escaping == self).map_or("", |(name, _)| name)
    }
}

/// Which content type answers an `Accept` header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ContentType {
    pub format: Format,
    pub escaping: Escaping,
}

impl ContentType {
    /// Goes through the clauses in their order of preference; an `escaping` seen on the way counts.
    pub fn from_accept(accept: &str) -> Self {
        let mut escaping = Escaping::Underscores;
        for clause in by_preference(accept) {
            if let Some(word) = clause.parameter("escaping").and_then(Escaping::parse) {
                escaping = word;
            }
            if let Some(format) = clause.format() {
                return Self { format, escaping };
            }
        }
        Self { format: Format::Text, escaping }
    }

    /// The header's value.
    pub fn header(self) -> String {
        const PROTOBUF: &str =
            "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=";
        let escaping = self.escaping.as_str();
        let encoding = match self.format {
            Format::Text => {
                return format!("text/plain; version=0.0.4; charset=utf-8; escaping={escaping}");
            }
            Format::Protobuf(Encoding::Delimited) => "delimited",
            Format::Protobuf(Encoding::Text) => "text",
            Format::Protobuf(Encoding::CompactText) => "compact-text",
        };
        format!("{PROTOBUF}{encoding}; escaping={escaping}")
    }
}

/// The clauses of an `Accept` header, sorted as node_exporter sorts them. By its rule a clause also
/// goes before one with a wildcard, whatever their quality, and that is no order: who ends up where
/// depends on its way of sorting, by insertion.
fn by_preference(accept: &str) -> Vec<Clause<'_>> {
    let mut clauses: Vec<Clause<'_>> = accept.split(',').map(Clause::parse).collect();
    clauses.retain(|clause| clause.value == "*" || clause.value.split('/').count() == 2);
    for end in 1..clauses.len() {
        let mut at = end;
        while at > 0 && clauses[at].goes_before(&clauses[at - 1]) {
            clauses.swap(at, at - 1);
            at -= 1;
        }
    }
    clauses
}

/// Whether an `Accept-Encoding` header prefers gzip to a plain body; a tie is plain.
pub fn prefers_gzip(accept_encoding: &str) -> bool {
    let quality = |offer: &str| {
        accept_encoding
            .split(',')
            .map(Clause::parse)
            .filter(|clause| clause.value == "*" || clause.value == offer)
            .map(|clause| clause.quality)
            .fold(-1.0, f64::max)
    };
    let gzip = quality("gzip");
    gzip > 0.0 && gzip > quality("identity")
}

/// One clause of a header: `text/plain;version=0.0.4;q=0.3`.
struct Clause<'a> {
    value: &'a str,
    parameters: &'a str,
    quality: f64,
}

impl<'a> Clause<'a> {
    fn parse(clause: &'a str) -> Self {
        let (value, parameters) = clause.split_once(';').unwrap_or((clause, ""));
        let mut clause = Self { value: value.trim(), parameters, quality: 1.0 };
        if let Some(quality) = clause.parameter("q") {
            clause.quality = quality.parse().unwrap_or(0.0);
        }
        clause
    }

    fn goes_before(&self, other: &Self) -> bool {
        let is_any_type = |clause: &Self| clause.value.starts_with('*');
        let is_any = |clause: &Self| clause.value.ends_with('*');
        self.quality > other.quality
            || !is_any_type(self) && is_any_type(other)
            || !is_any(self) && is_any(other)
    }

    /// The format that the clause names, if it is one of ours.
    fn format(&self) -> Option<Format> {
        match self.value {
            "text/plain" => {
                let version = self.parameter("version").unwrap_or_default();
                matches!(version, "" | "0.0.4").then_some(Format::Text)
            }
            "application/vnd.google.protobuf" => {
                let is_ours = self.parameter("proto") == Some("io.prometheus.client.MetricFamily");
                let encoding = match self.parameter("encoding").filter(|_| is_ours)? {
                    "delimited" => Encoding::Delimited,
                    "text" => Encoding::Text,
                    "compact-text" => Encoding::CompactText,
                    _ => return None,
                };
                Some(Format::Protobuf(encoding))
            }
            _ => None,
        }
    }

    fn parameter(&self, name: &str) -> Option<&'a str> {
        self.parameters
            .split(';')
            .filter_map(|parameter| parameter.split_once('='))
            .find(|(key, _)| key.trim() == name)
            .map(|(_, value)| value.trim())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROMETHEUS: &str = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
        application/openmetrics-text;version=0.0.1;q=0.5,\
        text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2";

    const DELIMITED: &str = "application/vnd.google.protobuf;\
        proto=io.prometheus.client.MetricFamily;encoding=delimited";

    #[test]
    fn content_types() {
        const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8; escaping=";
        const PROTOBUF: &str =
            "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=";
        for (accept, prefix, rest) in [
            ("", TEXT, "underscores"),
            ("*/*", TEXT, "underscores"),
            ("text/html", TEXT, "underscores"),
            ("text/plain;version=1.0.0", TEXT, "underscores"),
            ("text/plain;version=0.0.4", TEXT, "underscores"),
            ("application/openmetrics-text;version=1.0.0", TEXT, "underscores"),
            (PROMETHEUS, TEXT, "allow-utf-8"),
            ("text/plain; escaping=dots", TEXT, "dots"),
            ("text/plain; escaping=strange", TEXT, "underscores"),
            ("text/plain,text/html;escaping=values;q=0.5", TEXT, "underscores"),
            ("text/html;escaping=values,text/plain", TEXT, "values"),
            ("nonsense;escaping=values,a/b/c;escaping=values", TEXT, "underscores"),
            // A wildcard does not come before what it stands for.
            ("*/*;escaping=dots,text/plain;q=0.1", TEXT, "underscores"),
            (DELIMITED, PROTOBUF, "delimited; escaping=underscores"),
            (
                &format!("{DELIMITED};escaping=allow-utf-8"),
                PROTOBUF,
                "delimited; escaping=allow-utf-8",
            ),
            (&DELIMITED.replace("delimited", "text"), PROTOBUF, "text; escaping=underscores"),
            (
                &DELIMITED.replace("delimited", "compact-text;escaping=values"),
                PROTOBUF,
                "compact-text; escaping=values",
            ),
            (&DELIMITED.replace("delimited", "strange"), TEXT, "underscores"),
            (&DELIMITED.replace("MetricFamily", "Other"), TEXT, "underscores"),
            ("application/vnd.google.protobuf", TEXT, "underscores"),
            (
                &format!("{PROMETHEUS},{DELIMITED};q=0.7"),
                PROTOBUF,
                "delimited; escaping=underscores",
            ),
            (&format!("{PROMETHEUS},{DELIMITED};q=0.1"), TEXT, "allow-utf-8"),
            (&format!("{DELIMITED};q=none,text/plain;q=0.1"), TEXT, "underscores"),
        ] {
            assert_eq!(
                ContentType::from_accept(accept).header(),
                format!("{prefix}{rest}"),
                "{accept}"
            );
        }
    }

    #[test]
    fn encodings() {
        for plain in [
            "",
            "zstd",
            "deflate",
            "*",
            "gzip, identity",
            "gzip;q=0.5, identity",
            "gzip;q=0",
            "identity;q=0",
            "gzip;q=none",
        ] {
            assert!(!prefers_gzip(plain), "{plain}");
        }
        for gzip in ["gzip", "zstd, gzip;q=0.5", "deflate, gzip, br, zstd", "gzip, identity;q=0"] {
            assert!(prefers_gzip(gzip), "{gzip}");
        }
    }
}
