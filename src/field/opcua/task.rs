//! Owns the session of one server: connects, subscribes, watches, waits, and sends what comes as events.
//!
//! Everything the server is asked for is done one thing at a time beside the reading of notifications; the decisions are
//! [`Watch`]'s. One attempt per back-off step, whatever goes wrong: a connection that breaks is first resumed (the session and
//! what its queue holds may have outlived it), and opened anew when the server has forgotten it or has another certificate now.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ::opcua::client::{SessionConnectMode, SessionPollResult, SubscriptionActivity};
use ::opcua::types::{Error, StatusCode};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::super::schedule::fnv1a;
use super::super::settings::opcua::{ServerLink, Stored};
use super::item::ItemRef;
use super::session::ask::{self, MAX_PER_REQUEST, Outcome, Subscribed, Wish};
use super::session::history::{self, Answer, Question};
use super::session::open::{Connection, Fault, Notice, SESSION_TIMEOUT, Tap, fault_of, open};
use super::session::pki::{Own, Pki};
use super::watch::{Hole, Watch};
use crate::clock::Clock;
use crate::domain::field_event::FieldEvent;
use crate::domain::snapshot::{OpcUaServer, OpcUaStatus};
use crate::domain::time::{Mono, Now};

/// How often the watchdog looks and what falls due is counted.
const TICK: Duration = Duration::from_millis(500);
/// Time for saying goodbye: a server that hangs keeps nothing waiting.
const GOODBYE: Duration = Duration::from_secs(1);
/// Time for the store to say how far it knows the points; a disk that takes longer costs the history of the restart, not the
/// present.
const RECALL_WITHIN: Duration = Duration::from_secs(10);
/// Notifications taken in one turn, so that the session's own work is done between them under any load.
const N_NOTICES_PER_TURN: usize = 64;

/// What one task needs.
pub struct Inputs {
    /// The server and its devices; a change is taken over.
    pub link: watch::Receiver<Arc<ServerLink>>,
    /// Where events go.
    pub events: mpsc::Sender<FieldEvent>,
    /// Where it says how it stands.
    pub status: watch::Sender<OpcUaStatus>,
    /// Certificates.
    pub pki: Pki,
    /// Time.
    pub clock: Clock,
    /// How far the points are stored, once that is known; `None` where nothing is asked of it.
    pub stored: Option<watch::Receiver<Option<Arc<Stored>>>>,
    /// Ends it.
    pub stop: CancellationToken,
}

