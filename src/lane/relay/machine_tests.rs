//! Stories of a module: what is written to it, in which order, and what never is.

#![expect(clippy::wildcard_enum_match_arm, reason = "a test looks at what it is about")]

use proptest::prelude::*;

use super::super::super::modbus::request::Framing;
use super::super::super::modbus::session::Address;
use super::super::{Block, Wire};
use super::*;
use crate::domain::gate::word::LaneId;
use crate::lane::coding::hex;

const OPEN: u16 = 0;
const CLOSE: u16 = 1;
const STOP: u16 = 2;
const HOLD: u16 = 3;

fn pulse(coil: u16) -> Option<Contact> {
    Some(Contact::Pulse { coil, length: Duration::from_millis(500) })
}

fn module() -> Module {
    let wire = |input, bit| Wire { input, bit, closed_at_rest: false };
    Module {
        device: "io-1".to_owned(),
        lane: LaneId::new("east-in"),
        address: Address { host: String::new(), framing: Framing::Rtu, unit: 1, within: Duration::from_millis(300) },
        block: Block { function: 2, start: 0, count: 8 },
        inputs: vec![
            wire(Input::UnderArm, 0),
            wire(Input::Beam, 1),
            Wire { input: Input::Fire, bit: 2, closed_at_rest: true },
        ],
        open: pulse(OPEN),
        close: pulse(CLOSE),
        stop: pulse(STOP),
        hold: Some(HOLD),
    }
}

fn ms(ms: u64) -> Mono {
    Mono::from_millis(ms)
}

fn command(key: &str, act: Act, not_after: u64) -> LaneCommand {
    LaneCommand { key: key.to_owned(), lane: LaneId::new("east-in"), act, not_after: ms(not_after) }
}

const UP: Act = Act::Open { answers: None };

/// A module that does what it is told, and notes it.
struct Scene {
    machine: Machine,
    coils: [bool; 8],
    inputs: [bool; 8],
    /// What was written, with when.
    writes: Vec<(u64, Request)>,
    told: Vec<Output>,
    now: u64,
    /// Coils that cannot be switched off.
    stuck: bool,
}

impl Scene {
    fn new(module: Module) -> Self {
        let mut machine = Machine::new(module, ms(0));
        machine.handle_connected(ms(0));
        let inputs = [false, false, true, false, false, false, false, false];
        let mut scene =
            Self { machine, coils: [false; 8], inputs, writes: Vec::new(), told: Vec::new(), now: 0, stuck: false };
        scene.to(0);
        scene
    }

    fn reply(&mut self, request: &Request) -> Reply {
        match request {
            Request::Read { function: 1, start, count } => {
                let at = |n: u16| self.coils[usize::from(start + n)];
                Reply::Bits((0..*count).map(at).collect())
            }
            Request::Read { .. } => Reply::Bits(self.inputs.to_vec()),
            Request::WriteSingleCoil { address, on } => {
                self.writes.push((self.now, request.clone()));
                if *on || !self.stuck {
                    self.coils[usize::from(*address)] = *on;
                }
                Reply::Written
            }
            _ => {
                self.writes.push((self.now, request.clone()));
                Reply::Written
            }
        }
    }

    /// Lets time go on to `until`, asked and answered at once.
    fn to(&mut self, until: u64) {
        loop {
            while let Some(request) = self.machine.poll_request(ms(self.now)) {
                let reply = self.reply(&request);
                self.machine.handle_reply(&reply, ms(self.now));
                let moving = [OPEN, CLOSE, STOP].iter().filter(|coil| self.coils[usize::from(**coil)]).count();
                assert!(moving <= 1 || self.stuck, "two contacts on at once");
            }
            self.told.extend(std::iter::from_fn(|| self.machine.poll_output()));
            match self.machine.poll_timeout() {
                Some(at) if at <= ms(until) => self.now = at.millis().max(self.now),
                _ => break,
            }
        }
        self.now = until;
    }

