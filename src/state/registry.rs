//! The book of registry revisions: which content had which number, kept so that a backlog is explained by the table
//! under which it was read, and so that the platform can ask for any revision.
//!
//! One state per revision, `registry-<rev>`, holding the wire form, and `registry-latest`, holding the number given last.
//! A revision is durable before the first record refers to it. The newest [`N_KEPT`] are kept. A number is never given
//! again: where the latest revision, or its number, cannot be read, the next one is above every number found.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{State, StateError};
use crate::domain::derived::{Derived, Formula, Limit};
use crate::domain::id::{DeviceId, PointUid, Tag};
use crate::domain::instrument::{Below, Frozen, Instrument, StateMap};
use crate::domain::registry::{Commissioning, Deadband, DeviceSpec, PlatformCodes, PointSpec, Registry};

/// Revisions kept: one a day for a year and a half, longer than any record.
const N_KEPT: u32 = 512;

const PREFIX: &str = "registry-";
const LATEST: &str = "registry-latest";

/// The book.
#[derive(Clone, Debug)]
pub struct RegistryBook {
    state: State,
}

/// A revision with its wire form.
#[derive(Clone, Debug)]
pub struct Revision {
    /// The revision.
    pub registry: Arc<Registry>,
    /// Its wire form.
    pub json: String,
}

impl RegistryBook {
    /// Opens the book in the state folder.
    pub fn new(state: State) -> Self {
        Self { state }
    }

    /// Returns the revision whose content is `devices`: the latest where it is the same, else a new one, made durable.
    ///
    /// # Errors
    ///
    /// [`StateError`] when the folder cannot be read, or the new revision cannot be kept. What is damaged is only logged:
    /// a gateway that starts with one revision more is worth more than one that does not.
    pub fn revision_of(&self, devices: &[Arc<DeviceSpec>]) -> Result<Revision, StateError> {
        let last = self.last_number()?;
        if let Some(latest) = self.get(last).filter(|latest| latest.devices == devices) {
            return Ok(Revision { json: to_json(&latest), registry: latest });
        }
        let rev = last + 1;
        let registry = Arc::new(Registry { rev, devices: devices.to_vec() });
        let json = to_json(&registry);
        self.state.save(&name_of(rev), json.as_bytes())?;
        self.state.save(LATEST, rev.to_string().as_bytes())?;
        if rev > N_KEPT {
            self.forget(rev - N_KEPT);
        }
        Ok(Revision { registry, json })
    }

    /// Returns revision `rev`; `None` when it is not kept, or damaged (which is logged).
    pub fn get(&self, rev: u32) -> Option<Arc<Registry>> {
        match self.read(rev) {
            Ok(found) => found,
            Err(error) => {
                tracing::error!(rev, %error, "Registry revision cannot be read; its records cannot be explained.");
                None
            }
        }
    }

    /// Returns the wire form of revision `rev`, where it is kept.
    pub fn json(&self, rev: u32) -> Option<String> {
        self.get(rev).map(|registry| to_json(&registry))
    }

    /// Returns the number given last, 0 before the first.
    fn last_number(&self) -> Result<u32, StateError> {
        let noted = match self.state.load(LATEST) {
            Ok(text) => text.and_then(|t| String::from_utf8(t).ok()).and_then(|t| t.parse().ok()),
            Err(error @ StateError::Damaged { .. }) => {
                tracing::error!(%error, "Number of the latest registry revision is lost; the next is above all found.");
                None
            }
            Err(error) => return Err(error),
        };
        let found = self.state.names()?.iter().filter_map(|name| name.strip_prefix(PREFIX)?.parse().ok()).max();
        // A number whose revision was kept but not noted was never used: it may be given again, and is not.
        Ok(noted.max(found).unwrap_or(0))
    }

    fn read(&self, rev: u32) -> Result<Option<Arc<Registry>>, StateError> {
        let Some(bytes) = self.state.load(&name_of(rev))? else { return Ok(None) };
        let registry = from_json(&bytes).ok_or_else(|| StateError::Damaged { path: name_of(rev).into() })?;
        Ok(Some(Arc::new(registry)))
    }

    fn forget(&self, rev: u32) {
        for extension in ["state", "prev"] {
            drop(std::fs::remove_file(self.state.path(&name_of(rev), extension)));
        }
    }
}