/// Reads one server until `stop`, or until it has no devices any more.
///
/// # Errors
///
/// When nobody takes its events.
pub async fn run(inputs: Inputs) -> Result<(), String> {
    match Runner::new(inputs).run().await {
        End::Stopped => Ok(()),
        End::NobodyListens => Err("nobody takes field events".to_owned()),
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Stopped,
    NobodyListens,
}

struct Runner {
    inputs: Inputs,
    watch: Watch,
    asked: Arc<AtomicU64>,
    rng: fastrand::Rng,
    watching: bool,
    trouble: Option<String>,
}

/// A session in use.
struct Live {
    connection: Connection,
    tap: Tap,
    notices: mpsc::Receiver<Notice>,
    dropped: Arc<AtomicU64>,
    seen_dropped: u64,
    subscription: Option<Subscribed>,
    /// The server's numbers of items that nobody wants any more.
    unwanted: Vec<u32>,
    holes: VecDeque<Hole>,
    holes_from: Mono,
    lost_at: Mono,
}

type Doing = Pin<Box<dyn Future<Output = Done> + Send>>;

/// What was asked of the server has been answered.
enum Done {
    Subscribed(Result<Subscribed, Error>),
    Watched(Vec<(u32, ItemRef, Outcome)>),
    Again(Vec<Notice>),
    Unwatched,
    Filled(Result<Vec<Answer>, Error>),
}

/// How a session ended: with what may be resumed, or without.
struct Lost {
    fault: Fault,
    kept: Option<Live>,
}

impl Runner {
    fn new(inputs: Inputs) -> Self {
        let server = Arc::clone(&inputs.link.borrow().server);
        let now = inputs.clock.now();
        let started = now.mono.millis();
        let rng = fastrand::Rng::with_seed(u64::from(fnv1a(&server.id)) << 32 ^ started);
        let watch = Watch::new(server, now);
        Self { inputs, watch, asked: Arc::default(), rng, watching: true, trouble: None }
    }

    async fn run(mut self) -> End {
        self.take_over();
        let end = match self.recall().await {
            Ok(()) => self.lives().await,
            Err(end) => end,
        };
        self.inputs.status.send_modify(|status| drop(status.servers.remove(&self.watch.server().id)));
        end
    }

    /// Learns how far the points are stored: the gateway's own absence is a hole like a server's.
    async fn recall(&mut self) -> Result<(), End> {
        let Some(mut stored) = self.inputs.stored.take() else { return Ok(()) };
        let known = async move { stored.wait_for(Option::is_some).await.ok().and_then(|known| known.clone()) };
        match self.meanwhile(tokio::time::timeout(RECALL_WITHIN, known)).await? {
            Ok(Some(known)) => self.watch.recall(&known),
            Ok(None) | Err(_) => tracing::warn!("What is stored is not known in time: no history of the restart."),
        }
        Ok(())
    }

    async fn lives(&mut self) -> End {
        let mut kept = None;
        loop {
            match self.life(kept.take()).await {
                Ok(lost) => kept = self.lost(lost),
                Err(end) => return end,
            }
        }
    }

    /// Waits for the next step, connects, and serves the session until it is lost.
    async fn life(&mut self, kept: Option<Live>) -> Result<Lost, End> {
        let until = self.watch.not_before();
        let clock = self.inputs.clock.clone();
        self.meanwhile(async move { clock.sleep_until(until).await }).await?;
        self.watch.counters.attempts += 1;
        let connected = match kept {
            Some(live) => self.resume(live).await?,
            None => self.open().await?,
        };
        match connected {
            Ok(live) => self.serve(live).await,
            Err(lost) => Ok(lost),
        }
    }

    async fn open(&mut self) -> Result<Result<Live, Lost>, End> {
        let (server, pki) = (Arc::clone(self.watch.server()), self.inputs.pki.clone());
        let (asked, now) = (Arc::clone(&self.asked), self.inputs.clock.now().wall);
        let opening = async move {
            // Each time: whoever deletes the folder of certificates gets a new one, without a restart.
            let own = prepare(pki.clone()).await?;
            open(&server, &pki, &own, now, &asked).await
        };
        let opened = self.meanwhile(opening).await?;
        self.show_certificates();
        Ok(opened.map(Live::new).map_err(|fault| Lost { fault, kept: None }))
    }

    async fn resume(&mut self, mut live: Live) -> Result<Result<Live, Lost>, End> {
        let limit = self.watch.server().timeout * 3;
        let attempt = async move {
            let connected = live.connection.connect(limit).await;
            (live, connected)
        };
        let (mut live, connected) = self.meanwhile(attempt).await?;
        let now = self.inputs.clock.now();
        match connected {
            Ok(SessionConnectMode::ReactivatedSession(_)) => {
                live.connection.session.trigger_publish_now();
                self.watch.resumed(now);
                self.watch.counters.reconnects += 1;
                tracing::info!(server = %self.watch.server().id, "OPC UA session resumed.");
                self.trouble = None;
                Ok(Ok(live))
            }
            Ok(SessionConnectMode::NewSession(_)) => {
                self.asked.fetch_add(1, Ordering::Relaxed);
                live.subscription = None;
                Ok(Ok(live))
            }
            Err(fault) => {
                let outlived = now.mono.since(live.lost_at) > SESSION_TIMEOUT;
                let keeps = fault.keeps_session() && !outlived;
                Ok(Err(Lost { fault, kept: keeps.then_some(live) }))
            }
        }
    }

    /// Notes the loss and returns what may be resumed.
    fn lost(&mut self, lost: Lost) -> Option<Live> {
        let now = self.inputs.clock.now();
        let reason = lost.fault.to_string();
        if self.trouble.as_ref() != Some(&reason) {
            tracing::warn!(server = %self.watch.server().id, %reason, "OPC UA server is not read.");
        }
        self.watch.lost(&reason, now, &mut self.rng);
        self.trouble = Some(reason);
        self.show();
        lost.kept
    }

    /// Serves a session until it is lost.
    async fn serve(&mut self, mut live: Live) -> Result<Lost, End> {
        let clock = self.inputs.clock.clone();
        let mut doing: Option<Doing> = None;
        let mut tick = clock.mono() + TICK;
        loop {
            if doing.is_none() {
                doing = self.next_work(&mut live);
            }
            self.flush().await?;
            tokio::select! {
                event = live.connection.next() => {
                    if let Some(fault) = ended(event) {
                        return Ok(self.broken(fault, live));
                    }
                }
                Some(notice) = live.notices.recv() => {
                    if let Some(fault) = self.take_notices(notice, &mut live) {
                        return Ok(self.give_up(fault, live).await);
                    }
                }
                done = work(&mut doing) => {
                    doing = None;
                    if let Err(fault) = self.done(done, &mut live) {
                        return Ok(self.give_up(fault, live).await);
                    }
                }
                () = clock.sleep_until(tick) => {
                    tick = clock.mono() + TICK;
                    if let Some(fault) = self.tick(&mut live) {
                        return Ok(self.give_up(fault, live).await);
                    }
                }
                () = self.inputs.stop.cancelled() => {
                    live.connection.close(GOODBYE).await;
                    return Err(End::Stopped);
                }
                changed = self.inputs.link.changed(), if self.watching => {
                    self.watching = changed.is_ok();
                    live.unwanted.extend(self.take_over());
                    if self.watch.is_empty() {
                        live.connection.close(GOODBYE).await;
                        return Err(End::Stopped);
                    }
                }
            }
        }
    }

    /// The connection broke: session and subscription may have outlived it.
    fn broken(&self, fault: Fault, mut live: Live) -> Lost {
        live.lost_at = self.inputs.clock.mono();
        let kept = live.subscription.is_some().then_some(live);
        Lost { fault, kept }
    }

    /// The session is of no use: it is closed where the server still listens.
    async fn give_up(&self, fault: Fault, live: Live) -> Lost {
        live.connection.close(GOODBYE).await;
        Lost { fault, kept: None }
    }

    /// Decides what the server is asked for next.
    fn next_work(&mut self, live: &mut Live) -> Option<Doing> {
        let session = Arc::clone(&live.connection.session);
        if self.watch.is_outdated() && live.subscription.take().is_some() {
            tracing::warn!(server = %self.watch.server().id, "Notifications are lost; the server is subscribed to anew.");
        }
        let Some(subscription) = live.subscription.clone() else {
            let (server, tap) = (Arc::clone(self.watch.server()), live.tap.clone());
            return Some(Box::pin(async move { Done::Subscribed(ask::subscribe(session, server, tap).await) }));
        };
        let missing = self.watch.to_ask_again();
        if !missing.is_empty() {
            return Some(Box::pin(async move { Done::Again(ask::again(session, subscription.id, missing).await) }));
        }
        if !live.unwanted.is_empty() {
            let ids = std::mem::take(&mut live.unwanted);
            return Some(Box::pin(async move {
                drop(session.delete_monitored_items(subscription.id, &ids).await);
                Done::Unwatched
            }));
        }
        let now = self.inputs.clock.mono();
        let asked = self.watch.ask(MAX_PER_REQUEST, now);
        if !asked.is_empty() {
            let wishes =
                asked.into_iter().filter_map(|(handle, item)| self.wish(handle, item, &subscription)).collect();
            return Some(Box::pin(async move { Done::Watched(ask::watch(session, subscription.id, wishes).await) }));
        }
        if live.holes.is_empty() || now < live.holes_from {
            return None;
        }
        let holes = live.holes.drain(..live.holes.len().min(history::MAX_POINTS));
        let questions =
            holes.filter_map(|hole| Some(Question { hole, node: self.node(hole.item, &subscription)? })).collect();
        let until = self.inputs.clock.now().wall.after(Duration::from_secs(60));
        Some(Box::pin(async move { Done::Filled(history::read(session, questions, until).await) }))
    }

    fn node(&self, item: ItemRef, subscription: &Subscribed) -> Option<::opcua::types::NodeId> {
        let (device, _) = self.watch.place(item)?;
        let point = device.points.get(usize::from(item.ordinal))?;
        point.node.resolve(|uri| subscription.namespaces.get(uri).copied())
    }

    fn wish(&self, handle: u32, item: ItemRef, subscription: &Subscribed) -> Option<Wish> {
        let (device, sampling) = self.watch.place(item)?;
        let queue_size = device.server.queue_for(sampling);
        Some(Wish { handle, item, node: self.node(item, subscription), sampling, queue_size })
    }

    /// Takes the answer to what was asked.
    fn done(&mut self, done: Done, live: &mut Live) -> Result<(), Fault> {
        let now = self.inputs.clock.now();
        match done {
            Done::Subscribed(Ok(subscribed)) => self.subscribed(subscribed, live, now),
            Done::Subscribed(Err(error)) => return Err(fault_of(error.status())),
            Done::Watched(outcomes) => self.watched(outcomes, now.mono),
            Done::Unwatched => {}
            Done::Again(notices) => {
                for notice in notices {
                    self.watch.notified(notice.number, notice.values, now);
                }
            }
            Done::Filled(Ok(answers)) => {
                for Answer { hole, values, refused } in answers {
                    if let Some(status) = refused {
                        tracing::debug!(item = ?hole.item, %status, "No history.");
                    }
                    self.watch.filled(hole, &values, now);
                }
            }
            Done::Filled(Err(error)) => {
                tracing::info!(server = %self.watch.server().id, %error, "The server gives no history.");
                live.holes.clear();
            }
        }
        Ok(())
    }

    fn subscribed(&mut self, subscribed: Subscribed, live: &mut Live, now: Now) {
        let server = Arc::clone(self.watch.server());
        self.watch.counters.reconnects += u64::from(self.watch.is_down() && self.watch.counters.notifications > 0);
        if !self.watch.is_up() && !server.history.is_zero() {
            live.holes = self.watch.holes(server.history, now).into();
            // By then the first values of the new subscription are here: history ends where they begin.
            live.holes_from = now.mono + server.publishing * 2;
        }
        self.watch.subscribed(subscribed.cycle, now);
        // What the last subscription left on its way belongs to handles that are no more.
        while live.notices.try_recv().is_ok() {}
        live.subscription = Some(subscribed);
        self.trouble = None;
        tracing::info!(server = %server.id, security = %server.security, "OPC UA server subscribed to.");
    }

    fn watched(&mut self, outcomes: Vec<(u32, ItemRef, Outcome)>, now: Mono) {
        let mut refused = 0_usize;
        for (handle, item, outcome) in outcomes {
            match outcome {
                Outcome::Watched(id, sampling) => self.watch.watched(item, id, sampling, now),
                Outcome::Unasked => self.watch.unasked(handle, item),
                Outcome::Refused(status) => {
                    if refused == 0 {
                        let (point, node) = self.name(item);
                        tracing::warn!(%point, %node, %status, "The server refuses a node; correct the point table.");
                    }
                    refused += 1;
                    self.watch.refused(handle, item, status.bits(), now);
                }
            }
        }
        if refused > 1 {
            tracing::warn!(server = %self.watch.server().id, refused, "More nodes are refused.");
        }
    }

    fn name(&self, item: ItemRef) -> (String, String) {
        let place = self.watch.place(item);
        let point = place.and_then(|(device, _)| Some((device, device.points.get(usize::from(item.ordinal))?)));
        point
            .map(|(device, point)| (format!("{}#{}", device.id, item.ordinal), point.node.to_string()))
            .unwrap_or_default()
    }

    /// Takes a notification and what waits behind it.
    fn take_notices(&mut self, first: Notice, live: &mut Live) -> Option<Fault> {
        let mut next = Some(first);
        for _ in 0..N_NOTICES_PER_TURN {
            let Some(notice) = next else { break };
            if let Some(status) = notice.over {
                return Some(Fault::Server(format!("the server ended the subscription: {status}")));
            }
            if live.subscription.is_some() {
                self.watch.notified(notice.number, notice.values, self.inputs.clock.now());
            }
            next = live.notices.try_recv().ok();
        }
        None
    }

    fn tick(&mut self, live: &mut Live) -> Option<Fault> {
        let now = self.inputs.clock.now();
        let dropped = live.dropped.load(Ordering::Relaxed);
        let new = dropped - std::mem::replace(&mut live.seen_dropped, dropped);
        if new > 0 {
            self.watch.counters.dropped += new;
            self.watch.dropped(now);
        }
        self.watch.tick(now);
        self.show();
        if !self.watch.is_silent(now.mono) {
            return None;
        }
        self.watch.counters.watchdog += 1;
        Some(Fault::Server(format!("no notification and no keep-alive for {} s", self.watch.patience().as_secs_f32())))
    }

    /// Waits for `work` while time passes for the points.
    async fn meanwhile<T>(&mut self, work: impl Future<Output = T>) -> Result<T, End> {
        tokio::pin!(work);
        let clock = self.inputs.clock.clone();
        loop {
            self.flush().await?;
            if self.watch.is_empty() {
                return Err(End::Stopped);
            }
            let tick = clock.mono() + TICK;
            tokio::select! {
                done = &mut work => return Ok(done),
                () = clock.sleep_until(tick) => {
                    self.watch.tick(clock.now());
                    self.show();
                }
                () = self.inputs.stop.cancelled() => return Err(End::Stopped),
                changed = self.inputs.link.changed(), if self.watching => {
                    self.watching = changed.is_ok();
                    drop(self.take_over());
                }
            }
        }
    }

    fn take_over(&mut self) -> Vec<u32> {
        let link = Arc::clone(&self.inputs.link.borrow_and_update());
        let unwanted = self.watch.take_over(&link, self.inputs.clock.mono());
        tracing::info!(server = %link.server.id, devices = link.devices.len(), "OPC UA server configured.");
        unwanted
    }

    /// Shows how it stands.
    fn show(&mut self) {
        let server = Arc::clone(self.watch.server());
        self.watch.counters.sessions = self.asked.load(Ordering::Relaxed);
        let (watched, refused) = self.watch.tally();
        let shown = OpcUaServer {
            url: server.url.clone(),
            security: server.security.to_string(),
            is_secured: server.security.is_secured(),
            up: self.watch.is_up(),
            trouble: self.trouble.clone().filter(|_| !self.watch.is_up()),
            watched,
            refused,
            counters: self.watch.counters,
        };
        self.inputs.status.send_if_modified(|status| {
            let changed = status.servers.get(&server.id) != Some(&shown);
            if changed {
                status.servers.insert(server.id.clone(), shown);
            }
            changed
        });
    }

    fn show_certificates(&self) {
        let certificates = self.inputs.pki.list();
        self.inputs.status.send_if_modified(|status| {
            let changed = status.certificates != certificates;
            status.certificates = certificates;
            changed
        });
    }

    /// Sends what the points said; waits while the engine's queue is full.
    async fn flush(&mut self) -> Result<(), End> {
        for (item, why) in std::mem::take(&mut self.watch.complaints) {
            let (point, node) = self.name(item);
            tracing::warn!(%point, %node, got = why.0, "A node gives no number.");
        }
        for event in std::mem::take(&mut self.watch.events) {
            let event = match self.inputs.events.try_send(event) {
                Ok(()) => continue,
                Err(TrySendError::Closed(_)) => return Err(End::NobodyListens),
                Err(TrySendError::Full(event)) => event,
            };
            tokio::select! {
                sent = self.inputs.events.send(event) => sent.map_err(|_| End::NobodyListens)?,
                () = self.inputs.stop.cancelled() => return Err(End::Stopped),
            }
        }
        Ok(())
    }
}

impl Live {
    fn new(connection: Connection) -> Self {
        let (tap, notices, dropped) = Tap::new();
        Self {
            connection,
            tap,
            notices,
            dropped,
            seen_dropped: 0,
            subscription: None,
            unwanted: Vec::new(),
            holes: VecDeque::new(),
            holes_from: Mono::default(),
            lost_at: Mono::default(),
        }
    }
}

/// Waits for what is being done; for ever when nothing is.
async fn work(doing: &mut Option<Doing>) -> Done {
    match doing {
        Some(doing) => doing.await,
        None => std::future::pending().await,
    }
}

/// Returns why the session is over, where an event says that it is.
fn ended(event: Option<Result<SessionPollResult, StatusCode>>) -> Option<Fault> {
    match event {
        None => Some(Fault::Server("the session is over".to_owned())),
        Some(Ok(SessionPollResult::ConnectionLost(status)) | Err(status)) => Some(fault_of(status)),
        Some(Ok(SessionPollResult::Subscription(SubscriptionActivity::PublishFailed(
            StatusCode::BadNoSubscription,
        )))) => Some(Fault::Server("the server has forgotten the subscription".to_owned())),
        Some(Ok(_)) => None,
    }
}

/// Makes folders and the own certificate beside the runtime's threads: a key takes seconds on a small computer.
async fn prepare(pki: Pki) -> Result<Own, Fault> {
    let made = tokio::task::spawn_blocking(move || pki.prepare()).await;
    match made {
        Ok(Ok(own)) => Ok(own),
        Ok(Err(error)) => Err(Fault::Certificate(error.to_string())),
        Err(error) => Err(Fault::Certificate(error.to_string())),
    }
}
