//! Sockets of any family: those that systemd hands over, and how the async thread waits for one.

#![expect(unsafe_code, reason = "a bare number becomes a descriptor, and a descriptor is polled")]

use std::io;
use std::os::fd::{FromRawFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::io::unix::AsyncFd;

/// Takes over what systemd opened: descriptors from 3 on. There are none the second time.
pub fn inherited() -> io::Result<Vec<OwnedFd>> {
    static ARE_TAKEN: AtomicBool = AtomicBool::new(false);

    let descriptors = sd_notify::listen_fds()?;
    if ARE_TAKEN.swap(true, Ordering::AcqRel) {
        return Ok(Vec::new());
    }
    // SAFETY: LISTEN_PID says that these are for this process, which opened none of them itself; that they are open was found when
    // they were marked close-on-exec, and nobody takes them twice.
    Ok(descriptors.map(|descriptor| unsafe { OwnedFd::from_raw_fd(descriptor) }).collect())
}

/// Lets the async thread wait for `socket`, which must not block.
pub fn watch(socket: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an OwnedFd is the same open descriptor until it is dropped, which AsyncFd does last.
    unsafe { AsyncFd::register(socket) }.map_err(io::Error::from)
}
