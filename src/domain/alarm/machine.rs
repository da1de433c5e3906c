//! The machine: what comes in, in which order it is looked at, and when it must be asked again. What a transition changes
//! stands in `transition.rs`, whom it tells in `telling.rs`, what people do in `people.rs`, restarts in `saved.rs`.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use super::super::document::{Document, DocumentKind};
use super::super::instrument::InstrumentState;
use super::super::reading::Reading;
use super::super::record::Mode;
use super::super::time::{Mono, Now};
use super::ask::PointCondition;
use super::condition::{self, Scene, holds};
use super::counts::Flood;
use super::gas::{self, Watch};
use super::instance::Instance;
use super::people::Request;
use super::points::{Points, Watcher};
use super::settle::Delays;
use super::severity::Class;
use super::spec::{AlarmBook, AlarmSpec, Basis, Condition};
use super::state::{Cause, State};
use super::telling::Telling;
use super::transition::By;
use super::view::{Fact, InstrumentRecord, Output};

/// See the module above.
#[derive(Debug)]
pub struct Alarms {
    pub(super) book: Arc<AlarmBook>,
    pub(super) boot: u32,
    pub(super) next_occ: u32,
    pub(super) points: Points,
    pub(super) instances: Vec<Instance>,
    pub(super) watches: Vec<Watch>,
    pub(super) index: Index,
    pub(super) timers: BTreeSet<(Mono, Timer)>,
    /// Room for those to be asked, kept so that it is not allocated for each poll.
    asked: Vec<Watcher>,
    /// Levels that do not come from points: of roll-ups, channels, external conditions.
    pub(super) told: BTreeMap<usize, u8>,
    /// Alarms to be asked because of what another one did.
    pub(super) pending: VecDeque<usize>,
    /// How many alarms of each first-out group stand.
    pub(super) groups: BTreeMap<Arc<str>, usize>,
    /// Gas alarms that stand, by zone: alarm and level.
    pub(super) zones: BTreeMap<Arc<str>, BTreeMap<usize, u8>>,
    pub(super) telling: Telling,
    pub(super) requests: BTreeMap<usize, Request>,
    pub(super) flood: Flood,
    pub(super) outputs: VecDeque<Output>,
}

/// What the book says, turned round.
#[derive(Debug, Default)]
pub(super) struct Index {
    /// By id.
    pub(super) by_id: BTreeMap<Arc<str>, usize>,
    /// Roll-ups by member.
    pub(super) rollups: BTreeMap<usize, Vec<usize>>,
    /// Channel alarms by channel.
    pub(super) channels: BTreeMap<Arc<str>, usize>,
    /// Alarms of a detector that depend on its state alone.
    pub(super) of_detector: Vec<Vec<usize>>,
}

/// What may be due.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Timer {
    /// A delay, a shelf or a ladder of an alarm.
    Alarm(usize),
    /// An annunciator that did not do as it was told.
    Annunciator(usize),
    /// A receipt that has not come.
    Receipt,
}

impl Timer {
    /// Returns the same timer under another book; `None` for what is noted anew there.
    fn under(self, before: &AlarmBook, book: &AlarmBook) -> Option<Self> {
        match self {
            Self::Alarm(_) => None,
            // What an annunciator was told is carried over: so is that it did not do it, or nobody would tell it again.
            Self::Annunciator(index) => {
                let annunciator = before.annunciators.get(index)?;
                book.annunciators.iter().position(|known| known == annunciator).map(Self::Annunciator)
            }
            Self::Receipt => Some(self),
        }
    }
}

