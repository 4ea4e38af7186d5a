//! A device of a bcachefs filesystem, from `dev-*` in its directory.

use super::rows::Rows;
use super::{DIRECTORY, bytes};
use crate::collector::prelude::*;

static INFO: Desc = gauge(
    "node_bcachefs_device_info",
    "1 for each device of the filesystem, with its state.",
    &["device", "label", "state", "uuid"],
);
static BUCKET_SIZE: Desc =
    gauge("node_bcachefs_device_bucket_size_bytes", "Bytes of a bucket.", &["device", "uuid"]);
static BUCKETS: Desc =
    gauge("node_bcachefs_device_buckets", "Buckets of the device.", &["device", "uuid"]);
static DURABILITY: Desc = gauge(
    "node_bcachefs_device_durability",
    "How many replicas a copy on the device counts for.",
    &["device", "uuid"],
);
static IO_DONE: Desc = counter(
    "node_bcachefs_device_io_done_bytes_total",
    "Bytes read and written, by what they hold.",
    &["data_type", "device", "operation", "uuid"],
);
static IO_ERRORS: Desc = counter(
    "node_bcachefs_device_io_errors_total",
    "Faults of the device since the filesystem was made.",
    &["device", "type", "uuid"],
);

/// Texts of the device at hand.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    label: Vec<u8>,
    state: Vec<u8>,
}

pub(super) fn push(
    device: &str,
    uuid: &str,
    scratch: &mut Scratch,
    rows: &mut Rows,
    cx: &mut Cx<'_>,
    out: &mut Samples,
) -> Result<()> {
    let Scratch { label, state } = scratch;
    read_text(device, uuid, "label", label, cx);
    read_text(device, uuid, "state", state, cx);
    out.push(&INFO, &[&device, label, state, &uuid], 1.0);
    let size = match cx.read_present(&path(device, uuid, "bucket_size")) {
        Ok(Some(text)) if !text.trim().bytes.is_empty() => bytes(text)?,
        _ => 0,
    };
    out.push(&BUCKET_SIZE, &[&device, &uuid], size);
    for (file, desc) in [("nbuckets", &BUCKETS), ("durability", &DURABILITY)] {
        let value: u64 = match cx.read_present(&path(device, uuid, file))? {
            Some(text) => text.trim().parse()?,
            None => 0,
        };
        out.push(desc, &[&device, &uuid], value);
    }
    push_done(device, uuid, rows, cx, out)?;
    push_errors(device, uuid, rows, cx, out)
}

fn path<'a>(device: &'a str, uuid: &'a str, file: &'a str) -> [&'a str; 6] {
    [DIRECTORY, uuid, "/dev-", device, "/", file]
}

/// What cannot be read is empty.
fn read_text(device: &str, uuid: &str, file: &str, content: &mut Vec<u8>, cx: &mut Cx<'_>) {
    content.clear();
    if let Ok(Some(text)) = cx.read_present(&path(device, uuid, file)) {
        content.extend_from_slice(text.trim().bytes);
    }
}

/// ```text
/// read:
///   btree       :      204800
/// write:
///   journal     :     1048576
/// ```
fn push_done(
    device: &str,
    uuid: &str,
    rows: &mut Rows,
    cx: &mut Cx<'_>,
    out: &mut Samples,
) -> Result<()> {
    let Some(text) = cx.read_present(&path(device, uuid, "io_done"))? else { return Ok(()) };
    for operation in ["read", "write"] {
        rows.clear();
        let mut is_within = false;
        for line in text.scan() {
            let line = line?.trim();
            match line.bytes {
                b"read:" => is_within = operation == "read",
                b"write:" => is_within = operation == "write",
                _ if is_within => set(line, rows, text)?,
                _ => {}
            }
        }
        for (kind, [count, _]) in rows.of(text) {
            out.push(&IO_DONE, &[&kind, &device, &operation, &uuid], count);
        }
    }
    Ok(())
}

/// ```text
/// IO errors since filesystem creation
///   read:    197
///   write:   0
/// IO errors since 8 y ago
///   read:    197
/// ```
fn push_errors(
    device: &str,
    uuid: &str,
    rows: &mut Rows,
    cx: &mut Cx<'_>,
    out: &mut Samples,
) -> Result<()> {
    let Some(text) = cx.read_present(&path(device, uuid, "io_errors"))? else { return Ok(()) };
    rows.clear();
    let mut is_within = false;
    for line in text.scan() {
        let line = line?;
        if line.bytes.starts_with(b"IO errors since filesystem creation") {
            is_within = true;
        } else if line.bytes.starts_with(b"IO errors since ") {
            break;
        } else if is_within {
            set(line, rows, text)?;
        }
    }
    for (kind, [count, _]) in rows.of(text) {
        out.push(&IO_ERRORS, &[&device, &kind, &uuid], count);
    }
    Ok(())
}

/// `  journal     :     1048576`; other lines say nothing.
fn set(line: Text<'_>, rows: &mut Rows, text: Text<'_>) -> Result<()> {
    if let Some((key, number)) = line.split_once(b':') {
        rows.set(text.span_of(key.trim().bytes), [number.trim().parse()?, 0], text);
    }
    Ok(())
}
