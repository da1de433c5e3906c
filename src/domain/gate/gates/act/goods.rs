//! What people tell of dangerous goods: checks, places, dispatch, bays, terminals.

use super::{Done, Gates, GoodsAct, allowed, name};
use crate::domain::actor::{Actor, Refused, Role};
use crate::domain::gate::hazmat::book::Refusal;
use crate::domain::gate::hazmat::lot::BayStatus;
use crate::domain::gate::hazmat::waybill::Waybill;
use crate::domain::gate::hazmat::{NotSent, TerminalRefusal};
use crate::domain::gate::plate::Plate;
use crate::domain::gate::word::{BayId, WaybillNo, ZoneId};
use crate::domain::time::Now;

/// Who looks at a vehicle: the guard at the gate, the enterprise's loader, the head of the shift.
const LOOKS: &[Role] = &[Role::Guard, Role::Operator, Role::Supervisor];
/// Who speaks for a receiving enterprise, and for the dispatch.
const DISPATCHES: &[Role] = &[Role::Operator, Role::Supervisor];
/// Who hands out terminals at the gate.
const HANDS_OUT: &[Role] = &[Role::Guard, Role::Supervisor];

impl Gates {
    pub(super) fn goods_act(&mut self, act: GoodsAct, actor: &Actor, now: Now) -> Result<Done, Refused> {
        let by = actor.name.clone();
        match act {
            GoodsAct::Check { waybill, item, passed, note } => {
                allowed(actor, LOOKS)?;
                self.check(&waybill, &item, passed, (&by, &note), now)
            }
            GoodsAct::Enter { waybill, why } => self.enter(*waybill, &why, actor, now),
            GoodsAct::Quota { company, places } => {
                allowed(actor, DISPATCHES)?;
                name(company.as_str(), "企业", "company")?;
                self.handle_hazmat(|hazmat| hazmat.handle_quota(&company, places, now), now);
                let free = self.hazmat.places_free(&company, now.mono).unwrap_or(0);
                Ok(Done::new(format!("已公布 {places} 个，空余 {free}"), format!("{places} published, {free} free")))
            }
            GoodsAct::Dispatch { plate, zone } => {
                allowed(actor, DISPATCHES)?;
                let sent = self.handle_hazmat(|hazmat| hazmat.handle_dispatch(&plate, &zone, &by, now), now);
                sent.map_err(|why| not_sent(&why, &plate, &zone))?;
                Ok(Done::new(format!("{plate} 已调度至“{zone}”"), format!("{plate} is dispatched to `{zone}`")))
            }
            GoodsAct::Recall { plate } => {
                allowed(actor, DISPATCHES)?;
                match self.handle_hazmat(|hazmat| hazmat.handle_recall(&plate, &by, now), now) {
                    true => Ok(Done::new(format!("{plate} 已召回"), format!("{plate} is called back"))),
                    false => {
                        Err(Refused::new(format!("{plate} 不在途"), format!("{plate} is not under way to its place")))
                    }
                }
            }
            GoodsAct::WorkDone { plate } => {
                allowed(actor, DISPATCHES)?;
                match self.handle_hazmat(|hazmat| hazmat.handle_done(&plate, &by, now), now) {
                    true => Ok(Done::new(format!("{plate} 装卸完毕"), format!("{plate} is loaded or unloaded"))),
                    false if self.hazmat.visit(&plate).is_some() => {
                        Ok(Done::new(format!("{plate} 此前已完毕"), format!("{plate} was done already")))
                    }
                    false => Err(not_inside(&plate)),
                }
            }
            GoodsAct::BayTaken { bay, plate } => {
                allowed(actor, LOOKS)?;
                let status = self.handle_hazmat(|hazmat| hazmat.handle_parked(&bay, &plate, now), now);
                let status = status.ok_or_else(|| no_bay(&bay))?;
                let wrong = status == BayStatus::Wrong;
                let (zh, en) =
                    if wrong { ("，非指定泊位", ", not the bay that it was sent to") } else { ("", "") };
                Ok(Done::new(format!("泊位 {bay} 停 {plate}{zh}"), format!("{plate} stands in bay {bay}{en}")))
            }
            GoodsAct::BayEmpty { bay } => {
                allowed(actor, LOOKS)?;
                if !self.hazmat.lot().view().iter().any(|view| view.bay == bay) {
                    return Err(no_bay(&bay));
                }
                self.handle_hazmat(|hazmat| hazmat.handle_bay_empty(&bay, now), now);
                Ok(Done::new(format!("泊位 {bay} 已空"), format!("bay {bay} is empty")))
            }
            GoodsAct::TerminalOut { terminal, plate } => {
                allowed(actor, HANDS_OUT)?;
                name(terminal.as_str(), "终端", "terminal")?;
                let out = terminal.clone();
                let done = self.handle_hazmat(|hazmat| hazmat.handle_terminal_out(out, &plate, now), now);
                done.map_err(|why| refused_terminal(&why))?;
                Ok(Done::new(format!("终端 {terminal} 已发给 {plate}"), format!("terminal {terminal} is with {plate}")))
            }
            GoodsAct::TerminalBack { terminal } => {
                allowed(actor, HANDS_OUT)?;
                let done = self.handle_hazmat(|hazmat| hazmat.handle_terminal_back(&terminal, now), now);
                let plate = done.map_err(|why| refused_terminal(&why))?;
                Ok(Done::new(
                    format!("{plate} 已归还终端 {terminal}"),
                    format!("{plate} gave terminal {terminal} back"),
                ))
            }
        }
    }

