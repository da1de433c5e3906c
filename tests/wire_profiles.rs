//! Each shipped profile against a simulated device whose registers are written here by hand, word for word, so that a
//! mistake in a profile shows; and a detector in calibration on the whole way, from the register to the platform's JSON.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, reason = "a test may")]

#[path = "wire_modbus_rig/mod.rs"]
mod rig;

use std::path::Path;
use std::sync::Arc;

use parkgate::clock::Clock;
use parkgate::config::{self, Config};
use parkgate::domain::codec;
use parkgate::domain::engine::{Engine, Plan, PlanDevice};
use parkgate::domain::id::DeviceSlot;
use parkgate::domain::record::{Boot, Entry};
use parkgate::domain::registry::Registry;
use parkgate::domain::time::Now;
use parkgate::field::settings::{Device, Source};
use parkgate::sim::image::Image;
use parkgate::sim::server::Server;
use parkgate::uplink::payload::Writer;
use parkgate::uplink::source::Registries;
use rig::{DEADLINE, Reader};

struct One(Arc<Registry>);

impl Registries for One {
    fn get(&self, _: u32) -> Option<Arc<Registry>> {
        Some(Arc::clone(&self.0))
    }
}

/// A gateway without its disk: link, engine, and the JSON of every telemetry record.
struct Line {
    reader: Reader,
    engine: Engine,
    writer: Writer<One>,
    clock: Clock,
    told: Vec<serde_json::Value>,
}

impl Line {
    fn start(config: &Config) -> Self {
        let devices: Vec<Device> = config.devices.iter().map(modbus).collect();
        let plan = devices.iter().zip(0..).map(|(device, slot)| PlanDevice {
            slot: DeviceSlot(slot),
            classes: device.classes.iter().map(|c| c.interval).collect(),
            class_of: device.points.iter().map(|p| p.class).collect(),
        });
        let registry = Arc::new(Registry { rev: 1, devices: config.specs.clone() });
        let danger = parkgate::domain::danger::Rules::default();
        let plan =
            Plan { registry: Arc::clone(&registry), registry_json: "{}".into(), devices: plan.collect(), danger };
        let clock = Clock::system();
        let boot = Boot { software: "test".into(), last_seen: None, off_ms: None, clean: true };
        let engine = Engine::new(1, boot, plan, clock.now());
        let writer = Writer::new(One(registry), "gw", "epoch");
        Self { reader: Reader::start(rig::link(devices)), engine, writer, clock, told: Vec::new() }
    }

    /// Lets the line run until what stands of `tag` is `wanted`: value and quality.
    async fn until(&mut self, tag: &str, wanted: (&str, &str)) {
        let run = async {
            while self.stands(tag) != (wanted.0.to_owned(), wanted.1.to_owned()) {
                let event = self.reader.events.recv().await.unwrap();
                self.engine.handle_event(event, self.clock.now());
                self.drain();
            }
        };
        if tokio::time::timeout(DEADLINE, run).await.is_err() {
            panic!("{tag}: {:?} instead of {wanted:?}", self.stands(tag));
        }
    }

    fn stands(&self, tag: &str) -> (String, String) {
        let snapshot = self.engine.snapshot(self.now());
        let devices = snapshot.registry.devices.iter().zip(&snapshot.devices);
        let mut points = devices.flat_map(|(spec, view)| spec.points.iter().zip(&view.points));
        let (_, view) = points.find(|(spec, _)| spec.tag.as_str() == tag).unwrap_or_else(|| panic!("no point {tag}"));
        let Some(reading) = view.reading else { return ("unread".to_owned(), String::new()) };
        (reading.value().map_or("-".to_owned(), |v| v.to_string()), reading.quality.as_str().to_owned())
    }

    fn now(&self) -> Now {
        self.clock.now()
    }

    fn drain(&mut self) {
        while let Some(record) = self.engine.poll_output() {
            let body = codec::encode(&record.body, self.engine.registry());
            let mut out = Vec::new();
            self.writer.record(&mut out, &Entry { seq: 1, stamp: record.stamp, body }, false);
            self.told.push(serde_json::from_slice(&out).unwrap());
        }
    }
}

