//! A day at a real park's scale, in virtual time: 1,200 passages, 180 trucks with dangerous goods on their whole way through
//! the park, an outage of the gateway over midday, a gas alarm in the works, a drill with its muster. What is true is written
//! down beside the gateway, vehicle by vehicle; in the evening the account of the gateway is held against it.
//!
//! Nothing is left to chance: the day is made by arithmetic, and no two runs differ.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use parkgate::domain::gate::decide::Policies;
use parkgate::domain::gate::desk::Answer;
use parkgate::domain::gate::hardware::{Input, Seen};
use parkgate::domain::gate::hazmat::lot::BayStatus;
use parkgate::domain::gate::inside::event::{Body, Loose};
use parkgate::domain::gate::inside::{InsideAction, Outcome, Subject};
use parkgate::domain::gate::lane::{Hand, Phase};
use parkgate::domain::gate::muster::{MusterAction, Numbers};
use parkgate::domain::gate::verdict::Verdict;
use parkgate::domain::gate::word::{BayId, Direction, LaneId, PersonRef, TerminalId, ZoneId};
use parkgate::domain::time::Timestamp;

use parkgate::policy::PolicyBook;
use parkgate::policy::settings::{Parameters, Sources};

use super::papers::{self, yellow};
use super::park::{MORNING, Park, guard, supervisor};

const TRUCKS: u64 = 180;
const CARS: u64 = 140;
const PEOPLE: u64 = 100;
const BAYS: u32 = 60;
const MINUTE: u64 = 60_000;
const HOUR: u64 = 60 * MINUTE;
/// The day begins at 8; times of it are milliseconds from there.
const END: u64 = 15 * HOUR;
/// The gateway is off.
const OUTAGE: (u64, u64) = (4 * HOUR, 20 * MINUTE);
/// Somebody has counted by name after it.
const COUNTED: u64 = 4 * HOUR + 35 * MINUTE;
/// There is gas in the works.
const GAS: std::ops::Range<u64> = 7 * HOUR..7 * HOUR + 25 * MINUTE;
/// The drill.
const DRILL: u64 = 5 * HOUR + 30 * MINUTE;
/// Who was refused comes again after this.
const AGAIN: u64 = 20 * MINUTE;

/// What one of them does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Leg {
    /// Through this lane.
    Through(&'static str),
    /// Into its bay.
    Park,
    /// Out of it, dispatched to the works.
    Dispatched,
    /// Loading is done.
    Done,
}

/// One of them, on its way.
#[derive(Clone, Debug)]
struct Goer {
    name: String,
    people: Vec<String>,
    hazmat: bool,
    legs: VecDeque<(Leg, u64)>,
    /// Its bay.
    bay: Option<BayId>,
    /// It has forgotten to give its terminal back.
    forgets: bool,
    tries: u32,
}

/// What goes on at a lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Doing {
    Comes,
    Read,
    /// Until when it waits for the arm.
    Waits(u64),
    /// The next step under the arm.
    Goes(usize),
    Leaves,
}

/// What the day came to.
#[derive(Debug, Default)]
pub(crate) struct Account {
    /// Completed passages by way and class.
    pub(crate) passages: BTreeMap<String, u64>,
    /// Decisions by verdict.
    pub(crate) verdicts: BTreeMap<&'static str, u64>,
    /// How often each reason was given against somebody.
    pub(crate) reasons: BTreeMap<String, u64>,
    /// Documents that were recorded, by kind.
    pub(crate) documents: BTreeMap<&'static str, u64>,
    /// Entries of the audit, and commands that moved something.
    pub(crate) audited: (u64, u64),
    /// Waybills that were used up, of so many.
    pub(crate) waybills: (u64, u64),
    /// What the drill's muster came to.
    pub(crate) drill: Option<Numbers>,
    /// The events of the day, told in a line each.
    pub(crate) story: Vec<String>,
    /// Passages in doubt after the outage, and records that a camera had kept.
    pub(crate) doubt_late: (u64, u64),
    /// Where what the gateway says differs from what is true.
    pub(crate) differs: Vec<String>,
    /// Vehicles and persons that are inside in the evening, and are so by both accounts.
    pub(crate) inside: u64,
}

