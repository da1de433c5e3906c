//! `alarms`, `ack`, `reset`, `silence`, `shelve`, `unshelve`, `outofservice`, `return`, `approve`: what an operator does with
//! alarms. Who he is the kernel tells the gateway; what he may do follows from his groups.

use std::time::Duration;

use super::desk::span;
use super::gateway::Reach;
use super::table::{Form, Table, say};
use crate::control::{Ask, Line};
use crate::domain::alarm::action::Action as Alarm;
use crate::domain::alarm::record::Occ;
use crate::domain::alarm::view::ActiveAlarm;
use crate::domain::danger::Action;

/// `alarms`.
#[derive(Debug, clap::Args)]
pub struct AlarmsArgs {
    #[command(flatten)]
    reach: Reach,
    /// 搁置、抑制、停用的也列出 / list those that are shelved, suppressed or out of service too
    #[arg(long)]
    all: bool,
    /// 输出 CSV / print CSV
    #[arg(long)]
    csv: bool,
}

/// `ack` and `reset`.
#[derive(Debug, clap::Args)]
pub struct OneArgs {
    #[command(flatten)]
    reach: Reach,
    /// 报警 id，见 parkgate alarms / id of the alarm, as `parkgate alarms` lists it
    #[arg(value_name = "ALARM")]
    alarm: String,
    /// 发生号；不写则为现在列出的那次 / the occurrence; the one that is listed now where absent
    #[arg(long, value_name = "OCC")]
    occ: Option<Occ>,
    /// 说明 / a comment
    #[arg(long, value_name = "TEXT")]
    comment: Option<String>,
}

/// `shelve` and `outofservice`.
#[derive(Debug, clap::Args)]
pub struct HideArgs {
    #[command(flatten)]
    reach: Reach,
    /// 报警 id / id of the alarm
    #[arg(value_name = "ALARM")]
    alarm: String,
    /// 多久：30min、8h、7d / for how long: 30min, 8h, 7d
    #[arg(long = "for", value_name = "TIME", value_parser = long_span)]
    time: Duration,
    /// 原因，必填 / why, required
    #[arg(long, value_name = "TEXT")]
    reason: String,
}

/// `unshelve`, `return`, `approve`.
#[derive(Debug, clap::Args)]
pub struct NamedArgs {
    #[command(flatten)]
    reach: Reach,
    /// 报警 id / id of the alarm
    #[arg(value_name = "ALARM")]
    alarm: String,
}

/// `silence`.
#[derive(Debug, clap::Args)]
pub struct SilenceArgs {
    #[command(flatten)]
    reach: Reach,
}

/// Reads what [`span`] reads, and whole days.
pub(super) fn long_span(text: &str) -> Result<Duration, String> {
    if let Some(days) = text.strip_suffix('d').and_then(|n| n.parse::<u64>().ok()).filter(|n| (1..=366).contains(n)) {
        return Ok(Duration::from_secs(days * 86_400));
    }
    if let Some(hours) = text.strip_suffix('h').and_then(|n| n.parse::<u64>().ok()).filter(|n| (1..=8784).contains(n)) {
        return Ok(Duration::from_secs(hours * 3_600));
    }
    span(text).map_err(|_| format!("`{text}`：请写 30min、8h 或 7d / write 30min, 8h or 7d"))
}

/// Lists the alarms that are not normal.
///
/// # Errors
///
/// Why they cannot be had, in words.
pub fn alarms(args: &AlarmsArgs) -> Result<(), String> {
    let mut alarms = listed(&args.reach)?;
    alarms.retain(|alarm| args.all || !alarm.last.to.is_hidden());
    if alarms.is_empty() && !args.csv {
        say("没有报警 / there is no alarm");
        return Ok(());
    }
    // What must be acknowledged first, then the worst, then the newest.
    alarms.sort_by_key(|a| {
        (!a.last.to.is_unacked(), std::cmp::Reverse(a.last.priority), std::cmp::Reverse(a.last.t_active))
    });
    table(&alarms).print(Form::of(args.csv));
    Ok(())
}

fn listed(reach: &Reach) -> Result<Vec<ActiveAlarm>, String> {
    let mut alarms = Vec::new();
    reach.ask(&Ask::Alarms, |line| {
        if let Line::Alarm(alarm) = line {
            alarms.push(*alarm);
        }
        true
    })?;
    Ok(alarms)
}

