//! The hazmat parking (危险货物运输车辆专用停车场): which bay a vehicle gets, who waits for one, what stands where.
//!
//! ```text
//!            promise                  parked
//!   FREE ─────────────▶ WAITING ─────────────────▶ PARKED ──┐
//!    ▲ ▲    runs out /     │                          ▲      │ left
//!    │ └─── given back ────┘   another one parks      │      │
//!    │                        ───────────▶ WRONG ─────┘      │
//!    └──────────────────────────── left ◀──┴─────────────────┘
//! ```
//!
//! A bay is promised to at most one vehicle, and at most one stands in it. A vehicle that stands where it was not sent is
//! *wrong*; who was promised that bay gets another one, or waits. Who finds nothing that fits waits in a queue; the first of
//! it that a free bay fits is offered that bay, for a while.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::apart::{Beside, Table};
use super::goods::{FireGroup, Load};
use crate::domain::gate::plate::Plate;
use crate::domain::gate::word::{BayId, words};
use crate::domain::time::Mono;

/// Bays of one parking.
pub const MAX_BAYS: usize = 1000;
/// Vehicles in the queue: what does not find its place in a few hours will not come today.
pub const MAX_QUEUE: usize = 200;
/// More bays than this ask for two entrances (rule 48).
pub const BAYS_WITH_ONE_ENTRANCE: usize = 30;

words! {
    /// What an area is for (rule 44). The city's codes are 1, 2, 3 in this order.
    Area {
        /// Loaded vehicles.
        Loaded = "loaded", "重载区";
        /// Empty vehicles.
        Empty = "empty", "空载区";
        /// Ordinary vehicles.
        Ordinary = "ordinary", "普通车区";
    }
}

words! {
    /// How a bay stands (rule 46). The city's codes: 0 waiting, 1 parked, 2 free, 3 wrong.
    BayStatus {
        /// Promised, not yet taken.
        Waiting = "waiting", "待停";
        /// Taken.
        Parked = "parked", "已停";
        /// Free.
        Free = "free", "空闲";
        /// Taken by one that was not sent here.
        Wrong = "wrong", "违停";
    }
}

impl BayStatus {
    /// Returns the city's code.
    pub fn code(self) -> u8 {
        match self {
            Self::Waiting => 0,
            Self::Parked => 1,
            Self::Free => 2,
            Self::Wrong => 3,
        }
    }
}

/// A bay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BaySpec {
    /// Its id.
    pub id: BayId,
    /// What its area is for.
    pub area: Area,
    /// The fire group that it takes.
    pub fire: FireGroup,
    /// Whether it is for toxic goods, and for no others.
    pub toxic: bool,
    /// Those beside it.
    pub beside: BTreeSet<BayId>,
}

/// Who looks for a bay, or stands in one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Guest {
    /// The plate.
    pub plate: Plate,
    /// The area that it belongs to.
    pub area: Area,
    /// What it carries or has come for; `None`: nobody knows.
    pub load: Option<Load>,
}

/// What is with a bay.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Bay {
    /// Whom it is promised to.
    promised: Option<Guest>,
    /// Who stands in it.
    stands: Option<Guest>,
    /// When a promise that nobody took up runs out.
    #[serde(skip)]
    until: Option<Mono>,
}

/// How one bay stands, for people.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct BayView {
    /// The bay.
    pub bay: BayId,
    /// How it stands.
    pub status: BayStatus,
    /// Who stands in it, or is to.
    pub plate: Option<Plate>,
}

/// Free bays for a vehicle.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Room {
    /// Those that fit area, fire group and toxicity.
    pub fitting: u32,
    /// Of these, those that have beside them nothing that must be kept apart, as far as is known.
    pub compatible: u32,
}

/// What a vehicle that asked for a bay got.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "got", rename_all = "snake_case")]
pub enum Place {
    /// This bay.
    Bay {
        /// The bay.
        bay: BayId,
    },
    /// A place in the queue, from 1 (`PARKING_FULL`).
    Queue {
        /// Its number.
        position: usize,
    },
    /// Nothing, ever: explosives and radioactive material, or goods of which the fire group is not known.
    Never,
    /// Nothing: the queue is full.
    QueueFull,
}

/// The parking.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Lot {
    specs: BTreeMap<BayId, BaySpec>,
    bays: BTreeMap<BayId, Bay>,
    queue: Vec<Guest>,
}

