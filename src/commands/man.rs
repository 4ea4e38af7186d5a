//! `hostwarden man`: the manual page, from the same tables as `--help`.

use std::io::{self, Write};
use std::process::ExitCode;

use super::{Command, Given, Outcome, Run};
use crate::cli::help;
use crate::web::own::VERSION;

pub(super) static COMMAND: Command = Command {
    name: "man",
    help: "Print the manual page: hostwarden man | man -l -",
    words: &[],
    flags: &[],
    run: Run::Own(run),
};

/// What no table holds: section, and paragraphs.
const SECTIONS: [(&str, &[&str]); 4] = [
    (
        "FILES",
        &[
            "/etc/default/hostwarden: options of the service, as HOSTWARDEN_OPTS.",
            "/etc/hostwarden/htpasswd: who may ask, as hostwarden passwd and Apache's htpasswd write it.",
            "/var/lib/hostwarden/textfile: expositions of other programs, *.prom.",
            "/etc/hostwarden/textfile.d: scripts that hostwarden-textfile@NAME.timer runs.",
            "/usr/share/hostwarden: drop-ins for the service, alert rules, dashboards.",
        ],
    ),
    (
        "SIGNALS",
        &[
            "SIGHUP: read the web config file, certificates and passwords again; what is broken is \
             refused, and the last good one stays.",
            "SIGTERM, SIGINT: answer what was asked, then end.",
        ],
    ),
    ("EXIT STATUS", &["0 when all is well, else 1, with one line on standard error that says why."]),
    ("SEE ALSO", &["prometheus(1), systemctl(1), htpasswd(1)"]),
];

fn run(_: &Given, out: &mut dyn Write) -> Outcome {
    writeln!(out, ".TH HOSTWARDEN 1 \"\" \"hostwarden {VERSION}\"")?;
    // Flags and patterns are long words: adjusted, the lines between them would be full of holes.
    writeln!(out, ".ad l")?;
    section(out, "NAME")?;
    writeln!(out, "hostwarden \\- host agent for Prometheus")?;
    section(out, "SYNOPSIS")?;
    writeln!(out, ".B hostwarden\n[<flags>]\n.br\n.B hostwarden\nCOMMAND ...")?;
    section(out, "DESCRIPTION")?;
    paragraph(out, help::DESCRIPTION)?;
    section(out, "COMMANDS")?;
    for command in super::ALL {
        item(out, &help::synopsis(command), command.help)?;
        let flags: Vec<_> = help::command_flags(command).collect();
        writeln!(out, ".RS")?;
        items(out, &flags)?;
        writeln!(out, ".RE")?;
    }
    section(out, "FLAGS")?;
    items(out, &help::agent_flags().collect::<Vec<_>>())?;
    for (name, paragraphs) in SECTIONS {
        section(out, name)?;
        for text in paragraphs {
            paragraph(out, text)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn section(out: &mut dyn Write, name: &str) -> io::Result<()> {
    writeln!(out, ".SH {name}")
}

fn paragraph(out: &mut dyn Write, text: &str) -> io::Result<()> {
    writeln!(out, ".PP\n{}", escape(text))
}

fn items(out: &mut dyn Write, items: &[(String, String)]) -> io::Result<()> {
    items.iter().try_for_each(|(head, description)| item(out, head, description))
}

fn item(out: &mut dyn Write, head: &str, description: &str) -> io::Result<()> {
    writeln!(out, ".TP\n.B {}\n{}", escape(head), escape(description))
}

/// Text that roff takes for text: a hyphen stays one when it is copied, and no line begins like a
/// request.
fn escape(text: &str) -> String {
    let text = text.replace('\\', "\\e").replace('-', "\\-");
    if text.starts_with(['.', '\'']) { format!("\\&{text}") } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_never_a_request() {
        for (text, expected) in [
            ("--web.config.file", "\\-\\-web.config.file"),
            (".prom files", "\\&.prom files"),
            ("'quoted'", "\\&'quoted'"),
            ("^(dm-\\d+)$", "^(dm\\-\\ed+)$"),
        ] {
            assert_eq!(escape(text), expected);
        }
    }
}
