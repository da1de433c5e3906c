//! Stories of duty, hidden hazards and accidents.

use std::sync::Arc;
use std::time::Duration;

use super::accident::{AccidentKind, AccidentRecord, AccidentReport, Casualties, NoteKind, Stage};
use super::duty::{CheckState, DutyRecord};
use super::hazard::{Commitments, Grade, HazardRecord, HazardState, HazardStep, Listing, ListingLevel};
use super::rules::{DutyRules, HazardRules, RosterDay, RosterEntry, Shift};
use super::tests::{DAY, HOUR, MINUTE, Rig, date, operator, platform, supervisor, time, who};
use super::*;
use crate::domain::actor::{Role, Via};
use crate::domain::document::DocumentKind;
use crate::domain::order::OrderKind;
use crate::domain::time::ClockTrust;

fn entry(day: RosterDay, shift: &str, operator: &str, leader: &str) -> RosterEntry {
    RosterEntry { day, shift: shift.into(), operator: operator.into(), leader: leader.into() }
}

/// Two shifts, 08:00 and 20:00; Mondays have people of their own; a check at 02:00.
fn duty_rules() -> Rules {
    let shift = |name: &str, hour| Shift { name: name.into(), begins: Minute::new(hour, 0).unwrap() };
    let duty = DutyRules {
        shifts: vec![shift("白班", 8), shift("夜班", 20)],
        roster: vec![
            entry(RosterDay::Every, "白班", "张三", "李四"),
            entry(RosterDay::Every, "夜班", "王五", "赵六"),
            entry(RosterDay::Weekday(0), "白班", "周一", "李四"),
        ],
        checks: vec![Minute::new(2, 0).unwrap()],
        ..DutyRules::default()
    };
    Rules { duty, ..Rules::default() }
}

/// Noon in Beijing on Sunday, 2026-11-22.
fn on_duty() -> Rig {
    Rig::with("2026-11-22T04:00:00.000Z", duty_rules(), Arc::new(FixedOffset::BEIJING))
}

fn checks(rig: &Rig) -> Vec<CheckState> {
    let each = rig.records::<DutyRecord>(DocumentKind::Duty).into_iter();
    each.filter_map(|record| if let DutyRecord::Check(line) = record { Some(line.state) } else { None }).collect()
}

fn ask(minutes: u8) -> Action {
    Action::Duty(DutyAction::Ask { limit_min: minutes, reference: "26875-17".into() })
}

fn answer(check: &str) -> Action {
    Action::Duty(DutyAction::Answer { check: check.into(), note: "在岗".into() })
}

#[test]
fn a_duty_check_of_the_platform_is_answered_by_a_person_with_the_time_it_took() {
    let mut rig = on_duty();
    let id = rig.act(ask(5), &platform()).unwrap().id;
    rig.pass(MINUTE * 3);
    assert!(rig.act(answer(&id), &platform()).is_err(), "who asks does not answer");
    assert!(rig.act(answer(&id), &Actor::gateway()).is_err(), "nor does the gateway");
    assert!(rig.act(answer(&id), &who("audit", Via::Machine, &[Role::Auditor])).is_err());
    rig.act(answer(&id), &operator("zhang")).unwrap();
    let DutyRecord::Check(line) = rig.records::<DutyRecord>(DocumentKind::Duty).pop().unwrap() else { panic!() };
    assert_eq!((line.state, line.after_ms), (CheckState::Answered, Some(180_000)));
    assert_eq!((line.by.unwrap().name.as_str(), line.reference.as_str()), ("zhang", "26875-17"));
    assert_eq!(line.operator.as_deref(), Some("张三"));
    assert!(rig.act(answer(&id), &operator("zhang")).is_err(), "once");
}

