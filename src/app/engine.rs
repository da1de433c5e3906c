//! The driver of [`Engine`]: takes inputs from the channels, drains the outputs into the store and the live channel.
//!
//! It awaits nothing but its inputs: the appender never blocks, the live channel and the orders are tried and never waited
//! for. Orders of life leave before anything of their turn is recorded; the others know the numbers of their reason.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot, watch};

use super::gates::{self, GateInput, Keeper, UpTo, Word};
use super::keeping::{Keeping, Revisions};
use super::memory::Kept;
use super::orders::{self, Job};
use super::outlets::Outlets;
use super::pending::{ANSWER_WITHIN, Entered, OnDisk, Pending, Promise};
use crate::buffer::{Appender, Store};
use crate::clock::Clock;
use crate::domain::actor::{Actor, Refused};
use crate::domain::audit::Deed;
use crate::domain::codec;
use crate::domain::danger::{Action, ChannelState, Done};
use crate::domain::daybook::{DailyReport, Date, StoreAccount};
use crate::domain::document::{Document, DocumentKind};
use crate::domain::engine::{Engine, Plan};
use crate::domain::field_event::FieldEvent;
use crate::domain::gate::gates::Output as FromGates;
use crate::domain::gate::inside::InsideRecord;
use crate::domain::gate::lane::AuditReceipt;
use crate::domain::order::{Order, Receipt, Urgency};
use crate::domain::output::{LoopTest, OutputWrite};
use crate::domain::ranges::RangeSet;
use crate::domain::record::{Body, Entry, Mode, Record, Stream};
use crate::domain::site::CityCommand;
use crate::domain::snapshot::Snapshot;
use crate::domain::time::{Mono, Now};
use crate::supervise::Pulse;
use crate::uplink::Live;
use crate::uplink::source::CONSUMER;

/// Field events on their way to the engine. At 800 requests/s this is about a second of a stalled engine; beyond it the
/// readers wait, and their polls are counted as skipped.
const N_QUEUED_FIELD_EVENTS: usize = 1024;
/// Requests to the engine: page, commands and reloads are few.
const N_QUEUED_REQUESTS: usize = 64;
/// Field events taken in one turn, so that ticks and requests are served between them under any load.
const N_EVENTS_PER_TURN: usize = 256;

/// How often what the gates made may lead to more of it in one turn: a command that is refused leads to an alarm, a call, a text
/// on a board. More would be a fault of ours, and the rest waits for the next turn.
const ROUNDS: usize = 16;

/// What others ask of the engine.
pub(super) enum Request {
    /// What stands.
    Snapshot(oneshot::Sender<Arc<Snapshot>>),
    /// A new configuration; answered when it is in force.
    Plan(Box<Plan>, oneshot::Sender<()>),
    /// Where live records go from now on, if anywhere.
    Live(Option<mpsc::Sender<Live>>),
    /// The platform can be reached anew: full values follow.
    Refresh,
    /// An answer to a command, to be recorded.
    Answer(String),
    /// What became of a write to an output, to be recorded.
    Write(OutputWrite),
    /// An engineer's loop test, to be recorded.
    LoopTest(LoopTest),
    /// The wire form of a kept revision, to be recorded once more.
    Registry(String),
    /// What somebody wants of the alarms, the site or the daybook.
    Act(Box<Action>, Actor, oneshot::Sender<Result<Done, Refused>>),
    /// The same of somebody who may ask for nothing: refused with these words, for the audit.
    Refuse(Box<Action>, Actor, Refused),
    /// What the city asks of the site; the uplink has verified it.
    City(CityCommand, oneshot::Sender<Result<Done, Refused>>),
    /// What somebody did elsewhere, for the audit.
    Deed(Box<Deed>),
    /// The same, answered when its entry is on the disk, or is not and will not be soon.
    Entered(Box<Deed>, oneshot::Sender<OnDisk>),
    /// Whether entries of the audit reach the disk, as far as is known: while they do not, nothing privileged is done.
    Audited(oneshot::Sender<OnDisk>),
    /// What became of an order, by its key.
    Receipt(String, Receipt),
    /// How a watched channel stands, by its id.
    Channel(String, ChannelState),
    /// Whether the store writes.
    Store(bool),
    /// The store's account of itself, and the numbers of the report stream that the platform has stored.
    Account(Box<StoreAccount>, RangeSet),
    /// The report of a day, of the newest one where none is named.
    Report(Option<Date>, oneshot::Sender<Option<DailyReport>>),
    /// The whole active set is to be recorded.
    ActiveSet,
    /// Whether the register of the gates is whole, and takes changes.
    RegisterGood(bool),
    /// Something of the gates; nobody answers where there are none.
    Gates(gates::Ask),
    /// What is kept of the gates line by line is saved so far.
    Saved(UpTo),
}

