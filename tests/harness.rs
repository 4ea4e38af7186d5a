//! One collector with given flags and roots, scraped as often as a test likes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use hostwarden::collector::{Collector, Desk, Error, Setup, Shared};
use hostwarden::collectors;
use hostwarden::exposition::merge::Merge;
use hostwarden::exposition::{Samples, text};
use hostwarden::flags::Values;
use hostwarden::host::{Paths, Roots};

/// How long a scrape may take: far longer than one does.
const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) struct Running {
    collector: Box<dyn Collector>,
    desk: Desk,
}

/// What one scrape said.
pub(crate) struct Said {
    pub(crate) outcome: Result<(), Error>,
    /// The lines of the samples, without HELP and TYPE.
    pub(crate) lines: Vec<String>,
    pub(crate) took: Duration,
}

impl Running {
    pub(crate) fn start(name: &str, flags: &[(&str, &str)]) -> Self {
        Self::try_start(name, flags, &Paths::default()).unwrap()
    }

    pub(crate) fn try_start(
        name: &str,
        flags: &[(&str, &str)],
        paths: &Paths,
    ) -> Result<Self, String> {
        let spec = collectors::find(name).unwrap();
        let mut values = Values::default();
        for (flag, value) in flags {
            let names = spec.flags.iter().map(|known| known.definition().name);
            let known = names.into_iter().find(|known| known == flag);
            values.give(known.unwrap_or_else(|| panic!("no flag {flag}")), *value);
        }
        for flag in spec.flags {
            flag.check(&values)?;
        }
        let setup = Setup { flags: &values, paths, enabled: &[spec.name] };
        let collector = (spec.build)(&setup)?;
        Ok(Self { collector, desk: Desk::new(&Roots::new(paths), Arc::new(Shared::default())) })
    }

    pub(crate) fn scrape(&mut self) -> Said {
        self.scrape_within(PATIENCE)
    }

    /// A bare scrape, into memory that is used again.
    pub(crate) fn collect(&mut self, samples: &mut Samples) -> Result<(), Error> {
        samples.clear();
        self.collector.collect(&mut self.desk.cx(Instant::now() + PATIENCE), samples)
    }

    pub(crate) fn scrape_within(&mut self, timeout: Duration) -> Said {
        let started = Instant::now();
        let mut samples = Samples::default();
        let mut outcome =
            self.collector.collect(&mut self.desk.cx(started + timeout), &mut samples);
        let took = started.elapsed();
        if let Some(fault) = samples.take_fault() {
            outcome = outcome.and(Err(Error::failed(fault)));
        }
        let sources = [samples];
        let mut merge = Merge::default();
        merge.build(&sources);
        let mut exposition = Vec::new();
        text::write(&merge, &sources, &mut exposition);
        let exposition = String::from_utf8(exposition).unwrap();
        let samples = exposition.lines().filter(|line| !line.starts_with('#'));
        Said { outcome, lines: samples.map(str::to_owned).collect(), took }
    }
}

impl Said {
    /// What the scrape says, which must have gone well.
    pub(crate) fn good(self) -> Vec<String> {
        self.outcome.unwrap();
        self.lines
    }

    /// What the scrape failed with.
    pub(crate) fn failure(&self) -> String {
        self.outcome.as_ref().unwrap_err().to_string()
    }
}
