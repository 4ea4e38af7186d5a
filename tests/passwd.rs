//! `hostwarden passwd`, at a terminal and from standard input.

use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use hostwarden::web::htpasswd;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, tcgetattr};

use crate::agent::{BINARY, wait_for};

fn command(file: &Path, user: &str) -> Command {
    let mut command = Command::new(BINARY);
    command.args(["passwd", &format!("--web.htpasswd-file={}", file.display()), user]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn from_stdin(file: &Path, user: &str, input: &[u8]) -> Output {
    let mut child = command(file, user).spawn().unwrap();
    // A program that refuses the user does not read.
    let _ = child.stdin.take().unwrap().write_all(input);
    child.wait_with_output().unwrap()
}

/// Which users the file lets in with `password`.
fn let_in(file: &Path, password: &str) -> Vec<String> {
    let users = htpasswd::load(file).unwrap().users.into_iter();
    let fits = users.filter(|(_, hash)| hash.verify(password.as_bytes()));
    fits.map(|(user, _)| user).collect()
}

#[test]
fn a_password_from_standard_input() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("htpasswd");
    let output = from_stdin(&file, "prom", b"correct horse\n");
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(said, format!("{}: password of prom set\n", file.display()));
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o7777, 0o640);
    assert_eq!(let_in(&file, "correct horse"), ["prom"]);

    let other = "# kept\nother:$apr1$S4Cq3Egq$qt6xLOQnl0fRqwhFFxaFw1\n";
    let prom = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, format!("{other}{prom}")).unwrap();
    assert!(from_stdin(&file, "prom", b"battery staple").status.success());
    assert!(std::fs::read_to_string(&file).unwrap().starts_with(&format!("{other}prom:$2y$12$")));
    assert_eq!(let_in(&file, "correct horse"), ["other"]);
    assert_eq!(let_in(&file, "battery staple"), ["prom"]);
}

#[test]
fn what_cannot_be_a_password_is_refused_and_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("htpasswd");
    std::fs::write(&file, "prom:x\n").unwrap();
    for (user, input, expected) in [
        ("prom", &b""[..], "an empty password"),
        ("prom", b"\n", "an empty password"),
        ("prom", b"a\nb\n", "more than one line on standard input"),
        ("prom", b"gr\xf6\xdf\n", "a password that is not UTF-8, which no browser sends"),
        ("prom", &[b'x'; 73], "a password of over 72 bytes"),
        ("a:b", b"x\n", "the user's name \"a:b\" holds a colon or a control character"),
    ] {
        let output = from_stdin(&file, user, input);
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(error, format!("hostwarden passwd: {expected}\n"));
        assert_eq!(output.status.code(), Some(1));
    }
    assert_eq!(std::fs::read(&file).unwrap(), b"prom:x\n");
    let output = from_stdin(Path::new("/nowhere/htpasswd"), "prom", b"x\n");
    assert_eq!(
        String::from_utf8_lossy(&output.stderr),
        "hostwarden passwd: /nowhere/htpasswd: No such file or directory (os error 2)\n"
    );
}

/// Types both answers at a terminal of its own and returns what the terminal showed.
fn at_a_terminal(file: &Path, answers: [&str; 2]) -> (Option<i32>, String) {
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&master).unwrap();
    unlockpt(&master).unwrap();
    let name = ptsname(&master, Vec::new()).unwrap().into_string().unwrap();
    let open = || File::options().read(true).write(true).open(&name).unwrap();
    let terminal = open();
    let mut child = command(file, "prom").stdin(open()).stderr(open()).spawn().unwrap();
    let mut master = File::from(master);
    let mut keys = master.try_clone().unwrap();
    let mut shown = String::new();
    let mut read_until = |prompt: &str| {
        while !shown.ends_with(prompt) {
            let mut byte = [0];
            master.read_exact(&mut byte).unwrap();
            shown.push(char::from(byte[0]));
        }
    };
    let echoes = || tcgetattr(&terminal).unwrap().local_modes.contains(LocalModes::ECHO);
    for (prompt, answer) in ["Password of prom: ", "The same again: "].into_iter().zip(answers) {
        read_until(prompt);
        assert!(!echoes());
        keys.write_all(answer.as_bytes()).unwrap();
        if answer.ends_with('\u{3}') {
            break;
        }
    }
    wait_for("the end", || child.try_wait().unwrap().is_some());
    assert!(echoes(), "the terminal is as it was");
    rustix::termios::tcdrain(&terminal).unwrap();
    drop(terminal);
    let mut rest = Vec::new();
    // A terminal that nobody holds any more ends in an error.
    let _ = master.read_to_end(&mut rest);
    shown.push_str(&String::from_utf8(rest).unwrap());
    (child.wait().unwrap().code(), shown)
}

#[test]
fn at_a_terminal_the_password_is_asked_twice_and_never_shown() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("htpasswd");
    let asked = "Password of prom: \r\nThe same again: \r\n";
    let typed = at_a_terminal(&file, ["correcy\u{7f}t horse\r", "correct horse\r"]);
    assert_eq!(typed, (Some(0), asked.to_owned()));
    assert_eq!(let_in(&file, "correct horse"), ["prom"]);
    let differ = at_a_terminal(&file, ["one\r", "two\r"]);
    let error = "hostwarden passwd: the two passwords differ\r\n";
    assert_eq!(differ, (Some(1), format!("{asked}{error}")));
    let stopped = at_a_terminal(&file, ["one\u{3}", ""]);
    let error = "hostwarden passwd: interrupted\r\n";
    assert_eq!(stopped, (Some(1), format!("Password of prom: \r\n{error}")));
    assert_eq!(let_in(&file, "correct horse"), ["prom"]);
}
