//! A day of the simulated park in virtual time through the whole engine: every point at its poll class, every value as the
//! park's physics has it (its story comes every minute: a leak, a silent gauge; every ten a transfer of the power, every hour a
//! trouble of each unit), people who acknowledge, an hour in which a controller is silent, a drill, the store's account, the
//! day's report.
//!
//! What is measured is the engine's own time on the processor, so that what else runs on the machine does not count; records are
//! not encoded or stored, and making the inputs is the park's. They are made for two seconds at a time, hardly more than a line
//! may have on its way (`app::engine`): more would be read from slow memory, and given back to an allocator that does not expect
//! it; less, and the looks at the clock would count. What came out is checked afterwards: no alarm without its records, in order;
//! the report says what happened.
#![expect(clippy::indexing_slicing, reason = "a benchmark may")]

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::ops::Range;
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};
use parkgate::app::first_plan;
use parkgate::config::{self, Config};
use parkgate::domain::actor::{Actor, Role, Via};
use parkgate::domain::alarm::action::Action as OfAlarm;
use parkgate::domain::alarm::record::AlarmRecord;
use parkgate::domain::alarm::state::{Cause, State};
use parkgate::domain::danger::Action;
use parkgate::domain::daybook::{DailyReport, ReportKind, StoreAccount};
use parkgate::domain::document::DocumentKind;
use parkgate::domain::engine::Engine;
use parkgate::domain::field_event::{FieldEvent, LinkChange, LinkState, Origin, Poll, Sample};
use parkgate::domain::id::DeviceSlot;
use parkgate::domain::order::Receipt;
use parkgate::domain::reading::{Quality, Reading, Value};
use parkgate::domain::record::{Body, Boot, Mode, Record, Stream};
use parkgate::domain::site::{self, state::State as SiteState};
use parkgate::domain::time::{ClockTrust, Mono, Now, Timestamp};
use parkgate::field::modbus::decode::Decoder;
use parkgate::field::settings::Source;
use parkgate::sim::dcs;
use parkgate::sim::devices::{LINE_SOCKET, park};
use parkgate::sim::folder::{Socket, Wiring, write};
use parkgate::sim::image::{Image, Place};
use parkgate::sim::life::{Moment, key_of};
use parkgate::sim::park::Device;
use parkgate::state::State as StateDir;
use parkgate::state::registry::RegistryBook;

/// The grid on which all classes of the park lie.
const STEP: Duration = Duration::from_millis(200);
const STEPS_AN_HOUR: u64 = 5 * 3600;
/// 17:00 in Beijing, the cut of the day before.
const BEGINS: Timestamp = Timestamp(1_795_424_400_000);
/// The controller that is silent for an hour, and in which hour of the day.
const OUT: (&str, u64) = ("plc-utility", 6);
/// Inputs are made for so many steps at a time: 2 s.
const WINDOW: u64 = 10;
/// In this hour there is a drill.
const DRILL: u64 = 3;

fn at(step: u64) -> Now {
    let since = STEP * u32::try_from(step).unwrap();
    Now { mono: Mono::from_secs(100) + since, wall: BEGINS.after(since), trust: ClockTrust::Synced }
}

/// One poll class of one device.
struct Polled {
    slot: DeviceSlot,
    class: u8,
    /// Every so many steps.
    every: u64,
    device: usize,
    points: Vec<(u16, Simulated)>,
}

/// How a reading comes about.
enum Simulated {
    Register { point: usize, place: Place, decoder: Decoder },
    Dcs(&'static dcs::Tag),
}

struct World {
    devices: Vec<Device>,
    polled: Vec<Polled>,
    slots: BTreeMap<String, DeviceSlot>,
    scratch: Image,
    down: BTreeSet<DeviceSlot>,
}

impl World {
    fn of(devices: Vec<Device>, config: &Config, slots: &[DeviceSlot]) -> Self {
        let mut polled = Vec::new();
        for ((source, spec), slot) in config.devices.iter().zip(&config.specs).zip(slots) {
            let device = devices.iter().position(|device| device.id == spec.id.as_str());
            let simulated = |ordinal: usize| match source {
                Source::Modbus(settings) => {
                    let tag = spec.points[ordinal].tag.as_str();
                    let point = devices[device.unwrap()].points.iter().position(|point| point.tag == tag).unwrap();
                    let place = Place { address: 0, ..devices[device.unwrap()].points[point].place };
                    Simulated::Register { point, place, decoder: Decoder::new(&settings.points[ordinal]) }
                }
                Source::OpcUa(_) | Source::Derived { .. } => {
                    let tag = spec.points[ordinal].tag.as_str();
                    Simulated::Dcs(dcs::TAGS.iter().find(|(name, ..)| name.trim_end_matches(".PV") == tag).unwrap())
                }
            };
            for (class, polls) in (0..).zip(source.classes()) {
                let of_class = (0_u16..).zip(source.class_of()).filter(|(_, of)| *of == class);
                polled.push(Polled {
                    slot: *slot,
                    class,
                    every: u64::try_from(polls.interval.as_millis() / STEP.as_millis()).unwrap(),
                    device: device.unwrap_or(usize::MAX),
                    points: of_class.map(|(ordinal, _)| (ordinal, simulated(usize::from(ordinal)))).collect(),
                });
            }
        }
        let slots = config.specs.iter().zip(slots).map(|(spec, slot)| (spec.id.to_string(), *slot)).collect();
        Self { devices, polled, slots, scratch: Image::default(), down: BTreeSet::new() }
    }

