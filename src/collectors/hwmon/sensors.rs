//! The attributes of one chip: which files are sensors, what they said, and what that is told as.

use std::cmp::Reverse;
use std::ops::Range;

use crate::collector::prelude::*;
use crate::number;

use super::name::Clean;

/// What a sensor file's name begins with.
const KINDS: [&str; 14] = [
    "vrm", "beep_enable", "update_interval", "in", "cpu", "fan", "pwm", "temp", "curr", "power",
    "energy", "humidity", "intrusion", "freq",
];

const LABELS: &[&str] = &["chip", "sensor"];

static SENSOR_LABEL: Desc = gauge(
    "node_hwmon_sensor_label",
    "What the driver says the sensor measures; always 1.",
    &["chip", "label", "sensor"],
);
static BEEP_ENABLED: Desc =
    gauge("node_hwmon_beep_enabled", "Whether the chip beeps at an alarm.", LABELS);
static VRM: Desc = gauge(
    "node_hwmon_voltage_regulator_version",
    "Version of the voltage regulators that the chip is set for.",
    LABELS,
);
static UPDATE_INTERVAL: Desc = gauge(
    "node_hwmon_update_interval_seconds",
    "How often the chip measures, in seconds.",
    LABELS,
);

/// How a number from the kernel becomes a value.
struct Unit {
    /// What the family's name ends with.
    suffix: &'static str,
    convert: fn(f64) -> f64,
    kind: Kind,
    help: &'static str,
}

const fn unit(suffix: &'static str, convert: fn(f64) -> f64, help: &'static str) -> Unit {
    Unit { suffix, convert, kind: Kind::Gauge, help }
}

fn as_it_is(value: f64) -> f64 {
    value
}

fn thousandth(value: f64) -> f64 {
    value * 0.001
}

fn millionth(value: f64) -> f64 {
    value / 1e6
}

static STATUS: Unit = unit("", as_it_is, "1 while the driver finds the sensor in that state, else 0.");
static BEEP: Unit = unit("_enabled", as_it_is, "Whether the chip beeps for this sensor.");
static VOLTS: Unit = unit("_volts", thousandth, "Voltage, or a limit or state of it, in volts.");
static CELSIUS: Unit =
    unit("_celsius", thousandth, "Temperature, or a limit or state of it, in degrees Celsius.");
static AMPERES: Unit = unit("_amps", thousandth, "Current, or a limit or state of it, in amperes.");
static JOULES: Unit = Unit {
    kind: Kind::Counter,
    ..unit("_joule_total", millionth, "Energy used since the driver began to count, in joules.")
};
static RATIO: Unit = unit("", millionth, "A ratio: 1 is 100 percent.");
static SECONDS: Unit = unit("_seconds", thousandth, "Span that power is averaged over, in seconds.");
static WATTS: Unit = unit("_watt", millionth, "Power, or a limit or state of it, in watts.");
static RPM: Unit =
    unit("_rpm", as_it_is, "Speed of the fan, or a limit of it, in revolutions a minute.");
static MEGAHERTZ: Unit = unit("_freq_mhz", millionth, "Frequency in megahertz.");
static PLAIN: Unit = unit("", as_it_is, "As the driver says it.");

fn unit_of(kind: &str, property: &[u8]) -> &'static Unit {
    match (kind, property) {
        (_, b"fault" | b"alarm") => &STATUS,
        (_, b"beep") => &BEEP,
        ("in" | "cpu", _) => &VOLTS,
        ("temp", property) if property != b"type" => &CELSIUS,
        ("curr", _) => &AMPERES,
        ("energy", _) => &JOULES,
        ("power", b"accuracy") => &RATIO,
        ("power", b"average_interval" | b"average_interval_min" | b"average_interval_max") => &SECONDS,
        ("power", _) => &WATTS,
        ("humidity", _) => &RATIO,
        ("fan", b"input" | b"min" | b"max" | b"target") => &RPM,
        ("freq", b"input") => &MEGAHERTZ,
        _ => &PLAIN,
    }
}

/// What the sensors of one chip said.
#[derive(Default)]
pub(super) struct Readings {
    files: Listing,
    rows: Vec<Row>,
    /// Properties and values of the rows.
    bytes: Vec<u8>,
    directory: String,
    path: String,
    buffer: Vec<u8>,
    name: Vec<u8>,
}

