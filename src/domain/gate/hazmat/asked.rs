//! What a decision wants to know of dangerous goods, made from what is known here and from what the register knows of papers
//! and people, which is given as plain sets.
//!
//! A vehicle is asked about at one of three places, told apart by its visit and by the zone behind the lane:
//!
//! | | at the park's gate, in | into a zone of dispatch | out |
//! |---|---|---|---|
//! | waybill | the one it comes with: used by another entry is used | the one of its visit: ready, it is its own | of its visit |
//! | dispatched | no dispatch is needed: yes | sent to this zone | yes |
//! | bays | free for it, the promised one among them | its own bay counts | not asked: unknown |
//! | weight | against tare and waybill | not asked: unknown | both weighings against the waybill |
//!
//! Without a parking nothing is known of bays, and dispatch into a zone that asks for it is not given.

use std::collections::BTreeSet;

use super::Hazmat;
use super::book::same_plate;
use super::goods::{Goods, SmallQuantity, small_quantity};
use super::visit::{Visit, entry_weight};
use super::waybill::Waybill;
use crate::domain::gate::facts::{EscortFact, HazmatFacts, WaybillFact};
use crate::domain::gate::plate::Plate;
use crate::domain::gate::register::facts::{Carrier, covers};
use crate::domain::gate::word::{CompanyId, Direction, PersonRef, WaybillNo, ZoneId};
use crate::domain::time::{ClockTrust, Now};

/// Who came as the escort.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Escort {
    /// Who.
    pub person: PersonRef,
    /// Whether he is qualified; `None`: not known, which is not qualified.
    pub qualified: Option<bool>,
}

/// What the register knows of this vehicle and its people. `None`: not known.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Known {
    /// What vehicle and trailer may carry by their transport permits, and whether there is a tank, as the register has it.
    pub carrier: Option<Carrier>,
    /// Classes in the scope of the carrier's own licence, where the register has it ([`Hazmat::carrier`]): it must cover the goods
    /// too.
    pub licence: Option<BTreeSet<String>>,
    /// Tare of vehicle and trailer, kilograms.
    pub tare_kg: Option<u32>,
    /// Who drives, as far as he showed himself.
    pub driver: Option<PersonRef>,
    /// Whether he is qualified.
    pub driver_ok: Option<bool>,
    /// Who escorts; `None`: nobody is there.
    pub escort: Option<Escort>,
    /// The company that the vehicle's permit is for, where the permit names one.
    pub visits: Option<CompanyId>,
}

/// Who is asked about, and where.
#[derive(Clone, Debug, PartialEq)]
pub struct Asked<'a> {
    /// Plate of the tractor, as read.
    pub plate: &'a Plate,
    /// Plate of the trailer, where it was seen.
    pub trailer: Option<&'a Plate>,
    /// Which way.
    pub direction: Direction,
    /// The zone that the lane leads into, or out of.
    pub zone: &'a ZoneId,
    /// Gross weight, kilograms.
    pub gross_kg: Option<u32>,
    /// What the register knows.
    pub known: &'a Known,
}

