//! Size and state of mounted file systems, from `/proc/1/mountinfo` and statfs(2).

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::fs::StatFs;

use crate::collector::errno_text;
use crate::collector::prelude::*;
use crate::host::mounts::{Mount, Mounts, push_path};
use crate::isolated::{Crew, Errand, PATIENCE};

static MOUNT_POINTS_EXCLUDE: Flag<Option<Pattern>> = flags::pattern(
    "collector.filesystem.mount-points-exclude",
    "^/(dev|proc|run/credentials/.+|sys|var/lib/docker/.+|var/lib/containers/storage/.+)($|/)",
    "Mount points to leave out; not together with mount-points-include.",
);
static MOUNT_POINTS_INCLUDE: Flag<Option<Pattern>> = flags::pattern(
    "collector.filesystem.mount-points-include",
    "",
    "Mount points to keep to; not together with mount-points-exclude.",
);
static MOUNT_POINTS_IGNORED: Flag<Option<Pattern>> = flags::pattern(
    "collector.filesystem.ignored-mount-points",
    "",
    "Former name of mount-points-exclude.",
)
.hidden();
static FS_TYPES_EXCLUDE: Flag<Option<Pattern>> = flags::pattern(
    "collector.filesystem.fs-types-exclude",
    "^(autofs|binfmt_misc|bpf|cgroup2?|configfs|debugfs|devpts|devtmpfs|fusectl|hugetlbfs|iso9660\
     |mqueue|nsfs|overlay|proc|procfs|pstore|rpc_pipefs|securityfs|selinuxfs|squashfs|erofs|sysfs\
     |tracefs)$",
    "Types of file systems to leave out; not together with fs-types-include.",
);
static FS_TYPES_INCLUDE: Flag<Option<Pattern>> = flags::pattern(
    "collector.filesystem.fs-types-include",
    "",
    "Types of file systems to keep to; not together with fs-types-exclude.",
);
static FS_TYPES_IGNORED: Flag<Option<Pattern>> = flags::pattern(
    "collector.filesystem.ignored-fs-types",
    "",
    "Former name of fs-types-exclude.",
)
.hidden();
static MOUNT_TIMEOUT: Flag<Duration> = flags::duration(
    "collector.filesystem.mount-timeout",
    "5s",
    "How long to wait for a mount before it is told as stuck.",
)
.hidden();
static STAT_WORKERS: Flag<i64> = flags::integer(
    "collector.filesystem.stat-workers",
    "4",
    "Accepted for node_exporter's sake: mounts that answer slowly are asked side by side.",
)
.hidden();

pub static SPEC: Spec = Spec::new(
    "filesystem",
    On,
    "/proc/1/mountinfo, statfs of the mounts",
    &[
        &MOUNT_POINTS_EXCLUDE,
        &MOUNT_POINTS_INCLUDE,
        &MOUNT_POINTS_IGNORED,
        &FS_TYPES_EXCLUDE,
        &FS_TYPES_INCLUDE,
        &FS_TYPES_IGNORED,
        &MOUNT_TIMEOUT,
        &STAT_WORKERS,
    ],
    |setup| {
        let mountpoints = filter(
            setup.flags,
            [&MOUNT_POINTS_EXCLUDE, &MOUNT_POINTS_INCLUDE, &MOUNT_POINTS_IGNORED],
        )
        .map_err(|error| format!("unable to parse mount points filter flags: {error}"))?;
        let fstypes =
            filter(setup.flags, [&FS_TYPES_EXCLUDE, &FS_TYPES_INCLUDE, &FS_TYPES_IGNORED])
                .map_err(|error| format!("unable to parse fs types filter flags: {error}"))?;
        Ok(Box::new(Filesystem {
            mountpoints,
            fstypes,
            // A busy machine may need so long to wake a thread.
            timeout: setup.flags.get(&MOUNT_TIMEOUT).max(PATIENCE),
            chosen: Vec::new(),
            crew: Crew::default(),
            calls: Vec::new(),
        }))
    },
);

/// The former flag stands for the one that excludes, and whoever includes something is not held to
/// that one's default.
fn filter(
    flags: &flags::Values,
    [exclude, include, former]: [&Flag<Option<Pattern>>; 3],
) -> Result<Filter, String> {
    let exclusive =
        |a: &str, b: &str| Err(format!("--{a} and --{b} are mutually exclusive"));
    let mut filter = Filter::from_flags(flags, exclude, include);
    let (exclude_name, former_name) = (exclude.name(), former.name());
    let is_given = flags.is_given(exclude_name);
    if let Some(pattern) = flags.get(former) {
        if is_given {
            return exclusive(former_name, exclude_name);
        }
        tracing::warn!(
            "--{former_name} is DEPRECATED and will be removed in 2.0.0, use --{exclude_name}"
        );
        filter.exclude = Some(pattern);
    }
    if filter.include.is_some() && !is_given {
        filter.exclude = None;
    }
    if filter.include.is_some() && filter.exclude.is_some() {
        return exclusive(exclude_name, include.name());
    }
    filter.log(exclude, include);
    Ok(filter)
}

