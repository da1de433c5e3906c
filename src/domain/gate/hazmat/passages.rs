//! What completed passages do: a vehicle enters and uses up its waybill, goes from zone to zone, and leaves with its weights
//! compared; terminals that are handed out and given back; how long it stays; what of dangerous goods is in each zone.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::book::Refusal;
use super::goods::{HazardClass, SmallQuantity, small_quantity};
use super::lot::{Guest, Place};
use super::record::{Happened, Movement, Output, Phase, Violation, ViolationKind};
use super::visit::{Reconciled, Stage, Visit, reconcile};
use super::{Handed, Hazmat, violation};
use crate::domain::gate::plate::Plate;
use crate::domain::gate::word::{PassageId, TerminalId, ZoneId};
use crate::domain::time::{Mono, Now, Timestamp};

/// Code of what is unsettled at an exit: the terminal was not given back (rule 40).
pub const TERMINAL_NOT_RETURNED: &str = "TERMINAL_NOT_RETURNED";
/// The stay was longer than allowed (rule 41).
pub const OVERSTAY: &str = "OVERSTAY";
/// The weighings do not agree with the waybill (rule 42).
pub const WEIGHT_MISMATCH: &str = "WEIGHT_MISMATCH";

/// A vehicle has entered the park.
#[derive(Clone, Debug, PartialEq)]
pub struct Entered {
    /// The passage.
    pub passage: PassageId,
    /// The plate, as it was decided by.
    pub plate: Plate,
    /// The zone that it is in now.
    pub zone: ZoneId,
    /// Gross weight, kilograms.
    pub gross_kg: Option<u32>,
}

/// A vehicle went from one zone of the park to another.
#[derive(Clone, Debug, PartialEq)]
pub struct Went {
    /// The passage.
    pub passage: PassageId,
    /// The plate.
    pub plate: Plate,
    /// The zone that it is in now.
    pub to: ZoneId,
}

/// A vehicle has left the park.
#[derive(Clone, Debug, PartialEq)]
pub struct Left {
    /// The passage.
    pub passage: PassageId,
    /// The plate.
    pub plate: Plate,
    /// Gross weight, kilograms.
    pub gross_kg: Option<u32>,
}

/// Why a terminal was not handed out or taken back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "code", rename_all = "snake_case")]
pub enum TerminalRefusal {
    /// It was not given back yet by another vehicle.
    StillOut {
        /// That vehicle.
        with: String,
    },
    /// It was not handed out.
    NotOut,
}

/// Dangerous goods in a zone.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Stock {
    /// Loaded vehicles.
    pub vehicles: u32,
    /// Kilograms by class, of the goods whose mass is known.
    pub kg: BTreeMap<HazardClass, f64>,
    /// Kinds of goods of which the mass is not known; a loaded vehicle without a waybill is one.
    pub unweighed: u32,
}

impl Hazmat {
    /// Takes a completed entry into the park. The same passage twice is once.
    pub fn handle_entered(&mut self, entered: Entered, now: Now) {
        if let Some(before) = self.visit(&entered.plate) {
            if before.passage == entered.passage {
                return;
            }
            let (plate, passage) = (before.plate.clone(), before.passage.to_string());
            self.accuse_of(ViolationKind::ExitUnseen, &plate, Some(passage), now);
            self.close(&plate, now);
        }
        let Entered { passage, plate, zone, gross_kg } = entered;
        let waybill = self.use_up(&plate, &passage, now);
        let known = waybill.as_ref().and_then(|number| self.waybills.get(number)).map(|entry| &entry.waybill);
        let mut visit = Visit::begin(plate.clone(), passage.clone(), zone.clone(), known, now);
        visit.gross_in = gross_kg;
        self.tell(Some(plate.clone()), waybill, Happened::Entered { passage, zone, gross_kg }, now);
        self.moved(&visit, 1);
        self.visits.insert(plate.clone(), visit);
        self.find_bay(&plate, now);
    }

    /// Uses up the waybill that a vehicle came with. Returns it; what is wrong with it is told.
    fn use_up(&mut self, plate: &Plate, passage: &PassageId, now: Now) -> Option<crate::domain::gate::word::WaybillNo> {
        let open = self.waybills.of_plate(plate).filter(|entry| !entry.waybill.state.is_over());
        let number = open.map(|entry| entry.waybill.number.clone());
        let used = number.clone().ok_or(Refusal::Unknown).and_then(|number| {
            let ready = self.waybills.get(&number).is_some_and(|entry| entry.waybill.state.is_ready());
            self.waybills.use_up(&number, passage, now.wall).map(|()| (number, ready))
        });
        match used {
            Ok((number, ready)) => {
                if !ready {
                    self.accuse_of(ViolationKind::NoWaybill, plate, Some(number.to_string()), now);
                }
                Some(number)
            }
            Err(_) => {
                self.accuse_of(ViolationKind::NoWaybill, plate, number.map(|number| number.to_string()), now);
                None
            }
        }
    }

