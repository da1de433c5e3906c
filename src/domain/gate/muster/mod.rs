//! Muster (人员清点, `domain.md` rules 76–78, A20 scenario 20): who was inside when the evacuation began, and who of them is
//! accounted for.
//!
//! ```text
//!                     exit through a gate, check-in at a muster point, warden's word, correction of the account
//!  T0: rows frozen ─▶ unaccounted ─────────────────────────────────────────────────────────────▶ safe
//!                         ▲          came in again, exit taken back, warden takes his word back    │
//!                         └────────────────────────────────────────────────────────────────────────┘
//! ```
//!
//! - The list is frozen from the account of [`super::inside`]: everybody known by name, everybody who came in a vehicle, and as
//!   many *unidentified* as the count has more. None of them leaves the list; each is a row with a number.
//! - Rows are added only by what proves that somebody was inside all the same: a late record of an entry before T0, a call for
//!   help. Who comes in after T0 (rescue) is kept apart.
//! - A person who left unread accounts for nobody: nobody knows whom. Such exits are counted and shown beside the list.
//! - A drill runs the same code; its documents have mode `drill`, its figures go to the drill's report and nowhere else.
//! - It goes on over a restart ([`Musters::saved`]), and can be printed with every link down ([`print`]).
//!
//! A value without clock, task or I/O, like [`Inside`], whose events it is given after the account took them.

pub mod print;
pub mod roll;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use roll::{How, Numbers, Occupant, Position, Roll, Row, RowState};

use super::inside::{Event, Inside};
use super::word::{PersonRef, ZoneId};
use crate::domain::actor::{Actor, Refused, Role};
use crate::domain::document::{Document, DocumentKind};
use crate::domain::record::Mode;
use crate::domain::site::drill::Figures;
use crate::domain::time::{Mono, Now, Timestamp};

/// Musters that run at once: a park has a handful of zones that are evacuated apart.
pub const MAX_RUNNING: usize = 8;
/// How often it is said again that somebody is unaccounted for: often enough to be acted on, rare enough to be heard.
pub const REMIND: Duration = Duration::from_secs(5 * 60);
/// Rows in one document: a few kilobytes each.
pub const PART: usize = 50;

/// What comes out.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// To be recorded.
    Document(Document),
    /// For the alarm machine and the channels to people.
    Fact(MusterFact),
}

/// Something that people must hear.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MusterFact {
    /// Which muster.
    pub muster: String,
    /// What.
    pub what: MusterFault,
    /// Whether it is so now.
    pub active: bool,
    /// Whether it is a drill.
    pub drill: bool,
    /// For people, Chinese.
    pub zh: String,
    /// English.
    pub en: String,
}

/// What people must hear.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MusterFault {
    /// So many are unaccounted for; said again while it lasts.
    Unaccounted(u32),
    /// A person calls for help: number of the row.
    Sos(u32),
}

/// What is recorded as document `muster`.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum MusterRecord<'a> {
    /// It began.
    Began {
        /// Its id.
        muster: &'a str,
        /// Episode of the site's state.
        episode: &'a str,
        /// Zone.
        zone: &'a ZoneId,
        /// T0.
        at: Timestamp,
        /// Who began it.
        actor: &'a Actor,
        /// How many are on the list.
        numbers: Numbers,
    },
    /// A part of the frozen list, or rows added to it.
    Rows {
        /// Its id.
        muster: &'a str,
        /// The rows.
        rows: &'a [Row],
    },
    /// A row changed.
    Row {
        /// Its id.
        muster: &'a str,
        /// The row as it stands.
        row: &'a Row,
        /// How many are what now.
        numbers: Numbers,
    },
    /// It ended.
    Ended {
        /// Its id.
        muster: &'a str,
        /// Who ended it.
        actor: &'a Actor,
        /// In his words.
        reason: &'a str,
        /// How it stood.
        numbers: Numbers,
        /// For the report of a drill.
        figures: Figures,
        /// Rows that nobody has accounted for.
        missing: Vec<u32>,
    },
}

