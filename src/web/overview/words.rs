//! Figures as people say them, number and unit never on two lines.

/// `3.1 GiB`
pub(super) fn bytes(value: f64) -> String {
    const UNITS: [&str; 7] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    let mut value = value;
    let mut unit = 0;
    while value.abs() >= 1000.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    let digits = if unit == 0 || value.abs() >= 100.0 { 0 } else { 1 };
    format!("{value:.digits$}\u{a0}{}", UNITS[unit])
}

/// `42 %`, and what is small but not nothing as `0.4 %`.
pub(super) fn percent(value: f64) -> String {
    let digits = if (0.05..9.95).contains(&value) { 1 } else { 0 };
    format!("{value:.digits$}\u{a0}%")
}

/// `12 days 4 h`: the two largest units that tell.
pub(super) fn duration(seconds: f64) -> String {
    const UNITS: [(f64, &str, &str); 4] =
        [(86_400.0, "day", "days"), (3600.0, "h", "h"), (60.0, "min", "min"), (1.0, "s", "s")];
    let mut rest = seconds.abs().floor();
    let mut parts = Vec::new();
    for (size, one, many) in UNITS {
        let count = (rest / size).floor();
        rest -= count * size;
        if count > 0.0 {
            parts.push(format!("{count}\u{a0}{}", if count < 2.0 { one } else { many }));
        } else if !parts.is_empty() {
            break;
        }
        if parts.len() == 2 || count >= 10.0 && size >= 86_400.0 {
            break;
        }
    }
    if parts.is_empty() { "0\u{a0}s".to_owned() } else { parts.join(" ") }
}

/// `340 µs`, `4.2 ms`, `1.5 s`
pub(super) fn short_duration(seconds: f64) -> String {
    let (value, unit) = match seconds {
        ..0.000_999_5 => (seconds * 1e6, "µs"),
        ..0.9995 => (seconds * 1e3, "ms"),
        _ => (seconds, "s"),
    };
    let digits = if unit == "µs" || value >= 9.95 { 0 } else { 1 };
    format!("{value:.digits$}\u{a0}{unit}")
}

/// `1 unit`, `3 units`
pub(super) fn count(number: usize, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(text: &str) -> String {
        text.replace('\u{a0}', " ")
    }

    #[test]
    fn sizes() {
        for (value, text) in [
            (0.0, "0 B"),
            (999.0, "999 B"),
            (1000.0, "1.0 KiB"),
            (1536.0, "1.5 KiB"),
            (25_769_803_776.0, "24.0 GiB"),
            (536_870_912_000.0, "500 GiB"),
            (1e30, "867361737988 EiB"),
        ] {
            assert_eq!(plain(&bytes(value)), text);
        }
    }

    #[test]
    fn shares() {
        for (value, text) in [
            (0.0, "0 %"),
            (0.04, "0 %"),
            (0.05, "0.1 %"),
            (3.12, "3.1 %"),
            (9.96, "10 %"),
            (100.0, "100 %"),
        ] {
            assert_eq!(plain(&percent(value)), text);
        }
    }

    #[test]
    fn times() {
        for (seconds, text) in [
            (0.4, "0 s"),
            (59.9, "59 s"),
            (61.0, "1 min 1 s"),
            (3600.0, "1 h"),
            (90_000.0, "1 day 1 h"),
            (86_400.0 * 2.0 + 59.0, "2 days"),
            (86_400.0 * 15.0 + 7200.0, "15 days"),
        ] {
            assert_eq!(plain(&duration(seconds)), text);
        }
        for (seconds, text) in [
            (0.000_04, "40 µs"),
            (0.000_999_7, "1.0 ms"),
            (0.0123, "12 ms"),
            (2.0, "2.0 s"),
            (15.0, "15 s"),
        ] {
            assert_eq!(plain(&short_duration(seconds)), text);
        }
    }
}
