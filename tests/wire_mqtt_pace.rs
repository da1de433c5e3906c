//! Backlog beside live records: the account and the order are asserted, the figures are printed.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test may")]

#[path = "wire_mqtt/support.rs"]
#[expect(dead_code, reason = "each test file uses its part")]
mod support;

use std::sync::Arc;
use std::time::Duration;

use parkgate::domain::codec;
use parkgate::domain::record::{Entry, Stream};
use parkgate::uplink::Registries;
use parkgate::uplink::payload::Writer;
use parkgate::uplink::settings::{AckMode, Settings};
use support::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_backlog_of_300_000_values_drains_oldest_first_beside_live_records() {
    let dir = tempfile::tempdir().unwrap();
    let Some(mut broker) = Mosquitto::start(dir.path(), "") else { return };
    let mut platform = Platform::start(broker.port, Habit::Acks);
    platform.ready().await;
    let large =
        Settings { max_message_bytes: 64 << 10, max_in_flight: 100, ..settings(broker.port, AckMode::Platform) };
    let mut gateway = Gateway::start(large);
    gateway.all_up().await;
    broker.kill();
    gateway.until("down", |s| s.sessions.iter().all(|s| !s.up)).await;
    for n in 1..=3000 {
        gateway.make(Stream::Telemetry, &wide(n));
    }
    broker.up();
    gateway.all_up().await;
    let began = gateway.clock.mono();
    let (mut n, mut first, mut drained) = (3000, None, None);
    // 5,000 values a second live, until the backlog is gone and a second longer.
    while drained.is_none_or(|at: Duration| gateway.clock.mono().since(began) < at + Duration::from_secs(1)) {
        n += 1;
        gateway.make(Stream::Telemetry, &wide(n));
        tokio::time::sleep(Duration::from_millis(20)).await;
        let took = gateway.clock.mono().since(began);
        let held = platform
            .held
            .lock()
            .unwrap()
            .records
            .range(("telemetry".to_owned(), 1)..=("telemetry".to_owned(), 3000))
            .count();
        first = first.or((held > 0).then_some(took));
        drained = drained.or((held == 3000).then_some(took));
        assert!(took < DEADLINE, "{held} of 3000 after {took:?}");
    }
    gateway.until("all delivered", |s| s.streams[5].delivered == n).await;
    gateway.end().await;
    let held = platform.held.lock().unwrap();
    assert_eq!(held.seqs("telemetry"), up_to(n));
    for lane in ["live", "history"] {
        assert!(held.first_arrivals("telemetry", lane).is_sorted(), "{lane}");
    }
    let mut ages = held.live_ages_ms.clone();
    ages.sort_unstable();
    let at = |p: usize| ages.get(ages.len() * p / 100).copied();
    eprintln!(
        "after the session was back: first history {first:?}, 300,000 values {drained:?}; {} live records, age p50 {:?} ms, p99 {:?} ms",
        ages.len(),
        at(50),
        at(99)
    );
}

struct Book(Arc<parkgate::domain::registry::Registry>);

impl Registries for Book {
    fn get(&self, _rev: u32) -> Option<Arc<parkgate::domain::registry::Registry>> {
        Some(Arc::clone(&self.0))
    }
}

#[tokio::test]
#[ignore = "a figure, taken by hand"]
async fn the_cost_of_writing_a_million_values() {
    let gateway = Gateway::start(settings(1, AckMode::Broker));
    let book = registry(100);
    let entries: Vec<Entry> =
        (0..1000).map(|n| Entry { seq: n, stamp: gateway.stamp(), body: codec::encode(&wide(n), &book) }).collect();
    let mut writer = Writer::new(Book(book), "gw-east", EPOCH);
    let mut bytes = 0;
    let began = gateway.clock.mono();
    for _ in 0..10 {
        let mut out = Vec::with_capacity(64 << 10);
        for entry in &entries {
            out.clear();
            writer.record(&mut out, entry, false);
            bytes += out.len();
        }
    }
    let took = gateway.clock.mono().since(began);
    eprintln!("1,000,000 values: {took:?}, {bytes} bytes, {:?} a value", took / 1_000_000);
}
