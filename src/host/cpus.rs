//! The CPUs of `/sys/devices/system/cpu`: their directories, and lists such as `0-3,7`.

use super::Listing;
use super::cursor::Text;
use crate::collector::Result;
use crate::number;

pub const DIRECTORY: &str = "devices/system/cpu";

/// The names of the CPUs' directories, `cpu0` and so on, sorted as text.
pub fn directories(listing: &Listing) -> impl Iterator<Item = &str> {
    listing.names().filter(|name| {
        name.strip_prefix("cpu")
            .is_some_and(|number| number.starts_with(|c: char| c.is_ascii_digit()))
    })
}

/// Reads a list of CPUs into `cpus`; numbers beyond 65535 lose their upper bits, as they do in the
/// original.
#[expect(clippy::cast_possible_truncation, reason = "the original's cut")]
pub fn parse_list(list: Text<'_>, cpus: &mut Vec<u16>) -> Result<()> {
    /// More CPUs than a range could name without naming one twice.
    const LONGEST: i64 = 1 << 16;

    cpus.clear();
    let text = list.bytes.strip_suffix(b"\n").unwrap_or(list.bytes);
    for part in text.split(|&byte| byte == b',').filter(|part| !part.is_empty()) {
        let malformed = || Text::new(list.path, part).malformed();
        let mut ends = part.split(|&byte| byte == b'-');
        let (first, last) = match (ends.next(), ends.next(), ends.next()) {
            (Some(first), None, None) => (first, first),
            (Some(first), Some(last), None) => (first, last),
            _ => return Err(malformed()),
        };
        let first = number::int(first).ok_or_else(malformed)?;
        let last = number::int(last).ok_or_else(malformed)?;
        if last.saturating_sub(first) >= LONGEST {
            return Err(malformed());
        }
        cpus.extend((first..=last).map(|cpu| cpu as u16));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists() {
        let parse = |text: &str| {
            let mut cpus = vec![7];
            parse_list(Text::new("cpu/offline", text.as_bytes()), &mut cpus).ok().map(|()| cpus)
        };
        for (text, expected) in [
            ("", Some(&[][..])),
            ("\n", Some(&[])),
            ("3", Some(&[3])),
            ("1,3-5,9\n", Some(&[1, 3, 4, 5, 9])),
            (",1,,2,", Some(&[1, 2])),
            ("5-3", Some(&[])),
            ("+1", Some(&[1])),
            ("65537", Some(&[1])),
            ("-1", None),
            ("1-2-3", None),
            ("1 ,2", None),
            ("1\n\n", None),
            ("0x1", None),
            ("0-99999999999", None),
        ] {
            assert_eq!(parse(text).as_deref(), expected, "{text:?}");
        }
    }
}
