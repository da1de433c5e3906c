//! One passage, from first detection to its end, and what a vehicle's way through the lane is by time and loops.

use std::collections::BTreeSet;
use std::time::Duration;

use super::inputs::ArmAt;
use super::spec::{Closes, FRESH, Flow};
use super::told::{Authority, Call, CallWhy, LaneFault, Outcome, Output, PassageStep, Step};
use super::{DECISION_PATIENCE, Lane, Phase};
use crate::domain::gate::hardware::{CameraEvent, Input};
use crate::domain::gate::presented::{Credential, PlateRead};
use crate::domain::gate::verdict::Verdict;
use crate::domain::gate::word::{Direction, PassageId};
use crate::domain::record::Mode;
use crate::domain::time::{Mono, Now, Timestamp};

/// Where nothing but time says that who was referred to a guard has gone: a guard is called, walks there, and looks.
const REFERRED: Duration = Duration::from_secs(600);

/// A passage that has not ended.
#[derive(Clone, Debug)]
pub(super) struct Passage {
    pub(super) id: PassageId,
    pub(super) direction: Direction,
    pub(super) first: Mono,
    /// When what is to pass was last known to stand there: the life of an opening counts from here.
    pub(super) looked: Mono,
    pub(super) plate: Option<PlateRead>,
    /// The camera was not sure of it.
    pub(super) unsure: bool,
    pub(super) credentials: Vec<Credential>,
    /// When somebody in a vehicle showed something first.
    pub(super) shown: Option<Mono>,
    pub(super) event: Option<CameraEvent>,
    pub(super) device_time: Option<Timestamp>,
    /// A live read that nobody has answered yet.
    pub(super) answer: Option<CameraEvent>,
    /// Number of questions asked about it.
    pub(super) ask: u32,
    pub(super) asked: Option<Mono>,
    pub(super) verdict: Option<Verdict>,
    pub(super) authority: Authority,
    pub(super) opened: bool,
    pub(super) entered: Option<Mono>,
    /// It was seen on the approach loop.
    pub(super) approached: bool,
    /// The approach loop was left behind since it entered.
    pub(super) cleared_approach: bool,
    pub(super) called: BTreeSet<CallWhy>,
}

impl Passage {
    pub(super) fn new(id: PassageId, direction: Direction, at: Mono) -> Self {
        Self {
            id,
            direction,
            first: at,
            looked: at,
            plate: None,
            unsure: false,
            credentials: Vec::new(),
            shown: None,
            event: None,
            device_time: None,
            answer: None,
            ask: 0,
            asked: None,
            verdict: None,
            authority: Authority::Nothing,
            opened: false,
            entered: None,
            approached: false,
            cleared_approach: false,
            called: BTreeSet::new(),
        }
    }

    /// Returns whether something gave it the right to pass.
    pub(super) fn may_pass(&self) -> bool {
        self.authority != Authority::Nothing
    }
}

impl Lane {
    pub(super) fn mode(&self) -> Mode {
        match (self.is_commissioning(), self.is_drill()) {
            (true, _) => Mode::Commissioning,
            (false, true) => Mode::Drill,
            (false, false) => Mode::Real,
        }
    }

    pub(super) fn step(&mut self, passage: PassageId, what: Step, now: Now) {
        let step = PassageStep { passage, lane: self.spec.id.clone(), at: now.mono, mode: self.mode(), what };
        self.outputs.push_back(Output::Step(step));
        self.revision += 1;
    }

    /// Begins a passage and tells of it; it is not yet the current one.
    pub(super) fn begin(&mut self, direction: Direction, at: Mono, now: Now) -> Passage {
        let id = PassageId::new(self.name("p"));
        self.step(id.clone(), Step::Detected { direction }, now);
        let mut passage = Passage::new(id, direction, at);
        passage.approached = self.inputs.on(Input::Approach, now.mono) == Some(true);
        passage
    }

    /// Ends a passage.
    pub(super) fn end(&mut self, mut passage: Passage, outcome: Outcome, now: Now) {
        if let Some(answers) = passage.answer.take() {
            self.dismiss(answers, now);
        }
        let Passage { id, direction, authority, .. } = passage;
        self.step(id, Step::Completed { direction, outcome, authority }, now);
    }

