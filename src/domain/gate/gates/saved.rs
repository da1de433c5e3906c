//! What the gates must remember over a restart, and what a restart makes of it: nothing moves. The register comes back from
//! its own store, the events of the account from theirs; here is the rest.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::follow::About;
use super::uses::Use;
use super::view::Decided;
use super::{Gates, Settings, Surroundings};
use crate::domain::gate::decide::Policies;
use crate::domain::gate::desk::{self, Desk};
use crate::domain::gate::hazmat::{self, Hazmat};
use crate::domain::gate::inside::{self, Event, Inside, Passage, Phase};
use crate::domain::gate::lane::{self, Authority, Lane, Recorded};
use crate::domain::gate::muster::{self, Musters};
use crate::domain::gate::register::Register;
use crate::domain::gate::word::{LaneId, PassageId};
use crate::domain::time::Now;

/// See the module. Plain data.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Saved {
    lanes: Vec<(LaneId, lane::Saved)>,
    inside: inside::Saved,
    hazmat: hazmat::Saved,
    desk: desk::Saved,
    musters: muster::Saved,
    around: Surroundings,
    about: Vec<(PassageId, About)>,
    last: Vec<(LaneId, PassageId)>,
    decided: Vec<(LaneId, Decided)>,
    /// Uses of permits that waited while the register was held.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    uses: Vec<Use>,
}

impl Saved {
    /// Takes in the passages that were recorded after this was saved, in the order of their records. An opening is entered in
    /// the audit, and durable, before the arm moves; what is saved of the lanes may be a moment older than that.
    pub fn learn(&mut self, recorded: impl IntoIterator<Item = Passage>) {
        for passage in recorded {
            let (id, over) = (passage.passage.clone(), matches!(passage.phase, Phase::Completed | Phase::Ended));
            let stands = match &passage.links.decision {
                _ if over => Recorded::Over,
                Some(decision) if passage.let_through() => Recorded::LetThrough(Authority::Decision(decision.clone())),
                _ if passage.let_through() || passage.phase == Phase::Passing => {
                    Recorded::LetThrough(Authority::Hand("审计 / audit".to_owned()))
                }
                _ => Recorded::Waits,
            };
            let about = About::recorded(&passage);
            let lane = self.lanes.iter_mut().find(|(lane, _)| *lane == passage.lane);
            if let Some((_, lane)) = lane {
                lane.learn(&id, passage.camera.as_ref(), stands);
            }
            if self.inside.learn(passage) && !self.about.iter().any(|(known, _)| *known == id) {
                self.about.push((id, about));
            }
        }
    }

    /// Returns whether an event of the account that is stored is part of this already, and need not be stored any longer.
    pub fn is_folded(&self, event: &Event) -> bool {
        self.inside.is_folded(event)
    }
}

impl Gates {
    /// Returns what must survive a restart, beside the register and the events that were given out as [`super::Output::Share`].
    pub fn saved(&self, now: Now) -> Saved {
        Saved {
            lanes: self.lanes.iter().map(|(id, lane)| (id.clone(), lane.saved(now))).collect(),
            inside: self.inside.saved(now),
            hazmat: self.hazmat.save(now),
            desk: self.desk.saved(now),
            musters: self.musters.saved(),
            around: self.around.clone(),
            about: self.about.iter().map(|(passage, about)| (passage.clone(), about.clone())).collect(),
            last: self.last.iter().map(|(lane, passage)| (lane.clone(), passage.clone())).collect(),
            decided: self.decided.iter().map(|(lane, decided)| (lane.clone(), decided.clone())).collect(),
            uses: self.turn.waiting().to_vec(),
        }
    }

    /// Returns a number that changes with whatever [`Gates::saved`] must not lose.
    pub fn revision(&self) -> u64 {
        let lanes = self.lanes.values().map(Lane::revision).fold(0_u64, u64::wrapping_add);
        let others = [self.inside.revision(), self.desk.revision(), self.musters.revision(), self.revision];
        others.into_iter().fold(lanes, u64::wrapping_add)
    }

    /// Goes on after a restart, with what was saved and with the stored events of the account in any order. `boot` must be one
    /// that was never used. Nothing moves but what holds open for the sake of life; a passage that was under way ends in
    /// doubt; whoever only stood there is read anew, or a person decides. A lane that was not saved starts as a new one.
    pub fn restore(
        settings: Arc<Settings>,
        policies: Arc<dyn Policies + Send + Sync>,
        register: Register,
        boot: u32,
        saved: Saved,
        events: impl IntoIterator<Item = Event>,
        now: Now,
    ) -> Self {
        let mut gates = Self::empty(settings, policies, register, boot, now);
        let (gateway, rules) = (gates.settings.gateway.clone(), gates.settings.inside.clone());
        let specs = gates.settings.lanes.clone();
        let old = |id: &LaneId| saved.lanes.iter().find(|(lane, _)| lane == id).map(|(_, saved)| saved);
        let lane = |spec: Arc<lane::LaneSpec>| match old(&spec.id) {
            Some(old) => Lane::restore(spec, boot, old, now),
            None => Lane::new(spec, boot, now),
        };
        gates.lanes = specs.into_iter().map(|spec| (spec.id.clone(), lane(spec))).collect();
        let standing =
            gates.lanes.values().filter_map(|lane| lane.passage().map(|(passage, _)| passage.clone())).collect();
        gates.inside = Inside::restore(gateway, boot, rules, saved.inside, events, &standing, now);
        gates.hazmat = Hazmat::restore(gates.settings.hazmat.clone(), saved.hazmat, now);
        gates.desk = Desk::restore(boot, gates.settings.desk.clone(), saved.desk, now);
        gates.musters = Musters::restore(boot, saved.musters, &gates.inside, now);
        gates.around = Surroundings { store_failed: false, ..saved.around };
        gates.about = saved.about.into_iter().collect();
        gates.last = saved.last.into_iter().collect();
        gates.decided = saved.decided.into_iter().collect();
        gates.count_waited(&saved.uses, now);
        gates.pump(now);
        gates.close_orphans(now);
        gates.close_crossed(now);
        gates
    }

    /// What a crossing uses up was not used when this was saved, where what was decided of it is still remembered. What came to
    /// nothing is forgotten; what is in doubt is a person's to settle.
    fn close_crossed(&mut self, now: Now) {
        for id in self.about.keys().cloned().collect::<Vec<_>>() {
            match self.inside.passage(&id).map(|passage| (passage.phase, passage.outcome)) {
                Some((Phase::Completed, _)) => self.crossed(&id, now),
                Some((Phase::Ended, outcome)) if outcome != Some(inside::Outcome::InDoubt) => {
                    self.about.remove(&id);
                }
                _ => {}
            }
        }
        self.pump(now);
    }

    /// Tickets about what stands at no lane any more: nobody waits for their answer.
    fn close_orphans(&mut self, now: Now) {
        let stands = |passage: &PassageId| {
            self.lanes.values().any(|lane| lane.passage().is_some_and(|(standing, _)| standing == passage))
        };
        let asked = self.desk.open().filter_map(|ticket| ticket.ask.passage.clone());
        let gone: Vec<PassageId> = asked.filter(|passage| !stands(passage)).collect();
        for passage in gone {
            self.over_at_desk(&passage, now);
        }
        self.drain_desk(now);
    }
}