#[test]
fn an_unanswered_check_is_a_record_and_an_alarm_and_a_late_answer_stays_late() {
    let mut rig = on_duty();
    let id = rig.act(ask(5), &platform()).unwrap().id;
    let ends = rig.now.mono + MINUTE * 5;
    assert_eq!(rig.book.poll_timeout().unwrap(), rig.now.mono + TICK);
    rig.pass(MINUTE * 4);
    assert_eq!(rig.book.poll_timeout(), Some(ends));
    rig.pass(MINUTE);
    assert_eq!(checks(&rig), [CheckState::Asked, CheckState::Unanswered]);
    assert!(rig.flags().contains(&(FlagKind::DutyUnanswered, true)));
    rig.act(answer(&id), &operator("zhang")).unwrap();
    assert_eq!(checks(&rig).last(), Some(&CheckState::Late));
    assert_eq!(rig.flags().last(), Some(&(FlagKind::DutyUnanswered, false)));
    rig.pass(HOUR * 6);
    let duty = rig.reports().pop().unwrap().duty;
    assert_eq!((duty.asked, duty.answered.count, duty.unanswered, duty.late), (1, 0, 1, 1));
}

#[test]
fn the_time_for_an_answer_goes_on_while_the_gateway_is_off() {
    let mut rig = on_duty();
    rig.act(ask(10), &platform()).unwrap();
    rig.pass(MINUTE * 3);
    let back = rig.now.wall.after(MINUTE * 3);
    rig.restart(MINUTE * 3, back, ClockTrust::Synced);
    rig.pass(MINUTE * 3);
    assert_eq!(checks(&rig), [CheckState::Asked]);
    rig.pass(MINUTE);
    assert_eq!(checks(&rig), [CheckState::Asked, CheckState::Unanswered]);
}

#[test]
fn more_checks_than_anybody_can_answer_are_refused() {
    let mut rig = on_duty();
    for _ in 0..duty::MAX_OPEN_CHECKS {
        rig.act(ask(255), &platform()).unwrap();
    }
    assert!(rig.act(ask(255), &platform()).is_err());
}

#[test]
fn shifts_follow_the_clock_with_the_people_of_the_roster_and_are_taken_over() {
    let mut rig = on_duty();
    rig.act(Action::Duty(DutyAction::TakeOver { note: "一切正常".into() }), &operator("zhang")).unwrap();
    rig.pass(HOUR * 21);
    let told: Vec<String> = rig
        .records::<DutyRecord>(DocumentKind::Duty)
        .into_iter()
        .filter_map(|record| match record {
            DutyRecord::Shift(line) => Some(format!("{} {} {}", line.date, line.shift, line.operator.unwrap())),
            DutyRecord::NotTaken(line) => Some(format!("{} {} not taken", line.date, line.shift)),
            DutyRecord::Handover { by, late, .. } => Some(format!("{} took over, late: {late}", by.name)),
            DutyRecord::Roster { .. } | DutyRecord::Check(_) => None,
        })
        .collect();
    assert_eq!(
        told,
        [
            "2026-11-22 白班 张三",
            "zhang took over, late: false",
            "2026-11-22 夜班 王五",
            "2026-11-22 夜班 not taken",
            "2026-11-23 白班 周一",
            "2026-11-23 白班 not taken",
        ]
    );
    let flags: Vec<bool> =
        rig.flags().into_iter().filter(|f| f.0 == FlagKind::DutyNotTaken).map(|(_, active)| active).collect();
    assert_eq!(flags, [true, false, true]);
    rig.act(Action::Duty(DutyAction::TakeOver { note: String::new() }), &operator("zhou")).unwrap();
    assert_eq!(rig.flags().last(), Some(&(FlagKind::DutyNotTaken, false)));
    assert_eq!(rig.book.view(rig.now).duty.taken_by.as_deref(), Some("zhou"));
}

#[test]
fn an_entry_for_a_date_counts_before_the_weekday_and_only_a_supervisor_makes_it() {
    let mut rig = on_duty();
    let assign = |shift: &str| {
        Action::Duty(DutyAction::Assign {
            date: date("2026-11-23"),
            shift: shift.into(),
            operator: "孙七".into(),
            leader: "吴八".into(),
        })
    };
    assert!(rig.act(assign("白班"), &operator("zhang")).is_err());
    assert!(rig.act(assign("中班"), &supervisor("li")).is_err(), "there is no such shift");
    rig.act(assign("白班"), &supervisor("li")).unwrap();
    rig.pass(HOUR * 21);
    let shift = rig.book.view(rig.now).duty.shift.unwrap();
    assert_eq!((shift.operator.as_deref(), shift.leader.as_deref()), (Some("孙七"), Some("吴八")));
}

