//! What must not stand beside what (禁忌, rule 50). The table is data of the site.
//!
//! The shipped table is a cautious default from general knowledge, not from a standard (GB 15603, JT/T 617.6 and T/CPCIF 0050
//! are to be consulted). So no table is *armed* before somebody of the site has signed it: name, date, and the digest of what
//! he signed. An unsigned table guides where vehicles are sent, but whether neighbours agree then counts as not known.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::goods::{HazardClass, Load, Nature};
use crate::domain::audit::Digest;

/// Rules of a table.
pub const MAX_RULES: usize = 500;

/// One side of a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// Goods of this class or with this subsidiary hazard.
    Class(HazardClass),
    /// Goods that are or may be this.
    Nature(Nature),
    /// Every load.
    Any,
}

impl Side {
    /// Reads `5.1`, `acid`, 酸, or `*`.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let class = || HazardClass::parse(text).map(Self::Class);
        let nature = || Nature::from_name(text).map(Self::Nature);
        if text == "*" { Some(Self::Any) } else { class().or_else(nature) }
    }

    fn holds(self, load: &Load) -> bool {
        match self {
            Self::Class(class) => load.classes.contains(&class),
            Self::Nature(nature) => load.natures.contains(&nature),
            Self::Any => true,
        }
    }
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Class(class) => f.write_str(class.as_str()),
            Self::Nature(nature) => f.write_str(nature.as_str()),
            Self::Any => f.write_str("*"),
        }
    }
}

/// Who signed which table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signature {
    /// Name of who answers for it.
    pub by: String,
    /// Date, as written.
    pub on: String,
    /// Digest of the table that he signed.
    pub digest: Digest,
}

/// The table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Table {
    rules: BTreeSet<(Side, Side)>,
    signed: Option<Signature>,
}

/// What the table says of two loads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Beside {
    /// They may stand beside one another.
    May,
    /// They may not.
    MayNot,
    /// One of the loads is not known.
    Unknown,
}

impl Table {
    /// Makes a table; a rule holds both ways.
    pub fn new(rules: impl IntoIterator<Item = (Side, Side)>, signed: Option<Signature>) -> Self {
        Self { rules: rules.into_iter().map(|(a, b)| (a.min(b), a.max(b))).collect(), signed }
    }

    /// Returns the shipped rules (rule 50).
    pub fn default_rules() -> Vec<(Side, Side)> {
        use HazardClass::{C3, C8, C21, C23, C41, C42, C43, C51, C52, C61};
        let class = Side::Class;
        let nature = Side::Nature;
        let mut rules = Vec::new();
        for oxidizer in [C51, C52] {
            rules.extend([C21, C3, C41, C42, C43].map(|fuel| (class(oxidizer), class(fuel))));
        }
        rules.push((class(C43), nature(Nature::Watery)));
        rules.push((nature(Nature::Acid), nature(Nature::Alkali)));
        rules.push((nature(Nature::Acid), nature(Nature::Cyanide)));
        rules.push((nature(Nature::Acid), nature(Nature::Sulphide)));
        rules.push((class(C23), Side::Any));
        // Without natures declared, corrosives stay away from toxic substances and from what reacts with water.
        rules.push((class(C8), class(C61)));
        rules.push((class(C8), class(C43)));
        rules
    }

    /// Returns the rules.
    pub fn rules(&self) -> &BTreeSet<(Side, Side)> {
        &self.rules
    }

    /// Returns the digest that a signature must name: of one rule a line, in order.
    pub fn digest(&self) -> Digest {
        let lines: String = self.rules.iter().map(|(a, b)| format!("{a}|{b}\n")).collect();
        Digest::of(lines.as_bytes())
    }

    /// Returns the signature, whether or not it is of this table.
    pub fn signature(&self) -> Option<&Signature> {
        self.signed.as_ref()
    }

    /// Returns whether somebody signed exactly this table.
    pub fn is_armed(&self) -> bool {
        self.signed.as_ref().is_some_and(|signed| signed.digest == self.digest())
    }

    /// Returns whether two loads may stand beside one another; `None` is a load of which nothing is known.
    pub fn beside(&self, one: Option<&Load>, other: Option<&Load>) -> Beside {
        let (Some(one), Some(other)) = (one, other) else { return Beside::Unknown };
        let apart = |(a, b): &(Side, Side)| (a.holds(one) && b.holds(other)) || (b.holds(one) && a.holds(other));
        if self.rules.iter().any(apart) { Beside::MayNot } else { Beside::May }
    }
}

impl Default for Table {
    fn default() -> Self {
        Self::new(Self::default_rules(), None)
    }
}

#[cfg(test)]
mod tests {
    use super::super::goods::Goods;
    use super::*;
    use crate::domain::gate::hazmat::tests::goods;

    fn load(class: HazardClass) -> Load {
        Load::of(&[goods(1, class, 1.0)])
    }

    #[test]
    fn the_default_keeps_apart_what_general_knowledge_keeps_apart() {
        use HazardClass::{C3, C8, C9, C21, C22, C23, C43, C51, C61};
        let table = Table::default();
        let apart = |a, b| table.beside(Some(&load(a)), Some(&load(b))) == Beside::MayNot;
        for (a, b) in [(C51, C3), (C3, C51), (C51, C21), (C43, C8), (C23, C9), (C8, C61), (C8, C8), (C23, C23)] {
            assert!(apart(a, b), "{a} and {b}");
        }
        for (a, b) in [(C3, C3), (C3, C21), (C22, C51), (C9, C8)] {
            assert!(!apart(a, b), "{a} and {b}");
        }
        assert_eq!(table.beside(None, Some(&load(C9))), Beside::Unknown, "what is not known is not harmless");
        let acid = Load::of(&[Goods { natures: Some([Nature::Acid].into()), ..goods(1830, C8, 1.0) }]);
        let lye = Load::of(&[Goods { natures: Some([Nature::Alkali].into()), ..goods(1824, C8, 1.0) }]);
        assert_eq!(table.beside(Some(&acid), Some(&acid)), Beside::May, "two acids that say that they are");
        assert_eq!(table.beside(Some(&acid), Some(&lye)), Beside::MayNot);
    }

    #[test]
    fn a_table_is_armed_by_a_signature_of_exactly_this_table() {
        let bare = Table::default();
        assert!(!bare.is_armed());
        let signature = |digest| Some(Signature { by: "李四".into(), on: "2026-11-01".into(), digest });
        let signed = Table::new(Table::default_rules(), signature(bare.digest()));
        assert!(signed.is_armed());
        let turned =
            Table::new(Table::default_rules().into_iter().map(|(a, b)| (b, a)).rev(), signature(bare.digest()));
        assert!(turned.is_armed(), "the order in which it is written is no matter");
        let less = Table::new(Table::default_rules().into_iter().skip(1), signature(bare.digest()));
        assert!(!less.is_armed(), "one rule less is another table");
    }
}
