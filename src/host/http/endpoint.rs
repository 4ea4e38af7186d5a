//! What a URL says about where a request goes and what it begins with.

use std::path::PathBuf;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use hyper::Uri;
use hyper::header::HeaderValue;
use hyper::http::uri::{Authority, PathAndQuery};

/// Where requests go, and what they begin with.
#[derive(Debug, Clone)]
pub struct Endpoint {
    pub(super) socket: Socket,
    /// The `Host` header.
    pub(super) host: HeaderValue,
    pub(super) path: PathAndQuery,
    /// The `Authorization` header, from a user name in the URL.
    pub(super) authorization: Option<HeaderValue>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Socket {
    Tcp { host: String, port: u16, is_tls: bool },
    Unix(PathBuf),
}

impl Endpoint {
    /// The endpoint that a URL names. What the URL says wrongly comes back as one line.
    pub fn parse(url: &str) -> Result<Self, String> {
        let uri: Uri = url.parse().map_err(|error| format!("{error}"))?;
        let is_tls = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            Some(scheme) => return Err(format!("cannot speak {scheme}")),
            None => return Err("no http:// before it".into()),
        };
        let authority = uri.authority().ok_or("no host")?;
        let (user, _) = authority.as_str().rsplit_once('@').unwrap_or_default();
        let host = authority.host().trim_matches(['[', ']']).to_owned();
        let port = match without_user(authority).strip_prefix(authority.host()) {
            Some("" | ":") => Some(if is_tls { 443 } else { 80 }),
            _ => authority.port_u16(),
        };
        let port = port.ok_or("no such port")?;
        let path = uri.path_and_query().cloned();
        Ok(Self {
            socket: Socket::Tcp { host, port, is_tls },
            host: header(without_user(authority))?,
            path: path.unwrap_or(PathAndQuery::from_static("/")),
            authorization: if user.is_empty() { None } else { Some(basic(user)?) },
        })
    }

    /// A server that listens on a UNIX socket.
    pub fn unix(socket: impl Into<PathBuf>, path: &str) -> Result<Self, String> {
        Ok(Self {
            socket: Socket::Unix(socket.into()),
            host: HeaderValue::from_static("unix"),
            path: path.parse().map_err(|error| format!("{error}"))?,
            authorization: None,
        })
    }

    /// The same place, called by another name.
    pub fn with_host(self, host: &str) -> Result<Self, String> {
        Ok(Self { host: header(host)?, ..self })
    }

    /// Host and port, unless it is a UNIX socket.
    pub fn address(&self) -> Option<(&str, u16)> {
        match &self.socket {
            Socket::Tcp { host, port, .. } => Some((host, *port)),
            Socket::Unix(_) => None,
        }
    }

    /// Whether the URL brought a user along.
    pub fn has_user(&self) -> bool {
        self.authorization.is_some()
    }

    pub fn is_tls(&self) -> bool {
        matches!(self.socket, Socket::Tcp { is_tls: true, .. })
    }

    /// Where a `Location` points, as long as it is the same server under the same name.
    pub(super) fn redirected(&self, location: &HeaderValue) -> Option<Self> {
        let uri: Uri = location.to_str().ok()?.parse().ok()?;
        let is_here = match (uri.scheme_str(), uri.authority()) {
            (None, None) => true,
            (Some(scheme), Some(authority)) => {
                (scheme == "https") == self.is_tls() && self.host == authority.as_str()
            }
            _ => false,
        };
        let path = uri.path_and_query().filter(|_| is_here)?.clone();
        Some(Self { path, ..self.clone() })
    }
}

fn header(value: &str) -> Result<HeaderValue, String> {
    HeaderValue::try_from(value).map_err(|_| "no host".to_owned())
}

fn without_user(authority: &Authority) -> &str {
    let authority = authority.as_str();
    authority.rsplit_once('@').map_or(authority, |(_, host)| host)
}

fn basic(user: &str) -> Result<HeaderValue, String> {
    let (name, password) = user.split_once(':').unwrap_or((user, ""));
    let mut plain = decode(name);
    plain.push(b':');
    plain.extend_from_slice(&decode(password));
    header(&format!("Basic {}", BASE64_STANDARD.encode(plain)))
}

