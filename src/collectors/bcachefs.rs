//! Mounted bcachefs filesystems, from `/sys/fs/bcachefs`.

mod device;
mod rows;

use crate::collector::prelude::*;
use crate::exposition::name::Sanitized;
use crate::number::{float, whole};
use rows::Rows;

pub static SPEC: Spec = Spec::new("bcachefs", On, "/sys/fs/bcachefs", &[], |setup| {
    setup.need_sys()?;
    Ok(Box::new(Bcachefs::default()))
});

static INFO: Desc = gauge("node_bcachefs_info", "1 for each filesystem.", &["uuid"]);
static BTREE_CACHE: Desc = gauge(
    "node_bcachefs_btree_cache_size_bytes",
    "Memory that the filesystem's B-trees take.",
    &["uuid"],
);
static COMPRESSED: Desc = gauge(
    "node_bcachefs_compression_compressed_bytes",
    "Size of the data compressed so, as it is.",
    &["algorithm", "uuid"],
);
static UNCOMPRESSED: Desc = gauge(
    "node_bcachefs_compression_uncompressed_bytes",
    "Size of the data compressed so, as it was.",
    &["algorithm", "uuid"],
);
static ERRORS: Desc =
    counter("node_bcachefs_errors_total", "Faults found in the filesystem.", &["error_type", "uuid"]);
static BTREE_WRITES: Desc =
    counter("node_bcachefs_btree_writes_total", "Writes of B-tree nodes.", &["type", "uuid"]);
static BTREE_WRITE_SIZE: Desc = gauge(
    "node_bcachefs_btree_write_average_size_bytes",
    "Bytes of a write of B-tree nodes, on average.",
    &["type", "uuid"],
);

const DIRECTORY: &str = "fs/bcachefs/";

#[derive(Default)]
struct Bcachefs {
    filesystems: Listing,
    entries: Listing,
    rows: Rows,
    device: device::Scratch,
}

impl Collector for Bcachefs {
    fn collect(&mut self, cx: &mut Cx<'_>, out: &mut Samples) -> Result<()> {
        let Self { filesystems, entries, rows, device } = self;
        cx.sys.list(DIRECTORY, filesystems).absent_is_no_data()?;
        out.all_or_nothing(|out| {
            let mut is_any = false;
            for filesystem in filesystems.iter().filter(|entry| entry.is_directory()) {
                let uuid = filesystem.name;
                is_any = true;
                out.push(&INFO, &[&uuid], 1.0);
                push_btree_cache(uuid, cx, out)?;
                push_compression(uuid, rows, cx, out)?;
                push_errors(uuid, rows, cx, out)?;
                push_counters(uuid, entries, cx, out)?;
                push_btree_writes(uuid, rows, cx, out)?;
                cx.list(&[DIRECTORY, uuid], entries)?;
                for entry in entries.iter().filter(|entry| entry.is_directory()) {
                    if let Some(name) = entry.name.strip_prefix("dev-") {
                        device::push(name, uuid, device, rows, cx, out)?;
                    }
                }
            }
            if is_any { Ok(()) } else { Err(Error::no_data("fs/bcachefs: no filesystem")) }
        })
    }
}

fn push_btree_cache(uuid: &str, cx: &mut Cx<'_>, out: &mut Samples) -> Result<()> {
    let size = match cx.read_present(&[DIRECTORY, uuid, "/btree_cache_size"])? {
        Some(text) if !text.trim().bytes.is_empty() => bytes(text)?,
        _ => 0,
    };
    out.push(&BTREE_CACHE, &[&uuid], size);
    Ok(())
}

/// ```text
/// type              compressed    uncompressed     average extent size
/// lz4:                    1.2G            3.4G                     45k
/// ```
fn push_compression(
    uuid: &str,
    rows: &mut Rows,
    cx: &mut Cx<'_>,
    out: &mut Samples,
) -> Result<()> {
    let Some(text) = cx.read_present(&[DIRECTORY, uuid, "/compression_stats"])? else {
        return Ok(());
    };
    rows.clear();
    for line in text.lines().skip(1) {
        let mut fields = line.fields();
        let (Some(key), Some(compressed), Some(uncompressed)) =
            (fields.next(), fields.next(), fields.next())
        else {
            continue;
        };
        let row = [bytes(compressed)?, bytes(uncompressed)?];
        fields.next().map(bytes).transpose()?;
        rows.set(text.span_of(without_colon(key.bytes)), row, text);
    }
    for (algorithm, [compressed, uncompressed]) in rows.of(text) {
        out.push(&COMPRESSED, &[&algorithm, &uuid], compressed);
        out.push(&UNCOMPRESSED, &[&algorithm, &uuid], uncompressed);
    }
    Ok(())
}

