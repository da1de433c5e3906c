//! The roll: the rows of one muster, and what changes them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Figures;
use crate::domain::actor::{Actor, Refused};
use crate::domain::gate::inside::{Event, EventId, Inside, Place, Stay, Stock, Subject, Through};
use crate::domain::gate::plate::Plate;
use crate::domain::gate::word::{CompanyId, PersonRef, ZoneId};
use crate::domain::time::{ClockTrust, Now, Timestamp};

/// Rows of one muster. More people than any park has; beyond it they are counted in `uncounted`, so that a slip in a count
/// does not fill the memory.
pub const MAX_ROWS: usize = 20_000;

/// One muster.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Roll {
    /// Its id.
    pub muster: String,
    /// Episode of the site's state.
    pub episode: String,
    /// Whether it is a drill.
    pub drill: bool,
    /// The zone whose people are mustered.
    pub zone: ZoneId,
    /// T0, by the clock that places passages.
    pub at: Timestamp,
    /// Trust of the clock at T0.
    pub clock: ClockTrust,
    /// Who began it.
    pub actor: Actor,
    /// Everybody who was inside, by number from 0.
    pub rows: Vec<Row>,
    /// Persons who should be on the list and did not find room.
    pub uncounted: u32,
    /// Who came in after T0 and is inside: rescue, mostly.
    pub after: BTreeMap<PersonRef, Timestamp>,
    /// Unidentified persons of passages that are already accounted for here, by event: so many came in after T0.
    pub after_unidentified: Vec<(EventId, u16)>,
    /// Persons who left unread, by the passage's event: they may be any of the list.
    pub unread_out: Vec<(EventId, u16)>,
    /// Who checked in and is on no list.
    pub strangers: BTreeMap<PersonRef, (String, Timestamp)>,
    /// First and last exit of somebody of the list.
    pub out: Option<(Timestamp, Timestamp)>,
}

/// One person of the list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// Number, from 0.
    pub n: u32,
    /// Who.
    pub who: Occupant,
    /// For whom he is here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub company: Option<CompanyId>,
    /// The innermost zone that he is known to be in.
    pub zone: ZoneId,
    /// Last gate, lane and time; `None`: counted in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<Through>,
    /// The vehicle that he came in with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub with: Option<Plate>,
    /// It was added after T0: nobody had known.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub added: bool,
    /// How it stands.
    pub state: RowState,
    /// Calls for help since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sos: Option<Timestamp>,
    /// Where a positioning system saw him last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position: Option<Position>,
    /// What a warden took back, and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub taken_back: Vec<String>,
}

/// Who a row is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Occupant {
    /// A person who is known.
    Person(PersonRef),
    /// Somebody of whom it is known only that he is inside.
    Unidentified,
}

/// How a row stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RowState {
    /// Nobody knows where he is.
    Unaccounted,
    /// He is safe.
    Safe {
        /// How that is known.
        how: How,
        /// Since when.
        at: Timestamp,
    },
}

/// How it is known that somebody is safe.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum How {
    /// He left through a gate.
    Exit {
        /// By which event.
        event: EventId,
        /// The gate.
        gate: String,
    },
    /// The account was corrected: he is not inside.
    Corrected,
    /// He is at a muster point.
    CheckIn {
        /// Where.
        point: String,
        /// Who took it.
        by: String,
    },
    /// A warden answers for him.
    Warden {
        /// Who.
        by: String,
        /// In his words.
        reason: String,
    },
}

/// Where a positioning system saw somebody.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// In its words: building, floor, anchor, coordinates with their datum.
    pub place: String,
    /// When.
    pub at: Timestamp,
}

/// How many are what. `listed` is always `safe` and `unaccounted` together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Numbers {
    /// On the list.
    pub listed: u32,
    /// Of them safe.
    pub safe: u32,
    /// Of them unaccounted for.
    pub unaccounted: u32,
    /// Of those, unidentified.
    pub unidentified: u32,
    /// Left unread: may be any of the unaccounted.
    pub unread_out: u32,
    /// Came in after T0 and are inside.
    pub after: u32,
    /// Call for help.
    pub sos: u32,
}

