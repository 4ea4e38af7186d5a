//! Sets of characters, and the alphabet that turns them into bytes.

use super::translate::Piece;

type Result<T> = std::result::Result<T, String>;

/// The last code point.
pub(super) const LAST: u32 = char::MAX as u32;

/// Code points, as ranges in no order.
#[derive(Default)]
pub(super) struct Set(Vec<(u32, u32)>);

impl Set {
    pub(super) fn add(&mut self, low: u32, high: u32, fold_case: bool) -> Result<()> {
        /// A range from the end of ASCII up to here has all that has case, but for what `k` and `s` are to two of its letters.
        const LAST_CASED: u32 = 0x1_e943;

        self.0.push((low, high));
        if !fold_case {
            return Ok(());
        }
        let within = |a: u32, b: u32| Some((low.max(a), high.min(b))).filter(|(a, b)| a <= b);
        self.0.extend(within(0x41, 0x5a).map(|(a, b)| (a + 0x20, b + 0x20)));
        self.0.extend(within(0x61, 0x7a).map(|(a, b)| (a - 0x20, b - 0x20)));
        for triple in [['k', 'K', '\u{212a}'], ['s', 'S', '\u{17f}']] {
            let codes = triple.map(u32::from);
            if codes.iter().any(|&code| within(code, code).is_some()) {
                self.0.extend(codes.map(|code| (code, code)));
            }
        }
        let beyond = within(0x80, LAST_CASED).filter(|&all| all != (0x80, LAST_CASED));
        let cased = |c: &char| !c.to_lowercase().eq([*c]) || !c.to_uppercase().eq([*c]);
        match beyond.and_then(|(a, b)| (a..=b).filter_map(char::from_u32).find(cased)) {
            Some('\u{212a}' | '\u{17f}') if low == high => Ok(()),
            Some(c) => Err(format!("`(?i)` is supported for ASCII letters only, not for `{c}`")),
            None => Ok(()),
        }
    }

    pub(super) fn add_named(
        &mut self,
        ranges: &[(u8, u8)],
        fold_case: bool,
        negated: bool,
    ) -> Result<()> {
        let mut named = Set::default();
        for &(low, high) in ranges {
            named.add(low.into(), high.into(), fold_case)?;
        }
        self.0.extend(if negated { named.complement().0 } else { named.0 });
        Ok(())
    }

    pub(super) fn complement(mut self) -> Self {
        let mut gaps = Vec::new();
        let mut next = 0;
        self.0.sort_unstable();
        for (low, high) in self.0 {
            if next < low {
                gaps.push((next, low - 1));
            }
            next = next.max(high + 1);
        }
        if next <= LAST {
            gaps.push((next, LAST));
        }
        Self(gaps)
    }
}

/// The characters beyond ASCII, cut wherever a set of the pattern begins or ends: each stretch is a byte from 0x80 on.
#[derive(Debug, Clone)]
pub(super) struct Alphabet(Box<[u32]>);

impl Alphabet {
    pub(super) fn of(pieces: &[Piece<'_>]) -> Result<Self> {
        let sets = pieces.iter().filter_map(|piece| match piece {
            Piece::Set(Set(ranges)) => Some(ranges),
            Piece::Form(_) => None,
        });
        let cuts = sets.flatten().flat_map(|&(low, high)| [low, high + 1]);
        let mut starts: Vec<u32> =
            cuts.filter(|cut| (0x81..=LAST).contains(cut)).chain([0x80]).collect();
        starts.sort_unstable();
        starts.dedup();
        if starts.len() > 0x80 {
            return Err("tells apart too many characters beyond ASCII".into());
        }
        Ok(Self(starts.into()))
    }

    fn byte(&self, code: u32) -> u8 {
        match u8::try_from(code) {
            Ok(ascii @ ..0x80) => ascii,
            _ => {
                let stretch = self.0.partition_point(|&start| start <= code);
                u8::try_from(stretch + 0x7f).unwrap_or(u8::MAX)
            }
        }
    }

    pub(super) fn write(&self, Set(ranges): &Set, out: &mut String) {
        if ranges.is_empty() {
            return out.push_str(r"[^\x00-\xFF]");
        }
        out.push('[');
        for &(low, high) in ranges {
            out.push_str(&format!(r"\x{:02X}-\x{:02X}", self.byte(low), self.byte(high)));
        }
        out.push(']');
    }

    /// To Go a text is UTF-8, and a byte that fits nowhere is one character, U+FFFD.
    pub(super) fn spell(&self, text: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(text.len());
        for chunk in text.utf8_chunks() {
            bytes.extend(chunk.valid().chars().map(|c| self.byte(c.into())));
            let unknown = self.byte(char::REPLACEMENT_CHARACTER.into());
            bytes.extend(chunk.invalid().iter().map(|_| unknown));
        }
        bytes
    }
}

pub(super) const DIGIT: &[(u8, u8)] = &[(b'0', b'9')];
const UPPER: (u8, u8) = (b'A', b'Z');
const LOWER: (u8, u8) = (b'a', b'z');
pub(super) const WORD: &[(u8, u8)] = &[(b'0', b'9'), UPPER, (b'_', b'_'), LOWER];

pub(super) const NAMED: [(&str, &[(u8, u8)]); 14] = [
    ("alnum", &[(b'0', b'9'), UPPER, LOWER]),
    ("alpha", &[UPPER, LOWER]),
    ("ascii", &[(0, 0x7f)]),
    ("blank", &[(b'\t', b'\t'), (b' ', b' ')]),
    ("cntrl", &[(0, 0x1f), (0x7f, 0x7f)]),
    ("digit", DIGIT),
    ("graph", &[(b'!', b'~')]),
    ("lower", &[LOWER]),
    ("print", &[(b' ', b'~')]),
    ("punct", &[(b'!', b'/'), (b':', b'@'), (b'[', b'`'), (b'{', b'~')]),
    ("space", &[(b'\t', b'\r'), (b' ', b' ')]),
    ("upper", &[UPPER]),
    ("word", WORD),
    ("xdigit", &[(b'0', b'9'), (b'A', b'F'), (b'a', b'f')]),
];
