//! Protobuf's bytes: a tag, then eight bytes, a varint, or a length and what is that long.

use super::{Field, Message};

/// Wire types.
const VARINT: u8 = 0;
const FIXED64: u8 = 1;
const LENGTH: u8 = 2;

/// A message that is written at the end of `out`.
pub(super) struct Wire<'a> {
    out: &'a mut Vec<u8>,
}

impl<'a> Wire<'a> {
    /// Appends a message behind its length.
    pub(super) fn delimited(out: &'a mut Vec<u8>, fill: impl FnOnce(&mut Self)) {
        Self { out }.with_length(fill);
    }

    fn tag(&mut self, Field(number, _): Field, wire_type: u8) {
        self.out.push(number << 3 | wire_type);
    }

    fn varint(&mut self, value: u64) {
        let (bytes, length) = varint(value);
        self.out.extend_from_slice(&bytes[..length]);
    }

    /// The length is known afterwards. Most are below 128 and fit the byte that was left free; a
    /// longer message moves over.
    fn with_length(&mut self, fill: impl FnOnce(&mut Self)) {
        let at = self.out.len();
        self.out.push(0);
        fill(self);
        let end = self.out.len();
        let (bytes, length) = varint((end - at - 1) as u64);
        self.out.resize(end + length - 1, 0);
        self.out.copy_within(at + 1..end, at + length);
        self.out[at..at + length].copy_from_slice(&bytes[..length]);
    }
}

/// Seven bits a byte, lowest first; all but the last byte have the eighth set.
fn varint(mut value: u64) -> ([u8; 10], usize) {
    let mut bytes = [0; 10];
    let mut length = 0;
    loop {
        let low = value.to_le_bytes()[0] & 0x7f;
        value >>= 7;
        bytes[length] = if value > 0 { low | 0x80 } else { low };
        length += 1;
        if value == 0 {
            return (bytes, length);
        }
    }
}

impl Message for Wire<'_> {
    fn text(&mut self, field: Field, text: &[u8]) {
        self.tag(field, LENGTH);
        self.varint(text.len() as u64);
        self.out.extend_from_slice(text);
    }

    fn double(&mut self, field: Field, value: f64) {
        self.tag(field, FIXED64);
        self.out.extend_from_slice(&value.to_le_bytes());
    }

    fn whole(&mut self, field: Field, value: u64) {
        self.tag(field, VARINT);
        self.varint(value);
    }

    fn member(&mut self, field: Field, number: u8, _name: &str) {
        self.whole(field, number.into());
    }

    fn message(&mut self, field: Field, fill: impl FnOnce(&mut Self)) {
        self.tag(field, LENGTH);
        self.with_length(fill);
    }
}
