//! All integration tests, in one binary.

#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "tests lay out files, start programs and may panic"
)]

/// Each collector's fixture trees against their golden text.
mod golden;
/// What holds for the list of collectors as a whole.
mod registry;
