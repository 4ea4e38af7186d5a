//! node_exporter's own end-to-end case, which lies beside the project.

use std::process::Command;

use crate::agent::BINARY;
use crate::peers;

#[test]
fn the_end_to_end_case_of_node_exporter_matches_whole() {
    let Some(shared) = peers::shared() else { return };
    let port = peers::free_port().to_string();
    let run = Command::new(shared.join("conformance/run")).arg(BINARY).env("PORT", port).output();
    let output = run.unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let (last, errors) = (said.lines().last(), String::from_utf8_lossy(&output.stderr));
    let whole = "1181 families and 3027 samples expected: 1181 families and 3027 samples match";
    assert_eq!(last, Some(whole), "{said}{errors}");
    assert!(output.status.success(), "{said}{errors}");
}
