//! Nobody waits for nobody: stories, and what holds after any sequence of steps.

use proptest::prelude::*;
use proptest::sample::select;

use super::*;
use crate::domain::actor::Via;
use crate::domain::gate::inside::tests::vehicle;
use crate::domain::gate::verdict::{Reason, Verdict};
use crate::domain::gate::word::CompanyId;
use crate::domain::time::ClockTrust;

/// Lanes: manned, unmanned, a door for persons.
fn rules() -> Rules {
    let lane = |manned, back: &str, room| LaneRule {
        gate: GateId::new("gate-1"),
        manned,
        turn_back: (back.into(), back.into()),
        room,
    };
    let lanes = [
        ("hazmat-in", lane(true, "岗亭前掉头", Some(8))),
        ("light-in", lane(false, "", None)),
        ("door", lane(true, "x", None)),
    ];
    Rules { lanes: lanes.into_iter().map(|(name, rule)| (LaneId::new(name), rule)).collect(), ..Rules::default() }
}

struct Rig {
    desk: Desk,
    boot: u32,
    mono: u64,
    told: Vec<Told>,
    says: Vec<Say>,
    answered: Vec<Answered>,
    facts: Vec<DeskFact>,
    documents: Vec<serde_json::Value>,
}

impl Rig {
    fn new() -> Self {
        let desk = Desk::new(1, rules());
        Self {
            desk,
            boot: 1,
            mono: 1_000,
            told: vec![],
            says: vec![],
            answered: vec![],
            facts: vec![],
            documents: vec![],
        }
    }

    fn now(&self) -> Now {
        let wall = Timestamp(1_795_651_200_000 + i64::try_from(self.mono).unwrap());
        Now { mono: Mono::from_millis(self.mono), wall, trust: ClockTrust::Synced }
    }

    fn drain(&mut self) {
        while let Some(output) = self.desk.poll_output() {
            match output {
                Output::Document(document) => self.documents.push(serde_json::from_str(&document.json).unwrap()),
                Output::Told(told) => self.told.push(told),
                Output::Say(say) => self.says.push(say),
                Output::Answered(answered) => self.answered.push(answered),
                Output::Fact(fact) => self.facts.push(fact),
            }
        }
    }

    fn ask(&mut self, lane: &str, passage: &str, code: &str, verdict: Verdict) -> Asked {
        let reason = Reason { code: code.into(), verdict, zh: "原因".into(), en: "because".into(), policy: None };
        let ask = Ask {
            lane: LaneId::new(lane),
            lane_kind: if lane == "door" { LaneKind::Person } else { LaneKind::Vehicle },
            direction: Direction::In,
            kind: Ask::kind_of(verdict, std::slice::from_ref(&reason)).unwrap_or(TicketKind::Call),
            passage: Some(PassageId::new(passage)),
            decision: None,
            reasons: vec![reason],
            subject: Some(vehicle("鲁A11111")),
            company: Some(CompanyId::new("91440300755691882F")),
        };
        self.put(ask)
    }

    fn put(&mut self, ask: Ask) -> Asked {
        let asked = self.desk.ask(ask, self.now());
        self.drain();
        asked
    }

    fn call(&mut self, lane: &str) -> Asked {
        let door = lane == "door";
        self.put(Ask {
            lane: LaneId::new(lane),
            lane_kind: if door { LaneKind::Person } else { LaneKind::Vehicle },
            direction: Direction::Out,
            kind: TicketKind::Call,
            passage: None,
            decision: None,
            reasons: vec![],
            subject: None,
            company: None,
        })
    }

    fn wait(&mut self, secs: u64) {
        let until = self.mono + secs * 1000;
        while let Some(due) = self.desk.poll_timeout().map(|due| due.millis()) {
            if due > until {
                break;
            }
            self.mono = self.mono.max(due);
            self.desk.handle_timeout(self.now());
            self.drain();
        }
        self.mono = until;
    }

