//! What the inputs of a lane say, how old that is, and what may be concluded: where the arm stands, and whether something is
//! or may be under it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::spec::{FIRE_SILENCE, FRESH, GUARDS, LaneSpec, Position, SILENCE};
use crate::domain::gate::hardware::{ArmState, Input};
use crate::domain::time::Mono;

/// One input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Line {
    /// What it says; `None`: dead.
    pub(super) on: Option<bool>,
    /// When it was last heard to say so.
    pub(super) at: Mono,
    /// Since when it has said so without a break that could hide something else.
    pub(super) since: Mono,
}

/// What an input did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Edge {
    /// It came on.
    Rose,
    /// It went off.
    Fell,
}

/// All of them.
#[derive(Clone, Debug, Default)]
pub(super) struct Inputs {
    lines: BTreeMap<Input, Line>,
    status: Option<(ArmState, Mono)>,
    /// Guards that did not see a vehicle which crossed; each until it was seen to work again.
    suspect: BTreeSet<Input>,
    /// Inputs that have said something in this run: a module says first that all of them are dead.
    live: BTreeSet<Input>,
    /// When this run began: what was never heard is dead from then on.
    start: Mono,
}

/// Where the arm stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArmAt {
    /// Not known.
    Unknown,
    /// Down.
    Down,
    /// Neither up nor down.
    Between,
    /// Up.
    Up,
}

impl Inputs {
    pub(super) fn new(start: Mono) -> Self {
        Self { start, ..Self::default() }
    }

    /// Takes what an input says; returns its edge. What comes on after having been dead rose; what was on and is dead
    /// did not fall. What stood behind the arm when this run began crossed before it, and does not cross now.
    pub(super) fn take(&mut self, input: Input, on: Option<bool>, at: Mono) -> Option<Edge> {
        let before = self.lines.get(&input).copied();
        if before.is_some_and(|line| at < line.at) {
            return None;
        }
        // A silence longer than what "fresh" means may hide anything, and is no continuity.
        let same = before.filter(|line| line.on == on && at.since(line.at) < FRESH);
        let since = same.map_or(at, |line| line.since);
        self.lines.insert(input, Line { on, at, since });
        let first = on.is_some() && self.live.insert(input);
        // A button that was not seen at rest was not pressed now: a restart, or a wire that came back, opens nothing.
        let button = matches!(input, Input::GuardButton | Input::ManualOpen | Input::CallButton);
        match (before.and_then(|line| line.on), on) {
            (None, Some(true)) if button => None,
            (None, Some(true)) if first && input == Input::Exit => None,
            (Some(false) | None, Some(true)) => Some(Edge::Rose),
            (Some(true), Some(false)) => Some(Edge::Fell),
            _ => None,
        }
    }

    pub(super) fn take_status(&mut self, state: ArmState, at: Mono) {
        if self.status.is_none_or(|(_, before)| at >= before) {
            self.status = Some((state, at));
        }
    }

    /// Returns what an input says now; `None` also where it was silent for too long.
    pub(super) fn on(&self, input: Input, now: Mono) -> Option<bool> {
        let silence = if input == Input::Fire { FIRE_SILENCE } else { SILENCE };
        let line = self.lines.get(&input)?;
        line.on.filter(|_| now.since(line.at) < silence)
    }

    /// Returns since when an input has been on, if it is and that is not older than `FRESH`.
    pub(super) fn on_since(&self, input: Input, now: Mono) -> Option<Mono> {
        let line = self.lines.get(&input)?;
        (line.on == Some(true) && now.since(line.at) < FRESH).then_some(line.since)
    }

    /// Returns since when an input has been off.
    pub(super) fn off_since(&self, input: Input, now: Mono) -> Option<Mono> {
        (!self.on(input, now)?).then(|| self.lines.get(&input).map(|line| line.since))?
    }

    /// Returns when an input was last heard to be on, if that is what it said last.
    pub(super) fn seen_on(&self, input: Input) -> Option<Mono> {
        self.lines.get(&input).filter(|line| line.on == Some(true)).map(|line| line.at)
    }

