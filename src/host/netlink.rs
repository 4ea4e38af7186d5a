//! Dumps over netlink sockets, and the messages and attributes that they consist of.
//!
//! A [`Netlink`] keeps its socket and its buffers: a dump after the first allocates nothing, and the
//! kernel remembers how much the reader takes at once. Whatever goes wrong closes the socket, so that
//! the rest of a half-read answer cannot be taken for the next one.

pub mod generic;
pub mod links;

use std::os::fd::OwnedFd;
use std::time::Instant;

use rustix::io::Errno;
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{
    AddressFamily, Protocol, RecvFlags, SendFlags, SocketFlags, SocketType, bind, recv, send,
    socket_with,
};

pub use rustix::net::netlink::{GENERIC, INET_DIAG};

/// `NETLINK_ROUTE`, which is 0 and so no [`Protocol`].
pub const ROUTE: Option<Protocol> = None;

/// The largest piece of a dump that the kernel hands out where it has no reason for a larger one.
const PIECE: usize = 32 * 1024;

/// A single message larger than this is none that any kernel sends.
const PIECE_MAX: usize = 4 * 1024 * 1024;

/// How often a dump is begun that the kernel says was disturbed by a change; the last one counts.
const ATTEMPTS: usize = 3;

const HEADER: usize = 16;
const ATTRIBUTE_HEADER: usize = 4;

const NLMSG_NOOP: u16 = 1;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const NLMSG_OVERRUN: u16 = 4;

const NLM_F_REQUEST: u16 = 0x1;
const NLM_F_DUMP_INTR: u16 = 0x10;
const NLM_F_DUMP: u16 = 0x300;

/// `NLA_F_NESTED` and `NLA_F_NET_BYTEORDER` share the field with the attribute's type.
const NLA_TYPE_MASK: u16 = 0x3fff;

/// One kind of netlink socket, opened when first needed.
#[derive(Debug)]
pub struct Netlink {
    protocol: Option<Protocol>,
    socket: Option<OwnedFd>,
    sequence: u32,
    request: Vec<u8>,
    piece: Vec<u8>,
}

impl Netlink {
    pub const fn new(protocol: Option<Protocol>) -> Self {
        Self { protocol, socket: None, sequence: 0, request: Vec::new(), piece: Vec::new() }
    }

