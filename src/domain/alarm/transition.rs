//! One transition: the table says where it leads, the occurrence and its record follow, and all that counts alarms.

use std::sync::Arc;
use std::time::Duration;

use super::super::actor::Actor;
use super::super::record::Mode;
use super::super::time::{Now, Timestamp};
use super::instance::{Hidden, Instance, Ladder, Lasting, Occurrence, is_told};
use super::machine::{Alarms, tells_of_gas};
use super::record::{AlarmRecord, Occ, Told, told_value};
use super::severity::{Priority, Shelving};
use super::spec::{AlarmSpec, Condition, Subject};
use super::state::{Beneath, Cause, State, next};
use super::view::{Fact, Output};

/// By whom, and what belongs to it.
#[derive(Clone, Debug, Default)]
pub(super) struct By {
    pub(super) actor: Option<Actor>,
    pub(super) approver: Option<Actor>,
    pub(super) comment: Option<String>,
    /// Of shelving and taking out of service.
    pub(super) hidden: Option<Hidden>,
    pub(super) told: Option<Told>,
}

impl By {
    /// It happened by itself.
    pub(super) fn itself() -> Self {
        Self::default()
    }
}

impl Alarms {
    /// Takes one step by the table, at `level` where that changes. Returns whether the table has it.
    pub(super) fn step(&mut self, index: usize, cause: Cause, level: Option<u8>, by: By, now: Now) -> bool {
        let book = Arc::clone(&self.book);
        let (Some(spec), Some(instance)) = (book.alarms.get(index), self.instances.get_mut(index)) else {
            return false;
        };
        let from = instance.state();
        let measured = instance.switches.level();
        let beneath = instance.open.as_ref().map_or(State::Normal, |open| open.beneath);
        let told_level = instance.shown_level();
        let was_open = instance.open.is_some();
        let under = Beneath { latching: spec.latching, state: beneath, suppressed: instance.suppressed };
        let Some(to) = next(from, cause, under) else { return false };
        let mut open = instance.open.take().unwrap_or_else(|| {
            let occ = Occ { boot: self.boot, n: self.next_occ };
            self.next_occ = self.next_occ.saturating_add(1);
            Box::new(Occurrence::new(occ))
        });
        open.beneath = if !to.is_hidden() {
            to
        } else if from.is_hidden() {
            next(beneath, cause, under).filter(|state| !state.is_hidden()).unwrap_or(beneath)
        } else {
            from
        };
        open.state = to;
        open.n = open.n.saturating_add(1);
        let raised = is_raised(from, to, cause);
        let level = held(spec, cause, open.level, level);
        let was_standing = !matches!(beneath, State::Normal);
        open.follow(cause, level, raised, now);
        if cause == Cause::Active && !was_standing {
            open.first_out = to == State::Unacked
                && spec.group.as_ref().is_some_and(|group| self.groups.get(group).is_none_or(|n| *n == 0));
            open.peak = None;
        }
        let is_timed = matches!(to, State::Shelved | State::OutOfService);
        open.hidden = by.hidden.or(open.hidden).filter(|_| is_timed);
        let anew = Ladder { since: Lasting::from(now.mono), next: 0 };
        open.ladder = is_told(spec, to).then(|| open.ladder.filter(|_| !raised).unwrap_or(anew));
        open.note_peak(spec, self.points.reading_of(spec));
        let mut record = self.record(spec, &open, from, cause, by, now);
        record.now_level = Some(measured).filter(|level| open.beneath.is_active() && (1..open.level).contains(level));
        open.last = Some(Box::new(record.clone()));
        self.outputs.push_back(Output::Alarm { at: now.mono, record: Box::new(record) });
        let breaks = open.breaks_the_shelf(spec);
        if let Some(instance) = self.instances.get_mut(index) {
            instance.open = (to != State::Normal).then_some(open);
            if raised {
                instance.note_raise(now.mono);
            }
        }
        if raised {
            self.flood.note(now.mono);
            self.wake_annunciators(spec);
        }
        if let Some(at) = spec.subject.point()
            && was_open != (to != State::Normal)
        {
            self.points.note_open(at, !was_open);
        }
        self.count(spec, from, to);
        self.tell_annunciators_of(spec, now);
        self.tell_level(index, spec, told_level);
        self.climb(index, now);
        if breaks {
            self.step(index, Cause::ShelfBroken, None, By::itself(), now);
        }
        self.reschedule(index);
        true
    }

