//! What people do to alarms, and what is refused.

use std::time::Duration;

use super::super::action::{Action, Done};
use super::super::severity::{Priority, Shelving};
use super::super::spec::*;
use super::super::state::{Cause, State};
use super::bench::*;
use crate::domain::actor::{Refused, Role};

const ID: &str = "d0.p0.high";

fn high() -> AlarmSpec {
    let levels =
        vec![level(80.0, Priority::Yellow), Level { shelving: Shelving::SecondPerson, ..level(90.0, Priority::Red) }];
    AlarmSpec { levels, ..alarm(at(0, 0), Condition::High) }
}

fn park() -> Bench {
    Bench::new(book(vec![high()], vec![]))
}

fn words(refused: Result<Done, Refused>) -> String {
    refused.unwrap_err().to_string()
}

#[test]
fn an_acknowledgement_never_meets_a_later_occurrence() {
    let mut park = park();
    park.read(0, good(85.0));
    let first = park.occ(ID);
    park.ack(ID).unwrap();
    park.read(0, good(70.0));
    let late = Action::Ack { alarm: ID.into(), occ: first, seen: None, comment: None };
    assert!(words(park.act(&late, &operator())).contains("已结束"));
    park.read(0, good(85.0));
    assert!(words(park.act(&late, &operator())).contains("not"), "it is for the first");
    assert_eq!(park.state(ID), State::Unacked);
}

#[test]
fn nobody_acknowledges_a_rise_that_he_has_not_seen() {
    let mut park = park();
    park.read(0, good(85.0));
    let seen = park.last().n;
    park.read(0, good(95.0));
    let (alarm, occ) = (ID.to_owned(), park.occ(ID));
    let ack = |seen| Action::Ack { alarm: alarm.clone(), occ, seen: Some(seen), comment: None };
    assert!(words(park.act(&ack(seen), &operator())).contains("raised again"));
    park.act(&ack(seen + 1), &operator()).unwrap();
    assert!(words(park.act(&ack(seen + 1), &operator())).contains("无需确认"));
}

#[test]
fn each_action_needs_its_role() {
    let mut park = park();
    park.read(0, good(85.0));
    let occ = park.occ(ID);
    let auditor = person("审计", &[Role::Auditor, Role::Guard, Role::Admin]);
    let alarm = || ID.to_owned();
    for action in [
        Action::Ack { alarm: alarm(), occ, seen: None, comment: None },
        Action::Reset { alarm: alarm(), occ, comment: None },
        Action::Silence,
        Action::Shelve { alarm: alarm(), time: HOUR, reason: "检修".into() },
        Action::Unshelve { alarm: alarm() },
        Action::OutOfService { alarm: alarm(), time: HOUR, reason: "检修".into() },
        Action::Return { alarm: alarm() },
        Action::Approve { alarm: alarm() },
    ] {
        assert!(words(park.act(&action, &auditor)).contains("role"), "{action:?}");
        let text = serde_json::to_string(&action).unwrap();
        assert_eq!(serde_json::from_str::<Action>(&text).unwrap(), action, "{text}");
    }
    assert_eq!(park.records.len(), 1);
    let shelve = Action::Shelve { alarm: alarm(), time: HOUR, reason: "检修".into() };
    assert!(park.act(&shelve, &operator()).is_err(), "an operator does not shelve");
    assert!(words(park.act(&Action::Approve { alarm: "nix".into() }, &supervisor())).contains("nix"));
}

#[test]
fn the_shelf_ends_by_itself_and_what_is_there_then_is_raised_anew() {
    let mut park = park();
    park.read(0, good(85.0));
    park.ack(ID).unwrap();
    assert_eq!(park.shelve(ID, 8 * HOUR), Ok(Done::Done));
    let record = park.last();
    assert_eq!(
        (record.actor.as_ref().unwrap().name.as_str(), record.comment.as_deref()),
        ("李班长", Some("变送器检修"))
    );
    assert_eq!((record.for_ms, record.beneath), (Some(8 * 3_600_000), Some(State::Acked)));
    assert_eq!(record.until, Some(record.t.after(8 * HOUR)));
    park.read(0, good(70.0));
    park.read(0, good(85.0));
    park.pass(8 * HOUR);
    let path = [
        ('A', 'B', Cause::Active),
        ('B', 'C', Cause::Ack),
        ('C', 'G', Cause::Shelved),
        ('G', 'G', Cause::Clear),
        ('G', 'G', Cause::Active),
        ('G', 'B', Cause::ShelfExpired),
    ];
    assert_eq!(park.path(), path);
}

#[test]
fn what_is_normal_may_be_shelved_and_comes_back_normal() {
    let mut park = park();
    park.read(0, good(10.0));
    park.shelve(ID, HOUR).unwrap();
    park.act(&Action::Unshelve { alarm: ID.into() }, &operator()).unwrap();
    assert_eq!(park.path(), [('A', 'G', Cause::Shelved), ('G', 'A', Cause::Unshelved)]);
    assert!(words(park.act(&Action::Unshelve { alarm: ID.into() }, &operator())).contains("normal"));
}

