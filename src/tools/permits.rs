//! `permits`, `waybills`: the approvals that take a person (`domain.md`, rules 10 and 33), by the running gateway. Who somebody
//! is the kernel tells it; what he may do follows from his groups, and both stages are never one person's. Each is in the audit,
//! done or refused.

use serde_json::Value;

use super::gateway::Reach;
use super::table::{Form, Table, say};
use crate::control::ask::DidLine;
use crate::control::{Ask, Line};
use crate::domain::gate::hazmat::book::Entry;
use crate::domain::gate::hazmat::waybill::WaybillState;
use crate::domain::gate::register::Held;
use crate::domain::gate::register::look::Look;
use crate::domain::gate::register::permit::{Approver, Permit, PermitStage};
use crate::domain::gate::register::row::{self, Holder};

/// `permits`.
#[derive(Debug, clap::Args)]
pub struct PermitsArgs {
    #[command(flatten)]
    reach: Reach,
    #[command(subcommand)]
    what: Permits,
}

#[derive(Debug, clap::Subcommand)]
enum Permits {
    /// 列出等待审核的预约 / list the permits that wait for somebody
    List {
        /// 只列此审核状态：waiting_park、park_passed 等 / those in this stage instead
        #[arg(long, value_name = "STAGE", value_parser = stage)]
        stage: Option<PermitStage>,
        /// 输出 CSV / print CSV
        #[arg(long)]
        csv: bool,
    },
    /// 查看一个预约及其变更 / one permit, with who changed it
    Show {
        /// 预约号 / number of the permit
        #[arg(value_name = "PERMIT")]
        permit: String,
    },
    /// 审核通过：先企业，后园区，须由两人 / approve the stage whose turn it is: the enterprise's, then the park's
    Approve {
        /// 预约号 / number of the permit
        #[arg(value_name = "PERMIT")]
        permit: String,
        /// 说明 / why
        #[arg(long, value_name = "TEXT", default_value = "")]
        why: String,
    },
    /// 审核不通过 / refuse it
    Reject {
        /// 预约号 / number of the permit
        #[arg(value_name = "PERMIT")]
        permit: String,
        /// 理由，必填 / why, required
        #[arg(long, value_name = "TEXT")]
        why: String,
    },
}

/// `waybills`.
#[derive(Debug, clap::Args)]
pub struct WaybillsArgs {
    #[command(flatten)]
    reach: Reach,
    #[command(subcommand)]
    what: Waybills,
}

#[derive(Debug, clap::Subcommand)]
enum Waybills {
    /// 列出未结束的运单 / list the waybills that are not over
    List {
        /// 输出 CSV / print CSV
        #[arg(long)]
        csv: bool,
    },
    /// 运单进入下一步：企业审核，监管核验，已派车 / take a waybill one step on, as far as to `dispatched`
    Approve {
        /// 运单号 / number of the waybill
        #[arg(value_name = "WAYBILL")]
        waybill: String,
        /// 说明 / why
        #[arg(long, value_name = "TEXT", default_value = "")]
        why: String,
    },
    /// 运单作废 / give a waybill up
    Reject {
        /// 运单号 / number of the waybill
        #[arg(value_name = "WAYBILL")]
        waybill: String,
        /// 理由，必填 / why, required
        #[arg(long, value_name = "TEXT")]
        why: String,
    },
}

fn stage(word: &str) -> Result<PermitStage, String> {
    let all = || PermitStage::ALL.iter().map(|stage| stage.as_str()).collect::<Vec<_>>().join(", ");
    PermitStage::from_name(word).ok_or_else(|| format!("one of {}", all()))
}

/// Runs `permits`.
///
/// # Errors
///
/// The gateway's refusal, in words.
pub fn permits(args: PermitsArgs) -> Result<(), String> {
    let PermitsArgs { reach, what } = args;
    match what {
        Permits::List { stage, csv } => {
            let found = told(&reach, &Ask::Register { look: Look::Permits { stage } })?;
            let permits = found.into_iter().map(permit_of).collect::<Result<Vec<Permit>, String>>()?;
            if permits.is_empty() && !csv {
                say("没有等待审核的预约 / no permit waits");
                return Ok(());
            }
            permit_table(&permits).print(Form::of(csv));
            Ok(())
        }
        Permits::Show { permit } => {
            let row = one(&reach, &permit)?;
            say(&serde_json::to_string_pretty(&row).map_err(|error| error.to_string())?);
            Ok(())
        }
        Permits::Approve { permit, why } => decide(&reach, permit, true, why),
        Permits::Reject { permit, why } => decide(&reach, permit, false, why),
    }
}

/// Decides the stage whose turn it is now: what the caller saw, so that two who approve at once do not decide both stages.
fn decide(reach: &Reach, id: String, passed: bool, why: String) -> Result<(), String> {
    let permit = permit_of(one(reach, &id)?)?;
    let stage = permit.approver().ok_or_else(|| {
        let stage = permit.stage;
        format!("预约处于“{}”，不再审核 / the permit is in `{stage}`: nobody decides it any more", stage.zh())
    })?;
    did(reach, &Ask::Approve { permit: id, stage, passed, why })
}

