//! hostwarden: one agent that tells Prometheus everything a Linux host has to say.

pub mod number;
