//! NVMe controllers and their namespaces, from `/sys/class/nvme`.

use crate::collector::prelude::*;
use crate::number::split_digits;

pub static SPEC: Spec = Spec::new("nvme", On, "/sys/class/nvme", &[], |setup| {
    setup.need_sys()?;
    Ok(Box::new(Nvme::default()))
});

static INFO: Desc = gauge(
    "node_nvme_info",
    "1 for each controller, with its model and state as labels.",
    &["cntlid", "device", "firmware_revision", "model", "serial", "state"],
);
static NAMESPACE_INFO: Desc = gauge(
    "node_nvme_namespace_info",
    "1 for each namespace, with the state of this path to it.",
    &["ana_state", "device", "nsid"],
);
static CAPACITY: Desc = gauge(
    "node_nvme_namespace_capacity_bytes",
    "Size of the namespace as the kernel tells it, times the bytes of a logical block.",
    &["device", "nsid"],
);
static SIZE: Desc = gauge(
    "node_nvme_namespace_size_bytes",
    "The same as the capacity.",
    &["device", "nsid"],
);
static USED: Desc = gauge(
    "node_nvme_namespace_used_bytes",
    "Bytes of the namespace that are in use.",
    &["device", "nsid"],
);
static BLOCK: Desc = gauge(
    "node_nvme_namespace_logical_block_size_bytes",
    "Bytes of a logical block.",
    &["device", "nsid"],
);

const DIRECTORY: &str = "class/nvme";

/// In the order of the labels, the device left out.
const ATTRIBUTES: [&str; 5] = ["cntlid", "firmware_rev", "model", "serial", "state"];

#[derive(Default)]
struct Nvme {
    controllers: Listing,
    namespaces: Listing,
    attributes: [Vec<u8>; ATTRIBUTES.len()],
}

impl Collector for Nvme {
    fn collect(&mut self, cx: &mut Cx<'_>, out: &mut Samples) -> Result<()> {
        let Self { controllers, namespaces, attributes } = self;
        out.all_or_nothing(|out| {
            cx.sys.list(DIRECTORY, controllers)?;
            for controller in controllers.names() {
                push_controller(controller, attributes, cx, out)?;
                cx.list(&[DIRECTORY, "/", controller], namespaces)?;
                for namespace in namespaces.names() {
                    if let Some(nsid) = nsid(namespace) {
                        push_namespace(controller, namespace, nsid, cx, out)?;
                    }
                }
            }
            Ok(())
        })
        .absent_is_no_data()
    }
}

fn push_controller(
    name: &str,
    attributes: &mut [Vec<u8>; ATTRIBUTES.len()],
    cx: &mut Cx<'_>,
    out: &mut Samples,
) -> Result<()> {
    for (file, value) in ATTRIBUTES.iter().zip(&mut *attributes) {
        let text = cx.attribute(&[DIRECTORY, "/", name, "/", file])?;
        value.clear();
        value.extend_from_slice(text.bytes);
    }
    let [id, firmware, model, serial, state] = attributes;
    out.push(&INFO, &[id, &name, firmware, model, serial, state], 1.0);
    Ok(())
}

fn push_namespace(
    controller: &str,
    name: &str,
    nsid: &[u8],
    cx: &mut Cx<'_>,
    out: &mut Samples,
) -> Result<()> {
    let mut number = |file| -> Result<u64> {
        let text = cx.attribute(&[DIRECTORY, "/", controller, "/", name, "/", file])?;
        Ok(text.parse().unwrap_or(0))
    };
    let [used, size, block] =
        [number("nuse")?, number("size")?, number("queue/logical_block_size")?];
    // Without multipathing there is no such state.
    let state = cx.attribute(&[DIRECTORY, "/", controller, "/", name, "/ana_state"]);
    let state = state.map_or(&b"unknown"[..], |text| text.bytes);
    out.push(&NAMESPACE_INFO, &[&state, &controller, &nsid], 1.0);
    for (desc, value) in [
        (&CAPACITY, size.wrapping_mul(block)),
        (&SIZE, size.wrapping_mul(block)),
        (&USED, used.wrapping_mul(block)),
        (&BLOCK, block),
    ] {
        out.push(desc, &[&controller, &nsid], value);
    }
    Ok(())
}

/// The namespace's number in `nvme0n1`; the hidden paths of a multipath device, `nvme0c1n1`, have
/// none.
fn nsid(name: &str) -> Option<&[u8]> {
    name.match_indices("nvme").find_map(|(at, prefix)| {
        let (_, rest) = split_digits(&name.as_bytes()[at + prefix.len()..])?;
        Some(split_digits(rest.strip_prefix(b"n")?)?.0)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn namespaces() {
        for (name, expected) in [
            ("nvme0n1", Some("1")),
            ("nvme12n34", Some("34")),
            ("nvme0n1p2", Some("1")),
            ("xnvmenvme0n7", Some("7")),
            ("nvme0c1n1", None),
            ("nvme0", None),
            ("nvmen1", None),
            ("nvme0n", None),
            ("ng0n1", None),
            ("hwmon3", None),
        ] {
            assert_eq!(nsid(name), expected.map(str::as_bytes), "{name}");
        }
    }
}
