//! `service` and `bypass`: commissioning of points and lanes at run time, and the papers of bypassed interlocks.

use serde_json::Value;

use super::gateway::Reach;
use super::site::text;
use super::table::{Form, Table, say};
use crate::control::Ask;
use crate::domain::danger::Action;
use crate::domain::site::{Action as Site, ServiceAction, ServiceState, ServiceSubject};

/// `service`.
#[derive(Debug, clap::Args)]
pub struct ServiceArgs {
    #[command(flatten)]
    reach: Reach,
    /// 输出 CSV / print CSV
    #[arg(long, global = true)]
    csv: bool,
    #[command(subcommand)]
    what: Option<ServiceWhat>,
}

#[derive(Debug, clap::Subcommand)]
enum ServiceWhat {
    /// 测点 / a point
    Point(MoveArgs),
    /// 车道 / a lane
    Lane(MoveArgs),
}

#[derive(Debug, clap::Args)]
struct MoveArgs {
    /// 位号或车道编号 / tag of the point, or id of the lane
    name: String,
    /// planned 计划、commissioning 联调、in_service 投用、stopped 停用、removed 拆除 / the state
    #[arg(value_parser = state)]
    to: ServiceState,
    /// 原因；投用时写签字的联调记录号 / why; into service: the reference of the signed loop test
    #[arg(long)]
    reason: String,
}

/// `bypass`.
#[derive(Debug, clap::Args)]
pub struct BypassArgs {
    #[command(flatten)]
    reach: Reach,
    /// 输出 CSV / print CSV
    #[arg(long, global = true)]
    csv: bool,
    #[command(subcommand)]
    what: Option<BypassWhat>,
}

#[derive(Debug, clap::Subcommand)]
enum BypassWhat {
    /// 申请摘除联锁（限时）/ ask for the bypass of an interlock, for a time
    Request {
        /// 联锁 / the interlock
        interlock: String,
        /// 分钟 / for how many minutes
        #[arg(long)]
        minutes: u32,
        /// 原因 / why
        #[arg(long)]
        reason: String,
    },
    /// 批准（须另一人）/ approve it; another person
    Approve {
        /// 编号 / its number
        bypass: u64,
    },
    /// 拒绝 / reject it
    Reject {
        /// 编号 / its number
        bypass: u64,
        /// 原因 / why
        #[arg(long)]
        reason: String,
    },
    /// 联锁已恢复 / the interlock is back in force
    Restore {
        /// 编号 / its number
        bypass: u64,
        /// 恢复后检查了什么 / what was checked
        #[arg(long)]
        reason: String,
    },
}

fn state(word: &str) -> Result<ServiceState, String> {
    ServiceState::from_name(word).ok_or_else(|| {
        "请写 planned、commissioning、in_service、stopped 或 removed / write one of planned, commissioning, in_service, \
         stopped, removed"
            .to_owned()
    })
}

/// Shows what was changed against the file, or changes it.
///
/// # Errors
/// In words for the terminal.
pub fn service(args: ServiceArgs) -> Result<(), String> {
    let ServiceArgs { reach, csv, what } = args;
    let (subject, args): (fn(String) -> ServiceSubject, MoveArgs) = match what {
        None => return show(&reach, Form::of(csv)),
        Some(ServiceWhat::Point(args)) => (ServiceSubject::Point, args),
        Some(ServiceWhat::Lane(args)) => (ServiceSubject::Lane, args),
    };
    let action = ServiceAction::Move { subject: subject(args.name), to: args.to, reason: args.reason };
    reach.act(Action::Site(Site::Service(action)))
}

/// Shows the bypasses that are open, or takes a step of one.
///
/// # Errors
/// In words for the terminal.
pub fn bypass(args: BypassArgs) -> Result<(), String> {
    let BypassArgs { reach, csv, what } = args;
    let action = match what {
        None => return show_bypasses(&reach, Form::of(csv)),
        Some(BypassWhat::Request { interlock, minutes, reason }) => {
            ServiceAction::RequestBypass { interlock, reason, minutes }
        }
        Some(BypassWhat::Approve { bypass }) => ServiceAction::ApproveBypass { bypass },
        Some(BypassWhat::Reject { bypass, reason }) => ServiceAction::RejectBypass { bypass, reason },
        Some(BypassWhat::Restore { bypass, reason }) => ServiceAction::RestoreBypass { bypass, reason },
    };
    reach.act(Action::Site(Site::Service(action)))
}

fn rows(told: &Value, name: &str) -> Vec<Value> {
    told.get("site").and_then(|site| site.get(name)).and_then(Value::as_array).cloned().unwrap_or_default()
}

fn show(reach: &Reach, form: Form) -> Result<(), String> {
    let told = reach.told(&Ask::Danger)?;
    let changed = rows(&told, "service");
    if changed.is_empty() {
        say("测点和车道的投用状态与配置一致 / points and lanes are as the configuration says");
        return Ok(());
    }
    let mut table = Table::new(["对象 subject", "名称 name", "状态 state", "由 by", "自 since", "原因 reason"]);
    for one in &changed {
        let (subject, changed) =
            (one.get("subject").cloned().unwrap_or_default(), one.get("changed").cloned().unwrap_or_default());
        let kind = if subject.get("lane").is_some() { "车道 lane" } else { "测点 point" };
        let word = text(&changed, "state");
        let state =
            ServiceState::from_name(&word).map_or_else(|| word.clone(), |state| format!("{} {word}", state.zh()));
        let cells = [text(&changed, "by"), text(&changed, "since"), text(&changed, "reason")];
        let [by, since, reason] = cells;
        table.row([kind.to_owned(), text(one, "name"), state, by, since, reason]);
    }
    table.print(form);
    Ok(())
}

fn show_bypasses(reach: &Reach, form: Form) -> Result<(), String> {
    let told = reach.told(&Ask::Danger)?;
    let mut table = Table::new([
        "编号 number",
        "联锁 interlock",
        "步骤 step",
        "申请 by",
        "批准 approved",
        "至 until",
        "原因 reason",
    ]);
    for one in rows(&told, "bypasses") {
        let cells = ["bypass", "interlock", "step", "requested_by", "approved_by", "until", "reason"];
        table.row(cells.map(|name| text(&one, name)));
    }
    table.print(form);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_is_one_of_the_five_words() {
        assert_eq!(state("stopped"), Ok(ServiceState::Stopped));
        assert!(state("broken").is_err());
    }
}
