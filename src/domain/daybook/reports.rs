//! When reports are made: at their time, made up for afterwards, corrected, and followed to the platform.

use std::collections::BTreeMap;
use std::time::Duration;

use super::calendar::{Date, LocalDay};
use super::effect::{Delivery, Done, Due, needs, person, text};
use super::fact::Moment;
use super::making::{DeviceSpan, Making, Material, late_after, lateness};
use super::memory::{Reported, UnderWay};
use super::report::{Correction, DailyReport, DeliveryReport, OmittedReport, ReportKind, StoreSection};
use super::standing::Standing;
use super::tally::Tally;
use super::{Correct, Daybook, KEPT_DAYS, MAX_LEAP, MAX_MADE_UP, Output, TICK};
use crate::domain::actor::{Actor, Refused, Role};
use crate::domain::audit::Digest;
use crate::domain::document::{Document, DocumentKind};
use crate::domain::record::Mode;
use crate::domain::time::{ClockTrust, Now, Timestamp};

/// A report made later than this after its time is one that was made up for; earlier, somebody was busy for a moment.
const MADE_UP_AFTER: Duration = Duration::from_secs(300);
/// Versions of how many days are remembered: two years, with what a clock that was ahead has reported. The day farthest
/// from now goes.
const MAX_REPORTED: usize = 800;
/// Reports on their way that are followed: two months without a platform, with their corrections. The oldest goes, and is
/// delivered all the same; only its delivery is not told.
pub(super) const MAX_UNDER_WAY: usize = 200;
/// Versions that another one adds to: a day that came again so often was never a day. The oldest goes.
const MAX_ADDS_TO: usize = 64;
/// Two clocks that are both trusted and further apart: whichever was right, the days between them were not lived.
const LEAP: Duration = Duration::from_secs(86_400);
/// A clock of a gateway that never knew the time is plausible from here on: 2025.
const FLOOR: Timestamp = Timestamp(1_735_689_600_000);

impl Daybook {
    /// Looks at the clocks, and does everything that is due.
    pub(super) fn look(&mut self, now: Now) {
        let leapt = self.leapt(now);
        let known = self.keep_time(now);
        self.with(now, |memory, cx| {
            memory.duty.look(known, cx);
            memory.hazards.look(cx);
            memory.accidents.look(cx);
        });
        if known {
            self.make_due(leapt, now);
        }
        for day in std::mem::take(&mut self.memory.changed) {
            let zh = "后来查明日期的记录 / facts that were dated after the report was made";
            let correction = Correction { by: Actor::gateway(), reason: zh.into() };
            self.make(day, Some(correction), now);
        }
        if self.swept.is_none_or(|swept| now.mono.since(swept) >= TICK) {
            self.swept = Some(now.mono);
            self.watch_silence(now);
            self.memory.forget_quiet(Moment::of(self.boot, now.mono, now));
            self.forget();
        }
    }

    /// Counts the time that has passed, and dates what can be dated; returns whether it is known what time it is.
    pub(super) fn keep_time(&mut self, now: Now) -> bool {
        let last = std::mem::replace(&mut self.last, now);
        self.pass(last, now);
        let known = self.is_known(last, now);
        if now.trust != ClockTrust::Unsynced {
            if last.trust == ClockTrust::Unsynced {
                self.memory.settle(self.boot, now);
            }
            self.turn_back(now);
            self.date_boot();
            self.date_held(now);
        }
        if known {
            let today = self.day_at(now.wall).date;
            self.memory.next.get_or_insert(today);
            self.days_come_again(today);
            self.end_days(today);
        }
        known
    }

    /// Returns the day that it is, where that is known.
    pub(super) fn day_now(&mut self, now: Now) -> Option<LocalDay> {
        self.is_plausible(now).then(|| self.day_at(now.wall))
    }

    fn is_plausible(&self, now: Now) -> bool {
        let inside = |known: Timestamp| known <= now.wall && now.wall <= known.after(MAX_LEAP);
        now.trust != ClockTrust::Unsynced || self.memory.known_wall.map_or(now.wall >= FLOOR, inside)
    }

    /// Whether it is known what time it is; remembers it, so that a later clock can be weighed.
    fn is_known(&mut self, last: Now, now: Now) -> bool {
        let known = self.is_plausible(now);
        let even = now.wall.0.saturating_sub(last.wall.0)
            - i64::try_from(super::fact::ms(now.mono.since(last.mono))).unwrap_or(0);
        if now.trust != ClockTrust::Unsynced {
            self.memory.known_wall = Some(now.wall);
        } else if known && even.abs() <= super::making::CLOCK_STEP_MS {
            self.memory.known_wall = self.memory.known_wall.max(Some(now.wall));
        }
        known
    }

