//! What goes over the wire, and what of it is refused.

use super::*;
use crate::domain::gate::inside::event::Body;
use crate::domain::gate::inside::{EventId, Source, Subject};
use crate::domain::gate::word::PersonRef;
use crate::domain::time::{ClockTrust, Timestamp};

fn gateway(name: &str) -> GatewayId {
    GatewayId::new(name)
}

fn east() -> Speaker {
    Speaker { gateway: gateway("east"), boot: 3, run: 77 }
}

fn west() -> Speaker {
    Speaker { gateway: gateway("west"), boot: 9, run: 88 }
}

fn topics(of: &Speaker) -> Topics {
    Topics::new("p", &of.gateway)
}

fn event(of: &str, boot: u32, seq: u64) -> Event {
    let source = Source { gateway: gateway(of), boot };
    Event {
        id: EventId { source: source.clone(), n: seq },
        source,
        seq,
        version: 1,
        at: Timestamp(1_795_651_200_000),
        clock: ClockTrust::Synced,
        body: Body::Reviewed {
            subject: Subject::Person(PersonRef::new("p-1")),
            actor: crate::domain::actor::Actor {
                name: "李班长".into(),
                via: crate::domain::actor::Via::Page,
                roles: [].into(),
            },
            reason: "看过".into(),
        },
    }
}

fn raw(event: &Event) -> Box<RawValue> {
    serde_json::value::to_raw_value(event).unwrap()
}

#[test]
fn a_hello_is_written_as_the_head_says_and_read_back() {
    let heard = vec![Echo { gateway: gateway("west"), run: 88, n: 4 }];
    let bytes = write(&east(), &Say::Hello { n: 5, heard: heard.clone(), digest: "d1".into() });
    let text = r#"{"v":1,"from":"east","boot":3,"run":77,"say":{"hello":{"n":5,"heard":[{"gateway":"west","run":88,"n":4}],"digest":"d1"}}}"#;
    assert_eq!(String::from_utf8(bytes.clone()).unwrap(), text);
    let (speaker, say) = read(&topics(&west()), &topics(&east()).to_all(), false, &bytes).unwrap();
    assert_eq!(speaker, east());
    assert!(matches!(say, Say::Hello { n: 5, heard: of, digest } if of == heard && digest == "d1"));
}

#[test]
fn events_and_what_is_had_are_read_back_as_they_were() {
    let have = Have(vec![(Source { gateway: gateway("east"), boot: 3 }, vec![(1, 4), (6, 9)])]);
    let of = [gateway("east"), gateway("west")].into();
    let bytes = write(&east(), &Say::Have { have: have.clone(), of });
    let to_west = topics(&east()).to(&gateway("west"));
    let (_, say) = read(&topics(&west()), &to_west, false, &bytes).unwrap();
    assert!(matches!(say, Say::Have { have: back, .. } if back == have));
    let one = event("east", 3, 1);
    let bytes = write(&east(), &Say::Events { events: vec![raw(&one)], then: Some(Then::Done) });
    let (_, say) = read(&topics(&west()), &to_west, false, &bytes).unwrap();
    let Say::Events { events, then: Some(Then::Done) } = say else { panic!("{say:?}") };
    assert_eq!(take(&events[0], &west(), &[gateway("east")].into()).unwrap(), one);
}

#[test]
fn what_is_not_of_the_form_is_refused_and_each_reason_has_its_word() {
    let bytes = write(&east(), &Say::Hello { n: 1, heard: vec![], digest: String::new() });
    let (mine, of_east) = (topics(&west()), topics(&east()).to_all());
    let of_north = Topics::new("p", &gateway("north")).to_all();
    let refused = |topic: &str, retained, bytes: &[u8]| read(&mine, topic, retained, bytes).unwrap_err();
    assert_eq!(refused(&of_north, false, &bytes), Refusal::Forged, "the topic is north's, the envelope says east");
    assert_eq!(refused("parkgate/v1/q/peers/east/_all", false, &bytes), Refusal::Forged);
    assert_eq!(refused(&of_east, true, &bytes), Refusal::Retained);
    assert_eq!(refused(&of_east, false, &vec![b' '; MAX_MESSAGE + 1]), Refusal::TooLarge);
    assert_eq!(refused(&of_east, false, b"{"), Refusal::Unreadable);
    assert_eq!(refused(&of_east, false, br#"{"v":1,"from":"east"}"#), Refusal::Unreadable);
    assert_eq!(refused(&of_east, false, br#"{"v":2,"anything":[]}"#), Refusal::Version);
    let source = Source { gateway: gateway("east"), boot: 1 };
    for ranges in [vec![(5, 4)], vec![(1, u64::MAX)]] {
        let have = Have(vec![(source.clone(), ranges)]);
        let bytes = write(&east(), &Say::Have { have, of: BTreeSet::new() });
        assert_eq!(refused(&of_east, false, &bytes), Refusal::Impossible);
    }
    let have = Have(
        (0..=u32::try_from(MAX_SOURCES).unwrap()).map(|boot| (Source { boot, ..source.clone() }, vec![])).collect(),
    );
    let bytes = write(&east(), &Say::Have { have, of: BTreeSet::new() });
    assert_eq!(refused(&of_east, false, &bytes), Refusal::Impossible);
}

#[test]
fn of_events_only_those_are_taken_that_a_gateway_of_the_park_can_have_written() {
    let peers: BTreeSet<GatewayId> = [gateway("west"), gateway("north")].into();
    let taken = |event: &Event| take(&raw(event), &east(), &peers);
    assert!(taken(&event("west", 1, 1)).is_ok());
    assert!(taken(&event("north", 1, 1)).is_ok(), "another one's, that the peer passes on");
    assert_eq!(taken(&event("south", 1, 1)), Err(Refusal::Stranger));
    assert_eq!(taken(&event("east", 3, 1)), Err(Refusal::Own), "this start knows its own better");
    assert_eq!(taken(&event("east", 4, 1)), Err(Refusal::Own));
    assert!(taken(&event("east", 2, 1)).is_ok(), "of an earlier start, which the store lost");
    assert_eq!(taken(&event("west", 1, 0)), Err(Refusal::Impossible));
    assert_eq!(taken(&event("west", 1, u64::MAX)), Err(Refusal::Impossible));
    for version in [0, 2_000_000] {
        assert_eq!(taken(&Event { version, ..event("west", 1, 1) }), Err(Refusal::Impossible));
    }
    let mut moved = event("west", 1, 2);
    moved.id.n = 1;
    assert_eq!(taken(&moved), Err(Refusal::Impossible), "a first version that stands elsewhere");
    moved.version = 2;
    assert!(taken(&moved).is_ok());
    moved.id.source.gateway = gateway("south");
    assert_eq!(taken(&moved), Err(Refusal::Stranger));
    let unknown = RawValue::from_string(r#"{"what":"later"}"#.into()).unwrap();
    assert_eq!(take(&unknown, &east(), &peers), Err(Refusal::Unreadable));
}

#[test]
fn digests_differ_when_anything_differs() {
    let source = Source { gateway: gateway("east"), boot: 3 };
    let have = |ranges: Vec<(u64, u64)>| Have(vec![(source.clone(), ranges)]);
    assert_eq!(digest(&have(vec![(1, 4)])), digest(&have(vec![(1, 4)])));
    assert_ne!(digest(&have(vec![(1, 4)])), digest(&have(vec![(1, 5)])));
    assert_eq!(digest(&Have::default()).len(), 32);
}
