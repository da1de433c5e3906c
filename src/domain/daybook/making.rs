//! Filling in a daily report from a day's account: what was expected against what came, what is open, how late it is.

use std::collections::BTreeMap;
use std::time::Duration;

use super::calendar::LocalDay;
use super::report::{
    AccidentSection, AlarmSection, ClockSection, Correction, CoverageSection, DailyReport, DeviceLine, DutySection,
    HazardSection, MAX_NAMED, ReportKind, RunningSection, SilentLine, SiteSection, StoreSection, Times,
};
use super::rules::ReportRules;
use super::standing::Standing;
use super::tally::Tally;
use crate::domain::audit::{Digest, Head};
use crate::domain::time::Timestamp;

/// A step of the clock by more is told apart from its ordinary discipline (`domain.md` rule 117).
pub(super) const CLOCK_STEP_MS: i64 = 5000;

/// A whole, in hundredths of a percent.
const WHOLE: u64 = 10_000;

/// What is known of a device besides the day's account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct DeviceSpan {
    /// Time of the day in which it was to be read, in milliseconds.
    pub(super) known_ms: u64,
    /// The last time it answered, up to the end of the day.
    pub(super) last_ok: Option<Timestamp>,
}

/// Everything that a report is made of.
#[derive(Debug)]
pub(super) struct Material<'a> {
    pub(super) day: LocalDay,
    pub(super) tally: &'a Tally,
    pub(super) devices: BTreeMap<String, DeviceSpan>,
    /// At the end of the day.
    pub(super) standing: Standing,
    pub(super) store: Option<StoreSection>,
    pub(super) audit: Option<Head>,
    /// Facts that wait for a clock: nobody knows of which day they are.
    pub(super) undated: bool,
}

/// How this version came to be.
#[derive(Debug)]
pub(super) struct Making {
    pub(super) version: u32,
    pub(super) prev: Option<Digest>,
    pub(super) adds_to: Vec<Digest>,
    pub(super) correction: Option<Correction>,
    pub(super) generated_at: Timestamp,
    pub(super) clock_trust: &'static str,
    pub(super) made_up: bool,
}

impl DailyReport {
    /// Makes the report of a day.
    pub(super) fn make(material: Material<'_>, making: Making, rules: &ReportRules) -> Self {
        let Material { day, tally, .. } = material;
        let hazards = hazards(&material);
        let watched = tally.clock.synced_ms + tally.clock.holdover_ms + tally.clock.unsynced_ms;
        let late_by_ms = lateness(day.due_at, making.generated_at);
        let stepped = tally.clock.steps.iter().any(|(_, offset)| offset.abs() > CLOCK_STEP_MS);
        let stepped = stepped || tally.clock.more_steps > 0;
        let mut report = Self {
            what: ReportKind::Daily,
            day: day.date,
            from: day.starts,
            to: day.ends,
            version: making.version,
            prev: making.prev,
            adds_to: making.adds_to,
            correction: making.correction,
            due_at: day.due_at,
            generated_at: making.generated_at,
            clock_trust: making.clock_trust.to_owned(),
            is_late: late_by_ms > late_after(rules),
            late_by_ms,
            made_up: making.made_up,
            omitted: watched == 0,
            why_not_nil: Vec::new(),
            coverage: coverage(&material, rules),
            alarms: alarms(tally, &material.standing),
            store: material.store,
            running: RunningSection {
                boots: tally.boots,
                unclean: tally.unclean,
                off_ms: tally.off_ms,
                off_unknown: tally.off_unknown,
                unwatched_ms: day.length_ms().saturating_sub(watched),
            },
            clock: ClockSection {
                trusted: watched > 0 && tally.clock.unsynced_ms == 0 && !stepped,
                tally: tally.clock.clone(),
            },
            site: SiteSection {
                real: tally.site_real,
                drills: tally.drills,
                states: tally.site.clone(),
                more: tally.more_site,
            },
            duty: DutySection::from(&tally.duty),
            hazards,
            accidents: AccidentSection {
                opened: tally.accidents.opened,
                reports: tally.accidents.reports,
                late: tally.accidents.late,
                open: material.standing.accidents,
                carried: tally.carried.accidents,
            },
            outputs_done: tally.outputs_done,
            outputs_failed: tally.outputs_failed,
            passages: Some(tally.passages.clone()).filter(|passages| !passages.is_empty()),
            audit: material.audit,
            hash: Digest::default(),
        };
        report.why_not_nil = super::nil::why_not(&report, material.undated, rules);
        if report.why_not_nil.is_empty() {
            report.what = ReportKind::Nil;
        }
        report.hash = report.computed_hash();
        report
    }
}

