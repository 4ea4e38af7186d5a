//! Addresses, sockets, and the accept loop.

use std::convert::Infallible;
use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use rustix::net::sockopt::{set_ipv6_v6only, set_socket_reuseaddr};
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, listen, socket_with};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::Site;
use crate::flags::{self, AnyFlag, Flag, Values};

static ADDRESSES: Flag<Vec<String>> = flags::list(
    "web.listen-address",
    "",
    "Address to listen on, as often as wanted; without one, 127.0.0.1:9158 while nobody needs a password, else :9158.",
);

pub static FLAGS: &[&dyn AnyFlag] = &[&ADDRESSES];

/// Nothing asks for a password: nobody else is let in.
const LOOPBACK: &str = "127.0.0.1:9158";
const EVERYWHERE: &str = ":9158";

/// How long a request's head may take to come, and a connection stay silent.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// How long running scrapes may take when the agent is told to stop.
const DRAIN: Duration = Duration::from_secs(10);
/// Without descriptors or memory for another connection, waiting helps and spinning does not.
const STARVED: Duration = Duration::from_millis(100);
const BACKLOG: i32 = 1024;

/// The addresses to listen on.
pub fn addresses(values: &Values, asks: bool) -> Result<Vec<Address>, String> {
    if values.is_given(ADDRESSES.name()) {
        values.get(&ADDRESSES).iter().map(|text| Address::parse(text)).collect()
    } else {
        Ok(vec![Address::parse(if asks { EVERYWHERE } else { LOOPBACK })?])
    }
}

/// Where to listen: `[host]:port`, where the host may be missing and the port may be a service's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    text: String,
    host: String,
    port: u16,
}

impl Address {
    /// The error reads as the original's does.
    fn parse(text: &str) -> Result<Self, String> {
        let fault = |what: String| format!("listen tcp {text}: {what}");
        let (host, port) = if text.is_empty() { ("", "0") } else { split(text).map_err(fault)? };
        let port = port_number(port).map_err(fault)?;
        Ok(Self { text: text.to_owned(), host: host.to_owned(), port })
    }

    async fn resolve(&self) -> Result<Vec<SocketAddr>, String> {
        let Self { host, port, .. } = self;
        match host.as_str() {
            "" | "0.0.0.0" | "::" => Ok(vec![
                (Ipv6Addr::UNSPECIFIED, *port).into(),
                (Ipv4Addr::UNSPECIFIED, *port).into(),
            ]),
            host => tokio::net::lookup_host((host, *port))
                .await
                .map(Iterator::collect)
                .map_err(|error| format!("lookup {host}: {error}")),
        }
    }
}

/// A bound socket.
pub struct Listener {
    tcp: TcpListener,
    address: SocketAddr,
}

