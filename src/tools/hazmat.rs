//! `hazmat`: what people say of dangerous goods: checks, places, dispatch, bays, terminals.

use serde_json::Value;

use super::gateway::Reach;
use super::lanes::{each, text};
use super::table::{Form, Table, say};
use super::written::any_plate;
use crate::control::Ask;
use crate::domain::gate::gates::act::{GateAct, GoodsAct};
use crate::domain::gate::plate::Plate;
use crate::domain::gate::word::{BayId, CompanyId, TerminalId, WaybillNo, ZoneId};

/// `hazmat`.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct HazmatArgs {
    #[command(flatten)]
    reach: Reach,
    /// 输出 JSON：全部内容 / print JSON: all of it
    #[arg(long)]
    json: bool,
    #[command(subcommand)]
    what: Option<What>,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// 五必查：逐项填写 / answer an item of the checks of a waybill
    #[command(group = clap::ArgGroup::new("found").args(["pass", "fail"]).required(true))]
    Check {
        /// 运单号 / number of the waybill
        #[arg(value_name = "WAYBILL")]
        waybill: String,
        /// 检查项 id / id of the item
        #[arg(value_name = "ITEM")]
        item: String,
        /// 合格 / it passed
        #[arg(long)]
        pass: bool,
        /// 不合格，须写 --note / it failed; then a note is needed
        #[arg(long)]
        fail: bool,
        /// 情况说明 / what was found
        #[arg(long, value_name = "TEXT", default_value = "")]
        note: String,
    },
    /// 企业公布装卸位数 / publish how many places a company has
    Quota {
        /// 统一社会信用代码 / USCC of the company
        #[arg(value_name = "COMPANY")]
        company: String,
        /// 装卸位数 / how many
        #[arg(value_name = "PLACES")]
        places: u32,
    },
    /// 调度：从停车场到装卸点 / dispatch a parked vehicle to its place
    Dispatch {
        /// 车牌 / the plate
        #[arg(value_name = "PLATE", value_parser = any_plate)]
        plate: Plate,
        /// 去哪个区域 / the zone
        #[arg(value_name = "ZONE")]
        zone: String,
    },
    /// 召回已调度的车 / call a dispatched vehicle back
    Recall {
        /// 车牌 / the plate
        #[arg(value_name = "PLATE", value_parser = any_plate)]
        plate: Plate,
    },
    /// 装卸完毕 / loading or unloading is done
    Done {
        /// 车牌 / the plate
        #[arg(value_name = "PLATE", value_parser = any_plate)]
        plate: Plate,
    },
    /// 泊位已停 / a vehicle stands in a bay
    Taken {
        /// 泊位 / the bay
        #[arg(value_name = "BAY")]
        bay: String,
        /// 车牌 / the plate
        #[arg(value_name = "PLATE", value_parser = any_plate)]
        plate: Plate,
    },
    /// 泊位已空 / a bay is empty
    Empty {
        /// 泊位 / the bay
        #[arg(value_name = "BAY")]
        bay: String,
    },
    /// 发放定位终端 / hand a positioning terminal out
    TerminalOut {
        /// 终端 / the terminal
        #[arg(value_name = "TERMINAL")]
        terminal: String,
        /// 车牌 / the plate
        #[arg(value_name = "PLATE", value_parser = any_plate)]
        plate: Plate,
    },
    /// 收回定位终端 / take it back
    TerminalBack {
        /// 终端 / the terminal
        #[arg(value_name = "TERMINAL")]
        terminal: String,
    },
}

impl What {
    fn act(self) -> GoodsAct {
        match self {
            Self::Check { waybill, item, pass, fail: _, note } => {
                GoodsAct::Check { waybill: WaybillNo::new(waybill), item, passed: pass, note }
            }
            Self::Quota { company, places } => GoodsAct::Quota { company: CompanyId::new(company), places },
            Self::Dispatch { plate, zone } => GoodsAct::Dispatch { plate, zone: ZoneId::new(zone) },
            Self::Recall { plate } => GoodsAct::Recall { plate },
            Self::Done { plate } => GoodsAct::WorkDone { plate },
            Self::Taken { bay, plate } => GoodsAct::BayTaken { bay: BayId::new(bay), plate },
            Self::Empty { bay } => GoodsAct::BayEmpty { bay: BayId::new(bay) },
            Self::TerminalOut { terminal, plate } => {
                GoodsAct::TerminalOut { terminal: TerminalId::new(terminal), plate }
            }
            Self::TerminalBack { terminal } => GoodsAct::TerminalBack { terminal: TerminalId::new(terminal) },
        }
    }
}

