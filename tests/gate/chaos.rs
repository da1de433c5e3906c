//! What holds of the gates as a whole, whatever happens: 10⁵ acts of what hardware, people, policies, the store, the clock, the
//! fire contact, another gateway, cuts and restarts do to a few lanes that share one register, one account and one store of
//! waybills. What holds of a single lane is checked with the lane (`lane/tests/properties.rs`); every failing run is named by
//! its seed.
//!
//! | `reliability.md` §5.2 | here |
//! |---|---|
//! | I1 nobody comes in without a permit, a person's word, or an emergency | `check_open` |
//! | I2 what is to be open for the sake of life is, within 2 s, and stays | `check_held` |
//! | I3 a close follows from a fresh "clear" of sensors that work | `Park::carry_out` |
//! | I4 one entry of the audit for each actuation, before it | `check_command`, `Park::take` |
//! | I5 no opening is older than its life | `Park::carry_out` |
//! | I6 a restart moves nothing | `restart` |
//! | I7 nothing from afar opens a lane | `hand`, `paper`, `peer` |
//!
//! | `domain.md` (d) | here |
//! |---|---|
//! | a count is what the events come to, never below zero, and changes with them alone | `check`, `check_account` |
//! | a waybill is used by one completed entry at most, and an entry uses one | `check_waybills` |
//! | nothing closes on what is under the arm | I3 |
//! | nobody who leaves is refused; in an evacuation everything goes out | `check_decision` |

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use fastrand::Rng;
use parkgate::domain::actor::{Actor, Role, Via};
use parkgate::domain::audit::Deed;
use parkgate::domain::gate::decide::{Judged, Policies};
use parkgate::domain::gate::desk::Answer;
use parkgate::domain::gate::facts::{Facts, PermitState, Subject as Of};
use parkgate::domain::gate::gates::Settings;
use parkgate::domain::gate::hardware::{Act, Input, LaneCommand, Seen};
use parkgate::domain::gate::hazmat;
use parkgate::domain::gate::inside::event::{Body, Correction, Crossed, Source, VehicleSeen};
use parkgate::domain::gate::inside::{self, EventId, InsideAction, Phase as Way, Stock, ZoneRule};
use parkgate::domain::gate::lane::spec::Service;
use parkgate::domain::gate::lane::{AuditReceipt, Hand, Phase};
use parkgate::domain::gate::verdict::{Reason, Verdict};
use parkgate::domain::gate::word::{Direction, GateId, GatewayId, LaneId, PassageId, VehicleClass, ZoneClass, ZoneId};
use parkgate::domain::order::LaneRule;
use parkgate::domain::site::State;
use parkgate::domain::time::ClockTrust;

use super::papers;
use super::park::{Kept, Park, Store, Word, guard, supervisor};

pub(super) const RUNS: u64 = 400;
const STEPS: u32 = 250;
const LANES: [&str; 3] = ["h-in", "h-out", "door"];
const PLATES: [&str; 3] = ["皖A11111", "皖A22222", "皖A33333"];
/// Another gateway of the park.
const PEER: &str = "gw2";
const PERSONS: [&str; 3] = ["v1", "v2", "stranger"];

/// Policies of one line.
#[derive(Clone, Copy, Debug)]
enum Rule {
    /// Whoever has a valid permit.
    Permit,
    Nobody,
    Everybody,
    /// A guard decides.
    Guard,
    /// The policies cannot be asked.
    Broken,
}

impl Policies for Rule {
    fn judge(&self, facts: &Facts) -> Judged {
        let reason =
            |code: &str, verdict| Reason { code: code.into(), verdict, zh: code.into(), en: code.into(), policy: None };
        let permit = match &facts.subject {
            Of::Person(person) => person.permit.state,
            Of::Vehicle(vehicle) => vehicle.permit.state,
        };
        let permits = vec![reason("OK", Verdict::Allow)];
        let against = |verdict| Judged { forbids: vec![reason("NO", verdict)], ..Judged::default() };
        match self {
            Self::Everybody => Judged { permits, ..Judged::default() },
            Self::Permit if permit == PermitState::Valid => Judged { permits, ..Judged::default() },
            Self::Permit | Self::Nobody => against(Verdict::Deny),
            Self::Guard => against(Verdict::Refer),
            Self::Broken => Judged::default(),
        }
    }

    fn revision(&self) -> &str {
        match self {
            Self::Permit => "permit",
            Self::Nobody | Self::Everybody | Self::Guard | Self::Broken => "other",
        }
    }
}

