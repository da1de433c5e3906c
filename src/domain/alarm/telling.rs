//! Who is told: horns and lamps by what stands, people by a ladder until somebody acknowledges, and whether it arrived.
//!
//! - A horn sounds while an alarm of it is not acknowledged; silenced (消音) it is quiet until the next alarm of it. A lamp is
//!   lit while one stands. An annunciator that fails is told again each [`RETRY_EVERY`].
//! - Each step of a ladder is an order, a note in the alarm's own records, and a receipt. An acknowledgement, or the shelf, ends the
//!   ladder; a rise to a higher level begins it anew. A step for a responsible person of no hazard source is passed over.
//! - A channel (or an output) that answers with a failure, or not within [`RECEIPT_WITHIN`], fails: where the book has an
//!   alarm for it, that is raised, and cleared by the next order that arrives. A channel that is watched ([`Alarms::handle_channel`])
//!   raises it before it is needed, and clears that itself.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use super::super::order::{Addressee, Order, OrderKind, Receipt, Urgency};
use super::super::time::{Mono, Now};
use super::machine::{Alarms, Timer};
use super::record::{Occ, Told, told_value};
use super::severity::{Class, Priority, Recipient};
use super::spec::{AlarmBook, AlarmSpec, Annunciator, Follows, HazardSource, Step};
use super::state::{Cause, State};
use super::transition::By;
use super::view::Output;

/// How long a channel may take to say what became of an order: the sender of text messages retries within it (`sms/queue.rs`).
pub const RECEIPT_WITHIN: Duration = Duration::from_secs(30);
/// How often an annunciator that failed is told again.
pub const RETRY_EVERY: Duration = Duration::from_secs(10);
/// Receipts waited for at most: a flood of a thousand alarms with four steps each. Beyond it the oldest counts as missed.
pub const RECEIPTS_MAX: usize = 4096;

/// What is being told.
#[derive(Debug, Default)]
pub(super) struct Telling {
    annunciators: Vec<Annunciation>,
    /// In order of their deadlines.
    awaited: VecDeque<Awaited>,
    next_key: u64,
    /// Channels whose last order did not arrive.
    failed: BTreeSet<Arc<str>>,
    /// Channels that say themselves that they could not tell anybody.
    down: BTreeSet<Arc<str>>,
}

/// One annunciator.
#[derive(Clone, Debug, Default)]
struct Annunciation {
    unacked: usize,
    standing: usize,
    silenced: bool,
    /// What it was last told; `None` when that is not known.
    shown: Option<bool>,
}

/// An order whose receipt has not come.
#[derive(Clone, Debug)]
struct Awaited {
    key: String,
    until: Mono,
    channel: Arc<str>,
    purpose: Purpose,
}

/// What an order was for.
#[derive(Clone, Debug)]
enum Purpose {
    /// A step of a ladder: the alarm, and who was told.
    Step(Arc<str>, Occ, Told),
    /// What an annunciator shows. By itself, not by its number: a reload may number it otherwise.
    Shown(Annunciator),
}

impl Telling {
    /// Takes over what the annunciators of the earlier book were told, by their outputs.
    pub(super) fn take_book(&mut self, before: &AlarmBook, book: &AlarmBook) {
        let old = before.annunciators.iter().zip(std::mem::take(&mut self.annunciators)).collect::<Vec<_>>();
        let same = |new: &Annunciator| {
            let found = old.iter().find(|(annunciator, _)| *annunciator == new);
            found.map(|(_, annunciation)| annunciation.clone()).unwrap_or_default()
        };
        self.annunciators = book.annunciators.iter().map(same).collect();
    }

    /// Begins to count anew.
    pub(super) fn count_from_zero(&mut self) {
        for annunciator in &mut self.annunciators {
            (annunciator.unacked, annunciator.standing) = (0, 0);
        }
    }

