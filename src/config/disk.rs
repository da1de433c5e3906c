//! How much disk a configuration needs, with the arithmetic shown.
//!
//! ```text
//! stored values/s = Σ over points: deadband off → 1 / interval
//!                                  else        → max(expected_change / interval, 1 / max_silence)
//! telemetry/s     = stored values/s × 6 B  +  devices × 48 B / 60 s
//! telemetry       = telemetry/s × retention of telemetry, at least its reservation
//! need            = telemetry + reserved of the five other streams        ≤ quota
//! ```
//!
//! 6 B per value: compressed batches of 2..16 KiB, with their share of record heads, time index and sled's own
//! bookkeeping. `expected_change` (`[store]`, default 0.3) is the assumed share of readings that leave the deadband;
//! where a park is livelier, telemetry is kept for less than its retention, and the oldest goes as a recorded gap.

use std::fmt;

use super::Config;
use super::value::show_duration;
use crate::buffer::settings::Settings;
use crate::domain::record::Stream;
use crate::domain::registry::{Deadband, PointSpec};

/// Bytes on disk per stored value.
pub const BYTES_PER_VALUE: f64 = 6.0;

/// Bytes on disk per coverage record; each device has one a minute.
pub const BYTES_PER_COVERAGE: f64 = 48.0;

/// Default reservations of the five streams above telemetry together, at a quota of 2 GiB or more.
const DEFAULT_RESERVED: f64 = 224.0 * 1024.0 * 1024.0;

/// What the configuration needs, all in bytes unless named otherwise.
#[derive(Clone, Debug, PartialEq)]
pub struct DiskNeed {
    /// Points.
    pub points: usize,
    /// Devices.
    pub devices: usize,
    /// Values read per second.
    pub read_per_second: f64,
    /// Values expected to be stored per second.
    pub stored_per_second: f64,
    /// Assumed share of readings that leave the deadband.
    pub expected_change: f64,
    /// Bytes of telemetry per second.
    pub telemetry_per_second: f64,
    /// Retention of telemetry in seconds.
    pub retention_seconds: f64,
    /// Telemetry over its retention, at least its reservation.
    pub telemetry: f64,
    /// Reservations of the other streams.
    pub reserved: f64,
    /// Telemetry and reservations together; what the quota must hold.
    pub need: f64,
    /// The quota as configured.
    pub quota: f64,
    /// The ballast, beside the quota.
    pub ballast: f64,
}

/// Computes the need.
pub fn disk_need(config: &Config) -> DiskNeed {
    let points = config.specs.iter().flat_map(|device| &device.points);
    need_of(points, config.specs.len(), &config.store, config.expected_change)
}

#[expect(clippy::cast_precision_loss, reason = "an estimate; bytes beyond 2^53 do not exist here")]
fn need_of<'a>(
    points: impl Iterator<Item = &'a PointSpec> + Clone,
    devices: usize,
    store: &Settings,
    expected_change: f64,
) -> DiskNeed {
    let stored_per_second = points.clone().map(|p| stored_rate(p, expected_change)).sum::<f64>();
    let telemetry_per_second = stored_per_second * BYTES_PER_VALUE + devices as f64 * BYTES_PER_COVERAGE / 60.0;
    let reserved_of = |stream: Stream| store.streams.get(stream.rank()).map_or(0.0, |s| s.reserved_bytes as f64);
    let retention = store.streams.get(Stream::Telemetry.rank()).map(|s| s.retention).unwrap_or_default();
    let telemetry = (telemetry_per_second * retention.as_secs_f64()).max(reserved_of(Stream::Telemetry));
    let reserved = Stream::ALL.into_iter().filter(|s| *s != Stream::Telemetry).map(reserved_of).sum::<f64>();
    DiskNeed {
        points: points.clone().count(),
        devices,
        read_per_second: points.map(|p| rate(p.interval)).sum(),
        stored_per_second,
        expected_change,
        telemetry_per_second,
        retention_seconds: retention.as_secs_f64(),
        telemetry,
        reserved,
        need: telemetry + reserved,
        quota: store.quota_bytes as f64,
        ballast: store.ballast_bytes as f64,
    }
}

impl DiskNeed {
    /// Returns whether the quota holds it.
    pub fn fits(&self) -> bool {
        self.need <= self.quota
    }

    /// Returns the smallest round quota that would hold it, e.g. `3GiB`. Default reservations grow with a small quota,
    /// so it leaves room for them.
    pub fn fitting_quota(&self) -> String {
        let (gib, mib) = (f64::from(1 << 30), f64::from(1 << 20));
        let need = self.telemetry + self.reserved.max(DEFAULT_RESERVED);
        if need > gib { format!("{:.0}GiB", (need / gib).ceil()) } else { format!("{:.0}MiB", (need / mib).ceil()) }
    }

    /// Returns the longest round retention of telemetry that the quota holds; `None` when not even a minute fits.
    pub fn fitting_retention(&self) -> Option<String> {
        let seconds = (self.quota - self.reserved) / self.telemetry_per_second.max(f64::MIN_POSITIVE);
        let unit = [("d", 86_400.0), ("h", 3600.0), ("min", 60.0)].into_iter().find(|(_, unit)| seconds >= *unit);
        unit.map(|(name, unit)| format!("{:.0}{name}", (seconds / unit).floor().min(3650.0)))
    }
}

impl fmt::Display for DiskNeed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keep = show_duration(std::time::Duration::from_secs_f64(self.retention_seconds));
        let Self { points, devices, read_per_second: read, stored_per_second: stored, expected_change, .. } = self;
        let [rate, over, telemetry, reserved, need, quota, ballast] = [
            self.telemetry_per_second,
            self.telemetry_per_second * self.retention_seconds,
            self.telemetry,
            self.reserved,
            self.need,
            self.quota,
            self.ballast,
        ]
        .map(Bytes);
        writeln!(
            f,
            "{devices} 台设备 {points} 个测点，每秒读 {read:.0} 个值 | {points} points of {devices} devices, {read:.0} values/s read"
        )?;
        writeln!(
            f,
            "expected_change = {expected_change}：每秒约存 {stored:.0} 个值、{rate} | about {stored:.0} values/s and {rate}/s stored"
        )?;
        writeln!(
            f,
            "遥测 {keep} 需 {over}，至少按保留空间计 {telemetry} | telemetry for {keep}: {over}, counted with its reservation {telemetry}"
        )?;
        writeln!(f, "其他流保留 {reserved} | reserved for the other streams: {reserved}")?;
        writeln!(
            f,
            "共需 {need}，quota {quota}，另有 ballast {ballast} | need: {need} of quota {quota}, beside a ballast of {ballast}"
        )
    }
}

/// Bytes for people: three digits.
#[derive(Clone, Copy)]
pub(super) struct Bytes(pub(super) f64);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = ["KiB", "MiB", "GiB", "TiB"];
        let (mut value, mut unit) = (self.0, "B");
        for next in units {
            if value >= 1024.0 {
                (value, unit) = (value / 1024.0, next);
            }
        }
        if value < 10.0 { write!(f, "{value:.1} {unit}") } else { write!(f, "{value:.0} {unit}") }
    }
}

fn stored_rate(point: &PointSpec, expected_change: f64) -> f64 {
    match point.deadband {
        Deadband::Off => rate(point.interval),
        Deadband::Absolute(_) => (rate(point.interval) * expected_change).max(rate(point.max_silence)),
    }
}

fn rate(interval: std::time::Duration) -> f64 {
    1.0 / interval.as_secs_f64().max(0.001)
}
