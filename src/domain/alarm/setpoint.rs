//! Set points of gas detection against GB/T 50493-2019 §5.5.2 (`domain.md` A10 rules 80–82): by direction, and by the clause's
//! word. What the clause demands (应, 不得) is a breach that the configuration refuses; what it recommends (宜) is remarked. The
//! configuration asks with the set points of a point; whoever reads the set points of a field controller asks in the same way,
//! and goes on monitoring it.
//!
//! | detection | unit | first | second | word | clause |
//! |---|---|---|---|---|---|
//! | combustible | %LEL | ≤ 25 | ≤ 50 | 应 | 5.5.2-1, -2 |
//! | toxic | ppm, ppb, mg/m³, µg/m³ | ≤ 100 % OEL | ≤ 200 % OEL | 应 | 5.5.2-3 |
//! | toxic, range insufficient, declared | the same | ≤ 5 % IDLH | ≤ 10 % IDLH | 不得 | 5.5.2-3 |
//! | oxygen | %VOL | deficiency ≥ 19.5 | excess ≤ 23.5 | 宜 | 5.5.2-4 |
//! | open path | LEL·m | ≤ 1 | ≤ 2 | 应 | 5.5.2-5 |
//!
//! Lower is safer, except for the deficiency of oxygen: a stricter set point is never a breach. A row of the OEL table that
//! nobody has verified can only be remarked.

use crate::domain::derived::ppm_to_mg;

/// Ceilings of combustible gas in %LEL.
pub const COMBUSTIBLE: (f64, f64) = (25.0, 50.0);
/// Ceilings of an open path in LEL·m.
pub const OPEN_PATH: (f64, f64) = (1.0, 2.0);
/// Oxygen in %VOL: deficiency at or above, excess at or below.
pub const OXYGEN: (f64, f64) = (19.5, 23.5);
/// Oxygen of fresh air in %VOL: a set point beyond it alarms for ever.
pub const FRESH_AIR: f64 = 20.9;
/// First and second level as shares of the OEL.
const OF_OEL: (f64, f64) = (1.0, 2.0);
/// First and second level as shares of the IDLH.
const OF_IDLH: (f64, f64) = (0.05, 0.10);
/// A set point written as the table's own figure converted to ppm is rounded by people: so much more is still the figure.
const ROUNDING: f64 = 0.005;

/// The units of gas detection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GasUnit {
    /// Percent of the lower explosive limit.
    PercentLel,
    /// Lower explosive limit times metres of an open path.
    LelMetre,
    /// Percent by volume.
    PercentVol,
    /// Parts per million by volume.
    Ppm,
    /// Parts per billion by volume.
    Ppb,
    /// Milligrams per cubic metre.
    MgPerM3,
    /// Micrograms per cubic metre.
    UgPerM3,
}

impl GasUnit {
    /// Returns the unit as people write it: with or without dots, superscripts and capitals.
    pub fn parse(text: &str) -> Option<Self> {
        let plain: String = text
            .chars()
            .filter(|c| !matches!(c, ' ' | '·' | '.' | '*' | '×' | '・' | '(' | ')'))
            .map(|c| match c {
                '³' => '3',
                'μ' | 'µ' => 'u',
                '％' => '%',
                '／' => '/',
                other => other.to_ascii_lowercase(),
            })
            .collect();
        Some(match plain.as_str() {
            "%lel" | "lel%" => Self::PercentLel,
            "lelm" => Self::LelMetre,
            "%vol" | "vol%" | "%v/v" => Self::PercentVol,
            "ppm" | "umol/mol" => Self::Ppm,
            "ppb" | "nmol/mol" => Self::Ppb,
            "mg/m3" => Self::MgPerM3,
            "ug/m3" => Self::UgPerM3,
            _ => return None,
        })
    }

    /// Returns the unit as it is printed.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::PercentLel => "%LEL",
            Self::LelMetre => "LEL·m",
            Self::PercentVol => "%VOL",
            Self::Ppm => "ppm",
            Self::Ppb => "ppb",
            Self::MgPerM3 => "mg/m³",
            Self::UgPerM3 => "µg/m³",
        }
    }

    /// Returns what `mg` mg/m³ of a gas of this molar mass (g/mol) at this temperature (℃) are in this unit; `None` where the
    /// unit is none of a toxic gas.
    pub fn of_mg(self, mg: f64, molar_mass: f64, celsius: f64) -> Option<f64> {
        let ppm = || mg / ppm_to_mg(molar_mass, celsius);
        match self {
            Self::MgPerM3 => Some(mg),
            Self::UgPerM3 => Some(mg * 1000.0),
            Self::Ppm => Some(ppm()),
            Self::Ppb => Some(ppm() * 1000.0),
            Self::PercentVol => Some(ppm() / 10_000.0),
            Self::PercentLel | Self::LelMetre => None,
        }
    }
}

