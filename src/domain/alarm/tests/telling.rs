//! Who is told, and whether it arrived.

use std::time::Duration;

use super::super::action::Action;
use super::super::severity::Recipient;
use super::super::spec::*;
use super::super::state::{Cause, State};
use super::super::telling::{RECEIPT_WITHIN, RECEIPTS_MAX, RETRY_EVERY};
use super::bench::*;
use crate::domain::order::{OrderKind, Receipt, Urgency};
use crate::domain::phone::Phones;
use crate::domain::record::Mode;

const ID: &str = "d0.p0.high";

fn ladder() -> Escalation {
    let steps = [
        (0, "page", Recipient::ControlRoom),
        (60, "sms", Recipient::ShiftLeader),
        (120, "sms", Recipient::DutyLeader),
        (300, "sms", Recipient::Main),
        (301, "sms", Recipient::Technical),
        (302, "sms", Recipient::Operating),
    ];
    let step =
        |(secs, channel, to): (u64, &str, _)| Step { after: Duration::from_secs(secs), channel: channel.into(), to };
    Escalation { name: "默认".into(), steps: steps.map(step).into() }
}

fn source() -> HazardSource {
    let [main, technical, operating] = ["张总", "钱工", "孙班"].map(str::to_owned);
    HazardSource {
        code: "MH-01".into(), name: "储罐区".into(), main, technical, operating, phones: Phones::default()
    }
}

fn horn_and_lamp() -> Vec<Annunciator> {
    [("horn", Follows::Unacknowledged), ("lamp", Follows::Standing)]
        .map(|(output, follows)| Annunciator {
            output: output.into(),
            channel: output.into(),
            on: "on".into(),
            off: "off".into(),
            follows,
        })
        .into()
}

/// Two alarms that tell, and the alarms of the channels.
fn told_book() -> AlarmBook {
    let told = |ordinal| AlarmSpec {
        escalation: Some(0),
        annunciators: vec![0, 1],
        hazard_source: Some(0),
        response: "启动喷淋".into(),
        ..alarm(at(0, ordinal), Condition::High)
    };
    let channel = |name: &str| of_gateway(&format!("{name}.channel"), Condition::Channel { channel: name.into() });
    AlarmBook {
        escalations: vec![ladder()],
        annunciators: horn_and_lamp(),
        hazard_sources: vec![source()],
        ..book(vec![told(0), told(1), channel("sms"), channel("horn")], vec![])
    }
}

/// Orders since the last look, as `output=value` or `channel: text`; each is answered with `receipt`.
fn orders(park: &mut Bench, receipt: &Receipt) -> Vec<String> {
    let orders = std::mem::take(&mut park.orders);
    for order in &orders {
        park.receipt(&order.key, receipt);
    }
    let word = |what: &OrderKind| match what {
        OrderKind::Output { output, value } => format!("{output}={value}"),
        OrderKind::Message { channel, zh, .. } => format!("{channel}: {zh}"),
        OrderKind::Lane { .. } => panic!("no lane is its business"),
    };
    orders.iter().map(|order| word(&order.what)).collect()
}

/// Lets time pass, every order answered within ten seconds.
fn live(park: &mut Bench, secs: u64, receipt: &Receipt) -> Vec<String> {
    let mut told = Vec::new();
    for _ in 0..secs.div_ceil(10) {
        park.pass(Duration::from_secs(10));
        told.extend(orders(park, receipt));
    }
    told
}

#[test]
fn nobody_acknowledges_so_one_after_the_other_is_told() {
    let mut park = Bench::new(told_book());
    park.read(0, good(30.0));
    let at_once = orders(&mut park, &Receipt::Done);
    assert_eq!(at_once.len(), 3, "{at_once:?}");
    assert!(at_once.iter().any(|order| order.starts_with("page: 【黄色报警】d0.p0 报警（罐区） 30 %LEL")));
    let told = live(&mut park, 120, &Receipt::Sent);
    assert!(told[0].contains("值班长") && told[1].contains("120 秒未确认，请带班领导处置。启动喷淋"), "{told:?}");
    let told = live(&mut park, 600, &Receipt::Sent);
    assert!(told[0].contains("主要负责人 张总") && told[2].contains("操作负责人 孙班"), "{told:?}");
    assert_eq!(told.len(), 3, "then there is nobody left");
    let notes: Vec<_> = park.records.iter().filter_map(|r| Some((r.cause, r.told.as_ref()?))).collect();
    assert_eq!(notes.iter().filter(|(cause, _)| *cause == Cause::Escalated).count(), 6);
    let receipts: Vec<_> =
        notes.iter().filter(|(cause, _)| *cause == Cause::Receipt).map(|(_, told)| told.step).collect();
    assert_eq!(receipts, [1, 2, 3, 4, 5, 6]);
    let of_first: Vec<_> = park.records.iter().map(|record| record.n).collect();
    assert_eq!(of_first, (1..=13).collect::<Vec<_>>(), "notes and transitions count together");
}

