//! The chain from the waybill to the exit (`domain.md` A20 1, 2, 5), and what goes wrong in it.

use std::time::Duration;

use super::bench::{Park, armed, bay, goods, known, plate, waybill};
use crate::domain::gate::facts::{HazmatFacts, WaybillFact};
use crate::domain::gate::hazmat::goods::HazardClass;
use crate::domain::gate::hazmat::lot::{BayStatus, Place};
use crate::domain::gate::hazmat::record::{Output, Phase, ViolationKind};
use crate::domain::gate::hazmat::rules::Rules;
use crate::domain::gate::hazmat::visit::Stage;
use crate::domain::gate::hazmat::waybill::{Purpose, Waybill, WaybillState};
use crate::domain::gate::hazmat::{NotSent, OVERSTAY, TERMINAL_NOT_RETURNED, TerminalRefusal, WEIGHT_MISMATCH};
use crate::domain::gate::word::{BayId, CompanyId, Direction, TerminalId, WaybillNo, ZoneId};

const HOUR: Duration = Duration::from_secs(3600);

fn dispatch(park: &mut Park, text: &str) -> Result<(), NotSent> {
    let now = park.now();
    park.hazmat.handle_dispatch(&plate(text), &ZoneId::new("works"), "王五", now)
}

fn quota(park: &mut Park, places: u32) {
    let now = park.now();
    park.hazmat.handle_quota(&CompanyId::new("works"), places, now);
}

fn admit(park: &mut Park, text: &str) -> Place {
    let now = park.now();
    park.hazmat.handle_wants_bay(&plate(text), now)
}

fn stage(park: &Park, text: &str) -> Option<Stage> {
    park.hazmat.visit(&plate(text)).map(|visit| visit.stage)
}

/// Everything that A19 asks of dangerous goods is known and good.
fn is_all_good(facts: &HazmatFacts) -> bool {
    facts.waybill_state == WaybillFact::Ready
        && facts.waybill_matches == Some(true)
        && facts.scope_ok == Some(true)
        && facts.tank_medium_ok == Some(true)
        && facts.driver_ok == Some(true)
        && facts.weight_ok == Some(true)
        && facts.dispatched == Some(true)
        && facts.bays_free.is_some_and(|free| free > 0)
        && facts.bay_compatible == Some(true)
        && facts.checks_failed.is_empty()
        && facts.checks_open.is_empty()
}

