//! Who may come in: HTTP basic authentication that costs nothing once a credential is known, and gives nothing away before.
//!
//! A request is decided in up to three steps, so that no hash is computed on an async thread:
//! [`Authenticator::check`] answers from memory or hands out a [`Job`]; [`Job::run`] computes the hash, which takes long;
//! [`Authenticator::settle`] makes an answer of what came out, and remembers it. Jobs are for running one at a time. When a job's
//! turn has come, [`Authenticator::again`] tells whether another has meanwhile settled the same credential. Run and settle in a
//! task of their own, so that a guess counts even if the client has hung up.

mod memory;
mod penalty;
mod verify;

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use aws_lc_rs::{hmac, rand};
use http_auth_basic::Credentials;

use super::limit::RateLimit;
use super::password::Hash;
use memory::{Line, Memory, Place};
use penalty::Penalties;
pub(super) use penalty::Source;

/// Credentials that are remembered, right ones and wrong ones each. Wrong ones must not drive out right ones.
pub const REMEMBERED_MAX: usize = 1024;

pub struct Authenticator {
    /// Made at start, kept nowhere: what is remembered is of no use to whoever reads it.
    key: hmac::Key,
    state: Mutex<State>,
    line: Arc<Mutex<Line>>,
    turn: verify::Turn,
    pub counts: AuthCounts,
}

struct State {
    users: HashMap<Arc<str>, Arc<Hash>>,
    /// Counts changes of `users`.
    generation: u64,
    /// The costliest of the users' hashes. An unknown user's password is held against it, for the time it takes.
    decoy: Option<Arc<Hash>>,
    right: Memory<Arc<str>>,
    wrong: Memory<Reason>,
    penalties: Penalties,
}

/// A credential under the key.
type Tag = [u8; 32];

/// What is to be done with a request.
#[derive(Debug)]
pub enum Check {
    Allowed(Arc<str>),
    Refused(Reason),
    Verify(Job),
}

/// Why a request is refused. `Display` is for the log, and shows no name but a configured user's: people type passwords into the
/// wrong field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// No credentials: how every browser begins.
    Missing,
    /// Some other scheme, or not base 64.
    Malformed,
    UnknownUser,
    WrongPassword(Arc<str>),
    /// Too many failures from there, for so long to come. The credentials were not looked at.
    Penalized(Duration),
    /// Too many unknown credentials at once. The credentials were not looked at.
    Busy,
}

impl Reason {
    /// For a metric's label.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Malformed => "malformed",
            Self::UnknownUser => "unknown_user",
            Self::WrongPassword(_) => "wrong_password",
            Self::Penalized(_) => "penalized",
            Self::Busy => "busy",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("no credentials"),
            Self::Malformed => f.write_str("malformed credentials"),
            Self::UnknownUser => f.write_str("unknown user"),
            Self::WrongPassword(user) => write!(f, "wrong password for user {user:?}"),
            Self::Penalized(time) => {
                write!(f, "too many failures, nothing is looked at for {}s", time.as_secs() + 1)
            }
            Self::Busy => f.write_str("too many credentials to verify"),
        }
    }
}

/// Since start. All but `hashes` add up to the requests that were decided.
#[derive(Debug, Default)]
pub struct AuthCounts {
    pub successes: AtomicU64,
    pub missing: AtomicU64,
    pub malformed: AtomicU64,
    pub unknown_user: AtomicU64,
    pub wrong_password: AtomicU64,
    pub penalized: AtomicU64,
    pub busy: AtomicU64,
    /// Decisions that a hash was computed for; the others cost nothing.
    pub hashes: AtomicU64,
}

impl AuthCounts {
    pub fn successes(&self) -> u64 {
        self.successes.load(Ordering::Relaxed)
    }

    pub fn hashes(&self) -> u64 {
        self.hashes.load(Ordering::Relaxed)
    }

