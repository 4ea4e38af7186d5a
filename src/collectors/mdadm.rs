//! Software RAID arrays, from `/proc/mdstat` and `/sys/block/md*/md`.

mod mdstat;

use crate::collector::prelude::*;
use mdstat::Array;

pub static SPEC: Spec = Spec::new("mdadm", On, "/proc/mdstat, /sys/block/md*/md", &[], |_| {
    Ok(Box::new(Mdadm::default()))
});

static DISKS_REQUIRED: Desc =
    gauge("node_md_disks_required", "Disks that the array is made of.", &["device"]);
static DISKS: Desc = gauge(
    "node_md_disks",
    "Disks of the array that are active, failed, or spare.",
    &["device", "state"],
);
static STATE: Desc = gauge(
    "node_md_state",
    "1 for what the array is doing, 0 for the rest; all 0 while it is reshaped.",
    &["device", "state"],
);
static BLOCKS: Desc =
    gauge("node_md_blocks", "Size of the array in blocks of 1024 bytes.", &["device"]);
static BLOCKS_SYNCED: Desc = gauge(
    "node_md_blocks_synced",
    "Blocks that are in sync, as far as the array is syncing, else all.",
    &["device"],
);
static RAID_DISKS: Desc = gauge(
    "node_md_raid_disks",
    "Disks that the array is made of, according to sysfs.",
    &["device"],
);
static DEGRADED: Desc =
    gauge("node_md_degraded", "Disks that the array lacks.", &["device"]);

/// How states are told, and what they are called in mdstat or by us.
const STATES: [(&str, &[u8]); 5] = [
    ("active", b"active"),
    ("check", mdstat::CHECKING),
    ("inactive", b"inactive"),
    ("recovering", mdstat::RECOVERING),
    ("resync", mdstat::RESYNCING),
];

const DIRECTORY: &str = "block";

/// Arrays that know no number of disks, and those of whose sysfs more has to be there.
const CONTAINERS: [&[u8]; 4] = [b"container", b"imsm", b"ddf", b""];
const STRIPED: [&[u8]; 5] = [b"raid0", b"raid4", b"raid5", b"raid6", b"raid10"];
const REDUNDANT: [&[u8]; 5] = [b"raid1", b"raid4", b"raid5", b"raid6", b"raid10"];

#[derive(Default)]
struct Mdadm {
    devices: Listing,
    parts: Listing,
}

impl Collector for Mdadm {
    fn collect(&mut self, cx: &mut Cx<'_>, out: &mut Samples) -> Result<()> {
        if !cx.proc.is_present() {
            return Err(Error::failed("the procfs is not there"));
        }
        let text = cx.proc.read("mdstat", cx.text).absent_is_no_data()?;
        out.all_or_nothing(|out| mdstat::parse(text, |array| push(array, out)))?;
        if !cx.sys.is_present() {
            return Err(Error::failed("the sysfs is not there"));
        }
        out.all_or_nothing(|out| self.push_sysfs(cx, out)).absent_is_no_data()
    }
}

fn push(array: &Array<'_>, out: &mut Samples) {
    let Array { name, state, .. } = *array;
    out.push(&DISKS_REQUIRED, &[&name], array.required);
    out.push(&DISKS, &[&name, &"active"], array.active);
    out.push(&DISKS, &[&name, &"failed"], array.failed);
    out.push(&DISKS, &[&name, &"spare"], array.spare);
    for (told, called) in STATES {
        out.push(&STATE, &[&name, &told], state == called);
    }
    out.push(&BLOCKS, &[&name], array.blocks);
    out.push(&BLOCKS_SYNCED, &[&name], array.synced);
}

impl Mdadm {
    fn push_sysfs(&mut self, cx: &mut Cx<'_>, out: &mut Samples) -> Result<()> {
        let Self { devices, parts } = self;
        // What cannot be listed has no arrays.
        let _ = cx.sys.try_list(DIRECTORY, devices);
        for device in devices.names().filter(|name| name.starts_with("md")) {
            if cx.list(&[DIRECTORY, "/", device, "/md"], parts).is_ok() {
                push_array(device, parts, cx, out)?;
            }
        }
        Ok(())
    }
}

/// Tells two numbers of an array. The rest that is read here nobody tells, yet it must be there.
fn push_array(device: &str, parts: &Listing, cx: &mut Cx<'_>, out: &mut Samples) -> Result<()> {
    let level = read(device, "level", cx)?.bytes;
    let [is_container, is_striped, is_redundant] =
        [&CONTAINERS[..], &STRIPED, &REDUNDANT].map(|levels| levels.contains(&level));
    read(device, "array_state", cx)?;
    read(device, "metadata_version", cx)?;
    if !is_container && let Some(disks) = disks(read(device, "raid_disks", cx)?) {
        out.push(&RAID_DISKS, &[&device], disks);
    }
    read(device, "uuid", cx)?;
    for disk in parts.names().filter(|name| name.starts_with("dev-")) {
        cx.attribute(&[DIRECTORY, "/", device, "/md/", disk, "/state"])?;
    }
    if is_striped {
        read(device, "chunk_size", cx)?.parse::<u64>()?;
    }
    let mut degraded = 0;
    if is_redundant {
        degraded = read(device, "degraded", cx)?.parse::<u64>()?;
        read(device, "sync_action", cx)?;
        check_completed(read(device, "sync_completed", cx)?)?;
    }
    out.push(&DEGRADED, &[&device], degraded);
    Ok(())
}

fn read<'t>(device: &str, file: &str, cx: &'t mut Cx<'_>) -> Result<Text<'t>> {
    cx.attribute(&[DIRECTORY, "/", device, "/md/", file])
}

/// `11`, or `11 (10)` while the array grows; nothing where that is unknown.
fn disks(text: Text<'_>) -> Option<u64> {
    let number = text.split_once(b' ').map_or(text, |(number, _)| number);
    number.parse().ok()
}

/// `none`, or `1024 / 4096`.
fn check_completed(text: Text<'_>) -> Result<()> {
    let mut fields = text.fields();
    let mut number = || fields.next().and_then(|field| field.parse::<u64>().ok());
    if text.bytes == b"none" {
        return Ok(());
    }
    match (number(), fields.next().map(|field| field.bytes), fields.next()) {
        (Some(_), Some(b"/"), Some(all)) => all.parse::<u64>().map(drop),
        _ => Err(text.malformed()),
    }
}
