//! One poll class of one device: its requests, the poll under way, and the registers the device refuses.
//!
//! ```text
//!  waiting ──begin──▶ under way ──ask──▶ (request) ──answered──▶ ask … ──(nothing left)──▶ waiting
//!                        └──────────────────────── abandon (device down) ─────────────────────▲
//! ```
//!
//! **Refused blocks** (exception 02 or 03): within the poll the block is cut in two ([`plan::split`]) and both parts are
//! asked, down to single items; an item refused alone is barred. If a search found such items, the cuts it made are
//! forgotten (the plan goes around the barred items by itself); if it found none, the cuts themselves were the cure (a
//! hole that may not be read, a quantity the device does not take) and they stay. A search costs at most
//! [`MAX_SEARCH`] requests per poll and goes on in the next one.
//!
//! **Invariant:** each poll gives every point of the class exactly one reading, and one account: the poll is ok when
//! something was asked and every request was answered with values. Points already barred are not asked, so a poll
//! around them can be ok.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::time::Duration;

use crate::domain::field_event::{FieldEvent, Origin, Poll, Sample};
use crate::domain::id::DeviceSlot;
use crate::domain::reading::{Quality, Reading, Readings};
use crate::domain::time::Mono;

use super::super::outbox::{Outbox, Refused};
use super::super::schedule::Grid;
use super::super::settings::{Device, Table};
use super::plan::{self, Item, Limits};
use super::request::Request;
use super::{Answer, Meaning, meaning_of};

/// A refused point is tried again after this time at first: controllers refuse registers while they start.
pub const RETRY_FIRST: Duration = Duration::from_secs(30);
/// And this rarely in the end: a wrong line in the point table should not cost a request per minute for years.
pub const RETRY_MAX: Duration = Duration::from_secs(600);
/// Extra requests a search for refused registers may cost one poll: it must not stop the fast classes for seconds.
pub const MAX_SEARCH: u32 = 64;

/// What to ask the device next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ask {
    /// Table.
    pub table: Table,
    /// First address, base 0.
    pub start: u16,
    /// Registers or bits.
    pub count: u16,
}

/// See the module.
#[derive(Debug)]
pub struct Class {
    slot: DeviceSlot,
    index: u8,
    grid: Grid,
    ordinals: Vec<u16>,
    items: Vec<Item>,
    requests: Vec<Request>,
    barred: BTreeMap<usize, Barred>,
    cuts: BTreeSet<usize>,
    poll: Option<UnderWay>,
    /// Whether the last poll fell into a time in which the device was down.
    missed: bool,
}

/// An item the device refuses, and when to try it again; `None` for what no request can carry.
#[derive(Debug)]
struct Barred {
    retry: Option<(Mono, Duration)>,
}

#[derive(Debug)]
struct UnderWay {
    started: Mono,
    next: usize,
    parts: Vec<Request>,
    retry: Option<Request>,
    asked: bool,
    ok: bool,
    search: Search,
    forget: bool,
}

/// The search for refused registers within one poll.
#[derive(Debug, Default)]
struct Search {
    cuts: Vec<usize>,
    requests: u32,
    found: bool,
    cut_short: bool,
}

/// Where the request being asked comes from.
enum Source {
    Part,
    Plan,
    Retry,
}

impl Class {
    /// Returns a class whose first poll is due after `now` plus the device's phase.
    pub fn new(slot: DeviceSlot, device: &Device, index: u8, interval: Duration, now: Mono) -> Self {
        let items = plan::items(&device.points, index);
        let limits = Limits::of(device);
        let too_wide = |(_, item): &(usize, &Item)| u32::from(item.width) > limits.max(item.table);
        let barred = items.iter().enumerate().filter(too_wide).map(|(i, _)| (i, Barred { retry: None })).collect();
        let mut ordinals: Vec<u16> = items.iter().flat_map(|item| item.ordinals.iter().copied()).collect();
        ordinals.sort_unstable();
        let grid = Grid::new(now, interval, device.id.as_str());
        let mut class = Self {
            slot,
            index,
            grid,
            ordinals,
            items,
            requests: Vec::new(),
            barred,
            cuts: BTreeSet::new(),
            poll: None,
            missed: false,
        };
        class.replan(device);
        class
    }

    /// Returns its grid.
    pub fn grid(&self) -> &Grid {
        &self.grid
    }

    /// Returns whether a poll is under way.
    pub fn is_under_way(&self) -> bool {
        self.poll.is_some()
    }

    /// Returns whether any point is read in this class.
    pub fn is_empty(&self) -> bool {
        self.ordinals.is_empty()
    }

    /// Returns the parts of its requests that end where a value ends, the longest of each first.
    pub fn known(&self) -> impl Iterator<Item = Ask> {
        let requests = self.current().map(|(_, request)| request).into_iter().chain(&self.requests);
        requests.flat_map(|request| {
            let Request { table, start, .. } = *request;
            let items = self.items.get(request.items.clone()).unwrap_or_default();
            let mut ends: Vec<u32> = items.iter().map(Item::end).collect();
            ends.sort_unstable_by(|a, b| b.cmp(a));
            let counts = ends.into_iter().filter_map(move |end| u16::try_from(end - u32::from(start)).ok());
            counts.map(move |count| Ask { table, start, count })
        })
    }

