//! Caches of block devices, from `/sys/fs/bcache`.

mod number;

use crate::collector::prelude::*;
use number::{signed, unsigned};

static PRIORITY_STATS: Flag<bool> = flags::switch(
    "collector.bcache.priorityStats",
    false,
    "Tell how the caches' buckets are used, which costs the kernel a sort of all buckets.",
);

pub static SPEC: Spec = Spec::new("bcache", On, "/sys/fs/bcache", &[&PRIORITY_STATS], |setup| {
    setup.need_sys()?;
    Ok(Box::new(Bcache {
        with_priority: setup.flags.get(&PRIORITY_STATS),
        sets: Listing::default(),
        members: Listing::default(),
    }))
});

const DIRECTORY: &str = "fs/bcache/";

/// Files, the unit that they count in as it is told, and their families.
type Told = (&'static str, f64, Desc);

static SET: [Told; 10] = [
    (
        "average_key_size",
        1.0,
        gauge(
            "node_bcache_average_key_size_sectors",
            "Sectors that a key of the B-tree stands for, on average.",
            &["uuid"],
        ),
    ),
    (
        "btree_cache_size",
        1.0,
        gauge("node_bcache_btree_cache_size_bytes", "Memory that the B-tree takes.", &["uuid"]),
    ),
    (
        "cache_available_percent",
        1.0,
        gauge(
            "node_bcache_cache_available_percent",
            "Share of the cache without dirty data, in percent.",
            &["uuid"],
        ),
    ),
    ("congested", 1.0, gauge("node_bcache_congested", "How congested the cache is.", &["uuid"])),
    (
        "root_usage_percent",
        1.0,
        gauge(
            "node_bcache_root_usage_percent",
            "Share of the B-tree's root that is in use, in percent.",
            &["uuid"],
        ),
    ),
    ("tree_depth", 1.0, gauge("node_bcache_tree_depth", "Levels of the B-tree.", &["uuid"])),
    (
        "internal/active_journal_entries",
        1.0,
        gauge(
            "node_bcache_active_journal_entries",
            "Journal entries that are newer than the index.",
            &["uuid"],
        ),
    ),
    (
        "internal/btree_nodes",
        1.0,
        gauge("node_bcache_btree_nodes", "Nodes of the B-tree.", &["uuid"]),
    ),
    (
        "internal/btree_read_average_duration_us",
        1e-9,
        gauge(
            "node_bcache_btree_read_average_duration_seconds",
            "Time that reading a node takes, on average; a thousandth of it, as in node_exporter.",
            &["uuid"],
        ),
    ),
    (
        "internal/cache_read_races",
        1.0,
        counter(
            "node_bcache_cache_read_races_total",
            "Reads whose bucket was used again before they were done.",
            &["uuid"],
        ),
    ),
];

static DIRTY_DATA: Desc = gauge(
    "node_bcache_dirty_data_bytes",
    "Data in the cache that the backing device does not have yet.",
    &["backing_device", "uuid"],
);

/// Traffic of a backing device, since the cache was made.
static TRAFFIC: [(&str, Desc); 6] = [
    (
        "bypassed",
        counter(
            "node_bcache_bypassed_bytes_total",
            "Bytes read and written past the cache.",
            &["backing_device", "uuid"],
        ),
    ),
    (
        "cache_hits",
        counter(
            "node_bcache_cache_hits_total",
            "Requests that the cache could serve.",
            &["backing_device", "uuid"],
        ),
    ),
    (
        "cache_misses",
        counter(
            "node_bcache_cache_misses_total",
            "Requests that the cache could not serve.",
            &["backing_device", "uuid"],
        ),
    ),
    (
        "cache_bypass_hits",
        counter(
            "node_bcache_cache_bypass_hits_total",
            "Requests past the cache that it could have served.",
            &["backing_device", "uuid"],
        ),
    ),
    (
        "cache_bypass_misses",
        counter(
            "node_bcache_cache_bypass_misses_total",
            "Requests past the cache that it could not have served.",
            &["backing_device", "uuid"],
        ),
    ),
    (
        "cache_miss_collisions",
        counter(
            "node_bcache_cache_miss_collisions_total",
            "Data not cached after a miss, since a write came first.",
            &["backing_device", "uuid"],
        ),
    ),
];

/// Newer kernels do not count these any more.
const READAHEADS_FILE: &str = "cache_readaheads";
static READAHEADS: Desc = counter(
    "node_bcache_cache_readaheads_total",
    "Times that data was read ahead; left out while there were none.",
    &["backing_device", "uuid"],
);

static CACHE: [Told; 3] = [
    (
        "io_errors",
        1.0,
        gauge(
            "node_bcache_io_errors",
            "Faults of the cache device, of which half are forgotten in a while.",
            &["cache_device", "uuid"],
        ),
    ),
    (
        "metadata_written",
        1.0,
        counter(
            "node_bcache_metadata_written_bytes_total",
            "Bytes written to the cache that are no data.",
            &["cache_device", "uuid"],
        ),
    ),
    (
        "written",
        1.0,
        counter(
            "node_bcache_written_bytes_total",
            "Bytes of data written to the cache.",
            &["cache_device", "uuid"],
        ),
    ),
];

/// Lines of priority_stats, such as `Unused:         99%`.
static PRIORITIES: [(&[u8], Desc); 2] = [
    (
        b"Unused:",
        gauge(
            "node_bcache_priority_stats_unused_percent",
            "Share of the cache that holds nothing, in percent.",
            &["cache_device", "uuid"],
        ),
    ),
    (
        b"Metadata:",
        gauge(
            "node_bcache_priority_stats_metadata_percent",
            "Share of the cache that bcache needs for itself, in percent.",
            &["cache_device", "uuid"],
        ),
    ),
];

/// A line of writeback_rate_debug: `proportional:    -1.3M`
struct Writeback {
    start: &'static [u8],
    end: &'static [u8],
    parse: fn(Text<'_>) -> Result<f64>,
    desc: Desc,
}

static WRITEBACK: [Writeback; 5] = [
    Writeback {
        start: b"target:",
        end: b"",
        parse: unsigned,
        desc: gauge(
            "node_bcache_dirty_target_bytes",
            "Dirty data that the cache is to hold.",
            &["backing_device", "uuid"],
        ),
    },
    Writeback {
        start: b"rate:",
        end: b"/sec",
        parse: unsigned,
        desc: gauge(
            "node_bcache_writeback_rate",
            "Bytes a second that are written back.",
            &["backing_device", "uuid"],
        ),
    },
    Writeback {
        start: b"proportional:",
        end: b"",
        parse: signed,
        desc: gauge(
            "node_bcache_writeback_rate_proportional_term",
            "The proportional controller's part of the rate.",
            &["backing_device", "uuid"],
        ),
    },
    Writeback {
        start: b"integral:",
        end: b"",
        parse: signed,
        desc: gauge(
            "node_bcache_writeback_rate_integral_term",
            "The integral controller's part of the rate.",
            &["backing_device", "uuid"],
        ),
    },
    Writeback {
        start: b"change:",
        end: b"/sec",
        parse: signed,
        desc: gauge(
            "node_bcache_writeback_change",
            "The last change of the rate.",
            &["backing_device", "uuid"],
        ),
    },
];

struct Bcache {
    with_priority: bool,
    sets: Listing,
    members: Listing,
}

impl Collector for Bcache {
    fn collect(&mut self, cx: &mut Cx<'_>, out: &mut Samples) -> Result<()> {
        let Self { with_priority, sets, members } = self;
        // What cannot be listed has no caches.
        let _ = cx.sys.try_list(DIRECTORY, sets);
        out.all_or_nothing(|out| {
            for uuid in sets.names().filter(|name| name.contains('-')) {
                push_told(&SET, &[&uuid], [uuid, "", ""], cx, out)?;
                check_traffic([uuid, "", "stats_five_minute/"], cx)?;
                check_traffic([uuid, "", "stats_total/"], cx)?;
                let _ = cx.list(&[DIRECTORY, uuid], members);
                for device in numbered(members, "bdev") {
                    push_backing_device(device, uuid, cx, out)?;
                }
                for device in numbered(members, "cache") {
                    push_told(&CACHE, &[&device, &uuid], [uuid, device, "/"], cx, out)?;
                    if *with_priority {
                        push_priorities(device, uuid, cx, out)?;
                    }
                }
            }
            Ok(())
        })
    }
}

/// The names that begin so, and go on with a digit.
fn numbered<'a>(members: &'a Listing, prefix: &'static str) -> impl Iterator<Item = &'a str> {
    members.names().filter(move |name| {
        let number = name.strip_prefix(prefix);
        number.is_some_and(|number| number.starts_with(|c: char| c.is_ascii_digit()))
    })
}

/// A cache's UUID, a member of it, and what lies between the two and a file.
type Place<'a> = [&'a str; 3];

/// A number; one without a file is 0.
fn value(place: Place<'_>, file: &str, cx: &mut Cx<'_>) -> Result<f64> {
    let [uuid, member, below] = place;
    let Some(text) = cx.read_present(&[DIRECTORY, uuid, "/", member, below, file])? else {
        return Ok(0.0);
    };
    match text.bytes {
        // Whatever the last byte is, it stands for the newline.
        [bytes @ .., _] => unsigned(Text { bytes, ..text }),
        [] => Err(Error::truncated(text.path)),
    }
}

fn push_told(
    table: &'static [Told],
    labels: &[&dyn LabelValue],
    place: Place<'_>,
    cx: &mut Cx<'_>,
    out: &mut Samples,
) -> Result<()> {
    for (file, unit, desc) in table {
        out.push(desc, labels, value(place, file, cx)? * unit);
    }
    Ok(())
}

/// Checks numbers that nobody tells: a bad one fails the collector.
fn check_traffic(place: Place<'_>, cx: &mut Cx<'_>) -> Result<()> {
    for file in TRAFFIC.iter().map(|(file, _)| *file).chain([READAHEADS_FILE]) {
        value(place, file, cx)?;
    }
    Ok(())
}

fn push_backing_device(
    device: &str,
    uuid: &str,
    cx: &mut Cx<'_>,
    out: &mut Samples,
) -> Result<()> {
    let labels: [&dyn LabelValue; 2] = [&device, &uuid];
    out.push(&DIRTY_DATA, &labels, value([uuid, device, "/"], "dirty_data", cx)?);
    push_writeback(device, uuid, cx, out)?;
    check_traffic([uuid, device, "/stats_five_minute/"], cx)?;
    let place = [uuid, device, "/stats_total/"];
    for (file, desc) in &TRAFFIC {
        out.push(desc, &labels, value(place, file, cx)?);
    }
    let readaheads = value(place, READAHEADS_FILE, cx)?;
    if readaheads != 0.0 {
        out.push(&READAHEADS, &labels, readaheads);
    }
    Ok(())
}

fn push_writeback(device: &str, uuid: &str, cx: &mut Cx<'_>, out: &mut Samples) -> Result<()> {
    cx.set_path(&[DIRECTORY, uuid, "/", device, "/writeback_rate_debug"]);
    let mut values = [0.0; WRITEBACK.len()];
    for line in cx.sys.read(cx.path, cx.text)?.scan() {
        let line = line?;
        let Some(last) = line.fields().last() else { continue };
        let without = |end: &[u8]| Text { bytes: last.bytes.strip_suffix(end).unwrap_or(last.bytes), ..last };
        if line.bytes.starts_with(b"dirty:") {
            unsigned(last)?;
        } else if line.bytes.starts_with(b"next io:") {
            without(b"ms").parse::<i64>()?;
        } else if let Some(at) = WRITEBACK.iter().position(|told| line.bytes.starts_with(told.start)) {
            let told = &WRITEBACK[at];
            values[at] = (told.parse)(without(told.end))?;
        }
    }
    for (told, value) in WRITEBACK.iter().zip(values) {
        out.push(&told.desc, &[&device, &uuid], value);
    }
    Ok(())
}

fn push_priorities(device: &str, uuid: &str, cx: &mut Cx<'_>, out: &mut Samples) -> Result<()> {
    cx.set_path(&[DIRECTORY, uuid, "/", device, "/priority_stats"]);
    let mut values = [0; PRIORITIES.len()];
    for line in cx.sys.read(cx.path, cx.text)?.scan() {
        let line = line?;
        let known = PRIORITIES.iter().position(|(start, _)| line.bytes.starts_with(start));
        let (Some(at), Some(last)) = (known, line.fields().last()) else { continue };
        let bytes = last.bytes.strip_suffix(b"%").unwrap_or(last.bytes);
        values[at] = Text { bytes, ..last }.parse::<u64>()?;
    }
    for ((_, desc), value) in PRIORITIES.iter().zip(values) {
        out.push(desc, &[&device, &uuid], value);
    }
    Ok(())
}
