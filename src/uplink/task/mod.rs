//! The one owner of all state of the uplink: hears the sessions, the live channel and the store, and publishes.
//!
//! ```text
//!   running ──stop──▶ draining ──idle, or DRAIN──▶ leaving ──`planned_offline` acknowledged, or FAREWELL──▶ ended
//! ```
//!
//! While draining, live records still go out, history only of the short feeds (all but telemetry), acknowledgements are waited for and told to the
//! store. Nothing here waits for anything but its inputs: reads and notes to the store are [`Jobs`], one at a time per
//! feed; publishing is `try_publish` into a channel that [`super::flight`] keeps from being full.

mod connection;
mod downlink;
mod jobs;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use rumqttc::QoS;
use tokio::sync::{Notify, mpsc, watch};
use tokio_util::sync::CancellationToken;

use self::connection::Connection;
use self::jobs::{Done, Jobs, PAGE_GAPS, Unsaved, feeds, read_page};
use super::command::{Command, Gate};
use super::delivery::{RECHECK, SETTLE};
use super::feed::{FEEDS, Feed, Session};
use super::flight::Cargo;
use super::outbox::{Item, Limits, Message, Outbox};
use super::payload::{Group, Writer};
use super::session::{self, Event, Link, Plan};
use super::settings::Settings;
use super::source::{CONSUMER, CommandMemory, Identity, Inputs, Live, Registries, Source};
use super::state::{self, Speaker};
use super::status;
use super::topic::Topics;
use crate::clock::Clock;
use crate::domain::record::Stream;
use crate::domain::snapshot::UplinkStatus;
use crate::domain::time::{Mono, Now};

/// Events of all sessions on their way to the task; a full channel makes the sessions wait, nothing is dropped.
const EVENTS: usize = 256;
/// Live records taken at once.
const LIVE_AT_ONCE: usize = 512;
/// Messages built before the sessions get their turn.
const MESSAGES_AT_ONCE: usize = 16;
/// The task looks at its periodic duties this often; also how often deliveries are told to the store, ≤ 5/s.
const TICK: Duration = Duration::from_millis(200);
/// How often the ledger is asked for new entries, and the status published without a cause.
const SECOND: Duration = Duration::from_secs(1);
/// Longest drain after `stop`.
const DRAIN: Duration = Duration::from_secs(5);
/// Longest wait for the broker's word on `planned_offline`, then again for the end of the connections.
const FAREWELL: Duration = Duration::from_millis(800);

/// Runs the uplink until `inputs.stop` is cancelled and what fits into the grace is delivered.
///
/// # Errors
///
/// None so far: a lost broker is tried again for ever.
pub async fn run<S: Source, R: Registries>(inputs: Inputs<S, R>) -> Result<(), String> {
    let (events_tx, events) = mpsc::channel(EVENTS);
    let last = CancellationToken::new();
    let settings = Arc::new(inputs.settings.clone());
    let topics = Arc::new(Topics::new(&settings.park, &settings.gateway));
    let will = state::will(&inputs.identity.epoch, inputs.identity.boot);
    let broker_is_back = Arc::new(Notify::new());
    let session = |session| {
        let plan = Plan {
            session,
            settings: Arc::clone(&settings),
            topics: Arc::clone(&topics),
            will: will.clone(),
            broker_is_back: Arc::clone(&broker_is_back),
        };
        session::run(plan, events_tx.clone(), inputs.clock.clone(), last.clone())
    };
    let (urgent, bulk, commands) = (session(Session::Urgent), session(Session::Bulk), session(Session::Commands));
    drop(events_tx);
    let hub = async {
        let (hub, live) = Hub::start(inputs, Arc::clone(&settings), Arc::clone(&topics), last.clone()).await;
        hub.run(events, live).await;
    };
    tokio::join!(urgent, bulk, commands, hub);
    Ok(())
}

/// How far the end has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Running,
    Draining(Mono),
    Leaving(Mono),
}

