//! Protobuf, one `io.prometheus.client.MetricFamily` after another, as bytes or spelled out.
//!
//! Prometheus asks for the bytes when it is told to prefer protobuf, as for native histograms. A
//! message is written where it will stand, straight from the merged samples.

mod spelled;
mod wire;

use std::iter::Peekable;

use super::merge::{Merge, is_same_series};
use super::{Kind, Part, SampleRef, Samples};
use crate::number;
use spelled::Spelled;
use wire::Wire;

/// How messages are written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// Each behind its length.
    Delimited,
    /// For people: fields on lines of their own.
    Text,
    /// For people: a message on a line.
    CompactText,
}

/// Writes all samples, a message for each family.
pub fn write<S: AsRef<Samples>>(
    encoding: Encoding,
    merge: &Merge,
    sources: &[S],
    out: &mut Vec<u8>,
) {
    let mut samples = merge.samples(sources).peekable();
    while let Some(first) = samples.peek().copied() {
        match encoding {
            Encoding::Delimited => Wire::delimited(out, |out| family(out, first, &mut samples)),
            Encoding::Text => Spelled::in_lines(out, |out| family(out, first, &mut samples)),
            Encoding::CompactText => Spelled::in_one(out, |out| family(out, first, &mut samples)),
        }
    }
}

/// A field's number on the wire, and its name when spelled out.
#[derive(Debug, Clone, Copy)]
struct Field(u8, &'static str);

/// The fields in use, of metrics.proto of prometheus/client_model.
mod field {
    use super::Field;

    pub(super) const FAMILY_NAME: Field = Field(1, "name");
    pub(super) const FAMILY_HELP: Field = Field(2, "help");
    pub(super) const FAMILY_TYPE: Field = Field(3, "type");
    pub(super) const FAMILY_METRIC: Field = Field(4, "metric");

    pub(super) const METRIC_LABEL: Field = Field(1, "label");
    pub(super) const METRIC_GAUGE: Field = Field(2, "gauge");
    pub(super) const METRIC_COUNTER: Field = Field(3, "counter");
    pub(super) const METRIC_SUMMARY: Field = Field(4, "summary");
    pub(super) const METRIC_UNTYPED: Field = Field(5, "untyped");
    pub(super) const METRIC_HISTOGRAM: Field = Field(7, "histogram");

    pub(super) const LABEL_NAME: Field = Field(1, "name");
    pub(super) const LABEL_VALUE: Field = Field(2, "value");

    /// Of a gauge, a counter, or what has no type.
    pub(super) const VALUE: Field = Field(1, "value");

    /// Of a summary or a histogram.
    pub(super) const COUNT: Field = Field(1, "sample_count");
    pub(super) const SUM: Field = Field(2, "sample_sum");
    pub(super) const SUMMARY_QUANTILE: Field = Field(3, "quantile");
    pub(super) const HISTOGRAM_BUCKET: Field = Field(3, "bucket");

    pub(super) const QUANTILE_RANK: Field = Field(1, "quantile");
    pub(super) const QUANTILE_VALUE: Field = Field(2, "value");

    pub(super) const BUCKET_COUNT: Field = Field(1, "cumulative_count");
    pub(super) const BUCKET_BOUND: Field = Field(2, "upper_bound");
}

/// Where the fields of a message go.
trait Message {
    fn text(&mut self, field: Field, text: &[u8]);
    fn double(&mut self, field: Field, value: f64);
    fn whole(&mut self, field: Field, value: u64);
    /// A member of an enumeration.
    fn member(&mut self, field: Field, number: u8, name: &str);
    fn message(&mut self, field: Field, fill: impl FnOnce(&mut Self));
}

fn family<'a>(
    out: &mut impl Message,
    first: SampleRef<'a>,
    samples: &mut Peekable<impl Iterator<Item = SampleRef<'a>>>,
) {
    out.text(field::FAMILY_NAME, first.name());
    out.text(field::FAMILY_HELP, first.help());
    let (number, name) = match first.kind() {
        Kind::Counter => (0, "COUNTER"),
        Kind::Gauge => (1, "GAUGE"),
        Kind::Summary => (2, "SUMMARY"),
        Kind::Untyped => (3, "UNTYPED"),
        Kind::Histogram => (4, "HISTOGRAM"),
    };
    out.member(field::FAMILY_TYPE, number, name);
    while let Some(sample) = samples.next_if(|sample| sample.is_same_family(first)) {
        out.message(field::FAMILY_METRIC, |out| metric(out, sample, samples));
    }
}

/// One series. The lines of a summary or histogram stand one after another.
fn metric<'a>(
    out: &mut impl Message,
    first: SampleRef<'a>,
    samples: &mut Peekable<impl Iterator<Item = SampleRef<'a>>>,
) {
    for (name, value) in first.labels().take(first.series_label_count()) {
        out.message(field::METRIC_LABEL, |out| {
            out.text(field::LABEL_NAME, name);
            out.text(field::LABEL_VALUE, value);
        });
    }
    let field = match first.kind() {
        Kind::Counter => field::METRIC_COUNTER,
        Kind::Gauge => field::METRIC_GAUGE,
        Kind::Summary => field::METRIC_SUMMARY,
        Kind::Untyped => field::METRIC_UNTYPED,
        Kind::Histogram => field::METRIC_HISTOGRAM,
    };
    out.message(field, |out| {
        line(out, first);
        let is_next_line = |next: &SampleRef<'a>| {
            next.part() != Part::Whole && next.is_same_family(first) && is_same_series(first, *next)
        };
        while let Some(next) = samples.next_if(is_next_line) {
            line(out, next);
        }
    });
}

fn line(out: &mut impl Message, sample: SampleRef<'_>) {
    let value = sample.value();
    match sample.part() {
        Part::Whole => out.double(field::VALUE, value),
        Part::Sum => out.double(field::SUM, value),
        Part::Count => out.whole(field::COUNT, whole(value)),
        Part::Quantile => out.message(field::SUMMARY_QUANTILE, |out| {
            out.double(field::QUANTILE_RANK, own_label(sample));
            out.double(field::QUANTILE_VALUE, value);
        }),
        Part::Bucket => out.message(field::HISTOGRAM_BUCKET, |out| {
            out.whole(field::BUCKET_COUNT, whole(value));
            out.double(field::BUCKET_BOUND, own_label(sample));
        }),
    }
}

/// The number in a line's `le` or `quantile`, which we wrote there ourselves.
fn own_label(sample: SampleRef<'_>) -> f64 {
    number::float(sample.label_value(sample.series_label_count())).unwrap_or(f64::NAN)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "counts are whole and not negative; what no u64 holds ends at its bounds"
)]
fn whole(count: f64) -> u64 {
    count as u64
}

#[cfg(test)]
mod tests;
