//! Whether what a sysfs shows are the links that netlink tells of.

use std::sync::Arc;

use rustix::io::Errno;

use super::{ColonHex, Link, Links};
use crate::collector::{Cx, Error, Result};
use crate::exposition::LabelValue;
use crate::host::{Listing, Root};

/// Whether a sysfs shows the links of this network namespace: a sysfs shows those of the namespace
/// that it was mounted in.
#[derive(Debug, Default)]
pub struct Mirror {
    /// The dump whose links were all found in sysfs.
    seen: u64,
    listing: Listing,
    by_name: Vec<usize>,
    path: String,
}

impl Mirror {
    /// The links of this scrape, if `cx.sys` is the sysfs that shows them. Where a sandbox forbids
    /// netlink, sysfs has to be read as well.
    pub fn links(&mut self, cx: &mut Cx<'_>) -> Result<Option<Arc<Links>>> {
        if !cx.sys.is_live() {
            return Ok(None);
        }
        match cx.links() {
            Ok(links) => Ok(Some(links).filter(|links| self.shows(links, cx.sys, cx.text))),
            Err(Error::Io { errno, .. }) if errno != Errno::TIMEDOUT => Ok(None),
            // Whoever holds the lock over all links holds up sysfs, too.
            Err(error) => Err(error),
        }
    }

    /// Looks anew only when links came, went or changed their names.
    fn shows(&mut self, links: &Links, sys: &Root, text: &mut Vec<u8>) -> bool {
        if self.seen != 0 && self.seen >= links.set_changed {
            return true;
        }
        let is_shown = sys.is_live()
            && self.has_same_names(links, sys)
            && links
                .iter()
                .filter(|link| self.seen < link.appeared)
                .all(|link| is_link_at(link, sys, &mut self.path, text));
        if is_shown {
            self.seen = links.number;
        }
        is_shown
    }

    fn has_same_names(&mut self, links: &Links, sys: &Root) -> bool {
        if sys.try_list("class/net", &mut self.listing).is_err() {
            return false;
        }
        let name = |at: usize| links.links[at].name.bytes();
        self.by_name.clear();
        self.by_name.extend(0..links.len());
        self.by_name.sort_unstable_by(|&a, &b| name(a).cmp(name(b)));
        // `bonding_masters` stands among the links and is a file.
        let shown = self.listing.iter().filter(|entry| !entry.is_regular());
        shown.map(|entry| entry.name.as_bytes()).eq(self.by_name.iter().map(|&at| name(at)))
    }
}

/// Whether the sysfs directory of that name is this very link's. Many namespaces have an `eth0` of
/// index 2, but hardly two of them with one address.
fn is_link_at(link: &Link, sys: &Root, path: &mut String, text: &mut Vec<u8>) -> bool {
    let Ok(name) = std::str::from_utf8(link.name.bytes()) else { return false };
    path.clear();
    path.push_str("class/net/");
    path.push_str(name);
    let Ok(directory) = sys.below(path) else { return false };
    let index = directory.attribute_once("ifindex", text).ok();
    let index = index.and_then(|text| text.parse::<u32>().ok());
    if index != Some(link.index) {
        return false;
    }
    let mut expected = Vec::new();
    ColonHex(link.address.bytes()).write(&mut expected);
    directory.attribute_once("address", text).is_ok_and(|text| text.bytes == expected)
}
