//! What a connection to a broker must know; validated by `config`.

use std::path::PathBuf;
use std::time::Duration;

/// A broker, and how it is spoken to.
#[derive(Clone, Debug, PartialEq)]
pub struct Broker {
    /// Host.
    pub host: String,
    /// Port.
    pub port: u16,
    /// TLS, where used.
    pub tls: Option<Tls>,
    /// User and password, where used.
    pub login: Option<Login>,
    /// Client id; unique at the broker.
    pub client_id: String,
    /// MQTT keep-alive, 5 s..=120 s.
    pub keep_alive: Duration,
    /// Time allowed for TCP, TLS and CONNACK together.
    pub connect_timeout: Duration,
    /// First delay after a lost connection; doubles, with jitter, up to `backoff_max`.
    pub backoff_initial: Duration,
    /// Longest delay between attempts.
    pub backoff_max: Duration,
}

/// TLS towards the broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    /// PEM file with the authorities that may sign the broker's certificate.
    pub ca_file: PathBuf,
    /// PEM files with the client's certificate chain and key.
    pub client: Option<(PathBuf, PathBuf)>,
}

/// User and password.
#[derive(Clone, PartialEq, Eq)]
pub struct Login {
    /// User name.
    pub user: String,
    /// Password. Never logged, never shown.
    pub password: String,
}

impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Login").field("user", &self.user).field("password", &"***").finish()
    }
}
