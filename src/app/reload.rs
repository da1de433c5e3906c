//! Taking over a changed configuration while running: validated first, then device by device. The running one goes on
//! when the new one has a problem; what can only be changed by a restart is named and left.

use std::sync::Arc;

use tokio::sync::oneshot;

use super::Gateway;
use super::engine::Request;
use crate::config;
use crate::config::Config;

impl Gateway {
    /// Reads the configuration folder again and takes over what it can.
    pub(super) async fn reload(&mut self) {
        notify_reloading();
        match config::load(&self.config_dir) {
            Ok(loaded) => {
                for warning in &loaded.warnings {
                    tracing::warn!(%warning, "New configuration should be looked at.");
                }
                self.take_over(loaded.config).await;
            }
            Err(problems) => {
                tracing::error!(%problems, "New configuration is refused; the running one goes on.");
            }
        }
        drop(sd_notify::notify(&[sd_notify::NotifyState::Ready]));
    }

    async fn take_over(&mut self, mut new: Config) {
        for what in needs_restart(&self.config, &new) {
            tracing::warn!(what, "Changed setting takes effect at the next start.");
        }
        keep_names(&self.config, &mut new);
        self.config.files = std::mem::take(&mut new.files);
        self.files.send_replace(self.config.files.clone());
        if new.outputs != self.config.outputs {
            tracing::info!(outputs = new.outputs.len(), "New list of outputs is in force.");
            self.config.outputs = std::mem::take(&mut new.outputs);
            self.allowed.send_replace(Arc::new(self.config.outputs.clone()));
        }
        let uplink_changed = new.uplink != self.config.uplink;
        if !uplink_changed && new.devices == self.config.devices && new.specs == self.config.specs {
            tracing::info!("Configuration says the same as before.");
            return;
        }
        let revision = match self.book.revision_of(&new.specs) {
            Ok(revision) => revision,
            Err(error) => {
                tracing::error!(%error, "New registry revision cannot be kept; the running configuration goes on.");
                return;
            }
        };
        let registry = revision.registry.clone();
        let rev = registry.rev;
        let plan = self.links.plan(&new.devices, &new.specs, revision);
        let (done_tx, done_rx) = oneshot::channel();
        // The uplink finds the revision before a record refers to it; the engine knows the new slots before a link can
        // use one.
        self.registry.send_replace(registry);
        drop(self.requests.send(Request::Plan(Box::new(plan), done_tx)).await);
        drop(done_rx.await);
        self.registry_rev.send_replace(rev);
        self.config.devices = new.devices;
        self.config.specs = new.specs;
        self.config.uplink = new.uplink;
        self.start_links();
        if uplink_changed {
            self.start_uplink().await;
        }
        tracing::info!(rev, uplink_changed, "New configuration is in force.");
    }
}

/// `MONOTONIC_USEC` is what `Type=notify-reload` asks for, and nothing to `Type=notify`.
fn notify_reloading() {
    let now = sd_notify::NotifyState::monotonic_usec_now().ok();
    let state: Vec<_> = [Some(sd_notify::NotifyState::Reloading), now].into_iter().flatten().collect();
    drop(sd_notify::notify(&state));
}

/// The gateway's names change at the next start, for all rooms at once: the feed of a running store has one name.
fn keep_names(running: &Config, new: &mut Config) {
    if let Some(uplink) = &mut new.uplink {
        uplink.park.clone_from(&running.gateway.park);
        uplink.gateway.clone_from(&running.gateway.id);
    }
}

fn needs_restart(old: &Config, new: &Config) -> Vec<&'static str> {
    let checks = [
        ("gateway", old.gateway != new.gateway),
        ("store", old.store != new.store || old.state_dir != new.state_dir),
        ("web", old.web != new.web),
    ];
    checks.into_iter().filter(|(_, changed)| *changed).map(|(what, _)| what).collect()
}
