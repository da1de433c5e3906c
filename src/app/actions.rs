//! Answers what the control socket asks of alarms, site, daybook and gates, and puts into the audit what is done beside them.

use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use super::control::{Desk, may_ask};
use super::engine::{Request, unaudited};
use super::gates;
use super::pending::OnDisk;
use crate::buffer::Store;
use crate::control::ask::{DidLine, LaneAct};
use crate::control::{Ask, Line};
use crate::domain::actor::{Actor, Refused};
use crate::domain::audit::{AuditResult, Deed};
use crate::domain::codec;
use crate::domain::danger::Action;
use crate::domain::daybook::Date;
use crate::domain::document::DocumentKind;
use crate::domain::gate::gates::act::GateAct;
use crate::domain::gate::lane::Hand;
use crate::domain::gate::register::look::Look;
use crate::domain::gate::word::LaneId;
use crate::domain::record::{Body, Stream};
use crate::domain::registry::Registry;
use crate::domain::time::Timestamp;

/// Numbers of the report stream that are searched for a report, the newest first: a year of daily reports with their
/// corrections, duty and accidents between them.
const SEARCHED: u64 = 20_000;
/// Bytes read at a time.
const PAGE_BYTES: usize = 256 << 10;

impl Desk {
    pub(super) async fn alarms(&self, lines: &mpsc::Sender<Line>) -> Result<(), String> {
        for alarm in &self.snapshot().await?.danger.alarms {
            send(lines, Line::Alarm(Box::new(alarm.clone()))).await?;
        }
        Ok(())
    }

    pub(super) async fn danger(&self, lines: &mpsc::Sender<Line>) -> Result<(), String> {
        let mut told = serde_json::to_value(&self.snapshot().await?.danger).map_err(|error| error.to_string())?;
        // They have lines of their own.
        if let Some(members) = told.as_object_mut() {
            members.remove("alarms");
        }
        send(lines, Line::Told(Box::new(told))).await
    }

    pub(super) async fn report(&self, day: Option<&str>, lines: &mpsc::Sender<Line>) -> Result<(), String> {
        let date =
            match day {
                Some(day) => Some(Date::parse(day).ok_or_else(|| {
                    format!("`{day}` 不是日期，应如 2026-11-23 / `{day}` is no date such as 2026-11-23")
                })?),
                None => None,
            };
        let (answer, known) = oneshot::channel();
        drop(self.requests.send(Request::Report(date, answer)).await);
        let report = match known.await.ok().flatten() {
            Some(report) => Some(serde_json::to_value(report).map_err(|error| error.to_string())?),
            // Older than the daybook keeps: the records have it.
            None => find_report(&self.store, &self.snapshot().await?.registry, day).await?,
        };
        let report = report.ok_or_else(|| match day {
            Some(day) => format!("没有 {day} 的日报 / there is no report of {day}"),
            None => "还没有日报 / there is no report yet".to_owned(),
        })?;
        send(lines, Line::Told(Box::new(report))).await
    }

    pub(super) async fn act(&self, action: Action, caller: Actor, lines: &mpsc::Sender<Line>) -> Result<(), String> {
        let (answer, done) = oneshot::channel();
        let stopping = || "网关正在停止 / the gateway is stopping".to_owned();
        let request = Request::Act(Box::new(action), caller, answer);
        self.requests.send(request).await.map_err(|_| stopping())?;
        let done = done.await.map_err(|_| stopping())?.map_err(|refused| refused.to_string())?;
        send(lines, Line::Did(DidLine { zh: done.zh, en: done.en, id: done.id })).await
    }

    /// What stands at the gates, as JSON.
    pub(super) async fn lanes(&self, lines: &mpsc::Sender<Line>) -> Result<(), String> {
        let (answer, view) = oneshot::channel();
        drop(self.requests.send(Request::Gates(gates::Ask::View(answer))).await);
        let view = view.await.map_err(|_| no_gates())?;
        let told = serde_json::to_value(&*view).map_err(|error| error.to_string())?;
        send(lines, Line::Told(Box::new(told))).await
    }

    /// Does something at a lane; the lane puts it into the audit, done or refused.
    pub(super) async fn lane(
        &self,
        (lane, act, why): (String, LaneAct, String),
        caller: Actor,
        lines: &mpsc::Sender<Line>,
    ) -> Result<(), String> {
        let hand = hand(act, self.clock.now().wall);
        let act = gates::LaneAct { lane: LaneId::new(lane), hand, why };
        let (answer, done) = oneshot::channel();
        drop(self.requests.send(Request::Gates(gates::Ask::Lane(Box::new(act), caller, answer))).await);
        let on_disk = done.await.map_err(|_| no_gates())?.map_err(|refused| refused.to_string())?;
        let (zh, en) = on_disk.words();
        let (zh, en) = (format!("已受理，见 parkgate lanes{zh}"), format!("taken; see parkgate lanes{en}"));
        send(lines, Line::Did(DidLine { zh, en, id: None })).await
    }

