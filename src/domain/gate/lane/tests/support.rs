//! Lanes and their world in virtual time: a barrier that moves, loops that are said again each 200 ms, a store that answers.

#![expect(clippy::wildcard_enum_match_arm, reason = "a test looks at what it is about")]

#[path = "bar.rs"]
mod bar;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bar::Bar;
pub(super) use bar::UP;

use crate::domain::actor::{Actor, Role, Via};
use crate::domain::gate::hardware::{
    Act, CameraEvent, Carried, Input, LaneCommand, LaneEvent, LaneReceipt, PlateSeen, Seen,
};
use crate::domain::gate::lane::spec::{Closes, Fail, Flow, LaneSpec, Position, Service, Timing};
use crate::domain::gate::lane::told::{
    Ask, AuditReceipt, CallWhy, LaneFault, Outcome, Output, PassageStep, Ruling, Step,
};
use crate::domain::gate::lane::{Hand, Lane};
use crate::domain::gate::plate::{Plate, PlateColour};
use crate::domain::gate::presented::{Credential, PlateRead};
use crate::domain::gate::verdict::{Reason, Verdict};
use crate::domain::gate::word::{DecisionId, GateClass, GateId, LaneId, LaneKind, PassageId, VehicleClass, ZoneId};
use crate::domain::order::{LaneRule, Urgency};
use crate::domain::time::{ClockTrust, Mono, Now, Timestamp};

/// A way in for dangerous goods, with every input.
pub(in crate::domain::gate::lane) fn barrier() -> LaneSpec {
    use Input::{Approach, ArmOff, Beam, CallButton, CloseLimit, Exit, Fire, GuardButton, OpenLimit, UnderArm};
    LaneSpec {
        id: LaneId::new("g1-in"),
        name: "一号门进".into(),
        name_en: "gate 1 in".into(),
        gate: GateId::new("g1"),
        gate_class: GateClass::GeneralGoods,
        manned: true,
        zone: ZoneId::new("park"),
        zone_from: ZoneId::new("outside"),
        kind: LaneKind::Vehicle,
        flow: Flow::In,
        classes: BTreeSet::from([VehicleClass::Goods, VehicleClass::Small]),
        windows: Vec::new(),
        inputs: BTreeSet::from([
            Approach,
            UnderArm,
            Beam,
            Exit,
            OpenLimit,
            CloseLimit,
            ArmOff,
            Fire,
            GuardButton,
            CallButton,
        ]),
        position: Position::Limits,
        closes: Closes::Gateway,
        fail: Fail::Secure,
        on_fire: LaneRule::NoEntry,
        camera: true,
        scale: false,
        button_confirms: false,
        conduct: BTreeMap::new(),
        timing: Timing::default(),
        service: Service::InService,
    }
}

/// A way out for vehicles.
pub(super) fn exit() -> LaneSpec {
    LaneSpec { id: LaneId::new("g1-out"), flow: Flow::Out, on_fire: LaneRule::Open, fail: Fail::Safe, ..barrier() }
}

/// A door for persons, both ways.
pub(super) fn door() -> LaneSpec {
    LaneSpec {
        id: LaneId::new("d1"),
        kind: LaneKind::Person,
        flow: Flow::Both,
        classes: BTreeSet::new(),
        inputs: BTreeSet::from([Input::DoorOpen, Input::ExitButton, Input::Fire]),
        position: Position::None,
        closes: Closes::Controller,
        fail: Fail::Safe,
        on_fire: LaneRule::Open,
        ..barrier()
    }
}

pub(super) fn arc(spec: &LaneSpec) -> Arc<LaneSpec> {
    Arc::new(spec.clone())
}

/// What a store does with entries of the audit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Store {
    Works,
    Journal,
    Fails,
    Silent,
}

/// What decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Decider {
    Says(Verdict),
    /// Nobody answers; the questions are kept.
    Silent,
}

pub(super) const TICK: u64 = 100;

