//! What stood before a restart, from what was saved and from the records made since: each machine gets its own of them.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::Deserialize;

use super::super::alarm::record::AlarmRecord;
use super::super::alarm::view::{Fact as AlarmsFact, Output as FromAlarms};
use super::super::audit::{AuditEntry, Chain, Head};
use super::super::daybook::{self, CoverageFact, Fact, replay as book};
use super::super::document::DocumentKind;
use super::super::id::PointUid;
use super::super::output::WriteResult;
use super::super::record::{Body, Boot, Mode, Stamp};
use super::super::registry::Registry;
use super::super::site::{GasLevel, Site, SiteRecord, replay as site_replay};
use super::super::time::{Mono, Now};
use super::{Danger, Texts, told};

/// Coverage is recorded each half minute; a span that is said to be longer was measured by two clocks.
const LONGEST_SPAN: Duration = Duration::from_secs(60);

/// A record as a restart reads it.
#[derive(Clone, Debug, PartialEq)]
pub struct Recorded {
    /// Its number in its stream.
    pub seq: u64,
    /// Start in which it was made.
    pub boot: u32,
    /// When, by the clocks of then.
    pub at: Now,
    /// What it tells.
    pub word: Word,
}

/// What a record tells.
#[derive(Clone, Debug, PartialEq)]
pub enum Word {
    /// What one of the machines gave out.
    Document {
        /// What it tells.
        kind: DocumentKind,
        /// Whether the world meant it.
        mode: Mode,
        /// Its text.
        json: String,
    },
    /// What the day's account counts.
    Fact(Fact),
}

impl Recorded {
    /// Returns the record where danger remembers something by it. `registry` is the revision under which it was made.
    pub fn of(seq: u64, stamp: &Stamp, body: Body, registry: &Registry) -> Option<Self> {
        let word = match body {
            Body::Document { kind: DocumentKind::ActiveAlarms | DocumentKind::Message, .. } => return None,
            Body::Document { kind, mode, json } => Word::Document { kind, mode, json },
            Body::Coverage(coverage) => {
                let device = registry.devices.get(usize::from(coverage.device))?.id.to_string();
                let span = u64::try_from(stamp.wall.0.saturating_sub(coverage.from.0)).unwrap_or_default();
                let span = Duration::from_millis(span).min(LONGEST_SPAN);
                let (due, ok, bad, skipped) = (coverage.due, coverage.ok, coverage.bad, coverage.skipped);
                Word::Fact(Fact::Coverage(CoverageFact { device, span, due, ok, bad, skipped }))
            }
            Body::Boot(Boot { last_seen, off_ms, clean, .. }) => {
                Word::Fact(Fact::Boot { last_seen, off: off_ms.map(Duration::from_millis), clean })
            }
            Body::Write(write) => {
                Word::Fact(Fact::Output { done: write.result == WriteResult::Done, output: write.output })
            }
            Body::Samples(_)
            | Body::Clock(_)
            | Body::Registry { .. }
            | Body::Link { .. }
            | Body::SourceGap(_)
            | Body::Answer { .. }
            | Body::LoopTest(_) => return None,
        };
        let at = Now { mono: stamp.mono, wall: stamp.wall, trust: stamp.trust };
        Some(Self { seq, boot: stamp.boot, at, word })
    }

    fn order(&self) -> (u32, Mono) {
        (self.boot, self.at.mono)
    }
}

impl Danger {
    /// Takes back what stood before a restart: what was saved, and then what was recorded since. Of each stream the records
    /// are in their order; one stream may follow the other. To be called before the first input. Returns what could not be
    /// read, for the log.
    pub fn restore(&mut self, saved: &Texts, later: &[Recorded], now: Now) -> Vec<String> {
        let mut trouble = Vec::new();
        // Those of this start are its own words, not its memory.
        let mut later: Vec<&Recorded> = later.iter().filter(|recorded| recorded.boot != self.boot).collect();
        later.sort_by_key(|recorded| recorded.order());
        let alarms = parsed(&saved.alarms, "alarms", &mut trouble).unwrap_or_default();
        let records: Vec<AlarmRecord> = of_kind(&later, DocumentKind::Alarm, &mut trouble);
        self.alarms.restore(alarms, records, now);
        let told: Vec<FromAlarms> = std::iter::from_fn(|| self.alarms.poll_output()).collect();
        let gas: Vec<GasLevel> = told.iter().flat_map(gas_levels).collect();
        let (site, pasts) = (parsed(&saved.site, "site", &mut trouble), site_pasts(&later));
        if site.is_some() || !pasts.is_empty() {
            self.site = Site::restore(self.rules.site.clone(), self.boot, site, &pasts, Some(&gas), now);
            self.gas =
                gas.iter().fold(Default::default(), |mut zones: std::collections::BTreeMap<_, BTreeSet<_>>, gas| {
                    zones.entry(gas.zone.as_str().into()).or_default().insert(gas.uid.clone());
                    zones
                });
        }
        let pasts: Vec<book::Past> = later.iter().filter_map(|recorded| book_past(recorded, &mut trouble)).collect();
        let daybook: Option<daybook::Saved> = parsed(&saved.daybook, "daybook", &mut trouble);
        if daybook.is_some() || !pasts.is_empty() {
            self.daybook.restore(daybook, pasts, now);
        }
        self.follow_chain(saved.audit, &later, &mut trouble);
        if self.chain.head() != Head::default() {
            self.daybook.handle_audit(self.chain.head());
        }
        told.into_iter().for_each(|output| self.take_from_alarms(output, now));
        self.settle(now);
        // What is still wrong was just told anew; a fault of before that is not, is over.
        for id in self.faults.silent() {
            self.alarms.handle_external(&id, 0, now);
        }
        self.settle(now);
        trouble
    }