    /// Failures by [`Reason::label`].
    pub fn failures(&self) -> [(&'static str, u64); 6] {
        [
            ("busy", &self.busy),
            ("malformed", &self.malformed),
            ("missing", &self.missing),
            ("penalized", &self.penalized),
            ("unknown_user", &self.unknown_user),
            ("wrong_password", &self.wrong_password),
        ]
        .map(|(label, count)| (label, count.load(Ordering::Relaxed)))
    }

    fn of(&self, reason: &Reason) -> &AtomicU64 {
        match reason {
            Reason::Missing => &self.missing,
            Reason::Malformed => &self.malformed,
            Reason::UnknownUser => &self.unknown_user,
            Reason::WrongPassword(_) => &self.wrong_password,
            Reason::Penalized(_) => &self.penalized,
            Reason::Busy => &self.busy,
        }
    }
}

/// How much is kept at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AuthSizes {
    pub users: usize,
    pub remembered_right: usize,
    pub remembered_wrong: usize,
    /// Sources with failures that are not forgotten.
    pub sources: usize,
    pub waiting: usize,
}

impl Authenticator {
    /// The first of a name counts. Without users, nobody may come in.
    pub fn new(users: impl IntoIterator<Item = (String, Hash)>) -> Self {
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &rand::SystemRandom::new());
        let users = by_name(users);
        Self {
            key: key.expect("the kernel has random numbers"),
            state: Mutex::new(State {
                decoy: costliest(&users),
                users,
                generation: 0,
                right: Memory::new(REMEMBERED_MAX),
                wrong: Memory::new(REMEMBERED_MAX),
                penalties: Penalties::default(),
            }),
            line: Arc::default(),
            turn: verify::Turn::default(),
            counts: AuthCounts::default(),
        }
    }

    /// Other users from now on. All that is remembered of credentials is forgotten, unless the users are the same as before:
    /// a certificate that was renewed must not cost everybody a hash.
    pub fn reload(&self, users: impl IntoIterator<Item = (String, Hash)>) {
        let users = by_name(users);
        let mut state = self.state();
        if state.users != users {
            state.decoy = costliest(&users);
            state.users = users;
            state.generation += 1;
            state.right.clear();
            state.wrong.clear();
        }
    }

    /// Decides on the value of an `Authorization` header. `peer` is `None` for what has no address, such as a Unix socket.
    pub fn check(&self, header: Option<&[u8]>, peer: Option<IpAddr>, now: Instant) -> Check {
        let Some(header) = header else { return self.refuse(Reason::Missing) };
        let credentials = str::from_utf8(header).ok().map(str::to_owned);
        let Some(Ok(Credentials { user_id, password })) = credentials.map(Credentials::from_header)
        else {
            return self.refuse(Reason::Malformed);
        };
        let tag = self.tag(&user_id, &password);
        let source = peer.map(Source::from);

        let state = self.state();
        if let Some(known) = self.remembered(&state, &tag) {
            return known;
        }
        let Some(decoy) = state.decoy.clone() else { return self.refuse(Reason::UnknownUser) };
        if let Some(time) = source.and_then(|source| state.penalties.remaining(source, now)) {
            return self.refuse(Reason::Penalized(time));
        }
        let Some(place) = Place::take(&self.line, tag, source) else {
            return self.refuse(Reason::Busy);
        };
        let user =
            state.users.get_key_value(&*user_id).map(|(user, hash)| (user.clone(), hash.clone()));
        let generation = state.generation;
        Check::Verify(Job {
            password,
            user,
            decoy,
            request: Request { tag, source, generation, place },
        })
    }

    /// Whether the job is still worth running, once its turn has come.
    pub fn again(&self, job: Job) -> Check {
        let known = self.remembered(&self.state(), &job.request.tag);
        known.unwrap_or(Check::Verify(job))
    }

    /// The answer, now that the hash is computed: who it is, or why not.
    pub fn settle(&self, outcome: Outcome, now: Instant) -> Result<Arc<str>, Reason> {
        let Outcome { user, right, request } = outcome;
        let Request { tag, source, generation, place: _place } = request;
        self.counts.hashes.fetch_add(1, Ordering::Relaxed);
        let mut state = self.state();
        // Users may have changed while the hash was computed.
        let stands = state.generation == generation;
        let reason = match user {
            Some((user, hash)) if right => {
                if stands || state.users.get(&user) == Some(&hash) {
                    state.right.insert(tag, user.clone());
                    if let Some(source) = source {
                        state.penalties.forgive(source);
                    }
                    self.counts.successes.fetch_add(1, Ordering::Relaxed);
                    return Ok(user);
                }
                Reason::WrongPassword(user)
            }
            Some((user, _)) => Reason::WrongPassword(user),
            None => Reason::UnknownUser,
        };
        if stands {
            state.wrong.insert(tag, reason.clone());
        }
        if let Some(source) = source
            && !right
        {
            state.penalties.fail(source, now);
        }
        self.counts.of(&reason).fetch_add(1, Ordering::Relaxed);
        Err(reason)
    }

    pub fn sizes(&self) -> AuthSizes {
        let state = self.state();
        AuthSizes {
            users: state.users.len(),
            remembered_right: state.right.len(),
            remembered_wrong: state.wrong.len(),
            sources: state.penalties.len(),
            waiting: self.line.lock().unwrap_or_else(PoisonError::into_inner).len(),
        }
    }

    /// A wrong credential that is known to be wrong costs nothing and tells its sender nothing new: it brings no penalty either.
    fn remembered(&self, state: &State, tag: &Tag) -> Option<Check> {
        if let Some(user) = state.right.get(tag) {
            self.counts.successes.fetch_add(1, Ordering::Relaxed);
            return Some(Check::Allowed(user.clone()));
        }
        state.wrong.get(tag).map(|reason| self.refuse(reason.clone()))
    }

    fn refuse(&self, reason: Reason) -> Check {
        self.counts.of(&reason).fetch_add(1, Ordering::Relaxed);
        Check::Refused(reason)
    }

    /// The length keeps `a:bc` and `ab:c` apart.
    fn tag(&self, user: &str, password: &str) -> Tag {
        let mut context = hmac::Context::with_key(&self.key);
        context.update(&user.len().to_le_bytes());
        context.update(user.as_bytes());
        context.update(password.as_bytes());
        let mut tag = Tag::default();
        tag.copy_from_slice(context.sign().as_ref());
        tag
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Authenticator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authenticator").field("sizes", &self.sizes()).finish_non_exhaustive()
    }
}