/// What came of an action, and whether that is on record.
fn told(done: Done, on_disk: OnDisk) -> Done {
    let (zh, en) = on_disk.words();
    Done { zh: done.zh + zh, en: done.en + en, ..done }
}

/// Why something privileged is refused.
pub(super) fn unaudited() -> Refused {
    Refused::new(
        "审计现在不能保存，只受理关乎安全的操作；见报警与日志",
        "the audit cannot be stored now: only what is for safety is done; see the alarms and the log",
    )
}

/// What comes in.
pub(super) struct Inputs {
    /// Of the field. When it closes, the task ends.
    pub(super) events: mpsc::Receiver<FieldEvent>,
    /// Of everybody else.
    pub(super) requests: mpsc::Receiver<Request>,
    /// Of the hardware of the lanes; closed where there is none.
    pub(super) gates: mpsc::Receiver<GateInput>,
    /// The last numbers that survive a power cut, and those of them that are in the store itself.
    pub(super) durable: watch::Receiver<[u64; 6]>,
    /// See `durable`.
    pub(super) committed: watch::Receiver<[u64; 6]>,
}

/// The other ends of [`Inputs`].
pub(super) struct Senders {
    pub(super) events: mpsc::Sender<FieldEvent>,
    pub(super) requests: mpsc::Sender<Request>,
    pub(super) gates: mpsc::Sender<GateInput>,
}

impl Inputs {
    /// Makes the channels; the store says by itself how far it is.
    pub(super) fn open(store: &Store) -> (Senders, Self) {
        let (events_tx, events) = mpsc::channel(N_QUEUED_FIELD_EVENTS);
        let (requests_tx, requests) = mpsc::channel(N_QUEUED_REQUESTS);
        let (gates_tx, gates) = mpsc::channel(gates::N_QUEUED_GATE_INPUTS);
        let senders = Senders { events: events_tx, requests: requests_tx, gates: gates_tx };
        (senders, Self { events, requests, gates, durable: store.durable(), committed: store.committed() })
    }
}

/// What woke the task.
enum Woken {
    Field(usize),
    Asked(Request),
    NoGates,
    Stored(bool),
    Due,
}

/// The task.
pub(super) struct EngineTask {
    engine: Engine,
    /// Where the configuration has lanes.
    gates: Option<Keeper>,
    appender: Appender,
    live: Option<mpsc::Sender<Live>>,
    outlets: Outlets,
    /// When what must survive a restart is handed to the keeper.
    keeping: Keeping,
    /// Revision at which commissioning was last looked at.
    looked: Option<u64>,
    /// Answers that wait for their entries of the audit.
    promises: Pending<Promise>,
    /// Number of the last document of the passage stream since somebody began to do something; 0: it is given up.
    entered: Option<u64>,
    clock: Clock,
    pulse: Pulse,
}

impl EngineTask {
    pub(super) fn new(
        (engine, gates): (Engine, Option<Keeper>),
        appender: Appender,
        outlets: Outlets,
        clock: Clock,
        pulse: Pulse,
    ) -> Self {
        let keeping = Keeping::default();
        let promises = Pending::default();
        Self {
            engine,
            gates,
            appender,
            live: None,
            outlets,
            keeping,
            looked: None,
            promises,
            entered: None,
            clock,
            pulse,
        }
    }

