//! `hostwarden textfile write NAME`: an exposition on standard input becomes a textfile, or nothing
//! does.

use std::io::{self, Read, Write};
use std::path::Path;
use std::process::ExitCode;

use rustix::fs::Mode;

use super::{Command, Given, Outcome, Run};
use crate::collectors::textfile;
use crate::flags::{self, Flag};
use crate::host::replace;

static DIRECTORY: Flag<String> =
    flags::text("directory", "/var/lib/hostwarden/textfile", "Where the textfiles lie.");

pub(super) static COMMAND: Command = Command {
    name: "textfile write",
    help: "Make the exposition on standard input the textfile NAME.prom. One that the agent would \
           refuse, or that is empty, leaves the old file as it is.",
    words: &["NAME"],
    flags: &[&DIRECTORY],
    run: Run::Own(run),
};

/// Whatever the umask of a cron job: the agent reads as a user of its own.
const MODE: Mode = Mode::from_raw_mode(0o644);

fn run(given: &Given, _: &mut dyn Write) -> Outcome {
    let name = file_name(&given.words[0])?;
    let mut text = Vec::new();
    io::stdin().lock().read_to_end(&mut text)?;
    textfile::check(&text).map_err(|what| format!("{name}: {what}"))?;
    let path = Path::new(&given.values.get(&DIRECTORY)).join(name);
    replace::replace(&path, MODE, |_| text)
        .map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(ExitCode::SUCCESS)
}

/// With the suffix, whether it was given or not.
fn file_name(name: &str) -> Result<String, String> {
    let stem = name.strip_suffix(".prom").unwrap_or(name);
    if stem.is_empty() || stem.starts_with('.') || stem.contains('/') {
        return Err(format!("{name:?} is no name for a textfile"));
    }
    Ok(format!("{stem}.prom"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for (name, expected) in [
            ("smartmon.sh", Ok("smartmon.sh.prom")),
            ("docker.prom", Ok("docker.prom")),
            ("../passwd", Err("\"../passwd\" is no name for a textfile")),
            ("a/b", Err("\"a/b\" is no name for a textfile")),
            (".prom", Err("\".prom\" is no name for a textfile")),
        ] {
            let expected = expected.map(str::to_owned).map_err(str::to_owned);
            assert_eq!(file_name(name), expected);
        }
    }
}
