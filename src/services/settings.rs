//! Which servers are asked, and what they are asked with.

use std::collections::HashSet;
use std::path::Path;
use std::time::Instant;

use bytes::Bytes;
use hyper::Response;
use hyper::header::{
    CONNECTION, CONTENT_LENGTH, HOST, HeaderMap, HeaderName, HeaderValue, TRANSFER_ENCODING,
    USER_AGENT,
};

use crate::collector::{Error, Result};
use crate::flags::{self, AnyFlag, Flag, Values};
use crate::host::http::{self, Ask, Client, Endpoint, Fault, Line};
use crate::web::config;
use crate::web::tls::client::{Trust, client};

/// 4,000 balancer members, or more slots than any scoreboard has.
const PAGE_MAX: usize = 1 << 20;

/// The flags that every kind of server has, under its name.
pub(super) struct SettingsFlags {
    uri: Flag<Vec<String>>,
    host: Flag<String>,
    headers_file: Flag<String>,
    ca_file: Flag<String>,
    insecure: Flag<bool>,
}

impl SettingsFlags {
    pub(super) const COUNT: usize = 5;

    pub(super) const fn all(&'static self) -> [&'static dyn AnyFlag; Self::COUNT] {
        [&self.uri, &self.host, &self.headers_file, &self.ca_file, &self.insecure]
    }
}

macro_rules! settings_flags {
    ($service:literal, $uri:literal) => {
        SettingsFlags {
            uri: flags::list(
                concat!("collector.", $service, ".scrape-uri"),
                $uri,
                "URL of a status page, as often as wanted: http://, https:// or \
                 unix:/SOCKET:/PATH. With several, each series has the label addr.",
            ),
            host: flags::text(
                concat!("collector.", $service, ".host-override"),
                "",
                "Host header of the requests, in place of the URL's host.",
            ),
            headers_file: flags::text(
                concat!("collector.", $service, ".headers-file"),
                "",
                "File of headers to send with the requests, a line \"Name: value\" each; read \
                 again on reload.",
            ),
            ca_file: flags::text(
                concat!("collector.", $service, ".ca-file"),
                "",
                "PEM file of the certificates to trust for https, in place of the system's; read \
                 again on reload.",
            ),
            insecure: flags::switch(
                concat!("collector.", $service, ".insecure"),
                false,
                "Trust any certificate for https.",
            ),
        }
    };
}

pub(super) static APACHE: SettingsFlags =
    settings_flags!("apache", "http://localhost/server-status?auto");
pub(super) static NGINX: SettingsFlags =
    settings_flags!("nginx", "http://127.0.0.1:8080/stub_status");

/// What the command line says of one kind of server.
pub(super) struct Settings {
    flags: &'static SettingsFlags,
    urls: Vec<String>,
    host: String,
    headers_file: String,
    ca_file: String,
    is_insecure: bool,
    /// Whether servers are looked for, because none was named.
    pub(super) is_searching: bool,
}

impl Settings {
    pub(super) fn new(flags: &'static SettingsFlags, values: &Values, is_auto: bool) -> Self {
        let is_searching = is_auto && !values.is_given(flags.uri.name());
        Self {
            flags,
            urls: if is_searching { Vec::new() } else { values.get(&flags.uri) },
            host: values.get(&flags.host),
            headers_file: values.get(&flags.headers_file),
            ca_file: values.get(&flags.ca_file),
            is_insecure: values.get(&flags.insecure),
            is_searching,
        }
    }

    /// The servers that were named.
    pub(super) fn servers(&self) -> Result<Vec<Server>, String> {
        let mut addresses = HashSet::new();
        let wrong = |url: &str, why: &str| {
            format!("--{}: {}: {why}", self.flags.uri.name(), http::shown(url))
        };
        self.urls
            .iter()
            .map(|url| {
                if !addresses.insert(http::shown(url)) {
                    return Err(wrong(url, "given twice"));
                }
                self.server(url).map_err(|why| wrong(url, &why))
            })
            .collect()
    }

    /// The server with this URL.
    pub(super) fn server(&self, url: &str) -> Result<Server, String> {
        let mut endpoint = endpoint(url)?;
        if !self.host.is_empty() {
            endpoint = endpoint.with_host(&self.host)?;
        }
        Ok(Server { address: http::shown(url), line: Line::new(endpoint), failures: 0 })
    }

    /// Reads the files.
    pub(super) fn asker(&self) -> Result<Asker, String> {
        let mut headers = HeaderMap::new();
        let agent = concat!("hostwarden/", env!("CARGO_PKG_VERSION"));
        headers.insert(USER_AGENT, HeaderValue::from_static(agent));
        if !self.headers_file.is_empty() {
            let path = Path::new(&self.headers_file);
            let text = config::read(path).map_err(|error| error.to_string())?;
            read_headers(&text, &mut headers)
                .map_err(|why| format!("{}: {why}", self.headers_file))?;
        }
        let is_tls = self.urls.iter().any(|url| url.starts_with("https:"));
        let trust = match self.ca_file.as_str() {
            _ if self.is_insecure => Trust::Anybody,
            "" => Trust::System,
            path => Trust::File(Path::new(path)),
        };
        let tls = if is_tls {
            Some(client(trust, None).map_err(|error| error.to_string())?)
        } else {
            None
        };
        Ok(Asker { ask: Ask::get(headers, PAGE_MAX), client: Client::new(tls) })
    }
}

