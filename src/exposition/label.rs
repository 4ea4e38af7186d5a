//! What may stand as a label's value.

use std::fmt::{self, Write as _};

use super::is_metric_name;

/// What may stand as a label's value: anything that writes itself as bytes.
pub trait LabelValue {
    fn write(&self, out: &mut Vec<u8>);
}

impl LabelValue for str {
    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.as_bytes());
    }
}

impl LabelValue for [u8] {
    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self);
    }
}

impl LabelValue for Vec<u8> {
    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self);
    }
}

impl LabelValue for String {
    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.as_bytes());
    }
}

impl<T: LabelValue + ?Sized> LabelValue for &T {
    fn write(&self, out: &mut Vec<u8>) {
        (**self).write(out);
    }
}

/// Text in which every run of bytes that is not UTF-8 is shown as one U+FFFD.
pub struct Repaired<'a>(pub &'a [u8]);

impl fmt::Display for Repaired<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut is_in_run = false;
        for chunk in self.0.utf8_chunks() {
            if !chunk.valid().is_empty() {
                f.write_str(chunk.valid())?;
                is_in_run = false;
            }
            if !chunk.invalid().is_empty() && !is_in_run {
                f.write_char(char::REPLACEMENT_CHARACTER)?;
                is_in_run = true;
            }
        }
        Ok(())
    }
}

impl LabelValue for Repaired<'_> {
    fn write(&self, out: &mut Vec<u8>) {
        format_args!("{self}").write(out);
    }
}

/// A metric's name made of what a kernel file calls its fields: a character that no name may hold
/// becomes `_`, as in node_exporter's exposition. What is not UTF-8 stays and is refused.
pub struct Underscored<T>(pub T);

impl<T: LabelValue> LabelValue for Underscored<T> {
    fn write(&self, out: &mut Vec<u8>) {
        let start = out.len();
        self.0.write(out);
        if is_metric_name(&out[start..]) || std::str::from_utf8(&out[start..]).is_err() {
            return;
        }
        let mut end = start;
        for at in start..out.len() {
            // The bytes of a character after its first.
            if out[at] & 0xc0 == 0x80 {
                continue;
            }
            let fits = out[at].is_ascii_alphabetic()
                || matches!(out[at], b'_' | b':')
                || out[at].is_ascii_digit() && end > start;
            out[end] = if fits { out[at] } else { b'_' };
            end += 1;
        }
        out.truncate(end);
    }
}

/// For numbers in other bases and the like: `&format_args!("{class:#06x}")` allocates nothing.
impl LabelValue for fmt::Arguments<'_> {
    fn write(&self, out: &mut Vec<u8>) {
        use std::io::Write;
        // A Vec takes every write.
        let _ = out.write_fmt(*self);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_name_may_hold_becomes_an_underscore() {
        for (name, written) in [
            ("node_netstat_Ip_InOctets", "node_netstat_Ip_InOctets"),
            ("a-b c:d", "a_b_c:d"),
            ("1a1", "_a1"),
            ("aé€b", "a__b"),
            ("", ""),
        ] {
            let mut out = b"before".to_vec();
            Underscored(name).write(&mut out);
            assert_eq!(std::str::from_utf8(&out), Ok(&*format!("before{written}")));
        }
        let mut out = Vec::new();
        Underscored(&b"a-\xff"[..]).write(&mut out);
        assert_eq!(out, b"a-\xff");
    }
}
