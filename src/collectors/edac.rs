//! Memory errors that the hardware corrected or could not, from `/sys/devices/system/edac/mc`.

use crate::collector::prelude::*;

pub static SPEC: Spec = Spec::new("edac", On, "/sys/devices/system/edac/mc", &[], |_| {
    Ok(Box::new(Edac::default()))
});

static CORRECTED: Desc = counter(
    "node_edac_correctable_errors_total",
    "Memory errors that the controller corrected.",
    &["controller"],
);
static UNCORRECTED: Desc = counter(
    "node_edac_uncorrectable_errors_total",
    "Memory errors that the controller could not correct.",
    &["controller"],
);
static ROW_CORRECTED: Desc = counter(
    "node_edac_csrow_correctable_errors_total",
    "Memory errors corrected in the chip-select row; row `unknown` where the controller cannot tell.",
    &["controller", "csrow"],
);
static ROW_UNCORRECTED: Desc = counter(
    "node_edac_csrow_uncorrectable_errors_total",
    "Memory errors not corrected in the chip-select row; row `unknown` where the controller cannot tell.",
    &["controller", "csrow"],
);
static CHANNEL_CORRECTED: Desc = counter(
    "node_edac_channel_correctable_errors_total",
    "Memory errors corrected in one channel of the chip-select row.",
    &["channel", "controller", "csrow", "dimm_label"],
);
static CHANNEL_UNCORRECTED: Desc = counter(
    "node_edac_channel_uncorrectable_errors_total",
    "Memory errors not corrected in one channel of the chip-select row.",
    &["channel", "controller", "csrow", "dimm_label"],
);

const DIRECTORY: &str = "devices/system/edac/mc/";

#[derive(Default)]
struct Edac {
    controllers: Listing,
    rows: Listing,
    channels: Listing,
    controller_path: String,
    row_path: String,
    dimm: Vec<u8>,
}

impl Collector for Edac {
    fn collect(&mut self, cx: &mut Cx<'_>, out: &mut Samples) -> Result<()> {
        let Self { controllers, rows, channels, controller_path, row_path, dimm } = self;
        // What cannot be listed has no controllers, rows or channels.
        let _ = cx.sys.try_list(DIRECTORY, controllers);
        for (name, controller) in numbered(controllers, "mc") {
            join(controller_path, &[DIRECTORY, name]);
            out.push(&CORRECTED, &[&controller], count(cx, controller_path, "ce_count")?);
            let elsewhere = count(cx, controller_path, "ce_noinfo_count")?;
            out.push(&ROW_CORRECTED, &[&controller, &"unknown"], elsewhere);
            out.push(&UNCORRECTED, &[&controller], count(cx, controller_path, "ue_count")?);
            let elsewhere = count(cx, controller_path, "ue_noinfo_count")?;
            out.push(&ROW_UNCORRECTED, &[&controller, &"unknown"], elsewhere);

            let _ = cx.sys.try_list(controller_path, rows);
            for (name, row) in numbered(rows, "csrow") {
                join(row_path, &[controller_path, "/", name]);
                let row_labels: &[&dyn LabelValue] = &[&controller, &row];
                out.push(&ROW_CORRECTED, row_labels, count(cx, row_path, "ce_count")?);
                out.push(&ROW_UNCORRECTED, row_labels, count(cx, row_path, "ue_count")?);

                let _ = cx.sys.try_list(row_path, channels);
                for (file, channel) in channels.names().filter_map(channel) {
                    read_dimm(cx, row_path, channel, dimm);
                    let labels: &[&dyn LabelValue] = &[&channel, &controller, &row, dimm];
                    out.push(&CHANNEL_CORRECTED, labels, count(cx, row_path, file)?);
                    // Many controllers do not count these.
                    join(cx.path, &[row_path, "/ch", channel, "_ue_count"]);
                    let uncorrected = cx.sys.attribute(cx.path, cx.text).and_then(Text::parse::<u64>);
                    if let Ok(uncorrected) = uncorrected {
                        out.push(&CHANNEL_UNCORRECTED, labels, uncorrected);
                    }
                }
            }
        }
        Ok(())
    }
}

/// The names that are `prefix` and a number, and the number.
fn numbered<'a>(names: &'a Listing, prefix: &str) -> impl Iterator<Item = (&'a str, &'a str)> {
    names.names().filter_map(move |name| {
        let rest = name.strip_prefix(prefix)?;
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        (digits > 0).then_some((name, &rest[..digits]))
    })
}

/// `ch0_ce_count`, and the 0 in it.
fn channel(file: &str) -> Option<(&str, &str)> {
    let channel = file.strip_prefix("ch")?.strip_suffix("_ce_count")?;
    let is_number = !channel.is_empty() && channel.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then_some((file, channel))
}

fn count(cx: &mut Cx<'_>, directory: &str, file: &str) -> Result<u64> {
    cx.attribute(&[directory, "/", file])?.parse()
}

/// Reads how the module on the channel is labelled: `mc#0csrow#1channel#0` becomes
/// `mc0_csrow1_channel0`.
fn read_dimm(cx: &mut Cx<'_>, row: &str, channel: &str, out: &mut Vec<u8>) {
    out.clear();
    join(cx.path, &[row, "/ch", channel, "_dimm_label"]);
    match cx.sys.read(cx.path, cx.text) {
        Ok(text) => write_dimm(text.trim().bytes, out),
        Err(_) => out.extend_from_slice(b"unknown"),
    }
}

fn write_dimm(label: &[u8], out: &mut Vec<u8>) {
    for &byte in label.iter().filter(|byte| **byte != b'#') {
        out.push(byte);
        for place in [&b"csrow"[..], b"channel"] {
            if out.ends_with(place) {
                out.insert(out.len() - place.len(), b'_');
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dimm_labels() {
        for (label, written) in [
            ("mc#0csrow#1channel#0", "mc0_csrow1_channel0"),
            ("CPU_SrcID#0_Ha#0_Chan#1_DIMM#0", "CPU_SrcID0_Ha0_Chan1_DIMM0"),
            ("cs#rowchannelcsrow", "_csrow_channel_csrow"),
            ("", ""),
        ] {
            let mut out = Vec::new();
            write_dimm(label.as_bytes(), &mut out);
            assert_eq!(std::str::from_utf8(&out), Ok(written));
        }
    }

    #[test]
    fn channels() {
        for (file, number) in [
            ("ch0_ce_count", Some("0")),
            ("ch12_ce_count", Some("12")),
            ("ch_ce_count", None),
            ("chx_ce_count", None),
            ("ch0_ue_count", None),
            ("ce_count", None),
        ] {
            assert_eq!(channel(file).map(|(_, number)| number), number, "{file}");
        }
    }
}
