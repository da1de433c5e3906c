//! Where what one machine gives out belongs: to the store, to the world, to another machine.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::super::alarm::view::{Fact, Output as FromAlarms};
use super::super::daybook::{self, DailyReport, Delivery};
use super::super::document::{Document, DocumentKind};
use super::super::id::PointUid;
use super::super::order::{Order, OrderKind, Receipt, Urgency};
use super::super::record::Mode;
use super::super::site::{self, GasLevel, SiteRecord};
use super::super::time::Now;
use super::channels::{Message, Placed, keep, place};
use super::{Danger, LOOK_EVERY, MAX_AWAITED, Machine, Telling, told};

impl Danger {
    /// Carries what the machines gave out to where it belongs, until nothing is left.
    pub fn settle(&mut self, now: Now) {
        loop {
            if let Some(output) = self.alarms.poll_output() {
                self.take_from_alarms(output, now);
            } else if let Some(output) = self.site.poll_output() {
                self.take_from_site(output, now);
            } else if let Some(output) = self.daybook.poll_output() {
                self.take_from_daybook(output, now);
            } else {
                return;
            }
        }
    }

    pub(super) fn take_from_alarms(&mut self, output: FromAlarms, now: Now) {
        match output {
            FromAlarms::Alarm { at, record } => {
                self.tell(record.document(at));
                if let Some(fact) = told::alarm_fact(&record) {
                    self.daybook.handle(fact, at, now);
                }
            }
            FromAlarms::Document(document) => self.tell(document),
            FromAlarms::Order(order) => self.place(Machine::Alarms, order, now),
            FromAlarms::Fact(Fact::Gas { zone, detectors, .. }) => self.gas_of(zone, detectors, now),
        }
    }

    pub(super) fn take_from_site(&mut self, output: site::Output, now: Now) {
        match output {
            site::Output::Document(document) => {
                let record = serde_json::from_str::<SiteRecord>(&document.json).ok();
                if let Some(fact) = record.and_then(|record| told::site_fact(record, document.mode)) {
                    self.daybook.handle(fact, document.at, now);
                }
                self.tell(document);
            }
            site::Output::Order(order) => self.place(Machine::Site, order, now),
            site::Output::Fact(fact) => self.fault((&fact.subject, fact.fault.as_str()), fact.active, now),
        }
    }

    pub(super) fn take_from_daybook(&mut self, output: daybook::Output, now: Now) {
        match output {
            daybook::Output::Document(document) => self.tell_alone(document, None),
            daybook::Output::Report(delivery, document) => self.tell_alone(document, Some(delivery)),
            daybook::Output::Order(order) => self.place(Machine::Daybook, order, now),
            daybook::Output::Flag(flag) => self.fault((&flag.subject, flag.kind.as_str()), flag.active, now),
        }
    }

    pub(super) fn tell_alone(&mut self, document: Document, delivery: Option<Delivery>) {
        self.alone = self.alone.wrapping_add(1);
        self.changes = self.changes.wrapping_add(1);
        self.documents.push_back(Telling { document, delivery });
    }

    /// Looks for what is more than a person can take in: the day's account counts it.
    pub(super) fn look(&mut self, now: Now) {
        if now.mono < self.look_at {
            return;
        }
        self.look_at = now.mono + LOOK_EVERY;
        let counts = self.alarms.counts(now);
        if counts.flood && !self.seen.0 {
            self.daybook.handle(daybook::Fact::AlarmFlood, now.mono, now);
        }
        for _ in self.seen.1..counts.chattering {
            self.daybook.handle(daybook::Fact::Chattering, now.mono, now);
        }
        self.seen = (counts.flood, counts.chattering);
    }

    /// The account of the open day, so far; while nobody knows the day, of the time since the start.
    pub(super) fn today(&self, now: Now) -> Option<Box<DailyReport>> {
        self.daybook.so_far(now).map(Box::new)
    }

    pub(super) fn gas_of(&mut self, zone: Arc<str>, detectors: Vec<(Arc<str>, u8)>, now: Now) {
        let levels: BTreeMap<PointUid, u8> =
            detectors.into_iter().map(|(tag, level)| (PointUid::new(&*tag), level)).collect();
        let gone = self.gas.remove(&zone).unwrap_or_default().into_iter().filter(|uid| !levels.contains_key(uid));
        let gone: Vec<_> = gone.map(|uid| (uid, 0)).collect();
        self.gas.insert(Arc::clone(&zone), levels.keys().cloned().collect());
        for (uid, level) in gone.into_iter().chain(levels) {
            self.site.handle_gas(&GasLevel { uid, zone: zone.to_string(), level }, now);
        }
    }

    pub(super) fn fault(&mut self, (subject, word): (&str, &str), active: bool, now: Now) {
        if let Some((id, active)) = self.faults.set(subject, word, active) {
            self.alarms.handle_external(&id, u8::from(active), now);
        }
    }

    pub(super) fn tell(&mut self, document: Document) {
        self.changes = self.changes.wrapping_add(1);
        self.documents.push_back(Telling { document, delivery: None });
    }

    pub(super) fn place(&mut self, machine: Machine, order: Order, now: Now) {
        if let OrderKind::Lane { lane, rule } = &order.what
            && self.rules.lanes.contains(lane)
        {
            return self.order_lane(&order.key, lane, *rule);
        }
        match place(&order, &self.rules.channels, now.wall, now.mono) {
            Placed::Write(write) => {
                self.awaits(machine, &write.key);
                match write.urgency {
                    Urgency::AtOnce => self.at_once.push_back(write),
                    Urgency::AfterCommit => self.orders.push_back(write),
                }
            }
            Placed::Shown(notice, receipt) => {
                keep(&mut self.notices, notice);
                self.answer(machine, &order.key, &receipt, now);
            }
            Placed::Sent => {
                if let OrderKind::Message { channel, zh, en, .. } = &order.what {
                    let message = Message { key: &order.key, channel, zh, en };
                    self.tell(Document::of(DocumentKind::Message, Mode::Real, now.mono, &message));
                }
                self.answer(machine, &order.key, &Receipt::Sent, now);
            }
            Placed::Text => self.place_text(machine, order, now),
            Placed::Failed(why) => self.answer(machine, &order.key, &Receipt::Failed(why), now),
        }
    }

    /// Waits for what becomes of an order.
    pub(super) fn awaits(&mut self, machine: Machine, key: &str) {
        self.awaited.insert(key.to_owned(), machine);
        self.awaited_order.push_back(key.to_owned());
        if self.awaited_order.len() > MAX_AWAITED
            && let Some(oldest) = self.awaited_order.pop_front()
        {
            self.awaited.remove(&oldest);
        }
    }

    pub(super) fn receipt(&mut self, key: &str, receipt: &Receipt, now: Now) {
        if let Some(machine) = self.awaited.remove(key) {
            self.awaited_order.retain(|awaited| awaited != key);
            self.answer(machine, key, receipt, now);
        }
    }

    pub(super) fn answer(&mut self, machine: Machine, key: &str, receipt: &Receipt, now: Now) {
        match machine {
            Machine::Alarms => self.alarms.handle_receipt(key, receipt, now),
            Machine::Site => {
                self.site.handle_receipt(key, receipt.clone(), now);
            }
            // A message of the daybook is said once; its channel's failure is an alarm of the channel.
            Machine::Daybook => {}
            Machine::Test => self.tested(key, receipt, now),
        }
    }
}