fn settings() -> Settings {
    let all = papers::small_park();
    let lanes = all.lanes.into_iter().filter(|lane| LANES.contains(&lane.id.as_str())).collect();
    let zones = [(ZoneId::new("park"), ZoneRule::of(ZoneClass::General))].into();
    let peers = [GatewayId::new(PEER)].into();
    Settings { lanes, inside: inside::Rules { zones, peers, ..inside::Rules::default() }, ..all }
}

fn pick<T: Copy>(rng: &mut Rng, of: &[T]) -> T {
    of[rng.usize(..of.len())]
}

/// One run.
struct Run {
    park: Park,
    rng: Rng,
    seed: u64,
    waybills: u32,
    decided: BTreeSet<String>,
    crossed: BTreeSet<String>,
    stocks: inside::Stocks,
    /// Since when each lane is to be held open for the sake of life.
    opens: BTreeMap<&'static str, u64>,
    /// By which passage each waybill was used.
    used: BTreeMap<String, String>,
    /// Uses of permits that began or ended.
    uses: usize,
    keys: BTreeSet<String>,
    /// Events of the other gateway.
    shared: u64,
    /// The state file: as old as the run makes it.
    kept: Option<Kept>,
}

impl Run {
    fn new(seed: u64) -> Self {
        let mut park = Park::open(settings(), Arc::new(Rule::Permit));
        PLATES.iter().enumerate().for_each(|(n, plate)| park.truck(plate, &format!("W{n}")));
        PERSONS.iter().take(2).for_each(|person| park.visitor(person));
        park.vigilant = true;
        park.seen.order.clear();
        let (rng, decided, crossed, opens) = (Rng::with_seed(seed), BTreeSet::new(), BTreeSet::new(), BTreeMap::new());
        let (stocks, used, keys) = (inside::Stocks::default(), BTreeMap::new(), BTreeSet::new());
        let (waybills, uses, shared, kept) = (0, 0, 0, None);
        Self { park, rng, seed, waybills, decided, crossed, stocks, opens, used, uses, keys, shared, kept }
    }

    fn step(&mut self) {
        let lane = pick(&mut self.rng, &LANES);
        if self.rng.u8(..16) == 0 {
            self.kept = Some(self.park.save());
        }
        match self.rng.u8(..44) {
            0..=7 => self.input(lane),
            8..=12 => self.arrives(lane),
            13..=16 => self.drives(lane),
            17 => self.kept(lane),
            18..=21 => self.person(),
            22 => self.silence(lane),
            23 => {
                let rules = [
                    Rule::Permit,
                    Rule::Permit,
                    Rule::Permit,
                    Rule::Nobody,
                    Rule::Everybody,
                    Rule::Guard,
                    Rule::Broken,
                ];
                self.park.rule_by(Arc::new(pick(&mut self.rng, &rules)));
            }
            24 => self.park.store = pick(&mut self.rng, &[Store::Works, Store::Works, Store::Late, Store::Fails]),
            25 | 26 => {
                let receipt =
                    pick(&mut self.rng, &[AuditReceipt::Stored, AuditReceipt::Journalled, AuditReceipt::Failed]);
                self.park.answer_audits(2, receipt);
            }
            27 | 28 => self.hand(lane),
            29 => self.answer(),
            30 => self.site(lane),
            31 => {
                let on = pick(&mut self.rng, &[Some(true), Some(false), Some(false), None]);
                self.park.set(lane, Input::Fire, on);
            }
            32 => {
                self.park.set(lane, Input::Fire, Some(false));
                self.act(lane, &Hand::ResetFire, &supervisor());
            }
            33 => self.restart(),
            34 => {
                self.park.trust = pick(&mut self.rng, &[ClockTrust::Synced, ClockTrust::Synced, ClockTrust::Unsynced]);
                let shift = pick(&mut self.rng, &[0, 0, 600_000, -600_000]);
                self.park.shift_clock(shift);
            }
            35 => self.count(),
            36 => self.paper(),
            37 => self.park.world(lane).bar.broken = self.rng.u8(..4) == 0,
            40 | 41 => self.peer(),
            42 => self.settle(),
            43 => self.serve(lane),
            _ => {
                let ms = self.rng.u64(1_000..40_000);
                self.park.run(ms);
            }
        }
        let ms = 100 * self.rng.u64(0..5);
        self.park.run(ms);
    }

