//! The state of the site (应急状态): what danger, a key, the fire linkage, the city or two people's hands make of each zone,
//! and what is ordered of lanes, sirens, signs and loudspeakers because of it.
//!
//! Each zone has a state of its own, and has also the states of the zones around it: the strongest one holds. The park is the
//! outermost zone, so that its state is the state of all.
//!
//! ```text
//!            ┌───────── DRILL ◀─────────┐ a person begins and ends it; a real signal ends it at once
//!            │            │             │
//!            │            │   ends      │
//!            │ real       └──────▶  NORMAL ◀────────────────────────┐
//!            │ signal                │                              │ a named person, a reason, and every lane given back
//!            ▼                       ▼ declared                     │
//!  ┌──────────────────────────────────────────────┐     ended   RECOVERY: lanes stay as they are until each is given back
//!  │ LOCKDOWN_IN ──▶ SHELTER ──▶ EVACUATE         │ ─────────────▶ │
//!  │      ▲             │ ▲          │            │ ◀──────────────┘ declared again
//!  │      └─────────────┘ └──────────┘ by hand    │
//!  └──────────────────────────────────────────────┘
//!
//!  declared: proposed by one action and confirmed within a time by another, ── by hand
//!            a hard key ── at once          fire linkage ── at once       (a broken line only proposes)
//!            the city ── proposes, or declares where the site says so      only what it was given
//!            a rule over detectors ── proposes, or declares where the site says so
//! ```
//!
//! - **Strength**: NORMAL < DRILL < RECOVERY < LOCKDOWN_IN < SHELTER < EVACUATE. Keys, fire, rules and the city only ever make a
//!   zone's state stronger; to a weaker one it goes by people's hands.
//! - **Nested zones**: EVACUATE of a zone holds for all zones in it, and opens the exits (and two-way lanes, for leaving and for
//!   rescue) of all zones around it, because the way out leads through them; their entries, and zones beside it, are not
//!   touched.
//! - **Lanes** ([`book::Lane`]): of several rules for one lane the most open holds ([`book::strength`]): fire linkage, EVACUATE, SHELTER,
//!   LOCKDOWN_IN, rest. What an emergency opened stays open, through weaker states too, until a person gives that lane back.
//!   A way out for persons never gets a rule under which somebody may refuse: no state and no order closes one.
//! - **Fire linkage** ([`fire`]) is wired to locks and barriers themselves; here a signal releases its lanes at once and
//!   declares EVACUATE. The release stays until the line is quiet *and* a person resets it.
//! - **Drill**: the same code, its documents in mode `drill`, its texts marked 演练, barriers and doors not moved unless
//!   chosen. One at a time, only while everything is normal.
//! - **Restart**: what stood stands, and is ordered again ([`Site::restore`]); nothing else moves. Readings before the
//!   restart are forgotten: a key that was turned then does not act again.
//! - **Time**: delays run on monotonic time; wall times are only told.
//!
//! A value without clock, task or I/O: hand in one input, then drain [`Site::poll_output`]; call [`Site::handle_timeout`]
//! when [`Site::poll_timeout`] has come. [`Site::revision`] changes with whatever [`Site::saved`] must not lose.

pub mod action;
pub mod around;
pub mod book;
mod declare;
mod desire;
mod desk;
pub mod drill;
pub mod fire;
pub mod record;
pub mod replay;
mod saved;
pub mod service;
mod signals;
pub mod state;
#[cfg(test)]
mod tests;
pub mod view;
pub mod warning;
pub mod wind;
pub mod words;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

pub use action::{Action, CityCommand, CityOrder, Done};
pub use book::SiteBook;
pub use record::{Output, SiteFact, SiteFault, SiteRecord};
pub use saved::Saved;
pub use service::{ServiceAction, ServiceState, ServiceSubject};
pub use state::State;
pub use view::SiteView;
pub use warning::Warning;

use desk::{Desk, Subject, Told};
use drill::{Drill, Figures};
use fire::FireNow;
use record::{Cause, WarningStep};
use service::{Service, ServiceTold};
use warning::Warnings;
use wind::{Guidance, WindNow};

use super::actor::{Actor, Refused, Role, Via};
use super::document::{Document, DocumentKind};
use super::id::PointUid;
use super::order::{LaneRule, Receipt, Urgency};
use super::reading::Reading;
use super::record::Mode;
use super::time::{Mono, Now, Timestamp};

/// Detectors whose level is kept: all of a large park. What comes beyond is not counted by rules, as its own alarm stands anyway.
pub const MAX_DETECTORS: usize = 20_000;

