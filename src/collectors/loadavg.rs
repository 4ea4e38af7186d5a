//! Load averages, from `/proc/loadavg`.

use crate::collector::prelude::*;

pub static SPEC: Spec =
    Spec::new("loadavg", On, "/proc/loadavg", &[], |_| Ok(Box::new(collect)));

static LOADS: [Desc; 3] = [
    gauge("node_load1", "Runnable and uninterruptible tasks, averaged over 1 minute.", &[]),
    gauge("node_load5", "Runnable and uninterruptible tasks, averaged over 5 minutes.", &[]),
    gauge("node_load15", "Runnable and uninterruptible tasks, averaged over 15 minutes.", &[]),
];

fn collect(cx: &mut Cx<'_>, out: &mut Samples) -> Result<()> {
    let mut fields = cx.proc.read("loadavg", cx.text)?.fields();
    let mut values = [0.0; 3];
    for value in &mut values {
        *value = fields.parse()?;
    }
    for (load, value) in LOADS.iter().zip(values) {
        out.push(load, &[], value);
    }
    Ok(())
}
