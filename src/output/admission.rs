//! Who may write what, now: the allow-list, the keys, one write at a time for each output. Pure.
//!
//! | the order | answer |
//! |---|---|
//! | its key is under way | the same result, when it is there |
//! | its key has a result | that result, nothing is done |
//! | its key was used for another order | refused |
//! | unknown output, value not in its list, empty or overlong issuer or key | refused |
//! | real, and the output is not in service | refused |
//! | loop test, and the output is not under commissioning (in service: unless asked `really`) | refused |
//! | its deadline has passed | expired |
//! | a write of the same output, or of one that excludes it, is under way or waits, and does not rank lower | refused |
//! | [`MAX_UNDER_WAY`] writes are under way | refused |
//! | such writes rank lower | they give way ([`Work::instead_of`]), and this one follows them |
//! | else | an [`Attempt`], due before its deadline |
//!
//! An order that energises an output holds it and all that exclude it; one that makes it idle holds the output alone.
//!
//! A refused or expired order keeps its key as well: the same message delivered twice must not be carried out the second
//! time, when the asker has long been told no.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use super::attempt::{Attempt, Excluded};
use super::settings::{Allowed, Output};
use super::{MAX_TEXT, Order};
use crate::domain::id::OutputId;
use crate::domain::output::{OutputWrite, WriteResult};
use crate::domain::record::Mode;
use crate::domain::registry::Commissioning;
use crate::domain::time::Mono;

/// Keys kept. At one order a second, which no gate asks for, these are 17 minutes.
pub const MAX_KEYS: usize = 1_024;
/// A key is kept at least this long: far longer than anybody sends the same order again.
pub const KEY_LIFE: Duration = Duration::from_secs(600);
/// Writes under way altogether: every siren, sign and barrier of a park at once; each is one small connection, or waits for
/// its turn on a bus.
pub const MAX_UNDER_WAY: usize = 64;

/// What is to be done with an order.
#[derive(Debug)]
pub enum Admission {
    /// Carry it out; [`Desk::finish`] takes its end.
    Run(Box<Work>),
    /// The same order is under way: its result is this one's as well.
    UnderWay,
    /// Nothing is done. `new` says whether this is a result of its own, to be recorded.
    Answer {
        /// The result.
        write: OutputWrite,
        /// Whether it is to be recorded.
        new: bool,
    },
}

/// A write to be carried out.
#[derive(Debug)]
pub struct Work {
    /// The output as it was when the order was admitted.
    pub output: Arc<Output>,
    /// What to do.
    pub attempt: Attempt,
    /// The record to come: everything but its end.
    pub write: OutputWrite,
    /// When the order was received.
    pub received: Mono,
    /// Keys of the orders that give way to this one; it begins when they have ended.
    pub instead_of: Vec<String>,
}

impl Work {
    /// Returns the record of its end.
    pub fn ended(&self, now: Mono) -> OutputWrite {
        let (result, seen, remark) = self.attempt.ending().unwrap_or((WriteResult::NotConfirmed, None, "interrupted"));
        OutputWrite {
            result,
            seen,
            detail: remark.to_owned(),
            elapsed_ms: millis(now.since(self.received)),
            ..self.write.clone()
        }
    }
}

/// See the module.
#[derive(Debug, Default)]
pub struct Desk {
    outputs: BTreeMap<String, Arc<Output>>,
    /// Orders under way, by key.
    under_way: BTreeMap<String, Held>,
    keys: BTreeMap<String, Known>,
    /// Keys by age, the oldest first.
    ages: VecDeque<(Mono, String)>,
}

/// What an order under way holds.
#[derive(Debug)]
struct Held {
    /// The one that is written.
    output: OutputId,
    /// It, and those that exclude it.
    outputs: BTreeSet<OutputId>,
    rank: u8,
}

#[derive(Debug)]
struct Known {
    output: String,
    value: String,
    issuer: String,
    /// `None` while it is under way.
    result: Option<OutputWrite>,
}

impl Desk {
    /// Takes a new allow-list. What is under way goes on: it was allowed when it began.
    pub fn allow(&mut self, outputs: &[Arc<Output>]) {
        self.outputs = outputs.iter().map(|output| (output.id.to_string(), Arc::clone(output))).collect();
    }