    /// Tells the gates something; they put it into the audit, done or refused.
    pub(super) async fn gate(
        &self,
        act: Box<GateAct>,
        caller: Actor,
        lines: &mpsc::Sender<Line>,
    ) -> Result<(), String> {
        let (answer, done) = oneshot::channel();
        drop(self.requests.send(Request::Gates(gates::Ask::Act(act, caller, answer))).await);
        let done = done.await.map_err(|_| no_gates())?.map_err(|refused| refused.to_string())?;
        send(lines, Line::Did(DidLine { zh: done.zh, en: done.en, id: None })).await
    }

    /// Puts writes and loop tests, and whatever is refused for want of a role, into the audit before anything of it is done; the
    /// machines do so with their own actions.
    ///
    /// # Errors
    ///
    /// In words: it may not be asked, or its entry cannot be stored, and nothing privileged is done without.
    pub(super) async fn enter_deed(&self, ask: &Ask, caller: &Actor) -> Result<(), String> {
        let may = may_ask(ask, caller);
        let on_disk = match deed_of(ask, caller, &may) {
            Some(deed) => self.entered(deed).await,
            None => OnDisk(true),
        };
        may.map_err(|refused| refused.to_string())?;
        if on_disk.0 { Ok(()) } else { Err(unaudited().to_string()) }
    }

    /// Puts what a caller without a role wanted done into the audit, with how many such refusals have no entry.
    pub(super) async fn enter_refusal(&self, ask: Ask, caller: Actor, why: Refused, more: u32) {
        let why = if more == 0 {
            why
        } else {
            let Refused { zh, en } = why;
            Refused::new(format!("{zh}；此前另有 {more} 次未逐一记录"), format!("{en}; {more} more before it"))
        };
        let request = if let Ask::Act { action } = ask {
            Request::Refuse(Box::new(action), caller, why)
        } else {
            let Some(deed) = deed_of(&ask, &caller, &Err(why)) else { return };
            Request::Deed(Box::new(deed))
        };
        drop(self.requests.send(request).await);
    }

    /// Puts a deed into the audit; returns whether its entry is on the disk.
    pub(super) async fn entered(&self, deed: Deed) -> OnDisk {
        let (answer, on_disk) = oneshot::channel();
        drop(self.requests.send(Request::Entered(Box::new(deed), answer)).await);
        on_disk.await.unwrap_or(OnDisk(false))
    }

    /// Refuses what is privileged while entries of the audit cannot be stored.
    pub(super) async fn audited(&self) -> Result<(), String> {
        let (answer, on_disk) = oneshot::channel();
        drop(self.requests.send(Request::Audited(answer)).await);
        let on_disk = on_disk.await.unwrap_or(OnDisk(false));
        if on_disk.0 { Ok(()) } else { Err(unaudited().to_string()) }
    }
}

/// The deed that a request is, where it is one that no machine enters by itself.
fn deed_of(ask: &Ask, caller: &Actor, may: &Result<(), Refused>) -> Option<Deed> {
    let (action, object, detail) = match ask {
        Ask::Write { output, value, issuer, .. } => ("write", output.clone(), format!("{value}, {issuer}")),
        Ask::LoopTest { tag, issuer, .. } => ("loop_test", tag.clone(), issuer.clone()),
        Ask::WireLog { device, .. } => ("wire_log", device.clone(), String::new()),
        Ask::Documents { kind, .. } => ("export", kind.clone(), String::new()),
        Ask::Register { look: Look::Rows { table } } => ("export", table.to_string(), String::new()),
        Ask::Roll { muster, .. } => ("export", muster.clone().unwrap_or_else(|| "muster".to_owned()), String::new()),
        // What became of them is in the audit by themselves.
        Ask::Approve { permit, .. } if may.is_err() => ("permit", permit.clone(), String::new()),
        Ask::Waybill { number, .. } if may.is_err() => ("waybill", number.clone(), String::new()),
        Ask::Enter { waybill, .. } if may.is_err() => ("waybill", waybill.number.to_string(), String::new()),
        Ask::Lane { lane, .. } if may.is_err() => ("lane", lane.clone(), String::new()),
        Ask::Gate { .. } if may.is_err() => ("gate", String::new(), String::new()),
        // What it changes is in the audit by itself.
        Ask::Import { files, .. } if may.is_err() => {
            let names = files.iter().map(|file| file.name.as_str()).collect::<Vec<_>>().join(", ");
            ("register", names, String::new())
        }
        Ask::Read { .. }
        | Ask::Watch { .. }
        | Ask::Alarms
        | Ask::Danger
        | Ask::Report { .. }
        | Ask::Lanes
        | Ask::Lane { .. }
        | Ask::Gate { .. }
        | Ask::Checks { .. }
        | Ask::Enter { .. }
        | Ask::Register { .. }
        | Ask::Approve { .. }
        | Ask::Waybills
        | Ask::Waybill { .. }
        | Ask::Act { .. }
        | Ask::Import { .. } => return None,
    };
    let (result, detail) = match may {
        Ok(()) => (AuditResult::Done, detail),
        Err(refused) => (AuditResult::Refused, refused.to_string()),
    };
    let (actor, action) = (caller.clone(), action.to_owned());
    Some(Deed { actor, action, object, before: None, after: None, result, detail })
}

