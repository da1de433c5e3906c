//! A hundred thousand passages are ordinary: they are held, read, corrected in the past, folded and sent without anything
//! that grows with all of them.

use super::*;
use crate::domain::gate::inside::event::{Body, Crossed};
use crate::domain::gate::inside::log::BATCH;

const N: u64 = 100_000;

/// The n-th passage of another gateway: trucks that come in and leave again ten passages later, one each ten seconds.
fn event(n: u64) -> Event {
    let way = if (n / 10).is_multiple_of(2) { Direction::In } else { Direction::Out };
    let rules = rules();
    let park = zone("park");
    let crossing =
        if way == Direction::In { rules.crossing(None, Some(&park)) } else { rules.crossing(Some(&park), None) };
    let text = format!("鲁S{:05}", n / 20 % 400 * 10 + n % 10);
    let source = Source { gateway: GatewayId::new("west"), boot: 1 };
    let crossed = Crossed {
        passage: PassageId::new(format!("west-1-p{n}")),
        gate: GateId::new("gate-west"),
        lane: LaneId::new(format!("west-{way}")),
        direction: way,
        enters: crossing.enters,
        leaves: crossing.leaves,
        vehicle: truck(&text, VehicleClass::Goods).vehicle,
        persons: truck(&text, VehicleClass::Goods).persons,
        unidentified: 0,
        assumed: false,
        company: None,
        camera: camera(n),
        late: false,
        authorised: true,
    };
    let at = Timestamp(DAY - 86_400_000 * 20 + i64::try_from(n).unwrap() * 10_000);
    let id = EventId { source: source.clone(), n: n + 1 };
    Event { source, seq: n + 1, id, version: 1, at, clock: ClockTrust::Synced, body: Body::Crossed(crossed) }
}

#[test]
fn a_hundred_thousand_passages_are_held_corrected_in_the_past_and_sent() {
    let mut inside = Gate::new("east", rules()).inside;
    let now = Now { mono: Mono::from_secs(9), wall: Timestamp(DAY), trust: ClockTrust::Synced };
    // The last is not heard of, nor one in the middle of the first day.
    let lost = |n: &u64| *n == 5_005 || *n == N - 1;
    inside.merge((0..N).filter(|n| !lost(n)).map(event), now);
    while inside.poll_output().is_some() {}
    let goods = |inside: &Inside| inside.account().count(&zone("park"), Stock::Vehicles(VehicleClass::Goods));
    let persons = |inside: &Inside| inside.account().count(&zone("park"), Stock::Persons).0;
    assert_eq!(
        (goods(&inside), persons(&inside)),
        ((1, 1), 2),
        "one exit is missing at the end, one entry at the beginning"
    );
    inside.merge([event(5_005), event(N - 1)], now);
    assert_eq!((goods(&inside), persons(&inside)), ((0, 0), 0));
    assert_eq!(inside.account().line().len() as u64, N);
    // A peer that has all but two pieces of it is sent those, and a new one everything, in batches.
    let source = Source { gateway: GatewayId::new("west"), boot: 1 };
    let most = Have(vec![(source, vec![(1, 40), (43, 99_000), (99_003, N)])]);
    let seqs: Vec<u64> = inside.lacking(&most).iter().map(|event| event.seq).collect();
    assert_eq!(seqs, [41, 42, 99_001, 99_002]);
    assert_eq!(inside.lacking(&Have::default()).len(), BATCH);
    // More than may be kept: the oldest are folded, and nothing else changes.
    inside.merge((N..N + 20).map(|n| Event { at: Timestamp(DAY + i64::try_from(n).unwrap()), ..event(n) }), now);
    assert_eq!(inside.account().line().len(), rules::MAX_EVENTS);
    assert_eq!((goods(&inside), persons(&inside)), ((0, 0), 0));
}