    fn record(&self, spec: &AlarmSpec, open: &Occurrence, from: State, cause: Cause, by: By, now: Now) -> AlarmRecord {
        let reading = self.points.reading_of(spec);
        let (uid, tag, device, unit) = match &spec.subject {
            Subject::Point { uid, tag, device, unit, .. } => {
                (Some(uid.as_str().into()), Some(tag.as_str().into()), Some(device.as_str().into()), Some(unit))
            }
            Subject::Device { device, .. } => (None, None, Some(device.as_str().into()), None),
            Subject::Gateway => (None, None, None, None),
        };
        let level = usize::from(open.level.max(1)) - 1;
        let level = spec.levels.get(level).or(spec.levels.last());
        let left = open.hidden.map(|hidden| hidden.until.since(now.mono));
        AlarmRecord {
            alarm: Arc::clone(&spec.id),
            occ: open.occ,
            n: open.n,
            t: now.wall,
            uid,
            tag,
            device,
            zone: spec.zone.clone(),
            rule: spec.condition.word().into(),
            class: spec.class,
            level: open.level,
            now_level: None,
            peak_level: open.peak_level,
            priority: level.map_or(Priority::Blue, |level| level.priority),
            from,
            to: open.state,
            cause,
            text: spec.text.as_str().into(),
            value: reading.and_then(|reading| reading.value()).map(told_value),
            peak: open.peak,
            unit: unit.filter(|unit| !unit.is_empty()).cloned(),
            limit: level.and_then(|level| level.limit),
            quality: reading.map(|reading| reading.quality),
            limits_rev: self.book.rev,
            t_active: open.t_active,
            t_ack: open.t_ack,
            t_clear: open.t_clear,
            first_out: open.first_out,
            actor: by.actor,
            approver: by.approver,
            comment: by.comment,
            until: left.map(|left| now.wall.after(left)),
            for_ms: left.map(millis),
            beneath: open.state.is_hidden().then_some(open.beneath),
            told: by.told,
            mode: spec.mode,
        }
    }

    /// Counts an alarm where it stands.
    pub(super) fn count(&mut self, spec: &AlarmSpec, from: State, to: State) {
        let stands = |state: State| state != State::Normal && !state.is_hidden();
        if let Some(group) = &spec.group {
            let n = self.groups.entry(Arc::clone(group)).or_default();
            *n = (*n + usize::from(stands(to))).saturating_sub(usize::from(stands(from)));
        }
        if spec.mode == Mode::Real {
            self.telling.count(&spec.annunciators, from, to);
        }
    }

    /// Tells those that look at the level of an alarm.
    fn tell_level(&mut self, index: usize, spec: &AlarmSpec, before: u8) {
        let level = self.instances.get(index).map_or(0, Instance::shown_level);
        if level == before {
            return;
        }
        if let Some(zone) = spec.zone.as_ref().filter(|_| tells_of_gas(spec)) {
            let standing = self.zones.entry(Arc::clone(zone)).or_default();
            if level > 0 {
                standing.insert(index, level);
            } else {
                standing.remove(&index);
            }
            self.tell_zone(zone);
        }
        for rollup in self.index.rollups.get(&index).cloned().unwrap_or_default() {
            self.roll_up(rollup);
        }
    }

    /// Tells what stands in a zone.
    pub(super) fn tell_zone(&mut self, zone: &Arc<str>) {
        let Some(standing) = self.zones.get(zone) else { return };
        let mut detectors = std::collections::BTreeMap::<Arc<str>, u8>::new();
        for (index, level) in standing {
            if let Some(Subject::Point { tag, .. }) = self.book.alarms.get(*index).map(|spec| &spec.subject) {
                let highest = detectors.entry(tag.as_str().into()).or_default();
                *highest = (*highest).max(*level);
            }
        }
        let level = detectors.values().copied().max().unwrap_or(0);
        let detectors = detectors.into_iter().collect();
        self.outputs.push_back(Output::Fact(Fact::Gas { zone: Arc::clone(zone), level, detectors }));
    }

