//! Files as they were when they were read, to see that they have changed since.
//!
//! Salt and others keep a file's modification time, and a rewrite may keep its size. What nobody can keep is the inode's own change
//! time. A timer or inotify would see no more: symbolic links may lead to mounts that tell of nothing.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::fs::{
    AtFlags, CWD, Mode, OFlags, ResolveFlags, Stat, StatxFlags, makedev, openat2, stat, statx,
};
use rustix::io::Errno;

/// The files that something was made from.
#[derive(Debug, Default, Clone)]
pub struct Watched(Vec<(PathBuf, Option<Stamp>)>);

impl Watched {
    /// Notes how a file is before it is read. Returns whether it is there at all.
    pub fn add(&mut self, path: &Path) -> bool {
        let found = stat(path);
        self.0.push((path.to_owned(), found.ok().map(Stamp::from)));
        // What is there and cannot be looked at must not pass for absent.
        found.err() != Some(Errno::NOENT)
    }

    /// Whether the kernel can tell from memory that all is as it was. It does not ask a disk or a server,
    /// and so never blocks.
    pub fn are_known_unchanged(&self) -> bool {
        self.0.iter().all(|(path, stamp)| Stamp::in_memory(path).is_ok_and(|known| known == *stamp))
    }

    pub fn have_changed(&self) -> bool {
        self.0.iter().any(|(path, stamp)| Stamp::of(path) != *stamp)
    }

    /// Whether some file was touched so lately that its writer may not be done, and that another write would leave no trace.
    pub fn are_fresh(&self) -> bool {
        self.0.iter().filter_map(|(path, _)| Stamp::of(path)).any(|stamp| stamp.is_fresh())
    }
}

/// Tells one content of a file from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    size: i64,
    changed: (i64, i64),
}

/// Older kernels note times to the tick, which is 10 ms at most.
const TICKS: Duration = Duration::from_millis(20);

impl From<Stat> for Stamp {
    fn from(found: Stat) -> Self {
        let Stat { st_dev, st_ino, st_size, st_ctime, st_ctime_nsec, .. } = found;
        #[expect(clippy::unnecessary_cast, reason = "types differ between architectures")]
        Self {
            device: st_dev as u64,
            inode: st_ino as u64,
            size: st_size as i64,
            changed: (st_ctime as i64, st_ctime_nsec as i64),
        }
    }
}

impl Stamp {
    fn of(path: &Path) -> Option<Self> {
        stat(path).ok().map(Self::from)
    }

    /// Fails with EAGAIN where the way to the file is not in memory or would have to be asked for again, as it
    /// is with what network mounts hold for longer than they trust it; before Linux 5.12, with EINVAL.
    fn in_memory(path: &Path) -> Result<Option<Self>, Errno> {
        let flags = OFlags::PATH | OFlags::CLOEXEC;
        let file = match openat2(CWD, path, flags, Mode::empty(), ResolveFlags::CACHED) {
            Ok(file) => file,
            Err(Errno::NOENT) => return Ok(None),
            Err(errno) => return Err(errno),
        };
        let flags = AtFlags::EMPTY_PATH | AtFlags::STATX_DONT_SYNC;
        let found = statx(file, c"", flags, StatxFlags::BASIC_STATS)?;
        Ok(Some(Self {
            device: makedev(found.stx_dev_major, found.stx_dev_minor),
            inode: found.stx_ino,
            size: found.stx_size.cast_signed(),
            changed: (found.stx_ctime.tv_sec, found.stx_ctime.tv_nsec.into()),
        }))
    }

    fn is_fresh(&self) -> bool {
        let (Ok(seconds), Ok(nanos)) =
            (u64::try_from(self.changed.0), u32::try_from(self.changed.1))
        else {
            return false;
        };
        let changed = UNIX_EPOCH + Duration::new(seconds, nanos);
        SystemTime::now().duration_since(changed).is_ok_and(|age| age < TICKS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_to_change_a_file_shows() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        let link = dir.path().join("link");
        let changes: [(&str, &dyn Fn()); 6] = [
            ("written anew", &|| std::fs::write(&path, "two").unwrap()),
            ("same size and time", &|| {
                let time = path.metadata().unwrap().modified().unwrap();
                std::fs::write(&path, "six").unwrap();
                let file = std::fs::File::options().write(true).open(&path).unwrap();
                file.set_modified(time).unwrap();
            }),
            ("replaced", &|| {
                std::fs::write(dir.path().join("new"), "six").unwrap();
                std::fs::rename(dir.path().join("new"), &path).unwrap();
            }),
            ("gone", &|| std::fs::remove_file(&path).unwrap()),
            ("back", &|| std::fs::write(&path, "six").unwrap()),
            ("led elsewhere", &|| {
                std::fs::write(dir.path().join("other"), "six").unwrap();
                std::fs::remove_file(&link).unwrap();
                std::os::unix::fs::symlink("other", &link).unwrap();
            }),
        ];
        std::fs::write(&path, "one").unwrap();
        std::os::unix::fs::symlink("file", &link).unwrap();
        for (how, change) in changes {
            let mut watched = Watched::default();
            watched.add(&link);
            while watched.are_fresh() {
                std::thread::yield_now();
            }
            assert!(
                !watched.have_changed() && watched.are_known_unchanged(),
                "before it was {how}"
            );
            change();
            assert!(watched.have_changed() && !watched.are_known_unchanged(), "{how}");
        }
    }

    #[test]
    fn what_cannot_be_looked_at_is_not_absent() {
        let mut watched = Watched::default();
        assert!(!watched.add(Path::new("/proc/nothing")));
        assert!(watched.add(Path::new("/proc/version/below")));
        assert!(!watched.have_changed());
        assert!(!watched.are_known_unchanged());
    }
}
