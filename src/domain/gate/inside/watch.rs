//! What of the account deserves an alarm: more inside than may be, stays too long, counts that would be below zero, violations
//! for a person to look at, conflicts. Told when it begins and when it ends; an overstay again while it lasts.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::account::Touched;
use super::event::{Body, EventId, Loose};
use super::passage::Passage;
use super::{Inside, InsideFact, InsideFault, Output, Stock, Subject};
use crate::domain::gate::word::ZoneId;
use crate::domain::time::{Now, Timestamp};

/// What was told, and what is due.
#[derive(Clone, Debug, Default)]
pub(super) struct Watch {
    /// Stays that are limited, by when they are next to be told.
    due: BTreeSet<(Timestamp, Subject, ZoneId)>,
    /// What of them each subject has.
    stays: BTreeMap<Subject, Vec<(Timestamp, ZoneId)>>,
    pub(super) told: BTreeMap<(Subject, ZoneId), Told>,
    over: BTreeSet<(ZoneId, Stock)>,
    negative: BTreeMap<(ZoneId, Stock), u32>,
    review: BTreeSet<Subject>,
    conflicts: usize,
}

/// An overstay that was told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Told {
    /// Since when the subject is there: another stay is told anew.
    pub(super) since: Timestamp,
    /// When it is to be told again.
    pub(super) next: Timestamp,
}

impl Watch {
    pub(super) fn due(&self) -> Option<Timestamp> {
        self.due.first().map(|(at, _, _)| *at)
    }
}

impl Inside {
    /// Looks at what a change touched.
    pub(super) fn look_at(&mut self, touched: &Touched, now: Now) {
        for (zone, stock) in &touched.counters {
            self.look_at_count(zone, *stock);
        }
        for subject in &touched.subjects {
            self.look_at_stays(subject);
        }
        for subject in &touched.marked {
            self.look_at_violations(subject, now);
        }
    }

    /// Looks at everything anew: after a restart, and under other rules.
    pub(super) fn rewatch(&mut self, now: Now) {
        let told = std::mem::take(&mut self.watch.told);
        self.watch = Watch { told, ..Watch::default() };
        let touched = Touched {
            counters: self.account.counters().cloned().collect(),
            subjects: self.account.places().map(|(subject, _)| subject.clone()).collect(),
            marked: self.account.marked(),
        };
        let gone = |(subject, zone): &(Subject, ZoneId)| {
            !self.account.place(subject).is_some_and(|place| place.zones.contains_key(zone))
        };
        let stale: Vec<_> = self.watch.told.keys().filter(|key| gone(key)).cloned().collect();
        self.watch.told.retain(|key, _| !stale.contains(key));
        self.look_at(&touched, now);
        self.tell_conflicts();
    }

    fn look_at_count(&mut self, zone: &ZoneId, stock: Stock) {
        let key = (zone.clone(), stock);
        let (count, clamped) = self.account.count(zone, stock);
        let most = self.rules.zones.get(zone).and_then(|rule| rule.most(stock));
        let over = most.is_some_and(|most| count > most);
        if over != self.watch.over.contains(&key) {
            if over {
                self.watch.over.insert(key.clone());
            } else {
                self.watch.over.remove(&key);
            }
            let most = most.unwrap_or(0);
            let (zh, en) = (
                format!("区域“{zone}”{}超员：{count}，上限 {most}", zh(stock)),
                format!("zone `{zone}`: {count} {}, at most {most} may be", en(stock)),
            );
            self.tell(InsideFault::OverCapacity, name(stock), zone.as_str(), over, zh, en);
        }
        let before = self.watch.negative.get(&key).copied().unwrap_or(0);
        if clamped == before {
            return;
        }
        if clamped == 0 {
            self.watch.negative.remove(&key);
        } else {
            self.watch.negative.insert(key, clamped);
        }
        let (zh, en) = (
            format!("区域“{zone}”{}出多于进 {clamped}，请清点", zh(stock)),
            format!("zone `{zone}`: {clamped} {} more went out than were inside; count anew", en(stock)),
        );
        self.tell(InsideFault::Negative, name(stock), zone.as_str(), clamped > 0, zh, en);
    }

