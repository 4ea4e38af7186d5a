//! Protobuf's text format, which Go's protobuf writes with more blanks on some days than on others.

use std::io::Write as _;

use super::{Field, Message};
use crate::number;

/// A message whose fields are written at the end of `out`.
pub(super) struct Spelled<'a> {
    out: &'a mut Vec<u8>,
    /// How deep its lines stand; all on one line without.
    depth: Option<usize>,
    is_first: bool,
}

impl<'a> Spelled<'a> {
    /// Appends a message with its fields on lines of their own, and an empty line.
    pub(super) fn in_lines(out: &'a mut Vec<u8>, fill: impl FnOnce(&mut Self)) {
        Self { out, depth: Some(0), is_first: true }.with_end(fill);
    }

    /// Appends a message on one line.
    pub(super) fn in_one(out: &'a mut Vec<u8>, fill: impl FnOnce(&mut Self)) {
        Self { out, depth: None, is_first: true }.with_end(fill);
    }

    fn with_end(mut self, fill: impl FnOnce(&mut Self)) {
        fill(&mut self);
        self.out.extend_from_slice(if self.depth.is_some() { b"\n\n" } else { b"\n" });
    }

    fn name(&mut self, Field(_, name): Field) {
        match (self.depth, self.is_first) {
            (Some(_), false) => self.out.push(b'\n'),
            (None, false) => self.out.push(b' '),
            (_, true) => {}
        }
        self.is_first = false;
        self.indent();
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(if self.depth.is_some() { b": " } else { b":" });
    }

    fn indent(&mut self) {
        for _ in 0..self.depth.unwrap_or(0) {
            self.out.extend_from_slice(b"  ");
        }
    }
}

impl Message for Spelled<'_> {
    fn text(&mut self, field: Field, text: &[u8]) {
        self.name(field);
        self.out.push(b'"');
        for &byte in text {
            match byte {
                b'\n' => self.out.extend_from_slice(b"\\n"),
                b'\r' => self.out.extend_from_slice(b"\\r"),
                b'\t' => self.out.extend_from_slice(b"\\t"),
                b'"' | b'\\' => self.out.extend_from_slice(&[b'\\', byte]),
                ..b' ' | 0x7f => {
                    // A Vec takes every write.
                    let _ = write!(self.out, "\\x{byte:02x}");
                }
                _ => self.out.push(byte),
            }
        }
        self.out.push(b'"');
    }

    fn double(&mut self, field: Field, value: f64) {
        self.name(field);
        match value {
            f64::INFINITY => self.out.extend_from_slice(b"inf"),
            f64::NEG_INFINITY => self.out.extend_from_slice(b"-inf"),
            _ if value.is_nan() => self.out.extend_from_slice(b"nan"),
            _ => number::write_float(self.out, value),
        }
    }

    fn whole(&mut self, field: Field, value: u64) {
        self.name(field);
        self.out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
    }

    fn member(&mut self, field: Field, _number: u8, name: &str) {
        self.name(field);
        self.out.extend_from_slice(name.as_bytes());
    }

    fn message(&mut self, field: Field, fill: impl FnOnce(&mut Self)) {
        self.name(field);
        self.out.push(b'{');
        let depth = self.depth;
        if depth.is_some() {
            self.out.push(b'\n');
        }
        self.depth = depth.map(|depth| depth + 1);
        self.is_first = true;
        fill(self);
        self.depth = depth;
        self.is_first = false;
        if depth.is_some() {
            self.out.push(b'\n');
            self.indent();
        }
        self.out.push(b'}');
    }
}
