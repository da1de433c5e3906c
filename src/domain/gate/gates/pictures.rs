//! Pictures at the gates: whose passage one is of, and what of it is on record.
//!
//! A read is this passage's, or nobody's: a repetition of a read, or one that came too late to be acted on, has no passage of
//! its own. A picture may reach the gates before its read does.

use super::{Gates, Output};
use crate::domain::document::{Document, DocumentKind};
use crate::domain::gate::hardware::CameraEvent;
use crate::domain::gate::inside::Step;
use crate::domain::gate::picture::{MAX_MISSING, MissingPictures, Picture};
use crate::domain::gate::word::{LaneId, PassageId};
use crate::domain::record::Mode;
use crate::domain::time::Now;

/// Whose picture it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PictureOf {
    /// Of this passage.
    Passage(PassageId),
    /// Its read was heard and is no passage's, or its passage is long over.
    Nobody,
    /// Its read was not heard yet.
    NotYet,
}

impl Gates {
    /// Returns whose picture it is that came with a camera's event.
    pub fn picture_of(&self, lane: &LaneId, event: &CameraEvent) -> PictureOf {
        match self.inside.known_read(event) {
            Some(passage) if self.inside.passage(&passage).is_some() => PictureOf::Passage(passage),
            Some(_) => PictureOf::Nobody,
            None if self.lanes.get(lane).is_some_and(|lane| lane.has_heard(event)) => PictureOf::Nobody,
            None => PictureOf::NotYet,
        }
    }

    /// Puts on record what became of a picture of a passage; of one that is over too long nobody asks any more.
    pub fn handle_picture(&mut self, passage: &PassageId, picture: Picture, now: Now) {
        self.inside.step(passage, Step::Picture(picture), now).ok();
        self.pump(now);
    }

    /// Tells the platform of pictures that it was to get and does not.
    pub fn handle_missing_pictures(&mut self, missing: &MissingPictures, now: Now) {
        for part in missing.missing.chunks(MAX_MISSING) {
            let record = MissingPictures { why: missing.why, missing: part.to_vec() };
            let document = Document::of(DocumentKind::Attachment, Mode::Real, now.mono, &record);
            self.outputs.push_back(Output::Document(document));
        }
    }
}
