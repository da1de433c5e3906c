//! What a bus can carry: the time that each planned request takes on the line, added up against the intervals wanted.
//!
//! ```text
//!  request = silence + 8 characters + turnaround + silence + answer
//!  load    = Σ over classes (time of one poll ÷ interval)          more than 1 cannot fit
//!  cycle   = Σ over classes (time of one poll)                     every point once
//!  dead    = silence + 8 characters + timeout                      once per back-off step, instead of its polls
//!  longest = silence + 8 characters + timeout + longest answer     before an order for an output, at most
//! ```
//!
//! Orders for outputs have no share of the bus: they are rare and go before the polls, which then are so much later.
//!
//! The silence between request and answer is kept by the slave, the one before the request by the gateway; a slave's
//! turnaround is what the configuration says of it. Requests are those that the reader makes ([`super::super::modbus::plan`]).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::super::modbus::class::Ask;
use super::super::modbus::plan::{self, Limits};
use super::super::modbus::request::Request;
use super::super::modbus::rtu::{REQUEST_LEN, answer_len};
use super::{Bus, Device, Endpoint, Source, Table};
use crate::domain::id::DeviceId;

/// The plan of one bus.
#[derive(Clone, Debug, PartialEq)]
pub struct BusPlan {
    /// One per device and poll class, in configuration order, fast classes first.
    pub rows: Vec<PlanRow>,
    /// One per device.
    pub dead: Vec<DeadRow>,
}

/// What one poll class of one device costs.
#[derive(Clone, Debug, PartialEq)]
pub struct PlanRow {
    /// The device.
    pub device: DeviceId,
    /// Name of the class.
    pub class: String,
    /// Interval wanted.
    pub interval: Duration,
    /// Requests of one poll.
    pub requests: usize,
    /// Characters of one poll, requests and answers.
    pub chars: usize,
    /// Time of one poll on the line.
    pub time: Duration,
}

/// What a device costs while it does not answer.
#[derive(Clone, Debug, PartialEq)]
pub struct DeadRow {
    /// The device.
    pub device: DeviceId,
    /// Time on the line, once per back-off step.
    pub time: Duration,
    /// The longest step of its back-off.
    pub every: Duration,
}

impl PlanRow {
    /// Returns the share of the bus, 1 being all of it.
    pub fn load(&self) -> f64 {
        self.time.as_secs_f64() / self.interval.as_secs_f64().max(1e-3)
    }
}

impl BusPlan {
    /// Returns the plan of a bus with these devices (others are left out).
    pub fn of<'a>(bus: &Bus, devices: impl IntoIterator<Item = &'a Arc<Device>>) -> Self {
        let mut plan = Self { rows: Vec::new(), dead: Vec::new() };
        for device in devices {
            for (class, index) in device.classes.iter().zip(0..=u8::MAX) {
                let asks = asks(device, index);
                if asks.is_empty() {
                    continue;
                }
                plan.rows.push(PlanRow {
                    device: device.id.clone(),
                    class: class.name.clone(),
                    interval: class.interval,
                    requests: asks.len(),
                    chars: asks.iter().map(|ask| REQUEST_LEN + answer_len(*ask)).sum(),
                    time: asks.iter().map(|ask| time_of(bus, device, *ask)).sum(),
                });
            }
            let time = bus.frame_gap + bus.line.chars(REQUEST_LEN) + device.timeout;
            plan.dead.push(DeadRow { device: device.id.clone(), time, every: device.backoff_max });
        }
        plan
    }

    /// Returns the longest that one exchange with a device may take: it answers at the last moment, with all it may.
    pub fn longest_exchange(bus: &Bus, device: &Device) -> Duration {
        let limits = Limits::of(device);
        let most = |table| Ask { table, start: 0, count: u16::try_from(limits.max(table)).unwrap_or(u16::MAX) };
        let answer = answer_len(most(Table::Holding)).max(answer_len(most(Table::Coil)));
        bus.frame_gap + bus.line.chars(REQUEST_LEN + answer) + device.timeout
    }

    /// Returns the share of the bus that the plan needs, 1 being all of it.
    pub fn load(&self) -> f64 {
        self.rows.iter().map(PlanRow::load).sum()
    }

    /// Returns the time in which every point is read once.
    pub fn cycle(&self) -> Duration {
        self.rows.iter().map(|row| row.time).sum()
    }

    /// Returns how much longer a cycle may take, at most, in which these devices are dead and all of them are visited.
    pub fn growth_with_dead(&self, dead: &[&DeviceId]) -> Duration {
        let is_dead = |device: &DeviceId| dead.contains(&device);
        let visits: Duration = self.dead.iter().filter(|row| is_dead(&row.device)).map(|row| row.time).sum();
        let saved: Duration = self.rows.iter().filter(|row| is_dead(&row.device)).map(|row| row.time).sum();
        visits.saturating_sub(saved)
    }
}

/// A bus with its plan; prints the table of it.
#[derive(Clone, Debug, PartialEq)]
pub struct PlannedBus {
    /// The bus.
    pub bus: Arc<Bus>,
    /// Its plan.
    pub plan: BusPlan,
}

/// Returns the buses of these devices with their plans, by id.
pub fn planned_buses(devices: &[Source]) -> Vec<PlannedBus> {
    let mut buses: BTreeMap<Arc<Bus>, Vec<Arc<Device>>> = BTreeMap::new();
    for source in devices {
        if let Source::Modbus(device) = source
            && let Endpoint::Bus(bus) = &device.endpoint
        {
            buses.entry(Arc::clone(bus)).or_default().push(Arc::clone(device));
        }
    }
    buses.into_iter().map(|(bus, devices)| PlannedBus { plan: BusPlan::of(&bus, &devices), bus }).collect()
}