#[test]
fn a_truck_goes_through_the_whole_chain_and_its_waybill_admits_once() {
    let mut park = Park::new();
    // Booked, written, reviewed, verified, dispatched, on its way.
    park.put(Waybill { state: WaybillState::Draft, ..waybill("W1", "鲁A1") });
    let steps = [WaybillState::EnterpriseReview, WaybillState::RegulatorVerify, WaybillState::Dispatched];
    for (to, by) in steps.into_iter().zip(["张三", "张三", "李四"]) {
        assert_eq!(park.facts("鲁A1", Direction::In, "park", None).waybill_state, WaybillFact::NotReady);
        park.hazmat.handle_step(&WaybillNo::new("W1"), to, by, park.now()).unwrap();
    }
    // At the gate: not before the checks are answered.
    assert_eq!(park.facts("鲁A1", Direction::In, "park", Some(48_000)).checks_open.len(), 7);
    park.check_all("W1");
    assert!(is_all_good(&park.facts("鲁A1", Direction::In, "park", Some(48_000))));
    assert_eq!(admit(&mut park, "鲁A1"), Place::Bay { bay: BayId::new("A1") });
    let passage = park.enter("鲁A1", Some(48_000));
    let used = park.hazmat.waybills().get(&WaybillNo::new("W1")).unwrap().used.clone().unwrap();
    assert_eq!(used.passage, passage, "marked used");
    park.hazmat.handle_terminal_out(TerminalId::new("T1"), &plate("鲁A1"), park.now()).unwrap();
    // Straight to the works: not dispatched; a place, but not parked.
    quota(&mut park, 1);
    assert_eq!(park.facts("鲁A1", Direction::In, "works", None).dispatched, Some(false));
    assert_eq!(dispatch(&mut park, "鲁A1"), Err(NotSent::NotParked));
    park.park("鲁A1");
    assert_eq!(dispatch(&mut park, "鲁A1"), Ok(()));
    let inner = park.facts("鲁A1", Direction::In, "works", None);
    assert_eq!((inner.dispatched, inner.waybill_state), (Some(true), WaybillFact::Ready), "its own waybill");
    assert_eq!(inner.unloading_free, Some(1), "its own place is free for it");
    assert_eq!(park.hazmat.places_free(&CompanyId::new("works"), park.mono), Some(0), "and for nobody else");
    park.go("鲁A1", "works");
    assert_eq!(park.hazmat.lot().view()[0].status, BayStatus::Free, "the bay is given back");
    let stock = &park.hazmat.inventory()[&ZoneId::new("works")];
    assert_eq!((stock.vehicles, stock.kg[&HazardClass::C3]), (1, 30_000.0));
    assert!(park.hazmat.handle_done(&plate("鲁A1"), "赵六", park.now()));
    assert_eq!(park.hazmat.inventory().len(), 0, "unloaded");
    park.go("鲁A1", "park");
    assert_eq!(stage(&park, "鲁A1"), Some(Stage::Leaving));
    assert_eq!(park.hazmat.places_free(&CompanyId::new("works"), park.mono), Some(1));
    // Out: the terminal first.
    let now = park.now();
    assert_eq!(park.hazmat.unsettled(&plate("鲁A1"), Some(18_100), now), [TERMINAL_NOT_RETURNED]);
    park.hazmat.handle_terminal_back(&TerminalId::new("T1"), now).unwrap();
    assert_eq!(park.hazmat.unsettled(&plate("鲁A1"), Some(18_100), now), [""; 0]);
    assert_eq!(park.facts("鲁A1", Direction::Out, "park", Some(18_100)).weight_ok, Some(true));
    park.leave("鲁A1", Some(18_100));
    assert_eq!(park.violations(), []);
    assert_eq!(park.hazmat.waybills().get(&WaybillNo::new("W1")).unwrap().waybill.state, WaybillState::Completed);
    // The same truck with the same waybill.
    assert_eq!(park.facts("鲁A1", Direction::In, "park", None).waybill_state, WaybillFact::Used);
    park.enter("鲁A1", None);
    assert_eq!(park.violations()[0], (ViolationKind::NoWaybill, None), "let in by hand, it is told");
}

#[test]
fn a_passage_told_twice_is_one_and_over_midnight_it_is_its_own_day() {
    let mut park = Park::new();
    park.wall = crate::domain::time::Timestamp::parse("2026-11-24T15:59:59.000Z").unwrap();
    let until = park.wall.after(Duration::from_secs(1));
    park.put(Waybill { not_after: Some(until), ..waybill("W1", "鲁A1") });
    assert_eq!(park.facts("鲁A1", Direction::In, "park", None).route_ok, Some(true), "decided at 23:59:59 in Beijing");
    park.wait(Duration::from_secs(6));
    let passage = park.passage();
    for _ in 0..2 {
        let entered = crate::domain::gate::hazmat::Entered {
            passage: passage.clone(),
            plate: plate("鲁A1"),
            zone: ZoneId::new("park"),
            gross_kg: None,
        };
        park.hazmat.handle_entered(entered, park.now());
    }
    assert_eq!(park.violations(), [], "the decision's time governs");
    assert_eq!(park.hazmat.visits().count(), 1);
    // Its stay runs from the entry.
    park.wait(6 * HOUR - Duration::from_secs(1));
    assert_eq!(park.violations(), [(ViolationKind::StayWarning, None)]);
    park.wait(Duration::from_secs(1));
    assert_eq!(park.violations(), [(ViolationKind::Overstay, None)]);
}

#[test]
fn a_stay_is_warned_of_at_four_fifths_told_when_it_is_over_and_told_again_through_a_restart() {
    let mut park = Park::new();
    park.put(waybill("W1", "鲁A1"));
    park.enter("鲁A1", None);
    park.wait(Duration::from_secs(17_279));
    assert_eq!(park.violations(), []);
    park.wait(Duration::from_secs(1));
    assert_eq!(park.violations(), [(ViolationKind::StayWarning, None)]);
    park.restart(Duration::from_secs(3600));
    park.wait(Duration::from_secs(720));
    assert_eq!(park.take_violations()[0].phase, Phase::Begins, "the hour that the gateway was off is counted");
    assert_eq!(park.hazmat.unsettled(&plate("鲁A1"), None, park.now()), [OVERSTAY]);
    park.wait(HOUR);
    let again: Vec<_> = park.take_violations().into_iter().map(|v| (v.kind, v.phase)).collect();
    assert_eq!(again, [(ViolationKind::Overstay, Phase::GoesOn); 2]);
    park.leave("鲁A1", None);
    let last = park.take_violations();
    assert_eq!((last[0].kind, last[0].phase), (ViolationKind::Overstay, Phase::Over));
}

