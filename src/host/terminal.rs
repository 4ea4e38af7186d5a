//! A line typed at a terminal that does not show it.

use std::io::{self, IsTerminal, Read, Stdin, Write};

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

/// Asks on standard error and reads what is typed at `stdin`, key by key, so that an interrupt can
/// leave the terminal as it was. `None` where standard input is no terminal.
pub fn ask(stdin: &Stdin, question: &str) -> io::Result<Option<Vec<u8>>> {
    if !stdin.is_terminal() {
        return Ok(None);
    }
    let silent = Silent::new(stdin)?;
    let mut stderr = io::stderr();
    stderr.write_all(question.as_bytes())?;
    let line = read(stdin.lock().bytes());
    drop(silent);
    stderr.write_all(b"\n")?;
    line.map(Some)
}

fn read(keys: impl Iterator<Item = io::Result<u8>>) -> io::Result<Vec<u8>> {
    const INTERRUPT: u8 = 0x03;
    const END: u8 = 0x04;
    const ERASE_LINE: u8 = 0x15;
    const BACKSPACES: [u8; 2] = [0x08, 0x7f];

    let mut line = Vec::new();
    for key in keys {
        match key? {
            b'\n' | b'\r' | END => return Ok(line),
            INTERRUPT => return Err(io::Error::new(io::ErrorKind::Interrupted, "interrupted")),
            ERASE_LINE => line.clear(),
            // The last character, which may be several bytes.
            key if BACKSPACES.contains(&key) => {
                while line.pop().is_some_and(|byte| byte & 0xc0 == 0x80) {}
            }
            key => line.push(key),
        }
    }
    Ok(line)
}

/// A terminal that shows nothing of what is typed and makes no signals of it, while this lives.
struct Silent<'a> {
    terminal: &'a Stdin,
    before: Termios,
}

impl<'a> Silent<'a> {
    fn new(terminal: &'a Stdin) -> io::Result<Self> {
        let before = tcgetattr(terminal)?;
        let mut silent = before.clone();
        silent.local_modes -= LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG;
        tcsetattr(terminal, OptionalActions::Flush, &silent)?;
        Ok(Self { terminal, before })
    }
}

impl Drop for Silent<'_> {
    fn drop(&mut self) {
        // A terminal that went away needs nothing any more.
        let _ = tcsetattr(self.terminal, OptionalActions::Now, &self.before);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys() {
        let typed =
            |keys: &str| read(keys.bytes().map(Ok)).map(|line| String::from_utf8(line).unwrap());
        assert_eq!(typed("secret\rmore").unwrap(), "secret");
        assert_eq!(typed("no\u{15}größ\u{7f}\u{8}oß\n").unwrap(), "groß");
        assert_eq!(typed("\u{7f}\u{4}").unwrap(), "");
        assert_eq!(typed("sec\u{3}").unwrap_err().to_string(), "interrupted");
    }
}
