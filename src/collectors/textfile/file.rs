//! One textfile over time: what it says now, or why it is refused, or what it said before a writer
//! tore it.

use std::collections::BTreeSet;
use std::ops::Range;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::Fault;
use crate::collector::errno_text;
use crate::exposition::parse::{Family, Metric, ParseError, Value, parse};
use crate::exposition::{FamilyId, LabelValue, Part, SampleRef, Samples};
use crate::host::Root;
use crate::host::regular::{Identity, Known, Refusal, Regular};

/// When a file is looked at.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment {
    now: Instant,
    /// Since 1970, as files count.
    clock: Duration,
}

impl Moment {
    pub(super) fn now() -> Self {
        let clock = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { now: Instant::now(), clock }
    }
}

#[derive(Debug)]
pub(super) struct File {
    directory: String,
    name: String,
    /// Both joined, as it is told.
    pub(super) path: String,
    state: State,
    /// The last good content; none if the file was refused since.
    good: Content,
    /// What was read last, unless that is `good`.
    spare: Content,
    /// The file that the state tells of.
    known: Known,
}

#[derive(Debug)]
enum State {
    Good,
    /// Empty, unfinished or growing, and since when it was found so.
    Torn { since: Instant, fault: Option<Fault> },
    Refused(Fault),
}

