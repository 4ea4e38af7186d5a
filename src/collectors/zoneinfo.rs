//! Zones of memory, from `/proc/zoneinfo`.

use crate::collector::prelude::*;
use crate::number;

pub static SPEC: Spec = Spec::new("zoneinfo", Off, "/proc/zoneinfo", &[], |setup| {
    setup.need_proc()?;
    Ok(Box::new(ZoneInfo::default()))
});

const LABELS: &[&str] = &["node", "zone"];

/// What the first words of lines are told as.
#[rustfmt::skip]
static NUMBERS: [Told; 34] = [
    told("nr_free_pages", gauge("node_zoneinfo_nr_free_pages", "Free pages of the zone.", LABELS)),
    told("min", gauge("node_zoneinfo_min_pages", "Free pages below which only the most urgent requests are served.", LABELS)),
    told("low", gauge("node_zoneinfo_low_pages", "Free pages below which pages are reclaimed in the background.", LABELS)),
    told("high", gauge("node_zoneinfo_high_pages", "Free pages at which reclaiming in the background ends.", LABELS)),
    told("scanned", gauge("node_zoneinfo_scanned_pages", "Pages scanned since pages were last reclaimed.", LABELS)),
    told("spanned", gauge("node_zoneinfo_spanned_pages", "Pages that the zone spans, holes included.", LABELS)),
    told("present", gauge("node_zoneinfo_present_pages", "Pages of the zone that are there.", LABELS)),
    told("managed", gauge("node_zoneinfo_managed_pages", "Pages of the zone that the allocator gives out.", LABELS)),
    told("nr_active_anon", gauge("node_zoneinfo_nr_active_anon_pages", "Anonymous pages used not long ago.", LABELS)),
    told("nr_inactive_anon", gauge("node_zoneinfo_nr_inactive_anon_pages", "Anonymous pages not used for a while.", LABELS)),
    told("nr_isolated_anon", gauge("node_zoneinfo_nr_isolated_anon_pages", "Anonymous pages taken off their list for the moment.", LABELS)),
    told("nr_anon_pages", gauge("node_zoneinfo_nr_anon_pages", "Anonymous pages that are mapped.", LABELS)),
    told("nr_anon_transparent_hugepages", gauge("node_zoneinfo_nr_anon_transparent_hugepages", "Transparent huge pages of anonymous memory.", LABELS)),
    told("nr_active_file", gauge("node_zoneinfo_nr_active_file_pages", "Pages of files used not long ago.", LABELS)),
    told("nr_inactive_file", gauge("node_zoneinfo_nr_inactive_file_pages", "Pages of files not used for a while.", LABELS)),
    told("nr_isolated_file", gauge("node_zoneinfo_nr_isolated_file_pages", "Pages of files taken off their list for the moment.", LABELS)),
    told("nr_file_pages", gauge("node_zoneinfo_nr_file_pages", "Pages of files in the cache.", LABELS)),
    told("nr_slab_reclaimable", gauge("node_zoneinfo_nr_slab_reclaimable_pages", "Pages of the kernel's object caches that can be reclaimed.", LABELS)),
    told("nr_slab_unreclaimable", gauge("node_zoneinfo_nr_slab_unreclaimable_pages", "Pages of the kernel's object caches that cannot be reclaimed.", LABELS)),
    told("nr_mlock_stack", gauge("node_zoneinfo_nr_mlock_stack_pages", "Locked pages found on their list and taken off.", LABELS)),
    told("nr_kernel_stack", gauge("node_zoneinfo_nr_kernel_stacks", "Kernel stacks, in units of 1 KiB.", LABELS)),
    told("nr_mapped", gauge("node_zoneinfo_nr_mapped_pages", "Pages of files that are mapped.", LABELS)),
    told("nr_dirty", gauge("node_zoneinfo_nr_dirty_pages", "Pages that wait to be written back.", LABELS)),
    told("nr_writeback", gauge("node_zoneinfo_nr_writeback_pages", "Pages that are being written back.", LABELS)),
    told("nr_unevictable", gauge("node_zoneinfo_nr_unevictable_pages", "Pages that cannot be reclaimed.", LABELS)),
    told("nr_shmem", gauge("node_zoneinfo_nr_shmem_pages", "Pages of shared memory and tmpfs.", LABELS)),
    told("nr_dirtied", counter("node_zoneinfo_nr_dirtied_total", "Pages that became dirty.", LABELS)),
    told("nr_written", counter("node_zoneinfo_nr_written_total", "Pages that were written back.", LABELS)),
    told("numa_hit", counter("node_zoneinfo_numa_hit_total", "Pages given out on the node that was meant.", LABELS)),
    told("numa_miss", counter("node_zoneinfo_numa_miss_total", "Pages given out here that were meant for another node.", LABELS)),
    told("numa_foreign", counter("node_zoneinfo_numa_foreign_total", "Pages meant for here that another node gave out.", LABELS)),
    told("numa_interleave", counter("node_zoneinfo_numa_interleave_total", "Pages given out here because they were to be spread.", LABELS)),
    told("numa_local", counter("node_zoneinfo_numa_local_total", "Pages given out to tasks on this node.", LABELS)),
    told("numa_other", counter("node_zoneinfo_numa_other_total", "Pages given out to tasks on other nodes.", LABELS)),
];

