//! Rows of a small table, each with a key of its own.

use crate::collector::prelude::*;

/// Keys, as places in a text, and up to two numbers.
#[derive(Debug, Default)]
pub(super) struct Rows(Vec<(Span, [u64; 2])>);

impl Rows {
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// Adds a row, or sets it anew: of two with the same key in `text`, the last counts.
    pub(super) fn set(&mut self, key: Span, numbers: [u64; 2], text: Text<'_>) {
        let known = self.0.iter_mut().find(|(known, _)| text.at(*known).bytes == text.at(key).bytes);
        match known {
            Some(row) => row.1 = numbers,
            None => self.0.push((key, numbers)),
        }
    }

    pub(super) fn of<'t>(&self, text: Text<'t>) -> impl Iterator<Item = (&'t [u8], [u64; 2])> {
        self.0.iter().map(move |(key, numbers)| (text.at(*key).bytes, *numbers))
    }
}