fn name_of(rev: u32) -> String {
    format!("{PREFIX}{rev}")
}

/// The wire form of a registry, and back. Domain types carry no serde.
#[derive(Serialize, Deserialize)]
struct RegistryWire {
    rev: u32,
    devices: Vec<DeviceWire>,
}

#[derive(Serialize, Deserialize)]
struct DeviceWire {
    id: String,
    name: String,
    points: Vec<PointWire>,
}

#[derive(Serialize, Deserialize)]
struct PointWire {
    uid: String,
    tag: String,
    name: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    unit: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    decimals: Option<u8>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    range: Option<(f64, f64)>,
    /// In the point's unit; absent: every reading is reported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    deadband: Option<f64>,
    max_silence_ms: u64,
    interval_ms: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    company: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    hazard_source: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    platform_code: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    equipment: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    kind: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    gas: Option<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    limits: BTreeMap<String, Vec<f64>>,
    commissioning: String,
    /// Index of the point of the same device that says what the instrument does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    state_of: Option<u16>,
    /// Of a state word: what its values mean, as in the point table.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    states: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    frozen_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    frozen_except: Option<f64>,
    /// In the point's unit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    below: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    below_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    derived: Option<DerivedWire>,
}

/// What a derived point is made of; inputs by uid.
#[derive(Serialize, Deserialize)]
struct DerivedWire {
    formula: FormulaWire,
    inputs: Vec<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "snake_case")]
enum FormulaWire {
    Sum,
    Mean,
    Min,
    Max,
    Difference,
    Ratio,
    Rate {
        window_ms: u64,
        per_ms: u64,
    },
    Convert {
        factor: f64,
    },
    Vote {
        need: u16,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        above: Option<f64>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        below: Option<f64>,
        bad_counts: bool,
    },
}

impl From<Formula> for FormulaWire {
    fn from(formula: Formula) -> Self {
        match formula {
            Formula::Sum => Self::Sum,
            Formula::Mean => Self::Mean,
            Formula::Min => Self::Min,
            Formula::Max => Self::Max,
            Formula::Difference => Self::Difference,
            Formula::Ratio => Self::Ratio,
            Formula::Rate { window, per } => Self::Rate { window_ms: millis(window), per_ms: millis(per) },
            Formula::Convert { factor } => Self::Convert { factor },
            Formula::Vote { need, limit, bad_counts } => {
                let (above, below) = match limit {
                    Limit::Set => (None, None),
                    Limit::Above(limit) => (Some(limit), None),
                    Limit::Below(limit) => (None, Some(limit)),
                };
                Self::Vote { need, above, below, bad_counts }
            }
        }
    }
}

impl FormulaWire {
    fn into_formula(self) -> Formula {
        let millis = Duration::from_millis;
        match self {
            Self::Sum => Formula::Sum,
            Self::Mean => Formula::Mean,
            Self::Min => Formula::Min,
            Self::Max => Formula::Max,
            Self::Difference => Formula::Difference,
            Self::Ratio => Formula::Ratio,
            Self::Rate { window_ms, per_ms } => Formula::Rate { window: millis(window_ms), per: millis(per_ms) },
            Self::Convert { factor } => Formula::Convert { factor },
            Self::Vote { need, above, below, bad_counts } => {
                let limit = above.map(Limit::Above).or(below.map(Limit::Below)).unwrap_or(Limit::Set);
                Formula::Vote { need, limit, bad_counts }
            }
        }
    }
}

/// Returns the wire form of `registry`.
pub fn to_json(registry: &Registry) -> String {
    let wire = RegistryWire {
        rev: registry.rev,
        devices: registry.devices.iter().map(|d| DeviceWire::from(d.as_ref())).collect(),
    };
    // Strings, numbers and lists only: serialising them cannot fail.
    serde_json::to_string(&wire).unwrap_or_default()
}

fn from_json(bytes: &[u8]) -> Option<Registry> {
    let wire: RegistryWire = serde_json::from_slice(bytes).ok()?;
    let devices = wire.devices.into_iter().map(|d| d.into_spec().map(Arc::new)).collect::<Option<_>>()?;
    Some(Registry { rev: wire.rev, devices })
}