#[test]
fn a_clock_that_goes_back_begins_no_shift_and_asks_no_check_a_second_time() {
    let mut rig = on_duty();
    rig.pass(HOUR * 14 + MINUTE);
    assert_eq!(checks(&rig), [CheckState::Asked], "at two in the night");
    let shifts = |rig: &Rig| {
        let records = rig.records::<DutyRecord>(DocumentKind::Duty).into_iter();
        records.filter(|record| matches!(record, DutyRecord::Shift(_))).count()
    };
    rig.step(-3_600_000, ClockTrust::Synced);
    rig.pass(HOUR * 2);
    assert_eq!((checks(&rig).len(), shifts(&rig)), (2, 2), "the second line is that nobody answered");
    rig.step(-7 * 3_600_000, ClockTrust::Synced);
    assert_eq!(shifts(&rig), 2, "before the night shift, by that clock");
}

#[test]
fn while_nobody_knows_the_time_there_is_no_shift_and_a_check_can_be_answered_all_the_same() {
    let mut rig = on_duty();
    rig.restart(HOUR, time("1970-01-01T00:00:10.000Z"), ClockTrust::Unsynced);
    rig.out.clear();
    rig.pass(DAY);
    assert!(rig.records::<DutyRecord>(DocumentKind::Duty).is_empty(), "nothing begins in 1970");
    rig.act(ask(5), &platform()).unwrap();
    rig.act(answer(""), &operator("zhang")).unwrap();
    assert_eq!(checks(&rig), [CheckState::Asked, CheckState::Answered]);
}

fn five(responsible: &str, deadline: &str) -> Commitments {
    Commitments {
        responsible: responsible.into(),
        measures: "更换护栏".into(),
        funds: "安全费用".into(),
        deadline: date(deadline),
        plan: "设警戒线".into(),
    }
}

fn hazard(rig: &mut Rig, action: HazardAction, actor: &Actor) -> Result<String, Refused> {
    rig.act(Action::Hazard(action), actor).map(|done| done.id)
}

/// A hazard that is being put right by `wang`, by the end of 2026-11-25.
fn rectifying(rig: &mut Rig) -> String {
    let find = HazardAction::Find { place: "一号罐区".into(), text: "护栏松动".into() };
    let id = hazard(rig, find, &operator("zhang")).unwrap();
    let li = supervisor("li");
    hazard(rig, HazardAction::Register { id: id.clone(), comment: "属实".into() }, &operator("zhang")).unwrap();
    hazard(rig, HazardAction::Grade { id: id.clone(), grade: Grade::Major }, &li).unwrap();
    hazard(rig, HazardAction::Assign { id: id.clone(), to: "wang".into() }, &li).unwrap();
    hazard(rig, HazardAction::Commit { id: id.clone(), five: five("chen", "2026-11-25") }, &li).unwrap();
    id
}

fn submit(id: &str, explanation: &str) -> HazardAction {
    HazardAction::Submit { id: id.into(), comment: "已更换".into(), explanation: explanation.into() }
}