/// What a muster begins with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Begin {
    /// Whose people.
    pub zone: ZoneId,
    /// Episode of the site's state.
    pub episode: String,
    /// Whether it is a drill.
    pub drill: bool,
}

/// What a person does in a muster.
#[derive(Clone, Debug, PartialEq)]
pub enum MusterAction {
    /// A person is at a muster point (card, or the warden's tablet).
    CheckIn {
        /// Who.
        person: PersonRef,
        /// Where.
        point: String,
    },
    /// A warden accounts for a row: seen, found, brought out.
    Account {
        /// Number of the row.
        row: u32,
        /// In his words.
        reason: String,
    },
    /// A warden takes it back: it was somebody else.
    TakeBack {
        /// Number of the row.
        row: u32,
        /// In his words.
        reason: String,
    },
    /// Ends the muster; with rows unaccounted for, the words say what becomes of them.
    End {
        /// In his words.
        reason: String,
    },
}

/// What a personnel-positioning system says, by its adapter.
#[derive(Clone, Debug, PartialEq)]
pub enum Tracked {
    /// A person is somewhere.
    Position {
        /// Who.
        person: PersonRef,
        /// Where.
        position: Position,
    },
    /// A person calls for help, or does no longer.
    Sos {
        /// Who.
        person: PersonRef,
        /// Whether he calls.
        on: bool,
        /// When.
        at: Timestamp,
    },
}

/// See the module.
#[derive(Clone, Debug)]
pub struct Musters {
    boot: u32,
    next: u64,
    running: BTreeMap<String, Roll>,
    remind: BTreeMap<String, Mono>,
    revision: u64,
    outputs: VecDeque<Output>,
}

/// What must survive a restart.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Saved {
    running: Vec<Roll>,
}

impl Musters {
    /// Starts with none running. `boot` counts the starts of this gateway.
    pub fn new(boot: u32) -> Self {
        let (running, remind) = (BTreeMap::new(), BTreeMap::new());
        Self { boot, next: 1, running, remind, revision: 0, outputs: VecDeque::new() }
    }

    /// Goes on after a restart, with what the gates saw since.
    pub fn restore(boot: u32, saved: Saved, inside: &Inside, now: Now) -> Self {
        let mut musters = Self::new(boot);
        for roll in saved.running {
            musters.remind.insert(roll.muster.clone(), now.mono);
            musters.running.insert(roll.muster.clone(), roll);
        }
        let rolls: Vec<String> = musters.running.keys().cloned().collect();
        for muster in rolls {
            musters.change(&muster, now, |roll| roll.catch_up(inside));
        }
        musters
    }

    /// Returns what must survive a restart.
    pub fn saved(&self) -> Saved {
        Saved { running: self.running.values().cloned().collect() }
    }

    /// Returns a number that changes with [`Musters::saved`].
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// Returns the next thing that comes out.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// Returns the musters that run.
    pub fn running(&self) -> impl Iterator<Item = &Roll> {
        self.running.values()
    }

    /// Returns one that runs.
    pub fn roll(&self, muster: &str) -> Option<&Roll> {
        self.running.get(muster)
    }

    /// Begins a muster: freezes who is inside. One that is real ends the drills. Returns its id; that of the one that runs
    /// already where there is one of this zone.
    pub fn begin(&mut self, begin: Begin, actor: &Actor, inside: &Inside, now: Now) -> Result<String, Refused> {
        if !begin.drill {
            let drills = self.running.values().filter(|roll| roll.drill).map(|roll| roll.muster.clone());
            for muster in drills.collect::<Vec<_>>() {
                self.close(&muster, &Actor::gateway(), "真实事件中止演练 / a real event ends the drill", now);
            }
        } else if self.running.values().any(|roll| !roll.drill) {
            return Err(Refused::new("真实清点进行中，不能演练", "a real muster is running: no drill now"));
        }
        if let Some(same) = self.running.values().find(|roll| roll.zone == begin.zone) {
            return Ok(same.muster.clone());
        }
        if self.running.len() >= MAX_RUNNING {
            return Err(Refused::new("清点数量已达上限", "too many musters are running: end one"));
        }
        let muster = format!("muster-{}-{}", self.boot, self.next);
        self.next += 1;
        let actor = Actor { roles: BTreeSet::new(), ..actor.clone() };
        let roll = Roll::freeze(begin, muster.clone(), actor, inside, now);
        let began = MusterRecord::Began {
            muster: &roll.muster,
            episode: &roll.episode,
            zone: &roll.zone,
            at: roll.at,
            actor: &roll.actor,
            numbers: roll.numbers(),
        };
        self.outputs.push_back(document(&began, roll.drill, now));
        for rows in roll.rows.chunks(PART) {
            self.outputs.push_back(document(&MusterRecord::Rows { muster: &roll.muster, rows }, roll.drill, now));
        }
        self.remind.insert(muster.clone(), now.mono);
        self.running.insert(muster.clone(), roll);
        self.revision += 1;
        self.handle_timeout(now);
        Ok(muster)
    }

