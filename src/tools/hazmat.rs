//! `hazmat`: what people say of dangerous goods: checks, places, dispatch, bays, terminals.

use std::path::PathBuf;

use serde_json::Value;

use super::gateway::Reach;
use super::lanes::{each, text};
use super::table::{Form, Table, say};
use super::written::any_plate;
use crate::control::Ask;
use crate::domain::gate::gates::act::{GateAct, GoodsAct};
use crate::domain::gate::hazmat::named::Named;
use crate::domain::gate::hazmat::waybill::{Waybill, number};
use crate::domain::gate::plate::Plate;
use crate::domain::gate::word::{BayId, CompanyId, TerminalId, WaybillNo, ZoneId};

/// A waybill to fill in: methanol by tank to a works of the park.
const TEMPLATE: &str = r#"{
  "number": "YD-2026-0001",
  "state": "dispatched",
  "purpose": "deliver",
  "carrier": "91440300755691882F",
  "consignor": "91440300755691882F",
  "loader": "91440300755691882F",
  "consignee": "91440300755691882F",
  "driver": { "id": { "kind": "id_card", "number": "11010519491231002X" } },
  "escort": { "id": { "kind": "passport", "number": "E12345678" } },
  "tractor": { "text": "皖R12345", "colour": "yellow" },
  "trailer": { "text": "皖R1234挂", "colour": "yellow" },
  "goods": [
    { "un": 1230, "name": "甲醇", "class": "3", "subsidiary": ["6.1"], "packing_group": "II", "quantity": 30, "unit": "t" }
  ],
  "not_before": null,
  "not_after": null
}
"#;

/// `hazmat`.
#[derive(Debug, clap::Args)]
pub struct HazmatArgs {
    #[command(flatten)]
    reach: Reach,
    /// 输出 JSON：全部内容 / print JSON: all of it
    #[arg(long, global = true)]
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
    /// 查看运单及其检查 / show a waybill with its checks
    Show {
        /// 运单号 / number of the waybill
        #[arg(value_name = "WAYBILL")]
        waybill: String,
    },
    /// 人工录入运单（平台不通时凭纸质运单）/ enter a waybill from paper, while the platform is away
    ///
    /// A JSON file such as `hazmat template` prints; persons by document or reference, registered already. One that the vehicle may
    /// come with (dispatched, in_transit) needs the role supervisor, one that is still to be reviewed operator or supervisor.
    Enter {
        /// JSON 文件 / the file
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// 原因，必填 / why, required
        #[arg(long, value_name = "TEXT")]
        why: String,
    },
    /// 打印运单样例 / print a waybill to fill in
    Template,
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
    /// Returns what the gateway is told; `None`: it is asked for something else.
    fn act(self) -> Option<GoodsAct> {
        Some(match self {
            Self::Show { .. } | Self::Enter { .. } | Self::Template => return None,
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
        })
    }
}

/// Shows what stands of dangerous goods, or tells the gateway something of them.
///
/// # Errors
///
/// The gateway's refusal, in words.
pub fn hazmat(args: HazmatArgs) -> Result<(), String> {
    let HazmatArgs { reach, json, what } = args;
    match what {
        None => {}
        Some(What::Template) => {
            say(TEMPLATE.trim_end());
            return Ok(());
        }
        Some(What::Enter { file, why }) => {
            let text = std::fs::read_to_string(&file).map_err(|error| format!("{}: {error}", file.display()))?;
            return reach.done(&Ask::Enter { waybill: Box::new(read(&text)?), why });
        }
        Some(What::Show { waybill }) => {
            let told = reach.told(&Ask::Checks { waybill: WaybillNo::new(waybill) })?;
            return show(&told, json);
        }
        Some(what) => return what.act().map_or(Ok(()), |act| reach.tell(GateAct::Goods(act))),
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

/// A waybill as somebody writes it.
fn read(text: &str) -> Result<Waybill<Named>, String> {
    let mut waybill: Waybill<Named> =
        serde_json::from_str(text).map_err(|error| format!("不是运单 / this is no waybill: {error}"))?;
    waybill.number = WaybillNo::new(number(waybill.number.as_str()));
    for plate in std::iter::once(&mut waybill.tractor).chain(&mut waybill.trailer) {
        *plate = Plate::new(&plate.text, plate.colour);
    }
    Ok(waybill)
}

fn show(told: &Value, json: bool) -> Result<(), String> {
    if json {
        say(&serde_json::to_string_pretty(told).map_err(|error| error.to_string())?);
        return Ok(());
    }
    let of = |at: &str| text(told, &format!("/waybill{at}"));
    let used = match text(told, "/used/passage") {
        passage if passage.is_empty() => "未使用 not used".to_owned(),
        passage => format!("已用于 used for {passage}"),
    };
    say(&format!("{} {} {} {}；{used}", of("/number"), of("/state"), of("/tractor/text"), of("/purpose")));
    check_table(told).print(Form::Table);
    Ok(())
}

fn check_table(told: &Value) -> Table {
    let mut table = Table::new(["检查项 item", "内容 what", "结果 found", "检查人 by", "时间 at", "说明 note"]);
    for check in each(told, "/checks") {
        let found = match check.pointer("/answer/passed").and_then(Value::as_bool) {
            Some(true) => "合格 passed",
            Some(false) => "不合格 failed",
            None => "未查 open",
        };
        table.row([
            text(check, "/item"),
            text(check, "/zh"),
            found.to_owned(),
            text(check, "/answer/by"),
            text(check, "/answer/at"),
            text(check, "/answer/note"),
        ]);
    }
    table
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
    use crate::domain::gate::word::PersonRef;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        args: HazmatArgs,
    }

    fn acted(words: &[&str]) -> Option<GoodsAct> {
        Line::try_parse_from([&["hazmat"], words].concat()).ok()?.args.what?.act()
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

    #[test]
    fn the_template_is_a_waybill_and_numbers_are_brought_into_their_form() {
        let waybill =
            read(&TEMPLATE.replace("YD-2026-0001", "yd-2026-0001 ").replace("皖R12345", "皖r·12345")).unwrap();
        assert_eq!((waybill.number.as_str(), waybill.tractor.text.as_str()), ("YD-2026-0001", "皖R12345"));
        assert_eq!(waybill.documents().count(), 2);
        let found = waybill.documents().cloned().zip(["p-1", "p-2"].map(PersonRef::new)).collect();
        assert_eq!(waybill.resolved(&found).fault(), None);
        assert!(read("{}").unwrap_err().contains("no waybill"));
    }

    #[test]
    fn a_waybill_is_shown_with_each_item_of_its_checks() {
        let told = serde_json::json!({ "waybill": {}, "used": null, "checks": [
            { "item": "goods", "zh": "货物", "en": "goods", "answer": { "passed": false, "by": "li", "at": "t", "note": "品名不符" } },
            { "item": "placards", "zh": "标志", "en": "placards", "answer": null },
        ] });
        let table = check_table(&told).text(Form::Csv);
        assert!(table.contains("goods,货物,不合格 failed,li,t,品名不符\nplacards,标志,未查 open,,,"), "{table}");
    }
}