    /// Returns since when an input has been dead: by its own word, or by its silence.
    pub(super) fn dead_since(&self, input: Input, now: Mono) -> Option<Mono> {
        let silence = if input == Input::Fire { FIRE_SILENCE } else { SILENCE };
        let Some(line) = self.lines.get(&input) else {
            return (now.since(self.start) >= silence).then_some(self.start);
        };
        match line.on {
            None => Some(line.since),
            Some(_) => (now.since(line.at) >= silence).then_some(line.at + silence),
        }
    }

    /// Returns whether an input was never heard.
    pub(super) fn unheard(&self, input: Input) -> bool {
        !self.lines.contains_key(&input)
    }

    /// Returns where the arm stands. Both limits at once say nothing.
    pub(super) fn arm(&self, spec: &LaneSpec, now: Mono) -> ArmAt {
        match spec.position {
            Position::None => ArmAt::Unknown,
            Position::Status => match self.status.filter(|(_, at)| now.since(*at) < SILENCE) {
                Some((ArmState::Open, _)) => ArmAt::Up,
                Some((ArmState::Closed, _)) => ArmAt::Down,
                Some((ArmState::Moving, _)) => ArmAt::Between,
                Some((ArmState::Unknown, _)) | None => ArmAt::Unknown,
            },
            Position::Limits => match (self.on(Input::OpenLimit, now), self.on(Input::CloseLimit, now)) {
                (Some(true), Some(false)) => ArmAt::Up,
                (Some(false), Some(true)) => ArmAt::Down,
                (Some(false), Some(false)) => ArmAt::Between,
                _ => ArmAt::Unknown,
            },
        }
    }

    /// Returns whether both limits are on.
    pub(super) fn limits_contradict(&self, spec: &LaneSpec, now: Mono) -> bool {
        let on = |input| self.on(input, now) == Some(true);
        spec.position == Position::Limits && on(Input::OpenLimit) && on(Input::CloseLimit)
    }

    /// Returns whether everything that the lane has was heard since the start.
    pub(super) fn all_heard(&self, spec: &LaneSpec) -> bool {
        let status = spec.position != Position::Status || self.status.is_some();
        status && spec.inputs.iter().all(|input| self.lines.contains_key(input))
    }

    /// Returns whether something is under the arm; `None`: it may be. Only what was said within [`FRESH`] counts.
    pub(super) fn under_arm(&self, spec: &LaneSpec, now: Mono) -> Option<bool> {
        let guards: Vec<Input> = GUARDS.into_iter().filter(|guard| spec.inputs.contains(guard)).collect();
        let fresh = |guard: &Input| self.lines.get(guard).filter(|line| now.since(line.at) < FRESH)?.on;
        if guards.iter().any(|guard| fresh(guard) == Some(true)) {
            return Some(true);
        }
        let clear = |guard: &Input| fresh(guard) == Some(false) && !self.suspect.contains(guard);
        (!guards.is_empty() && guards.iter().all(clear)).then_some(false)
    }

    /// Returns whether it may close: two independent means, both healthy, have freshly said "clear" and have done so for
    /// `clear_for`; nothing stands on the loop behind the arm; the arm is not off.
    pub(super) fn clear_to_close(&self, spec: &LaneSpec, now: Mono, clear_for: Duration) -> bool {
        let clear = |input: Input| {
            let line = self.lines.get(&input).filter(|line| now.since(line.at) < FRESH && line.on == Some(false));
            line.is_some_and(|line| now.since(line.since) >= clear_for) && !self.suspect.contains(&input)
        };
        let absent_or_clear = |input: Input| !spec.inputs.contains(&input) || clear(input);
        spec.has_guards()
            && GUARDS.into_iter().all(clear)
            && absent_or_clear(Input::Exit)
            && self.on(Input::ArmOff, now) != Some(true)
    }

    /// Returns when the freshest "clear" of the guards runs out.
    pub(super) fn clear_until(&self, spec: &LaneSpec) -> Option<Mono> {
        let watched = GUARDS.into_iter().chain([Input::Exit]).filter(|input| spec.inputs.contains(input));
        watched.filter_map(|input| self.lines.get(&input)).map(|line| line.at + FRESH).min()
    }