    fn answer(&mut self, id: &str, answer: Answer, name: &str, reason: &str) -> Result<(), Refused> {
        let actor = Actor { name: name.into(), via: Via::Page, roles: [Role::Guard].into() };
        let done = self.desk.answer(id, answer, &actor, reason, self.now());
        self.drain();
        done
    }

    fn restart(&mut self) {
        let saved = serde_json::to_string(&self.desk.saved(self.now())).unwrap();
        self.boot += 1;
        self.mono = 500;
        self.desk = Desk::restore(self.boot, rules(), serde_json::from_str(&saved).unwrap(), self.now());
        self.drain();
    }

    fn asked(&self) -> Vec<Addressee> {
        self.told.iter().filter(|told| !told.again).map(|told| told.to.clone()).collect()
    }
}

fn guard() -> Addressee {
    Addressee::Guard(GateId::new("gate-1"))
}

fn id(asked: Asked) -> String {
    match asked {
        Asked::Ticket(id) => id,
        Asked::PassFreely => panic!("a ticket was due"),
    }
}

#[test]
fn a_guard_who_does_not_answer_is_followed_by_the_duty_room_which_is_asked_until_it_does() {
    let mut rig = Rig::new();
    let ticket = id(rig.ask("hazmat-in", "p-1", "WEIGHT_MISMATCH", Verdict::Hold));
    rig.wait(59);
    assert_eq!(rig.asked(), [guard()]);
    rig.wait(2);
    assert_eq!(rig.asked(), [guard(), Addressee::DutyRoom]);
    assert!(rig.facts.is_empty());
    rig.wait(60 * 5);
    assert_eq!(rig.told.iter().filter(|told| told.again).count(), 5, "said again each minute");
    assert_eq!(
        rig.facts.iter().map(|fact| (fact.fault, fact.active)).collect::<Vec<_>>(),
        [(DeskFault::Unanswered, true)]
    );
    assert!(rig.says.iter().all(|say| say.zh.contains("岗亭前掉头")), "the way back is named each time");
    assert!(rig.says.last().unwrap().zh.contains("值班室"), "and whom he waits for");
    rig.answer(&ticket, Answer::Pass, "王岗", "复磅合格").unwrap();
    assert!(rig.facts.last().is_some_and(|fact| !fact.active));
    let answered = rig.answered.last().unwrap();
    assert_eq!((answered.passage.clone(), answered.expires), (Some(PassageId::new("p-1")), rig.now().mono + PASS_LIFE));
    let ended = rig.documents.last().unwrap();
    assert_eq!(
        (&ended["what"], &ended["end"]["actor"]["name"], &ended["end"]["reason"]),
        (&"ended".into(), &"王岗".into(), &"复磅合格".into())
    );
    assert_eq!(rig.desk.poll_timeout(), None);
}

#[test]
fn a_rescue_vehicle_that_nobody_answers_for_within_fifteen_seconds_is_the_duty_rooms() {
    let mut rig = Rig::new();
    rig.ask("hazmat-in", "p-1", "EXEMPT_CONFIRM", Verdict::Refer);
    rig.wait(15);
    assert_eq!(rig.asked(), [guard(), Addressee::DutyRoom]);
    rig.wait(15);
    assert!(rig.facts.iter().any(|fact| fact.fault == DeskFault::Unanswered && fact.active));
    let mut unmanned = Rig::new();
    unmanned.ask("light-in", "p-2", "EXEMPT_CONFIRM", Verdict::Refer);
    assert_eq!(unmanned.asked(), [Addressee::DutyRoom], "at once where nobody is");
}

