//! One vehicle inside, from its completed entry to its completed exit.
//!
//! ```text
//!            parked            sent             at its place          back
//!  ARRIVED ─────────▶ PARKED ───────▶ SENT ───────────────▶ WORKING ──────▶ LEAVING ─▶ (out)
//!     ▲                  │ ▲           │ recalled
//!     └──── left bay ────┘ └───────────┘
//! ```
//!
//! Parking comes first and dispatch second (rule 38). A vehicle may leave from every stage: an exit that was seen is an exit.

use std::fmt;

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::goods::{HazardClass, Load};
use super::lot::Area;
use super::waybill::{Purpose, Waybill};
use crate::domain::gate::plate::Plate;
use crate::domain::gate::word::{CompanyId, PassageId, WaybillNo, ZoneId, words};
use crate::domain::time::{ClockTrust, Mono, Now, Timestamp};

words! {
    /// Where a vehicle is on its way through.
    Stage {
        /// Inside, not yet parked.
        Arrived = "arrived", "已入园";
        /// In its bay.
        Parked = "parked", "已停车";
        /// Dispatched to its place, on the way there.
        Sent = "sent", "已调度";
        /// At its place: loading or unloading.
        Working = "working", "装卸中";
        /// Back from its place.
        Leaving = "leaving", "待出园";
    }
}

/// A time that goes on over a restart: what had gone by before it, and from when it runs in this one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Running {
    before: Duration,
    since: Mono,
}

impl Running {
    /// Begins at zero.
    pub fn start(now: Mono) -> Self {
        Self { before: Duration::ZERO, since: now }
    }

    /// Goes on from what a restart left.
    pub fn resume(before: Duration, now: Mono) -> Self {
        Self { before, since: now }
    }

    /// Returns what has gone by.
    pub fn elapsed(&self, now: Mono) -> Duration {
        self.before.saturating_add(now.since(self.since))
    }

    /// Returns when `after` will have gone by; now or before, if it has.
    pub fn at(&self, after: Duration) -> Mono {
        self.since + after.saturating_sub(self.before)
    }
}

/// A dispatch (调度指令).
#[derive(Clone, Debug, PartialEq)]
pub struct Sent {
    /// The zone it is sent to.
    pub to: ZoneId,
    /// The company whose place it takes.
    pub host: CompanyId,
    /// Who sent it.
    pub by: String,
    /// Since when.
    pub running: Running,
    /// That it is overdue was told.
    pub overdue: bool,
}

/// A visit.
#[derive(Clone, Debug, PartialEq)]
pub struct Visit {
    /// Plate of the tractor, as it was read or as the waybill has it.
    pub plate: Plate,
    /// The passage by which it came in.
    pub passage: PassageId,
    /// The waybill that it used; absent when it was let in without one.
    pub waybill: Option<WaybillNo>,
    /// What it came for; `None` without a waybill.
    pub purpose: Option<Purpose>,
    /// What it carries or fetches; `None` without a waybill.
    pub load: Option<Load>,
    /// Mass of the goods by class, kilograms; `None` for those of which only a volume is known.
    pub masses: Vec<(HazardClass, Option<f64>)>,
    /// When it came in.
    pub entered_at: Timestamp,
    /// Trust in that time.
    pub clock: ClockTrust,
    /// How long it has been inside.
    pub inside: Running,
    /// How often its stay was told: 0 not, 1 the warning, from 2 on the violation and its repetitions.
    pub told: u32,
    /// Gross weight at the entry, kilograms.
    pub gross_in: Option<u32>,
    /// Zone that it is in.
    pub zone: ZoneId,
    /// Where it is on its way.
    pub stage: Stage,
    /// Its dispatch.
    pub sent: Option<Sent>,
    /// Whether loading or unloading is done.
    pub done: bool,
}

impl Visit {
    /// Begins a visit; what is known of the goods comes from the waybill.
    pub fn begin(plate: Plate, passage: PassageId, zone: ZoneId, waybill: Option<&Waybill>, now: Now) -> Self {
        Self {
            plate,
            passage,
            waybill: waybill.map(|waybill| waybill.number.clone()),
            purpose: waybill.map(|waybill| waybill.purpose),
            load: waybill.map(Waybill::load),
            masses: waybill.map(masses).unwrap_or_default(),
            entered_at: now.wall,
            clock: now.trust,
            inside: Running::start(now.mono),
            told: 0,
            gross_in: None,
            zone,
            stage: Stage::Arrived,
            sent: None,
            done: false,
        }
    }

    /// Returns whether its goods are on board now. Nobody knows what one without a waybill carries: it counts as loaded.
    pub fn is_loaded(&self) -> bool {
        match self.purpose {
            Some(Purpose::Deliver) | None => !self.done,
            Some(Purpose::Collect) => self.done,
        }
    }

    /// Returns the area in which it parks.
    pub fn area(&self) -> Area {
        if self.is_loaded() { Area::Loaded } else { Area::Empty }
    }

    /// Returns whether it takes a place of its host: it was sent there, and is not back.
    pub fn takes_place(&self) -> bool {
        matches!(self.stage, Stage::Sent | Stage::Working)
    }
}

