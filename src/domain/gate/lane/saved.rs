//! What a lane must remember over a restart, and what a restart makes of it: nothing moves; a passage whose end nobody saw is
//! told as `Unclear`; only what holds open for the sake of life goes on.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::passage::Passage;
use super::read::SavedRecent;
use super::rights::{Hold, SavedHold};
use super::spec::{LaneSpec, Service};
use super::told::{Authority, LaneFault, Outcome};
use super::{Lane, Phase};
use crate::domain::gate::hardware::{CameraEvent, Input};
use crate::domain::gate::presented::{Credential, PlateRead};
use crate::domain::gate::word::{Direction, PassageId};
use crate::domain::order::LaneRule;
use crate::domain::time::{ClockTrust, Now, Timestamp};

/// See the module.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Saved {
    /// When.
    pub at: Timestamp,
    /// Numbers that were given out.
    pub next: u64,
    /// Rule of the site.
    pub site: LaneRule,
    /// That rule was a drill's.
    pub drill: bool,
    /// Released by its fire contact, not reset.
    pub fire: bool,
    /// Held open by a person.
    pub hold: Option<SavedHold>,
    /// Its service, where a person has changed it.
    pub service: Option<Service>,
    /// Direction of a reversible lane.
    pub direction: Direction,
    /// The camera had opened by its own list.
    pub disarmed: bool,
    /// Guards that had missed a vehicle.
    pub suspects: BTreeSet<Input>,
    /// Passages that had not ended: the one that had the lane first.
    pub passages: Vec<SavedPassage>,
    /// What was said lately.
    pub recent: SavedRecent,
}

/// A passage that had not ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SavedPassage {
    /// Its id.
    pub id: PassageId,
    /// Which way.
    pub direction: Direction,
    /// Plate.
    pub plate: Option<PlateRead>,
    /// Credentials.
    pub credentials: Vec<Credential>,
    /// Event of the camera.
    pub event: Option<CameraEvent>,
    /// By what right it had the lane.
    pub authority: Authority,
}

impl Saved {
    /// Takes in what was recorded of a passage of this lane after this was saved: that it is over, or by what right it had the
    /// lane then.
    pub fn learn(&mut self, passage: &PassageId, event: Option<&CameraEvent>, now_is: Recorded) {
        if let Some(event) = event.filter(|event| !self.recent.events.contains(event)) {
            self.recent.events.push(event.clone());
        }
        match now_is {
            Recorded::Over => self.passages.retain(|saved| saved.id != *passage),
            Recorded::LetThrough(authority) => {
                let without = |saved: &&mut SavedPassage| saved.id == *passage && saved.authority == Authority::Nothing;
                self.passages.iter_mut().filter(without).for_each(|saved| saved.authority = authority.clone());
            }
            Recorded::Waits => {}
        }
    }
}

/// How a passage stood by the last record of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Recorded {
    /// It waits, or was refused.
    Waits,
    /// It was to be opened for by this right: whether it was, and what came of it, nobody has recorded.
    LetThrough(Authority),
    /// It is over.
    Over,
}

impl SavedPassage {
    fn of(passage: &Passage) -> Self {
        Self {
            id: passage.id.clone(),
            direction: passage.direction,
            plate: passage.plate.clone(),
            credentials: passage.credentials.clone(),
            event: passage.event.clone(),
            authority: passage.authority.clone(),
        }
    }
}

