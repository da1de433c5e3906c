//! The gates in the engine's task: what the hardware of the lanes says goes in, what it is to do comes out.
//!
//! ```text
//!  app/lanes ──mpsc GateInput──▶ engine task: Engine and Keeper (owns Gates) ──mpsc LaneCommand──▶ app/lanes
//!  page, commands ──Request::Gates(Ask)──▶       │  ├─ documents and entries of the audit ──▶ Engine ──▶ store
//!                                                │  └─ its own changes of the register ──mpsc Prepared──▶ register
//!                                                └─ facts ──▶ alarms;  orders of the site ──▶ lanes, in the same turn
//! ```
//!
//! - **Gate inputs first.** Before each other input of the engine's task at most [`N_INPUTS_PER_TURN`] of them are served.
//! - **Audit before barrier.** An entry that a lane waits for is a record of the passage stream, which the urgent writer
//!   commits at once; when the store's durable number covers it, the lane hears so and orders ([`pending`]). Where nothing is
//!   written within half the life of an opening, the lane hears that too, and does what it declares: nobody comes in by it, and
//!   whoever leaves still leaves.
//! - **Who leaves waits for nothing**: what a lane orders at once is sent before anything of its turn is recorded.
//! - **Nobody is waited for.** A full channel to the hardware refuses the command, and the lane hears that it did.
//!
//! Without lanes in the configuration there is no [`Keeper`], and nothing of this costs anything.

mod pending;
pub(super) mod start;

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

use self::pending::{Entered, Pending};
use crate::domain::actor::{Actor, Refused};
use crate::domain::gate::decide::Policies;
use crate::domain::gate::gates::view::GatesView;
use crate::domain::gate::gates::{Gates, Output};
use crate::domain::gate::hardware::{Carried, LaneCommand, LaneEvent, LaneReceipt, Said, TerminalEvent};
use crate::domain::gate::hazmat::Hazmat;
use crate::domain::gate::inside::InsideAction;
use crate::domain::gate::inside::event::Event;
use crate::domain::gate::lane::{Hand, Lane};
use crate::domain::gate::register::change::Prepared;
use crate::domain::gate::word::LaneId;
use crate::domain::time::{Mono, Now};

/// What the hardware says, on its way to the engine. Twenty lanes with a dozen inputs each, said again each 200 ms, are 1,200
/// a second: nearly a second of a stalled engine. Beyond it the sessions wait, and a silent input grows old by itself.
pub(super) const N_QUEUED_GATE_INPUTS: usize = 1024;
/// Gate inputs that are served before any other input: a dozen lanes at the same moment.
pub(super) const N_INPUTS_PER_TURN: usize = 64;
/// Commands on their way to the hardware: every lane of a large park released at once, with text on every board. Beyond it a
/// command is refused, and its lane alarms.
pub(super) const N_QUEUED_COMMANDS: usize = 256;
/// Changes of the register on their way to its store: uses of permits, a few a second at worst. Beyond it a change holds until
/// the next start only, and that is said aloud.
pub(super) const N_QUEUED_CHANGES: usize = 1024;

/// What reaches the gates from outside of the engine's task.
#[derive(Clone, Debug)]
pub(super) enum GateInput {
    /// The hardware of a lane said something.
    Event(LaneEvent),
    /// What became of a command.
    Receipt(LaneReceipt),
    /// A terminal of a vehicle said something.
    Terminal(TerminalEvent),
}

/// What others ask of the gates.
#[expect(dead_code, reason = "asked by app/registry: whoever asks the last of them takes this away")]
pub(super) enum Ask {
    /// Somebody does something at a lane.
    Lane(Box<LaneAct>, Actor, oneshot::Sender<Result<(), Refused>>),
    /// Somebody does something with the account of who is inside.
    Inside(Box<InsideAction>, Actor, oneshot::Sender<Result<(), Refused>>),
    /// Other policies, from the next decision on.
    Policies(Arc<dyn Policies + Send + Sync>),
    /// The register is held for a change; answered with its revision. No use of a permit is counted meanwhile.
    HoldRegister(oneshot::Sender<u64>),
    /// A change of the register that is stored; answered with whether it fits what the gates have.
    Register(Box<Prepared>, oneshot::Sender<bool>),
    /// The hold is over; what waited is counted.
    ReleaseRegister,
    /// Something is to be done with the dangerous goods, by a few steps that do not wait.
    Hazmat(HazmatAct),
    /// Events of the park's other gateways.
    Shared(Vec<Event>),
    /// How the gates stand.
    View(oneshot::Sender<Arc<GatesView>>),
}

/// Steps with the dangerous goods that do not wait; whoever wants to know what came of them keeps an end of a channel in them.
pub(super) type HazmatAct = Box<dyn FnOnce(&mut Hazmat, Now) + Send>;

/// What somebody does at a lane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct LaneAct {
    /// Where.
    pub(super) lane: LaneId,
    /// What.
    pub(super) hand: Hand,
    /// Why; never empty.
    pub(super) why: String,
}

/// Where the gates leave what is not the engine's.
#[derive(Debug)]
pub(super) struct Ways {
    /// To the hardware.
    pub(super) commands: mpsc::Sender<LaneCommand>,
    /// To the store of the register.
    pub(super) changes: mpsc::Sender<Prepared>,
}

