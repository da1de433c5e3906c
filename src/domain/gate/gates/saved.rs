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
use crate::domain::gate::hazmat::kept::Line;
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
    #[serde(default)]
    closed: Option<i64>,
    /// What crossed after this was saved, by the records, in their order.
    #[serde(skip)]
    crossed: Vec<PassageId>,
    /// The waybills and their checks, which are kept beside this.
    #[serde(skip)]
    book: Vec<Line>,
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
            if passage.phase == Phase::Completed && !self.inside.has_completed(&id) {
                self.crossed.push(id.clone());
            }
            if self.inside.learn(passage) && !self.about.iter().any(|(known, _)| *known == id) {
                self.about.push((id, about));
            }
        }
    }

    /// Takes in the waybills and their checks, as they were kept.
    pub fn recall(&mut self, book: impl IntoIterator<Item = Line>) {
        self.book.extend(book);
    }

    /// Returns whether an event of the account that is stored is part of this already, and need not be stored any longer.
    pub fn is_folded(&self, event: &Event) -> bool {
        self.inside.is_folded(event)
    }
}

impl Gates {
    /// Returns what has changed of the waybills and their checks since the last call. It must survive a restart beside what is
    /// saved, and is taken back by [`Saved::recall`], or without that by [`Gates::recall`].
    pub fn take_kept(&mut self) -> Vec<Line> {
        self.hazmat.take_kept()
    }

    /// Takes back the waybills and their checks where nothing else was saved.
    pub fn recall(&mut self, book: impl IntoIterator<Item = Line>) {
        self.hazmat.recall(book);
    }

