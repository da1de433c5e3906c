//! Dangerous goods at the gates: a bay is promised with the decision that admits, shown at the lane, and taken back when nobody
//! came; what was violated is counted with everything else that its vehicle did.

use super::Gates;
use super::follow::About;
use crate::domain::gate::facts;
use crate::domain::gate::hazmat::record::{Output as HazmatOutput, Phase, Violation, ViolationKind};
use crate::domain::gate::inside::Subject;
use crate::domain::gate::inside::event::{self, ViolationKind as Counted};
use crate::domain::gate::lane::Lane;
use crate::domain::gate::lane::spec::Flow;
use crate::domain::gate::plate::Plate;
use crate::domain::gate::verdict::{Decision, Verdict};
use crate::domain::gate::word::{Direction, LaneId, PassageId};
use crate::domain::time::Now;

/// What says that a vehicle may come as soon as there is a bay for it.
const NO_BAY: [&str; 2] = ["PARKING_FULL", "INCOMPATIBLE"];

impl Gates {
    /// Promises a bay to a vehicle that is admitted into the park, so that two never go for the same one; gives it a place in
    /// the queue where nothing but a bay is missing.
    pub(super) fn look_for_bay(&mut self, decision: &Decision, about: &About, now: Now) {
        let Some(plate) = plate(about).filter(|_| about.waybill.is_some() && self.hazmat.lot().is_there()) else {
            return;
        };
        let inner = self.hazmat.rules().dispatch_zones.contains(&decision.facts.zone.zone);
        // What passes as ordinary goods needs no bay.
        let ordinary = matches!(&decision.facts.subject, facts::Subject::Vehicle(vehicle) if !vehicle.is_dangerous());
        if decision.direction == Direction::Out || inner || ordinary || self.hazmat.visit(plate).is_some() {
            return;
        }
        let mut against = decision.reasons.iter().filter(|reason| reason.verdict != Verdict::Allow);
        let only_a_bay = against.all(|reason| NO_BAY.contains(&reason.code.as_str()));
        if only_a_bay && self.hazmat.lot().promised(plate).is_none() {
            self.hazmat.handle_wants_bay(plate, now);
        }
    }

    /// It did not come in: what was promised to it is free again. Who waits in the queue waits on.
    pub(super) fn give_up_bay(&mut self, about: &About, now: Now) {
        let promised = plate(about).filter(|plate| self.hazmat.lot().promised(plate).is_some());
        if let Some(plate) = promised.cloned() {
            self.hazmat.handle_turned_back(&plate, now);
        }
    }

    /// Shows a vehicle that may come in which bay is kept for it, under the word that it may pass.
    pub(super) fn show_bay(&mut self, lane: &LaneId, passage: &PassageId, now: Now) {
        let Some(plate) = self.about.get(passage).and_then(plate).cloned() else { return };
        let Some(bay) = self.hazmat.lot().promised(&plate).cloned() else { return };
        let lines = vec![plate.text.clone(), "请通行".to_owned(), format!("请驶往泊位 {bay}")];
        let voice = format!("{}，请通行，请驶往泊位{bay}", plate.text);
        self.say_at(lane, (lines, voice), now);
    }

    /// Tells a vehicle its bay, where a board can: one that waits outside at the ways in for dangerous goods, one that is inside
    /// at the lane by which it came. A lane that has somebody else before it stays his.
    pub(super) fn show_call(&mut self, call: &HazmatOutput, now: Now) {
        let (plate, bay, lanes) = match call {
            HazmatOutput::Call { plate, bay } => {
                let ways_in = self.lanes.values().map(Lane::spec);
                let ways_in = ways_in.filter(|spec| spec.is_hazmat() && spec.flow != Flow::Out);
                (plate, bay, ways_in.map(|spec| spec.id.clone()).collect::<Vec<_>>())
            }
            HazmatOutput::Guide { plate, bay } => {
                let came = self.hazmat.visit(plate).and_then(|visit| self.inside.passage(&visit.passage));
                (plate, bay, came.map(|passage| passage.lane.clone()).into_iter().collect())
            }
            HazmatOutput::Document(_)
            | HazmatOutput::Violation(_)
            | HazmatOutput::AskWhole { .. }
            | HazmatOutput::Moved(_) => return,
        };
        let come = if matches!(call, HazmatOutput::Call { .. }) { "可以驶入" } else { "请按引导行驶" };
        let lines = vec![plate.text.clone(), come.to_owned(), format!("泊位 {bay}")];
        let voice = format!("{}，{come}，泊位{bay}", plate.text);
        for lane in lanes {
            if self.lanes.get(&lane).is_some_and(|lane| lane.passage().is_none()) {
                self.say_at(&lane, (lines.clone(), voice.clone()), now);
            }
        }
    }

    fn say_at(&mut self, lane: &LaneId, (lines, voice): (Vec<String>, String), now: Now) {
        if let Some(lane) = self.lane_mut(lane) {
            lane.say(lines, voice, now);
        }
    }

    /// Counts a violation that begins, with everything else that its vehicle did (`domain.md` rule 62).
    pub(super) fn count_violation(&mut self, violation: &Violation, now: Now) {
        let Some(kind) = counted(violation.kind).filter(|_| violation.phase == Phase::Begins) else { return };
        let visit = violation.plate.as_ref().and_then(|plate| self.hazmat.visit(plate));
        let passage = visit.map(|visit| visit.passage.clone());
        let subject = violation.plate.clone().map(Subject::Vehicle);
        self.inside.violated(event::Violation { subject, kind, passage }, now);
    }
}

fn plate(about: &About) -> Option<&Plate> {
    about.vehicle.as_ref().and_then(|vehicle| vehicle.plate.as_ref())
}

/// What counts against a vehicle. What befell it, what is only a warning, and what its host or the park did does not.
fn counted(kind: ViolationKind) -> Option<Counted> {
    match kind {
        ViolationKind::Overstay => Some(Counted::Overstay),
        ViolationKind::WrongBay | ViolationKind::StoppedOutside => Some(Counted::Parking),
        ViolationKind::TerminalKept => Some(Counted::Terminal),
        ViolationKind::OffRoute | ViolationKind::Restricted | ViolationKind::NotDispatched => Some(Counted::OffRoute),
        ViolationKind::Speeding => Some(Counted::Speeding),
        ViolationKind::NoWaybill => Some(Counted::Papers),
        ViolationKind::StayWarning
        | ViolationKind::NoBay
        | ViolationKind::Incompatible
        | ViolationKind::DispatchOverdue
        | ViolationKind::ExitUnseen
        | ViolationKind::WeightMismatch
        | ViolationKind::PositionLost
        | ViolationKind::PositionJump
        | ViolationKind::DatumMismatch
        | ViolationKind::Sos
        | ViolationKind::DriverAlarm
        | ViolationKind::VehicleAlarm
        | ViolationKind::TerminalRule
        | ViolationKind::TerminalFault
        | ViolationKind::TerminalMismatch => None,
    }
}
