//! What the daybook remembers, all of which survives a restart, and where each fact goes.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Daybook;
use super::accident::Accidents;
use super::calendar::Date;
use super::duty::Duty;
use super::effect::{Delivery, Due};
use super::fact::{AlarmFact, AlarmStep, CoverageFact, Moment, ms};
use super::hazards::{Hazards, in_use};
use super::report::{DailyReport, StoreAccount};
use super::standing::Standing;
use super::tally::Tally;
use crate::domain::audit::Digest;
use crate::domain::record::Mode;
use crate::domain::time::{ClockTrust, Now, Timestamp};

/// Beginning of the cause of a hazard that is a device's silence.
pub(super) const DEVICE_SILENT: &str = "device_silent:";
/// Open alarms that the report can name: as many as a gateway has points. One beyond is counted when raised, and not timed.
pub(super) const MAX_OPEN_ALARMS: usize = 20_000;
/// Spans of undated facts: three days at ten minutes each. When full, the two oldest become one, and are dated together.
pub(super) const MAX_HELD: usize = 432;
/// Length of such a span: how exactly undated counters fall into their day. Times of alarms are dated one by one.
const HELD_SPAN: Duration = Duration::from_secs(600);
/// Alarms and outputs whose repetitions are watched; the one longest quiet goes.
const MAX_WATCHED: usize = 20_000;
/// Repetitions count within this time.
const REPEAT_WITHIN: Duration = Duration::from_secs(24 * 3600);

/// Everything that survives a restart.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Memory {
    /// Accounts by day: the last ones reported, the open one, and what is later than it.
    pub(super) days: BTreeMap<Date, Tally>,
    /// What has no day yet.
    pub(super) held: VecDeque<Held>,
    /// What an earlier run left undated, and nobody can date any more; goes into the next report as such.
    pub(super) undated: Option<Tally>,
    /// The first day without a report.
    pub(super) next: Option<Date>,
    /// The latest wall time that was known to be right, or plausible and running evenly since.
    pub(super) known_wall: Option<Timestamp>,
    /// Reports made, by day.
    pub(super) reported: BTreeMap<Date, Reported>,
    /// The newest version of the last days' reports, in full.
    pub(super) reports: BTreeMap<Date, DailyReport>,
    /// Reported days to whose account something was added since.
    pub(super) changed: BTreeSet<Date>,
    /// The devices to be read, and those that were of late.
    pub(super) devices: BTreeMap<String, Device>,
    /// Open alarms by occurrence.
    pub(super) open: BTreeMap<String, OpenAlarm>,
    /// What stood open when each of the last days ended. What was saved before this was kept has none.
    #[serde(default)]
    pub(super) ended: BTreeMap<Date, Standing>,
    /// A start that could not be dated yet.
    pub(super) boot: Option<PendingBoot>,
    /// The store's last account of each day.
    pub(super) accounts: BTreeMap<Date, StoreAccount>,
    /// Reports on their way to the platform.
    pub(super) under_way: Vec<UnderWay>,
    /// When alarms and outputs failed last, by cause.
    pub(super) repeats: BTreeMap<String, VecDeque<Moment>>,
    pub(super) duty: Duty,
    pub(super) hazards: Hazards,
    pub(super) accidents: Accidents,
}

/// An account of facts that nobody can date yet.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Held {
    pub(super) from: Moment,
    pub(super) tally: Tally,
}

/// The newest version of a report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Reported {
    pub(super) version: u32,
    pub(super) hash: Digest,
    /// Whether its account is not kept any more: what comes to the day after all is counted beside it.
    pub(super) gone: bool,
    /// See [`DailyReport::adds_to`].
    pub(super) adds_to: Vec<Digest>,
}

/// A device as the daybook knows it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Device {
    pub(super) since: Moment,
    pub(super) until: Option<Moment>,
    pub(super) last_ok: Option<Moment>,
    /// Whether its silence was proposed as a hazard, and it has not answered since.
    pub(super) proposed: bool,
}

/// An alarm that is not over.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct OpenAlarm {
    pub(super) alarm: String,
    pub(super) class: String,
    pub(super) level: u8,
    pub(super) raised: Moment,
    /// Since when an acknowledgement is due.
    pub(super) unacked: Option<Moment>,
    /// Whether the cause is there.
    pub(super) active: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct PendingBoot {
    pub(super) at: Moment,
    pub(super) last_seen: Option<Timestamp>,
    pub(super) off_ms: Option<u64>,
    pub(super) clean: bool,
}

