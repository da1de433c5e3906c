//! The gates in the engine's task, over a real store in a folder of its own; the hardware is the two ends of its channels.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};

use super::{Ask, GateInput, Keeper, KeptGates, LaneAct, N_QUEUED_CHANGES, N_QUEUED_COMMANDS, Next, Ways};
use crate::app::engine::{EngineTask, Inputs, Request, Senders};
use crate::app::memory::Kept;
use crate::app::outlets::outlets;
use crate::app::pending::OnDisk;
use crate::app::shares::Shares;
use crate::buffer::{self, settings as store};
use crate::clock::Clock;
use crate::domain::actor::{Actor, Refused, Role, Via};
use crate::domain::audit::{AuditEntry, AuditResult, Head, verify};
use crate::domain::codec;
use crate::domain::danger::{Action, Rules as Danger};
use crate::domain::document::DocumentKind;
use crate::domain::engine::{Engine, Plan};
use crate::domain::gate::decide::{Judged, Policies};
use crate::domain::gate::facts::Facts;
use crate::domain::gate::gates::view::{GatesView, LaneNow};
use crate::domain::gate::gates::{Gates, PictureOf, Settings};
use crate::domain::gate::hardware::{
    Act, CameraEvent, Carried, Input, LaneCommand, LaneEvent, LaneReceipt, PlateSeen, Seen,
};
use crate::domain::gate::inside::Passage;
use crate::domain::gate::lane::Hand;
use crate::domain::gate::lane::spec::{Closes, Fail, Flow, LaneSpec, Position, Service, Timing};
use crate::domain::gate::picture::{Fate, Lost, Picture, PictureKind};
use crate::domain::gate::plate::{Plate, PlateColour};
use crate::domain::gate::presented::PlateRead;
use crate::domain::gate::register::change::{Change, ChangeSet, Origin, Owner};
use crate::domain::gate::register::row::{Row, Vehicle};
use crate::domain::gate::register::{self, Held, Register};
use crate::domain::gate::verdict::{Reason, Verdict};
use crate::domain::gate::word::{GateClass, GateId, GatewayId, LaneId, LaneKind, VehicleClass, ZoneClass, ZoneId};
use crate::domain::gate::{desk, inside};
use crate::domain::order::LaneRule;
use crate::domain::record::{Body, Boot, Stream};
use crate::domain::registry::Registry;
use crate::domain::site::book::{Carries, Direction, Lane as SiteLane, OnFire};
use crate::domain::site::{Action as Site, ServiceAction, ServiceState, ServiceSubject, SiteBook, State};
use crate::supervise::Pulse;

const PLATE: &str = "鲁A12345";
/// Generous: a store on a busy disk, a test beside a hundred others.
const SOON: Duration = Duration::from_secs(30);

fn spec(id: &str, kind: LaneKind, flow: Flow) -> Arc<LaneSpec> {
    use Input::{Approach, Beam, CloseLimit, DoorOpen, Exit, ExitButton, OpenLimit, UnderArm};
    let vehicles = kind == LaneKind::Vehicle;
    let inputs: &[Input] =
        if vehicles { &[Approach, UnderArm, Beam, Exit, OpenLimit, CloseLimit] } else { &[DoorOpen, ExitButton] };
    Arc::new(LaneSpec {
        id: LaneId::new(id),
        name: id.into(),
        name_en: id.into(),
        gate: GateId::new("g1"),
        gate_class: GateClass::GeneralGoods,
        manned: true,
        zone: ZoneId::new("park"),
        zone_from: ZoneId::new("outside"),
        kind,
        flow,
        classes: if vehicles { [VehicleClass::Small].into() } else { BTreeSet::new() },
        windows: Vec::new(),
        inputs: inputs.iter().copied().collect(),
        position: if vehicles { Position::Limits } else { Position::None },
        closes: if vehicles { Closes::Gateway } else { Closes::Controller },
        fail: Fail::Safe,
        on_fire: LaneRule::Open,
        camera: vehicles,
        scale: false,
        button_confirms: false,
        conduct: BTreeMap::new(),
        timing: Timing::default(),
        service: Service::InService,
    })
}