/// What a restart leaves of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SavedLot {
    bays: BTreeMap<BayId, Bay>,
    queue: Vec<Guest>,
}

impl Lot {
    /// A parking with nothing in it.
    pub fn new(specs: &[BaySpec]) -> Self {
        let mut specs: BTreeMap<_, _> = specs.iter().map(|spec| (spec.id.clone(), spec.clone())).collect();
        // To be beside is to be so both ways, whichever way it was written.
        let pairs: Vec<_> =
            specs.values().flat_map(|spec| spec.beside.iter().map(|other| (other.clone(), spec.id.clone()))).collect();
        for (of, other) in pairs {
            if let Some(spec) = specs.get_mut(&of) {
                spec.beside.insert(other);
            }
        }
        let bays = specs.keys().map(|id| (id.clone(), Bay::default())).collect();
        Self { specs, bays, queue: Vec::new() }
    }

    /// Returns whether there is a parking at all.
    pub fn is_there(&self) -> bool {
        !self.specs.is_empty()
    }

    /// Returns what must survive a restart.
    pub fn save(&self) -> SavedLot {
        SavedLot { bays: self.bays.clone(), queue: self.queue.clone() }
    }

    /// Takes up what a restart left; bays that are no longer there are left behind. Promises begin anew.
    pub fn restore(&mut self, saved: SavedLot, until: Mono) {
        for (id, mut bay) in saved.bays {
            if let Some(mine) = self.bays.get_mut(&id) {
                bay.until = (bay.promised.is_some() && bay.stands.is_none()).then_some(until);
                *mine = bay;
            }
        }
        self.queue = saved.queue;
    }

    /// Returns how every bay stands.
    pub fn view(&self) -> Vec<BayView> {
        let view = |(id, bay): (&BayId, &Bay)| BayView {
            bay: id.clone(),
            status: status(bay),
            plate: bay.stands.as_ref().or(bay.promised.as_ref()).map(|guest| guest.plate.clone()),
        };
        self.bays.iter().map(view).collect()
    }

    /// Returns the queue, the first to be served first.
    pub fn queue(&self) -> impl Iterator<Item = &Plate> {
        self.queue.iter().map(|guest| &guest.plate)
    }

    /// Returns the bay that is promised to a vehicle.
    pub fn promised(&self, plate: &Plate) -> Option<&BayId> {
        self.bays.iter().find(|(_, bay)| is_of(bay.promised.as_ref(), plate)).map(|(id, _)| id)
    }

    /// Returns the bay that a vehicle stands in.
    pub fn stands(&self, plate: &Plate) -> Option<(&BayId, BayStatus)> {
        self.bays.iter().find(|(_, bay)| is_of(bay.stands.as_ref(), plate)).map(|(id, bay)| (id, status(bay)))
    }

    /// Returns the free bays for a vehicle: those not promised to others. The one promised to it counts.
    pub fn room(&self, guest: &Guest, table: &Table) -> Room {
        let mut room = Room::default();
        for id in self.fitting(guest) {
            room.fitting += 1;
            room.compatible += u32::from(self.is_compatible(id, guest, table));
        }
        room
    }

    /// Promises a bay until it is parked in or `until` comes, or gives a place in the queue. With an armed table only a
    /// compatible bay; with another one a compatible bay first.
    pub fn ask(&mut self, guest: Guest, table: &Table, until: Mono) -> Place {
        if never(&guest) {
            return Place::Never;
        }
        if let Some(bay) = self.promised(&guest.plate).cloned() {
            if self.stands(&guest.plate).is_some_and(|(at, _)| *at == bay) {
                return Place::Bay { bay };
            }
            // What came to stand beside it since may not be what it was promised beside.
            if !table.is_armed() || self.fitting(&guest).any(|id| *id == bay) && self.is_compatible(&bay, &guest, table)
            {
                self.promise(&bay, guest, until);
                return Place::Bay { bay };
            }
            self.give_up(&guest.plate);
        }
        if let Some(bay) = self.best(&guest, table) {
            self.queue.retain(|other| other.plate != guest.plate);
            self.promise(&bay, guest, until);
            return Place::Bay { bay };
        }
        let position = self.queue.iter().position(|other| other.plate == guest.plate);
        if position.is_none() && self.queue.len() >= MAX_QUEUE {
            return Place::QueueFull;
        }
        let position = position.unwrap_or_else(|| {
            self.queue.push(guest);
            self.queue.len() - 1
        });
        Place::Queue { position: position + 1 }
    }

