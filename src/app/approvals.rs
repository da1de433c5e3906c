//! What the control socket asks of the register and of waybills: files, a look, the approvals that take a person
//! (`domain.md`, rules 10 and 33). Each is in the audit, done or refused.

use tokio::sync::{mpsc, oneshot};

use super::actions::{no_gates, send};
use super::control::Desk;
use super::engine::Request;
use super::{gates, register};
use crate::control::Line;
use crate::control::ask::DidLine;
use crate::domain::actor::{Actor, Refused};
use crate::domain::audit::{AuditResult, Deed};
use crate::domain::gate::hazmat::book::{Entry, Refusal};
use crate::domain::gate::hazmat::waybill::WaybillState;
use crate::domain::gate::register::look::Look;
use crate::domain::gate::register::permit::Approve;
use crate::domain::gate::word::WaybillNo;

/// Waybills that are listed at most: those of a week, of which some days' are not over.
const MAX_LISTED: usize = 2_000;

impl Desk {
    /// Has files of the register imported; what they say of its rows goes first, why nothing was imported last.
    pub(super) async fn import(&self, files: register::Files, lines: &mpsc::Sender<Line>) -> Result<(), String> {
        self.audited().await?;
        let line = self.of_register(|answer| register::Asked::Files(Box::new(files), answer)).await?;
        send(lines, Line::Imported(Box::new(line))).await
    }

    /// Looks at the register.
    pub(super) async fn register(&self, look: Look, lines: &mpsc::Sender<Line>) -> Result<(), String> {
        let looked = self.of_register(|answer| register::Asked::Look(look, answer)).await?;
        for line in looked.lines() {
            send(lines, Line::Told(Box::new(line?))).await?;
        }
        Ok(())
    }

    /// Decides a stage of a permit's approval.
    pub(super) async fn approve(&self, asked: Approve, by: Actor, lines: &mpsc::Sender<Line>) -> Result<(), String> {
        self.audited().await?;
        let id = asked.permit.to_string();
        let (stage, on_disk) = self.of_register(|answer| register::Asked::Approve(Box::new(asked), by, answer)).await?;
        let (zh, en) = on_disk.words();
        let (zh, en) = (format!("预约现为“{}”{zh}", stage.zh()), format!("the permit is in `{stage}` now{en}"));
        send(lines, Line::Did(DidLine { zh, en, id: Some(id) })).await
    }

    async fn of_register<T>(
        &self,
        asked: impl FnOnce(oneshot::Sender<Result<T, String>>) -> register::Asked,
    ) -> Result<T, String> {
        let Some(register) = &self.register else {
            return Err("本网关没有配置车道，没有登记册；请停网关后再试，或先配置车道 / \
                        this gateway has no lanes and no register: stop it and try again, or configure lanes first"
                .to_owned());
        };
        let stopping = || "网关正在停止 / the gateway is stopping".to_owned();
        let (answer, done) = oneshot::channel();
        register.send(asked(answer)).await.map_err(|_| stopping())?;
        done.await.map_err(|_| stopping())?
    }

    /// Lists the waybills that are not over.
    pub(super) async fn waybills(&self, lines: &mpsc::Sender<Line>) -> Result<(), String> {
        let (answer, listed) = oneshot::channel();
        let act: gates::HazmatAct = Box::new(move |hazmat, _| {
            let open = hazmat.waybills().iter().filter(|entry| !entry.waybill.state.is_over());
            let open: Vec<Entry> = open.take(MAX_LISTED).cloned().collect();
            drop(answer.send(open));
        });
        drop(self.requests.send(Request::Gates(gates::Ask::Hazmat(act))).await);
        for entry in listed.await.map_err(|_| no_gates())? {
            let told = serde_json::to_value(&entry).map_err(|error| error.to_string())?;
            send(lines, Line::Told(Box::new(told))).await?;
        }
        Ok(())
    }

    /// Takes a waybill one step on, or gives it up.
    pub(super) async fn waybill(
        &self,
        (number, to, why): (WaybillNo, WaybillState, String),
        by: Actor,
        lines: &mpsc::Sender<Line>,
    ) -> Result<(), String> {
        self.audited().await?;
        let done = self.step(&number, to, &by.name).await;
        let (result, detail) = match &done {
            Ok(()) => (AuditResult::Done, format!("{to}; {why}")),
            Err(refused) => (AuditResult::Refused, refused.to_string()),
        };
        let (action, object) = ("waybill".to_owned(), number.to_string());
        let deed = Deed { actor: by, action, object, before: None, after: None, result, detail };
        let (zh, en) = self.entered(deed).await.words();
        done.map_err(|refused| refused.to_string())?;
        let (zh, en) = (format!("运单现为“{}”{zh}", to.zh()), format!("the waybill is in `{to}` now{en}"));
        send(lines, Line::Did(DidLine { zh, en, id: Some(number.to_string()) })).await
    }

    async fn step(&self, number: &WaybillNo, to: WaybillState, by: &str) -> Result<(), Refused> {
        // What is under way, and what has arrived, the platform and the passages tell.
        if matches!(to, WaybillState::Draft | WaybillState::InTransit | WaybillState::Completed) {
            return Err(Refused::new(
                format!("“{}”由平台和通行给出，不能人工置", to.zh()),
                format!("`{to}` is told by the platform and by passages, not by hand"),
            ));
        }
        let (answer, stepped) = oneshot::channel();
        let (of, by) = (number.clone(), by.to_owned());
        let act: gates::HazmatAct =
            Box::new(move |hazmat, now| drop(answer.send(hazmat.handle_step(&of, to, &by, now))));
        drop(self.requests.send(Request::Gates(gates::Ask::Hazmat(act))).await);
        let gone = |_| Refused::new("本网关没有车道，或正在停止", "this gateway has no lanes, or is stopping");
        stepped.await.map_err(gone)?.map_err(|refusal| refused(number, &refusal))
    }
}

fn refused(number: &WaybillNo, refusal: &Refusal) -> Refused {
    match refusal {
        Refusal::Unknown => Refused::new(format!("没有运单 {number}"), format!("there is no waybill {number}")),
        Refusal::Backwards { is, to } => Refused::new(
            format!("运单处于“{}”，下一步不是“{}”", is.zh(), to.zh()),
            format!("the waybill is in `{is}`; its next step is not `{to}`"),
        ),
        Refusal::SamePerson => Refused::new(
            "上一步由同一人审核，须由另一人核验",
            "the same person took its last step; another one must verify it",
        ),
        Refusal::Faulty { .. }
        | Refusal::NumberReused
        | Refusal::ManifestReused
        | Refusal::Frozen
        | Refusal::Full
        | Refusal::Used => Refused::new("运单不可更改", "the waybill cannot be changed"),
    }
}