    /// Ends the current passage, if there is one.
    pub(super) fn end_current(&mut self, outcome: Outcome, now: Now) {
        if let Some(passage) = self.current.take() {
            self.release = None;
            self.end(passage, outcome, now);
        }
    }

    /// A passage of which nothing was known before it was over.
    pub(super) fn ad_hoc(&mut self, outcome: Outcome, authority: Authority, now: Now) {
        let mut passage = self.begin(self.direction(), now.mono, now);
        passage.authority = authority;
        self.end(passage, outcome, now);
    }

    /// Calls a person, once for each reason.
    pub(super) fn call(&mut self, why: CallWhy, now: Now) {
        if self.current.as_mut().is_some_and(|passage| !passage.called.insert(why)) {
            return;
        }
        let passage = self.current.as_ref().map(|passage| passage.id.clone());
        let lane = self.spec.id.clone();
        self.outputs.push_back(Output::Call(Call { lane, passage, why, at: now.mono }));
        self.revision += 1;
    }

    /// Returns when what is to pass was last known to stand there: on the approach loop without a break since it was read,
    /// or when it was read.
    pub(super) fn presence(&self, passage: &Passage, now: Now) -> Mono {
        let standing = self.inputs.on_since(Input::Approach, now.mono);
        let same = standing.filter(|since| *since <= passage.first + self.spec.timing.open_life);
        same.and_then(|_| self.inputs.seen_on(Input::Approach)).map_or(passage.looked, |at| at.max(passage.looked))
    }

    /// Returns whether the current passage has left the approach loop that it had stood on.
    fn left(&self, now: Now) -> bool {
        let off = self.inputs.off_since(Input::Approach, now.mono);
        let approached = self.current.as_ref().is_some_and(|passage| passage.approached);
        approached && off.is_some_and(|since| now.mono.since(since) >= self.spec.timing.same_vehicle)
    }

    /// What follows, at a lane for vehicles, from time and from where things stand.
    pub(super) fn advance_cycle(&mut self, now: Now) {
        self.advance_gone(now);
        match self.phase {
            Phase::Idle => self.advance_idle(now),
            Phase::Approach | Phase::Identified | Phase::Decided => self.advance_before(now),
            Phase::Opening | Phase::Held => {}
            Phase::Passing => self.advance_passing(now),
            Phase::Clearing => self.advance_clearing(now),
            Phase::Closing => self.advance_closing(now),
        }
    }

    fn advance_idle(&mut self, now: Now) {
        if let Some(waiting) = self.waiting.take() {
            return self.promote(waiting, now);
        }
        if self.inputs.on(Input::Approach, now.mono) == Some(true) && self.current.is_none() {
            self.current = Some(self.begin(self.direction(), now.mono, now));
            self.go(Phase::Approach, now);
        }
    }

    /// What was read behind another one is next, if it still stands there; a person looks where that is not known.
    fn promote(&mut self, mut waiting: Passage, now: Now) {
        waiting.looked = self.presence(&waiting, now);
        let there = now.mono.since(waiting.looked) < self.spec.timing.open_life;
        let gone = self.inputs.on(Input::Approach, now.mono) == Some(false) && waiting.approached;
        if !there && gone {
            return self.end(waiting, Outcome::NotEntered, now);
        }
        self.current = Some(waiting);
        if there {
            return self.identify(now);
        }
        self.refer(CallWhy::DecisionLate, now);
    }

