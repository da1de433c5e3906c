//! Killed at any moment, whenever it was saved last: what was recorded stands again. A long random life of a small park in
//! which people, gas, the city and the clocks do everything that the machines remember.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value as Json;

use super::super::actor::{Actor, Role, Via};
use super::super::alarm::action::Action as Alarm;
use super::super::alarm::record::AlarmRecord;
use super::super::alarm::severity::{Class, Priority, Shelving};
use super::super::alarm::spec::{AlarmSpec, Condition, Detector, Level, PointRef, Side};
use super::super::daybook::accident::{AccidentKind, Casualties, Stage};
use super::super::daybook::hazard::{Commitments, Grade, Listing, ListingLevel};
use super::super::daybook::rules::{DutyRules, Shift};
use super::super::daybook::{
    self, AccidentAction, Action as Book, Correct, CoverageFact, Date, DutyAction, Fact, HazardAction, Minute,
};
use super::super::document::DocumentKind;
use super::super::order::LaneRule;
use super::super::site::action::Action as SiteAction;
use super::super::site::book::{Carries, City, Direction, Lane, OnFire, Rule, ServicePoint, SiteBook, Zone};
use super::super::site::state::State;
use super::super::site::warning::{Warning, WarningKind};
use super::super::site::{CityCommand, CityOrder, ServiceAction, ServiceState, ServiceSubject};
use super::super::time::{ClockTrust, Timestamp};
use super::tests::{Rig, at, person, registry, rules};
use super::*;

/// Steps of one life; the issue asks for 10⁵ in all.
const STEPS: usize = 13_000;
const SEEDS: [u64; 8] = [1, 2, 3, 4, 5, 6, 7, 8];
/// The state file is that of so many steps ago at most.
const SAVED_EVERY: usize = 40;
/// A kill is tried after each so many steps on the average: each costs a restart.
const KILLED_EVERY: usize = 150;
const ZONE: &str = "tanks";

fn park() -> Rules {
    let rules = rules();
    let registry = registry();
    let points = &registry.devices[0].points;
    let mut alarms = (*rules.alarms).clone();
    let level = |limit, priority| Level { limit: Some(limit), deadband: 1.0, priority, shelving: Shelving::Allowed };
    for (n, ordinal) in [3_u16, 4].into_iter().enumerate() {
        let spec = &points[usize::from(ordinal)];
        let place = PointRef { device: 0, ordinal };
        let mut gas = AlarmSpec { id: format!("{}.gas", spec.tag).into(), ..alarms.alarms[0].clone() };
        gas.subject = alarm::spec::Subject::Point {
            at: place,
            uid: spec.uid.clone(),
            tag: spec.tag.clone(),
            device: registry.devices[0].id.clone(),
            unit: "%LEL".into(),
        };
        gas.condition = Condition::Gas { detector: n, side: Side::High, compare: true };
        gas.class = Class::Gas;
        gas.levels = vec![level(25.0, Priority::Orange), level(50.0, Priority::Red)];
        gas.zone = Some(ZONE.into());
        gas.latching = true;
        alarms.alarms.push(gas);
        alarms.detectors.push(Detector {
            at: place,
            uid: spec.uid.clone(),
            tag: spec.tag.clone(),
            device: registry.devices[0].id.clone(),
            bits: Vec::new(),
            fault: Vec::new(),
            inhibit: Vec::new(),
            bits_latch: true,
            margin: 0.0,
            drift: -5.0,
        });
    }
    let minute = |hour| Minute::new(hour, 0).unwrap();
    let shift = |name: &str, hour| Shift { name: name.into(), begins: minute(hour) };
    let duty = DutyRules {
        shifts: vec![shift("白班", 8), shift("夜班", 20)],
        checks: vec![minute(2)],
        ..DutyRules::default()
    };
    let daybook = daybook::Rules { duty, ..daybook::Rules::default() };
    Rules { alarms: Arc::new(alarms), site: Arc::new(site(&rules.site)), daybook: Arc::new(daybook), ..rules }
}