/// The day.
struct Day {
    park: Park,
    start: u64,
    goers: Vec<Goer>,
    /// Who comes to each lane, and when.
    lanes: BTreeMap<&'static str, BTreeSet<(u64, usize)>>,
    /// What else happens to whom.
    later: BTreeSet<(u64, usize)>,
    /// Who is at each lane, what he does, and when he goes on.
    at: BTreeMap<&'static str, (usize, Doing, u64)>,
    /// What is true.
    truth: BTreeSet<Subject>,
    crossed: u64,
    /// Nobody comes to a lane.
    shut: bool,
    account: Account,
}

/// Spreads numbers over a stretch of time.
fn mixed(n: u64, salt: u64, span: u64) -> u64 {
    (n.wrapping_add(salt).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 17) % span
}

/// Lives the day through under these policies.
pub(crate) fn live(policies: Arc<dyn Policies + Send + Sync>) -> Account {
    let mut day = Day::morning(policies);
    day.pass(OUTAGE.0);
    day.outage();
    day.pass(COUNTED);
    day.count();
    day.pass(DRILL);
    day.drill();
    day.pass(GAS.start);
    day.gas(2);
    day.pass(GAS.end);
    day.gas(0);
    day.pass(END);
    day.evening()
}

impl Day {
    fn morning(policies: Arc<dyn Policies + Send + Sync>) -> Self {
        let park = Park::open(papers::whole_park(BAYS), policies);
        let lanes = ["h-in", "h-out", "w-in", "w-out", "g-in", "g-out", "door-in", "door-out"];
        let mut day = Self {
            start: park.ms(),
            park,
            goers: Vec::new(),
            lanes: lanes.into_iter().map(|lane| (lane, BTreeSet::new())).collect(),
            later: BTreeSet::new(),
            at: BTreeMap::new(),
            truth: BTreeSet::new(),
            crossed: 0,
            shut: false,
            account: Account::default(),
        };
        day.park.works_publish(40);
        day.register();
        day
    }

    fn register(&mut self) {
        for n in 0..TRUCKS {
            let (plate, driver, escort) = (format!("皖A{n:05}"), format!("driver-{n}"), format!("escort-{n}"));
            self.park.truck_with(&plate, &format!("W{n}"), (&driver, &escort), |_, _| {});
            let comes = MINUTE + mixed(n, 1, 9 * HOUR);
            let legs = [
                (Leg::Through("h-in"), 0),
                (Leg::Park, 4 * MINUTE),
                (Leg::Dispatched, 10 * MINUTE + mixed(n, 2, 25 * MINUTE)),
                (Leg::Through("w-in"), 3 * MINUTE),
                (Leg::Done, 30 * MINUTE + mixed(n, 3, 30 * MINUTE)),
                (Leg::Through("w-out"), 2 * MINUTE),
                (Leg::Through("h-out"), 5 * MINUTE),
            ];
            self.add(plate, vec![driver, escort], true, &legs, comes, n % 45 == 7);
        }
        for n in 0..CARS {
            let plate = format!("皖B{n:05}");
            self.park.car(&plate);
            let legs = [(Leg::Through("g-in"), 0), (Leg::Through("g-out"), HOUR + mixed(n, 4, 3 * HOUR))];
            self.add(plate, Vec::new(), false, &legs, 2 * MINUTE + mixed(n, 5, 9 * HOUR), false);
        }
        for n in 0..PEOPLE {
            let name = format!("visitor-{n}");
            self.park.visitor(&name);
            let legs = [(Leg::Through("door-in"), 0), (Leg::Through("door-out"), HOUR + mixed(n, 6, 4 * HOUR))];
            self.add(name, Vec::new(), false, &legs, 3 * MINUTE + mixed(n, 7, 8 * HOUR), false);
        }
    }

    fn add(&mut self, name: String, people: Vec<String>, hazmat: bool, legs: &[(Leg, u64)], comes: u64, forgets: bool) {
        let legs = legs.iter().copied().collect();
        self.goers.push(Goer { name, people, hazmat, legs, bay: None, forgets, tries: 0 });
        self.plan(self.goers.len() - 1, comes);
    }

