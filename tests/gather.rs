//! A scrape that cannot be lost: collectors that fail, panic, hang, and come back.

use std::sync::Mutex;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use hostwarden::collector::prelude::*;
use hostwarden::exposition::SampleRef;
use hostwarden::flags::Values;
use hostwarden::gather::{Filter, Gathered, Gatherer, Verdict};
use hostwarden::host::Paths;

use crate::agent::wait_for;

static VALUE: Desc = gauge("test_value", "A value.", &["from"]);

static GOOD: Spec = Spec::new("good", On, "nothing", &[], |_| {
    Ok(Box::new(|_: &mut Cx<'_>, out: &mut Samples| {
        out.push(&VALUE, &[&"good"], 1.0);
        Ok(())
    }))
});

static FAILING: Spec = Spec::new("failing", On, "nothing", &[], |_| {
    Ok(Box::new(|_: &mut Cx<'_>, out: &mut Samples| {
        out.push(&VALUE, &[&"failing"], 1.0);
        Err(Error::failed("as asked"))
    }))
});

static EMPTY: Spec = Spec::new("empty", On, "nothing", &[], |_| {
    Ok(Box::new(|_: &mut Cx<'_>, _: &mut Samples| Err(Error::no_data("nothing here"))))
});

static PANICKING: Spec = Spec::new("panicking", On, "nothing", &[], |_| {
    Ok(Box::new(|_: &mut Cx<'_>, out: &mut Samples| {
        out.push(&VALUE, &[&"panicking"], 1.0);
        panic!("as asked")
    }))
});

static NOT_UTF8: Spec = Spec::new("not_utf8", On, "nothing", &[], |_| {
    Ok(Box::new(|_: &mut Cx<'_>, out: &mut Samples| {
        out.push(&VALUE, &[&b"\xff".as_slice()], 1.0);
        Ok(())
    }))
});

fn gatherer(known: &[&'static Spec]) -> Gatherer {
    let enabled: Vec<&'static str> = known.iter().map(|spec| spec.name).collect();
    Gatherer::new(known, &enabled, &Values::default(), &Paths::default()).unwrap()
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(future)
}

fn gather(gatherer: &Gatherer, patience: Duration) -> Gathered {
    block_on(gatherer.gather(&Filter::All, Instant::now() + patience, |gathered| gathered)).unwrap()
}

fn verdicts(gathered: &Gathered) -> Vec<(&'static str, Verdict, usize)> {
    let answers = gathered.answers.iter();
    answers.map(|answer| (answer.name, answer.verdict, answer.samples.len())).collect()
}

const LONG: Duration = Duration::from_secs(20);
const SHORT: Duration = Duration::from_millis(200);

#[test]
fn each_collector_gets_one_verdict_and_keeps_what_it_said_before_a_fault() {
    let gatherer = gatherer(&[&EMPTY, &FAILING, &GOOD, &NOT_UTF8, &PANICKING]);
    for _ in 0..2 {
        let gathered = gather(&gatherer, LONG);
        assert_eq!(
            verdicts(&gathered),
            [
                ("empty", Verdict::NoData, 0),
                ("failing", Verdict::Failed, 1),
                ("good", Verdict::Answered, 1),
                ("not_utf8", Verdict::Failed, 1),
                ("panicking", Verdict::Panicked, 0),
            ]
        );
        let successes: Vec<f64> = gathered
            .own
            .iter()
            .filter(|sample| sample.name() == b"node_scrape_collector_success")
            .map(SampleRef::value)
            .collect();
        assert_eq!(successes, [0.0, 0.0, 1.0, 0.0, 0.0]);
    }
}

/// A collector that waits at a gate; each test has one of its own.
struct Gate {
    enter: Mutex<Receiver<()>>,
}

impl Gate {
    fn pass(&self) {
        self.enter.lock().unwrap().recv().unwrap();
    }
}

macro_rules! gated {
    ($static:ident, $name:literal) => {{
        static GATE: std::sync::OnceLock<Gate> = std::sync::OnceLock::new();
        static $static: Spec = Spec::new($name, On, "a gate", &[], |_| {
            Ok(Box::new(|_: &mut Cx<'_>, out: &mut Samples| {
                GATE.get().unwrap().pass();
                out.push(&VALUE, &[&$name], 1.0);
                Ok(())
            }))
        });
        let (open, enter): (Sender<()>, _) = channel();
        assert!(GATE.set(Gate { enter: Mutex::new(enter) }).is_ok());
        (&$static, open)
    }};
}

