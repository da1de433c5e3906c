//! What is asked and answered, as JSON lines.

use serde::{Deserialize, Serialize};

use crate::domain::actor::Role;
use crate::domain::alarm::view::ActiveAlarm;
use crate::domain::danger::Action;
use crate::domain::gate::gates::act::GateAct;
use crate::domain::gate::hardware::Input;
use crate::domain::gate::hazmat::named::Named;
use crate::domain::gate::hazmat::waybill::Waybill;
use crate::domain::gate::hazmat::waybill::WaybillState;
use crate::domain::gate::register::look::Look;
use crate::domain::gate::register::permit::Approver;
use crate::domain::gate::register::row::Table;
use crate::domain::gate::word::{Direction, WaybillNo};

/// A request.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(tag = "ask", rename_all = "snake_case", deny_unknown_fields)]
pub enum Ask {
    /// What stands of these points, or of all; once.
    Read {
        /// Tags; empty means all.
        #[serde(default)]
        tags: Vec<String>,
    },
    /// The same, and then each change.
    Watch {
        /// Tags; empty means all.
        #[serde(default)]
        tags: Vec<String>,
        /// For so long; at most [`super::MAX_SPAN`].
        for_ms: u64,
    },
    /// The raw bytes between the gateway and a device.
    WireLog {
        /// The device's id.
        device: String,
        /// For so long; at most [`super::MAX_SPAN`].
        for_ms: u64,
    },
    /// Write to an output.
    Write {
        /// The output's id.
        output: String,
        /// Name of a value in its list.
        value: String,
        /// Who asks.
        issuer: String,
        /// Idempotency key.
        key: String,
        /// The asker's own patience.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        within_ms: Option<u64>,
        /// Whether this is a loop test, not meant by the world.
        #[serde(default)]
        loop_test: bool,
        /// For a loop test: also on an output in service.
        #[serde(default)]
        really: bool,
    },
    /// Compare what a point reads with what the instrument was made to show, and record it.
    LoopTest {
        /// The point's tag.
        tag: String,
        /// Who tests.
        issuer: String,
        /// What the instrument shows.
        expected: f64,
        /// Difference that still passes, in the point's unit; 1 % of the range where absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        tolerance: Option<f64>,
        /// Also on a point in service.
        #[serde(default)]
        really: bool,
    },
    /// The alarms that are not normal.
    Alarms,
    /// All that stands of danger but the alarms: counts, instruments, the site, duty, hazards, accidents, messages.
    Danger,
    /// A daily report, its newest version.
    Report {
        /// Its day, `2026-11-23`; the newest report where absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        day: Option<String>,
    },
    /// What stands at the gates: lanes, tickets, who is inside, dangerous goods.
    Lanes,
    /// Do something at a lane. The caller is who the kernel says.
    Lane {
        /// Its id.
        lane: String,
        /// What.
        act: LaneAct,
        /// Why; never empty.
        why: String,
    },
    /// Tell the gates something beside the lanes: an answer to a ticket, a count, a check. The caller is who the kernel says.
    Gate {
        /// What.
        act: Box<GateAct>,
    },
    /// The whole list of a muster that runs, to be printed: who is unaccounted for first, with names and telephones.
    Roll {
        /// Which; the only one that runs where absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        muster: Option<String>,
        /// As a page for a browser, instead of text.
        #[serde(default)]
        html: bool,
    },
    /// A waybill with its checks, answered and open.
    Checks {
        /// Its number.
        waybill: WaybillNo,
    },
    /// Enter a waybill by hand, from paper, while the platform is away.
    Enter {
        /// The waybill.
        waybill: Box<Waybill<Named>>,
        /// Why.
        why: String,
    },
    /// Documents of one kind as they are stored, in order: decisions for a replay, entries of the audit for its proof.
    Documents {
        /// Their kind, by its word on the wire.
        kind: String,
        /// Those from this wall time on, milliseconds since 1970; all that are kept where absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        since_ms: Option<i64>,
    },
    /// Files of the register into the register. Their contents follow the request's line, one after the other, as they are.
    Import {
        /// The files, in order.
        files: Vec<SentFile>,
        /// What they hold; judged by their headers where absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        table: Option<Table>,
        /// Check only.
        #[serde(default)]
        dry_run: bool,
        /// Take the good rows although others are refused.
        #[serde(default)]
        partial: bool,
    },
    /// Look at the register: rows, each a line.
    Register {
        /// What.
        look: Look,
    },
    /// Decide a stage of a permit's approval. The caller is who the kernel says.
    Approve {
        /// Number of the permit.
        permit: String,
        /// Which stage, as the caller saw that it is its turn.
        stage: Approver,
        /// Passed, or refused.
        passed: bool,
        /// Why; may be empty where it passes.
        #[serde(default)]
        why: String,
    },
    /// Waybills that are not over, each a line.
    Waybills,
    /// Take a waybill one step on, or give it up. The caller is who the kernel says.
    Waybill {
        /// Its number.
        number: String,
        /// Where to, as the caller saw that it is its next step.
        to: WaybillState,
        /// Why; may be empty where it goes on.
        #[serde(default)]
        why: String,
    },
    /// Do something to an alarm, the site, duty, a hazard, an accident. The caller is who the kernel says.
    Act {
        /// What.
        action: Action,
    },
}

