//! Joins the state machine to the session and to the account. Waits for nothing but its inputs and the account's answers; a
//! message that does not go is dropped and counted: what it carried is asked for.

use std::sync::Arc;
use std::time::Duration;

use rumqttc::QoS;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::exchange::{Exchange, Message, Output, PeerState};
use super::session::{self, Event, Link, Plan};
use super::source::{Account, Inputs};
use crate::clock::Clock;
use crate::domain::gate::inside::Event as InsideEvent;
use crate::domain::gate::word::GatewayId;
use crate::domain::snapshot::{PeerStatus, PeersStatus};
use crate::domain::time::Mono;

/// Events of the session on their way; a full channel makes the session wait, nothing is dropped.
const EVENTS: usize = 64;
/// Stored events taken at once: a burst becomes one message.
const STORED_AT_ONCE: usize = 256;
/// The longest that a message which the broker is to keep may be unacknowledged; then the connection is of no use.
const STALL: Duration = Duration::from_secs(20);
/// How often the status is told, and the connection looked at.
const SECOND: Duration = Duration::from_secs(1);

/// Runs sharing until `inputs.stop` is cancelled.
///
/// # Errors
/// None so far: a lost broker is tried again for ever.
pub async fn run<A: Account>(inputs: Inputs<A>) -> Result<(), String> {
    let (events_tx, events) = mpsc::channel(EVENTS);
    // Below 2⁵³, so that any JSON reader keeps it.
    let exchange = Exchange::new(&inputs.settings, inputs.boot, fastrand::u64(1..1 << 53));
    let plan = Plan { broker: inputs.settings.broker.clone(), filters: exchange.filters() };
    let last = CancellationToken::new();
    let session = session::run(plan, events_tx, inputs.clock.clone(), last.clone());
    let hub = async {
        let (hub, stored) = Hub::new(inputs, exchange);
        hub.run(events, stored).await;
        last.cancel();
    };
    tokio::join!(session, hub);
    Ok(())
}

struct Hub<A> {
    exchange: Exchange,
    account: A,
    clock: Clock,
    stop: CancellationToken,
    link: Option<Link>,
    /// Messages that the broker has not acknowledged, and since when none was.
    waiting: (u64, Mono),
    second: Mono,
    status: tokio::sync::watch::Sender<Arc<PeersStatus>>,
    told: PeersStatus,
}

impl<A: Account> Hub<A> {
    fn new(inputs: Inputs<A>, exchange: Exchange) -> (Self, mpsc::Receiver<Arc<InsideEvent>>) {
        let broker = &inputs.settings.broker;
        let told = PeersStatus {
            configured: true,
            broker: format!("{}:{}", broker.host, broker.port),
            ..PeersStatus::default()
        };
        let now = inputs.clock.mono();
        let hub = Self {
            exchange,
            account: inputs.account,
            clock: inputs.clock,
            stop: inputs.stop,
            link: None,
            waiting: (0, now),
            second: now,
            status: inputs.status,
            told,
        };
        (hub, inputs.stored)
    }

    async fn run(mut self, mut events: mpsc::Receiver<Event>, mut stored: mpsc::Receiver<Arc<InsideEvent>>) {
        let mut batch = Vec::with_capacity(STORED_AT_ONCE);
        let mut stored_open = true;
        loop {
            let now = self.clock.mono();
            self.exchange.handle_timeout(now);
            self.carry_out().await;
            self.look_at(self.clock.mono());
            let due = self.exchange.poll_timeout().map_or(self.second, |due| due.min(self.second));
            tokio::select! {
                Some(event) = events.recv() => self.on_event(event),
                n = stored.recv_many(&mut batch, STORED_AT_ONCE), if stored_open => {
                    stored_open = n > 0;
                    self.exchange.handle_stored(&batch);
                    batch.clear();
                }
                () = self.clock.sleep_until(due) => {}
                () = self.stop.cancelled() => break,
            }
        }
        // What was stored last still goes, where there is a connection.
        while let Ok(event) = stored.try_recv() {
            self.exchange.handle_stored(&[event]);
        }
        while let Some(output) = self.exchange.poll_output() {
            if let Output::Send(message) = output {
                self.publish(message);
            }
        }
    }