impl Lane {
    /// Returns what must not be lost.
    pub fn saved(&self, now: Now) -> Saved {
        let hold = self.rights.hold.as_ref().filter(|hold| hold.waits.is_none()).map(|hold| SavedHold {
            by: hold.by.clone(),
            why: hold.why.clone(),
            until: hold.until_wall,
            left_ms: u64::try_from(hold.until.since(now.mono).as_millis()).unwrap_or(u64::MAX),
        });
        let recent = SavedRecent {
            events: self.recent.events.iter().cloned().collect(),
            plates: self.recent.plates.iter().map(|(plate, _)| plate.clone()).collect(),
            acted: self.recent.acted.iter().cloned().collect(),
        };
        Saved {
            at: now.wall,
            next: self.next,
            site: self.rights.site,
            drill: self.rights.drill,
            fire: self.rights.fire,
            hold,
            service: Some(self.rights.service).filter(|service| *service != self.spec.service),
            direction: self.rights.direction,
            disarmed: self.rights.disarmed,
            suspects: self.inputs.suspects().clone(),
            passages: [&self.current, &self.waiting].into_iter().flatten().map(SavedPassage::of).collect(),
            recent,
        }
    }

    /// Makes the lane as it was, after a restart (`boot` is the new start counter) or with a new `spec` after a reload.
    pub fn restore(spec: Arc<LaneSpec>, boot: u32, saved: &Saved, now: Now) -> Self {
        let mut lane = Self::new(spec, boot, now);
        lane.next = lane.next.max(saved.next);
        (lane.rights.site, lane.rights.drill, lane.rights.fire) = (saved.site, saved.drill, saved.fire);
        lane.rights.service = saved.service.unwrap_or(lane.spec.service);
        if matches!(lane.spec.flow, super::spec::Flow::Reversible(_)) {
            lane.rights.direction = saved.direction;
        }
        lane.rights.hold = saved.hold.as_ref().and_then(|hold| restored_hold(hold, now));
        lane.inputs.set_suspects(saved.suspects.clone());
        lane.recent.events = saved.recent.events.iter().cloned().collect();
        lane.recent.plates = saved.recent.plates.iter().map(|plate| (plate.clone(), now.mono)).collect();
        lane.recent.acted = saved.recent.acted.iter().cloned().collect();
        if saved.fire {
            lane.tell(LaneFault::Fire, "", true);
        }
        if saved.disarmed {
            lane.disarm("");
        }
        if saved.hold.is_some() && lane.rights.hold.is_none() {
            lane.pulse(LaneFault::HoldEnded, "");
        }
        for saved in &saved.passages {
            lane.restore_passage(saved, now);
        }
        lane.advance(now);
        lane
    }

    /// Who had the lane may have crossed while nobody looked; who only stood before it stands there still, or comes again.
    fn restore_passage(&mut self, saved: &SavedPassage, now: Now) {
        let mut passage = Passage::new(saved.id.clone(), saved.direction, now.mono);
        passage.plate.clone_from(&saved.plate);
        passage.credentials.clone_from(&saved.credentials);
        passage.event.clone_from(&saved.event);
        passage.authority = saved.authority.clone();
        if passage.may_pass() || self.current.is_some() {
            let outcome = if passage.may_pass() { Outcome::Unclear } else { Outcome::NotEntered };
            return self.end(passage, outcome, now);
        }
        // Nothing is opened by what was read before the restart: it is read anew, or a person decides.
        let known = passage.plate.is_some() || !passage.credentials.is_empty();
        self.recent
            .plates
            .retain(|(plate, _)| passage.plate.as_ref().and_then(|read| read.plate.as_ref()) != Some(plate));
        self.current = Some(passage);
        if known {
            self.refer(super::CallWhy::DecisionLate, now);
        } else {
            self.go(Phase::Approach, now);
        }
    }
}

/// With a clock that is believed, a hold ends when it was to end; otherwise after what was left of it when it was saved.
fn restored_hold(saved: &SavedHold, now: Now) -> Option<Hold> {
    let by_wall = u64::try_from(saved.until.0.saturating_sub(now.wall.0)).unwrap_or(0);
    let left = if now.trust == ClockTrust::Unsynced { saved.left_ms } else { by_wall.min(saved.left_ms) };
    let until = now.mono + Duration::from_millis(left);
    let (by, why, until_wall) = (saved.by.clone(), saved.why.clone(), saved.until);
    (left > 0).then_some(Hold { by, why, until, until_wall, waits: None, found: true })
}
