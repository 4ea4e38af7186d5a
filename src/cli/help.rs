//! The text of `--help`.

use std::fmt::Write as _;

use super::{all_flags, environment};
use crate::collector::Enabled;
use crate::collectors;
use crate::commands::{self, Command, Run};
use crate::flags::Definition;

/// For the program as a whole.
pub fn agent() -> String {
    let width = width();
    let mut text = "usage: hostwarden [<flags>]\n       hostwarden COMMAND ...\n\n\
                    Tells Prometheus everything this host has to say: node_exporter's metrics, with \
                    a password and TLS of its own.\n\n\
                    Commands (hostwarden COMMAND --help tells more):\n"
        .to_owned();
    for command in commands::ALL {
        write_item(&mut text, width, &synopsis(command), command.help);
    }
    text.push_str("\nFlags:\n");
    write_item(&mut text, width, "-h, --help", "Print this text.");
    write_item(&mut text, width, "--version", "Print the version.");
    for flag in all_flags() {
        write_flag(&mut text, width, flag.definition());
    }
    for spec in collectors::ALL {
        let name = spec.name;
        let state = match spec.enabled {
            Enabled::On => "on",
            Enabled::Off => "off",
        };
        let help = format!("The {name} collector: {} (default: {state}).", spec.reads);
        write_item(&mut text, width, &format!("--[no-]collector.{name}"), &help);
    }
    text
}

/// For one command.
pub fn command(command: &Command) -> String {
    let width = width();
    let mut text =
        format!("usage: hostwarden {}\n\n{}\n\nFlags:\n", synopsis(command), command.help);
    write_item(&mut text, width, "-h, --help", "Print this text.");
    for flag in command.flags {
        write_flag(&mut text, width, flag.definition());
    }
    if let Run::Agent(_) = command.run {
        text.push_str("  and those of a start: hostwarden --help\n");
    }
    text
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

fn write_flag(text: &mut String, width: usize, definition: &Definition) {
    if !definition.hidden {
        write_item(text, width, &head(definition), &description(definition));
    }
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
