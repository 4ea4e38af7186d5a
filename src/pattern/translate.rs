//! Go's pattern syntax, from `regexp/syntax`, taken apart and put together again for `regex`.

use super::alphabet::{Alphabet, DIGIT, LAST, NAMED, Set, WORD};

type Result<T> = std::result::Result<T, String>;

pub(super) fn translate(go: &str) -> Result<(String, Alphabet)> {
    let mut pattern = Translator { rest: go, ..Translator::default() };
    while !pattern.rest.is_empty() {
        pattern.token()?;
    }
    if !pattern.open.is_empty() {
        return Err("a group is not closed".into());
    }
    let alphabet = Alphabet::of(&pattern.pieces)?;
    let mut rust = String::new();
    for piece in &pattern.pieces {
        match piece {
            Piece::Form(form) => rust.push_str(form),
            Piece::Set(set) => alphabet.write(set, &mut rust),
        }
    }
    Ok((rust, alphabet))
}

#[derive(Default)]
struct Translator<'p> {
    rest: &'p str,
    pieces: Vec<Piece<'p>>,
    flags: Flags,
    /// What a repetition would repeat.
    atom: Option<Atom>,
    /// The last token was a repetition.
    repeated: bool,
    /// The most copies of one thing that the repetitions in this group ask for.
    copies: u32,
    open: Vec<Open>,
}

pub(super) enum Piece<'p> {
    /// What both engines read alike.
    Form(&'p str),
    Set(Set),
}

#[derive(Debug, Default, Clone, Copy)]
struct Flags {
    fold_case: bool,
    lines: bool,
    dot_newline: bool,
}

struct Atom {
    start: usize,
    copies: u32,
}

struct Open {
    start: usize,
    flags: Flags,
    copies: u32,
}

/// Go's limit on a repeat count, and on the product of nested ones.
const MOST_COPIES: u32 = 1000;

impl<'p> Translator<'p> {
    fn token(&mut self) -> Result<()> {
        let repeated = std::mem::take(&mut self.repeated);
        let Flags { lines, dot_newline, .. } = self.flags;
        match self.rest.as_bytes()[0] {
            b'(' if self.rest.starts_with("(?") => self.open_special(),
            b'(' => {
                self.take(1);
                self.open_group();
                Ok(())
            }
            b')' => self.close_group(),
            b'|' => {
                self.take(1);
                self.form("|");
                self.atom = None;
                Ok(())
            }
            b'^' => self.atom(1, if lines { "(?m:^)" } else { r"\A" }),
            b'$' => self.atom(1, if lines { "(?m:$)" } else { r"\z" }),
            b'.' => self.atom(1, if dot_newline { "(?s:.)" } else { "." }),
            b'[' => self.class(),
            b'*' | b'+' | b'?' => self.repeat(1, 1, repeated),
            b'{' => match counts(self.rest) {
                Some((length, copies)) => self.repeat(length, copies, repeated),
                None => self.character(),
            },
            b'\\' => self.escape(),
            _ => self.character(),
        }
    }

