//! Numbers as bcache writes them for people: `1.3k` and the like.

use crate::collector::prelude::*;
use crate::number::{float, whole};

/// Each 1024 times the one before.
const UNITS: &[u8] = b"kMGTPEZY";

/// What bcache writes behind the point are 1024ths cut to hundreds, without a 0 in front: 20.4G are
/// 20 and 4 times 1/10.24.
const FRACTION: f64 = 10.24;

pub(super) fn unsigned(text: Text<'_>) -> Result<f64> {
    Ok(magnitude(text)? as f64)
}

pub(super) fn signed(text: Text<'_>) -> Result<f64> {
    match text.bytes {
        [b'-', bytes @ ..] => {
            let magnitude = magnitude(Text { bytes, ..text })?;
            Ok(magnitude.wrapping_neg().cast_signed() as f64)
        }
        _ => Ok(magnitude(text)?.cast_signed() as f64),
    }
}

fn magnitude(text: Text<'_>) -> Result<u64> {
    let number = match text.bytes {
        [mantissa @ .., unit] if *unit > b'9' => {
            // What is no unit makes nothing of any number.
            let power = UNITS.iter().zip(1..).find(|(known, _)| *known == unit);
            let factor = power.map_or(0.0, |(_, power)| 1024f64.powi(power));
            pseudo_float(mantissa).map(|mantissa| mantissa * factor)
        }
        bytes => float(bytes),
    };
    number.map(whole).ok_or_else(|| text.malformed())
}

fn pseudo_float(text: &[u8]) -> Option<f64> {
    let mut parts = text.split(|&byte| byte == b'.');
    let whole = float(parts.next()?)?;
    match parts.next() {
        None => Some(whole),
        Some(fraction) => Some(whole + float(fraction)? / FRACTION),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_for_people() {
        for (text, expected) in [
            ("0", Some(0.0)),
            ("512", Some(512.0)),
            ("1.9", Some(1.0)),
            ("2k", Some(2048.0)),
            ("20.4G", Some(20.390625 * 1_073_741_824.0)),
            ("1.3.9M", Some(1_355_776.0)),
            ("1K", Some(0.0)),
            ("1x", Some(0.0)),
            ("-1", Some(18_446_744_073_709_551_615.0)),
            ("", None),
            ("k", None),
            (".5k", None),
            ("1.k", None),
            ("1 k", None),
        ] {
            let text = Text::new("dirty_data", text.as_bytes());
            assert_eq!(unsigned(text).ok(), expected, "{text:?}");
        }
        for (text, expected) in [("-1.3k", Some(-1324.0)), ("7", Some(7.0)), ("-", None)] {
            let text = Text::new("writeback_rate_debug", text.as_bytes());
            assert_eq!(signed(text).ok(), expected, "{text:?}");
        }
    }
}
