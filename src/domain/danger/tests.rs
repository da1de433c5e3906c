//! Stories of the machines joined.

use super::super::actor::{Actor, Refused, Role, Via};
use super::super::alarm::action::Action as Alarm;
use super::super::alarm::record::AlarmRecord;
use super::super::alarm::severity::{Class, Priority, Shelving};
use super::super::alarm::spec::{AlarmSpec, Condition, Level, PointRef, Subject};
use super::super::audit::{AuditEntry, AuditResult, verify};
use super::super::document::DocumentKind;
use super::super::order::{OrderKind, Urgency};
use super::super::reading::Value;
use super::super::record::Mode;
use super::super::registry::testing::registry_with;
use super::super::site::action::Action as SiteAction;
use super::super::site::book::Signal;
use super::super::site::state::State as SiteState;
use super::super::time::{ClockTrust, Timestamp};
use super::channels::Way;
use super::*;

/// Three levels, then two gas detectors.
pub(super) const POINTS: u16 = 5;
/// How many of them are levels.
const LEVELS: u16 = 3;

pub(super) fn at(secs: u64) -> Now {
    let wall = Timestamp(1_795_420_800_000 + i64::try_from(secs).unwrap() * 1000);
    Now { mono: Mono::from_secs(secs), wall, trust: ClockTrust::Synced }
}

pub(super) fn registry() -> Registry {
    registry_with(1, usize::from(POINTS), |_| Some(1))
}

/// A high alarm of each point at 80, the first one latching.
pub(super) fn rules() -> Rules {
    let registry = registry();
    let device = &registry.devices[0];
    let alarm = |ordinal: u16| {
        let spec = &device.points[usize::from(ordinal)];
        AlarmSpec {
            id: format!("{}.high", spec.tag).into(),
            subject: Subject::Point {
                at: PointRef { device: 0, ordinal },
                uid: spec.uid.clone(),
                tag: spec.tag.clone(),
                device: device.id.clone(),
                unit: "m".into(),
            },
            condition: Condition::High,
            class: Class::Process,
            levels: vec![Level {
                limit: Some(80.0),
                deadband: 1.0,
                priority: Priority::Orange,
                shelving: Shelving::Allowed,
            }],
            on_delay: Duration::ZERO,
            off_delay: Duration::ZERO,
            latching: ordinal == 0,
            group: None,
            suppressed_when: None,
            escalation: None,
            annunciators: Vec::new(),
            hazard_source: None,
            zone: None,
            text: "液位高 | level high".into(),
            likely_cause: String::new(),
            response: String::new(),
            mode: Mode::Real,
        }
    };
    let alarms = AlarmBook { rev: 1, alarms: (0..LEVELS).map(alarm).collect(), ..AlarmBook::default() };
    let signal = Signal {
        output: "siren-1".into(),
        zone: 0,
        values: [(SiteState::Normal, "off".to_owned()), (SiteState::Evacuate, "on".to_owned())].into(),
        in_drill: true,
        repeats: true,
    };
    let site = SiteBook { signals: vec![signal], ..SiteBook::default() };
    let horn = Way::Output { output: "horn".into(), value: "gas".into() };
    Rules {
        alarms: Arc::new(alarms),
        site: Arc::new(site),
        channels: Channels::new([("broadcast".to_owned(), horn)]),
        ..Rules::default()
    }
}

pub(super) fn person(name: &str, roles: &[Role]) -> Actor {
    Actor { name: name.into(), via: Via::Machine, roles: roles.iter().copied().collect() }
}

pub(super) struct Rig {
    pub(super) danger: Danger,
    pub(super) boot: u32,
    pub(super) told: Vec<Recorded>,
    pub(super) orders: Vec<Order>,
}

impl Rig {
    pub(super) fn started(boot: u32, now: Now) -> Self {
        Self::under(rules(), boot, now)
    }

    pub(super) fn under(rules: Rules, boot: u32, now: Now) -> Self {
        let danger = Danger::new(rules, &registry(), boot, now);
        Self { danger, boot, told: Vec::new(), orders: Vec::new() }
    }

    /// Takes what came out, and records it.
    pub(super) fn drain(&mut self, now: Now) {
        self.orders.extend(std::iter::from_fn(|| self.danger.poll_order()));
        while let Some(Telling { document, delivery }) = self.danger.poll_document() {
            let Document { kind, mode, at, json } = document;
            let at = Now { mono: at, wall: now.wall_at(at), ..now };
            let seq = self.record(Word::Document { kind, mode, json }, at);
            delivery.iter().for_each(|delivery| self.danger.handle_recorded(delivery, seq));
        }
    }

    fn record(&mut self, word: Word, at: Now) -> u64 {
        let seq = self.told.len() as u64 + 1;
        self.told.push(Recorded { seq, boot: self.boot, at, word });
        seq
    }

    /// A fact that has a record of its own.
    pub(super) fn note(&mut self, fact: daybook::Fact, now: Now) {
        self.record(Word::Fact(fact.clone()), now);
        self.danger.handle_fact(fact, now.mono, now);
        self.drain(now);
    }

    pub(super) fn read(&mut self, ordinal: u16, value: f64, now: Now) {
        let reading = (ordinal, Reading::good(Value::Number(value)), None);
        self.danger.handle_readings(0, [reading].into_iter(), now.mono, now);
        self.danger.settle(now);
        self.drain(now);
    }

