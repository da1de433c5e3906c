//! The register of the gates while the gateway runs: the one task that owns its store. It stores what the gates count, and makes
//! the changes that people and the platform ask for, each durable before it counts.
//!
//! ```text
//!  control socket ─ Import ──┐              ┌─ hold ──▶ engine (Gates): its revision; uses of permits wait
//!  platform ─ Message ───────┼─▶ this task ─┤  prepare against the same revision, store with fsync (own thread)
//!  every few hours ─ forget ─┘              ├─ deed, Register ──▶ engine: audited, in force
//!  engine ── uses of permits ──────────▲    └─ release ──▶ engine: what waited is counted
//! ```
//!
//! - **The engine waits for nothing**: storing is done on a blocking thread; what the engine does is a commit of a few rows in
//!   memory, or, of many, one exchange of the whole register for the one that was stored ([`gates::Next`]).
//! - **One history**: the gates' register and the stored one have the same revisions, because uses that the gates made are
//!   stored before a change is prepared, and none is made while one is.
//! - **A disk that fails** refuses changes in words; uses wait here in their order, at most [`MAX_BACKLOG`], and are tried again.
//!   They hold in the gates meanwhile, and only a restart would forget them.
//! - **What is damaged is told**: alarm `gateway.register`, while a table has lost rows, or uses cannot be stored.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::Path;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use super::engine::Request;
use super::gates::start::{Ends, RegisterEnds};
use super::pending::OnDisk;
use super::persons::{self, Found};
use super::{Stops, gates};
use crate::clock::Clock;
use crate::config::{Config, roster};
use crate::control::ask::{ImportedLine, SentFile};
use crate::domain::actor::Actor;
use crate::domain::audit::{AuditResult, Deed};
use crate::domain::gate::identity::IdNumber;
use crate::domain::gate::muster::print::Contact;
use crate::domain::gate::register::change::{Message, Prepared, Received};
use crate::domain::gate::register::draft::Private;
use crate::domain::gate::register::look::Look;
use crate::domain::gate::register::permit::{Approve, PermitStage};
use crate::domain::gate::register::row::Table;
use crate::domain::gate::register::rules::Rules;
use crate::domain::gate::word::PersonRef;
use crate::domain::time::{Mono, Now};
use crate::state::register::{Looked, RegisterStore};
use crate::supervise::Supervisor;

/// Changes that wait for the task: files and messages are few, and each is asked for by somebody who waits.
pub(super) const N_QUEUED: usize = 16;
/// Uses that wait for a disk: more passages than a park has in an hour. Beyond it they hold until the next start only, and until
/// then nothing else is changed.
const MAX_BACKLOG: usize = 4096;
/// How soon a disk that failed is tried again.
const RETRY: Duration = Duration::from_secs(10);
/// How long after the start it is looked first whom to forget: not while everything begins.
const FIRST_LOOK: Duration = Duration::from_secs(10 * 60);
/// How often it is looked whom to forget: what is kept is counted in days, and each forgetting writes the log anew.
const LOOK_EVERY: Duration = Duration::from_secs(6 * 3600);

/// What is asked of the task.
pub(super) enum Asked {
    /// Files of people.
    Files(Box<Files>, oneshot::Sender<Result<ImportedLine, String>>),
    /// Who is meant by these documents.
    Refs(BTreeSet<IdNumber>, oneshot::Sender<Result<Found, String>>),
    /// Names and telephones of these persons, for a list of people who are looked for. Whoever asks has put it into the audit.
    Contacts(BTreeSet<PersonRef>, oneshot::Sender<Result<BTreeMap<PersonRef, Contact>, String>>),
    /// A list of the platform, verified.
    Message(Box<Message>, oneshot::Sender<Result<Told, String>>),
    /// A stage of a permit's approval; answered with the stage that the permit is in then.
    Approve(Box<Approve>, Actor, oneshot::Sender<Result<(PermitStage, OnDisk), String>>),
    /// A look at what is held.
    Look(Look, oneshot::Sender<Result<Looked, String>>),
}

/// Files as they were sent.
#[derive(Debug)]
pub(super) struct Files {
    /// Names and sizes, in order.
    pub(super) files: Vec<SentFile>,
    /// Their contents, one after the other.
    pub(super) bytes: Vec<u8>,
    /// What they hold.
    pub(super) table: Option<Table>,
    /// Check only.
    pub(super) dry_run: bool,
    /// Take the good rows although others are refused.
    pub(super) partial: bool,
    /// Who sent them.
    pub(super) by: Actor,
}

