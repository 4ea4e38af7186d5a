//! Who is connected: so many in all and so many from one source. When there is no room, a newcomer takes the place of whoever has
//! shown no password and came first, so that connections which only stand there keep nobody out.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::auth::Source;
use super::clock::{Clock, Standing};
use crate::host::trim_allocator;

/// Most connections, if the process may have four times as many descriptors: files of the kernel take half of those.
const ALL_MAX: u64 = 1024;

/// Half of the connections is enough for one source.
const SHARE: usize = 2;

/// So many at a time leave memory behind that is worth giving back.
const CROWDED: usize = 64;

#[derive(Debug)]
pub(super) struct Crowd {
    guests: Mutex<Guests>,
    max: usize,
    left: Notify,
}

/// By the order in which they came.
#[derive(Debug, Default)]
struct Guests {
    seats: BTreeMap<u64, Guest>,
    next: u64,
    /// Most that were there at a time, since memory was given back.
    peak: usize,
}

#[derive(Debug)]
struct Guest {
    /// `None` for who has no address, and for trusted proxies, which come for many.
    source: Option<Source>,
    clock: Arc<Clock>,
    leave: Arc<Notify>,
}

impl Crowd {
    pub(super) fn new() -> Arc<Self> {
        let soft = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
        let max = soft.map_or(ALL_MAX, |soft| ALL_MAX.min(soft / 4)).max(1);
        Self::with_room_for(usize::try_from(max).unwrap_or(usize::MAX))
    }

    fn with_room_for(max: usize) -> Arc<Self> {
        Arc::new(Self { guests: Mutex::default(), max, left: Notify::new() })
    }

    /// A seat, unless all that could be made free are taken by who has shown a password.
    pub(super) fn enter(
        self: &Arc<Self>,
        source: Option<IpAddr>,
        clock: &Arc<Clock>,
    ) -> Option<Seat> {
        let source = source.map(Source::from);
        let mut guests = self.guests();
        let from_there = |guest: &Guest| source.is_some() && guest.source == source;
        let count = guests.seats.values().filter(|guest| from_there(guest)).count();
        if count >= self.max.div_ceil(SHARE) {
            guests.send_one_away(from_there)?;
        }
        if guests.seats.len() >= self.max {
            guests.send_one_away(|_| true)?;
        }
        let leave = Arc::new(Notify::new());
        let number = guests.next;
        guests.next += 1;
        let guest = Guest { source, clock: Arc::clone(clock), leave: Arc::clone(&leave) };
        guests.seats.insert(number, guest);
        guests.peak = guests.peak.max(guests.seats.len());
        Some(Seat { crowd: Arc::clone(self), number, leave })
    }

    /// Makes one leave, for want of descriptors.
    pub(super) fn shrink(&self) {
        self.guests().send_one_away(|_| true);
    }

    /// Returns when nobody is there.
    pub(super) async fn all_gone(&self) {
        loop {
            let left = self.left.notified();
            if self.guests().seats.is_empty() {
                return;
            }
            left.await;
        }
    }

    fn guests(&self) -> MutexGuard<'_, Guests> {
        self.guests.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Guests {
    /// Whether most of a crowd has gone, told once.
    fn have_dispersed(&mut self) -> bool {
        let have = self.peak >= CROWDED && self.seats.len() <= self.peak / 32;
        if have {
            self.peak = self.seats.len();
        }
        have
    }

    /// Strangers go before those who were served something, the idle before the busy, and the first to come goes first.
    fn send_one_away(&mut self, is_meant: impl Fn(&Guest) -> bool) -> Option<()> {
        let (.., number) = self
            .seats
            .iter()
            .filter(|(_, guest)| is_meant(guest))
            .map(|(number, guest)| (guest.clock.standing(), guest.clock.is_busy(), *number))
            .filter(|(standing, ..)| *standing < Standing::Trusted)
            .min()?;
        let guest = self.seats.remove(&number)?;
        guest.leave.notify_one();
        Some(())
    }
}

/// A place in the crowd, left when dropped.
#[derive(Debug)]
pub(super) struct Seat {
    crowd: Arc<Crowd>,
    number: u64,
    leave: Arc<Notify>,
}

impl Seat {
    /// Returns when another needs the place.
    pub(super) async fn lost(&self) {
        self.leave.notified().await;
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let have_dispersed = {
            let mut guests = self.crowd.guests();
            guests.seats.remove(&self.number);
            guests.have_dispersed()
        };
        self.crowd.left.notify_one();
        if have_dispersed {
            trim_allocator();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Door(Arc<Crowd>);

    impl Door {
        fn enter(&self, source: &str, standing: Standing) -> Option<Seat> {
            let clock = Clock::new();
            clock.rise(standing);
            self.0.enter(source.parse().ok(), &clock)
        }

        fn seated(&self, seat: &Seat) -> bool {
            self.0.guests().seats.contains_key(&seat.number)
        }
    }

    #[test]
    fn one_source_has_its_share() {
        use Standing::{Served, Stranger, Trusted};
        let door = Door(Crowd::with_room_for(6));
        let served = door.enter("192.0.2.1", Served).unwrap();
        let first = door.enter("192.0.2.1", Stranger).unwrap();
        let second = door.enter("192.0.2.1", Stranger).unwrap();
        let other = door.enter("192.0.2.2", Stranger).unwrap();
        let third = door.enter("192.0.2.1", Trusted).unwrap();
        assert!(!door.seated(&first), "the stranger that came first goes");
        assert!([&served, &second, &third, &other].into_iter().all(|seat| door.seated(seat)));
        let fourth = door.enter("192.0.2.1", Trusted).unwrap();
        let fifth = door.enter("192.0.2.1", Trusted).unwrap();
        assert!(!door.seated(&second) && !door.seated(&served), "then who was served");
        assert!(door.enter("192.0.2.1", Stranger).is_none(), "who showed a password stays");
        assert!(door.seated(&other), "other sources have nothing to do with it");
        drop((third, fourth, fifth));
        assert!(door.enter("192.0.2.1", Stranger).is_some());
    }

    #[test]
    fn all_together_have_their_limit() {
        use Standing::{Stranger, Trusted};
        let door = Door(Crowd::with_room_for(8));
        let seats: Vec<_> =
            (0..8).map(|n| door.enter(&format!("192.0.2.{n}"), Stranger).unwrap()).collect();
        let local = door.enter("", Trusted).unwrap();
        assert!(!door.seated(&seats[0]) && door.seated(&local));
        door.0.shrink();
        assert!(!door.seated(&seats[1]));
        drop(seats);
        assert_eq!(door.0.guests().seats.len(), 1);
        let more: Vec<_> = (0..7).map(|_| door.enter("", Trusted).unwrap()).collect();
        assert!(door.enter("192.0.2.1", Stranger).is_none());
        drop(more);
    }
}
