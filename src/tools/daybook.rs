//! `report`, `duty`, `hazard`, `accident`: the daybook from the command line.

use serde_json::Value;

use super::gateway::Reach;
use super::site::text;
use super::table::{Form, Table, say};
use crate::control::Ask;
use crate::domain::danger::Action;
use crate::domain::daybook::accident::{AccidentAction, AccidentKind, Casualties, Stage};
use crate::domain::daybook::hazard::{Commitments, Grade, HazardAction};
use crate::domain::daybook::{Action as Daybook, Correct, Date, DutyAction};
use crate::domain::time::Timestamp;

/// `report`.
#[derive(Debug, clap::Args)]
pub struct ReportArgs {
    #[command(flatten)]
    reach: Reach,
    /// 哪一天，如 2026-11-23；不写则为最近一份 / which day, e.g. 2026-11-23; the newest report where absent
    #[arg(long, value_name = "DATE", value_parser = date)]
    day: Option<Date>,
    /// 按现有记录重出一版，写明原因 / make a new version from the records as they stand, and say why
    #[arg(long, value_name = "REASON", requires = "day")]
    correct: Option<String>,
    /// 输出 JSON 原文 / print the record itself, as JSON
    #[arg(long)]
    json: bool,
}

/// `duty`.
#[derive(Debug, clap::Args)]
pub struct DutyArgs {
    #[command(flatten)]
    reach: Reach,
    #[command(subcommand)]
    what: Option<DutyWhat>,
}

#[derive(Debug, clap::Subcommand)]
enum DutyWhat {
    /// 接班 / take over the current shift
    Takeover {
        /// 上一班留下的事项 / what the shift before leaves behind
        #[arg(long, default_value = "")]
        note: String,
    },
    /// 排班：某日某班 / put people on a shift of one date
    Assign {
        /// 班次开始的日期 / date on which the shift begins
        #[arg(value_parser = date)]
        date: Date,
        /// 班次 / the shift
        shift: String,
        /// 值班 / operator
        operator: String,
        /// 带班 / leader
        leader: String,
    },
    /// 查岗 / ask whether somebody is there
    Ask {
        /// 几分钟内应答 / minutes for the answer
        #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u8).range(1..))]
        within: u8,
        /// 查岗方自己的编号 / the asker's own number
        #[arg(long, default_value = "")]
        reference: String,
    },
    /// 应答查岗 / answer a duty check
    Answer {
        /// 编号；不写则为最早一个 / its id; the oldest that waits where absent
        #[arg(default_value = "")]
        check: String,
        /// 说明 / comment
        #[arg(long, default_value = "")]
        note: String,
    },
}

/// `hazard`.
#[derive(Debug, clap::Args)]
pub struct HazardArgs {
    #[command(flatten)]
    reach: Reach,
    #[command(subcommand)]
    what: Option<HazardWhat>,
}

#[derive(Debug, clap::Subcommand)]
enum HazardWhat {
    /// 上报隐患 / report one
    Find {
        /// 位置 / where
        place: String,
        /// 内容 / what
        text: String,
    },
    /// 登记（含网关提出的）/ put it on the list, also one that the gateway proposed
    Register {
        /// 编号 / its id
        id: String,
        /// 说明 / comment
        #[arg(long, default_value = "")]
        comment: String,
    },
    /// 分级：general 一般、major 重大 / grade it
    Grade {
        /// 编号 / its id
        id: String,
        /// 级别 / the grade
        #[arg(value_parser = grade)]
        grade: Grade,
    },
    /// 交办 / charge somebody with it
    Assign {
        /// 编号 / its id
        id: String,
        /// 交给谁 / whom
        to: String,
    },
    /// 五落实：责任、措施、资金、时限、预案 / the five commitments
    Commit {
        /// 编号 / its id
        id: String,
        /// 责任 / who answers for it
        #[arg(long)]
        responsible: String,
        /// 措施 / what is done
        #[arg(long)]
        measures: String,
        /// 资金 / from what it is paid
        #[arg(long)]
        funds: String,
        /// 时限 / by the end of which day
        #[arg(long, value_parser = date)]
        deadline: Date,
        /// 预案 / what if something happens meanwhile
        #[arg(long)]
        plan: String,
    },
    /// 整改完成，提交验收 / say that it is put right
    Submit {
        /// 编号 / its id
        id: String,
        /// 说明 / comment
        #[arg(long, default_value = "")]
        comment: String,
        /// 逾期说明 / explanation, past the time limit
        #[arg(long, default_value = "")]
        explanation: String,
    },
    /// 验收通过（须另一人）/ accept, another person
    Accept {
        /// 编号 / its id
        id: String,
        /// 说明 / comment
        #[arg(long, default_value = "")]
        comment: String,
    },
    /// 退回 / do not accept
    Return {
        /// 编号 / its id
        id: String,
        /// 原因 / why
        why: String,
    },
    /// 销号 / take it off the list
    Close {
        /// 编号 / its id
        id: String,
        /// 说明 / comment
        #[arg(long, default_value = "")]
        comment: String,
    },
    /// 不是隐患 / it is none
    Dismiss {
        /// 编号 / its id
        id: String,
        /// 原因 / why
        why: String,
    },
    /// 进展 / say how it goes
    Progress {
        /// 编号 / its id
        id: String,
        /// 内容 / what
        text: String,
    },
}

