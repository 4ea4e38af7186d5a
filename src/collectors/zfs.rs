//! ZFS, its pools and datasets, from `/proc/spl/kstat/zfs`.

use crate::collector::prelude::*;
use crate::exposition::FamilyId;

pub static SPEC: Spec =
    Spec::new("zfs", On, "/proc/spl/kstat/zfs", &[], |_| Ok(Box::new(Zfs::default())));

const DIRECTORY: &str = "spl/kstat/zfs";

/// Files about ZFS as a whole, and how their families' names go on after `node_zfs_`.
const FILES: [(&str, &str); 11] = [
    ("abdstats", "abd"),
    ("arcstats", "arc"),
    ("dbufstats", "dbuf"),
    ("dmu_tx", "dmu_tx"),
    ("dnodestats", "dnode"),
    ("fm", "fm"),
    ("vdev_cache_stats", "vdev_cache"),
    ("vdev_mirror_stats", "vdev_mirror"),
    ("xuio_stats", "xuio"),
    ("zfetchstats", "zfetch"),
    ("zil", "zil"),
];

static STATE: Desc =
    gauge("node_zfs_zpool_state", "1 for the state that the pool is in.", &["state", "zpool"]);

const STATES: [&str; 7] =
    ["online", "degraded", "faulted", "offline", "removed", "unavail", "suspended"];

#[derive(Default)]
struct Zfs {
    pools: Listing,
    objsets: Listing,
    columns: Vec<FamilyId>,
}

impl Collector for Zfs {
    fn collect(&mut self, cx: &mut Cx<'_>, out: &mut Samples) -> Result<()> {
        if cx.proc.open(DIRECTORY).is_err() {
            return Err(Error::no_data("ZFS is not loaded"));
        }
        for (file, family) in FILES {
            set_path(cx.path, &[file]);
            match cx.proc.read_present(cx.path, cx.text) {
                Ok(Some(text)) => push_counters(text, file, family, out)?,
                // Which files there are depends on the version.
                Ok(None) => {}
                Err(Error::Io { errno: Errno::NOTDIR | Errno::ACCESS, .. }) => {}
                Err(error) => return Err(error),
            }
        }
        let Self { pools, objsets, columns } = self;
        // What cannot be listed has no pools.
        let _ = cx.proc.try_list(DIRECTORY, pools);
        for pool in names(pools) {
            if let Some(text) = read(cx, &[pool, "io"])? {
                push_io(text, pool, columns, out)?;
            }
        }
        for pool in names(pools) {
            set_path(cx.path, &[pool]);
            // Nor has a pool datasets then.
            let _ = cx.proc.try_list(cx.path, objsets);
            for objset in objsets.names().filter(|name| name.starts_with("objset-")) {
                if let Some(text) = read(cx, &[pool, objset])? {
                    push_objset(text, pool, out)?;
                }
            }
        }
        for pool in names(pools) {
            if let Some(text) = read(cx, &[pool, "state"])? {
                push_state(text, pool, out)?;
            }
        }
        Ok(())
    }
}

/// Pools are directories, and beside them stand the files about ZFS as a whole.
fn names(pools: &Listing) -> impl Iterator<Item = &str> {
    pools.iter().filter(|entry| !entry.is_regular()).map(|entry| entry.name)
}

/// A pool's file: pools and datasets come and go, so it is not kept open.
fn read<'c>(cx: &'c mut Cx<'_>, parts: &[&str]) -> Result<Option<Text<'c>>> {
    set_path(cx.path, parts);
    match cx.proc.try_read_once(cx.path, cx.text) {
        Ok(text) => Ok(Some(text)),
        Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
        Err(errno) => Err(Error::io(cx.path, errno)),
    }
}

fn set_path(path: &mut String, parts: &[&str]) {
    path.clear();
    path.push_str(DIRECTORY);
    for part in parts {
        path.push('/');
        path.push_str(part);
    }
}

/// A row of a table: `hits    4    8772612`
struct Row<'a> {
    line: Text<'a>,
    name: Text<'a>,
    kind: Text<'a>,
    value: Text<'a>,
}

