//! What people tell the gates: done by who may, refused in words to the others, and in the audit either way.

use std::sync::Arc;

use super::*;
use crate::domain::actor::Via;
use crate::domain::gate::decide::{Judged, Policies};
use crate::domain::gate::desk::{self, TicketKind};
use crate::domain::gate::facts::Facts;
use crate::domain::gate::gates::Settings;
use crate::domain::gate::hazmat;
use crate::domain::gate::hazmat::rules::Rules as HazmatRules;
use crate::domain::gate::hazmat::tests::{bay, waybill};
use crate::domain::gate::hazmat::{Entered, Hazmat};
use crate::domain::gate::inside::event::Loose;
use crate::domain::gate::inside::tests::{DAY, plate, rules, vehicle, zone};
use crate::domain::gate::register::change::Owner;
use crate::domain::gate::register::row::{Person, Row};
use crate::domain::gate::register::{self, Held, Register};
use crate::domain::gate::word::{Direction, GatewayId, LaneId, LaneKind, PassageId, PersonKind, VehicleClass};
use crate::domain::time::{ClockTrust, Mono, Timestamp};

struct Nobody;

impl Policies for Nobody {
    fn judge(&self, _: &Facts) -> Judged {
        Judged::default()
    }

    fn revision(&self) -> &str {
        "test"
    }
}

/// Gates of a park without lanes, with a parking of one bay; what they entered into the audit.
struct Rig {
    gates: Gates,
    ms: u64,
    deeds: Vec<Deed>,
}

impl Rig {
    fn new() -> Self {
        let goods = HazmatRules {
            bays: vec![bay("A1", "2", &[])],
            dispatch_zones: [ZoneId::new("works")].into(),
            ..HazmatRules::default()
        };
        let settings = Settings {
            gateway: GatewayId::new("gw"),
            lanes: Vec::new(),
            register: register::rules::Rules::default(),
            inside: rules(),
            hazmat: Arc::new(goods),
            desk: desk::Rules::default(),
        };
        let ms = 5_000;
        let gates = Gates::new(Arc::new(settings), Arc::new(Nobody), Register::default(), 1, now(ms));
        Self { gates, ms, deeds: Vec::new() }
    }

    fn now(&self) -> Now {
        now(self.ms)
    }

    fn hazmat<T>(&mut self, act: impl FnOnce(&mut Hazmat, Now) -> T) -> T {
        let now = self.now();
        self.gates.handle_hazmat(|hazmat| act(hazmat, now), now)
    }

    /// Does it as somebody with this role; the words, or why not.
    fn does(&mut self, role: Role, act: impl Into<GateAct>) -> Result<String, String> {
        let actor = Actor { name: role.zh().into(), via: Via::Machine, roles: [role].into() };
        let act: GateAct = act.into();
        let wire = serde_json::to_string(&act).unwrap();
        assert_eq!(serde_json::from_str::<GateAct>(&wire).unwrap(), act, "as the control socket carries it");
        let done = self.gates.handle_act(act, &actor, self.now());
        let before = self.deeds.len();
        while let Some(output) = self.gates.poll_output() {
            if let Output::Deed(deed) = output {
                self.deeds.push(*deed);
            }
        }
        assert_eq!(self.deeds.len(), before + 1, "one entry for each act");
        let deed = self.deeds.last().unwrap();
        assert_eq!((deed.actor.name.as_str(), deed.result == AuditResult::Done), (role.zh(), done.is_ok()));
        done.map(|done| done.en).map_err(|refused| refused.en)
    }

    fn persons(&self) -> u32 {
        self.gates.inside().account().count(&zone("park"), Stock::Persons).0
    }
}

fn now(ms: u64) -> Now {
    let wall = Timestamp(DAY + i64::try_from(ms).unwrap());
    Now { mono: Mono::from_millis(ms), wall, trust: ClockTrust::Synced }
}

impl From<AccountAct> for GateAct {
    fn from(act: AccountAct) -> Self {
        Self::Account(act)
    }
}

impl From<MusterAct> for GateAct {
    fn from(act: MusterAct) -> Self {
        Self::Muster(act)
    }
}

impl From<GoodsAct> for GateAct {
    fn from(act: GoodsAct) -> Self {
        Self::Goods(act)
    }
}

fn count(persons: u32) -> AccountAct {
    let stocks = Stocks { persons, vehicles: [(VehicleClass::Hazmat, 1)].into() };
    let list = [(zone("park"), [vehicle("鲁A11111")].into())].into();
    AccountAct::Count { zones: [(zone("park"), stocks)].into(), list: Some(list), why: "门岗点名".into() }
}

