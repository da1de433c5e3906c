//! Derived points: a small set of formulas over the readings of other points. No scripting.
//!
//! | formula | gives | parameters |
//! |---|---|---|
//! | sum, mean, min, max | of all inputs | – |
//! | difference | first − second | – |
//! | ratio | first ÷ second; no value where the second is 0 | – |
//! | rate | change of the input per unit of time over a window; nothing until half of it has been seen | window, unit of time |
//! | convert | ppm to mg/m³ or back (`domain.md` A10 rule 82) | molar mass in g/mol, temperature in ℃ |
//! | vote | whether at least m of the inputs are set, or beyond a limit | m, limit, what a bad input counts |
//!
//! **Quality.** The worst of the inputs', in the order of [`rank`]; where an input has no value the result has none. A
//! vote always has a value: a bad input (no value, or a quality that is no measurement) counts as configured, towards the
//! alarm by default. Its quality is good when the vote stands whatever the bad inputs were, else `suspect`.
//!
//! Computed whenever one of its inputs gets a reading, at the time of that reading. Nothing is given before every input was
//! read once (a vote: any).

use std::collections::VecDeque;
use std::time::Duration;

use super::id::PointUid;
use super::reading::{Quality, Reading, Value};
use super::time::Mono;

/// Readings a rate remembers: a window in 32 steps, and some to spare.
const N_REMEMBERED: usize = 64;
/// Molar volume in L/mol at 25 ℃ and 101.325 kPa, as rule 82 has it (24.04 at 20 ℃ follows).
const MOLAR_VOLUME: f64 = 24.45;
/// 0 ℃ in K.
const ZERO_CELSIUS: f64 = 273.15;

/// What a derived point is made of.
#[derive(Clone, Debug, PartialEq)]
pub struct Derived {
    /// How.
    pub formula: Formula,
    /// Of what, in order.
    pub inputs: Vec<PointUid>,
}

/// See the module.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Formula {
    /// Σ.
    Sum,
    /// Arithmetic mean.
    Mean,
    /// Smallest.
    Min,
    /// Largest.
    Max,
    /// First − second.
    Difference,
    /// First ÷ second.
    Ratio,
    /// Change per `per` over `window`.
    Rate {
        /// Time over which it is measured.
        window: Duration,
        /// Unit of time.
        per: Duration,
    },
    /// Multiplied by a factor: see [`ppm_to_mg`].
    Convert {
        /// Result ÷ input.
        factor: f64,
    },
    /// At least `need` of the inputs.
    Vote {
        /// How many.
        need: u16,
        /// What makes an input count.
        limit: Limit,
        /// Whether a bad input counts.
        bad_counts: bool,
    },
}

/// What makes an input of a vote count.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Limit {
    /// It is not 0.
    Set,
    /// At or above.
    Above(f64),
    /// At or below.
    Below(f64),
}

/// Returns mg/m³ per ppm of a gas of this molar mass (g/mol) at this temperature (℃) and 101.325 kPa.
pub fn ppm_to_mg(molar_mass: f64, celsius: f64) -> f64 {
    molar_mass / (MOLAR_VOLUME * (celsius + ZERO_CELSIUS) / (25.0 + ZERO_CELSIUS))
}

/// Order of qualities from best to worst, for what is made of several.
pub fn rank(quality: Quality) -> u8 {
    match quality {
        Quality::Good => 0,
        Quality::Substituted => 1,
        Quality::UnderRange => 2,
        Quality::OverRange => 3,
        Quality::Suspect => 4,
        Quality::Maintenance => 5,
        Quality::Calibration => 6,
        Quality::Stopped => 7,
        Quality::Sensor => 8,
        Quality::Stale => 9,
        Quality::Comm => 10,
    }
}

/// One derived point at work.
#[derive(Debug)]
pub struct Work {
    formula: Formula,
    decimals: Option<u8>,
    seen: VecDeque<(Mono, f64)>,
}

impl Work {
    /// Returns one that has seen nothing; results are rounded to `decimals`.
    pub fn new(formula: Formula, decimals: Option<u8>) -> Self {
        Self { formula, decimals, seen: VecDeque::new() }
    }

    /// Computes from what stands of the inputs, at `at`. `None`: there is nothing to say yet.
    pub fn compute(&mut self, inputs: &[Option<Reading>], at: Mono) -> Option<Reading> {
        if let Formula::Vote { need, limit, bad_counts } = self.formula {
            return vote(inputs, need, limit, bad_counts);
        }
        let read: Vec<Reading> = inputs.iter().copied().collect::<Option<_>>()?;
        let quality = read.iter().map(|r| r.quality).max_by_key(|quality| rank(*quality))?;
        let Some(values) = read.iter().map(|r| r.value().map(Value::as_f64)).collect::<Option<Vec<f64>>>() else {
            self.seen.clear();
            return Some(Reading::missing(quality));
        };
        if let Formula::Rate { window, per } = self.formula {
            let rate = self.rate(*values.first()?, at, window, per)?;
            return Some(self.given(rate, quality));
        }
        Some(self.given(plain(self.formula, &values)?, quality))
    }

