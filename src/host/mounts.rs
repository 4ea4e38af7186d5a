//! The table of mounts, from `/proc/1/mountinfo`.

use std::fmt::Write as _;
use std::ops::Range;

use super::Root;
use super::cursor::{Number as _, Text};
use crate::collector::{Error, Result};
use crate::exposition::Repaired;
use crate::number;

/// All mounts, in the kernel's order.
#[derive(Debug, Default, Clone)]
pub struct Mounts {
    /// Devices, mount points and types, one after another.
    names: String,
    entries: Vec<Entry>,
    /// For a mount point with escapes.
    unescaped: Vec<u8>,
}

#[derive(Debug, Clone)]
struct Entry {
    device: Range<usize>,
    mountpoint: Range<usize>,
    fstype: Range<usize>,
    is_readonly: bool,
    number: (i64, i64),
}

/// One mount.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mount<'a> {
    pub device: &'a str,
    /// As seen from the root that the agent was given.
    pub mountpoint: &'a str,
    pub fstype: &'a str,
    /// Whether the mount or the file system as a whole takes no writes.
    pub is_readonly: bool,
    /// Of the device, or one that the kernel made up.
    pub major: i64,
    pub minor: i64,
}

impl Mounts {
    /// Reads the table in place of what was known. What is mounted where depends on who looks: the
    /// first process sees the host, and where it is hidden, this one has to do.
    pub fn read(&mut self, proc: &mut Root, rootfs: &Root, buffer: &mut Vec<u8>) -> Result<()> {
        let rootfs = rootfs.path().as_os_str().as_encoded_bytes();
        if let Some(text) = proc.read_present("1/mountinfo", buffer)? {
            return self.parse(text, rootfs);
        }
        self.parse(proc.read("self/mountinfo", buffer)?, rootfs)
    }

    fn parse(&mut self, text: Text<'_>, rootfs: &[u8]) -> Result<()> {
        self.names.clear();
        self.entries.clear();
        for line in text.scan() {
            self.add(&Line::parse(line?)?, rootfs)?;
        }
        Ok(())
    }

    fn add(&mut self, line: &Line<'_>, rootfs: &[u8]) -> Result<()> {
        let number = device_number(line.number)?;
        let device = self.keep(line.device);
        let mut unescaped = std::mem::take(&mut self.unescaped);
        unescape(line.mountpoint, &mut unescaped);
        let mountpoint = self.keep(without_root(&unescaped, rootfs));
        self.unescaped = unescaped;
        let fstype = self.keep(line.fstype);
        let is_readonly = has_flag(line.options, b"ro")
            || has_flag(line.super_options, b"ro")
            // What ext4 does on a fault.
            || has_flag(line.super_options, b"emergency_ro");
        self.entries.push(Entry { device, mountpoint, fstype, is_readonly, number });
        Ok(())
    }

    fn keep(&mut self, name: &[u8]) -> Range<usize> {
        let start = self.names.len();
        // A String takes every write.
        let _ = write!(self.names, "{}", Repaired(name));
        start..self.names.len()
    }

    pub fn iter(&self) -> impl Iterator<Item = Mount<'_>> {
        (0..self.entries.len()).map(|at| self.at(at))
    }

    /// The mount at that place of the table.
    pub fn at(&self, at: usize) -> Mount<'_> {
        let entry = &self.entries[at];
        let (major, minor) = entry.number;
        Mount {
            device: &self.names[entry.device.clone()],
            mountpoint: &self.names[entry.mountpoint.clone()],
            fstype: &self.names[entry.fstype.clone()],
            is_readonly: entry.is_readonly,
            major,
            minor,
        }
    }
}

/// A line of a `mountinfo` file, between whose columns stands one space each:
/// `36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue`
#[derive(Debug, Clone, Copy)]
pub struct Line<'a> {
    pub number: Text<'a>,
    pub mountpoint: &'a [u8],
    pub options: &'a [u8],
    pub fstype: &'a [u8],
    pub device: &'a [u8],
    pub super_options: &'a [u8],
}

impl<'a> Line<'a> {
    pub fn parse(line: Text<'a>) -> Result<Self> {
        // Those before the optional columns, the dash and what follows it.
        const LEAST: usize = 10;

        if memchr::memchr_iter(b' ', line.bytes).count() + 1 < LEAST {
            return Err(line.malformed());
        }
        let mut columns = line.bytes.split(|&byte| byte == b' ');
        let mut first = || columns.next().unwrap_or_default();
        let (id, parent, number, _, mountpoint, options) =
            (first(), first(), first(), first(), first(), first());
        let mut last = || columns.next_back().unwrap_or_default();
        let (super_options, device, fstype, dash) = (last(), last(), last(), last());
        if dash != b"-" {
            return Err(Error::malformed(line.path, dash));
        }
        for id in [id, parent] {
            i64::from_bytes(id).ok_or_else(|| Error::malformed(line.path, id))?;
        }
        let number = Text { bytes: number, ..line };
        Ok(Self { number, mountpoint, options, fstype, device, super_options })
    }
}

