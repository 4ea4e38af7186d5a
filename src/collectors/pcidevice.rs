//! PCI devices, from `/sys/bus/pci/devices`.

mod ids;

use crate::collector::prelude::*;
use crate::number;
use ids::{Ids, Key};

static NAMES: Flag<bool> = flags::switch(
    "collector.pcidevice.names",
    false,
    "Tell also how vendors, devices and classes are called; needs a pci.ids file.",
);
static IDS_FILE: Flag<String> = flags::text(
    "collector.pcidevice.idsfile",
    "",
    "The pci.ids file, else those at the usual places.",
);

pub static SPEC: Spec =
    Spec::new("pcidevice", Off, "/sys/bus/pci/devices", &[&NAMES, &IDS_FILE], |setup| {
        setup.need_sys()?;
        let with_names = setup.flags.get(&NAMES);
        let ids = with_names.then(|| load_ids(&setup.flags.get(&IDS_FILE)));
        Ok(Box::new(PciDevice { ids, entries: Listing::default() }))
    });

static INFO: Desc = gauge(
    "node_pcidevice_info",
    "What the device is and what it hangs on; always 1.",
    &[
        "bus", "class_id", "device", "device_id", "function", "parent_bus", "parent_device",
        "parent_function", "parent_segment", "revision", "segment", "subsystem_device_id",
        "subsystem_vendor_id", "vendor_id",
    ],
);

static INFO_WITH_NAMES: Desc = gauge(
    INFO.name,
    INFO.help,
    &[
        "bus", "class_id", "class_name", "device", "device_id", "device_name", "function",
        "parent_bus", "parent_device", "parent_function", "parent_segment", "revision", "segment",
        "subsystem_device_id", "subsystem_device_name", "subsystem_vendor_id",
        "subsystem_vendor_name", "vendor_id", "vendor_name",
    ],
);

const PLACE: &[&str] = &["bus", "device", "function", "segment"];

/// Told as -1 where the link is not known; gigatransfers become transfers.
static LINK_SPEEDS: [Told; 2] = [
    told(
        "max_link_speed",
        gauge(
            "node_pcidevice_max_link_transfers_per_second",
            "Speed that the device's link can run at, in transfers a second; -1 if unknown.",
            PLACE,
        ),
    ),
    told(
        "current_link_speed",
        gauge(
            "node_pcidevice_current_link_transfers_per_second",
            "Speed that the device's link runs at, in transfers a second; -1 if unknown.",
            PLACE,
        ),
    ),
];

/// Told as -1 where the link is not known.
static LINK_WIDTHS: [Told; 2] = [
    told(
        "max_link_width",
        gauge(
            "node_pcidevice_max_link_width",
            "Lanes that the device's link can have; -1 if unknown.",
            PLACE,
        ),
    ),
    told(
        "current_link_width",
        gauge(
            "node_pcidevice_current_link_width",
            "Lanes that the device's link has; -1 if unknown.",
            PLACE,
        ),
    ),
];

/// Told as 0 where there is no such file.
static SWITCHES: [Told; 2] = [
    told(
        "d3cold_allowed",
        gauge("node_pcidevice_d3cold_allowed", "Whether the device may lose its power.", PLACE),
    ),
    told(
        "sriov_drivers_autoprobe",
        gauge(
            "node_pcidevice_sriov_drivers_autoprobe",
            "Whether drivers are looked for when virtual functions come up.",
            PLACE,
        ),
    ),
];

/// Told as 0 where there is no such file.
static COUNTS: [Told; 2] = [
    told(
        "sriov_numvfs",
        gauge("node_pcidevice_sriov_numvfs", "Virtual functions that are switched on.", PLACE),
    ),
    told(
        "sriov_totalvfs",
        gauge("node_pcidevice_sriov_totalvfs", "Virtual functions that the device can have.", PLACE),
    ),
];

static VF_VECTORS: Told = told(
    "sriov_vf_total_msix",
    gauge(
        "node_pcidevice_sriov_vf_total_msix",
        "Interrupt vectors that virtual functions can share.",
        PLACE,
    ),
);

