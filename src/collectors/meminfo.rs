//! What memory is used for, from `/proc/meminfo`.

use crate::collector::prelude::*;

pub static SPEC: Spec = Spec::new("meminfo", On, "/proc/meminfo", &[], |setup| {
    setup.need_proc()?;
    Ok(Box::new(collect))
});

/// A line and what it is told as.
struct Field {
    /// With its colon.
    key: &'static str,
    desc: Desc,
}

macro_rules! bytes {
    ($key:literal, $name:literal, $help:literal) => {
        Field {
            key: concat!($key, ":"),
            desc: gauge(concat!("node_memory_", $name, "_bytes"), $help, &[]),
        }
    };
}

macro_rules! pages {
    ($name:literal, $help:literal) => {
        Field { key: concat!($name, ":"), desc: gauge(concat!("node_memory_", $name), $help, &[]) }
    };
}

/// In the kernel's order, so that the next line is mostly the next field.
static FIELDS: [Field; 51] = [
    bytes!("MemTotal", "MemTotal", "Memory that the kernel manages, in bytes."),
    bytes!("MemFree", "MemFree", "Memory that nothing uses, in bytes."),
    bytes!("MemAvailable", "MemAvailable", "Memory that programs could still get without swapping, as the kernel guesses, in bytes."),
    bytes!("Buffers", "Buffers", "Page cache of block devices, in bytes."),
    bytes!("Cached", "Cached", "Page cache of files, without swap cache, in bytes."),
    bytes!("SwapCached", "SwapCached", "Memory that is in swap as well, in bytes."),
    bytes!("Active", "Active", "Memory used of late, not readily reclaimed, in bytes."),
    bytes!("Inactive", "Inactive", "Memory not used for a while, reclaimed first, in bytes."),
    bytes!("Active(anon)", "Active_anon", "Anonymous memory used of late, in bytes."),
    bytes!("Inactive(anon)", "Inactive_anon", "Anonymous memory not used for a while, in bytes."),
    bytes!("Active(file)", "Active_file", "Page cache used of late, in bytes."),
    bytes!("Inactive(file)", "Inactive_file", "Page cache not used for a while, in bytes."),
    bytes!("Unevictable", "Unevictable", "Memory that cannot be reclaimed, in bytes."),
    bytes!("Mlocked", "Mlocked", "Memory locked by programs, in bytes."),
    bytes!("SwapTotal", "SwapTotal", "Swap space, in bytes."),
    bytes!("SwapFree", "SwapFree", "Swap space that nothing uses, in bytes."),
    bytes!("Zswap", "Zswap", "Memory that holds compressed swap, in bytes."),
    bytes!("Zswapped", "Zswapped", "Memory whose content zswap holds compressed, in bytes."),
    bytes!("Dirty", "Dirty", "Memory that waits to be written to disk, in bytes."),
    bytes!("Writeback", "Writeback", "Memory that is being written to disk, in bytes."),
    bytes!("AnonPages", "AnonPages", "Anonymous memory mapped by programs, in bytes."),
    bytes!("Mapped", "Mapped", "Files mapped by programs, in bytes."),
    bytes!("Shmem", "Shmem", "Shared memory and tmpfs, in bytes."),
    bytes!("Slab", "Slab", "The kernel's slab caches, in bytes."),
    bytes!("SReclaimable", "SReclaimable", "Slab caches that can be reclaimed, in bytes."),
    bytes!("SUnreclaim", "SUnreclaim", "Slab caches that cannot be reclaimed, in bytes."),
    bytes!("KernelStack", "KernelStack", "Stacks of tasks in the kernel, in bytes."),
    bytes!("PageTables", "PageTables", "Page tables, in bytes."),
    bytes!("NFS_Unstable", "NFS_Unstable", "Memory sent to NFS servers that have not stored it yet, in bytes."),
    bytes!("Bounce", "Bounce", "Bounce buffers of block devices, in bytes."),
    bytes!("WritebackTmp", "WritebackTmp", "Buffers in which FUSE writes back, in bytes."),
    bytes!("CommitLimit", "CommitLimit", "Memory that programs may be promised, in bytes."),
    bytes!("Committed_AS", "Committed_AS", "Memory that programs have been promised, in bytes."),
    bytes!("VmallocTotal", "VmallocTotal", "Address space for vmalloc, in bytes."),
    bytes!("VmallocUsed", "VmallocUsed", "Address space that vmalloc uses, in bytes."),
    bytes!("VmallocChunk", "VmallocChunk", "Largest free block of address space for vmalloc, in bytes."),
    bytes!("Percpu", "Percpu", "Memory that each CPU has of its own, in bytes."),
    bytes!("HardwareCorrupted", "HardwareCorrupted", "Memory that the hardware reported as bad, in bytes."),
    bytes!("AnonHugePages", "AnonHugePages", "Anonymous memory in huge pages, in bytes."),
    bytes!("ShmemHugePages", "ShmemHugePages", "Shared memory and tmpfs in huge pages, in bytes."),
    bytes!("ShmemPmdMapped", "ShmemPmdMapped", "Shared memory and tmpfs mapped as huge pages, in bytes."),
    bytes!("CmaTotal", "CmaTotal", "Memory set aside for contiguous blocks, in bytes."),
    bytes!("CmaFree", "CmaFree", "Memory set aside for contiguous blocks that nothing uses, in bytes."),
    pages!("HugePages_Total", "Huge pages in the pool."),
    pages!("HugePages_Free", "Huge pages in the pool that nothing uses."),
    pages!("HugePages_Rsvd", "Huge pages in the pool that are promised and not yet taken."),
    pages!("HugePages_Surp", "Huge pages beyond the size of the pool."),
    bytes!("Hugepagesize", "Hugepagesize", "Size of a huge page, in bytes."),
    bytes!("DirectMap4k", "DirectMap4k", "Memory that the kernel maps in pages of 4 KiB, in bytes."),
    bytes!("DirectMap2M", "DirectMap2M", "Memory that the kernel maps in pages of 2 MiB, in bytes."),
    bytes!("DirectMap1G", "DirectMap1G", "Memory that the kernel maps in pages of 1 GiB, in bytes."),
];