impl Row {
    fn is_open(&self) -> bool {
        self.state == RowState::Unaccounted
    }

    fn is(&self, person: &PersonRef) -> bool {
        matches!(&self.who, Occupant::Person(of) if of == person)
    }
}

impl Roll {
    /// Freezes who is inside a zone.
    pub(super) fn freeze(begin: super::Begin, muster: String, actor: Actor, inside: &Inside, now: Now) -> Self {
        let mut roll = Self {
            muster,
            episode: begin.episode,
            drill: begin.drill,
            zone: begin.zone,
            at: inside.time(now),
            clock: now.trust,
            actor,
            rows: Vec::new(),
            uncounted: 0,
            after: BTreeMap::new(),
            after_unidentified: Vec::new(),
            unread_out: Vec::new(),
            strangers: BTreeMap::new(),
            out: None,
        };
        for (subject, place) in inside.account().places() {
            let Some(stay) = place.zones.get(&roll.zone) else { continue };
            match subject {
                Subject::Person(person) => {
                    let row = roll.known(Occupant::Person(person.clone()), place, stay, inside);
                    roll.add(row);
                }
                Subject::Vehicle(plate) => {
                    let row = roll.known(Occupant::Unidentified, place, stay, inside);
                    let row = Row { with: Some(plate.clone()), ..row };
                    (0..stay.unidentified).for_each(|_| roll.add(row.clone()));
                }
            }
        }
        // As many more as the count has: nobody knows who they are, and they are people.
        let (count, _) = inside.account().count(&roll.zone, Stock::Persons);
        let more = count.saturating_sub(roll.numbers().listed);
        let row = roll.unknown();
        (0..more).for_each(|_| roll.add(row.clone()));
        roll
    }

    /// Returns how many are what.
    pub fn numbers(&self) -> Numbers {
        let n = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        let open = || self.rows.iter().filter(|row| row.is_open());
        let unaccounted = n(open().count()).saturating_add(self.uncounted);
        let listed = n(self.rows.len()).saturating_add(self.uncounted);
        let after: u32 = self.after_unidentified.iter().map(|(_, n)| u32::from(*n)).sum();
        Numbers {
            listed,
            safe: listed - unaccounted,
            unaccounted,
            unidentified: n(open().filter(|row| row.who == Occupant::Unidentified).count())
                .saturating_add(self.uncounted),
            unread_out: self.unread_out.iter().map(|(_, n)| u32::from(*n)).sum(),
            after: n(self.after.len()).saturating_add(after),
            sos: n(self.rows.iter().filter(|row| row.sos.is_some()).count()),
        }
    }

    /// Returns what the report of a drill has of it.
    pub fn figures(&self) -> Figures {
        Figures {
            first_out_at: self.out.map(|(first, _)| first),
            last_out_at: self.out.map(|(_, last)| last),
            missing: self.numbers().unaccounted,
        }
    }

    /// Returns the rows in the order in which people are looked for: those unaccounted for first, who calls for help before
    /// the others, by zone and last time seen; then the safe ones.
    pub fn in_order(&self) -> Vec<&Row> {
        let mut rows: Vec<&Row> = self.rows.iter().collect();
        rows.sort_by_key(|row| {
            let last = row.last.as_ref().map(|through| through.at);
            (!row.is_open(), row.sos.is_none(), row.zone.clone(), last, row.n)
        });
        rows
    }

    /// Returns a row, or says that there is none.
    pub(super) fn row(&self, n: u32) -> Result<&Row, Refused> {
        self.rows.get(n as usize).ok_or_else(|| Refused::new("名单上没有该序号", "there is no such number on the list"))
    }

    /// Takes an event that the account has taken.
    pub(super) fn event(&mut self, event: &Event, inside: &Inside) {
        for subject in event.subjects() {
            if let Subject::Person(person) = subject {
                self.settle(&person, Some(event), inside);
            }
        }
        if event.version > 1 {
            self.revised(event, inside);
        }
        self.unidentified(event);
    }

