//! What became of a write to an output, as it is recorded and answered: who asked for what, and what was seen.

use super::record::Mode;

/// One write that was asked for, and its end. Every one of them is recorded, refused ones as well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutputWrite {
    /// The output's id, as asked for.
    pub output: String,
    /// The device it stands on; empty when there is no such output.
    pub device: String,
    /// Name of the value, as asked for.
    pub value: String,
    /// What was (or would have been) written; `None` when the value is not in the list.
    pub raw: Option<u16>,
    /// What was read back last; `None` when nothing was.
    pub seen: Option<u16>,
    /// Who asked.
    pub issuer: String,
    /// The key under which it was asked; the same key is never carried out twice.
    pub key: String,
    /// How it ended.
    pub result: WriteResult,
    /// Why, in a few words for people; empty when it is simply done.
    pub detail: String,
    /// From the moment it was asked for to its end, in milliseconds.
    pub elapsed_ms: u32,
    /// Whether the world meant it, or an engineer tested the loop.
    pub mode: Mode,
}

/// How a write ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum WriteResult {
    /// Written, and the feedback shows it.
    Done,
    /// Not allowed, or not now. Nothing was sent.
    Refused,
    /// Its time was up before it could be sent. Nothing was sent.
    Expired,
    /// Sent, but the feedback does not show it: it may or may not have happened.
    NotConfirmed,
    /// The device was not reached, or said no. It did not happen.
    Failed,
}

impl WriteResult {
    /// All results, in the order of their stored codes.
    pub const ALL: [WriteResult; 5] = [Self::Done, Self::Refused, Self::Expired, Self::NotConfirmed, Self::Failed];

    /// Returns the word used on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Refused => "refused",
            Self::Expired => "expired",
            Self::NotConfirmed => "not_confirmed",
            Self::Failed => "failed",
        }
    }

    /// Returns the word for people, Chinese.
    pub fn zh(self) -> &'static str {
        match self {
            Self::Done => "已执行",
            Self::Refused => "拒绝",
            Self::Expired => "过期未发",
            Self::NotConfirmed => "未确认",
            Self::Failed => "失败",
        }
    }
}

/// An engineer's loop test (联调) of a point: what the instrument was made to show against what arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoopTest {
    /// The point's tag.
    pub tag: String,
    /// The device it is read from.
    pub device: String,
    /// Who says that he tested, and as whom the gateway's machine knew him.
    pub issuer: String,
    /// What the instrument was made to show, as the engineer wrote it.
    pub expected: String,
    /// What was read, as shown to people; empty when nothing was.
    pub read: String,
    /// Quality of what was read.
    pub quality: String,
    /// Whether both agree within the tolerance.
    pub passed: bool,
    /// What else is worth knowing: tolerance, registers.
    pub detail: String,
}