fn site(plain: &SiteBook) -> SiteBook {
    let lane = |id: &str, zone| Lane {
        id: id.into(),
        name: id.into(),
        name_en: id.into(),
        zone,
        direction: Direction::Both,
        carries: Carries::Vehicles,
        emergency: false,
        on_fire: OnFire::Open,
        service: ServiceState::InService,
    };
    let tanks =
        Zone { id: ZONE.into(), name: "罐区".into(), name_en: "tanks".into(), parent: Some(0), muster: Vec::new() };
    let two = Rule { id: "two".into(), zone: None, detectors: 2, level: 2, state: State::Evacuate, acts: false };
    let registry = registry();
    let points = registry.devices[0].points.iter().map(|point| {
        (point.uid.clone(), ServicePoint { tag: point.tag.to_string(), service: ServiceState::InService })
    });
    SiteBook {
        zones: vec![Zone::park(), tanks],
        lanes: vec![lane("main", 0), lane("tank", 1)],
        rules: vec![two],
        city: City { issuers: ["city".to_owned()].into(), states: [State::Shelter].into(), acts: true },
        points: points.collect(),
        ..plain.clone()
    }
}

/// One life: the rig, its clock, and what stood in the file.
struct Life {
    rig: Rig,
    random: fastrand::Rng,
    ms: u64,
    trust: ClockTrust,
    saved: Texts,
    recorded: usize,
    kills: usize,
}

impl Life {
    fn now(&self) -> Now {
        let Now { mono, wall, .. } = at(0);
        let passed = Duration::from_millis(self.ms);
        Now { mono: mono + passed, wall: wall.after(passed), trust: self.trust }
    }

    fn pick<T: Clone>(&mut self, of: &[T]) -> T {
        of[self.random.usize(0..of.len())].clone()
    }

    fn act(&mut self, action: Action) {
        let name = self.pick(&["li", "wang"]);
        let who = person(name, &[Role::Operator, Role::Supervisor, Role::Guard]);
        let now = self.now();
        drop(self.rig.act(action, &who, now));
    }

    fn wait(&mut self, ms: u64) {
        let end = self.ms + ms;
        while let Some(due) = self.rig.danger.poll_timeout() {
            let due = due.millis();
            if due > end {
                break;
            }
            self.ms = self.ms.max(due);
            let now = self.now();
            self.rig.danger.handle_timeout(now);
            self.rig.drain(now);
        }
        self.ms = end;
    }

    fn step(&mut self) {
        self.ms += 1_000;
        let now = self.now();
        match self.random.u8(0..51) {
            0..28 => {
                let ordinal = self.random.u16(0..super::tests::POINTS);
                let value = if ordinal < 3 { self.random.f64() * 40.0 + 60.0 } else { self.random.f64() * 80.0 };
                self.rig.read(ordinal, value, now);
            }
            28..32 => self.on_alarm(),
            32..36 => self.on_site(),
            36..38 => self.on_drill(),
            38..40 => self.on_service(),
            40..42 => self.on_duty(),
            42..45 => self.on_hazard(),
            45..47 => self.on_accident(),
            47 => self.city(),
            48 => self.receipts(),
            49 => {
                let (due, bad) = (self.random.u32(1..30), self.random.u32(0..2));
                let (device, span) = (registry().devices[0].id.to_string(), Duration::from_secs(30));
                let coverage = CoverageFact { device, span, due, ok: due - bad.min(due), bad, skipped: 0 };
                self.rig.note(Fact::Coverage(coverage), now);
                let done = self.random.bool();
                self.rig.note(Fact::Output { output: "siren-1".into(), done }, now);
            }
            // Hours are rare: each is hundreds of looks at the clock.
            _ if self.random.u8(0..50) == 0 => {
                let hours = self.pick(&[1, 3, 9, 26]);
                self.wait(hours * 3_600_000);
            }
            _ => {
                let ms = self.random.u64(0..120_000);
                self.wait(ms);
            }
        }
    }

    fn on_alarm(&mut self) {
        let standing = self.rig.danger.alarms.active(self.now());
        if standing.is_empty() {
            return;
        }
        let one = self.pick(&standing).last;
        let (alarm, occ) = (one.alarm.to_string(), one.occ);
        let (time, reason) = (Duration::from_secs(7200), "检修".to_owned());
        let action = match self.random.u8(0..6) {
            0..3 => Alarm::Ack { alarm, occ, seen: None, comment: None },
            3 => Alarm::Reset { alarm, occ, comment: None },
            4 => Alarm::Shelve { alarm, time, reason },
            _ => Alarm::Unshelve { alarm },
        };
        self.act(Action::Alarm(action));
    }

