//! What comes in by wire: contacts of the fire linkage, hard keys, the weather station.

use super::action::Done;
use super::book::Lane;
use super::fire::{LineState, Odd};
use super::record::{Cause, SiteFact, SiteFault, SiteRecord};
use super::state::State;
use super::{Site, named, one_of};
use crate::domain::actor::{Actor, Refused, Via};
use crate::domain::id::PointUid;
use crate::domain::reading::{Quality, Reading};
use crate::domain::record::Mode;
use crate::domain::time::Now;

impl Site {
    /// Takes a reading of the weather station. Returns whether people were told something about it.
    pub(super) fn take_wind(&mut self, uid: &PointUid, reading: Reading, now: Now) -> bool {
        let Some(station) = &self.book.wind else { return false };
        let (speed, direction) = (station.speed == *uid, station.direction == *uid);
        if speed {
            self.wind.speed = Some((reading, now.mono));
        }
        if direction {
            self.wind.direction = Some((reading, now.mono));
        }
        (speed || direction) && self.check_guidance(now)
    }

    /// Takes a reading of a line of the fire linkage. Returns whether the line has changed.
    pub(super) fn take_contact(&mut self, at: usize, uid: &PointUid, reading: Reading, now: Now) -> bool {
        let (Some(input), Some(fire)) = (self.book.fire.get(at), self.fire.get_mut(at)) else { return false };
        fire.take(input, uid, reading, now.mono) && self.judge_line(at, now)
    }

    /// Looks at a line of the fire linkage, and acts on what has changed. Returns whether anything has.
    pub(super) fn judge_line(&mut self, at: usize, now: Now) -> bool {
        let book = self.book.clone();
        let (Some(input), Some(fire)) = (book.fire.get(at), self.fire.get_mut(at)) else { return false };
        let before = fire.line;
        if !fire.judge(input, now.mono) {
            return false;
        }
        let (line, why) = (fire.line, fire.why);
        let releases = matches!(line, LineState::Signal | LineState::Broken);
        let named = |lane: &usize| book.lanes.get(*lane).map(|lane: &Lane| lane.id.clone());
        let released = if releases { input.lanes.iter().filter_map(named).collect() } else { Vec::new() };
        if (before, line) != (LineState::Unknown, LineState::Clear) {
            let (input, zone) = (input.id.clone(), self.zone_id(input.zone));
            let why = why.map(|why| why.as_str().to_owned());
            self.record(Mode::Real, &SiteRecord::Fire { input, zone, line, why, released }, now);
        }
        let broken = Cause::BrokenLine(input.id.clone());
        if before == LineState::Broken {
            self.line_fact(at, None);
            self.withdraw_cause(&broken, None, now);
        }
        let actor = Actor { name: input.id.clone(), via: Via::Panel, roles: std::collections::BTreeSet::new() };
        match line {
            LineState::Signal => {
                self.preempt(input.evacuates.then_some(input.zone), &actor, now);
                if input.evacuates {
                    self.raise(input.zone, State::Evacuate, &Cause::Fire(input.id.clone()), &actor, "", now);
                }
            }
            LineState::Broken => {
                self.line_fact(at, why);
                if self.own(input.zone) != State::Evacuate {
                    let why = why.map_or("", Odd::as_str);
                    self.propose(input.zone, State::Evacuate, broken, &Actor::gateway(), why, now);
                }
            }
            LineState::Unknown | LineState::Clear => {}
        }
        true
    }

    /// Tells the alarm machine of a line that is broken (why), or is whole again.
    pub(super) fn line_fact(&mut self, at: usize, why: Option<Odd>) {
        let book = self.book.clone();
        let Some(input) = book.fire.get(at) else { return };
        let (zh, en) = why.map_or(("", ""), |why| (why.zh(), why.en()));
        let name = &input.name;
        self.fact(SiteFact {
            fault: SiteFault::FireLine,
            subject: input.id.clone(),
            zone: self.zone_id(input.zone),
            active: why.is_some(),
            zh: format!("消防联动“{name}”线路故障，所属通道已释放：{zh}"),
            en: format!("the line of fire input {} is broken, its lanes are released: {en}", input.id),
        });
    }

    /// Takes a reading of a hard key. Returns whether that says something new.
    pub(super) fn take_key(&mut self, at: usize, uid: &PointUid, reading: Reading, now: Now) -> bool {
        let book = self.book.clone();
        let (Some(key), Some(state)) = (book.keys.get(at), self.keys.get_mut(at)) else { return false };
        if key.point != *uid {
            return false;
        }
        let value = reading.as_f64().filter(|_| reading.quality == Quality::Good).map(|value| value != 0.0);
        let (lost, was_lost) = (value.is_none(), std::mem::replace(&mut state.lost, value.is_none()));
        let turned = value.map(|value| value == key.turned);
        let before = state.turned;
        if turned.is_some() {
            state.turned = turned;
        }
        if lost != was_lost {
            self.key_fact(at, lost);
        }
        let first_rest = before.is_none() && turned == Some(false);
        if lost != was_lost || (turned.is_some() && turned != before && !first_rest) {
            self.record(Mode::Real, &SiteRecord::Key { key: key.id.clone(), turned }, now);
        }
        if turned == Some(true) && before != Some(true) {
            let actor = Actor { name: key.id.clone(), via: Via::Panel, roles: std::collections::BTreeSet::new() };
            self.raise(key.zone, key.state, &Cause::Key(key.id.clone()), &actor, "", now);
        }
        lost != was_lost || (turned.is_some() && turned != before)
    }

    pub(super) fn key_fact(&mut self, at: usize, active: bool) {
        let book = self.book.clone();
        let Some(key) = book.keys.get(at) else { return };
        self.fact(SiteFact {
            fault: SiteFault::Key,
            subject: key.id.clone(),
            zone: self.zone_id(key.zone),
            active,
            zh: format!("应急按钮“{}”无有效读数", key.name),
            en: format!("the key {} cannot be read", key.id),
        });
    }

    pub(super) fn reset_fire(&mut self, input: &str, reason: &str, actor: &Actor, now: Now) -> Result<Done, Refused> {
        one_of(actor, &self.book.hands.end)?;
        named(actor, reason)?;
        let at = self.book.fire.iter().position(|known| known.id == input);
        let fire = at.and_then(|at| self.fire.get_mut(at));
        let fire = fire.ok_or_else(|| Refused::new("没有此消防联动输入", "there is no such fire input"))?;
        if fire.line != LineState::Clear {
            return Err(Refused::new("线路尚未恢复，不能复位", "its line is not quiet: it cannot be reset"));
        }
        if !std::mem::take(&mut fire.latched) {
            return Err(Refused::new("无需复位", "there is nothing to reset"));
        }
        let (input, actor, reason) = (input.to_owned(), actor.clone(), reason.trim().to_owned());
        self.record(Mode::Real, &SiteRecord::FireReset { input: input.clone(), actor, reason }, now);
        Ok(Done::new(format!("{input} 已复位"), format!("{input} is reset")))
    }
}
