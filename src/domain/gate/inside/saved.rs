//! What must survive a restart. The events are stored one by one as they come out; here is the little beside them that
//! changes with each step, and what stood before the oldest event.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::account::{Account, Base};
use super::event::{Event, Source};
use super::log::{Conflict, Have};
use super::passage::{Passage, Phase};
use super::watch::Told;
use super::{Dial, Inside, RESTART_GAP, Rules, Subject};
use crate::domain::gate::hardware::CameraEvent;
use crate::domain::gate::word::{GatewayId, LaneId, PassageId, ZoneId};
use crate::domain::time::{ClockTrust, Now, Timestamp};

/// Reads of passages that came to nothing that are kept over a restart: the resends of the last minutes.
const MAX_SAVED_READS: usize = 200;

/// See the module.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Saved {
    at: Timestamp,
    clock: ClockTrust,
    last: Timestamp,
    boot: u32,
    base: Base,
    folded: Have,
    passages: Vec<Passage>,
    reads: Vec<(CameraEvent, PassageId)>,
    resends: Vec<(LaneId, u64)>,
    gap: Option<Timestamp>,
    told: Vec<(Subject, ZoneId, Told)>,
    conflicts: Vec<Conflict>,
}

impl Saved {
    /// Returns the passages that had not crossed yet.
    pub fn under_way(&self) -> impl Iterator<Item = &PassageId> {
        let not_yet = |passage: &&Passage| passage.phase != Phase::Completed;
        self.passages.iter().filter(not_yet).map(|passage| &passage.passage)
    }

    /// Returns whether this passage had crossed.
    pub fn has_completed(&self, passage: &PassageId) -> bool {
        self.passages.iter().any(|known| known.passage == *passage && known.phase == Phase::Completed)
    }

    /// Returns whether an event that is stored is folded into this and need not be stored any longer.
    pub fn is_folded(&self, event: &Event) -> bool {
        let of = self.folded.0.iter().find(|(source, _)| *source == event.source);
        of.is_some_and(|(_, ranges)| ranges.iter().any(|(first, last)| (*first..=*last).contains(&event.seq)))
    }

    /// Takes in a passage as it was recorded after this was saved. Returns whether it was under way when this was saved, or began
    /// after that.
    pub fn learn(&mut self, passage: Passage) -> bool {
        let over = |passage: &Passage| matches!(passage.phase, Phase::Completed | Phase::Ended);
        let under_way = match self.passages.iter_mut().find(|known| known.passage == passage.passage) {
            Some(known) if known.version >= passage.version => return false,
            Some(known) => !over(&std::mem::replace(known, passage.clone())),
            None => {
                self.passages.push(passage.clone());
                true
            }
        };
        if let Some(camera) = passage.camera.filter(|camera| !self.reads.iter().any(|(known, _)| known == camera)) {
            self.reads.push((camera, passage.passage));
        }
        under_way
    }
}

impl Inside {
    /// Returns what a restart must not lose beside the events.
    pub fn saved(&self, now: Now) -> Saved {
        let told = self.watch.told.iter();
        Saved {
            at: now.wall,
            clock: now.trust,
            last: self.dial.last.max(self.dial.read(now)),
            boot: self.source.boot,
            base: self.account.base(),
            folded: self.log.folded(),
            passages: self.passages.values().cloned().collect(),
            reads: self.reads.iter().rev().take(MAX_SAVED_READS).rev().cloned().collect(),
            resends: self.resends.iter().map(|(lane, n)| (lane.clone(), *n)).collect(),
            gap: self.gap,
            told: told.map(|((subject, zone), told)| (subject.clone(), zone.clone(), told.clone())).collect(),
            conflicts: self.conflicts.iter().cloned().collect(),
        }
    }

    /// Goes on after a restart with what was saved and the stored events, in any order. Nothing moves: passages that were
    /// under way end, in doubt where they may have crossed, but for those that are still `standing` before their lane, which
    /// goes on with them. `boot` must be one that was never used.
    pub fn restore(
        gateway: GatewayId,
        boot: u32,
        rules: Rules,
        saved: Saved,
        events: impl IntoIterator<Item = Event>,
        standing: &BTreeSet<PassageId>,
        now: Now,
    ) -> Self {
        let mut inside = Self::new(gateway.clone(), boot, rules, now);
        let known = boot > saved.boot;
        debug_assert!(known, "a start counter is never used twice");
        inside.source = Source { gateway, boot };
        let off = match (saved.clock, now.trust) {
            (ClockTrust::Unsynced, _) | (_, ClockTrust::Unsynced) => None,
            _ => u64::try_from(now.wall.0.saturating_sub(saved.at.0)).ok().map(std::time::Duration::from_millis),
        };
        inside.dial = Dial { anchor: saved.last, mono: now.mono, last: saved.last };
        inside.gap = saved.gap;
        if off.is_none_or(|off| off > RESTART_GAP) {
            // Just behind the last that was known, and before all that comes.
            let gap = inside.dial.take(now).after(std::time::Duration::from_millis(1));
            inside.dial.last = gap;
            inside.gap = Some(gap);
        }
        inside.account = Account::from_base(&saved.base);
        inside.log.recall(&saved.folded);
        inside.reads = saved.reads.into();
        inside.resends = saved.resends.into_iter().collect();
        inside.conflicts = saved.conflicts.into_iter().collect();
        inside.watch.told = saved.told.into_iter().map(|(subject, zone, told)| ((subject, zone), told)).collect();
        let mut touched = super::Touched::default();
        for event in events {
            inside.account_for(&event.into(), now, &mut touched);
        }
        // What was told before the restart stands; only what follows from it now is said.
        inside.outputs.clear();
        inside.next_event = inside.log.last(&inside.source) + 1;
        inside.fold_oldest();
        // The event of a passage may have been stored a moment before the restart, and its step not.
        let open: BTreeSet<&PassageId> = saved.passages.iter().map(|passage| &passage.passage).collect();
        let crossed = inside.log.iter().filter_map(|event| event.crossed().map(|crossed| &crossed.passage));
        let crossed: BTreeSet<PassageId> = crossed.filter(|passage| open.contains(passage)).cloned().collect();
        for passage in saved.passages {
            let crossed = crossed.contains(&passage.passage);
            let stands = standing.contains(&passage.passage);
            inside.take_up(passage, crossed, stands, now);
        }
        inside.rewatch(now);
        inside
    }

    fn take_up(&mut self, mut passage: Passage, crossed: bool, stands: bool, now: Now) {
        passage.touched = now.mono;
        match passage.phase {
            Phase::Completed => drop(self.passages.insert(passage.passage.clone(), passage)),
            Phase::Detected | Phase::Decided | Phase::Passing | Phase::Ended if crossed => {
                self.completed_before(passage, now);
            }
            Phase::Ended => drop(self.passages.insert(passage.passage.clone(), passage)),
            Phase::Detected | Phase::Decided if stands => drop(self.passages.insert(passage.passage.clone(), passage)),
            Phase::Detected | Phase::Decided | Phase::Passing => self.interrupt(passage, now),
        }
    }
}