    /// Takes an event of the account, after the account took it.
    pub fn handle_event(&mut self, event: &Event, inside: &Inside, now: Now) {
        let rolls: Vec<String> = self.running.keys().cloned().collect();
        for muster in rolls {
            self.change(&muster, now, |roll| roll.event(event, inside));
        }
    }

    /// Takes what a positioning system says.
    pub fn handle_tracked(&mut self, tracked: &Tracked, now: Now) {
        let rolls: Vec<String> = self.running.keys().cloned().collect();
        for muster in rolls {
            self.change(&muster, now, |roll| match tracked {
                Tracked::Position { person, position } => roll.position(person, position),
                Tracked::Sos { person, on, at } => roll.sos(person, on.then_some(*at)),
            });
        }
    }

    /// Does what a person does, or says why not. Guards, operators and supervisors account for people; a supervisor ends it.
    pub fn act(&mut self, muster: &str, action: MusterAction, actor: &Actor, now: Now) -> Result<(), Refused> {
        let Some(roll) = self.running.get(muster) else {
            return Err(Refused::new("没有进行中的清点", "no such muster is running"));
        };
        if matches!(action, MusterAction::End { .. }) && !actor.has(Role::Supervisor) {
            return Err(Refused::role(Role::Supervisor));
        }
        if ![Role::Guard, Role::Operator, Role::Supervisor].iter().any(|role| actor.has(*role)) {
            return Err(Refused::role(Role::Guard));
        }
        if actor.name.trim().is_empty() {
            return Err(Refused::new("须写明操作人", "say who does this"));
        }
        match &action {
            MusterAction::Account { row, reason } | MusterAction::TakeBack { row, reason } => {
                roll.row(*row)?;
                said(reason)?;
            }
            MusterAction::End { reason } => said(reason)?,
            MusterAction::CheckIn { .. } => {}
        }
        let (by, at) = (actor.name.as_str(), roll.at.max(now.wall));
        match action {
            MusterAction::CheckIn { person, point } => {
                self.change(muster, now, |roll| roll.check_in(&person, &point, by, at));
            }
            MusterAction::Account { row, reason } => {
                self.change(muster, now, |roll| roll.account(row, by, &reason, at))
            }
            MusterAction::TakeBack { row, reason } => self.change(muster, now, |roll| roll.take_back(row, by, &reason)),
            MusterAction::End { reason } => self.close(muster, actor, &reason, now),
        }
        Ok(())
    }

    /// Returns when [`Musters::handle_timeout`] is due.
    pub fn poll_timeout(&self) -> Option<Mono> {
        self.remind.values().min().copied()
    }

    /// Says again who is unaccounted for.
    pub fn handle_timeout(&mut self, now: Now) {
        let due = self.remind.iter().filter(|(_, at)| **at <= now.mono).map(|(id, _)| id.clone());
        for muster in due.collect::<Vec<_>>() {
            let Some(roll) = self.running.get(&muster) else { continue };
            let open = roll.numbers().unaccounted;
            if open == 0 {
                self.remind.remove(&muster);
                continue;
            }
            self.outputs.push_back(Output::Fact(unaccounted(roll, open, true)));
            self.remind.insert(muster, now.mono + REMIND);
        }
    }

