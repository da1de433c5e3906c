//! What an instrument is doing, and what that makes of its reading (`domain.md` A10 rules 83, 84, 88).
//!
//! | state | quality | value | why |
//! |---|---|---|---|
//! | monitoring | as read | kept | the only state whose value is a measurement (83) |
//! | inhibited | maintenance | kept | it measures, a person has silenced its alarms: what is in the air is not hidden (83) |
//! | unknown | suspect | kept | a code that nobody has named: neither believed nor hidden |
//! | maintenance | maintenance | removed | hands are on it (83) |
//! | warm-up | maintenance | removed | the cell has not settled (83) |
//! | bump test | calibration | removed | gas from a bottle (83, 84) |
//! | calibration | calibration | removed | gas from a bottle, or a current from a calibrator (83) |
//! | simulation | calibration | removed | a value that nobody measures (84) |
//! | fault | sensor | removed | the instrument itself says that it is none (83, 88) |
//!
//! A value that must not be mistaken for gas is removed, not only marked: whoever reads the feed without its qualities
//! would shout. What it was is not lost to an alarm: a bad quality never clears one (96), and the state word travels as
//! a point of its own, so that whoever judges sees that the instrument went from over-range to fault.
//!
//! The state's quality stands over that of the reading, except `comm` and `stale`: of these nothing was read at all.
//!
//! A [`StateMap`] gives a state word its meaning: codes of the word, or of the bits under a mask, and single bits. The
//! worst of what is set counts, in the order of the table from top to bottom.

use std::fmt;
use std::time::Duration;

use super::derived::Derived;
use super::reading::{Quality, Reading, Value};

/// What an instrument is doing. The order is that of the table: a later one stands over an earlier one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum InstrumentState {
    /// Measuring (监测).
    Monitoring,
    /// Measuring, its alarms silenced by a person (抑制).
    Inhibited,
    /// A code without a name.
    Unknown,
    /// Under maintenance (维护).
    Maintenance,
    /// Warming up (预热).
    WarmUp,
    /// Bump test with gas (通气测试).
    BumpTest,
    /// Calibration (标定), of the cell or of the loop.
    Calibration,
    /// Simulated value or alarm (模拟).
    Simulation,
    /// Fault of the instrument (故障).
    Fault,
}

impl InstrumentState {
    /// All states that a map may name, with the words of the configuration; [`Self::Unknown`] cannot be meant.
    pub const NAMED: [(Self, &'static str, &'static str); 8] = [
        (Self::Monitoring, "monitoring", "监测"),
        (Self::Inhibited, "inhibited", "抑制"),
        (Self::Maintenance, "maintenance", "维护"),
        (Self::WarmUp, "warm_up", "预热"),
        (Self::BumpTest, "bump_test", "通气测试"),
        (Self::Calibration, "calibration", "标定"),
        (Self::Simulation, "simulation", "模拟"),
        (Self::Fault, "fault", "故障"),
    ];

    /// Returns the word used in the configuration and on the wire.
    pub fn as_str(self) -> &'static str {
        Self::NAMED.iter().find(|(state, ..)| *state == self).map_or("unknown", |(_, word, _)| word)
    }

    /// Returns the state of this English or Chinese word.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::NAMED.iter().find(|(_, en, zh)| *en == name || *zh == name).map(|(state, ..)| *state)
    }

    /// Returns what the state makes of a reading of its instrument; see the module.
    pub fn judge(self, reading: Reading) -> Reading {
        let quality = match self {
            Self::Monitoring => return reading,
            Self::Inhibited | Self::Maintenance | Self::WarmUp => Quality::Maintenance,
            Self::Unknown => Quality::Suspect,
            Self::BumpTest | Self::Calibration | Self::Simulation => Quality::Calibration,
            Self::Fault => Quality::Sensor,
        };
        if matches!(reading.quality, Quality::Comm | Quality::Stale) {
            return reading;
        }
        let kept = matches!(self, Self::Inhibited | Self::Unknown);
        Reading::new(reading.value().filter(|_| kept), quality)
    }
}