    fn on_event(&mut self, event: Event) {
        let now = self.clock.mono();
        match event {
            Event::Attempt => self.told.attempts += 1,
            // Its word on the subscription is the first that it owes.
            Event::Up(link) => (self.link, self.waiting) = (Some(link), (1, now)),
            Event::Listening => {
                tracing::info!(broker = %self.told.broker, "Passages are shared.");
                self.waiting = (self.waiting.0.saturating_sub(1), now);
                (self.told.up, self.told.since, self.told.trouble) = (true, Some(now), None);
                self.exchange.handle_up(now);
            }
            Event::Published => {
                if self.waiting.0 == 0 {
                    self.waiting.1 = now;
                }
                self.waiting.0 += 1;
            }
            Event::PubAck => self.waiting = (self.waiting.0.saturating_sub(1), now),
            Event::Message(publish) => {
                self.exchange.handle_message(&publish.topic, publish.retain, &publish.payload, now);
            }
            Event::TooLarge => self.exchange.handle_too_large(),
            Event::Down(why) => self.on_down(why, now),
        }
    }

    fn on_down(&mut self, why: String, now: Mono) {
        if self.told.trouble.as_ref() != Some(&why) {
            tracing::warn!(broker = %self.told.broker, %why, "Passages are not shared.");
        }
        self.link = None;
        if self.told.up || self.told.since.is_none() {
            self.told.since = Some(now);
        }
        (self.told.up, self.told.trouble) = (false, Some(why));
        self.exchange.handle_down();
    }

    async fn carry_out(&mut self) {
        while let Some(output) = self.exchange.poll_output() {
            match output {
                Output::Look => {
                    if let Some(have) = self.account.have().await {
                        self.exchange.handle_have(have, self.clock.mono());
                    }
                }
                Output::Lacking(peer, have) => {
                    let events = self.account.lacking(have).await;
                    self.exchange.handle_lacking(&peer, &events);
                }
                Output::Take(events) => self.account.take(events).await,
                Output::Heard(peer, at) => self.account.heard(peer, at).await,
                Output::Send(message) => self.publish(message),
            }
        }
    }

    fn publish(&mut self, message: Message) {
        let Some(link) = &self.link else { return };
        let qos = if message.keep { QoS::AtLeastOnce } else { QoS::AtMostOnce };
        if link.client.try_publish(message.topic, qos, false, message.payload).is_err() {
            self.told.dropped += 1;
        }
    }

    /// Cuts a connection over which nothing is acknowledged; tells how it stands.
    fn look_at(&mut self, now: Mono) {
        if now < self.second {
            return;
        }
        self.second = now + SECOND;
        let (waiting, since) = self.waiting;
        if let Some(link) = self.link.as_ref().filter(|_| waiting > 0 && now.since(since) > STALL) {
            link.cut.cancel();
        }
        let peer = |(gateway, state): (&GatewayId, &PeerState)| PeerStatus {
            gateway: gateway.clone(),
            heard: state.heard,
            in_step: state.in_step,
        };
        self.told.peers = self.exchange.peers().map(peer).collect();
        let refused: Vec<_> = self.exchange.refused().map(|(reason, n)| (reason.as_str(), n)).collect();
        for (reason, n) in &refused {
            let before = self.told.refused.iter().find(|(of, _)| of == reason).map_or(0, |(_, n)| *n);
            // A flood of garbage must not become a flood of log lines.
            if n.checked_ilog2() != before.checked_ilog2() {
                tracing::warn!(reason, count = n, "Refused something of another gateway.");
            }
        }
        self.told.refused = refused;
        let counts = self.exchange.counts();
        (self.told.shared, self.told.resent, self.told.taken) = (counts.shared, counts.resent, counts.taken);
        if **self.status.borrow() != self.told {
            self.status.send_replace(Arc::new(self.told.clone()));
        }
    }
}