    fn input(&mut self, lane: &str) {
        let inputs: Vec<Input> =
            self.park.lane(lane).spec().inputs.iter().copied().filter(|input| *input != Input::Fire).collect();
        let input = pick(&mut self.rng, &inputs);
        // A limit says where the arm is.
        if !matches!(input, Input::OpenLimit | Input::CloseLimit) {
            let on = pick(&mut self.rng, &[Some(true), Some(true), Some(false), Some(false), None]);
            self.park.set(lane, input, on);
        }
    }

    fn arrives(&mut self, lane: &str) {
        if lane == "door" {
            return self.person();
        }
        self.park.set(lane, Input::Approach, Some(true));
        self.park.run(200);
        if self.rng.bool() {
            let direction = pick(&mut self.rng, Direction::ALL);
            self.park.shows(lane, "driver", direction);
        }
        let plate = Some(papers::yellow(pick(&mut self.rng, &PLATES))).filter(|_| self.rng.u8(..8) > 0);
        let mut seen = self.park.read(lane, plate);
        seen.live = self.rng.u8(..10) > 0;
        self.park.event(&LaneId::new(lane), Seen::Plate(seen.clone()));
        if self.rng.u8(..4) == 0 {
            self.park.event(&LaneId::new(lane), Seen::Plate(seen));
        }
    }

    fn drives(&mut self, lane: &str) {
        self.park.run(1_600);
        for (input, on) in Park::WAY {
            self.park.set(lane, input, Some(on));
            self.park.run(300);
        }
    }

    /// A record that a camera had kept.
    fn kept(&mut self, lane: &str) {
        let plate = Some(papers::yellow(pick(&mut self.rng, &PLATES)));
        let mut seen = self.park.read(lane, plate);
        let ago = std::time::Duration::from_secs(self.rng.u64(..20_000));
        (seen.live, seen.offline, seen.device_time) = (false, true, Some(self.park.now().wall.before(ago)));
        let before = self.park.seen.order.len();
        self.park.event(&LaneId::new(lane), Seen::Plate(seen));
        // An arm that was to come down at this very moment does so, whatever comes.
        let came = self.park.seen.order.get(before..).unwrap_or_default();
        let moved = came.iter().any(|word| matches!(word, Word::Command(command) if command.act != Act::Close));
        assert!(!moved, "a kept record moves nothing: seed {}: {came:?}", self.seed);
    }

    /// A person who leaves is opened for at once, whatever policies, store and clock say.
    fn person(&mut self) {
        let person = pick(&mut self.rng, &PERSONS);
        let direction = pick(&mut self.rng, Direction::ALL);
        let before = self.park.moves("door").len();
        self.park.shows("door", person, direction);
        if direction == Direction::Out {
            let held = self.park.lane("door").phase() == Phase::Held;
            assert!(held || self.park.moves("door").len() > before, "seed {}: a person waits", self.seed);
        }
        if self.rng.bool() {
            for (input, on) in
                [(Input::DoorOpen, true), (Input::Passed, true), (Input::Passed, false), (Input::DoorOpen, false)]
            {
                self.park.set("door", input, Some(on));
                self.park.run(200);
            }
        }
    }

    fn silence(&mut self, lane: &str) {
        let inputs: Vec<Input> = self.park.lane(lane).spec().inputs.iter().copied().collect();
        let input = pick(&mut self.rng, &inputs);
        let world = self.park.world(lane);
        if !world.silent.remove(&input) {
            world.silent.clear();
            world.silent.insert(input);
        }
    }

    fn act(&mut self, lane: &str, hand: &Hand, actor: &Actor) -> bool {
        let now = self.park.now();
        let done = self.park.gates.handle_hand(&LaneId::new(lane), hand, actor, "有事", now).is_ok();
        self.park.drain();
        done
    }

    fn hand(&mut self, lane: &str) {
        let hands = [
            Hand::Open { emergency: false },
            Hand::Open { emergency: false },
            Hand::Refuse,
            Hand::Close,
            Hand::EndHold,
        ];
        let hand = hands[self.rng.usize(..hands.len())].clone();
        let afar = Actor { name: "city".into(), via: Via::Platform, roles: Role::ALL.into() };
        assert!(!self.act(lane, &hand, &afar), "I7: nothing from afar moves a lane, seed {}", self.seed);
        self.act(lane, &hand, &guard());
    }

