//! Two gateways that share over mosquitto, with the names and rights that `config/gates.toml` asks of the park's broker.

use std::collections::BTreeSet;
use std::process::Command as Process;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use parkgate::clock::Clock;
use parkgate::domain::actor::{Actor, Role, Via};
use parkgate::domain::gate::inside::{Event, Have, Inside, InsideAction, Output, Rules, Stock, ZoneRule};
use parkgate::domain::gate::word::{GatewayId, ZoneClass, ZoneId};
use parkgate::domain::snapshot::PeersStatus;
use parkgate::domain::time::{Mono, Now};
use parkgate::peers::settings::{Broker, Login, Settings};
use parkgate::peers::{Account, Inputs};
use rumqttc::{AsyncClient, Event as MqttEvent, MqttOptions, Packet, QoS};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::support::{DEADLINE, Mosquitto, eventually, skip};

/// What the shipped `gates.toml` says that the broker should allow.
const RIGHTS: &str = "pattern read parkgate/v1/+/peers/+/_all\npattern write parkgate/v1/+/peers/%u/+\npattern read parkgate/v1/+/peers/+/%u\n";
const SILENT: Duration = Duration::from_secs(8);

fn park() -> ZoneId {
    ZoneId::new("park")
}

/// The account of one gateway, as its engine would own it.
#[derive(Clone)]
struct Books(Arc<Mutex<Inside>>, Clock);

impl Books {
    fn new(name: &str, peer: &str) -> Self {
        let zones = [(park(), ZoneRule::of(ZoneClass::General))].into();
        let peers = [GatewayId::new(peer)].into();
        let rules = Rules { zones, peers, peer_silent_after: SILENT, ..Rules::default() };
        let clock = Clock::system();
        Self(Arc::new(Mutex::new(Inside::new(GatewayId::new(name), 1, rules, clock.now()))), clock)
    }

    fn with<T>(&self, act: impl FnOnce(&mut Inside) -> T) -> T {
        act(&mut self.0.lock().unwrap())
    }

    /// One person more is inside; returns what is to be stored.
    fn enter(&self) -> Vec<Arc<Event>> {
        let action =
            InsideAction::Correct {
                zone: park(), stock: Stock::Persons, by: 1, subject: None, reason: "点名".into()
            };
        self.act(action)
    }

    fn act(&self, action: InsideAction) -> Vec<Arc<Event>> {
        let lead = Actor { name: "李班长".into(), via: Via::Page, roles: [Role::Supervisor].into() };
        let now = self.1.now();
        self.with(|inside| {
            inside.act(action, &lead, now).unwrap();
            drain(inside)
        })
    }

    fn persons(&self) -> u32 {
        self.with(|inside| inside.account().count(&park(), Stock::Persons).0)
    }

    fn heard(&self) -> Option<bool> {
        self.with(|inside| inside.peers_heard(self.1.mono()))
    }
}

fn drain(inside: &mut Inside) -> Vec<Arc<Event>> {
    let outputs = std::iter::from_fn(|| inside.poll_output());
    outputs.filter_map(|output| if let Output::Event(event) = output { Some(event) } else { None }).collect()
}

impl Account for Books {
    async fn have(&self) -> Option<Have> {
        Some(self.with(|inside| inside.have()))
    }

    async fn lacking(&self, peer: Have) -> Vec<Arc<Event>> {
        self.with(|inside| inside.lacking(&peer))
    }

    async fn take(&self, events: Vec<Event>) {
        let now = self.1.now();
        self.with(|inside| {
            inside.merge(events, now);
            drain(inside);
        });
    }

    async fn heard(&self, peer: GatewayId, at: Mono) {
        let now = Now { mono: at, ..self.1.now() };
        self.with(|inside| inside.heard(peer, now));
    }
}

/// One gateway's sharing.
struct Side {
    books: Books,
    settings: Settings,
    stored: mpsc::Sender<Arc<Event>>,
    status: watch::Receiver<Arc<PeersStatus>>,
    stop: CancellationToken,
    task: tokio::task::JoinHandle<Result<(), String>>,
}

