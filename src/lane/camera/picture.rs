//! The pictures that cameras send with a plate: what of them is taken. Pure; a picture is not decoded, only looked at for what
//! makes it a JPEG.

use std::fmt;

use super::super::coding::unbase64;
use crate::domain::gate::hardware::CameraEvent;
use crate::domain::gate::picture::{Lost, PictureKind};
use crate::domain::gate::word::LaneId;
use crate::domain::time::Timestamp;

/// Largest picture that is taken, bytes; cameras' have 100 to 400 kB. A larger one is left out, its read is not.
pub const MAX_BYTES: usize = 3 << 19;
/// Firmware pads behind the end of a picture, by no more than this.
const PADDING: usize = 64;

/// A picture as it stands in a push.
#[derive(Clone, PartialEq, Eq)]
pub struct Pushed {
    /// What it shows.
    pub kind: PictureKind,
    /// JPEG as the camera sent it, or why it is none.
    pub content: Result<Vec<u8>, Lost>,
}

impl Pushed {
    /// Takes a picture that stands in base64; `None` for an empty text, which is no picture.
    pub fn of_base64(kind: PictureKind, text: &str) -> Option<Self> {
        if text.trim().is_empty() {
            return None;
        }
        let content = match text.len() {
            length if length > MAX_BYTES.div_ceil(3) * 4 => Err(Lost::TooLarge),
            _ => unbase64(text).ok_or(Lost::Undecodable).and_then(|bytes| judged(&bytes).map(|()| bytes)),
        };
        Some(Self { kind, content })
    }

    /// Takes a picture that stands in bytes.
    pub fn of_bytes(kind: PictureKind, bytes: &[u8]) -> Self {
        Self { kind, content: judged(bytes).map(|()| bytes.to_vec()) }
    }
}

impl fmt::Debug for Pushed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.content {
            Ok(jpeg) => write!(f, "Pushed({}, {} bytes)", self.kind, jpeg.len()),
            Err(lost) => write!(f, "Pushed({}, {lost})", self.kind),
        }
    }
}

/// A JPEG begins with its mark and ends with the other one.
fn judged(bytes: &[u8]) -> Result<(), Lost> {
    if bytes.len() > MAX_BYTES {
        return Err(Lost::TooLarge);
    }
    let tail = bytes.get(bytes.len().saturating_sub(PADDING)..).unwrap_or_default();
    let ends = bytes.len() > 4 && tail.windows(2).any(|two| two == [0xFF, 0xD9]);
    if bytes.starts_with(&[0xFF, 0xD8, 0xFF]) && ends { Ok(()) } else { Err(Lost::NotJpeg) }
}

/// A picture of a passage, on its way to where pictures are kept. Never in the way: where its queue is full it is dropped,
/// counted, and told as lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    /// The lane that its camera looks at.
    pub lane: LaneId,
    /// The camera's id in the configuration.
    pub device: String,
    /// The event that it is of.
    pub event: CameraEvent,
    /// The camera's time of it.
    pub device_time: Option<Timestamp>,
    /// What was sent.
    pub pushed: Pushed,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lane::coding::base64;

    fn content(text: &str) -> Result<usize, Lost> {
        Pushed::of_base64(PictureKind::Whole, text).unwrap().content.map(|jpeg| jpeg.len())
    }

    #[test]
    fn a_picture_is_taken_and_what_is_none_is_told_apart() {
        let jpeg = [&[0xFF, 0xD8, 0xFF, 0xE0][..], &[7; 500], &[0xFF, 0xD9, 0, 0]].concat();
        assert_eq!(content(&base64(&jpeg)), Ok(508));
        assert_eq!(content(&base64(&jpeg[..400])), Err(Lost::NotJpeg), "the beginning of one");
        assert_eq!(content(&base64(b"GIF89a and more")), Err(Lost::NotJpeg));
        assert_eq!(content("/9j/4AAQSkZ!JRg=="), Err(Lost::Undecodable));
        assert_eq!(content(&"A".repeat(4 * MAX_BYTES / 3 + 8)), Err(Lost::TooLarge));
        assert_eq!(Pushed::of_base64(PictureKind::Plate, " "), None);
        assert_eq!(Pushed::of_bytes(PictureKind::Plate, &vec![0; MAX_BYTES + 1]).content, Err(Lost::TooLarge));
        assert!(!format!("{:?}", Pushed::of_bytes(PictureKind::Plate, &jpeg)).contains("255"));
    }
}
