//! Alarms of what the other machines say of themselves: a broken line of the fire linkage, an order that was not carried out,
//! a duty check without an answer, a store that does not write. Nobody configures them; each is an alarm all the same.
//!
//! A fault of something that the configuration names has an alarm of its own, `<subject>.<word>`. What comes and goes
//! (proposals, bypasses, hazards, accidents) shares one for each word, active while there is any.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::super::alarm::severity::{Class, Priority, Shelving};
use super::super::alarm::spec::{AlarmBook, AlarmSpec, Condition, Level, Subject};
use super::super::record::Mode;
use super::super::site::book::SiteBook;

/// The fault of the gateway itself, for [`Faults::set`]: that the store does not write.
pub(super) const STORE: (&str, &str) = ("gateway", "store");
/// The same, that the register of the gates is damaged or does not take changes.
pub(super) const REGISTER: (&str, &str) = ("gateway", "register");

/// Words of faults with their priority and what they say: Chinese, English.
const WORDS: [(&str, Class, Priority, &str, &str); 12] = [
    ("fire_line", Class::Equipment, Priority::Orange, "消防联动线路故障", "the line of the fire linkage is broken"),
    ("key", Class::Equipment, Priority::Yellow, "硬按钮读不到", "a hard key cannot be read"),
    ("order", Class::Equipment, Priority::Orange, "指令未执行", "an order was not carried out"),
    ("proposal", Class::System, Priority::Red, "有园区状态提议待确认", "a state of the site is proposed and waits"),
    ("bypass", Class::System, Priority::Yellow, "联锁摘除超时", "a bypass of an interlock has outlasted its time"),
    ("duty_unanswered", Class::System, Priority::Yellow, "查岗无应答", "a duty check was not answered"),
    ("duty_not_taken", Class::System, Priority::Yellow, "班次无人接班", "nobody took over the shift"),
    ("hazard_overdue", Class::System, Priority::Yellow, "隐患整改逾期", "a hidden hazard is overdue"),
    (
        "accident_first_soon",
        Class::System,
        Priority::Orange,
        "事故首报时限将到",
        "the first accident report is due soon",
    ),
    ("accident_first_late", Class::System, Priority::Red, "事故首报逾期", "the first accident report is late"),
    ("store", Class::System, Priority::Orange, "存储不可写", "the store does not write"),
    (
        "register",
        Class::System,
        Priority::Orange,
        "登记册受损或不能保存，须重新导入或由平台整表重发",
        "the register is damaged or cannot be stored: import its tables, or have them sent whole",
    ),
];

/// Adds the alarms of these faults to a book.
pub(super) fn add_to(book: &mut AlarmBook, site: &SiteBook) {
    let known: BTreeSet<Arc<str>> = book.alarms.iter().map(|alarm| alarm.id.clone()).collect();
    // Whoever is told of the gateway's other troubles is told of these.
    let ladder = book.alarms.iter().find(|alarm| alarm.class == Class::System).and_then(|alarm| alarm.escalation);
    let mut add = |subject: &str, name: &str, word: &str, zone: Option<&str>| {
        let Some((word, class, priority, zh, en)) = WORDS.iter().find(|(known, ..)| *known == word) else { return };
        let id: Arc<str> = id_of(subject, word).into();
        if known.contains(&id) {
            return;
        }
        let label = if name.is_empty() { String::new() } else { format!("{name} ") };
        let level = Level { limit: None, deadband: 0.0, priority: *priority, shelving: Shelving::Allowed };
        book.alarms.push(AlarmSpec {
            id,
            subject: Subject::Gateway,
            condition: Condition::External,
            class: *class,
            levels: vec![level],
            on_delay: Duration::ZERO,
            off_delay: Duration::ZERO,
            latching: false,
            group: None,
            suppressed_when: None,
            escalation: ladder,
            annunciators: Vec::new(),
            hazard_source: None,
            zone: zone.map(Into::into),
            text: format!("{label}{zh} | {en}"),
            likely_cause: String::new(),
            response: String::new(),
            mode: Mode::Real,
        });
    };
    let zone = |at: usize| site.zones.get(at).map(|zone| zone.id.as_str());
    for input in &site.fire {
        add(&input.id, &input.name, "fire_line", zone(input.zone));
    }
    for key in &site.keys {
        add(&key.id, &key.name, "key", zone(key.zone));
    }
    for lane in &site.lanes {
        add(&format!("lane.{}", lane.id), &lane.name, "order", zone(lane.zone));
    }
    let outputs: BTreeSet<_> = site.signals.iter().map(|signal| (signal.output.as_str(), signal.zone)).collect();
    for (output, at) in outputs {
        add(&format!("output.{output}"), output, "order", zone(at));
    }
    for channel in &site.channels {
        add(&format!("channel.{}", channel.id), &channel.id, "order", None);
    }
    for (word, ..) in WORDS {
        let own = [STORE, REGISTER].into_iter().find(|(_, own)| *own == word);
        let subject = own.map_or("site", |(gateway, _)| gateway);
        add(subject, "", word, None);
    }
}

