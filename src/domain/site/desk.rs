//! The desk of orders: what stands ordered in the world, what waits for its receipt, and what is said again.
//!
//! Lanes and outputs are *standing* orders: the machine says what it wants of each, and an order is given where that differs
//! from what was ordered last, so that wanting the same twice gives no second order. Texts are given once each.
//!
//! ```text
//!          give            Done, Sent
//!  wanted ──────▶ waiting ────────────▶ settled ──▶ every REFRESH while an emergency stands, where harmless: given again
//!                  │    ▲
//!   Failed, or none│    │ after a pause that doubles up to RETRY.1, where repeating is harmless
//!   within RECEIPT ▼    │
//!                  failed (fact; ends with the next receipt)
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::domain::order::{Order, OrderKind, Receipt, Urgency};
use crate::domain::record::Mode;
use crate::domain::time::Mono;

/// An order without a receipt for this long has failed: a write and its read-back take at most 2 s by default.
const RECEIPT: Duration = Duration::from_secs(10);
/// The same of a text: the sender of text messages tries within `alarm::telling::RECEIPT_WITHIN`, and says then what became of it.
const RECEIPT_OF_TEXT: Duration = Duration::from_secs(30);
/// First and longest pause before an order is given again.
const RETRY: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(60));
/// How often the standing orders of an emergency are given again: a module that restarted has forgotten them.
const REFRESH: Duration = Duration::from_secs(60);
/// How often a text is tried; later it is old news.
const TEXT_ATTEMPTS: u32 = 3;
/// Texts that wait for their receipt. The oldest one makes room: a newer text is truer.
const MAX_TEXTS: usize = 256;

/// What an order is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Subject {
    Lane(String),
    Output(String),
    /// A text by its channel and a number.
    Text(String, u64),
}

impl Subject {
    /// Returns the name for facts.
    pub(super) fn name(&self) -> String {
        match self {
            Self::Lane(id) => format!("lane.{id}"),
            Self::Output(id) => format!("output.{id}"),
            Self::Text(id, _) => format!("channel.{id}"),
        }
    }
}

/// What is wanted of a lane or output.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Wanted {
    pub(super) what: OrderKind,
    pub(super) mode: Mode,
    pub(super) urgency: Urgency,
    /// Giving it again does no harm.
    pub(super) repeats: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Phase {
    Waiting(Mono),
    Pausing(Mono),
    Settled(Mono),
    /// Failed, and not to be repeated.
    GivenUp,
}

/// One order and what became of it.
#[derive(Clone, Debug)]
pub(super) struct Standing {
    pub(super) wanted: Wanted,
    pub(super) key: String,
    given: Mono,
    attempt: u32,
    phase: Phase,
    pub(super) failed: bool,
}

impl Standing {
    /// Returns whether the world has said that it is done, or that it cannot be.
    pub(super) fn answered(&self) -> bool {
        matches!(self.phase, Phase::Settled(_) | Phase::GivenUp)
    }

    /// Returns the word for the page.
    pub(super) fn word(&self) -> &'static str {
        match (&self.phase, self.failed) {
            (_, true) => "failed",
            (Phase::Settled(_), false) => "done",
            (_, false) => "waiting",
        }
    }
}

/// What the desk has to say.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Told {
    Give { order: Order, mode: Mode, attempt: u32 },
    Receipt { key: String, wanted: Wanted, receipt: Receipt, after: Duration },
    Unanswered { key: String, wanted: Wanted, after: Duration },
    Fault { subject: Subject, wanted: Wanted, active: bool, why: String },
}

/// See the module.
#[derive(Clone, Debug)]
pub(super) struct Desk {
    boot: u32,
    next: u64,
    standing: BTreeMap<Subject, Standing>,
    /// Names of subjects whose last order failed.
    faults: BTreeSet<String>,
    told: Vec<Told>,
}

impl Desk {
    pub(super) fn new(boot: u32) -> Self {
        Self { boot, next: 1, standing: BTreeMap::new(), faults: BTreeSet::new(), told: Vec::new() }
    }

    /// Returns which start it is.
    pub(super) fn boot(&self) -> u32 {
        self.boot
    }

