//! A client's socket, of whatever family, with a clock that sees what comes and goes.

use std::io::{self, IoSlice};
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use rustix::net::{RecvFlags, recv};
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::clock::Clock;
use crate::host::socket;

#[derive(Debug)]
pub(super) struct Stream {
    socket: AsyncFd<OwnedFd>,
    clock: Arc<Clock>,
}

impl Stream {
    /// `socket` must not block.
    pub(super) fn new(socket: OwnedFd, clock: Arc<Clock>) -> io::Result<Self> {
        Ok(Self { socket: socket::watch(socket)?, clock })
    }

    /// The first byte that the client sends, left where it is.
    pub(super) async fn peek(&self) -> io::Result<Option<u8>> {
        let mut first = [0];
        loop {
            let mut ready = self.socket.readable().await?;
            let peeked = ready.try_io(|socket| {
                let (count, _) = recv(socket, &mut first[..], RecvFlags::PEEK)?;
                Ok(count)
            });
            match peeked {
                Ok(count) => return Ok((count? > 0).then_some(first[0])),
                Err(_would_block) => {}
            }
        }
    }

    /// Says `text` instead of all else, and ends. What the client has sent is taken first: left there, it would make the kernel
    /// reset the connection before the client has read the answer.
    pub(super) fn part_with(self, text: &[u8]) {
        let socket = self.socket.get_ref();
        let _ = rustix::io::read(socket, &mut [0; 16 * 1024][..]);
        let _ = rustix::io::write(socket, text);
        let _ = rustix::net::shutdown(socket, rustix::net::Shutdown::Write);
    }

    fn write(
        &self,
        context: &mut Context<'_>,
        length: usize,
        mut write: impl FnMut(&OwnedFd) -> rustix::io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        loop {
            let ready = self.socket.poll_write_ready(context);
            if ready.is_pending() {
                self.clock.send(length == 0);
            }
            match ready!(ready)?.try_io(|socket| Ok(write(socket.get_ref())?)) {
                Ok(written) => {
                    let written = written?;
                    self.clock.send(written == length);
                    return Poll::Ready(Ok(written));
                }
                Err(_would_block) => {}
            }
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            let mut ready = ready!(self.socket.poll_read_ready(context))?;
            let free = buffer.initialize_unfilled();
            match ready.try_io(|socket| Ok(rustix::io::read(socket, free)?)) {
                Ok(count) => {
                    let count = count?;
                    buffer.advance(count);
                    if count > 0 {
                        self.clock.receive();
                    }
                    return Poll::Ready(Ok(()));
                }
                Err(_would_block) => {}
            }
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.write(context, bytes.len(), |socket| rustix::io::write(socket, bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let length = pieces.iter().map(|piece| piece.len()).sum();
        self.write(context, length, |socket| rustix::io::writev(socket, pieces))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// The kernel sends what it was given without being asked.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        match rustix::net::shutdown(self.socket.get_ref(), rustix::net::Shutdown::Write) {
            Ok(()) | Err(rustix::io::Errno::NOTCONN) => Poll::Ready(Ok(())),
            Err(error) => Poll::Ready(Err(error.into())),
        }
    }
}
