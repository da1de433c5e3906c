//! What the configuration says of a sender of text messages.

use std::fmt;

use crate::mqtt::settings::Tls;

/// A sender, behind one channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gateway {
    /// Id of the channel.
    pub channel: String,
    /// What it is.
    pub kind: Kind,
}

/// What sends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A modem that takes AT commands.
    Modem(Modem),
    /// An HTTP gateway.
    Http(Box<Http>),
}

/// A modem.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Modem {
    /// Where it is.
    pub port: Port,
    /// The SIM's PIN, where it asks for one.
    pub pin: Option<Secret>,
}

/// Where a modem is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Port {
    /// A serial port, 8 data bits, no parity, one stop bit.
    Serial {
        /// Its device file.
        path: String,
        /// Bits a second.
        baud: u32,
    },
    /// A serial server (串口服务器) that passes bytes over TCP.
    Server {
        /// Host name or address.
        host: String,
        /// TCP port.
        port: u16,
    },
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Serial { path, .. } => f.write_str(path),
            Self::Server { host, port } => write!(f, "{host}:{port}"),
        }
    }
}

/// An HTTP gateway; without TLS one of the local net.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Http {
    /// Host.
    pub host: String,
    /// Port.
    pub port: u16,
    /// By what it proves itself, and we to it, where the address is `https`.
    pub tls: Option<Tls>,
    /// Path and query, with `{phone}`, `{text}`, `{secret}`.
    pub path: String,
    /// `POST` or `GET`.
    pub method: &'static str,
    /// Name and value of each header beside those that every request has; values with `{secret}`.
    pub headers: Vec<(String, String)>,
    /// The body, with `{phone}`, `{text}`, `{secret}`; empty with `GET`.
    pub body: String,
    /// How the body is written.
    pub content: Content,
    /// What stands for `{secret}`.
    pub secret: Option<Secret>,
    /// The status that means success; any of 200 to 299 where absent.
    pub status: Option<u16>,
    /// Text that a good answer has.
    pub answer: Option<String>,
}

/// How a body is written, and so how what is put into it is escaped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// JSON; the placeholders stand within strings.
    Json,
    /// `application/x-www-form-urlencoded`.
    Form,
}

/// A PIN, a password, a token. Shows nothing of itself.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}
