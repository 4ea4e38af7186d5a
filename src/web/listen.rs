//! Sockets to listen on, the accept loop, and what all connections share.

mod address;

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::fs::{FileType, Mode};
use rustix::io::Errno;
use rustix::net::sockopt::{
    set_ipv6_v6only, set_socket_reuseaddr, set_tcp_nodelay, set_tcp_user_timeout,
    socket_acceptconn, socket_domain,
};
use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, acceptfrom_with, bind, connect,
    getsockname, listen, socket_with,
};
use tokio::io::unix::AsyncFd;
use tokio::sync::{Mutex, watch};

use super::Site;
use super::clock::Clock;
use super::connection::{self, Client, Visit};
use super::crowd::Crowd;
use super::limit::RateLimit;
use super::stream::Stream;
use crate::collector::errno_text;
use crate::flags::{self, AnyFlag, Flag, Values};
use crate::host::{socket, vsock};
pub use address::Address;

static ADDRESSES: Flag<Vec<String>> = flags::list(
    "web.listen-address",
    "",
    "Address to listen on, as often as wanted: host:port, unix:/path (with ,mode=0660), vsock://:port. Without one, 127.0.0.1:9158 while nobody needs a password, else :9158.",
);
static SYSTEMD_SOCKET: Flag<bool> = flags::switch(
    "web.systemd-socket",
    false,
    "Listen on the sockets that systemd hands over, and on no other address.",
);

pub static FLAGS: &[&dyn AnyFlag] = &[&ADDRESSES, &SYSTEMD_SOCKET];

/// Nothing asks for a password: nobody else is let in.
const LOOPBACK: &str = "127.0.0.1:9158";
const EVERYWHERE: &str = ":9158";

/// How long running scrapes may take when the agent is told to stop.
const DRAIN: Duration = Duration::from_secs(10);
/// Without descriptors or memory for another connection, waiting helps and spinning does not.
const STARVED: Duration = Duration::from_millis(100);
/// How long a peer may be gone before the kernel gives up what it still has for it.
const GONE: Duration = Duration::from_secs(30);
const BACKLOG: i32 = 1024;

const NEW_SOCKET: SocketFlags = SocketFlags::CLOEXEC.union(SocketFlags::NONBLOCK);

/// Where the agent is to listen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Listening {
    On(Vec<Address>),
    /// On what systemd hands over.
    Inherited,
}

impl Listening {
    /// `asks` is whether a password is needed.
    pub fn from_flags(values: &Values, asks: bool) -> Result<Self, String> {
        if values.get(&SYSTEMD_SOCKET) {
            return Ok(Self::Inherited);
        }
        let texts = if values.is_given(ADDRESSES.name()) {
            values.get(&ADDRESSES)
        } else {
            vec![if asks { EVERYWHERE } else { LOOPBACK }.to_owned()]
        };
        texts.iter().map(|text| Address::parse(text)).collect::<Result<_, _>>().map(Self::On)
    }

    /// Opens all of them, or none.
    pub async fn open(&self) -> Result<Vec<Listener>, String> {
        match self {
            Self::On(addresses) => {
                let mut listeners = Vec::new();
                for address in addresses {
                    listeners.push(Listener::bind(address).await?);
                }
                Ok(listeners)
            }
            Self::Inherited => {
                let sockets = socket::inherited().map_err(|error| error.to_string())?;
                if sockets.is_empty() {
                    return Err("no socket activation file descriptors found".to_owned());
                }
                tracing::info!(
                    "Listening on systemd activated listeners instead of port listeners."
                );
                sockets.into_iter().map(Listener::inherit).collect()
            }
        }
    }
}

/// A bound socket.
#[derive(Debug)]
pub struct Listener {
    socket: AsyncFd<OwnedFd>,
    name: String,
    is_tcp: bool,
    _file: Option<SocketFile>,
}

impl Listener {
    async fn bind(address: &Address) -> Result<Self, String> {
        match address {
            Address::Tcp { text, host, port } => {
                bind_tcp(host, *port).await.map_err(|what| format!("listen tcp {text}: {what}"))
            }
            Address::Unix { path, mode } => bind_unix(path, *mode)
                .map_err(|errno| format!("listen unix:{}: {}", path.display(), bind_text(errno))),
            Address::Vsock { port } => bind_vsock(*port)
                .map_err(|errno| format!("listen vsock://:{port}: {}", bind_text(errno))),
        }
    }

    fn inherit(socket: OwnedFd) -> Result<Self, String> {
        let name = name(&socket);
        let fault = |errno| format!("inherited socket {name}: {}", errno_text(errno));
        if !socket_acceptconn(&socket).map_err(fault)? {
            return Err(format!("inherited socket {name} does not listen"));
        }
        rustix::io::ioctl_fionbio(&socket, true).map_err(fault)?;
        Self::new(socket, name).map_err(|error| error.to_string())
    }

