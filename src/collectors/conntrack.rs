//! Connection tracking of netfilter, from `/proc/sys/net/netfilter` and `/proc/net/stat/nf_conntrack`.

use crate::collector::prelude::*;

pub static SPEC: Spec = Spec::new(
    "conntrack",
    On,
    "/proc/sys/net/netfilter, /proc/net/stat/nf_conntrack",
    &[],
    |_| Ok(Box::new(collect)),
);

static TABLE: [(&str, Desc); 2] = [
    (
        "sys/net/netfilter/nf_conntrack_count",
        gauge("node_nf_conntrack_entries", "Connections being tracked.", &[]),
    ),
    (
        "sys/net/netfilter/nf_conntrack_max",
        gauge("node_nf_conntrack_entries_limit", "Connections that can be tracked at most.", &[]),
    ),
];

/// What is told of `/proc/net/stat/nf_conntrack`, by column; summed over the CPUs.
static STATS: [(usize, Desc); 8] = [
    (2, gauge("node_nf_conntrack_stat_found", "Lookups that found their entry.", &[])),
    (4, gauge("node_nf_conntrack_stat_invalid", "Packets that cannot be tracked.", &[])),
    (5, gauge("node_nf_conntrack_stat_ignore", "Packets that belong to an entry already.", &[])),
    (8, gauge("node_nf_conntrack_stat_insert", "Entries added to the table.", &[])),
    (
        9,
        gauge(
            "node_nf_conntrack_stat_insert_failed",
            "Entries not added, mostly because the same one stood there.",
            &[],
        ),
    ),
    (
        10,
        gauge(
            "node_nf_conntrack_stat_drop",
            "Packets dropped for want of an entry or by a protocol helper.",
            &[],
        ),
    ),
    (
        11,
        gauge(
            "node_nf_conntrack_stat_early_drop",
            "Entries evicted to make room in a full table.",
            &[],
        ),
    ),
    (
        16,
        gauge(
            "node_nf_conntrack_stat_search_restart",
            "Lookups begun again because the table was resized.",
            &[],
        ),
    ),
];

fn collect(cx: &mut Cx<'_>, out: &mut Samples) -> Result<()> {
    for (path, desc) in &TABLE {
        let text = cx.proc.read_present(path, cx.text)?.ok_or_else(absent)?;
        out.push(desc, &[], text.trim().parse::<u64>()?);
    }
    // Not there on a kernel built without CONFIG_NF_CONNTRACK_PROCFS.
    let text = cx.proc.read_present("net/stat/nf_conntrack", cx.text)?.ok_or_else(absent)?;
    for ((_, desc), sum) in STATS.iter().zip(sums(text)?) {
        out.push(desc, &[], sum);
    }
    Ok(())
}

fn absent() -> Error {
    Error::no_data("netfilter tracks no connections here")
}

/// One row a CPU below the titles, 17 columns; 16 before Linux 2.6.35:
/// `00000045  00000000 00000000 00000000 00000003 0000588a 00000000 …`
fn sums(text: Text<'_>) -> Result<[u64; STATS.len()]> {
    let mut sums = [0_u64; STATS.len()];
    for row in text.scan().map_while(Result::ok).skip(1) {
        let mut columns = 0;
        for field in row.fields() {
            let Hex(value) = field.parse()?;
            if let Some(at) = STATS.iter().position(|(column, _)| *column == columns) {
                sums[at] = sums[at].wrapping_add(value);
            }
            columns += 1;
        }
        if !(16..=17).contains(&columns) {
            return Err(row.malformed());
        }
    }
    Ok(sums)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows() {
        let row = "1 2 3 4 5 6 7 8 9 a b c d e f 10 11";
        let old = "1 2 3 4 5 6 7 8 9 a b c d e f 10";
        let one = [3, 5, 6, 9, 10, 11, 12, 17];
        for (rows, expected) in [
            (String::new(), Some([0; 8])),
            (format!("{row}\n"), Some(one)),
            (format!("{row}\n{row}"), Some(one.map(|value| value * 2))),
            (format!("{old}\n"), Some([3, 5, 6, 9, 10, 11, 12, 0])),
            (format!("{row}\n\n"), None),
            (format!("{row} 12\n"), None),
            ("1 2 3\n".to_owned(), None),
            (row.replace('7', "0x7"), None),
            (row.replace('9', "10000000000000000"), None),
            // The original looks at no line after one that is too long.
            (format!("{row}\n{}\nx", "1".repeat(1 << 16)), Some(one)),
        ] {
            let text = format!("entries clashres found\n{rows}");
            let sums = sums(Text::new("net/stat/nf_conntrack", text.as_bytes())).ok();
            assert_eq!(sums, expected, "{rows:.80}");
        }
    }
}