    /// Takes a promise and a place in the queue back: the vehicle turned round, or has left.
    pub fn give_up(&mut self, plate: &Plate) {
        self.queue.retain(|guest| guest.plate != *plate);
        for bay in self.bays.values_mut().filter(|bay| is_of(bay.promised.as_ref(), plate)) {
            (bay.promised, bay.until) = (None, None);
        }
    }

    /// Keeps a promise for as long as it takes: the vehicle is inside.
    pub fn hold(&mut self, plate: &Plate) {
        for bay in self.bays.values_mut().filter(|bay| is_of(bay.promised.as_ref(), plate)) {
            bay.until = None;
        }
    }

    /// Notes who stands in a bay. Returns how it stands then, and who lost the promise of it; `None`: no such bay.
    pub fn park(&mut self, id: &BayId, guest: Guest) -> Option<(BayStatus, Option<Guest>)> {
        self.bays.get(id)?;
        let sent_here = self.promised(&guest.plate) == Some(id);
        self.leave(&guest.plate);
        if sent_here {
            self.give_up(&guest.plate);
        }
        let bay = self.bays.get_mut(id)?;
        let lost = bay.promised.take().filter(|other| other.plate != guest.plate);
        bay.until = None;
        // Rightly parked is one that was sent here: the promise stays beside it as the mark.
        bay.promised = sent_here.then(|| guest.clone());
        bay.stands = Some(guest);
        Some((status(bay), lost))
    }

    /// Notes that a vehicle stands in a bay no longer. Returns the bay.
    pub fn leave(&mut self, plate: &Plate) -> Option<BayId> {
        let (id, bay) = self.bays.iter_mut().find(|(_, bay)| is_of(bay.stands.as_ref(), plate))?;
        bay.stands = None;
        if is_of(bay.promised.as_ref(), plate) {
            bay.promised = None;
        }
        Some(id.clone())
    }

    /// Notes that a bay was seen empty. Returns who stood in it, as far as was known.
    pub fn empty(&mut self, id: &BayId) -> Option<Guest> {
        let bay = self.bays.get_mut(id)?;
        let stood = bay.stands.take()?;
        if is_of(bay.promised.as_ref(), &stood.plate) {
            bay.promised = None;
        }
        Some(stood)
    }

    /// Returns when a promise runs out next.
    pub fn next(&self) -> Option<Mono> {
        self.bays.values().filter_map(|bay| bay.until).min()
    }

    /// Takes back what ran out. Returns whose it was.
    pub fn run_out(&mut self, now: Mono) -> Vec<(BayId, Plate)> {
        let mut lost = Vec::new();
        for (id, bay) in &mut self.bays {
            if bay.until.is_some_and(|until| until <= now) {
                bay.until = None;
                lost.extend(bay.promised.take().map(|guest| (id.clone(), guest.plate)));
            }
        }
        lost
    }

    /// Offers free bays to the queue, in its order; each offer is a promise until `until`. Returns what was offered.
    pub fn serve(&mut self, table: &Table, until: Mono) -> Vec<(BayId, Plate)> {
        let mut offered = Vec::new();
        for guest in std::mem::take(&mut self.queue) {
            match self.best(&guest, table) {
                Some(bay) => {
                    offered.push((bay.clone(), guest.plate.clone()));
                    self.promise(&bay, guest, until);
                }
                None => self.queue.push(guest),
            }
        }
        offered
    }

    /// Returns who stands beside a bay, and who is to.
    pub fn beside(&self, id: &BayId) -> impl Iterator<Item = &Guest> {
        let ids = self.specs.get(id).into_iter().flat_map(|spec| &spec.beside);
        ids.filter_map(|other| self.bays.get(other)).flat_map(|bay| bay.stands.iter().chain(&bay.promised))
    }

