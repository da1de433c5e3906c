//! One write as a state machine: what to do next, and what the outcome means. Pure; the task carries the steps out.
//!
//! ```text
//!  each excluded output seen idle, or made so ──▶
//!  Unsent ──Write──▶ sent ──echo or no answer──▶ Look ──expected──▶ (pulse) Rest ──▶ Write rest ──▶ Look ──▶ End
//!    │ deadline past: expired     │ exception: failed    │ else again after LOOK_EVERY, until confirm_within: not confirmed
//! ```
//!
//! | outcome of the write | then |
//! |---|---|
//! | not reached: no connection before anything was sent | failed |
//! | exception | failed |
//! | echo of the request | the feedback decides |
//! | no answer, garbage, connection lost after sending | written again only if harmless, before the deadline, at most [`MAX_WRITES`] times; else the feedback decides, and the record says that the write was not answered |
//!
//! **Excluded outputs.** Before an output is energised, each output that excludes it is looked at. One that is not idle is
//! taken back, and seen to be; where it cannot be, nothing is written.
//!
//! **Giving way** to an order of higher rank ([`Attempt::give_way`]): what was not sent is not sent any more; what was sent
//! counts as not confirmed; a pulse of the gateway is ended at once, and seen to be, before the other order begins.
//!
//! The end of a pulse that the gateway makes is another matter: it takes power away, which is always safe to repeat, and
//! is tried [`MAX_RESTS`] times. If it is not confirmed, neither is the write, and the record says that the output may
//! still be on.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use super::settings::{Allowed, Idle, Output, Pulse};
use crate::domain::output::WriteResult;
use crate::domain::time::Mono;

/// Pause between two looks at the feedback.
pub const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Writes of one order, where repeating is harmless.
pub const MAX_WRITES: u32 = 3;
/// Writes of the rest value at the end of a pulse.
pub const MAX_RESTS: u32 = 5;

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Connect and write, provided that it is sent before this time.
    Write {
        /// What.
        raw: u16,
        /// Not after this.
        before: Mono,
    },
    /// Read the feedback.
    Look,
    /// Write this to the first of the excluded outputs ([`Attempt::excluded`]), provided that it is sent before this time.
    TakeBack {
        /// What.
        raw: u16,
        /// Not after this.
        before: Mono,
    },
    /// Read how the first of the excluded outputs stands.
    LookAtExcluded,
    /// Wait until then.
    Wait(Mono),
    /// Nothing more.
    End,
}

/// What became of a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing was sent, because the time was up.
    TooLate,
    /// Nothing was sent, because there was no connection.
    NotReached(String),
    /// The device repeated the request, as it should.
    Echoed,
    /// The device said no.
    Exception(u8),
    /// Sent, and no answer that could be trusted.
    Unanswered(String),
    /// The feedback.
    Seen(u16),
    /// The feedback could not be read.
    Unseen(String),
    /// The time has come.
    Waited,
}

/// An output that must be idle before this one is energised.
pub type Excluded = (Arc<Output>, Idle);

/// See the module.
#[derive(Clone, Debug)]
pub struct Attempt {
    excluded: VecDeque<Excluded>,
    deadline: Mono,
    confirm_within: Duration,
    pulse: Pulse,
    repeat_harmless: bool,
    value: Allowed,
    state: State,
    writes: u32,
    seen: Option<u16>,
    /// What was not as it should, for the record.
    remark: String,
    ended: Option<WriteResult>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The first of the excluded outputs, as [`Excluding`] says.
    Excluding(Excluding),
    Unsent,
    Looking {
        until: Mono,
    },
    BetweenLooks {
        until: Mono,
        at: Mono,
    },
    Pulsing {
        rest_at: Mono,
    },
    RestUnsent {
        tries: u32,
    },
    RestLooking {
        until: Mono,
        tries: u32,
    },
    RestBetween {
        until: Mono,
        at: Mono,
        tries: u32,
    },
    Ended,
}

/// What is known of an excluded output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Excluding {
    Unknown,
    Energised,
    TakenBack { until: Mono },
    BetweenLooks { until: Mono, at: Mono },
}