    /// Returns a number that this boot has not used.
    pub(super) fn number(&mut self) -> u64 {
        let number = self.next;
        self.next += 1;
        number
    }

    /// Returns a name that this epoch has not used; `boot` counts the starts in it.
    pub(super) fn name(&mut self) -> String {
        let number = self.number();
        format!("site-{}-{number}", self.boot)
    }

    pub(super) fn standing(&self) -> impl Iterator<Item = (&Subject, &Standing)> {
        self.standing.iter()
    }

    pub(super) fn get(&self, subject: &Subject) -> Option<&Standing> {
        self.standing.get(subject)
    }

    pub(super) fn take(&mut self) -> Vec<Told> {
        std::mem::take(&mut self.told)
    }

    /// Wants something of a lane or an output; gives the order unless it is what was ordered last.
    pub(super) fn want(&mut self, subject: Subject, wanted: Wanted, now: Mono) {
        let same = |standing: &Standing| standing.wanted.what == wanted.what && standing.wanted.mode == wanted.mode;
        match self.standing.get_mut(&subject) {
            Some(standing) if same(standing) => standing.wanted = wanted,
            _ => self.give(subject, wanted, 1, now),
        }
    }

    /// Tells a text.
    pub(super) fn text(&mut self, channel: &str, wanted: Wanted, now: Mono) {
        let texts = |subject: &Subject| matches!(subject, Subject::Text(..));
        if self.standing.keys().filter(|subject| texts(subject)).count() >= MAX_TEXTS {
            let oldest = self.standing.iter().filter(|(subject, _)| texts(subject)).min_by_key(|(_, text)| text.given);
            if let Some(subject) = oldest.map(|(subject, _)| subject.clone()) {
                self.standing.remove(&subject);
            }
        }
        let number = self.number();
        self.give(Subject::Text(channel.to_owned(), number), wanted, 1, now);
    }

    /// Forgets what is no longer in the configuration.
    pub(super) fn forget(&mut self, gone: impl Fn(&Subject) -> bool) {
        let subjects: Vec<Subject> = self.standing.keys().filter(|subject| gone(subject)).cloned().collect();
        for subject in subjects {
            let Some(standing) = self.standing.remove(&subject) else { continue };
            if self.faults.remove(&subject.name()) {
                self.told.push(Told::Fault { subject, wanted: standing.wanted, active: false, why: String::new() });
            }
        }
    }

    /// Takes the result of an order. One that nobody waits for is old, and says nothing about the present.
    pub(super) fn receipt(&mut self, key: &str, receipt: Receipt, now: Mono) -> bool {
        let found = self.standing.iter().find(|(_, standing)| standing.key == key).map(|(subject, _)| subject.clone());
        let Some(subject) = found else { return false };
        let Some(standing) = self.standing.get_mut(&subject) else { return false };
        // A receipt that comes late still says how the world is.
        let after = now.since(standing.given);
        let wanted = standing.wanted.clone();
        // Of what is said again, only what changes is told: the first answer, the failure, and its end.
        let (ok, first) = (!matches!(receipt, Receipt::Failed(_)), standing.attempt == 1);
        let repeated = matches!(standing.phase, Phase::Settled(_)) && ok;
        if !repeated && (first || standing.failed == ok) {
            self.told.push(Told::Receipt { key: key.to_owned(), wanted, receipt: receipt.clone(), after });
        }
        match receipt {
            Receipt::Done | Receipt::Sent | Receipt::Accepted(_) => self.settle(&subject, now),
            Receipt::Failed(why) => self.fail(&subject, why, now),
        }
        true
    }

    /// Does what is due.
    pub(super) fn tick(&mut self, now: Mono) {
        let due: Vec<Subject> = self
            .standing
            .iter()
            .filter(|(_, standing)| due_of(standing).is_some_and(|due| due <= now))
            .map(|(subject, _)| subject.clone())
            .collect();
        for subject in due {
            let Some(standing) = self.standing.get(&subject) else { continue };
            let (wanted, attempt) = (standing.wanted.clone(), standing.attempt);
            match standing.phase {
                Phase::Waiting(_) => {
                    let (key, after) = (standing.key.clone(), now.since(standing.given));
                    if !standing.failed {
                        self.told.push(Told::Unanswered { key, wanted, after });
                    }
                    self.fail(&subject, "no receipt".into(), now);
                }
                Phase::Pausing(_) => self.give(subject, wanted, attempt.saturating_add(1), now),
                Phase::Settled(_) => self.give(subject, wanted, 2, now),
                Phase::GivenUp => {}
            }
        }
    }

