//! Tasks that hung, from `/proc/sys/kernel/hung_task_detect_count`.

use crate::collector::prelude::*;

pub static SPEC: Spec =
    Spec::new("kernel_hung", On, "/proc/sys/kernel/hung_task_detect_count", &[], |setup| {
        setup.need_proc()?;
        Ok(Box::new(collect))
    });

static TASKS: Desc = counter(
    "node_kernel_hung_tasks_total",
    "Tasks that the kernel found hanging, not having run for two minutes or what it is set to.",
    &[],
);

/// The file came with Linux 6.12.
fn collect(cx: &mut Cx<'_>, out: &mut Samples) -> Result<()> {
    let text = cx.proc.read("sys/kernel/hung_task_detect_count", cx.text).absent_is_no_data()?;
    out.push(&TASKS, &[], text.trim().parse::<u64>()?);
    Ok(())
}
