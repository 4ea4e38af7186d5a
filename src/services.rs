//! Web servers on this host, by their status pages: what the collectors `apache` and `nginx` share.

pub mod apache;
pub mod nginx;
mod problem;
mod settings;

use std::time::{Duration, Instant};

use bytes::Bytes;
use hyper::{Response, StatusCode};

use crate::collector::prelude::*;
use crate::exposition::Value;
use crate::flags::{AnyFlag, Values};
use crate::host::http::{self, Fault};
use crate::web::own::{VERSION, platform};
use problem::Problem;
use settings::{Asker, Server, Settings, SettingsFlags};

static AUTO: Flag<bool> = flags::switch(
    "services.auto",
    false,
    "Look for the status pages of Apache and nginx at the usual places of this host, at start and \
     on reload, and collect what answers.",
);

pub static FLAGS: &[&dyn AnyFlag] = &[&AUTO];

/// Whether `--services.auto` switches this collector on.
pub fn is_wanted(collector: &str, values: &Values) -> bool {
    let services = [&apache::SERVICE, &nginx::SERVICE];
    values.get(&AUTO) && services.iter().any(|service| service.name == collector)
}

/// What all servers of a kind together may take of a scrape.
const BUDGET: Duration = Duration::from_secs(2);

/// A server may start later than the agent: while none was found, it is looked for again.
const SEARCH_PAUSE: Duration = Duration::from_secs(300);

static PROBLEM: Desc = gauge(
    "hostwarden_service_problem",
    "1 while a web server's status page cannot be read, or not in full, labelled by what is in \
     the way.",
    &["reason", "service"],
);

/// What one kind of server has of its own.
pub struct Service {
    pub name: &'static str,
    flags: &'static SettingsFlags,
    /// Where such a server's page usually is; the first that answers is taken.
    usual: &'static [&'static str],
    up: &'static Desc,
    failures: Option<&'static Desc>,
    /// The exporter that the collector stands in for, and its version.
    original: (&'static Desc, &'static str),
    /// Tells what the page says.
    tell: fn(&Response<Bytes>, &mut Series<'_>) -> Result<(), Problem>,
}

impl Service {
    fn tell(
        &self,
        answer: Result<Response<Bytes>, Fault>,
        series: &mut Series<'_>,
    ) -> Result<(), Problem> {
        let response = answer.map_err(Problem::Fault)?;
        match response.status() {
            StatusCode::OK => (self.tell)(&response, series),
            status => Err(Problem::Fault(Fault::Status(status))),
        }
    }

    /// Pushes whether there was a page, and what is wrong if anything is.
    fn push_state(&self, problem: Option<&Problem>, failures: u32, series: &mut Series<'_>) {
        let is_up = problem.is_none_or(Problem::has_page);
        series.push(self.up, &[], is_up.to_f64());
        if let Some(desc) = self.failures {
            series.push(desc, &[], failures.to_f64());
        }
        if let Some(problem) = problem {
            series.push(&PROBLEM, &[&problem.reason(), &self.name], 1.0);
        }
    }

    /// Pushes the version of the exporter that the collector stands in for.
    fn push_build(&self, out: &mut Samples) {
        let (goos, goarch) = platform();
        let (desc, version) = self.original;
        out.push(desc, &[&"", &goarch, &goos, &"", &VERSION, &"", &version], 1.0);
    }
}

/// The labels of an exporter's build information.
const BUILD_LABELS: &[&str] =
    &["branch", "goarch", "goos", "goversion", "revision", "tags", "version"];

/// The series of one server.
struct Series<'a> {
    /// Told with each sample where there are several servers.
    address: Option<&'a str>,
    out: &'a mut Samples,
}