    /// Asks for everything that `kind` lists. `each` is given every message of the answer, and
    /// `None` before the first: what it has from an earlier attempt does not count.
    pub fn dump(
        &mut self,
        kind: u16,
        body: &[u8],
        deadline: Instant,
        mut each: impl FnMut(Option<Message<'_>>) -> Result<(), Errno>,
    ) -> Result<(), Errno> {
        let mut outcome = Answer::Whole;
        for _ in 0..ATTEMPTS {
            each(None)?;
            outcome = self.ask(kind, body, deadline, |message| each(Some(message)))?;
            if outcome == Answer::Whole {
                break;
            }
        }
        // What changes faster than it can be listed is told as it was seen.
        if outcome == Answer::Cut { Err(Errno::MSGSIZE) } else { Ok(()) }
    }

    fn ask(
        &mut self,
        kind: u16,
        body: &[u8],
        deadline: Instant,
        each: impl FnMut(Message<'_>) -> Result<(), Errno>,
    ) -> Result<Answer, Errno> {
        let socket = match self.socket.take() {
            Some(socket) => socket,
            None => open(self.protocol, 0)?,
        };
        self.sequence = self.sequence.wrapping_add(1);
        self.write_request(kind, body);
        let timeout =
            deadline.checked_duration_since(Instant::now()).filter(|left| !left.is_zero());
        set_socket_timeout(&socket, Timeout::Recv, Some(timeout.ok_or(Errno::TIMEDOUT)?))?;
        send(&socket, &self.request, SendFlags::empty())?;
        let answer = self.receive(&socket, deadline, each)?;
        if answer != Answer::Cut {
            self.socket = Some(socket);
        }
        Ok(answer)
    }

    fn write_request(&mut self, kind: u16, body: &[u8]) {
        let length = u32::try_from(HEADER + body.len()).unwrap_or(u32::MAX);
        self.request.clear();
        self.request.extend_from_slice(&length.to_ne_bytes());
        self.request.extend_from_slice(&kind.to_ne_bytes());
        self.request.extend_from_slice(&(NLM_F_REQUEST | NLM_F_DUMP).to_ne_bytes());
        self.request.extend_from_slice(&self.sequence.to_ne_bytes());
        self.request.extend_from_slice(&0u32.to_ne_bytes());
        self.request.extend_from_slice(body);
    }

    /// Reads until the answer's last message.
    fn receive(
        &mut self,
        socket: &OwnedFd,
        deadline: Instant,
        mut each: impl FnMut(Message<'_>) -> Result<(), Errno>,
    ) -> Result<Answer, Errno> {
        let mut answer = Answer::Whole;
        if self.piece.is_empty() {
            self.piece.resize(PIECE, 0);
        }
        loop {
            let (length, sent) = match recv(socket, &mut self.piece[..], RecvFlags::TRUNC) {
                Ok(received) => received,
                Err(Errno::INTR) => continue,
                Err(Errno::AGAIN) => return Err(Errno::TIMEDOUT),
                Err(errno) => return Err(errno),
            };
            if Instant::now() > deadline {
                return Err(Errno::TIMEDOUT);
            }
            // The last message says that it is over, so a cut piece may have held it: with the
            // buffer that it needs, the request is made again on a new socket.
            if sent > length {
                if sent > PIECE_MAX {
                    return Err(Errno::MSGSIZE);
                }
                self.piece.resize(sent.next_power_of_two(), 0);
                return Ok(Answer::Cut);
            }
            for message in Messages(&self.piece[..length]) {
                if message.sequence != self.sequence {
                    continue;
                }
                if message.flags & NLM_F_DUMP_INTR != 0 {
                    answer = Answer::Disturbed;
                }
                match message.kind {
                    NLMSG_NOOP => {}
                    NLMSG_OVERRUN => return Err(Errno::OVERFLOW),
                    NLMSG_ERROR | NLMSG_DONE => {
                        // Both begin with an errno, negative, or 0 for none.
                        let code = message.body.u32_at(0).map_or(0, u32::cast_signed);
                        return if code < 0 {
                            Err(Errno::from_raw_os_error(code.saturating_neg()))
                        } else {
                            Ok(answer)
                        };
                    }
                    _ => each(message)?,
                }
            }
        }
    }
}

/// What became of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    Whole,
    /// What was listed changed meanwhile: something may be missing or listed twice.
    Disturbed,
    /// The buffer was too small and is larger now.
    Cut,
}

/// A socket that the kernel tells changes to, unasked.
#[derive(Debug)]
pub struct Monitor {
    socket: OwnedFd,
    piece: Vec<u8>,
}

impl Monitor {
    /// `groups` as in the old bit mask: `RTMGRP_LINK` is 1.
    pub fn open(protocol: Option<Protocol>, groups: u32) -> Result<Self, Errno> {
        Ok(Self { socket: open(protocol, groups)?, piece: Vec::new() })
    }

    /// Hands out what has been told since the last call, without waiting. An error means that
    /// something was lost.
    pub fn drain(&mut self, mut each: impl FnMut(Message<'_>)) -> Result<(), Errno> {
        /// More than fit into a socket's buffer: somebody changes links faster than we read.
        const PIECES_MAX: usize = 10_000;
        /// A notice of a link takes some 1,500 bytes.
        const NOTICE_MAX: usize = 8 * 1024;

        self.piece.resize(NOTICE_MAX, 0);
        let mut is_whole = true;
        for _ in 0..PIECES_MAX {
            let flags = RecvFlags::TRUNC | RecvFlags::DONTWAIT;
            match recv(&self.socket, &mut self.piece[..], flags) {
                Ok((length, sent)) => {
                    is_whole &= sent <= length;
                    Messages(&self.piece[..length]).for_each(&mut each);
                }
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) if is_whole => return Ok(()),
                Err(Errno::AGAIN) => return Err(Errno::MSGSIZE),
                // The buffer overflowed; what comes after is read none the less.
                Err(Errno::NOBUFS) => is_whole = false,
                Err(errno) => return Err(errno),
            }
        }
        Err(Errno::OVERFLOW)
    }
}

fn open(protocol: Option<Protocol>, groups: u32) -> Result<OwnedFd, Errno> {
    let flags = SocketFlags::CLOEXEC;
    let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, protocol)?;
    // Port 0 lets the kernel choose. Only the kernel and root can send to a port; a message that
    // bears another sequence number than the request is passed over.
    bind(&socket, &SocketAddrNetlink::new(0, groups))?;
    Ok(socket)
}

/// One message, without its header.
#[derive(Debug, Clone, Copy)]
pub struct Message<'a> {
    pub kind: u16,
    flags: u16,
    sequence: u32,
    pub body: Payload<'a>,
}

