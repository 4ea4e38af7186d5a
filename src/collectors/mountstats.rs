//! What NFS mounts do, from `/proc/self/mountstats` and `/proc/self/mountinfo`.

use std::collections::HashSet;

use crate::collector::prelude::*;
use crate::host::mounts::{Line, option};
use crate::number;

pub static SPEC: Spec = Spec::new(
    "mountstats",
    Off,
    "/proc/self/mountstats, /proc/self/mountinfo",
    &[],
    |setup| {
        setup.need_proc()?;
        let directory = own_directory(&Root::new(&setup.paths.proc))
            .map_err(|error| format!("failed to open /proc/self: {error}"))?;
        Ok(Box::new(MountStats {
            mountstats: format!("{directory}/mountstats"),
            mountinfo: format!("{directory}/mountinfo"),
            table: Vec::new(),
            nfs: Nfs::default(),
        }))
    },
);

/// The process's own directory, by the number that `/proc/self` links to.
fn own_directory(proc: &Root) -> Result<String> {
    let target = proc.link("self")?;
    let number = target.replace(&*proc.path().to_string_lossy(), "");
    let number = number::int(number.as_bytes())
        .ok_or_else(|| Error::malformed("self", target.as_bytes()))?;
    let directory = number.to_string();
    proc.stat(&directory).map_err(|errno| Error::io(&directory, errno))?;
    Ok(directory)
}

macro_rules! nfs {
    ($labels:expr, $($make:ident $name:literal $help:literal;)*) => {
        [$($make(concat!("node_mountstats_nfs_", $name), $help, $labels)),*]
    };
}

const LABELS: &[&str] = &["export", "mountaddr", "protocol"];

static MOUNTPOINT_INFO: Desc = gauge(
    "node_mountstats_nfs_mountpoint_info",
    "1; where an export is mounted.",
    &["export", "mountaddr", "mountpoint", "protocol"],
);

static AGE: Desc =
    counter("node_mountstats_nfs_age_seconds_total", "Seconds since the export was mounted.", LABELS);

/// In the order of the line `bytes:`.
static BYTES: [Desc; 8] = nfs! { LABELS,
    counter "read_bytes_total" "Bytes that programs read.";
    counter "write_bytes_total" "Bytes that programs wrote.";
    counter "direct_read_bytes_total" "Bytes that programs read past the cache.";
    counter "direct_write_bytes_total" "Bytes that programs wrote past the cache.";
    counter "total_read_bytes_total" "Bytes read from the server.";
    counter "total_write_bytes_total" "Bytes written to the server.";
    counter "read_pages_total" "Pages that programs read through maps.";
    counter "write_pages_total" "Pages that programs wrote through maps.";
};

/// In the order of the line `events:`, without [`CONGESTION_WAIT`].
static EVENTS: [Desc; 26] = nfs! { LABELS,
    counter "event_inode_revalidate_total" "Times that an inode's attributes were checked again.";
    counter "event_dnode_revalidate_total" "Times that a name was checked again.";
    counter "event_data_invalidate_total" "Times that an inode's cached data was dropped.";
    counter "event_attribute_invalidate_total" "Times that cached attributes were dropped.";
    counter "event_vfs_open_total" "Opens of files and directories.";
    counter "event_vfs_lookup_total" "Lookups of names.";
    counter "event_vfs_access_total" "Checks of permissions.";
    counter "event_vfs_update_page_total" "Updates of pages.";
    counter "event_vfs_read_page_total" "Reads of one page.";
    counter "event_vfs_read_pages_total" "Reads of several pages.";
    counter "event_vfs_write_page_total" "Writes of one page.";
    counter "event_vfs_write_pages_total" "Writes of several pages.";
    counter "event_vfs_getdents_total" "Listings of directories.";
    counter "event_vfs_setattr_total" "Changes of attributes.";
    counter "event_vfs_flush_total" "Times that what waited was written out at once.";
    counter "event_vfs_fsync_total" "Calls of fsync.";
    counter "event_vfs_lock_total" "Attempts to lock files.";
    counter "event_vfs_file_release_total" "Closes of files.";
    counter "event_truncation_total" "Files cut shorter.";
    counter "event_write_extension_total" "Files that grew by a write beyond their end.";
    counter "event_silly_rename_total" "Files removed while they were open.";
    counter "event_short_read_total" "Reads that the server answered with less than asked for.";
    counter "event_short_write_total" "Writes of which the server took less than offered.";
    counter "event_jukebox_delay_total" "Times that the server fetched data from slow storage.";
    counter "event_pnfs_read_total" "Reads by pNFS.";
    counter "event_pnfs_write_total" "Writes by pNFS.";
};

