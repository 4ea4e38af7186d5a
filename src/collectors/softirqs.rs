//! Soft interrupts by type and CPU, from `/proc/softirqs`.

use crate::collector::prelude::*;

pub static SPEC: Spec = Spec::new("softirqs", Off, "/proc/softirqs", &[], |setup| {
    setup.need_proc()?;
    Ok(Box::new(collect))
});

static FUNCTIONS: Desc =
    counter("node_softirqs_functions_total", "Soft interrupts handled.", &["cpu", "type"]);

static TYPES: [&str; 10] = [
    "HI", "TIMER", "NET_TX", "NET_RX", "BLOCK", "IRQ_POLL", "TASKLET", "SCHED", "HRTIMER", "RCU",
];

fn collect(cx: &mut Cx<'_>, out: &mut Samples) -> Result<()> {
    let text = cx.proc.read("softirqs", cx.text)?;
    let rows = rows(text)?;
    for (kind, row) in TYPES.iter().zip(rows) {
        // The column is taken for the CPU even when the header leaves some out.
        for (cpu, count) in row.fields().skip(1).enumerate() {
            out.push(&FUNCTIONS, &[&cpu, kind], count.parse::<u64>()?);
        }
    }
    Ok(())
}

/// The last row of each type, every number looked at:
/// `     NET_RX:     191022        105`
fn rows(text: Text<'_>) -> Result<[Text<'_>; TYPES.len()]> {
    let mut lines = text.scan();
    lines.next().ok_or_else(|| Error::truncated(text.path))??;
    let mut rows = [Text { bytes: b"", ..text }; TYPES.len()];
    for line in lines {
        let line = line?;
        let mut fields = line.fields();
        let Some([name @ .., b':']) = fields.next().map(|field| field.bytes) else { continue };
        let Some(at) = TYPES.iter().position(|kind| kind.as_bytes() == name) else { continue };
        let mut is_bare = true;
        for count in fields {
            count.parse::<u64>()?;
            is_bare = false;
        }
        if !is_bare {
            rows[at] = line;
        }
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts() {
        for (text, expected) in [
            ("", None),
            ("CPU0\n", Some("")),
            ("\nHI: 1 2\n", Some("HI: 1 2")),
            ("CPU0\nHI: 1\n\nRCU: 18446744073709551615", Some("HI: 1RCU: 18446744073709551615")),
            ("CPU0\nHI: 1\nHI: 2\nHI:\nHI", Some("HI: 2")),
            ("CPU0\nOTHER: x\nHI 3\n", Some("")),
            ("CPU0\nHI: 1 -2\n", None),
            ("CPU0\nHI: x\nHI: 2\n", None),
            (&format!("CPU0\n{}", "x".repeat(1 << 16)), None),
        ] {
            let rows = rows(Text::new("softirqs", text.as_bytes())).ok();
            let rows = rows.map(|rows| rows.map(|row| row.as_str().unwrap()).concat());
            assert_eq!(rows.as_deref(), expected, "{text:.80}");
        }
    }
}