#[test]
fn what_only_the_enterprise_can_clear_up_goes_to_it_first() {
    let mut rig = Rig::new();
    let ticket = id(rig.ask("hazmat-in", "p-1", "NO_UNLOADING_SLOT", Verdict::Hold));
    let enterprise = Addressee::Enterprise(CompanyId::new("91440300755691882F"));
    assert_eq!(rig.asked().first(), Some(&enterprise));
    let clerk = Actor { name: "收货员".into(), via: Via::Page, roles: [Role::Operator].into() };
    rig.wait(301);
    assert_eq!(rig.asked(), [enterprise, Addressee::DutyRoom]);
    let late = rig.desk.answer(&ticket, Answer::Pass, &clerk, "有空位", rig.now());
    assert!(late.is_err(), "it is the duty room's now");
    let ticket = id(rig.ask("light-in", "p-2", "NOT_DISPATCHED", Verdict::Refer));
    rig.desk.answer(&ticket, Answer::Pass, &clerk, "已调度", rig.now()).unwrap();
    rig.ask("light-in", "p-3", "OVERWEIGHT", Verdict::Hold);
    assert_eq!(rig.asked().last(), Some(&Addressee::DutyRoom));
}

#[test]
fn an_answer_has_a_name_and_a_reason_there_is_one_and_a_late_one_moves_nothing() {
    let mut rig = Rig::new();
    let ticket = id(rig.ask("hazmat-in", "p-1", "PLATE_UNREADABLE", Verdict::Refer));
    assert!(rig.answer(&ticket, Answer::Pass, "", "核对无误").is_err(), "who?");
    assert!(rig.answer(&ticket, Answer::Pass, "王岗", "  ").is_err(), "why?");
    assert!(rig.answer(&ticket, Answer::Spoken, "王岗", "说过了").is_err(), "that is no answer to it");
    let auditor = Actor { name: "审".into(), via: Via::Page, roles: [Role::Auditor].into() };
    assert!(rig.desk.answer(&ticket, Answer::Pass, &auditor, "x", rig.now()).is_err());
    assert!(rig.answered.is_empty());
    rig.answer(&ticket, Answer::TurnBack, "王岗", "号牌遮挡").unwrap();
    assert!(rig.says.last().unwrap().zh.contains("请掉头驶离：岗亭前掉头"));
    let refused = rig.answer(&ticket, Answer::Pass, "李岗", "看清了").unwrap_err();
    assert!(refused.zh.contains("王岗"), "{refused}");
    assert_eq!(rig.answered.len(), 1, "one answer");
    assert_eq!(rig.documents.last().unwrap()["what"], "late_answer");
    let gone = id(rig.ask("hazmat-in", "p-2", "PLATE_UNREADABLE", Verdict::Refer));
    rig.desk.passage_over(&PassageId::new("p-2"), rig.now());
    rig.drain();
    rig.restart();
    assert!(rig.answer(&gone, Answer::Pass, "王岗", "放").is_err(), "it turned back meanwhile; also after a restart");
    assert_eq!(rig.answered.len(), 1);
}

#[test]
fn a_person_who_leaves_is_never_a_ticket_and_may_call() {
    let mut rig = Rig::new();
    let leaves = Ask {
        lane: LaneId::new("door"),
        lane_kind: LaneKind::Person,
        direction: Direction::Out,
        kind: TicketKind::Hold,
        passage: Some(PassageId::new("p-1")),
        decision: None,
        reasons: vec![],
        subject: None,
        company: None,
    };
    assert_eq!(rig.put(leaves), Asked::PassFreely);
    assert!(rig.told.is_empty() && rig.documents.is_empty());
    let ticket = id(rig.call("door"));
    assert_eq!(id(rig.call("door")), ticket, "pressed twice is one call");
    assert_eq!(rig.desk.open().next().map(|ticket| ticket.presses), Some(2));
    assert!(rig.answer(&ticket, Answer::Pass, "王岗", "放").is_err(), "a call opens nothing");
    rig.answer(&ticket, Answer::Spoken, "王岗", "门已修").unwrap();
}

#[test]
fn every_lane_names_a_way_back() {
    let rig = Rig::new();
    for lane in ["hazmat-in", "light-in", "door", "nowhere"] {
        let (zh, en) = rig.desk.turn_back(&LaneId::new(lane));
        assert!(!zh.is_empty() && !en.is_empty(), "{lane}");
    }
}

