//! The endpoint: which path answers what.

pub mod auth;
mod clock;
pub mod config;
mod connection;
mod crowd;
pub mod door;
pub mod htpasswd;
pub mod limit;
pub mod listen;
pub mod metrics;
pub mod negotiate;
pub mod overview;
pub mod own;
pub mod password;
pub mod proxies;
pub mod security;
mod stream;
pub mod tls;
pub mod watch;

use std::sync::Arc;

use bytes::Bytes;
use hyper::header::{CONTENT_TYPE, HOST, HeaderValue, LOCATION, X_CONTENT_TYPE_OPTIONS};
use hyper::{Method, Request, Response, StatusCode, Version};

use crate::flags::{self, AnyFlag, Flag, Values};
use crate::gather::Gatherer;
use connection::Client;
use door::{Door, HEALTH_PATH};
use metrics::Metrics;
use own::Own;

static TELEMETRY_PATH: Flag<String> =
    flags::text("web.telemetry-path", "/metrics", "Path under which the metrics are served.");

pub static FLAGS: &[&dyn AnyFlag] = &[&TELEMETRY_PATH];

/// What a request is answered with.
pub type Answer = Response<Bytes>;

/// All that the endpoint serves, and who may see it.
pub struct Site {
    door: Arc<Door>,
    gatherer: Arc<Gatherer>,
    metrics: Metrics,
    telemetry_path: String,
}

impl Site {
    pub fn new(values: &Values, gatherer: Arc<Gatherer>, door: Door) -> Result<Self, String> {
        let telemetry_path = values.get(&TELEMETRY_PATH);
        if !telemetry_path.starts_with('/') {
            let name = TELEMETRY_PATH.name();
            return Err(format!("--{name}: {telemetry_path:?} does not begin with a slash"));
        }
        let door = Arc::new(door);
        let own = Own::new().map_err(|error| error.to_string())?;
        let metrics = Metrics::new(values, Arc::clone(&gatherer), Arc::new(own), Arc::clone(&door));
        Ok(Self { door, gatherer, metrics, telemetry_path })
    }

    pub fn door(&self) -> &Door {
        &self.door
    }

    /// Takes in what has changed in the door's files.
    async fn renew(&self) {
        self.door.renew(&self.gatherer).await;
    }

    /// Reads anew what collectors and the door read at start, as SIGHUP asks.
    pub async fn reload(&self) {
        self.gatherer.reload();
        self.door.reload(&self.gatherer).await;
    }

    /// Answers one request: the limit of requests counts first, then the password, then the path.
    async fn answer<B>(&self, request: &Request<B>, client: &Client) -> Answer {
        match request.headers().get_all(HOST).iter().count() {
            0 if request.version() == Version::HTTP_11 => {
                let text = "400 Bad Request: missing required Host header";
                return plain(StatusCode::BAD_REQUEST, text);
            }
            0 | 1 => {}
            _ => return plain(StatusCode::BAD_REQUEST, "400 Bad Request"),
        }
        self.renew().await;
        let rules = self.door.rules();
        if !rules.have_room() {
            return plain(StatusCode::TOO_MANY_REQUESTS, "Too Many Requests\n");
        }
        let mut answer = match self.door.admit(request, client).await {
            Ok(()) => self.route(request).await,
            Err(refusal) => *refusal,
        };
        rules.dress(&mut answer);
        answer
    }

    async fn route<B>(&self, request: &Request<B>) -> Answer {
        if *request.method() == Method::OPTIONS && request.uri().path() == "*" {
            return Answer::default();
        }
        let path = unescape(request.uri().path(), false);
        let clean = clean(&path);
        if clean != path && *request.method() != Method::CONNECT {
            return redirect(&clean, request.uri().query());
        }
        match path.as_str() {
            // First of all, because it is served without a password.
            HEALTH_PATH => plain(StatusCode::OK, "hostwarden is healthy.\n"),
            path if self.is_metrics(path) => self.metrics.answer(request).await,
            "/-/ready" => plain(StatusCode::OK, "hostwarden is ready.\n"),
            _ if self.telemetry_path == "/" => self.metrics.answer(request).await,
            "/" => overview::answer(&self.metrics, &self.telemetry_path).await,
            path => overview::asset(path)
                .unwrap_or_else(|| plain(StatusCode::NOT_FOUND, "404 page not found\n")),
        }
    }

    /// A telemetry path that ends in a slash stands for all below it.
    fn is_metrics(&self, path: &str) -> bool {
        let telemetry_path = self.telemetry_path.as_str();
        path == telemetry_path
            || telemetry_path.len() > 1
                && telemetry_path.ends_with('/')
                && path.starts_with(telemetry_path)
    }
}

/// An answer in plain words.
pub fn plain(status: StatusCode, text: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(text.into());
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    answer
}

fn redirect(path: &str, query: Option<&str>) -> Answer {
    let target = match query {
        Some(query) => format!("{path}?{query}"),
        None => path.to_owned(),
    };
    let Ok(location) = HeaderValue::try_from(target) else {
        return plain(StatusCode::BAD_REQUEST, "400 Bad Request");
    };
    let mut answer = plain(StatusCode::TEMPORARY_REDIRECT, "");
    answer.headers_mut().insert(LOCATION, location);
    answer
}

/// Percent escapes, and `+` for a blank in a query. What is no escape stays.
fn unescape(text: &str, is_query: bool) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let escaped = text
            .get(at + 1..at + 3)
            .filter(|_| bytes[at] == b'%')
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match (escaped, bytes[at]) {
            (Some(byte), _) => {
                out.push(byte);
                at += 2;
            }
            (None, b'+') if is_query => out.push(b' '),
            (None, byte) => out.push(byte),
        }
        at += 1;
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// Without empty, `.` and `..` segments; a slash at the end stays.
fn clean(path: &str) -> String {
    let mut segments: Vec<&str> = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => drop(segments.pop()),
            segment => segments.push(segment),
        }
    }
    let mut clean = format!("/{}", segments.join("/"));
    if path.ends_with('/') && clean.len() > 1 {
        clean.push('/');
    }
    clean
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_decoded_and_cleaned() {
        assert_eq!(unescape("/%6detrics", false), "/metrics");
        assert_eq!(unescape("/a+b%zz%", false), "/a+b%zz%");
        assert_eq!(unescape("a+b%5B%5D", true), "a b[]");
        for (path, expected) in [
            ("//metrics", "/metrics"),
            ("/./metrics", "/metrics"),
            ("/a/../metrics/", "/metrics/"),
            ("/", "/"),
            ("/../..", "/"),
        ] {
            assert_eq!(clean(path), expected);
        }
    }
}
