//! A park in virtual time: lanes with arms that move, modules that are asked again and again, a store that answers, and what
//! drives and walks through it. Deterministic; whoever uses it says what happens and looks at what came of it.
//!
//! Time goes from one thing that happens to the next. A module of a lane where something goes on is asked each [`AWAKE`], of
//! a lane at rest only so often that none of its inputs ever counts as silent.

#[path = "../../src/domain/gate/lane/tests/bar.rs"]
mod bar;
#[path = "traffic.rs"]
mod traffic;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use bar::{Bar, UP};

use parkgate::domain::actor::{Actor, Role, Via};
use parkgate::domain::audit::{AuditEntry, Chain, Deed, Head};
use parkgate::domain::document::DocumentKind;
use parkgate::domain::gate::decide::Policies;
use parkgate::domain::gate::gates::{Gates, Output, Saved, Settings};
use parkgate::domain::gate::hardware::{Act, Carried, Input, LaneCommand, LaneEvent, LaneReceipt, Seen};
use parkgate::domain::gate::hazmat;
use parkgate::domain::gate::hazmat::kept::Line;
use parkgate::domain::gate::inside::event::Body;
use parkgate::domain::gate::inside::reconcile::Reconciliation;
use parkgate::domain::gate::inside::{Event, InsideAction, Passage, Stock, Stocks, Subject};
use parkgate::domain::gate::lane::spec::{FRESH, GUARDS, LaneSpec, Position};
use parkgate::domain::gate::lane::{ArmAt, AuditReceipt, Call, LaneFact, Phase};
use parkgate::domain::gate::register::Register;
use parkgate::domain::gate::register::change::{Change, ChangeSet, Origin};
use parkgate::domain::gate::register::row::Row;
use parkgate::domain::gate::verdict::Decision;
use parkgate::domain::gate::word::{LaneId, ZoneId};
use parkgate::domain::order::Urgency;
use parkgate::domain::time::{ClockTrust, Mono, Now, Timestamp};

/// 2026-11-26 08:00 in Beijing.
pub(crate) const MORNING: i64 = 1_795_651_200_000;
/// A module is asked so often, milliseconds: where something goes on; at a lane at rest, none of whose inputs is ever silent.
const AWAKE: u64 = 400;
const ASLEEP: u64 = 2_500;

/// What the store does with entries of the audit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Store {
    Works,
    Fails,
    /// It answers when it is asked for: [`Park::answer_audits`].
    Late,
}

/// One lane's world.
pub(crate) struct World {
    pub(crate) spec: Arc<LaneSpec>,
    says: BTreeMap<Input, Option<bool>>,
    /// Inputs that are not heard.
    pub(crate) silent: BTreeSet<Input>,
    /// What the lane heard of each input last, and when.
    heard: BTreeMap<Input, (u64, Option<bool>)>,
    pub(crate) bar: Bar,
    acts: Vec<&'static str>,
    asked: u64,
    touched: u64,
}

/// See the module.
pub(crate) struct Park {
    pub(crate) gates: Gates,
    settings: Arc<Settings>,
    policies: Arc<dyn Policies + Send + Sync>,
    boot: u32,
    worlds: BTreeMap<LaneId, World>,
    ms: u64,
    turned: u64,
    wall: i64,
    pub(crate) trust: ClockTrust,
    pub(crate) store: Store,
    late: VecDeque<(LaneId, String)>,
    chain: Chain,
    reads: u64,
    /// How much was said to the machine.
    pub(crate) words: u64,
    /// No lane ever rests: whatever is due happens when it is due.
    pub(crate) vigilant: bool,
    pub(crate) seen: Record,
}