    fn given(&self, result: f64, quality: Quality) -> Reading {
        let factor = 10_f64.powi(self.decimals.map_or(0, i32::from));
        let rounded = if self.decimals.is_some() { (result * factor).round() / factor } else { result };
        if rounded.is_finite() {
            Reading::new(Some(Value::Number(rounded + 0.0)), quality)
        } else {
            let quality = if quality == Quality::Good { Quality::Sensor } else { quality };
            Reading::missing(quality)
        }
    }

    fn rate(&mut self, value: f64, at: Mono, window: Duration, per: Duration) -> Option<f64> {
        let (first, first_value) = self.seen.front().copied().unwrap_or((at, value));
        let is_new = self.seen.back().is_none_or(|(last, _)| at.since(*last) >= window / 32);
        if is_new {
            self.seen.push_back((at, value));
        }
        // The oldest that still covers the window stays as its beginning.
        while self.seen.len() > N_REMEMBERED || self.seen.get(1).is_some_and(|(next, _)| at.since(*next) >= window) {
            self.seen.pop_front();
        }
        let (first, first_value) = self.seen.front().copied().unwrap_or((first, first_value));
        let span = at.since(first);
        (span * 2 >= window && !span.is_zero()).then(|| (value - first_value) / span.as_secs_f64() * per.as_secs_f64())
    }
}

/// Formulas of one moment.
fn plain(formula: Formula, values: &[f64]) -> Option<f64> {
    let (first, second) = (values.first().copied()?, values.get(1).copied());
    let count = f64::from(u16::try_from(values.len()).unwrap_or(u16::MAX));
    match formula {
        Formula::Sum => Some(values.iter().sum()),
        Formula::Mean => Some(values.iter().sum::<f64>() / count),
        Formula::Min => Some(values.iter().copied().fold(first, f64::min)),
        Formula::Max => Some(values.iter().copied().fold(first, f64::max)),
        Formula::Difference => second.map(|second| first - second),
        Formula::Ratio => second.map(|second| first / second),
        Formula::Convert { factor } => Some(first * factor),
        Formula::Rate { .. } | Formula::Vote { .. } => None,
    }
}

