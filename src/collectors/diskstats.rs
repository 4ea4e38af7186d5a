//! Traffic of block devices, from `/proc/diskstats`, and what sysfs and udev know of them.

mod udev;

use crate::collector::prelude::*;
use udev::{Property, Udev};

static EXCLUDE: Flag<Option<Pattern>> = flags::pattern(
    "collector.diskstats.device-exclude",
    r"^(z?ram|loop|fd|(h|s|v|xv)d[a-z]|nvme\d+n\d+p)\d+$",
    "Devices to leave out; not together with device-include.",
);
static OLD_EXCLUDE: Flag<Option<Pattern>> =
    flags::pattern("collector.diskstats.ignored-devices", "", "Old name of device-exclude.")
        .hidden();
static INCLUDE: Flag<Option<Pattern>> = flags::pattern(
    "collector.diskstats.device-include",
    "",
    "Devices to tell of; not together with device-exclude.",
);

pub static SPEC: Spec = Spec::new(
    "diskstats",
    On,
    "/proc/diskstats, /sys/block, /run/udev/data",
    &[&EXCLUDE, &OLD_EXCLUDE, &INCLUDE],
    |setup| {
        setup.need_proc()?;
        setup.need_sys()?;
        let filter = filter(setup)
            .map_err(|error| format!("failed to parse device filter flags: {error}"))?;
        filter.log(&EXCLUDE, &INCLUDE);
        let has_udev = setup.paths.udev.is_dir();
        if !has_udev {
            tracing::error!(
                path = %setup.paths.udev.display(),
                "Failed to open directory, disabling udev device properties"
            );
        }
        Ok(Box::new(DiskStats {
            filter,
            has_udev,
            devices: Roll::default(),
            rotational: Vec::new(),
        }))
    },
);

/// The default gives way to any pattern that is given.
fn filter(setup: &Setup<'_>) -> Result<Filter, String> {
    let (name, old_name) = (EXCLUDE.name(), OLD_EXCLUDE.name());
    let is_given = setup.flags.is_given(name);
    let mut exclude = setup.flags.get(&EXCLUDE);
    if let Some(old) = setup.flags.get(&OLD_EXCLUDE) {
        if is_given {
            return Err(format!("--{old_name} and --{name} are mutually exclusive"));
        }
        tracing::warn!("--{old_name} is DEPRECATED and will be removed in 2.0.0, use --{name}");
        exclude = Some(old);
    }
    let include = setup.flags.get(&INCLUDE);
    if include.is_some() {
        if is_given && exclude.is_some() {
            return Err("device-exclude & device-include are mutually exclusive".to_owned());
        }
        exclude = None;
    }
    Ok(Filter { exclude, include })
}

static INFO: Desc = gauge(
    "node_disk_info",
    "1 for each device, with what udev knows of it as labels.",
    &["device", "major", "minor", "model", "path", "revision", "rotational", "serial", "wwn"],
);
static FILESYSTEM_INFO: Desc = gauge(
    "node_disk_filesystem_info",
    "1 for each device with a filesystem on it, as udev found it.",
    &["device", "type", "usage", "uuid", "version"],
);
static DEVICE_MAPPER_INFO: Desc = gauge(
    "node_disk_device_mapper_info",
    "1 for each device of the device mapper, with its names.",
    &["device", "lv_layer", "lv_name", "name", "uuid", "vg_name"],
);

/// What is told of ATA disks.
static ATA: [(Property, Desc); 3] = [
    (
        Property::AtaWriteCache,
        gauge("node_disk_ata_write_cache", "1 if the disk has a write cache.", &["device"]),
    ),
    (
        Property::AtaWriteCacheEnabled,
        gauge(
            "node_disk_ata_write_cache_enabled",
            "1 if the disk's write cache is in use.",
            &["device"],
        ),
    ),
    (
        Property::AtaRotationRate,
        gauge(
            "node_disk_ata_rotation_rate_rpm",
            "Turns of the disk in a minute; 0 if it has no moving parts.",
            &["device"],
        ),
    ),
];

/// Whatever the disk's sectors are, the kernel counts in these.
const SECTOR: f64 = 512.0;
const MILLISECOND: f64 = 0.001;

