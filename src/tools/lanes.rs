//! `lanes`, `lane`: what stands at the gates, and what a guard does there. Who he is the kernel tells the gateway; what he may do
//! follows from his groups, and every action is in the audit, done or refused.

use std::time::Duration;

use serde_json::Value;

use super::gateway::Reach;
use super::operator::long_span;
use super::table::{Form, Table, say};
use crate::control::ask::{DidLine, LaneAct};
use crate::control::{Ask, Line};
use crate::domain::gate::hardware::Input;
use crate::domain::gate::lane::spec::GUARDS;
use crate::domain::gate::word::Direction;

/// `lanes`.
#[derive(Debug, clap::Args)]
pub struct LanesArgs {
    #[command(flatten)]
    reach: Reach,
    /// 输出 JSON：全部内容 / print JSON: all of it
    #[arg(long)]
    json: bool,
}

/// `lane`.
#[derive(Debug, clap::Args)]
pub struct LaneArgs {
    #[command(flatten)]
    reach: Reach,
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// 放行一次 / open once
    Open {
        #[command(flatten)]
        of: Of,
        /// 危及生命：不等审计，停用车道也动作 / life is at stake: waits for no audit, moves a stopped lane too
        #[arg(long)]
        emergency: bool,
    },
    /// 常开一段时间，至多 12 h / hold open for a time, at most 12 h
    Hold {
        #[command(flatten)]
        of: Of,
        /// 多久：30min、2h / for how long: 30min, 2h
        #[arg(long = "for", value_name = "TIME", value_parser = long_span)]
        time: Duration,
    },
    /// 结束常开 / end a hold
    Release(Of),
    /// 交人工判定 / let a person decide about what waits
    Refer(Of),
    /// 拒绝等待的通行 / refuse what waits
    Refuse(Of),
    /// 关闭（清空后）/ close, when everything is clear
    Close(Of),
    /// 复位消防联动释放 / reset the release by the fire contact
    ResetFire(Of),
    /// 重新布防：相机白名单已关 / arm again: the camera's own list is off
    Arm(Of),
    /// 联调中的车道试动一段时间，至多 8 h / let a lane under commissioning move for a time, at most 8 h
    Test {
        #[command(flatten)]
        of: Of,
        /// 多久：30min、2h / for how long: 30min, 2h
        #[arg(long = "for", value_name = "TIME", value_parser = long_span)]
        time: Duration,
    },
    /// 结束试动 / end a test
    EndTest(Of),
    /// 可变车道换向，须空闲 / turn a reversible lane, which must be empty
    Turn {
        #[command(flatten)]
        of: Of,
        /// in 进、out 出 / in or out
        #[arg(long, value_parser = direction)]
        to: Direction,
    },
    /// 漏检的地感或防砸检查后恢复采信 / believe a loop or beam again that had missed a vehicle
    Trust {
        #[command(flatten)]
        of: Of,
        /// under_arm 防砸地感、beam 红外 / which
        #[arg(long, value_parser = input)]
        input: Input,
    },
}

fn direction(word: &str) -> Result<Direction, String> {
    Direction::from_name(word).ok_or_else(|| "请写 in 或 out / write in or out".to_owned())
}

fn input(word: &str) -> Result<Input, String> {
    Input::from_name(word)
        .filter(|input| GUARDS.contains(input))
        .ok_or_else(|| "请写 under_arm 或 beam / write under_arm or beam".to_owned())
}

#[derive(Debug, clap::Args)]
struct Of {
    /// 车道 id / id of the lane
    #[arg(long, value_name = "LANE")]
    lane: String,
    /// 理由，必填 / why, required
    #[arg(long, value_name = "TEXT")]
    why: String,
}

/// Does something at a lane.
///
/// # Errors
///
/// The gateway's refusal, in words.
pub fn lane(args: LaneArgs) -> Result<(), String> {
    let (of, act) = match args.what {
        What::Open { of, emergency } => (of, LaneAct::Open { emergency }),
        What::Hold { of, time } => {
            let for_ms = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
            (of, LaneAct::Hold { for_ms })
        }
        What::Release(of) => (of, LaneAct::Release),
        What::Refer(of) => (of, LaneAct::Refer),
        What::Refuse(of) => (of, LaneAct::Refuse),
        What::Close(of) => (of, LaneAct::Close),
        What::ResetFire(of) => (of, LaneAct::ResetFire),
        What::Arm(of) => (of, LaneAct::Arm),
        What::Test { of, time } => {
            let for_ms = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
            (of, LaneAct::Test { for_ms })
        }
        What::EndTest(of) => (of, LaneAct::EndTest),
        What::Turn { of, to } => (of, LaneAct::Turn { to }),
        What::Trust { of, input } => (of, LaneAct::Trust { input }),
    };
    args.reach.ask(&Ask::Lane { lane: of.lane, act, why: of.why }, |line| {
        if let Line::Did(DidLine { zh, en, .. }) = line {
            say(&format!("{zh} / {en}"));
        }
        true
    })
}

