//! `[peers]` of `gates.toml`: the other gateways of the park, and the park's own broker over which they share who passed.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use toml::Spanned;
use toml::de::DeValue;

use super::super::Gateway;
use super::super::problem::{Findings, Wrong, say};
use super::super::section::{Got, Section};
use super::super::uplink_file::{check_backoff, check_clear, login, login_hint, password_hint, tls};
use super::super::value::{Code, Host, Kind, Slug, Span, Whole};
use crate::domain::gate::word::GatewayId;
use crate::peers::settings::{Broker, Settings};

/// Other gateways of one park.
const MAX_PEERS: usize = 50;
const SECOND: Duration = Duration::from_secs(1);
const MILLI: Duration = Duration::from_millis(1);

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
    let host = section.need("host", &Host, "\"mqtt.park.local\"", out);
    let port = section.or("port", &Whole(1, 65_535), if tls.is_some() { 8883 } else { 1883 }, out);
    let client_id = section.read("client_id", &Code(64), out).map(|got| got.value);
    let backoff = Span(MILLI * 10, SECOND * 3600);
    let broker = Broker {
        host: host.as_ref().map(|got| got.value.clone()).unwrap_or_default(),
        port: u16::try_from(port).unwrap_or(1883),
        client_id: client_id.unwrap_or_else(|| format!("{}-peers", gateway.map_or("", |own| own.id.as_str()))),
        keep_alive: section.or("keep_alive", &Span(SECOND * 5, SECOND * 120), SECOND * 30, out),
        connect_timeout: section.or("connect_timeout", &Span(MILLI * 100, SECOND * 60), SECOND * 5, out),
        backoff_initial: section.or("backoff_initial", &backoff, MILLI * 500, out),
        backoff_max: section.or("backoff_max", &backoff, SECOND * 10, out),
        tls,
        login,
    };
    check_backoff(&section, broker.backoff_initial, broker.backoff_max, out);
    if broker.login.is_some() && broker.tls.is_none() {
        check_clear(&section, &broker.host, "login", out);
    }
    section.finish(&[("password", password_hint("peers")), ("user", login_hint("peers"))], out);
    if let (Some(gateways), Some(own)) = (&gateways, gateway) {
        check_own(gateways, own, out);
    }
    let (gateways, own) = (gateways?, gateway?);
    host?;
    Some(Settings {
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
