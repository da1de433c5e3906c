//! What a terminal says beside where it is and what it alarms: that it is connected, a driver's card, an electronic waybill.
//! All of it is a word of the terminal: it is on record and may accuse, and never lets anything in.

use super::Hazmat;
use super::map::Local;
use super::record::{Happened, ViolationKind};
use crate::domain::gate::hardware::DriverCard;
use crate::domain::gate::plate::Plate;
use crate::domain::gate::word::{TerminalId, WaybillNo};
use crate::domain::time::{Now, civil, days_from_civil};

/// Characters of a terminal's own waybill that are recorded: twice what the longest form that was seen has. The rest is cut.
const MAX_TEXT: usize = 2_000;

/// What a driver's card accuses of, as subject of [`ViolationKind::DriverAlarm`].
const CARD_EXPIRED: &str = "card_expired";
const CARD_UNREAD: &str = "card_unread";

impl Hazmat {
    /// Takes that a terminal is connected, or is no longer. Whose it is: as [`Hazmat::handle_position`]. Recorded for what is
    /// inside or expected; the rest of the carriers' fleets is no business of the park.
    pub fn handle_terminal_line(&mut self, terminal: &TerminalId, fixed: Option<&Plate>, online: bool, now: Now) {
        let plate = self.bearer(terminal).or(fixed).cloned();
        if self.is_awaited(terminal, plate.as_ref()) {
            let waybill = self.waybill_of(plate.as_ref());
            self.tell(plate, waybill, Happened::TerminalLine { terminal: terminal.clone(), online }, now);
        }
    }

    /// Takes that a driver put his card in, or took it out. A card that cannot be read, or whose qualification is over on the
    /// park's day, accuses; with a clock that cannot be trusted (`local` `None`) nothing is said of its end.
    pub fn handle_driver_card(
        &mut self,
        terminal: &TerminalId,
        fixed: Option<&Plate>,
        card: &DriverCard,
        local: Option<Local>,
        now: Now,
    ) {
        let plate = self.bearer(terminal).or(fixed).cloned();
        if !self.is_awaited(terminal, plate.as_ref()) {
            return;
        }
        let until = card.valid_to.and_then(|(year, month, day)| day_of(year, month, day));
        let valid = until.zip(local).map(|(until, today)| today.day <= until);
        let happened =
            Happened::DriverCard { terminal: terminal.clone(), inserted: card.inserted, read: card.read, valid };
        let waybill = self.waybill_of(plate.as_ref());
        self.tell(plate.clone(), waybill, happened, now);
        let wrong = match (card.inserted, card.read, valid) {
            (true, false, _) => Some(CARD_UNREAD),
            (true, true, Some(false)) => Some(CARD_EXPIRED),
            (true, true, _) | (false, ..) => None,
        };
        if let Some(wrong) = wrong {
            let said = super::violation(ViolationKind::DriverAlarm, plate, now);
            let (subject, terminal) = (Some(wrong.to_owned()), Some(terminal.clone()));
            self.accuse(super::Violation { subject, terminal, ..said }, now);
        }
    }

    /// Takes the electronic waybill that a terminal has. Its form is the carrier's: it is recorded with whether it names the
    /// waybill that is known here, and decides nothing.
    pub fn handle_terminal_waybill(&mut self, terminal: &TerminalId, fixed: Option<&Plate>, text: &str, now: Now) {
        let plate = self.bearer(terminal).or(fixed).cloned();
        if !self.is_awaited(terminal, plate.as_ref()) {
            return;
        }
        let waybill = self.waybill_of(plate.as_ref());
        let names_ours = waybill.as_ref().map(|number| text.contains(number.as_str()));
        let text = text.chars().take(MAX_TEXT).collect();
        self.tell(plate, waybill, Happened::TerminalWaybill { terminal: terminal.clone(), text, names_ours }, now);
    }

    /// Whether a terminal was handed out, or its vehicle is inside or has a waybill that is open here.
    fn is_awaited(&self, terminal: &TerminalId, plate: Option<&Plate>) -> bool {
        self.terminals.contains_key(terminal)
            || plate.is_some_and(|plate| self.visit(plate).is_some())
            || self.waybill_of(plate).is_some()
    }

    /// The waybill of its visit, or the one that it is to come with.
    fn waybill_of(&self, plate: Option<&Plate>) -> Option<WaybillNo> {
        let plate = plate?;
        let open = || self.waybills.of_plate(plate).filter(|entry| !entry.waybill.state.is_over());
        match self.visit(plate) {
            Some(visit) => visit.waybill.clone(),
            None => open().map(|entry| entry.waybill.number.clone()),
        }
    }
}

/// Days since 1970-01-01; `None`: there is no such day.
fn day_of(year: u16, month: u8, day: u8) -> Option<i32> {
    let date = (i64::from(year), i64::from(month), i64::from(day));
    let days = days_from_civil(date.0, date.1, date.2);
    i32::try_from(days).ok().filter(|_| civil(days) == date)
}
