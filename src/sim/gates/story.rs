//! What drives and walks through the demo's gates, a minute's story that begins again and again, as the world goes through it:
//! loops, plates, cards, an arm that goes up or does not.
//!
//! ```text
//!  s         3      10      18     24     30     36     44     50
//!  east-in   staff car       visitor (refused)   truck
//!  east-out            staff car                               truck
//!  walk      in  in   nobody's card         out          out
//!  chem-in     old tanker (refused)        tanker
//!  chem-out                                                tanker
//! ```
//!
//! Nobody here knows what the gateway decides: a vehicle comes, waits for a while, and goes through when the arm is up; else it
//! turns back. Each lane is a task of its own; waits are for what is seen, with a deadline.

use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use super::ledger::Ledger;
use super::papers::{self, CardOf, OLD_TANKER, STAFF_CAR, TANKER, TRUCK, VISITOR};
use super::{Gatehouse, Hardware};
use crate::clock::Clock;
use crate::domain::gate::plate::PlateColour;
use crate::domain::time::Mono;
use crate::sim::gatehouse::camera::SimCamera;
use crate::sim::gatehouse::module::Plant;

/// The story begins anew after this.
pub const CYCLE: Duration = Duration::from_secs(60);
/// A camera says that it is there this often.
const HEARTBEAT: Duration = Duration::from_secs(5);
/// A vehicle whose arm stays down turns back after this; a driver at a desk for dangerous goods has more to wait for.
const PATIENCE: Duration = Duration::from_secs(6);
const PATIENCE_HAZMAT: Duration = Duration::from_secs(14);
/// What takes longer than this on a machine that is not down is given up.
const LONGEST: Duration = Duration::from_secs(10);
/// Between two looks at what moves.
const LOOK: Duration = Duration::from_millis(50);
/// A contact is on or off for at least this long, and until the gateway has read it twice.
const STEP: Duration = Duration::from_millis(600);
/// A turnstile counts somebody by a contact that is on for about so long.
const TURN: Duration = Duration::from_millis(400);
/// News on their way to whoever tells them: those of a few cycles.
const N_NEWS: usize = 64;

/// Somebody comes.
#[derive(Clone, Copy, Debug)]
struct Visit {
    /// Second of the cycle.
    at: u64,
    /// The vehicle; empty at the turnstile.
    plate: &'static str,
    /// Cards that are shown.
    cards: &'static [CardOf],
    /// The way, at the turnstile.
    out: bool,
}

const fn drive(at: u64, plate: &'static str) -> Visit {
    Visit { at, plate, cards: &[], out: false }
}

const fn walk(at: u64, card: &'static [CardOf], out: bool) -> Visit {
    Visit { at, plate: "", cards: card, out }
}

/// The visits of a lane, in their order.
fn visits(lane: &str) -> &'static [Visit] {
    match lane {
        "east-in" => const { &[drive(1, STAFF_CAR), drive(18, VISITOR), drive(32, TRUCK)] },
        "east-out" => const { &[drive(10, STAFF_CAR), drive(46, TRUCK)] },
        "walk" => {
            const {
                &[
                    walk(1, &[CardOf::Staff], false),
                    walk(7, &[CardOf::Contractor], false),
                    walk(13, &[CardOf::Nobody], false),
                    walk(36, &[CardOf::Staff], true),
                    walk(48, &[CardOf::Contractor], true),
                ]
            }
        }
        "chem-in" => &[
            Visit { at: 6, plate: OLD_TANKER, cards: &[CardOf::OtherDriver], out: false },
            Visit { at: 26, plate: TANKER, cards: &[CardOf::Driver, CardOf::Escort], out: false },
        ],
        "chem-out" => const { &[drive(47, TANKER)] },
        _ => &[],
    }
}

/// Something is over at a lane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GateNews {
    /// The lane.
    pub lane: &'static str,
    /// Its name.
    pub name: &'static str,
    /// Vehicle; empty for a person.
    pub plate: &'static str,
    /// It went through.
    pub passed: bool,
}

