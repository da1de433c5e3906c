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

    /// Returns whether a plate of this text can exist (`domain.md` B8). Never a reason to drop a read: it only flags one, so
    /// that a person looks.
    pub fn is_possible(&self) -> bool {
        is_possible(&self.text)
    }

    /// Returns whether both may be the same plate: the same text, and no two different colours known.
    pub fn may_be(&self, other: &Plate) -> bool {
        let unknown = [self.colour, other.colour].contains(&PlateColour::Unknown);
        self.text == other.text && (unknown || self.colour == other.colour)
    }

    /// Returns whether it is a trailer's (挂), which a camera in front does not see.
    pub fn is_trailer(&self) -> bool {
        self.text.ends_with('挂')
    }
}

fn half_width(c: char) -> char {
    match c {
        '！'..='～' => char::from_u32(u32::from(c) - 0xFEE0).unwrap_or(c),
        other => other,
    }
}

/// The first character of a civil plate.
const PROVINCES: &str = "京津沪渝冀豫云辽黑湘皖鲁新苏浙赣鄂桂甘晋蒙陕吉闽贵粤青藏川宁琼";
/// The last character of plates with a purpose.
const SUFFIXES: &str = "挂学警港澳领";

/// Returns whether a plate of this text, in its normal form, can exist:
///
/// ```text
/// province letter  { 5 × letter or digit | 4 × letter or digit, suffix }          ordinary
/// province letter  { A–H J K, letter or digit, 4 digits | 5 digits, A–H J K }     new energy
/// 6 digits 使                                                                     embassy
/// WJ [province] 4 digits, digit or letter                                         armed police
/// ```
/// Letters are without I and O, but for the last one of the armed police.
pub fn is_possible(text: &str) -> bool {
    let chars: Vec<char> = text.chars().collect();
    match chars.as_slice() {
        ['W', 'J', rest @ ..] => is_police(rest),
        [province, letter, rest @ ..] if PROVINCES.contains(*province) => is_letter(*letter) && is_serial(rest),
        [digits @ .., '使'] => digits.len() == 6 && all_digits(digits),
        _ => false,
    }
}

fn is_serial(rest: &[char]) -> bool {
    match rest {
        [a, b, c, d, last] => {
            [a, b, c, d].into_iter().all(|c| is_sign(*c)) && (is_sign(*last) || SUFFIXES.contains(*last))
        }
        [first, second, digits @ ..] if digits.len() == 4 && is_new_energy(*first) => {
            is_sign(*second) && all_digits(digits)
        }
        [digits @ .., last] => digits.len() == 5 && all_digits(digits) && is_new_energy(*last),
        [] => false,
    }
}

fn is_police(rest: &[char]) -> bool {
    let rest = match rest {
        [province, serial @ ..] if PROVINCES.contains(*province) => serial,
        serial => serial,
    };
    matches!(rest, [digits @ .., last] if digits.len() == 4 && all_digits(digits)
        && (last.is_ascii_digit() || last.is_ascii_uppercase()))
}

fn all_digits(chars: &[char]) -> bool {
    chars.iter().all(char::is_ascii_digit)
}

fn is_letter(c: char) -> bool {
    c.is_ascii_uppercase() && !matches!(c, 'I' | 'O')
}

fn is_sign(c: char) -> bool {
    is_letter(c) || c.is_ascii_digit()
}

fn is_new_energy(c: char) -> bool {
    matches!(c, 'A'..='H' | 'J' | 'K')
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_examples_of_the_reference_are_judged_as_it_says() {
        let possible =
            ["皖R12345", "皖RD12345", "皖RFA1234", "皖R12345D", "皖R1234挂", "粤Z1234港", "皖R1234警", "WJ皖12345"];
        let impossible =
            ["皖RF1A234", "皖R12345挂", "皖RO1234", "皖RI1234", "皖r12345", "皖R1234", "_无_", "皖R123456", ""];
        possible.into_iter().for_each(|text| assert!(is_possible(text), "{text}"));
        impossible.into_iter().for_each(|text| assert!(!is_possible(text), "{text}"));
    }

    #[test]
    fn embassies_and_the_armed_police_have_their_own_forms() {
        for (text, possible) in
            [("123456使", true), ("12345使", false), ("WJ12345", true), ("WJ1234A", true), ("WJ皖1234", false)]
        {
            assert_eq!(is_possible(text), possible, "{text}");
        }
    }

    #[test]
    fn however_it_is_written_a_plate_has_one_normal_form() {
        let normal = Plate::new("皖R12345", PlateColour::Blue);
        for written in ["皖r·12345", " 皖Ｒ１２３４５ ", "皖R-12345", "皖R 123 45"] {
            let plate = Plate::new(written, PlateColour::Blue);
            assert_eq!(plate, normal);
            assert!(plate.is_possible());
        }
        assert!(Plate::new("皖r1234挂", PlateColour::Yellow).is_trailer());
    }

    #[test]
    fn the_same_text_on_two_colours_is_two_plates_unless_a_colour_is_unknown() {
        let plate = |colour| Plate::new("皖R12345", colour);
        assert!(!plate(PlateColour::Blue).may_be(&plate(PlateColour::Yellow)));
        assert!(plate(PlateColour::Blue).may_be(&plate(PlateColour::Unknown)));
        assert!(!plate(PlateColour::Blue).may_be(&Plate::new("皖R12346", PlateColour::Blue)));
    }
}
