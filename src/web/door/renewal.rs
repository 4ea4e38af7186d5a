//! Reading the door's files anew, when one of them has changed or the operator says so.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::{Door, Security};
use crate::gather::Gatherer;
use crate::web::watch::Watched;

/// How long a request may wait for a look at the files. On a mount that hangs, the rules in force stay.
const PATIENCE: Duration = Duration::from_secs(1);

/// How long a file that has just been touched is left to its writer before the next look.
const WRITING: Duration = Duration::from_millis(10);

#[derive(Debug)]
pub(super) struct Renewal {
    /// When the last look began. Whoever came before that need not look again.
    looked: tokio::sync::Mutex<Option<Instant>>,
    /// When the look under way began.
    looking: Mutex<Option<Instant>>,
    outcome: Mutex<(bool, SystemTime)>,
}

/// What came of a look at the files.
enum Look {
    Done,
    /// A file is being written.
    TooEarly,
}

impl Renewal {
    pub(super) fn new() -> Self {
        Self {
            looked: tokio::sync::Mutex::new(None),
            looking: Mutex::new(None),
            outcome: Mutex::new((true, SystemTime::now())),
        }
    }

    /// Whether the files as last read are in force, and when those in force were read.
    pub(super) fn outcome(&self) -> (bool, f64) {
        let (is_good, time) = *lock(&self.outcome);
        (is_good, time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64())
    }

    fn is_stuck(&self) -> bool {
        lock(&self.looking).is_some_and(|began| began.elapsed() > PATIENCE)
    }
}

impl Door {
    /// Takes in what has changed. Requests that come together look once.
    pub async fn renew(self: &Arc<Self>, workers: &Gatherer) {
        if self.watched.try_lock().is_ok_and(|watched| watched.are_known_unchanged()) {
            return;
        }
        let arrived = Instant::now();
        let look = async {
            let mut looked = self.renewal.looked.lock().await;
            if looked.is_none_or(|began| began < arrived) {
                *looked = Some(Instant::now());
                self.look(workers, false).await;
            }
        };
        if !self.renewal.is_stuck() {
            // A look that takes longer goes on by itself.
            let _ = tokio::time::timeout(PATIENCE, look).await;
        }
    }

    /// Reads everything anew, as SIGHUP asks.
    pub async fn reload(self: &Arc<Self>, workers: &Gatherer) {
        let look = async {
            let mut looked = self.renewal.looked.lock().await;
            *looked = Some(Instant::now());
            self.look(workers, true).await;
        };
        if tokio::time::timeout(PATIENCE, look).await.is_err() {
            tracing::error!(
                "endpoint's files cannot be read at the moment, what was in force stays"
            );
        }
    }

    async fn look(self: &Arc<Self>, workers: &Gatherer, must_read: bool) {
        loop {
            let door = Arc::clone(self);
            *lock(&door.renewal.looking) = Some(Instant::now());
            let look = workers.run(move || {
                let look = door.look_at_files(must_read);
                *lock(&door.renewal.looking) = None;
                look
            });
            match look.await {
                Some(Look::TooEarly) => tokio::time::sleep(WRITING).await,
                Some(Look::Done) => return,
                None => return *lock(&self.renewal.looking) = None,
            }
        }
    }

    /// Reads files: not for an async thread.
    fn look_at_files(&self, must_read: bool) -> Look {
        let mut watched = lock(&self.watched);
        if !must_read && !watched.have_changed() {
            return Look::Done;
        }
        if watched.are_fresh() {
            return Look::TooEarly;
        }
        let mut anew = Watched::default();
        let outcome = self.sources.load(&mut anew).and_then(|security| self.replace(security));
        *watched = anew;
        let mut told = lock(&self.renewal.outcome);
        match outcome {
            Ok(warnings) => {
                warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
                tracing::info!("endpoint's files read anew");
                *told = (true, SystemTime::now());
            }
            Err(error) => {
                tracing::error!(err = %error, "endpoint's files refused, what was in force stays");
                told.0 = false;
            }
        }
        Look::Done
    }

    /// Refuses what would leave the endpoint less guarded than it was.
    fn replace(&self, mut security: Security) -> Result<Vec<String>, String> {
        let rules = self.rules();
        let has_users = self.authenticator.sizes().users > 0;
        let lacks_users = match &security.users {
            None => rules.asks,
            Some(users) => has_users && users.is_empty(),
        };
        if lacks_users {
            return Err("no user is left: only a restart takes the password away".to_owned());
        }
        match (&rules.tls, &security.tls) {
            (Some(_), None) => {
                return Err("tls_server_config is gone: only a restart ends TLS".to_owned());
            }
            (None, Some(_)) => {
                security.tls = None;
                security.warnings.push("tls_server_config: TLS begins with a restart".to_owned());
            }
            _ => {}
        }
        Ok(self.put_in_force(security))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