/// A URL as it may be shown: without user, password and query, which may be secret. Everything up
/// to the last `@` counts as a user, so that no password can hide in a URL that is written wrongly.
pub fn shown(url: &str) -> String {
    let shown = match (url.split_once("//"), url.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, rest))) => format!("{scheme}//{rest}"),
        _ => url.to_owned(),
    };
    shown.split(['?', '#']).next().unwrap_or_default().to_owned()
}

/// Resolves `%41` and the like; what is no such escape stays.
pub fn decode(text: &str) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, others @ ..] = rest {
        let digits = others.first_chunk::<2>().and_then(|digits| std::str::from_utf8(digits).ok());
        let escaped = digits.filter(|digits| *first == b'%' && !digits.starts_with('+'));
        match escaped.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                decoded.push(byte);
                rest = &others[2..];
            }
            None => {
                decoded.push(*first);
                rest = others;
            }
        }
    }
    decoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls() {
        let endpoint = Endpoint::parse("http://localhost:9001/RPC2?a=b").unwrap();
        let socket = |host: &str, port, is_tls| Socket::Tcp { host: host.into(), port, is_tls };
        assert_eq!(endpoint.socket, socket("localhost", 9001, false));
        assert_eq!(endpoint.host, "localhost:9001");
        assert_eq!(endpoint.path, "/RPC2?a=b");
        assert_eq!(endpoint.authorization, None);
        let endpoint = Endpoint::parse("http://joe:a%3Ab@[::1]").unwrap();
        assert_eq!(endpoint.socket, socket("::1", 80, false));
        assert_eq!(endpoint.host, "[::1]");
        assert_eq!(endpoint.path, "/");
        // joe:a:b
        assert_eq!(endpoint.authorization.unwrap(), "Basic am9lOmE6Yg==");
        assert_eq!(Endpoint::parse("https://host/").unwrap().socket, socket("host", 443, true));
        for url in ["", "localhost:9001", "/RPC2", "ftp://host/", "http://", "http://h:99999/"] {
            assert!(Endpoint::parse(url).is_err(), "{url}");
        }
    }

    #[test]
    fn redirections_are_followed_on_the_same_server_only() {
        let path = |from: &Endpoint, location: &'static str| {
            let to = from.redirected(&HeaderValue::from_static(location))?;
            assert_eq!(to.socket, from.socket);
            Some(to.path.to_string())
        };
        let plain = Endpoint::parse("http://joe:secret@host:8080/status").unwrap();
        for (location, expected) in [
            ("/other?auto", Some("/other?auto")),
            ("http://host:8080/other", Some("/other")),
            ("http://host/other", None),
            ("https://host:8080/other", None),
            ("http://elsewhere:8080/other", None),
            ("//elsewhere/other", Some("//elsewhere/other")),
            ("other", None),
            ("", None),
        ] {
            assert_eq!(path(&plain, location).as_deref(), expected, "{location}");
        }
        let unix = Endpoint::unix("/run/x.sock", "/status").unwrap();
        assert_eq!(path(&unix, "http://unix/other").as_deref(), Some("/other"));
        let named = plain.with_host("www.example.org").unwrap();
        assert_eq!(path(&named, "http://www.example.org/other").as_deref(), Some("/other"));
    }

    #[test]
    fn nothing_secret_is_shown() {
        for (url, expected) in [
            ("http://joe:secret@host:9001/RPC2", "http://host:9001/RPC2"),
            ("http://joe:se@c/ret?@host/", "http://host/"),
            ("http://host/status?auto&token=secret", "http://host/status"),
            ("unix:///run/x.sock", "unix:///run/x.sock"),
            ("unix:/run/a@b.sock:/status?auto", "unix:/run/a@b.sock:/status"),
        ] {
            assert_eq!(shown(url), expected);
        }
    }

    #[test]
    fn escapes() {
        assert_eq!(decode("a%20b%zz%4"), b"a b%zz%4");
        assert_eq!(decode("%+1"), b"%+1");
    }
}
