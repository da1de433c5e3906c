//! The words of the account: what carries numbers, what a message brought, what is wrong with it, whether it adds up.

use std::ops::RangeInclusive;

use super::account::occurrences::AlarmsClosing;
use super::account::passages::PassagesClosing;
use crate::domain::reading::Quality;
use crate::domain::record::Stream;

/// What carries numbers: a stream, or the gap ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Channel {
    /// One of the six streams.
    Stream(Stream),
    /// The gap ledger, numbered by its own `no`.
    Gap,
}

impl Channel {
    /// All channels, streams by rank first.
    pub fn all() -> impl Iterator<Item = Channel> {
        Stream::ALL.into_iter().map(Channel::Stream).chain([Channel::Gap])
    }

    /// Returns the name used as last level of the topic and as `stream` of the envelope.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stream(stream) => stream.as_str(),
            Self::Gap => "gap",
        }
    }

    /// Returns the channel of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        if name == "gap" { Some(Self::Gap) } else { Stream::from_name(name).map(Self::Stream) }
    }
}

impl From<Stream> for Channel {
    fn from(stream: Stream) -> Self {
        Self::Stream(stream)
    }
}

/// The lanes of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Lane {
    /// As it happens.
    Live,
    /// What waited, oldest first.
    History,
}

/// Why a message was refused as a whole.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The topic is not `parkgate/v1/{park}/{gateway}/{what}` with something that goes up.
    #[error("topic `{0}` is none of the feed")]
    Topic(String),
    /// Not the JSON of an envelope or a state.
    #[error("message on `{topic}` cannot be read: {why}")]
    Json {
        /// Where.
        topic: String,
        /// The parser's words.
        why: String,
    },
    /// A version other than 1.
    #[error("version {0} is not 1")]
    Version(u32),
    /// Topic and envelope disagree, or another gateway than before.
    #[error("gateway `{found}` instead of `{expected}`")]
    Gateway {
        /// In the envelope.
        found: String,
        /// By topic, or of earlier messages.
        expected: String,
    },
    /// The stream of the envelope is not that of the topic.
    #[error("stream `{found}` on topic `{expected}`")]
    StreamName {
        /// In the envelope.
        found: String,
        /// By topic.
        expected: String,
    },
    /// A lane other than `live` and `history`.
    #[error("lane `{0}` is not known")]
    LaneName(String),
    /// Boot 0, or a live envelope of an earlier boot than a live one before.
    #[error("boot {found} after boot {known}")]
    Boot {
        /// In the envelope.
        found: u32,
        /// Seen before.
        known: u32,
    },
    /// A clock trust that is not on the list.
    #[error("clock `{0}` is not known")]
    Clock(String),
    /// A gap record without its gap, or with a stream or range that cannot be.
    #[error("gap record {0} says nothing usable")]
    Gap(u64),
}

/// Something wrong with one record; the record is taken all the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Blemish {
    /// First seen below the highest of its lane in this session.
    Order {
        /// Channel.
        channel: Channel,
        /// Lane.
        lane: Lane,
        /// The number.
        seq: u64,
        /// The highest before it.
        after: u64,
    },
    /// Numbers do not ascend within one envelope.
    Descending {
        /// Channel.
        channel: Channel,
        /// The number.
        seq: u64,
    },
    /// The same number with another content.
    Changed {
        /// Channel.
        channel: Channel,
        /// The number.
        seq: u64,
    },
    /// A coverage record whose `ok + bad + skipped` is not `due`.
    Coverage {
        /// The number.
        seq: u64,
    },
}

/// A message that was taken.
#[derive(Clone, Debug, PartialEq)]
pub enum Receipt {
    /// An envelope with records.
    Records(Taken),
    /// A state message.
    State(State),
}

/// What an envelope brought.
#[derive(Clone, Debug, PartialEq)]
pub struct Taken {
    /// Where.
    pub channel: Channel,
    /// Lane.
    pub lane: Lane,
    /// Epoch of the numbers.
    pub epoch: String,
    /// Boot of the records.
    pub boot: u32,
    /// First and last number; `None` for an empty envelope.
    pub seqs: Option<RangeInclusive<u64>>,
    /// Records seen for the first time.
    pub fresh: u64,
    /// Records seen before.
    pub repeated: u64,
    /// Values in fresh records, nulls included.
    pub values: u64,
    /// Blemishes found in this envelope.
    pub blemishes: u64,
}

/// What a state message says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// Epoch, where given (a last will may not know it).
    pub epoch: Option<String>,
    /// Boot, where given.
    pub boot: Option<u32>,
    /// Whether the gateway says it is online.
    pub online: bool,
    /// Whether this message opens a session: online, and the state before was not, or was of another boot.
    pub opens: bool,
    /// Next number per stream by rank, where given.
    pub next: Option<[u64; 6]>,
}

/// One value as [`Account::take_with`] shows it.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'a> {
    /// Lane of the envelope.
    pub lane: Lane,
    /// Number of the record.
    pub seq: u64,
    /// Whether the record was seen for the first time.
    pub fresh: bool,
    /// Boot of the record.
    pub boot: u32,
    /// Time of the record, milliseconds since 1970, where it could be read.
    pub t_ms: Option<i64>,
    /// Device, empty where the record names none.
    pub device: &'a str,
    /// Tag.
    pub tag: &'a str,
    /// The value's JSON text, e.g. `23.4`, `null`, `"18446744073709551615"`.
    pub json: &'a str,
}

/// Whether it adds up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Closing {
    /// Numbers received, over all streams.
    pub received: u64,
    /// Records received again.
    pub duplicates: u64,
    /// Numbers not received and inside a gap record.
    pub lost: u64,
    /// Numbers below `next` neither received nor inside a gap record.
    pub unexplained: Vec<(Stream, RangeInclusive<u64>)>,
    /// Numbers at or above `next` that were received all the same.
    pub beyond: Vec<(Stream, RangeInclusive<u64>)>,
    /// See [`Blemish::Order`] and [`Blemish::Descending`].
    pub order_faults: u64,
    /// See [`Blemish::Changed`].
    pub changed: u64,
    /// Messages refused.
    pub refused: u64,
    /// Whether the occurrences of alarms add up by their own numbers.
    pub alarms: AlarmsClosing,
    /// What was received of passages.
    pub passages: PassagesClosing,
}

impl Closing {
    /// Returns whether the account closes: everything is explained, nothing was changed or out of order.
    pub fn closes(&self) -> bool {
        self.unexplained.is_empty()
            && self.beyond.is_empty()
            && self.order_faults == 0
            && self.changed == 0
            && self.refused == 0
            && self.alarms.faults.is_empty()
    }
}

/// Counters over all messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Messages taken.
    pub messages: u64,
    /// Messages refused.
    pub refused: u64,
    /// Bytes of payload taken.
    pub bytes: u64,
    /// Fresh records over all streams, gap records not among them.
    pub records: u64,
    /// Records that came again.
    pub duplicates: u64,
    /// Values in fresh records, nulls included.
    pub values: u64,
    /// Nulls among them.
    pub nulls: u64,
    /// Values by quality, in the order of [`Quality::ALL`]; only those that are not good are told.
    pub qualities: [u64; Quality::ALL.len()],
    /// Coverage records.
    pub coverages: u64,
    /// Polls due by coverage records.
    pub polls_due: u64,
    /// Polls answered in full by coverage records.
    pub polls_ok: u64,
    /// Fresh records that say that they cannot be told.
    pub unreadable: u64,
}
