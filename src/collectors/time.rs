//! The clock, its zone and what drives it, from clock_gettime(2), `TZ` and
//! `/sys/devices/system/clocksource`.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::collector::prelude::*;
use crate::host::Root;

pub static SPEC: Spec =
    Spec::new("time", On, "the clock and /sys/devices/system/clocksource", &[], |_| {
        Ok(Box::new(Time {
            zone: local_zone(std::env::var_os("TZ").as_deref(), &Root::new("/")),
            sources: Listing::default(),
        }))
    });

static SECONDS: Desc =
    gauge("node_time_seconds", "The host's clock, in seconds since 1970.", &[]);
static ZONE_OFFSET: Desc = gauge(
    "node_time_zone_offset_seconds",
    "How far the local time is ahead of UTC, in seconds.",
    &["time_zone"],
);
static AVAILABLE: Desc = gauge(
    "node_time_clocksource_available_info",
    "1 for each source that the kernel could take the time from.",
    &["clocksource", "device"],
);
static CURRENT: Desc = gauge(
    "node_time_clocksource_current_info",
    "1 for the source that the kernel takes the time from.",
    &["clocksource", "device"],
);

const DIRECTORY: &str = "devices/system/clocksource";

struct Time {
    zone: TimeZone,
    sources: Listing,
}

impl Collector for Time {
    fn collect(&mut self, cx: &mut Cx<'_>, out: &mut Samples) -> Result<()> {
        let now = Timestamp::now();
        out.push(&SECONDS, &[], now.as_nanosecond() as f64 / 1e9);
        let local = self.zone.to_offset_info(now);
        out.push(&ZONE_OFFSET, &[&local.abbreviation()], local.offset().seconds());
        if !cx.sys.is_present() {
            return Err(Error::failed("no sysfs"));
        }
        out.all_or_nothing(|out| self.push_sources(cx, out))
    }
}

impl Time {
    /// The label is the place among the devices, not the number in the device's name.
    fn push_sources(&mut self, cx: &mut Cx<'_>, out: &mut Samples) -> Result<()> {
        // What cannot be listed has no devices.
        let _ = cx.sys.try_list(DIRECTORY, &mut self.sources);
        let is_source = |name: &&str| {
            let number = name.strip_prefix("clocksource");
            number.is_some_and(|number| number.starts_with(|c: char| c.is_ascii_digit()))
        };
        for (device, name) in self.sources.names().filter(is_source).enumerate() {
            join(cx.path, &[DIRECTORY, "/", name, "/available_clocksource"]);
            for source in cx.sys.attribute(cx.path, cx.text)?.fields() {
                out.push(&AVAILABLE, &[&source.bytes, &device], 1.0);
            }
            join(cx.path, &[DIRECTORY, "/", name, "/current_clocksource"]);
            let current = cx.sys.attribute(cx.path, cx.text)?.bytes;
            out.push(&CURRENT, &[&current, &device], 1.0);
        }
        Ok(())
    }
}

/// The zone that Go takes for the local one: `/etc/localtime` unless `TZ` names a file, absolute or
/// below one of the usual directories; UTC where there is none. POSIX rules in `TZ` are not read.
fn local_zone(tz: Option<&OsStr>, root: &Root) -> TimeZone {
    const DIRECTORIES: [&str; 4] =
        ["usr/share/zoneinfo/", "usr/share/lib/zoneinfo/", "usr/lib/locale/TZ/", "etc/zoneinfo/"];

    let zone = match tz.map(OsStr::as_bytes) {
        None => read_zone(root, "etc/localtime"),
        Some(tz) => {
            let name = std::str::from_utf8(tz.strip_prefix(b":").unwrap_or(tz)).unwrap_or("");
            match name.strip_prefix('/') {
                _ if name.is_empty() || name == "UTC" => None,
                Some(path) => read_zone(root, path),
                None => DIRECTORIES
                    .iter()
                    .find_map(|directory| read_zone(root, &format!("{directory}{name}"))),
            }
        }
    };
    zone.unwrap_or(TimeZone::UTC)
}