    /// Plans the next leg of somebody, so long after `from`.
    fn plan(&mut self, who: usize, from: u64) {
        let Some((leg, after)) = self.goers[who].legs.front().copied() else { return };
        let queue = match leg {
            Leg::Through(lane) => self.lanes.get_mut(lane).unwrap(),
            Leg::Park | Leg::Dispatched | Leg::Done => &mut self.later,
        };
        queue.insert((from + after, who));
    }

    fn time(&self) -> u64 {
        self.park.ms() - self.start
    }

    fn say(&mut self, line: String) {
        let minute = self.park.of_day() / 60_000;
        self.account.story.push(format!("{:02}:{:02}  {line}", minute / 60, minute % 60));
    }

    /// Lets the day go on until then.
    fn pass(&mut self, until: u64) {
        while self.time() < until {
            let now = self.time();
            self.bring();
            self.go_on();
            self.elsewhere();
            self.answer();
            let next = self.next().min(until).max(now + 1);
            self.park.run(next - now);
        }
    }

    fn next(&self) -> u64 {
        let at = self.at.values().map(|(_, _, at)| *at);
        let free = self.lanes.iter().filter(|(lane, _)| !self.shut && !self.at.contains_key(*lane));
        let comes = free.filter_map(|(_, queue)| queue.first().map(|(at, _)| *at));
        at.chain(comes).chain(self.later.first().map(|(at, _)| *at)).min().unwrap_or(u64::MAX)
    }

    /// Whoever is due comes to a lane that is free, one every twenty seconds.
    fn bring(&mut self) {
        let now = self.time();
        if self.shut {
            return;
        }
        let lanes: Vec<&'static str> = self.lanes.keys().copied().collect();
        for lane in lanes {
            if self.at.contains_key(lane) {
                continue;
            }
            let Some((at, who)) = self.lanes[lane].first().copied().filter(|(at, _)| *at <= now) else { continue };
            self.lanes.get_mut(lane).unwrap().remove(&(at, who));
            self.at.insert(lane, (who, Doing::Comes, now));
        }
    }

    fn go_on(&mut self) {
        let now = self.time();
        let due: Vec<&'static str> =
            self.at.iter().filter(|(_, (_, _, at))| *at <= now).map(|(lane, _)| *lane).collect();
        for lane in due {
            let (who, doing, _) = self.at[lane];
            let next =
                if lane.starts_with("door") { self.walk(lane, who, doing) } else { self.drive(lane, who, doing) };
            match next {
                Some((doing, after)) => drop(self.at.insert(lane, (who, doing, now + after))),
                None => drop(self.at.remove(lane)),
            }
        }
    }

    /// One step of a vehicle at a lane; `None`: it is gone.
    fn drive(&mut self, lane: &'static str, who: usize, doing: Doing) -> Option<(Doing, u64)> {
        let now = self.time();
        match doing {
            Doing::Comes => {
                self.park.set(lane, Input::Approach, Some(true));
                let direction = if lane.ends_with("out") { Direction::Out } else { Direction::In };
                for person in self.goers[who].people.clone() {
                    self.park.shows(lane, &person, direction);
                }
                if self.goers[who].hazmat {
                    self.park.weighs(lane, if self.loaded(who) { 48_000 } else { 18_000 });
                }
                Some((Doing::Read, 800))
            }
            Doing::Read => {
                let seen = self.park.read(lane, Some(yellow(&self.goers[who].name)));
                self.park.event(&LaneId::new(lane), Seen::Plate(seen));
                Some((Doing::Waits(now + 3 * MINUTE), 2_400))
            }
            Doing::Waits(_) if self.park.is_up(lane) => Some((Doing::Goes(0), 400)),
            Doing::Waits(until) if now < until && self.may_come(lane) => Some((Doing::Waits(until), 2_000)),
            Doing::Waits(_) => {
                self.park.set(lane, Input::Approach, Some(false));
                self.goers[who].tries += 1;
                eprintln!(
                    "{} {} {lane}: {:?}",
                    self.time() / MINUTE,
                    self.goers[who].name,
                    self.park.seen.last.as_ref().map(|d| (
                        d.lane.to_string(),
                        d.verdict,
                        super::park::codes(d).join(",")
                    ))
                );
                assert!(
                    self.goers[who].tries < 40,
                    "{} never gets through {lane}: {:?}",
                    self.goers[who].name,
                    self.park.seen.last
                );
                let after = AGAIN + mixed(who as u64, 8, 5 * MINUTE);
                self.lanes.get_mut(lane).unwrap().insert((now + after, who));
                Some((Doing::Leaves, 10_000))
            }
            Doing::Goes(step) => {
                let (input, on) = Park::WAY[step];
                self.park.set(lane, input, Some(on));
                if step == 5 {
                    self.crossed(lane, who);
                }
                let over = step + 1 == Park::WAY.len();
                Some(if over { (Doing::Leaves, 8_000) } else { (Doing::Goes(step + 1), 600) })
            }
            Doing::Leaves => None,
        }
    }

