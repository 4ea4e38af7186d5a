//! The systemd units, as systemd itself reads them.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::{Command, Output};

use crate::agent::BINARY;

/// How exposed the agent may be, in tenths, as `systemd-analyze security` counts.
const EXPOSURE_MAX: &str = "20";

const UNITS: [&str; 4] = [
    "hostwarden.service",
    "hostwarden.socket",
    "hostwarden-textfile@x.service",
    "hostwarden-textfile@x.timer",
];

/// Since this version of systemd a service may say that its reload has ended.
const NOTIFY_RELOAD: u32 = 253;

#[test]
fn every_unit_is_what_systemd_expects() {
    let root = installed();
    let output = verify(root.path(), &UNITS);
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
}

#[test]
fn every_drop_in_is_what_systemd_expects() {
    let root = installed();
    let drop_ins = root.path().join("usr/share/hostwarden/systemd");
    let enabled = root.path().join("etc/systemd/system/hostwarden.service.d");
    for drop_in in std::fs::read_dir(drop_ins).unwrap() {
        let drop_in = drop_in.unwrap();
        if drop_in.file_name() == "notify-reload.conf" && systemd_version() < NOTIFY_RELOAD {
            continue;
        }
        std::fs::create_dir_all(&enabled).unwrap();
        std::fs::copy(drop_in.path(), enabled.join(drop_in.file_name())).unwrap();
        let output = verify(root.path(), &UNITS[..1]);
        assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
        std::fs::remove_dir_all(&enabled).unwrap();
    }
}

#[test]
fn the_agent_is_exposed_no_more_than_it_must_be() {
    let root = installed();
    let output = analyze(root.path(), "security")
        .args(["--offline=yes", "--threshold", EXPOSURE_MAX, UNITS[0]])
        .output()
        .unwrap();
    let table = String::from_utf8(output.stdout).unwrap();
    assert!(table.contains("Overall exposure level"), "{table}");
    assert!(output.status.success(), "{table}");
}

#[test]
fn the_users_come_to_be_and_the_folders_are_theirs() {
    let root = installed();
    for (program, file) in [
        (&["systemd-sysusers"][..], "usr/lib/sysusers.d/hostwarden.conf"),
        (&["systemd-tmpfiles", "--create"], "usr/lib/tmpfiles.d/hostwarden.conf"),
    ] {
        let output = Command::new(program[0])
            .args(&program[1..])
            .arg("--root")
            .arg(root.path())
            .arg(root.path().join(file))
            .output()
            .unwrap();
        assert!(output.status.success(), "{program:?}: {output:?}");
    }
    for (folder, mode, group) in [
        ("var/lib/hostwarden/textfile", 0o2775, "hostwarden-textfile"),
        ("etc/hostwarden", 0o750, "hostwarden"),
    ] {
        let metadata = std::fs::metadata(root.path().join(folder)).unwrap();
        assert_eq!(metadata.permissions().mode() & 0o7777, mode, "{folder}");
        assert_eq!((metadata.uid(), metadata.gid()), (0, group_id(root.path(), group)), "{folder}");
    }
}

/// `hostwarden:x:998:`, in the root's own file.
fn group_id(root: &Path, group: &str) -> u32 {
    let groups = std::fs::read_to_string(root.join("etc/group")).unwrap();
    let entry = groups.lines().find_map(|line| line.strip_prefix(group)?.strip_prefix(":x:"));
    entry.unwrap().trim_end_matches(':').parse().unwrap()
}

/// A root with all that a package installs, and what of systemd and the shell the units refer to.
fn installed() -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    let stage = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/stage");
    let status = Command::new(stage).arg(BINARY).arg(root.path()).status().unwrap();
    assert!(status.success());
    let units = root.path().join("usr/lib/systemd/system");
    for unit in std::fs::read_dir("/usr/lib/systemd/system").unwrap() {
        let unit = unit.unwrap().path();
        if unit.extension().is_some_and(|extension| extension == "target") {
            std::fs::copy(&unit, units.join(unit.file_name().unwrap())).unwrap();
        }
    }
    std::fs::create_dir(root.path().join("bin")).unwrap();
    for program in ["bin/sh", "bin/kill", "usr/bin/nsenter"] {
        std::fs::copy(Path::new("/").join(program), root.path().join(program)).unwrap();
    }
    root
}

fn verify(root: &Path, units: &[&str]) -> Output {
    // Manual pages are looked for on this machine, whatever the root.
    analyze(root, "verify").arg("--man=no").args(units).output().unwrap()
}

fn analyze(root: &Path, verb: &str) -> Command {
    let mut command = Command::new("systemd-analyze");
    command.arg(verb).arg("--root").arg(root);
    command
}

/// `systemd 252 (252.39-1~deb12u2)`
fn systemd_version() -> u32 {
    let output = Command::new("systemd-analyze").arg("--version").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.split_whitespace().nth(1).unwrap().parse().unwrap()
}
