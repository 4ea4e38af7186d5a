//! Whether SELinux is in force, from selinuxfs and `/etc/selinux/config`; the paths are fixed.

use crate::collector::prelude::*;
use crate::number;

pub static SPEC: Spec =
    Spec::new("selinux", On, "/sys/fs/selinux, /etc/selinux/config", &[], |_| {
        Ok(Box::new(SeLinux { root: Root::new("/"), mount: None }))
    });

static ENABLED: Desc = gauge("node_selinux_enabled", "Whether the kernel runs SELinux.", &[]);
static CONFIG_MODE: Desc = gauge(
    "node_selinux_config_mode",
    "What is configured: 1 enforcing, 0 permissive, -1 anything else.",
    &[],
);
static CURRENT_MODE: Desc = gauge(
    "node_selinux_current_mode",
    "What is in force: 1 enforcing, 0 permissive, -1 where that cannot be read.",
    &[],
);

/// `SELINUX_MAGIC` of linux/magic.h.
const MAGIC: u64 = 0xf97c_ff8c;

/// `ST_RDONLY` of sys/statvfs.h.
const READ_ONLY: u64 = 1;

struct SeLinux {
    root: Root,
    /// Found at the first scrape: where selinuxfs is mounted, if SELinux is on.
    mount: Option<Option<String>>,
}

impl Collector for SeLinux {
    fn collect(&mut self, cx: &mut Cx<'_>, out: &mut Samples) -> Result<()> {
        let Self { root, mount } = self;
        let mount = mount.get_or_insert_with(|| {
            find_mount(root, cx.text).filter(|_| !is_kernel_context(root, cx.text))
        });
        out.push(&ENABLED, &[], mount.is_some());
        if let Some(mount) = mount {
            let config = root.read_once("etc/selinux/config", cx.text);
            out.push(&CONFIG_MODE, &[], config.map_or(-1, configured_mode));
            join(cx.path, &[mount, "/enforce"]);
            let enforce = root.read_once(cx.path, cx.text).ok();
            let mode = enforce.and_then(|text| number::int(text.bytes));
            out.push(&CURRENT_MODE, &[], mode.unwrap_or(-1));
        }
        Ok(())
    }
}

/// A process without a label of its own is the kernel's: no policy has been loaded.
fn is_kernel_context(root: &Root, buffer: &mut Vec<u8>) -> bool {
    root.read_once("proc/thread-self/attr/current", buffer)
        .is_ok_and(|label| label.bytes.strip_suffix(b"\0").unwrap_or(label.bytes) == b"kernel")
}

fn find_mount(root: &Root, buffer: &mut Vec<u8>) -> Option<String> {
    const USUAL: &str = "/sys/fs/selinux";

    if is_selinuxfs(USUAL) {
        return Some(USUAL.to_owned());
    }
    let known = root.read_once("proc/filesystems", buffer).ok()?;
    memchr::memmem::find(known.bytes, b"\tselinuxfs\n")?;
    let mounts = root.read_once("proc/self/mountinfo", buffer).ok()?;
    let mut mounts = mounts.scan().map_while(Result::ok).filter_map(mount_point);
    mounts.find(|mount| is_selinuxfs(mount)).map(str::to_owned)
}

/// `31 23 0:20 / /sys/fs/selinux rw,relatime shared:9 - selinuxfs selinuxfs rw`
fn mount_point(line: Text<'_>) -> Option<&str> {
    memchr::memmem::find(line.bytes, b" - selinuxfs ")?;
    let mut fields = line.bytes.split(|byte| *byte == b' ');
    std::str::from_utf8(fields.nth(4)?).ok()
}

fn is_selinuxfs(path: &str) -> bool {
    rustix::fs::statfs(path).is_ok_and(|stat| {
        stat.f_type as u64 & 0xffff_ffff == MAGIC && stat.f_flags as u64 & READ_ONLY == 0
    })
}

/// `SELINUX=enforcing`, the first such line.
fn configured_mode(config: Text<'_>) -> i64 {
    let value = config.scan().map_while(Result::ok).map(Text::trim).find_map(|line| {
        let (key, value) = line.split_once(b'=')?;
        (key.bytes == b"SELINUX").then_some(value.bytes)
    });
    match value.map(trim_quotes) {
        Some(b"enforcing") => 1,
        Some(b"permissive") => 0,
        _ => -1,
    }
}

fn trim_quotes(mut text: &[u8]) -> &[u8] {
    while let [b'"', rest @ ..] | [rest @ .., b'"'] = text {
        text = rest;
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn configured_modes() {
        for (config, mode) in [
            ("# SELINUX=permissive\n;SELINUX=permissive\nSELINUXTYPE=x\n SELINUX=enforcing \n", 1),
            ("SELINUX=permissive\nSELINUX=enforcing\n", 0),
            ("SELINUX=\"permissive\"", 0),
            ("SELINUX=Enforcing", -1),
            ("SELINUX = enforcing", -1),
            ("SELINUX=disabled", -1),
            ("", -1),
        ] {
            assert_eq!(configured_mode(Text::new("config", config.as_bytes())), mode, "{config}");
        }
    }

    #[test]
    fn mount_points() {
        for (line, mount) in [
            ("31 23 0:20 / /mnt/se rw,relatime shared:9 - selinuxfs selinuxfs rw", Some("/mnt/se")),
            ("31 23 0:20 / /sys rw - sysfs sysfs rw", None),
            ("31 23 - selinuxfs ", Some("")),
        ] {
            assert_eq!(mount_point(Text::new("mountinfo", line.as_bytes())), mount, "{line}");
        }
    }
}