    /// Whether what waits at a lane may still be let in: it was not refused.
    fn may_come(&self, lane: &str) -> bool {
        self.park.lane(lane).view(self.park.now()).verdict != Some(Verdict::Deny)
    }

    /// A truck is loaded until it has been in the works.
    fn loaded(&self, who: usize) -> bool {
        self.goers[who].legs.iter().any(|(leg, _)| *leg == Leg::Done)
    }

    /// One step of a person at the door.
    fn walk(&mut self, lane: &'static str, who: usize, doing: Doing) -> Option<(Doing, u64)> {
        let direction = if lane.ends_with("out") { Direction::Out } else { Direction::In };
        // One door for both ways.
        let other = if direction == Direction::Out { "door-in" } else { "door-out" };
        let busy = self.at.get(other).is_some_and(|(_, doing, _)| *doing != Doing::Comes);
        match doing {
            Doing::Comes if busy || self.park.lane("door").passage().is_some() => Some((Doing::Comes, 1_000)),
            Doing::Comes => {
                let name = self.goers[who].name.clone();
                self.park.shows("door", &name, direction);
                Some((Doing::Goes(0), 1_000))
            }
            // Not released: he comes again.
            Doing::Goes(0) if !matches!(self.park.lane("door").phase(), Phase::Opening | Phase::Passing) => {
                let again = self.time() + AGAIN;
                self.lanes.get_mut(lane).unwrap().insert((again, who));
                None
            }
            Doing::Goes(step) => {
                let steps =
                    [(Input::DoorOpen, true), (Input::Passed, true), (Input::Passed, false), (Input::DoorOpen, false)];
                let (input, on) = steps[step];
                self.park.set("door", input, Some(on));
                if (input, on) == (Input::Passed, true) {
                    self.crossed(lane, who);
                }
                Some(if step == 3 { (Doing::Leaves, 3_000) } else { (Doing::Goes(step + 1), 500) })
            }
            Doing::Read | Doing::Waits(_) | Doing::Leaves => None,
        }
    }

    /// Writes down what is true: it has crossed.
    fn crossed(&mut self, lane: &'static str, who: usize) {
        self.crossed += 1;
        let goer = &mut self.goers[who];
        goer.legs.pop_front();
        let vehicle = !lane.starts_with("door");
        let own = if vehicle {
            Subject::Vehicle(yellow(&goer.name))
        } else {
            Subject::Person(PersonRef::new(goer.name.as_str()))
        };
        let people = goer.people.iter().map(|person| Subject::Person(PersonRef::new(person.as_str())));
        let all: Vec<Subject> = std::iter::once(own).chain(people).collect();
        match lane {
            "h-in" | "g-in" | "door-in" => self.truth.extend(all),
            "h-out" | "g-out" | "door-out" => self.truth.retain(|one| !all.contains(one)),
            _ => {}
        }
        let now = self.time();
        if lane == "h-in" && self.goers[who].forgets {
            let (terminal, plate) = (TerminalId::new(format!("T{who}")), yellow(&self.goers[who].name));
            let at = self.park.now();
            self.park.gates.handle_hazmat(|hazmat| hazmat.handle_terminal_out(terminal, &plate, at), at).unwrap();
            self.park.drain();
        }
        self.plan(who, now);
    }

