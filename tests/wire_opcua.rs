//! The OPC UA reader against a stranger, an asyncua server (`tests/peers/opcua_server.py`): security, restarts, nodes that come
//! and go, overflow, history, and how many sessions an outage costs.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may")]

mod support;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use parkgate::clock::Clock;
use parkgate::domain::field_event::{FieldEvent, GapNotice, LinkState, Origin, Poll};
use parkgate::domain::id::{DeviceId, DeviceSlot};
use parkgate::domain::reading::{Quality, Reading, Value};
use parkgate::domain::record::SourceGapReason;
use parkgate::domain::snapshot::OpcUaStatus;
use parkgate::field::settings::opcua::{
    Identity, OpcUaDevice, OpcUaPoint, Password, Policy, Protection, Security, Server, ServerLink,
};
use parkgate::field::settings::{PollClass, Signal};
use parkgate::field::{OpcUaInputs, Pki, run_opcua};
use serde_json::json;
use support::peer::Peer;
use support::process::Gateway;
use support::wait::{SOON, until};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

const SPACE: &str = "http://park.example/dcs";

/// Starts the DCS; `None` after a skip.
fn dcs(settings: &serde_json::Value) -> Option<(Peer, u16)> {
    let peer = Peer::start("opcua_server.py", &[&settings.to_string()])?;
    let port = peer.hears(SOON, "port").as_u64().unwrap();
    Some((peer, u16::try_from(port).unwrap()))
}

fn server(port: u16) -> Server {
    Server {
        id: "dcs-1".into(),
        url: format!("opc.tcp://127.0.0.1:{port}/park"),
        security: Security::None,
        identity: Identity::Anonymous,
        publishing: Duration::from_millis(200),
        keep_alive: Duration::from_secs(1),
        timeout: Duration::from_secs(10),
        queue_size: None,
        history: Duration::from_secs(3600),
        backoff_initial: Duration::from_millis(200),
        backoff_max: Duration::from_secs(2),
    }
}

fn link(server: Server, n_points: usize) -> ServerLink {
    let server = Arc::new(server);
    let point = |n| OpcUaPoint {
        class: 0,
        node: format!("nsu={SPACE};s=v{n}").parse().unwrap(),
        scale: 1.0,
        offset: 0.0,
        decimals: None,
        range: None,
        signal: Signal::Value,
        silence: Duration::from_secs(60),
    };
    let device = OpcUaDevice {
        id: DeviceId::new("tanks"),
        server: Arc::clone(&server),
        classes: vec![PollClass { name: "fast".into(), interval: Duration::from_millis(200) }],
        points: (0..n_points).map(point).collect(),
    };
    ServerLink { server, devices: vec![(DeviceSlot(1), Arc::new(device))] }
}

/// The reader at work, and what it has said so far.
struct Reader {
    events: mpsc::Receiver<FieldEvent>,
    status: watch::Receiver<OpcUaStatus>,
    link: watch::Sender<Arc<ServerLink>>,
    stop: CancellationToken,
    values: BTreeMap<u16, (Reading, Origin)>,
    historical: BTreeMap<u16, Vec<Reading>>,
    /// How often a point was confirmed without a value of its own time.
    confirmed: BTreeMap<u16, usize>,
    gaps: Vec<GapNotice>,
    polls: Vec<Poll>,
    state: LinkState,
}

impl Reader {
    fn start(link: ServerLink, pki: &Path) -> Self {
        let (events_tx, events) = mpsc::channel(1024);
        let (link_tx, link_rx) = watch::channel(Arc::new(link));
        let (status_tx, status) = watch::channel(OpcUaStatus::default());
        let stop = CancellationToken::new();
        let inputs = OpcUaInputs {
            link: link_rx,
            events: events_tx,
            status: status_tx,
            pki: Pki::new(pki),
            clock: Clock::system(),
            stored: None,
            stop: stop.clone(),
        };
        #[expect(clippy::disallowed_methods, reason = "a test has no supervisor")]
        tokio::spawn(run_opcua(inputs));
        Self {
            events,
            status,
            link: link_tx,
            stop,
            values: BTreeMap::new(),
            historical: BTreeMap::new(),
            confirmed: BTreeMap::new(),
            gaps: Vec::new(),
            polls: Vec::new(),
            state: LinkState::Connecting,
        }
    }

