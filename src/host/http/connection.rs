//! One connection to a server, which lives from request to request as long as both sides like.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{AUTHORIZATION, HOST};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;

use super::endpoint::{Endpoint, Socket};
use super::{Ask, Fault};

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

pub(super) struct Connection {
    sender: SendRequest<Full<Bytes>>,
    /// Moves the bytes while it is polled, which is while an answer is awaited: no task is left
    /// behind when an answer is given up.
    wire: Wire,
}

type Wire = http1::Connection<TokioIo<Box<dyn Stream>>, Full<Bytes>>;

/// Why there is no answer.
pub(super) enum Failed {
    /// No part of one came.
    Unanswered(Fault),
    Midway(Fault),
}

impl From<Failed> for Fault {
    fn from(failed: Failed) -> Self {
        match failed {
            Failed::Unanswered(fault) | Failed::Midway(fault) => fault,
        }
    }
}

impl Connection {
    pub(super) async fn open(
        endpoint: &Endpoint,
        tls: Option<&Arc<ClientConfig>>,
    ) -> Result<Self, Fault> {
        let stream: Box<dyn Stream> = match &endpoint.socket {
            Socket::Unix(path) => {
                Box::new(UnixStream::connect(path).await.map_err(Fault::Connect)?)
            }
            Socket::Tcp { host, port, is_tls: false } => Box::new(connect(host, *port).await?),
            Socket::Tcp { host, port, is_tls: true } => {
                let config = tls.ok_or(Fault::NoTls)?;
                let name = ServerName::try_from(host.clone())
                    .map_err(|error| Fault::Tls(error.to_string()))?;
                let stream = connect(host, *port).await?;
                let stream = TlsConnector::from(Arc::clone(config)).connect(name, stream).await;
                Box::new(stream.map_err(|error| Fault::Tls(error.to_string()))?)
            }
        };
        let (sender, wire) =
            http1::handshake(TokioIo::new(stream)).await.map_err(|error| Fault::broken(&error))?;
        Ok(Self { sender, wire })
    }

    /// Sends the request and returns what came back, and the connection if it may be used again.
    pub(super) async fn exchange(
        self,
        endpoint: &Endpoint,
        ask: &Ask,
    ) -> Result<(Response<Bytes>, Option<Self>), Failed> {
        let Self { mut sender, mut wire } = self;
        let response = {
            let mut answer = pin!(answer(&mut sender, request(endpoint, ask), ask.answer_max));
            tokio::select! {
                biased;
                outcome = &mut answer => outcome?,
                _ = &mut wire => {
                    // What still waits inside it hears by its drop that nothing comes.
                    drop(wire);
                    return Ok((answer.await?, None));
                }
            }
        };
        let is_ready = tokio::select! {
            biased;
            outcome = sender.ready() => outcome.is_ok(),
            _ = &mut wire => false,
        };
        Ok((response, is_ready.then_some(Self { sender, wire })))
    }
}

async fn answer(
    sender: &mut SendRequest<Full<Bytes>>,
    request: Request<Full<Bytes>>,
    length_max: usize,
) -> Result<Response<Bytes>, Failed> {
    let response = sender.send_request(request).await;
    let response = response.map_err(|error| Failed::Unanswered(Fault::broken(&error)))?;
    let (head, body) = response.into_parts();
    let body = Limited::new(body, length_max).collect().await;
    let body = body.map_err(|error| match error.downcast_ref::<hyper::Error>() {
        _ if error.is::<LengthLimitError>() => Failed::Midway(Fault::TooLong),
        Some(error) => Failed::Midway(Fault::broken(error)),
        None => Failed::Midway(Fault::Broken(error.to_string())),
    })?;
    Ok(Response::from_parts(head, body.to_bytes()))
}

fn request(endpoint: &Endpoint, ask: &Ask) -> Request<Full<Bytes>> {
    let mut request = Request::new(Full::new(ask.body.clone()));
    *request.method_mut() = ask.method.clone();
    *request.uri_mut() = endpoint.path.clone().into();
    let headers = request.headers_mut();
    headers.clone_from(&ask.headers);
    if let Some(authorization) = &endpoint.authorization {
        headers.insert(AUTHORIZATION, authorization.clone());
    }
    headers.insert(HOST, endpoint.host.clone());
    request
}

/// Takes the first address that answers: `localhost` has one of each version, and a server often
/// listens on one of them alone.
async fn connect(host: &str, port: u16) -> Result<TcpStream, Fault> {
    let mut refused = io::Error::other("no address");
    for address in addresses(host, port).await.map_err(Fault::Lookup)? {
        match TcpStream::connect(address).await {
            Ok(stream) => {
                // Requests are small and wait for their answers.
                let _ = stream.set_nodelay(true);
                return Ok(stream);
            }
            Err(error) => refused = error,
        }
    }
    Err(Fault::Connect(refused))
}

async fn addresses(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    // RFC 6761, 6.3: known without asking, which would cost a thread for each new connection.
    if host.eq_ignore_ascii_case("localhost") {
        return Ok(vec![(Ipv6Addr::LOCALHOST, port).into(), (Ipv4Addr::LOCALHOST, port).into()]);
    }
    tokio::net::lookup_host((host, port)).await.map(Iterator::collect)
}
