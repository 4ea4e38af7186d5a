//! One scrape: run the collectors, keep to the deadline, give each exactly one verdict.
//!
//! Collectors run one after another on one worker thread, which is the cheapest way while nothing
//! blocks. When a run keeps its worker for longer than [`PATIENCE`], the rest go to another one;
//! a run that misses the deadline is written off: it costs its parked thread and nothing else, is
//! skipped while it is stuck, and is tried again once the old call returned. Scrapes that want a
//! collector while it runs wait for that run instead of asking for another.

use std::any::Any;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use crate::collector::{Collector, Desk, Error, Setup, Shared, Spec};
use crate::exposition::{Desc, Samples, gauge};
use crate::flags::Values;
use crate::host::{Paths, Roots};
use crate::isolated::{Job, PATIENCE, Pool, lock};

static DURATION: Desc = gauge(
    "node_scrape_collector_duration_seconds",
    "Time that one collector took in this scrape.",
    &["collector"],
);

static SUCCESS: Desc = gauge(
    "node_scrape_collector_success",
    "1 if the collector had something to say and no fault, else 0.",
    &["collector"],
);

/// How a collector's part in a scrape ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Answered,
    /// The source is not on this host.
    NoData,
    Failed,
    Panicked,
    /// Did not come back before the deadline.
    Late,
    /// Not tried: an earlier run has still not come back.
    Stuck,
}

impl Verdict {
    pub const fn as_str(self) -> &'static str {
        match self {
            Verdict::Answered => "answered",
            Verdict::NoData => "no data",
            Verdict::Failed => "failed",
            Verdict::Panicked => "panicked",
            Verdict::Late => "late",
            Verdict::Stuck => "stuck",
        }
    }
}

/// What one run of a collector came to.
#[derive(Debug)]
pub struct Answer {
    pub name: &'static str,
    pub samples: Samples,
    pub verdict: Verdict,
    pub duration: Duration,
    /// Why, unless answered.
    pub error: Option<Error>,
}

impl AsRef<Samples> for Answer {
    fn as_ref(&self) -> &Samples {
        &self.samples
    }
}

/// All that one scrape gathered.
#[derive(Debug)]
pub struct Gathered {
    /// By collector name, textfile last: earlier samples win over later ones.
    pub answers: Vec<Arc<Answer>>,
    /// The verdicts and durations as samples.
    pub own: Samples,
}

impl Gathered {
    /// All samples, in the order in which they win, behind those of the agent itself.
    pub fn sources<'a>(&'a self, agent: &'a Samples) -> Vec<&'a Samples> {
        let answers = self.answers.iter().map(|answer| &answer.samples);
        [agent, &self.own].into_iter().chain(answers).collect()
    }
}

/// Which collectors a scrape wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Filter {
    All,
    Only(Vec<String>),
    Without(Vec<String>),
}

/// Why a filter cannot be served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FilterError {
    Missing(String),
    Disabled(String),
}

impl fmt::Display for FilterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FilterError::Missing(name) => write!(f, "missing collector: {name}"),
            FilterError::Disabled(name) => write!(f, "disabled collector: {name}"),
        }
    }
}

/// The enabled collectors and the workers that run them.
pub struct Gatherer {
    entries: Vec<Arc<Entry>>,
    known: Vec<&'static str>,
    shared: Arc<Shared>,
    pool: Arc<Pool<Work>>,
}