/// A server that is asked at every scrape.
pub(super) struct Server {
    /// Its URL without anything secret.
    pub(super) address: String,
    pub(super) line: Line,
    pub(super) failures: u32,
}

/// Asks servers for their pages.
pub(super) struct Asker {
    ask: Ask,
    client: Client,
}

impl Asker {
    pub(super) fn ask_all(
        &mut self,
        servers: &mut [Server],
        deadline: Instant,
    ) -> Result<Vec<Result<Response<Bytes>, Fault>>> {
        let lines = servers.iter_mut().map(|server| &mut server.line);
        let answers = self.client.ask_all(lines, &self.ask, deadline);
        answers.map_err(|error| Error::failed(error.to_string()))
    }
}

/// `http://`, `https://`, or `unix:/SOCKET` with or without `:/PATH`.
fn endpoint(url: &str) -> Result<Endpoint, String> {
    let Some(rest) = url.strip_prefix("unix:") else { return Endpoint::parse(url) };
    let (socket, path) = rest.split_once(':').unwrap_or((rest, ""));
    match path {
        _ if socket.is_empty() => Err("no socket".to_owned()),
        "" => Endpoint::unix(socket, "/"),
        path if path.contains(':') => Err("one colon too many".to_owned()),
        path if path.starts_with('/') => Endpoint::unix(socket, path),
        _ => Err("the path begins without a slash".to_owned()),
    }
}

/// Headers that say how the request itself is sent, or have a flag of their own.
const NOT_TO_BE_SET: [HeaderName; 4] = [CONNECTION, CONTENT_LENGTH, HOST, TRANSFER_ENCODING];

/// Lines `Name: value`, empty ones and such that begin with `#`. Errors show no value: many are
/// secret.
fn read_headers(text: &[u8], headers: &mut HeaderMap) -> Result<(), String> {
    let mut given = HeaderMap::new();
    for (number, line) in text.split(|&byte| byte == b'\n').map(<[u8]>::trim_ascii).enumerate() {
        if line.is_empty() || line.starts_with(b"#") {
            continue;
        }
        let wrong = |why: &str| format!("line {}: {why}", number + 1);
        let at = memchr::memchr(b':', line).ok_or_else(|| wrong("no \"Name: value\""))?;
        let name = HeaderName::from_bytes(line[..at].trim_ascii())
            .map_err(|_| wrong("no header has such a name"))?;
        if NOT_TO_BE_SET.contains(&name) {
            return Err(wrong(&format!("{name} cannot be set")));
        }
        let value = HeaderValue::from_bytes(line[at + 1..].trim_ascii())
            .map_err(|_| wrong("no header has such a value"))?;
        given.append(name, value);
    }
    headers.extend(given);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls() {
        for (url, why) in [
            ("unix:/run/x.sock", None),
            ("unix:/run/x.sock:", None),
            ("unix:/run/x.sock:/status?auto", None),
            ("unix:/too:/many:colons:", Some("one colon too many")),
            ("unix:/run/x.sock:status", Some("the path begins without a slash")),
            ("unix:", Some("no socket")),
            ("https://[::1]:8443/status", None),
            ("ftp://host/", Some("cannot speak ftp")),
        ] {
            let expected = why.map_or(Ok(()), |why| Err(why.to_owned()));
            assert_eq!(endpoint(url).map(drop), expected, "{url}");
        }
    }

    #[test]
    fn a_wrong_url_ends_the_start_without_its_password() {
        let refused = |urls: &[&str]| {
            let mut values = Values::default();
            urls.iter().for_each(|url| values.give(NGINX.uri.name(), *url));
            Settings::new(&NGINX, &values, false).servers().map(drop).unwrap_err()
        };
        assert_eq!(
            refused(&["http://a/", "ftp://joe:secret@host/x"]),
            "--collector.nginx.scrape-uri: ftp://host/x: cannot speak ftp"
        );
        assert_eq!(
            refused(&["http://joe:one@a/", "http://joe:two@a/?x"]),
            "--collector.nginx.scrape-uri: http://a/: given twice"
        );
    }

    #[test]
    fn header_lines() {
        let read = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(USER_AGENT, HeaderValue::from_static("hostwarden"));
            read_headers(text.as_bytes(), &mut headers).map(|()| headers)
        };
        let headers = read("# token\n\nX-Token:  a:b \r\nx-token: c\nUser-Agent: me").unwrap();
        assert_eq!(headers.get_all("x-token").iter().collect::<Vec<_>>(), ["a:b", "c"]);
        assert_eq!(headers[USER_AGENT], "me");
        for (text, why) in [
            ("X-A: 1\nsecret", "line 2: no \"Name: value\""),
            ("a b: secret", "line 1: no header has such a name"),
            ("a: se\0cret", "line 1: no header has such a value"),
            ("Host: x", "line 1: host cannot be set"),
        ] {
            assert_eq!(read(text).unwrap_err(), why);
        }
    }
}
