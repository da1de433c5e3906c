//! What cameras and readers say: whose passage it is, whether it was said before, and what is asked about it.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::told::{Ask, CallWhy, Outcome, Output, Step};
use super::{Lane, Phase};
use crate::domain::gate::hardware::{CameraEvent, LaneDevice, PlateSeen, ReadFlag, Weight};
use crate::domain::gate::plate::Plate;
use crate::domain::gate::presented::Presented;
use crate::domain::gate::word::Direction;
use crate::domain::time::{Mono, Now};

/// Events of cameras that are remembered: a camera sends one again up to four times within seconds, and after an outage up
/// to 9,000 that it kept, some of them twice. Those of an outage are told apart for good where passages are kept, by the same
/// number; here it is enough not to tell most of them twice.
const EVENTS: usize = 1024;
/// Plates that are remembered: more than pass within the longest time that a repetition may take.
const PLATES: usize = 64;

/// What was said lately.
#[derive(Clone, Debug, Default)]
pub(super) struct Recent {
    pub(super) events: VecDeque<CameraEvent>,
    pub(super) plates: VecDeque<(Plate, Mono)>,
    /// Decisions that were acted on.
    pub(super) acted: VecDeque<crate::domain::gate::word::DecisionId>,
}

/// What was said lately, as it is saved. Plates are taken for read at the restart: rather one repetition too many.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedRecent {
    /// Events of cameras.
    pub events: Vec<CameraEvent>,
    /// Plates.
    pub plates: Vec<Plate>,
    /// Decisions that were acted on.
    pub acted: Vec<crate::domain::gate::word::DecisionId>,
}

pub(super) fn keep<T>(queue: &mut VecDeque<T>, value: T, most: usize) {
    if queue.len() >= most {
        queue.pop_front();
    }
    queue.push_back(value);
}

impl Lane {
    /// Takes a read of a plate.
    pub(super) fn take_plate(&mut self, seen: &PlateSeen, at: Mono, now: Now) {
        if seen.opened_by_camera {
            self.disarm(&seen.device);
        }
        if self.recent.events.contains(&seen.event) {
            return self.dismiss(seen.event.clone(), now);
        }
        keep(&mut self.recent.events, seen.event.clone(), EVENTS);
        self.revision += 1;
        if seen.offline {
            return self.take_late(seen, now);
        }
        if !seen.live {
            // Too old to be acted on, or from a camera that is not believed.
            return self.dismiss(seen.event.clone(), now);
        }
        if self.is_repetition(seen, at) {
            return self.dismiss(seen.event.clone(), now);
        }
        if let Some(plate) = &seen.read.plate {
            keep(&mut self.recent.plates, (plate.clone(), at), PLATES);
        }
        self.take_live(seen, at, now);
    }

    /// A record that the camera had kept. It is entered at its own time, and moves nothing.
    fn take_late(&mut self, seen: &PlateSeen, now: Now) {
        let direction = seen.direction.unwrap_or_else(|| self.spec.flow.usual());
        let (plate, event, device_time) = (seen.read.clone(), seen.event.clone(), seen.device_time);
        // Named after the camera's own number, so that it is the same passage however often it comes.
        let time = device_time.map_or(0, |time| time.0);
        let id = format!("{}.late.{}.{}.{time}", self.spec.id, event.serial, event.number);
        let late = Step::Late { direction, plate, event, device_time, opened_by_camera: seen.opened_by_camera };
        self.step(crate::domain::gate::word::PassageId::new(id), late, now);
        self.dismiss(seen.event.clone(), now);
    }

    /// The same plate within the time set. It tells, all the same, that the vehicle still stands there.
    fn is_repetition(&mut self, seen: &PlateSeen, at: Mono) -> bool {
        let Some(plate) = &seen.read.plate else { return false };
        let within = self.spec.timing.duplicate;
        let known =
            self.recent.plates.iter_mut().rev().find(|(known, before)| known == plate && at.since(*before) < within);
        let Some((_, before)) = known else { return false };
        *before = at;
        for passage in [&mut self.current, &mut self.waiting].into_iter().flatten() {
            let same = passage.plate.as_ref().is_some_and(|read| read.plate.as_ref() == Some(plate));
            if same && !passage.may_pass() {
                passage.looked = passage.looked.max(at);
            }
        }
        true
    }

    fn take_live(&mut self, seen: &PlateSeen, at: Mono, now: Now) {
        let direction = seen.direction.unwrap_or_else(|| self.direction());
        match self.phase {
            Phase::Idle | Phase::Approach | Phase::Identified | Phase::Decided => {
                let same_vehicle = self.current.as_ref().is_some_and(|passage| passage.approached);
                // What was allowed was allowed to another plate.
                self.release = None;
                if self.phase != Phase::Approach && !same_vehicle {
                    self.end_current(Outcome::NotEntered, now);
                }
                let passage = self.current.take();
                let mut passage = passage.unwrap_or_else(|| self.begin(direction, at, now));
                if let Some(old) = passage.answer.take() {
                    self.dismiss(old, now);
                }
                passage.direction = direction;
                Self::fill(&mut passage, seen, at);
                self.current = Some(passage);
                self.identify(now);
            }
            Phase::Opening | Phase::Passing | Phase::Clearing | Phase::Closing => self.wait(seen, direction, at, now),
            Phase::Held => self.take_held(seen, direction, at, now),
        }
    }

