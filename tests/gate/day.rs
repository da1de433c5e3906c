//! A day at a real park's scale, in virtual time: 1,200 passages, 180 trucks with dangerous goods on their whole way through
//! the park, an outage of the gateway over midday, a drill with its muster, a gas alarm in the works. What is true is written
//! down beside the gateway, vehicle by vehicle and person by person, by whoever makes the day and never by the gateway; at
//! midnight the account of the gateway is held against it ([`account`]).
//!
//! Nothing is left to chance: the day is made by arithmetic, and no two runs differ.

#[path = "account.rs"]
pub(crate) mod account;
#[path = "outage.rs"]
mod outage;
#[path = "yard.rs"]
mod yard;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use parkgate::domain::gate::decide::Policies;
use parkgate::domain::gate::desk::Answer;
use parkgate::domain::gate::hardware::{Input, Seen};
use parkgate::domain::gate::inside::Subject;
use parkgate::domain::gate::lane::Phase;
use parkgate::domain::gate::muster::{MusterAction, RowState};
use parkgate::domain::gate::verdict::Verdict;
use parkgate::domain::gate::word::{BayId, Direction, LaneId, PaperKind, PersonRef, TerminalId, ZoneId};
use parkgate::policy::PolicyBook;
use parkgate::policy::settings::{Parameters, Sources};

use super::papers::{self, DAY, yellow};
use super::park::{Park, codes, guard, supervisor};
use account::Account;

const TRUCKS: u64 = 180;
/// Cars, of which the last four stay over night.
const CARS: u64 = 142;
/// Persons on foot, of whom the last four work at night.
const PERSONS: u64 = 102;
const STAY: u64 = 4;
/// Completed passages of the day: a truck passes four gates, the others two; who stays over night, one.
pub(crate) const PASSAGES: u64 = 4 * TRUCKS + 2 * (CARS + PERSONS) - 2 * STAY;

const BAYS: u32 = 16;
/// Places for loading and unloading in the works.
const PLACES: u32 = 40;
const TARE: u32 = 18_000;
const LOADED: u32 = 48_000;

const MINUTE: u64 = 60_000;
const HOUR: u64 = 60 * MINUTE;
/// The day begins at 8; times of it are milliseconds from there.
const MIDNIGHT: u64 = 16 * HOUR;
/// The gateway has no supply from then on, for so long.
const OUTAGE: (u64, u64) = (4 * HOUR, 20 * MINUTE);
/// Somebody has counted by name after it.
const COUNTED: u64 = 4 * HOUR + 35 * MINUTE;
const DRILL: u64 = 5 * HOUR + 30 * MINUTE;
/// There is gas in the works.
const GAS: std::ops::Range<u64> = 7 * HOUR..7 * HOUR + 25 * MINUTE;
/// Who was refused and is expected comes again after this.
const AGAIN: u64 = 20 * MINUTE;
/// A terminal says where it is.
const POSITION: u64 = 4 * MINUTE;
/// The guard answers after this.
const GUARD: Duration = Duration::from_secs(5);
/// Coming more often than this is a fault of the day.
const MAX_TRIES: u32 = 40;

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
    bay: Option<BayId>,
    /// It forgets to give its terminal back.
    forgets: bool,
    /// Gross weights, loaded and empty.
    kg: (u32, u32),
    /// It is not to be let in, and this is why.
    unwelcome: Option<&'static str>,
    /// Turned away, with these codes.
    turned: Option<Vec<String>>,
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

/// The day.
pub(crate) struct Day {
    park: Park,
    start: u64,
    goers: Vec<Goer>,
    /// Who comes to each lane, and when.
    lanes: BTreeMap<&'static str, BTreeSet<(u64, usize)>>,
    /// What else happens to whom.
    later: BTreeSet<(u64, usize)>,
    /// Who is at each lane, what he does, and when he goes on.
    at: BTreeMap<&'static str, (usize, Doing, u64)>,
    /// Who has a terminal, and when it speaks next.
    terminals: BTreeMap<usize, u64>,
    /// What is true: who is inside, and how many crossings there were.
    truth: BTreeSet<Subject>,
    in_works: BTreeSet<Subject>,
    crossed: u64,
    /// Nobody comes to a lane.
    shut: bool,
    account: Account,
}

