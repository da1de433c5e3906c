//! `site`: what stands, and what people do with it: propose and confirm, end, drills, fire linkage, commissioning.

use serde_json::Value;

use super::gateway::Reach;
use super::table::{Form, Table, say};
use crate::control::Ask;
use crate::domain::danger::Action;
use crate::domain::site::{Action as Site, State};

/// `site`.
#[derive(Debug, clap::Args)]
pub struct SiteArgs {
    #[command(flatten)]
    reach: Reach,
    /// 输出 CSV / print CSV
    #[arg(long, global = true)]
    csv: bool,
    #[command(subcommand)]
    what: Option<What>,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// 提议一个状态（两步中的第一步）/ propose a state, the first of two steps
    Propose {
        /// 区域，整个园区为 park / zone; the whole park is `park`
        zone: String,
        /// lockdown_in 封控、shelter 就地避险、evacuate 疏散 / the state
        #[arg(value_parser = emergency)]
        state: State,
        /// 原因 / why
        #[arg(long, default_value = "")]
        reason: String,
    },
    /// 确认提议（第二步，状态生效）/ confirm a proposal, the second step: the state is declared
    Confirm {
        /// 提议号 / its number
        proposal: u64,
    },
    /// 否决提议 / reject a proposal
    Reject {
        /// 提议号 / its number
        proposal: u64,
        /// 原因 / why
        #[arg(long)]
        reason: String,
    },
    /// 结束应急，进入恢复 / end an emergency: recovery begins, nothing moves
    End {
        /// 区域 / zone
        zone: String,
        /// 原因 / why
        #[arg(long)]
        reason: String,
    },
    /// 恢复期交还一条车道 / give a lane back to its normal control
    Giveback {
        /// 车道 / lane
        lane: String,
    },
    /// 恢复正常 / return to normal
    Normal {
        /// 区域 / zone
        zone: String,
        /// 原因 / why
        #[arg(long)]
        reason: String,
    },
    /// 复位消防联动输入 / reset an input of the fire linkage
    ResetFire {
        /// 输入 / the input
        input: String,
        /// 原因 / why
        #[arg(long)]
        reason: String,
    },
    /// 演练 / drills
    #[command(subcommand)]
    Drill(DrillWhat),
    /// 确认已读城市预警 / say that a warning of the city was read
    AckWarning {
        /// 预警 id / its id
        id: String,
    },
}

#[derive(Debug, clap::Subcommand)]
enum DrillWhat {
    /// 开始 / begin
    Start {
        /// 区域 / zone
        zone: String,
        /// 演练什么 / what it rehearses
        #[arg(value_parser = emergency)]
        rehearses: State,
        /// 道闸和门也动作 / barriers and doors move too
        #[arg(long)]
        barriers: bool,
        /// 目的 / what for
        #[arg(long, default_value = "")]
        comment: String,
    },
    /// 记录一句话 / say something for the report
    Comment {
        /// 内容 / what
        text: String,
    },
    /// 结束并出报告 / end it, with its report
    End {
        /// 观察 / what was seen
        #[arg(long, default_value = "")]
        comment: String,
    },
}

fn emergency(word: &str) -> Result<State, String> {
    State::from_name(word)
        .filter(|state| state.is_emergency())
        .ok_or_else(|| "请写 lockdown_in、shelter 或 evacuate / write lockdown_in, shelter or evacuate".to_owned())
}

/// Shows the state of the site, or does something about it.
///
/// # Errors
///
/// The gateway's refusal, in words.
pub fn site(args: SiteArgs) -> Result<(), String> {
    let SiteArgs { reach, csv, what } = args;
    match what {
        None => show(&reach, Form::of(csv)),
        Some(what) => reach.act(Action::Site(action_of(what))),
    }
}

fn action_of(what: What) -> Site {
    match what {
        What::Propose { zone, state, reason } => Site::Propose { zone, state, reason },
        What::Confirm { proposal } => Site::Confirm { proposal },
        What::Reject { proposal, reason } => Site::Reject { proposal, reason },
        What::End { zone, reason } => Site::End { zone, reason },
        What::Giveback { lane } => Site::GiveBack { lane },
        What::Normal { zone, reason } => Site::Normal { zone, reason },
        What::ResetFire { input, reason } => Site::ResetFire { input, reason },
        What::Drill(DrillWhat::Start { zone, rehearses, barriers, comment }) => {
            Site::StartDrill { zone, rehearses, barriers, comment }
        }
        What::Drill(DrillWhat::Comment { text }) => Site::Comment { text },
        What::Drill(DrillWhat::End { comment }) => Site::EndDrill { comment },
        What::AckWarning { id } => Site::AcknowledgeWarning { id },
    }
}

fn show(reach: &Reach, form: Form) -> Result<(), String> {
    let told = reach.told(&Ask::Danger)?;
    let site = told.get("site").cloned().unwrap_or_default();
    let mut zones = Table::new(["区域 zone", "状态 state", "有效 holds", "自 since", "由 by"]);
    for zone in rows(&site, "zones") {
        let name = format!("{} {}", text(zone, "id"), text(zone, "name"));
        zones.row([name, state(zone, "state"), state(zone, "holds"), text(zone, "since"), text(zone, "by")]);
    }
    zones.print(form);
    let mut proposals = Table::new(["提议 proposal", "区域 zone", "状态 state", "由 by", "原因 reason", "剩余 left"]);
    for one in rows(&site, "proposals") {
        let left = one.get("lapses_s").and_then(Value::as_u64).map_or_else(|| "-".to_owned(), |s| format!("{s} s"));
        let cells = [text(one, "proposal"), text(one, "zone"), state(one, "state"), text(one, "by")];
        let [a, b, c, d] = cells;
        proposals.row([a, b, c, d, text(one, "reason"), left]);
    }
    part(&proposals, form);
    let mut lanes = Table::new(["车道 lane", "名称 name", "规则 rule", "指令 order"]);
    for lane in rows(&site, "lanes") {
        lanes.row([text(lane, "id"), text(lane, "name"), text(lane, "rule"), text(lane, "order")]);
    }
    part(&lanes, form);
    let mut signals = Table::new(["输出 output", "值 value", "指令 order"]);
    for signal in rows(&site, "signals") {
        signals.row([text(signal, "output"), text(signal, "value"), text(signal, "order")]);
    }
    part(&signals, form);
    let mut fire = Table::new(["消防输入 fire input", "名称 name", "线路 line", "原因 why", "锁存 latched"]);
    for input in rows(&site, "fire") {
        let cells = [text(input, "id"), text(input, "name"), text(input, "line"), text(input, "why")];
        let [a, b, c, d] = cells;
        fire.row([a, b, c, d, text(input, "latched")]);
    }
    part(&fire, form);
    Ok(())
}

fn part(table: &Table, form: Form) {
    if !table.is_empty() {
        say("");
        table.print(form);
    }
}

fn rows<'a>(value: &'a Value, name: &str) -> impl Iterator<Item = &'a Value> {
    value.get(name).and_then(Value::as_array).into_iter().flatten()
}

/// A member as people read it; `-` where it is missing.
pub(super) fn text(value: &Value, name: &str) -> String {
    match value.get(name) {
        None | Some(Value::Null) => "-".to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

fn state(value: &Value, name: &str) -> String {
    let word = text(value, name);
    State::from_name(&word).map_or_else(|| word.clone(), |state| format!("{} {word}", state.zh()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_emergencies_can_be_declared() {
        assert_eq!(emergency("evacuate"), Ok(State::Evacuate));
        assert!(emergency("normal").is_err() && emergency("fire").is_err());
    }
}
