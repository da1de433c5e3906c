//! Dangerous goods through the whole chain (`domain.md` A4 to A6): waybill, checks, parking first and dispatch second, bays
//! and what must not stand beside what, stay, weights, terminals, positions. What of it a decision needs are the
//! [`HazmatFacts`](crate::domain::gate::facts::HazmatFacts) that [`Hazmat::facts`] makes.
//!
//! ```text
//!  waybill ready ─▶ checks ─▶ facts ─▶ (decision) ─▶ bay promised ─▶ entered: waybill used up
//!                                                        ▼
//!        out: weights, terminal ◀─ leaving ◀─ at its place ◀─ dispatched ◀─ parked
//! ```
//!
//! The machine decides nothing about a lane and moves no barrier. It never learns from a decision that something happened:
//! only completed passages, bays seen taken and seen empty, and what people say, change it. So a vehicle that was let in by
//! hand, that parks where it likes, or leaves unseen, is followed all the same, and told of.
//!
//! In reading order: [`goods`], [`waybill`], [`named`], [`book`], [`checks`], [`kept`]; [`apart`], [`lot`]; [`visit`]; [`geo`], [`map`],
//! [`track`]; [`rules`]; [`record`]; the machine itself in this file, `passages`, `yard`, `watch`, `asked`, `saved`.

pub mod apart;
mod asked;
pub mod book;
pub mod checks;
pub mod geo;
pub mod goods;
pub mod kept;
pub mod lot;
pub mod map;
pub mod named;
mod passages;
pub mod record;
pub mod rules;
pub mod said;
mod saved;
pub mod track;
pub mod visit;
mod watch;
pub mod waybill;
mod yard;

#[cfg(test)]
pub(crate) mod tests;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

pub use asked::{Asked, Escort, Known};
pub use passages::{Entered, Left, OVERSTAY, Stock, TERMINAL_NOT_RETURNED, TerminalRefusal, WEIGHT_MISMATCH, Went};
pub use saved::Saved;
pub use yard::NotSent;

use book::{Refusal, Taken, Update, Waybills, same_plate};
use checks::{Answer, Checks};
use lot::Lot;
use record::{Happened, HazmatRecord, Output, Phase, Violation, ViolationKind};
use rules::Rules;
use said::{LastSaid, Mismatch};
use track::Track;
use visit::{Running, Visit};
use waybill::{Waybill, WaybillState};

use crate::domain::document::{Document, DocumentKind};
use crate::domain::gate::hardware::TerminalAlarm;
use crate::domain::gate::plate::Plate;
use crate::domain::gate::word::{CompanyId, TerminalId, WaybillNo};
use crate::domain::record::Mode;
use crate::domain::time::{ClockTrust, Mono, Now, Timestamp};

/// Terminals that are followed: those of a large park's day with as many again on their way to it. When it is full, the one
/// that was silent for longest makes room.
const MAX_TRACKS: usize = 1000;

/// Places that a company published.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Quota {
    places: u32,
    published: Running,
}

/// A terminal that was handed out.
#[derive(Clone, Debug, PartialEq)]
struct Handed {
    plate: Plate,
    at: Timestamp,
}

/// See the module.
#[derive(Debug)]
pub struct Hazmat {
    rules: Arc<Rules>,
    waybills: Waybills,
    checks: Checks,
    lot: Lot,
    visits: BTreeMap<Plate, Visit>,
    quotas: BTreeMap<CompanyId, Quota>,
    terminals: BTreeMap<TerminalId, Handed>,
    tracks: BTreeMap<TerminalId, Track>,
    /// Alarms of terminals that are on.
    alarms: BTreeSet<(TerminalId, TerminalAlarm)>,
    /// What of what terminals say does not agree, and whose vehicle it was about when it began.
    mismatches: BTreeMap<(TerminalId, Mismatch), Option<Plate>>,
    /// What terminals said last.
    said: BTreeMap<TerminalId, LastSaid>,
    outputs: VecDeque<Output>,
}

impl Hazmat {
    /// A park with nothing in it.
    pub fn new(rules: Arc<Rules>) -> Self {
        Self {
            lot: Lot::new(&rules.bays),
            rules,
            waybills: Waybills::default(),
            checks: Checks::default(),
            visits: BTreeMap::new(),
            quotas: BTreeMap::new(),
            terminals: BTreeMap::new(),
            tracks: BTreeMap::new(),
            alarms: BTreeSet::new(),
            mismatches: BTreeMap::new(),
            said: BTreeMap::new(),
            outputs: VecDeque::new(),
        }
    }

    /// Goes on under other rules. What stands in bays that are no longer there is left out; everything else goes on.
    pub fn reload(&mut self, rules: Arc<Rules>, now: Now) {
        let saved = self.lot.save();
        self.lot = Lot::new(&rules.bays);
        self.lot.restore(saved, now.mono + rules.promises.come_within);
        self.visits.keys().for_each(|plate| self.lot.hold(plate));
        self.rules = rules;
        self.serve_queue(now);
    }

    /// Returns the rules in force.
    pub fn rules(&self) -> &Arc<Rules> {
        &self.rules
    }

    /// Returns the waybills.
    pub fn waybills(&self) -> &Waybills {
        &self.waybills
    }

    /// Returns what was answered to the checks.
    pub fn checks(&self) -> &Checks {
        &self.checks
    }

    /// Returns the parking.
    pub fn lot(&self) -> &Lot {
        &self.lot
    }

    /// Returns who is inside.
    pub fn visits(&self) -> impl Iterator<Item = &Visit> {
        self.visits.values()
    }

