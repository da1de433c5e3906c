//! Danger as one machine: the alarms, the state of the site, the daybook and the audit, joined. Each keeps to itself; what one
//! has to tell another passes here.
//!
//! ```text
//!  readings, links ──▶ alarms ──gas of a zone──▶ site ──faults──▶ alarms       every action, done or refused ──▶ audit
//!                 └──▶ site   (contacts, keys, wind)
//!  orders ──▶ an output: the application   a message: page, platform, output or telephones (`texting.rs`)   a lane's rule: the gates, where they move it
//!  receipts ──▶ the machine that ordered
//!  transitions, coverage, starts, writes ──▶ daybook ──flags──▶ alarms
//! ```
//!
//! Sans-I/O like its parts: hand in one input, then drain [`Danger::poll_order`] and [`Danger::poll_document`]; call
//! [`Danger::handle_timeout`] when [`Danger::poll_timeout`] has come. What concerns life comes out of `poll_order` before
//! anything of it is recorded.
//!
//! [`Danger::saved`] is what must survive a restart; [`Danger::restore`] takes it back, and the records made since.

mod acting;
mod carrying;
pub mod channels;
mod faults;
pub mod gates;
#[cfg(test)]
mod kill_tests;
mod restoring;
#[cfg(test)]
mod tests;
mod texting;
mod told;
pub mod view;

pub use acting::{Action, Done};
pub use restoring::{Recorded, Word};
pub use texting::{ChannelAction, ChannelState, ChannelView, MAX_PHONES, Text};

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use self::channels::{Channels, Notice};
use self::faults::{Faults, REGISTER, STORE};
use self::texting::Texting;
use self::view::DangerView;
use super::alarm::spec::AlarmBook;
use super::alarm::{self, Alarms};
use super::audit::{Chain, Head};
use super::daybook::{self, Calendar, DailyReport, Date, Daybook, Delivery, StoreAccount};
use super::document::Document;
use super::id::PointUid;
use super::instrument::InstrumentState;
use super::order::{LaneRule, Order, Receipt};
use super::reading::Reading;
use super::registry::{Commissioning, DeviceSpec, Registry};
use super::site::{self, Site, SiteBook};
use super::time::{Mono, Now};

/// How often floods and chattering are looked for: they are counted per minutes.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// Orders whose receipt is waited for. More than the machines together can have under way; the oldest is forgotten, and its
/// machine's own patience tells.
const MAX_AWAITED: usize = 4096;

/// What the configuration says of danger.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rules {
    /// The alarms.
    pub alarms: Arc<AlarmBook>,
    /// The site.
    pub site: Arc<SiteBook>,
    /// The daybook.
    pub daybook: Arc<daybook::Rules>,
    /// Days of the park.
    pub calendar: Days,
    /// How people are told.
    pub channels: Channels,
    /// Lanes that this gateway moves, by their ids in the site's book.
    pub lanes: BTreeSet<String>,
}

/// Local time in the park's zone, by its name: two of the same name are the same.
#[derive(Clone, Debug)]
pub struct Days {
    /// IANA name of the zone.
    pub zone: String,
    /// Its days.
    pub calendar: Arc<dyn Calendar>,
}

impl PartialEq for Days {
    fn eq(&self, other: &Self) -> bool {
        self.zone == other.zone
    }
}

impl Default for Days {
    /// Beijing's.
    fn default() -> Self {
        Self { zone: "Asia/Shanghai".to_owned(), calendar: Arc::new(daybook::FixedOffset::BEIJING) }
    }
}

/// Which machine ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Machine {
    Alarms,
    Site,
    Daybook,
    /// Nobody: a test of a channel.
    Test,
}

/// What must survive a restart.
#[derive(Clone, Debug)]
pub struct Saved {
    alarms: alarm::saved::Saved,
    site: site::Saved,
    daybook: daybook::Saved,
    audit: Head,
}

impl Saved {
    /// Returns it as text. Not the engine's business: it takes milliseconds.
    pub fn texts(&self) -> Texts {
        let (alarms, site, daybook) = (text_of(&self.alarms), text_of(&self.site), text_of(&self.daybook));
        Texts { alarms, site, daybook, audit: Some(self.audit) }
    }
}

/// The same as text: a part that a later version cannot read costs that part alone.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Texts {
    /// The alarms that are not normal.
    pub alarms: String,
    /// The state of the site.
    pub site: String,
    /// The daybook.
    pub daybook: String,
    /// End of the audit chain.
    pub audit: Option<Head>,
}

/// A document on its way to the store.
#[derive(Clone, Debug, PartialEq)]
pub struct Telling {
    /// The document.
    pub document: Document,
    /// The report whose way to the platform is followed: [`Danger::handle_recorded`] is told its number.
    pub delivery: Option<Delivery>,
}

/// Points by device and ordinal, found in one step; nothing behind the last that is watched.
type Watched = Vec<Vec<Option<PointUid>>>;

