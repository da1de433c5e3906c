//! Numbers of telephones: to be called, and never to be shown whole. They are personal data: a record, a log or a page has
//! them masked.

use std::collections::BTreeMap;
use std::fmt;

use super::gate::identity::mask_number;

/// Digits of a number: a short number of a company's own net has three or more; E.164 allows fifteen.
const DIGITS: std::ops::RangeInclusive<usize> = 3..=15;

/// A number. Written out, also by `Debug`, it is masked.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Phone(String);

impl Phone {
    /// Reads a number: digits, a `+` before them where the country is written; spaces and hyphens do not count.
    pub fn parse(text: &str) -> Option<Self> {
        let number: String = text.chars().filter(|c| !matches!(c, ' ' | '-')).collect();
        let digits = number.strip_prefix('+').unwrap_or(&number);
        let fits = DIGITS.contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
        fits.then_some(Self(number))
    }

    /// Returns the number in clear, for whoever dials it.
    pub fn number(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Phone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&mask_number(&self.0))
    }
}

impl fmt::Debug for Phone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// Numbers by the names of their people.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Phones(BTreeMap<String, Vec<Phone>>);

impl Phones {
    /// Adds a number of a person, or of [`CONTROL_ROOM`].
    pub fn add(&mut self, name: &str, phone: Phone) {
        let phones = self.0.entry(name.trim().to_owned()).or_default();
        if !phones.contains(&phone) {
            phones.push(phone);
        }
    }

    /// Returns the numbers of a person; none where there is none.
    pub fn of(&self, name: &str) -> &[Phone] {
        self.0.get(name.trim()).map_or(&[], Vec::as_slice)
    }
}

/// The name under which the numbers of the control room stand.
pub const CONTROL_ROOM: &str = "control_room";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_digits_and_is_shown_masked() {
        let phone = Phone::parse("+86 138-0013-8000").unwrap();
        assert_eq!(phone.number(), "+8613800138000");
        assert_eq!(
            (phone.to_string(), format!("{phone:?}")),
            ("+86*******8000".to_owned(), "+86*******8000".to_owned())
        );
        assert_eq!(Phone::parse("66123").unwrap().to_string(), "****3");
        for wrong in ["", "12", "1380013800o", "１３８００１３８０００", "86+138", "1234567890123456", "++86"]
        {
            assert_eq!(Phone::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_person_may_have_several_and_each_once() {
        let (mut phones, a, b) = (Phones::default(), Phone::parse("110").unwrap(), Phone::parse("119").unwrap());
        for phone in [&a, &b, &a] {
            phones.add(" 张三 ", phone.clone());
        }
        assert_eq!((phones.of("张三"), phones.of("李四")), ([a, b].as_slice(), [].as_slice()));
    }
}