    /// Runs until the events close, then does what was asked of it, records what is due and ends; the store can be closed
    /// after it.
    pub(super) async fn run(mut self, mut inputs: Inputs) -> Result<(), String> {
        let mut batch = Vec::with_capacity(N_EVENTS_PER_TURN);
        let (mut gates_live, mut store_lives) = (true, true);
        self.turn(&inputs);
        loop {
            let due = self.due();
            let waits = store_lives && (self.promises.waits() || self.gates.as_ref().is_some_and(Keeper::waits));
            let woken = tokio::select! {
                n = inputs.events.recv_many(&mut batch, N_EVENTS_PER_TURN) => Woken::Field(n),
                Some(request) = inputs.requests.recv() => Woken::Asked(request),
                // Taken at once: those behind it are served next, and inputs keep their order.
                input = inputs.gates.recv(), if gates_live => match input {
                    Some(input) => {
                        self.on_gate_input(input);
                        Woken::Due
                    }
                    None => Woken::NoGates,
                },
                changed = inputs.durable.changed(), if waits => Woken::Stored(changed.is_ok()),
                () = self.clock.sleep_until(due) => Woken::Due,
            };
            // Whatever woke the task: the gates are served first.
            self.serve_gates(&mut inputs);
            match woken {
                Woken::Field(0) => break,
                Woken::Field(_) => self.on_events(&mut batch),
                Woken::Asked(request) => self.on_request(request, &mut inputs.events),
                Woken::NoGates => gates_live = false,
                Woken::Stored(lives) => store_lives = lives,
                Woken::Due => {}
            }
            self.turn(&inputs);
        }
        inputs.requests.close();
        while let Ok(request) = inputs.requests.try_recv() {
            self.on_request(request, &mut inputs.events);
        }
        self.serve_gates(&mut inputs);
        self.engine.handle_stop(self.clock.now());
        self.record_outputs();
        self.hand_on_kept();
        // The store is closed after this task, whole; that is not waited for here.
        self.keep_promises(&inputs, self.clock.now());
        Ok(())
    }

    fn due(&self) -> Mono {
        let gates = self.gates.as_ref().and_then(|gates| gates.due(self.clock.now()));
        let others = [self.promises.deadline(), self.keeping.deadline(), gates];
        others.into_iter().flatten().fold(self.engine.poll_timeout(), Mono::min)
    }

    /// Takes what the hardware of the lanes has said, a bounded part of it, and does what comes of it before anything else.
    fn serve_gates(&mut self, inputs: &mut Inputs) {
        let n = inputs.gates.len().min(gates::N_INPUTS_PER_TURN);
        for input in (0..n).map_while(|_| inputs.gates.try_recv().ok()) {
            self.on_gate_input(input);
        }
        if n > 0 {
            self.carry_out();
        }
    }

    fn on_gate_input(&mut self, input: GateInput) {
        let now = self.clock.now();
        if let Some(gates) = &mut self.gates {
            gates.take(input, now);
        }
    }

    /// Does what the site orders of the lanes and what the gates want done, until nothing follows from it, and records it.
    fn carry_out(&mut self) {
        for _ in 0..ROUNDS {
            let now = self.clock.now();
            while let Some(order) = self.engine.poll_lane_order() {
                match self.gates.as_mut().filter(|gates| gates.moves(&order.lane)) {
                    Some(gates) => gates.rule(&order, now),
                    None => self.engine.handle_receipt(&order.key, &orders::not_moved(), now),
                }
            }
            let outputs = self.gates.as_mut().map(|gates| gates.outputs(now)).unwrap_or_default();
            if outputs.is_empty() {
                break;
            }
            for output in outputs {
                self.on_gates_output(output, now);
            }
        }
        self.record_outputs();
    }