    /// Returns the visit of a vehicle: of the same plate, or of the same text where a colour is not known.
    pub fn visit(&self, plate: &Plate) -> Option<&Visit> {
        let exact = self.visits.get(plate);
        exact.or_else(|| self.visits.values().find(|visit| same_plate(&visit.plate, plate)))
    }

    /// Takes what the platform sends of its waybills.
    pub fn handle_update(&mut self, update: Update, now: Now) -> Taken {
        let taken = self.waybills.update(update, now.wall);
        match &taken {
            Taken::Applied(refused) => {
                let happened = Happened::Waybills { version: self.waybills.version(), refused: refused.clone() };
                self.tell(None, None, happened, now);
            }
            Taken::Gap { have } => self.outputs.push_back(Output::AskWhole { have: *have }),
            Taken::Old => {}
        }
        self.keep_known_checks();
        taken
    }

    /// Takes one waybill by hand: from a file or the page.
    ///
    /// # Errors
    /// As [`Waybills::put`].
    pub fn handle_waybill(&mut self, waybill: Waybill, by: &str, now: Now) -> Result<(), Refusal> {
        let (number, plate, state) = (waybill.number.clone(), waybill.tractor.clone(), waybill.state);
        self.waybills.put(waybill, now.wall)?;
        self.tell(Some(plate), Some(number), Happened::Waybill { state, by: by.to_owned() }, now);
        Ok(())
    }

    /// Takes a waybill one step on, by hand.
    ///
    /// # Errors
    /// As [`Waybills::step`].
    pub fn handle_step(&mut self, number: &WaybillNo, to: WaybillState, by: &str, now: Now) -> Result<(), Refusal> {
        self.waybills.step(number, to, by, now.wall)?;
        let plate = self.waybills.get(number).map(|entry| entry.waybill.tractor.clone());
        self.tell(plate, Some(number.clone()), Happened::Waybill { state: to, by: by.to_owned() }, now);
        Ok(())
    }

    /// Takes an answer to an item of the checks.
    ///
    /// # Errors
    /// [`Refusal::Unknown`] when there is no such waybill or no such item.
    pub fn handle_check(
        &mut self,
        number: &WaybillNo,
        item: &str,
        passed: bool,
        by: &str,
        note: &str,
        now: Now,
    ) -> Result<(), Refusal> {
        let entry = self.waybills.get(number).ok_or(Refusal::Unknown)?;
        let plate = entry.waybill.tractor.clone();
        if !self.rules.items.iter().any(|known| known.id == item) {
            return Err(Refusal::Unknown);
        }
        let answer = Answer { passed, by: by.to_owned(), at: now.wall, clock: now.trust, note: note.to_owned() };
        self.checks.answer(number, item, answer);
        let happened = Happened::Check { item: item.to_owned(), passed, by: by.to_owned(), note: note.to_owned() };
        self.tell(Some(plate), Some(number.clone()), happened, now);
        Ok(())
    }

    /// Takes how many places a company has for loading and unloading (rule 39). Fewer than are taken now stops dispatch
    /// until enough have left.
    pub fn handle_quota(&mut self, company: &CompanyId, places: u32, now: Now) {
        self.quotas.insert(company.clone(), Quota { places, published: Running::start(now.mono) });
        self.tell(None, None, Happened::Quota { company: company.clone(), places }, now);
    }

    /// Forgets what the law no longer asks to be kept. Only with a clock that can be trusted: nothing is lost by waiting.
    pub fn handle_housekeeping(&mut self, now: Now) {
        if now.trust != ClockTrust::Unsynced {
            self.waybills.expire(now.wall.before(self.rules.keep));
            self.keep_known_checks();
        }
    }

    /// Returns when [`Hazmat::handle_timeout`] must next be called.
    pub fn poll_timeout(&self) -> Option<Mono> {
        let visits = self.visits.values().filter_map(|visit| self.visit_due(visit));
        let tracks = self.tracks.iter().filter_map(|(terminal, track)| self.track_due(terminal, track));
        visits.chain(tracks).chain(self.lot.next()).min()
    }

    /// Lets time pass up to `now`.
    pub fn handle_timeout(&mut self, now: Now) {
        self.lapse(now);
        self.wake_visits(now);
        self.wake_tracks(now);
    }

    /// Returns the next output.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    fn keep_known_checks(&mut self) {
        let waybills = &self.waybills;
        self.checks.keep_only(|number| waybills.get(number).is_some());
    }

    /// Records what happened.
    fn tell(&mut self, plate: Option<Plate>, waybill: Option<WaybillNo>, happened: Happened, now: Now) {
        let record = HazmatRecord { t: now.wall, clock: now.trust, plate, waybill, happened };
        let document = Document::of(DocumentKind::Hazmat, Mode::Real, now.mono, &record);
        self.outputs.push_back(Output::Document(document));
    }

    /// Records a violation and gives it out.
    fn accuse(&mut self, violation: Violation, now: Now) {
        let waybill = violation.plate.as_ref().and_then(|plate| self.visit(plate)).and_then(|v| v.waybill.clone());
        self.tell(violation.plate.clone(), waybill, Happened::Violation(violation.clone()), now);
        self.outputs.push_back(Output::Violation(violation));
    }

    /// A violation that begins, of which nothing but its subject is to be said.
    fn accuse_of(&mut self, kind: ViolationKind, plate: &Plate, subject: Option<String>, now: Now) {
        self.accuse(Violation { subject, ..violation(kind, Some(plate.clone()), now) }, now);
    }
}

/// A violation that begins now.
fn violation(kind: ViolationKind, plate: Option<Plate>, now: Now) -> Violation {
    Violation {
        kind,
        phase: Phase::Begins,
        plate,
        terminal: None,
        at: now.wall,
        clock: now.trust,
        subject: None,
        value: None,
        limit: None,
        position: None,
        converted: false,
    }
}