    /// Returns what to ask now, beginning the poll if none is under way. `None` when nothing is left: then it has ended.
    pub fn ask(&mut self, device: &Device, now: Mono, out: &mut Outbox) -> Option<Ask> {
        if self.poll.is_none() {
            self.begin(device, now);
        }
        let ask =
            self.current().map(|(_, request)| Ask { table: request.table, start: request.start, count: request.count });
        match (ask, &mut self.poll) {
            (Some(_), Some(poll)) => poll.asked = true,
            _ => self.end(device, now, out),
        }
        ask
    }

    /// Takes the answer to what [`Class::ask`] returned; `at` is the middle of request and answer.
    pub fn answered(&mut self, device: &Device, answer: &Answer, at: Mono, now: Mono, out: &mut Outbox) {
        match answer {
            Answer::Registers(_) | Answer::Bits(_) => self.good(answer, at, out),
            Answer::Exception(code) => match meaning_of(*code) {
                Meaning::Refused => self.refused(device, *code, now, out),
                Meaning::Unsupported => self.unsupported(*code, now, out),
                Meaning::Trouble | Meaning::NoDevice => self.trouble(meaning_of(*code).quality(), at, out),
            },
        }
        if self.current().is_none() {
            self.end(device, now, out);
        }
    }

    /// Ends the poll under way because the device went down: what it has not read is `comm`.
    pub fn abandon(&mut self, device: &Device, now: Mono, out: &mut Outbox) {
        let Some(poll) = &mut self.poll else { return };
        poll.ok = false;
        poll.retry = None;
        let parts = poll.parts.drain(..).rev().map(|part| part.missing(Quality::Comm));
        let planned = self.requests.iter().skip(poll.next).map(|request| request.missing(Quality::Comm));
        let mut unread: Readings = parts.chain(planned).flatten().collect();
        poll.next = self.requests.len();
        unread.sort_unstable_by_key(|(ordinal, _)| *ordinal);
        self.sample(now, unread, out);
        self.end(device, now, out);
        self.missed = true;
    }

    /// Does the poll that is due without asking: the device is down.
    pub fn pass(&mut self, now: Mono, out: &mut Outbox) {
        let readings = self.ordinals.iter().map(|o| (*o, Reading::missing(Quality::Comm))).collect();
        self.sample(now, readings, out);
        let due = self.grid.due();
        self.account(due, due, now, false, out);
        self.missed = true;
    }

    /// The device answers again: what it missed, or (`all`) in any case, is polled at once and not only when it falls due,
    /// which may be in an hour.
    pub fn catch_up(&mut self, all: bool, now: Mono) {
        if (all || self.missed) && self.poll.is_none() {
            self.grid.catch_up(now);
        }
    }

    fn begin(&mut self, device: &Device, now: Mono) {
        let due_for_retry = |barred: &Barred| barred.retry.is_some_and(|(at, _)| at <= now);
        let retry = self.barred.iter().find(|(_, barred)| due_for_retry(barred)).map(|(index, _)| *index);
        self.poll = Some(UnderWay {
            started: now,
            next: 0,
            parts: Vec::new(),
            retry: retry.and_then(|index| Request::new(&self.items, index..index + 1, &device.points)),
            asked: false,
            ok: true,
            search: Search::default(),
            forget: false,
        });
    }

    fn current(&self) -> Option<(Source, &Request)> {
        let poll = self.poll.as_ref()?;
        let part = poll.parts.last().map(|part| (Source::Part, part));
        let planned = || self.requests.get(poll.next).map(|request| (Source::Plan, request));
        let retry = || poll.retry.as_ref().map(|request| (Source::Retry, request));
        part.or_else(planned).or_else(retry)
    }

    /// Goes on to the next request.
    fn advance(&mut self) {
        let source = self.current().map(|(source, _)| source);
        let Some(poll) = &mut self.poll else { return };
        match source {
            Some(Source::Part) => drop(poll.parts.pop()),
            Some(Source::Plan) => poll.next += 1,
            Some(Source::Retry) => poll.retry = None,
            None => {}
        }
    }

    fn good(&mut self, answer: &Answer, at: Mono, out: &mut Outbox) {
        let Some((source, request)) = self.current() else { return };
        let readings = request.readings(answer);
        let index = request.items.start;
        if matches!(source, Source::Retry) {
            self.barred.remove(&index);
            if let Some(poll) = &mut self.poll {
                poll.forget = true;
            }
        }
        self.sample(at, readings, out);
        self.advance();
    }

    fn trouble(&mut self, quality: Quality, at: Mono, out: &mut Outbox) {
        let Some((source, request)) = self.current() else { return };
        // A refused point gets its reading at the end of the poll.
        if !matches!(source, Source::Retry) {
            let readings = request.missing(quality);
            self.sample(at, readings, out);
        }
        self.not_ok();
        self.advance();
    }

