//! Positions: what jitters, jumps or lies never alarms; what lasts does (rules 51 to 55).

use std::collections::BTreeSet;
use std::time::Duration;

use proptest::prelude::*;

use super::bench::{Park, plate, waybill};
use crate::domain::gate::hardware::{Datum, DriverCard, Position, TerminalAlarm};
use crate::domain::gate::hazmat::Hazmat;
use crate::domain::gate::hazmat::geo::{Coordinates, Shape, Spot};
use crate::domain::gate::hazmat::map::{Leg, Local, Map, Restriction, RestrictionKind, RoadKind, Route, Window, Yard};
use crate::domain::gate::hazmat::record::{Phase, ViolationKind};
use crate::domain::gate::hazmat::rules::Rules;
use crate::domain::gate::hazmat::said::Mismatch;
use crate::domain::gate::hazmat::track::{Fix, TrackRules};
use crate::domain::gate::hazmat::waybill::Waybill;
use crate::domain::gate::word::{Direction, PersonRef, TerminalId};

/// Metres east and north of a corner of the park.
fn at(east: f64, north: f64) -> Coordinates {
    let metre = 1.0 / 111_319.49;
    Coordinates { lat: 36.0 + north * metre, lon: 118.0 + east * metre / 36.0_f64.to_radians().cos() }
}

/// A road of 2 km to the east, a yard at its end, a closed area across its middle at night, a bridge for no flammable liquid
/// to the north.
fn map(datum: Datum) -> Map {
    let leg = Leg { road: RoadKind::Park, posted_kmh: None };
    let square = |x: f64, y: f64, side: f64| Shape::Area {
        outline: vec![at(x, y), at(x + side, y), at(x + side, y + side), at(x, y + side)],
    };
    let restriction = |id: &str, shape, classes: BTreeSet<_>, windows| Restriction {
        id: id.into(),
        kind: RestrictionKind::Bridge,
        datum,
        shape,
        classes,
        windows,
    };
    let night = Window { from: 22 * 60, until: 6 * 60, weekdays: BTreeSet::new(), dates: BTreeSet::new() };
    Map {
        routes: vec![Route {
            id: "hazmat-road".into(),
            datum,
            line: vec![at(0.0, 0.0), at(1000.0, 0.0), at(2000.0, 0.0)],
            half_width_m: 10.0,
            legs: vec![leg, Leg { posted_kmh: Some(15.0), ..leg }],
            common: false,
        }],
        yards: vec![Yard { id: "parking".into(), datum, shape: square(2000.0, -100.0, 200.0), kmh: 10.0 }],
        restrictions: vec![
            restriction("school", square(900.0, -50.0, 100.0), BTreeSet::new(), vec![night]),
            restriction("bridge", square(400.0, 100.0, 100.0), BTreeSet::new(), vec![]),
        ],
    }
}

const NOON: Option<Local> = Some(Local { day: 20_000, minute: 720 });

struct Ride {
    park: Park,
    terminal: TerminalId,
    datum: Datum,
}

impl Ride {
    fn new() -> Self {
        Self::under(map(Datum::Wgs84), TrackRules::default())
    }

    fn under(map: Map, track: TrackRules) -> Self {
        let mut park = Park::under(Rules { map, track, ..Park::rules() });
        park.put(Waybill { route: Some("hazmat-road".into()), ..waybill("W1", "鲁A1") });
        park.enter("鲁A1", None);
        let terminal = TerminalId::new("T1");
        park.hazmat.handle_terminal_out(terminal.clone(), &plate("鲁A1"), park.now()).unwrap();
        Self { park, terminal, datum: Datum::Wgs84 }
    }

    /// So many seconds later it says that it is there.
    fn say(&mut self, after: u64, place: Coordinates, kmh: f64, local: Option<Local>) {
        self.park.wait(Duration::from_secs(after));
        let fix = Fix { at: self.park.mono, position: Some(place), datum: Some(self.datum), kmh: Some(kmh) };
        self.park.hazmat.handle_fix(&self.terminal, None, &fix, local, self.park.now());
        self.park.drain();
    }