#[test]
fn a_queue_that_grows_towards_the_public_road_alarms_before_it_is_there() {
    let mut rig = Rig::new();
    let lane = LaneId::new("hazmat-in");
    let mut look = |n: Option<u16>| {
        rig.desk.queue(&lane, n);
        rig.drain();
        rig.facts.last().map(|fact| (fact.fault, fact.active))
    };
    for n in [1, 2, 1, 3, 3] {
        assert_eq!(look(Some(n)), None);
    }
    assert_eq!(look(Some(4)), None, "half of the room, growing for the second time");
    assert_eq!(look(Some(5)), Some((DeskFault::Queue, true)), "and it grows");
    assert_eq!(look(None), Some((DeskFault::QueueBlind, true)), "not seen is not over");
    assert_eq!(look(Some(4)), Some((DeskFault::QueueBlind, false)));
    assert_eq!(look(Some(3)), Some((DeskFault::Queue, false)));
    assert_eq!(look(Some(9)), Some((DeskFault::Queue, true)), "full is full, however it came");
    rig.desk.queue(&LaneId::new("light-in"), Some(99));
    rig.drain();
    assert_eq!(rig.facts.len(), 5, "a lane that is not watched says nothing");
}

#[test]
fn a_restart_says_every_open_ticket_again_to_who_has_it() {
    let mut rig = Rig::new();
    rig.ask("hazmat-in", "p-1", "WEIGHT_MISMATCH", Verdict::Hold);
    rig.wait(50);
    rig.restart();
    assert!(rig.told.last().is_some_and(|told| told.again && told.to == guard()));
    rig.wait(9);
    assert_eq!(rig.asked(), [guard()], "with the time that he had left");
    rig.wait(2);
    assert_eq!(rig.asked(), [guard(), Addressee::DutyRoom]);
    rig.wait(61);
    rig.restart();
    assert!(rig.facts.last().is_some_and(|fact| fact.fault == DeskFault::Unanswered && fact.active));
}

#[test]
fn there_is_an_end_to_tickets_and_what_makes_room_is_on_record() {
    let mut rig = Rig::new();
    for n in 0..MAX_OPEN + 3 {
        rig.ask(&format!("lane-{n}"), &format!("p-{n}"), "PLATE_UNREADABLE", Verdict::Refer);
    }
    assert_eq!(rig.desk.open().count(), MAX_OPEN);
    let displaced = rig.documents.iter().filter(|record| record["end"]["how"] == "displaced");
    assert_eq!(displaced.count(), 3);
    assert_eq!(rig.facts.iter().filter(|fact| fact.fault == DeskFault::Full && fact.active).count(), 3);
    assert!(rig.desk.open().map(by_age).is_sorted_by_key(|(at, _)| at));
}

