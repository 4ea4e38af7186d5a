//! Numbers, read as Go's `strconv` and `time` read them and written as the Prometheus text format wants them.
//!
//! The kernel's files are full of things that one library calls a number and the next does not (`+5`, `0x1f`, `1_000`, `1e400`).
//! What node_exporter took for a value is a value here, and what it refused is refused. None of this allocates, save for a number
//! with underscores in it, which no kernel prints.

mod duration;
mod write;

pub use duration::{duration, seconds};
pub use write::write_float;

/// `strconv.ParseFloat(text, 64)`: decimal or hexadecimal, `inf` and `infinity` with or without a sign, `nan` only without.
/// What is too big for a float is refused, what is too small is 0.
pub fn float(text: &[u8]) -> Option<f64> {
    /// Integers up to here are floats as they stand.
    const EXACT: u64 = 1 << f64::MANTISSA_DIGITS;

    match uint(text) {
        Some(n) if n <= EXACT => Some(n as f64),
        _ => any_float(text),
    }
}

fn any_float(text: &[u8]) -> Option<f64> {
    if memchr::memchr(b'_', text).is_some() {
        let bare: Vec<u8> = text.iter().copied().filter(|&b| b != b'_').collect();
        return if separates_digits(text) { any_float(&bare) } else { None };
    }
    let (negative, magnitude) = split_sign(text);
    let value = match magnitude {
        [b'0', b'x' | b'X', digits @ ..] => hex_float(digits)?,
        [b'0'..=b'9' | b'.', ..] => {
            std::str::from_utf8(magnitude).ok()?.parse().ok().filter(|v: &f64| v.is_finite())?
        }
        _ if magnitude.eq_ignore_ascii_case(b"inf") => f64::INFINITY,
        _ if magnitude.eq_ignore_ascii_case(b"infinity") => f64::INFINITY,
        _ if text.eq_ignore_ascii_case(b"nan") => f64::NAN,
        _ => return None,
    };
    Some(if negative { -value } else { value })
}

/// What follows `0x`, as in `1.8p3`: hexadecimal digits with a point anywhere, then a decimal power of two, which must be there.
fn hex_float(text: &[u8]) -> Option<f64> {
    let p = text.iter().position(|b| matches!(b, b'p' | b'P'))?;
    let (negative, digits) = split_sign(&text[p + 1..]);
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    // No mantissa of sane length brings an exponent beyond this back into range.
    let power = uint(digits).map_or(1 << 40, |n| n.min(1 << 40)).cast_signed();
    let mut exponent = if negative { -power } else { power };

    let (mut mantissa, mut lost, mut point, mut digits) = (0u64, false, false, 0);
    for &b in &text[..p] {
        if b == b'.' && !point {
            point = true;
            continue;
        }
        let digit = char::from(b).to_digit(16)?;
        digits += 1;
        if mantissa >> 60 == 0 {
            mantissa = mantissa << 4 | u64::from(digit);
            exponent -= if point { 4 } else { 0 };
        } else {
            lost |= digit != 0;
            exponent += if point { 0 } else { 4 };
        }
    }
    if digits == 0 { None } else { scale(mantissa, lost, exponent) }
}

/// `mantissa × 2^exponent` as the nearest float, ties to even; `lost` tells that a little more than `mantissa` was meant.
fn scale(mantissa: u64, lost: bool, exponent: i64) -> Option<f64> {
    /// The exponent of a float's last bit, where the float is as small as they come.
    const LOWEST: i64 = -1074;

    if mantissa == 0 {
        return Some(0.0);
    }
    let top = exponent + i64::from(mantissa.ilog2());
    if top > 1023 {
        return None;
    }
    let last = (top - 52).max(LOWEST);
    let kept = match last - exponent {
        shift @ ..=0 => mantissa << -shift,
        shift @ 1..=64 => {
            let wide = u128::from(mantissa);
            let (kept, rest, half) =
                (wide >> shift, wide & ((1 << shift) - 1), 1u128 << (shift - 1));
            let up = rest > half || rest == half && (lost || kept & 1 == 1);
            u64::try_from(kept).ok()? + u64::from(up)
        }
        _ => 0,
    };
    // The bit that a float leaves out of its fraction adds 1 to the exponent's field, as does a carry from rounding.
    let bits = (u64::try_from(last - LOWEST).ok()? << 52) + kept;
    Some(f64::from_bits(bits)).filter(|v| v.is_finite())
}