/// What the values of a state word mean.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateMap {
    /// The bits that hold the state; all of them unless given.
    mask: Option<u16>,
    /// By value of the word, or of the bits under the mask moved down to bit 0.
    codes: Vec<(u16, InstrumentState)>,
    /// By bit of the whole word.
    bits: Vec<(u8, InstrumentState)>,
}

/// Why a text is no state map.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StateMapError {
    /// Neither `code=state`, `bitN=state` nor `mask=N`.
    #[error("`{0}` is no `code=state`, `bit0=state` … `bit15=state` or `mask=number`")]
    Item(String),
    /// Not a state.
    #[error("`{0}` is no state")]
    State(String),
    /// Given twice.
    #[error("`{0}` is given twice")]
    Twice(String),
    /// Codes and bits in one word, and nothing says which bits are the code.
    #[error("codes and bits together need `mask=`")]
    NoMask,
    /// A bit that is part of the code.
    #[error("bit {0} belongs to the mask")]
    BitInMask(u8),
    /// No code is the normal one: no value could ever be a measurement.
    #[error("no code means `monitoring`")]
    NoMonitoring,
}

impl StateMap {
    /// Reads `mask=15; 0=warm_up; 1=monitoring; bit4=fault`: items separated by `;`, `,` or spaces, states in English or
    /// Chinese, numbers decimal.
    ///
    /// # Errors
    /// [`StateMapError`] for the first item that is wrong.
    pub fn parse(text: &str) -> Result<Self, StateMapError> {
        let mut map = Self { mask: None, codes: Vec::new(), bits: Vec::new() };
        let items = text.split([';', ',', '；', '，', ' ']).map(str::trim).filter(|item| !item.is_empty());
        for item in items {
            map.add(item)?;
        }
        map.codes.sort_unstable();
        map.bits.sort_unstable();
        map.check()
    }

    fn add(&mut self, item: &str) -> Result<(), StateMapError> {
        let wrong = || StateMapError::Item(item.to_owned());
        let (key, word) = item.split_once('=').ok_or_else(wrong)?;
        let (key, word) = (key.trim(), word.trim());
        let twice = || StateMapError::Twice(key.to_owned());
        if key == "mask" {
            let mask = word.parse().ok().filter(|mask| *mask > 0).ok_or_else(wrong)?;
            return self.mask.replace(mask).map_or(Ok(()), |_| Err(twice()));
        }
        let state = InstrumentState::from_name(word).ok_or_else(|| StateMapError::State(word.to_owned()))?;
        let is_new = match key.strip_prefix("bit") {
            Some(bit) => {
                let bit: u8 = bit.parse().ok().filter(|bit| *bit < 16).ok_or_else(wrong)?;
                self.bits.push((bit, state));
                self.bits.iter().filter(|(other, _)| *other == bit).count() == 1
            }
            None => {
                let code: u16 = key.parse().map_err(|_| wrong())?;
                self.codes.push((code, state));
                self.codes.iter().filter(|(other, _)| *other == code).count() == 1
            }
        };
        if is_new { Ok(()) } else { Err(twice()) }
    }

    fn check(self) -> Result<Self, StateMapError> {
        let coded = !self.codes.is_empty();
        if coded && !self.codes.iter().any(|(_, state)| *state == InstrumentState::Monitoring) {
            return Err(StateMapError::NoMonitoring);
        }
        match self.mask {
            None if coded && !self.bits.is_empty() => Err(StateMapError::NoMask),
            None if !coded && self.bits.is_empty() => Err(StateMapError::Item(String::new())),
            Some(mask) if coded => match self.bits.iter().find(|(bit, _)| mask >> bit & 1 == 1) {
                Some((bit, _)) => Err(StateMapError::BitInMask(*bit)),
                None => Ok(self),
            },
            None | Some(_) => Ok(self),
        }
    }

