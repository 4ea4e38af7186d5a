//! Counters that the kernel's network caches keep for each CPU, from `/proc/net/stat`.

use crate::collector::prelude::*;
use crate::exposition::FamilyId;

use std::fmt::Write;

pub static SPEC: Spec =
    Spec::new("lnstat", Off, "/proc/net/stat/*", &[], |_| Ok(Box::new(Lnstat::default())));

#[derive(Default)]
struct Lnstat {
    files: Listing,
    columns: Vec<Column>,
}

struct Column {
    title: Span,
    family: FamilyId,
    /// The first column of that title: a title that is repeated counts on in it.
    first: usize,
    rows: usize,
}

impl Collector for Lnstat {
    fn collect(&mut self, cx: &mut Cx<'_>, out: &mut Samples) -> Result<()> {
        if !cx.proc.is_present() {
            return Err(Error::failed("there is no procfs"));
        }
        if cx.proc.try_list("net/stat", &mut self.files).is_err() {
            return Ok(());
        }
        out.all_or_nothing(|out| {
            for name in self.files.names() {
                cx.path.clear();
                let _ = write!(cx.path, "net/stat/{name}");
                match cx.proc.read(cx.path, cx.text) {
                    Ok(text) => push(name, text, &mut self.columns, out)?,
                    // To the original a directory is a file without lines.
                    Err(Error::Io { errno: Errno::ISDIR, .. }) => {}
                    Err(error) => return Err(error),
                }
            }
            Ok(())
        })
    }
}

/// Titles, then a row a CPU in hexadecimal:
/// `entries  allocs   destroys`, `00000012 00000000 0000000a`
fn push(
    subsystem: &str,
    text: Text<'_>,
    columns: &mut Vec<Column>,
    out: &mut Samples,
) -> Result<()> {
    let mut lines = text.scan().map_while(Result::ok);
    columns.clear();
    for title in lines.next().into_iter().flat_map(Text::fields) {
        let same = |column: &Column| text.at(column.title).bytes == title.bytes;
        let first = columns.iter().position(same).unwrap_or(columns.len());
        let name = Underscored(format_args!("node_lnstat_{}_total", title.as_str()?));
        let family = out.family(&name, Kind::Counter, "Counter of this name in /proc/net/stat.");
        columns.push(Column { title: text.span_of(title.bytes), family, first, rows: 0 });
    }
    for row in lines {
        for (at, field) in row.fields().enumerate() {
            let Hex(value) = field.parse()?;
            let &Column { family, first, .. } = columns.get(at).ok_or_else(|| row.malformed())?;
            let cpu = columns[first].rows;
            out.push_named(family, &[("cpu", &cpu), ("subsystem", &subsystem)], value);
            columns[first].rows += 1;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files() {
        for (text, expected) in [
            ("", Some("")),
            ("a b\n", Some("")),
            ("a b\n1 ff\n2 0\n", Some("a0=1 b0=255 a1=2 b1=0")),
            ("a b\n1\n\n2 3", Some("a0=1 a1=2 b0=3")),
            ("a b a\n1 2 3\n4 5 6", Some("a0=1 b0=2 a1=3 a2=4 b1=5 a3=6")),
            ("a\n1 2\n", None),
            ("\n1\n", None),
            ("a\n0x1\n", None),
            (&format!("a\n1\n{}\nx", "1".repeat(1 << 16)), Some("a0=1")),
        ] {
            let mut out = Samples::default();
            let text = Text::new("net/stat/x", text.as_bytes());
            let outcome = push("x", text, &mut Vec::new(), &mut out).ok().map(|()| {
                let shown = out.iter().map(|sample| {
                    let name = String::from_utf8_lossy(sample.name()).into_owned();
                    let cpu = String::from_utf8_lossy(sample.label_value(0)).into_owned();
                    format!("{}{cpu}={}", &name["node_lnstat_".len()..name.len() - 6], sample.value())
                });
                shown.collect::<Vec<_>>().join(" ")
            });
            assert_eq!(outcome.as_deref(), expected, "{text:?}");
        }
    }
}