    /// Decides on an order.
    pub fn admit(&mut self, order: &Order, now: Mono) -> Admission {
        if let Some(known) = self.keys.get(&order.key) {
            return repeated(known, order, now);
        }
        if !is_fit(&order.issuer) || !is_fit(&order.key) {
            let why = format!("issuer and key are 1 to {MAX_TEXT} bytes without control characters");
            return refused(order, None, &why, now);
        }
        self.forget_old(now);
        if self.keys.len() >= MAX_KEYS {
            return refused(order, None, "too many orders lately; no key may be forgotten so early", now);
        }
        let admission = self.decide(order, now);
        let result = match &admission {
            Admission::Answer { write, .. } => Some(write.clone()),
            Admission::Run(_) | Admission::UnderWay => None,
        };
        let (output, value, issuer) = (order.output.clone(), order.value.clone(), order.issuer.clone());
        self.keys.insert(order.key.clone(), Known { output, value, issuer, result });
        self.ages.push_back((now, order.key.clone()));
        admission
    }

    /// Takes the end of a write.
    pub fn finish(&mut self, write: OutputWrite) {
        self.under_way.remove(&write.key);
        if let Some(known) = self.keys.get_mut(&write.key) {
            known.result = Some(write);
        }
    }

    fn decide(&mut self, order: &Order, now: Mono) -> Admission {
        let Some(output) = self.outputs.get(&order.output).cloned() else {
            return refused(order, None, "there is no such output", now);
        };
        let Some(value) = output.values.iter().find(|allowed| allowed.name == order.value).cloned() else {
            return refused(order, Some((&output, None)), "this value is not in the output's list", now);
        };
        let known = Some((&*output, Some(&value)));
        if let Some(why) = out_of_state(output.commissioning, order) {
            return refused(order, known, why, now);
        }
        let deadline = order.received + order.within.unwrap_or(output.deadline).min(output.deadline);
        if now >= deadline {
            let write = report(order, known, WriteResult::Expired, "the deadline had passed", now);
            return Admission::Answer { write, new: true };
        }
        let held = self.held(&output, &value);
        let met: Vec<(&String, &Held)> =
            self.under_way.iter().filter(|(_, other)| !other.outputs.is_disjoint(&held.outputs)).collect();
        let highest = met.iter().map(|(_, other)| *other).max_by_key(|other| other.rank);
        if let Some(other) = highest.filter(|other| other.rank >= held.rank) {
            let why = if other.output == output.id {
                "another write of this output is under way".to_owned()
            } else {
                format!("a write of `{}`, which excludes this output, is under way", other.output)
            };
            return refused(order, known, &why, now);
        }
        if self.under_way.len() >= MAX_UNDER_WAY {
            return refused(order, known, "too many writes are under way", now);
        }
        let instead_of = met.into_iter().map(|(key, _)| key.clone()).collect();
        let write = report(order, known, WriteResult::NotConfirmed, "", now);
        let attempt = Attempt::new(&output, value, deadline).excluding(self.excluded(&output, &held));
        self.under_way.insert(order.key.clone(), held);
        Admission::Run(Box::new(Work { output, attempt, write, received: order.received, instead_of }))
    }

    /// Returns what an order for this value holds: the output, and those that must not be energised with it.
    fn held(&self, output: &Output, value: &Allowed) -> Held {
        let others = output.excludes.iter().filter(|_| output.energises(value));
        let outputs = others.chain([&output.id]).cloned().collect();
        Held { output: output.id.clone(), outputs, rank: value.rank }
    }

    /// Returns the outputs to be idle first: all that are held but the one that is written.
    fn excluded(&self, output: &Output, held: &Held) -> Vec<Excluded> {
        let others = held.outputs.iter().filter(|id| **id != output.id);
        let others = others.filter_map(|id| self.outputs.get(id.as_str()));
        others.filter_map(|other| Some((Arc::clone(other), other.idle?))).collect()
    }

    fn forget_old(&mut self, now: Mono) {
        while let Some((at, key)) = self.ages.front() {
            let under_way = self.keys.get(key).is_some_and(|known| known.result.is_none());
            if now.since(*at) < KEY_LIFE || under_way {
                return;
            }
            self.keys.remove(key);
            self.ages.pop_front();
        }
    }
}

