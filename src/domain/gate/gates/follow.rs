//! What becomes of passages: the account of who is inside is told of each step; what crossed uses up permits and waybills.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::gather::usual_class;
use super::{Gates, MAX_ABOUT};
use crate::domain::actor::{Actor, Via};
use crate::domain::gate::hardware::CameraEvent;
use crate::domain::gate::hazmat::{Entered, Left, Went};
use crate::domain::gate::inside::event::{Crossing, VehicleSeen};
use crate::domain::gate::inside::passage::{Answered, Links};
use crate::domain::gate::inside::{self, Begin, Decided, Passage, Who};
use crate::domain::gate::lane::told::{Outcome, PassageStep};
use crate::domain::gate::lane::{Authority, Lane, Step};
use crate::domain::gate::presented::PlateRead;
use crate::domain::gate::register::facts::Here;
use crate::domain::gate::verdict::{Decision, Reason, Verdict};
use crate::domain::gate::word::{
    CompanyId, DecisionId, Direction, LaneId, LaneKind, ManifestNo, PassageId, PermitId, PersonRef, VehicleClass,
    WaybillNo, ZoneId,
};
use crate::domain::time::{Now, Timestamp};

/// What is remembered of a passage from its decision to its end.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct About {
    pub(super) vehicle: Option<VehicleSeen>,
    pub(super) persons: Vec<PersonRef>,
    pub(super) permit: Option<PermitId>,
    pub(super) company: Option<CompanyId>,
    pub(super) waybill: Option<WaybillNo>,
    pub(super) manifest: Option<ManifestNo>,
    pub(super) gross_kg: Option<u32>,
    pub(super) decision: Option<DecisionId>,
    pub(super) reasons: Vec<Reason>,
}

impl About {
    /// As far as the record of the passage tells.
    pub(super) fn recorded(passage: &Passage) -> Self {
        let Passage { who, links, gross_kg, .. } = passage.clone();
        Self {
            vehicle: who.vehicle,
            persons: who.persons,
            permit: links.permit,
            company: who.company,
            waybill: links.waybill,
            manifest: links.manifest,
            gross_kg,
            decision: links.decision,
            reasons: Vec::new(),
        }
    }

    pub(super) fn decided(mut self, decision: &Decision) -> Self {
        self.decision = Some(decision.id.clone());
        self.reasons.clone_from(&decision.reasons);
        self
    }

    fn who(&self) -> Who {
        Who {
            vehicle: self.vehicle.clone(),
            persons: self.persons.clone(),
            unidentified: 0,
            assumed: false,
            company: self.company.clone(),
        }
    }

    fn links(&self) -> Links {
        Links {
            decision: self.decision.clone(),
            permit: self.permit.clone(),
            waybill: self.waybill.clone(),
            manifest: self.manifest.clone(),
            ..Links::default()
        }
    }
}

impl Gates {
    /// Remembers what a decision was made of, until the passage is over; of one in doubt, until a person says what became of it.
    /// When there are too many, those that the account knows no more go first, and then the one of the smallest id: it is then recorded as what its lane is for, and uses up nothing.
    pub(super) fn remember(&mut self, passage: PassageId, about: About, now: Now) {
        if self.about.len() >= MAX_ABOUT && !self.about.contains_key(&passage) {
            self.about.retain(|passage, _| self.inside.passage(passage).is_some());
        }
        if self.about.len() >= MAX_ABOUT && !self.about.contains_key(&passage) {
            self.about.pop_first();
        }
        let who = about.who();
        self.about.insert(passage.clone(), about);
        self.revision += 1;
        let occupants_unknown = who.persons.is_empty();
        self.step(&passage, inside::Step::Identified { who, occupants_unknown }, now);
    }