/// A lane in its world.
pub(super) struct World {
    pub(super) lane: Lane,
    spec: Arc<LaneSpec>,
    boot: u32,
    pub(super) ms: u64,
    /// After a stop its module takes nothing for so many milliseconds.
    pub(super) deaf_after_stop: u64,
    deaf_until: u64,
    pub(super) trust: ClockTrust,
    pub(super) wall: i64,
    pub(super) says: BTreeMap<Input, Option<bool>>,
    pub(super) silent: BTreeSet<Input>,
    heard: BTreeMap<Input, (Option<bool>, u64)>,
    pub(super) bar: Bar,
    pub(super) store: Store,
    pub(super) decider: Decider,
    pub(super) asks: Vec<Ask>,
    events: u64,
    decisions: u64,
    pub(super) log: Vec<(u64, Output)>,
    /// For what holds whatever happens.
    entries: BTreeMap<String, (Urgency, bool)>,
    /// Passages that were told of, and whether they are over.
    passages: BTreeMap<PassageId, bool>,
    allowed: BTreeMap<DecisionId, (PassageId, Mono)>,
    moved: BTreeSet<DecisionId>,
    last_move: Option<u64>,
    /// Since when it is to be held open, for the sake of life.
    pub(super) opens_since: Option<u64>,
}

impl World {
    pub(super) fn new(spec: &LaneSpec) -> Self {
        let spec = arc(spec);
        let ms = 1_000_000;
        let now = now(ms, 1_800_000_000_000, ClockTrust::Synced);
        let lane = Lane::new(spec.clone(), 1, now);
        let says = spec.inputs.iter().map(|input| (*input, Some(*input == Input::CloseLimit))).collect();
        let mut world = Self {
            lane,
            spec,
            boot: 1,
            ms,
            trust: ClockTrust::Synced,
            wall: 1_800_000_000_000,
            says,
            silent: BTreeSet::new(),
            heard: BTreeMap::new(),
            bar: Bar::default(),
            deaf_after_stop: 0,
            deaf_until: 0,
            store: Store::Works,
            decider: Decider::Says(Verdict::Allow),
            asks: Vec::new(),
            events: 0,
            decisions: 0,
            log: Vec::new(),
            entries: BTreeMap::new(),
            passages: BTreeMap::new(),
            allowed: BTreeMap::new(),
            moved: BTreeSet::new(),
            last_move: None,
            opens_since: None,
        };
        world.run(1000);
        world
    }

    pub(super) fn now(&self) -> Now {
        now(self.ms, self.wall + i64::try_from(self.ms).unwrap(), self.trust)
    }

    /// Lets time pass: the arm moves, live inputs are said again, whatever is due is done.
    pub(super) fn run(&mut self, ms: u64) {
        let end = self.ms + ms;
        while self.ms < end {
            while let Some(due) = self.lane.poll_timeout().filter(|due| *due < Mono::from_millis(self.ms + TICK)) {
                let now = Now { mono: due.max(self.now().mono), ..self.now() };
                self.lane.handle_timeout(now);
                assert!(self.lane.poll_timeout().is_none_or(|next| next > now.mono), "a timeout that is always due");
                self.drain();
            }
            self.ms += TICK;
            self.turn_bar();
            if self.ms.is_multiple_of(200) {
                let all: Vec<_> = self.says.iter().map(|(input, on)| (*input, *on)).collect();
                all.into_iter().for_each(|(input, on)| self.hear(input, on));
            }
            self.lane.handle_timeout(self.now());
            self.drain();
        }
    }

    fn turn_bar(&mut self) {
        if self.bar.turn(TICK) {
            for (limit, at) in [(Input::OpenLimit, UP), (Input::CloseLimit, 0)] {
                if self.says.get(&limit).is_some_and(Option::is_some) {
                    self.set(limit, Some(self.bar.at == at));
                }
            }
        }
    }

    pub(super) fn set(&mut self, input: Input, on: Option<bool>) {
        self.says.insert(input, on);
        self.hear(input, on);
    }

    pub(super) fn on(&mut self, input: Input) {
        self.set(input, Some(true));
    }

    pub(super) fn off(&mut self, input: Input) {
        self.set(input, Some(false));
    }