impl Side {
    fn start(books: Books, settings: Settings) -> Self {
        let (stored, stored_rx) = mpsc::channel(256);
        let (status_tx, status) = watch::channel(Arc::default());
        let stop = CancellationToken::new();
        let inputs = Inputs {
            settings: settings.clone(),
            boot: 1,
            account: books.clone(),
            stored: stored_rx,
            status: status_tx,
            clock: books.1.clone(),
            stop: stop.clone(),
        };
        #[expect(clippy::disallowed_methods, reason = "a test has no supervisor")]
        let task = tokio::spawn(parkgate::peers::run(inputs));
        Self { books, settings, stored, status, stop, task }
    }

    async fn enter(&self, n: u32) {
        for _ in 0..n {
            for event in self.books.enter() {
                self.stored.send(event).await.unwrap();
            }
        }
    }

    async fn until(&mut self, what: &str, mut holds: impl FnMut(&PeersStatus) -> bool) {
        let seen = tokio::time::timeout(DEADLINE, self.status.wait_for(|status| holds(status))).await;
        assert!(seen.is_ok_and(|seen| seen.is_ok()), "never: {what}; {:#?}", self.status.borrow());
    }

    async fn end(self) -> (Books, Settings) {
        self.stop.cancel();
        tokio::time::timeout(DEADLINE, self.task).await.expect("sharing never ended").unwrap().unwrap();
        (self.books, self.settings)
    }
}

fn settings(name: &str, peer: &str, port: u16) -> Settings {
    let broker = Broker {
        host: "127.0.0.1".into(),
        port,
        tls: None,
        login: Some(Login { user: name.into(), password: format!("{name}-secret") }),
        client_id: format!("{name}-peers"),
        keep_alive: Duration::from_secs(5),
        connect_timeout: Duration::from_secs(5),
        backoff_initial: Duration::from_millis(100),
        backoff_max: Duration::from_millis(500),
    };
    let peers: BTreeSet<GatewayId> = [GatewayId::new(peer)].into();
    Settings { park: "demo-park".into(), gateway: GatewayId::new(name), peers, silent_after: SILENT, broker }
}

/// Files of the broker; `None` where they cannot be made.
fn files(dir: &std::path::Path) -> Option<String> {
    let (passwords, rights) = (dir.join("passwords"), dir.join("rights"));
    for (n, user) in ["gw-east", "gw-west", "gw-north"].iter().enumerate() {
        let how: &[&str] = if n == 0 { &["-b", "-c"] } else { &["-b"] };
        let secret = format!("{user}-secret");
        let made = Process::new("mosquitto_passwd").args(how).arg(&passwords).args([user, secret.as_str()]).status();
        made.ok().filter(std::process::ExitStatus::success)?;
    }
    std::fs::write(&rights, RIGHTS).unwrap();
    let (passwords, rights) = (passwords.display(), rights.display());
    Some(format!("user root\nallow_anonymous false\npassword_file {passwords}\nacl_file {rights}"))
}

/// A third one, with a login of its own, that says what it should not; returns when the broker has it all.
async fn north_says(port: u16, messages: Vec<(&str, Vec<u8>)>) {
    let mut options = MqttOptions::new("gw-north", "127.0.0.1", port);
    options.set_credentials("gw-north", "gw-north-secret").set_max_packet_size(32 << 20, 32 << 20);
    let (client, mut eventloop) = AsyncClient::new(options, 64);
    let mut acked = messages.len();
    for (topic, payload) in messages {
        let topic = format!("parkgate/v1/demo-park/peers/{topic}");
        client.try_publish(topic, QoS::AtLeastOnce, false, payload).unwrap();
    }
    let all = async {
        while acked > 0 {
            // A broker may hang up on what it denies; what came before has its acknowledgement.
            let Ok(event) = eventloop.poll().await else { return };
            acked -= usize::from(matches!(event, MqttEvent::Incoming(Packet::PubAck(_))));
        }
    };
    tokio::time::timeout(DEADLINE, all).await.expect("the broker takes them");
}

