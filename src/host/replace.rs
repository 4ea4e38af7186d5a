//! Files that are replaced whole: who reads one sees what it was or what it becomes, never a part.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{AtFlags, FlockOperation, Mode, OFlags, Stat};
use rustix::io::Errno;

/// Gives the file at `path` the content that `edit` makes of the present one, and this mode.
///
/// Owner and group stay; a new file gets its folder's group where that is allowed, so that a
/// service whose folder it is may read it. A link is followed. Two that edit files in one folder
/// take turns.
pub fn replace(path: &Path, mode: Mode, edit: impl FnOnce(&[u8]) -> Vec<u8>) -> io::Result<()> {
    let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let name = path.file_name().ok_or(Errno::ISDIR)?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let folder = rustix::fs::open(folder.unwrap_or(Path::new(".")), flags, Mode::empty())?;
    rustix::fs::flock(&folder, FlockOperation::LockExclusive)?;

    let (old, stat) = read(&folder, name.as_ref())?;
    let new = edit(&old);
    let temporary = format!(".{}.{}.new", name.display(), std::process::id());
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    let file = rustix::fs::openat(&folder, &temporary, flags, Mode::RUSR | Mode::WUSR)?;
    let outcome = fill(file, &new, mode, stat.as_ref(), &folder)
        .and_then(|()| Ok(rustix::fs::renameat(&folder, &temporary, &folder, name)?));
    if outcome.is_err() {
        // The error to tell is the one before.
        let _ = rustix::fs::unlinkat(&folder, &temporary, AtFlags::empty());
    }
    outcome?;
    Ok(rustix::fs::fsync(&folder)?)
}

fn read(folder: &OwnedFd, name: &Path) -> io::Result<(Vec<u8>, Option<Stat>)> {
    let mut content = Vec::new();
    let file =
        match rustix::fs::openat(folder, name, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()) {
            Err(Errno::NOENT) => return Ok((content, None)),
            file => file?,
        };
    let stat = rustix::fs::fstat(&file)?;
    File::from(file).read_to_end(&mut content)?;
    Ok((content, Some(stat)))
}

fn fill(
    file: OwnedFd,
    content: &[u8],
    mode: Mode,
    old: Option<&Stat>,
    folder: &OwnedFd,
) -> io::Result<()> {
    use rustix::fs::{Gid, Uid, fchown, fstat};

    let mine = fstat(&file)?;
    match old {
        Some(old) if (old.st_uid, old.st_gid) != (mine.st_uid, mine.st_gid) => {
            fchown(&file, Some(Uid::from_raw(old.st_uid)), Some(Gid::from_raw(old.st_gid)))?;
        }
        Some(_) => {}
        // Who may not give the file away keeps it.
        None => drop(fchown(&file, None, Some(Gid::from_raw(fstat(folder)?.st_gid)))),
    }
    rustix::fs::fchmod(&file, mode)?;
    let mut file = File::from(file);
    file.write_all(content)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};

    use super::*;

    const MODE: Mode = Mode::from_raw_mode(0o640);

    #[test]
    #[expect(clippy::disallowed_methods, reason = "a test looks at what was written")]
    fn content_mode_and_owner() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        replace(&path, MODE, |old| [old, b"new"].concat()).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"new");
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o640);

        // Only root gives files away.
        let is_root = rustix::process::geteuid().is_root();
        if is_root {
            chown(&path, Some(12), Some(34)).unwrap();
        }
        let link = folder.path().join("link");
        symlink("file", &link).unwrap();
        replace(&link, MODE, |old| [old, b" again"].concat()).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"new again");
        assert!(std::fs::symlink_metadata(&link).unwrap().is_symlink());
        let stat = std::fs::metadata(&path).unwrap();
        assert!(!is_root || (stat.uid(), stat.gid()) == (12, 34));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2, "nothing is left over");
    }

    #[test]
    fn a_folder_that_is_not_there_is_an_error() {
        let error = replace(Path::new("/nowhere/file"), MODE, <[u8]>::to_vec).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }
}
