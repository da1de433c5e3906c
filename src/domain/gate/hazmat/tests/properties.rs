//! What holds after any sequence of steps: more than 10⁵ random ones, restarts, late events and lies among them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proptest::prelude::*;
use proptest::sample::select;

use super::bench::{Park, bay, goods, plate, waybill};
use crate::domain::gate::hazmat::apart::Beside;
use crate::domain::gate::hazmat::book::{Taken, Update};
use crate::domain::gate::hazmat::goods::HazardClass;
use crate::domain::gate::hazmat::lot::{Area, BaySpec, Place};
use crate::domain::gate::hazmat::record::{Movement, Output};
use crate::domain::gate::hazmat::rules::Rules;
use crate::domain::gate::hazmat::waybill::{Purpose, Waybill, WaybillState};
use crate::domain::gate::hazmat::{Entered, Left};
use crate::domain::gate::word::{BayId, CompanyId, PassageId, TerminalId, WaybillNo, ZoneId};
use crate::domain::time::ClockTrust;

#[derive(Clone, Debug)]
enum Step {
    Put(u8, u8, bool, usize),
    Update(u8, Vec<u8>),
    Advance(u8),
    Abort(u8),
    Ask(u8),
    TurnBack(u8),
    Enter(u8),
    EnterAgain(usize, u8),
    Park(u8),
    ParkAt(u8, usize),
    Empty(usize),
    Quota(u32),
    Dispatch(u8),
    Recall(u8),
    Go(u8, bool),
    Done(u8),
    Terminal(u8, u8, bool),
    Leave(u8, u32),
    LeaveBlind(u8),
    Wait(u32),
    Trust(ClockTrust),
    Restart(u32),
    Reload,
    Housekeeping,
}

const CLASSES: [HazardClass; 5] =
    [HazardClass::C3, HazardClass::C51, HazardClass::C21, HazardClass::C1, HazardClass::C43];
const BAYS: [&str; 7] = ["A1", "A2", "A3", "L1", "L2", "E1", "Z9"];
const TRUCKS: u8 = 8;

fn step() -> impl Strategy<Value = Step> {
    let truck = || 0..TRUCKS;
    prop_oneof![
        12 => (0..60u8, truck(), any::<bool>(), 0..5usize).prop_map(|(n, t, d, c)| Step::Put(n, t, d, c)),
        2 => (0..4u8, prop::collection::vec(0..60u8, 0..6)).prop_map(|(v, w)| Step::Update(v, w)),
        2 => (0..60u8).prop_map(Step::Advance),
        1 => (0..60u8).prop_map(Step::Abort),
        8 => truck().prop_map(Step::Ask),
        2 => truck().prop_map(Step::TurnBack),
        12 => truck().prop_map(Step::Enter),
        2 => (0..200usize, truck()).prop_map(|(p, t)| Step::EnterAgain(p, t)),
        12 => truck().prop_map(Step::Park),
        4 => (truck(), 0..7usize).prop_map(|(t, b)| Step::ParkAt(t, b)),
        2 => (0..7usize).prop_map(Step::Empty),
        4 => (0..4u32).prop_map(Step::Quota),
        12 => truck().prop_map(Step::Dispatch),
        2 => truck().prop_map(Step::Recall),
        10 => (truck(), any::<bool>()).prop_map(|(t, w)| Step::Go(t, w)),
        6 => truck().prop_map(Step::Done),
        3 => (0..4u8, truck(), any::<bool>()).prop_map(|(n, t, out)| Step::Terminal(n, t, out)),
        8 => (truck(), 10_000..50_000u32).prop_map(|(t, kg)| Step::Leave(t, kg)),
        1 => truck().prop_map(Step::LeaveBlind),
        10 => select(vec![1u32, 30, 130, 1000, 7200, 22_000]).prop_map(Step::Wait),
        1 => select(vec![ClockTrust::Synced, ClockTrust::Holdover, ClockTrust::Unsynced]).prop_map(Step::Trust),
        3 => (0..4000u32).prop_map(Step::Restart),
        1 => Just(Step::Reload),
        1 => Just(Step::Housekeeping),
    ]
}

fn rules() -> Rules {
    let empty = BaySpec { area: Area::Empty, ..bay("E1", "2", &["A3"]) };
    let bays = vec![bay("A1", "2", &["A2"]), bay("A2", "2", &["A3"]), bay("A3", "2", &["L1"]), bay("L1", "1", &["L2"])];
    Rules { bays: [bays, vec![bay("L2", "1", &[]), empty]].concat(), ..Park::rules() }
}

/// What the test itself keeps account of.
#[derive(Default)]
struct Account {
    /// Entries that each waybill was used for.
    uses: BTreeMap<WaybillNo, BTreeSet<PassageId>>,
    /// In less out, by zone: vehicles, grams by class, kinds that nobody weighed.
    moved: BTreeMap<ZoneId, (i64, BTreeMap<HazardClass, i64>, i64)>,
    /// Numbers that were once taken away.
    gone: BTreeSet<WaybillNo>,
    known: BTreeSet<WaybillNo>,
}