    fn told(&mut self) -> Vec<(ViolationKind, Phase)> {
        self.park.take_violations().into_iter().map(|violation| (violation.kind, violation.phase)).collect()
    }
}

#[test]
fn leaving_the_corridor_is_told_after_three_positions_and_over_after_three() {
    let mut ride = Ride::new();
    for n in 0..5 {
        ride.say(5, at(100.0 + f64::from(n) * 20.0, 5.0), 14.0, NOON);
    }
    for east in [220.0, 240.0] {
        ride.say(5, at(east, 60.0), 14.0, NOON);
    }
    assert_eq!(ride.told(), []);
    ride.say(5, at(260.0, 60.0), 14.0, NOON);
    let told = ride.park.take_violations();
    assert_eq!((told[0].kind, told[0].limit), (ViolationKind::OffRoute, Some(0.0)));
    assert!((told[0].value.unwrap() - 50.0).abs() < 1.0 && !told[0].converted);
    assert_eq!(ride.park.facts("鲁A1", Direction::Out, "park", None).route_ok, Some(false));
    for east in [270.0, 280.0] {
        ride.say(5, at(east, 0.0), 14.0, NOON);
    }
    assert_eq!(ride.told(), []);
    ride.say(5, at(290.0, 0.0), 14.0, NOON);
    assert_eq!(ride.told(), [(ViolationKind::OffRoute, Phase::Over)]);
}

#[test]
fn two_positions_half_a_minute_apart_are_enough_where_a_terminal_speaks_seldom() {
    let mut ride = Ride::new();
    ride.say(30, at(100.0, 0.0), 14.0, NOON);
    ride.say(30, at(200.0, 60.0), 14.0, NOON);
    assert_eq!(ride.told(), []);
    ride.say(30, at(300.0, 60.0), 14.0, NOON);
    assert_eq!(ride.told(), [(ViolationKind::OffRoute, Phase::Begins)]);
}

#[test]
fn speed_is_judged_by_what_is_posted_where_it_is() {
    let mut ride = Ride::new();
    let mut east = 500.0;
    let mut drive = |ride: &mut Ride, kmh: f64, times: usize| {
        for _ in 0..times {
            east += kmh / 3.6 * 5.0;
            ride.say(5, at(east, 0.0), kmh, NOON);
        }
    };
    drive(&mut ride, 32.0, 4);
    assert_eq!(ride.told(), [], "within the error of the receiver");
    drive(&mut ride, 34.0, 3);
    assert_eq!(ride.told(), [(ViolationKind::Speeding, Phase::Begins)]);
    drive(&mut ride, 25.0, 3);
    assert_eq!(ride.told(), [(ViolationKind::Speeding, Phase::Over)]);
    drive(&mut ride, 25.0, 8);
    let told = ride.park.take_violations();
    assert_eq!((told[0].kind, told[0].limit), (ViolationKind::Speeding, Some(15.0)), "the second leg is posted at 15");
}

#[test]
fn a_restriction_holds_in_its_hours_over_midnight() {
    let mut ride = Ride::new();
    let minute = |minute| Some(Local { day: 20_000, minute });
    for (local, told) in [
        (minute(21 * 60 + 59), vec![]),
        (minute(23 * 60), vec![(ViolationKind::Restricted, Phase::Begins)]),
        (minute(359), vec![]),
        (minute(360), vec![(ViolationKind::Restricted, Phase::Over)]),
        (None, vec![(ViolationKind::Restricted, Phase::Begins)]),
    ] {
        for n in 0..3 {
            ride.say(20, at(920.0 + f64::from(n) * 30.0, 0.0), 5.0, local);
        }
        assert_eq!(ride.told(), told, "{local:?}");
    }
}

