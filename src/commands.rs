//! Commands: what the program does beside serving. A new one is its file and one line here, in the
//! order of the names.
//!
//! A command prints on standard output, one error on standard error, and logs nothing. It ends with
//! 0 when all is well, else with 1.

use std::io::{self, Write};
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
    completions man passwd textfile_write
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