impl Gatherer {
    /// Builds the collectors in `enabled`; the first that refuses its settings ends the start.
    pub fn new(
        known: &[&'static Spec],
        enabled: &[&'static str],
        flags: &Values,
        paths: &Paths,
    ) -> Result<Self, String> {
        let setup = Setup { flags, paths, enabled };
        let shared = Arc::new(Shared::default());
        let roots = Roots::new(paths);
        let mut entries = Vec::new();
        for spec in known.iter().filter(|spec| enabled.contains(&spec.name)) {
            let collector = (spec.build)(&setup)
                .map_err(|error| format!("couldn't create collector: {error}"))?;
            let desk = Desk::new(&roots, Arc::clone(&shared));
            entries.push(Arc::new(Entry::new(spec.name, Box::new(Unit { collector, desk }))));
        }
        // What a user's file says never displaces what the kernel says.
        entries.sort_by_key(|entry| (entry.name == "textfile", entry.name));
        let known = known.iter().map(|spec| spec.name).collect();
        Ok(Self { entries, known, shared, pool: Arc::default() })
    }

    /// Names of the enabled collectors, sorted.
    pub fn enabled(&self) -> Vec<&'static str> {
        let mut names: Vec<_> = self.entries.iter().map(|entry| entry.name).collect();
        names.sort_unstable();
        names
    }

    /// Has collectors read their own files again, and look again for what they look for, when they
    /// run next.
    pub fn reload(&self) {
        self.shared.reloads.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether `filter` names only collectors that run here.
    pub fn check(&self, filter: &Filter) -> Result<(), FilterError> {
        let Filter::Only(names) = filter else { return Ok(()) };
        for name in names {
            if !self.known.contains(&name.as_str()) {
                return Err(FilterError::Missing(name.clone()));
            }
            if !self.entries.iter().any(|entry| entry.name == name) {
                return Err(FilterError::Disabled(name.clone()));
            }
        }
        Ok(())
    }

    /// Runs the wanted collectors, and `then` with what there is of them at `deadline` at the latest: on a
    /// worker, without a way back to the async thread in between. `None` if `then` panicked.
    pub async fn gather<T: Send + 'static>(
        &self,
        filter: &Filter,
        deadline: Instant,
        then: impl FnOnce(Gathered) -> T + Send + 'static,
    ) -> Option<T> {
        let started = Instant::now();
        let wanted: Vec<&Arc<Entry>> =
            self.entries.iter().filter(|entry| filter.wants(entry.name)).collect();
        let (sender, mut receiver) = oneshot::channel();
        let then = move |gathered| {
            if !sender.is_closed() {
                let _ = sender.send(then(gathered));
            }
        };
        let round = Arc::new(Round::new(wanted.len(), then));
        let runs = wanted.iter().enumerate().filter_map(|(place, entry)| {
            entry.request(Seat { round: Arc::clone(&round), place }, started, deadline)
        });
        self.pool.add(round.finish_if_complete().into_iter().chain(runs));
        tokio::select! {
            outcome = &mut receiver => return outcome.ok(),
            () = self.relieve(Some(deadline)) => {}
        }
        if let Some(Table { answers, then }) = round.take() {
            let answers = answers
                .into_iter()
                .zip(wanted)
                .map(|(answer, entry)| answer.unwrap_or_else(|| entry.give_up(&round, started)))
                .collect();
            self.pool.add([then.with(answers)]);
        }
        self.wait(receiver).await
    }

    /// Runs `work` on a worker, off the async thread.
    pub async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        let (sender, receiver) = oneshot::channel();
        self.pool.add([Work::Other(Box::new(move || {
            // Nobody waits any more when the client has gone.
            let _ = sender.send(work());
        }))]);
        self.wait(receiver).await
    }

    /// `None` if the work panicked.
    async fn wait<T>(&self, outcome: oneshot::Receiver<T>) -> Option<T> {
        tokio::select! {
            outcome = outcome => outcome.ok(),
            () = self.relieve(None) => None,
        }
    }

    /// How many worker threads there are, parked ones included.
    pub fn workers(&self) -> usize {
        self.pool.workers()
    }

    /// Watches over the pool, until `end` or for ever.
    async fn relieve(&self, end: Option<Instant>) {
        let mut begun = 0;
        loop {
            let next = Instant::now() + PATIENCE;
            let is_last = end.is_some_and(|end| end <= next);
            tokio::time::sleep_until(end.map_or(next, |end| end.min(next)).into()).await;
            if is_last {
                return;
            }
            self.pool.relieve(&mut begun);
        }
    }
}

impl Filter {
    fn wants(&self, name: &str) -> bool {
        match self {
            Filter::All => true,
            Filter::Only(names) => names.iter().any(|wanted| wanted == name),
            Filter::Without(names) => !names.iter().any(|unwanted| unwanted == name),
        }
    }
}

fn verdicts(answers: &[Arc<Answer>]) -> Samples {
    let mut own = Samples::default();
    for answer in answers {
        own.push(&DURATION, &[&answer.name], answer.duration.as_secs_f64());
        own.push(&SUCCESS, &[&answer.name], answer.verdict == Verdict::Answered);
    }
    own
}

