//! The alert rules, as promtool judges them.

use std::path::{Path, PathBuf};
use std::process::Command;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/prometheus")
}

#[test]
fn every_alert_fires_when_it_should_and_only_then() {
    let output = Command::new("promtool")
        .args(["test", "rules", "hostwarden.rules.test.yml"])
        .current_dir(folder())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

#[test]
fn every_alert_has_a_test_and_says_what_to_do() {
    let read = |file: &str| std::fs::read_to_string(folder().join(file)).unwrap();
    let rules = read("hostwarden.rules.yml");
    let tests = read("hostwarden.rules.test.yml");
    let alerts: Vec<&str> = rules.split("- alert: ").skip(1).collect();
    assert!(!alerts.is_empty());
    for alert in alerts {
        let name = alert.lines().next().unwrap();
        let has_fired = tests.contains(&format!("alertname=\"{name}\", "));
        assert!(has_fired, "{name}: no test in which it fires");
        for annotation in ["summary: \"", "description: \"", "runbook: \""] {
            assert_eq!(alert.matches(annotation).count(), 1, "{name}: {annotation}");
        }
    }
}