    /// Returns the state that a value of the word means. A set bit without a name, like a code without one, is unknown;
    /// bits outside a mask say nothing unless they are named.
    pub fn state(&self, value: Value) -> InstrumentState {
        let Some(raw) = whole(value) else { return InstrumentState::Unknown };
        let mask = self.mask.unwrap_or(u16::MAX);
        let of_code = match self.codes.is_empty() {
            true => InstrumentState::Monitoring,
            false if self.mask.is_none() && raw > u64::from(u16::MAX) => InstrumentState::Unknown,
            false => {
                let code = (low_16(raw) & mask) >> mask.trailing_zeros();
                let found = self.codes.iter().find(|(known, _)| *known == code);
                found.map_or(InstrumentState::Unknown, |(_, state)| *state)
            }
        };
        let is_set = |bit: u8| raw >> bit & 1 == 1;
        let of_bits = self.bits.iter().filter(|(bit, _)| is_set(*bit)).map(|(_, state)| *state);
        let named = self.bits.iter().fold(0_u64, |all, (bit, _)| all | 1 << bit);
        let scope = if self.mask.is_some() { u64::from(mask) } else { u64::MAX };
        let unnamed = self.codes.is_empty() && raw & scope & !named != 0;
        let of_unnamed = unnamed.then_some(InstrumentState::Unknown);
        of_bits.chain(of_unnamed).fold(of_code, InstrumentState::max)
    }
}

/// Prints as [`StateMap::parse`] reads it.
impl fmt::Display for StateMap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mask = self.mask.map(|mask| format!("mask={mask}"));
        let codes = self.codes.iter().map(|(code, state)| format!("{code}={}", state.as_str()));
        let bits = self.bits.iter().map(|(bit, state)| format!("bit{bit}={}", state.as_str()));
        f.write_str(&mask.into_iter().chain(codes).chain(bits).collect::<Vec<_>>().join("; "))
    }
}

/// Whole numbers beyond it are not exact in a double.
const TWO_53: f64 = 9_007_199_254_740_992.0;

/// The word as a whole number; `None` when it is none.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked to be whole and in range")]
fn whole(value: Value) -> Option<u64> {
    match value {
        Value::Bool(bit) => Some(u64::from(bit)),
        Value::Counter(n) => Some(n),
        Value::Integer(n) => u64::try_from(n).ok(),
        Value::Number(_) | Value::Single(_) => {
            let n = value.as_f64();
            ((0.0..TWO_53).contains(&n) && n.fract() == 0.0).then_some(n as u64)
        }
    }
}

#[expect(clippy::cast_possible_truncation, reason = "a state word is one register")]
fn low_16(raw: u64) -> u16 {
    raw as u16
}

/// How the reading of a point is judged beyond its registers. Most points have none of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Instrument {
    /// Ordinal of the point of the same device that says what the instrument does.
    pub state_of: Option<u16>,
    /// Of a state word: what its values mean.
    pub states: Option<StateMap>,
    /// When an unchanging value is suspect (rule 89).
    pub frozen: Option<Frozen>,
    /// When a low value is suspect (rule 89).
    pub below: Option<Below>,
    /// Where there is no instrument at all: what the value is computed of.
    pub derived: Option<Derived>,
}

/// A value that never changes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Frozen {
    /// Suspect after this time, counted while readings come.
    pub after: Duration,
    /// A value at which standing still is healthy: the 0 of a detector that cuts off its noise.
    pub except: Option<f64>,
}