fn id_of(subject: &str, word: &str) -> String {
    format!("{subject}.{word}")
}

/// Which faults stand, by alarm: an alarm is active while one of its subjects is.
#[derive(Debug, Default)]
pub(super) struct Faults {
    known: BTreeSet<Arc<str>>,
    standing: BTreeMap<String, BTreeSet<String>>,
}

impl Faults {
    /// Takes over which alarms there are.
    pub(super) fn install(&mut self, book: &AlarmBook) {
        let external = book.alarms.iter().filter(|alarm| alarm.condition == Condition::External);
        self.known = external.map(|alarm| alarm.id.clone()).collect();
        let Self { known, standing } = self;
        standing.retain(|id, _| known.contains(id.as_str()));
    }

    /// Returns the alarms of which no fault stands.
    pub(super) fn silent(&self) -> Vec<Arc<str>> {
        let stands = |id: &&Arc<str>| self.standing.get(&***id).is_some_and(|subjects| !subjects.is_empty());
        self.known.iter().filter(|id| !stands(id)).cloned().collect()
    }

    /// Notes a fault. Returns the alarm's id and whether it is active now, where that changed.
    pub(super) fn set(&mut self, subject: &str, word: &str, active: bool) -> Option<(String, bool)> {
        let own = id_of(subject, word);
        let id = if self.known.contains(own.as_str()) { own } else { id_of("site", word) };
        let subjects = self.standing.entry(id.clone()).or_default();
        let was = !subjects.is_empty();
        if active {
            subjects.insert(subject.to_owned());
        } else {
            subjects.remove(subject);
        }
        let is = !subjects.is_empty();
        (was != is).then_some((id, is))
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::id::PointUid;
    use super::super::super::site::book::Key;
    use super::super::super::site::state::State;
    use super::*;

    fn book() -> AlarmBook {
        let key = Key {
            id: "key-1".into(),
            name: "中控室按钮".into(),
            point: PointUid::new("u"),
            turned: true,
            zone: 0,
            state: State::Evacuate,
        };
        let site = SiteBook { keys: vec![key], ..SiteBook::default() };
        let mut book = AlarmBook::default();
        add_to(&mut book, &site);
        book
    }

    #[test]
    fn every_fault_has_an_alarm_that_a_book_may_contain() {
        let book = book();
        assert_eq!(book.problems(), []);
        let ids: Vec<&str> = book.alarms.iter().map(|alarm| &*alarm.id).collect();
        for id in ["key-1.key", "channel.page.order", "site.proposal", "site.duty_unanswered", "gateway.store"] {
            assert!(ids.contains(&id), "{id}: {ids:?}");
        }
    }

    #[test]
    fn a_named_subject_has_its_own_alarm_and_those_that_come_and_go_share_one() {
        let mut faults = Faults::default();
        faults.install(&book());
        assert_eq!(faults.set("key-1", "key", true), Some(("key-1.key".into(), true)));
        assert_eq!(faults.set("7", "proposal", true), Some(("site.proposal".into(), true)));
        assert_eq!(faults.set("8", "proposal", true), None);
        assert_eq!(faults.set("7", "proposal", false), None);
        assert_eq!(faults.set("8", "proposal", false), Some(("site.proposal".into(), false)));
        assert_eq!(faults.set("8", "proposal", false), None);
    }
}