#[derive(Clone, Debug)]
enum Act {
    Ask(usize, u16, &'static str, Verdict),
    Call(usize),
    Answer(usize, Answer, bool, bool),
    Over(u16),
    Queue(Option<u16>),
    Wait(u64),
    Restart,
}

const LANES: [&str; 4] = ["hazmat-in", "light-in", "door", "elsewhere"];

fn act() -> impl Strategy<Value = Act> {
    let codes = select(vec!["WEIGHT_MISMATCH", "EXEMPT_CONFIRM", "NO_UNLOADING_SLOT", "PLATE_UNREADABLE"]);
    let answers = select(vec![Answer::Pass, Answer::TurnBack, Answer::Spoken]);
    prop_oneof![
        6 => (0..4usize, 0..60u16, codes, select(vec![Verdict::Refer, Verdict::Hold])).prop_map(|(l, p, c, v)| Act::Ask(l, p, c, v)),
        2 => (0..4usize).prop_map(Act::Call),
        6 => (0..60usize, answers, any::<bool>(), any::<bool>()).prop_map(|(n, a, who, why)| Act::Answer(n, a, who, why)),
        2 => (0..60u16).prop_map(Act::Over),
        2 => prop::option::of(0..12u16).prop_map(Act::Queue),
        6 => select(vec![1u64, 14, 16, 61, 400]).prop_map(Act::Wait),
        1 => Just(Act::Restart),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 260, max_shrink_iters: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_ticket_is_answered_or_with_its_last_addressee_and_never_silent(acts in prop::collection::vec(act(), 400)) {
        let mut rig = Rig::new();
        let mut ids: Vec<String> = Vec::new();
        let mut age: BTreeMap<String, u64> = BTreeMap::new();
        for act in &acts {
            let mut waited = 0;
            match act {
                Act::Ask(lane, passage, code, verdict) => {
                    if let Asked::Ticket(id) = rig.ask(LANES[*lane], &format!("p-{passage}"), code, *verdict) {
                        ids.push(id);
                    }
                }
                Act::Call(lane) => ids.push(id(rig.call(LANES[*lane]))),
                Act::Answer(n, answer, who, why) => {
                    if let Some(id) = ids.get(ids.len().saturating_sub(n + 1)).cloned() {
                        let open = rig.desk.open().any(|ticket| ticket.ticket == id);
                        let before = rig.answered.len();
                        let done = rig.answer(&id, *answer, if *who { "王岗" } else { "" }, if *why { "核对" } else { " " });
                        prop_assert_eq!(rig.answered.len() - before, usize::from(done.is_ok()));
                        prop_assert!(done.is_err() || (open && *who && *why), "late, nameless, without reason: nothing moves");
                    }
                }
                Act::Over(passage) => {
                    rig.desk.passage_over(&PassageId::new(format!("p-{passage}")), rig.now());
                    rig.drain();
                }
                Act::Queue(n) => rig.desk.queue(&LaneId::new("hazmat-in"), *n),
                Act::Wait(secs) => {
                    rig.wait(*secs);
                    waited = *secs;
                }
                Act::Restart => rig.restart(),
            }
            rig.drain();
            age.retain(|id, _| rig.desk.open().any(|ticket| ticket.ticket == *id));
            let mut lanes = BTreeSet::new();
            for ticket in rig.desk.open() {
                *age.entry(ticket.ticket.clone()).or_default() += waited;
                let call = ticket.ask.kind == TicketKind::Call;
                prop_assert!(lanes.insert((ticket.ask.lane.clone(), call)), "one question at a time");
                prop_assert!(ticket.deadline >= rig.now().mono, "it goes on");
                prop_assert!(ticket.deadline <= rig.now().mono + ticket.within());
                let all: u64 = ticket.turns.iter().map(|turn| turn.within_s).sum();
                if age[&ticket.ticket] > all {
                    prop_assert_eq!(ticket.addressee(), &Addressee::DutyRoom, "nobody else is left");
                    let told = rig.facts.iter().rev().find(|fact| fact.subject == ticket.ticket);
                    prop_assert!(told.is_some_and(|fact| fact.active), "and it alarms");
                }
            }
        }
        // Each id was opened once, and whatever is not open any more has one end on record.
        let ends = |id: &str| rig.documents.iter().filter(|record| record["what"] == "ended" && record["ticket"] == id).count();
        for id in ids.iter().collect::<BTreeSet<_>>() {
            let open = rig.desk.open().any(|ticket| ticket.ticket == *id);
            prop_assert_eq!(ends(id), usize::from(!open), "{}", id);
            let opened = rig.documents.iter().filter(|record| record["what"] == "opened" && record["ticket"] == id.as_str());
            prop_assert_eq!(opened.count(), 1);
            prop_assert!(rig.answered.iter().filter(|answered| answered.ticket == *id).count() <= 1);
        }
        for fact in rig.facts.iter().filter(|fact| fact.fault == DeskFault::Unanswered) {
            let last = rig.facts.iter().rev().find(|last| last.subject == fact.subject).unwrap();
            prop_assert_eq!(last.active, rig.desk.open().any(|ticket| ticket.ticket == fact.subject));
        }
    }
}
