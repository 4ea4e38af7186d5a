//! The collectors apache and nginx: against servers that behave badly, and against the real ones.

use std::path::Path;

use hostwarden::host::Paths;

use crate::harness::Running;

/// How pages are asked for, and what may go wrong.
mod asking;
/// A server that answers what a test likes.
mod fake;

const APACHE_URI: &str = "collector.apache.scrape-uri";
const NGINX_URI: &str = "collector.nginx.scrape-uri";

const STUB_STATUS: &str = "Active connections: 2 \nserver accepts handled requests\n \
    16 15 31 \nReading: 0 Writing: 1 Waiting: 1 \n";

const SERVER_STATUS: &str = "Total Accesses: 3\nTotal kBytes: 1\nCPULoad: .5\nUptime: 9\n\
    BusyWorkers: 1\nIdleWorkers: 4\nScoreboard: W____...\n";

fn apache(flags: &[(&str, &str)]) -> Running {
    Running::start("apache", flags)
}

fn nginx(flags: &[(&str, &str)]) -> Running {
    Running::start("nginx", flags)
}

fn refusal(collector: &str, flags: &[(&str, &str)]) -> String {
    Running::try_start(collector, flags, &Paths::default()).map(drop).unwrap_err()
}

/// Writes a file and returns its path as text.
fn file(directory: &Path, name: &str, content: &str) -> String {
    let path = directory.join(name);
    std::fs::write(&path, content).unwrap();
    path.to_str().unwrap().to_owned()
}