    /// Computes the level of a roll-up from its members.
    pub(super) fn roll_up(&mut self, index: usize) {
        let Some(Condition::RollUp { members, rules }) = self.book.alarms.get(index).map(|spec| &spec.condition) else {
            return;
        };
        let level_of = |id: &Arc<str>| {
            let member = self.index.by_id.get(id).and_then(|at| self.instances.get(*at));
            member.map_or(0, Instance::shown_level)
        };
        let levels: Vec<u8> = members.iter().map(level_of).collect();
        let given =
            rules.iter().filter(|rule| levels.iter().filter(|level| **level >= rule.level).count() >= rule.count);
        let level = given.map(|rule| rule.gives).max().unwrap_or(0);
        if self.told.insert(index, level) != Some(level) {
            self.pending.push_back(index);
        }
    }

    /// Notes the worst value of an alarm that stands active.
    pub(super) fn note_peak(&mut self, index: usize) {
        let (Some(spec), Some(instance)) = (self.book.alarms.get(index), self.instances.get_mut(index)) else { return };
        if let Some(open) = &mut instance.open {
            open.note_peak(spec, self.points.reading_of(spec));
        }
    }
}

impl Occurrence {
    /// Follows times and levels.
    fn follow(&mut self, cause: Cause, level: Option<u8>, raised: bool, now: Now) {
        let wall: Timestamp = now.wall;
        if let Some(level) = level {
            self.level = level;
            self.peak_level = self.peak_level.max(level);
        }
        if cause == Cause::Active {
            (self.t_active, self.t_ack, self.t_clear) = (Some(wall), None, None);
            self.active = Some(Lasting::from(now.mono));
        }
        if cause == Cause::Clear {
            (self.t_clear, self.active) = (Some(wall), None);
        }
        if cause == Cause::Ack {
            self.t_ack = Some(wall);
        }
        if matches!(cause, Cause::LevelUp | Cause::ResetRefused) {
            self.t_ack = None;
        }
        if raised {
            self.t_ack = None;
            self.raised_n = self.n;
        }
    }

    fn note_peak(&mut self, spec: &AlarmSpec, reading: Option<super::super::reading::Reading>) {
        let has_peak = matches!(spec.condition, Condition::High | Condition::Low | Condition::Gas { .. });
        let value = reading.and_then(|reading| reading.value()).filter(|_| has_peak && self.beneath.is_active());
        let Some(value) = value.map(|value| value.as_f64()) else { return };
        let is_worse = |peak: f64| if spec.condition.is_low() { value < peak } else { value > peak };
        if self.peak.is_none_or(is_worse) {
            self.peak = reading.and_then(|reading| reading.value()).map(told_value);
        }
    }

    /// Whether it has risen to a level that must not lie on this shelf.
    fn breaks_the_shelf(&self, spec: &AlarmSpec) -> bool {
        let Some(hidden) = self.hidden.filter(|_| self.state == State::Shelved && self.beneath.is_active()) else {
            return false;
        };
        shelving_at(spec, self.level) > hidden.covers
    }
}

/// The level that a transition gives an occurrence at `stands`. What latches keeps its highest level until a person resets it
/// (GB 16808): only then is it shown as it is.
fn held(spec: &AlarmSpec, cause: Cause, stands: u8, level: Option<u8>) -> Option<u8> {
    let keeps = spec.latching && cause != Cause::ResetRefused;
    level.map(|level| if keeps { level.max(stands) } else { level })
}

/// Whether people must look: raised, or seen again after it was hidden. What was acknowledged before does not count.
pub(super) fn is_raised(from: State, to: State, cause: Cause) -> bool {
    to.is_unacked() && (cause.raises() || from.is_hidden())
}

/// Who may shelve an alarm at this level; at level 0, as at its mildest.
pub(super) fn shelving_at(spec: &AlarmSpec, level: u8) -> Shelving {
    let at = usize::from(level.max(1)) - 1;
    spec.levels.get(at).or(spec.levels.last()).map_or(Shelving::SecondPerson, |level| level.shelving)
}

/// Whole milliseconds.
pub(super) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
