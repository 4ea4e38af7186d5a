//! A sample's value, as the Prometheus text format spells it.

use std::io::Write as _;

use super::{float, int};

/// Appends a sample's value: the shortest digits that read back as the same float, with an exponent below 0.0001 and from a
/// million on, and zero without its sign.
pub fn write_float(out: &mut Vec<u8>, value: f64) {
    /// Below this an integer's own digits are the shortest that name it.
    const EXACT: f64 = (1u64 << f64::MANTISSA_DIGITS) as f64;

    if !value.is_finite() {
        let special: &[u8] = match value {
            f64::INFINITY => b"+Inf",
            f64::NEG_INFINITY => b"-Inf",
            _ => b"NaN",
        };
        return out.extend_from_slice(special);
    }
    let magnitude = value.abs();
    if value < 0.0 {
        out.push(b'-');
    }
    if magnitude < EXACT {
        #[expect(clippy::cast_possible_truncation, reason = "below 2^53 and not negative")]
        let whole = magnitude as u64;
        if whole as f64 == magnitude {
            return write_whole(out, whole);
        }
    }
    // 1.2345e-5: room for 17 digits, a point, and an exponent of 3 digits with its sign.
    let mut buffer = [0; 32];
    let mut rest = &mut buffer[..];
    let written = write!(rest, "{magnitude:e}");
    debug_assert!(written.is_ok(), "a float needs 24 bytes at most");
    let unused = rest.len();
    let length = buffer.len() - unused;
    let Some(e) = memchr::memchr(b'e', &buffer[..length]) else { return };
    let exponent = int(&buffer[e + 1..length]).unwrap_or_default();
    if is_rounded_half_up(magnitude, &buffer[..e], exponent) {
        buffer[e - 1] -= 1;
        // Below a power of two floats lie closer, and the even digit may name a neighbour, as it would for 2^-24.
        if float(&buffer[..length]) != Some(magnitude) {
            buffer[e - 1] += 1;
        }
    }
    let (first, others) = (buffer[0], buffer.get(2..e).unwrap_or_default());
    match exponent {
        0..6 => {
            let (before, after) = others.split_at(usize::try_from(exponent).unwrap_or_default());
            out.push(first);
            out.extend_from_slice(before);
            out.push(b'.');
            out.extend_from_slice(after);
        }
        -4..0 => {
            out.extend_from_slice(&b"0.000"[..1 + usize::try_from(-exponent).unwrap_or_default()]);
            out.push(first);
            out.extend_from_slice(others);
        }
        _ => write_scientific(out, first, others, exponent),
    }
}

/// Whether `value` lies halfway between these digits and those with the last, an odd one, less by 1. Where both name it, Rust
/// takes the larger and Go the even: 2^-25 is `2.9802322387695312e-08`.
fn is_rounded_half_up(value: f64, digits: &[u8], exponent: i64) -> bool {
    const FRACTION: u32 = f64::MANTISSA_DIGITS - 1;

    let odd = digits.last().is_some_and(|b| b & 1 == 1);
    if !odd || digits.len() < 3 {
        return false;
    }
    // value = odd × 2^two, and what it is compared with is half × 10^ten, where half ends in 5.
    let bits = value.to_bits();
    let (fraction, field) = (bits & ((1 << FRACTION) - 1), (bits >> FRACTION).cast_signed());
    let (significand, two) =
        if field == 0 { (fraction, -1074) } else { (fraction | 1 << FRACTION, field - 1075) };
    let zeros = significand.trailing_zeros();
    let (odd, two) = (significand >> zeros, two + i64::from(zeros));

    let number =
        digits.iter().filter(|b| b.is_ascii_digit()).fold(0, |n, b| n * 10 + u64::from(b - b'0'));
    let half = number * 10 - 5;
    let decimals = i64::try_from(digits.len() - 2).unwrap_or_default();
    let ten = exponent - decimals - 1;
    // A half that ends in 5 is odd, so all twos are in the ten. Only a value with a fraction comes so near to its shortest digits.
    let fives = u32::try_from(-ten).ok().and_then(|n| 5u64.checked_pow(n));
    ten == two && fives.and_then(|fives| odd.checked_mul(fives)) == Some(half)
}

