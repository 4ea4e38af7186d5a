//! Worker threads: one while nothing blocks, and one more for each job that does.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use crate::isolated::lock;

/// How long a job may keep its worker before the jobs behind it get another.
pub const PATIENCE: Duration = Duration::from_millis(20);

/// What a worker does. It catches its own panics: one that it lets through costs the worker.
pub trait Job: Send + 'static {
    fn run(self);
}

pub struct Pool<J> {
    queue: Mutex<Queue<J>>,
    added: Condvar,
}

struct Queue<J> {
    jobs: VecDeque<J>,
    workers: usize,
    idle: usize,
    /// Jobs begun since the start: tells whether anything moves.
    begun: u64,
}

impl<J> Default for Pool<J> {
    fn default() -> Self {
        let queue = Queue { jobs: VecDeque::new(), workers: 0, idle: 0, begun: 0 };
        Self { queue: Mutex::new(queue), added: Condvar::new() }
    }
}

impl<J: Job> Pool<J> {
    pub fn add(self: &Arc<Self>, jobs: impl IntoIterator<Item = J>) {
        let is_awaited = {
            let mut queue = lock(&self.queue);
            queue.jobs.extend(jobs);
            if queue.workers == 0 {
                self.hire(&mut queue);
            }
            queue.idle > 0
        };
        // Not under the lock, which is what the worker takes first.
        if is_awaited {
            self.added.notify_one();
        }
    }

    /// Hires a worker if jobs wait and none was begun since the last call, which noted `begun`:
    /// for those who wait, every [`PATIENCE`].
    pub fn relieve(self: &Arc<Self>, begun: &mut u64) {
        let mut queue = lock(&self.queue);
        if !queue.jobs.is_empty() && queue.idle == 0 && queue.begun == *begun {
            self.hire(&mut queue);
        }
        *begun = queue.begun;
    }

    /// Takes back the jobs that no worker has begun.
    pub fn withdraw(&self) -> VecDeque<J> {
        std::mem::take(&mut lock(&self.queue).jobs)
    }

    /// How many workers there are, parked ones included.
    pub fn workers(&self) -> usize {
        lock(&self.queue).workers
    }

    fn hire(self: &Arc<Self>, queue: &mut Queue<J>) {
        let pool = Arc::clone(self);
        let name = "worker".to_owned();
        let hired = std::thread::Builder::new().name(name).spawn(move || pool.work());
        match hired {
            Ok(_) => queue.workers += 1,
            Err(error) => tracing::error!(err = %error, "no thread for a worker"),
        }
    }

    fn work(&self) {
        let mut queue = lock(&self.queue);
        loop {
            let Some(job) = queue.jobs.pop_front() else {
                // One waiting worker is enough; those hired in an emergency leave.
                if queue.idle > 0 {
                    queue.workers -= 1;
                    return;
                }
                queue.idle += 1;
                queue = self.added.wait(queue).unwrap_or_else(PoisonError::into_inner);
                queue.idle -= 1;
                continue;
            };
            queue.begun += 1;
            drop(queue);
            job.run();
            queue = lock(&self.queue);
        }
    }
}