    /// It came, and nothing was opened for it.
    fn advance_before(&mut self, now: Now) {
        let Some(passage) = &mut self.current else { return self.go(Phase::Idle, now) };
        passage.approached |= self.inputs.on(Input::Approach, now.mono) == Some(true);
        let (first, verdict, asked) = (passage.first, passage.verdict, passage.asked);
        let referred = matches!(verdict, Some(Verdict::Refer | Verdict::Hold));
        let life = if referred { REFERRED } else { self.spec.timing.not_entered };
        let by_time = !self.current.as_ref().is_some_and(|passage| passage.approached);
        let waits = now.mono.since(first);
        if self.left(now) {
            self.end_current(Outcome::TurnedBack, now);
            return self.go(Phase::Idle, now);
        }
        if by_time && waits >= life {
            self.end_current(Outcome::NotEntered, now);
            return self.go(Phase::Idle, now);
        }
        let patience = waits >= self.spec.timing.patience;
        match self.phase {
            Phase::Approach if patience => self.call(CallWhy::NotIdentified, now),
            Phase::Identified if asked.is_some_and(|asked| now.mono.since(asked) >= DECISION_PATIENCE) => {
                self.call(CallWhy::NoDecision, now);
            }
            Phase::Identified if asked.is_none() => self.ask_when_known(now),
            Phase::Decided if verdict == Some(Verdict::Deny) && patience && !by_time => {
                self.call(CallWhy::StillThere, now);
            }
            Phase::Idle
            | Phase::Approach
            | Phase::Identified
            | Phase::Decided
            | Phase::Opening
            | Phase::Passing
            | Phase::Clearing
            | Phase::Closing
            | Phase::Held => {}
        }
    }

    fn advance_passing(&mut self, now: Now) {
        let waited = now.mono.since(self.since);
        let timing = self.spec.timing;
        match &self.current {
            Some(passage) if passage.entered.is_none() && waited >= timing.not_entered => {
                self.end_current(Outcome::NotEntered, now);
                self.go(Phase::Clearing, now);
            }
            None if waited >= timing.max_open => self.go(Phase::Clearing, now),
            Some(_) | None => {}
        }
    }

    fn advance_clearing(&mut self, now: Now) {
        let arm = self.inputs.arm(&self.spec, now.mono);
        if arm == ArmAt::Down && self.arm.at_rest() {
            self.tell(LaneFault::ManualOpen, "", false);
            return self.go(Phase::Idle, now);
        }
        if self.spec.closes == Closes::Gateway {
            self.close_when_clear(now);
        }
    }

    fn advance_closing(&mut self, now: Now) {
        if self.inputs.arm(&self.spec, now.mono) == ArmAt::Down {
            self.arm.proven();
            self.tell(LaneFault::NotMoved, "", false);
            self.tell(LaneFault::ManualOpen, "", false);
            return self.go(Phase::Idle, now);
        }
        if !self.inputs.clear_to_close(&self.spec, now.mono, Duration::ZERO) {
            self.reverse(now);
        }
    }

    pub(super) fn cycle_dues(&self) -> Vec<Mono> {
        let timing = &self.spec.timing;
        let mut dues = Vec::new();
        if let Some(passage) = &self.current {
            let life = if matches!(passage.verdict, Some(Verdict::Refer | Verdict::Hold)) {
                REFERRED
            } else {
                timing.not_entered
            };
            dues.extend([passage.first + life, passage.first + timing.patience]);
            dues.extend(passage.asked.map(|asked| asked + DECISION_PATIENCE));
            if passage.asked.is_none() {
                dues.extend([Some(passage.first + timing.weigh), self.read_by(passage)].into_iter().flatten());
            }
        }
        dues.extend([self.since + timing.not_entered, self.since + timing.max_open, self.since + timing.door_held]);
        let off = self.inputs.off_since(Input::Approach, self.last);
        dues.extend(off.map(|since| since + timing.same_vehicle));
        dues.extend(self.track.dues(timing));
        if self.phase == Phase::Closing {
            dues.extend(self.inputs.clear_until(&self.spec));
        }
        if self.phase == Phase::Identified || self.phase == Phase::Decided {
            dues.extend(self.inputs.seen_on(Input::Approach).map(|at| at + FRESH));
        }
        dues
    }

    /// Returns which way the lane leads now.
    pub(super) fn direction(&self) -> Direction {
        match self.spec.flow {
            Flow::Reversible(_) => self.rights.direction,
            fixed @ (Flow::In | Flow::Out | Flow::Both) => fixed.usual(),
        }
    }
}
