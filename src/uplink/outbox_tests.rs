//! Facts about `outbox.rs`.

use std::sync::Arc;

use serde_json::Value as Json;

use super::super::settings::AckMode;
use super::*;
use crate::domain::codec;
use crate::domain::record::{Body, GapReason, Stream};
use crate::domain::registry::Registry;
use crate::domain::time::{ClockTrust, Timestamp};

const TELEMETRY: Feed = Feed::Stream(Stream::Telemetry);
/// So long that it bounds no message here.
const KEEP_ALIVE: Duration = Duration::from_secs(3600);
const ALARM: Feed = Feed::Stream(Stream::Alarm);

struct Empty;

impl Registries for Empty {
    fn get(&self, rev: u32) -> Option<Arc<Registry>> {
        Some(Arc::new(Registry { rev, devices: Vec::new() }))
    }
}

/// Keeps no revision, and counts how often it is asked.
#[derive(Clone, Default)]
struct Forgetful(Arc<std::sync::atomic::AtomicUsize>);

impl Registries for Forgetful {
    fn get(&self, _rev: u32) -> Option<Arc<Registry>> {
        self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        None
    }
}

fn outbox(max_message: usize) -> Outbox<Empty> {
    outbox_over(Empty, max_message)
}

fn outbox_over<R: Registries>(registries: R, max_message: usize) -> Outbox<R> {
    let limits = Limits { max_message, max_batch_age: Duration::from_millis(10) };
    let ledger = Group { boot: 1, rev: 1, trust: ClockTrust::Synced };
    let feeds = Feed::ALL.map(|feed| {
        let delivery =
            Delivery::new(AckMode::Broker, Duration::from_secs(60), feed.stored_first(), RangeSet::new(), 0, 1);
        if feed == Feed::Gap { delivery.history_only() } else { delivery }
    });
    let mut outbox = Outbox::new(limits, Writer::new(registries, "gw-east", "01K"), ledger, feeds);
    outbox.on_session(Session::Urgent, true);
    outbox.on_session(Session::Bulk, true);
    outbox
}

fn now(ms: u64) -> Now {
    Now { mono: Mono::from_millis(ms), wall: Timestamp(0), trust: ClockTrust::Synced }
}

fn entry(seq: u64, boot: u32, text: &str) -> Entry {
    let registry = Registry { rev: 1, devices: Vec::new() };
    let stamp = Stamp { boot, rev: 1, mono: Mono::from_millis(0), wall: Timestamp(0), trust: ClockTrust::Synced };
    let body = Body::Answer { json: format!("{{\"text\":\"{text}\"}}") };
    Entry { seq, stamp, body: codec::encode(&body, &registry) }
}

fn live<R: Registries>(outbox: &mut Outbox<R>, feed: Feed, entry: Entry, at: u64) {
    let bytes = entry.body.len();
    outbox.feed(feed).on_live(entry.seq, Item::Entry(entry), bytes, Mono::from_millis(at));
}

fn json(message: &Message) -> Json {
    serde_json::from_slice(&message.payload).unwrap()
}

fn seqs(message: &Message) -> Vec<u64> {
    json(message)["records"].as_array().unwrap().iter().map(|r| r["seq"].as_u64().unwrap()).collect()
}

fn empty_flight() -> Flight {
    Flight::new(100, KEEP_ALIVE, Mono::default())
}

#[test]
fn live_records_wait_for_company_no_longer_than_configured() {
    let mut outbox = outbox(64 << 10);
    let flight = empty_flight();
    live(&mut outbox, TELEMETRY, entry(1, 1, "a"), 0);
    live(&mut outbox, TELEMETRY, entry(2, 1, "b"), 5);
    assert!(outbox.next(Session::Bulk, &flight, now(9)).is_none());
    assert_eq!(outbox.next_due(Session::Bulk), Some(Mono::from_millis(10)));
    let message = outbox.next(Session::Bulk, &flight, now(10)).unwrap();
    assert_eq!(seqs(&message), [1, 2]);
    assert!(outbox.next(Session::Bulk, &flight, now(10)).is_none());
}

#[test]
fn an_envelope_never_spans_two_boots() {
    let mut outbox = outbox(64 << 10);
    let flight = empty_flight();
    for (seq, boot) in [(1, 1), (2, 1), (3, 2)] {
        live(&mut outbox, TELEMETRY, entry(seq, boot, "a"), 0);
    }
    let messages: Vec<_> = std::iter::from_fn(|| outbox.next(Session::Bulk, &flight, now(10))).collect();
    assert_eq!(messages.iter().map(seqs).collect::<Vec<_>>(), [vec![1, 2], vec![3]]);
    assert_eq!(json(&messages[1])["boot"], 2);
}