#[tokio::test(flavor = "multi_thread")]
async fn gateways_of_a_park_count_the_same_after_a_broker_was_killed_and_one_of_them_was_away() {
    let dir = tempfile::tempdir().unwrap();
    let Some(extra) = files(dir.path()) else { return skip("mosquitto_passwd is not installed") };
    let Some(mut broker) = Mosquitto::start(dir.path(), &extra) else { return };
    let mut east = Side::start(Books::new("gw-east", "gw-west"), settings("gw-east", "gw-west", broker.port));
    let mut west = Side::start(Books::new("gw-west", "gw-east"), settings("gw-west", "gw-east", broker.port));
    let hears =
        |status: &PeersStatus| status.up && status.peers.iter().all(|peer| peer.in_step && peer.heard.is_some());
    east.until("east hears west", hears).await;
    west.until("west hears east", hears).await;
    east.enter(20).await;
    eventually("west counts what entered in the east", async || west.books.persons() == 20).await;
    eventually("both know that they are heard", async || {
        (east.books.heard(), west.books.heard()) == (Some(true), Some(true))
    })
    .await;

    // The broker dies with all it had. Both go on, and take the same entry back, each in its own words.
    broker.kill();
    east.until("east is cut off", |status| !status.up).await;
    west.until("west is cut off", |status| !status.up).await;
    let first = east.books.with(|inside| inside.account().line().keys().next().unwrap().id.clone());
    for (side, reason) in [(&east, "误报"), (&west, "重复")] {
        for event in side.books.act(InsideAction::Void { event: first.clone(), reason: reason.into() }) {
            side.stored.send(event).await.unwrap();
        }
    }
    east.enter(10).await;
    west.enter(700).await;
    eventually("nobody claims to know of the other", async || {
        (east.books.heard(), west.books.heard()) == (Some(false), Some(false))
    })
    .await;
    broker.up();
    let alike = |east: &Books, west: &Books| east.with(|inside| inside.have()) == west.with(|inside| inside.have());
    eventually("both have the same again", async || alike(&east.books, &west.books)).await;
    assert_eq!((east.books.persons(), west.books.persons()), (729, 729));
    let conflicts = east.books.with(|inside| inside.conflicts());
    assert_eq!(
        (conflicts.len(), &conflicts),
        (1, &west.books.with(|inside| inside.conflicts())),
        "it is shown to people"
    );
    eventually("and they are heard", async || (east.books.heard(), west.books.heard()) == (Some(true), Some(true)))
        .await;

    // One of them is away; the broker keeps what is said to it.
    let (books, of_west) = west.end().await;
    east.enter(30).await;
    eventually("what was said has left", async || east.status.borrow().shared >= 50).await;
    let mut west = Side::start(books, of_west);
    eventually("west has what was said while it was away", async || west.books.persons() == 759).await;
    west.until("west hears east again", hears).await;

    // Whoever is no gateway of the park moves nothing, and what he says is counted.
    let hello = |from: &str| {
        format!(r#"{{"v":1,"from":"{from}","boot":1,"run":5,"say":{{"hello":{{"n":1,"heard":[],"digest":""}}}}}}"#)
            .into_bytes()
    };
    let messages = vec![
        ("gw-north/_all", hello("gw-north")),
        ("gw-north/gw-east", hello("gw-west")),
        ("gw-north/_all", vec![b' '; 2 << 20]),
        ("gw-west/_all", hello("gw-west")),
    ];
    let before = alike(&east.books, &west.books);
    north_says(broker.port, messages).await;
    let count = |status: &PeersStatus, word| status.refused.iter().find(|(of, _)| *of == word).map_or(0, |(_, n)| *n);
    east.until("north is refused", |status| count(status, "forged") >= 2 && count(status, "too_large") >= 1).await;
    assert_eq!(count(&east.status.borrow(), "twin"), 0, "the broker holds north to its own name");
    assert!(before && east.books.persons() == 759);

    // A message larger than any is thrown away with the session, and sharing goes on.
    north_says(broker.port, vec![("gw-north/gw-east", vec![b' '; 17 << 20])]).await;
    east.until("the connection was made anew", |status| count(status, "too_large") >= 2).await;
    west.enter(1).await;
    eventually("east counts on", async || east.books.persons() == 760).await;
    east.end().await;
    west.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_that_the_broker_refuses_is_said_and_shows_no_password() {
    let dir = tempfile::tempdir().unwrap();
    let Some(extra) = files(dir.path()) else { return skip("mosquitto_passwd is not installed") };
    let Some(broker) = Mosquitto::start(dir.path(), &extra) else { return };
    let mut wrong = settings("gw-east", "gw-west", broker.port);
    wrong.broker.login = Some(Login { user: "gw-east".into(), password: "guess".into() });
    let mut east = Side::start(Books::new("gw-east", "gw-west"), wrong);
    east.until("refused", |status| status.trouble.as_deref().is_some_and(|why| why.contains("refuses the login")))
        .await;
    assert!(!format!("{:?}{:?}", east.status.borrow(), east.settings).contains("guess"));
    east.end().await;
}