/// A report that was given out and is not known to have arrived.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct UnderWay {
    pub(super) of: Delivery,
    pub(super) seq: Option<u64>,
    pub(super) hash: Option<Digest>,
    pub(super) due: Due,
    pub(super) generated_at: Timestamp,
}

impl Memory {
    /// Goes on in a new run. What the last run could not date stays undated: its monotonic clock is gone.
    pub(super) fn resume(&mut self, saved: Moment, now: Moment) {
        for held in std::mem::take(&mut self.held) {
            self.undated.get_or_insert_default().merge(&held.tally);
        }
        if let Some(boot) = self.boot.take() {
            let undated = self.undated.get_or_insert_default();
            undated.boots += 1;
            undated.unclean += u64::from(!boot.clean);
            undated.off_unknown += 1;
        }
        self.duty.resume(saved, now);
        self.accidents.resume(saved, now);
    }

    pub(super) fn install<'a>(&mut self, ids: impl IntoIterator<Item = &'a str>, at: Moment) {
        let ids: BTreeSet<&str> = ids.into_iter().collect();
        for id in &ids {
            let new = || Device { since: at, until: None, last_ok: None, proposed: false };
            match self.devices.get_mut(*id) {
                Some(device) if device.until.is_none() => {}
                Some(device) => *device = new(),
                None => drop(self.devices.insert((*id).to_owned(), new())),
            }
        }
        for (_, device) in self.devices.iter_mut().filter(|(id, _)| !ids.contains(id.as_str())) {
            device.until.get_or_insert(at);
        }
    }

    pub(super) fn has_undated(&self) -> bool {
        !self.held.is_empty() || self.undated.is_some()
    }

    pub(super) fn recorded(&mut self, delivery: &Delivery, seq: u64) {
        if let Some(under_way) = self.under_way.iter_mut().find(|u| u.of == *delivery && u.seq.is_none()) {
            under_way.seq = Some(seq);
        }
    }

    pub(super) fn undelivered(&self) -> usize {
        self.under_way.len()
    }

    /// Dates every moment of this run by a clock that is trusted now.
    pub(super) fn settle(&mut self, boot: u32, now: Now) {
        for device in self.devices.values_mut() {
            device.since.settle(boot, now);
            [&mut device.until, &mut device.last_ok].into_iter().flatten().for_each(|m| m.settle(boot, now));
        }
        for open in self.open.values_mut() {
            open.raised.settle(boot, now);
            open.unacked.iter_mut().for_each(|m| m.settle(boot, now));
        }
        self.repeats.values_mut().flatten().for_each(|m| m.settle(boot, now));
        self.boot.iter_mut().for_each(|pending| pending.at.settle(boot, now));
    }

    fn hold(&mut self, at: Moment) -> &mut Tally {
        let fits = |held: &Held| held.from.boot == at.boot && at.mono().since(held.from.mono()) < HELD_SPAN;
        if !self.held.back().is_some_and(fits) {
            if self.held.len() >= MAX_HELD
                && let (Some(oldest), Some(second)) = (self.held.pop_front(), self.held.front_mut())
            {
                second.tally.merge(&oldest.tally);
                second.from = oldest.from;
            }
            self.held.push_back(Held { from: at, tally: Tally::default() });
        }
        // The one that fits, or the one just made.
        match self.held.back_mut() {
            Some(held) => &mut held.tally,
            None => self.undated.get_or_insert_default(),
        }
    }

    /// Forgets repetitions that are too old to count.
    pub(super) fn forget_quiet(&mut self, now: Moment) {
        let counts = |last: &Moment| last.until(now).is_none_or(|age| age <= REPEAT_WITHIN);
        self.repeats.retain(|_, times| times.back().is_some_and(counts));
    }

    /// Counts a repetition and returns whether there were `limit` of them of late; then they are counted anew.
    fn repeated(&mut self, cause: &str, at: Moment, limit: u32) -> bool {
        if limit == 0 {
            return false;
        }
        if self.repeats.len() >= MAX_WATCHED && !self.repeats.contains_key(cause) {
            let quiet = self.repeats.iter().min_by_key(|(_, times)| times.back().map(|m| (m.boot, m.mono_ms)));
            let quiet = quiet.map(|(cause, _)| cause.clone());
            quiet.map(|cause| self.repeats.remove(&cause));
        }
        let times = self.repeats.entry(cause.to_owned()).or_default();
        times.push_back(at);
        while times.front().is_some_and(|first| first.until(at).is_none_or(|age| age > REPEAT_WITHIN)) {
            times.pop_front();
        }
        let enough = times.len() >= usize::try_from(limit).unwrap_or(usize::MAX);
        if enough {
            self.repeats.remove(cause);
        }
        enough
    }
}