fn collect(cx: &mut Cx<'_>, out: &mut Samples) -> Result<()> {
    let values = parse(cx.proc.read("meminfo", cx.text)?)?;
    for (field, value) in FIELDS.iter().zip(values) {
        if let Some(value) = value {
            out.push(&field.desc, &[], value);
        }
    }
    Ok(())
}

/// `MemTotal:        3742148 kB`, `HugePages_Total:       0`
fn parse(text: Text<'_>) -> Result<[Option<u64>; FIELDS.len()]> {
    let mut values = [None; FIELDS.len()];
    let mut next = 0;
    for line in text.scan().map_while(Result::ok) {
        let mut words = line.fields();
        let key = words.word()?;
        let AnyBase(value) = words.parse::<AnyBase<u64>>()?;
        let value = match (words.next().map(|unit| unit.bytes), words.next()) {
            (None, _) => value,
            (Some(b"kB"), None) => value.wrapping_mul(1024),
            _ => return Err(line.malformed()),
        };
        let from_next = (next..FIELDS.len()).chain(0..next);
        if let Some(at) = from_next.into_iter().find(|&at| FIELDS[at].key.as_bytes() == key) {
            values[at] = Some(value);
            next = at + 1;
        }
    }
    Ok(values)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse_text(text: &str) -> Result<Vec<(&'static str, u64)>> {
        let values = parse(Text::new("meminfo", text.as_bytes()))?;
        let told = FIELDS.iter().zip(values);
        Ok(told.filter_map(|(field, value)| Some((field.desc.name, value?))).collect())
    }

    #[test]
    fn units_order_and_repetition() {
        let text = "HugePages_Free:  3\nActive(anon): 2 kB\nMemFree: 010 kB\nMemFree: 0x10\n\
                    KReclaimable: 5 kB\nMemTotal: 18446744073709551615 kB\n";
        assert_eq!(
            parse_text(text).unwrap(),
            [
                ("node_memory_MemTotal_bytes", 18_446_744_073_709_550_592),
                ("node_memory_MemFree_bytes", 16),
                ("node_memory_Active_anon_bytes", 2048),
                ("node_memory_HugePages_Free", 3),
            ]
        );
    }

    #[test]
    fn one_bad_line_spoils_the_file() {
        for line in ["", "MemFree:", "MemFree: x kB", "MemFree: 1 MB", "Other: 1 kB 2", "Other: -1 kB"] {
            let text = format!("MemTotal: 1 kB\n{line}\nMemFree: 1 kB\n");
            assert!(parse_text(&text).is_err(), "{line:?}");
        }
    }
}