#[test]
fn a_full_parking_makes_a_queue_and_the_first_that_fits_is_called() {
    let mut park = Park::under(Rules { bays: vec![bay("A1", "2", &[])], ..Park::rules() });
    for (number, text) in [("W1", "鲁A1"), ("W2", "鲁A2"), ("W3", "鲁A3")] {
        park.put(waybill(number, text));
    }
    assert_eq!(admit(&mut park, "鲁A1"), Place::Bay { bay: BayId::new("A1") });
    assert_eq!(park.facts("鲁A2", Direction::In, "park", None).bays_free, Some(0), "promised is not free");
    assert_eq!(admit(&mut park, "鲁A2"), Place::Queue { position: 1 });
    assert_eq!(admit(&mut park, "鲁A3"), Place::Queue { position: 2 });
    assert_eq!(admit(&mut park, "鲁A2"), Place::Queue { position: 1 }, "asking again is no second place");
    // The first turns back before it is in.
    let now = park.now();
    park.hazmat.handle_turned_back(&plate("鲁A1"), now);
    park.drain();
    let call = Output::Call { plate: plate("鲁A2"), bay: BayId::new("A1") };
    assert!(park.outputs.contains(&call));
    assert_eq!(park.facts("鲁A2", Direction::In, "park", None).bays_free, Some(1));
    assert_eq!(park.facts("鲁A3", Direction::In, "park", None).bays_free, Some(0));
    // It does not come in time: the next one is called.
    park.wait(Duration::from_secs(900));
    let call = Output::Call { plate: plate("鲁A3"), bay: BayId::new("A1") };
    assert!(park.outputs.contains(&call));
}

#[test]
fn the_places_of_the_host_are_the_limit_and_what_is_not_published_is_none() {
    let mut park = Park::new();
    for (number, text) in [("W1", "鲁A1"), ("W2", "鲁A2")] {
        park.put(waybill(number, text));
        park.enter(text, None);
        park.park(text);
    }
    assert_eq!(dispatch(&mut park, "鲁A1"), Err(NotSent::PlacesUnknown));
    quota(&mut park, 1);
    assert_eq!(dispatch(&mut park, "鲁A1"), Ok(()));
    assert_eq!(dispatch(&mut park, "鲁A1"), Err(NotSent::AlreadyDispatched));
    assert_eq!(dispatch(&mut park, "鲁A2"), Err(NotSent::NoUnloadingSlot));
    assert!(park.hazmat.handle_recall(&plate("鲁A1"), "王五", park.now()));
    assert_eq!(dispatch(&mut park, "鲁A2"), Ok(()));
    park.wait(Duration::from_secs(1800));
    assert_eq!(park.violations(), [(ViolationKind::DispatchOverdue, Some("works".into()))]);
    park.wait(24 * HOUR);
    assert_eq!(park.hazmat.places_free(&CompanyId::new("works"), park.mono), None, "what was published is a day old");
    // Without a waybill nobody knows where it goes.
    park.enter("鲁A9", None);
    assert_eq!(dispatch(&mut park, "鲁A9"), Err(NotSent::WaybillMissing));
    assert_eq!(dispatch(&mut park, "鲁A8"), Err(NotSent::NotInside));
}

#[test]
fn what_is_let_in_by_hand_or_parks_where_it_likes_is_followed_and_told() {
    let mut park = Park::new();
    park.put(waybill("W1", "鲁A1"));
    park.put(Waybill { goods: vec![goods(2014, HazardClass::C51, 20_000.0)], ..waybill("W2", "鲁A2") });
    park.enter("鲁A1", None);
    park.park("鲁A1");
    park.enter("鲁A2", None);
    assert_eq!(park.hazmat.lot().promised(&plate("鲁A2")), Some(&BayId::new("A3")), "an oxidizer keeps away");
    let now = park.now();
    assert_eq!(park.hazmat.handle_parked(&BayId::new("A2"), &plate("鲁A2"), now), Some(BayStatus::Wrong));
    let told = park.violations();
    assert_eq!(told[0], (ViolationKind::WrongBay, Some("A2".into())));
    assert_eq!(told[1], (ViolationKind::Incompatible, Some("A1+A2".into())));
    // One of which nobody knows anything, and then its visit begins anew though nobody saw it leave.
    park.enter("鲁A9", None);
    assert_eq!(park.violations(), [(ViolationKind::NoWaybill, None), (ViolationKind::NoBay, None)]);
    park.enter("鲁A9", None);
    assert_eq!(park.violations()[0].0, ViolationKind::ExitUnseen);
    park.go("鲁A9", "works");
    assert_eq!(park.violations(), [(ViolationKind::NotDispatched, Some("works".into()))]);
    assert_eq!(park.hazmat.inventory()[&ZoneId::new("works")].unweighed, 1);
}