    /// Returns since when the guard that has been on longest has been.
    pub(super) fn occupied_since(&self, spec: &LaneSpec, now: Mono) -> Option<Mono> {
        let guards = GUARDS.into_iter().filter(|guard| spec.inputs.contains(guard));
        guards.filter_map(|guard| self.on_since(guard, now)).min()
    }

    /// A vehicle crossed that this guard did not see.
    pub(super) fn suspect(&mut self, guard: Input) -> bool {
        self.suspect.insert(guard)
    }

    /// The guard was seen to come on and to go off again.
    pub(super) fn trust(&mut self, guard: Input) -> bool {
        self.suspect.remove(&guard)
    }

    pub(super) fn suspects(&self) -> &BTreeSet<Input> {
        &self.suspect
    }

    pub(super) fn set_suspects(&mut self, suspects: BTreeSet<Input>) {
        self.suspect = suspects;
    }

    /// Returns the times at which something that was heard grows old.
    pub(super) fn due(&self, spec: &LaneSpec) -> impl Iterator<Item = Mono> + '_ {
        let silence = |input: Input| if input == Input::Fire { FIRE_SILENCE } else { SILENCE };
        let never = spec.inputs.iter().filter(|input| self.unheard(**input)).map(|input| self.start + silence(*input));
        let never: Vec<Mono> = never.collect();
        let old = self.lines.iter().filter(|(_, line)| line.on.is_some());
        old.map(move |(input, line)| line.at + silence(*input)).chain(never)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::support::barrier;
    use super::*;

    const MS: fn(u64) -> Mono = Mono::from_millis;

    #[test]
    fn clear_is_fresh_of_two_means_and_a_dead_one_counts_as_occupied() {
        let spec = barrier();
        let mut inputs = Inputs::new(MS(0));
        let clear = |inputs: &Inputs, at| inputs.clear_to_close(&spec, MS(at), Duration::ZERO);
        assert!(!clear(&inputs, 0), "nothing was heard");
        for input in [Input::UnderArm, Input::Beam] {
            inputs.take(input, Some(false), MS(100));
        }
        assert!(!clear(&inputs, 100), "the loop behind the arm was not heard");
        inputs.take(Input::Exit, Some(false), MS(100));
        assert!(clear(&inputs, 599) && !clear(&inputs, 600), "half a second");
        inputs.take(Input::Beam, None, MS(300));
        assert!(!clear(&inputs, 300));
        assert_eq!(inputs.under_arm(&spec, MS(300)), None);
        inputs.take(Input::UnderArm, Some(true), MS(400));
        assert_eq!(inputs.under_arm(&spec, MS(400)), Some(true));
    }

    #[test]
    fn a_silence_breaks_the_time_for_which_it_was_clear() {
        let spec = barrier();
        let mut inputs = Inputs::new(MS(0));
        let say = |inputs: &mut Inputs, at| {
            for input in [Input::UnderArm, Input::Beam, Input::Exit] {
                inputs.take(input, Some(false), MS(at));
            }
        };
        let second = Duration::from_secs(1);
        (0..=5).for_each(|n| say(&mut inputs, n * 200));
        assert!(inputs.clear_to_close(&spec, MS(1000), second));
        say(&mut inputs, 1700);
        assert!(!inputs.clear_to_close(&spec, MS(1700), second), "700 ms of which nobody knows anything");
    }

    #[test]
    fn both_limits_at_once_say_nothing() {
        let spec = barrier();
        let mut inputs = Inputs::new(MS(0));
        inputs.take(Input::OpenLimit, Some(true), MS(0));
        inputs.take(Input::CloseLimit, Some(true), MS(0));
        assert_eq!((inputs.arm(&spec, MS(1)), inputs.limits_contradict(&spec, MS(1))), (ArmAt::Unknown, true));
        inputs.take(Input::CloseLimit, Some(false), MS(2));
        assert_eq!((inputs.arm(&spec, MS(3)), inputs.arm(&spec, MS(3_000))), (ArmAt::Up, ArmAt::Unknown), "silent");
    }
}