#[test]
fn a_hung_collector_costs_itself_only_and_one_thread_and_is_tried_again() {
    let (hung, open) = gated!(HUNG, "a_hung");
    let gatherer = gatherer(&[hung, &GOOD]);
    let gathered = gather(&gatherer, SHORT);
    assert_eq!(verdicts(&gathered), [("a_hung", Verdict::Late, 0), ("good", Verdict::Answered, 1)]);
    let workers = gatherer.workers();
    for _ in 0..50 {
        let started = Instant::now();
        let gathered = gather(&gatherer, LONG);
        assert!(started.elapsed() < LONG / 2, "a stuck collector was waited for");
        assert_eq!(
            verdicts(&gathered),
            [("a_hung", Verdict::Stuck, 0), ("good", Verdict::Answered, 1)]
        );
    }
    assert_eq!(gatherer.workers(), workers);
    open.send(()).unwrap();
    open.send(()).unwrap();
    wait_for("the return of the hung collector", || {
        verdicts(&gather(&gatherer, LONG))[0] == ("a_hung", Verdict::Answered, 1)
            || open.send(()).is_err()
    });
    wait_for("the end of the worker hired meanwhile", || gatherer.workers() == 1);
}

#[test]
fn concurrent_scrapes_share_one_run() {
    let (slow, open) = gated!(SLOW, "a_slow");
    let gatherer = gatherer(&[slow, &GOOD]);
    let deadline = Instant::now() + LONG;
    block_on(async {
        let all = Filter::All;
        let only = Filter::Only(vec!["a_slow".to_owned()]);
        let first = gatherer.gather(&all, deadline, |gathered| verdicts(&gathered));
        let second = gatherer.gather(&only, deadline, |gathered| verdicts(&gathered));
        let opened = async {
            // Both have asked by now: futures are polled in order.
            tokio::task::yield_now().await;
            open.send(()).unwrap();
        };
        let (first, second, ()) = tokio::join!(first, second, opened);
        // One passage through the gate answered both.
        assert_eq!(first.unwrap()[0], ("a_slow", Verdict::Answered, 1));
        assert_eq!(second.unwrap(), [("a_slow", Verdict::Answered, 1)]);
    });
}

#[test]
fn who_waits_for_the_same_run_has_its_answer_while_another_encodes() {
    let (slow, open) = gated!(SHARED, "a_slow");
    let gatherer = gatherer(&[slow]);
    let deadline = Instant::now() + Duration::from_secs(2);
    block_on(async {
        let first = gatherer.gather(&Filter::All, Instant::now() + LONG, move |_| {
            while Instant::now() < deadline + SHORT {
                std::thread::yield_now();
            }
        });
        let second = gatherer.gather(&Filter::All, deadline, |gathered| verdicts(&gathered));
        let opened = async {
            tokio::task::yield_now().await;
            open.send(()).unwrap();
        };
        let (first, second, ()) = tokio::join!(first, second, opened);
        assert_eq!(first, Some(()));
        assert_eq!(second.unwrap(), [("a_slow", Verdict::Answered, 1)]);
    });
}

#[test]
fn a_scrape_that_is_abandoned_leaves_nothing_behind() {
    let (slow, open) = gated!(ABANDONED, "a_slow");
    let gatherer = gatherer(&[slow, &GOOD]);
    block_on(async {
        let scrape = gatherer.gather(&Filter::All, Instant::now() + LONG, drop);
        assert!(tokio::time::timeout(SHORT, scrape).await.is_err());
    });
    open.send(()).unwrap();
    open.send(()).unwrap();
    let gathered = gather(&gatherer, LONG);
    assert_eq!(verdicts(&gathered)[0].1, Verdict::Answered);
}

#[test]
fn what_is_done_with_the_answers_may_panic() {
    let gatherer = gatherer(&[&GOOD]);
    for filter in [Filter::All, Filter::Only(Vec::new())] {
        let deadline = Instant::now() + LONG;
        let done = block_on(gatherer.gather(&filter, deadline, |gathered| gathered.answers.len()));
        assert_eq!(done, Some(usize::from(filter == Filter::All)));
        let done = block_on(gatherer.gather(&filter, deadline, |_| panic!("while encoding")));
        assert_eq!(done, None::<()>);
    }
    assert_eq!(gatherer.workers(), 1);
}