impl Index {
    fn new(book: &AlarmBook) -> Self {
        let mut index = Self {
            by_id: book.alarms.iter().enumerate().map(|(at, spec)| (Arc::clone(&spec.id), at)).collect(),
            of_detector: vec![Vec::new(); book.detectors.len()],
            ..Self::default()
        };
        for (at, spec) in book.alarms.iter().enumerate() {
            if let Condition::RollUp { members, .. } = &spec.condition {
                for member in members.iter().filter_map(|id| index.by_id.get(id)) {
                    index.rollups.entry(*member).or_default().push(at);
                }
            }
            if let Condition::Channel { channel } = &spec.condition {
                index.channels.insert(Arc::clone(channel), at);
            }
            if let Some(of_detector) = spec.condition.detector().and_then(|d| index.of_detector.get_mut(d)) {
                of_detector.push(at);
            }
        }
        index
    }
}

impl Alarms {
    /// Returns the machine of a book, everything normal, nothing known. `boot` is the boot counter of the epoch, which no
    /// later start has again. Call [`Alarms::restore`] before the first reading, with an empty [`super::saved::Saved`] where
    /// there is none: it also tells the annunciators and the facts as they stand.
    pub fn new(book: Arc<AlarmBook>, boot: u32, now: Now) -> Self {
        let mut alarms = Self {
            book: Arc::default(),
            boot,
            next_occ: 1,
            points: Points::default(),
            instances: Vec::new(),
            watches: Vec::new(),
            index: Index::default(),
            timers: BTreeSet::new(),
            asked: Vec::new(),
            told: BTreeMap::new(),
            pending: VecDeque::new(),
            groups: BTreeMap::new(),
            zones: BTreeMap::new(),
            telling: Telling::default(),
            requests: BTreeMap::new(),
            flood: Flood::default(),
            outputs: VecDeque::new(),
        };
        alarms.take_book(book, now);
        alarms
    }

    /// Takes over another configuration. Occurrences of alarms that stay, stay; those of alarms that go are closed with the
    /// cause `removed`. What stands of points and devices is forgotten, because they may stand elsewhere now: hand every link
    /// and every standing reading in again, until then nothing is raised or cleared.
    pub fn install(&mut self, book: Arc<AlarmBook>, now: Now) {
        let kept: BTreeSet<&Arc<str>> = book.alarms.iter().map(|spec| &spec.id).collect();
        for index in 0..self.instances.len() {
            if self.book.alarms.get(index).is_some_and(|spec| !kept.contains(&spec.id)) {
                self.step(index, Cause::Removed, None, By::itself(), now);
            }
        }
        let before = Arc::clone(&self.book);
        let mut instances: BTreeMap<Arc<str>, Instance> =
            before.alarms.iter().map(|spec| Arc::clone(&spec.id)).zip(std::mem::take(&mut self.instances)).collect();
        let mut requests: BTreeMap<Arc<str>, Request> = std::mem::take(&mut self.requests)
            .into_iter()
            .filter_map(|(index, request)| Some((Arc::clone(&before.alarms.get(index)?.id), request)))
            .collect();
        let mut told: BTreeMap<Arc<str>, u8> = std::mem::take(&mut self.told)
            .into_iter()
            .filter_map(|(index, level)| Some((Arc::clone(&before.alarms.get(index)?.id), level)))
            .collect();
        let mut watches: BTreeMap<_, Watch> =
            before.detectors.iter().map(|d| d.uid.clone()).zip(std::mem::take(&mut self.watches)).collect();
        self.take_book(book, now);
        let book = Arc::clone(&self.book);
        for (detector, watch) in book.detectors.iter().zip(&mut self.watches) {
            if let Some(old) = watches.remove(&detector.uid) {
                watch.carry(old);
            }
        }
        for (index, spec) in book.alarms.iter().enumerate() {
            if let (Some(old), Some(instance)) = (instances.remove(&spec.id), self.instances.get_mut(index)) {
                *instance = old.under(spec);
            }
            self.requests.extend(requests.remove(&spec.id).map(|request| (index, request)));
            self.told.extend(told.remove(&spec.id).map(|level| (index, level)));
        }
        self.take_stock(now);
    }

