//! The memory manager's counts, from `/proc/vmstat`.

use crate::collector::prelude::*;

static FIELDS: Flag<String> = flags::text(
    "collector.vmstat.fields",
    "^(oom_kill|pgpg|pswp|pg.*fault).*",
    "Regexp of fields to tell.",
);

pub static SPEC: Spec = Spec::new("vmstat", On, "/proc/vmstat", &[&FIELDS], |setup| {
    // An empty pattern takes all.
    let fields = setup.flags.get(&FIELDS);
    let fields = Pattern::new(&fields).map_err(|error| format!("--{}: {error}", FIELDS.name()))?;
    Ok(Box::new(VmStat { fields }))
});

struct VmStat {
    fields: Pattern,
}

impl Collector for VmStat {
    fn collect(&mut self, cx: &mut Cx<'_>, out: &mut Samples) -> Result<()> {
        for line in cx.proc.read("vmstat", cx.text)?.scan() {
            let mut words = line?.fields();
            let name = words.word()?;
            // A bad number is an error in a field that is not told, too.
            let value: f64 = words.parse()?;
            if self.fields.is_match(name) {
                let name = Text::new("vmstat", name).as_str()?;
                let family = out.family(
                    &Underscored(format_args!("node_vmstat_{name}")),
                    Kind::Untyped,
                    &format_args!("Field {name} of /proc/vmstat."),
                );
                out.push_named(family, &[], value);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flags::Values;
    use crate::host::Paths;

    #[test]
    fn a_bad_pattern_ends_the_start() {
        let mut flags = Values::default();
        flags.give("collector.vmstat.fields", "(");
        let setup = Setup { flags: &flags, paths: &Paths::default(), enabled: &["vmstat"] };
        let error = (SPEC.build)(&setup).err().unwrap();
        assert!(error.starts_with("--collector.vmstat.fields: "), "{error}");
    }
}
