//! What people tell the gates beside what they do at a lane: answers to tickets, counts and corrections of who is inside, musters,
//! checks of dangerous goods, dispatch, bays, terminals. One value for each, as the control socket carries it; who may do it; and
//! its entry in the audit, done or refused.
//!
//! | act | needs one of the roles |
//! |---|---|
//! | answer a ticket | guard, supervisor; operator where the enterprise is asked |
//! | count, correct, take back, review, settle | supervisor |
//! | muster: check in, account for, take back | guard, operator, supervisor; end: supervisor |
//! | answer a check, say that a bay is taken or empty | guard, operator, supervisor |
//! | hand out and take back a terminal | guard, supervisor |
//! | enter a waybill by hand that the vehicle may come with | supervisor; one that is still to be reviewed: operator too |
//! | publish places, dispatch, call back, say that the work is done | operator, supervisor |
//!
//! What is said twice is either the same the second time, or refused in words; a correction is never made twice by a slip.

mod account;
mod goods;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{Gates, Output};
use crate::domain::actor::{Actor, Refused, Role};
use crate::domain::audit::{AuditResult, Deed};
use crate::domain::gate::desk::Answer;
use crate::domain::gate::hazmat::waybill::Waybill;
use crate::domain::gate::inside::{Stock, Stocks, Subject};
use crate::domain::gate::plate::Plate;
use crate::domain::gate::word::{BayId, CompanyId, PersonRef, TerminalId, WaybillNo, ZoneId};
use crate::domain::time::Now;

/// Characters of what somebody writes of his reasons: it stands in the audit for ever.
pub const MAX_WORDS: usize = 500;
/// Characters of a name, a number or an id.
const MAX_NAME: usize = 128;
/// Subjects of one count by name: everybody and everything of a large park, as one event can carry it to the other gateways.
const MAX_LIST: usize = 4_000;

/// What somebody wants.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(tag = "of", content = "act", rename_all = "snake_case", deny_unknown_fields)]
pub enum GateAct {
    /// Answers a ticket.
    Ticket(TicketAct),
    /// Something of the account of who is inside.
    Account(AccountAct),
    /// Something in a muster.
    Muster(MusterAct),
    /// Something of dangerous goods.
    Goods(GoodsAct),
}

/// An answer to a ticket.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct TicketAct {
    /// Which.
    pub ticket: String,
    /// What.
    pub answer: Answer,
    /// Why.
    pub why: String,
}

/// Something of the account of who is inside.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(tag = "do", rename_all = "snake_case", deny_unknown_fields)]
pub enum AccountAct {
    /// Signs a count. The first one is the opening stock.
    Count {
        /// What was found, by zone.
        zones: BTreeMap<ZoneId, Stocks>,
        /// Who and what is inside by name, where it was counted so; who is not named is not inside then.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        list: Option<BTreeMap<ZoneId, BTreeSet<Subject>>>,
        /// How it was counted.
        why: String,
    },
    /// Corrects a count; those of the zones around are corrected with it.
    Correct {
        /// The zone.
        zone: ZoneId,
        /// Which count.
        stock: Stock,
        /// By how many, up or down.
        by: i32,
        /// Who or what it is about, where known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        subject: Option<Subject>,
        /// Why.
        why: String,
    },
    /// Takes back an event that was wrong.
    Void {
        /// Its id, as lists show it.
        event: String,
        /// Why.
        why: String,
    },
    /// Has looked at the violations of a subject; they are counted anew from here.
    Review {
        /// Whose.
        subject: Subject,
        /// What came of it.
        why: String,
    },
    /// Has cleared up a passage in doubt, a conflict, or another thing on the list of the day.
    Settle {
        /// The passage, or the event that put it there.
        of: String,
        /// Of a passage in doubt: whether it crossed.
        crossed: bool,
        /// How that is known.
        why: String,
    },
}

/// Something in a muster.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(tag = "do", rename_all = "snake_case", deny_unknown_fields)]
pub enum MusterAct {
    /// A person is at a muster point.
    CheckIn {
        /// Which muster.
        muster: String,
        /// Who.
        person: PersonRef,
        /// Where.
        point: String,
    },
    /// A warden accounts for a row of the list.
    Safe {
        /// Which muster.
        muster: String,
        /// Number of the row, from 0.
        row: u32,
        /// In his words.
        why: String,
    },
    /// A warden takes that back.
    NotSafe {
        /// Which muster.
        muster: String,
        /// Number of the row, from 0.
        row: u32,
        /// In his words.
        why: String,
    },
    /// Ends it.
    End {
        /// Which muster.
        muster: String,
        /// In his words; with rows unaccounted for, what becomes of them.
        why: String,
    },
}