    /// Takes a step of a passage into the account.
    pub(super) fn follow(&mut self, step: PassageStep, now: Now) {
        let PassageStep { passage, lane, what, .. } = step;
        match what {
            Step::Detected { direction } => {
                let Some(begin) = self.begin(passage, &lane, direction) else { return };
                // A read that is known is this passage already; the lane said so to the camera.
                drop(self.inside.begin(begin, now));
            }
            Step::Identified { direction, plate, event, device_time, .. } => {
                let crossing = self.crossing(&lane, direction);
                self.step(&passage, inside::Step::Goes { direction, crossing }, now);
                self.step(&passage, inside::Step::Seen { read: plate, camera: event, device_time }, now);
            }
            Step::Decided { decision, verdict } => {
                if let Some(last) = self.decided.get_mut(&lane).filter(|last| last.decision == decision) {
                    last.at_lane = Some(verdict);
                }
                self.decided(&passage, verdict, now);
                self.ask_anew(&lane, &passage, verdict, now);
                if verdict == Verdict::Allow {
                    self.show_bay(&lane, &passage, now);
                }
            }
            Step::Opened { authority } => {
                self.over_at_desk(&passage, now);
                self.authorised(&passage, authority, now);
            }
            Step::Entered => self.step(&passage, inside::Step::Passing, now),
            Step::Completed { direction, outcome, authority } => {
                let crossing = self.crossing(&lane, direction);
                self.step(&passage, inside::Step::Goes { direction, crossing }, now);
                self.over_at_desk(&passage, now);
                self.completed(&passage, &lane, outcome, authority, now);
            }
            Step::Late { direction, plate, event, device_time, .. } => {
                self.late(passage, &lane, direction, Seen { read: plate, event, time: device_time }, now);
            }
        }
    }

    /// What begins at a lane, as far as it is known before anything was read.
    fn begin(&self, passage: PassageId, lane: &LaneId, direction: Direction) -> Option<Begin> {
        let spec = self.lanes.get(lane)?.spec();
        let about = self.about.get(&passage);
        Some(Begin {
            passage,
            gate: spec.gate.clone(),
            lane: lane.clone(),
            lane_kind: spec.kind,
            direction,
            crossing: self.crossing(lane, direction),
            who: about.map(About::who).unwrap_or_default(),
            occupants_unknown: spec.kind == LaneKind::Vehicle,
            read: None,
            camera: None,
            device_time: None,
            pictures: Vec::new(),
            gross_kg: None,
            episode: self.around.episode.clone(),
        })
    }

    /// The zones before and behind a lane, on the way in; `None` is outside of the park.
    pub(super) fn sides(&self, lane: &LaneId, direction: Direction) -> (Option<ZoneId>, Option<ZoneId>) {
        let Some(spec) = self.lanes.get(lane).map(Lane::spec) else { return (None, None) };
        let known = |zone: &ZoneId| self.settings.inside.zones.contains_key(zone).then(|| zone.clone());
        let (before, behind) = (known(&spec.zone_from), known(&spec.zone));
        match direction {
            Direction::In => (before, behind),
            Direction::Out => (behind, before),
        }
    }

    fn crossing(&self, lane: &LaneId, direction: Direction) -> Crossing {
        let (from, to) = self.sides(lane, direction);
        self.settings.inside.crossing(from.as_ref(), to.as_ref())
    }

    /// A step of a passage that the account may have ended meanwhile: what it no longer takes, it has told of.
    fn step(&mut self, passage: &PassageId, step: inside::Step, now: Now) {
        self.inside.step(passage, step, now).ok();
    }

    fn decided(&mut self, passage: &PassageId, verdict: Verdict, now: Now) {
        let about = self.about.get(passage).cloned().unwrap_or_default();
        let reasons = about.reasons.iter().map(|reason| reason.code.clone()).collect();
        let decided = Decided { verdict, reasons, links: about.links() };
        self.step(passage, inside::Step::Decided(decided), now);
        if let Some(kg) = about.gross_kg {
            let weighing = about.decision.map(|id| id.as_str().to_owned()).unwrap_or_default();
            self.step(passage, inside::Step::Weighed(weighing, kg), now);
        }
    }

    /// By what right the way is open: where it is not the decision, the account is told whose it is.
    fn authorised(&mut self, passage: &PassageId, authority: Authority, now: Now) {
        let step = match authority {
            Authority::Decision(_) | Authority::Nothing => return,
            Authority::Hand(name) | Authority::Hold(name) => {
                let actor = Actor { name, via: Via::Panel, roles: BTreeSet::new() };
                let reason = "见审计 / see the audit".to_owned();
                inside::Step::Answered(Answered { actor, verdict: Verdict::Allow, reason })
            }
            Authority::Leaving | Authority::Fire | Authority::Site(_) | Authority::ByHand => inside::Step::Released,
        };
        self.step(passage, step, now);
    }