/// `strconv.ParseUint(text, 10, 64)`: digits and nothing else.
pub fn uint(text: &[u8]) -> Option<u64> {
    /// As many decimal digits always fit.
    const SAFE: usize = 19;

    if text.is_empty() {
        return None;
    }
    let (safe, rest) = text.split_at(text.len().min(SAFE));
    let mut n = 0;
    for &b in safe {
        n = n * 10 + decimal(b)?;
    }
    for &b in rest {
        n = n.checked_mul(10)?.checked_add(decimal(b)?)?;
    }
    Some(n)
}

fn decimal(b: u8) -> Option<u64> {
    let digit = b.wrapping_sub(b'0');
    (digit < 10).then_some(u64::from(digit))
}

/// `strconv.ParseInt(text, 10, 64)`: digits, perhaps after a sign.
pub fn int(text: &[u8]) -> Option<i64> {
    let (negative, magnitude) = split_sign(text);
    signed(negative, uint(magnitude)?)
}

/// `strconv.ParseUint(text, 0, 64)`: as [`uint`], and `0x`, `0o`, `0b`, a leading 0 for octal, and `_` between digits.
pub fn uint_any_base(text: &[u8]) -> Option<u64> {
    let (base, digits) = match text {
        [b'0', b'x' | b'X', digits @ ..] if !digits.is_empty() => (16, digits),
        [b'0', b'o' | b'O', digits @ ..] if !digits.is_empty() => (8, digits),
        [b'0', b'b' | b'B', digits @ ..] if !digits.is_empty() => (2, digits),
        [b'0', digits @ ..] => (8, digits),
        [_, ..] => (10, text),
        [] => return None,
    };
    let mut n: u64 = 0;
    for &b in digits.iter().filter(|&&b| b != b'_') {
        n = n.checked_mul(u64::from(base))?.checked_add(char::from(b).to_digit(base)?.into())?;
    }
    separates_digits(text).then_some(n)
}

/// `strconv.ParseInt(text, 0, 64)`: as [`uint_any_base`], perhaps after a sign.
pub fn int_any_base(text: &[u8]) -> Option<i64> {
    let (negative, magnitude) = split_sign(text);
    signed(negative, uint_any_base(magnitude)?)
}

/// `strconv.ParseUint(text, 16, 64)`: hexadecimal digits without `0x`.
pub fn hex(text: &[u8]) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    text.iter()
        .try_fold(0u64, |n, &b| Some(n.checked_mul(16)? + u64::from(char::from(b).to_digit(16)?)))
}

/// Go's `uint64(number)` on amd64: what is below 0 wraps, what no number of 64 bits holds is 2^63.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the very point")]
pub fn whole(number: f64) -> u64 {
    const HALF: f64 = (1u64 << 63) as f64;

    if (0.0..2.0 * HALF).contains(&number) {
        number as u64
    } else if (-HALF..0.0).contains(&number) {
        (number as i64).cast_unsigned()
    } else {
        1 << 63
    }
}

/// The digits that a text begins with, at least one, and what follows them.
pub fn split_digits(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = text.iter().position(|b| !b.is_ascii_digit()).unwrap_or(text.len());
    (end > 0).then(|| text.split_at(end))
}

/// Whether the text is digits and nothing else.
pub fn is_digits(text: &[u8]) -> bool {
    split_digits(text).is_some_and(|(_, rest)| rest.is_empty())
}

/// The sign that may stand before a number, and the rest.
fn split_sign(text: &[u8]) -> (bool, &[u8]) {
    match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, text),
    }
}