    fn take(&mut self, event: FieldEvent) {
        match event {
            FieldEvent::Sample(sample) => {
                for (ordinal, reading) in sample.readings {
                    if let Origin::History(_) = sample.origin {
                        self.historical.entry(ordinal).or_default().push(reading);
                    } else {
                        *self.confirmed.entry(ordinal).or_default() +=
                            usize::from(sample.origin == Origin::Received(None));
                        self.values.insert(ordinal, (reading, sample.origin));
                    }
                }
            }
            FieldEvent::Gap(gap) => self.gaps.push(*gap),
            FieldEvent::Poll(poll) => self.polls.push(poll),
            FieldEvent::Link(change) => self.state = change.state,
        }
    }

    /// Reads on until `seen`.
    async fn until<T>(&mut self, what: &str, mut seen: impl FnMut(&Self) -> Option<T>) -> T {
        let waiting = async {
            loop {
                if let Some(found) = seen(self) {
                    return found;
                }
                let event = self.events.recv().await.unwrap_or_else(|| panic!("the reader ended before: {what}"));
                self.take(event);
            }
        };
        let found = tokio::time::timeout(SOON, waiting).await;
        found.unwrap_or_else(|_| {
            panic!("never came: {what}; {:?}, {:?}, {:?}", self.state, self.values, self.status.borrow())
        })
    }

    /// Reads on until point `ordinal` has this value and is good.
    async fn until_value(&mut self, ordinal: u16, value: f64) -> Origin {
        let good = Reading::good(Value::Number(value));
        let seen = |r: &Self| r.values.get(&ordinal).filter(|(reading, _)| *reading == good).map(|(_, origin)| *origin);
        self.until(&format!("point {ordinal} = {value}"), seen).await
    }

    async fn until_quality(&mut self, ordinal: u16, quality: Quality) {
        let seen =
            |r: &Self| r.values.get(&ordinal).filter(|(r, _)| r.quality == quality && r.value().is_none()).map(drop);
        self.until(&format!("point {ordinal} is {quality:?}"), seen).await;
    }

    async fn until_down(&mut self, because: &str) -> String {
        let seen = |r: &Self| {
            let LinkState::Down { reason, .. } = &r.state else { return None };
            reason.contains(because).then(|| reason.clone())
        };
        self.until(&format!("down, because `{because}`"), seen).await
    }

