//! The command line as kingpin gave it: exit codes, streams, and words that scripts look for.

use crate::agent::{Agent, run};

#[test]
fn a_wrong_flag_is_told_in_one_line_and_ends_with_1() {
    for (arguments, expected) in [
        (&["--foo"][..], "unknown long flag '--foo'"),
        (&["-x"], "unknown short flag '-x'"),
        (&["foo"], "unexpected foo"),
        (&["--log.level=info", "passwd", "prom"], "unexpected passwd"),
        (&["passwd"], "expected USER"),
        (&["passwd", "prom", "more"], "unexpected more"),
        (&["passwd", "--log.level=info", "prom"], "unknown long flag '--log.level'"),
        (&["--", "--web.max-requests=1"], "unexpected --web.max-requests=1"),
        (&["--collector.loadavg=true"], "unexpected true"),
        (&["--collector.loadavg", "false"], "unexpected false"),
        (&["--no-web.max-requests"], "unknown long flag '--no-web.max-requests'"),
        (&["--web.max-requests"], "expected argument for flag '--web.max-requests'"),
        (
            &["--web.max-requests", "--collector.loadavg"],
            "expected argument for flag '--web.max-requests'",
        ),
        (&["--web.max-requests=abc"], "--web.max-requests: invalid number \"abc\""),
        (&["--log.level=bad"], "unrecognized log level bad"),
        (&["--log.format=xml"], "unrecognized log format xml"),
        (
            &["--web.max-requests=1", "--web.max-requests=1"],
            "flag 'web.max-requests' cannot be repeated",
        ),
        (
            &["--no-collector.loadavg", "--collector.loadavg"],
            "flag 'collector.loadavg' cannot be repeated",
        ),
        (
            &["@/nowhere"],
            "failed to open arguments file \"/nowhere\": open /nowhere: no such file or directory",
        ),
        (&["--web.metrics-path=/m"], "unknown long flag '--web.metrics-path'"),
        (&["--no"], "unknown long flag '--no'"),
    ] {
        let output = run(arguments);
        let expected = format!("hostwarden: error: {expected}, try --help\n");
        assert_eq!(String::from_utf8_lossy(&output.stderr), expected);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        assert!(output.stdout.is_empty());
    }
}

#[test]
fn what_a_start_refuses_is_told_in_one_line_of_the_log() {
    for (arguments, expected) in [
        (&["--web.listen-address=localhost"][..], "address localhost: missing port in address"),
        (&["--web.listen-address=::1:9"], "address ::1:9: too many colons in address"),
        (&["--web.listen-address=:1x"], "listen tcp :1x: lookup tcp/1x: unknown port"),
        (&["--web.telemetry-path=metrics"], "does not begin with a slash"),
    ] {
        // A host without udev gives a collector something to complain of, too.
        let output = run(&[&["--collector.disable-defaults"], arguments].concat());
        let log = String::from_utf8_lossy(&output.stderr).into_owned();
        let faults: Vec<&str> = log.lines().filter(|line| line.contains("level=ERROR")).collect();
        assert!(faults.len() == 1 && faults[0].contains(expected), "{arguments:?}: {log}");
        assert_eq!(output.status.code(), Some(1));
    }
}

#[test]
fn version_wins_over_what_follows_and_help_over_nothing_unknown() {
    let version = run(&["--version", "--foo"]);
    assert_eq!(version.status.code(), Some(0));
    let text = String::from_utf8(version.stdout).unwrap();
    assert!(text.starts_with("hostwarden, version ") && text.lines().count() == 6, "{text}");
    assert_eq!(run(&["--foo", "--version"]).status.code(), Some(1));
    assert_eq!(run(&["--help", "--foo"]).status.code(), Some(1));
}

#[test]
fn help_names_every_flag_but_the_hidden_ones() {
    let help = run(&["--help"]);
    assert_eq!(help.status.code(), Some(0));
    let text = String::from_utf8(help.stdout).unwrap();
    for flag in hostwarden::cli::all_flags() {
        let definition = flag.definition();
        let dashes = if definition.is_switch() { "  --[no-]" } else { "  --" };
        let is_shown = text.lines().any(|line| {
            line.strip_prefix(dashes).is_some_and(|line| {
                let name = line.split(['=', ' ']).next().unwrap();
                name == definition.name
            })
        });
        assert_eq!(is_shown, !definition.hidden, "{}", definition.name);
    }
    for spec in hostwarden::collectors::ALL {
        assert!(text.contains(&format!("--[no-]collector.{}\n", spec.name)));
    }
}

#[test]
fn help_names_every_command_and_each_has_its_own() {
    let stdout = |arguments: &[&str]| {
        let output = run(arguments);
        assert_eq!(output.status.code(), Some(0), "{arguments:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let all = stdout(&["--help"]);
    for command in hostwarden::commands::ALL {
        assert!(all.contains(&format!("\n  {}", command.name)), "{}", command.name);
        let words: Vec<&str> = command.name.split(' ').chain(["--help"]).collect();
        let own = stdout(&words);
        assert!(own.starts_with(&format!("usage: hostwarden {}", command.name)), "{own}");
        for flag in command.flags {
            let name = flag.definition().name;
            let dashes = if flag.definition().is_switch() { "--[no-]" } else { "--" };
            assert!(own.contains(&format!("\n  {dashes}{name}")), "{own}");
        }
    }
}

#[test]
fn arguments_come_from_a_file_line_by_line() {
    let directory = tempfile::tempdir().unwrap();
    let inner = directory.path().join("inner");
    std::fs::write(&inner, "--collector.disable-defaults\n--collector.loadavg\n").unwrap();
    let outer = directory.path().join("outer");
    let lines = format!("# a comment\n\n@{}\n--web.telemetry-path\n/a b\n", inner.display());
    std::fs::write(&outer, lines).unwrap();
    let agent = Agent::start(&[&format!("@{}", outer.display())]);
    let metrics = agent.get("/a%20b");
    assert_eq!(metrics.status, 200);
    assert_eq!(metrics.sample("node_scrape_collector_success{collector=\"loadavg\"}"), Some(1.0));
    assert_eq!(metrics.text().matches("\nnode_scrape_collector_success{").count(), 1);
}

#[test]
fn gomaxprocs_comes_from_the_environment_and_is_checked_like_a_flag() {
    let output =
        std::process::Command::new(crate::agent::BINARY).env("GOMAXPROCS", "two").output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let log = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(log.contains("invalid number \"two\""), "{log}");
}
