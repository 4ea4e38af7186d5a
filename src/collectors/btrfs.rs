//! Space, commits and devices of btrfs, from `/sys/fs/btrfs` and by ioctl(2) on the mounts.

use std::fmt::{self, Write as _};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::collector::prelude::*;
use crate::host::btrfs::{Device, FileSystem};
use crate::host::mounts::push_path;
use crate::isolated::{Crew, Errand};
use crate::number;

pub static SPEC: Spec =
    Spec::new("btrfs", On, "/sys/fs/btrfs, ioctl on the mounts of btrfs", &[], |setup| {
        setup.need_sys()?;
        Ok(Box::new(Btrfs::default()))
    });

static INFO: Desc = gauge("node_btrfs_info", "1; what the file system is called.", &["label", "uuid"]);
static GLOBAL_RESERVE: Desc = gauge(
    "node_btrfs_global_rsv_size_bytes",
    "Bytes set aside for when space is short.",
    &["uuid"],
);
static COMMITS: Desc = counter("node_btrfs_commits_total", "Commits made.", &["uuid"]);
static LAST_COMMIT: Desc =
    gauge("node_btrfs_last_commit_seconds", "Seconds that the last commit took.", &["uuid"]);
static MAX_COMMIT: Desc =
    gauge("node_btrfs_max_commit_seconds", "Seconds that the longest commit took.", &["uuid"]);
static COMMIT_SECONDS: Desc =
    counter("node_btrfs_commit_seconds_total", "Seconds that all commits took.", &["uuid"]);
static RESERVED: Desc = gauge(
    "node_btrfs_reserved_bytes",
    "Bytes promised to writes that are under way.",
    &["block_group_type", "uuid"],
);

const LAYOUT_LABELS: &[&str] = &["block_group_type", "mode", "uuid"];

static USED: Desc =
    gauge("node_btrfs_used_bytes", "Bytes used, by kind of data and layout.", LAYOUT_LABELS);
static SIZE: Desc =
    gauge("node_btrfs_size_bytes", "Bytes allocated, by kind of data and layout.", LAYOUT_LABELS);
static RATIO: Desc = gauge(
    "node_btrfs_allocation_ratio",
    "Bytes on the devices for each byte of data, by layout.",
    LAYOUT_LABELS,
);

const DEVICE_LABELS: &[&str] = &["btrfs_dev_uuid", "device", "uuid"];

/// Where the devices cannot be asked, without `btrfs_dev_uuid`.
static DEVICE_SIZE: Desc =
    gauge("node_btrfs_device_size_bytes", "Size of a device, in bytes.", DEVICE_LABELS);
static DEVICE_UNUSED: Desc = gauge(
    "node_btrfs_device_unused_bytes",
    "Bytes of a device that are not allocated.",
    DEVICE_LABELS,
);
static DEVICE_ERRORS: Desc = counter(
    "node_btrfs_device_errors_total",
    "Faults that a device had since they were last reset.",
    &["btrfs_dev_uuid", "device", "type", "uuid"],
);

/// In the order of [`crate::host::btrfs::Errors`].
const ERROR_TYPES: [&str; 5] = ["write", "read", "flush", "corruption", "generation"];

const DIRECTORY: &str = "fs/btrfs";

/// How long a mount may take to answer.
const TIMEOUT: Duration = Duration::from_secs(5);

#[derive(Default)]
struct Btrfs {
    names: Listing,
    mounts: Mounted,
    buffers: Buffers,
}

impl Collector for Btrfs {
    fn collect(&mut self, cx: &mut Cx<'_>, out: &mut Samples) -> Result<()> {
        let Self { names, mounts, buffers } = self;
        // What cannot be listed has no file systems.
        let _ = cx.sys.try_list(DIRECTORY, names);
        let mut names = names.names().filter(|name| name.contains('-')).peekable();
        if names.peek().is_none() {
            return Ok(());
        }
        mounts.ask(cx);
        out.all_or_nothing(|out| names.try_for_each(|name| push(name, mounts, buffers, cx, out)))
    }
}

/// What the mounts say of the file systems' devices.
#[derive(Default)]
struct Mounted {
    crew: Crew<Inquiry>,
    home: Vec<Inquiry>,
    /// The one that is on its way.
    sent: Vec<Inquiry>,
    /// Places in the table of mounts whose file system has answered.
    answered: Vec<usize>,
}