/// The gates, with what the engine's task must remember of them.
pub(super) struct Keeper {
    gates: Gates,
    ways: Ways,
    pending: Pending,
}

impl Keeper {
    pub(super) fn new(gates: Gates, ways: Ways) -> Self {
        Self { gates, ways, pending: Pending::default() }
    }

    /// Takes what reached the gates.
    pub(super) fn take(&mut self, input: GateInput, now: Now) {
        match input {
            GateInput::Event(event) => self.gates.handle_event(&event, now),
            GateInput::Receipt(receipt) => self.gates.handle_receipt(&receipt, now),
            GateInput::Terminal(event) => self.terminal(&event, now),
        }
    }

    /// Does what is asked. The answer is given at once: what comes of it is recorded in the same turn.
    pub(super) fn answer(&mut self, ask: Ask, now: Now) {
        // Whoever asked may be gone; that is his business.
        match ask {
            Ask::Lane(act, actor, answer) => {
                let LaneAct { lane, hand, why } = *act;
                drop(answer.send(self.gates.handle_hand(&lane, &hand, &actor, &why, now)));
            }
            Ask::Inside(action, actor, answer) => drop(answer.send(self.gates.handle_inside(*action, &actor, now))),
            Ask::Policies(policies) => self.gates.handle_policies(policies),
            Ask::HoldRegister(answer) => drop(answer.send(self.gates.hold_register())),
            Ask::ReleaseRegister => self.gates.release_register(now),
            Ask::Register(prepared, answer) => drop(answer.send(self.gates.handle_register(&prepared))),
            Ask::Hazmat(act) => self.gates.handle_hazmat(|hazmat| act(hazmat, now), now),
            Ask::Shared(events) => self.gates.handle_shared(events, now),
            Ask::View(answer) => drop(answer.send(Arc::new(self.gates.view(now)))),
        }
    }

    /// Lets time pass.
    pub(super) fn tick(&mut self, now: Now) {
        if self.gates.poll_timeout(now).is_some_and(|due| due <= now.mono) {
            self.gates.handle_timeout(now);
        }
    }

    /// Returns when something is due.
    pub(super) fn due(&self, now: Now) -> Option<Mono> {
        self.gates.poll_timeout(now).into_iter().chain(self.pending.deadline()).min()
    }

    /// Returns what is to be done, in order, without what the hardware is to do: that has left already. A lane orders only what
    /// may be ordered, so that nothing of this turn need be recorded before it.
    pub(super) fn outputs(&mut self, now: Now) -> Vec<Output> {
        let mut rest = Vec::new();
        while let Some(output) = self.gates.poll_output() {
            if let Output::Command(command) = output {
                self.command(command, now);
            } else {
                rest.push(output);
            }
        }
        rest
    }

    /// A terminal of a vehicle: where it is. The rest of what it says is recorded where it is asked for.
    fn terminal(&mut self, event: &TerminalEvent, now: Now) {
        if let Said::Position(position) = &event.said {
            let act =
                |hazmat: &mut Hazmat| hazmat.handle_position(&event.terminal, None, position, event.at, None, now);
            self.gates.handle_hazmat(act, now);
        }
    }

    /// Waits for an entry that a lane waits for; `seq` is its number on the passage stream, 0 where it has none.
    pub(super) fn wait_for(&mut self, lane: LaneId, key: String, seq: u64, now: Mono) {
        let spec = self.gates.lanes().find(|at| at.spec().id == lane).map(Lane::spec);
        let life = spec.map(|spec| spec.timing.open_life).unwrap_or_default();
        // Later than that it would be of no use: the opening lapses a moment after, and nobody would know why.
        self.pending.push(Entered { lane, key, seq, until: now + life / 2 });
    }

    /// Tells the lanes what has become of their entries.
    pub(super) fn tell_entries(&mut self, durable: &[u64; 6], committed: &[u64; 6], now: Now) {
        while let Some((Entered { lane, key, .. }, receipt)) = self.pending.next(durable, committed, now.mono) {
            self.gates.handle_audit(&lane, &key, receipt, now);
        }
    }

    /// Returns whether a lane waits for the store.
    pub(super) fn waits(&self) -> bool {
        self.pending.deadline().is_some()
    }

    /// Hands a change of the register to its store.
    pub(super) fn store(&self, change: Prepared) {
        if let Err(error) = self.ways.changes.try_send(change) {
            tracing::error!(%error, "A use of a permit cannot be stored: it holds until the next start only.");
        }
    }

    fn command(&mut self, command: LaneCommand, now: Now) {
        if let Err(mpsc::error::TrySendError::Full(command) | mpsc::error::TrySendError::Closed(command)) =
            self.ways.commands.try_send(command)
        {
            let why = "硬件任务忙或已停止 / the task of the hardware is busy or has ended".to_owned();
            let LaneCommand { key, lane, .. } = command;
            let receipt = LaneReceipt { key, lane, at: now.mono, carried: Carried::Refused(why) };
            self.gates.handle_receipt(&receipt, now);
        }
    }
}
