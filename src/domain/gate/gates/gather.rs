//! Puts together what is known of something that wants to pass: from the lane, the register, the account of who is inside, the
//! dangerous goods, and what the rest of the gateway said.

use std::collections::BTreeSet;

use super::Gates;
use super::follow::About;
use crate::domain::gate::facts::{
    AntiPassback, Facts, GatewayFacts, HazmatFacts, Listed, PaperState, PermitFacts, PermitState, PersonFacts,
    SiteFacts, Subject, VehicleFacts, ZoneFacts,
};
use crate::domain::gate::hazmat::goods::SmallQuantity;
use crate::domain::gate::hazmat::{Asked, Escort, Known};
use crate::domain::gate::inside;
use crate::domain::gate::inside::event::VehicleSeen;
use crate::domain::gate::lane::{Ask, Lane};
use crate::domain::gate::plate::Plate;
use crate::domain::gate::presented::Presented;
use crate::domain::gate::register::facts::{Here, VehiclePart};
use crate::domain::gate::register::row::Table;
use crate::domain::gate::word::{
    Direction, LaneId, LaneKind, PaperKind, PersonKind, PersonRef, Skill, VehicleClass, ZoneClass, ZoneId,
};
use crate::domain::order::LaneRule;
use crate::domain::site::State;
use crate::domain::time::Now;

impl Gates {
    /// Returns the facts of a question, and what is to be remembered of the passage; `None` where the lane is gone.
    pub(super) fn gather(&self, lane: &LaneId, ask: &Ask, now: Now) -> Option<(Facts, About)> {
        let lane = self.lanes.get(lane)?;
        let presented = &ask.presented;
        let (subject, about) = match lane.spec().kind {
            LaneKind::Person => self.person(lane, presented, now),
            LaneKind::Vehicle => self.vehicle(lane, presented, now),
        };
        let class = about.vehicle.as_ref().map(|vehicle| vehicle.class);
        let facts = Facts {
            lane: lane.facts(presented.direction, class, self.minute(now), now),
            zone: self.zone(lane, class, &subject, presented, now),
            site: self.site(lane),
            gateway: self.gateway(now),
            subject,
        };
        Some((facts, about))
    }

