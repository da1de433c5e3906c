//! What the MQTT wire tests share: a mosquitto of their own, a store in memory, a platform that keeps its own account,
//! and the uplink between them.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::net::{TcpListener, TcpStream};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::process::{Child, Command as Process, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use parkgate::clock::Clock;
use parkgate::domain::codec;
use parkgate::domain::id::{DeviceId, PointUid, Tag};
use parkgate::domain::ranges::RangeSet;
use parkgate::domain::reading::{Quality, Reading, Value};
use parkgate::domain::record::{Basis, Body, Entry, Gap, Mode, Samples, Stamp, Stream};
use parkgate::domain::registry::{Commissioning, Deadband, DeviceSpec, PlatformCodes, PointSpec, Registry};
use parkgate::domain::snapshot::UplinkStatus;
use parkgate::domain::time::{ClockTrust, Timestamp};
use parkgate::uplink::settings::{AckMode, Broker, Settings};
use parkgate::uplink::source::Boxed;
use parkgate::uplink::{Command, CommandMemory, Identity, Inputs, Live, Page, ReadError, Registries, Source};
use rumqttc::{AsyncClient, Event, MqttOptions, Packet, QoS};
use serde_json::Value as Json;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

/// Deadline of every wait: generous, a test asserts states and never a speed.
pub(crate) const DEADLINE: Duration = Duration::from_secs(40);
pub(crate) const EPOCH: &str = "01KTEST0000000000000000000";
pub(crate) const BASE: &str = "parkgate/v1/demo-park/gw-east";

/// Says that a test could not run; a failure where skipping is not allowed.
pub(crate) fn skip(why: &str) {
    assert!(std::env::var("PARKGATE_NO_SKIP").as_deref() != Ok("1"), "skipped although that is forbidden: {why}");
    eprintln!("SKIPPED: {why}");
}

/// Returns whether `program` can be started.
pub(crate) fn has(program: &str) -> bool {
    Process::new(program).arg("-h").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok()
        || Path::new("/usr/sbin").join(program).exists()
}

pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A mosquitto with a configuration of its own; ends with the value.
pub(crate) struct Mosquitto {
    child: Option<Child>,
    pub(crate) port: u16,
    dir: PathBuf,
    config: String,
}

impl Mosquitto {
    /// Starts one; `extra` goes into its configuration. `None` (and a note) when there is no mosquitto.
    pub(crate) fn start(dir: &Path, extra: &str) -> Option<Self> {
        if !has("mosquitto") {
            skip("mosquitto is not installed");
            return None;
        }
        let port = free_port();
        let config = format!(
            "listener {port} 127.0.0.1\nallow_anonymous true\npersistence false\nmax_queued_messages 0\nmax_inflight_messages 0\n{extra}\n"
        );
        let mut broker = Self { child: None, port, dir: dir.to_owned(), config };
        broker.up();
        Some(broker)
    }

    pub(crate) fn up(&mut self) {
        let file = self.dir.join("mosquitto.conf");
        std::fs::write(&file, &self.config).unwrap();
        let program = if Path::new("/usr/sbin/mosquitto").exists() { "/usr/sbin/mosquitto" } else { "mosquitto" };
        let child =
            Process::new(program).arg("-c").arg(&file).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        self.child = Some(child);
        for _ in 0..400 {
            if TcpStream::connect(("127.0.0.1", self.port)).is_ok() {
                return;
            }
            std::thread::sleep(Duration::from_millis(25));
        }
        panic!("mosquitto does not listen");
    }

    /// Ends it at once, without a word to anybody.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    pub(crate) fn signal(&self, signal: nix::sys::signal::Signal) {
        let pid = self.child.as_ref().unwrap().id();
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid.try_into().unwrap()), signal).unwrap();
    }
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The store in memory: what is made can be read at once.
#[derive(Clone)]
pub(crate) struct Memory(Arc<Inner>);