/// Among the events the one that nobody tells.
const CONGESTION_WAIT: usize = 18;

const TRANSPORT_LABELS: &[&str] = &["export", "mountaddr", "protocol", "transport"];

/// Which of a transport's numbers they are, the line `xprt:` being filled up to TCP's.
static TRANSPORTS: [(usize, Desc); 10] = {
    let [bind, connect, idle, sends, receives, bad, backlog, slots, sending, pending] = nfs! {
        TRANSPORT_LABELS,
        counter "transport_bind_total" "Times that a local port was bound.";
        counter "transport_connect_total" "Connections made to the server.";
        gauge "transport_idle_time_seconds" "Seconds since anything was sent or received.";
        counter "transport_sends_total" "Requests sent.";
        counter "transport_receives_total" "Answers received.";
        counter "transport_bad_transaction_ids_total" "Answers to no known request.";
        counter "transport_backlog_queue_total" "Sum over all requests of the backlog they met.";
        gauge "transport_maximum_rpc_slots" "Most requests that were under way at a time.";
        counter "transport_sending_queue_total" "Sum over all requests of those waiting to be sent.";
        counter "transport_pending_queue_total" "Sum over all requests of those waiting for answers.";
    };
    [
        (1, bind),
        (2, connect),
        (IDLE, idle),
        (5, sends),
        (6, receives),
        (7, bad),
        (9, backlog),
        (10, slots),
        (11, sending),
        (12, pending),
    ]
};

/// Where the idle time stands among a transport's numbers.
const IDLE: usize = 4;

const OPERATION_LABELS: &[&str] = &["export", "mountaddr", "operation", "protocol"];

/// The first numbers of an operation's line.
static COUNTS: [Desc; 5] = nfs! { OPERATION_LABELS,
    counter "operations_requests_total" "Requests of this operation.";
    counter "operations_transmissions_total" "Times that requests were sent.";
    counter "operations_major_timeouts_total" "Requests that timed out for good.";
    counter "operations_sent_bytes_total" "Bytes sent, with headers.";
    counter "operations_received_bytes_total" "Bytes received, with headers.";
};

/// The next ones, in milliseconds.
static TIMES: [Desc; 3] = nfs! { OPERATION_LABELS,
    counter "operations_queue_time_seconds_total" "Seconds that requests waited to be sent.";
    counter "operations_response_time_seconds_total" "Seconds between sending and answers.";
    counter "operations_request_time_seconds_total" "Seconds from asking to the end.";
};

/// Floats count in steps of one up to here, where the original wraps times around.
const EXACT: u64 = 1 << f64::MANTISSA_DIGITS;

struct MountStats {
    /// Paths below procfs.
    mountstats: String,
    mountinfo: String,
    table: Vec<u8>,
    nfs: Nfs,
}

impl Collector for MountStats {
    fn collect(&mut self, cx: &mut Cx<'_>, out: &mut Samples) -> Result<()> {
        /// The original reads no more of the table.
        const TABLE_MAX: usize = 1024 * 1024;

        let stats = cx.proc.read(&self.mountstats, cx.text)?;
        let table = cx.proc.read(&self.mountinfo, &mut self.table)?;
        let table = Text { bytes: &table.bytes[..table.bytes.len().min(TABLE_MAX)], ..table };
        out.all_or_nothing(|out| push(stats, table, &mut self.nfs, out))
    }
}