/// Something of dangerous goods.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(tag = "do", rename_all = "snake_case", deny_unknown_fields)]
pub enum GoodsAct {
    /// Answers an item of the checks of a waybill (五必查).
    Check {
        /// The waybill.
        waybill: WaybillNo,
        /// The item.
        item: String,
        /// What was found.
        passed: bool,
        /// About it; needed where it failed.
        #[serde(default)]
        note: String,
    },
    /// Enters a waybill by hand, from paper.
    Enter {
        /// The waybill; its persons by the references that they have here.
        waybill: Box<Waybill>,
        /// Why.
        why: String,
    },
    /// Publishes how many places a company has for loading and unloading.
    Quota {
        /// The company.
        company: CompanyId,
        /// How many.
        places: u32,
    },
    /// Dispatches a parked vehicle to its place.
    Dispatch {
        /// The vehicle.
        plate: Plate,
        /// Where to.
        zone: ZoneId,
    },
    /// Calls a dispatched vehicle back.
    Recall {
        /// The vehicle.
        plate: Plate,
    },
    /// Loading or unloading is done.
    WorkDone {
        /// The vehicle.
        plate: Plate,
    },
    /// A vehicle stands in a bay.
    BayTaken {
        /// The bay.
        bay: BayId,
        /// The vehicle.
        plate: Plate,
    },
    /// A bay is empty.
    BayEmpty {
        /// The bay.
        bay: BayId,
    },
    /// Hands a positioning terminal out.
    TerminalOut {
        /// The terminal.
        terminal: TerminalId,
        /// To which vehicle.
        plate: Plate,
    },
    /// Takes it back.
    TerminalBack {
        /// The terminal.
        terminal: TerminalId,
    },
}

/// What came of an act, in words for who asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Done {
    /// Chinese.
    pub zh: String,
    /// English.
    pub en: String,
}

impl Done {
    pub(super) fn new(zh: impl Into<String>, en: impl Into<String>) -> Self {
        Self { zh: zh.into(), en: en.into() }
    }
}