    fn hear(&mut self, input: Input, on: Option<bool>) {
        if self.silent.contains(&input) || !self.spec.inputs.contains(&input) {
            return;
        }
        self.heard.insert(input, (on, self.ms));
        self.event(Seen::Input { input, on });
    }

    pub(super) fn event(&mut self, what: Seen) {
        let event = LaneEvent { lane: self.spec.id.clone(), at: self.now().mono, what };
        self.lane.handle_event(&event, self.now());
        self.drain();
    }

    /// A camera reads a plate: event, plate, and what else there is.
    pub(super) fn plate(&mut self, text: &str) -> PlateSeen {
        self.events += 1;
        let read = PlateRead {
            plate: Some(Plate::new(text, PlateColour::Yellow)),
            confidence: 95,
            fake: false,
            exempt: false,
        };
        PlateSeen {
            device: "cam".into(),
            event: CameraEvent { serial: "s1".into(), number: self.events },
            read,
            direction: None,
            device_time: Some(self.now().wall),
            live: true,
            offline: false,
            opened_by_camera: false,
            flags: BTreeSet::new(),
        }
    }

    pub(super) fn read(&mut self, text: &str) -> PlateSeen {
        let seen = self.plate(text);
        self.event(Seen::Plate(seen.clone()));
        seen
    }

    /// Somebody in the vehicle shows a card.
    pub(super) fn shows(&mut self, card: &str) {
        let (reader, direction) = ("r".to_owned(), self.spec.flow.usual());
        self.event(Seen::Shown { reader, direction, credential: Credential::Card { digest: card.into() } });
    }

    /// A vehicle comes to the arm and is read.
    pub(super) fn arrives(&mut self, text: &str) {
        self.on(Input::Approach);
        self.run(300);
        self.read(text);
    }

    /// And drives through an open arm.
    pub(super) fn drives_through(&mut self) {
        for (input, on) in [
            (Input::UnderArm, true),
            (Input::Beam, true),
            (Input::Approach, false),
            (Input::Exit, true),
            (Input::UnderArm, false),
            (Input::Beam, false),
            (Input::Exit, false),
        ] {
            if self.spec.inputs.contains(&input) {
                self.set(input, Some(on));
            }
            self.run(600);
        }
    }

    pub(super) fn rule(&mut self, ask: &Ask, verdict: Verdict) -> Ruling {
        self.decisions += 1;
        let decision = DecisionId::new(format!("D{}", self.decisions));
        let passage = ask.presented.passage.clone();
        if verdict == Verdict::Allow {
            self.allowed.insert(decision.clone(), (passage.clone(), ask.presented.captured));
        }
        let reason = Reason { code: "X".into(), verdict, zh: "理由".into(), en: "reason".into(), policy: None };
        Ruling { ask: ask.ask, decision, passage, verdict, reasons: vec![reason] }
    }

    pub(super) fn answer(&mut self, ask: &Ask, verdict: Verdict) {
        let ruling = self.rule(ask, verdict);
        self.lane.handle_ruling(&ruling, self.now());
        self.drain();
    }

    pub(super) fn drain(&mut self) {
        self.opens_since = self.opens().then(|| self.opens_since.unwrap_or(self.ms));
        while let Some(output) = self.lane.poll_output() {
            self.check(&output);
            self.log.push((self.ms, output.clone()));
            match output {
                Output::Audit(audit) if audit.urgency == Urgency::AfterCommit => {
                    let receipt = match self.store {
                        Store::Works => AuditReceipt::Stored,
                        Store::Journal => AuditReceipt::Journalled,
                        Store::Fails => AuditReceipt::Failed,
                        Store::Silent => continue,
                    };
                    if let Some(entry) = self.entries.get_mut(&audit.key) {
                        entry.1 = receipt != AuditReceipt::Failed;
                    }
                    self.lane.handle_audit(&audit.key, receipt, self.now());
                }
                Output::Decide(ask) => match self.decider {
                    Decider::Says(verdict) if !ask.for_record => self.answer(&ask, verdict),
                    _ => self.asks.push(ask),
                },
                Output::Command(command) => self.carry_out(&command),
                _ => {}
            }
        }
    }

