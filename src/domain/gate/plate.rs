//! What a vehicle is known by: the text of its plate together with its colour, because the same text may stand on a blue
//! and on a yellow plate (`domain.md` rule 21).

use std::fmt;

use serde::{Deserialize, Serialize};

use super::word::words;

words! {
    /// Colour of a plate.
    PlateColour {
        /// Not known.
        Unknown = "unknown", "未知";
        /// Small vehicles.
        Blue = "blue", "蓝";
        /// Large vehicles, trailers.
        Yellow = "yellow", "黄";
        /// Police, armed forces.
        White = "white", "白";
        /// Embassies, older foreign ones.
        Black = "black", "黑";
        /// Small new-energy vehicles.
        Green = "green", "绿";
        /// Large new-energy vehicles.
        YellowGreen = "yellow_green", "黄绿";
    }
}

/// A plate in its normal form: no space, no dot, half width, upper case.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Plate {
    /// The text.
    pub text: String,
    /// The colour.
    pub colour: PlateColour,
}

impl Plate {
    /// Takes a text, in whatever form it was read or written, into its normal form.
    pub fn new(text: &str, colour: PlateColour) -> Self {
        let text = text.chars().filter(|c| !c.is_whitespace() && !matches!(c, '·' | '•' | '-' | '.')).map(half_width);
        Self { text: text.flat_map(char::to_uppercase).collect(), colour }
    }
}

fn half_width(c: char) -> char {
    match c {
        '！'..='～' => char::from_u32(u32::from(c) - 0xFEE0).unwrap_or(c),
        other => other,
    }
}

impl fmt::Display for Plate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}({})", self.text, self.colour.zh())
    }
}

impl fmt::Debug for Plate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