impl Attempt {
    /// Returns the attempt to write `value`, to be sent before `deadline`.
    pub fn new(output: &Output, value: Allowed, deadline: Mono) -> Self {
        Self {
            excluded: VecDeque::new(),
            deadline,
            confirm_within: output.confirm_within,
            pulse: output.pulse,
            repeat_harmless: output.repeat_harmless && output.pulse == Pulse::None,
            value,
            state: State::Unsent,
            writes: 0,
            seen: None,
            remark: String::new(),
            ended: None,
        }
    }

    /// Returns it so that these outputs are idle before.
    #[must_use]
    pub fn excluding(self, excluded: Vec<Excluded>) -> Self {
        let state = if excluded.is_empty() { self.state } else { State::Excluding(Excluding::Unknown) };
        Self { excluded: excluded.into(), state, ..self }
    }

    /// Returns the excluded output that is dealt with.
    pub fn excluded(&self) -> Option<&Excluded> {
        self.excluded.front()
    }

    /// Returns what to do next.
    pub fn step(&self, now: Mono) -> Step {
        match self.state {
            State::Excluding(Excluding::Unknown | Excluding::TakenBack { .. }) => Step::LookAtExcluded,
            State::Excluding(Excluding::Energised) => match self.excluded().and_then(|(_, idle)| idle.raw) {
                Some(raw) => Step::TakeBack { raw, before: self.deadline },
                None => Step::LookAtExcluded,
            },
            State::Excluding(Excluding::BetweenLooks { at, .. }) => Step::Wait(at),
            State::Unsent => Step::Write { raw: self.value.raw, before: self.deadline },
            State::Looking { .. } | State::RestLooking { .. } => Step::Look,
            State::BetweenLooks { at, .. } | State::RestBetween { at, .. } => Step::Wait(at),
            State::Pulsing { rest_at } => Step::Wait(rest_at),
            // The end of a pulse is never too late.
            State::RestUnsent { .. } => Step::Write { raw: self.rest().0, before: now + Duration::from_secs(60) },
            State::Ended => Step::End,
        }
    }

    /// Takes what became of the step.
    pub fn took(&mut self, outcome: Outcome, now: Mono) {
        match self.state {
            State::Excluding(stage) => self.excluding_took(stage, &outcome, now),
            State::Unsent => self.wrote(outcome, now),
            State::Looking { until } => self.looked(outcome, until, now),
            State::BetweenLooks { until, .. } => self.state = State::Looking { until },
            State::Pulsing { .. } => self.state = State::RestUnsent { tries: 1 },
            State::RestUnsent { tries } => self.rested(outcome, tries, now),
            State::RestLooking { until, tries } => self.looked_at_rest(&outcome, until, tries, now),
            State::RestBetween { until, tries, .. } => self.state = State::RestLooking { until, tries },
            State::Ended => {}
        }
    }

    /// Returns how it ended, what the feedback showed last, and what was not as it should.
    pub fn ending(&self) -> Option<(WriteResult, Option<u16>, &str)> {
        self.ended.map(|result| (result, self.seen, self.remark.as_str()))
    }

    /// Another order goes before this one, for this reason. Returns whether the step under way is to be given up; else it
    /// goes on to its end, and the attempt with it: power is taken away first.
    pub fn give_way(&mut self, why: &str) -> bool {
        let pulses = matches!(self.pulse, Pulse::Gateway { .. });
        match self.state {
            State::Excluding(_) => self.end(WriteResult::Refused, why),
            State::Unsent if pulses => {
                self.ended = Some(WriteResult::NotConfirmed);
                self.add_remark(why);
                return false;
            }
            State::Looking { .. } | State::BetweenLooks { .. } | State::Pulsing { .. } if pulses => {
                self.ended = Some(WriteResult::NotConfirmed);
                self.add_remark(why);
                self.state = State::RestUnsent { tries: 1 };
            }
            State::Unsent | State::Looking { .. } | State::BetweenLooks { .. } | State::Pulsing { .. } => {
                self.end(WriteResult::NotConfirmed, why);
            }
            State::RestUnsent { .. } | State::RestLooking { .. } | State::RestBetween { .. } | State::Ended => {
                return false;
            }
        }
        true
    }

    /// The order is withdrawn before anything was done for it.
    pub fn withdraw(&mut self, why: &str) {
        self.end(WriteResult::Refused, why);
    }