#[test]
fn a_hazard_goes_round_the_whole_loop_and_each_step_is_a_record() {
    let mut rig = Rig::quiet();
    let id = rectifying(&mut rig);
    let done = HazardAction::Accept { id: id.clone(), comment: String::new() };
    hazard(&mut rig, submit(&id, ""), &operator("wang")).unwrap();
    for rectifier in ["wang", " Wang ", "chen"] {
        assert!(hazard(&mut rig, done.clone(), &supervisor(rectifier)).is_err(), "{rectifier} put it right");
    }
    hazard(&mut rig, HazardAction::Return { id: id.clone(), why: "未加固".into() }, &supervisor("li")).unwrap();
    hazard(&mut rig, submit(&id, ""), &operator("wang")).unwrap();
    hazard(&mut rig, done, &supervisor("li")).unwrap();
    hazard(&mut rig, HazardAction::Close { id: id.clone(), comment: String::new() }, &supervisor("li")).unwrap();

    let records = rig.records::<HazardRecord>(DocumentKind::Hazard);
    let steps: Vec<_> = records.iter().map(|record| record.hazard.state).collect();
    use HazardState as S;
    assert_eq!(
        steps,
        [
            S::Found,
            S::Registered,
            S::Graded,
            S::Assigned,
            S::Rectifying,
            S::Submitted,
            S::Rectifying,
            S::Submitted,
            S::Accepted,
            S::Closed
        ]
    );
    assert!(records.iter().zip(1..).all(|(record, n)| record.hazard.n == n));
    assert!(rig.book.view(rig.now).hazards.is_empty());
}

#[test]
fn rectifying_does_not_begin_before_all_five_commitments_are_made() {
    let mut rig = Rig::quiet();
    let find = HazardAction::Find { place: "一号罐区".into(), text: "护栏松动".into() };
    let id = hazard(&mut rig, find, &operator("zhang")).unwrap();
    let li = supervisor("li");
    let commit = |five| HazardAction::Commit { id: id.clone(), five };
    assert!(hazard(&mut rig, commit(five("chen", "2026-11-30")), &li).is_err(), "nobody is charged with it yet");
    hazard(&mut rig, HazardAction::Register { id: id.clone(), comment: String::new() }, &li).unwrap();
    hazard(&mut rig, HazardAction::Grade { id: id.clone(), grade: Grade::General }, &li).unwrap();
    hazard(&mut rig, HazardAction::Assign { id: id.clone(), to: "wang".into() }, &li).unwrap();
    let whole = five("chen", "2026-11-30");
    let incomplete = [
        Commitments { responsible: " ".into(), ..whole.clone() },
        Commitments { measures: String::new(), ..whole.clone() },
        Commitments { funds: String::new(), ..whole.clone() },
        Commitments { plan: String::new(), ..whole.clone() },
        Commitments { deadline: date("2026-11-01"), ..whole.clone() },
    ];
    for five in incomplete {
        assert!(hazard(&mut rig, commit(five.clone()), &li).is_err(), "{five:?}");
    }
    assert!(hazard(&mut rig, submit(&id, ""), &operator("wang")).is_err());
    hazard(&mut rig, commit(whole), &li).unwrap();
}

/// Five in the afternoon of 2026-11-24; overdue hazards are told on the page, and a day later by text.
fn told_by_channels() -> Rig {
    let rules = HazardRules { channels: vec!["page".into(), "sms".into()], ..HazardRules::default() };
    let rules = Rules { hazard: rules, ..Rules::default() };
    Rig::with("2026-11-24T09:00:00.000Z", rules, Arc::new(FixedOffset::BEIJING))
}

/// The channels by which messages went, in order.
fn messages(rig: &Rig) -> Vec<String> {
    let channel = |output: &Output| {
        let Output::Order(order) = output else { return None };
        let OrderKind::Message { channel, .. } = &order.what else { return None };
        Some(channel.clone())
    };
    rig.out.iter().filter_map(channel).collect()
}

#[test]
fn an_overdue_hazard_escalates_by_the_channels_and_its_submission_needs_an_explanation() {
    let mut rig = told_by_channels();
    let id = rectifying(&mut rig);
    rig.pass(HOUR * 31 - MINUTE);
    assert!(rig.flags().is_empty(), "until the end of the 25th");
    rig.pass(MINUTE * 2);
    assert_eq!(rig.flags(), [(FlagKind::HazardOverdue, true)]);
    rig.pass(DAY * 10);
    assert_eq!(messages(&rig), ["page", "sms"]);
    let overdue = rig.book.view(rig.now).hazards[0].overdue;
    assert_eq!(overdue, 3, "said often enough");
    assert!(hazard(&mut rig, submit(&id, " "), &operator("wang")).is_err());
    hazard(&mut rig, submit(&id, "备件未到货"), &operator("wang")).unwrap();
    assert_eq!(rig.flags().last(), Some(&(FlagKind::HazardOverdue, false)));
}

