//! What a lane gives out: steps of passages, questions to be decided, commands to its hardware with their entries of the
//! audit, facts for alarms, and calls for a person.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::domain::audit::Deed;
use crate::domain::gate::hardware::{CameraEvent, LaneCommand};
use crate::domain::gate::presented::{Credential, PlateRead, Presented};
use crate::domain::gate::verdict::{Decision, Reason, Verdict};
use crate::domain::gate::word::{DecisionId, Direction, LaneId, PassageId, words};
use crate::domain::order::{LaneRule, Receipt, Urgency};
use crate::domain::record::Mode;
use crate::domain::time::{Mono, Timestamp};

use super::spec::Trouble;

/// What comes out, to be carried out in this order.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// A step of a passage.
    Step(PassageStep),
    /// To be decided; the answer comes back by [`super::Lane::handle_ruling`].
    Decide(Ask),
    /// To be entered into the audit. With `AfterCommit`, what became of it comes back by [`super::Lane::handle_audit`], and
    /// the command of the same key waits for it; with `AtOnce` the command follows at once.
    Audit(Audit),
    /// To be done by the hardware.
    Command(LaneCommand),
    /// For the alarm machine.
    Fact(LaneFact),
    /// A person is needed.
    Call(Call),
    /// What became of an order of the site.
    Receipt {
        /// Key of the order.
        key: String,
        /// What became of it.
        receipt: Receipt,
    },
}

/// A question.
#[derive(Clone, Debug, PartialEq)]
pub struct Ask {
    /// Which question about this passage; the answer names it.
    pub ask: u32,
    /// What is to be decided.
    pub presented: Presented,
    /// The answer changes nothing: a person leaves, or everything stands open. It is recorded all the same.
    pub for_record: bool,
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ruling {
    /// Which question.
    pub ask: u32,
    /// The decision.
    pub decision: DecisionId,
    /// The passage.
    pub passage: PassageId,
    /// What is to be done.
    pub verdict: Verdict,
    /// Why, the strongest first.
    pub reasons: Vec<Reason>,
}

impl Ruling {
    /// Takes what a lane needs of a decision.
    pub fn of(ask: u32, decision: &Decision) -> Self {
        let Decision { id, passage, verdict, reasons, .. } = decision;
        let (id, passage, reasons) = (id.clone(), passage.clone(), reasons.clone());
        Self { ask, decision: id, passage, verdict: *verdict, reasons }
    }
}

/// An entry for the audit: one for each command that moves something.
#[derive(Clone, Debug, PartialEq)]
pub struct Audit {
    /// Key of the command.
    pub key: String,
    /// What is entered.
    pub deed: Deed,
    /// Whether the command waits for it.
    pub urgency: Urgency,
}

/// What became of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuditReceipt {
    /// In the store, durably.
    Stored,
    /// The store failed; the small journal beside it has it, durably.
    Journalled,
    /// Neither: entries hold, exits stay free (`design.md`, "What the store promises", 2).
    Failed,
}

/// By what right something may pass, or passed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "by", content = "of", rename_all = "snake_case")]
pub enum Authority {
    /// A decision.
    Decision(DecisionId),
    /// A named person.
    Hand(String),
    /// It leaves, and nobody is asked: a person always, a vehicle while the site says that out is free.
    Leaving,
    /// The fire contact of the lane.
    Fire,
    /// The state of the site.
    Site(LaneRule),
    /// Held open by a named person.
    Hold(String),
    /// Opened at the barrier itself.
    ByHand,
    /// None.
    Nothing,
}

/// A step of a passage.
#[derive(Clone, Debug, PartialEq)]
pub struct PassageStep {
    /// The passage, from first detection to its end.
    pub passage: PassageId,
    /// Where.
    pub lane: LaneId,
    /// When.
    pub at: Mono,
    /// Whether the world meant it.
    pub mode: Mode,
    /// What.
    pub what: Step,
}

