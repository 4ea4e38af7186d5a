//! One HTTP request over TCP or a UNIX socket, for collectors, which wait for their answer.

use std::net::{SocketAddr, ToSocketAddrs as _};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::client::conn::http1;
use hyper::http::uri::{Authority, PathAndQuery};
use hyper::{Request, Uri, header};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout_at;

/// No status of a service is that long; an endless one must not fill the memory.
const BODY_MAX: usize = 16 << 20;

/// Where requests go, and what they begin with.
#[derive(Debug, Clone)]
pub struct Endpoint {
    socket: Socket,
    /// The `Host` header.
    host: String,
    path: PathAndQuery,
    /// The `Authorization` header, from a user name in the URL.
    authorization: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Socket {
    Tcp { host: String, port: u16 },
    Unix(PathBuf),
}

impl Endpoint {
    /// The endpoint that a URL names. What the URL says wrongly comes back as one line.
    pub fn parse(url: &str) -> Result<Self, String> {
        let uri: Uri = url.parse().map_err(|error| format!("{error}"))?;
        match uri.scheme_str() {
            Some("http") => {}
            Some(scheme) => return Err(format!("cannot speak {scheme}")),
            None => return Err("no http:// before it".into()),
        }
        let authority = uri.authority().ok_or("no host")?;
        let (user, _) = authority.as_str().rsplit_once('@').unwrap_or_default();
        let host = authority.host().trim_matches(['[', ']']).to_owned();
        let port = authority.port_u16().unwrap_or(80);
        let path = uri.path_and_query().cloned();
        Ok(Self {
            host: host_header(authority),
            socket: Socket::Tcp { host, port },
            path: path.unwrap_or(PathAndQuery::from_static("/")),
            authorization: (!user.is_empty()).then(|| basic(user)),
        })
    }

    /// A server that listens on a UNIX socket.
    pub fn unix(socket: impl Into<PathBuf>, host: &str, path: &'static str) -> Self {
        Self {
            socket: Socket::Unix(socket.into()),
            host: host.to_owned(),
            path: PathAndQuery::from_static(path),
            authorization: None,
        }
    }

    /// Sends `body` and returns what comes back with a status of success. The request ends at the
    /// deadline, wherever it is then; only the look-up of a host's name is the C library's to end.
    pub fn post(
        &self,
        content_type: &'static str,
        body: &'static [u8],
        deadline: Instant,
    ) -> Result<Bytes, String> {
        let request = Request::post(Uri::from(self.path.clone()))
            .header(header::HOST, &self.host)
            .header(header::CONTENT_TYPE, content_type)
            .header(header::CONNECTION, "close");
        let request = match &self.authorization {
            Some(authorization) => request.header(header::AUTHORIZATION, authorization),
            None => request,
        };
        let request = request.body(Full::from(body)).map_err(|error| error.to_string())?;
        let addresses = self.addresses()?;
        // A runtime for one request costs a few descriptors for its time; one that is kept would
        // have to be dropped by a thread that is in none.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| error.to_string())?;
        let exchange = async {
            match &self.socket {
                Socket::Unix(path) => exchange(UnixStream::connect(path).await, request).await,
                Socket::Tcp { .. } => exchange(connect(&addresses).await, request).await,
            }
        };
        let outcome = runtime.block_on(async { timeout_at(deadline.into(), exchange).await });
        outcome.unwrap_or_else(|_| Err("no answer in time".into()))
    }

    fn addresses(&self) -> Result<Vec<SocketAddr>, String> {
        match &self.socket {
            Socket::Unix(_) => Ok(Vec::new()),
            Socket::Tcp { host, port } => match (host.as_str(), *port).to_socket_addrs() {
                Ok(addresses) => Ok(addresses.collect()),
                Err(error) => Err(plain(&error)),
            },
        }
    }
}

/// Without user and password.
fn host_header(authority: &Authority) -> String {
    let authority = authority.as_str();
    authority.rsplit_once('@').map_or(authority, |(_, host)| host).to_owned()
}

fn basic(user: &str) -> String {
    let (name, password) = user.split_once(':').unwrap_or((user, ""));
    let mut plain = decode(name);
    plain.push(b':');
    plain.extend_from_slice(&decode(password));
    format!("Basic {}", BASE64_STANDARD.encode(plain))
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

/// Takes the first address that answers: `localhost` has one of each version, and a server often
/// listens on one of them alone.
async fn connect(addresses: &[SocketAddr]) -> std::io::Result<TcpStream> {
    let mut last = Err(std::io::Error::other("no address"));
    for address in addresses {
        last = TcpStream::connect(address).await;
        if last.is_ok() {
            break;
        }
    }
    last
}

async fn exchange<S>(
    stream: std::io::Result<S>,
    request: Request<Full<Bytes>>,
) -> Result<Bytes, String>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let stream = stream.map_err(|error| plain(&error))?;
    let handshake = http1::handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = handshake.map_err(|error| told(&error))?;
    // Ends with the runtime at the latest.
    tokio::spawn(connection);
    let response = sender.send_request(request).await.map_err(|error| told(&error))?;
    if !response.status().is_success() {
        return Err(response.status().to_string());
    }
    match Limited::new(response.into_body(), BODY_MAX).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err("answer too long".into()),
        Err(error) => Err(error.to_string()),
    }
}

/// hyper's errors name their kind; what happened stands in their source.
fn told(error: &hyper::Error) -> String {
    match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

fn plain(error: &std::io::Error) -> String {
    match rustix::io::Errno::from_io_error(error) {
        Some(errno) => crate::collector::errno_text(errno),
        None => error.to_string(),
    }
}

/// The deadline, or sooner if `timeout` from now ends before.
pub fn sooner(deadline: Instant, timeout: Duration) -> Instant {
    deadline.min(Instant::now() + timeout)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls() {
        let endpoint = Endpoint::parse("http://localhost:9001/RPC2?a=b").unwrap();
        assert_eq!(endpoint.socket, Socket::Tcp { host: "localhost".into(), port: 9001 });
        assert_eq!(
            (endpoint.host.as_str(), endpoint.path.as_str()),
            ("localhost:9001", "/RPC2?a=b")
        );
        assert_eq!(endpoint.authorization, None);
        let endpoint = Endpoint::parse("http://joe:a%3Ab@[::1]").unwrap();
        assert_eq!(endpoint.socket, Socket::Tcp { host: "::1".into(), port: 80 });
        assert_eq!((endpoint.host.as_str(), endpoint.path.as_str()), ("[::1]", "/"));
        // joe:a:b
        assert_eq!(endpoint.authorization.as_deref(), Some("Basic am9lOmE6Yg=="));
        for url in ["", "localhost:9001", "/RPC2", "ftp://host/", "https://host/", "http://"] {
            assert!(Endpoint::parse(url).is_err(), "{url}");
        }
    }

    #[test]
    fn escapes() {
        assert_eq!(decode("a%20b%zz%4"), b"a b%zz%4");
        assert_eq!(decode("%+1"), b"%+1");
    }
}