fn correct(by: i32, why: &str) -> AccountAct {
    AccountAct::Correct { zone: zone("park"), stock: Stock::Persons, by, subject: None, why: why.into() }
}

fn check(item: &str, passed: bool, note: &str) -> GoodsAct {
    GoodsAct::Check { waybill: WaybillNo::new("W1"), item: item.into(), passed, note: note.into() }
}

#[test]
fn the_opening_count_is_signed_by_the_head_of_the_shift_and_makes_known_who_is_inside() {
    let mut rig = Rig::new();
    let inside = |rig: &Rig, text| rig.gates.inside().inside_of(&vehicle(text), &zone("park"), rig.now().mono);
    assert_eq!((rig.gates.inside().inside_known(), inside(&rig, "鲁A22222")), (false, None));
    assert!(rig.does(Role::Guard, count(12)).unwrap_err().contains("supervisor"));
    assert!(rig.does(Role::Supervisor, count(12)).unwrap().contains("known from here on"));
    assert_eq!((rig.gates.inside().inside_known(), rig.persons()), (true, 12));
    assert_eq!((inside(&rig, "鲁A11111"), inside(&rig, "鲁A22222")), (Some(true), Some(false)));
    assert!(rig.deeds[1].detail.contains("park: persons 12 hazmat 1，by name: 1；门岗点名"), "{:?}", rig.deeds[1]);
    let nowhere = [(ZoneId::new("moon"), Stocks::default())].into();
    let nowhere = AccountAct::Count { zones: nowhere, list: None, why: "x".into() };
    assert!(rig.does(Role::Supervisor, nowhere).unwrap_err().contains("no zone `moon`"));
    let wordless = AccountAct::Count { zones: [(zone("park"), Stocks::default())].into(), list: None, why: " ".into() };
    assert!(rig.does(Role::Supervisor, wordless).unwrap_err().contains("say why"));
}

#[test]
fn a_correction_given_twice_by_a_slip_is_made_once() {
    let mut rig = Rig::new();
    rig.does(Role::Supervisor, count(12)).unwrap();
    rig.ms += 1_000;
    assert_eq!(rig.does(Role::Supervisor, correct(-2, "漏刷")), Ok("corrected: 10 now".to_owned()));
    rig.ms += 5_000;
    assert!(rig.does(Role::Supervisor, correct(-2, "漏刷")).unwrap_err().contains("just now"));
    assert_eq!(rig.does(Role::Supervisor, correct(-2, "另一批漏刷")), Ok("corrected: 8 now".to_owned()));
    rig.ms += 600_000;
    assert_eq!(rig.does(Role::Supervisor, correct(-2, "漏刷")), Ok("corrected: 6 now".to_owned()));
    assert!(rig.does(Role::Operator, correct(1, "补")).is_err());
    let void = |event: &str| AccountAct::Void { event: event.into(), why: "写错".into() };
    assert!(rig.does(Role::Supervisor, void("gw-1-99")).unwrap_err().contains("no such event"));
    assert!(rig.does(Role::Supervisor, void("gw")).unwrap_err().contains("no such event"));
    let last = rig.gates.inside().account().between(Timestamp(0), Timestamp(i64::MAX)).last().unwrap().id.to_string();
    assert!(rig.does(Role::Supervisor, void(&last)).is_ok());
    assert_eq!(rig.persons(), 8);
    assert!(rig.does(Role::Supervisor, void(&last)).unwrap_err().contains("taken back already"));
}

#[test]
fn what_is_not_on_the_list_of_the_day_cannot_be_settled() {
    let mut rig = Rig::new();
    let settle = AccountAct::Settle { of: "p-77".into(), crossed: false, why: "录像".into() };
    assert!(rig.does(Role::Supervisor, settle.clone()).unwrap_err().contains("nothing of that name"));
    // A passage in doubt is settled once, by its own name or by its event's.
    let doubt = |passage: &str| Loose::InDoubt {
        passage: PassageId::new(passage),
        subject: None,
        direction: Direction::In,
        why: "restart".into(),
    };
    let now = rig.now();
    rig.gates.inside.loose(doubt("p-77"), now);
    rig.gates.inside.loose(doubt("p-78"), now);
    let last = rig.gates.inside().account().between(Timestamp(0), Timestamp(i64::MAX)).last().unwrap().id.to_string();
    let by_event = AccountAct::Settle { of: last, crossed: false, why: "录像".into() };
    let crossed = AccountAct::Settle { of: "p-77".into(), crossed: true, why: "录像".into() };
    assert!(rig.does(Role::Supervisor, crossed).unwrap_err().contains("not kept any more"));
    assert!(rig.does(Role::Guard, settle.clone()).unwrap_err().contains("supervisor"));
    assert!(rig.does(Role::Supervisor, settle.clone()).is_ok());
    assert!(rig.does(Role::Supervisor, settle).unwrap_err().contains("settled already"));
    assert!(rig.does(Role::Supervisor, by_event).is_ok());
    let review = AccountAct::Review { subject: vehicle("鲁A11111"), why: "已约谈".into() };
    assert!(rig.does(Role::Guard, review.clone()).is_err());
    assert!(rig.does(Role::Supervisor, review).is_ok());
}

