//! The pieces of a line: names, quoted strings, numbers, blanks.

use crate::exposition::{is_label_name, is_metric_name};
use crate::number;
use std::borrow::Cow;

/// What is wrong in a line, whose number the caller knows.
pub(super) type Result<T, E = String> = std::result::Result<T, E>;

/// A name and what follows it: `name`, `"name"` or, as Go has it, `na"me"`. Empty if none begins here; what was in quotes is
/// not checked yet.
pub(super) fn split_name(line: &[u8], colons: bool) -> Result<(Cow<'_, [u8]>, &[u8])> {
    let is_in_name = |b: &u8| b.is_ascii_alphanumeric() || *b == b'_' || colons && *b == b':';
    let end = match line.first() {
        Some(b'0'..=b'9') => 0,
        _ => line.iter().position(|b| !is_in_name(b)).unwrap_or(line.len()),
    };
    let (bare, rest) = line.split_at(end);
    match rest {
        [b'"', rest @ ..] => {
            let (mut name, rest) = quoted(rest)?;
            if !bare.is_empty() {
                name = Cow::Owned([bare, &name].concat());
            }
            Ok((name, rest))
        }
        _ => Ok((Cow::Borrowed(bare), rest)),
    }
}

pub(super) fn metric_name(name: Cow<'_, [u8]>) -> Result<Cow<'_, str>> {
    match utf8(name) {
        Ok(name) if is_metric_name(name.as_bytes()) => Ok(name),
        Ok(name) => Err(format!("invalid metric name {}", show(name.as_bytes()))),
        Err(name) => Err(format!("invalid metric name {}", show(&name))),
    }
}

pub(super) fn label_name(name: Cow<'_, [u8]>) -> Result<Cow<'_, str>> {
    match utf8(name) {
        Ok(name) if name == "__name__" => Err("label name __name__ is reserved".to_owned()),
        Ok(name) if is_label_name(name.as_bytes()) => Ok(name),
        Ok(name) => Err(format!("invalid label name {}", show(name.as_bytes()))),
        Err(name) => Err(format!("invalid label name {}", show(&name))),
    }
}

/// `1700000000000`, and nothing behind it, not even a blank.
pub(super) fn timestamp(text: &[u8]) -> Result<i64> {
    let (token, rest) = split_blank(text);
    if token.is_empty() {
        return Err("blank after the value, but no timestamp".to_owned());
    }
    let timestamp = str::from_utf8(token).ok().and_then(|token| token.parse().ok());
    match (timestamp, rest) {
        (None, _) => Err(format!("cannot parse {} as a timestamp", show(token))),
        (Some(_), [_, ..]) => Err(format!("{} after the timestamp", show(rest))),
        (Some(timestamp), []) => Ok(timestamp),
    }
}

/// A number as the text format has it: as in Go, but neither hexadecimal nor with underscores.
pub(super) fn float(token: &[u8]) -> Option<f64> {
    if token.iter().any(|b| matches!(b, b'p' | b'P' | b'_')) { None } else { number::float(token) }
}

/// What is before the closing quote, and what after it.
pub(super) fn quoted(text: &[u8]) -> Result<(Cow<'_, [u8]>, &[u8])> {
    let mut end = 0;
    loop {
        let rest = text.get(end..).unwrap_or_default();
        match memchr::memchr2(b'"', b'\\', rest) {
            None => return Err(format!("no closing quote after {}", show(text))),
            Some(at) if rest[at] == b'\\' => end += at + 2,
            Some(at) => return Ok((unescape(&text[..end + at])?, &text[end + at + 1..])),
        }
    }
}

/// `\\`, `\n` and `\"` are all the escapes there are, in label values and in HELP alike.
pub(super) fn unescape(text: &[u8]) -> Result<Cow<'_, [u8]>> {
    let Some(first) = memchr::memchr(b'\\', text) else { return Ok(Cow::Borrowed(text)) };
    let mut plain = Vec::with_capacity(text.len());
    plain.extend_from_slice(&text[..first]);
    let mut rest = &text[first..];
    while let [b, after @ ..] = rest {
        rest = after;
        if *b != b'\\' {
            plain.push(*b);
            continue;
        }
        plain.push(match rest.first() {
            Some(b @ (b'\\' | b'"')) => *b,
            Some(b'n') => b'\n',
            Some(b) => return Err(format!("unknown escape \\{}", b.escape_ascii())),
            None => return Err("backslash at the end of the line".to_owned()),
        });
        rest = &rest[1..];
    }
    Ok(Cow::Owned(plain))
}

/// The same bytes as text, or else as they were.
pub(super) fn utf8(bytes: Cow<'_, [u8]>) -> Result<Cow<'_, str>, Cow<'_, [u8]>> {
    match bytes {
        Cow::Borrowed(bytes) => str::from_utf8(bytes).map(Cow::Borrowed).map_err(|_| bytes.into()),
        Cow::Owned(bytes) => {
            String::from_utf8(bytes).map(Cow::Owned).map_err(|refused| refused.into_bytes().into())
        }
    }
}

pub(super) fn skip_blanks(line: &[u8]) -> &[u8] {
    let blanks = line.iter().take_while(|b| matches!(b, b' ' | b'\t')).count();
    &line[blanks..]
}

/// What is before the first blank, and the rest with it.
pub(super) fn split_blank(line: &[u8]) -> (&[u8], &[u8]) {
    line.split_at(line.iter().position(|b| matches!(b, b' ' | b'\t')).unwrap_or(line.len()))
}

/// A token for a message: quoted, and not the whole of a long line.
pub(super) fn show(token: &[u8]) -> String {
    const LONGEST: usize = 40;
    let cut = &token[..token.len().min(LONGEST)];
    let dots = if cut.len() < token.len() { "…" } else { "" };
    format!("{:?}{dots}", String::from_utf8_lossy(cut))
}