fn modbus(source: &Source) -> Device {
    match source {
        Source::Modbus(device) => (**device).clone(),
        Source::OpcUa(_) | Source::Derived { .. } => panic!("{} is not polled by Modbus", source.id()),
    }
}

/// A folder whose devices are all behind one server.
fn configured(port: u16, devices: &str) -> Config {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, text: String| std::fs::write(dir.path().join(name), text).unwrap();
    let folders =
        "[store]\ndir = \"s\"\nmirror_dir = \"m\"\nstate_dir = \"t\"\n[store.streams.telemetry]\nretention = \"1h\"\n";
    file("gateway.toml", format!("[gateway]\npark = \"p\"\nid = \"g\"\n{folders}"));
    let classes = "[classes]\nfast = \"100ms\"\nnormal = \"100ms\"\nslow = \"200ms\"\n";
    file("devices.toml", format!("{classes}[defaults]\nport = {port}\n{devices}"));
    let loaded = config::load(dir.path()).unwrap_or_else(|problems| panic!("{problems}"));
    assert!(loaded.warnings.is_empty(), "{}", config::report(&loaded.warnings));
    loaded.config
}

/// A simulated device: its profile, its registers, and what is to be read of it.
struct Simulated {
    profile: &'static str,
    image: Image,
    reads: &'static [(&'static str, &'static str, &'static str)],
}

fn image(holding: &[u16], input: &[u16], discretes: &[u8]) -> Image {
    let bits = discretes.iter().map(|bit| *bit == 1).collect();
    Image { coils: Vec::new(), discretes: bits, holding: holding.to_vec(), input: input.to_vec() }
}

/// 32-bit floats, high word first, as their bits.
fn floats(bits: &[u32]) -> Vec<u16> {
    bits.iter().flat_map(|b| [u16::try_from(b >> 16).unwrap(), u16::try_from(b & 0xFFFF).unwrap()]).collect()
}