    fn answer(&mut self) {
        let tickets: Vec<String> = self.park.gates.desk().open().map(|ticket| ticket.ticket.clone()).collect();
        let Some(ticket) = tickets.first() else { return };
        let answer = pick(&mut self.rng, &[Answer::Pass, Answer::TurnBack, Answer::Spoken]);
        let now = self.park.now();
        self.park.gates.handle_answer(ticket, answer, &guard(), "看过", now).ok();
        self.park.drain();
    }

    fn site(&mut self, lane: &str) {
        let rules = [
            LaneRule::Normal,
            LaneRule::Normal,
            LaneRule::NoEntry,
            LaneRule::Open,
            LaneRule::RescueOnly,
            LaneRule::Guarded,
        ];
        let rule = pick(&mut self.rng, &rules);
        let state = if rule == LaneRule::Open { State::Evacuate } else { State::Normal };
        let now = self.park.now();
        self.park.gates.handle_rule(&LaneId::new(lane), "k", rule, state, false, now);
        if state == State::Evacuate {
            self.park.gates.handle_evacuation(&ZoneId::new("park"), "e1", false, &supervisor(), now).ok();
        }
        self.park.drain();
    }

    /// A restart moves nothing by itself: only what holds open for the sake of life, or what a person holds.
    fn restart(&mut self) {
        self.check();
        let life: Vec<bool> = LANES.iter().map(|lane| self.is_life(lane)).collect();
        let before: Vec<usize> = LANES.iter().map(|lane| self.park.moves(lane).len()).collect();
        let off = pick(&mut self.rng, &[500, 20_000, 200_000]);
        // A kill finds a file that is older than the last passages; an orderly end writes it anew.
        match self.kept.take().filter(|_| self.rng.bool()) {
            Some(kept) => self.park.restart_from(&kept, off),
            None => self.park.restart(off),
        }
        self.park.run(1_000);
        for (n, lane) in LANES.iter().enumerate() {
            let moved = self.park.moves(lane).len() > before[n];
            let life = life[n] || self.is_life(lane);
            assert!(life || !moved, "I6, seed {}: {lane} {:?}", self.seed, self.park.moves(lane).last());
        }
        self.opens.clear();
    }

    fn is_life(&self, lane: &str) -> bool {
        let lane = self.park.lane(lane);
        matches!((lane.rule(), lane.spec().leads_out()), (LaneRule::Open, _) | (LaneRule::RescueOnly, true))
    }

    fn count(&mut self) {
        let now = self.park.now();
        let by = self.rng.i32(-2..3);
        let zones = [(ZoneId::new("park"), inside::Stocks { persons: self.rng.u32(..9), ..inside::Stocks::default() })];
        let (zone, stock, reason) = (ZoneId::new("park"), Stock::Vehicles(VehicleClass::Hazmat), "看过".to_owned());
        let action = match self.rng.u8(..3) {
            0 => InsideAction::Count { zones: zones.into(), list: None, reason },
            _ => InsideAction::Correct { zone, stock, by, subject: None, reason },
        };
        self.park.gates.handle_inside(action, &supervisor(), now).ok();
        self.park.drain();
    }

    /// A new waybill.
    fn paper(&mut self) {
        self.waybills += 1;
        let plate = pick(&mut self.rng, &PLATES);
        let waybill = papers::waybill(&format!("N{}-{}", self.seed, self.waybills), plate, "driver", "escort");
        let now = self.park.now();
        let moved = self.park.seen.commands;
        self.park
            .gates
            .handle_hazmat(|hazmat: &mut hazmat::Hazmat| hazmat.handle_waybill(waybill, "story", now), now)
            .ok();
        self.park.drain();
        assert_eq!(self.park.seen.commands, moved, "I7: a waybill alone moves nothing: seed {}", self.seed);
        // Who handed it in hears that it is taken when it is saved.
        self.kept = Some(self.park.save());
    }