    fn on_gates_output(&mut self, output: FromGates, now: Now) {
        match output {
            FromGates::Document(document) => self.engine.handle_document(document, now),
            FromGates::Deed(deed) => self.engine.handle_deed(*deed, now),
            FromGates::Audit { lane, audit } => {
                self.engine.handle_deed(audit.deed, now);
                let seq = self.record_outputs();
                if let Some(gates) = self.gates.as_mut().filter(|_| audit.urgency == Urgency::AfterCommit) {
                    gates.wait_for(lane, audit.key, seq, now.mono);
                }
            }
            FromGates::Receipt { key, receipt } => self.engine.handle_receipt(&key, &receipt, now),
            FromGates::Register(change) => {
                if let Some(gates) = &self.gates {
                    gates.store(*change);
                }
            }
            FromGates::Share(event) => {
                // A later version, and what is no passage, the account itself has put on record.
                if event.version == 1 && event.crossed().is_some() {
                    let record = InsideRecord::Event(&event);
                    let document = Document::of(DocumentKind::Inside, Mode::Real, now.mono, &record);
                    self.engine.handle_document(document, now);
                }
                if let Some(gates) = &mut self.gates {
                    gates.share(event);
                }
            }
            output @ (FromGates::Command(_)
            | FromGates::LaneFact(_)
            | FromGates::InsideFact(_)
            | FromGates::DeskFact(_)
            | FromGates::MusterFact(_)
            | FromGates::Violation(_)
            | FromGates::Told(_)
            | FromGates::Call(_)
            | FromGates::AskWaybills { .. }
            | FromGates::Bay(_)
            | FromGates::Unsettled { .. }) => {
                for word in gates::words(output) {
                    match word {
                        Word::Fact(fact) => self.engine.handle_gate_fact(fact, now),
                        Word::People(zh, en) => self.engine.tell_people(zh, en, now),
                    }
                }
            }
        }
    }

    /// Lets the gates see what danger knows, for the decisions to come.
    fn look_around(&mut self) {
        let now = self.clock.now();
        let Some(gates) = &mut self.gates else { return };
        gates.look_at(self.engine.danger(), now);
        if let Some((episode, figures)) = gates.figures_of(self.engine.danger().drill()) {
            self.engine.handle_figures(&episode, figures);
        }
    }

    fn on_events(&mut self, batch: &mut Vec<FieldEvent>) {
        let now = self.clock.now();
        for event in batch.drain(..) {
            self.engine.handle_event(event, now);
        }
    }

    fn on_request(&mut self, request: Request, events: &mut mpsc::Receiver<FieldEvent>) {
        let now = self.clock.now();
        match request {
            // Whoever asked may be gone; that is his business.
            Request::Snapshot(answer) => drop(answer.send(Arc::new(self.engine.snapshot(now)))),
            Request::Plan(plan, done) => {
                self.take_waiting(events);
                self.engine.handle_plan(*plan, now);
                self.record_outputs();
                done.send(()).ok();
            }
            Request::Live(live) => self.tell_live(live),
            Request::Refresh => self.engine.handle_refresh(now),
            Request::Answer(json) => self.engine.handle_answer(json, now),
            Request::Write(write) => self.engine.handle_write(write, now),
            Request::LoopTest(test) => self.engine.handle_loop_test(test, now),
            Request::Registry(json) => self.engine.handle_registry_again(json, now),
            // What was done is on the disk before anybody hears that it was.
            Request::Act(action, actor, answer) => {
                let done = match self.audited().0 || !action.is_privileged() {
                    true => self.engine.handle_action(&action, &actor, now),
                    false => self.engine.refuse_action(&action, &actor, unaudited(), now),
                };
                self.promise(Box::new(move |on_disk| drop(answer.send(done.map(|done| told(done, on_disk))))));
            }
            // Its words are with whoever asked already.
            Request::Refuse(action, actor, why) => drop(self.engine.refuse_action(&action, &actor, why, now)),
            Request::City(command, answer) => {
                let done = self.engine.handle_city(command, now);
                self.promise(Box::new(move |on_disk| drop(answer.send(done.map(|done| told(done, on_disk))))));
            }
            Request::Deed(deed) => self.engine.handle_deed(*deed, now),
            Request::Entered(deed, answer) => {
                self.engine.handle_deed(*deed, now);
                self.promise(Box::new(move |on_disk| {
                    answer.send(on_disk).ok();
                }));
            }
            Request::Audited(answer) => {
                answer.send(self.audited()).ok();
            }
            Request::Receipt(key, receipt) => self.engine.handle_receipt(&key, &receipt, now),
            Request::Channel(channel, state) => self.engine.handle_channel(&channel, state, now),
            Request::Store(healthy) => self.engine.handle_store(healthy, now),
            Request::RegisterGood(good) => self.engine.handle_register(good, now),
            Request::Account(account, delivered) => {
                self.engine.handle_account(*account, now);
                self.engine.handle_delivered(&|seq| delivered.contains(seq), now);
            }
            Request::Report(day, answer) => drop(answer.send(self.engine.report(day, now))),
            Request::ActiveSet => self.engine.handle_active_set(now),
            Request::Gates(ask) => {
                if let Some(promise) = self.gates.as_mut().and_then(|gates| gates.answer(ask, now)) {
                    self.promise(promise);
                }
            }
            Request::Saved(up_to) => {
                if let Some(gates) = &mut self.gates {
                    gates.saved(up_to);
                }
            }
        }
    }