/// The value of an option, empty where it has none; the last one of that name counts.
pub fn option<'a>(options: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let mut from_last = options.rsplit(|&byte| byte == b',').map(|option| {
        let mut parts = option.split(|&byte| byte == b'=');
        (parts.next().unwrap_or_default(), parts.next().unwrap_or_default())
    });
    from_last.find(|(known, _)| *known == name).map(|(_, value)| value)
}

fn has_flag(options: &[u8], name: &[u8]) -> bool {
    option(options, name).is_some_and(<[u8]>::is_empty)
}

/// `98:0`; what follows the second number does not count.
fn device_number(text: Text<'_>) -> Result<(i64, i64)> {
    let parse = || {
        let (major, rest) = leading_number(text.bytes)?;
        let (minor, _) = leading_number(rest.strip_prefix(b":")?)?;
        Some((major, minor))
    };
    parse().ok_or_else(|| text.malformed())
}

fn leading_number(text: &[u8]) -> Option<(i64, &[u8])> {
    let text = text.trim_ascii_start();
    let signs = usize::from(matches!(text, [b'+' | b'-', ..]));
    let digits = text[signs..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (number, rest) = text.split_at(signs + digits);
    Some((number::int(number)?, rest))
}

/// Spaces and tabs are written as `\040` and `\011`, and read back as in fstab(5); what else the
/// kernel escapes stays as it is written.
fn unescape(text: &[u8], unescaped: &mut Vec<u8>) {
    unescaped.clear();
    let mut rest = text;
    while let Some(at) = memchr::memchr(b'\\', rest) {
        let (before, escape) = rest.split_at(at);
        unescaped.extend_from_slice(before);
        let (byte, length) = match escape {
            [_, b'0', b'4', b'0', ..] => (b' ', 4),
            [_, b'0', b'1', b'1', ..] => (b'\t', 4),
            _ => (b'\\', 1),
        };
        unescaped.push(byte);
        rest = &escape[length..];
    }
    unescaped.extend_from_slice(rest);
}

/// The mount point as it is called within the root; the prefix is one of text, not of a path.
fn without_root<'a>(mountpoint: &'a [u8], rootfs: &[u8]) -> &'a [u8] {
    if rootfs == b"/" {
        return mountpoint;
    }
    match mountpoint.strip_prefix(rootfs).unwrap_or(mountpoint) {
        b"" => b"/",
        stripped => stripped,
    }
}

