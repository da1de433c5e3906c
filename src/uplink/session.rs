//! One session towards the broker: a TCP connection after another, each used once.
//!
//! ```text
//!            ┌────────────── back-off (±20 %, doubling, ≤ backoff_max) ◀───────────────┐
//!            ▼                                                                         │
//!   connecting (TCP, TLS, CONNACK within connect_timeout) ──▶ up ──error, cut──▶ down ─┘
//!            └─────────────────── refused, timed out ─────────────────────────▶ down
//! ```
//!
//! Each connection has its own `AsyncClient` and `EventLoop`; both are dropped with it, so nothing that rumqttc keeps
//! (pending requests, packet ids, a collision) outlives it. `EventLoop::poll` is never cancelled while the connection
//! lives: dropped half-way it can lose a packet that it believes sent. So [`drive`] runs to its end in one future, and
//! what it hears goes through a bounded channel to the task that owns all state.
//!
//! **Memory.** Sessions that subscribe accept packets up to [`MAX_INCOMING`]; anything beyond [`MAX_PAYLOAD`] is
//! dropped as soon as it is whole and counted as `oversized`. So one stray 10 MB message costs at most about twice its
//! size for a moment. A larger one ends the connection; the next goes without the subscription for [`MUTED`], so that
//! a retained monster cannot stop the delivery. The session of the commands, which the broker keeps with what waits in
//! it, begins anew then: the monster, and what waited beside it, is thrown away; after [`MUTED`] it connects as before.

use std::sync::Arc;
use std::time::Duration;

use rumqttc::{
    AsyncClient, Event as MqttEvent, EventLoop, LastWill, MqttOptions, Outgoing, Packet, Publish, QoS,
    SubscribeReasonCode,
};
use tokio::sync::futures::Notified;
use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;

use super::feed::Session;
use super::settings::Settings;
use super::topic::Topics;
use crate::clock::Clock;
use crate::mqtt::trouble::{is_oversized, words_of};
use crate::mqtt::{jittered, tls};

/// Largest packet that does not end a connection that subscribes.
pub const MAX_INCOMING: usize = 16 << 20;
/// Largest packet on the session that subscribes to nothing.
pub const MAX_UNASKED: usize = 64 << 10;
/// Largest payload that is handed on; acknowledgements and commands are bounded below it.
pub const MAX_PAYLOAD: usize = 64 << 10;
/// How long a session goes without its subscription after a packet beyond [`MAX_INCOMING`].
pub const MUTED: Duration = Duration::from_secs(60);
/// Requests beside the messages in flight: state, subscription, acknowledgements of commands, ping, disconnect.
const EXTRA_REQUESTS: u16 = 16;
/// Topic and header around a payload.
const PACKET_FRAME: usize = 1024;

/// What a session tells its owner. `Down` follows each `Attempt` before the next one.
#[derive(Debug)]
pub enum Event {
    /// It tries to connect.
    Attempt,
    /// The broker accepted it.
    Up(Link),
    /// The broker took the subscription, or did not.
    Subscribed(bool),
    /// The oldest offered publish got this packet id.
    Published(u16),
    /// The broker has the publish with this packet id.
    PubAck(u16),
    /// A message of a reasonable size.
    Message(Publish),
    /// A message that was dropped for its size in bytes (at least).
    Oversized(usize),
    /// Any other sign of life.
    Alive,
    /// The connection is gone, or could not be made.
    Down(String),
}

/// A connection's handle.
#[derive(Clone, Debug)]
pub struct Link {
    /// For `try_publish` only: publishing must never wait.
    pub client: AsyncClient,
    /// Ends the connection.
    pub cut: CancellationToken,
}

/// What a session needs to know.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Which.
    pub session: Session,
    /// Settings.
    pub settings: Arc<Settings>,
    /// Topics.
    pub topics: Arc<Topics>,
    /// Payload of the last will; sent by the urgent session.
    pub will: Vec<u8>,
    /// Told by each session that comes up to those that still wait: alarms must not sit out a back-off of their own.
    pub broker_is_back: Arc<Notify>,
}

/// How a connection ended.
struct Ended {
    why: String,
    oversized: bool,
    /// Whether the broker had accepted it.
    was_up: bool,
}

/// Keeps a session up until `last` is cancelled and the connection, if there is one, has ended.
pub async fn run(plan: Plan, events: mpsc::Sender<(Session, Event)>, clock: Clock, last: CancellationToken) {
    let mut delay = plan.settings.broker.backoff_initial;
    let mut muted = false;
    while !last.is_cancelled() {
        let began = clock.mono();
        // Listening begins before the attempt: who comes up while this one still waits for an answer must not be missed.
        let back = plan.broker_is_back.notified();
        let ended = attempt(&plan, &events, &clock, &last, muted).await;
        // A connection that was up called itself.
        let back = if ended.was_up { plan.broker_is_back.notified() } else { back };
        muted = ended.oversized;
        if muted && events.send((plan.session, Event::Oversized(MAX_INCOMING))).await.is_err() {
            return;
        }
        if events.send((plan.session, Event::Down(ended.why))).await.is_err() {
            return;
        }
        if clock.mono().since(began) > plan.settings.broker.connect_timeout + plan.settings.broker.backoff_max {
            delay = plan.settings.broker.backoff_initial;
        }
        tokio::select! {
            () = last.cancelled() => return,
            () = pause(&plan, &clock, delay, back) => {}
        }
        delay = (delay * 2).min(plan.settings.broker.backoff_max);
    }
}