    /// A waybill from paper. One that the vehicle may come with stands for what the regulator verified, so that the head of the
    /// shift answers for it; what is to be reviewed first the enterprise may enter.
    fn enter(&mut self, waybill: Waybill, why: &str, actor: &Actor, now: Now) -> Result<Done, Refused> {
        let state = waybill.state;
        if state.is_over() {
            let zh = format!("不能录入“{}”的运单", state.zh());
            return Err(Refused::new(zh, format!("a waybill that is `{state}` is not entered")));
        }
        allowed(actor, if state.is_ready() { &[Role::Supervisor] } else { DISPATCHES })?;
        if why.trim().is_empty() {
            return Err(Refused::new("须填写原因", "say why"));
        }
        let persons = std::iter::once((&waybill.driver, "驾驶员", "driver"));
        let persons = persons.chain(waybill.escort.as_ref().map(|escort| (escort, "押运员", "escort")));
        for (person, zh, en) in persons {
            if self.register.person(person).is_none() {
                let zh = format!("{zh}不在登记册：请先导入");
                return Err(Refused::new(zh, format!("the {en} is not in the register: import him first")));
            }
        }
        let number = waybill.number.clone();
        let done = Done::new(
            format!("运单 {number} 已录入，“{}”", state.zh()),
            format!("waybill {number} is entered, `{state}`"),
        );
        if self.hazmat.waybills().get(&number).is_some_and(|entry| entry.waybill == waybill) {
            return Ok(done);
        }
        let by = actor.name.clone();
        let put = self.handle_hazmat(|hazmat| hazmat.handle_waybill(waybill, &by, now), now);
        put.map_err(|refusal| refused(&number, &refusal))?;
        Ok(done)
    }

