//! Merging of equal pages, from `/sys/kernel/mm/ksm`.

use crate::collector::prelude::*;

pub static SPEC: Spec = Spec::new("ksmd", Off, "/sys/kernel/mm/ksm", &[], |_| Ok(Box::new(collect)));

/// In the order in which they are read: a bad one ends the collector.
static NUMBERS: [Told; 10] = [
    told(
        "full_scans",
        counter("node_ksmd_full_scans_total", "Times that all mergeable memory was scanned.", &[]),
    ),
    told(
        "general_profit",
        gauge("node_ksmd_general_profit_bytes", "Memory saved less what it costs, in bytes.", &[]),
    ),
    told(
        "merge_across_nodes",
        gauge("node_ksmd_merge_across_nodes", "Whether pages of different NUMA nodes are merged.", &[]),
    ),
    told("pages_shared", gauge("node_ksmd_pages_shared", "Pages that others share.", &[])),
    told(
        "pages_sharing",
        gauge("node_ksmd_pages_sharing", "Pages saved by sharing those of others.", &[]),
    ),
    told(
        "pages_to_scan",
        gauge("node_ksmd_pages_to_scan", "Pages scanned between two rests.", &[]),
    ),
    told(
        "pages_unshared",
        gauge("node_ksmd_pages_unshared", "Pages found unique, yet looked at again and again.", &[]),
    ),
    told(
        "pages_volatile",
        gauge("node_ksmd_pages_volatile", "Pages that change too fast to be merged.", &[]),
    ),
    told(
        "run",
        gauge(
            "node_ksmd_run",
            "Whether pages are merged: 0 no, 1 yes, 2 merged ones are being parted.",
            &[],
        ),
    ),
    told(
        "sleep_millisecs",
        gauge("node_ksmd_sleep_seconds", "How long a rest between scans lasts, in seconds.", &[]),
    )
    .per(1000.0),
];

fn collect(cx: &mut Cx<'_>, out: &mut Samples) -> Result<()> {
    for number in &NUMBERS {
        let path = ["kernel/mm/ksm/", number.name];
        if let Some(text) = cx.attribute_unless(&[Errno::NOENT], &path)? {
            number.push(&[], text.parse::<u64>()? as f64, out);
        }
    }
    Ok(())
}