    fn here<'a>(&'a self, lane: &'a Lane, presented: &Presented, now: &'a Now) -> Here<'a> {
        Here { rules: &self.settings.register, gate: &lane.spec().gate, direction: presented.direction, now }
    }

    fn person(&self, lane: &Lane, presented: &Presented, now: Now) -> (Subject, About) {
        let mut facts = self.register.person_facts(self.here(lane, presented, &now), &presented.credentials);
        self.going_on(lane, presented, &mut facts.permit, &now);
        let zone = &lane.spec().zone;
        facts.inside = facts
            .person
            .as_ref()
            .and_then(|person| self.inside.inside_of(&inside::Subject::Person(person.clone()), zone, now.mono));
        let about = About {
            persons: facts.person.iter().cloned().collect(),
            permit: facts.permit.permit.clone(),
            company: facts.permit.company.clone(),
            ..About::default()
        };
        (Subject::Person(facts), about)
    }

    fn vehicle(&self, lane: &Lane, presented: &Presented, now: Now) -> (Subject, About) {
        let here = self.here(lane, presented, &now);
        let read = presented.plate.as_ref();
        let plate = read.and_then(|read| read.plate.clone());
        let part = plate.as_ref().map(|plate| self.register.vehicle_part(here, plate, None));
        let people = self.people(here, presented);
        let class = part.as_ref().and_then(|part| part.class);
        let mut about = About {
            vehicle: Some(VehicleSeen { plate: plate.clone(), class: class.unwrap_or(usual_class(lane)) }),
            persons: people.iter().filter_map(|person| person.person.clone()).collect(),
            gross_kg: presented.gross_kg,
            ..About::default()
        };
        let mut facts = unknown_vehicle(presented);
        if let (Some(mut part), Some(plate)) = (part, plate) {
            self.going_on(lane, presented, &mut part.permit, &now);
            about.permit.clone_from(&part.permit.permit);
            about.company.clone_from(&part.permit.company);
            let zone = &lane.spec().zone;
            facts.inside = self.inside.inside_of(&inside::Subject::Vehicle(plate.clone()), zone, now.mono);
            // Whoever only goes from one zone of the park into another has settled nothing yet, and need not have.
            let leaves = self.sides(&lane.spec().id, presented.direction).1.is_none();
            let unsettled = leaves.then(|| self.hazmat.unsettled(&plate, presented.gross_kg, now));
            facts.unsettled = unsettled.into_iter().flatten().collect();
            let carries = part.class.is_some_and(VehicleClass::is_hazmat);
            if carries || self.hazmat.waybills().of_plate(&plate).is_some() {
                let hazmat = self.dangerous(lane, presented, &plate, &part, &people, now);
                if carries || hazmat.small_quantity != SmallQuantity::AsOrdinary {
                    part.papers.extend(self.carrier_paper(here, zone, &plate, &part));
                }
                about.waybill.clone_from(&hazmat.waybill);
                about.manifest.clone_from(&hazmat.manifest);
                facts.hazmat = Some(hazmat);
            }
            facts.take(part);
        }
        facts.untrained = people.iter().fold(0, |n, person| n + u32::from(person.training_valid != Some(true)));
        (Subject::Vehicle(facts), about)
    }

    /// Who goes further in, from one zone of the park into another, goes on with the use of his permit that his entry began.
    fn going_on(&self, lane: &Lane, presented: &Presented, permit: &mut PermitFacts, now: &Now) {
        let (from, to) = self.sides(&lane.spec().id, presented.direction);
        let inner = from.is_some() && to.is_some() && presented.direction == Direction::In;
        let held = permit.permit.as_ref().filter(|_| inner && permit.state == PermitState::UsedUp);
        let held = held.and_then(|id| self.register.permit(id)).filter(|held| !held.begun.is_empty());
        if let Some(held) = held {
            // As who is on his way out: what has begun does not count against him.
            permit.state = held.state(&self.settings.register, Direction::Out, now);
        }
    }

    /// Those who showed something at the lane, each by himself.
    fn people(&self, here: Here<'_>, presented: &Presented) -> Vec<PersonFacts> {
        let persons: BTreeSet<_> =
            presented.credentials.iter().filter_map(|shown| self.register.who(shown, here.now)).collect();
        persons.iter().map(|person| self.register.facts_of(here, person)).collect()
    }

    fn dangerous(
        &self,
        lane: &Lane,
        presented: &Presented,
        plate: &Plate,
        part: &VehiclePart,
        people: &[PersonFacts],
        now: Now,
    ) -> HazmatFacts {
        let here = self.here(lane, presented, &now);
        let licence = self.carrier_licence(here, &lane.spec().zone, plate, part);
        let licence = licence.map(|(_, scope)| scope.clone());
        let known = Known { licence, ..self.known(here, part, people) };
        let asked = Asked {
            plate,
            trailer: part.trailer.as_ref(),
            direction: presented.direction,
            zone: &lane.spec().zone,
            gross_kg: presented.gross_kg,
            known: &known,
        };
        self.hazmat.facts(&asked, now)
    }

    /// The licence of who carries: of the company that the waybill names, else of the vehicle's owner.
    fn carrier_licence(
        &self,
        here: Here<'_>,
        zone: &ZoneId,
        plate: &Plate,
        part: &VehiclePart,
    ) -> Option<(PaperState, &BTreeSet<String>)> {
        let company = self.hazmat.carrier(plate, here.direction, zone).or(part.owner.as_ref())?;
        self.register.carrier_licence(here, company)
    }

    /// How that licence stands. One that is registered is always looked at; whether one must be there the site says.
    fn carrier_paper(
        &self,
        here: Here<'_>,
        zone: &ZoneId,
        plate: &Plate,
        part: &VehiclePart,
    ) -> Option<(PaperKind, PaperState)> {
        let needed = part.class.and_then(|class| here.rules.papers.get(&class));
        let needed = needed.is_some_and(|papers| papers.contains(&PaperKind::CarrierLicence));
        let state = self.carrier_licence(here, zone, plate, part).map(|(state, _)| state);
        state.or(needed.then_some(PaperState::Missing)).map(|state| (PaperKind::CarrierLicence, state))
    }

    /// What the register knows that dangerous goods ask for, but for the carrier's licence. Whoever showed himself as a driver drives; whoever showed himself
    /// as an escort escorts.
    fn known(&self, here: Here<'_>, part: &VehiclePart, people: &[PersonFacts]) -> Known {
        let of = |kind| {
            let mut of_kind = people.iter().filter(|person| person.person_kind == Some(kind));
            of_kind.find_map(|person| person.person.clone())
        };
        let (driver, escort) = (of(PersonKind::Driver), of(PersonKind::Escort));
        let qualified = |person: &PersonRef, skill| match self.register.skill(here, person, skill, None) {
            PaperState::Valid | PaperState::Expiring => Some(true),
            PaperState::Expired | PaperState::Missing => Some(false),
            PaperState::Undated => None,
        };
        Known {
            carrier: part.carrier.clone(),
            licence: None,
            tare_kg: part.tare_kg,
            driver_ok: driver.as_ref().and_then(|driver| qualified(driver, Skill::HazmatDriver)),
            escort: escort.map(|person| {
                let qualified = qualified(&person, Skill::HazmatEscort);
                Escort { person, qualified }
            }),
            driver,
            visits: part.permit.company.clone(),
        }
    }

    fn zone(
        &self,
        lane: &Lane,
        class: Option<VehicleClass>,
        subject: &Subject,
        presented: &Presented,
        now: Now,
    ) -> ZoneFacts {
        let zone = &lane.spec().zone;
        let gas = self.around.gas.get(zone).copied().unwrap_or(0);
        let mut facts = self.inside.zone_facts(zone, class, gas).unwrap_or_else(|| ZoneFacts {
            zone: zone.clone(),
            class: ZoneClass::General,
            persons: 0,
            persons_max: None,
            vehicles: 0,
            vehicles_max: None,
            gas_level: gas,
            anti_passback: AntiPassback::default(),
            training_needed: false,
        });
        let of = match subject {
            Subject::Person(person) => person.person.clone().map(inside::Subject::Person),
            Subject::Vehicle(vehicle) => vehicle.plate.clone().map(inside::Subject::Vehicle),
        };
        if let Some(of) = of {
            let hazmat = class.is_some_and(VehicleClass::is_hazmat);
            let emergency = self.site(lane).state.is_emergency();
            let passback = self.inside.passback(&of, zone, presented.direction, hazmat, emergency, now.mono);
            facts.anti_passback = passback.setting;
        }
        facts
    }

    fn site(&self, lane: &Lane) -> SiteFacts {
        let ordered = self.around.site.get(&lane.spec().id).copied();
        let (state, rule) = ordered.unwrap_or((State::Normal, LaneRule::Normal));
        SiteFacts { state, rule, fire: lane.fire(), warnings: self.around.warnings.clone() }
    }

    fn gateway(&self, now: Now) -> GatewayFacts {
        GatewayFacts {
            clock: now.trust,
            permits_age_s: self.register.age_s(Table::Permits, &now),
            block_list_age_s: self.register.age_s(Table::Lists, &now),
            peers_heard: self.inside.peers_heard(now.mono),
            store_ok: !self.around.store_failed,
            inside_known: self.inside.inside_known(),
        }
    }
}