/// Returns how much later than due, in milliseconds.
pub(super) fn lateness(due: Timestamp, at: Timestamp) -> u64 {
    u64::try_from(at.0.saturating_sub(due.0)).unwrap_or(0)
}

/// Returns the grace, in milliseconds.
pub(super) fn late_after(rules: &ReportRules) -> u64 {
    super::fact::ms(rules.late_after)
}

/// Returns hundredths of a percent, rounded down: 99.999 % is not all.
pub(super) fn share(received: u64, expected: u64) -> Option<u64> {
    let share = (u128::from(received) * u128::from(WHOLE)).checked_div(u128::from(expected))?;
    Some(u64::try_from(share).unwrap_or(WHOLE).min(WHOLE))
}

#[expect(clippy::cast_precision_loss, reason = "at most 10,000")]
pub(super) fn pct(share: u64) -> f64 {
    share as f64 / 100.0
}

fn coverage(material: &Material<'_>, rules: &ReportRules) -> CoverageSection {
    let mut section = CoverageSection { nil_pct: pct(u64::from(rules.nil_coverage)), ..CoverageSection::default() };
    let mut lines = Vec::new();
    for (id, span) in &material.devices {
        let tally = material.tally.devices.get(id).copied().unwrap_or_default();
        // What the time off, and a time before the day's first account, should have brought as well.
        let whole = u128::from(tally.due) * u128::from(span.known_ms.max(tally.watched_ms));
        let expected = whole.div_ceil(u128::from(tally.watched_ms.max(1)));
        let expected = u64::try_from(expected).unwrap_or(u64::MAX).max(tally.due);
        section.expected += expected;
        section.received += tally.ok;
        lines.push(DeviceLine {
            device: id.clone(),
            pct: share(tally.ok, expected).map(pct),
            expected,
            received: tally.ok,
            due: tally.due,
            bad: tally.bad,
            skipped: tally.skipped,
        });
        let silent_for = Duration::from_millis(lateness(span.last_ok.unwrap_or(Timestamp(0)), material.day.ends));
        if span.known_ms > 0 && silent_for >= rules.silent_after {
            section.silent.push(SilentLine { device: id.clone(), since: span.last_ok });
        }
    }
    section.n_devices = lines.len() as u64;
    section.pct = share(section.received, section.expected).map(pct);
    let worth = |line: &DeviceLine| line.pct.map(|pct| (pct * 100.0).round());
    lines.sort_by(|a, b| worth(a).partial_cmp(&worth(b)).unwrap_or(std::cmp::Ordering::Equal));
    lines.truncate(MAX_NAMED);
    section.devices = lines;
    section.more_silent = section.silent.len().saturating_sub(MAX_NAMED) as u64;
    section.silent.truncate(MAX_NAMED);
    section
}

fn alarms(tally: &Tally, standing: &Standing) -> AlarmSection {
    let (carried, tally) = (tally.carried.alarms, &tally.alarms);
    AlarmSection {
        raised: tally.raised,
        by: tally.by.clone(),
        worse: tally.worse,
        acknowledged: Times::from(&tally.to_ack),
        cleared: Times::from(&tally.to_clear),
        shelved: tally.shelved,
        floods: tally.floods,
        chattering: tally.chattering,
        not_real: tally.not_real,
        n_open: standing.n_alarms,
        open: standing.alarms.clone(),
        carried,
    }
}

fn hazards(material: &Material<'_>) -> HazardSection {
    let (steps, carried) = (material.tally.hazards, material.tally.carried.hazards);
    HazardSection { steps, carried, ..material.standing.hazards.clone() }
}