#[test]
fn it_may_stand_in_a_yard_and_nowhere_else() {
    let mut ride = Ride::new();
    for _ in 0..11 {
        ride.say(30, at(300.0, 0.0), 0.0, NOON);
    }
    assert_eq!(ride.told(), [], "five minutes, seen once");
    ride.say(30, at(301.0, 0.0), 0.0, NOON);
    assert_eq!(ride.told(), [(ViolationKind::StoppedOutside, Phase::Begins)]);
    for n in 0..4 {
        ride.say(30, at(400.0 + f64::from(n) * 100.0, 0.0), 12.0, NOON);
    }
    assert_eq!(ride.told(), [(ViolationKind::StoppedOutside, Phase::Over)]);
    for n in 0..14 {
        ride.say(60, at(700.0 + f64::from(n) * 100.0, 0.0), 6.0, NOON);
    }
    for _ in 0..30 {
        ride.say(60, at(2100.0, 0.0), 0.0, NOON);
    }
    assert_eq!(ride.told(), []);
}

#[test]
fn a_position_that_is_not_heard_of_is_lost_and_found() {
    let mut ride = Ride::new();
    ride.say(30, at(100.0, 0.0), 14.0, NOON);
    ride.park.wait(Duration::from_secs(299));
    assert_eq!(ride.told(), []);
    ride.park.wait(Duration::from_secs(1));
    assert_eq!(ride.told(), [(ViolationKind::PositionLost, Phase::Begins)]);
    // What has no fix is not heard of.
    let none = Fix { at: ride.park.mono, position: None, datum: Some(Datum::Wgs84), kmh: None };
    ride.park.hazmat.handle_fix(&ride.terminal, None, &none, NOON, ride.park.now());
    assert_eq!(ride.told(), []);
    ride.park.restart(Duration::from_secs(60));
    ride.say(1, at(100.0, 0.0), 14.0, NOON);
    assert_eq!(ride.told(), [(ViolationKind::PositionLost, Phase::Over)]);
}

#[test]
fn a_jump_is_not_believed_until_others_agree_and_many_are_told() {
    let mut ride = Ride::new();
    ride.say(5, at(100.0, 0.0), 14.0, NOON);
    ride.say(5, at(100.0, 5000.0), 14.0, NOON);
    ride.say(5, at(140.0, 0.0), 14.0, NOON);
    let last = |ride: &Ride| ride.park.hazmat.track(&ride.terminal).unwrap().last().unwrap().1;
    assert_eq!(last(&ride), at(140.0, 0.0));
    ride.say(5, at(160.0, 5000.0), 14.0, NOON);
    ride.say(5, at(170.0, 0.0), 14.0, NOON);
    assert_eq!(ride.told(), []);
    ride.say(5, at(100.0, -7000.0), 14.0, NOON);
    assert_eq!(ride.told(), [(ViolationKind::PositionJump, Phase::Begins)], "three within ten minutes");
    // It was the first position that lied: three that agree with one another are believed.
    for n in 0..3 {
        assert_eq!(last(&ride), at(170.0, 0.0));
        ride.say(5, at(1000.0 + f64::from(n) * 10.0, 3000.0), 14.0, NOON);
    }
    assert_eq!(last(&ride), at(1020.0, 3000.0));
}

#[test]
fn another_datum_is_said_and_never_converted_in_silence() {
    // The map is in GCJ-02, the terminal speaks WGS-84.
    let in_gcj02 = |convert| {
        let mut map = map(Datum::Gcj02);
        let shift = |place: &mut Coordinates| *place = Spot { datum: Datum::Wgs84, at: *place }.to(Datum::Gcj02).at;
        map.routes[0].line.iter_mut().for_each(shift);
        map.yards.clear();
        map.restrictions.clear();
        Ride::under(map, TrackRules { convert, ..TrackRules::default() })
    };
    let mut ride = in_gcj02(false);
    for n in 0..5 {
        ride.say(5, at(100.0 + f64::from(n) * 20.0, 60.0), 14.0, NOON);
    }
    assert_eq!(ride.told(), [(ViolationKind::DatumMismatch, Phase::Begins)], "and the route is not judged");
    let mut ride = in_gcj02(true);
    for n in 0..5 {
        ride.say(5, at(100.0 + f64::from(n) * 20.0, 60.0), 14.0, NOON);
    }
    let told = ride.park.take_violations();
    assert_eq!((told.len(), told[0].kind, told[0].converted), (1, ViolationKind::OffRoute, true));
    assert_eq!(told[0].position.unwrap().datum, Datum::Wgs84, "recorded as the terminal said it");
    assert!((told[0].value.unwrap() - 50.0).abs() < 1.0, "{:?}", told[0].value);
}

