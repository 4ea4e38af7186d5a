//! `hostwarden passwd USER`: sets a user's password in the htpasswd file.

use std::error::Error;
use std::io::{self, Read, Write};
use std::path::Path;
use std::process::ExitCode;

use rustix::fs::Mode;

use super::{Command, Given, Outcome, Run};
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

/// All there is to read, which must be one line.
fn one_line(input: impl Read) -> Result<Vec<u8>, Box<dyn Error>> {
    let enough = u64::try_from(2 * password::BCRYPT_MAX).unwrap_or(u64::MAX);
    let mut line = Vec::new();
    input.take(enough).read_to_end(&mut line)?;
    for end in [b"\n", b"\r"] {
        line = line.strip_suffix(end).map(<[u8]>::to_vec).unwrap_or(line);
    }
    if line.contains(&b'\n') {
        return Err("more than one line on standard input".into());
    }
    Ok(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn standard_input_is_one_line() {
        let read = |input: &str| one_line(input.as_bytes()).map(|line| String::from_utf8(line).unwrap());
        for input in ["secret", "secret\n", "secret\r\n"] {
            assert_eq!(read(input).unwrap(), "secret");
        }
        assert_eq!(read(" blanks count ").unwrap(), " blanks count ");
        assert_eq!(read("a\nb\n").unwrap_err().to_string(), "more than one line on standard input");
    }
}
