//! `hostwarden passwd USER`: sets a user's password in the htpasswd file.

use std::error::Error;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use rustix::fs::Mode;

use super::{Command, Given, Outcome, Run, one_line};
use crate::host::{replace, terminal};
use crate::web::{htpasswd, password};

pub(super) static COMMAND: Command = Command {
    name: "passwd",
    help: "Set a user's password in the htpasswd file, asked for at the terminal or read from \
           standard input. A running agent takes it up by itself.",
    words: &["USER"],
    flags: &[&htpasswd::FILE],
    run: Run::Own(run),
};

/// The agent's group may read, the world may not.
const MODE: Mode = Mode::from_raw_mode(0o640);

fn run(given: &Given, out: &mut dyn Write) -> Outcome {
    let user = &given.words[0];
    let path = given.values.get(&htpasswd::FILE);
    htpasswd::check_user(user)?;
    let password = read_password(user)?;
    let hash = password::hash(&password, password::BCRYPT_COST)
        .ok_or_else(|| format!("a password of over {} bytes", password::BCRYPT_MAX))?;
    replace::replace(Path::new(&path), MODE, |file| htpasswd::set(file, user, &hash))
        .map_err(|error| format!("{path}: {error}"))?;
    writeln!(out, "{path}: password of {user} set")?;
    Ok(ExitCode::SUCCESS)
}

fn read_password(user: &str) -> Result<Vec<u8>, Box<dyn Error>> {
    let stdin = io::stdin();
    let password = match terminal::ask(&stdin, &format!("Password of {user}: "))? {
        Some(password) => {
            let again = terminal::ask(&stdin, "The same again: ")?;
            if again.as_ref() != Some(&password) {
                return Err("the two passwords differ".into());
            }
            password
        }
        None => one_line(stdin.lock())?,
    };
    if password.is_empty() {
        return Err("an empty password".into());
    }
    if std::str::from_utf8(&password).is_err() {
        return Err("a password that is not UTF-8, which no browser sends".into());
    }
    Ok(password)
}
