//! The messages, read by a decoder of their own and held against the text format.

use std::fmt::Write as _;

use super::*;
use crate::exposition::{Desc, LabelValue, counter, gauge, text, untyped};

static CPU: Desc = counter("node_cpu_seconds_total", "Time.", &["cpu", "mode"]);
static LOAD: Desc = gauge("node_load1", "Load of\n\"now\" \\.", &[]);
static ODD: Desc = untyped("odd", "Odd.", &["a"]);

/// Families of all kinds; one of them and a label longer than a varint of one or two bytes tells.
fn samples() -> Samples {
    let mut samples = Samples::default();
    samples.push(&LOAD, &[], 0.25);
    for cpu in 0..2000_u64 {
        samples.push(&CPU, &[&cpu, &"idle"], cpu as f64 / 3.0);
    }
    for (label, value) in
        [("", f64::NAN), ("größe\t\"\\", f64::INFINITY), (&*"x".repeat(20_000), -1e-45)]
    {
        samples.push(&ODD, &[&label], value);
    }
    let summary = samples.family("s_seconds", Kind::Summary, "S.");
    let labels: [&[(&str, &dyn LabelValue)]; 2] = [&[("a", &"1")], &[("a", &"2"), ("b", &"")]];
    for labels in labels {
        samples.push_part(summary, labels, Some(0.5), Part::Quantile, f64::NAN);
        samples.push_part(summary, labels, Some(0.99), Part::Quantile, 1.5);
        samples.push_part(summary, labels, None, Part::Sum, -2.5);
        samples.push_part(summary, labels, None, Part::Count, 3_u64);
    }
    let histogram = samples.family("h_seconds", Kind::Histogram, "");
    for labels in labels {
        samples.push_part(histogram, labels, Some(-0.5), Part::Bucket, 0_u64);
        samples.push_part(histogram, labels, Some(1e-6), Part::Bucket, 127_u64);
        samples.push_part(histogram, labels, Some(f64::INFINITY), Part::Bucket, 1_u64 << 40);
        samples.push_part(histogram, labels, None, Part::Sum, 1e300);
        samples.push_part(histogram, labels, None, Part::Count, 1_u64 << 40);
    }
    samples
}

fn written(write: impl FnOnce(&Merge, &[Samples; 1], &mut Vec<u8>)) -> Vec<u8> {
    let sources = [samples()];
    let mut merge = Merge::default();
    merge.build(&sources);
    let mut out = Vec::new();
    write(&merge, &sources, &mut out);
    out
}

/// A field's content, by its wire type.
enum Content<'a> {
    Whole(u64),
    Double(f64),
    Bytes(&'a [u8]),
}

impl<'a> Content<'a> {
    fn bytes(&self) -> &'a [u8] {
        let Content::Bytes(bytes) = self else { panic!("no bytes") };
        bytes
    }

    fn text(&self) -> &'a str {
        std::str::from_utf8(self.bytes()).unwrap()
    }

    /// As the text format has it.
    fn number(&self) -> String {
        let mut out = Vec::new();
        number::write_float(
            &mut out,
            match self {
                Content::Whole(value) => *value as f64,
                Content::Double(value) => *value,
                Content::Bytes(_) => panic!("no number"),
            },
        );
        String::from_utf8(out).unwrap()
    }
}

fn take_varint(bytes: &mut &[u8]) -> u64 {
    let mut value = 0;
    for shift in (0..).step_by(7) {
        let (first, rest) = bytes.split_first().unwrap();
        *bytes = rest;
        value |= u64::from(first & 0x7f) << shift;
        if first & 0x80 == 0 {
            break;
        }
    }
    value
}

fn take<'a>(bytes: &mut &'a [u8], count: usize) -> &'a [u8] {
    let (taken, rest) = bytes.split_at(count);
    *bytes = rest;
    taken
}

fn fields(mut bytes: &[u8]) -> Vec<(u64, Content<'_>)> {
    let mut fields = Vec::new();
    while !bytes.is_empty() {
        let tag = take_varint(&mut bytes);
        let content = match tag & 7 {
            0 => Content::Whole(take_varint(&mut bytes)),
            1 => Content::Double(f64::from_le_bytes(take(&mut bytes, 8).try_into().unwrap())),
            2 => {
                let length = take_varint(&mut bytes).try_into().unwrap();
                Content::Bytes(take(&mut bytes, length))
            }
            other => panic!("wire type {other}"),
        };
        fields.push((tag >> 3, content));
    }
    fields
}

fn of<'a, 'b>(
    fields: &'b [(u64, Content<'a>)],
    number: u64,
) -> impl Iterator<Item = &'b Content<'a>> {
    fields.iter().filter(move |(other, _)| *other == number).map(|(_, content)| content)
}

