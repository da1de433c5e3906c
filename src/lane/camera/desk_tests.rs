//! Stories of the desk: what may open, and that nothing else does.

#![expect(clippy::wildcard_enum_match_arm, reason = "a test looks at what it is about")]

use std::time::Duration;

use proptest::prelude::*;

use super::super::Wired;
use super::super::auth::Auth;
use super::*;
use crate::domain::gate::hardware::Input;
use crate::domain::gate::plate::{Plate, PlateColour};
use crate::domain::gate::presented::PlateRead;
use crate::domain::gate::word::{Direction, LaneId};
use crate::lane::coding::Key;
use crate::lane::vzenith::answer::{Fire, moves};

const WALL: i64 = 1_772_337_600_000;

fn at(ms: u64) -> Now {
    let wall = Timestamp(WALL + i64::try_from(ms).unwrap());
    Now { mono: Mono::from_millis(ms), wall, trust: ClockTrust::Synced }
}

fn camera() -> Camera {
    Camera {
        device: "cam-1".to_owned(),
        lane: LaneId::new("east-in"),
        make: Make::Vzenith,
        serial: "abc-1".to_owned(),
        looks: Some(Direction::In),
        min_confidence: 80,
        answer_within: Duration::from_millis(1500),
        max_age: Some(Duration::from_secs(10)),
        silent_after: Duration::from_secs(15),
        fire: Some(Fire::Plain),
        inputs: BTreeMap::from([(1, Wired { input: Input::UnderArm, closed_at_rest: true })]),
        auth: Auth::Hmac { key: Key::new(b"key") },
        address: None,
    }
}

fn plate(number: u64, ms: u64) -> PlatePush {
    let plate = Some(Plate::new("皖R12345", PlateColour::Blue));
    PlatePush {
        number,
        read: PlateRead { plate, confidence: 97, fake: false, exempt: false },
        offline: false,
        moved: None,
        sec: Some((WALL + i64::try_from(ms).unwrap()) / 1000),
        opened_by_camera: false,
        pictures: Vec::new(),
    }
}

fn of(number: u64) -> CameraEvent {
    CameraEvent { serial: "abc-1".to_owned(), number }
}

fn open(number: u64, not_after: u64) -> LaneCommand {
    let act = Act::Open { answers: Some(of(number)) };
    LaneCommand {
        key: format!("k{number}"),
        lane: LaneId::new("east-in"),
        act,
        not_after: Mono::from_millis(not_after),
    }
}

/// A desk with what came out of it.
struct Scene {
    desk: Desk,
    tickets: u64,
}

impl Scene {
    fn new() -> Self {
        let mut desk = Desk::new(vec![camera()], Vec::new(), at(0));
        while desk.poll_output().is_some() {}
        Self { desk, tickets: 0 }
    }

    fn push(&mut self, what: What, ms: u64) -> Vec<Output> {
        self.tickets += 1;
        let push = Push { serial: "abc-1".to_owned(), what };
        assert!(self.desk.handle_push("cam-1", push, self.tickets, true, at(ms)));
        self.drain()
    }

    fn plate(&mut self, plate: PlatePush, ms: u64) -> Vec<Output> {
        self.push(What::Plate(Box::new(plate)), ms)
    }

    fn command(&mut self, command: LaneCommand, ms: u64) -> Vec<Output> {
        self.desk.handle_command(command, at(ms));
        self.drain()
    }

    fn drain(&mut self) -> Vec<Output> {
        std::iter::from_fn(|| self.desk.poll_output()).collect()
    }
}

fn reads(out: &[Output]) -> Vec<&PlateSeen> {
    let mut reads = Vec::new();
    for one in out {
        if let Output::Event(LaneEvent { what: Seen::Plate(seen), .. }) = one {
            reads.push(seen);
        }
    }
    reads
}

fn answers(out: &[Output]) -> Vec<&Answer> {
    let mut answers = Vec::new();
    for one in out {
        if let Output::Answer(answer) = one {
            answers.push(answer);
        }
    }
    answers
}

fn carried(out: &[Output]) -> Vec<&Carried> {
    let mut carried = Vec::new();
    for one in out {
        if let Output::Receipt(receipt) = one {
            carried.push(&receipt.carried);
        }
    }
    carried
}