    /// What the field says in a step.
    fn live(&mut self, step: u64, events: &mut Vec<FieldEvent>) {
        let (now, since) = (at(step), STEP * u32::try_from(step).unwrap());
        let moment = Moment::new(since, 1);
        let out = self.slots[OUT.0];
        for polled in self.polled.iter().filter(|polled| step.is_multiple_of(polled.every)) {
            let silent = self.devices.get(polled.device).is_some_and(|device| device.falls_silent) && moment.silent();
            let silent = silent || (polled.slot == out && step / STEPS_AN_HOUR == OUT.1);
            let change = |state| FieldEvent::Link(LinkChange { slot: polled.slot, at: now.mono, state });
            if silent && self.down.insert(polled.slot) {
                events.push(change(LinkState::Down { reason: "no answer within 500 ms".into(), retry: STEP }));
            } else if !silent && (self.down.remove(&polled.slot) || step == 0) {
                events.push(change(LinkState::Up));
            }
            let mut origin = Origin::Polled;
            let reading = |(ordinal, simulated): &(u16, Simulated)| {
                if silent {
                    return (*ordinal, Reading::missing(Quality::Comm));
                }
                let reading = match simulated {
                    Simulated::Register { point, place, decoder } => {
                        let quantity = self.devices[polled.device].points[*point].quantity(moment);
                        read(&mut self.scratch, place, decoder, quantity)
                    }
                    Simulated::Dcs((name, _, _, low, high, period, _)) => {
                        origin = Origin::Source(now.wall);
                        let value = moment.swing(key_of(name), *period, *low, *high);
                        Reading::good(Value::Number((value * 100.0).round() / 100.0))
                    }
                };
                (*ordinal, reading)
            };
            let readings = polled.points.iter().map(reading).collect();
            events.push(FieldEvent::Sample(Sample { slot: polled.slot, at: now.mono, origin, readings }));
            events.push(FieldEvent::Poll(Poll {
                slot: polled.slot,
                class: polled.class,
                due: now.mono,
                started: now.mono,
                ended: now.mono,
                ok: !silent,
                skipped: 0,
            }));
        }
    }
}

fn read(scratch: &mut Image, place: &Place, decoder: &Decoder, quantity: f64) -> Reading {
    if place.table.is_bits() {
        return decoder.bit(quantity >= 0.5);
    }
    scratch.put(place, quantity);
    decoder.registers(scratch.registers(place.table, 0, place.encoding.width()).unwrap())
}

/// What came out of the engine.
#[derive(Default)]
struct Told {
    records: [u64; Stream::ALL.len()],
    readings: u64,
    alarms: Vec<AlarmRecord>,
    reports: Vec<DailyReport>,
    drills: u64,
    silent: u64,
}

impl Told {
    fn take(&mut self, record: &Record) {
        self.records[record.stream.rank()] += 1;
        let Body::Document { kind, json, .. } = &record.body else {
            self.silent += u64::from(matches!(record.body, Body::Link { up: false, .. }));
            return;
        };
        if *kind == DocumentKind::Alarm {
            self.alarms.push(serde_json::from_str(json).unwrap());
        } else if *kind == DocumentKind::Report {
            self.reports.extend(serde_json::from_str::<DailyReport>(json));
        } else if *kind == DocumentKind::Site {
            self.drills += u64::from(json.contains("drill_started"));
        }
    }
}

struct Day {
    engine: Engine,
    told: Told,
    /// What the field says in each step of a window: drained, as the driver's batch is, and used again.
    said: Vec<Vec<FieldEvent>>,
    records: Vec<Record>,
    spent: Duration,
}

impl Day {
    /// Lets the field say what it has to say in these steps.
    fn lives(&mut self, world: &mut World, steps: Range<u64>) {
        let mut said = std::mem::take(&mut self.said);
        said.resize_with(steps.clone().count(), Vec::new);
        steps.clone().zip(&mut said).for_each(|(step, events)| world.live(step, events));
        let readings = |event: &FieldEvent| match event {
            FieldEvent::Sample(sample) => sample.readings.len() as u64,
            FieldEvent::Poll(_) | FieldEvent::Link(_) | FieldEvent::Gap(_) => 0,
        };
        self.told.readings += said.iter().flatten().map(readings).sum::<u64>();
        let began = on_the_processor();
        for (step, events) in steps.zip(&mut said) {
            let now = at(step);
            events.drain(..).for_each(|event| self.engine.handle_event(event, now));
            self.turn(now);
        }
        self.spent += on_the_processor() - began;
        self.said = said;
    }

