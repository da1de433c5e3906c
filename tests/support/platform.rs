//! A city platform in the test: receives the feed over MQTT, keeps the account, acknowledges what it holds, and keeps
//! beside it the counters of a [`parkgate::sim::load::Field`], which trust no number of the gateway's.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use parkgate::clock::Clock;
use parkgate::domain::record::Stream;
use parkgate::sim::account::{Account, Channel, Closing, Lane, Receipt, Seen};
use rumqttc::{AsyncClient, ConnectionError, Event, EventLoop, MqttOptions, Packet, Publish, QoS};
use tokio_util::sync::CancellationToken;

use super::wait::wall_ms;

/// Largest message taken; more than any gateway may send, so that a broken limit is seen and not a broken session.
const MAX_PACKET: usize = 16 << 20;
/// How often what was newly stored is acknowledged.
const ACK_EVERY: Duration = Duration::from_millis(50);
/// Pause before the next session attempt.
const RETRY: Duration = Duration::from_millis(20);

/// How the platform behaves.
#[derive(Clone, Debug)]
pub struct Manners {
    /// Acknowledges what it holds.
    pub acks: bool,
    /// Remembers the content of every record, so that a changed repeat is found.
    pub strict: bool,
}

/// A running platform; ends when dropped.
#[derive(Debug)]
pub struct Platform {
    shared: Arc<Shared>,
    stop: CancellationToken,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    port: u16,
    base: String,
    desk: Mutex<Desk>,
}

/// What the platform holds.
#[derive(Debug)]
pub struct Desk {
    /// The account of the feed.
    pub account: Account,
    /// The counters of the devices, by device id.
    pub counters: Counters,
    /// What happened when, since [`Platform::mark`].
    pub marks: Marks,
    /// Words of the messages refused, the first of them.
    pub faults: Vec<String>,
    /// Whether it acknowledges now.
    pub acks: bool,
    dirty: BTreeSet<Channel>,
    /// It connected and has not heard the gateway say that it is online since.
    waits_for_online: bool,
}

/// What happened when since [`Platform::mark`], in milliseconds since 1970, of fresh records only.
#[derive(Clone, Copy, Debug, Default)]
pub struct Marks {
    /// First record.
    pub first: Option<i64>,
    /// First record of the live lane.
    pub first_live: Option<i64>,
    /// Latest record of the history lane.
    pub last_history: Option<i64>,
}

impl Platform {
    /// Starts it at the broker on `port` and waits until it is subscribed.
    pub fn start(port: u16, park: &str, gateway: &str, manners: &Manners) -> Self {
        let account = if manners.strict { Account::strict() } else { Account::new() };
        let desk = Desk {
            account,
            counters: Counters::default(),
            marks: Marks::default(),
            faults: Vec::new(),
            acks: manners.acks,
            dirty: BTreeSet::new(),
            waits_for_online: true,
        };
        let base = format!("parkgate/v1/{park}/{gateway}");
        let shared = Arc::new(Shared { port, base, desk: Mutex::new(desk) });
        let stop = CancellationToken::new();
        let (ready, subscribed) = std::sync::mpsc::sync_channel(1);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (serving, until) = (Arc::clone(&shared), stop.clone());
        let thread = std::thread::Builder::new().name("platform".to_owned()).spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    () = serve(serving, ready) => {}
                    () = until.cancelled() => {}
                }
            });
        });
        subscribed.recv_timeout(super::wait::SOON).unwrap();
        Self { shared, stop, thread: Some(thread.unwrap()) }
    }

    /// Looks at what it holds; nothing is received meanwhile.
    pub fn desk(&self) -> MutexGuard<'_, Desk> {
        lock(&self.shared.desk)
    }

    /// Forgets times and ages: a measurement begins.
    pub fn mark(&self) {
        let mut desk = self.desk();
        desk.marks = Marks::default();
        desk.account.reset_ages();
    }

    /// Starts or stops acknowledging. Once it starts, everything held is acknowledged.
    pub fn set_acks(&self, acks: bool) {
        let mut desk = self.desk();
        desk.acks = acks;
        desk.dirty.extend(Channel::all());
    }

    /// How many records of a stream it holds.
    pub fn count(&self, stream: Stream) -> u64 {
        self.desk().account.count(stream)
    }

    /// The account as it stands, closed by the `next` that the gateway last told.
    pub fn close_by_state(&self) -> Option<Closing> {
        let desk = self.desk();
        let next = desk.account.next()?;
        Some(desk.account.close(next))
    }

    /// First levels of the gateway's topics.
    pub fn base(&self) -> &str {
        &self.shared.base
    }
}