    fn look_at_stays(&mut self, subject: &Subject) {
        for (at, zone) in self.watch.stays.remove(subject).unwrap_or_default() {
            self.watch.due.remove(&(at, subject.clone(), zone));
        }
        let mut stays = Vec::new();
        let mut ended = Vec::new();
        let place = self.account.place(subject);
        for (zone, stay) in place.iter().flat_map(|place| &place.zones) {
            // One gateway tells: the one that let it in, or, of what was counted in, each.
            let ours = stay.through.as_ref().is_none_or(|through| through.gateway == self.source.gateway);
            let rule = self.rules.zones.get(zone).filter(|_| ours);
            let Some(limit) = rule.and_then(|rule| rule.longest(subject, stay.class, stay.with.is_some())) else {
                continue;
            };
            let told = self.watch.told.get(&(subject.clone(), zone.clone())).filter(|told| told.since == stay.since);
            stays.push((told.map_or(stay.since.after(limit), |told| told.next), zone.clone()));
        }
        for ((_, zone), told) in self.watch.told.iter().filter(|((of, _), _)| of == subject) {
            let stay = place.and_then(|place| place.zones.get(zone));
            if stay.is_none_or(|stay| stay.since != told.since) {
                ended.push(zone.clone());
            }
        }
        for zone in ended {
            self.watch.told.remove(&(subject.clone(), zone.clone()));
            let (zh, en) = (format!("{subject} 滞留解除"), format!("{subject} overstays no longer"));
            self.tell(InsideFault::Overstay, &subject.to_string(), zone.as_str(), false, zh, en);
        }
        for (at, zone) in &stays {
            self.watch.due.insert((*at, subject.clone(), zone.clone()));
        }
        if !stays.is_empty() {
            self.watch.stays.insert(subject.clone(), stays);
        }
    }

    pub(super) fn tell_overstays(&mut self, now: Now) {
        let at = self.dial.read(now);
        while let Some((due, subject, zone)) = self.watch.due.first().cloned().filter(|(due, _, _)| *due <= at) {
            self.watch.due.remove(&(due, subject.clone(), zone.clone()));
            let stay = self.account.place(&subject).and_then(|place| place.zones.get(&zone));
            let again = self.rules.zones.get(&zone).map(|rule| rule.overstay_again);
            let (Some(since), Some(again)) = (stay.map(|stay| stay.since), again) else { continue };
            // A pause of zero would never end.
            let next = at.after(again.max(std::time::Duration::from_secs(1)));
            self.watch.told.insert((subject.clone(), zone.clone()), Told { since, next });
            self.look_at_stays(&subject);
            let (zh, en) = (
                format!("{subject} 在“{zone}”滞留，入区时间 {since}"),
                format!("{subject} overstays in `{zone}`, inside since {since}"),
            );
            self.tell(InsideFault::Overstay, &subject.to_string(), zone.as_str(), true, zh, en);
            self.changed();
        }
    }

    fn look_at_violations(&mut self, subject: &Subject, now: Now) {
        let from = self.dial.read(now).before(self.rules.review_within);
        let open = self.account.violations(subject, from).len();
        let due = u32::try_from(open).unwrap_or(u32::MAX) >= self.rules.review_at.max(1);
        if due == self.watch.review.contains(subject) {
            return;
        }
        if due {
            self.watch.review.insert(subject.clone());
        } else {
            self.watch.review.remove(subject);
        }
        let (zh, en) = (
            format!("{subject} 违规 {open} 次，请复核是否列入黑名单"),
            format!("{subject}: {open} violations; decide about the block list"),
        );
        self.tell(InsideFault::Review, &subject.to_string(), "", due, zh, en);
    }

    /// Returns whose violations wait for a person.
    pub fn reviews(&self) -> impl Iterator<Item = &Subject> {
        self.watch.review.iter()
    }

    pub(super) fn tell_conflicts(&mut self) {
        let n = self.conflicts().len();
        if n == self.watch.conflicts {
            return;
        }
        self.watch.conflicts = n;
        let (zh, en) =
            (format!("各网关通行记录有 {n} 处冲突，请核对"), format!("{n} conflicts between records of passages"));
        self.tell(InsideFault::Conflict, "passages", "", n > 0, zh, en);
    }

    pub(super) fn tell_in_doubt(&mut self, passage: &Passage) {
        let (zh, en) = (
            format!("车道“{}”有一次通行去向不明，请核对并更正人数", passage.lane),
            format!("a passage at lane `{}` has an unknown end; check, and correct the count", passage.lane),
        );
        self.tell(InsideFault::InDoubt, passage.passage.as_str(), "", true, zh, en);
    }

    /// What was in doubt is cleared up.
    pub(super) fn tell_settled(&mut self, of: &EventId) {
        let Some(event) = self.log.holding(of).cloned() else { return };
        if let Body::Loose(Loose::InDoubt { passage, .. }) = &event.body {
            let (zh, en) = ("已核对".to_owned(), "cleared up".to_owned());
            self.tell(InsideFault::InDoubt, passage.as_str(), "", false, zh, en);
        }
    }

    fn tell(&mut self, fault: InsideFault, subject: &str, zone: &str, active: bool, zh: String, en: String) {
        let fact = InsideFact { fault, subject: subject.to_owned(), zone: zone.to_owned(), active, zh, en };
        self.outputs.push_back(Output::Fact(fact));
    }
}

/// Returns the stable name of a stock in names of alarms.
fn name(stock: Stock) -> &'static str {
    match stock {
        Stock::Persons => "persons",
        Stock::Vehicles(class) => class.as_str(),
    }
}

fn zh(stock: Stock) -> &'static str {
    match stock {
        Stock::Persons => "人员",
        Stock::Vehicles(class) => class.zh(),
    }
}

fn en(stock: Stock) -> &'static str {
    match stock {
        Stock::Persons => "persons",
        Stock::Vehicles(class) => class.as_str(),
    }
}
