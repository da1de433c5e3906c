//! A picture of a passage, as the records know it: what it shows, which camera made it, and what became of it. The bytes are
//! none of the domain's business: they lie in a folder of their own, and go before their record does.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::word::words;
use crate::domain::time::Timestamp;

words! {
    /// What a picture shows. A passage has at most one of each.
    PictureKind {
        /// The vehicle, with what stands around it.
        Whole = "whole", "全景";
        /// Its plate.
        Plate = "plate", "车牌特写";
    }
}

impl PictureKind {
    /// Returns the number by which a passage's picture is asked for.
    pub fn number(self) -> u8 {
        match self {
            Self::Whole => 0,
            Self::Plate => 1,
        }
    }

    /// Reads the number by which a passage's picture is asked for.
    pub fn of_number(number: u8) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.number() == number)
    }
}

words! {
    /// Why a picture that a camera sent is not kept.
    Lost {
        /// Larger than any camera's picture is.
        TooLarge = "too_large", "图片过大";
        /// It is not in base64, as it should be.
        Undecodable = "undecodable", "base64 损坏";
        /// It is no JPEG, or only the beginning of one.
        NotJpeg = "not_jpeg", "不是完整的 JPEG";
        /// Others were still being kept: a decision waits for no picture.
        Busy = "busy", "来不及保存";
        /// The disk has no room for pictures.
        DiskFull = "disk_full", "磁盘空间不足";
        /// The disk refused it.
        Failed = "failed", "写入失败";
    }
}

words! {
    /// Why the platform does not get a picture that a record names as kept, and that it was to get.
    Missing {
        /// Newer ones needed its room.
        Displaced = "displaced", "配额已满，先删最旧";
        /// Its time was over.
        Forgotten = "forgotten", "到期销毁";
        /// Its file is gone, or not what its hash says: a power cut, a worn disk.
        Damaged = "damaged", "文件缺失或损坏";
        /// The platform refused it for good.
        Refused = "refused", "平台拒收";
    }
}

/// Pictures that the platform was to get and does not: a gap that is told. The record on the wire has it as `attachment`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MissingPictures {
    /// Why; the same of all of them.
    pub why: Missing,
    /// Their hashes, as the records of their passages have them; at most [`MAX_MISSING`].
    pub missing: Vec<String>,
}

/// Hashes in one record: some 7 kB, so that it needs no parts.
pub const MAX_MISSING: usize = 100;

/// A picture that a camera sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Picture {
    /// What it shows.
    pub kind: PictureKind,
    /// The camera's id in the configuration.
    pub device: String,
    /// The camera's time of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_time: Option<Timestamp>,
    /// What became of it.
    #[serde(flatten)]
    pub fate: Fate,
}

/// What became of a picture.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Fate {
    /// It is kept, until its time is over or newer ones need its room.
    Kept {
        /// SHA-256 of the file, hexadecimal digits.
        sha256: String,
        /// Its length, bytes.
        bytes: u64,
    },
    /// It is not.
    Lost {
        /// Why.
        lost: Lost,
    },
}

impl Picture {
    /// Returns whether it was kept.
    pub fn is_kept(&self) -> bool {
        matches!(self.fate, Fate::Kept { .. })
    }
}

impl fmt::Display for Picture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.fate {
            Fate::Kept { bytes, .. } => write!(f, "{} {bytes} B", self.kind.zh()),
            Fate::Lost { lost } => write!(f, "{} {}", self.kind.zh(), lost.zh()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_and_what_is_lost_are_told_apart_on_the_wire() {
        let kept = Picture {
            kind: PictureKind::Whole,
            device: "cam-1".to_owned(),
            device_time: None,
            fate: Fate::Kept { sha256: "ab".to_owned(), bytes: 7 },
        };
        let lost = Picture { kind: PictureKind::Plate, fate: Fate::Lost { lost: Lost::NotJpeg }, ..kept.clone() };
        let text = serde_json::to_string(&[&kept, &lost]).unwrap();
        assert_eq!(
            text,
            r#"[{"kind":"whole","device":"cam-1","sha256":"ab","bytes":7},{"kind":"plate","device":"cam-1","lost":"not_jpeg"}]"#
        );
        assert_eq!(serde_json::from_str::<Vec<Picture>>(&text).unwrap(), [kept, lost]);
    }

    #[test]
    fn each_kind_has_its_number() {
        for kind in PictureKind::ALL {
            assert_eq!(PictureKind::of_number(kind.number()), Some(*kind));
        }
        assert_eq!(PictureKind::of_number(2), None);
    }
}
