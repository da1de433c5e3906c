//! What terminals of vehicles say, on its way to the dangerous goods: whose vehicle, whose card, the park's own time of day.

use super::Gates;
use crate::domain::gate::hardware::{Said, TerminalEvent};
use crate::domain::gate::hazmat::map::Local;
use crate::domain::time::{ClockTrust, Now};

impl Gates {
    /// Takes what a terminal said.
    pub fn handle_terminal(&mut self, event: &TerminalEvent, now: Now) {
        let TerminalEvent { terminal, plate, at, said } = event;
        let fixed = plate.as_ref();
        match said {
            Said::Online => self.hazmat.handle_heard(terminal, fixed, true, now),
            Said::Offline => self.hazmat.handle_heard(terminal, fixed, false, now),
            Said::InVehicle(claimed) => self.hazmat.handle_claim(terminal, fixed, claimed, now),
            Said::Position(position) => {
                self.hazmat.handle_position(terminal, fixed, position, *at, self.local(now), now);
            }
            Said::Driver(card) => {
                let person = card.document.as_ref().and_then(|document| self.register.holder_of(document)).cloned();
                self.hazmat.handle_card(terminal, fixed, card, person.as_ref(), now);
            }
            Said::Waybill(text) => self.hazmat.handle_shown(terminal, fixed, text, now),
        }
        self.pump(now);
    }

    /// The park's day and minute, where the clock can be trusted.
    fn local(&self, now: Now) -> Option<Local> {
        let local = now.wall.0.saturating_add(i64::from(self.settings.register.utc_offset_s) * 1000);
        let day = i32::try_from(local.div_euclid(86_400_000)).ok();
        let minute = u16::try_from(local.rem_euclid(86_400_000) / 60_000).ok();
        let (day, minute) = (day?, minute?);
        (now.trust != ClockTrust::Unsynced).then_some(Local { day, minute })
    }
}