#[test]
fn weights_that_do_not_agree_and_a_terminal_that_is_kept_hold_it_at_the_exit() {
    let mut park = Park::new();
    park.put(waybill("W1", "鲁A1"));
    park.put(Waybill { purpose: Purpose::Collect, ..waybill("W2", "鲁A2") });
    park.enter("鲁A1", Some(48_000));
    park.enter("鲁A2", Some(18_000));
    assert_eq!(park.violations(), [(ViolationKind::NoBay, None)], "there is no bay for empty vehicles");
    let terminal = TerminalId::new("T1");
    park.hazmat.handle_terminal_out(terminal.clone(), &plate("鲁A1"), park.now()).unwrap();
    let refused = park.hazmat.handle_terminal_out(terminal.clone(), &plate("鲁A2"), park.now());
    assert_eq!(refused, Err(TerminalRefusal::StillOut { with: plate("鲁A1").to_string() }));
    let codes = park.hazmat.unsettled(&plate("鲁A1"), Some(25_000), park.now());
    assert_eq!(codes, [TERMINAL_NOT_RETURNED, WEIGHT_MISMATCH]);
    park.leave("鲁A1", Some(25_000));
    let told = park.violations();
    assert_eq!(told[0].0, ViolationKind::WeightMismatch);
    assert_eq!(told[1], (ViolationKind::TerminalKept, Some("T1".into())));
    assert!(park.hazmat.handle_terminal_out(terminal.clone(), &plate("鲁A2"), park.now()).is_err(), "still out");
    park.hazmat.handle_terminal_back(&terminal, park.now()).unwrap();
    park.hazmat.handle_done(&plate("鲁A2"), "赵六", park.now());
    assert_eq!(park.hazmat.unsettled(&plate("鲁A2"), Some(48_200), park.now()), [""; 0]);
}

#[test]
fn a_bay_goes_on_being_who_it_was_promised_to_through_a_restart() {
    let mut park = Park::new();
    park.put(waybill("W1", "鲁A1"));
    park.put(waybill("W2", "鲁A2"));
    park.enter("鲁A1", None);
    park.park("鲁A1");
    admit(&mut park, "鲁A2");
    park.restart(Duration::from_secs(60));
    let view = park.hazmat.lot().view();
    assert_eq!((view[0].status, view[1].status), (BayStatus::Parked, BayStatus::Waiting));
    assert_eq!(stage(&park, "鲁A1"), Some(Stage::Parked));
    park.wait(HOUR);
    let view = park.hazmat.lot().view();
    assert_eq!(
        (view[0].status, view[1].status),
        (BayStatus::Parked, BayStatus::Free),
        "the promise ran out, the bay did not"
    );
}

#[test]
fn a_table_that_is_signed_later_and_bays_that_go_change_nothing_of_who_is_inside() {
    let mut park = Park::under(Rules { table: Default::default(), ..Park::rules() });
    park.put(waybill("W1", "鲁A1"));
    assert_eq!(park.facts("鲁A1", Direction::In, "park", None).bay_compatible, None, "nobody signed the table");
    park.enter("鲁A1", None);
    park.park("鲁A1");
    let fewer = Rules { bays: vec![bay("A2", "2", &[])], table: armed(), ..Park::rules() };
    park.hazmat.reload(std::sync::Arc::new(fewer), park.now());
    assert_eq!(park.hazmat.visits().count(), 1);
    assert_eq!(park.hazmat.lot().stands(&plate("鲁A1")), None);
    park.put(waybill("W2", "鲁A2"));
    assert_eq!(park.facts_with("鲁A2", Direction::In, "park", None, &known()).bay_compatible, Some(true));
}
