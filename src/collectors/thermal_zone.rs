//! Temperatures and cooling devices, from `/sys/class/thermal`.

use crate::collector::prelude::*;
use crate::number;

pub static SPEC: Spec = Spec::new("thermal_zone", On, "/sys/class/thermal", &[], |setup| {
    setup.need_sys()?;
    Ok(Box::new(ThermalZone::default()))
});

static TEMPERATURE: Desc = gauge(
    "node_thermal_zone_temp",
    "Temperature of the zone in degrees Celsius; 0 where it cannot be read.",
    &["type", "zone"],
);
static CURRENT_STATE: Desc = gauge(
    "node_cooling_device_cur_state",
    "How hard the cooling device works, from 0 to its highest state.",
    &["name", "type"],
);
static MAX_STATE: Desc =
    gauge("node_cooling_device_max_state", "Highest state of the cooling device.", &["name", "type"]);

const DIRECTORY: &str = "class/thermal";

#[derive(Default)]
struct ThermalZone {
    devices: Listing,
    kind: Vec<u8>,
}

impl Collector for ThermalZone {
    fn collect(&mut self, cx: &mut Cx<'_>, out: &mut Samples) -> Result<()> {
        // What cannot be listed has no devices.
        let _ = cx.sys.try_list(DIRECTORY, &mut self.devices);
        for zone in numbered(&self.devices, "thermal_zone") {
            push_zone(zone, &mut self.kind, cx, out);
        }
        out.all_or_nothing(|out| {
            numbered(&self.devices, "cooling_device")
                .try_for_each(|device| push_cooling(device, &mut self.kind, cx, out))
        })
    }
}

/// What follows `prefix` in the names where that begins with a digit.
fn numbered<'a>(devices: &'a Listing, prefix: &'static str) -> impl Iterator<Item = &'a str> {
    devices
        .names()
        .filter_map(move |name| name.strip_prefix(prefix))
        .filter(|number| number.starts_with(|c: char| c.is_ascii_digit()))
}

/// A zone whose sensor cannot be read is told nevertheless, at 0 degrees.
fn push_zone(zone: &str, kind: &mut Vec<u8>, cx: &mut Cx<'_>, out: &mut Samples) {
    kind.clear();
    join(cx.path, &[DIRECTORY, "/thermal_zone", zone, "/type"]);
    if let Ok(text) = cx.sys.try_attribute(cx.path, cx.text) {
        kind.extend_from_slice(text.bytes);
    }
    join(cx.path, &[DIRECTORY, "/thermal_zone", zone, "/temp"]);
    let millidegrees = cx.sys.try_attribute(cx.path, cx.text).map_or(0, |text| saturated(text.bytes));
    out.push(&TEMPERATURE, &[kind, &zone], millidegrees as f64 / 1000.0);
}

/// A number; one too large becomes the largest, and what is none becomes 0.
fn saturated(text: &[u8]) -> i64 {
    number::int(text).unwrap_or_else(|| match text {
        [b'-', digits @ ..] if is_digits(digits) => i64::MIN,
        [b'+', digits @ ..] | digits if is_digits(digits) => i64::MAX,
        _ => 0,
    })
}

fn is_digits(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(u8::is_ascii_digit)
}

fn push_cooling(
    device: &str,
    kind: &mut Vec<u8>,
    cx: &mut Cx<'_>,
    out: &mut Samples,
) -> Result<()> {
    let Some(text) = read(device, "type", cx)? else { return Ok(()) };
    kind.clear();
    kind.extend_from_slice(text.bytes);
    let Some(max) = read(device, "max_state", cx)?.map(Text::parse::<i64>).transpose()? else {
        return Ok(());
    };
    let Some(current) = read(device, "cur_state", cx)?.map(Text::parse::<i64>).transpose()? else {
        return Ok(());
    };
    out.push(&CURRENT_STATE, &[&device, kind], current);
    out.push(&MAX_STATE, &[&device, kind], max);
    Ok(())
}

/// A file of a cooling device; nothing where the driver does not tell, and the device is left out.
fn read<'t>(device: &str, file: &str, cx: &'t mut Cx<'_>) -> Result<Option<Text<'t>>> {
    const UNTOLD: [Errno; 5] =
        [Errno::NOENT, Errno::ACCESS, Errno::PERM, Errno::OPNOTSUPP, Errno::INVAL];

    cx.attribute_unless(&UNTOLD, &[DIRECTORY, "/cooling_device", device, "/", file])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn temperatures() {
        for (text, value) in [
            ("27800", 27800),
            ("-40000", -40000),
            ("+5", 5),
            ("", 0),
            ("-", 0),
            ("27.8", 0),
            ("9223372036854775808", i64::MAX),
            ("+9223372036854775808", i64::MAX),
            ("-9223372036854775809", i64::MIN),
        ] {
            assert_eq!(saturated(text.as_bytes()), value, "{text:?}");
        }
    }
}