    fn refused(&mut self, device: &Device, code: u8, now: Mono, out: &mut Outbox) {
        let Some((source, request)) = self.current() else { return };
        let run = request.items.clone();
        let again = matches!(source, Source::Retry);
        let cut = plan::split(&self.items, &run);
        self.advance();
        match cut {
            _ if again => self.bar(run.start, now),
            None => self.found(run, code, now, out),
            Some(cut) if self.search_goes_on(cut) => self.push_parts(&run, cut, device),
            Some(_) => self.put_off(&run, device, now, out),
        }
    }

    /// Notes that a poll's search goes on at `cut`, unless it has used up its requests.
    fn search_goes_on(&mut self, cut: usize) -> bool {
        let Some(poll) = &mut self.poll else { return false };
        poll.ok = false;
        poll.search.cut_short |= poll.search.requests + 2 > MAX_SEARCH;
        if poll.search.cut_short {
            return false;
        }
        poll.search.cuts.push(cut);
        poll.search.requests += 2;
        true
    }

    fn push_parts(&mut self, run: &Range<usize>, cut: usize, device: &Device) {
        let [left, right] = [run.start..cut, cut..run.end].map(|run| Request::new(&self.items, run, &device.points));
        if let Some(poll) = &mut self.poll {
            poll.parts.extend(right);
            poll.parts.extend(left);
        }
    }

    /// Leaves the rest of a search to the next poll.
    fn put_off(&mut self, run: &Range<usize>, device: &Device, now: Mono, out: &mut Outbox) {
        let readings = Request::new(&self.items, run.clone(), &device.points).map(|r| r.missing(Quality::Sensor));
        self.sample(now, readings.unwrap_or_default(), out);
    }

    fn unsupported(&mut self, code: u8, now: Mono, out: &mut Outbox) {
        let Some((source, request)) = self.current() else { return };
        let run = request.items.clone();
        let again = matches!(source, Source::Retry);
        self.advance();
        if again { self.bar(run.start, now) } else { self.found(run, code, now, out) }
    }

    /// Bars items that were refused for the first time.
    fn found(&mut self, run: Range<usize>, code: u8, now: Mono, out: &mut Outbox) {
        self.not_ok();
        if let Some(poll) = &mut self.poll {
            poll.search.found = true;
        }
        for index in run {
            self.bar(index, now);
            if let Some(item) = self.items.get(index) {
                let Item { table, address, width, .. } = *item;
                out.refused.push(Refused { slot: self.slot, table, address, width, code });
            }
        }
    }

    fn bar(&mut self, index: usize, now: Mono) {
        let last = self.barred.get(&index).and_then(|barred| barred.retry);
        let delay = last.map_or(RETRY_FIRST, |(_, delay)| delay.saturating_mul(2).min(RETRY_MAX));
        self.barred.insert(index, Barred { retry: Some((now + delay, delay)) });
    }

    fn not_ok(&mut self) {
        if let Some(poll) = &mut self.poll {
            poll.ok = false;
        }
    }

    fn end(&mut self, device: &Device, now: Mono, out: &mut Outbox) {
        let Some(poll) = self.poll.take() else { return };
        self.sample_barred(now, out);
        self.learn(&poll, device);
        let due = self.grid.due();
        let started = if poll.asked { poll.started } else { due };
        self.account(due, started, now, poll.ok && poll.asked, out);
    }

    /// Tells of the points that are not asked for: each poll gives every point of the class one reading.
    fn sample_barred(&self, now: Mono, out: &mut Outbox) {
        let items = self.barred.keys().filter_map(|index| self.items.get(*index));
        let mut readings: Readings =
            items.flat_map(|item| item.ordinals.iter().map(|o| (*o, Reading::missing(Quality::Sensor)))).collect();
        readings.sort_unstable_by_key(|(ordinal, _)| *ordinal);
        self.sample(now, readings, out);
    }

    fn learn(&mut self, poll: &UnderWay, device: &Device) {
        if poll.forget {
            self.barred.retain(|_, barred| barred.retry.is_none());
            self.cuts.clear();
        } else if poll.search.found && !poll.search.cut_short {
            self.cuts.clear();
        } else {
            self.cuts.extend(&poll.search.cuts);
        }
        if poll.forget || poll.search.found || !poll.search.cuts.is_empty() {
            self.replan(device);
        }
    }

    fn replan(&mut self, device: &Device) {
        let runs = plan::plan(&self.items, &Limits::of(device), |i| self.barred.contains_key(&i), &self.cuts);
        self.requests = runs.into_iter().filter_map(|run| Request::new(&self.items, run, &device.points)).collect();
    }

    fn sample(&self, at: Mono, readings: Readings, out: &mut Outbox) {
        if !readings.is_empty() {
            out.events.push(FieldEvent::Sample(Sample { slot: self.slot, at, origin: Origin::Polled, readings }));
        }
    }

    fn account(&mut self, due: Mono, started: Mono, ended: Mono, ok: bool, out: &mut Outbox) {
        self.missed = false;
        let skipped = self.grid.finish(ended);
        let poll = Poll { slot: self.slot, class: self.index, due, started, ended, ok, skipped };
        out.events.push(FieldEvent::Poll(poll));
    }
}
