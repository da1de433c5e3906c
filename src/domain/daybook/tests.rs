//! The daybook's stories in virtual time: a park with three devices, polled once a second, told once a minute.

mod clock;
mod ends;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::calendar::testing::Zone;
use super::report::{DeliveryReport, OmittedReport};
use super::*;
use crate::domain::actor::{Role, Via};
use crate::domain::document::DocumentKind;
use crate::domain::record::Mode;
use crate::domain::time::ClockTrust;

pub(super) const MINUTE: Duration = Duration::from_secs(60);
pub(super) const HOUR: Duration = Duration::from_secs(3600);
pub(super) const DAY: Duration = Duration::from_secs(86_400);
pub(super) const DEVICES: [&str; 3] = ["gas-07", "plc-tank-1", "wx-1"];

pub(super) fn time(text: &str) -> Timestamp {
    Timestamp::parse(text).unwrap()
}

pub(super) fn date(text: &str) -> Date {
    Date::parse(text).unwrap()
}

pub(super) fn who(name: &str, via: Via, roles: &[Role]) -> Actor {
    Actor { name: name.into(), via, roles: roles.iter().copied().collect::<BTreeSet<_>>() }
}

pub(super) fn operator(name: &str) -> Actor {
    who(name, Via::Machine, &[Role::Operator])
}

pub(super) fn supervisor(name: &str) -> Actor {
    who(name, Via::Machine, &[Role::Supervisor])
}

pub(super) fn platform() -> Actor {
    who("city", Via::Platform, &[])
}

/// A daybook with its clocks and the park around it.
pub(super) struct Rig {
    pub(super) book: Daybook,
    pub(super) now: Now,
    pub(super) out: Vec<Output>,
    /// Devices that do not answer.
    pub(super) silent: BTreeSet<&'static str>,
    pub(super) account: StoreAccount,
    boot: u32,
    calendar: Arc<dyn Calendar>,
    rules: Arc<Rules>,
}

impl Rig {
    pub(super) fn new(start: &str) -> Self {
        Self::with(start, Rules::default(), Arc::new(FixedOffset::BEIJING))
    }

    pub(super) fn with(start: &str, rules: Rules, calendar: Arc<dyn Calendar>) -> Self {
        let now = Now { mono: Mono::from_secs(100), wall: time(start), trust: ClockTrust::Synced };
        let rules = Arc::new(rules);
        let mut book = Daybook::new(rules.clone(), calendar.clone(), 1, now);
        book.install(rules.clone(), DEVICES, now);
        let account = StoreAccount { epoch: "E1".into(), ..StoreAccount::default() };
        let mut rig = Self { book, now, out: Vec::new(), silent: BTreeSet::new(), account, boot: 1, calendar, rules };
        rig.collect();
        rig
    }

    /// Begins the day of 2026-11-25 with everything known: it is 17:00 on the 24th, and that day has just been reported.
    pub(super) fn quiet() -> Self {
        let mut rig = Self::new("2026-11-22T09:00:00.000Z");
        rig.pass(DAY * 2);
        rig.out.clear();
        rig
    }

    pub(super) fn collect(&mut self) {
        self.out.extend(std::iter::from_fn(|| self.book.poll_output()));
    }

    /// Lets time pass, minute by minute.
    pub(super) fn pass(&mut self, span: Duration) {
        let end = self.now.mono + span;
        while self.now.mono < end {
            let step = MINUTE.min(end.since(self.now.mono));
            self.now.mono = self.now.mono + step;
            self.now.wall = self.now.wall.after(step);
            self.account.as_of = self.now.wall;
            for device in DEVICES {
                let due = u32::try_from(step.as_secs()).unwrap();
                let ok = if self.silent.contains(device) { 0 } else { due };
                self.tell(coverage(device, step, due, ok));
            }
            self.book.handle_account(self.account.clone(), self.now);
            self.book.handle_timeout(self.now);
            self.collect();
        }
    }

    pub(super) fn tell(&mut self, fact: Fact) {
        self.book.handle(fact, self.now.mono, self.now);
        self.collect();
    }

    pub(super) fn alarm(&mut self, alarm: &str, occ: &str, step: AlarmStep, over: bool) {
        self.tell(Fact::Alarm(AlarmFact {
            alarm: alarm.into(),
            occ: occ.into(),
            class: "gas".into(),
            level: 1,
            step,
            over,
            mode: Mode::Real,
        }));
    }

