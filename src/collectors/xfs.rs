//! Counters of XFS, from `/sys/fs/xfs/*/stats/stats`.

use std::fmt::Write as _;
use std::ops::RangeInclusive;

use crate::collector::prelude::*;

pub static SPEC: Spec = Spec::new("xfs", On, "/sys/fs/xfs/*/stats/stats", &[], |setup| {
    setup.need_proc()?;
    setup.need_sys()?;
    Ok(Box::new(Xfs::default()))
});

const DIRECTORY: &str = "fs/xfs";

/// The longest of the lines that are told.
const LONGEST: usize = 8;

type Values = [u32; LONGEST];

macro_rules! told {
    ($($label:literal $counts:expr => { $($name:literal $help:literal;)* })*) => {
        /// Lines of which something is told: label, how many numbers there may be, and what the
        /// first of them are told as.
        static TOLD: [(&str, RangeInclusive<usize>, &[Desc]); [$($label),*].len()] = [
            $(($label, $counts, &[$(
                counter(concat!("node_xfs_", $name, "_total"), $help, &["device"]),
            )*]),)*
        ];
    };
}

told! {
    "extent_alloc" 4..=4 => {
        "extent_allocation_extents_allocated" "Extents allocated.";
        "extent_allocation_blocks_allocated" "Blocks allocated.";
        "extent_allocation_extents_freed" "Extents freed.";
        "extent_allocation_blocks_freed" "Blocks freed.";
    }
    "abt" 4..=4 => {
        "allocation_btree_lookups" "Lookups in the B-trees of free space.";
        "allocation_btree_compares" "Records looked at in the B-trees of free space.";
        "allocation_btree_records_inserted" "Records added to the B-trees of free space.";
        "allocation_btree_records_deleted" "Records taken from the B-trees of free space.";
    }
    "blk_map" 7..=7 => {
        "block_mapping_reads" "Block maps looked at in order to read.";
        "block_mapping_writes" "Block maps looked at in order to write.";
        "block_mapping_unmaps" "Block maps from which blocks were taken.";
        "block_mapping_extent_list_insertions" "Extents added to inodes.";
        "block_mapping_extent_list_deletions" "Extents taken from inodes.";
        "block_mapping_extent_list_lookups" "Lookups among the extents of inodes.";
        "block_mapping_extent_list_compares" "Extents of inodes looked at.";
    }
    "bmbt" 4..=4 => {
        "block_map_btree_lookups" "Lookups in the B-trees of block maps.";
        "block_map_btree_compares" "Records looked at in the B-trees of block maps.";
        "block_map_btree_records_inserted" "Records added to the B-trees of block maps.";
        "block_map_btree_records_deleted" "Records taken from the B-trees of block maps.";
    }
    "dir" 4..=4 => {
        "directory_operation_lookup" "Names that the kernel's cache did not know.";
        "directory_operation_create" "Directory entries made.";
        "directory_operation_remove" "Directory entries removed.";
        "directory_operation_getdents" "Directory listings.";
    }
    "ig" 7..=7 => {
        "inode_operation_attempts" "Inodes asked for in the cache.";
        "inode_operation_found" "Inodes found in the cache.";
        "inode_operation_recycled" "Inodes found in the cache while they were being recycled.";
        "inode_operation_missed" "Inodes not found in the cache.";
        "inode_operation_duplicates" "Inodes that came into the cache while they were being added.";
        "inode_operation_reclaims" "Inodes taken out of the cache.";
        "inode_operation_attribute_changes" "Inodes whose attributes were changed.";
    }
    "rw" 2..=2 => {
        "write_calls" "Writes to files.";
        "read_calls" "Reads of files.";
    }
    "vnodes" 7..=8 => {
        "vnode_active" "Vnodes in use.";
        "vnode_allocate" "Vnodes allocated.";
        "vnode_get" "Vnodes asked for.";
        "vnode_hold" "Vnodes held on to.";
        "vnode_release" "Vnodes let go.";
        "vnode_reclaim" "Vnodes taken back.";
        "vnode_remove" "Vnodes removed.";
    }
}

/// Lines that nobody tells, yet a wrong count of numbers fails the collector.
static CHECKED: [(&str, RangeInclusive<usize>); 25] = [
    ("abtb2", 15..=15),
    ("abtc2", 15..=15),
    ("attr", 4..=4),
    ("bmbt2", 15..=15),
    ("buf", 9..=9),
    ("debug", 1..=1),
    ("defer_relog", 1..=1),
    ("fibt2", 15..=15),
    ("gc xpc", 1..=1),
    ("ibt2", 15..=15),
    ("icluster", 3..=3),
    ("log", 5..=5),
    ("push_ail", 10..=10),
    ("qm", 8..=9),
    ("rcbagbt", 15..=15),
    ("refcntbt", 15..=15),
    ("rmapbt", 15..=15),
    ("rmapbt_mem", 15..=15),
    ("rtrefcntbt", 15..=15),
    ("rtrmapbt", 15..=15),
    ("rtrmapbt_mem", 15..=15),
    ("trans", 3..=3),
    ("xpc", 3..=3),
    ("xstrat", 2..=2),
    ("zoned", 3..=usize::MAX),
];

/// Lines whose numbers have 64 bits; all others have 32.
const WIDE: [&str; 3] = ["defer_relog", "gc xpc", "xpc"];

