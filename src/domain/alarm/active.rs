//! What stands: the list for page and command line, the counts, and the active set for the platform.

use std::sync::Arc;

use super::super::document::{Document, DocumentKind};
use super::super::instrument::InstrumentState;
use super::super::record::Mode;
use super::super::time::Now;
use super::counts::{FLOOD_LIMIT, STALE_AFTER};
use super::instance::{Instance, Occurrence};
use super::machine::Alarms;
use super::spec::{AlarmSpec, Condition};
use super::state::State;
use super::view::{ActiveAlarm, ActiveEntry, ActiveSet, Counts, InstrumentView};

impl Alarms {
    /// Returns every alarm that is not normal, in order of id.
    pub fn active(&self, now: Now) -> Vec<ActiveAlarm> {
        self.open().filter_map(|(spec, instance, open)| self.view(spec, instance, open, now)).collect()
    }

    fn open(&self) -> impl Iterator<Item = (&AlarmSpec, &Instance, &Occurrence)> {
        self.index.by_id.values().filter_map(|index| {
            let (spec, instance) = (self.book.alarms.get(*index)?, self.instances.get(*index)?);
            Some((spec, instance, instance.open.as_deref()?))
        })
    }

    fn view(&self, spec: &AlarmSpec, instance: &Instance, open: &Occurrence, now: Now) -> Option<ActiveAlarm> {
        let source = spec.hazard_source.and_then(|index| self.book.hazard_sources.get(index));
        Some(ActiveAlarm {
            last: super::record::AlarmRecord { peak: open.peak, ..(**open.last.as_ref()?).clone() },
            active: open.beneath.is_active(),
            stale: instance.unknown,
            active_for_s: open.active.map_or(0, |active| active.elapsed(now.mono).as_secs()),
            left_s: open.hidden.map(|hidden| hidden.until.since(now.mono).as_secs()),
            chattering: instance.is_chattering(now.mono),
            likely_cause: spec.likely_cause.clone(),
            response: spec.response.clone(),
            responsible: source.map(|s| [s.main.clone(), s.technical.clone(), s.operating.clone()]),
        })
    }

    /// Returns the counts.
    pub fn counts(&self, now: Now) -> Counts {
        let mut counts = Counts::default();
        for (_, _, open) in self.open() {
            let of_state = match open.state {
                State::Shelved => &mut counts.shelved,
                State::Suppressed => &mut counts.suppressed,
                State::OutOfService => &mut counts.out_of_service,
                State::Unacked | State::Acked => &mut counts.active,
                State::LatchedUnacked | State::LatchedAcked => &mut counts.latched,
                State::Normal | State::ReturnedUnacked => &mut 0,
            };
            *of_state += 1;
            counts.unacked += usize::from(open.state.is_unacked());
            let is_stale = open.active.is_some_and(|active| active.elapsed(now.mono) > STALE_AFTER);
            counts.stale += usize::from(is_stale && !open.state.is_hidden());
        }
        counts.chattering = self.instances.iter().filter(|instance| instance.is_chattering(now.mono)).count();
        counts.last_10_min = self.flood.within(now.mono);
        counts.flood = counts.last_10_min > FLOOD_LIMIT;
        counts.peak_10_min = self.flood.peak;
        counts
    }

    /// Returns the instruments that are not measuring, in the order of the book.
    pub fn instruments(&self, now: Now) -> Vec<InstrumentView> {
        let may = |detector: usize, state: InstrumentState| {
            let alarms = self.index.of_detector.get(detector)?.iter().filter_map(|at| self.book.alarms.get(*at));
            alarms.filter_map(|spec| limit_of(&spec.condition, state)).min()
        };
        let watched = self.book.detectors.iter().zip(&self.watches).enumerate();
        watched
            .filter(|(_, (_, watch))| watch.state != InstrumentState::Monitoring)
            .map(|(index, (detector, watch))| {
                let lasted = watch.since.elapsed(now.mono);
                InstrumentView {
                    uid: detector.uid.as_str().into(),
                    tag: detector.tag.as_str().into(),
                    state: watch.state.as_str().into(),
                    since: watch.told.unwrap_or_else(|| now.wall.before(lasted)),
                    for_s: lasted.as_secs(),
                    may_s: may(index, watch.state).map(|limit| limit.as_secs()),
                }
            })
            .collect()
    }

    /// Returns the whole active set, to be recorded on connect, hourly and on request.
    pub fn active_set_document(&self, now: Now) -> Document {
        Document::of(DocumentKind::ActiveAlarms, Mode::Real, now.mono, &self.active_set(now))
    }

    /// Returns the whole active set.
    pub fn active_set(&self, now: Now) -> ActiveSet {
        let entry = |(spec, instance, open): (&AlarmSpec, &Instance, &Occurrence)| ActiveEntry {
            alarm: Arc::clone(&spec.id),
            occ: open.occ,
            n: open.n,
            state: open.state,
            level: open.level,
            stale: instance.unknown,
        };
        let alarms: Vec<ActiveEntry> = self.open().map(entry).collect();
        let line =
            |entry: &ActiveEntry| format!("{} {} {} {}\n", entry.alarm, entry.occ, entry.n, entry.state.as_str());
        let text: String = alarms.iter().map(line).collect();
        let hash = ring::digest::digest(&ring::digest::SHA256, text.as_bytes());
        let hash = hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        let (limits_rev, counts) = (self.book.rev, self.counts(now));
        ActiveSet { limits_rev, hash, counts, alarms, instruments: self.instruments(now) }
    }
}

fn limit_of(condition: &Condition, state: InstrumentState) -> Option<std::time::Duration> {
    let Condition::StateTooLong { limits, .. } = condition else { return None };
    limits.iter().find(|(limited, _)| *limited == state).map(|(_, limit)| *limit)
}
