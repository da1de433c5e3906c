//! Gateways that pass, are cut off, restart and lose their stores at random: at last they agree.

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Act {
    Drive(usize, bool, u8),
    Void(usize, usize),
    Cut(usize),
    Connect(usize),
    Restart(usize),
    Wait(u16),
    Loses(u8),
}

fn act() -> impl Strategy<Value = Act> {
    let at = 0..3_usize;
    prop_oneof![
        10 => (at.clone(), any::<bool>(), 0..20_u8).prop_map(|(n, way, plate)| Act::Drive(n, way, plate)),
        1 => (at.clone(), any::<usize>()).prop_map(|(n, event)| Act::Void(n, event)),
        2 => at.clone().prop_map(Act::Cut),
        3 => at.clone().prop_map(Act::Connect),
        1 => at.prop_map(Act::Restart),
        4 => prop::sample::select(vec![0_u16, 1, 12, 70, 3_600]).prop_map(Act::Wait),
        1 => (0..45_u8).prop_map(Act::Loses),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, max_shrink_iters: 200, failure_persistence: None, ..ProptestConfig::default() })]

    /// Messages lost, doubled, overtaken, cuts of an hour, restarts: afterwards all count the same, and show the same conflicts.
    #[test]
    fn gateways_that_can_talk_again_know_the_same(
        three in any::<bool>(),
        seed in any::<u64>(),
        acts in prop::collection::vec(act(), 60..120),
    ) {
        let mut park = Park::of(if three { &["east", "north", "west"] } else { &["east", "west"] });
        park.rng = fastrand::Rng::with_seed(seed);
        park.connect_all();
        let (n, mut voided) = (park.gateways.len(), BTreeSet::new());
        for act in acts {
            match act {
                Act::Drive(at, way, plate) => {
                    let way = if way { Direction::In } else { Direction::Out };
                    park.drive(at % n, way, &format!("鲁P{plate:05}"));
                }
                Act::Void(at, event) => {
                    let gateway = &park.gateways[at % n];
                    let ids: Vec<EventId> = gateway.inside.account().line().values()
                        .filter(|event| matches!(event.body, Body::Crossed(_)))
                        .map(|event| event.id.clone()).collect();
                    if let Some(id) = ids.get(event % ids.len().max(1)).filter(|id| voided.insert((*id).clone())) {
                        let id = id.clone();
                        park.void(at % n, id, "误读");
                    }
                }
                Act::Cut(at) => park.cut(at % n),
                Act::Connect(at) => park.connect(at % n),
                Act::Restart(at) => park.restart(at % n),
                Act::Wait(secs) => park.wait(secs.into()),
                Act::Loses(of_hundred) => park.loses = of_hundred,
            }
        }
        park.loses = 0;
        park.connect_all();
        park.wait(120);
        park.assert_alike();
        for at in 0..n {
            prop_assert_eq!(park.heard(at), Some(true));
            let gateway = &park.gateways[at];
            let refused: Vec<_> = gateway.exchange.refused().collect();
            prop_assert!(refused.is_empty(), "{:?}", refused);
        }
    }
}
