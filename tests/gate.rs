//! The gates of a park under its shipped policies, in virtual time: the scenarios of `domain.md` A20 from the loop in the road to
//! the account of who is inside. What moves here are values; the real hardware is met in `wire_lane`.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "a test may")]

#[path = "gate/park.rs"]
mod park;

use std::collections::BTreeSet;

use park::{DAY, HOUR, Park, codes};
use parkgate::domain::gate::facts::WaybillFact;
use parkgate::domain::gate::hardware::Input;
use parkgate::domain::gate::inside::Stock;
use parkgate::domain::gate::verdict::Verdict;
use parkgate::domain::gate::word::{VehicleClass, WaybillNo};

/// A20, 1.
#[test]
fn a_hazmat_truck_with_everything_valid_is_let_in_counted_and_its_waybill_used() {
    let mut park = Park::new();
    park.truck("皖A12345", "W1");
    let decision = park.drives("h-in", "皖A12345", &["driver", "escort"]);
    assert_eq!((decision.verdict, codes(&decision)), (Verdict::Allow, vec!["OK"]), "{:?}", decision.reasons);
    assert_eq!(park.inside(Stock::Vehicles(VehicleClass::Hazmat)), 1);
    assert_eq!(park.inside(Stock::Persons), 2, "driver and escort");
    assert_eq!(park.gates.hazmat().waybills().fact(&WaybillNo::new("W1")), WaybillFact::Used);
    assert_eq!(park.moves("h-in"), ["open", "close"]);
}

/// A20, 2.
#[test]
fn the_same_truck_with_the_same_waybill_is_refused() {
    let mut park = Park::new();
    park.truck("皖A12345", "W1");
    park.drives("h-in", "皖A12345", &["driver", "escort"]);
    park.drives("h-out", "皖A12345", &["driver", "escort"]);
    assert_eq!(park.inside(Stock::Persons), 0);
    let decision = park.comes("h-in", "皖A12345", &["driver", "escort"]);
    assert_eq!(decision.verdict, Verdict::Deny);
    assert!(codes(&decision).contains(&"WAYBILL_USED"), "{:?}", codes(&decision));
}

/// A20, 3.
#[test]
fn an_expired_tank_and_a_missing_escort_are_both_told() {
    let mut park = Park::new();
    park.truck_with("皖A12345", "W1", |vehicle, now| {
        vehicle.papers.insert(parkgate::domain::gate::word::PaperKind::Tank, now.before(DAY));
    });
    let decision = park.comes("h-in", "皖A12345", &["driver"]);
    assert_eq!(decision.verdict, Verdict::Deny);
    let codes: BTreeSet<_> = codes(&decision).into_iter().collect();
    assert!(codes.contains("DOC_EXPIRED:tank") && codes.contains("ESCORT_MISSING"), "{codes:?}");
    assert!(park.moves("h-in").is_empty());
}

/// A20, 4.
#[test]
fn a_hazmat_truck_at_an_unmanned_gate_is_at_the_wrong_lane() {
    let mut park = Park::new();
    park.truck("皖A12345", "W1");
    let decision = park.comes("u-in", "皖A12345", &["driver", "escort"]);
    assert_eq!(decision.verdict, Verdict::Deny);
    assert!(codes(&decision).contains(&"WRONG_LANE_CLASS"), "{:?}", codes(&decision));
}

/// A20, 5.
#[test]
fn who_was_decided_before_midnight_may_cross_after_it() {
    let mut park = Park::new();
    park.truck("皖A12345", "W1");
    park.until_local(23, 59, 58);
    let decision = park.comes("h-in", "皖A12345", &["driver", "escort"]);
    assert_eq!(decision.verdict, Verdict::Allow, "{:?}", decision.reasons);
    park.run(4_000);
    park.crosses("h-in");
    assert_eq!(park.inside(Stock::Vehicles(VehicleClass::Hazmat)), 1, "the time of the decision governs");
    let visit = park.gates.hazmat().visits().next().unwrap();
    assert_eq!(visit.plate.text, "皖A12345");
}

/// A20, 6.
#[test]
fn a_visitor_comes_once() {
    let mut park = Park::new();
    park.visitor("v1");
    assert_eq!(park.walks("door", "v1").verdict, Verdict::Allow);
    assert_eq!(park.inside(Stock::Persons), 1);
    park.walks_out("door", "v1");
    assert_eq!(park.inside(Stock::Persons), 0);
    let decision = park.walks("door", "v1");
    assert_eq!(decision.verdict, Verdict::Deny);
    assert!(codes(&decision).contains(&"PERMIT_EXPIRED"), "{:?}", codes(&decision));
}

/// A20, 9.
#[test]
fn the_fire_contact_opens_for_a_vehicle_that_is_on_the_block_list() {
    let mut park = Park::new();
    park.car("皖B00001");
    park.drives("g-in", "皖B00001", &[]);
    park.block("皖B00001");
    let decision = park.comes("g-out", "皖B00001", &[]);
    assert!(decision.verdict <= Verdict::Hold, "a vehicle that leaves is at worst held");
    park.set("g-out", Input::Fire, Some(true));
    park.run(2_000);
    assert!(park.is_up("g-out"), "within two seconds");
    park.crosses("g-out");
    assert_eq!(park.inside(Stock::Vehicles(VehicleClass::Small)), 0);
}

/// The line 5: a set that forbids everything, a store that fails, a clock that nobody trusts.
#[test]
fn a_person_leaves_at_once_whatever_the_policies_the_store_and_the_clock_say() {
    let mut park = Park::forbidding_everything();
    park.visitor("v1");
    park.store_fails();
    park.clock_unsynced();
    park.walks_out("door", "v1");
    assert_eq!(park.moves("door"), ["open"], "no entry of the audit is waited for");
    park.run(u64::try_from(HOUR.as_millis()).unwrap() / 60);
    assert!(park.calls().is_empty());
}