#[test]
fn the_checks_are_answered_one_by_one_and_an_item_that_fails_is_explained() {
    let mut rig = Rig::new();
    assert!(rig.does(Role::Guard, check("goods", true, "")).unwrap_err().contains("no waybill W1"));
    rig.hazmat(|hazmat, now| hazmat.handle_waybill(waybill("W1", "鲁A11111"), "张三", now)).unwrap();
    assert!(rig.does(Role::Auditor, check("goods", true, "")).unwrap_err().contains("`guard` or `operator`"));
    assert!(rig.does(Role::Guard, check("godos", true, "")).unwrap_err().contains("vehicle_papers, people_papers"));
    assert!(rig.does(Role::Guard, check("goods", false, "")).unwrap_err().contains("what is wrong"));
    assert!(rig.does(Role::Guard, check("goods", false, "品名不符")).unwrap().contains("6 not answered, 1 failed"));
    for item in rig.gates.hazmat().rules().items.clone() {
        rig.does(Role::Guard, check(&item.id, true, "")).unwrap();
    }
    let standing = |rig: &Rig| {
        let items = &rig.gates.hazmat().rules().items;
        rig.gates.hazmat().checks().standing(items, Some(&WaybillNo::new("W1")))
    };
    assert_eq!(standing(&rig), (BTreeSet::new(), BTreeSet::new()));
    // Said again it is the same; the entry of the audit says so once more.
    let at = rig.gates.hazmat().checks().of(&WaybillNo::new("W1")).unwrap()["goods"].at;
    rig.ms += 1_000;
    assert!(rig.does(Role::Guard, check("goods", true, "")).unwrap().contains("0 not answered, 0 failed"));
    assert_eq!(rig.gates.hazmat().checks().of(&WaybillNo::new("W1")).unwrap()["goods"].at, at);
    let over = hazmat::waybill::WaybillState::Aborted;
    rig.hazmat(|hazmat, now| hazmat.handle_step(&WaybillNo::new("W1"), over, "张三", now)).unwrap();
    assert!(rig.does(Role::Guard, check("goods", true, "")).unwrap_err().contains("`aborted`"));
}

#[test]
fn a_waybill_from_paper_is_entered_by_who_answers_for_it_with_persons_who_are_registered() {
    use hazmat::waybill::WaybillState;
    let mut rig = Rig::new();
    let enter = |state, number: &str, tractor: &str| GoodsAct::Enter {
        waybill: Box::new(Waybill { state, ..waybill(number, tractor) }),
        why: "平台中断，凭纸质运单".into(),
    };
    let ready = || enter(WaybillState::Dispatched, "W1", "鲁A11111");
    assert!(rig.does(Role::Supervisor, ready()).unwrap_err().contains("the driver is not in the register"));
    let person = |name: &str| Person {
        person: PersonRef::new(name),
        kind: PersonKind::Visitor,
        company: None,
        credentials: BTreeMap::new(),
        skills: BTreeMap::new(),
        training_until: None,
        left: None,
    };
    let held = |name| Held { row: Row::Person(Arc::new(person(name))), owner: Owner::Local, touched: Timestamp(DAY) };
    rig.gates.register = Register::restore(1, BTreeMap::new(), ["driver", "escort"].map(held));
    assert!(rig.does(Role::Operator, ready()).unwrap_err().contains("`supervisor`"));
    assert!(rig.does(Role::Operator, enter(WaybillState::Draft, "W2", "鲁A22222")).is_ok());
    for _ in 0..2 {
        assert_eq!(rig.does(Role::Supervisor, ready()), Ok("waybill W1 is entered, `dispatched`".to_owned()));
    }
    let taken = PassageId::new("p1");
    let entered = Entered { passage: taken, plate: plate("鲁A11111"), zone: zone("park"), gross_kg: None };
    rig.hazmat(|hazmat, now| hazmat.handle_entered(entered, now));
    assert!(
        rig.does(Role::Supervisor, enter(WaybillState::Dispatched, "W1", "鲁A33333"))
            .unwrap_err()
            .contains("not changed")
    );
    assert!(
        rig.does(Role::Supervisor, enter(WaybillState::Completed, "W3", "鲁A3")).unwrap_err().contains("`completed`")
    );
    assert!(
        rig.does(Role::Supervisor, enter(WaybillState::Dispatched, "w 3", "鲁A3")).unwrap_err().contains("letters")
    );
    let wordless = GoodsAct::Enter { waybill: Box::new(waybill("W4", "鲁A4")), why: String::new() };
    assert!(rig.does(Role::Supervisor, wordless).unwrap_err().contains("say why"));
}

