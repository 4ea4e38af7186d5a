//! The random number generator's pool, from `/proc/sys/kernel/random`.

use crate::collector::prelude::*;

pub static SPEC: Spec = Spec::new("entropy", On, "/proc/sys/kernel/random", &[], |setup| {
    setup.need_proc()?;
    Ok(Box::new(collect))
});

static AVAILABLE: Desc =
    gauge("node_entropy_available_bits", "Entropy in the kernel's pool, in bits.", &[]);
static POOL_SIZE: Desc =
    gauge("node_entropy_pool_size_bits", "Entropy that the kernel's pool can hold, in bits.", &[]);

/// The first two are told; a number that cannot be parsed in any fails the collector.
const FILES: [&str; 5] = [
    "sys/kernel/random/entropy_avail",
    "sys/kernel/random/poolsize",
    "sys/kernel/random/urandom_min_reseed_secs",
    "sys/kernel/random/write_wakeup_threshold",
    "sys/kernel/random/read_wakeup_threshold",
];

fn collect(cx: &mut Cx<'_>, out: &mut Samples) -> Result<()> {
    let mut values: [Option<u64>; FILES.len()] = [None; FILES.len()];
    for (value, file) in values.iter_mut().zip(FILES) {
        *value = match cx.proc.try_attribute(file, cx.text) {
            Ok(text) => Some(text.parse()?),
            Err(Errno::NOENT) => None,
            Err(errno) => return Err(Error::io(file, errno)),
        };
    }
    for ((desc, value), file) in [&AVAILABLE, &POOL_SIZE].into_iter().zip(values).zip(FILES) {
        out.push(desc, &[], value.ok_or_else(|| Error::io(file, Errno::NOENT))?);
    }
    Ok(())
}
