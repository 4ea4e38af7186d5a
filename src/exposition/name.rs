//! Names of metrics made of other things' names.

/// The text with every run of other bytes than letters, digits and `_`, and the `_` around it, as
/// one `_`. A digit in front is left there: the name it becomes part of begins with something else.
pub fn sanitized(text: &[u8]) -> String {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let mut name = String::with_capacity(text.len());
    // An `_` that stands for a run is not part of the next one.
    let (mut at, mut settled) = (0, 0);
    while at < text.len() {
        if is_word(text[at]) {
            name.push(char::from(text[at]));
            at += 1;
            continue;
        }
        let count = |rest: &[u8], is_part: &dyn Fn(u8) -> bool| {
            rest.iter().take_while(|&&byte| is_part(byte)).count()
        };
        at += count(&text[at..], &|byte| !is_word(byte));
        at += count(&text[at..], &|byte| byte == b'_');
        while name.len() > settled && name.ends_with('_') {
            name.pop();
        }
        name.push('_');
        settled = name.len();
    }
    name
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