/// What came out, as far as anybody looks at it.
#[derive(Default)]
pub(crate) struct Record {
    pub(crate) decisions: BTreeMap<String, Decision>,
    pub(crate) last: Option<Decision>,
    /// The last of each lane.
    pub(crate) last_at: BTreeMap<LaneId, Decision>,
    pub(crate) calls: Vec<Call>,
    pub(crate) events: Vec<Event>,
    pub(crate) audits: BTreeMap<String, (Deed, bool)>,
    pub(crate) passages: BTreeMap<String, Passage>,
    /// The same, each record in its turn.
    pub(crate) recorded: Vec<Passage>,
    /// What was kept of the waybills and their checks.
    pub(crate) book: Vec<Line>,
    /// What each board showed, a line after the other.
    pub(crate) boards: BTreeMap<String, Vec<String>>,
    /// Days that were closed.
    pub(crate) days: Vec<Reconciliation>,
    /// The audit as it is chained.
    pub(crate) chain: Vec<AuditEntry>,
    /// Documents, by kind.
    pub(crate) documents: BTreeMap<DocumentKind, u64>,
    pub(crate) facts: Vec<LaneFact>,
    pub(crate) commands: u64,
    /// Violations with dangerous goods that began.
    pub(crate) violations: Vec<hazmat::record::Violation>,
    /// What no machine could settle.
    pub(crate) unsettled: Vec<String>,
    /// Everything since the last look, in order, in a word each.
    pub(crate) order: Vec<Word>,
}

/// A state file, how many passages were recorded before it, and how much was kept beside it.
pub(crate) struct Kept {
    saved: String,
    recorded: usize,
    book: usize,
}

/// What came out.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Word {
    Decided(String),
    Command(LaneCommand),
    Crossed(String),
    Counted,
    Used,
}

pub(crate) fn codes(decision: &Decision) -> Vec<&str> {
    decision.reasons.iter().map(|reason| reason.code.as_str()).collect()
}

impl Park {
    /// A park that opens in the morning, with nobody inside: counted by name, and signed.
    pub(crate) fn open(settings: Settings, policies: Arc<dyn Policies + Send + Sync>) -> Self {
        let settings = Arc::new(settings);
        let ms = 1_000_000;
        let now = Now { mono: Mono::from_millis(ms), wall: Timestamp(MORNING), trust: ClockTrust::Synced };
        let gates = Gates::new(settings.clone(), policies.clone(), Register::default(), 1, now);
        let world = |spec: &Arc<LaneSpec>| {
            let says = spec.inputs.iter().map(|input| (*input, Some(*input == Input::CloseLimit))).collect();
            let (silent, heard, acts) = (BTreeSet::new(), BTreeMap::new(), Vec::new());
            World { spec: spec.clone(), says, silent, heard, bar: Bar::default(), acts, asked: 0, touched: 0 }
        };
        let worlds = settings.lanes.iter().map(|spec| (spec.id.clone(), world(spec))).collect();
        let mut park = Self {
            gates,
            settings,
            policies,
            boot: 1,
            worlds,
            ms,
            turned: ms,
            wall: MORNING - i64::try_from(ms).unwrap(),
            trust: ClockTrust::Synced,
            store: Store::Works,
            late: VecDeque::new(),
            chain: Chain::new(1, Head::default()),
            reads: 0,
            words: 0,
            vigilant: false,
            seen: Record::default(),
        };
        park.run(1_000);
        park.count(BTreeMap::new(), &BTreeMap::new());
        park
    }

    pub(crate) fn now(&self) -> Now {
        let wall = Timestamp(self.wall + i64::try_from(self.ms).unwrap());
        Now { mono: Mono::from_millis(self.ms), wall, trust: self.trust }
    }

    pub(crate) fn ms(&self) -> u64 {
        self.ms
    }

    /// The time of the park's day, in milliseconds.
    pub(crate) fn of_day(&self) -> i64 {
        (self.now().wall.0 + 8 * 3_600_000).rem_euclid(86_400_000)
    }

    /// Sets the clock to this time of the park's day, or of the next. Nothing else happens on the way.
    pub(crate) fn until_local(&mut self, hour: i64, minute: i64, second: i64) {
        let wanted = ((hour * 60 + minute) * 60 + second) * 1000;
        self.wall += (wanted - self.of_day()).rem_euclid(86_400_000);
    }

