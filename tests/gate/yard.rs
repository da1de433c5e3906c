//! What happens to trucks of the day away from the lanes: parking, dispatch, work; and what their terminals say.

use std::collections::BTreeSet;

use parkgate::domain::gate::hardware::{Datum, Position};
use parkgate::domain::gate::hazmat::lot::BayStatus;
use parkgate::domain::gate::word::ZoneId;

use super::super::papers::yellow;
use super::{Day, Leg, MINUTE, POSITION, terminal};

impl Day {
    /// What happens away from the lanes: parking, dispatch, work.
    pub(super) fn elsewhere(&mut self) {
        let now = self.time();
        while let Some((at, who)) = self.later.first().copied().filter(|(at, _)| *at <= now) {
            self.later.remove(&(at, who));
            let (leg, _) = self.goers[who].legs.front().copied().unwrap();
            if self.elsewhere_of(leg, who) {
                self.goers[who].legs.pop_front();
                self.plan(who, now);
            } else {
                self.later.insert((now + 5 * MINUTE, who));
            }
        }
    }

    fn elsewhere_of(&mut self, leg: Leg, who: usize) -> bool {
        let (plate, at) = (yellow(&self.goers[who].name), self.park.now());
        let bay = self.goers[who].bay.clone();
        let gates = &mut self.park.gates;
        let done = match (leg, bay) {
            (Leg::Park, _) => {
                let Some(bay) = gates.hazmat().lot().promised(&plate).cloned() else { return false };
                let status = gates.handle_hazmat(|hazmat| hazmat.handle_parked(&bay, &plate, at), at);
                self.goers[who].bay = Some(bay);
                status == Some(BayStatus::Parked)
            }
            (Leg::Dispatched, Some(bay)) => {
                let to = ZoneId::new("works");
                let sent = gates.handle_hazmat(|hazmat| hazmat.handle_dispatch(&plate, &to, "works", at), at);
                if sent.is_ok() {
                    gates.handle_hazmat(|hazmat| hazmat.handle_bay_empty(&bay, at), at);
                }
                sent.is_ok()
            }
            (Leg::Done, _) => gates.handle_hazmat(|hazmat| hazmat.handle_done(&plate, "works", at), at),
            (Leg::Dispatched, None) | (Leg::Through(_), _) => false,
        };
        self.park.drain();
        done
    }

    /// Every terminal that is out says where it is.
    pub(super) fn speak(&mut self) {
        let (now, at) = (self.time(), self.park.now());
        let due = self.terminals.iter().filter(|(_, due)| **due <= now).map(|(who, _)| *who);
        for who in due.collect::<Vec<_>>() {
            let position = Position {
                lat_e6: 30_650_000,
                lon_e6: 117_490_000,
                datum: Datum::Wgs84,
                fixed: true,
                speed_dkmh: 150,
                course: 90,
                altitude_m: 20,
                time: Some(at.wall),
                late: false,
                ignition: true,
                alarms: BTreeSet::new(),
            };
            let says = terminal(who);
            let gates = &mut self.park.gates;
            gates.handle_hazmat(|hazmat| hazmat.handle_position(&says, None, &position, at.mono, None, at), at);
            self.park.drain();
            self.account.positions += 1;
            self.terminals.insert(who, now + POSITION);
        }
    }

    pub(super) fn gives_back(&mut self, who: usize) {
        let (terminal, at) = (terminal(who), self.park.now());
        if self.terminals.remove(&who).is_some() {
            let back = self.park.gates.handle_hazmat(|hazmat| hazmat.handle_terminal_back(&terminal, at), at);
            assert!(back.is_ok(), "{back:?}");
            self.park.drain();
        }
    }
}