#[test]
fn no_message_is_larger_than_configured() {
    let mut outbox = outbox(4096);
    let flight = empty_flight();
    for (seq, size) in (1..=100).zip((1..).step_by(7)) {
        live(&mut outbox, TELEMETRY, entry(seq, 1, &"x".repeat(size)), 0);
    }
    let messages: Vec<_> = std::iter::from_fn(|| outbox.next(Session::Bulk, &flight, now(10))).collect();
    assert!(messages.iter().all(|m| m.payload.len() <= 4096));
    assert_eq!(messages.iter().flat_map(seqs).collect::<Vec<_>>(), (1..=100).collect::<Vec<_>>());
}

#[test]
fn records_of_a_revision_that_is_not_kept_are_each_told_and_counted_once_and_it_is_looked_for_once() {
    let registries = Forgetful::default();
    let mut outbox = outbox_over(registries.clone(), 4096);
    let flight = empty_flight();
    for seq in 1..=100 {
        live(&mut outbox, TELEMETRY, entry(seq, 1, "a"), 0);
    }
    let messages: Vec<_> = std::iter::from_fn(|| outbox.next(Session::Bulk, &flight, now(10))).collect();
    assert!(messages.len() > 1, "some record was written twice: it did not fit");
    assert_eq!(messages.iter().flat_map(seqs).collect::<Vec<_>>(), (1..=100).collect::<Vec<_>>());
    assert_eq!(outbox.unreadable(), 100);
    assert_eq!(registries.0.load(std::sync::atomic::Ordering::Relaxed), 1);
}

#[test]
fn a_record_larger_than_a_message_travels_in_parts_and_is_delivered_with_the_last() {
    let mut outbox = outbox(4096);
    let flight = empty_flight();
    let text = "罐区-\\\"".repeat(3000).replace("\\\"", "'");
    live(&mut outbox, TELEMETRY, entry(1, 1, &text), 0);
    live(&mut outbox, TELEMETRY, entry(2, 1, "after"), 0);
    let messages: Vec<_> = std::iter::from_fn(|| outbox.next(Session::Bulk, &flight, now(10))).collect();
    let (last, parts) = messages.split_last().unwrap();
    assert_eq!(seqs(last), [2]);
    assert!(parts.len() > 5 && parts.iter().all(|m| m.payload.len() <= 4096 && seqs(m) == [1]));
    let whole: String =
        parts.iter().map(|m| json(m)["records"][0]["part"]["text"].as_str().unwrap().to_owned()).collect();
    let record: Json = serde_json::from_str(&whole).unwrap();
    assert_eq!(record["answer"]["text"], text.as_str());
    for (i, part) in parts.iter().enumerate() {
        let delivered = outbox.on_puback(part.batch, Mono::default());
        assert_eq!(delivered.is_some(), i + 1 == parts.len());
    }
}

#[test]
fn an_alarm_leaves_when_stored_or_after_200_ms_marked() {
    let mut outbox = outbox(64 << 10);
    let flight = empty_flight();
    live(&mut outbox, ALARM, entry(1, 1, "a"), 0);
    live(&mut outbox, ALARM, entry(2, 1, "b"), 0);
    assert!(outbox.next(Session::Urgent, &flight, now(100)).is_none());
    outbox.feed(ALARM).on_committed(1, 3);
    let stored = outbox.next(Session::Urgent, &flight, now(100)).unwrap();
    assert_eq!(seqs(&stored), [1]);
    assert!(json(&stored)["records"][0].get("unstored").is_none());
    assert!(outbox.next(Session::Urgent, &flight, now(199)).is_none());
    let told = outbox.next(Session::Urgent, &flight, now(200)).unwrap();
    assert_eq!(json(&told)["records"][0]["unstored"], true);
}

#[test]
fn live_goes_before_history_and_a_higher_rank_before_a_lower() {
    let mut outbox = outbox(64 << 10);
    let flight = empty_flight();
    outbox.feed(TELEMETRY).on_committed(3, 4);
    outbox.feed(TELEMETRY).settle();
    outbox.feed(TELEMETRY).settle();
    let (feed, read) = outbox.reads(Mono::default()).pop().unwrap();
    let items = (1..=3).map(|s| (s, 1, Item::Entry(entry(s, 1, "old")))).collect();
    outbox.feed(feed).on_page(&read, items, &[], Mono::default());
    live(&mut outbox, TELEMETRY, entry(9, 1, "new"), 0);
    live(&mut outbox, Feed::Stream(Stream::Event), entry(1, 1, "event"), 0);
    let messages: Vec<_> = std::iter::from_fn(|| outbox.next(Session::Bulk, &flight, now(10))).collect();
    let order: Vec<_> = messages.iter().map(|m| (m.feed, m.lane, seqs(m))).collect();
    assert_eq!(
        order,
        [
            (Feed::Stream(Stream::Event), Lane::Live, vec![1]),
            (TELEMETRY, Lane::Live, vec![9]),
            (TELEMETRY, Lane::History, vec![1, 2, 3]),
        ]
    );
}

