//! Dangerous goods as a waybill names them: class, packing group, quantity; and what parking asks of them: fire group,
//! toxicity, what they are by nature.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::domain::gate::word::words;

/// Limited quantities (有限数量) of one vehicle may weigh so much in all, gross, in kilograms (rule 36).
pub const LIMITED_MAX_KG: f64 = 8000.0;
/// Excepted quantities (例外数量) of one vehicle may be so many packages (rule 36).
pub const EXCEPTED_MAX_PACKAGES: u32 = 1000;

words! {
    /// Class or division of dangerous goods (GB 6944). Those of class 1 are one here: none of them is taken.
    HazardClass {
        /// Explosives.
        C1 = "1", "爆炸品";
        /// Flammable gases.
        C21 = "2.1", "易燃气体";
        /// Gases neither flammable nor toxic.
        C22 = "2.2", "非易燃无毒气体";
        /// Toxic gases.
        C23 = "2.3", "毒性气体";
        /// Flammable liquids.
        C3 = "3", "易燃液体";
        /// Flammable solids.
        C41 = "4.1", "易燃固体";
        /// What ignites by itself.
        C42 = "4.2", "易于自燃的物质";
        /// What gives off flammable gas in contact with water.
        C43 = "4.3", "遇水放出易燃气体的物质";
        /// Oxidizers.
        C51 = "5.1", "氧化性物质";
        /// Organic peroxides.
        C52 = "5.2", "有机过氧化物";
        /// Toxic substances.
        C61 = "6.1", "毒性物质";
        /// Infectious substances.
        C62 = "6.2", "感染性物质";
        /// Radioactive material.
        C7 = "7", "放射性物质";
        /// Corrosives.
        C8 = "8", "腐蚀性物质";
        /// Others.
        C9 = "9", "杂项危险物质";
    }
}

impl HazardClass {
    /// Reads a class as people write it: `3`, `2.1`, `1.4S`, or its Chinese name.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        Self::from_name(text).or_else(|| {
            let division = text.strip_prefix("1.")?.trim_end_matches(|c: char| c.is_ascii_uppercase());
            matches!(division, "1" | "2" | "3" | "4" | "5" | "6").then_some(Self::C1)
        })
    }

    /// Returns whether a public hazmat parking never takes it (rule 47). No table and no signature changes that.
    pub fn is_never_parked(self) -> bool {
        matches!(self, Self::C1 | Self::C7)
    }

    /// Returns whether it is toxic to breathe or touch.
    pub fn is_toxic(self) -> bool {
        matches!(self, Self::C23 | Self::C61)
    }
}

words! {
    /// What goods are by nature, where the class does not tell and something must be kept from it (rule 50).
    Nature {
        /// Acid.
        Acid = "acid", "酸";
        /// Alkali.
        Alkali = "alkali", "碱";
        /// Watery.
        Watery = "watery", "含水";
        /// Cyanide.
        Cyanide = "cyanide", "氰化物";
        /// Sulphide.
        Sulphide = "sulphide", "硫化物";
    }
}

words! {
    /// Packing group (包装类别).
    PackingGroup {
        /// Great danger.
        I = "I", "Ⅰ类包装";
        /// Medium danger.
        II = "II", "Ⅱ类包装";
        /// Minor danger.
        III = "III", "Ⅲ类包装";
    }
}

words! {
    /// Unit of a quantity.
    Unit {
        /// Kilograms.
        Kilogram = "kg", "千克";
        /// Tonnes.
        Tonne = "t", "吨";
        /// Litres.
        Litre = "L", "升";
        /// Cubic metres.
        CubicMetre = "m3", "立方米";
    }
}

words! {
    /// How much of it is in one package.
    Portion {
        /// Any amount: the rules hold in full.
        Full = "full", "一般";
        /// Limited quantity.
        Limited = "limited", "有限数量";
        /// Excepted quantity.
        Excepted = "excepted", "例外数量";
    }
}

words! {
    /// Fire group of a bay and of goods (rule 45), the most dangerous first.
    FireGroup {
        /// Liquefied hydrocarbons.
        LiquefiedHydrocarbon = "1", "液化烃";
        /// Group A other than hydrocarbons liquefied.
        A = "2", "甲类";
        /// Group B.
        B = "3", "乙类";
        /// Group C.
        C = "4", "丙类";
        /// Group D.
        D = "5", "丁类";
        /// Group E.
        E = "6", "戊类";
    }
}

