//! The lists that the platform fills by signed commands: tables of the register, and waybills. Who may is configured; what a list
//! came to is the answer to its command, and the last part's where it came in parts.

use std::collections::{BTreeMap, BTreeSet};

use tokio::sync::{mpsc, oneshot};

use super::engine::Request;
use super::pending::OnDisk;
use super::{gates, register};
use crate::domain::actor::{Actor, Via};
use crate::domain::audit::{AuditResult, Deed};
use crate::domain::gate::hazmat::book::{Taken, Update};
use crate::domain::gate::hazmat::named::Named;
use crate::domain::gate::parts::{Added, Assembly, Part};
use crate::domain::gate::register::change::Message;
use crate::uplink::command::answer;

/// State, code and detail of an answer.
type Word = (&'static str, &'static str, Option<String>);

/// See the module.
pub(super) struct Lists {
    register: Option<mpsc::Sender<register::Asked>>,
    requests: mpsc::Sender<Request>,
    /// Who may fill them.
    issuers: BTreeSet<String>,
    tables: Assembly<Message>,
    waybills: Assembly<Update<Named>>,
}

impl Lists {
    /// `register`: the task of the register; `None` where the gateway has no gates.
    pub(super) fn new(
        register: Option<mpsc::Sender<register::Asked>>,
        requests: mpsc::Sender<Request>,
        issuers: BTreeSet<String>,
    ) -> Self {
        Self { register, requests, issuers, tables: Assembly::default(), waybills: Assembly::default() }
    }

    /// Takes a table of the register, or a part of one; returns the answer.
    pub(super) async fn register(&mut self, id: &str, issuer: &str, part: Part<Message>) -> String {
        let word = match self.task_for(issuer) {
            Err(word) => word,
            Ok(task) => match self.tables.add(part) {
                Added::Waits { here, of } => waits(here, of),
                Added::Whole(message) => table(&task, message).await,
            },
        };
        told(id, "register", word)
    }

    /// Takes waybills, or a part of them; returns the answer.
    pub(super) async fn waybills(&mut self, id: &str, issuer: &str, part: Part<Update<Named>>) -> String {
        let word = match self.task_for(issuer) {
            Err(word) => word,
            Ok(task) => match self.waybills.add(part) {
                Added::Waits { here, of } => waits(here, of),
                Added::Whole(update) => match resolved(&task, update).await {
                    Ok((update, strangers)) => self.update(issuer, update, strangers).await,
                    Err(word) => word,
                },
            },
        };
        told(id, "waybills", word)
    }

    fn task_for(&self, issuer: &str) -> Result<mpsc::Sender<register::Asked>, Word> {
        if !self.issuers.contains(issuer) {
            return Err(("failed", "not_enabled", Some(issuer.to_owned())));
        }
        self.register.clone().ok_or(("failed", "no_gates", None))
    }

    async fn update(&self, issuer: &str, update: Update, strangers: usize) -> Word {
        let (to, n) = (update.to, update.put.len());
        let (taken_tx, taken) = oneshot::channel();
        let act: gates::HazmatAct = Box::new(move |hazmat, now| drop(taken_tx.send(hazmat.handle_update(update, now))));
        drop(self.requests.send(Request::Gates(gates::Ask::Hazmat(act))).await);
        let (mut word, result): (Word, _) = match taken.await {
            Ok(Taken::Applied(refused)) => {
                let mut detail =
                    format!("version {to}: {} waybills, {} refused", n.saturating_sub(refused.len()), refused.len());
                if strangers > 0 {
                    detail.push_str(&format!(", {strangers} persons not in the register"));
                }
                (("done", "ok", Some(detail)), AuditResult::Done)
            }
            Ok(Taken::Old) => (("failed", "refused", Some(format!("version {to} is not newer"))), AuditResult::Refused),
            Ok(Taken::Gap { have }) => (("failed", "whole_needed", Some(have.to_string())), AuditResult::Refused),
            Err(_) => (("failed", "stopping", None), AuditResult::Failed),
        };
        let deed = Deed {
            actor: Actor { name: issuer.to_owned(), via: Via::Platform, roles: BTreeSet::new() },
            action: "waybills".into(),
            object: format!("version {to}"),
            before: None,
            after: None,
            result,
            detail: word.2.clone().unwrap_or_default(),
        };
        // The platform hears of it when it is on record here.
        let (entered_tx, entered) = oneshot::channel();
        drop(self.requests.send(Request::Entered(Box::new(deed), entered_tx)).await);
        let (_, en) = entered.await.unwrap_or(OnDisk(false)).words();
        word.2 = word.2.map(|detail| detail + en);
        word
    }
}

/// Finds the persons that waybills name by document; returns how many of them the register does not have. Such a waybill is
/// taken all the same: a list is whole or it is not, and nobody matches its driver until it is sent again.
async fn resolved(task: &mpsc::Sender<register::Asked>, update: Update<Named>) -> Result<(Update, usize), Word> {
    let documents = update.documents();
    if documents.is_empty() {
        return Ok((update.resolved(&BTreeMap::new()), 0));
    }
    let (answer, found) = oneshot::channel();
    drop(task.send(register::Asked::Refs(documents, answer)).await);
    match found.await {
        Ok(Ok(found)) => Ok((update.resolved(found.by_document()), found.strangers())),
        Ok(Err(why)) => Err(("failed", "refused", Some(why))),
        Err(_) => Err(("failed", "stopping", None)),
    }
}

async fn table(task: &mpsc::Sender<register::Asked>, message: Message) -> Word {
    let (answer_tx, done) = oneshot::channel();
    drop(task.send(register::Asked::Message(Box::new(message), answer_tx)).await);
    match done.await {
        Ok(Ok(register::Told::InForce { rev, rows })) => {
            ("done", "ok", Some(format!("revision {rev}: {rows} rows changed")))
        }
        Ok(Ok(register::Told::Held)) => ("done", "held", None),
        Ok(Ok(register::Told::AskWhole { table, have })) => ("failed", "whole_needed", Some(format!("{table} {have}"))),
        Ok(Err(why)) => ("failed", "refused", Some(why)),
        Err(_) => ("failed", "stopping", None),
    }
}

fn waits(here: usize, of: u32) -> Word {
    ("done", "part", Some(format!("{here}/{of}")))
}

fn told(id: &str, name: &str, (state, code, detail): Word) -> String {
    answer(id, name, state, code, detail.as_deref())
}
