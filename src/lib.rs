//! hostwarden: one agent that tells Prometheus everything a Linux host has to say.

pub mod collector;
pub mod collectors;
pub mod exposition;
pub mod flags;
pub mod host;
pub mod number;
pub mod pattern;
