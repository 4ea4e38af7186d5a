//! One connection, from accept to end: TLS where the door has it, then the protocol that was agreed on.

use std::convert::Infallible;
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::graceful::GracefulConnection;
use rustls::server::Acceptor;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::server::TlsStream;

use super::clock::{Begun, Clock};
use super::listen::Server;
use super::stream::Stream;
use super::tls;

/// Longest head of a request; what is longer is answered 431.
const HEAD_MAX: usize = 64 * 1024;

/// Requests that an HTTP/2 connection may have under way: Prometheus has one.
const STREAMS_MAX: u32 = 16;

/// In the original's words, status line included.
const PLAIN_TO_TLS: &[u8] =
    b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n";

/// Whose connection it is.
#[derive(Debug)]
pub(super) struct Client {
    /// `None` for what has no address, such as a Unix socket.
    pub(super) address: Option<SocketAddr>,
    pub(super) clock: Arc<Clock>,
}

impl Client {
    pub(super) fn source(&self) -> Option<IpAddr> {
        self.address.map(|address| address.ip())
    }
}

impl fmt::Display for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.address {
            Some(address) => address.fmt(f),
            None => f.write_str("local"),
        }
    }
}

/// Serves the connection until it ends by itself.
pub(super) async fn serve(stream: Stream, visit: Visit) {
    let client = Arc::clone(&visit.client);
    if let Err(error) = serve_as_agreed(stream, visit).await {
        tracing::debug!(client = %client, err = %error, "connection");
    }
}

async fn serve_as_agreed(stream: Stream, visit: Visit) -> Result<(), hyper::Error> {
    if visit.server.site.door().rules().tls.is_none() {
        return serve_http1(stream, visit).await;
    }
    let Some(stream) = shake_hands(stream, &visit).await else { return Ok(()) };
    if stream.get_ref().1.alpn_protocol() == Some(b"h2") {
        visit.client.clock.speak_http2();
        serve_http2(stream, visit).await
    } else {
        serve_http1(stream, visit).await
    }
}

/// `None` where the client did not mean TLS, or not ours.
async fn shake_hands(stream: Stream, visit: &Visit) -> Option<TlsStream<Stream>> {
    // A TLS record begins with a byte below 32, a request with its method.
    if stream.peek().await.ok()?.is_some_and(|first| first.is_ascii_alphabetic()) {
        stream.part_with(PLAIN_TO_TLS);
        complain(visit, &"client sent an HTTP request to an HTTPS server");
        return None;
    }
    // Not before the client begins: certificates may be renewed while it is silent.
    visit.server.site.renew().await;
    let handshake = async {
        let hello = LazyConfigAcceptor::new(Acceptor::default(), stream).await?;
        let config = visit.server.site.door().rules().tls.clone();
        let config = config.ok_or(io::ErrorKind::ConnectionAborted)?;
        // The answer takes a signature, up to a millisecond of this thread. Of a flood of clients one has
        // its turn between the others' work, who would have to wait for all of them else.
        let turn = visit.server.handshakes.lock().await;
        let answered = hello.into_stream(config);
        tokio::task::yield_now().await;
        drop(turn);
        answered.await
    };
    match handshake.await {
        Ok(stream) => Some(stream),
        Err(error) => {
            match error.get_ref().and_then(|inner| inner.downcast_ref()) {
                Some(fault) => complain(visit, &tls::describe(fault)),
                // Hung up: no fault of anybody's certificate or settings.
                None => tracing::debug!(client = %visit.client, err = %error, "TLS handshake"),
            }
            None
        }
    }
}

fn complain(visit: &Visit, fault: &dyn fmt::Display) {
    if visit.server.complaints.allow(Instant::now()) {
        tracing::warn!(client = %visit.client, err = %fault, "TLS handshake failed");
    }
}

async fn serve_http1<S>(stream: S, visit: Visit) -> Result<(), hyper::Error>
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
{
    let server = Arc::clone(&visit.server);
    let service = service_fn(move |request| visit.clone().answer(request));
    let connection = http1::Builder::new()
        .max_buf_size(HEAD_MAX)
        .serve_connection(TokioIo::new(stream), service);
    until_told_to_stop(connection, &server).await
}

async fn serve_http2<S>(stream: S, visit: Visit) -> Result<(), hyper::Error>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let server = Arc::clone(&visit.server);
    let service = service_fn(move |request| visit.clone().answer(request));
    let connection = http2::Builder::new(TokioExecutor::new())
        .max_concurrent_streams(STREAMS_MAX)
        .serve_connection(TokioIo::new(stream), service);
    until_told_to_stop(connection, &server).await
}

/// When told to stop, requests under way are answered, and no others.
async fn until_told_to_stop<C: GracefulConnection>(
    connection: C,
    server: &Server,
) -> Result<(), C::Error> {
    let mut connection = pin!(connection);
    tokio::select! {
        outcome = connection.as_mut() => return outcome,
        () = server.told_to_stop() => {}
    }
    connection.as_mut().graceful_shutdown();
    connection.await
}

/// What a request needs to be answered.
#[derive(Clone)]
pub(super) struct Visit {
    pub(super) client: Arc<Client>,
    pub(super) server: Arc<Server>,
}

impl Visit {
    async fn answer(self, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
        let begun = self.client.clock.begin();
        let answer = self.server.site.answer(&request, &self.client).await;
        Ok(answer.map(|body| Full::new(Bytes::from_owner(Sent { body, _begun: begun }))))
    }
}

/// A body that ends its request when it has been handed over.
struct Sent {
    body: Bytes,
    _begun: Begun,
}

impl AsRef<[u8]> for Sent {
    fn as_ref(&self) -> &[u8] {
        &self.body
    }
}
