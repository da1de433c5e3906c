//! Lanes for persons: doors and turnstiles. A strike that is released by a pulse and falls back by itself, a contact or a
//! counter that says whether somebody went through. Who leaves is never asked.

use super::told::{Authority, LaneFault, Outcome};
use super::{Lane, Phase};
use crate::domain::gate::hardware::Input;
use crate::domain::gate::presented::Credential;
use crate::domain::gate::word::{Direction, LaneKind};
use crate::domain::time::{Mono, Now};

impl Lane {
    /// Takes what a person showed.
    pub(super) fn take_shown(&mut self, direction: Direction, credential: Credential, at: Mono, now: Now) {
        if self.spec.kind == LaneKind::Vehicle {
            return self.shown_in_vehicle(credential, now);
        }
        let repeats = self.current.as_ref().is_some_and(|passage| {
            let same = passage.credentials.contains(&credential) && passage.direction == direction;
            same && at.since(passage.looked) < self.spec.timing.duplicate
        });
        if repeats {
            // Who leaves and shows it twice wants out; who comes in waits for the answer that is under way.
            let free = self.leaves_freely(direction) && self.phase != Phase::Held;
            return if free { self.release_leaving(now) } else { self.look_again(at) };
        }
        if self.phase == Phase::Held {
            let mut passage = self.begin(direction, at, now);
            passage.credentials.push(credential);
            return self.pass_held(passage, now);
        }
        self.next_person(now);
        let mut passage = self.begin(direction, at, now);
        passage.credentials.push(credential);
        self.current = Some(passage);
        self.identify(now);
    }

    fn look_again(&mut self, at: Mono) {
        if let Some(passage) = self.current.as_mut().filter(|passage| !passage.may_pass()) {
            passage.looked = passage.looked.max(at);
        }
    }

    /// What the driver or somebody else in a vehicle shows belongs to the vehicle that waits.
    fn shown_in_vehicle(&mut self, credential: Credential, now: Now) {
        let waits = matches!(self.phase, Phase::Approach | Phase::Identified | Phase::Decided);
        let Some(passage) = self.current.as_mut().filter(|passage| waits && !passage.may_pass()) else { return };
        if passage.credentials.contains(&credential) {
            return;
        }
        passage.credentials.push(credential);
        passage.verdict = None;
        passage.looked = now.mono;
        passage.shown.get_or_insert(now.mono);
        self.identify(now);
    }

    /// Something was shown that is no credential: who leaves is let out all the same.
    pub(super) fn take_not_shown(&mut self, direction: Direction, now: Now) {
        if self.leaves_freely(direction) && self.spec.kind == LaneKind::Person {
            self.leave(now);
        }
    }

    /// The exit button: nobody knows who, and nobody asks.
    pub(super) fn exit_button(&mut self, now: Now) {
        if self.spec.kind == LaneKind::Person {
            self.leave(now);
        }
    }

    fn leave(&mut self, now: Now) {
        if self.phase == Phase::Held {
            return;
        }
        let under_way = self.current.as_ref().is_some_and(|passage| {
            passage.authority == Authority::Leaving && passage.credentials.is_empty() && passage.entered.is_none()
        });
        if !under_way {
            self.next_person(now);
            self.current = Some(self.begin(Direction::Out, now.mono, now));
        }
        self.release_leaving(now);
    }

    /// The next one is there: the one before is through, or did not go.
    fn next_person(&mut self, now: Now) {
        let entered = self.current.as_ref().is_some_and(|passage| passage.entered.is_some());
        self.end_current(if entered { Outcome::Crossed } else { Outcome::NotEntered }, now);
    }

    pub(super) fn door_opened(&mut self, now: Now) {
        let open = matches!(self.phase, Phase::Opening | Phase::Passing | Phase::Held);
        if self.current.as_ref().is_some_and(super::passage::Passage::may_pass) && open {
            if self.phase == Phase::Opening {
                self.opened_for_current(now);
                self.go(Phase::Passing, now);
            }
            return self.enter(true, now);
        }
        if self.phase != Phase::Held && self.spec.kind == LaneKind::Person {
            self.pulse(LaneFault::Forced, Input::DoorOpen.as_str());
            self.ad_hoc(Outcome::Forced, Authority::Nothing, now);
        }
    }

    pub(super) fn door_closed(&mut self, now: Now) {
        let entered = self.current.as_ref().is_some_and(|passage| passage.entered.is_some());
        if entered && !self.spec.inputs.contains(&Input::Passed) {
            self.person_through(now);
        }
    }

    /// The turnstile counted one.
    pub(super) fn went_through(&mut self, now: Now) {
        if self.spec.kind != LaneKind::Person {
            return;
        }
        let open = matches!(self.phase, Phase::Opening | Phase::Passing | Phase::Held);
        if open && self.current.as_ref().is_some_and(super::passage::Passage::may_pass) {
            return self.person_through(now);
        }
        match self.held_by() {
            Some(authority) => self.ad_hoc(Outcome::Free, authority, now),
            None => {
                self.pulse(LaneFault::Tailgate, "");
                self.ad_hoc(Outcome::Tailgate, Authority::Nothing, now);
            }
        }
    }

    fn person_through(&mut self, now: Now) {
        let held = self.phase == Phase::Held;
        self.enter(true, now);
        self.end_current(if held { Outcome::Free } else { Outcome::Crossed }, now);
        if held {
            self.current = self.waiting.take();
        } else {
            self.go(Phase::Idle, now);
        }
    }

    /// What follows, at a lane for persons, from time.
    pub(super) fn advance_door(&mut self, now: Now) {
        let waited = now.mono.since(self.since);
        let entered = self.current.as_ref().is_some_and(|passage| passage.entered.is_some());
        match self.phase {
            Phase::Identified | Phase::Decided if self.current.is_none() => self.go(Phase::Idle, now),
            Phase::Identified if self.current.as_ref().is_some_and(|passage| passage.asked.is_none()) => self.ask(now),
            Phase::Identified | Phase::Decided | Phase::Passing
                if waited >= self.spec.timing.not_entered && !entered =>
            {
                self.end_current(Outcome::NotEntered, now);
                self.go(Phase::Idle, now);
            }
            Phase::Passing if self.current.is_none() => self.go(Phase::Idle, now),
            Phase::Approach | Phase::Clearing | Phase::Closing => self.go(Phase::Idle, now),
            Phase::Idle | Phase::Identified | Phase::Decided | Phase::Opening | Phase::Passing | Phase::Held => {}
        }
    }
}