fn by_name(users: impl IntoIterator<Item = (String, Hash)>) -> HashMap<Arc<str>, Arc<Hash>> {
    let mut map = HashMap::new();
    for (user, hash) in users {
        map.entry(user.into()).or_insert_with(|| hash.into());
    }
    map
}

fn costliest(users: &HashMap<Arc<str>, Arc<Hash>>) -> Option<Arc<Hash>> {
    users.values().max_by_key(|hash| hash.work()).cloned()
}

/// A credential that has to be verified.
pub struct Job {
    password: String,
    /// `None` for a user whom nobody knows.
    user: Option<(Arc<str>, Arc<Hash>)>,
    decoy: Arc<Hash>,
    request: Request,
}

struct Request {
    tag: Tag,
    source: Option<Source>,
    generation: u64,
    place: Place,
}

impl Job {
    /// Computes the hash: milliseconds up to seconds. An unknown user takes as long as a wrong password, whatever hash the user
    /// has, and never comes in, even if the decoy fits.
    pub fn run(self) -> Outcome {
        let Self { password, user, decoy, request } = self;
        let right = user.as_ref().is_some_and(|(_, hash)| hash.verify(password.as_bytes()));
        let takes_long = user.as_ref().is_some_and(|(_, hash)| hash.work() >= decoy.work());
        if !right && !takes_long {
            std::hint::black_box(decoy.verify(password.as_bytes()));
        }
        Outcome { user, right, request }
    }
}

impl fmt::Debug for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Job").finish_non_exhaustive()
    }
}

/// What came out of a [`Job`].
pub struct Outcome {
    user: Option<(Arc<str>, Arc<Hash>)>,
    right: bool,
    request: Request,
}

impl fmt::Debug for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outcome").finish_non_exhaustive()
    }
}

/// Keeps a storm of failed logins from becoming a storm of log lines.
#[derive(Debug)]
pub struct FailureLog {
    lines: RateLimit,
    suppressed: AtomicU64,
}

impl Default for FailureLog {
    fn default() -> Self {
        Self { lines: RateLimit::new(Duration::from_secs(10), 5), suppressed: AtomicU64::new(0) }
    }
}

impl FailureLog {
    /// Whether to log this failure, and how many were not logged since the last one that was. A missing credential is none.
    pub fn note(&self, reason: &Reason, now: Instant) -> Option<u64> {
        if *reason == Reason::Missing {
            return None;
        }
        if self.lines.allow(now) {
            return Some(self.suppressed.swap(0, Ordering::Relaxed));
        }
        self.suppressed.fetch_add(1, Ordering::Relaxed);
        None
    }
}

#[cfg(test)]
mod tests;