/// One mount, and what it answered.
struct Inquiry {
    path: Arc<str>,
    file_system: FileSystem,
    outcome: Result<(), Errno>,
    /// Whether it was sent in this scrape.
    is_fresh: bool,
}

impl Errand for Inquiry {
    fn key(&self) -> &Arc<str> {
        &self.path
    }

    fn run(&mut self) {
        self.outcome = self.file_system.read(&self.path);
    }
}

impl Mounted {
    /// Asks each file system by the first of its mounts that answers. One that does not, for want
    /// of permission or because it hangs, is told by its files alone.
    fn ask(&mut self, cx: &mut Cx<'_>) {
        self.crew.welcome(&mut self.home);
        for inquiry in &mut self.home {
            inquiry.is_fresh = false;
        }
        self.answered.clear();
        let Ok(mounts) = cx.mounts() else { return };
        let until = cx.give_up_at().min(Instant::now() + TIMEOUT);
        for (at, mount) in mounts.iter().enumerate().filter(|(_, mount)| mount.fstype == "btrfs") {
            let is_same = |answered: &usize| mounts.at(*answered).device == mount.device;
            if self.answered.iter().any(is_same) {
                continue;
            }
            cx.path.clear();
            push_path(cx.path, cx.rootfs, mount.mountpoint);
            if self.send(cx.path, until) {
                self.answered.push(at);
            }
        }
        self.home.retain(|inquiry| inquiry.is_fresh);
    }

    /// Whether an answer came.
    fn send(&mut self, path: &str, until: Instant) -> bool {
        let mut inquiry = match self.home.iter().position(|inquiry| *inquiry.path == *path) {
            Some(at) => self.home.swap_remove(at),
            None if self.crew.away_since(path).is_some() => return false,
            None => Inquiry {
                path: path.into(),
                file_system: FileSystem::default(),
                outcome: Ok(()),
                is_fresh: false,
            },
        };
        inquiry.is_fresh = true;
        self.sent.push(inquiry);
        self.crew.run(&mut self.sent, until);
        let is_answered = self.sent.iter().any(|inquiry| inquiry.outcome.is_ok());
        self.home.append(&mut self.sent);
        is_answered
    }

    /// The devices of the file system with this identifier.
    fn devices_of(&self, uuid: &[u8]) -> Option<&[Device]> {
        let answers = self.home.iter().filter(|inquiry| inquiry.is_fresh && inquiry.outcome.is_ok());
        let mut file_systems = answers.map(|inquiry| &inquiry.file_system);
        let found = file_systems.find(|file_system| is_written(&file_system.fsid, uuid));
        found.map(|file_system| &*file_system.devices)
    }
}

/// Whether `text` is the identifier in hexadecimal, wherever dashes stand in it.
fn is_written(fsid: &[u8; 16], text: &[u8]) -> bool {
    let digit = |nibble: u8| b"0123456789abcdef"[usize::from(nibble)];
    let digits = fsid.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 0xf)]);
    text.iter().copied().filter(|&byte| byte != b'-').eq(digits)
}

#[derive(Default)]
struct Buffers {
    label: Vec<u8>,
    uuid: Vec<u8>,
    devices: Listing,
    sizes: Vec<u64>,
    /// Whatever else is listed.
    entries: Listing,
}

/// Attributes that nobody tells, in the order in which they are read: one that cannot be read makes
/// what follows read as 0, or fails the collector.
const UNTOLD: [&str; 5] = [
    "clone_alignment",
    "nodesize",
    "quota_override",
    "sectorsize",
    "allocation/global_rsv_reserved",
];
const UNTOLD_BEFORE_RESERVED: [&str; 3] = ["bytes_may_use", "bytes_pinned", "bytes_readonly"];
const UNTOLD_AFTER_RESERVED: [&str; 6] =
    ["bytes_used", "disk_used", "disk_total", "flags", "total_bytes", "total_bytes_pinned"];

