//! `hostwarden completions SHELL`: what the shell offers after Tab, from the same tables as `--help`.

use std::io::{self, Write};
use std::process::ExitCode;

use super::{Command, Given, Outcome, Run};
use crate::cli::help;

pub(super) static COMMAND: Command = Command {
    name: "completions",
    help: "Print the completions for bash, zsh or fish.",
    words: &["SHELL"],
    flags: &[],
    run: Run::Own(run),
};

fn run(given: &Given, out: &mut dyn Write) -> Outcome {
    match given.words[0].as_str() {
        "bash" => bash(out)?,
        "zsh" => zsh(out)?,
        "fish" => fish(out)?,
        other => return Err(format!("no completions for {other}: expected bash, zsh or fish").into()),
    }
    Ok(ExitCode::SUCCESS)
}

/// One word that may be typed, and what it does.
struct Word {
    text: String,
    help: String,
    /// Whether a value follows.
    has_value: bool,
}

/// What may be typed after the name of a command, or after the program's own.
fn words(command: Option<&Command>) -> Vec<Word> {
    let own = command.into_iter().flat_map(help::command_flags);
    let takes_start = command.is_none_or(|command| matches!(command.run, Run::Agent(_)));
    let start = help::agent_flags().filter(|_| takes_start);
    let mut words: Vec<Word> = own.chain(start).flat_map(|(head, help)| spell(&head, &help)).collect();
    words.sort_by(|a, b| a.text.cmp(&b.text));
    words.dedup_by(|a, b| a.text == b.text);
    words
}

/// `--[no-]name`, `-h, --help` and `--name="default" ...` as they are typed.
fn spell(head: &str, help: &str) -> Vec<Word> {
    let word = |text: String, has_value| Word { text, help: help.to_owned(), has_value };
    if let Some(name) = head.strip_prefix("--[no-]") {
        return vec![word(format!("--{name}"), false), word(format!("--no-{name}"), false)];
    }
    match head.split_once('=') {
        Some((flag, _)) => vec![word(flag.to_owned(), true)],
        None => head.split(", ").map(|flag| word(flag.to_owned(), false)).collect(),
    }
}

/// The commands as words, of those with two the first: each once.
fn first_words() -> Vec<(&'static str, &'static str)> {
    let mut words: Vec<(&str, &str)> = super::ALL
        .iter()
        .map(|command| (command.name.split(' ').next().unwrap_or_default(), command.help))
        .collect();
    words.dedup_by_key(|(word, _)| *word);
    words
}

/// The second words of commands, by the first.
fn second_words() -> Vec<(&'static str, Vec<(&'static str, &'static str)>)> {
    first_words()
        .into_iter()
        .map(|(first, _)| {
            let family = super::family(first);
            let second = family.filter_map(|command| {
                Some((command.name.split_once(' ')?.1, command.help))
            });
            (first, second.collect::<Vec<_>>())
        })
        .filter(|(_, second)| !second.is_empty())
        .collect()
}

fn bash(out: &mut dyn Write) -> io::Result<()> {
    let texts = |words: &[Word]| {
        words.iter().map(|word| word.text.as_str()).collect::<Vec<_>>().join(" ")
    };
    let names = |words: &[(&str, &str)]| {
        words.iter().map(|(word, _)| *word).collect::<Vec<_>>().join(" ")
    };
    writeln!(out, "_hostwarden() {{\n  local words\n  case \"${{COMP_WORDS[*]:1:COMP_CWORD-1}} \" in")?;
    for command in super::ALL {
        writeln!(out, "    '{} '*) words='{}' ;;", command.name, texts(&words(Some(command))))?;
    }
    for (first, second) in second_words() {
        writeln!(out, "    '{first} ') words='{}' ;;", names(&second))?;
    }
    writeln!(out, "    ' ') words='{} {}' ;;", names(&first_words()), texts(&words(None)))?;
    writeln!(out, "    *) words='{}' ;;\n  esac", texts(&words(None)))?;
    writeln!(out, "  mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"${{COMP_WORDS[COMP_CWORD]}}\")")?;
    // A value, or nothing that is known: the names of files.
    writeln!(out, "}}\ncomplete -o default -F _hostwarden hostwarden")
}