/// What a person does at a lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(tag = "do", rename_all = "snake_case", deny_unknown_fields)]
pub enum LaneAct {
    /// Open once.
    Open {
        /// Life is at stake.
        #[serde(default)]
        emergency: bool,
    },
    /// Hold open for so long.
    Hold {
        /// Milliseconds; at most 12 hours.
        for_ms: u64,
    },
    /// End a hold.
    Release,
    /// Let a person decide about what waits.
    Refer,
    /// Refuse what waits.
    Refuse,
    /// Close what stands open, when everything is clear.
    Close,
    /// Reset the release by the fire contact, which must be at rest.
    ResetFire,
    /// Arm it again after its camera had opened by its own list, which is off.
    Arm,
    /// Let it move for a test for so long, while it is being commissioned.
    Test {
        /// Milliseconds; at most 8 hours.
        for_ms: u64,
    },
    /// End a test.
    EndTest,
    /// Turn a reversible lane, which must be empty.
    Turn {
        /// Which way it leads then.
        to: Direction,
    },
    /// Believe an input again that had missed a vehicle, after it was checked.
    Trust {
        /// Which.
        input: Input,
    },
}

impl Ask {
    /// Whether it is in the audit, done or refused: everything but a look.
    pub fn is_audited(&self) -> bool {
        match self {
            Self::WireLog { .. }
            | Self::Write { .. }
            | Self::LoopTest { .. }
            | Self::Documents { .. }
            | Self::Lane { .. }
            | Self::Gate { .. }
            | Self::Roll { .. }
            | Self::Enter { .. }
            | Self::Import { .. }
            | Self::Register { look: Look::Rows { .. } }
            | Self::Approve { .. }
            | Self::Waybill { .. }
            | Self::Act { .. } => true,
            Self::Read { .. }
            | Self::Watch { .. }
            | Self::Alarms
            | Self::Danger
            | Self::Report { .. }
            | Self::Lanes
            | Self::Checks { .. }
            | Self::Register { look: Look::Tables | Look::Permits { .. } | Look::Row { .. } }
            | Self::Waybills => false,
        }
    }

    /// Returns how many bytes follow the request's line, and who may have them read at all; `None` where nothing follows.
    pub fn attached(&self) -> Option<(u64, Role)> {
        match self {
            Self::Import { files, .. } => {
                let bytes = files.iter().map(|file| file.bytes).fold(0, u64::saturating_add);
                Some((bytes, Role::Admin))
            }
            Self::Read { .. }
            | Self::Watch { .. }
            | Self::WireLog { .. }
            | Self::Write { .. }
            | Self::LoopTest { .. }
            | Self::Alarms
            | Self::Danger
            | Self::Report { .. }
            | Self::Documents { .. }
            | Self::Lanes
            | Self::Lane { .. }
            | Self::Gate { .. }
            | Self::Roll { .. }
            | Self::Checks { .. }
            | Self::Enter { .. }
            | Self::Register { .. }
            | Self::Approve { .. }
            | Self::Waybills
            | Self::Waybill { .. }
            | Self::Act { .. } => None,
        }
    }
}

/// A file that follows a request.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct SentFile {
    /// Its name, for the words about its rows.
    pub name: String,
    /// Its size.
    pub bytes: u64,
}

/// One line of an answer.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Line {
    /// A point as it stands.
    Point(PointLine),
    /// Bytes on the wire.
    Frame(FrameLine),
    /// What became of a write.
    Wrote(WroteLine),
    /// What a loop test found.
    Tested(TestedLine),
    /// An alarm that is not normal.
    Alarm(Box<ActiveAlarm>),
    /// What stands of danger, or a report.
    Told(Box<serde_json::Value>),
    /// An action was done.
    Did(DidLine),
    /// A document as it is stored.
    Document(DocumentLine),
    /// What became of files of the register.
    Imported(Box<ImportedLine>),
    /// The last line: empty when all went well, else why not.
    End(String),
}

