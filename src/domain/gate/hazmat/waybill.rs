//! A dangerous-goods waybill (危险货物运单): one vehicle, one trip, one waybill (rule 33).
//!
//! ```text
//!  DRAFT ─▶ ENTERPRISE_REVIEW ─▶ REGULATOR_VERIFY ─▶ DISPATCHED ─▶ IN_TRANSIT ─▶ COMPLETED
//!    └───────────┴──────────────────┴───────────────────┴──────────────┴───────▶ ABORTED
//! ```
//!
//! A person goes one step at a time. The platform tells how a waybill stands, so what comes from there may be several steps
//! ahead; never one behind.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::goods::{Goods, Load};
use crate::domain::gate::plate::Plate;
use crate::domain::gate::word::{CompanyId, ManifestNo, PersonRef, WaybillNo, words};
use crate::domain::time::Timestamp;

/// Kinds of goods on one waybill; more is a mistake of the file.
pub const MAX_GOODS: usize = 64;
/// Characters of a number of a waybill or manifest.
pub const MAX_NUMBER: usize = 64;

words! {
    /// How a waybill stands.
    WaybillState {
        /// Being written.
        Draft = "draft", "草稿";
        /// The enterprise looks at it.
        EnterpriseReview = "enterprise_review", "企业审核";
        /// The regulator verifies it.
        RegulatorVerify = "regulator_verify", "监管核验";
        /// The carrier was sent.
        Dispatched = "dispatched", "已派车";
        /// Under way.
        InTransit = "in_transit", "运输中";
        /// Delivered.
        Completed = "completed", "已完成";
        /// Given up.
        Aborted = "aborted", "已作废";
    }
}

impl WaybillState {
    /// Returns whether nothing follows it.
    pub fn is_over(self) -> bool {
        matches!(self, Self::Completed | Self::Aborted)
    }

    /// Returns whether the vehicle may come with it.
    pub fn is_ready(self) -> bool {
        matches!(self, Self::Dispatched | Self::InTransit)
    }

    /// Returns the next step of its life.
    pub fn next(self) -> Option<Self> {
        match self {
            Self::Draft => Some(Self::EnterpriseReview),
            Self::EnterpriseReview => Some(Self::RegulatorVerify),
            Self::RegulatorVerify => Some(Self::Dispatched),
            Self::Dispatched => Some(Self::InTransit),
            Self::InTransit => Some(Self::Completed),
            Self::Completed | Self::Aborted => None,
        }
    }

    /// Returns whether a person may take it there.
    pub fn may_step(self, to: Self) -> bool {
        self.next() == Some(to) || (to == Self::Aborted && !self.is_over())
    }

    /// Returns whether the platform may tell that it is there now.
    pub fn may_become(self, to: Self) -> bool {
        self == to || (!self.is_over() && to > self)
    }
}

words! {
    /// What the vehicle comes for: which of its two weighings is the loaded one, and in which area it waits.
    Purpose {
        /// Comes loaded, leaves empty.
        Deliver = "deliver", "送货";
        /// Comes empty, leaves loaded.
        Collect = "collect", "提货";
    }
}

/// A hazardous-waste manifest (危险废物转移联单), which waste needs beside the waybill (rule 32).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WasteManifest {
    /// Its number; it belongs to one waybill for ever.
    pub number: ManifestNo,
    /// Code of the waste in the national list (国家危险废物名录), such as `900-249-08`.
    pub waste_code: String,
}

/// A waybill. Persons stand in it by reference; as others send it, as they name them ([`super::named::Named`]).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Waybill<P = PersonRef> {
    /// Its number: unique for ever.
    pub number: WaybillNo,
    /// How it stands.
    pub state: WaybillState,
    /// What the vehicle comes for.
    pub purpose: Purpose,
    /// Carrier (承运人).
    pub carrier: CompanyId,
    /// Consignor (托运人).
    pub consignor: CompanyId,
    /// Loader (装货人).
    pub loader: CompanyId,
    /// Consignee (收货人).
    pub consignee: CompanyId,
    /// Driver.
    pub driver: P,
    /// Escort; one that is not named has still to be there.
    pub escort: Option<P>,
    /// Plate of the tractor or of the lorry.
    pub tractor: Plate,
    /// Plate of the trailer.
    pub trailer: Option<Plate>,
    /// The goods.
    pub goods: Vec<Goods>,
    /// Whether the goods are hazardous waste.
    #[serde(default)]
    pub waste: bool,
    /// The manifest of the waste.
    #[serde(default)]
    pub manifest: Option<WasteManifest>,
    /// Id of the approved route (rule 37).
    #[serde(default)]
    pub route: Option<String>,
    /// From when it may be on the road.
    #[serde(default)]
    pub not_before: Option<Timestamp>,
    /// Until when it may be on the road.
    #[serde(default)]
    pub not_after: Option<Timestamp>,
}