#[test]
fn the_shelf_is_limited_and_needs_a_reason() {
    let mut park = park();
    assert!(words(park.shelve(ID, 8 * HOUR + SECOND)).contains('8'));
    assert!(words(park.shelve(ID, Duration::ZERO)).contains('0'));
    let no_reason = Action::Shelve { alarm: ID.into(), time: HOUR, reason: "  ".into() };
    assert!(words(park.act(&no_reason, &supervisor())).contains("reason"));
    let long = Action::Shelve { alarm: ID.into(), time: HOUR, reason: "长".repeat(501) };
    assert!(words(park.act(&long, &supervisor())).contains("500"));
    park.shelve(ID, 8 * HOUR).unwrap();
    park.pass(5 * HOUR);
    assert!(words(park.shelve(ID, 8 * HOUR)).contains("12"), "12 h in all");
    park.shelve(ID, 7 * HOUR).unwrap();
    park.pass(7 * HOUR);
    assert_eq!(park.state(ID), State::Normal);
    park.shelve(ID, 8 * HOUR).unwrap();
}

#[test]
fn a_severe_level_lies_on_the_shelf_only_when_two_have_agreed() {
    let mut park = park();
    park.read(0, good(95.0));
    assert_eq!(park.shelve(ID, HOUR), Ok(Done::AwaitsApproval));
    assert_eq!(park.state(ID), State::Unacked);
    assert_eq!(park.alarms.requests(park.now).len(), 1);
    let approve = Action::Approve { alarm: ID.into() };
    assert!(words(park.act(&approve, &supervisor())).contains("who asked"));
    park.pass(HOUR);
    let second = person("赵主任", &[Role::Supervisor]);
    assert!(words(park.act(&approve, &second)).contains("too long ago"));
    park.shelve(ID, HOUR).unwrap();
    park.act(&approve, &second).unwrap();
    let record = park.last();
    assert_eq!((record.to, record.actor.as_ref().unwrap().name.as_str()), (State::Shelved, "李班长"));
    assert_eq!(record.approver.as_ref().unwrap().name, "赵主任");
}

#[test]
fn a_mild_alarm_that_turns_severe_leaves_the_shelf() {
    let mut park = park();
    park.read(0, good(85.0));
    park.shelve(ID, HOUR).unwrap();
    park.read(0, good(95.0));
    let path = &park.path()[1..];
    assert_eq!(path, [('B', 'G', Cause::Shelved), ('G', 'G', Cause::LevelUp), ('G', 'B', Cause::ShelfBroken)]);
    let never = Level { shelving: Shelving::Never, ..level(80.0, Priority::Red) };
    let mut park = Bench::new(book(vec![AlarmSpec { levels: vec![never], ..high() }], vec![]));
    assert!(words(park.shelve(ID, HOUR)).contains("must not"));
}

#[test]
fn out_of_service_takes_two_persons_an_end_and_a_reason() {
    let mut park = park();
    park.read(0, good(85.0));
    let out = |time| Action::OutOfService { alarm: ID.into(), time, reason: "换表".into() };
    assert!(words(park.act(&out(32 * 24 * HOUR), &supervisor())).contains("31"));
    assert_eq!(park.act(&out(48 * HOUR), &supervisor()), Ok(Done::AwaitsApproval));
    park.act(&Action::Approve { alarm: ID.into() }, &person("赵主任", &[Role::Supervisor])).unwrap();
    assert_eq!(park.state(ID), State::OutOfService);
    assert!(words(park.shelve(ID, HOUR)).contains("out of service"));
    park.read(0, good(99.0));
    assert_eq!(park.state(ID), State::OutOfService, "no level brings it back");
    park.pass(48 * HOUR);
    assert_eq!((park.state(ID), park.last().cause), (State::Unacked, Cause::ServiceExpired));
    park.act(&out(HOUR), &supervisor()).unwrap();
    park.act(&Action::Approve { alarm: ID.into() }, &person("赵主任", &[Role::Supervisor])).unwrap();
    park.read(0, good(1.0));
    park.act(&Action::Return { alarm: ID.into() }, &operator()).unwrap();
    assert_eq!(park.state(ID), State::ReturnedUnacked, "it was raised at the expiry, and nobody has acknowledged that");
}

#[test]
fn only_a_latched_alarm_is_reset_and_only_after_its_acknowledgement() {
    let mut park = Bench::new(book(vec![AlarmSpec { latching: true, ..high() }], vec![]));
    park.read(0, good(85.0));
    park.read(0, good(10.0));
    assert!(words(park.reset(ID)).contains("acknowledge it first"));
    park.ack(ID).unwrap();
    park.read(0, good(85.0));
    assert_eq!(park.path().last(), Some(&('F', 'B', Cause::Active)));
    park.ack(ID).unwrap();
    park.read(0, good(10.0));
    park.reset(ID).unwrap();
    assert_eq!(park.state(ID), State::Normal);
    let mut plain = self::park();
    plain.read(0, good(85.0));
    assert!(words(plain.reset(ID)).contains("cannot be done"));
}
