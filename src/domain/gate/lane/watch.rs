//! What a lane watches all the time: the fire contact, dead and suspect inputs, devices, what stays under the arm, what
//! stands open; and what it tells of it.

use super::spec::{FIRE_SILENCE, GUARDS, Position, Trouble};
use super::told::{LaneFact, LaneFault, Output};
use super::{ArmAt, Lane, Phase};
use crate::domain::actor::Actor;
use crate::domain::gate::hardware::{Input, LaneDevice};
use crate::domain::gate::word::LaneKind;
use crate::domain::time::{ClockTrust, Mono, Now};
use std::time::Duration;

/// After a start, the line of the fire contact is dead when nothing was heard of it for so long, as in `site/fire.rs`.
const STARTUP: Duration = Duration::from_secs(30);

impl Lane {
    /// Tells whether something is so, where that has changed.
    pub(super) fn tell(&mut self, fault: LaneFault, subject: &str, active: bool) {
        self.tell_with(fault, subject, active, "");
    }

    pub(super) fn tell_with(&mut self, fault: LaneFault, subject: &str, active: bool, detail: &str) {
        // This is asked with each word of each input: nothing is made of it unless something has changed.
        let stands = self.faults.iter().any(|(known, of)| *known == fault && of == subject);
        if stands == active {
            return;
        }
        let key = (fault, subject.to_owned());
        let _ = if active { self.faults.insert(key) } else { self.faults.remove(&key) };
        self.fact(fault, subject, active, detail);
    }

    /// Tells of something that happened and has no end of its own.
    pub(super) fn pulse(&mut self, fault: LaneFault, subject: &str) {
        self.fact(fault, subject, true, "");
        self.fact(fault, subject, false, "");
    }

    fn fact(&mut self, fault: LaneFault, subject: &str, active: bool, detail: &str) {
        let (mut zh, en) = words_of(fault, subject);
        if !detail.is_empty() {
            zh = format!("{zh}：{detail}");
        }
        let (zh, en) = (format!("{} {zh}", self.spec.name), format!("{}: {en}", self.spec.name_en));
        let (lane, subject) = (self.spec.id.clone(), subject.to_owned());
        self.outputs.push_back(Output::Fact(LaneFact { lane, fault, subject, active, zh, en }));
        self.revision += 1;
    }

    pub(super) fn set_trouble(&mut self, trouble: Trouble, on: bool) {
        let changed = if on { self.troubles.insert(trouble) } else { self.troubles.remove(&trouble) };
        if changed {
            self.revision += 1;
        }
    }

    pub(super) fn watch(&mut self, now: Now) {
        self.watch_fire(now);
        self.watch_rights(now);
        self.watch_inputs(now);
        self.watch_devices();
        self.watch_arm(now);
        self.set_trouble(Trouble::Clock, now.trust == ClockTrust::Unsynced);
        if self.troubles.contains(&Trouble::Restart) {
            let arm_known = self.spec.position == Position::None || self.arm_at(now.mono) != ArmAt::Unknown;
            self.set_trouble(Trouble::Restart, !(arm_known && self.inputs.all_heard(&self.spec)));
        }
    }

    /// A contact that says fire releases at once; one that cannot be heard releases too, because a cut wire is what a fire
    /// makes of a line.
    fn watch_fire(&mut self, now: Now) {
        if !self.spec.inputs.contains(&Input::Fire) {
            return;
        }
        let settle = if self.inputs.unheard(Input::Fire) { STARTUP } else { self.spec.timing.fire_settle };
        let dead = self.inputs.dead_since(Input::Fire, now.mono).is_some_and(|since| now.mono.since(since) >= settle);
        self.tell(LaneFault::FireLine, Input::Fire.as_str(), dead);
        let speaks = dead || self.inputs.on(Input::Fire, now.mono) == Some(true);
        if speaks && !self.rights.fire {
            self.rights.fire = true;
            self.tell(LaneFault::Fire, "", true);
            self.note("lane.fire", &Actor::gateway(), if dead { "断线 / the line is dead" } else { "信号 / signal" });
        }
    }