/// A story under way. Dropping it ends it where it is.
#[derive(Debug)]
pub struct Story {
    /// What really passed.
    pub ledger: Ledger,
    /// What is to be told.
    pub news: mpsc::Receiver<GateNews>,
    begin: watch::Sender<Option<Mono>>,
    over: watch::Sender<bool>,
    _tasks: JoinSet<()>,
}

impl Story {
    /// Starts the world of all lanes: cameras say that they are there; nobody comes before [`Story::begin`].
    pub fn start(gatehouse: Gatehouse, clock: &Clock) -> Self {
        let (begin, over) = (watch::Sender::new(None), watch::Sender::new(false));
        let (told, news) = mpsc::channel(N_NEWS);
        let (ledger, mut tasks) = (Ledger::default(), JoinSet::new());
        for hardware in gatehouse.lanes {
            let camera = (!hardware.kind.classes.is_empty()).then(|| hardware.camera(gatehouse.cameras));
            let world = World {
                hardware,
                camera,
                beat: Mono::default(),
                clock: clock.clone(),
                ledger: ledger.clone(),
                told: told.clone(),
            };
            tasks.spawn(world.live(begin.subscribe(), over.subscribe()));
        }
        Self { ledger, news, begin, over, _tasks: tasks }
    }

    /// Lets people come from `now` on; later calls do nothing.
    pub fn begin(&self, now: Mono) {
        self.begin.send_if_modified(|at| {
            let first = at.is_none();
            *at = at.or(Some(now));
            first
        });
    }

    /// Returns when people began to come.
    pub fn began(&self) -> Option<Mono> {
        *self.begin.borrow()
    }

    /// Ends it where it is: nobody moves any more, and the hardware goes on answering.
    pub fn end(&self) {
        self.over.send_replace(true);
    }
}

/// The world before and behind one arm.
struct World {
    hardware: Hardware,
    camera: Option<SimCamera>,
    /// When the camera said last that it is there.
    beat: Mono,
    clock: Clock,
    ledger: Ledger,
    told: mpsc::Sender<GateNews>,
}

impl World {
    async fn live(mut self, begin: watch::Receiver<Option<Mono>>, mut over: watch::Receiver<bool>) {
        tokio::select! {
            () = self.plays(begin) => {}
            _ = over.wait_for(|over| *over) => {}
        }
        // The hardware is this task's: it stays as long as the story is there.
        std::future::pending().await
    }

    async fn plays(&mut self, mut begin: watch::Receiver<Option<Mono>>) {
        let visits = visits(self.hardware.kind.id);
        for cycle in 0.. {
            for visit in visits {
                let Some(at) = self.due(&mut begin, cycle, visit.at).await else { return };
                self.until(at).await;
                if self.is_elsewhere(visit) {
                    continue;
                }
                let passed = if visit.plate.is_empty() { self.walks(visit).await } else { self.drives(visit).await };
                let kind = self.hardware.kind;
                let news = GateNews { lane: kind.id, name: kind.name, plate: visit.plate, passed };
                // Nobody tells it any more, or so much is to be told that one less is no loss.
                drop(self.told.try_send(news));
            }
            if visits.is_empty() {
                self.until(self.clock.mono() + HEARTBEAT).await;
            }
        }
    }

    /// Who was not let in does not leave, and who is still inside does not come.
    fn is_elsewhere(&self, visit: &Visit) -> bool {
        !visit.plate.is_empty() && self.ledger.is_inside(visit.plate) == (self.hardware.kind.direction == "in")
    }

    /// When a visit is due, once the story has begun.
    async fn due(&mut self, begin: &mut watch::Receiver<Option<Mono>>, cycle: u32, second: u64) -> Option<Mono> {
        loop {
            let began = *begin.borrow_and_update();
            if let Some(began) = began {
                return Some(began + CYCLE * cycle + Duration::from_secs(second));
            }
            self.until(self.clock.mono() + LOOK * 4).await;
            if begin.has_changed().is_err() {
                return None;
            }
        }
    }

    /// Waits; the camera goes on saying that it is there.
    async fn until(&mut self, at: Mono) {
        while self.clock.mono() < at {
            self.beats().await;
            let next = (self.beat + HEARTBEAT).min(at).max(self.clock.mono() + LOOK);
            self.clock.sleep_until(next).await;
        }
    }

