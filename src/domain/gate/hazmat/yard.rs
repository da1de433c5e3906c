//! The parking at work: bays promised to who was admitted, offered to who waits, taken and left; and the dispatch from it.

use serde::{Deserialize, Serialize};

use super::Hazmat;
use super::lot::{BayStatus, Guest, Place};
use super::record::{Happened, Output, ViolationKind};
use super::visit::{Running, Sent, Stage, Visit};
use crate::domain::gate::plate::Plate;
use crate::domain::gate::word::{BayId, CompanyId, ZoneId};
use crate::domain::time::{Mono, Now};

/// Why a vehicle was not dispatched. The codes are those of `domain.md` A19.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "code", rename_all = "SCREAMING_SNAKE_CASE")]
pub enum NotSent {
    /// It is not inside.
    NotInside,
    /// It was let in without a waybill: nobody knows where it goes.
    WaybillMissing,
    /// It is not parked in its bay (rule 38).
    NotParked,
    /// It is dispatched already.
    AlreadyDispatched,
    /// That zone is not entered by dispatch.
    WrongZone,
    /// Its host has published no places, or not lately.
    PlacesUnknown,
    /// Every place of its host is taken (rule 39).
    NoUnloadingSlot,
}

impl Hazmat {
    /// Promises a bay to a vehicle that is being admitted, or that asks from outside; without a bay, a place in the queue.
    /// To be called with the admitting decision, so that two vehicles never go for the same bay.
    pub fn handle_wants_bay(&mut self, plate: &Plate, now: Now) -> Place {
        let guest = self.guest(plate);
        let until = now.mono + self.rules.promises.enter_within;
        let place = self.lot.ask(guest, &self.rules.table, until);
        let waybill = self.waybills.of_plate(plate).map(|entry| entry.waybill.number.clone());
        self.tell(Some(plate.clone()), waybill, Happened::Bay { place: place.clone() }, now);
        place
    }

    /// Takes a promise and a place in the queue back: the vehicle turned round before it was in.
    pub fn handle_turned_back(&mut self, plate: &Plate, now: Now) {
        if self.visit(plate).is_none() {
            self.lot.give_up(plate);
            self.serve_queue(now);
        }
    }

    /// Takes that a vehicle was seen in a bay. Returns how the bay stands then; `None`: there is no such bay.
    pub fn handle_parked(&mut self, bay: &BayId, plate: &Plate, now: Now) -> Option<BayStatus> {
        let plate = self.visit(plate).map_or_else(|| plate.clone(), |visit| visit.plate.clone());
        let guest = self.guest(&plate);
        if self.lot.stands(&plate).is_some_and(|(at, _)| at == bay) {
            return self.lot.stands(&plate).map(|(_, status)| status);
        }
        let (status, lost) = self.lot.park(bay, guest)?;
        let waybill = self.visit(&plate).and_then(|visit| visit.waybill.clone());
        self.tell(Some(plate.clone()), waybill, Happened::Parked { bay: bay.clone(), status }, now);
        if let Some(visit) = self.visits.get_mut(&plate) {
            visit.stage = match visit.stage {
                Stage::Arrived | Stage::Parked | Stage::Leaving if status == BayStatus::Parked => Stage::Parked,
                Stage::Parked => Stage::Arrived,
                stage @ (Stage::Arrived | Stage::Sent | Stage::Working | Stage::Leaving) => stage,
            };
        }
        if status == BayStatus::Wrong {
            self.accuse_of(ViolationKind::WrongBay, &plate, Some(bay.to_string()), now);
        }
        self.tell_clashes(bay, &plate, now);
        if let Some(lost) = lost {
            self.promise_another(lost, now);
        }
        self.serve_queue(now);
        Some(status)
    }

    /// Takes that a bay was seen empty.
    pub fn handle_bay_empty(&mut self, bay: &BayId, now: Now) {
        let Some(stood) = self.lot.empty(bay) else { return };
        let waybill = self.visit(&stood.plate).and_then(|visit| visit.waybill.clone());
        if let Some(visit) = self.visits.get_mut(&stood.plate).filter(|visit| visit.stage == Stage::Parked) {
            visit.stage = Stage::Arrived;
        }
        self.tell(Some(stood.plate), waybill, Happened::LeftBay { bay: bay.clone() }, now);
        self.serve_queue(now);
    }

    /// Dispatches a parked vehicle to its place.
    ///
    /// # Errors
    /// [`NotSent`] says why not.
    pub fn handle_dispatch(&mut self, plate: &Plate, to: &ZoneId, by: &str, now: Now) -> Result<(), NotSent> {
        let visit = self.visit(plate).ok_or(NotSent::NotInside)?;
        let host = self.host(visit).ok_or(NotSent::WaybillMissing)?;
        if !self.rules.dispatch_zones.contains(to) {
            return Err(NotSent::WrongZone);
        }
        match visit.stage {
            Stage::Sent | Stage::Working => return Err(NotSent::AlreadyDispatched),
            Stage::Arrived | Stage::Leaving => return Err(NotSent::NotParked),
            Stage::Parked => {}
        }
        match self.places_free(&host, now.mono) {
            None => return Err(NotSent::PlacesUnknown),
            Some(free) if free <= 0 => return Err(NotSent::NoUnloadingSlot),
            Some(_) => {}
        }
        let plate = visit.plate.clone();
        let waybill = visit.waybill.clone();
        if let Some(visit) = self.visits.get_mut(&plate) {
            visit.stage = Stage::Sent;
            visit.sent = Some(Sent {
                to: to.clone(),
                host: host.clone(),
                by: by.to_owned(),
                running: Running::start(now.mono),
                overdue: false,
            });
        }
        self.tell(Some(plate), waybill, Happened::Sent { zone: to.clone(), host, by: by.to_owned() }, now);
        Ok(())
    }