    /// A trusted clock that goes back by more than the day before: what follows comes again, in new versions.
    fn turn_back(&mut self, now: Now) {
        let today = self.day_at(now.wall).date;
        let Some(next) = self.memory.next.filter(|next| today < next.plus(-1)) else { return };
        self.memory.next = Some(today);
        // What was counted in days that are not there yet, and not reported there, was counted today.
        let ahead: Vec<Tally> = self.take_unreported(next, Date(i32::MAX));
        // What is reported of days that come again stands in those reports; the new ones count what comes now, and say so.
        drop(self.take_unreported(today, Date(i32::MAX)));
        self.memory.reported.range_mut(today..).for_each(|(_, reported)| reported.gone = true);
        let tally = self.memory.days.entry(today).or_default();
        ahead.iter().for_each(|ahead| tally.merge(ahead));
        self.begin_anew(today);
        self.memory.accounts.retain(|date, _| *date <= today);
    }

    /// Returns the days that nobody lived: a clock that was trusted before is trusted again, and is more than [`LEAP`] ahead of
    /// what has passed since. The first of them is the one that was open.
    fn leapt(&mut self, now: Now) -> Option<(Date, Date)> {
        if now.trust == ClockTrust::Unsynced {
            return None;
        }
        let before = self.trusted.replace(now)?;
        let expected = before.wall.after(now.mono.since(before.mono));
        if now.wall <= expected.after(LEAP) {
            return None;
        }
        let open = LocalDay::at(&*self.calendar, expected, self.rules.report.cut, self.rules.report.at);
        Some((open.date, self.day_at(now.wall).date.plus(-1)))
    }

    fn make_due(&mut self, leapt: Option<(Date, Date)>, now: Now) {
        let today = self.day_at(now.wall).date;
        let next = *self.memory.next.get_or_insert(today);
        if let Some((open, last)) = leapt {
            // What was over before is reported as ever; of the rest nobody knows which of the two clocks was right.
            let next = self.make_before(open, next, now);
            if next <= last {
                self.omit(next, last, now);
                self.memory.next = Some(last.plus(1));
            }
        }
        let mut next = self.memory.next.unwrap_or(today);
        if today.0.saturating_sub(next.0) > MAX_MADE_UP {
            let from = next;
            next = today.plus(-MAX_MADE_UP);
            self.omit(from, next.plus(-1), now);
            self.memory.next = Some(next);
        }
        self.make_before(Date(i32::MAX), next, now);
    }

    /// Makes the reports that are due, of the days from `next` to before `end`; returns the day after them.
    fn make_before(&mut self, end: Date, mut next: Date, now: Now) -> Date {
        while next < end && self.day(next).due_at <= now.wall {
            if now.trust == ClockTrust::Unsynced {
                // Nobody dates them better than the clock by which the report is made.
                self.date_boot();
                self.date_held(now);
            }
            self.make(next, None, now);
            next = next.plus(1);
            self.memory.next = Some(next);
        }
        next
    }

    /// Says in one record that so many days have no report of their own.
    fn omit(&mut self, from_day: Date, to_day: Date, now: Now) {
        let count = u64::from(to_day.0.abs_diff(from_day.0)) + 1;
        self.hand_on_omitted(from_day, to_day);
        let record = OmittedReport {
            what: ReportKind::Omitted,
            from_day,
            to_day,
            count,
            generated_at: now.wall,
            zh: format!("{from_day} 至 {to_day} 共 {count} 天没有日报告：网关未运行或时钟跳变"),
            en: format!(
                "no report of {count} days from {from_day} to {to_day}: the gateway was off, or its clock jumped"
            ),
        };
        let document = Document::of(DocumentKind::Report, Mode::Real, now.mono, &record);
        self.outputs.push_back(Output::Document(document));
    }

    /// What was counted in omitted days is not lost: it goes into the first day that has a report.
    pub(super) fn hand_on_omitted(&mut self, from_day: Date, to_day: Date) {
        let first = to_day.plus(1);
        for tally in self.take_unreported(from_day, to_day) {
            self.memory.days.entry(first).or_default().merge(&tally);
        }
    }

    /// Puts what nobody can date into the day that is reported.
    pub(super) fn take_undated(&mut self, day: Date) {
        let tally = self.memory.days.entry(day).or_default();
        if let Some(undated) = self.memory.undated.take() {
            tally.merge(&undated);
            tally.undated = true;
        }
    }

