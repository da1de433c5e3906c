//! What happens to passages: their steps, their end, and the records of cameras that were offline.

use std::time::Duration;

use super::event::{Body, Crossed, Loose, Subject, Violation, ViolationKind};
use super::passage::{Answered, Passage, direction_code};
use super::{Begin, Inside, LINGER, MAX_PASSAGES, MAX_READS, Outcome, Output, Phase, Step, Who};
use crate::domain::document::{Document, DocumentKind};
use crate::domain::gate::hardware::CameraEvent;
use crate::domain::gate::verdict::Verdict;
use crate::domain::gate::word::{Direction, LaneId, LaneKind, PassageId, PersonRef};
use crate::domain::record::Mode;
use crate::domain::time::{Mono, Now, Timestamp};

/// A passage that nobody lets through and nobody ends is over after this long: longer than any check at a gate.
const PENDING_MAX: Duration = Duration::from_secs(2 * 3600);
/// One that is under way through a lane is in doubt after this long: nothing stays under an arm for half an hour unseen.
const PASSING_MAX: Duration = Duration::from_secs(30 * 60);
/// One in doubt is kept for the day in which people settle it.
const DOUBT_KEPT: Duration = Duration::from_secs(24 * 3600);
/// A camera's late record may be this old: its own store holds 9,000 records, which is weeks.
const LATE_MAX: Duration = Duration::from_secs(30 * 86_400);
/// A camera's clock may be this far ahead of ours.
const AHEAD_MAX: Duration = Duration::from_secs(60);

/// Why a step was not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotTaken {
    /// The camera's event is known: it is this passage.
    Duplicate(PassageId),
    /// There is a passage of this id.
    Exists,
    /// There is none, or it ended long ago.
    Unknown,
    /// The passage is over.
    Over,
}

/// What became of a late record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Late {
    /// It was entered at its own time.
    Entered,
    /// It is known: this passage.
    Known(PassageId),
    /// Its time cannot be believed, or everything of that time is folded: it is on the list of the day, and not counted.
    Undated,
}

impl Inside {
    /// Returns a new id for a passage.
    pub fn passage_id(&mut self) -> PassageId {
        let id = format!("{}-{}-p{}", self.source.gateway, self.source.boot, self.next_passage);
        self.next_passage += 1;
        PassageId::new(id)
    }

    /// Begins a passage, as something comes to a lane.
    pub fn begin(&mut self, begin: Begin, now: Now) -> Result<(), NotTaken> {
        if let Some(known) = begin.camera.as_ref().and_then(|camera| self.known_read(camera)) {
            *self.resends.entry(begin.lane).or_default() += 1;
            return Err(NotTaken::Duplicate(known));
        }
        if self.passages.contains_key(&begin.passage) {
            return Err(NotTaken::Exists);
        }
        self.make_room(now);
        let at = self.dial.take(now);
        let mut passage = Passage::begin(self.source.gateway.clone(), begin.clone(), at, now.trust, now.mono);
        passage.who.assumed |= begin.occupants_unknown;
        self.remember_read(passage.camera.clone(), &passage.passage);
        self.passages.insert(passage.passage.clone(), passage);
        self.changed();
        Ok(())
    }

