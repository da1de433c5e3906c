//! What no book of alarms may contain, whoever built it. `config` names each with its cell; these are the rules of the
//! machine itself, not those of the standards.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use super::severity::Class;
use super::spec::{AlarmBook, AlarmSpec, Basis, Condition, MAX_LEVELS, Subject};

/// What no book may contain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Id of the alarm.
    pub alarm: Arc<str>,
    /// What is wrong.
    pub what: Wrong,
}

/// See [`Problem`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Wrong {
    /// Another alarm has this id.
    Twice,
    /// No level, or more than [`MAX_LEVELS`].
    Levels,
    /// A limit is missing, superfluous, or no number.
    Limit,
    /// The limits do not lead from mild to severe.
    Order,
    /// A deadband below 0 or no number.
    Deadband,
    /// Gas or fire with a delay: every poll counts (rule 86).
    Delayed,
    /// Gas or fire that clears by itself (rule 86).
    NotLatching,
    /// Gas or fire suppressed by another point.
    Suppressed,
    /// An index beyond the book, or a subject that does not fit the condition.
    Reference,
    /// A rate without a window.
    Window,
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Twice => "报警编号重复 / the id is used twice",
            Self::Levels => "级数应为 1 至 4 / it needs 1 to 4 levels",
            Self::Limit => "缺少限值或不应有限值 / a limit is missing or superfluous",
            Self::Order => "各级限值未按由轻到重排列 / the limits do not lead from mild to severe",
            Self::Deadband => "回差应不小于 0 / a deadband must not be below 0",
            Self::Delayed => "气体和火灾报警不得延时 / gas and fire alarms have no delay",
            Self::NotLatching => "气体和火灾报警必须锁存 / gas and fire alarms latch",
            Self::Suppressed => "气体和火灾报警不得被其他测点抑制 / gas and fire alarms are not suppressed by design",
            Self::Reference => "引用的对象不存在 / it refers to something that is not there",
            Self::Window => "变化率需要时间窗 / a rate needs a window",
        })
    }
}

impl AlarmBook {
    /// Names everything that no book may contain, by alarm in their order.
    pub fn problems(&self) -> Vec<Problem> {
        let mut ids = BTreeSet::new();
        let mut problems = Vec::new();
        for spec in &self.alarms {
            let mut found = spec.problems(self);
            if !ids.insert(&spec.id) {
                found.insert(Wrong::Twice);
            }
            problems.extend(found.into_iter().map(|what| Problem { alarm: spec.id.clone(), what }));
        }
        problems
    }
}

impl AlarmSpec {
    fn problems(&self, book: &AlarmBook) -> BTreeSet<Wrong> {
        let limits: Vec<f64> = self.levels.iter().filter_map(|level| level.limit).collect();
        let steps = || limits.iter().zip(limits.iter().skip(1));
        let in_order = if self.condition.is_low() { steps().all(|(a, b)| a > b) } else { steps().all(|(a, b)| a < b) };
        let strict = matches!(self.class, Class::Gas | Class::Fire) && !self.is_about_the_instrument();
        let known = |at: Option<usize>, len: usize| at.is_none_or(|at| at < len);
        let referred = known(self.condition.detector(), book.detectors.len())
            && known(self.escalation, book.escalations.len())
            && known(self.hazard_source, book.hazard_sources.len())
            && self.annunciators.iter().all(|at| *at < book.annunciators.len())
            && self.subject_fits();
        let no_window = matches!(&self.condition, Condition::Rate { window, .. } if window.is_zero());
        [
            (Wrong::Levels, self.levels.is_empty() || self.levels.len() > MAX_LEVELS),
            (Wrong::Limit, !self.limits_fit(book)),
            (Wrong::Order, !in_order),
            (Wrong::Deadband, self.levels.iter().any(|level| !(level.deadband >= 0.0 && level.deadband.is_finite()))),
            (Wrong::Delayed, strict && !self.on_delay.is_zero()),
            (Wrong::NotLatching, strict && !self.latching),
            (Wrong::Suppressed, strict && self.suppressed_when.is_some()),
            (Wrong::Reference, !referred),
            (Wrong::Window, no_window),
        ]
        .into_iter()
        .filter(|(_, is_wrong)| *is_wrong)
        .map(|(wrong, _)| wrong)
        .collect()
    }

    /// Whether each level has a limit where the condition wants one, and none elsewhere. Gas beyond the first level may do
    /// without, where a bit of the controller raises it.
    fn limits_fit(&self, book: &AlarmBook) -> bool {
        let has_bit = |level: usize| {
            let Condition::Gas { detector, side, compare: true } = self.condition else { return false };
            let bits = book.detectors.get(detector).map(|detector| detector.bits.as_slice()).unwrap_or_default();
            bits.iter().any(|bit| bit.side == side && usize::from(bit.level) == level)
        };
        let wants = self.condition.has_limits();
        self.levels.iter().zip(1..).all(|(level, n)| match level.limit {
            Some(limit) => wants && limit.is_finite(),
            None => !wants || (n > 1 && has_bit(n)),
        })
    }

    fn subject_fits(&self) -> bool {
        match self.condition.basis() {
            Basis::Point | Basis::Detector(_) => self.subject.point().is_some(),
            Basis::Link => matches!(self.subject, Subject::Device { .. }),
            Basis::Told => true,
        }
    }
}