impl Row<'_> {
    /// The value, when it is of a type that is told.
    fn number(&self) -> Result<Option<f64>> {
        Ok(match self.kind.bytes {
            b"3" => Some(self.value.parse::<i64>()? as f64),
            b"4" => Some(self.value.parse::<u64>()? as f64),
            _ => None,
        })
    }
}

/// Hands out the rows below the line of titles, `name type data`.
fn each_row<'a>(
    text: Text<'a>,
    mut each: impl FnMut(&Row<'a>) -> Result<()>,
) -> Result<()> {
    let mut is_below_titles = false;
    for line in text.scan() {
        let line = line?;
        let mut fields = line.fields();
        let (Some(name), Some(kind), Some(value)) = (fields.next(), fields.next(), fields.next())
        else {
            continue;
        };
        if is_below_titles {
            each(&Row { line, name, kind, value })?;
        } else {
            let titles = [name.bytes, kind.bytes, value.bytes];
            is_below_titles = titles == [b"name", b"type", b"data"] && fields.next().is_none();
        }
    }
    if is_below_titles { Ok(()) } else { Err(Error::truncated(text.path)) }
}

/// Opens the family of a row or column: what follows the last dot of its name counts.
fn open_family(
    out: &mut Samples,
    family: &str,
    name: Text<'_>,
    help: &dyn LabelValue,
) -> Result<FamilyId> {
    let last = name.as_str()?.rsplit('.').next().unwrap_or_default();
    if last.is_empty() {
        return Err(name.malformed());
    }
    let name = Underscored(format_args!("node_zfs_{family}_{last}"));
    Ok(out.family(&name, Kind::Untyped, &help))
}

fn push_counters(text: Text<'_>, file: &str, family: &str, out: &mut Samples) -> Result<()> {
    each_row(text, |row| {
        if let Some(value) = row.number()? {
            let help = format_args!("Row of this name in {DIRECTORY}/{file}.");
            let family = open_family(out, family, row.name, &help)?;
            out.push_named(family, &[], value);
        }
        Ok(())
    })
}

/// Titles, then a row of numbers: `nread    nwritten  reads    writes   wtime ...`
fn push_io(
    text: Text<'_>,
    pool: &str,
    columns: &mut Vec<FamilyId>,
    out: &mut Samples,
) -> Result<()> {
    const LEAST: usize = 12;

    columns.clear();
    for line in text.scan() {
        let mut fields = line?.fields();
        if columns.is_empty() {
            let is_titles = fields.clone().next().is_some_and(|field| field.bytes == b"nread");
            if is_titles && fields.clone().count() >= LEAST {
                for title in fields {
                    let help = "Column of this name in a pool's io.";
                    columns.push(open_family(out, "zpool", title, &help)?);
                }
            }
            continue;
        }
        for &family in &*columns {
            out.push_named(family, &[("zpool", &pool)], fields.parse::<u64>()?);
        }
    }
    Ok(())
}

/// Numbers below the row with the name of the dataset that they are about.
fn push_objset(text: Text<'_>, pool: &str, out: &mut Samples) -> Result<()> {
    let (mut dataset, mut zpool): (&[u8], &str) = (b"", "");
    each_row(text, |row| {
        if row.name.bytes == b"dataset_name" {
            // It may have spaces in it, and begins where its first word does in the whole line.
            let start = memchr::memmem::find(row.line.bytes, row.value.bytes).unwrap_or_default();
            (dataset, zpool) = (&row.line.bytes[start..], pool);
        } else if row.kind.bytes == b"4" {
            let value: u64 = row.value.parse()?;
            let help = "Row of this name in a pool's objset file.";
            let family = open_family(out, "zpool_dataset", row.name, &help)?;
            out.push_named(family, &[("dataset", &dataset), ("zpool", &zpool)], value);
        }
        Ok(())
    })
}

