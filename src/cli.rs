//! The command line: the flag table turned into clap arguments, with node_exporter's rules and words.

pub mod help;

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, ArgAction, ArgMatches, Command};

use crate::collector::{Enabled, Spec};
use crate::collectors;
use crate::commands::{self, Call, Given, Run};
use crate::flags::{self, AnyFlag, Definition, Flag, Values};
use crate::host::{Paths, Root};
use crate::web::own::{CONTRACT, VERSION, platform};
use crate::web::{self, door, listen, metrics, security};
use crate::{log, services};

static DISABLE_DEFAULTS: Flag<bool> = flags::switch(
    "collector.disable-defaults",
    false,
    "Switch off every collector that the command line does not name.",
);
static PROCFS: Flag<String> = flags::text("path.procfs", "/proc", "Where procfs is mounted.");
static SYSFS: Flag<String> = flags::text("path.sysfs", "/sys", "Where sysfs is mounted.");
static ROOTFS: Flag<String> = flags::text("path.rootfs", "/", "Where the host's root is mounted.");
static UDEV_DATA: Flag<String> =
    flags::text("path.udev.data", "/run/udev/data", "Where udev keeps its device data.");
static MAX_PROCS: Flag<i64> = flags::integer(
    "runtime.gomaxprocs",
    "1",
    "Accepted for node_exporter's sake; the agent needs one thread.",
)
.env("GOMAXPROCS");

static FLAGS: &[&dyn AnyFlag] =
    &[&DISABLE_DEFAULTS, &PROCFS, &SYSFS, &ROOTFS, &UDEV_DATA, &MAX_PROCS];

/// What the command line asks for.
#[derive(Debug)]
pub enum Action {
    /// Print this on standard output and leave.
    Print(String),
    Serve(Box<Settings>),
    Run(Call),
}

/// All that was typed, checked.
#[derive(Debug)]
pub struct Settings {
    pub values: Values,
    /// Names of the collectors to run, sorted.
    pub enabled: Vec<&'static str>,
    pub paths: Paths,
    pub log: log::Settings,
}

/// Reads the command line, program name first. The error is one line for standard error.
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Action, String> {
    let mut words = arguments.into_iter().map(|word| word.to_string_lossy().into_owned());
    let program = words.next().unwrap_or_default();
    let program =
        Path::new(&program).file_name().unwrap_or_default().to_string_lossy().into_owned();
    read(words).map_err(|error| format!("{program}: error: {error}, try --help"))
}

/// Every flag that belongs to no collector.
pub fn general_flags() -> impl Iterator<Item = &'static dyn AnyFlag> + Clone {
    [
        web::FLAGS,
        listen::FLAGS,
        security::FLAGS,
        door::FLAGS,
        metrics::FLAGS,
        services::FLAGS,
        FLAGS,
        log::FLAGS,
    ]
    .into_iter()
    .flatten()
    .copied()
}

/// Every flag but the switches of the collectors themselves.
pub fn all_flags() -> impl Iterator<Item = &'static dyn AnyFlag> + Clone {
    general_flags().chain(collectors::ALL.iter().flat_map(|spec| spec.flags.iter().copied()))
}

fn read(words: impl Iterator<Item = String>) -> Result<Action, String> {
    let mut expanded = Vec::new();
    for word in words {
        expand(word, &mut expanded)?;
    }
    if let Some((command, rest)) = commands::find(&expanded) {
        return call(command, rest);
    }
    let mut family = expanded.iter().take(1).flat_map(|word| commands::family(word)).peekable();
    if family.peek().is_none() {
        return start(&expanded);
    }
    if expanded.get(1).is_some_and(|word| is_help(word)) {
        return Ok(Action::Print(family.map(help::command).collect()));
    }
    let names: Vec<&str> = family.map(|command| command.name).collect();
    Err(format!("expected {}", names.join(" or ")))
}