struct Hub<S, R> {
    settings: Arc<Settings>,
    topics: Arc<Topics>,
    identity: Identity,
    source: Arc<S>,
    outbox: Outbox<R>,
    connections: [Connection; Session::ALL.len()],
    gate: Gate,
    memory: Arc<dyn CommandMemory>,
    /// Commands accepted since the save of ids under way began; at most as many as there are ids.
    unsaved: Vec<Unsaved>,
    saving: bool,
    commands: mpsc::Sender<Command>,
    next: watch::Receiver<[u64; 6]>,
    committed: watch::Receiver<[u64; 6]>,
    status: watch::Sender<Arc<UplinkStatus>>,
    clock: Clock,
    stop: CancellationToken,
    /// No connection is made any more.
    last: CancellationToken,
    jobs: Jobs,
    /// Feeds whose deliveries are being told to the store.
    telling: [bool; FEEDS],
    asking_gaps: bool,
    gaps_known: u64,
    phase: Phase,
    due: Due,
    refused: BTreeMap<&'static str, u64>,
    last_ack: Option<Mono>,
    live_age: Option<Duration>,
}

/// When the periodic duties are due.
#[derive(Debug)]
struct Due {
    tick: Mono,
    settle: Mono,
    second: Mono,
    state: Mono,
    recheck: Mono,
}

impl<S: Source, R: Registries> Hub<S, R> {
    async fn start(
        inputs: Inputs<S, R>,
        settings: Arc<Settings>,
        topics: Arc<Topics>,
        last: CancellationToken,
    ) -> (Self, mpsc::Receiver<Live>) {
        let source = Arc::new(inputs.source);
        let committed = source.committed();
        let (stored, next) = (*committed.borrow(), *inputs.next.borrow());
        let (feeds, gaps_known) = feeds(&*source, &settings, stored, next).await;
        let now = inputs.clock.now();
        let writer = Writer::new(inputs.registries, &settings.gateway, &inputs.identity.epoch);
        let limits = Limits { max_message: settings.max_message_bytes, max_batch_age: settings.max_batch_age };
        let saved = inputs.memory.load().await;
        let hub = Self {
            outbox: Outbox::new(limits, writer, ledger_group(&inputs.identity, now), feeds),
            connections: Session::ALL.map(|_| Connection::new(&settings, now.mono)),
            gate: Gate::new(&settings.park, &settings.gateway, settings.command_keys.clone(), &saved),
            memory: inputs.memory,
            unsaved: Vec::new(),
            saving: false,
            commands: inputs.commands,
            next: inputs.next,
            committed,
            status: inputs.status,
            clock: inputs.clock,
            stop: inputs.stop,
            last,
            jobs: Jobs::default(),
            telling: [false; FEEDS],
            asking_gaps: false,
            gaps_known,
            phase: Phase::Running,
            due: Due {
                tick: now.mono,
                settle: now.mono + SETTLE,
                second: now.mono,
                state: now.mono,
                recheck: now.mono + RECHECK,
            },
            refused: BTreeMap::new(),
            last_ack: None,
            live_age: None,
            identity: inputs.identity,
            settings,
            topics,
            source,
        };
        (hub, inputs.live)
    }

    async fn run(mut self, mut events: mpsc::Receiver<(Session, Event)>, mut live: mpsc::Receiver<Live>) {
        let mut records = Vec::with_capacity(LIVE_AT_ONCE);
        let (mut live_open, mut commits_open) = (true, true);
        loop {
            let now = self.clock.now();
            if self.tick(now, live_open) {
                break;
            }
            self.start_reads(now.mono);
            let more = self.pump(now);
            if more {
                // The sessions live in the same task: let them write what was built.
                tokio::task::yield_now().await;
            }
            let wake = if more { now.mono } else { self.wake_at(now.mono) };
            tokio::select! {
                Some((session, event)) = events.recv() => {
                    self.on_event(session, event);
                    while let Ok((session, event)) = events.try_recv() {
                        self.on_event(session, event);
                    }
                }
                n = live.recv_many(&mut records, LIVE_AT_ONCE), if live_open => {
                    live_open = n > 0;
                    self.on_live(&mut records);
                }
                done = self.jobs.next() => self.on_done(done),
                changed = self.committed.changed(), if commits_open => commits_open = changed.is_ok(),
                () = self.clock.sleep_until(wake) => {}
                () = self.stop.cancelled(), if self.phase == Phase::Running => {
                    self.outbox.drain();
                    self.phase = Phase::Draining(self.clock.mono() + DRAIN);
                }
            }
        }
        // What has not ended by itself is cut, or its session would never return.
        self.connections.iter().filter_map(|c| c.link.as_ref()).for_each(|link| link.cut.cancel());
    }