impl Listener {
    /// Binds `address`; the error reads as the original's does.
    pub async fn bind(address: &Address) -> Result<Self, String> {
        let fault = |what: &dyn fmt::Display| format!("listen tcp {}: {what}", address.text);
        let targets = address.resolve().await.map_err(|what| fault(&what))?;
        let mut refused = String::from("no address");
        for target in targets {
            match open(target) {
                Ok(tcp) => {
                    let address = tcp.local_addr().map_err(|error| fault(&error))?;
                    return Ok(Self { tcp, address });
                }
                Err(error) => refused = format!("bind: {}", error_text(&error)),
            }
        }
        Err(fault(&refused))
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves connections until told to stop, then lets running requests end.
    pub async fn serve(self, site: Arc<Site>, mut stop: watch::Receiver<bool>) {
        let graceful = GracefulShutdown::new();
        loop {
            let accepted = tokio::select! {
                accepted = self.tcp.accept() => accepted,
                _ = stop.wait_for(|is_stopping| *is_stopping) => break,
            };
            match accepted {
                Ok((stream, peer)) => {
                    let site = Arc::clone(&site);
                    let connection = serve_connection(stream, peer.ip(), site, &graceful);
                    tokio::spawn(connection);
                }
                Err(error) if is_clients_fault(&error) => {}
                Err(error) => {
                    tracing::error!(err = %error, "accept");
                    tokio::time::sleep(STARVED).await;
                }
            }
        }
        drop(self.tcp);
        tokio::select! {
            () = graceful.shutdown() => {}
            () = tokio::time::sleep(DRAIN) => {}
        }
    }
}

fn serve_connection(
    stream: TcpStream,
    peer: IpAddr,
    site: Arc<Site>,
    graceful: &GracefulShutdown,
) -> impl Future<Output = ()> + use<> {
    // Small answers, and a client that waits for each: nothing to gain from Nagle's delay.
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request| {
        let site = Arc::clone(&site);
        async move { Ok::<_, Infallible>(site.answer(&request, Some(peer)).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .serve_connection(TokioIo::new(stream), service);
    let connection = graceful.watch(connection);
    async move {
        if let Err(error) = connection.await {
            tracing::debug!(err = %error, "connection");
        }
    }
}

fn split(address: &str) -> Result<(&str, &str), String> {
    let fault = |what: &str| Err(format!("address {address}: {what}"));
    if let Some(rest) = address.strip_prefix('[') {
        return match rest.split_once("]:") {
            Some(parts) => Ok(parts),
            None => fault("missing port in address"),
        };
    }
    match address.rsplit_once(':') {
        None => fault("missing port in address"),
        Some((host, _)) if host.contains(':') => fault("too many colons in address"),
        Some(parts) => Ok(parts),
    }
}

/// A number, or a name that /etc/services knows.
fn port_number(port: &str) -> Result<u16, String> {
    if port.is_empty() {
        return Ok(0);
    }
    port.parse().ok().or_else(|| crate::host::service_port(port)).ok_or_else(|| {
        if port.bytes().all(|byte| byte.is_ascii_digit()) {
            format!("address {port}: invalid port")
        } else {
            format!("lookup tcp/{port}: unknown port")
        }
    })
}

fn open(address: SocketAddr) -> io::Result<TcpListener> {
    let family = if address.is_ipv6() { AddressFamily::INET6 } else { AddressFamily::INET };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(family, SocketType::STREAM, flags, None)?;
    set_socket_reuseaddr(&socket, true)?;
    if address.is_ipv6() {
        // The wildcard serves both families, as the original's does.
        set_ipv6_v6only(&socket, !address.ip().is_unspecified())?;
    }
    bind(&socket, &address)?;
    listen(&socket, BACKLOG)?;
    TcpListener::from_std(socket.into())
}

fn is_clients_fault(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionReset | Interrupted)
}

fn error_text(error: &io::Error) -> String {
    match rustix::io::Errno::from_io_error(error) {
        Some(errno) => crate::collector::errno_text(errno),
        None => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_that_are_none_are_told_as_the_original_does() {
        let fault = |address| split(address).and_then(|(_, port)| port_number(port)).unwrap_err();
        assert_eq!(fault("localhost"), "address localhost: missing port in address");
        assert_eq!(fault("::1:9100"), "address ::1:9100: too many colons in address");
        assert_eq!(fault(":1x"), "lookup tcp/1x: unknown port");
        assert_eq!(split("[::1]:9100"), Ok(("::1", "9100")));
        assert_eq!(port_number("http"), Ok(80));
    }

    #[test]
    fn without_credentials_only_the_host_itself_is_served() {
        let mut values = Values::default();
        let texts = |values: &Values, asks| -> Vec<String> {
            addresses(values, asks).unwrap().into_iter().map(|address| address.text).collect()
        };
        assert_eq!(texts(&values, false), [LOOPBACK]);
        assert_eq!(texts(&values, true), [EVERYWHERE]);
        values.give("web.listen-address", ":7231");
        assert_eq!(texts(&values, false), [":7231"]);
        values.give("web.listen-address", "localhost");
        assert_eq!(
            addresses(&values, false).unwrap_err(),
            "listen tcp localhost: address localhost: missing port in address"
        );
    }
}
