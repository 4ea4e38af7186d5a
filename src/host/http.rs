//! HTTP for collectors, which wait for their answers: a client that asks several servers at once,
//! over TCP, TLS or UNIX sockets, and keeps its connections.

mod connection;
mod endpoint;

use std::error::Error as _;
use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use bytes::Bytes;
use hyper::header::{CONNECTION, CONTENT_TYPE, HeaderMap, HeaderValue, LOCATION};
use hyper::{Method, Response, StatusCode};
use rustls::ClientConfig;
use tokio::runtime::Runtime;
use tokio::time::timeout_at;

use connection::{Connection, Failed};
pub use endpoint::{Endpoint, decode, shown};

/// Redirections that are followed for one answer.
const REDIRECTIONS_MAX: usize = 5;

/// Threads that wait for the C library to look up a name. It cannot be told to stop: look-ups
/// that hang hold no more than these.
const LOOKUPS_MAX: usize = 2;

/// What all servers are asked. It changes nothing there, so that it may be asked again when a
/// connection turns out to be closed.
#[derive(Debug, Clone)]
pub struct Ask {
    pub method: Method,
    pub headers: HeaderMap,
    pub body: Bytes,
    /// An endless answer must not fill the memory.
    pub answer_max: usize,
    /// Whether to follow redirections within the same server.
    pub follows: bool,
}

impl Ask {
    /// Asks a server that is called seldom and need not keep a connection for us.
    pub fn post(content_type: &'static str, body: &'static [u8]) -> Self {
        const ANSWER_MAX: usize = 16 << 20;
        let headers = [(CONTENT_TYPE, content_type), (CONNECTION, "close")];
        let headers = headers.map(|(name, value)| (name, HeaderValue::from_static(value)));
        Self {
            method: Method::POST,
            headers: headers.into_iter().collect(),
            body: Bytes::from_static(body),
            answer_max: ANSWER_MAX,
            follows: false,
        }
    }

    /// Asks for a page at every scrape.
    pub fn get(headers: HeaderMap, answer_max: usize) -> Self {
        Self { method: Method::GET, headers, body: Bytes::new(), answer_max, follows: true }
    }
}

/// A server and the connection that is kept to it.
pub struct Line {
    endpoint: Endpoint,
    kept: Option<Connection>,
}

/// Asks servers and waits for their answers.
pub struct Client {
    tls: Option<Arc<ClientConfig>>,
    /// Made by the first request.
    runtime: Option<Runtime>,
}

impl Client {
    /// A client that can speak TLS if it is told how.
    pub fn new(tls: Option<Arc<ClientConfig>>) -> Self {
        Self { tls, runtime: None }
    }

    /// Asks all servers at once. Whatever is not answered at the deadline is given up.
    pub fn ask_all<'a>(
        &mut self,
        lines: impl Iterator<Item = &'a mut Line>,
        ask: &Ask,
        deadline: Instant,
    ) -> io::Result<Vec<Result<Response<Bytes>, Fault>>> {
        let Self { tls, runtime } = self;
        let answers = lines.map(|line| line.ask_until(deadline, ask, tls.as_ref()));
        Ok(made(runtime)?.block_on(async { all(answers).await }))
    }

    /// Asks one server.
    pub fn ask(
        &mut self,
        line: &mut Line,
        ask: &Ask,
        deadline: Instant,
    ) -> Result<Response<Bytes>, Fault> {
        let Self { tls, runtime } = self;
        let runtime = made(runtime).map_err(Fault::Connect)?;
        runtime.block_on(line.ask_until(deadline, ask, tls.as_ref()))
    }
}

