//! What stands at the end of a day that is reported hours later.

use super::*;
use crate::domain::daybook::accident::{AccidentKind, Casualties, Stage};

/// Days end at midnight and are reported at eight. It is 20:00 on 2026-11-23, and so far nothing has happened.
fn evening() -> Rig {
    let (at, cut) = (Minute::new(8, 0).unwrap(), Minute::MIDNIGHT);
    let report = rules::ReportRules { at, cut, ..rules::ReportRules::default() };
    let rules = Rules { report, ..Rules::default() };
    let mut rig = Rig::with("2026-11-21T16:00:00.000Z", rules, Arc::new(FixedOffset::BEIJING));
    rig.pass(HOUR * 44);
    rig
}

/// Something begins on the evening of the 23rd, stands all of the 24th and ends on the 25th at three, before the 24th is
/// reported at eight; the gateway may start anew in between. Returns the reports of the 24th and the 25th.
fn from_evening_to_night<T>(
    restart_after: Option<Duration>,
    begins: impl Fn(&mut Rig) -> T,
    ends: impl Fn(&mut Rig, T),
) -> (DailyReport, DailyReport) {
    let mut rig = evening();
    let it = begins(&mut rig);
    let three = HOUR * 31;
    let restart = |rig: &mut Rig| {
        let back = rig.now.wall.after(MINUTE);
        rig.restart(MINUTE, back, ClockTrust::Synced);
    };
    let first = restart_after.unwrap_or(three);
    rig.pass(first.min(three));
    if restart_after.is_some_and(|after| after <= three) {
        restart(&mut rig);
    }
    rig.pass(three.saturating_sub(first));
    ends(&mut rig, it);
    if restart_after.is_some_and(|after| after > three) {
        rig.pass(first.saturating_sub(three));
        restart(&mut rig);
    }
    rig.pass(DAY * 2);
    let report = |day: &str| rig.reports().into_iter().find(|report| report.day == date(day)).unwrap();
    (report("2026-11-24"), report("2026-11-25"))
}

/// No restart; one just after the 24th has ended; one between the end of the thing and the report.
const RESTARTS: [Option<Duration>; 3] =
    [None, Some(Duration::from_secs(29 * 3600)), Some(Duration::from_secs(33 * 3600))];

#[test]
fn an_alarm_that_stands_all_day_and_is_gone_before_the_report_makes_it_no_nil_report() {
    for restart in RESTARTS {
        let (during, after) = from_evening_to_night(
            restart,
            |rig| rig.alarm("AT701.gas", "1-1", AlarmStep::Raised, false),
            |rig, ()| {
                rig.alarm("AT701.gas", "1-1", AlarmStep::Acknowledged, false);
                rig.alarm("AT701.gas", "1-1", AlarmStep::Cleared, true);
            },
        );
        assert_eq!((during.what, codes(&during)), (ReportKind::Daily, vec!["alarms_open", "alarms_carried"]));
        let alarms = &during.alarms;
        let moved = (alarms.raised, alarms.acknowledged.count, alarms.cleared.count);
        assert_eq!((moved, alarms.n_open, alarms.carried), ((0, 0, 0), 1, 1));
        assert_eq!((alarms.open[0].occ.as_str(), alarms.open[0].acknowledged), ("1-1", false), "as it stood then");
        assert_eq!((after.alarms.n_open, after.alarms.carried, after.alarms.cleared.count), (0, 1, 1));
    }
}

#[test]
fn an_alarm_raised_between_the_end_of_the_day_and_its_report_is_not_of_the_day() {
    let mut rig = evening();
    rig.pass(HOUR * 31);
    rig.alarm("AT701.gas", "1-1", AlarmStep::Raised, false);
    rig.pass(HOUR * 5);
    let report = rig.reports().pop().unwrap();
    assert_eq!((report.day, report.what, report.alarms.n_open), (date("2026-11-24"), ReportKind::Nil, 0));
    rig.pass(DAY);
    let report = rig.reports().pop().unwrap();
    assert_eq!((report.day, report.alarms.raised, report.alarms.n_open), (date("2026-11-25"), 1, 1));
}

#[test]
fn a_day_on_which_a_latched_alarm_is_only_reset_is_no_nil_day() {
    let mut rig = evening();
    rig.alarm("AT701.gas", "1-1", AlarmStep::Raised, false);
    rig.alarm("AT701.gas", "1-1", AlarmStep::Acknowledged, false);
    rig.alarm("AT701.gas", "1-1", AlarmStep::Cleared, false);
    rig.pass(HOUR * 10);
    rig.alarm("AT701.gas", "1-1", AlarmStep::Other, true);
    rig.pass(HOUR * 26);
    let report = rig.reports().pop().unwrap();
    assert_eq!((report.day, codes(&report)), (date("2026-11-24"), vec!["alarms_carried"]));
}

