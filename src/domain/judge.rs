//! What the instruments of one device make of its readings: the state words are read beside the values, and a value is
//! believed only under the state that was read with it.
//!
//! ```text
//!                       state word of this poll known
//!   reading ──────────────────────────────────────────────▶ judged by it
//!      │ not yet                                     ▲
//!      └──▶ held ──── the word comes ────────────────┤ by the worse of the word's state before and now
//!             └────── the poll ends without it ──────┘ by the state as it stands
//!   the word changes to another state than monitoring ──▶ what stands is judged anew, at once
//! ```
//!
//! - A value read before its word within a poll may be older than the change: going back to monitoring, it may still be
//!   test gas. So it needs the word before it *and* after it to say monitoring. Values and words in one request, as the
//!   profiles lay them out, are never held.
//! - A return to monitoring frees no standing value; the next reading does.
//! - A word of another poll class is not waited for: its last state holds. A word that is not there (never read, no
//!   answer, stale) is no state, and a value read under it is suspect.
//! - What a source sends by itself is not held, and history is suspect: nobody knows the state of then.
//! - At most one reading per point is held, and not beyond the end of its poll.
//!
//! Nearly every poll says that all instruments measure, as the one before did. So what is judged is the sample itself, in place;
//! a word that reads as it did means what it meant; and where every word says monitoring and none is waited for,
//! [`Judge::judge`] would return every reading as it is but for flat lines, and only the points with one are looked at.

use std::collections::{BTreeMap, BTreeSet};

use super::field_event::{Origin, Sample};
use super::flatline::Flatline;
use super::instrument::{InstrumentState, StateMap};
use super::reading::{Quality, Reading, Readings};
use super::registry::DeviceSpec;
use super::time::Mono;

/// The judge of one device. Devices without instrument states and flat lines have none.
#[derive(Debug)]
pub struct Judge {
    words: Vec<Word>,
    /// Points judged by a word: the word's index.
    governed: ByOrdinal<usize>,
    flatlines: ByOrdinal<Watched>,
    class_of: Vec<u8>,
    held: Vec<(u16, Reading, Mono)>,
    /// Readings of state words whose code has no name.
    strange: u64,
}

#[derive(Debug)]
struct Word {
    ordinal: u16,
    map: StateMap,
    /// `None` while the word is not there.
    state: Option<InstrumentState>,
    since: Option<Mono>,
    /// The reading that meant `state`; `None` where it has another reason.
    last: Option<Reading>,
    /// Where it stood in the last sample that had it: it mostly stands there again.
    place: usize,
    /// Whether it was read in the poll under way.
    read: bool,
}

impl Word {
    fn new(ordinal: u16, map: &StateMap) -> Self {
        Self { ordinal, map: map.clone(), state: None, since: None, last: None, place: 0, read: false }
    }

    /// What a sample says of it.
    fn reading_in(&mut self, readings: &[(u16, Reading)]) -> Option<Reading> {
        let place = place_in(readings, self.ordinal, &mut self.place)?;
        readings.get(place).map(|(_, reading)| *reading)
    }
}

/// Where a point stands in a sample; mostly where it stood in the last one.
#[inline]
fn place_in(readings: &[(u16, Reading)], ordinal: u16, last: &mut usize) -> Option<usize> {
    if readings.get(*last).is_none_or(|(there, _)| *there != ordinal) {
        *last = readings.binary_search_by_key(&ordinal, |(ordinal, _)| *ordinal).ok()?;
    }
    Some(*last)
}

/// The watch over a point's flat line.
#[derive(Debug)]
struct Watched {
    flatline: Flatline,
    /// Where the point stood in the last sample that had it.
    place: usize,
}

/// What has to be judged beside a sample: readings that were held, to stand before it; what stood under a word that has
/// changed, to be understood anew after it.
#[derive(Debug, Default)]
pub struct Beside {
    /// Stands before the sample.
    pub before: Vec<Judged>,
    /// After it.
    pub after: Option<Judged>,
}

/// Readings of one time as they are to be understood.
#[derive(Clone, Debug, PartialEq)]
pub struct Judged {
    /// When they were read; of what is judged anew, when the state changed.
    pub at: Mono,
    /// Whether they were read now; otherwise they stood already and are judged anew.
    pub fresh: bool,
    /// Whose time they have.
    pub origin: Origin,
    /// Point ordinal, ascending, and reading.
    pub readings: Readings,
}

