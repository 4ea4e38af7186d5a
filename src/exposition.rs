//! What a sample is: descriptions checked while compiling, and an arena that samples are pushed into.
//!
//! A collector pushes; nothing is formatted and nothing is owned by a sample. Names and HELP texts
//! are statics where they are known beforehand, label values are bytes in the arena, values are
//! `f64`. The arena is cleared and used again, so that a scrape after the first allocates nothing.

pub mod gzip;
mod label;
pub mod merge;
pub mod name;
pub mod parse;
pub mod protobuf;
pub mod text;

use std::ops::Range;

pub use label::{LabelValue, Repaired, Underscored};

/// A family's type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Counter,
    Gauge,
    Summary,
    Histogram,
    Untyped,
}

impl Kind {
    /// The word after `# TYPE name`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Summary => "summary",
            Kind::Histogram => "histogram",
            Kind::Untyped => "untyped",
        }
    }
}

/// A family known beforehand: name, type, HELP text and label names, checked while compiling.
#[derive(Debug)]
pub struct Desc {
    pub name: &'static str,
    pub help: &'static str,
    pub kind: Kind,
    /// Sorted; values are pushed in this order.
    pub labels: &'static [&'static str],
}

/// A gauge. Label names must be sorted.
pub const fn gauge(
    name: &'static str,
    help: &'static str,
    labels: &'static [&'static str],
) -> Desc {
    desc(Kind::Gauge, name, help, labels)
}

/// A counter. Label names must be sorted.
pub const fn counter(
    name: &'static str,
    help: &'static str,
    labels: &'static [&'static str],
) -> Desc {
    desc(Kind::Counter, name, help, labels)
}

/// A family without a type. Label names must be sorted.
pub const fn untyped(
    name: &'static str,
    help: &'static str,
    labels: &'static [&'static str],
) -> Desc {
    desc(Kind::Untyped, name, help, labels)
}

const fn desc(
    kind: Kind,
    name: &'static str,
    help: &'static str,
    labels: &'static [&'static str],
) -> Desc {
    assert!(is_metric_name(name.as_bytes()), "not a metric name");
    assert!(!help.is_empty(), "a family needs a HELP text");
    let mut i = 0;
    while i < labels.len() {
        assert!(is_label_name(labels[i].as_bytes()), "not a label name");
        assert!(i == 0 || is_less(labels[i - 1], labels[i]), "labels are sorted and unique");
        i += 1;
    }
    Desc { name, help, kind, labels }
}

/// `[a-zA-Z_:][a-zA-Z0-9_:]*`
pub const fn is_metric_name(name: &[u8]) -> bool {
    is_name(name, true)
}

/// `[a-zA-Z_][a-zA-Z0-9_]*`
pub const fn is_label_name(name: &[u8]) -> bool {
    is_name(name, false)
}

const fn is_name(name: &[u8], colons: bool) -> bool {
    let mut i = 0;
    while i < name.len() {
        let fits = match name[i] {
            b'a'..=b'z' | b'A'..=b'Z' | b'_' => true,
            b'0'..=b'9' => i > 0,
            b':' => colons,
            _ => false,
        };
        if !fits {
            return false;
        }
        i += 1;
    }
    !name.is_empty()
}

const fn is_less(a: &str, b: &str) -> bool {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    let mut i = 0;
    while i < a.len() && i < b.len() {
        if a[i] != b[i] {
            return a[i] < b[i];
        }
        i += 1;
    }
    a.len() < b.len()
}

/// What may stand as a sample's value.
pub trait Value {
    fn to_f64(self) -> f64;
}

impl Value for f64 {
    fn to_f64(self) -> f64 {
        self
    }
}

impl Value for bool {
    fn to_f64(self) -> f64 {
        f64::from(u8::from(self))
    }
}

macro_rules! integers {
    ($($int:ty)*) => {$(
        impl LabelValue for $int {
            fn write(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(itoa::Buffer::new().format(*self).as_bytes());
            }
        }

        impl Value for $int {
            #[allow(clippy::cast_lossless, reason = "one body for all integers")]
            fn to_f64(self) -> f64 {
                self as f64
            }
        }
    )*};
}
integers!(u8 u16 u32 u64 usize i32 i64);