/// See the module.
#[derive(Debug)]
pub struct Danger {
    rules: Rules,
    boot: u32,
    alarms: Alarms,
    site: Site,
    daybook: Daybook,
    chain: Chain,
    faults: Faults,
    /// Points that the site wants to hear of, by device.
    watched: Watched,
    /// Detectors by zone that the site was last told of.
    gas: BTreeMap<Arc<str>, BTreeSet<PointUid>>,
    awaited: BTreeMap<String, Machine>,
    awaited_order: VecDeque<String>,
    documents: VecDeque<Telling>,
    at_once: VecDeque<Order>,
    orders: VecDeque<Order>,
    texts: VecDeque<Text>,
    texting: Texting,
    /// Key, lane and rule.
    lane_orders: VecDeque<(String, String, LaneRule)>,
    notices: VecDeque<Notice>,
    /// Documents told, and those of them that no later record brings back.
    changes: u64,
    alone: u64,
    /// When floods and chattering alarms are looked for next, and what was found last.
    look_at: Mono,
    seen: (bool, usize),
}

impl Danger {
    /// Starts with everything normal. `boot` counts the starts in the epoch.
    pub fn new(rules: Rules, registry: &Registry, boot: u32, now: Now) -> Self {
        let rules = completed(rules);
        let mut danger = Self {
            alarms: Alarms::new(Arc::clone(&rules.alarms), boot, now),
            site: Site::new(Arc::clone(&rules.site), boot, now),
            daybook: Daybook::new(Arc::clone(&rules.daybook), Arc::clone(&rules.calendar.calendar), boot, now),
            chain: Chain::new(boot, Head::default()),
            faults: Faults::default(),
            watched: watched(&rules.site, registry),
            gas: BTreeMap::new(),
            awaited: BTreeMap::new(),
            awaited_order: VecDeque::new(),
            documents: VecDeque::new(),
            at_once: VecDeque::new(),
            orders: VecDeque::new(),
            texts: VecDeque::new(),
            texting: Texting::default(),
            lane_orders: VecDeque::new(),
            notices: VecDeque::new(),
            changes: 0,
            alone: 0,
            look_at: now.mono,
            seen: (false, 0),
            boot,
            rules,
        };
        danger.faults.install(&danger.rules.alarms);
        danger.daybook.install(Arc::clone(&danger.rules.daybook), read_devices(registry), now);
        danger.settle(now);
        danger
    }

    /// Takes over a new configuration. Every reading that stands belongs handed in again afterwards.
    pub fn install(&mut self, rules: Rules, registry: &Registry, now: Now) {
        self.rules = completed(rules);
        self.watched = watched(&self.rules.site, registry);
        self.faults.install(&self.rules.alarms);
        self.alarms.install(Arc::clone(&self.rules.alarms), now);
        self.site.install(Arc::clone(&self.rules.site), now);
        self.daybook.install(Arc::clone(&self.rules.daybook), read_devices(registry), now);
        self.settle(now);
    }