    /// Records what somebody did, and keeps the answer until its entry is on the disk. While none can be written he hears so at
    /// once.
    fn promise(&mut self, promise: Promise) {
        self.entered = None;
        self.carry_out();
        // What has no entry waits for none.
        let Some(seq) = self.entered else { return promise(OnDisk(true)) };
        let now = self.clock.mono();
        let until = if self.audited().0 { now + ANSWER_WITHIN } else { now };
        self.promises.push(Entered { what: promise, seq, until });
    }

    fn keep_promises(&mut self, inputs: &Inputs, now: Now) {
        let (durable, committed) = (*inputs.durable.borrow(), *inputs.committed.borrow());
        while let Some((entered, receipt)) = self.promises.next(&durable, &committed, now.mono) {
            (entered.what)(OnDisk(receipt != AuditReceipt::Failed));
        }
    }

    fn audited(&self) -> OnDisk {
        OnDisk(!self.promises.is_stuck() && !self.gates.as_ref().is_some_and(Keeper::is_stuck))
    }

    /// From now on live records go there; first those that the store does not have: whoever was told of them before has
    /// forgotten them with his end.
    fn tell_live(&mut self, live: Option<mpsc::Sender<Live>>) {
        self.live = live;
        let Some(live) = &self.live else { return };
        for (stream, entry) in self.appender.unstored(CONSUMER) {
            // There is room for all of them; closed is the uplink's end once more.
            drop(live.try_send(Live { stream, entry }));
        }
    }

    /// Takes what was read before a new configuration: after it, the slots of changed devices are refused.
    fn take_waiting(&mut self, events: &mut mpsc::Receiver<FieldEvent>) {
        let mut waiting: Vec<FieldEvent> = (0..events.len()).map_while(|_| events.try_recv().ok()).collect();
        self.on_events(&mut waiting);
        self.record_outputs();
    }

    /// Lets time pass and drains; once per turn, whatever woke the task.
    fn turn(&mut self, inputs: &Inputs) {
        let now = self.clock.now();
        if let Some(gates) = &mut self.gates {
            gates.tell_entries(&inputs.durable.borrow(), &inputs.committed.borrow(), now);
            gates.tick(now);
        }
        self.keep_promises(inputs, now);
        self.engine.handle_timeout(now);
        self.carry_out();
        self.look_around();
        self.keep(now.mono);
        self.tell_service();
        self.pulse.beat(now.mono);
    }

    /// Records what the engine made, and hands on its orders. Returns the number of the last document of the passage stream; 0
    /// where there was none, or it is given up.
    fn record_outputs(&mut self) -> u64 {
        let (mut waiting, mut passage) = (Vec::new(), 0);
        while let Some(order) = self.engine.poll_order() {
            match order.urgency {
                Urgency::AtOnce => self.order(order, [0; 6]),
                Urgency::AfterCommit => waiting.push(order),
            }
        }
        while let Some(text) = self.engine.poll_text() {
            if let Err((key, receipt)) = self.outlets.texts.send(text, self.clock.mono()) {
                self.engine.handle_receipt(&key, &receipt, self.clock.now());
            }
        }
        let mut reason = [0; 6];
        let mut any = false;
        while let Some(record) = self.engine.poll_output() {
            let is_document = matches!(record.body, Body::Document { .. });
            let (stream, rank) = (record.stream, record.stream.rank());
            let seq = self.record(record);
            if is_document && stream == Stream::Passage {
                passage = if self.appender.took() { seq } else { 0 };
                self.entered = Some(passage);
            }
            if let Some(delivery) = self.engine.poll_delivery().filter(|_| seq > 0) {
                self.engine.handle_recorded(&delivery, seq);
            }
            if let Some(last) = reason.get_mut(rank).filter(|_| is_document) {
                *last = seq;
            }
            any = true;
        }
        for order in waiting {
            self.order(order, reason);
        }
        if reason != [0; 6] {
            self.outlets.news.send_modify(|news| *news = news.wrapping_add(1));
        }
        if any {
            self.outlets.next.send_replace(self.appender.next());
        }
        passage
    }

