//! The web config file of `--web.config.file`: TLS, response headers, users, rate limit, in exporter-toolkit's schema.
//!
//! The file is YAML 1.1 as go-yaml reads it strictly: an unknown or repeated key is an error, and only the first document counts.
//! Messages that toolkit's users know, and search for, keep their words. None shows a key or a hash.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use hyper::header::{HeaderName, HeaderValue};
use serde::{Deserialize, Deserializer, de};
use serde_saphyr::Spanned;

use super::password::Hash;
use crate::number;

/// The file, checked as far as that goes without building TLS from it: [`super::tls::build`] does the rest.
#[derive(Debug)]
pub struct WebConfig {
    pub tls: Option<TlsConfig>,
    pub http2: bool,
    /// To be set on every response.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// Sorted by name. Empty means that everybody may come in.
    pub users: Vec<(String, Hash)>,
    pub rate_limit: Option<RateLimitConfig>,
    /// What start-up should tell the operator, one line each.
    pub warnings: Vec<String>,
}

impl Default for WebConfig {
    /// What an empty file says: plain HTTP, open to all.
    fn default() -> Self {
        Self {
            tls: None,
            http2: true,
            headers: Vec::new(),
            users: Vec::new(),
            rate_limit: None,
            warnings: Vec::new(),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimitConfig {
    pub interval: Duration,
    pub burst: u32,
}

/// A `tls_server_config` that asks for TLS. Names are known ones; files have not been read.
#[derive(Debug, Clone)]
pub struct TlsConfig {
    pub cert: Source,
    pub key: Source,
    pub client_ca: Option<Source>,
    /// As written: `build` knows the names.
    pub client_auth_type: String,
    pub client_allowed_sans: Option<Vec<String>>,
    pub min_version: Version,
    pub max_version: Version,
    /// Go's names. Empty means the default.
    pub cipher_suites: Vec<&'static str>,
    /// Go's names. Empty means the default.
    pub curve_preferences: Vec<&'static str>,
}

impl TlsConfig {
    /// Those that a change of means that TLS must be built anew.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        [Some(&self.cert), Some(&self.key), self.client_ca.as_ref()]
            .into_iter()
            .flatten()
            .filter_map(|source| match source {
                Source::File(path) => Some(path.as_path()),
                Source::Inline(_) => None,
            })
    }
}

/// Where PEM comes from. `Debug` does not show what is inline.
#[derive(Clone, PartialEq, Eq)]
pub enum Source {
    File(PathBuf),
    Inline(String),
}

impl Source {
    /// A file wins over inline text without complaint.
    fn new(file: Option<String>, inline: Option<String>, folder: &Path) -> Option<Self> {
        match (file.filter(|f| !f.is_empty()), inline.filter(|i| !i.is_empty())) {
            (Some(file), _) => Some(Self::File(folder.join(file))),
            (None, Some(inline)) => Some(Self::Inline(inline)),
            (None, None) => None,
        }
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.fmt(f),
            Self::Inline(_) => f.write_str("inline"),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    Tls10,
    Tls11,
    Tls12,
    Tls13,
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = VERSIONS.iter().find(|(_, version)| version == self).map(|(name, _)| *name);
        f.write_str(name.unwrap_or_default())
    }
}

const VERSIONS: [(&str, Version); 4] = [
    ("TLS10", Version::Tls10),
    ("TLS11", Version::Tls11),
    ("TLS12", Version::Tls12),
    ("TLS13", Version::Tls13),
];

const CIPHERS: [&str; 13] = [
    "TLS_AES_128_GCM_SHA256",
    "TLS_AES_256_GCM_SHA384",
    "TLS_CHACHA20_POLY1305_SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
    "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA",
    "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
    "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA",
    "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
    "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
];

const CURVES: [&str; 4] = ["CurveP256", "CurveP384", "CurveP521", "X25519"];

/// The headers that may be set, and the values that they may have; none listed means any.
const HEADERS: [(&str, &[&str]); 5] = [
    ("Content-Security-Policy", &[]),
    ("Strict-Transport-Security", &[]),
    ("X-Content-Type-Options", &["nosniff"]),
    ("X-Frame-Options", &["deny", "sameorigin"]),
    ("X-XSS-Protection", &[]),
];

/// What is wrong, in one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error(String);

impl Error {
    /// One line, also where a quoted word of the file has several.
    pub(super) fn new(message: impl Into<String>) -> Self {
        let message: String = message.into();
        Self(message.replace('\r', "\\r").replace('\n', "\\n"))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Error {}

/// Reads and checks the file.
pub fn load(path: &Path) -> Result<WebConfig, Error> {
    let bytes = read(path)?;
    let folder = path.parent().unwrap_or(Path::new(""));
    parse(&bytes, folder).map_err(|error| Error::new(format!("{}: {error}", path.display())))
}

/// Checks the file's text; `folder` is where its relative paths begin.
pub fn parse(bytes: &[u8], folder: &Path) -> Result<WebConfig, Error> {
    let text = str::from_utf8(bytes).map_err(|_| Error::new("not UTF-8"))?;
    let options = serde_saphyr::options! {
        with_snippet: false,
        legacy_octal_numbers: true,
    };
    let file: Option<RawFile> = serde_saphyr::from_str_with_options(first_document(text), options)
        .map_err(|error| yaml_error(&error))?;
    let file = file.unwrap_or_default();

    let mut config = WebConfig::default();
    if let Some(http) = file.http_server_config {
        config.http2 = http.http2.unwrap_or(true);
        config.headers = headers(http.headers.unwrap_or_default())?;
    }
    config.rate_limit = file.rate_limit.as_ref().map(rate_limit).transpose()?.flatten();
    let tls = file.tls_server_config.map(RawTls::check_names).transpose()?;
    for (user, hash) in file.basic_auth_users.unwrap_or_default() {
        let hash = Hash::bcrypt(&hash.unwrap_or_default())
            .map_err(|error| Error::new(format!("basic_auth_users: {user:?}: {error}")))?;
        if let Some(weakness) = hash.weakness() {
            config.warnings.push(format!("basic_auth_users: {user:?}: {weakness}"));
        }
        config.users.push((user, hash));
    }
    if let Some((raw, names)) = tls
        && raw.asks_for_tls()
    {
        config.tls = Some(raw.finish(names, folder)?);
    }
    Ok(config)
}

/// The bytes of a small file.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, Error> {
    /// A password file of a hundred thousand users fits.
    const SIZE_MAX: u64 = 16 << 20;

    let open = |error| Error::new(format!("open {}: {}", path.display(), errno_text(&error)));
    #[expect(clippy::disallowed_methods, reason = "the operator's own path, outside any root")]
    let file = std::fs::File::open(path).map_err(open)?;
    let mut bytes = Vec::new();
    let size = file
        .take(SIZE_MAX + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| Error::new(format!("read {}: {}", path.display(), errno_text(&error))))?;
    if size as u64 > SIZE_MAX {
        return Err(Error::new(format!("read {}: more than 16 MiB", path.display())));
    }
    Ok(bytes)
}

/// `no such file or directory`, as Go says it.
fn errno_text(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    let mut chars = text.chars();
    chars.next().map(|first| first.to_lowercase().chain(chars).collect()).unwrap_or_default()
}

/// `---` at the start of a line parts documents wherever it stands, as does `...`.
fn first_document(text: &str) -> &str {
    let mut begun = false;
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        let marks = |mark| {
            line.strip_prefix(mark)
                .is_some_and(|rest: &str| rest.is_empty() || rest.starts_with(char::is_whitespace))
        };
        if marks("---") {
            if begun {
                return &text[..at];
            }
            begun = true;
        } else if marks("...") {
            if begun {
                return &text[..at];
            }
        } else if !line.trim_start().is_empty() && !line.starts_with(['#', '%']) {
            begun = true;
        }
        at += line.len();
    }
    text
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct RawFile {
    tls_server_config: Option<RawTls>,
    http_server_config: Option<RawHttp>,
    basic_auth_users: Option<BTreeMap<String, Option<String>>>,
    rate_limit: Option<RawRateLimit>,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct RawTls {
    cert: Option<String>,
    cert_file: Option<String>,
    key: Option<String>,
    key_file: Option<String>,
    client_ca: Option<String>,
    client_ca_file: Option<String>,
    client_auth_type: Option<String>,
    client_allowed_sans: Option<Vec<Option<String>>>,
    min_version: Option<Spanned<String>>,
    max_version: Option<Spanned<String>>,
    cipher_suites: Option<Vec<Spanned<String>>>,
    curve_preferences: Option<Vec<Spanned<String>>>,
    /// Without effect in Go as well.
    #[serde(rename = "prefer_server_cipher_suites")]
    _prefer_server_cipher_suites: Option<bool>,
}

struct Names {
    min_version: Version,
    max_version: Version,
    cipher_suites: Vec<&'static str>,
    curve_preferences: Vec<&'static str>,
}

impl RawTls {
    /// Names are looked at even where the section does not ask for TLS.
    fn check_names(self) -> Result<(Self, Names), Error> {
        let version = |name: &Option<Spanned<String>>, default| match name {
            None => Ok(default),
            Some(name) => VERSIONS
                .iter()
                .find(|(known, _)| *known == name.value)
                .map(|&(_, version)| version)
                .ok_or_else(|| at_line(name, &format!("unknown TLS version: {}", name.value))),
        };
        let list = |names: &Option<Vec<Spanned<String>>>, known: &[&'static str], what| {
            let find = |name: &Spanned<String>| {
                known
                    .iter()
                    .find(|known| **known == name.value)
                    .copied()
                    .ok_or_else(|| at_line(name, &format!("unknown {what}: {}", name.value)))
            };
            names.iter().flatten().map(find).collect::<Result<Vec<_>, _>>()
        };
        let names = Names {
            min_version: version(&self.min_version, Version::Tls12)?,
            max_version: version(&self.max_version, Version::Tls13)?,
            cipher_suites: list(&self.cipher_suites, &CIPHERS, "cipher")?,
            curve_preferences: list(&self.curve_preferences, &CURVES, "curve")?,
        };
        Ok((self, names))
    }

    /// Versions, suites or names alone leave TLS off.
    fn asks_for_tls(&self) -> bool {
        [
            &self.cert,
            &self.cert_file,
            &self.key,
            &self.key_file,
            &self.client_ca,
            &self.client_ca_file,
            &self.client_auth_type,
        ]
        .into_iter()
        .flatten()
        .any(|value| !value.is_empty())
    }

    fn finish(self, names: Names, folder: &Path) -> Result<TlsConfig, Error> {
        let missing = |what| Error::new(format!("missing one of {what} or {what}_file"));
        Ok(TlsConfig {
            cert: Source::new(self.cert_file, self.cert, folder).ok_or_else(|| missing("cert"))?,
            key: Source::new(self.key_file, self.key, folder).ok_or_else(|| missing("key"))?,
            client_ca: Source::new(self.client_ca_file, self.client_ca, folder),
            client_auth_type: self.client_auth_type.unwrap_or_default(),
            client_allowed_sans: self
                .client_allowed_sans
                .map(|sans| sans.into_iter().map(Option::unwrap_or_default).collect()),
            min_version: names.min_version,
            max_version: names.max_version,
            cipher_suites: names.cipher_suites,
            curve_preferences: names.curve_preferences,
        })
    }
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct RawHttp {
    http2: Option<bool>,
    headers: Option<BTreeMap<String, Option<String>>>,
}

fn headers(raw: BTreeMap<String, Option<String>>) -> Result<Vec<(HeaderName, HeaderValue)>, Error> {
    let mut headers = Vec::new();
    for (name, value) in raw {
        let value = value.unwrap_or_default();
        let (_, allowed) = HEADERS
            .iter()
            .find(|(known, _)| *known == name)
            .ok_or_else(|| Error::new(format!("HTTP header {name:?} can not be configured")))?;
        if !allowed.is_empty() && !allowed.contains(&value.as_str()) {
            let list: Vec<String> = allowed.iter().map(|value| format!("{value:?}")).collect();
            return Err(Error::new(format!(
                "invalid value for {name}. Expected one of: [{}], but got: {value:?}",
                list.join(" ")
            )));
        }
        // A block scalar ends in a newline; Go sends blanks for what would end the header.
        let line = value.replace(['\r', '\n'], " ");
        let value = HeaderValue::from_str(line.trim())
            .map_err(|_| Error::new(format!("invalid value for {name}: {value:?}")))?;
        let name = HeaderName::from_bytes(name.as_bytes())
            .map_err(|_| Error::new(format!("HTTP header {name:?} can not be configured")))?;
        headers.push((name, value));
    }
    Ok(headers)
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct RawRateLimit {
    interval: Option<Spanned<Interval>>,
    burst: Option<i64>,
}

fn rate_limit(raw: &RawRateLimit) -> Result<Option<RateLimitConfig>, Error> {
    let interval = match &raw.interval {
        None => Duration::ZERO,
        Some(Spanned { value: Interval::Nanos(nanos), .. }) => Duration::from_nanos(*nanos),
        Some(spanned @ Spanned { value: Interval::Text(text), .. }) => {
            // Less than nothing limits nothing, as in Go.
            let negative = text.strip_prefix('-').and_then(number::duration);
            negative.map(|_| Duration::ZERO).or_else(|| number::duration(text)).ok_or_else(
                || at_line(spanned, &format!("cannot unmarshal !!str `{text}` into time.Duration")),
            )?
        }
    };
    let burst = u32::try_from(raw.burst.unwrap_or(0).max(0)).unwrap_or(u32::MAX);
    Ok((!interval.is_zero()).then_some(RateLimitConfig { interval, burst }))
}

/// `1s`, or a bare number of nanoseconds.
enum Interval {
    Text(String),
    Nanos(u64),
}

impl<'de> Deserialize<'de> for Interval {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl de::Visitor<'_> for Visitor {
            type Value = Interval;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a duration")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Interval, E> {
                Ok(Interval::Text(text.to_owned()))
            }

            fn visit_u64<E: de::Error>(self, nanos: u64) -> Result<Interval, E> {
                Ok(Interval::Nanos(nanos))
            }

            fn visit_i64<E: de::Error>(self, nanos: i64) -> Result<Interval, E> {
                Ok(Interval::Nanos(u64::try_from(nanos).unwrap_or(0)))
            }
        }

        deserializer.deserialize_any(Visitor)
    }
}

fn at_line<T>(value: &Spanned<T>, message: &str) -> Error {
    Error::new(format!("line {}: {message}", value.referenced.line()))
}

/// The parser quotes what it stumbles over, and that may be a key or a hash: only names of keys and kinds of values are repeated.
fn yaml_error(error: &serde_saphyr::Error) -> Error {
    use serde_saphyr::Error as Yaml;

    let line = error.location().map(|location| format!("line {}: ", location.line()));
    let line = line.unwrap_or_default();
    let kind =
        |unexpected: &str| unexpected.split([' ', '`', '"']).next().unwrap_or_default().to_owned();
    let message = match error {
        Yaml::SerdeUnknownField { field, .. } => format!("unknown key {field:?}"),
        Yaml::DuplicateMappingKey { key: Some(key), .. } => {
            format!("key {key:?} already set in map")
        }
        Yaml::SerdeInvalidType { unexpected, expected, .. } => {
            format!("{} where {expected} belongs", kind(unexpected))
        }
        Yaml::InvalidScalar { ty: "boolean", .. } => "not a boolean".to_owned(),
        Yaml::InvalidScalar { .. } => "not a number".to_owned(),
        Yaml::Unexpected { expected, .. } => {
            format!("not a {}", expected.split(' ').next().unwrap_or_default())
        }
        Yaml::NullIntoString { .. } => "nothing where a string belongs".to_owned(),
        Yaml::ExternalMessage { msg, .. } => format!("YAML: {msg}"),
        Yaml::UnknownAnchor { .. } => "unknown anchor".to_owned(),
        _ => "not valid YAML".to_owned(),
    };
    Error::new(line + &message)
}

#[cfg(test)]
mod tests;
