//! Whether what may pass has passed: the order in which a vehicle comes over the loops.

use std::collections::BTreeSet;
use std::time::Duration;

use super::inputs::{ArmAt, Edge};
use super::spec::{GUARDS, Timing};
use super::told::{Authority, LaneFault, Outcome, Step};
use super::{Lane, Phase};
use crate::domain::gate::hardware::{Input, Moved};
use crate::domain::gate::word::LaneKind;
use crate::domain::time::{Mono, Now};

/// What was under the arm has gone, and the loop behind it did not see it: then it went back. A vehicle is longer than the
/// way between the two.
const RESOLVE: Duration = Duration::from_secs(3);

/// Something was under a closed arm, and then on the loop behind it: within this, it is the same thing.
const THROUGH: Duration = Duration::from_secs(5);

/// What the loops have seen since the last crossing.
#[derive(Clone, Debug, Default)]
pub(super) struct Track {
    /// Guards that saw something.
    seen: BTreeSet<Input>,
    /// When one last did.
    last_seen: Option<Mono>,
    /// When the loop behind the arm was last left.
    exit_left: Option<Mono>,
    /// When both guards came clear after something had entered.
    gone: Option<Mono>,
}

impl Track {
    pub(super) fn dues(&self, timing: &Timing) -> impl Iterator<Item = Mono> {
        let gone = self.gone.map(|at| [at + RESOLVE, at + timing.same_vehicle]);
        gone.into_iter().flatten()
    }
}

impl Lane {
    /// Takes an input's edge.
    pub(super) fn take_edge(&mut self, input: Input, edge: Edge, now: Now) {
        match (input, edge) {
            (Input::UnderArm | Input::Beam, Edge::Rose) => self.under(input, now),
            (Input::UnderArm | Input::Beam, Edge::Fell) => self.no_longer_under(input, now),
            (Input::Exit, Edge::Rose) => self.behind(now),
            (Input::Exit, Edge::Fell) => self.track.exit_left = Some(now.mono),
            (Input::Approach, Edge::Fell) => {
                if let Some(passage) = self.current.as_mut().filter(|passage| passage.entered.is_some()) {
                    passage.cleared_approach = true;
                }
            }
            (Input::ArmOff, Edge::Rose) => self.pulse(LaneFault::Forced, Input::ArmOff.as_str()),
            (Input::ManualOpen, Edge::Rose) => self.opened_by_hand(now),
            (Input::CallButton, Edge::Rose) => self.call_button(now),
            (Input::GuardButton, Edge::Rose) => self.guard_button(now),
            (Input::ExitButton, Edge::Rose) => self.exit_button(now),
            (Input::DoorOpen, Edge::Rose) => self.door_opened(now),
            (Input::DoorOpen, Edge::Fell) => self.door_closed(now),
            (Input::Passed, Edge::Rose) => self.went_through(now),
            _ => {}
        }
    }

    fn under(&mut self, input: Input, now: Now) {
        self.track.seen.insert(input);
        (self.track.last_seen, self.track.gone) = (Some(now.mono), None);
        let open = matches!(self.phase, Phase::Opening | Phase::Passing | Phase::Held);
        // A person who walks through the beam is not the vehicle.
        self.enter(open && input == self.primary(now), now);
    }

    /// The guard that says whether a vehicle is under the arm: the loop, and the beam where there is no loop that works.
    fn primary(&self, now: Now) -> Input {
        let works =
            self.inputs.on(Input::UnderArm, now.mono).is_some() && !self.inputs.suspects().contains(&Input::UnderArm);
        if self.spec.inputs.contains(&Input::UnderArm) && works { Input::UnderArm } else { Input::Beam }
    }

    pub(super) fn enter(&mut self, open: bool, now: Now) {
        let entering = self.current.as_mut().filter(|passage| open && passage.may_pass() && passage.entered.is_none());
        if let Some(passage) = entering {
            passage.entered = Some(now.mono);
            let id = passage.id.clone();
            self.step(id, Step::Entered, now);
        }
    }

    fn no_longer_under(&mut self, input: Input, now: Now) {
        self.track.last_seen = Some(now.mono);
        if self.inputs.trust(input) {
            self.revision += 1;
        }
        if self.inputs.occupied_since(&self.spec, now.mono).is_none() {
            self.track.gone = Some(now.mono);
        }
    }

    /// The loop behind the arm was reached.
    fn behind(&mut self, now: Now) {
        let trailer = self.track.exit_left.is_some_and(|left| now.mono.since(left) < self.spec.timing.same_vehicle);
        if self.spec.kind == LaneKind::Vehicle && !trailer {
            self.crossing(now);
        }
    }

    /// Returns whether something came from under the arm, as far as the guards can say: one that is dead may have missed it.
    fn came_through(&self, now: Now) -> bool {
        let blind = GUARDS.into_iter().filter(|guard| self.spec.inputs.contains(guard));
        let mut blind = blind.filter(|guard| self.inputs.off_since(*guard, now.mono).is_none());
        !self.track.seen.is_empty() || blind.next().is_some() || !self.spec.has_guards()
    }