    fn on_site(&mut self) {
        let zone = self.pick(&["park", ZONE]).to_owned();
        let reason = "试".to_owned();
        let view = self.rig.danger.site.view(self.now());
        let proposal = view.proposals.first().map_or(0, |open| open.proposal);
        let action = match self.random.u8(0..9) {
            0 | 1 => SiteAction::Propose { zone, state: self.pick(&State::EMERGENCIES), reason },
            2 | 3 => SiteAction::Confirm { proposal },
            4 => SiteAction::Reject { proposal, reason },
            5 => SiteAction::End { zone, reason },
            6 | 7 => SiteAction::GiveBack { lane: self.pick(&["main", "tank"]).to_owned() },
            _ => SiteAction::Normal { zone, reason },
        };
        self.act(Action::Site(action));
    }

    fn on_drill(&mut self) {
        let (zone, barriers) = (self.pick(&["park", ZONE]).to_owned(), self.random.bool());
        let action = match self.random.u8(0..3) {
            0 => SiteAction::StartDrill {
                zone,
                rehearses: self.pick(&State::EMERGENCIES),
                barriers,
                comment: "季度".into(),
            },
            1 => SiteAction::Comment { text: "已到集合点".into() },
            _ => SiteAction::EndDrill { comment: "好".into() },
        };
        self.act(Action::Site(action));
    }

    fn on_service(&mut self) {
        let (interlock, reason) = (self.pick(&["LS101", "LS102"]).to_owned(), "检修".to_owned());
        let bypass = self.rig.danger.site.view(self.now()).bypasses.first().map_or(0, |open| open.bypass);
        let subject = match self.random.u8(0..2) {
            0 => ServiceSubject::Lane(self.pick(&["main", "tank"]).to_owned()),
            _ => ServiceSubject::Point(registry().devices[0].points[0].uid.to_string()),
        };
        let action = match self.random.u8(0..8) {
            0..4 => ServiceAction::Move { subject, to: self.pick(&ServiceState::ALL[..4]), reason },
            4 => ServiceAction::RequestBypass { interlock, reason, minutes: 90 },
            5 => ServiceAction::ApproveBypass { bypass },
            6 => ServiceAction::RejectBypass { bypass, reason },
            _ => ServiceAction::RestoreBypass { bypass, reason },
        };
        self.act(Action::Site(SiteAction::Service(action)));
    }

    fn on_duty(&mut self) {
        let date = Date(self.pick(&[20_780, 20_781]));
        let action = match self.random.u8(0..5) {
            0 => DutyAction::TakeOver { note: "正常".into() },
            1 => DutyAction::Assign { date, shift: "白班".into(), operator: "赵".into(), leader: "钱".into() },
            2 => DutyAction::Ask { limit_min: 10, reference: String::new() },
            _ => DutyAction::Answer { check: String::new(), note: "在岗".into() },
        };
        self.act(Action::Daybook(Book::Duty(action)));
    }

    fn on_hazard(&mut self) {
        let open = self.rig.danger.daybook.view(self.now()).hazards;
        let id = if open.is_empty() { String::new() } else { self.pick(&open).id };
        let comment = String::new();
        let five = Commitments {
            responsible: "li".into(),
            measures: "修".into(),
            funds: "自筹".into(),
            deadline: Date(20_785),
            plan: "巡检".into(),
        };
        let action = match self.random.u8(0..14) {
            0 if open.len() < 6 => HazardAction::Find { place: "罐区".into(), text: "漏".into() },
            1 => HazardAction::Dismiss { id, why: "误报".into() },
            2 | 3 => HazardAction::Register { id, comment },
            4 | 5 => HazardAction::Grade { id, grade: Grade::Major },
            6 => HazardAction::Assign { id, to: "li".into() },
            7 => HazardAction::Commit { id, five },
            8 => HazardAction::Submit { id, comment, explanation: "备件晚到".into() },
            9 => HazardAction::Accept { id, comment },
            10 => HazardAction::Return { id, why: "未修好".into() },
            11 => HazardAction::Close { id, comment },
            12 => {
                let listing = Listing { level: ListingLevel::City, body: "应急局".into(), notice: Date(20_781) };
                let city = Actor { via: Via::Platform, ..person("city", &[]) };
                let now = self.now();
                let listed = HazardAction::List { id, listing };
                return drop(self.rig.act(Action::Daybook(Book::Hazard(listed)), &city, now));
            }
            _ => HazardAction::Progress { id, text: "备件在途".into() },
        };
        self.act(Action::Daybook(Book::Hazard(action)));
    }