/// Which line of its family a sample is. Summaries and histograms take several lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The only line.
    Whole,
    /// A summary's line; its last label is `quantile`.
    Quantile,
    /// A histogram's line; its last label is `le`.
    Bucket,
    Sum,
    Count,
}

impl Part {
    /// What the line's name has beyond the family's.
    pub const fn suffix(self) -> &'static str {
        match self {
            Part::Whole | Part::Quantile => "",
            Part::Bucket => "_bucket",
            Part::Sum => "_sum",
            Part::Count => "_count",
        }
    }

    /// Whether the last label belongs to the line rather than to the series.
    pub const fn has_own_label(self) -> bool {
        matches!(self, Part::Quantile | Part::Bucket)
    }
}

/// A family that came up while collecting, such as a textfile's or one named by a kernel file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FamilyId(u32);

#[derive(Debug, Clone, Copy)]
struct Span {
    start: u32,
    end: u32,
}

#[derive(Debug, Clone, Copy)]
struct Named {
    name: Span,
    help: Span,
    kind: Kind,
}

#[derive(Debug, Clone, Copy)]
enum Family {
    Known(&'static Desc),
    Named(FamilyId),
}

#[derive(Debug, Clone, Copy)]
struct Sample {
    family: Family,
    /// Label names, when the family does not know them.
    names: Option<Span>,
    values: Span,
    part: Part,
    value: f64,
}

/// The samples of one collector in one scrape.
#[derive(Debug, Default)]
pub struct Samples {
    bytes: Vec<u8>,
    families: Vec<Named>,
    names: Vec<Span>,
    values: Vec<Span>,
    samples: Vec<Sample>,
    fault: Option<String>,
}

impl AsRef<Samples> for Samples {
    fn as_ref(&self) -> &Samples {
        self
    }
}

impl Samples {
    /// Adds one sample of a family that was known beforehand; `labels` in the order of its names.
    pub fn push(&mut self, desc: &'static Desc, labels: &[&dyn LabelValue], value: impl Value) {
        debug_assert_eq!(desc.labels.len(), labels.len(), "{}: label count", desc.name);
        let values = self.write_values(labels.iter().copied());
        self.add(Sample {
            family: Family::Known(desc),
            names: None,
            values,
            part: Part::Whole,
            value: value.to_f64(),
        });
    }

    /// Adds one sample of a known family with only some of its labels, or others: names and values
    /// as they come, sorted here.
    pub fn push_labelled(
        &mut self,
        desc: &'static Desc,
        labels: &[(&str, &dyn LabelValue)],
        value: impl Value,
    ) {
        self.push_any(Family::Known(desc), labels, None, Part::Whole, value.to_f64());
    }

    /// Opens a family that was not known beforehand. Prometheus refuses an exposition with a name
    /// that is none: such a name is written with underscores and fails its collector.
    pub fn family(
        &mut self,
        name: &(impl LabelValue + ?Sized),
        kind: Kind,
        help: &(impl LabelValue + ?Sized),
    ) -> FamilyId {
        let mut name = self.write(name);
        if !is_metric_name(self.slice(name)) {
            let text = String::from_utf8_lossy(self.slice(name)).into_owned();
            self.fault.get_or_insert_with(|| format!("{text:?} is no metric name"));
            name = self.write(&Underscored(text.as_str()));
        }
        let help = self.write(help);
        self.families.push(Named { name, help, kind });
        FamilyId(index(self.families.len() - 1))
    }

    /// Adds one sample of an opened family; labels in any order.
    pub fn push_named(
        &mut self,
        family: FamilyId,
        labels: &[(&str, &dyn LabelValue)],
        value: impl Value,
    ) {
        self.push_any(Family::Named(family), labels, None, Part::Whole, value.to_f64());
    }

    /// Adds one line of a summary or histogram; `own` is its `quantile` or `le`.
    pub fn push_part(
        &mut self,
        family: FamilyId,
        labels: &[(&str, &dyn LabelValue)],
        own: Option<f64>,
        part: Part,
        value: impl Value,
    ) {
        self.push_any(Family::Named(family), labels, own, part, value.to_f64());
    }