    /// Takes a passage a step further.
    pub fn step(&mut self, id: &PassageId, step: Step, now: Now) -> Result<(), NotTaken> {
        let Some(mut passage) = self.passages.get(id).cloned() else { return Err(NotTaken::Unknown) };
        let over = matches!(passage.phase, Phase::Completed | Phase::Ended);
        let at = self.dial.take(now);
        match step {
            Step::Picture(picture) => {
                if !passage.take_picture(picture) {
                    return Ok(());
                }
            }
            Step::Alarm(occ) => drop(passage.links.alarms.insert(occ)),
            Step::Weighed(weighing, kg) => {
                passage.links.weighing = Some(weighing);
                passage.gross_kg = Some(kg);
            }
            Step::Completed => {
                return if passage.phase == Phase::Completed {
                    Err(NotTaken::Over)
                } else {
                    self.complete(passage, now)
                };
            }
            Step::Passing if passage.phase != Phase::Completed => {
                // The world outranks what was expected: it moves after all.
                passage.phase = Phase::Passing;
                passage.outcome = None;
                passage.ended_at = None;
            }
            // A restart took it for refused; the lane knows that the way was open for it.
            Step::Ended(Outcome::InDoubt)
                if passage.phase == Phase::Ended && passage.outcome != Some(Outcome::InDoubt) =>
            {
                self.end(passage, Outcome::InDoubt, now);
                return Ok(());
            }
            _ if over => return Err(NotTaken::Over),
            Step::Identified { who, occupants_unknown } => {
                passage.who.assumed |= occupants_unknown;
                passage.identify(who);
            }
            Step::Decided(decided) => {
                passage.phase = Phase::Decided;
                passage.verdict = Some(decided.verdict);
                passage.reasons = decided.reasons;
                passage.link(decided.links);
                passage.decided_at = Some(at);
            }
            Step::Goes { direction, crossing } => {
                passage.direction = direction;
                passage.direction_code = direction_code(direction);
                passage.crossing = crossing;
            }
            Step::Seen { read, camera, device_time } => {
                self.remember_read(camera.clone(), &passage.passage);
                passage.read = read.or(passage.read.take());
                passage.camera = camera.or(passage.camera.take());
                passage.device_time = device_time.or(passage.device_time.take());
            }
            Step::Released => passage.released = true,
            Step::Followed(followed) => passage.links.followed = followed,
            Step::Answered(answer) => passage.answer = Some(answer),
            Step::Passing => return Err(NotTaken::Over),
            Step::Ended(outcome) => {
                self.end(passage, outcome, now);
                return Ok(());
            }
        }
        self.put(passage, now);
        Ok(())
    }

    /// Enters what followed another passage through, or forced the arm: it crossed, and nobody had let it.
    pub fn unauthorised(&mut self, begin: Begin, followed: Option<PassageId>, now: Now) -> Result<(), NotTaken> {
        let id = begin.passage.clone();
        self.begin(begin, now)?;
        let Some(mut passage) = self.passages.get(&id).cloned() else { return Err(NotTaken::Unknown) };
        passage.links.followed = followed;
        passage.released = false;
        self.complete(passage, now)
    }

    /// Enters a passage that a camera saw while it was offline, at the camera's time. Nothing moves on it.
    pub fn late(&mut self, begin: Begin, now: Now) -> Late {
        if let Some(known) = begin.camera.as_ref().and_then(|camera| self.known_read(camera)) {
            *self.resends.entry(begin.lane).or_default() += 1;
            return Late::Known(known);
        }
        let read = self.dial.read(now);
        let plausible = |at: &Timestamp| *at <= read.after(AHEAD_MAX) && *at >= read.before(LATE_MAX);
        let kept = |at: &Timestamp| self.account.horizon().is_none_or(|horizon| *at > horizon.at);
        let Some(at) = begin.device_time.filter(plausible).filter(kept) else {
            self.remember_read(begin.camera.clone(), &begin.passage);
            let plate = begin.who.vehicle.and_then(|vehicle| vehicle.plate);
            let loose = Loose::Undated { camera: begin.camera, plate, device_time: begin.device_time };
            let placed = self.dial.take(now);
            self.write(Body::Loose(loose), placed, now);
            return Late::Undated;
        };
        self.make_room(now);
        let assumed = begin.occupants_unknown;
        let mut passage = Passage::begin(self.source.gateway.clone(), begin, at, now.trust, now.mono);
        passage.who.assumed |= assumed;
        (passage.offline, passage.late) = (true, true);
        self.cross(passage, Outcome::Crossed, at, now);
        Late::Entered
    }

    fn complete(&mut self, passage: Passage, now: Now) -> Result<(), NotTaken> {
        let at = self.dial.take(now);
        let outcome = if passage.let_through() { Outcome::Crossed } else { Outcome::Unauthorised };
        self.cross(passage, outcome, at, now);
        Ok(())
    }