    fn order(&mut self, command: LaneCommand) {
        self.machine.handle_command(command, ms(self.now));
    }

    fn receipts(&self) -> Vec<(&str, &Carried)> {
        let mut receipts = Vec::new();
        for one in &self.told {
            if let Output::Receipt(receipt) = one {
                receipts.push((receipt.key.as_str(), &receipt.carried));
            }
        }
        receipts
    }

    fn said(&mut self, input: Input) -> Vec<Option<bool>> {
        let said = |one: &Output| match one {
            Output::Event(LaneEvent { what: Seen::Input { input: of, on }, .. }) if *of == input => Some(*on),
            _ => None,
        };
        let said = self.told.iter().filter_map(said).collect();
        self.told.clear();
        said
    }

    fn frames(&self) -> Vec<(u64, String)> {
        let frame = |request: &Request| hex(&request.frame(Framing::Rtu, 1, 0)).to_uppercase();
        self.writes.iter().map(|(at, request)| (*at, frame(request))).collect()
    }
}

#[test]
fn an_opening_is_one_pulse_of_its_length_byte_for_byte() {
    let mut scene = Scene::new(module());
    scene.order(command("k1", UP, 3000));
    scene.to(2000);
    assert_eq!(scene.frames(), [(0, "01050000FF008C3A".to_owned()), (500, "010500000000CDCA".to_owned())]);
    assert_eq!(scene.receipts(), [("k1", &Carried::Sent)]);
}

#[test]
fn a_pulse_that_the_module_ends_itself_is_written_once() {
    let open = Contact::Flash { register: 3, words: vec![4, 5], coil: Some(OPEN) };
    let mut scene = Scene::new(Module { open: Some(open), ..module() });
    scene.order(command("k1", UP, 3000));
    scene.to(2000);
    let expected = Request::WriteMultipleRegisters { start: 3, values: vec![4, 5] };
    assert_eq!(scene.writes, [(0, expected)]);
    assert_eq!(scene.receipts(), [("k1", &Carried::Sent)]);
}

#[test]
fn nothing_closes_on_what_is_under_the_arm_or_on_a_sensor_that_is_not_heard() {
    for guard in [0, 1] {
        let mut scene = Scene::new(module());
        scene.inputs[guard] = true;
        scene.order(command("k1", Act::Close, 3000));
        scene.to(2000);
        assert!(matches!(scene.receipts()[..], [("k1", Carried::Refused(_))]));
        assert!(scene.writes.is_empty());
    }
    let mut scene = Scene::new(Module { block: Block { function: 2, start: 0, count: 1 }, ..module() });
    scene.inputs = [false; 8];
    scene.order(command("k1", Act::Close, 3000));
    let others = scene.machine.poll_request(ms(0)).unwrap();
    let seen = scene.reply(&others);
    scene.machine.handle_reply(&seen, ms(0));
    let request = scene.machine.poll_request(ms(0)).unwrap();
    assert_eq!(request, Request::Read { function: 2, start: 0, count: 1 });
    scene.machine.handle_reply(&Reply::Bits(vec![false]), ms(0));
    scene.to(1000);
    assert!(matches!(scene.receipts()[..], [("k1", Carried::Refused(_))]), "the beam is not heard");
    assert!(scene.writes.is_empty());
}

#[test]
fn an_open_ends_a_close_that_is_under_way_and_waits_until_its_contact_is_off() {
    let mut scene = Scene::new(module());
    scene.order(command("close", Act::Close, 3000));
    scene.to(100);
    assert!(scene.coils[usize::from(CLOSE)]);
    scene.order(command("open", UP, 3000));
    scene.to(150);
    assert!(!scene.coils[usize::from(CLOSE)] && scene.coils[usize::from(OPEN)]);
    assert_eq!(scene.receipts(), [("close", &Carried::Sent), ("open", &Carried::Sent)]);
    scene.order(command("again", Act::Close, 3000));
    scene.to(2000);
    let ons: Vec<u64> = scene
        .writes
        .iter()
        .filter(|(_, one)| matches!(one, Request::WriteSingleCoil { on: true, .. }))
        .map(|(at, _)| *at)
        .collect();
    assert_eq!(ons, [0, 100, 600], "a close waits for the pulse of the open");
}

