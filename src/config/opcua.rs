//! OPC UA in `devices.toml`: servers (`[[opcua]]`), and devices that name one (`opcua = "dcs-1"`) instead of an address.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::problem::{Findings, Spot, Words, Wrong, say};
use super::section::{Got, Section};
use super::sheet::{Column, Row};
use super::text::suggest;
use super::uplink_file::secret;
use super::value::{Choice, Code, Label, Located, Span, Url, Whole, show_duration};
use crate::field::settings::opcua::{Identity, NodeRef, NotANode, Password, Policy, Protection, Security, Server};

/// Servers of one gateway; each is a session with a task of its own.
const MAX_SERVERS: usize = 32;

/// Servers by id; `None` where the server itself was wrong, so that no device is blamed for it.
pub(super) type Servers = BTreeMap<String, Option<Arc<Server>>>;

/// A `[[device]]` behind a server.
#[derive(Debug)]
pub(super) struct OpcUaRow {
    /// Where it stands.
    pub(super) spot: Spot,
    /// Its id.
    pub(super) id: String,
    /// Its name as people say it.
    pub(super) name: String,
    /// Its server.
    pub(super) server: Arc<Server>,
}

/// Reads all `[[opcua]]`; the files they name (passwords, certificates) go into `files`. Relative paths start at `dir`.
pub(super) fn servers(sections: Vec<Section<'_>>, dir: &Path, files: &mut Vec<PathBuf>, out: &mut Findings) -> Servers {
    let mut servers = Servers::new();
    for mut section in sections {
        let id = section.need("id", &Code(64), "\"dcs-1\"", out);
        let written = section.text_of("id");
        let server = server(section, id.as_ref(), dir, files, out);
        let Some(written) = written else { continue };
        if servers.contains_key(&written) {
            let what = say!("OPC UA 服务器 id `{written}` 重复", "OPC UA server id `{written}` is used twice");
            if let Some(id) = &id {
                out.error(id.spot.clone(), Wrong::new(what, say!("请改成唯一的 id", "write an id of its own")));
            }
        }
        if servers.len() == MAX_SERVERS
            && let Some(id) = &id
        {
            let what = say!("超过 {MAX_SERVERS} 台 OPC UA 服务器", "more than {MAX_SERVERS} OPC UA servers");
            out.error(id.spot.clone(), Wrong::new(what, say!("请分到多台网关", "spread them over several gateways")));
        }
        servers.insert(written, server.map(Arc::new));
    }
    servers
}

fn server(
    mut section: Section<'_>,
    id: Option<&Got<String>>,
    dir: &Path,
    files: &mut Vec<PathBuf>,
    out: &mut Findings,
) -> Option<Server> {
    let (millis, secs) = (Duration::from_millis, Duration::from_secs);
    let backoff = Span(millis(10), secs(3600));
    let url = section.need("url", &Url("opc.tcp", 4840), "\"opc.tcp://192.168.20.5:4840\"", out);
    let security = security(&mut section, out);
    let identity = identity(&mut section, security, dir, files, out);
    let publishing = section.or("publishing", &Span(millis(100), secs(4)), secs(1), out);
    let keep_alive = section.or("keep_alive", &Span(secs(1), secs(4)), secs(1), out);
    let timeout = section.or("timeout", &Span(millis(500), secs(60)), secs(5), out);
    let queue_size =
        section.read("queue_size", &Whole(1, 10_000), out).map(|got| u32::try_from(got.value).unwrap_or(1));
    let history = section.or("history", &Span(Duration::ZERO, secs(7 * 86_400)), secs(3600), out);
    let backoff_initial = section.or("backoff_initial", &backoff, millis(500), out);
    let backoff_max = section.or("backoff_max", &backoff, secs(3), out);
    if backoff_initial > backoff_max {
        let (initial, max) = (show_duration(backoff_initial), show_duration(backoff_max));
        let what = say!(
            "backoff_initial {initial} 大于 backoff_max {max}",
            "backoff_initial {initial} is more than backoff_max {max}"
        );
        let instead = say!("请写 backoff_max = \"{initial}\" 或更大", "write backoff_max = \"{initial}\" or more");
        out.error(section.spot_of("backoff_initial"), Wrong::new(what, instead));
    }
    section.finish(&[("password", password_hint()), ("deadband", deadband_hint())], out);
    Some(Server {
        id: id?.value.clone(),
        url: url?.value,
        security: security?,
        identity: identity?,
        publishing,
        keep_alive,
        timeout,
        queue_size,
        history,
        backoff_initial,
        backoff_max,
    })
}