    fn order(&mut self, order: Order, after: [u64; 6]) {
        let now = self.clock.now();
        if let Err(refused) = self.outlets.orders.try_send(Job { order, after, placed: now.mono }) {
            let (mpsc::error::TrySendError::Full(job) | mpsc::error::TrySendError::Closed(job)) = refused;
            self.engine.handle_receipt(&job.order.key, &orders::full(), now);
        }
    }

    /// Hands on what must survive a restart, when it is time.
    fn keep(&mut self, now: Mono) {
        let (danger, alone) = self.engine.danger_revisions();
        let revisions = Revisions { danger, alone, gates: self.gates.as_ref().map_or(0, Keeper::revision) };
        if self.keeping.is_due(now, revisions) {
            self.hand_on_kept();
        }
    }

    /// Tells what people have changed of the commissioning of points: a step of it is a word of danger.
    fn tell_service(&mut self) {
        let revision = self.engine.danger_revisions().0;
        if self.looked.replace(revision) == Some(revision) {
            return;
        }
        let service = self.engine.points_in_service();
        self.outlets.service.send_if_modified(|known| {
            let differs = **known != service;
            if differs {
                *known = Arc::new(service);
            }
            differs
        });
    }

    fn hand_on_kept(&mut self) {
        let seqs = self.appender.next().map(|next| next.saturating_sub(1));
        let now = self.clock.now();
        let (saved, gates) = (self.engine.danger_saved(now), self.gates.as_mut().map(|gates| gates.kept(now)));
        self.outlets.kept.send_replace(Some(Arc::new(Kept { seqs, saved, gates })));
    }

