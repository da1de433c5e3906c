//! The DCS of the simulated park: an OPC UA server whose variables live, and which can misbehave.
//!
//! [`TAGS`] are its variables in the demo; the load tests give it as many as they like. It shows Basic256Sha256 and no other
//! security, with a certificate made in its folder; [`Dcs::certificate`] is what an engineer trusts. Beside it lies one of the
//! same key that has run out ([`Dcs::expired_certificate`]), shown at command.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use opcua::crypto::{CertificateStore, SecurityPolicy, X509, X509Data};
use opcua::nodes::VariableBuilder;
use opcua::server::diagnostics::NamespaceMetadata;
use opcua::server::node_manager::memory::{SimpleNodeManager, simple_node_manager};
use opcua::server::{ANONYMOUS_USER_TOKEN_ID, ServerBuilder, ServerHandle};
use opcua::types::{
    ApplicationDescription, DataTypeId, DataValue, DateTime, MessageSecurityMode, NodeId, ObjectId, StatusCode, Variant,
};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::life::{Moment, key_of};

/// Its namespace.
pub const SPACE: &str = "http://demo-park.example/dcs";
/// Its application URI.
const URI: &str = "urn:demo-park:dcs";
/// A certificate of a month is enough for a demo; a negative validity cannot be made, so the expired one is made of 0 days.
const VALID_DAYS: u32 = 30;

/// Its certificates, in its folder.
const VALID: &str = "own/cert.der";
const EXPIRED: &str = "own/expired.der";

/// A variable of the demo: name, title, unit, low, high, period of its swing in seconds, poll class.
pub type Tag = (&'static str, &'static str, &'static str, f64, f64, f64, &'static str);

/// The variables of the demo.
pub const TAGS: [Tag; 8] = [
    ("TI2101.PV", "反应器温度", "℃", 82.0, 88.0, 40.0, "normal"),
    ("PI2102.PV", "反应器压力", "MPa", 0.61, 0.66, 25.0, "normal"),
    ("LI2103.PV", "反应器液位", "%", 48.0, 55.0, 90.0, "normal"),
    ("FI2104.PV", "进料流量", "m3/h", 11.0, 13.5, 15.0, "fast"),
    ("TI2105.PV", "夹套温度", "℃", 60.0, 66.0, 50.0, "normal"),
    ("SI2106.PV", "搅拌转速", "r/min", 118.0, 122.0, 30.0, "normal"),
    ("TI2107.PV", "冷凝器出口温度", "℃", 28.0, 31.0, 70.0, "slow"),
    ("PI2108.PV", "氮封压力", "kPa", 1.8, 2.2, 35.0, "normal"),
];

/// What is wrong with it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    #[default]
    None,
    /// Its values stand still.
    Frozen,
    /// It has lost its instruments: BadNoCommunication.
    BadStatus,
}

/// How it starts.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Its folder of certificates; the same folder gives the same certificate.
    pub folder: PathBuf,
    /// Names of its variables.
    pub names: Vec<String>,
    /// Whether it shows security; without, it shows none at all.
    pub secured: bool,
}

/// The running server; dropping it ends it.
pub struct Dcs {
    addr: SocketAddr,
    settings: Settings,
    nodes: Vec<NodeId>,
    fault: Fault,
    expired: bool,
    running: Option<Running>,
}

struct Running {
    handle: ServerHandle,
    manager: Arc<SimpleNodeManager>,
    _task: JoinSet<()>,
}

impl Dcs {
    /// Starts it on a free port of the loopback.
    ///
    /// # Errors
    ///
    /// In words, when it cannot.
    pub async fn start(settings: Settings) -> Result<Self, String> {
        let listener = TcpListener::bind("127.0.0.1:0").await.map_err(|e| e.to_string())?;
        let addr = listener.local_addr().map_err(|e| e.to_string())?;
        let mut dcs = Self { addr, settings, nodes: Vec::new(), fault: Fault::None, expired: false, running: None };
        dcs.run(listener)?;
        Ok(dcs)
    }

    /// Returns its address.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Returns the file of its certificate, DER.
    pub fn certificate(&self) -> PathBuf {
        self.settings.folder.join(VALID)
    }

    /// Returns the file of the certificate that has run out, DER.
    pub fn expired_certificate(&self) -> PathBuf {
        self.settings.folder.join(EXPIRED)
    }

    /// Returns whether it shows the certificate that has run out.
    pub fn is_expired(&self) -> bool {
        self.expired
    }

    /// Sets which certificate it shows from its next start on.
    pub fn set_expired(&mut self, expired: bool) {
        self.expired = expired;
    }

    /// Makes something wrong with it, or right again.
    pub fn set_fault(&mut self, fault: Fault) {
        self.fault = fault;
    }

    /// Ends it; [`Dcs::again`] starts it on the same port, as after a power cut.
    pub fn end(&mut self) {
        if let Some(running) = self.running.take() {
            running.handle.cancel();
        }
    }

    /// Returns whether it serves.
    pub fn is_running(&self) -> bool {
        self.running.is_some()
    }

    /// Starts it again.
    ///
    /// # Errors
    ///
    /// In words, when the port is taken.
    pub async fn again(&mut self) -> Result<(), String> {
        let listener = TcpListener::bind(self.addr).await.map_err(|e| e.to_string())?;
        self.run(listener)
    }

