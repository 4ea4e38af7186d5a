//! systemd's own socket. There is no bus behind it, and systemd calls itself by its name on the bus
//! where a message's sender stands. D-Bus wants a unique name there, as `:1.7`, and zbus gives up
//! on anything else; so it is given one.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::Path;

use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use zbus::connection::socket::{BoxedSplit, ReadHalf, Split, WriteHalf};
use zbus::export::async_trait::async_trait;

/// Connects; the handshake is still to come.
pub(super) async fn connect(path: &Path) -> io::Result<BoxedSplit> {
    let (read, write) = UnixStream::connect(path).await?.into_split();
    let reader = Reader { socket: read, bytes: Vec::new(), ready: 0, is_greeted: false };
    Ok(Split::new(Box::new(reader), Box::new(Writer(write))))
}

#[derive(Debug)]
struct Writer(OwnedWriteHalf);

#[async_trait]
impl WriteHalf for Writer {
    async fn sendmsg(&mut self, bytes: &[u8], _: &[BorrowedFd<'_>]) -> io::Result<usize> {
        loop {
            self.0.writable().await?;
            match self.0.try_write(bytes) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                outcome => return outcome,
            }
        }
    }

    async fn close(&mut self) -> io::Result<()> {
        // It closes when it is dropped.
        Ok(())
    }
}

/// Reads ahead and hands on what is whole.
#[derive(Debug)]
struct Reader {
    socket: OwnedReadHalf,
    bytes: Vec<u8>,
    /// How many of them may be handed on.
    ready: usize,
    /// Whether the server's only line of the handshake has passed; messages follow.
    is_greeted: bool,
}

#[async_trait]
impl ReadHalf for Reader {
    async fn recvmsg(&mut self, out: &mut [u8]) -> io::Result<(usize, Vec<OwnedFd>)> {
        while self.ready == 0 {
            if !self.settle() && self.read().await? == 0 {
                return Ok((0, Vec::new()));
            }
        }
        let count = self.ready.min(out.len());
        out[..count].copy_from_slice(&self.bytes[..count]);
        self.bytes.drain(..count);
        self.ready -= count;
        Ok((count, Vec::new()))
    }
}

impl Reader {
    async fn read(&mut self) -> io::Result<usize> {
        const PIECE: usize = 16 * 1024;

        let length = self.bytes.len();
        self.bytes.resize(length + PIECE, 0);
        let outcome = loop {
            self.socket.readable().await?;
            match self.socket.try_read(&mut self.bytes[length..]) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                outcome => break outcome,
            }
        };
        self.bytes.truncate(length + outcome.as_ref().copied().unwrap_or(0));
        outcome
    }

    /// Looks for the end of the line or message that the bytes begin with.
    fn settle(&mut self) -> bool {
        if self.is_greeted {
            self.ready =
                message_length(&self.bytes).filter(|it| *it <= self.bytes.len()).unwrap_or(0);
            name_sender(&mut self.bytes[..self.ready]);
        } else {
            self.ready = memchr::memchr(b'\n', &self.bytes).map_or(0, |end| end + 1);
            self.is_greeted = self.ready > 0;
        }
        self.ready > 0
    }
}

/// What stands before the fields of a header: byte order, type, flags, version, the lengths of the
/// body, a serial number, and the length of the fields.
const FIXED: usize = 16;

fn number_at(message: &[u8], at: usize) -> Option<usize> {
    let bytes = *message.get(at..)?.first_chunk()?;
    let number = match message.first()? {
        b'B' => u32::from_be_bytes(bytes),
        _ => u32::from_le_bytes(bytes),
    };
    usize::try_from(number).ok()
}

/// How long the message is that these bytes begin with, once they tell.
fn message_length(bytes: &[u8]) -> Option<usize> {
    let (body, fields) = (number_at(bytes, 4)?, number_at(bytes, 12)?);
    (FIXED + fields).next_multiple_of(8).checked_add(body)
}

/// Puts a unique name in place of any other in the field of the sender.
fn name_sender(message: &mut [u8]) {
    /// The field's number and its type: a string, whose length follows.
    const SENDER: &[u8] = &[7, 1, b's', 0];
    const UNIQUE: &[u8] = b":1.";

    let fields = number_at(message, 12).unwrap_or(0);
    // Every field begins at a multiple of 8, and no text in one holds a 7 or a 0.
    for at in (FIXED..FIXED.saturating_add(fields).min(message.len())).step_by(8) {
        if !message[at..].starts_with(SENDER) {
            continue;
        }
        let Some(length) = number_at(message, at + 4) else { return };
        let name = message.get_mut(at + 8..).and_then(|rest| rest.get_mut(..length));
        if let Some(name) = name
            && !name.starts_with(b":")
            && name.len() > UNIQUE.len()
        {
            name.fill(b'0');
            name[..UNIQUE.len()].copy_from_slice(UNIQUE);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use zbus::message::Message;

    /// A message as systemd writes it: `from` in place of a unique name of the same length.
    fn message(from: &str) -> Vec<u8> {
        let unique = format!(":1.{}", "7".repeat(from.len() - 3));
        let message = Message::method_call("/org/freedesktop/systemd1", "Get")
            .sender(unique.as_str())
            .interface("org.freedesktop.DBus.Properties")
            .build(&(7u8, "org.freedesktop.systemd1"))
            .unwrap();
        let mut bytes = message.data().to_vec();
        let at = memchr::memmem::find(&bytes, unique.as_bytes()).unwrap();
        bytes[at..at + from.len()].copy_from_slice(from.as_bytes());
        bytes
    }

    #[test]
    fn a_sender_gets_a_unique_name_and_nothing_else_changes() {
        let name = "org.freedesktop.systemd1";
        let before = message(name);
        let mut after = before.clone();
        name_sender(&mut after);
        let at = memchr::memmem::find(&before, name.as_bytes()).unwrap();
        assert_eq!(&after[at..at + name.len()], b":1.000000000000000000000");
        assert_eq!(
            (&after[..at], &after[at + name.len()..]),
            (&before[..at], &before[at + name.len()..])
        );
        let before = message(":1.99");
        let mut after = before.clone();
        name_sender(&mut after);
        assert_eq!(before, after);
    }

    #[test]
    fn lengths_are_known_when_the_fixed_part_is_there() {
        let message = message("org.freedesktop.systemd1");
        assert_eq!(message_length(&message), Some(message.len()));
        assert_eq!(message_length(&message[..FIXED]), Some(message.len()));
        assert_eq!(message_length(&message[..FIXED - 1]), None);
        assert_eq!(message_length(&[b'B', 1, 0, 1, 0, 0, 0, 3, 0, 0, 0, 1, 0, 0, 0, 5]), Some(27));
    }

    #[test]
    fn whatever_the_bytes_nothing_breaks() {
        let whole = message("org.freedesktop.systemd1");
        for at in 0..whole.len() {
            for byte in [0, 7, 0x7f, 0xff] {
                let mut damaged = whole.clone();
                damaged[at] = byte;
                name_sender(&mut damaged);
                name_sender(&mut damaged[..at]);
                let _ = message_length(&damaged[..at]);
            }
        }
    }
}
