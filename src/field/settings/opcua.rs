//! What the OPC UA reader must know: servers (one session each), the devices behind them, and their points.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use ::opcua::types::NodeId;

use super::{PollClass, Signal};
use crate::domain::id::{DeviceId, DeviceSlot};
use crate::domain::time::Timestamp;

/// One server with all devices read from it: one session, one subscription.
#[derive(Clone, Debug, PartialEq)]
pub struct ServerLink {
    /// How to reach it.
    pub server: Arc<Server>,
    /// The devices read from it, in configuration order.
    pub devices: Vec<(DeviceSlot, Arc<OpcUaDevice>)>,
}

/// One OPC UA server and how to reach it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// Its id in the configuration.
    pub id: String,
    /// `opc.tcp://host:port/path`.
    pub url: String,
    /// How messages are protected.
    pub security: Security,
    /// Who the gateway says it is.
    pub identity: Identity,
    /// How often the server sends what has changed, 100 ms..=4 s.
    pub publishing: Duration,
    /// How often it says at least that it is there, 1 s..=4 s: what was due is known to have come or not by then, long
    /// before a point of the class turns stale.
    pub keep_alive: Duration,
    /// Time for connecting, and for each answer: 500 ms..=60 s.
    pub timeout: Duration,
    /// Values the server keeps per point until they are sent, 1..=10,000; `None`: as many as are sampled while two
    /// notifications are under way.
    pub queue_size: Option<u32>,
    /// Longest hole that is filled from the server's history after an outage; zero: none is.
    pub history: Duration,
    /// First delay after a failure; doubles, with jitter, up to `backoff_max`.
    pub backoff_initial: Duration,
    /// Longest delay after failures.
    pub backoff_max: Duration,
}

impl Server {
    /// Returns how many empty publishing cycles make a keep-alive.
    pub fn keep_alive_count(&self) -> u32 {
        let cycles = self.keep_alive.as_millis() / self.publishing.as_millis().max(1);
        u32::try_from(cycles).unwrap_or(u32::MAX).max(1)
    }

    /// Returns how often the server says that it lives when nothing changes.
    pub fn sign_of_life(&self) -> Duration {
        self.publishing * self.keep_alive_count()
    }

    /// Returns how many values of a point sampled every `interval` the server is asked to keep.
    pub fn queue_for(&self, interval: Duration) -> u32 {
        let sampled = self.publishing.as_millis().div_ceil(interval.as_millis().max(1));
        self.queue_size.unwrap_or_else(|| u32::try_from(sampled * 2).unwrap_or(u32::MAX).max(2))
    }
}

/// How messages are protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Security {
    /// Not at all: anybody on the way can read and change what is said. Only when the configuration names it.
    None,
    /// By signature, or signature and encryption.
    By(Policy, Protection),
}

/// The algorithms of a secured connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Policy {
    /// RSA-OAEP, AES-256-CBC, SHA-256.
    Basic256Sha256,
    /// RSA-OAEP, AES-128-CBC, SHA-256.
    Aes128Sha256RsaOaep,
    /// RSA-OAEP with SHA-256, RSA-PSS, AES-256-CBC.
    Aes256Sha256RsaPss,
}

impl Policy {
    /// All policies.
    pub const ALL: [Policy; 3] = [Self::Basic256Sha256, Self::Aes128Sha256RsaOaep, Self::Aes256Sha256RsaPss];

    /// Returns the name as in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Basic256Sha256 => "Basic256Sha256",
            Self::Aes128Sha256RsaOaep => "Aes128-Sha256-RsaOaep",
            Self::Aes256Sha256RsaPss => "Aes256-Sha256-RsaPss",
        }
    }
}

/// What a secured connection does to each message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Protection {
    /// Signed: nobody can change it.
    Sign,
    /// Signed and encrypted: nobody can read it either.
    SignAndEncrypt,
}

impl Protection {
    /// Returns the name as in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sign => "Sign",
            Self::SignAndEncrypt => "SignAndEncrypt",
        }
    }
}

impl Security {
    /// Returns whether anything protects the messages.
    pub fn is_secured(self) -> bool {
        self != Self::None
    }
}

impl fmt::Display for Security {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("None"),
            Self::By(policy, protection) => write!(f, "{} {}", policy.as_str(), protection.as_str()),
        }
    }
}

/// Who the gateway says it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Identity {
    /// Nobody in particular.
    Anonymous,
    /// A user with a password.
    User {
        /// User name.
        name: String,
        /// Its password.
        password: Password,
    },
    /// The holder of a certificate.
    Certificate {
        /// DER or PEM, by the file's ending.
        cert_file: PathBuf,
        /// PEM.
        key_file: PathBuf,
    },
}

/// A password that no log shows.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(pub String);

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(…)")
    }
}

/// A device behind a server: what belongs together in the park, e.g. one unit of a DCS.
#[derive(Clone, Debug, PartialEq)]
pub struct OpcUaDevice {
    /// Its id.
    pub id: DeviceId,
    /// The server.
    pub server: Arc<Server>,
    /// Poll classes in use, fastest first; their interval is the sampling interval asked for.
    pub classes: Vec<PollClass>,
    /// Points in point-table order; the index is the ordinal. Same length and order as the registry's `DeviceSpec`.
    pub points: Vec<OpcUaPoint>,
}

/// Where a point is and how its number becomes a value.
#[derive(Clone, Debug, PartialEq)]
pub struct OpcUaPoint {
    /// Index into [`OpcUaDevice::classes`].
    pub class: u8,
    /// The variable.
    pub node: NodeRef,
    /// Factor applied to the number.
    pub scale: f64,
    /// Added after scaling.
    pub offset: f64,
    /// Decimals the scaled value is rounded to; `None` leaves it as it is.
    pub decimals: Option<u8>,
    /// Range in the point's unit; beyond it the quality is over or under range.
    pub range: Option<(f64, f64)>,
    /// What the number is.
    pub signal: Signal,
    /// Longest silence of the point: an unchanged value is confirmed at least this often, as far as the server's signs of
    /// life allow ([`Server::sign_of_life`]).
    pub silence: Duration,
}

