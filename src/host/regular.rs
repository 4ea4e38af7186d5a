//! Regular files that other programs write: told apart by what `fstat` says, and read whole.

use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::fs::{FileType, Mode, OFlags, Stat};
use rustix::io::Errno;

use super::{Root, read_all};

/// A file that is open for reading.
#[derive(Debug)]
pub struct Regular {
    file: OwnedFd,
    /// As it was when the file was opened.
    pub identity: Identity,
}

/// What tells one content of a file from another. A write within the same tick of the file
/// system's clock may leave it as it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    pub device: u64,
    pub inode: u64,
    pub size: u64,
    pub modified: Timestamp,
    changed: Timestamp,
}

/// Seconds since 1970 and nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamp {
    pub seconds: i64,
    pub nanoseconds: u32,
}

impl Timestamp {
    /// Whether it lies less than `span` before `moment`, which counts from 1970.
    pub fn is_within(self, span: Duration, moment: Duration) -> bool {
        let Ok(seconds) = u64::try_from(self.seconds) else { return false };
        let age = moment.checked_sub(Duration::new(seconds, self.nanoseconds));
        age.is_some_and(|age| age < span)
    }
}

/// What a reader knows of a file that it has read: enough to leave it until it changes.
#[derive(Debug, Default)]
pub struct Known {
    /// What was met last, and when it was first.
    met: Option<(Identity, Instant)>,
    is_settled: bool,
}

impl Known {
    /// Two writes closer together than this may leave a file with one and the same timestamp: FAT
    /// counts in steps of two seconds, all others in shorter ones.
    pub const TICK: Duration = Duration::from_secs(2);

    /// Whether what was read last is all that a file of this identity can hold.
    pub fn is_unchanged(&mut self, identity: Identity, now: Instant) -> bool {
        if self.met.is_none_or(|(met, _)| met != identity) {
            self.met = Some((identity, now));
            self.is_settled = false;
        }
        self.is_settled
    }

    /// Notes that the file met last has been read. A reading that began late enough stands for good:
    /// whatever is written afterwards bears another timestamp.
    pub fn settle(&mut self, now: Instant) {
        self.is_settled = self.met.is_some_and(|(_, since)| now >= since + Self::TICK);
    }
}

/// Why a file is not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// A directory, or something that may never come to an end or to a beginning.
    NotRegular,
    Errno(Errno),
}

impl From<Errno> for Refusal {
    fn from(errno: Errno) -> Self {
        Refusal::Errno(errno)
    }
}

impl Root {
    /// Opens a file, links followed, if it is a regular one.
    pub fn open_regular(&self, path: &str) -> Result<Regular, Refusal> {
        // Opening a pipe would wait for its writer.
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = rustix::fs::openat(self.dir()?, path, flags, Mode::empty())?;
        let stat = rustix::fs::fstat(&file)?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(Refusal::NotRegular);
        }
        Ok(Regular { file, identity: Identity::from(&stat) })
    }
}

impl Regular {
    /// Reads to the end, and tells whether nobody touched the file meanwhile.
    pub fn read(&self, buffer: &mut Vec<u8>) -> Result<bool, Errno> {
        read_all(self.file.as_fd(), buffer, usize::MAX)?;
        let stat = rustix::fs::fstat(&self.file)?;
        Ok(Identity::from(&stat) == self.identity)
    }
}

impl From<&Stat> for Identity {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a size is not negative, and nanoseconds are fewer than a billion"
    )]
    fn from(stat: &Stat) -> Self {
        Self {
            device: stat.st_dev,
            inode: stat.st_ino,
            size: stat.st_size as u64,
            modified: Timestamp { seconds: stat.st_mtime, nanoseconds: stat.st_mtime_nsec as u32 },
            changed: Timestamp { seconds: stat.st_ctime, nanoseconds: stat.st_ctime_nsec as u32 },
        }
    }
}
