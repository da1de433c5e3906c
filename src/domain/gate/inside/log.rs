//! The log that the gateways of a park share: a set of events that only grows. Taking in an event that is known changes
//! nothing, and the order in which events come does not matter; so two gateways that were cut off from one another know the
//! same as soon as each has what the other wrote.
//!
//! Of several versions of an event the highest holds. Of two that have the same version, written on both sides of a cut, every
//! gateway takes the same one (by their text), and both are shown as a conflict. The same for a number that was given twice,
//! which happens when two devices bear one gateway's name.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::event::{Event, EventId, Source};
use crate::domain::ranges::RangeSet;

/// Events sent to a peer at once: a few hundred kilobytes, so that a long cut is made up for in pieces.
pub const BATCH: usize = 500;

/// What a gateway has of each source: first and last numbers of its ranges.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Have(pub Vec<(Source, Vec<(u64, u64)>)>);

/// What came of taking in an event.
#[derive(Clone, Debug, PartialEq)]
pub enum Taken {
    /// It was known.
    Known,
    /// It is new, and changes what holds of its id.
    Holds,
    /// It is new, and something else holds of its id.
    Older,
}

/// Two things that cannot both be so; shown to people.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "conflict", rename_all = "snake_case")]
pub enum Conflict {
    /// The same event was changed on both sides of a cut.
    TwoVersions {
        /// Which.
        id: EventId,
        /// The version.
        version: u32,
    },
    /// One number was given twice: two devices bear one name, or a store was copied.
    TwoOfOneName {
        /// Whose.
        source: Source,
        /// The number.
        seq: u64,
    },
    /// One event of a camera came in at two gateways; the first one counts.
    SameRead {
        /// Which counts.
        kept: EventId,
        /// Which does not.
        other: EventId,
    },
    /// It came from a peer when everything of its time was folded into a stock already: it is not counted here.
    BeyondHorizon {
        /// Which.
        id: EventId,
    },
}

impl Conflict {
    /// Returns the event by which a person settles it.
    pub fn event(&self) -> EventId {
        match self {
            Self::TwoVersions { id, .. } | Self::BeyondHorizon { id } => id.clone(),
            Self::TwoOfOneName { source, seq } => EventId { source: source.clone(), n: *seq },
            Self::SameRead { other, .. } => other.clone(),
        }
    }
}

/// See the module.
#[derive(Clone, Debug, Default)]
pub struct Log {
    entries: BTreeMap<Source, BTreeMap<u64, Arc<Event>>>,
    /// What was ever taken in, also what is not kept any more.
    seen: BTreeMap<Source, RangeSet>,
    /// What of it is not kept any more.
    folded: BTreeMap<Source, RangeSet>,
    /// Versions after the first, of the few events that have them.
    revised: BTreeMap<EventId, Vec<Arc<Event>>>,
}

impl Log {
    /// Takes an event in; says what came of it, and whether it contradicts another one.
    pub fn insert(&mut self, event: &Arc<Event>) -> (Taken, Option<Conflict>) {
        let of_source = self.entries.entry(event.source.clone()).or_default();
        match of_source.get(&event.seq) {
            Some(known) if known == event => return (Taken::Known, None),
            Some(known) => {
                let conflict = Conflict::TwoOfOneName { source: event.source.clone(), seq: event.seq };
                if text(known) >= text(event) {
                    return (Taken::Known, Some(conflict));
                }
                let known = known.clone();
                of_source.insert(event.seq, event.clone());
                self.forget_version(&known);
                let conflict = self.take_version(event).or(Some(conflict));
                return (Taken::Holds, conflict);
            }
            None if self.seen.get(&event.source).is_some_and(|seen| seen.contains(event.seq)) => {
                return (Taken::Known, None);
            }
            None => {}
        }
        of_source.insert(event.seq, event.clone());
        self.see(event);
        let conflict = self.take_version(event);
        let holds = self.holding(&event.id).is_some_and(|holding| Arc::ptr_eq(holding, event));
        (if holds { Taken::Holds } else { Taken::Older }, conflict)
    }

    /// Notes an event as taken in without keeping it.
    pub fn pass_over(&mut self, event: &Event) {
        self.see(event);
        self.folded.entry(event.source.clone()).or_default().insert(event.seq..=event.seq);
    }

    /// Returns the event that stands at a number.
    pub fn at(&self, source: &Source, seq: u64) -> Option<&Arc<Event>> {
        self.entries.get(source)?.get(&seq)
    }

    /// Returns whether this number of this source was ever taken in.
    pub fn is_seen(&self, event: &Event) -> bool {
        self.seen.get(&event.source).is_some_and(|seen| seen.contains(event.seq))
    }

    fn see(&mut self, event: &Event) {
        self.seen.entry(event.source.clone()).or_default().insert(event.seq..=event.seq);
    }