fn masses(waybill: &Waybill) -> Vec<(HazardClass, Option<f64>)> {
    waybill.goods.iter().map(|goods| (goods.class, goods.kg())).collect()
}

/// How far two weighings may differ from what is declared.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tolerance {
    /// In percent of the declared mass.
    pub percent: f64,
    /// In kilograms; the larger of both holds.
    pub kg: f64,
}

impl Default for Tolerance {
    /// A weighbridge of class III and 100 t has divisions of 50 kg; 3 % is what fuel, persons and residues come to.
    fn default() -> Self {
        Self { percent: 3.0, kg: 300.0 }
    }
}

impl Tolerance {
    /// Returns whether a difference lies within it, for this declared mass.
    pub fn holds(&self, difference: f64, declared: f64) -> bool {
        difference.abs() <= self.kg.max(declared.abs() * self.percent / 100.0)
    }
}

/// What the two weighings of a visit say (rule 42).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reconciled {
    /// Gross weight at the entry, kilograms.
    pub gross_in: Option<u32>,
    /// Gross weight at the exit, kilograms.
    pub gross_out: Option<u32>,
    /// What was left here (delivered), or fetched, kilograms by the scales; negative: the other way round.
    pub moved_kg: Option<i64>,
    /// What the waybill declares, kilograms.
    pub declared_kg: Option<f64>,
    /// Whether both agree; `None` when one of them is missing.
    pub agrees: Option<bool>,
}

/// Compares the weighings with the waybill.
pub fn reconcile(
    purpose: Option<Purpose>,
    gross_in: Option<u32>,
    gross_out: Option<u32>,
    declared_kg: Option<f64>,
    tolerance: Tolerance,
) -> Reconciled {
    let moved = |purpose: Purpose| {
        let (before, after) = (i64::from(gross_in?), i64::from(gross_out?));
        Some(if purpose == Purpose::Deliver { before - after } else { after - before })
    };
    let moved_kg = purpose.and_then(moved);
    let agrees = match (moved_kg.and_then(|kg| i32::try_from(kg).ok()), declared_kg) {
        (Some(moved), Some(declared)) => Some(tolerance.holds(f64::from(moved) - declared, declared)),
        (None, _) | (_, None) => None,
    };
    Reconciled { gross_in, gross_out, moved_kg, declared_kg, agrees }
}

/// Compares a weight at the entry with what tare and waybill make of it (rule 27); `None` where one of them is not known.
pub fn entry_weight(
    purpose: Purpose,
    gross_kg: Option<u32>,
    tare_kg: Option<u32>,
    declared_kg: Option<f64>,
    tolerance: Tolerance,
) -> Option<bool> {
    let (gross, tare) = (f64::from(gross_kg?), f64::from(tare_kg?));
    let goods = match purpose {
        Purpose::Deliver => declared_kg?,
        Purpose::Collect => 0.0,
    };
    Some(tolerance.holds(gross - tare - goods, goods))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_goes_on_over_a_restart_whose_clock_begins_at_zero() {
        let hour = Duration::from_secs(3600);
        let before = Running::start(Mono::from_secs(1_000_000));
        assert_eq!(before.elapsed(Mono::from_secs(1_007_200)), 2 * hour);
        let after = Running::resume(2 * hour, Mono::from_secs(20));
        assert_eq!(after.elapsed(Mono::from_secs(3620)), 3 * hour);
        assert_eq!(after.at(6 * hour), Mono::from_secs(20 + 4 * 3600));
        assert_eq!(after.at(hour), Mono::from_secs(20), "gone by already");
    }

    #[test]
    fn two_weighings_agree_with_the_waybill_or_not_or_nobody_knows() {
        let tolerance = Tolerance { percent: 1.0, kg: 100.0 };
        let of = |purpose, a, b, declared| reconcile(Some(purpose), a, b, declared, tolerance);
        let delivered = of(Purpose::Deliver, Some(48_000), Some(18_200), Some(30_000.0));
        assert_eq!((delivered.moved_kg, delivered.agrees), (Some(29_800), Some(true)));
        assert_eq!(of(Purpose::Deliver, Some(48_000), Some(18_400), Some(30_000.0)).agrees, Some(false));
        assert_eq!(of(Purpose::Collect, Some(18_000), Some(48_000), Some(30_000.0)).agrees, Some(true));
        assert_eq!(of(Purpose::Collect, Some(48_000), Some(18_000), Some(30_000.0)).agrees, Some(false));
        assert_eq!(of(Purpose::Deliver, None, Some(18_000), Some(30_000.0)).agrees, None);
        assert_eq!(of(Purpose::Deliver, Some(48_000), Some(18_000), None).agrees, None);
        assert_eq!(entry_weight(Purpose::Deliver, Some(48_000), Some(18_000), Some(30_300.0), tolerance), Some(true));
        assert_eq!(entry_weight(Purpose::Collect, Some(19_000), Some(18_000), Some(30_000.0), tolerance), Some(false));
        assert_eq!(entry_weight(Purpose::Deliver, Some(48_000), None, Some(30_000.0), tolerance), None);
    }
}