#[test]
fn an_acknowledgement_ends_the_ladder_and_a_rise_begins_it_anew() {
    let mut book = told_book();
    book.alarms[0].levels.push(level(50.0, super::super::severity::Priority::Red));
    let mut park = Bench::new(book);
    park.read(0, good(30.0));
    live(&mut park, 30, &Receipt::Done);
    park.ack(ID).unwrap();
    orders(&mut park, &Receipt::Done);
    assert!(live(&mut park, 3600, &Receipt::Done).is_empty());
    park.read(0, good(50.0));
    let told = orders(&mut park, &Receipt::Done);
    assert!(told.iter().any(|order| order.contains("【红色报警】")), "{told:?}");
    park.shelve(ID, HOUR).unwrap();
    orders(&mut park, &Receipt::Done);
    park.pass(Duration::from_secs(1800));
    assert!(park.orders.is_empty(), "nor does it climb on the shelf");
}

#[test]
fn a_channel_that_fails_or_does_not_answer_is_an_alarm_until_it_works() {
    let mut park = Bench::new(told_book());
    park.read(0, good(30.0));
    orders(&mut park, &Receipt::Done);
    park.pass(Duration::from_secs(60));
    let failed = Receipt::Failed("网关拒绝".into());
    orders(&mut park, &failed);
    assert_eq!((park.state("sms.channel"), park.last().cause), (State::Unacked, Cause::Active));
    let note = park.records.iter().rev().find(|record| record.cause == Cause::Receipt).unwrap();
    assert_eq!(note.told.as_ref().unwrap().receipt, Some(failed));
    park.pass(Duration::from_secs(60));
    orders(&mut park, &Receipt::Sent);
    assert_eq!(park.state("sms.channel"), State::ReturnedUnacked);
    park.pass(Duration::from_secs(180));
    park.orders.clear();
    assert_eq!(park.state("sms.channel"), State::ReturnedUnacked);
    park.pass(RECEIPT_WITHIN);
    assert_eq!(park.state("sms.channel"), State::Unacked, "no receipt is no receipt");
    park.receipt("alarm-17-999", &Receipt::Done);
}

#[test]
fn the_horn_sounds_is_silenced_and_sounds_again_for_a_new_alarm() {
    let mut park = Bench::new(told_book());
    let done = Receipt::Done;
    park.read(0, good(30.0));
    assert!(park.orders.iter().take(2).all(|order| order.urgency == Urgency::AtOnce));
    let outputs =
        |park: &mut Bench| orders(park, &done).into_iter().filter(|order| order.contains('=')).collect::<Vec<_>>();
    assert_eq!(outputs(&mut park), ["horn=on", "lamp=on"]);
    park.act(&Action::Silence, &operator()).unwrap();
    assert_eq!(outputs(&mut park), ["horn=off"]);
    park.read(1, good(30.0));
    assert_eq!(outputs(&mut park), ["horn=on"]);
    park.ack(ID).unwrap();
    assert_eq!(outputs(&mut park), [""; 0], "the other one is not acknowledged");
    park.ack("d0.p1.high").unwrap();
    assert_eq!(outputs(&mut park), ["horn=off"]);
    park.read(0, good(3.0));
    park.read(1, good(3.0));
    assert_eq!(outputs(&mut park), ["lamp=off"]);
}

#[test]
fn a_horn_that_fails_is_told_again_and_is_an_alarm() {
    let mut park = Bench::new(told_book());
    park.read(0, good(30.0));
    orders(&mut park, &Receipt::Failed("模块无应答".into()));
    assert_eq!(park.state("horn.channel"), State::Unacked);
    park.pass(RETRY_EVERY);
    let again: Vec<_> = orders(&mut park, &Receipt::Done);
    assert_eq!(again, ["horn=on", "lamp=on"]);
    assert_eq!(park.state("horn.channel"), State::ReturnedUnacked);
    park.pass(RETRY_EVERY + RETRY_EVERY);
    assert!(park.orders.is_empty());
}