/// Reads what stands after a command's name.
fn call(command: &'static commands::Command, words: &[String]) -> Result<Action, String> {
    if words.iter().any(|word| is_help(word)) {
        return Ok(Action::Print(help::command(command)));
    }
    match command.run {
        Run::Own(run) => {
            let given = given(command, words)?;
            Ok(Action::Run(Call::new(command, move |out| run(&given, out))))
        }
        Run::Agent(run) => Ok(match start(words)? {
            Action::Serve(settings) => {
                Action::Run(Call::new(command, move |out| run(&settings, out)))
            }
            other => other,
        }),
    }
}

fn given(command: &commands::Command, words: &[String]) -> Result<Given, String> {
    const WORDS: &str = "words";
    let flags = || command.flags.iter().copied();
    let parser = parser(flags()).arg(Arg::new(WORDS).action(ArgAction::Append).num_args(0..));
    let matches = parser.try_get_matches_from(words).map_err(|error| reason(&error))?;
    let values = values(&matches, flags())?;
    let words: Vec<String> = matches.get_many(WORDS).into_iter().flatten().cloned().collect();
    if let Some(word) = words.get(command.words.len()) {
        return Err(format!("unexpected {word}"));
    }
    match command.words.get(words.len()) {
        Some(word) if !word.starts_with('[') => Err(format!("expected {word}")),
        _ => Ok(Given { words, values }),
    }
}

fn is_help(word: &str) -> bool {
    matches!(word, "-h" | "--help")
}

/// Reads the flags of a start.
fn start(words: &[String]) -> Result<Action, String> {
    // Whatever follows the end of the flags is one word too many.
    if let Some(at) = words.iter().position(|word| word == "--")
        && let Some(word) = words.get(at + 1)
    {
        return Err(format!("unexpected {word}"));
    }
    // An unknown flag before --version wins, one after it loses.
    if let Some(at) = words.iter().position(|word| word == "--version") {
        let before = agent_parser().try_get_matches_from(&words[..at]);
        if before.as_ref().is_ok_and(|before| !before.get_flag("help")) {
            return Ok(Action::Print(version()));
        }
    }
    let matches = agent_parser().try_get_matches_from(words).map_err(|error| reason(&error))?;
    if matches.get_flag("help") || matches.get_flag("help-long") {
        return Ok(Action::Print(help::agent()));
    }
    let values = values(&matches, all_flags())?;
    let without_defaults = values.get(&DISABLE_DEFAULTS);
    let mut enabled = Vec::new();
    for spec in collectors::ALL {
        let is_default = !without_defaults && spec.enabled == Enabled::On
            || services::is_wanted(spec.name, &values);
        if switched(&matches, &switch_name(spec))?.unwrap_or(is_default) {
            enabled.push(spec.name);
        }
    }
    let paths = Paths {
        proc: PathBuf::from(values.get(&PROCFS)),
        sys: PathBuf::from(values.get(&SYSFS)),
        rootfs: PathBuf::from(values.get(&ROOTFS)),
        udev: PathBuf::from(values.get(&UDEV_DATA)),
    };
    let log = log::Settings::from_flags(&values)?;
    Ok(Action::Serve(Box::new(Settings { values, enabled, paths, log })))
}

/// `@FILE` stands for the file's lines, each one argument as it is; `#` in front comments one out.
fn expand(word: String, out: &mut Vec<String>) -> Result<(), String> {
    let Some(path) = word.strip_prefix('@') else {
        out.push(word);
        return Ok(());
    };
    if path.is_empty() {
        return Err("expected @ file to expand arguments from".to_owned());
    }
    let mut buffer = Vec::new();
    let directory = Root::new(".");
    let file = directory.read_once(path, &mut buffer).map_err(|error| {
        let error = error.to_string();
        format!("failed to open arguments file {path:?}: open {error}")
    })?;
    for line in file.lines().filter(|line| !line.bytes.is_empty() && line.bytes[0] != b'#') {
        let line = line.as_str().map_err(|error| error.to_string())?;
        expand(line.to_owned(), out)?;
    }
    Ok(())
}

/// What clap needs to know of these flags.
fn parser(flags: impl Iterator<Item = &'static dyn AnyFlag>) -> Command {
    let mut command = Command::new("hostwarden")
        .no_binary_name(true)
        .disable_help_flag(true)
        .disable_version_flag(true);
    for flag in flags {
        let definition = flag.definition();
        command = if definition.is_switch() {
            switch(command, definition.name)
        } else {
            command.arg(Arg::new(definition.name).long(definition.name).action(ArgAction::Append))
        };
    }
    command
}

