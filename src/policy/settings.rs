//! What the configuration gives to the policies: the site's own files and its parameters.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;

use super::shipped;
use crate::domain::gate::word::{PersonKind, VehicleClass, ZoneClass};

/// A policy file of the site. One with the name of a shipped file stands for it; every other one is added.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyFile {
    /// Where it is.
    pub path: PathBuf,
    /// What it says.
    pub text: String,
}

/// Returns the site's files that stand for a shipped one without all that it looks at, each with the codes that no file of the
/// site gives any more.
pub fn no_longer_looked_at(own: &[PolicyFile]) -> Vec<(&PolicyFile, Vec<&'static str>)> {
    let written: BTreeSet<&str> = own.iter().flat_map(|file| codes(&file.text)).collect();
    let gone = |file: &PolicyFile| {
        let shipped = shipped::FILES.iter().find(|(name, _)| file.path.file_name().is_some_and(|own| own == *name));
        let gone: BTreeSet<&'static str> =
            shipped.into_iter().flat_map(|(_, text)| codes(text)).filter(|code| !written.contains(code)).collect();
        gone.into_iter().collect::<Vec<_>>()
    };
    own.iter().map(|file| (file, gone(file))).filter(|(_, gone)| !gone.is_empty()).collect()
}

/// The codes that a file of policies gives as reasons.
fn codes(text: &str) -> impl Iterator<Item = &str> {
    let annotations = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    annotations.flat_map(|line| line.split("@code(\"").skip(1)).filter_map(|rest| rest.split('"').next())
}

/// Everything that makes a set of policies.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sources {
    /// The site's own files, by name.
    pub own: Vec<PolicyFile>,
    /// The parameters.
    pub parameters: Parameters,
}

const HOUR: u64 = 3600;

/// What a site sets without writing a policy: `parameters.toml`. Policies see it as `context.rules`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Parameters {
    /// Age of permits and block list beyond which dangerous goods are refused; zero: no limit.
    pub stale_hazmat: Duration,
    /// The same for visitors, who are then referred.
    pub stale_visitor: Duration,
    /// The same for everybody else.
    pub stale_fixed: Duration,
    /// Classes that must have been weighed.
    pub weigh: BTreeSet<VehicleClass>,
    /// Percent above the permitted gross weight that scales and papers may differ by, 0 to 10.
    pub over_percent: u8,
    /// Kinds of persons whose missing training is referred to the guard instead of refused.
    pub training_refer: BTreeSet<PersonKind>,
    /// Kinds of persons who pass although an untrusted clock leaves open whether their permit is valid now.
    pub undated_persons: BTreeSet<PersonKind>,
    /// The same for classes of vehicles; dangerous goods never.
    pub undated_vehicles: BTreeSet<VehicleClass>,
    /// Level of a gas alarm from which nobody enters its zone, 1 or 2; 0: never.
    pub gas_level: u8,
    /// Classes of zones that dangerous goods enter only when dispatched.
    pub dispatch_zones: BTreeSet<ZoneClass>,
    /// Classes of zones that dangerous goods enter only when a bay is free for them.
    pub parking_zones: BTreeSet<ZoneClass>,
    /// Whether the consignees publish how many unloading places they have free.
    pub quota: bool,
    /// City warnings (`kind:level`) under which nobody enters.
    pub warnings_entry: BTreeSet<String>,
    /// City warnings under which no dangerous goods enter.
    pub warnings_hazmat: BTreeSet<String>,
}

impl Default for Parameters {
    fn default() -> Self {
        Self {
            stale_hazmat: Duration::from_secs(4 * HOUR),
            stale_visitor: Duration::from_secs(24 * HOUR),
            stale_fixed: Duration::from_secs(7 * 24 * HOUR),
            weigh: BTreeSet::from([VehicleClass::Hazmat, VehicleClass::HazWaste]),
            over_percent: 0,
            training_refer: BTreeSet::from([PersonKind::Staff]),
            undated_persons: BTreeSet::new(),
            undated_vehicles: BTreeSet::new(),
            gas_level: 1,
            dispatch_zones: BTreeSet::from([ZoneClass::Core, ZoneClass::Key]),
            parking_zones: BTreeSet::from([ZoneClass::General]),
            quota: true,
            warnings_entry: BTreeSet::new(),
            warnings_hazmat: BTreeSet::new(),
        }
    }
}
