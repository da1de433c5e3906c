//! One write as a state machine: what to do next, and what the outcome means. Pure; the task carries the steps out.
//!
//! ```text
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
//! The end of a pulse that the gateway makes is another matter: it takes power away, which is always safe to repeat, and
//! is tried [`MAX_RESTS`] times. If it is not confirmed, neither is the write, and the record says that the output may
//! still be on.

use std::time::Duration;

use super::settings::{Allowed, Output, Pulse};
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

/// See the module.
#[derive(Clone, Debug)]
pub struct Attempt {
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
    Unsent,
    Looking { until: Mono },
    BetweenLooks { until: Mono, at: Mono },
    Pulsing { rest_at: Mono },
    RestUnsent { tries: u32 },
    RestLooking { until: Mono, tries: u32 },
    RestBetween { until: Mono, at: Mono, tries: u32 },
    Ended,
}

impl Attempt {
    /// Returns the attempt to write `value`, to be sent before `deadline`.
    pub fn new(output: &Output, value: Allowed, deadline: Mono) -> Self {
        Self {
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

    /// Returns what to do next.
    pub fn step(&self, now: Mono) -> Step {
        match self.state {
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

    fn wrote(&mut self, outcome: Outcome, now: Mono) {
        self.writes += 1;
        match outcome {
            Outcome::TooLate if self.writes == 1 => self.end(WriteResult::Expired, "the deadline had passed"),
            Outcome::NotReached(why) if self.writes == 1 => self.end(WriteResult::Failed, &why),
            Outcome::Exception(code) => {
                self.end(WriteResult::Failed, &format!("the device refuses the write (exception {code:02X})"));
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