    /// Takes the accounts of these days, which have no report yet, out.
    fn take_unreported(&mut self, from: Date, to: Date) -> Vec<Tally> {
        let days: Vec<Date> = self.memory.days.range(from..=to).map(|(date, _)| *date).collect();
        days.iter().filter_map(|date| self.memory.days.remove(date)).collect()
    }

    /// Makes the next version of a day's report.
    fn make(&mut self, day: Date, correction: Option<Correction>, now: Now) {
        let before = self.memory.reported.contains_key(&day);
        let correction = correction.or_else(|| {
            let reason =
                "此前的报告是按错误的时钟作出的 / the report before was made by a clock that was wrong".to_owned();
            before.then(|| Correction { by: Actor::gateway(), reason })
        });
        self.take_undated(day);
        let report = self.draw(day, correction, now);
        let (version, hash, adds_to) = (report.version, report.hash, report.adds_to.clone());
        let document = Document::of(DocumentKind::Report, Mode::Real, now.mono, &report);
        self.memory.reported.insert(day, Reported { version, hash, gone: false, adds_to });
        let due = Due { at: report.due_at, grace_ms: late_after(&self.rules.report) };
        self.memory.reports.insert(day, report);
        self.give_out(Delivery::Daily { day, version }, Some(hash), due, now, document);
    }

    /// Draws up a report of what is known now.
    pub(super) fn draw(&self, date: Date, correction: Option<Correction>, now: Now) -> DailyReport {
        let standing = self.standing_of(date);
        self.draw_of(self.day(date), (self.memory.days.get(&date), standing), correction, now)
    }

    /// The same, of an account given, and of what stood open at its end.
    pub(super) fn draw_of(
        &self,
        day: LocalDay,
        (tally, standing): (Option<&Tally>, Standing),
        correction: Option<Correction>,
        now: Now,
    ) -> DailyReport {
        let (date, empty) = (day.date, Tally::default());
        let before = self.memory.reported.get(&date);
        let tally = tally.unwrap_or(&empty);
        let material = Material {
            day,
            tally,
            devices: self.device_spans(&day),
            standing,
            store: self.store_section(date),
            audit: self.audit,
            undated: tally.undated || !self.memory.held.is_empty(),
        };
        let making = Making {
            version: before.map_or(1, |before| before.version.saturating_add(1)),
            prev: before.map(|before| before.hash),
            adds_to: before.map(Self::beside).unwrap_or_default(),
            made_up: correction.is_none() && lateness(day.due_at, now.wall) > super::fact::ms(MADE_UP_AFTER),
            correction,
            generated_at: now.wall,
            clock_trust: now.trust.as_str(),
        };
        DailyReport::make(material, making, &self.rules.report)
    }

    /// Returns the versions whose facts are not in the account that is kept.
    fn beside(before: &Reported) -> Vec<Digest> {
        let mut adds_to = before.adds_to.clone();
        adds_to.extend(before.gone.then_some(before.hash));
        let beyond = adds_to.len().saturating_sub(MAX_ADDS_TO);
        adds_to.split_off(beyond)
    }

    /// Makes a new version because a person wants it.
    pub(super) fn correct(&mut self, correct: &Correct, actor: &Actor, now: Now) -> Result<Done, Refused> {
        person(actor)?;
        needs(actor, &[Role::Supervisor])?;
        let reason = text(&correct.reason, "原因", "the reason")?;
        let day = correct.day;
        if !self.memory.reported.contains_key(&day) {
            return Err(Refused::new(format!("{day} 还没有日报告"), format!("there is no report of {day} yet")));
        }
        if !self.memory.days.contains_key(&day) {
            let days = KEPT_DAYS - 1;
            return Err(Refused::new(
                format!("{day} 的台账已不在，只能更正最近 {days} 天"),
                format!("the account of {day} is gone: only the last {days} days can be corrected"),
            ));
        }
        self.make(day, Some(Correction { by: actor.clone(), reason }), now);
        let version = self.memory.reported.get(&day).map_or(1, |reported| reported.version);
        Ok(Done::new(
            day.to_string(),
            format!("{day} 日报告第 {version} 版"),
            format!("version {version} of the report of {day}"),
        ))
    }