    /// What happens away from the lanes: parking, dispatch, work.
    fn elsewhere(&mut self) {
        let now = self.time();
        while let Some((at, who)) = self.later.first().copied().filter(|(at, _)| *at <= now) {
            self.later.remove(&(at, who));
            let (leg, _) = self.goers[who].legs.front().copied().unwrap();
            if self.elsewhere_of(leg, who) {
                self.goers[who].legs.pop_front();
                self.plan(who, now);
            } else {
                self.later.insert((now + 5 * MINUTE, who));
            }
        }
    }

    fn elsewhere_of(&mut self, leg: Leg, who: usize) -> bool {
        let (plate, at) = (yellow(&self.goers[who].name), self.park.now());
        let bay = self.goers[who].bay.clone();
        let done = match (leg, bay) {
            (Leg::Park, _) => {
                let promised = self.park.gates.hazmat().lot().promised(&plate).cloned();
                let Some(bay) = promised else { return false };
                let status = self.park.gates.handle_hazmat(|hazmat| hazmat.handle_parked(&bay, &plate, at), at);
                self.goers[who].bay = Some(bay);
                status == Some(BayStatus::Parked)
            }
            (Leg::Dispatched, Some(bay)) => {
                let to = ZoneId::new("works");
                let sent = self.park.gates.handle_hazmat(|hazmat| hazmat.handle_dispatch(&plate, &to, "works", at), at);
                if sent.is_ok() {
                    self.park.gates.handle_hazmat(|hazmat| hazmat.handle_bay_empty(&bay, at), at);
                }
                sent.is_ok()
            }
            (Leg::Done, _) => self.park.gates.handle_hazmat(|hazmat| hazmat.handle_done(&plate, "works", at), at),
            (Leg::Dispatched, None) | (Leg::Through(_), _) => false,
        };
        self.park.drain();
        done
    }

    /// The guard answers what he is asked: what is held for its terminal gives it back, and passes.
    fn answer(&mut self) {
        let open: Vec<_> = self.park.gates.desk().open().cloned().collect();
        for ticket in open {
            let Some((who, _, _)) = self.at.get(ticket.ask.lane.as_str()).copied() else { continue };
            let kept = ticket.ask.reasons.iter().any(|reason| reason.code.contains("TERMINAL"));
            if kept && self.goers[who].forgets {
                let (terminal, at) = (TerminalId::new(format!("T{who}")), self.park.now());
                self.goers[who].forgets = false;
                let back = self.park.gates.handle_hazmat(|hazmat| hazmat.handle_terminal_back(&terminal, at), at);
                assert!(back.is_ok());
                let name = self.goers[who].name.clone();
                self.say(format!(
                    "{name} 离开时扣留：定位终端未归还；门岗收回后放行 / held for its terminal, gives it back, passes"
                ));
            }
            let refused = ticket.ask.reasons.iter().any(|reason| reason.verdict == Verdict::Deny);
            let answer = if refused { Answer::TurnBack } else { Answer::Pass };
            let at = self.park.now();
            // What has left meanwhile waits for no answer.
            self.park.gates.handle_answer(&ticket.ticket, answer, &guard(), "已核对", at).ok();
            self.park.drain();
        }
    }

    /// The gateway loses its supply. One truck is under the arm of the way in; at the way out the guard opens by hand, and
    /// the camera keeps what it reads.
    fn outage(&mut self) {
        self.say("网关断电 20 分钟 / the gateway loses its supply".into());
        // Whatever is at a lane finishes first, but for the one truck.
        let victim = self
            .goers
            .iter()
            .position(|goer| goer.hazmat && goer.legs.front().is_some_and(|(leg, _)| *leg == Leg::Through("h-in")))
            .unwrap();
        for queue in self.lanes.values_mut().chain([&mut self.later]) {
            let due: Vec<_> = queue.iter().copied().filter(|(_, who)| *who == victim).collect();
            queue.retain(|one| !due.contains(one));
        }
        self.shut = true;
        while !self.at.is_empty() {
            let to = self.time() + 1_000;
            self.pass(to);
        }
        self.shut = false;
        let (name, people) = (self.goers[victim].name.clone(), self.goers[victim].people.clone());
        self.park.weighs("h-in", 48_000);
        self.park.comes("h-in", &name, &people.iter().map(String::as_str).collect::<Vec<_>>());
        self.park.run(2_000);
        assert!(self.park.is_up("h-in"), "{:?}", self.park.seen.last);
        self.park.set("h-in", Input::UnderArm, Some(true));
        self.park.run(400);
        let cars = self.leave_unseen(4);
        self.park.quietly("h-in", &[Input::UnderArm, Input::Approach]);
        self.park.restart(OUTAGE.1);
        self.park.run(20_000);
        let at = self.park.now();
        // Nothing closes by itself after a restart: the guard sees that nobody stands there.
        self.park.gates.handle_hand(&LaneId::new("h-in"), &Hand::Close, &guard(), "已看过，无车", at).unwrap();
        self.park.drain();
        self.park.run(10_000);
        self.crossed("h-in", victim);
        let left = self.kept_by_the_camera(&cars);
        self.settle(victim);
        self.say(format!("恢复供电：{left} 条相机离线记录补录；1 次通行去向不明，值班长核对 / back; late records entered, one doubt settled"));
    }

