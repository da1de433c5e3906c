//! What a stretch of events does to a count, as one value; and counts that are read in constant time, and corrected in
//! logarithmic time wherever in the past an event is entered.
//!
//! A count never goes below zero: an exit of something that was never counted in leaves zero, and is told. So an event is
//! the function `c ↦ max(c + δ, 0)`, a signed count is `c ↦ k`, and any stretch of them is
//!
//! ```text
//! c ↦ max( (k or c) + sum, floor )
//! ```
//!
//! which composes. The time line is cut in windows, windows in windows, and each keeps the composition of what is in it:
//! entering an event anew folds one small window at each of [`SHIFTS`]' levels.

use std::collections::BTreeMap;

use super::account::Line;
use super::event::{EventId, Order, Source, Stock};
use crate::domain::gate::word::{GatewayId, ZoneId};
use crate::domain::time::Timestamp;

/// What a stretch of events does to a count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fold {
    /// What was counted last in it, if anything.
    start: Option<i64>,
    /// What came and went since, or in all of it.
    sum: i64,
    /// What it leaves at the least.
    floor: i64,
}

impl Fold {
    /// Returns what one event does that adds `by`.
    pub fn step(by: i64) -> Self {
        Self { start: None, sum: by, floor: by.max(0) }
    }

    /// Returns what a signed count does.
    pub fn count(found: i64) -> Self {
        Self { start: Some(found), sum: 0, floor: 0 }
    }

    /// Returns what both do, `self` first.
    pub fn then(self, later: Self) -> Self {
        if later.start.is_some() {
            return later;
        }
        let floor = self.floor.saturating_add(later.sum).max(later.floor);
        Self { start: self.start, sum: self.sum.saturating_add(later.sum), floor }
    }

    /// Returns the count after it, when it was zero before.
    pub fn value(self) -> i64 {
        self.start.unwrap_or(0).saturating_add(self.sum).max(self.floor).max(0)
    }

    /// Returns by how many the count would have gone below zero since the last signed count: exits without entry.
    pub fn clamped(self) -> i64 {
        self.value() - self.start.unwrap_or(0).saturating_add(self.sum)
    }
}

/// Widths of the windows as powers of two of milliseconds: 65 s, 35 min, 19 h, 25 days. A window has at most 32 below it.
const SHIFTS: [u32; 4] = [16, 21, 26, 31];

/// One count over time.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// What stood before the oldest event that is kept.
    base: Option<i64>,
    windows: [BTreeMap<i64, Fold>; 4],
    total: Fold,
}

impl Tally {
    /// Returns the count now, and by how many it would have gone below zero since the last signed count.
    pub fn read(&self) -> (i64, i64) {
        (self.total.value(), self.total.clamped())
    }

    /// Sets what stood before the oldest event that is kept.
    pub fn set_base(&mut self, base: i64) {
        self.base = Some(base);
        self.refold_total();
    }

    /// Returns what stood before the oldest event that is kept.
    pub fn base(&self) -> Option<i64> {
        self.base
    }

    /// Takes the effect of the oldest event into what stood before; the event itself is to be taken out of the line.
    pub fn fold_base(&mut self, effect: Fold) {
        self.base = Some(self.base.map_or_else(Fold::default, Fold::count).then(effect).value());
    }

    /// Folds anew what is around `at`, after an event there was entered or taken out.
    pub fn refold(&mut self, line: &Line, zone: &ZoneId, stock: Stock, at: Timestamp) {
        let [finest, ..] = SHIFTS;
        let place = at.0 >> finest;
        let within = bound(place << finest)..bound((place + 1) << finest);
        let effects = line.range(within).filter_map(|(_, event)| event.effect(zone, stock));
        let folded = effects.fold(None, |sum: Option<Fold>, one| Some(sum.unwrap_or_default().then(one)));
        set(self.windows.first_mut(), place, folded);
        for level in 1..SHIFTS.len() {
            let (Some(below), Some(shift)) = (self.windows.get(level - 1), SHIFTS.get(level)) else { return };
            let Some(step) = SHIFTS.get(level - 1).map(|finer| shift - finer) else { return };
            let place = at.0 >> shift;
            let children = below.range(place << step..(place + 1) << step).map(|(_, fold)| *fold);
            let folded = children.reduce(Fold::then);
            set(self.windows.get_mut(level), place, folded);
        }
        self.refold_total();
    }

    fn refold_total(&mut self) {
        let base = self.base.map_or_else(Fold::default, Fold::count);
        let [.., coarsest] = &self.windows;
        self.total = coarsest.values().fold(base, |sum, one| sum.then(*one));
    }
}

fn set(windows: Option<&mut BTreeMap<i64, Fold>>, place: i64, folded: Option<Fold>) {
    let Some(windows) = windows else { return };
    match folded {
        Some(folded) => drop(windows.insert(place, folded)),
        None => drop(windows.remove(&place)),
    }
}

/// Returns the place before every event at this time.
pub fn bound(at: i64) -> Order {
    let source = Source { gateway: GatewayId::new(""), boot: 0 };
    Order { at: Timestamp(at), id: EventId { source, n: 0 } }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exit_of_what_was_never_counted_in_leaves_zero_and_says_so() {
        let fold = [1, -1, -1, -1, 1, 1].into_iter().map(Fold::step).fold(Fold::default(), Fold::then);
        assert_eq!((fold.value(), fold.clamped()), (2, 2), "two came after the count was at zero");
        let counted = fold.then(Fold::count(40)).then(Fold::step(-1));
        assert_eq!((counted.value(), counted.clamped()), (39, 0), "a signed count ends the question");
    }

    #[test]
    fn a_stretch_is_what_its_parts_are_however_they_are_put_together() {
        let steps: Vec<Fold> = [3, -5, 2, -1, 7, -9, 1].into_iter().map(Fold::step).collect();
        let one_by_one = steps.iter().fold(0i64, |count, step| (count + step.sum).max(0));
        for cut in 0..steps.len() {
            let (left, right) = steps.split_at(cut);
            let fold = |part: &[Fold]| part.iter().copied().fold(Fold::default(), Fold::then);
            assert_eq!(fold(left).then(fold(right)).value(), one_by_one);
        }
    }
}