    /// Counts an alarm that went from one state to another.
    pub(super) fn count(&mut self, annunciators: &[usize], from: State, to: State) {
        let stands = |state: State| state != State::Normal && !state.is_hidden();
        let moved = |n: usize, from: bool, to: bool| (n + usize::from(to)).saturating_sub(usize::from(from));
        for index in annunciators {
            if let Some(annunciator) = self.annunciators.get_mut(*index) {
                annunciator.unacked = moved(annunciator.unacked, from.is_unacked(), to.is_unacked());
                annunciator.standing = moved(annunciator.standing, stands(from), stands(to));
            }
        }
    }

    /// Returns which annunciators are silenced.
    pub(super) fn silenced(&self) -> impl Iterator<Item = usize> + '_ {
        self.annunciators.iter().enumerate().filter(|(_, annunciator)| annunciator.silenced).map(|(index, _)| index)
    }

    /// Silences one.
    pub(super) fn silence(&mut self, index: usize) {
        if let Some(annunciator) = self.annunciators.get_mut(index) {
            annunciator.silenced = true;
        }
    }

    fn key(&mut self, boot: u32) -> String {
        self.next_key += 1;
        format!("alarm-{boot}-{}", self.next_key)
    }
}

impl Alarms {
    /// Takes what became of an order; a key that is not waited for says nothing.
    pub fn handle_receipt(&mut self, key: &str, receipt: &Receipt, now: Now) {
        let awaited = &mut self.telling.awaited;
        let Some(at) = awaited.iter().position(|awaited| awaited.key == key) else { return };
        if let Some(found) = awaited.remove(at) {
            self.take_receipt(found, receipt.clone(), now);
        }
        self.drain(now);
    }

    /// Takes whether a channel that is watched could tell somebody.
    pub fn handle_channel(&mut self, channel: &str, up: bool, now: Now) {
        let channel: Arc<str> = channel.into();
        match up {
            true => drop(self.telling.down.remove(&channel)),
            false => drop(self.telling.down.insert(Arc::clone(&channel))),
        }
        self.judge_channel(&channel);
        self.drain(now);
    }

    /// Takes what became of a test of a channel.
    pub fn handle_tested(&mut self, channel: &str, receipt: &Receipt, now: Now) {
        self.note_receipt(&channel.into(), receipt);
        self.drain(now);
    }

    fn note_receipt(&mut self, channel: &Arc<str>, receipt: &Receipt) {
        match receipt {
            Receipt::Failed(_) => drop(self.telling.failed.insert(Arc::clone(channel))),
            Receipt::Done | Receipt::Sent | Receipt::Accepted(_) => drop(self.telling.failed.remove(channel)),
        }
        self.judge_channel(channel);
    }

    /// Has the alarm of a channel asked anew, where it is told otherwise than before.
    fn judge_channel(&mut self, channel: &Arc<str>) {
        let bad = self.telling.failed.contains(channel) || self.telling.down.contains(channel);
        if let Some(index) = self.index.channels.get(channel).copied()
            && self.told.insert(index, u8::from(bad)) != Some(u8::from(bad))
        {
            self.pending.push_back(index);
        }
    }

    /// Silences every horn until its next alarm.
    pub(super) fn silence(&mut self, now: Now) {
        for index in 0..self.telling.annunciators.len() {
            self.telling.silence(index);
        }
        self.tell_annunciators(now);
    }

    /// Lets the horns of an alarm sound again.
    pub(super) fn wake_annunciators(&mut self, spec: &AlarmSpec) {
        for index in &spec.annunciators {
            if let Some(annunciator) = self.telling.annunciators.get_mut(*index) {
                annunciator.silenced = false;
            }
        }
    }

    /// Tells all annunciators what they should be.
    pub(super) fn tell_annunciators(&mut self, now: Now) {
        (0..self.telling.annunciators.len()).for_each(|index| self.tell_annunciator(index, now));
    }

