//! The manual page and the completions, as groff and the shells read them.

use std::io::Write;
use std::process::{Command, Stdio};

use crate::agent::run;

/// What to type, and what must be among the offers.
const TYPED: [(&[&str], &str); 5] = [
    (&["pas"], "passwd"),
    (&["--web.telemetry"], "--web.telemetry-path"),
    (&["--no-collector.loada"], "--no-collector.loadavg"),
    (&["passwd", "--web.ht"], "--web.htpasswd-file"),
    (&["--log.level=info", "--web.max-req"], "--web.max-requests"),
];

fn printed(arguments: &[&str]) -> String {
    let output = run(arguments);
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// What a program answers to `input`, without a word of complaint.
fn answer(program: &[&str], input: &str) -> String {
    let mut child = Command::new(program[0])
        .args(&program[1..])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let complaint = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success() && complaint.is_empty(), "{program:?}: {complaint}");
    String::from_utf8(output.stdout).unwrap()
}

fn is_offered(offers: &str, expected: &str) -> bool {
    offers.lines().any(|line| line.split(['\t', ':']).next() == Some(expected))
}

#[test]
fn bash_offers_commands_and_flags() {
    let completions = printed(&["completions", "bash"]);
    for (typed, expected) in TYPED {
        let script = format!(
            "{completions}\nCOMP_WORDS=(hostwarden {}); COMP_CWORD={}; _hostwarden\n\
             printf '%s\\n' \"${{COMPREPLY[@]}}\"\n",
            typed.join(" "),
            typed.len()
        );
        let offers = answer(&["bash"], &script);
        assert!(is_offered(&offers, expected), "{typed:?}: {offers}");
    }
}

#[test]
fn zsh_offers_commands_and_flags() {
    let completions = printed(&["completions", "zsh"]);
    for (typed, expected) in TYPED {
        // The completion system itself runs only at a terminal: what it is given is looked at.
        let script = format!(
            "_describe() {{ print -l -- ${{(P)2}} }}\n\
             offer() {{\n{completions}\n}}\n\
             words=(hostwarden {}); CURRENT={}; PREFIX=; offer\n",
            typed.join(" "),
            typed.len() + 1
        );
        let offers = answer(&["zsh", "-f"], &script);
        assert!(is_offered(&offers, expected), "{typed:?}: {offers}");
    }
}

#[test]
fn fish_offers_commands_and_flags() {
    let completions = printed(&["completions", "fish"]);
    for (typed, expected) in TYPED {
        let script = format!("{completions}\ncomplete -C 'hostwarden {}'\n", typed.join(" "));
        let offers = answer(&["fish", "--no-config"], &script);
        assert!(is_offered(&offers, expected), "{typed:?}: {offers}");
    }
}

#[test]
fn an_unknown_shell_is_told_so() {
    let output = run(&["completions", "csh"]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        String::from_utf8(output.stderr).unwrap(),
        "hostwarden completions: no completions for csh: expected bash, zsh or fish\n"
    );
}

#[test]
fn groff_has_no_complaint_about_the_manual_page_and_every_flag_is_in_it() {
    let page = printed(&["man"]);
    let text = answer(&["groff", "-man", "-ww", "-Tascii", "-P-cbou", "-rLL=400n"], &page);
    for flag in hostwarden::cli::all_flags().map(hostwarden::flags::AnyFlag::definition) {
        assert!(flag.hidden || text.contains(flag.name), "{}", flag.name);
    }
    for command in hostwarden::commands::ALL {
        assert!(text.contains(command.name), "{}", command.name);
    }
}