    fn new(socket: OwnedFd, name: String) -> io::Result<Self> {
        let is_tcp = matches!(socket_domain(&socket)?, AddressFamily::INET | AddressFamily::INET6);
        Ok(Self { socket: socket::watch(socket)?, name, is_tcp, _file: None })
    }

    /// The address as a log shows it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Serves connections until told to stop. Returns why it cannot go on, if so.
    pub async fn serve(self, server: Arc<Server>) -> Result<(), String> {
        loop {
            let accepted = tokio::select! {
                accepted = self.accept() => accepted,
                () = server.told_to_stop() => return Ok(()),
            };
            match accepted {
                Ok((socket, peer)) => server.take_in(socket, peer, self.is_tcp),
                Err(errno) => match Fault::of(errno) {
                    Fault::Clients => {}
                    Fault::Starved => {
                        if server.complaints.allow(Instant::now()) {
                            let err = errno_text(errno);
                            tracing::error!(address = self.name, err, "accept");
                        }
                        server.crowd.shrink();
                        tokio::time::sleep(STARVED).await;
                    }
                    Fault::Ours => {
                        return Err(format!("accept {}: {}", self.name, errno_text(errno)));
                    }
                },
            }
        }
    }

    async fn accept(&self) -> Result<(OwnedFd, Option<SocketAddr>), Errno> {
        loop {
            let mut ready = self.socket.readable().await.map_err(|_| Errno::IO)?;
            match acceptfrom_with(self.socket.get_ref(), NEW_SOCKET) {
                Ok((socket, peer)) => {
                    let address = peer.and_then(|peer| SocketAddr::try_from(peer).ok());
                    return Ok((socket, address.map(canonical)));
                }
                Err(Errno::AGAIN) => ready.clear_ready(),
                Err(errno) => return Err(errno),
            }
        }
    }
}

/// On a socket for both families, IPv4 comes as `::ffff:192.0.2.1`, which nobody looks for in a log.
fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// Whose fault it is that accept failed.
#[derive(Debug, PartialEq, Eq)]
enum Fault {
    /// It left, or the way to it is broken: accept(2) tells the error of the new socket's network.
    Clients,
    /// Nothing left to make a connection from.
    Starved,
    /// The listener is of no use any more.
    Ours,
}

impl Fault {
    fn of(errno: Errno) -> Self {
        match errno {
            Errno::CONNABORTED
            | Errno::INTR
            | Errno::PROTO
            | Errno::PERM
            | Errno::NETDOWN
            | Errno::NETUNREACH
            | Errno::HOSTDOWN
            | Errno::HOSTUNREACH
            | Errno::NONET
            | Errno::NOPROTOOPT
            | Errno::OPNOTSUPP
            | Errno::TIMEDOUT => Self::Clients,
            Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM => Self::Starved,
            _ => Self::Ours,
        }
    }
}

/// What all connections share.
pub struct Server {
    pub(super) site: Arc<Site>,
    /// Keeps clients from filling the log.
    pub(super) complaints: RateLimit,
    /// Whose turn it is to have a TLS handshake answered.
    pub(super) handshakes: Mutex<()>,
    crowd: Arc<Crowd>,
    stop: watch::Sender<bool>,
}

impl Server {
    pub fn new(site: Arc<Site>) -> Arc<Self> {
        Arc::new(Self {
            site,
            complaints: RateLimit::new(Duration::from_secs(10), 5),
            handshakes: Mutex::new(()),
            crowd: Crowd::new(),
            stop: watch::Sender::new(false),
        })
    }

    /// No connection is taken in any more; those there are may end what they are about.
    pub async fn drain(&self) {
        self.stop.send_replace(true);
        let _ = tokio::time::timeout(DRAIN, self.crowd.all_gone()).await;
    }

    pub(super) async fn told_to_stop(&self) {
        // The sender is ours: there is no end to wait for but this.
        let _ = self.stop.subscribe().wait_for(|is_stopping| *is_stopping).await;
    }

    fn take_in(self: &Arc<Self>, socket: OwnedFd, address: Option<SocketAddr>, is_tcp: bool) {
        let client = Arc::new(Client { address, clock: Clock::new() });
        let source = client.source();
        let counted = source.filter(|_| !self.site.door().proxies().trust(source));
        let Some(seat) = self.crowd.enter(counted, &client.clock) else {
            return tracing::debug!(client = %client, "no room");
        };
        if is_tcp {
            // Small answers, and a client that waits for each: nothing to gain from Nagle's delay.
            let _ = set_tcp_nodelay(&socket, true);
            let _ = set_tcp_user_timeout(&socket, GONE.as_millis().try_into().unwrap_or(u32::MAX));
        }
        let Ok(stream) = Stream::new(socket, Arc::clone(&client.clock)) else { return };
        let visit = Visit { client: Arc::clone(&client), server: Arc::clone(self) };
        tokio::spawn(async move {
            tokio::select! {
                () = connection::serve(stream, visit) => {}
                () = client.clock.overdue() => tracing::debug!(client = %client, "took too long"),
                () = seat.lost() => tracing::debug!(client = %client, "made room for another"),
            }
        });
    }
}