    /// Takes over samples of one family from elsewhere, under another HELP text.
    pub fn copy_family(
        &mut self,
        from: &Samples,
        range: Range<usize>,
        help: &(impl LabelValue + ?Sized),
    ) {
        let first = from.sample(range.start);
        let family = self.family(first.name(), first.kind(), help);
        for sample in range.map(|at| from.sample(at)) {
            let (names, values) = (index(self.names.len()), index(self.values.len()));
            for (name, value) in sample.labels() {
                let (name, value) = (self.write(name), self.write(value));
                self.names.push(name);
                self.values.push(value);
            }
            self.add(Sample {
                family: Family::Named(family),
                names: Some(Span { start: names, end: index(self.names.len()) }),
                values: Span { start: values, end: index(self.values.len()) },
                part: sample.part(),
                value: sample.value(),
            });
        }
    }

    fn push_any(
        &mut self,
        family: Family,
        labels: &[(&str, &dyn LabelValue)],
        own: Option<f64>,
        part: Part,
        value: f64,
    ) {
        let first_name = self.names.len();
        let first_value = self.values.len();
        for &(name, value) in labels {
            let name = self.write(name);
            let value = self.write_value(value);
            // Insertion sort: label lists are short, and most come sorted.
            let mut at = self.names.len();
            while at > first_name && self.slice(self.names[at - 1]) > self.slice(name) {
                at -= 1;
            }
            self.names.insert(at, name);
            self.values.insert(first_value + at - first_name, value);
        }
        if let Some(own) = own {
            let name = self.write(if part == Part::Bucket { "le" } else { "quantile" });
            let start = self.bytes.len();
            crate::number::write_float(&mut self.bytes, own);
            self.names.push(name);
            self.values.push(Span { start: index(start), end: index(self.bytes.len()) });
        }
        let names = Span { start: index(first_name), end: index(self.names.len()) };
        let values = Span { start: index(first_value), end: index(self.values.len()) };
        self.add(Sample { family, names: Some(names), values, part, value });
    }

    fn add(&mut self, sample: Sample) {
        self.samples.push(sample);
    }

    fn write_values<'a>(&mut self, labels: impl Iterator<Item = &'a dyn LabelValue>) -> Span {
        let start = index(self.values.len());
        for label in labels {
            let value = self.write_value(label);
            self.values.push(value);
        }
        Span { start, end: index(self.values.len()) }
    }

    /// Prometheus refuses an exposition with a label value that is not UTF-8: such a value is
    /// written with replacement characters and fails its collector.
    fn write_value(&mut self, value: &dyn LabelValue) -> Span {
        let span = self.write(value);
        let Err(error) = std::str::from_utf8(self.slice(span)) else { return span };
        let valid = error.valid_up_to();
        let text = String::from_utf8_lossy(self.slice(span)).into_owned();
        self.fault.get_or_insert(format!("label value {text:?} is not UTF-8 at byte {valid}"));
        self.write(text.as_str())
    }

    fn write(&mut self, text: &(impl LabelValue + ?Sized)) -> Span {
        let start = index(self.bytes.len());
        text.write(&mut self.bytes);
        Span { start, end: index(self.bytes.len()) }
    }

    fn slice(&self, span: Span) -> &[u8] {
        &self.bytes[span.start as usize..span.end as usize]
    }

    /// Runs `push` and takes back what it pushed when it fails: for sources that are told whole or
    /// not at all.
    pub fn all_or_nothing<T, E>(
        &mut self,
        push: impl FnOnce(&mut Self) -> Result<T, E>,
    ) -> Result<T, E> {
        let (bytes, families) = (self.bytes.len(), self.families.len());
        let (names, values) = (self.names.len(), self.values.len());
        let samples = self.samples.len();
        let fault = self.fault.take();
        let outcome = push(self);
        if outcome.is_err() {
            self.bytes.truncate(bytes);
            self.families.truncate(families);
            self.names.truncate(names);
            self.values.truncate(values);
            self.samples.truncate(samples);
            self.fault = None;
        }
        self.fault = fault.or(self.fault.take());
        outcome
    }

    /// What a collector pushed that no exposition can carry, if anything.
    pub fn take_fault(&mut self) -> Option<String> {
        self.fault.take()
    }