/// `accident`.
#[derive(Debug, clap::Args)]
pub struct AccidentArgs {
    #[command(flatten)]
    reach: Reach,
    #[command(subcommand)]
    what: Option<AccidentWhat>,
}

#[derive(Debug, clap::Subcommand)]
enum AccidentWhat {
    /// 发生事故：一小时首报开始计时 / there is one: the hour for the first report runs
    Open {
        /// leak 泄漏、fire 火灾、explosion 爆炸、poisoning 中毒窒息、traffic 交通、other 其他 / its kind
        #[arg(value_parser = word::<AccidentKind>)]
        kind: AccidentKind,
        /// 位置 / where
        place: String,
        /// 情况 / what is known
        text: String,
        /// 发生时间，UTC；不写则为现在 / when it happened, UTC; now where absent
        #[arg(long, value_name = "TIME", value_parser = time)]
        at: Option<Timestamp>,
    },
    /// 起草报告 / write a report
    Draft {
        /// 编号 / its id
        id: String,
        /// first 首报、continued 续报、final 终报、supplement 补报 / which report
        #[arg(value_parser = word::<Stage>)]
        stage: Stage,
        /// 内容 / its text
        text: String,
        /// 死亡 / dead
        #[arg(long, default_value_t = 0)]
        dead: u32,
        /// 失踪 / missing
        #[arg(long, default_value_t = 0)]
        missing: u32,
        /// 重伤 / badly injured
        #[arg(long, default_value_t = 0)]
        badly_injured: u32,
        /// 轻伤 / injured
        #[arg(long, default_value_t = 0)]
        injured: u32,
    },
    /// 确认并上报 / confirm a draft: it goes out
    Confirm {
        /// 编号 / its id
        id: String,
        /// 草稿号 / number of the draft
        draft: u32,
    },
    /// 不是事故（首报之前）/ it was none, before the first report
    Withdraw {
        /// 编号 / its id
        id: String,
        /// 原因 / why
        why: String,
    },
}

fn date(text: &str) -> Result<Date, String> {
    Date::parse(text).ok_or_else(|| format!("`{text}`：请写 2026-11-23 / write 2026-11-23"))
}

fn time(text: &str) -> Result<Timestamp, String> {
    let parsed = text.parse::<jiff::Timestamp>();
    parsed
        .map(|t| Timestamp(t.as_millisecond()))
        .map_err(|_| format!("`{text}`：请写 2026-11-23T08:00:00Z / write 2026-11-23T08:00:00Z"))
}

fn grade(text: &str) -> Result<Grade, String> {
    word(text)
}

/// Reads a word as the records have it.
fn word<T: for<'de> serde::Deserialize<'de>>(text: &str) -> Result<T, String> {
    serde_json::from_value(Value::String(text.to_owned())).map_err(|error| error.to_string())
}

/// Shows a daily report, or has it corrected.
///
/// # Errors
///
/// Why there is none, or the gateway's refusal.
pub fn report(args: ReportArgs) -> Result<(), String> {
    let ReportArgs { reach, day, correct, json } = args;
    if let (Some(day), Some(reason)) = (day, correct) {
        return reach.act(Action::Daybook(Daybook::Report(Correct { day, reason })));
    }
    let report = reach.told(&Ask::Report { day: day.map(|day| day.to_string()) })?;
    if json {
        say(&serde_json::to_string_pretty(&report).map_err(|error| error.to_string())?);
        return Ok(());
    }
    show_report(&report);
    Ok(())
}