    /// A passage crossed: its event is written, and its last version recorded.
    fn cross(&mut self, mut passage: Passage, outcome: Outcome, at: Timestamp, now: Now) {
        self.settle_who(&mut passage);
        passage.pair = self.pair_of(&passage);
        passage.phase = Phase::Completed;
        passage.outcome = Some(outcome);
        passage.ended_at = Some(at);
        let crossed = Crossed {
            passage: passage.passage.clone(),
            gate: passage.gate.clone(),
            lane: passage.lane.clone(),
            direction: passage.direction,
            enters: passage.crossing.enters.clone(),
            leaves: passage.crossing.leaves.clone(),
            vehicle: passage.who.vehicle.clone(),
            persons: passage.who.persons.clone(),
            unidentified: passage.who.unidentified,
            assumed: passage.who.assumed,
            company: passage.who.company.clone(),
            camera: passage.camera.clone(),
            late: passage.late,
            authorised: outcome == Outcome::Crossed,
        };
        let subject = subject_of(&passage.who);
        let violation = (outcome == Outcome::Unauthorised).then(|| Violation {
            subject,
            kind: if passage.links.followed.is_some() { ViolationKind::Tailgate } else { ViolationKind::Forced },
            passage: Some(passage.passage.clone()),
        });
        self.write(Body::Crossed(crossed), at, now);
        self.put(passage, now);
        if let Some(violation) = violation {
            self.write(Body::Violated(violation), at, now);
        }
    }

    fn end(&mut self, mut passage: Passage, outcome: Outcome, now: Now) {
        let was = std::mem::replace(&mut passage.phase, Phase::Ended);
        passage.outcome = Some(outcome);
        let at = self.dial.take(now);
        passage.ended_at = Some(at);
        if outcome == Outcome::InDoubt {
            let loose = Loose::InDoubt {
                passage: passage.passage.clone(),
                subject: subject_of(&passage.who),
                direction: passage.direction,
                why: format!("通行在“{}”阶段中断 / interrupted while {was}", was.zh()),
            };
            self.write(Body::Loose(loose), at, now);
            self.tell_in_doubt(&passage);
        }
        self.put(passage, now);
    }

    /// A person knows how a passage in doubt ended. It crossed when the doubt arose: what was counted since counts more.
    pub(super) fn end_doubt(&mut self, mut passage: Passage, crossed: bool, answer: Answered, now: Now) {
        if !crossed {
            return self.end(passage, Outcome::NotEntered, now);
        }
        let at = passage.ended_at.unwrap_or(passage.detected_at);
        passage.answer = Some(answer);
        self.cross(passage, Outcome::Crossed, at, now);
    }

    /// Records a passage's next version, and keeps it.
    fn put(&mut self, mut passage: Passage, now: Now) {
        passage.touched = now.mono;
        passage.clock = now.trust;
        if passage.phase != Phase::Detected {
            let document = Document::of(DocumentKind::Passage, Mode::Real, now.mono, &passage);
            self.outputs.push_back(Output::Document(document));
            passage.version += 1;
        }
        self.passages.insert(passage.passage.clone(), passage);
        self.changed();
    }

    /// Records the last version of a passage whose event was stored before a restart, and its step was not.
    pub(super) fn completed_before(&mut self, mut passage: Passage, now: Now) {
        let outcome = if passage.let_through() { Outcome::Crossed } else { Outcome::Unauthorised };
        (passage.phase, passage.outcome) = (Phase::Completed, Some(outcome));
        passage.ended_at = Some(self.dial.take(now));
        self.put(passage, now);
    }

    /// Ends in doubt, at a restart, what was under way: nobody can say whether it crossed.
    pub(super) fn interrupt(&mut self, passage: Passage, now: Now) {
        let may_have = passage.phase == Phase::Passing || passage.let_through();
        self.end(passage, if may_have { Outcome::InDoubt } else { Outcome::Refused }, now);
    }

    /// Returns when a passage is due to end, or to be forgotten.
    pub(super) fn passage_due(&self, passage: &Passage) -> Mono {
        let after = match passage.phase {
            Phase::Decided if passage.let_through() => self.rules.not_entered_after,
            Phase::Detected | Phase::Decided => PENDING_MAX,
            Phase::Passing => PASSING_MAX,
            Phase::Ended if passage.outcome == Some(Outcome::InDoubt) => DOUBT_KEPT,
            Phase::Completed | Phase::Ended => LINGER,
        };
        passage.touched + after
    }

    pub(super) fn end_due_passages(&mut self, now: Now) {
        let due = |passage: &&Passage| self.passage_due(passage) <= now.mono;
        let due: Vec<Passage> = self.passages.values().filter(due).cloned().collect();
        for passage in due {
            match passage.phase {
                Phase::Completed | Phase::Ended => {
                    self.passages.remove(&passage.passage);
                    self.changed();
                }
                Phase::Passing => self.end(passage, Outcome::InDoubt, now),
                Phase::Detected | Phase::Decided => {
                    let refused = matches!(passage.verdict, Some(Verdict::Deny)) || !passage.let_through();
                    self.end(passage, if refused { Outcome::Refused } else { Outcome::NotEntered }, now);
                }
            }
        }
    }

