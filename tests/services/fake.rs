//! A server that answers what a test likes, and remembers what it was asked.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What comes back for a request.
pub(crate) enum Reply {
    /// These bytes, and the connection stays.
    Stay(Vec<u8>),
    /// These bytes, and the connection ends.
    End(Vec<u8>),
    /// These bytes, again and again for as long as somebody reads.
    Endless(Vec<u8>),
    /// These bytes one by one, with a pause between them.
    Trickle(Vec<u8>),
    Hang,
}

/// A page with its length told.
pub(crate) fn page(body: &str) -> Reply {
    Reply::Stay(response("200 OK", "", body))
}

/// A status without a page.
pub(crate) fn status(status: &str) -> Reply {
    Reply::Stay(response(status, "", ""))
}

pub(crate) fn redirect(location: &str) -> Reply {
    Reply::Stay(response("301 Moved Permanently", &format!("Location: {location}\r\n"), ""))
}

pub(crate) fn response(status: &str, headers: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {length}\r\n\r\n{body}").into_bytes()
}

/// Runs until the test's process ends.
#[derive(Clone)]
pub(crate) struct Fake {
    /// `host:port`, or the socket's path.
    pub(crate) address: String,
    heard: Arc<Heard>,
}

#[derive(Default)]
struct Heard {
    requests: Mutex<Vec<String>>,
    connections: AtomicUsize,
}

type Answer = dyn Fn(&str) -> Reply + Send + Sync;

impl Fake {
    /// `answer` gets a request's head.
    pub(crate) fn start(answer: impl Fn(&str) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        Self::serve(address, answer, move || listener.accept().unwrap().0)
    }

    pub(crate) fn on_socket(
        path: &Path,
        answer: impl Fn(&str) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let listener = UnixListener::bind(path).unwrap();
        let address = path.to_str().unwrap().to_owned();
        Self::serve(address, answer, move || listener.accept().unwrap().0)
    }

    fn serve<S: Read + Write + Send + 'static>(
        address: String,
        answer: impl Fn(&str) -> Reply + Send + Sync + 'static,
        accept: impl Fn() -> S + Send + 'static,
    ) -> Self {
        let heard = Arc::new(Heard::default());
        let ear = Arc::clone(&heard);
        let answer: Arc<Answer> = Arc::new(answer);
        std::thread::spawn(move || {
            loop {
                let stream = accept();
                ear.connections.fetch_add(1, Ordering::SeqCst);
                let (ear, answer) = (Arc::clone(&ear), Arc::clone(&answer));
                std::thread::spawn(move || talk(stream, &ear, &*answer));
            }
        });
        Self { address, heard }
    }

    /// The heads of all requests so far, in lower case.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.heard.requests.lock().unwrap().clone()
    }

    pub(crate) fn connections(&self) -> usize {
        self.heard.connections.load(Ordering::SeqCst)
    }
}

fn talk(stream: impl Read + Write, heard: &Heard, answer: &Answer) {
    let mut stream = BufReader::new(stream);
    loop {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if stream.read_line(&mut head).unwrap_or(0) == 0 {
                return;
            }
        }
        heard.requests.lock().unwrap().push(head.to_lowercase());
        let outcome = match answer(&head) {
            Reply::Stay(bytes) => stream.get_mut().write_all(&bytes),
            Reply::End(bytes) => {
                let _ = stream.get_mut().write_all(&bytes);
                return;
            }
            Reply::Endless(bytes) => {
                while stream.get_mut().write_all(&bytes).is_ok() {}
                return;
            }
            Reply::Trickle(bytes) => bytes.iter().try_for_each(|byte| {
                std::thread::sleep(Duration::from_millis(50));
                stream.get_mut().write_all(&[*byte])
            }),
            // Until the other side has had enough.
            Reply::Hang => std::io::copy(&mut stream, &mut std::io::sink()).map(drop),
        };
        if outcome.is_err() {
            return;
        }
    }
}
