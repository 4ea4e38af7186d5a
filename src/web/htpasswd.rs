//! htpasswd files: a user and a hash on each line, as Apache and nginx read them.

use std::collections::HashMap;
use std::path::Path;

use super::config::{self, Error};
use super::password::Hash;
use crate::flags::{self, Flag};

pub static FILE: Flag<String> = flags::text(
    "web.htpasswd-file",
    "/etc/hostwarden/htpasswd",
    "File of users and password hashes, a line each, as Apache's htpasswd writes it. The default counts where it exists; an empty value leaves it out.",
);

/// What a file says. Without users it lets nobody in.
#[derive(Debug, Default)]
pub struct Htpasswd {
    /// In the order of the file, no name twice.
    pub users: Vec<(String, Hash)>,
    /// One line each for the log, with file, line and user, never with a hash.
    pub warnings: Vec<String>,
}

/// Reads `path`. An error means that nobody may come in, or that who could may still, if the file was read before.
pub fn load(path: &Path) -> Result<Htpasswd, Error> {
    let bytes = config::read(path)?;
    Ok(parse(&bytes, &path.display().to_string()))
}

/// Apache's `htpasswd` writes no longer name.
const USER_MAX: usize = 255;

/// Takes what either server takes: Apache strips blanks before a user, both skip comments and what holds no colon, and ignore a
/// third field. The first line of a user decides, even if its hash is of no use.
pub fn parse(bytes: &[u8], name: &str) -> Htpasswd {
    let mut file = Htpasswd::default();
    let mut lines_of = HashMap::new();
    if bytes.starts_with(b"\xef\xbb\xbf") {
        file.warnings
            .push(format!("{name}:1: a byte order mark, which is part of the first user's name"));
    }
    for (line, number) in bytes.split(|&b| b == b'\n').zip(1..) {
        let line = line.trim_ascii();
        if line.starts_with(b"#") || !line.contains(&b':') {
            continue;
        }
        let Ok(line) = str::from_utf8(line) else {
            file.warnings.push(format!("{name}:{number}: not UTF-8"));
            continue;
        };
        let mut fields = line.split(':');
        let user = fields.next().unwrap_or_default();
        let hash = fields.next().unwrap_or_default();
        // A hash where the user belongs must not come out in the log.
        if user.is_empty() || user.starts_with(['$', '{']) || user.len() > USER_MAX {
            file.warnings.push(format!("{name}:{number}: no user before the colon"));
            continue;
        }
        if let Some(first) = lines_of.get(user) {
            file.warnings
                .push(format!("{name}:{number}: user {user:?} again, line {first} decides"));
            continue;
        }
        lines_of.insert(user.to_owned(), number);
        match Hash::parse(hash) {
            Ok(hash) => {
                if let Some(weakness) = hash.weakness() {
                    file.warnings.push(format!("{name}:{number}: user {user:?}: {weakness}"));
                }
                file.users.push((user.to_owned(), hash));
            }
            Err(error) => {
                file.warnings
                    .push(format!("{name}:{number}: user {user:?} cannot log in: {error}"));
            }
        }
    }
    file
}

/// Whether a line of [`parse`] can begin with this user.
pub fn check_user(user: &str) -> Result<(), String> {
    let fault = if user.is_empty() {
        "is empty"
    } else if user.len() > USER_MAX {
        "is longer than 255 bytes"
    } else if user.contains(':') || user.chars().any(char::is_control) {
        "holds a colon or a control character"
    } else if user.starts_with(['#', '$', '{', '\u{feff}']) {
        "begins as no user's name may"
    } else if user.trim_ascii() != user {
        "begins or ends in a blank"
    } else {
        return Ok(());
    };
    Err(format!("the user's name {user:?} {fault}"))
}