    /// Cars that leave while the gateway is off: they are at the way out with the guard.
    fn leave_unseen(&mut self, most: usize) -> Vec<(usize, Timestamp)> {
        let ready = |goer: &Goer| !goer.hazmat && goer.legs.len() == 1 && goer.legs[0].0 == Leg::Through("g-out");
        let cars: Vec<usize> = (0..self.goers.len()).filter(|who| ready(&self.goers[*who])).take(most).collect();
        let base = self.park.now().wall;
        let mut left = Vec::new();
        for (n, who) in cars.into_iter().enumerate() {
            let due: Vec<_> = self.lanes["g-out"].iter().copied().filter(|(_, one)| *one == who).collect();
            self.lanes.get_mut("g-out").unwrap().retain(|one| !due.contains(one));
            let at = base.after(Duration::from_millis((n as u64 + 1) * 3 * MINUTE));
            left.push((who, at));
        }
        left
    }

    fn kept_by_the_camera(&mut self, cars: &[(usize, Timestamp)]) -> usize {
        for (who, at) in cars {
            let name = self.goers[*who].name.clone();
            let mut seen = self.park.read("g-out", Some(yellow(&name)));
            (seen.live, seen.offline, seen.device_time) = (false, true, Some(*at));
            self.park.event(&LaneId::new("g-out"), Seen::Plate(seen));
            self.crossed("g-out", *who);
        }
        cars.len()
    }

    /// The supervisor looks for the truck that was under the arm: it is inside.
    fn settle(&mut self, victim: usize) {
        let doubts: Vec<_> = self.park.gates.view(self.park.now()).inside.in_doubt;
        self.account.doubt_late.0 += doubts.len() as u64;
        for doubt in doubts {
            let settle = InsideAction::Settle { event: doubt.event, reason: "现场核对，车已入园".into() };
            self.park.gates.handle_inside(settle, &supervisor(), self.park.now()).unwrap();
        }
        // Its waybill is used: it came in by it.
        let (plate, at) = (yellow(&self.goers[victim].name), self.park.now());
        let passage = self.park.seen.passages.values().rev().find(|passage| passage.outcome == Some(Outcome::InDoubt));
        let passage = passage.unwrap().passage.clone();
        let zone = ZoneId::new("park");
        let entered = parkgate::domain::gate::hazmat::Entered { passage, plate, zone, gross_kg: Some(48_000) };
        self.park.gates.handle_hazmat(|hazmat| hazmat.handle_entered(entered, at), at);
        self.park.drain();
    }

    /// After a gap nobody claims to know who is inside: it is counted by name, and signed.
    fn count(&mut self) {
        let unnamed = self.truth.iter().filter(|one| is_car(one)).count();
        let mut names: BTreeMap<ZoneId, BTreeSet<Subject>> = BTreeMap::new();
        for subject in &self.truth {
            names.entry(ZoneId::new("park")).or_default().insert(subject.clone());
            let works = self.goers.iter().any(|goer| {
                let next = goer.legs.front().map(|(leg, _)| *leg);
                let own = Subject::Vehicle(yellow(&goer.name)) == *subject;
                let with =
                    goer.people.iter().any(|person| Subject::Person(PersonRef::new(person.as_str())) == *subject);
                (own || with) && matches!(next, Some(Leg::Done | Leg::Through("w-out")))
            });
            if works {
                names.entry(ZoneId::new("works")).or_default().insert(subject.clone());
            }
        }
        let n = self.truth.len();
        self.park.count(names, &[(ZoneId::new("park"), u32::try_from(unnamed).unwrap())].into());
        self.say(format!("按名清点并签字：{n} / counted by name, and signed"));
    }

