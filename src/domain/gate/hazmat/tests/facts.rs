//! What a decision is told of dangerous goods: every fact good, bad, and not known (`domain.md` A20 3).

use super::bench::{Park, goods, known, plate, waybill};
use crate::domain::gate::facts::{EscortFact, WaybillFact};
use crate::domain::gate::hazmat::goods::{FireGroup, HazardClass};
use crate::domain::gate::hazmat::waybill::{WasteManifest, Waybill};
use crate::domain::gate::hazmat::{Asked, Escort, Known};
use crate::domain::gate::plate::{Plate, PlateColour};
use crate::domain::gate::register::facts::Carrier;
use crate::domain::gate::word::{CompanyId, Direction, ManifestNo, PersonRef, WaybillNo, ZoneId};
use crate::domain::time::ClockTrust;

fn ask(park: &Park, known: &Known) -> crate::domain::gate::facts::HazmatFacts {
    park.facts_with("鲁A1", Direction::In, "park", Some(48_000), known)
}

#[test]
fn without_a_waybill_nothing_is_known_and_nothing_is_good() {
    let facts = Park::new().facts("鲁A1", Direction::In, "park", None);
    assert_eq!(facts.waybill_state, WaybillFact::Missing);
    assert_eq!((facts.waybill_matches, facts.scope_ok, facts.tank_medium_ok), (None, None, None));
    assert_eq!((facts.bays_free, facts.bay_compatible, facts.unloading_free), (None, None, None));
    assert_eq!(facts.checks_open.len(), 7);
}

#[test]
fn scope_medium_driver_and_escort_are_each_good_bad_or_unknown() {
    let mut park = Park::new();
    park.put(waybill("W1", "鲁A1"));
    let good = known();
    let narrow = Some(["8".to_owned()].into());
    let carrier = |change: fn(&mut Carrier)| {
        let mut carrier = known().carrier;
        carrier.iter_mut().for_each(change);
        Known { carrier, ..known() }
    };
    let escort = |name: &str, qualified| Some(Escort { person: PersonRef::new(name), qualified });
    let scope = |known: Known| ask(&park, &known).scope_ok;
    assert_eq!(scope(good.clone()), Some(true));
    assert_eq!(scope(carrier(|carrier| carrier.scope = ["8".to_owned()].into())), Some(false));
    assert_eq!(scope(carrier(|carrier| carrier.scope.clear())), None);
    assert_eq!(scope(Known { carrier: None, ..good.clone() }), None);
    assert_eq!(scope(Known { carrier: None, licence: narrow, ..good.clone() }), Some(false));
    assert_eq!(scope(Known { licence: Some(Default::default()), ..good.clone() }), Some(true), "a scope not known");
    assert_eq!(scope(Known { licence: None, ..good.clone() }), Some(true), "the register has permits of vehicles only");
    let medium = |known: Known| ask(&park, &known).tank_medium_ok;
    assert_eq!(medium(good.clone()), Some(true));
    assert_eq!(medium(carrier(|carrier| carrier.media = ["1203".to_owned()].into())), Some(false));
    assert_eq!(medium(carrier(|carrier| carrier.media = ["货物".to_owned()].into())), Some(true), "by its name");
    assert_eq!(medium(carrier(|carrier| carrier.media.clear())), None);
    assert_eq!(medium(carrier(|carrier| carrier.tank = false)), None, "there is no tank");
    // Expired papers and a missing escort are both said: the papers by the register, the escort here.
    let of = |known: Known| ask(&park, &known).escort;
    assert_eq!(of(good.clone()), EscortFact::Present);
    assert_eq!(of(Known { escort: None, ..good.clone() }), EscortFact::Missing);
    assert_eq!(of(Known { escort: escort("driver", Some(true)), ..good.clone() }), EscortFact::IsDriver);
    assert_eq!(of(Known { driver: None, escort: escort("driver", Some(true)), ..good.clone() }), EscortFact::IsDriver);
    assert_eq!(of(Known { escort: escort("escort", None), ..good.clone() }), EscortFact::Unqualified);
}

