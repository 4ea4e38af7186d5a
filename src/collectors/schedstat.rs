//! What the scheduler did on each CPU, from `/proc/schedstat`.

use crate::collector::prelude::*;
use crate::number;

pub static SPEC: Spec = Spec::new("schedstat", On, "/proc/schedstat", &[], |setup| {
    setup.need_proc()?;
    Ok(Box::new(collect))
});

static RUNNING: Desc = counter(
    "node_schedstat_running_seconds_total",
    "Time that tasks ran on the CPU, in seconds.",
    &["cpu"],
);
static WAITING: Desc = counter(
    "node_schedstat_waiting_seconds_total",
    "Time that runnable tasks waited for the CPU, in seconds.",
    &["cpu"],
);
static TIMESLICES: Desc =
    counter("node_schedstat_timeslices_total", "Time slices that ran on the CPU.", &["cpu"]);

fn collect(cx: &mut Cx<'_>, out: &mut Samples) -> Result<()> {
    // Kernels without CONFIG_SCHEDSTATS.
    let Some(text) = cx.proc.read_present("schedstat", cx.text)? else {
        return Err(Error::no_data("schedstat: no such file"));
    };
    for line in text.scan().map_while(Result::ok) {
        if let Some((cpu, [running, waiting, timeslices])) = parse(line.bytes) {
            out.push(&RUNNING, &[&cpu], running as f64 / 1e9);
            out.push(&WAITING, &[&cpu], waiting as f64 / 1e9);
            out.push(&TIMESLICES, &[&cpu], timeslices);
        }
    }
    Ok(())
}

/// `cpu0 0 0 0 0 0 0 2045936778163039 343796328169361 4767485306`, wherever in the line it begins;
/// the last three numbers are told.
fn parse(line: &[u8]) -> Option<(&[u8], [u64; 3])> {
    memchr::memmem::find_iter(line, b"cpu").find_map(|at| {
        let (cpu, mut rest) = split_digits(&line[at + 3..])?;
        let mut numbers = [&b""[..]; 9];
        for number in &mut numbers {
            (*number, rest) = split_digits(rest.strip_prefix(b" ")?)?;
        }
        Some((cpu, numbers))
    })
    .and_then(|(cpu, [.., running, waiting, timeslices])| {
        let parse = number::uint;
        Some((cpu, [parse(running)?, parse(waiting)?, parse(timeslices)?]))
    })
}

/// The digits that a text begins with, of which there must be one, and the rest.
fn split_digits(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = text.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len());
    (end > 0).then(|| text.split_at(end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines() {
        for (line, expected) in [
            ("cpu7 1 2 3 4 5 6 7 8 9", Some(("7", [7, 8, 9]))),
            ("  cpu007 1 2 3 4 5 6 7 8 9 10", Some(("007", [7, 8, 9]))),
            ("cpu1 1 cpu2 1 2 3 4 5 6 7 8 9x", Some(("2", [7, 8, 9]))),
            ("cpu0 1 2 3 4 5 6 7 8", None),
            ("cpu0 1 2 3 4 5 6 7  8 9", None),
            ("cpu0\t1 2 3 4 5 6 7 8 9", None),
            ("cpu0 1 2 3 -4 5 6 7 8 9", None),
            ("cpu 1 2 3 4 5 6 7 8 9", None),
            ("cpu0 1 2 3 4 5 6 18446744073709551616 8 9", None),
            ("cpu0 18446744073709551616 2 3 4 5 6 7 8 9", Some(("0", [7, 8, 9]))),
            ("domain0 3 1 2 3 4 5 6 7 8 9", None),
        ] {
            let expected = expected.map(|(cpu, numbers)| (cpu.as_bytes(), numbers));
            assert_eq!(parse(line.as_bytes()), expected, "{line}");
        }
    }
}
