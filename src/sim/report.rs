//! What the demo prints: a line of progress, and the account at the end. Pure.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

use super::account;
use super::gates::ledger::{self, Passed};
use super::platform::Verdict;
use crate::domain::reading::Quality;
use crate::domain::record::Stream;
use crate::domain::snapshot::Totals;

/// Blemishes and refusals shown below the table.
const MAX_SHOWN: usize = 10;

/// One line of progress.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// Since the start.
    pub at: Duration,
    /// Readings taken.
    pub readings: u64,
    /// Records made.
    pub made: u64,
    /// Records at the platform.
    pub delivered: u64,
    /// Numbers inside gaps.
    pub lost: u64,
}

/// The account at the end.
#[derive(Debug)]
pub struct Summary {
    /// Records made when the time was up.
    pub made: u64,
    /// Counters of the engine at that time.
    pub totals: Totals,
    /// The closing against what had been made by then.
    pub drained: Verdict,
    /// The closing after the gateway was stopped.
    pub last: Verdict,
    /// What passed at the gates, as the world itself knows.
    pub world: BTreeMap<&'static str, Passed>,
    /// Numbers made while stopping that did not leave any more.
    pub left: u64,
    /// Counters of the platform.
    pub platform: account::Totals,
    /// Requests to devices that were no reading ones.
    pub writes: u64,
    /// Subscribers that the broker disconnected because they were too slow.
    pub dropped_slow: u64,
}

/// Returns the time as `  12.3s`.
pub fn at(since: Duration) -> String {
    format!("{:>6.1}s", since.as_secs_f64())
}

impl Progress {
    /// Returns the line.
    pub fn line(&self) -> String {
        let waiting = self.made.saturating_sub(self.delivered).saturating_sub(self.lost);
        format!(
            "{}   读数 readings {:>8}   送达 delivered {:>7}   等待 waiting {:>6}   丢失 lost {}",
            at(self.at),
            self.readings,
            self.delivered,
            waiting,
            self.lost
        )
    }
}

impl Summary {
    /// Returns whether the account closes. Numbers above the one asked for came while it drained, and are no fault.
    pub fn closes(&self) -> bool {
        let faults = &self.last.closing;
        self.waiting() == 0
            && faults.order_faults == 0
            && faults.changed == 0
            && faults.refused == 0
            && faults.alarms.faults.is_empty()
            && self.writes == 0
            && ledger::disagree(&self.world, &faults.passages.through).is_empty()
            && self.platform.unreadable == 0
    }

    /// Numbers made in time, and neither at the platform nor inside a gap.
    fn waiting(&self) -> u64 {
        self.drained.closing.unexplained.iter().map(|(_, r)| r.end() - r.start() + 1).sum()
    }

    /// Returns the table.
    pub fn table(&self) -> String {
        let closing = &self.last.closing;
        let lost = self.drained.closing.lost;
        let delivered = self.made.saturating_sub(self.waiting()).saturating_sub(lost);
        let mut out = String::from("\n");
        let mut row = |zh: &str, en: &str, figure: String| {
            // Chinese characters are two columns wide.
            let width = zh.chars().map(|c| if c.is_ascii() { 1 } else { 2 }).sum::<usize>();
            let pad = 14_usize.saturating_sub(width);
            writeln!(out, "  {zh}{:pad$}{en:<34}{figure:>14}", "").ok();
        };
        row("读数", "readings taken", (self.totals.readings + self.totals.readings_bad).to_string());
        row("其中无值", "of these without a value", self.totals.readings_bad.to_string());
        row("记入数值", "values recorded", self.totals.values_recorded.to_string());
        row("生成记录", "records made", self.made.to_string());
        row("已送达", "delivered", delivered.to_string());
        row("等待", "waiting", self.waiting().to_string());
        row("丢失", "lost, each with its gap record", lost.to_string());
        row("重复", "duplicates, recognized", closing.duplicates.to_string());
        row("乱序", "out of order", closing.order_faults.to_string());
        row("被改动", "changed", closing.changed.to_string());
        row("被拒消息", "messages refused", closing.refused.to_string());
        row(
            "报警步骤",
            "steps of alarms / occurrences",
            format!("{} / {}", closing.alarms.records, closing.alarms.occurrences),
        );
        row("报警缺步", "alarms that do not add up", closing.alarms.faults.len().to_string());
        let (through, passages) = (closing.passages.through.values().sum::<u32>(), closing.passages.passages);
        let world: u32 = self.world.values().map(|passed| passed.done).sum();
        row("过闸", "went through gates / at the platform", format!("{world} / {through}"));
        row("通行记录", "passages, all that came", passages.to_string());
        row("轮询", "polls due", self.totals.polls_due.to_string());
        row("跳过轮询", "polls skipped", self.totals.polls_skipped.to_string());
        row("最大轮询延迟", "worst poll lateness", millis(self.totals.worst_late));
        if let Some((p50, p99)) = self.last.live_age {
            row("实时数据时延", "age of live values p50 / p99", format!("{} / {}", millis(p50), millis(p99)));
        }
        row("停机余量", "made while stopping, kept in store", self.left.to_string());
        row("写设备", "requests to write to a device", self.writes.to_string());
        self.particulars(&mut out);
        out.push_str(if self.closes() {
            "\n  账目相符 ｜ The account closes.\n"
        } else {
            "\n  账目不符 ｜ The account does NOT close.\n"
        });
        out
    }

    fn particulars(&self, out: &mut String) {
        let qualities = Quality::ALL.into_iter().zip(self.platform.qualities).filter(|(_, count)| *count > 0);
        let qualities: Vec<String> =
            qualities.map(|(quality, count)| format!("{} {count}", quality.as_str())).collect();
        if !qualities.is_empty() {
            writeln!(out, "  非测量值 not measurements: {}", qualities.join(", ")).ok();
        }
        let verdicts = &self.last.closing.passages.verdicts;
        if !verdicts.is_empty() {
            let words: Vec<String> = verdicts.iter().map(|(verdict, count)| format!("{verdict} {count}")).collect();
            writeln!(out, "  判定 decisions: {}", words.join(", ")).ok();
        }
        for (lane, passed, told) in ledger::disagree(&self.world, &self.last.closing.passages.through) {
            let Passed { begun, done } = passed;
            writeln!(out, "  过闸不符 passages disagree: {lane}: {done}..={begun} passed, {told} at the platform").ok();
        }
        for (stream, reason, count) in &self.last.gaps {
            let stream = stream.as_str();
            writeln!(out, "  缺口 gap: {stream} {reason}: {count}").ok();
        }
        for (stream, range) in self.drained.closing.unexplained.iter().take(MAX_SHOWN) {
            writeln!(out, "  未说明 unexplained: {} {}..={}", Stream::as_str(*stream), range.start(), range.end()).ok();
        }
        for blemish in self.last.blemishes.iter().take(MAX_SHOWN) {
            writeln!(out, "  问题 blemish: {blemish:?}").ok();
        }
        for refusal in self.last.refusals.iter().take(MAX_SHOWN) {
            writeln!(out, "  拒收 refused: {refusal}").ok();
        }
        if self.dropped_slow > 0 {
            writeln!(out, "  慢订阅者被断开 slow subscribers disconnected: {}", self.dropped_slow).ok();
        }
        if self.platform.unreadable > 0 {
            writeln!(out, "  不可读 unreadable records: {}", self.platform.unreadable).ok();
        }
    }
}

fn millis(duration: Duration) -> String {
    format!("{:.1} ms", duration.as_secs_f64() * 1e3)
}
