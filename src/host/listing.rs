//! The names in a directory.

use std::ffi::CStr;
use std::os::fd::OwnedFd;

use rustix::fs::{FileType, RawDir};
use rustix::io::Errno;

/// Bytes of directory entries taken from the kernel in one call: some hundred names.
const ENTRIES_AT_ONCE: usize = 4096;

/// The entries of a directory, sorted by name; kept and refilled.
#[derive(Debug, Default)]
pub struct Listing {
    bytes: Vec<u8>,
    entries: Vec<(usize, usize, FileType)>,
    /// What the kernel writes directory entries into.
    buffer: Vec<u8>,
}

impl Listing {
    /// The entries whose names are UTF-8, as are all that the kernel gives below /proc and /sys.
    pub fn iter(&self) -> impl Iterator<Item = Entry<'_>> {
        self.entries.iter().filter_map(|&(start, end, kind)| {
            let name = std::str::from_utf8(&self.bytes[start..end]).ok()?;
            Some(Entry { name, kind })
        })
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.iter().map(|entry| entry.name)
    }

    /// The names that are not UTF-8.
    pub fn strange_names(&self) -> impl Iterator<Item = &[u8]> {
        let names = self.entries.iter().map(|&(start, end, _)| &self.bytes[start..end]);
        names.filter(|name| std::str::from_utf8(name).is_err())
    }

    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.entries.clear();
    }

    pub(super) fn fill(&mut self, dir: &OwnedFd) -> Result<(), Errno> {
        let Self { bytes, entries, buffer } = self;
        buffer.reserve(ENTRIES_AT_ONCE);
        let mut dir = RawDir::new(dir, buffer.spare_capacity_mut());
        while let Some(entry) = dir.next() {
            let entry = entry?;
            let name = entry.file_name();
            if name != c"." && name != c".." {
                let start = bytes.len();
                bytes.extend_from_slice(name.to_bytes_with_nul());
                entries.push((start, bytes.len() - 1, entry.file_type()));
            }
        }
        Ok(())
    }

    /// Sorts, and asks for the types that the directory did not tell.
    pub(super) fn settle(&mut self, file_type: impl Fn(&CStr) -> FileType) {
        let Self { bytes, entries, .. } = self;
        entries.sort_unstable_by(|a, b| bytes[a.0..a.1].cmp(&bytes[b.0..b.1]));
        for (start, end, kind) in entries.iter_mut().filter(|entry| entry.2 == FileType::Unknown) {
            if let Ok(name) = CStr::from_bytes_with_nul(&bytes[*start..=*end]) {
                *kind = file_type(name);
            }
        }
    }
}

/// One name in a directory and what stands there; a link is a link, not what it points to.
#[derive(Debug, Clone, Copy)]
pub struct Entry<'a> {
    pub name: &'a str,
    pub kind: FileType,
}

impl Entry<'_> {
    pub fn is_directory(self) -> bool {
        self.kind == FileType::Directory
    }

    pub fn is_regular(self) -> bool {
        self.kind == FileType::RegularFile
    }

    pub fn is_link(self) -> bool {
        self.kind == FileType::Symlink
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::Root;

    #[test]
    fn a_listing_takes_more_names_than_the_kernel_hands_out_at_once() {
        let tree = tempfile::tempdir().unwrap();
        let names: Vec<String> = (0..300).map(|n| format!("a-rather-long-name-{n:04}")).collect();
        for name in &names {
            std::fs::write(tree.path().join(name), "").unwrap();
        }
        let mut listing = Listing::default();
        for _ in 0..2 {
            Root::new(tree.path()).list("", &mut listing).unwrap();
            assert_eq!(listing.names().collect::<Vec<_>>(), names);
        }
    }
}