    /// An event was changed or taken back: whoever it was about is where the account has him now.
    fn revised(&mut self, event: &Event, inside: &Inside) {
        let person = |row: &Row| if let Occupant::Person(person) = &row.who { Some(person.clone()) } else { None };
        let persons: Vec<PersonRef> = self.rows.iter().filter_map(person).chain(self.after.keys().cloned()).collect();
        persons.iter().for_each(|person| self.settle(person, Some(event), inside));
        for row in self.rows.iter_mut().filter(|row| row.who == Occupant::Unidentified) {
            if matches!(&row.state, RowState::Safe { how: How::Exit { event: by, .. }, .. } if *by == event.id) {
                row.state = RowState::Unaccounted;
            }
        }
        self.unread_out.retain(|(id, _)| *id != event.id);
        self.after_unidentified.retain(|(id, _)| *id != event.id);
    }

    /// Takes everything again that the gates saw since T0: what is known already changes nothing.
    pub(super) fn catch_up(&mut self, inside: &Inside) {
        let since = self.at.after(std::time::Duration::from_millis(1));
        let events: Vec<_> = inside.account().between(since, Timestamp(i64::MAX)).cloned().collect();
        events.iter().for_each(|event| self.event(event, inside));
        for person in inside.account().persons() {
            if !self.rows.iter().any(|row| row.is(person)) {
                self.settle(person, None, inside);
            }
        }
    }

    /// Brings a person's row into agreement with where the account has him now.
    fn settle(&mut self, person: &PersonRef, event: Option<&Event>, inside: &Inside) {
        let place = inside.account().place(&Subject::Person(person.clone()));
        let stay = place.and_then(|place| place.zones.get(&self.zone));
        let Some(row) = self.rows.iter_mut().find(|row| row.is(person)) else {
            match (place, stay) {
                // He was inside at T0, and the record of it came late.
                (Some(place), Some(stay)) if stay.since <= self.at => {
                    let row = self.known(Occupant::Person(person.clone()), place, stay, inside);
                    self.add(Row { added: true, ..row });
                }
                (_, Some(stay)) => drop(self.after.insert(person.clone(), stay.since)),
                (_, None) => drop(self.after.remove(person)),
            }
            return;
        };
        match (&row.state, stay) {
            (RowState::Unaccounted, None) => {
                let crossed = event.and_then(|event| Some((event, event.crossed()?)));
                let crossed = crossed.filter(|(_, crossed)| crossed.leaves.contains(&self.zone));
                let how = match crossed {
                    Some((event, crossed)) => How::Exit { event: event.id.clone(), gate: crossed.gate.to_string() },
                    None => How::Corrected,
                };
                let at = event.map_or(self.at, |event| event.at);
                row.state = RowState::Safe { how, at };
                if crossed.is_some() {
                    self.note_exit(at);
                }
            }
            // In again after he was safe; or the exit that made him safe was taken back.
            (RowState::Safe { at, how }, Some(stay))
                if stay.since > *at || matches!(how, How::Exit { .. } | How::Corrected) =>
            {
                row.state = RowState::Unaccounted;
                row.last.clone_from(&stay.through);
            }
            (RowState::Unaccounted, Some(stay)) if stay.since > self.at => row.last.clone_from(&stay.through),
            (RowState::Unaccounted | RowState::Safe { .. }, _) => {}
        }
    }

    fn note_exit(&mut self, at: Timestamp) {
        self.out = Some(self.out.map_or((at, at), |(first, last)| (first.min(at), last.max(at))));
    }

