//! What the machine remembers over a restart. Times that run are saved as what has gone by; what the gateway was off for is
//! added where both clocks can be trusted, so that nobody gains an hour by it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::goods::{HazardClass, Load};
use super::kept::{Line, folded};
use super::lot::SavedLot;
use super::rules::Rules;
use super::said::Mismatch;
use super::track::{Subject, Track};
use super::visit::{Running, Sent, Stage, Visit};
use super::waybill::Purpose;
use super::{Handed, Hazmat, Quota};
use crate::domain::gate::hardware::TerminalAlarm;
use crate::domain::gate::plate::Plate;
use crate::domain::gate::word::{CompanyId, PassageId, TerminalId, WaybillNo, ZoneId};
use crate::domain::time::{ClockTrust, Now, Timestamp};

/// See the module. Plain data.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Saved {
    at: Timestamp,
    clock: ClockTrust,
    lot: SavedLot,
    visits: Vec<SavedVisit>,
    quotas: Vec<(CompanyId, u32, u64)>,
    terminals: Vec<(TerminalId, Plate, Timestamp)>,
    violated: Vec<(TerminalId, Vec<Subject>)>,
    alarms: BTreeSet<(TerminalId, TerminalAlarm)>,
    #[serde(default)]
    mismatches: Vec<(TerminalId, Mismatch, Option<Plate>)>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct SavedVisit {
    plate: Plate,
    passage: PassageId,
    waybill: Option<WaybillNo>,
    purpose: Option<Purpose>,
    load: Option<Load>,
    masses: Vec<(HazardClass, Option<f64>)>,
    entered_at: Timestamp,
    clock: ClockTrust,
    inside_ms: u64,
    told: u32,
    gross_in: Option<u32>,
    zone: ZoneId,
    stage: Stage,
    sent: Option<SavedSent>,
    done: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct SavedSent {
    to: ZoneId,
    host: CompanyId,
    by: String,
    ran_ms: u64,
    overdue: bool,
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

impl Hazmat {
    /// Returns what has changed of the waybills and their checks since the last call: it is kept beside what is saved.
    pub fn take_kept(&mut self) -> Vec<Line> {
        let mut lines = self.waybills.take_changes();
        lines.extend(self.checks.take_changes());
        lines
    }

    /// Takes back all that was kept.
    pub fn recall(&mut self, book: impl IntoIterator<Item = Line>) {
        for line in folded(book) {
            match line {
                Line::Checks { number, answers } => self.checks.recall(number, answers),
                line @ (Line::Version(_) | Line::Waybill(_) | Line::Gone { .. }) => self.waybills.recall(line),
            }
        }
    }

    /// Returns what must survive a restart.
    pub fn save(&self, now: Now) -> Saved {
        let ran = |running: &Running| millis(running.elapsed(now.mono));
        let sent = |sent: &Sent| SavedSent {
            to: sent.to.clone(),
            host: sent.host.clone(),
            by: sent.by.clone(),
            ran_ms: ran(&sent.running),
            overdue: sent.overdue,
        };
        let visit = |visit: &Visit| SavedVisit {
            plate: visit.plate.clone(),
            passage: visit.passage.clone(),
            waybill: visit.waybill.clone(),
            purpose: visit.purpose,
            load: visit.load.clone(),
            masses: visit.masses.clone(),
            entered_at: visit.entered_at,
            clock: visit.clock,
            inside_ms: ran(&visit.inside),
            told: visit.told,
            gross_in: visit.gross_in,
            zone: visit.zone.clone(),
            stage: visit.stage,
            sent: visit.sent.as_ref().map(sent),
            done: visit.done,
        };
        let quota = |(company, quota): (&CompanyId, &Quota)| (company.clone(), quota.places, ran(&quota.published));
        let violated = |(id, track): (&TerminalId, &Track)| (id.clone(), track.on().cloned().collect());
        Saved {
            at: now.wall,
            clock: now.trust,
            lot: self.lot.save(),
            visits: self.visits.values().map(visit).collect(),
            quotas: self.quotas.iter().map(quota).collect(),
            terminals: self.terminals.iter().map(|(id, out)| (id.clone(), out.plate.clone(), out.at)).collect(),
            violated: self.tracks.iter().map(violated).collect(),
            alarms: self.alarms.clone(),
            mismatches: self.mismatches.iter().map(|((id, what), of)| (id.clone(), *what, of.clone())).collect(),
        }
    }

    /// Takes up what a restart left, and the book by its lines, under the rules in force now.
    pub fn restore(rules: Arc<Rules>, saved: Saved, book: impl IntoIterator<Item = Line>, now: Now) -> Self {
        let trusted = saved.clock != ClockTrust::Unsynced && now.trust != ClockTrust::Unsynced;
        let off = u64::try_from(now.wall.0.saturating_sub(saved.at.0)).unwrap_or(0);
        let off = if trusted { Duration::from_millis(off) } else { Duration::ZERO };
        let resume = |ran_ms: u64| Running::resume(Duration::from_millis(ran_ms).saturating_add(off), now.mono);
        let sent = |sent: SavedSent| Sent {
            to: sent.to,
            host: sent.host,
            by: sent.by,
            running: resume(sent.ran_ms),
            overdue: sent.overdue,
        };
        let visit = |saved: SavedVisit| Visit {
            plate: saved.plate,
            passage: saved.passage,
            waybill: saved.waybill,
            purpose: saved.purpose,
            load: saved.load,
            masses: saved.masses,
            entered_at: saved.entered_at,
            clock: saved.clock,
            inside: resume(saved.inside_ms),
            told: saved.told,
            gross_in: saved.gross_in,
            zone: saved.zone,
            stage: saved.stage,
            sent: saved.sent.map(sent),
            done: saved.done,
        };
        let mut hazmat = Self::new(rules);
        hazmat.recall(book);
        hazmat.visits = saved.visits.into_iter().map(visit).map(|visit| (visit.plate.clone(), visit)).collect();
        hazmat.lot.restore(saved.lot, now.mono + hazmat.rules.promises.come_within);
        hazmat.visits.keys().for_each(|plate| hazmat.lot.hold(plate));
        let quota = |(company, places, ran_ms)| (company, Quota { places, published: resume(ran_ms) });
        hazmat.quotas = saved.quotas.into_iter().map(quota).collect();
        hazmat.terminals = saved.terminals.into_iter().map(|(id, plate, at)| (id, Handed { plate, at })).collect();
        hazmat.tracks = saved.violated.into_iter().map(|(id, on)| (id, Track::new(now.mono, on))).collect();
        hazmat.alarms = saved.alarms;
        hazmat.mismatches = saved.mismatches.into_iter().map(|(id, what, of)| ((id, what), of)).collect();
        hazmat
    }
}
