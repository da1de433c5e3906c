//! Facts at random, for the properties of the decision and of whatever implements [`super::Policies`].

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::gate::facts::*;
use crate::domain::gate::hazmat::goods::SmallQuantity;
use crate::domain::gate::plate::{Plate, PlateColour};
use crate::domain::gate::verdict::{Reason, Verdict};
use crate::domain::gate::word::*;
use crate::domain::order::LaneRule;
use crate::domain::site::State;
use crate::domain::time::ClockTrust;

/// What is rarely declared.
const SMALL: [SmallQuantity; 4] =
    [SmallQuantity::AsOrdinary, SmallQuantity::TooMuch, SmallQuantity::BesideExplosives, SmallQuantity::Unknown];

/// A source of chance with its seed: the same seed, the same facts.
pub(crate) struct Chance(pub(crate) fastrand::Rng);

impl Chance {
    pub(crate) fn new(seed: u64) -> Self {
        Self(fastrand::Rng::with_seed(seed))
    }

    /// One of `all`, each as likely.
    pub(crate) fn of<T: Clone>(&mut self, all: &[T]) -> T {
        all[self.0.usize(..all.len())].clone()
    }

    fn yes(&mut self, percent: u8) -> bool {
        self.0.u8(..100) < percent
    }

    /// Good most of the time, so that allowances are met as well; else bad or not known.
    fn known(&mut self, good: bool) -> Option<bool> {
        match self.0.u8(..10) {
            0 => Some(!good),
            1 => None,
            _ => Some(good),
        }
    }

    fn subset<T: Clone + Ord>(&mut self, all: &[T], percent: u8) -> BTreeSet<T> {
        all.iter().filter(|_| self.yes(percent)).cloned().collect()
    }

    fn one_in<T>(&mut self, n: u8, value: T) -> Option<T> {
        (self.0.u8(..n) == 0).then_some(value)
    }

    pub(crate) fn facts(&mut self) -> Facts {
        let subject = if self.yes(40) { Subject::Person(self.person()) } else { Subject::Vehicle(self.vehicle()) };
        let kind = match (&subject, self.yes(95)) {
            (Subject::Person(_), true) | (Subject::Vehicle(_), false) => LaneKind::Person,
            _ => LaneKind::Vehicle,
        };
        Facts { lane: self.lane(kind), zone: self.zone(), site: self.site(), gateway: self.gateway(), subject }
    }

    fn lane(&mut self, kind: LaneKind) -> LaneFacts {
        LaneFacts {
            lane: LaneId::new("east-1"),
            gate: GateId::new("east"),
            gate_class: if self.yes(95) { GateClass::GeneralGoods } else { self.of(GateClass::ALL) },
            kind,
            direction: self.of(Direction::ALL),
            direction_ok: self.yes(95),
            classes: self.subset(VehicleClass::ALL, 90),
            manned: self.yes(50),
            in_service: self.yes(97),
            under_arm: if self.yes(95) { Some(false) } else { self.of(&[Some(true), None]) },
            window_open: self.known(true),
            disarmed: self.yes(3),
        }
    }

    fn zone(&mut self) -> ZoneFacts {
        ZoneFacts {
            zone: ZoneId::new("tank-farm"),
            class: self.of(ZoneClass::ALL),
            persons: self.0.u32(..50),
            persons_max: self.one_in(2, 45),
            vehicles: self.0.u32(..50),
            vehicles_max: self.one_in(2, 45),
            gas_level: if self.yes(90) { 0 } else { self.0.u8(1..3) },
            anti_passback: self.of(&[AntiPassback::Off, AntiPassback::Soft, AntiPassback::Hard]),
            training_needed: self.yes(50),
        }
    }

    fn site(&mut self) -> SiteFacts {
        let quiet = self.yes(85);
        let rules = [LaneRule::Normal, LaneRule::NoEntry, LaneRule::Open, LaneRule::RescueOnly, LaneRule::Guarded];
        let mut warnings = BTreeMap::new();
        if self.yes(10) {
            warnings.insert(self.of(&["fire_ban".to_owned(), "flood".to_owned()]), self.0.u8(1..3));
        }
        SiteFacts {
            state: if quiet { State::Normal } else { self.of(&State::ALL) },
            rule: if quiet { LaneRule::Normal } else { self.of(&rules) },
            fire: !quiet && self.yes(20),
            warnings,
        }
    }

    fn gateway(&mut self) -> GatewayFacts {
        let age = |this: &mut Self| if this.yes(95) { Some(this.0.u64(..20_000)) } else { None };
        GatewayFacts {
            clock: if self.yes(80) {
                ClockTrust::Synced
            } else {
                self.of(&[ClockTrust::Holdover, ClockTrust::Unsynced])
            },
            permits_age_s: age(self),
            block_list_age_s: age(self),
            peers_heard: self.of(&[None, Some(true), Some(true), Some(false)]),
            store_ok: self.yes(97),
            inside_known: self.yes(90),
        }
    }

