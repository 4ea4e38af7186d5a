//! The page at `/`: how this host is, at a glance, from the same samples that a scrape brings.
//!
//! It is drawn on a worker, whole, and readable without its script. With it, the page fetches itself
//! every few seconds, turns counters into rates and draws their last minutes.

mod facts;
mod figures;
mod filesystems;
mod findings;
mod html;
mod parts;
mod sections;
mod tiles;
mod words;

use std::sync::{Arc, LazyLock};
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use flate2::Crc;
use hyper::Response;
use hyper::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, HeaderValue, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS,
};

use super::Answer;
use super::metrics::Metrics;
use super::own::{CONTRACT, VERSION};
use crate::exposition::Samples;
use crate::exposition::merge::Merge;
use crate::gather;
use facts::Facts;
use figures::{Figures, label};
use findings::Grade;
use html::Html;

const SCRIPT: &str = include_str!("overview/page.js");
const STYLE: &str = include_str!("overview/page.css");

/// Nothing from elsewhere, nothing inline; the icon is part of the page.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
                      img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Draws the page.
pub async fn answer(metrics: &Metrics, telemetry_path: &str) -> Answer {
    let telemetry_path = telemetry_path.to_owned();
    let draw = move |gathered: &gather::Gathered, own: &Samples| {
        let sources = gathered.sources(own);
        let mut merge = Merge::default();
        merge.build(&sources);
        let page = Page {
            figures: Figures::new(&merge, &sources),
            facts: Facts::ask(),
            answers: &gathered.answers,
            now: SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64(),
            telemetry_path: &telemetry_path,
        };
        page.draw()
    };
    match metrics.show(draw).await {
        Ok(page) => served("text/html; charset=UTF-8", "no-store", page),
        Err(answer) => answer,
    }
}

/// The page's script or style, if `path` is that of one.
pub fn asset(path: &str) -> Option<Answer> {
    const FOR_A_YEAR: &str = "private, max-age=31536000, immutable";
    match path {
        "/-/page.js" => Some(served("text/javascript; charset=utf-8", FOR_A_YEAR, SCRIPT)),
        "/-/page.css" => Some(served("text/css; charset=utf-8", FOR_A_YEAR, STYLE)),
        _ => None,
    }
}

