//! Sockets between a virtual machine and its host, AF_VSOCK.

#![expect(unsafe_code, reason = "rustix has no address of this family")]

use std::mem::{size_of, zeroed};
use std::os::fd::{AsRawFd, OwnedFd};

use rustix::fs::{Mode, OFlags, open};
use rustix::io::Errno;
use rustix::ioctl::{Getter, ioctl};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};

/// `IOCTL_VM_SOCKETS_GET_LOCAL_CID` of linux/vm_sockets.h.
const GET_LOCAL_CID: rustix::ioctl::Opcode = 0x7b9;

/// A socket bound to this machine's own context id, and that id.
pub fn bind(port: u32) -> Result<(OwnedFd, u32), Errno> {
    let guest = context_id()?;
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::VSOCK, SocketType::STREAM, flags, None)?;
    // SAFETY: all of it is integers, for which zero is a value.
    let mut address: libc::sockaddr_vm = unsafe { zeroed() };
    address.svm_family = AddressFamily::VSOCK.as_raw();
    address.svm_port = port;
    address.svm_cid = guest;
    /// As linux/vm_sockets.h has it: as long as a plain `sockaddr`.
    const LENGTH: libc::socklen_t = 16;
    const { assert!(size_of::<libc::sockaddr_vm>() == LENGTH as usize) };
    // SAFETY: `address` is of the length that is given, and lives through the call.
    let outcome = unsafe { libc::bind(socket.as_raw_fd(), (&raw const address).cast(), LENGTH) };
    if outcome == 0 { Ok((socket, guest)) } else { Err(last_error()) }
}

fn context_id() -> Result<u32, Errno> {
    let device = open("/dev/vsock", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    // SAFETY: this request writes one 32-bit number.
    unsafe { ioctl(&device, Getter::<GET_LOCAL_CID, u32>::new()) }
}

fn last_error() -> Errno {
    Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO)
}
