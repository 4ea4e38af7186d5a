//! The text format, version 0.0.4.

use super::merge::Merge;
use super::{SampleRef, Samples};
use crate::number;

/// Writes all samples, families under their HELP and TYPE lines.
pub fn write<S: AsRef<Samples>>(merge: &Merge, sources: &[S], out: &mut Vec<u8>) {
    let mut family: Option<SampleRef<'_>> = None;
    for sample in merge.samples(sources) {
        if !family.is_some_and(|family| family.is_same_family(sample)) {
            write_head(sample, out);
            family = Some(sample);
        }
        write_line(sample, out);
    }
}

fn write_head(sample: SampleRef<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(b"# HELP ");
    out.extend_from_slice(sample.name());
    out.push(b' ');
    write_escaped(sample.help(), false, out);
    out.extend_from_slice(b"\n# TYPE ");
    out.extend_from_slice(sample.name());
    out.push(b' ');
    out.extend_from_slice(sample.kind().as_str().as_bytes());
    out.push(b'\n');
}

fn write_line(sample: SampleRef<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(sample.name());
    out.extend_from_slice(sample.part().suffix().as_bytes());
    let mut separator = b'{';
    for (name, value) in sample.labels() {
        out.push(separator);
        separator = b',';
        out.extend_from_slice(name);
        out.extend_from_slice(b"=\"");
        write_escaped(value, true, out);
        out.push(b'"');
    }
    if separator == b',' {
        out.push(b'}');
    }
    out.push(b' ');
    number::write_float(out, sample.value());
    out.push(b'\n');
}

/// Backslash and newline are escaped everywhere, quotes in label values only.
fn write_escaped(text: &[u8], quotes: bool, out: &mut Vec<u8>) {
    let mut rest = text;
    let next = |rest: &[u8]| {
        if quotes {
            memchr::memchr3(b'\\', b'\n', b'"', rest)
        } else {
            memchr::memchr2(b'\\', b'\n', rest)
        }
    };
    while let Some(at) = next(rest) {
        out.extend_from_slice(&rest[..at]);
        out.extend_from_slice(match rest[at] {
            b'\n' => b"\\n",
            b'"' => b"\\\"",
            _ => b"\\\\",
        });
        rest = &rest[at + 1..];
    }
    out.extend_from_slice(rest);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes() {
        let escaped = |text: &str, quotes| {
            let mut out = Vec::new();
            write_escaped(text.as_bytes(), quotes, &mut out);
            String::from_utf8(out).unwrap()
        };
        assert_eq!(escaped("a\\b\nc\"d", true), "a\\\\b\\nc\\\"d");
        assert_eq!(escaped("a\\b\nc\"d", false), "a\\\\b\\nc\"d");
        assert_eq!(escaped("größe", true), "größe");
    }
}