/// One file: `temp1_max` has the kind `temp`, the number 1 and the property `max`.
struct Row {
    kind: &'static str,
    number: i64,
    property: Range<usize>,
    value: Range<usize>,
}

impl Row {
    fn sensor(&self) -> (&'static str, i64) {
        (self.kind, self.number)
    }
}

impl Readings {
    /// Reads the sensors of the chip and those that stand with its device, as older drivers do.
    pub(super) fn read(&mut self, sys: &mut Root, directory: &str, entry: &str) -> Result<()> {
        self.rows.clear();
        self.bytes.clear();
        join(&mut self.directory, &[directory, "/", entry]);
        self.read_directory(sys)?;
        self.directory.push_str("/device");
        if sys.exists(&self.directory) {
            self.read_directory(sys)?;
        }
        let Self { rows, bytes, .. } = self;
        let property = |row: &Row| &bytes[row.property.clone()];
        // Of two files for the same thing, the one read last counts.
        rows.sort_unstable_by(|a, b| {
            let key = |row: &Row| (row.sensor(), Reverse(row.value.start));
            (key(a).0, property(a), key(a).1).cmp(&(key(b).0, property(b), key(b).1))
        });
        rows.dedup_by(|b, a| a.sensor() == b.sensor() && property(a) == property(b));
        Ok(())
    }

    fn read_directory(&mut self, sys: &mut Root) -> Result<()> {
        let Self { directory, files, rows, bytes, path, buffer, .. } = self;
        sys.list(directory, files)?;
        for file in files.iter().filter(|file| !file.is_directory()) {
            let Some((kind, number, property)) = parse(file.name) else { continue };
            join(path, &[directory, "/", file.name]);
            // Drivers answer a sensor that is asleep or unplugged with every errno there is.
            let Ok(value) = sys.try_attribute_untrimmed(path, buffer) else { continue };
            let property = push(bytes, property.as_bytes());
            let value = push(bytes, trim_newlines(value.bytes));
            rows.push(Row { kind, number, property, value });
        }
        Ok(())
    }

    /// Tells what the chip's sensors said, as far as the filter lets them.
    pub(super) fn push(&mut self, chip: &[u8], filter: &Filter, out: &mut Samples) {
        let Self { rows, bytes, buffer: full_name, name, .. } = self;
        for rows in rows.chunk_by(|a, b| a.sensor() == b.sensor()) {
            let (kind, number) = rows[0].sensor();
            full_name.clear();
            full_name.extend_from_slice(chip);
            full_name.push(b';');
            format_args!("{kind}{number}").write(full_name);
            if filter.drops(full_name) {
                continue;
            }
            let sensor = Sensor { chip, name: &full_name[chip.len() + 1..], kind, rows, bytes };
            sensor.push(name, out);
        }
    }
}

/// The attributes of one sensor.
struct Sensor<'a> {
    chip: &'a [u8],
    /// `temp1`
    name: &'a [u8],
    kind: &'static str,
    rows: &'a [Row],
    bytes: &'a [u8],
}