/// What became of a list of the platform.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Told {
    /// It is in force.
    InForce {
        /// The register's revision.
        rev: u64,
        /// Rows that changed.
        rows: usize,
    },
    /// It was held already.
    Held,
    /// The whole list is needed; this version is held.
    AskWhole {
        /// Of which table.
        table: Table,
        /// 0: none.
        have: u64,
    },
}

/// What the task needs.
struct Parts {
    store: Option<RegisterStore>,
    changes: mpsc::Receiver<Prepared>,
    asked: mpsc::Receiver<Asked>,
    requests: mpsc::Sender<Request>,
    rules: Rules,
    clock: Clock,
}

/// A change that fits the register, with what belongs to it.
struct Change {
    prepared: Prepared,
    private: BTreeMap<PersonRef, Private>,
    forgotten: Vec<PersonRef>,
}

/// A change that is stored, as it goes into the audit and into the gates.
struct Stored {
    rev: u64,
    deed: Deed,
    next: gates::Next,
}

/// Starts the task where there are gates; returns by which it is reached.
pub(super) fn start(
    supervisor: &mut Supervisor,
    stops: &Stops,
    gates: Option<&mut Ends>,
    requests: &mpsc::Sender<Request>,
    config: &Config,
    clock: &Clock,
) -> Option<mpsc::Sender<Asked>> {
    let RegisterEnds { changes, store } = gates?.register.take()?;
    let (sender, asked) = mpsc::channel(N_QUEUED);
    let (requests, rules, clock) = (requests.clone(), config.register_rules(clock.now().wall), clock.clone());
    let parts = Parts { store, changes, asked, requests, rules, clock };
    supervisor.core("register", stops.engine.clone(), run(parts));
    Some(sender)
}

/// Runs until the engine has ended: what it counted last is stored.
async fn run(parts: Parts) -> Result<(), String> {
    let Parts { store, mut changes, mut asked, requests, rules, clock } = parts;
    let forget_at = clock.mono() + FIRST_LOOK;
    let mut keeper = Registrar { store, backlog: VecDeque::new(), lost: false, told: true, requests, rules, clock };
    keeper.tell().await;
    let (mut open, mut forget_at) = (true, forget_at);
    loop {
        let due = if keeper.backlog.is_empty() { forget_at } else { forget_at.min(keeper.clock.mono() + RETRY) };
        tokio::select! {
            change = changes.recv() => match change {
                Some(change) => {
                    keeper.waits(change);
                    keeper.store_uses().await;
                }
                None => break,
            },
            one = asked.recv(), if open => match one {
                Some(one) => keeper.answer(one, &mut changes).await,
                None => open = false,
            },
            () = keeper.clock.sleep_until(due) => {
                keeper.store_uses().await;
                forget_at = keeper.forget_when_due(forget_at, &mut changes).await;
            }
        }
        keeper.tell().await;
    }
    keeper.store_uses().await;
    Ok(())
}

/// The task's state.
struct Registrar {
    /// `None`: it could not be opened, or a thread that worked on it is gone.
    store: Option<RegisterStore>,
    /// Uses that are not stored yet, in order.
    backlog: VecDeque<Prepared>,
    /// Uses were dropped: the stored history has a hole, and takes nothing more before a restart.
    lost: bool,
    /// Whether all was well when it was last told.
    told: bool,
    requests: mpsc::Sender<Request>,
    rules: Rules,
    clock: Clock,
}

impl Registrar {
    async fn answer(&mut self, asked: Asked, changes: &mut mpsc::Receiver<Prepared>) {
        // Whoever asked may be gone; that is his business.
        match asked {
            Asked::Files(files, answer) => drop(answer.send(self.import(*files, changes).await)),
            Asked::Refs(ids, answer) => {
                drop(answer.send(self.with_store(move |store| persons::found(store, &ids)).await));
            }
            Asked::Contacts(of, answer) => {
                drop(answer.send(self.with_store(move |store| persons::contacts(store, &of)).await));
            }
            Asked::Message(message, answer) => drop(answer.send(self.receive(*message, changes).await)),
            Asked::Approve(approve, by, answer) => drop(answer.send(self.approve(*approve, by, changes).await)),
            Asked::Look(look, answer) => {
                let looked = self.with_store(move |store| store.look(&look).map_err(crate::cli::chain)).await;
                drop(answer.send(looked.and_then(|looked| looked)));
            }
        }
    }