#[test]
fn alarms_of_a_terminal_are_told_once_and_over_once() {
    let mut ride = Ride::new();
    let mut position = Position {
        lat_e6: 36_000_000,
        lon_e6: 118_001_000,
        datum: Datum::Wgs84,
        fixed: true,
        speed_dkmh: 140,
        course: 90,
        altitude_m: 10,
        time: None,
        late: false,
        ignition: true,
        alarms: [TerminalAlarm::Sos, TerminalAlarm::Fatigue].into(),
    };
    let say = |ride: &mut Ride, position: &Position| {
        ride.park.wait(Duration::from_secs(10));
        let now = ride.park.now();
        ride.park.hazmat.handle_position(&ride.terminal, None, position, now.mono, NOON, now);
        let told = ride.park.take_violations().into_iter();
        told.map(|violation| (violation.kind, violation.subject.unwrap_or_default(), violation.phase))
            .collect::<Vec<_>>()
    };
    let sos = |phase| (ViolationKind::Sos, "sos".to_owned(), phase);
    let told = say(&mut ride, &position);
    assert_eq!(told, [sos(Phase::Begins), (ViolationKind::DriverAlarm, "fatigue".to_owned(), Phase::Begins)]);
    assert_eq!(say(&mut ride, &position), []);
    ride.park.restart(Duration::from_secs(5));
    assert_eq!(say(&mut ride, &position), [], "nor after a restart");
    position.alarms.remove(&TerminalAlarm::Sos);
    position.late = true;
    assert_eq!(say(&mut ride, &position), [], "what comes late is not judged");
    position.late = false;
    assert_eq!(say(&mut ride, &position), [sos(Phase::Over)]);
    ride.park.hazmat.handle_terminal_back(&ride.terminal, ride.park.now()).unwrap();
    assert_eq!(ride.told(), [(ViolationKind::DriverAlarm, Phase::Over)]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    /// 300 rides of 400 positions: a vehicle that keeps to the rules, with a receiver that jitters by up to 10 m, lies once
    /// in a while by any distance, and is away for a while. Never two lies in a row.
    #[test]
    fn a_receiver_that_jitters_and_lies_never_alarms(
        steps in prop::collection::vec(
            (1u32..40, -10.0..10.0f64, -10.0..10.0f64, prop::option::weighted(0.1, (20.0..9000.0f64, 0.0..6.3f64, 0.0..200.0)), 0u8..60),
            400,
        ),
    ) {
        let mut ride = Ride::new();
        let (mut east, mut lied, mut ahead) = (20.0, false, 1.0);
        for (after, dx, dy, lie, restart) in steps {
            if restart == 0 {
                ride.park.restart(Duration::from_secs(20));
            }
            // 7 to 14 km/h to and fro before the posted leg, and never standing.
            east += ahead * 2.5 * f64::from(after);
            if !(20.0..850.0).contains(&east) {
                ahead = -ahead;
                east += ahead * 5.0 * f64::from(after);
            }
            match lie.filter(|_| !lied) {
                Some((far, angle, kmh)) => {
                    lied = true;
                    ride.say(after.into(), at(east + far * angle.cos(), far * angle.sin()), kmh, NOON);
                }
                None => {
                    lied = false;
                    ride.say(after.into(), at(east + dx, dy), 9.0, NOON);
                }
            }
            // Lies that are not believed are counted, and many of them told; they accuse nobody.
            let other = [ViolationKind::PositionJump, ViolationKind::StayWarning, ViolationKind::Overstay];
            let told: Vec<_> = ride.told().into_iter().filter(|(kind, _)| !other.contains(kind)).collect();
            prop_assert_eq!(told, []);
        }
    }
}

fn card(read: bool, valid_to: (u16, u8, u8)) -> DriverCard {
    let valid_to = Some(valid_to).filter(|_| read);
    DriverCard { inserted: true, time: None, read, digest: None, document: None, valid_to }
}

#[test]
fn a_terminal_that_falls_silent_in_the_park_is_told_until_it_is_heard_or_given_back() {
    use ViolationKind::PositionLost;
    let mut ride = Ride::new();
    let heard = |ride: &mut Ride, on| {
        let now = ride.park.now();
        ride.park.hazmat.handle_heard(&ride.terminal, None, on, now);
        ride.park.drain();
        ride.told()
    };
    assert_eq!(heard(&mut ride, true), []);
    assert_eq!(heard(&mut ride, false), [(PositionLost, Phase::Begins)]);
    assert_eq!(heard(&mut ride, false), [], "told once");
    assert_eq!(heard(&mut ride, true), [(PositionLost, Phase::Over)]);
    assert_eq!(heard(&mut ride, false), [(PositionLost, Phase::Begins)]);
    let now = ride.park.now();
    ride.park.hazmat.handle_terminal_back(&ride.terminal, now).unwrap();
    ride.park.drain();
    assert_eq!(ride.told(), [(PositionLost, Phase::Over)]);
    let stranger = TerminalId::new("T9");
    ride.park.hazmat.handle_heard(&stranger, Some(&plate("鲁B9")), false, now);
    ride.park.drain();
    assert_eq!(ride.told(), [], "its vehicle is not inside");
}

#[test]
fn whose_card_and_which_waybill_a_terminal_has_must_be_those_of_its_vehicle() {
    use ViolationKind::{DriverAlarm, TerminalMismatch};
    let mut ride = Ride::new();
    let (terminal, now) = (ride.terminal.clone(), ride.park.now());
    let driver = waybill("W1", "鲁A1").driver;
    let other = PersonRef::new("somebody");
    let put = |ride: &mut Ride, card: &DriverCard, person: Option<&PersonRef>| {
        ride.park.hazmat.handle_card(&terminal, None, card, person, now);
        ride.park.drain();
        let told = ride.park.take_violations().into_iter();
        told.map(|said| (said.kind, said.phase, said.subject.unwrap())).collect::<Vec<_>>()
    };
    let word = |phase, subject: &str| (DriverAlarm, phase, subject.to_owned());
    let good = card(true, (2999, 12, 31));
    assert_eq!(put(&mut ride, &good, Some(&driver)), []);
    assert_eq!(put(&mut ride, &good, Some(&other)), [word(Phase::Begins, "other_driver")]);
    assert_eq!(put(&mut ride, &good, Some(&driver)), [word(Phase::Over, "other_driver")]);
    assert_eq!(put(&mut ride, &card(false, (0, 0, 0)), None), [word(Phase::Begins, "card_unread")]);
    let old = card(true, (1999, 12, 31));
    let both = [word(Phase::Over, "card_unread"), word(Phase::Begins, "card_expired")];
    assert_eq!(put(&mut ride, &old, Some(&driver)), both);
    assert_eq!(put(&mut ride, &DriverCard { inserted: false, ..old }, None), [word(Phase::Over, "card_expired")]);

    for (text, told) in [
        (r#"{"waybill":"W1"}"#, vec![]),
        (r#"{"waybill":"W12"}"#, vec![(TerminalMismatch, Phase::Begins)]),
        ("运单 W1", vec![(TerminalMismatch, Phase::Over)]),
    ] {
        ride.park.hazmat.handle_shown(&terminal, None, text, now);
        ride.park.drain();
        assert_eq!(ride.told(), told, "{text}");
    }
    ride.park.hazmat.handle_claim(&terminal, None, &plate("鲁A1"), now);
    ride.park.hazmat.handle_claim(&terminal, None, &plate("鲁A2"), now);
    ride.park.drain();
    assert_eq!(ride.told(), [(TerminalMismatch, Phase::Begins)]);
    let saved = ride.park.hazmat.save(now);
    let kept = ride.park.hazmat.take_kept();
    let again = Hazmat::restore(ride.park.hazmat.rules().clone(), saved, kept, now);
    assert_eq!(again.mismatches().collect::<Vec<_>>(), [(&terminal, Mismatch::OtherPlate)]);
}