    /// Tells one again that has failed.
    pub(super) fn retry_annunciator(&mut self, index: usize, now: Now) {
        if let Some(annunciator) = self.telling.annunciators.get_mut(index) {
            annunciator.shown = None;
        }
        self.tell_annunciator(index, now);
    }

    /// Tells those of one alarm.
    pub(super) fn tell_annunciators_of(&mut self, spec: &AlarmSpec, now: Now) {
        spec.annunciators.iter().for_each(|index| self.tell_annunciator(*index, now));
    }

    /// Tells one annunciator what it should be, unless it has been told.
    pub(super) fn tell_annunciator(&mut self, index: usize, now: Now) {
        let book = Arc::clone(&self.book);
        let (Some(spec), Some(state)) = (book.annunciators.get(index), self.telling.annunciators.get_mut(index)) else {
            return;
        };
        let wanted = match spec.follows {
            Follows::Unacknowledged => state.unacked > 0 && !state.silenced,
            Follows::Standing => state.standing > 0,
        };
        if state.shown == Some(wanted) {
            return;
        }
        state.shown = Some(wanted);
        let value = if wanted { &spec.on } else { &spec.off };
        let what = OrderKind::Output { output: spec.output.to_string(), value: value.to_string() };
        self.order(what, Urgency::AtOnce, Arc::clone(&spec.channel), Purpose::Shown(spec.clone()), now);
    }

    /// Gives an order and waits for what becomes of it.
    fn order(&mut self, what: OrderKind, urgency: Urgency, channel: Arc<str>, purpose: Purpose, now: Now) {
        let key = self.telling.key(self.boot);
        let until = now.mono + RECEIPT_WITHIN;
        self.telling.awaited.push_back(Awaited { key: key.clone(), until, channel, purpose });
        self.timers.insert((until, Timer::Receipt));
        self.outputs.push_back(Output::Order(Order { key, what, urgency }));
        if self.telling.awaited.len() > RECEIPTS_MAX
            && let Some(oldest) = self.telling.awaited.pop_front()
        {
            self.take_receipt(oldest, missed(), now);
        }
    }

    /// Gives up waiting for what should have come by now.
    pub(super) fn miss_receipts(&mut self, now: Now) {
        while self.telling.awaited.front().is_some_and(|awaited| awaited.until <= now.mono) {
            if let Some(late) = self.telling.awaited.pop_front() {
                self.take_receipt(late, missed(), now);
            }
        }
    }

    fn take_receipt(&mut self, awaited: Awaited, receipt: Receipt, now: Now) {
        let failed = matches!(receipt, Receipt::Failed(_));
        self.note_receipt(&awaited.channel, &receipt);
        match awaited.purpose {
            Purpose::Step(alarm, occ, told) => {
                self.note_told((&alarm, occ), Told { receipt: Some(receipt), ..told }, now);
            }
            Purpose::Shown(annunciator) if failed => {
                if let Some(index) = self.book.annunciators.iter().position(|known| *known == annunciator) {
                    self.timers.insert((now.mono + RETRY_EVERY, Timer::Annunciator(index)));
                }
            }
            Purpose::Shown(_) => {}
        }
    }

    /// Notes in an alarm's records what became of a step, while it is the same occurrence.
    fn note_told(&mut self, (alarm, occ): (&Arc<str>, Occ), told: Told, now: Now) {
        let index = self.index.by_id.get(alarm).copied();
        let open = index.and_then(|index| self.instances.get(index)).and_then(|instance| instance.open.as_ref());
        if let Some(index) = index.filter(|_| open.is_some_and(|open| open.occ == occ)) {
            self.step(index, Cause::Receipt, None, By { told: Some(told), ..By::itself() }, now);
        }
    }

    fn next_step(&self, index: usize) -> Option<(&AlarmSpec, &Step, Mono)> {
        let ladder = self.instances.get(index)?.open.as_ref()?.ladder?;
        let spec = self.book.alarms.get(index)?;
        let step = self.book.escalations.get(spec.escalation?)?.steps.get(ladder.next)?;
        Some((spec, step, ladder.since.reaches(step.after)))
    }