fn settings() -> Arc<Settings> {
    let zones = [(ZoneId::new("park"), inside::ZoneRule::of(ZoneClass::General))].into();
    Arc::new(Settings {
        gateway: GatewayId::new("gw"),
        lanes: vec![
            spec("in", LaneKind::Vehicle, Flow::In),
            spec("out", LaneKind::Vehicle, Flow::Out),
            spec("door", LaneKind::Person, Flow::Both),
        ],
        register: register::rules::Rules::default(),
        inside: inside::Rules { zones, ..inside::Rules::default() },
        hazmat: Arc::default(),
        desk: desk::Rules::default(),
    })
}

fn vehicle() -> Vehicle {
    Vehicle {
        plate: Plate::new(PLATE, PlateColour::Blue),
        class: VehicleClass::Small,
        company: None,
        papers: BTreeMap::new(),
        gross_max_kg: None,
        tare_kg: None,
        tank: false,
        scope: BTreeSet::new(),
        media: BTreeSet::new(),
    }
}

fn register() -> Register {
    let vehicle = vehicle();
    let touched = crate::domain::time::Timestamp(1_795_507_200_000);
    Register::restore(1, BTreeMap::new(), [Held { row: Row::Vehicle(Arc::new(vehicle)), owner: Owner::Local, touched }])
}

/// Permits whatever the fixed rules leave.
struct Everybody;

impl Policies for Everybody {
    fn judge(&self, _: &Facts) -> Judged {
        let (code, zh, en) = ("OK".to_owned(), "可通行".to_owned(), "it may pass".to_owned());
        let permit = Reason { code, verdict: Verdict::Allow, zh, en, policy: Some("test".to_owned()) };
        Judged { permits: vec![permit], ..Judged::default() }
    }

    fn revision(&self) -> &str {
        "test"
    }
}

fn site() -> SiteBook {
    let lane = |id: &str, direction, carries| SiteLane {
        id: id.into(),
        name: id.into(),
        name_en: id.into(),
        zone: 0,
        direction,
        carries,
        emergency: false,
        on_fire: OnFire::Open,
        service: ServiceState::InService,
    };
    let lanes = vec![
        lane("in", Direction::In, Carries::Vehicles),
        lane("out", Direction::Out, Carries::Vehicles),
        lane("door", Direction::Both, Carries::Persons),
    ];
    SiteBook { lanes, ..SiteBook::default() }
}

fn person(name: &str, role: Role) -> Actor {
    Actor { name: name.into(), via: Via::Machine, roles: [role].into() }
}

/// The hands of the hardware, of the page and of the disk.
struct Park {
    clock: Clock,
    store: buffer::Store,
    gates: mpsc::Sender<GateInput>,
    requests: mpsc::Sender<Request>,
    commands: mpsc::Receiver<LaneCommand>,
    kept: watch::Receiver<Option<Arc<Kept>>>,
    registry: Registry,
    reads: u64,
    _dir: tempfile::TempDir,
}

