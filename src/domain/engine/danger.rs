//! What the engine hands to [`Danger`] and takes from it: readings before report by exception, links, actions, receipts;
//! documents, which become records, and orders.

use std::collections::BTreeMap;
use std::time::Duration;

use super::super::actor::{Actor, Refused};
use super::super::audit::Deed;
use super::super::danger::gates::{GateFact, LaneOrder};
use super::super::danger::{Action, ChannelState, Danger, Done, Recorded, Saved, Telling, Text, Texts};
use super::super::daybook::{CoverageFact, DailyReport, Date, Delivery, Fact, StoreAccount};
use super::super::document::Document;
use super::super::field_event::LinkState;
use super::super::id::PointUid;
use super::super::order::{Order, Receipt};
use super::super::reading::{Reading, Readings};
use super::super::registry::Commissioning;
use super::super::site::CityCommand;
use super::super::site::drill::Figures;
use super::super::time::{Mono, Now};
use super::{Body, Boot, Coverage, Engine, Record};

/// How often the whole active set is recorded, beside each connect and each request (`design.md`, alarm records).
pub const ACTIVE_SET_EVERY: Duration = Duration::from_secs(3600);

impl Engine {
    /// Takes back what stood before a restart, before the first input. Returns what could not be read, for the log.
    pub fn restore(&mut self, saved: &Texts, later: &[Recorded], now: Now) -> Vec<String> {
        let trouble = self.danger.restore(saved, later, now);
        if let Some(Boot { last_seen, off_ms, clean, .. }) = self.booted.take() {
            self.note(Fact::Boot { last_seen, off: off_ms.map(Duration::from_millis), clean }, now);
        }
        trouble
    }

    /// Does what somebody asks of the alarms, the site or the daybook.
    ///
    /// # Errors
    ///
    /// Why not, in words; the refusal is in the audit.
    pub fn handle_action(&mut self, action: &Action, actor: &Actor, now: Now) -> Result<Done, Refused> {
        self.look_at_clock(now);
        self.danger.handle_action(action, actor, now)
    }

    /// Refuses what somebody asks, and puts that into the audit.
    ///
    /// # Errors
    ///
    /// Always: these words.
    pub fn refuse_action(&mut self, action: &Action, actor: &Actor, why: Refused, now: Now) -> Result<Done, Refused> {
        self.look_at_clock(now);
        self.danger.refuse_action(action, actor, &why, now);
        Err(why)
    }

    /// Does what the city asks of the site, where the site has enabled it. The uplink has verified the command.
    ///
    /// # Errors
    ///
    /// Why not, in words for the answer; the refusal is in the audit.
    pub fn handle_city(&mut self, command: CityCommand, now: Now) -> Result<Done, Refused> {
        self.look_at_clock(now);
        self.danger.handle_city(command, now)
    }

    /// Puts into the audit what was done elsewhere.
    pub fn handle_deed(&mut self, deed: Deed, now: Now) {
        self.look_at_clock(now);
        self.danger.handle_deed(deed, now);
    }

    /// Records a document that another machine made.
    pub fn handle_document(&mut self, document: Document, now: Now) {
        self.look_at_clock(now);
        self.danger.note_document(&document, now);
        let Document { kind, mode, at, json } = document;
        self.push_at(kind.stream(), at, self.last_look, Body::Document { kind, mode, json });
    }

    /// Takes what became of an order.
    pub fn handle_receipt(&mut self, key: &str, receipt: &Receipt, now: Now) {
        self.look_at_clock(now);
        self.danger.handle_receipt(key, receipt, now);
    }

    /// Takes what a watched channel says of itself.
    pub fn handle_channel(&mut self, channel: &str, state: ChannelState, now: Now) {
        self.look_at_clock(now);
        self.danger.handle_channel(channel, state, now);
    }

    /// Takes whether the store writes.
    pub fn handle_store(&mut self, healthy: bool, now: Now) {
        self.look_at_clock(now);
        self.danger.handle_store(healthy, now);
    }

    /// Takes whether the register of the gates is whole, and takes changes.
    pub fn handle_register(&mut self, good: bool, now: Now) {
        self.look_at_clock(now);
        self.danger.handle_register(good, now);
    }

    /// Records the whole active set.
    pub fn handle_active_set(&mut self, now: Now) {
        self.look_at_clock(now);
        self.next_active_set = now.mono + ACTIVE_SET_EVERY;
        self.danger.tell_active_set(now);
    }

    /// Takes something of the gates that deserves an alarm, or no longer does.
    pub fn handle_gate_fact(&mut self, fact: GateFact, now: Now) {
        self.look_at_clock(now);
        self.danger.handle_gate_fact(fact, now);
    }

    /// Takes how the muster of a drill stands, for its report.
    pub fn handle_figures(&mut self, episode: &str, figures: Figures) {
        self.danger.handle_figures(episode, figures);
    }

    /// Returns what the gates ask of danger.
    pub fn danger(&self) -> &Danger {
        &self.danger
    }

    /// Puts a message of the gates on the page.
    pub fn tell_people(&mut self, zh: String, en: String, now: Now) {
        self.danger.tell_people(zh, en, now);
    }

    /// Returns the next order of the site for a lane that this gateway moves, to be drained after every input.
    pub fn poll_lane_order(&mut self) -> Option<LaneOrder> {
        self.danger.poll_lane_order()
    }

