//! `hostwarden check config …flags…`: what a start would validate, without starting.

use std::io::Write;
use std::process::ExitCode;

use super::{Command, Outcome, Run};
use crate::cli::Settings;
use crate::start;

pub(super) static COMMAND: Command = Command {
    name: "check config",
    help: "Check the flags of a start and all files that they name, as a start would; prints \
           warnings. For Salt's check_cmd and before a reload.",
    words: &[],
    flags: &[],
    run: Run::Agent(run),
};

fn run(settings: &Settings, out: &mut dyn Write) -> Outcome {
    let prepared = start::prepare(settings)?;
    for warning in &prepared.warnings {
        writeln!(out, "warning: {warning}")?;
    }
    writeln!(out, "good: {} collectors would run", prepared.gatherer.enabled().len())?;
    Ok(ExitCode::SUCCESS)
}
