//! Things that a collector keeps from one scrape to the next, such as devices or files.

/// Things that come up in every scrape: mostly the same ones, in the same order.
#[derive(Debug)]
pub struct Roll<T> {
    things: Vec<T>,
    called: usize,
}

impl<T> Default for Roll<T> {
    fn default() -> Self {
        Self { things: Vec::new(), called: 0 }
    }
}

impl<T> Roll<T> {
    /// Begins anew: nothing has come up yet.
    pub fn begin(&mut self) {
        self.called = 0;
    }

    /// The thing that comes up next, as it was kept or else new.
    pub fn call(&mut self, is_it: impl Fn(&T) -> bool, new: impl FnOnce() -> T) -> &mut T {
        let at = self.called;
        match self.things[at..].iter().position(is_it) {
            Some(further) => self.things.swap(at, at + further),
            None => self.things.insert(at, new()),
        }
        self.called += 1;
        &mut self.things[at]
    }

    /// Takes away those that did not come up.
    pub fn end(&mut self) {
        self.things.truncate(self.called);
    }

    /// In the order in which they came up.
    pub fn as_slice(&self) -> &[T] {
        &self.things
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn things_are_kept_in_the_order_of_the_last_round() {
        let mut roll: Roll<(char, u32)> = Roll::default();
        for (number, (names, kept)) in [
            ("abc", "a0 b0 c0"),
            ("abc", "a0 b0 c0"),
            ("bxca", "b0 x2 c0 a0"),
            ("ab", "a0 b0"),
            ("", ""),
            ("a", "a5"),
        ]
        .into_iter()
        .enumerate()
        {
            roll.begin();
            for name in names.chars() {
                let number = u32::try_from(number).unwrap();
                roll.call(|thing| thing.0 == name, || (name, number));
            }
            roll.end();
            let shown: Vec<String> =
                roll.as_slice().iter().map(|(name, number)| format!("{name}{number}")).collect();
            assert_eq!(shown.join(" "), kept);
        }
    }
}