    /// Lets the engine work, and measures that.
    fn works(&mut self, now: Now, work: impl FnOnce(&mut Engine)) {
        let began = on_the_processor();
        work(&mut self.engine);
        self.turn(now);
        self.spent += on_the_processor() - began;
        let mut records = std::mem::take(&mut self.records);
        records.drain(..).for_each(|record| self.told.take(&record));
        self.records = records;
    }

    /// As the driver does after each input.
    fn turn(&mut self, now: Now) {
        self.engine.handle_timeout(now);
        while let Some(order) = self.engine.poll_order() {
            self.engine.handle_receipt(&order.key, &Receipt::Sent, now);
        }
        while let Some(record) = self.engine.poll_output() {
            // Telemetry is counted where it goes; the rest is looked at afterwards.
            if record.stream == Stream::Telemetry {
                self.told.records[Stream::Telemetry.rank()] += 1;
            } else {
                self.records.push(record);
            }
        }
    }

    /// Somebody acknowledges and resets whatever waits for it.
    fn people(&mut self, now: Now) {
        let operator = person(Role::Operator);
        for alarm in self.engine.snapshot(now).danger.alarms {
            let (id, occ) = (alarm.last.alarm.to_string(), alarm.last.occ);
            let ack = OfAlarm::Ack { alarm: id.clone(), occ, seen: None, comment: None };
            let reset = OfAlarm::Reset { alarm: id, occ, comment: None };
            for action in [ack, reset] {
                self.works(now, |engine| drop(engine.handle_action(&Action::Alarm(action), &operator, now)));
            }
        }
    }

    fn site(&mut self, action: site::Action, now: Now) {
        let done = self.engine.handle_action(&Action::Site(action), &person(Role::Supervisor), now);
        assert!(done.is_ok(), "{done:?}");
        self.works(now, |_| ());
    }
}

fn person(role: Role) -> Actor {
    Actor { name: "zhang".into(), via: Via::Machine, roles: [role].into() }
}

fn the_park(dir: &std::path::Path) -> (World, Engine) {
    let devices = park();
    let socket = |n: u16| match usize::from(n) {
        LINE_SOCKET => Socket::Line("/dev/ttyS1".into()),
        _ => Socket::Tcp(SocketAddr::from(([127, 0, 0, 1], 50_000 + n))),
    };
    let here = |port| SocketAddr::from(([127, 0, 0, 1], port));
    let wiring = Wiring { sockets: (0..20).map(socket).collect(), dcs: here(4840), broker: here(1883), page: here(0) };
    write(dir, &devices, &wiring).unwrap();
    let config = config::load(dir).map_err(|problems| problems.to_string()).unwrap().config;
    let book = RegistryBook::new(StateDir::open(&dir.join("state")).unwrap());
    let plan = first_plan(&config, book.revision_of(&config.specs).unwrap());
    let slots: Vec<DeviceSlot> = plan.devices.iter().map(|device| device.slot).collect();
    let boot = Boot { software: "test".into(), last_seen: None, off_ms: None, clean: true };
    let mut engine = Engine::new(1, boot, plan, at(0));
    engine.restore(&Default::default(), &[], at(0));
    (World::of(devices, &config, &slots), engine)
}

/// Time that this thread has had on a processor.
fn on_the_processor() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).unwrap().into()
}

/// Measures and prints.
pub(crate) fn measure(runs: usize) {
    (0..runs).for_each(|_| one_day());
}