/// The key again: the same order gets the same result, another order none.
fn repeated(known: &Known, order: &Order, now: Mono) -> Admission {
    let same = known.output == order.output && known.value == order.value && known.issuer == order.issuer;
    match &known.result {
        _ if !same => refused(order, None, "this key was used for another order", now),
        Some(write) => Admission::Answer { write: write.clone(), new: false },
        None => Admission::UnderWay,
    }
}

fn is_fit(text: &str) -> bool {
    matches!(text.len(), 1..=MAX_TEXT) && !text.chars().any(char::is_control)
}

fn out_of_state(state: Commissioning, order: &Order) -> Option<&'static str> {
    match (order.mode, state) {
        (Mode::Real, Commissioning::InService) | (Mode::Commissioning, Commissioning::Commissioning) => None,
        (Mode::Commissioning, Commissioning::InService) if order.really => None,
        (Mode::Commissioning, Commissioning::InService) => {
            Some("the output is in service; a loop test moves the real thing: ask with --really")
        }
        (Mode::Real, Commissioning::Commissioning) => {
            Some("the output is under commissioning; it takes loop tests only")
        }
        (_, Commissioning::Planned) => Some("the output is only planned"),
        (_, Commissioning::Stopped) => Some("the output is stopped"),
        (_, Commissioning::Removed) => Some("the output is removed"),
        (Mode::Drill | Mode::Test, _) => Some("drills and tests move nothing"),
    }
}

/// The output and the value that an order means, as far as they are known.
type Meant<'a> = Option<(&'a Output, Option<&'a Allowed>)>;

fn refused(order: &Order, meant: Meant<'_>, why: &str, now: Mono) -> Admission {
    Admission::Answer { write: report(order, meant, WriteResult::Refused, why, now), new: true }
}

fn report(order: &Order, meant: Meant<'_>, result: WriteResult, detail: &str, now: Mono) -> OutputWrite {
    OutputWrite {
        output: clipped(&order.output),
        device: meant.map(|(output, _)| output.device.to_string()).unwrap_or_default(),
        value: clipped(&order.value),
        raw: meant.and_then(|(_, value)| value).map(|value| value.raw),
        seen: None,
        issuer: clipped(&order.issuer),
        key: clipped(&order.key),
        result,
        detail: detail.to_owned(),
        elapsed_ms: millis(now.since(order.received)),
        mode: order.mode,
    }
}

/// What is refused for its length is not recorded at that length.
fn clipped(text: &str) -> String {
    text.chars().take(MAX_TEXT).collect()
}

