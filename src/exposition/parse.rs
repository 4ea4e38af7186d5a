//! The Prometheus text format 0.0.4 (a textfile, another exporter's answer), read as Go's `expfmt` reads it with legacy names.
//!
//! node_exporter refuses a whole textfile for one bad line, so that what is a bad line is part of its contract: this parser
//! refuses what Go's refuses and accepts what it accepts, down to `up{"job"="a",}-1 +5`. Where the two differ:
//!
//! * gauge histograms are refused: node_exporter panics on them;
//! * a sample without a name, `{a="b"} 1`, is refused on every line: Go's parser refuses the first line, and later puts the labels
//!   on the sample before;
//! * in `{le="1",name_bucket} 3` the labels mean what the name says, also those before it;
//! * HELP that is not UTF-8 is repaired, since Prometheus would refuse the whole scrape for it;
//! * upper and lower case of TYPE are ASCII's, where Go also takes `hıstogram`.

mod line;

use self::line::{
    Result, float, label_name, metric_name, quoted, show, skip_blanks, split_blank, split_name,
    timestamp, unescape, utf8,
};
use super::Kind;
use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;

/// What a text says.
#[derive(Debug, Clone, PartialEq)]
pub struct Exposition<'a> {
    /// Those with samples, in the order of their first lines.
    pub families: Vec<Family<'a>>,
    /// The first line that has a timestamp. No textfile may.
    pub timestamped: Option<u32>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Family<'a> {
    pub name: Cow<'a, str>,
    pub help: Option<Cow<'a, str>>,
    pub kind: Kind,
    pub samples: Vec<Metric<'a>>,
}

/// One sample, or the one summary or histogram that all lines with these labels make up.
#[derive(Debug, Clone, PartialEq)]
pub struct Metric<'a> {
    /// Sorted by name, no name twice.
    pub labels: Vec<Label<'a>>,
    pub value: Value,
    /// In milliseconds. The last one, when several lines have one.
    pub timestamp: Option<i64>,
    /// Where it begins.
    pub line: u32,
}

/// Name and value.
pub type Label<'a> = (Cow<'a, str>, Cow<'a, str>);

#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    Number(f64),
    /// `quantiles` are sorted, none is NaN and none is there twice.
    Summary {
        quantiles: Vec<(f64, f64)>,
        sum: f64,
        count: u64,
    },
    /// `buckets` are upper bounds with cumulative counts, sorted, none NaN and none twice; `+Inf` only if the text has it.
    Histogram {
        buckets: Vec<(f64, u64)>,
        sum: f64,
        count: u64,
    },
}

/// Reads as `line 12: cannot parse "1.2.3" as a value`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParseError {
    pub line: u32,
    pub what: String,
    /// All lines are good, save that the last one lacks its newline: its writer may be at it.
    pub is_unfinished: bool,
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.what)
    }
}

impl std::error::Error for ParseError {}

/// Reads a whole text; the first bad line refuses all of it.
pub fn parse(text: &[u8]) -> std::result::Result<Exposition<'_>, ParseError> {
    let mut parser = Parser::default();
    let mut rest = text;
    while let Some(end) = memchr::memchr(b'\n', rest) {
        parser.line_number += 1;
        parser.line(&rest[..end]).map_err(|what| parser.error(what))?;
        rest = &rest[end + 1..];
    }
    // Blanks alone are no line yet; anything else is a line that its writer has not finished.
    if !skip_blanks(rest).is_empty() {
        parser.line_number += 1;
        let error = parser.error("ends without a newline".to_owned());
        return Err(ParseError { is_unfinished: true, ..error });
    }
    Ok(parser.finish())
}

#[derive(Default)]
struct Parser<'a> {
    line_number: u32,
    timestamped: Option<u32>,
    families: Vec<Family<'a>>,
    /// Whether the type of the family at that index is settled, by a TYPE line or by a sample.
    is_typed: Vec<bool>,
    by_name: HashMap<Cow<'a, str>, usize>,
    /// The last name and what it meant, as most lines are about the name of the line before. A meaning never changes.
    last: Option<(Cow<'a, [u8]>, Meaning)>,
    /// Where in its family a summary or histogram is: the value to what `key` was.
    by_labels: HashMap<Vec<u8>, usize>,
    /// Of the line at hand.
    labels: Vec<Label<'a>>,
    key: Vec<u8>,
}

