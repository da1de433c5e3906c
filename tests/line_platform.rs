//! The end-to-end harness itself, against mosquitto alone: what the stories of the line believe must be true first.
#![expect(clippy::unwrap_used, reason = "a test may")]

mod support;

use parkgate::domain::record::Stream;
use serde_json::{Value, json};
use support::platform::{Manners, Platform, publish_once};
use support::process::Mosquitto;
use support::wait::{SOON, eventually};

fn envelope(lane: &str, seqs: &[(u64, &str)]) -> Vec<u8> {
    let records: Vec<Value> = seqs
        .iter()
        .map(|(seq, counter)| {
            let values: Value = serde_json::from_str(&format!("{{\"D0R0\":{counter},\"D0R1\":5}}")).unwrap();
            json!({"seq": seq, "t": "2026-11-23T08:00:00.120Z", "basis": "poll", "device": "dev-0", "values": values})
        })
        .collect();
    json!({"v": 1, "gateway": "gw-load", "epoch": "01KAAAAAAAAAAAAAAAAAAAAAAA", "boot": 1, "reg": 1,
           "stream": "telemetry", "lane": lane, "clock": "synced", "sent_at": "2026-11-23T08:00:00.150Z",
           "records": records})
    .to_string()
    .into_bytes()
}

#[test]
fn the_platform_of_the_tests_keeps_accounts_and_counters_over_a_broker_restart() {
    let Some(mut broker) = Mosquitto::start() else { return };
    let manners = Manners { acks: true, strict: true };
    let platform = Platform::start(broker.port(), "load-park", "gw-load", &manners);
    let topic = format!("{}/telemetry", platform.base());
    // Until the platform has subscribed, what is published goes nowhere.
    eventually(SOON, "two records", || {
        publish_once(broker.port(), &topic, envelope("live", &[(1, "65534"), (2, "65535")]));
        platform.count(Stream::Telemetry) == 2
    });

    broker.stop();
    broker.resume();
    // The platform subscribes again by itself; until it has, what is published goes nowhere.
    eventually(SOON, "records after the restart", || {
        publish_once(broker.port(), &topic, envelope("history", &[(3, "0"), (4, "null"), (5, "3")]));
        platform.count(Stream::Telemetry) == 5
    });
    let desk = platform.desk();
    let tally = desk.counters.tallies()["dev-0"];
    assert_eq!((tally.received, tally.missing, tally.largest_hole, tally.backwards), (4, 2, 2, 0));
    let closing = desk.account.close([1, 1, 1, 1, 1, 6]);
    assert!(closing.closes(), "{closing:?} {:?}", desk.faults);
    assert_eq!(closing.received, 5);
}

#[test]
fn the_platform_of_the_tests_acknowledges_only_when_told_to() {
    let Some(broker) = Mosquitto::start() else { return };
    let silent = Platform::start(broker.port(), "load-park", "gw-load", &Manners { acks: false, strict: false });
    let (client, mut connection) =
        rumqttc::Client::new(rumqttc::MqttOptions::new("ack-watch", "127.0.0.1", broker.port()), 4);
    client.try_subscribe(format!("{}/ack", silent.base()), rumqttc::QoS::AtLeastOnce).unwrap();
    eventually(SOON, "two records", || {
        publish_once(broker.port(), &format!("{}/telemetry", silent.base()), envelope("live", &[(1, "1"), (2, "2")]));
        silent.count(Stream::Telemetry) == 2
    });
    // The watcher subscribes while nothing is acknowledged; then the platform may.
    for event in connection.iter() {
        match event.unwrap() {
            rumqttc::Event::Incoming(rumqttc::Packet::SubAck(_)) => silent.set_acks(true),
            rumqttc::Event::Incoming(rumqttc::Packet::Publish(ack)) => {
                let ack: Value = serde_json::from_slice(&ack.payload).unwrap();
                assert_eq!(ack["stream"], "telemetry");
                assert_eq!(ack["stored"], json!([[1, 2]]));
                return;
            }
            rumqttc::Event::Incoming(_) | rumqttc::Event::Outgoing(_) => {}
        }
    }
}