/// Without a word it is the strongest that every server of today has; None must be written, and is told of all the same.
fn security(section: &mut Section<'_>, out: &mut Findings) -> Option<Security> {
    const NAMES: [&str; 4] = ["Basic256Sha256", "Aes128-Sha256-RsaOaep", "Aes256-Sha256-RsaPss", "None"];
    let written = section.text_of("security").is_some();
    let policy = section.read("security", &Choice(&NAMES), out);
    let mode = section.read("mode", &Choice(&["SignAndEncrypt", "Sign"]), out);
    let Some(policy) = policy else {
        return (!written).then_some(Security::By(Policy::Basic256Sha256, protection(mode.as_ref())));
    };
    let Some(named) = Policy::ALL.into_iter().find(|p| p.as_str() == policy.value) else {
        let what = say!(
            "没有安全保护：沿途任何人都能读取和篡改",
            "without security anybody on the way can read and change what is said"
        );
        let instead = say!(
            "请写 security = \"Basic256Sha256\"；若服务器确实没有，可不改",
            "write security = \"Basic256Sha256\"; nothing to do if the server really has none"
        );
        out.warn(policy.spot, Wrong::new(what, instead));
        if let Some(mode) = mode {
            let what = say!("security = \"None\" 没有 mode", "security = \"None\" has no mode");
            out.error(mode.spot, Wrong::new(what, say!("请删去 mode", "remove mode")));
        }
        return Some(Security::None);
    };
    Some(Security::By(named, protection(mode.as_ref())))
}

fn protection(mode: Option<&Got<&'static str>>) -> Protection {
    if mode.is_some_and(|got| got.value == "Sign") { Protection::Sign } else { Protection::SignAndEncrypt }
}

fn identity(
    section: &mut Section<'_>,
    security: Option<Security>,
    dir: &Path,
    files: &mut Vec<PathBuf>,
    out: &mut Findings,
) -> Option<Identity> {
    let user = section.read("user", &Label(128), out);
    let password = section.read("password_file", &Located(dir), out);
    let cert = section.read("cert_file", &Located(dir), out);
    let key = section.read("key_file", &Located(dir), out);
    let (login, holder) = (user.is_some() || password.is_some(), cert.is_some() || key.is_some());
    if login && holder {
        let what = say!("既写了用户又写了证书", "both a user and a certificate are given");
        out.error(section.spot(), Wrong::new(what, say!("请只留一种", "keep one of them")));
        return None;
    }
    match (user, password, cert, key) {
        (Some(user), Some(file), ..) => {
            if security == Some(Security::None) {
                let what =
                    say!("没有安全保护，口令可能明文传输", "without security the password may travel in the clear");
                let instead = say!("请写 security = \"Basic256Sha256\"", "write security = \"Basic256Sha256\"");
                out.warn(user.spot, Wrong::new(what, instead));
            }
            let bytes = secret(&file, files, out)?;
            let Ok(password) = String::from_utf8(bytes) else {
                let what = say!("口令不是 UTF-8 文本", "the password is not UTF-8 text");
                out.error(file.spot, Wrong::new(what, say!("请用 UTF-8 保存该文件", "save the file as UTF-8")));
                return None;
            };
            Some(Identity::User { name: user.value, password: Password(password) })
        }
        (_, _, Some(cert), Some(key)) => {
            files.extend([cert.value.clone(), key.value.clone()]);
            Some(Identity::Certificate { cert_file: cert.value, key_file: key.value })
        }
        (None, None, None, None) => Some(Identity::Anonymous),
        _ => {
            let (zh, en) = if login {
                ("user 与 password_file", "user and password_file")
            } else {
                ("cert_file 与 key_file", "cert_file and key_file")
            };
            let what = say!("{zh} 只写了一个", "only one of {en} is given");
            out.error(section.spot(), Wrong::new(what, say!("请两个都写，或都不写", "write both, or neither")));
            None
        }
    }
}