fn millis(elapsed: Duration) -> u32 {
    u32::try_from(elapsed.as_millis()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::super::settings::testing::output;
    use super::*;

    const T0: Mono = Mono::from_secs(1_000);

    fn desk() -> Desk {
        let mut desk = Desk::default();
        let state = |id: &str, state| Arc::new(Output { commissioning: state, ..output(id) });
        desk.allow(&[
            state("siren", Commissioning::InService),
            state("horn", Commissioning::InService),
            state("new", Commissioning::Commissioning),
            state("old", Commissioning::Stopped),
        ]);
        desk
    }

    fn order(key: &str, output: &str, value: &str) -> Order {
        Order {
            output: output.into(),
            value: value.into(),
            issuer: "duty".into(),
            key: key.into(),
            within: None,
            mode: Mode::Real,
            really: false,
            received: T0,
        }
    }

    fn why(admission: Admission) -> (WriteResult, String) {
        match admission {
            Admission::Answer { write, .. } => (write.result, write.detail),
            other @ (Admission::Run(_) | Admission::UnderWay) => panic!("{other:?}"),
        }
    }

    fn done(desk: &mut Desk, admission: Admission) -> OutputWrite {
        let Admission::Run(mut work) = admission else { panic!("{admission:?}") };
        work.attempt.took(super::super::attempt::Outcome::Echoed, T0);
        work.attempt.took(super::super::attempt::Outcome::Seen(1), T0);
        let write = work.ended(T0 + Duration::from_millis(20));
        desk.finish(write.clone());
        write
    }

    #[test]
    fn only_what_the_list_names_is_admitted() {
        let mut desk = desk();
        assert!(matches!(desk.admit(&order("1", "siren", "on"), T0), Admission::Run(_)));
        for (output, value, reason) in [
            ("bell", "on", "no such output"),
            ("horn", "louder", "not in the output's list"),
            ("new", "on", "under commissioning"),
            ("old", "on", "stopped"),
        ] {
            let (result, detail) = why(desk.admit(&order(output, output, value), T0));
            assert_eq!(result, WriteResult::Refused);
            assert!(detail.contains(reason), "{output} {value}: {detail}");
        }
        desk.allow(&[]);
        assert_eq!(
            why(desk.admit(&order("9", "horn", "on"), T0)).1,
            "there is no such output",
            "a reload takes it away"
        );
    }

    #[test]
    fn an_order_that_waited_too_long_never_fires() {
        let mut desk = desk();
        let late = T0 + Duration::from_secs(2);
        assert_eq!(why(desk.admit(&order("1", "siren", "on"), late)).0, WriteResult::Expired);
        let hasty = Order { within: Some(Duration::from_millis(100)), ..order("2", "siren", "on") };
        assert_eq!(why(desk.admit(&hasty, T0 + Duration::from_millis(100))).0, WriteResult::Expired);
        let lazy = Order { within: Some(Duration::from_secs(3_600)), ..order("3", "siren", "on") };
        assert_eq!(why(desk.admit(&lazy, late)).0, WriteResult::Expired, "an asker cannot stretch the deadline");
    }

    #[test]
    fn the_same_key_twice_is_the_first_result_and_is_never_carried_out_again() {
        let mut desk = desk();
        let first = desk.admit(&order("k", "siren", "on"), T0);
        assert!(matches!(desk.admit(&order("k", "siren", "on"), T0), Admission::UnderWay));
        let write = done(&mut desk, first);
        let again = desk.admit(&order("k", "siren", "on"), T0 + Duration::from_secs(60));
        assert!(matches!(again, Admission::Answer { write: w, new: false } if w == write));
        assert!(why(desk.admit(&order("k", "siren", "off"), T0)).1.contains("another order"));
        let (result, _) = why(desk.admit(&order("x", "old", "on"), T0));
        assert_eq!(
            (result, why(desk.admit(&order("x", "old", "on"), T0)).0),
            (WriteResult::Refused, WriteResult::Refused)
        );
    }

    #[test]
    fn one_write_at_a_time_for_each_output_and_others_are_not_held_up() {
        let mut desk = desk();
        let first = desk.admit(&order("1", "siren", "on"), T0);
        assert!(why(desk.admit(&order("2", "siren", "off"), T0)).1.contains("under way"));
        assert!(matches!(desk.admit(&order("3", "horn", "on"), T0), Admission::Run(_)));
        done(&mut desk, first);
        assert!(matches!(desk.admit(&order("4", "siren", "off"), T0), Admission::Run(_)));
        assert!(
            matches!(desk.admit(&order("2", "siren", "off"), T0), Admission::Answer { new: false, .. }),
            "refused stays"
        );
    }

    /// A barrier: coils to open and to close, and `stop` on a register of its own; opening outranks, of equals the first.
    fn barrier() -> Desk {
        let mut desk = Desk::default();
        let coil = |id: &str, other: &str, rank| {
            let mut coil = Output { excludes: vec![OutputId::new(other)], ..output(id) };
            coil.values[0].rank = rank;
            Arc::new(coil)
        };
        desk.allow(&[coil("open", "close", 2), coil("close", "open", 1)]);
        desk
    }

    fn work(admission: Admission) -> Box<Work> {
        match admission {
            Admission::Run(work) => work,
            other @ (Admission::Answer { .. } | Admission::UnderWay) => panic!("{other:?}"),
        }
    }

    #[test]
    fn an_order_that_outranks_pre_empts_and_any_other_is_refused() {
        let mut desk = barrier();
        let close = work(desk.admit(&order("1", "close", "on"), T0));
        assert!(close.instead_of.is_empty());
        assert!(why(desk.admit(&order("2", "close", "on"), T0)).1.contains("another write of this output"));
        let open = work(desk.admit(&order("3", "open", "on"), T0));
        assert_eq!(open.instead_of, ["1"]);
        assert!(
            why(desk.admit(&order("4", "close", "on"), T0)).1.contains("`open`, which excludes this output"),
            "open goes on"
        );
        desk.finish(close.ended(T0));
        assert!(why(desk.admit(&order("5", "close", "off"), T0)).1.contains("`open`, which excludes"), "held by open");
        desk.finish(open.ended(T0));
        assert!(
            work(desk.admit(&order("6", "close", "on"), T0)).instead_of.is_empty(),
            "what has ended is no obstacle"
        );
    }

    #[test]
    fn what_is_energised_is_so_only_after_the_outputs_that_exclude_it_are_looked_at() {
        let mut desk = barrier();
        let open = work(desk.admit(&order("1", "open", "on"), T0));
        assert_eq!(open.attempt.excluded().map(|(output, _)| output.id.as_str()), Some("close"));
        desk.finish(open.ended(T0));
        let off = work(desk.admit(&order("2", "open", "off"), T0));
        assert!(off.attempt.excluded().is_none(), "to be idle hurts nobody");
    }

    #[test]
    fn whatever_is_ordered_two_that_exclude_one_another_are_never_both_under_way() {
        let mut rng = fastrand::Rng::with_seed(7);
        let mut desk = barrier();
        let mut running: Vec<Box<Work>> = Vec::new();
        for key in 0..600 {
            let id = *rng.choice(&["open", "close"]).unwrap();
            match desk.admit(&order(&format!("k{key}"), id, rng.choice(&["on", "off"]).unwrap()), T0) {
                Admission::Run(work) => {
                    // Those that give way end before it begins.
                    let (over, go_on) = running.into_iter().partition(|w| work.instead_of.contains(&w.write.key));
                    running = go_on;
                    let over: Vec<Box<Work>> = over;
                    over.iter().for_each(|work| desk.finish(work.ended(T0)));
                    running.push(work);
                }
                Admission::Answer { write, .. } => assert_eq!(write.result, WriteResult::Refused),
                Admission::UnderWay => panic!("keys differ"),
            }
            let energising = running.iter().filter(|work| work.write.value == "on").count();
            assert!(energising <= 1, "{running:?}");
            if rng.bool() && !running.is_empty() {
                let work = running.swap_remove(rng.usize(..running.len()));
                desk.finish(work.ended(T0));
            }
        }
    }

    #[test]
    fn a_loop_test_is_for_outputs_under_commissioning_or_for_those_who_say_really() {
        let mut desk = desk();
        let test =
            |key: &str, output: &str, really| Order { mode: Mode::Commissioning, really, ..order(key, output, "on") };
        assert!(matches!(desk.admit(&test("1", "new", false), T0), Admission::Run(_)));
        assert!(why(desk.admit(&test("2", "siren", false), T0)).1.contains("--really"));
        assert!(matches!(desk.admit(&test("3", "siren", true), T0), Admission::Run(_)));
        assert_eq!(why(desk.admit(&test("4", "old", true), T0)).0, WriteResult::Refused);
    }

    #[test]
    fn keys_are_bounded_and_none_is_forgotten_early() {
        let mut desk = desk();
        for i in 0..MAX_KEYS {
            drop(desk.admit(&order(&format!("k{i}"), "old", "on"), T0));
        }
        let soon = Order { received: T0 + Duration::from_secs(599), ..order("more", "siren", "on") };
        assert!(why(desk.admit(&soon, soon.received)).1.contains("too many orders"));
        let later = Order { received: T0 + KEY_LIFE, ..order("more", "siren", "on") };
        assert!(matches!(desk.admit(&later, later.received), Admission::Run(_)));
        assert_eq!((desk.keys.len(), desk.ages.len()), (1, 1));
    }

    #[test]
    fn issuer_and_key_must_be_there_and_of_bounded_length() {
        for text in [String::new(), "x".repeat(MAX_TEXT + 1), "a\nb".into()] {
            let (result, _) = why(desk().admit(&Order { issuer: text.clone(), ..order("1", "siren", "on") }, T0));
            assert_eq!(result, WriteResult::Refused);
            let (result, _) = why(desk().admit(&Order { key: text, ..order("1", "siren", "on") }, T0));
            assert_eq!(result, WriteResult::Refused);
        }
    }
}