/// Waits out the back-off, or only its first step when another session came up meanwhile.
async fn pause(plan: &Plan, clock: &Clock, delay: Duration, back: Notified<'_>) {
    let began = clock.mono();
    let (first, max) = (plan.settings.broker.backoff_initial, plan.settings.broker.backoff_max);
    tokio::select! {
        () = clock.sleep_until(began + jittered(delay, max)) => {}
        () = back => clock.sleep_until(began + jittered(first.min(delay), max)).await,
    }
}

async fn attempt(
    plan: &Plan,
    events: &mpsc::Sender<(Session, Event)>,
    clock: &Clock,
    last: &CancellationToken,
    muted: bool,
) -> Ended {
    let ended = |why: String| Ended { why, oversized: false, was_up: false };
    if events.send((plan.session, Event::Attempt)).await.is_err() {
        return ended("the uplink has ended".to_owned());
    }
    let (client, mut eventloop) = match open(plan, muted).await {
        Ok(opened) => opened,
        Err(why) => return ended(why),
    };
    tokio::select! {
        () = last.cancelled() => return ended("stopped".to_owned()),
        () = clock.sleep_until(clock.mono() + plan.settings.broker.connect_timeout) => {
            return ended("no connection within the time allowed".to_owned());
        }
        first = eventloop.poll() => match first {
            Ok(MqttEvent::Incoming(Packet::ConnAck(_))) => {}
            Ok(other) => return ended(format!("the broker answered {other:?}")),
            Err(error) => return ended(words_of(&error)),
        }
    }
    let link = Link { client: client.clone(), cut: CancellationToken::new() };
    let cut = link.cut.clone();
    if !muted {
        subscribe(plan, &client);
    }
    if events.send((plan.session, Event::Up(link))).await.is_err() {
        return ended("the uplink has ended".to_owned());
    }
    plan.broker_is_back.notify_waiters();
    let ended = |why: String| Ended { why, oversized: false, was_up: true };
    tokio::select! {
        ended = drive(plan.session, eventloop, client.clone(), events) => ended,
        () = cut.cancelled() => ended("the broker did not answer".to_owned()),
        () = subscribe_later(plan, &client, clock, muted) => ended("the session is made one that is kept".to_owned()),
    }
}

/// Ends only where a connection must be made anew to be kept by the broker.
async fn subscribe_later(plan: &Plan, client: &AsyncClient, clock: &Clock, muted: bool) {
    if muted {
        clock.sleep_until(clock.mono() + MUTED).await;
        if plan.session == Session::Commands {
            return;
        }
        subscribe(plan, client);
    }
    std::future::pending().await
}

fn subscribe(plan: &Plan, client: &AsyncClient) {
    let filter = match plan.session {
        Session::Urgent => return,
        Session::Bulk => &plan.topics.ack,
        Session::Commands => &plan.topics.commands,
    };
    if client.try_subscribe(filter.as_str(), QoS::AtLeastOnce).is_err() {
        tracing::warn!(session = plan.session.as_str(), "Could not ask for the subscription.");
    }
}

/// Turns the event loop until the connection ends.
async fn drive(
    session: Session,
    mut eventloop: EventLoop,
    client: AsyncClient,
    events: &mpsc::Sender<(Session, Event)>,
) -> Ended {
    loop {
        let event = match eventloop.poll().await {
            Ok(event) => event,
            Err(error) => return Ended { why: words_of(&error), oversized: is_oversized(&error), was_up: true },
        };
        if event == MqttEvent::Outgoing(Outgoing::Disconnect) {
            return Ended { why: "disconnected".to_owned(), oversized: false, was_up: true };
        }
        let Some(event) = heard(session, event, &client) else { continue };
        if events.send((session, event)).await.is_err() {
            return Ended { why: "the uplink has ended".to_owned(), oversized: false, was_up: true };
        }
    }
}