impl<'a> Message<'a> {
    /// The attributes after a fixed structure of `size` bytes.
    pub fn attributes(&self, size: usize) -> Attributes<'a> {
        Attributes(self.body.0.get(aligned(size)..).unwrap_or_default())
    }
}

/// The messages in one piece of an answer.
struct Messages<'a>(&'a [u8]);

impl<'a> Iterator for Messages<'a> {
    type Item = Message<'a>;

    fn next(&mut self) -> Option<Message<'a>> {
        let header = Payload(self.0);
        let length = header.u32_at(0)? as usize;
        let body = self.0.get(HEADER..length)?;
        let message = Message {
            kind: header.u16_at(4)?,
            flags: header.u16_at(6)?,
            sequence: header.u32_at(8)?,
            body: Payload(body),
        };
        self.0 = self.0.get(aligned(length)..).unwrap_or_default();
        Some(message)
    }
}

/// The attributes of a message or of another attribute; one that does not fit ends them.
#[derive(Debug, Clone, Copy)]
pub struct Attributes<'a>(&'a [u8]);

impl<'a> Iterator for Attributes<'a> {
    type Item = (u16, Payload<'a>);

    fn next(&mut self) -> Option<(u16, Payload<'a>)> {
        let header = Payload(self.0);
        let length = usize::from(header.u16_at(0)?);
        let kind = header.u16_at(2)? & NLA_TYPE_MASK;
        let payload = self.0.get(ATTRIBUTE_HEADER..length)?;
        self.0 = self.0.get(aligned(length)..).unwrap_or_default();
        Some((kind, Payload(payload)))
    }
}

/// Bytes that the kernel wrote in the host's byte order; a number that does not fit is none.
#[derive(Debug, Clone, Copy)]
pub struct Payload<'a>(pub &'a [u8]);

impl<'a> Payload<'a> {
    pub fn u8_at(self, offset: usize) -> Option<u8> {
        self.0.get(offset).copied()
    }

    pub fn u16_at(self, offset: usize) -> Option<u16> {
        self.bytes_at(offset).map(u16::from_ne_bytes)
    }

    pub fn u32_at(self, offset: usize) -> Option<u32> {
        self.bytes_at(offset).map(u32::from_ne_bytes)
    }

    pub fn u64_at(self, offset: usize) -> Option<u64> {
        self.bytes_at(offset).map(u64::from_ne_bytes)
    }

    pub fn u8(self) -> Option<u8> {
        self.u8_at(0)
    }

    pub fn u32(self) -> Option<u32> {
        self.u32_at(0)
    }

