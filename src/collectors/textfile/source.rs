//! The files below one value of `--collector.textfile.directory`.

use std::sync::Arc;

use super::Fault;
use super::file::{File, Moment};
use crate::collector::errno_text;
use crate::collector::roll::Roll;
use crate::host::glob::{Glob, join};
use crate::host::{Listing, Root};
use crate::isolated::Errand;

const SUFFIX: &str = ".prom";

#[derive(Debug)]
pub(super) struct Source {
    /// As on the command line: a path or a pattern.
    pub(super) directory: Arc<str>,
    found: Vec<String>,
    listing: Listing,
    buffer: Vec<u8>,
    /// In the order of directories and names.
    pub(super) files: Roll<File>,
    /// Directories that cannot be listed, and names that cannot be told.
    pub(super) faults: Vec<Fault>,
}

impl Source {
    pub(super) fn new(directory: &Arc<str>) -> Self {
        Self {
            directory: Arc::clone(directory),
            found: Vec::new(),
            listing: Listing::default(),
            buffer: Vec::new(),
            files: Roll::default(),
            faults: Vec::new(),
        }
    }
}

impl Errand for Source {
    fn key(&self) -> &Arc<str> {
        &self.directory
    }

    /// Brings every file up to date; one that is gone is forgotten.
    fn run(&mut self) {
        let Self { directory, found, listing, buffer, files, faults } = self;
        faults.clear();
        found.clear();
        if let Some(glob) = Glob::new(directory) {
            glob.expand(listing, found);
        }
        // What matches nothing is meant literally.
        if found.is_empty() {
            found.push(directory.to_string());
        }
        let moment = Moment::now();
        files.begin();
        for directory in &*found {
            let root = match list(directory, listing) {
                Ok(root) => root,
                Err(fault) => {
                    faults.push(fault);
                    continue;
                }
            };
            let strange = listing.strange_names().filter(|name| name.ends_with(SUFFIX.as_bytes()));
            faults.extend(strange.map(|name| {
                let file = join(directory, &String::from_utf8_lossy(name));
                Fault { file, line: None, what: "its name is not UTF-8".to_owned() }
            }));
            for name in listing.names().filter(|name| name.ends_with(SUFFIX)) {
                let new = || File::new(directory, name, join(directory, name));
                files.call(|file| file.is_at(directory, name), new).look(&root, moment, buffer);
            }
        }
        files.end();
    }
}

fn list(directory: &str, listing: &mut Listing) -> Result<Root, Fault> {
    let listed = Root::try_new(directory)
        .and_then(|root| root.try_list("", listing).map(|()| root));
    listed.map_err(|errno| Fault {
        file: directory.to_owned(),
        line: None,
        what: errno_text(errno),
    })
}
