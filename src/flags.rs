//! Flags: typed statics that stand beside the code they steer.
//!
//! A [`Flag`] is a definition, not a value: what was typed lives in [`Values`], so that two agents
//! with different settings can stand in one process and tests run side by side.

use std::collections::HashMap;
use std::marker::PhantomData;
use std::time::Duration;

use crate::number;
use crate::pattern::Pattern;

/// One command-line flag and the type of its value.
pub struct Flag<T> {
    definition: Definition,
    value: PhantomData<fn() -> T>,
}

/// What the command line, the help text and the man page need to know of a flag.
#[derive(Debug)]
pub struct Definition {
    /// Name without the leading `--`.
    pub name: &'static str,
    /// One sentence, without the default.
    pub help: &'static str,
    /// Default as it would be typed; empty means unset.
    pub default: &'static str,
    /// What the value is called in the help text; empty for a switch.
    pub placeholder: &'static str,
    /// May be given more than once.
    pub repeatable: bool,
    /// Left out of `--help`, as in the original.
    pub hidden: bool,
    /// Environment variable that replaces the default.
    pub env: Option<&'static str>,
}

impl Definition {
    /// A switch takes no value: `--name` or `--no-name`.
    pub fn is_switch(&self) -> bool {
        self.placeholder.is_empty()
    }
}

/// Any flag, whatever its type: what a table of flags holds.
pub trait AnyFlag: Sync {
    fn definition(&self) -> &Definition;
    /// Whether `values` holds something that this flag's type accepts.
    fn check(&self, values: &Values) -> Result<(), String>;
}

impl<T: FromFlag> AnyFlag for Flag<T> {
    fn definition(&self) -> &Definition {
        &self.definition
    }

    fn check(&self, values: &Values) -> Result<(), String> {
        values.parsed(self).map(drop)
    }
}

impl<T> Flag<T> {
    const fn new(name: &'static str, default: &'static str, help: &'static str) -> Self {
        let definition = Definition {
            name,
            help,
            default,
            placeholder: "VALUE",
            repeatable: false,
            hidden: false,
            env: None,
        };
        Self { definition, value: PhantomData }
    }

    /// Left out of the help text.
    #[must_use]
    pub const fn hidden(mut self) -> Self {
        self.definition.hidden = true;
        self
    }

    /// Default taken from an environment variable when it is set and not empty.
    #[must_use]
    pub const fn env(mut self, name: &'static str) -> Self {
        self.definition.env = Some(name);
        self
    }

    const fn placeholder(mut self, placeholder: &'static str) -> Self {
        self.definition.placeholder = placeholder;
        self
    }

    pub const fn name(&self) -> &'static str {
        self.definition.name
    }
}

/// `--name` and `--no-name`.
pub const fn switch(name: &'static str, default: bool, help: &'static str) -> Flag<bool> {
    Flag::new(name, if default { "true" } else { "false" }, help).placeholder("")
}

/// Any text.
pub const fn text(name: &'static str, default: &'static str, help: &'static str) -> Flag<String> {
    Flag::new(name, default, help)
}

/// Any text, as often as wanted; what is given replaces the default.
pub const fn list(
    name: &'static str,
    default: &'static str,
    help: &'static str,
) -> Flag<Vec<String>> {
    let mut flag: Flag<Vec<String>> = Flag::new(name, default, help);
    flag.definition.repeatable = true;
    flag
}

/// A whole number; like the original's, `1.5e1` reads as 15.
pub const fn integer(name: &'static str, default: &'static str, help: &'static str) -> Flag<i64> {
    Flag::new(name, default, help).placeholder("N")
}

/// A duration in Go's notation: `300ms`, `1m30s`.
pub const fn duration(
    name: &'static str,
    default: &'static str,
    help: &'static str,
) -> Flag<Duration> {
    Flag::new(name, default, help).placeholder("DURATION")
}

/// A regular expression; empty means that none is set.
pub const fn pattern(
    name: &'static str,
    default: &'static str,
    help: &'static str,
) -> Flag<Option<Pattern>> {
    Flag::new(name, default, help).placeholder("REGEXP")
}

/// What a flag's text may be turned into. `given` holds one text, or several for a repeatable flag.
pub trait FromFlag: Sized {
    fn from_flag(given: &[String]) -> Result<Self, String>;
}

