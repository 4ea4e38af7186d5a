//! File handles in use and the limit on them, from `/proc/sys/fs/file-nr`.

use crate::collector::prelude::*;

pub static SPEC: Spec =
    Spec::new("filefd", On, "/proc/sys/fs/file-nr", &[], |_| Ok(Box::new(collect)));

static ALLOCATED: Desc =
    gauge("node_filefd_allocated", "File handles that the kernel has given out.", &[]);
static MAXIMUM: Desc =
    gauge("node_filefd_maximum", "File handles that the kernel gives out at most.", &[]);

/// `1024\t0\t9223372036854775807`; the number in the middle has been 0 since Linux 2.6.
fn collect(cx: &mut Cx<'_>, out: &mut Samples) -> Result<()> {
    let text = cx.proc.read("sys/fs/file-nr", cx.text)?.trim();
    let mut parts = text.bytes.split(|&byte| byte == b'\t');
    let (Some(allocated), Some(_), Some(maximum)) = (parts.next(), parts.next(), parts.next())
    else {
        return Err(Error::truncated(text.path));
    };
    let allocated: f64 = Text { bytes: allocated, ..text }.parse()?;
    let maximum: f64 = Text { bytes: maximum, ..text }.parse()?;
    out.push(&ALLOCATED, &[], allocated);
    out.push(&MAXIMUM, &[], maximum);
    Ok(())
}
