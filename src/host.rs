//! The host as files: roots, descriptors that are kept open, directory listings.
//!
//! A [`Root`] is a directory such as `/proc`, on the live host or in a fixture tree. On a kernel
//! file system a file that is read again keeps its descriptor, because opening costs ten times
//! what `pread` does; elsewhere files may be replaced by others of the same name, so each read
//! opens anew.

pub mod btrfs;
pub mod cpus;
pub mod cursor;
pub mod dbus;
pub mod ethtool;
pub mod glob;
pub mod http;
pub mod json;
mod listing;
mod memory;
pub mod mounts;
pub mod netlink;
pub mod perf;
pub mod proc_stat;
pub mod regular;
pub mod replace;
pub mod socket;
pub mod terminal;
pub mod timex;
pub mod vsock;

use std::collections::HashMap;
use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use rustix::buffer::spare_capacity;
use rustix::fs::{AtFlags, FileType, Mode, OFlags};
use rustix::io::Errno;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::collector::{Error, Result};
use cursor::Text;
pub use listing::{Entry, Listing};
pub use memory::{limit_allocator, trim_allocator, unmap_code};

/// Where the four trees lie that collectors read.
#[derive(Debug, Clone)]
pub struct Paths {
    pub proc: PathBuf,
    pub sys: PathBuf,
    pub rootfs: PathBuf,
    pub udev: PathBuf,
}

impl Default for Paths {
    fn default() -> Self {
        Self {
            proc: "/proc".into(),
            sys: "/sys".into(),
            rootfs: "/".into(),
            udev: "/run/udev/data".into(),
        }
    }
}

/// `PROC_SUPER_MAGIC` and `SYSFS_MAGIC` of linux/magic.h.
const KERNEL_FILE_SYSTEMS: [u64; 2] = [0x9fa0, 0x6265_6572];

/// Descriptors kept at most, however many the process may have.
const KEPT_MAX: u64 = 4096;

/// A kept file that was not read in so many rounds is closed: its device is gone.
const ROUNDS_KEPT: u64 = 64;

/// The original's sysfs reader takes one read of this size and no more.
const ATTRIBUTE_MAX: usize = 128;

/// `PATH_MAX` of linux/limits.h: the kernel keeps no longer link.
const LINK_MAX: usize = 4096;

/// More than a thousand connections and all kept files need.
const DESCRIPTORS: u64 = 8192;

/// Takes of the descriptors that the process may have as many as it can use. Only programs that wait with select(2) need fewer.
pub fn raise_descriptor_limit() {
    let limit = getrlimit(Resource::Nofile);
    let wanted = limit.maximum.map_or(DESCRIPTORS, |most| most.min(DESCRIPTORS));
    if limit.current.is_some_and(|soft| soft < wanted) {
        // Where that is forbidden, what there is suffices for less.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), ..limit });
    }
}

/// A directory below which collectors read. A clone shares the directory's descriptor and keeps
/// files of its own.
#[derive(Debug)]
pub struct Root {
    path: PathBuf,
    /// `None` where the directory does not exist: every read then says so.
    dir: Option<Arc<OwnedFd>>,
    keeps: bool,
    /// With the round in which each was last read.
    kept: HashMap<Box<str>, (Kept, u64)>,
    round: u64,
}

impl Clone for Root {
    fn clone(&self) -> Self {
        Self::at(self.path.clone(), self.dir.clone(), self.keeps)
    }
}

/// The four trees, opened.
#[derive(Debug, Clone)]
pub struct Roots {
    pub proc: Root,
    pub sys: Root,
    pub rootfs: Root,
    pub udev: Root,
}

impl Roots {
    pub fn new(paths: &Paths) -> Self {
        Self {
            proc: Root::new(&paths.proc),
            sys: Root::new(&paths.sys),
            rootfs: Root::new(&paths.rootfs),
            udev: Root::new(&paths.udev),
        }
    }
}

/// A file kept open; the process keeps so many that half of its descriptors stay free.
#[derive(Debug)]
struct Kept(OwnedFd);

static KEPT: AtomicU64 = AtomicU64::new(0);