/// Where a mount point lies for us, below the root that the agent was given.
pub fn push_path(path: &mut String, rootfs: &Root, mountpoint: &str) {
    let rootfs = rootfs.path().to_string_lossy();
    // A String takes every write.
    let _ = write!(path, "{}/{}", rootfs.trim_end_matches('/'), mountpoint.trim_start_matches('/'));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(bytes: &[u8]) -> Text<'_> {
        Text::new("1/mountinfo", bytes)
    }

    #[test]
    fn lines() {
        const GOOD: &str =
            "36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue";
        for (line, expected) in [
            (GOOD.to_owned(), Some(("/dev/root", "/mnt2", "ext3", false, 98, 0))),
            (GOOD.replace(" master:1", ""), Some(("/dev/root", "/mnt2", "ext3", false, 98, 0))),
            (
                GOOD.replace("master:1", "shared:7 master:1 - x"),
                Some(("/dev/root", "/mnt2", "ext3", false, 98, 0)),
            ),
            (
                GOOD.replace("rw,noatime", "noatime,ro"),
                Some(("/dev/root", "/mnt2", "ext3", true, 98, 0)),
            ),
            (
                GOOD.replace("rw,errors", "ro,errors"),
                Some(("/dev/root", "/mnt2", "ext3", true, 98, 0)),
            ),
            (
                GOOD.replace("rw,errors=continue", "rw,emergency_ro"),
                Some(("/dev/root", "/mnt2", "ext3", true, 98, 0)),
            ),
            (
                GOOD.replace("rw,noatime", "rw,emergency_ro"),
                Some(("/dev/root", "/mnt2", "ext3", false, 98, 0)),
            ),
            (GOOD.replace("/dev/root", ""), Some(("", "/mnt2", "ext3", false, 98, 0))),
            (
                GOOD.replace("98:0", "+098:-7:x"),
                Some(("/dev/root", "/mnt2", "ext3", false, 98, -7)),
            ),
            (GOOD.replace("36 35", "+36 -35"), Some(("/dev/root", "/mnt2", "ext3", false, 98, 0))),
            (GOOD.replace("36 35", "36  35"), None),
            (GOOD.replace(" rw,errors=continue", ""), None),
            (GOOD.replace("36", "x"), None),
            (GOOD.replace("35", ""), None),
            (GOOD.replace("98:0", "98:"), None),
            (GOOD.replace("98:0", "98"), None),
            (GOOD.replace("98:0", ":0"), None),
            (GOOD.replace("98:0", "98;0"), None),
            (GOOD.replace("98:0", "9223372036854775808:0"), None),
            (GOOD.replace(" - ", " "), None),
            ("36 35 98:0 /mnt1 /mnt2 rw - ext3 /dev/root".to_owned(), None),
            (String::new(), None),
        ] {
            let mut mounts = Mounts::default();
            let parsed = mounts.parse(text(format!("{line}\n").as_bytes()), b"/").ok();
            let expected =
                expected.map(|(device, mountpoint, fstype, is_readonly, major, minor)| Mount {
                    device,
                    mountpoint,
                    fstype,
                    is_readonly,
                    major,
                    minor,
                });
            assert_eq!(parsed.map(|()| mounts.at(0)), expected, "{line}");
        }
    }

    #[test]
    fn one_bad_line_spoils_the_table_and_an_empty_table_is_none() {
        let mut mounts = Mounts::default();
        mounts.parse(text(b""), b"/").unwrap();
        assert_eq!(mounts.iter().count(), 0);
        let good = "1 2 3:4 / / rw - a b rw\n";
        mounts.parse(text(good.repeat(2).as_bytes()), b"/").unwrap();
        assert_eq!(mounts.iter().count(), 2);
        for bad in ["\n", "x\n", &format!("{}\n", "x".repeat(1 << 16))] {
            mounts.parse(text(format!("{good}{bad}{good}").as_bytes()), b"/").unwrap_err();
        }
        let error = mounts.parse(text(b"1 2 3 / / rw - a b rw"), b"/").unwrap_err();
        assert_eq!(error.to_string(), "1/mountinfo: cannot parse \"3\"");
    }

    #[test]
    fn mount_points() {
        for (written, rootfs, mountpoint) in [
            ("/mnt", "/", "/mnt"),
            ("/a\\040b\\011c\\012d\\134", "/", "/a b\tc\\012d\\134"),
            ("/\\0\\04011\\", "/", "/\\0 11\\"),
            ("/host/mnt", "/host", "/mnt"),
            ("/host", "/host", "/"),
            ("/hostile", "/host", "ile"),
            ("/mnt", "/host", "/mnt"),
            ("/a\\040b/c", "/a b", "/c"),
            ("", "/", ""),
            ("", "", "/"),
        ] {
            let mut mounts = Mounts::default();
            let line = format!("1 2 3:4 / {written} rw - a b rw");
            mounts.parse(text(line.as_bytes()), rootfs.as_bytes()).unwrap();
            assert_eq!(mounts.at(0).mountpoint, mountpoint, "{written} below {rootfs}");
        }
        let mut mounts = Mounts::default();
        mounts.parse(text(b"1 2 3:4 / /\xff\xfe/x\xff rw - \xff \xfe\xfe rw"), b"/").unwrap();
        let Mount { device, mountpoint, fstype, .. } = mounts.at(0);
        assert_eq!([device, mountpoint, fstype], ["\u{fffd}", "/\u{fffd}/x\u{fffd}", "\u{fffd}"]);
    }

    #[test]
    fn options() {
        for (options, name, value) in [
            ("rw,ro", "ro", Some("")),
            ("rw,ro=", "ro", Some("")),
            ("rw,ro=x", "ro", Some("x")),
            ("ro,ro=x", "ro", Some("x")),
            ("ro=x,ro", "ro", Some("")),
            ("a=ro,rox,xro", "ro", None),
            ("addr=10.0.0.1=2,x", "addr", Some("10.0.0.1")),
            ("", "ro", None),
        ] {
            let found = option(options.as_bytes(), name.as_bytes());
            assert_eq!(found, value.map(str::as_bytes), "{name} in {options}");
        }
    }

    #[test]
    fn paths_lie_below_the_root() {
        for (rootfs, mountpoint, expected) in [
            ("/", "/", "/"),
            ("/", "/mnt", "/mnt"),
            ("/host", "/mnt", "/host/mnt"),
            ("/host/", "/", "/host/"),
            ("/host", "ile", "/host/ile"),
            ("some/where", "/mnt", "some/where/mnt"),
        ] {
            let mut path = String::new();
            push_path(&mut path, &Root::new(rootfs), mountpoint);
            assert_eq!(path, expected);
        }
    }
}
