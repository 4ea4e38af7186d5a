//! One order over all samples of a scrape, and the one place where duplicates and clashes end.
//!
//! Families stand by name; within one, series by number of labels, then by label values. What
//! comes from an earlier source wins over what comes later: same series twice, or one name under
//! another type or HELP text.

use std::cmp::Ordering;
use std::collections::HashMap;

use super::{Kind, Part, SampleRef, Samples};

/// The order in which samples are written; kept and built anew for each scrape.
#[derive(Debug, Default)]
pub struct Merge {
    /// As the samples came.
    rows: Vec<Row>,
    row_order: Vec<u32>,
    /// In order, without those that lost.
    sorted: Vec<Row>,
    /// Definitions, as they came.
    families: Vec<Family>,
    family_order: Vec<u32>,
    /// By rank, the definition that stands for it: the one that came first.
    owners: Vec<Family>,
    ids: HashMap<FamilyKey, u32>,
    faults: Vec<String>,
}

type FamilyKey = (usize, u32);

#[derive(Debug, Clone, Copy)]
struct Row {
    /// Index of the family while collecting rows, its rank afterwards.
    family: u32,
    source: u32,
    sample: u32,
}

/// One definition of a family: its first sample stands for it.
#[derive(Debug, Clone, Copy)]
struct Family {
    source: u32,
    sample: u32,
    id: u32,
    rank: u32,
}

impl Merge {
    /// Orders the samples of `sources`, the first source winning.
    pub fn build<S: AsRef<Samples>>(&mut self, sources: &[S]) {
        self.rows.clear();
        self.families.clear();
        self.ids.clear();
        self.faults.clear();
        self.gather_rows(sources);
        self.rank_families(sources);
        self.sort_rows(sources);
        self.drop_clashes(sources);
    }

    /// The samples in order, without those that lost.
    pub fn samples<'a, S: AsRef<Samples>>(
        &'a self,
        sources: &'a [S],
    ) -> impl Iterator<Item = SampleRef<'a>> {
        self.sorted.iter().map(|row| at(sources, row.source, row.sample))
    }

    /// What was dropped and why, a line each.
    pub fn faults(&self) -> &[String] {
        &self.faults
    }

    fn gather_rows<S: AsRef<Samples>>(&mut self, sources: &[S]) {
        let Self { rows, families, ids, .. } = self;
        // Samples of one family come together, mostly.
        let mut last: Option<(FamilyKey, u32)> = None;
        for (source, samples) in sources.iter().enumerate() {
            let source = narrow(source);
            for sample in 0..samples.as_ref().len() {
                let key = samples.as_ref().sample(sample).family_key(source);
                let sample = narrow(sample);
                let family = match last {
                    Some((same, family)) if same == key => family,
                    _ => *ids.entry(key).or_insert_with(|| {
                        let id = narrow(families.len());
                        families.push(Family { source, sample, id, rank: 0 });
                        id
                    }),
                };
                last = Some((key, family));
                rows.push(Row { family, source, sample });
            }
        }
    }

    /// Sorts the few definitions instead of comparing the names of many samples.
    fn rank_families<S: AsRef<Samples>>(&mut self, sources: &[S]) {
        let Self { families, family_order, owners, .. } = self;
        let name = |family: &Family| at(sources, family.source, family.sample).name();
        arrange(family_order, families.len(), |a, b| {
            name(&families[a]).cmp(name(&families[b])).then(a.cmp(&b))
        });
        owners.clear();
        for &id in &*family_order {
            let family = &mut families[id as usize];
            if owners.last().is_none_or(|owner| name(owner) != name(family)) {
                family.rank = narrow(owners.len());
                owners.push(*family);
            } else {
                family.rank = narrow(owners.len() - 1);
            }
        }
        for row in &mut self.rows {
            row.family = families[row.family as usize].rank;
        }
    }

    fn sort_rows<S: AsRef<Samples>>(&mut self, sources: &[S]) {
        let Self { rows, row_order, sorted, .. } = self;
        arrange(row_order, rows.len(), |a, b| {
            let (a, b) = (rows[a], rows[b]);
            let series = |row: Row| at(sources, row.source, row.sample);
            a.family
                .cmp(&b.family)
                .then_with(|| series_order(series(a), series(b)))
                .then_with(|| (a.source, a.sample).cmp(&(b.source, b.sample)))
        });
        sorted.clear();
        sorted.extend(row_order.iter().map(|&row| rows[row as usize]));
    }

    fn drop_clashes<S: AsRef<Samples>>(&mut self, sources: &[S]) {
        let Self { sorted, faults, owners, .. } = self;
        let at = |row: Row| at(sources, row.source, row.sample);
        let taken = taken_by_parts(owners, sources);
        let mut previous: Option<Row> = None;
        sorted.retain(|&row| {
            let sample = at(row);
            let owner = owners[row.family as usize];
            let owner = self::at(sources, owner.source, owner.sample);
            let fault = if taken.contains(&row.family) {
                Some("its name is a line of a summary or histogram")
            } else if sample.kind() != owner.kind() {
                Some("its type is another than the family's")
            } else if sample.help() != owner.help() {
                Some("its HELP text is another than the family's")
            } else if previous.is_some_and(|previous| is_repeated(previous, row, at)) {
                Some("its labels stand there already")
            } else {
                None
            };
            match fault {
                Some(fault) => faults.push(format!("{} dropped: {fault}", Shown(sample))),
                None => previous = Some(row),
            }
            fault.is_none()
        });
    }
}