    /// Returns when the next step of an alarm's ladder is due.
    pub(super) fn next_step_due(&self, index: usize) -> Option<Mono> {
        self.next_step(index).map(|(_, _, due)| due)
    }

    /// Takes every step of an alarm's ladder that is due.
    pub(super) fn climb(&mut self, index: usize, now: Now) {
        while let Some((spec, step, due)) = self.next_step(index)
            && due <= now.mono
        {
            let (channel, to) = (Arc::clone(&step.channel), step.to);
            let message = self.person(spec, to).map(|who| self.message(index, spec, &who, now));
            let addressee = Addressee { who: to, source: self.source_of(spec).map(|source| Arc::clone(&source.code)) };
            let alarm = Arc::clone(&spec.id);
            let is_life = matches!(spec.class, Class::Gas | Class::Fire);
            let urgency = if is_life { Urgency::AtOnce } else { Urgency::AfterCommit };
            let Some(open) = self.instances.get_mut(index).and_then(|instance| instance.open.as_mut()) else { return };
            let (Some(ladder), occ) = (open.ladder.as_mut(), open.occ) else { return };
            ladder.next += 1;
            let number = u8::try_from(ladder.next).unwrap_or(u8::MAX);
            let Some((zh, en)) = message else { continue };
            let told = Told { step: number, channel: Arc::clone(&channel), to, receipt: None };
            let what = OrderKind::Message { channel: channel.to_string(), zh, en, to: Some(addressee) };
            self.order(what, urgency, channel, Purpose::Step(alarm, occ, told.clone()), now);
            self.step(index, Cause::Escalated, None, By { told: Some(told), ..By::itself() }, now);
        }
    }

    fn source_of(&self, spec: &AlarmSpec) -> Option<&HazardSource> {
        self.book.hazard_sources.get(spec.hazard_source?)
    }

    /// Who is meant, in both languages; `None` for a responsible person of no hazard source.
    fn person(&self, spec: &AlarmSpec, to: Recipient) -> Option<(String, String)> {
        let (en, zh) = to.words();
        let source = self.source_of(spec);
        let name = match to {
            Recipient::ControlRoom | Recipient::ShiftLeader | Recipient::DutyLeader => {
                return Some((zh.to_owned(), en.replace('_', " ")));
            }
            Recipient::Main => &source?.main,
            Recipient::Technical => &source?.technical,
            Recipient::Operating => &source?.operating,
        };
        Some((format!("{zh} {name}"), format!("{name} ({en})")))
    }

    fn message(&self, index: usize, spec: &AlarmSpec, (zh, en): &(String, String), now: Now) -> (String, String) {
        let open = self.instances.get(index).and_then(|instance| instance.open.as_ref());
        let record = open.and_then(|open| open.last.as_ref());
        let priority = record.map_or(Priority::Blue, |record| record.priority);
        let value = self.points.reading_of(spec).and_then(|reading| reading.value()).map(told_value);
        let unit = record.and_then(|record| record.unit.as_deref()).unwrap_or_default();
        let value = value.map_or_else(String::new, |value| format!(" {value} {unit}"));
        let zone = spec.zone.as_ref().map_or_else(String::new, |zone| format!("（{zone}）"));
        let waited = open.and_then(|open| open.ladder).map_or(0, |ladder| ladder.since.elapsed(now.mono).as_secs());
        let (text, response) = (&spec.text, &spec.response);
        (
            format!("【{}色报警】{text}{zone}{value}，{waited} 秒未确认，请{zh}处置。{response}", priority.zh()),
            format!(
                "[{}] {text}{zone}{value}, not acknowledged for {waited} s; for {en}. {response}",
                priority.as_str()
            ),
        )
    }
}

fn missed() -> Receipt {
    Receipt::Failed(format!("{} 秒内无回执 / no receipt within that time", RECEIPT_WITHIN.as_secs()))
}