/// Lists lanes with their last verdicts, who is inside, and what waits for a person.
///
/// # Errors
///
/// Why it cannot be had, in words.
pub fn lanes(args: &LanesArgs) -> Result<(), String> {
    let told = args.reach.told(&Ask::Lanes)?;
    if args.json {
        say(&serde_json::to_string_pretty(&told).map_err(|error| error.to_string())?);
        return Ok(());
    }
    lane_table(&told).print(Form::of(false));
    for lane in each(&told, "/lanes") {
        for reason in each(lane, "/last/reasons") {
            say(&format!("  {} {}", text(lane, "/id"), reason_line(reason)));
        }
        for trouble in each(lane, "/troubles") {
            say(&format!("  {} {} / {}", text(lane, "/id"), text(trouble, "/zh"), text(trouble, "/en")));
        }
    }
    say("");
    inside_table(&told).print(Form::of(false));
    let tickets = ticket_table(&told);
    if !tickets.is_empty() {
        say("");
        tickets.print(Form::of(false));
    }
    Ok(())
}

fn lane_table(told: &Value) -> Table {
    let mut table = Table::new([
        "车道 lane",
        "名称 name",
        "状态 phase",
        "闸杆 arm",
        "规则 rule",
        "车牌 plate",
        "最近判定 last verdict",
        "时间 at",
    ]);
    for lane in each(told, "/lanes") {
        table.row([
            text(lane, "/id"),
            text(lane, "/name"),
            format!("{} {}", text(lane, "/doing"), text(lane, "/phase")),
            text(lane, "/arm"),
            text(lane, "/rule"),
            text(lane, "/plate"),
            format!("{} {}", text(lane, "/last/verdict"), text(lane, "/last/vehicle")).trim().to_owned(),
            text(lane, "/last/at"),
        ]);
    }
    table
}

fn reason_line(reason: &Value) -> String {
    let (code, verdict) = (text(reason, "/code"), text(reason, "/verdict"));
    format!("{verdict} {code}：{} / {}", text(reason, "/zh"), text(reason, "/en"))
}

pub(super) fn inside_table(told: &Value) -> Table {
    let mut table = Table::new(["区域 zone", "在园人员 persons", "上限 most", "车辆 vehicles"]);
    for zone in each(told, "/inside/zones") {
        let vehicles = zone.pointer("/vehicles").and_then(Value::as_object);
        let vehicles = vehicles.into_iter().flatten().map(|(class, count)| format!("{class} {}", text(count, "/now")));
        table.row([
            text(zone, "/zone"),
            text(zone, "/persons/now"),
            text(zone, "/persons/most"),
            vehicles.collect::<Vec<_>>().join(", "),
        ]);
    }
    table
}

pub(super) fn ticket_table(told: &Value) -> Table {
    let mut table = Table::new(["事项 ticket", "车道 lane", "对象 subject", "等待 waits for", "剩余 left", "原因 why"]);
    for ticket in each(told, "/tickets") {
        let why: Vec<String> = each(ticket, "/reasons").map(|reason| text(reason, "/zh")).collect();
        table.row([
            text(ticket, "/ticket"),
            text(ticket, "/lane"),
            text(ticket, "/subject"),
            format!("{} {}", text(ticket, "/to_zh"), text(ticket, "/to_en")),
            format!("{} s", text(ticket, "/left_s")),
            why.join("；"),
        ]);
    }
    table
}

pub(super) fn each<'a>(value: &'a Value, at: &str) -> impl Iterator<Item = &'a Value> {
    value.pointer(at).and_then(Value::as_array).into_iter().flatten()
}

/// What stands there, as people read it; empty where there is nothing.
pub(super) fn text(value: &Value, at: &str) -> String {
    match value.pointer(at) {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(other @ (Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_))) => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_of_the_last_verdict_is_told_and_who_is_inside() {
        let told = serde_json::json!({
            "lanes": [{"id": "in-1", "name": "一号门进", "doing": "空闲", "phase": "idle", "arm": "down", "rule": "normal",
                       "plate": null, "troubles": [], "last": {"verdict": "deny", "vehicle": "鲁A12345", "at": "2026-11-23T08:00:00.000Z",
                       "reasons": [{"code": "BLOCKED", "verdict": "deny", "zh": "黑名单", "en": "on the block list"}]}}],
            "inside": {"zones": [{"zone": "park", "persons": {"now": 12, "most": null}, "vehicles": {"hazmat": {"now": 2}}}]},
            "tickets": [],
        });
        let lanes = lane_table(&told).text(Form::of(true));
        assert!(lanes.contains("in-1,一号门进,空闲 idle,down,normal,,deny 鲁A12345"), "{lanes}");
        let reason = each(&told, "/lanes/0/last/reasons").map(reason_line).collect::<Vec<_>>();
        assert_eq!(reason, ["deny BLOCKED：黑名单 / on the block list"]);
        let inside = inside_table(&told).text(Form::of(true));
        assert!(inside.contains("park,12,,hazmat 2"), "{inside}");
        assert!(ticket_table(&told).is_empty());
    }
}
