//! What an exposition is worth: whether Prometheus takes it, and which collectors are behind it.

use std::collections::HashSet;
use std::io;

use super::report::Report;
use crate::exposition::parse::{self, Exposition, Family, Value};

/// Reports on the exposition and on its collectors.
pub(super) fn check(
    body: &[u8],
    content_type: Option<&str>,
    report: &mut Report<'_>,
) -> io::Result<()> {
    let media_type = content_type.unwrap_or_default().split(';').next().unwrap_or_default().trim();
    if media_type != "text/plain" {
        // A page of a proxy, or of a program that is no exporter.
        let text = format!("the answer is {media_type:?}, and not text/plain");
        return report.bad("exposition", text);
    }
    let exposition = match parse::parse(body) {
        Ok(exposition) => exposition,
        Err(error) => return report.bad("exposition", error),
    };
    let faults = lint(&exposition);
    let (shown, more) = faults.split_at(faults.len().min(3));
    for fault in shown {
        report.bad("exposition", fault)?;
    }
    if !more.is_empty() {
        report.bad("exposition", format!("and {} more", more.len()))?;
    }
    if faults.is_empty() {
        let samples: usize = exposition.families.iter().map(|family| family.samples.len()).sum();
        let families = exposition.families.len();
        report.good("exposition", format!("{families} families, {samples} series"))?;
    }
    collectors(&exposition, report)
}

/// The value of a family of one sample.
pub(super) fn value(body: &[u8], name: &str) -> Option<f64> {
    let exposition = parse::parse(body).ok()?;
    match family(&exposition, name)?.samples.first()?.value {
        Value::Number(value) => Some(value),
        _ => None,
    }
}

fn family<'a, 'b>(exposition: &'b Exposition<'a>, name: &str) -> Option<&'b Family<'a>> {
    exposition.families.iter().find(|family| family.name == name)
}

/// What Prometheus would take badly, a line each.
fn lint(exposition: &Exposition<'_>) -> Vec<String> {
    let mut faults = Vec::new();
    if exposition.families.is_empty() {
        faults.push("nothing in it".to_owned());
    }
    if let Some(line) = exposition.timestamped {
        faults.push(format!("line {line}: a timestamp, which Prometheus would take for the sample's time"));
    }
    for family in &exposition.families {
        let mut seen = HashSet::new();
        for sample in &family.samples {
            if !seen.insert(&sample.labels) {
                faults.push(format!("line {}: a series of {} that stands there already", sample.line, family.name));
            }
        }
    }
    faults
}

/// A collector is silent for want of a source as well as for a fault: the exposition does not tell
/// which, the page at `/` and the log do.
fn collectors(exposition: &Exposition<'_>, report: &mut Report<'_>) -> io::Result<()> {
    let Some(success) = family(exposition, "node_scrape_collector_success") else {
        return report.note("collectors", "none: not an exposition of node_exporter's kind");
    };
    let is_silent = |value: &Value| *value == Value::Number(0.0);
    let silent = success.samples.iter().filter(|sample| is_silent(&sample.value));
    let name = |(name, value): &(std::borrow::Cow<'_, str>, std::borrow::Cow<'_, str>)| {
        (name == "collector").then(|| value.clone().into_owned())
    };
    let silent: Vec<String> =
        silent.filter_map(|sample| sample.labels.iter().find_map(name)).collect();
    let answered = success.samples.len() - silent.len();
    if silent.is_empty() {
        return report.good("collectors", format!("all {answered} answered"));
    }
    report.note("collectors", format!("{answered} answered; without data: {}", silent.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::super::report::Report;
    use super::*;

    fn told(body: &str, content_type: Option<&str>) -> String {
        let mut out = Vec::new();
        let mut report = Report::new(&mut out, "", false);
        check(body.as_bytes(), content_type, &mut report).unwrap();
        report.finish().unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn expositions() {
        let success = "node_scrape_collector_success{collector=\"cpu\"} 1\n";
        let silent = "node_scrape_collector_success{collector=\"nfs\"} 0\n";
        for (body, expected) in [
            (success.to_owned(), "good  exposition      1 families, 1 series\ngood  collectors      all 1 answered\n"),
            (
                format!("{success}{silent}"),
                "good  exposition      1 families, 2 series\n\
                 note  collectors      1 answered; without data: nfs\n",
            ),
            (
                format!("{success}a{{x=\"1\"}} 1\na{{x=\"1\"}} 2\n"),
                "bad   exposition      line 3: a series of a that stands there already\n\
                 good  collectors      all 1 answered\n",
            ),
            (
                "up 1\n".to_owned(),
                "good  exposition      1 families, 1 series\n\
                 note  collectors      none: not an exposition of node_exporter's kind\n",
            ),
            (
                String::new(),
                "bad   exposition      nothing in it\n\
                 note  collectors      none: not an exposition of node_exporter's kind\n",
            ),
            ("a 1 2 3\n".to_owned(), "bad   exposition      line 1: "),
        ] {
            let told = told(&body, Some("text/plain; version=0.0.4"));
            assert!(told.starts_with(expected), "{told}");
        }
        let page = told("<html>", Some("text/html"));
        assert_eq!(page, "bad   exposition      the answer is \"text/html\", and not text/plain\n");
        assert!(told("up 1\n", None).starts_with("bad"));
        assert_eq!(value(b"a 1\nnode_time_seconds 1.5e9\n", "node_time_seconds"), Some(1.5e9));
    }
}