impl Judge {
    /// Returns the judge of a device, `None` where there is nothing to judge.
    pub fn new(spec: &DeviceSpec, class_of: &[u8]) -> Option<Box<Self>> {
        let instruments = || (0_u16..).zip(&spec.points).filter_map(|(o, p)| Some((o, p.instrument.as_deref()?)));
        let words: Vec<Word> = instruments().filter_map(|(o, i)| Some(Word::new(o, i.states.as_ref()?))).collect();
        let index = |word: u16| words.iter().position(|w| w.ordinal == word);
        let governed = instruments().filter_map(|(o, i)| Some((o, index(i.state_of?)?))).collect();
        let watched = |i: &super::instrument::Instrument| i.frozen.is_some() || i.below.is_some();
        let watch =
            |i: &super::instrument::Instrument| Watched { flatline: Flatline::new(i.frozen, i.below), place: 0 };
        let flatlines: ByOrdinal<Watched> =
            instruments().filter(|(_, i)| watched(i)).map(|(o, i)| (o, watch(i))).collect();
        if words.is_empty() && flatlines.is_empty() {
            return None;
        }
        Some(Box::new(Self { words, governed, flatlines, class_of: class_of.to_vec(), held: Vec::new(), strange: 0 }))
    }

    /// Takes over what the judge of the same points has seen under an earlier configuration.
    pub fn carry(&mut self, old: &Self) {
        for word in &mut self.words {
            if let Some(old) = old.words.iter().find(|o| o.ordinal == word.ordinal && o.map == word.map) {
                (word.state, word.since) = (old.state, old.since);
            }
        }
        for (ordinal, watched) in self.flatlines.iter_mut() {
            if let Some(old) = old.flatlines.get(ordinal) {
                watched.flatline.carry(&old.flatline);
            }
        }
    }

    /// Returns the state of the instrument behind a point and since when, where a word tells it.
    #[inline]
    pub fn state(&self, ordinal: u16) -> Option<(InstrumentState, Mono)> {
        let word = self.words.get(*self.governed.get(ordinal)?)?;
        word.state.zip(word.since)
    }

    /// Takes how many readings of state words had a code without a name since it was last asked.
    pub fn take_strange(&mut self) -> u64 {
        std::mem::take(&mut self.strange)
    }

    /// Judges what was read, in place; what has to wait is taken out. `standing` tells what stands of a point.
    pub fn take(&mut self, sample: &mut Sample, standing: impl Fn(u16) -> Option<Reading>) -> Beside {
        let changes = self.read_words(sample);
        if changes.is_empty() && self.held.is_empty() {
            self.judge_sample(sample);
            return Beside::default();
        }
        let before = self.release(|word| changes.iter().find(|c| c.word == word).map(Change::worse));
        self.judge_sample(sample);
        let changed: Vec<usize> = changes.iter().filter(|c| c.before != c.now).map(|c| c.word).collect();
        let after = self.judge_anew(&changed, sample.at, standing).map(|mut anew| {
            let told = before.iter().flat_map(|judged| &judged.readings).chain(&sample.readings);
            let told: BTreeSet<u16> = told.map(|(ordinal, _)| *ordinal).collect();
            anew.readings.retain(|(ordinal, _)| !told.contains(ordinal));
            anew
        });
        Beside { before, after: after.filter(|anew| !anew.readings.is_empty()) }
    }

    fn judge_sample(&mut self, sample: &mut Sample) {
        let may_wait = sample.origin == Origin::Polled && self.words.iter().any(|word| !word.read);
        let measures = |word: &Word| word.state == Some(InstrumentState::Monitoring);
        if !may_wait && self.words.iter().all(measures) {
            return self.watch_flatlines(sample);
        }
        let at = sample.at;
        sample.readings.retain_mut(|(ordinal, reading)| {
            if may_wait && self.is_waited_for(*ordinal) {
                self.held.push((*ordinal, *reading, at));
                return false;
            }
            let state = self.governed.get(*ordinal).map(|word| self.state_of(*word));
            *reading = self.judge(*ordinal, *reading, state, at);
            true
        });
    }

