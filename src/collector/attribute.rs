//! Attributes of sysfs: one file, one value. Where a directory or a file is full of numbers, a table
//! says what each is told as.

use std::ops::Range;

use rustix::io::Errno;

use super::{Cx, Error, Result};
use crate::exposition::{Desc, LabelValue, Samples};
use crate::host::Listing;
use crate::host::cursor::Text;

/// What the kernel calls a number, be it a file's name or a line's, and the family that tells it.
#[derive(Debug)]
pub struct Told {
    pub name: &'static str,
    pub desc: Desc,
    per: f64,
}

/// The number is told as it is.
pub const fn told(name: &'static str, desc: Desc) -> Told {
    Told { name, desc, per: 1.0 }
}

impl Told {
    /// So many of the kernel's units make one of the family's.
    #[must_use]
    pub const fn per(self, per: f64) -> Self {
        Self { per, ..self }
    }

    pub fn push(&'static self, labels: &[&dyn LabelValue], number: f64, out: &mut Samples) {
        out.push(&self.desc, labels, number / self.per);
    }

    /// What a number of that name is told as, if anything.
    pub fn find(table: &'static [Told], name: &str) -> Option<&'static Told> {
        table.iter().find(|told| told.name == name)
    }
}

impl Cx<'_> {
    /// Makes a path of these parts.
    pub fn set_path(&mut self, path: &[&str]) {
        join(self.path, path);
    }

    /// The attribute at the path that these parts make.
    pub fn attribute(&mut self, path: &[&str]) -> Result<Text<'_>> {
        join(self.path, path);
        self.sys.attribute(self.path, self.text)
    }

    /// The whole file at that path; nothing if it does not exist.
    pub fn read_present(&mut self, path: &[&str]) -> Result<Option<Text<'_>>> {
        join(self.path, path);
        self.sys.read_present(self.path, self.text)
    }

    /// The names in the directory below the sysfs whose path these parts make.
    pub fn list(&mut self, path: &[&str], listing: &mut Listing) -> Result<()> {
        join(self.path, path);
        self.sys.list(self.path, listing)
    }

    /// The attribute at that path; nothing where reading it ends with one of `untold`.
    pub fn attribute_unless(
        &mut self,
        untold: &[Errno],
        path: &[&str],
    ) -> Result<Option<Text<'_>>> {
        join(self.path, path);
        match self.sys.try_attribute(self.path, self.text) {
            Ok(text) => Ok(Some(text)),
            Err(errno) if untold.contains(&errno) => Ok(None),
            Err(errno) => Err(Error::io(self.path, errno)),
        }
    }
}

/// Attributes that are texts, kept until all of a device are read.
#[derive(Debug)]
pub struct Texts<const N: usize> {
    bytes: Vec<u8>,
    places: [Option<Range<usize>>; N],
}

impl<const N: usize> Default for Texts<N> {
    fn default() -> Self {
        Self { bytes: Vec::new(), places: std::array::from_fn(|_| None) }
    }
}

impl<const N: usize> Texts<N> {
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.places.fill(None);
    }

    pub fn set(&mut self, at: usize, text: &[u8]) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(text);
        self.places[at] = Some(start..self.bytes.len());
    }

    /// Reads these files of a directory; one is left out where reading it ends with one of `untold`.
    pub fn read(
        &mut self,
        directory: &str,
        files: &[&str; N],
        untold: &[Errno],
        cx: &mut Cx<'_>,
    ) -> Result<()> {
        self.clear();
        for (at, file) in files.iter().enumerate() {
            if let Some(text) = cx.attribute_unless(untold, &[directory, "/", file])? {
                self.set(at, text.bytes);
            }
        }
        Ok(())
    }

    pub fn get(&self, at: usize) -> Option<&[u8]> {
        self.places[at].clone().map(|place| &self.bytes[place])
    }

    /// All in their order, with nothing for those that were left out.
    pub fn all(&self) -> [&[u8]; N] {
        std::array::from_fn(|at| self.get(at).unwrap_or_default())
    }
}

/// Sets a path that is kept.
pub fn join(path: &mut String, parts: &[&str]) {
    path.clear();
    path.extend(parts.iter().copied());
}
