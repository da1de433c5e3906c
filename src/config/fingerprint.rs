//! A stable hash of what a registry says: equal content, equal hash, on any machine and in any later version that keeps
//! [`FORM`]. So a restart with an unchanged configuration keeps its registry revision.
//!
//! The hash is SHA-256 over the fields in the order of their declaration, each text and list with its length before it, numbers as
//! IEEE 754 bits, little-endian. Addresses are not in it: to read the same point from elsewhere is no new registry.

use std::sync::Arc;
use std::time::Duration;

use ring::digest::{Context, SHA256};

use crate::domain::registry::{Deadband, DeviceSpec, PlatformCodes, PointSpec};

/// Version of the canonical form; goes into the hash first.
const FORM: &str = "parkgate registry 1";

/// Returns the hash as 64 hexadecimal digits.
pub fn fingerprint(specs: &[Arc<DeviceSpec>]) -> String {
    let mut hash = Canonical(Context::new(&SHA256));
    hash.text(FORM);
    hash.count(specs.len());
    specs.iter().for_each(|device| hash.device(device));
    hash.0.finish().as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

struct Canonical(Context);

impl Canonical {
    fn device(&mut self, device: &DeviceSpec) {
        let DeviceSpec { id, name, points } = device;
        self.text(id.as_str());
        self.text(name);
        self.count(points.len());
        points.iter().for_each(|point| self.point(point));
    }

    fn point(&mut self, point: &PointSpec) {
        let PointSpec {
            uid,
            tag,
            name,
            unit,
            decimals,
            range,
            deadband,
            max_silence,
            interval,
            platform,
            commissioning,
        } = point;
        [uid.as_str(), tag.as_str(), name, unit].into_iter().for_each(|text| self.text(text));
        self.0.update(&[u8::from(decimals.is_some()), decimals.unwrap_or_default()]);
        self.numbers(range.map(|(low, high)| [low, high]).as_ref().map_or(&[], |r| r.as_slice()));
        match deadband {
            Deadband::Off => self.numbers(&[]),
            Deadband::Absolute(deadband) => self.numbers(&[*deadband]),
        }
        self.span(*max_silence);
        self.span(*interval);
        let PlatformCodes { company, hazard_source, code, equipment, kind } = platform;
        [company, hazard_source, code, equipment, kind].into_iter().for_each(|text| self.maybe(text.as_deref()));
        self.text(commissioning.as_str());
    }

    fn text(&mut self, text: &str) {
        self.count(text.len());
        self.0.update(text.as_bytes());
    }

    fn maybe(&mut self, text: Option<&str>) {
        self.count(usize::from(text.is_some()));
        self.text(text.unwrap_or_default());
    }

    fn numbers(&mut self, numbers: &[f64]) {
        self.count(numbers.len());
        numbers.iter().for_each(|n| self.0.update(&n.to_bits().to_le_bytes()));
    }

    fn span(&mut self, span: Duration) {
        self.0.update(&span.as_nanos().to_le_bytes());
    }

    fn count(&mut self, count: usize) {
        self.0.update(&(count as u64).to_le_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::id::{DeviceId, PointUid, Tag};
    use crate::domain::registry::Commissioning;

    fn spec() -> DeviceSpec {
        let point = PointSpec {
            uid: PointUid::new("u1"),
            tag: Tag::new("TT101"),
            name: "一号罐温度".into(),
            unit: "℃".into(),
            decimals: Some(1),
            range: Some((-50.0, 150.0)),
            deadband: Deadband::Absolute(0.0),
            max_silence: Duration::from_secs(60),
            interval: Duration::from_secs(1),
            platform: PlatformCodes::default(),
            commissioning: Commissioning::InService,
        };
        DeviceSpec { id: DeviceId::new("plc"), name: "plc".into(), points: vec![point] }
    }

    /// Persistent: a changed value here gives every gateway a new registry revision at its next start.
    #[test]
    fn the_form_does_not_change_unnoticed() {
        assert_eq!(
            fingerprint(&[Arc::new(spec())]),
            "2671f300ff104e84f5384b433bd15739efaf1457a436b5586cc14273005fd9e3"
        );
    }

    #[test]
    fn every_field_counts() {
        let base = fingerprint(&[Arc::new(spec())]);
        let changes: [fn(&mut DeviceSpec); 14] = [
            |d| d.name = "x".into(),
            |d| d.id = DeviceId::new("x"),
            |d| d.points[0].uid = PointUid::new("x"),
            |d| d.points[0].tag = Tag::new("x"),
            |d| d.points[0].name = "x".into(),
            |d| d.points[0].unit = "x".into(),
            |d| d.points[0].decimals = None,
            |d| d.points[0].range = None,
            |d| d.points[0].deadband = Deadband::Off,
            |d| d.points[0].max_silence = Duration::from_secs(61),
            |d| d.points[0].interval = Duration::from_secs(2),
            |d| d.points[0].platform.company = Some(String::new()),
            |d| d.points[0].platform.kind = Some("x".into()),
            |d| d.points[0].commissioning = Commissioning::Stopped,
        ];
        for (i, change) in changes.iter().enumerate() {
            let mut changed = spec();
            change(&mut changed);
            assert_ne!(fingerprint(&[Arc::new(changed)]), base, "change {i}");
        }
    }
}