    /// Moves the clock.
    pub(crate) fn shift_clock(&mut self, ms: i64) {
        self.wall += ms;
    }

    /// Lets time pass.
    pub(crate) fn run(&mut self, ms: u64) {
        let end = self.ms + ms;
        while self.ms < end {
            self.ms = self.next(end);
            self.turn_arms();
            self.ask_modules();
            self.gates.handle_timeout(self.now());
            self.words += 1;
            self.drain();
        }
    }

    /// When the next thing happens.
    fn next(&self, end: u64) -> u64 {
        let awake = self.worlds.keys().any(|lane| self.is_awake(lane));
        let asked = self.worlds.iter().map(|(lane, world)| world.asked + self.pace(lane));
        let arms = self.worlds.values().filter_map(World::arrives).map(|in_ms| self.turned + in_ms);
        let due = self.gates.poll_timeout(self.now()).map(Mono::millis).filter(|_| awake);
        asked.chain(arms).chain(due).min().unwrap_or(end).clamp(self.ms + 1, end)
    }

    fn is_awake(&self, lane: &LaneId) -> bool {
        let phase = self.lane(lane.as_str()).phase();
        let world = &self.worlds[lane];
        self.vigilant
            || world.bar.moves != 0
            || world.touched + 3_000 > self.ms
            || !matches!(phase, Phase::Idle | Phase::Held)
    }

    fn pace(&self, lane: &LaneId) -> u64 {
        if self.is_awake(lane) { AWAKE } else { ASLEEP }
    }

    fn turn_arms(&mut self) {
        let passed = self.ms - self.turned;
        self.turned = self.ms;
        let lanes: Vec<LaneId> = self.worlds.keys().cloned().collect();
        for lane in lanes {
            let Some(world) = self.worlds.get_mut(&lane).filter(|world| world.bar.moves != 0) else { continue };
            let moved = world.bar.turn(passed);
            let at = world.bar.at;
            if at == 0 || at == UP {
                world.bar.moves = 0;
            }
            if moved && world.spec.position == Position::Limits {
                self.set(lane.as_str(), Input::OpenLimit, Some(at == UP));
                self.set(lane.as_str(), Input::CloseLimit, Some(at == 0));
            }
        }
    }

    /// Asks the modules that are due.
    fn ask_modules(&mut self) {
        let due = |lane: &&LaneId| self.ms >= self.worlds[*lane].asked + self.pace(lane);
        let due: Vec<LaneId> = self.worlds.keys().filter(due).cloned().collect();
        let events: Vec<LaneEvent> = due.iter().flat_map(|lane| self.ask_module(lane)).collect();
        if !events.is_empty() {
            self.gates.handle_events(&events, self.now());
            self.drain();
        }
    }

    fn ask_module(&mut self, lane: &LaneId) -> Vec<LaneEvent> {
        let at = self.now().mono;
        let Some(world) = self.worlds.get_mut(lane) else { return Vec::new() };
        world.asked = at.millis();
        let heard = world.says.iter().filter(|(input, _)| !world.silent.contains(input));
        world.heard.extend(heard.clone().map(|(input, on)| (*input, (at.millis(), *on))));
        let event = |(input, on): (&Input, &Option<bool>)| {
            let what = Seen::Input { input: *input, on: *on };
            LaneEvent { lane: lane.clone(), at, what }
        };
        heard.map(event).collect()
    }

    /// An input changes.
    pub(crate) fn set(&mut self, lane: &str, input: Input, on: Option<bool>) {
        let lane = LaneId::new(lane);
        let ms = self.ms;
        let Some(world) = self.worlds.get_mut(&lane).filter(|world| world.spec.inputs.contains(&input)) else { return };
        world.says.insert(input, on);
        world.touched = ms;
        if !world.silent.contains(&input) {
            world.heard.insert(input, (ms, on));
            self.event(&lane, Seen::Input { input, on });
        }
    }