    /// Calls a dispatched vehicle back before it is at its place. Returns whether there was one to call.
    pub fn handle_recall(&mut self, plate: &Plate, by: &str, now: Now) -> bool {
        let Some(plate) = self.visit(plate).filter(|visit| visit.stage == Stage::Sent).map(|visit| visit.plate.clone())
        else {
            return false;
        };
        let parked = self.lot.stands(&plate).is_some_and(|(_, status)| status == BayStatus::Parked);
        let mut waybill = None;
        if let Some(visit) = self.visits.get_mut(&plate) {
            visit.sent = None;
            visit.stage = if parked { Stage::Parked } else { Stage::Arrived };
            waybill.clone_from(&visit.waybill);
        }
        self.tell(Some(plate), waybill, Happened::Recalled { by: by.to_owned() }, now);
        true
    }

    /// Returns the places that a company has free now, fewer than none when it took some back; `None`: it published none, or
    /// not lately.
    pub fn places_free(&self, host: &CompanyId, now: Mono) -> Option<i64> {
        let quota = self.quotas.get(host).filter(|quota| quota.published.elapsed(now) <= self.rules.quota_valid)?;
        let takes = |visit: &&Visit| visit.takes_place() && self.host(visit).as_ref() == Some(host);
        let taken = self.visits.values().filter(takes).count();
        Some(i64::from(quota.places) - i64::try_from(taken).unwrap_or(i64::MAX))
    }

    /// Returns the company that a visit goes to.
    pub(super) fn host(&self, visit: &Visit) -> Option<CompanyId> {
        let sent = visit.sent.as_ref().map(|sent| sent.host.clone());
        let number = visit.waybill.as_ref();
        sent.or_else(|| number.and_then(|number| self.waybills.get(number)).map(|entry| entry.waybill.host().clone()))
    }

    /// Returns a vehicle as the parking sees it: by its visit, else by the waybill that it comes with.
    pub(super) fn guest(&self, plate: &Plate) -> Guest {
        use super::lot::Area;
        use super::waybill::Purpose;
        if let Some(visit) = self.visit(plate) {
            return Guest { plate: visit.plate.clone(), area: visit.area(), load: visit.load.clone() };
        }
        let entry = self.waybills.of_plate(plate).filter(|entry| entry.used.is_none());
        let area = match entry.map(|entry| entry.waybill.purpose) {
            Some(Purpose::Collect) => Area::Empty,
            Some(Purpose::Deliver) | None => Area::Loaded,
        };
        Guest { plate: plate.clone(), area, load: entry.map(|entry| entry.waybill.load()) }
    }

    /// Offers what is free to who waits.
    pub(super) fn serve_queue(&mut self, now: Now) {
        let until = now.mono + self.rules.promises.come_within;
        for (bay, plate) in self.lot.serve(&self.rules.table, until) {
            let inside = self.visits.contains_key(&plate);
            if inside {
                self.lot.hold(&plate);
                self.outputs.push_back(Output::Guide { plate: plate.clone(), bay: bay.clone() });
            } else {
                self.outputs.push_back(Output::Call { plate: plate.clone(), bay: bay.clone() });
            }
            self.tell(Some(plate), None, Happened::Bay { place: Place::Bay { bay } }, now);
        }
    }

    /// Takes back promises that nobody took up.
    pub(super) fn lapse(&mut self, now: Now) {
        let lapsed = self.lot.run_out(now.mono);
        if lapsed.is_empty() {
            return;
        }
        for (bay, plate) in lapsed {
            self.tell(Some(plate), None, Happened::BayLapsed { bay }, now);
        }
        self.serve_queue(now);
    }

    fn promise_another(&mut self, guest: Guest, now: Now) {
        let plate = guest.plate.clone();
        // Another one stands where this one stood, as far as is known.
        if let Some(visit) = self.visits.get_mut(&plate).filter(|visit| visit.stage == Stage::Parked) {
            visit.stage = Stage::Arrived;
        }
        let until = now.mono + self.rules.promises.come_within;
        let place = self.lot.ask(guest, &self.rules.table, until);
        if self.visits.contains_key(&plate) {
            self.lot.hold(&plate);
        }
        match &place {
            Place::Bay { bay } => self.outputs.push_back(Output::Guide { plate: plate.clone(), bay: bay.clone() }),
            Place::Queue { .. } | Place::Never | Place::QueueFull => {
                self.accuse_of(ViolationKind::NoBay, &plate, None, now);
            }
        }
        self.tell(Some(plate), None, Happened::Bay { place }, now);
    }

    fn tell_clashes(&mut self, bay: &BayId, plate: &Plate, now: Now) {
        let clashes = self.lot.clashes(&self.rules.table);
        for (one, other) in clashes.into_iter().filter(|(one, other)| one == bay || other == bay) {
            self.accuse_of(ViolationKind::Incompatible, plate, Some(format!("{one}+{other}")), now);
        }
    }
}
