//! What others may tell the agent by a signal.

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::notify;
use crate::web::Site;

/// From the moment that these are caught, none of them ends the agent by itself.
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    pub fn catch() -> Result<Self, String> {
        let catch = |kind| signal(kind).map_err(|error| error.to_string());
        Ok(Self {
            terminate: catch(SignalKind::terminate())?,
            interrupt: catch(SignalKind::interrupt())?,
            hangup: catch(SignalKind::hangup())?,
        })
    }

    /// Returns on SIGTERM or SIGINT. SIGHUP asks for a reload.
    pub async fn wait_for_the_end(&mut self, site: &Site) {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return,
                _ = self.interrupt.recv() => return,
                _ = self.hangup.recv() => {
                    notify::reloading();
                    site.reload().await;
                    notify::ready();
                }
            }
        }
    }
}
