//! `inside`: who is inside, and what a person says of it: a signed count, a correction, what was in doubt.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::gateway::Reach;
use super::lanes::{each, inside_table, text};
use super::table::{Form, Table, say};
use super::written::{plate, subject};
use crate::control::Ask;
use crate::domain::gate::gates::act::{AccountAct, GateAct};
use crate::domain::gate::inside::{Stock, Stocks, Subject};
use crate::domain::gate::plate::Plate;
use crate::domain::gate::word::{PersonRef, VehicleClass, ZoneId};

/// `inside`.
#[derive(Debug, clap::Args)]
pub struct InsideArgs {
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
    /// 签字盘点：首次即期初存量 / sign a count of a zone; the first one is the opening stock
    ///
    /// Nothing before it changes the count any more. With --by-name (or a name given), whoever is not named is not inside:
    /// dangerous goods come in only while that is known of their vehicle.
    Count(CountArgs),
    /// 更正人数或车数 / correct a count, up or down
    Correct(CorrectArgs),
    /// 处理存疑通行、冲突、对账事项 / settle a passage in doubt, a conflict, an item of the day's list
    Settle {
        /// 通行或事件 id / the passage, or the event that put it there
        #[arg(value_name = "PASSAGE")]
        of: String,
        /// 是否通过 / whether it crossed; a conflict is `not`
        #[arg(value_name = "END")]
        end: End,
        /// 如何得知，必填 / how that is known, required
        #[arg(long, value_name = "TEXT")]
        why: String,
    },
    /// 作废一条错误记录 / take back an event that was wrong
    Void {
        /// 事件 id / id of the event
        #[arg(value_name = "EVENT")]
        event: String,
        /// 原因，必填 / why, required
        #[arg(long, value_name = "TEXT")]
        why: String,
    },
    /// 审查违规后重新计数 / a subject's violations were looked at: they are counted anew
    Review {
        /// 车牌（如 皖R12345,黄）或人员代号 / plate with its colour, or reference of a person
        #[arg(value_name = "SUBJECT", value_parser = subject)]
        subject: Subject,
        /// 结论，必填 / what came of it, required
        #[arg(long, value_name = "TEXT")]
        why: String,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum End {
    /// 已通过 / it crossed
    Crossed,
    /// 未通过 / it did not
    Not,
}

#[derive(Debug, clap::Args)]
struct CountArgs {
    /// 区域 / the zone
    #[arg(value_name = "ZONE")]
    zone: String,
    /// 人数，含车内人员 / persons, with those in vehicles
    #[arg(long, value_name = "N")]
    persons: u32,
    /// 车辆，按类：hazmat=2，可多次 / vehicles of a class; may be given several times
    #[arg(long, value_name = "CLASS=N", value_parser = class_count)]
    vehicles: Vec<(VehicleClass, u32)>,
    /// 逐一点名盘点 / it was counted by name
    #[arg(long)]
    by_name: bool,
    /// 在园车辆：皖R12345,黄；可多次 / a vehicle that is inside, with its colour
    #[arg(long, value_name = "PLATE", value_parser = plate)]
    vehicle: Vec<Plate>,
    /// 在园人员代号；可多次 / reference of a person who is inside
    #[arg(long, value_name = "PERSON")]
    person: Vec<String>,
    /// 如何盘点，必填 / how it was counted, required
    #[arg(long, value_name = "TEXT")]
    why: String,
}

#[derive(Debug, clap::Args)]
struct CorrectArgs {
    /// 区域 / the zone
    #[arg(value_name = "ZONE")]
    zone: String,
    /// persons 人数，或车辆类 / persons, or a class of vehicles
    #[arg(value_name = "STOCK", value_parser = stock)]
    stock: Stock,
    /// 增减数：+1、-2 / by how many
    #[arg(value_name = "BY", allow_hyphen_values = true)]
    by: i32,
    /// 何人何车：车牌（如 皖R12345,黄）或人员代号 / who or what it is about: plate with its colour, or reference of a person
    #[arg(long, value_name = "SUBJECT", value_parser = subject)]
    subject: Option<Subject>,
    /// 原因，必填 / why, required
    #[arg(long, value_name = "TEXT")]
    why: String,
}

fn class(word: &str) -> Result<VehicleClass, String> {
    let all = || VehicleClass::ALL.iter().map(|class| class.as_str()).collect::<Vec<_>>().join(", ");
    VehicleClass::from_name(word).ok_or_else(|| format!("`{word}`：应为 / one of {}", all()))
}

fn class_count(text: &str) -> Result<(VehicleClass, u32), String> {
    let (word, n) = text.split_once('=').ok_or_else(|| format!("`{text}`：请写 hazmat=2 / write hazmat=2"))?;
    let n = n.trim().parse().map_err(|_| format!("`{n}` 不是数 / is no number"))?;
    class(word.trim()).map(|class| (class, n))
}

fn stock(word: &str) -> Result<Stock, String> {
    if word == "persons" { Ok(Stock::Persons) } else { class(word).map(Stock::Vehicles) }
}

impl CountArgs {
    fn act(self) -> Result<AccountAct, String> {
        let Self { zone, persons, vehicles, by_name, vehicle, person, why } = self;
        let zone = ZoneId::new(zone);
        let mut by_class = BTreeMap::new();
        for (class, n) in vehicles {
            if by_class.insert(class, n).is_some() {
                return Err(format!("`{class}` 写了两次 / is given twice"));
            }
        }
        let named: BTreeSet<Subject> = vehicle
            .into_iter()
            .map(Subject::Vehicle)
            .chain(person.into_iter().map(|person| Subject::Person(PersonRef::new(person))))
            .collect();
        let list = (by_name || !named.is_empty()).then(|| BTreeMap::from([(zone.clone(), named)]));
        Ok(AccountAct::Count { zones: [(zone, Stocks { persons, vehicles: by_class })].into(), list, why })
    }
}

/// Shows who is inside, or tells the gateway what somebody found.
///
/// # Errors
///
/// The gateway's refusal, in words.
pub fn inside(args: InsideArgs) -> Result<(), String> {
    let InsideArgs { reach, json, what } = args;
    let act = match what {
        None => return show(&reach, json),
        Some(What::Count(count)) => count.act()?,
        Some(What::Correct(CorrectArgs { zone, stock, by, subject, why })) => {
            AccountAct::Correct { zone: ZoneId::new(zone), stock, by, subject, why }
        }
        Some(What::Settle { of, end, why }) => AccountAct::Settle { of, crossed: end == End::Crossed, why },
        Some(What::Void { event, why }) => AccountAct::Void { event, why },
        Some(What::Review { subject, why }) => AccountAct::Review { subject, why },
    };
    reach.tell(GateAct::Account(act))
}

fn show(reach: &Reach, json: bool) -> Result<(), String> {
    let told = reach.told(&Ask::Lanes)?;
    if json {
        let inside = told.pointer("/inside").cloned().unwrap_or(Value::Null);
        say(&serde_json::to_string_pretty(&inside).map_err(|error| error.to_string())?);
        return Ok(());
    }
    inside_table(&told).print(Form::Table);
    let known = told.pointer("/inside/known").and_then(Value::as_bool) == Some(true);
    if !known {
        say("在园数不可知：请签字盘点（parkgate inside count）/ who is inside is not known: sign a count");
    }
    let open = open_table(&told);
    if !open.is_empty() {
        say("");
        open.print(Form::Table);
    }
    Ok(())
}

/// What waits to be settled.
fn open_table(told: &Value) -> Table {
    let mut table = Table::new(["待处理 to settle", "什么 what", "何人何车 subject", "时间 at", "原因 why"]);
    for doubt in each(told, "/inside/in_doubt") {
        table.row([
            text(doubt, "/passage"),
            "存疑通行 in doubt".to_owned(),
            text(doubt, "/subject"),
            text(doubt, "/at"),
            text(doubt, "/why"),
        ]);
    }
    for conflict in each(told, "/inside/conflicts") {
        let event = |at: &str| text(conflict, &format!("/event{at}"));
        table.row([
            format!("{}-{}-{}", event("/source/gateway"), event("/source/boot"), event("/n")),
            format!("冲突 {}", text(conflict, "/conflict")),
            String::new(),
            String::new(),
            String::new(),
        ]);
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
        args: InsideArgs,
    }

    fn acted(words: &[&str]) -> Result<AccountAct, String> {
        let line = Line::try_parse_from([&["inside"], words].concat()).map_err(|error| error.to_string())?;
        match line.args.what.unwrap() {
            What::Count(count) => count.act(),
            What::Correct(CorrectArgs { zone, stock, by, subject, why }) => {
                Ok(AccountAct::Correct { zone: ZoneId::new(zone), stock, by, subject, why })
            }
            What::Settle { .. } | What::Void { .. } | What::Review { .. } => Err("another".to_owned()),
        }
    }

    #[test]
    fn a_count_is_of_a_zone_by_class_and_by_name_where_somebody_is_named() {
        let count = |more: &[&str]| acted(&[&["count", "park", "--persons", "12", "--why", "点名"], more].concat());
        let Ok(AccountAct::Count { zones, list, why }) = count(&["--vehicles", "hazmat=2"]) else { panic!("a count") };
        assert_eq!(zones[&ZoneId::new("park")].of(Stock::Vehicles(VehicleClass::Hazmat)), 2);
        assert_eq!((zones[&ZoneId::new("park")].persons, list, why.as_str()), (12, None, "点名"));
        let Ok(AccountAct::Count { list, .. }) = count(&["--by-name"]) else { panic!("a count") };
        assert_eq!(list, Some([(ZoneId::new("park"), BTreeSet::new())].into()));
        let Ok(AccountAct::Count { list: Some(list), .. }) = count(&["--vehicle", "皖R12345,黄"]) else { panic!() };
        assert_eq!(list[&ZoneId::new("park")].iter().map(ToString::to_string).collect::<Vec<_>>(), ["皖R12345(黄)"]);
        assert!(count(&["--vehicles", "hazmat=2", "--vehicles", "hazmat=3"]).is_err());
        assert!(count(&["--vehicles", "tractor=2"]).is_err());
        assert!(count(&["--vehicle", "皖R12345"]).unwrap_err().contains("colour"));
        assert!(acted(&["count", "park", "--persons", "12"]).is_err(), "it is signed in words");
    }

    #[test]
    fn a_correction_goes_up_or_down() {
        let Ok(AccountAct::Correct { by, stock, .. }) = acted(&["correct", "park", "persons", "-2", "--why", "漏刷"])
        else {
            panic!("a correction")
        };
        assert_eq!((by, stock), (-2, Stock::Persons));
    }
}