    /// Imports files: read and checked as a whole first, then laid over the register.
    async fn import(&mut self, files: Files, changes: &mut mpsc::Receiver<Prepared>) -> Result<ImportedLine, String> {
        let Files { files, bytes, table, dry_run, partial, by } = files;
        let (rules, names) =
            (self.rules.clone(), files.iter().map(|file| file.name.as_str()).collect::<Vec<_>>().join(", "));
        let by = Actor { roles: BTreeSet::new(), ..by };
        let who = by.clone();
        let reading = tokio::task::spawn_blocking(move || {
            let mut rest = bytes.as_slice();
            let mut parts = Vec::new();
            for file in &files {
                let (one, after) = rest.split_at_checked(usize::try_from(file.bytes).unwrap_or(usize::MAX))?;
                parts.push((Path::new(file.name.as_str()), one));
                rest = after;
            }
            Some(roster::read_sent(parts, table, &rules))
        });
        let mut read =
            reading.await.map_err(|error| error.to_string())?.ok_or("文件不完整 / the files are not whole")?;
        let make = move |store: &RegisterStore, now: &Now| {
            let vault = store.persons();
            let (register, key) = (store.register(), vault.look_up_key());
            let fitted = vault.with_refs(|make_ref| roster::fit(&mut read, register, &key, make_ref, by));
            let roster::Fitted { set, private, n_taken } = fitted.map_err(crate::cli::chain)?;
            let mut line =
                ImportedLine { told: read.told(), rows: read.n_rows, taken: n_taken, ..ImportedLine::default() };
            let prepared = register.prepare(set, now).map_err(|refusal| refusal.words().to_string())?;
            (line.added, line.changed, _) = prepared.counts();
            let wanted = !dry_run && (partial || !read.is_refused());
            let change = wanted.then(|| Change { prepared, private, forgotten: Vec::new() });
            Ok((change, line))
        };
        let done = self.change(make, changes).await;
        if let Err(why) = &done {
            self.refused(who, ("register", names), why).await;
        }
        done.map(|(done, mut line)| {
            if let Some((rev, on_disk)) = done {
                line.rev = Some(rev);
                if !on_disk.0 {
                    let (zh, en) = on_disk.words();
                    line.told.push_str(&format!("{zh} /{en}\n"));
                }
            }
            line
        })
    }

    /// Takes a list of the platform.
    async fn receive(&mut self, message: Message, changes: &mut mpsc::Receiver<Prepared>) -> Result<Told, String> {
        let make = move |store: &RegisterStore, now: &Now| {
            let vault = store.persons();
            let (register, key) = (store.register(), vault.look_up_key());
            let received = vault.with_refs(|make_ref| register.receive(message, &key, make_ref));
            let received = received.map_err(crate::cli::chain)?;
            match received.map_err(|refusal| refusal.words().to_string())? {
                Received::Held => Ok((None, Told::Held)),
                Received::AskWhole { table, have } => Ok((None, Told::AskWhole { table, have })),
                Received::Changes(changes) => {
                    let (set, resolved) = *changes;
                    let prepared = register.prepare(set, now).map_err(|refusal| refusal.words().to_string())?;
                    let told = Told::InForce { rev: prepared.rev, rows: prepared.entries.len() };
                    let private = resolved.private;
                    Ok((Some(Change { prepared, private, forgotten: Vec::new() }), told))
                }
            }
        };
        self.change(make, changes).await.map(|(_, told)| told)
    }