/// A point as it stands.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct PointLine {
    /// Tag.
    pub tag: String,
    /// Name for people.
    pub name: String,
    /// Device id.
    pub device: String,
    /// Value as people read it, `-` when there is none.
    pub value: String,
    /// Unit.
    pub unit: String,
    /// Quality.
    pub quality: String,
    /// Wall time of the reading, UTC; empty before the first.
    pub t: String,
}

/// Bytes on the wire.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct FrameLine {
    /// Wall time, UTC.
    pub t: String,
    /// Whether they went to the device.
    pub out: bool,
    /// The bytes in hexadecimal.
    pub hex: String,
    /// Chunks that were dropped before this one.
    pub dropped: u64,
}

/// What became of a write.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct WroteLine {
    /// `done`, `refused`, `expired`, `not_confirmed`, `failed`.
    pub result: String,
    /// The same for people, Chinese.
    pub zh: String,
    /// What was written.
    pub raw: Option<u16>,
    /// What the feedback showed.
    pub seen: Option<u16>,
    /// Why.
    pub detail: String,
    /// How long it took.
    pub elapsed_ms: u32,
}

/// What a loop test found.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct TestedLine {
    /// Whether both agree.
    pub passed: bool,
    /// What was read, with unit.
    pub read: String,
    /// Its quality.
    pub quality: String,
    /// Tolerance and difference.
    pub detail: String,
}

/// What an action came to.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct DidLine {
    /// Chinese.
    pub zh: String,
    /// English.
    pub en: String,
    /// Number or id of what it made.
    pub id: Option<String>,
}

/// A document as it is stored.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct DocumentLine {
    /// Its number on its stream.
    pub seq: u64,
    /// Its text, byte for byte: a JSON object.
    pub json: String,
}

/// What became of files of the register.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub struct ImportedLine {
    /// What is wrong or doubtful, for people, by file and line.
    pub told: String,
    /// Rows that there are.
    pub rows: usize,
    /// Rows that could be taken.
    pub taken: usize,
    /// Rows that are new in the register, or would be.
    pub added: usize,
    /// Rows that are changed, or would be.
    pub changed: usize,
    /// The revision that holds now; absent where nothing was imported.
    pub rev: Option<u64>,
}

/// Reads a request line.
///
/// # Errors
///
/// What is wrong with it.
pub fn parse(line: &[u8]) -> Result<Ask, String> {
    serde_json::from_slice(line).map_err(|error| format!("this is no request: {error}"))
}

/// Returns a line with its line break.
pub fn written(line: &impl Serialize) -> Vec<u8> {
    // A line of these types is always JSON: no map keys but strings, no NaN but in `expected`, which becomes null.
    let mut bytes = serde_json::to_vec(line).unwrap_or_default();
    bytes.push(b'\n');
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_survive_the_way() {
        for ask in [
            Ask::Read { tags: vec!["TT101".into()] },
            Ask::Watch { tags: Vec::new(), for_ms: 5 },
            Ask::WireLog { device: "plc-1".into(), for_ms: 60_000 },
            Ask::LoopTest {
                tag: "TT101".into(),
                issuer: "张工".into(),
                expected: 50.0,
                tolerance: None,
                really: false,
            },
            Ask::Alarms,
            Ask::Report { day: None },
            Ask::Lanes,
            Ask::Lane { lane: "in-1".into(), act: LaneAct::Hold { for_ms: 60_000 }, why: "消防演练".into() },
            Ask::Lane { lane: "in-1".into(), act: LaneAct::Release, why: "结束".into() },
            Ask::Lane { lane: "in-1".into(), act: LaneAct::Trust { input: Input::Beam }, why: "已检查".into() },
            Ask::Roll { muster: None, html: true },
            Ask::Checks { waybill: WaybillNo::new("W1") },
            Ask::Register { look: Look::Permits { stage: None } },
            Ask::Register { look: Look::Row { table: Table::Vehicles, id: "皖A12345".into() } },
            Ask::Approve { permit: "P1".into(), stage: Approver::Park, passed: false, why: "证件不符".into() },
            Ask::Waybill { number: "W1".into(), to: WaybillState::Dispatched, why: String::new() },
            Ask::Act { action: Action::Alarm(crate::domain::alarm::action::Action::Silence) },
        ] {
            assert_eq!(parse(&written(&ask)), Ok(ask));
        }
        assert!(parse(b"{\"ask\":\"open\"}").is_err());
        assert!(parse(b"{\"ask\":\"read\",\"tag\":\"x\"}").is_err(), "a misspelt member is not ignored");
    }
}
