//! Durations such as `1h30m`, as they stand in flags.

use std::time::Duration;

use super::{split_sign, uint};

/// `time.ParseDuration(text)`: `1h30m`, `1.5s`, `300ms`, and a bare `0`. A negative one, which no flag of ours can use, is refused.
pub fn duration(text: &str) -> Option<Duration> {
    let (negative, mut rest) = split_sign(text.as_bytes());
    let mut total = 0u64;
    if rest != b"0" {
        if rest.is_empty() {
            return None;
        }
        while !rest.is_empty() {
            total = total.checked_add(term(&mut rest)?).filter(|&t| t <= NANOS_MAX)?;
        }
    }
    (!negative || total == 0).then_some(Duration::from_nanos(total))
}

/// A duration is an `i64` of nanoseconds to Go.
const NANOS_MAX: u64 = i64::MAX as u64;

const UNITS: [(&str, u64); 8] = [
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000), // the micro sign,
    ("μs", 1_000), // and the Greek letter
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
];

/// Takes a number and its unit off the front.
fn term(rest: &mut &[u8]) -> Option<u64> {
    let count = |text: &[u8]| text.iter().take_while(|b| b.is_ascii_digit()).count();
    let (whole, mut tail) = rest.split_at(count(rest));
    let mut fraction: &[u8] = &[];
    if let [b'.', after @ ..] = tail {
        (fraction, tail) = after.split_at(count(after));
    }
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let end = tail.iter().position(|b| matches!(b, b'.' | b'0'..=b'9')).unwrap_or(tail.len());
    let (unit, tail) = tail.split_at(end);
    let (_, nanos) = UNITS.iter().find(|(name, _)| name.as_bytes() == unit)?;
    *rest = tail;

    let whole = if whole.is_empty() { 0 } else { uint(whole)? };
    // Go multiplies in floats here, and cuts off; 18 digits are as many as it takes.
    let fraction = &fraction[..fraction.len().min(18)];
    let scale = fraction.iter().fold(1.0, |scale, _| scale * 10.0);
    let part = uint(fraction).unwrap_or_default() as f64 * (*nanos as f64 / scale);
    #[expect(clippy::cast_possible_truncation, reason = "from 0 up to an hour of nanoseconds")]
    whole.checked_mul(*nanos)?.checked_add(part as u64)
}

/// `Duration.Seconds()`, of a duration in nanoseconds: whole seconds and the rest apart.
pub fn seconds(nanos: i64) -> f64 {
    const SECOND: i64 = 1_000_000_000;

    (nanos / SECOND) as f64 + (nanos % SECOND) as f64 / 1e9
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nanoseconds_as_seconds() {
        for (nanos, expected) in
            [(0, 0.0), (3, 3e-9), (-1_500_000_000, -1.5), (i64::MAX, 9223372036.854776)]
        {
            assert_eq!(seconds(nanos), expected);
        }
    }

    #[test]
    fn durations() {
        for (text, nanos) in [
            ("0", 0),
            ("+0", 0),
            ("-0", 0),
            ("-0s", 0),
            ("5s", 5_000_000_000),
            ("+5s", 5_000_000_000),
            ("1h30m", 5_400_000_000_000),
            ("3s1h", 3_603_000_000_000),
            ("1.5s", 1_500_000_000),
            (".5s", 500_000_000),
            ("1.s", 1_000_000_000),
            ("300ms", 300_000_000),
            ("1us", 1_000),
            ("1µs", 1_000),
            ("1μs", 1_000),
            ("1ns", 1),
            ("0.9999999999ns", 0),
            ("1.0000000000000000000000001s", 1_000_000_000),
            ("0.100000000000000000000h", 360_000_000_000),
            ("0.9223372036854775808h", 3_320_413_933_267),
            ("2562047h", 9_223_369_200_000_000_000),
            ("9223372036854775807ns", 9_223_372_036_854_775_807),
        ] {
            assert_eq!(duration(text), Some(Duration::from_nanos(nanos)), "{text}");
        }
        for text in [
            "",
            "-",
            "+",
            "1",
            "00",
            "0.0",
            ".s",
            "s",
            "1d",
            "1S",
            "1 s",
            " 1s",
            "1s ",
            "1h 2m",
            "1s-1s",
            "-1s",
            "-1ns",
            "1..s",
            "2562048h",
            "9223372036854775808ns",
            "9223372036854775807ns1ns",
            "9999999999999999999s",
            "99999999999999999999s",
        ] {
            assert_eq!(duration(text), None, "{text}");
        }
    }
}
