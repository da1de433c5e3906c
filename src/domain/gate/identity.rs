//! Numbers by which the state knows persons and companies, checked so that a slip of the pen is found when it is written, not
//! at the gate: identity card (GB 11643), unified social credit code (GB 32100), mobile phone (`domain.md` B8).

use std::fmt;

use serde::{Deserialize, Serialize};

use super::word::words;
use crate::domain::time::{civil, days_from_civil};

/// Weights of the first 17 digits of an identity card.
const ID_WEIGHTS: [u32; 17] = [7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2];
/// Check character by the remainder of 11.
const ID_CHECKS: &str = "10X98765432";
/// Characters of a USCC: no I, O, S, V, Z.
const USCC_SIGNS: &str = "0123456789ABCDEFGHJKLMNPQRTUWXY";
/// Longest number of another document.
const MAX_OTHER: usize = 20;

/// What is wrong with a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// It has not as many characters as it must.
    Length(usize),
    /// It holds a character that it cannot have.
    Character(char),
    /// Its birth date does not exist.
    Birth,
    /// Its last character is not the one that follows from the others; this one would be.
    Check(char),
}

impl Flaw {
    /// Returns what is wrong, in Chinese. The number itself is not repeated.
    pub fn zh(self) -> String {
        match self {
            Self::Length(n) => format!("位数不对（有 {n} 位）"),
            Self::Character(c) => format!("含有不允许的字符 `{c}`"),
            Self::Birth => "出生日期不存在".to_owned(),
            Self::Check(_) => "校验位不符".to_owned(),
        }
    }

    /// Returns what is wrong, in English.
    pub fn en(self) -> String {
        match self {
            Self::Length(n) => format!("has the wrong length ({n} characters)"),
            Self::Character(c) => format!("contains `{c}`, which it cannot"),
            Self::Birth => "names a birth date that does not exist".to_owned(),
            Self::Check(_) => "has a check character that does not fit".to_owned(),
        }
    }
}

/// Checks an identity card number of 18 characters.
///
/// # Errors
/// What is wrong first.
pub fn check_id_card(number: &str) -> Result<(), Flaw> {
    let chars: Vec<char> = number.chars().collect();
    let [first @ .., last] = chars.as_slice() else { return Err(Flaw::Length(0)) };
    if chars.len() != 18 {
        return Err(Flaw::Length(chars.len()));
    }
    let digits = digits(first)?;
    let at =
        |from: usize, n: usize| digits.iter().skip(from).take(n).fold(0_i64, |sum, digit| sum * 10 + i64::from(*digit));
    let birth = (at(6, 4), at(10, 2), at(12, 2));
    if civil(days_from_civil(birth.0, birth.1, birth.2)) != birth {
        return Err(Flaw::Birth);
    }
    let sum: u32 = digits.iter().zip(ID_WEIGHTS).map(|(digit, weight)| digit * weight).sum();
    check_last(ID_CHECKS, sum % 11, *last, |c| c.is_ascii_digit() || c == 'X')
}

/// Checks a unified social credit code of 18 characters.
///
/// # Errors
/// What is wrong first.
pub fn check_uscc(code: &str) -> Result<(), Flaw> {
    let chars: Vec<char> = code.chars().collect();
    let [first @ .., last] = chars.as_slice() else { return Err(Flaw::Length(0)) };
    if chars.len() != 18 {
        return Err(Flaw::Length(chars.len()));
    }
    let (mut sum, mut weight) = (0_u32, 1_u32);
    for c in first {
        let value = USCC_SIGNS.chars().position(|sign| sign == *c).ok_or(Flaw::Character(*c))?;
        sum += u32::try_from(value).unwrap_or_default() * weight;
        weight = weight * 3 % 31;
    }
    check_last(USCC_SIGNS, (31 - sum % 31) % 31, *last, |c| USCC_SIGNS.contains(c))
}

fn digits(chars: &[char]) -> Result<Vec<u32>, Flaw> {
    chars.iter().map(|c| c.to_digit(10).ok_or(Flaw::Character(*c))).collect()
}

fn check_last(signs: &str, index: u32, last: char, may: impl Fn(char) -> bool) -> Result<(), Flaw> {
    let wanted = signs.chars().nth(usize::try_from(index).unwrap_or(usize::MAX)).unwrap_or('?');
    match last {
        last if last == wanted => Ok(()),
        last if may(last) => Err(Flaw::Check(wanted)),
        last => Err(Flaw::Character(last)),
    }
}

/// Returns whether this is a mobile phone's number (11 digits, without country code).
pub fn is_mobile(number: &str) -> bool {
    let second = number.chars().nth(1);
    number.len() == 11
        && number.starts_with('1')
        && number.chars().all(|c| c.is_ascii_digit())
        && second.is_some_and(|c| ('3'..='9').contains(&c))
}

words! {
    /// Kind of a document by which a person is known.
    IdKind {
        /// Identity card of the mainland.
        IdCard = "id_card", "身份证";
        /// Passport.
        Passport = "passport", "护照";
        /// Another one: travel permit, residence permit of Hong Kong, Macao, Taiwan, officer's card.
        Other = "other", "其他证件";
    }
}

/// A number of a person's document, checked. Its `Debug` is masked: it must not reach a log.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "WrittenNumber", into = "WrittenNumber")]
pub struct IdNumber {
    kind: IdKind,
    number: String,
}

/// As it is written.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenNumber {
    kind: IdKind,
    number: String,
}

impl TryFrom<WrittenNumber> for IdNumber {
    type Error = String;

