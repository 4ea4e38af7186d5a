//! Names of vendors, devices and classes, from `pci.ids`.

use std::collections::HashMap;
use std::ops::Range;

use crate::host::cursor::Text;

/// What has a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Key {
    Vendor(u64),
    Device(u64, u64),
    Subsystem { vendor: u64, device: u64, sub_vendor: u64, sub_device: u64 },
    /// The first two digits of a class.
    Class(u64),
    /// The first four.
    Subclass(u64),
    /// All six.
    Interface(u64),
}

/// The names in one file.
#[derive(Debug, Default)]
pub(super) struct Ids {
    text: Vec<u8>,
    names: HashMap<Key, Range<usize>>,
}

impl Ids {
    pub(super) fn new(text: Vec<u8>) -> Self {
        let mut reader = Reader::default();
        // A line too long ends the file.
        let lines = Text::new("pci.ids", &text).scan().map_while(Result::ok);
        for line in lines.map(|line| line.bytes).filter(|line| !line.is_empty() && line[0] != b'#') {
            if let Some((key, name)) = reader.read(line) {
                let start = name.as_ptr().addr() - text.as_ptr().addr();
                reader.names.insert(key, start..start + name.len());
            }
        }
        Self { names: reader.names, text }
    }

    /// The name of a class of six digits, or of what it is part of.
    pub(super) fn class(&self, class: u64) -> Option<&[u8]> {
        self.name(Key::Interface(class))
            .or_else(|| self.name(Key::Subclass(class >> 8)))
            .or_else(|| self.name(Key::Class(class >> 16)))
    }

    pub(super) fn name(&self, key: Key) -> Option<&[u8]> {
        self.names.get(&key).map(|name| &self.text[name.clone()])
    }
}

/// Where in the file the reader is: what an indented line belongs to stands further up.
#[derive(Default)]
struct Reader {
    names: HashMap<Key, Range<usize>>,
    vendor: Option<u64>,
    device: Option<u64>,
    class: Option<u64>,
    subclass: Option<u64>,
    is_in_classes: bool,
}

impl Reader {
    /// What a line names, if anything.
    fn read<'a>(&mut self, line: &'a [u8]) -> Option<(Key, &'a [u8])> {
        let depth = line.iter().take_while(|byte| **byte == b'\t').count();
        let (id, name) = split(&line[depth.min(2)..])?;
        if let Some(id) = id.strip_prefix(b"C ").filter(|_| depth == 0) {
            self.is_in_classes = true;
            self.class = hex(id.trim_ascii(), 2);
            return Some((Key::Class(self.class?), name));
        }
        match (depth, self.is_in_classes) {
            (0, _) => {
                (self.vendor, self.device, self.is_in_classes) = (hex(id, 4), None, false);
                Some((Key::Vendor(self.vendor?), name))
            }
            (1, true) => {
                self.subclass = self.class.zip(hex(id, 2)).map(|(class, id)| class << 8 | id);
                Some((Key::Subclass(self.subclass?), name))
            }
            (2, true) => Some((Key::Interface(self.subclass? << 8 | hex(id, 2)?), name)),
            (1, false) => {
                self.device = hex(id, 4);
                Some((Key::Device(self.vendor?, self.device?), name))
            }
            _ => {
                let mut words = id.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
                let (sub_vendor, sub_device) = (hex(words.next()?, 4)?, hex(words.next()?, 4)?);
                let (vendor, device) = (self.vendor?, self.device?);
                let key = Key::Subsystem { vendor, device, sub_vendor, sub_device };
                words.next().is_none().then_some((key, name))
            }
        }
    }
}

/// `1af4  Red Hat, Inc.` as its two sides.
fn split(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = memchr::memmem::find(line, b"  ")?;
    Some((line[..at].trim_ascii_end(), line[at..].trim_ascii()))
}

/// So many small hexadecimal digits.
fn hex(text: &[u8], digits: usize) -> Option<u64> {
    let is_digit = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    let is_number = text.len() == digits && text.iter().all(is_digit);
    is_number.then(|| crate::number::hex(text)).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_all_kinds() {
        let ids = Ids::new(
            b"# A comment\n\n1af4  Red Hat, Inc.\n\t1000  Virtio network device\n\
              \t\t1af4 0001  A subsystem \n\t\tffff  no subsystem\n\
              1AF5  Not found\n\t2000  Nor this\n1234 one blank\n8086  Intel\n\
              C 02  Network controller\n\t00  Ethernet controller\n\t\t01  Odd interface\n\
              C 03  Display controller\n\t\t02  Below the subclass before\n\
              8086  Intel Corporation\n\t1237  A bridge\n"
                .to_vec(),
        );
        for (key, name) in [
            (Key::Vendor(0x1af4), Some("Red Hat, Inc.")),
            (Key::Device(0x1af4, 0x1000), Some("Virtio network device")),
            (
                Key::Subsystem { vendor: 0x1af4, device: 0x1000, sub_vendor: 0x1af4, sub_device: 1 },
                Some("A subsystem"),
            ),
            (Key::Vendor(0x1af5), None),
            (Key::Vendor(0x1234), None),
            (Key::Vendor(0x8086), Some("Intel Corporation")),
            (Key::Device(0x8086, 0x1237), Some("A bridge")),
            (Key::Class(2), Some("Network controller")),
            (Key::Subclass(0x200), Some("Ethernet controller")),
            (Key::Interface(0x2_0001), Some("Odd interface")),
            (Key::Interface(0x2_0002), Some("Below the subclass before")),
            (Key::Subclass(0x300), None),
        ] {
            let said = ids.name(key).map(|name| std::str::from_utf8(name).unwrap());
            assert_eq!(said, name, "{key:x?}");
        }
        assert_eq!(ids.class(0x02_00_07), Some(&b"Ethernet controller"[..]));
        assert_eq!(ids.class(0x03_80_00), Some(&b"Display controller"[..]));
        assert_eq!(ids.class(0x04_00_00), None);
    }
}