/// What a name means at the point where it stands: a family, by index, and which of its lines.
#[derive(Clone, Copy)]
struct Meaning {
    family: usize,
    part: Part,
}

#[derive(Clone, Copy)]
enum Part {
    Count,
    Sum,
    /// A plain sample, a quantile, a bucket.
    Point,
}

const PARTS: [(&str, Part); 3] =
    [("_count", Part::Count), ("_sum", Part::Sum), ("_bucket", Part::Point)];

impl<'a> Parser<'a> {
    fn line(&mut self, line: &'a [u8]) -> Result<()> {
        match skip_blanks(line) {
            [] => Ok(()),
            [b'#', rest @ ..] => self.comment(rest),
            line => self.sample(line),
        }
    }

    /// ` HELP node_load1 Tasks, averaged over 1 minute.`
    fn comment(&mut self, rest: &'a [u8]) -> Result<()> {
        let (keyword, rest) = split_blank(skip_blanks(rest));
        if !matches!(keyword, b"HELP" | b"TYPE") || rest.is_empty() {
            return Ok(());
        }
        let subject = skip_blanks(rest);
        let (name, rest) = split_name(subject, true)?;
        match rest {
            // Nothing is said of it, and so nobody looks at the name.
            [] => return Ok(()),
            [b' ' | b'\t', ..] => {}
            _ => return Err(format!("invalid metric name {}", show(split_blank(subject).0))),
        }
        let index = self.meaning(name)?.family;
        let rest = skip_blanks(rest);
        if rest.is_empty() {
            return Ok(());
        }
        if keyword == b"HELP" { self.set_help(index, rest) } else { self.set_kind(index, rest) }
    }

    fn set_help(&mut self, index: usize, text: &'a [u8]) -> Result<()> {
        let family = &mut self.families[index];
        if family.help.is_some() {
            return Err(format!("second HELP for {}", family.name));
        }
        family.help = Some(match unescape(text)? {
            Cow::Borrowed(text) => String::from_utf8_lossy(text),
            Cow::Owned(text) => Cow::Owned(String::from_utf8_lossy(&text).into_owned()),
        });
        Ok(())
    }

    fn set_kind(&mut self, index: usize, word: &[u8]) -> Result<()> {
        let family = &mut self.families[index];
        if self.is_typed[index] {
            let name = &family.name;
            return Err(if family.samples.is_empty() {
                format!("second TYPE for {name}")
            } else {
                format!("TYPE for {name} after its samples")
            });
        }
        // Go reads the word as it reads HELP, but with every backslash dropped.
        let bare: Vec<u8> = word.iter().copied().filter(|&b| b != b'\\').collect();
        family.kind = [Kind::Counter, Kind::Gauge, Kind::Summary, Kind::Histogram, Kind::Untyped]
            .into_iter()
            .find(|kind| kind.as_str().as_bytes().eq_ignore_ascii_case(&bare))
            .ok_or_else(|| format!("unknown type {} for {}", show(word), family.name))?;
        self.is_typed[index] = true;
        Ok(())
    }

    /// `name{label="value"} 1.5 1700000000000`, and `{name,label="value"} 1.5`.
    fn sample(&mut self, line: &'a [u8]) -> Result<()> {
        let (named, rest) = match line {
            [b'{', ..] => (None, line),
            _ => {
                let (name, rest) = split_name(line, true)?;
                if name.is_empty() {
                    return Err(format!("invalid metric name {}", show(split_blank(line).0)));
                }
                (Some(self.meaning(name)?), skip_blanks(rest))
            }
        };
        self.labels.clear();
        let (named, rest) = match rest {
            [b'{', rest @ ..] => self.read_labels(named, rest)?,
            _ => (named, rest),
        };
        let Meaning { family: index, part } = named.ok_or("labels without a metric name")?;

        let (token, rest) = split_blank(rest);
        let value =
            float(token).ok_or_else(|| format!("cannot parse {} as a value", show(token)))?;
        let timestamp = if rest.is_empty() { None } else { Some(timestamp(skip_blanks(rest))?) };
        if timestamp.is_some() {
            self.timestamped.get_or_insert(self.line_number);
        }
        self.is_typed[index] = true;
        let metric = match self.families[index].kind {
            Kind::Summary => self.summary(index, part, value)?,
            Kind::Histogram => self.histogram(index, part, value)?,
            Kind::Counter | Kind::Gauge | Kind::Untyped => {
                self.sort_labels(index)?;
                self.add(index, Value::Number(value))
            }
        };
        metric.timestamp = timestamp.or(metric.timestamp);
        Ok(())
    }