    fn fill(passage: &mut super::Passage, seen: &PlateSeen, at: Mono) {
        passage.looked = at;
        passage.plate = Some(seen.read.clone());
        passage.unsure = seen.flags.contains(&ReadFlag::LowConfidence);
        passage.answer = Some(seen.event.clone());
        passage.event = Some(seen.event.clone());
        passage.device_time = seen.device_time;
        (passage.verdict, passage.asked) = (None, None);
    }

    /// Another one before the arm, while the first still has the lane: it is asked about when its turn comes.
    fn wait(&mut self, seen: &PlateSeen, direction: Direction, at: Mono, now: Now) {
        if let Some(before) = self.waiting.take() {
            self.end(before, Outcome::NotEntered, now);
        }
        let mut passage = self.begin(direction, at, now);
        Self::fill(&mut passage, seen, at);
        passage.answer = None;
        self.tell_identified(&passage, now);
        self.dismiss(seen.event.clone(), now);
        self.waiting = Some(passage);
    }

    /// Everything stands open: it is entered who passes.
    fn take_held(&mut self, seen: &PlateSeen, direction: Direction, at: Mono, now: Now) {
        let mut passage = self.begin(direction, at, now);
        Self::fill(&mut passage, seen, at);
        passage.answer = None;
        self.dismiss(seen.event.clone(), now);
        self.pass_held(passage, now);
    }

    pub(super) fn pass_held(&mut self, mut passage: super::Passage, now: Now) {
        self.tell_identified(&passage, now);
        passage.authority = self.held_by().unwrap_or(super::Authority::Nothing);
        passage.opened = self.arm.holding_seen;
        passage.ask += 1;
        self.outputs.push_back(Output::Decide(self.question(&passage, true)));
        if passage.opened {
            let (id, authority) = (passage.id.clone(), passage.authority.clone());
            self.step(id, Step::Opened { authority }, now);
        }
        if self.current.is_some() && self.waiting.is_some() {
            // Three at once, and nobody saw the first one cross.
            self.end_current(Outcome::Unclear, now);
        }
        if self.current.is_none() {
            self.current = self.waiting.take();
        }
        if self.current.is_some() {
            self.waiting = Some(passage);
        } else {
            self.current = Some(passage);
        }
    }

    pub(super) fn tell_identified(&mut self, passage: &super::Passage, now: Now) {
        let step = Step::Identified {
            direction: passage.direction,
            plate: passage.plate.clone(),
            credentials: passage.credentials.clone(),
            event: passage.event.clone(),
            device_time: passage.device_time,
        };
        self.step(passage.id.clone(), step, now);
    }

    /// The current passage is known by something now: it is told, and asked about.
    pub(super) fn identify(&mut self, now: Now) {
        let Some(passage) = self.current.clone() else { return };
        self.tell_identified(&passage, now);
        self.go(Phase::Identified, now);
        if self.leaves_freely(passage.direction) {
            return self.release_leaving(now);
        }
        self.ask_when_known(now);
    }

    /// Asks, as soon as weight and plate are known where the lane has a scale and a camera, or when they were waited for long
    /// enough.
    pub(super) fn ask_when_known(&mut self, now: Now) {
        let Some(passage) = &self.current else { return };
        let weighs = self.spec.scale && self.gross_kg().is_none();
        if weighs && now.mono.since(passage.first) < self.spec.timing.weigh {
            return;
        }
        if self.read_by(passage).is_some_and(|by| now.mono < by) {
            return;
        }
        self.ask(now);
    }

    /// Returns until when a passage of which something else was shown first waits for the lane's own camera; `None`: it was
    /// read, or no camera is there that could read it.
    pub(super) fn read_by(&self, passage: &super::Passage) -> Option<Mono> {
        let shown = passage.shown.filter(|_| passage.plate.is_none())?;
        self.camera_reads().then(|| shown + self.spec.timing.read)
    }

    /// Returns whether the lane has a camera that is not known to be down.
    fn camera_reads(&self) -> bool {
        let mut cameras = self.devices.values().filter(|(kind, ..)| *kind == LaneDevice::Camera).peekable();
        self.spec.camera && (cameras.peek().is_none() || cameras.any(|(_, up, _)| *up))
    }

    pub(super) fn ask(&mut self, now: Now) {
        let Some(mut passage) = self.current.take() else { return };
        passage.looked = self.presence(&passage, now);
        passage.asked = Some(now.mono);
        passage.ask += 1;
        self.outputs.push_back(Output::Decide(self.question(&passage, false)));
        self.revision += 1;
        self.current = Some(passage);
    }

    pub(super) fn question(&self, passage: &super::Passage, for_record: bool) -> Ask {
        let presented = Presented {
            passage: passage.id.clone(),
            lane: self.spec.id.clone(),
            direction: passage.direction,
            captured: passage.looked,
            plate: passage.plate.clone(),
            unsure: passage.unsure,
            credentials: passage.credentials.clone(),
            gross_kg: self.gross_kg().filter(|_| self.spec.scale),
        };
        Ask { ask: passage.ask, presented, for_record }
    }

    fn gross_kg(&self) -> Option<u32> {
        match self.weight {
            Some((Weight::Still(kg), _)) => Some(kg),
            _ => None,
        }
    }

    pub(super) fn call_button(&mut self, now: Now) {
        if let Some(passage) = &mut self.current {
            // Whoever presses again wants to be heard again.
            passage.called.remove(&CallWhy::Button);
        }
        self.call(CallWhy::Button, now);
    }
}