    /// Returns the pairs of bays beside one another that the table keeps apart, by what stands in them now.
    pub fn clashes(&self, table: &Table) -> Vec<(BayId, BayId)> {
        let mut clashes = Vec::new();
        for (id, spec) in &self.specs {
            let Some(one) = self.bays.get(id).and_then(|bay| bay.stands.as_ref()) else { continue };
            for other_id in spec.beside.iter().filter(|other| *other > id) {
                let Some(other) = self.bays.get(other_id).and_then(|bay| bay.stands.as_ref()) else { continue };
                if table.beside(one.load.as_ref(), other.load.as_ref()) != Beside::May {
                    clashes.push((id.clone(), other_id.clone()));
                }
            }
        }
        clashes
    }

    fn promise(&mut self, id: &BayId, guest: Guest, until: Mono) {
        if let Some(bay) = self.bays.get_mut(id) {
            bay.promised = Some(guest);
            bay.until = Some(until);
        }
    }

    fn best(&self, guest: &Guest, table: &Table) -> Option<BayId> {
        let compatible = self.fitting(guest).find(|id| self.is_compatible(id, guest, table));
        let any = || self.fitting(guest).next().filter(|_| !table.is_armed());
        compatible.or_else(any).cloned()
    }

    fn fitting<'a>(&'a self, guest: &'a Guest) -> impl Iterator<Item = &'a BayId> {
        let fits = move |spec: &BaySpec| {
            let load = guest.load.as_ref();
            spec.area == guest.area
                && (spec.area == Area::Ordinary
                    || load.is_some_and(|load| load.fire == Some(spec.fire) && load.toxic == spec.toxic))
        };
        let free = move |bay: &Bay| {
            bay.stands.is_none() && bay.promised.as_ref().is_none_or(|promised| promised.plate == guest.plate)
        };
        let specs = self.specs.values().filter(move |spec| !never(guest) && fits(spec));
        specs.map(|spec| &spec.id).filter(move |id| self.bays.get(*id).is_some_and(free))
    }

    /// Looks at who stands beside and at who is to stand there.
    fn is_compatible(&self, id: &BayId, guest: &Guest, table: &Table) -> bool {
        self.beside(id).all(|other| {
            let harmless = |guest: &Guest| guest.area == Area::Ordinary && guest.load.is_none();
            other.plate == guest.plate
                || harmless(other)
                || table.beside(guest.load.as_ref(), other.load.as_ref()) == Beside::May
        })
    }
}

/// Rule 47, and what no bay can be found for.
fn never(guest: &Guest) -> bool {
    guest.load.as_ref().is_some_and(|load| load.classes.iter().any(|class| class.is_never_parked()))
        || (guest.area != Area::Ordinary && guest.load.as_ref().is_none_or(|load| load.fire.is_none()))
}

fn is_of(guest: Option<&Guest>, plate: &Plate) -> bool {
    guest.is_some_and(|guest| guest.plate == *plate)
}

fn status(bay: &Bay) -> BayStatus {
    match (&bay.stands, &bay.promised) {
        (None, None) => BayStatus::Free,
        (None, Some(_)) => BayStatus::Waiting,
        (Some(stands), Some(promised)) if stands.plate == promised.plate => BayStatus::Parked,
        (Some(_), _) => BayStatus::Wrong,
    }
}

/// How long promises last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Promises {
    /// From an admitting decision until the vehicle has entered.
    pub enter_within: Duration,
    /// From a free bay until the first of the queue has come.
    pub come_within: Duration,
}

impl Default for Promises {
    fn default() -> Self {
        Self { enter_within: Duration::from_secs(120), come_within: Duration::from_secs(900) }
    }
}

#[cfg(test)]
mod tests {
    use super::super::apart::Signature;
    use super::super::goods::HazardClass;
    use super::*;
    use crate::domain::gate::hazmat::tests::{bay, goods, plate};

    fn guest(text: &str, class: HazardClass) -> Guest {
        Guest { plate: plate(text), area: Area::Loaded, load: Some(Load::of(&[goods(1, class, 1.0)])) }
    }

    fn lot() -> Lot {
        // Three in a row for group A, one apart from them; one for liquefied hydrocarbons beside the first.
        Lot::new(&[bay("A1", "2", &["A2"]), bay("A2", "2", &["A3"]), bay("A3", "2", &[]), bay("L1", "1", &["A1"])])
    }

    fn armed() -> Table {
        let digest = Table::default().digest();
        let signed = Signature { by: "李四".into(), on: "2026-11-01".into(), digest };
        Table::new(Table::default_rules(), Some(signed))
    }

