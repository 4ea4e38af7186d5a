//! Graphics cards that the driver amdgpu runs, from `/sys/class/drm`.

use crate::collector::prelude::*;

pub static SPEC: Spec = Spec::new("drm", Off, "/sys/class/drm/card*/device", &[], |setup| {
    setup.need_sys()?;
    Ok(Box::new(Drm::default()))
});

static INFO: Desc = gauge(
    "node_drm_card_info",
    "What the driver says of the card in words; always 1.",
    &["card", "memory_vendor", "power_performance_level", "unique_id", "vendor"],
);

/// Files that become labels of [`INFO`], in the order of the labels.
const TEXTS: [&str; 3] = ["mem_info_vram_vendor", "power_dpm_force_performance_level", "unique_id"];

const fn number(file: &'static str, name: &'static str, help: &'static str) -> Told {
    told(file, gauge(name, help, &["card"]))
}

/// What files with a number are told as; 0 where a file cannot be read.
static NUMBERS: [Told; 7] = [
    number("gpu_busy_percent", "node_drm_gpu_busy_percent", "How busy the card is, in percent."),
    number(
        "mem_info_gtt_total",
        "node_drm_memory_gtt_size_bytes",
        "Memory of the system that the card can use, in bytes.",
    ),
    number(
        "mem_info_gtt_used",
        "node_drm_memory_gtt_used_bytes",
        "Memory of the system that the card uses, in bytes.",
    ),
    number(
        "mem_info_vis_vram_total",
        "node_drm_memory_vis_vram_size_bytes",
        "Memory of the card that the CPU can reach, in bytes.",
    ),
    number(
        "mem_info_vis_vram_used",
        "node_drm_memory_vis_vram_used_bytes",
        "Memory of the card that the CPU can reach and that is in use, in bytes.",
    ),
    number("mem_info_vram_total", "node_drm_memory_vram_size_bytes", "Memory of the card, in bytes."),
    number(
        "mem_info_vram_used",
        "node_drm_memory_vram_used_bytes",
        "Memory of the card in use, in bytes.",
    ),
];

const DIRECTORY: &str = "class/drm";

#[derive(Default)]
struct Drm {
    entries: Listing,
    directory: String,
    texts: Texts<{ TEXTS.len() }>,
}

impl Collector for Drm {
    fn collect(&mut self, cx: &mut Cx<'_>, out: &mut Samples) -> Result<()> {
        let Self { entries, directory, texts } = self;
        // What cannot be listed has no cards.
        let _ = cx.sys.try_list(DIRECTORY, entries);
        out.all_or_nothing(|out| {
            for card in entries.names().filter(|name| is_card(name)) {
                join(directory, &[DIRECTORY, "/", card, "/device"]);
                if !is_amdgpu(directory, cx)? {
                    continue;
                }
                for number in &NUMBERS {
                    join(cx.path, &[directory, "/", number.name]);
                    // A card that is asleep or of another generation does not tell everything.
                    let value = match cx.sys.try_attribute(cx.path, cx.text) {
                        Ok(text) => text.parse::<AnyBase<u64>>()?.0,
                        Err(_) => 0,
                    };
                    number.push(&[&card], value as f64, out);
                }
                texts.clear();
                for (at, file) in TEXTS.iter().enumerate() {
                    join(cx.path, &[directory, "/", file]);
                    if let Ok(text) = cx.sys.try_attribute(cx.path, cx.text) {
                        texts.set(at, text.bytes);
                    }
                }
                let [memory_vendor, level, id] = texts.all();
                out.push(&INFO, &[&card, &memory_vendor, &level, &id, &"amd"], 1.0);
            }
            Ok(())
        })
    }
}

/// `card0`, and neither its outputs, `card0-DP-1`, nor a tenth card.
fn is_card(name: &str) -> bool {
    matches!(name.as_bytes(), [b'c', b'a', b'r', b'd', b'0'..=b'9'])
}

fn is_amdgpu(device: &str, cx: &mut Cx<'_>) -> Result<bool> {
    let uevent = cx.attribute_unless(&[Errno::NODATA], &[device, "/uevent"])?;
    Ok(uevent.is_some_and(|text| memchr::memmem::find(text.bytes, b"DRIVER=amdgpu").is_some()))
}
