//! A park for the tests of the page: twelve devices that live by the clock, one of them down, some values bad, one
//! name that tries to be markup; switches for what can go wrong.

pub(crate) mod gates;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use parkgate::clock::Clock;
use parkgate::domain::danger::view::DangerView;
use parkgate::domain::field_event::LinkState;
use parkgate::domain::id::{DeviceId, DeviceSlot, PointUid, Tag};
use parkgate::domain::reading::{Quality, Reading, Value};
use parkgate::domain::record::GapReason;
use parkgate::domain::registry::{Commissioning, Deadband, DeviceSpec, PlatformCodes, PointSpec, Registry};
use parkgate::domain::snapshot::{
    BusStatus, ClassView, ClockStatus, DeliveryStatus, DeviceView, PointView, SessionStatus, Snapshot, StoreStatus,
    StreamStatus, Totals, UplinkStatus,
};
use parkgate::domain::time::{ClockTrust, Mono, Now, Timestamp};
use parkgate::web::{Gates, Identity, Park, Readiness, Trend, TrendError, TrendSample};

/// Id, name, and for each point: tag, name, unit, decimals, low, high.
type DeviceFacts = (&'static str, &'static str, &'static [PointFacts]);
type PointFacts = (&'static str, &'static str, &'static str, u8, f64, f64);

const TANK: &[PointFacts] = &[
    ("TT101", "1#甲醇储罐温度", "℃", 1, -20.0, 80.0),
    ("LT101", "1#甲醇储罐液位", "m", 3, 0.0, 12.0),
    ("PT101", "1#甲醇储罐压力", "kPa", 2, 0.0, 250.0),
    ("FT101", "进料流量", "m³/h", 1, 0.0, 120.0),
    ("XV101", "进料切断阀开到位", "", 0, 0.0, 1.0),
    ("TT102", "2#甲醇储罐温度", "℃", 1, -20.0, 80.0),
    ("LT102", "2#甲醇储罐液位", "m", 3, 0.0, 12.0),
    ("PT102", "2#甲醇储罐压力", "kPa", 2, 0.0, 250.0),
];
const GAS: &[PointFacts] = &[
    ("AT701", "罐区东侧可燃气体", "%LEL", 1, 0.0, 100.0),
    ("AT702", "罐区西侧可燃气体", "%LEL", 1, 0.0, 100.0),
    ("AT703", "装卸台硫化氢", "ppm", 1, 0.0, 100.0),
    ("AT704", "泵房氨气", "ppm", 0, 0.0, 150.0),
];

const DEVICES: [DeviceFacts; 12] = [
    ("plc-tank-1", "甲醇罐区 PLC 1", TANK),
    ("plc-tank-2", "液氨罐区 PLC 2", TANK),
    ("gauge-201", "201# 储罐液位计", TANK),
    ("gauge-202", "202# 储罐液位计", TANK),
    ("gas-07", "气体报警控制器 07", GAS),
    ("gas-08", "气体报警控制器 08", GAS),
    ("gas-09", "气体报警控制器 09", GAS),
    ("ats-1", "1# 双电源切换开关", TANK),
    ("plc-fire", "消防泵房 PLC", TANK),
    ("plc-load", "装卸台 PLC", TANK),
    ("met-1", "气象站 <script>alert(1)</script>", GAS),
    ("plc-waste", "污水处理 PLC", TANK),
];

/// The device that does not answer.
pub(crate) const DOWN: usize = 6;

/// The fake; see the module.
#[derive(Clone)]
pub(crate) struct FakePark {
    clock: Clock,
    began: Mono,
    registry: Arc<Registry>,
    pub(crate) switches: Arc<Switches>,
}

/// What can go wrong, and what was asked.
#[derive(Default)]
pub(crate) struct Switches {
    /// The engine does not answer.
    pub(crate) silent: AtomicBool,
    /// The store failed.
    pub(crate) failed: AtomicBool,
    /// Snapshots asked for.
    pub(crate) snapshots: AtomicU64,
}

impl FakePark {
    pub(crate) fn new() -> Self {
        let clock = Clock::system();
        let devices = DEVICES.iter().enumerate().map(|(d, facts)| Arc::new(device(d, facts))).collect();
        let registry = Arc::new(Registry { rev: 7, devices });
        Self { began: clock.mono(), clock, registry, switches: Arc::default() }
    }

    fn seconds(&self) -> f64 {
        self.clock.mono().since(self.began).as_secs_f64()
    }

    fn view(&self, d: usize, spec: &DeviceSpec, now: Now) -> DeviceView {
        let down = d == DOWN;
        let link = if down {
            LinkState::Down { reason: "no answer within 1 s".to_owned(), retry: Duration::from_secs(8) }
        } else {
            LinkState::Up
        };
        let points = spec.points.iter().enumerate().map(|(p, spec)| self.point(d, p, spec, now)).collect();
        let since = if down { Duration::from_secs(245) } else { Duration::from_secs(183_600) };
        DeviceView { slot: slot(d), link, link_since: Some(now.mono - since), classes: classes(d), points }
    }

    #[expect(clippy::cast_precision_loss, reason = "small indices")]
    fn point(&self, d: usize, p: usize, spec: &PointSpec, now: Now) -> PointView {
        let (low, high) = spec.range.unwrap_or((0.0, 1.0));
        let phase = (d * 7 + p * 3) as f64;
        let share = 0.45 + 0.3 * (self.seconds() / 20.0 + phase).sin();
        let at = now.mono - Duration::from_millis(40 + 90 * (p as u64));
        let value = Value::Number(round(low + share * (high - low), spec.decimals));
        let reading = match (d, p) {
            (DOWN, _) => Reading::missing(Quality::Comm),
            (0, 3) => Reading::new(Some(Value::Number(127.3)), Quality::OverRange),
            (1, 1) => Reading::good(Value::Number(0.0)),
            (4, 1) => Reading::missing(Quality::Sensor),
            (4, 3) => Reading::new(Some(value), Quality::Calibration),
            (_, 4) if spec.decimals == Some(0) => Reading::good(Value::Bool(true)),
            _ => Reading::good(value),
        };
        match (d, p) {
            (11, 7) => PointView { reading: None, at: None, state: None },
            (1, 5) => PointView { reading: Some(reading), at: Some(now.mono - Duration::from_secs(14)), state: None },
            _ => PointView { reading: Some(reading), at: Some(at), state: None },
        }
    }
}

fn round(value: f64, decimals: Option<u8>) -> f64 {
    let factor = 10_f64.powi(i32::from(decimals.unwrap_or(3)));
    (value * factor).round() / factor
}

fn slot(d: usize) -> DeviceSlot {
    DeviceSlot(u32::try_from(d).unwrap())
}

fn device(d: usize, (id, name, points): &DeviceFacts) -> DeviceSpec {
    let specs = points.iter().map(|facts| point(d, facts)).collect();
    DeviceSpec { id: DeviceId::new(*id), name: (*name).to_owned(), points: specs }
}

fn point(d: usize, (tag, name, unit, decimals, low, high): &PointFacts) -> PointSpec {
    // Tags are unique in the gateway: the first device keeps the plain ones.
    let tag = if d == 0 || d == 4 { (*tag).to_owned() } else { format!("{tag}-{d}") };
    PointSpec {
        uid: PointUid::new(format!("p-{d}-{tag}")),
        tag: Tag::new(tag),
        name: (*name).to_owned(),
        unit: (*unit).to_owned(),
        decimals: Some(*decimals),
        range: (*high > 1.0).then_some((*low, *high)),
        deadband: Deadband::Absolute(0.1),
        max_silence: Duration::from_secs(60),
        interval: Duration::from_secs(1),
        platform: PlatformCodes {
            equipment: Some("T-101".to_owned()),
            kind: Some("temperature".to_owned()),
            ..PlatformCodes::default()
        },
        commissioning: Commissioning::InService,
        instrument: None,
    }
}

fn classes(d: usize) -> Vec<ClassView> {
    let class = |interval: u64, p99: u64| ClassView {
        interval: Duration::from_millis(interval),
        p50: (d != DOWN).then(|| Duration::from_micros(interval * 1000 + 300)),
        p95: (d != DOWN).then(|| Duration::from_millis(p99)),
        p99: (d != DOWN).then(|| Duration::from_millis(p99)),
        worst_late: Duration::from_millis(11 + 3 * (d as u64)),
        due: 183_600,
        ok: if d == DOWN { 181_020 } else { 183_598 },
        bad: if d == DOWN { 2_580 } else { 2 },
        skipped: if d == 2 { 31 } else { 0 },
    };
    match d {
        0 => vec![class(200, 204), class(1000, 1004)],
        2 => vec![class(1000, 1320)],
        _ => vec![class(1000, 1003)],
    }
}

impl Park for FakePark {
    fn identity(&self) -> Identity {
        Identity {
            park: "demo-park".to_owned(),
            gateway: "gw-east".to_owned(),
            name: "东区网关".to_owned(),
            epoch: "01KARCSEK0000000000000DEMO".to_owned(),
            boot: 17,
        }
    }

    async fn snapshot(&self) -> Option<Arc<Snapshot>> {
        self.switches.snapshots.fetch_add(1, Ordering::Relaxed);
        if self.switches.silent.load(Ordering::Relaxed) {
            return None;
        }
        let now = self.now();
        let devices = self.registry.devices.iter().enumerate().map(|(d, spec)| self.view(d, spec, now)).collect();
        let totals = Totals {
            readings: 16_523_118 + u64::try_from(now.mono.since(self.began).as_millis()).unwrap() / 11,
            readings_bad: 10_320,
            values_recorded: 2_412_007,
            records: [0, 0, 42, 7, 1, 1_120_004],
            polls_due: 2_386_800,
            polls_skipped: 31,
            states_unknown: 0,
            stale_events: 0,
            worst_late: Duration::from_millis(44),
        };
        let registry = Arc::clone(&self.registry);
        let started = now.mono - Duration::from_secs(183_600).min(now.mono.since_start());
        let danger = DangerView::quiet(now);
        Some(Arc::new(Snapshot { now, boot: 17, started, registry, devices, totals, danger }))
    }

    async fn gates(&self) -> Gates {
        match self.switches.silent.load(Ordering::Relaxed) {
            true => Gates::Silent,
            false => Gates::View(Arc::new(gates::view(self.now()))),
        }
    }

    fn store(&self) -> Arc<StoreStatus> {
        let now = self.now().wall;
        let stream = |first, stored, bytes, waiting| StreamStatus {
            first,
            stored,
            next: stored + 1,
            bytes,
            segments: u64::from(stored > 0),
            oldest: (stored > 0).then(|| now.before(Duration::from_secs(2_300_000))),
            waiting,
            lost: 0,
        };
        let mut telemetry = stream(1, 1_120_004, 1_288_490_188, 1240);
        telemetry.segments = 39;
        telemetry.lost = 118;
        let failed = self.switches.failed.load(Ordering::Relaxed);
        Arc::new(StoreStatus {
            epoch: self.identity().epoch,
            healthy: !failed,
            trouble: failed.then(|| "fsync failed: input/output error".to_owned()),
            streams: [
                stream(0, 0, 0, 0),
                stream(0, 0, 0, 0),
                stream(1, 42, 81_920, 0),
                stream(1, 7, 204_800, 0),
                stream(1, 1, 4096, 0),
                telemetry,
            ],
            bytes: 1_288_780_000,
            quota_bytes: 2 << 30,
            free_bytes: Some(11_900_000_000),
            gaps_open: 1,
            gaps_total: 3,
            lost: vec![(GapReason::CrashUncommitted, 118)],
            quarantined: 0,
            reopened: 0,
            worst_commit: Duration::from_millis(212),
            commits: 367_411,
        })
    }

    fn uplink(&self) -> Arc<UplinkStatus> {
        let now = self.now().mono;
        let session = |name, up: bool| SessionStatus {
            name,
            up,
            since: Some(now - Duration::from_secs(3_725)),
            attempts: 3,
            trouble: (!up).then(|| "connection refused".to_owned()),
        };
        let mut streams = [DeliveryStatus::default(); 6];
        streams[2] = DeliveryStatus { delivered: 42, in_flight: 0, waiting: 0, resent: 0, let_go: 0 };
        streams[5] = DeliveryStatus { delivered: 1_118_646, in_flight: 80, waiting: 1_240, resent: 12, let_go: 0 };
        Arc::new(UplinkStatus {
            configured: true,
            broker: "mqtt.city.example:8883 (TLS)".to_owned(),
            sessions: vec![session("urgent", true), session("bulk", true), session("commands", false)],
            streams,
            last_ack: Some(now - Duration::from_millis(420)),
            live_age: Some(Duration::from_millis(38)),
            refused: vec![("ack_garbage", 2), ("command_expired", 1)],
        })
    }

    fn buses(&self) -> Vec<Arc<BusStatus>> {
        Vec::new()
    }

    fn clock(&self) -> ClockStatus {
        let error = Some(Duration::from_micros(1_840));
        ClockStatus {
            trust: ClockTrust::Holdover,
            steps: 1,
            last_step_ms: Some(-312),
            since_synced: Some(Duration::from_secs(3_725)),
            max_error: error,
        }
    }

    fn now(&self) -> Now {
        Now { trust: ClockTrust::Holdover, ..self.clock.now() }
    }

    fn ready(&self) -> Readiness {
        let failed = self.switches.failed.load(Ordering::Relaxed);
        let reasons = if failed { vec!["the store has failed".to_owned()] } else { Vec::new() };
        Readiness { live: true, ready: !failed, reasons }
    }

    async fn trend(&self, tag: &str) -> Result<Trend, TrendError> {
        if tag.starts_with("PT") {
            return Err(TrendError::Unavailable("segment 12 is being salvaged".to_owned()));
        }
        let to = self.now().wall;
        let from = to.before(Duration::from_secs(3600));
        let tag = Tag::new(tag);
        let holes = vec![(from.after(Duration::from_secs(1_000)), from.after(Duration::from_secs(1_300)))];
        Ok(Trend { tag, from, to, samples: samples(from), holes, hold: Duration::from_secs(62) })
    }

    /// One passage has one picture.
    async fn picture(&self, passage: &str, number: u8) -> Option<Vec<u8>> {
        (passage == "in.3.17" && number == 0).then(|| vec![0xFF, 0xD8, 0xFF, 0xD9])
    }

    fn version(&self) -> &'static str {
        "0.1.0"
    }
}

/// An hour with a step, a device that did not answer for four minutes, and a time above its range.
fn samples(from: Timestamp) -> Vec<TrendSample> {
    let sample = |second: u32| {
        let t = f64::from(second);
        let value = 23.0 + 4.0 * (t / 600.0).sin() + 0.3 * (t / 17.0).sin();
        let reading = match second {
            2000..2240 => Reading::missing(Quality::Comm),
            2700..2900 => Reading::new(Some(Value::Number(81.0)), Quality::OverRange),
            _ => Reading::good(Value::Number(round(value, Some(1)))),
        };
        TrendSample { at: from.after(Duration::from_secs(u64::from(second))), reading }
    };
    (0..3600).step_by(5).map(sample).collect()
}
