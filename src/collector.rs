//! What a collector is: a name, flags, a constructor, and one call that pushes samples.

pub mod attribute;
pub mod filter;
pub mod roll;
pub mod tally;

use std::borrow::Cow;
use std::fmt;
use std::ops::Deref;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use rustix::fs::FileType;
use rustix::io::Errno;

use crate::exposition::Samples;
use crate::flags::{AnyFlag, Values};
use crate::host::mounts::Mounts;
use crate::host::netlink::links::{self, Links};
use crate::host::proc_stat::ProcStat;
use crate::host::{Paths, Root, Roots};

/// All that a collector's file brings into scope.
pub mod prelude {
    pub use super::Enabled::{Off, On};
    pub use super::attribute::{Texts, Told, join, told};
    pub use super::filter::Filter;
    pub use super::roll::Roll;
    pub use super::{AbsentIsNoData, Collector, Cx, Error, Result, Setup, Spec};
    pub use crate::exposition::{
        Desc, Kind, LabelValue, Repaired, Samples, Underscored, counter, gauge, untyped,
    };
    pub use crate::flags::{self, Flag};
    pub use crate::host::cursor::{AnyBase, Fields, Hex, Span, Text};
    pub use crate::host::{Listing, Root};
    pub use crate::pattern::Pattern;
    pub use rustix::io::Errno;
}

pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Whether a collector runs when the command line does not say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Enabled {
    On,
    Off,
}

/// One collector, as the list of collectors and the command line see it.
pub struct Spec {
    /// File stem, flag prefix and `collector` label.
    pub name: &'static str,
    pub enabled: Enabled,
    /// What it reads, in a few words: for `hostwarden collectors`.
    pub reads: &'static str,
    pub flags: &'static [&'static dyn AnyFlag],
    /// Runs once, at start; what it refuses is a wrong setting and ends the start.
    pub build: Build,
}

/// A collector's constructor.
pub type Build = fn(&Setup<'_>) -> Result<Box<dyn Collector>, String>;

impl Spec {
    pub const fn new(
        name: &'static str,
        enabled: Enabled,
        reads: &'static str,
        flags: &'static [&'static dyn AnyFlag],
        build: Build,
    ) -> Self {
        Self { name, enabled, reads, flags, build }
    }
}

/// What a constructor may know: the flags, the trees, and which collectors run beside it.
pub struct Setup<'a> {
    pub flags: &'a Values,
    pub paths: &'a Paths,
    pub enabled: &'a [&'static str],
}

impl Setup<'_> {
    pub fn is_enabled(&self, collector: &str) -> bool {
        self.enabled.contains(&collector)
    }

    /// For collectors that the original does not build without a procfs.
    pub fn need_proc(&self) -> Result<(), String> {
        need_directory("procfs", &self.paths.proc)
    }

    /// For collectors that the original does not build without a sysfs.
    pub fn need_sys(&self) -> Result<(), String> {
        need_directory("sysfs", &self.paths.sys)
    }
}

fn need_directory(what: &str, path: &Path) -> Result<(), String> {
    let shown = path.display();
    let stat = rustix::fs::stat(path).map_err(|errno| {
        let errno = errno_text(errno);
        format!("failed to open {what}: could not read \"{shown}\": stat {shown}: {errno}")
    })?;
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::Directory => Ok(()),
        _ => Err(format!("failed to open {what}: mount point \"{shown}\" is not a directory")),
    }
}

/// Tells what one kernel interface says, once a scrape.
///
/// `collect` is synchronous and runs on a thread that may be given up. It does not log its own
/// failure, spawn threads, sleep or format numbers. Samples pushed before an error stay.
pub trait Collector: Send {
    fn collect(&mut self, cx: &mut Cx<'_>, out: &mut Samples) -> Result<()>;
}

impl<F> Collector for F
where
    F: FnMut(&mut Cx<'_>, &mut Samples) -> Result<()> + Send,
{
    fn collect(&mut self, cx: &mut Cx<'_>, out: &mut Samples) -> Result<()> {
        self(cx, out)
    }
}

/// What `collect` reads from and writes its scratch into.
pub struct Cx<'a> {
    pub proc: &'a mut Root,
    pub sys: &'a mut Root,
    pub rootfs: &'a mut Root,
    pub udev: &'a mut Root,
    /// Scratch for a file's content.
    pub text: &'a mut Vec<u8>,
    /// Scratch for a path.
    pub path: &'a mut String,
    /// Sources that several collectors share in one scrape.
    pub shared: &'a Arc<Shared>,
    /// When the scrape began: what a shared source holds from before is stale.
    pub started: Instant,
    /// When the scrape has to be answered.
    pub deadline: Instant,
}

impl Cx<'_> {
    /// Until when to wait for somebody else: a little short of the deadline, since a run that is
    /// late loses what it has said already.
    pub fn give_up_at(&self) -> Instant {
        self.deadline - self.deadline.saturating_duration_since(self.started) / 20
    }

