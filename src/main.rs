//! Parse, log, build, serve, drain.

use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;

use hostwarden::cli::{self, Action, Settings};
use hostwarden::host;
use hostwarden::notify;
use hostwarden::signals::Signals;
use hostwarden::start::{self, Prepared};
use hostwarden::web::listen::Server;
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
    host::raise_descriptor_limit();
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
    start::greet();
    let Prepared { site, gatherer, listening, warnings } = start::prepare(settings)?;
    warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
    tracing::info!("Enabled collectors");
    gatherer.enabled().iter().for_each(|name| tracing::info!("{name}"));
    let server = Server::new(Arc::clone(&site));
    let mut serving = JoinSet::new();
    for listener in listening.open().await? {
        site.door().rules().announce(listener.name());
        serving.spawn(listener.serve(Arc::clone(&server)));
    }
    host::unmap_code();
    notify::ready();
    let outcome = tokio::select! {
        () = signals.wait_for_the_end(&site) => Ok(()),
        Some(ended) = serving.join_next() => ended.unwrap_or_else(|panic| Err(panic.to_string())),
        () = notify::feed_watchdog(&gatherer) => Ok(()),
    };
    notify::stopping();
    server.drain().await;
    outcome
}