    /// The drill: everybody is on the list; most check in, a warden answers for the rest.
    fn drill(&mut self) {
        let at = self.park.now();
        let began =
            self.park.gates.handle_evacuation(&ZoneId::new("park"), "drill-1", true, &supervisor(), at).unwrap();
        let muster = began[0].clone();
        let rows = self.park.gates.musters().roll(&muster).unwrap().rows.clone();
        let persons: Vec<PersonRef> = self
            .truth
            .iter()
            .filter_map(|one| if let Subject::Person(person) = one { Some(person.clone()) } else { None })
            .collect();
        for person in persons.iter().skip(3) {
            let action = MusterAction::CheckIn { person: person.clone(), point: "东门集合点".into() };
            self.park.gates.handle_muster(&muster, action, &guard(), at).unwrap();
        }
        for row in &rows {
            let open = |park: &Park| {
                park.gates.musters().roll(&muster).unwrap().rows[row.n as usize].state
                    == parkgate::domain::gate::muster::RowState::Unaccounted
            };
            if open(&self.park) {
                let action = MusterAction::Account { row: row.n, reason: "班组长确认".into() };
                self.park.gates.handle_muster(&muster, action, &guard(), at).unwrap();
            }
        }
        let numbers = self.park.gates.musters().roll(&muster).unwrap().numbers();
        self.account.drill = Some(numbers);
        let end = MusterAction::End { reason: "演练结束".into() };
        self.park.gates.handle_muster(&muster, end, &supervisor(), at).unwrap();
        self.park.drain();
        self.say(format!(
            "疏散演练：名单 {} 人，全部到齐 {} / drill: all accounted for",
            numbers.listed,
            numbers.unaccounted == 0
        ));
    }

    fn gas(&mut self, level: u8) {
        self.park.gates.handle_surroundings(|around| around.gas.extend([(ZoneId::new("works"), level)]));
        let line = if level > 0 {
            "装置区气体二级报警：停止进入 / gas in the works: nobody enters"
        } else {
            "气体报警解除 / the gas alarm is over"
        };
        self.say(line.into());
    }

    /// Holds the gateway's account against what is true.
    fn evening(mut self) -> Account {
        let park = &mut self.park;
        let (from, to) = (Timestamp(MORNING), park.now().wall);
        let made = park.gates.handle_reconcile(from, to, park.now());
        park.drain();
        let account = &mut self.account;
        account.passages = made.passages;
        for decision in park.seen.decisions.values() {
            *account.verdicts.entry(decision.verdict.as_str()).or_default() += 1;
            for reason in decision.reasons.iter().filter(|reason| reason.verdict != Verdict::Allow) {
                *account.reasons.entry(reason.code.clone()).or_default() += 1;
            }
        }
        account.documents = park.seen.documents.iter().map(|(kind, n)| (kind.as_str(), *n)).collect();
        account.audited = (park.seen.audits.len() as u64, park.seen.commands);
        let waybills = park.gates.hazmat().waybills();
        let used = waybills.iter().filter(|entry| entry.used.is_some() && entry.waybill.state.is_over()).count();
        account.waybills = (used as u64, waybills.iter().count() as u64);
        account.doubt_late.1 = park.seen.passages.values().filter(|passage| passage.late).count() as u64;
        let inside: BTreeSet<Subject> = park
            .gates
            .inside()
            .account()
            .places()
            .filter(|(_, place)| !place.zones.is_empty())
            .map(|(subject, _)| subject.clone())
            .collect();
        account.differs.extend(inside.symmetric_difference(&self.truth).map(|one| format!("{one} 两账不符 / differs")));
        account.inside = self.truth.len() as u64;
        let vehicles = self.truth.iter().filter(|one| matches!(one, Subject::Vehicle(_))).count();
        let stocks = park.gates.inside().stocks(&ZoneId::new("park"));
        let counted: u32 = stocks.vehicles.values().sum();
        let cars = self.truth.iter().filter(|one| is_car(one)).count();
        let persons = self.truth.len() - vehicles + cars;
        if counted as usize != vehicles || stocks.persons as usize != persons {
            account.differs.push(format!("在园计数 {stocks:?}，实际 {vehicles} 车、{persons} 人"));
        }
        let crossed = park.seen.events.iter().filter(|event| matches!(event.body, Body::Crossed(_))).count() as u64;
        let doubts =
            park.seen.events.iter().filter(|event| matches!(event.body, Body::Loose(Loose::InDoubt { .. }))).count()
                as u64;
        if crossed + doubts != self.crossed {
            account.differs.push(format!("通行 {crossed} 与 {doubts} 次不明，实际 {}", self.crossed));
        }
        let open: Vec<String> = self
            .goers
            .iter()
            .filter(|goer| !goer.legs.is_empty())
            .map(|goer| format!("{} 未走完 {:?}", goer.name, goer.legs))
            .collect();
        account.differs.extend(open);
        account.differs.extend(park.gates.hazmat().visits().map(|visit| format!("{} 危货车次未结", visit.plate)));
        self.account
    }
}