fn agent_parser() -> Command {
    let command = parser(all_flags())
        .arg(Arg::new("help").long("help").short('h').action(ArgAction::SetTrue))
        .arg(Arg::new("help-long").long("help-long").action(ArgAction::SetTrue))
        .arg(Arg::new("version").long("version").action(ArgAction::SetTrue));
    collectors::ALL.iter().fold(command, |command, spec| switch(command, &switch_name(spec)))
}

fn switch(command: Command, name: &str) -> Command {
    let negated = format!("no-{name}");
    command
        .arg(Arg::new(name.to_owned()).long(name.to_owned()).action(ArgAction::Count))
        .arg(Arg::new(negated.clone()).long(negated).action(ArgAction::Count))
}

fn switch_name(spec: &Spec) -> String {
    format!("collector.{}", spec.name)
}

/// Takes clap's findings apart, and checks each value.
fn values(
    matches: &ArgMatches,
    flags: impl Iterator<Item = &'static dyn AnyFlag> + Clone,
) -> Result<Values, String> {
    let mut values = Values::default();
    for flag in flags.clone() {
        let Definition { name, repeatable, env, .. } = *flag.definition();
        if flag.definition().is_switch() {
            if let Some(is_on) = switched(matches, name)? {
                values.give(name, is_on.to_string());
            }
        } else {
            let given: Vec<&String> = matches.get_many(name).into_iter().flatten().collect();
            if given.len() > 1 && !repeatable {
                return Err(format!("flag '{name}' cannot be repeated"));
            }
            for value in given {
                values.give(name, value);
            }
        }
        if let Some(value) = env.and_then(environment).filter(|value| !value.is_empty()) {
            values.give_from_environment(name, value);
        }
    }
    for flag in flags {
        flag.check(&values)?;
    }
    Ok(values)
}

fn switched(matches: &ArgMatches, name: &str) -> Result<Option<bool>, String> {
    let on = matches.get_count(name);
    let off = matches.get_count(&format!("no-{name}"));
    match on + off {
        0 => Ok(None),
        1 => Ok(Some(on == 1)),
        _ => Err(format!("flag '{name}' cannot be repeated")),
    }
}

#[expect(clippy::disallowed_methods, reason = "the flags that name a variable are read here")]
fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// clap's error in the original's words.
fn reason(error: &clap::Error) -> String {
    let context = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => text.as_str(),
        _ => "",
    };
    let argument = context(ContextKind::InvalidArg);
    let flag = argument.split([' ', '=']).next().unwrap_or(argument);
    match error.kind() {
        ErrorKind::UnknownArgument if argument.starts_with("--") => {
            format!("unknown long flag '{flag}'")
        }
        ErrorKind::UnknownArgument if argument.starts_with('-') && argument.len() > 1 => {
            format!("unknown short flag '{argument}'")
        }
        ErrorKind::UnknownArgument if argument == "-" => "unexpected ".to_owned(),
        ErrorKind::UnknownArgument => format!("unexpected {argument}"),
        ErrorKind::TooManyValues => format!("unexpected {}", context(ContextKind::InvalidValue)),
        ErrorKind::InvalidValue | ErrorKind::NoEquals | ErrorKind::WrongNumberOfValues => {
            format!("expected argument for flag '{flag}'")
        }
        ErrorKind::ArgumentConflict => {
            format!("flag '{}' cannot be repeated", flag.trim_start_matches('-'))
        }
        _ => error.to_string().lines().next().unwrap_or_default().to_owned(),
    }
}

/// What `--version` prints, in the original's six lines.
fn version() -> String {
    let (os, arch) = platform();
    format!(
        "hostwarden, version {VERSION} (branch: , revision: {VERSION})\n  \
         build user:       \n  \
         build date:       \n  \
         node_exporter:    {CONTRACT}\n  \
         platform:         {os}/{arch}\n  \
         tags:             \n"
    )
}
