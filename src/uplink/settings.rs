//! What the uplink must know; validated by `config`.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::domain::gate::picture::PictureKind;

pub use crate::mqtt::settings::{Broker, Login, Tls};

/// Settings of the uplink.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Park id, first level of the topics after `parkgate/v1`.
    pub park: String,
    /// Logical gateway id, second level; outlives the hardware.
    pub gateway: String,
    /// The platform's broker; its client id is the prefix of those of the three sessions.
    pub broker: Broker,
    /// What makes a record delivered.
    pub ack: AckMode,
    /// PUBACK without the platform's `ack` for this long sends again ([`AckMode::Platform`]).
    pub ack_timeout: Duration,
    /// Largest message, 4 KiB..=256 KiB.
    pub max_message_bytes: usize,
    /// Longest time a live record waits for company in an envelope, 0..=1 s.
    pub max_batch_age: Duration,
    /// Largest number of messages sent and not acknowledged by the broker, 1..=1000.
    pub max_in_flight: u16,
    /// Commands from the platform: keys by id. Empty refuses every command.
    pub command_keys: Vec<CommandKey>,
    /// Where pictures go; `None`: they stay here.
    pub attachments: Option<Attachments>,
}

/// What makes a record delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AckMode {
    /// The platform says so on its `ack` topic.
    Platform,
    /// The broker's PUBACK; records stay for the replay window of their stream's retention.
    Broker,
}

/// A key that may sign commands (HMAC-SHA256).
#[derive(Clone, PartialEq, Eq)]
pub struct CommandKey {
    /// Key id named by a command.
    pub id: String,
    /// The shared secret, at least 16 bytes. Never logged, never shown.
    pub secret: Vec<u8>,
    /// Issuer that this key speaks for.
    pub issuer: String,
}

impl std::fmt::Debug for CommandKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CommandKey").field("id", &self.id).field("issuer", &self.issuer).finish_non_exhaustive()
    }
}

/// Where attachments go; validated by `config`.
#[derive(Clone, PartialEq, Eq)]
pub struct Attachments {
    /// Host.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Path before park and gateway; empty, or begins with `/` and does not end with one.
    pub path: String,
    /// TLS, where used.
    pub tls: Option<Tls>,
    /// What proves who sends. Never logged, never shown.
    pub token: Option<String>,
    /// Bytes per second, 4 KiB..=16 MiB.
    pub rate: u32,
    /// Which pictures are sent.
    pub pictures: BTreeSet<PictureKind>,
}

impl std::fmt::Debug for Attachments {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { host, port, path, rate, pictures, .. } = self;
        write!(f, "attachments to {host}:{port}{path}, {rate} B/s, {pictures:?}")
    }
}

#[cfg(test)]
pub(super) mod testing {
    use super::*;

    /// Settings of a gateway whose broker is at `port` of this machine.
    pub(in crate::uplink) fn settings(port: u16) -> Settings {
        Settings {
            park: "demo-park".into(),
            gateway: "gw-east".into(),
            broker: Broker {
                host: "127.0.0.1".into(),
                port,
                tls: None,
                login: None,
                client_id: "gw-east".into(),
                keep_alive: Duration::from_secs(5),
                connect_timeout: Duration::from_secs(5),
                backoff_initial: Duration::from_secs(1),
                backoff_max: Duration::from_secs(600),
            },
            ack: AckMode::Platform,
            ack_timeout: Duration::from_secs(60),
            max_message_bytes: 16 << 10,
            max_batch_age: Duration::from_millis(10),
            max_in_flight: 50,
            command_keys: Vec::new(),
            attachments: None,
        }
    }
}
