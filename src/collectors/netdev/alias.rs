//! Aliases that administrators gave to devices: `ip link set eth0 alias uplink`.

use std::fmt::Write as _;

use crate::collector::prelude::*;
use crate::collectors::netclass::is_without_value;
use crate::host::netlink::links::Mirror;

/// All devices of sysfs and their aliases, most of which are empty.
#[derive(Default)]
pub(super) struct Aliases {
    mirror: Mirror,
    listing: Listing,
    /// Names and aliases, sorted; those beyond `count` are an earlier scrape's.
    known: Vec<(Vec<u8>, Vec<u8>)>,
    count: usize,
}

impl Aliases {
    pub(super) fn of(&self, device: &[u8]) -> Option<&[u8]> {
        let known = &self.known[..self.count];
        let at = known.binary_search_by(|(name, _)| name.as_slice().cmp(device)).ok()?;
        Some(&known[at].1)
    }

    pub(super) fn read(&mut self, cx: &mut Cx<'_>) -> Result<()> {
        self.count = 0;
        if let Some(links) = self.mirror.links(cx)? {
            for link in links.iter() {
                self.add(link.name.bytes(), links.alias_in_sysfs(link));
            }
            self.known[..self.count].sort_unstable();
            return Ok(());
        }
        let mut listing = std::mem::take(&mut self.listing);
        let outcome = self.read_files(&mut listing, cx);
        self.listing = listing;
        outcome
    }

    fn read_files(&mut self, listing: &mut Listing, cx: &mut Cx<'_>) -> Result<()> {
        cx.sys.list("class/net", listing)?;
        for entry in listing.iter().filter(|entry| !entry.is_regular()) {
            cx.path.clear();
            // A String takes every write.
            let _ = write!(cx.path, "class/net/{}/ifalias", entry.name);
            let alias = match cx.sys.attribute_once(cx.path, cx.text) {
                Ok(alias) => alias.bytes,
                Err(errno) if is_without_value(errno) => &[],
                Err(errno) => return Err(Error::io(cx.path, errno)),
            };
            self.add(entry.name.as_bytes(), alias);
        }
        Ok(())
    }

    fn add(&mut self, name: &[u8], alias: &[u8]) {
        if self.known.len() == self.count {
            self.known.push(Default::default());
        }
        let (known_name, known_alias) = &mut self.known[self.count];
        known_name.clear();
        known_name.extend_from_slice(name);
        known_alias.clear();
        known_alias.extend_from_slice(alias);
        self.count += 1;
    }
}