    fn excluding_took(&mut self, stage: Excluding, outcome: &Outcome, now: Mono) {
        let Some((output, idle)) = self.excluded.front() else { return self.state = State::Unsent };
        let (id, can_write, confirm_within) = (output.id.clone(), idle.raw.is_some(), output.confirm_within);
        if *outcome == Outcome::Seen(idle.seen) {
            self.excluded.pop_front();
            self.state = if self.excluded.is_empty() { State::Unsent } else { State::Excluding(Excluding::Unknown) };
            return;
        }
        let next = match stage {
            Excluding::Unknown if can_write => Excluding::Energised,
            Excluding::Energised if *outcome == Outcome::TooLate => {
                return self.end(WriteResult::Expired, "the deadline had passed");
            }
            Excluding::Unknown => Excluding::TakenBack { until: now + confirm_within },
            Excluding::Energised => {
                self.add_remark(&format!("`{id}` was taken back first"));
                Excluding::TakenBack { until: now + confirm_within }
            }
            Excluding::BetweenLooks { until, .. } => Excluding::TakenBack { until },
            Excluding::TakenBack { until } if now + LOOK_EVERY <= until => {
                Excluding::BetweenLooks { until, at: now + LOOK_EVERY }
            }
            Excluding::TakenBack { .. } => {
                let why = format!("`{id}`, which excludes this output, is not seen to be idle");
                return self.end(WriteResult::Failed, &why);
            }
        };
        self.state = State::Excluding(next);
    }

    fn wrote(&mut self, outcome: Outcome, now: Mono) {
        self.writes += 1;
        if self.ended.is_some() && matches!(outcome, Outcome::Echoed | Outcome::Unanswered(_)) {
            // It gave way while it was written: what may be on is taken back.
            self.state = State::RestUnsent { tries: 1 };
            return;
        }
        match outcome {
            Outcome::TooLate if self.writes == 1 => self.end_unsent(WriteResult::Expired, "the deadline had passed"),
            Outcome::NotReached(why) if self.writes == 1 => self.end_unsent(WriteResult::Failed, &why),
            Outcome::Exception(code) => {
                self.end_unsent(WriteResult::Failed, &format!("the device refuses the write (exception {code:02X})"));
            }
            Outcome::Unanswered(why) => {
                self.remark = format!("the write was not answered: {why}");
                let again = self.repeat_harmless && self.writes < MAX_WRITES && now < self.deadline;
                if !again {
                    self.look(now);
                }
            }
            // A repeated write that did not leave any more: the first one may have arrived.
            Outcome::TooLate | Outcome::NotReached(_) => self.look(now),
            Outcome::Echoed => self.look(now),
            Outcome::Seen(_) | Outcome::Unseen(_) | Outcome::Waited => {}
        }
    }

    fn look(&mut self, now: Mono) {
        self.state = State::Looking { until: now + self.confirm_within };
    }

    fn looked(&mut self, outcome: Outcome, until: Mono, now: Mono) {
        match outcome {
            Outcome::Seen(seen) => {
                self.seen = Some(seen);
                if seen == self.value.seen {
                    return self.confirmed(now);
                }
                self.look_again(until, now, &format!("the feedback shows {seen}, not {}", self.value.seen));
            }
            Outcome::Unseen(why) => self.look_again(until, now, &format!("the feedback cannot be read: {why}")),
            Outcome::TooLate
            | Outcome::NotReached(_)
            | Outcome::Echoed
            | Outcome::Exception(_)
            | Outcome::Unanswered(_)
            | Outcome::Waited => {}
        }
    }

    fn look_again(&mut self, until: Mono, now: Mono, why: &str) {
        let at = now + LOOK_EVERY;
        if at <= until {
            self.state = State::BetweenLooks { until, at };
            return;
        }
        self.add_remark(why);
        match self.pulse {
            // Not seen to be on; power is taken away all the same.
            Pulse::Gateway { .. } => {
                self.ended = Some(WriteResult::NotConfirmed);
                self.state = State::Pulsing { rest_at: now };
            }
            Pulse::None | Pulse::Device => self.end(WriteResult::NotConfirmed, ""),
        }
    }

    fn confirmed(&mut self, now: Mono) {
        match self.pulse {
            Pulse::Gateway { length, .. } => self.state = State::Pulsing { rest_at: now + length },
            Pulse::None | Pulse::Device => self.end(WriteResult::Done, ""),
        }
    }