impl Daybook {
    /// Returns the account in which something that happened at `at` is counted.
    pub(super) fn tally_at(&mut self, at: Moment) -> &mut Tally {
        if !at.trusted {
            return self.memory.hold(at);
        }
        let date = self.day_at(at.wall).date;
        // A day that is reported takes nothing more of what happens now.
        let date = self.memory.next.map_or(date, |next| date.max(next));
        self.memory.days.entry(date).or_default()
    }

    pub(super) fn coverage(&mut self, fact: &CoverageFact, at: Moment) {
        // The day of its middle: an account that ends at the cut is one of the day that ends.
        self.tally_at(at.earlier(fact.span / 2)).coverage(fact, at);
        if fact.ok == 0 {
            return;
        }
        let Some(device) = self.memory.devices.get_mut(&fact.device) else { return };
        device.last_ok = Some(at);
        if std::mem::take(&mut device.proposed) && !self.follows {
            let cause = silence(&fact.device);
            let now = self.last;
            self.with(now, |memory, cx| memory.hazards.cause_gone(&cause, cx));
        }
    }

    pub(super) fn alarm(&mut self, fact: AlarmFact, at: Moment, now: Now) {
        if fact.mode != Mode::Real {
            if fact.step == AlarmStep::Raised {
                self.tally_at(at).alarms.not_real += 1;
            }
            return;
        }
        let known = self.memory.open.contains_key(&fact.occ);
        let raised = matches!(fact.step, AlarmStep::Raised | AlarmStep::Again | AlarmStep::Worse) && !known;
        if raised {
            self.raised(&fact, at, now);
        } else if known {
            self.went_on(&fact, at);
        }
        if fact.step == AlarmStep::Shelved {
            self.tally_at(at).alarms.shelved += 1;
        }
        if fact.over {
            self.memory.open.remove(&fact.occ);
        }
    }

    fn raised(&mut self, fact: &AlarmFact, at: Moment, now: Now) {
        let alarms = &mut self.tally_at(at).alarms;
        alarms.raised += 1;
        *alarms.by.entry(format!("{}/{}", fact.class, fact.level)).or_default() += 1;
        if self.memory.open.len() < MAX_OPEN_ALARMS {
            let AlarmFact { alarm, class, level, .. } = fact.clone();
            let open = OpenAlarm { alarm, class, level, raised: at, unacked: Some(at), active: true };
            self.memory.open.insert(fact.occ.clone(), open);
        }
        let cause = format!("alarm_repeated:{}", fact.alarm);
        let limit = self.rules.hazard.repeats;
        if self.memory.repeated(&cause, at, limit) {
            let text = format!("24 小时内报警 {limit} 次 / raised {limit} times within 24 hours");
            self.propose(&cause, &fact.alarm, text, now);
        }
    }

    fn went_on(&mut self, fact: &AlarmFact, at: Moment) {
        let Some(open) = self.memory.open.get_mut(&fact.occ) else { return };
        match fact.step {
            AlarmStep::Worse => {
                open.level = fact.level;
                open.unacked = Some(at);
                self.tally_at(at).alarms.worse += 1;
            }
            AlarmStep::Again | AlarmStep::Raised => {
                open.active = true;
                open.unacked = Some(at);
            }
            AlarmStep::Acknowledged => {
                if let Some(since) = open.unacked.take() {
                    self.tally_at(at).alarms.to_ack.add(since.until(at));
                }
            }
            AlarmStep::Cleared => {
                if std::mem::take(&mut open.active) {
                    let raised = open.raised;
                    self.tally_at(at).alarms.to_clear.add(raised.until(at));
                }
            }
            AlarmStep::Shelved | AlarmStep::Other => {}
        }
    }

    pub(super) fn output(&mut self, output: &str, done: bool, at: Moment, now: Now) {
        let tally = self.tally_at(at);
        *(if done { &mut tally.outputs_done } else { &mut tally.outputs_failed }) += 1;
        let limit = self.rules.hazard.output_failures;
        let cause = format!("output_failed:{output}");
        if done {
            self.memory.repeats.remove(&cause);
        } else if self.memory.repeated(&cause, at, limit) {
            let text = format!("24 小时内 {limit} 次未动作 / failed {limit} times within 24 hours");
            self.propose(&cause, output, text, now);
        }
    }