/// A gas detector's level, as the alarm machine has it while gas is there: the highest until a person resets it, kept through
/// silence, only of points in service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GasLevel {
    /// The point.
    pub uid: PointUid,
    /// Its zone; one that is not known counts as the park.
    pub zone: String,
    /// 0 where there is no alarm, 1, 2.
    pub level: u8,
}

/// A zone's own state.
#[derive(Clone, Debug)]
struct ZoneNow {
    state: State,
    episode: String,
    since: Timestamp,
    cause: Option<Cause>,
    by: String,
    /// Lanes that an earlier, stronger state of this zone opened or shut, and that nobody has given back.
    held: BTreeMap<usize, LaneRule>,
    /// What people were told last, and since when it has been wrong.
    told: Option<Guidance>,
    wrong: Option<Mono>,
}

impl ZoneNow {
    fn new(now: Now) -> Self {
        Self {
            state: State::Normal,
            episode: String::new(),
            since: now.wall,
            cause: None,
            by: String::new(),
            held: BTreeMap::new(),
            told: None,
            wrong: None,
        }
    }
}

/// A hard key.
#[derive(Clone, Copy, Debug, Default)]
struct KeyNow {
    /// As last read with good quality.
    turned: Option<bool>,
    /// It cannot be read.
    lost: bool,
}

/// A state that waits for a person.
#[derive(Clone, Debug)]
struct Proposal {
    zone: usize,
    state: State,
    cause: Cause,
    actor: Actor,
    reason: String,
    at: Timestamp,
    /// When it lapses; the gateway's own wait until they are answered.
    lapses: Option<Mono>,
}

/// See the module.
#[derive(Debug)]
pub struct Site {
    book: Arc<SiteBook>,
    zones: Vec<ZoneNow>,
    fire: Vec<FireNow>,
    keys: Vec<KeyNow>,
    wind: WindNow,
    gas: BTreeMap<PointUid, (usize, u8)>,
    /// What a rule has said of a zone (by their ids), and for how many detectors: it says it again when more join, so that it does not
    /// argue with the person who answered.
    answered: BTreeMap<(String, String), usize>,
    proposals: BTreeMap<u64, Proposal>,
    drill: Option<Drill>,
    /// A drill was ended by what is being handled now: texts say so.
    preempts: bool,
    desk: Desk,
    warnings: Warnings,
    service: Service,
    outputs: VecDeque<Output>,
    revision: u64,
}

impl Site {
    /// Starts in NORMAL, and orders nothing. `boot` counts the starts in the epoch: it makes the keys of orders unique.
    pub fn new(book: Arc<SiteBook>, boot: u32, now: Now) -> Self {
        Self {
            zones: book.zones.iter().map(|_| ZoneNow::new(now)).collect(),
            fire: book.fire.iter().map(|_| FireNow::new(now.mono)).collect(),
            keys: book.keys.iter().map(|_| KeyNow::default()).collect(),
            book,
            wind: WindNow::default(),
            gas: BTreeMap::new(),
            answered: BTreeMap::new(),
            proposals: BTreeMap::new(),
            drill: None,
            preempts: false,
            desk: Desk::new(boot),
            warnings: Warnings::default(),
            service: Service::default(),
            outputs: VecDeque::new(),
            revision: 0,
        }
    }

    /// Returns the configuration.
    pub fn book(&self) -> &SiteBook {
        &self.book
    }

    /// Takes a reading of a point that is a contact, a key or the weather station ([`SiteBook::watched`]); of others nothing
    /// becomes. Every one that stands belongs here, before report by exception.
    pub fn handle_reading(&mut self, uid: &PointUid, reading: Reading, now: Now) {
        let mut news = self.take_wind(uid, reading, now);
        for at in 0..self.fire.len() {
            news |= self.take_contact(at, uid, reading, now);
        }
        for at in 0..self.keys.len() {
            news |= self.take_key(at, uid, reading, now);
        }
        // What says what it said before changes nothing of what is wanted.
        if news {
            self.finish(now);
        }
    }

    /// Returns the episode of the drill that runs.
    pub fn drill(&self) -> Option<&str> {
        self.drill.as_ref().map(|drill| drill.episode.as_str())
    }

    /// Takes how the muster of a drill stands, for its report.
    pub fn handle_figures(&mut self, episode: &str, figures: Figures) {
        if let Some(drill) = self.drill.as_mut().filter(|drill| drill.episode == episode) {
            drill.figures = Some(figures);
        }
    }

    /// Takes a detector's gas level.
    pub fn handle_gas(&mut self, level: &GasLevel, now: Now) {
        if self.gas.get(&level.uid).map_or(0, |(_, known)| *known) != level.level {
            self.revision += 1;
        }
        self.note_gas(level);
        self.apply_rules(now);
        self.finish(now);
    }