fn send_back(id: &str) -> HazardAction {
    HazardAction::Return { id: id.into(), why: "未加固".into() }
}

#[test]
fn an_overdue_hazard_that_is_returned_is_told_at_once_and_escalates_anew_however_often_it_was_told_before() {
    for (days, told) in [(0, 1), (9, 3)] {
        let mut rig = told_by_channels();
        let id = rectifying(&mut rig);
        rig.pass(HOUR * 31 + MINUTE + DAY * days);
        assert_eq!(rig.book.view(rig.now).hazards[0].overdue, told);
        hazard(&mut rig, submit(&id, "备件未到货"), &operator("wang")).unwrap();
        rig.pass(HOUR * 12);
        assert_eq!(rig.flags().last(), Some(&(FlagKind::HazardOverdue, false)));
        rig.out.clear();

        hazard(&mut rig, send_back(&id), &supervisor("li")).unwrap();
        let raised = (FlagKind::HazardOverdue, true);
        assert_eq!((rig.flags(), messages(&rig)), (vec![raised], vec!["page".to_owned()]), "at once, after {told}");
        rig.pass(DAY - MINUTE);
        assert_eq!(messages(&rig), ["page"]);
        rig.pass(MINUTE);
        assert_eq!(messages(&rig), ["page", "sms"], "a day after it was returned");
        rig.pass(DAY * 9);
        assert_eq!(rig.book.view(rig.now).hazards[0].overdue, told + 3);
        assert!(rig.flags().iter().all(|flag| *flag == raised), "and the alarm stands");

        assert!(hazard(&mut rig, submit(&id, " "), &operator("wang")).is_err(), "still overdue");
        hazard(&mut rig, submit(&id, "二次整改"), &operator("wang")).unwrap();
        assert_eq!(rig.flags().last(), Some(&(FlagKind::HazardOverdue, false)));
        // A third time, and by a clock that nobody trusts any more.
        rig.step(0, ClockTrust::Unsynced);
        rig.out.clear();
        hazard(&mut rig, send_back(&id), &supervisor("li")).unwrap();
        assert_eq!((rig.flags(), messages(&rig)), (vec![raised], vec!["page".to_owned()]));
        let back = rig.now.wall.after(HOUR);
        rig.out.clear();
        rig.restart(HOUR, back, ClockTrust::Synced);
        assert_eq!(rig.flags(), [raised], "said again after a restart");
        rig.pass(DAY);
        assert_eq!(messages(&rig), ["sms"]);
    }
}

#[test]
fn a_hazard_returned_in_time_is_overdue_from_the_end_of_its_last_day_and_one_returned_after_it_at_once() {
    let mut rig = told_by_channels();
    let id = rectifying(&mut rig);
    hazard(&mut rig, submit(&id, ""), &operator("wang")).unwrap();
    hazard(&mut rig, send_back(&id), &supervisor("li")).unwrap();
    rig.pass(HOUR * 31 - MINUTE);
    assert!(rig.flags().is_empty());
    rig.pass(MINUTE);
    assert_eq!((rig.flags(), messages(&rig)), (vec![(FlagKind::HazardOverdue, true)], vec!["page".to_owned()]));

    let mut rig = told_by_channels();
    let id = rectifying(&mut rig);
    hazard(&mut rig, submit(&id, ""), &operator("wang")).unwrap();
    rig.pass(DAY * 5);
    assert!(rig.flags().is_empty(), "submitted in time, and nobody has looked at it");
    hazard(&mut rig, send_back(&id), &supervisor("li")).unwrap();
    assert_eq!((rig.flags(), messages(&rig)), (vec![(FlagKind::HazardOverdue, true)], vec!["page".to_owned()]));
}