    fn take_book(&mut self, book: Arc<AlarmBook>, now: Now) {
        self.points = Points::new(&book);
        self.instances = book.alarms.iter().map(|_| Instance::default()).collect();
        self.watches = gas::watches(&book, now.mono);
        self.index = Index::new(&book);
        self.telling.take_book(&self.book, &book);
        let timers = std::mem::take(&mut self.timers).into_iter();
        self.timers = timers.filter_map(|(at, timer)| Some((at, timer.under(&self.book, &book)?))).collect();
        self.book = book;
    }

    /// Counts anew what stands, and tells annunciators and facts.
    pub(super) fn take_stock(&mut self, now: Now) {
        let book = Arc::clone(&self.book);
        self.groups.clear();
        self.points.close_all();
        let zones_before = std::mem::take(&mut self.zones);
        self.timers.retain(|(_, timer)| !matches!(timer, Timer::Alarm(_)));
        self.telling.count_from_zero();
        for spec in book.alarms.iter().filter(|spec| tells_of_gas(spec)) {
            self.zones.extend(spec.zone.iter().map(|zone| (Arc::clone(zone), BTreeMap::new())));
        }
        for (index, spec) in book.alarms.iter().enumerate() {
            let Some(instance) = self.instances.get_mut(index) else { continue };
            instance.due = None;
            instance.see_to_ladder(spec, now.mono);
            let (state, level) = (instance.state(), instance.shown_level());
            if let Some(at) = spec.subject.point().filter(|_| instance.open.is_some()) {
                self.points.note_open(at, true);
            }
            self.count(spec, State::Normal, state);
            if let Some(zone) = spec.zone.as_ref().filter(|_| level > 0 && tells_of_gas(spec)) {
                self.zones.entry(Arc::clone(zone)).or_default().insert(index, level);
            }
            self.reschedule(index);
        }
        self.release_suppressed(now);
        let zones: Vec<Arc<str>> = self.zones.keys().cloned().collect();
        zones.iter().for_each(|zone| self.tell_zone(zone));
        for zone in zones_before.into_keys().filter(|zone| !self.zones.contains_key(zone)) {
            self.outputs.push_back(Output::Fact(Fact::Gas { zone, level: 0, detectors: Vec::new() }));
        }
        self.tell_annunciators(now);
        for rollup in self.index.rollups.values().flatten().copied().collect::<BTreeSet<_>>() {
            self.roll_up(rollup);
        }
        self.drain(now);
    }

    /// Brings back what was suppressed by a condition that the configuration has no more.
    fn release_suppressed(&mut self, now: Now) {
        let book = Arc::clone(&self.book);
        let free = book.alarms.iter().enumerate().filter(|(_, spec)| suppression(spec).is_none());
        for index in free.map(|(index, _)| index) {
            let Some(instance) = self.instances.get_mut(index) else { continue };
            instance.suppressed = false;
            if instance.state() == State::Suppressed {
                self.step(index, Cause::Unsuppressed, None, By::itself(), now);
            }
        }
    }

    /// Takes one reading as it stands. `state` is what the instrument was doing then, where a word tells it.
    pub fn handle_reading(
        &mut self,
        device: usize,
        ordinal: u16,
        reading: Reading,
        state: Option<InstrumentState>,
        at: Mono,
        now: Now,
    ) {
        self.handle_readings(device, [(ordinal, &reading, state)], at, now);
    }