    /// Judges a sample of instruments that all measure: of that, only flat lines are left to be seen.
    fn watch_flatlines(&mut self, sample: &mut Sample) {
        for (ordinal, watched) in self.flatlines.iter_mut() {
            let Some(place) = place_in(&sample.readings, ordinal, &mut watched.place) else { continue };
            let Some((_, reading)) = sample.readings.get_mut(place) else { continue };
            let judged = watched.flatline.take(*reading, sample.at);
            // Written only where it differs: it is read again at once.
            if judged.quality != reading.quality {
                *reading = judged;
            }
        }
    }

    /// Judges what is still held of a class whose poll has ended.
    pub fn poll_ended(&mut self, class: u8) -> Vec<Judged> {
        let class_of = &self.class_of;
        let is_of = |word: &Word| class_of.get(usize::from(word.ordinal)) == Some(&class);
        self.words.iter_mut().filter(|word| is_of(word)).for_each(|word| word.read = false);
        if self.held.is_empty() {
            return Vec::new();
        }
        let states: Vec<InstrumentState> = (0..self.words.len()).map(|word| self.state_of(word)).collect();
        let ended: Vec<bool> = self.words.iter().map(|word| self.class(word.ordinal) == Some(class)).collect();
        self.release(|word| states.get(word).copied().filter(|_| ended.get(word) == Some(&true)))
    }

    /// Notes that nothing was heard of these points for too long; returns what that makes of others.
    pub fn silent(
        &mut self,
        points: &BTreeSet<u16>,
        at: Mono,
        standing: impl Fn(u16) -> Option<Reading>,
    ) -> Vec<Judged> {
        let mut lost = Vec::new();
        for (index, word) in self.words.iter_mut().enumerate() {
            if points.contains(&word.ordinal) {
                word.last = None;
            }
            if points.contains(&word.ordinal) && word.state.take().is_some() {
                word.since = Some(at);
                lost.push(index);
            }
        }
        for (_, watched) in self.flatlines.iter_mut().filter(|(ordinal, _)| points.contains(ordinal)) {
            watched.flatline.pause();
        }
        let anew = self.judge_anew(&lost, at, standing).map(|mut anew| {
            anew.readings.retain(|(ordinal, _)| !points.contains(ordinal));
            anew
        });
        anew.into_iter().filter(|anew| !anew.readings.is_empty()).collect()
    }

    /// Judges a value of the past, of whose time no state is known.
    pub fn past(&self, ordinal: u16, reading: Reading) -> Reading {
        if self.governed.get(ordinal).is_some() { InstrumentState::Unknown.judge(reading) } else { reading }
    }

    /// Reads the words of a sample. Returns those that changed; all of them while something waits for one.
    fn read_words(&mut self, sample: &Sample) -> Vec<Change> {
        let mut changes = Vec::new();
        let somebody_waits = !self.held.is_empty();
        for (index, word) in self.words.iter_mut().enumerate() {
            let Some(reading) = word.reading_in(&sample.readings) else { continue };
            let now = if word.last == Some(reading) { word.state } else { state_in(&word.map, reading) };
            word.last = Some(reading);
            self.strange += u64::from(reading.value().is_some() && now == Some(InstrumentState::Unknown));
            if somebody_waits || word.state != now {
                changes.push(Change { word: index, before: word.state, first: word.since.is_none(), now });
            }
            if word.since.is_none() || word.state != now {
                (word.state, word.since) = (now, Some(sample.at));
            }
            word.read = true;
        }
        changes
    }

    /// Whether a polled value must wait for its word, which comes later in the same poll.
    fn is_waited_for(&self, ordinal: u16) -> bool {
        let word = self.governed.get(ordinal).and_then(|word| self.words.get(*word));
        let is_same_class = |word: &Word| self.class(word.ordinal) == self.class(ordinal);
        word.is_some_and(|word| !word.read && is_same_class(word))
    }

