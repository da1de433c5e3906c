//! Commissioning as people have changed it at run time: the configuration is read anew under it, so that registry, records,
//! alarms and page follow, exactly as they would follow the file.
//!
//! ```text
//!  engine (the site's memory) ──changed, by point──▶ gateway: read again, taken over, state file `service`
//!  start: state file ──▶ configuration under it ──▶ engine; should its memory know better, as after a change
//! ```

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use tokio::sync::watch;

use crate::config::{self, Config, Service};
use crate::domain::id::PointUid;
use crate::domain::registry::Commissioning;
use crate::state::State;

/// Name of the state file.
const NAME: &str = "service";

/// What is in force, and what the engine knows.
pub(super) struct InService {
    state: Option<State>,
    in_force: Service,
    known: watch::Receiver<Arc<Service>>,
}

impl InService {
    /// Returns the configuration under what was in force before the restart, and the sender by which the engine tells what is.
    pub(super) fn before(config: Config, dir: &Path) -> (Config, Self, watch::Sender<Arc<Service>>) {
        let state = State::open(&config.state_dir).ok();
        let in_force = state.as_ref().map(remembered).unwrap_or_default();
        let (tx, known) = watch::channel(Arc::new(in_force.clone()));
        let config = if in_force.is_empty() { config } else { under(config, dir, &in_force) };
        (config, Self { state, in_force, known }, tx)
    }

    /// Waits until the engine knows something else than what is in force.
    pub(super) async fn changed(&mut self) {
        while self.known.changed().await.is_ok() {
            if **self.known.borrow_and_update() != self.in_force {
                return;
            }
        }
        // The engine is gone, and so is the gateway soon.
        std::future::pending::<()>().await;
    }

    /// Returns what the engine knows.
    pub(super) fn newest(&self) -> Service {
        (**self.known.borrow()).clone()
    }

    /// Notes what is in force now.
    pub(super) fn keep(&mut self, service: Service) {
        if service == self.in_force {
            return;
        }
        let words: BTreeMap<&str, &str> = service.iter().map(|(uid, state)| (uid.as_str(), state.as_str())).collect();
        let bytes = serde_json::to_vec(&words).unwrap_or_default();
        if let Some(Err(error)) = self.state.as_ref().map(|state| state.save(NAME, &bytes)) {
            // The site's own memory has it too; the next start finds it there.
            let error = crate::cli::chain(error);
            tracing::error!(%error, "Commissioning that was changed cannot be kept beside the registry.");
        }
        self.in_force = service;
    }
}

fn remembered(state: &State) -> Service {
    let bytes = state.load(NAME).ok().flatten().unwrap_or_default();
    let words: BTreeMap<String, String> = serde_json::from_slice(&bytes).unwrap_or_default();
    let known = |(uid, word): (String, String)| Some((PointUid::new(uid), Commissioning::from_name(&word)?));
    words.into_iter().filter_map(known).collect()
}

fn under(config: Config, dir: &Path, service: &Service) -> Config {
    match config::load_in_service(dir, service) {
        Ok(loaded) => loaded.config,
        Err(problems) => {
            tracing::error!(%problems, "Commissioning that was changed at run time does not fit the configuration any more.");
            config
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_in_force_is_known_after_a_restart_and_a_damaged_file_is_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let state = State::open(dir.path()).unwrap();
        let (tx, known) = watch::channel(Arc::default());
        let mut service = InService { state: Some(state.clone()), in_force: Service::new(), known };
        let stopped = Service::from([(PointUid::new("u-1"), Commissioning::Stopped)]);
        tx.send_replace(Arc::new(stopped.clone()));
        assert_eq!(service.newest(), stopped);
        service.keep(stopped.clone());
        assert_eq!(remembered(&state), stopped);
        state.save(NAME, b"rubbish").unwrap();
        assert_eq!(remembered(&state), Service::new());
    }
}