impl FromFlag for bool {
    fn from_flag(given: &[String]) -> Result<Self, String> {
        match last(given) {
            "true" => Ok(true),
            "false" => Ok(false),
            other => Err(format!("invalid boolean {other:?}")),
        }
    }
}

impl FromFlag for String {
    fn from_flag(given: &[String]) -> Result<Self, String> {
        Ok(last(given).to_owned())
    }
}

impl FromFlag for Vec<String> {
    fn from_flag(given: &[String]) -> Result<Self, String> {
        Ok(given.to_vec())
    }
}

impl FromFlag for i64 {
    fn from_flag(given: &[String]) -> Result<Self, String> {
        let text = last(given);
        let value = number::float(text.as_bytes()).filter(|value| value.is_finite());
        #[expect(clippy::cast_possible_truncation, reason = "truncated by contract: 1.5e1 is 15")]
        value.map(|value| value as i64).ok_or_else(|| format!("invalid number {text:?}"))
    }
}

impl FromFlag for Duration {
    fn from_flag(given: &[String]) -> Result<Self, String> {
        let text = last(given);
        number::duration(text).ok_or_else(|| format!("invalid duration {text:?}"))
    }
}

impl FromFlag for Option<Pattern> {
    fn from_flag(given: &[String]) -> Result<Self, String> {
        match last(given) {
            "" => Ok(None),
            text => Pattern::new(text).map(Some),
        }
    }
}

fn last(given: &[String]) -> &str {
    given.last().map_or("", String::as_str)
}

/// What was typed, by flag name.
#[derive(Debug, Default, Clone)]
pub struct Values {
    given: HashMap<String, Vec<String>>,
    environment: HashMap<&'static str, String>,
}

impl Values {
    /// The value given on the command line, else the environment's, else the default. Values were
    /// checked when the command line was read; one that was not (a test's) panics here.
    pub fn get<T: FromFlag>(&self, flag: &Flag<T>) -> T {
        self.parsed(flag).unwrap_or_else(|error| panic!("{error}"))
    }

    /// Like [`Values::get`], with a bad value as an error that names the flag.
    pub fn parsed<T: FromFlag>(&self, flag: &Flag<T>) -> Result<T, String> {
        let definition = &flag.definition;
        let parsed = match self.given.get(definition.name) {
            Some(given) => T::from_flag(given),
            None => match self.environment.get(definition.name) {
                Some(value) => T::from_flag(std::slice::from_ref(value)),
                None => T::from_flag(&[definition.default.to_owned()]),
            },
        };
        parsed.map_err(|error| format!("--{}: {error}", definition.name))
    }

    /// Whether the flag stood on the command line, in either polarity.
    pub fn is_given(&self, name: &str) -> bool {
        self.given.contains_key(name)
    }

    /// Records one occurrence of a flag.
    pub fn give(&mut self, name: impl Into<String>, value: impl Into<String>) {
        self.given.entry(name.into()).or_default().push(value.into());
    }

    /// Records what the environment says in place of a flag's default.
    pub fn give_from_environment(&mut self, name: &'static str, value: impl Into<String>) {
        self.environment.insert(name, value.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    static COUNT: Flag<i64> = integer("test.count", "40", "A number.");
    static NAMES: Flag<Vec<String>> = list("test.name", "", "Names.");
    static EXCLUDE: Flag<Option<Pattern>> = pattern("test.exclude", "", "A pattern.");

    #[test]
    fn default_environment_and_given_value_in_rising_order() {
        let mut values = Values::default();
        assert_eq!(values.get(&COUNT), 40);
        values.give_from_environment("test.count", "7");
        assert_eq!(values.get(&COUNT), 7);
        values.give("test.count", "1.5e1");
        assert_eq!(values.get(&COUNT), 15);
        assert!(values.is_given("test.count"));
        assert!(!values.is_given("test.name"));
    }

    #[test]
    fn a_list_replaces_its_default() {
        let mut values = Values::default();
        assert_eq!(values.get(&NAMES), [""]);
        values.give("test.name", "a");
        values.give("test.name", "b");
        assert_eq!(values.get(&NAMES), ["a", "b"]);
    }

    #[test]
    fn a_bad_value_names_its_flag() {
        let mut values = Values::default();
        values.give("test.exclude", "(");
        let error = EXCLUDE.check(&values).unwrap_err();
        assert!(error.starts_with("--test.exclude: "), "{error}");
        values.give("test.count", "x");
        assert_eq!(COUNT.check(&values).unwrap_err(), "--test.count: invalid number \"x\"");
    }
}
