//! Calls over D-Bus: to the system bus, or to systemd's own socket.
//!
//! Async begins and ends here. A [`Bus`] has a runtime of its own, on the thread that calls, which
//! runs only while a call waits. Whatever goes wrong closes the connection, so that a late reply
//! cannot be taken for another call's; the next call opens another.

mod private;

use std::borrow::Cow;
use std::fmt::Display;
use std::io;
use std::num::NonZeroU32;
use std::path::Path;
use std::pin::Pin;
use std::time::Instant;

use rustix::io::Errno;
use serde::Deserialize;
use tokio::runtime::Runtime;
use tokio::time::timeout_at;
use zbus::connection::{Builder, Connection};
use zbus::export::futures_core::Stream;
use zbus::message::{Body, Message, Type as MessageType};
use zbus::{MessageStream, Variant};

use crate::collector::{Error, Result, errno_text};

pub use zbus::ObjectPath;

/// Where systemd listens for root alone, bus or no bus.
const PRIVATE: &str = "/run/systemd/private";

/// Calls that wait for their replies at once. A dbus-daemon refuses more than 128 of one client.
const IN_FLIGHT: usize = 64;

/// Which ways a [`Bus`] may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// The system bus: `DBUS_SYSTEM_BUS_ADDRESS`, or the socket that all systems have it on.
    System,
    /// systemd's own socket.
    Private,
    /// The system bus, and for root systemd's own socket where there is none.
    Either,
}

/// A way to one service, and the connection while there is one.
#[derive(Debug)]
pub struct Bus {
    service: &'static str,
    way: Way,
    open: Option<Open>,
}

impl Bus {
    pub const fn new(service: &'static str, way: Way) -> Self {
        Self { service, way, open: None }
    }

    /// Makes one call. A bus that was left open may have been restarted since: then it is made
    /// again.
    pub fn call(&mut self, call: &Call<'_>, deadline: Instant) -> Result<Answer> {
        let was_open = self.open.is_some();
        match self.call_once(call, deadline) {
            Err(_) if was_open => self.call_once(call, deadline),
            outcome => outcome,
        }
    }

    /// Makes a call that is worth nothing when it is refused.
    pub fn reply(&mut self, call: &Call<'_>, deadline: Instant) -> Result<Reply> {
        self.call(call, deadline)?.map_err(|refusal| {
            let asked = call.property.map_or(call.method, |(_, property)| property);
            Error::failed(format!("{asked}: {refusal}"))
        })
    }

    fn call_once(&mut self, call: &Call<'_>, deadline: Instant) -> Result<Answer> {
        let mut answer = None;
        self.call_all([call.clone()], deadline, |_, only| {
            answer = Some(only);
            Ok(())
        })?;
        answer.ok_or_else(|| Error::failed("D-Bus: no answer"))
    }

    /// Makes all calls, many at a time. `each` is given every answer as it comes, with the place
    /// of its call; an error of its ends the calls.
    pub fn call_all<'c>(
        &mut self,
        calls: impl IntoIterator<Item = Call<'c>>,
        deadline: Instant,
        each: impl FnMut(usize, Answer) -> Result<()>,
    ) -> Result<()> {
        let open = match self.open.take() {
            Some(open) => open,
            None => Open::new(self.way, deadline)?,
        };
        let calls = calls.into_iter();
        open.run(deadline, exchange(&open.connection, self.service, calls, each))?;
        self.open = Some(open);
        Ok(())
    }

    /// To be called when a scrape is done. systemd tells every change to whoever holds its own
    /// socket open, asked or not, and would have to keep what nobody reads until the next scrape.
    pub fn rest(&mut self) {
        self.open.take_if(|open| open.is_private);
    }
}

/// An open connection and what drives it.
#[derive(Debug)]
struct Open {
    connection: Connection,
    is_private: bool,
    /// Taken only when dropped.
    runtime: Option<Runtime>,
}

impl Open {
    fn new(way: Way, deadline: Instant) -> Result<Self> {
        let system = match way {
            Way::Private => return Self::connect(true, deadline),
            Way::System | Way::Either => Self::connect(false, deadline),
        };
        match system {
            Err(error) if way == Way::Either && rustix::process::geteuid().is_root() => {
                Self::connect(true, deadline)
                    .map_err(|private| Error::failed(format!("{error}; {private}")))
            }
            outcome => outcome,
        }
    }

    fn connect(is_private: bool, deadline: Instant) -> Result<Self> {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_io().enable_time().build().map_err(failed)?;
        let connecting = async {
            if !is_private {
                return Builder::system().build().await.map_err(|error| unconnected(&error));
            }
            let socket = private::connect(Path::new(PRIVATE)).await;
            let socket = socket.map_err(|error| unreachable_at(PRIVATE, &error))?;
            Builder::socket(socket).p2p().build().await.map_err(failed)
        };
        let connection = runtime
            .block_on(async { timeout_at(deadline.into(), connecting).await })
            .unwrap_or_else(|_| Err(late()))?;
        Ok(Self { connection, is_private, runtime: Some(runtime) })
    }

