//! The simulated park has a unit of each shipped template: an hour of its story in virtual time through the engine raises an
//! alarm of each of them and clears it again, and nothing of them while no trouble is due.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use parkgate::app::first_plan;
use parkgate::config::Config;
use parkgate::domain::alarm::record::AlarmRecord;
use parkgate::domain::alarm::state::Cause;
use parkgate::domain::document::DocumentKind;
use parkgate::domain::engine::Engine;
use parkgate::domain::field_event::{FieldEvent, LinkChange, LinkState, Origin, Sample};
use parkgate::domain::id::DeviceSlot;
use parkgate::domain::reading::Reading;
use parkgate::domain::record::{Body, Boot};
use parkgate::domain::time::{ClockTrust, Mono, Now, Timestamp};
use parkgate::field::modbus::decode::Decoder;
use parkgate::field::settings::Source;
use parkgate::sim::devices::{LINE_SOCKET, park};
use parkgate::sim::folder::{Socket, Wiring, write};
use parkgate::sim::image::{Image, Place};
use parkgate::sim::life::{Moment, Trouble};
use parkgate::sim::park::Device;
use parkgate::state::State as StateDir;
use parkgate::state::registry::RegistryBook;

use super::{loaded, templates};

/// An hour: the story of troubles begins anew.
const SECONDS: u64 = 3_600;
/// The power comes from the second source at this second of each minute, for the first time.
const TRANSFER: u64 = 16;
/// The first trouble.
const TROUBLE: u64 = 120;
/// Templates whose alarms the transfer of the power raises each minute.
const OF_THE_TRANSFER: [&str; 2] = ["dual-power", "fire-fighting"];
const BEGINS: Timestamp = Timestamp(1_795_424_400_000);

fn at(second: u64) -> Now {
    let since = Duration::from_secs(second);
    Now { mono: Mono::from_secs(100) + since, wall: BEGINS.after(since), trust: ClockTrust::Synced }
}

fn configured(dir: &Path, devices: &[Device]) -> Config {
    let socket = |n: u16| match usize::from(n) {
        LINE_SOCKET => Socket::Line("/dev/ttyS1".into()),
        _ => Socket::Tcp(SocketAddr::from(([127, 0, 0, 1], 50_000 + n))),
    };
    let here = |port| SocketAddr::from(([127, 0, 0, 1], port));
    let wiring = Wiring { sockets: (0..20).map(socket).collect(), dcs: here(4840), broker: here(1883), page: here(0) };
    write(dir, devices, &wiring).unwrap();
    loaded(dir)
}

/// A class of a Modbus device, polled once a second at most.
struct Polled<'d> {
    slot: DeviceSlot,
    /// In seconds.
    every: u64,
    device: &'d Device,
    /// Ordinal, and which point of the device.
    points: Vec<(u16, usize, Decoder)>,
}

fn polled<'d>(devices: &'d [Device], config: &Config, slots: &[DeviceSlot]) -> Vec<Polled<'d>> {
    let mut all = Vec::new();
    for ((source, spec), slot) in config.devices.iter().zip(&config.specs).zip(slots) {
        let Source::Modbus(settings) = source else { continue };
        let device = devices.iter().find(|device| device.id == spec.id.as_str()).unwrap();
        for (class, polls) in (0..).zip(source.classes()) {
            let of_class = (0_u16..).zip(source.class_of()).filter(|(_, of)| *of == class);
            let point = |ordinal: u16| {
                let tag = spec.points.get(usize::from(ordinal)).unwrap().tag.as_str();
                let simulated = device.points.iter().position(|point| point.tag == tag).unwrap();
                (ordinal, simulated, Decoder::new(settings.points.get(usize::from(ordinal)).unwrap()))
            };
            let points = of_class.map(|(ordinal, _)| point(ordinal)).collect();
            all.push(Polled { slot: *slot, every: polls.interval.as_secs().max(1), device, points });
        }
    }
    all
}

fn read(point: &parkgate::sim::park::Point, decoder: &Decoder, moment: Moment, scratch: &mut Image) -> Reading {
    let (quantity, place) = (point.quantity(moment), Place { address: 0, ..point.place });
    if place.table.is_bits() {
        return decoder.bit(quantity >= 0.5);
    }
    scratch.put(&place, quantity);
    decoder.registers(scratch.registers(place.table, 0, place.encoding.width()).unwrap())
}

/// What one alarm did, in seconds of the story.
#[derive(Debug)]
struct Told {
    second: u64,
    alarm: String,
    cause: Cause,
}