struct Inner {
    records: Mutex<[Vec<Entry>; 6]>,
    gaps: Mutex<Vec<Gap>>,
    delivered: Mutex<[RangeSet; 7]>,
    committed: watch::Sender<[u64; 6]>,
    /// Calls of `deliver`.
    pub(crate) told: Mutex<u64>,
}

impl Memory {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Inner {
            records: Mutex::default(),
            gaps: Mutex::default(),
            delivered: Mutex::default(),
            committed: watch::channel([0; 6]).0,
            told: Mutex::new(0),
        }))
    }

    pub(crate) fn delivered_now(&self, stream: Stream) -> RangeSet {
        self.0.delivered.lock().unwrap()[stream.rank()].clone()
    }

    pub(crate) fn gaps_delivered_now(&self) -> RangeSet {
        self.0.delivered.lock().unwrap()[6].clone()
    }

    pub(crate) fn add_gap(&self, gap: Gap) {
        self.0.gaps.lock().unwrap().push(gap);
    }

    /// Takes a record out of the store: it is lost there.
    pub(crate) fn lose(&self, stream: Stream, seq: u64) {
        self.0.records.lock().unwrap()[stream.rank()].retain(|e| e.seq != seq);
    }

    pub(crate) fn append(&self, stream: Stream, entry: Entry) {
        self.0.records.lock().unwrap()[stream.rank()].push(entry);
    }

    pub(crate) fn commit(&self, stream: Stream, seq: u64) {
        self.0.committed.send_modify(|all| all[stream.rank()] = seq);
    }
}

impl Source for Memory {
    fn committed(&self) -> watch::Receiver<[u64; 6]> {
        self.0.committed.subscribe()
    }

    async fn read(&self, stream: Stream, seqs: RangeInclusive<u64>, max_bytes: usize) -> Result<Page, ReadError> {
        let records = self.0.records.lock().unwrap();
        let mut page = Page { next: *seqs.start(), ..Page::default() };
        let mut bytes = 0;
        let from = records[stream.rank()].partition_point(|e| e.seq < *seqs.start());
        for entry in records[stream.rank()][from..].iter().take_while(|e| e.seq <= *seqs.end()) {
            if bytes >= max_bytes {
                return Ok(page);
            }
            if entry.seq > page.next {
                page.missing.push(page.next..=entry.seq - 1);
            }
            bytes += entry.body.len();
            page.next = entry.seq + 1;
            page.entries.push(entry.clone());
        }
        if page.next <= *seqs.end() {
            page.missing.push(page.next..=*seqs.end());
            page.next = *seqs.end() + 1;
        }
        Ok(page)
    }

    async fn span(&self, stream: Stream) -> RangeInclusive<u64> {
        1..=self.0.records.lock().unwrap()[stream.rank()].last().map_or(0, |e| e.seq)
    }

    async fn delivered(&self, stream: Stream, _consumer: &str) -> RangeSet {
        self.delivered_now(stream)
    }

    async fn deliver(&self, stream: Stream, _consumer: &str, ranges: Vec<RangeInclusive<u64>>) {
        *self.0.told.lock().unwrap() += 1;
        for range in ranges {
            self.0.delivered.lock().unwrap()[stream.rank()].insert(range);
        }
    }

    async fn gaps(&self, from_no: u64, max: usize) -> Vec<Gap> {
        self.0.gaps.lock().unwrap().iter().filter(|g| g.no >= from_no).take(max).cloned().collect()
    }

    async fn gaps_delivered(&self, _consumer: &str) -> RangeSet {
        self.gaps_delivered_now()
    }

    async fn deliver_gaps(&self, _consumer: &str, nos: Vec<RangeInclusive<u64>>) {
        for range in nos {
            self.0.delivered.lock().unwrap()[6].insert(range);
        }
    }
}

/// Command ids in memory.
#[derive(Default)]
pub(crate) struct Ids(Mutex<Vec<u8>>);