fn text(truck: u8) -> String {
    format!("鲁A{truck:05}")
}

#[expect(clippy::cast_possible_truncation, reason = "kilograms of a truck")]
fn grams(kg: f64) -> i64 {
    (kg * 1000.0).round() as i64
}

impl Account {
    fn take(&mut self, park: &mut Park) {
        park.drain();
        for output in std::mem::take(&mut park.outputs) {
            let Output::Moved(Movement { zone, vehicles, kg, unweighed }) = output else { continue };
            let sum = self.moved.entry(zone).or_default();
            sum.0 += i64::from(vehicles);
            sum.2 += i64::from(unweighed);
            for (class, kg) in kg {
                *sum.1.entry(class).or_default() += grams(kg);
            }
        }
        for entry in park.hazmat.waybills().iter() {
            let number = entry.waybill.number.clone();
            self.uses.entry(number.clone()).or_default().extend(entry.used.as_ref().map(|used| used.passage.clone()));
            self.known.insert(number);
        }
        let kept: BTreeSet<_> = park.hazmat.waybills().iter().map(|entry| entry.waybill.number.clone()).collect();
        self.gone.extend(self.known.difference(&kept).cloned());
    }

    fn check(&self, park: &Park) {
        let hazmat = &park.hazmat;
        for (number, uses) in &self.uses {
            assert!(uses.len() <= 1, "{number} admitted twice: {uses:?}");
        }
        for number in &self.gone {
            assert!(hazmat.waybills().get(number).is_none(), "{number} is back");
        }
        let visits: Vec<_> = hazmat.visits().collect();
        let with: Vec<_> = visits.iter().filter_map(|visit| visit.waybill.clone()).collect();
        assert_eq!(with.len(), with.iter().collect::<BTreeSet<_>>().len(), "one waybill, two vehicles inside");
        // One bay, one vehicle, and the other way round.
        let mut places = BTreeSet::new();
        for truck in 0..TRUCKS {
            let plate = plate(&text(truck));
            let stands = hazmat.lot().stands(&plate).map(|(bay, _)| bay.clone());
            assert!(stands.iter().all(|bay| places.insert(bay.clone())), "{stands:?} holds two");
            let promised = hazmat.lot().promised(&plate).cloned().filter(|bay| stands.as_ref() != Some(bay));
            assert!(promised.iter().all(|bay| places.insert(bay.clone())), "{promised:?} is for two");
        }
        let mut sums = self.moved.clone();
        sums.retain(|_, (vehicles, kg, unweighed)| {
            kg.retain(|_, grams| *grams != 0);
            *vehicles != 0 || *unweighed != 0 || !kg.is_empty()
        });
        let stock = |stock: &crate::domain::gate::hazmat::Stock| {
            let kg = stock.kg.iter().map(|(class, kg)| (*class, grams(*kg))).collect();
            (i64::from(stock.vehicles), kg, i64::from(stock.unweighed))
        };
        let inventory: BTreeMap<_, _> = hazmat.inventory().iter().map(|(zone, of)| (zone.clone(), stock(of))).collect();
        assert_eq!(inventory, sums, "what is inside is what came in less what went out");
    }
}

/// A bay that is given beside the others breaks no armed table, and never goes to explosives.
fn check_promise(park: &Park, truck: u8) {
    let plate = plate(&text(truck));
    let Some(bay) = park.hazmat.lot().promised(&plate).cloned() else { return };
    let table = &park.hazmat.rules().table;
    let own = park.hazmat.guest(&plate).load;
    assert!(!own.as_ref().is_some_and(|load| load.classes.contains(&HazardClass::C1)));
    for other in park.hazmat.lot().beside(&bay).filter(|other| other.plate != plate) {
        assert_eq!(table.beside(own.as_ref(), other.load.as_ref()), Beside::May, "{bay} beside {}", other.plate);
    }
}

fn of_step(n: u8, truck: u8, deliver: bool, class: usize) -> Waybill {
    let purpose = if deliver { Purpose::Deliver } else { Purpose::Collect };
    let goods = vec![goods(1, CLASSES[class], 10_000.0 + f64::from(n))];
    Waybill { purpose, goods, ..waybill(&format!("W{n}"), &text(truck)) }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "the other half is below")]