#[test]
fn a_horn_that_failed_is_told_again_although_the_configuration_is_reloaded_before() {
    let mut park = Bench::new(told_book());
    let reload = |park: &mut Bench| {
        // The horn is another one of the list now.
        let mut book = told_book();
        book.annunciators.insert(0, Annunciator { output: "new".into(), ..horn_and_lamp().remove(0) });
        book.alarms.iter_mut().flat_map(|alarm| &mut alarm.annunciators).for_each(|index| *index += 1);
        park.alarms.install(book.into(), park.now);
        park.drain();
        park.orders.retain(|order| !matches!(&order.what, OrderKind::Output { output, .. } if output == "new"));
    };
    park.read(0, good(30.0));
    park.orders.retain(|order| matches!(order.what, OrderKind::Output { .. }));
    assert_eq!(orders(&mut park, &Receipt::Failed("模块无应答".into())), ["horn=on", "lamp=on"]);
    park.pass(RETRY_EVERY / 2);
    reload(&mut park);
    assert!(park.orders.is_empty(), "it is not its time yet");
    park.pass(RETRY_EVERY / 2);
    assert_eq!(orders(&mut park, &Receipt::Done), ["horn=on", "lamp=on"]);
    assert_eq!(park.state("horn.channel"), State::ReturnedUnacked);
    park.pass(RETRY_EVERY + RETRY_EVERY);
    assert!(park.orders.is_empty(), "it does as it was told");
}

#[test]
fn a_horn_that_has_not_answered_when_the_configuration_is_reloaded_is_told_again_too() {
    let mut park = Bench::new(told_book());
    park.read(0, good(30.0));
    park.orders.clear();
    park.alarms.install(told_book().into(), park.now);
    park.drain();
    park.pass(RECEIPT_WITHIN);
    assert_eq!(park.state("horn.channel"), State::Unacked, "no receipt is no receipt");
    park.pass(RETRY_EVERY);
    let told = orders(&mut park, &Receipt::Done);
    assert!(told.contains(&"horn=on".to_owned()) && told.contains(&"lamp=on".to_owned()), "{told:?}");
    assert_eq!(park.state("horn.channel"), State::ReturnedUnacked);
}

#[test]
fn a_point_under_loop_test_wakes_nobody() {
    let mut book = told_book();
    book.alarms[0].mode = Mode::Commissioning;
    let mut park = Bench::new(book);
    park.read(0, good(30.0));
    park.pass(HOUR);
    assert!(park.orders.is_empty());
    assert_eq!(
        (park.last().mode, park.last().document(park.now.mono).mode),
        (Mode::Commissioning, Mode::Commissioning)
    );
    // The loop test is done: who is on duty must know of what stands.
    park.alarms.install(told_book().into(), park.now);
    park.drain();
    park.pass(SECOND);
    let told = orders(&mut park, &Receipt::Done);
    assert!(told.contains(&"horn=on".to_owned()) && told.iter().any(|order| order.starts_with("page")), "{told:?}");
}

#[test]
fn a_flood_of_a_thousand_alarms_in_one_poll_loses_none() {
    let one =
        |ordinal| AlarmSpec { escalation: Some(0), annunciators: vec![0], ..alarm(at(0, ordinal), Condition::High) };
    let book = AlarmBook {
        escalations: vec![Escalation { name: "默认".into(), steps: vec![ladder().steps[0].clone(); 5] }],
        annunciators: horn_and_lamp(),
        ..book((0..1000).map(one).collect(), vec![])
    };
    let mut park = Bench::new(book);
    let poll: Vec<_> = (0..1000).map(|ordinal| (ordinal, good(99.0), None)).collect();
    park.read_all(&poll);
    let raised = park.records.iter().filter(|record| record.cause == Cause::Active).count();
    let missed = park.records.iter().filter(|record| record.cause == Cause::Receipt).count();
    assert_eq!((raised, park.orders.len()), (1000, 5001));
    assert_eq!(missed, 5001 - RECEIPTS_MAX - 1, "beyond the bound the oldest counts as missed; the horn's is no step");
    assert_eq!(park.alarms.counts(park.now).last_10_min, 1000);
}