/// What a step is. A passage has one `Detected` and one `Completed`, or is one `Late`.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Something came.
    Detected {
        /// Which way, as far as is known.
        direction: Direction,
    },
    /// It was read, or showed something; again where the camera read the same vehicle anew.
    Identified {
        /// Which way.
        direction: Direction,
        /// Plate.
        plate: Option<PlateRead>,
        /// Credentials.
        credentials: Vec<Credential>,
        /// The camera's number of it: pictures are found by it.
        event: Option<CameraEvent>,
        /// The camera's time.
        device_time: Option<Timestamp>,
    },
    /// It was decided.
    Decided {
        /// The decision.
        decision: DecisionId,
        /// What came of it at this lane: a trouble or the site's rule may make it stricter than the decision.
        verdict: Verdict,
    },
    /// The way was seen to be open for it.
    Opened {
        /// By what right.
        authority: Authority,
    },
    /// It is under the arm, or in the door.
    Entered,
    /// It is over. Only this changes who is inside, and only with [`Outcome::counts`].
    Completed {
        /// Which way.
        direction: Direction,
        /// How.
        outcome: Outcome,
        /// By what right.
        authority: Authority,
    },
    /// A record that a camera had kept: to be entered at the camera's own time. Nothing moves.
    Late {
        /// Which way.
        direction: Direction,
        /// Plate.
        plate: PlateRead,
        /// The camera's number of it.
        event: CameraEvent,
        /// The camera's time.
        device_time: Option<Timestamp>,
        /// The camera let it pass by its own list.
        opened_by_camera: bool,
    },
}

words! {
    /// How a passage ended.
    Outcome {
        /// It crossed.
        Crossed = "crossed", "已通过";
        /// The way was open and it did not come, or it waits no longer.
        NotEntered = "not_entered", "未进入";
        /// It turned back.
        TurnedBack = "turned_back", "折返";
        /// It followed another one through.
        Tailgate = "tailgate", "尾随通过";
        /// It went through a closed arm or door.
        Forced = "forced", "强行通过";
        /// It went through what was opened at the barrier itself.
        ByHand = "by_hand", "手动开闸通过";
        /// It went through while the lane was held open.
        Free = "free", "常开期间通过";
        /// Whether it crossed nobody saw: a restart or a dead sensor stood between. To be cleared up by a person.
        Unclear = "unclear", "是否通过不明";
    }
}

impl Outcome {
    /// Returns whether something is now on the other side.
    pub fn counts(self) -> bool {
        matches!(self, Self::Crossed | Self::Tailgate | Self::Forced | Self::ByHand | Self::Free)
    }
}

/// Something about a lane that deserves an alarm, or no longer does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LaneFact {
    /// The lane: with `fault` and `subject` the stable name of the alarm.
    pub lane: LaneId,
    /// What is wrong.
    pub fault: LaneFault,
    /// Input or device concerned; empty where it is the lane.
    pub subject: String,
    /// Whether it is so now. An event that has no end of its own is told active, and then, at once, not: the alarm stands
    /// until it is acknowledged.
    pub active: bool,
    /// For people, Chinese.
    pub zh: String,
    /// For people, English.
    pub en: String,
}

words! {
    /// What can be wrong with a lane.
    LaneFault {
        /// Ordered, and not seen at its limit in time.
        NotMoved = "barrier_not_moved", "道闸未动作";
        /// Something stays under the arm.
        Stuck = "stuck", "道闸下滞留";
        /// Open for longer than it may be, and nothing holds it.
        LeftOpen = "left_open", "道闸未关闭";
        /// Opened at the barrier itself.
        ManualOpen = "manual_open", "手动开闸";
        /// Gone through while shut, or the arm was knocked off.
        Forced = "forced", "强行闯杆";
        /// Two went through by one right.
        Tailgate = "tailgate", "尾随";
        /// An input is dead.
        InputDead = "input_dead", "输入失效";
        /// A means that guards the arm did not see a vehicle that crossed.
        InputSuspect = "input_suspect", "防砸漏检";
        /// Both limits at once.
        Limits = "limits", "限位矛盾";
        /// The answer came when its life was over.
        Late = "decision_late", "判定超时";
        /// The audit could not be written.
        AuditFailed = "audit_failed", "审计未能写入";
        /// A device is not heard of.
        Device = "device", "设备离线";
        /// The camera opened by its own list.
        OwnList = "camera_own_list", "相机白名单自行开闸";
        /// The fire contact releases the lane.
        Fire = "fire", "消防联动释放";
        /// The line of the fire contact is dead.
        FireLine = "fire_line", "消防联动断线";
        /// A door stands open.
        DoorHeld = "door_held", "门长时间未关";
        /// A hold has ended by its time or by a restart.
        HoldEnded = "hold_ended", "常开到期";
    }
}