    /// Does what is due. Returns whether the uplink has ended.
    fn tick(&mut self, now: Now, live_open: bool) -> bool {
        let committed = *self.committed.borrow_and_update();
        let next = *self.next.borrow();
        for (stream, (committed, next)) in Stream::ALL.into_iter().zip(committed.into_iter().zip(next)) {
            self.outbox.feed(Feed::Stream(stream)).on_committed(committed, next);
        }
        if now.mono >= self.due.settle {
            self.due.settle = now.mono + SETTLE;
            Feed::ALL.into_iter().for_each(|feed| self.outbox.feed(feed).settle());
        }
        if now.mono >= self.due.tick {
            self.due.tick = now.mono + TICK;
            self.outbox.expire(now.mono);
            self.cut_dead(now.mono);
            self.tell_store();
        }
        if now.mono >= self.due.second {
            self.due.second = now.mono + SECOND;
            self.outbox.set_ledger(ledger_group(&self.identity, now));
            self.ask_gaps();
            self.publish_status();
        }
        if now.mono >= self.due.recheck {
            self.due.recheck = now.mono + RECHECK;
            Feed::ALL.into_iter().for_each(|feed| self.outbox.feed(feed).recheck());
        }
        if now.mono >= self.due.state && self.phase == Phase::Running {
            self.publish_state(true, now);
        }
        self.advance(now, live_open)
    }

    /// Returns whether the short feeds are told, as far as their sessions are up.
    fn has_told_short(&self) -> bool {
        let up = |session: &Session| self.connections.get(session.index()).is_some_and(|c| c.link.is_some());
        Session::ALL.iter().filter(|s| up(s)).all(|s| self.outbox.has_told_short(*s))
    }

    /// Moves the end forward. Returns whether it is reached.
    fn advance(&mut self, now: Now, live_open: bool) -> bool {
        match self.phase {
            Phase::Running => false,
            Phase::Draining(until) => {
                let told = self.telling.iter().all(|telling| !telling);
                if (!live_open && self.outbox.is_idle() && told && self.has_told_short()) || now.mono >= until {
                    self.publish_state(false, now);
                    self.tell_store();
                    self.last.cancel();
                    self.phase = Phase::Leaving(now.mono + FAREWELL);
                }
                false
            }
            Phase::Leaving(until) => self.leave(now.mono, until),
        }
    }

    /// Disconnects what is done. Returns whether all connections are gone, or the time is up.
    fn leave(&mut self, now: Mono, until: Mono) -> bool {
        for connection in &mut self.connections {
            let Some(link) = &connection.link else { continue };
            if !connection.leaving && (connection.flight.is_empty() || now >= until) {
                connection.leaving = link.client.try_disconnect().is_ok();
            }
        }
        let told = self.telling.iter().all(|telling| !telling);
        (told && self.connections.iter().all(|c| c.link.is_none())) || now >= until + FAREWELL
    }

    fn wake_at(&mut self, now: Mono) -> Mono {
        let mut wake = self.due.tick;
        for session in [Session::Urgent, Session::Bulk] {
            let ready = self.connection(session).link.is_some() && self.connection(session).flight.has_room();
            if let Some(at) = self.outbox.next_due(session).filter(|_| ready) {
                wake = wake.min(at);
            }
        }
        // A due envelope that could not go now goes when room is made; that is an event of its own.
        wake.max(now + Duration::from_millis(1))
    }

    fn on_event(&mut self, session: Session, event: Event) {
        let now = self.clock.now();
        if !matches!(event, Event::Published(_)) {
            self.connection_mut(session).heard = now.mono;
        }
        match event {
            Event::Attempt => self.connection_mut(session).attempts += 1,
            Event::Up(link) => self.on_up(session, link, now.mono),
            Event::Subscribed(true) => self.due.state = now.mono,
            Event::Subscribed(false) => {
                tracing::error!(session = session.as_str(), "The broker refuses the subscription.");
                self.refuse("subscription");
            }
            Event::Published(pkid) => self.connection_mut(session).flight.on_published(pkid),
            Event::PubAck(pkid) => self.on_puback(session, pkid, now.mono),
            Event::Message(publish) if session == Session::Commands => self.on_command(publish, now),
            Event::Message(publish) => self.on_ack(&publish, now.mono),
            Event::Oversized(bytes) => {
                tracing::warn!(session = session.as_str(), bytes, "Dropped a message that is too large.");
                self.refuse("oversized");
            }
            Event::Alive => {}
            Event::Down(why) => self.on_down(session, why, now.mono),
        }
    }