/// Numbers that nobody tells, yet a bad one fails the collector.
const CHECKED_NUMBERS: [&str; 2] = ["sriov_offset", "sriov_stride"];

static POWER_STATE: Desc = gauge(
    "node_pcidevice_power_state",
    "1 for the power state that the device is in, 0 for the others.",
    &["bus", "device", "function", "segment", "state"],
);

const POWER_STATES: [&str; 7] = ["D0", "D1", "D2", "D3hot", "D3cold", "unknown", "error"];

static NUMA_NODE: Desc =
    gauge("node_pcidevice_numa_node", "NUMA node that the device is close to.", PLACE);

const DIRECTORY: &str = "bus/pci/devices";

struct PciDevice {
    /// Names, if they are wanted.
    ids: Option<Ids>,
    entries: Listing,
}

impl Collector for PciDevice {
    fn collect(&mut self, cx: &mut Cx<'_>, out: &mut Samples) -> Result<()> {
        let Self { ids, entries } = self;
        cx.sys.list(DIRECTORY, entries).absent_is_no_data()?;
        out.all_or_nothing(|out| {
            for entry in entries.names() {
                let (place, parent) = find_places(entry, cx)?;
                push_info(entry, place, parent, ids.as_ref(), cx, out)?;
                let labels: [&dyn LabelValue; 4] = [&place[0], &place[1], &place[2], &place[3]];
                push_link(entry, &labels, cx, out)?;
                push_functions(entry, &labels, cx, out)?;
                push_power_state(entry, place, cx, out)?;
            }
            Ok(())
        })
        .absent_is_no_data()
    }
}

/// A number as so many hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Digits(u32, usize);

impl LabelValue for Digits {
    fn write(&self, out: &mut Vec<u8>) {
        let Self(value, digits) = *self;
        format_args!("{value:0digits$x}").write(out);
    }
}

/// `0000:02:00.1`, in the order of [`PLACE`].
type Place = [Digits; 4];

/// Where the device is and where the one that it hangs on, by the link
/// `../../../devices/pci0000:00/0000:00:02.1/0000:01:00.0`.
fn find_places(entry: &str, cx: &mut Cx<'_>) -> Result<(Place, Option<Place>)> {
    join(cx.path, &[DIRECTORY, "/", entry]);
    let target = cx.sys.try_link(cx.path, cx.text).map_err(|errno| Error::io(cx.path, errno))?;
    let mut parts = target.rsplit(|byte| *byte == b'/');
    let (device, parent) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let place = |part| parse_place(part).ok_or_else(|| Error::malformed(cx.path, part));
    // A root complex is none that has a place itself.
    let parent = if parent.starts_with(b"pci") { None } else { Some(place(parent)?) };
    Ok((place(device)?, parent))
}

fn parse_place(text: &[u8]) -> Option<Place> {
    let hex = |text| number::hex(text).and_then(|value| u32::try_from(value).ok());
    let mut parts = text.split(|byte| matches!(byte, b':' | b'.'));
    let (segment, bus) = (hex(parts.next()?)?, hex(parts.next()?)?);
    let (device, function) = (hex(parts.next()?)?, hex(parts.next()?)?);
    let separators = text.iter().filter(|byte| matches!(byte, b':' | b'.'));
    let place = [Digits(bus, 2), Digits(device, 2), Digits(function, 1), Digits(segment, 4)];
    separators.eq(b"::.").then_some(place)
}

/// A name, or what stands for it.
struct NameOr<'a, T>(Option<&'a [u8]>, T);

impl<T: LabelValue> LabelValue for NameOr<'_, T> {
    fn write(&self, out: &mut Vec<u8>) {
        match self.0 {
            Some(name) => name.write(out),
            None => self.1.write(out),
        }
    }
}

