//! Names of metrics made of other things' names.

use super::LabelValue;

/// The text with every run of other bytes than letters, digits and `_`, and the `_` around it, as
/// one `_`. A digit in front is left there: the name it becomes part of begins with something else.
pub struct Sanitized<'a>(pub &'a [u8]);

impl LabelValue for Sanitized<'_> {
    fn write(&self, out: &mut Vec<u8>) {
        let is_word = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
        let count = |text: &[u8], is_part: &dyn Fn(&u8) -> bool| {
            text.iter().take_while(|&byte| is_part(byte)).count()
        };
        let mut rest = self.0;
        while !rest.is_empty() {
            let words = count(rest, &is_word);
            let (words, after) = rest.split_at(words);
            let others = count(after, &|byte| !is_word(byte));
            if others == 0 {
                out.extend_from_slice(words);
                return;
            }
            let around = words.iter().rev().take_while(|&&byte| byte == b'_').count();
            out.extend_from_slice(&words[..words.len() - around]);
            out.push(b'_');
            let after = &after[others..];
            rest = &after[count(after, &|byte| *byte == b'_')..];
        }
    }
}

/// Likewise, for a name that is kept.
pub fn sanitized(text: &[u8]) -> String {
    let mut name = Vec::with_capacity(text.len());
    Sanitized(text).write(&mut name);
    // Words of ASCII and nothing else.
    String::from_utf8(name).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_become_one_underscore() {
        for (text, name) in [
            ("rx_bytes", "rx_bytes"),
            ("fs.file-nr", "fs_file_nr"),
            ("port._rx", "port_rx"),
            ("a__b", "a__b"),
            ("a__.__b", "a_b"),
            ("a-_-b", "a__b"),
            ("  lead", "_lead"),
            ("_ x _", "_x_"),
            ("[3]: tx", "_3_tx"),
            ("é:ö", "_"),
            ("", ""),
        ] {
            assert_eq!(sanitized(text.as_bytes()), name, "{text}");
        }
    }
}