    fn rested(&mut self, outcome: Outcome, tries: u32, now: Mono) {
        match outcome {
            Outcome::Echoed => self.state = State::RestLooking { until: now + self.confirm_within, tries },
            Outcome::Seen(_) | Outcome::Unseen(_) | Outcome::Waited => {}
            Outcome::TooLate | Outcome::NotReached(_) | Outcome::Exception(_) | Outcome::Unanswered(_) => {
                self.rest_again(tries);
            }
        }
    }

    fn looked_at_rest(&mut self, outcome: &Outcome, until: Mono, tries: u32, now: Mono) {
        let (_, expected) = self.rest();
        let at = now + LOOK_EVERY;
        // `self.seen` stays what the pulse itself showed: that is what was asked for.
        if *outcome == Outcome::Seen(expected) {
            self.end(WriteResult::Done, "");
        } else if at <= until {
            self.state = State::RestBetween { until, at, tries };
        } else {
            self.rest_again(tries);
        }
    }

    fn rest_again(&mut self, tries: u32) {
        if tries < MAX_RESTS {
            self.state = State::RestUnsent { tries: tries + 1 };
            return;
        }
        self.add_remark("the end of the pulse is not confirmed: the output may still be on");
        self.ended = Some(WriteResult::NotConfirmed);
        self.state = State::Ended;
    }

    /// What the gateway writes at the end of a pulse, and what the feedback then shows.
    fn rest(&self) -> (u16, u16) {
        match self.pulse {
            Pulse::Gateway { rest, seen, .. } => (rest, seen),
            Pulse::None | Pulse::Device => (0, 0),
        }
    }

    /// Nothing happened, also where it was given up meanwhile.
    fn end_unsent(&mut self, result: WriteResult, why: &str) {
        self.ended = None;
        self.end(result, why);
    }

    /// A result that stands already (a pulse not seen to be on) is not made better by what follows.
    fn end(&mut self, result: WriteResult, why: &str) {
        self.add_remark(why);
        self.ended = self.ended.or(Some(result));
        self.state = State::Ended;
    }

    fn add_remark(&mut self, why: &str) {
        if !self.remark.is_empty() && !why.is_empty() {
            self.remark.push_str("; ");
        }
        self.remark.push_str(why);
    }
}

#[cfg(test)]
mod tests {
    use super::super::settings::testing::output;
    use super::*;

    const T0: Mono = Mono::from_secs(100);

    fn after(ms: u64) -> Mono {
        T0 + Duration::from_millis(ms)
    }

    fn attempt(adjust: impl FnOnce(&mut Output)) -> Attempt {
        let mut output = output("siren");
        adjust(&mut output);
        let value = output.values[0].clone();
        Attempt::new(&output, value, after(2_000))
    }

    fn result(attempt: &Attempt) -> WriteResult {
        attempt.ending().unwrap().0
    }

    fn silent() -> Outcome {
        Outcome::Unanswered("no answer within 1s".into())
    }

    #[test]
    fn done_means_that_the_feedback_showed_it() {
        let mut attempt = attempt(|_| {});
        assert_eq!(attempt.step(T0), Step::Write { raw: 1, before: after(2_000) });
        attempt.took(Outcome::Echoed, after(5));
        assert_eq!((attempt.step(after(5)), attempt.ending()), (Step::Look, None));
        attempt.took(Outcome::Seen(1), after(10));
        assert_eq!(attempt.ending(), Some((WriteResult::Done, Some(1), "")));
    }

    #[test]
    fn a_feedback_that_is_stale_after_the_write_is_looked_at_again_until_the_time_is_up() {
        let mut attempt = attempt(|o| o.confirm_within = Duration::from_millis(100));
        attempt.took(Outcome::Echoed, T0);
        attempt.took(Outcome::Seen(0), after(10));
        assert_eq!(attempt.step(after(10)), Step::Wait(after(60)));
        attempt.took(Outcome::Waited, after(60));
        let mut late = attempt.clone();
        attempt.took(Outcome::Seen(1), after(62));
        assert_eq!(result(&attempt), WriteResult::Done);
        late.took(Outcome::Seen(0), after(62));
        assert_eq!(late.ending(), Some((WriteResult::NotConfirmed, Some(0), "the feedback shows 0, not 1")));
    }

