//! The set that is shipped, built in: what holds where the site has no file of that name.

use std::path::PathBuf;

use super::settings::{PolicyFile, Sources};

/// The schema of the facts.
pub const SCHEMA: &str = include_str!("../../config/policies/gate.cedarschema");

/// The shipped files by name, in their order.
pub const FILES: [(&str, &str); 14] = [
    ("03-exempt.cedar", include_str!("../../config/policies/03-exempt.cedar")),
    ("04-plate.cedar", include_str!("../../config/policies/04-plate.cedar")),
    ("06-block-list.cedar", include_str!("../../config/policies/06-block-list.cedar")),
    ("07-lane.cedar", include_str!("../../config/policies/07-lane.cedar")),
    ("08-permit.cedar", include_str!("../../config/policies/08-permit.cedar")),
    ("09-window.cedar", include_str!("../../config/policies/09-window.cedar")),
    ("10-waybill.cedar", include_str!("../../config/policies/10-waybill.cedar")),
    ("11-papers.cedar", include_str!("../../config/policies/11-papers.cedar")),
    ("12-crew.cedar", include_str!("../../config/policies/12-crew.cedar")),
    ("13-weight.cedar", include_str!("../../config/policies/13-weight.cedar")),
    ("14-parking.cedar", include_str!("../../config/policies/14-parking.cedar")),
    ("15-zone.cedar", include_str!("../../config/policies/15-zone.cedar")),
    ("16-site.cedar", include_str!("../../config/policies/16-site.cedar")),
    ("17-gateway.cedar", include_str!("../../config/policies/17-gateway.cedar")),
];

/// The shipped decision tables by name.
pub const TABLES: [(&str, &str); 5] = [
    ("degraded.csv", include_str!("../../config/policies/tables/degraded.csv")),
    ("emergency.csv", include_str!("../../config/policies/tables/emergency.csv")),
    ("hazmat.csv", include_str!("../../config/policies/tables/hazmat.csv")),
    ("persons.csv", include_str!("../../config/policies/tables/persons.csv")),
    ("vehicles.csv", include_str!("../../config/policies/tables/vehicles.csv")),
];

/// Returns the whole set: shipped files, each replaced by the site's file of the same name, then the site's others.
pub(super) fn files(sources: &Sources) -> Vec<PolicyFile> {
    let named = |name: &str| sources.own.iter().find(|own| own.path.file_name().is_some_and(|own| own == name));
    let shipped = FILES.iter().map(|(name, text)| {
        named(name).cloned().unwrap_or_else(|| PolicyFile { path: PathBuf::from(name), text: (*text).to_owned() })
    });
    let added = sources.own.iter().filter(|own| {
        let name = own.path.file_name().unwrap_or_default();
        !FILES.iter().any(|(shipped, _)| name == *shipped)
    });
    shipped.chain(added.cloned()).collect()
}