fn show_report(report: &Value) {
    let at = |path: &str| report.pointer(path).map_or_else(|| "-".to_owned(), plain);
    let nil = at("/what") == "nil";
    let kind = if nil { "零报告 nil report" } else { "日报告 daily report" };
    say(&format!("{kind} {} v{}（{} … {}）", at("/day"), at("/version"), at("/from"), at("/to")));
    let mut facts = Table::new(["项目 item", "值 value"]);
    for (name, path) in [
        ("应出时间 due", "/due_at"),
        ("生成时间 made", "/generated_at"),
        ("迟报 late", "/is_late"),
        ("数据覆盖率 coverage %", "/coverage/pct"),
        ("零报告所需 needed %", "/coverage/nil_pct"),
        ("报警 alarms", "/alarms"),
        ("存储 store", "/store"),
        ("运行 running", "/running"),
        ("园区状态 site", "/site"),
        ("值班 duty", "/duty"),
        ("隐患 hazards", "/hazards"),
        ("事故 accidents", "/accidents"),
        ("审计 audit", "/audit"),
        ("校验 hash", "/hash"),
    ] {
        facts.row([name.to_owned(), at(path)]);
    }
    facts.print(Form::Table);
    for why in report.get("why_not_nil").and_then(Value::as_array).into_iter().flatten() {
        say(&format!("不是零报告 / not nil: {} / {}", text(why, "zh"), text(why, "en")));
    }
}

/// A value in one line: what has members shows those that are plain.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Object(members) => {
            let plain_ones = members.iter().filter(|(_, v)| !v.is_object() && !v.is_array() && !v.is_null());
            plain_ones.map(|(name, v)| format!("{name}={}", plain(v))).collect::<Vec<_>>().join(" ")
        }
        other @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_)) => other.to_string(),
    }
}

/// Shows who is on duty, or does something about it.
///
/// # Errors
///
/// The gateway's refusal, in words.
pub fn duty(args: DutyArgs) -> Result<(), String> {
    let DutyArgs { reach, what } = args;
    let action = match what {
        None => return show_duty(&reach),
        Some(DutyWhat::Takeover { note }) => DutyAction::TakeOver { note },
        Some(DutyWhat::Assign { date, shift, operator, leader }) => {
            DutyAction::Assign { date, shift, operator, leader }
        }
        Some(DutyWhat::Ask { within, reference }) => DutyAction::Ask { limit_min: within, reference },
        Some(DutyWhat::Answer { check, note }) => DutyAction::Answer { check, note },
    };
    reach.act(Action::Daybook(Daybook::Duty(action)))
}

fn show_duty(reach: &Reach) -> Result<(), String> {
    let told = reach.told(&Ask::Danger)?;
    let book = told.get("daybook").cloned().unwrap_or_default();
    let shift = book.get("shift").cloned().unwrap_or_default();
    let mut rows = Table::new(["班次 shift", "开始 begins", "值班 operator", "带班 leader", "接班 taken over by"]);
    let taken = if book.get("not_taken") == Some(&Value::Bool(true)) {
        "■ 无人接班 nobody".to_owned()
    } else {
        text(&book, "taken_by")
    };
    let [a, b, c, d] = ["shift", "begins", "operator", "leader"].map(|name| text(&shift, name));
    rows.row([a, b, c, d, taken]);
    rows.print(Form::Table);
    let mut checks = Table::new(["查岗 check", "由 by", "时间 asked", "剩余秒 left s"]);
    for pair in book.get("checks").and_then(Value::as_array).into_iter().flatten() {
        let (check, left) = (pair.get(0).cloned().unwrap_or_default(), pair.get(1).map(plain).unwrap_or_default());
        let by = check.pointer("/asked_by/name").map(plain).unwrap_or_default();
        checks.row([text(&check, "check"), by, text(&check, "asked_at"), left]);
    }
    if !checks.is_empty() {
        say("");
        checks.print(Form::Table);
    }
    Ok(())
}

/// Shows the list of hazards, or does a step of one.
///
/// # Errors
///
/// The gateway's refusal, in words.
pub fn hazard(args: HazardArgs) -> Result<(), String> {
    let HazardArgs { reach, what } = args;
    match what {
        None => show_hazards(&reach),
        Some(what) => reach.act(Action::Daybook(Daybook::Hazard(hazard_action(what)))),
    }
}