fn push(
    name: &str,
    mounts: &Mounted,
    buffers: &mut Buffers,
    cx: &mut Cx<'_>,
    out: &mut Samples,
) -> Result<()> {
    /// Of sizes of block devices, whatever the device has.
    const SECTOR: u64 = 512;

    let Buffers { label, uuid, devices, sizes, entries } = buffers;
    let mut files = Files { name, cx, fault: None };
    files.list("devices", devices);
    sizes.clear();
    for device in devices.names() {
        sizes.push(files.number(format_args!("devices/{device}/size")).wrapping_mul(SECTOR));
    }
    label.clear();
    label.extend_from_slice(files.attribute("label"));
    uuid.clear();
    uuid.extend_from_slice(files.attribute("metadata_uuid"));
    if uuid.is_empty() {
        uuid.extend_from_slice(name.as_bytes());
    }
    out.push(&INFO, &[label, uuid], 1.0);
    files.list("features", entries);
    files.skip(UNTOLD);
    out.push(&GLOBAL_RESERVE, &[uuid], files.number("allocation/global_rsv_size"));
    for kind in ["data", "metadata", "system"] {
        // What went wrong before is forgotten, as in the original.
        files.fault = None;
        push_kind(kind, sizes.len(), uuid, entries, &mut files, out);
    }
    let [commits, last, max, total] = files.commits();
    if let Some(fault) = files.fault {
        return Err(fault);
    }
    out.push(&COMMITS, &[uuid], commits);
    out.push(&LAST_COMMIT, &[uuid], last as f64 / 1000.0);
    out.push(&MAX_COMMIT, &[uuid], max as f64 / 1000.0);
    out.push(&COMMIT_SECONDS, &[uuid], total as f64 / 1000.0);
    match mounts.devices_of(uuid) {
        Some(devices) => devices.iter().for_each(|device| push_device(device, uuid, out)),
        None => {
            for (device, size) in devices.names().zip(sizes) {
                out.push_labelled(&DEVICE_SIZE, &[("device", &device), ("uuid", uuid)], *size);
            }
        }
    }
    Ok(())
}

fn push_kind(
    kind: &str,
    devices: usize,
    uuid: &[u8],
    entries: &mut Listing,
    files: &mut Files<'_, '_>,
    out: &mut Samples,
) {
    files.skip(UNTOLD_BEFORE_RESERVED.map(|file| In(kind, file)));
    out.push(&RESERVED, &[&kind, &uuid], files.number(In(kind, "bytes_reserved")));
    files.skip(UNTOLD_AFTER_RESERVED.map(|file| In(kind, file)));
    files.list(format_args!("allocation/{kind}"), entries);
    for layout in entries.iter().filter(|entry| entry.is_directory()) {
        let layout = layout.name;
        let labels: &[&dyn LabelValue] = &[&kind, &layout, &uuid];
        let size = files.number(format_args!("allocation/{kind}/{layout}/total_bytes"));
        let used = files.number(format_args!("allocation/{kind}/{layout}/used_bytes"));
        out.push(&SIZE, labels, size);
        out.push(&USED, labels, used);
        out.push(&RATIO, labels, ratio(layout, devices));
    }
}

/// How many bytes the devices hold for each byte of data.
fn ratio(layout: &str, devices: usize) -> f64 {
    let devices = devices as f64;
    match layout {
        "single" | "raid0" => 1.0,
        "dup" | "raid1" | "raid10" => 2.0,
        "raid1c3" => 3.0,
        "raid1c4" => 4.0,
        "raid5" => devices / (devices - 1.0),
        "raid6" => devices / (devices - 2.0),
        _ => 0.0,
    }
}

fn push_device(device: &Device, uuid: &[u8], out: &mut Samples) {
    let name = device.path.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
    let device_uuid = format_args!("{}", device.uuid);
    out.push(&DEVICE_SIZE, &[&device_uuid, &name, &uuid], device.total_bytes);
    let unused = device.total_bytes.wrapping_sub(device.used_bytes);
    out.push(&DEVICE_UNUSED, &[&device_uuid, &name, &uuid], unused);
    for (kind, errors) in ERROR_TYPES.iter().zip(device.errors) {
        out.push(&DEVICE_ERRORS, &[&device_uuid, &name, kind, &uuid], errors);
    }
}

/// A file below `allocation/KIND`.
#[derive(Clone, Copy)]
struct In<'a>(&'a str, &'a str);

impl fmt::Display for In<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "allocation/{}/{}", self.0, self.1)
    }
}

/// The files of one file system. What is absent reads as empty or 0; any other fault is kept, and
/// numbers read as 0 from then on.
struct Files<'f, 'c> {
    name: &'f str,
    cx: &'f mut Cx<'c>,
    fault: Option<Error>,
}

impl Files<'_, '_> {
    fn set_path(&mut self, file: impl fmt::Display) {
        self.cx.path.clear();
        // A String takes every write.
        let _ = write!(self.cx.path, "{DIRECTORY}/{}/{file}", self.name);
    }

