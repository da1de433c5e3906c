//! The uplink against peers that do not behave: a broker that skips or withholds PUBACKs, refuses, falls silent; TLS with
//! the wrong authority; commands that are forged, repeated or retained.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test may")]

#[path = "support/certificates.rs"]
mod certificates;
#[path = "wire_mqtt/support.rs"]
#[expect(dead_code, reason = "each test file uses its part")]
mod support;

use std::collections::BTreeSet;
use std::process::Command as Process;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::BytesMut;
use certificates::certificates;
use parkgate::domain::record::Stream;
use parkgate::domain::time::ClockTrust;
use parkgate::uplink::Command;
use parkgate::uplink::settings::{AckMode, CommandKey, Login, Settings, Tls};
use rumqttc::mqttbytes::v4::{ConnAck, ConnectReturnCode, Packet, PingResp, PubAck, SubAck};
use rumqttc::{QoS, SubscribeReasonCode};
use support::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What the raw broker does with a publish.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Manner {
    /// Acknowledges.
    Acks,
    /// Never acknowledges the third publish of a connection: the packet ids wrap onto it.
    SkipsThird,
    /// Acknowledges nothing.
    Withholds,
}

/// A broker on rumqttc's codec, for one manner after the other (one per bulk connection, the last stays).
struct RawBroker {
    port: u16,
    seqs: Arc<Mutex<BTreeSet<u64>>>,
    connections: Arc<Mutex<u64>>,
}

impl RawBroker {
    async fn start(manners: Vec<Manner>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (seqs, connections) = (Arc::default(), Arc::new(Mutex::new(0)));
        let broker = Self { port, seqs: Arc::clone(&seqs), connections: Arc::clone(&connections) };
        let manners = Arc::new(Mutex::new(manners));
        #[expect(clippy::disallowed_methods, reason = "a test has no supervisor")]
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let (seqs, connections, manners) = (Arc::clone(&seqs), Arc::clone(&connections), Arc::clone(&manners));
                tokio::spawn(async move { serve(socket, &seqs, &connections, &manners).await });
            }
        });
        broker
    }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "a client sends nothing else")]
async fn serve(
    mut socket: TcpStream,
    seqs: &Mutex<BTreeSet<u64>>,
    connections: &Mutex<u64>,
    manners: &Mutex<Vec<Manner>>,
) -> Option<()> {
    let (mut input, mut manner, mut publishes) = (BytesMut::new(), Manner::Acks, 0);
    loop {
        let packet = match Packet::read(&mut input, 1 << 20) {
            Ok(packet) => packet,
            Err(rumqttc::mqttbytes::Error::InsufficientBytes(_)) => {
                if socket.read_buf(&mut input).await.ok()? == 0 {
                    return None;
                }
                continue;
            }
            Err(_) => return None,
        };
        let mut output = BytesMut::new();
        match packet {
            Packet::Connect(connect) => {
                if connect.client_id.ends_with("-b") {
                    *connections.lock().unwrap() += 1;
                    let mut manners = manners.lock().unwrap();
                    manner = if manners.len() > 1 { manners.remove(0) } else { manners[0] };
                }
                ConnAck::new(ConnectReturnCode::Success, false).write(&mut output).unwrap();
            }
            Packet::Subscribe(s) => {
                let codes = vec![SubscribeReasonCode::Success(QoS::AtLeastOnce)];
                SubAck::new(s.pkid, codes).write(&mut output).unwrap();
            }
            Packet::Publish(publish) => {
                publishes += 1;
                let held = manner == Manner::Withholds || (manner == Manner::SkipsThird && publishes == 3);
                if !held {
                    note(seqs, &publish.payload);
                    PubAck::new(publish.pkid).write(&mut output).unwrap();
                }
            }
            Packet::PingReq => {
                PingResp.write(&mut output).unwrap();
            }
            other => assert!(matches!(other, Packet::Disconnect), "{other:?}"),
        }
        socket.write_all(&output).await.ok()?;
    }
}

