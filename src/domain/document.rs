//! What the state machines of danger and duty give out to be recorded: one JSON object each, made by `serde` from the
//! machine's own typed record. The same text is stored and sent, and read back at a restart.

use super::record::{Mode, Stream};
use super::time::Mono;

/// What a document tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DocumentKind {
    /// A transition of an alarm.
    Alarm,
    /// All alarms that are not normal, with their hash.
    ActiveAlarms,
    /// A transition of the state of the site, an order it gave, or what became of one.
    Site,
    /// A daily report.
    Report,
    /// Duty: a handover, a duty check and its answer.
    Duty,
    /// An accident report.
    Accident,
    /// A step of a hidden hazard (隐患).
    Hazard,
    /// Somebody did something, or was refused: an entry of the audit chain.
    Audit,
    /// A point, lane or interlock was taken out of service, bypassed, or brought back.
    Service,
    /// A message to people by way of the platform.
    Message,
    /// A passage through a gate: each step of it is a version of the same object.
    Passage,
    /// A decision of a gate, with everything that it was made of.
    Decision,
    /// Who is inside: a signed count, a correction, the day's reconciliation, a conflict between gateways.
    Inside,
    /// A roll call (人员清点): who is accounted for, and who is not.
    Muster,
    /// A question of a gate to people, and its answer.
    Ticket,
    /// Something that happened with dangerous goods: a waybill, a bay, a dispatch, a weighing, a violation.
    Hazmat,
    /// Pictures that the platform was to get and does not.
    Attachment,
}

impl DocumentKind {
    /// All kinds, in the order of their stored codes.
    pub const ALL: [DocumentKind; 17] = [
        Self::Alarm,
        Self::ActiveAlarms,
        Self::Site,
        Self::Report,
        Self::Duty,
        Self::Accident,
        Self::Hazard,
        Self::Audit,
        Self::Service,
        Self::Message,
        Self::Passage,
        Self::Decision,
        Self::Inside,
        Self::Muster,
        Self::Ticket,
        Self::Hazmat,
        Self::Attachment,
    ];

    /// Returns the word under which the object stands in a record on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Alarm => "alarm",
            Self::ActiveAlarms => "active_alarms",
            Self::Site => "site",
            Self::Report => "report",
            Self::Duty => "duty",
            Self::Accident => "accident",
            Self::Hazard => "hazard",
            Self::Audit => "audit",
            Self::Service => "service",
            Self::Message => "message",
            Self::Passage => "passage",
            Self::Decision => "decision",
            Self::Inside => "inside",
            Self::Muster => "muster",
            Self::Ticket => "ticket",
            Self::Hazmat => "hazmat",
            Self::Attachment => "attachment",
        }
    }

    /// Returns the stream on which documents of this kind travel.
    pub fn stream(self) -> Stream {
        match self {
            Self::Alarm | Self::ActiveAlarms => Stream::Alarm,
            Self::Audit
            | Self::Passage
            | Self::Decision
            | Self::Inside
            | Self::Muster
            | Self::Ticket
            | Self::Hazmat => Stream::Passage,
            Self::Report | Self::Duty | Self::Accident => Stream::Report,
            Self::Site | Self::Hazard | Self::Service | Self::Message | Self::Attachment => Stream::Event,
        }
    }
}

/// One of them, before it is a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// What it tells.
    pub kind: DocumentKind,
    /// Whether the world meant it; the wire has the word beside the object unless it is real.
    pub mode: Mode,
    /// When it happened.
    pub at: Mono,
    /// A JSON object.
    pub json: String,
}

impl Document {
    /// Writes `record` as a document. A record that cannot be written (there is none among ours) becomes the object
    /// `{"error": …}`: a lost word would be worse than an odd one.
    pub fn of(kind: DocumentKind, mode: Mode, at: Mono, record: &impl serde::Serialize) -> Self {
        let json = serde_json::to_string(record)
            .unwrap_or_else(|error| serde_json::json!({ "error": error.to_string() }).to_string());
        Self { kind, mode, at, json }
    }
}