    /// The other gateway is heard, or what passed there comes; between them lies a cut.
    fn peer(&mut self) {
        let now = self.park.now();
        self.park.gates.handle_heard(GatewayId::new(PEER), now);
        if self.rng.bool() {
            return;
        }
        self.shared += 1;
        let way = pick(&mut self.rng, Direction::ALL);
        let park = vec![ZoneId::new("park")];
        let (enters, leaves) = if way == Direction::In { (park, Vec::new()) } else { (Vec::new(), park) };
        let source = Source { gateway: GatewayId::new(PEER), boot: 1 };
        let plate = Some(papers::yellow(pick(&mut self.rng, &PLATES)));
        let crossed = Crossed {
            passage: PassageId::new(format!("{PEER}-{}", self.shared)),
            gate: GateId::new("g9"),
            lane: LaneId::new("far"),
            direction: way,
            enters,
            leaves,
            vehicle: Some(VehicleSeen { plate, class: VehicleClass::Hazmat }),
            persons: Vec::new(),
            unidentified: 1,
            assumed: false,
            company: None,
            camera: None,
            late: false,
            authorised: true,
        };
        let id = EventId { source: source.clone(), n: self.shared };
        let at = now.wall.before(std::time::Duration::from_secs(self.rng.u64(..600)));
        let (seq, clock, body) = (self.shared, now.trust, Body::Crossed(crossed));
        let event = inside::Event { source, seq, id, version: 1, at, clock, body };
        let moved = self.park.seen.commands;
        self.park.gates.handle_shared([event], now);
        self.park.drain();
        assert_eq!(self.park.seen.commands, moved, "I7: another gateway moves nothing here: seed {}", self.seed);
    }

    /// A person says what became of a passage in doubt.
    fn settle(&mut self) {
        let now = self.park.now();
        let doubts = self.park.gates.view(now).inside.in_doubt;
        let Some(doubt) = doubts.first() else { return };
        let (event, crossed) = (doubt.event.clone(), self.rng.bool());
        let settle = InsideAction::Settle { event, crossed, reason: "看过录像".into() };
        self.park.gates.handle_inside(settle, &supervisor(), now).ok();
        self.park.drain();
    }

    /// The commissioning of a lane changes; the register is changed by others for a while.
    fn serve(&mut self, lane: &str) {
        let now = self.park.now();
        match self.rng.u8(..4) {
            0 => drop(self.park.gates.hold_register()),
            1 => self.park.gates.release_register(now),
            _ => {
                let services = [Service::InService, Service::InService, Service::Stopped, Service::Commissioning];
                let service = pick(&mut self.rng, &services);
                self.park.gates.handle_commissioning(&LaneId::new(lane), service, now);
            }
        }
        self.park.drain();
    }

    /// Looks at what came out since the last look.
    fn check(&mut self) {
        let seed = self.seed;
        let words = std::mem::take(&mut self.park.seen.order);
        let mut changed = false;
        for word in &words {
            match word {
                Word::Decided(id) => {
                    self.check_decision(id);
                    self.decided.insert(id.clone());
                }
                Word::Command(command) => self.check_command(command),
                Word::Crossed(passage) => {
                    changed = true;
                    assert!(self.crossed.insert(passage.clone()), "{passage} crossed twice: seed {seed}");
                    let phase = self.park.seen.passages.get(passage).map(|passage| passage.phase);
                    assert_eq!(phase, Some(Way::Completed), "only a completed passage counts: seed {seed}");
                }
                Word::Counted => changed = true,
                Word::Used => self.uses += 1,
            }
        }
        assert!(self.uses <= self.crossed.len(), "only a crossing uses up a permit: seed {seed}");
        let stocks = self.park.gates.inside().stocks(&ZoneId::new("park"));
        assert!(changed || stocks == self.stocks, "counts changed without an event: seed {seed}");
        self.stocks = stocks;
        self.check_waybills();
        self.check_held();
    }

    /// A waybill is used by one completed entry, once and for ever; no entry uses two.
    fn check_waybills(&mut self) {
        let seed = self.seed;
        let mut by: BTreeSet<String> = BTreeSet::new();
        for entry in self.park.gates.hazmat().waybills().iter() {
            let number = entry.waybill.number.to_string();
            let Some(passage) = entry.used.as_ref().map(|used| used.passage.to_string()) else {
                assert!(!self.used.contains_key(&number), "{number} is new again: seed {seed}");
                continue;
            };
            assert!(self.crossed.contains(&passage), "a waybill without a crossing: seed {seed}");
            assert!(by.insert(passage.clone()), "{passage} used two waybills: seed {seed}");
            let before = self.used.entry(number.clone()).or_insert_with(|| passage.clone());
            assert_eq!(*before, passage, "{number} was used twice: seed {seed}");
        }
    }