    /// Decides a stage of a permit's approval.
    async fn approve(
        &mut self,
        asked: Approve,
        by: Actor,
        changes: &mut mpsc::Receiver<Prepared>,
    ) -> Result<(PermitStage, OnDisk), String> {
        let by = Actor { roles: BTreeSet::new(), ..by };
        let (who, id, rules) = (by.clone(), asked.permit.clone(), self.rules.clone());
        let make = move |store: &RegisterStore, now: &Now| {
            let prepared = store.register().approve(&rules, asked, by, now);
            let prepared = prepared.map_err(|refusal| refusal.words().to_string())?;
            let permit = prepared.entries.iter().find_map(|entry| entry.row.as_ref()?.as_permit());
            let stage = permit.map_or(PermitStage::WaitingPark, |permit| permit.stage);
            Ok((Some(Change { prepared, private: BTreeMap::new(), forgotten: Vec::new() }), stage))
        };
        let done = self.change(make, changes).await;
        if let Err(why) = &done {
            self.refused(who, ("permit", id.to_string()), why).await;
        }
        done.map(|(done, stage)| (stage, done.map_or(OnDisk(true), |(_, on_disk)| on_disk)))
    }

    /// Forgets permits and persons whom nothing needs any more; returns when it is to be looked again.
    async fn forget_when_due(&mut self, at: Mono, changes: &mut mpsc::Receiver<Prepared>) -> Mono {
        let now = self.clock.now();
        if now.mono < at {
            return at;
        }
        let rules = self.rules.clone();
        let due = self.with_store(move |store| (store.register().due(&rules, &now).is_some(), rules)).await;
        if let Ok((true, rules)) = due {
            let make = move |store: &RegisterStore, now: &Now| {
                let Some((set, forgotten)) = store.register().due(&rules, now) else { return Ok((None, 0)) };
                let prepared = store.register().prepare(set, now).map_err(|refusal| refusal.words().to_string())?;
                let n = forgotten.len();
                Ok((Some(Change { prepared, private: BTreeMap::new(), forgotten }), n))
            };
            match self.change(make, changes).await {
                Ok((_, persons)) => tracing::info!(persons, "What is over in the register was forgotten."),
                Err(error) => tracing::error!(%error, "What is over in the register cannot be forgotten now."),
            }
        }
        now.mono + LOOK_EVERY
    }