    /// Proposes a hazard; one that was proposed before a restart has a record of its own.
    fn propose(&mut self, cause: &str, place: &str, text: String, now: Now) {
        if !self.follows {
            self.with(now, |memory, cx| memory.hazards.propose(cause, place, text, cx));
        }
    }

    pub(super) fn booted(
        &mut self,
        last_seen: Option<Timestamp>,
        off: Option<Duration>,
        clean: bool,
        at: Moment,
        now: Now,
    ) {
        self.memory.boot = Some(PendingBoot { at, last_seen, off_ms: off.map(ms), clean });
        if self.follows {
            self.keep_time(now);
        } else {
            self.look(now);
        }
    }

    /// Puts a start, and the time off before it, into the days to which they belong.
    pub(super) fn date_boot(&mut self) {
        let Some(boot) = self.memory.boot.take() else { return };
        let off_ms = boot.off_ms.or_else(|| {
            let last_seen = boot.last_seen?;
            u64::try_from(boot.at.wall.0.saturating_sub(last_seen.0)).ok()
        });
        let tally = self.tally_at(Moment { trusted: true, ..boot.at });
        tally.boots += 1;
        tally.unclean += u64::from(!boot.clean);
        let Some(off_ms) = off_ms else {
            tally.off_unknown += 1;
            return;
        };
        let from = boot.at.wall.before(Duration::from_millis(off_ms));
        let mut day = self.day_at(boot.at.wall);
        // Of a longer time off the days before are told as omitted.
        for _ in 0..=super::MAX_MADE_UP {
            let off = day.overlap_ms(from, boot.at.wall);
            if off == 0 {
                break;
            }
            if self.memory.next.is_none_or(|next| day.date >= next) {
                self.memory.days.entry(day.date).or_default().off_ms += off;
            }
            day = self.day(day.date.plus(-1));
        }
    }

    /// Proposes devices that have been silent for hours.
    pub(super) fn watch_silence(&mut self, now: Now) {
        let Some(limit) = in_use(self.rules.hazard.silent_for) else { return };
        let (at, started) = (Moment::of(self.boot, now.mono, now), self.started);
        let mut silent = Vec::new();
        for (id, device) in self.memory.devices.iter_mut().filter(|(_, d)| d.until.is_none() && !d.proposed) {
            let since = device.last_ok.unwrap_or(device.since);
            // What was before this run is known by trusted clocks only; without them it counts from the start of the run.
            let silence = since.until(at).or_else(|| started.until(at)).unwrap_or_default();
            if silence >= limit {
                device.proposed = true;
                silent.push((id.clone(), silence.as_secs() / 3600));
            }
        }
        for (id, hours) in silent {
            let text = format!("{hours} 小时无数据 / silent for {hours} hours");
            self.propose(&silence(&id), &id, text, now);
        }
    }

    /// Puts held facts into their days, by the clock as it stands now.
    pub(super) fn date_held(&mut self, now: Now) {
        let boot = self.boot;
        for Held { from, mut tally } in std::mem::take(&mut self.memory.held) {
            tally.settle(boot, now);
            let day = self.day_at(now.wall_at(from.mono())).date;
            self.memory.next.get_or_insert(day);
            let kept = self.memory.days.keys().next().copied().unwrap_or(day).min(self.memory.next.unwrap_or(day));
            let day = day.max(kept);
            self.memory.days.entry(day).or_default().merge(&tally);
            if self.memory.reported.contains_key(&day) && self.memory.next.is_some_and(|next| day < next) {
                self.memory.changed.insert(day);
            }
        }
    }

    /// Counts the time that passed since the last look, under the trust that it had.
    pub(super) fn pass(&mut self, last: Now, now: Now) {
        let elapsed = now.mono.since(last.mono);
        let step =
            now.wall.0.saturating_sub(last.wall.0).saturating_sub(i64::try_from(ms(elapsed)).unwrap_or(i64::MAX));
        let at = Moment { trusted: last.trust != ClockTrust::Unsynced, ..Moment::of(self.boot, now.mono, now) };
        // While nobody knows the time, the span is that in which it passed.
        let at = if at.trusted { at } else { Moment { mono_ms: last.mono.millis(), ..at } };
        if step.abs() > super::making::CLOCK_STEP_MS {
            self.tally_at(at).step(now.wall, step);
        }
        if !elapsed.is_zero() {
            self.tally_at(at).passed(last.trust, elapsed);
        }
    }
}

fn silence(device: &str) -> String {
    format!("{DEVICE_SILENT}{device}")
}
