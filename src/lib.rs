//! hostwarden: one agent that tells Prometheus everything a Linux host has to say.

pub mod cli;
pub mod collector;
pub mod collectors;
pub mod exposition;
pub mod flags;
pub mod gather;
pub mod host;
pub mod log;
pub mod number;
pub mod pattern;
pub mod web;