    /// These go off, and nobody hears of it yet.
    pub(crate) fn quietly(&mut self, lane: &str, off: &[Input]) {
        let world = self.world(lane);
        world.says.extend(off.iter().map(|input| (*input, Some(false))));
    }

    pub(crate) fn event(&mut self, lane: &LaneId, what: Seen) {
        // Who rested has not been heard of lately: its module speaks first.
        if self.worlds[lane].asked + AWAKE < self.ms {
            let events = self.ask_module(lane);
            self.gates.handle_events(&events, self.now());
        }
        self.words += 1;
        let event = LaneEvent { lane: lane.clone(), at: self.now().mono, what };
        self.gates.handle_event(&event, self.now());
        self.drain();
    }

    /// Takes what came out.
    pub(crate) fn drain(&mut self) {
        while let Some(output) = self.gates.poll_output() {
            self.take(output);
        }
    }

    fn take(&mut self, output: Output) {
        match output {
            Output::Audit { lane, audit } => {
                let waits = audit.urgency == Urgency::AfterCommit;
                let stored = !waits || self.store == Store::Works;
                self.seen.chain.push(self.chain.add(audit.deed.clone(), self.now().wall));
                let before = self.seen.audits.insert(audit.key.clone(), (audit.deed, stored));
                assert!(before.is_none(), "one entry of the audit for each actuation: {}", audit.key);
                match self.store {
                    _ if !waits => {}
                    Store::Works => self.gates.handle_audit(&lane, &audit.key, AuditReceipt::Stored, self.now()),
                    Store::Fails => self.gates.handle_audit(&lane, &audit.key, AuditReceipt::Failed, self.now()),
                    Store::Late => self.late.push_back((lane, audit.key)),
                }
            }
            Output::Command(command) => self.carry_out(command),
            Output::Document(document) => {
                *self.seen.documents.entry(document.kind).or_default() += 1;
                if document.kind == DocumentKind::Decision {
                    let decision: Decision = serde_json::from_str(&document.json).unwrap();
                    self.seen.order.push(Word::Decided(decision.id.to_string()));
                    self.seen.decisions.insert(decision.id.to_string(), decision.clone());
                    self.seen.last_at.insert(decision.lane.clone(), decision.clone());
                    self.seen.last = Some(decision);
                } else if document.kind == DocumentKind::Passage {
                    let passage: Passage = serde_json::from_str(&document.json).unwrap();
                    self.seen.passages.insert(passage.passage.to_string(), passage.clone());
                    self.seen.recorded.push(passage);
                } else if document.kind == DocumentKind::Inside {
                    let mut told: serde_json::Value = serde_json::from_str(&document.json).unwrap();
                    if let Some(day) = told.get_mut("reconciliation") {
                        self.seen.days.push(serde_json::from_value(day.take()).unwrap());
                    }
                }
            }
            Output::Share(event) => {
                match &event.body {
                    Body::Crossed(crossed) if event.version == 1 && event.source.gateway == self.settings.gateway => {
                        self.seen.order.push(Word::Crossed(crossed.passage.to_string()));
                    }
                    // Another gateway saw it, or who was in it is known better now.
                    Body::Crossed(_) => self.seen.order.push(Word::Counted),
                    Body::Counted(_) | Body::Corrected(_) | Body::Void { .. } => self.seen.order.push(Word::Counted),
                    Body::Violated(_) | Body::Reviewed { .. } | Body::Loose(_) | Body::Settled { .. } => {}
                }
                self.seen.events.push((*event).clone());
            }
            Output::Register(_) => self.seen.order.push(Word::Used),
            Output::Call(call) => self.seen.calls.push(call),
            Output::LaneFact(fact) => self.seen.facts.push(fact),
            Output::Violation(violation) if violation.phase == hazmat::record::Phase::Begins => {
                self.seen.violations.push(violation);
            }
            Output::Unsettled { passage, en, .. } => self.seen.unsettled.push(format!("{passage}: {en}")),
            Output::Violation(_)
            | Output::InsideFact(_)
            | Output::DeskFact(_)
            | Output::MusterFact(_)
            | Output::Deed(_)
            | Output::Told(_)
            | Output::Receipt { .. }
            | Output::AskWaybills { .. }
            | Output::Bay(_) => {}
        }
    }

