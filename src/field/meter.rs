//! What a bus really does, beside what was planned: how long it was busy, who answered how quickly, what went wrong.
//!
//! Busy is the time from the moment a request is next in turn until its exchange is over: the silence before it, its
//! characters, the wait, the answer; also the wait for somebody who never answers.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::modbus::session::{Fault, Noted};
use super::settings::{Bus, BusPlan, Device};
use crate::domain::id::{DeviceId, DeviceSlot};
use crate::domain::snapshot::{BusClass, BusSlave, BusStatus};
use crate::domain::time::Mono;

/// Seconds remembered: fifteen minutes.
const N_SECONDS: u64 = 900;
/// The shorter of the two spans shown.
const MINUTE: u64 = 60;
/// Weight of the newest turnaround in the one that is shown: about the last ten answers.
const NEWEST: f64 = 0.1;

/// See the module.
#[derive(Debug)]
pub struct Meter {
    began: Mono,
    busy: BTreeMap<u64, Duration>,
    turnarounds: BTreeMap<u8, Duration>,
    status: BusStatus,
    slaves: Vec<(u8, BusSlave)>,
}

impl Meter {
    /// Returns a meter of a bus with these devices, watching from `now`.
    pub fn new(bus: &Bus, devices: &[(DeviceSlot, Arc<Device>)], now: Mono) -> Self {
        let mut meter = Self {
            began: now,
            busy: BTreeMap::new(),
            turnarounds: BTreeMap::new(),
            status: BusStatus::default(),
            slaves: Vec::new(),
        };
        meter.plan(bus, devices);
        meter
    }

    /// Takes over what is planned now; what was measured stays.
    pub fn plan(&mut self, bus: &Bus, devices: &[(DeviceSlot, Arc<Device>)]) {
        let plan = BusPlan::of(bus, devices.iter().map(|(_, device)| device));
        self.status.id.clone_from(&bus.id);
        self.status.place = bus.port.to_string();
        self.status.line = bus.line.to_string();
        self.status.planned_load = plan.load();
        self.status.planned_cycle = plan.cycle();
        self.status.classes = plan
            .rows
            .iter()
            .map(|row| BusClass {
                device: row.device.clone(),
                interval: row.interval,
                requests: row.requests,
                time: row.time,
            })
            .collect();
        let dead =
            |id: &DeviceId| plan.dead.iter().find(|row| row.device == *id).map(|row| row.time).unwrap_or_default();
        self.slaves = devices
            .iter()
            .map(|(_, device)| {
                let (planned_turnaround, dead_time) = (device.turnaround, dead(&device.id));
                (device.unit, BusSlave { device: device.id.clone(), planned_turnaround, turnaround: None, dead_time })
            })
            .collect();
    }

    /// Notes that the port or connection is open, or why it is not.
    pub fn opened(&mut self, trouble: Option<&str>) {
        self.status.trouble = trouble.map(str::to_owned);
    }

    /// Notes an exchange with `unit`.
    pub fn exchanged(&mut self, unit: u8, from: Mono, to: Mono, fault: Option<&Fault>, noted: &Noted) {
        self.add_busy(from, to);
        self.status.requests += 1 + u64::from(noted.again);
        self.status.asked_again += u64::from(noted.again);
        self.status.noise_bytes += u64::try_from(noted.noise).unwrap_or(u64::MAX);
        self.status.strays += u64::try_from(noted.before.len() + noted.strays.len()).unwrap_or(u64::MAX);
        match fault {
            Some(Fault::Silent(_)) => self.status.silent += 1,
            Some(Fault::Garbled(_) | Fault::Closed(_) | Fault::Unreachable(_)) => self.status.garbled += 1,
            None => {}
        }
        if let Some(newest) = noted.turnaround {
            let shown = self.turnarounds.entry(unit).or_insert(newest);
            *shown = shown.mul_f64(1.0 - NEWEST) + newest.mul_f64(NEWEST);
        }
    }

    /// Notes that the bus was lent.
    pub fn lent(&mut self, from: Mono, to: Mono) {
        self.add_busy(from, to);
    }

    /// Returns what stands.
    pub fn status(&self, now: Mono) -> BusStatus {
        let slave = |(unit, slave): &(u8, BusSlave)| BusSlave {
            turnaround: self.turnarounds.get(unit).copied(),
            ..slave.clone()
        };
        BusStatus {
            busy_minute: self.share(now, MINUTE),
            busy_quarter: self.share(now, N_SECONDS),
            slaves: self.slaves.iter().map(slave).collect(),
            ..self.status.clone()
        }
    }

    fn add_busy(&mut self, from: Mono, to: Mono) {
        let mut at = from;
        while at < to {
            let second = at.seconds();
            let end = Mono::from_secs(second + 1).min(to);
            *self.busy.entry(second).or_default() += end.since(at);
            at = end;
        }
        let oldest = to.seconds().saturating_sub(N_SECONDS);
        self.busy = self.busy.split_off(&oldest);
    }

    /// Share of the last so many whole seconds, or of those since it began.
    fn share(&self, now: Mono, seconds: u64) -> Option<f64> {
        let end = now.seconds();
        let start = end.saturating_sub(seconds).max(self.began.seconds() + 1);
        let span = end.checked_sub(start).filter(|span| *span > 0)?;
        let busy: Duration = self.busy.range(start..end).map(|(_, busy)| *busy).sum();
        Some((busy.as_secs_f64() / Duration::from_secs(span).as_secs_f64()).min(1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::super::settings::{Line, Parity, Port};
    use super::*;

    fn meter() -> Meter {
        let line = Line { baud: 9600, parity: Parity::None, stop_bits: 1 };
        let port = Port::Serial { path: "/dev/ttyS1".to_owned(), rs485: None };
        let bus = Bus { id: "bus-1".to_owned(), port, line, frame_gap: line.silence(), accepts_overload: false };
        Meter::new(&bus, &[], Mono::from_secs(100))
    }

    fn at(ms: u64) -> Mono {
        Mono::from_secs(100) + Duration::from_millis(ms)
    }

    #[test]
    fn a_bus_busy_a_quarter_of_each_second_is_busy_a_quarter_of_the_minute_and_of_the_time_since_it_began() {
        let mut meter = meter();
        assert_eq!(meter.status(at(500)).busy_minute, None, "not yet a whole second");
        for second in 0..600 {
            meter.exchanged(1, at(second * 1000 + 900), at(second * 1000 + 1150), None, &Noted::default());
        }
        let status = meter.status(at(600_500));
        let near = |share: Option<f64>| (share.unwrap() - 0.25).abs() < 0.001;
        assert!(near(status.busy_minute) && near(status.busy_quarter), "{status:?}");
        assert_eq!(status.requests, 600);
    }

    #[test]
    fn a_timeout_of_a_minute_is_a_minute_busy_and_is_forgotten_after_a_quarter_of_an_hour() {
        let mut meter = meter();
        let silent = Fault::Silent(Duration::from_secs(60));
        meter.exchanged(1, at(1000), at(61_000), Some(&silent), &Noted::default());
        assert_eq!(meter.status(at(61_000)).busy_minute, Some(1.0));
        assert_eq!(meter.status(at(2_000_000)).busy_quarter, Some(0.0));
        assert!(meter.busy.len() <= 61);
    }
}