#[test]
fn an_open_that_comes_while_the_close_is_being_asked_wins() {
    let mut scene = Scene::new(module());
    scene.order(command("close", Act::Close, 3000));
    let others = scene.machine.poll_request(ms(0)).unwrap();
    let seen = scene.reply(&others);
    scene.machine.handle_reply(&seen, ms(0));
    let looked = scene.machine.poll_request(ms(0)).unwrap();
    assert_eq!(looked, Request::Read { function: 2, start: 0, count: 8 });
    scene.order(command("open", UP, 3000));
    scene.machine.handle_reply(&Reply::Bits(vec![false; 8]), ms(0));
    scene.to(2000);
    assert!(matches!(scene.receipts()[..], [("close", Carried::Refused(_)), ("open", Carried::Sent)]));
    assert!(scene.writes.iter().all(|(_, one)| *one != Request::WriteSingleCoil { address: CLOSE, on: true }));
}

#[test]
fn a_contact_that_another_master_has_on_is_taken_back_first() {
    let mut scene = Scene::new(module());
    scene.coils[usize::from(CLOSE)] = true;
    scene.order(command("open", UP, 3000));
    scene.to(2000);
    let writes: Vec<&Request> = scene.writes.iter().map(|(_, one)| one).collect();
    assert_eq!(writes[0], &Request::WriteSingleCoil { address: CLOSE, on: false });
    assert_eq!(writes[1], &Request::WriteSingleCoil { address: OPEN, on: true });
}

#[test]
fn where_the_other_contact_stays_on_nothing_goes_on() {
    let mut scene = Scene::new(module());
    scene.coils[usize::from(CLOSE)] = true;
    scene.stuck = true;
    scene.order(command("open", UP, 3000));
    scene.to(5000);
    assert!(matches!(scene.receipts()[..], [("open", Carried::Failed(_))]));
    assert!(!scene.coils[usize::from(OPEN)]);
}

#[test]
fn late_commands_used_keys_and_a_busy_contact_are_refused() {
    let mut scene = Scene::new(module());
    scene.to(1000);
    scene.order(command("late", UP, 999));
    scene.order(command("k1", UP, 3000));
    scene.order(command("k2", UP, 3000));
    scene.to(3000);
    scene.order(command("k1", UP, 5000));
    scene.to(4000);
    scene.order(LaneCommand { lane: LaneId::new("west"), ..command("k3", UP, 9000) });
    scene.order(command("k4", Act::Show(crate::domain::gate::hardware::Sign::default()), 9000));
    scene.to(4001);
    let carried: Vec<_> =
        scene.receipts().iter().map(|(key, one)| (*key, matches!(one, Carried::Refused(_)))).collect();
    assert_eq!(carried, [("late", false), ("k2", true), ("k1", false), ("k1", true), ("k3", true), ("k4", true)]);
    assert_eq!(scene.writes.len(), 2);
}

#[test]
fn a_command_whose_time_runs_out_on_the_way_is_not_sent() {
    let mut scene = Scene::new(module());
    scene.order(command("k1", UP, 50));
    let look = scene.machine.poll_request(ms(0)).unwrap();
    assert!(!look.changes());
    scene.machine.handle_reply(&Reply::Bits(vec![false; 3]), ms(60));
    scene.now = 60;
    scene.to(1000);
    assert_eq!(scene.receipts(), [("k1", &Carried::Expired)]);
    assert!(scene.writes.is_empty());
}