impl From<&DeviceSpec> for DeviceWire {
    fn from(spec: &DeviceSpec) -> Self {
        Self {
            id: spec.id.as_str().to_owned(),
            name: spec.name.clone(),
            points: spec.points.iter().map(PointWire::from).collect(),
        }
    }
}

impl DeviceWire {
    fn into_spec(self) -> Option<DeviceSpec> {
        let points = self.points.into_iter().map(PointWire::into_spec).collect::<Option<_>>()?;
        Some(DeviceSpec { id: DeviceId::new(self.id), name: self.name, points })
    }
}

impl From<&PointSpec> for PointWire {
    fn from(p: &PointSpec) -> Self {
        let instrument = p.instrument.as_deref();
        let (frozen, below) = (instrument.and_then(|i| i.frozen), instrument.and_then(|i| i.below));
        Self {
            uid: p.uid.as_str().to_owned(),
            tag: p.tag.as_str().to_owned(),
            name: p.name.clone(),
            unit: p.unit.clone(),
            decimals: p.decimals,
            range: p.range,
            deadband: match p.deadband {
                Deadband::Off => None,
                Deadband::Absolute(width) => Some(width),
            },
            max_silence_ms: millis(p.max_silence),
            interval_ms: millis(p.interval),
            company: p.platform.company.clone(),
            hazard_source: p.platform.hazard_source.clone(),
            platform_code: p.platform.code.clone(),
            equipment: p.platform.equipment.clone(),
            kind: p.platform.kind.clone(),
            gas: p.platform.gas.clone(),
            limits: p.platform.limits.clone(),
            commissioning: p.commissioning.as_str().to_owned(),
            state_of: instrument.and_then(|i| i.state_of),
            states: instrument.and_then(|i| i.states.as_ref()).map(ToString::to_string),
            frozen_ms: frozen.map(|f| millis(f.after)),
            frozen_except: frozen.and_then(|f| f.except),
            below: below.map(|b| b.limit),
            below_ms: below.map(|b| millis(b.stays)),
            derived: instrument.and_then(|i| i.derived.as_ref()).map(|derived| DerivedWire {
                formula: derived.formula.into(),
                inputs: derived.inputs.iter().map(|uid| uid.as_str().to_owned()).collect(),
            }),
        }
    }
}

impl PointWire {
    fn into_spec(mut self) -> Option<PointSpec> {
        let mut instrument = self.instrument()?;
        instrument.derived = self.derived.take().map(|derived| Derived {
            formula: derived.formula.into_formula(),
            inputs: derived.inputs.into_iter().map(PointUid::new).collect(),
        });
        Some(PointSpec {
            uid: PointUid::new(self.uid),
            tag: Tag::new(self.tag),
            name: self.name,
            unit: self.unit,
            decimals: self.decimals,
            range: self.range,
            deadband: self.deadband.map_or(Deadband::Off, Deadband::Absolute),
            max_silence: Duration::from_millis(self.max_silence_ms),
            interval: Duration::from_millis(self.interval_ms),
            platform: PlatformCodes {
                company: self.company,
                hazard_source: self.hazard_source,
                code: self.platform_code,
                equipment: self.equipment,
                kind: self.kind,
                gas: self.gas,
                limits: self.limits,
            },
            commissioning: Commissioning::from_name(&self.commissioning)?,
            instrument: (instrument != Instrument::default()).then(|| Arc::new(instrument)),
        })
    }