#[derive(Default)]
struct Xfs {
    devices: Listing,
}

impl Collector for Xfs {
    fn collect(&mut self, cx: &mut Cx<'_>, out: &mut Samples) -> Result<()> {
        if cx.sys.try_list(DIRECTORY, &mut self.devices).is_err() {
            return Ok(());
        }
        out.all_or_nothing(|out| {
            for device in self.devices.names() {
                cx.path.clear();
                // A String takes every write.
                let _ = write!(cx.path, "{DIRECTORY}/{device}/stats/stats");
                match cx.sys.try_read_once(cx.path, cx.text) {
                    Ok(text) => push(device, &parse(text)?, out),
                    // Beside the devices stand attributes of all file systems together.
                    Err(Errno::NOENT | Errno::NOTDIR) => {}
                    Err(errno) => return Err(Error::io(cx.path, errno)),
                }
            }
            Ok(())
        })
    }
}

/// `extent_alloc 4260849 125170297 4618726 131131897`; the last line of a label counts, and one
/// that is missing counts 0.
fn parse(text: Text<'_>) -> Result<[Values; TOLD.len()]> {
    let mut told = [Values::default(); TOLD.len()];
    for line in text.scan() {
        let line = line?;
        let Some((label, numbers)) = split(line) else { continue };
        let place = TOLD.iter().position(|(told, ..)| told.as_bytes() == label);
        let mut ignored = Values::default();
        let values = place.map_or(&mut ignored, |place| &mut told[place]);
        *values = Values::default();
        let mut count = 0;
        let is_wide = WIDE.iter().any(|wide| wide.as_bytes() == label);
        for number in numbers {
            let value = if is_wide { number.parse::<u64>().map(|_| 0)? } else { number.parse()? };
            if let Some(slot) = values.get_mut(count) {
                *slot = value;
            }
            count += 1;
        }
        if !may_have(label, count) {
            return Err(line.malformed());
        }
    }
    Ok(told)
}

/// The label, which may have two words, and the numbers; nothing where there are none.
fn split(line: Text<'_>) -> Option<(&[u8], Fields<'_>)> {
    let mut numbers = line.fields();
    let label = numbers.next()?;
    let mut after = numbers.clone();
    let second = after.next()?;
    if label.bytes == b"gc" && second.bytes == b"xpc" && after.clone().next().is_some() {
        return Some((b"gc xpc", after));
    }
    Some((label.bytes, numbers))
}

fn may_have(label: &[u8], count: usize) -> bool {
    let told = TOLD.iter().map(|(label, counts, _)| (label, counts));
    let checked = CHECKED.iter().map(|(label, counts)| (label, counts));
    let mut known = told.chain(checked);
    known.find(|(known, _)| known.as_bytes() == label).is_none_or(|(_, counts)| counts.contains(&count))
}

fn push(device: &str, told: &[Values; TOLD.len()], out: &mut Samples) {
    for ((_, _, descs), values) in TOLD.iter().zip(told) {
        for (desc, value) in descs.iter().zip(values) {
            out.push(desc, &[&device], *value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str, label: &str) -> Option<Values> {
        let place = TOLD.iter().position(|(told, ..)| *told == label).unwrap();
        parse(Text::new("fs/xfs/sda1/stats/stats", text.as_bytes())).ok().map(|told| told[place])
    }

    #[test]
    fn lines() {
        for (text, expected) in [
            ("", Some([0, 0])),
            ("rw 7 8\n", Some([7, 8])),
            ("rw 7 8\nrw 9 4294967295\n", Some([9, 4_294_967_295])),
            ("rw 7 4294967296\n", None),
            ("rw 7\n", None),
            ("rw 7 8 9\n", None),
            ("rw\nrw  \n\n", Some([0, 0])),
            ("rw 7 x\n", None),
            ("xpc 18446744073709551615 1 2\nrw 1 2", Some([1, 2])),
            ("xpc 18446744073709551616 1 2\n", None),
            ("xpc 1 2\n", None),
            ("gc xpc 18446744073709551615\n", Some([0, 0])),
            ("gc xpc 1 2\n", None),
            ("gc xpc\n", None),
            ("gc 1 2\n", Some([0, 0])),
            ("defer_relog 5000000000\n", Some([0, 0])),
            ("defer_relog 1 2\n", None),
            ("unknown 1 2 3\n", Some([0, 0])),
            ("unknown 5000000000\n", None),
            ("unknown x\n", None),
            ("zoned 1 2 3 4\n", Some([0, 0])),
            ("zoned 1 2\n", None),
            ("qm 1 2 3 4 5 6 7 8\nqm 1 2 3 4 5 6 7 8 9\n", Some([0, 0])),
            ("qm 1 2 3 4 5 6 7\n", None),
            ("push_ail 1 2 3 4 5 6 7 8 9 10\n", Some([0, 0])),
            (&format!("{}\n", "x".repeat(1 << 16)), None),
        ] {
            let values = told(text, "rw").map(|values| [values[0], values[1]]);
            assert_eq!(values, expected, "{text:.80}");
        }
        for (text, last) in [("vnodes 1 2 3 4 5 6 7", 0), ("vnodes 1 2 3 4 5 6 7 8", 8)] {
            assert_eq!(told(text, "vnodes"), Some([1, 2, 3, 4, 5, 6, 7, last]));
        }
    }
}
