//! The gates as they begin: what the configuration says of them, the policies, the register.

use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::mpsc;

use super::{GateInput, Keeper, N_QUEUED_CHANGES, N_QUEUED_COMMANDS, Ways};
use crate::app::foundation::source_boot;
use crate::app::memory::Remembered;
use crate::app::shares::{Shares, Way};
use crate::buffer;
use crate::clock::Clock;
use crate::config::Config;
use crate::domain::engine::Engine;
use crate::domain::gate::decide::{Judged, Policies};
use crate::domain::gate::facts::Facts;
use crate::domain::gate::gates::Gates;
use crate::domain::gate::hardware::LaneCommand;
use crate::domain::gate::register::Register;
use crate::domain::gate::register::change::Prepared;
use crate::domain::gate::verdict::{Reason, Verdict};
use crate::policy::InForce;
use crate::state::register::RegisterStore;

/// Folder of the register within the state folder.
const REGISTER: &str = "register";
/// Folder of what is kept line by line: the events of who is inside, the waybills.
const LINES: &str = "inside";

/// The other ends of what reaches the gates and of what they leave.
pub(in crate::app) struct Ends {
    /// Of the hardware, until its tasks are started.
    pub(in crate::app) hardware: Option<Hardware>,
    /// For the task of the register, which takes it.
    pub(in crate::app) register: Option<RegisterEnds>,
    /// Where sharing with the park's other gateways takes events from, until it is started.
    pub(in crate::app) peers: Option<Way>,
}

/// What the task of the register has of the gates.
pub(in crate::app) struct RegisterEnds {
    /// What the gates changed in the register.
    pub(in crate::app) changes: mpsc::Receiver<Prepared>,
    /// The store of the register, where it could be opened.
    pub(in crate::app) store: Option<RegisterStore>,
}

/// The ends of the hardware.
pub(in crate::app) struct Hardware {
    /// What it says.
    pub(in crate::app) inputs: mpsc::Sender<GateInput>,
    /// What it is to do.
    pub(in crate::app) commands: mpsc::Receiver<LaneCommand>,
}

/// Returns the folder of what is kept line by line, where the configuration has lanes.
pub(in crate::app) fn lines_dir(config: &Config) -> Option<PathBuf> {
    (!config.gates.lanes.is_empty()).then(|| config.state_dir.join(LINES))
}

/// Makes the gates of a configuration; without lanes there are none. What stood before a restart goes on; nothing moves by it but
/// what holds open for the sake of life. What cannot be opened is said in the log: the gates decide all the same, and what is not
/// known is never good. `inputs` is by which the hardware speaks to them. Blocking: it opens the register.
pub(in crate::app) fn begin(
    (config, start): (&Config, &buffer::Start),
    inputs: mpsc::Sender<GateInput>,
    remembered: Remembered,
    engine: &Engine,
    clock: &Clock,
) -> Option<(Keeper, Ends)> {
    if config.gates.lanes.is_empty() {
        return None;
    }
    let store = open(config.state_dir.join(REGISTER));
    let register = store.as_ref().map_or_else(Register::default, |store| store.register().clone());
    let (now, boot) = (clock.now(), source_boot(&start.epoch, start.boot));
    let (settings, policies) = (Arc::new(config.gates_settings(now.wall)), policies(config));
    let Remembered { saved, counted, events, unlogged, book } = remembered;
    let gates = match saved {
        Some(mut saved) => {
            saved.recall(book);
            Gates::restore(settings, policies, register, boot, saved, events, now)
        }
        None => {
            let mut gates = Gates::new(settings, policies, register, boot, now);
            gates.recall(book);
            if !events.is_empty() {
                gates.handle_shared(events, now);
            }
            gates
        }
    };
    let (commands_tx, commands) = mpsc::channel(N_QUEUED_COMMANDS);
    let (changes_tx, changes) = mpsc::channel(N_QUEUED_CHANGES);
    let (way, shares) = Shares::open();
    let ways = Ways { commands: commands_tx, changes: changes_tx, shares };
    let mut keeper = Keeper::new(gates, ways, counted);
    unlogged.into_iter().for_each(|event| keeper.share(Arc::new(event)));
    // The site orders what differs from what it ordered last: a lane that comes back must hear what holds.
    keeper.look_at(engine.danger(), now);
    engine.danger().lanes_now().iter().for_each(|order| keeper.rule(order, now));
    let register = Some(RegisterEnds { changes, store });
    Some((keeper, Ends { hardware: Some(Hardware { inputs, commands }), register, peers: Some(way) }))
}

fn open(dir: PathBuf) -> Option<RegisterStore> {
    let opened = RegisterStore::open(&dir);
    let told = |error| {
        let error = crate::cli::chain(error);
        tracing::error!(%error, "The register of the gates cannot be opened: nobody is known, and a person decides.");
    };
    opened.map_err(told).ok()
}

/// The policies of a configuration. `check` has refused a set with a flaw; one that slipped through all the same lets nobody
/// in by itself: a person decides.
pub(in crate::app) fn policies(config: &Config) -> Arc<dyn Policies + Send + Sync> {
    match InForce::new(&config.policies) {
        Ok(set) => set.book(),
        Err(flaws) => {
            tracing::error!(%flaws, "The policies of the gates cannot be put in force: a person decides.");
            Arc::new(Nobody)
        }
    }
}

/// No policies: everything is referred to a person.
struct Nobody;

impl Policies for Nobody {
    fn judge(&self, _: &Facts) -> Judged {
        let reason = |verdict| Reason {
            code: "NO_POLICIES".to_owned(),
            verdict,
            policy: None,
            zh: "策略集未生效，须人工判定".to_owned(),
            en: "no policies are in force: a person must decide".to_owned(),
        };
        // With nothing that permits, it would be refused by default.
        Judged { permits: vec![reason(Verdict::Allow)], forbids: vec![reason(Verdict::Refer)], notes: Vec::new() }
    }

    fn revision(&self) -> &str {
        "none"
    }
}