    fn run(&self, deadline: Instant, work: impl Future<Output = Result<()>>) -> Result<()> {
        let Some(runtime) = &self.runtime else { unreachable!("there until it is dropped") };
        runtime
            .block_on(async { timeout_at(deadline.into(), work).await })
            .unwrap_or_else(|_| Err(late()))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        // A runtime may not simply be dropped on an async thread, where an agent ends.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

fn failed(error: impl Display) -> Error {
    Error::failed(format!("D-Bus: {error}"))
}

fn unconnected(error: &zbus::Error) -> Error {
    match error {
        zbus::Error::Connection(why, address) => unreachable_at(address, why),
        error => failed(error),
    }
}

/// `D-Bus: /run/systemd/private: no such file or directory`
fn unreachable_at(address: impl Display, error: &io::Error) -> Error {
    match Errno::from_io_error(error) {
        Some(errno) => failed(format_args!("{address}: {}", errno_text(errno))),
        None => failed(format_args!("{address}: {error}")),
    }
}

fn late() -> Error {
    Error::failed("D-Bus: no answer in time")
}

/// One call of a method.
#[derive(Debug, Clone)]
pub struct Call<'a> {
    path: Cow<'a, str>,
    interface: &'a str,
    method: &'a str,
    /// The interface and name of a property that is asked for.
    property: Option<(&'a str, &'a str)>,
}

impl<'a> Call<'a> {
    /// A method without arguments.
    pub fn method(path: &'a str, interface: &'a str, method: &'a str) -> Self {
        Self { path: path.into(), interface, method, property: None }
    }

    /// A property's value.
    pub fn property(path: impl Into<Cow<'a, str>>, interface: &'a str, name: &'a str) -> Self {
        let property = Some((interface, name));
        let path = path.into();
        Self { path, interface: "org.freedesktop.DBus.Properties", method: "Get", property }
    }

    fn message(&self, service: &str) -> zbus::Result<Message> {
        let message = Message::method_call(&*self.path, self.method)
            .interface(self.interface)
            .destination(service);
        match &self.property {
            Some(property) => message.build(property),
            None => message.build(&()),
        }
    }
}

/// What came back: a reply, or the service's refusal in words.
pub type Answer = Result<Reply, String>;

/// What a call returned.
#[derive(Debug)]
pub struct Reply(Body);

impl Reply {
    /// All of it, as the type that the method is known to return.
    pub fn read<'r, T: Deserialize<'r> + zbus::Type>(&'r self) -> Result<T> {
        self.0.deserialize().map_err(failed)
    }

    /// A property's value, if it is of that type.
    pub fn property<T: for<'v> TryFrom<Variant<'v>>>(&self) -> Option<T> {
        T::try_from(self.0.deserialize::<Variant<'_>>().ok()?).ok()
    }
}

async fn exchange<'c>(
    connection: &Connection,
    service: &str,
    mut calls: impl Iterator<Item = Call<'c>>,
    mut each: impl FnMut(usize, Answer) -> Result<()>,
) -> Result<()> {
    let mut replies = MessageStream::from(connection);
    let mut waiting: Vec<(NonZeroU32, usize)> = Vec::with_capacity(IN_FLIGHT);
    let mut requests = Vec::with_capacity(IN_FLIGHT);
    let mut count = 0;
    loop {
        if waiting.len() <= IN_FLIGHT / 2 {
            requests.clear();
            for call in calls.by_ref().take(IN_FLIGHT - waiting.len()) {
                let request = call.message(service).map_err(failed)?;
                waiting.push((request.primary_header().serial_num(), count));
                requests.push(request);
                count += 1;
            }
            connection.send_all(&requests).await.map_err(failed)?;
        }
        if waiting.is_empty() {
            return Ok(());
        }
        let message = std::future::poll_fn(|cx| Pin::new(&mut replies).poll_next(cx)).await;
        let message = message.ok_or_else(|| failed("the connection was closed"))?;
        let message = message.map_err(failed)?;
        let serial = message.header().reply_serial();
        let Some(at) = waiting.iter().position(|(asked, _)| Some(*asked) == serial) else {
            continue;
        };
        let (_, place) = waiting.swap_remove(at);
        each(place, answer(message))?;
    }
}

fn answer(message: Message) -> Answer {
    match message.message_type() {
        MessageType::Error => Err(zbus::Error::from(message).to_string()),
        _ => Ok(Reply(message.body())),
    }
}