    /// A string, up to its NUL.
    pub fn text(self) -> &'a [u8] {
        let end = memchr::memchr(0, self.0).unwrap_or(self.0.len());
        &self.0[..end]
    }

    pub fn attributes(self) -> Attributes<'a> {
        Attributes(self.0)
    }

    fn bytes_at<const N: usize>(self, offset: usize) -> Option<[u8; N]> {
        self.0.get(offset..)?.first_chunk().copied()
    }
}

/// Writes an attribute into a request.
pub fn push_attribute(request: &mut Vec<u8>, kind: u16, payload: &[u8]) {
    let length = u16::try_from(ATTRIBUTE_HEADER + payload.len()).unwrap_or(u16::MAX);
    request.extend_from_slice(&length.to_ne_bytes());
    request.extend_from_slice(&kind.to_ne_bytes());
    request.extend_from_slice(payload);
    request.resize(aligned(request.len()), 0);
}

/// Messages and attributes begin at multiples of 4.
const fn aligned(length: usize) -> usize {
    length.next_multiple_of(4)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn attributes(bytes: &[u8]) -> Vec<(u16, Vec<u8>)> {
        Attributes(bytes).map(|(kind, value)| (kind, value.0.to_vec())).collect()
    }

    #[test]
    fn attributes_are_found_between_their_padding() {
        let mut bytes = Vec::new();
        push_attribute(&mut bytes, 3, b"eth0\0");
        push_attribute(&mut bytes, 0x8000 | 18, &7u32.to_ne_bytes());
        assert_eq!(bytes.len(), 12 + 8);
        let expected = vec![(3, b"eth0\0".to_vec()), (18, 7u32.to_ne_bytes().to_vec())];
        assert_eq!(attributes(&bytes), expected);
        // The last one needs no padding; one that is cut off is none.
        assert_eq!(attributes(&bytes[..9])[0], expected[0]);
        assert_eq!(attributes(&bytes[..8]), []);
    }

    #[test]
    fn numbers_that_do_not_fit_are_none() {
        let payload = Payload(&[1, 0, 0, 0, 2, 0, 0]);
        assert_eq!((payload.u8(), payload.u32()), (Some(1), Some(1u32.to_le())));
        assert_eq!((payload.u32_at(4), payload.u32_at(9), payload.u64_at(0)), (None, None, None));
        assert_eq!(Payload(b"veth\0\0").text(), b"veth");
        assert_eq!(Payload(b"veth").text(), b"veth");
    }

    #[test]
    fn whatever_the_bytes_the_walk_ends() {
        let mut state = 1u64;
        for length in 0..400 {
            let bytes: Vec<u8> = (0..length)
                .map(|_| {
                    state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    // Small bytes make lengths that fit more often than not.
                    (state >> 33).to_le_bytes()[0] & 0x2f
                })
                .collect();
            assert!(
                Messages(&bytes).map(|message| message.attributes(4).count()).sum::<usize>() < 400
            );
            assert!(Attributes(&bytes).flat_map(|(_, value)| value.attributes()).count() < 400);
        }
        assert_eq!(Messages(&[0; 64]).count(), 0);
        assert_eq!(Attributes(&[0; 64]).count(), 0);
    }

    #[test]
    fn a_kernel_that_refuses_says_why() {
        let deadline = Instant::now() + Duration::from_secs(5);
        let mut netlink = Netlink::new(ROUTE);
        let unknown = netlink.dump(0xfff, &[0; 16], deadline, |_| Ok(()));
        assert_eq!(unknown, Err(Errno::OPNOTSUPP));
        let past = Instant::now() - Duration::from_secs(1);
        assert_eq!(netlink.dump(18, &[0; 16], past, |_| Ok(())), Err(Errno::TIMEDOUT));
        let mut count = 0;
        let reader = |message: Option<Message<'_>>| {
            count += usize::from(message.is_some());
            Ok(())
        };
        netlink.dump(18, &[0; 16], deadline, reader).unwrap();
        assert!(count > 0);
    }
}
