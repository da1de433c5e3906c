//! The session towards the park's broker: a TCP connection after another, each used once, as the uplink has them
//! (`uplink/session.rs` has the reasons). The broker keeps the session, and what comes for us while we are away; what rumqttc
//! keeps is thrown away with each connection.
//!
//! A message too large for any use ends the connection; the next one begins the session anew, so that the monster, and what
//! waited behind it, is thrown away. What that was, the digests tell.

use std::time::Duration;

use rumqttc::{
    AsyncClient, ConnectionError, Event as MqttEvent, EventLoop, MqttOptions, Outgoing, Packet, Publish, QoS,
    SubscribeFilter, SubscribeReasonCode,
};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::message::MAX_MESSAGE;
use super::settings::Broker;
use crate::clock::Clock;
use crate::mqtt::trouble::{is_oversized, words_of};
use crate::mqtt::{jittered, tls};

/// Largest packet that does not end a connection.
pub const MAX_INCOMING: usize = 16 << 20;
/// Messages under way that the broker is to keep: more than two batches.
pub const IN_FLIGHT: u16 = 64;
/// Topic and header around a payload.
const PACKET_FRAME: usize = 1024;
/// How long the last words may take.
const FAREWELL: Duration = Duration::from_millis(500);

/// What a session tells its owner. `Down` follows each `Attempt` before the next one.
#[derive(Debug)]
pub enum Event {
    /// It tries to connect.
    Attempt,
    /// The broker accepted us.
    Up(Link),
    /// It gives us what we listen to.
    Listening,
    /// A message that it keeps is under way.
    Published,
    /// The broker has one.
    PubAck,
    /// A message of a reasonable size.
    Message(Publish),
    /// A message that was dropped for its size.
    TooLarge,
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
    /// The broker.
    pub broker: Broker,
    /// What we listen to.
    pub filters: [String; 2],
}

/// How a connection ended.
struct Ended {
    why: String,
    oversized: bool,
}

impl Ended {
    fn because(why: impl Into<String>) -> Self {
        Self { why: why.into(), oversized: false }
    }

    fn by(error: &ConnectionError) -> Self {
        Self { why: words_of(error), oversized: is_oversized(error) }
    }
}

/// Keeps a session up until `last` is cancelled and the connection, if there is one, has ended.
pub async fn run(plan: Plan, events: mpsc::Sender<Event>, clock: Clock, last: CancellationToken) {
    let mut delay = plan.broker.backoff_initial;
    let mut anew = false;
    while !last.is_cancelled() {
        let began = clock.mono();
        let ended = attempt(&plan, &events, &clock, &last, anew).await;
        anew = ended.oversized;
        if anew && events.send(Event::TooLarge).await.is_err() {
            return;
        }
        if events.send(Event::Down(ended.why)).await.is_err() {
            return;
        }
        if clock.mono().since(began) > plan.broker.connect_timeout + plan.broker.backoff_max {
            delay = plan.broker.backoff_initial;
        }
        tokio::select! {
            () = last.cancelled() => return,
            () = clock.sleep_until(clock.mono() + jittered(delay, plan.broker.backoff_max)) => {}
        }
        delay = (delay * 2).min(plan.broker.backoff_max);
    }
}