impl CommandMemory for Ids {
    fn load(&self) -> Boxed<'_, Vec<u8>> {
        Box::pin(async { self.0.lock().unwrap().clone() })
    }

    fn save(&self, blob: Vec<u8>) -> Boxed<'_, Result<(), String>> {
        *self.0.lock().unwrap() = blob;
        Box::pin(async { Ok(()) })
    }
}

struct Book(Arc<Registry>);

impl Registries for Book {
    fn get(&self, rev: u32) -> Option<Arc<Registry>> {
        (rev == self.0.rev).then(|| Arc::clone(&self.0))
    }
}

/// One device with `points` points.
pub(crate) fn registry(points: usize) -> Arc<Registry> {
    let point = |i: usize| PointSpec {
        uid: PointUid::new(format!("u{i}")),
        tag: Tag::new(format!("TT{i:03}")),
        name: "温度".into(),
        unit: "℃".into(),
        decimals: Some(1),
        range: None,
        deadband: Deadband::Off,
        max_silence: Duration::from_secs(60),
        interval: Duration::from_secs(1),
        platform: PlatformCodes::default(),
        commissioning: Commissioning::InService,
        instrument: None,
    };
    let device =
        DeviceSpec { id: DeviceId::new("plc-tank-1"), name: "罐区".into(), points: (0..points).map(point).collect() };
    Arc::new(Registry { rev: 1, devices: vec![Arc::new(device)] })
}

pub(crate) fn settings(port: u16, ack: AckMode) -> Settings {
    Settings {
        park: "demo-park".into(),
        gateway: "gw-east".into(),
        broker: Broker {
            host: "127.0.0.1".into(),
            port,
            tls: None,
            login: None,
            client_id: "gw-east".into(),
            keep_alive: Duration::from_secs(5),
            connect_timeout: Duration::from_secs(5),
            backoff_initial: Duration::from_millis(100),
            backoff_max: Duration::from_millis(500),
        },
        ack,
        ack_timeout: Duration::from_secs(60),
        max_message_bytes: 16 << 10,
        max_batch_age: Duration::from_millis(10),
        max_in_flight: 50,
        command_keys: Vec::new(),
        attachments: None,
    }
}

/// The uplink with everything around it.
pub(crate) struct Gateway {
    pub(crate) store: Memory,
    pub(crate) registry: Arc<Registry>,
    pub(crate) clock: Clock,
    pub(crate) status: watch::Receiver<Arc<UplinkStatus>>,
    pub(crate) commands: mpsc::Receiver<Command>,
    live: mpsc::Sender<Live>,
    next: watch::Sender<[u64; 6]>,
    _rev: watch::Sender<u32>,
    pub(crate) stop: CancellationToken,
    pub(crate) task: tokio::task::JoinHandle<Result<(), String>>,
}

impl Gateway {
    pub(crate) fn start(settings: Settings) -> Self {
        Self::with(settings, Memory::new(), Arc::new(Ids::default()))
    }

    pub(crate) fn with(settings: Settings, store: Memory, memory: Arc<dyn CommandMemory>) -> Self {
        let clock = Clock::system();
        let registry = registry(100);
        let next = store.0.records.lock().unwrap().each_ref().map(|r| r.last().map_or(1, |e| e.seq + 1));
        let (live, live_rx) = mpsc::channel(64);
        let (next, next_rx) = watch::channel(next);
        let (rev, rev_rx) = watch::channel(1);
        let (commands_tx, commands) = mpsc::channel(64);
        let (status_tx, status) = watch::channel(Arc::new(UplinkStatus::default()));
        let stop = CancellationToken::new();
        let inputs = Inputs {
            settings,
            source: store.clone(),
            registries: Book(Arc::clone(&registry)),
            live: live_rx,
            next: next_rx,
            identity: Identity { epoch: EPOCH.into(), boot: 3, software: "test".into(), registry: rev_rx },
            commands: commands_tx,
            memory,
            status: status_tx,
            clock: clock.clone(),
            stop: stop.clone(),
        };
        #[expect(clippy::disallowed_methods, reason = "a test has no supervisor")]
        let task = tokio::spawn(parkgate::uplink::run(inputs));
        Self { store, registry, clock, status, commands, live, next, _rev: rev, stop, task }
    }

