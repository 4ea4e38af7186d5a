//! Interrupts by source and CPU, from `/proc/interrupts`.

use crate::collector::prelude::*;
use crate::number;

static INCLUDE: Flag<Option<Pattern>> = flags::pattern(
    "collector.interrupts.name-include",
    "",
    "Interrupts to tell of, as `type;info;devices`; all others are left out.",
);
static EXCLUDE: Flag<Option<Pattern>> = flags::pattern(
    "collector.interrupts.name-exclude",
    "",
    "Interrupts to leave out, as `type;info;devices`.",
);
static INCLUDE_ZEROS: Flag<bool> = flags::switch(
    "collector.interrupts.include-zeros",
    true,
    "Tell also of CPUs that never had the interrupt.",
);

pub static SPEC: Spec = Spec::new(
    "interrupts",
    Off,
    "/proc/interrupts",
    &[&INCLUDE, &EXCLUDE, &INCLUDE_ZEROS],
    |setup| {
        Ok(Box::new(Interrupts {
            names: Filter::from_flags(setup.flags, &EXCLUDE, &INCLUDE),
            include_zeros: setup.flags.get(&INCLUDE_ZEROS),
            rows: Vec::new(),
            full_name: Vec::new(),
        }))
    },
);

static INTERRUPTS: Desc = counter(
    "node_interrupts_total",
    "Interrupts that the CPU handled; the CPU is the column that it has in the file.",
    &["cpu", "devices", "info", "type"],
);

struct Interrupts {
    names: Filter,
    include_zeros: bool,
    rows: Vec<Place>,
    /// What the filter looks at.
    full_name: Vec<u8>,
}

/// Where in the file a row stands that tells something.
struct Place {
    name: Span,
    counts: Span,
    words: Span,
}

impl Collector for Interrupts {
    fn collect(&mut self, cx: &mut Cx<'_>, out: &mut Samples) -> Result<()> {
        let text = cx.proc.read("interrupts", cx.text)?;
        find_rows(text, &mut self.rows)?;
        // The original emits a part before it finds a bad number, each time another one.
        out.all_or_nothing(|out| {
            for place in &self.rows {
                let row = Row::new(text, place);
                self.full_name.clear();
                row.write_name(&mut self.full_name);
                if !self.names.drops(&self.full_name) {
                    row.push(self.include_zeros, out)?;
                }
            }
            Ok(())
        })
    }
}

/// Finds the rows with a number for every CPU and more behind, the last of each name.
fn find_rows(text: Text<'_>, rows: &mut Vec<Place>) -> Result<()> {
    rows.clear();
    let mut lines = text.scan();
    let cpus = lines.next().ok_or_else(|| Error::truncated(text.path))??.fields().count();
    for line in lines {
        let Some((name, rest)) = line?.split_once(b':') else { continue };
        let mut fields = rest.fields();
        fields.by_ref().take(cpus).for_each(drop);
        let words = fields.rest();
        if !words.is_empty() {
            let blanks = name.bytes.iter().take_while(|byte| **byte == b' ').count();
            let counts = &rest.bytes[..rest.bytes.len() - words.len()];
            rows.push(Place {
                name: text.span_of(&name.bytes[blanks..]),
                counts: text.span_of(counts),
                words: text.span_of(words),
            });
        }
    }
    let name = |row: &Place| text.at(row.name).bytes;
    rows.sort_unstable_by(|a, b| name(a).cmp(name(b)).then(b.words.cmp(&a.words)));
    rows.dedup_by(|b, a| name(a) == name(b));
    Ok(())
}

/// ` 24:   1517   9   PCI-MSI 49152-edge   xhci_hcd`, or `NMI:   3   1   Non-maskable interrupts`.
struct Row<'a> {
    name: Text<'a>,
    counts: Fields<'a>,
    info: Fields<'a>,
    devices: Fields<'a>,
}

impl<'a> Row<'a> {
    fn new(text: Text<'a>, place: &Place) -> Self {
        let (name, mut words) = (text.at(place.name), text.at(place.words).fields());
        let nothing = Text { bytes: b"", ..text };
        let (info, devices) = if number::int(name.bytes).is_some() {
            let info = words.next().unwrap_or(nothing);
            (info.fields(), words)
        } else {
            (words, nothing.fields())
        };
        Self { name, counts: text.at(place.counts).fields(), info, devices }
    }

    /// What the filter looks at.
    fn write_name(&self, out: &mut Vec<u8>) {
        let Self { name, info, devices, .. } = self;
        for part in [&name.bytes as &dyn LabelValue, &";", info, &";", devices] {
            part.write(out);
        }
    }

    fn push(self, include_zeros: bool, out: &mut Samples) -> Result<()> {
        let Self { name, counts, info, devices } = self;
        for (cpu, count) in counts.enumerate() {
            let count: f64 = count.parse()?;
            if include_zeros || count != 0.0 {
                out.push(&INTERRUPTS, &[&cpu, &devices, &info, &name.bytes], count);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_row_of_a_name_counts_where_it_tells_something() {
        let text = "CPU0 CPU1\n 1: 1 2 a\nNMI: 3 4 b c\n 1: 5 6 d e\n2:7 8\nERR: 9\nx y z\n";
        let text = Text::new("interrupts", text.as_bytes());
        let mut rows = Vec::new();
        find_rows(text, &mut rows).unwrap();
        let names = rows.iter().map(|place| {
            let mut full = Vec::new();
            Row::new(text, place).write_name(&mut full);
            String::from_utf8(full).unwrap()
        });
        assert_eq!(names.collect::<Vec<_>>(), ["1;d;e", "NMI;b c;"]);
        assert!(find_rows(Text::new("interrupts", b""), &mut rows).is_err());
    }
}