    /// Returns the record's number, 0 where it got none.
    fn record(&mut self, record: Record) -> u64 {
        let Record { stream, stamp, body } = record;
        if let Body::Clock(change) = &body
            && change.offset_ms != 0
        {
            self.clock.note_step(change.offset_ms);
        }
        let body: Bytes = codec::encode(&body, self.engine.registry());
        let seq = self.appender.append(stream, stamp, body.clone());
        // Without a number (the reservation is used up on a dead disk) it cannot be told; the store makes it a gap.
        if let Some(live) = self.live.as_ref().filter(|_| seq > 0) {
            // Full or closed: the uplink finds the hole in the numbers and reads it from the store.
            drop(live.try_send(Live { stream, entry: Entry { seq, stamp, body } }));
        }
        seq
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::buffer::{self, settings as store};
    use crate::domain::danger::Rules;
    use crate::domain::engine::PlanDevice;
    use crate::domain::field_event::{Origin, Sample};
    use crate::domain::id::DeviceSlot;
    use crate::domain::reading::{Reading, Value};
    use crate::domain::record::{Boot, Stream};
    use crate::domain::registry::testing::registry_with;

    fn plan(rev: u32, slot: u32) -> Plan {
        let mut registry = registry_with(1, 1, |_| Some(1));
        registry.rev = rev;
        let device = PlanDevice { slot: DeviceSlot(slot), classes: vec![Duration::from_secs(1)], class_of: vec![0] };
        Plan {
            registry: Arc::new(registry),
            registry_json: "{}".into(),
            devices: vec![device],
            danger: Rules::default(),
        }
    }

    /// An engine over a store of its own (which must be held), whose live records the test reads.
    fn task(clock: &Clock) -> ((tempfile::TempDir, buffer::Store), EngineTask, mpsc::Receiver<Live>) {
        let dir = tempfile::tempdir().unwrap();
        let stream = store::StreamSettings { retention: Duration::from_secs(3600), reserved_bytes: 0 };
        let settings = store::Settings {
            dir: dir.path().join("store"),
            mirror_dir: dir.path().join("mirror"),
            quota_bytes: 1 << 30,
            ballast_bytes: 0,
            segment_bytes: 8 << 20,
            commit_interval: Duration::from_millis(50),
            streams: [stream; 6],
            consumers: Vec::new(),
        };
        let opened = buffer::open(settings, clock.now()).unwrap();
        let boot = Boot { software: "test".into(), last_seen: None, off_ms: None, clean: true };
        let engine = Engine::new(1, boot, plan(1, 1), clock.now());
        let (outlets, _) = crate::app::outlets::outlets(opened.appender.next(), watch::Sender::default());
        let pulse = Pulse::new("engine", clock.mono());
        let mut task = EngineTask::new((engine, None), opened.appender, outlets, clock.clone(), pulse);
        let (live_tx, live) = mpsc::channel(64);
        task.record_outputs();
        task.live = Some(live_tx);
        ((dir, opened.store), task, live)
    }

    fn sample(slot: u32, clock: &Clock) -> FieldEvent {
        let readings = [(0, Reading::good(Value::Number(1.5)))].into_iter().collect();
        FieldEvent::Sample(Sample { slot: DeviceSlot(slot), at: clock.mono(), origin: Origin::Polled, readings })
    }

    fn told(live: &mut mpsc::Receiver<Live>, stream: Stream) -> Vec<Entry> {
        let all = std::iter::from_fn(|| live.try_recv().ok());
        all.filter(|record| record.stream == stream).map(|record| record.entry).collect()
    }

    #[tokio::test]
    async fn what_was_read_before_a_reload_is_recorded_under_the_old_configuration() {
        let clock = Clock::system();
        let (_store, mut task, mut live) = task(&clock);
        let (events_tx, mut events) = mpsc::channel(4);
        events_tx.try_send(sample(1, &clock)).unwrap();
        let (done, mut in_force) = oneshot::channel();
        task.on_request(Request::Plan(Box::new(plan(2, 2)), done), &mut events);
        assert!(in_force.try_recv().is_ok());
        let samples: Vec<Entry> = told(&mut live, Stream::Telemetry)
            .into_iter()
            .filter(|entry| codec::samples_device(&entry.body) == Some(0))
            .collect();
        assert_eq!(samples.iter().map(|entry| entry.stamp.rev).collect::<Vec<_>>(), [1]);
        assert_eq!(task.engine.totals().stale_events, 0);
        let body = codec::decode(&samples[0].body, &registry_with(1, 1, |_| Some(1))).unwrap();
        assert!(matches!(body, Body::Samples(s) if s.cells[0].1 == Reading::good(Value::Number(1.5))));
    }

    #[tokio::test]
    async fn an_answer_that_waits_when_the_last_reader_ends_is_still_recorded() {
        let clock = Clock::system();
        let ((_dir, store), task, mut live) = task(&clock);
        let (Senders { events, requests, .. }, inputs) = Inputs::open(&store);
        drop(events);
        requests.try_send(Request::Answer("{}".into())).unwrap();
        task.run(inputs).await.unwrap();
        assert_eq!(told(&mut live, Stream::Event).len(), 1);
        assert!(requests.try_send(Request::Refresh).is_err(), "nobody may wait for an engine that has ended");
    }

    #[tokio::test]
    async fn a_full_live_channel_costs_the_engine_nothing_and_the_numbers_go_on() {
        let clock = Clock::system();
        let (_store, mut task, mut live) = task(&clock);
        let (small_tx, mut small) = mpsc::channel(1);
        let (_, mut events) = mpsc::channel(1);
        task.on_request(Request::Live(Some(small_tx)), &mut events);
        assert!(live.recv().await.is_none(), "the old one is let go");
        for _ in 0..3 {
            task.engine.handle_answer("{}".into(), clock.now());
        }
        task.record_outputs();
        assert_eq!(told(&mut small, Stream::Event).len(), 1);
        task.engine.handle_answer("{}".into(), clock.now());
        task.record_outputs();
        let last = told(&mut small, Stream::Event)[0].seq;
        assert_eq!(last + 1, task.appender.next()[Stream::Event.rank()]);
    }
}
