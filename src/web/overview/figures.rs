//! Looking things up in one scrape's merged samples.

use crate::exposition::merge::{Merge, is_same_series};
use crate::exposition::{SampleRef, Samples};

/// The samples of a scrape, in the order of the exposition.
pub(super) struct Figures<'a> {
    samples: Vec<SampleRef<'a>>,
}

impl<'a> Figures<'a> {
    pub(super) fn new(merge: &'a Merge, sources: &'a [&'a Samples]) -> Self {
        Self { samples: merge.samples(sources).collect() }
    }

    /// A family's samples.
    pub(super) fn family(&self, name: &str) -> &[SampleRef<'a>] {
        let name = name.as_bytes();
        let start = self.samples.partition_point(|sample| sample.name() < name);
        let rest = &self.samples[start..];
        &rest[..rest.partition_point(|sample| sample.name() == name)]
    }

    /// The value of a family of one sample.
    pub(super) fn value(&self, name: &str) -> Option<f64> {
        self.family(name).first().map(|sample| sample.value())
    }

    /// The value in another family under the same labels.
    pub(super) fn beside(&self, name: &str, sample: SampleRef<'_>) -> Option<f64> {
        let same = |other: &&SampleRef<'_>| {
            other.label_count() == sample.label_count() && is_same_series(**other, sample)
        };
        self.family(name).iter().find(same).map(|found| found.value())
    }

    /// The sum of the samples whose label has this value.
    pub(super) fn sum(&self, name: &str, key: &str, value: &str) -> f64 {
        let fits = |sample: &&SampleRef<'_>| label(**sample, key) == value;
        self.family(name).iter().filter(fits).map(|sample| sample.value()).sum()
    }

    /// How far a quantity is used up, 0 to 1; nothing where it has no limit.
    pub(super) fn share(&self, used: &str, limit: &str) -> Option<f64> {
        let limit = self.value(limit).filter(|&limit| limit > 0.0)?;
        Some(self.value(used)? / limit)
    }
}

/// A label's value; empty without one.
pub(super) fn label<'a>(sample: SampleRef<'a>, key: &str) -> &'a str {
    let value = sample.labels().find(|(name, _)| *name == key.as_bytes()).map(|(_, value)| value);
    value.and_then(|value| std::str::from_utf8(value).ok()).unwrap_or_default()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::exposition::parse;
    use crate::exposition::{Kind, LabelValue};

    /// The samples of an exposition, for a page to be drawn of.
    pub(in super::super) fn samples(text: &str) -> Samples {
        let mut samples = Samples::default();
        for family in parse::parse(text.as_bytes()).unwrap().families {
            let id = samples.family(&*family.name, Kind::Gauge, "Help.");
            for metric in &family.samples {
                let parse::Value::Number(value) = metric.value else { panic!("no number") };
                let texts: Vec<(&str, &str)> =
                    metric.labels.iter().map(|(name, value)| (&**name, &**value)).collect();
                let labels: Vec<(&str, &dyn LabelValue)> =
                    texts.iter().map(|(name, value)| (*name, value as &dyn LabelValue)).collect();
                samples.push_named(id, &labels, value);
            }
        }
        samples
    }

    #[test]
    fn families_values_and_neighbours() {
        let samples = samples(
            "b{x=\"1\",y=\"2\"} 1\nb{x=\"2\",y=\"2\"} 2\nb{x=\"2\",y=\"3\"} 4\na 7\nc{x=\"2\",y=\"2\"} 9\nd 14\n",
        );
        let sources = [&samples];
        let mut merge = Merge::default();
        merge.build(&sources);
        let figures = Figures::new(&merge, &sources);
        assert_eq!(figures.family("b").len(), 3);
        assert!(figures.family("bb").is_empty());
        assert_eq!(figures.value("a"), Some(7.0));
        assert_eq!(figures.value("none"), None);
        assert_eq!(figures.sum("b", "x", "2"), 6.0);
        let beside: Vec<_> = figures.family("b").iter().map(|b| figures.beside("c", *b)).collect();
        assert_eq!(beside, [None, Some(9.0), None]);
        assert_eq!(figures.share("a", "d"), Some(0.5));
        assert_eq!(label(figures.family("c")[0], "y"), "2");
        assert_eq!(label(figures.family("c")[0], "z"), "");
    }
}