    /// Takes what was read together: all of it stands before anything is judged, so that a bit and the state word beside
    /// it are seen as one.
    #[inline]
    pub fn handle_readings<'r, I>(&mut self, device: usize, readings: I, at: Mono, now: Now)
    where
        I: IntoIterator<Item = (u16, &'r Reading, Option<InstrumentState>)>,
    {
        let mut asked = std::mem::take(&mut self.asked);
        self.points.stand(device, readings, at, &mut asked);
        if !asked.is_empty() {
            self.ask_watchers(&mut asked, now);
        }
        self.asked = asked;
        self.drain(now);
    }

    fn ask_watchers(&mut self, asked: &mut Vec<Watcher>, now: Now) {
        // Each is asked once, instruments before alarms.
        asked.sort_unstable();
        asked.dedup();
        asked.drain(..).for_each(|watcher| self.ask_watcher(watcher, now));
    }

    /// Notes that a device answers, or does not.
    pub fn handle_link(&mut self, device: usize, up: bool, now: Now) {
        for index in self.points.set_link(device, up) {
            self.ask(index, now);
        }
        self.drain(now);
    }

    /// Takes the level of a condition that somebody else knows, 0 for none. An id that is not in the book, or is not
    /// [`Condition::External`], is nobody's: returns whether it is there.
    pub fn handle_external(&mut self, id: &str, level: u8, now: Now) -> bool {
        let Some(index) = self.index.by_id.get(id).copied() else { return false };
        if !self.book.alarms.get(index).is_some_and(|spec| spec.condition == Condition::External) {
            return false;
        }
        self.told.insert(index, level);
        self.pending.push_back(index);
        self.drain(now);
        true
    }

    /// Returns when [`Alarms::handle_timeout`] must next be called.
    pub fn poll_timeout(&self) -> Option<Mono> {
        self.timers.first().map(|(at, _)| *at)
    }

    /// Lets time pass up to `now`.
    pub fn handle_timeout(&mut self, now: Now) {
        let mut due = BTreeSet::new();
        while let Some((at, timer)) = self.timers.pop_first() {
            if at > now.mono {
                self.timers.insert((at, timer));
                break;
            }
            due.insert((at, timer));
        }
        for (_, timer) in due {
            match timer {
                Timer::Alarm(index) => self.wake(index, now),
                Timer::Annunciator(index) => self.retry_annunciator(index, now),
                Timer::Receipt => self.miss_receipts(now),
            }
        }
        self.drain(now);
    }

    /// Returns the next output.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// Returns the book in force.
    pub fn book(&self) -> &Arc<AlarmBook> {
        &self.book
    }

    fn ask_watcher(&mut self, watcher: Watcher, now: Now) {
        match watcher {
            Watcher::Detector(index) => self.ask_detector(index, now),
            Watcher::Suppression(index) => self.ask_suppression(index, now),
            Watcher::Alarm(index) => self.ask(index, now),
        }
    }

    fn ask_detector(&mut self, index: usize, now: Now) {
        let (Some(detector), Some(watch)) = (self.book.detectors.get(index), self.watches.get_mut(index)) else {
            return;
        };
        let Some(before) = watch.look(detector, &self.points, (now.mono, now.wall)) else { return };
        let is_test = |state: InstrumentState| matches!(state, InstrumentState::BumpTest | InstrumentState::Simulation);
        let lasted = before.told.map(|_| before.since.elapsed(now.mono));
        let record = InstrumentRecord {
            uid: detector.uid.as_str().into(),
            tag: detector.tag.as_str().into(),
            device: detector.device.as_str().into(),
            from: before.state.as_str().into(),
            to: watch.state.as_str().into(),
            t: now.wall,
            lasted_ms: lasted.map(|lasted| u64::try_from(lasted.as_millis()).unwrap_or(u64::MAX)),
            level_seen: before.seen.filter(|_| is_test(before.state)),
        };
        let mode = if is_test(before.state) || is_test(watch.state) { Mode::Test } else { Mode::Real };
        let document = Document::of(DocumentKind::Service, mode, now.mono, &record);
        self.outputs.push_back(Output::Document(document));
        // Its alarms look at its points too; one that waits for the state alone is asked here.
        self.pending.extend(self.index.of_detector.get(index).into_iter().flatten());
    }

    fn ask_suppression(&mut self, index: usize, now: Now) {
        let book = Arc::clone(&self.book);
        let (Some(spec), Some(instance)) = (book.alarms.get(index), self.instances.get_mut(index)) else { return };
        let suppressed = suppression(spec).and_then(|condition| holds(condition, &self.points)) == Some(true);
        if std::mem::replace(&mut instance.suppressed, suppressed) == suppressed {
            return;
        }
        let cause = if suppressed { Cause::Suppressed } else { Cause::Unsuppressed };
        self.step(index, cause, None, By::itself(), now);
        self.reschedule(index);
    }

    /// Judges one alarm by what stands.
    pub(super) fn ask(&mut self, index: usize, now: Now) {
        let (Some(spec), Some(instance)) = (self.book.alarms.get(index), self.instances.get_mut(index)) else { return };
        let is_told = spec.condition.basis() == Basis::Told;
        let told = if is_told { self.told.get(&index).copied() } else { None };
        let on = instance.switches;
        let scene = Scene { spec, points: &self.points, on: &on, told };
        let verdict = gas::judge(&scene, &self.book, &mut self.watches)
            .unwrap_or_else(|| condition::judge(&scene, &mut instance.window));
        instance.unknown = verdict.level == 0 && !verdict.certain;
        let delay = if is_never_delayed(spec) { Duration::ZERO } else { spec.on_delay };
        let delays = Delays { on: delay, off: spec.off_delay };
        let before = instance.switches.level();
        instance.settle_due = instance.switches.take(verdict, delays, now.mono);
        let after = instance.switches.level();
        if before == after {
            self.note_peak(index);
        } else {
            let cause = match (before, after) {
                (0, _) => Cause::Active,
                (_, 0) => Cause::Clear,
                (before, after) if after > before => Cause::LevelUp,
                _ => Cause::LevelDown,
            };
            self.step(index, cause, Some(after).filter(|level| *level > 0), By::itself(), now);
        }
        self.reschedule(index);
    }

    fn wake(&mut self, index: usize, now: Now) {
        let Some(instance) = self.instances.get_mut(index) else { return };
        instance.due = None;
        let over = instance.open.as_ref().and_then(|open| open.hidden).is_some_and(|hidden| hidden.until <= now.mono);
        if over {
            let cause = if instance.state() == State::Shelved { Cause::ShelfExpired } else { Cause::ServiceExpired };
            self.step(index, cause, None, By::itself(), now);
        }
        self.climb(index, now);
        if self.instances.get(index).and_then(|instance| instance.settle_due).is_some_and(|at| at <= now.mono) {
            self.ask(index, now);
        }
        self.reschedule(index);
    }

    /// Notes when an alarm must be looked at again.
    pub(super) fn reschedule(&mut self, index: usize) {
        let climbs = self.next_step_due(index);
        let Some(instance) = self.instances.get_mut(index) else { return };
        let hidden = instance.open.as_ref().and_then(|open| open.hidden).map(|hidden| hidden.until);
        let due = [instance.settle_due, hidden, climbs].into_iter().flatten().min();
        if instance.due == due {
            return;
        }
        if let Some(old) = std::mem::replace(&mut instance.due, due) {
            self.timers.remove(&(old, Timer::Alarm(index)));
        }
        self.timers.extend(due.map(|at| (at, Timer::Alarm(index))));
    }

    /// Asks those that depend on what others did, until nothing changes any more.
    pub(super) fn drain(&mut self, now: Now) {
        while let Some(index) = self.pending.pop_front() {
            self.ask(index, now);
        }
    }
}

/// Gas and fire: every poll counts (rule 86).
fn is_never_delayed(spec: &AlarmSpec) -> bool {
    matches!(spec.class, Class::Gas | Class::Fire) && !spec.is_about_the_instrument()
}

/// What suppresses an alarm by design; nothing does for gas and fire.
fn suppression(spec: &AlarmSpec) -> Option<&PointCondition> {
    spec.suppressed_when.as_ref().filter(|_| !is_never_delayed(spec))
}

/// Whether the site wants to know of it.
pub(super) fn tells_of_gas(spec: &AlarmSpec) -> bool {
    matches!(spec.condition, Condition::Gas { .. }) && spec.mode == Mode::Real
}
