//! What `--web.listen-address` may say.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;

/// Where to listen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// `[host]:port`, where the host may be missing and the port may be a service's name.
    Tcp { text: String, host: String, port: u16 },
    /// `unix:/path`, and what the socket's mode is to be: `unix:/path,mode=0666`.
    Unix { path: PathBuf, mode: u32 },
    /// `vsock://:port`: for the host of this guest.
    Vsock { port: u32 },
}

/// Owner and group: a proxy gets into the group.
const USUAL_MODE: u32 = 0o660;

impl Address {
    /// Errors of TCP read as the original's do.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        if let Some(rest) = text.strip_prefix("unix:") {
            return unix(rest).map_err(|what| format!("listen {text}: {what}"));
        }
        if let Some(rest) = text.strip_prefix("vsock://") {
            return vsock(rest).map_err(|what| format!("listen {text}: {what}"));
        }
        let fault = |what: String| format!("listen tcp {text}: {what}");
        let (host, port) = if text.is_empty() { ("", "0") } else { split(text).map_err(fault)? };
        let port = port_number(port).map_err(fault)?;
        Ok(Self::Tcp { text: text.to_owned(), host: host.to_owned(), port })
    }
}

/// The addresses of a host, in the order in which they are tried.
pub(super) async fn resolve(host: &str, port: u16) -> Result<Vec<SocketAddr>, String> {
    match host {
        // One socket for both families; IPv4 alone where there is no IPv6.
        "" | "0.0.0.0" | "::" => {
            Ok(vec![(Ipv6Addr::UNSPECIFIED, port).into(), (Ipv4Addr::UNSPECIFIED, port).into()])
        }
        host => tokio::net::lookup_host((host, port))
            .await
            .map(Iterator::collect)
            .map_err(|error| format!("lookup {host}: {error}")),
    }
}

fn unix(rest: &str) -> Result<Address, String> {
    let (path, mode) = match rest.split_once(",mode=") {
        Some((path, mode)) => {
            let bits = u32::from_str_radix(mode, 8).ok().filter(|bits| *bits <= 0o777);
            (path, bits.ok_or_else(|| format!("{mode:?} is no mode such as 0660"))?)
        }
        None => (rest, USUAL_MODE),
    };
    if !path.starts_with('/') {
        return Err(format!("{path:?} does not begin with a slash"));
    }
    Ok(Address::Unix { path: path.into(), mode })
}

/// What stands before the colon is ignored, as by the original: a guest has but one address.
fn vsock(rest: &str) -> Result<Address, String> {
    let (_, port) = split(rest)?;
    let port = port.parse().map_err(|_| format!("address {rest}: invalid port"))?;
    Ok(Address::Vsock { port })
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

#[cfg(test)]
mod tests {
    use super::*;

    fn tcp(text: &str, host: &str, port: u16) -> Address {
        Address::Tcp { text: text.to_owned(), host: host.to_owned(), port }
    }

    fn unix(path: &str, mode: u32) -> Address {
        Address::Unix { path: path.into(), mode }
    }

    #[test]
    fn addresses() {
        for (text, address) in [
            (":9100", tcp(":9100", "", 9100)),
            ("", tcp("", "", 0)),
            ("127.0.0.1:http", tcp("127.0.0.1:http", "127.0.0.1", 80)),
            ("localhost:", tcp("localhost:", "localhost", 0)),
            ("[::1]:9100", tcp("[::1]:9100", "::1", 9100)),
            ("unix:/run/hostwarden.sock", unix("/run/hostwarden.sock", 0o660)),
            ("unix:/a b,c,mode=0666", unix("/a b,c", 0o666)),
            ("vsock://:9100", Address::Vsock { port: 9100 }),
            ("vsock://vm(3):70000", Address::Vsock { port: 70000 }),
        ] {
            assert_eq!(Address::parse(text), Ok(address), "{text}");
        }
    }

    #[test]
    fn what_is_none_is_told_as_the_original_does() {
        for (text, fault) in [
            ("localhost", "listen tcp localhost: address localhost: missing port in address"),
            ("[::1]", "listen tcp [::1]: address [::1]: missing port in address"),
            ("::1:9100", "listen tcp ::1:9100: address ::1:9100: too many colons in address"),
            (":1x", "listen tcp :1x: lookup tcp/1x: unknown port"),
            (":70000", "listen tcp :70000: address 70000: invalid port"),
            ("vsock://9100", "listen vsock://9100: address 9100: missing port in address"),
            ("vsock://:x", "listen vsock://:x: address :x: invalid port"),
            ("unix:run", "listen unix:run: \"run\" does not begin with a slash"),
            ("unix:/r,mode=888", "listen unix:/r,mode=888: \"888\" is no mode such as 0660"),
            ("unix:/r,mode=1777", "listen unix:/r,mode=1777: \"1777\" is no mode such as 0660"),
        ] {
            assert_eq!(Address::parse(text).unwrap_err(), fault);
        }
    }
}