fn push(stats: Text<'_>, table: Text<'_>, nfs: &mut Nfs, out: &mut Samples) -> Result<()> {
    let mut lines = stats.scan();
    let mut mounts = table.scan().map(|line| Line::parse(line?));
    let mut told = Told::default();
    while let Some(mount) = next_mount(stats, &mut lines, nfs)? {
        // The kernel lists the mounts in one order in both files. Those without a device, which
        // stand in the table only, shift it, as in the original.
        let address = mounts.next().transpose()?.and_then(|line| option(line.super_options, b"addr"));
        if mount.has_stats {
            push_mount(stats, &mount, address.unwrap_or_default(), nfs, &mut told, out);
        }
    }
    mounts.try_for_each(|line| line.map(drop))
}

/// What was told already: one server's statistics are the same wherever an export is mounted.
#[derive(Default)]
struct Told<'a> {
    exports: HashSet<[&'a [u8]; 3]>,
    mountpoints: HashSet<[&'a [u8]; 4]>,
}

struct Mount<'a> {
    export: &'a [u8],
    mountpoint: &'a [u8],
    has_stats: bool,
}

/// The next mount of a device, with its statistics in `nfs` if it has any:
/// `device 192.0.2.1:/srv mounted on /mnt with fstype nfs4 statvers=1.1`
fn next_mount<'a>(
    stats: Text<'a>,
    lines: &mut impl Iterator<Item = Result<Text<'a>>>,
    nfs: &mut Nfs,
) -> Result<Option<Mount<'a>>> {
    while let Some(line) = lines.next().transpose()? {
        let mut fields = line.fields();
        if fields.clone().next().is_none_or(|field| field.bytes != b"device") {
            continue;
        }
        let mut words = [&b""[..]; 8];
        for word in &mut words {
            *word = fields.word()?;
        }
        let [_, export, b"mounted", b"on", mountpoint, b"with", b"fstype", fstype] = words else {
            return Err(line.malformed());
        };
        let version = fields.next();
        if let Some(version) = version {
            if !matches!(fstype, b"nfs" | b"nfs4") {
                return Err(line.malformed());
            }
            let version = version.strip_prefix(b"statvers=").unwrap_or(version);
            nfs.read(stats, lines, version.bytes)?;
        }
        return Ok(Some(Mount { export, mountpoint, has_stats: version.is_some() }));
    }
    Ok(None)
}

/// The statistics of one mount.
#[derive(Default)]
struct Nfs {
    age: f64,
    bytes: [u64; 8],
    events: [u64; 27],
    transports: Vec<Transport>,
    operations: Vec<Operation>,
}

struct Transport {
    protocol: &'static str,
    numbers: [u64; 13],
}

struct Operation {
    name: Span,
    numbers: [u64; 8],
}

impl Nfs {
    /// Reads the lines below the device's up to a blank one after the operations.
    fn read<'a>(
        &mut self,
        stats: Text<'a>,
        lines: &mut impl Iterator<Item = Result<Text<'a>>>,
        version: &[u8],
    ) -> Result<()> {
        (self.age, self.bytes, self.events) = (0.0, [0; 8], [0; 27]);
        self.transports.clear();
        self.operations.clear();
        while let Some(line) = lines.next().transpose()? {
            let mut fields = line.fields();
            let Some(key) = fields.next() else { break };
            match key.bytes {
                b"opts:" => drop(fields.word()?),
                b"age:" => self.age = age(fields.word()?).ok_or_else(|| line.malformed())?,
                b"bytes:" => self.bytes = numbers(line, fields)?,
                b"events:" => self.events = numbers(line, fields)?,
                b"xprt:" => self.transports.push(transport(line, fields, version)?),
                b"per-op" => break,
                _ => {}
            }
        }
        while let Some(line) = lines.next().transpose()? {
            let mut fields = line.fields();
            let Some(name) = fields.next() else { break };
            let name = name.bytes.strip_suffix(b":").unwrap_or(name.bytes);
            let mut operation = Operation { name: stats.span_of(name), numbers: [0; 8] };
            for number in &mut operation.numbers {
                *number = fields.parse()?;
            }
            fields.try_for_each(|field| field.parse::<u64>().map(drop))?;
            self.operations.push(operation);
        }
        Ok(())
    }
}