/// What a row of the OEL table says of a toxic gas.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Toxic {
    /// Occupational exposure limit in mg/m³: MAC, else PC-TWA.
    pub oel: f64,
    /// Immediately dangerous to life or health, in mg/m³.
    pub idlh: Option<f64>,
    /// Molar mass in g/mol.
    pub molar_mass: f64,
    /// Temperature of the conversion in ℃.
    pub celsius: f64,
    /// Whether a named person has verified the row.
    pub verified: bool,
    /// Whether the site declares that no detector of a sufficient range is to be had, so that the IDLH counts.
    pub by_idlh: bool,
}

/// What is detected.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Detection {
    /// Combustible gas at a point.
    Combustible,
    /// Combustible gas along a path.
    OpenPath,
    /// Oxygen; its first level is the deficiency, its second the excess.
    Oxygen,
    /// A toxic gas.
    Toxic(Toxic),
}

/// One of the two set points.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Which {
    /// First level; of oxygen the deficiency.
    First,
    /// Second level; of oxygen the excess.
    Second,
}

/// The clause's word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Duty {
    /// 应, 不得: refused.
    Must,
    /// 宜, or a figure that nobody has verified: remarked.
    Should,
}

/// A ceiling, or of the deficiency of oxygen a floor.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bound {
    /// In the point's unit.
    pub limit: f64,
    /// Whether a set point must not be below it.
    pub is_floor: bool,
    /// The clause.
    pub clause: &'static str,
    /// Its word.
    pub duty: Duty,
    /// Where the figure is from, Chinese and English.
    pub from: (&'static str, &'static str),
}

/// A set point beyond its bound.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Breach {
    /// Which of the two.
    pub which: Which,
    /// As it is set.
    pub set: f64,
    /// As it is bounded.
    pub bound: Bound,
}

impl Detection {
    /// Returns the bound of a set point in this unit; `None` where the unit does not fit, or where the table has no figure.
    pub fn bound(&self, which: Which, unit: GasUnit) -> Option<Bound> {
        let pick = |(first, second): (f64, f64)| if which == Which::First { first } else { second };
        let must = |limit, clause, from| Bound { limit, is_floor: false, clause, duty: Duty::Must, from };
        match self {
            Self::Combustible => (unit == GasUnit::PercentLel).then(|| {
                let clause = if which == Which::First { "GB/T 50493-2019 5.5.2-1" } else { "GB/T 50493-2019 5.5.2-2" };
                must(pick(COMBUSTIBLE), clause, ("", ""))
            }),
            Self::OpenPath => {
                (unit == GasUnit::LelMetre).then(|| must(pick(OPEN_PATH), "GB/T 50493-2019 5.5.2-5", ("", "")))
            }
            Self::Oxygen => (unit == GasUnit::PercentVol).then(|| Bound {
                is_floor: which == Which::First,
                duty: Duty::Should,
                ..must(pick(OXYGEN), "GB/T 50493-2019 5.5.2-4", ("", ""))
            }),
            Self::Toxic(toxic) => toxic.bound(which, unit),
        }
    }

    /// Returns the unit-fitting set points that lie beyond their bounds.
    pub fn breaches(&self, unit: GasUnit, first: Option<f64>, second: Option<f64>) -> Vec<Breach> {
        let each = [(Which::First, first), (Which::Second, second)];
        let breach = |(which, set): (Which, Option<f64>)| {
            let (set, bound) = (set?, self.bound(which, unit)?);
            bound.is_broken_by(set).then_some(Breach { which, set, bound })
        };
        each.into_iter().filter_map(breach).collect()
    }
}

impl Toxic {
    fn bound(&self, which: Which, unit: GasUnit) -> Option<Bound> {
        let pick = |(first, second): (f64, f64)| if which == Which::First { first } else { second };
        let (mg, from) = if self.by_idlh {
            let from = match which {
                Which::First => ("5% IDLH", "5 % of the IDLH"),
                Which::Second => ("10% IDLH", "10 % of the IDLH"),
            };
            (self.idlh? * pick(OF_IDLH), from)
        } else {
            let from = match which {
                Which::First => ("100% OEL", "100 % of the OEL"),
                Which::Second => ("200% OEL", "200 % of the OEL"),
            };
            (self.oel * pick(OF_OEL), from)
        };
        Some(Bound {
            limit: unit.of_mg(mg, self.molar_mass, self.celsius)?,
            is_floor: false,
            clause: "GB/T 50493-2019 5.5.2-3",
            duty: if self.verified { Duty::Must } else { Duty::Should },
            from,
        })
    }
}