    fn carry_out(&mut self, command: LaneCommand) {
        let Some(world) = self.worlds.get_mut(&command.lane) else { return };
        if let Act::Show(sign) = &command.act {
            self.seen.boards.entry(command.lane.to_string()).or_default().extend(sign.lines.iter().cloned());
        }
        if let Act::Open { .. } = command.act {
            let life = world.spec.timing.open_life;
            let now = Mono::from_millis(self.ms);
            assert!(now < command.not_after && command.not_after <= now + life, "I5: {command:?}");
        }
        if command.act == Act::Close {
            // I3: a close follows from two means that have just said "clear".
            let clear = |input: &Input| {
                world.heard.get(input).is_some_and(|(at, on)| {
                    *on == Some(false) && self.ms - at < u64::try_from(FRESH.as_millis()).unwrap()
                })
            };
            assert!(GUARDS.iter().all(clear), "{} closes: {:?}, it is {}", command.lane, world.heard, self.ms);
        }
        let act = world.bar.obey(&command.act);
        world.acts.extend(act);
        let (key, lane) = (command.key.clone(), command.lane.clone());
        if act.is_some() {
            self.seen.commands += 1;
            self.seen.order.push(Word::Command(command));
        }
        let receipt = LaneReceipt { key, lane, at: self.now().mono, carried: Carried::Sent };
        self.gates.handle_receipt(&receipt, self.now());
    }

    /// The store answers what it owes, the oldest first.
    pub(crate) fn answer_audits(&mut self, most: usize, receipt: AuditReceipt) {
        for _ in 0..most {
            let Some((lane, key)) = self.late.pop_front() else { return };
            if let Some(entry) = self.seen.audits.get_mut(&key) {
                entry.1 = receipt != AuditReceipt::Failed;
            }
            self.gates.handle_audit(&lane, &key, receipt, self.now());
            self.drain();
        }
    }

    /// The gateway is off for so long, and starts again: with what it saved, the register and the events that were stored.
    pub(crate) fn restart(&mut self, off_ms: u64) {
        let kept = self.save();
        self.restart_from(&kept, off_ms);
    }

    /// What is written to the state file now.
    pub(crate) fn save(&mut self) -> Kept {
        self.seen.book.extend(self.gates.take_kept());
        Kept {
            saved: serde_json::to_string(&self.gates.saved(self.now())).unwrap(),
            recorded: self.seen.recorded.len(),
            book: self.seen.book.len(),
        }
    }

    /// The same from a state file that is older than what was stored since: passages recorded after it are learnt from their
    /// records.
    pub(crate) fn restart_from(&mut self, kept: &Kept, off_ms: u64) {
        let mut saved: Saved = serde_json::from_str(&kept.saved).unwrap();
        saved.learn(self.seen.recorded.iter().skip(kept.recorded).cloned());
        // What is kept of the waybills beside it is no older than the file.
        self.seen.book.truncate(kept.book);
        saved.recall(self.seen.book.clone());
        let events: Vec<Event> = self.seen.events.iter().filter(|event| !saved.is_folded(event)).cloned().collect();
        let register = self.gates.register().clone();
        self.boot += 1;
        self.chain = Chain::new(self.boot, self.chain.head());
        self.ms += off_ms;
        self.turn_arms_unseen(off_ms);
        self.late.clear();
        let (settings, policies) = (self.settings.clone(), self.policies.clone());
        self.gates = Gates::restore(settings, policies, register, self.boot, saved, events, self.now());
        self.drain();
    }

