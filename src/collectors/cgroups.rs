//! Controllers of control groups, from `/proc/cgroups`.

use crate::collector::prelude::*;

pub static SPEC: Spec = Spec::new("cgroups", Off, "/proc/cgroups", &[], |setup| {
    setup.need_proc()?;
    Ok(Box::new(collect))
});

static CGROUPS: Desc =
    gauge("node_cgroups_cgroups", "Control groups that use the controller.", &["subsys_name"]);
static ENABLED: Desc =
    gauge("node_cgroups_enabled", "Whether the controller is switched on.", &["subsys_name"]);

fn collect(cx: &mut Cx<'_>, out: &mut Samples) -> Result<()> {
    let text = cx.proc.read("cgroups", cx.text)?;
    out.all_or_nothing(|out| {
        for line in text.scan() {
            let line = line?;
            if !line.bytes.starts_with(b"#") {
                push_controller(line.fields(), out)?;
            }
        }
        Ok(())
    })
}

/// `cpuset\t5\t47\t1`: name, hierarchy, groups, whether enabled.
fn push_controller(mut fields: Fields<'_>, out: &mut Samples) -> Result<()> {
    let name = fields.word()?;
    let _hierarchy: i64 = fields.parse()?;
    let cgroups: i64 = fields.parse()?;
    let enabled: i64 = fields.parse()?;
    out.push(&CGROUPS, &[&name], cgroups);
    out.push(&ENABLED, &[&name], enabled);
    Ok(())
}
