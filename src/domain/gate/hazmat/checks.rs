//! What a loader and a guard look at before a hazmat vehicle is taken: the five checks (五必查, rule 34), placards and the
//! safety card (rule 35). The texts are configuration; each item is passed, failed, or not answered, and not answered is never
//! passed.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::kept::Line;
use crate::domain::gate::word::WaybillNo;
use crate::domain::time::{ClockTrust, Timestamp};

/// Items of the list.
pub const MAX_ITEMS: usize = 32;

/// One item of the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckItem {
    /// Its id, such as `papers`.
    pub id: String,
    /// What is looked at, in Chinese.
    pub zh: String,
    /// In English.
    pub en: String,
}

/// What somebody found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// Passed or failed.
    pub passed: bool,
    /// Who looked.
    pub by: String,
    /// When.
    pub at: Timestamp,
    /// How far the clock could be trusted then.
    pub clock: ClockTrust,
    /// What he wrote about it.
    #[serde(default)]
    pub note: String,
}

/// The answers by waybill and item.
#[derive(Clone, Debug, Default)]
pub struct Checks {
    answers: BTreeMap<WaybillNo, BTreeMap<String, Answer>>,
    /// Waybills whose answers differ from what was kept.
    changed: BTreeSet<WaybillNo>,
}

/// Returns the items that the shipped configuration has. The first five are Art. 31 of 令 2019-29 as far as its text is
/// known; a site puts its own words.
pub fn default_items() -> Vec<CheckItem> {
    let item = |id: &str, zh: &str, en: &str| CheckItem { id: id.into(), zh: zh.into(), en: en.into() };
    vec![
        item("vehicle_papers", "车辆行驶证、道路运输证有效", "vehicle licence and road transport permit are valid"),
        item("people_papers", "驾驶员、押运员资格证有效", "driver and escort hold valid qualifications"),
        item("inspection", "车辆、罐体在检验有效期内", "vehicle and tank are inside their inspection validity"),
        item("goods", "所装货物与运单一致", "the goods agree with the waybill"),
        item("tank_medium", "货物在罐体适装介质列表内", "the goods are among the approved media of the tank"),
        item("placards", "标志灯、标志牌符合 GB 13392", "lamp and placards are as GB 13392 asks"),
        item("safety_card", "随车携带安全卡", "the safety card is on board"),
    ]
}

impl Checks {
    /// Takes an answer; a newer one stands instead of an older one (the older one was recorded).
    pub fn answer(&mut self, number: &WaybillNo, item: &str, answer: Answer) {
        self.answers.entry(number.clone()).or_default().insert(item.to_owned(), answer);
        self.changed.insert(number.clone());
    }

    /// Returns how what has changed since the last call stands now. What is forgotten goes with its waybill.
    pub fn take_changes(&mut self) -> Vec<Line> {
        let changed = std::mem::take(&mut self.changed).into_iter();
        changed.filter_map(|number| Some((self.answers.get(&number)?.clone(), number))).map(told).collect()
    }

    /// Takes back what was kept.
    pub(super) fn recall(&mut self, number: WaybillNo, answers: BTreeMap<String, Answer>) {
        self.answers.insert(number, answers);
    }

    /// Returns what was answered for a waybill, by item.
    pub fn of(&self, number: &WaybillNo) -> Option<&BTreeMap<String, Answer>> {
        self.answers.get(number)
    }

    /// Returns the items that failed, and those that nobody has answered. Without a waybill nothing was answered.
    pub fn standing(&self, items: &[CheckItem], number: Option<&WaybillNo>) -> (BTreeSet<String>, BTreeSet<String>) {
        let answers = number.and_then(|number| self.answers.get(number));
        let answer = |item: &CheckItem| answers.and_then(|answers| answers.get(&item.id)).map(|answer| answer.passed);
        let with = |wanted: Option<bool>| {
            items.iter().filter(|item| answer(item) == wanted).map(|item| item.id.clone()).collect()
        };
        (with(Some(false)), with(None))
    }

    /// Forgets the answers to waybills that are no longer kept; they were recorded.
    pub fn keep_only(&mut self, known: impl Fn(&WaybillNo) -> bool) {
        self.answers.retain(|number, _| known(number));
    }
}

fn told((answers, number): (BTreeMap<String, Answer>, WaybillNo)) -> Line {
    Line::Checks { number, answers }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_item_is_passed_failed_or_not_answered() {
        let items = default_items();
        let (one, two) = (WaybillNo::new("W1"), WaybillNo::new("W2"));
        let answer = |passed| Answer {
            passed,
            by: "张三".into(),
            at: Timestamp(0),
            clock: ClockTrust::Synced,
            note: String::new(),
        };
        let mut checks = Checks::default();
        checks.answer(&one, "goods", answer(false));
        checks.answer(&one, "placards", answer(true));
        let (failed, open) = checks.standing(&items, Some(&one));
        assert_eq!(failed, ["goods".to_owned()].into());
        assert_eq!(open.len(), 5);
        assert!(!open.contains("placards"));
        checks.answer(&one, "goods", answer(true));
        assert_eq!(checks.standing(&items, Some(&one)).0, BTreeSet::new());
        assert_eq!(checks.standing(&items, Some(&two)).1.len(), 7, "another waybill has its own");
        assert_eq!(checks.standing(&items, None).1.len(), 7);
    }
}