    #[test]
    fn nothing_is_written_again_after_an_uncertain_outcome() {
        let mut attempt = attempt(|_| {});
        attempt.took(silent(), after(500));
        assert_eq!(attempt.step(after(500)), Step::Look, "looked at, not written again");
        attempt.took(Outcome::Seen(1), after(510));
        let (result, _, remark) = attempt.ending().unwrap();
        assert_eq!((result, remark), (WriteResult::Done, "the write was not answered: no answer within 1s"));
    }

    #[test]
    fn only_what_is_harmless_is_repeated_and_only_before_the_deadline_and_never_a_pulse() {
        let mut harmless = attempt(|o| o.repeat_harmless = true);
        harmless.took(silent(), after(500));
        assert!(matches!(harmless.step(after(500)), Step::Write { .. }));
        harmless.took(silent(), after(2_000));
        assert_eq!(harmless.step(after(2_000)), Step::Look, "the deadline has passed");
        let mut pulse = attempt(|o| (o.repeat_harmless, o.pulse) = (true, Pulse::Device));
        pulse.took(silent(), after(500));
        assert_eq!(pulse.step(after(500)), Step::Look);
    }

    #[test]
    fn what_was_not_sent_is_failed_or_expired_and_never_uncertain() {
        for (outcome, expected) in [
            (Outcome::TooLate, WriteResult::Expired),
            (Outcome::NotReached("connection refused".into()), WriteResult::Failed),
            (Outcome::Exception(2), WriteResult::Failed),
        ] {
            let mut attempt = attempt(|_| {});
            attempt.took(outcome, after(5));
            assert_eq!((attempt.step(after(5)), result(&attempt)), (Step::End, expected));
        }
    }

    #[test]
    fn a_pulse_of_the_gateway_ends_with_the_rest_value_and_is_done_only_then() {
        let pulse = Pulse::Gateway { length: Duration::from_millis(500), rest: 0, seen: 0 };
        let mut attempt = attempt(|o| o.pulse = pulse);
        attempt.took(Outcome::Echoed, T0);
        attempt.took(Outcome::Seen(1), after(10));
        assert_eq!((attempt.step(after(10)), attempt.ending()), (Step::Wait(after(510)), None));
        attempt.took(Outcome::Waited, after(510));
        assert!(matches!(attempt.step(after(510)), Step::Write { raw: 0, .. }));
        let mut broken = attempt.clone();
        attempt.took(Outcome::Echoed, after(515));
        attempt.took(Outcome::Seen(0), after(520));
        assert_eq!(attempt.ending(), Some((WriteResult::Done, Some(1), "")));
        for _ in 0..MAX_RESTS {
            assert!(matches!(broken.step(after(600)), Step::Write { raw: 0, .. }));
            broken.took(silent(), after(600));
        }
        let (result, _, remark) = broken.ending().unwrap();
        assert_eq!(result, WriteResult::NotConfirmed);
        assert!(remark.contains("may still be on"), "{remark}");
    }

    fn excluding(idle_raw: Option<u16>) -> Attempt {
        let mut other = output("close");
        other.confirm_within = Duration::from_millis(100);
        let idle = Idle { raw: idle_raw, ..other.idle.unwrap() };
        attempt(|_| {}).excluding(vec![(Arc::new(other), idle)])
    }

    #[test]
    fn an_output_is_not_energised_before_the_one_that_excludes_it_is_seen_idle() {
        let mut idle = excluding(Some(0));
        assert_eq!(idle.step(T0), Step::LookAtExcluded);
        idle.took(Outcome::Seen(0), after(5));
        assert!(matches!(idle.step(after(5)), Step::Write { raw: 1, .. }));
        let mut on = excluding(Some(0));
        on.took(Outcome::Seen(1), after(5));
        assert_eq!(on.step(after(5)), Step::TakeBack { raw: 0, before: after(2_000) });
        on.took(Outcome::Echoed, after(10));
        assert_eq!(on.step(after(10)), Step::LookAtExcluded);
        let mut stuck = on.clone();
        on.took(Outcome::Seen(0), after(15));
        assert!(matches!(on.step(after(15)), Step::Write { raw: 1, .. }));
        for ms in [15, 65, 115] {
            stuck.took(Outcome::Seen(1), after(ms));
            stuck.took(Outcome::Waited, after(ms + 50));
        }
        let (result, _, remark) = stuck.ending().unwrap();
        assert_eq!((stuck.step(after(200)), result), (Step::End, WriteResult::Failed));
        assert_eq!(remark, "`close` was taken back first; `close`, which excludes this output, is not seen to be idle");
    }

