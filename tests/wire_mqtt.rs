//! The uplink against mosquitto: outages, order, acknowledgements that are late, lost or garbage, and an orderly end.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test may")]

#[path = "wire_mqtt/support.rs"]
#[expect(dead_code, reason = "each test file uses its part")]
mod support;

#[path = "wire_mqtt/peers.rs"]
mod peers;

use std::time::Duration;

use parkgate::domain::record::{Body, Gap, GapReason, Stream};
use parkgate::uplink::settings::AckMode;
use rumqttc::QoS;
use support::*;

const TELEMETRY: Stream = Stream::Telemetry;

fn answer(n: u64) -> Body {
    Body::Answer { json: format!("{{\"n\":{n}}}") }
}

#[tokio::test(flavor = "multi_thread")]
async fn records_are_delivered_live_and_told_to_the_store() {
    let dir = tempfile::tempdir().unwrap();
    let Some(broker) = Mosquitto::start(dir.path(), "") else { return };
    let mut platform = Platform::start(broker.port, Habit::Acks);
    platform.ready().await;
    let mut gateway = Gateway::start(settings(broker.port, AckMode::Platform));
    gateway.all_up().await;
    for n in 1..=50 {
        gateway.sample(n);
    }
    gateway.make(Stream::Alarm, &answer(1));
    platform.until("51 records", |h| h.records.len() == 51).await;
    gateway.until("all acknowledged", |s| s.streams[5].delivered == 50 && s.streams[0].delivered == 1).await;
    let store = gateway.end().await;
    assert_eq!(store.delivered_now(TELEMETRY).len(), 50);
    platform.until("planned offline", |h| h.states.last().is_some_and(|s| s["state"] == "planned_offline")).await;
    let held = platform.held.lock().unwrap();
    assert!(held.states.iter().any(|s| s["state"] == "online" && s["epoch"] == EPOCH && s["boot"] == 3));
    assert!(held.states.iter().all(|s| s["state"] != "offline"), "an orderly end is no last will");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_killed_and_restarted_costs_no_record_and_no_order() {
    for ack in [AckMode::Platform, AckMode::Broker] {
        let dir = tempfile::tempdir().unwrap();
        // With persistence, or a broker that dies takes what it has acknowledged with it and `ack = "broker"` loses it.
        let extra = format!(
            "persistence true\npersistence_location {}/\nautosave_interval 1\nautosave_on_changes true",
            dir.path().display()
        );
        let extra = if ack == AckMode::Broker { extra.as_str() } else { "" };
        let Some(mut broker) = Mosquitto::start(dir.path(), extra) else { return };
        let mut platform = Platform::start(broker.port, Habit::Acks);
        platform.ready().await;
        let mut gateway = Gateway::start(settings(broker.port, ack));
        gateway.all_up().await;
        let mut n = 0;
        for round in 0..3 {
            for _ in 0..200 {
                n += 1;
                gateway.sample(n);
                if n % 10 == 0 {
                    gateway.make(Stream::Alarm, &answer(n));
                    tokio::time::sleep(Duration::from_millis(2)).await;
                }
            }
            if ack == AckMode::Broker {
                // A broker's word is only as good as the broker: let this one keep it before it dies.
                platform.until("before the kill", |h| h.seqs("telemetry").len() as u64 == n).await;
            }
            broker.kill();
            gateway.until("sessions down", |s| s.sessions.iter().all(|s| !s.up)).await;
            for _ in 0..300 {
                n += 1;
                gateway.sample(n);
            }
            gateway.make(Stream::Alarm, &answer(n + 100_000 + round));
            broker.up();
            gateway.all_up().await;
        }
        platform.until("every record", |h| h.seqs("telemetry") == up_to(n)).await;
        gateway.until("all acknowledged", |s| s.streams[5].delivered == n && s.streams[5].waiting == 0).await;
        gateway.end().await;
        let held = platform.held.lock().unwrap();
        assert_eq!(held.seqs("alarm"), up_to(63));
        assert!(held.contradictions.is_empty(), "{:?}", held.contradictions);
        assert!(held.largest <= 16 << 10);
        for lane in ["live", "history"] {
            let arrivals = held.first_arrivals("telemetry", lane);
            assert!(arrivals.is_sorted(), "{lane} {arrivals:?}");
        }
        let text = |n: u64| held.records[&("telemetry".to_owned(), n)]["values"]["TT000"].as_u64().unwrap();
        assert!((1..=n).all(|i| text(i) == i), "a record holds another's value");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_broker_has_and_the_platform_does_not_is_sent_again_with_the_same_number() {
    let dir = tempfile::tempdir().unwrap();
    let Some(broker) = Mosquitto::start(dir.path(), "") else { return };
    let mut platform = Platform::start(broker.port, Habit::Silent);
    platform.ready().await;
    let mut gateway = Gateway::start(parkgate::uplink::settings::Settings {
        ack_timeout: Duration::from_secs(1),
        ..settings(broker.port, AckMode::Platform)
    });
    gateway.all_up().await;
    for n in 1..=5 {
        gateway.sample(n);
    }
    platform.until("each twice", |h| (1..=5).all(|n| h.arrivals.iter().filter(|a| a.2 == n).count() >= 2)).await;
    assert_eq!(gateway.status.borrow().streams[5].delivered, 0);
    platform.habit.send_replace(Habit::Acks);
    gateway.until("delivered", |s| s.streams[5].delivered == 5 && s.streams[5].resent >= 5).await;
    gateway.end().await;
    assert!(platform.held.lock().unwrap().contradictions.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_and_monsters_on_the_ack_topic_are_refused_counted_and_stop_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let Some(broker) = Mosquitto::start(dir.path(), "") else { return };
    let mut platform = Platform::start(broker.port, Habit::Silent);
    platform.ready().await;
    let mut gateway = Gateway::start(settings(broker.port, AckMode::Platform));
    gateway.all_up().await;
    gateway.sample(1);
    platform.until("one", |h| h.records.len() == 1).await;
    platform.ack("hello").await;
    platform.ack([0xff, 0x00, 0x7b]).await;
    platform.ack("{\"epoch\":\"01KOTHER\",\"stream\":\"telemetry\",\"stored\":[[1,1]]}").await;
    platform.ack(format!("{{\"epoch\":\"{EPOCH}\",\"stream\":\"weather\",\"stored\":[[1,1]]}}")).await;
    platform.ack(format!("{{\"epoch\":\"{EPOCH}\",\"stream\":\"telemetry\",\"stored\":[[9,1]]}}")).await;
    platform.ack(format!("{{\"epoch\":\"{EPOCH}\",\"stream\":\"telemetry\",\"stored\":[[2,9]]}}")).await;
    // Retained, so that it comes again with each subscription.
    let ten_megabytes = vec![b'x'; 10 << 20];
    platform.client.publish(format!("{BASE}/ack"), QoS::AtLeastOnce, true, ten_megabytes).await.unwrap();
    for (reason, n) in [
        ("ack_garbage", 2),
        ("ack_epoch", 1),
        ("ack_stream", 1),
        ("ack_reversed", 1),
        ("ack_unsent", 1),
        ("oversized", 1),
    ] {
        gateway.until_refused(reason, n).await;
    }
    assert_eq!(gateway.status.borrow().streams[5].delivered, 0);
    platform.habit.send_replace(Habit::Acks);
    for n in 2..=100 {
        gateway.sample(n);
    }
    platform.until("all", |h| h.records.len() == 100).await;
    platform.ack(format!("{{\"epoch\":\"{EPOCH}\",\"stream\":\"telemetry\",\"stored\":[[1,1]]}}")).await;
    gateway.until("delivered", |s| s.streams[5].delivered == 100).await;
    assert!(gateway.status.borrow().sessions.iter().all(|s| s.attempts == 1), "no connection was lost over it");
    gateway.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retained_message_beyond_every_limit_does_not_stop_the_delivery() {
    let dir = tempfile::tempdir().unwrap();
    let Some(broker) = Mosquitto::start(dir.path(), "") else { return };
    let mut platform = Platform::start(broker.port, Habit::Silent);
    platform.ready().await;
    platform.client.publish(format!("{BASE}/ack"), QoS::AtLeastOnce, true, vec![b'x'; 20 << 20]).await.unwrap();
    platform.ack("after").await;
    let mut gateway = Gateway::start(settings(broker.port, AckMode::Broker));
    gateway
        .until("the session fell over it and came back", |s| s.sessions.get(1).is_some_and(|s| s.up && s.attempts >= 2))
        .await;
    for n in 1..=20 {
        gateway.sample(n);
    }
    gateway.until("delivered", |s| s.streams[5].delivered == 20).await;
    gateway.until_refused("oversized", 1).await;
    gateway.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn gaps_are_sent_until_acknowledged_and_lost_numbers_do_not_stop_history() {
    let dir = tempfile::tempdir().unwrap();
    let Some(broker) = Mosquitto::start(dir.path(), "") else { return };
    let store = Memory::new();
    let mut platform = Platform::start(broker.port, Habit::Silent);
    platform.ready().await;
    let first = Gateway::with(settings(1, AckMode::Platform), store.clone(), std::sync::Arc::new(Ids::default()));
    for n in 1..=30 {
        first.sample(n);
    }
    first.end().await;
    for seq in 10..=19 {
        store.lose(TELEMETRY, seq);
    }
    store.add_gap(Gap {
        no: 1,
        stream: TELEMETRY,
        seqs: 10..=19,
        from_t: None,
        to_t: Some(wall()),
        count: 10,
        exact: true,
        reason: GapReason::Damaged,
    });
    let quick = parkgate::uplink::settings::Settings {
        ack_timeout: Duration::from_secs(1),
        ..settings(broker.port, AckMode::Platform)
    };
    let mut gateway = Gateway::with(quick, store.clone(), std::sync::Arc::new(Ids::default()));
    platform.until("the gap, twice", |h| h.arrivals.iter().filter(|a| a.0 == "gap").count() >= 2).await;
    store.add_gap(Gap {
        no: 2,
        stream: Stream::Event,
        seqs: 1..=1,
        from_t: None,
        to_t: None,
        count: 1,
        exact: false,
        reason: GapReason::CrashUncommitted,
    });
    platform.habit.send_replace(Habit::Acks);
    platform.until("both gaps", |h| h.seqs("gap") == up_to(2)).await;
    gateway.until("history around the hole", |s| s.streams[5].delivered == 20 && s.streams[5].waiting == 0).await;
    eventually("gaps told to the store", || async { store.gaps_delivered_now().len() == 2 }).await;
    let held = platform.held.lock().unwrap().records[&("gap".to_owned(), 1)].clone();
    assert_eq!((&held["gap"]["from_seq"], &held["gap"]["reason"]), (&10.into(), &"damaged".into()));
    gateway.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alarm_that_the_store_does_not_take_is_told_all_the_same_and_marked() {
    let dir = tempfile::tempdir().unwrap();
    let Some(broker) = Mosquitto::start(dir.path(), "") else { return };
    let mut platform = Platform::start(broker.port, Habit::Acks);
    platform.ready().await;
    let mut gateway = Gateway::start(settings(broker.port, AckMode::Platform));
    gateway.all_up().await;
    gateway.make_unstored(Stream::Alarm, &answer(1));
    gateway.until("delivered", |s| s.streams[0].delivered == 1).await;
    let envelope = platform.held.lock().unwrap().envelopes.iter().find(|e| e.0.ends_with("/alarm")).unwrap().1.clone();
    let envelope: serde_json::Value = serde_json::from_slice(&envelope).unwrap();
    assert_eq!(envelope["records"][0]["unstored"], true);
    gateway.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_hangs_is_noticed_and_nothing_is_lost() {
    let dir = tempfile::tempdir().unwrap();
    let Some(broker) = Mosquitto::start(dir.path(), "") else { return };
    let mut platform = Platform::start(broker.port, Habit::Acks);
    platform.ready().await;
    let mut gateway = Gateway::start(settings(broker.port, AckMode::Platform));
    gateway.all_up().await;
    gateway.sample(1);
    gateway.until("one", |s| s.streams[5].delivered == 1).await;
    broker.signal(nix::sys::signal::Signal::SIGSTOP);
    let began = gateway.clock.mono();
    gateway.sample(2);
    gateway.until("noticed", |s| s.sessions.iter().all(|s| !s.up)).await;
    let took = gateway.clock.mono().since(began);
    broker.signal(nix::sys::signal::Signal::SIGCONT);
    gateway.until("delivered", |s| s.streams[5].delivered == 2).await;
    eprintln!("a hung broker was noticed after {took:?} at a keep-alive of 5 s");
    gateway.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_dies_leaves_its_last_will() {
    let dir = tempfile::tempdir().unwrap();
    let Some(broker) = Mosquitto::start(dir.path(), "") else { return };
    let mut platform = Platform::start(broker.port, Habit::Acks);
    platform.ready().await;
    let mut gateway = Gateway::start(settings(broker.port, AckMode::Platform));
    gateway.all_up().await;
    platform.until("online", |h| h.states.last().is_some_and(|s| s["state"] == "online")).await;
    gateway.task.abort();
    platform.until("offline", |h| h.states.last().is_some_and(|s| s["state"] == "offline" && s["boot"] == 3)).await;
}