#[test]
fn a_return_by_a_clock_that_was_ahead_does_not_put_off_what_comes_next() {
    let mut rig = told_by_channels();
    let id = rectifying(&mut rig);
    rig.pass(HOUR * 32);
    hazard(&mut rig, submit(&id, "备件未到货"), &operator("wang")).unwrap();
    let ten_years = i64::try_from((DAY * 3650).as_millis()).unwrap();
    rig.step(ten_years, ClockTrust::Unsynced);
    hazard(&mut rig, send_back(&id), &supervisor("li")).unwrap();
    rig.step(-ten_years, ClockTrust::Synced);
    rig.out.clear();
    rig.pass(DAY + MINUTE);
    assert_eq!(messages(&rig), ["sms"]);
}

#[test]
fn only_the_authority_lists_a_hazard_and_takes_it_off_and_before_that_nobody_closes_it() {
    let mut rig = Rig::quiet();
    let id = rectifying(&mut rig);
    let listing = Listing { level: ListingLevel::City, body: "市应急局".into(), notice: date("2026-11-24") };
    let list = HazardAction::List { id: id.clone(), listing };
    let unlist = HazardAction::Unlist { id: id.clone(), comment: "验收合格".into() };
    for ours in [supervisor("li"), Actor::gateway(), who("li", Via::Page, &Role::ALL)] {
        assert!(hazard(&mut rig, list.clone(), &ours).is_err());
        assert!(hazard(&mut rig, unlist.clone(), &ours).is_err());
    }
    assert!(hazard(&mut rig, unlist.clone(), &platform()).is_err(), "it is not listed yet");
    hazard(&mut rig, list, &platform()).unwrap();
    hazard(&mut rig, submit(&id, ""), &operator("wang")).unwrap();
    hazard(&mut rig, HazardAction::Accept { id: id.clone(), comment: String::new() }, &supervisor("li")).unwrap();
    let close = HazardAction::Close { id: id.clone(), comment: String::new() };
    assert!(hazard(&mut rig, close.clone(), &supervisor("li")).is_err());
    hazard(&mut rig, unlist, &platform()).unwrap();
    hazard(&mut rig, close, &supervisor("li")).unwrap();
}

fn proposed(rig: &Rig) -> Vec<(HazardStep, String)> {
    let records = rig.records::<HazardRecord>(DocumentKind::Hazard).into_iter();
    records.map(|record| (record.step, record.hazard.cause.unwrap_or_default())).collect()
}

#[test]
fn a_device_silent_for_hours_is_proposed_once_and_again_only_when_it_was_back() {
    let mut rig = Rig::quiet();
    rig.silent.insert("gas-07");
    rig.pass(HOUR * 4 - MINUTE);
    assert!(proposed(&rig).is_empty());
    rig.pass(HOUR * 20);
    let cause = "device_silent:gas-07".to_owned();
    assert_eq!(proposed(&rig), [(HazardStep::Find, cause.clone())]);
    let id = rig.book.view(rig.now).hazards[0].id.clone();
    hazard(&mut rig, HazardAction::Dismiss { id, why: "停车检修".into() }, &supervisor("li")).unwrap();
    rig.pass(DAY);
    assert_eq!(proposed(&rig).len(), 2, "dismissed is dismissed, while it stays silent");
    rig.silent.clear();
    rig.pass(HOUR);
    rig.silent.insert("gas-07");
    rig.pass(HOUR * 5);
    assert_eq!(proposed(&rig).last(), Some(&(HazardStep::Find, cause.clone())));
    rig.silent.clear();
    rig.pass(MINUTE);
    assert_eq!(proposed(&rig).last(), Some(&(HazardStep::CauseGone, cause)), "and it stays on the list");
    assert_eq!(rig.book.view(rig.now).hazards.len(), 1);
}