    pub(crate) fn stamp(&self) -> Stamp {
        let now = self.clock.now();
        Stamp { boot: 3, rev: 1, mono: now.mono, wall: now.wall, trust: ClockTrust::Synced }
    }

    /// Makes a record as the engine does: numbered, stored, offered live.
    pub(crate) fn make(&self, stream: Stream, body: &Body) -> u64 {
        let seq = self.next.borrow()[stream.rank()];
        self.make_unstored(stream, body);
        self.store.commit(stream, seq);
        seq
    }

    /// The same, and the store has not committed it.
    pub(crate) fn make_unstored(&self, stream: Stream, body: &Body) {
        let seq = self.next.borrow()[stream.rank()];
        self.next.send_modify(|next| next[stream.rank()] += 1);
        let entry = Entry { seq, stamp: self.stamp(), body: codec::encode(body, &self.registry) };
        self.store.append(stream, entry.clone());
        // A full channel is the application's normal answer to a slow uplink.
        let _dropped = self.live.try_send(Live { stream, entry });
    }

    /// A telemetry record whose first value is the counter `n` of the test.
    pub(crate) fn sample(&self, n: u64) -> u64 {
        self.make(Stream::Telemetry, &samples(n))
    }

    /// Waits until the status is as asked.
    pub(crate) async fn until(&mut self, what: &str, mut holds: impl FnMut(&UplinkStatus) -> bool) {
        let seen = tokio::time::timeout(DEADLINE, self.status.wait_for(|s| holds(s))).await.is_ok_and(|s| s.is_ok());
        assert!(seen, "never: {what}; {:#?}", self.status.borrow());
    }

    pub(crate) async fn all_up(&mut self) {
        self.until("all sessions up", |s| s.sessions.len() == 3 && s.sessions.iter().all(|s| s.up)).await;
    }

    pub(crate) fn refused(&self, reason: &str) -> u64 {
        self.status.borrow().refused.iter().find(|(r, _)| *r == reason).map_or(0, |(_, n)| *n)
    }

    pub(crate) async fn until_refused(&mut self, reason: &'static str, n: u64) {
        self.until(reason, |s| s.refused.iter().any(|(r, count)| *r == reason && *count >= n)).await;
    }

    /// Ends it in order; panics when that takes too long.
    pub(crate) async fn end(self) -> Memory {
        let Self { live, stop, task, store, .. } = self;
        stop.cancel();
        drop(live);
        tokio::time::timeout(DEADLINE, task).await.expect("the uplink never ended").unwrap().unwrap();
        store
    }
}

pub(crate) fn samples(n: u64) -> Body {
    let first = (0, Reading::good(Value::Number(n as f64)));
    let others = (1..19).map(|i| (i, Reading::good(Value::Number(f64::from(i) + 0.5))));
    let last = (19, Reading::missing(Quality::Comm));
    let cells = [first].into_iter().chain(others).chain([last]).collect();
    Body::Samples(Samples { device: 0, basis: Basis::Poll, t: None, historical: false, mode: Mode::Real, cells })
}

/// A record of 100 values, as the largest parks make them.
pub(crate) fn wide(n: u64) -> Body {
    let cells = (0..100).map(|i| (i, Reading::good(Value::Number(((n * 31 + u64::from(i)) % 10_000) as f64 / 10.0))));
    Body::Samples(Samples {
        device: 0,
        basis: Basis::Poll,
        t: None,
        historical: false,
        mode: Mode::Real,
        cells: cells.collect(),
    })
}

/// What the platform does with what it hears.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Habit {
    /// Stores and says so.
    Acks,
    /// Stores and keeps silent.
    Silent,
}

