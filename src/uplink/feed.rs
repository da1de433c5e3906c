//! What is fed to the platform: the six streams and the gap ledger, each through one of two sessions.

use crate::domain::record::Stream;

/// Number of feeds: the streams and the ledger.
pub const FEEDS: usize = Stream::ALL.len() + 1;

/// One numbered sequence of records on its way up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Feed {
    /// A stream of the store, numbered by `seq`.
    Stream(Stream),
    /// The gap ledger, numbered by the entries' own numbers.
    Gap,
}

/// The sessions, by what must not wait for what: no backlog stands before an alarm on a thin line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Session {
    /// Alarm, passage, gap and `state`; owns the last will.
    Urgent,
    /// Event, registry, report and telemetry; hears `ack`.
    Bulk,
    /// Hears `cmd/+`; persistent, acknowledges by hand, publishes nothing.
    Commands,
}

impl Session {
    /// All sessions.
    pub const ALL: [Session; 3] = [Self::Urgent, Self::Bulk, Self::Commands];

    /// Returns the name shown to people.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Urgent => "urgent",
            Self::Bulk => "bulk",
            Self::Commands => "commands",
        }
    }

    /// Returns what is put behind the configured client id.
    pub fn suffix(self) -> &'static str {
        match self {
            Self::Urgent => "-u",
            Self::Bulk => "-b",
            Self::Commands => "-c",
        }
    }

    /// Returns the index into per-session arrays.
    pub fn index(self) -> usize {
        self as usize
    }
}

impl Feed {
    /// All feeds in the order in which they are served: the streams by rank, the ledger before telemetry's session
    /// because it is in the urgent one.
    pub const ALL: [Feed; FEEDS] = [
        Self::Stream(Stream::Alarm),
        Self::Stream(Stream::Passage),
        Self::Stream(Stream::Event),
        Self::Stream(Stream::Registry),
        Self::Stream(Stream::Report),
        Self::Stream(Stream::Telemetry),
        Self::Gap,
    ];

    /// Returns the name: last level of the topic, `stream` of the envelope.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stream(stream) => stream.as_str(),
            Self::Gap => "gap",
        }
    }

    /// Returns the feed of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|f| f.as_str() == name)
    }

    /// Returns the index into per-feed arrays.
    pub fn index(self) -> usize {
        match self {
            Self::Stream(stream) => stream.rank(),
            Self::Gap => FEEDS - 1,
        }
    }

    /// Returns the session that carries it.
    pub fn session(self) -> Session {
        match self {
            Self::Stream(Stream::Alarm | Stream::Passage) | Self::Gap => Session::Urgent,
            Self::Stream(Stream::Event | Stream::Registry | Stream::Report | Stream::Telemetry) => Session::Bulk,
        }
    }

    /// Returns whether it is told whole before a planned end. All but telemetry, whose backlog may be hours long: a start
    /// that is soon stopped must not leave its boot and registry records behind.
    pub fn is_short(self) -> bool {
        self != Self::Stream(Stream::Telemetry)
    }

    /// Returns whether a record of it that is larger than the pace of the line is cut into parts, which keep that pace:
    /// documents, like a registry, a report or the set of active alarms. Not readings and events: they are small by nature, and wanted now.
    pub fn has_documents(self) -> bool {
        matches!(self, Self::Stream(Stream::Alarm | Stream::Passage | Stream::Registry | Stream::Report))
    }

    /// Returns whether its live records wait for the store, for a while, before they leave.
    pub fn stored_first(self) -> bool {
        matches!(self, Self::Stream(Stream::Alarm | Stream::Passage))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_feed_is_found_by_its_name_and_its_index() {
        for (i, feed) in Feed::ALL.into_iter().enumerate() {
            assert_eq!(Feed::from_name(feed.as_str()), Some(feed));
            assert_eq!(feed.index(), i);
        }
        assert_eq!(Feed::from_name("state"), None);
    }
}