/// Lets the park live for an hour, and returns what the alarms did.
fn an_hour() -> (Config, Vec<Told>, String) {
    let (devices, dir) = (park(), tempfile::tempdir().unwrap());
    let config = configured(dir.path(), &devices);
    let units = fs::read_to_string(dir.path().join("alarms.toml")).unwrap();
    let book = RegistryBook::new(StateDir::open(&dir.path().join("state")).unwrap());
    let plan = first_plan(&config, book.revision_of(&config.specs).unwrap());
    let slots: Vec<DeviceSlot> = plan.devices.iter().map(|device| device.slot).collect();
    let boot = Boot { software: "test".into(), last_seen: None, off_ms: None, clean: true };
    let mut engine = Engine::new(1, boot, plan, at(0));
    engine.restore(&Default::default(), &[], at(0));
    let polled = polled(&devices, &config, &slots);
    let (mut scratch, mut told) = (Image::default(), Vec::new());
    for second in 0..SECONDS {
        let (now, moment) = (at(second), Moment::new(Duration::from_secs(second), 1));
        for class in polled.iter().filter(|class| second.is_multiple_of(class.every)) {
            if second == 0 {
                let up = LinkChange { slot: class.slot, at: now.mono, state: LinkState::Up };
                engine.handle_event(FieldEvent::Link(up), now);
            }
            let reading = |(ordinal, simulated, decoder): &(u16, usize, Decoder)| {
                (*ordinal, read(class.device.points.get(*simulated).unwrap(), decoder, moment, &mut scratch))
            };
            let readings = class.points.iter().map(reading).collect();
            let sample = Sample { slot: class.slot, at: now.mono, origin: Origin::Polled, readings };
            engine.handle_event(FieldEvent::Sample(sample), now);
        }
        engine.handle_timeout(now);
        while engine.poll_order().is_some() {}
        while let Some(record) = engine.poll_output() {
            if let Body::Document { kind: DocumentKind::Alarm, json, .. } = &record.body {
                let AlarmRecord { alarm, cause, .. } = serde_json::from_str(json).unwrap();
                told.push(Told { second, alarm: alarm.to_string(), cause });
            }
        }
    }
    (config, told, units)
}

/// The alarms of each template's unit: their text begins with its name.
fn of_templates(config: &Config, units: &str) -> BTreeMap<String, BTreeSet<String>> {
    let table: toml::Table = units.parse().unwrap();
    let mut of = BTreeMap::new();
    for unit in table.get("unit").and_then(toml::Value::as_array).unwrap() {
        let text = |key: &str| unit.get(key).and_then(toml::Value::as_str).unwrap().to_owned();
        let begins = format!("{} ", text("name"));
        let alarms = config.alarms.book.alarms.iter().filter(|alarm| alarm.text.starts_with(&begins));
        let ids: BTreeSet<String> = alarms.map(|alarm| alarm.id.to_string()).collect();
        assert!(!ids.is_empty(), "{begins}");
        assert!(of.insert(text("template"), ids).is_none(), "one unit of each template");
    }
    of
}

#[test]
fn the_simulated_park_raises_and_clears_an_alarm_of_every_template_within_an_hour() {
    let (config, told, units) = an_hour();
    let of = of_templates(&config, &units);
    assert_eq!(of.keys().cloned().collect::<Vec<_>>(), templates::names());
    for (template, ids) in &of {
        let mine: Vec<&Told> = told.iter().filter(|told| ids.contains(&told.alarm)).collect();
        let raised: Vec<&&Told> = mine.iter().filter(|told| told.cause == Cause::Active).collect();
        let is_cleared = |raised: &Told| {
            let cleared = |told: &&Told| told.cause == Cause::Clear && told.alarm == raised.alarm;
            mine.iter().any(|told| cleared(told) && told.second > raised.second)
        };
        assert!(raised.iter().any(|raised| is_cleared(raised)), "{template}: {mine:?}");
        let first = raised.iter().map(|raised| raised.second).min().unwrap();
        if OF_THE_TRANSFER.contains(&template.as_str()) {
            assert!(first >= TRANSFER, "{template}: {mine:?}");
        } else {
            assert!(first >= TROUBLE && raised.len() <= 2, "{template}: {mine:?}");
            assert!(raised.iter().all(|raised| is_cleared(raised)), "{template}: {mine:?}");
        }
    }
    assert_eq!(Trouble::ALL.len() + OF_THE_TRANSFER.len(), of.len());
}
