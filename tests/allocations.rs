//! What a scrape allocates after the first ones: nothing, where a collector only reads files.

#![expect(unsafe_code, reason = "an allocator that counts is an allocator")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hostwarden::collector::{Desk, Setup, Shared};
use hostwarden::collectors;
use hostwarden::exposition::gzip::Gzip;
use hostwarden::exposition::merge::Merge;
use hostwarden::exposition::protobuf::Encoding;
use hostwarden::exposition::{Samples, protobuf, text};
use hostwarden::flags::Values;
use hostwarden::host::{Paths, Roots};

/// The system's allocator, with a count for each thread.
struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn count() {
    // A thread that is ending has no count any more.
    let _ = ALLOCATIONS.try_with(|count| count.set(count.get() + 1));
}

// SAFETY: every call is handed on to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: `pointer` came from `System` with this layout.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: `pointer` came from `System` with this layout.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

/// Allocations of this thread while `work` runs.
pub(crate) fn allocations(work: impl FnOnce()) -> usize {
    let before = ALLOCATIONS.get();
    work();
    ALLOCATIONS.get() - before
}

/// Collectors that do more than read files, and how many allocations a run may take.
const MAY_ALLOCATE: &[(&str, usize)] = &[
    // Every D-Bus message is memory of its own.
    ("logind", 1_000_000),
    ("systemd", 1_000_000),
    // No server answers here: these put an error into words.
    ("apache", 60),
    ("nginx", 60),
    ("ntp", 10),
    ("supervisord", 60),
];

/// Runs after which every buffer has its size.
const WARM_UP: usize = 5;

#[test]
fn collectors_that_read_files_allocate_nothing_and_neither_does_encoding() {
    let paths = Paths::default();
    let values = Values::default();
    let roots = Roots::new(&paths);
    let shared = Arc::new(Shared::default());
    let mut all = Vec::new();
    let mut faults = Vec::new();
    for spec in collectors::ALL {
        let setup = Setup { flags: &values, paths: &paths, enabled: &[] };
        let Ok(mut collector) = (spec.build)(&setup) else { continue };
        let mut desk = Desk::new(&roots, Arc::clone(&shared));
        let mut samples = Samples::default();
        let mut failed = 0;
        let mut run = || {
            samples.clear();
            let deadline = Instant::now() + Duration::from_secs(10);
            let outcome = collector.collect(&mut desk.cx(deadline), &mut samples);
            failed = usize::from(outcome.is_err());
        };
        (0..WARM_UP).for_each(|_| run());
        // A line more in some file may grow a buffer once; not every time.
        let count = (0..5).map(|_| allocations(&mut run)).min().unwrap();
        let limit = MAY_ALLOCATE.iter().find(|(name, _)| *name == spec.name);
        // An error brings its path along.
        if count > limit.map_or(0, |(_, limit)| *limit) + failed {
            faults.push(format!("{}: {count} allocations", spec.name));
        }
        all.push(samples);
    }
    let mut merge = Merge::default();
    let mut gzip = Gzip::default();
    let (mut plain, mut messages, mut body) = (Vec::new(), Vec::new(), Vec::new());
    let mut encode = || {
        merge.build(&all);
        plain.clear();
        messages.clear();
        text::write(&merge, &all, &mut plain);
        protobuf::write(Encoding::Delimited, &merge, &all, &mut messages);
        gzip.write(&plain, &mut body);
    };
    (0..WARM_UP).for_each(|_| encode());
    assert_eq!(allocations(encode), 0, "allocations while encoding");
    assert!(merge.faults().is_empty(), "{:?}", merge.faults());
    assert!(faults.is_empty(), "{faults:#?}");
}

#[test]
fn interrupts_of_many_cpus_allocate_nothing() {
    const CPUS: usize = 512;
    const INTERRUPTS: usize = 100;

    let tree = tempfile::tempdir().unwrap();
    let mut text: String = (0..CPUS).map(|cpu| format!(" CPU{cpu}")).collect();
    for interrupt in 0..INTERRUPTS {
        let counts: String = (0..CPUS).map(|cpu| format!(" {:10}", cpu * interrupt)).collect();
        text += &format!("\n{interrupt:4}:{counts}  PCI-MSI 49152-edge  nvme0q{interrupt}");
    }
    std::fs::write(tree.path().join("interrupts"), text + "\n").unwrap();
    let paths = Paths { proc: tree.path().to_owned(), ..Paths::default() };
    let values = Values::default();
    let setup = Setup { flags: &values, paths: &paths, enabled: &[] };
    let spec = collectors::find("interrupts").unwrap();
    let mut collector = (spec.build)(&setup).unwrap();
    let mut desk = Desk::new(&Roots::new(&paths), Arc::new(Shared::default()));
    let mut samples = Samples::default();
    let mut run = || {
        samples.clear();
        let deadline = Instant::now() + Duration::from_secs(60);
        collector.collect(&mut desk.cx(deadline), &mut samples).unwrap();
    };
    run();
    assert_eq!(allocations(&mut run), 0);
    assert_eq!(samples.len(), CPUS * INTERRUPTS);
}