impl Series<'_> {
    fn push(&mut self, desc: &'static Desc, labels: &[&dyn LabelValue], value: f64) {
        const LABELS_MAX: usize = 4;
        let Some(address) = &self.address else { return self.out.push(desc, labels, value) };
        let mut all: [(&str, &dyn LabelValue); LABELS_MAX] = [("addr", address); LABELS_MAX];
        for (slot, label) in all[1..].iter_mut().zip(desc.labels.iter().copied().zip(labels)) {
            *slot = (label.0, *label.1);
        }
        self.out.push_labelled(desc, &all[..=labels.len()], value);
    }

    /// Pushes a sample whose family has this one label, or none.
    fn push_with(&mut self, desc: &'static Desc, label: &str, value: f64) {
        if desc.labels.is_empty() {
            self.push(desc, &[], value);
        } else {
            self.push(desc, &[&label], value);
        }
    }
}

/// The collector of one kind of server.
struct Pages {
    service: &'static Service,
    settings: Settings,
    asker: Asker,
    servers: Vec<Server>,
    /// When to look for a server, if there is still one to be found.
    next_search: Option<Instant>,
    /// The reload of the agent that files were last read for.
    reload: u64,
}

impl Pages {
    fn new(service: &'static Service, setup: &Setup<'_>) -> Result<Self, String> {
        let is_auto = setup.flags.get(&AUTO);
        let settings = Settings::new(service.flags, setup.flags, is_auto);
        let asker = settings.asker()?;
        let servers = settings.servers()?;
        let next_search = settings.is_searching.then(Instant::now);
        Ok(Self { service, settings, asker, servers, next_search, reload: 0 })
    }

    /// Reads the settings' files again; where they are wrong now, what was read before stays.
    fn reload(&mut self) {
        let name = self.service.name;
        for server in &mut self.servers {
            server.line.hang_up();
        }
        match self.settings.asker() {
            Ok(asker) => self.asker = asker,
            Err(err) => tracing::error!(name, err, "keeping the settings read before"),
        }
        self.next_search = self.settings.is_searching.then(Instant::now);
    }

    /// Asks the usual places and keeps the first that has a page. Where none has, the server found
    /// before stays: it may be down.
    fn search(&mut self, deadline: Instant) -> Result<()> {
        let places = self.service.usual.iter().map(|url| self.settings.server(url));
        let mut places = places.collect::<Result<Vec<_>, _>>().map_err(Error::failed)?;
        let answers = self.asker.ask_all(&mut places, deadline)?;
        let found = answers.into_iter().position(|answer| {
            let mut series = Series { address: None, out: &mut Samples::default() };
            self.service
                .tell(answer, &mut series)
                .map_or_else(|problem| problem.has_page(), |()| true)
        });
        if let Some(found) = found {
            let server = places.swap_remove(found);
            tracing::info!(name = self.service.name, url = server.address, "found a status page");
            self.servers = vec![server];
        }
        Ok(())
    }
}

impl Collector for Pages {
    fn collect(&mut self, cx: &mut Cx<'_>, out: &mut Samples) -> Result<()> {
        if cx.reloads() != self.reload {
            self.reload = cx.reloads();
            self.reload();
        }
        let now = Instant::now();
        let deadline = http::sooner(cx.give_up_at(), BUDGET);
        if self.next_search.is_some_and(|next| next <= now) {
            // The other half is for the scrape itself.
            self.search(now + deadline.saturating_duration_since(now) / 2)?;
            self.next_search = self.servers.is_empty().then_some(now + SEARCH_PAUSE);
        }
        if self.servers.is_empty() {
            return Err(Error::no_data("no status page at the usual places"));
        }
        self.service.push_build(out);
        let answers = self.asker.ask_all(&mut self.servers, deadline)?;
        let is_one_of_many = self.servers.len() > 1;
        let mut faults = Vec::new();
        for (server, answer) in self.servers.iter_mut().zip(answers) {
            let address = is_one_of_many.then_some(server.address.as_str());
            let mut series = Series { address, out };
            let problem = self.service.tell(answer, &mut series).err();
            if let Some(problem) = problem.as_ref().filter(|problem| problem.is_failure()) {
                server.failures += 1;
                faults.push(format!("{}: {problem}", server.address));
            }
            self.service.push_state(problem.as_ref(), server.failures, &mut series);
        }
        if faults.is_empty() { Ok(()) } else { Err(Error::failed(faults.join("; "))) }
    }
}
