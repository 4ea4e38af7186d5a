//! What systemd is told: that the agent is ready, reads its files anew, stops, and is alive.

use std::time::Duration;

use sd_notify::NotifyState;

use crate::gather::Gatherer;

pub fn ready() {
    tell(&[NotifyState::Ready]);
}

/// systemd takes this for the beginning of a reload only with the time on it; [`ready`] is the end.
pub fn reloading() {
    if let Ok(now) = NotifyState::monotonic_usec_now() {
        tell(&[NotifyState::Reloading, now]);
    }
}

pub fn stopping() {
    tell(&[NotifyState::Stopping]);
}

/// Tells systemd as often as its watchdog wants it that scrapes can be answered: work reaches a worker and comes back. Never
/// returns.
pub async fn feed_watchdog(workers: &Gatherer) {
    let Some(patience) = sd_notify::watchdog_enabled() else { return std::future::pending().await };
    // Twice in the time, as sd_watchdog_enabled(3) advises.
    let interval = (patience / 2).max(Duration::from_millis(1));
    loop {
        tokio::time::sleep(interval).await;
        if workers.run(|| ()).await.is_some() {
            tell(&[NotifyState::Watchdog]);
        }
    }
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!(err = %error, "systemd was not told");
    }
}