    /// Takes readings of one device that stand from `at` on, before report by exception: point ordinal, reading, and what its
    /// instrument was doing. What was read together is handed in together, so that an alarm bit is seen with the state word
    /// beside it. [`Danger::settle`] follows.
    #[inline]
    pub fn handle_readings<'r, I>(&mut self, device: usize, readings: I, at: Mono, now: Now)
    where
        I: Iterator<Item = (u16, &'r Reading, Option<InstrumentState>)> + Clone,
    {
        self.alarms.handle_readings(device, readings.clone(), at, now);
        let Some(watched) = self.watched.get(device).filter(|watched| !watched.is_empty()) else { return };
        for (ordinal, reading, _) in readings {
            if let Some(Some(uid)) = watched.get(usize::from(ordinal)) {
                self.site.handle_reading(uid, *reading, now);
            }
        }
    }

    /// Takes whether a device answers.
    pub fn handle_link(&mut self, device: usize, up: bool, now: Now) {
        self.alarms.handle_link(device, up, now);
        self.settle(now);
    }

    /// Takes something that belongs into the day's account and happened at `at`.
    pub fn handle_fact(&mut self, fact: daybook::Fact, at: Mono, now: Now) {
        self.daybook.handle(fact, at, now);
        self.settle(now);
    }

    /// Takes what belongs into the day's account of a document that another machine made.
    pub fn note_document(&mut self, document: &Document, now: Now) {
        if let Some(fact) = told::passage_fact(document.kind, &document.json) {
            self.handle_fact(fact, document.at, now);
        }
    }

    /// Takes the store's account of itself.
    pub fn handle_account(&mut self, account: StoreAccount, now: Now) {
        self.daybook.handle_account(account, now);
        self.settle(now);
    }

    /// Takes the number under which a followed report was recorded.
    pub fn handle_recorded(&mut self, delivery: &Delivery, seq: u64) {
        self.daybook.handle_recorded(delivery, seq);
    }

    /// Takes which numbers of the report stream the platform has stored.
    pub fn handle_delivered(&mut self, stored: &dyn Fn(u64) -> bool, now: Now) {
        self.daybook.handle_delivered(stored, now);
        self.settle(now);
    }

    /// Returns the newest version of a day's report, or, of a day that is not reported yet, its account so far.
    pub fn report(&self, day: Option<Date>, now: Now) -> Option<DailyReport> {
        let view = || self.daybook.view(now);
        match day {
            Some(day) => self.daybook.report(day).cloned().or_else(|| self.daybook.preview(day, now)),
            None => view().reports.last().and_then(|(day, ..)| self.daybook.report(*day).cloned()),
        }
    }

    /// Takes whether the store writes.
    pub fn handle_store(&mut self, healthy: bool, now: Now) {
        self.fault(STORE, !healthy, now);
        self.settle(now);
    }

    /// Takes whether the register of the gates is whole, and takes changes.
    pub fn handle_register(&mut self, good: bool, now: Now) {
        self.fault(REGISTER, !good, now);
        self.settle(now);
    }

    /// Takes what became of an order.
    pub fn handle_receipt(&mut self, key: &str, receipt: &Receipt, now: Now) {
        self.receipt(key, receipt, now);
        self.settle(now);
    }

    /// Returns when [`Danger::handle_timeout`] must next be called, where anything is due.
    pub fn poll_timeout(&self) -> Option<Mono> {
        let machines = [self.alarms.poll_timeout(), self.site.poll_timeout(), self.daybook.poll_timeout()];
        machines.into_iter().flatten().chain([self.look_at]).min()
    }

    /// Lets time pass.
    pub fn handle_timeout(&mut self, now: Now) {
        self.alarms.handle_timeout(now);
        self.site.handle_timeout(now);
        self.daybook.handle_timeout(now);
        self.look(now);
        self.settle(now);
    }

    /// Records the whole active set, for whoever must know that he has all of it.
    pub fn tell_active_set(&mut self, now: Now) {
        let document = self.alarms.active_set_document(now);
        self.documents.push_back(Telling { document, delivery: None });
    }

    /// Returns the next order that somebody else must carry out; those of life first.
    pub fn poll_order(&mut self) -> Option<Order> {
        self.at_once.pop_front().or_else(|| self.orders.pop_front())
    }

    /// Returns the next document to be recorded.
    pub fn poll_document(&mut self) -> Option<Telling> {
        self.documents.pop_front()
    }

    /// Returns the points whose commissioning people have changed against the point table.
    pub fn points_in_service(&self) -> BTreeMap<PointUid, Commissioning> {
        let point = |(subject, changed): (&site::ServiceSubject, &site::service::Changed)| match subject {
            site::ServiceSubject::Point(uid) => Some((PointUid::new(uid.as_str()), changed.state.into())),
            site::ServiceSubject::Lane(_) => None,
        };
        self.site.service_changes().filter_map(point).collect()
    }

    /// Returns two numbers: one changes with whatever [`Danger::saved`] must not lose, one with what no record brings back
    /// and must be saved at once.
    pub fn revisions(&self) -> (u64, u64) {
        (self.changes, self.alone.wrapping_add(self.site.revision()))
    }

    /// Returns what must survive a restart.
    pub fn saved(&self, now: Now) -> Saved {
        Saved {
            alarms: self.alarms.saved(now),
            site: self.site.saved(now),
            daybook: self.daybook.saved(now),
            audit: self.chain.head(),
        }
    }

    /// Returns what stands, for page and command line.
    pub fn view(&self, now: Now) -> DangerView {
        DangerView {
            alarms: self.alarms.active(now),
            counts: self.alarms.counts(now),
            instruments: self.alarms.instruments(now),
            site: self.site.view(now),
            daybook: self.daybook.view(now).into(),
            today: self.today(now),
            notices: self.notices.iter().rev().cloned().collect(),
            channels: self.channel_views(),
            audit: self.chain.head(),
        }
    }
}

/// Adds the alarms that nobody configures.
fn completed(mut rules: Rules) -> Rules {
    faults::add_to(Arc::make_mut(&mut rules.alarms), &rules.site);
    gates::add_to(Arc::make_mut(&mut rules.alarms), &rules.site, &rules.lanes);
    rules
}

fn watched(site: &SiteBook, registry: &Registry) -> Watched {
    let wanted = site.watched();
    let of_device = |spec: &Arc<DeviceSpec>| {
        let mut watched: Vec<_> =
            spec.points.iter().map(|point| Some(&point.uid).filter(|uid| wanted.contains(uid)).cloned()).collect();
        watched.truncate(watched.iter().rposition(Option::is_some).map_or(0, |last| last + 1));
        watched
    };
    registry.devices.iter().map(of_device).collect()
}

/// The devices from which something is read; points that are computed have none.
fn read_devices(registry: &Registry) -> impl Iterator<Item = &str> {
    registry.devices.iter().filter(|device| !device.points.is_empty()).map(|device| device.id.as_str())
}

fn text_of(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}