    /// Returns the version that holds of an event.
    pub fn holding(&self, id: &EventId) -> Option<&Arc<Event>> {
        let first = self.entries.get(&id.source).and_then(|of| of.get(&id.n)).filter(|event| event.version == 1);
        let later = self.revised.get(id).into_iter().flatten();
        first.into_iter().chain(later).max_by(|a, b| {
            // The text only where it is needed: it is made anew each time.
            a.version.cmp(&b.version).then_with(|| text(a).cmp(&text(b)))
        })
    }

    /// Returns the highest number taken in of a source.
    pub fn last(&self, source: &Source) -> u64 {
        self.seen.get(source).and_then(RangeSet::last).unwrap_or(0)
    }

    /// Returns what is taken in.
    pub fn have(&self) -> Have {
        Have(ranges(&self.seen))
    }

    /// Returns what was taken in and is not kept.
    pub fn folded(&self) -> Have {
        Have(ranges(&self.folded))
    }

    /// Takes back what was taken in and not kept before a restart.
    pub fn recall(&mut self, folded: &Have) {
        for (source, ranges) in &folded.0 {
            for (first, last) in ranges {
                self.seen.entry(source.clone()).or_default().insert(*first..=*last);
                self.folded.entry(source.clone()).or_default().insert(*first..=*last);
            }
        }
    }

    /// Returns what a peer lacks of what is kept here, the oldest of each source first, at most [`BATCH`].
    pub fn lacking(&self, peer: &Have) -> Vec<Arc<Event>> {
        let mut lacking = Vec::new();
        for (source, of) in &self.entries {
            let mut held = RangeSet::new();
            for (first, last) in peer.0.iter().filter(|(of, _)| of == source).flat_map(|(_, ranges)| ranges) {
                held.insert(*first..=*last);
            }
            // From hole to hole of what the peer has, so that it costs what is lacking, not what is kept.
            let mut next = Some(held.first_missing(0));
            while let Some((seq, event)) = next.and_then(|from| of.range(from..).next()) {
                if held.contains(*seq) {
                    next = Some(held.first_missing(*seq)).filter(|hole| hole > seq);
                    continue;
                }
                lacking.push(event.clone());
                if lacking.len() >= BATCH {
                    return lacking;
                }
                next = seq.checked_add(1);
            }
        }
        lacking
    }

    /// Returns every event that is kept.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Event>> {
        self.entries.values().flat_map(BTreeMap::values)
    }

    /// Keeps all versions of an event no longer; that they were taken in stays known.
    pub fn fold(&mut self, id: &EventId) {
        let first = self.at(&id.source, id.n).filter(|event| event.id == *id).cloned();
        let later = self.revised.remove(id).unwrap_or_default();
        for event in first.into_iter().chain(later) {
            if let Some(of) = self.entries.get_mut(&event.source) {
                of.remove(&event.seq);
            }
            self.folded.entry(event.source.clone()).or_default().insert(event.seq..=event.seq);
        }
        self.entries.retain(|_, of| !of.is_empty());
    }

    /// Returns the versions that were written more than once.
    pub fn two_versions(&self) -> impl Iterator<Item = Conflict> + '_ {
        self.revised.iter().flat_map(|(id, versions)| {
            let twice = |one: &&Arc<Event>| {
                versions.iter().any(|other| other.version == one.version && !Arc::ptr_eq(one, other))
            };
            let numbers: std::collections::BTreeSet<u32> =
                versions.iter().filter(twice).map(|one| one.version).collect();
            numbers.into_iter().map(|version| Conflict::TwoVersions { id: id.clone(), version })
        })
    }

    fn take_version(&mut self, event: &Arc<Event>) -> Option<Conflict> {
        if event.version == 1 && event.source == event.id.source && event.seq == event.id.n {
            return None;
        }
        let versions = self.revised.entry(event.id.clone()).or_default();
        let twice = versions.iter().any(|one| one.version == event.version && one.body != event.body);
        versions.push(event.clone());
        twice.then(|| Conflict::TwoVersions { id: event.id.clone(), version: event.version })
    }

    fn forget_version(&mut self, event: &Arc<Event>) {
        if let Some(versions) = self.revised.get_mut(&event.id) {
            versions.retain(|one| !Arc::ptr_eq(one, event));
        }
    }
}

fn ranges(sets: &BTreeMap<Source, RangeSet>) -> Vec<(Source, Vec<(u64, u64)>)> {
    let of = |set: &RangeSet| set.iter().map(|range| (*range.start(), *range.end())).collect();
    sets.iter().map(|(source, set)| (source.clone(), of(set))).collect()
}

/// Returns an event as text: what decides between two that have equal rights.
fn text(event: &Event) -> String {
    serde_json::to_string(event).unwrap_or_default()
}