    #[test]
    fn one_that_ends_its_pulse_itself_is_waited_for_and_one_that_cannot_be_read_is_written_and_read_again() {
        let mut pulse = excluding(None);
        pulse.took(Outcome::Seen(1), after(5));
        assert_eq!(pulse.step(after(5)), Step::LookAtExcluded);
        pulse.took(Outcome::Seen(0), after(60));
        assert!(matches!(pulse.step(after(60)), Step::Write { raw: 1, .. }));
        let mut unread = excluding(Some(0));
        unread.took(Outcome::Unseen("no answer".into()), after(5));
        assert!(matches!(unread.step(after(5)), Step::TakeBack { .. }));
        unread.took(Outcome::TooLate, after(2_000));
        assert_eq!(result(&unread), WriteResult::Expired);
    }

    #[test]
    fn an_order_that_gives_way_is_not_sent_any_more_or_not_confirmed() {
        let mut unsent = excluding(Some(0));
        assert!(unsent.give_way("to `open`"), "its step is given up");
        assert_eq!(unsent.ending(), Some((WriteResult::Refused, None, "to `open`")));
        let mut written = attempt(|_| {});
        assert!(written.give_way("to `open`"));
        assert_eq!(result(&written), WriteResult::NotConfirmed, "it may have left");
        let mut looking = attempt(|_| {});
        looking.took(Outcome::Echoed, T0);
        assert!(looking.give_way("to `open`"));
        assert_eq!((looking.step(T0), result(&looking)), (Step::End, WriteResult::NotConfirmed));
    }

    #[test]
    fn a_pulse_of_the_gateway_that_gives_way_is_ended_at_once_and_seen_to_be() {
        let pulse = Pulse::Gateway { length: Duration::from_millis(500), rest: 0, seen: 0 };
        let started = || {
            let mut attempt = attempt(|o| o.pulse = pulse);
            attempt.took(Outcome::Echoed, T0);
            attempt
        };
        let mut on = started();
        on.took(Outcome::Seen(1), after(10));
        for mut attempt in [started(), on] {
            assert!(attempt.give_way("to `open`"));
            assert!(matches!(attempt.step(after(20)), Step::Write { raw: 0, .. }), "long before its 500 ms");
            attempt.took(Outcome::Echoed, after(25));
            assert!(!attempt.give_way("to `open`"), "it is being ended");
            attempt.took(Outcome::Seen(0), after(30));
            assert_eq!((attempt.step(after(30)), result(&attempt)), (Step::End, WriteResult::NotConfirmed));
        }
        let mut in_flight = attempt(|o| o.pulse = pulse);
        assert!(!in_flight.give_way("to `open`"), "what may be on must be taken back: its answer is awaited");
        let mut never = in_flight.clone();
        in_flight.took(silent(), after(300));
        assert!(matches!(in_flight.step(after(300)), Step::Write { raw: 0, .. }));
        never.took(Outcome::NotReached("no connection".into()), after(300));
        assert_eq!((never.step(after(300)), result(&never)), (Step::End, WriteResult::Failed));
    }

    #[test]
    fn a_pulse_that_was_not_seen_is_ended_all_the_same_and_stays_unconfirmed() {
        let pulse = Pulse::Gateway { length: Duration::from_millis(500), rest: 0, seen: 0 };
        let mut attempt = attempt(|o| (o.pulse, o.confirm_within) = (pulse, Duration::ZERO));
        attempt.took(silent(), after(500));
        attempt.took(Outcome::Unseen("no connection".into()), after(510));
        attempt.took(Outcome::Waited, after(510));
        attempt.took(Outcome::Echoed, after(520));
        attempt.took(Outcome::Seen(0), after(530));
        assert_eq!((attempt.step(after(530)), result(&attempt)), (Step::End, WriteResult::NotConfirmed));
    }
}