/// Only what is acknowledged counts as taken.
fn note(seqs: &Mutex<BTreeSet<u64>>, payload: &[u8]) {
    let message: serde_json::Value = serde_json::from_slice(payload).unwrap();
    if message["stream"] == "telemetry" {
        let records = message["records"].as_array().unwrap();
        seqs.lock().unwrap().extend(records.iter().map(|r| r["seq"].as_u64().unwrap()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_skipped_puback_wedges_nothing_and_every_record_reaches_the_broker() {
    let broker = RawBroker::start(vec![Manner::SkipsThird, Manner::Acks]).await;
    let few = Settings { max_in_flight: 5, max_message_bytes: 4096, ..settings(broker.port, AckMode::Broker) };
    let mut gateway = Gateway::start(few);
    gateway.all_up().await;
    for n in 1..=500 {
        gateway.sample(n);
        if n % 20 == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
    gateway.until("all delivered", |s| s.streams[5].delivered == 500).await;
    assert_eq!(*broker.seqs.lock().unwrap(), up_to(500));
    let store = gateway.end().await;
    assert_eq!(store.delivered_now(Stream::Telemetry).len(), 500);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_acknowledges_nothing_is_left_and_nothing_counts_as_delivered() {
    let broker = RawBroker::start(vec![Manner::Withholds, Manner::Acks]).await;
    let mut gateway = Gateway::start(settings(broker.port, AckMode::Broker));
    gateway.all_up().await;
    for n in 1..=20 {
        gateway.sample(n);
    }
    gateway.until("in flight", |s| s.streams[5].in_flight > 0).await;
    assert_eq!(gateway.store.delivered_now(Stream::Telemetry).len(), 0);
    gateway.until("left", |s| s.sessions.get(1).is_some_and(|s| s.attempts >= 2)).await;
    gateway.until("delivered by the next connection", |s| s.streams[5].delivered == 20).await;
    assert!(*broker.connections.lock().unwrap() >= 2);
    gateway.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_port_is_tried_at_the_pace_of_the_back_off() {
    let port = free_port();
    let mut gateway = Gateway::start(settings(port, AckMode::Platform));
    gateway.until("some attempts", |s| s.sessions.first().is_some_and(|s| s.attempts >= 4)).await;
    let before = gateway.status.borrow().sessions[1].attempts;
    tokio::time::sleep(Duration::from_secs(2)).await;
    // At 500 ms −20 % at most five in two seconds; the seventh would be a busy loop on any machine.
    let tried = gateway.status.borrow().sessions[1].attempts - before;
    assert!(tried <= 6, "{tried} attempts in two seconds");
    assert!(gateway.status.borrow().sessions[1].trouble.is_some());
    gateway.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_accepts_and_says_nothing_is_given_up_in_time() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    let mut patient = settings(port, AckMode::Platform);
    patient.broker.connect_timeout = Duration::from_secs(1);
    let mut gateway = Gateway::start(patient);
    gateway.until("a second attempt", |s| s.sessions.first().is_some_and(|s| s.attempts >= 2)).await;
    gateway.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn over_tls_the_brokers_authority_decides_and_the_client_shows_its_own_certificate() {
    if !has("openssl") {
        return skip("openssl is not installed");
    }
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    certificates(dir.path(), "park", "broker");
    certificates(dir.path(), "park", "gateway");
    certificates(dir.path(), "stranger", "other");
    // mosquitto drops its rights when started by root: let it read its key.
    for file in std::fs::read_dir(dir.path()).unwrap() {
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(file.unwrap().path(), std::fs::Permissions::from_mode(0o644)).unwrap();
    }
    std::os::unix::fs::PermissionsExt::set_mode(&mut std::fs::metadata(dir.path()).unwrap().permissions(), 0o755);
    let show = |p: std::path::PathBuf| p.display().to_string();
    let extra = format!(
        "user root\ncafile {}\ncertfile {}\nkeyfile {}\nrequire_certificate true",
        show(at("park.pem")),
        show(at("broker.pem")),
        show(at("broker.key"))
    );
    let Some(broker) = Mosquitto::start(dir.path(), &extra) else { return };
    let own = Some((at("gateway.pem"), at("gateway.key")));
    let with = |ca: &str, client| {
        let mut settings = settings(broker.port, AckMode::Broker);
        settings.broker.tls = Some(Tls { ca_file: at(ca), client });
        settings
    };
    let mut gateway = Gateway::start(with("park.pem", own.clone()));
    gateway.sample(1);
    gateway.until("delivered over TLS", |s| s.streams[5].delivered == 1).await;
    gateway.end().await;

    let mut wrong = Gateway::start(with("stranger.pem", own));
    wrong
        .until("refused for the authority", |s| {
            s.sessions.get(1).is_some_and(|s| s.trouble.as_deref().is_some_and(|t| t.contains("UnknownIssuer")))
        })
        .await;
    wrong.sample(1);
    assert!(wrong.status.borrow().sessions.iter().all(|s| !s.up));
    wrong.end().await;

    let mut nameless = Gateway::start(with("park.pem", None));
    nameless
        .until("refused without a certificate", |s| {
            s.sessions.get(1).is_some_and(|s| s.attempts >= 3 && s.trouble.is_some())
        })
        .await;
    assert_eq!(nameless.status.borrow().streams[5].delivered, 0);
    nameless.end().await;

    let mut missing = Gateway::start(with("nowhere.pem", None));
    missing
        .until("says which file", |s| {
            s.sessions.get(1).is_some_and(|s| s.trouble.as_deref().is_some_and(|t| t.contains("nowhere.pem")))
        })
        .await;
    missing.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_is_shown_and_a_wrong_one_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let passwords = dir.path().join("passwords");
    let made = Process::new("mosquitto_passwd").args(["-b", "-c"]).arg(&passwords).args(["gw", "secret"]).status();
    if !made.is_ok_and(|s| s.success()) {
        return skip("mosquitto_passwd is not installed");
    }
    let extra = format!("user root\nallow_anonymous false\npassword_file {}", passwords.display());
    let Some(broker) = Mosquitto::start(dir.path(), &extra) else { return };
    let with = |password: &str| {
        let mut settings = settings(broker.port, AckMode::Broker);
        settings.broker.login = Some(Login { user: "gw".into(), password: password.into() });
        settings
    };
    let mut gateway = Gateway::start(with("secret"));
    gateway.sample(1);
    gateway.until("delivered", |s| s.streams[5].delivered == 1).await;
    gateway.end().await;
    let mut wrong = Gateway::start(with("guess"));
    wrong
        .until("refused", |s| {
            s.sessions.get(1).is_some_and(|s| s.trouble.as_deref().is_some_and(|t| t.contains("refuses")))
        })
        .await;
    assert!(!format!("{:?}", wrong.status.borrow()).contains("guess"));
    wrong.end().await;
}

fn key() -> CommandKey {
    CommandKey { id: "k1".into(), secret: b"sixteen bytes at least".to_vec(), issuer: "city".into() }
}

async fn command(platform: &Platform, name: &str, text: impl Into<Vec<u8>>, retained: bool) {
    platform.client.publish(format!("{BASE}/cmd/{name}"), QoS::AtLeastOnce, retained, text).await.unwrap();
}

/// Returns the state and code of the next answer.
async fn next_answer(gateway: &mut Gateway) -> (String, String, String) {
    let next = tokio::time::timeout(DEADLINE, gateway.commands.recv()).await.unwrap().unwrap();
    let Command::Answer { json } = next else { panic!("{next:?}") };
    let answer: serde_json::Value = serde_json::from_str(&json).unwrap();
    let text = |name: &str| answer[name].as_str().unwrap().to_owned();
    (text("id"), text("state"), text("code"))
}

#[tokio::test(flavor = "multi_thread")]
async fn signed_commands_are_done_once_and_the_rest_is_refused_and_counted() {
    let dir = tempfile::tempdir().unwrap();
    let Some(broker) = Mosquitto::start(dir.path(), "") else { return };
    let mut platform = Platform::start(broker.port, Habit::Acks);
    platform.ready().await;
    let keyed = Settings { command_keys: vec![key()], ..settings(broker.port, AckMode::Platform) };
    let ids: Arc<Ids> = Arc::default();
    let mut gateway = Gateway::with(keyed.clone(), Memory::new(), Arc::clone(&ids) as Arc<_>);
    gateway.all_up().await;
    for n in 1..=10 {
        gateway.sample(n);
    }
    gateway.until("delivered", |s| s.streams[5].delivered == 10).await;
    command(&platform, "resend", "hello", false).await;
    gateway.until_refused("command_garbage", 1).await;
    command(&platform, "resend", vec![b' '; 100_000], false).await;
    gateway.until_refused("oversized", 1).await;
    let forged = CommandKey { secret: b"another secret, as long".to_vec(), ..key() };
    command(&platform, "state", signed_command(&forged, "c-0", "state", "{}"), false).await;
    gateway.until_refused("command_signature", 1).await;
    gateway.clock.assume_trust(ClockTrust::Unsynced);
    command(&platform, "state", signed_command(&key(), "c-9", "state", "{}"), false).await;
    gateway.until_refused("command_clock", 1).await;
    assert_eq!(next_answer(&mut gateway).await, ("c-9".into(), "failed".into(), "clock".into()));
    gateway.clock.assume_trust(ClockTrust::Synced);
    let resend = signed_command(&key(), "c-1", "resend", r#"{"stream":"telemetry","from":3,"to":4}"#);
    command(&platform, "resend", resend.clone(), false).await;
    assert_eq!(next_answer(&mut gateway).await, ("c-1".into(), "done".into(), "ok".into()));
    platform
        .until("3 and 4 again", |h| [3, 4].iter().all(|n| h.arrivals.iter().filter(|a| a.2 == *n).count() >= 2))
        .await;
    command(&platform, "resend", resend.clone(), false).await;
    gateway.until_refused("command_repeated", 1).await;
    assert_eq!(next_answer(&mut gateway).await.2, "repeated");
    command(&platform, "values", signed_command(&key(), "c-2", "values", r#"{"device":"plc-tank-1"}"#), false).await;
    assert_eq!(next_answer(&mut gateway).await, ("c-2".into(), "accepted".into(), "ok".into()));
    assert!(matches!(gateway.commands.recv().await, Some(Command::Values { .. })));
    let store = gateway.end().await;

    // While the gateway was away the broker kept one command for the persistent session, and one is retained.
    command(&platform, "state", signed_command(&key(), "c-3", "state", "{}"), false).await;
    command(&platform, "resend", resend, false).await;
    command(&platform, "state", signed_command(&key(), "c-4", "state", "{}"), true).await;
    // The broker takes a client's messages in order: once it hands out this one it has the three before.
    let mark = "{\"state\":\"mark\"}";
    platform.client.publish(format!("{BASE}/state"), QoS::AtLeastOnce, false, mark).await.unwrap();
    platform.until("the mark", |h| h.states.last().is_some_and(|s| s["state"] == "mark")).await;
    let mut again = Gateway::with(keyed, store, ids);
    again.clock.assume_trust(ClockTrust::Synced);
    again.until_refused("command_repeated", 1).await;
    again.until_refused("command_retained", 1).await;
    // Its id is saved before it is done, so the refusals may overtake it.
    while next_answer(&mut again).await != ("c-3".into(), "done".into(), "ok".into()) {}
    again.end().await;
}