async fn bind_tcp(host: &str, port: u16) -> Result<Listener, String> {
    let mut refused = String::from("no address");
    for target in address::resolve(host, port).await? {
        match open_tcp(target) {
            Ok(socket) => {
                let name = name(&socket);
                return Listener::new(socket, name).map_err(|error| error.to_string());
            }
            Err(errno) => refused = bind_text(errno),
        }
    }
    Err(refused)
}

fn open_tcp(address: SocketAddr) -> Result<OwnedFd, Errno> {
    let family = if address.is_ipv6() { AddressFamily::INET6 } else { AddressFamily::INET };
    let socket = socket_with(family, SocketType::STREAM, NEW_SOCKET, None)?;
    set_socket_reuseaddr(&socket, true)?;
    if address.is_ipv6() {
        // The wildcard serves both families, as the original's does.
        set_ipv6_v6only(&socket, !address.ip().is_unspecified())?;
    }
    bind(&socket, &address)?;
    listen(&socket, BACKLOG)?;
    Ok(socket)
}

/// A socket that nobody listens on any more gives way.
fn bind_unix(path: &Path, mode: u32) -> Result<Listener, Errno> {
    let address = SocketAddrUnix::new(path)?;
    let new = || socket_with(AddressFamily::UNIX, SocketType::STREAM, NEW_SOCKET, None);
    let is_socket = |stat: rustix::fs::Stat| FileType::from_raw_mode(stat.st_mode).is_socket();
    if rustix::fs::lstat(path).is_ok_and(is_socket)
        && connect(&new()?, &address) == Err(Errno::CONNREFUSED)
    {
        rustix::fs::unlink(path)?;
    }
    let socket = new()?;
    let mode = Mode::from_raw_mode(mode);
    // Before bind, so that the file is at no time open to more; after it, because umask takes away.
    rustix::fs::fchmod(&socket, mode)?;
    bind(&socket, &address)?;
    let file = SocketFile::new(path.to_owned());
    rustix::fs::chmod(path, mode)?;
    listen(&socket, BACKLOG)?;
    let listener = Listener::new(socket, format!("unix:{}", path.display()));
    let listener = listener.map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
    Ok(Listener { _file: Some(file), ..listener })
}

fn bind_vsock(port: u32) -> Result<Listener, Errno> {
    let (socket, guest) = vsock::bind(port)?;
    listen(&socket, BACKLOG)?;
    Listener::new(socket, format!("vm({guest}):{port}"))
        .map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))
}

fn bind_text(errno: Errno) -> String {
    format!("bind: {}", errno_text(errno))
}

/// `[::]:9158`, `unix:/path`, or what else the kernel says.
fn name(socket: &OwnedFd) -> String {
    let Ok(address) = getsockname(socket) else { return "unknown".to_owned() };
    if let Ok(address) = SocketAddr::try_from(address.clone()) {
        return address.to_string();
    }
    match SocketAddrUnix::try_from(address) {
        Ok(address) => {
            let path = address.path_bytes().unwrap_or_default();
            format!("unix:{}", String::from_utf8_lossy(path))
        }
        Err(_) => "vsock".to_owned(),
    }
}

/// The file of a Unix socket, which goes with it, unless another agent has put its own there.
#[derive(Debug)]
struct SocketFile {
    path: PathBuf,
    inode: Option<(u64, u64)>,
}

impl SocketFile {
    fn new(path: PathBuf) -> Self {
        let inode = inode(&path);
        Self { path, inode }
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if self.inode.is_some() && inode(&self.path) == self.inode {
            let _ = rustix::fs::unlink(&self.path);
        }
    }
}

fn inode(path: &Path) -> Option<(u64, u64)> {
    rustix::fs::lstat(path).ok().map(|stat| (stat.st_dev, stat.st_ino))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_credentials_only_the_host_itself_is_served() {
        let mut values = Values::default();
        let on = |text| Ok(Listening::On(vec![Address::parse(text).unwrap()]));
        assert_eq!(Listening::from_flags(&values, false), on(LOOPBACK));
        assert_eq!(Listening::from_flags(&values, true), on(EVERYWHERE));
        values.give("web.listen-address", ":7231");
        assert_eq!(Listening::from_flags(&values, false), on(":7231"));
        values.give("web.listen-address", "localhost");
        assert!(Listening::from_flags(&values, false).is_err());
        values.give("web.systemd-socket", "true");
        assert_eq!(Listening::from_flags(&values, false), Ok(Listening::Inherited));
    }

    #[test]
    fn accept_errors_by_errno() {
        for (errno, fault) in [
            (Errno::CONNABORTED, Fault::Clients),
            (Errno::HOSTUNREACH, Fault::Clients),
            (Errno::MFILE, Fault::Starved),
            (Errno::NOMEM, Fault::Starved),
            (Errno::BADF, Fault::Ours),
            (Errno::INVAL, Fault::Ours),
        ] {
            assert_eq!(Fault::of(errno), fault);
        }
    }
}