    fn try_from(written: WrittenNumber) -> Result<Self, String> {
        Self::new(written.kind, &written.number).map_err(|flaw| format!("the number {}", flaw.en()))
    }
}

impl From<IdNumber> for WrittenNumber {
    fn from(id: IdNumber) -> Self {
        Self { kind: id.kind, number: id.number }
    }
}

impl IdNumber {
    /// Takes a number, in upper case; spaces around it do not count.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn new(kind: IdKind, number: &str) -> Result<Self, Flaw> {
        let number = number.trim().to_uppercase();
        match kind {
            IdKind::IdCard => check_id_card(&number)?,
            IdKind::Passport | IdKind::Other => check_other(&number)?,
        }
        Ok(Self { kind, number })
    }

    /// Returns its kind.
    pub fn kind(&self) -> IdKind {
        self.kind
    }

    /// Returns the number in clear.
    pub fn number(&self) -> &str {
        &self.number
    }
}

fn check_other(number: &str) -> Result<(), Flaw> {
    if let Some(c) = number.chars().find(|c| !c.is_ascii_alphanumeric()) {
        return Err(Flaw::Character(c));
    }
    if (5..=MAX_OTHER).contains(&number.len()) { Ok(()) } else { Err(Flaw::Length(number.len())) }
}

impl fmt::Debug for IdNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&mask_number(&self.number))
    }
}

/// Returns a number with its middle hidden: the first 3 and the last 4 characters stand, `320***********1234`; of a short one
/// only the last.
pub fn mask_number(number: &str) -> String {
    let n = number.chars().count();
    let (head, tail) = if n > 10 { (3, 4) } else { (0, 1.min(n)) };
    let stand = |i: usize| i < head || i + tail >= n;
    number.chars().enumerate().map(|(i, c)| if stand(i) { c } else { '*' }).collect()
}

/// Returns a name with all but its first character hidden: `张*`.
pub fn mask_name(name: &str) -> String {
    name.chars().enumerate().map(|(i, c)| if i == 0 { c } else { '*' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identity_cards_are_checked_to_the_last_character() {
        assert_eq!(check_id_card("11010519491231002X"), Ok(()));
        assert_eq!(check_id_card("440524188001010014"), Ok(()));
        assert_eq!(check_id_card("110105194912310021"), Err(Flaw::Check('X')));
        assert_eq!(check_id_card("11010519491331002X"), Err(Flaw::Birth));
        assert_eq!(check_id_card("1101051949123100"), Err(Flaw::Length(16)));
        assert_eq!(check_id_card("1101051949A231002X"), Err(Flaw::Character('A')));
        assert_eq!(check_id_card("11010519491231002Y"), Err(Flaw::Character('Y')));
        assert_eq!(check_id_card(""), Err(Flaw::Length(0)));
    }

    #[test]
    fn every_single_wrong_digit_and_every_swap_of_neighbours_is_found() {
        let good: Vec<char> = "11010519491231002X".chars().collect();
        for at in 0..17 {
            for digit in '0'..='9' {
                let mut bad = good.clone();
                bad[at] = digit;
                let text: String = bad.iter().collect();
                assert_eq!(check_id_card(&text).is_ok(), bad == good, "{text}");
            }
            let mut swapped = good.clone();
            swapped.swap(at, at + 1);
            let text: String = swapped.iter().collect();
            assert_eq!(check_id_card(&text).is_ok(), swapped == good, "{text}");
        }
    }

    #[test]
    fn social_credit_codes_of_real_companies_pass_and_a_wrong_check_does_not() {
        assert_eq!(check_uscc("91440300755691882F"), Ok(()));
        assert_eq!(check_uscc("91440101731566630A"), Ok(()));
        assert_eq!(check_uscc("914403007556918820"), Err(Flaw::Check('F')));
        assert_eq!(check_uscc("9144030075569188IF"), Err(Flaw::Character('I')));
        assert_eq!(check_uscc("9144"), Err(Flaw::Length(4)));
    }

    #[test]
    fn mobile_numbers_have_eleven_digits_and_a_known_beginning() {
        assert!(is_mobile("13800138000") && is_mobile("19912345678"));
        for wrong in ["12345678901", "1380013800", "138001380000", "+8613800138000", "1380013800a", ""] {
            assert!(!is_mobile(wrong), "{wrong}");
        }
    }

    #[test]
    fn what_is_shown_says_nothing_that_identifies() {
        assert_eq!(mask_name("张伟"), "张*");
        assert_eq!(mask_name("欧阳娜娜"), "欧***");
        assert_eq!(mask_number("320102199001011234"), "320***********1234");
        assert_eq!(mask_number("13800138000"), "138****8000");
        assert_eq!(mask_number("E1234567"), "*******7");
        let id = IdNumber::new(IdKind::IdCard, " 11010519491231002x ").unwrap();
        assert_eq!((id.number(), format!("{id:?}")), ("11010519491231002X", "110***********002X".to_owned()));
    }

    #[test]
    fn a_number_from_the_wire_is_checked_as_one_from_a_file() {
        let read = |text: &str| serde_json::from_str::<IdNumber>(text);
        assert!(read(r#"{"kind":"id_card","number":"11010519491231002X"}"#).is_ok());
        assert!(read(r#"{"kind":"id_card","number":"110105194912310021"}"#).is_err());
        assert!(read(r#"{"kind":"passport","number":"E12345678"}"#).is_ok());
        assert!(read(r#"{"kind":"passport","number":"E1"}"#).is_err());
    }
}