    fn permit(&mut self) -> PermitFacts {
        use PermitState::*;
        let states = [None, NotApproved, Refused, NotYetValid, Expired, UsedUp, Undated];
        let state = if self.yes(75) { Valid } else { self.of(&states) };
        PermitFacts {
            permit: (state != None).then(|| PermitId::new("P-1")),
            state,
            gate_ok: self.known(true),
            window_open: self.known(true),
            company: self.one_in(2, CompanyId::new("91440300755691882F")),
        }
    }

    fn listed(&mut self) -> Listed {
        Listed { blocked: self.one_in(20, "多次违停".to_owned()), allowed: self.yes(20) }
    }

    fn person(&mut self) -> PersonFacts {
        let known = self.yes(90);
        PersonFacts {
            person: known.then(|| PersonRef::new("p-1")),
            person_kind: known.then(|| self.of(PersonKind::ALL)),
            listed: self.listed(),
            permit: self.permit(),
            training_valid: self.known(true),
            inside: self.known(false),
        }
    }

    fn vehicle(&mut self) -> VehicleFacts {
        let class = if self.yes(95) { Some(self.of(VehicleClass::ALL)) } else { None };
        let good = [PaperState::Valid, PaperState::Valid, PaperState::Valid, PaperState::Expiring];
        let bad = [PaperState::Expired, PaperState::Missing, PaperState::Undated];
        let papers = PaperKind::ALL.iter().map(|kind| {
            let state = if self.yes(95) { self.of(&good) } else { self.of(&bad) };
            (*kind, state)
        });
        let papers = papers.collect();
        VehicleFacts {
            plate: self.yes(96).then(|| Plate::new("皖A12345", PlateColour::Yellow)),
            readable: self.yes(95),
            fake: self.yes(3),
            exempt: self.yes(5),
            class,
            listed: self.listed(),
            permit: self.permit(),
            papers,
            gross_kg: self.yes(90).then(|| self.0.u32(10_000..51_000)),
            gross_max_kg: self.yes(95).then_some(49_000),
            inside: self.known(false),
            untrained: if self.yes(90) { 0 } else { 1 },
            unsettled: self.subset(&["TERMINAL_NOT_RETURNED".to_owned(), "OVERSTAY".to_owned()], 5),
            hazmat: class.is_some_and(VehicleClass::is_hazmat).then(|| self.hazmat()),
        }
    }

    fn hazmat(&mut self) -> HazmatFacts {
        use WaybillFact::{Missing, NotReady, Over, Ready, Used};
        let escorts = [EscortFact::Missing, EscortFact::IsDriver, EscortFact::Unqualified];
        HazmatFacts {
            waybill: Some(WaybillNo::new("W-1")),
            waybill_state: if self.yes(92) { Ready } else { self.of(&[Missing, NotReady, Used, Over]) },
            manifest: self.yes(90).then(|| ManifestNo::new("M-1")),
            waybill_matches: self.rarely_bad(),
            small_quantity: if self.yes(90) { SmallQuantity::No } else { self.of(&SMALL) },
            scope_ok: self.rarely_bad(),
            tank_medium_ok: self.rarely_bad(),
            tank: self.yes(70),
            driver_ok: self.rarely_bad(),
            escort: if self.yes(94) { EscortFact::Present } else { self.of(&escorts) },
            weight_ok: self.rarely_bad(),
            dispatched: self.rarely_bad(),
            bays_free: self.yes(97).then(|| self.0.u32(..9)),
            bay_compatible: self.rarely_bad(),
            unloading_free: self.yes(97).then(|| self.0.i64(-1..12)),
            route_ok: self.rarely_bad(),
            checks_failed: self.subset(&["papers".to_owned(), "goods".to_owned()], 2),
            checks_open: self.subset(&["tank".to_owned()], 2),
        }
    }

    /// As [`Self::known`], but there are many such facts of one truck.
    fn rarely_bad(&mut self) -> Option<bool> {
        if self.yes(96) { Some(true) } else { self.of(&[Some(false), None]) }
    }

    /// A reason of a policy; `Allow` is met too, as a broken set might ask for it.
    pub(crate) fn reason(&mut self) -> Reason {
        let verdict = self.of(&[Verdict::Allow, Verdict::Refer, Verdict::Hold, Verdict::Deny]);
        let code = self.of(&["BLACKLISTED", "LOCKDOWN", "PLATE_UNREADABLE", "OVERWEIGHT", "SITE_OWN"]);
        Reason {
            code: code.into(), verdict, zh: "策略".into(), en: "policy".into(), policy: Some("p.cedar:1".into())
        }
    }
}