    /// Changes a roll, and says what changed.
    fn change(&mut self, muster: &str, now: Now, change: impl FnOnce(&mut Roll)) {
        let Some(roll) = self.running.get_mut(muster) else { return };
        let before = roll.clone();
        change(roll);
        if *roll == before {
            return;
        }
        self.revision += 1;
        let drill = roll.drill;
        let (known, added) = roll.rows.split_at(before.rows.len().min(roll.rows.len()));
        for rows in added.chunks(PART) {
            self.outputs.push_back(document(&MusterRecord::Rows { muster, rows }, drill, now));
        }
        for (row, old) in known.iter().zip(&before.rows) {
            // Positions stream in; what is recorded is what somebody has to answer for.
            if (&row.state, row.sos) != (&old.state, old.sos) {
                let record = MusterRecord::Row { muster, row, numbers: roll.numbers() };
                self.outputs.push_back(document(&record, drill, now));
            }
        }
        for row in &roll.rows {
            let old = before.rows.get(row.n as usize).and_then(|old| old.sos);
            if row.sos.is_some() != old.is_some() {
                self.outputs.push_back(Output::Fact(sos(roll, row)));
            }
        }
        let (open, was) = (roll.numbers().unaccounted, before.numbers().unaccounted);
        if open == 0 && was > 0 {
            self.outputs.push_back(Output::Fact(unaccounted(roll, 0, false)));
            self.remind.remove(muster);
        } else if open > 0 && was == 0 {
            self.remind.insert(muster.to_owned(), now.mono);
            self.handle_timeout(now);
        }
    }

    fn close(&mut self, muster: &str, actor: &Actor, reason: &str, now: Now) {
        let Some(roll) = self.running.remove(muster) else { return };
        self.remind.remove(muster);
        self.revision += 1;
        let numbers = roll.numbers();
        let missing = roll.rows.iter().filter(|row| row.state == RowState::Unaccounted).map(|row| row.n).collect();
        let record = MusterRecord::Ended { muster, actor, reason, numbers, figures: roll.figures(), missing };
        self.outputs.push_back(document(&record, roll.drill, now));
        if numbers.unaccounted > 0 {
            self.outputs.push_back(Output::Fact(unaccounted(&roll, numbers.unaccounted, false)));
        }
        for row in roll.rows.iter().filter(|row| row.sos.is_some()) {
            self.outputs.push_back(Output::Fact(sos(&roll, &Row { sos: None, ..row.clone() })));
        }
    }
}

fn said(reason: &str) -> Result<(), Refused> {
    if reason.trim().is_empty() { Err(Refused::new("须填写说明", "say how it is known")) } else { Ok(()) }
}

fn document(record: &MusterRecord<'_>, drill: bool, now: Now) -> Output {
    let mode = if drill { Mode::Drill } else { Mode::Real };
    Output::Document(Document::of(DocumentKind::Muster, mode, now.mono, record))
}

fn mark(roll: &Roll) -> &'static str {
    if roll.drill { "【演练】" } else { "" }
}

fn unaccounted(roll: &Roll, n: u32, active: bool) -> MusterFact {
    MusterFact {
        muster: roll.muster.clone(),
        what: MusterFault::Unaccounted(n),
        active,
        drill: roll.drill,
        zh: format!("{}区域“{}”清点：未到 {n} 人", mark(roll), roll.zone),
        en: format!("muster of zone `{}`: {n} unaccounted for", roll.zone),
    }
}

fn sos(roll: &Roll, row: &Row) -> MusterFact {
    let place = row.position.as_ref().map(|position| position.place.as_str()).unwrap_or_default();
    MusterFact {
        muster: roll.muster.clone(),
        what: MusterFault::Sos(row.n),
        active: row.sos.is_some(),
        drill: roll.drill,
        zh: format!("{}{} 号人员求救，位置：{place}", mark(roll), row.n + 1),
        en: format!("number {} calls for help, at: {place}", row.n + 1),
    }
}