    /// Lets go of what is held of the words for which there is a state now, grouped by the time it was read.
    fn release(&mut self, state: impl Fn(usize) -> Option<InstrumentState>) -> Vec<Judged> {
        if self.held.is_empty() {
            return Vec::new();
        }
        let mut by_time: BTreeMap<Mono, Readings> = BTreeMap::new();
        for (ordinal, reading, at) in std::mem::take(&mut self.held) {
            match self.governed.get(ordinal).and_then(|word| state(*word)) {
                Some(state) => {
                    let judged = self.judge(ordinal, reading, Some(state), at);
                    by_time.entry(at).or_default().push((ordinal, judged));
                }
                None => self.held.push((ordinal, reading, at)),
            }
        }
        let judged = |(at, readings)| Judged { at, fresh: true, origin: Origin::Polled, readings };
        by_time.into_iter().map(judged).collect()
    }

    /// First the flat line, which concerns what the instrument measures, then the state.
    fn judge(&mut self, ordinal: u16, reading: Reading, state: Option<InstrumentState>, at: Mono) -> Reading {
        let state = state.unwrap_or(InstrumentState::Monitoring);
        let watched = match self.flatlines.get_mut(ordinal) {
            Some(watched) if state == InstrumentState::Monitoring => watched.flatline.take(reading, at),
            Some(watched) => {
                watched.flatline.pause();
                reading
            }
            None => reading,
        };
        state.judge(watched)
    }

    /// Judges what stands under words that have just changed. Nothing that was no measurement becomes one here.
    fn judge_anew(&self, words: &[usize], at: Mono, standing: impl Fn(u16) -> Option<Reading>) -> Option<Judged> {
        if words.is_empty() {
            return None;
        }
        let under = |word: &usize| words.contains(word) && self.state_of(*word) != InstrumentState::Monitoring;
        let governed = self.governed.iter().filter(|(_, word)| under(word));
        let readings: Readings = governed
            .filter_map(|(ordinal, word)| Some((ordinal, self.state_of(*word).judge(standing(ordinal)?))))
            .collect();
        (!readings.is_empty()).then_some(Judged { at, fresh: false, origin: Origin::Polled, readings })
    }

    fn state_of(&self, word: usize) -> InstrumentState {
        self.words.get(word).and_then(|word| word.state).unwrap_or(InstrumentState::Unknown)
    }

    fn class(&self, ordinal: u16) -> Option<u8> {
        self.class_of.get(usize::from(ordinal)).copied()
    }
}

/// What some points of a device have: found in one step, because every reading asks.
#[derive(Debug)]
struct ByOrdinal<T> {
    /// By ordinal: place in `all` + 1, 0 for none.
    places: Vec<u32>,
    all: Vec<(u16, T)>,
}

impl<T> ByOrdinal<T> {
    #[inline]
    fn place(&self, ordinal: u16) -> Option<usize> {
        usize::try_from(*self.places.get(usize::from(ordinal))?).ok()?.checked_sub(1)
    }

    #[inline]
    fn get(&self, ordinal: u16) -> Option<&T> {
        self.all.get(self.place(ordinal)?).map(|(_, one)| one)
    }

    #[inline]
    fn get_mut(&mut self, ordinal: u16) -> Option<&mut T> {
        let place = self.place(ordinal)?;
        self.all.get_mut(place).map(|(_, one)| one)
    }

    fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    fn iter(&self) -> impl Iterator<Item = (u16, &T)> {
        self.all.iter().map(|(ordinal, one)| (*ordinal, one))
    }

    fn iter_mut(&mut self) -> impl Iterator<Item = (u16, &mut T)> {
        self.all.iter_mut().map(|(ordinal, one)| (*ordinal, one))
    }
}

impl<T> FromIterator<(u16, T)> for ByOrdinal<T> {
    /// Ordinals ascending.
    fn from_iter<I: IntoIterator<Item = (u16, T)>>(all: I) -> Self {
        let all: Vec<(u16, T)> = all.into_iter().collect();
        let mut places = vec![0; all.last().map_or(0, |(last, _)| usize::from(*last) + 1)];
        for ((ordinal, _), n) in all.iter().zip(1_u32..) {
            if let Some(place) = places.get_mut(usize::from(*ordinal)) {
                *place = n;
            }
        }
        Self { places, all }
    }
}

/// What a sample says of a word.
struct Change {
    word: usize,
    before: Option<InstrumentState>,
    first: bool,
    now: Option<InstrumentState>,
}