    const LATER: Mono = Mono::from_secs(100);

    fn at(bay: &str) -> Place {
        Place::Bay { bay: BayId::new(bay) }
    }

    #[test]
    fn a_vehicle_gets_a_bay_of_its_group_that_has_nothing_beside_it_that_must_be_apart() {
        let (mut lot, table) = (lot(), armed());
        assert_eq!(lot.ask(guest("鲁A1", HazardClass::C3), &table, LATER), at("A1"));
        assert_eq!(lot.ask(guest("鲁A2", HazardClass::C51), &table, LATER), at("A3"), "not beside a flammable liquid");
        assert_eq!(lot.room(&guest("鲁A3", HazardClass::C3), &table), Room { fitting: 1, compatible: 0 });
        assert_eq!(lot.ask(guest("鲁A3", HazardClass::C3), &table, LATER), Place::Queue { position: 1 });
        assert_eq!(lot.ask(guest("鲁A4", HazardClass::C21), &table, LATER), at("L1"));
        // The oxidizer leaves: whoever waits longest and fits is served.
        lot.give_up(&plate("鲁A2"));
        assert_eq!(lot.serve(&table, LATER), [(BayId::new("A2"), plate("鲁A3"))]);
    }

    #[test]
    fn a_table_that_nobody_signed_guides_but_does_not_refuse() {
        let (mut lot, table) = (lot(), Table::default());
        lot.ask(guest("鲁A1", HazardClass::C3), &table, LATER);
        lot.ask(guest("鲁A2", HazardClass::C51), &table, LATER);
        assert_eq!(lot.ask(guest("鲁A3", HazardClass::C3), &table, LATER), at("A2"));
    }

    #[test]
    fn explosives_radioactive_material_and_goods_of_no_known_group_get_none() {
        let mut lot = lot();
        for class in [HazardClass::C1, HazardClass::C7, HazardClass::C9] {
            assert_eq!(lot.ask(guest("鲁A1", class), &Table::default(), LATER), Place::Never, "{class}");
        }
        assert_eq!(lot.queue().count(), 0);
    }

    #[test]
    fn a_promise_runs_out_and_the_bay_is_free_again() {
        let (mut lot, table) = (lot(), armed());
        lot.ask(guest("鲁A1", HazardClass::C3), &table, LATER);
        assert_eq!(lot.next(), Some(LATER));
        assert_eq!(lot.run_out(Mono::from_secs(99)), []);
        assert_eq!(lot.run_out(LATER), [(BayId::new("A1"), plate("鲁A1"))]);
        assert!(lot.view().iter().all(|bay| bay.status == BayStatus::Free));
    }

    #[test]
    fn one_that_stands_wrong_is_seen_and_who_was_to_stand_there_loses_the_promise() {
        let (mut lot, table) = (lot(), armed());
        let (one, two) = (guest("鲁A1", HazardClass::C3), guest("鲁A2", HazardClass::C3));
        lot.ask(one.clone(), &table, LATER);
        lot.ask(two.clone(), &table, LATER);
        let id = BayId::new("A1");
        assert_eq!(lot.park(&id, two.clone()), Some((BayStatus::Wrong, Some(one.clone()))));
        assert_eq!(lot.promised(&two.plate), Some(&BayId::new("A2")), "its own bay is still its own");
        assert_eq!(lot.ask(one.clone(), &table, LATER), at("A3"));
        assert_eq!(lot.park(&BayId::new("A2"), two.clone()), Some((BayStatus::Parked, None)));
        assert_eq!(lot.stands(&two.plate), Some((&BayId::new("A2"), BayStatus::Parked)), "in one bay at a time");
        assert_eq!(lot.leave(&two.plate), Some(BayId::new("A2")));
        assert_eq!(lot.view()[1].status, BayStatus::Free);
        assert_eq!(lot.park(&BayId::new("Z9"), one), None);
    }

    #[test]
    fn neighbours_that_must_be_apart_are_seen_where_they_stand() {
        let (mut lot, table) = (lot(), armed());
        lot.park(&BayId::new("A1"), guest("鲁A1", HazardClass::C3));
        lot.park(&BayId::new("A2"), guest("鲁A2", HazardClass::C51));
        assert_eq!(lot.clashes(&table), [(BayId::new("A1"), BayId::new("A2"))]);
    }
}
