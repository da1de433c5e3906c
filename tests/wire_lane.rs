//! The hardware of lanes on the wire: simulated cameras, barriers, modules, boards and terminals on real sockets, with every
//! way to mislead.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may")]

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use parkgate::clock::Clock;
use parkgate::domain::gate::hardware::{
    Act, ArmState, CameraEvent, Carried, Input, LaneCommand, LaneEvent, LaneReceipt, PlateSeen, Seen,
};
use parkgate::domain::gate::word::{Direction, LaneId};
use parkgate::domain::time::ClockTrust;
use parkgate::lane::camera::auth::Auth;
use parkgate::lane::camera::digest::Algorithm;
use parkgate::lane::camera::session::{Counts, Outlets, Settings, serve};
use parkgate::lane::camera::{Camera, Make, Memory, Picture, Remembered, Wired};
use parkgate::lane::coding::{Key, Password, hex, sha256};
use parkgate::lane::isapi::barrier::Profile;
use parkgate::lane::isapi::session as isapi;
use parkgate::lane::vzenith::answer::{Fire, NO_MOVE, moves, offline_taken, opening};
use parkgate::sim::gatehouse::camera::{Pulse, SimCamera};
use parkgate::sim::gatehouse::isapi::{Manner, SimBarrier};
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
        let (commands, commands_out) = mpsc::channel(16);
        let (counts_in, counts) = watch::channel(Counts::default());
        let outlets = Outlets {
            events: events_in,
            receipts: receipts_in,
            pictures: pictures_in,
            memory: memory.clone(),
            counts: counts_in,
        };
        let settings = Settings { body_timeout: SOON, max_connections: 8, ..Settings::at(addr) };
        let stop = CancellationToken::new();
        let mut tasks = JoinSet::new();
        let run = serve(settings, listener, (cameras, remembered), outlets, commands_out, clock.clone(), stop.clone());
        tasks.spawn(async move { run.await.unwrap() });
        Self { addr, clock, events, receipts, pictures, commands, counts, memory, stop, _tasks: tasks }
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
        looks: Direction::In,
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
    assert_eq!((picture.event, picture.jpeg.len()), (seen.event, 1000));
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
    let not_after = parkgate::domain::time::Mono::default();
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
