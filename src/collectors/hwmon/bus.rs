//! Reading the chips of one bus: a bus that hangs takes its chips along and no others.

use std::sync::Arc;

use crate::collector::prelude::*;
use crate::isolated::Errand;

use super::DIRECTORY;
use super::sensors::Readings;

pub(super) struct Bus {
    key: Arc<str>,
    sys: Root,
    chips: Vec<Chip>,
}

struct Chip {
    entry: String,
    readings: Readings,
    /// Whether it is to be read in this scrape.
    is_wanted: bool,
    outcome: Result<()>,
}

/// The bus of that name among those known, or a new one.
pub(super) fn find<'a>(buses: &'a mut Vec<Bus>, key: &str, sys: &Root) -> &'a mut Bus {
    let at = buses.iter().position(|bus| *bus.key == *key).unwrap_or_else(|| {
        buses.push(Bus { key: key.into(), sys: sys.clone(), chips: Vec::new() });
        buses.len() - 1
    });
    &mut buses[at]
}

impl Bus {
    /// Forgets what is to be read.
    pub(super) fn clear(&mut self) {
        self.chips.iter_mut().for_each(|chip| chip.is_wanted = false);
    }

    /// Has the chip read with the others.
    pub(super) fn visit(&mut self, entry: &str) {
        match self.chips.iter_mut().find(|chip| chip.entry == entry) {
            Some(chip) => chip.is_wanted = true,
            None => self.chips.push(Chip {
                entry: entry.to_owned(),
                readings: Readings::default(),
                is_wanted: true,
                outcome: Ok(()),
            }),
        }
    }

    /// Whether any chip is to be read; those that are not are forgotten.
    pub(super) fn is_wanted(&mut self) -> bool {
        self.chips.retain(|chip| chip.is_wanted);
        !self.chips.is_empty()
    }

    /// What the chip's sensors said, if it is on this bus.
    pub(super) fn readings(&mut self, entry: &str) -> Option<Result<&mut Readings>> {
        let chip = self.chips.iter_mut().find(|chip| chip.entry == entry)?;
        Some(chip.outcome.clone().map(|()| &mut chip.readings))
    }
}

impl Errand for Bus {
    fn key(&self) -> &Arc<str> {
        &self.key
    }

    fn run(&mut self) {
        self.sys.begin_round();
        for chip in &mut self.chips {
            chip.outcome = chip.readings.read(&mut self.sys, DIRECTORY, &chip.entry);
        }
    }
}