impl Sensor<'_> {
    fn push(&self, name: &mut Vec<u8>, out: &mut Samples) {
        let labels: &[&dyn LabelValue] = &[&self.chip, &self.name];
        if let Some(label) = self.value_of(b"label") {
            out.push(&SENSOR_LABEL, &[&self.chip, &Repaired(label), &self.name], 1.0);
        }
        let bare = self.value_of(b"");
        let number = || number::float(bare.unwrap_or_default());
        match self.kind {
            "beep_enable" => out.push(&BEEP_ENABLED, labels, bare == Some(b"1")),
            "vrm" => {
                if let Some(version) = number() {
                    out.push(&VRM, labels, version);
                }
            }
            "update_interval" => {
                if let Some(milliseconds) = number() {
                    out.push(&UPDATE_INTERVAL, labels, thousandth(milliseconds));
                }
            }
            _ => self.rows.iter().for_each(|row| self.push_row(row, name, out)),
        }
    }

    fn push_row(&self, row: &Row, name: &mut Vec<u8>, out: &mut Samples) {
        let property = &self.bytes[row.property.clone()];
        let value = number::float(&self.bytes[row.value.clone()]);
        let (false, Some(value)) = (property == b"label", value) else { return };
        let unit = unit_of(self.kind, property);
        name.clear();
        name.extend_from_slice(b"node_hwmon_");
        name.extend_from_slice(self.kind.as_bytes());
        match property {
            b"" => {}
            // The value itself, unless another file is that already.
            b"input" if self.value_of(b"").is_none() => {}
            property => {
                name.push(b'_');
                Clean(property).write(name);
            }
        }
        name.extend_from_slice(unit.suffix.as_bytes());
        let family = |out: &mut Samples| out.family(name, unit.kind, unit.help);
        let value = (unit.convert)(value);
        if !std::ptr::eq(unit, &MEGAHERTZ) {
            let family = family(out);
            out.push_named(family, &[("chip", &self.chip), ("sensor", &self.name)], value);
        } else if let Some(label) = self.value_of(b"label") {
            // A clock is told by what it clocks: `sclk` rather than `freq1`.
            let family = family(out);
            out.push_named(family, &[("chip", &self.chip), ("sensor", &Clean(label))], value);
        }
    }

    fn value_of(&self, property: &[u8]) -> Option<&[u8]> {
        let row = self.rows.iter().find(|row| &self.bytes[row.property.clone()] == property)?;
        Some(&self.bytes[row.value.clone()])
    }
}

/// `power1_average_max` as `power`, 1 and `average_max`; nothing where that is no sensor.
fn parse(file: &str) -> Option<(&'static str, i64, &str)> {
    let digits = file.find(|c: char| c.is_ascii_digit()).unwrap_or(file.len());
    let rest = file[digits..].trim_start_matches(|c: char| c.is_ascii_digit());
    let number = &file[digits..file.len() - rest.len()];
    let (kind, number, property) = match rest.strip_prefix('_') {
        _ if rest.is_empty() => (&file[..digits], number, ""),
        Some(property) if !property.is_empty() => (&file[..digits], number, property),
        // Digits that belong to the property: the last `_` before them parts it from the kind.
        _ => {
            let at = file[..digits].rfind('_')?;
            (&file[..at], "", &file[at + 1..])
        }
    };
    let kind = KINDS.iter().find(|known| **known == kind)?;
    let number = if number.is_empty() { 0 } else { number::int(number.as_bytes())? };
    Some((kind, number, property))
}

fn trim_newlines(mut text: &[u8]) -> &[u8] {
    while let [b'\n', rest @ ..] | [rest @ .., b'\n'] = text {
        text = rest;
    }
    text
}

fn push(bytes: &mut Vec<u8>, text: &[u8]) -> Range<usize> {
    let start = bytes.len();
    bytes.extend_from_slice(text);
    start..bytes.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_names() {
        for (file, expected) in [
            ("temp1_input", Some(("temp", 1, "input"))),
            ("power12_average_interval_max", Some(("power", 12, "average_interval_max"))),
            ("pwm1", Some(("pwm", 1, ""))),
            ("update_interval", Some(("update_interval", 0, ""))),
            ("beep_enable", Some(("beep_enable", 0, ""))),
            ("in007_max", Some(("in", 7, "max"))),
            ("in_max", None),
            ("in_max1a", Some(("in", 0, "max1a"))),
            ("in1_", None),
            ("in_1", None),
            ("in__1a", None),
            ("temp1input", None),
            ("temp99999999999999999999_input", None),
            ("temp", Some(("temp", 0, ""))),
            ("1", None),
            ("name", None),
        ] {
            assert_eq!(parse(file), expected, "{file}");
        }
    }

    #[test]
    fn units() {
        for (kind, property, suffix) in [
            ("temp", "crit_alarm", "_celsius"),
            ("temp", "alarm", ""),
            ("temp", "type", ""),
            ("temp", "beep", "_enabled"),
            ("power", "accuracy", ""),
            ("power", "average_interval_min", "_seconds"),
            ("power", "average_min", "_watt"),
            ("fan", "target", "_rpm"),
            ("fan", "div", ""),
            ("freq", "input", "_freq_mhz"),
            ("pwm", "enable", ""),
        ] {
            assert_eq!(unit_of(kind, property.as_bytes()).suffix, suffix, "{kind} {property}");
        }
    }
}
