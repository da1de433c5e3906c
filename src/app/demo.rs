//! Puts the real gateway into the demo's park.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::{Gateway, RunError, StopReport, Views};
use crate::clock::Clock;
use crate::config;
use crate::domain::gate::gates::view::GatesView;
use crate::domain::snapshot::{Snapshot, StoreStatus, UplinkStatus};
use crate::domain::time::ClockTrust;
use crate::sim::demo::{DemoArgs, Running, run_with};
use crate::web::{Gates, Park};

/// Runs the demo. Returns whether the account closes.
///
/// # Errors
///
/// What could not be started, or what ended the gateway, in words.
pub async fn run(args: DemoArgs) -> Result<bool, String> {
    run_with(args, start).await
}

struct Demonstrated {
    views: Views,
    web_addr: SocketAddr,
    stop: CancellationToken,
    running: JoinSet<Result<StopReport, RunError>>,
    /// Held open: nobody sends a reload in the demo.
    _reload: mpsc::Sender<()>,
}

async fn start(folder: PathBuf) -> Result<Demonstrated, String> {
    let loaded = config::load(&folder).map_err(|problems| problems.to_string())?;
    // The simulated park has a time server; the machine that it runs on often has none.
    let clock = Clock::system();
    clock.always_trust(ClockTrust::Synced);
    let gateway = Gateway::start_by(clock, loaded.config, folder).await.map_err(crate::cli::chain)?;
    let (stop, (reload_tx, reload_rx)) = (CancellationToken::new(), mpsc::channel(1));
    let (views, web_addr) = (gateway.views(), gateway.web_addr());
    let mut running = JoinSet::new();
    running.spawn(gateway.run(stop.clone(), reload_rx));
    Ok(Demonstrated { views, web_addr, stop, running, _reload: reload_tx })
}

impl Running for Demonstrated {
    fn web_addr(&self) -> Option<SocketAddr> {
        Some(self.web_addr)
    }

    async fn snapshot(&self) -> Option<Arc<Snapshot>> {
        self.views.snapshot().await
    }

    async fn gates(&self) -> Option<Arc<GatesView>> {
        match self.views.gates().await {
            Gates::View(view) => Some(view),
            Gates::Absent | Gates::Silent => None,
        }
    }

    fn store(&self) -> Arc<StoreStatus> {
        self.views.store()
    }

    fn uplink(&self) -> Arc<UplinkStatus> {
        self.views.uplink()
    }

    async fn failed(&mut self) -> String {
        match self.running.join_next().await {
            Some(Ok(Ok(_))) => "the gateway ended unasked".to_owned(),
            Some(Ok(Err(error))) => crate::cli::chain(error),
            Some(Err(error)) => error.to_string(),
            None => std::future::pending().await,
        }
    }

    async fn stop(mut self) -> Result<(), String> {
        self.stop.cancel();
        match self.running.join_next().await {
            Some(Ok(Ok(report))) if report.aborted.is_empty() => Ok(()),
            Some(Ok(Ok(report))) => Err(format!("tasks had to be aborted: {}", report.aborted.join(", "))),
            Some(Ok(Err(error))) => Err(crate::cli::chain(error)),
            Some(Err(error)) => Err(error.to_string()),
            None => Ok(()),
        }
    }
}