impl LaneFault {
    /// Returns it in English, as a person says it.
    pub fn en(self) -> &'static str {
        match self {
            Self::NotMoved => "the barrier was ordered to move and was not seen to",
            Self::Stuck => "something stays under the arm",
            Self::LeftOpen => "the barrier stands open and nothing holds it",
            Self::ManualOpen => "opened by hand at the barrier",
            Self::Forced => "forced: gone through while shut, or the arm was knocked off",
            Self::Tailgate => "tail-gating: two went through by one right",
            Self::InputDead => "an input is dead",
            Self::InputSuspect => "a means that guards the arm did not see a vehicle that crossed",
            Self::Limits => "both limit switches speak at once",
            Self::Late => "the decision came too late to be acted on",
            Self::AuditFailed => "the audit could not be written",
            Self::Device => "a device is not heard",
            Self::OwnList => "the camera opened by its own list",
            Self::Fire => "released by the fire linkage",
            Self::FireLine => "the line of the fire linkage is cut",
            Self::DoorHeld => "the door stands open for too long",
            Self::HoldEnded => "the hold has ended",
        }
    }
}

/// A person is needed at a lane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// Where.
    pub lane: LaneId,
    /// For which passage, where there is one.
    pub passage: Option<PassageId>,
    /// Why.
    pub why: CallWhy,
    /// When.
    pub at: Mono,
}

/// Why a person is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "why", content = "of", rename_all = "snake_case")]
pub enum CallWhy {
    /// The call button.
    Button,
    /// Something waits and nothing was read of it.
    NotIdentified,
    /// No decision came.
    NoDecision,
    /// A decision came too late to be acted on.
    DecisionLate,
    /// The audit could not be written, so that nobody is let in without a person.
    AuditFailed,
    /// The arm did not move.
    NotMoved,
    /// The verdict, a trouble of the lane, or the rule of the site wants a person to decide.
    Referred,
    /// As `Referred`, because of this trouble.
    Trouble(Trouble),
    /// It was refused and is still there.
    StillThere,
}

impl CallWhy {
    /// Returns it in Chinese.
    pub fn zh(self) -> &'static str {
        match self {
            Self::Button => "呼叫按钮",
            Self::NotIdentified => "车道有来车，未能识别",
            Self::NoDecision => "判定无结果",
            Self::DecisionLate => "判定超时，未开闸",
            Self::AuditFailed => "审计未能写入，进入需人工处理",
            Self::NotMoved => "已下令，道闸未动作",
            Self::Referred => "需人工确认",
            Self::Trouble(trouble) => trouble.zh(),
            Self::StillThere => "已拒绝，仍未驶离",
        }
    }

    /// Returns it in English.
    pub fn en(self) -> &'static str {
        match self {
            Self::Button => "call button",
            Self::NotIdentified => "something waits and could not be identified",
            Self::NoDecision => "no decision came",
            Self::DecisionLate => "the decision came too late; nothing was opened",
            Self::AuditFailed => "the audit cannot be written; entries need a person",
            Self::NotMoved => "ordered, and the arm did not move",
            Self::Referred => "a person must confirm",
            Self::Trouble(trouble) => trouble.en(),
            Self::StillThere => "refused, and still there",
        }
    }
}