impl Drop for Platform {
    fn drop(&mut self) {
        self.stop.cancel();
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

fn lock(desk: &Mutex<Desk>) -> MutexGuard<'_, Desk> {
    desk.lock().unwrap_or_else(PoisonError::into_inner)
}

fn options(name: &str, port: u16) -> MqttOptions {
    let mut options =
        MqttOptions::new(format!("{name}-{}-{:x}", std::process::id(), fastrand::u64(..)), "127.0.0.1", port);
    options.set_keep_alive(Duration::from_secs(30)).set_clean_session(true);
    options.set_max_packet_size(MAX_PACKET, MAX_PACKET);
    options
}

/// One session after the other for ever.
async fn serve(shared: Arc<Shared>, ready: std::sync::mpsc::SyncSender<()>) {
    let clock = Clock::system();
    loop {
        let (client, events) = AsyncClient::new(options("platform", shared.port), 256);
        tokio::select! {
            _ended = receive(&shared, &client, events, &clock, &ready) => {}
            () = acknowledge(&shared, &client, &clock) => {}
        }
        clock.sleep_until(clock.mono() + RETRY).await;
    }
}

async fn receive(
    shared: &Shared,
    client: &AsyncClient,
    mut events: EventLoop,
    clock: &Clock,
    ready: &std::sync::mpsc::SyncSender<()>,
) -> ConnectionError {
    loop {
        match events.poll().await {
            Err(error) => return error,
            Ok(Event::Incoming(Packet::ConnAck(_))) => {
                lock(&shared.desk).connected();
                for what in Channel::all().map(Channel::as_str).chain(["state"]) {
                    client.try_subscribe(format!("{}/{what}", shared.base), QoS::AtLeastOnce).unwrap();
                }
            }
            Ok(Event::Incoming(Packet::SubAck(_))) => drop(ready.try_send(())),
            Ok(Event::Incoming(Packet::Publish(publish))) => {
                lock(&shared.desk).take(&publish, clock);
            }
            Ok(_) => {}
        }
    }
}

async fn acknowledge(shared: &Shared, client: &AsyncClient, clock: &Clock) {
    loop {
        clock.sleep_until(clock.mono() + ACK_EVERY).await;
        let messages = lock(&shared.desk).acks_due();
        for (channel, message) in messages {
            if client.try_publish(format!("{}/ack", shared.base), QoS::AtLeastOnce, false, message).is_err() {
                lock(&shared.desk).dirty.insert(channel);
            }
        }
    }
}

impl Desk {
    /// A session of its own began. Where the broker was away, so was the gateway, and nobody told.
    fn connected(&mut self) {
        self.account.mark_session();
        self.dirty.extend(Channel::all());
        self.waits_for_online = true;
    }

    fn take(&mut self, publish: &Publish, clock: &Clock) {
        let Self { account, counters, .. } = self;
        let taken = account.take_with(&publish.topic, &publish.payload, clock.now(), &mut |seen| {
            if seen.fresh && seen.tag.ends_with("R0") {
                counters.note(&seen);
            }
        });
        match taken {
            Ok(Receipt::Records(taken)) => {
                self.dirty.insert(taken.channel);
                self.marks.note(taken.lane, taken.fresh);
            }
            Ok(Receipt::State(state)) => {
                let heard = self.waits_for_online && state.online && !publish.retain;
                if state.opens || heard {
                    self.waits_for_online = false;
                    self.dirty.extend(Channel::all());
                }
            }
            Err(fault) if self.faults.len() < 20 => self.faults.push(fault.to_string()),
            Err(_) => {}
        }
    }

    fn acks_due(&mut self) -> Vec<(Channel, String)> {
        let Some(epoch) = self.account.epoch().map(str::to_owned).filter(|_| self.acks) else { return Vec::new() };
        let due = std::mem::take(&mut self.dirty);
        due.into_iter().filter_map(|c| Some((c, self.account.ack_message(&epoch, c)?))).collect()
    }
}

impl Marks {
    fn note(&mut self, lane: Lane, fresh: u64) {
        if fresh == 0 {
            return;
        }
        let at = wall_ms();
        self.first.get_or_insert(at);
        match lane {
            Lane::Live => {
                self.first_live.get_or_insert(at);
            }
            Lane::History => self.last_history = Some(at),
        }
    }
}

/// The counter registers as received: device → number of the record → counter modulo 2^16 and boot.
#[derive(Clone, Debug, Default)]
pub struct Counters(BTreeMap<String, BTreeMap<u64, (u16, u32)>>);

/// What the counters of one device say, in the order of the record numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Polls received.
    pub received: u64,
    /// Polls that the device answered between the first and the last received, and that were not received.
    pub missing: u64,
    /// Largest number of consecutive missing ones.
    pub largest_hole: u64,
    /// Places where the counter did not ascend: a wrong order or a poll recorded twice.
    pub backwards: u64,
}