impl Hazmat {
    /// Makes the facts of a vehicle at a lane. The same state, question and time give the same facts.
    pub fn facts(&self, asked: &Asked<'_>, now: Now) -> HazmatFacts {
        let visit = self.visit(asked.plate);
        let inner = self.is_inner(asked.direction, asked.zone);
        let waybill = self.waybill_asked(asked.plate, visit.filter(|_| inner));
        let number = waybill.map(|waybill| waybill.number.clone());
        let (checks_failed, checks_open) = self.checks.standing(&self.rules.items, number.as_ref());
        let tank = asked.known.carrier.as_ref().filter(|carrier| carrier.tank);
        let (bays_free, bay_compatible) = self.bays(asked, visit);
        HazmatFacts {
            waybill_state: self.waybill_fact(number.as_ref(), visit.filter(|_| inner)),
            manifest: waybill.and_then(|waybill| waybill.manifest.as_ref()).map(|manifest| manifest.number.clone()),
            waybill_matches: waybill.map(|waybill| matches(waybill, asked)),
            small_quantity: waybill.map_or(SmallQuantity::No, |waybill| small_quantity(&waybill.goods)),
            scope_ok: waybill.and_then(|waybill| scope_ok(waybill, asked.known)),
            tank_medium_ok: waybill.zip(tank).and_then(|(waybill, tank)| media_ok(waybill, tank)),
            tank: tank.is_some(),
            driver_ok: asked.known.driver_ok,
            escort: escort(waybill, asked.known),
            weight_ok: self.weight_ok(asked, waybill, visit),
            dispatched: Some(self.is_dispatched(asked, visit)),
            bays_free,
            bay_compatible,
            unloading_free: waybill.and_then(|waybill| self.places_for(waybill, visit, now)),
            route_ok: waybill.and_then(|waybill| self.route_ok(waybill, asked.plate, now)),
            checks_failed,
            checks_open,
            waybill: number,
        }
    }

    /// Returns who carries what this vehicle brings or takes, as its waybill has it.
    pub fn carrier(&self, plate: &Plate, direction: Direction, zone: &ZoneId) -> Option<&CompanyId> {
        let visit = self.visit(plate).filter(|_| self.is_inner(direction, zone));
        self.waybill_asked(plate, visit).map(|waybill| &waybill.carrier)
    }

    /// Whether the vehicle is in the park on the waybill of its visit; else it comes with one that is ready.
    fn is_inner(&self, direction: Direction, zone: &ZoneId) -> bool {
        direction == Direction::Out || self.rules.dispatch_zones.contains(zone)
    }

    fn waybill_asked(&self, plate: &Plate, visit: Option<&Visit>) -> Option<&Waybill> {
        let of_visit = visit.and_then(|visit| visit.waybill.as_ref()).and_then(|number| self.waybills.get(number));
        let entry = match visit {
            Some(_) => of_visit,
            None => self.waybills.of_plate(plate),
        };
        entry.map(|entry| &entry.waybill)
    }

    /// The waybill of a visit is its own, though it was used for its entry.
    fn waybill_fact(&self, number: Option<&WaybillNo>, visit: Option<&Visit>) -> WaybillFact {
        let fact = number.map_or(WaybillFact::Missing, |number| self.waybills.fact(number));
        let own = visit.is_some_and(|visit| visit.waybill.as_ref() == number && number.is_some());
        if own && fact == WaybillFact::Used { WaybillFact::Ready } else { fact }
    }

    fn is_dispatched(&self, asked: &Asked<'_>, visit: Option<&Visit>) -> bool {
        asked.direction == Direction::Out
            || !self.rules.dispatch_zones.contains(asked.zone)
            || visit.and_then(|visit| visit.sent.as_ref()).is_some_and(|sent| sent.to == *asked.zone)
    }

    /// A table that nobody signed says nothing of whether neighbours agree.
    fn bays(&self, asked: &Asked<'_>, visit: Option<&Visit>) -> (Option<u32>, Option<bool>) {
        if !self.lot.is_there() || asked.direction == Direction::Out {
            return (None, None);
        }
        if visit.is_some_and(|visit| self.lot.stands(&visit.plate).is_some()) {
            return (Some(1), self.rules.table.is_armed().then_some(true));
        }
        let guest = self.guest(asked.plate);
        if guest.load.is_none() {
            return (None, None);
        }
        let room = self.lot.room(&guest, &self.rules.table);
        // Where no bay is free none of them has good neighbours, whatever the table says.
        let known = self.rules.table.is_armed() || room.fitting == 0;
        (Some(room.fitting), known.then_some(room.compatible > 0))
    }

    /// The place that it was dispatched to is free for it, and taken for everybody else.
    fn places_for(&self, waybill: &Waybill, visit: Option<&Visit>, now: Now) -> Option<i64> {
        let own = visit.is_some_and(|visit| visit.takes_place() && self.host(visit).as_ref() == Some(waybill.host()));
        self.places_free(waybill.host(), now.mono).map(|free| free.saturating_add(i64::from(own)))
    }