    /// `label="value", other="value"} 1.5`, into `self.labels`; returns the metric name's meaning and what follows the brace.
    fn read_labels(
        &mut self,
        mut named: Option<Meaning>,
        mut rest: &'a [u8],
    ) -> Result<(Option<Meaning>, &'a [u8])> {
        loop {
            rest = skip_blanks(rest);
            if let [b'}', rest @ ..] = rest {
                return Ok((named, skip_blanks(rest)));
            }
            let (name, after) = split_name(rest, false)?;
            if name.is_empty() {
                return Err(format!("invalid label name {}", show(split_blank(rest).0)));
            }
            rest = skip_blanks(after);
            match rest {
                [b'=', after @ ..] => {
                    let name = label_name(name)?;
                    let [b'"', value @ ..] = skip_blanks(after) else {
                        return Err(format!("no opening quote before the value of label {name}"));
                    };
                    let (value, after) = quoted(value)?;
                    let value = utf8(value)
                        .map_err(|value| format!("label {name} is not UTF-8: {}", show(&value)))?;
                    self.labels.push((name, value));
                    rest = skip_blanks(after);
                }
                [b',' | b'}', ..] if named.is_none() => named = Some(self.meaning(name)?),
                _ => return Err(format!("no = after label name {}", show(&name))),
            }
            match rest {
                [b',', after @ ..] => rest = after,
                [b'}', ..] => {}
                _ => return Err(format!("neither comma nor brace before {}", show(rest))),
            }
        }
    }

