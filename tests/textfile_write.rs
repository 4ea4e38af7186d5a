//! `hostwarden textfile write`: whole or not at all.

use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::Path;
use std::process::{Command, Stdio};

use crate::agent::{Agent, BINARY};

/// The command's complaint, none if it went well.
fn write(directory: &Path, name: &str, input: &[u8]) -> String {
    let mut child = Command::new("sh")
        .args(["-c", "umask 077; exec \"$@\"", "sh", BINARY, "textfile", "write", name])
        .arg(format!("--directory={}", directory.display()))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    let output = child.wait_with_output().unwrap();
    let complaint = String::from_utf8(output.stderr).unwrap();
    assert!(output.stdout.is_empty());
    assert_eq!(output.status.success(), complaint.is_empty(), "{complaint}");
    complaint
}

#[test]
fn what_is_good_becomes_the_file_and_what_is_not_leaves_it() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("mail.prom");
    let content = || std::fs::read_to_string(&file).unwrap();
    assert_eq!(write(folder.path(), "mail", b"mail_queue_size 3\n"), "");
    assert_eq!(content(), "mail_queue_size 3\n");
    for (input, expected) in [
        (&b""[..], "no sample"),
        (b"# HELP mail_queue_size Mail.\n", "no sample"),
        (b"mail_queue_size 4\nmail_box_size{user=\"root\"", "line 2: "),
        (b"mail_queue_size many\n", "line 1: "),
        (b"mail_queue_size 4 1700000000000\n", "line 1: timestamps are not for textfiles"),
    ] {
        let complaint = write(folder.path(), "mail", input);
        let expected = format!("hostwarden textfile write: mail.prom: {expected}");
        assert!(complaint.starts_with(&expected), "{complaint}");
        assert_eq!(complaint.lines().count(), 1);
        assert_eq!(content(), "mail_queue_size 3\n");
    }
    assert_eq!(write(folder.path(), "mail.prom", b"mail_queue_size 0\n"), "");
    assert_eq!(content(), "mail_queue_size 0\n");
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 1, "nothing is left over");
}

#[test]
fn the_agent_may_read_it_whoever_wrote_it() {
    let folder = tempfile::tempdir().unwrap();
    // As the package makes it: of a group whose members may write.
    let is_root = rustix::process::geteuid().is_root();
    if is_root {
        chown(&folder, Some(0), Some(7)).unwrap();
    }
    assert_eq!(write(folder.path(), "mail", b"mail_queue_size 3\n"), "");
    let stat = std::fs::metadata(folder.path().join("mail.prom")).unwrap();
    assert_eq!(stat.permissions().mode() & 0o7777, 0o644);
    assert!(!is_root || (stat.uid(), stat.gid()) == (0, 7));
    let directory = format!("--collector.textfile.directory={}", folder.path().display());
    let agent = Agent::start(&["--collector.disable-defaults", "--collector.textfile", &directory]);
    assert_eq!(agent.get("/metrics").sample("mail_queue_size"), Some(3.0));
}

#[test]
fn a_folder_that_is_not_there_is_told() {
    let complaint = write(Path::new("/nowhere"), "mail", b"mail_queue_size 3\n");
    let expected =
        "hostwarden textfile write: /nowhere/mail.prom: No such file or directory (os error 2)\n";
    assert_eq!(complaint, expected);
}