    /// Sends a vehicle that is inside to its bay.
    fn find_bay(&mut self, plate: &Plate, now: Now) {
        let Some(visit) = self.visits.get(plate).filter(|_| self.lot.is_there()) else { return };
        // What passed as ordinary goods (rule 36) stands where it unloads.
        let declared =
            visit.waybill.as_ref().and_then(|number| self.waybills.get(number)).map(|entry| &entry.waybill.goods);
        let ordinary = declared.is_some_and(|goods| small_quantity(goods) == SmallQuantity::AsOrdinary);
        if ordinary && self.lot.promised(plate).is_none() {
            return;
        }
        let guest = Guest { plate: plate.clone(), area: visit.area(), load: visit.load.clone() };
        let waybill = visit.waybill.clone();
        let until = now.mono + self.rules.promises.come_within;
        let place = self.lot.ask(guest, &self.rules.table, until);
        self.lot.hold(plate);
        match &place {
            Place::Bay { bay } => self.outputs.push_back(Output::Guide { plate: plate.clone(), bay: bay.clone() }),
            Place::Queue { .. } | Place::Never | Place::QueueFull => {
                self.accuse_of(ViolationKind::NoBay, plate, None, now);
            }
        }
        self.tell(Some(plate.clone()), waybill, Happened::Bay { place }, now);
    }

    /// Takes a completed passage between two zones of the park.
    pub fn handle_went(&mut self, went: Went, now: Now) {
        let Some(plate) = self.visit(&went.plate).map(|visit| visit.plate.clone()) else { return };
        let by_dispatch = self.rules.dispatch_zones.contains(&went.to);
        let Some(visit) = self.visits.get_mut(&plate).filter(|visit| visit.zone != went.to) else { return };
        let left_bay = self.lot.leave(&plate);
        let before = visit.clone();
        let sent_there = visit.sent.as_ref().is_some_and(|sent| sent.to == went.to);
        visit.zone = went.to.clone();
        visit.stage = match visit.stage {
            _ if by_dispatch => Stage::Working,
            Stage::Working => Stage::Leaving,
            Stage::Parked => Stage::Arrived,
            stage @ (Stage::Arrived | Stage::Sent | Stage::Leaving) => stage,
        };
        if !by_dispatch && visit.stage == Stage::Leaving {
            visit.sent = None;
        }
        let (waybill, after) = (visit.waybill.clone(), visit.clone());
        self.moved(&before, -1);
        self.moved(&after, 1);
        if let Some(bay) = left_bay {
            self.tell(Some(plate.clone()), waybill.clone(), Happened::LeftBay { bay }, now);
        }
        let happened = Happened::Went { passage: went.passage, from: before.zone, to: went.to.clone() };
        self.tell(Some(plate.clone()), waybill, happened, now);
        if by_dispatch {
            self.lot.give_up(&plate);
            if !sent_there {
                self.accuse_of(ViolationKind::NotDispatched, &plate, Some(went.to.to_string()), now);
            }
        }
        self.serve_queue(now);
    }

    /// Notes that loading or unloading is done, as the company says.
    pub fn handle_done(&mut self, plate: &Plate, by: &str, now: Now) -> bool {
        let Some(plate) = self.visit(plate).map(|visit| visit.plate.clone()) else { return false };
        let Some(visit) = self.visits.get_mut(&plate).filter(|visit| !visit.done) else { return false };
        let before = visit.clone();
        visit.done = true;
        let after = visit.clone();
        self.moved(&before, -1);
        self.moved(&after, 1);
        self.tell(Some(plate), after.waybill, Happened::Done { by: by.to_owned() }, now);
        true
    }

    /// Takes a completed exit. What is unsettled then is told: the vehicle is gone.
    pub fn handle_left(&mut self, left: Left, now: Now) {
        let Some(visit) = self.visit(&left.plate).cloned() else { return };
        let plate = visit.plate.clone();
        let unsettled = self.unsettled_of(&visit, left.gross_kg, now.mono);
        let weights = self.weights(&visit, left.gross_kg);
        if weights.agrees == Some(false) {
            let value = weights.moved_kg.and_then(|kg| i32::try_from(kg).ok()).map(f64::from);
            let limit = weights.declared_kg;
            let kind = ViolationKind::WeightMismatch;
            self.accuse(Violation { value, limit, ..violation(kind, Some(plate.clone()), now) }, now);
        }
        for terminal in self.terminals_of(&plate) {
            self.accuse_of(ViolationKind::TerminalKept, &plate, Some(terminal.to_string()), now);
        }
        let stayed = visit.inside.elapsed(now.mono);
        let happened = Happened::Left {
            passage: left.passage,
            stayed_ms: u64::try_from(stayed.as_millis()).unwrap_or(u64::MAX),
            weights,
            unsettled,
        };
        self.tell(Some(plate.clone()), visit.waybill.clone(), happened, now);
        self.close(&plate, now);
    }