    fn on_up(&mut self, session: Session, link: Link, now: Mono) {
        tracing::info!(session = session.as_str(), broker = %self.broker(), "Session is up.");
        let flight = Connection::flight(&self.settings, now);
        let connection = self.connection_mut(session);
        connection.generation += 1;
        connection.link = Some(link);
        connection.flight = flight;
        connection.since = Some(now);
        connection.trouble = None;
        self.outbox.on_session(session, true);
        if session == Session::Urgent {
            self.due.state = now;
        }
        self.publish_status();
    }

    fn on_down(&mut self, session: Session, why: String, now: Mono) {
        let flight = Connection::flight(&self.settings, now);
        let connection = self.connection_mut(session);
        let was_up = connection.link.take().is_some();
        if was_up || connection.since.is_none() {
            connection.since = Some(now);
        }
        if connection.trouble.as_deref() != Some(why.as_str()) && why != "disconnected" {
            tracing::warn!(session = session.as_str(), %why, "Session is down.");
        }
        connection.trouble = Some(why);
        connection.flight = flight;
        self.outbox.on_session(session, false);
        self.publish_status();
    }

    fn on_puback(&mut self, session: Session, pkid: u16, now: Mono) {
        let Some(Cargo::Batch(batch)) = self.connection_mut(session).flight.on_puback(pkid, now) else { return };
        if let Some((_, delivered)) = self.outbox.on_puback(batch, now)
            && delivered > 0
        {
            self.last_ack = Some(now);
        }
    }

    fn on_live(&mut self, records: &mut Vec<Live>) {
        let now = self.clock.mono();
        for Live { stream, entry } in records.drain(..) {
            let (seq, bytes) = (entry.seq, entry.body.len());
            self.outbox.feed(Feed::Stream(stream)).on_live(seq, Item::Entry(entry), bytes, now);
        }
    }

    fn on_done(&mut self, done: Done) {
        let now = self.clock.mono();
        match done {
            Done::Page(feed, read, Ok(page)) => {
                self.outbox.feed(feed).on_page(&read, page.items, &page.missing, now);
            }
            Done::Page(feed, read, Err(error)) => {
                tracing::warn!(stream = feed.as_str(), %error, "History could not be read and is tried again.");
                self.outbox.feed(feed).on_read_failed(&read, now);
            }
            Done::Told(feed) => self.set_telling(feed, false),
            Done::Gaps(gaps) => {
                self.asking_gaps = false;
                for gap in &gaps {
                    self.outbox.feed(Feed::Stream(gap.stream)).on_gap(gap.seqs.clone());
                }
                if let Some(gap) = gaps.last() {
                    self.gaps_known = self.gaps_known.max(gap.no);
                    let known = self.gaps_known;
                    self.outbox.feed(Feed::Gap).on_committed(known, known + 1);
                }
            }
            Done::Remembered(commands, saved) => self.on_saved(commands, &saved),
        }
    }

    fn start_reads(&mut self, now: Mono) {
        for (feed, read) in self.outbox.reads(now) {
            let source = Arc::clone(&self.source);
            self.jobs.start(async move {
                let page = read_page(&*source, feed, &read).await;
                Done::Page(feed, read, page)
            });
        }
    }

    fn tell_store(&mut self) {
        for feed in Feed::ALL {
            if self.telling.get(feed.index()).copied().unwrap_or(true) {
                continue;
            }
            let ranges = self.outbox.feed(feed).take_fresh();
            if ranges.is_empty() {
                continue;
            }
            self.set_telling(feed, true);
            let source = Arc::clone(&self.source);
            self.jobs.start(async move {
                match feed {
                    Feed::Stream(stream) => source.deliver(stream, CONSUMER, ranges).await,
                    Feed::Gap => source.deliver_gaps(CONSUMER, ranges).await,
                }
                Done::Told(feed)
            });
        }
    }

    fn set_telling(&mut self, feed: Feed, telling: bool) {
        if let Some(flag) = self.telling.get_mut(feed.index()) {
            *flag = telling;
        }
    }

    fn ask_gaps(&mut self) {
        if std::mem::replace(&mut self.asking_gaps, true) {
            return;
        }
        let (source, from) = (Arc::clone(&self.source), self.gaps_known + 1);
        self.jobs.start(async move { Done::Gaps(source.gaps(from, PAGE_GAPS).await) });
    }