impl Bound {
    /// Returns whether a set point lies beyond the bound, the rounding of a converted figure set aside.
    pub fn is_broken_by(&self, set: f64) -> bool {
        let slack = if self.from.0.is_empty() { 0.0 } else { self.limit.abs() * ROUNDING };
        if self.is_floor { set < self.limit - slack } else { set > self.limit + slack }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn h2s() -> Toxic {
        Toxic { oel: 10.0, idlh: Some(430.0), molar_mass: 34.08, celsius: 25.0, verified: true, by_idlh: false }
    }

    fn which(breaches: &[Breach]) -> Vec<(Which, Duty)> {
        breaches.iter().map(|b| (b.which, b.bound.duty)).collect()
    }

    #[test]
    fn combustible_gas_may_be_set_lower_and_never_higher() {
        let of = |first, second| Detection::Combustible.breaches(GasUnit::PercentLel, Some(first), Some(second));
        assert!(of(25.0, 50.0).is_empty() && of(20.0, 40.0).is_empty());
        assert_eq!(which(&of(25.1, 60.0)), [(Which::First, Duty::Must), (Which::Second, Duty::Must)]);
        assert_eq!(of(25.0, 51.0)[0].bound.clause, "GB/T 50493-2019 5.5.2-2");
        assert_eq!(which(&Detection::OpenPath.breaches(GasUnit::LelMetre, Some(1.0), Some(2.5))).len(), 1);
    }

    #[test]
    fn oxygen_is_recommended_only_and_its_deficiency_counts_from_below() {
        let of = |low, high| Detection::Oxygen.breaches(GasUnit::PercentVol, Some(low), Some(high));
        assert!(of(19.5, 23.5).is_empty() && of(20.0, 22.0).is_empty());
        assert_eq!(which(&of(18.0, 24.0)), [(Which::First, Duty::Should), (Which::Second, Duty::Should)]);
    }

    #[test]
    fn a_toxic_gas_is_bounded_by_its_oel_in_whatever_unit_it_is_read() {
        let toxic = Detection::Toxic(h2s());
        assert!(toxic.breaches(GasUnit::MgPerM3, Some(10.0), Some(20.0)).is_empty());
        assert!(toxic.breaches(GasUnit::Ppm, Some(7.2), Some(14.4)).is_empty(), "7.17 and 14.35 as people round them");
        assert_eq!(toxic.breaches(GasUnit::Ppm, Some(10.0), Some(14.0)).len(), 1);
        assert!(toxic.breaches(GasUnit::Ppb, Some(7_000.0), Some(14_000.0)).is_empty());
        assert!(
            toxic.breaches(GasUnit::PercentLel, Some(99.0), None).is_empty(),
            "a unit that does not fit has no bound"
        );
    }

    #[test]
    fn the_idlh_counts_where_it_is_declared_and_an_unverified_row_only_remarks() {
        let declared = Detection::Toxic(Toxic { by_idlh: true, ..h2s() });
        assert!(declared.breaches(GasUnit::MgPerM3, Some(21.0), Some(43.0)).is_empty());
        assert_eq!(which(&declared.breaches(GasUnit::MgPerM3, Some(22.0), Some(40.0))), [(Which::First, Duty::Must)]);
        let unknown = Detection::Toxic(Toxic { verified: false, ..h2s() });
        assert_eq!(which(&unknown.breaches(GasUnit::MgPerM3, Some(11.0), None)), [(Which::First, Duty::Should)]);
        let without = Detection::Toxic(Toxic { by_idlh: true, idlh: None, ..h2s() });
        assert_eq!(without.bound(Which::First, GasUnit::Ppm), None);
    }

    #[test]
    fn the_conversions_of_rule_82_hold() {
        let ppm = |mg, mass| GasUnit::Ppm.of_mg(mg, mass, 25.0).unwrap();
        for (mg, mass, want) in [
            (1.0, 70.9, 0.345),
            (10.0, 34.08, 7.17),
            (20.0, 17.03, 28.7),
            (20.0, 28.01, 17.5),
            (2.0, 20.01, 2.44),
            (0.5, 98.92, 0.124),
            (5.0, 64.06, 1.91),
        ] {
            assert!((ppm(mg, mass) - want).abs() < want * 0.005, "{mg} mg/m³ of {mass} g/mol: {}", ppm(mg, mass));
        }
        let cold = GasUnit::Ppm.of_mg(10.0, 34.08, 20.0).unwrap();
        assert!((cold - 10.0 * 24.04 / 34.08).abs() < 0.01, "{cold}");
    }

    #[test]
    fn units_are_read_as_people_write_them() {
        for (text, unit) in [
            ("%LEL", GasUnit::PercentLel),
            ("LEL·m", GasUnit::LelMetre),
            ("LEL.m", GasUnit::LelMetre),
            ("%VOL", GasUnit::PercentVol),
            ("mg/m³", GasUnit::MgPerM3),
            ("mg/m3", GasUnit::MgPerM3),
            ("μg/m3", GasUnit::UgPerM3),
            ("PPM", GasUnit::Ppm),
        ] {
            assert_eq!(GasUnit::parse(text), Some(unit), "{text}");
        }
        assert_eq!(GasUnit::parse("kPa"), None);
    }
}
