//! Failures by source, and the time for which a source with too many of them is not listened to.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// Where guesses come from: an IPv4 address, or the /64 that one customer gets of IPv6.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(in crate::web) enum Source {
    V4([u8; 4]),
    V6([u8; 8]),
}

impl From<IpAddr> for Source {
    /// A proxy may tell of an IPv4 address in IPv6's clothes.
    fn from(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self::V4(address.octets()),
            IpAddr::V6(address) => {
                let mut network = [0; 8];
                network.copy_from_slice(&address.octets()[..8]);
                Self::V6(network)
            }
        }
    }
}

/// Failures without consequence: people mistype, and scripts try the passwords that they know.
const FREE: u32 = 9;

/// What the next failure costs. Each further one doubles it, up to the longest.
const FIRST: Duration = Duration::from_secs(5);
const LONGEST: Duration = Duration::from_secs(600);

/// One failure is forgotten each time this has passed.
const FORGOTTEN: Duration = Duration::from_secs(600);

/// One source is as much as somebody with a /48 can have 65,536 of.
const SOURCES_MAX: usize = 4096;

#[derive(Debug, Default)]
pub(super) struct Penalties {
    records: HashMap<Source, Record>,
}

#[derive(Debug, Clone, Copy)]
struct Record {
    failures: u32,
    last: Instant,
    /// Nothing from there is looked at before.
    until: Instant,
}

impl Record {
    fn failures(&self, now: Instant) -> u32 {
        let forgotten = now.saturating_duration_since(self.last).as_secs() / FORGOTTEN.as_secs();
        self.failures.saturating_sub(u32::try_from(forgotten).unwrap_or(u32::MAX))
    }
}

impl Penalties {
    /// How long the source must wait.
    pub(super) fn remaining(&self, source: Source, now: Instant) -> Option<Duration> {
        let until = self.records.get(&source)?.until;
        until.checked_duration_since(now).filter(|time| !time.is_zero())
    }

    pub(super) fn fail(&mut self, source: Source, now: Instant) {
        if !self.records.contains_key(&source) && self.records.len() >= SOURCES_MAX {
            self.make_room(now);
        }
        let record =
            self.records.entry(source).or_insert(Record { failures: 0, last: now, until: now });
        let failures = record.failures(now).saturating_add(1);
        let wait = match failures.checked_sub(FREE + 1) {
            None => Duration::ZERO,
            Some(doubled) => FIRST.saturating_mul(1 << doubled.min(16)).min(LONGEST),
        };
        *record = Record { failures, last: now, until: now + wait };
    }

    pub(super) fn forgive(&mut self, source: Source) {
        self.records.remove(&source);
    }

    pub(super) fn len(&self) -> usize {
        self.records.len()
    }

    /// Drops what is forgotten; if that is nothing, the one that has least to wait.
    fn make_room(&mut self, now: Instant) {
        self.records.retain(|_, record| record.failures(now) > 0);
        if self.records.len() >= SOURCES_MAX
            && let Some((&source, _)) = self.records.iter().min_by_key(|(_, r)| (r.until, r.last))
        {
            self.records.remove(&source);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(text: &str) -> Source {
        Source::from(text.parse::<IpAddr>().unwrap())
    }

    #[test]
    fn sources() {
        assert_eq!(source("::ffff:192.0.2.1"), source("192.0.2.1"));
        assert_ne!(source("192.0.2.1"), source("192.0.2.2"));
        assert_eq!(source("2001:db8:1:2::1"), source("2001:db8:1:2:ffff::"));
        assert_ne!(source("2001:db8:1:2::1"), source("2001:db8:1:3::1"));
    }

    /// The seconds to wait after each of these failures, each made as soon as it is looked at.
    #[test]
    fn waits_double_up_to_the_longest() {
        let mut penalties = Penalties::default();
        let (one, other) = (source("192.0.2.1"), source("192.0.2.2"));
        let mut now = Instant::now();
        let mut waits = Vec::new();
        for _ in 0..20 {
            penalties.fail(one, now);
            let wait = penalties.remaining(one, now).unwrap_or_default();
            waits.push(wait.as_secs());
            assert_eq!(penalties.remaining(other, now), None);
            now += wait;
            assert_eq!(penalties.remaining(one, now), None);
        }
        assert_eq!(waits[..9], [0; 9]);
        assert_eq!(waits[9..], [5, 10, 20, 40, 80, 160, 320, 600, 600, 600, 600]);
    }

    #[test]
    fn failures_are_forgotten() {
        let mut penalties = Penalties::default();
        let one = source("2001:db8::1");
        let start = Instant::now();
        let mut wait_after = |failures, now| {
            for _ in 0..failures {
                penalties.fail(one, now);
            }
            penalties.remaining(one, now).unwrap_or_default().as_secs()
        };
        assert_eq!(wait_after(11, start), 10);
        assert_eq!(wait_after(1, start + 3 * FORGOTTEN), 0, "8 of 11 remain, and 1 is new");
        assert_eq!(wait_after(1, start + 3 * FORGOTTEN), 5);
        assert_eq!(wait_after(9, start + 100 * FORGOTTEN), 0);
        penalties.fail(one, start + 100 * FORGOTTEN);
        penalties.forgive(one);
        assert_eq!(penalties.remaining(one, start + 100 * FORGOTTEN), None);
        assert_eq!(penalties.len(), 0);
    }

    #[test]
    fn the_table_is_bounded_and_keeps_the_worst() {
        let mut penalties = Penalties::default();
        let now = Instant::now();
        let worst = source("192.0.2.1");
        for _ in 0..15 {
            penalties.fail(worst, now);
        }
        let network = |n: u64| Source::V6(n.to_be_bytes());
        for n in 0..10_000 {
            penalties.fail(network(n), now + Duration::from_millis(n));
            assert!(penalties.len() <= SOURCES_MAX);
        }
        assert!(penalties.remaining(worst, now + Duration::from_secs(10)).is_some());
        // All of them but the worst are forgotten by then.
        penalties.fail(network(0), now + FORGOTTEN * 2);
        penalties.fail(network(10_001), now + FORGOTTEN * 2);
        assert_eq!(penalties.len(), 3);
    }
}
