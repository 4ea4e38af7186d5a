//! What btrfs tells of its devices, by ioctl(2) on a mount.

#![expect(unsafe_code, reason = "these requests have no safe wrapper")]

use std::fmt;
use std::os::fd::OwnedFd;

use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;
use rustix::ioctl::{Getter, Opcode, Updater, ioctl, opcode};

/// `BTRFS_SUPER_MAGIC` of linux/magic.h.
const MAGIC: u64 = 0x9123_683e;

/// `BTRFS_FIRST_FREE_OBJECTID`: the inode of every subvolume's root.
const ROOT_INODE: u64 = 256;

const GROUP: u8 = 0x94;
const FS_INFO: Opcode = opcode::read::<FsInfo>(GROUP, 31);
const DEV_INFO: Opcode = opcode::read_write::<DevInfo>(GROUP, 30);
const DEV_STATS: Opcode = opcode::read_write::<DevStats>(GROUP, 52);

/// `struct btrfs_ioctl_fs_info_args`
#[repr(C)]
#[derive(Clone, Copy)]
struct FsInfo {
    max_id: u64,
    num_devices: u64,
    fsid: [u8; 16],
    rest: [u64; 124],
}

/// `struct btrfs_ioctl_dev_info_args`
#[repr(C)]
#[derive(Clone, Copy)]
struct DevInfo {
    devid: u64,
    uuid: [u8; 16],
    bytes_used: u64,
    total_bytes: u64,
    rest: [u64; 379],
    path: [u8; 1024],
}

/// `struct btrfs_ioctl_get_dev_stats`
#[repr(C)]
#[derive(Clone, Copy)]
struct DevStats {
    devid: u64,
    nr_items: u64,
    flags: u64,
    values: Errors,
    rest: [u64; 121],
}

/// How often writing, reading, flushing failed, and data or generations were wrong.
pub type Errors = [u64; 5];

/// A mounted file system as a whole.
#[derive(Debug, Default)]
pub struct FileSystem {
    pub fsid: [u8; 16],
    pub devices: Vec<Device>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// As the kernel knows it; empty when the device is missing.
    pub path: Vec<u8>,
    pub uuid: Uuid,
    pub total_bytes: u64,
    pub used_bytes: u64,
    pub errors: Errors,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Uuid(pub [u8; 16]);

impl fmt::Display for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == [0; 16] {
            return f.write_str("<zero>");
        }
        for (at, byte) in self.0.iter().enumerate() {
            let dash = if matches!(at, 4 | 6 | 8 | 10) { "-" } else { "" };
            write!(f, "{dash}{byte:02x}")?;
        }
        Ok(())
    }
}

impl FileSystem {
    /// Asks the file system mounted at `path` anew. Only a subvolume's root answers for it.
    pub fn read(&mut self, path: &str) -> Result<(), Errno> {
        self.devices.clear();
        let stat = rustix::fs::stat(path)?;
        let is_root = stat.st_ino == ROOT_INODE
            && FileType::from_raw_mode(stat.st_mode) == FileType::Directory
            && rustix::fs::statfs(path)?.f_type.cast_unsigned() == MAGIC;
        if !is_root {
            return Err(Errno::NOTTY);
        }
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        let root = rustix::fs::open(path, flags | OFlags::NOATIME, Mode::empty())
            .or_else(|_| rustix::fs::open(path, flags, Mode::empty()))?;
        // SAFETY: the request writes one FsInfo, whose size is part of its number.
        let info = unsafe { ioctl(&root, Getter::<FS_INFO, FsInfo>::new()) }?;
        self.fsid = info.fsid;
        for devid in 0..=info.max_id {
            match device(&root, devid) {
                Ok(device) => self.devices.push(device),
                // Numbers of devices that were removed are not given again.
                Err(Errno::NODEV) => {}
                Err(errno) => return Err(errno),
            }
            if self.devices.len() as u64 == info.num_devices {
                break;
            }
        }
        Ok(())
    }
}

fn device(root: &OwnedFd, devid: u64) -> Result<Device, Errno> {
    let mut info = DevInfo {
        devid,
        uuid: [0; 16],
        bytes_used: 0,
        total_bytes: 0,
        rest: [0; 379],
        path: [0; 1024],
    };
    // SAFETY: the request reads and writes one DevInfo, whose size is part of its number.
    unsafe { ioctl(root, Updater::<DEV_INFO, DevInfo>::new(&mut info)) }?;
    let values = Errors::default();
    let nr_items = values.len() as u64;
    let mut stats = DevStats { devid, nr_items, flags: 0, values, rest: [0; 121] };
    // SAFETY: the request reads and writes one DevStats, whose size is part of its number.
    match unsafe { ioctl(root, Updater::<DEV_STATS, DevStats>::new(&mut stats)) } {
        // The device was there a moment ago.
        Err(Errno::NODEV) => return Err(Errno::IO),
        other => other?,
    }
    let path = info.path.split(|&byte| byte == 0).next().unwrap_or_default();
    Ok(Device {
        path: path.to_vec(),
        uuid: Uuid(info.uuid),
        total_bytes: info.total_bytes,
        used_bytes: info.bytes_used,
        errors: stats.values,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_have_the_kernels_numbers() {
        let numbers = [FS_INFO, DEV_INFO, DEV_STATS];
        assert_eq!(numbers, [0x8400_941f, 0xd000_941e, 0xc408_9434]);
    }

    #[test]
    fn identifiers() {
        let bytes = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 255];
        assert_eq!(Uuid(bytes).to_string(), "00010203-0405-0607-0809-0a0b0c0d0eff");
        assert_eq!(Uuid([0; 16]).to_string(), "<zero>");
    }

    #[test]
    fn what_is_no_btrfs_is_refused() {
        let mut file_system = FileSystem::default();
        assert_eq!(file_system.read("/proc"), Err(Errno::NOTTY));
        assert_eq!(file_system.read("/nowhere/at/all"), Err(Errno::NOENT));
    }
}
