//! What a chip is called: after the place of its device, which stays the same however the kernel
//! numbers the chips.

use std::ffi::OsStr;
use std::path::Path;

use crate::collector::prelude::*;

use super::DIRECTORY;

/// A text as the original makes it part of a name: small letters, digits, `:` and `_`, no `_` at
/// either end.
pub(super) struct Clean<'a>(pub(super) &'a [u8]);

impl LabelValue for Clean<'_> {
    fn write(&self, out: &mut Vec<u8>) {
        let start = out.len();
        let mut add = |c: char| match c.to_lowercase().next() {
            Some(c @ ('a'..='z' | '0'..='9' | ':')) => out.push(c as u8),
            _ if out.len() > start => out.push(b'_'),
            _ => {}
        };
        for chunk in self.0.utf8_chunks() {
            chunk.valid().chars().for_each(&mut add);
            chunk.invalid().iter().for_each(|_| add('_'));
        }
        while out.len() > start && out.ends_with(b"_") {
            out.pop();
        }
    }
}

/// The names of one chip.
#[derive(Debug, Default)]
pub(super) struct Names {
    /// `hwmon3`, below the class directory.
    pub(super) entry: String,
    /// Where the entry leads; another device cannot have this place as long as it stands there.
    place: Vec<u8>,
    /// After the device; empty where there is none.
    device: Vec<u8>,
    /// The I2C adapter that the device hangs on, else the entry: what hangs when a read hangs.
    pub(super) bus: String,
    /// What the driver says, without white space around it.
    pub(super) driver: Vec<u8>,
    /// The label, if no other chip claims it.
    base: Vec<u8>,
    /// What the chip is told as.
    pub(super) label: Vec<u8>,
}

impl Names {
    pub(super) fn new(entry: &str) -> Self {
        Self { entry: entry.to_owned(), ..Self::default() }
    }

    /// Looks the names up; nothing where the entry is no directory or has no name.
    pub(super) fn look_up(&mut self, cx: &mut Cx<'_>) -> Option<()> {
        let Self { entry, place, device, bus, driver, base, .. } = self;
        join(cx.path, &[DIRECTORY, "/", entry]);
        let now = cx.sys.try_link(cx.path, cx.text).unwrap_or_default();
        if !cx.sys.is_live() || now.is_empty() || place != now {
            place.clear();
            place.extend_from_slice(now);
            if !cx.sys.is_directory(cx.path) {
                return None;
            }
            join(cx.path, &[DIRECTORY, "/", entry, "/device"]);
            device.clear();
            bus.clear();
            bus.push_str(entry);
            if let Ok(path) = cx.sys.real_path(cx.path) {
                write_device(&path, device);
                if let Some(adapter) = adapter(&path) {
                    adapter.clone_into(bus);
                }
            }
        }
        join(cx.path, &[DIRECTORY, "/", entry, "/name"]);
        driver.clear();
        if let Ok(text) = cx.sys.read(cx.path, cx.text) {
            driver.extend_from_slice(text.trim().bytes);
        }
        base.clear();
        base.extend_from_slice(device);
        if base.is_empty() {
            Clean(driver).write(base);
        }
        if base.is_empty() {
            join(cx.path, &[DIRECTORY, "/", entry]);
            let directory = cx.sys.real_path(cx.path).ok()?;
            Clean(directory.file_name()?.as_encoded_bytes()).write(base);
        }
        (!base.is_empty()).then_some(())
    }

    /// Gives the chip its label: chips of one device are told apart by their driver's name or, where
    /// that does not help, by their number.
    pub(super) fn settle<'a>(&mut self, others: impl Iterator<Item = &'a Names>) {
        let Self { entry, driver, base, label, .. } = self;
        let (mut is_shared, mut is_driver_shared) = (false, false);
        for twin in others.filter(|other| other.base == *base) {
            is_shared = true;
            is_driver_shared |= twin.driver == *driver;
        }
        label.clear();
        label.extend_from_slice(base);
        if !is_shared {
            return;
        }
        label.push(b'_');
        let bare = label.len();
        if !is_driver_shared {
            Clean(driver).write(label);
        }
        if label.len() == bare {
            Clean(entry.as_bytes()).write(label);
        }
    }
}

/// `platform_coretemp_0` for `…/platform/coretemp.0`.
fn write_device(path: &Path, out: &mut Vec<u8>) {
    let mut parts = path.iter().rev().map(OsStr::as_encoded_bytes);
    let (name, bus) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    Clean(bus).write(out);
    if !out.is_empty() {
        out.push(b'_');
    }
    let bare = out.len();
    Clean(name).write(out);
    if out.len() == bare {
        out.clear();
    }
}

/// `i2c-1` for `…/i2c-1/1-004c`: one wire for all chips on it.
fn adapter(path: &Path) -> Option<&str> {
    let adapter = path.parent()?.file_name()?.to_str()?;
    adapter.starts_with("i2c-").then_some(adapter)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cleaned_texts() {
        for (text, cleaned) in [
            (&b"coretemp.0"[..], "coretemp_0"),
            (b"pci0000:00", "pci0000:00"),
            (b"--Core 0 (max)\n", "core_0__max"),
            ("K\u{f6}rper \u{212a}".as_bytes(), "k_rper_k"),
            (b"a\xff\xe2\x82b", "a___b"),
            (b"_-_", ""),
        ] {
            let mut out = b"_".to_vec();
            Clean(text).write(&mut out);
            assert_eq!(std::str::from_utf8(&out[1..]), Ok(cleaned));
        }
    }

    #[test]
    fn chips_of_one_device_are_told_apart() {
        let names = |entry: &str, driver: &str| Names {
            base: b"acpi_x".to_vec(),
            driver: driver.as_bytes().to_vec(),
            ..Names::new(entry)
        };
        for (chips, labels) in [
            (&["asus"][..], &["acpi_x"][..]),
            (&["asus", "wmi.1"], &["acpi_x_asus", "acpi_x_wmi_1"]),
            (&["asus", "asus", "wmi"], &["acpi_x_hwmon0", "acpi_x_hwmon1", "acpi_x_wmi"]),
            (&["", "-"], &["acpi_x_hwmon0", "acpi_x_hwmon1"]),
        ] {
            let all = || chips.iter().enumerate().map(|(n, chip)| names(&format!("hwmon{n}"), chip));
            for (at, label) in labels.iter().enumerate() {
                let others: Vec<Names> = all().filter(|chip| chip.entry != format!("hwmon{at}")).collect();
                let mut chip = all().nth(at).unwrap();
                chip.settle(others.iter());
                assert_eq!(std::str::from_utf8(&chip.label), Ok(*label));
            }
        }
    }
}