/// What is to be told of a file.
#[derive(Debug)]
pub(super) enum Told<'a> {
    Said(&'a Content),
    /// The last good content, in place of a torn one.
    Kept(&'a Content),
    Refused(&'a Fault),
}

impl File {
    pub(super) fn new(directory: &str, name: &str, path: String) -> Self {
        Self {
            directory: directory.to_owned(),
            name: name.to_owned(),
            path,
            state: State::Good,
            good: Content::default(),
            spare: Content::default(),
            known: Known::default(),
        }
    }

    pub(super) fn is_at(&self, directory: &str, name: &str) -> bool {
        self.name == name && self.directory == directory
    }

    /// `keep` is for how long a good content stands for a torn one.
    pub(super) fn told(&self, now: Instant, keep: Duration) -> Told<'_> {
        match &self.state {
            State::Good => Told::Said(&self.good),
            State::Torn { since, .. }
                if !self.good.families.is_empty() && now.duration_since(*since) < keep =>
            {
                Told::Kept(&self.good)
            }
            State::Torn { fault: None, .. } => Told::Said(&self.spare),
            State::Torn { fault: Some(fault), .. } | State::Refused(fault) => Told::Refused(fault),
        }
    }

    /// What is told, if anything is.
    pub(super) fn content(&self, now: Instant, keep: Duration) -> Option<&Content> {
        match self.told(now, keep) {
            Told::Said(content) | Told::Kept(content) => Some(content),
            Told::Refused(_) => None,
        }
    }

    /// Brings it up to date. The file is read only if its content may be another than before.
    pub(super) fn look(&mut self, root: &Root, moment: Moment, buffer: &mut Vec<u8>) {
        let file = match root.open_regular(&self.name) {
            Ok(file) => file,
            Err(Refusal::NotRegular) => return self.fail("no regular file".to_owned()),
            Err(Refusal::Errno(errno)) => return self.fail(errno_text(errno)),
        };
        if self.known.is_unchanged(file.identity, moment.now) {
            return;
        }
        if self.read(&file, moment, buffer) {
            self.known.settle(moment.now);
        }
    }

    /// Whether what was read is all that the file held at a time when nobody wrote.
    fn read(&mut self, file: &Regular, moment: Moment, buffer: &mut Vec<u8>) -> bool {
        let is_quiet = match file.read(buffer) {
            Ok(is_quiet) => is_quiet,
            Err(errno) => {
                self.fail(errno_text(errno));
                return false;
            }
        };
        let is_growing = match self.spare.fill(buffer, file.identity) {
            Ok(()) => {
                let is_growing = !is_quiet || self.is_growing(moment);
                if is_growing || buffer.trim_ascii().is_empty() {
                    self.tear(moment, None);
                } else {
                    std::mem::swap(&mut self.good, &mut self.spare);
                    self.state = State::Good;
                }
                is_growing
            }
            Err(ParseError { line, what, is_unfinished: true }) => {
                self.tear(moment, Some(self.fault(Some(line), what)));
                !is_quiet
            }
            Err(ParseError { line, what, .. }) => {
                self.refuse(Some(line), what);
                !is_quiet
            }
        };
        !is_growing && file.identity.size == buffer.len() as u64
    }

    /// Whether the series are the first ones of those before, in a file that is being written over:
    /// `{ slow; slower; } > file.prom` shows whole lines at every moment, but not all of them.
    fn is_growing(&self, moment: Moment) -> bool {
        let Self { good, spare, .. } = self;
        let (Some(before), Some(now)) = (good.source, spare.source) else { return false };
        (before.device, before.inode) == (now.device, now.inode)
            && now.modified.is_within(Known::TICK, moment.clock)
            && spare.begins(good)
    }

    /// For what is no matter of the content and may be over next time.
    fn fail(&mut self, what: String) {
        self.refuse(None, what);
        self.known = Known::default();
    }

    fn tear(&mut self, moment: Moment, fault: Option<Fault>) {
        let since = match self.state {
            State::Torn { since, .. } => since,
            _ => moment.now,
        };
        self.state = State::Torn { since, fault };
    }

    /// What was refused once is not good any more when it is torn later.
    fn refuse(&mut self, line: Option<u32>, what: String) {
        self.state = State::Refused(self.fault(line, what));
        self.good.clear();
    }

    fn fault(&self, line: Option<u32>, what: String) -> Fault {
        Fault { file: self.path.clone(), line, what }
    }
}

/// What a file says, in memory that is used again.
#[derive(Debug, Default)]
pub(super) struct Content {
    pub(super) samples: Samples,
    pub(super) families: Vec<Block>,
    /// The file that it was read from.
    source: Option<Identity>,
}

/// A family's samples, which stand together.
#[derive(Debug, Clone)]
pub(super) struct Block {
    pub(super) samples: Range<usize>,
    pub(super) has_help: bool,
    /// Of its first sample.
    pub(super) line: u32,
}

impl Content {
    pub(super) fn first(&self, family: &Block) -> SampleRef<'_> {
        self.samples.sample(family.samples.start)
    }

    /// When it was written, in seconds since 1970.
    pub(super) fn written(&self) -> Option<i64> {
        Some(self.source?.modified.seconds)
    }

    fn clear(&mut self) {
        self.samples.clear();
        self.families.clear();
        self.source = None;
    }

    /// Reads a file's text in place of what was here.
    fn fill(&mut self, text: &[u8], source: Identity) -> Result<(), ParseError> {
        self.clear();
        self.source = Some(source);
        self.read(text)
    }

    /// Adds what a text says to an empty content.
    pub(super) fn read(&mut self, text: &[u8]) -> Result<(), ParseError> {
        let exposition = parse(text)?;
        if let Some(line) = exposition.timestamped {
            return Err(refusal(line, "timestamps are not for textfiles".to_owned()));
        }
        exposition.families.iter().try_for_each(|family| self.add(family))
    }

    fn add(&mut self, family: &Family<'_>) -> Result<(), ParseError> {
        let start = self.samples.len();
        let help = family.help.as_deref().unwrap_or_default();
        let id = self.samples.family(&*family.name, family.kind, help);
        // Every sample has every label of its family, empty where its line has none.
        let names: BTreeSet<&str> =
            family.samples.iter().flat_map(|metric| &metric.labels).map(|(name, _)| &**name).collect();
        for metric in &family.samples {
            check_names(metric)?;
            let labels: Vec<(&str, &str)> =
                names.iter().map(|name| (*name, value_of(name, metric))).collect();
            self.push(id, &labels, &metric.value);
        }
        self.families.push(Block {
            samples: start..self.samples.len(),
            has_help: family.help.is_some(),
            line: family.samples[0].line,
        });
        Ok(())
    }

    fn push(&mut self, family: FamilyId, labels: &[(&str, &str)], value: &Value) {
        let labels: Vec<(&str, &dyn LabelValue)> =
            labels.iter().map(|(name, value)| (*name, value as &dyn LabelValue)).collect();
        let out = &mut self.samples;
        match value {
            Value::Number(value) => out.push_named(family, &labels, *value),
            Value::Summary { quantiles, sum, count } => {
                for &(quantile, value) in quantiles {
                    out.push_part(family, &labels, Some(quantile), Part::Quantile, value);
                }
                out.push_part(family, &labels, None, Part::Sum, *sum);
                out.push_part(family, &labels, None, Part::Count, *count);
            }
            Value::Histogram { buckets, sum, count } => {
                for &(bound, value) in buckets {
                    out.push_part(family, &labels, Some(bound), Part::Bucket, value);
                }
                if buckets.last().is_none_or(|&(bound, _)| bound != f64::INFINITY) {
                    out.push_part(family, &labels, Some(f64::INFINITY), Part::Bucket, *count);
                }
                out.push_part(family, &labels, None, Part::Sum, *sum);
                out.push_part(family, &labels, None, Part::Count, *count);
            }
        }
    }

    /// Whether these series are the first ones of `whole`, and not all.
    fn begins(&self, whole: &Content) -> bool {
        let is_same = |(a, b): (SampleRef<'_>, SampleRef<'_>)| {
            a.name() == b.name() && a.part() == b.part() && a.labels().eq(b.labels())
        };
        self.samples.len() < whole.samples.len()
            && self.samples.iter().zip(whole.samples.iter()).all(is_same)
    }
}

