//! Services under runit, from `SERVICE/supervise/status` below `/etc/service`.

use std::fmt::Write as _;

use crate::collector::prelude::*;

static SERVICE_DIR: Flag<String> = flags::text(
    "collector.runit.servicedir",
    DEFAULT_DIR,
    "Directory of the services that runit supervises.",
);

const DEFAULT_DIR: &str = "/etc/service";

pub static SPEC: Spec =
    Spec::new("runit", Off, "/etc/service/*/supervise/status", &[&SERVICE_DIR], |setup| {
        Ok(Box::new(Runit::new(&setup.flags.get(&SERVICE_DIR))?))
    });

const LABELS: &[&str] = &["service", "supervisor"];

static STATE: Desc = gauge(
    "node_service_state",
    "What the service does: 0 is down, 1 up, 2 its finish script runs.",
    LABELS,
);
static DESIRED: Desc =
    gauge("node_service_desired_state", "Whether the service is meant to be up.", LABELS);
static NORMAL: Desc = gauge(
    "node_service_normal_state",
    "Whether the service is up by default, having no file supervise/down.",
    LABELS,
);
static LAST_CHANGE: Desc = gauge(
    "node_service_state_last_change_timestamp_seconds",
    "When the service last changed its state, in seconds since 1970.",
    LABELS,
);

/// TAI64 counts seconds from 2^62 at 1970, and TAI was 10 seconds ahead of UTC then.
const TAI_EPOCH: i64 = (1 << 62) + 10;

struct Runit {
    dir: String,
    /// Services lie in no tree of the kernel's; paths below are absolute.
    root: Root,
    listing: Listing,
}

impl Runit {
    fn new(dir: &str) -> Result<Self, String> {
        let dir = if dir.is_empty() { DEFAULT_DIR } else { dir };
        let absolute = std::path::absolute(dir).map_err(|error| format!("{dir}: {error}"))?;
        let dir = absolute.into_os_string().into_string();
        let dir = dir.map_err(|dir| format!("{} is not UTF-8", dir.display()))?;
        Ok(Self { dir, root: Root::new("/"), listing: Listing::default() })
    }
}

impl Collector for Runit {
    fn collect(&mut self, cx: &mut Cx<'_>, out: &mut Samples) -> Result<()> {
        let Self { dir, root, listing } = self;
        root.list(dir, listing)?;
        for entry in listing.iter().filter(|entry| entry.is_directory() || entry.is_link()) {
            let name = entry.name;
            cx.path.clear();
            let _ = write!(cx.path, "{dir}/{name}/supervise/status");
            // A directory without is no service, or none that a runsv looks after.
            let Ok(status) = read_status(root, cx.path) else { continue };
            cx.path.truncate(cx.path.len() - "status".len());
            cx.path.push_str("down");
            let labels: &[&dyn LabelValue] = &[&name, &"runit"];
            out.push(&STATE, labels, status.state);
            out.push(&DESIRED, labels, status.is_wanted_up);
            out.push(&NORMAL, labels, !root.exists(cx.path));
            out.push(&LAST_CHANGE, labels, status.since);
        }
        Ok(())
    }
}

struct Status {
    since: i64,
    is_wanted_up: bool,
    state: u8,
}

/// What runsv writes, in 20 bytes: TAI64N time of the last change (8 bytes of seconds and 4 of
/// nanoseconds), process id (4), paused, wanted (`u` or `d`), sent SIGTERM, state.
fn read_status(root: &Root, path: &str) -> Result<Status, Errno> {
    let mut bytes = [0; 20];
    let file = root.open(path)?;
    if rustix::io::read(&file, &mut bytes)? == 0 {
        return Err(Errno::NODATA);
    }
    let (seconds, _) = bytes.split_first_chunk().ok_or(Errno::NODATA)?;
    Ok(Status {
        since: i64::from_be_bytes(*seconds).wrapping_sub(TAI_EPOCH),
        is_wanted_up: bytes[17] == b'u',
        state: bytes[19],
    })
}