    /// Gives a report out, and remembers that it is under way. `hash` is that of a daily report.
    pub(super) fn give_out(&mut self, of: Delivery, hash: Option<Digest>, due: Due, now: Now, document: Document) {
        self.memory.under_way.push(UnderWay { of: of.clone(), seq: None, hash, due, generated_at: now.wall });
        if self.memory.under_way.len() > MAX_UNDER_WAY {
            self.memory.under_way.remove(0);
        }
        self.outputs.push_back(Output::Report(of, document));
    }

    /// Tells of reports that have arrived.
    pub(super) fn delivered(&mut self, stored: &dyn Fn(u64) -> bool, now: Now) {
        let under_way = std::mem::take(&mut self.memory.under_way);
        let (arrived, waiting): (Vec<_>, Vec<_>) = under_way.into_iter().partition(|u| u.seq.is_some_and(stored));
        self.memory.under_way = waiting;
        for UnderWay { of, hash, due, generated_at, .. } in arrived {
            let late_by_ms = lateness(due.at, now.wall);
            let record = DeliveryReport {
                what: ReportKind::Delivery,
                of,
                hash,
                due_at: due.at,
                generated_at,
                sent_at: now.wall,
                is_late: late_by_ms > due.grace_ms,
                late_by_ms,
            };
            let document = Document::of(DocumentKind::Report, Mode::Real, now.mono, &record);
            self.outputs.push_back(Output::Document(document));
        }
    }

    fn device_spans(&self, day: &LocalDay) -> BTreeMap<String, DeviceSpan> {
        let mut spans = BTreeMap::new();
        for (id, device) in &self.memory.devices {
            let until = device.until.map_or(day.ends, |until| until.wall);
            let from = if device.since.trusted { device.since.wall } else { day.starts };
            let known_ms = day.overlap_ms(from, until);
            if known_ms > 0 {
                spans.insert(id.clone(), DeviceSpan { known_ms, last_ok: self.last_ok(id, device.last_ok, day) });
            }
        }
        spans
    }

    /// Returns when a device answered last, up to the end of the day.
    fn last_ok(&self, id: &str, ever: Option<Moment>, day: &LocalDay) -> Option<Timestamp> {
        let days = self.memory.days.range(..=day.date).rev();
        let counted = days.filter_map(|(_, tally)| tally.devices.get(id)?.last_ok).map(|moment| moment.wall).next();
        counted.or_else(|| ever.map(|moment| moment.wall).filter(|wall| *wall < day.ends))
    }

    fn store_section(&self, date: Date) -> Option<StoreSection> {
        let account = self.memory.accounts.get(&date)?.clone();
        let before = self.memory.accounts.range(..date).next_back().map(|(_, account)| account);
        let same = before.filter(|before| before.epoch == account.epoch);
        let made = |before: &super::StoreAccount| {
            let made = |(stream, now): (&String, &super::StreamAccount)| {
                let first = before.streams.get(stream).map_or(0, |stream| stream.next_seq);
                (stream.clone(), now.next_seq.saturating_sub(first))
            };
            account.streams.iter().map(made).collect()
        };
        Some(StoreSection {
            records: same.map(made),
            new_gaps: same.map(|before| account.gaps.saturating_sub(before.gaps)),
            replaced: before.is_some() && same.is_none(),
            account,
        })
    }

    /// Keeps what may still be corrected, and no more.
    fn forget(&mut self) {
        let memory = &mut self.memory;
        let Some(next) = memory.next else { return };
        let kept = i32::try_from(KEPT_DAYS).unwrap_or(i32::MAX);
        let oldest = next.plus(1 - kept);
        memory.reports.retain(|date, _| *date >= oldest);
        memory.ended.retain(|date, _| *date >= oldest);
        while let Some(day) = memory.days.first_entry().filter(|day| *day.key() < oldest) {
            if let Some(reported) = memory.reported.get_mut(day.key()) {
                reported.gone = true;
            }
            day.remove();
        }
        while memory.reported.len() > MAX_REPORTED {
            let (first, last) = (memory.reported.first_key_value(), memory.reported.last_key_value());
            let (past, ahead) =
                (first.map_or(0, |(d, _)| d.0.abs_diff(next.0)), last.map_or(0, |(d, _)| d.0.abs_diff(next.0)));
            drop(if past >= ahead { memory.reported.pop_first() } else { memory.reported.pop_last() });
        }
        let first = memory.days.keys().next().copied();
        let (calendar, rules) = (&self.calendar, &self.rules.report);
        let starts = first.map(|date| LocalDay::of(&**calendar, date, rules.cut, rules.at).starts);
        memory
            .devices
            .retain(|_, device| device.until.is_none_or(|until| starts.is_none_or(|starts| until.wall >= starts)));
    }
}