/// Sorts the numbers below `length`. Most scrapes have the samples of the last one: its order, which is still
/// there, is mostly the right one, and the sort only has to see that.
fn arrange(order: &mut Vec<u32>, length: usize, mut compare: impl FnMut(usize, usize) -> Ordering) {
    if order.len() != length {
        order.clear();
        order.extend(0..narrow(length));
    }
    order.sort_unstable_by(|&a, &b| compare(a as usize, b as usize));
}

fn at<S: AsRef<Samples>>(sources: &[S], source: u32, sample: u32) -> SampleRef<'_> {
    sources[source as usize].as_ref().sample(sample as usize)
}

/// Whether `row` repeats the series of `previous`. The lines of one summary or histogram share
/// their series' labels and stand one after another.
fn is_repeated<'a>(previous: Row, row: Row, at: impl Fn(Row) -> SampleRef<'a>) -> bool {
    let is_next_line = at(row).part() != Part::Whole
        && previous.source == row.source
        && previous.sample + 1 == row.sample;
    previous.family == row.family && is_same_series(at(previous), at(row)) && !is_next_line
}

/// Ranks of the families whose names are lines of a summary or histogram that came earlier.
fn taken_by_parts<S: AsRef<Samples>>(families: &[Family], sources: &[S]) -> Vec<u32> {
    let sample = |family: &Family| at(sources, family.source, family.sample);
    let mut taken = Vec::new();
    for family in families {
        let parts: &[Part] = match sample(family).kind() {
            Kind::Summary => &[Part::Sum, Part::Count],
            Kind::Histogram => &[Part::Sum, Part::Count, Part::Bucket],
            _ => continue,
        };
        for part in parts {
            let name = [sample(family).name(), part.suffix().as_bytes()].concat();
            let found = families.binary_search_by(|other| sample(other).name().cmp(&name));
            if let Ok(at) = found {
                let later = if families[at].id > family.id { &families[at] } else { family };
                taken.push(later.rank);
            }
        }
    }
    taken
}

/// Fewer labels first, then label values in the order of their names.
fn series_order(a: SampleRef<'_>, b: SampleRef<'_>) -> Ordering {
    let count = a.series_label_count();
    count.cmp(&b.series_label_count()).then_with(|| {
        (0..count)
            .map(|at| a.label_value(at).cmp(b.label_value(at)))
            .find(|order| order.is_ne())
            .unwrap_or(Ordering::Equal)
    })
}

/// Whether two samples of one family have the same labels, but for `le` and `quantile`.
pub fn is_same_series(a: SampleRef<'_>, b: SampleRef<'_>) -> bool {
    let has_same_names = || {
        a.is_same_definition(b)
            || (0..a.series_label_count()).all(|at| a.label_name(at) == b.label_name(at))
    };
    series_order(a, b).is_eq() && has_same_names()
}

fn narrow(length: usize) -> u32 {
    u32::try_from(length).expect("fewer than 4 billion samples in a scrape")
}

/// A sample as a log line names it.
struct Shown<'a>(SampleRef<'a>);