/// A duration without its unit, seconds: whole ones, from the kernel.
fn age(text: &[u8]) -> Option<f64> {
    /// As many as a duration has room for.
    const MOST: u64 = i64::MAX as u64 / 1_000_000_000;

    if let Some(seconds) = number::uint(text).filter(|seconds| *seconds <= MOST) {
        return Some(seconds as f64);
    }
    let text = std::str::from_utf8(text).ok()?;
    match text.strip_prefix('-') {
        Some(text) if text.starts_with(['+', '-']) => None,
        Some(text) => Some(-number::duration(&format!("{text}s"))?.as_secs_f64()),
        None => Some(number::duration(&format!("{text}s"))?.as_secs_f64()),
    }
}

fn numbers<const N: usize>(line: Text<'_>, mut fields: Fields<'_>) -> Result<[u64; N]> {
    let mut numbers = [0; N];
    for number in &mut numbers {
        *number = fields.parse()?;
    }
    if fields.next().is_some() { Err(line.malformed()) } else { Ok(numbers) }
}

/// `tcp 832 0 1 0 11 6428 6428 0 12154 0 24 26 5726`, as many numbers as the version has.
fn transport(line: Text<'_>, mut fields: Fields<'_>, version: &[u8]) -> Result<Transport> {
    let protocol = fields.word()?;
    let (protocol, counts) = match (version, protocol) {
        (b"1.0", b"tcp") => ("tcp", 10..=10),
        (b"1.0", b"udp") => ("udp", 7..=7),
        (b"1.1", b"tcp") => ("tcp", 13..=13),
        (b"1.1", b"udp") => ("udp", 10..=10),
        // The original crashes beyond.
        (b"1.1", b"rdma") => ("rdma", 20..=31),
        _ => return Err(line.malformed()),
    };
    let mut transport = Transport { protocol, numbers: [0; 13] };
    let mut count = 0;
    for field in fields {
        let number = field.parse()?;
        let place = match (protocol, count) {
            // It has no connections, nor times between them.
            ("udp", 2..) => count + 3,
            // Counters of its own follow.
            ("rdma", 10..) => usize::MAX,
            _ => count,
        };
        if let Some(slot) = transport.numbers.get_mut(place) {
            *slot = number;
        }
        count += 1;
    }
    if counts.contains(&count) { Ok(transport) } else { Err(line.malformed()) }
}

/// Each protocol that the mount uses has the statistics of all its transports.
fn push_mount<'a>(
    stats: Text<'a>,
    mount: &Mount<'a>,
    address: &'a [u8],
    nfs: &Nfs,
    told: &mut Told<'a>,
    out: &mut Samples,
) {
    let Mount { export, mountpoint, .. } = *mount;
    for Transport { protocol, .. } in &nfs.transports {
        if told.mountpoints.insert([export, protocol.as_bytes(), address, mountpoint]) {
            out.push(&MOUNTPOINT_INFO, &[&export, &address, &mountpoint, protocol], 1.0);
        }
        if !told.exports.insert([export, protocol.as_bytes(), address]) {
            break;
        }
        push_nfs(stats, nfs, [&export, &address, protocol], out);
    }
}

