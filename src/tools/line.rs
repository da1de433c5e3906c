//! One line to unknown devices: a connection that is opened again after a fault, and one request at a time. Reads only.

use std::sync::Arc;
use std::time::Duration;

use crate::clock::Clock;
use crate::domain::time::Mono;
use crate::field::modbus::Answer;
use crate::field::modbus::class::Ask;
use crate::field::modbus::owed::{Owed, Question};
use crate::field::modbus::plan::Limits;
use crate::field::modbus::session::{Call, Exchange, Fault, ModbusLink, Noted};
use crate::field::settings::{Bus, Endpoint, Line as Wires, Port};

/// Time for a connection: an address that is wrong should not be waited for as long as a slow device.
const CONNECT_WITHIN: Duration = Duration::from_secs(3);

/// See the module.
pub struct Line {
    endpoint: Endpoint,
    within: Duration,
    clock: Clock,
    link: Option<ModbusLink>,
    /// What was asked on a bus and not answered.
    owed: Owed,
}

impl Line {
    /// Returns a line that allows each answer so long.
    pub fn new(endpoint: Endpoint, within: Duration, clock: &Clock) -> Self {
        Self { endpoint, within, clock: clock.clone(), link: None, owed: Owed::default() }
    }

    /// Returns the endpoint of a bus that is in no configuration.
    pub fn bus(port: Port, wires: Wires) -> Endpoint {
        let frame_gap = wires.silence();
        Endpoint::Bus(Arc::new(Bus { id: "probe".to_owned(), port, line: wires, frame_gap, accepts_overload: true }))
    }

    /// Asks. Where a late answer of a slave could pass for the answer, something else is asked of it first; when that is
    /// not answered, this is not either.
    pub async fn ask(&mut self, unit: u8, ask: Ask) -> (Result<Answer, Fault>, Noted) {
        let now = self.clock.mono();
        let known = (1..=ask.count).rev().map(|count| Ask { count, ..ask });
        match self.owed.question(unit, ask, known, &Limits::ANY, now) {
            Question::AsIs => {}
            Question::Probe(probe) => match self.exchange(unit, probe).await {
                (Ok(_), _) => {}
                (Err(fault), noted) => return (Err(fault), noted),
            },
            Question::NotBefore(_) => return (Err(Fault::Silent(self.within)), Noted::default()),
        }
        self.exchange(unit, ask).await
    }

    /// One request, connecting first where need be. A connection that had served and was closed meanwhile is opened once
    /// more.
    async fn exchange(&mut self, unit: u8, ask: Ask) -> (Result<Answer, Fault>, Noted) {
        loop {
            let link = match self.link.take() {
                Some(link) => link,
                None => match ModbusLink::connect(&self.endpoint, CONNECT_WITHIN, &self.clock).await {
                    Ok(link) => link,
                    Err(fault) => return (Err(fault), Noted::default()),
                },
            };
            let (had_served, sent) = (link.has_served(), self.clock.mono());
            let exceptions = self.owed.tells_exceptions(unit, ask, sent);
            let call = Call { unit, ask, within: self.within, exceptions, tap: None };
            let Exchange { link, outcome, noted } = link.read(call).await;
            self.link = link;
            self.note(unit, ask, sent, outcome.is_ok(), &noted);
            match outcome {
                Err(Fault::Closed(_)) if had_served && !noted.sent => {}
                outcome => return (outcome, noted),
            }
        }
    }

    fn note(&mut self, unit: u8, ask: Ask, sent: Mono, answered: bool, noted: &Noted) {
        let now = self.clock.mono();
        for stray in &noted.before {
            self.owed.late(*stray, now);
        }
        if noted.sent && !answered {
            self.owed.in_vain(unit, ask, sent, now);
        }
        for stray in &noted.strays {
            self.owed.late(*stray, now);
        }
        if answered {
            self.owed.answered(unit);
        }
    }
}