    /// Something crossed.
    fn crossing(&mut self, now: Now) {
        if !self.came_through(now) {
            // It stands behind the arm, and came from there.
            return;
        }
        let through = self.track.last_seen.is_some_and(|seen| now.mono.since(seen) < THROUGH);
        let may_pass = self.current.as_ref().is_some_and(super::passage::Passage::may_pass);
        match self.phase {
            Phase::Opening | Phase::Passing if may_pass => {
                self.crossed(now);
                self.go(Phase::Clearing, now);
            }
            Phase::Held if may_pass => {
                self.crossed(now);
                self.current = self.waiting.take();
            }
            Phase::Held => self.ad_hoc(Outcome::Free, self.held_by().unwrap_or(Authority::Nothing), now),
            Phase::Passing => {
                self.ad_hoc(Outcome::ByHand, Authority::ByHand, now);
                self.go(Phase::Clearing, now);
            }
            Phase::Opening | Phase::Clearing | Phase::Closing => {
                self.pulse(LaneFault::Tailgate, "");
                match self.waiting.take() {
                    Some(waiting) => self.end(waiting, Outcome::Tailgate, now),
                    None => self.ad_hoc(Outcome::Tailgate, Authority::Nothing, now),
                }
            }
            Phase::Idle | Phase::Approach | Phase::Identified | Phase::Decided => {
                self.crossed_without_right(through, now)
            }
        }
        self.track = Track { exit_left: self.track.exit_left, ..Track::default() };
    }

    fn crossed_without_right(&mut self, through: bool, now: Now) {
        if self.inputs.arm(&self.spec, now.mono) == ArmAt::Up {
            return self.ad_hoc(Outcome::ByHand, Authority::ByHand, now);
        }
        if !through {
            return;
        }
        self.pulse(LaneFault::Forced, "");
        if self.current.is_some() {
            self.end_current(Outcome::Forced, now);
            self.go(Phase::Idle, now);
        } else {
            self.ad_hoc(Outcome::Forced, Authority::Nothing, now);
        }
    }

    fn crossed(&mut self, now: Now) {
        self.judge_guards();
        self.enter(true, now);
        let outcome = match self.current.as_ref().map(|passage| &passage.authority) {
            Some(Authority::Fire | Authority::Site(_) | Authority::Hold(_)) => Outcome::Free,
            Some(Authority::ByHand) => Outcome::ByHand,
            _ => Outcome::Crossed,
        };
        self.end_current(outcome, now);
    }

    /// A vehicle crossed: a guard that did not see it cannot be relied on (UL 325: monitored in every cycle).
    fn judge_guards(&mut self) {
        for guard in GUARDS.into_iter().filter(|guard| self.spec.inputs.contains(guard)) {
            if !self.track.seen.contains(&guard) && self.inputs.suspect(guard) {
                self.revision += 1;
            }
        }
    }

    /// What was under the arm is gone: it crossed, where no loop behind the arm could say so, or it went back.
    pub(super) fn advance_gone(&mut self, now: Now) {
        let Some(gone) = self.track.gone else { return };
        let waited = now.mono.since(gone);
        if self.spec.inputs.contains(&Input::Exit) {
            if waited >= RESOLVE && matches!(self.phase, Phase::Passing | Phase::Held) {
                self.went_back(now);
            }
        } else if waited >= self.spec.timing.same_vehicle {
            self.gone_by_itself(now);
        }
    }

    fn went_back(&mut self, now: Now) {
        self.track = Track { exit_left: self.track.exit_left, ..Track::default() };
        let Some(passage) = self.current.as_ref().filter(|passage| passage.entered.is_some()) else { return };
        let back = self.inputs.on(Input::Exit, now.mono).is_some() && passage.approached;
        self.end_current(if back { Outcome::TurnedBack } else { Outcome::Unclear }, now);
        self.next_or_clear(now);
    }

    fn next_or_clear(&mut self, now: Now) {
        if self.phase == Phase::Held {
            self.current = self.waiting.take();
        } else {
            self.go(Phase::Clearing, now);
        }
    }

    fn gone_by_itself(&mut self, now: Now) {
        let vehicle = self.track.seen.contains(&self.primary(now));
        let shut = matches!(self.phase, Phase::Idle | Phase::Approach | Phase::Identified | Phase::Decided);
        if !vehicle || (shut && self.inputs.arm(&self.spec, now.mono) != ArmAt::Up) {
            // Somebody walked through the beam, or under a closed arm.
            self.track = Track::default();
            return;
        }
        let before =
            |passage: &&super::Passage| passage.entered.is_some() && passage.approached && !passage.cleared_approach;
        if self.current.as_ref().is_some_and(|passage| before(&passage)) && !shut {
            // Something has stood before the arm all the time: it, going back, or the next one, close behind. Nobody knows.
            self.track = Track::default();
            self.end_current(Outcome::Unclear, now);
            return self.next_or_clear(now);
        }
        self.crossing(now);
    }

    /// The camera saw what it did.
    pub(super) fn take_moved(&mut self, how: Moved, now: Now) {
        let turned = how == Moved::TurnedBack && self.current.as_ref().is_some_and(|passage| passage.entered.is_none());
        if !turned {
            return;
        }
        self.end_current(Outcome::TurnedBack, now);
        match self.phase {
            Phase::Approach | Phase::Identified | Phase::Decided => self.go(Phase::Idle, now),
            Phase::Opening | Phase::Passing => self.go(Phase::Clearing, now),
            Phase::Idle | Phase::Clearing | Phase::Closing => {}
            Phase::Held => self.current = self.waiting.take(),
        }
    }

    /// Somebody opened at the barrier itself.
    pub(super) fn opened_by_hand(&mut self, now: Now) {
        if self.spec.kind != LaneKind::Vehicle || self.held_by().is_some() || self.arm.is_holding() {
            return;
        }
        self.tell(LaneFault::ManualOpen, "", true);
        match self.phase {
            Phase::Idle | Phase::Approach | Phase::Identified | Phase::Decided => {
                self.release = None;
                if let Some(passage) = &mut self.current {
                    passage.authority = Authority::ByHand;
                    if let Some(answers) = passage.answer.take() {
                        self.dismiss(answers, now);
                    }
                }
                self.go(Phase::Passing, now);
            }
            Phase::Clearing | Phase::Closing => self.go(Phase::Passing, now),
            Phase::Opening | Phase::Passing | Phase::Held => {}
        }
    }
}
