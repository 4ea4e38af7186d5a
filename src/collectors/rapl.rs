//! Energy that packages, cores and memory used, from `/sys/class/powercap`.

use std::ops::Range;
use std::path::{Component, Path, PathBuf};

use crate::collector::prelude::*;
use crate::exposition::name::Sanitized;
use crate::number;

static ZONE_LABEL: Flag<bool> = flags::switch(
    "collector.rapl.enable-zone-label",
    false,
    "Tell all zones as one family with a label rapl_zone, rather than a family each.",
);

pub static SPEC: Spec = Spec::new("rapl", On, "/sys/class/powercap", &[&ZONE_LABEL], |setup| {
    setup.need_sys()?;
    Ok(Box::new(Rapl {
        with_label: setup.flags.get(&ZONE_LABEL),
        prefix: clean(&setup.paths.sys),
        entries: Listing::default(),
        names: Vec::new(),
        zones: Vec::new(),
    }))
});

static JOULES: Desc = counter("node_rapl_joules_total", HELP, &["index", "path", "rapl_zone"]);

const HELP: &str = "Energy that the zone used since its counter was last at 0, in joules.";

const DIRECTORY: &str = "class/powercap";

struct Rapl {
    with_label: bool,
    /// The path of the sysfs, as it was given and without detours.
    prefix: String,
    entries: Listing,
    names: Vec<u8>,
    zones: Vec<Zone>,
}

/// `package-0` has the name `package` and the index 0.
struct Zone {
    /// Its place in the listing.
    entry: usize,
    name: Range<usize>,
    index: i64,
}

impl Collector for Rapl {
    fn collect(&mut self, cx: &mut Cx<'_>, out: &mut Samples) -> Result<()> {
        self.find_zones(cx).map_err(|error| {
            if error.is_denied() { no_access() } else { error.absent_is_no_data() }
        })?;
        let Self { with_label, prefix, entries, names, zones } = self;
        for zone in zones {
            let Some(entry) = entries.names().nth(zone.entry) else { unreachable!() };
            let energy = cx.attribute(&[DIRECTORY, "/", entry, "/energy_uj"]);
            // Since CVE-2020-8694 the counters are for root.
            let energy =
                energy.map_err(|error| if error.is_denied() { no_access() } else { error })?;
            let joules = energy.parse::<u64>()? as f64 / 1e6;
            let name = &names[zone.name.clone()];
            let path = format_args!("{prefix}/{DIRECTORY}/{entry}");
            if *with_label {
                out.push(&JOULES, &[&zone.index, &path, &name], joules);
            } else {
                let family = out.family(&FamilyName(name), Kind::Counter, HELP);
                out.push_named(family, &[("index", &zone.index), ("path", &path)], joules);
            }
        }
        Ok(())
    }
}

fn no_access() -> Error {
    Error::no_data("class/powercap: not for this user")
}

impl Rapl {
    fn find_zones(&mut self, cx: &mut Cx<'_>) -> Result<()> {
        let Self { entries, names, zones, .. } = self;
        names.clear();
        zones.clear();
        cx.sys.list(DIRECTORY, entries)?;
        for (at, entry) in entries.names().enumerate() {
            join(cx.path, &[DIRECTORY, "/", entry, "/name"]);
            let Ok(text) = cx.sys.read(cx.path, cx.text) else { continue };
            let (name, index) = split_index(text.trim().bytes);
            let before = zones.iter().rfind(|zone| &names[zone.name.clone()] == name);
            let index = index.unwrap_or_else(|| before.map_or(0, |zone| zone.index + 1));
            let start = names.len();
            names.extend_from_slice(name);
            zones.push(Zone { entry: at, name: start..names.len(), index });
            cx.attribute(&[DIRECTORY, "/", entry, "/max_energy_range_uj"])?.parse::<u64>()?;
        }
        Ok(())
    }
}

/// `package-0` as `package` and 0; a name of any other kind has no index of its own.
fn split_index(name: &[u8]) -> (&[u8], Option<i64>) {
    let mut parts = name.split(|&byte| byte == b'-');
    match (parts.next(), parts.next().and_then(number::int), parts.next()) {
        (Some(name), Some(index), None) => (name, Some(index)),
        _ => (name, None),
    }
}

/// `node_rapl_dram_joules_total`
struct FamilyName<'a>(&'a [u8]);

impl LabelValue for FamilyName<'_> {
    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"node_rapl_");
        Sanitized(self.0).write(out);
        out.extend_from_slice(b"_joules_total");
    }
}

/// The path without `.` and doubled slashes.
fn clean(path: &Path) -> String {
    let parts = path.components().filter(|part| *part != Component::CurDir);
    parts.collect::<PathBuf>().to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_indexes() {
        for (text, name, index) in [
            ("package-0", "package", Some(0)),
            ("package-0-die-1", "package-0-die-1", None),
            ("dram", "dram", None),
            ("psys-x", "psys-x", None),
            ("-7", "", Some(7)),
            ("a--7", "a--7", None),
        ] {
            assert_eq!(split_index(text.as_bytes()), (name.as_bytes(), index));
        }
    }

    #[test]
    fn prefixes() {
        for (path, prefix) in [("/sys", "/sys"), ("/host//sys/", "/host/sys"), ("./a/./sys", "a/sys")] {
            assert_eq!(clean(Path::new(path)), prefix);
        }
    }
}
