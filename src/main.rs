//! Parse, log, build, serve, drain.

use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;

use hostwarden::cli::{self, Action, Settings};
use hostwarden::gather::Gatherer;
use hostwarden::web::Site;
use hostwarden::web::listen::{self, Listener};
use hostwarden::web::own::{CONTRACT, VERSION, platform};
use hostwarden::{collectors, host};
use tokio::signal::unix::{SignalKind, signal};
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
    greet();
    let Settings { values, enabled, paths, .. } = settings;
    let gatherer = Arc::new(Gatherer::new(collectors::ALL, enabled, values, paths)?);
    tracing::info!("Enabled collectors");
    for name in gatherer.enabled() {
        tracing::info!("{name}");
    }
    let site = Arc::new(Site::new(values, gatherer)?);
    let mut listeners = Vec::new();
    for address in listen::addresses(values, false) {
        listeners.push(Listener::bind(&address).await?);
    }
    let (stop, stopped) = watch::channel(false);
    let mut serving = JoinSet::new();
    for listener in listeners {
        tracing::info!(address = %listener.address(), "Listening on");
        tracing::info!(http2 = false, address = %listener.address(), "TLS is disabled.");
        serving.spawn(listener.serve(Arc::clone(&site), stopped.clone()));
    }
    wait_for_the_end().await?;
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

/// Returns on SIGTERM or SIGINT. SIGHUP asks for a reload and must never end the agent.
async fn wait_for_the_end() -> Result<(), String> {
    let catch = |kind| signal(kind).map_err(|error| error.to_string());
    let mut terminate = catch(SignalKind::terminate())?;
    let mut interrupt = catch(SignalKind::interrupt())?;
    let mut hangup = catch(SignalKind::hangup())?;
    loop {
        tokio::select! {
            _ = terminate.recv() => return Ok(()),
            _ = interrupt.recv() => return Ok(()),
            _ = hangup.recv() => tracing::info!("SIGHUP: no file to read again"),
        }
    }
}
