//! What `hazmat.toml`, `site.toml`, `gates.toml` and `policies/parameters.toml` say of the same thing and must say alike: which
//! zones dangerous goods enter by dispatch, and where there must be a bay for them.

use std::collections::BTreeSet;

use super::problem::{Findings, Spot, Wrong, say};
use super::zones::Zones;
use crate::domain::gate::hazmat::rules::Rules;
use crate::domain::gate::lane::spec::{Flow, LaneSpec};
use crate::domain::gate::word::{VehicleClass, ZoneId};
use crate::policy::settings::Parameters;

/// Where the files say it: the files as a whole where they say nothing.
#[derive(Clone, Debug)]
pub(super) struct Places {
    /// `zones` under `[dispatch]` of `hazmat.toml`.
    pub(super) dispatch: Spot,
    /// `dispatch_zones` of `parameters.toml`.
    pub(super) dispatch_classes: Spot,
    /// `parking_zones` of `parameters.toml`.
    pub(super) parking_classes: Spot,
}

/// What is compared.
pub(super) struct Files<'a> {
    pub(super) zones: &'a Zones,
    pub(super) hazmat: &'a Rules,
    pub(super) parameters: &'a Parameters,
    pub(super) lanes: &'a [std::sync::Arc<LaneSpec>],
}

/// Compares them.
pub(super) fn check(files: &Files<'_>, places: &Places, out: &mut Findings) {
    let Files { zones, hazmat, parameters, .. } = files;
    for zone in &hazmat.dispatch_zones {
        let Some(class) = zones.get(zone).map(|zone| zone.class) else { continue };
        if !parameters.dispatch_zones.contains(&class) {
            let what = say!(
                "区域 `{zone}` 凭调度进入，但它的等级 {class} 不在 parameters.toml 的 dispatch_zones：那里仍要过磅、不问卸货位",
                "zone `{zone}` is entered by dispatch, and its class {class} is not among dispatch_zones of parameters.toml: vehicles are weighed there, and no unloading place is asked for"
            );
            let instead = say!(
                "请在 policies/parameters.toml 的 dispatch_zones 加上 \"{class}\"，或改区域的 class",
                "add \"{class}\" to dispatch_zones of policies/parameters.toml, or change the zone's class"
            );
            out.warn(places.dispatch.clone(), Wrong::new(what, instead));
        }
    }
    for zone in entered(files.lanes) {
        let Some(class) = zones.get(zone).map(|zone| zone.class) else { continue };
        if parameters.dispatch_zones.contains(&class) && !hazmat.dispatch_zones.contains(zone) {
            let what = say!(
                "危化车道通向区域 `{zone}`（{class}），hazmat.toml 的 [dispatch] zones 却没有它：不凭调度就能进入",
                "a hazmat lane leads into zone `{zone}` ({class}), which is not among [dispatch] zones of hazmat.toml: it is entered without a dispatch"
            );
            let instead = say!(
                "请在 hazmat.toml 的 zones 加上 \"{zone}\"，或从 dispatch_zones 去掉 \"{class}\"",
                "add \"{zone}\" to `zones` of hazmat.toml, or take \"{class}\" out of dispatch_zones"
            );
            out.warn(places.dispatch_classes.clone(), Wrong::new(what, instead));
        }
        if parameters.parking_zones.contains(&class) && hazmat.bays.is_empty() {
            let what = say!(
                "危化车道通向区域 `{zone}`，进入须有空泊位，hazmat.toml 却没有泊位：每辆都要门岗确认",
                "a hazmat lane leads into zone `{zone}`, which asks for a free bay, and hazmat.toml has none: the guard confirms each vehicle"
            );
            let instead = say!(
                "请在 hazmat.toml 写 [[row]]；没有停车场则在 policies/parameters.toml 的 [hazmat] 写 parking_zones = []",
                "write [[row]] in hazmat.toml; where there is no parking, parking_zones = [] under [hazmat] of policies/parameters.toml"
            );
            out.warn(places.parking_classes.clone(), Wrong::new(what, instead));
        }
    }
}

/// Zones that lanes for dangerous goods lead into.
fn entered(lanes: &[std::sync::Arc<LaneSpec>]) -> BTreeSet<&ZoneId> {
    let dangerous = |lane: &&std::sync::Arc<LaneSpec>| {
        lane.flow != Flow::Out && lane.classes.iter().copied().any(VehicleClass::is_hazmat)
    };
    lanes.iter().filter(dangerous).map(|lane| &lane.zone).collect()
}
