//! The reconciliation of a day (出入园对账, `domain.md` rule 60): what does not add up, by name, and the counts of the day.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::account::{Misfit, Through};
use super::event::{Body, EventId, Loose, Subject};
use super::{Conflict, Inside, InsideRecord, Stock, Stocks};
use crate::domain::gate::word::{LaneId, PassageId, ZoneId};
use crate::domain::time::{Now, Timestamp};

/// Items that a reconciliation names; more are counted. It must fit on what people read, and into a record.
pub const MAX_ITEMS: usize = 500;
/// Who stays longer than this without a limit of his own is named as inside without an exit.
const LONG_STAY_MS: i64 = 24 * 3_600_000;

/// The account of a stretch of time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reconciliation {
    /// From.
    pub from: Timestamp,
    /// Up to, not included.
    pub to: Timestamp,
    /// Completed passages: `in.hazmat`, `out.person`, … (see [`Inside::day_counts`]).
    pub passages: BTreeMap<String, u64>,
    /// Who is inside now, by zone.
    pub inside: BTreeMap<ZoneId, Stocks>,
    /// How many items there are of each kind.
    pub numbers: BTreeMap<String, u64>,
    /// At most [`MAX_ITEMS`] of them, those that are worst first.
    pub items: Vec<Item>,
}

/// Something that does not add up.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "item", rename_all = "snake_case")]
pub enum Item {
    /// More went out than were inside.
    Negative {
        /// Zone.
        zone: ZoneId,
        /// Which count.
        stock: Stock,
        /// By how many.
        by: u32,
    },
    /// Two records that cannot both be so.
    Conflict {
        /// Which.
        of: Conflict,
    },
    /// A passage without a known end, a weight that does not agree, a card not returned, a record without a time; open.
    Loose {
        /// The event.
        event: EventId,
        /// When.
        at: Timestamp,
        /// A word for what it is.
        kind: String,
        /// What it is about.
        subject: String,
    },
    /// It came in, and was in already: an exit was not seen.
    InTwice {
        /// Who.
        subject: Subject,
        /// The second entry.
        passage: PassageId,
        /// When.
        at: Timestamp,
    },
    /// It went out, and was not in: an entry was not seen.
    OutWithoutIn {
        /// Who.
        subject: Subject,
        /// The exit.
        passage: PassageId,
        /// When.
        at: Timestamp,
    },
    /// It is inside for longer than it may be, or for more than a day.
    InWithoutOut {
        /// Who.
        subject: Subject,
        /// Where.
        zone: ZoneId,
        /// Since.
        since: Timestamp,
        /// By which gate.
        gate: String,
    },
    /// Records that cameras had kept while they were offline.
    Late {
        /// Lane.
        lane: LaneId,
        /// How many.
        n: u64,
    },
    /// Records that cameras sent again.
    Resent {
        /// Lane.
        lane: LaneId,
        /// How many.
        n: u64,
    },
    /// Vehicles that crossed without a plate that could be read.
    Unread {
        /// Lane.
        lane: LaneId,
        /// How many.
        n: u64,
    },
}

impl Item {
    fn kind(&self) -> &str {
        match self {
            Self::Negative { .. } => "negative",
            Self::Conflict { .. } => "conflict",
            Self::Loose { kind, .. } => kind,
            Self::InTwice { .. } => "in_twice",
            Self::OutWithoutIn { .. } => "out_without_in",
            Self::InWithoutOut { .. } => "in_without_out",
            Self::Late { .. } => "late",
            Self::Resent { .. } => "resent",
            Self::Unread { .. } => "unread",
        }
    }
}

impl Inside {
    /// Closes the account of a stretch of time: makes it, records it, and begins to count resends anew.
    pub fn reconcile(&mut self, from: Timestamp, to: Timestamp, now: Now) -> Reconciliation {
        let mut items = self.standing_items(from, to, now);
        items.extend(self.items_of_lanes(from, to));
        items.extend(self.take_resends().into_iter().map(|(lane, n)| Item::Resent { lane, n }));
        items.sort();
        let mut numbers = BTreeMap::new();
        items.iter().for_each(|item| *numbers.entry(item.kind().to_owned()).or_default() += 1);
        items.truncate(MAX_ITEMS);
        let zones = self.rules.zones.keys().map(|zone| (zone.clone(), self.stocks(zone)));
        let (inside, passages) = (zones.collect(), self.day_counts(from, to));
        let made = Reconciliation { from, to, passages, inside, numbers, items };
        self.record(&InsideRecord::Reconciliation(&made), now);
        self.changed();
        made
    }