    /// A line of a summary. One that is neither sum, count nor quantile counts for nothing but its labels.
    fn summary(&mut self, index: usize, part: Part, value: f64) -> Result<&mut Metric<'a>> {
        let quantile = self.take_own_label("quantile")?;
        let metric =
            self.series(index, || Value::Summary { quantiles: vec![], sum: 0.0, count: 0 })?;
        if let Value::Summary { quantiles, sum, count } = &mut metric.value {
            match part {
                Part::Count => *count = whole(value),
                Part::Sum => *sum = value,
                Part::Point if quantile.is_nan() => {}
                Part::Point => quantiles.push((quantile, value)),
            }
        }
        Ok(metric)
    }

    /// A line of a histogram, likewise. Go asks counts to be positive here, and here alone.
    fn histogram(&mut self, index: usize, part: Part, value: f64) -> Result<&mut Metric<'a>> {
        let bound = self.take_own_label("le")?;
        let is_count =
            matches!(part, Part::Count) || matches!(part, Part::Point) && !bound.is_nan();
        if is_count && value < 0.0 {
            return Err(format!("negative count {value} in {}", self.families[index].name));
        }
        let metric =
            self.series(index, || Value::Histogram { buckets: vec![], sum: 0.0, count: 0 })?;
        if let Value::Histogram { buckets, sum, count } = &mut metric.value {
            match part {
                Part::Count => *count = whole(value),
                Part::Sum => *sum = value,
                Part::Point if bound.is_nan() => {}
                Part::Point => buckets.push((bound, whole(value))),
            }
        }
        Ok(metric)
    }

    /// The number in label `own`, which then is none of the series' labels. NaN without one; the last if it is there more than once.
    fn take_own_label(&mut self, own: &str) -> Result<f64> {
        let mut number = f64::NAN;
        let mut bad = None;
        self.labels.retain(|(name, value)| {
            if name != own {
                return true;
            }
            match float(value.as_bytes()) {
                Some(value) => number = value,
                None => {
                    bad = Some(format!("cannot parse {own}={} as a number", show(value.as_bytes())))
                }
            }
            false
        });
        bad.map_or(Ok(number), Err)
    }

    /// The summary or histogram with the labels of this line.
    fn series(&mut self, index: usize, empty: fn() -> Value) -> Result<&mut Metric<'a>> {
        self.sort_labels(index)?;
        let samples = &self.families[index].samples;
        // Lines of one series mostly stand together.
        if samples.last().is_some_and(|last| last.labels == self.labels) {
            let last = samples.len() - 1;
            return Ok(&mut self.families[index].samples[last]);
        }
        self.key.clear();
        self.key.extend_from_slice(&index.to_ne_bytes());
        for (name, value) in &self.labels {
            for text in [name, value] {
                self.key.extend_from_slice(text.as_bytes());
                self.key.push(0xff);
            }
        }
        if let Some(&at) = self.by_labels.get(&self.key) {
            return Ok(&mut self.families[index].samples[at]);
        }
        self.by_labels.insert(self.key.clone(), samples.len());
        Ok(self.add(index, empty()))
    }

    fn sort_labels(&mut self, index: usize) -> Result<()> {
        self.labels.sort_by(|(a, _), (b, _)| a.cmp(b));
        match self.labels.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            Some(pair) => {
                Err(format!("label {} twice in {}", pair[0].0, self.families[index].name))
            }
            None => Ok(()),
        }
    }

    fn add(&mut self, index: usize, value: Value) -> &mut Metric<'a> {
        let labels = self.labels.drain(..).collect();
        self.families[index].samples.push_mut(Metric {
            labels,
            value,
            timestamp: None,
            line: self.line_number,
        })
    }

    /// The family of that name; or, if there is none, the summary or histogram whose line it is; or else a new one.
    fn meaning(&mut self, name: Cow<'a, [u8]>) -> Result<Meaning> {
        if let Some((last, meaning)) = &self.last
            && *last == name
        {
            return Ok(*meaning);
        }
        let meaning = self.find_or_add(metric_name(name.clone())?);
        self.last = Some((name, meaning));
        Ok(meaning)
    }

    fn find_or_add(&mut self, name: Cow<'a, str>) -> Meaning {
        if let Some(&family) = self.by_name.get(&name) {
            return Meaning { family, part: Part::Point };
        }
        for (suffix, part) in PARTS {
            if let Some(&family) = name.strip_suffix(suffix).and_then(|of| self.by_name.get(of)) {
                match self.families[family].kind {
                    Kind::Histogram => return Meaning { family, part },
                    Kind::Summary if suffix != "_bucket" => return Meaning { family, part },
                    _ => {}
                }
            }
        }
        let family = self.families.len();
        self.by_name.insert(name.clone(), family);
        self.families.push(Family { name, help: None, kind: Kind::Untyped, samples: Vec::new() });
        self.is_typed.push(false);
        Meaning { family, part: Part::Point }
    }

    fn error(&self, what: String) -> ParseError {
        ParseError { line: self.line_number, what, is_unfinished: false }
    }

    fn finish(mut self) -> Exposition<'a> {
        self.families.retain(|family| !family.samples.is_empty());
        for metric in self.families.iter_mut().flat_map(|family| &mut family.samples) {
            match &mut metric.value {
                Value::Number(_) => {}
                Value::Summary { quantiles, .. } => settle(quantiles),
                Value::Histogram { buckets, .. } => settle(buckets),
            }
        }
        Exposition { families: self.families, timestamped: self.timestamped }
    }
}

/// Sorts by the first number; of equal ones, the last line holds.
fn settle<T: Copy>(points: &mut Vec<(f64, T)>) {
    points.sort_by(|(a, _), (b, _)| a.partial_cmp(b).unwrap_or(std::cmp::Ordering::Equal));
    points.dedup_by(|later, earlier| {
        let is_same = later.0 == earlier.0;
        if is_same {
            earlier.1 = later.1;
        }
        is_same
    });
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a count is cut to whole; what no u64 holds ends at its bounds, as Go does on arm64 and not on amd64"
)]
fn whole(count: f64) -> u64 {
    count as u64
}

#[cfg(test)]
mod tests;