    /// Makes room for one more passage: of those that are over if there is one, else of what was touched the longest ago.
    fn make_room(&mut self, now: Now) {
        if self.passages.len() < MAX_PASSAGES {
            return;
        }
        let over = |passage: &Passage| matches!(passage.phase, Phase::Completed | Phase::Ended);
        let oldest = self.passages.values().min_by_key(|passage| (!over(passage), passage.touched)).cloned();
        let Some(oldest) = oldest else { return };
        let id = oldest.passage.clone();
        if !over(&oldest) {
            self.interrupt(oldest, now);
        }
        self.passages.remove(&id);
    }

    /// Settles who crosses: what nobody said is taken from the entry of the same vehicle.
    fn settle_who(&self, passage: &mut Passage) {
        let Some(vehicle) = &mut passage.who.vehicle else {
            if passage.lane_kind == LaneKind::Person && passage.who.persons.is_empty() {
                passage.who.unidentified = passage.who.unidentified.max(1);
            }
            return;
        };
        let subject = vehicle.plate.clone().map(Subject::Vehicle);
        let place = subject.as_ref().and_then(|subject| self.account.place(subject));
        let stay = passage.crossing.leaves.iter().find_map(|zone| place?.zones.get(zone));
        if let Some(class) = stay.and_then(|stay| stay.class) {
            // It goes out as what it was counted in as.
            vehicle.class = class;
        }
        if !passage.who.assumed || !passage.who.persons.is_empty() || passage.who.unidentified > 0 {
            return;
        }
        let (Some(stay), Some(plate)) = (stay, vehicle.plate.as_ref()) else {
            passage.who.unidentified = 1;
            return;
        };
        let still = |person: &&PersonRef| {
            let place = self.account.place(&Subject::Person((*person).clone()));
            let mut stays = passage.crossing.leaves.iter().filter_map(|zone| place?.zones.get(zone));
            stays.any(|stay| stay.with.as_ref() == Some(plate))
        };
        passage.who.persons = match self.log.holding(&stay.by).and_then(|event| event.crossed()) {
            Some(entry) => entry.persons.iter().filter(still).cloned().collect(),
            // Its entry is folded already: whoever is inside and came with it.
            None => self.account.persons().filter(still).cloned().collect(),
        };
        passage.who.unidentified = stay.unidentified.max(u16::from(passage.who.persons.is_empty()));
    }

    /// Returns the passage by which what goes out came in, as far as is known now.
    fn pair_of(&self, passage: &Passage) -> Option<PassageId> {
        let place = self.account.place(&subject_of(&passage.who)?)?;
        let zones =
            if passage.direction == Direction::Out { &passage.crossing.leaves } else { &passage.crossing.enters };
        let stay = zones.iter().find_map(|zone| place.zones.get(zone))?;
        stay.through.as_ref().filter(|_| passage.direction == Direction::Out).map(|through| through.passage.clone())
    }

    /// Returns the passage that a camera's event is known to be of.
    pub fn known_read(&self, camera: &CameraEvent) -> Option<PassageId> {
        let recent = self.reads.iter().rev().find(|(read, _)| read == camera).map(|(_, passage)| passage.clone());
        recent.or_else(|| self.account.known_read(camera, &self.log))
    }

    fn remember_read(&mut self, camera: Option<CameraEvent>, passage: &PassageId) {
        let Some(camera) = camera else { return };
        if self.reads.len() >= MAX_READS {
            self.reads.pop_front();
        }
        self.reads.push_back((camera, passage.clone()));
    }

    /// Returns how often each lane's cameras sent what was known, and begins to count anew.
    pub(super) fn take_resends(&mut self) -> Vec<(LaneId, u64)> {
        std::mem::take(&mut self.resends).into_iter().collect()
    }
}

/// Returns what a passage is known by: the vehicle, or the one person on foot.
pub(super) fn subject_of(who: &Who) -> Option<Subject> {
    match &who.vehicle {
        Some(vehicle) => vehicle.plate.clone().map(Subject::Vehicle),
        None => who.persons.first().cloned().map(Subject::Person),
    }
}
