//! What is remembered of credentials, and the line of those that wait for their hash. Both are bounded: anybody can fill them.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use super::Tag;
use super::penalty::Source;

/// At most so many; the oldest goes first.
pub(super) struct Memory<V> {
    limit: usize,
    values: HashMap<Tag, V>,
    order: VecDeque<Tag>,
}

impl<V> Memory<V> {
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, values: HashMap::new(), order: VecDeque::new() }
    }

    pub(super) fn get(&self, tag: &Tag) -> Option<&V> {
        self.values.get(tag)
    }

    pub(super) fn insert(&mut self, tag: Tag, value: V) {
        if self.values.insert(tag, value).is_some() {
            return;
        }
        self.order.push_back(tag);
        if self.order.len() > self.limit
            && let Some(oldest) = self.order.pop_front()
        {
            self.values.remove(&oldest);
        }
    }

    pub(super) fn clear(&mut self) {
        self.values.clear();
        self.order.clear();
    }

    pub(super) fn len(&self) -> usize {
        self.values.len()
    }
}

/// Different credentials that may wait at a time, in all and from one source. A hash takes tenths of seconds: whoever is further
/// back would not wait for the answer.
const WAITING_MAX: usize = 32;
const WAITING_PER_SOURCE: usize = 4;

/// Credentials whose hash is to be computed.
#[derive(Default)]
pub(super) struct Line {
    waiting: HashMap<Tag, Waiting>,
}

struct Waiting {
    source: Option<Source>,
    /// Requests that wait for this one hash.
    requests: usize,
}

impl Line {
    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }
}

/// A place in the line, left when dropped.
pub(super) struct Place {
    line: Arc<Mutex<Line>>,
    tag: Tag,
}

impl Place {
    /// Credentials that wait already need no place of their own: their hash is computed once.
    pub(super) fn take(line: &Arc<Mutex<Line>>, tag: Tag, source: Option<Source>) -> Option<Self> {
        let waiting = &mut line.lock().unwrap_or_else(PoisonError::into_inner).waiting;
        let from_there =
            waiting.values().filter(|w| source.is_some() && w.source == source).count();
        let full = waiting.len() >= WAITING_MAX || from_there >= WAITING_PER_SOURCE;
        match waiting.entry(tag) {
            Entry::Occupied(mut entry) => entry.get_mut().requests += 1,
            Entry::Vacant(_) if full => return None,
            Entry::Vacant(entry) => {
                entry.insert(Waiting { source, requests: 1 });
            }
        }
        Some(Self { line: Arc::clone(line), tag })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let waiting = &mut self.line.lock().unwrap_or_else(PoisonError::into_inner).waiting;
        if let Entry::Occupied(mut entry) = waiting.entry(self.tag) {
            entry.get_mut().requests -= 1;
            if entry.get().requests == 0 {
                entry.remove();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    fn tag(n: usize) -> Tag {
        let mut tag = Tag::default();
        tag[..8].copy_from_slice(&n.to_le_bytes());
        tag
    }

    #[test]
    fn the_oldest_goes_first() {
        let mut memory = Memory::new(100);
        for n in 0..200 {
            memory.insert(tag(n), n);
            memory.insert(tag(n), n);
            assert_eq!(memory.len(), (n + 1).min(100));
            assert_eq!(memory.order.len(), memory.len());
        }
        assert_eq!(memory.get(&tag(99)), None);
        assert_eq!(memory.get(&tag(100)), Some(&100));
        assert_eq!(memory.get(&tag(199)), Some(&199));
        memory.clear();
        assert_eq!((memory.len(), memory.order.len()), (0, 0));
    }

    #[test]
    fn places_in_the_line() {
        let line = Arc::<Mutex<Line>>::default();
        let source = |n: u8| Some(Source::from(IpAddr::from([10, 0, 0, n])));
        let take = |n, from| Place::take(&line, tag(n), from);
        let mut places: Vec<_> = (0..4).map(|n| take(n, source(1)).unwrap()).collect();
        assert!(take(4, source(1)).is_none(), "the source has its share");
        places.push(take(3, source(1)).unwrap());
        places.push(take(3, source(2)).unwrap());
        assert_eq!(line.lock().unwrap().len(), 4);

        places.extend((10..38).map(|n| take(n, None).unwrap()));
        assert_eq!(line.lock().unwrap().len(), 32);
        assert!(take(99, source(3)).is_none() && take(99, None).is_none(), "the line is full");
        assert!(take(3, source(3)).is_some());

        drop(places.remove(3));
        assert!(take(99, None).is_none(), "two others wait for the same hash");
        drop(places.remove(3));
        drop(places.remove(3));
        assert!(take(99, None).is_some());
        places.clear();
        assert_eq!(line.lock().unwrap().len(), 0);
    }
}