    fn counters(&self) -> parkgate::domain::snapshot::OpcUaCounters {
        self.status.borrow().servers.get("dcs-1").map(|s| s.counters).unwrap_or_default()
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

fn trust_all(pki: &Path) {
    let pki = Pki::new(pki);
    for cert in pki.list().iter().filter(|cert| !cert.trusted) {
        pki.trust(&cert.sha256).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_policy_and_mode_reads_values_once_an_engineer_trusts_the_server() {
    let dir = tempfile::tempdir().unwrap();
    let names: Vec<String> = ["Basic256Sha256", "Aes128Sha256RsaOaep", "Aes256Sha256RsaPss"]
        .iter()
        .flat_map(|policy| ["Sign", "SignAndEncrypt"].map(|mode| format!("{policy}_{mode}")))
        .collect();
    let users = json!({"gateway": "right"});
    let Some((_peer, port)) = dcs(&json!({"policies": names, "folder": dir.path(), "users": users})) else { return };
    let pki = dir.path().join("pki");
    let identity = Identity::User { name: "gateway".into(), password: Password("right".into()) };
    for policy in Policy::ALL {
        for protection in [Protection::Sign, Protection::SignAndEncrypt] {
            let security = Security::By(policy, protection);
            let wanted = Server { security, identity: identity.clone(), ..server(port) };
            let mut reader = Reader::start(link(wanted, 3), &pki);
            if !pki.join("trusted").is_dir() || pki.join("trusted").read_dir().unwrap().next().is_none() {
                // The first of all: nothing is asked of a server that nobody trusts, and then it goes on by itself.
                let reason = reader.until_down("is not trusted").await;
                let rejected = Pki::new(&pki).list();
                assert!(rejected.len() == 1 && reason.contains(&rejected[0].sha1), "{reason} {rejected:?}");
                assert_eq!(reader.counters().sessions, 0);
                trust_all(&pki);
            }
            assert!(matches!(reader.until_value(2, 2.0).await, Origin::Source(_)), "{security}");
            assert_eq!(reader.state, LinkState::Up);
        }
    }
    let wrong = Identity::User { name: "gateway".into(), password: Password("wrong".into()) };
    let security = Security::By(Policy::Basic256Sha256, Protection::SignAndEncrypt);
    let mut reader = Reader::start(link(Server { security, identity: wrong, ..server(port) }, 3), &pki);
    reader.until_down("rejects this user, password or certificate").await;
    let mut reader = Reader::start(link(server(port), 3), &pki);
    let reason = reader.until_down("does not offer None").await;
    assert!(reason.contains("Basic256Sha256"), "{reason}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_who_shows_his_certificate_is_let_in_and_a_stranger_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let policies = ["Basic256Sha256_SignAndEncrypt", "Aes256Sha256RsaPss_Sign"];
    let Some((_peer, port)) = dcs(&json!({"policies": policies, "folder": dir.path(), "holder": true})) else { return };
    let pki = dir.path().join("pki");
    let login = |name: &str| Identity::Certificate {
        cert_file: dir.path().join(format!("{name}.der")),
        key_file: dir.path().join(format!("{name}.pem")),
    };
    let security = Security::By(Policy::Basic256Sha256, Protection::SignAndEncrypt);
    let with = |security, identity| link(Server { security, identity, ..server(port) }, 3);
    let mut reader = Reader::start(with(security, login("user")), &pki);
    reader.until_down("is not trusted").await;
    trust_all(&pki);
    reader.until_value(2, 2.0).await;
    let pss = Security::By(Policy::Aes256Sha256RsaPss, Protection::Sign);
    Reader::start(with(pss, login("user")), &pki).until_value(2, 2.0).await;
    Reader::start(with(security, login("stranger")), &pki).until_down("rejects this user").await;
    Reader::start(with(security, Identity::Anonymous), &pki).until_down("takes no anonymous session").await;
    Reader::start(with(security, login("nobody")), &pki).until_down("nobody.der").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_expired_certificate_is_refused_by_its_name_although_it_is_trusted() {
    let dir = tempfile::tempdir().unwrap();
    let policies = ["Basic256Sha256_SignAndEncrypt"];
    let Some((_peer, port)) = dcs(&json!({"policies": policies, "folder": dir.path(), "expired": true})) else {
        return;
    };
    let pki = dir.path().join("pki");
    let security = Security::By(Policy::Basic256Sha256, Protection::SignAndEncrypt);
    let mut reader = Reader::start(link(Server { security, ..server(port) }, 3), &pki);
    reader.until_down("is not trusted").await;
    trust_all(&pki);
    reader.until_down("is valid from").await;
    assert_eq!(reader.counters().sessions, 0, "no session is asked of it");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_server_is_read_again_and_the_missing_node_alone_suffers() {
    let dir = tempfile::tempdir().unwrap();
    let Some((mut peer, port)) = dcs(&json!({"nodes": 4})) else { return };
    let mut reader = Reader::start(link(server(port), 4), dir.path());
    reader.until_value(3, 3.0).await;
    peer.kill();
    reader.until_quality(3, Quality::Comm).await;
    reader.polls.clear();
    reader.until("polls that fail while it is away", |r| r.polls.iter().any(|p| !p.ok).then_some(())).await;

    // Back with three of its four nodes: the fourth is a fault of the point, and comes when the node comes.
    let (mut peer, _) = dcs(&json!({"nodes": 3, "port": port})).unwrap();
    reader.until_value(2, 2.0).await;
    let gap =
        reader.until("the outage", |r| r.gaps.iter().find(|g| g.reason == SourceGapReason::Outage).cloned()).await;
    assert!(gap.points.is_empty() && gap.from.is_some_and(|from| from <= gap.to));
    reader.until_quality(3, Quality::Sensor).await;
    peer.tell(&json!({"set": "v0", "value": 77.0}).to_string());
    reader.until_value(0, 77.0).await;
    peer.tell(&json!({"add": "v3"}).to_string());
    reader.until_value(3, 3.0).await;
    reader.polls.clear();
    reader.until("whole polls again", |r| r.polls.iter().any(|p| p.ok).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_server_is_torn_down_by_the_watchdog_and_read_again() {
    let dir = tempfile::tempdir().unwrap();
    let Some((peer, port)) = dcs(&json!({})) else { return };
    let impatient = Server { timeout: Duration::from_secs(60), ..server(port) };
    let mut reader = Reader::start(link(impatient, 3), dir.path());
    reader.until_value(2, 2.0).await;
    peer.freeze(true);
    reader.until_down("no notification and no keep-alive").await;
    assert_eq!(reader.counters().watchdog, 1);
    peer.freeze(false);
    reader.until_value(2, 2.0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_server_lost_is_a_gap_and_every_other_value_comes_with_its_own_time() {
    let dir = tempfile::tempdir().unwrap();
    let Some((mut peer, port)) = dcs(&json!({"types": {"v2": "String"}})) else { return };
    let small = Server { queue_size: Some(3), publishing: Duration::from_secs(2), ..server(port) };
    let mut reader = Reader::start(link(small, 3), dir.path());
    reader.until_value(1, 1.0).await;
    peer.tell(&json!({"set": "v1", "values": [10.0, 11.0, 12.0, 13.0, 14.0, 15.0, 16.0]}).to_string());
    reader.until_value(1, 16.0).await;
    let gap = reader.gaps.iter().find(|g| g.reason == SourceGapReason::Overflow).cloned().unwrap();
    assert_eq!(gap.points, [1]);
    assert!(gap.from.unwrap() <= gap.to);
    peer.tell(&json!({"set": "v1", "value": 1.5, "t": "2020-01-02T03:04:05+00:00"}).to_string());
    let origin = reader.until_value(1, 1.5).await;
    assert_eq!(origin, Origin::Source(parkgate::domain::time::Timestamp(1_577_934_245_000)));
    // Bad never carries a value; text is a fault of the point.
    peer.tell(&json!({"set": "v0", "value": 5.0, "status": 0x8031_0000_u32}).to_string());
    reader.until_quality(0, Quality::Comm).await;
    assert_eq!(reader.values[&2].0, Reading::missing(Quality::Sensor));
    assert_eq!((reader.counters().overflows, reader.counters().no_numbers), (1, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_hole_of_an_outage_is_filled_from_the_servers_history_and_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let Some((mut peer, port)) = dcs(&json!({"history": true})) else { return };
    let line = Line::to(port).await;
    let through = Server { url: format!("opc.tcp://127.0.0.1:{}/park", line.port), ..server(port) };
    let mut reader = Reader::start(link(through, 3), dir.path());
    reader.until_value(2, 2.0).await;
    line.cut(true);
    reader.until_down("").await;
    for value in [40.0, 41.0, 42.0] {
        peer.tell(&json!({"set": "v1", "value": value}).to_string());
    }
    // The server forgets the session, and with it the queue: only its history has them now.
    peer.tell(&json!({"forget": true}).to_string());
    peer.hears(SOON, "sessions");
    line.cut(false);
    reader.until_value(1, 42.0).await;
    reader.until("the outage", |r| r.gaps.iter().any(|g| g.reason == SourceGapReason::Outage).then_some(())).await;
    let filled = |r: &Reader| r.historical.get(&1).filter(|values| values.len() >= 2).cloned();
    let history = reader.until("the history", filled).await;
    let numbers: Vec<_> = [40.0, 41.0].iter().map(|v| Reading::good(Value::Number(*v))).collect();
    assert_eq!(history, numbers, "the first value of the present is not told twice");
    assert_eq!(reader.values[&1].0, Reading::good(Value::Number(42.0)), "the present is not disturbed");
}

/// The folder of a gateway that reads the DCS.
fn site(dir: &Path, port: u16, web_port: u16) {
    let write = |name: &str, text: String| std::fs::write(dir.join(name), text).unwrap();
    write(
        "gateway.toml",
        format!(
            "[gateway]\npark = \"p\"\nid = \"g\"\n[store]\ndir = \"s\"\nmirror_dir = \"m\"\nstate_dir = \"t\"\n\
             quota = \"64MiB\"\nballast = \"64KiB\"\nsegment = \"8MiB\"\n[store.streams.telemetry]\nretention = \"1h\"\n[web]\nlisten = \"127.0.0.1:{web_port}\"\n"
        ),
    );
    write(
        "devices.toml",
        format!(
            "[[opcua]]\nid = \"dcs-1\"\nurl = \"opc.tcp://127.0.0.1:{port}/park\"\nsecurity = \"None\"\n\
             publishing = \"200ms\"\n[[device]]\nid = \"tanks\"\nopcua = \"dcs-1\"\n"
        ),
    );
    let points = (0..3).map(|n| format!("u{n},v{n},v{n},tanks,,,,1s,fast,nsu={SPACE};s=v{n}\n"));
    let head = "uid,tag,name,device,table,address,encoding,max_silence,class,node\n".to_owned();
    write("points.csv", points.fold(head, |all, row| all + &row));
}

/// What the store holds of one point, in the order of its records: time, value, whether it is historical. Confirmations that
/// nothing changed have no time of their own, and are left out.
async fn stored(dir: &Path, ordinal: u16) -> Vec<(i64, f64, bool)> {
    use parkgate::domain::codec;
    use parkgate::domain::record::{Body, Stream};
    let config = parkgate::config::load(dir).unwrap().config;
    let book = parkgate::state::registry::RegistryBook::new(parkgate::state::State::open(&config.state_dir).unwrap());
    let opened = parkgate::buffer::open(config.store.clone(), Clock::system().now()).unwrap();
    let (mut next, mut values) = (1, Vec::new());
    loop {
        let page = opened.store.read(Stream::Telemetry, next..=u64::MAX, 1 << 20).await.unwrap();
        for entry in &page.entries {
            let registry = book.get(entry.stamp.rev).unwrap();
            let Ok(Body::Samples(samples)) = codec::decode(&entry.body, &registry) else { continue };
            let cell = samples.cells.iter().find(|(at, _)| *at == ordinal);
            if let (Some(t), Some(value)) = (samples.t, cell.and_then(|(_, reading)| reading.value())) {
                values.push((t.0, value.as_f64(), samples.historical));
            }
        }
        if page.next <= next {
            break;
        }
        next = page.next;
    }
    opened.store.close().await.unwrap();
    values
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_hole_of_the_gateways_own_absence_is_filled_and_no_value_is_told_twice() {
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let Some((mut peer, port)) = dcs(&json!({"history": true})) else { return };
    let web_port = support::wait::free_port();
    site(dir.path(), port, web_port);
    let at = dir.path().to_str().unwrap();
    let reads = |value: &str| {
        let wanted = format!("v1,{value},");
        until(SOON, &wanted, || parkgate(&["read", "v1", "--csv", "--config", at]).1.contains(&wanted).then_some(()));
    };
    let mut said = 0;
    let mut set = |values: &[f64]| {
        said += 1;
        peer.tell(&json!({"set": "v1", "values": values, "no": said}).to_string());
        until(SOON, "the values are set", || (peer.last("done") == Some(json!(said))).then_some(()));
    };
    let gateway = Gateway::start_ready(dir.path(), web_port);
    reads("1");
    set(&[10.0, 11.0]);
    reads("11");
    assert_eq!(gateway.sigterm(), Some(0));
    set(&[20.0, 21.0, 22.0]);
    let gateway = Gateway::start_ready(dir.path(), web_port);
    reads("22");
    let filled = |gateway: &Gateway, n: f64| {
        let metric = || gateway.metric("parkgate_opcua_history_values_total", &[]).filter(|values| *values >= n);
        until(SOON, "the history", metric);
    };
    filled(&gateway, 2.0);
    set(&[30.0]);
    reads("30");
    // And after a power cut: what had reached the disk is what counts.
    drop(gateway);
    set(&[40.0, 41.0]);
    let gateway = Gateway::start_ready(dir.path(), web_port);
    reads("41");
    filled(&gateway, 1.0);
    assert_eq!(gateway.sigterm(), Some(0));
    let mut values = stored(dir.path(), 1).await;
    values.sort_by_key(|(t, ..)| *t);
    let told: Vec<f64> = values.iter().map(|(_, value, _)| *value).collect();
    assert_eq!(told, [1.0, 10.0, 11.0, 20.0, 21.0, 22.0, 30.0, 40.0, 41.0], "each once, none missing: {values:?}");
    for value in [20.0_f64, 21.0, 40.0] {
        assert!(values.iter().any(|v| v.1.to_bits() == value.to_bits() && v.2), "{value} says that it is historical");
    }
    for value in [11.0_f64, 22.0, 41.0] {
        assert!(values.iter().any(|v| v.1.to_bits() == value.to_bits() && !v.2), "{value} was received: {values:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unchanged_value_is_confirmed_as_often_as_its_longest_silence_asks() {
    let dir = tempfile::tempdir().unwrap();
    let Some((_peer, port)) = dcs(&json!({})) else { return };
    let mut hasty = link(server(port), 2);
    let mut device = (*hasty.devices[0].1).clone();
    device.points[0].silence = Duration::from_secs(2);
    hasty.devices[0].1 = Arc::new(device);
    let mut reader = Reader::start(hasty, dir.path());
    reader.until_value(1, 1.0).await;
    // While the patient one is confirmed once (each 5 s), the hasty one is again and again.
    reader.confirmed.clear();
    let twice = |r: &Reader| (r.confirmed.get(&1).copied().unwrap_or_default() >= 2).then(|| r.confirmed.clone());
    let confirmed = reader.until("two confirmations of the patient point", twice).await;
    assert!(confirmed.get(&0).copied().unwrap_or_default() >= 4, "{confirmed:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_short_break_of_the_line_loses_nothing_and_costs_no_session() {
    let dir = tempfile::tempdir().unwrap();
    let Some((mut peer, port)) = dcs(&json!({})) else { return };
    let line = Line::to(port).await;
    let through = Server { url: format!("opc.tcp://127.0.0.1:{}/park", line.port), ..server(port) };
    let mut reader = Reader::start(link(through, 3), dir.path());
    reader.until_value(2, 2.0).await;
    line.cut(true);
    reader.until_quality(2, Quality::Comm).await;
    peer.tell(&json!({"set": "v0", "values": [50.0, 51.0]}).to_string());
    peer.hears(SOON, "sessions");
    line.cut(false);
    reader.until_value(0, 51.0).await;
    // What did not change is confirmed by the first sign of life.
    reader.until_value(2, 2.0).await;
    assert_eq!(reader.counters().sessions, 1);
    assert!(reader.gaps.is_empty(), "{:?}", reader.gaps);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_line_that_breaks_again_and_again_costs_one_session_per_step() {
    let dir = tempfile::tempdir().unwrap();
    let Some((mut peer, port)) = dcs(&json!({})) else { return };
    let line = Line::to(port).await;
    let mut reader = Reader::start(
        link(Server { url: format!("opc.tcp://127.0.0.1:{}/park", line.port), ..server(port) }, 3),
        dir.path(),
    );
    reader.until_value(2, 2.0).await;
    // An outage (PARKGATE_OPCUA_OUTAGE seconds) in which each connection lives just long enough for a session.
    let outage = support::wait::secs_from_env("PARKGATE_OPCUA_OUTAGE", 6);
    line.break_after(Duration::from_millis(250));
    let flapping = async {
        loop {
            let event = reader.events.recv().await.unwrap();
            reader.take(event);
        }
    };
    drop(tokio::time::timeout(outage, flapping).await);
    line.break_after(Duration::MAX);
    peer.tell(&json!({"set": "v0", "value": 5.0}).to_string());
    reader.until_value(0, 5.0).await;
    let sessions = peer.hears(SOON, "sessions").as_u64().unwrap();
    let counters = reader.counters();
    println!("{sessions} sessions, {} attempts in {} s of outage", counters.attempts, outage.as_secs());
    assert!(sessions <= counters.attempts, "{sessions} sessions, {counters:?}");
    // Steps of 0.2, 0.4, 0.8, 1.6, 2, 2, … s, each at least 80 % of that.
    let steps = 6 + outage.as_millis() / 1600;
    assert!(u128::from(counters.attempts) <= steps, "{counters:?}, at most {steps} steps");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_changed_configuration_touches_only_what_changed() {
    let dir = tempfile::tempdir().unwrap();
    let Some((mut peer, port)) = dcs(&json!({})) else { return };
    let both = link(server(port), 2);
    let mut reader = Reader::start(both.clone(), dir.path());
    reader.until_value(1, 1.0).await;
    let mut more = both.clone();
    let mut third = (*more.devices[0].1).clone();
    third.points = link(server(port), 3).devices[0].1.points.clone();
    more.devices.push((DeviceSlot(2), Arc::new(third)));
    reader.link.send_replace(Arc::new(more));
    reader.until_value(2, 2.0).await;
    reader.link.send_replace(Arc::new(both));
    peer.tell(&json!({"set": "v0", "value": 9.0}).to_string());
    reader.until_value(0, 9.0).await;
    assert_eq!(peer.hears(SOON, "sessions").as_u64(), Some(1), "the session stays");
}

/// Runs the program and returns whether it succeeded, and what it said.
fn parkgate(args: &[&str]) -> (bool, String) {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_parkgate")).args(args).output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(text).unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_engineer_trusts_a_server_and_makes_a_point_table_of_it() {
    let dir = tempfile::tempdir().unwrap();
    let settings = json!({"policies": ["Basic256Sha256_SignAndEncrypt"], "folder": dir.path(), "analog": true, "types": {"v2": "String"}});
    let Some((_peer, port)) = dcs(&settings) else { return };
    let (pki, url) = (dir.path().join("pki"), format!("opc.tcp://127.0.0.1:{port}/park"));
    let pki = pki.to_str().unwrap();
    let browse = ["opcua", "browse", &url, "--pki", pki];
    let (ok, said) = parkgate(&browse);
    assert!(!ok && said.contains("is not trusted"), "{said}");
    let (ok, list) = parkgate(&["trust", "--pki", pki]);
    let sha256 = list.lines().find_map(|line| line.trim().strip_prefix("SHA-256 ")).unwrap();
    assert!(ok && list.contains("rejected") && list.contains("dcs"), "{list}");
    assert!(!parkgate(&["trust", "--pki", pki, "0123456789"]).0);
    assert!(parkgate(&["trust", "--pki", pki, sha256]).0);
    let under = |node: &str| parkgate(&[&browse[..], &["--under", node]].concat());
    let (ok, table) = under(&format!("nsu={SPACE};i=1"));
    assert!(ok && table.contains("3 variables, 2 can be points"), "{table}");
    assert!(!under("nsu=urn:nowhere;i=1").0);
    let (ok, table) = parkgate(&browse);
    assert!(ok && table.contains("Double") && table.contains("-20..80") && table.contains("(String)"), "{table}");

    // What it writes is a point table that the gateway takes as it is.
    let (ok, csv) = parkgate(&[&browse[..], &["--csv", "--device", "unit-1"]].concat());
    assert!(ok && csv.contains("unit-1.v0,v0,v0,unit-1,,,,°C,-20,80,normal,"), "{csv}");
    let site = dir.path().join("site");
    std::fs::create_dir(&site).unwrap();
    let example = support::root().join("config/examples/opcua/gateway.toml");
    std::fs::copy(example, site.join("gateway.toml")).unwrap();
    let devices =
        format!("[[opcua]]\nid = \"dcs-1\"\nurl = \"{url}\"\n[[device]]\nid = \"unit-1\"\nopcua = \"dcs-1\"\n");
    std::fs::write(site.join("devices.toml"), devices).unwrap();
    std::fs::write(site.join("points.csv"), csv).unwrap();
    let loaded = parkgate::config::load(&site).unwrap();
    assert_eq!(loaded.config.specs[0].points.len(), 2, "text makes no point");
    assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
}

/// By hand, in a release build, on a quiet machine:
/// `cargo test --release --test wire_opcua -- --ignored --nocapture ten_thousand`
#[cfg(feature = "sim")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "measures for a minute"]
async fn ten_thousand_items_that_change_each_second_cost() {
    use parkgate::sim::dcs::{Dcs, SPACE as DCS_SPACE, Settings};
    use std::fmt::Write;
    let n = 10_000;
    let dir = tempfile::tempdir().unwrap();
    let names: Vec<String> = (0..n).map(|i| format!("T{i}")).collect();
    let settings = Settings { folder: dir.path().join("dcs"), names, secured: true };
    let dcs = Dcs::start(settings).await.unwrap();
    let site = dir.path().join("site");
    std::fs::create_dir(&site).unwrap();
    let gateway = "[gateway]\npark = \"p\"\nid = \"g\"\nname = \"g\"\n[store]\ndir = \"d/store\"\nmirror_dir = \"d/mirror\"\nstate_dir = \"d/state\"\nquota = \"8GiB\"\n[store.streams.telemetry]\nretention = \"1h\"\n[web]\nlisten = \"127.0.0.1:0\"\n";
    std::fs::write(site.join("gateway.toml"), gateway).unwrap();
    let mut devices = format!("[[opcua]]\nid = \"dcs-1\"\nurl = \"opc.tcp://{}\"\n", dcs.addr());
    let mut points = "uid,tag,name,device,table,address,encoding,node\n".to_owned();
    for i in 0..n {
        if i % 1000 == 0 {
            write!(devices, "[[device]]\nid = \"unit-{}\"\nopcua = \"dcs-1\"\n", i / 1000).unwrap();
        }
        writeln!(points, "u{i},T{i},T{i},unit-{},,,,nsu={DCS_SPACE};s=T{i}", i / 1000).unwrap();
    }
    std::fs::write(site.join("devices.toml"), devices).unwrap();
    std::fs::write(site.join("points.csv"), points).unwrap();
    let pki = Pki::new(site.join("d/state/pki"));
    pki.prepare().unwrap();
    pki.judge(&std::fs::read(dcs.certificate()).unwrap(), Clock::system().now().wall).unwrap();
    trust_all(pki.dir());
    let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_parkgate"))
        .args(["run", "--config", site.to_str().unwrap()])
        .spawn()
        .unwrap();
    let cpu = |pid: u32| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        let ticks: u64 = stat.split_whitespace().skip(13).take(2).map(|t| t.parse::<u64>().unwrap()).sum();
        ticks * 10
    };
    let mut began = (support::wait::now(), 0);
    for second in 0..60_u32 {
        dcs.set((0..n).map(|i| f64::from(i) + f64::from(second)));
        tokio::time::sleep(Duration::from_millis(1000 - 5)).await;
        if second == 20 {
            began = (support::wait::now(), cpu(child.id()));
        }
    }
    let used = cpu(child.id()) - began.1;
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
    let memory = status.lines().filter(|l| l.starts_with("VmRSS") || l.starts_with("VmHWM")).collect::<Vec<_>>();
    println!("{n} items each second: {used} ms of CPU in {:?}, {memory:?}", began.0.elapsed());
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(child.id().try_into().unwrap()), nix::sys::signal::SIGTERM)
        .unwrap();
    child.wait().unwrap();
}

/// A line to the server that can be cut, or break by itself.
struct Line {
    port: u16,
    state: watch::Sender<(bool, Duration)>,
}

impl Line {
    async fn to(port: u16) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let here = listener.local_addr().unwrap().port();
        let (state, seen) = watch::channel((false, Duration::MAX));
        let serve = async move {
            while let Ok((mut near, _)) = listener.accept().await {
                let mut seen = seen.clone();
                let (is_cut, life) = *seen.borrow_and_update();
                if is_cut {
                    continue;
                }
                let pass = async move {
                    let Ok(mut far) = tokio::net::TcpStream::connect(("127.0.0.1", port)).await else { return };
                    tokio::select! {
                        _ = tokio::io::copy_bidirectional(&mut near, &mut far) => {}
                        _ = seen.changed() => {}
                        () = tokio::time::sleep(life) => {}
                    }
                };
                #[expect(clippy::disallowed_methods, reason = "a test has no supervisor")]
                tokio::spawn(pass);
            }
        };
        #[expect(clippy::disallowed_methods, reason = "a test has no supervisor")]
        tokio::spawn(serve);
        Self { port: here, state }
    }

    fn cut(&self, cut: bool) {
        self.state.send_replace((cut, Duration::MAX));
    }

    fn break_after(&self, life: Duration) {
        self.state.send_replace((false, life));
    }
}