    fn attribute(&mut self, file: impl fmt::Display) -> &[u8] {
        self.set_path(file);
        match self.cx.sys.try_attribute(self.cx.path, self.cx.text) {
            Ok(text) => text.bytes,
            Err(Errno::NOENT) => &[],
            Err(errno) => {
                self.fault = Some(Error::io(self.cx.path, errno));
                &[]
            }
        }
    }

    fn number(&mut self, file: impl fmt::Display) -> u64 {
        let number = number_or_0(self.attribute(file));
        if self.fault.is_some() { 0 } else { number }
    }

    fn skip(&mut self, files: impl IntoIterator<Item = impl fmt::Display>) {
        for file in files {
            self.attribute(file);
        }
    }

    fn list(&mut self, directory: impl fmt::Display, entries: &mut Listing) {
        self.set_path(directory);
        if let Err(error) = self.cx.sys.list(self.cx.path, entries) {
            self.fault = Some(error);
        }
    }

    /// How many commits, and how long the last, the longest and all took; kernels before 6.0 do
    /// not say.
    fn commits(&mut self) -> [u64; 4] {
        self.set_path("commit_stats");
        let text = self.cx.sys.read_present(self.cx.path, self.cx.text);
        match text.and_then(|text| text.map_or(Ok([0; 4]), parse_commits)) {
            Ok(commits) => commits,
            Err(error) => {
                self.fault = Some(error);
                [0; 4]
            }
        }
    }
}

/// One too large becomes the largest, and what is no number becomes 0.
fn number_or_0(text: &[u8]) -> u64 {
    let is_number = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    number::uint(text).unwrap_or(if is_number { u64::MAX } else { 0 })
}

/// `last_commit_ms 1000`
fn parse_commits(text: Text<'_>) -> Result<[u64; 4]> {
    const NAMES: [&[u8]; 4] =
        [b"commits", b"last_commit_ms", b"max_commit_ms", b"total_commit_ms"];

    let mut commits = [0; 4];
    for line in text.scan() {
        let line = line?;
        let mut fields = line.fields();
        let (Some(name), Some(value), None) = (fields.next(), fields.next(), fields.next()) else {
            return Err(line.malformed());
        };
        let value = value.parse()?;
        if let Some(at) = NAMES.iter().position(|known| *known == name.bytes) {
            commits[at] = value;
        }
    }
    Ok(commits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        for (text, number) in [
            ("", 0),
            ("7", 7),
            ("007", 7),
            ("-7", 0),
            ("+7", 0),
            ("7x", 0),
            ("18446744073709551616", u64::MAX),
        ] {
            assert_eq!(number_or_0(text.as_bytes()), number, "{text}");
        }
    }

    #[test]
    fn commits() {
        for (text, expected) in [
            ("", Some([0; 4])),
            ("commits 1\nlast_commit_ms 2\nmax_commit_ms 3\ntotal_commit_ms 4", Some([1, 2, 3, 4])),
            ("total_commit_ms 4\nother 5\ncommits 1\ncommits 2\n", Some([2, 0, 0, 4])),
            ("commits 1\n\n", None),
            ("commits\n", None),
            ("commits 1 2\n", None),
            ("commits -1\n", None),
            ("other x\n", None),
        ] {
            let commits = parse_commits(Text::new("commit_stats", text.as_bytes())).ok();
            assert_eq!(commits, expected, "{text:?}");
        }
    }

    #[test]
    fn identifiers_are_compared_without_dashes() {
        let fsid = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 255];
        for (text, is_same) in [
            ("00010203-0405-0607-0809-0a0b0c0d0eff", true),
            ("000102030405060708090a0b0c0d0eff", true),
            ("00010203-0405-0607-0809-0A0B0C0D0EFF", false),
            ("00010203-0405-0607-0809-0a0b0c0d0ef", false),
            ("00010203-0405-0607-0809-0a0b0c0d0efff", false),
            ("", false),
        ] {
            assert_eq!(is_written(&fsid, text.as_bytes()), is_same, "{text}");
        }
    }

    #[test]
    fn ratios() {
        for (layout, devices, expected) in [
            ("single", 3, 1.0),
            ("raid10", 4, 2.0),
            ("raid1c4", 4, 4.0),
            ("raid5", 3, 1.5),
            ("raid5", 1, f64::INFINITY),
            ("raid6", 4, 2.0),
            ("raid6", 0, -0.0),
            ("raid7", 4, 0.0),
        ] {
            assert_eq!(ratio(layout, devices).to_bits(), f64::to_bits(expected), "{layout}");
        }
    }
}