    pub(super) fn due(&self) -> Option<Mono> {
        self.standing.values().filter_map(due_of).min()
    }

    /// Takes back what stood at a restart, as ordered and settled; the machine then orders again what it wants.
    pub(super) fn recall(&mut self, subject: Subject, wanted: Wanted, failed: bool, now: Mono) {
        let standing =
            Standing { wanted, key: String::new(), given: now, attempt: 1, phase: Phase::Settled(now), failed };
        if failed {
            self.faults.insert(subject.name());
        }
        self.standing.insert(subject, standing);
    }

    /// Says again which orders have failed.
    pub(super) fn restate(&mut self) {
        for (subject, standing) in self.standing.iter().filter(|(_, standing)| standing.failed) {
            let (subject, wanted) = (subject.clone(), standing.wanted.clone());
            self.told.push(Told::Fault { subject, wanted, active: true, why: String::new() });
        }
    }

    /// Gives an order again whatever was ordered before.
    pub(super) fn insist(&mut self, subject: &Subject, now: Mono) {
        if let Some(wanted) = self.standing.get(subject).map(|standing| standing.wanted.clone()) {
            self.give(subject.clone(), wanted, 1, now);
        }
    }

    fn give(&mut self, subject: Subject, wanted: Wanted, attempt: u32, now: Mono) {
        let key = self.name();
        let failed = self.standing.get(&subject).is_some_and(|standing| standing.failed);
        let order = Order { key: key.clone(), what: wanted.what.clone(), urgency: wanted.urgency };
        self.told.push(Told::Give { order, mode: wanted.mode, attempt });
        let within = if matches!(subject, Subject::Text(..)) { RECEIPT_OF_TEXT } else { RECEIPT };
        let phase = Phase::Waiting(now + within);
        self.standing.insert(subject, Standing { wanted, key, given: now, attempt, phase, failed });
    }

    fn settle(&mut self, subject: &Subject, now: Mono) {
        let Some(standing) = self.standing.get_mut(subject) else { return };
        standing.phase = Phase::Settled(now);
        standing.failed = false;
        if self.faults.remove(&subject.name()) {
            let wanted = standing.wanted.clone();
            self.told.push(Told::Fault { subject: subject.clone(), wanted, active: false, why: String::new() });
        }
        if matches!(subject, Subject::Text(..)) {
            self.standing.remove(subject);
        }
    }

    fn fail(&mut self, subject: &Subject, why: String, now: Mono) {
        let Some(standing) = self.standing.get_mut(subject) else { return };
        let text = matches!(subject, Subject::Text(..));
        let again = standing.wanted.repeats && !(text && standing.attempt >= TEXT_ATTEMPTS);
        let doublings = standing.attempt.saturating_sub(1).min(8);
        let pause = RETRY.0.saturating_mul(1 << doublings).min(RETRY.1);
        standing.phase = if again { Phase::Pausing(now + pause) } else { Phase::GivenUp };
        standing.failed = true;
        if self.faults.insert(subject.name()) {
            let wanted = standing.wanted.clone();
            self.told.push(Told::Fault { subject: subject.clone(), wanted, active: true, why });
        }
        if text && !again {
            // What was not told stays on record as failed; the fault ends with the next text that the channel takes.
            self.standing.remove(subject);
        }
    }
}

fn due_of(standing: &Standing) -> Option<Mono> {
    match standing.phase {
        Phase::Waiting(until) | Phase::Pausing(until) => Some(until),
        Phase::Settled(at) => {
            let stands = standing.wanted.urgency == Urgency::AtOnce && standing.wanted.repeats;
            stands.then(|| at + REFRESH)
        }
        Phase::GivenUp => None,
    }
}
