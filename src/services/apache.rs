//! Apache, by the page of its mod_status that is meant for programs: `/server-status?auto`.

mod balancer;
mod page;

use crate::collector::prelude::*;
use crate::flags::AnyFlag;

use super::settings::{APACHE, SettingsFlags};
use super::{BUILD_LABELS, Pages, Service};

static FLAGS: [&dyn AnyFlag; SettingsFlags::COUNT] = APACHE.all();

pub static SPEC: Spec = Spec::new("apache", Off, "Apache's mod_status", &FLAGS, |setup| {
    Ok(Box::new(Pages::new(&SERVICE, setup)?))
});

pub(super) static SERVICE: Service = Service {
    name: "apache",
    flags: &APACHE,
    usual: &[
        "http://127.0.0.1/server-status?auto",
        "http://127.0.0.1:8080/server-status?auto",
        "http://[::1]/server-status?auto",
    ],
    up: &UP,
    failures: Some(&FAILURES),
    original: (&BUILD, "1.1.1"),
    tell: |response, series| page::tell(Text::new("server-status", response.body()), series),
};

static UP: Desc = gauge("apache_up", "1 if a status page of Apache was read, else 0.", &[]);
static FAILURES: Desc = counter(
    "apache_exporter_scrape_failures_total",
    "Times that the page could not be read, or not in full, since the agent's start.",
    &[],
);
static BUILD: Desc = gauge(
    "apache_exporter_build_info",
    "1, labelled by the apache_exporter release that the collector stands in for.",
    BUILD_LABELS,
);
