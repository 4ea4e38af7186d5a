//! The request rate limit of the web config file: one bucket of tokens for all clients together.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A bucket that holds `burst` tokens, starts full, and gets one back each `interval`.
#[derive(Debug)]
pub struct RateLimit {
    interval: Duration,
    burst: u32,
    /// When the bucket will be full again. `None` is long ago.
    full: Mutex<Option<Instant>>,
}

impl RateLimit {
    pub fn new(interval: Duration, burst: u32) -> Self {
        Self { interval, burst, full: Mutex::new(None) }
    }

    /// Takes a token if there is one.
    pub fn allow(&self, now: Instant) -> bool {
        let mut full = self.full.lock().unwrap_or_else(PoisonError::into_inner);
        let missing = full.map_or(Duration::ZERO, |full| full.saturating_duration_since(now));
        let after = missing.saturating_add(self.interval);
        if after > self.interval.saturating_mul(self.burst) {
            return false;
        }
        let Some(next) = now.checked_add(after) else { return false };
        *full = Some(next);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// Whether requests at these milliseconds pass, as a string of `+` and `-`.
    fn passes(interval: Duration, burst: u32, times: &[u64]) -> String {
        let limit = RateLimit::new(interval, burst);
        let start = Instant::now();
        let pass = |&ms: &u64| limit.allow(start + Duration::from_millis(ms));
        times.iter().map(|ms| if pass(ms) { '+' } else { '-' }).collect()
    }

    #[test]
    fn tokens_come_back() {
        assert_eq!(passes(SECOND, 3, &[0, 0, 0, 0, 0]), "+++--");
        assert_eq!(passes(SECOND, 3, &[0, 0, 0, 999, 1000, 1000, 2500, 2500, 3000]), "+++-+-+-+");
        assert_eq!(passes(SECOND, 3, &[0, 0, 0, 100_000, 100_000, 100_000, 100_000]), "++++++-");
        assert_eq!(passes(SECOND, 1, &[0, 500, 1000, 1500, 2000]), "+-+-+");
    }

    #[test]
    fn odd_settings() {
        assert_eq!(passes(SECOND, 0, &[0, 5000]), "--", "a burst of 0 refuses all");
        assert_eq!(passes(Duration::from_nanos(1), 1, &[0, 1, 2]), "+++");
        assert_eq!(passes(Duration::MAX, 2, &[0, 0, 1]), "---", "longer than time itself");
    }

    #[test]
    fn a_clock_that_steps_back_gives_no_tokens() {
        assert_eq!(passes(SECOND, 2, &[5000, 0, 0, 5000, 5000]), "+--+-");
    }
}
