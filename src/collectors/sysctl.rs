//! Kernel parameters that the user names, from `/proc/sys`.

use crate::collector::prelude::*;
use crate::exposition::FamilyId;
use crate::exposition::name::sanitized;
use crate::flags::Values;

static INCLUDE: Flag<Vec<String>> = flags::list(
    "collector.sysctl.include",
    "",
    "Parameter to tell, a number or several; NAME:KEY,KEY gives each its own name.",
);
static INCLUDE_INFO: Flag<Vec<String>> =
    flags::list("collector.sysctl.include-info", "", "Parameter to tell as the label of a 1.");

pub static SPEC: Spec =
    Spec::new("sysctl", Off, "/proc/sys", &[&INCLUDE, &INCLUDE_INFO], |setup| {
        setup.need_proc()?;
        let numbers = given(setup.flags, &INCLUDE).into_iter().map(|it| Entry::new(&it, true));
        let texts = given(setup.flags, &INCLUDE_INFO).into_iter().map(|it| Entry::new(&it, false));
        let entries = numbers.chain(texts).collect();
        Ok(Box::new(Sysctl { entries, values: Vec::new() }))
    });

static INFO: Desc = gauge(
    "node_sysctl_info",
    "The kernel parameter's value, or one of its values by index; always 1.",
    &["index", "name", "value"],
);

fn given(flags: &Values, flag: &Flag<Vec<String>>) -> Vec<String> {
    if flags.is_given(flag.name()) { flags.get(flag) } else { Vec::new() }
}

struct Sysctl {
    entries: Vec<Entry>,
    /// Scratch for one parameter's numbers.
    values: Vec<i64>,
}

/// A parameter that the user named.
struct Entry {
    is_numeric: bool,
    /// As given: `fs.file-nr`.
    name: String,
    path: String,
    family: Family,
    /// A family for each value, where keys were given.
    keys: Vec<Family>,
}

struct Family {
    name: String,
    help: String,
}

impl Entry {
    fn new(given: &str, is_numeric: bool) -> Self {
        let (name, keys) = match given.split_once(':') {
            Some((name, keys)) => (name, keys.split(',').collect()),
            None => (given, Vec::new()),
        };
        let family = format!("node_sysctl_{}", sanitized(name.as_bytes()));
        let key = |(at, key): (usize, &&str)| Family {
            name: format!("{family}_{key}"),
            help: format!("Value {at} of the kernel parameter {name}."),
        };
        Self {
            is_numeric,
            name: name.to_owned(),
            path: format!("sys/{}", name.replace('.', "/")),
            keys: keys.iter().enumerate().map(key).collect(),
            family: Family {
                help: format!("The kernel parameter {name}."),
                name: family,
            },
        }
    }
}

impl Collector for Sysctl {
    fn collect(&mut self, cx: &mut Cx<'_>, out: &mut Samples) -> Result<()> {
        for entry in &self.entries {
            let text = cx.proc.attribute(&entry.path, cx.text)?;
            let count = text.fields().count();
            let keys = entry.keys.len();
            let is_mapped = keys > 0 && keys == count && count > 1 && entry.is_numeric;
            if count == 0 || keys > 0 && !is_mapped {
                return Err(Error::failed(format!("{}: {count} values, {keys} keys", text.path)));
            }
            if entry.is_numeric {
                self.values.clear();
                for field in text.fields() {
                    let AnyBase(value) = field.parse()?;
                    self.values.push(value);
                }
                entry.push_numbers(&self.values, out);
            } else {
                for (at, field) in text.fields().enumerate() {
                    out.push(&INFO, &[&at, &entry.name, &field.bytes], 1.0);
                }
            }
        }
        Ok(())
    }
}

impl Entry {
    fn push_numbers(&self, values: &[i64], out: &mut Samples) {
        if !self.keys.is_empty() {
            for (key, value) in self.keys.iter().zip(values) {
                let family = key.open(out);
                out.push_named(family, &[], *value);
            }
            return;
        }
        let family = self.family.open(out);
        match values {
            [value] => out.push_named(family, &[], *value),
            values => {
                for (at, value) in values.iter().enumerate() {
                    out.push_named(family, &[("index", &at)], *value);
                }
            }
        }
    }
}

impl Family {
    fn open(&self, out: &mut Samples) -> FamilyId {
        out.family(&Underscored(&*self.name), Kind::Untyped, &*self.help)
    }
}