/// One kind of goods on a waybill.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Goods {
    /// UN number, 1..=9999.
    pub un: u16,
    /// Proper shipping name.
    pub name: String,
    /// Class or division.
    pub class: HazardClass,
    /// Subsidiary hazards.
    #[serde(default)]
    pub subsidiary: BTreeSet<HazardClass>,
    /// Packing group, where the class has them.
    #[serde(default)]
    pub packing_group: Option<PackingGroup>,
    /// How much, in `unit`; more than zero.
    pub quantity: f64,
    /// Of what.
    pub unit: Unit,
    /// Mass in kilograms where the unit is one of volume; without it the weight cannot be compared.
    #[serde(default)]
    pub mass_kg: Option<f64>,
    /// How it is packed.
    #[serde(default = "full")]
    pub portion: Portion,
    /// Number of packages; 0 in a tank.
    #[serde(default)]
    pub packages: u32,
    /// Its fire group as the consignor declares it; otherwise it follows from the class where it can.
    #[serde(default)]
    pub fire_group: Option<FireGroup>,
    /// What it is by nature, as the consignor declares it. `None`: not said, and then it may be any of them.
    #[serde(default)]
    pub natures: Option<BTreeSet<Nature>>,
}

fn full() -> Portion {
    Portion::Full
}

impl Goods {
    /// Returns its mass in kilograms; `None` when only a volume is known.
    pub fn kg(&self) -> Option<f64> {
        match self.unit {
            Unit::Kilogram => Some(self.quantity),
            Unit::Tonne => Some(self.quantity * 1000.0),
            Unit::Litre | Unit::CubicMetre => self.mass_kg,
        }
    }

    /// Returns its class and subsidiary hazards.
    pub fn hazards(&self) -> impl Iterator<Item = HazardClass> + '_ {
        std::iter::once(self.class).chain(self.subsidiary.iter().copied())
    }

    /// Returns the fire group: as declared, else the most dangerous one that class and packing group allow; `None` where
    /// they say nothing of fire.
    pub fn fire(&self) -> Option<FireGroup> {
        // Packing group III of class 3 has its flash point at 23 to 60 ℃, group A of GB 50160 ends at 28: both are possible.
        let implied = match self.class {
            HazardClass::C21 => Some(FireGroup::LiquefiedHydrocarbon),
            HazardClass::C3 | HazardClass::C42 | HazardClass::C43 | HazardClass::C51 | HazardClass::C52 => {
                Some(FireGroup::A)
            }
            HazardClass::C41 => Some(FireGroup::B),
            _ if self.subsidiary.contains(&HazardClass::C3) => Some(FireGroup::A),
            HazardClass::C1
            | HazardClass::C22
            | HazardClass::C23
            | HazardClass::C61
            | HazardClass::C62
            | HazardClass::C7
            | HazardClass::C8
            | HazardClass::C9 => None,
        };
        self.fire_group.or(implied)
    }

    /// Returns what is wrong with it as it stands, in Chinese and English.
    pub fn fault(&self) -> Option<(&'static str, &'static str)> {
        let sound = |n: f64| n.is_finite() && n > 0.0 && n < 1.0e7;
        if !(1..=9999).contains(&self.un) {
            Some(("UN 编号不在 1 到 9999", "its UN number is not in 1..=9999"))
        } else if self.name.trim().is_empty() {
            Some(("品名为空", "it has no name"))
        } else if !sound(self.quantity) || self.mass_kg.is_some_and(|kg| !sound(kg)) {
            Some(("数量不是正数", "its quantity is not more than zero"))
        } else {
            None
        }
    }
}

impl fmt::Display for Goods {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "UN{:04} {} ({})", self.un, self.name, self.class)
    }
}

/// What parking and inventory ask of a load.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Load {
    /// Every class and subsidiary hazard in it.
    pub classes: BTreeSet<HazardClass>,
    /// What it may be by nature; what is not said counts as possible.
    pub natures: BTreeSet<Nature>,
    /// The most dangerous fire group; `None`: cannot be said.
    pub fire: Option<FireGroup>,
    /// Whether any of it is toxic.
    pub toxic: bool,
}

impl Load {
    /// Takes a load together.
    pub fn of(goods: &[Goods]) -> Self {
        let classes: BTreeSet<_> = goods.iter().flat_map(Goods::hazards).collect();
        let natures = goods.iter().flat_map(natures).collect();
        // One kind of goods without a group leaves the group of the whole open.
        let groups: Option<Vec<_>> = goods.iter().map(Goods::fire).collect();
        let fire = groups.and_then(|groups| groups.into_iter().min());
        let toxic = classes.iter().any(|class| class.is_toxic());
        Self { classes, natures, fire, toxic }
    }
}