    fn weight_ok(&self, asked: &Asked<'_>, waybill: Option<&Waybill>, visit: Option<&Visit>) -> Option<bool> {
        if asked.direction == Direction::Out {
            return visit.and_then(|visit| self.weights(visit, asked.gross_kg).agrees);
        }
        let waybill = waybill.filter(|_| !self.rules.dispatch_zones.contains(asked.zone))?;
        let Known { tare_kg, .. } = asked.known;
        entry_weight(waybill.purpose, asked.gross_kg, *tare_kg, waybill.kg(), self.rules.tolerance)
    }

    /// Whether its approved route and times allow it here and now. A route that the map does not have is one that nobody can
    /// see it keep to: no.
    fn route_ok(&self, waybill: &Waybill, plate: &Plate, now: Now) -> Option<bool> {
        let timed = waybill.not_before.is_some() || waybill.not_after.is_some();
        if self.is_off_route(plate) {
            return Some(false);
        }
        if timed && now.trust == ClockTrust::Unsynced {
            return None;
        }
        if timed && !waybill.is_in_time(now.wall) {
            return Some(false);
        }
        match &waybill.route {
            Some(route) => Some(self.rules.map.route(route).is_some()),
            None => timed.then_some(true),
        }
    }
}

/// Plates, driver and consignee of the waybill are those that came. A trailer that the camera did not see is not held against
/// it; one that is not on the waybill is.
fn matches(waybill: &Waybill, asked: &Asked<'_>) -> bool {
    let trailer = match (&waybill.trailer, asked.trailer) {
        (Some(named), Some(seen)) => same_plate(named, seen),
        (None, Some(_)) => false,
        (_, None) => true,
    };
    let driver = asked.known.driver.as_ref().is_none_or(|driver| *driver == waybill.driver);
    let escort = match (&waybill.escort, &asked.known.escort) {
        (Some(named), Some(here)) => *named == here.person,
        (None, _) | (_, None) => true,
    };
    let host = asked.known.visits.as_ref().is_none_or(|company| company == waybill.host());
    same_plate(&waybill.tractor, asked.plate) && trailer && driver && escort && host
}

/// Permits and licence must cover every class; one that is known and too narrow is enough to say no. A scope with nothing in
/// it is not known.
fn scope_ok(waybill: &Waybill, known: &Known) -> Option<bool> {
    let covers = |scope: &BTreeSet<String>| waybill.goods.iter().all(|goods| covers(scope, goods.class.as_str()));
    if known.licence.as_ref().is_some_and(|licence| !licence.is_empty() && !covers(licence)) {
        return Some(false);
    }
    known.carrier.as_ref().map(|carrier| &carrier.scope).filter(|scope| !scope.is_empty()).map(covers)
}

/// Media are written by UN number or by name.
fn media_ok(waybill: &Waybill, tank: &Carrier) -> Option<bool> {
    let is = |medium: &str, goods: &Goods| {
        let digits = medium.trim_start_matches(['U', 'N', ' ']);
        medium == goods.name || digits == format!("{:04}", goods.un)
    };
    let approved = |goods: &Goods| tank.media.iter().any(|medium| is(medium.trim(), goods));
    (!tank.media.is_empty()).then(|| waybill.goods.iter().all(approved))
}

/// Who drives is who showed himself, else who the waybill names.
fn escort(waybill: Option<&Waybill>, known: &Known) -> EscortFact {
    let Some(escort) = &known.escort else { return EscortFact::Missing };
    let drives = known.driver.as_ref().or(waybill.map(|waybill| &waybill.driver));
    if drives == Some(&escort.person) {
        EscortFact::IsDriver
    } else if escort.qualified == Some(true) {
        EscortFact::Present
    } else {
        EscortFact::Unqualified
    }
}