#[test]
fn a_hazard_that_was_on_the_list_all_day_makes_it_no_nil_report() {
    for restart in RESTARTS {
        let (during, after) = from_evening_to_night(
            restart,
            |rig| {
                let find = HazardAction::Find { place: "一号罐区".into(), text: "护栏松动".into() };
                rig.act(Action::Hazard(find), &operator("zhang")).unwrap().id
            },
            |rig, id| {
                let dismiss = HazardAction::Dismiss { id, why: "已核实，不属实".into() };
                rig.act(Action::Hazard(dismiss), &supervisor("li")).unwrap();
            },
        );
        assert_eq!((during.what, codes(&during)), (ReportKind::Daily, vec!["hazards_open", "hazards_carried"]));
        assert_eq!(during.hazards.open, BTreeMap::from([("found".to_owned(), 1)]));
        assert_eq!((after.hazards.open.len(), after.hazards.carried), (0, 1));
    }
}

#[test]
fn an_accident_without_its_final_report_all_day_makes_it_no_nil_report() {
    let reports = |rig: &mut Rig, id: &str, stage: Stage, draft: u32| {
        let (id, text) = (id.to_owned(), "见附件".to_owned());
        let write = AccidentAction::Draft { id: id.clone(), stage, text, casualties: Casualties::default() };
        rig.act(Action::Accident(write), &operator("zhang")).unwrap();
        rig.act(Action::Accident(AccidentAction::Confirm { id, draft }), &supervisor("li")).unwrap();
    };
    for restart in RESTARTS {
        let (during, after) = from_evening_to_night(
            restart,
            |rig| {
                let id = rig.act(Action::Accident(opened(AccidentKind::Leak)), &supervisor("li")).unwrap().id;
                reports(rig, &id, Stage::First, 1);
                id
            },
            |rig, id| reports(rig, &id, Stage::Final, 2),
        );
        assert_eq!((during.what, codes(&during)), (ReportKind::Daily, vec!["accidents_open", "accidents_carried"]));
        assert_eq!((during.accidents.open, after.accidents.open, after.accidents.carried), (1, 0, 1));
    }
}

#[test]
fn what_was_saved_before_the_ends_of_days_were_kept_is_read() {
    let mut rig = evening();
    rig.alarm("AT701.gas", "1-1", AlarmStep::Raised, false);
    rig.pass(HOUR * 29);
    let mut saved = serde_json::to_value(rig.book.saved(rig.now)).unwrap();
    let memory = saved["memory"].as_object_mut().unwrap();
    assert!(memory.remove("ended").is_some());
    for day in memory["days"].as_object_mut().unwrap().values_mut() {
        assert!(day.as_object_mut().unwrap().remove("carried").is_some());
    }
    let mut book = Daybook::new(rig.rules.clone(), rig.calendar.clone(), 2, rig.now);
    book.install(rig.rules.clone(), DEVICES, rig.now);
    book.restore(Some(serde_json::from_value(saved).unwrap()), [], rig.now);
    rig.book = book;
    rig.pass(HOUR * 7);
    let report = rig.reports().pop().unwrap();
    assert_eq!((report.day, report.what, report.alarms.n_open), (date("2026-11-24"), ReportKind::Daily, 1));
}

#[test]
fn a_day_that_a_clock_ended_too_early_ends_again_with_what_stands_then() {
    let mut rig = evening();
    rig.pass(HOUR * 3 + HOUR / 2);
    // Put forward over midnight, and back: the 23rd is not reported before eight.
    rig.step(3_600_000, ClockTrust::Synced);
    rig.step(-3_600_000, ClockTrust::Synced);
    rig.alarm("AT701.gas", "1-1", AlarmStep::Raised, false);
    rig.pass(HOUR * 9);
    let report = rig.reports().pop().unwrap();
    assert_eq!((report.day, report.alarms.raised, report.alarms.n_open), (date("2026-11-23"), 1, 1));
    rig.pass(DAY);
    let report = rig.reports().pop().unwrap();
    assert_eq!((report.day, report.alarms.raised, report.alarms.carried), (date("2026-11-24"), 0, 1));
}