fn read_zone(root: &Root, path: &str) -> Option<TimeZone> {
    let mut buffer = Vec::new();
    let file = root.read_once(path, &mut buffer).ok()?;
    TimeZone::tzif(path, file.bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collector::{Desk, Shared};
    use crate::host::{Paths, Roots};
    use std::sync::Arc;
    use std::time::{Duration, Instant};

    /// The samples as names, labels and values, without the first two.
    fn run(sys: &std::path::Path) -> (Result<()>, Vec<String>) {
        let paths = Paths { sys: sys.into(), ..Paths::default() };
        let mut time = Time { zone: TimeZone::UTC, sources: Listing::default() };
        let mut desk = Desk::new(&Roots::new(&paths), Arc::new(Shared::default()));
        let mut out = Samples::default();
        let deadline = Instant::now() + Duration::from_secs(10);
        let outcome = time.collect(&mut desk.cx(deadline), &mut out);
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let shown = out.iter().skip(2).map(|sample| {
            let labels = sample.labels().map(|(_, value)| text(value));
            format!("{} {}", text(sample.name()), labels.collect::<Vec<_>>().join(" "))
        });
        assert_eq!(out.sample(0).name(), b"node_time_seconds");
        assert!(out.sample(0).value() > 1.7e9);
        assert_eq!(out.sample(1).label_value(0), b"UTC");
        (outcome, shown.collect())
    }

    #[test]
    fn devices_are_counted_in_the_order_of_their_names() {
        let tree = tempfile::tempdir().unwrap();
        for (device, available, current) in
            [("clocksource0", "tsc  hpet\n", "tsc\n"), ("clocksource10", "jiffies\n", "jiffies\n"), ("clocksource2", "\n", "x y\n"), ("other", "a", "a")]
        {
            let directory = tree.path().join(DIRECTORY).join(device);
            std::fs::create_dir_all(&directory).unwrap();
            std::fs::write(directory.join("available_clocksource"), available).unwrap();
            std::fs::write(directory.join("current_clocksource"), current).unwrap();
        }
        let (outcome, samples) = run(tree.path());
        outcome.unwrap();
        assert_eq!(
            samples,
            [
                "node_time_clocksource_available_info tsc 0",
                "node_time_clocksource_available_info hpet 0",
                "node_time_clocksource_current_info tsc 0",
                "node_time_clocksource_available_info jiffies 1",
                "node_time_clocksource_current_info jiffies 1",
                "node_time_clocksource_current_info x y 2",
            ]
        );
        std::fs::remove_file(tree.path().join(DIRECTORY).join("clocksource2/current_clocksource")).unwrap();
        let (outcome, samples) = run(tree.path());
        assert!(outcome.unwrap_err().is_absent());
        assert!(samples.is_empty());
    }

    #[test]
    fn without_devices_the_clock_is_told_alone() {
        let tree = tempfile::tempdir().unwrap();
        let (outcome, samples) = run(tree.path());
        outcome.unwrap();
        assert!(samples.is_empty());
        let (outcome, samples) = run(&tree.path().join("none"));
        assert_eq!(outcome.unwrap_err().to_string(), "no sysfs");
        assert!(samples.is_empty());
    }

    /// A zone file of version 1: one type, two hours ahead of UTC, called `name`.
    fn zone_file(name: &str) -> Vec<u8> {
        let mut file = b"TZif".to_vec();
        file.extend([0; 16]);
        for count in [0, 0, 0, 0, 1, u32::try_from(name.len()).unwrap() + 1] {
            file.extend(count.to_be_bytes());
        }
        file.extend(7200_i32.to_be_bytes());
        file.extend([0, 0]);
        file.extend(name.as_bytes());
        file.push(0);
        file
    }

    #[test]
    fn the_local_zone_is_go_s() {
        let tree = tempfile::tempdir().unwrap();
        for (path, name) in [
            ("etc/localtime", "LOC"),
            ("usr/share/zoneinfo/Own/Place", "PLC"),
            ("etc/zoneinfo/Other", "OTH"),
            ("srv/zone", "SRV"),
        ] {
            let path = tree.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, zone_file(name)).unwrap();
        }
        let root = Root::new(tree.path());
        for (tz, name, offset) in [
            (None, "LOC", 7200),
            (Some(""), "UTC", 0),
            (Some(":"), "UTC", 0),
            (Some("UTC"), "UTC", 0),
            (Some("Own/Place"), "PLC", 7200),
            (Some(":Own/Place"), "PLC", 7200),
            (Some("Other"), "OTH", 7200),
            (Some("/srv/zone"), "SRV", 7200),
            (Some("/srv/none"), "UTC", 0),
            (Some("None/Such"), "UTC", 0),
            (Some("CET-1CEST"), "UTC", 0),
        ] {
            let zone = local_zone(tz.map(OsStr::new), &root);
            let info = zone.to_offset_info(Timestamp::UNIX_EPOCH);
            assert_eq!((info.abbreviation(), info.offset().seconds()), (name, offset), "{tz:?}");
        }
    }
}