#[test]
fn a_vehicle_is_parked_dispatched_called_back_and_done_by_who_may_say_so() {
    let mut rig = Rig::new();
    let truck = plate("鲁A11111");
    let dispatch = || GoodsAct::Dispatch { plate: plate("鲁A11111"), zone: ZoneId::new("works") };
    let quota = |places| GoodsAct::Quota { company: CompanyId::new("works"), places };
    assert!(rig.does(Role::Operator, dispatch()).unwrap_err().contains("not inside"));
    rig.hazmat(|hazmat, now| hazmat.handle_waybill(waybill("W1", "鲁A11111"), "张三", now)).unwrap();
    let entered = Entered { passage: PassageId::new("p1"), plate: truck.clone(), zone: zone("park"), gross_kg: None };
    rig.hazmat(|hazmat, now| hazmat.handle_entered(entered, now));
    assert!(rig.does(Role::Operator, dispatch()).unwrap_err().contains("parking comes first"));
    let taken = |bay: &str| GoodsAct::BayTaken { bay: BayId::new(bay), plate: plate("鲁A11111") };
    assert!(rig.does(Role::Guard, taken("Z9")).unwrap_err().contains("no bay Z9"));
    for _ in 0..2 {
        assert_eq!(rig.does(Role::Guard, taken("A1")), Ok("鲁A11111(黄) stands in bay A1".to_owned()));
    }
    assert!(rig.does(Role::Operator, dispatch()).unwrap_err().contains("no places"));
    assert!(rig.does(Role::Guard, quota(2)).unwrap_err().contains("`operator` or `supervisor`"));
    assert_eq!(rig.does(Role::Operator, quota(0)), Ok("0 published, 0 free".to_owned()));
    assert!(rig.does(Role::Operator, dispatch()).unwrap_err().contains("every place"));
    assert_eq!(rig.does(Role::Operator, quota(2)), Ok("2 published, 2 free".to_owned()));
    let wrong = GoodsAct::Dispatch { plate: truck.clone(), zone: zone("park") };
    assert!(rig.does(Role::Operator, wrong).unwrap_err().contains("not entered by dispatch"));
    assert!(rig.does(Role::Operator, dispatch()).is_ok());
    assert!(rig.does(Role::Operator, dispatch()).unwrap_err().contains("already"));
    assert!(rig.does(Role::Operator, GoodsAct::Recall { plate: truck.clone() }).is_ok());
    assert!(rig.does(Role::Operator, GoodsAct::Recall { plate: truck.clone() }).unwrap_err().contains("not under way"));
    for _ in 0..2 {
        assert!(rig.does(Role::Operator, GoodsAct::WorkDone { plate: truck.clone() }).is_ok());
    }
    for _ in 0..2 {
        assert!(rig.does(Role::Guard, GoodsAct::BayEmpty { bay: BayId::new("A1") }).is_ok());
    }
    assert!(rig.does(Role::Guard, GoodsAct::BayEmpty { bay: BayId::new("Z9") }).is_err());
}

#[test]
fn a_terminal_is_with_one_vehicle_at_a_time() {
    let mut rig = Rig::new();
    let out = |text: &str| GoodsAct::TerminalOut { terminal: TerminalId::new("T7"), plate: plate(text) };
    let back = || GoodsAct::TerminalBack { terminal: TerminalId::new("T7") };
    assert!(rig.does(Role::Guard, back()).unwrap_err().contains("not handed out"));
    assert!(rig.does(Role::Guard, out("鲁A11111")).is_ok());
    assert!(rig.does(Role::Guard, out("鲁A22222")).unwrap_err().contains("has not given it back"));
    assert!(rig.does(Role::Operator, back()).is_err());
    assert!(rig.does(Role::Guard, back()).is_ok());
    assert!(rig.does(Role::Guard, out("鲁A22222")).is_ok());
}

