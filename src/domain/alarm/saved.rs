//! What must outlive a restart: a snapshot, and the records since it. Both together give the machine as it stood; nothing is
//! invented, lost or cleared by a restart, whatever the wall clock says.
//!
//! - Delays begin anew: what was about to be raised is raised when it has lasted again. What stood stands, marked stale, until
//!   a measurement says otherwise.
//! - Times are kept as what has passed and what is left, never as a time of day. The time the gateway was off does not count:
//!   nobody watched then. What passed between the snapshot and the last record is known from the records where they say it.
//! - A ladder goes on at the step where it stood.
//! - Records that the snapshot knows already change nothing.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::super::actor::{Actor, Role};
use super::super::instrument::InstrumentState;
use super::super::record::Mode;
use super::super::time::{Now, Timestamp};
use super::gas::Watch;
use super::instance::{Hidden, Ladder, Lasting, Occurrence};
use super::machine::Alarms;
use super::people::{Request, Wish};
use super::record::AlarmRecord;
use super::settle::Switches;
use super::severity::Shelving;
use super::spec::{AlarmSpec, MAX_LEVELS};
use super::state::{Cause, State};
use super::transition::{is_raised, millis};
use super::view::Output;

/// A snapshot; by [`Alarms::saved`]. The empty one is that of a gateway that never ran.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Saved {
    /// Alarms that are not normal, by id.
    pub alarms: Vec<SavedAlarm>,
    /// Instruments that are not measuring, or whose controller's bits are still set, by uid.
    pub instruments: Vec<SavedInstrument>,
    /// What waits for a second person.
    pub requests: Vec<SavedRequest>,
    /// Outputs of the horns that are silenced.
    pub silenced: Vec<Arc<str>>,
}

/// One alarm.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SavedAlarm {
    /// Its last record: all that it says still holds.
    pub last: AlarmRecord,
    /// Where it stands beneath, while it is hidden; otherwise its state.
    pub beneath: State,
    /// The worst value.
    pub peak: Option<f64>,
    /// Number of the record that last asked for an acknowledgement.
    pub raised_n: u32,
    /// For how long it has been active, in milliseconds.
    pub active_ms: Option<u64>,
    /// While it is shelved or out of service.
    pub hidden: Option<SavedHidden>,
    /// While people are being told.
    pub ladder: Option<SavedLadder>,
}

/// A time on the shelf or out of service, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedHidden {
    /// For how long.
    pub for_ms: u64,
    /// For how long still.
    pub left_ms: u64,
    /// What may lie there.
    pub covers: Shelving,
}

/// Where the telling stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedLadder {
    /// For how long nobody has acknowledged, in milliseconds.
    pub for_ms: u64,
    /// Steps taken.
    pub steps: usize,
}

/// One instrument.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedInstrument {
    /// Identity of its point.
    pub uid: Arc<str>,
    /// What it is doing: a word of the state.
    pub state: Arc<str>,
    /// For how long, in milliseconds.
    pub for_ms: u64,
    /// Since when, to be told.
    pub since: Option<Timestamp>,
    /// Highest level of the controller's bits in this state.
    pub seen: Option<u8>,
    /// Levels that value and controller have agreed on: high, low.
    pub agreed: [u8; 2],
}

/// One request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedRequest {
    /// Id of the alarm.
    pub alarm: Arc<str>,
    /// Who asked. He had the right then; the second person's is checked when he approves.
    pub actor: Actor,
    /// What for: `shelved` or `out_of_service`.
    pub cause: Cause,
    /// For how long, in milliseconds.
    pub time_ms: u64,
    /// Why.
    pub reason: String,
    /// How long ago, in milliseconds.
    pub asked_ms: u64,
}

impl Alarms {
    /// Returns what must outlive a restart.
    pub fn saved(&self, now: Now) -> Saved {
        let alarms = self.index.by_id.values().filter_map(|index| {
            let open = self.instances.get(*index)?.open.as_ref()?;
            SavedAlarm::of(open, now)
        });
        let mut instruments: Vec<SavedInstrument> = self
            .book
            .detectors
            .iter()
            .zip(&self.watches)
            .filter(|(_, watch)| watch.is_worth_saving())
            .map(|(detector, watch)| SavedInstrument {
                uid: detector.uid.as_str().into(),
                state: watch.state.as_str().into(),
                for_ms: millis(watch.since.elapsed(now.mono)),
                since: watch.told,
                seen: watch.seen,
                agreed: watch.agreed,
            })
            .collect();
        instruments.sort_by(|a, b| a.uid.cmp(&b.uid));
        let requests = self.requests.iter().filter_map(|(index, request)| {
            Some(SavedRequest {
                alarm: Arc::clone(&self.book.alarms.get(*index)?.id),
                actor: request.actor.clone(),
                cause: request.wish.cause,
                time_ms: millis(request.wish.time),
                reason: request.wish.reason.clone(),
                asked_ms: millis(request.asked.elapsed(now.mono)),
            })
        });
        let silenced = self.telling.silenced().filter_map(|index| self.book.annunciators.get(index));
        Saved {
            alarms: alarms.collect(),
            instruments,
            requests: requests.collect(),
            silenced: silenced.map(|annunciator| Arc::clone(&annunciator.output)).collect(),
        }
    }