fn push_info(
    entry: &str,
    place: Place,
    parent: Option<Place>,
    ids: Option<&Ids>,
    cx: &mut Cx<'_>,
    out: &mut Samples,
) -> Result<()> {
    let mut id = |file| read_id(entry, file, cx);
    let (class, vendor, device) = (id("class")?, id("vendor")?, id("device")?);
    let (sub_vendor, sub_device) = (id("subsystem_vendor")?, id("subsystem_device")?);
    let revision = id("revision")?;
    let [bus, slot, function, segment] = place;
    let [up_bus, up_slot, up_function, up_segment]: [&dyn LabelValue; 4] = match &parent {
        Some([bus, device, function, segment]) => [bus, device, function, segment],
        None => [&"*"; 4],
    };
    let Some(ids) = ids else {
        out.push(
            &INFO,
            &[
                &bus, &format_args!("{class:#08x}"), &slot, &format_args!("{device:#06x}"),
                &function, up_bus, up_slot, up_function, up_segment,
                &format_args!("{revision:#04x}"), &segment, &format_args!("{sub_device:#06x}"),
                &format_args!("{sub_vendor:#06x}"), &format_args!("{vendor:#06x}"),
            ],
            1.0,
        );
        return Ok(());
    };
    let (v, d, sv, sd) = (vendor.into(), device.into(), sub_vendor.into(), sub_device.into());
    let subsystem = Key::Subsystem { vendor: v, device: d, sub_vendor: sv, sub_device: sd };
    out.push(
        &INFO_WITH_NAMES,
        &[
            &bus, &format_args!("{class:#08x}"),
            &NameOr(ids.class(class.into()), format_args!("Unknown class ({class:06x})")), &slot,
            &format_args!("{device:#06x}"),
            &NameOr(ids.name(Key::Device(v, d)), Digits(device, 4)), &function, up_bus, up_slot,
            up_function, up_segment, &format_args!("{revision:#04x}"), &segment,
            &format_args!("{sub_device:#06x}"), &NameOr(ids.name(subsystem), Digits(sub_device, 4)),
            &format_args!("{sub_vendor:#06x}"),
            &NameOr(ids.name(Key::Vendor(sv)), Digits(sub_vendor, 4)),
            &format_args!("{vendor:#06x}"), &NameOr(ids.name(Key::Vendor(v)), Digits(vendor, 4)),
        ],
        1.0,
    );
    Ok(())
}

/// A number that every device has, `0x8086`.
fn read_id(entry: &str, file: &str, cx: &mut Cx<'_>) -> Result<u32> {
    let text = cx.attribute(&[DIRECTORY, "/", entry, "/", file])?;
    Ok(int32(text.parse::<AnyBase<i64>>()?.0, text)?.cast_unsigned())
}

fn int32(value: i64, text: Text<'_>) -> Result<i32> {
    i32::try_from(value).map_err(|_| text.malformed())
}

/// The text of a file that not every device has, if it says anything.
fn optional<'t>(entry: &str, file: &str, cx: &'t mut Cx<'_>) -> Result<Option<Text<'t>>> {
    let text = cx.attribute_unless(&[Errno::NOENT], &[DIRECTORY, "/", entry, "/", file])?;
    Ok(text.filter(|text| !text.bytes.is_empty()))
}

fn push_link(
    entry: &str,
    labels: &[&dyn LabelValue],
    cx: &mut Cx<'_>,
    out: &mut Samples,
) -> Result<()> {
    const UNKNOWN: f64 = -1.0;

    let is_known = |text: &Text<'_>| !text.bytes.starts_with(b"Unknown");
    for told in &LINK_SPEEDS {
        let text = optional(entry, told.name, cx)?.filter(is_known);
        told.push(labels, text.map(parse_speed).transpose()?.unwrap_or(UNKNOWN), out);
    }
    for told in &LINK_WIDTHS {
        let text = optional(entry, told.name, cx)?.filter(is_known);
        let width = text.map(Text::parse::<i64>).transpose()?;
        told.push(labels, width.map_or(UNKNOWN, |width| width as f64), out);
    }
    if let Some(text) = optional(entry, "numa_node", cx)?.filter(is_known) {
        let node = int32(text.parse()?, text)?;
        if node != -1 {
            out.push(&NUMA_NODE, labels, node);
        }
    }
    Ok(())
}