#[test]
fn an_alarm_that_comes_again_and_again_and_a_barrier_that_fails_are_proposed() {
    let mut rig = Rig::quiet();
    for n in 0..12 {
        rig.alarm("AT701.gas", &format!("1-{n}"), AlarmStep::Raised, true);
        rig.tell(Fact::Output { output: "gate-1".into(), done: n % 3 == 0 });
        rig.pass(HOUR);
    }
    assert_eq!(proposed(&rig), [(HazardStep::Find, "alarm_repeated:AT701.gas".to_owned())]);
    for _ in 0..3 {
        rig.tell(Fact::Output { output: "gate-1".into(), done: false });
    }
    assert_eq!(proposed(&rig).last().unwrap().1, "output_failed:gate-1");
    for n in 0..20 {
        rig.alarm("LT101.high", &format!("2-{n}"), AlarmStep::Raised, true);
        rig.pass(HOUR * 7);
    }
    assert!(!proposed(&rig).iter().any(|(_, cause)| cause.contains("LT101")), "less often than the rule says");
}

#[test]
fn a_storm_of_causes_is_bounded_and_what_is_not_proposed_is_counted() {
    let mut rig = Rig::quiet();
    for point in 0..300 {
        for n in 0..5 {
            rig.alarm(&format!("AT{point}.gas"), &format!("{point}-{n}"), AlarmStep::Raised, true);
        }
    }
    assert_eq!(proposed(&rig).len(), hazards::MAX_PROPOSALS);
    rig.pass(DAY);
    assert_eq!(rig.reports().pop().unwrap().hazards.steps.not_proposed, 200);
}

fn open(kind: AccidentKind) -> Action {
    let (place, text) = ("二号装置".into(), "法兰泄漏".into());
    Action::Accident(AccidentAction::Open { kind, place, text, occurred_at: None })
}

fn draft(id: &str, stage: Stage, dead: u32) -> Action {
    let casualties = Casualties { dead, ..Casualties::default() };
    Action::Accident(AccidentAction::Draft { id: id.into(), stage, text: "见附件".into(), casualties })
}

fn confirm(id: &str, draft: u32) -> Action {
    Action::Accident(AccidentAction::Confirm { id: id.into(), draft })
}

fn accident_reports(rig: &Rig) -> Vec<AccidentReport> {
    let records = rig.records::<AccidentRecord>(DocumentKind::Accident).into_iter();
    records.filter_map(|r| if let AccidentRecord::Report(report) = r { Some(report) } else { None }).collect()
}

#[test]
fn the_hour_of_the_first_report_is_visible_warned_of_and_its_lateness_computed() {
    let mut rig = Rig::quiet();
    let id = rig.act(open(AccidentKind::Leak), &supervisor("li")).unwrap().id;
    assert!(rig.act(draft(&id, Stage::Continued, 0), &operator("zhang")).is_err(), "the first comes first");
    rig.pass(MINUTE * 44);
    let left = rig.book.view(rig.now).accidents[0].left;
    assert_eq!((left, rig.flags()), (Some(MINUTE * 16), vec![]));
    rig.pass(MINUTE);
    assert_eq!(rig.flags(), [(FlagKind::AccidentFirstSoon, true)]);
    rig.pass(MINUTE * 15);
    assert_eq!(rig.flags().last(), Some(&(FlagKind::AccidentFirstLate, true)));

    rig.act(draft(&id, Stage::First, 0), &operator("zhang")).unwrap();
    assert!(accident_reports(&rig).is_empty(), "a draft is not a report");
    assert!(rig.act(confirm(&id, 1), &operator("zhang")).is_err());
    assert!(rig.act(confirm(&id, 2), &supervisor("li")).is_err(), "not what he has read");
    rig.act(confirm(&id, 1), &supervisor("li")).unwrap();
    let report = accident_reports(&rig).pop().unwrap();
    assert_eq!((report.is_late, report.after_ms), (true, 3_600_000), "at the last millisecond and not before it");
    let lowered: Vec<_> = rig.flags().into_iter().filter(|(_, active)| !active).map(|(kind, _)| kind).collect();
    assert_eq!(lowered, [FlagKind::AccidentFirstSoon, FlagKind::AccidentFirstLate]);
}