/// One scrape's table: a seat for each wanted collector.
struct Round {
    table: Mutex<Option<Table>>,
    missing: AtomicUsize,
}

struct Table {
    answers: Vec<Option<Arc<Answer>>>,
    then: Then,
}

/// What is to be done with the answers.
struct Then(Box<dyn FnOnce(Gathered) + Send>);

impl Then {
    fn with(self, answers: Vec<Arc<Answer>>) -> Work {
        Work::Other(Box::new(move || {
            let own = verdicts(&answers);
            (self.0)(Gathered { answers, own });
        }))
    }
}

impl Round {
    fn new(seats: usize, then: impl FnOnce(Gathered) + Send + 'static) -> Self {
        let table = Table { answers: vec![None; seats], then: Then(Box::new(then)) };
        Self { table: Mutex::new(Some(table)), missing: AtomicUsize::new(seats) }
    }

    /// The table as it is, which ends the round, unless it has ended.
    fn take(&self) -> Option<Table> {
        lock(&self.table).take()
    }

    fn finish_if_complete(&self) -> Option<Work> {
        if self.missing.load(Ordering::Acquire) > 0 {
            return None;
        }
        let Table { answers, then } = self.take()?;
        Some(then.with(answers.into_iter().flatten().collect()))
    }
}

/// Where one answer is awaited.
struct Seat {
    round: Arc<Round>,
    place: usize,
}

impl Seat {
    /// What is to be done now, if this was the last answer.
    fn fill(&self, answer: Arc<Answer>) -> Option<Work> {
        // A scrape that gave up has taken its table away.
        if let Some(table) = &mut *lock(&self.round.table) {
            table.answers[self.place] = Some(answer);
        }
        self.round.missing.fetch_sub(1, Ordering::AcqRel);
        self.round.finish_if_complete()
    }
}

/// One enabled collector.
struct Entry {
    name: &'static str,
    state: Mutex<State>,
}

/// A collector and what it keeps to itself.
struct Unit {
    collector: Box<dyn Collector>,
    desk: Desk,
}

struct State {
    /// Away while a worker has it.
    unit: Option<Box<Unit>>,
    /// When the run under way began; `None` while it is queued.
    began: Option<Instant>,
    is_written_off: bool,
    waiting: Vec<Seat>,
    /// Earlier answers, whose memory is used again once no scrape holds them.
    spare: Vec<Arc<Answer>>,
    /// What was logged last: a failure is told once, not at each scrape.
    told: Option<Verdict>,
}

impl Entry {
    fn new(name: &'static str, unit: Box<Unit>) -> Self {
        let state = State {
            unit: Some(unit),
            began: None,
            is_written_off: false,
            waiting: Vec::new(),
            spare: Vec::new(),
            told: None,
        };
        Self { name, state: Mutex::new(state) }
    }

    /// Asks for an answer: starts a run, joins the one under way, or says that it is stuck.
    fn request(self: &Arc<Self>, seat: Seat, started: Instant, deadline: Instant) -> Option<Work> {
        let mut state = lock(&self.state);
        if state.is_written_off {
            let duration = state.began.map_or(Duration::ZERO, |began| began.elapsed());
            let why = format!("an earlier run has not come back for {} s", duration.as_secs());
            let error = Error::failed(why);
            let answer = Arc::new(self.verdict(Verdict::Stuck, Duration::ZERO, error));
            state.tell(&answer);
            return seat.fill(answer);
        }
        state.waiting.push(seat);
        let unit = state.unit.take()?;
        Some(Work::Collect { entry: Arc::clone(self), unit, started, deadline })
    }