/// What the platform holds.
#[derive(Default)]
pub(crate) struct Held {
    /// Records by stream and number.
    pub(crate) records: BTreeMap<(String, u64), Json>,
    /// Every arrival: stream, lane, number, in order.
    pub(crate) arrivals: Vec<(String, String, u64)>,
    pub(crate) envelopes: Vec<(String, Vec<u8>)>,
    pub(crate) states: Vec<Json>,
    pub(crate) largest: usize,
    /// Age of each live record when it arrived, by the clocks of one machine.
    pub(crate) live_ages_ms: Vec<i64>,
    /// The same number with another content.
    pub(crate) contradictions: Vec<(String, u64)>,
}

impl Held {
    pub(crate) fn seqs(&self, stream: &str) -> BTreeSet<u64> {
        self.records.keys().filter(|(s, _)| s == stream).map(|(_, n)| *n).collect()
    }

    /// Arrivals of one lane with repetitions taken out must ascend.
    pub(crate) fn first_arrivals(&self, stream: &str, lane: &str) -> Vec<u64> {
        let mut seen = BTreeSet::new();
        let mine = self.arrivals.iter().filter(|(s, l, _)| s == stream && l == lane);
        mine.filter(|(_, _, n)| seen.insert(*n)).map(|(_, _, n)| *n).collect()
    }
}