    /// How often the agent was told to read its files again.
    pub fn reloads(&self) -> u64 {
        self.shared.reloads.load(Ordering::Relaxed)
    }

    /// The network links as they are in this scrape.
    pub fn links(&self) -> Result<Arc<Links>> {
        self.shared.links.since(self.started, self.give_up_at())
    }

    /// The mounts as they are in this scrape.
    pub fn mounts(&mut self) -> Result<Arc<Mounts>> {
        let Self { proc, rootfs, text, shared, .. } = self;
        let fetched = shared
            .mounts
            .get(self.deadline, |mounts| Arc::make_mut(mounts).read(proc, rootfs, text))?;
        Ok(Arc::clone(&fetched))
    }
}

/// What all collectors share: sources read once a scrape, whichever collector comes first.
#[derive(Debug, Default)]
pub struct Shared {
    /// Collectors that keep what they read in a file compare it with what they have seen.
    pub reloads: AtomicU64,
    pub links: links::Source,
    /// Handed out to be kept while calls about the mounts hang.
    pub mounts: PerScrape<Arc<Mounts>>,
    pub proc_stat: PerScrape<ProcStat>,
}

/// A source that the first collector to need it reads for all the others of the same scrape.
#[derive(Debug, Default)]
pub struct PerScrape<T> {
    inner: Mutex<Fetched<T>>,
}

/// What was read, and for which scrape.
#[derive(Debug, Default)]
pub struct Fetched<T> {
    /// A scrape's deadline is its own: two scrapes at the same nanosecond would be one.
    deadline: Option<Instant>,
    what: T,
}

impl<T> PerScrape<T> {
    /// What `fetch` read for the scrape with this deadline, now or for a collector before.
    pub fn get(
        &self,
        deadline: Instant,
        fetch: impl FnOnce(&mut T) -> Result<()>,
    ) -> Result<MutexGuard<'_, Fetched<T>>> {
        let mut fetched = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        if fetched.deadline != Some(deadline) {
            fetched.deadline = None;
            fetch(&mut fetched.what)?;
            fetched.deadline = Some(deadline);
        }
        Ok(fetched)
    }
}

impl<T> Deref for Fetched<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.what
    }
}

/// What one collector keeps to itself between scrapes, beside its own state.
#[derive(Debug)]
pub struct Desk {
    roots: Roots,
    text: Vec<u8>,
    path: String,
    shared: Arc<Shared>,
}

impl Desk {
    pub fn new(roots: &Roots, shared: Arc<Shared>) -> Self {
        Self { roots: roots.clone(), text: Vec::new(), path: String::new(), shared }
    }

    pub fn cx(&mut self, deadline: Instant) -> Cx<'_> {
        let Roots { proc, sys, rootfs, udev } = &mut self.roots;
        for root in [proc, sys, rootfs, udev] {
            root.begin_round();
        }
        Cx {
            proc: &mut self.roots.proc,
            sys: &mut self.roots.sys,
            rootfs: &mut self.roots.rootfs,
            udev: &mut self.roots.udev,
            text: &mut self.text,
            path: &mut self.path,
            shared: &self.shared,
            started: Instant::now(),
            deadline,
        }
    }
}

