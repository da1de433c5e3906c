//! Taking over a changed configuration while running: validated first, then device by device. The running one goes on
//! when the new one has a problem; what can only be changed by a restart is named and left.

use std::sync::Arc;

use tokio::sync::oneshot;

use super::Gateway;
use super::engine::Request;
use super::{danger, gates};
use crate::config;
use crate::config::Config;
use crate::config::problem::Severity;
use crate::domain::actor::Actor;
use crate::domain::audit::{AuditResult, Deed, Digest};
use crate::domain::engine::Plan;
use crate::domain::gate::decide::Policies as _;
use crate::domain::snapshot::{ConfigStatus, RefusedConfig};
use crate::domain::time::Mono;
use crate::policy::PolicyBook;

/// Problems shown on the page: who mends these calls `check` for the rest.
const N_SHOWN: usize = 8;

impl Gateway {
    /// Reads the configuration folder again and takes over what it can.
    pub(super) async fn reload(&mut self) {
        notify_reloading();
        let service = self.service.newest();
        match config::load_in_service(&self.config_dir, &service) {
            Ok(loaded) => {
                for warning in &loaded.warnings {
                    tracing::warn!(%warning, "New configuration should be looked at.");
                }
                let restart = needs_restart(&self.config, &loaded.config);
                let taken = match self.policies_of(&loaded.config) {
                    Ok(policies) => self.take_over(loaded.config, policies).await.map_err(|why| vec![why]),
                    Err(flaws) => Err(flaws),
                };
                match taken {
                    Ok(()) => {
                        self.service.keep(service);
                        drop(self.config_status.send_replace(Arc::new(ConfigStatus { refused: None, restart })));
                    }
                    Err(why) => self.note_refused(why),
                }
            }
            Err(problems) => {
                tracing::error!(%problems, "New configuration is refused; the running one goes on.");
                let errors = problems.0.iter().filter(|problem| problem.severity == Severity::Error);
                self.note_refused(errors.map(ToString::to_string).collect());
            }
        }
        drop(sd_notify::notify(&[sd_notify::NotifyState::Ready]));
    }

    /// The policies of a new configuration, where they are others than those in force.
    ///
    /// # Errors
    /// Every flaw of the set: one refuses the configuration as a whole.
    fn policies_of(&self, new: &Config) -> Result<Option<Arc<PolicyBook>>, Vec<String>> {
        if new.policies == self.config.policies {
            return Ok(None);
        }
        PolicyBook::load(&new.policies).map(|book| Some(Arc::new(book))).map_err(|flaws| {
            tracing::error!(%flaws, "New policies are refused; the running configuration goes on.");
            flaws.0.iter().map(ToString::to_string).collect()
        })
    }

    /// Puts policies in force from the next decision on, and into the audit.
    async fn put_policies(&mut self, book: Arc<PolicyBook>, new: &mut Config) {
        let (revision, count) = (book.revision().to_owned(), book.count());
        let deed = Deed {
            actor: Actor::gateway(),
            action: "policies".into(),
            object: book.files().join(", "),
            before: None,
            after: Digest::parse(&revision),
            result: AuditResult::Done,
            detail: format!("revision {revision}, {count} policies"),
        };
        drop(self.requests.send(Request::Deed(Box::new(deed))).await);
        drop(self.requests.send(Request::Gates(gates::Ask::Policies(book))).await);
        self.config.policies = std::mem::take(&mut new.policies);
        tracing::info!(%revision, count, "New policies are in force.");
    }

    /// Shows on the page what only the log would say.
    fn note_refused(&self, problems: Vec<String>) {
        let now = self.clock.mono();
        self.config_status.send_modify(|status| *status = Arc::new(refused(status, problems, now)));
    }

    /// Takes over what it can; says why it could not.
    async fn take_over(&mut self, mut new: Config, policies: Option<Arc<PolicyBook>>) -> Result<(), String> {
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
        self.reload_lanes(&mut new.gates);
        if let Some(book) = policies {
            self.put_policies(book, &mut new).await;
        }
        let uplink_changed = new.uplink != self.config.uplink;
        let same_danger = danger::rules_of(&new, 0) == danger::rules_of(&self.config, 0);
        if !uplink_changed && new.devices == self.config.devices && new.specs == self.config.specs && same_danger {
            self.apply_texts(&new.alarms);
            tracing::info!("Configuration says the same as before.");
            return Ok(());
        }
        let revision = match self.book.revision_of(&new.specs) {
            Ok(revision) => revision,
            Err(error) => {
                tracing::error!(%error, "New registry revision cannot be kept; the running configuration goes on.");
                return Err(format!(
                    "点表新版本无法保存 | the new registry revision cannot be kept: {}",
                    crate::cli::chain(error)
                ));
            }
        };
        let registry = revision.registry.clone();
        let rev = registry.rev;
        let plan = self.links.plan(&new.devices, &new.specs, revision);
        let plan = Plan { danger: danger::rules_of(&new, rev), ..plan };
        let (done_tx, done_rx) = oneshot::channel();
        // The uplink finds the revision before a record refers to it; the engine knows the new slots before a link can
        // use one.
        self.registry.send_replace(registry);
        drop(self.requests.send(Request::Plan(Box::new(plan), done_tx)).await);
        drop(done_rx.await);
        // The engine knows a new channel before its sender says how it stands.
        self.apply_texts(&new.alarms);
        self.registry_rev.send_replace(rev);
        self.config.devices = new.devices;
        self.config.specs = new.specs;
        self.config.alarms = new.alarms;
        self.config.site = new.site;
        self.config.duty = new.duty;
        self.config.uplink = new.uplink;
        self.start_links();
        if uplink_changed {
            self.start_uplink().await;
        }
        tracing::info!(rev, uplink_changed, "New configuration is in force.");
        Ok(())
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
        ("control, roles", old.control != new.control),
        ("gates.toml [peers]", old.gates.peers != new.gates.peers),
        ("lanes", old.gates.lanes != new.gates.lanes),
        ("zones", old.zones != new.zones),
        ("desk, account, register", people(old) != people(new)),
        ("hazmat", old.hazmat != new.hazmat),
    ];
    checks.into_iter().filter(|(_, changed)| *changed).map(|(what, _)| what).collect()
}

/// What gates.toml says of people.
fn people(config: &Config) -> impl PartialEq + '_ {
    let gates = &config.gates;
    (&gates.desk, &gates.inside, &gates.register, &gates.issuers)
}

/// Returns the status after one more refusal.
fn refused(before: &ConfigStatus, mut problems: Vec<String>, now: Mono) -> ConfigStatus {
    let since = before.refused.as_ref().map_or(now, |refused| refused.since);
    let total = problems.len();
    problems.truncate(N_SHOWN);
    ConfigStatus { refused: Some(RefusedConfig { since, problems, total }), restart: before.restart.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_tells_its_first_problems_and_since_when_files_are_refused() {
        let problems = |n: usize| (0..n).map(|i| format!("points.csv:{i}")).collect::<Vec<_>>();
        let first = refused(&ConfigStatus::default(), problems(20), Mono::from_secs(5));
        let second = refused(&first, problems(2), Mono::from_secs(9));
        let of = |status: &ConfigStatus| status.refused.as_ref().map(|r| (r.since, r.problems.len(), r.total));
        assert_eq!(of(&first), Some((Mono::from_secs(5), N_SHOWN, 20)));
        assert_eq!(of(&second), Some((Mono::from_secs(5), 2, 2)));
    }
}
