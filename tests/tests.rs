//! All integration tests, in one binary.

#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "tests lay out files, start programs and may panic"
)]

/// Each collector's fixture trees against their golden text.
mod golden;
/// One collector, scraped as often as a test likes.
mod harness;
/// The collector perf against the running kernel.
mod perf;
/// What holds for the list of collectors as a whole.
mod registry;