    async fn beats(&mut self) {
        let now = self.clock.mono();
        let Some(camera) =
            self.camera.as_mut().filter(|_| now >= self.beat + HEARTBEAT || self.beat == Mono::default())
        else {
            return;
        };
        let heard = camera.heartbeat().await.is_some_and(|answer| answer.status == 200);
        // Until it is heard for the first time, it says so again and again.
        self.beat = if heard { now } else { Mono::default() };
    }

    /// A vehicle comes, is seen, and goes through or turns back.
    async fn drives(&mut self, visit: &Visit) -> bool {
        self.shows(|plant| plant.approach = true).await;
        let wall = self.clock.now().wall;
        if let Some(camera) = &mut self.camera {
            camera.clock = wall.0 / 1000;
            camera.colour = if papers::plate(visit.plate).colour == PlateColour::Yellow { 2 } else { 1 };
            camera.see(visit.plate).await;
        }
        for card in visit.cards {
            if let Some(reader) = &self.hardware.reader_in {
                reader.send(card.line().as_bytes()).await;
            }
            self.rest(STEP * 2).await;
        }
        let patience = if visit.cards.is_empty() { PATIENCE } else { PATIENCE_HAZMAT };
        if !self.sees(patience, Plant::is_up).await {
            self.shows(|plant| plant.approach = false).await;
            return false;
        }
        let lane = self.hardware.kind.id;
        self.ledger.begins(lane);
        self.ledger.moves(visit.plate, self.hardware.kind.direction == "in");
        self.shows(|plant| plant.vehicle = true).await;
        self.shows(|plant| (plant.exit, plant.approach) = (true, false)).await;
        self.shows(|plant| plant.vehicle = false).await;
        self.shows(|plant| plant.exit = false).await;
        if self.sees(LONGEST, Plant::is_down).await {
            self.ledger.ends(lane);
        }
        true
    }

    /// Somebody shows a card and goes through, or does not.
    async fn walks(&mut self, visit: &Visit) -> bool {
        let before = self.hardware.module.look().pulses;
        let reader = if visit.out { &self.hardware.reader_out } else { &self.hardware.reader_in };
        for card in visit.cards {
            if let Some(reader) = reader {
                reader.send(card.line().as_bytes()).await;
            }
        }
        if !self.sees(PATIENCE / 2, |plant| plant.pulses != before || plant.coil(3)).await {
            return false;
        }
        let lane = self.hardware.kind.id;
        self.ledger.begins(lane);
        self.shows_for(TURN, |plant| turns(plant, true)).await;
        self.shows(|plant| turns(plant, false)).await;
        self.ledger.ends(lane);
        true
    }

    async fn shows(&mut self, change: impl FnOnce(&mut Plant)) {
        self.shows_for(STEP, change).await;
    }

    /// Changes what contacts say; returns when the gateway has had the time to read it.
    async fn shows_for(&mut self, time: Duration, change: impl FnOnce(&mut Plant)) {
        self.hardware.module.change(change);
        let read = self.hardware.module.look().reads;
        let from = self.clock.mono();
        self.sees(LONGEST, |plant| plant.reads >= read + 3).await;
        self.rest_until(from + time).await;
    }

    /// Waits until the plant is so; returns whether it came to be within `patience`.
    async fn sees(&mut self, patience: Duration, seen: impl Fn(&Plant) -> bool) -> bool {
        let until = self.clock.mono() + patience;
        while !seen(&self.hardware.module.look()) {
            if self.clock.mono() >= until {
                return false;
            }
            self.rest(LOOK).await;
        }
        true
    }

    async fn rest(&self, time: Duration) {
        self.rest_until(self.clock.mono() + time).await;
    }

    async fn rest_until(&self, at: Mono) {
        self.clock.sleep_until(at).await;
    }
}

/// The contact by which the turnstile counts is its ninth input.
fn turns(plant: &mut Plant, on: bool) {
    if let Some(counts) = plant.more.first_mut() {
        *counts = on;
    }
}
