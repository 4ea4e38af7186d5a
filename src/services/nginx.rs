//! nginx, by the page of its stub_status module. The interface of NGINX Plus is not spoken.

mod page;

use hyper::header::SERVER;

use crate::collector::prelude::*;
use crate::flags::AnyFlag;

use super::settings::{NGINX, SettingsFlags};
use super::{BUILD_LABELS, Pages, Service};

static FLAGS: [&dyn AnyFlag; SettingsFlags::COUNT] = NGINX.all();

pub static SPEC: Spec = Spec::new("nginx", Off, "nginx's stub_status", &FLAGS, |setup| {
    Ok(Box::new(Pages::new(&SERVICE, setup)?))
});

pub(super) static SERVICE: Service = Service {
    name: "nginx",
    flags: &NGINX,
    usual: &[
        "http://127.0.0.1/stub_status",
        "http://127.0.0.1/nginx_status",
        "http://127.0.0.1:8080/stub_status",
        "http://127.0.0.1:8080/nginx_status",
        "http://[::1]/stub_status",
        "http://[::1]/nginx_status",
        "unix:/run/nginx-status.sock:/stub_status",
        "unix:/run/nginx/status.sock:/stub_status",
    ],
    up: &UP,
    failures: None,
    original: (&BUILD, "1.5.3"),
    tell: |response, series| {
        page::tell(Text::new("stub_status", response.body()), series)?;
        if let Some(server) = response.headers().get(SERVER) {
            series.push(&INFO, &[&Repaired(server.as_bytes())], 1.0);
        }
        Ok(())
    },
};

static UP: Desc = gauge("nginx_up", "1 if a status page of nginx was read, else 0.", &[]);
static INFO: Desc = gauge(
    "hostwarden_nginx_info",
    "1, labelled by what nginx calls itself in the Server header.",
    &["version"],
);
static BUILD: Desc = gauge(
    "nginx_exporter_build_info",
    "1, labelled by the nginx-prometheus-exporter release that the collector stands in for.",
    BUILD_LABELS,
);
