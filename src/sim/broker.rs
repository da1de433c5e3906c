//! A small MQTT 3.1.1 broker on rumqttc's codec, for the demo: an ordinary client (`mosquitto_sub`) can watch it.
//!
//! Served: CONNECT (any client id, user and password ignored), SUBSCRIBE with `+` and `#`, UNSUBSCRIBE, QoS 0 and 1 both
//! ways, retained messages, last will, keep-alive. Not served: QoS 2 (a publisher is disconnected, a subscriber is
//! granted 1), MQTT 5, TLS, **persistent sessions**: every session is treated as clean, CONNACK says so, and nothing
//! waits for a client that is away. Our own store is the only one that sends again, so nothing is missed by that.
//!
//! ```text
//!  accept ──▶ connection (reads, writes; one task each) ──Event──▶ hub (owns clients, subscriptions, retained)
//!                        ▲─────────────── Packet, bounded ────────────┘
//! ```
//!
//! The hub never waits: a subscriber whose queue is full, or that leaves too much unacknowledged, is disconnected.
//! A QoS 1 publish is acknowledged after it is in the queues of all its subscribers.
//! [`Broker::set_open`] takes the broker away (no listener, all connections dropped, wills published) and back.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::BytesMut;
use rumqttc::mqttbytes::v4::{
    ConnAck, Connect, ConnectReturnCode, LastWill, Packet, PubAck, Publish, SubAck, Subscribe, SubscribeReasonCode,
    UnsubAck,
};
use rumqttc::mqttbytes::{Error as CodecError, Protocol, QoS, valid_filter, valid_topic};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::{Id, JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

/// Largest packet taken, four times the largest the gateway may be configured to send.
pub const MAX_PACKET: usize = 1 << 20;
/// Packets that wait for one client; a subscriber slower than that is disconnected. Some seconds of a busy park.
pub const MAX_QUEUE: usize = 8_192;
/// QoS 1 publishes sent to a client and not acknowledged; well below the 65,535 packet ids.
pub const MAX_UNACKED: usize = 20_000;
/// Connections at one time; more are closed at once.
pub const MAX_CONNECTIONS: usize = 64;
/// Retained topics; one more is delivered, but not kept.
pub const MAX_RETAINED: usize = 10_000;
/// Filters of one client; one more is answered with failure.
const MAX_FILTERS: usize = 100;
/// Events that wait for the hub; connections wait in turn, and with them the publishers.
const MAX_EVENTS: usize = 1_024;
/// Packets written with one system call.
const WRITE_BATCH: usize = 64;
/// Time allowed from accept to CONNECT.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Pause before a failed bind or accept is tried again.
const RETRY: Duration = Duration::from_millis(50);

/// A running broker. Dropping it closes its sockets.
#[derive(Debug)]
pub struct Broker {
    addr: SocketAddr,
    open: watch::Sender<bool>,
    counters: Arc<Counters>,
    _tasks: JoinSet<()>,
}

#[derive(Debug, Default)]
struct Counters {
    clients: AtomicU64,
    published: AtomicU64,
    dropped_slow: AtomicU64,
}

impl Broker {
    /// Starts a broker at `listen` (port 0 takes a free one). Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// When the address cannot be had.
    pub async fn start(listen: SocketAddr) -> std::io::Result<Self> {
        let listener = TcpListener::bind(listen).await?;
        let addr = listener.local_addr()?;
        let counters = Arc::new(Counters::default());
        let (open, open_rx) = watch::channel(true);
        let (events, inbox) = mpsc::channel(MAX_EVENTS);
        let mut tasks = JoinSet::new();
        tasks.spawn(Hub::new(Arc::clone(&counters)).run(inbox));
        tasks.spawn(Front { addr, open: open_rx, events, next: 0 }.run(listener));
        Ok(Self { addr, open, counters, _tasks: tasks })
    }

    /// Returns where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Takes the broker away, or back at the same address.
    pub fn set_open(&self, open: bool) {
        self.open.send_replace(open);
    }

    /// Returns how many clients are connected.
    pub fn clients(&self) -> u64 {
        self.counters.clients.load(Ordering::Relaxed)
    }

    /// Returns how many publishes came, wills among them.
    pub fn published(&self) -> u64 {
        self.counters.published.load(Ordering::Relaxed)
    }

    /// Returns how many subscribers were disconnected because they were too slow.
    pub fn dropped_slow(&self) -> u64 {
        self.counters.dropped_slow.load(Ordering::Relaxed)
    }
}

/// Returns whether a valid filter matches a valid topic (MQTT 3.1.1, 4.7).
pub fn matches(filter: &str, topic: &str) -> bool {
    // Wildcards at the first level do not match `$SYS` and its like.
    if topic.starts_with('$') && !filter.starts_with('$') {
        return false;
    }
    let mut levels = topic.split('/');
    for wanted in filter.split('/') {
        match (wanted, levels.next()) {
            ("#", _) => return true,
            ("+", Some(_)) => {}
            (wanted, Some(level)) if wanted == level => {}
            (_, _) => return false,
        }
    }
    levels.next().is_none()
}

enum Event {
    Hello { conn: u64, connect: Connect, out: mpsc::Sender<Packet>, kick: CancellationToken },
    Packet { conn: u64, packet: Packet },
    Gone { conn: u64 },
}

/// The listener and its connections.
struct Front {
    addr: SocketAddr,
    open: watch::Receiver<bool>,
    events: mpsc::Sender<Event>,
    next: u64,
}

impl Front {
    async fn run(mut self, listener: TcpListener) {
        let mut listener = Some(listener);
        loop {
            if self.open.wait_for(|open| *open).await.is_err() {
                return;
            }
            match listener.take() {
                Some(bound) => self.accept_while_open(bound).await,
                None => match TcpListener::bind(self.addr).await {
                    Ok(bound) => listener = Some(bound),
                    Err(_) => tokio::time::sleep(RETRY).await,
                },
            }
        }
    }

    async fn accept_while_open(&mut self, listener: TcpListener) {
        let away = CancellationToken::new();
        let mut connections: JoinSet<()> = JoinSet::new();
        let mut numbers: BTreeMap<Id, u64> = BTreeMap::new();
        let mut open = self.open.clone();
        loop {
            tokio::select! {
                accepted = listener.accept() => match accepted {
                    Ok((stream, _)) if numbers.len() < MAX_CONNECTIONS => {
                        self.next += 1;
                        let run = connection(stream, self.next, self.events.clone(), away.child_token());
                        numbers.insert(connections.spawn(run).id(), self.next);
                    }
                    Ok(_) => {}
                    Err(_) => tokio::time::sleep(RETRY).await,
                },
                Some(ended) = connections.join_next_with_id() => self.note_end(ended, &mut numbers).await,
                () = taken_away(&mut open) => break,
            }
        }
        drop(listener);
        away.cancel();
        while let Some(ended) = connections.join_next_with_id().await {
            self.note_end(ended, &mut numbers).await;
        }
    }

    /// Tells the hub of every connection that ended, also of one that panicked on a malformed packet.
    async fn note_end(&self, ended: Result<(Id, ()), JoinError>, numbers: &mut BTreeMap<Id, u64>) {
        let id = match ended {
            Ok((id, ())) => id,
            Err(error) => error.id(),
        };
        if let Some(conn) = numbers.remove(&id) {
            // Without a hub there is nobody to tell.
            self.events.send(Event::Gone { conn }).await.ok();
        }
    }
}

/// Ends when the broker is to go; also when its handle is gone, though then the tasks end by themselves.
async fn taken_away(open: &mut watch::Receiver<bool>) {
    open.wait_for(|open| !*open).await.map(drop).ok();
}

/// One connection, until the client goes, breaks the protocol, falls silent, or is kicked.
async fn connection(stream: TcpStream, conn: u64, events: mpsc::Sender<Event>, kick: CancellationToken) {
    if stream.set_nodelay(true).is_err() {
        return;
    }
    let (read, write) = stream.into_split();
    let mut reader = Reader { read, buffer: BytesMut::new() };
    let first = tokio::select! {
        packet = tokio::time::timeout(CONNECT_TIMEOUT, reader.next()) => packet,
        () = kick.cancelled() => return,
    };
    let Ok(Some(Packet::Connect(connect))) = first else { return };
    if connect.protocol != Protocol::V4 {
        return;
    }
    // A client is given up after one and a half keep-alives without a packet (3.1.2.10).
    let silence = match connect.keep_alive {
        0 => Duration::MAX,
        seconds => Duration::from_millis(u64::from(seconds) * 1_500),
    };
    let (out, queue) = mpsc::channel(MAX_QUEUE);
    if events.send(Event::Hello { conn, connect, out, kick: kick.clone() }).await.is_err() {
        return;
    }
    tokio::select! {
        () = forward(reader, conn, silence, &events) => {}
        () = write_all(write, queue) => {}
        () = kick.cancelled() => {}
    }
}

async fn forward(mut reader: Reader, conn: u64, silence: Duration, events: &mpsc::Sender<Event>) {
    while let Ok(Some(packet)) = tokio::time::timeout(silence, reader.next()).await {
        let last = packet == Packet::Disconnect;
        if events.send(Event::Packet { conn, packet }).await.is_err() || last {
            return;
        }
    }
}

async fn write_all(mut write: OwnedWriteHalf, mut queue: mpsc::Receiver<Packet>) {
    let mut packets = Vec::with_capacity(WRITE_BATCH);
    let mut buffer = BytesMut::new();
    while queue.recv_many(&mut packets, WRITE_BATCH).await > 0 {
        for packet in packets.drain(..) {
            if packet.write(&mut buffer, usize::MAX).is_err() {
                return;
            }
        }
        if write.write_all(&buffer).await.is_err() {
            return;
        }
        buffer.clear();
    }
}

struct Reader {
    read: OwnedReadHalf,
    buffer: BytesMut,
}

impl Reader {
    /// The next packet; `None` when the peer is gone or sends what is no packet.
    async fn next(&mut self) -> Option<Packet> {
        loop {
            match Packet::read(&mut self.buffer, MAX_PACKET) {
                Ok(packet) => return Some(packet),
                Err(CodecError::InsufficientBytes(_)) => {}
                Err(_) => return None,
            }
            if self.read.read_buf(&mut self.buffer).await.ok()? == 0 {
                return None;
            }
        }
    }
}

/// The owner of clients, subscriptions and retained messages.
struct Hub {
    clients: BTreeMap<u64, Client>,
    retained: BTreeMap<String, Publish>,
    counters: Arc<Counters>,
}

struct Client {
    id: String,
    out: mpsc::Sender<Packet>,
    kick: CancellationToken,
    will: Option<LastWill>,
    filters: BTreeMap<String, QoS>,
    last_pkid: u16,
    unacked: usize,
}

impl Hub {
    fn new(counters: Arc<Counters>) -> Self {
        Self { clients: BTreeMap::new(), retained: BTreeMap::new(), counters }
    }

    async fn run(mut self, mut inbox: mpsc::Receiver<Event>) {
        while let Some(event) = inbox.recv().await {
            match event {
                Event::Hello { conn, connect, out, kick } => self.hello(conn, connect, out, kick),
                Event::Packet { conn, packet } => self.packet(conn, packet),
                Event::Gone { conn } => self.remove(conn),
            }
            let clients = u64::try_from(self.clients.len()).unwrap_or(u64::MAX);
            self.counters.clients.store(clients, Ordering::Relaxed);
        }
    }

    fn hello(&mut self, conn: u64, connect: Connect, out: mpsc::Sender<Packet>, kick: CancellationToken) {
        let id = if connect.client_id.is_empty() { format!("anonymous-{conn}") } else { connect.client_id };
        // The same client id takes over (3.1.4); the older connection is gone, its will is due.
        let older = self.clients.iter().find(|(_, c)| c.id == id).map(|(conn, _)| *conn);
        if let Some(older) = older {
            self.remove(older);
        }
        let will = connect.last_will;
        let client = Client { id, out, kick, will, filters: BTreeMap::new(), last_pkid: 0, unacked: 0 };
        self.clients.insert(conn, client);
        self.send(conn, Packet::ConnAck(ConnAck::new(ConnectReturnCode::Success, false)));
    }

    fn packet(&mut self, conn: u64, packet: Packet) {
        match packet {
            Packet::Publish(publish) => self.incoming(conn, publish),
            Packet::Subscribe(subscribe) => self.subscribe(conn, subscribe),
            Packet::Unsubscribe(unsubscribe) => {
                if let Some(client) = self.clients.get_mut(&conn) {
                    client.filters.retain(|filter, _| !unsubscribe.topics.contains(filter));
                }
                self.send(conn, Packet::UnsubAck(UnsubAck::new(unsubscribe.pkid)));
            }
            Packet::PubAck(_) => {
                if let Some(client) = self.clients.get_mut(&conn) {
                    client.unacked = client.unacked.saturating_sub(1);
                }
            }
            Packet::PingReq => self.send(conn, Packet::PingResp),
            Packet::Disconnect => {
                // A polite end takes the will with it (3.14.4).
                if let Some(client) = self.clients.get_mut(&conn) {
                    client.will = None;
                }
                self.remove(conn);
            }
            Packet::Connect(_)
            | Packet::ConnAck(_)
            | Packet::PubRec(_)
            | Packet::PubRel(_)
            | Packet::PubComp(_)
            | Packet::SubAck(_)
            | Packet::UnsubAck(_)
            | Packet::PingResp => self.remove(conn),
        }
    }

    fn incoming(&mut self, conn: u64, publish: Publish) {
        if publish.qos == QoS::ExactlyOnce || !valid_topic(&publish.topic) || publish.topic.is_empty() {
            return self.remove(conn);
        }
        let (qos, pkid) = (publish.qos, publish.pkid);
        self.route(publish);
        if qos == QoS::AtLeastOnce {
            self.send(conn, Packet::PubAck(PubAck::new(pkid)));
        }
    }

    fn route(&mut self, mut publish: Publish) {
        self.counters.published.fetch_add(1, Ordering::Relaxed);
        if publish.retain {
            self.retain(&publish);
        }
        publish.retain = false;
        publish.dup = false;
        let wanting: Vec<(u64, QoS)> =
            self.clients.iter().filter_map(|(conn, c)| Some((*conn, c.wants(&publish.topic)?))).collect();
        for (conn, qos) in wanting {
            self.deliver(conn, publish.clone(), qos);
        }
    }

    fn retain(&mut self, publish: &Publish) {
        if publish.payload.is_empty() {
            self.retained.remove(&publish.topic);
        } else if self.retained.len() < MAX_RETAINED || self.retained.contains_key(&publish.topic) {
            self.retained.insert(publish.topic.clone(), publish.clone());
        }
    }

    fn subscribe(&mut self, conn: u64, subscribe: Subscribe) {
        let Some(client) = self.clients.get_mut(&conn) else { return };
        let mut codes = Vec::new();
        let mut granted = Vec::new();
        for filter in subscribe.filters {
            if !valid_filter(&filter.path) || client.filters.len() >= MAX_FILTERS {
                codes.push(SubscribeReasonCode::Failure);
                continue;
            }
            let qos = lower(filter.qos, QoS::AtLeastOnce);
            codes.push(SubscribeReasonCode::Success(qos));
            client.filters.insert(filter.path.clone(), qos);
            granted.push((filter.path, qos));
        }
        self.send(conn, Packet::SubAck(SubAck::new(subscribe.pkid, codes)));
        for (filter, qos) in granted {
            let kept: Vec<Publish> = self.retained.values().filter(|p| matches(&filter, &p.topic)).cloned().collect();
            for publish in kept {
                self.deliver(conn, publish, qos);
            }
        }
    }

    fn deliver(&mut self, conn: u64, mut publish: Publish, qos: QoS) {
        let Some(client) = self.clients.get_mut(&conn) else { return };
        publish.qos = lower(publish.qos, qos);
        publish.pkid = 0;
        if publish.qos == QoS::AtLeastOnce {
            client.last_pkid = client.last_pkid.checked_add(1).unwrap_or(1);
            client.unacked += 1;
            publish.pkid = client.last_pkid;
        }
        if client.unacked > MAX_UNACKED {
            self.counters.dropped_slow.fetch_add(1, Ordering::Relaxed);
            return client.kick.cancel();
        }
        self.send(conn, Packet::Publish(publish));
    }

    /// Queues a packet; a client whose queue is full is kicked, and removed when its connection says it is gone.
    fn send(&self, conn: u64, packet: Packet) {
        let Some(client) = self.clients.get(&conn) else { return };
        if client.out.try_send(packet).is_err() && !client.kick.is_cancelled() {
            self.counters.dropped_slow.fetch_add(1, Ordering::Relaxed);
            client.kick.cancel();
        }
    }

    fn remove(&mut self, conn: u64) {
        let Some(client) = self.clients.remove(&conn) else { return };
        client.kick.cancel();
        if let Some(will) = client.will {
            let mut publish = Publish::from_bytes(will.topic, will.qos, will.message);
            publish.retain = will.retain;
            self.route(publish);
        }
    }
}

impl Client {
    /// The highest QoS under which a filter of this client matches.
    fn wants(&self, topic: &str) -> Option<QoS> {
        let matching = self.filters.iter().filter(|(filter, _)| matches(filter, topic));
        matching.map(|(_, qos)| *qos).reduce(|a, b| if a == QoS::AtLeastOnce { a } else { b })
    }
}

fn lower(a: QoS, b: QoS) -> QoS {
    if a < b { a } else { b }
}

#[cfg(test)]
mod tests {
    use std::process::Stdio;

    use rumqttc::{AsyncClient, Event as ClientEvent, EventLoop, MqttOptions};
    use tokio::io::{AsyncBufReadExt, BufReader};
    use tokio::process::Command;

    use super::*;

    const DEADLINE: Duration = Duration::from_secs(30);

    async fn broker() -> Broker {
        Broker::start((std::net::Ipv4Addr::LOCALHOST, 0).into()).await.unwrap()
    }

    fn client(broker: &Broker, id: &str, will: Option<LastWill>) -> (AsyncClient, EventLoop) {
        let mut options = MqttOptions::new(id, broker.addr().ip().to_string(), broker.addr().port());
        options.set_keep_alive(Duration::from_secs(5));
        options.set_max_packet_size(MAX_PACKET, MAX_PACKET);
        if let Some(will) = will {
            options.set_last_will(will);
        }
        AsyncClient::new(options, 100)
    }

    async fn until<T>(events: &mut EventLoop, mut found: impl FnMut(Packet) -> Option<T>) -> T {
        let find = async {
            loop {
                if let ClientEvent::Incoming(packet) = events.poll().await.unwrap()
                    && let Some(found) = found(packet)
                {
                    return found;
                }
            }
        };
        tokio::time::timeout(DEADLINE, find).await.unwrap()
    }

    async fn publish_of(events: &mut EventLoop) -> Publish {
        until(events, |p| if let Packet::Publish(p) = p { Some(p) } else { None }).await
    }

    async fn subscribed(broker: &Broker, id: &str, filter: &str) -> (AsyncClient, EventLoop) {
        let (client, mut events) = client(broker, id, None);
        client.subscribe(filter, QoS::AtLeastOnce).await.unwrap();
        until(&mut events, |p| matches!(p, Packet::SubAck(_)).then_some(())).await;
        (client, events)
    }

    #[test]
    fn filters_match_as_the_specification_has_it() {
        for (filter, topic, matching) in [
            ("a/b", "a/b", true),
            ("a/+", "a/b", true),
            ("+/+", "a/b", true),
            ("+", "a/b", false),
            ("#", "a/b", true),
            ("a/#", "a", true),
            ("a/#", "a/b/c", true),
            ("a/+/c", "a//c", true),
            ("#", "$SYS/x", false),
            ("$SYS/#", "$SYS/x", true),
            ("a/b/c", "a/b", false),
            ("a", "a/b", false),
            ("#", "化工园区/气体", true),
        ] {
            assert_eq!(matches(filter, topic), matching, "{filter} {topic}");
        }
    }

    #[tokio::test]
    async fn ten_thousand_publishes_arrive_once_and_in_order() {
        let broker = broker().await;
        let (_watcher, mut watched) = subscribed(&broker, "watcher", "park/+/telemetry").await;
        let (publisher, mut acks) = client(&broker, "publisher", None);
        let n = 10_000_u32;
        let feed = async {
            for i in 0..n {
                publisher.publish("park/gw/telemetry", QoS::AtLeastOnce, false, i.to_be_bytes()).await.unwrap();
            }
            std::future::pending::<()>().await;
        };
        let acked = async {
            for _ in 0..n {
                until(&mut acks, |p| matches!(p, Packet::PubAck(_)).then_some(())).await;
            }
        };
        let seen = async {
            for i in 0..n {
                assert_eq!(publish_of(&mut watched).await.payload.as_ref(), i.to_be_bytes());
            }
        };
        tokio::select! {
            () = feed => {}
            _ = async { tokio::join!(acked, seen) } => {}
        }
        assert_eq!((broker.published(), broker.dropped_slow(), broker.clients()), (u64::from(n), 0, 2));
    }

    #[tokio::test]
    async fn a_will_is_published_when_a_client_breaks_off_and_stays_when_retained() {
        let broker = broker().await;
        let (_watcher, mut watched) = subscribed(&broker, "watcher", "gw/state").await;
        let will = LastWill::new("gw/state", "offline", QoS::AtLeastOnce, true);
        let (publisher, mut events) = client(&broker, "gw", Some(will));
        publisher.publish("gw/state", QoS::AtLeastOnce, true, "online").await.unwrap();
        until(&mut events, |p| matches!(p, Packet::PubAck(_)).then_some(())).await;
        assert_eq!(publish_of(&mut watched).await.payload.as_ref(), b"online");
        drop((publisher, events));
        assert_eq!(publish_of(&mut watched).await.payload.as_ref(), b"offline");
        let (_late, mut late) = client(&broker, "late", None);
        _late.subscribe("#", QoS::AtMostOnce).await.unwrap();
        let kept = publish_of(&mut late).await;
        assert_eq!((kept.payload.as_ref(), kept.retain), (&b"offline"[..], true));
    }

    #[tokio::test]
    async fn a_polite_end_takes_the_will_with_it_and_the_same_id_takes_over() {
        let broker = broker().await;
        let (_watcher, mut watched) = subscribed(&broker, "watcher", "#").await;
        let will = |text: &str| Some(LastWill::new("w", text, QoS::AtMostOnce, false));
        let (first, mut first_events) = client(&broker, "same", will("first"));
        until(&mut first_events, |p| matches!(p, Packet::ConnAck(_)).then_some(())).await;
        let (second, mut second_events) = client(&broker, "same", will("second"));
        until(&mut second_events, |p| matches!(p, Packet::ConnAck(_)).then_some(())).await;
        assert_eq!(publish_of(&mut watched).await.payload.as_ref(), b"first");
        drop(first);
        second.disconnect().await.unwrap();
        while second_events.poll().await.is_ok() {}
        let (third, mut third_events) = client(&broker, "third", None);
        third.publish("last", QoS::AtLeastOnce, false, "last").await.unwrap();
        until(&mut third_events, |p| matches!(p, Packet::PubAck(_)).then_some(())).await;
        assert_eq!(publish_of(&mut watched).await.topic, "last");
    }

    #[tokio::test]
    async fn taken_away_nothing_connects_and_taken_back_it_is_at_the_same_address() {
        let broker = broker().await;
        let (_a, mut events) = subscribed(&broker, "a", "#").await;
        broker.set_open(false);
        let gone = async { while events.poll().await.is_ok() {} };
        tokio::time::timeout(DEADLINE, gone).await.unwrap();
        let refused = async {
            while TcpStream::connect(broker.addr()).await.is_ok() {
                tokio::time::sleep(RETRY).await;
            }
        };
        tokio::time::timeout(DEADLINE, refused).await.unwrap();
        broker.set_open(true);
        let back = async {
            while events.poll().await.is_err() {
                tokio::time::sleep(RETRY).await;
            }
        };
        tokio::time::timeout(DEADLINE, back).await.unwrap();
    }

    #[tokio::test]
    async fn a_subscriber_that_does_not_read_is_dropped_and_the_others_are_served() {
        let broker = broker().await;
        let mut slow = TcpStream::connect(broker.addr()).await.unwrap();
        let mut hello = BytesMut::new();
        Packet::Connect(Connect::new("slow")).write(&mut hello, MAX_PACKET).unwrap();
        Packet::Subscribe(Subscribe { pkid: 1, ..Subscribe::new("#", QoS::AtMostOnce) })
            .write(&mut hello, MAX_PACKET)
            .unwrap();
        slow.write_all(&hello).await.unwrap();
        let (publisher, mut acks) = client(&broker, "publisher", None);
        let flood = async {
            while broker.dropped_slow() == 0 {
                publisher.publish("t", QoS::AtLeastOnce, false, vec![0; 16_384]).await.unwrap();
            }
        };
        let acked = async {
            loop {
                acks.poll().await.unwrap();
            }
        };
        tokio::select! {
            done = tokio::time::timeout(DEADLINE, flood) => done.unwrap(),
            () = acked => {}
        }
    }

    #[tokio::test]
    async fn what_is_no_mqtt_is_hung_up_on_and_harms_nobody() {
        let broker = broker().await;
        let mut connect = BytesMut::new();
        Packet::Connect(Connect::new("odd")).write(&mut connect, MAX_PACKET).unwrap();
        let too_large = [&connect[..], &[0x30, 0xFF, 0xFF, 0xFF, 0x7F]].concat();
        let short_unsubscribe = [&connect[..], &[0xA2, 1, 0]].concat();
        for junk in [&b"GET / HTTP/1.1\r\n\r\n"[..], &[0x30, 3, 0, 1, b'a'], &too_large, &short_unsubscribe] {
            let mut stream = TcpStream::connect(broker.addr()).await.unwrap();
            stream.write_all(junk).await.unwrap();
            let mut rest = Vec::new();
            // Hung up, whether with FIN or, our bytes unread, with RST.
            tokio::time::timeout(DEADLINE, stream.read_to_end(&mut rest)).await.unwrap().ok();
        }
        let (_watcher, _events) = subscribed(&broker, "watcher", "#").await;
    }

    fn installed(program: &str) -> bool {
        std::process::Command::new(program).arg("--help").output().is_ok()
    }

    #[tokio::test]
    async fn mosquittos_own_clients_can_watch_and_publish() {
        if !installed("mosquitto_sub") || !installed("mosquitto_pub") {
            assert!(std::env::var_os("PARKGATE_NO_SKIP").is_none(), "mosquitto-clients is not installed");
            eprintln!("SKIPPED: mosquitto-clients is not installed");
            return;
        }
        let broker = broker().await;
        let port = broker.addr().port().to_string();
        let base = ["-h", "127.0.0.1", "-p", &port, "-q", "1"];
        let publish = |args: &'static [&'static str]| Command::new("mosquitto_pub").args(base).args(args).status();
        assert!(publish(&["-r", "-t", "园区/kept", "-m", "kept"]).await.unwrap().success());
        let mut watcher = Command::new("mosquitto_sub")
            .args(base)
            .args(["-v", "-t", "园区/#", "-t", "a/+/c", "-C", "3", "-W", "30"])
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(watcher.stdout.take().unwrap()).lines();
        assert_eq!(lines.next_line().await.unwrap().unwrap(), "园区/kept kept");
        let waiting = async {
            // The retained line proves the first filter; the second stands in the same SUBSCRIBE.
            assert!(publish(&["-t", "a/b/x", "-m", "no"]).await.unwrap().success());
            assert!(publish(&["-t", "a/b/c", "-m", "yes"]).await.unwrap().success());
            assert!(publish(&["-t", "园区/new", "-m", "新"]).await.unwrap().success());
        };
        tokio::time::timeout(DEADLINE, waiting).await.unwrap();
        assert_eq!(lines.next_line().await.unwrap().unwrap(), "a/b/c yes");
        assert_eq!(lines.next_line().await.unwrap().unwrap(), "园区/new 新");
        assert!(watcher.wait().await.unwrap().success());
    }
}
