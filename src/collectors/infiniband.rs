//! InfiniBand and RoCE ports, from `/sys/class/infiniband`.

mod counters;

use crate::collector::prelude::*;
use crate::number;
use counters::{COUNTERS, COUNTERS_EXT, HW_COUNTERS, IN_WORDS, LIFESPAN};

static INCLUDE: Flag<Option<Pattern>> = flags::pattern(
    "collector.infiniband.device-include",
    "",
    "Devices to tell of; all others are left out.",
);
static EXCLUDE: Flag<Option<Pattern>> =
    flags::pattern("collector.infiniband.device-exclude", "", "Devices to leave out.");

pub static SPEC: Spec =
    Spec::new("infiniband", On, "/sys/class/infiniband", &[&INCLUDE, &EXCLUDE], |setup| {
        setup.need_sys()?;
        let filter = Filter::from_flags(setup.flags, &EXCLUDE, &INCLUDE);
        filter.log(&EXCLUDE, &INCLUDE);
        Ok(Box::new(InfiniBand { filter, ..InfiniBand::default() }))
    });

static INFO: Desc = gauge(
    "node_infiniband_info",
    "What the driver says of the device in words; always 1.",
    &["board_id", "device", "firmware_version", "hca_type"],
);

/// Files that become labels of [`INFO`], and one that nobody tells, yet must be readable.
const TEXTS: [&str; 3] = ["board_id", "hca_type", "node_guid"];

const LABELS: &[&str] = &["device", "port"];

static STATE: Desc = gauge(
    "node_infiniband_state_id",
    "State of the port: 0 no change, 1 down, 2 initialised, 3 armed, 4 active, 5 active but deferring.",
    LABELS,
);
static PHYSICAL_STATE: Desc = gauge(
    "node_infiniband_physical_state_id",
    "Physical state of the port: 0 no change, 1 asleep, 2 polling, 3 disabled, 4 training, 5 up, 6 recovering, 7 testing.",
    LABELS,
);
static RATE: Desc = gauge(
    "node_infiniband_rate_bytes_per_second",
    "Rate of the port's link, in bytes a second.",
    LABELS,
);

const DIRECTORY: &str = "class/infiniband";

/// A directory of a port's counters.
struct Group {
    directory: &'static str,
    /// Looked at only where this one exists.
    beside: &'static str,
    counters: &'static [Told],
    /// Errors with which a driver says that it does not count something.
    untold: &'static [Errno],
}

const UNTOLD: [Errno; 5] =
    [Errno::NOENT, Errno::ACCESS, Errno::PERM, Errno::OPNOTSUPP, Errno::INVAL];

static GROUPS: [Group; 3] = [
    Group { directory: "counters", beside: "counters", counters: &COUNTERS, untold: &UNTOLD },
    Group {
        directory: "counters_ext",
        beside: "counters",
        counters: &COUNTERS_EXT,
        untold: UNTOLD.split_at(4).0,
    },
    Group {
        directory: "hw_counters",
        beside: "hw_counters",
        counters: &HW_COUNTERS,
        untold: UNTOLD.split_at(4).0,
    },
];

#[derive(Default)]
struct InfiniBand {
    filter: Filter,
    devices: Listing,
    ports: Listing,
    files: Listing,
    device_path: String,
    port_path: String,
    texts: Texts<{ TEXTS.len() }>,
}

impl Collector for InfiniBand {
    fn collect(&mut self, cx: &mut Cx<'_>, out: &mut Samples) -> Result<()> {
        let Self { filter, devices, ports, files, device_path, port_path, texts } = self;
        cx.sys.list(DIRECTORY, devices).absent_is_no_data()?;
        out.all_or_nothing(|out| {
            for device in devices.names().filter(|device| !filter.drops(device)) {
                join(device_path, &[DIRECTORY, "/", device]);
                push_device(device, device_path, texts, cx, out)?;
                join(cx.path, &[device_path, "/ports"]);
                cx.sys.list(cx.path, ports)?;
                for name in ports.names() {
                    join(port_path, &[device_path, "/ports/", name]);
                    let port: u32 = Text::new(port_path, name.as_bytes()).parse()?;
                    push_port([&device, &port], port_path, files, cx, out)?;
                }
            }
            Ok(())
        })
        .absent_is_no_data()
    }
}

fn push_device(
    device: &str,
    path: &str,
    texts: &mut Texts<{ TEXTS.len() }>,
    cx: &mut Cx<'_>,
    out: &mut Samples,
) -> Result<()> {
    texts.read(path, &TEXTS, &[Errno::NOENT], cx)?;
    let [board_id, hca_type, _] = texts.all();
    let firmware = cx.attribute(&[path, "/fw_ver"])?.bytes;
    out.push(&INFO, &[&board_id, &device, &firmware, &hca_type], 1.0);
    Ok(())
}

