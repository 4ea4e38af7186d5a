//! How long a client may take for what it does: for its handshake and a request's head, for silence, for a whole request, and for
//! taking the answer.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

/// For the handshake, for the head of a request once it has begun, and for silence before anything was served.
const HEAD: Duration = Duration::from_secs(10);

/// For silence between requests. Prometheus keeps a connection for five minutes: it is the one to close it.
const IDLE: Duration = Duration::from_secs(360);

/// For a request from its head to the last byte of the answer. A scrape has a deadline of its own, which is far shorter.
const WHOLE: Duration = Duration::from_secs(300);

/// For taking what the kernel holds for the client while more is to come.
const SEND: Duration = Duration::from_secs(20);

/// What is known of a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Standing {
    /// Has asked for nothing, or in vain.
    Stranger,
    /// Was served something that everybody may have.
    Served,
    /// Has shown a password.
    Trusted,
}

/// One connection's time.
#[derive(Debug)]
pub(super) struct Clock {
    state: Mutex<State>,
    /// The deadline has come nearer.
    sooner: Notify,
}

#[derive(Debug)]
struct State {
    standing: Standing,
    /// Requests under way, the sending of their answers included.
    requests: usize,
    /// When the last request began or ended, or the connection began.
    since: Instant,
    /// When the head that is not complete began.
    head: Option<Instant>,
    /// Since when the client has not taken what was to be sent.
    blocked: Option<Instant>,
    /// In HTTP/2, what comes between requests is no head.
    speaks_http2: bool,
}

impl State {
    fn new(now: Instant) -> Self {
        Self {
            standing: Standing::Stranger,
            requests: 0,
            since: now,
            head: None,
            blocked: None,
            speaks_http2: false,
        }
    }

    fn deadline(&self) -> Instant {
        let deadline = match self.head {
            _ if self.requests > 0 => self.since + WHOLE,
            Some(began) => began + HEAD,
            None if self.standing > Standing::Stranger => self.since + IDLE,
            None => self.since + HEAD,
        };
        self.blocked.map_or(deadline, |began| deadline.min(began + SEND))
    }

    fn receive(&mut self, now: Instant) {
        if self.requests == 0 && !self.speaks_http2 {
            self.head.get_or_insert(now);
        }
    }

    fn send(&mut self, is_all: bool, now: Instant) {
        if is_all {
            self.blocked = None;
        } else {
            self.blocked.get_or_insert(now);
        }
    }

    fn begin(&mut self, now: Instant) {
        self.requests += 1;
        self.since = now;
        self.head = None;
    }

    fn end(&mut self, now: Instant) {
        self.requests -= 1;
        self.since = now;
    }
}

impl Clock {
    pub(super) fn new() -> Arc<Self> {
        let state = Mutex::new(State::new(Instant::now()));
        Arc::new(Self { state, sooner: Notify::new() })
    }

    /// Bytes have come.
    pub(super) fn receive(&self) {
        self.change(|state| state.receive(Instant::now()));
    }

    /// The kernel took all that was to be sent, or not.
    pub(super) fn send(&self, is_all: bool) {
        self.change(|state| state.send(is_all, Instant::now()));
    }

    pub(super) fn speak_http2(&self) {
        self.change(|state| {
            state.speaks_http2 = true;
            state.head = None;
        });
    }

    pub(super) fn rise(&self, standing: Standing) {
        self.change(|state| state.standing = state.standing.max(standing));
    }

    pub(super) fn standing(&self) -> Standing {
        self.state().standing
    }

    pub(super) fn is_busy(&self) -> bool {
        self.state().requests > 0
    }

    /// A request begins; it ends when what is returned is dropped.
    pub(super) fn begin(self: &Arc<Self>) -> Begun {
        self.change(|state| state.begin(Instant::now()));
        Begun(Arc::clone(self))
    }

    /// Returns when the client has taken too long.
    pub(super) async fn overdue(&self) {
        loop {
            let deadline = self.state().deadline();
            if deadline <= Instant::now() {
                return;
            }
            tokio::select! {
                () = tokio::time::sleep_until(deadline.into()) => {}
                () = self.sooner.notified() => {}
            }
        }
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.state();
        let before = state.deadline();
        change(&mut state);
        if state.deadline() < before {
            self.sooner.notify_one();
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request under way.
#[derive(Debug)]
pub(super) struct Begun(Arc<Clock>);

impl Drop for Begun {
    fn drop(&mut self) {
        self.0.change(|state| state.end(Instant::now()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Event = fn(&mut State, Instant);

    /// What happens, second by second, and how many seconds after the start the client is cut off.
    fn cut(events: &[(u64, Event)]) -> u64 {
        let start = Instant::now();
        let mut state = State::new(start);
        for (second, event) in events {
            let now = start + Duration::from_secs(*second);
            assert!(now < state.deadline(), "cut off before second {second}");
            event(&mut state, now);
        }
        (state.deadline() - start).as_secs()
    }

    #[test]
    fn clients_are_cut_off_in_time() {
        let receive = |state: &mut State, now| state.receive(now);
        let begin = |state: &mut State, now| state.begin(now);
        let end = |state: &mut State, now| state.end(now);
        let serve = |state: &mut State, now| {
            state.end(now);
            state.standing = Standing::Served;
        };
        let block = |state: &mut State, now| state.send(false, now);
        let flow = |state: &mut State, now| state.send(true, now);
        let http2 = |state: &mut State, _| state.speaks_http2 = true;
        assert_eq!(cut(&[]), 10, "silent from the start");
        assert_eq!(cut(&[(9, receive), (12, receive), (18, receive)]), 19, "a head, drop by drop");
        assert_eq!(cut(&[(1, receive), (2, begin)]), 302, "a request that is never answered");
        assert_eq!(cut(&[(1, begin), (2, end)]), 12, "silent after it was refused");
        assert_eq!(cut(&[(1, begin), (2, serve)]), 362, "silent after it was served");
        assert_eq!(cut(&[(1, begin), (2, serve), (62, receive)]), 72, "half a head later on");
        assert_eq!(cut(&[(1, begin), (2, block), (5, serve), (9, block)]), 22, "takes no answer");
        assert_eq!(cut(&[(1, begin), (2, block), (9, flow), (10, block)]), 30, "takes it slowly");
        assert_eq!(cut(&[(0, http2), (1, begin), (2, serve), (62, receive)]), 362, "HTTP/2 pings");
        assert_eq!(cut(&[(1, begin), (5, begin), (6, end)]), 306, "one of two requests");
    }

    #[tokio::test]
    async fn a_nearer_deadline_is_noticed() {
        let clock = Clock::new();
        clock.rise(Standing::Trusted);
        let past = Instant::now() - 2 * SEND;
        let block = async {
            tokio::task::yield_now().await;
            clock.change(|state| state.blocked = Some(past));
        };
        tokio::join!(clock.overdue(), block);
    }
}
