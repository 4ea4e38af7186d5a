//! One dump a scrape for everybody who asks for the links.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::io::Errno;

use super::{IFINFOMSG, Links, RTM_NEWLINK};
use crate::collector::{Error, Result};
use crate::host::netlink::{Monitor, Netlink, ROUTE};

const RTM_GETLINK: u16 = 18;
const RTMGRP_LINK: u32 = 1;

/// The links for everybody who asks in one scrape: the first one dumps, the others share.
#[derive(Debug, Default)]
pub struct Source {
    state: Mutex<State>,
    came_back: Condvar,
}

#[derive(Debug)]
struct State {
    current: Arc<Links>,
    /// The dump before, whose memory is used again once nobody reads it any more.
    spare: Option<Arc<Links>>,
    /// Away while a dump is under way.
    reader: Option<Box<Reader>>,
    began: Instant,
}

impl Default for State {
    fn default() -> Self {
        Self {
            current: Arc::default(),
            spare: None,
            reader: Some(Box::default()),
            began: Instant::now(),
        }
    }
}

impl Source {
    /// The links as they were at `since` or later.
    ///
    /// The kernel may hold its lock over all links for as long as a driver takes. One thread waits
    /// for it; those who come to a dump of an earlier scrape that does not return turn away.
    pub fn since(&self, since: Instant, deadline: Instant) -> Result<Arc<Links>> {
        /// How long a dump of an earlier scrape may take before it is not waited for.
        const PATIENCE: Duration = Duration::from_secs(1);

        let mut state = self.lock();
        loop {
            if state.current.taken.is_some_and(|taken| taken >= since) {
                return Ok(Arc::clone(&state.current));
            }
            if let Some(reader) = state.reader.take() {
                state.began = Instant::now();
                return self.dump(state, reader, deadline);
            }
            let until = if state.began < since { state.began + PATIENCE } else { deadline };
            let left = until.min(deadline).saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(Error::failed("RTM_GETLINK: an earlier dump has not come back"));
            }
            let waited = self.came_back.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn dump(
        &self,
        mut state: MutexGuard<'_, State>,
        reader: Box<Reader>,
        deadline: Instant,
    ) -> Result<Arc<Links>> {
        let before = Arc::clone(&state.current);
        // Somebody may still read it, such as a collector that is stuck in sysfs.
        let spare = state.spare.take().filter(|spare| Arc::strong_count(spare) == 1);
        drop(state);
        let mut links = spare.unwrap_or_default();
        let mut away = Away { source: self, reader: Some(reader) };
        let outcome = match (&mut away.reader, Arc::get_mut(&mut links)) {
            (Some(reader), Some(links)) => reader.read(links, &before, deadline),
            _ => unreachable!("the reader and the spare links are ours"),
        };
        drop(before);
        let mut state = self.lock();
        let outcome = outcome
            .map(|()| {
                state.spare = Some(std::mem::replace(&mut state.current, links));
                Arc::clone(&state.current)
            })
            .map_err(|errno| Error::io("RTM_GETLINK", errno));
        drop(state);
        outcome
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Brings the reader back, whatever happens to the one who took it.
struct Away<'a> {
    source: &'a Source,
    reader: Option<Box<Reader>>,
}

impl Drop for Away<'_> {
    fn drop(&mut self) {
        self.source.lock().reader = self.reader.take();
        self.source.came_back.notify_all();
    }
}

/// The two sockets: one that is asked and one that is told of changes.
#[derive(Debug)]
struct Reader {
    route: Netlink,
    monitor: Option<Monitor>,
    dumps: u64,
    /// Indexes of the links that the kernel spoke of since the last dump.
    told: Vec<u32>,
    /// Whether it may have spoken of others as well.
    missed: bool,
}

impl Default for Reader {
    fn default() -> Self {
        Self {
            route: Netlink::new(ROUTE),
            monitor: None,
            dumps: 0,
            told: Vec::new(),
            missed: false,
        }
    }
}

impl Reader {
    fn read(&mut self, links: &mut Links, before: &Links, deadline: Instant) -> Result<(), Errno> {
        // Told before listed: what changes in between is told again next time.
        self.hear();
        let taken = Instant::now();
        self.route.dump(RTM_GETLINK, &[0; IFINFOMSG], deadline, |message| {
            match message {
                None => links.clear(),
                Some(message) if message.kind == RTM_NEWLINK => links.add(message),
                Some(_) => {}
            }
            Ok(())
        })?;
        self.dumps += 1;
        links.number = self.dumps;
        links.taken = Some(taken);
        links.settle(before);
        for link in &mut links.links {
            if self.missed || self.told.contains(&link.index) {
                link.changed = self.dumps;
            }
        }
        self.told.clear();
        self.missed = false;
        Ok(())
    }

    /// Notes which links the kernel spoke of.
    fn hear(&mut self) {
        /// Beyond, going through all of them for each link costs more than reading anew.
        const TOLD_MAX: usize = 64;

        let Some(monitor) = &mut self.monitor else {
            // What happened before the socket was there has not been told.
            self.missed = true;
            self.monitor = Monitor::open(ROUTE, RTMGRP_LINK).ok();
            return;
        };
        let told = &mut self.told;
        let outcome = monitor.drain(|message| {
            let index = message.body.u32_at(4);
            let is_news = |index: &u32| told.len() <= TOLD_MAX && !told.contains(index);
            if let Some(index) = index.filter(is_news) {
                told.push(index);
            }
        });
        self.missed |= outcome.is_err() || told.len() > TOLD_MAX;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::netlink::links::IFF_LOOPBACK;

    #[test]
    fn one_dump_serves_all_who_ask_in_one_scrape() {
        let source = Source::default();
        let deadline = Instant::now() + Duration::from_secs(5);
        let began = Instant::now();
        let first = source.since(began, deadline).unwrap();
        assert!(Arc::ptr_eq(&first, &source.since(began, deadline).unwrap()));
        assert!(first.iter().any(|link| link.is(IFF_LOOPBACK)));
        let next = source.since(Instant::now(), deadline).unwrap();
        assert_eq!((first.number, next.number), (1, 2));
        assert!(source.since(Instant::now(), began).is_err());
        assert_eq!(source.since(Instant::now(), deadline).unwrap().number, 3);
    }

    #[test]
    fn nobody_waits_for_a_dump_of_an_earlier_scrape_that_is_stuck() {
        let source = Source::default();
        let reader = source.lock().reader.take();
        source.lock().began = Instant::now() - Duration::from_secs(2);
        let began = Instant::now();
        let error = source.since(began, began + Duration::from_secs(60)).unwrap_err();
        assert_eq!(error.to_string(), "RTM_GETLINK: an earlier dump has not come back");
        assert!(began.elapsed() < Duration::from_secs(30));
        source.lock().reader = reader;
        assert!(source.since(began, began + Duration::from_secs(60)).is_ok());
    }
}