impl Kept {
    fn new(file: OwnedFd) -> Option<Self> {
        static LIMIT: OnceLock<u64> = OnceLock::new();
        let limit = *LIMIT.get_or_init(|| {
            let soft = getrlimit(Resource::Nofile).current;
            soft.map_or(KEPT_MAX, |soft| KEPT_MAX.min(soft / 2))
        });
        let is_room = KEPT.fetch_add(1, Ordering::Relaxed) < limit;
        let kept = Self(file);
        is_room.then_some(kept)
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        KEPT.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Root {
    /// A root at `path`; one that does not exist is found out by the first read.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        let path = path.into();
        Self::try_new(&path).unwrap_or_else(|_| Self::at(path, None, false))
    }

    /// A root at `path`, which must be a directory.
    pub fn try_new(path: impl Into<PathBuf>) -> Result<Self, Errno> {
        let path = path.into();
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let dir = Arc::new(rustix::fs::open(&path, flags, Mode::empty())?);
        let keeps = is_kernel_file_system(&dir);
        Ok(Self::at(path, Some(dir), keeps))
    }

    fn at(path: PathBuf, dir: Option<Arc<OwnedFd>>, keeps: bool) -> Self {
        Self { path, dir, keeps, kept: HashMap::new(), round: 0 }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the directory exists.
    pub fn is_present(&self) -> bool {
        self.dir.is_some()
    }

    /// Whether this is the running kernel's own file system and no fixture tree.
    pub fn is_live(&self) -> bool {
        self.keeps
    }

    /// The whole file, whatever its size.
    pub fn read<'t>(&mut self, path: &'t str, buffer: &'t mut Vec<u8>) -> Result<Text<'t>> {
        self.read_into(path, buffer, usize::MAX).map_err(|errno| Error::io(path, errno))?;
        Ok(Text::new(path, buffer))
    }

    /// The whole file, or `None` when it does not exist.
    pub fn read_present<'t>(
        &mut self,
        path: &'t str,
        buffer: &'t mut Vec<u8>,
    ) -> Result<Option<Text<'t>>> {
        match self.read_into(path, buffer, usize::MAX) {
            Ok(()) => Ok(Some(Text::new(path, buffer))),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(Error::io(path, errno)),
        }
    }

    /// The whole file, opened and closed: for files that are many or seldom read.
    pub fn read_once<'t>(&self, path: &'t str, buffer: &'t mut Vec<u8>) -> Result<Text<'t>> {
        self.try_read_once(path, buffer).map_err(|errno| Error::io(path, errno))
    }