    fn turn_arms_unseen(&mut self, off_ms: u64) {
        self.turned = self.ms;
        for world in self.worlds.values_mut() {
            world.bar.turn(off_ms);
            (world.bar.moves, world.bar.held) = (0, false);
            if world.spec.position == Position::Limits {
                world.says.insert(Input::OpenLimit, Some(world.bar.at == UP));
                world.says.insert(Input::CloseLimit, Some(world.bar.at == 0));
            }
        }
    }

    pub(crate) fn rule_by(&mut self, policies: Arc<dyn Policies + Send + Sync>) {
        self.policies = policies.clone();
        self.gates.handle_policies(policies);
    }

    // What stands where.

    pub(crate) fn lane(&self, lane: &str) -> &parkgate::domain::gate::lane::Lane {
        self.gates.lanes().find(|one| one.spec().id.as_str() == lane).unwrap()
    }

    pub(crate) fn world(&mut self, lane: &str) -> &mut World {
        self.worlds.get_mut(&LaneId::new(lane)).unwrap()
    }

    pub(crate) fn is_up(&self, lane: &str) -> bool {
        self.lane(lane).arm_at(self.now().mono) == ArmAt::Up
    }

    pub(crate) fn moves(&self, lane: &str) -> &[&'static str] {
        &self.worlds[&LaneId::new(lane)].acts
    }

    pub(crate) fn inside(&self, stock: Stock) -> u32 {
        self.gates.inside().stocks(&ZoneId::new("park")).of(stock)
    }

    pub(crate) fn store_fails(&mut self) {
        self.store = Store::Fails;
        self.gates.handle_surroundings(|around| around.store_failed = true);
    }

    /// A supervisor counts by name, and those whom nobody knows; and signs.
    pub(crate) fn count(&mut self, names: BTreeMap<ZoneId, BTreeSet<Subject>>, unnamed: &BTreeMap<ZoneId, u32>) {
        let mut zones: BTreeMap<ZoneId, Stocks> = BTreeMap::new();
        let mut list = names;
        for zone in self.settings.inside.zones.keys() {
            let named = list.entry(zone.clone()).or_default();
            let stocks = zones.entry(zone.clone()).or_default();
            stocks.persons = unnamed.get(zone).copied().unwrap_or(0);
            for subject in named.iter() {
                match subject {
                    Subject::Person(_) => stocks.persons += 1,
                    Subject::Vehicle(plate) => {
                        let class = self.gates.register().class_of(plate).unwrap();
                        *stocks.vehicles.entry(class).or_default() += 1;
                    }
                }
            }
        }
        let action = InsideAction::Count { zones, list: Some(list), reason: "清点".into() };
        self.gates.handle_inside(action, &supervisor(), self.now()).unwrap();
        self.drain();
    }

    /// Puts rows into the register.
    pub(crate) fn put(&mut self, rows: Vec<Row>) {
        let changes = rows.into_iter().map(Change::Put).collect();
        let (by, why) = (supervisor(), "story".to_owned());
        let set = ChangeSet { by, origin: Origin::Local, why, changes, named: Vec::new(), version: None };
        let prepared = self.gates.register().prepare(set, &self.now()).unwrap();
        assert!(self.gates.handle_register(&prepared));
    }
}

impl World {
    /// In how many milliseconds the arm stands.
    fn arrives(&self) -> Option<u64> {
        let way = match self.bar.moves {
            0 => return None,
            1 => UP - self.bar.at,
            _ => self.bar.at,
        };
        u64::try_from(way).ok().filter(|_| !self.bar.broken)
    }
}

pub(crate) fn supervisor() -> Actor {
    Actor { name: "zhao".into(), via: Via::Machine, roles: Role::ALL.into() }
}

pub(crate) fn guard() -> Actor {
    Actor { name: "wang".into(), via: Via::Page, roles: [Role::Guard].into() }
}