    /// Returns what must survive a restart, beside the register, the events that were given out as [`super::Output::Share`] and
    /// the book ([`Gates::take_kept`]).
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
            closed: self.closed,
            crossed: Vec::new(),
            book: Vec::new(),
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
        let under_way: Vec<PassageId> = saved.inside.under_way().cloned().collect();
        gates.inside = Inside::restore(gateway, boot, rules, saved.inside, events, &standing, now);
        gates.hazmat = Hazmat::restore(gates.settings.hazmat.clone(), saved.hazmat, saved.book, now);
        gates.desk = Desk::restore(boot, gates.settings.desk.clone(), saved.desk, now);
        gates.musters = Musters::restore(boot, saved.musters, &gates.inside, now);
        gates.around = Surroundings { store_failed: false, ..saved.around };
        gates.about = saved.about.into_iter().collect();
        gates.last = saved.last.into_iter().collect();
        gates.decided = saved.decided.into_iter().collect();
        gates.count_waited(&saved.uses, now);
        gates.closed = saved.closed;
        gates.pump(now);
        // Permits, waybills and visits follow what crossed since, as if it crossed now: each takes the same passage once.
        for passage in saved.crossed {
            gates.crossed(&passage, now);
        }
        gates.close_orphans(now);
        gates.close_crossed(under_way, now);
        gates
    }

    /// What was under way when this was saved, and crossed since by the events of the account: its permit, its waybill, its visit
    /// follow now. What came to nothing is forgotten; what is in doubt is a person's to settle.
    fn close_crossed(&mut self, under_way: Vec<PassageId>, now: Now) {
        for id in under_way {
            let Some(passage) = self.inside.passage(&id) else { continue };
            match passage.phase {
                Phase::Completed => self.crossed(&id, now),
                Phase::Ended if passage.outcome != Some(inside::Outcome::InDoubt) => drop(self.about.remove(&id)),
                Phase::Ended | Phase::Detected | Phase::Decided | Phase::Passing => {}
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

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::super::Output;
    use super::*;
    use crate::domain::gate::decide::Judged;
    use crate::domain::gate::desk;
    use crate::domain::gate::facts::Facts;
    use crate::domain::gate::hardware::{CameraEvent, Input, LaneEvent, PlateSeen, Seen};
    use crate::domain::gate::lane::spec::{Closes, Fail, Flow, LaneSpec, Position, Service, Timing};
    use crate::domain::gate::plate::{Plate, PlateColour};
    use crate::domain::gate::presented::PlateRead;
    use crate::domain::gate::register;
    use crate::domain::gate::verdict::{Reason, Verdict};
    use crate::domain::gate::word::{GateClass, GateId, GatewayId, LaneKind, VehicleClass, ZoneClass, ZoneId};
    use crate::domain::order::LaneRule;
    use crate::domain::time::{ClockTrust, Mono, Timestamp};

    struct Everybody;

    impl Policies for Everybody {
        fn judge(&self, _: &Facts) -> Judged {
            let (code, zh, en) = ("OK".to_owned(), "可通行".to_owned(), "it may pass".to_owned());
            let permit = Reason { code, verdict: Verdict::Allow, zh, en, policy: None };
            Judged { permits: vec![permit], ..Judged::default() }
        }

        fn revision(&self) -> &str {
            "test"
        }
    }

    fn settings() -> Arc<Settings> {
        use Input::{Approach, Beam, CloseLimit, Exit, OpenLimit, UnderArm};
        let lane = LaneSpec {
            id: LaneId::new("in"),
            name: "in".into(),
            name_en: "in".into(),
            gate: GateId::new("g"),
            gate_class: GateClass::HazmatOnly,
            manned: true,
            zone: ZoneId::new("park"),
            zone_from: ZoneId::new("outside"),
            kind: LaneKind::Vehicle,
            flow: Flow::In,
            classes: [VehicleClass::Hazmat].into(),
            windows: Vec::new(),
            inputs: [Approach, UnderArm, Beam, Exit, OpenLimit, CloseLimit].into(),
            position: Position::Limits,
            closes: Closes::Gateway,
            fail: Fail::Safe,
            on_fire: LaneRule::Open,
            camera: true,
            scale: false,
            button_confirms: false,
            conduct: BTreeMap::new(),
            timing: Timing::default(),
            service: Service::InService,
        };
        let zones = [(ZoneId::new("park"), inside::ZoneRule::of(ZoneClass::General))].into();
        Arc::new(Settings {
            gateway: GatewayId::new("gw"),
            lanes: vec![Arc::new(lane)],
            register: register::rules::Rules::default(),
            inside: inside::Rules { zones, ..inside::Rules::default() },
            hazmat: Arc::default(),
            desk: desk::Rules::default(),
        })
    }

    fn at(ms: u64) -> Now {
        let wall = Timestamp(1_795_507_200_000 + i64::try_from(ms).unwrap());
        Now { mono: Mono::from_millis(ms), wall, trust: ClockTrust::Synced }
    }

    /// The lane's inputs as they are, said again.
    fn look(gates: &mut Gates, on: &[Input], ms: u64) {
        let all = settings().lanes[0].inputs.clone();
        let events = all.into_iter().map(|input| {
            let what = Seen::Input { input, on: Some(on.contains(&input)) };
            LaneEvent { lane: LaneId::new("in"), at: at(ms).mono, what }
        });
        gates.handle_events(&events.collect::<Vec<_>>(), at(ms));
        gates.handle_timeout(at(ms));
    }

    /// Does what comes out; returns the events of the account.
    fn drain(gates: &mut Gates, ms: u64) -> Vec<Event> {
        let mut events = Vec::new();
        while let Some(output) = gates.poll_output() {
            if let Output::Audit { lane, audit } = &output {
                gates.handle_audit(lane, &audit.key, lane::AuditReceipt::Stored, at(ms));
            } else if let Output::Share(event) = &output {
                events.push(Event::clone(event));
            }
        }
        events
    }

    #[test]
    fn a_kill_between_the_last_save_and_the_crossing_loses_no_visit_of_dangerous_goods() {
        use Input::{Approach, Beam, CloseLimit, Exit, OpenLimit, UnderArm};
        let plate = Plate::new("鲁A12345", PlateColour::Yellow);
        let mut gates = Gates::new(settings(), Arc::new(Everybody), Register::default(), 1, at(0));
        look(&mut gates, &[CloseLimit], 0);
        look(&mut gates, &[CloseLimit, Approach], 100);
        let seen = PlateSeen {
            device: "cam".into(),
            event: CameraEvent { serial: "s".into(), number: 1 },
            read: PlateRead { plate: Some(plate.clone()), confidence: 95, fake: false, exempt: false },
            direction: None,
            device_time: None,
            live: true,
            offline: false,
            opened_by_camera: false,
            flags: BTreeSet::new(),
        };
        gates.handle_event(&LaneEvent { lane: LaneId::new("in"), at: at(200).mono, what: Seen::Plate(seen) }, at(200));
        let mut events = drain(&mut gates, 200);
        // Whatever was decided, it drives through the open arm.
        for (on, ms) in [(vec![OpenLimit, Approach], 1_000), (vec![OpenLimit, UnderArm, Beam], 2_000)] {
            look(&mut gates, &on, ms);
            events.extend(drain(&mut gates, ms));
        }
        let saved = serde_json::to_string(&gates.saved(at(2_000))).unwrap();
        for (on, ms) in
            [(vec![OpenLimit, UnderArm, Beam, Exit], 2_050), (vec![OpenLimit, Exit], 2_100), (vec![OpenLimit], 2_150)]
        {
            look(&mut gates, &on, ms);
            events.extend(drain(&mut gates, ms));
        }
        assert!(gates.hazmat().visit(&plate).is_some() && events.iter().any(|event| event.crossed().is_some()));
        let saved: Saved = serde_json::from_str(&saved).unwrap();
        let again = Gates::restore(settings(), Arc::new(Everybody), Register::default(), 2, saved, events, at(9_000));
        let visit = again.hazmat().visit(&plate).expect("it is inside");
        assert_eq!(visit.zone, ZoneId::new("park"));
    }
}
