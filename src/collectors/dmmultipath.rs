//! Multipath devices of the device mapper and the paths beneath them, from `/sys/block/dm-*`.

use crate::collector::prelude::*;

pub static SPEC: Spec = Spec::new("dmmultipath", On, "/sys/block/dm-*", &[], |setup| {
    setup.need_proc()?;
    setup.need_sys()?;
    Ok(Box::new(Multipath::default()))
});

static INFO: Desc = gauge(
    "node_dmmultipath_device_info",
    "1 for each multipath device, with its names.",
    &["device", "sysfs_name", "uuid"],
);
static ACTIVE: Desc = gauge(
    "node_dmmultipath_device_active",
    "0 while the device is suspended, else 1.",
    &["device", "sysfs_name"],
);
static SIZE: Desc =
    gauge("node_dmmultipath_device_size_bytes", "Bytes of the device.", &["device", "sysfs_name"]);
static PATHS: Desc =
    gauge("node_dmmultipath_device_paths", "Paths to the device.", &["device", "sysfs_name"]);
static PATHS_ACTIVE: Desc = gauge(
    "node_dmmultipath_device_paths_active",
    "Paths to the device whose disks are running or live.",
    &["device", "sysfs_name"],
);
static PATHS_FAILED: Desc = gauge(
    "node_dmmultipath_device_paths_failed",
    "Paths to the device whose disks are in any other state.",
    &["device", "sysfs_name"],
);
static PATH_STATE: Desc = gauge(
    "node_dmmultipath_path_state",
    "1 for each path, with the state of its disk.",
    &["device", "path", "state"],
);

const DIRECTORY: &str = "block";

/// The kernel counts in these.
const SECTOR: u64 = 512;

#[derive(Default)]
struct Multipath {
    devices: Listing,
    paths: Listing,
    uuid: Vec<u8>,
    name: Vec<u8>,
}

impl Collector for Multipath {
    fn collect(&mut self, cx: &mut Cx<'_>, out: &mut Samples) -> Result<()> {
        let Self { devices, paths, uuid, name } = self;
        out.all_or_nothing(|out| {
            cx.sys.list(DIRECTORY, devices)?;
            for device in devices.names().filter(|device| device.starts_with("dm-")) {
                if !read_uuid(device, uuid, cx)? {
                    continue;
                }
                name.clear();
                let text = cx.attribute(&[DIRECTORY, "/", device, "/dm/name"])?;
                name.extend_from_slice(text.bytes);
                out.push(&INFO, &[name, &device, uuid], 1.0);
                push_device(device, name, cx, out)?;
                push_paths(device, name, paths, cx, out)?;
            }
            Ok(())
        })
        .map_err(Error::denied_is_no_data)
    }
}

/// Whether the device is a multipath one.
fn read_uuid(device: &str, uuid: &mut Vec<u8>, cx: &mut Cx<'_>) -> Result<bool> {
    uuid.clear();
    match cx.attribute(&[DIRECTORY, "/", device, "/dm/uuid"]) {
        Ok(text) => uuid.extend_from_slice(text.bytes),
        Err(error) if error.is_absent() => {}
        Err(error) => return Err(error),
    }
    Ok(uuid.starts_with(b"mpath-"))
}

fn push_device(device: &str, name: &[u8], cx: &mut Cx<'_>, out: &mut Samples) -> Result<()> {
    let suspended: u64 = cx.attribute(&[DIRECTORY, "/", device, "/dm/suspended"])?.parse()?;
    let sectors: u64 = cx.attribute(&[DIRECTORY, "/", device, "/size"])?.parse()?;
    out.push(&ACTIVE, &[&name, &device], suspended != 1);
    out.push(&SIZE, &[&name, &device], sectors.wrapping_mul(SECTOR));
    Ok(())
}

fn push_paths(
    device: &str,
    name: &[u8],
    paths: &mut Listing,
    cx: &mut Cx<'_>,
    out: &mut Samples,
) -> Result<()> {
    match cx.list(&[DIRECTORY, "/", device, "/slaves"], paths) {
        // No such directory, no paths: the listing is empty.
        Err(error) if !error.is_absent() => return Err(error),
        _ => {}
    }
    let (mut active, mut failed) = (0u32, 0u32);
    for path in paths.names() {
        let state = cx.attribute(&[DIRECTORY, "/", path, "/device/state"])?.bytes;
        out.push(&PATH_STATE, &[&name, &path, &state], 1.0);
        *(if matches!(state, b"running" | b"live") { &mut active } else { &mut failed }) += 1;
    }
    out.push(&PATHS, &[&name, &device], active + failed);
    out.push(&PATHS_ACTIVE, &[&name, &device], active);
    out.push(&PATHS_FAILED, &[&name, &device], failed);
    Ok(())
}