impl Change {
    /// The state for what was read between the word before and the word now.
    fn worse(&self) -> InstrumentState {
        let known = |state: Option<InstrumentState>| state.unwrap_or(InstrumentState::Unknown);
        if self.first { known(self.now) } else { known(self.before).max(known(self.now)) }
    }
}

/// No state where nothing was read; unknown where the device refuses the word.
fn state_in(map: &StateMap, reading: Reading) -> Option<InstrumentState> {
    match (reading.value(), reading.quality) {
        (_, Quality::Comm | Quality::Stale) => None,
        (Some(value), _) => Some(map.state(value)),
        (None, _) => Some(InstrumentState::Unknown),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use proptest::prelude::*;

    use super::super::id::DeviceSlot;
    use super::super::instrument::{Frozen, Instrument};
    use super::super::reading::Value;
    use super::super::registry::testing::registry_with;
    use super::*;

    const WORD: u16 = 1;

    /// Point 0 is gas, 1 its state word (0 monitoring, 1 calibration, 2 fault), 2 a temperature of nobody.
    fn spec(frozen: Option<Frozen>) -> DeviceSpec {
        let mut spec = (*registry_with(1, 3, |_| None).devices[0]).clone();
        let states = StateMap::parse("0=monitoring; 1=calibration; 2=fault").unwrap();
        spec.points[0].instrument =
            Some(Arc::new(Instrument { state_of: Some(WORD), frozen, ..Instrument::default() }));
        spec.points[1].instrument = Some(Arc::new(Instrument { states: Some(states), ..Instrument::default() }));
        spec
    }

    struct Bench {
        judge: Box<Judge>,
        standing: BTreeMap<u16, Reading>,
    }

    impl Bench {
        fn new(class_of: [u8; 3]) -> Self {
            Self { judge: Judge::new(&spec(None), &class_of).unwrap(), standing: BTreeMap::new() }
        }

        fn read(&mut self, secs: u64, values: &[(u16, f64)]) -> Vec<Judged> {
            let readings = values.iter().map(|(o, v)| (*o, Reading::good(Value::Number(*v)))).collect();
            self.take(secs, readings)
        }

        fn take(&mut self, secs: u64, readings: Vec<(u16, Reading)>) -> Vec<Judged> {
            self.take_sample(Sample {
                slot: DeviceSlot(0),
                at: Mono::from_secs(secs),
                origin: Origin::Polled,
                readings: readings.into(),
            })
        }

        fn take_sample(&mut self, mut sample: Sample) -> Vec<Judged> {
            let standing = self.standing.clone();
            let Beside { before, after } = self.judge.take(&mut sample, |ordinal| standing.get(&ordinal).copied());
            let Sample { at, origin, readings, .. } = sample;
            let fresh = Some(Judged { at, fresh: true, origin, readings }).filter(|judged| !judged.readings.is_empty());
            self.keep(before.into_iter().chain(fresh).chain(after).collect())
        }

        /// The same without any short cut: every word is looked up and read anew, every change is told, every reading is
        /// asked whether it must wait, and judged.
        fn take_the_long_way(&mut self, sample: &Sample) -> Vec<Judged> {
            let judge = &mut self.judge;
            let mut changes = Vec::new();
            for (index, word) in judge.words.iter_mut().enumerate() {
                let Some((_, reading)) = sample.readings.iter().find(|(ordinal, _)| *ordinal == word.ordinal) else {
                    continue;
                };
                let now = state_in(&word.map, *reading);
                judge.strange += u64::from(reading.value().is_some() && now == Some(InstrumentState::Unknown));
                changes.push(Change { word: index, before: word.state, first: word.since.is_none(), now });
                if word.since.is_none() || word.state != now {
                    (word.state, word.since) = (now, Some(sample.at));
                }
                word.read = true;
            }
            let mut judged = judge.release(|word| changes.iter().find(|c| c.word == word).map(Change::worse));
            let mut readings = Readings::new();
            for (ordinal, reading) in &sample.readings {
                if sample.origin == Origin::Polled && judge.is_waited_for(*ordinal) {
                    judge.held.push((*ordinal, *reading, sample.at));
                } else {
                    let state = judge.governed.get(*ordinal).map(|word| judge.state_of(*word));
                    readings.push((*ordinal, judge.judge(*ordinal, *reading, state, sample.at)));
                }
            }
            judged.push(Judged { at: sample.at, fresh: true, origin: sample.origin, readings });
            let changed: Vec<usize> = changes.iter().filter(|c| c.before != c.now).map(|c| c.word).collect();
            if let Some(mut anew) = judge.judge_anew(&changed, sample.at, |o| self.standing.get(&o).copied()) {
                let told: BTreeSet<u16> =
                    judged.iter().flat_map(|j| &j.readings).map(|(ordinal, _)| *ordinal).collect();
                anew.readings.retain(|(ordinal, _)| !told.contains(ordinal));
                judged.push(anew);
            }
            judged.retain(|j| !j.readings.is_empty());
            self.keep(judged)
        }

        fn end(&mut self) -> Vec<Judged> {
            let judged = self.judge.poll_ended(0);
            self.keep(judged)
        }

        fn keep(&mut self, judged: Vec<Judged>) -> Vec<Judged> {
            self.standing.extend(judged.iter().flat_map(|j| j.readings.iter().copied()));
            judged
        }

        fn gas(&self) -> (Option<f64>, Quality) {
            let gas = self.standing[&0];
            (gas.value().map(Value::as_f64), gas.quality)
        }
    }

    #[test]
    fn a_device_without_instruments_has_no_judge() {
        assert!(Judge::new(&registry_with(1, 3, |_| None).devices[0], &[0; 3]).is_none());
    }

    #[test]
    fn value_and_word_of_one_request_are_judged_together() {
        let mut bench = Bench::new([0; 3]);
        bench.read(1, &[(0, 2.0), (1, 0.0), (2, 20.0)]);
        assert_eq!(bench.gas(), (Some(2.0), Quality::Good));
        bench.read(2, &[(0, 50.0), (1, 1.0), (2, 20.0)]);
        assert_eq!(bench.gas(), (None, Quality::Calibration));
        assert_eq!(bench.standing[&2].quality, Quality::Good, "what no word governs is let alone");
        assert_eq!(bench.judge.state(0), Some((InstrumentState::Calibration, Mono::from_secs(2))));
        bench.read(3, &[(0, 1.0), (1, 0.0)]);
        assert_eq!(bench.gas(), (Some(1.0), Quality::Good));
    }

    #[test]
    fn a_value_read_before_its_word_waits_for_it() {
        let mut bench = Bench::new([0; 3]);
        assert_eq!(bench.read(1, &[(0, 2.0)]), []);
        let told = bench.read(2, &[(1, 0.0)]);
        assert_eq!(told[0].at, Mono::from_secs(1), "with the time at which it was read");
        assert_eq!(bench.gas(), (Some(2.0), Quality::Good));
        assert_eq!(bench.end(), []);
        // Test gas is on; the next word still says so, although the one after it may not.
        bench.read(3, &[(0, 50.0)]);
        bench.read(4, &[(1, 1.0)]);
        assert_eq!(bench.gas(), (None, Quality::Calibration));
        bench.end();
        bench.read(5, &[(0, 50.0)]);
        bench.read(6, &[(1, 0.0)]);
        assert_eq!(bench.gas(), (None, Quality::Calibration), "read while the word before still said calibration");
        bench.end();
        bench.read(7, &[(0, 2.0)]);
        bench.read(8, &[(1, 0.0)]);
        assert_eq!(bench.gas(), (Some(2.0), Quality::Good));
    }

    #[test]
    fn a_word_that_does_not_come_leaves_its_value_suspect_at_the_end_of_the_poll() {
        let mut bench = Bench::new([0; 3]);
        bench.read(1, &[(0, 2.0)]);
        bench.end();
        assert_eq!(bench.gas(), (Some(2.0), Quality::Suspect), "never read");
        bench.read(2, &[(0, 2.0)]);
        bench.take(3, vec![(1, Reading::missing(Quality::Comm))]);
        assert_eq!(bench.gas(), (Some(2.0), Quality::Suspect), "not answered");
        assert_eq!(bench.judge.state(0), None);
        bench.end();
        bench.take(4, vec![(1, Reading::missing(Quality::Sensor))]);
        assert_eq!(bench.judge.state(0).map(|s| s.0), Some(InstrumentState::Unknown), "refused by the device");
    }

    #[test]
    fn a_change_of_a_slower_word_is_told_of_what_stands_and_its_return_frees_nothing() {
        let mut bench = Bench::new([0, 1, 0]);
        bench.read(1, &[(1, 0.0)]);
        bench.read(1, &[(0, 2.0)]);
        assert_eq!(bench.gas(), (Some(2.0), Quality::Good), "a word of another class is not waited for");
        let told = bench.read(5, &[(1, 1.0)]);
        assert!(told.iter().any(|j| !j.fresh && j.at == Mono::from_secs(5) && j.readings[0].0 == 0), "{told:?}");
        assert_eq!(bench.gas(), (None, Quality::Calibration));
        bench.read(9, &[(1, 0.0)]);
        assert_eq!(bench.gas(), (None, Quality::Calibration), "read when it was test gas");
        bench.read(10, &[(0, 2.0)]);
        assert_eq!(bench.gas(), (Some(2.0), Quality::Good));
    }

    #[test]
    fn a_silent_word_is_no_state() {
        let mut bench = Bench::new([0, 1, 0]);
        bench.read(1, &[(1, 0.0)]);
        bench.read(1, &[(0, 2.0)]);
        let standing = bench.standing.clone();
        let silent = BTreeSet::from([WORD]);
        let told = bench.judge.silent(&silent, Mono::from_secs(60), |o| standing.get(&o).copied());
        bench.keep(told);
        assert_eq!(bench.gas(), (Some(2.0), Quality::Suspect));
    }

    #[test]
    fn a_code_without_a_name_is_counted_and_neither_believed_nor_hidden() {
        let mut bench = Bench::new([0; 3]);
        bench.read(1, &[(0, 2.0), (1, 77.0)]);
        bench.read(2, &[(0, 2.0), (1, 0.0)]);
        assert_eq!((bench.judge.take_strange(), bench.judge.take_strange()), (1, 0));
    }

    #[test]
    fn time_under_test_gas_is_no_flat_line() {
        let frozen = Frozen { after: Duration::from_secs(100), except: None };
        let mut bench = Bench { judge: Judge::new(&spec(Some(frozen)), &[0; 3]).unwrap(), standing: BTreeMap::new() };
        bench.read(0, &[(0, 2.0), (1, 0.0)]);
        bench.read(90, &[(0, 2.0), (1, 1.0)]);
        bench.read(190, &[(0, 2.0), (1, 0.0)]);
        assert_eq!(bench.gas().1, Quality::Good);
        bench.read(290, &[(0, 2.0), (1, 0.0)]);
        assert_eq!(bench.gas().1, Quality::Suspect);
    }

    #[test]
    fn the_past_is_suspect_where_a_word_would_have_been_needed() {
        let bench = Bench::new([0; 3]);
        let gas = Reading::good(Value::Number(50.0));
        assert_eq!(bench.judge.past(0, gas).quality, Quality::Suspect);
        assert_eq!(bench.judge.past(2, gas), gas);
    }

    /// Points 0 and 1 under the word 2, 3 under the word 4, 5 with a flat line of its own where asked for, 6 of nobody.
    fn two_words(flat: bool) -> DeviceSpec {
        let mut spec = (*registry_with(1, 7, |_| None).devices[0]).clone();
        let states = StateMap::parse("0=monitoring; 1=calibration; 2=fault").unwrap();
        let under = |word| Some(Arc::new(Instrument { state_of: Some(word), ..Instrument::default() }));
        let word = Some(Arc::new(Instrument { states: Some(states), ..Instrument::default() }));
        let frozen = Some(Frozen { after: Duration::from_secs(5), except: None });
        (spec.points[0].instrument, spec.points[1].instrument) = (under(2), under(2));
        (spec.points[2].instrument, spec.points[4].instrument) = (word.clone(), word);
        spec.points[3].instrument = under(4);
        if flat {
            spec.points[5].instrument = Some(Arc::new(Instrument { frozen, ..Instrument::default() }));
        }
        spec
    }

    #[test]
    fn the_short_way_through_the_judge_ends_where_the_long_one_does() {
        let mut random = fastrand::Rng::with_seed(11);
        let (mut told, mut quiet) = (0, 0);
        for story in 0..400 {
            let (spec, class_of) = (two_words(story % 2 == 0), [[0; 7], [0, 0, 1, 0, 0, 1, 1]][story / 2 % 2]);
            let bench = || Bench { judge: Judge::new(&spec, &class_of).unwrap(), standing: BTreeMap::new() };
            let (mut short, mut long) = (bench(), bench());
            for secs in 0..100 {
                // Whole polls mostly, as the words of a sound park have it; pieces of them, and what goes wrong, else.
                let whole = random.u8(0..3) > 0;
                let ordinals = (0..7).filter(|_| whole || random.bool()).collect::<Vec<u16>>();
                let mut reading = |ordinal: u16| match (ordinal, random.u8(0..20)) {
                    (_, 0) => Reading::missing([Quality::Comm, Quality::Sensor][random.usize(0..2)]),
                    (2 | 4, 1..3) => Reading::good(Value::Number(f64::from(random.u8(0..4)))),
                    (2 | 4, _) => Reading::good(Value::Number(0.0)),
                    (_, n) => Reading::good(Value::Number(f64::from(n / 7))),
                };
                let readings = ordinals.into_iter().map(|ordinal| (ordinal, reading(ordinal))).collect();
                let origin = if random.u8(0..10) == 0 { Origin::Received(None) } else { Origin::Polled };
                let sample = Sample { slot: DeviceSlot(0), at: Mono::from_secs(secs), origin, readings };
                let by_the_short = short.take_sample(sample.clone());
                assert_eq!(by_the_short, long.take_the_long_way(&sample), "story {story}, {secs} s");
                quiet += usize::from(
                    by_the_short == [Judged { at: sample.at, fresh: true, origin, readings: sample.readings }],
                );
                told += by_the_short.len();
                if random.u8(0..3) > 0 {
                    assert_eq!(short.end(), long.end(), "story {story}, {secs} s");
                }
                if random.u8(0..30) == 0 {
                    let silent = BTreeSet::from([[0, 2, 4, 5][random.usize(0..4)]]);
                    let [a, b] = [&mut short, &mut long].map(|bench| {
                        let standing = bench.standing.clone();
                        let anew = bench.judge.silent(&silent, Mono::from_secs(secs), |o| standing.get(&o).copied());
                        bench.keep(anew)
                    });
                    assert_eq!(a, b, "story {story}, {secs} s");
                }
                assert_eq!(short.judge.take_strange(), long.judge.take_strange(), "story {story}, {secs} s");
                (0..7).for_each(|o| assert_eq!(short.judge.state(o), long.judge.state(o), "story {story}, {secs} s"));
            }
        }
        assert!(told > 20_000 && quiet > 5_000, "{told} {quiet}: too few to have tried both ways");
    }

    proptest! {
        /// Whatever the order of requests: gas told as good was read between two words that both said monitoring.
        #[test]
        fn a_measurement_stands_between_two_words_of_monitoring(
            story in prop::collection::vec((0_u8..4, 0_u8..3), 1..60),
        ) {
            let mut bench = Bench::new([0; 3]);
            let (mut under, mut last_word, mut secs) = (None, None, 0);
            for (what, word) in story {
                secs += 1;
                let told = match what {
                    0 => { under = Some(last_word); bench.read(secs, &[(0, 50.0)]) }
                    1 => {
                        let told = bench.read(secs, &[(1, f64::from(word))]);
                        last_word = Some(word);
                        told
                    }
                    2 => { last_word = Some(word); under = Some(Some(word)); bench.read(secs, &[(0, 50.0), (1, f64::from(word))]) }
                    _ => bench.end(),
                };
                let good = told.iter().flat_map(|j| &j.readings).any(|(o, r)| *o == 0 && r.quality == Quality::Good);
                if good {
                    prop_assert_eq!(last_word, Some(0), "the word now says monitoring");
                    prop_assert!(matches!(under, Some(None | Some(0))), "and so did the one before, if there was one");
                }
            }
        }
    }
}