    fn watch_inputs(&mut self, now: Now) {
        let spec = self.spec.clone();
        for input in spec.inputs.iter().copied().filter(|input| *input != Input::Fire) {
            let dead = self.inputs.dead_since(input, now.mono).is_some();
            self.tell(LaneFault::InputDead, input.as_str(), dead);
        }
        for guard in GUARDS {
            let suspect = self.inputs.suspects().contains(&guard);
            self.tell(LaneFault::InputSuspect, guard.as_str(), suspect);
        }
        let contradict = self.inputs.limits_contradict(&self.spec, now.mono);
        self.tell(LaneFault::Limits, "", contradict);
        let loops = [Input::Approach, Input::UnderArm, Input::Beam, Input::Exit];
        let dead = |input: &Input| self.spec.inputs.contains(input) && self.inputs.on(*input, now.mono).is_none();
        let trouble = loops.iter().any(dead) || !self.inputs.suspects().is_empty();
        self.set_trouble(Trouble::Loop, trouble && !self.troubles.contains(&Trouble::Restart));
    }

    fn watch_devices(&mut self) {
        let devices: Vec<(String, bool)> = self.devices.iter().map(|(id, (_, up, _))| (id.clone(), *up)).collect();
        for (device, up) in devices {
            self.tell(LaneFault::Device, &device, !up);
        }
        for (kind, trouble) in [(LaneDevice::Camera, Trouble::Camera), (LaneDevice::Reader, Trouble::Reader)] {
            let down = self.devices.values().any(|(known, up, _)| *known == kind && !up);
            self.set_trouble(trouble, down);
        }
    }

    fn watch_arm(&mut self, now: Now) {
        let timing = self.spec.timing;
        let occupied = self.inputs.occupied_since(&self.spec, now.mono);
        let stuck = occupied.is_some_and(|since| now.mono.since(since) >= timing.stuck);
        // While it says nothing at all, what was stuck may still be.
        if stuck || self.inputs.under_arm(&self.spec, now.mono) == Some(false) {
            self.tell(LaneFault::Stuck, "", stuck);
        }
        let held = self.held_by().is_some() || self.arm.is_holding();
        let open_since = self.inputs.on_since(Input::DoorOpen, now.mono);
        let door_held = open_since.is_some_and(|since| now.mono.since(since) >= timing.door_held);
        self.tell(LaneFault::DoorHeld, "", door_held && !held);
        if self.spec.kind == LaneKind::Person {
            return;
        }
        let arm = self.arm_at(now.mono);
        let quiet = matches!(self.phase, Phase::Idle | Phase::Clearing | Phase::Closing);
        let left_open = arm == ArmAt::Up && !held && quiet && now.mono.since(self.since) >= timing.max_open;
        if left_open || arm == ArmAt::Down || held {
            self.tell(LaneFault::LeftOpen, "", left_open);
        }
        self.watch_hands(arm, now);
    }

    /// The arm is up, was seen down, and nobody here ordered it.
    fn watch_hands(&mut self, arm: ArmAt, now: Now) {
        let unordered = matches!(self.phase, Phase::Idle | Phase::Approach | Phase::Identified | Phase::Decided);
        match arm {
            ArmAt::Down => self.arm.down = true,
            ArmAt::Up if self.arm.down => {
                self.arm.down = false;
                if unordered && self.arm.at_rest() && self.held_by().is_none() {
                    self.opened_by_hand(now);
                }
            }
            ArmAt::Up | ArmAt::Between | ArmAt::Unknown => {}
        }
    }

    pub(super) fn watch_dues(&self) -> Vec<Mono> {
        let timing = &self.spec.timing;
        let mut dues: Vec<Mono> = self.rights_dues().collect();
        let fire = self.inputs.dead_since(Input::Fire, self.last);
        dues.extend(
            fire.into_iter().flat_map(|since| [since + timing.fire_settle, since + STARTUP, since + FIRE_SILENCE]),
        );
        dues.extend(self.inputs.occupied_since(&self.spec, self.last).map(|since| since + timing.stuck));
        dues
    }
}

/// A fault with what it is about, in words, Chinese and English.
pub(super) fn words_of(fault: LaneFault, subject: &str) -> (String, String) {
    let input = Input::from_name(subject);
    let (of, of_en) = input.map_or((subject, subject), |input| (input.zh(), input.en()));
    if subject.is_empty() {
        return (fault.zh().to_owned(), fault.en().to_owned());
    }
    (format!("{}（{of}）", fault.zh()), format!("{} ({of_en})", fault.en()))
}