/// Stores the first record of `feed` and reads it as history.
fn read_first(outbox: &mut Outbox<Empty>, feed: Feed) {
    outbox.feed(feed).on_committed(1, 2);
    outbox.feed(feed).settle();
    outbox.feed(feed).settle();
    let read = outbox.feed(feed).wants_read(Mono::default()).unwrap();
    outbox.feed(feed).on_page(&read, vec![(1, 1, Item::Entry(entry(1, 1, "old")))], &[], Mono::default());
}

#[test]
fn a_planned_end_tells_the_history_of_the_short_feeds_and_leaves_telemetry_to_the_next_start() {
    const REGISTRY: Feed = Feed::Stream(Stream::Registry);
    let mut outbox = outbox(64 << 10);
    let flight = empty_flight();
    read_first(&mut outbox, REGISTRY);
    read_first(&mut outbox, TELEMETRY);
    outbox.drain();
    assert!(!outbox.has_told_short(Session::Bulk));
    let messages: Vec<_> = std::iter::from_fn(|| outbox.next(Session::Bulk, &flight, now(0))).collect();
    assert_eq!(messages.iter().map(|m| (m.feed, seqs(m))).collect::<Vec<_>>(), [(REGISTRY, vec![1])]);
    assert_eq!(outbox.on_puback(messages[0].batch, Mono::default()), Some((REGISTRY, 1)));
    assert!(outbox.has_told_short(Session::Bulk));
}

#[test]
fn the_ledger_travels_as_a_stream_of_its_own() {
    let mut outbox = outbox(64 << 10);
    let flight = empty_flight();
    outbox.feed(Feed::Gap).on_committed(1, 2);
    let (feed, read) = outbox.reads(Mono::default()).pop().unwrap();
    let gap = Gap {
        no: 1,
        stream: Stream::Telemetry,
        seqs: 4..=9,
        from_t: None,
        to_t: Some(Timestamp(5)),
        count: 6,
        exact: true,
        reason: GapReason::Damaged,
    };
    outbox.feed(feed).on_page(&read, vec![(1, 100, Item::Gap(gap))], &[], Mono::default());
    let message = outbox.next(Session::Urgent, &flight, now(0)).unwrap();
    let envelope = json(&message);
    assert_eq!((envelope["stream"].as_str(), envelope["records"][0]["gap"]["to_seq"].as_u64()), (Some("gap"), Some(9)));
    assert_eq!(outbox.on_puback(message.batch, Mono::default()), Some((Feed::Gap, 1)));
    assert_eq!(outbox.feed(Feed::Gap).take_fresh(), [1..=1]);
}

#[test]
fn the_parts_of_a_registry_go_behind_what_is_live_and_keep_the_pace_of_history() {
    const REGISTRY: Feed = Feed::Stream(Stream::Registry);
    let mut outbox = outbox(64 << 10);
    let mut flight = empty_flight();
    live(&mut outbox, REGISTRY, entry(1, 1, &"x".repeat(40_000)), 0);
    live(&mut outbox, REGISTRY, entry(2, 1, "later"), 0);
    live(&mut outbox, TELEMETRY, entry(1, 1, "now"), 0);
    let mut order = Vec::new();
    while let Some(message) = outbox.next(Session::Bulk, &flight, now(10)) {
        order.push((message.feed, message.payload.len()));
        flight.offer(
            super::super::flight::Cargo::Batch(message.batch),
            message.paced,
            message.payload.len(),
            now(10).mono,
        );
    }
    assert_eq!(order[0].0, TELEMETRY);
    let parts: Vec<usize> = order[1..].iter().map(|(feed, bytes)| (*feed == REGISTRY, *bytes)).map(|p| p.1).collect();
    assert!(parts.len() == 2 && parts.iter().sum::<usize>() <= flight.window(), "{order:?}");
    assert_eq!(outbox.next_due(Session::Bulk), None, "the second revision waits for the parts of the first");
    live(&mut outbox, TELEMETRY, entry(2, 1, "now"), 10);
    assert_eq!(outbox.next(Session::Bulk, &flight, now(20)).map(|m| m.feed), Some(TELEMETRY));
}

#[path = "line_tests.rs"]
mod line;