fn signed(negative: bool, magnitude: u64) -> Option<i64> {
    if negative { 0i64.checked_sub_unsigned(magnitude) } else { i64::try_from(magnitude).ok() }
}

/// Whether every `_` stands between two digits, or between the base and a digit (`0x_1f`).
fn separates_digits(text: &[u8]) -> bool {
    let (_, text) = split_sign(text);
    let (prefix, hex) = match text {
        [b'0', b'x' | b'X', ..] => (2, true),
        [b'0', b'o' | b'O' | b'b' | b'B', ..] => (2, false),
        _ => (0, false),
    };
    let digit =
        |i: usize| text.get(i).is_some_and(|b| b.is_ascii_digit() || hex && b.is_ascii_hexdigit());
    memchr::memchr_iter(b'_', text).all(|i| i > 0 && (digit(i - 1) || i == prefix) && digit(i + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_cut_to_whole_numbers() {
        for (number, expected) in [
            (0.0, 0),
            (-0.0, 0),
            (1.9, 1),
            (-0.9, 0),
            (-1.5, u64::MAX),
            (9_223_372_036_854_775_808.0, 1 << 63),
            (18_446_744_073_709_549_568.0, 18_446_744_073_709_549_568),
            (18_446_744_073_709_551_616.0, 1 << 63),
            (-9_223_372_036_854_775_808.0, 1 << 63),
            (-1e19, 1 << 63),
            (f64::INFINITY, 1 << 63),
            (f64::NAN, 1 << 63),
        ] {
            assert_eq!(whole(number), expected, "{number}");
        }
    }

    #[test]
    fn floats() {
        for (text, value) in [
            ("0", 0.0),
            ("007", 7.0),
            ("+5", 5.0),
            ("-5", -5.0),
            ("1.", 1.0),
            (".5", 0.5),
            ("-.5e+1", -5.0),
            ("1E3", 1000.0),
            ("0.1", 0.1),
            ("9007199254740992", 9_007_199_254_740_992.0),
            ("9007199254740993", 9_007_199_254_740_992.0),
            ("18446744073709551616", 18_446_744_073_709_551_616.0),
            ("1.7976931348623158e308", f64::MAX),
            ("5e-324", f64::from_bits(1)),
            ("1e-400", 0.0),
            ("0e99999", 0.0),
            ("inf", f64::INFINITY),
            ("+Inf", f64::INFINITY),
            ("-iNfInItY", f64::NEG_INFINITY),
            ("1_000", 1000.0),
            ("1_2.5_0e1_0", 125e9),
            ("0x1p0", 1.0),
            ("0X1.8P3", 12.0),
            ("-0x.8p+1", -1.0),
            ("0x_1_0p0", 16.0),
            ("0x1p1_0", 1024.0),
            ("0x0p99999999999999999999", 0.0),
            ("0x1fffffffffffff8p0", 144_115_188_075_855_864.0),
            ("0x1.00000000000008p0", 1.0),
            ("0x1.00000000000018p0", 1.000_000_000_000_000_4),
            ("0x1.0000000000000800000001p0", 1.000_000_000_000_000_2),
            ("0x123456789abcdef01234p-76", f64::from_bits(0x3ff2_3456_789a_bcdf)),
            ("0x1.fffffffffffff7p1023", f64::MAX),
            ("0x1p-1074", f64::from_bits(1)),
            ("0x1p-1075", 0.0),
            ("0x1.8p-1075", f64::from_bits(1)),
            ("0x0.ffffffffffffffp-1022", f64::MIN_POSITIVE),
            ("0x1p-99999999999999999999", 0.0),
        ] {
            assert_eq!(float(text.as_bytes()), Some(value), "{text}");
        }
        assert!(float(b"-0").is_some_and(|v| v == 0.0 && v.is_sign_negative()));
        assert!(float(b"NaN").is_some_and(f64::is_nan));
    }

    #[test]
    fn no_floats() {
        for text in [
            "",
            "+",
            "-",
            ".",
            "+.",
            "e5",
            "1e",
            "1e+",
            "1e5.",
            "1.2.3",
            "+-5",
            "--5",
            " 1",
            "1 ",
            "1\n",
            "1,5",
            "+nan",
            "-nan",
            "nanx",
            "infin",
            "in",
            "i",
            "1e400",
            "-1e400",
            "1.7976931348623159e308",
            "1e99999999999999999999",
            "0x",
            "0x1",
            "0xp1",
            "0x1p",
            "0x1p+",
            "0x1.8.0p1",
            "0x1gp1",
            "0x1p1024",
            "0x1.fffffffffffff8p1023",
            "0x1p1.5",
            "1_",
            "_1",
            "1__0",
            "1_.5",
            "1._5",
            "1e_5",
            "0x1p_3",
            "i_nf",
            "1d",
            "٣",
        ] {
            assert_eq!(float(text.as_bytes()), None, "{text}");
        }
        assert_eq!(float(b"1\xff"), None);
    }

    #[test]
    fn integers() {
        for (text, unsigned, with_sign) in [
            ("0", Some(0), Some(0)),
            ("007", Some(7), Some(7)),
            ("+5", None, Some(5)),
            ("-5", None, Some(-5)),
            ("-0", None, Some(0)),
            ("9223372036854775807", Some((1 << 63) - 1), Some(i64::MAX)),
            ("9223372036854775808", Some(1 << 63), None),
            ("-9223372036854775808", None, Some(i64::MIN)),
            ("-9223372036854775809", None, None),
            ("18446744073709551615", Some(u64::MAX), None),
            ("18446744073709551616", None, None),
            ("99999999999999999999", None, None),
            ("00000000000000000000018446744073709551615", Some(u64::MAX), None),
            ("", None, None),
            ("+", None, None),
            ("--1", None, None),
            ("1_0", None, None),
            (" 1", None, None),
            ("1\n", None, None),
            ("0x1", None, None),
            ("1.0", None, None),
        ] {
            assert_eq!(uint(text.as_bytes()), unsigned, "{text}");
            assert_eq!(int(text.as_bytes()), with_sign, "{text}");
        }
    }

    #[test]
    fn integers_of_any_base() {
        for (text, value) in [
            ("0", Some(0)),
            ("00", Some(0)),
            ("10", Some(10)),
            ("010", Some(8)),
            ("08", None),
            ("0o17", Some(15)),
            ("0O17", Some(15)),
            ("0b11", Some(3)),
            ("0B1", Some(1)),
            ("0b2", None),
            ("0xfF", Some(255)),
            ("0XFFFFFFFFFFFFFFFF", Some(u64::MAX)),
            ("0x10000000000000000", None),
            ("18446744073709551616", None),
            ("0x", None),
            ("0o", None),
            ("0b", None),
            ("0x_1", Some(1)),
            ("1_0", Some(10)),
            ("0_1", Some(1)),
            ("0x1_", None),
            ("1__0", None),
            ("_1", None),
            ("0_", None),
            ("0x_", None),
            ("ff", None),
            ("0x0x1", None),
            ("", None),
            ("1 ", None),
        ] {
            assert_eq!(uint_any_base(text.as_bytes()), value, "{text}");
        }
        assert_eq!(uint_any_base(b"+1"), None);
        assert_eq!(int_any_base(b"+0x10"), Some(16));
        assert_eq!(int_any_base(b"-0x8000000000000000"), Some(i64::MIN));
        assert_eq!(int_any_base(b"0x8000000000000000"), None);
        assert_eq!(int_any_base(b"-1_0"), Some(-10));
        assert_eq!(int_any_base(b"-_1"), None);
    }

    #[test]
    fn hexadecimals() {
        assert_eq!(hex(b"fF"), Some(255));
        assert_eq!(hex(b"0000000000000000000000000000ffffffffffffffff"), Some(u64::MAX));
        for text in ["", "0xff", "g", "+f", "-f", "1_0", "f ", "10000000000000000"] {
            assert_eq!(hex(text.as_bytes()), None, "{text}");
        }
    }
}