    fn carry_out(&mut self, command: &LaneCommand) {
        let deaf = self.deaf_until > self.ms;
        if !deaf {
            self.bar.obey(&command.act);
        }
        if command.act == Act::Stop {
            self.deaf_until = self.ms + self.deaf_after_stop;
        }
        let receipt = LaneReceipt {
            key: command.key.clone(),
            lane: command.lane.clone(),
            at: self.now().mono,
            carried: if deaf { Carried::Failed("the module is not connected".into()) } else { Carried::Sent },
        };
        self.lane.handle_receipt(&receipt, self.now());
    }

    /// The gateway ends and starts again. The hardware's outputs are let go, the arm stays where it is.
    pub(super) fn restart(&mut self) {
        let saved = serde_json::to_string(&self.lane.saved(self.now())).unwrap();
        self.boot += 1;
        self.bar.held = false;
        self.heard.clear();
        self.lane = Lane::restore(self.spec.clone(), self.boot, &serde_json::from_str(&saved).unwrap(), self.now());
        self.asks.clear();
        (self.last_move, self.opens_since) = (None, None);
        self.drain();
    }

    /// What holds whatever happens (`reliability.md` §5.2).
    fn check(&mut self, output: &Output) {
        match output {
            Output::Audit(audit) => {
                let entry = (audit.urgency, audit.urgency == Urgency::AtOnce);
                assert!(self.entries.insert(audit.key.clone(), entry).is_none(), "I4: one entry for each actuation");
            }
            Output::Command(command) => self.check_command(command),
            Output::Step(step) => self.check_step(step),
            _ => {}
        }
    }

    fn check_step(&mut self, step: &PassageStep) {
        let known = self.passages.get(&step.passage).copied();
        match &step.what {
            Step::Detected { .. } => assert_eq!(known, None, "a passage begins once"),
            Step::Late { .. } => return,
            _ => assert_eq!(known, Some(false), "{step:?}"),
        }
        self.passages.insert(step.passage.clone(), matches!(step.what, Step::Completed { .. }));
    }

    /// Returns whether fire contact or site hold the lane open: not anybody's will, and not ended by a restart.
    pub(super) fn opens(&self) -> bool {
        let leads_out = self.spec.leads_out();
        matches!((self.lane.rule(), leads_out), (LaneRule::Open, _) | (LaneRule::RescueOnly, true))
    }

    pub(super) fn under_way(&self) -> usize {
        self.passages.values().filter(|over| !**over).count()
    }

    fn check_command(&mut self, command: &LaneCommand) {
        let now = self.now().mono;
        assert!(command.not_after >= now, "I5: nothing is ordered that is over");
        if matches!(command.act, Act::Dismiss { .. } | Act::Show(_)) {
            return;
        }
        let entry = self.entries.get(&command.key);
        let (_, stored) = entry.unwrap_or_else(|| panic!("I4: no entry before {command:?}"));
        let leaves = self.spec.flow != Flow::In;
        assert!(*stored || leaves, "I4: the entry is stored before it moves: {command:?}");
        if matches!(command.act, Act::Open { .. } | Act::Close | Act::HoldOpen) {
            if self.spec.kind == LaneKind::Vehicle {
                let gap = self.last_move.is_none_or(|last| self.ms - last >= 1000);
                assert!(gap, "commands are a second apart: {command:?} at {}, last {:?}", self.ms, self.last_move);
            }
            self.last_move = Some(self.ms);
        }
        match &command.act {
            Act::Close => self.check_close(),
            Act::Open { .. } => self.check_open(command),
            _ => {}
        }
    }

    fn check_close(&self) {
        assert!(!self.opens(), "I2: nothing closes while fire contact or site hold it open");
        for guard in [Input::UnderArm, Input::Beam] {
            let (on, at) = self.heard.get(&guard).copied().unwrap_or((None, 0));
            assert!(on == Some(false) && self.ms - at < 500, "I3: {guard} says {on:?} since {} ms", self.ms - at);
        }
    }