impl Waybill {
    /// Returns the company in the park that the vehicle goes to: the one whose places are dispatched.
    pub fn host(&self) -> &CompanyId {
        match self.purpose {
            Purpose::Deliver => &self.consignee,
            Purpose::Collect => &self.loader,
        }
    }

    /// Returns the goods taken together.
    pub fn load(&self) -> Load {
        Load::of(&self.goods)
    }

    /// Returns the mass of the goods in kilograms; `None` when that of one of them is not known.
    pub fn kg(&self) -> Option<f64> {
        self.goods.iter().map(Goods::kg).sum()
    }

    /// Returns whether its times allow it on the road at `at`.
    pub fn is_in_time(&self, at: Timestamp) -> bool {
        self.not_before.is_none_or(|from| from <= at) && self.not_after.is_none_or(|until| at <= until)
    }

    /// Returns what is wrong with it as it stands, in Chinese and English.
    pub fn fault(&self) -> Option<(String, String)> {
        let say = |zh: &str, en: &str| Some((zh.to_owned(), en.to_owned()));
        if !is_number(self.number.as_str()) {
            return say("运单号只能有字母、数字和 `-`", "its number may have letters, digits and `-` only");
        }
        if self.goods.is_empty() || self.goods.len() > MAX_GOODS {
            return say("货物应为 1 到 64 种", "it must name 1 to 64 kinds of goods");
        }
        if self.tractor.text.is_empty() {
            return say("没有牵引车号牌", "it has no plate");
        }
        if self.escort.as_ref() == Some(&self.driver) {
            return say("押运员就是驾驶员", "its escort is its driver");
        }
        if self.trailer.as_ref().is_some_and(|trailer| trailer.text == self.tractor.text) {
            return say("挂车号牌就是牵引车号牌", "its trailer has the plate of its tractor");
        }
        if self.manifest.as_ref().is_some_and(|manifest| !is_number(manifest.number.as_str())) {
            return say(
                "联单号只能有字母、数字和 `-`",
                "the number of its manifest may have letters, digits and `-` only",
            );
        }
        if matches!((self.not_before, self.not_after), (Some(from), Some(until)) if until < from) {
            return say("止时早于起时", "its time ends before it begins");
        }
        let wrong = self.goods.iter().find_map(|goods| goods.fault().map(|fault| (goods, fault)));
        wrong.map(|(goods, (zh, en))| (format!("货物 {goods}：{zh}"), format!("goods {goods}: {en}")))
    }
}

/// A number is compared byte by byte, so only one way of writing it may exist.
fn is_number(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'-';
    (1..=MAX_NUMBER).contains(&text.len()) && text.bytes().all(plain)
}

/// Brings a number into the one form that is compared: no spaces, half width, upper case.
pub fn number(text: &str) -> String {
    let half = |c: char| match c {
        '！'..='～' => char::from_u32(u32::from(c) - 0xFEE0).unwrap_or(c),
        other => other,
    };
    text.chars().filter(|c| !c.is_whitespace()).map(half).flat_map(char::to_uppercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::gate::hazmat::tests::waybill;

    #[test]
    fn a_person_goes_one_step_at_a_time_and_nothing_follows_the_end() {
        let all = WaybillState::ALL;
        for (n, from) in all.iter().enumerate() {
            for (m, to) in all.iter().enumerate() {
                let next = m == n + 1 && *to != WaybillState::Aborted;
                let aborts = *to == WaybillState::Aborted && n < 5;
                assert_eq!(from.may_step(*to), next || aborts, "{from} to {to}");
                assert_eq!(from.may_become(*to), n == m || (n < 5 && m > n), "{from} becomes {to}");
            }
        }
    }

    #[test]
    fn what_is_wrong_with_a_waybill_is_said() {
        assert_eq!(waybill("W1", "鲁A12345").fault(), None);
        let wrong = |change: fn(&mut Waybill)| {
            let mut waybill = waybill("W1", "鲁A12345");
            change(&mut waybill);
            waybill.fault().map(|(_, en)| en).unwrap_or_default()
        };
        assert!(wrong(|w| w.number = WaybillNo::new("w 1")).contains("letters, digits"));
        assert!(wrong(|w| w.goods.clear()).contains("1 to 64"));
        assert!(wrong(|w| w.escort = Some(w.driver.clone())).contains("escort is its driver"));
        assert!(wrong(|w| w.goods[0].quantity = f64::NAN).contains("quantity"));
        assert!(wrong(|w| w.trailer = Some(w.tractor.clone())).contains("trailer"));
        assert!(wrong(|w| (w.not_before, w.not_after) = (Some(Timestamp(2)), Some(Timestamp(1)))).contains("ends"));
        assert_eq!(number(" ｗ- 12a\u{3000}"), "W-12A");
    }
}