/// Shows what stands of dangerous goods, or tells the gateway something of them.
///
/// # Errors
///
/// The gateway's refusal, in words.
pub fn hazmat(args: HazmatArgs) -> Result<(), String> {
    let HazmatArgs { reach, json, what } = args;
    if let Some(what) = what {
        return reach.tell(GateAct::Goods(what.act()));
    }
    let told = reach.told(&Ask::Lanes)?;
    if json {
        let hazmat = told.pointer("/hazmat").cloned().unwrap_or(Value::Null);
        say(&serde_json::to_string_pretty(&hazmat).map_err(|error| error.to_string())?);
        return Ok(());
    }
    let tables = [waybill_table(&told), visit_table(&told), bay_table(&told)];
    if tables.iter().all(Table::is_empty) {
        say("没有危险货物运单、车辆或泊位 / there is no waybill, no vehicle and no bay");
        return Ok(());
    }
    let shown: Vec<String> =
        tables.iter().filter(|table| !table.is_empty()).map(|table| table.text(Form::Table)).collect();
    say(shown.join("\n").trim_end());
    Ok(())
}

fn waybill_table(told: &Value) -> Table {
    let mut table = Table::new(["运单 waybill", "状态 state", "可用 fact", "车牌 plate", "货物 goods", "企业 host"]);
    for waybill in each(told, "/hazmat/waybills") {
        let goods: Vec<String> = each(waybill, "/goods").map(|goods| text(goods, "")).collect();
        table.row([
            text(waybill, "/number"),
            text(waybill, "/state"),
            text(waybill, "/fact"),
            text(waybill, "/plate"),
            goods.join("；"),
            text(waybill, "/host"),
        ]);
    }
    table
}

fn visit_table(told: &Value) -> Table {
    let mut table = Table::new(["车牌 plate", "阶段 stage", "区域 zone", "泊位 bay", "运单 waybill", "停留 inside"]);
    for visit in each(told, "/hazmat/visits") {
        table.row([
            text(visit, "/plate"),
            text(visit, "/stage"),
            text(visit, "/zone"),
            text(visit, "/bay"),
            text(visit, "/waybill"),
            format!("{} s", text(visit, "/inside_s")),
        ]);
    }
    table
}

fn bay_table(told: &Value) -> Table {
    let mut table = Table::new(["泊位 bay", "状态 status", "车牌 plate"]);
    for bay in each(told, "/hazmat/bays") {
        table.row([text(bay, "/bay"), text(bay, "/status"), text(bay, "/plate")]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        args: HazmatArgs,
    }

    fn acted(words: &[&str]) -> Option<GoodsAct> {
        Line::try_parse_from([&["hazmat"], words].concat()).ok()?.args.what.map(What::act)
    }

    #[test]
    fn an_item_is_passed_or_failed_and_never_both() {
        let check = |passed, note: &str| {
            let (waybill, item, note) = (WaybillNo::new("W1"), "goods".to_owned(), note.to_owned());
            Some(GoodsAct::Check { waybill, item, passed, note })
        };
        assert_eq!(acted(&["check", "W1", "goods", "--pass"]), check(true, ""));
        assert_eq!(acted(&["check", "W1", "goods", "--fail", "--note", "品名不符"]), check(false, "品名不符"));
        assert_eq!(acted(&["check", "W1", "goods"]), None);
        assert_eq!(acted(&["check", "W1", "goods", "--pass", "--fail"]), None);
        assert!(acted(&["taken", "A1", "皖R12345"]).is_some());
    }
}
