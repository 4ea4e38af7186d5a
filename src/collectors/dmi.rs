//! Makers, models and serial numbers of the machine, from `/sys/class/dmi/id`, read once at start.

use crate::collector::prelude::*;

pub static SPEC: Spec = Spec::new("dmi", On, "/sys/class/dmi/id", &[], |setup| {
    setup.need_sys()?;
    Ok(Box::new(Dmi { told: read(&Root::new(&setup.paths.sys)) }))
});

static INFO: Desc = gauge(
    "node_dmi_info",
    "What the firmware says of the machine, as far as the kernel lets this user read it; always 1.",
    LABELS,
);

const LABELS: &[&str] = &[
    "bios_date", "bios_release", "bios_vendor", "bios_version", "board_asset_tag", "board_name",
    "board_serial", "board_vendor", "board_version", "chassis_asset_tag", "chassis_serial",
    "chassis_vendor", "chassis_version", "product_family", "product_name", "product_serial",
    "product_sku", "product_uuid", "product_version", "system_vendor",
];

/// A label and its value.
type Fact = (&'static str, Vec<u8>);

struct Dmi {
    told: Result<Vec<Fact>>,
}

impl Collector for Dmi {
    fn collect(&mut self, _: &mut Cx<'_>, out: &mut Samples) -> Result<()> {
        let facts = self.told.as_ref().map_err(Error::clone)?;
        let mut labels: [(&str, &dyn LabelValue); LABELS.len()] = [("", &""); LABELS.len()];
        for (place, (label, value)) in labels.iter_mut().zip(facts) {
            *place = (label, value);
        }
        out.push_labelled(&INFO, &labels[..facts.len()], 1.0);
        Ok(())
    }
}

fn read(sys: &Root) -> Result<Vec<Fact>> {
    const DIRECTORY: &str = "class/dmi/id";

    let (mut files, mut path, mut buffer) = (Listing::default(), String::new(), Vec::new());
    sys.list(DIRECTORY, &mut files).absent_is_no_data()?;
    let mut facts = Vec::new();
    for &label in LABELS {
        let name = if label == "system_vendor" { "sys_vendor" } else { label };
        if !files.iter().any(|file| file.name == name && file.is_regular()) {
            continue;
        }
        join(&mut path, &[DIRECTORY, "/", name]);
        match sys.attribute_once(&path, &mut buffer) {
            Ok(text) => {
                let mut value = Vec::new();
                Repaired(text.bytes).write(&mut value);
                facts.push((label, value));
            }
            // Serial numbers are for root.
            Err(Errno::ACCESS | Errno::PERM) => {}
            Err(errno) => return Err(Error::io(&path, errno)),
        }
    }
    if facts.is_empty() { Err(Error::no_data("class/dmi/id: nothing to read")) } else { Ok(facts) }
}
