//! The hardware of lanes on the wire: simulated cameras, barriers, modules, boards and terminals on real sockets, with every
//! way to mislead.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may")]

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use parkgate::clock::Clock;
use parkgate::domain::gate::hardware::{
    Act, ArmState, CameraEvent, Carried, Datum, Input, LaneCommand, LaneEvent, LaneReceipt, News, PlateSeen, Said,
    Seen, Sign, TerminalEvent, Unreadable, Weight,
};
use parkgate::domain::gate::picture::Lost;
use parkgate::domain::gate::presented::Credential;
use parkgate::domain::gate::register::digest::LookUpKey;
use parkgate::domain::gate::wiegand::{ByteOrder, Card};
use parkgate::domain::gate::word::{Direction, LaneId, TerminalId};
use parkgate::domain::time::{ClockTrust, Mono};
use parkgate::lane::board::session as board;
use parkgate::lane::camera::auth::Auth;
use parkgate::lane::camera::digest::Algorithm;
use parkgate::lane::camera::session::{Counts, Outlets, Settings, serve};
use parkgate::lane::camera::{Camera, Make, Memory, Picture, Remembered, Wired};
use parkgate::lane::coding::{Key, Password, hex, sha256};
use parkgate::lane::isapi::barrier::Profile;
use parkgate::lane::isapi::session as isapi;
use parkgate::lane::jtt808::desk::{Desk as Terminals, Terminal};
use parkgate::lane::jtt808::message::{HEARTBEAT, LOCATION};
use parkgate::lane::jtt808::session as jtt808;
use parkgate::lane::modbus::request::Framing;
use parkgate::lane::modbus::session::Address;
use parkgate::lane::push::Pusher;
use parkgate::lane::reader::token::signed;
use parkgate::lane::reader::{self, Converter, Reader};
use parkgate::lane::relay::{self, Block, Contact, Module, Wire};
use parkgate::lane::scale::{self, Rule, Scale};
use parkgate::lane::vzenith::answer::{Fire, NO_MOVE, moves, offline_taken, opening};
use parkgate::sim::gatehouse::camera::{Pulse, SimCamera};
use parkgate::sim::gatehouse::isapi::{Manner, SimBarrier};
use parkgate::sim::gatehouse::module::{Manner as ModuleManner, SimModule};
use parkgate::sim::gatehouse::pusher::SimPusher;
use parkgate::sim::gatehouse::serial::{SimBoard, SimReader};
use parkgate::sim::gatehouse::terminal::SimTerminal;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// How long a hung test may take: no promise of speed.
const SOON: Duration = Duration::from_secs(60);
const LANE: &str = "east-in";
const PLATE: &str = "皖R12345";

fn lane() -> LaneId {
    LaneId::new(LANE)
}

/// A store that takes its time, or never answers.
#[derive(Clone, Default)]
struct Kept {
    seen: Arc<Mutex<Vec<Remembered>>>,
    dead: bool,
}

impl Memory for Kept {
    fn remember(&self, seen: Remembered, _forget: Vec<CameraEvent>) -> oneshot::Receiver<()> {
        let (done, kept) = oneshot::channel();
        self.seen.lock().unwrap().push(seen);
        if self.dead {
            std::mem::forget(done);
        } else {
            let _gone = done.send(());
        }
        kept
    }
}

/// The gateway's side of the cameras, and a lane that hears them.
struct Gate {
    addr: SocketAddr,
    clock: Clock,
    events: mpsc::Receiver<LaneEvent>,
    receipts: mpsc::Receiver<LaneReceipt>,
    pictures: mpsc::Receiver<Picture>,
    lost: mpsc::Receiver<Picture>,
    news: mpsc::Receiver<News>,
    commands: mpsc::Sender<LaneCommand>,
    counts: watch::Receiver<Counts>,
    memory: Kept,
    stop: CancellationToken,
    _tasks: JoinSet<()>,
}

impl Gate {
    async fn start(cameras: Vec<Camera>, remembered: Vec<Remembered>, memory: Kept) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let addr = listener.local_addr().unwrap();
        let clock = Clock::system();
        clock.assume_trust(ClockTrust::Synced);
        let (events_in, events) = mpsc::channel(1000);
        let (receipts_in, receipts) = mpsc::channel(100);
        let (pictures_in, pictures) = mpsc::channel(4);
        let (lost_in, lost) = mpsc::channel(4);
        let (news_in, news) = mpsc::channel(1000);
        let (commands, commands_out) = mpsc::channel(16);
        let (counts_in, counts) = watch::channel(Counts::default());
        let outlets = Outlets {
            events: events_in,
            receipts: receipts_in,
            pictures: pictures_in,
            lost: lost_in,
            news: news_in,
            memory: memory.clone(),
            counts: counts_in,
        };
        let settings = Settings { body_timeout: SOON, max_connections: 8, ..Settings::at(addr, pushers()) };
        let stop = CancellationToken::new();
        let mut tasks = JoinSet::new();
        let run = serve(settings, listener, (cameras, remembered), outlets, commands_out, clock.clone(), stop.clone());
        tasks.spawn(async move { run.await.unwrap() });
        Self { addr, clock, events, receipts, pictures, lost, news, commands, counts, memory, stop, _tasks: tasks }
    }

    async fn plate(&mut self) -> PlateSeen {
        loop {
            let event = timeout(SOON, self.events.recv()).await.expect("a plate in time").unwrap();
            if let Seen::Plate(seen) = event.what {
                return seen;
            }
        }
    }

    fn command(&self, act: Act) -> LaneCommand {
        let key = format!("key of {act:?}");
        LaneCommand { key, lane: lane(), act, not_after: self.clock.mono() + Duration::from_secs(30) }
    }

    async fn receipt(&mut self) -> Carried {
        timeout(SOON, self.receipts.recv()).await.expect("a receipt in time").unwrap().carried
    }

    async fn counted(&mut self, what: &str, seen: impl Fn(&Counts) -> bool) {
        timeout(SOON, self.counts.wait_for(seen)).await.unwrap_or_else(|_| panic!("never counted: {what}")).unwrap();
    }
}