    pub(super) fn act(&mut self, action: Action, actor: &Actor) -> Result<Done, Refused> {
        let done = self.book.handle_action(action, actor, self.now);
        self.collect();
        done
    }

    /// The machine stops and starts again after `off`, with the wall clock at `wall` and its trust.
    pub(super) fn restart(&mut self, off: Duration, wall: Timestamp, trust: ClockTrust) {
        let text = serde_json::to_string(&self.book.saved(self.now)).unwrap();
        let last_seen = self.now.wall;
        self.boot += 1;
        self.now = Now { mono: Mono::from_secs(5), wall, trust };
        self.book = Daybook::new(self.rules.clone(), self.calendar.clone(), self.boot, self.now);
        self.book.install(self.rules.clone(), DEVICES, self.now);
        self.book.restore(Some(serde_json::from_str(&text).unwrap()), [], self.now);
        let known = trust != ClockTrust::Unsynced;
        self.tell(Fact::Boot { last_seen: Some(last_seen), off: known.then_some(off), clean: true });
    }

    /// Steps the wall clock.
    pub(super) fn step(&mut self, ms: i64, trust: ClockTrust) {
        self.now.wall.0 += ms;
        self.now.trust = trust;
        self.book.handle_timeout(self.now);
        self.collect();
    }

    pub(super) fn reports(&self) -> Vec<DailyReport> {
        let made = |output: &Output| {
            let Output::Report(Delivery::Daily { .. }, document) = output else { return None };
            serde_json::from_str(&document.json).ok()
        };
        self.out.iter().filter_map(made).collect()
    }

    /// Days and versions of the reports made.
    pub(super) fn days(&self) -> Vec<(String, u32)> {
        self.reports().iter().map(|report| (report.day.to_string(), report.version)).collect()
    }

    pub(super) fn records<T: serde::de::DeserializeOwned>(&self, kind: DocumentKind) -> Vec<T> {
        let documents = self.out.iter().filter_map(|output| match output {
            Output::Document(document) | Output::Report(_, document) => Some(document),
            Output::Order(_) | Output::Flag(_) => None,
        });
        documents.filter(|d| d.kind == kind).filter_map(|d| serde_json::from_str(&d.json).ok()).collect()
    }

    pub(super) fn flags(&self) -> Vec<(FlagKind, bool)> {
        let flag = |output: &Output| {
            let Output::Flag(flag) = output else { return None };
            Some((flag.kind, flag.active))
        };
        self.out.iter().filter_map(flag).collect()
    }
}

pub(super) fn coverage(device: &str, span: Duration, due: u32, ok: u32) -> Fact {
    Fact::Coverage(CoverageFact { device: device.into(), span, due, ok, bad: due - ok, skipped: 0 })
}

fn codes(report: &DailyReport) -> Vec<&str> {
    report.why_not_nil.iter().map(|why| why.code.as_str()).collect()
}

/// 17:00 in Beijing is 09:00 UTC.
const BEFORE_FIVE: &str = "2026-11-22T08:50:00.000Z";

#[test]
fn at_five_with_the_line_down_the_report_is_made_at_five_sent_later_and_its_lateness_is_computed() {
    // domain.md A20 17.
    let mut rig = Rig::new(BEFORE_FIVE);
    rig.pass(Duration::from_secs(600));
    let report = rig.reports().pop().unwrap();
    assert_eq!(report.due_at.to_string(), "2026-11-22T09:00:00.000Z");
    assert_eq!(report.generated_at, report.due_at);
    assert!(!report.is_late && !report.made_up, "made in time; nobody can say yet when it is sent");

    let delivery = Delivery::Daily { day: report.day, version: 1 };
    rig.book.handle_recorded(&delivery, 41);
    rig.pass(HOUR * 5);
    rig.book.handle_delivered(&|_| false, rig.now);
    rig.collect();
    assert!(rig.records::<DeliveryReport>(DocumentKind::Report).is_empty());

    rig.book.handle_delivered(&|seq| seq <= 41, rig.now);
    rig.collect();
    let told = rig.records::<DeliveryReport>(DocumentKind::Report).pop().unwrap();
    assert_eq!((told.of, told.hash), (delivery, Some(report.hash)));
    assert_eq!((told.is_late, told.late_by_ms), (true, 5 * 3_600_000));
    assert_eq!(told.sent_at.to_string(), "2026-11-22T14:00:00.000Z");
    assert_eq!(rig.book.view(rig.now).undelivered, 0);
}

