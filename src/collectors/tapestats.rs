//! Traffic of SCSI tape drives, from `/sys/class/scsi_tape/st*/stats`.

use crate::collector::prelude::*;
use crate::number::is_digits;

static IGNORED: Flag<Option<Pattern>> =
    flags::pattern("collector.tapestats.ignored-devices", "^$", "Tape drives to leave out.");

pub static SPEC: Spec = Spec::new("tapestats", On, "/sys/class/scsi_tape", &[&IGNORED], |setup| {
    setup.need_sys()?;
    let ignored = setup.flags.get(&IGNORED);
    // An empty pattern is found in every name.
    let exclude = Some(ignored.map_or_else(|| Pattern::new(""), Ok)?);
    Ok(Box::new(TapeStats {
        filter: Filter { exclude, include: None },
        drives: Listing::default(),
        files: Listing::default(),
    }))
});

const NANOSECOND: f64 = 0.000_000_001;

/// File names, the unit that they count in, and what they are told as.
static COUNTERS: [(&str, f64, Desc); 10] = [
    ("in_flight", 1.0, gauge("node_tape_io_now", "Requests under way.", &["device"])),
    (
        "io_ns",
        NANOSECOND,
        counter("node_tape_io_time_seconds_total", "Time that all requests took.", &["device"]),
    ),
    (
        "other_cnt",
        1.0,
        counter("node_tape_io_others_total", "Requests but reads and writes.", &["device"]),
    ),
    ("read_byte_cnt", 1.0, counter("node_tape_read_bytes_total", "Bytes read.", &["device"])),
    ("read_cnt", 1.0, counter("node_tape_reads_completed_total", "Reads made.", &["device"])),
    (
        "read_ns",
        NANOSECOND,
        counter("node_tape_read_time_seconds_total", "Time that all reads took.", &["device"]),
    ),
    (
        "resid_cnt",
        1.0,
        counter(
            "node_tape_residual_total",
            "Reads and writes that moved less than was asked for.",
            &["device"],
        ),
    ),
    ("write_byte_cnt", 1.0, counter("node_tape_written_bytes_total", "Bytes written.", &["device"])),
    ("write_cnt", 1.0, counter("node_tape_writes_completed_total", "Writes made.", &["device"])),
    (
        "write_ns",
        NANOSECOND,
        counter("node_tape_write_time_seconds_total", "Time that all writes took.", &["device"]),
    ),
];

const DIRECTORY: &str = "class/scsi_tape";

struct TapeStats {
    filter: Filter,
    drives: Listing,
    files: Listing,
}

impl Collector for TapeStats {
    fn collect(&mut self, cx: &mut Cx<'_>, out: &mut Samples) -> Result<()> {
        let Self { filter, drives, files } = self;
        cx.sys.list(DIRECTORY, drives).absent_is_no_data()?;
        out.all_or_nothing(|out| {
            for drive in drives.names().filter(|name| is_drive(name)) {
                let path = &[DIRECTORY, "/", drive, "/stats"];
                cx.list(path, files).absent_is_no_data()?;
                let counters = read(drive, files, cx)?;
                if !filter.drops(drive) {
                    push(drive, counters, out);
                }
            }
            Ok(())
        })
    }
}

/// `st0`; its other names, `nst0` and `st0a`, stand for other ways to use it.
fn is_drive(name: &str) -> bool {
    name.strip_prefix("st").is_some_and(|number| is_digits(number.as_bytes()))
}

/// Reads all files, also those that nobody tells; what has no file is 0.
fn read(drive: &str, files: &Listing, cx: &mut Cx<'_>) -> Result<[u64; COUNTERS.len()]> {
    let mut counters = [0; COUNTERS.len()];
    for file in files.names() {
        let text = cx.attribute(&[DIRECTORY, "/", drive, "/stats/", file])?;
        if let Some(at) = COUNTERS.iter().position(|(name, ..)| *name == file) {
            counters[at] = text.parse::<AnyBase<u64>>()?.0;
        }
    }
    Ok(counters)
}

fn push(drive: &str, counters: [u64; COUNTERS.len()], out: &mut Samples) {
    for ((_, unit, desc), value) in COUNTERS.iter().zip(counters) {
        out.push(desc, &[&drive], value as f64 * unit);
    }
}