    /// Ends a visit: bay, place and waybill are free again, what was going on is over.
    fn close(&mut self, plate: &Plate, now: Now) {
        let Some(visit) = self.visits.remove(plate) else { return };
        self.moved(&visit, -1);
        if visit.told > 1 {
            let over = violation(ViolationKind::Overstay, Some(plate.clone()), now);
            self.accuse(Violation { phase: Phase::Over, ..over }, now);
        }
        if let Some(number) = &visit.waybill {
            self.waybills.complete(number, now.wall);
        }
        if let Some(bay) = self.lot.leave(plate) {
            self.tell(Some(plate.clone()), visit.waybill, Happened::LeftBay { bay }, now);
        }
        self.lot.give_up(plate);
        self.end_mismatches(plate, now);
        self.serve_queue(now);
    }

    /// Returns what a vehicle at an exit has to settle first, as codes (rules 40 to 42, 145). It is held for them, not refused.
    pub fn unsettled(&self, plate: &Plate, gross_kg: Option<u32>, now: Now) -> Vec<String> {
        self.visit(plate).map(|visit| self.unsettled_of(visit, gross_kg, now.mono)).unwrap_or_default()
    }

    fn unsettled_of(&self, visit: &Visit, gross_kg: Option<u32>, now: Mono) -> Vec<String> {
        let kept = !self.terminals_of(&visit.plate).is_empty();
        let over = visit.inside.elapsed(now) >= self.rules.stay;
        let differs = self.weights(visit, gross_kg).agrees == Some(false);
        let codes = [(TERMINAL_NOT_RETURNED, kept), (OVERSTAY, over), (WEIGHT_MISMATCH, differs)];
        codes.into_iter().filter(|(_, holds)| *holds).map(|(code, _)| code.to_owned()).collect()
    }

    /// Compares the weighings of a visit with its waybill.
    pub(super) fn weights(&self, visit: &Visit, gross_out: Option<u32>) -> Reconciled {
        let declared: Option<f64> =
            visit.waybill.as_ref().and_then(|_| visit.masses.iter().map(|(_, kg)| *kg).sum::<Option<f64>>());
        reconcile(visit.purpose, visit.gross_in, gross_out, declared, self.rules.tolerance)
    }

    /// Hands a terminal out to a vehicle.
    ///
    /// # Errors
    /// [`TerminalRefusal::StillOut`] while another one has it (rule 40).
    pub fn handle_terminal_out(
        &mut self,
        terminal: TerminalId,
        plate: &Plate,
        now: Now,
    ) -> Result<(), TerminalRefusal> {
        let plate = self.visit(plate).map_or_else(|| plate.clone(), |visit| visit.plate.clone());
        if let Some(handed) = self.terminals.get(&terminal).filter(|handed| handed.plate != plate) {
            return Err(TerminalRefusal::StillOut { with: handed.plate.to_string() });
        }
        self.terminals.insert(terminal.clone(), Handed { plate: plate.clone(), at: now.wall });
        self.begin_track(terminal.clone(), now.mono);
        self.tell(Some(plate), None, Happened::TerminalOut { terminal }, now);
        Ok(())
    }

    /// Takes a terminal back. Returns who had it.
    ///
    /// # Errors
    /// [`TerminalRefusal::NotOut`] when nobody had it.
    pub fn handle_terminal_back(&mut self, terminal: &TerminalId, now: Now) -> Result<Plate, TerminalRefusal> {
        let handed = self.terminals.remove(terminal).ok_or(TerminalRefusal::NotOut)?;
        self.end_track(terminal, &handed.plate, now);
        let happened = Happened::TerminalBack { terminal: terminal.clone() };
        self.tell(Some(handed.plate.clone()), None, happened, now);
        Ok(handed.plate)
    }

    /// Returns the terminals that are out, with who has them and since when.
    pub fn terminals(&self) -> impl Iterator<Item = (&TerminalId, &Plate, Timestamp)> {
        self.terminals.iter().map(|(terminal, handed)| (terminal, &handed.plate, handed.at))
    }

    fn terminals_of(&self, plate: &Plate) -> Vec<TerminalId> {
        let of = |(_, handed): &(&TerminalId, &Handed)| handed.plate == *plate;
        self.terminals.iter().filter(of).map(|(terminal, _)| terminal.clone()).collect()
    }