    /// Runs the collector; called by a worker.
    fn run(&self, mut unit: Box<Unit>, started: Instant, deadline: Instant) {
        let began = Instant::now();
        let mut answer = {
            let mut state = lock(&self.state);
            state.began = Some(began);
            state.spare_answer(self.name)
        };
        // Nobody else holds a spare answer.
        let Some(body) = Arc::get_mut(&mut answer) else { unreachable!("a spare answer is free") };
        body.samples.clear();
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            let mut cx = unit.desk.cx(deadline);
            cx.started = started;
            unit.collector.collect(&mut cx, &mut body.samples)
        }));
        body.duration = began.elapsed();
        (body.verdict, body.error) = match outcome {
            Ok(Ok(())) => match body.samples.take_fault() {
                None => (Verdict::Answered, None),
                Some(fault) => (Verdict::Failed, Some(Error::failed(fault))),
            },
            Ok(Err(error)) if error.is_no_data() => (Verdict::NoData, Some(error)),
            Ok(Err(error)) => (Verdict::Failed, Some(error)),
            Err(panic) => {
                body.samples.clear();
                (Verdict::Panicked, Some(Error::failed(panic_text(panic.as_ref()).to_owned())))
            }
        };
        self.finish(unit, &answer);
    }

    fn finish(&self, unit: Box<Unit>, answer: &Arc<Answer>) {
        let mut waiting = {
            let mut state = lock(&self.state);
            state.unit = Some(unit);
            state.began = None;
            state.is_written_off = false;
            state.tell(answer);
            state.spare.push(Arc::clone(answer));
            std::mem::take(&mut state.waiting)
        };
        // Everybody has the answer before anybody's scrape goes on: that takes long with a large one.
        let complete: Vec<Work> =
            waiting.drain(..).filter_map(|seat| seat.fill(Arc::clone(answer))).collect();
        let mut state = lock(&self.state);
        if state.waiting.is_empty() {
            state.waiting = waiting;
        }
        drop(state);
        complete.into_iter().for_each(Job::run);
    }

    /// The verdict over a run that did not come back in time.
    fn give_up(&self, round: &Arc<Round>, started: Instant) -> Arc<Answer> {
        let mut state = lock(&self.state);
        let seats = state.waiting.len();
        state.waiting.retain(|seat| !Arc::ptr_eq(&seat.round, round));
        let is_awaited = state.waiting.len() < seats;
        // Otherwise the answer came this very moment, and what runs now is another scrape's.
        state.is_written_off |= is_awaited && state.began.is_some();
        let why = match state.began {
            Some(_) => "no answer before the scrape's deadline",
            None => "not begun before the scrape's deadline",
        };
        let answer = Arc::new(self.verdict(Verdict::Late, started.elapsed(), Error::failed(why)));
        state.tell(&answer);
        answer
    }

    fn verdict(&self, verdict: Verdict, duration: Duration, error: Error) -> Answer {
        let samples = Samples::default();
        Answer { name: self.name, samples, verdict, duration, error: Some(error) }
    }
}

impl State {
    /// An answer whose memory nobody uses any more, or a new one.
    fn spare_answer(&mut self, name: &'static str) -> Arc<Answer> {
        let free = self.spare.iter_mut().position(|answer| Arc::get_mut(answer).is_some());
        match free {
            Some(at) => self.spare.swap_remove(at),
            None => {
                self.spare.clear();
                Arc::new(Answer {
                    name,
                    samples: Samples::default(),
                    verdict: Verdict::Answered,
                    duration: Duration::ZERO,
                    error: None,
                })
            }
        }
    }

    /// Logs a verdict when it is another than the last one.
    fn tell(&mut self, answer: &Answer) {
        if self.told.replace(answer.verdict) == Some(answer.verdict) {
            return;
        }
        let (name, duration_seconds) = (answer.name, answer.duration.as_secs_f64());
        let err = answer.error.as_ref().map(ToString::to_string).unwrap_or_default();
        match answer.verdict {
            Verdict::Answered => tracing::debug!(name, duration_seconds, "collector succeeded"),
            Verdict::NoData => {
                tracing::debug!(name, duration_seconds, err, "collector returned no data");
            }
            Verdict::Failed | Verdict::Panicked | Verdict::Late | Verdict::Stuck => {
                tracing::error!(name, duration_seconds, err, "collector failed");
            }
        }
    }
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("panic")
}

enum Work {
    Collect { entry: Arc<Entry>, unit: Box<Unit>, started: Instant, deadline: Instant },
    Other(Box<dyn FnOnce() + Send>),
}

impl Job for Work {
    fn run(self) {
        match self {
            Work::Collect { entry, unit, started, deadline } => entry.run(unit, started, deadline),
            // The panic hook has told what happened; the caller sees that no outcome came.
            Work::Other(work) => drop(catch_unwind(AssertUnwindSafe(work))),
        }
    }
}
