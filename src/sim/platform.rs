//! A small city platform: subscribes as an ordinary MQTT client, keeps the account, acknowledges what it has stored.
//!
//! ```text
//!  broker ──▶ account ──▶ ack, at most five times a second for what is new; for everything after each `online`
//! ```
//!
//! Its store is its memory. Acknowledgements are published at QoS 1; one that is lost does no harm: what is sent again
//! because of it is recognized and acknowledged again.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use rumqttc::{AsyncClient, Event, EventLoop, MqttOptions, Packet, Publish, QoS, SubscribeFilter};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;

use super::account::{Account, Blemish, Channel, Closing, Lane, Receipt, Totals};
use super::broker::MAX_PACKET;
use super::orders::Order;
use crate::clock::Clock;
use crate::domain::record::Stream;

/// Pause between acknowledgements.
const ACK_EVERY: Duration = Duration::from_millis(200);
/// Pause before the broker is tried again.
const RETRY: Duration = Duration::from_millis(250);
/// Requests of the client towards its event loop: subscriptions and acknowledgements of one turn.
const N_REQUESTS: usize = 64;
/// Questions that wait: there is one who asks.
const N_QUESTIONS: usize = 8;
/// Commands that wait: the tables of a register and the waybills, with as many again.
const N_ORDERS: usize = 16;
/// Refusals kept in words.
const MAX_REFUSALS: usize = 20;

/// A running platform. Dropping it ends it.
#[derive(Debug)]
pub struct Platform {
    totals: watch::Receiver<Totals>,
    questions: mpsc::Sender<Question>,
    orders: mpsc::Sender<Order>,
    _tasks: JoinSet<()>,
}

/// Whether it adds up, with the particulars.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// The closing against the number asked for.
    pub closing: Closing,
    /// Highest `next` by stream that the platform can know: told by a state message, or above what it holds.
    pub next: [u64; 6],
    /// Numbers inside gap records by stream and reason.
    pub gaps: Vec<(Stream, String, u64)>,
    /// Messages refused, in words.
    pub refusals: Vec<String>,
    /// Blemishes, the first of them.
    pub blemishes: Vec<Blemish>,
    /// Median and 99th percentile of the age of live values at their receipt.
    pub live_age: Option<(Duration, Duration)>,
}

struct Question {
    next: [u64; 6],
    answer: oneshot::Sender<Verdict>,
}

impl Platform {
    /// Starts a platform for `gateway` of `park` at a broker. Must be called inside a tokio runtime.
    pub fn start(broker: SocketAddr, park: &str, gateway: &str, clock: Clock) -> Self {
        let (totals_tx, totals) = watch::channel(Totals::default());
        let (questions, inbox) = mpsc::channel(N_QUESTIONS);
        let (orders, wanted) = mpsc::channel(N_ORDERS);
        let desk = Desk {
            base: format!("parkgate/v1/{park}/{gateway}"),
            target: format!("{park}/{gateway}"),
            ordered: 0,
            account: Account::strict(),
            dirty: BTreeSet::new(),
            refusals: Vec::new(),
            totals: totals_tx,
            clock,
        };
        let mut tasks = JoinSet::new();
        tasks.spawn(desk.run(broker, inbox, wanted));
        Self { totals, questions, orders, _tasks: tasks }
    }

    /// Returns the counters of the account.
    pub fn totals(&self) -> Totals {
        *self.totals.borrow()
    }

    /// Sends a command, signed, to the gateway. Whether it was done is for who ordered it to see; one that finds no place in the
    /// queue was not sent.
    pub fn order(&self, order: Order) {
        drop(self.orders.try_send(order));
    }

    /// Returns the closing of the account against `next`; `None` when the platform is gone.
    pub async fn close(&self, next: [u64; 6]) -> Option<Verdict> {
        let (answer, verdict) = oneshot::channel();
        self.questions.send(Question { next, answer }).await.ok()?;
        verdict.await.ok()
    }
}

/// The one owner of the account.
struct Desk {
    base: String,
    /// `park/gateway`.
    target: String,
    /// Commands sent so far; each has an id of its own.
    ordered: u64,
    account: Account,
    dirty: BTreeSet<Channel>,
    refusals: Vec<String>,
    totals: watch::Sender<Totals>,
    clock: Clock,
}