    /// Like [`Root::read_once`], with the bare errno for those who sort by it.
    pub fn try_read_once<'t>(
        &self,
        path: &'t str,
        buffer: &'t mut Vec<u8>,
    ) -> Result<Text<'t>, Errno> {
        read_all(self.open(path)?.as_fd(), buffer, usize::MAX)?;
        Ok(Text::new(path, buffer))
    }

    /// A sysfs attribute: the first 128 bytes, in one read, without white space around them.
    pub fn attribute<'t>(&mut self, path: &'t str, buffer: &'t mut Vec<u8>) -> Result<Text<'t>> {
        self.try_attribute(path, buffer).map_err(|errno| Error::io(path, errno))
    }

    /// Like [`Root::attribute`], with the bare errno for those who sort by it.
    pub fn try_attribute<'t>(
        &mut self,
        path: &'t str,
        buffer: &'t mut Vec<u8>,
    ) -> Result<Text<'t>, Errno> {
        self.try_attribute_untrimmed(path, buffer).map(Text::trim)
    }

    /// Like [`Root::try_attribute`], with the white space around the value.
    pub fn try_attribute_untrimmed<'t>(
        &mut self,
        path: &'t str,
        buffer: &'t mut Vec<u8>,
    ) -> Result<Text<'t>, Errno> {
        self.read_into(path, buffer, ATTRIBUTE_MAX)?;
        Ok(Text::new(path, buffer))
    }

    /// Like [`Root::try_attribute`], opened and closed.
    pub fn attribute_once<'t>(
        &self,
        path: &'t str,
        buffer: &'t mut Vec<u8>,
    ) -> Result<Text<'t>, Errno> {
        read_all(self.open(path)?.as_fd(), buffer, ATTRIBUTE_MAX)?;
        Ok(Text::new(path, buffer).trim())
    }

    /// An attribute for its reader to keep; nothing when the process keeps enough files.
    pub fn keep_attribute(&self, path: &str) -> Result<Option<Attribute>, Errno> {
        Ok(Kept::new(self.open(path)?).map(Attribute))
    }

    /// The directory at `path` as a root of its own.
    pub fn below(&self, path: &str) -> Result<Self, Errno> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let dir = rustix::fs::openat(self.dir()?, path, flags, Mode::empty())?;
        let path = self.path.join(path);
        Ok(Self::at(path, Some(Arc::new(dir)), self.keeps))
    }

    /// The names in a directory, sorted.
    pub fn list(&self, path: &str, listing: &mut Listing) -> Result<()> {
        self.try_list(path, listing).map_err(|errno| Error::io(path, errno))
    }

    /// Like [`Root::list`], with the bare errno for those who sort by it.
    pub fn try_list(&self, path: &str, listing: &mut Listing) -> Result<(), Errno> {
        listing.clear();
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let path = if path.is_empty() { "." } else { path };
        let dir = rustix::fs::openat(self.dir()?, path, flags, Mode::empty())?;
        listing.fill(&dir)?;
        listing.settle(|name| self.file_type(path, name));
        Ok(())
    }

    /// Where a symbolic link points, as it is written there.
    pub fn link(&self, path: &str) -> Result<String> {
        let mut target = Vec::new();
        self.try_link(path, &mut target).map_err(|errno| Error::io(path, errno))?;
        String::from_utf8(target).map_err(|target| Error::malformed(path, target.as_bytes()))
    }

    /// Like [`Root::link`], into a buffer that is kept.
    pub fn try_link<'t>(&self, path: &str, buffer: &'t mut Vec<u8>) -> Result<&'t [u8], Errno> {
        buffer.clear();
        buffer.reserve(LINK_MAX);
        rustix::fs::readlinkat_raw(self.dir()?, path, spare_capacity(buffer))?;
        Ok(buffer)
    }

    /// The path with every link followed, as far as the kernel knows it.
    pub fn real_path(&self, path: &str) -> Result<PathBuf> {
        let full = self.path.join(path);
        full.canonicalize().map_err(|error| {
            let errno = Errno::from_io_error(&error).unwrap_or(Errno::IO);
            Error::io(path, errno)
        })
    }

    /// Whether something of that name exists, links followed.
    pub fn exists(&self, path: &str) -> bool {
        self.stat(path).is_ok()
    }

    /// Whether a directory stands at `path`, links followed.
    pub fn is_directory(&self, path: &str) -> bool {
        self.stat(path).is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode).is_dir())
    }

    /// What stands at `path`, links followed.
    pub fn stat(&self, path: &str) -> Result<rustix::fs::Stat, Errno> {
        rustix::fs::statat(self.dir()?, path, AtFlags::empty())
    }

    /// Opens a file for reading, for those who do more with it than read it.
    pub fn open(&self, path: &str) -> Result<OwnedFd, Errno> {
        rustix::fs::openat(self.dir()?, path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
    }

    /// Begins a round of reading, such as a collector's part in a scrape.
    pub fn begin_round(&mut self) {
        self.round += 1;
        if self.round.is_multiple_of(ROUNDS_KEPT) {
            let oldest = self.round - ROUNDS_KEPT;
            self.kept.retain(|_, (_, read_in)| *read_in >= oldest);
        }
    }

    fn read_into(&mut self, path: &str, buffer: &mut Vec<u8>, limit: usize) -> Result<(), Errno> {
        if let Some((file, read_in)) = self.kept.get_mut(path) {
            *read_in = self.round;
            match read_all(file.0.as_fd(), buffer, limit) {
                // The device behind the descriptor went away; one of the same name may be back.
                Err(Errno::NODEV | Errno::STALE | Errno::NOENT | Errno::NXIO) => {
                    self.kept.remove(path);
                }
                other => return other,
            }
        }
        let file = self.open(path)?;
        let outcome = read_all(file.as_fd(), buffer, limit);
        if self.keeps
            && outcome.is_ok()
            && let Some(file) = Kept::new(file)
        {
            self.kept.insert(path.into(), (file, self.round));
        }
        outcome
    }

    fn dir(&self) -> Result<BorrowedFd<'_>, Errno> {
        self.dir.as_deref().map(AsFd::as_fd).ok_or(Errno::NOENT)
    }

    fn file_type(&self, directory: &str, name: &CStr) -> FileType {
        let Ok(name) = name.to_str() else { return FileType::Unknown };
        self.dir()
            .and_then(|dir| {
                let path = format!("{directory}/{name}");
                rustix::fs::statat(dir, path, AtFlags::SYMLINK_NOFOLLOW)
            })
            .map_or(FileType::Unknown, |stat| FileType::from_raw_mode(stat.st_mode))
    }
}

/// The TCP port that /etc/services gives to a name.
pub fn service_port(name: &str) -> Option<u16> {
    let mut buffer = Vec::new();
    let etc = Root::new("/etc");
    let services = etc.read_once("services", &mut buffer).ok()?;
    services.lines().find_map(|line| {
        let mut fields = line.fields();
        let service = fields.next()?;
        let (port, protocol) = fields.next()?.split_once(b'/')?;
        let is_named = || {
            service.bytes == name.as_bytes()
                || fields
                    .take_while(|field| !field.bytes.starts_with(b"#"))
                    .any(|alias| alias.bytes == name.as_bytes())
        };
        if protocol.bytes == b"tcp" && is_named() { port.as_str().ok()?.parse().ok() } else { None }
    })
}

