//! Stories of the machines joined.

use super::super::actor::{Actor, Refused, Role, Via};
use super::super::alarm::action::Action as Alarm;
use super::super::alarm::record::AlarmRecord;
use super::super::alarm::severity::{Class, Priority, Recipient, Shelving};
use super::super::alarm::spec::{AlarmSpec, Condition, Escalation, Level, PointRef, Step, Subject};
use super::super::audit::{AuditEntry, AuditResult, verify};
use super::super::daybook::Minute;
use super::super::daybook::rules::{DutyRules, RosterDay, RosterEntry, Shift};
use super::super::document::DocumentKind;
use super::super::order::{Addressee, OrderKind, Urgency};
use super::super::phone::{Phone, Phones};
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
        let reading = Reading::good(Value::Number(value));
        self.danger.handle_readings(0, [(ordinal, &reading, None)].into_iter(), now.mono, now);
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
fn what_somebody_without_a_role_wants_is_refused_and_in_the_chain() {
    let mut rig = Rig::started(1, at(0));
    let why = Refused::new("没有任何角色", "no role");
    rig.danger.refuse_action(&Action::Alarm(Alarm::Silence), &person("zhao", &[]), &why, at(1));
    rig.drain(at(1));
    let audit: Vec<AuditEntry> = rig.of(DocumentKind::Audit);
    let told: Vec<_> = audit.iter().map(|entry| (entry.action.as_str(), entry.result)).collect();
    assert_eq!(told, [("silence", AuditResult::Refused)]);
    assert_eq!(verify(Head::default(), &audit), Ok(rig.danger.view(at(1)).audit));
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

fn texting_rules() -> Rules {
    let mut phones = Phones::default();
    phones.add("control_room", Phone::parse("13800138000").unwrap());
    phones.add("张三", Phone::parse("13800138001").unwrap());
    let shifts = vec![Shift { name: "全天".into(), begins: Minute::new(0, 0).unwrap() }];
    let entry =
        RosterEntry {
            day: RosterDay::Every, shift: "全天".into(), operator: "张三".into(), leader: "李四".into()
        };
    let duty = DutyRules { shifts, roster: vec![entry], ..DutyRules::default() };
    let ladder = |to| Step { after: Duration::ZERO, channel: "sms".into(), to };
    let rules = rules();
    let mut book = (*rules.alarms).clone();
    book.escalations = vec![Escalation {
        name: "n".into(),
        steps: vec![ladder(Recipient::ShiftLeader), ladder(Recipient::DutyLeader)],
    }];
    book.alarms.iter_mut().for_each(|alarm| alarm.escalation = Some(0));
    book.alarms.push(AlarmSpec {
        id: "sms.channel".into(),
        subject: Subject::Gateway,
        condition: Condition::Channel { channel: "sms".into() },
        class: Class::System,
        escalation: None,
        latching: false,
        levels: vec![Level { limit: None, ..book.alarms[0].levels[0] }],
        ..book.alarms[0].clone()
    });
    Rules {
        alarms: Arc::new(book),
        daybook: Arc::new(daybook::Rules { duty, phones, ..daybook::Rules::default() }),
        channels: Channels::new([("sms".to_owned(), Way::Text)]),
        ..rules
    }
}

#[test]
fn a_text_goes_to_whoever_is_on_duty_and_who_has_no_telephone_is_a_failure() {
    let mut rig = Rig::under(texting_rules(), 1, at(0));
    rig.danger.handle_timeout(at(1));
    rig.read(0, 95.0, at(2));
    rig.drain(at(2));
    let text = rig.danger.poll_text().unwrap();
    assert_eq!((text.phones.clone(), text.channel.as_str()), (vec![Phone::parse("13800138001").unwrap()], "sms"));
    assert!(text.text.contains("请值班长处置"), "{text:?}");
    assert_eq!(rig.danger.poll_text(), None, "the leader has no telephone");
    assert!(rig.danger.view(at(2)).alarms.iter().any(|alarm| &*alarm.last.alarm == "sms.channel"));
    rig.danger.handle_receipt(&text.key, &Receipt::Accepted("17".into()), at(5));
    rig.drain(at(5));
    let records: Vec<AlarmRecord> = rig.of(DocumentKind::Alarm);
    let receipts: Vec<_> = records.iter().filter_map(|record| record.told.as_ref()?.receipt.clone()).collect();
    assert!(receipts.contains(&Receipt::Accepted("17".into())), "{receipts:?}");
    assert!(receipts.iter().any(|receipt| matches!(receipt, Receipt::Failed(why) if why.contains("带班领导"))));
    assert!(!format!("{:?} {text:?}", rig.told).contains("13800138001"), "no record has a number");
}

#[test]
fn a_watched_channel_is_an_alarm_before_it_is_needed_and_a_test_is_in_the_audit() {
    let mut rig = Rig::under(texting_rules(), 1, at(0));
    rig.danger.handle_timeout(at(1));
    let state = |up| ChannelState { up, zh: "信号".into(), en: "signal".into() };
    let stands = |rig: &Rig, now| {
        let view = rig.danger.view(at(now));
        view.alarms.iter().any(|alarm| &*alarm.last.alarm == "sms.channel" && alarm.active)
    };
    rig.danger.handle_channel("sms", state(true), at(2));
    assert!(!stands(&rig, 2));
    rig.danger.handle_channel("sms", state(false), at(3));
    assert!(stands(&rig, 3));
    rig.danger.handle_channel("sms", state(true), at(4));
    assert!(!stands(&rig, 4));
    let views = rig.danger.view(at(4)).channels;
    let sms = views.iter().find(|channel| channel.id == "sms").unwrap();
    assert_eq!((sms.way, sms.state.clone().map(|(state, _)| state.up)), ("text", Some(true)));

    let test =
        |who| Action::Channel(ChannelAction::Test { channel: "sms".into(), to: Addressee { who, source: None } });
    let engineer = person("li", &[Role::Admin]);
    assert!(
        rig.danger.handle_action(&test(Recipient::ControlRoom), &person("wang", &[Role::Operator]), at(5)).is_err()
    );
    assert!(rig.danger.handle_action(&test(Recipient::Main), &engineer, at(5)).is_err(), "nobody is responsible");
    let key = rig.danger.handle_action(&test(Recipient::ControlRoom), &engineer, at(5)).unwrap().id.unwrap();
    let text = rig.danger.poll_text().unwrap();
    assert_eq!((&text.key, text.urgency), (&key, Urgency::AtOnce));
    rig.danger.handle_receipt(&key, &Receipt::Failed("no network".into()), at(9));
    assert!(stands(&rig, 9), "a test that fails is a failure of the channel");
    let again = rig.danger.handle_action(&test(Recipient::ControlRoom), &engineer, at(10)).unwrap().id.unwrap();
    rig.danger.handle_receipt(&again, &Receipt::Accepted("3".into()), at(11));
    assert!(!stands(&rig, 11));
    let shown = rig.danger.view(at(11)).notices[0].en.clone();
    assert_eq!(shown, format!("test of the channel {again}: accepted, reference 3"));
    rig.drain(at(11));
    let audit: Vec<AuditEntry> = rig.of(DocumentKind::Audit);
    let words: Vec<_> = audit.iter().map(|entry| (entry.action.as_str(), entry.result)).collect();
    let refused = ("channel_test", AuditResult::Refused);
    let (asked, failed) = (("channel_test", AuditResult::Done), ("channel_tested", AuditResult::Failed));
    assert_eq!(words, [refused, refused, asked, failed, asked, ("channel_tested", AuditResult::Done)]);
    assert!(audit.iter().all(|entry| entry.object == "sms"));
}
