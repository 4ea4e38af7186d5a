//! Weaknesses of the CPUs and what the kernel does about them, from
//! `/sys/devices/system/cpu/vulnerabilities`.

use crate::collector::prelude::*;

pub static SPEC: Spec = Spec::new(
    "cpu_vulnerabilities",
    Off,
    "/sys/devices/system/cpu/vulnerabilities",
    &[],
    |_| Ok(Box::new(CpuVulnerabilities::default())),
);

static INFO: Desc = gauge(
    "node_cpu_vulnerabilities_info",
    "Whether the CPUs have the weakness, and what the kernel does about it; always 1.",
    &["codename", "mitigation", "state"],
);

const DIRECTORY: &str = "devices/system/cpu/vulnerabilities";

#[derive(Default)]
struct CpuVulnerabilities {
    files: Listing,
}

impl Collector for CpuVulnerabilities {
    fn collect(&mut self, cx: &mut Cx<'_>, out: &mut Samples) -> Result<()> {
        if !cx.sys.is_present() {
            return Err(Error::failed("no sysfs"));
        }
        // Before Linux 4.15 there is no such directory, and nothing is known.
        let _ = cx.sys.try_list(DIRECTORY, &mut self.files);
        out.all_or_nothing(|out| {
            self.files.names().try_for_each(|file| {
                join(cx.path, &[DIRECTORY, "/", file]);
                let text = cx.sys.read(cx.path, cx.text)?.trim();
                match state(text.bytes) {
                    NOT_AFFECTED => out.push(&INFO, &[&file, &"", &NOT_AFFECTED], 1.0),
                    "" => out.push(&INFO, &[&file, &text.bytes, &UNKNOWN], 1.0),
                    state => {
                        let mut words = text.fields();
                        words.next();
                        out.push(&INFO, &[&file, &words, &state], 1.0);
                    }
                }
                Ok(())
            })
        })
    }
}

const NOT_AFFECTED: &str = "not affected";
const UNKNOWN: &str = "unknown";

/// What the text begins with, as in `Mitigation: Clear CPU buffers; SMT vulnerable`, or nothing.
fn state(text: &[u8]) -> &'static str {
    [NOT_AFFECTED, "vulnerable", "mitigation", UNKNOWN]
        .into_iter()
        .find(|state| {
            text.get(..state.len())
                .is_some_and(|start| start.eq_ignore_ascii_case(state.as_bytes()))
        })
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states() {
        for (text, expected) in [
            ("Not affected", "not affected"),
            ("Mitigation: PTI", "mitigation"),
            ("VULNERABLE", "vulnerable"),
            ("Unknown: No mitigations", "unknown"),
            ("KVM: Vulnerable", ""),
            ("Not", ""),
            ("", ""),
        ] {
            assert_eq!(state(text.as_bytes()), expected, "{text}");
        }
    }
}
