//! The kernel's caches of objects, from `/proc/slabinfo`.

use crate::collector::prelude::*;

static INCLUDE: Flag<Option<Pattern>> = flags::pattern(
    "collector.slabinfo.slabs-include",
    ".*",
    "Caches to tell of; all others are left out.",
);
static EXCLUDE: Flag<Option<Pattern>> =
    flags::pattern("collector.slabinfo.slabs-exclude", "", "Caches to leave out.");

pub static SPEC: Spec =
    Spec::new("slabinfo", Off, "/proc/slabinfo", &[&INCLUDE, &EXCLUDE], |setup| {
        setup.need_proc()?;
        Ok(Box::new(SlabInfo { slabs: Filter::from_flags(setup.flags, &EXCLUDE, &INCLUDE) }))
    });

/// What the columns after the name are told as.
static TOLD: [Desc; 5] = [
    gauge("node_slabinfo_active_objects", "Objects of the cache in use.", &["slab"]),
    gauge("node_slabinfo_objects", "Objects of the cache, in use or not.", &["slab"]),
    gauge("node_slabinfo_object_size_bytes", "Size of an object, in bytes.", &["slab"]),
    gauge("node_slabinfo_objects_per_slab", "Objects that a slab holds.", &["slab"]),
    gauge("node_slabinfo_pages_per_slab", "Pages that a slab takes.", &["slab"]),
];

const COLUMNS: usize = 16;

/// Columns that nobody tells, yet a bad one fails the collector.
const CHECKED: [usize; 6] = [8, 9, 10, 13, 14, 15];

struct SlabInfo {
    slabs: Filter,
}

impl Collector for SlabInfo {
    fn collect(&mut self, cx: &mut Cx<'_>, out: &mut Samples) -> Result<()> {
        let text = cx.proc.read("slabinfo", cx.text)?;
        out.all_or_nothing(|out| {
            // The original ends at a line too long, without a word.
            text.scan().map_while(Result::ok).try_for_each(|line| self.push_line(line, out))
        })
    }
}

impl SlabInfo {
    /// `dentry  29057  41412  192  42  2 : tunables  0  0  0 : slabdata  986  986  0`
    fn push_line(&self, line: Text<'_>, out: &mut Samples) -> Result<()> {
        let is_heading = |heading: &[u8]| memchr::memmem::find(line.bytes, heading).is_some();
        if is_heading(b"slabinfo -") || is_heading(b"# name") {
            return Ok(());
        }
        let columns = columns(line).ok_or_else(|| line.malformed())?;
        let name = columns[0].bytes;
        let is_dropped = self.slabs.drops(name);
        for (desc, column) in TOLD.iter().zip(&columns[1..]) {
            let value: i64 = column.parse()?;
            if !is_dropped {
                out.push(desc, &[&name], value);
            }
        }
        CHECKED.iter().try_for_each(|&at| columns[at].parse::<i64>().map(drop))
    }
}

/// What stands between white space, be it nothing at either end.
fn columns(line: Text<'_>) -> Option<[Text<'_>; COLUMNS]> {
    let is_blank = |byte: &u8| byte.is_ascii_whitespace();
    let mut rest = Some(line.bytes);
    let mut columns = [Text { bytes: b"", ..line }; COLUMNS];
    for column in &mut columns {
        let bytes = rest?;
        let end = bytes.iter().position(is_blank);
        column.bytes = &bytes[..end.unwrap_or(bytes.len())];
        rest = end.map(|end| bytes[end..].trim_ascii_start());
    }
    rest.is_none().then_some(columns)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_have_sixteen_columns() {
        let fifteen = "1 2 3 4 5 6 7 8 9 10 11 12 13 14 15";
        for (line, first) in [
            (format!("a {fifteen}"), Some("a")),
            (format!("a\t\t {fifteen}"), Some("a")),
            (format!(" {fifteen}"), Some("")),
            (format!("{fifteen} "), Some("1")),
            (fifteen.to_owned(), None),
            (format!("a {fifteen} "), None),
            (format!(" a {fifteen}"), None),
            (String::new(), None),
        ] {
            let columns = columns(Text::new("slabinfo", line.as_bytes()));
            assert_eq!(columns.map(|columns| columns[0].as_str().unwrap()), first, "{line:?}");
        }
    }
}
