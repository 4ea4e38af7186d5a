//! The host's file systems, as the filesystem collector tells them.

use std::collections::HashSet;

use super::figures::{Figures, label};

/// One mounted file system.
pub(super) struct FileSystem<'a> {
    pub(super) mount_point: &'a str,
    pub(super) device: &'a str,
    pub(super) kind: &'a str,
    pub(super) size: f64,
    /// What anybody but root may still fill.
    pub(super) available: f64,
    /// 0 to 1, as df counts: of what is used and available.
    pub(super) used: f64,
    /// Likewise, of inodes; 0 where they have no limit.
    pub(super) inodes_used: f64,
    pub(super) is_read_only: bool,
    /// Keeps what outlives a reboot, and is the first mount of its device.
    pub(super) is_storage: bool,
}

/// Kinds that lie in memory or hold images that are full by nature.
const NO_STORAGE: [&str; 8] =
    ["tmpfs", "ramfs", "devtmpfs", "efivarfs", "overlay", "squashfs", "erofs", "iso9660"];

/// Kinds that are mounted for writing; read-only they tell of a fault.
const WRITABLE: [&str; 8] = ["ext2", "ext3", "ext4", "xfs", "btrfs", "f2fs", "zfs", "jfs"];

impl FileSystem<'_> {
    pub(super) fn should_be_writable(&self) -> bool {
        WRITABLE.contains(&self.kind)
    }
}

pub(super) fn all<'a>(figures: &Figures<'a>) -> Vec<FileSystem<'a>> {
    let mut devices = HashSet::new();
    let sizes = figures.family("node_filesystem_size_bytes").iter().copied();
    let mut all: Vec<FileSystem<'a>> = sizes
        .filter(|size| size.value() > 0.0)
        .map(|size| {
            let beside = |name| figures.beside(name, size).unwrap_or_default();
            let available = beside("node_filesystem_avail_bytes");
            let used = size.value() - beside("node_filesystem_free_bytes");
            let inodes = beside("node_filesystem_files");
            let (device, kind) = (label(size, "device"), label(size, "fstype"));
            FileSystem {
                mount_point: label(size, "mountpoint"),
                device,
                kind,
                size: size.value(),
                available,
                used: share(used, used + available),
                inodes_used: share(inodes - beside("node_filesystem_files_free"), inodes),
                is_read_only: beside("node_filesystem_readonly") > 0.0,
                is_storage: !NO_STORAGE.contains(&kind),
            }
        })
        .collect();
    all.sort_by_key(|system| (system.mount_point.matches('/').count(), system.mount_point));
    for system in all.iter_mut().filter(|system| system.is_storage) {
        system.is_storage = devices.insert(system.device);
    }
    all.sort_by_key(|system| system.mount_point);
    all
}

fn share(part: f64, whole: f64) -> f64 {
    if whole > 0.0 { (part / whole).clamp(0.0, 1.0) } else { 0.0 }
}