/// The file with this hash in the user's first line, which is the one that decides, or in a new
/// last line. All others stay as they are.
pub fn set(file: &[u8], user: &str, hash: &str) -> Vec<u8> {
    let line = format!("{user}:{hash}\n");
    let mut out = Vec::with_capacity(file.len() + line.len());
    let mut is_set = false;
    for old in file.split_inclusive(|&b| b == b'\n') {
        let name = old.trim_ascii_start().split(|&b| b == b':').next();
        if !is_set && name == Some(user.as_bytes()) {
            out.extend_from_slice(line.as_bytes());
            is_set = true;
        } else {
            out.extend_from_slice(old);
        }
    }
    if !is_set {
        if out.last().is_some_and(|&last| last != b'\n') {
            out.push(b'\n');
        }
        out.extend_from_slice(line.as_bytes());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const APR1: &str = "$apr1$S4Cq3Egq$qt6xLOQnl0fRqwhFFxaFw1";
    const SHA512: &str = "$6$NoIj6fVGRAWHxTqu$.X6RAKy.jTfydxyFLoab2srCcqfS2YEwjvG95Or0oP2cW6k7ICdhh2YZQvheRj/a.N1s0oPZirfxyJHv5qvpK0";

    /// Whether a file lets `prom` in with `correct horse`.
    fn lets_in(text: &str) -> bool {
        let file = parse(text.as_bytes(), "htpasswd");
        file.users.iter().any(|(user, hash)| user == "prom" && hash.verify(b"correct horse"))
    }

    #[test]
    fn lines_as_apache_or_nginx_take_them() {
        for text in [
            "prom:HASH",
            "prom:HASH\n",
            "prom:HASH\r\n",
            "\r\n# prom:{PLAIN}x\r\n\r\nprom:HASH\r\n",
            "#prom:x\n  # prom:x\njunk\n\nprom:HASH\n",
            "prom:HASH:anything:else\n",
            "other:x\nprom:HASH\n",
            "prom:HASH\nprom:{PLAIN}x\n",
            "  \tprom:HASH\n",
            "prom:HASH \t \n",
            &format!("{}\nprom:HASH\n", "x".repeat(9000)),
            &format!("{}:x\nprom:HASH\n", "x".repeat(9000)),
            "\nprom:HASH",
        ] {
            assert!(lets_in(&text.replace("HASH", SHA512)), "{text:?}");
        }
    }

    #[test]
    fn lines_as_neither_takes_them() {
        for text in [
            "",
            "\n",
            "prom",
            "prom:",
            "prom: HASH",
            "prom :HASH",
            "Prom:HASH",
            "\u{feff}prom:HASH",
            "#prom:HASH",
            "prom:{PLAIN}x\nprom:HASH",
            "prom:unknown\nprom:HASH",
            "prom:HAS\\\nH",
            "prom:!HASH",
            "prom:correct horse",
        ] {
            assert!(!lets_in(&text.replace("HASH", SHA512)), "{text:?}");
        }
    }

    #[test]
    fn warnings_name_line_and_user_and_no_hash() {
        let text = format!(
            "# comment\nold:{APR1}\nnew:{SHA512}\ngone:Hz52n4qrqrZ1g\nodd:s3cret\nold:{SHA512}\n:{APR1}\nempty:\r\n{APR1}:new\n"
        );
        let mut bytes = text.into_bytes();
        bytes.extend(b"\xff:x\n");
        let file = parse(&bytes, "/etc/htpasswd");
        let users: Vec<&str> = file.users.iter().map(|(user, _)| user.as_str()).collect();
        assert_eq!(users, ["old", "new"]);
        assert_eq!(
            file.warnings,
            [
                "/etc/htpasswd:2: user \"old\": MD5-crypt is quickly guessed",
                "/etc/htpasswd:4: user \"gone\" cannot log in: DES crypt is not supported, set the password anew with hostwarden passwd",
                "/etc/htpasswd:5: user \"odd\" cannot log in: unknown kind of hash",
                "/etc/htpasswd:6: user \"old\" again, line 2 decides",
                "/etc/htpasswd:7: no user before the colon",
                "/etc/htpasswd:8: user \"empty\" cannot log in: unknown kind of hash",
                "/etc/htpasswd:9: no user before the colon",
                "/etc/htpasswd:10: not UTF-8",
            ]
        );
        assert_eq!(
            parse(b"\xef\xbb\xbfprom:x", "f").warnings[0],
            "f:1: a byte order mark, which is part of the first user's name"
        );
    }

    #[test]
    fn a_users_first_line_is_set_or_added() {
        for (before, after) in [
            ("", "prom:H\n"),
            ("other:x", "other:x\nprom:H\n"),
            ("# c\n prom:x:y\r\nprom:z\n", "# c\nprom:H\nprom:z\n"),
            ("prometheus:x\n#prom:x\n", "prometheus:x\n#prom:x\nprom:H\n"),
            ("a:1\nprom:x", "a:1\nprom:H\n"),
        ] {
            let out = set(before.as_bytes(), "prom", "H");
            assert_eq!(String::from_utf8(out).unwrap(), after);
        }
    }

    #[test]
    fn users_that_no_line_can_hold_are_refused() {
        for user in ["prom", "größe", "a b", "x#y"] {
            check_user(user).unwrap();
        }
        for user in ["", "a:b", "#a", "$a", "{a", " a", "a ", "a\nb", "\u{feff}a", &"x".repeat(256)]
        {
            assert!(check_user(user).is_err(), "{user:?}");
        }
    }

    #[test]
    fn a_missing_file_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("htpasswd");
        let error = load(&path).unwrap_err().to_string();
        assert_eq!(error, format!("open {}: no such file or directory", path.display()));
    }
}