impl Desk {
    async fn run(
        mut self,
        broker: SocketAddr,
        mut questions: mpsc::Receiver<Question>,
        mut orders: mpsc::Receiver<Order>,
    ) {
        let (client, events) = connection(broker);
        let (news, mut heard) = mpsc::channel(N_REQUESTS);
        let mut pump = JoinSet::new();
        pump.spawn(listen(events, news));
        let mut due = self.clock.mono() + ACK_EVERY;
        loop {
            tokio::select! {
                Some(heard) = heard.recv() => self.hear(heard, &client),
                Some(question) = questions.recv() => self.answer(question),
                Some(order) = orders.recv() => self.send(&order, &client),
                () = self.clock.sleep_until(due) => {
                    due = self.clock.mono() + ACK_EVERY;
                    self.acknowledge(&client);
                }
            }
        }
    }

    fn hear(&mut self, heard: Heard, client: &AsyncClient) {
        match heard {
            Heard::Connected => self.connected(client),
            Heard::Message(publish) => self.take(&publish),
            Heard::Lost => self.account.mark_session(),
        }
    }

    /// Subscribes anew: the broker's sessions are clean.
    fn connected(&mut self, client: &AsyncClient) {
        let names = Channel::all().map(Channel::as_str).chain(["state"]);
        let filters = names.map(|name| SubscribeFilter::new(format!("{}/{name}", self.base), QoS::AtLeastOnce));
        if client.try_subscribe_many(filters).is_err() {
            tracing::warn!("The platform could not subscribe: its request queue is full.");
        }
        self.dirty.extend(Channel::all());
    }

    fn take(&mut self, publish: &Publish) {
        match self.account.take(&publish.topic, &publish.payload, self.clock.now()) {
            Ok(Receipt::Records(taken)) => {
                self.dirty.insert(taken.channel);
            }
            Ok(Receipt::State(state)) if state.online => self.dirty.extend(Channel::all()),
            Ok(Receipt::State(_)) => {}
            Err(fault) => {
                tracing::warn!(topic = %publish.topic, %fault, "The platform refused a message.");
                if self.refusals.len() < MAX_REFUSALS {
                    self.refusals.push(fault.to_string());
                }
            }
        }
        self.totals.send_replace(self.account.totals());
    }

    /// Publishes what is new; what does not fit into the queue now goes next time.
    fn acknowledge(&mut self, client: &AsyncClient) {
        let Some(epoch) = self.account.epoch().map(str::to_owned) else { return };
        let topic = format!("{}/ack", self.base);
        for channel in std::mem::take(&mut self.dirty) {
            let Some(message) = self.account.ack_message(&epoch, channel) else { continue };
            if client.try_publish(&topic, QoS::AtLeastOnce, false, message).is_err() {
                self.dirty.insert(channel);
            }
        }
    }

    /// What finds no place in the queue of the client is ordered again by whoever sees that it was not done.
    fn send(&mut self, order: &Order, client: &AsyncClient) {
        self.ordered += 1;
        let now = self.clock.now().wall;
        let message = order.signed(&self.target, &format!("demo-{}-{}", now.0, self.ordered), now);
        drop(client.try_publish(format!("{}/cmd/{}", self.base, order.name), QoS::AtLeastOnce, false, message));
    }

    fn answer(&self, question: Question) {
        let known = self.account.next().unwrap_or([1; 6]);
        let mut next = known;
        for (next, stream) in next.iter_mut().zip(Stream::ALL) {
            *next = self.account.held(stream).last().map_or(1, |last| last.saturating_add(1)).max(*next);
        }
        let ages = self.account.ages(Lane::Live);
        let verdict = Verdict {
            closing: self.account.close(question.next),
            next,
            gaps: self.gaps(),
            refusals: self.refusals.clone(),
            blemishes: self.account.blemishes().to_vec(),
            live_age: ages.p50().zip(ages.p99()),
        };
        // Whoever asked may have gone.
        question.answer.send(verdict).ok();
    }

    fn gaps(&self) -> Vec<(Stream, String, u64)> {
        let of = |stream: Stream| {
            let reasons: BTreeMap<String, _> = self.account.gaps(stream);
            reasons.into_iter().map(move |(reason, ranges)| (stream, reason, ranges.len()))
        };
        Stream::ALL.into_iter().flat_map(of).collect()
    }
}

enum Heard {
    Connected,
    Message(Publish),
    Lost,
}

/// Turns the client's event loop. A task of its own, because a poll that is dropped half way drops its connection.
async fn listen(mut events: EventLoop, news: mpsc::Sender<Heard>) {
    loop {
        let heard = match events.poll().await {
            Ok(Event::Incoming(Packet::ConnAck(_))) => Heard::Connected,
            Ok(Event::Incoming(Packet::Publish(publish))) => Heard::Message(publish),
            Ok(_) => continue,
            Err(_) => {
                tokio::time::sleep(RETRY).await;
                Heard::Lost
            }
        };
        if news.send(heard).await.is_err() {
            return;
        }
    }
}

