//! Time that tasks lost for want of a resource, from `/proc/pressure`.

use crate::collector::prelude::*;
use crate::number;

pub static SPEC: Spec = Spec::new("pressure", On, "/proc/pressure", &[], |setup| {
    setup.need_proc()?;
    Ok(Box::new(collect))
});

/// A file, and what its lines `some` and `full` are told as.
struct Resource {
    path: &'static str,
    some: Option<Desc>,
    full: Option<Desc>,
}

static RESOURCES: [Resource; 4] = [
    Resource {
        path: "pressure/cpu",
        some: Some(counter(
            "node_pressure_cpu_waiting_seconds_total",
            "Time in which some task waited for a CPU, in seconds.",
            &[],
        )),
        full: None,
    },
    Resource {
        path: "pressure/io",
        some: Some(counter(
            "node_pressure_io_waiting_seconds_total",
            "Time in which some task waited for I/O, in seconds.",
            &[],
        )),
        full: Some(counter(
            "node_pressure_io_stalled_seconds_total",
            "Time in which all tasks that were not idle waited for I/O, in seconds.",
            &[],
        )),
    },
    Resource {
        path: "pressure/memory",
        some: Some(counter(
            "node_pressure_memory_waiting_seconds_total",
            "Time in which some task waited for memory, in seconds.",
            &[],
        )),
        full: Some(counter(
            "node_pressure_memory_stalled_seconds_total",
            "Time in which all tasks that were not idle waited for memory, in seconds.",
            &[],
        )),
    },
    Resource {
        path: "pressure/irq",
        some: None,
        full: Some(counter(
            "node_pressure_irq_stalled_seconds_total",
            "Time in which tasks stood still because the CPU served interrupts, in seconds.",
            &[],
        )),
    },
];

fn collect(cx: &mut Cx<'_>, out: &mut Samples) -> Result<()> {
    let mut is_any = false;
    for resource in &RESOURCES {
        let text = match cx.proc.read_present(resource.path, cx.text) {
            Ok(Some(text)) => text,
            Ok(None) => continue,
            // Built in, and switched off when the kernel booted.
            Err(Error::Io { errno: Errno::OPNOTSUPP, .. }) => {
                return Err(Error::no_data("pressure: off, psi=1 on the kernel's command line adds it"));
            }
            Err(error) => return Err(error),
        };
        is_any = true;
        let [some, full] = parse(text)?;
        let told = [(&resource.some, some), (&resource.full, full)];
        if told.iter().any(|(desc, total)| desc.is_some() && total.is_none()) {
            return Err(Error::no_data("pressure: a line is missing"));
        }
        for (desc, total) in told {
            if let (Some(desc), Some(total)) = (desc, total) {
                out.push(desc, &[], total as f64 / 1000.0 / 1000.0);
            }
        }
    }
    if is_any { Ok(()) } else { Err(Error::no_data("pressure: no such directory")) }
}

/// The microseconds in the lines `some` and `full`.
fn parse(text: Text<'_>) -> Result<[Option<u64>; 2]> {
    let mut totals = [None; 2];
    for line in text.scan().map_while(Result::ok) {
        let kind = line.bytes.split(|&byte| byte == b' ').next();
        let total = match kind {
            Some(b"some") => &mut totals[0],
            Some(b"full") => &mut totals[1],
            _ => continue,
        };
        *total = Some(parse_line(line)?);
    }
    Ok(totals)
}

/// `some avg10=0.00 avg60=0.10 avg300=0.05 total=14036781`
fn parse_line(line: Text<'_>) -> Result<u64> {
    let mut fields = line.fields();
    fields.next();
    for key in [&b"avg10="[..], b"avg60=", b"avg300="] {
        let field = fields.next().ok_or_else(|| line.malformed())?;
        field.strip_prefix(key).ok_or_else(|| field.malformed())?.parse::<f64>()?;
    }
    let field = fields.next().ok_or_else(|| line.malformed())?;
    let total = field.strip_prefix(b"total=").ok_or_else(|| field.malformed())?.bytes;
    // What follows the number was never looked at.
    let end = total.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(total.len());
    number::uint(&total[..end]).ok_or_else(|| field.malformed())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines() {
        let parse = |text: &str| parse(Text::new("pressure/io", text.as_bytes()));
        for (text, expected) in [
            ("", Some([None, None])),
            ("some avg10=0.00 avg60=1 avg300=2.5 total=7\n", Some([Some(7), None])),
            ("full avg10=0.00  avg60=1 avg300=2.5 total=7us\n", Some([None, Some(7)])),
            ("any x\nsomething total=1\nfull\tx\n", Some([None, None])),
            (
                "some avg10=0 avg60=0 avg300=0 total=1\nsome avg10=0 avg60=0 avg300=0 total=2\n",
                Some([Some(2), None]),
            ),
            ("some\n", None),
            ("some avg10=x avg60=1 avg300=2.5 total=7\n", None),
            ("some avg60=1 avg300=2.5 total=7\n", None),
            ("some avg10=0 avg60=1 avg300=2.5 total=-7\n", None),
            ("some avg10=0 avg60=1 avg300=2.5 total=18446744073709551616\n", None),
            ("full avg10=0 avg60=1 avg300=2.5\n", None),
        ] {
            assert_eq!(parse(text).ok(), expected, "{text:?}");
        }
    }
}