const LABELS: &[&str] = &["device", "device_error", "fstype", "mountpoint"];

static DEVICE_ERROR: Desc = gauge(
    "node_filesystem_device_error",
    "1 if statfs(2) failed, as device_error says, or does not come back.",
    LABELS,
);
static READONLY: Desc =
    gauge("node_filesystem_readonly", "1 if nothing can be written, by the mount's options.", LABELS);
static SIZE: Desc = gauge("node_filesystem_size_bytes", "Size in bytes.", LABELS);
static FREE: Desc = gauge("node_filesystem_free_bytes", "Free bytes, those kept for root too.", LABELS);
static AVAIL: Desc =
    gauge("node_filesystem_avail_bytes", "Free bytes for users other than root.", LABELS);
static FILES: Desc = gauge("node_filesystem_files", "Inodes there are.", LABELS);
static FILES_FREE: Desc = gauge("node_filesystem_files_free", "Inodes that are free.", LABELS);
static PURGEABLE: Desc = gauge(
    "node_filesystem_purgeable_bytes",
    "Bytes that macOS could free when in need; 0 on Linux.",
    LABELS,
);
static MOUNT_INFO: Desc = gauge(
    "node_filesystem_mount_info",
    "1; device numbers of a mount.",
    &["device", "major", "minor", "mountpoint"],
);

struct Filesystem {
    mountpoints: Filter,
    fstypes: Filter,
    timeout: Duration,
    chosen: Vec<Chosen>,
    crew: Crew<Statfs>,
    calls: Vec<Statfs>,
}

/// A mount that the filters let through.
struct Chosen {
    /// Its place in the table.
    at: usize,
    /// Where its path stands in `cx.path`.
    path: Range<usize>,
}

/// statfs(2) of one path, and what it came to.
struct Statfs {
    path: Arc<str>,
    outcome: Result<StatFs, Errno>,
}

impl Errand for Statfs {
    fn key(&self) -> &Arc<str> {
        &self.path
    }

    fn run(&mut self) {
        self.outcome = rustix::fs::statfs(&*self.path);
    }
}

impl Collector for Filesystem {
    fn collect(&mut self, cx: &mut Cx<'_>, out: &mut Samples) -> Result<()> {
        let mounts = cx.mounts()?;
        self.choose(&mounts, cx);
        self.call(cx.path, cx.give_up_at());
        let key = |chosen: &Chosen| key(mounts.at(chosen.at), &cx.path[chosen.path.clone()]);
        for alike in self.chosen.chunk_by(|a, b| key(a) == key(b)) {
            for (nth, chosen) in alike.iter().enumerate() {
                let mount = mounts.at(chosen.at);
                let is_told = |told: &Chosen| number(mounts.at(told.at)) == number(mount);
                if !alike[..nth].iter().any(is_told) {
                    let path = &cx.path[chosen.path.clone()];
                    push(mount, find(&self.calls, path).map(|call| call.outcome), out);
                }
            }
        }
        Ok(())
    }
}

impl Filesystem {
    /// Picks the mounts that are told, by path, those that differ in their device numbers only in
    /// the table's order. Their paths are in `cx.path`.
    fn choose(&mut self, mounts: &Mounts, cx: &mut Cx<'_>) {
        self.chosen.clear();
        cx.path.clear();
        for (at, mount) in mounts.iter().enumerate() {
            if self.mountpoints.drops(mount.mountpoint) || self.fstypes.drops(mount.fstype) {
                continue;
            }
            let start = cx.path.len();
            push_path(cx.path, cx.rootfs, mount.mountpoint);
            self.chosen.push(Chosen { at, path: start..cx.path.len() });
        }
        let order = |chosen: &Chosen| {
            (key(mounts.at(chosen.at), &cx.path[chosen.path.clone()]), chosen.at)
        };
        self.chosen.sort_unstable_by(|a, b| order(a).cmp(&order(b)));
    }

    /// Calls statfs(2) once a path, save where the last call has not returned, and leaves in
    /// `calls` what came back in time.
    fn call(&mut self, paths: &str, give_up_at: Instant) {
        let Self { chosen, crew, calls, .. } = self;
        let path = |chosen: &Chosen| &paths[chosen.path.clone()];
        crew.welcome(calls);
        calls.retain(|call| chosen.binary_search_by(|chosen| path(chosen).cmp(&call.path)).is_ok());
        calls.sort_unstable_by(|a, b| a.path.cmp(&b.path));
        let known = calls.len();
        for same in chosen.chunk_by(|a, b| path(a) == path(b)) {
            let path = path(&same[0]);
            if find(&calls[..known], path).is_none() && crew.away_since(path).is_none() {
                calls.push(Statfs { path: path.into(), outcome: Err(Errno::NODATA) });
            }
        }
        crew.run(calls, give_up_at.min(Instant::now() + self.timeout));
        calls.sort_unstable_by(|a, b| a.path.cmp(&b.path));
    }
}