/// A value that stays below what the instrument can mean.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Below {
    /// The limit, in the point's unit.
    pub limit: f64,
    /// Suspect after this time.
    pub stays: Duration,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::InstrumentState::*;
    use super::*;

    fn map(text: &str) -> StateMap {
        StateMap::parse(text).unwrap()
    }

    fn of(map: &StateMap, raw: u16) -> InstrumentState {
        map.state(Value::Number(f64::from(raw)))
    }

    #[test]
    fn codes_are_the_whole_word() {
        let map = map("0=monitoring; 1=预热，2=calibration 3=fault");
        assert_eq!([0, 1, 2, 3, 4].map(|raw| of(&map, raw)), [Monitoring, WarmUp, Calibration, Fault, Unknown]);
        assert_eq!(map.state(Value::Number(0.5)), Unknown);
        assert_eq!(map.state(Value::Number(-1.0)), Unknown);
        assert_eq!(map.state(Value::Counter(65_536)), Unknown, "a wider word is not cut");
    }

    #[test]
    fn the_midas_word_holds_a_state_and_faults_beside_it() {
        // Rule 83: bits 0..3 the state, 4 and 5 the faults, the rest alarms and relays.
        let map = map("mask=15 0=warm_up 1=monitoring 2=inhibited 3=inhibited 4=inhibited 5=simulation 6=bump_test \
                       7=calibration 8=calibration bit4=maintenance bit5=fault");
        assert_eq!(of(&map, 0x0001), Monitoring);
        assert_eq!(of(&map, 0x08C1), Monitoring, "alarms and heartbeat are no state");
        assert_eq!(of(&map, 0x0031), Fault, "the worse of two faults");
        assert_eq!(of(&map, 0x0011), Maintenance);
        assert_eq!(of(&map, 0x0016), BumpTest, "the worse of test and maintenance");
        assert_eq!(of(&map, 0x000F), Unknown);
    }

    #[test]
    fn a_word_of_bits_is_monitoring_when_none_is_set_and_unknown_when_a_strange_one_is() {
        let map = map("bit0=fault; bit2=calibration; bit8=monitoring");
        assert_eq!(
            [0, 1, 4, 5, 0x100, 2].map(|raw| of(&map, raw)),
            [Monitoring, Fault, Calibration, Fault, Monitoring, Unknown]
        );
    }

    #[test]
    fn what_is_no_map_is_told() {
        let wrong = |text: &str| StateMap::parse(text).unwrap_err().to_string();
        assert!(wrong("0=monitoring; 1").contains("`1` is no"));
        assert!(wrong("0=monitoring; 1=kaputt").contains("`kaputt` is no state"));
        assert!(wrong("0=monitoring; 0=fault").contains("twice"));
        assert!(wrong("0=monitoring; bit3=fault").contains("mask"));
        assert!(wrong("mask=15; 0=monitoring; bit3=fault").contains("bit 3"));
        assert!(wrong("1=fault").contains("monitoring"));
        assert!(wrong("bit16=fault").contains("bit16"));
        assert!(
            StateMap::parse("").is_err() && StateMap::parse("mask=15").is_ok(),
            "any code under the mask is strange"
        );
    }

    #[test]
    fn only_a_monitoring_instrument_measures() {
        let gas = Reading::good(Value::Number(55.0));
        assert_eq!(Monitoring.judge(gas), gas);
        let table = [
            (Inhibited, Quality::Maintenance, true),
            (Unknown, Quality::Suspect, true),
            (Maintenance, Quality::Maintenance, false),
            (WarmUp, Quality::Maintenance, false),
            (BumpTest, Quality::Calibration, false),
            (Calibration, Quality::Calibration, false),
            (Simulation, Quality::Calibration, false),
            (Fault, Quality::Sensor, false),
        ];
        for (state, quality, kept) in table {
            let judged = state.judge(gas);
            assert_eq!((judged.quality, judged.value().is_some()), (quality, kept), "{state:?}");
            for nothing_read in [Quality::Comm, Quality::Stale] {
                assert_eq!(state.judge(Reading::missing(nothing_read)), Reading::missing(nothing_read));
            }
        }
    }

    fn named() -> impl Strategy<Value = InstrumentState> {
        (0..InstrumentState::NAMED.len()).prop_map(|i| InstrumentState::NAMED[i].0)
    }

    proptest! {
        #[test]
        fn a_map_survives_its_text(
            mask in prop::option::of(1_u16..), codes in prop::collection::btree_map(any::<u16>(), named(), 0..6),
            bits in prop::collection::btree_map(0_u8..16, named(), 0..6),
        ) {
            let (codes, bits) = (codes.into_iter().collect(), bits.into_iter().collect());
            if let Ok(map) = (StateMap { mask, codes, bits }).check() {
                prop_assert_eq!(StateMap::parse(&map.to_string()), Ok(map));
            }
        }

        #[test]
        fn any_text_is_a_map_or_an_error_and_any_word_has_a_state(text in "[0-9bitmask=;a-z_监测 ]{0,40}", raw: u64) {
            if let Ok(map) = StateMap::parse(&text) {
                map.state(Value::Counter(raw));
            }
        }

        #[test]
        fn no_state_but_monitoring_gives_a_good_reading(state in named(), value in any::<f64>()) {
            prop_assume!(value.is_finite());
            let judged = state.judge(Reading::good(Value::Number(value)));
            prop_assert_eq!(judged.quality == Quality::Good, state == Monitoring);
        }
    }
}