fn served(content_type: &'static str, cache: &'static str, body: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(body.into());
    let headers: [(HeaderName, &'static str); 5] = [
        (CONTENT_TYPE, content_type),
        (CACHE_CONTROL, cache),
        (CONTENT_SECURITY_POLICY, POLICY),
        (REFERRER_POLICY, "no-referrer"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    for (name, value) in headers {
        answer.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    answer
}

/// Changes with the script and the style, which browsers keep.
static EDITION: LazyLock<String> = LazyLock::new(|| {
    let mut crc = Crc::new();
    crc.update(SCRIPT.as_bytes());
    crc.update(STYLE.as_bytes());
    format!("{:08x}", crc.sum())
});

/// All that the page is drawn of.
struct Page<'a> {
    figures: Figures<'a>,
    facts: Facts,
    answers: &'a [Arc<gather::Answer>],
    /// Seconds since the epoch.
    now: f64,
    telemetry_path: &'a str,
}

impl Page<'_> {
    fn draw(&self) -> String {
        let findings = findings::find(self);
        let grade = findings.first().map_or(Grade::Fine, |finding| finding.grade);
        let mut out = Html::default();
        self.head(grade, &mut out);
        out.raw("<body data-at=\"").text(self.now).raw("\" data-host=\"").text(&self.facts.host);
        out.raw("\">\n");
        sections::header(self, grade, &mut out);
        out.raw("<main>\n");
        sections::findings(&findings, &mut out);
        tiles::all(self, &mut out);
        sections::file_systems(self, &mut out);
        sections::disks(self, &mut out);
        sections::links(self, &mut out);
        sections::units(self, &mut out);
        sections::textfiles(self, &mut out);
        sections::collectors(self, &mut out);
        out.raw("</main>\n");
        self.footer(&mut out);
        out.raw("</body>\n</html>\n");
        out.finish()
    }

    fn head(&self, grade: Grade, out: &mut Html) {
        out.raw(
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <title>Node Exporter</title>\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <meta name=\"color-scheme\" content=\"light dark\">\n<link rel=\"icon\" href=\"",
        );
        out.raw(icon(grade))
            .raw("\">\n<link rel=\"stylesheet\" href=\"-/page.css?")
            .text(&*EDITION);
        out.raw("\">\n<script defer src=\"-/page.js?")
            .text(&*EDITION)
            .raw("\"></script>\n</head>\n");
    }

    fn footer(&self, out: &mut Html) {
        out.raw("<footer id=\"about\">\n<p>hostwarden ").text(VERSION);
        out.raw(", in place of Prometheus Node Exporter ").text(CONTRACT).raw("</p>\n");
        out.raw("<p>Version: (version=").text(VERSION).raw(", branch=, revision=").text(VERSION);
        out.raw(")</p>\n</footer>\n");
    }

    fn cpus(&self) -> usize {
        let idle = self.figures.family("node_cpu_seconds_total").iter();
        idle.filter(|sample| label(**sample, "mode") == "idle").count()
    }

    fn uptime(&self) -> Option<f64> {
        let boot = self.figures.value("node_boot_time_seconds")?;
        Some((self.now - boot).max(1.0))
    }

    /// 0 to 1. Kernels before 3.14 do not say what is available: there, what could be given back counts.
    fn memory_used(&self) -> Option<f64> {
        const RECLAIMABLE: [&str; 3] =
            ["node_memory_MemFree_bytes", "node_memory_Buffers_bytes", "node_memory_Cached_bytes"];
        let value = |name: &str| self.figures.value(name);
        let available = value("node_memory_MemAvailable_bytes")
            .or_else(|| RECLAIMABLE.into_iter().map(value).sum())?;
        Some(1.0 - available / value("node_memory_MemTotal_bytes")?)
    }

    /// 0 to 1; nothing without swap.
    fn swap_used(&self) -> Option<f64> {
        self.figures
            .share("node_memory_SwapFree_bytes", "node_memory_SwapTotal_bytes")
            .map(|free| 1.0 - free)
    }

    fn failed_units(&self) -> Vec<&str> {
        let states = self.figures.family("node_systemd_unit_state").iter().copied();
        let failed =
            states.filter(|state| state.value() > 0.0 && label(*state, "state") == "failed");
        failed.map(|state| label(state, "name")).collect()
    }

    /// Seconds that the endpoint's certificate has left.
    fn certificate_left(&self) -> Option<f64> {
        let expiry = self.figures.value("hostwarden_certificate_expiry_timestamp_seconds")?;
        Some(expiry - self.now)
    }
}

/// A disc in the grade's colour, for the browser's tab.
fn icon(grade: Grade) -> &'static str {
    macro_rules! disc {
        ($colour:literal) => {
            concat!(
                "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E\
                 %3Ccircle cx='8' cy='8' r='7' fill='%23",
                $colour,
                "'/%3E%3C/svg%3E"
            )
        };
    }
    match grade {
        Grade::Fine => disc!("1a7f4b"),
        Grade::Notable => disc!("c77d00"),
        Grade::Bad => disc!("c0262d"),
    }
}

/// `2026-11-25 16:12:03 UTC`
fn utc(seconds: f64) -> String {
    #[expect(clippy::cast_possible_truncation, reason = "seconds of any date that a clock shows")]
    let time = jiff::Timestamp::from_second(seconds as i64);
    time.map_or_else(|_| "?".to_owned(), |time| time.strftime("%Y-%m-%d %H:%M:%S UTC").to_string())
}

#[cfg(test)]
mod tests;