impl fmt::Display for PlannedBus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { bus, plan } = self;
        writeln!(f, "总线 / bus {bus} {}, 帧间静默 / silence {}", bus.line, Millis(bus.frame_gap))?;
        writeln!(
            f,
            "  {:<20} {:<10} {:>9} {:>8} {:>6} {:>11} {:>8}",
            "device", "class", "interval", "requests", "chars", "time", "load"
        )?;
        for row in &plan.rows {
            writeln!(
                f,
                "  {:<20} {:<10} {:>9} {:>8} {:>6} {:>11} {:>8}",
                row.device,
                row.class,
                format!("{:?}", row.interval),
                row.requests,
                row.chars,
                Millis(row.time).to_string(),
                Percent(row.load()).to_string()
            )?;
        }
        let accepted = if plan.load() > 1.0 { "，已接受过载 / overload accepted" } else { "" };
        writeln!(
            f,
            "  各读一遍 / everything once {}, 占用 / load {}{accepted}",
            Millis(plan.cycle()),
            Percent(plan.load())
        )?;
        if let Some(worst) = plan.dead.iter().max_by_key(|row| row.time) {
            write!(
                f,
                "  一台设备离线 / a dead device: {} 每个退避步 / per back-off step, 最长 / at most every {:?} = {}",
                Millis(worst.time),
                worst.every,
                Percent(worst.time.as_secs_f64() / worst.every.as_secs_f64().max(1e-3))
            )?;
        }
        Ok(())
    }
}

/// A time in milliseconds with one decimal.
pub struct Millis(pub Duration);

impl fmt::Display for Millis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.1} ms", self.0.as_secs_f64() * 1000.0)
    }
}

/// A share in percent with one decimal.
pub struct Percent(pub f64);

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.1} %", self.0 * 100.0)
    }
}

/// The requests of one class, as long as the device refuses none.
fn asks(device: &Device, class: u8) -> Vec<Ask> {
    let items = plan::items(&device.points, class);
    let limits = Limits::of(device);
    let too_wide = |index: usize| items.get(index).is_some_and(|item| u32::from(item.width) > limits.max(item.table));
    plan::plan(&items, &limits, too_wide, &BTreeSet::new())
        .into_iter()
        .filter_map(|run| Request::new(&items, run, &device.points))
        .map(|request| Ask { table: request.table, start: request.start, count: request.count })
        .collect()
}

fn time_of(bus: &Bus, device: &Device, ask: Ask) -> Duration {
    let chars = bus.line.chars(REQUEST_LEN) + bus.line.chars(answer_len(ask));
    bus.frame_gap + chars + bus.line.silence() + device.turnaround
}

#[cfg(test)]
mod tests {
    use super::super::testing::{device, point};
    use super::super::{Encoding, Line, Parity, PollClass, Port};
    use super::*;

    fn bus(baud: u32) -> Arc<Bus> {
        let line = Line { baud, parity: Parity::None, stop_bits: 1 };
        let port = Port::Serial { path: "/dev/ttyS1".to_owned(), rs485: None };
        Arc::new(Bus { id: "bus-1".to_owned(), port, line, frame_gap: line.silence(), accepts_overload: false })
    }

    fn slave(bus: &Arc<Bus>, unit: u8, registers: u16, interval: Duration) -> Arc<Device> {
        let points = (0..registers).map(|address| point(Table::Holding, address, Encoding::U16)).collect();
        Arc::new(Device {
            id: DeviceId::new(format!("s{unit}")),
            endpoint: Endpoint::Bus(Arc::clone(bus)),
            unit,
            classes: vec![PollClass { name: "normal".to_owned(), interval }],
            ..device(points)
        })
    }

    #[test]
    fn thirty_slaves_of_sixteen_registers_take_what_the_survey_computed() {
        let bus = bus(9600);
        let devices: Vec<_> = (1..=30).map(|unit| slave(&bus, unit, 16, Duration::from_secs(2))).collect();
        let plan = BusPlan::of(&bus, &devices);
        assert_eq!(plan.rows[0].time.as_micros(), 54_166);
        assert_eq!(plan.cycle().as_millis(), 1624);
        assert!((plan.load() - 0.8125).abs() < 0.001, "{}", plan.load());
    }

    #[test]
    fn a_second_is_too_short_for_them_at_9600_and_long_enough_at_38400() {
        let fits = |baud| {
            let bus = bus(baud);
            let devices: Vec<_> = (1..=30).map(|unit| slave(&bus, unit, 16, Duration::from_secs(1))).collect();
            BusPlan::of(&bus, &devices).load() <= 1.0
        };
        assert!(!fits(9600) && fits(38_400));
    }

    #[test]
    fn an_order_waits_at_most_for_a_slave_that_answers_at_the_last_moment_with_all_it_may() {
        let bus = bus(9600);
        // 3.645 ms of silence, 8 and 255 characters, and the timeout of a second.
        let waits = BusPlan::longest_exchange(&bus, &slave(&bus, 1, 16, Duration::from_secs(2)));
        assert_eq!(waits.as_millis(), 1277);
    }

    #[test]
    fn a_dead_slave_costs_its_timeout_and_saves_its_poll() {
        let bus = bus(9600);
        let devices: Vec<_> = (1..=30).map(|unit| slave(&bus, unit, 16, Duration::from_secs(2))).collect();
        let plan = BusPlan::of(&bus, &devices);
        let (a, b) = (DeviceId::new("s7"), DeviceId::new("s14"));
        let growth = plan.growth_with_dead(&[&a, &b]);
        // Twice: a second, 3.65 ms and 8 characters, less 54.17 ms.
        assert_eq!(growth.as_micros(), 2 * (1_000_000 + 3_645 + 8_333 - 54_166) + 1);
    }
}
