//! What a start does before it opens a socket. `check config` does the same, and stops there.

use std::sync::Arc;

use crate::cli::Settings;
use crate::collectors;
use crate::gather::Gatherer;
use crate::web::Site;
use crate::web::door::Door;
use crate::web::listen::Listening;
use crate::web::own::{CONTRACT, VERSION, platform};

/// An agent that has only to be let run.
pub struct Prepared {
    pub site: Arc<Site>,
    pub gatherer: Arc<Gatherer>,
    pub listening: Listening,
    /// What the operator should be told, one line each.
    pub warnings: Vec<String>,
}

/// Reads and validates everything that the command line names. Opens no socket and changes nothing.
pub fn prepare(settings: &Settings) -> Result<Prepared, String> {
    let Settings { values, enabled, paths, .. } = settings;
    let gatherer = Arc::new(Gatherer::new(collectors::ALL, enabled, values, paths)?);
    let (door, warnings) = Door::new(values)?;
    let listening = Listening::from_flags(values, door.asks())?;
    let site = Arc::new(Site::new(values, Arc::clone(&gatherer), door)?);
    Ok(Prepared { site, gatherer, listening, warnings })
}

/// Says in the log who starts.
pub fn greet() {
    let (os, arch) = platform();
    let version = format!("(version={VERSION}, branch=, revision={VERSION})");
    tracing::info!(version, "Starting hostwarden");
    let context = format!("(node_exporter={CONTRACT}, platform={os}/{arch})");
    tracing::info!(build_context = context, "Build context");
    if rustix::process::getuid().is_root() {
        tracing::warn!("hostwarden runs as root; it needs no more than a user of its own");
    }
}
