//! What a link does for somebody else between two of its own requests ([`super::super::errand`]).

use super::super::errand::{Brought, Errand, Refused, What};
use super::super::modbus::Answer;
use super::super::modbus::class::Ask;
use super::super::modbus::owed::Question;
use super::super::modbus::plan::Limits;
use super::super::modbus::session::{Call, Exchange, Fault, ModbusLink};
use super::super::unit::Unit;
use super::{End, Runner};
use crate::domain::time::Mono;

impl Runner {
    /// Carries out an errand between two requests. Its own times bound it; a stop does not cut off a frame that is on its
    /// way.
    pub(super) async fn run_errand(&mut self, errand: Errand) -> Result<(), End> {
        let result = match errand.obstacle(self.clock.mono()) {
            Some(refused) => Err(refused),
            None => match errand.what() {
                What::Frame { body, answer } => self.send_for(&errand, body, *answer).await.map(Brought::Frame),
                What::Read { unit, ask } => self.read_for(&errand, *unit, *ask).await.map(Brought::Read),
            },
        };
        errand.end(result);
        Ok(())
    }

    async fn send_for(&mut self, errand: &Errand, body: &[u8], answer: usize) -> Result<Vec<u8>, Refused> {
        let connection = self.connected_for(errand).await?;
        let (began, taps) = (self.clock.mono(), self.taps());
        let device = self.units.iter().map(Unit::device).find(|device| Some(device.unit) == errand.what().unit());
        let tap = device.and_then(|device| taps.of(&device.id));
        let (connection, result) = connection.run_errand(errand, body, answer, tap).await;
        self.connection = connection;
        if let Some(meter) = &mut self.meter {
            meter.lent(began, self.clock.mono());
        }
        result
    }

    /// Reads for somebody else, after a probe where a late answer could pass for what is read.
    async fn read_for(&mut self, errand: &Errand, unit: u8, wanted: Ask) -> Result<Answer, Refused> {
        loop {
            let now = self.clock.mono();
            let served = self.units.iter().enumerate().find(|(_, served)| served.device().unit == unit);
            let known = served.into_iter().flat_map(|(_, served)| served.known(0));
            let limits = served.map_or(Limits::ANY, |(_, served)| Limits::of(served.device()));
            let question = self.owed.question(unit, wanted, known, &limits, now);
            let ask = match question {
                Question::AsIs => wanted,
                Question::Probe(probe) => probe,
                Question::NotBefore(_) => {
                    return Err(Refused::NotSent("a late answer could not be told from this".to_owned()));
                }
            };
            let (answer, sent) = self.ask_for(errand, unit, ask).await?;
            if question == Question::AsIs {
                return Ok(answer);
            }
            if sent >= errand.not_after() {
                return Err(Refused::TooLate);
            }
        }
    }

    /// One request for somebody else. A line found closed is opened again once, as for the readers.
    async fn ask_for(&mut self, errand: &Errand, unit: u8, ask: Ask) -> Result<(Answer, Mono), Refused> {
        loop {
            let connection = self.connected_for(errand).await?;
            let (had_served, sent, taps) = (connection.has_served(), self.clock.mono(), self.taps());
            let device = self.units.iter().map(Unit::device).find(|device| device.unit == unit);
            let tap = device.and_then(|device| taps.of(&device.id));
            let exceptions = self.owed.tells_exceptions(unit, ask, sent);
            let call = Call { unit, ask, within: errand.within(), exceptions, tap };
            let Exchange { link, outcome, noted } = connection.read(call).await;
            self.connection = link;
            self.note(unit, ask, sent, outcome.as_ref().err(), &noted);
            self.distrust(self.clock.mono());
            match outcome {
                Ok(answer) => return Ok((answer, sent)),
                Err(Fault::Closed(_)) if had_served && !noted.sent => {}
                Err(fault) if noted.sent => return Err(Refused::NoAnswer(fault.to_string())),
                Err(fault) => return Err(Refused::NotSent(fault.to_string())),
            }
        }
    }

    /// Takes the connection, or opens one: a line that was closed because slaves are silent carries orders to others.
    async fn connected_for(&mut self, errand: &Errand) -> Result<ModbusLink, Refused> {
        if let Some(connection) = self.connection.take() {
            return Ok(connection);
        }
        let left = errand.not_after().since(self.clock.mono());
        let connected = ModbusLink::connect(&self.endpoint, errand.within().min(left), &self.clock).await;
        self.note_opening(connected.as_ref().err());
        connected.map_err(|fault| Refused::NotSent(fault.to_string()))
    }
}