/// Of rumqttc's packets only these say more than a sign of life.
fn heard(session: Session, event: MqttEvent, client: &AsyncClient) -> Option<Event> {
    match event {
        MqttEvent::Outgoing(Outgoing::Publish(pkid)) => Some(Event::Published(pkid)),
        MqttEvent::Outgoing(_) => None,
        MqttEvent::Incoming(Packet::PubAck(ack)) => Some(Event::PubAck(ack.pkid)),
        MqttEvent::Incoming(Packet::SubAck(ack)) => {
            Some(Event::Subscribed(!ack.return_codes.contains(&SubscribeReasonCode::Failure)))
        }
        MqttEvent::Incoming(Packet::Publish(publish)) if publish.payload.len() > MAX_PAYLOAD => {
            // Where acknowledgements are by hand it would come again at each connect.
            if acknowledges_by_hand(session) && client.try_ack(&publish).is_err() {
                tracing::warn!("Could not acknowledge a message that is too large.");
            }
            Some(Event::Oversized(publish.payload.len()))
        }
        MqttEvent::Incoming(Packet::Publish(publish)) => Some(Event::Message(publish)),
        MqttEvent::Incoming(_) => Some(Event::Alive),
    }
}

fn acknowledges_by_hand(session: Session) -> bool {
    session == Session::Commands
}

async fn open(plan: &Plan, muted: bool) -> Result<(AsyncClient, EventLoop), String> {
    let options = options(plan, muted).await?;
    let requests = options.inflight();
    let (client, mut eventloop) = AsyncClient::new(options, requests.into());
    let mut network = eventloop.network_options();
    // Also the limit of one flush: on a thin line a large message takes longer than a connection.
    let flush = plan.settings.broker.connect_timeout.max(plan.settings.broker.keep_alive * 2);
    network.set_connection_timeout(flush.as_secs().max(1));
    network.set_tcp_nodelay(true);
    eventloop.set_network_options(network);
    Ok((client, eventloop))
}

async fn options(plan: &Plan, muted: bool) -> Result<MqttOptions, String> {
    let settings = &plan.settings;
    let id = format!("{}{}", settings.broker.client_id, plan.session.suffix());
    let mut options = MqttOptions::new(id, settings.broker.host.as_str(), settings.broker.port);
    let incoming = if plan.session == Session::Urgent { MAX_UNASKED } else { MAX_INCOMING };
    options
        .set_keep_alive(settings.broker.keep_alive)
        .set_clean_session(plan.session != Session::Commands || muted)
        .set_manual_acks(acknowledges_by_hand(plan.session))
        .set_max_packet_size(incoming, settings.max_message_bytes + PACKET_FRAME)
        .set_inflight(settings.max_in_flight.saturating_add(EXTRA_REQUESTS));
    if let Some(login) = &settings.broker.login {
        options.set_credentials(login.user.as_str(), login.password.as_str());
    }
    if plan.session == Session::Urgent {
        options.set_last_will(LastWill::new(plan.topics.state.as_str(), plan.will.clone(), QoS::AtLeastOnce, true));
    }
    if let Some(tls) = &settings.broker.tls {
        options.set_transport(tls::transport(tls).await?);
    }
    Ok(options)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::uplink::settings::testing;

    fn plan(session: Session, port: u16) -> Plan {
        let settings = testing::settings(port);
        Plan {
            session,
            topics: Arc::new(Topics::new(&settings.park, &settings.gateway)),
            settings: Arc::new(settings),
            will: Vec::new(),
            broker_is_back: Arc::new(Notify::new()),
        }
    }

    #[tokio::test]
    async fn a_monster_that_waits_in_the_session_of_the_commands_is_thrown_away_with_it() {
        let clean = async |session, muted| options(&plan(session, 1), muted).await.unwrap().clean_session();
        assert!(!clean(Session::Commands, false).await);
        assert!(clean(Session::Commands, true).await);
        assert!(clean(Session::Bulk, false).await);
    }

    #[tokio::test(start_paused = true)]
    async fn a_session_that_comes_up_while_another_still_tries_shortens_that_ones_wait_too() {
        // Nobody listens there: each attempt fails at once.
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let plan = plan(Session::Urgent, port);
        let (back, clock, last) = (Arc::clone(&plan.broker_is_back), Clock::system(), CancellationToken::new());
        let (events, mut heard) = mpsc::channel(1);
        let story = async {
            for _ in 0..7 {
                assert!(matches!(heard.recv().await, Some((_, Event::Attempt))));
                assert!(matches!(heard.recv().await, Some((_, Event::Down(_)))));
            }
            // Back-off is at 64 s. The next attempt begins and can not tell its end: the channel is full.
            while heard.is_empty() {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            back.notify_waiters();
            let began = clock.mono();
            assert!(matches!(heard.recv().await, Some((_, Event::Attempt))));
            assert!(matches!(heard.recv().await, Some((_, Event::Down(_)))));
            assert!(matches!(heard.recv().await, Some((_, Event::Attempt))));
            let waited = clock.mono().since(began);
            assert!(waited < Duration::from_secs(10), "{waited:?}");
            last.cancel();
            drop(heard);
        };
        tokio::join!(run(plan, events, clock.clone(), last.clone()), story);
    }
}
