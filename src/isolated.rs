//! Calls that the kernel may never return from: what hangs costs one parked thread and its own part
//! of the answer, and is tried again once the old call has returned.

mod pool;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

pub use pool::{Job, PATIENCE, Pool};

/// Work on one thing that may hang, such as a mount or a bus, with all that it takes. It goes to a
/// thread of its own and comes back with what it found.
pub trait Errand: Send + 'static {
    /// Names the thing, so that nobody else is sent after it meanwhile.
    fn key(&self) -> &Arc<str>;

    fn run(&mut self);
}

/// Runs the errands of one collector.
pub struct Crew<E> {
    pool: Arc<Pool<Sent<E>>>,
    home: Arc<Home<E>>,
}

impl<E: Errand> Default for Crew<E> {
    fn default() -> Self {
        let state =
            State { round: 0, missing: 0, away: Vec::new(), back: Vec::new(), late: Vec::new() };
        let home = Home { state: Mutex::new(state), came: Condvar::new() };
        Self { pool: Arc::default(), home: Arc::new(home) }
    }
}

impl<E: Errand> Crew<E> {
    /// Adds those that came back too late for their scrape: what they found then is stale.
    pub fn welcome(&self, errands: &mut Vec<E>) {
        errands.append(&mut lock(&self.home.state).late);
    }

    /// Since when the thing of that name has been away.
    pub fn away_since(&self, key: &str) -> Option<Instant> {
        let state = lock(&self.home.state);
        state.away.iter().find(|(away, _)| **away == *key).map(|(_, since)| *since)
    }

    /// Runs the errands and returns when all are back, or at `until`: those that are not back by
    /// then are missing in `errands`.
    pub fn run(&self, errands: &mut Vec<E>, until: Instant) {
        if errands.is_empty() {
            return;
        }
        let mut state = lock(&self.home.state);
        state.round += 1;
        state.missing = errands.len();
        let now = Instant::now();
        state.away.extend(errands.iter().map(|errand| (Arc::clone(errand.key()), now)));
        let round = state.round;
        drop(state);
        let send = |errand| Sent { errand, round, home: Arc::clone(&self.home) };
        self.pool.add(errands.drain(..).map(send));
        self.wait(until);
        errands.append(&mut lock(&self.home.state).back);
    }

    fn wait(&self, until: Instant) {
        let mut begun = 0;
        let mut state = lock(&self.home.state);
        while state.missing > 0 {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                // What comes back from here on is late, and what has not left is back already.
                state.round += 1;
                for Sent { errand, .. } in self.pool.withdraw() {
                    state.away.retain(|(away, _)| away != errand.key());
                    state.late.push(errand);
                }
                return;
            }
            let waited = self.home.came.wait_timeout(state, left.min(PATIENCE));
            let (locked, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
            state = locked;
            if timeout.timed_out() {
                self.pool.relieve(&mut begun);
            }
        }
    }

    /// How many threads there are, parked ones included.
    pub fn workers(&self) -> usize {
        self.pool.workers()
    }
}

/// Where errands come back to.
struct Home<E> {
    state: Mutex<State<E>>,
    came: Condvar,
}

struct State<E> {
    round: u64,
    /// Errands of this round that are not back.
    missing: usize,
    away: Vec<(Arc<str>, Instant)>,
    back: Vec<E>,
    late: Vec<E>,
}

/// An errand under way.
struct Sent<E> {
    errand: E,
    round: u64,
    home: Arc<Home<E>>,
}

impl<E: Errand> Job for Sent<E> {
    fn run(self) {
        let Self { mut errand, round, home } = self;
        let key = Arc::clone(errand.key());
        // The panic hook has told what happened; the errand does not come back.
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            errand.run();
            errand
        }));
        let mut state = lock(&home.state);
        state.away.retain(|(away, _)| *away != key);
        let is_in_time = round == state.round;
        if let Ok(errand) = outcome {
            let state = &mut *state;
            if is_in_time { &mut state.back } else { &mut state.late }.push(errand);
        }
        state.missing -= usize::from(is_in_time);
        let is_last = is_in_time && state.missing == 0;
        drop(state);
        // Not under the lock, which is what the one who waits takes first.
        if is_last {
            home.came.notify_all();
        }
    }
}

/// A lock whose last holder panicked still guards sound data here: panics are caught outside of it.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::{Receiver, channel};
    use std::time::Duration;

    struct Visit {
        key: Arc<str>,
        gate: Option<Receiver<()>>,
        runs: u32,
    }

    impl Visit {
        fn new(key: &str, gate: Option<Receiver<()>>) -> Self {
            Self { key: key.into(), gate, runs: 0 }
        }
    }

    impl Errand for Visit {
        fn key(&self) -> &Arc<str> {
            &self.key
        }

        fn run(&mut self) {
            assert_ne!(&*self.key, "panics");
            self.runs += 1;
            if let Some(gate) = self.gate.take() {
                gate.recv().unwrap();
            }
        }
    }

    fn keys(errands: &[Visit]) -> Vec<&str> {
        let mut keys: Vec<&str> = errands.iter().map(|errand| &*errand.key).collect();
        keys.sort_unstable();
        keys
    }

    #[test]
    fn what_hangs_is_missing_until_it_comes_back() {
        let (open, gate) = channel();
        let crew = Crew::default();
        let mut errands =
            vec![Visit::new("hangs", Some(gate)), Visit::new("a", None), Visit::new("b", None)];
        crew.run(&mut errands, Instant::now() + Duration::from_secs(2));
        assert_eq!(keys(&errands), ["a", "b"]);
        let workers = crew.workers();
        for _ in 0..20 {
            crew.welcome(&mut errands);
            let began = Instant::now();
            crew.run(&mut errands, began + Duration::from_secs(60));
            assert!(began.elapsed() < Duration::from_secs(30), "waited for what was away");
            assert_eq!(keys(&errands), ["a", "b"]);
        }
        assert!(crew.away_since("hangs").is_some() && crew.away_since("a").is_none());
        assert_eq!(crew.workers(), workers);
        open.send(()).unwrap();
        while crew.away_since("hangs").is_some() {
            std::thread::yield_now();
        }
        crew.welcome(&mut errands);
        assert_eq!(keys(&errands), ["a", "b", "hangs"]);
        crew.run(&mut errands, Instant::now() + Duration::from_secs(60));
        assert_eq!(errands.iter().map(|errand| errand.runs).max(), Some(22));
        assert_eq!(errands.iter().map(|errand| errand.runs).min(), Some(2));
    }

    #[test]
    fn what_has_not_left_in_time_is_not_away() {
        let (open, gate) = channel();
        let crew = Crew::default();
        let mut errands = vec![Visit::new("hangs", Some(gate)), Visit::new("a", None)];
        crew.run(&mut errands, Instant::now() + PATIENCE / 2);
        assert_eq!(keys(&errands), [""; 0]);
        assert!(crew.away_since("a").is_none());
        crew.welcome(&mut errands);
        // On a busy machine the other one may not have left either.
        errands.retain(|errand| &*errand.key == "a");
        crew.run(&mut errands, Instant::now() + Duration::from_secs(60));
        assert_eq!((keys(&errands), errands[0].runs), (vec!["a"], 1));
        let _ = open.send(());
    }

    #[test]
    fn one_that_panics_is_missing_and_not_away() {
        let crew = Crew::default();
        let mut errands = vec![Visit::new("panics", None), Visit::new("a", None)];
        crew.run(&mut errands, Instant::now() + Duration::from_secs(60));
        assert_eq!(keys(&errands), ["a"]);
        assert!(crew.away_since("panics").is_none());
    }
}