/// Spreads numbers over a stretch of time.
fn mixed(n: u64, salt: u64, span: u64) -> u64 {
    (n.wrapping_add(salt).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 17) % span
}

/// The shipped policies, for a park that gets no lists from a platform.
pub(crate) fn shipped() -> Arc<PolicyBook> {
    let (stale_hazmat, stale_visitor, stale_fixed) = (Duration::ZERO, Duration::ZERO, Duration::ZERO);
    let parameters = Parameters { stale_hazmat, stale_visitor, stale_fixed, ..Parameters::default() };
    Arc::new(PolicyBook::load(&Sources { own: Vec::new(), parameters }).unwrap())
}

/// Lives the day through under these policies.
pub(crate) fn live(policies: Arc<dyn Policies + Send + Sync>) -> Day {
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
    day.pass(MIDNIGHT);
    day
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
            terminals: BTreeMap::new(),
            truth: BTreeSet::new(),
            in_works: BTreeSet::new(),
            crossed: 0,
            shut: false,
            account: Account::default(),
        };
        day.park.works_publish(PLACES);
        day.expected();
        day.unwelcome();
        day
    }

    /// Those who have a permit for today.
    fn expected(&mut self) {
        for n in 0..TRUCKS {
            let (plate, driver, escort) = (format!("皖A{n:05}"), format!("driver-{n}"), format!("escort-{n}"));
            self.park.truck_with(&plate, &format!("W{n}"), (&driver, &escort), |_, _| {});
            let legs = [
                (Leg::Through("h-in"), 0),
                (Leg::Park, 4 * MINUTE),
                (Leg::Dispatched, 10 * MINUTE + mixed(n, 2, 25 * MINUTE)),
                (Leg::Through("w-in"), 3 * MINUTE),
                (Leg::Done, 30 * MINUTE + mixed(n, 3, 30 * MINUTE)),
                (Leg::Through("w-out"), 2 * MINUTE),
                (Leg::Through("h-out"), 5 * MINUTE),
            ];
            let who = self.add(plate, vec![driver, escort], &legs, MINUTE + mixed(n, 1, 9 * HOUR));
            let goer = &mut self.goers[who];
            goer.forgets = n % 45 == 7;
            // One has not unloaded everything that its waybill says.
            goer.kg = (LOADED, if n == 99 { TARE + 5_000 } else { TARE });
        }
        for n in 0..CARS {
            let plate = format!("皖B{n:05}");
            self.park.car(&plate);
            let legs = [(Leg::Through("g-in"), 0), (Leg::Through("g-out"), HOUR + mixed(n, 4, 3 * HOUR))];
            let legs = if n < CARS - STAY { &legs[..] } else { &legs[..1] };
            self.add(plate, Vec::new(), legs, 2 * MINUTE + mixed(n, 5, 9 * HOUR));
        }
        for n in 0..PERSONS {
            let name = format!("visitor-{n}");
            self.park.visitor(&name);
            let legs = [(Leg::Through("door-in"), 0), (Leg::Through("door-out"), HOUR + mixed(n, 6, 4 * HOUR))];
            let legs = if n < PERSONS - STAY { &legs[..] } else { &legs[..1] };
            self.add(name, Vec::new(), legs, 3 * MINUTE + mixed(n, 7, 8 * HOUR));
        }
    }

    /// Those who are to be turned away, each for a reason of his own.
    fn unwelcome(&mut self) {
        let crew = |n: u64| vec![format!("driver-{n}"), format!("escort-{n}")];
        self.park.car("皖B90000");
        self.park.block("皖B90000");
        self.park.truck_with("皖A90001", "W90001", ("driver-900", "escort-900"), |vehicle, now| {
            vehicle.papers.insert(PaperKind::Tank, now.before(DAY));
        });
        self.park.truck_with("皖A90002", "W90002", ("driver-901", "escort-901"), |_, _| {});
        self.park.truck_with("皖A90003", "W90003", ("driver-902", "escort-902"), |_, _| {});
        self.park.visitor_from_tomorrow("visitor-900");
        let unwelcome = [
            ("皖B90000", "g-in", Vec::new(), "BLACKLISTED", 0),
            ("皖B90001", "g-in", Vec::new(), "NO_PERMIT", 0),
            ("皖A90001", "h-in", crew(900)[..1].to_vec(), "DOC_EXPIRED:tank", LOADED),
            ("皖A90002", "g-in", Vec::new(), "WRONG_LANE_CLASS", 0),
            ("皖A90003", "h-in", crew(902), "OVERWEIGHT", 52_000),
            ("visitor-900", "door-in", Vec::new(), "NOT_YET_VALID", 0),
            ("stranger", "door-in", Vec::new(), "NO_PERMIT", 0),
        ];
        for (n, (name, lane, people, code, kg)) in unwelcome.into_iter().enumerate() {
            let comes = 30 * MINUTE + mixed(n as u64, 9, 8 * HOUR);
            let who = self.add(name.into(), people, &[(Leg::Through(lane), 0)], comes);
            (self.goers[who].unwelcome, self.goers[who].kg) = (Some(code), (kg, kg));
        }
    }

    fn add(&mut self, name: String, people: Vec<String>, legs: &[(Leg, u64)], comes: u64) -> usize {
        self.goers.push(Goer {
            hazmat: name.starts_with("皖A"),
            name,
            people,
            legs: legs.iter().copied().collect(),
            bay: None,
            forgets: false,
            kg: (0, 0),
            unwelcome: None,
            turned: None,
            tries: 0,
        });
        let who = self.goers.len() - 1;
        self.plan(who, comes);
        who
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

    fn say(&mut self, zh: &str, en: &str) {
        let minute = self.park.of_day() / 60_000;
        self.account.story.push(format!("{:02}:{:02}  {zh} | {en}", minute / 60, minute % 60));
    }

    /// Lets the day go on until then.
    fn pass(&mut self, until: u64) {
        while self.time() < until {
            let now = self.time();
            self.bring();
            self.go_on();
            self.elsewhere();
            self.speak();
            self.answer();
            self.account.look(&mut self.park);
            let next = self.next().min(until).max(now + 1);
            self.park.run(next - now);
        }
    }

    fn next(&self) -> u64 {
        let at = self.at.values().map(|(_, _, at)| *at);
        let free = self.lanes.iter().filter(|(lane, _)| !self.shut && !self.at.contains_key(*lane));
        let comes = free.filter_map(|(_, queue)| queue.first().map(|(at, _)| *at));
        let later = self.later.first().map(|(at, _)| *at);
        at.chain(comes).chain(later).chain(self.terminals.values().copied()).min().unwrap_or(u64::MAX)
    }

    /// Whoever is due comes to a lane that is free.
    fn bring(&mut self) {
        let now = self.time();
        if self.shut {
            return;
        }
        let lanes: Vec<&'static str> = self.lanes.keys().copied().filter(|lane| !self.at.contains_key(lane)).collect();
        for lane in lanes {
            let Some((at, who)) = self.lanes[lane].first().copied().filter(|(at, _)| *at <= now) else { continue };
            self.lanes.get_mut(lane).unwrap().remove(&(at, who));
            self.at.insert(lane, (who, Doing::Comes, now));
        }
    }

    fn go_on(&mut self) {
        let now = self.time();
        let due = self.at.iter().filter(|(_, (_, _, at))| *at <= now).map(|(lane, _)| *lane);
        for lane in due.collect::<Vec<_>>() {
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
                self.come(lane, who);
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
                self.not_let_in(lane, who);
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

    fn come(&mut self, lane: &'static str, who: usize) {
        if lane == "h-out" && !self.goers[who].forgets {
            self.gives_back(who);
        }
        self.park.set(lane, Input::Approach, Some(true));
        let direction = if lane.ends_with("out") { Direction::Out } else { Direction::In };
        for person in self.goers[who].people.clone() {
            self.park.shows(lane, &person, direction);
        }
        if lane.starts_with("h-") {
            let goer = &self.goers[who];
            // A truck is loaded until it has been in the works.
            let loaded = goer.unwelcome.is_some() || goer.legs.iter().any(|(leg, _)| *leg == Leg::Done);
            let kg = if loaded { goer.kg.0 } else { goer.kg.1 };
            self.park.weighs(lane, kg);
        }
    }

    /// Whether what waits at a lane may still be let in: it was not refused.
    fn may_come(&self, lane: &str) -> bool {
        self.park.lane(lane).view(self.park.now()).verdict != Some(Verdict::Deny)
    }

    /// It was not let in: who is expected comes again, who is not is turned away.
    fn not_let_in(&mut self, lane: &'static str, who: usize) {
        let name = if lane.starts_with("door") { "door" } else { lane };
        let last = self.park.seen.last_at.get(&LaneId::new(name));
        let said: Vec<String> = last.map(codes).unwrap_or_default().into_iter().map(str::to_owned).collect();
        let again = self.time() + AGAIN + mixed(who as u64, 8, 5 * MINUTE);
        let goer = &mut self.goers[who];
        goer.tries += 1;
        if goer.unwelcome.is_some() {
            goer.turned = Some(said);
            return;
        }
        assert!(goer.tries < MAX_TRIES, "{} never gets through {lane}: {said:?}", goer.name);
        self.lanes.get_mut(lane).unwrap().insert((again, who));
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
            Doing::Goes(0) if !matches!(self.park.lane("door").phase(), Phase::Opening | Phase::Passing) => {
                self.not_let_in(lane, who);
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
        self.goers[who].legs.pop_front();
        let all = subjects(&self.goers[who]);
        match lane {
            "h-in" | "g-in" | "door-in" => self.truth.extend(all),
            "h-out" | "g-out" | "door-out" => self.truth.retain(|one| !all.contains(one)),
            "w-in" => self.in_works.extend(all),
            _ => self.in_works.retain(|one| !all.contains(one)),
        }
        let now = self.time();
        if lane == "h-in" {
            let (terminal, plate, at) = (terminal(who), yellow(&self.goers[who].name), self.park.now());
            self.park.gates.handle_hazmat(|hazmat| hazmat.handle_terminal_out(terminal, &plate, at), at).unwrap();
            self.park.drain();
            self.terminals.insert(who, now + POSITION);
        }
        self.plan(who, now);
    }

    /// The guard answers what he is asked: what is held for its terminal gives it back, and passes; what is too heavy turns back.
    fn answer(&mut self) {
        let asked = self.park.now().wall.before(GUARD);
        let open: Vec<_> = self.park.gates.desk().open().filter(|ticket| ticket.opened_at <= asked).cloned().collect();
        for ticket in open {
            let Some((who, _, _)) = self.at.get(ticket.ask.lane.as_str()).copied() else { continue };
            let codes: Vec<&str> = ticket.ask.reasons.iter().map(|reason| reason.code.as_str()).collect();
            let name = self.goers[who].name.clone();
            if codes.iter().any(|code| code.contains("TERMINAL")) {
                self.gives_back(who);
                self.say(
                    &format!("{name} 出园时定位终端未归还，暂扣；收回后放行"),
                    &format!("{name} is held for its terminal, gives it back, and leaves"),
                );
            }
            if codes.contains(&"OVERWEIGHT") {
                self.say(&format!("{name} 超重，门岗劝返"), &format!("{name} is too heavy, and turned back"));
            } else if codes.contains(&"WEIGHT_MISMATCH") {
                self.say(
                    &format!("{name} 出园重量与运单不符，暂扣；核对后放行，记入对账"),
                    &format!(
                        "{name} is held for its weight, which does not agree with its waybill; looked at, and let go"
                    ),
                );
            }
            let refused = ticket.ask.reasons.iter().any(|reason| reason.verdict == Verdict::Deny);
            let answer = if refused || codes.contains(&"OVERWEIGHT") { Answer::TurnBack } else { Answer::Pass };
            let at = self.park.now();
            // What has left meanwhile waits for no answer.
            if self.park.gates.handle_answer(&ticket.ticket, answer, &guard(), "已核对", at).is_ok() {
                self.account.answered += 1;
            }
            self.park.drain();
        }
    }

    /// The drill: everybody is on the list; most check in, a warden answers for the rest.
    fn drill(&mut self) {
        let at = self.park.now();
        let began =
            self.park.gates.handle_evacuation(&ZoneId::new("park"), "drill-1", true, &supervisor(), at).unwrap();
        let muster = began[0].clone();
        let rows = self.park.gates.musters().roll(&muster).unwrap().rows.clone();
        let persons = self.truth.iter().filter_map(|one| match one {
            Subject::Person(person) => Some(person.clone()),
            Subject::Vehicle(_) => None,
        });
        for person in persons.skip(3).collect::<Vec<_>>() {
            let action = MusterAction::CheckIn { person, point: "东门集合点".into() };
            self.park.gates.handle_muster(&muster, action, &guard(), at).unwrap();
        }
        for row in &rows {
            let state = &self.park.gates.musters().roll(&muster).unwrap().rows[row.n as usize].state;
            if *state == RowState::Unaccounted {
                let action = MusterAction::Account { row: row.n, reason: "班组长确认".into() };
                self.park.gates.handle_muster(&muster, action, &guard(), at).unwrap();
            }
        }
        let numbers = self.park.gates.musters().roll(&muster).unwrap().numbers();
        let end = MusterAction::End { reason: "演练结束".into() };
        self.park.gates.handle_muster(&muster, end, &supervisor(), at).unwrap();
        self.park.drain();
        let truth = u32::try_from(self.persons_of(&self.truth)).unwrap();
        self.account.drill = Some((numbers, truth));
        self.say(
            &format!("疏散演练：名单 {} 人，全部到齐", numbers.listed),
            &format!("evacuation drill: {} on the list, all of them accounted for", numbers.listed),
        );
    }

    fn gas(&mut self, level: u8) {
        self.park.gates.handle_surroundings(|around| around.gas.extend([(ZoneId::new("works"), level)]));
        match level {
            0 => self.say("气体报警解除", "the gas alarm is over"),
            _ => self.say("装置区气体二级报警：禁止进入装置区", "gas in the works: nobody enters them"),
        }
    }

    /// How many persons these are: an own one in each car, of whom nobody knows the name.
    fn persons_of(&self, subjects: &BTreeSet<Subject>) -> usize {
        subjects.iter().filter(|one| is_car(one) || matches!(one, Subject::Person(_))).count()
    }
}

fn terminal(who: usize) -> TerminalId {
    TerminalId::new(format!("T{who}"))
}

/// A car, whose one driver nobody knows.
fn is_car(subject: &Subject) -> bool {
    matches!(subject, Subject::Vehicle(plate) if plate.text.starts_with("皖B"))
}

/// Everybody and everything known by name that goes with it.
fn subjects(goer: &Goer) -> Vec<Subject> {
    let person = |name: &String| Subject::Person(PersonRef::new(name.as_str()));
    let own = if goer.name.starts_with('皖') { Subject::Vehicle(yellow(&goer.name)) } else { person(&goer.name) };
    std::iter::once(own).chain(goer.people.iter().map(person)).collect()
}
