//! Names that a collector is to leave out, or to keep to: an `…-exclude` and an `…-include` flag.

use crate::flags::{Flag, Values};
use crate::pattern::Pattern;

/// Two patterns, either of which may be unset.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    pub exclude: Option<Pattern>,
    pub include: Option<Pattern>,
}

impl Filter {
    /// From two flags that may both be given.
    pub fn from_flags(
        flags: &Values,
        exclude: &Flag<Option<Pattern>>,
        include: &Flag<Option<Pattern>>,
    ) -> Self {
        Self { exclude: flags.get(exclude), include: flags.get(include) }
    }

    /// Whether the name is excluded, or not among those included.
    pub fn drops(&self, name: &(impl AsRef<[u8]> + ?Sized)) -> bool {
        let name = name.as_ref();
        self.exclude.as_ref().is_some_and(|pattern| pattern.is_match(name))
            || self.include.as_ref().is_some_and(|pattern| !pattern.is_match(name))
    }

    /// Notes in the log which flags are in force.
    pub fn log(&self, exclude: &Flag<Option<Pattern>>, include: &Flag<Option<Pattern>>) {
        for (pattern, flag) in [(&self.exclude, exclude), (&self.include, include)] {
            if let Some(pattern) = pattern {
                tracing::info!(flag = flag.name(), value = pattern.as_str(), "filter in force");
            }
        }
    }
}

/// The pattern of a flag, or with a warning that of its old name; not of both.
pub fn renamed(
    flags: &Values,
    old: &Flag<Option<Pattern>>,
    new: &Flag<Option<Pattern>>,
) -> Result<Option<Pattern>, String> {
    let (given, old_given) = (flags.get(new), flags.get(old));
    let is_given = given.is_some() && flags.is_given(new.name());
    let (old, new) = (old.name(), new.name());
    if old_given.is_none() {
        return Ok(given);
    }
    if is_given {
        return Err(format!("--{old} and --{new} are mutually exclusive"));
    }
    tracing::warn!("--{old} is DEPRECATED and will be removed in 2.0.0, use --{new}");
    Ok(old_given)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_patterns_count_and_neither_needs_to_be_set() {
        let pattern = |text: &str| Pattern::new(text).ok();
        let filter = |exclude, include| Filter { exclude, include };
        for (filter, kept) in [
            (Filter::default(), vec!["sda", "sdb", "vda"]),
            (filter(pattern("^sd"), None), vec!["vda"]),
            (filter(None, pattern("a$")), vec!["sda", "vda"]),
            (filter(pattern("^sd"), pattern("b")), vec![]),
        ] {
            let names = ["sda", "sdb", "vda"].into_iter();
            assert_eq!(names.filter(|name| !filter.drops(name)).collect::<Vec<_>>(), kept);
        }
    }
}