/// Reads a device that names a server.
pub(super) fn device(
    mut section: Section<'_>,
    servers: &Servers,
    out: &mut Findings,
) -> (Option<(String, Spot)>, Option<OpcUaRow>) {
    let written = section.text_of("id").map(|id| (id, section.spot_of("id")));
    let spot = section.spot_of("id");
    let id = section.need("id", &Code(64), "\"dcs-unit-1\"", out);
    let named = section.read("opcua", &Code(64), out);
    let name = section.read("name", &Label(64), out);
    let hint = || say!("此设备由 OPC UA 服务器提供，请删去", "this device is read from an OPC UA server; remove it");
    let modbus = ["host", "port", "unit", "timeout", "request_gap", "address_base", "profile", "bus"];
    section.finish(&modbus.map(|key| (key, hint())), out);
    let server = named.and_then(|named| find(&named, servers, out));
    let row = id.zip(server).map(|(id, server)| OpcUaRow {
        spot,
        name: name.map_or_else(|| id.value.clone(), |got| got.value),
        id: id.value,
        server,
    });
    (written, row)
}

fn find(named: &Got<String>, servers: &Servers, out: &mut Findings) -> Option<Arc<Server>> {
    let id = &named.value;
    if let Some(server) = servers.get(id) {
        return server.clone(); // what is wrong with it has been told
    }
    let what = say!("没有 OPC UA 服务器 `{id}`", "there is no OPC UA server `{id}`");
    let instead = match suggest(id, servers.keys().map(String::as_str)) {
        Some(meant) => say!("是否想写 `{meant}`？", "did you mean `{meant}`?"),
        None => say!(
            "请加一节 `[[opcua]]`，其下写 id = \"{id}\" 和 url",
            "add a section `[[opcua]]` with id = \"{id}\" and url"
        ),
    };
    out.error(named.spot.clone(), Wrong::new(what, instead));
    None
}

/// Reads the node of a point; what belongs to Modbus must be empty.
pub(super) fn node(row: Row<'_>, out: &mut Findings) -> Option<NodeRef> {
    for column in [Column::Table, Column::Address, Column::Encoding, Column::Order] {
        if row.text(column).is_some() {
            let what = say!("OPC UA 测点没有此项", "a point of an OPC UA server has none");
            out.error(row.spot(column), Wrong::new(what, say!("请留空", "leave it empty")));
        }
    }
    let Some(cell) = row.text(Column::Node) else {
        let what = say!("OPC UA 测点缺少节点", "a point of an OPC UA server needs its node");
        out.error(row.spot(Column::Node), Wrong::new(what, node_wanted()));
        return None;
    };
    let node = cell.parse::<NodeRef>().map_err(|why| not_a_node(cell, why));
    node.map_err(|wrong| out.error(row.spot(Column::Node), wrong)).ok()
}

/// A point read by Modbus has no node.
pub(super) fn no_node(row: Row<'_>, out: &mut Findings) {
    if row.text(Column::Node).is_some() {
        let what = say!("此设备不是 OPC UA，没有节点", "this device is not read by OPC UA and has no nodes");
        let instead = say!(
            "请留空，或在 devices.toml 的该设备写 opcua = \"…\"",
            "leave it empty, or write opcua = \"…\" on the device in devices.toml"
        );
        out.error(row.spot(Column::Node), Wrong::new(what, instead));
    }
}

fn not_a_node(cell: &str, why: NotANode) -> Wrong {
    let cell = super::value::clip(cell);
    let what = match why {
        NotANode::Namespace => say!("`{cell}` 的命名空间不对", "`{cell}` has no valid namespace"),
        NotANode::Identifier => say!("`{cell}` 不是节点标识", "`{cell}` is no node id"),
    };
    Wrong::new(what, node_wanted())
}

fn node_wanted() -> Words {
    say!(
        "请写 nsu=命名空间URI;s=名称，或 ns=2;s=名称、ns=2;i=编号（`parkgate opcua browse` 可列出）",
        "write nsu=namespace-URI;s=name, or ns=2;s=name, ns=2;i=number (`parkgate opcua browse` lists them)"
    )
}

fn password_hint() -> Words {
    say!(
        "口令不写在这里：请存入文件（chmod 640），并写 password_file = \"dcs-1.password\"",
        "passwords do not stand here: put it into a file (chmod 640) and write password_file = \"dcs-1.password\""
    )
}

fn deadband_hint() -> Words {
    say!(
        "死区写在点表：它只减少上报，报警和变化率仍看到每个值",
        "deadbands go into the point table: they thin out reports only; alarms and rates see every value"
    )
}
