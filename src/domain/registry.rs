//! What the points mean: the part of the configuration that the platform and the core need, without a single address.
//!
//! A registry has a revision. Values travel by tag under the revision named in their envelope; old revisions are kept
//! as long as a stored record refers to them, so that a backlog is explained by the table under which it was read.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::id::{DeviceId, PointUid, Tag};
use super::instrument::Instrument;

/// All devices and points of one revision.
#[derive(Clone, Debug, PartialEq)]
pub struct Registry {
    /// Revision: 1 for the first configuration of an epoch, +1 whenever the content changes.
    pub rev: u32,
    /// Devices in configuration order; records refer to them by their index here.
    pub devices: Vec<Arc<DeviceSpec>>,
}

/// One device and its points.
#[derive(Clone, Debug, PartialEq)]
pub struct DeviceSpec {
    /// Its id.
    pub id: DeviceId,
    /// Its name as people say it, Chinese first.
    pub name: String,
    /// Points in point-table order; records refer to them by their index here (their ordinal).
    pub points: Vec<PointSpec>,
}

/// One point as the platform needs it.
#[derive(Clone, Debug, PartialEq)]
pub struct PointSpec {
    /// Immutable identity.
    pub uid: PointUid,
    /// Tag (位号).
    pub tag: Tag,
    /// Name, Chinese first.
    pub name: String,
    /// Unit as written in the point table, e.g. `℃`, `%LEL`, `ppm`; empty when it has none.
    pub unit: String,
    /// Decimals to which the value is rounded (scaled integers); `None` for floats, which print in their shortest form.
    pub decimals: Option<u8>,
    /// Range (量程) in the point's unit, low < high.
    pub range: Option<(f64, f64)>,
    /// Change below which a value is not reported again.
    pub deadband: Deadband,
    /// Longest time without a report, although nothing changed. At least the poll interval.
    pub max_silence: Duration,
    /// Configured poll interval.
    pub interval: Duration,
    /// What the platform needs to understand the point; absent where a site has none.
    pub platform: PlatformCodes,
    /// Commissioning state.
    pub commissioning: Commissioning,
    /// How its reading is judged beyond its registers; most points have none of it.
    pub instrument: Option<Arc<Instrument>>,
}

/// What the platform needs to understand a point: its codes, its gas, its limits.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PlatformCodes {
    /// Company code (企业编码).
    pub company: Option<String>,
    /// Hazard-source code (重大危险源编码).
    pub hazard_source: Option<String>,
    /// The platform's own code of the point.
    pub code: Option<String>,
    /// Equipment the point belongs to, e.g. `T-101`.
    pub equipment: Option<String>,
    /// Kind of point, e.g. `temperature`, `level`, `gas`.
    pub kind: Option<String>,
    /// Gas that it measures, as the point table names it.
    pub gas: Option<String>,
    /// Limits in force, in the point's unit, by the rule of their alarm (`high`, `low`, `gas`, …): level 1, then level 2. So
    /// a change of a limit is another revision, and the revision told with an alarm names its limits.
    pub limits: BTreeMap<String, Vec<f64>>,
}

/// When a change is worth a report. Compared with the last *reported* value, never the last read one, so that a slow
/// drift cannot creep away unreported.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Deadband {
    /// Every reading is reported (report by exception off).
    Off,
    /// Reported when |value − last reported| exceeds this, in the point's unit; 0 reports every change.
    Absolute(f64),
}

/// Commissioning state of a point (`domain.md`, A12).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Commissioning {
    /// Drawn, not wired: what it reads is no measurement and makes no alarm.
    Planned,
    /// Under loop test (联调).
    Commissioning,
    /// In service.
    #[default]
    InService,
    /// Stopped (停用): what it reads is no measurement and makes no alarm.
    Stopped,
    /// Gone for good; the point table has not been told yet.
    Removed,
}

impl Commissioning {
    /// All states.
    pub const ALL: [Commissioning; 5] =
        [Self::Planned, Self::Commissioning, Self::InService, Self::Stopped, Self::Removed];

    /// Returns the state of this word.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == name)
    }

    /// Whether what is read there is no measurement: not wired yet, stopped or gone.
    pub fn is_stopped(self) -> bool {
        matches!(self, Self::Planned | Self::Stopped | Self::Removed)
    }

    /// Returns the word used in the point table and on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Planned => "planned",
            Self::Commissioning => "commissioning",
            Self::InService => "in_service",
            Self::Stopped => "stopped",
            Self::Removed => "removed",
        }
    }
}

/// Registries for tests.
#[cfg(test)]
pub(crate) mod testing {
    use super::*;

    /// Returns revision 1 with `n_devices` devices `d0`, `d1`, … of `n_points` points `d0.p0`, … each.
    pub(crate) fn registry_with(n_devices: usize, n_points: usize, decimals: impl Fn(usize) -> Option<u8>) -> Registry {
        let point = |d: usize, p: usize| PointSpec {
            uid: PointUid::new(format!("u-{d}-{p}")),
            tag: Tag::new(format!("d{d}.p{p}")),
            name: format!("测点 {p}"),
            unit: "kPa".into(),
            decimals: decimals(p),
            range: None,
            deadband: Deadband::Absolute(0.0),
            max_silence: Duration::from_secs(60),
            interval: Duration::from_secs(1),
            platform: PlatformCodes::default(),
            commissioning: Commissioning::InService,
            instrument: None,
        };
        let device = |d: usize| DeviceSpec {
            id: DeviceId::new(format!("d{d}")),
            name: format!("设备 {d}"),
            points: (0..n_points).map(|p| point(d, p)).collect(),
        };
        Registry { rev: 1, devices: (0..n_devices).map(|d| Arc::new(device(d))).collect() }
    }
}