#[test]
fn a_pulse_whose_answer_was_lost_is_taken_back_on_the_next_connection_and_never_repeated() {
    let mut scene = Scene::new(module());
    scene.order(command("k1", UP, 3000));
    let look = scene.machine.poll_request(ms(0)).unwrap();
    let seen = scene.reply(&look);
    scene.machine.handle_reply(&seen, ms(0));
    let on = scene.machine.poll_request(ms(0)).unwrap();
    let _lost = scene.reply(&on);
    scene.machine.handle_lost("no answer", ms(300));
    scene.now = 800;
    scene.machine.handle_connected(ms(800));
    scene.to(2000);
    assert!(matches!(scene.receipts()[..], [("k1", Carried::Unanswered(_))]));
    assert_eq!(scene.writes.len(), 2);
    assert_eq!(scene.writes[1].1, Request::WriteSingleCoil { address: OPEN, on: false });
}

#[test]
fn a_new_start_takes_back_what_moves_and_leaves_a_hold() {
    let mut machine = Machine::new(module(), ms(0));
    machine.handle_connected(ms(0));
    let coils = [true, false, false, true, false, false, false, false];
    let mut scene = Scene { machine, coils, ..Scene::new(module()) };
    scene.writes.clear();
    scene.to(1000);
    assert_eq!(scene.writes, [(0, Request::WriteSingleCoil { address: OPEN, on: false })]);
}

#[test]
fn a_hold_is_kept_and_nothing_closes_against_it() {
    let mut scene = Scene::new(module());
    scene.order(command("hold", Act::HoldOpen, 3000));
    scene.to(1000);
    assert!(scene.coils[usize::from(HOLD)]);
    scene.order(command("close", Act::Close, 3000));
    scene.to(1500);
    scene.order(command("end", Act::EndHold, 3000));
    scene.to(2500);
    assert!(!scene.coils[usize::from(HOLD)]);
    assert!(matches!(
        scene.receipts()[..],
        [("hold", Carried::Sent), ("close", Carried::Refused(_)), ("end", Carried::Sent)]
    ));
}

/// The fire contact speaks while the arm closes: the lane orders a stop and the hold in one breath.
#[test]
fn a_hold_and_an_opening_wait_behind_the_stop_of_a_closing_arm_and_nothing_else_does() {
    for (act, coil) in [(Act::HoldOpen, HOLD), (UP, OPEN)] {
        let mut scene = Scene::new(module());
        scene.order(command("close", Act::Close, 3000));
        scene.to(100);
        scene.order(command("stop", Act::Stop, 2100));
        scene.order(command("up", act.clone(), 2100));
        scene.order(command("more", act, 2100));
        scene.order(command("again", Act::Close, 2100));
        scene.to(1000);
        let ons: Vec<_> = scene
            .writes
            .iter()
            .filter_map(|(at, one)| match one {
                Request::WriteSingleCoil { address, on: true } => Some((*at, *address)),
                _ => None,
            })
            .collect();
        assert_eq!(ons, [(0, CLOSE), (100, STOP), (600, coil)], "when the pulse of the stop is over");
        let refused = |key: &str| scene.receipts().contains(&(key, &Carried::Sent));
        assert_eq!(["close", "stop", "up", "more", "again"].map(refused), [true, true, true, false, false]);
        assert_eq!(scene.receipts().len(), 5);
    }
}

#[test]
fn what_waits_behind_a_stop_is_told_of_when_its_time_runs_out_or_the_connection_does() {
    let mut scene = Scene::new(module());
    scene.order(command("stop", Act::Stop, 2000));
    scene.order(command("up", UP, 300));
    scene.to(1000);
    assert_eq!(scene.receipts(), [("stop", &Carried::Sent), ("up", &Carried::Expired)]);
    assert!(!scene.writes.iter().any(|(_, one)| *one == Request::WriteSingleCoil { address: OPEN, on: true }));

    scene.order(command("stop2", Act::Stop, 3000));
    scene.order(command("up2", UP, 3000));
    scene.machine.handle_lost("cable", ms(1000));
    scene.to(2000);
    assert!(matches!(scene.receipts()[2..], [("stop2", Carried::Failed(_)), ("up2", Carried::Failed(_))]));
}

