//! Plates, persons and colours as people write them on the command line.

use crate::domain::gate::inside::Subject;
use crate::domain::gate::plate::{Plate, PlateColour};
use crate::domain::gate::word::PersonRef;

/// Reads `皖R12345,黄`, or `皖R12345(黄)` as lists show it: a plate that is compared needs its colour.
///
/// # Errors
///
/// What to write instead.
pub fn plate(text: &str) -> Result<Plate, String> {
    let plate = any_plate(text)?;
    if plate.colour == PlateColour::Unknown {
        return Err(format!("`{text}`：请写明颜色，如 皖R12345,黄 / write its colour, as in 皖R12345,yellow"));
    }
    Ok(plate)
}

/// Reads the same; the colour may be left off where the vehicle is known without it.
///
/// # Errors
///
/// What to write instead.
pub fn any_plate(text: &str) -> Result<Plate, String> {
    let (number, colour) = match text.trim().trim_end_matches([')', '）']).split_once([',', '，', '(', '（']) {
        Some((number, colour)) => (number, colour.trim()),
        None => (text, "unknown"),
    };
    let colour = colour.trim_end_matches('色');
    let Some(colour) = PlateColour::from_name(colour) else {
        let all = PlateColour::ALL.iter().map(|colour| format!("{}/{colour}", colour.zh())).collect::<Vec<_>>();
        return Err(format!("`{colour}` 不是车牌颜色 / is no colour of a plate: {}", all.join(", ")));
    };
    let plate = Plate::new(number, colour);
    if plate.text.is_empty() {
        return Err(format!("`{text}` 没有车牌 / has no plate"));
    }
    Ok(plate)
}

/// Reads a plate with its colour, or the reference of a person: `p-…`.
///
/// # Errors
///
/// What to write instead.
pub fn subject(text: &str) -> Result<Subject, String> {
    if text.starts_with("p-") {
        return Ok(Subject::Person(PersonRef::new(text)));
    }
    plate(text).map(Subject::Vehicle)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plate_is_read_as_it_is_written_and_as_it_is_shown() {
        let yellow = Plate::new("皖R12345", PlateColour::Yellow);
        for text in ["皖R12345,黄", "皖r·12345，黄色", "皖R12345(黄)", "皖R12345, yellow"] {
            assert_eq!(plate(text), Ok(yellow.clone()), "{text}");
        }
        assert_eq!(plate(&yellow.to_string()), Ok(yellow));
        assert_eq!(any_plate("皖R12345").unwrap().colour, PlateColour::Unknown);
        assert!(plate("皖R12345").unwrap_err().contains("colour"));
        assert!(plate("皖R12345,紫").unwrap_err().contains("黄/yellow"));
        assert!(any_plate(" ,黄").is_err());
        assert_eq!(subject("p-00ff"), Ok(Subject::Person(PersonRef::new("p-00ff"))));
    }
}