pub(super) fn no_gates() -> String {
    "本网关没有车道，或正在停止 / this gateway has no lanes, or is stopping".to_owned()
}

fn hand(act: LaneAct, now: Timestamp) -> Hand {
    match act {
        LaneAct::Open { emergency } => Hand::Open { emergency },
        LaneAct::Hold { for_ms } => Hand::HoldOpen { until: now.after(Duration::from_millis(for_ms)) },
        LaneAct::Release => Hand::EndHold,
        LaneAct::Refer => Hand::Refer,
        LaneAct::Refuse => Hand::Refuse,
        LaneAct::Close => Hand::Close,
        LaneAct::ResetFire => Hand::ResetFire,
        LaneAct::Arm => Hand::Arm { list_off: true },
        LaneAct::Test { for_ms } => Hand::Test { until: Some(now.after(Duration::from_millis(for_ms))) },
        LaneAct::EndTest => Hand::Test { until: None },
        LaneAct::Turn { to } => Hand::Turn(to),
        LaneAct::Trust { input } => Hand::TrustInput(input),
    }
}

pub(super) async fn send(lines: &mpsc::Sender<Line>, line: Line) -> Result<(), String> {
    lines.send(line).await.map_err(|_| "the client went away".to_owned())
}

/// Returns the newest version of the report of a day (of the newest day where none is named).
pub(super) async fn find_report(
    store: &Store,
    registry: &Registry,
    day: Option<&str>,
) -> Result<Option<serde_json::Value>, String> {
    let span = store.span(Stream::Report).await;
    let first = (*span.start()).max(span.end().saturating_sub(SEARCHED));
    let (mut next, mut found) = (first, None);
    while next <= *span.end() {
        let page = store.read(Stream::Report, next..=*span.end(), PAGE_BYTES).await.map_err(|e| e.to_string())?;
        if page.next <= next {
            break;
        }
        next = page.next;
        for entry in page.entries {
            let Ok(Body::Document { kind: DocumentKind::Report, json, .. }) = codec::decode(&entry.body, registry)
            else {
                continue;
            };
            let Ok(report) = serde_json::from_str::<serde_json::Value>(&json) else { continue };
            if is_of(&report, day) {
                found = Some(report);
            }
        }
    }
    Ok(found)
}

/// Whether a record of the report stream is a daily or nil report, of this day where one is named.
fn is_of(report: &serde_json::Value, day: Option<&str>) -> bool {
    let text = |name: &str| report.get(name).and_then(serde_json::Value::as_str);
    matches!(text("what"), Some("daily" | "nil")) && day.is_none_or(|day| text("day") == Some(day))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::actor::Via;

    #[test]
    fn what_somebody_without_a_role_wants_done_is_a_refused_deed_and_a_look_is_none() {
        let caller = Actor { name: "zhao".into(), via: Via::Machine, roles: [].into() };
        let may = Err(Refused::new("没有任何角色", "no role"));
        let lane = Ask::Lane { lane: "gate-1".into(), act: LaneAct::Release, why: "x".into() };
        let wire_log = Ask::WireLog { device: "plc".into(), for_ms: 1 };
        for (ask, action, object) in [(lane, "lane", "gate-1"), (wire_log, "wire_log", "plc")] {
            let deed = deed_of(&ask, &caller, &may).unwrap();
            let told = (deed.action.as_str(), deed.object.as_str(), deed.actor.name.as_str(), deed.result);
            assert_eq!(told, (action, object, "zhao", AuditResult::Refused));
            assert!(ask.is_audited() && deed.detail.contains("no role"));
        }
        assert!(deed_of(&Ask::Alarms, &caller, &may).is_none() && !Ask::Alarms.is_audited());
    }
}