#[expect(clippy::too_many_lines, reason = "one list")]
fn simulated() -> Vec<Simulated> {
    let mut tanks = vec![0_u16; 40];
    // 5.71 m, 23.4 ℃, 1.2 kPa, 448.5 m³, 0.1 m.
    tanks[..10].copy_from_slice(&floats(&[0x40B6_B852, 0x41BB_3333, 0x3F99_999A, 0x43E0_4000, 0x3DCC_CCCD]));
    let mut tailings = vec![0_u16; 40];
    tailings[2..4].copy_from_slice(&floats(&[0x42AC_8000])); // 86.25 m
    tailings[20..24].copy_from_slice(&floats(&[0x4088_0000, 0x413C_0000])); // 4.25 mm, 11.75 m
    let midas = [0x0041, 0, 0x0000, 0x4148, 0, 0, 0, 23, 8760, 0, 500, 0, 0x0000, 0x40A0, 0x0000, 0x4120];
    vec![
        Simulated {
            profile: "gas-controller",
            image: image(&[], &[250, 0, 1, 500, 2, 2, 30, 7, 0, 31, 5, 0, 32, 9, 0, 1005, 0, 2, 0, 0, 0, 0, 0, 0], &[]),
            reads: &[
                ("gas-controller.01", "25", "good"),
                ("gas-controller.02", "-", "calibration"),
                ("gas-controller.02.ALM", "2", "good"),
                ("gas-controller.03", "-", "sensor"),
                ("gas-controller.04", "3.1", "maintenance"),
                ("gas-controller.05", "3.2", "suspect"),
                ("gas-controller.06", "100.5", "over_range"),
                ("gas-controller.07", "0", "good"),
            ],
        },
        Simulated {
            profile: "gas-detector-midas",
            image: image(&midas, &[], &[]),
            reads: &[
                ("gas-detector-midas.C", "12.5", "good"),
                ("gas-detector-midas.LO", "1", "good"),
                ("gas-detector-midas.HI", "0", "good"),
                ("gas-detector-midas.T", "23", "good"),
                ("gas-detector-midas.LIFE", "8760", "good"),
                ("gas-detector-midas.FLOW", "500", "good"),
                ("gas-detector-midas.LO.SET", "5", "good"),
                ("gas-detector-midas.HI.SET", "10", "good"),
            ],
        },
        Simulated {
            // The vector of domain.md B8, with its alarm settings.
            profile: "gas-detector-ya-k300",
            image: image(&[0x00FA, 1, 1, 0x00F5, 1, 100, 0x00FA, 0x01F4], &[], &[]),
            reads: &[
                ("gas-detector-ya-k300", "25", "good"),
                ("gas-detector-ya-k300.ALM", "1", "good"),
                ("gas-detector-ya-k300.T", "24.5", "good"),
                ("gas-detector-ya-k300.HI", "50", "good"),
            ],
        },
        Simulated {
            profile: "analog-4-20",
            image: image(&[], &[12_000, 3_500, 20_700, 21_500, 3_700, 4_000, 20_000, 3_900], &[]),
            reads: &[
                ("analog-4-20.AI1", "50", "good"),
                ("analog-4-20.AI2", "-", "sensor"),
                ("analog-4-20.AI3", "104.375", "over_range"),
                ("analog-4-20.AI4", "-", "sensor"),
                ("analog-4-20.AI5", "-1.875", "under_range"),
                ("analog-4-20.AI7", "100", "good"),
                ("analog-4-20.AI8", "-0.625", "good"),
            ],
        },
        Simulated {
            profile: "weighbridge",
            image: image(&[0x0000, 0x7EC2, 0x0000, 0x3A98, 0x0001], &[], &[]),
            reads: &[
                ("weighbridge.W", "32450", "good"),
                ("weighbridge.TARE", "15000", "good"),
                ("weighbridge.STABLE", "1", "good"),
                ("weighbridge.OVER", "0", "good"),
            ],
        },
        Simulated {
            profile: "water-quality",
            // pH 7.2, COD 45.5, NH3-N 1.5, TP 0.25, TN 9.75, 12.5 L/s, 123456.7 m³.
            image: image(
                &[
                    &[0][..],
                    &floats(&[0x40E6_6666, 0x4236_0000, 0x3FC0_0000, 0x3E80_0000, 0x411C_0000, 0x4148_0000, 1_234_567]),
                ]
                .concat(),
                &[],
                &[],
            ),
            reads: &[
                ("water-quality.PH", "7.2", "good"),
                ("water-quality.COD", "45.5", "good"),
                ("water-quality.TN", "9.75", "good"),
                ("water-quality.FLOW", "12.5", "good"),
                ("water-quality.TOTAL", "123456.7", "good"),
            ],
        },
        Simulated {
            profile: "tailings-logger",
            image: image(&[], &tailings, &[]),
            reads: &[
                ("tailings-logger.LT", "86.25", "good"),
                ("tailings-logger.GT01", "4.25", "good"),
                ("tailings-logger.ZT01", "11.75", "good"),
                ("tailings-logger.ST", "0", "good"),
            ],
        },
        Simulated {
            profile: "weather-station",
            image: image(&[35, 270, 0xFFE7, 655, 10_132, 12, 340], &[], &[]),
            reads: &[
                ("weather-station.WS", "3.5", "good"),
                ("weather-station.WD", "270", "good"),
                ("weather-station.T", "-2.5", "good"),
                ("weather-station.RH", "65.5", "good"),
                ("weather-station.P", "1013.2", "good"),
                ("weather-station.RAIN1H", "1.2", "good"),
                ("weather-station.RAIN24H", "34", "good"),
            ],
        },
        Simulated {
            profile: "fire-panel",
            image: image(&[], &[452, 398, 375, 2], &[1, 0, 1, 1, 0, 0, 1, 0, 1]),
            reads: &[
                ("fire-panel.FIRE", "1", "good"),
                ("fire-panel.FAULT", "0", "good"),
                ("fire-panel.P.AUTO", "1", "good"),
                ("fire-panel.PT1", "0.452", "good"),
                ("fire-panel.LT1", "3.75", "good"),
                ("fire-panel.N", "2", "good"),
            ],
        },
        Simulated {
            profile: "tank-gauge",
            image: image(&[], &tanks, &[0, 1, 0, 0]),
            reads: &[
                ("tank-gauge.-LT01", "5.71", "good"),
                ("tank-gauge.-TT01", "23.4", "good"),
                ("tank-gauge.-VT01", "448.5", "good"),
                ("tank-gauge.-WT01", "0.1", "good"),
                ("tank-gauge.-LSH02", "1", "good"),
            ],
        },
        Simulated {
            profile: "transfer-switch",
            image: image(&[], &[2301, 2302, 2303, 2298, 2299, 2300, 5001, 4999, 1, 37, 60, 75], &[1, 1, 1, 0, 0, 0]),
            reads: &[
                ("transfer-switch.U1A", "230.1", "good"),
                ("transfer-switch.U2C", "230", "good"),
                ("transfer-switch.F2", "49.99", "good"),
                ("transfer-switch.POS", "1", "good"),
                ("transfer-switch.CNT", "37", "good"),
                ("transfer-switch.FUEL", "75", "good"),
                ("transfer-switch.AUTO", "1", "good"),
                ("transfer-switch.GEN", "0", "good"),
            ],
        },
    ]
}

