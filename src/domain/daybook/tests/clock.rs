//! Days under clocks that are wrong, changed, or not known.

use super::*;

#[test]
fn what_happened_in_1970_is_dated_by_the_offset_when_the_clock_is_known() {
    let mut rig = Rig::quiet();
    let off = HOUR * 2;
    let truth = rig.now.wall.after(off);
    rig.restart(off, time("1970-01-01T00:00:30.000Z"), ClockTrust::Unsynced);
    rig.alarm("AT701.gas", "2-1", AlarmStep::Raised, false);
    rig.pass(HOUR * 3);
    rig.alarm("AT701.gas", "2-1", AlarmStep::Acknowledged, false);
    assert!(rig.reports().is_empty() && rig.book.view(rig.now).undated);

    let now = truth.after(HOUR * 3);
    rig.step(now.0 - rig.now.wall.0, ClockTrust::Synced);
    assert!(!rig.book.view(rig.now).undated);
    rig.pass(HOUR * 20);
    let report = rig.reports().pop().unwrap();
    assert_eq!((report.day.to_string(), report.version), ("2026-11-25".into(), 1));
    assert_eq!((report.alarms.raised, report.alarms.acknowledged.median_ms), (1, Some(3 * 3_600_000)));
    assert_eq!(report.alarms.open[0].since, truth);
    assert_eq!(report.running.off_ms, 2 * 3_600_000, "the time off is dated too");
    assert_eq!(report.clock.tally.unsynced_ms, 3 * 3_600_000);
    assert!(codes(&report).contains(&"clock"));
}

#[test]
fn an_hour_back_reports_no_day_twice_and_skips_none() {
    let mut rig = Rig::quiet();
    rig.pass(HOUR * 24);
    rig.alarm("AT701.gas", "1-1", AlarmStep::Raised, true);
    rig.step(-3_600_000, ClockTrust::Synced);
    rig.alarm("AT701.gas", "1-2", AlarmStep::Raised, true);
    rig.pass(DAY * 2);
    assert_eq!(
        rig.days(),
        [("2026-11-25".into(), 1), ("2026-11-26".into(), 1)],
        "the step leaves the third day an hour to go"
    );
    let raised: Vec<u64> = rig.reports().iter().map(|report| report.alarms.raised).collect();
    assert_eq!(raised, [0, 2], "what came in the hour that came twice is in the day that was open");
}

#[test]
fn ten_years_ahead_with_trust_lost_makes_no_report_until_somebody_knows_the_time() {
    let mut rig = Rig::quiet();
    let truth = rig.now.wall.after(HOUR);
    rig.restart(HOUR, truth.after(DAY * 3650), ClockTrust::Unsynced);
    rig.pass(DAY);
    assert!(rig.reports().is_empty());
    let now = truth.after(DAY);
    rig.step(now.0 - rig.now.wall.0, ClockTrust::Synced);
    assert_eq!(rig.days(), [("2026-11-25".into(), 1)]);
    assert!(rig.reports()[0].made_up);
}

#[test]
fn ten_years_ahead_by_a_time_server_gone_mad_is_bounded_and_the_days_that_come_again_are_new_versions() {
    let mut rig = Rig::quiet();
    let ten_years = i64::try_from((DAY * 3650).as_millis()).unwrap();
    rig.step(ten_years, ClockTrust::Synced);
    assert_eq!(rig.reports().len(), 0, "nobody lived these days, and none of them is late");
    let omitted = rig.records::<OmittedReport>(DocumentKind::Report);
    assert_eq!(omitted.iter().map(|record| record.count).collect::<Vec<_>>(), [3650]);
    rig.alarm("AT701.gas", "1-1", AlarmStep::Raised, true);
    rig.pass(HOUR);
    rig.step(-ten_years, ClockTrust::Synced);
    rig.out.clear();
    rig.pass(DAY * 2);
    assert_eq!(rig.days(), [("2026-11-25".into(), 1), ("2026-11-26".into(), 1)], "told as omitted only, then");
    assert_eq!(rig.reports()[0].alarms.raised, 1, "and what happened in between happened today");

    // Three days there and back: the same. What was counted there belongs to the day that is open.
    let three_days = ten_years / 3650 * 3;
    rig.step(three_days, ClockTrust::Synced);
    assert_eq!(rig.records::<OmittedReport>(DocumentKind::Report).pop().map(|record| record.count), Some(3));
    rig.step(-three_days, ClockTrust::Synced);
    rig.out.clear();
    rig.pass(DAY * 2);
    assert_eq!(rig.days(), [("2026-11-27".into(), 1), ("2026-11-28".into(), 1)]);

    // Lived for a day there, that day has a report, and a new version when it comes again.
    rig.step(three_days, ClockTrust::Synced);
    rig.pass(DAY);
    assert_eq!(rig.days().last(), Some(&("2026-12-02".into(), 1)));
    rig.step(-three_days, ClockTrust::Synced);
    rig.out.clear();
    rig.pass(DAY * 3);
    let again = rig.reports().pop().unwrap();
    assert_eq!((again.day.to_string(), again.version), ("2026-12-02".into(), 2));
    assert!(again.prev.is_some() && again.correction.is_some());
}

#[test]
fn a_clock_put_forward_by_hours_over_the_end_of_a_day_leaves_out_no_report() {
    let mut rig = Rig::quiet();
    rig.pass(HOUR * 23);
    rig.step(2 * 3_600_000, ClockTrust::Synced);
    assert_eq!(rig.days(), [("2026-11-25".into(), 1)]);
}

#[test]
fn on_the_days_on_which_clocks_are_changed_a_day_is_23_or_25_hours_and_fully_covered() {
    for (start, day, hours) in
        [("2026-03-27T16:00:00.000Z", "2026-03-29", 23), ("2026-10-23T15:00:00.000Z", "2026-10-25", 25)]
    {
        let rig = Rig::with(start, Rules::default(), Arc::new(Zone::named("Europe/Berlin")));
        let mut rig = rig;
        rig.pass(DAY * 3 + HOUR);
        let report = rig.reports().into_iter().find(|report| report.day == date(day)).unwrap();
        assert_eq!(report.to.0 - report.from.0, hours * 3_600_000);
        assert_eq!(report.coverage.pct, Some(100.0));
        assert_eq!(report.generated_at, report.due_at);
        assert_eq!(rig.days().len(), 3);
    }
}

#[test]
fn while_the_clock_is_unknown_the_page_shows_what_was_counted_since_the_start_and_calls_no_device_lost() {
    let mut rig = Rig::new("2026-11-23T08:00:00.000Z");
    rig.now.trust = ClockTrust::Unsynced;
    rig.pass(10 * MINUTE);
    assert!(rig.book.view(rig.now).undated);
    let report = rig.book.so_far(rig.now).unwrap();
    assert!(report.coverage.received > 1500 && report.coverage.pct > Some(95.0), "{:?}", report.coverage);
    assert_eq!(report.coverage.silent, [], "every device answers");
    // When the clock is known, the same stands in its day, up to now.
    rig.now.trust = ClockTrust::Synced;
    rig.pass(MINUTE);
    assert!(!rig.book.view(rig.now).undated);
    let report = rig.book.so_far(rig.now).unwrap();
    assert!(report.coverage.received > 1600 && report.coverage.pct > Some(90.0), "{:?}", report.coverage);
    assert_eq!(report.coverage.silent, []);
}