    fn on_accident(&mut self) {
        let open = self.rig.danger.daybook.view(self.now()).accidents;
        let one = (!open.is_empty()).then(|| self.pick(&open));
        let (id, draft) = one.map_or((String::new(), 0), |one| (one.accident.id, one.draft.unwrap_or(0)));
        let stage = self.pick(&[Stage::First, Stage::Continued, Stage::Final, Stage::Supplement]);
        let action = match self.random.u8(0..8) {
            0 if open.len() < 4 => AccidentAction::Open {
                kind: AccidentKind::Leak,
                place: "罐区".into(),
                text: "法兰泄漏".into(),
                occurred_at: None,
            },
            1 => AccidentAction::Withdraw { id, why: "误报".into() },
            2..5 => AccidentAction::Draft { id, stage, text: "情况".into(), casualties: Casualties::default() },
            5 | 6 => AccidentAction::Confirm { id, draft },
            _ => {
                let day = self.rig.danger.daybook.view(self.now()).reports.last().map_or(Date(0), |(day, ..)| *day);
                return self.act(Action::Daybook(Book::Report(Correct { day, reason: "更正".into() })));
            }
        };
        self.act(Action::Daybook(Book::Accident(action)));
    }

    fn city(&mut self) {
        let id = self.pick(&["w1", "w2"]).to_owned();
        let now = self.now();
        let until = self.random.bool().then(|| now.wall.after(Duration::from_secs(7_200)));
        let level = Some(self.random.u8(1..5));
        let warning = Warning {
            id: id.clone(),
            kind: WarningKind::Flood,
            level,
            issuer: "city".into(),
            text: String::new(),
            until,
        };
        let what = match self.random.u8(0..6) {
            0 | 1 => CityOrder::Warn(warning),
            2 => CityOrder::Withdraw { id },
            3 => CityOrder::State { zone: ZONE.into(), state: State::Shelter, reason: "暴雨".into() },
            _ => return self.act(Action::Site(SiteAction::AcknowledgeWarning { id })),
        };
        drop(self.rig.danger.handle_city(CityCommand { id: "c".into(), issuer: "city".into(), what }, now));
        self.rig.drain(now);
    }

    fn receipts(&mut self) {
        let now = self.now();
        for order in std::mem::take(&mut self.rig.orders) {
            let failed = self.random.u8(0..5) == 0;
            let receipt = if failed { Receipt::Failed("占线".into()) } else { Receipt::Done };
            self.rig.danger.handle_receipt(&order.key, &receipt, now);
        }
        self.rig.drain(now);
    }

    /// The power goes now. What stands in the next start is what stood.
    fn kill(&mut self, step: usize) -> Rig {
        let now = self.now();
        // Both look at their clocks: what is over by now is over in both.
        self.rig.danger.handle_timeout(now);
        self.rig.drain(now);
        let before = standing(&self.rig.danger, now);
        let mut next = Rig::under(park(), self.rig.boot + 1, now);
        let trouble = next.danger.restore(&self.saved, &self.rig.told[self.recorded..], now);
        assert_eq!(trouble, Vec::<String>::new());
        next.danger.handle_timeout(now);
        let after = standing(&next.danger, now);
        next.drain(now);
        // Where the restart itself ended an alarm (of a person's proposal, which lapsed), or found at its first look a
        // device that has been silent for too long, that is counted too.
        let quiet =
            next.of::<AlarmRecord>(DocumentKind::Alarm).is_empty() && next.of::<Json>(DocumentKind::Hazard).is_empty();
        for ((name, before), (_, after)) in before.iter().zip(&after).filter(|((name, _), _)| quiet || *name != "today")
        {
            let differs = before.lines().zip(after.lines()).find(|(before, after)| before != after);
            assert!(
                differs.is_none() && before.len() == after.len(),
                "{name}, step {step}: {differs:?}\n{before}\n{after}"
            );
        }
        assert_eq!(next.danger.chain.head(), self.rig.danger.chain.head());
        self.kills += 1;
        next
    }
}