#[test]
fn an_allowed_live_read_is_answered_once_with_what_opens() {
    let mut scene = Scene::new();
    let out = scene.plate(plate(7, 0), 0);
    assert!(reads(&out)[0].live && reads(&out)[0].flags.is_empty());
    assert!(answers(&out).is_empty(), "the answer waits for the decision");
    assert!(
        matches!(out.iter().find(|one| matches!(one, Output::Remember(..))), Some(Output::Remember(seen, _)) if seen.event == of(7))
    );
    let out = scene.command(open(7, 3000), 200);
    let moving = answers(&out)[0].moving.clone().unwrap();
    assert_eq!(moving.body, r#"{"Response_AlarmInfoPlate":{"info":"ok","content":"retransfer_stop"}}"#);
    assert!(carried(&out).is_empty(), "not before it has gone out");
    scene.desk.handle_handed(1, true, at(201));
    assert_eq!(carried(&scene.drain()), [&Carried::Sent]);
    let again = scene.command(open(7, 3000), 300);
    assert_eq!((answers(&again).len(), carried(&again)), (0, vec![&Carried::Expired]));
}

/// `domain.md` A20, scenario 7.
#[test]
fn four_resends_of_one_event_are_one_passage_and_move_nothing() {
    let mut scene = Scene::new();
    scene.plate(plate(7, 0), 0);
    scene.command(open(7, 3000), 100);
    for resend in 1..=4 {
        let out = scene.plate(plate(7, 0), resend * 1000);
        assert!(reads(&out).is_empty());
        assert_eq!(answers(&out)[0].still, r#"{"Response_AlarmInfoPlate":{"info":"no","content":"retransfer_stop"}}"#);
        assert_eq!(answers(&out)[0].moving, None);
    }
    assert_eq!((scene.desk.counts().plates, scene.desk.counts().resent), (5, 4));
}

#[test]
fn a_resend_while_the_first_waits_is_answered_at_once_and_the_first_keeps_its_right() {
    let mut scene = Scene::new();
    scene.plate(plate(7, 0), 0);
    let resend = scene.plate(plate(7, 0), 500);
    assert_eq!((answers(&resend)[0].ticket, &answers(&resend)[0].moving), (2, &None));
    let out = scene.command(open(7, 3000), 600);
    assert_eq!(answers(&out)[0].ticket, 1);
}

/// `domain.md` A20, scenario 8.
#[test]
fn two_hundred_offline_records_are_entered_late_and_move_nothing() {
    let mut scene = Scene::new();
    for number in 0..200 {
        let record = PlatePush { offline: true, ..plate(number, 0) };
        let out = scene.plate(record.clone(), 10_800_000 + number);
        let seen = reads(&out)[0];
        assert!(seen.offline && !seen.live && seen.device_time == Some(Timestamp(WALL)));
        let still = format!(
            r#"{{"Response_AlarmInfoPlate":{{"info":"no","content":"retransfer_stop","ContinuePushOffline":{{"plateid":{number},"continue":1}}}}}}"#
        );
        assert_eq!((answers(&out)[0].still.as_str(), &answers(&out)[0].moving), (still.as_str(), &None));
        let doubled = scene.plate(record, 10_800_000 + number);
        assert_eq!((reads(&doubled).len(), answers(&doubled)[0].still.as_str()), (0, still.as_str()));
        assert_eq!(carried(&scene.command(open(number, u64::MAX), 10_800_001 + number)), [&Carried::Expired]);
    }
    assert_eq!(scene.desk.counts().offline, 200);
}

#[test]
fn the_answer_waits_to_its_limit_and_a_decision_after_it_opens_nothing() {
    let mut scene = Scene::new();
    scene.plate(plate(7, 0), 0);
    assert_eq!(scene.desk.poll_timeout(), Some(Mono::from_millis(1500)));
    scene.desk.handle_timeout(at(1500));
    let out = scene.drain();
    assert_eq!((answers(&out)[0].still.as_str(), &answers(&out)[0].moving), (NO_MOVE, &None));
    let late = scene.command(open(7, 3000), 1501);
    assert_eq!((answers(&late).len(), carried(&late)), (0, vec![&Carried::Expired]));
    assert_eq!(scene.desk.counts().undecided, 1);
}

#[test]
fn a_command_that_is_too_old_answers_without_moving() {
    let mut scene = Scene::new();
    scene.plate(plate(7, 0), 0);
    let out = scene.command(open(7, 400), 401);
    assert_eq!((&answers(&out)[0].moving, carried(&out)), (&None, vec![&Carried::Expired]));
}

#[test]
fn a_command_of_another_lane_does_not_open_this_one() {
    let mut scene = Scene::new();
    scene.plate(plate(7, 0), 0);
    let out = scene.command(LaneCommand { lane: LaneId::new("west-in"), ..open(7, 3000) }, 100);
    assert_eq!((answers(&out).len(), carried(&out)), (0, vec![&Carried::Expired]));
    assert!(answers(&scene.command(open(7, 3000), 200))[0].moving.is_some(), "its own lane's still does");
}

#[test]
fn a_refused_read_is_answered_at_once() {
    let mut scene = Scene::new();
    scene.plate(plate(7, 0), 0);
    let dismiss = LaneCommand { act: Act::Dismiss { answers: of(7) }, ..open(7, 3000) };
    let out = scene.command(dismiss, 50);
    assert_eq!((answers(&out)[0].still.as_str(), &answers(&out)[0].moving), (NO_MOVE, &None));
    assert_eq!(carried(&out), [&Carried::Sent]);
}

#[test]
fn a_camera_that_hung_up_is_a_failed_command_not_a_movement() {
    let mut scene = Scene::new();
    scene.plate(plate(7, 0), 0);
    scene.command(open(7, 3000), 100);
    scene.desk.handle_gone(1, at(101));
    assert!(matches!(carried(&scene.drain())[0], Carried::Failed(_)));
    scene.plate(plate(8, 0), 200);
    scene.desk.handle_gone(2, at(300));
    assert_eq!(carried(&scene.command(open(8, 3000), 400)), [&Carried::Expired]);
}

#[test]
fn a_restart_remembers_and_a_camera_that_counts_anew_is_heard() {
    let remembered = vec![Remembered { event: of(7), sec: Some(WALL / 1000) }];
    let mut desk = Desk::new(vec![camera()], remembered, at(0));
    while desk.poll_output().is_some() {}
    let mut scene = Scene { desk, tickets: 0 };
    let resend = scene.plate(plate(7, 0), 3000);
    assert_eq!((reads(&resend).len(), &answers(&resend)[0].moving), (0, &None));
    let anew = scene.plate(plate(7, 100_000), 100_000);
    assert!(reads(&anew)[0].live);
}

#[test]
fn what_is_wrong_with_a_read_goes_on_with_it() {
    let mut scene = Scene::new();
    let mut odd = plate(1, 0);
    odd.read =
        PlateRead { plate: Some(Plate::new("皖R1234", PlateColour::Blue)), confidence: 79, fake: true, exempt: false };
    let out = scene.plate(odd, 0);
    let flags: Vec<ReadFlag> = reads(&out)[0].flags.iter().copied().collect();
    assert_eq!(flags, [ReadFlag::Impossible, ReadFlag::Fake, ReadFlag::LowConfidence]);
    let mut none = plate(2, 0);
    none.read.plate = None;
    assert_eq!(reads(&scene.plate(none, 0))[0].flags, BTreeSet::from([ReadFlag::NoPlate]));
}

#[test]
fn an_old_read_and_one_without_a_proven_time_are_not_live() {
    let mut scene = Scene::new();
    let out = scene.plate(plate(1, 0), 11_000);
    assert!(!reads(&out)[0].live && answers(&out)[0].moving.is_none());
    let off = scene.plate(plate(2, 0), 40_000);
    assert!(reads(&off)[0].flags.contains(&ReadFlag::ClockOff));
    let push = Push { serial: "abc-1".to_owned(), what: What::Plate(Box::new(plate(3, 50_000))) };
    assert!(scene.desk.handle_push("cam-1", push, 99, false, at(50_000)));
    assert!(!reads(&scene.drain())[0].live);
}

#[test]
fn what_a_vehicle_did_then_is_told_and_waits_for_nothing() {
    let mut scene = Scene::new();
    let back = PlatePush { moved: Some(crate::domain::gate::hardware::Moved::TurnedBack), ..plate(9, 0) };
    let out = scene.plate(back, 0);
    assert!(out.iter().any(|one| matches!(one, Output::Event(LaneEvent { what: Seen::Moved { .. }, .. }))));
    assert_eq!(answers(&out).len(), 1);
}

#[test]
fn a_silent_camera_has_dead_inputs_until_it_says_them_again() {
    let mut scene = Scene::new();
    let inputs = |out: &[Output]| -> Vec<Option<bool>> {
        let input = |one: &Output| match one {
            Output::Event(LaneEvent { what: Seen::Input { on, .. }, .. }) => Some(*on),
            _ => None,
        };
        out.iter().filter_map(input).collect()
    };
    assert_eq!(inputs(&scene.push(What::Input { source: 1, on: true }, 0)), [Some(false)], "closed at rest");
    assert_eq!(inputs(&scene.push(What::Heartbeat, 5000)), [Some(false)], "said again");
    assert_eq!(scene.desk.poll_timeout(), Some(Mono::from_millis(20_000)));
    scene.desk.handle_timeout(at(20_000));
    let out = scene.drain();
    assert_eq!(inputs(&out), [None]);
    assert!(out.iter().any(|one| matches!(one, Output::Event(LaneEvent { what: Seen::Device { up: false, .. }, .. }))));
    assert_eq!(inputs(&scene.push(What::Heartbeat, 30_000)), [], "still dead");
    assert_eq!(inputs(&scene.push(What::Input { source: 1, on: false }, 31_000)), [Some(true)]);
}

#[test]
fn a_strangers_push_is_none_of_ours() {
    let mut scene = Scene::new();
    let push = Push { serial: "other".to_owned(), what: What::Heartbeat };
    assert!(!scene.desk.handle_push("cam-1", push.clone(), 1, true, at(0)));
    assert!(!scene.desk.handle_push("cam-2", push, 1, true, at(0)));
    assert_eq!((scene.desk.counts().strangers, scene.drain().len()), (1, 0));
}

#[test]
fn a_camera_that_is_not_believed_says_why_it_is_down_and_nobody_takes_a_camera_down_by_a_wrong_password() {
    let mut scene = Scene::new();
    scene.drain();
    let whys = |out: &[Output]| -> Vec<(bool, String)> {
        let told = |one: &Output| match one {
            Output::Event(LaneEvent { what: Seen::Device { up, why, .. }, .. }) => Some((*up, why.clone())),
            _ => None,
        };
        out.iter().filter_map(told).collect()
    };
    let down = |why: TurnedAway| (false, why.as_str().to_owned());
    assert!(scene.desk.handle_turned_away("cam-1", TurnedAway::Wrong, at(0)));
    assert_eq!(whys(&scene.drain()), [down(TurnedAway::Wrong)]);
    assert!(!scene.desk.handle_turned_away("cam-1", TurnedAway::Wrong, at(10)), "told once");
    assert!(scene.desk.handle_turned_away("cam-1", TurnedAway::Stranger, at(20)), "another mistake is another word");
    assert_eq!(whys(&scene.drain()), [down(TurnedAway::Stranger)]);
    assert_eq!(whys(&scene.push(What::Heartbeat, 30)), [(true, String::new())]);
    assert!(scene.desk.handle_turned_away("cam-1", TurnedAway::Wrong, at(40)));
    assert_eq!(whys(&scene.drain()), [], "it is heard: that may be somebody else");
    scene.desk.handle_timeout(at(60_000));
    assert_eq!(whys(&scene.drain()), [down(TurnedAway::Wrong)], "it was not");
    assert!(!scene.desk.handle_turned_away("cam-2", TurnedAway::Wrong, at(50)), "no such camera");
}

#[test]
fn memory_of_events_is_bounded_and_says_what_it_forgets() {
    let mut scene = Scene::new();
    let mut forgotten = Vec::new();
    for number in 0..u64::try_from(SEEN).unwrap() + 3 {
        for one in scene.plate(PlatePush { offline: true, ..plate(number, 0) }, 0) {
            if let Output::Remember(_, forget) = one {
                forgotten.extend(forget);
            }
        }
    }
    assert_eq!(forgotten, [of(0), of(1), of(2)]);
    assert_eq!(scene.desk.cameras["cam-1"].seen.len(), SEEN);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever comes in whatever order, with restarts: an event is answered with what moves at most once, only while its
    /// command lives, never for an offline record; and every push is answered once.
    #[test]
    fn no_event_opens_twice(
        steps in prop::collection::vec((0_u8..8, 0_u64..4, any::<bool>(), 0_u64..1200), 1..60),
    ) {
        let mut scene = Scene::new();
        let (mut ms, mut opened, mut kept) = (0, BTreeMap::new(), Vec::new());
        let (mut asked, mut answered) = (BTreeSet::new(), BTreeSet::new());
        for (what, number, flag, wait) in steps {
            ms += wait;
            let out = match what {
                0..=2 => {
                    let out = scene.plate(PlatePush { offline: flag && number == 3, ..plate(number, 0) }, ms);
                    asked.insert(scene.tickets);
                    out
                }
                3 | 4 => scene.command(open(number, ms + 100), ms),
                5 => scene.command(open(number, ms.saturating_sub(1)), ms),
                6 => { scene.desk.handle_timeout(at(ms)); scene.drain() }
                _ => {
                    scene.desk = Desk::new(vec![camera()], kept.clone(), at(ms));
                    asked.clear();
                    answered.clear();
                    scene.drain()
                }
            };
            for one in out {
                match one {
                    Output::Answer(answer) => {
                        prop_assert!(!moves(&answer.still));
                        prop_assert!(answered.insert(answer.ticket), "answered twice");
                        if let Some(moving) = answer.moving {
                            prop_assert!(moves(&moving.body));
                            prop_assert!(moving.not_after >= Mono::from_millis(ms));
                            *opened.entry(moving.event.number).or_insert(0) += 1;
                            scene.desk.handle_handed(answer.ticket, true, at(ms));
                        }
                    }
                    Output::Remember(seen, _) => kept.push(seen),
                    Output::Event(_) | Output::Receipt(_) | Output::Picture(_) => {}
                }
            }
        }
        prop_assert!(opened.values().all(|times| *times == 1), "{opened:?}");
        scene.desk.handle_timeout(at(ms + 10_000));
        for one in scene.drain() {
            if let Output::Answer(answer) = one {
                answered.insert(answer.ticket);
            }
        }
        prop_assert!(asked.is_subset(&answered), "a push without an answer");
    }
}