/// Word of an act, what it is done to, and what is said with it: for the audit.
type Described = (&'static str, String, String);

impl GateAct {
    fn described(&self) -> Described {
        match self {
            Self::Ticket(TicketAct { ticket, answer, why }) => {
                ("ticket", ticket.clone(), format!("{}；{why}", answer.as_str()))
            }
            Self::Account(act) => act.described(),
            Self::Muster(act) => act.described(),
            Self::Goods(act) => act.described(),
        }
    }
}

impl AccountAct {
    fn described(&self) -> Described {
        match self {
            Self::Count { zones, list, why } => {
                let names = zones.keys().map(ToString::to_string).collect::<Vec<_>>().join(", ");
                let listed = if list.is_some() { format!("，by name: {}", self.n_listed()) } else { String::new() };
                ("count", names, format!("{}{listed}；{why}", told(zones)))
            }
            Self::Correct { zone, stock, by, subject, why } => {
                let subject = subject.as_ref().map(|subject| format!(" {subject}")).unwrap_or_default();
                ("correct_count", zone.to_string(), format!("{} {by:+}{subject}；{why}", stock_word(*stock)))
            }
            Self::Void { event, why } => ("void", event.clone(), why.clone()),
            Self::Review { subject, why } => ("review", subject.to_string(), why.clone()),
            Self::Settle { of, crossed, why } => {
                ("settle", of.clone(), format!("{}；{why}", if *crossed { "crossed" } else { "not crossed" }))
            }
        }
    }

    fn n_listed(&self) -> usize {
        match self {
            Self::Count { list: Some(list), .. } => list.values().map(BTreeSet::len).sum(),
            Self::Count { list: None, .. }
            | Self::Correct { .. }
            | Self::Void { .. }
            | Self::Review { .. }
            | Self::Settle { .. } => 0,
        }
    }
}

impl MusterAct {
    fn described(&self) -> Described {
        match self {
            Self::CheckIn { muster, person, point } => ("muster_check_in", muster.clone(), format!("{person} {point}")),
            Self::Safe { muster, row, why } => ("muster_safe", muster.clone(), format!("{row}；{why}")),
            Self::NotSafe { muster, row, why } => ("muster_not_safe", muster.clone(), format!("{row}；{why}")),
            Self::End { muster, why } => ("muster_end", muster.clone(), why.clone()),
        }
    }
}

impl GoodsAct {
    fn described(&self) -> Described {
        match self {
            Self::Check { waybill, item, passed, note } => {
                let found = if *passed { "passed" } else { "failed" };
                ("check", waybill.to_string(), format!("{item} {found}；{note}"))
            }
            Self::Enter { waybill, why } => {
                let (number, plate, state) = (waybill.number.to_string(), &waybill.tractor, waybill.state);
                ("waybill", number, format!("entered by hand: {state} {plate}；{why}"))
            }
            Self::Quota { company, places } => ("quota", company.to_string(), places.to_string()),
            Self::Dispatch { plate, zone } => ("dispatch", plate.to_string(), zone.to_string()),
            Self::Recall { plate } => ("recall", plate.to_string(), String::new()),
            Self::WorkDone { plate } => ("work_done", plate.to_string(), String::new()),
            Self::BayTaken { bay, plate } => ("bay_taken", bay.to_string(), plate.to_string()),
            Self::BayEmpty { bay } => ("bay_empty", bay.to_string(), String::new()),
            Self::TerminalOut { terminal, plate } => ("terminal_out", terminal.to_string(), plate.to_string()),
            Self::TerminalBack { terminal } => ("terminal_back", terminal.to_string(), String::new()),
        }
    }
}

impl Gates {
    /// Does what somebody wants, or says why not; both are in the audit.
    ///
    /// # Errors
    /// Words for who asked; nothing has changed then.
    pub fn handle_act(&mut self, act: GateAct, actor: &Actor, now: Now) -> Result<Done, Refused> {
        let (action, object, detail) = act.described();
        let listed = if let GateAct::Account(act) = &act { act.n_listed() } else { 0 };
        let done = check_size(&object, &detail, listed).and_then(|()| self.act(act, actor, now));
        let (result, detail) = match &done {
            Ok(_) => (AuditResult::Done, detail),
            Err(refused) => (AuditResult::Refused, refused.to_string()),
        };
        let actor = Actor { roles: BTreeSet::new(), ..actor.clone() };
        let (action, object) = (action.to_owned(), cut(&object, MAX_NAME));
        let deed = Deed { actor, action, object, before: None, after: None, result, detail };
        self.outputs.push_back(Output::Deed(Box::new(deed)));
        done
    }

    fn act(&mut self, act: GateAct, actor: &Actor, now: Now) -> Result<Done, Refused> {
        match act {
            GateAct::Ticket(TicketAct { ticket, answer, why }) => {
                self.handle_answer(&ticket, answer, actor, &why, now)?;
                let (zh, en) = (answer.zh(), answer.as_str());
                Ok(Done::new(format!("已答复：{zh}，见 parkgate lanes"), format!("answered: {en}; see parkgate lanes")))
            }
            GateAct::Account(act) => self.account_act(act, actor, now),
            GateAct::Muster(act) => self.muster_act(act, actor, now),
            GateAct::Goods(act) => self.goods_act(act, actor, now),
        }
    }
}

/// Refuses who has none of these roles.
fn allowed(actor: &Actor, roles: &[Role]) -> Result<(), Refused> {
    if actor.name.trim().is_empty() {
        return Err(Refused::new("须写明操作人", "say who does this"));
    }
    if roles.iter().any(|role| actor.has(*role)) {
        return Ok(());
    }
    let zh = roles.iter().map(|role| format!("“{}”", role.zh())).collect::<Vec<_>>().join("或");
    let en = roles.iter().map(|role| format!("`{}`", role.as_str())).collect::<Vec<_>>().join(" or ");
    Err(Refused::new(format!("需要角色{zh}"), format!("this needs the role {en}")))
}

fn check_size(object: &str, detail: &str, listed: usize) -> Result<(), Refused> {
    if object.chars().count() > MAX_NAME {
        return Err(Refused::new(
            format!("编号不超过 {MAX_NAME} 字"),
            format!("at most {MAX_NAME} characters of a name"),
        ));
    }
    if detail.chars().count() > MAX_WORDS + MAX_NAME {
        return Err(Refused::new(
            format!("说明不超过 {MAX_WORDS} 字"),
            format!("at most {MAX_WORDS} characters of words"),
        ));
    }
    if listed > MAX_LIST {
        return Err(Refused::new(format!("名单不超过 {MAX_LIST} 项"), format!("at most {MAX_LIST} names in a list")));
    }
    Ok(())
}

fn cut(text: &str, most: usize) -> String {
    text.chars().take(most).collect()
}

fn name(text: &str, zh: &str, en: &str) -> Result<(), Refused> {
    if text.trim().is_empty() { Err(Refused::new(format!("须写明{zh}"), format!("name the {en}"))) } else { Ok(()) }
}

fn stock_word(stock: Stock) -> String {
    match stock {
        Stock::Persons => "persons".to_owned(),
        Stock::Vehicles(class) => class.to_string(),
    }
}

/// Returns a count in one line, for the audit.
fn told(zones: &BTreeMap<ZoneId, Stocks>) -> String {
    let one = |(zone, stocks): (&ZoneId, &Stocks)| {
        let vehicles = stocks.vehicles.iter().map(|(class, n)| format!(" {class} {n}")).collect::<String>();
        format!("{zone}: persons {}{vehicles}", stocks.persons)
    };
    zones.iter().map(one).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests;
