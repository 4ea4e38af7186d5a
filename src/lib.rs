//! hostwarden: one agent that tells Prometheus everything a Linux host has to say.
//!
//! # A guided tour
//!
//! Data flows one way: `main → web → gather → collectors → {host, exposition, flags}`.
//!
//! * A **collector** ([`collector`]) tells what one kernel interface says. Each is one file under
//!   [`collectors`], named as on the command line: flags, `SPEC`, descriptions, `collect`.
//!   Those in [`services`] ask the web servers of this host instead, by HTTP.
//! * It reads through a root ([`host`]): `/proc`, `/sys`, the host's root or udev's data, live or a
//!   fixture tree, with descriptors that are kept and cursors whose errors name file and token.
//! * It pushes into an arena ([`exposition`]): nothing is formatted or owned, so that a scrape after
//!   the first allocates nothing for its samples. One merge orders them and settles duplicates; one
//!   pass writes the text.
//! * [`gather`] runs the enabled collectors for one scrape, keeps to its deadline whatever hangs,
//!   and gives each collector exactly one verdict; [`isolated`] keeps the threads that it takes.
//! * [`web`] is the endpoint. Async lives there; the two worlds meet at one await in the handler.
//! * [`start`] reads and validates all that the command line names, before a socket is opened.
//! * [`cli`] turns the table of [`flags`] into the command line that node_exporter has, and [`log`]
//!   writes lines as it does.
//! * [`commands`] is what the program does beside serving: set a password, check a configuration.
//! * [`number`] and [`pattern`] read and write numbers and regular expressions as Go does, because
//!   a drop-in means what the original meant.

pub mod cli;
pub mod collector;
pub mod collectors;
pub mod commands;
pub mod exposition;
pub mod flags;
pub mod gather;
pub mod host;
pub mod isolated;
pub mod log;
pub mod notify;
pub mod number;
pub mod pattern;
pub mod services;
pub mod signals;
pub mod start;
pub mod web;
