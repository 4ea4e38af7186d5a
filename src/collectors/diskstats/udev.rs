//! What udev noted of a block device, in `/run/udev/data/b8:0`.

use std::time::Instant;

use crate::collector::prelude::*;
use crate::host::regular::{Identity, Known};
use crate::number;

/// Properties that are told as labels, and where they stand among the values.
#[derive(Debug, Clone, Copy)]
pub(super) enum Property {
    DmLvLayer,
    DmLvName,
    DmName,
    DmUuid,
    DmVgName,
    Ata,
    AtaRotationRate,
    AtaWriteCache,
    AtaWriteCacheEnabled,
    FsType,
    FsUsage,
    FsUuid,
    FsVersion,
    Model,
    Path,
    Revision,
    Serial,
    SerialShort,
    Wwn,
    ScsiSerial,
}

const KEYS: [&str; 20] = [
    "DM_LV_LAYER",
    "DM_LV_NAME",
    "DM_NAME",
    "DM_UUID",
    "DM_VG_NAME",
    "ID_ATA",
    "ID_ATA_ROTATION_RATE_RPM",
    "ID_ATA_WRITE_CACHE",
    "ID_ATA_WRITE_CACHE_ENABLED",
    "ID_FS_TYPE",
    "ID_FS_USAGE",
    "ID_FS_UUID",
    "ID_FS_VERSION",
    "ID_MODEL",
    "ID_PATH",
    "ID_REVISION",
    "ID_SERIAL",
    "ID_SERIAL_SHORT",
    "ID_WWN",
    "SCSI_IDENT_SERIAL",
];

/// A device's properties, read again when udev writes them anew.
#[derive(Debug, Default)]
pub(super) struct Udev {
    known: Known,
    text: Vec<u8>,
    values: [Option<Span>; KEYS.len()],
}

impl Udev {
    pub(super) fn refresh(&mut self, path: &str, root: &Root, now: Instant) {
        let Ok(stat) = root.stat(path) else { return *self = Self::default() };
        if self.known.is_unchanged(Identity::from(&stat), now) {
            return;
        }
        self.values = Default::default();
        if let Ok(text) = root.read_once(path, &mut self.text) {
            note(text, &mut self.values);
            self.known.settle(now);
        }
    }

    /// What is not noted is empty.
    pub(super) fn value(&self, property: Property) -> &[u8] {
        self.noted(property).unwrap_or_default()
    }

    /// A property that is a number, if it is there and is one.
    pub(super) fn number(&self, property: Property) -> Option<f64> {
        number::float(self.noted(property)?)
    }

    fn noted(&self, property: Property) -> Option<&[u8]> {
        let span = self.values[property as usize]?;
        Some(Text::new("", &self.text).at(span).bytes)
    }
}

/// `E:ID_MODEL=ST8000`; of two alike the last counts.
fn note(text: Text<'_>, values: &mut [Option<Span>; KEYS.len()]) {
    for line in text.scan().map_while(Result::ok) {
        let property = line.strip_prefix(b"E:").and_then(|line| line.split_once(b'='));
        let Some((key, value)) = property else { continue };
        if let Some(at) = KEYS.iter().position(|known| known.as_bytes() == key.bytes) {
            values[at] = Some(text.span_of(value.bytes));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn properties() {
        let text = b"S:disk/by-id/x\nE:ID_MODEL=A=B\nE:ID_ATA=\nE:ID_PATH\nID_WWN=1\n\
                     E:ID_MODEL_ENC=no\nE:ID_MODEL=C \r\nE: ID_SERIAL=x";
        let mut udev = Udev { text: text.to_vec(), ..Udev::default() };
        note(Text::new("b8:0", text), &mut udev.values);
        assert_eq!(udev.value(Property::Model), b"C ");
        assert_eq!(udev.noted(Property::Ata), Some(&b""[..]));
        for absent in [Property::Path, Property::Wwn, Property::Serial] {
            assert_eq!(udev.noted(absent), None);
        }
    }
}