fn vote(inputs: &[Option<Reading>], need: u16, limit: Limit, bad_counts: bool) -> Option<Reading> {
    inputs.iter().any(Option::is_some).then_some(())?;
    let measures = |r: &Reading| matches!(r.quality, Quality::Good | Quality::OverRange | Quality::UnderRange);
    let value = |r: &Option<Reading>| r.filter(measures).and_then(|r| r.value()).map(Value::as_f64);
    let counts = |value: f64| match limit {
        Limit::Set => value != 0.0,
        Limit::Above(limit) => value >= limit,
        Limit::Below(limit) => value <= limit,
    };
    let sound = inputs.iter().filter_map(value).filter(|v| counts(*v)).count();
    let bad = inputs.iter().filter(|r| value(r).is_none()).count();
    let need = usize::from(need);
    let is_set = sound + if bad_counts { bad } else { 0 } >= need;
    let is_certain = sound >= need || sound + bad < need;
    let quality = if is_certain { Quality::Good } else { Quality::Suspect };
    Some(Reading::new(Some(Value::Bool(is_set)), quality))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn number(v: f64) -> Option<Reading> {
        Some(Reading::good(Value::Number(v)))
    }

    fn now(formula: Formula, inputs: &[Option<Reading>]) -> Option<Reading> {
        Work::new(formula, Some(3)).compute(inputs, Mono::from_secs(0))
    }

    fn value(reading: Option<Reading>) -> Option<f64> {
        reading?.value().map(Value::as_f64)
    }

    #[test]
    fn ppm_and_milligrams_agree_with_the_table() {
        // domain.md rule 82: mg/m³ and ppm at 25 ℃; molar masses of Cl2, H2S, NH3, CO, HF, COCl2, SO2.
        let table = [
            (70.906, 1.0, 0.345),
            (34.08, 10.0, 7.17),
            (17.031, 20.0, 28.7),
            (28.01, 20.0, 17.5),
            (20.006, 2.0, 2.44),
            (98.92, 0.5, 0.124),
            (64.066, 5.0, 1.91),
        ];
        for (molar_mass, mg, ppm) in table {
            let factor = ppm_to_mg(molar_mass, 25.0);
            assert!((mg / factor - ppm).abs() < ppm * 0.005, "{molar_mass}: {} ppm", mg / factor);
            let back = value(now(Formula::Convert { factor }, &[number(ppm)])).unwrap();
            assert!((back - mg).abs() < mg * 0.005, "{molar_mass}: {back} mg");
        }
        assert!((1.0 / ppm_to_mg(1.0, 20.0) - 24.04).abs() < 0.01, "24.04 L/mol at 20 ℃");
    }

    #[test]
    fn sums_and_their_like() {
        let inputs = [number(1.0), number(2.5), number(-4.0)];
        let table = [(Formula::Sum, -0.5), (Formula::Mean, -0.167), (Formula::Min, -4.0), (Formula::Max, 2.5)];
        for (formula, wanted) in table {
            assert_eq!(value(now(formula, &inputs)), Some(wanted), "{formula:?}");
        }
        assert_eq!(value(now(Formula::Difference, &inputs[..2])), Some(-1.5));
        assert_eq!(value(now(Formula::Ratio, &inputs[..2])), Some(0.4));
        assert_eq!(now(Formula::Ratio, &[number(1.0), number(0.0)]), Some(Reading::missing(Quality::Sensor)));
    }

    #[test]
    fn the_worst_input_is_the_quality_and_an_unread_one_says_nothing() {
        let over = Some(Reading::new(Some(Value::Number(9.0)), Quality::OverRange));
        assert_eq!(now(Formula::Sum, &[number(1.0), over]).unwrap().quality, Quality::OverRange);
        let lost = Some(Reading::missing(Quality::Comm));
        assert_eq!(now(Formula::Sum, &[over, lost]), Some(Reading::missing(Quality::Comm)));
        assert_eq!(now(Formula::Sum, &[number(1.0), None]), None);
    }

    #[test]
    fn a_rate_is_the_change_over_its_window() {
        let minute = Duration::from_secs(60);
        let mut work = Work::new(Formula::Rate { window: minute, per: minute }, Some(3));
        let mut told = Vec::new();
        for secs in 0..200_u32 {
            told.push(value(work.compute(&[number(f64::from(secs) * 0.5)], Mono::from_secs(secs.into()))));
        }
        assert_eq!((told[29], told[30], told[199]), (None, Some(30.0), Some(30.0)));
        assert_eq!(
            work.compute(&[Some(Reading::missing(Quality::Comm))], Mono::from_secs(200)),
            Some(Reading::missing(Quality::Comm))
        );
        assert_eq!(work.compute(&[number(500.0)], Mono::from_secs(201)), None, "no change is measured across a hole");
    }

    #[test]
    fn two_out_of_three_votes_and_a_bad_detector_counts_towards_the_alarm() {
        let vote = |bad_counts| Formula::Vote { need: 2, limit: Limit::Above(25.0), bad_counts };
        let lost = Some(Reading::missing(Quality::Calibration));
        let told = |formula, inputs: &[Option<Reading>]| {
            let told = now(formula, inputs).unwrap();
            (told.value() == Some(Value::Bool(true)), told.quality)
        };
        assert_eq!(told(vote(true), &[number(30.0), number(26.0), number(1.0)]), (true, Quality::Good));
        assert_eq!(told(vote(true), &[number(30.0), number(2.0), number(1.0)]), (false, Quality::Good));
        assert_eq!(told(vote(true), &[number(30.0), lost, number(1.0)]), (true, Quality::Suspect));
        assert_eq!(told(vote(false), &[number(30.0), lost, number(1.0)]), (false, Quality::Suspect));
        assert_eq!(told(vote(true), &[number(2.0), lost, number(1.0)]), (false, Quality::Good), "one cannot decide");
        assert_eq!(told(vote(false), &[number(30.0), number(30.0), None]), (true, Quality::Good));
    }

    proptest! {
        #[test]
        fn whatever_comes_in_what_goes_out_is_finite_or_nothing(
            values in prop::collection::vec(prop::option::of(any::<f64>().prop_filter("finite", |v| v.is_finite())), 1..5),
            which in 0_usize..8, decimals in prop::option::of(0_u8..7),
        ) {
            let formulas = [Formula::Sum, Formula::Mean, Formula::Min, Formula::Max, Formula::Difference, Formula::Ratio,
                Formula::Convert { factor: 1e300 }, Formula::Rate { window: Duration::from_secs(1), per: Duration::from_secs(3600) }];
            let inputs: Vec<_> = values.iter().map(|v| Some(v.map_or(Reading::missing(Quality::Comm), |v| Reading::good(Value::Number(v))))).collect();
            let mut work = Work::new(formulas[which], decimals);
            for secs in 0..3 {
                if let Some(reading) = work.compute(&inputs, Mono::from_secs(secs)) {
                    prop_assert!(reading.value().is_none_or(|v| v.as_f64().is_finite()));
                    prop_assert!(reading.value().is_some() || reading.quality != Quality::Good);
                }
            }
        }
    }
}