fn write_whole(out: &mut Vec<u8>, whole: u64) {
    let mut buffer = itoa::Buffer::new();
    let digits = buffer.format(whole).as_bytes();
    if whole < 1_000_000 {
        return out.extend_from_slice(digits);
    }
    let zeros = digits.iter().rev().take_while(|&&b| b == b'0').count();
    let exponent = i64::try_from(digits.len() - 1).unwrap_or_default();
    write_scientific(out, digits[0], &digits[1..digits.len() - zeros], exponent);
}

fn write_scientific(out: &mut Vec<u8>, first: u8, others: &[u8], exponent: i64) {
    out.push(first);
    if !others.is_empty() {
        out.push(b'.');
        out.extend_from_slice(others);
    }
    out.extend_from_slice(if exponent < 0 { b"e-" } else { b"e+" });
    if exponent.abs() < 10 {
        out.push(b'0');
    }
    out.extend_from_slice(itoa::Buffer::new().format(exponent.unsigned_abs()).as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values() {
        for (value, text) in [
            (0.0, "0"),
            (-0.0, "0"),
            (1.0, "1"),
            (-1.0, "-1"),
            (42.0, "42"),
            (0.1, "0.1"),
            (-2.5, "-2.5"),
            (0.0001, "0.0001"),
            (0.001_234_5, "0.0012345"),
            (0.000_099_999, "9.9999e-05"),
            (0.000_01, "1e-05"),
            (1.5e-10, "1.5e-10"),
            (123_456.0, "123456"),
            (999_999.0, "999999"),
            (999_999.999, "999999.999"),
            (100_000.5, "100000.5"),
            (1_000_000.0, "1e+06"),
            (-1_000_000.0, "-1e+06"),
            (1_000_001.0, "1.000001e+06"),
            (1_234_567.5, "1.2345675e+06"),
            (12_345_678.0, "1.2345678e+07"),
            (33_554_432.0, "3.3554432e+07"),
            (9_007_199_254_740_991.0, "9.007199254740991e+15"),
            (9_007_199_254_740_992.0, "9.007199254740992e+15"),
            (18_446_744_073_709_551_615.0, "1.8446744073709552e+19"),
            (1e20, "1e+20"),
            (1e21, "1e+21"),
            (2.1e22, "2.1e+22"),
            (1e100, "1e+100"),
            (f64::from_bits(1), "5e-324"),
            (f64::MIN_POSITIVE, "2.2250738585072014e-308"),
            (-f64::MIN_POSITIVE, "-2.2250738585072014e-308"),
            (f64::MAX, "1.7976931348623157e+308"),
            (f64::EPSILON, "2.220446049250313e-16"),
            (2f64.powi(-24), "5.960464477539063e-08"),
            (2f64.powi(-25), "2.9802322387695312e-08"),
            (-0.25 - 624_297_811_037_773.0, "-6.242978110377732e+14"),
            (0.75 + 624_297_811_037_773.0, "6.242978110377738e+14"),
            (f64::NAN, "NaN"),
            (f64::INFINITY, "+Inf"),
            (f64::NEG_INFINITY, "-Inf"),
        ] {
            assert_eq!(written(value), text);
        }
    }

    #[test]
    fn values_read_back() {
        // Steps through every exponent with fractions that look random.
        let mut bits = 0u64;
        for _ in 0..200_000 {
            bits = bits.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let value = f64::from_bits(bits);
            if value.is_finite() {
                assert_eq!(float(written(value).as_bytes()), Some(value), "{bits:x}");
            }
        }
    }

    #[test]
    fn values_of_node_exporter() {
        let path = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../shared/conformance/node_exporter-1.12.1-e2e.txt"
        );
        #[expect(clippy::disallowed_methods, reason = "not a file of the host's")]
        let Ok(exposition) = std::fs::read_to_string(path) else {
            println!("left out: no {path}");
            return;
        };
        let samples = exposition.lines().filter(|line| !line.starts_with('#'));
        for value in samples.filter_map(|line| line.rsplit(' ').next()) {
            assert_eq!(float(value.as_bytes()).map(written).as_deref(), Some(value));
        }
    }

    fn written(value: f64) -> String {
        let mut out = Vec::new();
        write_float(&mut out, value);
        String::from_utf8(out).unwrap()
    }
}