    /// Returns what of dangerous goods is in each zone, by who is in it now: vehicles are counted in the zone they are in,
    /// and not in the zones around it.
    pub fn inventory(&self) -> BTreeMap<ZoneId, Stock> {
        let mut inventory: BTreeMap<ZoneId, Stock> = BTreeMap::new();
        for visit in self.visits.values().filter(|visit| visit.is_loaded()) {
            let stock = inventory.entry(visit.zone.clone()).or_default();
            stock.vehicles += 1;
            stock.unweighed += unweighed(visit);
            for (class, kg) in &visit.masses {
                if let Some(kg) = kg {
                    *stock.kg.entry(*class).or_default() += kg;
                }
            }
        }
        inventory
    }

    /// Tells that what is on board of a vehicle came into its zone (1) or went out of it (-1).
    fn moved(&mut self, visit: &Visit, sign: i32) {
        if !visit.is_loaded() {
            return;
        }
        let mut kg: BTreeMap<HazardClass, f64> = BTreeMap::new();
        for (class, mass) in &visit.masses {
            if let Some(mass) = mass {
                *kg.entry(*class).or_default() += mass * f64::from(sign);
            }
        }
        let unweighed = i32::try_from(unweighed(visit)).unwrap_or(i32::MAX) * sign;
        self.outputs.push_back(Output::Moved(Movement { zone: visit.zone.clone(), vehicles: sign, kg, unweighed }));
    }

    /// Returns when a visit must be looked at next.
    pub(super) fn visit_due(&self, visit: &Visit) -> Option<Mono> {
        let stay = match visit.told {
            0 => self.rules.stay_warning(),
            told => self.rules.stay.saturating_add(self.rules.stay_repeat.saturating_mul(told - 1)),
        };
        let sent = visit.sent.as_ref().filter(|sent| !sent.overdue && visit.stage == Stage::Sent);
        let arrive = sent.map(|sent| sent.running.at(self.rules.arrive_within));
        arrive.into_iter().chain([visit.inside.at(stay)]).min()
    }

    pub(super) fn wake_visits(&mut self, now: Now) {
        let due = |visit: &&Visit| self.visit_due(visit).is_some_and(|at| at <= now.mono);
        let plates: Vec<_> = self.visits.values().filter(due).map(|visit| visit.plate.clone()).collect();
        for plate in plates {
            self.judge_stay(&plate, now);
            self.judge_dispatch(&plate, now);
        }
    }

    fn judge_stay(&mut self, plate: &Plate, now: Now) {
        let rules = std::sync::Arc::clone(&self.rules);
        let Some(visit) = self.visits.get_mut(plate) else { return };
        let stayed = visit.inside.elapsed(now.mono);
        let beyond = stayed.checked_sub(rules.stay);
        // A machine that was off tells the newest of what it missed, once.
        let told = match beyond {
            Some(beyond) => {
                let again = beyond.as_millis() / rules.stay_repeat.as_millis().max(1);
                2 + u32::try_from(again).unwrap_or(u32::MAX - 2)
            }
            None => u32::from(stayed >= rules.stay_warning()),
        };
        if told <= visit.told {
            return;
        }
        let before = std::mem::replace(&mut visit.told, told);
        let (kind, phase) = match (before, told) {
            (_, 1) => (ViolationKind::StayWarning, Phase::Begins),
            (0 | 1, _) => (ViolationKind::Overstay, Phase::Begins),
            (_, _) => (ViolationKind::Overstay, Phase::GoesOn),
        };
        let minutes = |time: std::time::Duration| Some(time.as_secs_f64() / 60.0);
        let (value, limit) = (minutes(stayed), minutes(rules.stay));
        self.accuse(Violation { phase, value, limit, ..violation(kind, Some(plate.clone()), now) }, now);
    }

    fn judge_dispatch(&mut self, plate: &Plate, now: Now) {
        let within = self.rules.arrive_within;
        let Some(visit) = self.visits.get_mut(plate).filter(|visit| visit.stage == Stage::Sent) else { return };
        let Some(sent) = visit.sent.as_mut().filter(|sent| !sent.overdue) else { return };
        if sent.running.at(within) <= now.mono {
            sent.overdue = true;
            let zone = sent.to.to_string();
            self.accuse_of(ViolationKind::DispatchOverdue, plate, Some(zone), now);
        }
    }
}

/// A loaded vehicle of which nothing is known carries one kind of goods that nobody has weighed.
fn unweighed(visit: &Visit) -> u32 {
    let unknown = visit.masses.iter().filter(|(_, kg)| kg.is_none()).count();
    u32::try_from(unknown.max(usize::from(visit.masses.is_empty()))).unwrap_or(u32::MAX)
}
