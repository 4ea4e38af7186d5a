//! As much of XML as an XML-RPC answer is made of: elements, text, entities.

use std::borrow::Cow;

/// What stands next in a document. Comments, declarations and attributes are passed over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Token<'a> {
    /// `<name …>`, without what stands before a colon in the name; `<name/>` closes at once.
    Open(&'a str),
    Close(&'a str),
    Text(Cow<'a, str>),
}

/// A document that is read from front to back.
#[derive(Debug, Clone)]
pub(super) struct Xml<'a> {
    rest: &'a str,
    /// The element that was closed in its own tag.
    closing: Option<&'a str>,
}

impl<'a> Xml<'a> {
    pub(super) fn new(document: &'a str) -> Self {
        Self { rest: document, closing: None }
    }

    /// The next token, or `None` where the document ends or is none.
    pub(super) fn token(&mut self) -> Option<Token<'a>> {
        if let Some(name) = self.closing.take() {
            return Some(Token::Close(name));
        }
        loop {
            let Some(markup) = self.rest.strip_prefix('<') else {
                let end = self.rest.find('<').unwrap_or(self.rest.len());
                let (text, rest) = self.rest.split_at(end);
                self.rest = rest;
                return if text.is_empty() { None } else { Some(Token::Text(decode(text)?)) };
            };
            if let Some(comment) = markup.strip_prefix("!--") {
                self.rest = comment.split_once("-->")?.1;
            } else if let Some(data) = markup.strip_prefix("![CDATA[") {
                let (data, rest) = data.split_once("]]>")?;
                self.rest = rest;
                return Some(Token::Text(data.into()));
            } else if let Some(instruction) = markup.strip_prefix('?') {
                self.rest = instruction.split_once("?>")?.1;
            } else {
                let (tag, rest) = split_tag(markup)?;
                self.rest = rest;
                if tag.starts_with('!') {
                    continue;
                }
                return self.tag(tag);
            }
        }
    }

    fn tag(&mut self, tag: &'a str) -> Option<Token<'a>> {
        if let Some(name) = tag.strip_prefix('/') {
            return Some(Token::Close(local(name)?));
        }
        let name = local(tag.strip_suffix('/').unwrap_or(tag))?;
        if tag.ends_with('/') {
            self.closing = Some(name);
        }
        Some(Token::Open(name))
    }

    /// The next tag, whatever text stands before it.
    pub(super) fn next_tag(&mut self) -> Option<Token<'a>> {
        loop {
            match self.token()? {
                Token::Text(_) => {}
                tag => return Some(tag),
            }
        }
    }

    /// Goes into the next element, if its name is this one.
    pub(super) fn open(&mut self, name: &str) -> Option<()> {
        (self.next_tag()? == Token::Open(name)).then_some(())
    }

    /// The text up to the end of the element that was opened last; it may hold no other.
    pub(super) fn text(&mut self, element: &str) -> Option<Cow<'a, str>> {
        let mut text = Cow::Borrowed("");
        loop {
            match self.token()? {
                Token::Text(more) if text.is_empty() => text = more,
                Token::Text(more) => text.to_mut().push_str(&more),
                Token::Close(name) if name == element => return Some(text),
                _ => return None,
            }
        }
    }

    /// Leaves the element that was opened last, with all that is in it.
    pub(super) fn leave(&mut self) -> Option<()> {
        let mut depth = 1;
        while depth > 0 {
            match self.next_tag()? {
                Token::Open(_) => depth += 1,
                _ => depth -= 1,
            }
        }
        Some(())
    }
}

/// Both sides of the `>` that ends a tag; an attribute's value may contain others.
fn split_tag(markup: &str) -> Option<(&str, &str)> {
    let mut quote = None;
    for (at, byte) in markup.bytes().enumerate() {
        match (byte, quote) {
            (b'>', None) => return Some((&markup[..at], &markup[at + 1..])),
            (b'"' | b'\'', None) => quote = Some(byte),
            (_, Some(open)) if byte == open => quote = None,
            _ => {}
        }
    }
    None
}

/// The name in a tag, without prefix and attributes.
fn local(tag: &str) -> Option<&str> {
    let name = tag.split_ascii_whitespace().next()?;
    let name = name.rsplit(':').next()?;
    (!name.is_empty()).then_some(name)
}

/// Resolves `&lt;`, `&#65;` and the like; an unknown one spoils the document.
fn decode(text: &str) -> Option<Cow<'_, str>> {
    let Some((before, mut rest)) = text.split_once('&') else { return Some(text.into()) };
    let mut decoded = before.to_owned();
    loop {
        let (entity, after) = rest.split_once(';')?;
        decoded.push(match entity {
            "lt" => '<',
            "gt" => '>',
            "amp" => '&',
            "quot" => '"',
            "apos" => '\'',
            _ => char::from_u32(code_point(entity.strip_prefix('#')?)?)?,
        });
        match after.split_once('&') {
            Some((before, next)) => {
                decoded.push_str(before);
                rest = next;
            }
            None => {
                decoded.push_str(after);
                return Some(decoded.into());
            }
        }
    }
}

fn code_point(number: &str) -> Option<u32> {
    let (digits, base) = number.strip_prefix('x').map_or((number, 10), |digits| (digits, 16));
    if digits.starts_with('+') { None } else { u32::from_str_radix(digits, base).ok() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(document: &str) -> String {
        let mut xml = Xml::new(document);
        let mut said = Vec::new();
        while let Some(token) = xml.token() {
            said.push(match token {
                Token::Open(name) => format!("<{name}"),
                Token::Close(name) => format!("{name}>"),
                Token::Text(text) => text.into_owned(),
            });
        }
        said.join("|")
    }

    #[test]
    fn documents() {
        for (document, expected) in [
            ("<a>b</a>", "<a|b|a>"),
            ("<?xml version='1.0'?>\n<!DOCTYPE x><a/>", "\n|<a|a>"),
            ("<a b='>' c=\"/>\">x</a >", "<a|x|a>"),
            ("<n:a/><a b/>", "<a|a>|<a|a>"),
            ("<!-- <a> --><a>&lt;&#65;&#x42;&amp;c</a>", "<a|<AB&c|a>"),
            ("<a><![CDATA[<&]]></a>", "<a|<&|a>"),
            // What is no document ends there.
            ("<a>&nbsp;</a>", "<a"),
            ("<a>&#xD800;", "<a"),
            ("<a>&lt", "<a"),
            ("<a", ""),
            ("<>", ""),
            ("</>", ""),
            ("<!-- ", ""),
            ("<![CDATA[x", ""),
        ] {
            assert_eq!(tokens(document), expected, "{document}");
        }
    }

    #[test]
    fn elements_are_entered_read_and_left() {
        let mut xml = Xml::new("<a> <b>x<!-- -->y&lt;</b><c><d><e/></d>z</c><f/></a>");
        xml.open("a").unwrap();
        xml.open("b").unwrap();
        assert_eq!(xml.text("b").unwrap(), "xy<");
        xml.open("c").unwrap();
        xml.leave().unwrap();
        assert_eq!(xml.next_tag(), Some(Token::Open("f")));
        assert_eq!(xml.text("f").unwrap(), "");
        assert_eq!(xml.open("g"), None);
    }
}