fn zsh(out: &mut dyn Write) -> io::Result<()> {
    let entries = |words: &[Word]| -> String {
        words.iter().map(|word| format!(" {}", zsh_entry(&word.text, &word.help))).collect()
    };
    let names = |words: &[(&str, &str)]| -> String {
        words.iter().map(|(word, help)| format!(" {}", zsh_entry(word, help))).collect()
    };
    writeln!(out, "#compdef hostwarden\n\nlocal -a offers\ncase \"${{words[2,CURRENT-1]}} \" in")?;
    for command in super::ALL {
        writeln!(out, "  '{} '*) offers=({}) ;;", command.name, entries(&words(Some(command))))?;
    }
    for (first, second) in second_words() {
        writeln!(out, "  '{first} ') offers=({}) ;;", names(&second))?;
    }
    writeln!(out, "  ' ') offers=({}{}) ;;", names(&first_words()), entries(&words(None)))?;
    writeln!(out, "  *) offers=({}) ;;\nesac", entries(&words(None)))?;
    writeln!(out, "if [[ $PREFIX == --*=* ]]; then\n  _files\nelse\n  _describe hostwarden offers || _files\nfi")
}

/// A colon parts the word from what it does.
fn zsh_entry(word: &str, help: &str) -> String {
    quote(&format!("{}:{}", word.replace(':', "\\:"), help.replace(':', "\\:")))
}

fn fish(out: &mut dyn Write) -> io::Result<()> {
    let own: Vec<&str> = super::ALL
        .iter()
        .filter(|command| matches!(command.run, Run::Own(_)))
        .filter_map(|command| command.name.split(' ').next())
        .collect();
    let at_start = "__fish_use_subcommand";
    for (word, help) in first_words() {
        writeln!(out, "complete -c hostwarden -n {at_start} -f -a {word} -d {}", quote(help))?;
    }
    for (first, second) in second_words() {
        for (word, help) in second {
            let condition = quote(&format!("__fish_seen_subcommand_from {first}"));
            writeln!(out, "complete -c hostwarden -n {condition} -f -a {word} -d {}", quote(help))?;
        }
    }
    let no_own = format!("not __fish_seen_subcommand_from {}", own.join(" "));
    fish_words(out, &no_own, &words(None))?;
    for command in super::ALL.iter().filter(|command| !command.flags.is_empty()) {
        let condition = command
            .name
            .split(' ')
            .map(|word| format!("__fish_seen_subcommand_from {word}"))
            .collect::<Vec<_>>()
            .join("; and ");
        let own: Vec<Word> =
            help::command_flags(command).flat_map(|(head, help)| spell(&head, &help)).collect();
        fish_words(out, &condition, &own)?;
    }
    Ok(())
}

fn fish_words(out: &mut dyn Write, condition: &str, words: &[Word]) -> io::Result<()> {
    let condition = quote(condition);
    for Word { text, help, has_value } in words {
        let flag = match text.strip_prefix("--") {
            Some(long) => format!("-l {long}"),
            None => format!("-s {}", text.trim_start_matches('-')),
        };
        let value = if *has_value { " -r" } else { "" };
        writeln!(out, "complete -c hostwarden -n {condition} {flag}{value} -d {}", quote(help))?;
    }
    Ok(())
}

/// One word for any of the shells: a quotation mark inside stands between two quotations.
fn quote(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_offered_as_they_are_typed() {
        let typed = |head: &str| -> Vec<(String, bool)> {
            spell(head, "").into_iter().map(|word| (word.text, word.has_value)).collect()
        };
        let word = |text: &str, has_value| (text.to_owned(), has_value);
        assert_eq!(typed("-h, --help"), [word("-h", false), word("--help", false)]);
        assert_eq!(typed("--[no-]x"), [word("--x", false), word("--no-x", false)]);
        assert_eq!(typed("--y=\"a=b\" ..."), [word("--y", true)]);
        assert_eq!(quote("an agent's"), "'an agent'\\''s'");
    }
}
