//! The city's hand: commands signed with its key, and the answers to them as they come on the event stream.

#![expect(clippy::indexing_slicing, reason = "a test may")]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rumqttc::{Client, Event, MqttOptions, Packet, QoS};
use serde_json::Value;

use crate::support::platform::publish_once;
use crate::support::wait::{SOON, eventually, wall_ms};

/// Key and issuer of its commands.
pub(super) const ISSUER: &str = "city";
/// The secret, as it stands in the file of the key.
pub(super) const SECRET: &str = "0123456789abcdef0123456789abcdef";
const BASE: &str = "parkgate/v1/p/g";

/// See the module.
pub(super) struct City {
    port: u16,
    answers: Arc<Mutex<BTreeMap<String, Value>>>,
    n: u32,
}

impl City {
    /// Listens at the broker on `port`.
    pub(super) fn listens(port: u16) -> Self {
        let answers = Arc::new(Mutex::new(BTreeMap::new()));
        let told = Arc::clone(&answers);
        let mut options = MqttOptions::new("city-events", "127.0.0.1", port);
        options.set_keep_alive(Duration::from_secs(30)).set_max_packet_size(1 << 20, 1 << 20);
        let (client, mut connection) = Client::new(options, 64);
        std::thread::spawn(move || {
            for event in connection.iter() {
                match event {
                    Ok(Event::Incoming(Packet::ConnAck(_))) => {
                        client.try_subscribe(format!("{BASE}/event"), QoS::AtLeastOnce).unwrap();
                    }
                    Ok(Event::Incoming(Packet::Publish(publish))) => {
                        let envelope: Value = serde_json::from_slice(&publish.payload).unwrap();
                        for record in envelope["records"].as_array().into_iter().flatten() {
                            if let Some(id) = record["answer"]["id"].as_str() {
                                told.lock().unwrap().insert(id.to_owned(), record["answer"].clone());
                            }
                        }
                    }
                    Ok(_) => {}
                    // The broker ends with the story.
                    Err(_) => std::thread::sleep(Duration::from_millis(50)),
                }
            }
        });
        Self { port, answers, n: 0 }
    }

    /// Waits until the gateway answers it: from then on no command is lost.
    pub(super) fn is_heard(&mut self) {
        eventually(SOON, "the gateway takes commands", || {
            let id = self.send("state", "{}", SECRET);
            (0..20).any(|_| {
                std::thread::sleep(Duration::from_millis(50));
                self.is_answered(&id)
            })
        });
    }

    /// Sends a command signed with a secret; returns its id.
    pub(super) fn send(&mut self, name: &str, args: &str, secret: &str) -> String {
        self.n += 1;
        let id = format!("c-{}", self.n);
        let now = wall_ms();
        let at = |after: i64| jiff::Timestamp::from_millisecond(now + after).unwrap().to_string();
        let (issued, expires) = (at(0), at(60_000));
        let text =
            format!("parkgate-cmd-v1\np/g\n{id}\n{ISSUER}\nk1\nHMAC-SHA256\n{issued}\n{expires}\n\nn1\n{name}\n{args}");
        let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, secret.as_bytes());
        let tag = ring::hmac::sign(&key, text.as_bytes());
        let sig: String = tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        let command = format!(
            "{{\"id\":\"{id}\",\"issuer\":\"{ISSUER}\",\"key\":\"k1\",\"alg\":\"HMAC-SHA256\",\"issued_at\":\"{issued}\",\
             \"expires\":\"{expires}\",\"nonce\":\"n1\",\"name\":\"{name}\",\"args\":{args},\"sig\":\"{sig}\"}}"
        );
        publish_once(self.port, &format!("{BASE}/cmd/{name}"), command.into_bytes());
        id
    }

    /// Sends a list and returns the answer: its state, code and detail.
    pub(super) fn says(&mut self, name: &str, args: &Value) -> (String, String, String) {
        let id = self.send(name, &args.to_string(), SECRET);
        eventually(SOON, &format!("an answer to {args}"), || self.answers.lock().unwrap().contains_key(&id));
        let answer = self.answers.lock().unwrap()[&id].clone();
        let text = |name: &str| answer[name].as_str().unwrap_or_default().to_owned();
        (text("state"), text("code"), text("detail"))
    }

    /// Sends a command that is taken first; returns what it is answered in the end: state, code and detail.
    pub(super) fn orders(&mut self, name: &str, args: &Value) -> (String, String, String) {
        let id = self.send(name, &args.to_string(), SECRET);
        let ended =
            |answers: &BTreeMap<String, Value>| answers.get(&id).is_some_and(|told| told["state"] != "accepted");
        eventually(SOON, &format!("the end of {args}"), || ended(&self.answers.lock().unwrap()));
        let answer = self.answers.lock().unwrap()[&id].clone();
        let text = |name: &str| answer[name].as_str().unwrap_or_default().to_owned();
        (text("state"), text("code"), text("detail"))
    }

    /// Whether a command was answered.
    pub(super) fn is_answered(&self, id: &str) -> bool {
        self.answers.lock().unwrap().contains_key(id)
    }
}
