//! NVMe subsystems and the paths to them, from `/sys/class/nvme-subsystem`.

use crate::collector::prelude::*;
use crate::number::is_digits;

pub static SPEC: Spec = Spec::new("nvmesubsystem", Off, "/sys/class/nvme-subsystem", &[], |setup| {
    setup.need_sys()?;
    Ok(Box::new(Subsystems::default()))
});

static INFO: Desc = gauge(
    "node_nvmesubsystem_info",
    "1 for each subsystem, with its model and how it chooses a path.",
    &["iopolicy", "model", "nqn", "serial", "subsystem"],
);
static NAMESPACE_INFO: Desc = gauge(
    "node_nvmesubsystem_namespace_info",
    "1 for each namespace of the subsystem.",
    &["device", "subsystem"],
);
static PATHS: Desc =
    gauge("node_nvmesubsystem_paths", "Controllers that lead to the subsystem.", &["subsystem"]);
static PATHS_LIVE: Desc = gauge(
    "node_nvmesubsystem_paths_live",
    "Controllers that lead to the subsystem and are live.",
    &["subsystem"],
);
static PATH_STATE: Desc = gauge(
    "node_nvmesubsystem_path_state",
    "1 for the state that the controller is in, 0 for the others.",
    &["controller", "state", "subsystem", "transport"],
);

const DIRECTORY: &str = "class/nvme-subsystem";

/// In the order of the labels, the subsystem left out.
const ATTRIBUTES: [&str; 4] = ["iopolicy", "model", "subsysnqn", "serial"];

/// The last one stands for whatever is not among the others.
const STATES: [&str; 7] = ["connecting", "dead", "deleting", "live", "new", "resetting", "unknown"];

#[derive(Default)]
struct Subsystems {
    entries: Listing,
    parts: Listing,
    attributes: [Vec<u8>; ATTRIBUTES.len()],
}

impl Collector for Subsystems {
    fn collect(&mut self, cx: &mut Cx<'_>, out: &mut Samples) -> Result<()> {
        let Self { entries, parts, attributes } = self;
        out.all_or_nothing(|out| {
            cx.sys.list(DIRECTORY, entries)?;
            let subsystems = entries.names().filter(|name| name.starts_with("nvme-subsys"));
            for subsystem in subsystems {
                push_info(subsystem, attributes, cx, out)?;
                cx.list(&[DIRECTORY, "/", subsystem], parts)?;
                push_parts(subsystem, parts, cx, out)?;
            }
            Ok(())
        })
        .map_err(Error::denied_is_no_data)
    }
}

fn push_info(
    subsystem: &str,
    attributes: &mut [Vec<u8>; ATTRIBUTES.len()],
    cx: &mut Cx<'_>,
    out: &mut Samples,
) -> Result<()> {
    for (file, value) in ATTRIBUTES.iter().zip(&mut *attributes) {
        let text = cx.attribute(&[DIRECTORY, "/", subsystem, "/", file])?;
        value.clear();
        value.extend_from_slice(text.bytes);
    }
    let [policy, model, nqn, serial] = attributes;
    out.push(&INFO, &[policy, model, nqn, serial, &subsystem], 1.0);
    Ok(())
}

fn push_parts(
    subsystem: &str,
    parts: &Listing,
    cx: &mut Cx<'_>,
    out: &mut Samples,
) -> Result<()> {
    let (mut paths, mut live) = (0u32, 0u32);
    for name in parts.names() {
        match Part::of(name) {
            Some(Part::Namespace) => out.push(&NAMESPACE_INFO, &[&name, &subsystem], 1.0),
            Some(Part::Controller) => {
                paths += 1;
                live += u32::from(push_path(subsystem, name, cx, out)? == "live");
            }
            None => {}
        }
    }
    out.push(&PATHS, &[&subsystem], paths);
    out.push(&PATHS_LIVE, &[&subsystem], live);
    Ok(())
}

/// Tells the state of a controller, and returns it.
fn push_path(
    subsystem: &str,
    controller: &str,
    cx: &mut Cx<'_>,
    out: &mut Samples,
) -> Result<&'static str> {
    let state = state(cx.attribute(&[DIRECTORY, "/", subsystem, "/", controller, "/state"])?);
    // Nobody tells the address, yet it must be there.
    cx.attribute(&[DIRECTORY, "/", subsystem, "/", controller, "/address"])?;
    let transport =
        cx.attribute(&[DIRECTORY, "/", subsystem, "/", controller, "/transport"])?.bytes;
    for possible in STATES {
        out.push(&PATH_STATE, &[&controller, &possible, &subsystem, &transport], possible == state);
    }
    Ok(state)
}

fn state(text: Text<'_>) -> &'static str {
    match text.bytes {
        b"deleting (no IO)" => "deleting",
        text => STATES.into_iter().find(|state| state.as_bytes() == text).unwrap_or("unknown"),
    }
}

/// What an entry of a subsystem's directory stands for.
#[derive(Debug, PartialEq, Eq)]
enum Part {
    Controller,
    Namespace,
}

impl Part {
    /// `nvme0` and `nvme0n1`
    fn of(name: &str) -> Option<Self> {
        let numbers = name.strip_prefix("nvme")?;
        match numbers.split_once('n') {
            None => is_digits(numbers.as_bytes()).then_some(Self::Controller),
            Some((controller, namespace)) => [controller, namespace]
                .iter()
                .all(|number| is_digits(number.as_bytes()))
                .then_some(Self::Namespace),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts() {
        for (name, expected) in [
            ("nvme0", Some(Part::Controller)),
            ("nvme12", Some(Part::Controller)),
            ("nvme0n1", Some(Part::Namespace)),
            ("nvme", None),
            ("nvme0n", None),
            ("nvmen1", None),
            ("nvme0n1n2", None),
            ("nvme0c1n1", None),
            ("xnvme0", None),
            ("model", None),
        ] {
            assert_eq!(Part::of(name), expected, "{name}");
        }
    }
}
