//! Kernel release, machine and host name, from uname(2).

use crate::collector::prelude::*;

pub static SPEC: Spec = Spec::new("uname", On, "uname(2)", &[], |_| Ok(Box::new(collect)));

static INFO: Desc = gauge(
    "node_uname_info",
    "What uname(2) says of the kernel and the host; always 1.",
    &["domainname", "machine", "nodename", "release", "sysname", "version"],
);

fn collect(_: &mut Cx<'_>, out: &mut Samples) -> Result<()> {
    let uname = rustix::system::uname();
    out.push(
        &INFO,
        &[
            &uname.domainname().to_bytes(),
            &uname.machine().to_bytes(),
            &uname.nodename().to_bytes(),
            &uname.release().to_bytes(),
            &uname.sysname().to_bytes(),
            &uname.version().to_bytes(),
        ],
        1.0,
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collector::{Desk, Shared};
    use crate::host::{Paths, Root, Roots};
    use std::sync::Arc;
    use std::time::Instant;

    #[test]
    fn the_running_kernel_says_the_same_in_proc() {
        let mut desk = Desk::new(&Roots::new(&Paths::default()), Arc::new(Shared::default()));
        let mut out = Samples::default();
        collect(&mut desk.cx(Instant::now()), &mut out).unwrap();
        let labels: Vec<_> = out.sample(0).labels().map(|(_, value)| value.to_vec()).collect();
        let mut root = Root::new("/proc/sys/kernel");
        let mut buffer = Vec::new();
        for (label, file) in
            [(0, "domainname"), (2, "hostname"), (3, "osrelease"), (4, "ostype"), (5, "version")]
        {
            assert_eq!(root.attribute(file, &mut buffer).unwrap().bytes, labels[label], "{file}");
        }
        assert!(!labels[1].is_empty());
    }
}