/// A gateway with three lanes; `ends`: whoever drops it ends its engine.
fn park() -> (Park, EngineTask, Inputs, mpsc::Sender<crate::domain::field_event::FieldEvent>) {
    let (dir, clock) = (tempfile::tempdir().unwrap(), Clock::system());
    let stream = store::StreamSettings { retention: Duration::from_secs(3600), reserved_bytes: 0 };
    let settings_of_store = store::Settings {
        dir: dir.path().join("store"),
        mirror_dir: dir.path().join("mirror"),
        quota_bytes: 1 << 30,
        ballast_bytes: 0,
        segment_bytes: 8 << 20,
        commit_interval: Duration::from_millis(50),
        streams: [stream; 6],
        consumers: Vec::new(),
    };
    let opened = buffer::open(settings_of_store, clock.now()).unwrap();
    let lanes = ["in", "out", "door"].map(str::to_owned).into();
    let danger = Danger { site: Arc::new(site()), lanes, ..Danger::default() };
    let registry = Registry { rev: 1, devices: Vec::new() };
    let plan = Plan { registry: Arc::new(registry.clone()), registry_json: "{}".into(), devices: Vec::new(), danger };
    let boot = Boot { software: "test".into(), last_seen: None, off_ms: None, clean: true };
    let engine = Engine::new(1, boot, plan, clock.now());
    let (commands_tx, commands) = mpsc::channel(N_QUEUED_COMMANDS);
    let (changes, _) = mpsc::channel(N_QUEUED_CHANGES);
    let gates = Gates::new(settings(), Arc::new(Everybody), register(), 1, clock.now());
    let keeper = Keeper::new(gates, Ways { commands: commands_tx, changes, shares: Shares::open().1 }, BTreeSet::new());
    let (out, ins) = outlets(opened.appender.next(), watch::Sender::default());
    let pulse = Pulse::new("engine", clock.mono());
    let task = EngineTask::new((engine, Some(keeper)), opened.appender, out, clock.clone(), pulse);
    let (Senders { events, requests, gates }, inputs) = Inputs::open(&opened.store);
    let store = opened.store;
    let park = Park { clock, store, gates, requests, commands, kept: ins.kept, registry, reads: 0, _dir: dir };
    (park, task, inputs, events)
}

impl Park {
    async fn says(&self, lane: &str, what: Seen) {
        let event = LaneEvent { lane: LaneId::new(lane), at: self.clock.mono(), what };
        self.gates.send(GateInput::Event(event)).await.unwrap();
    }

    /// Every input of a lane for vehicles says that it is at rest, the arm down.
    async fn rests(&self, lane: &str) {
        for input in [Input::Approach, Input::UnderArm, Input::Beam, Input::Exit, Input::OpenLimit] {
            self.says(lane, Seen::Input { input, on: Some(false) }).await;
        }
        self.says(lane, Seen::Input { input: Input::CloseLimit, on: Some(true) }).await;
    }

    /// A vehicle stands before the arm and is read.
    async fn arrives(&mut self, lane: &str) {
        self.rests(lane).await;
        self.says(lane, Seen::Input { input: Input::Approach, on: Some(true) }).await;
        let seen = self.read();
        self.says(lane, Seen::Plate(seen)).await;
    }

    /// What a camera reads of the vehicle now.
    fn read(&mut self) -> PlateSeen {
        self.reads += 1;
        let plate = Some(Plate::new(PLATE, PlateColour::Blue));
        PlateSeen {
            device: "cam".into(),
            event: CameraEvent { serial: "s1".into(), number: self.reads },
            read: PlateRead { plate, confidence: 95, fake: false, exempt: false },
            direction: None,
            device_time: None,
            live: true,
            offline: false,
            opened_by_camera: false,
            flags: BTreeSet::new(),
        }
    }

    /// Returns the next command that moves something, of any lane.
    async fn moved(&mut self) -> LaneCommand {
        let moves = |act: &Act| matches!(act, Act::Open { .. } | Act::Close | Act::HoldOpen | Act::EndHold | Act::Stop);
        tokio::time::timeout(SOON, async {
            loop {
                let command = self.commands.recv().await.unwrap();
                if moves(&command.act) {
                    return command;
                }
            }
        })
        .await
        .expect("nothing moved")
    }

    async fn ask<T>(&self, request: impl FnOnce(oneshot::Sender<T>) -> Request) -> T {
        let (answer, asked) = oneshot::channel();
        assert!(self.requests.send(request(answer)).await.is_ok());
        asked.await.unwrap()
    }

    async fn view(&self) -> Arc<GatesView> {
        self.ask(|answer| Request::Gates(Ask::View(answer))).await
    }

    async fn hand(&self, lane: &str, hand: Hand, actor: Actor) -> Result<OnDisk, Refused> {
        let act = Box::new(LaneAct { lane: LaneId::new(lane), hand, why: "测试".into() });
        self.ask(|answer| Request::Gates(Ask::Lane(act, actor, answer))).await
    }