/// All that must outlive a kill, by name. Left out is what a restart changes by its nature: orders are given anew, a person's
/// proposal lapses, times that are left are those of the save.
fn standing(danger: &Danger, now: Now) -> Vec<(&'static str, String)> {
    let view = danger.view(now);
    let text = |value: Json| serde_json::to_string_pretty(&value).unwrap();
    let alarms = view.alarms.iter().filter(|alarm| &*alarm.last.alarm != "site.proposal");
    let alarms =
        alarms.map(|a| format!("{} {} {} {:?} {}", a.last.alarm, a.last.occ, a.last.n, a.last.to, a.last.level));
    let site = &view.site;
    // Of a zone that has always been normal nobody says since when.
    let zones = site.zones.iter().map(|zone| {
        let mut zone = zone.clone();
        zone.since = if zone.cause.is_none() { Timestamp(0) } else { zone.since };
        zone
    });
    let zones: Vec<_> = zones.collect();
    let lanes: Vec<(String, LaneRule, ServiceState)> =
        site.lanes.iter().map(|lane| (lane.id.clone(), lane.rule, lane.service)).collect();
    let proposals = site.proposals.iter().filter(|open| open.lapses_s.is_none());
    let proposals = proposals.map(|p| format!("{} {:?} {:?} {}", p.zone, p.state, p.cause, p.by));
    let book = &view.daybook;
    let hazards: Vec<_> = book.hazards.iter().filter(|h| h.cause.is_none() || h.found_at != now.wall).collect();
    let checks: Vec<_> = book.checks.iter().map(|(check, _)| check).collect();
    let accidents: Vec<_> = book.accidents.iter().map(|a| (&a.accident, a.last, a.draft)).collect();
    let today = view.today.map(|today| {
        let mut today = serde_json::to_value(today).unwrap();
        let members = today.as_object_mut().unwrap();
        // When it was written; the time of a run is known up to its last record.
        for name in
            ["generated_at", "hash", "running", "clock", "is_late", "late_by_ms", "store", "why_not_nil", "omitted"]
        {
            members.remove(name);
        }
        let alarms = members.get_mut("alarms").and_then(Json::as_object_mut).unwrap();
        // Counted over minutes, not by records.
        for name in ["floods", "chattering"] {
            alarms.remove(name);
        }
        today
    });
    vec![
        ("alarms", alarms.collect::<Vec<_>>().join("\n")),
        ("zones", text(serde_json::to_value(&zones).unwrap())),
        ("lanes", format!("{lanes:?}")),
        ("fire", text(serde_json::to_value(&site.fire).unwrap())),
        ("proposals", proposals.collect::<Vec<_>>().join("\n")),
        ("drill", text(serde_json::to_value(&site.drill).unwrap())),
        ("warnings", text(serde_json::to_value(&site.warnings).unwrap())),
        ("service", text(serde_json::to_value(&site.service).unwrap())),
        ("bypasses", text(serde_json::to_value(&site.bypasses).unwrap())),
        ("shift", format!("{:?} {:?} {}", book.shift, book.taken_by, book.not_taken)),
        ("checks", text(serde_json::to_value(checks).unwrap())),
        ("hazards", format!("{hazards:#?}")),
        ("accidents", format!("{accidents:?}")),
        ("reports", format!("{:?} {:?} {}", book.next, book.reports, book.undated)),
        ("under way", book.undelivered.to_string()),
        ("today", today.map_or(String::new(), text)),
    ]
}

/// Two tests, so that two cores share them.
#[test]
fn a_kill_at_any_moment_loses_nothing_that_was_recorded() {
    live(&SEEDS[..SEEDS.len() / 2]);
}

#[test]
fn a_kill_at_any_moment_loses_nothing_that_was_recorded_in_other_lives() {
    live(&SEEDS[SEEDS.len() / 2..]);
}

fn live(seeds: &[u64]) {
    let (mut steps, mut kills) = (0, 0);
    for seed in seeds {
        let rig = Rig::under(park(), 1, at(0));
        let (random, saved) = (fastrand::Rng::with_seed(*seed), rig.danger.saved(at(0)).texts());
        let mut life = Life {
            rig,
            random,
            ms: 0,
            trust: ClockTrust::Synced,
            // The first file is written when the gateway has started.
            saved,
            recorded: 0,
            kills: 0,
        };
        for step in 0..STEPS {
            if life.random.usize(0..SAVED_EVERY) == 0 {
                life.saved = life.rig.danger.saved(life.now()).texts();
                // What was recorded before is of no use any more.
                life.rig.told.clear();
                life.recorded = 0;
            }
            life.step();
            if life.random.usize(0..KILLED_EVERY) != 0 {
                continue;
            }
            let next = life.kill(step);
            // Now and then the life goes on in it, with the old file and all records since.
            if life.random.u8(0..8) == 0 {
                let told = std::mem::replace(&mut life.rig, next).told;
                life.rig.told.splice(0..0, told);
                let now = life.now();
                life.rig.note(Fact::Boot { last_seen: Some(now.wall), off: None, clean: false }, now);
            }
        }
        (steps, kills) = (steps + STEPS, kills + life.kills);
    }
    assert!(steps >= 50_000 && kills > 200, "{steps} steps, {kills} kills");
}
