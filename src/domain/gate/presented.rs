//! What came to a lane: a plate that a camera read, a card, a weight. Said by the hardware, believed by nobody yet.

use serde::{Deserialize, Serialize};

use super::plate::Plate;
use super::word::{Direction, LaneId, PassageId};
use crate::domain::time::Mono;

/// Something or somebody that wants to pass.
#[derive(Clone, Debug, PartialEq)]
pub struct Presented {
    /// The passage that it begins or belongs to.
    pub passage: PassageId,
    /// Where.
    pub lane: LaneId,
    /// Which way.
    pub direction: Direction,
    /// When the hardware took it: a decision about it is worth nothing a few seconds later.
    pub captured: Mono,
    /// What was read of the plate; `None` at a lane for persons.
    pub plate: Option<PlateRead>,
    /// The camera was less sure of the plate than the site asks of it.
    pub unsure: bool,
    /// What was shown by persons, in order.
    pub credentials: Vec<Credential>,
    /// Gross weight in kilograms, where the lane has a weighbridge and it stood still.
    pub gross_kg: Option<u32>,
}

/// A plate as a camera read it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PlateRead {
    /// The plate; `None` when there is none, or it could not be read.
    pub plate: Option<Plate>,
    /// How sure the camera is, 0 to 100.
    pub confidence: u8,
    /// The camera takes it for a forged one.
    pub fake: bool,
    /// The camera's type of plate speaks of police, army, rescue (rule 6): a candidate, not a proof.
    pub exempt: bool,
}

/// What a person showed. Numbers of cards and identity cards are matched by their keyed digest; nothing else is kept.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Credential {
    /// A card: keyed digest of facility and number.
    Card {
        /// HMAC-SHA-256 in hexadecimal digits.
        digest: String,
    },
    /// A QR token that the park signed; already verified, its person or permit named.
    Token {
        /// What it names.
        subject: String,
    },
    /// An identity card, at the guard's: keyed digest of its number.
    IdCard {
        /// HMAC-SHA-256 in hexadecimal digits.
        digest: String,
    },
    /// A match of a face terminal; the face itself never leaves it.
    Face {
        /// The terminal's id of the person.
        subject: String,
    },
}

impl std::fmt::Debug for Credential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Card { .. } => "Card",
            Self::Token { .. } => "Token",
            Self::IdCard { .. } => "IdCard",
            Self::Face { .. } => "Face",
        })
    }
}
