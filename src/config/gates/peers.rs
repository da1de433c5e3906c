//! `[peers]` of `gates.toml`: the other gateways of the park, and the park's own broker over which they share who passed.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use toml::Spanned;
use toml::de::DeValue;

use super::super::Gateway;
use super::super::problem::{Findings, Wrong, say};
use super::super::section::{Got, Section};
use super::super::uplink_file::{broker, login, login_hint, password_hint, tls};
use super::super::value::{Kind, Slug, Span};
use crate::domain::gate::word::GatewayId;
use crate::peers::settings::Settings;

/// Other gateways of one park.
const MAX_PEERS: usize = 50;
const SECOND: Duration = Duration::from_secs(1);

/// Reads the section; `None`: there is none, or it is wrong.
pub(super) fn read(
    mut section: Section<'_>,
    dir: &Path,
    gateway: Option<&Gateway>,
    files: &mut Vec<PathBuf>,
    out: &mut Findings,
) -> Option<Settings> {
    let gateways = section.need("gateways", &Gateways, "[\"gw-west\"]", out);
    let silent_after = section.or("silent_after", &Span(SECOND * 10, SECOND * 3600), SECOND * 60, out);
    let tls = tls(section.section("tls", out), dir, files, out);
    let login = login(section.section("login", out), dir, files, out);
    let client_id = format!("{}-peers", gateway.map_or("", |own| own.id.as_str()));
    let (broker, whole) = broker(&mut section, ("mqtt.park.local", client_id), (tls, login), out);
    section.finish(&[("password", password_hint("peers")), ("user", login_hint("peers"))], out);
    if let (Some(gateways), Some(own)) = (&gateways, gateway) {
        check_own(gateways, own, out);
    }
    let (gateways, own) = (gateways?, gateway?);
    whole.then(|| Settings {
        park: own.park.clone(),
        gateway: GatewayId::new(own.id.as_str()),
        peers: gateways.value,
        silent_after,
        broker,
    })
}

fn check_own(gateways: &Got<BTreeSet<GatewayId>>, own: &Gateway, out: &mut Findings) {
    let id = &own.id;
    if gateways.value.iter().any(|peer| peer.as_str() == id) {
        let what = say!("`{id}` 是本网关", "`{id}` is this gateway itself");
        let instead = say!("请只写园区的其他网关", "name the other gateways of the park alone");
        out.error(gateways.spot.clone(), Wrong::new(what, instead));
    }
}

/// Ids of gateways.
struct Gateways;

impl Kind for Gateways {
    type Out = BTreeSet<GatewayId>;

    fn read(&self, value: &DeValue<'_>) -> Result<BTreeSet<GatewayId>, Wrong> {
        let wrong = || {
            let wanted =
                say!("请写网关 id 的列表，例如 [\"gw-west\"]", "write a list of ids of gateways, e.g. [\"gw-west\"]");
            Wrong::new(say!("不是网关的列表", "not a list of gateways"), wanted)
        };
        let items = value.as_array().filter(|items| (1..=MAX_PEERS).contains(&items.len())).ok_or_else(wrong)?;
        items.iter().map(|item: &Spanned<DeValue<'_>>| Slug.read(item.get_ref()).map(GatewayId::new)).collect()
    }
}