/// A platform of the test's own on its own client.
pub(crate) struct Platform {
    pub(crate) held: Arc<Mutex<Held>>,
    pub(crate) client: AsyncClient,
    pub(crate) habit: watch::Sender<Habit>,
    pub(crate) subscribed: watch::Receiver<bool>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Platform {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Platform {
    pub(crate) fn start(port: u16, habit: Habit) -> Self {
        let mut options = MqttOptions::new("platform", "127.0.0.1", port);
        options.set_clean_session(false).set_max_packet_size(64 << 20, 64 << 20).set_keep_alive(Duration::from_secs(5));
        options.set_inflight(500);
        let (client, mut eventloop) = AsyncClient::new(options, 500);
        let held = Arc::new(Mutex::new(Held::default()));
        let (habit, habits) = watch::channel(habit);
        let (subscribed_tx, subscribed) = watch::channel(false);
        let (sink, speaker) = (Arc::clone(&held), client.clone());
        #[expect(clippy::disallowed_methods, reason = "a test has no supervisor")]
        let task = tokio::spawn(async move {
            loop {
                match eventloop.poll().await {
                    Ok(Event::Incoming(Packet::ConnAck(_))) => {
                        for topic in ["alarm", "passage", "event", "registry", "report", "telemetry", "gap", "state"] {
                            speaker.try_subscribe(format!("{BASE}/{topic}"), QoS::AtLeastOnce).unwrap();
                        }
                    }
                    Ok(Event::Incoming(Packet::SubAck(_))) => {
                        subscribed_tx.send_replace(true);
                    }
                    Ok(Event::Incoming(Packet::Publish(publish))) => {
                        let ack = take(&sink, &publish.topic, &publish.payload);
                        if let Some(ack) = ack.filter(|_| *habits.borrow() == Habit::Acks) {
                            let _full = speaker.try_publish(format!("{BASE}/ack"), QoS::AtLeastOnce, false, ack);
                        }
                    }
                    Ok(_) => {}
                    Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
                }
            }
        });
        Self { held, client, habit, subscribed, task }
    }

    pub(crate) async fn ready(&mut self) {
        tokio::time::timeout(DEADLINE, self.subscribed.wait_for(|s| *s)).await.unwrap().unwrap();
    }

    /// Waits until the platform holds what is asked.
    pub(crate) async fn until(&self, what: &str, mut holds: impl FnMut(&Held) -> bool) {
        for _ in 0..DEADLINE.as_millis() / 20 {
            if holds(&self.held.lock().unwrap()) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let held = self.held.lock().unwrap();
        panic!(
            "never: {what}; {} records, {} arrivals, {:?}",
            held.records.len(),
            held.arrivals.len(),
            held.states.last()
        );
    }

    pub(crate) async fn ack(&self, text: impl Into<Vec<u8>>) {
        self.client.publish(format!("{BASE}/ack"), QoS::AtLeastOnce, false, text).await.unwrap();
    }
}

/// Notes a message; returns the acknowledgement for it.
fn take(held: &Mutex<Held>, topic: &str, payload: &[u8]) -> Option<String> {
    let mut held = held.lock().unwrap();
    let message: Json = serde_json::from_slice(payload).expect("every message is JSON");
    held.largest = held.largest.max(payload.len());
    held.envelopes.push((topic.to_owned(), payload.to_vec()));
    if topic.ends_with("/state") {
        held.states.push(message);
        return None;
    }
    let stream = message["stream"].as_str().unwrap().to_owned();
    let lane = message["lane"].as_str().unwrap().to_owned();
    let mut stored = RangeSet::new();
    for record in message["records"].as_array().unwrap() {
        let seq = record["seq"].as_u64().unwrap();
        stored.insert(seq..=seq);
        held.arrivals.push((stream.clone(), lane.clone(), seq));
        if lane == "live" {
            let t: jiff::Timestamp = record["t"].as_str().unwrap().parse().unwrap();
            held.live_ages_ms.push(wall().0 - t.as_millisecond());
        }
        let mut content = record.clone();
        content.as_object_mut().unwrap().remove("unstored");
        let before = held.records.insert((stream.clone(), seq), content.clone());
        if before.is_some_and(|before| before != content) {
            held.contradictions.push((stream.clone(), seq));
        }
    }
    let ranges: Vec<[u64; 2]> = stored.iter().map(|r| [*r.start(), *r.end()]).collect();
    Some(serde_json::json!({ "epoch": message["epoch"], "stream": stream, "stored": ranges }).to_string())
}

/// Waits for a state of the test's own.
pub(crate) async fn eventually<F: Future<Output = bool>>(what: &str, mut holds: impl FnMut() -> F) {
    for _ in 0..DEADLINE.as_millis() / 20 {
        if holds().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("never: {what}");
}

/// Returns `1..=n` as a set.
pub(crate) fn up_to(n: u64) -> BTreeSet<u64> {
    (1..=n).collect()
}

pub(crate) fn wall() -> Timestamp {
    let since = SystemTime::UNIX_EPOCH.elapsed().unwrap();
    Timestamp(since.as_millis().try_into().unwrap())
}

/// Returns a command signed for the test gateway, valid for a minute.
pub(crate) fn signed_command(key: &parkgate::uplink::settings::CommandKey, id: &str, name: &str, args: &str) -> String {
    let at = |after: i64| jiff::Timestamp::from_millisecond(wall().0 + after).unwrap().to_string();
    let (issued, expires) = (at(0), at(60_000));
    let (kid, issuer) = (&key.id, &key.issuer);
    let text = format!(
        "parkgate-cmd-v1\ndemo-park/gw-east\n{id}\n{issuer}\n{kid}\nHMAC-SHA256\n{issued}\n{expires}\n\nn1\n{name}\n{args}"
    );
    let tag = ring::hmac::sign(&ring::hmac::Key::new(ring::hmac::HMAC_SHA256, &key.secret), text.as_bytes());
    let sig: String = tag.as_ref().iter().map(|b| format!("{b:02x}")).collect();
    format!(
        "{{\"id\":\"{id}\",\"issuer\":\"{issuer}\",\"key\":\"{kid}\",\"alg\":\"HMAC-SHA256\",\"issued_at\":\"{issued}\",\"expires\":\"{expires}\",\"nonce\":\"n1\",\"name\":\"{name}\",\"args\":{args},\"sig\":\"{sig}\"}}"
    )
}