#[test]
fn an_accident_report_in_time_is_not_late_even_when_the_clock_jumps_by_a_day() {
    let mut rig = Rig::quiet();
    let id = rig.act(open(AccidentKind::Leak), &supervisor("li")).unwrap().id;
    rig.act(draft(&id, Stage::First, 0), &operator("zhang")).unwrap();
    rig.step(86_400_000, ClockTrust::Synced);
    rig.pass(MINUTE * 30);
    rig.act(confirm(&id, 1), &supervisor("li")).unwrap();
    assert!(!accident_reports(&rig)[0].is_late);
    assert!(rig.flags().is_empty());
}

#[test]
fn after_the_final_report_casualties_are_added_for_thirty_days_and_for_seven_after_a_fire() {
    for (kind, days) in [(AccidentKind::Leak, 30), (AccidentKind::Fire, 7), (AccidentKind::Traffic, 7)] {
        let mut rig = Rig::quiet();
        let id = rig.act(open(kind), &supervisor("li")).unwrap().id;
        for (n, stage) in (1..).zip([Stage::First, Stage::Continued, Stage::Final]) {
            rig.act(draft(&id, stage, 0), &operator("zhang")).unwrap();
            rig.act(confirm(&id, n), &supervisor("li")).unwrap();
        }
        assert!(rig.act(draft(&id, Stage::Continued, 1), &operator("zhang")).is_err());
        rig.step(i64::try_from((DAY * (days - 1)).as_millis()).unwrap(), ClockTrust::Synced);
        rig.act(draft(&id, Stage::Supplement, 1), &operator("zhang")).unwrap();
        rig.act(confirm(&id, 4), &supervisor("li")).unwrap();
        assert_eq!(accident_reports(&rig).pop().unwrap().casualties.dead, 1);
        rig.step(86_400_000, ClockTrust::Synced);
        assert!(rig.act(draft(&id, Stage::Supplement, 2), &operator("zhang")).is_err(), "{kind:?}");
    }
}

#[test]
fn a_false_alarm_is_withdrawn_with_a_reason_before_the_first_report_and_never_after_it() {
    let mut rig = Rig::quiet();
    let withdraw =
        |id: &str| Action::Accident(AccidentAction::Withdraw { id: id.into(), why: "误判，为蒸汽".into() });
    let id = rig.act(open(AccidentKind::Leak), &supervisor("li")).unwrap().id;
    rig.pass(MINUTE * 50);
    rig.act(withdraw(&id), &supervisor("li")).unwrap();
    assert_eq!(rig.flags().last(), Some(&(FlagKind::AccidentFirstSoon, false)));
    let notes = rig.records::<AccidentRecord>(DocumentKind::Accident);
    assert!(matches!(notes.last(), Some(AccidentRecord::Note { note: NoteKind::Withdrawn, .. })));
    let id = rig.act(open(AccidentKind::Leak), &supervisor("li")).unwrap().id;
    rig.act(draft(&id, Stage::First, 0), &supervisor("li")).unwrap();
    rig.act(confirm(&id, 1), &supervisor("li")).unwrap();
    assert!(rig.act(withdraw(&id), &supervisor("li")).is_err());
}

#[test]
fn the_delivery_of_an_accident_report_is_told_too() {
    let mut rig = Rig::quiet();
    let id = rig.act(open(AccidentKind::Leak), &supervisor("li")).unwrap().id;
    rig.act(draft(&id, Stage::First, 0), &operator("zhang")).unwrap();
    rig.act(confirm(&id, 1), &supervisor("li")).unwrap();
    let delivery = Delivery::Accident { accident: id, no: 1 };
    rig.book.handle_recorded(&delivery, 12);
    rig.pass(Duration::from_secs(2400));
    rig.book.handle_delivered(&|seq| seq == 12, rig.now);
    rig.collect();
    let told = rig.records::<report::DeliveryReport>(DocumentKind::Report).pop().unwrap();
    assert_eq!(told.of, delivery);
    assert_eq!(told.due_at.0 - told.generated_at.0, 3_600_000, "the hour was not over");
    assert!(!told.is_late);
}