    /// Takes account of those in a passage whom nobody knows. Each event once.
    fn unidentified(&mut self, event: &Event) {
        let Some(crossed) = event.crossed().filter(|crossed| crossed.unidentified > 0) else { return };
        let by_it = |row: &Row| matches!(&row.state, RowState::Safe { how: How::Exit { event: by, .. }, .. } if *by == event.id);
        let noted = |list: &[(EventId, u16)]| list.iter().any(|(id, _)| *id == event.id);
        if noted(&self.unread_out) || noted(&self.after_unidentified) || self.rows.iter().any(by_it) {
            return;
        }
        let plate = crossed.vehicle.as_ref().and_then(|vehicle| vehicle.plate.clone());
        if crossed.leaves.contains(&self.zone) {
            let of_vehicle = |row: &&mut Row| {
                row.who == Occupant::Unidentified && plate.is_some() && row.with == plate && row.is_open()
            };
            let mut left = crossed.unidentified;
            for row in self.rows.iter_mut().filter(of_vehicle).take(usize::from(left)) {
                let how = How::Exit { event: event.id.clone(), gate: crossed.gate.to_string() };
                row.state = RowState::Safe { how, at: event.at };
                left -= 1;
            }
            if left < crossed.unidentified {
                self.note_exit(event.at);
            }
            if left > 0 && event.at > self.at {
                self.unread_out.push((event.id.clone(), left));
            }
        } else if crossed.enters.contains(&self.zone) {
            let late = event.at <= self.at;
            if late {
                // The record of an entry before T0, that came after it: they were inside.
                let row = Row { with: plate, added: true, ..self.unknown() };
                (0..crossed.unidentified).for_each(|_| self.add(row.clone()));
            }
            self.after_unidentified.push((event.id.clone(), if late { 0 } else { crossed.unidentified }));
        }
    }

    pub(super) fn check_in(&mut self, person: &PersonRef, point: &str, by: &str, at: Timestamp) {
        match self.rows.iter_mut().find(|row| row.is(person)) {
            Some(row) if row.is_open() => {
                row.state = RowState::Safe { how: How::CheckIn { point: point.into(), by: by.into() }, at };
            }
            None if self.strangers.len() < MAX_ROWS => {
                self.strangers.insert(person.clone(), (point.into(), at));
            }
            Some(_) | None => {}
        }
    }

    pub(super) fn account(&mut self, n: u32, by: &str, reason: &str, at: Timestamp) {
        if let Some(row) = self.rows.get_mut(n as usize).filter(|row| row.is_open()) {
            row.state = RowState::Safe { how: How::Warden { by: by.into(), reason: reason.into() }, at };
        }
    }

    pub(super) fn take_back(&mut self, n: u32, by: &str, reason: &str) {
        if let Some(row) = self.rows.get_mut(n as usize).filter(|row| !row.is_open()) {
            row.state = RowState::Unaccounted;
            row.taken_back.push(format!("{by}: {reason}"));
        }
    }

    pub(super) fn position(&mut self, person: &PersonRef, position: &Position) {
        let row = self.rows.iter_mut().find(|row| row.is(person));
        if let Some(row) = row.filter(|row| row.position.as_ref().is_none_or(|old| old.at <= position.at)) {
            row.position = Some(position.clone());
        }
    }

    /// A person calls for help. One who is on no list is put on it: he is there.
    pub(super) fn sos(&mut self, person: &PersonRef, since: Option<Timestamp>) {
        match self.rows.iter_mut().find(|row| row.is(person)) {
            Some(row) => row.sos = since,
            None if since.is_some() => {
                self.after.remove(person);
                let who = Occupant::Person(person.clone());
                self.add(Row { who, added: true, sos: since, ..self.unknown() });
            }
            None => {}
        }
    }

    fn known(&self, who: Occupant, place: &Place, stay: &Stay, inside: &Inside) -> Row {
        let depth = |zone: &&ZoneId| inside.rules().around(Some(*zone)).len();
        let innermost = place.zones.keys().max_by_key(depth).cloned();
        Row {
            who,
            company: stay.company.clone(),
            zone: innermost.unwrap_or_else(|| self.zone.clone()),
            last: place.seen.clone().or_else(|| stay.through.clone()),
            with: stay.with.clone(),
            ..self.unknown()
        }
    }

    fn unknown(&self) -> Row {
        Row {
            n: 0,
            who: Occupant::Unidentified,
            company: None,
            zone: self.zone.clone(),
            last: None,
            with: None,
            added: false,
            state: RowState::Unaccounted,
            sos: None,
            position: None,
            taken_back: Vec::new(),
        }
    }

    fn add(&mut self, row: Row) {
        if self.rows.len() >= MAX_ROWS {
            self.uncounted = self.uncounted.saturating_add(1);
            return;
        }
        let n = u32::try_from(self.rows.len()).unwrap_or(u32::MAX);
        self.rows.push(Row { n, ..row });
    }
}
