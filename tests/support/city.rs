//! The city's end of the feed, as a plain subscriber of the broker hears it: each record once, by its stream and number.

#![expect(clippy::indexing_slicing, reason = "a test may")]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rumqttc::{Client, Event, MqttOptions, Packet, QoS};
use serde_json::Value;

/// A record as it was told.
#[derive(Clone, Debug)]
pub struct Told {
    /// Trust in its time, as its envelope has it.
    pub clock: String,
    /// The record.
    pub record: Value,
}

/// Everything told, by stream and number.
#[derive(Clone, Debug, Default)]
pub struct City(Arc<Mutex<BTreeMap<(String, u64), Told>>>);

impl City {
    /// Listens to these streams of a gateway of the park `p`. The broker may be away, and may end before the city.
    pub fn listens(port: u16, gateway: &str, streams: &'static [&'static str]) -> Self {
        let city = Self::default();
        let told = Arc::clone(&city.0);
        let mut options = MqttOptions::new(format!("city-{gateway}-{port}"), "127.0.0.1", port);
        options.set_keep_alive(Duration::from_secs(30)).set_max_packet_size(1 << 20, 1 << 20);
        let (client, mut connection) = Client::new(options, 64);
        let feed = format!("parkgate/v1/p/{gateway}");
        std::thread::spawn(move || {
            for event in connection.iter() {
                match event {
                    Ok(Event::Incoming(Packet::ConnAck(_))) => {
                        for stream in streams {
                            client.try_subscribe(format!("{feed}/{stream}"), QoS::AtLeastOnce).unwrap();
                        }
                    }
                    Ok(Event::Incoming(Packet::Publish(publish))) => keep(&mut told.lock().unwrap(), &publish.payload),
                    Ok(_) => {}
                    Err(_) => std::thread::sleep(Duration::from_millis(50)),
                }
            }
        });
        city
    }

    /// What was told on a stream, in the order of its numbers.
    pub fn of(&self, stream: &str) -> Vec<Told> {
        let told = self.0.lock().unwrap();
        told.iter().filter(|((of, _), _)| of == stream).map(|(_, told)| told.clone()).collect()
    }

    /// The numbers of a stream that were told.
    pub fn numbers(&self, stream: &str) -> Vec<u64> {
        let told = self.0.lock().unwrap();
        told.keys().filter(|(of, _)| of == stream).map(|(_, number)| *number).collect()
    }

    /// Objects of a kind on a stream, in the order of their numbers.
    pub fn objects(&self, stream: &str, kind: &str) -> Vec<Value> {
        let told = self.of(stream).into_iter();
        told.filter_map(|told| told.record.get(kind).cloned()).collect()
    }
}

/// Told twice is the same both times.
fn keep(told: &mut BTreeMap<(String, u64), Told>, payload: &[u8]) {
    let envelope: Value = serde_json::from_slice(payload).unwrap();
    let word = |name: &str| envelope[name].as_str().unwrap_or_default().to_owned();
    for mut record in envelope["records"].as_array().cloned().unwrap_or_default() {
        // Whether it was stored by then may differ; it says nothing of what it tells.
        record.as_object_mut().unwrap().remove("unstored");
        let key = (word("stream"), record["seq"].as_u64().unwrap_or_default());
        // The ledger of gaps is sent under the clock of whoever sends it.
        let clock = if key.0 == "gap" { String::new() } else { word("clock") };
        let new = Told { clock, record };
        if let Some(before) = told.insert(key, new.clone()) {
            assert_eq!((before.clock, before.record), (new.clock, new.record), "one number, two records");
        }
    }
}