fn one(reach: &Reach, id: &str) -> Result<Value, String> {
    let look = Look::Row { table: row::Table::Permits, id: id.to_owned() };
    let found = told(reach, &Ask::Register { look })?.into_iter().next();
    found.ok_or_else(|| format!("没有预约 {id} / there is no permit {id}"))
}

fn permit_of(told: Value) -> Result<Permit, String> {
    let held: Held = serde_json::from_value(told).map_err(|error| error.to_string())?;
    let permit = held.row.as_permit().map(|permit| (**permit).clone());
    permit.ok_or_else(|| "this is no permit".to_owned())
}

fn permit_table(permits: &[Permit]) -> Table {
    let mut table = Table::new([
        "预约 permit",
        "类型 kind",
        "对象 holder",
        "企业 company",
        "审核 stage",
        "待 waits for",
        "审核人 by",
        "起 from",
        "止 until",
        "次数 uses",
    ]);
    for permit in permits {
        let by: Vec<String> = permit.approvals.iter().map(|approval| approval.by.clone()).collect();
        table.row([
            permit.id.to_string(),
            permit.kind.zh().to_owned(),
            holder(&permit.holder),
            permit.company.as_ref().map(ToString::to_string).unwrap_or_default(),
            format!("{} {}", permit.stage.zh(), permit.stage),
            permit.approver().map(Approver::zh).unwrap_or_default().to_owned(),
            by.join(", "),
            permit.from.to_string(),
            permit.until.to_string(),
            permit.uses_allowed.map(|allowed| format!("{}/{allowed}", permit.uses)).unwrap_or_default(),
        ]);
    }
    table
}

fn holder(holder: &Holder) -> String {
    match holder {
        Holder::Vehicle(plate) => plate.to_string(),
        Holder::Person(person) => person.to_string(),
    }
}

/// Runs `waybills`.
///
/// # Errors
///
/// The gateway's refusal, in words.
pub fn waybills(args: WaybillsArgs) -> Result<(), String> {
    let WaybillsArgs { reach, what } = args;
    let listed = || -> Result<Vec<Entry>, String> {
        let found = told(&reach, &Ask::Waybills)?;
        found.into_iter().map(|told| serde_json::from_value(told).map_err(|error| error.to_string())).collect()
    };
    match what {
        Waybills::List { csv } => {
            let waybills = listed()?;
            if waybills.is_empty() && !csv {
                say("没有未结束的运单 / no waybill is open");
                return Ok(());
            }
            waybill_table(&waybills).print(Form::of(csv));
            Ok(())
        }
        Waybills::Approve { waybill, why } => {
            let entry = listed()?.into_iter().find(|entry| entry.waybill.number.as_str() == waybill);
            let entry =
                entry.ok_or_else(|| format!("没有未结束的运单 {waybill} / there is no open waybill {waybill}"))?;
            let is = entry.waybill.state;
            let to = is.next().ok_or_else(|| format!("运单已“{}” / the waybill is `{is}`", is.zh()))?;
            did(&reach, &Ask::Waybill { number: waybill, to, why })
        }
        Waybills::Reject { waybill, why } => {
            did(&reach, &Ask::Waybill { number: waybill, to: WaybillState::Aborted, why })
        }
    }
}

fn waybill_table(waybills: &[Entry]) -> Table {
    let mut table = Table::new([
        "运单 waybill",
        "状态 state",
        "车牌 plate",
        "用途 purpose",
        "货物 goods",
        "联单 manifest",
        "收货 consignee",
        "审核人 by",
        "通行 passage",
    ]);
    for Entry { waybill, used, stepped_by, .. } in waybills {
        let goods: Vec<String> = waybill.goods.iter().map(ToString::to_string).collect();
        table.row([
            waybill.number.to_string(),
            format!("{} {}", waybill.state.zh(), waybill.state),
            waybill.tractor.to_string(),
            waybill.purpose.zh().to_owned(),
            goods.join("；"),
            waybill.manifest.as_ref().map(|manifest| manifest.number.to_string()).unwrap_or_default(),
            waybill.consignee.to_string(),
            stepped_by.clone().unwrap_or_default(),
            used.as_ref().map(|used| used.passage.to_string()).unwrap_or_default(),
        ]);
    }
    table
}

fn told(reach: &Reach, request: &Ask) -> Result<Vec<Value>, String> {
    let mut all = Vec::new();
    reach.ask(request, |line| {
        if let Line::Told(value) = line {
            all.push(*value);
        }
        true
    })?;
    Ok(all)
}

fn did(reach: &Reach, request: &Ask) -> Result<(), String> {
    reach.ask(request, |line| {
        if let Line::Did(DidLine { zh, en, .. }) = line {
            say(&format!("{zh} / {en}"));
        }
        true
    })
}
