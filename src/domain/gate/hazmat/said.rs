//! What terminals say beside where they are: that they are heard, which vehicle they are in, whose card is in them, which
//! waybill they carry. What does not agree with what is known of the vehicle is a violation that lasts until it does.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::book::same_plate;
use super::record::{Happened, Phase, Violation, ViolationKind};
use super::waybill::Waybill;
use super::{Hazmat, violation};
use crate::domain::gate::hardware::DriverCard;
use crate::domain::gate::plate::Plate;
use crate::domain::gate::word::{PersonRef, TerminalId, words};
use crate::domain::time::{ClockTrust, Now, days_from_civil};

words! {
    /// What does not agree with what is known of a terminal's vehicle.
    Mismatch {
        /// It is not heard of, while its vehicle is inside.
        Offline = "offline", "终端离线";
        /// The driver's card cannot be read.
        CardUnread = "card_unread", "驾驶员卡读取失败";
        /// His qualification has ended.
        CardExpired = "card_expired", "从业资格过期";
        /// He is not the driver that the waybill names, or nobody that the register knows.
        OtherDriver = "other_driver", "驾驶员与运单不符";
        /// The waybill is not the one with which the vehicle came.
        OtherWaybill = "other_waybill", "终端运单与登记不符";
        /// It says that it is in another vehicle.
        OtherPlate = "other_plate", "终端车牌与登记不符";
    }
}

impl Mismatch {
    fn kind(self) -> ViolationKind {
        match self {
            Self::Offline => ViolationKind::PositionLost,
            Self::CardUnread | Self::CardExpired | Self::OtherDriver => ViolationKind::DriverAlarm,
            Self::OtherWaybill | Self::OtherPlate => ViolationKind::TerminalMismatch,
        }
    }
}

/// What was recorded last of what a terminal said, so that what is said again is recorded once.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct LastSaid {
    card: Option<(DriverCard, Option<PersonRef>)>,
    waybill: Option<String>,
    plate: Option<Plate>,
}

impl Hazmat {
    /// Takes that a terminal is heard again, or not any more. It matters while its vehicle is inside, or the terminal is one
    /// that was handed out.
    pub fn handle_heard(&mut self, terminal: &TerminalId, fixed: Option<&Plate>, on: bool, now: Now) {
        let plate = self.whose(terminal, fixed);
        let inside = plate.as_ref().is_some_and(|plate| self.visit(plate).is_some());
        let matters = inside || self.terminals.contains_key(terminal);
        self.judge(terminal, Mismatch::Offline, !on && matters, plate.as_ref(), now);
    }

    /// Takes which vehicle a terminal says that it is in, as it registers.
    pub fn handle_claim(&mut self, terminal: &TerminalId, fixed: Option<&Plate>, claimed: &Plate, now: Now) {
        let plate = self.whose(terminal, fixed);
        let last = self.said.entry(terminal.clone()).or_default();
        if last.plate.replace(claimed.clone()).as_ref() != Some(claimed) {
            let happened = Happened::TerminalIn { terminal: terminal.clone(), claimed: claimed.clone() };
            self.tell(plate.clone(), None, happened, now);
        }
        let other = plate.as_ref().is_some_and(|plate| !same_plate(plate, claimed));
        self.judge(terminal, Mismatch::OtherPlate, other, plate.as_ref(), now);
    }

    /// Takes a driver's card that was put in or taken out; `person` is whose it is, where the register knows him.
    pub fn handle_card(
        &mut self,
        terminal: &TerminalId,
        fixed: Option<&Plate>,
        card: &DriverCard,
        person: Option<&PersonRef>,
        now: Now,
    ) {
        let plate = self.whose(terminal, fixed);
        let waybill = plate.as_ref().and_then(|plate| self.waybill_of(plate));
        let (number, named) = (waybill.map(|one| one.number.clone()), waybill.map(|one| one.driver.clone()));
        let last = self.said.entry(terminal.clone()).or_default();
        let this = (card.clone(), person.cloned());
        if last.card.replace(this.clone()) != Some(this) {
            let happened = Happened::DriverCard {
                terminal: terminal.clone(),
                inserted: card.inserted,
                read: card.read,
                person: person.cloned(),
                valid_to: card.valid_to.map(|(year, month, day)| format!("{year:04}-{month:02}-{day:02}")),
            };
            self.tell(plate.clone(), number, happened, now);
        }
        let read = card.inserted && card.read;
        let other = read && named.is_some() && named.as_ref() != person;
        self.judge(terminal, Mismatch::CardUnread, card.inserted && !card.read, plate.as_ref(), now);
        self.judge(terminal, Mismatch::CardExpired, read && has_ended(card, now), plate.as_ref(), now);
        self.judge(terminal, Mismatch::OtherDriver, other, plate.as_ref(), now);
    }