impl VehicleFacts {
    /// Takes over what the register knows.
    fn take(&mut self, part: VehiclePart) {
        self.exempt |= part.exempt;
        self.class = part.class;
        self.listed = part.listed;
        self.permit = part.permit;
        self.papers = part.papers;
        self.gross_max_kg = part.gross_max_kg;
    }
}

fn unknown_vehicle(presented: &Presented) -> VehicleFacts {
    let read = presented.plate.as_ref();
    let plate = read.and_then(|read| read.plate.clone());
    VehicleFacts {
        readable: plate.is_some() && !presented.unsure,
        fake: read.is_some_and(|read| read.fake) || plate.as_ref().is_some_and(|plate| !plate.is_possible()),
        exempt: read.is_some_and(|read| read.exempt),
        plate,
        class: None,
        listed: Listed::default(),
        permit: PermitFacts { permit: None, state: PermitState::None, gate_ok: None, window_open: None, company: None },
        papers: std::collections::BTreeMap::new(),
        gross_kg: presented.gross_kg,
        gross_max_kg: None,
        inside: None,
        untrained: 0,
        unsettled: BTreeSet::new(),
        hazmat: None,
    }
}

/// What a vehicle of unknown class is counted as: what the lane is for, the most dangerous first.
pub(super) fn usual_class(lane: &Lane) -> VehicleClass {
    let classes = &lane.spec().classes;
    classes
        .iter()
        .copied()
        .find(|class| class.is_hazmat())
        .or_else(|| classes.first().copied())
        .unwrap_or(VehicleClass::Small)
}