    /// Makes a change: `make` prepares it against the register while no use is counted, and says what is to be told. Returns the
    /// revision that holds now, where something was changed, and whether the audit's entry of it is on the disk.
    async fn change<T: Send + 'static>(
        &mut self,
        make: impl FnOnce(&RegisterStore, &Now) -> Result<(Option<Change>, T), String> + Send + 'static,
        changes: &mut mpsc::Receiver<Prepared>,
    ) -> Result<(Option<(u64, OnDisk)>, T), String> {
        let (held_tx, held) = oneshot::channel();
        self.ask(gates::Ask::HoldRegister(held_tx)).await?;
        let rev = held.await.map_err(|_| stopping())?;
        let done = self.changed(rev, make, changes).await;
        let done = match done {
            Ok((Some(stored), told)) => {
                let rev = stored.rev;
                self.put_in_force(stored).await.map(|on_disk| (Some((rev, on_disk)), told))
            }
            Ok((None, told)) => Ok((None, told)),
            Err(why) => Err(why),
        };
        self.ask(gates::Ask::ReleaseRegister).await?;
        done
    }

    async fn changed<T: Send + 'static>(
        &mut self,
        rev: u64,
        make: impl FnOnce(&RegisterStore, &Now) -> Result<(Option<Change>, T), String> + Send + 'static,
        changes: &mut mpsc::Receiver<Prepared>,
    ) -> Result<(Option<Stored>, T), String> {
        // What the gates counted before they were held is in the channel already.
        while let Ok(change) = changes.try_recv() {
            self.waits(change);
        }
        self.store_uses().await;
        if !self.backlog.is_empty() || self.lost {
            return Err("登记册现在不能保存，见日志 / the register cannot be stored now, see the log".to_owned());
        }
        let now = self.clock.now();
        let done = self.with_store(move |store| {
            if store.register().rev() != rev {
                return Err(
                    "登记册与门岗不一致，请重启网关 / the stored register is not that of the gates: restart".to_owned()
                );
            }
            let (change, told) = make(store, &now)?;
            let Some(Change { prepared, private, forgotten }) = change.filter(|change| !change.prepared.is_empty())
            else {
                return Ok((None, told));
            };
            let stored = match forgotten.is_empty() {
                true => store.apply(&prepared, private),
                false => store.forget(&prepared, &forgotten),
            };
            // A forgetting that is in the log is in force, whatever came after it: the next start finishes it.
            match stored {
                Err(error) if store.register().rev() != prepared.rev => return Err(crate::cli::chain(error)),
                Err(error) => {
                    tracing::error!(error = %crate::cli::chain(error), "The register is changed, and not tidied up.");
                }
                Ok(()) => {}
            }
            let (rev, deed) = (prepared.rev, prepared.deed());
            Ok((Some(Stored { rev, deed, next: gates::Next::of(prepared, store.register()) }), told))
        });
        done.await?
    }

    /// Puts what is stored into the audit, and in force.
    async fn put_in_force(&mut self, stored: Stored) -> Result<OnDisk, String> {
        let Stored { rev, deed, next } = stored;
        let (entered_tx, entered) = oneshot::channel();
        self.requests.send(Request::Entered(Box::new(deed), entered_tx)).await.map_err(|_| stopping())?;
        let on_disk = entered.await.unwrap_or(OnDisk(false));
        let (taken_tx, taken) = oneshot::channel();
        self.ask(gates::Ask::Register(next, taken_tx)).await?;
        let (fits, rest) = taken.await.map_err(|_| stopping())?;
        drop(tokio::task::spawn_blocking(move || drop(rest)));
        if fits {
            tracing::info!(rev, "The register is changed.");
            return Ok(on_disk);
        }
        // They were held, so this is a fault of ours: what is stored holds from the next start on.
        self.lost = true;
        Err("已保存，重启后生效 / it is stored, and in force from the next start on".to_owned())
    }

    async fn refused(&self, actor: Actor, (action, object): (&str, String), why: &str) {
        let (action, detail) = (action.to_owned(), why.to_owned());
        let deed = Deed { actor, action, object, before: None, after: None, result: AuditResult::Refused, detail };
        drop(self.requests.send(Request::Deed(Box::new(deed))).await);
    }

    /// Takes a use that the gates counted.
    fn waits(&mut self, change: Prepared) {
        if self.lost || self.backlog.len() >= MAX_BACKLOG {
            if !self.lost {
                tracing::error!("Uses of permits cannot be stored: from now on they hold until the next start only.");
            }
            self.lost = true;
            return;
        }
        self.backlog.push_back(change);
    }

    /// Stores the uses that wait, in their order, as far as the disk takes them.
    async fn store_uses(&mut self) {
        if self.backlog.is_empty() {
            return;
        }
        let mut waiting = std::mem::take(&mut self.backlog);
        let done = self.with_store(move |store| {
            while let Some(next) = waiting.front() {
                // What is behind the stored revision was stored before an answer was lost.
                if next.rev > store.register().rev()
                    && let Err(error) = store.apply(next, BTreeMap::new())
                {
                    tracing::error!(error = %crate::cli::chain(error), "A use of a permit cannot be stored; it is tried again.");
                    break;
                }
                waiting.pop_front();
            }
            waiting
        });
        match done.await {
            Ok(rest) => self.backlog = rest,
            Err(why) => {
                tracing::error!(%why, "Uses of permits cannot be stored: they hold until the next start only.");
                self.lost = true;
            }
        }
    }

    /// Works on the store on a thread that may block.
    async fn with_store<T: Send + 'static>(
        &mut self,
        work: impl FnOnce(&mut RegisterStore) -> T + Send + 'static,
    ) -> Result<T, String> {
        let gone =
            || "没有登记册：打不开，见日志 / there is no register: it could not be opened, see the log".to_owned();
        let mut store = self.store.take().ok_or_else(gone)?;
        let working = tokio::task::spawn_blocking(move || {
            let done = work(&mut store);
            (store, done)
        });
        let (store, done) = working.await.map_err(|error| error.to_string())?;
        self.store = Some(store);
        Ok(done)
    }

    /// Tells the alarms whether the register is whole and takes changes, each time that changes.
    async fn tell(&mut self) {
        let whole = self.store.as_ref().is_some_and(|store| store.register().damaged().is_empty());
        let good = whole && self.backlog.is_empty() && !self.lost;
        if good != self.told {
            self.told = good;
            drop(self.requests.send(Request::RegisterGood(good)).await);
        }
    }

    async fn ask(&self, ask: gates::Ask) -> Result<(), String> {
        self.requests.send(Request::Gates(ask)).await.map_err(|_| stopping())
    }
}

fn stopping() -> String {
    "网关正在停止 / the gateway is stopping".to_owned()
}

#[cfg(test)]
mod tests;