    /// Returns the next order to be carried out; those of life first. To be drained before [`Engine::poll_output`].
    pub fn poll_order(&mut self) -> Option<Order> {
        self.danger.poll_order()
    }

    /// Returns the next text for telephones; to be drained with [`Engine::poll_order`].
    pub fn poll_text(&mut self) -> Option<Text> {
        self.danger.poll_text()
    }

    /// Returns two numbers: one changes with what must survive a restart, one with what must be saved at once, because
    /// no record brings it back.
    pub fn danger_revisions(&self) -> (u64, u64) {
        self.danger.revisions()
    }

    /// Returns the points whose commissioning people have changed against the point table.
    pub fn points_in_service(&self) -> BTreeMap<PointUid, Commissioning> {
        self.danger.points_in_service()
    }

    /// Returns what must survive a restart.
    pub fn danger_saved(&self, now: Now) -> Saved {
        self.danger.saved(now)
    }

    /// Returns when danger has something to do.
    pub(super) fn danger_timeout(&self) -> Mono {
        self.danger.poll_timeout().unwrap_or(self.next_tick).min(self.next_active_set)
    }

    /// Lets time pass for danger.
    pub(super) fn danger_tick(&mut self, now: Now) {
        if now.mono >= self.next_active_set {
            self.handle_active_set(now);
        }
        if self.danger.poll_timeout().is_some_and(|due| due <= now.mono) {
            self.danger.handle_timeout(now);
        }
    }

    /// Hands readings of a device in, as they stand from `at` on.
    pub(super) fn endanger(&mut self, index: usize, readings: &[(u16, Reading)], at: Mono, now: Now) {
        let readings = readings.iter().map(|(ordinal, reading)| (*ordinal, reading));
        match self.devices.get(index).and_then(|device| device.judge.as_ref()) {
            Some(judge) => {
                let state = |ordinal: u16| judge.state(ordinal).map(|(state, _)| state);
                let readings = readings.map(|(ordinal, reading)| (ordinal, reading, state(ordinal)));
                self.danger.handle_readings(index, readings, at, now);
            }
            None => {
                let readings = readings.map(|(ordinal, reading)| (ordinal, reading, None));
                self.danger.handle_readings(index, readings, at, now);
            }
        }
        self.danger.settle(now);
    }

    /// Hands in everything that stands: after a new configuration.
    pub(super) fn endanger_all(&mut self, now: Now) {
        for index in 0..self.devices.len() {
            let Some(device) = self.devices.get(index) else { continue };
            if let LinkState::Up | LinkState::Down { .. } = device.link {
                self.danger.handle_link(index, device.link == LinkState::Up, now);
            }
            let points = (0_u16..).zip(&device.points);
            let mut standing: BTreeMap<Mono, Readings> = BTreeMap::new();
            for (at, cell) in points.filter_map(|(o, p)| Some((p.at?, (o, p.reading?)))) {
                standing.entry(at).or_default().push(cell);
            }
            for (at, readings) in standing {
                self.endanger(index, &readings, at, now);
            }
        }
    }

    /// Takes the store's account of itself: once a minute.
    pub fn handle_account(&mut self, account: StoreAccount, now: Now) {
        self.look_at_clock(now);
        self.danger.handle_account(account, now);
    }

    /// Takes the number under which a followed report was recorded ([`Engine::poll_delivery`]).
    pub fn handle_recorded(&mut self, delivery: &Delivery, seq: u64) {
        self.danger.handle_recorded(delivery, seq);
    }

    /// Takes which numbers of the report stream the platform has stored.
    pub fn handle_delivered(&mut self, stored: &dyn Fn(u64) -> bool, now: Now) {
        self.look_at_clock(now);
        self.danger.handle_delivered(stored, now);
    }

    /// Returns the newest version of a day's report, or, of a day that is not reported yet, its account so far.
    pub fn report(&self, day: Option<Date>, now: Now) -> Option<DailyReport> {
        self.danger.report(day, now)
    }

    /// Returns the report that the record just polled is, where its way to the platform is followed.
    pub fn poll_delivery(&mut self) -> Option<Delivery> {
        self.delivery.take()
    }

    /// Puts something into the day's account.
    pub(super) fn note(&mut self, fact: Fact, now: Now) {
        self.danger.handle_fact(fact, now.mono, now);
    }

    /// Puts what was due and what came of a device into it.
    pub(super) fn note_coverage(&mut self, coverage: &Coverage, span: Duration, now: Now) {
        let Some(device) = self.registry.devices.get(usize::from(coverage.device)) else { return };
        let Coverage { due, ok, bad, skipped, .. } = *coverage;
        let device = device.id.to_string();
        self.note(Fact::Coverage(CoverageFact { device, span, due, ok, bad, skipped }), now);
    }

    /// Makes a record of the next word of danger, where there is one.
    pub(super) fn next_document(&mut self) -> Option<Record> {
        let Telling { document, delivery } = self.danger.poll_document()?;
        let Document { kind, mode, at, json } = document;
        self.delivery = delivery;
        self.push_at(kind.stream(), at, self.last_look, Body::Document { kind, mode, json });
        self.outputs.pop_back()
    }
}
