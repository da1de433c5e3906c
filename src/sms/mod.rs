//! Text messages (短信): the sender behind a channel of `alarms.toml`, a GSM/4G modem (短信猫) on a serial port or behind a serial
//! server, or an HTTP gateway of the local net.
//!
//! ```text
//!  app ──Text, by order──▶ queue ──one text per phone──▶ session: modem (at, pdu) or gateway (http) ──▶ network
//!      ◀──Receipt, State───  └── joins, waits, retries, gives up        └── looked at each minute: SIM, network, signal
//! ```
//!
//! [`pdu`], [`at`], [`http`] and [`queue`] are pure; `session/` talks. Numbers of telephones are personal data: nothing here writes
//! one whole, but to the modem or the gateway.
//!
//! # Bounds
//!
//! | what | limit | beyond it |
//! |---|---|---|
//! | orders waiting | [`queue::N_WAITING`] | the order fails at once |
//! | texts to one phone | one each [`queue::PAUSE`] | what came meanwhile is **one** text with the count: a flood of 1,000 alarms in a second is two |
//! | parts of a text | [`pdu::MAX_PARTS`] | cut, with an ellipsis |
//! | tries of a text | until [`queue::GIVE_UP`] after its order | the order fails, its machine raises the channel's alarm |
//! | one command of the modem, one request | [`session::ANSWER`] | the connection is dropped; what may have been sent is tried again: a text twice is better than none |
//! | the PIN | once for each start, and only while the SIM has all its tries | the SIM would lock itself; the channel says what to do |
//!
//! A gateway that is lost, a SIM without network or locked is told after [`session::DOWN_AFTER`], before anybody needs it.

pub mod at;
pub mod http;
pub mod pdu;
pub mod queue;
pub mod session;
pub mod settings;

use crate::domain::danger::ChannelState;
use crate::domain::order::Receipt;

/// What comes back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// What became of an order, by its key.
    Receipt(String, Receipt),
    /// How a channel stands, by its id; the first time, and when it is up, down, or stands otherwise.
    State(String, ChannelState),
}

/// Why something did not work, in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// Chinese.
    pub zh: String,
    /// English.
    pub en: String,
    /// Another try makes no sense.
    pub lasting: bool,
    /// The connection must not be used any more.
    pub gone: bool,
}

impl Trouble {
    /// Something that may pass.
    pub fn new(zh: impl Into<String>, en: impl Into<String>) -> Self {
        Self { zh: zh.into(), en: en.into(), lasting: false, gone: false }
    }

    /// The same, that will not pass by itself.
    pub fn lasting(zh: impl Into<String>, en: impl Into<String>) -> Self {
        Self { lasting: true, ..Self::new(zh, en) }
    }

    /// The same, after which the connection is of no use.
    pub fn gone(zh: impl Into<String>, en: impl Into<String>) -> Self {
        Self { gone: true, ..Self::new(zh, en) }
    }
}

impl std::fmt::Display for Trouble {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} / {}", self.zh, self.en)
    }
}