/// A sysfs attribute that its reader keeps open, because the path may come to mean another device:
/// network interfaces change names.
#[derive(Debug)]
pub struct Attribute(Kept);

impl Attribute {
    /// The attribute's value as it is now.
    pub fn read<'t>(&self, buffer: &'t mut Vec<u8>) -> Result<&'t [u8], Errno> {
        read_all(self.0.0.as_fd(), buffer, ATTRIBUTE_MAX)?;
        Ok(buffer.trim_ascii())
    }
}

fn is_kernel_file_system(dir: &OwnedFd) -> bool {
    rustix::fs::fstatfs(dir).is_ok_and(|stat| KERNEL_FILE_SYSTEMS.contains(&(stat.f_type as u64)))
}

/// Reads from offset 0 until the end or until `limit` bytes. A `seq_file` hands out at most a page
/// at a time, so that a short read is not the end; an attribute is done with one read.
fn read_all(file: BorrowedFd<'_>, buffer: &mut Vec<u8>, limit: usize) -> Result<(), Errno> {
    buffer.clear();
    if limit <= ATTRIBUTE_MAX {
        buffer.resize(limit, 0);
        let count = rustix::io::pread(file, &mut buffer[..], 0).inspect_err(|_| buffer.clear())?;
        buffer.truncate(count);
        return Ok(());
    }
    let mut length = 0;
    buffer.resize(buffer.capacity().max(4096), 0);
    loop {
        if length == buffer.len() {
            buffer.resize(length * 2, 0);
        }
        match rustix::io::pread(file, &mut buffer[length..], length as u64) {
            Ok(0) => break,
            Ok(count) => length += count,
            Err(Errno::INTR) => {}
            Err(errno) => {
                buffer.clear();
                return Err(errno);
            }
        }
    }
    buffer.truncate(length);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree() -> tempfile::TempDir {
        let tree = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(tree.path().join("net")).unwrap();
        std::fs::write(tree.path().join("net/dev"), "lo: 1\n").unwrap();
        std::fs::write(tree.path().join("net/arp"), " 7 \n").unwrap();
        tree
    }

    #[test]
    fn a_fixture_file_replaced_by_rename_is_read_anew() {
        let tree = tree();
        let mut root = Root::new(tree.path());
        let mut buffer = Vec::new();
        assert!(!root.is_live());
        assert_eq!(root.read("net/dev", &mut buffer).unwrap().bytes, b"lo: 1\n");
        std::fs::write(tree.path().join("new"), "lo: 2\n").unwrap();
        std::fs::rename(tree.path().join("new"), tree.path().join("net/dev")).unwrap();
        assert_eq!(root.read("net/dev", &mut buffer).unwrap().bytes, b"lo: 2\n");
        assert_eq!(root.attribute("net/arp", &mut buffer).unwrap().bytes, b"7");
    }

    #[test]
    fn absence_is_told_by_the_errno() {
        let tree = tree();
        let mut root = Root::new(tree.path());
        let mut buffer = Vec::new();
        assert!(root.read_present("net/none", &mut buffer).unwrap().is_none());
        let error = root.read("net/none", &mut buffer).unwrap_err();
        assert!(error.is_absent());
        assert_eq!(error.to_string(), "net/none: no such file or directory");
        let error = Root::new("/nowhere/at/all").read("stat", &mut buffer).unwrap_err();
        assert!(error.is_absent());
    }

    #[test]
    fn a_file_of_the_live_kernel_keeps_its_descriptor() {
        let mut root = Root::new("/proc");
        let mut buffer = Vec::new();
        assert!(root.is_live());
        for _ in 0..3 {
            assert!(!root.read("stat", &mut buffer).unwrap().bytes.is_empty());
        }
        assert_eq!(root.kept.len(), 1);
        for _ in 0..2 * ROUNDS_KEPT {
            root.begin_round();
            assert!(!root.read("loadavg", &mut buffer).unwrap().bytes.is_empty());
        }
        assert_eq!(root.kept.keys().map(|path| &**path).collect::<Vec<_>>(), ["loadavg"]);
    }

    #[test]
    fn listings_are_sorted_and_know_directories() {
        let tree = tree();
        let root = Root::new(tree.path());
        let mut listing = Listing::default();
        root.list("net", &mut listing).unwrap();
        assert_eq!(listing.names().collect::<Vec<_>>(), ["arp", "dev"]);
        root.list("", &mut listing).unwrap();
        assert!(listing.iter().all(Entry::is_directory));
    }
}