    /// Sets all variables, in the order of their names.
    pub fn set(&self, values: impl Iterator<Item = f64>) {
        let Some(running) = self.running.as_ref().filter(|_| self.fault != Fault::Frozen) else { return };
        let now = DateTime::now();
        let status = if self.fault == Fault::BadStatus { StatusCode::BadNoCommunication } else { StatusCode::Good };
        let values = self.nodes.iter().zip(values).map(|(node, value)| {
            let value = DataValue {
                value: Some(Variant::Double(value)),
                status: Some(status),
                source_timestamp: Some(now),
                server_timestamp: Some(now),
                ..DataValue::null()
            };
            (node, None, value)
        });
        // Only a node that is not there is refused.
        running.manager.set_values(running.handle.subscriptions(), values).ok();
    }

    fn run(&mut self, listener: TcpListener) -> Result<(), String> {
        make_certificates(&self.settings)?;
        let users: &[&str] = &[ANONYMOUS_USER_TOKEN_ID];
        let builder = ServerBuilder::new()
            .application_name("demo DCS")
            .application_uri(URI)
            .product_uri(URI)
            .host("127.0.0.1")
            .port(self.addr.port())
            .pki_dir(&self.settings.folder)
            .certificate_path(if self.expired { EXPIRED } else { VALID })
            .private_key_path("own/key.pem")
            .trust_client_certs(true)
            .discovery_urls(vec!["/".to_owned()])
            .with_node_manager(simple_node_manager(
                NamespaceMetadata { namespace_uri: SPACE.to_owned(), ..NamespaceMetadata::default() },
                "dcs",
            ));
        let mut builder = match self.settings.secured {
            true => builder
                .add_endpoint("s", ("/", SecurityPolicy::Basic256Sha256, MessageSecurityMode::Sign, users))
                .add_endpoint("e", ("/", SecurityPolicy::Basic256Sha256, MessageSecurityMode::SignAndEncrypt, users)),
            false => builder.add_endpoint("n", ("/", SecurityPolicy::None, MessageSecurityMode::None, users)),
        };
        let limits = &mut builder.limits_mut().subscriptions;
        limits.max_monitored_items_per_sub = 0;
        limits.max_notifications_per_publish = 10_000;
        // Called unlimited when 0, and then keeps one: the rest is dropped although it has its number.
        limits.max_queued_notifications = 1000;
        let (server, handle) = builder.build()?;
        let manager = handle.node_managers().get_of_type::<SimpleNodeManager>().ok_or("no node manager")?;
        let index = handle.get_namespace_index(SPACE).ok_or("no namespace")?;
        self.nodes = fill(&manager, index, &self.settings.names);
        let mut task = JoinSet::new();
        task.spawn(async move { drop(server.run_with(listener).await) });
        self.running = Some(Running { handle, manager, _task: task });
        Ok(())
    }
}

fn fill(manager: &SimpleNodeManager, index: u16, names: &[String]) -> Vec<NodeId> {
    let mut space = manager.address_space().write();
    let folder = NodeId::new(index, "Unit1");
    space.add_folder(&folder, "Unit1", "Unit1", &ObjectId::ObjectsFolder.into());
    let nodes: Vec<NodeId> = names.iter().map(|name| NodeId::new(index, name.as_str())).collect();
    for (node, name) in nodes.iter().zip(names) {
        let variable = VariableBuilder::new(node, name.as_str(), name.as_str());
        variable.data_type(DataTypeId::Double).value(0.0_f64).organized_by(folder.clone()).insert(&mut *space);
    }
    nodes
}

/// Makes key and certificates where they are not there yet.
fn make_certificates(settings: &Settings) -> Result<(), String> {
    let [cert, key, expired] = [VALID, "own/key.pem", EXPIRED].map(|name| settings.folder.join(name));
    if !cert.is_file() || !key.is_file() {
        CertificateStore::create_certificate_and_key(&about(VALID_DAYS), true, &cert, &key)?;
    }
    if !expired.is_file() {
        let made = X509::from_pkey(&CertificateStore::read_pkey(&key)?, &about(0))?;
        std::fs::write(expired, made.to_der().map_err(|e| e.to_string())?).map_err(|e| e.to_string())?;
    }
    Ok(())
}

fn about(days: u32) -> X509Data {
    let about = ApplicationDescription { application_uri: URI.into(), ..ApplicationDescription::default() };
    X509Data {
        common_name: "demo DCS".to_owned(),
        organization: "demo-park".to_owned(),
        organizational_unit: "demo-park".to_owned(),
        country: "CN".to_owned(),
        state: "-".to_owned(),
        certificate_duration_days: days,
        ..X509Data::from((about, Some(vec!["127.0.0.1".to_owned(), "localhost".to_owned()])))
    }
}

/// Returns the variables of the demo at a moment.
pub fn values(moment: Moment) -> impl Iterator<Item = f64> {
    TAGS.iter().map(move |(name, _, _, low, high, period, _)| {
        let digits = 1000.0;
        (moment.swing(key_of(name), *period, *low, *high) * digits).round() / digits
    })
}

/// Returns the settings of the demo's DCS, its certificates below `folder`.
pub fn demo(folder: &Path) -> Settings {
    let names = TAGS.iter().map(|tag| tag.0.to_owned()).collect();
    Settings { folder: folder.join("dcs"), names, secured: true }
}
