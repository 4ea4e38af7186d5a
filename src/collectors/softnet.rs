//! How each CPU takes packets from the devices, from `/proc/net/softnet_stat`.

use crate::collector::prelude::*;

pub static SPEC: Spec = Spec::new("softnet", On, "/proc/net/softnet_stat", &[], |setup| {
    setup.need_proc()?;
    Ok(Box::new(collect))
});

/// By column.
static COLUMNS: [(usize, Desc); 7] = [
    (0, counter("node_softnet_processed_total", "Packets processed.", &["cpu"])),
    (1, counter("node_softnet_dropped_total", "Packets dropped, the backlog being full.", &["cpu"])),
    (
        2,
        counter(
            "node_softnet_times_squeezed_total",
            "Times that packets were left over when budget or time had run out.",
            &["cpu"],
        ),
    ),
    (
        8,
        counter(
            "node_softnet_cpu_collision_total",
            "Times that another CPU held a device's transmit lock; always 0 on newer kernels.",
            &["cpu"],
        ),
    ),
    (
        9,
        counter(
            "node_softnet_received_rps_total",
            "Times that another CPU woke this one to process packets.",
            &["cpu"],
        ),
    ),
    (
        10,
        counter(
            "node_softnet_flow_limit_count_total",
            "Packets dropped because their flow took too much of the backlog.",
            &["cpu"],
        ),
    ),
    (11, gauge("node_softnet_backlog_len", "Packets waiting in the backlog.", &["cpu"])),
];

fn collect(cx: &mut Cx<'_>, out: &mut Samples) -> Result<()> {
    let text = cx.proc.read("net/softnet_stat", cx.text)?;
    out.all_or_nothing(|out| {
        for (at, line) in text.scan().map_while(Result::ok).enumerate() {
            let row = Row::parse(line, at)?;
            for ((_, desc), value) in COLUMNS.iter().zip(row.values) {
                out.push(desc, &[&row.cpu], value);
            }
        }
        Ok(())
    })
}

#[derive(Debug, PartialEq, Eq)]
struct Row {
    cpu: u32,
    values: [u32; COLUMNS.len()],
}

impl Row {
    /// 9 columns at first; kernels since added one, another, then the backlog's length and the CPU
    /// together: `00358fe3 00006283 00000000 … 00000000 00000076 00000000`
    fn parse(line: Text<'_>, at: usize) -> Result<Row> {
        const LEAST: usize = 9;
        const WITH_CPU: usize = 13;

        let count = line.fields().count();
        if count < LEAST {
            return Err(line.malformed());
        }
        // The column before the CPU's counts only together with it.
        let used = if count >= WITH_CPU { WITH_CPU } else { count.min(WITH_CPU - 2) };
        let mut row = Row { cpu: u32::try_from(at).unwrap_or(u32::MAX), values: [0; _] };
        for (column, field) in line.fields().take(used).enumerate() {
            let Hex(value) = field.parse()?;
            let value = u32::try_from(value).map_err(|_| field.malformed())?;
            if column == WITH_CPU - 1 {
                row.cpu = value;
            } else if let Some(at) = COLUMNS.iter().position(|(other, _)| *other == column) {
                row.values[at] = value;
            }
        }
        Ok(row)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows() {
        for (line, expected) in [
            ("1 2 3 4 5 6 7 8 9", Some((7, [1, 2, 3, 9, 0, 0, 0]))),
            ("1 2 3 4 5 6 7 8 9 a", Some((7, [1, 2, 3, 9, 10, 0, 0]))),
            ("1 2 3 4 5 6 7 8 9 a b", Some((7, [1, 2, 3, 9, 10, 11, 0]))),
            ("1 2 3 4 5 6 7 8 9 a b c", Some((7, [1, 2, 3, 9, 10, 11, 0]))),
            ("1 2 3 4 5 6 7 8 9 a b x", Some((7, [1, 2, 3, 9, 10, 11, 0]))),
            ("1 2 3 4 5 6 7 8 9 a b c d", Some((13, [1, 2, 3, 9, 10, 11, 12]))),
            ("1 2 3 4 5 6 7 8 9 a b c d x y z", Some((13, [1, 2, 3, 9, 10, 11, 12]))),
            ("ffffffff 2 3 4 5 6 7 8 9", Some((7, [u32::MAX, 2, 3, 9, 0, 0, 0]))),
            ("", None),
            ("1 2 3 4 5 6 7 8", None),
            ("100000000 2 3 4 5 6 7 8 9", None),
            ("1 2 3 x 5 6 7 8 9", None),
            ("1 2 3 4 5 6 7 8 9 x", None),
            ("1 2 3 4 5 6 7 8 9 a b x d", None),
        ] {
            let row = Row::parse(Text::new("net/softnet_stat", line.as_bytes()), 7).ok();
            assert_eq!(row, expected.map(|(cpu, values)| Row { cpu, values }), "{line}");
        }
    }
}
