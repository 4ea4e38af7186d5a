//! Parse, log, build, serve, drain.

use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;

use hostwarden::cli::{self, Action, Settings};
use hostwarden::gather::Gatherer;
use hostwarden::host;
use hostwarden::start::{self, Prepared};
use hostwarden::web::Site;
use hostwarden::web::listen::Listener;
use hostwarden::web::own::{CONTRACT, VERSION, platform};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;

fn main() -> ExitCode {
    match cli::parse(std::env::args_os()) {
        Ok(Action::Print(text)) => {
            // A closed pipe is the reader's choice.
            let _ = std::io::stdout().write_all(text.as_bytes());
            ExitCode::SUCCESS
        }
        Ok(Action::Serve(settings)) => serve(&settings),
        Ok(Action::Run(call)) => call.run(),
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "{error}");
            ExitCode::FAILURE
        }
    }
}

fn serve(settings: &Settings) -> ExitCode {
    host::limit_allocator();
    settings.log.install();
    let outcome = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| error.to_string())
        .and_then(|runtime| runtime.block_on(run(settings)));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(settings: &Settings) -> Result<(), String> {
    let mut signals = Signals::catch()?;
    greet();
    let Prepared { site, gatherer, addresses, warnings } = start::prepare(settings)?;
    warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
    tracing::info!("Enabled collectors");
    gatherer.enabled().iter().for_each(|name| tracing::info!("{name}"));
    let mut listeners = Vec::new();
    for address in &addresses {
        listeners.push(Listener::bind(address).await?);
    }
    let (stop, stopped) = watch::channel(false);
    let mut serving = JoinSet::new();
    for listener in listeners {
        tracing::info!(address = %listener.address(), "Listening on");
        tracing::info!(http2 = false, address = %listener.address(), "TLS is disabled.");
        serving.spawn(listener.serve(Arc::clone(&site), stopped.clone()));
    }
    signals.wait_for_the_end(&site, &gatherer).await;
    // Nobody listens any more when every listener has already ended.
    let _ = stop.send(true);
    serving.join_all().await;
    Ok(())
}

fn greet() {
    let (os, arch) = platform();
    let version = format!("(version={VERSION}, branch=, revision={VERSION})");
    tracing::info!(version, "Starting hostwarden");
    let context = format!("(node_exporter={CONTRACT}, platform={os}/{arch})");
    tracing::info!(build_context = context, "Build context");
    if rustix::process::getuid().is_root() {
        tracing::warn!("hostwarden runs as root; it needs no more than a user of its own");
    }
}

/// What others may tell the agent. None of it may end it before it listens for it.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    fn catch() -> Result<Self, String> {
        let catch = |kind| signal(kind).map_err(|error| error.to_string());
        Ok(Self {
            terminate: catch(SignalKind::terminate())?,
            interrupt: catch(SignalKind::interrupt())?,
            hangup: catch(SignalKind::hangup())?,
        })
    }

    /// Returns on SIGTERM or SIGINT. SIGHUP asks for a reload.
    async fn wait_for_the_end(&mut self, site: &Site, gatherer: &Gatherer) {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return,
                _ = self.interrupt.recv() => return,
                _ = self.hangup.recv() => {
                    gatherer.reload();
                    site.reload().await;
                }
            }
        }
    }
}