/// What the consignor says; where he says nothing: what a corrosive or toxic substance may be.
fn natures(goods: &Goods) -> BTreeSet<Nature> {
    if let Some(said) = &goods.natures {
        return said.clone();
    }
    let mut may_be = BTreeSet::new();
    if goods.hazards().any(|class| class == HazardClass::C8) {
        may_be.extend([Nature::Acid, Nature::Alkali, Nature::Watery]);
    }
    if goods.hazards().any(|class| class == HazardClass::C61) {
        may_be.extend([Nature::Cyanide, Nature::Sulphide]);
    }
    may_be
}

/// How goods in small packages may travel (rule 36).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SmallQuantity {
    /// Some of it is not in limited or excepted quantity: dangerous goods in full.
    #[default]
    No,
    /// Declared, and within the amounts: may travel as ordinary goods.
    AsOrdinary,
    /// Declared as small, but more than the amounts allow.
    TooMuch,
    /// Limited quantity beside explosives.
    BesideExplosives,
    /// Declared as small, but mass or number of packages is not said.
    Unknown,
}

/// Judges a declaration of limited or excepted quantity.
pub fn small_quantity(goods: &[Goods]) -> SmallQuantity {
    let small = goods.iter().filter(|one| one.portion != Portion::Full).count();
    if small > 0 && goods.iter().flat_map(Goods::hazards).any(|class| class == HazardClass::C1) {
        return SmallQuantity::BesideExplosives;
    }
    if goods.is_empty() || small < goods.len() {
        return SmallQuantity::No;
    }
    let limited: Option<Vec<f64>> = goods.iter().filter(|one| one.portion == Portion::Limited).map(Goods::kg).collect();
    let excepted = goods.iter().filter(|one| one.portion == Portion::Excepted);
    let packages = excepted.clone().fold(0_u32, |sum, one| sum.saturating_add(one.packages));
    if excepted.clone().any(|one| one.packages == 0) {
        return SmallQuantity::Unknown;
    }
    match limited {
        None => SmallQuantity::Unknown,
        Some(kg) if kg.iter().sum::<f64>() > LIMITED_MAX_KG || packages > EXCEPTED_MAX_PACKAGES => {
            SmallQuantity::TooMuch
        }
        Some(_) => SmallQuantity::AsOrdinary,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::gate::hazmat::tests::goods;

    #[test]
    fn a_class_is_read_as_people_write_it() {
        assert_eq!(HazardClass::parse(" 2.1 "), Some(HazardClass::C21));
        assert_eq!(HazardClass::parse("1.4S"), Some(HazardClass::C1));
        assert_eq!(HazardClass::parse("易燃液体"), Some(HazardClass::C3));
        for text in ["", "1.7", "2", "10", "3.1", "Three"] {
            assert_eq!(HazardClass::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_load_is_as_dangerous_as_its_worst_part_and_what_is_not_said_is_possible() {
        let methanol = Goods { subsidiary: [HazardClass::C61].into(), ..goods(1230, HazardClass::C3, 20_000.0) };
        let acid = goods(1830, HazardClass::C8, 10_000.0);
        let load = Load::of(&[methanol.clone(), acid.clone()]);
        assert_eq!(load.fire, None, "nothing is said of the fire group of the acid");
        assert!(load.toxic && load.natures.contains(&Nature::Alkali));
        let said = Goods { natures: Some([Nature::Acid].into()), fire_group: Some(FireGroup::E), ..acid };
        let load = Load::of(&[methanol, said]);
        assert_eq!(load.fire, Some(FireGroup::A));
        assert!(!load.natures.contains(&Nature::Alkali) && load.natures.contains(&Nature::Acid));
    }

    #[test]
    fn small_quantities_travel_as_ordinary_goods_within_the_amounts_and_never_beside_explosives() {
        let limited = |kg| Goods { portion: Portion::Limited, packages: 10, ..goods(1263, HazardClass::C3, kg) };
        let excepted = |n| Goods { portion: Portion::Excepted, packages: n, ..goods(1263, HazardClass::C3, 5.0) };
        for (load, want) in [
            (vec![limited(8000.0)], SmallQuantity::AsOrdinary),
            (vec![limited(5000.0), limited(3000.1)], SmallQuantity::TooMuch),
            (vec![excepted(1000)], SmallQuantity::AsOrdinary),
            (vec![excepted(1001)], SmallQuantity::TooMuch),
            (vec![excepted(0)], SmallQuantity::Unknown),
            (vec![limited(10.0), goods(1230, HazardClass::C3, 1.0)], SmallQuantity::No),
            (vec![limited(10.0), goods(331, HazardClass::C1, 1.0)], SmallQuantity::BesideExplosives),
            (vec![Goods { unit: Unit::Litre, ..limited(10.0) }], SmallQuantity::Unknown),
            (vec![], SmallQuantity::No),
        ] {
            assert_eq!(small_quantity(&load), want, "{load:?}");
        }
    }
}