fn take(park: &mut Park, step: &Step, passages: &mut Vec<PassageId>) {
    let now = park.now();
    match step {
        // Many are refused; what matters is what then holds.
        Step::Put(n, truck, deliver, class) => {
            drop(park.hazmat.handle_waybill(of_step(*n, *truck, *deliver, *class), "x", now));
        }
        Step::Update(ahead, numbers) => {
            let have = park.hazmat.waybills().version();
            let put = numbers.iter().map(|n| of_step(*n, n % TRUCKS, true, 0)).collect();
            let from = (*ahead > 1).then(|| have + u64::from(*ahead) - 2);
            let to = have + u64::from(*ahead);
            let removed = vec![WaybillNo::new(format!("W{}", ahead * 7))];
            let taken = park.hazmat.handle_update(Update { from, to, put, removed }, now);
            assert_eq!(taken == Taken::Old, *ahead == 0);
            assert!(park.hazmat.waybills().version() >= have);
        }
        Step::Advance(n) | Step::Abort(n) => {
            let number = WaybillNo::new(format!("W{n}"));
            let state = park.hazmat.waybills().get(&number).and_then(|entry| entry.waybill.state.next());
            let to = if matches!(step, Step::Abort(_)) { Some(WaybillState::Aborted) } else { state };
            to.into_iter().for_each(|to| drop(park.hazmat.handle_step(&number, to, "x", now)));
        }
        Step::Ask(truck) => {
            let place = park.hazmat.handle_wants_bay(&plate(&text(*truck)), now);
            let stands = park.hazmat.lot().stands(&plate(&text(*truck))).is_some();
            if matches!(place, Place::Bay { .. }) && !stands {
                check_promise(park, *truck);
            }
        }
        Step::TurnBack(truck) => park.hazmat.handle_turned_back(&plate(&text(*truck)), now),
        Step::Enter(truck) => passages.push(park.enter(&text(*truck), Some(40_000))),
        Step::EnterAgain(passage, truck) => {
            let passage = passages.get(*passage).cloned();
            let again = passage.map(|passage| Entered {
                passage,
                plate: plate(&text(*truck)),
                zone: ZoneId::new("park"),
                gross_kg: None,
            });
            // The same passage can only be of the same vehicle.
            let same = |again: &Entered| park.hazmat.visit(&again.plate).is_some_and(|v| v.passage == again.passage);
            again.filter(same).into_iter().for_each(|again| park.hazmat.handle_entered(again, now));
        }
        Step::Park(truck) => {
            let bay = park.hazmat.lot().promised(&plate(&text(*truck))).cloned();
            if let Some(bay) = bay {
                park.hazmat.handle_parked(&bay, &plate(&text(*truck)), now);
            }
        }
        Step::ParkAt(truck, bay) => {
            park.hazmat.handle_parked(&BayId::new(BAYS[*bay]), &plate(&text(*truck)), now);
        }
        Step::Empty(bay) => park.hazmat.handle_bay_empty(&BayId::new(BAYS[*bay]), now),
        other => take_inside(park, other),
    }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "the other half is above")]
fn take_inside(park: &mut Park, step: &Step) {
    let (now, works) = (park.now(), CompanyId::new("works"));
    match step {
        Step::Quota(places) => park.hazmat.handle_quota(&works, *places, now),
        Step::Dispatch(truck) => {
            let host = park.hazmat.visit(&plate(&text(*truck))).and_then(|visit| park.hazmat.host(visit));
            let sent = park.hazmat.handle_dispatch(&plate(&text(*truck)), &ZoneId::new("works"), "x", now);
            if let (Ok(()), Some(host)) = (sent, host) {
                let free = park.hazmat.places_free(&host, now.mono);
                assert!(free.is_some_and(|free| free >= 0), "more were sent than there are places: {free:?}");
            }
        }
        Step::Recall(truck) => {
            park.hazmat.handle_recall(&plate(&text(*truck)), "x", now);
        }
        Step::Go(truck, works) => park.go(&text(*truck), if *works { "works" } else { "park" }),
        Step::Done(truck) => {
            park.hazmat.handle_done(&plate(&text(*truck)), "x", now);
        }
        Step::Terminal(n, truck, true) => {
            let terminal = TerminalId::new(format!("T{n}"));
            drop(park.hazmat.handle_terminal_out(terminal, &plate(&text(*truck)), now));
        }
        Step::Terminal(n, _, false) => {
            drop(park.hazmat.handle_terminal_back(&TerminalId::new(format!("T{n}")), now));
        }
        Step::Leave(truck, kg) => {
            let left = Left { passage: PassageId::new("out"), plate: plate(&text(*truck)), gross_kg: Some(*kg) };
            park.hazmat.handle_left(left, now);
        }
        Step::LeaveBlind(truck) => {
            let left = Left { passage: PassageId::new("out"), plate: plate(&text(*truck)), gross_kg: None };
            park.hazmat.handle_left(left, now);
        }
        Step::Wait(secs) => park.wait(Duration::from_secs((*secs).into())),
        Step::Trust(trust) => park.trust = *trust,
        Step::Restart(secs) => park.restart(Duration::from_secs((*secs).into())),
        Step::Reload => {
            let rules = park.hazmat.rules().clone();
            park.hazmat.reload(rules, now);
        }
        Step::Housekeeping => park.hazmat.handle_housekeeping(now),
        _ => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    /// 400 parks of 300 steps: 120,000.
    #[test]
    fn a_waybill_admits_once_a_bay_holds_one_and_the_account_closes(
        steps in prop::collection::vec(step(), 300),
    ) {
        let mut park = Park::under(rules());
        let (mut account, mut passages) = (Account::default(), Vec::new());
        for step in &steps {
            take(&mut park, step, &mut passages);
            account.take(&mut park);
            account.check(&park);
        }
    }
}
