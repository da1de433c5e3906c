//! `check --explain`: each alarm, when it is raised, how bad it is, who is told.

use super::table::{Form, Table};
use crate::domain::alarm::severity::Shelving;
use crate::domain::alarm::spec::{AlarmBook, AlarmSpec, Condition, Level};

/// Prints one row for each alarm.
pub fn print(book: &AlarmBook, form: Form) {
    table(book).print(form);
}

fn table(book: &AlarmBook) -> Table {
    let mut rows = Table::new([
        "报警 alarm",
        "类 class",
        "限值 limits",
        "死区 deadband",
        "优先级 priority",
        "延时 delay",
        "锁存 latching",
        "搁置 shelving",
        "分区 zone",
        "危险源 source",
        "通知 told",
        "说明 text",
    ]);
    for alarm in &book.alarms {
        let told = alarm.escalation.and_then(|index| book.escalations.get(index));
        let source = alarm.hazard_source.and_then(|index| book.hazard_sources.get(index));
        let levels = |show: fn(&Level) -> String| alarm.levels.iter().map(show).collect::<Vec<_>>().join("/");
        rows.row([
            alarm.id.to_string(),
            alarm.class.as_str().to_owned(),
            limits(alarm),
            levels(|level| if level.deadband > 0.0 { number(level.deadband) } else { "-".to_owned() }),
            levels(|level| level.priority.as_str().to_owned()),
            delays(alarm),
            if alarm.latching { "是 yes" } else { "" }.to_owned(),
            levels(|level| shelving(level.shelving).to_owned()),
            alarm.zone.as_deref().unwrap_or_default().to_owned(),
            source.map(|source| source.code.to_string()).unwrap_or_default(),
            told.map(|ladder| ladder.name.to_string()).unwrap_or_default(),
            alarm.text.clone(),
        ]);
    }
    rows
}

fn limits(alarm: &AlarmSpec) -> String {
    let sign = if alarm.condition.is_low() { "≤" } else { "≥" };
    let shown: Vec<_> =
        alarm.levels.iter().filter_map(|level| level.limit).map(|limit| format!("{sign}{}", number(limit))).collect();
    if shown.is_empty() {
        if let Condition::Digital { test } = &alarm.condition {
            return format!("{test:?}");
        }
        return alarm.condition.word().to_owned();
    }
    shown.join("/")
}

fn number(number: f64) -> String {
    ((number * 10_000.0).round() / 10_000.0).to_string()
}

fn delays(alarm: &AlarmSpec) -> String {
    match (alarm.on_delay.is_zero(), alarm.on_delay == alarm.off_delay) {
        (true, true) => String::new(),
        (false, true) => format!("{:?}", alarm.on_delay),
        _ => format!("{:?}/{:?}", alarm.on_delay, alarm.off_delay),
    }
}

fn shelving(shelving: Shelving) -> &'static str {
    match shelving {
        Shelving::Allowed => "可 allowed",
        Shelving::SecondPerson => "两人 two",
        Shelving::Never => "不可 never",
    }
}