#[test]
fn inputs_are_said_at_each_change_and_again_while_they_are_heard_and_dead_when_not() {
    let mut scene = Scene::new(module());
    assert_eq!(scene.said(Input::UnderArm), [None, Some(false)]);
    scene.to(1000);
    let said = scene.said(Input::UnderArm);
    assert!(said.len() >= 5 && said.iter().all(|on| *on == Some(false)), "{said:?}");
    scene.inputs[0] = true;
    scene.to(1100);
    assert_eq!(scene.said(Input::UnderArm), [Some(true)]);
    scene.machine.handle_lost("cable", ms(1150));
    scene.told.extend(std::iter::from_fn(|| scene.machine.poll_output()));
    assert_eq!(scene.said(Input::UnderArm), [None]);
}

#[test]
fn a_cut_wire_of_the_fire_linkage_is_fire() {
    let mut scene = Scene::new(module());
    assert_eq!(scene.said(Input::Fire), [None, Some(false)]);
    scene.inputs[2] = false;
    scene.to(200);
    assert_eq!(scene.said(Input::Fire).first(), Some(&Some(true)));
}

#[test]
fn a_stop_of_the_gateway_leaves_no_contact_on() {
    let mut scene = Scene::new(module());
    scene.order(command("k1", UP, 3000));
    scene.to(100);
    scene.machine.handle_stop(ms(100));
    scene.to(100);
    assert_eq!(scene.coils, [false; 8]);
    assert_eq!(scene.machine.poll_request(ms(10_000)), None);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever is ordered whenever, with lost answers and connections: never two contacts on at once, each command told of
    /// once, nothing switched on after its end or with something under the arm, and nothing left on.
    #[test]
    fn no_two_contacts_no_late_one_and_none_left_on(
        steps in prop::collection::vec((0_u8..8, 0_u64..700, any::<bool>()), 1..40),
    ) {
        let mut scene = Scene::new(module());
        let (mut ordered, mut ends) = (0, std::collections::BTreeMap::new());
        for (what, wait, flag) in steps {
            let act = match what {
                0 | 1 => Some(UP),
                2 | 3 => Some(Act::Close),
                4 => Some(Act::Stop),
                _ => None,
            };
            match act {
                Some(act) => {
                    ordered += 1;
                    let end = scene.now + if flag { 2000 } else { 20 };
                    let coil = match act { Act::Close => CLOSE, Act::Stop => STOP, _ => OPEN };
                    let known: &mut u64 = ends.entry(coil).or_default();
                    *known = end.max(*known);
                    scene.order(command(&format!("k{ordered}"), act, end));
                }
                None if what == 5 => scene.inputs[0] = flag,
                None if what == 6 => {
                    let request = scene.machine.poll_request(ms(scene.now)).filter(|_| flag);
                    if let Some(request) = request {
                        let _done = scene.reply(&request);
                    }
                    scene.machine.handle_lost("lost", ms(scene.now));
                    scene.machine.handle_connected(ms(scene.now));
                }
                None => {}
            }
            let (from, now) = (scene.writes.len(), scene.now);
            scene.to(now + wait);
            for (at, write) in &scene.writes[from..] {
                if let Request::WriteSingleCoil { address, on: true } = write {
                    prop_assert!(*at <= ends[address], "late");
                    prop_assert!(*address != CLOSE || !scene.inputs[0], "closed on something");
                }
            }
        }
        let end = scene.now + 10_000;
        scene.to(end);
        prop_assert_eq!(scene.coils, [false; 8]);
        prop_assert_eq!(scene.receipts().len(), ordered);
    }
}