    fn note_gas(&mut self, level: &GasLevel) {
        let zone = self.book.zone(&level.zone).unwrap_or_default();
        if level.level == 0 {
            self.gas.remove(&level.uid);
        } else if self.gas.len() < MAX_DETECTORS || self.gas.contains_key(&level.uid) {
            self.gas.insert(level.uid.clone(), (zone, level.level));
        }
    }

    /// Does what a person asks.
    ///
    /// # Errors
    /// In words, when the person may not, or the state does not allow it; nothing has changed then.
    pub fn handle_action(&mut self, action: Action, actor: &Actor, now: Now) -> Result<Done, Refused> {
        let done = self.act(action, actor, now);
        self.finish(now);
        done
    }

    /// Does what the city asks, where the site has enabled it. The uplink has verified the command.
    ///
    /// # Errors
    /// In words for the answer.
    pub fn handle_command(&mut self, command: CityCommand, now: Now) -> Result<Done, Refused> {
        let done = self.city(command, now);
        self.finish(now);
        done
    }

    /// Takes what became of an order; returns whether it is one that stands.
    pub fn handle_receipt(&mut self, key: &str, receipt: Receipt, now: Now) -> bool {
        let known = self.desk.receipt(key, receipt, now.mono);
        self.tell(now);
        known
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Now) {
        for at in 0..self.fire.len() {
            self.judge_line(at, now);
        }
        self.lapse(now);
        if self.drill.as_ref().is_some_and(|drill| drill.ends <= now.mono) {
            self.close_drill(drill::DrillOutcome::Expired, Cause::Expired, &Actor::gateway(), now);
        }
        for warning in self.warnings.tick(now.mono) {
            self.note_warning(warning, WarningStep::Expired, &Actor::gateway(), now);
        }
        self.service.tick(now.mono);
        self.check_guidance(now);
        self.desk.tick(now.mono);
        self.finish(now);
    }

    /// Returns when [`Site::handle_timeout`] wants to be called, at the latest.
    pub fn poll_timeout(&self) -> Option<Mono> {
        let fire = self.fire.iter().zip(&self.book.fire).filter_map(|(now, input)| now.due(input));
        let proposals = self.proposals.values().filter_map(|proposal| proposal.lapses);
        let drill = self.drill.as_ref().map(|drill| drill.ends);
        let rest = [drill, self.warnings.due(), self.service.due(), self.desk.due(), self.guidance_due()];
        fire.chain(proposals).chain(rest.into_iter().flatten()).min()
    }

    /// Returns what comes out, one at a time.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// Returns a number that changes with whatever must survive a restart.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// Returns a zone's own state; that of the park for a zone that is not known.
    pub fn state_of(&self, zone: &str) -> State {
        self.own(self.book.zone(zone).unwrap_or_default())
    }

    /// Returns the state that holds in a zone: the strongest of its own and of those around it.
    pub fn effective(&self, zone: &str) -> State {
        self.holds(self.book.zone(zone).unwrap_or_default())
    }

    /// Returns the warnings of the city that are valid now: shown, and facts for the gates.
    pub fn warnings(&self) -> Vec<&warning::Standing> {
        self.warnings.iter().collect()
    }

    /// Returns the commissioning of a point or lane; `None` where the configuration has none of this name.
    pub fn service_of(&self, subject: &ServiceSubject) -> Option<ServiceState> {
        self.service.of(&self.book, subject)
    }

    /// Returns the points and lanes whose commissioning is not what the file says.
    pub fn service_changes(&self) -> impl Iterator<Item = (&ServiceSubject, &service::Changed)> {
        self.service.changed()
    }

    fn own(&self, zone: usize) -> State {
        self.zones.get(zone).map(|zone| zone.state).unwrap_or_default()
    }

    fn holds(&self, zone: usize) -> State {
        self.book.up(zone).map(|zone| self.own(zone)).max().unwrap_or_default()
    }

    fn zone_id(&self, zone: usize) -> String {
        self.book.zones.get(zone).map_or_else(|| book::PARK.to_owned(), |zone| zone.id.clone())
    }

    /// Orders what is wanted now, and tells what the parts have to say.
    fn finish(&mut self, now: Now) {
        self.order(now);
        self.tell(now);
        self.preempts = false;
    }

    fn record(&mut self, mode: Mode, record: &SiteRecord, now: Now) {
        self.revision += 1;
        self.outputs.push_back(Output::Document(Document::of(DocumentKind::Site, mode, now.mono, record)));
    }

    fn fact(&mut self, fact: SiteFact) {
        self.outputs.push_back(Output::Fact(fact));
    }

