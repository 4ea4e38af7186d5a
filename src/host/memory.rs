//! The process's memory, held to a small footprint.

#![expect(unsafe_code, reason = "the allocator and madvise have no safe wrappers")]

use rustix::mm::{Advice, madvise};

use super::Root;

/// Two arenas, and what is freed goes back to the kernel early: a default glibc keeps six times
/// as much after some hundred scrapes.
pub fn limit_allocator() {
    #[cfg(target_env = "gnu")]
    for (option, value) in [
        (libc::M_ARENA_MAX, 2),
        (libc::M_TRIM_THRESHOLD, 128 * 1024),
        (libc::M_MMAP_THRESHOLD, 128 * 1024),
    ] {
        // SAFETY: mallopt takes any two integers; it runs before other threads exist.
        unsafe { libc::mallopt(option, value) };
    }
}

/// Gives the kernel back what is free between pieces in use, which the allocator keeps by itself.
pub fn trim_allocator() {
    #[cfg(target_env = "gnu")]
    // SAFETY: malloc_trim takes any number of bytes to keep, and locks what it works on.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Unmaps the code that has run so far, and the tables that the dynamic linker has read; what is needed
/// again is mapped again, from the page cache. The kernel maps 64 KiB around each page that is touched,
/// so that after a start most of the program is mapped, and a scrape needs a third of it.
pub fn unmap_code() {
    let mut buffer = Vec::new();
    let Ok(maps) = Root::new("/proc").read_once("self/maps", &mut buffer) else { return };
    for (start, end) in maps.lines().filter_map(|line| unwritten(line.bytes)) {
        let start = std::ptr::with_exposed_provenance_mut(start);
        // SAFETY: the range is a part of a file that was never written to in memory, so that its
        // pages hold what the file holds and come back when they are touched.
        let _ = unsafe { madvise(start, end - start.addr(), Advice::LinuxDontNeed) };
    }
}

/// The range of `55d0f6c00000-55d0f6f00000 r-xp 00021000 fe:00 1311 /usr/bin/hostwarden`, if it is code
/// out of a file or the part at its head. Other parts that cannot be written to now were relocated
/// before.
fn unwritten(line: &[u8]) -> Option<(usize, usize)> {
    let line = std::str::from_utf8(line).ok()?;
    let mut words = line.split_ascii_whitespace();
    let (start, end) = words.next()?.split_once('-')?;
    let is_unwritten = match (words.next()?, words.next()?) {
        ("r-xp", _) => true,
        ("r--p", offset) => offset.bytes().all(|digit| digit == b'0'),
        _ => false,
    };
    let is_file = words.nth(2)?.starts_with('/');
    let number = |digits| usize::from_str_radix(digits, 16).ok();
    (is_unwritten && is_file).then_some((number(start)?, number(end)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_never_written_to_is_unmapped() {
        for (line, expected) in [
            ("1000-3000 r-xp 00021000 fe:00 1311   /usr/bin/hostwarden", Some((0x1000, 0x3000))),
            ("1000-3000 r--p 00000000 fe:00 1311   /usr/bin/hostwarden", Some((0x1000, 0x3000))),
            ("1000-3000 r--p 00021000 fe:00 1311   /usr/bin/hostwarden", None),
            ("1000-3000 rwxp 00021000 fe:00 1311   /usr/bin/hostwarden", None),
            ("1000-3000 r-xp 00000000 00:00 0      [vdso]", None),
            ("1000-3000 r-xp 00000000 00:00 0", None),
            ("", None),
        ] {
            assert_eq!(unwritten(line.as_bytes()), expected, "{line}");
        }
    }

    #[test]
    fn code_comes_back_when_it_runs() {
        let before = (0..1000_u32).map(|number| number.to_string()).collect::<String>();
        unmap_code();
        assert_eq!((0..1000_u32).map(|number| number.to_string()).collect::<String>(), before);
    }
}