    pub fn len(&self) -> usize {
        self.samples.len()
    }

    pub fn is_empty(&self) -> bool {
        self.samples.is_empty()
    }

    /// Forgets all samples and keeps the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.families.clear();
        self.names.clear();
        self.values.clear();
        self.samples.clear();
        self.fault = None;
    }

    /// The samples in the order they were pushed.
    pub fn iter(&self) -> impl Iterator<Item = SampleRef<'_>> {
        (0..self.samples.len()).map(|index| self.sample(index))
    }

    pub fn sample(&self, index: usize) -> SampleRef<'_> {
        SampleRef { samples: self, sample: &self.samples[index] }
    }
}

/// The arena's offsets are 32 bits wide: four gigabytes of labels are no exposition.
fn index(length: usize) -> u32 {
    u32::try_from(length).expect("an arena of samples under 4 GiB")
}

/// One sample, seen in its arena.
#[derive(Clone, Copy)]
pub struct SampleRef<'a> {
    samples: &'a Samples,
    sample: &'a Sample,
}

impl<'a> SampleRef<'a> {
    pub fn name(self) -> &'a [u8] {
        match self.sample.family {
            Family::Known(desc) => desc.name.as_bytes(),
            Family::Named(id) => self.samples.slice(self.named(id).name),
        }
    }

    pub fn help(self) -> &'a [u8] {
        match self.sample.family {
            Family::Known(desc) => desc.help.as_bytes(),
            Family::Named(id) => self.samples.slice(self.named(id).help),
        }
    }

    pub fn kind(self) -> Kind {
        match self.sample.family {
            Family::Known(desc) => desc.kind,
            Family::Named(id) => self.named(id).kind,
        }
    }

    /// Whether both stand under one and the same definition, told without comparing texts.
    fn is_same_definition(self, other: Self) -> bool {
        match (self.sample.family, other.sample.family) {
            (Family::Known(a), Family::Known(b)) => {
                std::ptr::eq(a, b) && self.sample.names.is_none() && other.sample.names.is_none()
            }
            _ => false,
        }
    }

    /// What tells definitions apart without comparing texts: a static's address, or the place in
    /// the source that opened the family.
    fn family_key(self, source: u32) -> (usize, u32) {
        match self.sample.family {
            Family::Known(desc) => (std::ptr::from_ref(desc).addr(), 0),
            Family::Named(id) => (source as usize, id.0),
        }
    }

    /// Whether both belong to families of one name.
    pub fn is_same_family(self, other: Self) -> bool {
        self.is_same_definition(other) || self.name() == other.name()
    }

    pub fn part(self) -> Part {
        self.sample.part
    }

    pub fn value(self) -> f64 {
        self.sample.value
    }

    pub fn label_count(self) -> usize {
        (self.sample.values.end - self.sample.values.start) as usize
    }

    /// How many labels tell the series from its siblings: all but `le` and `quantile`.
    pub fn series_label_count(self) -> usize {
        self.label_count() - usize::from(self.sample.part.has_own_label())
    }

    pub fn label_name(self, at: usize) -> &'a [u8] {
        match (self.sample.names, self.sample.family) {
            (Some(names), _) => self.samples.slice(self.samples.names[names.start as usize + at]),
            (None, Family::Known(desc)) => desc.labels[at].as_bytes(),
            (None, Family::Named(_)) => unreachable!("a named family's samples bring their names"),
        }
    }

    pub fn label_value(self, at: usize) -> &'a [u8] {
        self.samples.slice(self.samples.values[self.sample.values.start as usize + at])
    }

    pub fn labels(self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> {
        (0..self.label_count()).map(move |at| (self.label_name(at), self.label_value(at)))
    }

    fn named(self, id: FamilyId) -> &'a Named {
        &self.samples.families[id.0 as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_is_none_fails_its_collector_and_not_the_exposition() {
        let mut samples = Samples::default();
        let family = samples.family(&&b"node_a-\xff"[..], Kind::Gauge, "A.");
        samples.push_named(family, &[], 1);
        assert_eq!(samples.take_fault().as_deref(), Some("\"node_a-\u{fffd}\" is no metric name"));
        assert_eq!(samples.sample(0).name(), b"node_a__");
    }
}