impl std::fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", String::from_utf8_lossy(self.0.name()))?;
        for (at, (name, value)) in self.0.labels().enumerate() {
            let open = if at == 0 { '{' } else { ',' };
            let (name, value) = (String::from_utf8_lossy(name), String::from_utf8_lossy(value));
            write!(f, "{open}{name}={value:?}")?;
        }
        if self.0.label_count() > 0 { f.write_str("}") } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exposition::{Desc, Value, counter, gauge, text};

    static LOAD: Desc = gauge("node_load1", "Load.", &[]);
    static CPU: Desc = counter("node_cpu_total", "Cpu.", &["cpu", "mode"]);

    fn written(sources: &[Samples]) -> (String, Vec<String>) {
        let mut merge = Merge::default();
        let sources: Vec<&Samples> = sources.iter().collect();
        merge.build(&sources);
        let mut out = Vec::new();
        text::write(&merge, &sources, &mut out);
        (String::from_utf8(out).unwrap(), merge.faults().to_vec())
    }

    #[test]
    fn families_by_name_and_series_by_label_values() {
        let mut samples = Samples::default();
        samples.push(&LOAD, &[], 0.5);
        samples.push(&CPU, &[&10_u64, &"idle"], 2_u64);
        samples.push(&CPU, &[&1_u64, &"user"], 1_u64);
        samples.push(&CPU, &[&1_u64, &"idle"], 3_u64);
        let (text, faults) = written(&[samples]);
        assert_eq!(
            text,
            "# HELP node_cpu_total Cpu.\n# TYPE node_cpu_total counter\n\
             node_cpu_total{cpu=\"1\",mode=\"idle\"} 3\nnode_cpu_total{cpu=\"1\",mode=\"user\"} 1\n\
             node_cpu_total{cpu=\"10\",mode=\"idle\"} 2\n\
             # HELP node_load1 Load.\n# TYPE node_load1 gauge\nnode_load1 0.5\n"
        );
        assert!(faults.is_empty());
    }

    #[test]
    fn the_order_of_the_last_scrape_is_a_guess_only() {
        let mut merge = Merge::default();
        for labels in [["a", "b", "c"], ["c", "a", "b"], ["b", "c", "a"]] {
            let mut samples = Samples::default();
            for (value, label) in labels.iter().enumerate() {
                samples.push(&CPU, &[&"0", label], value);
                let family = samples.family(&format!("x_{label}"), Kind::Gauge, "X.");
                samples.push_named(family, &[], value);
            }
            let sources = [&samples];
            merge.build(&sources);
            let values: Vec<f64> = merge.samples(&sources).map(SampleRef::value).collect();
            let place = |label| labels.iter().position(|other| *other == label).unwrap();
            let expected = ["a", "b", "c", "a", "b", "c"].map(|label| place(label).to_f64());
            assert_eq!(values, expected);
        }
    }

    #[test]
    fn what_was_taken_back_is_not_written() {
        let mut samples = Samples::default();
        samples.push(&CPU, &[&0_u64, &"idle"], 1.0);
        let outcome: Result<(), &str> = samples.all_or_nothing(|out| {
            out.push(&LOAD, &[], 1.0);
            let family = out.family("no name", Kind::Gauge, "None.");
            out.push_named(family, &[("a", &"b")], 1.0);
            Err("too bad")
        });
        assert_eq!(outcome, Err("too bad"));
        assert_eq!(samples.take_fault(), None);
        samples
            .all_or_nothing(|out| -> Result<(), ()> {
                out.push(&CPU, &[&0_u64, &"user"], 2.0);
                Ok(())
            })
            .unwrap();
        let (text, faults) = written(&[samples]);
        assert!(
            text.ends_with(
                "counter\nnode_cpu_total{cpu=\"0\",mode=\"idle\"} 1\n\
             node_cpu_total{cpu=\"0\",mode=\"user\"} 2\n"
            ),
            "{text}"
        );
        assert!(!text.contains("node_load1") && faults.is_empty(), "{text}");
    }

    #[test]
    fn the_earlier_source_wins() {
        let mut built_in = Samples::default();
        built_in.push(&LOAD, &[], 1.0);
        let mut file = Samples::default();
        let same = file.family("node_load1", Kind::Gauge, "Load.");
        file.push_named(same, &[], 2.0);
        let other_type = file.family("node_cpu_total", Kind::Gauge, "Cpu.");
        file.push_named(other_type, &[("cpu", &"0"), ("mode", &"x")], 2.0);
        built_in.push(&CPU, &[&0_u64, &"idle"], 7.0);
        let (text, faults) = written(&[built_in, file]);
        assert!(text.contains("node_load1 1\n") && !text.contains("node_load1 2"), "{text}");
        assert!(!text.contains("mode=\"x\""), "{text}");
        assert_eq!(
            faults,
            [
                "node_cpu_total{cpu=\"0\",mode=\"x\"} dropped: its type is another than the family's",
                "node_load1 dropped: its labels stand there already",
            ]
        );
    }

    #[test]
    fn a_histogram_keeps_its_lines_and_their_names() {
        let mut first = Samples::default();
        let family = first.family("x_seconds", Kind::Histogram, "X.");
        let labels: &[(&str, &dyn crate::exposition::LabelValue)] = &[("a", &"b")];
        first.push_part(family, labels, Some(0.5), Part::Bucket, 1_u64);
        first.push_part(family, labels, Some(f64::INFINITY), Part::Bucket, 2_u64);
        first.push_part(family, labels, None, Part::Sum, 1.5);
        first.push_part(family, labels, None, Part::Count, 2_u64);
        let mut second = Samples::default();
        let clash = second.family("x_seconds_count", Kind::Counter, "X.");
        second.push_named(clash, &[], 1.0);
        let repeated = second.family("x_seconds", Kind::Histogram, "X.");
        second.push_part(repeated, labels, None, Part::Sum, 9.5);
        let (text, faults) = written(&[first, second]);
        assert_eq!(
            text,
            "# HELP x_seconds X.\n# TYPE x_seconds histogram\n\
             x_seconds_bucket{a=\"b\",le=\"0.5\"} 1\nx_seconds_bucket{a=\"b\",le=\"+Inf\"} 2\n\
             x_seconds_sum{a=\"b\"} 1.5\nx_seconds_count{a=\"b\"} 2\n"
        );
        assert_eq!(faults.len(), 2, "{faults:?}");
    }
}
