//! Commands: what the program does beside serving. A new one is its file and one line here, in the
//! order of the names.
//!
//! A command prints on standard output, one error on standard error, and logs nothing. It ends with
//! 0 when all is well, else with 1.

use std::io::{self, Read, Write};
use std::process::ExitCode;

use crate::cli::Settings;
use crate::flags::{AnyFlag, Values};

macro_rules! commands {
    ($($name:ident)*) => {
        $(mod $name;)*

        /// Every command there is.
        pub static ALL: &[&Command] = &[$(&$name::COMMAND),*];
    };
}

commands! {
    check_config check_endpoint collectors completions man passwd textfile_write
}

/// One command, as the command line, its help and the man page see it.
pub struct Command {
    /// One word, or two: `check endpoint`.
    pub name: &'static str,
    /// One sentence.
    pub help: &'static str,
    /// What stands after the name, `USER`; in brackets when it may be left out.
    pub words: &'static [&'static str],
    /// Its own flags.
    pub flags: &'static [&'static dyn AnyFlag],
    pub run: Run,
}

/// What a command does, with what it was given.
#[derive(Clone, Copy)]
pub enum Run {
    /// Takes its own words and flags.
    Own(fn(&Given, &mut dyn Write) -> Outcome),
    /// Takes the flags that a start takes.
    Agent(fn(&Settings, &mut dyn Write) -> Outcome),
}

/// The words and flags after a command's name, checked.
#[derive(Debug)]
pub struct Given {
    pub words: Vec<String>,
    pub values: Values,
}

/// How the program ends; an error is one line for standard error.
pub type Outcome = Result<ExitCode, Box<dyn std::error::Error>>;

/// A command with all that it was given, ready to run.
pub struct Call {
    name: &'static str,
    work: Work,
}

type Work = Box<dyn FnOnce(&mut dyn Write) -> Outcome>;

impl Call {
    pub fn new(command: &Command, work: impl FnOnce(&mut dyn Write) -> Outcome + 'static) -> Self {
        Self { name: command.name, work: Box::new(work) }
    }

    /// Runs the command to the program's end.
    pub fn run(self) -> ExitCode {
        let error = match (self.work)(&mut io::stdout().lock()) {
            Ok(code) => return code,
            Err(error) => error,
        };
        let is_closed_pipe = error
            .downcast_ref::<io::Error>()
            .is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe);
        if is_closed_pipe {
            // The reader has seen enough.
            return ExitCode::SUCCESS;
        }
        let _ = writeln!(io::stderr(), "hostwarden {}: {error}", self.name);
        ExitCode::FAILURE
    }
}

impl std::fmt::Debug for Call {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Call").field("name", &self.name).finish_non_exhaustive()
    }
}

/// A secret on standard input: all there is to read, which must be one line.
fn one_line(input: impl Read) -> Result<Vec<u8>, Box<dyn std::error::Error>> {
    const ENOUGH: u64 = 4096;
    let mut line = Vec::new();
    input.take(ENOUGH).read_to_end(&mut line)?;
    for end in [b"\n", b"\r"] {
        line = line.strip_suffix(end).map(<[u8]>::to_vec).unwrap_or(line);
    }
    if line.contains(&b'\n') {
        return Err("more than one line on standard input".into());
    }
    Ok(line)
}

/// The command that `words` begin with, and the words after its name.
pub fn find(words: &[String]) -> Option<(&'static Command, &[String])> {
    ALL.iter().find_map(|command| {
        let mut rest = words;
        for word in command.name.split(' ') {
            rest = rest.split_first().filter(|(first, _)| *first == word)?.1;
        }
        Some((*command, rest))
    })
}

/// The commands of two words that begin with this one.
pub fn family(word: &str) -> impl Iterator<Item = &'static Command> {
    ALL.iter()
        .copied()
        .filter(move |command| command.name.split_once(' ').is_some_and(|(first, _)| first == word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn standard_input_is_one_line() {
        let read =
            |input: &str| one_line(input.as_bytes()).map(|line| String::from_utf8(line).unwrap());
        for input in ["secret", "secret\n", "secret\r\n"] {
            assert_eq!(read(input).unwrap(), "secret");
        }
        assert_eq!(read(" blanks count ").unwrap(), " blanks count ");
        assert_eq!(read("a\nb\n").unwrap_err().to_string(), "more than one line on standard input");
    }
}