impl Counters {
    fn note(&mut self, seen: &Seen<'_>) {
        // A poll that failed has `null` here: nothing was answered, nothing is missing.
        let Ok(counter) = seen.json.parse::<u16>() else { return };
        let poll = (counter, seen.boot);
        if let Some(device) = self.0.get_mut(seen.device) {
            device.insert(seen.seq, poll);
        } else {
            self.0.insert(seen.device.to_owned(), BTreeMap::from([(seen.seq, poll)]));
        }
    }

    /// The holes of every device: the record numbers on both sides and how many polls are missing between them.
    pub fn holes(&self) -> Vec<(RangeInclusive<u64>, u64)> {
        let of_device = |counters: &BTreeMap<u64, (u16, u32)>| {
            let pairs = counters.iter().zip(counters.iter().skip(1));
            let holes = pairs.map(|((a, (before, _)), (b, (after, _)))| (*a..=*b, ahead(*before, *after)));
            holes
                .filter(|(_, ahead)| (2..0x8000).contains(ahead))
                .map(|(s, n)| (s, u64::from(n) - 1))
                .collect::<Vec<_>>()
        };
        self.0.values().flat_map(of_device).collect()
    }

    /// The boots under which each device was heard.
    pub fn boots(&self) -> BTreeMap<&str, BTreeSet<u32>> {
        self.0.iter().map(|(d, c)| (d.as_str(), c.values().map(|(_, boot)| *boot).collect())).collect()
    }

    /// What the counters of every device say.
    pub fn tallies(&self) -> BTreeMap<&str, Tally> {
        self.0.iter().map(|(device, counters)| (device.as_str(), tally(counters))).collect()
    }

    /// The last counter received of every device.
    pub fn last(&self) -> BTreeMap<&str, u16> {
        self.0.iter().filter_map(|(d, c)| Some((d.as_str(), c.values().next_back()?.0))).collect()
    }

    /// How many polls of a device were received.
    pub fn received(&self, device: &str) -> u64 {
        self.0.get(device).map_or(0, |c| u64::try_from(c.len()).unwrap())
    }

    /// Polls missing over all devices.
    pub fn missing(&self) -> u64 {
        self.tallies().values().map(|t| t.missing).sum()
    }

    /// Devices heard of.
    pub fn devices(&self) -> usize {
        self.0.len()
    }

    /// Forgets everything: a measurement begins.
    pub fn clear(&mut self) {
        self.0.clear();
    }
}

/// How far one counter is ahead of another on the circle of 2^16.
fn ahead(before: u16, after: u16) -> u16 {
    after.wrapping_sub(before)
}

fn tally(counters: &BTreeMap<u64, (u16, u32)>) -> Tally {
    let mut tally = Tally { received: u64::try_from(counters.len()).unwrap(), ..Tally::default() };
    for ((a, _), (b, _)) in counters.values().zip(counters.values().skip(1)) {
        match ahead(*a, *b) {
            1 => {}
            // More than half the circle ahead is a step back.
            0 | 0x8000.. => tally.backwards += 1,
            ahead => {
                let hole = u64::from(ahead) - 1;
                tally.missing += hole;
                tally.largest_hole = tally.largest_hole.max(hole);
            }
        }
    }
    tally
}

/// Publishes one message at QoS 1 over a session of its own.
pub fn publish_once(port: u16, topic: &str, payload: Vec<u8>) {
    publish(port, topic, payload, false);
}

/// As [`publish_once`], and the broker gives it to everybody who subscribes later; empty takes that back.
pub fn publish_retained(port: u16, topic: &str, payload: Vec<u8>) {
    publish(port, topic, payload, true);
}

fn publish(port: u16, topic: &str, payload: Vec<u8>, retain: bool) {
    let (client, mut connection) = rumqttc::Client::new(options("stranger", port), 4);
    client.try_publish(topic, QoS::AtLeastOnce, retain, payload).unwrap();
    for event in connection.iter() {
        match event {
            Ok(Event::Incoming(Packet::PubAck(_))) | Err(_) => return,
            Ok(_) => {}
        }
    }
}