    fn check(
        &mut self,
        waybill: &WaybillNo,
        item: &str,
        passed: bool,
        (by, note): (&str, &str),
        now: Now,
    ) -> Result<Done, Refused> {
        if !passed && note.trim().is_empty() {
            return Err(Refused::new("不合格须写明情况", "say what is wrong where an item fails"));
        }
        let entry = self.hazmat.waybills().get(waybill).ok_or_else(|| unknown(waybill))?;
        if entry.waybill.state.is_over() {
            let state = entry.waybill.state;
            return Err(Refused::new(format!("运单已“{}”", state.zh()), format!("the waybill is `{state}`")));
        }
        let items = &self.hazmat.rules().items;
        let Some(known) = items.iter().find(|known| known.id == item).cloned() else {
            let all = items.iter().map(|item| item.id.as_str()).collect::<Vec<_>>().join(", ");
            return Err(Refused::new(
                format!("没有检查项“{item}”，应为 {all}"),
                format!("there is no item `{item}`: write one of {all}"),
            ));
        };
        let before = self.hazmat.checks().of(waybill).and_then(|answers| answers.get(item));
        let same = before.is_some_and(|old| (old.passed, old.by.as_str(), old.note.as_str()) == (passed, by, note));
        if !same {
            let done = self.handle_hazmat(|hazmat| hazmat.handle_check(waybill, item, passed, by, note, now), now);
            done.map_err(|refusal| refused(waybill, &refusal))?;
        }
        let (failed, open) = self.hazmat.checks().standing(&self.hazmat.rules().items, Some(waybill));
        let (zh, en) = if passed { ("合格", "passed") } else { ("不合格", "failed") };
        Ok(Done::new(
            format!("{}：{zh}；未查 {} 项，不合格 {} 项", known.zh, open.len(), failed.len()),
            format!("{}: {en}; {} not answered, {} failed", known.en, open.len(), failed.len()),
        ))
    }
}

fn unknown(waybill: &WaybillNo) -> Refused {
    Refused::new(format!("没有运单 {waybill}"), format!("there is no waybill {waybill}"))
}

fn no_bay(bay: &BayId) -> Refused {
    Refused::new(format!("没有泊位 {bay}"), format!("there is no bay {bay}"))
}

fn not_inside(plate: &Plate) -> Refused {
    Refused::new(format!("{plate} 不在园内"), format!("{plate} is not inside"))
}

/// Returns in words why something about a waybill was refused.
fn refused(waybill: &WaybillNo, refusal: &Refusal) -> Refused {
    match refusal {
        Refusal::Faulty { zh, en } => Refused::new(zh.clone(), en.clone()),
        Refusal::Unknown => unknown(waybill),
        Refusal::NumberReused => Refused::new("该运单号曾用于另一运单", "the number belonged to another waybill"),
        Refusal::ManifestReused => Refused::new("该联单属于另一运单", "the manifest belongs to another waybill"),
        Refusal::Backwards { is, to } => Refused::new(
            format!("运单处于“{}”，不能成为“{}”", is.zh(), to.zh()),
            format!("the waybill is in `{is}`, and cannot become `{to}`"),
        ),
        Refusal::Frozen => {
            Refused::new("运单已用于入园，不可更改", "the waybill was used for an entry: it is not changed any more")
        }
        Refusal::Full => Refused::new("运单簿已满", "the book of waybills is full"),
        Refusal::Used => Refused::new("运单已用于另一次入园", "the waybill was used for another entry"),
        Refusal::SamePerson => Refused::new(
            "企业审核与园区核验须由两人分别进行",
            "the enterprise's review and the regulator's verification take two persons",
        ),
    }
}

fn not_sent(why: &NotSent, plate: &Plate, zone: &ZoneId) -> Refused {
    match why {
        NotSent::NotInside => not_inside(plate),
        NotSent::WaybillMissing => {
            Refused::new("无运单入园，不知去向", "it came in without a waybill: nobody knows where it goes")
        }
        NotSent::NotParked => {
            Refused::new("未停入泊位，先停车后调度", "it is not parked in its bay: parking comes first")
        }
        NotSent::AlreadyDispatched => Refused::new("已调度", "it is dispatched already"),
        NotSent::WrongZone => {
            Refused::new(format!("“{zone}”不凭调度进入"), format!("`{zone}` is not entered by dispatch"))
        }
        NotSent::PlacesUnknown => {
            Refused::new("收货企业未公布或未及时公布装卸位", "its host has published no places, or not lately")
        }
        NotSent::NoUnloadingSlot => Refused::new("收货企业没有空余装卸位", "every place of its host is taken"),
    }
}

fn refused_terminal(why: &TerminalRefusal) -> Refused {
    match why {
        TerminalRefusal::StillOut { with } => {
            Refused::new(format!("该终端还在 {with}"), format!("{with} has not given it back"))
        }
        TerminalRefusal::NotOut => Refused::new("该终端未发出", "it was not handed out"),
    }
}