/// A car, whose one driver nobody knows.
fn is_car(subject: &Subject) -> bool {
    matches!(subject, Subject::Vehicle(plate) if plate.text.starts_with("皖B"))
}

/// The shipped policies, for a park that gets no lists from a platform.
pub(crate) fn shipped() -> Arc<PolicyBook> {
    let (stale_hazmat, stale_visitor, stale_fixed) = (Duration::ZERO, Duration::ZERO, Duration::ZERO);
    let parameters = Parameters { stale_hazmat, stale_visitor, stale_fixed, ..Parameters::default() };
    Arc::new(PolicyBook::load(&Sources { own: Vec::new(), parameters }).unwrap())
}

impl Account {
    /// Returns whether it closes.
    pub(crate) fn closes(&self) -> bool {
        self.differs.is_empty() && self.waybills == (TRUCKS, TRUCKS)
    }

    /// Returns how many passages were completed.
    pub(crate) fn completed(&self) -> u64 {
        let ways = self.passages.iter().filter(|(name, _)| name.starts_with("in.") || name.starts_with("out."));
        ways.filter(|(name, _)| !name.ends_with("occupants")).map(|(_, n)| n).sum()
    }
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "园区一日（虚拟时间）/ a day at the gates of a park, in virtual time\n")?;
        self.story.iter().try_for_each(|line| writeln!(f, "  {line}"))?;
        let list = |of: &BTreeMap<String, u64>| {
            of.iter().map(|(name, n)| format!("{name} {n}")).collect::<Vec<_>>().join(", ")
        };
        let words =
            |of: &BTreeMap<&str, u64>| of.iter().map(|(name, n)| format!("{name} {n}")).collect::<Vec<_>>().join(", ");
        writeln!(f, "\n通行 passages completed   {}: {}", self.completed(), list(&self.passages))?;
        writeln!(f, "判定 decisions            {}: {}", self.verdicts.values().sum::<u64>(), words(&self.verdicts))?;
        writeln!(f, "理由 reasons against      {}", list(&self.reasons))?;
        writeln!(f, "审计 audit entries        {} for {} commands", self.audited.0, self.audited.1)?;
        writeln!(f, "记录 documents            {}", words(&self.documents))?;
        writeln!(f, "运单 waybills used        {} of {}", self.waybills.0, self.waybills.1)?;
        writeln!(f, "补录 late records         {}, in doubt and settled {}", self.doubt_late.1, self.doubt_late.0)?;
        if let Some(drill) = self.drill {
            writeln!(
                f,
                "演练 drill                {} listed, {} safe, {} unaccounted",
                drill.listed, drill.safe, drill.unaccounted
            )?;
        }
        writeln!(f, "在园 inside in the evening {} (by both accounts)", self.inside)?;
        match self.closes() {
            true => writeln!(f, "\n账目相符，一辆不差 / the account closes, to the last vehicle"),
            false => {
                writeln!(f, "\n账目不符 / the account does not close:")?;
                self.differs.iter().try_for_each(|line| writeln!(f, "  {line}"))
            }
        }
    }
}
