//! What the client takes: content type, escaping of names, and encoding, by quality values.

/// Shape of an exposition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Text,
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
}

/// Which content type answers an `Accept` header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ContentType {
    pub format: Format,
    pub escaping: Escaping,
}

impl ContentType {
    /// Goes through the clauses by falling quality; an `escaping` seen on the way counts.
    pub fn from_accept(accept: &str) -> Self {
        let mut clauses: Vec<Clause<'_>> = accept.split(',').map(Clause::parse).collect();
        clauses.sort_by(|a, b| b.quality.total_cmp(&a.quality));
        let mut escaping = Escaping::Underscores;
        for clause in clauses {
            if let Some(word) = clause.parameter("escaping").and_then(Escaping::parse) {
                escaping = word;
            }
            let is_text = clause.value == "text/plain"
                && clause.parameter("version").is_none_or(|version| version == "0.0.4");
            if is_text {
                break;
            }
        }
        Self { format: Format::Text, escaping }
    }

    /// The header's value.
    pub fn header(self) -> &'static str {
        match (self.format, self.escaping) {
            (Format::Text, Escaping::AllowUtf8) => {
                "text/plain; version=0.0.4; charset=utf-8; escaping=allow-utf-8"
            }
            (Format::Text, Escaping::Underscores) => {
                "text/plain; version=0.0.4; charset=utf-8; escaping=underscores"
            }
            (Format::Text, Escaping::Dots) => {
                "text/plain; version=0.0.4; charset=utf-8; escaping=dots"
            }
            (Format::Text, Escaping::Values) => {
                "text/plain; version=0.0.4; charset=utf-8; escaping=values"
            }
        }
    }
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
            clause.quality = quality.parse().unwrap_or(1.0);
        }
        clause
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

    #[test]
    fn content_types() {
        let escaping = |accept| ContentType::from_accept(accept).escaping;
        assert_eq!(escaping(""), Escaping::Underscores);
        assert_eq!(escaping("*/*"), Escaping::Underscores);
        assert_eq!(escaping(PROMETHEUS), Escaping::AllowUtf8);
        assert_eq!(escaping("text/plain; escaping=dots"), Escaping::Dots);
        assert_eq!(escaping("text/plain; escaping=strange"), Escaping::Underscores);
        assert_eq!(escaping("text/plain,text/html;escaping=values;q=0.5"), Escaping::Underscores);
        assert_eq!(
            ContentType::from_accept(PROMETHEUS).header(),
            "text/plain; version=0.0.4; charset=utf-8; escaping=allow-utf-8"
        );
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
        ] {
            assert!(!prefers_gzip(plain), "{plain}");
        }
        for gzip in ["gzip", "zstd, gzip;q=0.5", "deflate, gzip, br, zstd", "gzip, identity;q=0"] {
            assert!(prefers_gzip(gzip), "{gzip}");
        }
    }
}