fn table(alarms: &[ActiveAlarm]) -> Table {
    let mut table = Table::new([
        "状态 state",
        "级别 priority",
        "报警 alarm",
        "发生号 occ",
        "值 value",
        "限值 limit",
        "发生 since",
        "确认 ack",
        "内容 text",
    ]);
    for alarm in alarms {
        let last = &alarm.last;
        let unit = last.unit.as_deref().unwrap_or_default();
        let number = |n: Option<f64>| n.map_or_else(|| "-".to_owned(), |n| format!("{n} {unit}").trim_end().to_owned());
        let acked = last.t_ack.map(|t| t.to_string()).unwrap_or_default();
        let by =
            last.actor.as_ref().filter(|_| last.t_ack.is_some()).map(|a| format!(" {}", a.name)).unwrap_or_default();
        let unknown = if alarm.stale { "，失去测量 no measurement" } else { "" };
        table.row([
            format!("{} {}{unknown}", last.to.zh(), last.to.as_str()),
            format!("{} {}", last.priority.zh(), last.priority.as_str()),
            last.alarm.to_string(),
            last.occ.to_string(),
            number(last.value),
            number(last.limit),
            last.t_active.map(|t| t.to_string()).unwrap_or_default(),
            format!("{acked}{by}"),
            last.text.to_string(),
        ]);
    }
    table
}

/// Returns the occurrence that stands now, with the number of its last record.
fn standing(reach: &Reach, alarm: &str) -> Result<(Occ, u32), String> {
    let alarms = listed(reach)?;
    let found = alarms.iter().find(|listed| &*listed.last.alarm == alarm);
    found.map(|found| (found.last.occ, found.last.n)).ok_or_else(|| {
        format!("报警 {alarm} 现在正常，或没有这个报警 / the alarm {alarm} is normal now, or there is none of this id")
    })
}

/// Acknowledges one occurrence of an alarm.
///
/// # Errors
///
/// The gateway's refusal, in words.
pub fn ack(args: OneArgs) -> Result<(), String> {
    let OneArgs { reach, alarm, occ, comment } = args;
    // Without an occurrence named, what is listed at this moment is meant, and nothing that is raised after it.
    let (occ, seen) = match occ {
        Some(occ) => (occ, None),
        None => standing(&reach, &alarm).map(|(occ, n)| (occ, Some(n)))?,
    };
    reach.act(Action::Alarm(Alarm::Ack { alarm, occ, seen, comment }))
}

/// Resets one latched occurrence of an alarm.
///
/// # Errors
///
/// As [`ack`].
pub fn reset(args: OneArgs) -> Result<(), String> {
    let OneArgs { reach, alarm, occ, comment } = args;
    let occ = occ.map_or_else(|| standing(&reach, &alarm).map(|(occ, _)| occ), Ok)?;
    reach.act(Action::Alarm(Alarm::Reset { alarm, occ, comment }))
}

/// Silences the horns.
///
/// # Errors
///
/// As [`ack`].
pub fn silence(args: &SilenceArgs) -> Result<(), String> {
    args.reach.act(Action::Alarm(Alarm::Silence))
}

/// Puts an alarm on the shelf.
///
/// # Errors
///
/// As [`ack`].
pub fn shelve(args: HideArgs) -> Result<(), String> {
    let HideArgs { reach, alarm, time, reason } = args;
    reach.act(Action::Alarm(Alarm::Shelve { alarm, time, reason }))
}

/// Takes an alarm out of service.
///
/// # Errors
///
/// As [`ack`].
pub fn out_of_service(args: HideArgs) -> Result<(), String> {
    let HideArgs { reach, alarm, time, reason } = args;
    reach.act(Action::Alarm(Alarm::OutOfService { alarm, time, reason }))
}

/// Takes an alarm from the shelf.
///
/// # Errors
///
/// As [`ack`].
pub fn unshelve(args: NamedArgs) -> Result<(), String> {
    args.reach.act(Action::Alarm(Alarm::Unshelve { alarm: args.alarm }))
}

/// Brings an alarm back into service.
///
/// # Errors
///
/// As [`ack`].
pub fn return_to_service(args: NamedArgs) -> Result<(), String> {
    args.reach.act(Action::Alarm(Alarm::Return { alarm: args.alarm }))
}

/// Approves what another person asked for an alarm.
///
/// # Errors
///
/// As [`ack`].
pub fn approve(args: NamedArgs) -> Result<(), String> {
    args.reach.act(Action::Alarm(Alarm::Approve { alarm: args.alarm }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shelves_are_in_minutes_hours_and_days() {
        assert_eq!(long_span("30min"), Ok(Duration::from_secs(1800)));
        assert_eq!(long_span("8h"), Ok(Duration::from_secs(28_800)));
        assert_eq!(long_span("7d"), Ok(Duration::from_secs(604_800)));
        assert!(long_span("8").is_err() && long_span("0h").is_err() && long_span("400d").is_err());
    }
}
