//! Path patterns as Go's `filepath.Glob` reads them: `*`, `?`, `[a-z]`, `[^a]`, `\x`.
//!
//! A leading dot is no different from other characters, `**` is no more than `*`, and a class is
//! negated by `^` alone.

use super::{Listing, Root};

/// A path with wildcards in it, relative to the working directory or absolute.
#[derive(Debug)]
pub struct Glob {
    /// What stands before the first component with a wildcard.
    head: String,
    components: Vec<Vec<Token>>,
}

#[derive(Debug, PartialEq, Eq)]
enum Token {
    Any,
    One,
    Char(char),
    Class { is_negated: bool, ranges: Vec<(char, char)> },
}

impl Glob {
    /// Nothing if the text has no wildcard, or is malformed: then it can only be meant literally.
    pub fn new(text: &str) -> Option<Self> {
        const WILDCARDS: [char; 4] = ['*', '?', '[', '\\'];

        let first = text.find(WILDCARDS)?;
        let start = text[..first].rfind('/').map_or(0, |slash| slash + 1);
        let head = match &text[..start] {
            "" => ".",
            "/" => "/",
            head => &head[..head.len() - 1],
        };
        let components: Option<Vec<_>> = text[start..].split('/').map(tokens).collect();
        Some(Self { head: head.to_owned(), components: components? })
    }

    /// The paths that match, in the order of their names, into `found`.
    pub fn expand(&self, listing: &mut Listing, found: &mut Vec<String>) {
        found.push(self.head.clone());
        for component in &self.components {
            for directory in std::mem::take(found) {
                let listed = Root::try_new(&directory).and_then(|root| root.try_list("", listing));
                if listed.is_err() {
                    continue;
                }
                let names = listing.names().filter(|name| is_match(component, name));
                found.extend(names.map(|name| join(&directory, name)));
            }
        }
    }
}

/// One component's tokens, or nothing if it is malformed.
fn tokens(component: &str) -> Option<Vec<Token>> {
    let mut rest = component.chars().peekable();
    let mut tokens = Vec::new();
    while let Some(c) = rest.next() {
        tokens.push(match c {
            '*' => Token::Any,
            '?' => Token::One,
            '\\' => Token::Char(rest.next()?),
            '[' => {
                let is_negated = rest.next_if_eq(&'^').is_some();
                let mut ranges = Vec::new();
                while ranges.is_empty() || rest.next_if_eq(&']').is_none() {
                    let low = bound(&mut rest)?;
                    let is_range = rest.next_if_eq(&'-').is_some();
                    ranges.push((low, if is_range { bound(&mut rest)? } else { low }));
                }
                Token::Class { is_negated, ranges }
            }
            c => Token::Char(c),
        });
    }
    Some(tokens)
}

/// A character in a class; `-` and `]` only behind a backslash.
fn bound(rest: &mut impl Iterator<Item = char>) -> Option<char> {
    match rest.next()? {
        '-' | ']' => None,
        '\\' => rest.next(),
        c => Some(c),
    }
}

fn is_match(tokens: &[Token], name: &str) -> bool {
    let (mut tokens, mut name) = (tokens, name.chars());
    // Where to go on after the last `*` has taken one character more.
    let mut retry = None;
    loop {
        let is_good = match tokens {
            [Token::Any, rest @ ..] => {
                tokens = rest;
                retry = Some((rest, name.clone()));
                continue;
            }
            [] if name.as_str().is_empty() => return true,
            [] => false,
            [token, rest @ ..] => {
                tokens = rest;
                name.next().is_some_and(|c| takes(token, c))
            }
        };
        if is_good {
            continue;
        }
        let Some((after, from)) = &mut retry else { return false };
        if from.next().is_none() {
            return false;
        }
        (tokens, name) = (*after, from.clone());
    }
}

fn takes(token: &Token, c: char) -> bool {
    match token {
        Token::Any | Token::One => true,
        Token::Char(wanted) => *wanted == c,
        Token::Class { is_negated, ranges } => {
            ranges.iter().any(|&(low, high)| (low..=high).contains(&c)) != *is_negated
        }
    }
}

/// The path of `name` in `directory`, without what a path can do without: `//`, `.`, `a/..`.
pub fn join(directory: &str, name: &str) -> String {
    let is_absolute = directory.starts_with('/');
    let mut parts: Vec<&str> = Vec::new();
    for part in directory.split('/').chain([name]) {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => drop(parts.pop()),
            ".." if is_absolute => {}
            part => parts.push(part),
        }
    }
    format!("{}{}", if is_absolute { "/" } else { "" }, parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for (pattern, yes, no) in [
            ("*", &["", "a", ".a", "größe"][..], &[][..]),
            ("**", &["a"], &[]),
            ("a*b*c", &["abc", "axbxc", "abcbc"], &["ab", "abcd", "xabc"]),
            ("?", &["a", "ö"], &["", "ab"]),
            ("[a-c]x", &["ax", "cx"], &["dx", "x"]),
            ("[^a-c]", &["d", "^"], &["a", "dd"]),
            ("[!a]", &["!", "a"], &["b"]),
            (r"[\]\-]", &["]", "-"], &["\\"]),
            (r"\*[*]", &["**"], &["a*", "*a"]),
        ] {
            let tokens = tokens(pattern).unwrap();
            for (names, expected) in [(yes, true), (no, false)] {
                for name in names {
                    assert_eq!(is_match(&tokens, name), expected, "{pattern} {name}");
                }
            }
        }
        for malformed in ["[", "[]", "[]a]", "[a", "[a-]", "[-a]", "[^]", "a\\", "[\\", "*["] {
            assert!(tokens(malformed).is_none(), "{malformed}");
        }
    }

    #[test]
    fn paths_are_expanded_in_order() {
        let tree = tempfile::tempdir().unwrap();
        for directory in ["b/text", "a/text", ".hidden/text", "c"] {
            std::fs::create_dir_all(tree.path().join(directory)).unwrap();
        }
        std::fs::write(tree.path().join("file"), "").unwrap();
        let top = tree.path().to_str().unwrap();
        let expand = |pattern: &str| {
            let mut found = Vec::new();
            let glob = Glob::new(&format!("{top}/{pattern}")).unwrap();
            glob.expand(&mut Listing::default(), &mut found);
            found.iter().map(|path| path[top.len() + 1..].to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(expand("*"), [".hidden", "a", "b", "c", "file"]);
        assert_eq!(expand("[ab]/text"), ["a/text", "b/text"]);
        assert_eq!(expand("/./?/t*"), ["a/text", "b/text"]);
        assert!(expand("*/").is_empty());
        assert!(expand("none*/text").is_empty());
        for literal in ["", "/a/b", "a[", "a*/[b"] {
            assert!(Glob::new(literal).is_none(), "{literal}");
        }
        assert_eq!(Glob::new("*").unwrap().head, ".");
        assert_eq!(Glob::new("/*").unwrap().head, "/");
    }

    #[test]
    fn joined_paths_are_clean() {
        for (directory, name, path) in [
            ("/a", "x", "/a/x"),
            ("/", "x", "/x"),
            (".", "x", "x"),
            ("a//./b/", "x", "a/b/x"),
            ("/a/../../b", "x", "/b/x"),
            ("../a/..", "x", "../x"),
        ] {
            assert_eq!(join(directory, name), path);
        }
    }
}