/// The columns behind the device's name, and in what unit the kernel counts.
static COLUMNS: [(f64, Desc); 17] = [
    (1.0, counter("node_disk_reads_completed_total", "Reads completed.", &["device"])),
    (
        1.0,
        counter("node_disk_reads_merged_total", "Reads merged with others beside them.", &["device"]),
    ),
    (SECTOR, counter("node_disk_read_bytes_total", "Bytes read.", &["device"])),
    (
        MILLISECOND,
        counter("node_disk_read_time_seconds_total", "Time that all reads took, summed up.", &["device"]),
    ),
    (1.0, counter("node_disk_writes_completed_total", "Writes completed.", &["device"])),
    (
        1.0,
        counter("node_disk_writes_merged_total", "Writes merged with others beside them.", &["device"]),
    ),
    (SECTOR, counter("node_disk_written_bytes_total", "Bytes written.", &["device"])),
    (
        MILLISECOND,
        counter(
            "node_disk_write_time_seconds_total",
            "Time that all writes took, summed up.",
            &["device"],
        ),
    ),
    (1.0, gauge("node_disk_io_now", "Requests under way.", &["device"])),
    (
        MILLISECOND,
        counter("node_disk_io_time_seconds_total", "Time in which any request was under way.", &["device"]),
    ),
    (
        MILLISECOND,
        counter(
            "node_disk_io_time_weighted_seconds_total",
            "Time in which requests were under way, times their number.",
            &["device"],
        ),
    ),
    (1.0, counter("node_disk_discards_completed_total", "Discards completed.", &["device"])),
    (
        1.0,
        counter(
            "node_disk_discards_merged_total",
            "Discards merged with others beside them.",
            &["device"],
        ),
    ),
    (
        1.0,
        counter(
            "node_disk_discarded_sectors_total",
            "Sectors of 512 bytes discarded.",
            &["device"],
        ),
    ),
    (
        MILLISECOND,
        counter(
            "node_disk_discard_time_seconds_total",
            "Time that all discards took, summed up.",
            &["device"],
        ),
    ),
    (1.0, counter("node_disk_flush_requests_total", "Flushes completed.", &["device"])),
    (
        MILLISECOND,
        counter(
            "node_disk_flush_requests_time_seconds_total",
            "Time that all flushes took, summed up.",
            &["device"],
        ),
    ),
];

/// Kernels of before 4.18 count so much, and lines with less are none of a device.
const COLUMNS_MIN: usize = 11;

struct DiskStats {
    filter: Filter,
    has_udev: bool,
    devices: Roll<Device>,
    /// Scratch for an attribute's content.
    rotational: Vec<u8>,
}

impl Collector for DiskStats {
    fn collect(&mut self, cx: &mut Cx<'_>, out: &mut Samples) -> Result<()> {
        let text = cx.proc.read("diskstats", cx.text)?;
        let Self { filter, has_udev, devices, rotational } = self;
        devices.begin();
        out.all_or_nothing(|out| {
            for line in text.scan() {
                let Some(line) = Line::parse(line?)? else { continue };
                if filter.drops(line.name) {
                    continue;
                }
                let device = devices.call(|device| device.is_of(&line), || Device::new(&line));
                if *has_udev {
                    device.udev.refresh(&device.record, cx.udev, cx.started);
                }
                let is_rotational = cx
                    .sys
                    .try_attribute(&device.rotational, rotational)
                    .is_ok_and(|text| text.parse() == Ok(1u64));
                device.push(is_rotational, out);
                line.push(out);
            }
            Ok(())
        })?;
        devices.end();
        Ok(())
    }
}

/// A device, and where to find what does not stand in its line.
#[derive(Debug)]
struct Device {
    major: u32,
    minor: u32,
    name: Vec<u8>,
    rotational: String,
    record: String,
    udev: Udev,
}

impl Device {
    fn new(line: &Line<'_>) -> Self {
        let Line { major, minor, name, .. } = *line;
        Self {
            major,
            minor,
            name: name.to_vec(),
            rotational: format!("block/{}/queue/rotational", String::from_utf8_lossy(name)),
            record: format!("b{major}:{minor}"),
            udev: Udev::default(),
        }
    }