fn push_nfs(stats: Text<'_>, nfs: &Nfs, labels: [&dyn LabelValue; 3], out: &mut Samples) {
    let [export, address, protocol] = labels;
    out.push(&AGE, &labels, nfs.age);
    for (desc, value) in BYTES.iter().zip(nfs.bytes) {
        out.push(desc, &labels, value);
    }
    let events = nfs.events.iter().enumerate().filter(|(at, _)| *at != CONGESTION_WAIT);
    for (desc, (_, value)) in EVENTS.iter().zip(events) {
        out.push(desc, &labels, *value);
    }
    for (nth, transport) in nfs.transports.iter().enumerate() {
        for (at, desc) in &TRANSPORTS {
            let value = transport.numbers[*at];
            let value = if *at == IDLE { value % EXACT } else { value };
            out.push(desc, &[export, address, protocol, &nth], value);
        }
    }
    for operation in &nfs.operations {
        let labels = [export, address, &stats.at(operation.name).bytes, protocol];
        let (counts, times) = operation.numbers.split_at(COUNTS.len());
        for (desc, value) in COUNTS.iter().zip(counts) {
            out.push(desc, &labels, *value);
        }
        for (desc, value) in TIMES.iter().zip(times) {
            out.push(desc, &labels, (value % EXACT) as f64 / 1000.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEVICE: &str = "device s:/x mounted on /mnt with fstype nfs4 statvers=1.1\n";
    const TCP: &str = "\txprt: tcp 832 1 2 3 4 5 6 7 8 9 10 11 12\n";
    const TABLE: &str = "1 2 0:3 / /mnt rw - nfs4 s:/x rw,addr=192.0.2.1\n";

    /// The values of a family and the labels beside them.
    fn told(stats: &str, table: &str, family: &str) -> Option<Vec<(String, f64)>> {
        let mut out = Samples::default();
        let (stats, table) = (Text::new("s", stats.as_bytes()), Text::new("t", table.as_bytes()));
        push(stats, table, &mut Nfs::default(), &mut out).ok()?;
        let samples = out.iter().filter(|sample| {
            sample.name() == format!("node_mountstats_nfs_{family}").as_bytes()
        });
        let told = samples.map(|sample| {
            let labels = sample.labels().map(|(_, value)| String::from_utf8_lossy(value));
            (labels.collect::<Vec<_>>().join(" "), sample.value())
        });
        Some(told.collect())
    }

    #[test]
    fn blocks() {
        let block = |lines: &str| format!("{DEVICE}{lines}{TCP}");
        for (stats, family, expected) in [
            (block("age: 7\n"), "age_seconds_total", Some(7.0)),
            (block("age: 1.5\nage: 2\n"), "age_seconds_total", Some(2.0)),
            (block("age: -1m\n"), "age_seconds_total", Some(-0.001)),
            (block("age: -1\n"), "age_seconds_total", Some(-1.0)),
            (block("age: 1h3\n"), "age_seconds_total", Some(3603.0)),
            (block("age: x\n"), "age_seconds_total", None),
            (block("age:\n"), "age_seconds_total", None),
            (block("opts:\n"), "age_seconds_total", None),
            (block("bytes: 1 2 3 4 5 6 7 8\n"), "write_pages_total", Some(8.0)),
            (block("bytes: 1 2 3 4 5 6 7\n"), "write_pages_total", None),
            (block("bytes: 1 2 3 4 5 6 7 8 9\n"), "write_pages_total", None),
            (block("bytes: 1 2 3 4 5 6 7 -8\n"), "write_pages_total", None),
            (block("other: x\n"), "write_pages_total", Some(0.0)),
            // What follows a blank line is taken for operations.
            (block("\n"), "write_pages_total", None),
            (DEVICE.replace("nfs4", "nfs").to_owned() + TCP, "age_seconds_total", Some(0.0)),
            (DEVICE.replace("nfs4", "ext4").to_owned() + TCP, "age_seconds_total", None),
            (DEVICE.replace("mounted", "found") + TCP, "age_seconds_total", None),
            ("device s:/x mounted on /mnt with\n".to_owned(), "age_seconds_total", None),
        ] {
            let value = told(&stats, TABLE, family).map(|told| told[0].1);
            assert_eq!(value, expected, "{stats}");
        }
    }

    #[test]
    fn transports() {
        const PENDING: &str = "transport_pending_queue_total";
        const SENDS: &str = "transport_sends_total";
        let rdma = |count: usize| format!("xprt: rdma{}", " 7".repeat(count));
        for (version, line, family, expected) in [
            ("1.1", TCP.to_owned(), PENDING, Some(12.0)),
            ("1.1", TCP.to_owned(), SENDS, Some(5.0)),
            ("1.1", TCP.replace(" 12", ""), PENDING, None),
            ("1.1", TCP.replace(" 12", " 12 13"), PENDING, None),
            ("1.0", TCP.replace(" 10 11 12", ""), SENDS, Some(5.0)),
            ("1.0", TCP.replace(" 10 11 12", ""), PENDING, Some(0.0)),
            ("1.0", TCP.to_owned(), SENDS, None),
            ("1.2", TCP.to_owned(), SENDS, None),
            ("1.1", "xprt: udp 1 2 3 4 5 6 7 8 9 10".to_owned(), SENDS, Some(3.0)),
            ("1.1", "xprt: udp 1 2 3 4 5 6 7 8 9 10".to_owned(), PENDING, Some(10.0)),
            ("1.1", "xprt: udp 1 2 3 4 5 6 7".to_owned(), SENDS, None),
            ("1.0", "xprt: udp 1 2 3 4 5 6 7".to_owned(), "transport_backlog_queue_total", Some(7.0)),
            ("1.1", rdma(20), SENDS, Some(7.0)),
            ("1.1", rdma(31), PENDING, Some(0.0)),
            ("1.1", rdma(19), SENDS, None),
            ("1.1", rdma(32), SENDS, None),
            ("1.0", rdma(20), SENDS, None),
            ("1.1", "xprt: tcp".to_owned(), SENDS, None),
            ("1.1", TCP.replace(" 5 ", " x "), SENDS, None),
            ("1.1", TCP.replace(" 4 ", " 9007199254740993 "), "transport_idle_time_seconds", Some(1.0)),
        ] {
            let stats = DEVICE.replace("1.1", version) + &line;
            let value = told(&stats, TABLE, family).map(|told| told[0].1);
            assert_eq!(value, expected, "{version}: {line}");
        }
    }

    #[test]
    fn operations_end_at_a_blank_line() {
        let stats = format!(
            "{DEVICE}{TCP}per-op statistics\n\tREAD: 1 2 3 4 5 6 7 8\n\tA:: 1 2 3 4 5 6 7 8000 9\n\n{DEVICE}"
        );
        let family = "operations_request_time_seconds_total";
        let expected =
            vec![("s:/x 192.0.2.1 READ tcp".to_owned(), 0.008), ("s:/x 192.0.2.1 A: tcp".to_owned(), 8.0)];
        assert_eq!(told(&stats, TABLE, family), Some(expected));
        for bad in ["READ: 1 2 3 4 5 6 7\n", "READ: 1 2 3 4 5 6 7 x\n", "READ: 1 2 3 4 5 6 7 8 x\n"] {
            assert_eq!(told(&format!("{DEVICE}{TCP}per-op\n{bad}"), TABLE, family), None, "{bad}");
        }
    }

    #[test]
    fn what_is_the_same_is_told_once() {
        let other = DEVICE.replace("/mnt", "/srv");
        let udp = "xprt: udp 1 2 3 4 5 6 7 8 9 10\n";
        let info = "mountpoint_info";
        let labels = |stats: &str, family| -> Vec<String> {
            told(stats, &TABLE.repeat(2), family).unwrap().into_iter().map(|told| told.0).collect()
        };
        let both = format!("{DEVICE}{TCP}per-op\n\n{other}{TCP}{udp}per-op\n\n");
        // The second mount stops at its first transport, which was told before.
        assert_eq!(labels(&both, info), ["s:/x 192.0.2.1 /mnt tcp", "s:/x 192.0.2.1 /srv tcp"]);
        assert_eq!(labels(&both, "age_seconds_total"), ["s:/x 192.0.2.1 tcp"]);
        let both = format!("{DEVICE}{udp}{TCP}per-op\n\n");
        assert_eq!(labels(&both, "age_seconds_total"), ["s:/x 192.0.2.1 udp", "s:/x 192.0.2.1 tcp"]);
        assert_eq!(labels(&both, "transport_sends_total").len(), 4);
        // Without its line in the table a mount has no address.
        let told = told(&format!("{DEVICE}{TCP}"), "", info).unwrap();
        assert_eq!(told, [("s:/x  /mnt tcp".to_owned(), 1.0)]);
    }
}