    fn note_warning(&mut self, warning: Warning, step: WarningStep, actor: &Actor, now: Now) {
        self.record(Mode::Real, &SiteRecord::Warning { warning, step, actor: actor.clone() }, now);
    }

    /// Passes on what the desk and the service book have to say.
    fn tell(&mut self, now: Now) {
        for told in self.desk.take() {
            self.tell_order(told, now);
        }
        for told in self.service.take() {
            match told {
                ServiceTold::Record(record) => {
                    self.revision += 1;
                    let document = Document::of(DocumentKind::Service, Mode::Real, now.mono, &record);
                    self.outputs.push_back(Output::Document(document));
                }
                ServiceTold::Overdue { bypass, active } => self.fact(SiteFact {
                    fault: SiteFault::Bypass,
                    subject: bypass.bypass.to_string(),
                    zone: book::PARK.into(),
                    active,
                    zh: format!("联锁“{}”摘除超期未恢复", bypass.interlock),
                    en: format!("the bypass of interlock {} has outlasted its time", bypass.interlock),
                }),
            }
        }
    }

    fn tell_order(&mut self, told: Told, now: Now) {
        let ms = |after: Duration| warning::millis(after);
        match told {
            Told::Give { order, mode, attempt } => {
                if attempt == 1 {
                    self.count_drill(mode, now, |orders| orders.given += 1);
                    let (key, order, at_once) =
                        (order.key.clone(), order.what.clone(), order.urgency == Urgency::AtOnce);
                    self.record(mode, &SiteRecord::Ordered { key, order, at_once, attempt }, now);
                }
                self.outputs.push_back(Output::Order(order));
            }
            Told::Receipt { key, wanted, receipt, after } => {
                self.count_drill(wanted.mode, now, |orders| match receipt {
                    Receipt::Done => orders.done += 1,
                    Receipt::Sent | Receipt::Accepted(_) => orders.sent += 1,
                    Receipt::Failed(_) => orders.failed += 1,
                });
                let record = SiteRecord::Receipt { key, order: wanted.what, receipt, after_ms: ms(after) };
                self.record(wanted.mode, &record, now);
            }
            Told::Unanswered { key, wanted, after } => {
                self.count_drill(wanted.mode, now, |orders| orders.failed += 1);
                let record = SiteRecord::Unanswered { key, order: wanted.what, after_ms: ms(after) };
                self.record(wanted.mode, &record, now);
            }
            Told::Fault { subject, active, why, .. } => {
                let name = subject.name();
                self.revision += 1;
                self.fact(SiteFact {
                    fault: SiteFault::Order,
                    zone: self.zone_of(&subject),
                    active,
                    zh: format!("指令未执行：{name} {why}").trim_end().to_owned(),
                    en: format!("an order was not carried out: {name} {why}").trim_end().to_owned(),
                    subject: name,
                });
            }
        }
    }

    fn zone_of(&self, subject: &Subject) -> String {
        let zone = match subject {
            Subject::Lane(id) => self.book.lanes.iter().find(|lane| lane.id == *id).map(|lane| lane.zone),
            Subject::Output(id) => self.book.signals.iter().find(|signal| signal.output == *id).map(|s| s.zone),
            Subject::Text(..) => None,
        };
        self.zone_id(zone.unwrap_or_default())
    }

    fn count_drill(&mut self, mode: Mode, now: Now, count: impl FnOnce(&mut drill::DrillOrders)) {
        if let Some(drill) = self.drill.as_mut().filter(|_| mode == Mode::Drill) {
            drill.first_order_at.get_or_insert(now.wall);
            count(&mut drill.orders);
        }
    }
}

/// Returns words for a person who has to have one of several roles.
fn one_of(actor: &Actor, roles: &BTreeSet<Role>) -> Result<(), Refused> {
    if roles.iter().any(|role| actor.has(*role)) {
        return Ok(());
    }
    let zh: Vec<&str> = roles.iter().map(|role| role.zh()).collect();
    let en: Vec<&str> = roles.iter().map(|role| role.as_str()).collect();
    Err(Refused::new(
        format!("需要角色之一：{}", zh.join("、")),
        format!("this needs one of the roles: {}", en.join(", ")),
    ))
}

/// A named person with a reason, not the gateway and not a button.
fn named(actor: &Actor, reason: &str) -> Result<(), Refused> {
    let person = matches!(actor.via, Via::Machine | Via::Page) && !actor.name.trim().is_empty();
    if !person {
        return Err(Refused::new("须由具名人员操作", "a named person must do this"));
    }
    if reason.trim().is_empty() {
        return Err(Refused::new("请写明原因", "say why"));
    }
    Ok(())
}