    pub(super) fn act(&mut self, action: Action, actor: &Actor, now: Now) -> Result<Done, Refused> {
        let done = self.danger.handle_action(&action, actor, now);
        self.drain(now);
        done
    }

    pub(super) fn of<T: for<'de> Deserialize<'de>>(&self, kind: DocumentKind) -> Vec<T> {
        let of_kind = |told: &Recorded| match &told.word {
            Word::Document { kind: its, json, .. } if *its == kind => Some(serde_json::from_str(json).unwrap()),
            Word::Document { .. } | Word::Fact(_) => None,
        };
        self.told.iter().filter_map(of_kind).collect()
    }

    /// What stands, in the words of the active set.
    fn standing(&mut self, now: Now) -> Vec<(String, String, u32, String)> {
        let active = self.danger.view(now).alarms;
        let words = |a: &super::super::alarm::view::ActiveAlarm| {
            (a.last.alarm.to_string(), a.last.occ.to_string(), a.last.n, a.last.to.as_str().to_owned())
        };
        active.iter().map(words).collect()
    }
}

fn ack(rig: &mut Rig, alarm: &str, now: Now) -> Action {
    let occ = rig.danger.view(now).alarms.iter().find(|a| &*a.last.alarm == alarm).map(|a| a.last.occ).unwrap();
    Action::Alarm(Alarm::Ack { alarm: alarm.into(), occ, seen: None, comment: Some("已看".into()) })
}

#[test]
fn an_alarm_is_raised_acknowledged_by_a_person_and_all_of_it_is_in_the_chain() {
    let mut rig = Rig::started(3, at(0));
    rig.read(1, 85.0, at(1));
    let ack = ack(&mut rig, "d0.p1.high", at(2));
    assert!(rig.act(ack.clone(), &person("visitor", &[Role::Auditor]), at(2)).is_err());
    rig.act(ack, &person("li", &[Role::Operator]), at(3)).unwrap();
    let records: Vec<AlarmRecord> = rig.of(DocumentKind::Alarm);
    assert_eq!(records.iter().map(|r| r.n).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(records[1].actor.as_ref().unwrap().name, "li");
    let audit: Vec<AuditEntry> = rig.of(DocumentKind::Audit);
    let results: Vec<_> = audit.iter().map(|e| (e.action.as_str(), e.object.as_str(), e.result)).collect();
    assert_eq!(results, [("ack", "d0.p1.high", AuditResult::Refused), ("ack", "d0.p1.high", AuditResult::Done)]);
    assert_eq!(audit[0].before, audit[0].after, "a refusal changes nothing");
    assert_ne!(audit[1].before, audit[1].after);
    assert_eq!(verify(Head::default(), &audit), Ok(rig.danger.view(at(3)).audit));
}

#[test]
fn an_evacuation_orders_its_siren_at_once_and_a_failed_siren_is_an_alarm() {
    let mut rig = Rig::started(1, at(0));
    let chief = person("zhang", &[Role::Supervisor]);
    rig.orders.clear();
    let propose = SiteAction::Propose { zone: "park".into(), state: SiteState::Evacuate, reason: "泄漏".into() };
    let number = rig.act(Action::Site(propose), &chief, at(1)).unwrap().id.unwrap();
    let confirm = SiteAction::Confirm { proposal: number.parse().unwrap() };
    rig.danger.handle_action(&Action::Site(confirm), &chief, at(2)).unwrap();
    let first = rig.danger.poll_order().unwrap();
    assert_eq!(first.what, OrderKind::Output { output: "siren-1".into(), value: "on".into() });
    assert_eq!(first.urgency, Urgency::AtOnce);
    rig.drain(at(2));
    rig.danger.handle_receipt(&first.key, &Receipt::Failed("no answer".into()), at(3));
    rig.drain(at(3));
    let raised: Vec<AlarmRecord> = rig.of(DocumentKind::Alarm);
    assert!(raised.iter().any(|r| &*r.alarm == "output.siren-1.order"), "{raised:?}");
    assert!(!rig.danger.view(at(3)).notices.is_empty(), "the page tells people");
}

#[test]
fn a_store_that_does_not_write_is_an_alarm_until_it_writes_again() {
    let mut rig = Rig::started(1, at(0));
    rig.danger.handle_store(false, at(1));
    assert_eq!(rig.standing(at(1))[0].0, "gateway.store");
    rig.danger.handle_store(true, at(2));
    rig.drain(at(2));
    let records: Vec<AlarmRecord> = rig.of(DocumentKind::Alarm);
    assert_eq!(records.iter().filter(|r| &*r.alarm == "gateway.store").count(), 2);
}

#[test]
fn a_fault_that_went_away_while_the_gateway_was_off_is_over() {
    let mut rig = Rig::started(1, at(0));
    rig.danger.handle_store(false, at(1));
    rig.drain(at(1));
    let saved = rig.danger.saved(at(2)).texts();
    let mut next = Rig::started(2, at(10));
    assert_eq!(next.danger.restore(&saved, &[], at(10)), Vec::<String>::new());
    assert!(next.standing(at(10)).iter().all(|(id, .., state)| id != "gateway.store" || state != "unacked"));
}