    /// Takes the waybill that a terminal has. Its form is the carrier's: it is looked for the number of the one that is known.
    /// The text itself is not recorded: it may name persons.
    pub fn handle_shown(&mut self, terminal: &TerminalId, fixed: Option<&Plate>, text: &str, now: Now) {
        let plate = self.whose(terminal, fixed);
        let expected = plate.as_ref().and_then(|plate| self.waybill_of(plate)).map(|one| one.number.clone());
        let agrees = expected.as_ref().filter(|number| contains(text, number.as_str())).cloned();
        let last = self.said.entry(terminal.clone()).or_default();
        if last.waybill.replace(text.to_owned()).as_deref() != Some(text) {
            let happened = Happened::TerminalWaybill { terminal: terminal.clone(), agrees: agrees.is_some() };
            self.tell(plate.clone(), expected.clone(), happened, now);
        }
        let other = expected.is_some() && agrees.is_none();
        self.judge(terminal, Mismatch::OtherWaybill, other, plate.as_ref(), now);
    }

    /// Returns what does not agree with a terminal's vehicle.
    pub fn mismatches(&self) -> impl Iterator<Item = (&TerminalId, Mismatch)> {
        self.mismatches.keys().map(|(terminal, what)| (terminal, *what))
    }

    /// The vehicle has left, or has given the terminal back: what did not agree is over.
    pub(super) fn end_mismatches(&mut self, plate: &Plate, now: Now) {
        let of = self.mismatches.iter().filter(|(_, of)| of.as_ref().is_some_and(|of| same_plate(of, plate)));
        let over: Vec<_> = of.map(|(key, _)| key.clone()).collect();
        for (terminal, what) in over {
            self.judge(&terminal, what, false, Some(plate), now);
        }
    }

    fn whose(&self, terminal: &TerminalId, fixed: Option<&Plate>) -> Option<Plate> {
        self.bearer(terminal).or(fixed).cloned()
    }

    /// The waybill with which a vehicle is inside, or is to come.
    fn waybill_of(&self, plate: &Plate) -> Option<&Waybill> {
        let entry = match self.visit(plate) {
            Some(visit) => self.waybills.get(visit.waybill.as_ref()?),
            None => self.waybills.of_plate(plate),
        };
        entry.map(|entry| &entry.waybill)
    }

    fn judge(&mut self, terminal: &TerminalId, what: Mismatch, on: bool, plate: Option<&Plate>, now: Now) {
        let key = (terminal.clone(), what);
        if self.mismatches.contains_key(&key) == on {
            return;
        }
        let plate = if on {
            self.mismatches.insert(key, plate.cloned());
            plate.cloned()
        } else {
            // Whose it was when it began: a terminal may have changed hands.
            self.mismatches.remove(&key).flatten()
        };
        let phase = if on { Phase::Begins } else { Phase::Over };
        let subject = Some(what.as_str().to_owned());
        let said = violation(what.kind(), plate, now);
        self.accuse(Violation { phase, subject, terminal: Some(terminal.clone()), ..said }, now);
    }
}

/// Whether a qualification has ended by the day of China, where a clock can be trusted to know it.
fn has_ended(card: &DriverCard, now: Now) -> bool {
    const CHINA_MS: i64 = 8 * 3_600_000;
    let today = now.wall.0.saturating_add(CHINA_MS).div_euclid(86_400_000);
    let last = card.valid_to.map(|(year, month, day)| days_from_civil(i64::from(year), month.into(), day.into()));
    now.trust != ClockTrust::Unsynced && last.is_some_and(|last| last < today)
}

/// Whether a number stands in a text by itself: not as a part of a longer one.
fn contains(text: &str, number: &str) -> bool {
    let whole = |at: usize| {
        let before = text.get(..at).and_then(|text| text.chars().next_back());
        let after = text.get(at + number.len()..).and_then(|text| text.chars().next());
        ![before, after].into_iter().flatten().any(char::is_alphanumeric)
    };
    !number.is_empty() && text.match_indices(number).any(|(at, _)| whole(at))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_found_in_whatever_form_the_carrier_has_and_not_within_another_one() {
        assert!(contains(r#"{"waybill":"340000202503010001"}"#, "340000202503010001"));
        assert!(contains("运单号:340000202503010001;", "340000202503010001"));
        assert!(contains("340000202503010001", "340000202503010001"));
        assert!(!contains("13400002025030100019", "340000202503010001"));
        assert!(!contains("A340000202503010001", "340000202503010001") && !contains("x", ""));
    }
}