/// Why a collector has nothing, or nothing more, to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Error {
    /// The source is not there: no fault, logged at debug level.
    NoData(Cow<'static, str>),
    /// Nor is a file: no fault either.
    Absent { path: Box<str> },
    /// A file that could not be read.
    Io { path: Box<str>, errno: Errno },
    /// Anything else, in one line that says where and what.
    Failed(Cow<'static, str>),
}

impl Error {
    pub fn no_data(why: impl Into<Cow<'static, str>>) -> Self {
        Error::NoData(why.into())
    }

    pub fn io(path: &str, errno: Errno) -> Self {
        Error::Io { path: path.into(), errno }
    }

    pub fn failed(why: impl Into<Cow<'static, str>>) -> Self {
        Error::Failed(why.into())
    }

    /// `net/dev: cannot parse "12x"`
    pub fn malformed(path: &str, token: &[u8]) -> Self {
        const SHOWN: usize = 80;
        let token = String::from_utf8_lossy(&token[..token.len().min(SHOWN)]);
        Error::Failed(format!("{path}: cannot parse {token:?}").into())
    }

    pub fn truncated(path: &str) -> Self {
        Error::Failed(format!("{path}: ends too early").into())
    }

    /// Whether the file does not exist.
    pub fn is_absent(&self) -> bool {
        matches!(self, Error::Io { errno: Errno::NOENT, .. })
    }

    /// Whether the file may not be read.
    pub fn is_denied(&self) -> bool {
        matches!(self, Error::Io { errno: Errno::ACCESS | Errno::PERM, .. })
    }

    pub fn is_no_data(&self) -> bool {
        matches!(self, Error::NoData(_) | Error::Absent { .. })
    }

    /// For sources that are not everybody's: neither absence nor a closed door is a fault.
    #[must_use]
    pub fn denied_is_no_data(self) -> Self {
        if self.is_denied() {
            Error::NoData(self.to_string().into())
        } else {
            self.absent_is_no_data()
        }
    }

    /// For sources that need not exist: absence is no fault.
    #[must_use]
    pub fn absent_is_no_data(self) -> Self {
        match self {
            Error::Io { path, errno: Errno::NOENT } => Error::Absent { path },
            other => other,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::NoData(why) | Error::Failed(why) => f.write_str(why),
            Error::Absent { path } => write!(f, "{path}: {}", errno_text(Errno::NOENT)),
            Error::Io { path, errno } => write!(f, "{path}: {}", errno_text(*errno)),
        }
    }
}

impl std::error::Error for Error {}

/// Absence that is no fault: `read(…).absent_is_no_data()?`.
pub trait AbsentIsNoData {
    #[must_use]
    fn absent_is_no_data(self) -> Self;
}

impl<T> AbsentIsNoData for Result<T> {
    fn absent_is_no_data(self) -> Self {
        self.map_err(Error::absent_is_no_data)
    }
}

/// The text for an errno that the original prints: the C library's in lower case, save for a few.
pub fn errno_text(errno: Errno) -> String {
    /// `ERFKILL`, the last one that the original has a text for.
    const LAST: i32 = 132;

    match errno.raw_os_error() {
        number if number > LAST => return format!("errno {number}"),
        _ if errno == Errno::STALE => return "stale NFS file handle".to_owned(),
        _ => {}
    }
    let text = std::io::Error::from(errno).to_string();
    let text = text.split(" (os error").next().unwrap_or(&text);
    match text.split_once(char::is_whitespace) {
        // "RPC struct is bad" and the like keep their capitals.
        Some((first, _)) if first.chars().skip(1).any(char::is_uppercase) => text.to_owned(),
        _ => {
            let mut chars = text.chars();
            chars
                .next()
                .map_or_else(String::new, |first| first.to_lowercase().chain(chars).collect())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_shared_source_is_read_once_a_scrape_and_again_after_a_failure() {
        let shared = PerScrape::<u32>::default();
        let first = Instant::now();
        let second = first + Duration::from_secs(1);
        let count = |deadline| {
            shared.get(deadline, |count| {
                *count += 1;
                Ok(())
            })
        };
        assert_eq!(**count(first).unwrap(), 1);
        assert_eq!(**count(first).unwrap(), 1);
        assert_eq!(**count(second).unwrap(), 2);
        let third = second + Duration::from_secs(1);
        assert!(shared.get(third, |_| Err(Error::failed("gone"))).is_err());
        assert_eq!(**count(third).unwrap(), 3);
    }

    #[test]
    fn errnos_read_as_in_the_original() {
        for (errno, text) in [
            (Errno::NOTCONN, "transport endpoint is not connected"),
            (Errno::STALE, "stale NFS file handle"),
            (Errno::DOTDOT, "RFS specific error"),
            (Errno::RFKILL, "operation not possible due to RF-kill"),
            (Errno::HWPOISON, "errno 133"),
        ] {
            assert_eq!(errno_text(errno), text);
        }
    }
}