    /// Cuts connections over which nothing comes, or nothing is acknowledged.
    fn cut_dead(&mut self, now: Mono) {
        // rumqttc pings each keep-alive: silence for 1.4 of them means the answer to a ping is missing.
        let silence = self.settings.broker.keep_alive.mul_f64(1.4);
        for connection in &self.connections {
            let Some(link) = &connection.link else { continue };
            if now.since(connection.heard) > silence || connection.flight.is_stalled(now) {
                link.cut.cancel();
            }
        }
    }

    /// Publishes what may go. Returns whether there may be more.
    fn pump(&mut self, now: Now) -> bool {
        let mut more = false;
        let line = self.connections.iter().filter_map(|c| c.flight.rate()).reduce(f64::max);
        self.connections.iter_mut().for_each(|c| c.flight.note_line(line));
        for session in [Session::Urgent, Session::Bulk] {
            for n in 0..MESSAGES_AT_ONCE {
                let Some(connection) = self.connections.get(session.index()).filter(|c| c.link.is_some()) else {
                    break;
                };
                let Some(message) = self.outbox.next(session, &connection.flight, now) else { break };
                self.send(session, message, now);
                more |= n + 1 == MESSAGES_AT_ONCE;
            }
        }
        more
    }

    fn send(&mut self, session: Session, message: Message, now: Now) {
        self.live_age = message.age.or(self.live_age);
        let topic = self.topics.feed(message.feed).to_owned();
        self.publish(session, topic, false, message.payload, Cargo::Batch(message.batch), message.paced, now);
    }

    fn publish_state(&mut self, online: bool, now: Now) {
        self.due.state = now.mono + state::EVERY;
        let identity = &self.identity;
        let speaker = Speaker {
            epoch: &identity.epoch,
            boot: identity.boot,
            software: &identity.software,
            rev: *identity.registry.borrow(),
            since_synced: self.clock.since_synced(),
        };
        let payload = state::present(speaker, online, &self.next.borrow(), now);
        let topic = self.topics.state.clone();
        self.publish(Session::Urgent, topic, true, payload, Cargo::State, false, now);
    }

    #[expect(clippy::too_many_arguments, reason = "one publish is all of these")]
    fn publish(
        &mut self,
        session: Session,
        topic: String,
        retain: bool,
        payload: Vec<u8>,
        cargo: Cargo,
        paced: bool,
        now: Now,
    ) {
        let connection = self.connection_mut(session);
        let Some(link) = &connection.link else { return };
        let bytes = payload.len();
        match link.client.try_publish(topic, QoS::AtLeastOnce, retain, payload) {
            Ok(()) => connection.flight.offer(cargo, paced, bytes, now.mono),
            // Full although the flight has room, or closed: this connection is of no use any more.
            Err(_) => link.cut.cancel(),
        }
    }

    fn refuse(&mut self, counter: &'static str) {
        let count = self.refused.entry(counter).or_default();
        *count += 1;
        // A flood of garbage must not become a flood of log lines.
        if count.is_power_of_two() {
            tracing::warn!(reason = counter, count = *count, "Refused a message.");
        }
    }

    fn publish_status(&mut self) {
        let sessions = Session::ALL.into_iter().zip(&self.connections).map(|(session, c)| c.status(session));
        let status = status::of(
            self.broker(),
            sessions.collect(),
            &self.outbox.status(),
            self.last_ack,
            self.live_age,
            status::refused(&self.refused, self.outbox.unreadable()),
        );
        self.status.send_replace(Arc::new(status));
    }

    fn broker(&self) -> String {
        format!("{}:{}", self.settings.broker.host, self.settings.broker.port)
    }

    #[expect(clippy::indexing_slicing, reason = "`Session::index` is below the number of sessions by construction")]
    fn connection(&self, session: Session) -> &Connection {
        &self.connections[session.index()]
    }

    #[expect(clippy::indexing_slicing, reason = "`Session::index` is below the number of sessions by construction")]
    fn connection_mut(&mut self, session: Session) -> &mut Connection {
        &mut self.connections[session.index()]
    }
}

/// Under what ledger entries travel: this run, as it stands.
fn ledger_group(identity: &Identity, now: Now) -> Group {
    Group { boot: identity.boot, rev: *identity.registry.borrow(), trust: now.trust }
}

#[cfg(test)]
#[path = "../task_tests.rs"]
mod tests;
