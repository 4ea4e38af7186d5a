//! Attributes of sysfs: one file, one value. Where a directory or a file is full of numbers, a table
//! says what each is told as.

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
    /// The attribute at the path that these parts make.
    pub fn attribute(&mut self, path: &[&str]) -> Result<Text<'_>> {
        join(self.path, path);
        self.sys.attribute(self.path, self.text)
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

/// Sets a path that is kept.
pub fn join(path: &mut String, parts: &[&str]) {
    path.clear();
    path.extend(parts.iter().copied());
}