    fn take(&mut self, length: usize) -> &'p str {
        let (taken, rest) = self.rest.split_at(length);
        self.rest = rest;
        taken
    }

    fn take_char(&mut self) -> Option<char> {
        let c = self.rest.chars().next()?;
        self.rest = &self.rest[c.len_utf8()..];
        Some(c)
    }

    /// The part of the pattern from `start` up to where the translation stands.
    fn since(&self, start: &'p str) -> &'p str {
        &start[..start.len() - self.rest.len()]
    }

    /// Takes a token that has a form of its own.
    fn atom(&mut self, length: usize, form: &'static str) -> Result<()> {
        self.take(length);
        self.begin_atom();
        self.form(form);
        Ok(())
    }

    fn begin_atom(&mut self) {
        self.atom = Some(Atom { start: self.pieces.len(), copies: 1 });
    }

    fn form(&mut self, form: &'p str) {
        self.pieces.push(Piece::Form(form));
    }

    fn character(&mut self) -> Result<()> {
        self.take_char().map_or(Ok(()), |c| self.literal(c.into()))
    }

    fn literal(&mut self, code: u32) -> Result<()> {
        let mut set = Set::default();
        set.add(code, code, self.flags.fold_case)?;
        self.set(set);
        Ok(())
    }

    fn set(&mut self, set: Set) {
        self.begin_atom();
        self.pieces.push(Piece::Set(set));
    }

    fn open_group(&mut self) {
        let copies = std::mem::take(&mut self.copies);
        self.open.push(Open { start: self.pieces.len(), flags: self.flags, copies });
        self.atom = None;
        self.form("(?:");
    }

    /// Flags in a group last until it ends.
    fn close_group(&mut self) -> Result<()> {
        self.take(1);
        let Open { start, flags, copies } = self.open.pop().ok_or("a `)` closes nothing")?;
        self.form(")");
        self.flags = flags;
        self.atom = Some(Atom { start, copies: self.copies.max(1) });
        self.copies = self.copies.max(copies);
        Ok(())
    }

    /// `(?P<name>…)`, `(?<name>…)`, `(?i)`, `(?i-s:…)`, and no others: nothing that looks around.
    fn open_special(&mut self) -> Result<()> {
        let start = self.rest;
        if let Some(name) = start.strip_prefix("(?P<").or_else(|| start.strip_prefix("(?<")) {
            let end = name.find('>').unwrap_or(0);
            if end == 0 || !name.as_bytes()[..end].iter().all(is_word) {
                return Err(format!("unknown kind of group, or a bad name: `{start}`"));
            }
            self.rest = &name[end + 1..];
            self.open_group();
            return Ok(());
        }
        self.take(2);
        let (mut flags, mut on, mut idle) = (self.flags, true, false);
        loop {
            match self.take_char() {
                Some('i') => flags.fold_case = on,
                Some('m') => flags.lines = on,
                Some('s') => flags.dot_newline = on,
                Some('U') => {}
                Some('-') if on => {
                    (on, idle) = (false, true);
                    continue;
                }
                Some(end @ (':' | ')')) if !idle => {
                    if end == ':' {
                        self.open_group();
                    }
                    self.flags = flags;
                    return Ok(());
                }
                _ => return Err(format!("unknown kind of group: `{}`", self.since(start))),
            }
            idle = false;
        }
    }

    /// A repetition's operator is `length` bytes long and asks for `copies` of what stands before it.
    fn repeat(&mut self, length: usize, copies: u32, repeated: bool) -> Result<()> {
        let start = self.rest;
        let operator = self.take(length);
        if self.rest.starts_with('?') {
            self.take(1);
        }
        if repeated {
            return Err(format!("`{}` repeats a repetition", self.since(start)));
        }
        let Some(atom) = &mut self.atom else {
            return Err(format!("nothing to repeat before `{operator}`"));
        };
        atom.copies = atom.copies.saturating_mul(copies.max(1));
        if atom.copies > MOST_COPIES {
            return Err(format!("a count beyond {MOST_COPIES}, or backwards: `{operator}`"));
        }
        self.copies = self.copies.max(atom.copies);
        self.pieces.insert(atom.start, Piece::Form("(?:"));
        self.form(")");
        self.form(operator);
        self.repeated = true;
        Ok(())
    }

    fn escape(&mut self) -> Result<()> {
        match self.rest.as_bytes().get(1) {
            Some(b'A') => self.atom(2, r"\A"),
            Some(b'z') => self.atom(2, r"\z"),
            Some(b'b') => self.atom(2, r"\b"),
            Some(b'B') => self.atom(2, r"\B"),
            Some(b'Q') => {
                self.take(2);
                let (quoted, rest) = self.rest.split_once(r"\E").unwrap_or((self.rest, ""));
                self.rest = rest;
                quoted.chars().try_for_each(|c| self.literal(c.into()))
            }
            _ => {
                let mut set = Set::default();
                if !self.escaped_set(&mut set)? {
                    let code = self.escaped_char()?;
                    return self.literal(code);
                }
                self.set(set);
                Ok(())
            }
        }
    }

    /// `\d` and its like, in a class or by itself.
    fn escaped_set(&mut self, set: &mut Set) -> Result<bool> {
        let &[b'\\', letter, ..] = self.rest.as_bytes() else { return Ok(false) };
        let ranges: &[(u8, u8)] = match letter.to_ascii_lowercase() {
            b'd' => DIGIT,
            b's' => &[(b'\t', b'\n'), (0x0c, b'\r'), (b' ', b' ')],
            b'w' => WORD,
            b'p' => return Err(format!("Unicode classes are not supported: `{}`", self.rest)),
            _ => return Ok(false),
        };
        self.take(2);
        set.add_named(ranges, self.flags.fold_case, letter.is_ascii_uppercase())?;
        Ok(true)
    }

    /// A backslash and what it makes into one character.
    fn escaped_char(&mut self) -> Result<u32> {
        let start = self.rest;
        self.take(1);
        let c = self.take_char().ok_or("ends with a backslash")?;
        let code = match c {
            '0' => Some(0),
            '1'..='7' if self.rest.starts_with(is_octal) => c.to_digit(8),
            'x' => self.hex(),
            'a' => Some(0x07),
            'f' => Some(0x0c),
            'n' => Some(0x0a),
            'r' => Some(0x0d),
            't' => Some(0x09),
            'v' => Some(0x0b),
            _ if c.is_ascii() && !c.is_ascii_alphanumeric() => return Ok(c.into()),
            _ => None,
        };
        let mut code = code.ok_or_else(|| format!("unknown escape: `{}`", self.since(start)))?;
        if c.is_digit(8) {
            let more = self.rest.bytes().take(2).take_while(|&b| is_octal(b.into())).count();
            code = self.take(more).bytes().fold(code, |code, b| code * 8 + u32::from(b - b'0'));
        }
        Ok(code)
    }

    /// What follows `\x`: two digits, or any number in braces.
    fn hex(&mut self) -> Option<u32> {
        let digits = if self.rest.starts_with('{') {
            let end = self.rest.find('}')?;
            &self.take(end + 1)[1..end]
        } else {
            let end = self.rest.char_indices().nth(2).map_or(self.rest.len(), |(end, _)| end);
            Some(self.take(end)).filter(|digits| digits.len() == 2)?
        };
        let digit = |code: u32, c: char| Some(code.checked_mul(16)? + c.to_digit(16)?);
        digits.chars().try_fold(0, digit).filter(|&code| code <= LAST && !digits.is_empty())
    }

    /// `[…]`. Everything but a backslash, `]`, a range's `-` and `[:name:]` stands for itself.
    fn class(&mut self) -> Result<()> {
        let start = self.rest;
        let unclosed = || format!("a class is not closed: `{start}`");
        let fold = self.flags.fold_case;
        self.take(1);
        let negated = self.rest.starts_with('^');
        if negated {
            self.take(1);
        }
        let mut set = Set::default();
        let mut first = true;
        while first || !self.rest.starts_with(']') {
            first = false;
            if self.named_set(&mut set)? || self.escaped_set(&mut set)? {
                continue;
            }
            let item = self.rest;
            let low = self.class_char().ok_or_else(unclosed)??;
            let mut high = low;
            if self.rest.len() > 1 && self.rest.starts_with('-') && !self.rest.starts_with("-]") {
                self.take(1);
                high = self.class_char().ok_or_else(unclosed)??;
            }
            if high < low {
                return Err(format!("a range runs backwards: `{}`", self.since(item)));
            }
            set.add(low, high, fold)?;
        }
        self.take(1);
        self.set(if negated { set.complement() } else { set });
        Ok(())
    }

    fn class_char(&mut self) -> Option<Result<u32>> {
        if self.rest.starts_with('\\') {
            return Some(self.escaped_char());
        }
        self.take_char().map(|c| Ok(c.into()))
    }

    /// `[:alpha:]` or `[:^alpha:]` in a class.
    fn named_set(&mut self, set: &mut Set) -> Result<bool> {
        let Some(end) = self.rest.strip_prefix("[:").and_then(|name| name.find(":]")) else {
            return Ok(false);
        };
        let whole = self.take(end + 4);
        let (name, negated) = match whole[2..2 + end].strip_prefix('^') {
            Some(name) => (name, true),
            None => (&whole[2..2 + end], false),
        };
        let Some((_, ranges)) = NAMED.iter().find(|(known, _)| *known == name) else {
            return Err(format!("unknown class: `{whole}`"));
        };
        set.add_named(ranges, self.flags.fold_case, negated)?;
        Ok(true)
    }
}

/// The length of a `{2}`, `{2,}` or `{2,5}`, and how many copies it asks for at most. Whatever else a brace begins is text.
fn counts(rest: &str) -> Option<(usize, u32)> {
    let end = rest.find('}')?;
    let (low, high) = rest[1..end].split_once(',').unwrap_or((&rest[1..end], &rest[1..end]));
    let number = |digits: &str| {
        let plain = digits == "0" || !digits.is_empty() && !digits.starts_with('0');
        let plain = plain && digits.bytes().all(|b| b.is_ascii_digit());
        plain.then(|| digits.parse().unwrap_or(u32::MAX))
    };
    let low = number(low)?;
    let most = if high.is_empty() { low.max(1) } else { number(high)? };
    Some((end + 1, if low > most || low > MOST_COPIES { u32::MAX } else { most }))
}

fn is_word(b: &u8) -> bool {
    b.is_ascii_alphanumeric() || *b == b'_'
}

fn is_octal(c: char) -> bool {
    c.is_digit(8)
}