    /// Returns how many completed passages there were: by way and class of vehicle (`in.hazmat`), persons on foot
    /// (`out.person`), persons in vehicles (`in.occupants`), and those that nobody had let through (`unauthorised`), that
    /// came late (`late`). What the daily report shows.
    pub fn day_counts(&self, from: Timestamp, to: Timestamp) -> BTreeMap<String, u64> {
        let mut counts = BTreeMap::new();
        let mut add = |name: String, n: u64| *counts.entry(name).or_default() += n;
        for crossed in self.account.between(from, to).filter_map(|event| event.crossed()) {
            let (way, heads) = (crossed.direction, u64::from(crossed.heads()));
            match &crossed.vehicle {
                Some(vehicle) => {
                    add(format!("{way}.{}", vehicle.class), 1);
                    add(format!("{way}.occupants"), heads);
                }
                None => add(format!("{way}.person"), heads),
            }
            if !crossed.authorised {
                add("unauthorised".into(), 1);
            }
            if crossed.late {
                add("late".into(), 1);
            }
        }
        counts
    }

    fn standing_items(&self, from: Timestamp, to: Timestamp, now: Now) -> Vec<Item> {
        let mut items: Vec<Item> = self.conflicts().into_iter().map(|of| Item::Conflict { of }).collect();
        for (zone, stock) in self.account.counters() {
            let (_, by) = self.account.count(zone, *stock);
            if by > 0 {
                items.push(Item::Negative { zone: zone.clone(), stock: *stock, by });
            }
        }
        items.extend(self.open_loose());
        let at = self.dial.read(now);
        for (subject, place) in self.account.places() {
            for (zone, stay) in &place.zones {
                let limit = self.rules.zones.get(zone);
                let limit = limit.and_then(|rule| rule.longest(subject, stay.class, stay.with.is_some()));
                let limit = limit.map_or(LONG_STAY_MS, |limit| i64::try_from(limit.as_millis()).unwrap_or(i64::MAX));
                if at.0.saturating_sub(stay.since.0) > limit {
                    let gate =
                        stay.through.as_ref().map(|through: &Through| through.gate.to_string()).unwrap_or_default();
                    items.push(Item::InWithoutOut {
                        subject: subject.clone(),
                        zone: zone.clone(),
                        since: stay.since,
                        gate,
                    });
                }
            }
            items.extend(self.misfits_of(subject, from, to));
        }
        items
    }

    fn misfits_of(&self, subject: &Subject, from: Timestamp, to: Timestamp) -> Vec<Item> {
        let found = self.account.misfits(subject).into_iter();
        let within = found.filter(|(_, event)| event.at >= from && event.at < to);
        within
            .filter_map(|(misfit, event)| {
                let (subject, at, passage) = (subject.clone(), event.at, event.crossed()?.passage.clone());
                Some(match misfit {
                    Misfit::InTwice => Item::InTwice { subject, passage, at },
                    Misfit::OutWithoutIn => Item::OutWithoutIn { subject, passage, at },
                })
            })
            .collect()
    }

    /// Returns what was told to be cleared up and is not, whenever it was.
    fn open_loose(&self) -> Vec<Item> {
        let mut open = BTreeMap::new();
        for event in self.account.line().values() {
            match &event.body {
                Body::Loose(loose) => drop(open.insert(event.id.clone(), (event.at, loose))),
                Body::Settled { of, .. } => drop(open.remove(of)),
                Body::Crossed(_)
                | Body::Void { .. }
                | Body::Corrected(_)
                | Body::Counted(_)
                | Body::Violated(_)
                | Body::Reviewed { .. } => {}
            }
        }
        let item = |(event, (at, loose)): (EventId, (Timestamp, &Loose))| {
            let (kind, subject) = described(loose);
            Item::Loose { event, at, kind: kind.into(), subject }
        };
        open.into_iter().map(item).collect()
    }

    fn items_of_lanes(&self, from: Timestamp, to: Timestamp) -> Vec<Item> {
        let (mut late, mut unread) = (BTreeMap::<LaneId, u64>::new(), BTreeMap::<LaneId, u64>::new());
        for crossed in self.account.between(from, to).filter_map(|event| event.crossed()) {
            if crossed.late {
                *late.entry(crossed.lane.clone()).or_default() += 1;
            }
            if crossed.vehicle.as_ref().is_some_and(|vehicle| vehicle.plate.is_none()) {
                *unread.entry(crossed.lane.clone()).or_default() += 1;
            }
        }
        let late = late.into_iter().map(|(lane, n)| Item::Late { lane, n });
        late.chain(unread.into_iter().map(|(lane, n)| Item::Unread { lane, n })).collect()
    }
}

fn described(loose: &Loose) -> (&'static str, String) {
    match loose {
        Loose::Weight { passage, plate, declared_kg, weighed_kg } => {
            let what = plate.as_ref().map_or_else(|| passage.to_string(), ToString::to_string);
            ("weight", format!("{what}: {declared_kg} kg / {weighed_kg} kg"))
        }
        Loose::Card { terminal, .. } => ("card", terminal.to_string()),
        Loose::InDoubt { passage, subject, direction, .. } => {
            let who = subject.as_ref().map_or_else(|| passage.to_string(), ToString::to_string);
            ("in_doubt", format!("{who} ({direction})"))
        }
        Loose::Undated { plate, .. } => ("undated", plate.as_ref().map(ToString::to_string).unwrap_or_default()),
    }
}
