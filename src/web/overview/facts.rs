//! What the host is: names and parts that no collector tells, or not so readably.

use std::sync::OnceLock;

use sysinfo::{CpuRefreshKind, Product, System};

/// Empty where the host does not tell.
#[derive(Debug, Clone)]
pub(super) struct Facts {
    pub(super) host: String,
    /// `Debian GNU/Linux 12`
    pub(super) system: String,
    /// `Linux 6.1.0-26-amd64 x86_64`
    pub(super) kernel: String,
    /// `2 × AMD EPYC`
    pub(super) processor: String,
    /// `QEMU Standard PC`
    pub(super) machine: String,
}

impl Facts {
    /// Asks what may change; the rest is kept.
    pub(super) fn ask() -> Self {
        static HARDWARE: OnceLock<(String, String)> = OnceLock::new();
        let (processor, machine) = HARDWARE.get_or_init(|| (processor(), machine())).clone();
        Self {
            host: System::host_name().unwrap_or_default(),
            system: words([System::name(), System::os_version()]),
            kernel: format!("Linux {}", words([System::kernel_version(), Ok(System::cpu_arch())])),
            processor,
            machine,
        }
    }
}

fn processor() -> String {
    let Ok(mut system) = System::new() else { return String::new() };
    // Only the list: what they do is the collectors' to tell.
    system.refresh_cpu_list(CpuRefreshKind::nothing());
    let cpus = system.cpus();
    let brand = cpus.first().map_or("", |cpu| cpu.brand().trim());
    if brand.is_empty() { String::new() } else { format!("{} × {brand}", cpus.len()) }
}

fn machine() -> String {
    words([Product::vendor_name(), Product::name()])
}

/// What there is of the parts.
fn words(parts: [Result<String, sysinfo::Error>; 2]) -> String {
    let parts = parts.map(Result::unwrap_or_default);
    let there: Vec<&str> =
        parts.iter().map(|part| part.trim()).filter(|part| !part.is_empty()).collect();
    there.join(" ")
}
