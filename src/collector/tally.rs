//! Counts by name, kept from scrape to scrape for their memory.

/// How often each name came up.
#[derive(Debug, Default)]
pub struct Tally {
    /// Those beyond `known` are an earlier scrape's.
    entries: Vec<(Vec<u8>, u32)>,
    known: usize,
}

impl Tally {
    /// Forgets all counts.
    pub fn clear(&mut self) {
        self.known = 0;
    }

    /// Counts the name once more.
    pub fn count(&mut self, name: &[u8]) {
        let known = &mut self.entries[..self.known];
        if let Some((_, count)) = known.iter_mut().find(|(known, _)| known == name) {
            *count += 1;
            return;
        }
        if self.entries.len() == self.known {
            self.entries.push(Default::default());
        }
        let (known, count) = &mut self.entries[self.known];
        known.clear();
        known.extend_from_slice(name);
        *count = 1;
        self.known += 1;
    }

    /// The names that came up, in the order in which they did, and how often.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], u32)> {
        self.entries[..self.known].iter().map(|(name, count)| (&name[..], *count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_counted_until_forgotten() {
        let mut tally = Tally::default();
        for (names, counts) in [
            (&["S", "R", "S"][..], &[("S", 2), ("R", 1)][..]),
            (&[], &[]),
            (&["I", "S", "R", "I"], &[("I", 2), ("S", 1), ("R", 1)]),
        ] {
            tally.clear();
            names.iter().for_each(|name| tally.count(name.as_bytes()));
            let counts: Vec<_> =
                counts.iter().map(|(name, count)| (name.as_bytes(), *count)).collect();
            assert_eq!(tally.iter().collect::<Vec<_>>(), counts);
        }
    }
}
