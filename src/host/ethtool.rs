//! What drivers of network devices say of themselves, by the ioctl `SIOCETHTOOL`.

#![expect(unsafe_code, reason = "an ioctl whose argument points to another structure")]

use std::ffi::c_void;
use std::os::fd::{AsRawFd, OwnedFd};
use std::ptr;

use rustix::io::Errno;
use rustix::mm::{MapFlags, MprotectFlags, ProtFlags, mmap_anonymous, mprotect, munmap};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};

use super::netlink::Payload;

const GSET: u32 = 0x1;
const GDRVINFO: u32 = 0x3;
const GSTRINGS: u32 = 0x1b;
const GSTATS: u32 = 0x1d;
const ETH_SS_STATS: u32 = 1;

/// Bytes that a statistic's name has room for.
const NAME: usize = 32;

/// As many statistics as the original takes of one device.
const STATISTICS_MAX: usize = 32_768;

/// A socket to ask through, and room for the answers.
#[derive(Debug)]
pub struct Ethtool {
    socket: OwnedFd,
    room: Room,
}

/// `struct ethtool_cmd`, which knows 32 modes.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    pub supported: u32,
    pub advertising: u32,
    pub autonegotiation: u8,
}

/// `struct ethtool_drvinfo`.
#[derive(Debug, Clone, Copy)]
pub struct Driver {
    bytes: [u8; Self::SIZE],
}

impl Driver {
    const SIZE: usize = 196;

    pub fn name(&self) -> &[u8] {
        self.text(0)
    }

    pub fn version(&self) -> &[u8] {
        self.text(1)
    }

    pub fn firmware(&self) -> &[u8] {
        self.text(2)
    }

    pub fn bus(&self) -> &[u8] {
        self.text(3)
    }

    pub fn expansion_rom(&self) -> &[u8] {
        self.text(4)
    }

    /// How many statistics the driver keeps.
    pub fn statistics(&self) -> usize {
        Payload(&self.bytes).u32_at(180).unwrap_or(0) as usize
    }

    /// The texts stand one after another, 32 bytes each.
    fn text(&self, place: usize) -> &[u8] {
        Payload(&self.bytes[4 + 32 * place..][..32]).text()
    }
}

impl Ethtool {
    pub fn open() -> Result<Self, Errno> {
        let (family, kind) = (AddressFamily::INET, SocketType::DGRAM);
        let socket = socket_with(family, kind, SocketFlags::CLOEXEC, None)?;
        Ok(Self { socket, room: Room::new(12 + NAME * STATISTICS_MAX)? })
    }

    pub fn settings(&mut self, device: &str) -> Result<Settings, Errno> {
        const SIZE: usize = 44;
        let answer = Payload(self.ask(device, &[GSET], SIZE)?);
        let settings = || {
            Some(Settings {
                supported: answer.u32_at(4)?,
                advertising: answer.u32_at(8)?,
                autonegotiation: answer.u8_at(18)?,
            })
        };
        settings().ok_or(Errno::BADMSG)
    }

    pub fn driver(&mut self, device: &str) -> Result<Driver, Errno> {
        let answer = self.ask(device, &[GDRVINFO], Driver::SIZE)?;
        let mut driver = Driver { bytes: [0; Driver::SIZE] };
        driver.bytes.copy_from_slice(answer);
        Ok(driver)
    }

    /// The names of a device's statistics, 32 bytes each with zeros after the name.
    pub fn names(&mut self, device: &str, count: usize) -> Result<&[u8], Errno> {
        let count = u32::try_from(count).map_err(|_| Errno::NOMEM)?;
        let size = 12 + NAME * count as usize;
        self.ask(device, &[GSTRINGS, ETH_SS_STATS, count], size).map(|answer| &answer[12..])
    }