const PROTECTION_HELP: &str = "Pages kept back from requests that could use a higher zone.";

#[derive(Default)]
struct ZoneInfo {
    protection: Vec<i64>,
    /// The text of it.
    list: String,
}

impl Collector for ZoneInfo {
    fn collect(&mut self, cx: &mut Cx<'_>, out: &mut Samples) -> Result<()> {
        let text = cx.proc.read("zoneinfo", cx.text)?;
        let mut rest = text.bytes;
        while let Some(end) = memchr::memmem::find(rest, b"\nNode") {
            self.push_zone(Text { bytes: &rest[..end], ..text }, out);
            rest = &rest[end + 1..];
        }
        self.push_zone(Text { bytes: rest, ..text }, out);
        Ok(())
    }
}

impl ZoneInfo {
    /// A zone: its heading, and lines such as `      low      4140`. The last line of a name counts.
    fn push_zone(&mut self, block: Text<'_>, out: &mut Samples) {
        let mut values = [None; NUMBERS.len()];
        let (mut node, mut zone) = (&b""[..], &b""[..]);
        self.protection.clear();
        for line in block.lines() {
            if let Some(heading) = parse_heading(line.bytes) {
                (node, zone) = heading;
                continue;
            }
            let mut fields = line.fields();
            let (Some(name), Some(value)) = (fields.next(), fields.next()) else { continue };
            if name.bytes == b"protection:" {
                self.parse_protection(line);
            } else if let Some(at) =
                NUMBERS.iter().position(|number| number.name.as_bytes() == name.bytes)
            {
                let value = value.parse().map_or(0, |AnyBase::<i64>(value)| value);
                values[at] = Some(value);
            }
        }
        for (number, value) in NUMBERS.iter().zip(values) {
            if let Some(value) = value {
                number.push(&[&node, &zone], value as f64, out);
            }
        }
        for (at, pages) in self.protection.iter().enumerate() {
            let name = format_args!("node_zoneinfo_protection_{at}");
            let family = out.family(&name, Kind::Gauge, PROTECTION_HELP);
            out.push_named(family, &[("node", &node), ("zone", &zone)], *pages);
        }
    }

    /// `        protection: (0, 2877, 7826)`; nothing new where a number is bad.
    fn parse_protection(&mut self, line: Text<'_>) {
        let Ok(line) = line.as_str() else { return };
        self.list.clear();
        self.list.push_str(line.split(':').nth(1).unwrap_or_default());
        for parenthesis in ['(', ')'] {
            if let Some(at) = self.list.find(parenthesis) {
                self.list.remove(at);
            }
        }
        let numbers = self.list.trim().split(", ").map(|text| number::int(text.as_bytes()));
        if numbers.clone().all(|number| number.is_some()) {
            self.protection.clear();
            self.protection.extend(numbers.flatten());
        }
    }
}

/// `Node 0, zone    DMA32` as 0 and `DMA32`.
fn parse_heading(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let is_word = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    let at = memchr::memmem::find(line, b", zone")?;
    let digits = line[..at].iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
    let after = &line[at + b", zone".len()..];
    let zone = after.trim_ascii_start();
    let length = zone.iter().take_while(|byte| is_word(byte)).count();
    let is_parted = zone.len() < after.len();
    (digits > 0 && is_parted && length > 0).then_some((&line[at - digits..at], &zone[..length]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headings() {
        for (line, expected) in [
            ("Node 0, zone      DMA", Some(("0", "DMA"))),
            (" 12, zone\tDMA32, and more", Some(("12", "DMA32"))),
            ("Node 0, zoneDMA", None),
            ("Node , zone DMA", None),
            ("Node 0, zone", None),
            ("  per-node stats", None),
        ] {
            let heading = parse_heading(line.as_bytes());
            let text = |bytes| std::str::from_utf8(bytes).unwrap();
            assert_eq!(heading.map(|(node, zone)| (text(node), text(zone))), expected, "{line}");
        }
    }

    #[test]
    fn protections() {
        for (line, expected) in [
            ("protection: (0, 2877, 7826)", vec![0, 2877, 7826]),
            ("protection: (5)", vec![5]),
            ("protection: ()", vec![1]),
            ("protection: (0, x)", vec![1]),
            ("protection: (0,1)", vec![1]),
            ("protection: 1, (-2", vec![1, -2]),
        ] {
            let mut zones = ZoneInfo { protection: vec![1], ..ZoneInfo::default() };
            zones.parse_protection(Text::new("zoneinfo", line.as_bytes()));
            assert_eq!(zones.protection, expected, "{line}");
        }
    }
}
