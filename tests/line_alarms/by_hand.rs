//! What an operator does with alarms on the machine, command by command, by the real binary: shelve, unshelve, out of service,
//! return, approve, silence, the report of the day. The city hears of each what it should, and the audit has it, done or refused.

use std::fs;
use std::path::Path;

use serde_json::Value;

use super::support::clock::Clock;
use super::support::process::{Gateway, Mosquitto};
use super::support::wait::{SOON, eventually, free_port, until, wall_ms};
use super::{City, Field, folder, run, said};

/// Beijing, where the park is.
const OFFSET_MS: i64 = 8 * 3_600_000;
const DAY_MS: i64 = 24 * 3_600_000;

/// What the gateway says when it refuses.
fn refused(dir: &Path, command: &[&str], more: &[&str]) -> String {
    let output = run(dir, command, more);
    assert!(!output.status.success(), "{command:?} {more:?} is to be refused");
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn shelf_service_approval_silence_and_the_report_of_the_day_on_the_command_line() {
    let Some(broker) = Mosquitto::start() else { return };
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let own = dir.path().join("clock");
    fs::create_dir(&own).unwrap();
    // A report has a day, and a day needs a clock that somebody disciplines.
    let Some(clock) = Clock::make(&own) else { return };
    let (field, city, web) = (Field::start(), City::listens(broker.port()), free_port());
    let park = dir.path().join("park");
    fs::create_dir(&park).unwrap();
    folder(&park, field.server.addr().port(), broker.port(), web);
    let mut gateway = Gateway::start_with(&park, web, clock.env());
    gateway.wait_ready();
    field.show(30, 850);
    city.hears("AT701.gas", "unacked", "active");
    city.hears("PT701.high", "unacked", "active");

    the_shelf(&park, &city);
    field.show(60, 850);
    city.hears("AT701.gas", "unacked", "level_up");
    nobody_approves_his_own(&park, &city);
    let silenced = said(&park, &["silence"], &[]);
    assert!(silenced.contains("已执行"), "{silenced}");

    the_audit_has_all_of_it(&city);
    the_report_counts_it(&park);
    assert_eq!(gateway.sigterm(), Some(0));
}

fn the_shelf(park: &Path, city: &City) {
    said(park, &["shelve", "PT701.high"], &["--for", "30min", "--reason", "变送器检修"]);
    let shelved = city.hears("PT701.high", "shelved", "shelved");
    let told = (shelved["from"].as_str(), shelved["beneath"].as_str(), shelved["comment"].as_str());
    assert_eq!(told, (Some("unacked"), Some("unacked"), Some("变送器检修")), "{shelved}");
    assert_eq!(shelved["for_ms"].as_u64(), Some(1_800_000), "{shelved}");
    assert!(shelved["actor"]["name"].as_str().is_some_and(|name| !name.is_empty()), "{shelved}");
    let (listed, all) = (said(park, &["alarms"], &["--csv"]), said(park, &["alarms"], &["--csv", "--all"]));
    assert!(!listed.contains("PT701.high") && listed.contains("AT701.gas"), "{listed}");
    assert!(all.lines().any(|line| line.contains("PT701.high") && line.contains("shelved")), "{all}");

    said(park, &["unshelve", "PT701.high"], &[]);
    city.hears("PT701.high", "unacked", "unshelved");
    let why = refused(park, &["unshelve", "PT701.high"], &[]);
    assert!(why.contains("报警当前状态为“报警未确认”") && why.contains("unacked"), "{why}");
    let why = refused(park, &["shelve", "PT701.high"], &["--for", "9h", "--reason", "检修"]);
    assert!(why.contains("一次搁置最长 8 小时"), "{why}");
}

/// Gas of level 2 on the shelf, and anything out of service, takes two persons; whoever owns the gateway is one.
fn nobody_approves_his_own(park: &Path, city: &City) {
    for (command, alarm, time) in [("shelve", "AT701.gas", "30min"), ("outofservice", "PT701.high", "7d")] {
        let why = refused(park, &["approve", alarm], &[]);
        assert!(why.contains("没有待批准的申请"), "{why}");
        let asked = said(park, &[command, alarm], &["--for", time, "--reason", "停产检修"]);
        assert!(asked.contains("需另一名值班长批准"), "{asked}");
        let why = refused(park, &["approve", alarm], &[]);
        assert!(why.contains("申请人不能批准自己的申请"), "{why}");
    }
    let why = refused(park, &["return", "PT701.high"], &[]);
    assert!(why.contains("报警当前状态为“报警未确认”"), "{why}");
    let hidden = |alarm: &str, state: &str| city.of(alarm).iter().any(|record| record["to"] == state);
    assert!(!hidden("AT701.gas", "shelved") && !hidden("PT701.high", "out_of_service"), "nothing of it is in force");
    let listed = said(park, &["alarms"], &["--csv"]);
    assert!(listed.contains("AT701.gas") && listed.contains("PT701.high"), "{listed}");
}

fn the_audit_has_all_of_it(city: &City) {
    let word = |entry: &Value, name: &str| entry[name].as_str().unwrap_or_default().to_owned();
    let entries = || {
        let mut entries = city.documents("passage", "audit");
        entries.sort_by_key(|entry| entry["seq"].as_u64());
        entries.dedup_by_key(|entry| entry["seq"].as_u64());
        entries
    };
    let told = |entries: &[Value]| -> Vec<String> {
        let line = |entry: &Value| ["action", "object", "result"].map(|name| word(entry, name)).join(" ");
        entries.iter().map(line).collect()
    };
    let wanted = [
        "shelve PT701.high done",
        "unshelve PT701.high done",
        "unshelve PT701.high refused",
        "shelve PT701.high refused",
        "approve AT701.gas refused",
        "shelve AT701.gas done",
        "approve AT701.gas refused",
        "approve PT701.high refused",
        "out_of_service PT701.high done",
        "approve PT701.high refused",
        "return PT701.high refused",
        "silence  done",
    ];
    eventually(SOON, "every action is in the audit", || entries().len() >= wanted.len());
    let entries = entries();
    assert_eq!(told(&entries), wanted);
    assert_eq!(word(&entries[0], "detail"), "变送器检修");
    assert!(word(&entries[6], "detail").contains("who asked must not approve"), "{:?}", entries[6]);
    assert!(entries.iter().all(|entry| entry["actor"] == entries[0]["actor"]), "one person did all of it: {entries:?}");
}

fn the_report_counts_it(park: &Path) {
    // A day has its name by its last moment: what happens now may belong to tomorrow's.
    let day = |ahead: i64| {
        let local = jiff::Timestamp::from_millisecond(wall_ms() + OFFSET_MS + ahead * DAY_MS).unwrap().to_string();
        local.split('T').next().unwrap().to_owned()
    };
    let report = until(SOON, "the report of the day counts what was shelved", || {
        [day(0), day(1)].into_iter().find_map(|day| {
            let output = run(park, &["report"], &["--day", &day, "--json"]);
            let report: Value = serde_json::from_slice(&output.stdout).ok()?;
            (report["day"] == day.as_str() && report["alarms"]["shelved"] == 1).then_some(report)
        })
    });
    assert!(report["alarms"]["raised"].as_u64() >= Some(2), "{report}");
    let told = said(park, &["report"], &["--day", report["day"].as_str().unwrap()]);
    assert!(told.contains("日报告 daily report"), "{told}");
    let none = refused(park, &["report"], &["--day", "2001-01-01"]);
    assert!(none.contains("没有 2001-01-01 的日报"), "{none}");
}