fn find<'c>(sorted: &'c [Statfs], path: &str) -> Option<&'c Statfs> {
    let at = sorted.binary_search_by(|call| (*call.path).cmp(path)).ok()?;
    Some(&sorted[at])
}

fn key<'m>(mount: Mount<'m>, path: &'m str) -> [&'m str; 4] {
    [path, mount.mountpoint, mount.device, mount.fstype]
}

fn number(mount: Mount<'_>) -> (i64, i64) {
    (mount.major, mount.minor)
}

/// No outcome means that the call has not returned.
fn push(mount: Mount<'_>, outcome: Option<Result<StatFs, Errno>>, out: &mut Samples) {
    let Mount { device, mountpoint, fstype, major, minor, .. } = mount;
    let (error, stat) = match outcome {
        Some(Ok(stat)) => (Cow::Borrowed(""), Some(stat)),
        Some(Err(errno)) => (Cow::Owned(errno_text(errno)), None),
        None => (Cow::Borrowed("mountpoint timeout"), None),
    };
    let labels: &[&dyn LabelValue] = &[&device, &&*error, &fstype, &mountpoint];
    out.push(&DEVICE_ERROR, labels, stat.is_none());
    // The original says of a stuck mount that it takes writes.
    out.push(&READONLY, labels, mount.is_readonly && outcome.is_some());
    let Some(stat) = stat else { return };
    let bytes = |blocks: u64| blocks as f64 * stat.f_bsize as f64;
    out.push(&SIZE, labels, bytes(stat.f_blocks));
    out.push(&FREE, labels, bytes(stat.f_bfree));
    out.push(&AVAIL, labels, bytes(stat.f_bavail));
    out.push(&FILES, labels, stat.f_files);
    out.push(&FILES_FREE, labels, stat.f_ffree);
    out.push(&PURGEABLE, labels, 0.0);
    out.push(&MOUNT_INFO, &[&device, &major, &minor, &mountpoint], 1.0);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flags::AnyFlag as _;

    const EXCLUDE: &str = "collector.filesystem.fs-types-exclude";
    const INCLUDE: &str = "collector.filesystem.fs-types-include";
    const FORMER: &str = "collector.filesystem.ignored-fs-types";

    fn fstypes(given: &[(&str, &str)]) -> Result<(Option<String>, Option<String>), String> {
        let mut values = flags::Values::default();
        given.iter().for_each(|(flag, value)| values.give(*flag, *value));
        let flags = [&FS_TYPES_EXCLUDE, &FS_TYPES_INCLUDE, &FS_TYPES_IGNORED];
        let Filter { exclude, include } = filter(&values, flags)?;
        let text = |pattern: Option<Pattern>| pattern.map(|pattern| pattern.as_str().to_owned());
        Ok((text(exclude), text(include)))
    }

    #[test]
    fn flags_that_exclude_and_include() {
        let default = FS_TYPES_EXCLUDE.definition().default;
        for (given, exclude, include) in [
            (&[][..], Some(default), None),
            (&[(EXCLUDE, "a")], Some("a"), None),
            (&[(EXCLUDE, "")], None, None),
            (&[(INCLUDE, "a")], None, Some("a")),
            (&[(EXCLUDE, ""), (INCLUDE, "a")], None, Some("a")),
            (&[(EXCLUDE, "a"), (INCLUDE, "")], Some("a"), None),
            (&[(FORMER, "a")], Some("a"), None),
            (&[(FORMER, "")], Some(default), None),
            (&[(FORMER, "a"), (INCLUDE, "b")], None, Some("b")),
        ] {
            let expected = (exclude.map(str::to_owned), include.map(str::to_owned));
            assert_eq!(fstypes(given), Ok(expected), "{given:?}");
        }
        for (given, names) in [
            (&[(EXCLUDE, "a"), (INCLUDE, "b")][..], [EXCLUDE, INCLUDE]),
            (&[(FORMER, "a"), (EXCLUDE, "b")], [FORMER, EXCLUDE]),
            (&[(FORMER, "a"), (EXCLUDE, "")], [FORMER, EXCLUDE]),
        ] {
            let [a, b] = names;
            let expected = format!("--{a} and --{b} are mutually exclusive");
            assert_eq!(fstypes(given), Err(expected), "{given:?}");
        }
    }
}
