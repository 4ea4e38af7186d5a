//! What holds for the list of collectors as a whole.

use std::collections::HashSet;
use std::path::Path;

use hostwarden::flags::{AnyFlag, Values};
use hostwarden::{collectors, commands};

#[test]
fn names_are_sorted_unique_and_file_stems() {
    let names: Vec<&str> = collectors::ALL.iter().map(|spec| spec.name).collect();
    assert!(names.is_sorted_by(|a, b| a < b), "{names:?}");
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for name in names {
        let is_there = ["collectors", "services"].iter().any(|folder| {
            let file = sources.join(folder).join(name);
            file.is_dir() || file.with_extension("rs").is_file()
        });
        assert!(is_there, "{name}: no file of that name");
    }
}

/// Flags of the original that do not begin with their collector's name.
const OTHER_PREFIXES: [(&str, &str); 4] = [
    ("netclass", "collector.netclass_rtnl.with-stats"),
    ("powersupplyclass", "collector.powersupply.ignored-supplies"),
    ("qdisc", "collector.qdisk.device-include"),
    ("qdisc", "collector.qdisk.device-exclude"),
];

#[test]
fn flags_are_unique_and_begin_with_their_collector() {
    let mut seen = HashSet::new();
    for spec in collectors::ALL {
        for flag in spec.flags {
            let name = flag.definition().name;
            assert!(seen.insert(name), "{name} is defined twice");
            assert!(
                name.starts_with(&format!("collector.{}.", spec.name))
                    || OTHER_PREFIXES.contains(&(spec.name, name)),
                "{name} stands in the file of {}",
                spec.name
            );
        }
    }
}

#[test]
fn every_default_is_a_value_of_its_flag() {
    let values = Values::default();
    let of_collectors = collectors::ALL.iter().flat_map(|spec| spec.flags);
    let of_commands = commands::ALL.iter().flat_map(|command| command.flags);
    for flag in of_collectors.chain(of_commands) {
        flag.check(&values).unwrap();
    }
}

#[test]
fn commands_are_sorted_unique_and_file_stems() {
    let names: Vec<&str> = commands::ALL.iter().map(|command| command.name).collect();
    assert!(names.is_sorted_by(|a, b| a < b), "{names:?}");
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/commands");
    for name in names {
        let stem = name.replace(' ', "_");
        let is_file = sources.join(&stem).with_extension("rs").is_file();
        assert!(is_file, "{name}: no file of that name");
    }
}

#[test]
fn a_flag_of_a_command_that_a_start_has_too_is_the_same_flag() {
    let text = |flag: &dyn AnyFlag| format!("{:?}", flag.definition());
    for flag in commands::ALL.iter().flat_map(|command| command.flags) {
        let name = flag.definition().name;
        let same = hostwarden::cli::all_flags().find(|other| other.definition().name == name);
        assert!(same.is_none_or(|same| text(same) == text(*flag)), "{name}");
    }
}

/// Collectors whose source is no file, and where they are tested instead.
const WITHOUT_GOLDEN: &[(&str, &str)] = &[
    ("apache", "asks a server: tests/services"),
    ("logind", "asks over D-Bus: tests/systemd.rs"),
    ("network_route", "asks the kernel: tests/network.rs"),
    ("nginx", "asks a server: tests/services"),
    ("ntp", "asks a server: tests/ntp.rs"),
    ("perf", "counts by system calls: tests/perf.rs, on the running kernel"),
    ("selinux", "reads fixed paths; its own tests parse what they hold"),
    ("supervisord", "asks a server: tests/supervisord.rs"),
    ("systemd", "asks over D-Bus: tests/systemd.rs"),
    ("tcpstat", "asks the kernel: tests/network.rs"),
    ("time", "the clock moves on; its own tests lay out the devices and the zones"),
    ("timex", "the kernel's clock discipline; its own tests check the units"),
    ("uname", "the running kernel; its own test compares with /proc"),
];

#[test]
fn every_collector_has_a_golden_text_or_a_reason() {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    for spec in collectors::ALL {
        let has_golden = fixtures.join(spec.name).is_dir();
        let has_reason = WITHOUT_GOLDEN.iter().any(|(name, _)| *name == spec.name);
        assert!(has_golden != has_reason, "{}: a golden text or a reason, not both", spec.name);
    }
}
