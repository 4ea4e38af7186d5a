//! From a header to a decision, with the hash computed where it disturbs nobody.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::{Mutex, oneshot};

use super::{Authenticator, Check, Job, Outcome, Reason};

/// Hashes are computed one after another: a flood of guesses takes one processor at most.
pub(super) type Turn = Mutex<()>;

/// Hashes yield to everything else that the host does.
const NICENESS: i32 = 10;

impl Authenticator {
    /// Who it is, or why nobody.
    pub async fn decide(
        self: &Arc<Self>,
        header: Option<&[u8]>,
        source: Option<IpAddr>,
    ) -> Result<Arc<str>, Reason> {
        let job = match self.check(header, source, Instant::now()) {
            Check::Allowed(user) => return Ok(user),
            Check::Refused(reason) => return Err(reason),
            Check::Verify(job) => job,
        };
        // A guess counts even when its client does not wait for the answer.
        let authenticator = Arc::clone(self);
        let decision = tokio::spawn(async move { authenticator.verify(job).await });
        decision.await.unwrap_or(Err(Reason::Busy))
    }

    async fn verify(&self, job: Job) -> Result<Arc<str>, Reason> {
        let _turn = self.turn.lock().await;
        match self.again(job) {
            Check::Allowed(user) => Ok(user),
            Check::Refused(reason) => Err(reason),
            Check::Verify(job) => match compute(job).await {
                Some(outcome) => self.settle(outcome, Instant::now()),
                None => Err(Reason::Busy),
            },
        }
    }
}

/// Runs the job on a thread of its own: a worker of the scrapes would be missing there for as long as the hash takes.
async fn compute(job: Job) -> Option<Outcome> {
    let (sender, receiver) = oneshot::channel();
    let work = move || {
        // Linux keeps this for each thread. Without it, the hash takes its share like others.
        let _ = rustix::process::nice(NICENESS);
        // The one who waits is a task, which stays.
        let _ = sender.send(job.run());
    };
    std::thread::Builder::new().name("hash".to_owned()).spawn(work).ok()?;
    receiver.await.ok()
}
