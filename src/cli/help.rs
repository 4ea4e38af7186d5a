//! The text of `--help`.

use std::fmt::Write as _;

use super::{all_flags, environment};
use crate::collector::Enabled;
use crate::collectors;
use crate::commands::{self, Command, Run};
use crate::flags::{AnyFlag, Definition};

/// What the program is for.
pub const DESCRIPTION: &str = "Tells Prometheus everything this host has to say: node_exporter's \
                               metrics, with a password and TLS of its own.";

/// For the program as a whole.
pub fn agent() -> String {
    let width = width();
    let mut text = format!(
        "usage: hostwarden [<flags>]\n       hostwarden COMMAND ...\n\n{DESCRIPTION}\n\n\
         Commands (hostwarden COMMAND --help tells more):\n"
    );
    for command in commands::ALL {
        write_item(&mut text, width, &synopsis(command), command.help);
    }
    text.push_str("\nFlags:\n");
    for (head, description) in agent_flags() {
        write_item(&mut text, width, &head, &description);
    }
    text
}

/// For one command.
pub fn command(command: &Command) -> String {
    let width = width();
    let mut text =
        format!("usage: hostwarden {}\n\n{}\n\nFlags:\n", synopsis(command), command.help);
    for (head, description) in command_flags(command) {
        write_item(&mut text, width, &head, &description);
    }
    if let Run::Agent(_) = command.run {
        text.push_str("  and those of a start: hostwarden --help\n");
    }
    text
}

/// The flags of a start as they are shown: each as it is typed, and what it does.
pub fn agent_flags() -> impl Iterator<Item = (String, String)> {
    let version = ("--version".to_owned(), "Print the version.".to_owned());
    let collectors = collectors::ALL.iter().map(|spec| {
        let name = spec.name;
        let state = match spec.enabled {
            Enabled::On => "on",
            Enabled::Off => "off",
        };
        let help = format!("The {name} collector: {} (default: {state}).", spec.reads);
        (format!("--[no-]collector.{name}"), help)
    });
    [print_help(), version].into_iter().chain(all_flags().filter_map(shown)).chain(collectors)
}

/// A command's own flags, as they are shown.
pub fn command_flags(command: &Command) -> impl Iterator<Item = (String, String)> {
    [print_help()].into_iter().chain(command.flags.iter().copied().filter_map(shown))
}

fn print_help() -> (String, String) {
    ("-h, --help".to_owned(), "Print this text.".to_owned())
}

fn shown(flag: &dyn AnyFlag) -> Option<(String, String)> {
    let definition = flag.definition();
    (!definition.hidden).then(|| (head(definition), description(definition)))
}

/// `passwd [<flags>] USER`
pub fn synopsis(command: &Command) -> String {
    let takes_flags = !command.flags.is_empty() || matches!(command.run, Run::Agent(_));
    let flags = takes_flags.then_some("[<flags>]");
    let words = command.words.iter().copied();
    [command.name].into_iter().chain(flags).chain(words).collect::<Vec<_>>().join(" ")
}

fn width() -> usize {
    const USUAL: usize = 80;
    environment("COLUMNS")
        .and_then(|columns| columns.parse().ok())
        .or_else(|| {
            let size = rustix::termios::tcgetwinsize(std::io::stdout()).ok()?;
            Some(usize::from(size.ws_col)).filter(|&columns| columns > 0)
        })
        .unwrap_or(USUAL)
}

fn head(definition: &Definition) -> String {
    let name = definition.name;
    let more = if definition.repeatable { " ..." } else { "" };
    if definition.is_switch() {
        format!("--[no-]{name}")
    } else if definition.default.is_empty() {
        format!("--{name}={}{more}", definition.placeholder)
    } else {
        format!("--{name}={:?}{more}", definition.default)
    }
}

fn description(definition: &Definition) -> String {
    let is_on = definition.is_switch() && definition.default == "true";
    let on = if is_on { " (default: on)" } else { "" };
    let env = definition.env.map(|name| format!(" (${name})")).unwrap_or_default();
    format!("{}{on}{env}", definition.help)
}

/// A head, and below it its description, wrapped.
fn write_item(text: &mut String, width: usize, head: &str, description: &str) {
    const INDENT: usize = 8;
    // A String takes every write.
    let _ = writeln!(text, "  {head}");
    let mut line = String::new();
    for word in description.split(' ') {
        if !line.is_empty() && INDENT + line.len() + 1 + word.len() > width {
            let _ = writeln!(text, "{:INDENT$}{line}", "");
            line.clear();
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    let _ = writeln!(text, "{:INDENT$}{line}", "");
}
