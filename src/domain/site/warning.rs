//! Warnings of the city (flood response level 防汛应急响应, fire ban 禁火令): received, shown, acknowledged, and facts while
//! they are valid.
//!
//! ```text
//!  received ──▶ acknowledged ──▶ gone: its time is over (by the monotonic clock since it came), withdrawn, or no room
//!      └───────────────────────────▲
//! ```

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::record::WarningStep;
use crate::domain::time::{ClockTrust, Mono, Now, Timestamp};

/// Warnings kept at a time: a city has a handful. When there are more, the oldest acknowledged one makes room, else the oldest.
pub const MAX_WARNINGS: usize = 64;
/// Longest validity: a longer one is a mistake of who wrote it, or of our clock; it is asked for again long before.
pub const LONGEST: Duration = Duration::from_secs(366 * 24 * 3600);

/// A warning as the city sends it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Warning {
    /// The city's id of it; the same id again replaces it.
    pub id: String,
    /// What it is about.
    pub kind: WarningKind,
    /// Level 1 (strongest) to 4, where the kind has levels.
    #[serde(default)]
    pub level: Option<u8>,
    /// Who issued it.
    #[serde(default)]
    pub issuer: String,
    /// Its text.
    #[serde(default)]
    pub text: String,
    /// When it ends; without, when it is withdrawn.
    #[serde(default)]
    pub until: Option<Timestamp>,
}

/// What a warning is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WarningKind {
    /// Flood response (防汛应急响应), level I to IV.
    Flood,
    /// Fire ban (禁火令): no hot work.
    FireBan,
    /// Weather: gale, thunderstorm, heat.
    Weather,
    /// Anything else.
    Other,
}

impl WarningKind {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::Flood, Self::FireBan, Self::Weather, Self::Other];
    /// Levels: 1 is the strongest.
    pub const LEVELS: std::ops::RangeInclusive<u8> = 1..=4;

    /// Returns the word of records and policies.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Flood => "flood",
            Self::FireBan => "fire_ban",
            Self::Weather => "weather",
            Self::Other => "other",
        }
    }
}

/// A warning that stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The warning.
    pub warning: Warning,
    /// When it came.
    pub since: Timestamp,
    /// Who has read it.
    pub acknowledged: Option<String>,
    /// Number of its arrival: the oldest is the smallest.
    order: u64,
    ends: Option<Mono>,
}

/// What is kept over a restart.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct SavedWarning {
    pub(super) warning: Warning,
    pub(super) since: Timestamp,
    pub(super) acknowledged: Option<String>,
    pub(super) left_ms: Option<u64>,
}

/// All that stand.
#[derive(Clone, Debug, Default)]
pub(super) struct Warnings {
    standing: BTreeMap<String, Standing>,
    next: u64,
}

impl Warnings {
    pub(super) fn iter(&self) -> impl Iterator<Item = &Standing> {
        self.standing.values()
    }

    /// Takes a warning; returns what is to be recorded.
    pub(super) fn receive(&mut self, warning: Warning, now: Now) -> Vec<(Warning, WarningStep)> {
        // An untrusted clock cannot say when a validity ends: the warning then stands until it is withdrawn.
        let trusted = now.trust != ClockTrust::Unsynced;
        let left = warning.until.filter(|_| trusted).map(|until| until_after(until, now.wall).min(LONGEST));
        let before = self.standing.remove(&warning.id);
        let same = before.as_ref().is_some_and(|before| before.warning == warning);
        let mut steps = Vec::new();
        if !same {
            let step = if before.is_some() { WarningStep::Changed } else { WarningStep::Received };
            steps.push((warning.clone(), step));
        }
        let acknowledged = before.as_ref().filter(|_| same).and_then(|before| before.acknowledged.clone());
        let since = before.filter(|_| same).map_or(now.wall, |before| before.since);
        if self.standing.len() >= MAX_WARNINGS {
            let oldest = self.standing.values().min_by_key(|warning| (warning.acknowledged.is_none(), warning.order));
            if let Some(gone) = oldest.map(|oldest| oldest.warning.id.clone()).and_then(|id| self.standing.remove(&id))
            {
                steps.push((gone.warning, WarningStep::Dropped));
            }
        }
        self.next += 1;
        let ends = left.map(|left| now.mono + left);
        let id = warning.id.clone();
        self.standing.insert(id, Standing { warning, since, acknowledged, order: self.next, ends });
        steps
    }

    pub(super) fn withdraw(&mut self, id: &str) -> Option<Warning> {
        self.standing.remove(id).map(|gone| gone.warning)
    }

    /// Notes who has read it; `None` where there is none.
    pub(super) fn acknowledge(&mut self, id: &str, name: &str) -> Option<&Standing> {
        let standing = self.standing.get_mut(id)?;
        standing.acknowledged.get_or_insert_with(|| name.to_owned());
        Some(standing)
    }

    /// Removes and returns those whose time is over.
    pub(super) fn tick(&mut self, now: Mono) -> Vec<Warning> {
        let over = |standing: &Standing| standing.ends.is_some_and(|ends| ends <= now);
        let ids: Vec<String> = self.standing.values().filter(|s| over(s)).map(|s| s.warning.id.clone()).collect();
        ids.iter().filter_map(|id| self.withdraw(id)).collect()
    }

    pub(super) fn due(&self) -> Option<Mono> {
        self.standing.values().filter_map(|standing| standing.ends).min()
    }

    pub(super) fn saved(&self, now: Now) -> Vec<SavedWarning> {
        let mut standing: Vec<_> = self.standing.values().collect();
        standing.sort_by_key(|standing| standing.order);
        let save = |standing: &&Standing| SavedWarning {
            warning: standing.warning.clone(),
            since: standing.since,
            acknowledged: standing.acknowledged.clone(),
            left_ms: standing.ends.map(|ends| millis(ends.since(now.mono))),
        };
        standing.iter().map(save).collect()
    }

    pub(super) fn restore(saved: Vec<SavedWarning>, now: Now) -> Self {
        let mut warnings = Self::default();
        for saved in saved.into_iter().take(MAX_WARNINGS) {
            warnings.next += 1;
            // Time went on while the gateway was off, where the clock can say so; it never gives time back.
            let left = saved.left_ms.map(Duration::from_millis);
            let by_wall = saved.warning.until.filter(|_| now.trust == ClockTrust::Synced);
            let by_wall = by_wall.map_or(Duration::MAX, |until| until_after(until, now.wall));
            let standing = Standing {
                since: saved.since,
                acknowledged: saved.acknowledged,
                order: warnings.next,
                ends: left.map(|left| now.mono + left.min(by_wall)),
                warning: saved.warning,
            };
            warnings.standing.insert(standing.warning.id.clone(), standing);
        }
        warnings
    }
}

/// Returns how long after `wall` it is, zero where it is not.
pub(super) fn until_after(until: Timestamp, wall: Timestamp) -> Duration {
    Duration::from_millis(u64::try_from(until.0.saturating_sub(wall.0)).unwrap_or_default())
}

/// Returns whole milliseconds.
pub(super) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
