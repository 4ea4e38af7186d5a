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
    /// Name and rest of the lines that tell something.
    rows: Vec<(Span, Span)>,
    /// What the filter looks at.
    full_name: Vec<u8>,
}

impl Collector for Interrupts {
    fn collect(&mut self, cx: &mut Cx<'_>, out: &mut Samples) -> Result<()> {
        let text = cx.proc.read("interrupts", cx.text)?;
        let cpus = find_rows(text, &mut self.rows)?;
        // The original emits a part before it finds a bad number, each time another one.
        out.all_or_nothing(|out| {
            for &(name, rest) in &self.rows {
                let row = Row::new(text.at(name), text.at(rest), cpus);
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

/// Finds the rows with a number for every CPU and more behind, the last of each name, and tells
/// how many CPUs there are.
fn find_rows(text: Text<'_>, rows: &mut Vec<(Span, Span)>) -> Result<usize> {
    rows.clear();
    let mut lines = text.scan();
    let cpus = lines.next().ok_or_else(|| Error::truncated(text.path))??.fields().count();
    for line in lines {
        let Some((name, rest)) = line?.split_once(b':') else { continue };
        if rest.fields().nth(cpus).is_some() {
            let blanks = name.bytes.iter().take_while(|byte| **byte == b' ').count();
            rows.push((text.span_of(&name.bytes[blanks..]), text.span_of(rest.bytes)));
        }
    }
    let name = |row: &(Span, Span)| text.at(row.0).bytes;
    rows.sort_unstable_by(|a, b| name(a).cmp(name(b)).then(b.1.cmp(&a.1)));
    rows.dedup_by(|b, a| name(a) == name(b));
    Ok(cpus)
}

/// ` 24:   1517   9   PCI-MSI 49152-edge   xhci_hcd`, or `NMI:   3   1   Non-maskable interrupts`.
struct Row<'a> {
    name: Text<'a>,
    counts: std::iter::Take<Fields<'a>>,
    info: Fields<'a>,
    devices: Fields<'a>,
}

impl<'a> Row<'a> {
    fn new(name: Text<'a>, rest: Text<'a>, cpus: usize) -> Self {
        let mut words = rest.fields();
        words.by_ref().take(cpus).for_each(drop);
        let nothing = Text { bytes: b"", ..rest };
        let (info, devices) = if number::int(name.bytes).is_some() {
            let info = words.next().unwrap_or(nothing);
            (info.fields(), words)
        } else {
            (words, nothing.fields())
        };
        Self { name, counts: rest.fields().take(cpus), info, devices }
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
        assert_eq!(find_rows(text, &mut rows).unwrap(), 2);
        let names = rows.iter().map(|&(name, rest)| {
            let mut full = Vec::new();
            Row::new(text.at(name), text.at(rest), 2).write_name(&mut full);
            String::from_utf8(full).unwrap()
        });
        assert_eq!(names.collect::<Vec<_>>(), ["1;d;e", "NMI;b c;"]);
        assert!(find_rows(Text::new("interrupts", b""), &mut rows).is_err());
    }
}