    fn completed(&mut self, passage: &PassageId, lane: &LaneId, outcome: Outcome, authority: Authority, now: Now) {
        match outcome {
            Outcome::NotEntered => return self.over(passage, inside::Outcome::NotEntered, now),
            Outcome::TurnedBack => return self.over(passage, inside::Outcome::TurnedBack, now),
            Outcome::Unclear => return self.over(passage, inside::Outcome::InDoubt, now),
            Outcome::Tailgate => {
                let followed = self.last.get(lane).cloned();
                self.step(passage, inside::Step::Followed(followed), now);
            }
            Outcome::Forced => {}
            Outcome::Crossed | Outcome::ByHand | Outcome::Free => self.authorised(passage, authority, now),
        }
        self.step(passage, inside::Step::Completed, now);
        self.last.insert(lane.clone(), passage.clone());
        self.crossed(passage, now);
    }

    fn over(&mut self, passage: &PassageId, outcome: inside::Outcome, now: Now) {
        self.step(passage, inside::Step::Ended(outcome), now);
        // Of one in doubt a person will say what became of it.
        if outcome != inside::Outcome::InDoubt {
            let about = self.about.remove(passage).unwrap_or_default();
            self.give_up_bay(&about, now);
        }
    }

    /// A person said what became of a passage in doubt.
    pub(super) fn settled(&mut self, passage: &PassageId, crossed: bool, now: Now) {
        self.revision += 1;
        if crossed {
            return self.crossed(passage, now);
        }
        let about = self.about.remove(passage).unwrap_or_default();
        self.give_up_bay(&about, now);
    }

    fn late(&mut self, passage: PassageId, lane: &LaneId, direction: Direction, seen: Seen, now: Now) {
        let Some(begin) = self.begin(passage.clone(), lane, direction) else { return };
        let class = self.lanes.get(lane).map_or(VehicleClass::Small, usual_class);
        let known = seen.read.plate.as_ref().and_then(|plate| self.register.class_of(plate));
        let permit = self.permit_of(lane, direction, &seen, now);
        let vehicle = VehicleSeen { plate: seen.read.plate.clone(), class: known.unwrap_or(class) };
        let who = Who { vehicle: Some(vehicle), ..Who::default() };
        let read = Some(seen.read);
        let begin = Begin { who, read, camera: Some(seen.event), device_time: seen.time, ..begin };
        if self.inside.late(begin, now) == inside::Late::Entered {
            self.about.insert(passage.clone(), About { permit, ..About::default() });
            self.crossed(&passage, now);
        }
    }

    /// The permit that a vehicle of a late record has used.
    fn permit_of(&self, lane: &LaneId, direction: Direction, seen: &Seen, now: Now) -> Option<PermitId> {
        let (spec, plate) = (self.lanes.get(lane)?.spec(), seen.read.plate.as_ref()?);
        let here = Here { rules: &self.settings.register, gate: &spec.gate, direction, now: &now };
        self.register.vehicle_part(here, plate, None).permit.permit
    }

    /// Something crossed: permits and waybills are used by it.
    pub(super) fn crossed(&mut self, id: &PassageId, now: Now) {
        let about = self.about.remove(id).unwrap_or_default();
        let Some(passage) = self.inside.passage(id).cloned() else { return };
        // Where a restart forgot it, the passage's own record says it.
        let permit = about.permit.as_ref().or(passage.links.permit.as_ref());
        let waybill = about.waybill.as_ref().or(passage.links.waybill.as_ref());
        self.use_permit(&passage, permit, now);
        let Some(plate) = passage.who.vehicle.as_ref().and_then(|vehicle| vehicle.plate.clone()) else { return };
        let carries = passage.who.vehicle.as_ref().is_some_and(|vehicle| vehicle.class.is_hazmat());
        if !carries && waybill.is_none() && self.hazmat.visit(&plate).is_none() {
            return;
        }
        let (id, gross_kg) = (id.clone(), passage.gross_kg);
        match self.sides(&passage.lane, passage.direction) {
            (None, Some(zone)) => self.hazmat.handle_entered(Entered { passage: id, plate, zone, gross_kg }, now),
            (Some(_), None) => self.hazmat.handle_left(Left { passage: id, plate, gross_kg }, now),
            (Some(_), Some(to)) => self.hazmat.handle_went(Went { passage: id, plate, to }, now),
            (None, None) => {}
        }
    }
}

/// What a camera had kept.
struct Seen {
    read: PlateRead,
    event: CameraEvent,
    time: Option<Timestamp>,
}
