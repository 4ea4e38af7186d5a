//! A dbus-daemon of the test's own, and services on it that answer as a test says.

use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::pin::Pin;
use std::process::Command;
use std::sync::Arc;
use std::thread;

use hostwarden::host::dbus::ObjectPath;
use zbus::connection::{Builder, Connection};
use zbus::export::futures_core::Stream;
use zbus::message::{Message, Type};
use zbus::{MessageStream, Variant};

use crate::agent::wait_for;
use crate::peers::Program;

/// What a service answers to a call; nothing at all is an answer that never comes.
pub(crate) type Service = Arc<dyn Fn(&Message) -> Option<Message> + Send + Sync>;

/// A dbus-daemon; its services end with it.
pub(crate) struct Daemon {
    _program: Program,
    pub(crate) address: String,
}

impl Daemon {
    pub(crate) fn start(directory: &Path) -> Self {
        let socket = directory.join("bus");
        let _ = std::fs::remove_file(&socket);
        let address = format!("unix:path={}", socket.display());
        let config = format!(
            "<busconfig><type>system</type><listen>{address}</listen>\
             <policy context=\"default\"><allow user=\"*\"/><allow own=\"*\"/>\
             <allow send_destination=\"*\"/><allow receive_sender=\"*\"/></policy></busconfig>"
        );
        let file = directory.join("bus.conf");
        std::fs::write(&file, config).unwrap();
        let mut daemon = Command::new("dbus-daemon");
        daemon.arg("--config-file").arg(file).args(["--nofork", "--nopidfile"]);
        let program = Program::start(&mut daemon);
        wait_for("the bus", || UnixStream::connect(&socket).is_ok());
        Self { _program: program, address }
    }

    /// Puts a service on the bus.
    pub(crate) fn serve(&self, name: &'static str, service: Service) {
        let (builder, ready) = (Builder::address(&*self.address), Arc::new(()));
        let started = Arc::downgrade(&ready);
        thread::spawn(move || {
            run(async {
                let connection = builder.build().await.unwrap();
                let calls = MessageStream::from(&connection);
                connection.request_name(name).await.unwrap();
                drop(ready);
                answer(connection, calls, service).await;
            });
        });
        wait_for(name, || started.strong_count() == 0);
    }
}

/// Serves every connection to a socket that is no bus, as systemd's own is.
pub(crate) fn serve_socket(path: &Path, service: Service) {
    let listener = UnixListener::bind(path).unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (stream, service) = (stream.unwrap(), Arc::clone(&service));
            thread::spawn(move || {
                run(async {
                    let guid = zbus::Guid::generate();
                    let builder = Builder::unix_stream(stream).server(guid).p2p();
                    let connection = builder.build().await.unwrap();
                    // Nothing has been read yet: that takes this thread.
                    let calls = MessageStream::from(&connection);
                    answer(connection, calls, service).await;
                });
            });
        }
    });
}

fn run(work: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.unwrap().block_on(work);
}

async fn answer(connection: Connection, mut calls: MessageStream, service: Service) {
    while let Some(Ok(call)) = std::future::poll_fn(|cx| Pin::new(&mut calls).poll_next(cx)).await {
        if call.message_type() == Type::MethodCall
            && let Some(answer) = service(&call)
        {
            // The client may have hung up.
            let _ = connection.send(&answer).await;
        }
    }
}

pub(crate) fn path(call: &Message) -> String {
    call.header().path().map(ToString::to_string).unwrap()
}

pub(crate) fn member(call: &Message) -> String {
    call.header().member().map(ToString::to_string).unwrap()
}

/// The name of the property that `Get` asks for, with its interface.
pub(crate) fn property(call: &Message) -> String {
    let body = call.body();
    let (interface, name): (&str, &str) = body.deserialize().unwrap();
    format!("{interface}.{name}")
}

pub(crate) fn returns<B: serde::Serialize + zbus::DynamicType>(
    call: &Message,
    body: &B,
) -> Message {
    Message::method_return(&call.header()).build(body).unwrap()
}

pub(crate) fn returns_variant(call: &Message, value: &Variant<'_>) -> Message {
    returns(call, value)
}

pub(crate) fn refuses(call: &Message) -> Message {
    let name = "org.freedesktop.DBus.Error.UnknownObject";
    Message::error(&call.header(), name).build(&"it went away").unwrap()
}

pub(crate) fn object(path: &str) -> ObjectPath<'_> {
    ObjectPath::try_from(path).unwrap()
}