#[test]
fn a_quiet_day_that_was_watched_is_a_nil_report_with_explicit_zeros() {
    let mut rig = Rig::quiet();
    rig.pass(DAY);
    let report = rig.reports().pop().unwrap();
    assert_eq!(codes(&report), [""; 0]);
    assert_eq!(report.what, ReportKind::Nil);
    assert_eq!((report.alarms.raised, report.alarms.n_open, report.coverage.pct), (0, 0, Some(100.0)));
    assert_eq!(report.coverage.expected, 3 * 86_400);
    assert_eq!(report.hash, report.computed_hash());
    let day = (report.from.to_string(), report.to.to_string(), report.day.to_string());
    assert_eq!(day, ("2026-11-24T09:00:00.000Z".into(), "2026-11-25T09:00:00.000Z".into(), "2026-11-25".into()));
}

#[test]
fn each_thing_that_happened_or_was_not_watched_makes_it_an_ordinary_report_that_says_so() {
    let raise = |rig: &mut Rig| rig.alarm("AT701.gas", "1-1", AlarmStep::Raised, false);
    type Happens<'a> = &'a dyn Fn(&mut Rig);
    let cases: [(&str, Happens<'_>); 14] = [
        ("alarms", &raise),
        ("alarms_open", &raise),
        ("floods", &|rig| rig.tell(Fact::AlarmFlood)),
        ("chattering", &|rig| rig.tell(Fact::Chattering)),
        ("site", &|rig| rig.tell(Fact::Site { zone: "park".into(), state: "evacuate".into(), drill: false })),
        ("drills", &|rig| rig.tell(Fact::Site { zone: "park".into(), state: "evacuate".into(), drill: true })),
        ("outputs_failed", &|rig| rig.tell(Fact::Output { output: "siren".into(), done: false })),
        ("boots", &|rig| rig.tell(Fact::Boot { last_seen: None, off: Some(Duration::ZERO), clean: true })),
        ("hazards_open", &|rig| {
            let find = HazardAction::Find { place: "一号罐区".into(), text: "护栏松动".into() };
            rig.act(Action::Hazard(find), &operator("zhang")).unwrap();
        }),
        ("duty_unanswered", &|rig| {
            let ask = DutyAction::Ask { limit_min: 5, reference: "7".into() };
            rig.act(Action::Duty(ask), &platform()).unwrap();
        }),
        ("accidents", &|rig| {
            rig.act(Action::Accident(opened(accident::AccidentKind::Leak)), &supervisor("li")).unwrap();
        }),
        ("gaps", &|rig| rig.account.gaps += 1),
        ("store", &|rig| rig.account.epoch = "E2".into()),
        ("clock", &|rig| {
            rig.step(-20_000, ClockTrust::Synced);
            rig.step(20_000, ClockTrust::Synced);
        }),
    ];
    for (code, happens) in cases {
        let mut rig = Rig::quiet();
        rig.pass(HOUR * 3);
        happens(&mut rig);
        rig.pass(HOUR * 21);
        let report = rig.reports().pop().unwrap();
        assert_eq!(report.what, ReportKind::Daily, "{code}");
        assert!(codes(&report).contains(&code), "{code} not in {:?}", codes(&report));
    }
}

fn opened(kind: accident::AccidentKind) -> AccidentAction {
    AccidentAction::Open { kind, place: "二号装置".into(), text: "法兰泄漏".into(), occurred_at: None }
}

#[test]
fn a_device_that_went_silent_is_named_with_since_when_and_the_day_is_not_nil() {
    let mut rig = Rig::quiet();
    rig.pass(HOUR * 22);
    let last = rig.now.wall;
    rig.silent.insert("gas-07");
    rig.pass(HOUR * 2);
    let report = rig.reports().pop().unwrap();
    assert_eq!(report.coverage.silent, [report::SilentLine { device: "gas-07".into(), since: Some(last) }]);
    assert!(codes(&report).contains(&"silent"));
    let line = &report.coverage.devices[0];
    assert_eq!((line.device.as_str(), line.received), ("gas-07", 22 * 3600));
    assert_eq!(line.pct, Some(91.66));
}

#[test]
fn time_off_counts_as_expected_and_not_received() {
    let mut rig = Rig::quiet();
    rig.pass(HOUR * 6);
    let back = rig.now.wall.after(HOUR * 6);
    rig.restart(HOUR * 6, back, ClockTrust::Synced);
    rig.pass(HOUR * 12);
    let report = rig.reports().pop().unwrap();
    assert_eq!(report.day, date("2026-11-25"));
    assert_eq!((report.running.boots, report.running.off_ms), (1, 6 * 3_600_000));
    assert_eq!(report.coverage.expected, 3 * 86_400);
    assert_eq!(report.coverage.pct, Some(75.0));
    assert!(["coverage", "device_coverage", "unwatched", "boots"].iter().all(|code| codes(&report).contains(code)));
}

#[test]
fn a_day_over_which_the_gateway_was_off_is_made_up_for_and_marked() {
    let mut rig = Rig::quiet();
    rig.pass(HOUR);
    let back = rig.now.wall.after(DAY * 2);
    rig.restart(DAY * 2, back, ClockTrust::Synced);
    let reports = rig.reports();
    let made: Vec<_> = reports.iter().map(|r| (r.day.to_string(), r.made_up, r.omitted, r.is_late)).collect();
    assert_eq!(
        made,
        [("2026-11-25".into(), true, false, true), ("2026-11-26".into(), true, true, true)],
        "of the first day an hour was seen, of the second nothing"
    );
    assert_eq!(reports[1].coverage.pct, None);
    assert_eq!(reports[1].running.off_ms, 86_400_000);
    assert_eq!(reports[1].coverage.silent.len(), 3);
    rig.pass(DAY);
    assert_eq!(rig.days().last().unwrap().0, "2026-11-27", "and then it goes on as ever");
}

#[test]
fn more_missed_days_than_a_month_are_one_record_and_the_rest_one_by_one() {
    let mut rig = Rig::quiet();
    let back = rig.now.wall.after(DAY * 400);
    rig.restart(DAY * 400, back, ClockTrust::Synced);
    let omitted = rig.records::<OmittedReport>(DocumentKind::Report).pop().unwrap();
    assert_eq!(omitted.from_day, date("2026-11-25"));
    assert_eq!(omitted.count, 400 - 31);
    let reports = rig.reports();
    assert_eq!(reports.len(), 31);
    assert_eq!(reports[0].day, omitted.to_day.plus(1));
}

#[test]
fn what_belongs_into_a_day_that_is_reported_already_makes_a_new_version_of_it() {
    let mut rig = Rig::quiet();
    rig.pass(HOUR * 23);
    // A minute off, and back without a clock that anybody disciplines, but a plausible one that is two hours fast.
    let truth = rig.now.wall.after(MINUTE);
    rig.restart(MINUTE, truth.after(HOUR * 2), ClockTrust::Unsynced);
    rig.pass(HOUR / 2);
    let made = rig.reports();
    assert_eq!((made.len(), made[0].version, made[0].clock_trust.as_str()), (1, 1, "unsynced"));
    assert_eq!(made[0].what, ReportKind::Daily);
    rig.alarm("AT701.gas", "2-1", AlarmStep::Raised, false);
    let now = truth.after(HOUR / 2);
    rig.step(now.0 - rig.now.wall.0, ClockTrust::Synced);
    let corrected = rig.reports().pop().unwrap();
    assert_eq!((corrected.day, corrected.version), (made[0].day, 2));
    assert_eq!((corrected.prev, corrected.alarms.raised), (Some(made[0].hash), 1));
    assert!(corrected.correction.is_some());
}

#[test]
fn a_report_is_corrected_by_a_supervisor_with_a_reason_as_a_new_version_and_nothing_is_overwritten() {
    let mut rig = Rig::quiet();
    rig.pass(DAY);
    let first = rig.reports().pop().unwrap();
    let correct = |reason: &str| Action::Report(Correct { day: first.day, reason: reason.into() });
    assert!(rig.act(correct("演练误报"), &operator("zhang")).is_err());
    assert!(rig.act(correct(" "), &supervisor("li")).is_err());
    rig.act(correct("漏附说明"), &supervisor("li")).unwrap();
    let second = rig.reports().pop().unwrap();
    assert_eq!((second.version, second.prev), (2, Some(first.hash)));
    assert_eq!(second.correction.unwrap().by.name, "li");
    let unknown = Action::Report(Correct { day: date("2026-01-01"), reason: "x".into() });
    assert!(rig.act(unknown, &supervisor("li")).is_err());
}

#[test]
fn a_restart_in_the_middle_changes_nothing_of_the_account() {
    let day = |restart: bool| {
        let mut rig = Rig::quiet();
        rig.pass(HOUR * 3);
        rig.alarm("AT701.gas", "1-1", AlarmStep::Raised, false);
        rig.pass(HOUR);
        if restart {
            let now = rig.now;
            let text = serde_json::to_string(&rig.book.saved(now)).unwrap();
            rig.book = Daybook::new(rig.rules.clone(), rig.calendar.clone(), 2, now);
            rig.book.install(rig.rules.clone(), DEVICES, now);
            rig.book.restore(Some(serde_json::from_str(&text).unwrap()), [], now);
        }
        rig.alarm("AT701.gas", "1-1", AlarmStep::Acknowledged, false);
        rig.pass(HOUR);
        rig.alarm("AT701.gas", "1-1", AlarmStep::Cleared, true);
        rig.pass(HOUR * 19);
        rig.reports().pop().unwrap()
    };
    let (with, without) = (day(true), day(false));
    assert_eq!(with.alarms, without.alarms);
    assert_eq!(with.alarms.acknowledged.min_ms, Some(3_600_000));
    assert_eq!(with.coverage, without.coverage);
    assert_eq!(with.hash, without.hash);
}

#[test]
fn a_restart_with_other_devices_expects_the_new_ones_and_not_the_old() {
    let mut rig = Rig::quiet();
    rig.pass(HOUR);
    let saved = serde_json::to_string(&rig.book.saved(rig.now)).unwrap();
    rig.book = Daybook::new(rig.rules.clone(), rig.calendar.clone(), 2, rig.now);
    rig.book.install(rig.rules.clone(), ["plc-tank-1", "wx-1", "new-1"], rig.now);
    rig.book.restore(Some(serde_json::from_str(&saved).unwrap()), [], rig.now);
    rig.pass(HOUR * 23);
    let report = rig.reports().pop().unwrap();
    let silent: Vec<_> = report.coverage.silent.iter().map(|line| line.device.as_str()).collect();
    assert_eq!(silent, ["new-1"], "of which nothing comes");
    let old = report.coverage.devices.iter().find(|line| line.device == "gas-07").unwrap();
    assert_eq!(old.expected, 86_400, "what came of it is more than the hour in which it was to be read");
}

#[test]
fn a_calendar_day_is_reported_next_morning_and_holds_nothing_of_the_morning() {
    let report =
        rules::ReportRules { at: Minute::new(8, 0).unwrap(), cut: Minute::MIDNIGHT, ..rules::ReportRules::default() };
    let rules = Rules { report, ..Rules::default() };
    let mut rig = Rig::with("2026-11-22T15:00:00.000Z", rules, Arc::new(FixedOffset::BEIJING));
    rig.pass(HOUR * 24);
    rig.alarm("AT701.gas", "1-1", AlarmStep::Raised, true);
    rig.pass(HOUR * 3);
    rig.alarm("AT701.gas", "1-2", AlarmStep::Raised, true);
    rig.pass(DAY * 2);
    let told: Vec<_> =
        rig.reports().iter().map(|r| (r.day.to_string(), r.alarms.raised, r.due_at.to_string())).collect();
    assert_eq!(told[1], ("2026-11-23".into(), 1, "2026-11-24T00:00:00.000Z".into()));
    assert_eq!(told[2], ("2026-11-24".into(), 1, "2026-11-25T00:00:00.000Z".into()));
}

#[test]
fn a_year_of_a_park_makes_a_report_a_day() {
    let mut rig = Rig::new(BEFORE_FIVE);
    for _ in 0..90 {
        rig.pass(DAY);
    }
    let days = rig.days();
    assert_eq!(days.len(), 90);
    assert!(days.windows(2).all(|pair| pair[0].0 < pair[1].0) && days.iter().all(|(_, version)| *version == 1));
}

#[test]
fn a_restart_before_the_clock_was_ever_known_leaves_facts_that_are_told_as_undated() {
    let mut rig = Rig::quiet();
    let truth = rig.now.wall;
    rig.restart(HOUR, time("1970-01-01T00:00:30.000Z"), ClockTrust::Unsynced);
    rig.alarm("AT701.gas", "2-1", AlarmStep::Raised, true);
    rig.pass(HOUR);
    rig.restart(HOUR, truth.after(HOUR * 3), ClockTrust::Synced);
    rig.pass(HOUR * 22);
    let report = rig.reports().pop().unwrap();
    assert_eq!((report.alarms.raised, report.running.off_unknown), (1, 1));
    assert!(codes(&report).contains(&"undated"));
}

#[test]
fn the_record_of_an_alarm_says_what_the_day_counts() {
    use crate::domain::alarm::state::{Cause, State};
    let cases = [
        (Cause::Active, State::Normal, State::Unacked, AlarmStep::Raised, false),
        (Cause::Active, State::LatchedAcked, State::Unacked, AlarmStep::Again, false),
        (Cause::LevelUp, State::Acked, State::Unacked, AlarmStep::Worse, false),
        (Cause::Ack, State::Unacked, State::Acked, AlarmStep::Acknowledged, false),
        (Cause::Clear, State::Acked, State::Normal, AlarmStep::Cleared, true),
        (Cause::Reset, State::LatchedAcked, State::Normal, AlarmStep::Other, true),
        (Cause::ResetRefused, State::Acked, State::Unacked, AlarmStep::Again, false),
        (Cause::ShelfExpired, State::Shelved, State::Unacked, AlarmStep::Again, false),
        (Cause::Shelved, State::Unacked, State::Shelved, AlarmStep::Shelved, false),
        (Cause::Escalated, State::Unacked, State::Unacked, AlarmStep::Other, false),
    ];
    for (cause, from, to, step, over) in cases {
        let json = serde_json::json!({
            "alarm": "AT701.gas", "occ": "1-7", "n": 1, "t": "2026-11-23T08:00:00.000Z", "rule": "gas", "class": "gas",
            "level": 2, "peak_level": 2, "priority": "red", "text": "", "limits_rev": 1, "mode": "real",
            "from": from, "to": to, "cause": cause,
        });
        let record: crate::domain::alarm::record::AlarmRecord = serde_json::from_value(json).unwrap();
        let fact = AlarmFact::from(&record);
        assert_eq!((fact.step, fact.over), (step, over), "{cause:?}");
        assert_eq!((fact.occ.as_str(), fact.class.as_str(), fact.level), ("1-7", "gas", 2));
    }
}

#[test]
fn actions_are_one_object_on_the_way_from_the_command_line() {
    let actions = [
        Action::Duty(DutyAction::Answer { check: "dc-1-1".into(), note: String::new() }),
        Action::Hazard(HazardAction::Register { id: "hz-1-1".into(), comment: "属实".into() }),
        Action::Accident(AccidentAction::Confirm { id: "ac-1-1".into(), draft: 2 }),
        Action::Report(Correct { day: date("2026-11-23"), reason: "漏项".into() }),
    ];
    for action in actions {
        let text = serde_json::to_string(&action).unwrap();
        assert_eq!(serde_json::from_str::<Action>(&text).unwrap(), action, "{text}");
    }
    let text = r#"{"on":"report","day":"2026-11-23","reason":"漏项"}"#;
    assert!(serde_json::from_str::<Action>(text).is_ok());
}

#[test]
fn the_gates_counters_and_the_head_of_the_audit_have_their_place() {
    let mut rig = Rig::quiet();
    for counter in ["in.hazmat", "in.person", "in.hazmat"] {
        rig.tell(Fact::Passage { counter: counter.into() });
    }
    let head = Head { seq: 9, hash: Digest::of(b"x") };
    rig.book.handle_audit(head);
    rig.pass(DAY);
    let report = rig.reports().pop().unwrap();
    let passages = [("in.hazmat", 2), ("in.person", 1)].map(|(counter, n)| (counter.to_owned(), n));
    assert_eq!(report.passages, Some(BTreeMap::from(passages)));
    assert_eq!(report.audit, Some(head));
}

#[test]
fn a_report_asked_for_in_the_middle_of_its_day_does_not_miss_what_is_still_to_come() {
    let mut rig = Rig::quiet();
    rig.pass(2 * HOUR);
    let (so_far, asked) = (rig.book.so_far(rig.now).unwrap(), rig.book.view(rig.now).next.unwrap().date);
    let report = rig.book.preview(asked, rig.now).unwrap();
    assert_eq!(report, so_far);
    assert!(report.to <= rig.now.wall.after(Duration::from_millis(1)), "{}", report.to);
    assert!(report.coverage.pct > Some(95.0) && report.coverage.silent.is_empty(), "{:?}", report.coverage);
    assert!(report.running.unwatched_ms < 60_000, "{:?}", report.running);
}