    fn is_of(&self, line: &Line<'_>) -> bool {
        self.name == line.name && (self.major, self.minor) == (line.major, line.minor)
    }

    fn push(&self, is_rotational: bool, out: &mut Samples) {
        let Self { major, minor, name, udev, .. } = self;
        let value = |property| udev.value(property);
        let serial = [Property::ScsiSerial, Property::SerialShort, Property::Serial]
            .map(value)
            .into_iter()
            .find(|serial| !serial.is_empty());
        out.push(
            &INFO,
            &[
                name,
                major,
                minor,
                &value(Property::Model),
                &value(Property::Path),
                &value(Property::Revision),
                &u8::from(is_rotational),
                &serial.unwrap_or_default(),
                &value(Property::Wwn),
            ],
            1.0,
        );
        let filesystem = value(Property::FsType);
        if !filesystem.is_empty() {
            let [usage, uuid, version] =
                [Property::FsUsage, Property::FsUuid, Property::FsVersion].map(value);
            out.push(&FILESYSTEM_INFO, &[name, &filesystem, &usage, &uuid, &version], 1.0);
        }
        let mapped = value(Property::DmName);
        if !mapped.is_empty() {
            let [layer, volume, uuid, group] =
                [Property::DmLvLayer, Property::DmLvName, Property::DmUuid, Property::DmVgName]
                    .map(value);
            out.push(&DEVICE_MAPPER_INFO, &[name, &layer, &volume, &mapped, &uuid, &group], 1.0);
        }
        if value(Property::Ata).is_empty() {
            return;
        }
        for (property, desc) in &ATA {
            if let Some(number) = udev.number(*property) {
                out.push(desc, &[name], number);
            }
        }
    }
}

/// `   8       0 sda 25353973 34367730 1003346126 18492372 …`
struct Line<'a> {
    major: u32,
    minor: u32,
    name: &'a [u8],
    columns: [u64; COLUMNS.len()],
    count: usize,
}

impl<'a> Line<'a> {
    /// Nothing if the line is too short to be a device's.
    fn parse(line: Text<'a>) -> Result<Option<Self>> {
        let mut fields = line.fields();
        let (Some(major), Some(minor), Some(name)) =
            (fields.parse_next()?, fields.parse_next()?, fields.next())
        else {
            return Ok(None);
        };
        let mut columns = [0; COLUMNS.len()];
        let mut count = 0;
        for (column, field) in columns.iter_mut().zip(&mut fields) {
            *column = field.parse()?;
            count += 1;
        }
        let line = Self { major, minor, name: name.bytes, columns, count };
        Ok((count >= COLUMNS_MIN).then_some(line))
    }

    fn push(&self, out: &mut Samples) {
        for ((unit, desc), value) in COLUMNS.iter().zip(self.columns).take(self.count) {
            out.push(desc, &[&self.name], value as f64 * unit);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_all_kernels() {
        let parse = |columns: usize, last: &str| {
            let text = format!(" 8 1 sda1{}{last}\r", " 7".repeat(columns));
            let text = Text::new("diskstats", text.as_bytes());
            let line = text.scan().next().unwrap().and_then(Line::parse);
            line.map(|line| line.map(|line| line.count)).map_err(|error| error.to_string())
        };
        for (columns, last, expected) in [
            (0, "", Ok(None)),
            (10, "", Ok(None)),
            (11, "", Ok(Some(11))),
            (13, "", Ok(Some(13))),
            (15, "", Ok(Some(15))),
            (17, "", Ok(Some(17))),
            (17, " x -1", Ok(Some(17))),
            (3, " 12x", Err("diskstats: cannot parse \"12x\"".to_owned())),
            (11, " -1", Err("diskstats: cannot parse \"-1\"".to_owned())),
        ] {
            assert_eq!(parse(columns, last), expected, "{columns} columns and {last:?}");
        }
        let line = |text: &'static str| Line::parse(Text::new("diskstats", text.as_bytes()));
        assert!(line("").unwrap().is_none());
        assert!(line("8").unwrap().is_none());
        assert!(line("sda").is_err());
        assert!(line("4294967296 0 sda").is_err());
    }
}