async fn attempt(
    plan: &Plan,
    events: &mpsc::Sender<Event>,
    clock: &Clock,
    last: &CancellationToken,
    anew: bool,
) -> Ended {
    if events.send(Event::Attempt).await.is_err() {
        return Ended::because("sharing has ended");
    }
    let (client, mut eventloop) = match open(&plan.broker, anew).await {
        Ok(opened) => opened,
        Err(why) => return Ended::because(why),
    };
    tokio::select! {
        () = last.cancelled() => return Ended::because("stopped"),
        () = clock.sleep_until(clock.mono() + plan.broker.connect_timeout) => {
            return Ended::because("no connection within the time allowed");
        }
        first = eventloop.poll() => match first {
            Ok(MqttEvent::Incoming(Packet::ConnAck(_))) => {}
            Ok(other) => return Ended::because(format!("the broker answered {other:?}")),
            Err(error) => return Ended::by(&error),
        }
    }
    let filters = plan.filters.iter().map(|filter| SubscribeFilter::new(filter.clone(), QoS::AtLeastOnce));
    if client.try_subscribe_many(filters).is_err() {
        return Ended::because("could not ask for the subscription");
    }
    let link = Link { client: client.clone(), cut: CancellationToken::new() };
    let cut = link.cut.clone();
    if events.send(Event::Up(link)).await.is_err() {
        return Ended::because("sharing has ended");
    }
    let drive = drive(eventloop, events);
    tokio::pin!(drive);
    tokio::select! {
        ended = &mut drive => return ended,
        () = cut.cancelled() => return Ended::because("the broker did not answer"),
        () = last.cancelled() => {}
    }
    drop(client.try_disconnect());
    tokio::select! {
        ended = &mut drive => ended,
        () = clock.sleep_until(clock.mono() + FAREWELL) => Ended::because("stopped"),
    }
}

/// Turns the event loop until the connection ends. Never cancelled half-way while the connection is wanted.
async fn drive(mut eventloop: EventLoop, events: &mpsc::Sender<Event>) -> Ended {
    loop {
        let event = match eventloop.poll().await {
            Ok(event) => event,
            Err(error) => return Ended::by(&error),
        };
        if event == MqttEvent::Outgoing(Outgoing::Disconnect) {
            return Ended::because("disconnected");
        }
        if let MqttEvent::Incoming(Packet::SubAck(ack)) = &event
            && ack.return_codes.contains(&SubscribeReasonCode::Failure)
        {
            let why = "the broker refuses the subscription: check what it allows us on parkgate/v1/<park>/peers/";
            return Ended::because(why);
        }
        let Some(event) = heard(event) else { continue };
        if events.send(event).await.is_err() {
            return Ended::because("sharing has ended");
        }
    }
}

fn heard(event: MqttEvent) -> Option<Event> {
    match event {
        // Packet id 0: nobody acknowledges it.
        MqttEvent::Outgoing(Outgoing::Publish(id)) if id > 0 => Some(Event::Published),
        MqttEvent::Incoming(Packet::PubAck(_)) => Some(Event::PubAck),
        MqttEvent::Incoming(Packet::SubAck(_)) => Some(Event::Listening),
        MqttEvent::Incoming(Packet::Publish(publish)) if publish.payload.len() > MAX_MESSAGE => Some(Event::TooLarge),
        MqttEvent::Incoming(Packet::Publish(publish)) => Some(Event::Message(publish)),
        MqttEvent::Incoming(_) | MqttEvent::Outgoing(_) => None,
    }
}

async fn open(broker: &Broker, anew: bool) -> Result<(AsyncClient, EventLoop), String> {
    let options = options(broker, anew).await?;
    let (client, mut eventloop) = AsyncClient::new(options, usize::from(IN_FLIGHT));
    let mut network = eventloop.network_options();
    // Also the limit of one flush: on a thin line a large message takes longer than a connection.
    let flush = broker.connect_timeout.max(broker.keep_alive * 2);
    network.set_connection_timeout(flush.as_secs().max(1));
    network.set_tcp_nodelay(true);
    eventloop.set_network_options(network);
    Ok((client, eventloop))
}

async fn options(broker: &Broker, anew: bool) -> Result<MqttOptions, String> {
    let mut options = MqttOptions::new(broker.client_id.as_str(), broker.host.as_str(), broker.port);
    options
        .set_keep_alive(broker.keep_alive)
        .set_clean_session(anew)
        .set_max_packet_size(MAX_INCOMING, MAX_MESSAGE + PACKET_FRAME)
        .set_inflight(IN_FLIGHT);
    if let Some(login) = &broker.login {
        options.set_credentials(login.user.as_str(), login.password.as_str());
    }
    if let Some(tls) = &broker.tls {
        options.set_transport(tls::transport(tls).await?);
    }
    Ok(options)
}