fn hazard_action(what: HazardWhat) -> HazardAction {
    match what {
        HazardWhat::Find { place, text } => HazardAction::Find { place, text },
        HazardWhat::Register { id, comment } => HazardAction::Register { id, comment },
        HazardWhat::Grade { id, grade } => HazardAction::Grade { id, grade },
        HazardWhat::Assign { id, to } => HazardAction::Assign { id, to },
        HazardWhat::Commit { id, responsible, measures, funds, deadline, plan } => {
            HazardAction::Commit { id, five: Commitments { responsible, measures, funds, deadline, plan } }
        }
        HazardWhat::Submit { id, comment, explanation } => HazardAction::Submit { id, comment, explanation },
        HazardWhat::Accept { id, comment } => HazardAction::Accept { id, comment },
        HazardWhat::Return { id, why } => HazardAction::Return { id, why },
        HazardWhat::Close { id, comment } => HazardAction::Close { id, comment },
        HazardWhat::Dismiss { id, why } => HazardAction::Dismiss { id, why },
        HazardWhat::Progress { id, text } => HazardAction::Progress { id, text },
    }
}

fn show_hazards(reach: &Reach) -> Result<(), String> {
    let told = reach.told(&Ask::Danger)?;
    let mut rows = Table::new([
        "编号 id",
        "状态 state",
        "级别 grade",
        "位置 place",
        "内容 text",
        "责任 assigned",
        "时限 deadline",
        "逾期 overdue",
        "挂牌督办 listed",
    ]);
    for hazard in told.pointer("/daybook/hazards").and_then(Value::as_array).into_iter().flatten() {
        let deadline = hazard.pointer("/five/deadline").map_or_else(|| "-".to_owned(), plain);
        let [a, b, c, d, e, f] = ["id", "state", "grade", "place", "text", "assigned"].map(|name| text(hazard, name));
        let listed = hazard.pointer("/listed/body").map_or_else(|| "-".to_owned(), plain);
        rows.row([a, b, c, d, e, f, deadline, text(hazard, "overdue"), listed]);
    }
    if rows.is_empty() {
        say("没有未销号的隐患 / there is no open hazard");
    } else {
        rows.print(Form::Table);
    }
    Ok(())
}

/// Shows the accidents, or does a step of one.
///
/// # Errors
///
/// The gateway's refusal, in words.
pub fn accident(args: AccidentArgs) -> Result<(), String> {
    let AccidentArgs { reach, what } = args;
    let action = match what {
        None => return show_accidents(&reach),
        Some(AccidentWhat::Open { kind, place, text, at }) => {
            AccidentAction::Open { kind, place, text, occurred_at: at }
        }
        Some(AccidentWhat::Draft { id, stage, text, dead, missing, badly_injured, injured }) => {
            AccidentAction::Draft { id, stage, text, casualties: Casualties { dead, missing, badly_injured, injured } }
        }
        Some(AccidentWhat::Confirm { id, draft }) => AccidentAction::Confirm { id, draft },
        Some(AccidentWhat::Withdraw { id, why }) => AccidentAction::Withdraw { id, why },
    };
    reach.act(Action::Daybook(Daybook::Accident(action)))
}

fn show_accidents(reach: &Reach) -> Result<(), String> {
    let told = reach.told(&Ask::Danger)?;
    let mut rows = Table::new(["事故 accident", "最近报告 last report", "首报剩余秒 left s", "待确认草稿 draft"]);
    for one in told.pointer("/daybook/accidents").and_then(Value::as_array).into_iter().flatten() {
        let line = one.get("accident").map(plain).unwrap_or_default();
        rows.row([line, text(one, "last"), text(one, "left_s"), text(one, "draft")]);
    }
    if rows.is_empty() {
        say("没有事故 / there is no accident");
    } else {
        rows.print(Form::Table);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_dates_and_times_are_read_as_the_records_have_them() {
        assert_eq!(word::<AccidentKind>("leak"), Ok(AccidentKind::Leak));
        assert_eq!(word::<Stage>("final"), Ok(Stage::Final));
        assert!(word::<Grade>("huge").is_err());
        assert!(date("2026-2-3").is_err() && date("2026-11-23").is_ok());
        assert_eq!(time("1970-01-01T00:00:01Z"), Ok(Timestamp(1000)));
        assert!(time("now").is_err());
    }

    #[test]
    fn a_section_is_shown_in_one_line() {
        let value = serde_json::json!({ "raised": 3, "by": { "gas": 1 }, "text": "好", "none": null });
        assert_eq!(plain(&value), "raised=3 text=好");
    }
}
