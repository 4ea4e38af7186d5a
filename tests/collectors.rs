//! `hostwarden collectors`: a row for each, whatever the host has.

use std::fs;
use std::os::unix::net::UnixListener;
use std::process::Command;

use hostwarden::collectors::ALL;

use crate::agent::{BINARY, run};

/// The cells of each row: name, state, what it says, what it reads, why not.
fn rows(table: &[u8]) -> Vec<Vec<String>> {
    let table = std::str::from_utf8(table).unwrap();
    let heads = table.lines().next().unwrap();
    let starts: Vec<usize> = ["COLLECTOR", "STATE", "SAYS", "READS", "WHY NOT"]
        .iter()
        .map(|head| heads.find(head).unwrap())
        .collect();
    let cell = |line: &str, column: usize| {
        let from = line.get(starts[column]..).unwrap_or_default();
        let width = starts.get(column + 1).map_or(from.len(), |next| next - starts[column]);
        from.get(..width).unwrap_or(from).trim().to_owned()
    };
    table.lines().skip(1).map(|line| (0..5).map(|column| cell(line, column)).collect()).collect()
}

fn row(rows: &[Vec<String>], name: &str) -> [String; 4] {
    let row = rows.iter().find(|row| row[0] == name).unwrap_or_else(|| panic!("no {name}"));
    std::array::from_fn(|at| row[at + 1].clone())
}

#[test]
fn every_collector_has_a_row() {
    let tree = tempfile::tempdir().unwrap();
    fs::write(tree.path().join("loadavg"), "0.5 0.25 0.75 1/2 3\n").unwrap();
    fs::write(tree.path().join("swaps"), "Filename Type Size Used Priority\n").unwrap();
    let silent = tree.path().join("bus");
    let _silent = UnixListener::bind(&silent).unwrap();
    let output = Command::new(BINARY)
        .args([
            "collectors",
            "--collector.disable-defaults",
            "--collector.swap",
            "--no-collector.stat",
        ])
        .args(["--collector.systemd.unit-include=a", "--collector.systemd.unit-whitelist=b"])
        .args(["--collector.loadavg", "--web.scrape-timeout=500ms"])
        .arg(format!("--path.procfs={}", tree.path().display()))
        .env("DBUS_SYSTEM_BUS_ADDRESS", format!("unix:path={}", silent.display()))
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    let rows = rows(&output.stdout);
    let names: Vec<&str> = rows.iter().map(|row| &*row[0]).collect();
    assert_eq!(names, ALL.iter().map(|spec| spec.name).collect::<Vec<_>>());
    for (name, expected) in [
        ("loadavg", ["on", "3 samples", "/proc/loadavg", ""]),
        ("swap", ["on", "nothing", "/proc/swaps", "needs swap space: swapon"]),
        ("stat", ["off", "fails", "/proc/stat", "stat: no such file or directory"]),
        ("uname", ["off", "1 sample", "uname(2)", ""]),
        (
            "logind",
            [
                "off",
                "fails",
                "logind over D-Bus",
                "D-Bus: no answer in time; needs a system bus and logind: apt-get install dbus systemd",
            ],
        ),
        (
            "systemd",
            [
                "off",
                "refused",
                "systemd over D-Bus",
                "--collector.systemd.unit-whitelist and --collector.systemd.unit-include are \
                 mutually exclusive",
            ],
        ),
    ] {
        assert_eq!(row(&rows, name), expected.map(str::to_owned), "{name}");
    }
}

#[test]
fn it_takes_the_flags_of_the_agent_and_no_others() {
    let output = run(&["collectors", "--collector.nonesuch"]);
    assert_eq!(output.status.code(), Some(1));
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(error.contains("unknown long flag '--collector.nonesuch'"), "{error}");
    let help = run(&["collectors", "--help"]);
    assert!(String::from_utf8_lossy(&help.stdout).contains("hostwarden collectors"));
}
