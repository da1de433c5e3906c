//! One line to unknown devices: a connection that is opened again after a fault, and one request at a time. Reads only.

use std::sync::Arc;
use std::time::Duration;

use crate::clock::Clock;
use crate::field::modbus::Answer;
use crate::field::modbus::class::Ask;
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
}

impl Line {
    /// Returns a line that allows each answer so long.
    pub fn new(endpoint: Endpoint, within: Duration, clock: &Clock) -> Self {
        Self { endpoint, within, clock: clock.clone(), link: None }
    }

    /// Returns the endpoint of a bus that is in no configuration.
    pub fn bus(port: Port, wires: Wires) -> Endpoint {
        let frame_gap = wires.silence();
        Endpoint::Bus(Arc::new(Bus { id: "probe".to_owned(), port, line: wires, frame_gap, accepts_overload: true }))
    }

    /// Asks, connecting first where need be. A connection that had served and was closed meanwhile is opened once more.
    pub async fn ask(&mut self, unit: u8, ask: Ask) -> (Result<Answer, Fault>, Noted) {
        loop {
            let link = match self.link.take() {
                Some(link) => link,
                None => match ModbusLink::connect(&self.endpoint, CONNECT_WITHIN, &self.clock).await {
                    Ok(link) => link,
                    Err(fault) => return (Err(fault), Noted::default()),
                },
            };
            let had_served = link.has_served();
            let Exchange { link, outcome, noted } = link.read(Call { unit, ask, within: self.within, tap: None }).await;
            self.link = link;
            match outcome {
                Err(Fault::Closed(_)) if had_served => {}
                outcome => return (outcome, noted),
            }
        }
    }
}