    /// Nobody who leaves is refused, a person never; in an evacuation everything goes out.
    fn check_decision(&self, id: &str) {
        let decision = &self.park.seen.decisions[id];
        if decision.direction == Direction::In {
            return;
        }
        let most = match &decision.facts.subject {
            _ if decision.facts.is_released() => Verdict::Allow,
            Of::Person(_) => Verdict::Allow,
            Of::Vehicle(_) => Verdict::Hold,
        };
        assert!(decision.verdict <= most, "who leaves: {:?}, seed {}", decision.reasons, self.seed);
    }

    fn check_command(&mut self, command: &LaneCommand) {
        let seed = self.seed;
        assert!(self.keys.insert(command.key.clone()), "I4: one entry, one actuation: {command:?}, seed {seed}");
        let (deed, stored) = &self.park.seen.audits[&command.key];
        // Whoever leaves waits for no store, nor does the guard who lets somebody out by the door.
        let out =
            command.lane.as_str() == "h-out" || (command.lane.as_str() == "door" && deed.actor.name != "parkgate");
        assert!(*stored || out, "I4: the entry is stored before it moves: {command:?}, seed {seed}");
        if let Act::Open { .. } = command.act {
            self.check_open(command, deed);
        }
    }

    /// I1: an opening follows from a decision for a valid permit, from a named person, from who leaves, or from an emergency.
    fn check_open(&self, command: &LaneCommand, deed: &Deed) {
        let seed = self.seed;
        if deed.action != "lane.open" || deed.actor.name != "parkgate" || deed.detail.contains("leaves") {
            return;
        }
        let id = deed.detail.rsplit(' ').next().unwrap_or_default();
        assert!(self.decided.contains(id), "the decision is recorded before its command: {deed:?}, seed {seed}");
        let decision = &self.park.seen.decisions[id];
        assert_eq!((decision.verdict, &decision.lane), (Verdict::Allow, &command.lane), "I1, seed {seed}");
        let valid = match &decision.facts.subject {
            Of::Person(person) => person.permit.state == PermitState::Valid,
            Of::Vehicle(vehicle) => vehicle.permit.state == PermitState::Valid,
        };
        let emergency = decision.facts.is_released();
        assert!(valid || emergency || decision.policy_rev != "permit", "I1: {:?}, seed {seed}", decision.reasons);
    }

    /// I2: what is to be open for the sake of life is held open within two seconds, and stays.
    fn check_held(&mut self) {
        let ms = self.park.ms();
        for lane in LANES {
            if !self.is_life(lane) {
                self.opens.remove(lane);
                continue;
            }
            let since = *self.opens.entry(lane).or_insert(ms);
            let held = self.park.lane(lane).phase() == Phase::Held;
            assert!(held || ms < since + 2_000, "I2: {lane} is not held open, seed {}", self.seed);
        }
    }

    /// The counts are what all events together come to.
    fn check_account(&self) {
        let mut held: BTreeMap<EventId, &inside::Event> = BTreeMap::new();
        for event in &self.park.seen.events {
            let newer = held.get(&event.id).is_none_or(|held| event.version > held.version);
            if newer {
                held.insert(event.id.clone(), event);
            }
        }
        let mut line: Vec<&inside::Event> = held.into_values().collect();
        line.sort_by_key(|event| event.order());
        for stock in [Stock::Persons, Stock::Vehicles(VehicleClass::Hazmat)] {
            let mut count = 0_i64;
            for event in &line {
                count = match &event.body {
                    Body::Counted(counted) => {
                        counted.zones.values().next().map_or(count, |stocks| i64::from(stocks.of(stock)))
                    }
                    Body::Corrected(Correction { stock: of, by, .. }) if *of == stock => count + i64::from(*by),
                    Body::Crossed(crossed) => {
                        let way = i64::from(!crossed.enters.is_empty()) - i64::from(!crossed.leaves.is_empty());
                        count + way * i64::from(crossed.of(stock))
                    }
                    Body::Void { .. }
                    | Body::Corrected(_)
                    | Body::Violated(_)
                    | Body::Reviewed { .. }
                    | Body::Loose(_)
                    | Body::Settled { .. } => count,
                }
                .max(0);
            }
            assert_eq!(i64::from(self.park.inside(stock)), count, "{stock:?}, seed {}", self.seed);
        }
    }
}

/// Lives through one run. Returns how much was said to the machine.
pub(super) fn run(seed: u64) -> u64 {
    let mut run = Run::new(seed);
    for _ in 0..STEPS {
        run.step();
        run.check();
    }
    run.check_account();
    run.park.words
}