/// `ONLINE`
fn push_state(text: Text<'_>, pool: &str, out: &mut Samples) -> Result<()> {
    let line = text.scan().next().transpose()?.map_or(&b""[..], |line| line.bytes);
    for state in &STATES {
        out.push(&STATE, &[state, &pool], line.eq_ignore_ascii_case(state.as_bytes()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Names, labels and values in short.
    fn shown(push: impl FnOnce(&mut Samples) -> Result<()>) -> (String, bool) {
        let mut out = Samples::default();
        let is_good = push(&mut out).is_ok();
        let shown = out.iter().map(|sample| {
            let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
            let labels: String = sample.labels().map(|(_, value)| text(value) + " ").collect();
            let name = text(sample.name());
            format!("{labels}{}={}", name.trim_start_matches("node_zfs_"), sample.value())
        });
        (shown.collect::<Vec<_>>().join(", "), is_good)
    }

    #[test]
    fn counters() {
        const TITLES: &str = "9 1 0x01 49 11 22 33\nname type data\n";
        for (text, expected, is_good) in [
            ("a 4 1\n", "", false),
            (TITLES, "", true),
            (&format!("{TITLES}a 4 1\nb 3 -2\nc 2 x\n\nd 4\ne 4 5 6"), "arc_a=1, arc_b=-2, arc_e=5", true),
            (&format!("{TITLES}x.y-z 4 18446744073709551615\n"), "arc_y_z=18446744073709552000", true),
            (&format!("{TITLES}a 4 1\nb 4 -1\nc 4 1"), "arc_a=1", false),
            (&format!("{TITLES}a 3 9223372036854775808\n"), "", false),
            (&format!("{TITLES}a. 4 1\n"), "", false),
            (&format!("{TITLES}{TITLES}a 4 1\n"), "arc_a=1", true),
            ("name type data more\na 4 1\n", "", false),
        ] {
            let text = Text::new("arcstats", text.as_bytes());
            let told = shown(|out| push_counters(text, "arcstats", "arc", out));
            assert_eq!(told, (expected.to_owned(), is_good), "{text:?}");
        }
    }

    #[test]
    fn io() {
        const TITLES: &str = "12 3 0x00 1 80\nnread b c d e f g h i j k l\n";
        const ROW: &str = "1 2 3 4 5 6 7 8 9 10 11";
        let first = "p zpool_nread=1, p zpool_b=2";
        for (text, expected, is_good) in [
            ("", "", true),
            ("nread b c\n1 2 3\n", "", true),
            (TITLES, "", true),
            (&format!("{TITLES}{ROW} 12 13\n"), first, true),
            (&format!("{TITLES}{ROW}\n"), first, false),
            (&format!("{TITLES}{ROW} x\n"), first, false),
            (&format!("{TITLES}\n"), "", false),
        ] {
            let text = Text::new("p/io", text.as_bytes());
            let (told, is_told_good) = shown(|out| push_io(text, "p", &mut Vec::new(), out));
            assert!(told.starts_with(expected) && is_told_good == is_good, "{text:?}: {told}");
        }
    }

    #[test]
    fn objsets() {
        const TITLES: &str = "28 1 0x01 7 2160\nname type data\n";
        for (text, expected, is_good) in [
            (String::new(), "", false),
            (format!("{TITLES}dataset_name 7 p/a b \nw 4 1\n"), "p/a b  p zpool_dataset_w=1", true),
            (format!("{TITLES}dataset_name 7 set\nw 4 1\n"), "set_name 7 set p zpool_dataset_w=1", true),
            (format!("{TITLES}w 4 1\nv 3 1\n"), "  zpool_dataset_w=1", true),
            (format!("{TITLES}w 4 x\n"), "", false),
        ] {
            let text = Text::new("p/objset-0x1", text.as_bytes());
            let told = shown(|out| push_objset(text, "p", out));
            assert_eq!(told, (expected.to_owned(), is_good), "{text:?}");
        }
    }

    #[test]
    fn states() {
        for (text, expected) in [
            ("ONLINE\n", Some("online")),
            ("Degraded\r\nONLINE\n", Some("degraded")),
            ("UNAVAIL", Some("unavail")),
            (" ONLINE\n", None),
            ("\nONLINE\n", None),
            ("", None),
        ] {
            let (told, is_good) = shown(|out| push_state(Text::new("p/state", text.as_bytes()), "p", out));
            let active = told.split(", ").find_map(|told| told.strip_suffix(" p zpool_state=1"));
            assert!(is_good && told.matches('=').count() == STATES.len(), "{told}");
            assert_eq!(active, expected, "{text:?}");
        }
    }
}