/// How far points are stored when the gateway starts: the time that came with the last stored value, by slot and ordinal.
pub type Stored = BTreeMap<(DeviceSlot, u16), Timestamp>;

/// A node as written in a point table: `nsu=http://…;s=TI101` (preferred: the index of a namespace may change when a
/// server is rebuilt, its URI does not), `ns=2;s=TI101`, or without either for namespace 0.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct NodeRef {
    /// Its namespace.
    pub namespace: Namespace,
    /// `s=…`, `i=…`, `g=…` or `b=…`.
    identifier: String,
}

/// A namespace, by its index in the server's table or by its URI.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Namespace {
    /// Its index.
    Index(u16),
    /// Its URI.
    Uri(String),
}

impl NodeRef {
    /// Returns the node's id where the namespace with its URI has this index; `index_of` is asked only for URIs.
    pub fn resolve(&self, index_of: impl FnOnce(&str) -> Option<u16>) -> Option<NodeId> {
        let index = match &self.namespace {
            Namespace::Index(index) => *index,
            Namespace::Uri(uri) => index_of(uri)?,
        };
        NodeId::from_str(&format!("ns={index};{}", self.identifier)).ok()
    }

    /// Writes a node of a server as a point table should have it: by URI, but for the namespace of OPC UA itself.
    pub fn of(id: &NodeId, uri: Option<&str>) -> Option<Self> {
        let text = NodeId { namespace: 0, identifier: id.identifier.clone() }.to_string();
        let namespace = match uri.filter(|_| id.namespace > 0) {
            Some(uri) if !uri.contains(';') => Namespace::Uri(uri.to_owned()),
            _ => Namespace::Index(id.namespace),
        };
        let identifier = text.strip_prefix("ns=0;").unwrap_or(&text).to_owned();
        Some(Self { namespace, identifier }).filter(|node| node.to_string().parse() == Ok(node.clone()))
    }
}

/// Why a text is no node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotANode {
    /// The namespace is none.
    Namespace,
    /// The identifier is none.
    Identifier,
}

impl FromStr for NodeRef {
    type Err = NotANode;

    fn from_str(text: &str) -> Result<Self, NotANode> {
        let (namespace, identifier) = if let Some(rest) = text.strip_prefix("nsu=") {
            // The last `;` before the identifier: URIs may hold one, names of variables rarely do.
            let (uri, identifier) = split_at_identifier(rest).ok_or(NotANode::Identifier)?;
            if uri.is_empty() {
                return Err(NotANode::Namespace);
            }
            (Namespace::Uri(uri.to_owned()), identifier)
        } else if let Some(rest) = text.strip_prefix("ns=") {
            let (index, identifier) = rest.split_once(';').ok_or(NotANode::Identifier)?;
            (Namespace::Index(index.parse().map_err(|_| NotANode::Namespace)?), identifier)
        } else {
            (Namespace::Index(0), text)
        };
        NodeId::from_str(identifier).map_err(|_| NotANode::Identifier)?;
        Ok(Self { namespace, identifier: identifier.to_owned() })
    }
}

fn split_at_identifier(rest: &str) -> Option<(&str, &str)> {
    let starts = [";s=", ";i=", ";g=", ";b="].into_iter().filter_map(|mark| rest.find(mark)).min()?;
    let (uri, identifier) = rest.split_at_checked(starts)?;
    Some((uri, identifier.strip_prefix(';')?))
}

impl fmt::Display for NodeRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.namespace {
            Namespace::Index(0) => f.write_str(&self.identifier),
            Namespace::Index(index) => write!(f, "ns={index};{}", self.identifier),
            Namespace::Uri(uri) => write!(f, "nsu={uri};{}", self.identifier),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_are_read_by_index_by_uri_and_of_the_standard() {
        for text in ["ns=2;s=TI101.PV", "nsu=http://dcs.example/park;s=TI101;PV", "i=2258", "ns=3;i=7"] {
            assert_eq!(text.parse::<NodeRef>().unwrap().to_string(), text);
        }
        let node: NodeRef = "nsu=urn:park;s=罐 1".parse().unwrap();
        assert_eq!(node.resolve(|uri| (uri == "urn:park").then_some(4)).unwrap().to_string(), "ns=4;s=罐 1");
        assert_eq!(node.resolve(|_| None), None);
    }

    #[test]
    fn what_is_no_node_is_refused() {
        for text in
            ["", "TI101", "ns=2", "ns=x;s=a", "ns=70000;s=a", "nsu=;s=a", "nsu=urn:a", "ns=2;i=x", "g=1", "罐=1"]
        {
            assert!(text.parse::<NodeRef>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_browsed_node_is_written_by_uri_and_reads_back() {
        let id = NodeId::new(3, "TI101");
        assert_eq!(NodeRef::of(&id, Some("urn:park")).unwrap().to_string(), "nsu=urn:park;s=TI101");
        assert_eq!(NodeRef::of(&id, None).unwrap().to_string(), "ns=3;s=TI101");
        assert_eq!(
            NodeRef::of(&NodeId::new(0, 2258_u32), Some("http://opcfoundation.org/UA/")).unwrap().to_string(),
            "i=2258"
        );
    }

    #[test]
    fn a_password_is_not_shown() {
        assert!(!format!("{:?}", Password("secret".into())).contains("secret"));
    }
}