    fn check_open(&mut self, command: &LaneCommand) {
        let deed = self.log.iter().rev().find_map(|(_, output)| match output {
            Output::Audit(audit) if audit.key == command.key => Some(audit.deed.clone()),
            _ => None,
        });
        let deed = deed.unwrap();
        if deed.action != "lane.open" || deed.actor.name != "parkgate" || deed.detail.contains("leaves") {
            return;
        }
        let id = DecisionId::new(deed.detail.rsplit(' ').next().unwrap());
        let (passage, captured) = self.allowed.get(&id).unwrap_or_else(|| panic!("I1: {deed:?} was not allowed"));
        assert!(deed.detail.starts_with(passage.as_str()));
        assert!(self.now().mono.since(*captured) < self.spec.timing.open_life, "I5: {deed:?}");
        assert!(self.moved.insert(id), "one decision is one actuation");
    }

    // What became of it.

    pub(super) fn count(&self, of: impl Fn(&Output) -> bool) -> usize {
        self.log.iter().filter(|(_, output)| of(output)).count()
    }

    pub(super) fn acts(&self) -> Vec<&'static str> {
        let act = |(_, output): &(u64, Output)| match output {
            Output::Command(LaneCommand { act, .. }) => match act {
                Act::Open { .. } => Some("open"),
                Act::Close => Some("close"),
                Act::Stop => Some("stop"),
                Act::HoldOpen => Some("hold"),
                Act::EndHold => Some("end_hold"),
                Act::Dismiss { .. } | Act::Show(_) => None,
            },
            _ => None,
        };
        self.log.iter().filter_map(act).collect()
    }

    pub(super) fn dismissed(&self) -> usize {
        self.count(|output| matches!(output, Output::Command(LaneCommand { act: Act::Dismiss { .. }, .. })))
    }

    pub(super) fn outcomes(&self) -> Vec<Outcome> {
        let outcome = |(_, output): &(u64, Output)| match output {
            Output::Step(PassageStep { what: Step::Completed { outcome, .. }, .. }) => Some(*outcome),
            _ => None,
        };
        self.log.iter().filter_map(outcome).collect()
    }

    pub(super) fn faults(&self) -> Vec<LaneFault> {
        let fault = |(_, output): &(u64, Output)| match output {
            Output::Fact(fact) if fact.active => Some(fact.fault),
            _ => None,
        };
        self.log.iter().filter_map(fault).collect()
    }

    pub(super) fn calls(&self) -> Vec<CallWhy> {
        let call = |(_, output): &(u64, Output)| match output {
            Output::Call(call) => Some(call.why),
            _ => None,
        };
        self.log.iter().filter_map(call).collect()
    }

    pub(super) fn steps(&self) -> Vec<&'static str> {
        let word = |(_, output): &(u64, Output)| match output {
            Output::Step(step) => Some(match step.what {
                Step::Detected { .. } => "detected",
                Step::Identified { .. } => "identified",
                Step::Decided { .. } => "decided",
                Step::Opened { .. } => "opened",
                Step::Entered => "entered",
                Step::Completed { .. } => "completed",
                Step::Late { .. } => "late",
            }),
            _ => None,
        };
        self.log.iter().filter_map(word).collect()
    }

    pub(super) fn hand(&mut self, hand: &Hand, who: &Actor) -> Result<(), String> {
        let done = self.lane.handle_hand(hand, who, "有事", self.now());
        self.drain();
        done.map_err(|refused| refused.en)
    }
}

pub(super) fn guard() -> Actor {
    Actor { name: "wang".into(), via: Via::Page, roles: BTreeSet::from([Role::Guard]) }
}

pub(super) fn supervisor() -> Actor {
    Actor { name: "zhao".into(), via: Via::Page, roles: BTreeSet::from([Role::Supervisor]) }
}

fn now(ms: u64, wall: i64, trust: ClockTrust) -> Now {
    Now { mono: Mono::from_millis(ms), wall: Timestamp(wall), trust }
}