fn one_day() {
    let dir = tempfile::tempdir().unwrap();
    let (mut world, engine) = the_park(dir.path());
    let n_points: usize = world.polled.iter().map(|polled| polled.points.len()).sum();
    let mut day = Day { engine, told: Told::default(), said: Vec::new(), records: Vec::new(), spent: Duration::ZERO };
    let mut of_the_day = (Duration::ZERO, 0);
    // An hour more than the day: its report is made at the end.
    for hour in 0..25 {
        let first = hour * STEPS_AN_HOUR;
        if hour == 24 {
            of_the_day = (day.spent, day.told.readings);
        }
        if hour == OUT.1 + 1 {
            // The city was away as well, and asks for full values.
            day.works(at(first), |engine| engine.handle_refresh(at(first)));
        }
        if hour == DRILL {
            let comment = "季度演练".to_owned();
            let rehearses = SiteState::Evacuate;
            let start = site::Action::StartDrill { zone: "park".into(), rehearses, barriers: false, comment };
            day.site(start, at(first));
        }
        for minute in 0..60 {
            let first = first + minute * STEPS_AN_HOUR / 60;
            for from in (0..STEPS_AN_HOUR / 60 / WINDOW).map(|n| first + n * WINDOW) {
                day.lives(&mut world, from..from + WINDOW);
            }
            let now = at(first + STEPS_AN_HOUR / 60 - 1);
            let account = StoreAccount { as_of: now.wall, epoch: "e".into(), ..StoreAccount::default() };
            day.works(now, |engine| engine.handle_account(account, now));
            if minute % 10 == 9 {
                day.people(now);
            }
            if (hour, minute) == (DRILL, 29) {
                day.site(site::Action::EndDrill { comment: "如常".into() }, now);
            }
        }
    }
    let Told { records, readings, alarms, reports, drills, silent } = &day.told;
    let (spent, of_them) = of_the_day;
    println!(
        "a day of the park, {n_points} points: {of_them} readings in {:.2} s of one processor, {} ns each; with the hour after it \
         {readings} readings, {} telemetry records, {} of alarms, {} events",
        spent.as_secs_f64(),
        spent.as_nanos() / u128::from(of_them),
        records[Stream::Telemetry.rank()],
        alarms.len(),
        records[Stream::Event.rank()],
    );
    assert!(n_points >= 150 && *readings > 1_000_000, "{n_points} {readings}");
    assert_eq!((*drills, *silent > 24 * 60), (1, true));
    nothing_is_lost_or_out_of_order(alarms);
    the_report_is_that_of_the_day(reports, alarms);
}

/// Every occurrence from its first record to its last, without a hole, one after the other.
fn nothing_is_lost_or_out_of_order(alarms: &[AlarmRecord]) {
    let mut last: BTreeMap<&str, &AlarmRecord> = BTreeMap::new();
    for record in alarms {
        match last.get(&*record.alarm).filter(|last| last.to != State::Normal) {
            Some(last) => {
                assert_eq!((record.occ, record.n, record.from), (last.occ, last.n + 1, last.to), "{record:?}")
            }
            None => assert_eq!((record.n, record.from), (1, State::Normal), "{record:?}"),
        }
        last.insert(&record.alarm, record);
    }
    assert!(alarms.is_sorted_by_key(|record| record.t), "as they happened");
    let of = |cause: Cause| alarms.iter().filter(|record| record.cause == cause).count();
    // A leak each minute, known to be over before the next one.
    assert!(of(Cause::Active) > 1_440 && of(Cause::Clear) > 1_440, "{} {}", of(Cause::Active), of(Cause::Clear));
    assert!(of(Cause::Ack) >= 144 && of(Cause::Reset) >= 24, "{} {}", of(Cause::Ack), of(Cause::Reset));
}

fn the_report_is_that_of_the_day(reports: &[DailyReport], alarms: &[AlarmRecord]) {
    assert_eq!(reports.len(), 1);
    let report = &reports[0];
    assert_eq!((report.what, report.version, report.is_late), (ReportKind::Daily, 1, false));
    let within =
        |record: &&AlarmRecord| record.t < report.to && record.cause == Cause::Active && record.mode == Mode::Real;
    let raised = alarms.iter().filter(within).filter(|record| record.from == State::Normal).count();
    assert_eq!(report.alarms.raised, u64::try_from(raised).unwrap());
    assert_eq!(report.site.drills, 1);
    let out = report.coverage.devices.iter().find(|line| line.device == OUT.0).unwrap();
    assert!(out.pct.is_some_and(|pct| (pct - 100.0 * 23.0 / 24.0).abs() < 0.1), "{out:?}");
    assert!(report.running.unwatched_ms < 60_000, "{} ms", report.running.unwatched_ms);
}