fn vzenith() -> Camera {
    Camera {
        device: "cam-1".to_owned(),
        lane: lane(),
        make: Make::Vzenith,
        serial: "abc-1".to_owned(),
        looks: Some(Direction::In),
        min_confidence: 80,
        answer_within: SOON,
        max_age: None,
        silent_after: SOON,
        fire: Some(Fire::Plain),
        inputs: BTreeMap::from([(0, Wired { input: Input::Approach, closed_at_rest: false })]),
        auth: Auth::Digest { user: "cam".to_owned(), password: Password::new("pw"), algorithm: Algorithm::Md5 },
        address: None,
    }
}

fn sim(gate: &Gate) -> SimCamera {
    SimCamera::new(gate.addr, "cam-1", "abc-1", "cam", "pw", gate.clock.now().wall.0 / 1000)
}

/// Opens for what comes.
async fn allow(gate: &mut Gate) -> PlateSeen {
    let seen = gate.plate().await;
    let open = gate.command(Act::Open { answers: Some(seen.event.clone()) });
    gate.commands.send(open).await.unwrap();
    seen
}

#[tokio::test]
async fn an_allowed_vehicle_is_let_in_by_the_answer_and_its_resends_move_nothing() {
    let mut gate = Gate::start(vec![vzenith()], Vec::new(), Kept::default()).await;
    let mut camera = sim(&gate);
    camera.fragment = vec![0xFF, 0xD8];
    let ((number, answers), seen) = tokio::join!(camera.see(PLATE), allow(&mut gate));
    assert_eq!(answers, [opening(Fire::Plain)]);
    assert!(seen.live && seen.flags.is_empty() && seen.event.number == number);
    assert_eq!(gate.receipt().await, Carried::Sent);
    for _ in 0..4 {
        assert_eq!(camera.send_again(number, PLATE).await.unwrap(), NO_MOVE);
    }
    assert_eq!(camera.pulses, [Pulse::Answer { plate_id: number, io: 0, ms: 500 }]);
    assert_eq!(gate.memory.seen.lock().unwrap()[0].event, seen.event);
    let picture = timeout(SOON, gate.pictures.recv()).await.unwrap().unwrap();
    assert_eq!((picture.event, picture.pushed.content.map(|jpeg| jpeg.len())), (seen.event, Ok(8000)));
    let lost = timeout(SOON, gate.lost.recv()).await.unwrap().unwrap();
    assert_eq!(lost.pushed.content, Err(Lost::NotJpeg), "the camera's picture of the plate is none");
    gate.counted("four resends", |counts| counts.desk.resent == 4 && counts.desk.opened == 1).await;
}

#[tokio::test]
async fn an_answer_that_was_lost_is_not_given_twice() {
    let mut gate = Gate::start(vec![vzenith()], Vec::new(), Kept::default()).await;
    let mut camera = sim(&gate);
    camera.heartbeat().await.unwrap();
    camera.hang_ups = 1;
    let (number, answers) = camera.see(PLATE).await;
    assert_eq!(answers, [NO_MOVE], "the resend is answered at once, and moves nothing");
    let seen = gate.plate().await;
    let open = gate.command(Act::Open { answers: Some(seen.event) });
    gate.commands.send(open).await.unwrap();
    // The camera hung up before the decision: nothing went out, or what went out was never read; in no case twice.
    assert!(matches!(gate.receipt().await, Carried::Expired | Carried::Failed(_) | Carried::Sent));
    assert_eq!(camera.send_again(number, PLATE).await.unwrap(), NO_MOVE);
    assert!(camera.pulses.is_empty());
}

#[tokio::test]
async fn without_a_decision_the_answer_that_moves_nothing_is_given_at_the_limit() {
    let camera = Camera { answer_within: Duration::from_millis(100), ..vzenith() };
    let mut gate = Gate::start(vec![camera], Vec::new(), Kept::default()).await;
    let mut camera = sim(&gate);
    let (_, answers) = camera.see(PLATE).await;
    assert_eq!(answers, [NO_MOVE]);
    let seen = gate.plate().await;
    let open = gate.command(Act::Open { answers: Some(seen.event) });
    gate.commands.send(open).await.unwrap();
    assert_eq!(gate.receipt().await, Carried::Expired);
    assert!(camera.pulses.is_empty());
}

#[tokio::test]
async fn records_of_an_outage_come_late_and_move_nothing() {
    let mut gate = Gate::start(vec![vzenith()], Vec::new(), Kept::default()).await;
    let mut camera = SimCamera::new(([127, 0, 0, 1], 9).into(), "cam-1", "abc-1", "cam", "pw", 1_772_337_600);
    camera.patience = Duration::from_millis(200);
    camera.white_list.insert(PLATE.to_owned());
    for _ in 0..3 {
        camera.see(PLATE).await;
    }
    assert_eq!(camera.pulses.len(), 3, "it opened by its own list");
    let mut camera = camera.reconnected(gate.addr);
    let (sent, _) = tokio::join!(camera.send_kept(), async {
        for _ in 0..3 {
            let seen = gate.plate().await;
            assert!(seen.offline && !seen.live && seen.opened_by_camera);
            let open = gate.command(Act::Open { answers: Some(seen.event) });
            gate.commands.send(open).await.unwrap();
            assert_eq!(gate.receipt().await, Carried::Expired);
        }
    });
    assert_eq!((sent, camera.pulses.len()), (3, 3), "none by an answer");
    assert!(!moves(&offline_taken(1)));
}

