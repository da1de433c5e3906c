//! The gates of a park under its shipped policies, in virtual time: the scenarios of `domain.md` A20 from the loop in the road to
//! the account of who is inside. What moves here are values; the real hardware is met in `wire_lane`.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "a test may")]

#[path = "gate/chaos.rs"]
mod chaos;
#[path = "gate/papers.rs"]
mod papers;
#[path = "gate/park.rs"]
mod park;

use std::collections::BTreeSet;
use std::sync::Arc;

use papers::DAY;
use park::{Park, codes, guard};
use parkgate::domain::gate::facts::WaybillFact;
use parkgate::domain::gate::hardware::Input;
use parkgate::domain::gate::inside::{Outcome, Stock};
use parkgate::domain::gate::lane::Hand;
use parkgate::domain::gate::verdict::Verdict;
use parkgate::domain::gate::word::{Direction, LaneId, VehicleClass, WaybillNo};
use parkgate::domain::time::ClockTrust;
use parkgate::policy::PolicyBook;
use parkgate::policy::settings::{Parameters, PolicyFile, Sources};

/// A small park under the shipped policies. It weighs nothing, has no parking and no list from a platform.
fn park() -> Park {
    let parameters = Parameters {
        stale_hazmat: std::time::Duration::ZERO,
        stale_visitor: std::time::Duration::ZERO,
        stale_fixed: std::time::Duration::ZERO,
        weigh: BTreeSet::new(),
        dispatch_zones: BTreeSet::new(),
        parking_zones: BTreeSet::new(),
        quota: false,
        ..Parameters::default()
    };
    let book = PolicyBook::load(&Sources { own: Vec::new(), parameters }).unwrap();
    Park::open(papers::small_park(), Arc::new(book))
}

fn forbidding_everything() -> Arc<PolicyBook> {
    let text = "@code(\"NOBODY\")\n@verdict(\"deny\")\n@zh(\"一律禁止\")\n@en(\"nobody\")\nforbid (principal, action, resource);\n";
    let file = PolicyFile { path: "nobody.cedar".into(), text: text.into() };
    Arc::new(PolicyBook::of(&[file], &Parameters::default()).unwrap())
}

/// A20, 1.
#[test]
fn a_hazmat_truck_with_everything_valid_is_let_in_counted_and_its_waybill_used() {
    let mut park = park();
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
    let mut park = park();
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
    let mut park = park();
    park.truck_with("皖A12345", "W1", ("driver", "escort"), |vehicle, now| {
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
    let mut park = park();
    park.truck("皖A12345", "W1");
    let decision = park.comes("u-in", "皖A12345", &["driver", "escort"]);
    assert_eq!(decision.verdict, Verdict::Deny);
    assert!(codes(&decision).contains(&"WRONG_LANE_CLASS"), "{:?}", codes(&decision));
}

/// A20, 5.
#[test]
fn who_was_decided_before_midnight_may_cross_after_it() {
    let mut park = park();
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
    let mut park = park();
    park.visitor("v1");
    assert_eq!(park.walks("door", "v1", Direction::In).verdict, Verdict::Allow);
    assert_eq!(park.inside(Stock::Persons), 1);
    park.walks("door", "v1", Direction::Out);
    assert_eq!(park.inside(Stock::Persons), 0);
    let decision = park.walks("door", "v1", Direction::In);
    assert_eq!(decision.verdict, Verdict::Deny);
    assert!(codes(&decision).contains(&"PERMIT_EXPIRED"), "{:?}", codes(&decision));
}

/// A20, 9.
#[test]
fn the_fire_contact_opens_for_a_vehicle_that_is_on_the_block_list() {
    let mut park = park();
    park.car("皖B00001");
    park.drives("g-in", "皖B00001", &[]);
    park.block("皖B00001");
    let decision = park.comes("g-out", "皖B00001", &[]);
    assert!(decision.verdict <= Verdict::Hold, "a vehicle that leaves is at worst held");
    park.set("g-out", Input::Fire, Some(true));
    park.run(2_000);
    assert!(park.is_up("g-out"), "within two seconds");
    assert_eq!(park.moves("g-out"), ["hold"]);
    park.crosses("g-out");
    assert_eq!(park.inside(Stock::Vehicles(VehicleClass::Small)), 0);
}

/// The line 5: a set that forbids everything, a store that fails, a clock that nobody trusts.
#[test]
fn a_person_leaves_at_once_whatever_the_policies_the_store_and_the_clock_say() {
    let mut park = park();
    park.rule_by(forbidding_everything());
    park.visitor("v1");
    park.store_fails();
    park.trust = ClockTrust::Unsynced;
    park.walks("door", "v1", Direction::Out);
    assert_eq!(park.moves("door"), ["open"], "no entry of the audit is waited for");
    park.run(60_000);
    assert!(park.seen.calls.is_empty(), "nobody is asked");
}

/// The line 1, of the whole.
#[test]
fn whatever_happens_the_whole_keeps_what_it_promises() {
    let words: u64 = (0..chaos::RUNS).map(chaos::run).sum();
    assert!(words > 500_000, "only {words} words to the machine");
}

/// What a guard is asked about over a restart is one passage: it began before, is let in after, and is counted once.
#[test]
fn who_stands_before_the_arm_over_a_restart_is_the_same_passage() {
    let mut park = park();
    let decision = park.comes("g-in", "皖Z99999", &[]);
    assert_ne!(decision.verdict, Verdict::Allow, "nobody knows it");
    let standing =
        |park: &Park| park.lane("g-in").passage().map(|(passage, _)| passage.clone()).expect("it stands there");
    let before = standing(&park);
    park.restart(5_000);
    park.run(2_000);
    assert_eq!(standing(&park), before);
    let inside = park.gates.inside().passage(&before).expect("the account goes on with it");
    assert!(inside.outcome.is_none(), "{:?}", inside.outcome);
    assert!(park.moves("g-in").is_empty(), "nothing moved by itself");
    let lane = LaneId::new("g-in");
    let now = park.now();
    park.gates.handle_hand(&lane, &Hand::Open { emergency: false }, &guard(), "已核对", now).unwrap();
    park.drain();
    park.run(3_000);
    park.crosses("g-in");
    let passage = park.gates.inside().passage(&before).expect("it ended a moment ago");
    assert_eq!(passage.outcome, Some(Outcome::Crossed), "{:?}", passage.outcome);
    let plate = passage.read.as_ref().and_then(|read| read.plate.as_ref()).map(|plate| plate.text.as_str());
    assert_eq!(plate, Some("皖Z99999"));
}