    /// Takes over what an earlier start has left: its last snapshot, and the records that were stored since, in their order.
    /// Call it once, before the first reading.
    pub fn restore(&mut self, saved: Saved, later: impl IntoIterator<Item = AlarmRecord>, now: Now) {
        let mut alarms: BTreeMap<Arc<str>, SavedAlarm> =
            saved.alarms.into_iter().map(|alarm| (Arc::clone(&alarm.last.alarm), alarm)).collect();
        for record in later {
            self.skip_occ(&record);
            replay(&mut alarms, record);
        }
        let book = Arc::clone(&self.book);
        for (id, alarm) in alarms {
            self.skip_occ(&alarm.last);
            let index = self.index.by_id.get(&id).copied();
            let spec = index.and_then(|index| book.alarms.get(index));
            match (spec, index.and_then(|index| self.instances.get_mut(index))) {
                (Some(spec), Some(instance)) => {
                    let open = alarm.open(spec, &book, now);
                    let measured = open.last.as_ref().and_then(|last| last.now_level).unwrap_or(open.level);
                    instance.switches = Switches::at(if open.beneath.is_active() { measured } else { 0 });
                    instance.suppressed = open.state == State::Suppressed;
                    instance.unknown = true;
                    instance.open = Some(Box::new(open));
                }
                _ => self.outputs.push_back(removed(alarm.last, now)),
            }
        }
        for instrument in saved.instruments {
            let is_it = |uid: &super::super::id::PointUid| uid.as_str() == &*instrument.uid;
            let watch = book.detectors.iter().position(|detector| is_it(&detector.uid));
            if let Some(watch) = watch.and_then(|index| self.watches.get_mut(index)) {
                watch.resume(&instrument, now);
            }
        }
        for request in saved.requests {
            if let Some(index) = self.index.by_id.get(&request.alarm) {
                self.requests.insert(*index, request.resume(now));
            }
        }
        for (index, annunciator) in book.annunciators.iter().enumerate() {
            if saved.silenced.contains(&annunciator.output) {
                self.telling.silence(index);
            }
        }
        self.take_stock(now);
    }

    /// Never gives an occurrence the number of one that is known.
    fn skip_occ(&mut self, record: &AlarmRecord) {
        if record.occ.boot == self.boot {
            self.next_occ = self.next_occ.max(record.occ.n.saturating_add(1));
        }
    }
}

/// Closes the occurrence of an alarm that the configuration has no more.
fn removed(last: AlarmRecord, now: Now) -> Output {
    let record = AlarmRecord {
        n: last.n.saturating_add(1),
        t: now.wall,
        from: last.to,
        to: State::Normal,
        cause: Cause::Removed,
        actor: None,
        approver: None,
        comment: None,
        until: None,
        for_ms: None,
        beneath: None,
        told: None,
        now_level: None,
        ..last
    };
    Output::Alarm { at: now.mono, record: Box::new(record) }
}

impl SavedAlarm {
    fn of(open: &Occurrence, now: Now) -> Option<Self> {
        let elapsed = |lasting: Lasting| millis(lasting.elapsed(now.mono));
        Some(Self {
            last: (**open.last.as_ref()?).clone(),
            beneath: open.beneath,
            peak: open.peak,
            raised_n: open.raised_n,
            active_ms: open.active.map(elapsed),
            hidden: open.hidden.map(|hidden| SavedHidden {
                for_ms: elapsed(hidden.since),
                left_ms: millis(hidden.until.since(now.mono)),
                covers: hidden.covers,
            }),
            ladder: open.ladder.map(|ladder| SavedLadder { for_ms: elapsed(ladder.since), steps: ladder.next }),
        })
    }