#[test]
fn a_ticket_is_answered_once_by_whom_it_is_for() {
    let mut rig = Rig::new();
    let ask = desk::Ask {
        lane: LaneId::new("in"),
        lane_kind: LaneKind::Vehicle,
        direction: Direction::In,
        kind: TicketKind::Refer,
        passage: None,
        decision: None,
        reasons: Vec::new(),
        subject: None,
        company: None,
    };
    let now = rig.now();
    let desk::Asked::Ticket(ticket) = rig.gates.desk.ask(ask, now) else { panic!("a ticket") };
    let answer = |answer, why: &str| GateAct::Ticket(TicketAct { ticket: ticket.clone(), answer, why: why.into() });
    assert!(rig.does(Role::Operator, answer(Answer::Pass, "已核对")).unwrap_err().contains("guard"));
    assert!(rig.does(Role::Guard, answer(Answer::Pass, "")).unwrap_err().contains("say why"));
    assert!(rig.does(Role::Guard, answer(Answer::Spoken, "已通话")).unwrap_err().contains("does not answer"));
    assert!(rig.does(Role::Guard, answer(Answer::TurnBack, "证件不符")).unwrap().contains("turn_back"));
    assert!(rig.does(Role::Guard, answer(Answer::Pass, "已核对")).unwrap_err().contains("answered already"));
    let unknown = GateAct::Ticket(TicketAct { ticket: "ticket-9".into(), answer: Answer::Pass, why: "x".into() });
    assert!(rig.does(Role::Guard, unknown).unwrap_err().contains("no such ticket"));
}

#[test]
fn in_a_muster_everybody_is_accounted_for_once_and_words_say_how() {
    let mut rig = Rig::new();
    rig.does(Role::Supervisor, count(3)).unwrap();
    let now = rig.now();
    let began = rig.gates.handle_evacuation(&zone("park"), "e1", true, &Actor::gateway(), now).unwrap();
    let muster = began[0].clone();
    let safe = |row, why: &str| MusterAct::Safe { muster: muster.clone(), row, why: why.into() };
    let back = |row| MusterAct::NotSafe { muster: muster.clone(), row, why: "认错人".into() };
    assert!(rig.does(Role::Auditor, safe(0, "见到本人")).is_err());
    assert!(rig.does(Role::Guard, safe(0, " ")).unwrap_err().contains("how it is known"));
    assert!(rig.does(Role::Guard, safe(7, "见到本人")).unwrap_err().contains("no such number"));
    assert_eq!(rig.does(Role::Guard, safe(0, "见到本人")), Ok("noted: 2 unaccounted for".to_owned()));
    assert!(rig.does(Role::Guard, safe(0, "见到本人")).unwrap_err().contains("safe already"));
    assert_eq!(rig.does(Role::Guard, back(0)), Ok("noted: 3 unaccounted for".to_owned()));
    assert!(rig.does(Role::Guard, back(0)).unwrap_err().contains("not accounted for"));
    let check_in =
        |point: &str| MusterAct::CheckIn { muster: muster.clone(), person: PersonRef::new("p-1"), point: point.into() };
    assert!(rig.does(Role::Guard, check_in("")).unwrap_err().contains("muster point"));
    assert!(rig.does(Role::Guard, check_in("一号集合点")).is_ok());
    assert!(rig.does(Role::Guard, check_in("一号集合点")).unwrap_err().contains("on no list"));
    let end = MusterAct::End { muster: muster.clone(), why: "演练结束".into() };
    assert!(rig.does(Role::Guard, end.clone()).unwrap_err().contains("supervisor"));
    assert_eq!(rig.does(Role::Supervisor, end.clone()), Ok("the muster is over".to_owned()));
    assert!(rig.does(Role::Supervisor, end).unwrap_err().contains("no such muster"));
}

#[test]
fn words_without_end_are_refused_and_do_not_fill_the_audit() {
    let mut rig = Rig::new();
    let long = "长".repeat(MAX_WORDS * 2);
    assert!(rig.does(Role::Supervisor, correct(1, &long)).unwrap_err().contains("at most"));
    let endless = GoodsAct::Quota { company: CompanyId::new(long.as_str()), places: 1 };
    assert!(rig.does(Role::Operator, endless).unwrap_err().contains("at most"));
    assert!(rig.deeds.iter().all(|deed| deed.object.chars().count() <= MAX_NAME && deed.detail.len() < 500));
}