fn connection(broker: SocketAddr) -> (AsyncClient, EventLoop) {
    let mut options = MqttOptions::new("city-platform", broker.ip().to_string(), broker.port());
    options.set_keep_alive(Duration::from_secs(10));
    options.set_max_packet_size(MAX_PACKET, MAX_PACKET);
    AsyncClient::new(options, N_REQUESTS)
}

#[cfg(test)]
mod tests {
    use super::super::broker::Broker;
    use super::*;

    const DEADLINE: Duration = Duration::from_secs(30);

    fn envelope(epoch: &str, seqs: std::ops::RangeInclusive<u64>) -> String {
        let record =
            |s| format!(r#"{{"seq":{s},"t":"2026-11-23T08:00:00Z","basis":"poll","device":"d","values":{{"A":1}}}}"#);
        let records: Vec<String> = seqs.map(record).collect();
        format!(
            r#"{{"v":1,"gateway":"gw","epoch":"{epoch}","boot":1,"reg":1,"stream":"telemetry","lane":"live","clock":"synced","sent_at":"2026-11-23T08:00:00Z","records":[{}]}}"#,
            records.join(",")
        )
    }

    fn gateway(broker: &Broker) -> (AsyncClient, EventLoop) {
        AsyncClient::new(MqttOptions::new("gw", broker.addr().ip().to_string(), broker.addr().port()), 10)
    }

    /// Publishes `payload` until an ack for `stored` comes.
    async fn acked(client: &AsyncClient, events: &mut EventLoop, payload: &str, stored: &str) {
        let wait = async {
            client.publish("parkgate/v1/p/gw/telemetry", QoS::AtLeastOnce, false, payload).await.unwrap();
            loop {
                match events.poll().await {
                    Ok(Event::Incoming(Packet::Publish(p))) if p.payload.as_ref() == stored.as_bytes() => return,
                    Ok(Event::Incoming(Packet::ConnAck(_))) => {
                        client.try_subscribe("parkgate/v1/p/gw/ack", QoS::AtLeastOnce).unwrap();
                        client
                            .try_publish("parkgate/v1/p/gw/state", QoS::AtLeastOnce, true, r#"{"state":"online"}"#)
                            .unwrap();
                        client.try_publish("parkgate/v1/p/gw/telemetry", QoS::AtLeastOnce, false, payload).unwrap();
                    }
                    Ok(_) => {}
                    Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
                }
            }
        };
        tokio::time::timeout(DEADLINE, wait).await.unwrap();
    }

    #[tokio::test]
    async fn it_acknowledges_what_it_holds_also_after_the_broker_was_away() {
        let broker = Broker::start((std::net::Ipv4Addr::LOCALHOST, 0).into()).await.unwrap();
        let platform = Platform::start(broker.addr(), "p", "gw", Clock::system());
        let connected = async {
            while broker.clients() == 0 {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(DEADLINE, connected).await.unwrap();
        let (client, mut events) = gateway(&broker);
        acked(
            &client,
            &mut events,
            &envelope("01K", 1..=3),
            r#"{"epoch":"01K","stream":"telemetry","stored":[[1,3]]}"#,
        )
        .await;
        assert_eq!(platform.totals().records, 3);
        let verdict = platform.close([1, 1, 1, 1, 1, 4]).await.unwrap();
        assert!(verdict.closing.closes(), "{verdict:?}");
        assert_eq!(verdict.next, [1, 1, 1, 1, 1, 4]);
        broker.set_open(false);
        let gone = async { while events.poll().await.is_ok() {} };
        tokio::time::timeout(DEADLINE, gone).await.unwrap();
        broker.set_open(true);
        let back = async {
            while broker.clients() == 0 {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(DEADLINE, back).await.unwrap();
        acked(
            &client,
            &mut events,
            &envelope("01K", 4..=5),
            r#"{"epoch":"01K","stream":"telemetry","stored":[[1,5]]}"#,
        )
        .await;
        assert!(platform.close([1, 1, 1, 1, 1, 6]).await.unwrap().closing.closes());
        assert_eq!(platform.close([1, 1, 1, 1, 1, 7]).await.unwrap().closing.unexplained, [(Stream::Telemetry, 6..=6)]);
    }
}