/// `8.0 GT/s PCIe` in transfers a second.
fn parse_speed(text: Text<'_>) -> Result<f64> {
    match text.split_once(b' ') {
        Some((speed, Text { bytes: b"GT/s PCIe", .. })) => Ok(speed.parse::<f64>()? * 1e9),
        _ => Err(text.malformed()),
    }
}

fn push_functions(
    entry: &str,
    labels: &[&dyn LabelValue],
    cx: &mut Cx<'_>,
    out: &mut Samples,
) -> Result<()> {
    for told in &SWITCHES {
        let text = optional(entry, told.name, cx)?;
        let value = text.map(|text| int32(text.parse()?, text)).transpose()?;
        told.push(labels, f64::from(u8::from(value.is_some_and(|value| value != 0))), out);
    }
    for told in &COUNTS {
        let count = optional(entry, told.name, cx)?.map(Text::parse::<u32>).transpose()?;
        told.push(labels, f64::from(count.unwrap_or(0)), out);
    }
    let vectors = optional(entry, VF_VECTORS.name, cx)?.map(Text::parse::<u64>).transpose()?;
    VF_VECTORS.push(labels, vectors.unwrap_or(0) as f64, out);
    for file in CHECKED_NUMBERS {
        optional(entry, file, cx)?.map(Text::parse::<u32>).transpose()?;
    }
    if let Some(text) = optional(entry, "sriov_vf_device", cx)? {
        let Hex(id) = text.parse()?;
        u32::try_from(id).map_err(|_| text.malformed())?;
    }
    Ok(())
}

fn push_power_state(
    entry: &str,
    place: Place,
    cx: &mut Cx<'_>,
    out: &mut Samples,
) -> Result<()> {
    let [bus, device, function, segment] = place;
    if let Some(now) = optional(entry, "power_state", cx)? {
        for state in POWER_STATES {
            let labels: &[&dyn LabelValue] = &[&bus, &device, &function, &segment, &state];
            out.push(&POWER_STATE, labels, now.bytes == state.as_bytes());
        }
    }
    Ok(())
}

fn load_ids(given: &str) -> Ids {
    const USUAL: [&str; 2] = ["/usr/share/misc/pci.ids", "/usr/share/hwdata/pci.ids"];

    let given = std::path::absolute(given).ok().and_then(|path| path.into_os_string().into_string().ok());
    let (root, mut text) = (Root::new("/"), Vec::new());
    for path in given.as_deref().as_ref().map_or(&USUAL[..], std::slice::from_ref) {
        if root.read_once(path, &mut text).is_ok() {
            return Ids::new(text);
        }
    }
    tracing::debug!("no pci.ids file: devices are told by their numbers");
    Ids::default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places() {
        for (text, shown) in [
            ("0000:02:00.1", Some("02:00:1:0000")),
            ("10000:E1:1f.7", Some("e1:1f:7:10000")),
            ("0000:02:00", None),
            ("0000.02:00.1", None),
            ("0000:02:00.1.2", None),
            (":02:00.1", None),
            ("pci0000:00", None),
        ] {
            let place = parse_place(text.as_bytes()).map(|place| {
                let mut out = Vec::new();
                for (at, part) in place.iter().enumerate() {
                    if at > 0 {
                        out.push(b':');
                    }
                    part.write(&mut out);
                }
                String::from_utf8(out).unwrap()
            });
            assert_eq!(place.as_deref(), shown, "{text}");
        }
    }

    #[test]
    fn speeds() {
        for (text, speed) in [
            ("8.0 GT/s PCIe", Some(8e9)),
            ("2.5 GT/s", None),
            ("8.0  GT/s PCIe", None),
            ("fast GT/s PCIe", None),
            ("8.0", None),
        ] {
            assert_eq!(parse_speed(Text::new("link", text.as_bytes())).ok(), speed, "{text}");
        }
    }
}