/// Names that Prometheus keeps to itself.
fn check_names(metric: &Metric<'_>) -> Result<(), ParseError> {
    match metric.labels.iter().find(|(name, _)| name.starts_with("__")) {
        Some((name, _)) => Err(refusal(metric.line, format!("label name {name} is reserved"))),
        None => Ok(()),
    }
}

fn value_of<'a>(name: &str, metric: &'a Metric<'_>) -> &'a str {
    let found = metric.labels.iter().find(|(label, _)| label == name);
    found.map_or("", |(_, value)| &**value)
}

fn refusal(line: u32, what: String) -> ParseError {
    ParseError { line, what, is_unfinished: false }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_not_read_again_once_its_timestamp_cannot_hide_a_change() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.prom");
        let root = Root::new(directory.path());
        let mut file = File::new("", "a.prom", String::new());
        let mut buffer = Vec::new();
        let start = Moment::now();
        for (text, seconds, is_read) in [
            (Some("a 1\n"), 0, true),
            (None, 1, true),
            (None, 2, true),
            (None, 3, false),
            (Some("a 1\na{b=\"c\"} 1\n"), 4, true),
            (None, 5, true),
            (None, 6, true),
            (None, 600, false),
            (Some("a x\n"), 601, true),
            (None, 604, true),
            (None, 605, false),
            // Nobody can tell what the next write makes of a file that is being written.
            (Some("a"), 606, true),
            (Some(""), 607, true),
        ] {
            if let Some(text) = text {
                std::fs::write(&path, text).unwrap();
            }
            let now = start.now + Duration::from_secs(seconds);
            buffer.clear();
            buffer.push(b'?');
            file.look(&root, Moment { now, ..start }, &mut buffer);
            assert_eq!(buffer != b"?", is_read, "after {seconds} s");
        }
    }

    #[test]
    fn a_file_is_read_again_when_it_could_not_be_opened() {
        let directory = tempfile::tempdir().unwrap();
        let (path, away) = (directory.path().join("a.prom"), directory.path().join("away"));
        std::fs::write(&path, "a 1\n").unwrap();
        let root = Root::new(directory.path());
        let mut file = File::new("", "a.prom", String::new());
        let start = Moment::now();
        let mut look = |seconds| {
            let now = start.now + Duration::from_secs(seconds);
            file.look(&root, Moment { now, ..start }, &mut Vec::new());
            file.content(now, Duration::ZERO).is_some()
        };
        assert!(look(0) && look(3));
        // A second name keeps the identity as it is, but for the time of the change.
        std::fs::rename(&path, &away).unwrap();
        assert!(!look(4));
        std::fs::rename(&away, &path).unwrap();
        assert!(look(5));
    }

    #[test]
    fn contents_are_padded_and_have_their_lines() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("a"), "").unwrap();
        let source = Root::new(directory.path()).open_regular("a").unwrap().identity;
        let text = b"b{x=\"1\"} 1\n\nb{y=\"2\"} 2\n# HELP a A.\na 1\n";
        let mut content = Content::default();
        content.fill(text, source).unwrap();
        let labels: Vec<Vec<(&[u8], &[u8])>> =
            content.samples.iter().map(|sample| sample.labels().collect()).collect();
        assert_eq!(
            labels,
            [
                vec![(&b"x"[..], &b"1"[..]), (b"y", b"")],
                vec![(b"x", b""), (b"y", b"2")],
                vec![]
            ]
        );
        let lines: Vec<_> = content.families.iter().map(|f| (f.line, f.has_help)).collect();
        assert_eq!(lines, [(1, false), (5, true)]);
        for (text, refusal) in [
            ("a 1\na 1 5\n", "line 2: timestamps are not for textfiles"),
            ("a{__b=\"\"} 1\n", "line 1: label name __b is reserved"),
        ] {
            assert_eq!(content.fill(text.as_bytes(), source).unwrap_err().to_string(), refusal);
        }
    }
}