#[test]
fn who_came_is_compared_with_who_the_waybill_names() {
    let mut park = Park::new();
    park.put(Waybill { trailer: Some(plate("鲁B1挂")), ..waybill("W1", "鲁A1") });
    let matches = |known: Known| ask(&park, &known).waybill_matches;
    assert_eq!(matches(known()), Some(true), "a trailer that the camera cannot see is not held against it");
    assert_eq!(matches(Known { driver: Some(PersonRef::new("another")), ..known() }), Some(false));
    assert_eq!(matches(Known { visits: Some(CompanyId::new("another")), ..known() }), Some(false));
    let zone = ZoneId::new("park");
    let (known, seen, other) = (known(), plate("鲁B1挂"), plate("鲁B2挂"));
    let tractor = Plate::new("鲁A1", PlateColour::Unknown);
    let with = |trailer| Asked {
        plate: &tractor,
        trailer,
        direction: Direction::In,
        zone: &zone,
        gross_kg: None,
        known: &known,
    };
    assert_eq!(park.hazmat.facts(&with(Some(&seen)), park.now()).waybill_matches, Some(true));
    assert_eq!(park.hazmat.facts(&with(Some(&other)), park.now()).waybill_matches, Some(false));
}

#[test]
fn a_weight_is_compared_with_tare_and_waybill_and_without_them_is_not_known() {
    let mut park = Park::new();
    park.put(waybill("W1", "鲁A1"));
    let at = |gross, known: &Known| park.facts_with("鲁A1", Direction::In, "park", gross, known).weight_ok;
    assert_eq!(at(Some(48_900), &known()), Some(true), "within 3 %");
    assert_eq!(at(Some(49_000), &known()), Some(false));
    assert_eq!(at(None, &known()), None);
    assert_eq!(at(Some(48_000), &Known { tare_kg: None, ..known() }), None);
    assert_eq!(
        park.facts("鲁A1", Direction::In, "works", Some(99_000)).weight_ok,
        None,
        "an inner gate does not weigh"
    );
}

#[test]
fn hours_of_the_waybill_are_not_judged_by_a_clock_that_cannot_be_trusted() {
    let mut park = Park::new();
    let now = park.wall;
    park.put(Waybill { not_before: Some(now.after(std::time::Duration::from_secs(60))), ..waybill("W1", "鲁A1") });
    assert_eq!(park.facts("鲁A1", Direction::In, "park", None).route_ok, Some(false), "too early");
    park.trust = ClockTrust::Unsynced;
    assert_eq!(park.facts("鲁A1", Direction::In, "park", None).route_ok, None);
    park.put(waybill("W2", "鲁A2"));
    assert_eq!(park.facts("鲁A2", Direction::In, "park", None).route_ok, None, "it has no route and no times");
    park.put(Waybill { route: Some("nowhere".into()), ..waybill("W3", "鲁A3") });
    assert_eq!(
        park.facts("鲁A3", Direction::In, "park", None).route_ok,
        Some(false),
        "the map does not have it: nobody sees it keep to it"
    );
}

#[test]
fn explosives_find_no_bay_and_waste_carries_its_manifest() {
    let mut park = Park::new();
    let mut explosives = goods(331, HazardClass::C1, 1000.0);
    explosives.fire_group = Some(FireGroup::A);
    park.put(Waybill { goods: vec![explosives], ..waybill("W1", "鲁A1") });
    assert_eq!(park.facts("鲁A1", Direction::In, "park", None).bays_free, Some(0));
    let manifest = WasteManifest { number: ManifestNo::new("M1"), waste_code: "900-249-08".into() };
    park.put(Waybill { waste: true, manifest: Some(manifest), ..waybill("W2", "鲁A2") });
    assert_eq!(park.facts("鲁A2", Direction::In, "park", None).manifest, Some(ManifestNo::new("M1")));
}

#[test]
fn an_answer_that_failed_is_named_until_it_is_answered_again() {
    let mut park = Park::new();
    park.put(waybill("W1", "鲁A1"));
    let number = WaybillNo::new("W1");
    let now = park.now();
    park.check_all("W1");
    park.hazmat.handle_check(&number, "placards", false, "张三", "少一块", now).unwrap();
    assert_eq!(ask(&park, &known()).checks_failed, ["placards".to_owned()].into());
    assert!(park.hazmat.handle_check(&number, "no_such", true, "张三", "", now).is_err());
    park.hazmat.handle_check(&number, "placards", true, "李四", "", now).unwrap();
    assert_eq!(ask(&park, &known()).checks_failed.len(), 0);
    assert_eq!(park.hazmat.checks().of(&number).unwrap()["placards"].by, "李四");
}