fn push_port(
    labels: [&dyn LabelValue; 2],
    path: &str,
    files: &mut Listing,
    cx: &mut Cx<'_>,
    out: &mut Samples,
) -> Result<()> {
    // Nobody tells the link's layer, yet it must be readable.
    cx.attribute(&[path, "/link_layer"])?;
    out.push(&STATE, &labels, parse_state(cx.attribute(&[path, "/state"])?)?);
    out.push(&PHYSICAL_STATE, &labels, parse_state(cx.attribute(&[path, "/phys_state"])?)?);
    join(cx.path, &[path, "/rate"]);
    out.push(&RATE, &labels, parse_rate(cx.sys.read(cx.path, cx.text)?)?);
    for group in &GROUPS {
        join(cx.path, &[path, "/", group.beside]);
        let is_beside = cx.sys.exists(cx.path);
        join(cx.path, &[path, "/", group.directory]);
        if !is_beside || !cx.sys.exists(cx.path) {
            continue;
        }
        cx.sys.list(cx.path, files)?;
        for file in files.iter().filter(|file| file.is_regular()) {
            let Some(told) = Told::find(group.counters, file.name) else { continue };
            let path = [path, "/", group.directory, "/", file.name];
            let text = cx.attribute_unless(group.untold, &path)?;
            if let Some(count) = text.map(parse_count).transpose()?.flatten() {
                told.push(&labels, in_unit(told.name, count) as f64, out);
            }
        }
    }
    Ok(())
}

/// `4: ACTIVE`
fn parse_state(text: Text<'_>) -> Result<u32> {
    match text.split_once(b':') {
        Some((id, name)) if name.split_once(b':').is_none() => id.trim().parse(),
        _ => Err(text.malformed()),
    }
}

/// `40 Gb/sec (4X QDR)` as bytes a second.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "as the original cuts")]
fn parse_rate(text: Text<'_>) -> Result<u64> {
    let (rate, _) = text.split_once(b' ').ok_or_else(|| text.malformed())?;
    let gigabits = f64::from(rate.parse::<f64>()? as f32);
    if !gigabits.is_finite() {
        return Err(text.malformed());
    }
    Ok((gigabits * 125e6) as i64 as u64)
}

/// A count; nothing where the kernel says that the port has no performance management.
fn parse_count(text: Text<'_>) -> Result<Option<u64>> {
    match number::uint_any_base(text.bytes) {
        Some(count) => Ok(Some(count)),
        None if memchr::memmem::find(text.bytes, b"N/A (no PMA)").is_some() => Ok(None),
        None => Err(text.malformed()),
    }
}

fn in_unit(name: &str, count: u64) -> u64 {
    match name {
        LIFESPAN => count / 1000,
        name if IN_WORDS.contains(&name) => count.wrapping_mul(4),
        _ => count,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_and_rates() {
        let text = |text: &'static str| Text::new("port", text.as_bytes());
        for (state, id) in [
            ("4: ACTIVE", Some(4)),
            ("5 : LinkUp", Some(5)),
            ("0:", Some(0)),
            ("4: A: B", None),
            ("4", None),
            (": ACTIVE", None),
            ("4294967296: ACTIVE", None),
        ] {
            assert_eq!(parse_state(text(state)).ok(), id, "{state}");
        }
        for (rate, bytes) in [
            ("40 Gb/sec (4X QDR)", Some(5_000_000_000)),
            ("2.5 Gb/sec (1X)", Some(312_500_000)),
            ("0.1 Gb/sec", Some(12_500_000)),
            ("-8 Gb/sec", Some(18_446_744_072_709_551_616)),
            ("40", None),
            (" 40 Gb/sec", None),
            ("fast Gb/sec", None),
            ("NaN Gb/sec", None),
            ("1e39 Gb/sec", None),
        ] {
            assert_eq!(parse_rate(text(rate)).ok(), bytes, "{rate}");
        }
    }

    #[test]
    fn counts() {
        let text = |text: &'static str| Text::new("port", text.as_bytes());
        assert_eq!(parse_count(text("0x10")).ok(), Some(Some(16)));
        assert_eq!(parse_count(text("N/A (no PMA)")).ok(), Some(None));
        assert!(parse_count(text("N/A")).is_err());
        assert_eq!(in_unit("port_xmit_data", 1 << 62 | 3), 12);
        assert_eq!(in_unit("lifespan", 1999), 1);
    }
}