/// `btree_node_read_err   3   1717430401`: a kind of fault, how many, and when the last one was.
fn push_errors(uuid: &str, rows: &mut Rows, cx: &mut Cx<'_>, out: &mut Samples) -> Result<()> {
    let Some(text) = cx.read_present(&[DIRECTORY, uuid, "/errors"])? else { return Ok(()) };
    rows.clear();
    for line in text.scan() {
        let mut fields = line?.fields();
        let (Some(key), Some(count)) = (fields.next(), fields.next()) else { continue };
        let count = count.parse()?;
        fields.parse_next::<u64>()?;
        rows.set(text.span_of(key.bytes), [count, 0], text);
    }
    for (kind, [count, _]) in rows.of(text) {
        out.push(&ERRORS, &[&kind, &uuid], count);
    }
    Ok(())
}

/// Every file is a counter:
/// ```text
/// since mount:                    12
/// since filesystem creation:      1.2M
/// ```
fn push_counters(
    uuid: &str,
    files: &mut Listing,
    cx: &mut Cx<'_>,
    out: &mut Samples,
) -> Result<()> {
    match cx.list(&[DIRECTORY, uuid, "/counters"], files) {
        // No such directory, no counters: the listing is empty.
        Err(error) if !error.is_absent() => return Err(error),
        _ => {}
    }
    for file in files.iter().filter(|file| !file.is_directory()) {
        let name = file.name;
        let value = match cx.read_present(&[DIRECTORY, uuid, "/counters/", name])? {
            Some(text) => since_creation(text)?,
            None => 0,
        };
        let family = out.family(
            &CounterName(name),
            Kind::Counter,
            &format_args!("The counter {name}, since the filesystem was made."),
        );
        out.push_named(family, &[("uuid", &uuid)], value);
    }
    Ok(())
}

/// `btree_node_merge` is told as `node_bcachefs_btree_node_merge_total`.
struct CounterName<'a>(&'a str);

impl LabelValue for CounterName<'_> {
    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"node_bcachefs_");
        Sanitized(self.0.as_bytes()).write(out);
        out.extend_from_slice(b"_total");
    }
}

/// A counter that tells only what came since the mount is 0.
fn since_creation(text: Text<'_>) -> Result<u64> {
    let (mut value, mut is_counter) = (0, false);
    for line in text.scan() {
        let line = line?;
        if let Some(number) = line.strip_prefix(b"since mount:") {
            bytes(number)?;
            is_counter = true;
        } else if let Some(number) = line.strip_prefix(b"since filesystem creation:") {
            value = bytes(number)?;
            is_counter = true;
        }
    }
    if is_counter { Ok(value) } else { Err(Error::failed(format!("{}: no counter", text.path))) }
}

/// ```text
///                              nr        size
/// initial:                  21433        108k
/// ```
fn push_btree_writes(
    uuid: &str,
    rows: &mut Rows,
    cx: &mut Cx<'_>,
    out: &mut Samples,
) -> Result<()> {
    let Some(text) = cx.read_present(&[DIRECTORY, uuid, "/btree_write_stats"])? else {
        return Ok(());
    };
    rows.clear();
    for line in text.lines().skip(1) {
        let mut fields = line.fields();
        let (Some(key), Some(count), Some(size)) = (fields.next(), fields.next(), fields.next())
        else {
            continue;
        };
        rows.set(text.span_of(without_colon(key.bytes)), [count.parse()?, bytes(size)?], text);
    }
    for (kind, [count, size]) in rows.of(text) {
        out.push(&BTREE_WRITES, &[&kind, &uuid], count);
        out.push(&BTREE_WRITE_SIZE, &[&kind, &uuid], size);
    }
    Ok(())
}

fn without_colon(key: &[u8]) -> &[u8] {
    key.strip_suffix(b":").unwrap_or(key)
}

/// A number of bytes, or of anything else, as bcachefs writes it for people: `1.5M`.
fn bytes(text: Text<'_>) -> Result<u64> {
    const UNITS: &[u8] = b"kmgtpe";

    let trimmed = text.trim().bytes;
    let (number, factor) = match trimmed {
        [number @ .., unit] => {
            let power =
                UNITS.iter().zip(1..).find(|(known, _)| **known == unit.to_ascii_lowercase());
            power.map_or((trimmed, 1.0), |(_, power)| (number, 1024f64.powi(power)))
        }
        [] => (trimmed, 1.0),
    };
    let number = float(number.trim_ascii()).ok_or_else(|| text.malformed())?;
    Ok(whole(number * factor))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_for_people() {
        for (text, expected) in [
            ("0", Some(0)),
            (" 12 \n", Some(12)),
            ("1.5k", Some(1536)),
            ("1.5 K", Some(1536)),
            ("2E", Some(2 << 60)),
            ("1e3", Some(1000)),
            ("1.9", Some(1)),
            ("", None),
            ("k", None),
            ("1kk", None),
            ("1y", None),
        ] {
            assert_eq!(bytes(Text::new("io_done", text.as_bytes())).ok(), expected, "{text:?}");
        }
    }
}
