//! Swap devices and files, from `/proc/swaps`.

use crate::collector::prelude::*;

pub static SPEC: Spec = Spec::new("swap", Off, "/proc/swaps", &[], |setup| {
    setup.need_proc()?;
    Ok(Box::new(collect))
});

const LABELS: &[&str] = &["device", "swap_type"];

static SIZE: Desc = gauge("node_swap_size_bytes", "Size of a swap device, in bytes.", LABELS);
static USED: Desc = gauge("node_swap_used_bytes", "Bytes swapped out to a device.", LABELS);
static PRIORITY: Desc =
    gauge("node_swap_priority", "Devices of a higher priority are filled first.", LABELS);

fn collect(cx: &mut Cx<'_>, out: &mut Samples) -> Result<()> {
    let text = cx.proc.read("swaps", cx.text)?;
    out.all_or_nothing(|out| push(text, out))
}

/// Below the titles a line a device, sizes in KiB:
/// `/dev/dm-1    partition    16777212    524    -2`
fn push(text: Text<'_>, out: &mut Samples) -> Result<()> {
    for (at, line) in text.scan().enumerate() {
        let line = line?;
        if at == 0 {
            continue;
        }
        let mut fields = line.fields();
        let (device, kind) = (fields.word()?, fields.word()?);
        let (size, used, priority): (i64, i64, i64) =
            (fields.parse()?, fields.parse()?, fields.parse()?);
        let labels: &[&dyn LabelValue] = &[&device, &kind];
        out.push(&SIZE, labels, size.wrapping_mul(1024));
        out.push(&USED, labels, used.wrapping_mul(1024));
        out.push(&PRIORITY, labels, priority);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exposition::SampleRef;

    #[test]
    fn texts() {
        for (text, expected) in [
            ("", Some(vec![])),
            ("Filename Type\n", Some(vec![])),
            ("\n/a\tfile\t8 0 -2\n", Some(vec![8192.0, 0.0, -2.0])),
            ("x\n/a file +8 1 3 more\n/b file -1 0 0", Some(vec![8192.0, 1024.0, 3.0, -1024.0, 0.0, 0.0])),
            ("x\n/a file 9223372036854775807 0 0\n", Some(vec![-1024.0, 0.0, 0.0])),
            ("x\n/a file 9223372036854775808 0 0\n", None),
            ("x\n/a file 8 0 0\n\n", None),
            ("x\n/a file 8 0\n", None),
            ("x\n/a b file 8 0 0\n", None),
            ("x\n/a file 8.5 0 0\n", None),
            (&"x".repeat(1 << 16), None),
        ] {
            let mut out = Samples::default();
            let outcome = push(Text::new("swaps", text.as_bytes()), &mut out).ok();
            let values = outcome.map(|()| out.iter().map(SampleRef::value).collect());
            assert_eq!(values, expected, "{text:.80}");
        }
    }
}