    fn open(self, spec: &AlarmSpec, book: &super::spec::AlarmBook, now: Now) -> Occurrence {
        let lasting = |ms: u64| Lasting::after(Duration::from_millis(ms), now.mono);
        let top = u8::try_from(spec.levels.len().min(MAX_LEVELS)).unwrap_or(u8::MAX);
        let escalation = spec.escalation.filter(|_| spec.mode == Mode::Real && self.last.to.is_unacked());
        let steps = escalation.and_then(|index| book.escalations.get(index)).map(|ladder| ladder.steps.as_slice());
        // What was told was told no earlier than its step says.
        let ladder = steps.map(|steps| {
            let saved = self.ladder.unwrap_or(SavedLadder { for_ms: 0, steps: 0 });
            let taken = saved.steps.checked_sub(1).and_then(|last| steps.get(last));
            let passed = Duration::from_millis(saved.for_ms).max(taken.map_or(Duration::ZERO, |step| step.after));
            Ladder { since: Lasting::after(passed, now.mono), next: saved.steps }
        });
        let last = self.last;
        Occurrence {
            occ: last.occ,
            n: last.n,
            state: last.to,
            beneath: self.beneath,
            level: last.level.min(top),
            peak_level: last.peak_level,
            peak: self.peak,
            t_active: last.t_active,
            t_ack: last.t_ack,
            t_clear: last.t_clear,
            active: self.active_ms.map(lasting),
            raised_n: self.raised_n,
            first_out: last.first_out,
            hidden: self.hidden.map(|hidden| Hidden {
                since: lasting(hidden.for_ms),
                until: now.mono + Duration::from_millis(hidden.left_ms),
                covers: hidden.covers,
            }),
            ladder,
            last: Some(Box::new(last)),
        }
    }
}

/// Lets one record follow the snapshot.
fn replay(alarms: &mut BTreeMap<Arc<str>, SavedAlarm>, record: AlarmRecord) {
    let old = alarms.get(&record.alarm);
    if old.is_some_and(|old| (record.occ, record.n) <= (old.last.occ, old.last.n)) {
        return;
    }
    if record.to == State::Normal {
        alarms.remove(&record.alarm);
        return;
    }
    let old = old.filter(|old| old.last.occ == record.occ);
    let raised = is_raised(record.from, record.to, record.cause);
    let beneath = record.beneath.unwrap_or(record.to);
    let goes_on = old.filter(|old| old.beneath.is_active() && record.cause != Cause::Active);
    let steps = record.told.as_ref().filter(|_| record.cause == Cause::Escalated).map(|told| usize::from(told.step));
    let ladder = old.and_then(|old| old.ladder).filter(|_| !raised).unwrap_or(SavedLadder { for_ms: 0, steps: 0 });
    let alarm = SavedAlarm {
        beneath,
        peak: record.peak,
        raised_n: if raised { record.n } else { old.map_or(0, |old| old.raised_n) },
        active_ms: beneath.is_active().then(|| goes_on.and_then(|old| old.active_ms).unwrap_or(0)),
        hidden: replay_hidden(old.and_then(|old| old.hidden), &record),
        ladder: record.to.is_unacked().then(|| SavedLadder { steps: steps.unwrap_or(ladder.steps), ..ladder }),
        last: record,
    };
    alarms.insert(Arc::clone(&alarm.last.alarm), alarm);
}

fn replay_hidden(old: Option<SavedHidden>, record: &AlarmRecord) -> Option<SavedHidden> {
    if !matches!(record.to, State::Shelved | State::OutOfService) {
        return None;
    }
    let left_ms = record.for_ms.or(old.map(|old| old.left_ms)).unwrap_or(0);
    let begins = matches!(record.cause, Cause::Shelved | Cause::OutOfService);
    let covers = match record.approver {
        Some(_) => Shelving::SecondPerson,
        None if begins => Shelving::Allowed,
        None => old.map_or(Shelving::Allowed, |old| old.covers),
    };
    let for_ms = match old.filter(|_| record.from == record.to) {
        Some(old) if begins => old.for_ms,
        Some(old) => old.for_ms + old.left_ms.saturating_sub(left_ms),
        None => 0,
    };
    Some(SavedHidden { for_ms, left_ms, covers })
}

impl SavedRequest {
    fn resume(self, now: Now) -> Request {
        let roles = [Role::Supervisor].into();
        let wish = Wish { cause: self.cause, time: Duration::from_millis(self.time_ms), reason: self.reason };
        let asked = Lasting::after(Duration::from_millis(self.asked_ms), now.mono);
        Request { actor: Actor { roles, ..self.actor }, wish, asked }
    }
}

impl Watch {
    /// Whether a restart would lose something.
    fn is_worth_saving(&self) -> bool {
        self.state != InstrumentState::Monitoring || self.agreed != [0; 2]
    }

    fn resume(&mut self, saved: &SavedInstrument, now: Now) {
        self.state = InstrumentState::from_name(&saved.state).unwrap_or(InstrumentState::Unknown);
        self.since = Lasting::after(Duration::from_millis(saved.for_ms), now.mono);
        (self.told, self.seen, self.agreed) = (saved.since, saved.seen, saved.agreed);
    }
}