impl Drop for Client {
    /// A runtime that waits for its look-ups may not be dropped by an async thread, and collectors
    /// end with the agent's.
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

fn made(runtime: &mut Option<Runtime>) -> io::Result<&Runtime> {
    Ok(match runtime {
        Some(runtime) => runtime,
        None => {
            let mut builder = tokio::runtime::Builder::new_current_thread();
            builder.enable_io().enable_time().max_blocking_threads(LOOKUPS_MAX);
            runtime.insert(builder.build()?)
        }
    })
}

/// Polls all until each has come to its end.
async fn all<F: Future>(futures: impl Iterator<Item = F>) -> Vec<F::Output> {
    enum Running<F: Future> {
        Yes(Pin<Box<F>>),
        No(F::Output),
    }
    let mut running: Vec<Running<F>> =
        futures.map(|future| Running::Yes(Box::pin(future))).collect();
    std::future::poll_fn(|context| {
        let mut is_done = true;
        for one in &mut running {
            if let Running::Yes(future) = one {
                match future.as_mut().poll(context) {
                    Poll::Ready(output) => *one = Running::No(output),
                    Poll::Pending => is_done = false,
                }
            }
        }
        if is_done { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    let outputs = running.into_iter().filter_map(|one| match one {
        Running::Yes(_) => None,
        Running::No(output) => Some(output),
    });
    outputs.collect()
}

impl Line {
    pub fn new(endpoint: Endpoint) -> Self {
        Self { endpoint, kept: None }
    }

    /// Lets the connection go.
    pub fn hang_up(&mut self) {
        self.kept = None;
    }

    async fn ask_until(
        &mut self,
        deadline: Instant,
        ask: &Ask,
        tls: Option<&Arc<ClientConfig>>,
    ) -> Result<Response<Bytes>, Fault> {
        let answer = timeout_at(deadline.into(), self.ask(ask, tls)).await;
        answer.unwrap_or(Err(Fault::Timeout))
    }

    async fn ask(
        &mut self,
        ask: &Ask,
        tls: Option<&Arc<ClientConfig>>,
    ) -> Result<Response<Bytes>, Fault> {
        let Self { endpoint, kept } = self;
        let mut redirected = None;
        let mut followed = 0;
        loop {
            let here = redirected.as_ref().unwrap_or(endpoint);
            let response = exchange(kept, here, ask, tls).await?;
            let status = response.status();
            let location = response.headers().get(LOCATION);
            match location.filter(|_| ask.follows && status.is_redirection()) {
                None if status.is_success() => return Ok(response),
                None => return Err(Fault::Status(status)),
                Some(location) => redirected = endpoint.redirected(location),
            }
            if redirected.is_none() || followed == REDIRECTIONS_MAX {
                return Err(Fault::Redirection(status));
            }
            followed += 1;
        }
    }
}

/// Asks over the kept connection. A server may have closed it at any time: what it leaves
/// unanswered is asked again over a new one.
async fn exchange(
    kept: &mut Option<Connection>,
    endpoint: &Endpoint,
    ask: &Ask,
    tls: Option<&Arc<ClientConfig>>,
) -> Result<Response<Bytes>, Fault> {
    if let Some(connection) = kept.take() {
        match connection.exchange(endpoint, ask).await {
            Ok((response, connection)) => {
                *kept = connection;
                return Ok(response);
            }
            Err(Failed::Unanswered(_)) => {}
            Err(Failed::Midway(fault)) => return Err(fault),
        }
    }
    let connection = Connection::open(endpoint, tls).await?;
    let (response, connection) = connection.exchange(endpoint, ask).await?;
    *kept = connection;
    Ok(response)
}

/// Why a server's answer is of no use, or there is none.
#[derive(Debug)]
pub enum Fault {
    Lookup(io::Error),
    Connect(io::Error),
    /// The client was not told how to speak TLS.
    NoTls,
    Tls(String),
    /// What came is no HTTP, or ends too early.
    Broken(String),
    TooLong,
    Status(StatusCode),
    /// To another server, or in a circle.
    Redirection(StatusCode),
    Timeout,
}

impl Fault {
    /// hyper's errors name their kind; what happened stands in their source.
    fn broken(error: &hyper::Error) -> Self {
        Self::Broken(match error.source() {
            Some(source) => format!("{error}: {source}"),
            None => error.to_string(),
        })
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lookup(error) => write!(f, "name not found: {error}"),
            Self::Connect(error) => match rustix::io::Errno::from_io_error(error) {
                Some(errno) => f.write_str(&crate::collector::errno_text(errno)),
                None => error.fmt(f),
            },
            Self::NoTls => f.write_str("cannot speak https"),
            Self::Tls(why) => write!(f, "TLS: {why}"),
            Self::Broken(why) => f.write_str(why),
            Self::TooLong => f.write_str("answer too long"),
            Self::Status(status) => status.fmt(f),
            Self::Redirection(status) => write!(f, "{status}, to another server or in a circle"),
            Self::Timeout => f.write_str("no answer in time"),
        }
    }
}

/// The deadline, or sooner if `timeout` from now ends before.
pub fn sooner(deadline: Instant, timeout: Duration) -> Instant {
    deadline.min(Instant::now() + timeout)
}