    /// The values of a device's statistics, in the order of their names.
    pub fn values(
        &mut self,
        device: &str,
        count: usize,
    ) -> Result<impl Iterator<Item = u64> + use<'_>, Errno> {
        let count = u32::try_from(count).map_err(|_| Errno::NOMEM)?;
        let size = 8 + 8 * count as usize;
        let answer = Payload(self.ask(device, &[GSTATS, count], size)?);
        Ok((0..count as usize).map_while(move |at| answer.u64_at(8 + 8 * at)))
    }

    /// Sends a request that begins with these words, and returns `size` bytes of the answer.
    fn ask(&mut self, device: &str, request: &[u32], size: usize) -> Result<&[u8], Errno> {
        /// `struct ifreq` as far as this call uses it.
        #[repr(C)]
        struct Request {
            name: [u8; libc::IFNAMSIZ],
            data: *mut c_void,
            rest: [u8; 16],
        }

        let mut name = [0; libc::IFNAMSIZ];
        // No device has a longer name, and there is a zero at its end.
        name.get_mut(..device.len().min(libc::IFNAMSIZ))
            .filter(|_| device.len() < libc::IFNAMSIZ)
            .ok_or(Errno::NODEV)?
            .copy_from_slice(device.as_bytes());
        let room = self.room.bytes(size)?;
        room.fill(0);
        for (bytes, word) in room.chunks_exact_mut(4).zip(request) {
            bytes.copy_from_slice(&word.to_ne_bytes());
        }
        let mut request = Request { name, data: room.as_mut_ptr().cast(), rest: [0; 16] };
        // SAFETY: the kernel reads an ifreq, and `Request` is at least as long. It writes to `data`
        // alone, which points into `self.room`, borrowed here alone: as much as the driver has to
        // say, be that more than was asked for, but never beyond the room, which ends where
        // nothing can be written.
        let outcome =
            unsafe { libc::ioctl(self.socket.as_raw_fd(), libc::SIOCETHTOOL, &raw mut request) };
        if outcome < 0 {
            return Err(Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO));
        }
        self.room.bytes(size).map(|bytes| &*bytes)
    }
}

/// Memory for answers whose length the kernel alone decides: drivers may have got more statistics
/// since they told how many. It ends with a page that cannot be written, so that an answer that is
/// too long is an error. Only what was written to takes memory.
#[derive(Debug)]
struct Room {
    start: *mut u8,
    /// Without the last page.
    length: usize,
}

// SAFETY: the memory belongs to this value alone.
unsafe impl Send for Room {}

impl Room {
    fn new(length: usize) -> Result<Self, Errno> {
        let page = rustix::param::page_size();
        let length = length.next_multiple_of(page);
        let protection = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: new memory at a place that the kernel chooses.
        let start = unsafe {
            mmap_anonymous(ptr::null_mut(), length + page, protection, MapFlags::PRIVATE)?
        };
        let room = Self { start: start.cast(), length };
        // SAFETY: the last page of what was just mapped, which nothing refers to yet.
        unsafe { mprotect(start.byte_add(length), page, MprotectFlags::empty())? };
        Ok(room)
    }

    fn bytes(&mut self, length: usize) -> Result<&mut [u8], Errno> {
        if length > self.length {
            return Err(Errno::NOMEM);
        }
        // SAFETY: so many bytes are mapped, are zero or were written, and are borrowed through
        // `self` alone.
        Ok(unsafe { std::slice::from_raw_parts_mut(self.start, length) })
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        // SAFETY: mapped with this length, with the last page, and nothing borrows it any more.
        let _ = unsafe { munmap(self.start.cast(), self.length + rustix::param::page_size()) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_too_long_and_devices_that_are_none() {
        let mut ethtool = Ethtool::open().unwrap();
        for device in
            ["", "none", "a-name-beyond-all-limits", "fifteen-bytes-x", "sixteen-bytes-xy"]
        {
            assert_eq!(ethtool.settings(device).unwrap_err(), Errno::NODEV, "{device}");
            assert_eq!(ethtool.driver(device).unwrap_err(), Errno::NODEV, "{device}");
        }
        assert_eq!(ethtool.names("lo", STATISTICS_MAX + 200).unwrap_err(), Errno::NOMEM);
        assert!(ethtool.names("lo", usize::MAX).is_err());
    }

    #[test]
    fn the_room_ends_where_nothing_can_be_written() {
        let mut room = Room::new(5000).unwrap();
        let length = room.length;
        room.bytes(length).unwrap().fill(7);
        assert_eq!(room.bytes(length + 1).unwrap_err(), Errno::NOMEM);
        // The kernel is told to write to the last byte and to the one behind it.
        let flags = SocketFlags::CLOEXEC;
        let (read, write) =
            rustix::net::socketpair(AddressFamily::UNIX, SocketType::STREAM, flags, None).unwrap();
        rustix::io::write(&write, &[1, 2]).unwrap();
        let end = room.start.wrapping_add(length - 1).cast();
        // SAFETY: the first byte is the room's; the kernel does not write to the second.
        let count = unsafe { libc::read(read.as_raw_fd(), end, 2) };
        assert!(count <= 1, "{count}");
    }
}