#[tokio::test]
async fn every_shipped_profile_reads_its_simulated_device() {
    let all = simulated();
    let shipped = std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("config/profiles")).unwrap();
    let shipped: Vec<_> =
        shipped.map(|f| f.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned()).collect();
    for name in &shipped {
        assert!(all.iter().any(|s| s.profile == name), "{name} has no simulated device");
    }
    let units = || (1..).zip(&all);
    let server = Server::start(units().map(|(unit, _)| unit)).await.unwrap();
    let mut devices = String::new();
    for (unit, Simulated { profile, image, .. }) in units() {
        server.show(unit, Arc::new(image.clone()));
        let device = format!("id = \"{profile}\"\nhost = \"127.0.0.1\"\nunit = {unit}\nprofile = \"{profile}\"\n");
        devices.push_str(&format!("[[device]]\n{device}"));
    }
    let mut line = Line::start(&configured(server.addr().port(), &devices));
    for (tag, value, quality) in all.iter().flat_map(|s| s.reads) {
        line.until(tag, (value, quality)).await;
    }
    assert_eq!(server.writes(), 0);
    line.reader.stop().await;
}

/// Concentration in tenths and state of channel 1; test gas is 60 %LEL.
async fn calibrate(keys: &str) -> Vec<serde_json::Value> {
    let server = Server::start([1]).await.unwrap();
    let show = |tenths: u16, state: u16| server.show(1, Arc::new(image(&[], &[tenths, state, 0], &[])));
    show(20, 0);
    let device = "[[device]]\nid = \"gas\"\nhost = \"127.0.0.1\"\nprofile = \"gas-controller\"\nchannels = 1\n";
    let config = configured(server.addr().port(), &format!("{device}tags = \"GD-7\"\n{keys}"));
    let mut line = Line::start(&config);
    line.until("GD-701", ("2", "good")).await;
    for state in [2, 3, 4] {
        show(600, state);
        line.until("GD-701.ST", (&state.to_string(), "good")).await;
        line.until("GD-701", ("-", "calibration")).await;
    }
    show(21, 0);
    line.until("GD-701", ("2.1", "good")).await;
    line.reader.stop().await;
    line.told
}

#[tokio::test]
async fn a_detector_in_calibration_never_looks_like_a_measurement_from_the_register_to_the_platform() {
    // Value and state in one request; and in two, so that the state may change between them.
    for keys in ["", "max_registers = 1\n"] {
        let told = calibrate(keys).await;
        let gas: Vec<_> =
            told.iter().filter(|r| !r["values"]["GD-701"].is_null() || !r["quality"]["GD-701"].is_null()).collect();
        assert!(gas.iter().any(|r| r["quality"]["GD-701"] == "calibration"), "{gas:?}");
        for record in &gas {
            let value = &record["values"]["GD-701"];
            assert!(value.is_null() || value.as_f64().is_some_and(|v| v < 3.0), "test gas on the wire: {record}");
            assert!(value.is_null() || record["quality"]["GD-701"].is_null(), "{record}");
        }
        let states: Vec<_> = told.iter().filter_map(|r| r["values"]["GD-701.ST"].as_f64()).collect();
        assert_eq!(
            states.iter().copied().fold(Vec::new(), |mut seen, s| {
                if seen.last() != Some(&s) {
                    seen.push(s);
                }
                seen
            }),
            [0.0, 2.0, 3.0, 4.0, 0.0],
            "the state itself travels"
        );
    }
}