    fn instrument(&self) -> Option<Instrument> {
        let millis = |ms: Option<u64>| ms.map(Duration::from_millis);
        Some(Instrument {
            state_of: self.state_of,
            states: self.states.as_deref().map(StateMap::parse).transpose().ok()?,
            frozen: millis(self.frozen_ms).map(|after| Frozen { after, except: self.frozen_except }),
            below: self.below.zip(millis(self.below_ms)).map(|(limit, stays)| Below { limit, stays }),
            derived: None,
        })
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::registry::testing::registry_with;

    fn book() -> (tempfile::TempDir, RegistryBook) {
        let dir = tempfile::tempdir().unwrap();
        let state = State::open(dir.path()).unwrap();
        (dir, RegistryBook::new(state))
    }

    #[test]
    fn a_revision_survives_the_way_to_the_disk_and_back() {
        let mut registry = registry_with(2, 5, |p| u8::try_from(p).ok().filter(|d| *d < 3));
        let mut device = (*registry.devices[0]).clone();
        let after = Duration::from_secs(60);
        device.points[0].instrument = Some(Arc::new(Instrument {
            state_of: Some(1),
            states: None,
            frozen: Some(Frozen { after, except: Some(0.0) }),
            below: Some(Below { limit: -5.0, stays: after }),
            derived: None,
        }));
        let formulas = [
            Formula::Sum,
            Formula::Rate { window: after, per: after },
            Formula::Convert { factor: 1.0 / 3.0 },
            Formula::Vote { need: 2, limit: Limit::Below(19.5), bad_counts: true },
        ];
        for (point, formula) in device.points.iter_mut().skip(1).zip(formulas) {
            let derived = Some(Derived { formula, inputs: vec![PointUid::new("u-1-0"), PointUid::new("u-1-1")] });
            point.instrument = Some(Arc::new(Instrument { derived, ..Instrument::default() }));
        }
        let states = StateMap::parse("mask=3; 0=monitoring; 1=fault; bit4=calibration").ok();
        device.points[1].instrument = Some(Arc::new(Instrument { states, ..Instrument::default() }));
        registry.devices[0] = Arc::new(device);
        assert_eq!(from_json(to_json(&registry).as_bytes()), Some(registry));
    }

    #[test]
    fn the_same_content_keeps_its_number_and_another_gets_the_next() {
        let (_dir, book) = book();
        let (one, two) = (registry_with(1, 2, |_| Some(1)), registry_with(1, 3, |_| Some(1)));
        assert_eq!(book.revision_of(&one.devices).unwrap().registry.rev, 1);
        assert_eq!(book.revision_of(&one.devices).unwrap().registry.rev, 1);
        assert_eq!(book.revision_of(&two.devices).unwrap().registry.rev, 2);
        assert_eq!(book.revision_of(&one.devices).unwrap().registry.rev, 3, "numbers are never given again");
        assert_eq!(book.get(2).unwrap().devices, two.devices);
        assert!(book.get(9).is_none());
    }

    #[test]
    fn a_changed_limit_is_another_revision_and_both_can_be_asked_for() {
        let (_dir, book) = book();
        let with = |limit: f64| {
            let mut registry = registry_with(1, 1, |_| None);
            let mut device = (*registry.devices[0]).clone();
            device.points[0].platform.gas = Some("氯气".into());
            device.points[0].platform.limits = [("gas".to_owned(), vec![0.5, limit])].into();
            registry.devices[0] = Arc::new(device);
            registry.devices
        };
        assert_eq!(book.revision_of(&with(1.0)).unwrap().registry.rev, 1);
        assert_eq!(book.revision_of(&with(0.8)).unwrap().registry.rev, 2);
        assert_eq!(book.revision_of(&with(0.8)).unwrap().registry.rev, 2);
        let point = |rev| serde_json::from_str::<serde_json::Value>(&book.json(rev).unwrap()).unwrap();
        assert_eq!(point(1)["devices"][0]["points"][0]["limits"]["gas"], serde_json::json!([0.5, 1.0]));
        assert_eq!(point(2)["devices"][0]["points"][0]["gas"], "氯气");
    }

    #[test]
    fn numbers_are_never_given_again_whatever_is_damaged() {
        let (dir, book) = book();
        let registries = [1, 2, 3, 4].map(|n| registry_with(1, n, |_| None));
        let path = |name: &str| dir.path().join(name);
        for registry in &registries[..2] {
            book.revision_of(&registry.devices).unwrap();
        }
        std::fs::write(path("registry-2.state"), "rubbish").unwrap();
        assert_eq!(book.revision_of(&registries[1].devices).unwrap().registry.rev, 3, "revision 2 is damaged");
        std::fs::remove_file(path("registry-3.state")).unwrap();
        assert_eq!(book.revision_of(&registries[1].devices).unwrap().registry.rev, 4, "revision 3 is gone");
        for extension in ["state", "prev"] {
            std::fs::write(path(&format!("registry-latest.{extension}")), "rubbish").unwrap();
        }
        assert_eq!(book.revision_of(&registries[2].devices).unwrap().registry.rev, 5, "the number is lost");
        assert_eq!(book.revision_of(&registries[2].devices).unwrap().registry.rev, 5);
    }
}