fn one<'a, 'b>(fields: &'b [(u64, Content<'a>)], number: u64) -> &'b Content<'a> {
    let mut found = of(fields, number);
    let first = found.next().unwrap();
    assert!(found.next().is_none());
    first
}

/// What `text::write` would have written, but that its escapes are left out of this.
fn decoded(mut bytes: &[u8]) -> String {
    let mut out = String::new();
    while !bytes.is_empty() {
        let length = take_varint(&mut bytes).try_into().unwrap();
        let family = fields(take(&mut bytes, length));
        let name = one(&family, 1).text();
        let Content::Whole(kind) = *one(&family, 3) else { panic!("no type") };
        let kind = usize::try_from(kind).unwrap();
        let word = ["counter", "gauge", "summary", "untyped", "histogram"][kind];
        writeln!(out, "# HELP {name} {}", escaped(one(&family, 2).text(), false)).unwrap();
        writeln!(out, "# TYPE {name} {word}").unwrap();
        for metric in of(&family, 4).map(|metric| fields(metric.bytes())) {
            let labels: Vec<String> = of(&metric, 1)
                .map(|label| fields(label.bytes()))
                .map(|label| {
                    format!(
                        "{}=\"{}\"",
                        one(&label, 1).text(),
                        escaped(one(&label, 2).text(), true)
                    )
                })
                .collect();
            let mut line = |suffix: &str, own: Option<String>, value: String| {
                let all: Vec<&str> = labels.iter().chain(&own).map(String::as_str).collect();
                let all =
                    if all.is_empty() { String::new() } else { format!("{{{}}}", all.join(",")) };
                writeln!(out, "{name}{suffix}{all} {value}").unwrap();
            };
            let value = fields(one(&metric, [3, 2, 4, 5, 7][kind]).bytes());
            let (own, suffix) = match word {
                "summary" => ("quantile", ""),
                "histogram" => ("le", "_bucket"),
                _ => {
                    line("", None, one(&value, 1).number());
                    continue;
                }
            };
            let (own_field, value_field) = if word == "summary" { (1, 2) } else { (2, 1) };
            for point in of(&value, 3).map(|point| fields(point.bytes())) {
                let label = format!("{own}=\"{}\"", one(&point, own_field).number());
                line(suffix, Some(label), one(&point, value_field).number());
            }
            line("_sum", None, one(&value, 2).number());
            line("_count", None, one(&value, 1).number());
        }
    }
    out
}

fn escaped(text: &str, quotes: bool) -> String {
    let text = text.replace('\\', "\\\\").replace('\n', "\\n");
    if quotes { text.replace('"', "\\\"") } else { text }
}

#[test]
fn the_bytes_say_what_the_text_says() {
    let text = String::from_utf8(written(|merge, sources, out| text::write(merge, sources, out)));
    let bytes = written(|merge, sources, out| write(Encoding::Delimited, merge, sources, out));
    assert_eq!(decoded(&bytes), text.unwrap());
}

#[test]
fn spelled_out() {
    let mut samples = Samples::default();
    samples.push(&LOAD, &[], 0.25);
    samples.push(&ODD, &[&"\u{7}\r\"größe"], f64::NEG_INFINITY);
    let summary = samples.family("s", Kind::Summary, "S.");
    samples.push_part(summary, &[], Some(0.5), Part::Quantile, f64::NAN);
    samples.push_part(summary, &[], None, Part::Count, 3_u64);
    let sources = [samples];
    let mut merge = Merge::default();
    merge.build(&sources);
    let spelled = |encoding| {
        let mut out = Vec::new();
        write(encoding, &merge, &sources, &mut out);
        String::from_utf8(out).unwrap()
    };
    assert_eq!(
        spelled(Encoding::CompactText),
        "name:\"node_load1\" help:\"Load of\\n\\\"now\\\" \\\\.\" type:GAUGE metric:{gauge:{value:0.25}}\n\
         name:\"odd\" help:\"Odd.\" type:UNTYPED \
         metric:{label:{name:\"a\" value:\"\\x07\\r\\\"größe\"} untyped:{value:-inf}}\n\
         name:\"s\" help:\"S.\" type:SUMMARY \
         metric:{summary:{quantile:{quantile:0.5 value:nan} sample_count:3}}\n"
    );
    let lines = spelled(Encoding::Text);
    assert!(
        lines.ends_with(
            "\n\nname: \"s\"\nhelp: \"S.\"\ntype: SUMMARY\nmetric: {\n  summary: {\n    quantile: {\n      \
             quantile: 0.5\n      value: nan\n    }\n    sample_count: 3\n  }\n}\n\n"
        ),
        "{lines}"
    );
}