    /// Waits until the gates look as `is` says.
    async fn until(&self, what: &str, is: impl Fn(&GatesView) -> bool) {
        let looks = async {
            while !is(&*self.view().await) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(SOON, looks).await.unwrap_or_else(|_| panic!("{what}"));
    }

    /// Returns the documents of the passage stream that are stored.
    async fn stored(&self) -> Vec<(DocumentKind, String)> {
        self.stored_in(Stream::Passage).await
    }

    async fn stored_in(&self, stream: Stream) -> Vec<(DocumentKind, String)> {
        let page = self.store.read(stream, 1..=u64::MAX, usize::MAX).await.unwrap();
        let document = |entry: &crate::domain::record::Entry| {
            let Ok(Body::Document { kind, json, .. }) = codec::decode(&entry.body, &self.registry) else { return None };
            Some((kind, json))
        };
        page.entries.iter().filter_map(document).collect()
    }
}

/// Runs the engine beside a story, until the story has ended.
async fn told<T>(story: impl AsyncFnOnce(Park) -> T) -> T {
    let (park, task, inputs, events) = park();
    let story = async {
        let told = story(park).await;
        drop(events);
        told
    };
    let (ended, told) = tokio::join!(task.run(inputs), story);
    ended.unwrap();
    told
}

#[tokio::test]
async fn a_plate_is_decided_and_entered_durably_in_the_audit_and_then_the_barrier_opens() {
    told(async |mut park| {
        park.arrives("in").await;
        let command = park.moved().await;
        assert_eq!((command.lane.as_str(), matches!(command.act, Act::Open { .. })), ("in", true), "{command:?}");
        // What the command followed from is on the disk when it comes.
        let stored = park.stored().await;
        let audits = stored.iter().filter(|(kind, _)| *kind == DocumentKind::Audit);
        let audits: Vec<AuditEntry> = audits.map(|(_, json)| serde_json::from_str(json).unwrap()).collect();
        assert!(audits.iter().any(|entry| entry.action == "lane.open" && entry.object == "in"), "{audits:?}");
        assert!(verify(Head::default(), &audits).is_ok());
        let at = |wanted: DocumentKind| stored.iter().position(|(kind, _)| *kind == wanted);
        assert!(at(DocumentKind::Decision).unwrap() < at(DocumentKind::Audit).unwrap(), "decided first");
        let view = park.view().await;
        let last = view.lanes.iter().find_map(|lane| lane.last.as_ref()).unwrap();
        assert_eq!((last.verdict, last.reasons[0].code.as_str()), (Verdict::Allow, "OK"));
    })
    .await;
}

#[tokio::test]
async fn a_picture_is_on_the_record_of_its_passage_and_of_a_read_that_is_none_it_is_nobodys() {
    told(async |mut park| {
        let whose = async |park: &Park, number| {
            let (answer, whose) = oneshot::channel();
            let event = CameraEvent { serial: "s1".into(), number };
            park.gates.send(GateInput::PictureOf { lane: LaneId::new("in"), event, answer }).await.unwrap();
            whose.await.unwrap()
        };
        assert_eq!(whose(&park, 1).await, PictureOf::NotYet);
        park.arrives("in").await;
        park.moved().await;
        let PictureOf::Passage(passage) = whose(&park, 1).await else { panic!("nobody's") };
        let stale = PlateSeen { live: false, ..park.read() };
        park.says("in", Seen::Plate(stale)).await;
        assert_eq!(whose(&park, 2).await, PictureOf::Nobody, "too old to be acted on");
        let lost = Fate::Lost { lost: Lost::NotJpeg };
        let kept = Fate::Kept { sha256: "ab".into(), bytes: 7 };
        for (kind, fate) in [(PictureKind::Whole, &lost), (PictureKind::Whole, &kept), (PictureKind::Whole, &lost)] {
            let picture = Picture { kind, device: "cam".into(), device_time: None, fate: fate.clone() };
            park.gates.send(GateInput::Picture(passage.clone(), picture)).await.unwrap();
        }
        park.until("it is shown", |view| {
            view.lanes.iter().any(|lane| matches!(&lane.pictures[..], [picture] if picture.fate == kept))
        })
        .await;
        let on_record = |stored: Vec<(DocumentKind, String)>| {
            let passages = stored.into_iter().filter(|(kind, _)| *kind == DocumentKind::Passage);
            let passages = passages.map(|(_, json)| serde_json::from_str::<inside::Passage>(&json).unwrap());
            passages.map(|passage| passage.pictures.into_iter().map(|picture| picture.fate).collect()).collect()
        };
        let written = async {
            loop {
                let versions: Vec<Vec<Fate>> = on_record(park.stored().await);
                if versions.last().is_some_and(|last| *last == [kept.clone()]) {
                    return versions;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let versions = tokio::time::timeout(SOON, written).await.expect("it is on record");
        assert!(versions.contains(&vec![lost]), "first the word that it was lost: {versions:?}");
    })
    .await;
}

#[tokio::test]
async fn with_a_store_that_takes_nothing_nobody_comes_in_alone_and_whoever_leaves_leaves() {
    told(async |mut park| {
        park.store.close().await.unwrap();
        park.arrives("in").await;
        park.until("the lane says so", |view| {
            let lane = view.lanes.iter().find(|lane| lane.lane.id.as_str() == "in").unwrap();
            lane.lane.faults.iter().any(|fault| fault.fault == crate::domain::gate::lane::LaneFault::AuditFailed)
        })
        .await;
        assert!(park.view().await.tickets.iter().any(|ticket| ticket.lane.as_str() == "in"), "a person is asked");
        // A person at once, a vehicle after the patience of an exit.
        park.says("door", Seen::Input { input: Input::ExitButton, on: Some(false) }).await;
        park.says("door", Seen::Input { input: Input::ExitButton, on: Some(true) }).await;
        assert_eq!(park.moved().await.lane.as_str(), "door");
        park.arrives("out").await;
        assert_eq!(park.moved().await.lane.as_str(), "out");
        // And nothing moved where somebody wanted in.
        while let Ok(command) = park.commands.try_recv() {
            assert!(!matches!(command.act, Act::Open { .. }) || command.lane.as_str() != "in", "{command:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn an_evacuation_opens_the_ways_out_in_the_same_turn_and_everybody_inside_is_counted() {
    told(async |mut park| {
        let act = async |park: &Park, action: Site, who: &str| {
            let (action, actor) = (Box::new(Action::Site(action)), person(who, Role::Supervisor));
            park.ask(|answer| Request::Act(action, actor, answer)).await.unwrap()
        };
        let propose = Site::Propose { zone: "park".into(), state: State::Evacuate, reason: "泄漏".into() };
        let proposal = act(&park, propose, "zhang").await.id.unwrap().parse().unwrap();
        act(&park, Site::Confirm { proposal }, "li").await;
        let mut opened = BTreeSet::new();
        while opened.len() < 2 {
            let command = park.moved().await;
            assert_eq!(command.act, Act::HoldOpen, "{command:?}");
            opened.insert(command.lane.to_string());
            let (key, lane) = (command.key, command.lane);
            let receipt = LaneReceipt { key, lane, at: park.clock.mono(), carried: Carried::Sent };
            park.gates.send(GateInput::Receipt(receipt)).await.unwrap();
        }
        assert!(opened.contains("out") && opened.contains("door"), "{opened:?}");
        park.until("people are counted", |view| view.musters.len() == 1).await;
        // The lock of the door has no limit switch: what its module took is done, and the site hears so.
        let done = async {
            loop {
                let snapshot = park.ask(Request::Snapshot).await;
                let lane = snapshot.danger.site.lanes.iter().find(|lane| lane.id == "door").unwrap().clone();
                if lane.order == Some("done") {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(SOON, done).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn the_report_of_a_drill_has_its_muster() {
    told(async |park| {
        let act = async |park: &Park, action: Site| {
            let (action, actor) = (Box::new(Action::Site(action)), person("zhang", Role::Supervisor));
            park.ask(|answer| Request::Act(action, actor, answer)).await.unwrap()
        };
        let comment = "季度".to_owned();
        act(&park, Site::StartDrill { zone: "park".into(), rehearses: State::Evacuate, barriers: false, comment })
            .await;
        park.until("people are counted", |view| view.musters.len() == 1).await;
        act(&park, Site::EndDrill { comment: "好".into() }).await;
        let reported = async {
            loop {
                let stored = park.stored_in(Stream::Event).await;
                let report = stored.iter().find(|(_, json)| json.contains("\"drill_report\""));
                if let Some((_, json)) = report {
                    return serde_json::from_str::<serde_json::Value>(json).unwrap();
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let report = tokio::time::timeout(SOON, reported).await.unwrap();
        assert!(report["missing"].is_u64(), "{report}");
    })
    .await;
}

#[tokio::test]
async fn a_restart_in_the_middle_of_a_passage_moves_nothing_and_forgets_nobody() {
    let kept = told(async |mut park| {
        park.arrives("in").await;
        let command = park.moved().await;
        let passes = |input, on| Seen::Input { input, on: Some(on) };
        park.says("in", passes(Input::CloseLimit, false)).await;
        park.says("in", passes(Input::OpenLimit, true)).await;
        for (input, on) in [(Input::UnderArm, true), (Input::Beam, true), (Input::Exit, true), (Input::Approach, false)]
        {
            park.says("in", passes(input, on)).await;
        }
        for input in [Input::UnderArm, Input::Beam, Input::Exit] {
            park.says("in", passes(input, false)).await;
        }
        park.until("it is inside", |view| view.inside.zones.iter().any(|zone| !zone.guests.is_empty())).await;
        // The next one stands before the open arm when the power goes.
        park.says("in", passes(Input::Approach, true)).await;
        drop(command);
        let kept = park.kept.wait_for(|kept| {
            kept.as_ref().and_then(|kept| kept.gates.as_ref()).is_some_and(|gates| !gates.events.is_empty())
        });
        tokio::time::timeout(SOON, kept).await.unwrap().unwrap().clone().unwrap()
    })
    .await;
    let KeptGates { saved, events, .. } = kept.gates.clone().unwrap();
    let saved = serde_json::from_str(&serde_json::to_string(&saved).unwrap()).unwrap();
    let now = Clock::system().now();
    let events = events.into_iter().map(|(_, event)| (*event).clone());
    let gates = Gates::restore(settings(), Arc::new(Everybody), register(), 2, saved, events, now);
    let (commands_tx, mut commands) = mpsc::channel(N_QUEUED_COMMANDS);
    let (changes, _) = mpsc::channel(N_QUEUED_CHANGES);
    let mut keeper =
        Keeper::new(gates, Ways { commands: commands_tx, changes, shares: Shares::open().1 }, BTreeSet::new());
    keeper.outputs(now);
    while let Ok(command) = commands.try_recv() {
        assert!(matches!(command.act, Act::Show(_) | Act::Dismiss { .. }), "{command:?}");
    }
    let view = keeper.gates.view(now);
    assert!(view.inside.zones.iter().any(|zone| !zone.guests.is_empty()), "it is still inside");
}

/// What is saved of the gates may be older than the entry of the audit by which the arm was ordered to open.
#[tokio::test]
async fn an_opening_that_is_newer_than_what_is_saved_is_in_doubt_after_a_restart_and_goes_by_its_number_once() {
    let (kept, stored) = told(async |mut park| {
        park.rests("in").await;
        let kept = park.kept.wait_for(|kept| kept.as_ref().is_some_and(|kept| kept.gates.is_some()));
        let kept = tokio::time::timeout(SOON, kept).await.unwrap().unwrap().clone().unwrap();
        park.arrives("in").await;
        drop(park.moved().await);
        (kept, park.stored().await)
    })
    .await;
    let mut saved = kept.gates.clone().unwrap().saved;
    let passages = stored.iter().filter(|(kind, _)| *kind == DocumentKind::Passage);
    let passages: Vec<Passage> = passages.map(|(_, json)| serde_json::from_str(json).unwrap()).collect();
    saved.learn(passages.clone());
    let now = Clock::system().now();
    let gates = Gates::restore(settings(), Arc::new(Everybody), register(), 2, saved, [], now);
    let doubts = gates.view(now).inside.in_doubt;
    assert_eq!(doubts.iter().map(|doubt| &doubt.passage).collect::<Vec<_>>(), [&passages[0].passage]);
    let last = gates.inside().passage(&passages[0].passage).unwrap();
    let newest = passages.iter().map(|passage| passage.version).max().unwrap();
    assert_eq!(last.version, newest + 1, "a version is never used twice");
}

#[tokio::test]
async fn a_guard_opens_by_hand_with_his_name_in_the_audit_and_a_stranger_does_not() {
    told(async |mut park| {
        park.rests("in").await;
        let open = Hand::Open { emergency: false };
        let refused = park.hand("in", open.clone(), person("wang", Role::Auditor)).await.unwrap_err();
        assert!(refused.en.contains("guard"), "{refused}");
        assert!(park.hand("nowhere", open.clone(), person("li", Role::Guard)).await.is_err());
        let answer = park.hand("in", open, person("li", Role::Guard)).await;
        // What he is told of is on the disk.
        let stored = park.stored().await;
        assert_eq!(answer, Ok(OnDisk(true)));
        assert_eq!(park.moved().await.lane.as_str(), "in");
        let audits = stored.iter().filter(|(kind, _)| *kind == DocumentKind::Audit);
        let audits: Vec<AuditEntry> = audits.map(|(_, json)| serde_json::from_str(json).unwrap()).collect();
        let of = |name: &str| audits.iter().filter(|entry| entry.actor.name == name).count();
        assert_eq!((of("wang"), of("li")), (1, 1), "{audits:?}");
    })
    .await;
}

#[tokio::test]
async fn a_lane_under_commissioning_moves_for_a_test_that_a_supervisor_has_chosen_and_for_nothing_else() {
    told(async |mut park| {
        let (action, actor) = (commissions("in"), person("zhang", Role::Supervisor));
        park.ask(|answer| Request::Act(Box::new(action), actor, answer)).await.unwrap();
        park.until("it is being commissioned", |view| lane_in(view).lane.service == Service::Commissioning).await;
        park.arrives("in").await;
        park.until("a person is asked", |view| !view.tickets.is_empty()).await;
        let test = Hand::Test { until: Some(park.clock.now().wall.after(Duration::from_secs(600))) };
        let refused = park.hand("in", test.clone(), person("wang", Role::Guard)).await.unwrap_err();
        assert!(refused.en.contains("supervisor"), "{refused}");
        assert_eq!(park.hand("in", test, person("zhang", Role::Supervisor)).await, Ok(OnDisk(true)));
        // What stands there was referred, and a test is no answer to that: a guard opens.
        let open = Hand::Open { emergency: false };
        assert_eq!(park.hand("in", open.clone(), person("li", Role::Guard)).await, Ok(OnDisk(true)));
        let command = park.moved().await;
        assert!(matches!(command.act, Act::Open { .. }), "{command:?}");
        park.hand("in", Hand::Test { until: None }, person("zhang", Role::Supervisor)).await.unwrap();
        park.until("the test is over", |view| !lane_in(view).lane.testing).await;
        assert!(park.hand("in", open, person("li", Role::Guard)).await.is_err());
        let stored = park.stored().await;
        let audits = stored.iter().filter(|(kind, _)| *kind == DocumentKind::Audit);
        let audits: Vec<AuditEntry> = audits.map(|(_, json)| serde_json::from_str(json).unwrap()).collect();
        let tests: Vec<_> = audits.iter().filter(|entry| entry.action == "lane.test").collect();
        let by: Vec<_> = tests.iter().map(|entry| (entry.actor.name.as_str(), entry.result)).collect();
        let (done, refused) = (AuditResult::Done, AuditResult::Refused);
        assert_eq!(by, [("wang", refused), ("zhang", done), ("zhang", done)], "{audits:?}");
    })
    .await;
}

fn commissions(lane: &str) -> Action {
    let (subject, reason) = (ServiceSubject::Lane(lane.into()), "新道闸 / a new barrier".into());
    Action::Site(Site::Service(ServiceAction::Move { subject, to: ServiceState::Commissioning, reason }))
}

fn lane_in(view: &GatesView) -> &LaneNow {
    view.lanes.iter().find(|lane| lane.lane.id.as_str() == "in").unwrap()
}

#[tokio::test]
async fn a_vehicle_that_comes_while_fifty_thousand_rows_become_the_register_passes_before_they_are_in_force() {
    let now = Clock::system().now();
    let changes = (0..50_000).map(|n| {
        let plate = Plate::new(&format!("鲁B{n:05}"), PlateColour::Yellow);
        Change::Put(Row::Vehicle(Arc::new(Vehicle { plate, ..vehicle() })))
    });
    let (by, why) = (Actor::gateway(), "list".to_owned());
    let changes = changes.collect();
    let set = ChangeSet { by, origin: Origin::Local, why, changes, named: Vec::new(), version: None };
    let prepared = register().prepare(set, &now).unwrap();
    let mut stored = register();
    assert!(stored.commit(&prepared));
    told(async |mut park| {
        assert_eq!(park.ask(|answer| Request::Gates(Ask::HoldRegister(answer))).await, 1);
        // Whoever stores them is busy with it now; the lane is not.
        let next = Next::of(prepared, &stored);
        assert!(matches!(next, Next::Whole(_)), "a lane must not wait for so many rows");
        park.arrives("in").await;
        assert_eq!(park.moved().await.lane.as_str(), "in");
        assert_eq!(park.view().await.register_rev, 1, "decided and opened before the change is in force");
        let (fits, rest) = park.ask(|answer| Request::Gates(Ask::Register(next, answer))).await;
        assert!(
            fits && matches!(rest, Next::Whole(before) if before.rev() == 1),
            "one step, and the old one comes back"
        );
        assert!(park.requests.send(Request::Gates(Ask::ReleaseRegister)).await.is_ok());
        park.until("the change is in force", |view| view.register_rev == 2).await;
    })
    .await;
}

#[tokio::test]
async fn while_the_audit_cannot_be_written_nothing_privileged_is_done_and_what_is_for_life_is() {
    told(async |mut park| {
        park.store.close().await.unwrap();
        let act = async |park: &Park, action: Site| {
            let (action, actor) = (Box::new(Action::Site(action)), person("zhang", Role::Supervisor));
            park.ask(|answer| Request::Act(action, actor, answer)).await
        };
        let propose = |state| Site::Propose { zone: "park".into(), state, reason: "泄漏".into() };
        let done = act(&park, propose(State::Evacuate)).await.unwrap();
        assert!(done.en.contains("could not be stored") && done.zh.contains("审计未能保存"), "{done:?}");
        assert_eq!(park.ask(Request::Audited).await, OnDisk(false));
        let drill = Site::StartDrill {
            zone: "park".into(),
            rehearses: State::Evacuate,
            barriers: false,
            comment: String::new(),
        };
        let refused = act(&park, drill).await.unwrap_err();
        assert!(refused.en.contains("the audit cannot be stored"), "{refused}");
        // Nobody waits for a disk that is known to be gone, and an emergency opens.
        let open = Hand::Open { emergency: true };
        assert_eq!(park.hand("in", open, person("li", Role::Guard)).await, Ok(OnDisk(false)));
        assert_eq!(park.moved().await.lane.as_str(), "in");
    })
    .await;
}