#[tokio::test]
async fn a_restart_between_opening_and_resend_moves_nothing() {
    let mut gate = Gate::start(vec![vzenith()], Vec::new(), Kept::default()).await;
    let mut camera = sim(&gate);
    let ((number, _), _) = tokio::join!(camera.see(PLATE), allow(&mut gate));
    let remembered = gate.memory.seen.lock().unwrap().clone();
    gate.stop.cancel();
    let gate = Gate::start(vec![vzenith()], remembered, Kept::default()).await;
    let mut camera = camera.reconnected(gate.addr);
    assert_eq!(camera.send_again(number, PLATE).await.unwrap(), NO_MOVE);
    assert_eq!(camera.pulses.len(), 1);
}

#[tokio::test]
async fn a_store_that_never_answers_holds_no_gate() {
    let memory = Kept { dead: true, ..Kept::default() };
    let mut gate = Gate::start(vec![vzenith()], Vec::new(), memory).await;
    let mut camera = sim(&gate);
    let ((_, answers), _) = tokio::join!(camera.see(PLATE), allow(&mut gate));
    assert_eq!(answers, [opening(Fire::Plain)]);
}

#[tokio::test]
async fn who_does_not_prove_himself_is_refused_and_counted_and_nothing_goes_on() {
    let signed = Camera {
        device: "cam-2".to_owned(),
        serial: "abc-2".to_owned(),
        auth: Auth::Hmac { key: Key::new(b"key") },
        ..vzenith()
    };
    let elsewhere = Camera { device: "cam-3".to_owned(), address: Some([10, 9, 8, 7].into()), ..vzenith() };
    let mut gate = Gate::start(vec![vzenith(), signed, elsewhere], Vec::new(), Kept::default()).await;
    let clock = gate.clock.now().wall.0 / 1000;
    let mut forger = SimCamera::new(gate.addr, "cam-1", "abc-1", "cam", "guess", clock);
    assert_eq!(forger.heartbeat().await.unwrap().status, 403);
    let mut nowhere = SimCamera::new(gate.addr, "cam-9", "abc-1", "cam", "pw", clock);
    assert_eq!(nowhere.heartbeat().await.unwrap().status, 404);
    let mut other = SimCamera::new(gate.addr, "cam-3", "abc-1", "cam", "pw", clock);
    assert_eq!(other.heartbeat().await.unwrap().status, 403);
    let mut stranger = SimCamera::new(gate.addr, "cam-1", "another", "cam", "pw", clock);
    assert_eq!(stranger.heartbeat().await.unwrap().status, 403);
    // A signed push, and the same bytes once more.
    let body = r#"{"AlarmGioIn":{"serialno":"abc-2","result":{"TriggerResult":{"source":0,"value":1}}}}"#;
    let (time, path) = (gate.clock.now().wall.0, "/vzenith/cam-2");
    let message = format!("POST\n{path}\n{time}\nn1\n{}", sha256(body.as_bytes()));
    let signature = hex(&Key::new(b"key").sign(message.as_bytes()));
    let request = format!(
        "POST {path} HTTP/1.1\r\nHost: g\r\nConnection: close\r\nX-Parkgate-Time: {time}\r\nX-Parkgate-Nonce: n1\r\n\
         X-Parkgate-Signature: {signature}\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    assert!(raw(gate.addr, request.as_bytes()).await.starts_with("HTTP/1.1 200"));
    assert!(raw(gate.addr, request.as_bytes()).await.starts_with("HTTP/1.1 403"));
    gate.counted("all of them", |counts| {
        (counts.wrong, counts.nowhere, counts.elsewhere, counts.replayed, counts.desk.strangers) == (1, 1, 1, 1, 1)
    })
    .await;
    let mut inputs = 0;
    while let Ok(event) = gate.events.try_recv() {
        inputs += usize::from(matches!(event.what, Seen::Input { on: Some(_), .. }));
    }
    assert_eq!(inputs, 1, "only the signed one went on");
}

/// A radar that counts a queue, and a system that knows where persons are.
fn pushers() -> (Vec<Pusher>, LookUpKey) {
    let pusher = |id: &str, persons| Pusher {
        id: id.to_owned(),
        auth: Auth::Hmac { key: Key::new(b"of the park's systems") },
        address: None,
        queues: if persons { [].into() } else { [LaneId::new("east-in")].into() },
        persons,
        silent_after: SOON,
    };
    (vec![pusher("radar-1", false), pusher("tags", true)], LookUpKey::new(&[7; 32]))
}

#[tokio::test]
async fn queues_and_calls_for_help_are_pushed_by_who_proves_himself_and_says_what_he_may() {
    let mut gate = Gate::start(vec![vzenith()], Vec::new(), Kept::default()).await;
    let wall = gate.clock.now().wall.0;
    let mut radar = SimPusher::new(gate.addr, "radar-1", b"of the park's systems");
    let mut tags = SimPusher::new(gate.addr, "tags", b"of the park's systems");
    let mut forger = SimPusher::new(gate.addr, "tags", b"guess, and guess again");
    let queue = json!({ "queues": [{ "lane": "east-in", "vehicles": 7 }] });
    let sos = json!({ "sos": [{ "card": 13398, "on": true }] });
    assert_eq!(forger.push(&sos, wall).await.unwrap().status, 403);
    let taken = radar.push(&queue, wall).await.unwrap();
    assert_eq!((taken.status, taken.body.as_slice()), (200, &br#"{"taken":1}"#[..]));
    assert_eq!(gate.news.recv().await, Some(News::Queue { lane: LaneId::new("east-in"), vehicles: Some(7) }));
    assert_eq!(tags.push(&sos, wall).await.unwrap().status, 200);
    let credential = LookUpKey::new(&[7; 32]).card(Card(13398));
    let Some(News::Sos { credential: told, on: true, .. }) = gate.news.recv().await else { panic!("no call") };
    assert_eq!(told, credential);
    assert_eq!(radar.push(&sos, wall).await.unwrap().status, 403, "it may not speak of persons");
    assert_eq!(radar.push(&json!({ "queue": 1 }), wall).await.unwrap().status, 400);
    gate.counted("all of it", |counts| {
        (counts.news, counts.news_refused, counts.not_pushes, counts.wrong) == (2, 1, 1, 1)
    })
    .await;
}

async fn raw(to: SocketAddr, request: &[u8]) -> String {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut stream = tokio::net::TcpStream::connect(to).await.unwrap();
    stream.write_all(request).await.unwrap();
    let mut answer = Vec::new();
    // A refusal may end in a reset.
    let _any = timeout(SOON, stream.read_to_end(&mut answer)).await.expect("an answer in time");
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn a_picture_of_ten_megabytes_is_refused_without_harm() {
    let mut gate = Gate::start(vec![vzenith()], Vec::new(), Kept::default()).await;
    let mut camera = sim(&gate);
    let large = vec![b'x'; 10 << 20];
    assert_eq!(camera.push("application/json", &large).await.unwrap().status, 413);
    assert_eq!(camera.push("application/json", b"{").await.unwrap().status, 400);
    gate.counted("too large, and no push", |counts| (counts.too_large, counts.not_pushes) == (1, 1)).await;
    let ((_, answers), _) = tokio::join!(camera.see(PLATE), allow(&mut gate));
    assert_eq!(answers, [opening(Fire::Plain)], "the next vehicle is let in as before");
}

#[tokio::test]
async fn connections_beyond_the_limit_and_slow_headers_are_closed() {
    use tokio::io::AsyncReadExt;
    let mut gate = Gate::start(vec![vzenith()], Vec::new(), Kept::default()).await;
    let mut idle = Vec::new();
    for _ in 0..9 {
        idle.push(tokio::net::TcpStream::connect(gate.addr).await.unwrap());
    }
    gate.counted("one without a place", |counts| counts.no_place >= 1).await;
    // The header never comes: each of them is closed, and the places are free again.
    for mut stream in idle {
        let mut rest = Vec::new();
        let _closed = timeout(SOON, stream.read_to_end(&mut rest)).await.expect("closed in time");
    }
    assert_eq!(sim(&gate).heartbeat().await.unwrap().status, 200);
}

#[tokio::test]
async fn inputs_of_a_camera_are_heard() {
    let mut gate = Gate::start(vec![vzenith()], Vec::new(), Kept::default()).await;
    let mut camera = sim(&gate);
    camera.input(0, true).await.unwrap();
    let mut heard = Vec::new();
    while heard.len() < 2 {
        let event = timeout(SOON, gate.events.recv()).await.unwrap().unwrap();
        if let Seen::Input { input: Input::Approach, on } = event.what {
            heard.push(on);
        }
    }
    assert_eq!(heard, [None, Some(true)], "dead until it is heard");
}

/// A barrier with its task.
struct Arm {
    commands: mpsc::Sender<LaneCommand>,
    events: mpsc::Receiver<LaneEvent>,
    receipts: mpsc::Receiver<LaneReceipt>,
    clock: Clock,
    _tasks: JoinSet<()>,
}

impl Arm {
    fn start(address: String, password: &str, within: Duration) -> Self {
        let barrier = isapi::Barrier {
            device: "arm-1".to_owned(),
            lane: lane(),
            address,
            profile: Profile::parking(1).checked().unwrap(),
            user: "admin".to_owned(),
            password: Password::new(password),
            within,
        };
        let (commands, commands_out) = mpsc::channel(4);
        let (events_in, events) = mpsc::channel(1000);
        let (receipts_in, receipts) = mpsc::channel(10);
        let clock = Clock::system();
        let mut tasks = JoinSet::new();
        let stop = CancellationToken::new();
        tasks.spawn(isapi::run(barrier, commands_out, events_in, receipts_in, clock.clone(), stop));
        Self { commands, events, receipts, clock, _tasks: tasks }
    }

    async fn order(&mut self, act: Act, life: Duration) -> Carried {
        let not_after = self.clock.mono() + life;
        self.commands.send(LaneCommand { key: "k".to_owned(), lane: lane(), act, not_after }).await.unwrap();
        timeout(SOON, self.receipts.recv()).await.expect("a receipt in time").unwrap().carried
    }

    async fn stands(&mut self, state: ArmState) {
        let seen = async {
            while let Some(event) = self.events.recv().await {
                if event.what == Seen::Barrier(state) {
                    return;
                }
            }
        };
        timeout(SOON, seen).await.unwrap_or_else(|_| panic!("never {state}"));
    }
}

const OPEN: Act = Act::Open { answers: None };

#[tokio::test]
async fn an_isapi_barrier_is_opened_and_its_own_status_says_that_it_moved() {
    let sim = SimBarrier::start("admin", "pw", Duration::from_millis(100)).await.unwrap();
    let mut arm = Arm::start(sim.addr().to_string(), "pw", SOON);
    arm.stands(ArmState::Closed).await;
    assert_eq!(arm.order(OPEN, SOON).await, Carried::Sent);
    arm.stands(ArmState::Open).await;
    assert_eq!(arm.order(Act::Close, SOON).await, Carried::Sent);
    arm.stands(ArmState::Closed).await;
    let controls = sim.controls();
    assert_eq!(controls.len(), 2);
    assert!(controls.iter().all(|body| !body.contains("lock")));
}

#[tokio::test]
async fn a_locked_barrier_answers_success_and_only_the_status_tells() {
    let sim = SimBarrier::start("admin", "pw", Duration::ZERO).await.unwrap();
    sim.behave(Manner::Locked);
    let mut arm = Arm::start(sim.addr().to_string(), "pw", SOON);
    assert_eq!(arm.order(OPEN, SOON).await, Carried::Sent);
    arm.stands(ArmState::Closed).await;
    sim.behave(Manner::Blind);
    arm.stands(ArmState::Unknown).await;
}

#[tokio::test]
async fn what_is_late_is_not_sent_and_what_is_not_answered_is_not_sent_again() {
    let sim = SimBarrier::start("admin", "pw", Duration::ZERO).await.unwrap();
    let mut arm = Arm::start(sim.addr().to_string(), "pw", Duration::from_millis(300));
    arm.stands(ArmState::Closed).await;
    let past = Act::Open { answers: None };
    let not_after = Mono::default();
    arm.commands.send(LaneCommand { key: "k".to_owned(), lane: lane(), act: past, not_after }).await.unwrap();
    assert_eq!(timeout(SOON, arm.receipts.recv()).await.unwrap().unwrap().carried, Carried::Expired);
    assert!(sim.controls().is_empty());
    sim.behave(Manner::Mute);
    assert!(matches!(arm.order(OPEN, SOON).await, Carried::Unanswered(_)));
    assert_eq!(sim.controls().len(), 1);
    sim.behave(Manner::Broken);
    assert!(matches!(arm.order(OPEN, SOON).await, Carried::Failed(_)));
    assert!(matches!(arm.order(Act::HoldOpen, SOON).await, Carried::Refused(_)));
    let mut wrong = Arm::start(sim.addr().to_string(), "guess", SOON);
    assert!(matches!(wrong.order(OPEN, SOON).await, Carried::Failed(why) if why.contains("401")));
}

/// A device of a lane with its task: commands in, events and receipts out.
struct Rig {
    commands: mpsc::Sender<LaneCommand>,
    events: mpsc::Receiver<LaneEvent>,
    receipts: mpsc::Receiver<LaneReceipt>,
    clock: Clock,
    stop: CancellationToken,
    tasks: JoinSet<()>,
    orders: u32,
}

/// What a task is given.
struct Ends {
    commands: mpsc::Receiver<LaneCommand>,
    events: mpsc::Sender<LaneEvent>,
    receipts: mpsc::Sender<LaneReceipt>,
    clock: Clock,
    stop: CancellationToken,
}

impl Rig {
    fn start<F: Future<Output = ()> + Send + 'static>(run: impl FnOnce(Ends) -> F) -> Self {
        let (commands, commands_out) = mpsc::channel(4);
        let (events_in, events) = mpsc::channel(10_000);
        let (receipts_in, receipts) = mpsc::channel(16);
        let (clock, stop) = (Clock::system(), CancellationToken::new());
        clock.assume_trust(ClockTrust::Synced);
        let (clock_too, stop_too) = (clock.clone(), stop.clone());
        let ends =
            Ends { commands: commands_out, events: events_in, receipts: receipts_in, clock: clock_too, stop: stop_too };
        let mut tasks = JoinSet::new();
        tasks.spawn(run(ends));
        Self { commands, events, receipts, clock, stop, tasks, orders: 0 }
    }

    async fn order(&mut self, act: Act) -> Carried {
        self.orders += 1;
        let (key, not_after) = (format!("k{}", self.orders), self.clock.mono() + SOON);
        self.commands.send(LaneCommand { key, lane: lane(), act, not_after }).await.unwrap();
        timeout(SOON, self.receipts.recv()).await.expect("a receipt in time").unwrap().carried
    }

    /// Waits until this is said.
    async fn says(&mut self, what: &str, said: impl Fn(&Seen) -> bool) -> Seen {
        let heard = async {
            loop {
                let event = self.events.recv().await.expect("it runs");
                if said(&event.what) {
                    return event.what;
                }
            }
        };
        timeout(SOON, heard).await.unwrap_or_else(|_| panic!("never said: {what}"))
    }

    async fn input(&mut self, input: Input, on: Option<bool>) {
        self.says(&format!("{input} {on:?}"), |seen| *seen == Seen::Input { input, on }).await;
    }

    async fn device(&mut self, is_up: bool) {
        self.says(&format!("up {is_up}"), |seen| matches!(seen, Seen::Device { up, .. } if *up == is_up)).await;
    }
}

fn address(sim: &SimModule, framing: Framing) -> Address {
    Address { host: sim.addr().to_string(), framing, unit: 1, within: Duration::from_secs(2) }
}

fn module(sim: &SimModule, framing: Framing) -> Module {
    let wire = |input, bit, closed_at_rest| Wire { input, bit, closed_at_rest };
    let pulse = |coil| Some(Contact::Pulse { coil, length: Duration::from_millis(100) });
    Module {
        device: "io-1".to_owned(),
        lane: lane(),
        address: address(sim, framing),
        block: Block { function: 2, start: 0, count: 8 },
        inputs: vec![
            wire(Input::UnderArm, 0, false),
            wire(Input::Beam, 1, false),
            wire(Input::Fire, 2, true),
            wire(Input::OpenLimit, 3, false),
            wire(Input::CloseLimit, 4, false),
            wire(Input::GuardButton, 7, false),
        ],
        open: pulse(0),
        close: pulse(1),
        stop: pulse(2),
        hold: Some(3),
    }
}

fn relays(module: Module) -> Rig {
    Rig::start(|ends| relay::session::run(module, ends.commands, ends.events, ends.receipts, ends.clock, ends.stop))
}

#[tokio::test]
async fn an_arm_goes_up_and_down_and_its_limits_say_so_over_both_framings() {
    for framing in [Framing::Tcp, Framing::Rtu] {
        let sim = SimModule::start(framing, Duration::from_millis(200)).await.unwrap();
        let mut rig = relays(module(&sim, framing));
        rig.input(Input::CloseLimit, Some(true)).await;
        assert_eq!(rig.order(OPEN).await, Carried::Sent);
        rig.input(Input::OpenLimit, Some(true)).await;
        assert_eq!(rig.order(Act::Close).await, Carried::Sent);
        rig.input(Input::CloseLimit, Some(true)).await;
        let plant = sim.look();
        assert_eq!((plant.pulses, plant.hit, plant.both), ([1, 1, 0], false, false));
    }
}

#[tokio::test]
async fn a_module_that_ends_the_pulse_itself_is_pulsed_once() {
    let sim = SimModule::start(Framing::Tcp, Duration::from_millis(200)).await.unwrap();
    let flash = Contact::Flash { register: 3, words: vec![4, 1], coil: Some(0) };
    let mut rig = relays(Module { open: Some(flash), ..module(&sim, Framing::Tcp) });
    rig.device(true).await;
    assert_eq!(rig.order(OPEN).await, Carried::Sent);
    rig.input(Input::OpenLimit, Some(true)).await;
    assert_eq!((sim.look().pulses, sim.look().coil(0)), ([1, 0, 0], false));
}

#[tokio::test]
async fn nothing_comes_down_on_a_vehicle_and_an_open_ends_a_close() {
    let sim = SimModule::start(Framing::Tcp, Duration::from_millis(100)).await.unwrap();
    let mut rig = relays(module(&sim, Framing::Tcp));
    rig.device(true).await;
    assert_eq!(rig.order(OPEN).await, Carried::Sent);
    rig.input(Input::OpenLimit, Some(true)).await;
    sim.change(|plant| plant.vehicle = true);
    assert!(matches!(rig.order(Act::Close).await, Carried::Refused(_)));
    sim.change(|plant| plant.vehicle = false);
    assert_eq!(rig.order(Act::Close).await, Carried::Sent);
    assert_eq!(rig.order(OPEN).await, Carried::Sent);
    rig.input(Input::OpenLimit, Some(true)).await;
    assert!(!sim.look().hit && !sim.look().both);
}

#[tokio::test]
async fn a_lost_answer_is_taken_back_and_a_dead_module_has_dead_inputs() {
    let sim = SimModule::start(Framing::Tcp, Duration::from_millis(100)).await.unwrap();
    let quick = Address { within: Duration::from_millis(300), ..address(&sim, Framing::Tcp) };
    let mut rig = relays(Module { address: quick, ..module(&sim, Framing::Tcp) });
    rig.device(true).await;
    sim.change(|plant| plant.manner = ModuleManner::Mute);
    assert!(matches!(rig.order(OPEN).await, Carried::Unanswered(_)));
    rig.input(Input::UnderArm, None).await;
    sim.change(|plant| plant.manner = ModuleManner::Honest);
    rig.input(Input::OpenLimit, Some(true)).await;
    let taken_back = async {
        while sim.look().coil(0) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(SOON, taken_back).await.expect("taken back");
    assert_eq!(sim.look().pulses, [1, 0, 0], "and not pulsed again");
    sim.change(|plant| plant.manner = ModuleManner::Deaf);
    rig.input(Input::Fire, None).await;
    rig.device(false).await;
    assert!(matches!(rig.order(OPEN).await, Carried::Failed(_)));
}

#[tokio::test]
async fn fire_and_the_guards_button_are_heard_and_a_hold_stays() {
    let sim = SimModule::start(Framing::Tcp, Duration::from_millis(100)).await.unwrap();
    let mut rig = relays(module(&sim, Framing::Tcp));
    rig.input(Input::Fire, Some(false)).await;
    sim.change(|plant| (plant.fire, plant.button) = (true, true));
    rig.input(Input::Fire, Some(true)).await;
    rig.input(Input::GuardButton, Some(true)).await;
    assert_eq!(rig.order(Act::HoldOpen).await, Carried::Sent);
    rig.input(Input::OpenLimit, Some(true)).await;
    assert!(matches!(rig.order(Act::Close).await, Carried::Refused(_)));
    rig.stop.cancel();
    timeout(SOON, async { while rig.tasks.join_next().await.is_some() {} }).await.expect("it ends");
    assert!(sim.look().coil(3), "a stop of the gateway ends no hold");
    let mut again = relays(module(&sim, Framing::Tcp));
    again.input(Input::OpenLimit, Some(true)).await;
    assert!(sim.look().coil(3), "nor does a new start");
}

#[tokio::test]
async fn an_arm_that_does_not_move_is_seen_by_its_limits_alone() {
    let sim = SimModule::start(Framing::Tcp, Duration::from_millis(50)).await.unwrap();
    sim.change(|plant| plant.manner = ModuleManner::Jammed);
    let mut rig = relays(module(&sim, Framing::Tcp));
    rig.device(true).await;
    assert_eq!(rig.order(OPEN).await, Carried::Sent, "carried is not moved");
    for _ in 0..5 {
        rig.input(Input::CloseLimit, Some(true)).await;
    }
}

fn reader(converter: Converter) -> Reader {
    Reader {
        device: "reader-1".to_owned(),
        lane: lane(),
        direction: Direction::In,
        converter,
        order: ByteOrder::Straight,
        key: LookUpKey::new(&[7; 32]),
    }
}

fn reading(reader: Reader) -> Rig {
    Rig::start(|ends| async move {
        let Ends { events, clock, stop, commands, receipts } = ends;
        let keys = watch::Sender::new(vec![Key::new(b"of the park")]);
        let (codes, judging) = reader::session::judge_codes(keys.subscribe(), clock.clone());
        tokio::join!(reader::session::run(reader, codes, events, clock, stop), judging);
        drop((commands, receipts, keys));
    })
}

async fn shown(rig: &mut Rig) -> Result<Credential, Unreadable> {
    let seen = rig.says("something shown", |seen| matches!(seen, Seen::Shown { .. } | Seen::NotShown { .. })).await;
    if let Seen::NotShown { why, .. } = seen {
        return Err(why);
    }
    let Seen::Shown { credential, .. } = seen else { panic!("{seen:?}") };
    Ok(credential)
}

#[tokio::test]
async fn cards_and_codes_come_through_a_converter_and_numbers_stay_in() {
    let sim = SimReader::start().await.unwrap();
    let mut rig = reading(reader(Converter::Tcp { host: sim.addr().to_string() }));
    rig.device(true).await;
    sim.send(b"W26:09").await;
    sim.send(b"1A2B00\r\n").await;
    let card = shown(&mut rig).await.unwrap();
    assert_eq!(card, LookUpKey::new(&[7; 32]).card(Card(0x0012_3456)));
    sim.send(b"W26:891A2B00\nnonsense\n").await;
    assert_eq!(shown(&mut rig).await, Err(Unreadable::Garbled), "a wrong parity");
    assert_eq!(shown(&mut rig).await, Err(Unreadable::Garbled));
    let now = rig.clock.now().wall.0 / 1000;
    let code = signed(&Key::new(b"of the park"), "permit-7", "n1", now - 10, now + 600);
    sim.send(format!("Q:{code}\nQ:{code}\n").as_bytes()).await;
    assert_eq!(shown(&mut rig).await, Ok(Credential::Token { subject: "permit-7".to_owned() }));
    assert_eq!(shown(&mut rig).await, Err(Unreadable::Replayed));
    let forged = signed(&Key::new(b"of another"), "permit-7", "n2", now - 10, now + 600);
    sim.send(format!("Q:{forged}\n").as_bytes()).await;
    assert_eq!(shown(&mut rig).await, Err(Unreadable::Forged));
    sim.hang_up().await;
    rig.device(false).await;
    rig.device(true).await;
}

#[tokio::test]
async fn what_a_modbus_converter_held_before_is_not_shown_again() {
    let sim = SimModule::start(Framing::Tcp, Duration::ZERO).await.unwrap();
    sim.change(|plant| plant.registers[..5].copy_from_slice(&[6, 26, 0x091A, 0x2B00, 0]));
    let address = address(&sim, Framing::Tcp);
    let mut rig = reading(reader(Converter::Modbus { address, start: 0 }));
    rig.device(true).await;
    // The next frame is another card: were the old one said, it would come first.
    sim.change(|plant| plant.registers[..5].copy_from_slice(&[7, 26, 0xEA0D, 0xC080, 0]));
    assert_eq!(shown(&mut rig).await, Ok(LookUpKey::new(&[7; 32]).card(Card(0x00D4_1B81))));
}

#[tokio::test]
async fn a_sign_is_shown_and_a_board_that_hung_up_is_reached_again() {
    let sim = SimBoard::start(true).await.unwrap();
    let spec = board::Board {
        device: "board-1".to_owned(),
        lane: lane(),
        host: sim.addr().to_string(),
        within: Duration::from_secs(5),
    };
    let mut rig = Rig::start(|ends| board::run(spec, ends.commands, ends.events, ends.receipts, ends.clock, ends.stop));
    for count in 1..=3 {
        let lines = vec![PLATE.to_owned(), format!("第{count}次 请通行")];
        let sign = Sign { lines, voice: "欢迎光临".to_owned() };
        assert_eq!(rig.order(Act::Show(sign.clone())).await, Carried::Sent);
        let seen = async {
            while sim.shown().last() != Some(&sign) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(SOON, seen).await.expect("shown");
    }
    rig.device(true).await;
    assert!(matches!(rig.order(Act::Show(Sign::default())).await, Carried::Refused(_)));
}

#[tokio::test]
async fn a_truck_on_the_bridge_is_weighed_when_it_stands() {
    let sim = SimModule::start(Framing::Tcp, Duration::ZERO).await.unwrap();
    sim.change(|plant| plant.registers[..5].copy_from_slice(&[0, 31_400, 0, 0, 0]));
    let rule = Rule { for_time: Duration::from_millis(500), ..Rule::default() };
    let spec = Scale { device: "scale-1".to_owned(), lane: lane(), address: address(&sim, Framing::Tcp), rule };
    let mut rig = Rig::start(|ends| async move {
        let Ends { events, clock, stop, commands, receipts } = ends;
        scale::session::run(spec, events, clock, stop).await;
        drop((commands, receipts));
    });
    rig.says("moving", |seen| *seen == Seen::Weight(Weight::Moving)).await;
    sim.change(|plant| plant.registers[4] = 1);
    rig.says("still", |seen| *seen == Seen::Weight(Weight::Still(31_400))).await;
    sim.change(|plant| plant.registers[4] = 0b10_0000);
    rig.says("faulty", |seen| *seen == Seen::Weight(Weight::Dead)).await;
}

const PHONE: &str = "13800138000";

struct Fleet {
    addr: SocketAddr,
    events: mpsc::Receiver<TerminalEvent>,
    counts: watch::Receiver<jtt808::Counts>,
    _tasks: JoinSet<()>,
}

impl Fleet {
    async fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let addr = listener.local_addr().unwrap();
        let terminal = Terminal {
            id: TerminalId::new("t-1"),
            phone: PHONE.to_owned(),
            plate: None,
            datum: Datum::Wgs84,
            silent_after: SOON,
        };
        let desk = Terminals::new(vec![terminal], Key::new(b"codes"), LookUpKey::new(&[7; 32]));
        let (events_in, events) = mpsc::channel(100);
        let (counts_in, counts) = watch::channel(jtt808::Counts::default());
        let settings = jtt808::Settings { listen: addr, max_connections: 4 };
        let mut tasks = JoinSet::new();
        let stop = CancellationToken::new();
        tasks.spawn(jtt808::serve(settings, listener, desk, events_in, counts_in, Clock::system(), stop));
        Self { addr, events, counts, _tasks: tasks }
    }

    async fn said(&mut self) -> Said {
        let event = timeout(SOON, self.events.recv()).await.expect("an event in time").unwrap();
        assert_eq!(event.terminal, TerminalId::new("t-1"));
        event.said
    }

    async fn counted(&mut self, what: &str, seen: impl Fn(&jtt808::Counts) -> bool) {
        timeout(SOON, self.counts.wait_for(seen)).await.unwrap_or_else(|_| panic!("never counted: {what}")).unwrap();
    }
}

/// The position of the vectors in `domain.md` B4.
const PLACE: &str = "000000010000000200BA7F0E07E4F11C0028003C00001810151010100104000000640202007D";

#[tokio::test]
async fn a_terminal_enters_and_its_position_is_passed_on_before_it_is_answered() {
    let mut fleet = Fleet::start().await;
    let mut terminal = SimTerminal::connect(fleet.addr, PHONE).await.unwrap();
    terminal.piece = 3;
    assert_eq!(terminal.enter().await, Some(0));
    assert_eq!(fleet.said().await, Said::Online);
    let place = parkgate::lane::coding::unhex(PLACE).unwrap();
    let answer = terminal.say(LOCATION, &place).await.unwrap();
    assert_eq!(answer.body.last(), Some(&0));
    let Said::Position(position) = fleet.said().await else { panic!("no position") };
    assert_eq!((position.lat_e6, position.lon_e6, position.datum), (12_222_222, 132_444_444, Datum::Wgs84));
    assert_eq!(terminal.say(HEARTBEAT, &[]).await.unwrap().body.last(), Some(&0));
    drop(terminal);
    assert_eq!(fleet.said().await, Said::Offline);
}

#[tokio::test]
async fn strangers_garbage_and_too_many_connections_end_and_are_counted() {
    let mut fleet = Fleet::start().await;
    let mut stranger = SimTerminal::connect(fleet.addr, "999").await.unwrap();
    assert_eq!(stranger.enter().await, None);
    assert!(stranger.say(HEARTBEAT, &[]).await.is_none(), "closed");
    let mut noise = SimTerminal::connect(fleet.addr, PHONE).await.unwrap();
    for _ in 0..8 {
        noise.send(&[0x7E, 1, 2, 3, 0x7E]).await;
    }
    assert!(timeout(SOON, noise.answer()).await.expect("closed in time").is_none());
    fleet.counted("both", |counts| (counts.desk.unknown, counts.desk.bad) == (1, 8)).await;
    let mut idle = Vec::new();
    for _ in 0..6 {
        idle.push(SimTerminal::connect(fleet.addr, PHONE).await.unwrap());
    }
    fleet.counted("no place", |counts| counts.no_place >= 1).await;
    drop(idle);
}

/// From the push of a plate to its answer on the wire, with the lane's own part left out: what the adapter costs.
#[tokio::test]
#[ignore = "a figure, by hand: cargo test --release --test wire_lane -- --ignored --nocapture latency"]
async fn latency_of_push_and_answer() {
    let mut gate = Gate::start(vec![vzenith()], Vec::new(), Kept::default()).await;
    let mut camera = sim(&gate);
    camera.picture = 200_000;
    let (mut spans, mut total): (Vec<Duration>, u32) = (Vec::new(), 0);
    for _ in 0..500 {
        let began = gate.clock.mono();
        let ((_, answers), _) = tokio::join!(camera.see(PLATE), allow(&mut gate));
        spans.push(gate.clock.mono().since(began));
        assert_eq!(gate.receipt().await, Carried::Sent);
        total += u32::from(answers == [opening(Fire::Plain)]);
    }
    spans.sort_unstable();
    let at = |percent: usize| spans.get(spans.len() * percent / 100).copied().unwrap_or_default();
    println!("{total} of 500 opened; push to answer p50 {:?} p99 {:?}, picture of 200 kB, digest", at(50), at(99));
    assert_eq!(total, 500);
}
