//! When a day may be called nil (零报告, `domain.md` rules 9 and 121): one line per condition, so that each can be read and
//! each can be tested alone.

use super::making::{pct, share};
use super::report::{DailyReport, WhyNot};
use super::rules::ReportRules;

/// Returns every reason why the day is no nil report; none means that it is one.
pub(super) fn why_not(report: &DailyReport, undated: bool, rules: &ReportRules) -> Vec<WhyNot> {
    let mut why = Vec::new();
    happened(report, &mut why);
    watched(report, undated, rules, &mut why);
    why
}

/// Everything that is a number of things that happened.
fn happened(report: &DailyReport, why: &mut Vec<WhyNot>) {
    let (alarms, duty, hazards, accidents) = (&report.alarms, &report.duty, &report.hazards, &report.accidents);
    let steps = &hazards.steps;
    let hazard_steps = steps.found
        + steps.proposed
        + steps.not_proposed
        + steps.dismissed
        + steps.accepted
        + steps.returned
        + steps.closed
        + steps.overdue;
    let new_gaps = report.store.as_ref().and_then(|store| store.new_gaps).unwrap_or(0);
    let counters: [(&str, u64, &str, &str); 22] = [
        ("alarms", alarms.raised, "条报警", "alarms"),
        ("alarms_worse", alarms.worse, "次报警升级", "alarms that became worse"),
        ("alarms_open", alarms.n_open, "条报警未消除", "alarms that are open"),
        ("alarms_carried", alarms.carried, "条报警从前一日延续", "alarms that were open when the day began"),
        (
            "alarms_cleared",
            alarms.cleared.count + alarms.acknowledged.count,
            "次报警确认或恢复",
            "alarms acknowledged or cleared",
        ),
        ("shelved", alarms.shelved, "次报警搁置", "alarms shelved"),
        ("floods", alarms.floods, "次报警泛滥", "floods of alarms"),
        ("chattering", alarms.chattering, "次报警抖动", "chattering alarms"),
        ("site", report.site.real, "次园区状态变化", "states of the site"),
        ("drills", report.site.drills, "次演练", "drills"),
        ("duty_unanswered", duty.unanswered, "次查岗无应答", "duty checks without an answer"),
        ("duty_late", duty.late, "次查岗超时应答", "duty checks answered too late"),
        ("duty_not_taken", duty.not_taken, "个班次无人接班", "shifts that nobody took over"),
        ("hazards", hazard_steps, "项隐患办理", "steps of hidden hazards"),
        ("hazards_open", hazards.open.values().sum(), "项隐患未销号", "hidden hazards on the list"),
        ("hazards_carried", hazards.carried, "项隐患从前一日挂账", "hidden hazards on the list when the day began"),
        (
            "accidents",
            accidents.opened + accidents.reports + accidents.late,
            "项事故事项",
            "accidents or their reports",
        ),
        ("accidents_open", accidents.open, "起事故未终报", "accidents without a final report"),
        ("accidents_carried", accidents.carried, "起事故从前一日未终报", "accidents open when the day began"),
        ("outputs_failed", report.outputs_failed, "次输出失败", "outputs that failed"),
        ("boots", report.running.boots, "次启动", "starts of the gateway"),
        ("gaps", new_gaps, "个存储缺口", "gaps in the store"),
    ];
    for (code, count, zh, en) in counters.into_iter().filter(|(_, count, ..)| *count > 0) {
        why.push(WhyNot { code: code.into(), zh: format!("{count} {zh}"), en: format!("{count} {en}") });
    }
}

/// Whether it was watched at all.
fn watched(report: &DailyReport, undated: bool, rules: &ReportRules, why: &mut Vec<WhyNot>) {
    let mut say = |code: &str, zh: String, en: String| why.push(WhyNot { code: code.into(), zh, en });
    let coverage = &report.coverage;
    let threshold = u64::from(rules.nil_coverage);
    match share(coverage.received, coverage.expected) {
        None => say("coverage", "没有应采数据".into(), "no data were expected".into()),
        Some(share) if share < threshold => {
            let (is, needed) = (pct(share), pct(threshold));
            say(
                "coverage",
                format!("数据覆盖率 {is:.2}%，低于 {needed:.2}%"),
                format!("data coverage {is:.2} % is below {needed:.2} %"),
            );
        }
        Some(_) => {}
    }
    // The worst stand first.
    if let Some(worst) = coverage.devices.first() {
        let is = share(worst.received, worst.expected).unwrap_or(0);
        if is < threshold {
            let (device, is) = (&worst.device, pct(is));
            say(
                "device_coverage",
                format!("设备 {device} 的数据覆盖率 {is:.2}%"),
                format!("data coverage of device {device} is {is:.2} %"),
            );
        }
    }
    let silent = coverage.silent.len() as u64 + coverage.more_silent;
    if silent > 0 {
        say("silent", format!("{silent} 台设备无数据"), format!("{silent} devices are silent"));
    }
    if !report.clock.trusted {
        say("clock", "时钟有时不可信或被调整".into(), "the clock could not be trusted all day, or was stepped".into());
    }
    let length = u64::try_from(report.to.0.saturating_sub(report.from.0)).unwrap_or(0);
    let watched = length.saturating_sub(report.running.unwatched_ms);
    if share(watched, length).unwrap_or(0) < threshold {
        let minutes = report.running.unwatched_ms / 60_000;
        say("unwatched", format!("{minutes} 分钟无人值守"), format!("for {minutes} min nobody was watching"));
    }
    match &report.store {
        None => say("store", "存储情况不明".into(), "the state of the store is not known".into()),
        Some(store) if store.account.failed || store.replaced || store.new_gaps.is_none() => {
            say("store", "存储故障或曾更换".into(), "the store failed, was replaced, or its day is not known".into());
        }
        Some(_) => {}
    }
    if undated {
        say("undated", "有日期不明的记录".into(), "there are facts of which nobody knows the day".into());
    }
}