    fn follow_chain(&mut self, saved: Option<Head>, later: &[&Recorded], trouble: &mut Vec<String>) {
        self.chain = Chain::new(self.boot, saved.unwrap_or_default());
        for entry in of_kind::<AuditEntry>(later, DocumentKind::Audit, trouble) {
            if let Err(broken) = self.chain.follow(&entry) {
                trouble.push(broken.to_string());
                // The newest entry that is left is the end to go on from.
                self.chain = Chain::new(self.boot, Head { seq: entry.seq, hash: entry.hash });
            }
        }
    }
}

/// The level that a gas alarm has with a record, as the site counts it.
fn gas_level(record: &AlarmRecord) -> Option<GasLevel> {
    let is_gas = matches!(&*record.rule, "gas" | "gas_low") && record.mode == Mode::Real;
    let (zone, tag) = (record.zone.as_ref()?, record.tag.as_ref().filter(|_| is_gas)?);
    let level = if record.to.is_active() { record.level } else { 0 };
    Some(GasLevel { uid: PointUid::new(&**tag), zone: zone.to_string(), level })
}

/// The detectors of a fact about gas, as the site counts them.
fn gas_levels(output: &FromAlarms) -> Vec<GasLevel> {
    let FromAlarms::Fact(AlarmsFact::Gas { zone, detectors, .. }) = output else { return Vec::new() };
    let level = |(tag, level): &(std::sync::Arc<str>, u8)| GasLevel {
        uid: PointUid::new(&**tag),
        zone: zone.to_string(),
        level: *level,
    };
    detectors.iter().map(level).collect()
}

fn site_pasts(later: &[&Recorded]) -> Vec<site_replay::Past> {
    let past = |recorded: &&Recorded| {
        let Word::Document { kind, mode, json } = &recorded.word else { return None };
        let word = if *kind == DocumentKind::Site {
            site_replay::Word::Site(serde_json::from_str(json).ok()?)
        } else if *kind == DocumentKind::Alarm {
            site_replay::Word::Gas(gas_level(&serde_json::from_str(json).ok()?)?)
        } else if *kind == DocumentKind::Service {
            // What instruments do is told under the same kind; it is the alarms' memory.
            site_replay::Word::Service(serde_json::from_str(json).ok()?)
        } else {
            return None;
        };
        Some(site_replay::Past { boot: recorded.boot, t: recorded.at.wall, mode: *mode, word })
    };
    later.iter().filter_map(past).collect()
}

fn book_past(recorded: &Recorded, trouble: &mut Vec<String>) -> Option<book::Past> {
    let word = match &recorded.word {
        Word::Fact(fact) => book::Word::Fact(fact.clone()),
        Word::Document { kind, mode, json } => book_word(*kind, *mode, json, trouble)?,
    };
    Some(book::Past { boot: recorded.boot, at: recorded.at, seq: recorded.seq, word })
}

fn book_word(kind: DocumentKind, mode: Mode, json: &str, trouble: &mut Vec<String>) -> Option<book::Word> {
    if kind == DocumentKind::Alarm {
        // A record that cannot be read was told of where the alarms were brought back.
        return told::alarm_fact(&serde_json::from_str(json).ok()?).map(book::Word::Fact);
    }
    if kind == DocumentKind::Site {
        let record: SiteRecord = read(kind, json, trouble)?;
        return told::site_fact(record, mode).map(book::Word::Fact);
    }
    if kind == DocumentKind::Inside {
        return told::passage_fact(kind, json).map(book::Word::Fact);
    }
    if kind == DocumentKind::Duty {
        return read(kind, json, trouble).map(book::Word::Duty);
    }
    if kind == DocumentKind::Hazard {
        return read(kind, json, trouble).map(book::Word::Hazard);
    }
    if kind == DocumentKind::Accident {
        return read(kind, json, trouble).map(book::Word::Accident);
    }
    if kind == DocumentKind::Report {
        return read(kind, json, trouble).map(book::Word::Report);
    }
    None
}

fn read<T: for<'de> Deserialize<'de>>(kind: DocumentKind, json: &str, trouble: &mut Vec<String>) -> Option<T> {
    serde_json::from_str(json).map_err(|error| trouble.push(format!("{}: {error}", kind.as_str()))).ok()
}

fn parsed<T: for<'de> Deserialize<'de>>(text: &str, what: &str, trouble: &mut Vec<String>) -> Option<T> {
    if text.is_empty() {
        return None;
    }
    serde_json::from_str(text).map_err(|error| trouble.push(format!("saved {what}: {error}"))).ok()
}

fn of_kind<T: for<'de> Deserialize<'de>>(all: &[&Recorded], wanted: DocumentKind, trouble: &mut Vec<String>) -> Vec<T> {
    let texts = all.iter().filter_map(|recorded| match &recorded.word {
        Word::Document { kind, json, .. } if *kind == wanted => Some(json),
        Word::Document { .. } | Word::Fact(_) => None,
    });
    texts.filter_map(|json| read(wanted, json, trouble)).collect()
}
