//! What `gates.toml` says of people: who is asked and for how long (`[desk]`, and of each lane the way back), who may be inside
//! (`[account]`), and what is settled of the register (`[register]`).

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::super::hazmat::{List, words_wanted};
use super::super::problem::{Findings, Spot, Wrong, say};
use super::super::section::Section;
use super::super::site::Codes;
use super::super::value::{Label, Span, Whole};
use super::super::zones::by_word;
use crate::domain::gate::desk::{LaneRule, Patience};
use crate::domain::gate::inside;
use crate::domain::gate::lane::spec::LaneSpec;
use crate::domain::gate::register::permit::PermitKind;
use crate::domain::gate::register::rules::Rules;
use crate::domain::gate::word::{LaneKind, PaperKind, PersonKind, VehicleClass};

/// Vehicles that stand before one lane without reaching the road.
const MAX_ROOM: i64 = 500;
/// Longest that anything of the register is kept after its end: ten years.
const LONGEST_DAYS: u64 = 3660;
const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(86_400);

/// The way back from a lane, and the room before it.
pub(super) struct Back {
    zh: Option<String>,
    en: Option<String>,
    room: Option<u16>,
}

impl Back {
    pub(super) fn read(section: &mut Section<'_>, out: &mut Findings) -> Self {
        let zh = section.read("turn_back", &Label(64), out).map(|got| got.value);
        let en = section.read("turn_back_en", &Label(128), out).map(|got| got.value);
        let room = section.read("room", &Whole(1, MAX_ROOM), out).and_then(|got| u16::try_from(got.value).ok());
        Self { zh, en, room }
    }

    /// Returns what the desk has of the lane. A way back that is not named is the duty room's to show, by word.
    pub(super) fn rule(self, spec: &LaneSpec, spot: Spot, out: &mut Findings) -> LaneRule {
        let (zh, en) = (self.zh, self.en);
        if zh.is_none() && spec.kind == LaneKind::Vehicle {
            let what = say!("没有写被拒绝的车怎样离开", "where a vehicle that is refused turns back is not written");
            let instead = say!(
                "请写 turn_back = \"在岗亭前掉头，由右侧便道驶离\"",
                "write turn_back = \"…\", as the driver is to be told"
            );
            out.warn(spot, Wrong::new(what, instead));
        }
        let turn_back = match (zh, en) {
            (None, None) => LaneRule::default_turn_back(),
            (Some(zh), en) => (zh.clone(), en.unwrap_or(zh)),
            (None, Some(en)) => (LaneRule::default_turn_back().0, en),
        };
        LaneRule { gate: spec.gate.clone(), manned: spec.manned, turn_back, room: self.room }
    }
}

/// `[desk]`: how long each who is asked has before the next one is.
pub(super) fn patience(mut section: Section<'_>, out: &mut Findings) -> Patience {
    let usual = Patience::default();
    let patience = Patience {
        guard: section.or("guard", &Span(SECOND * 10, MINUTE * 10), usual.guard, out),
        enterprise: section.or("enterprise", &Span(SECOND * 30, MINUTE * 60), usual.enterprise, out),
        duty_room: section.or("duty_room", &Span(SECOND * 10, MINUTE * 10), usual.duty_room, out),
        // A rescue vehicle waits for nobody longer than this, however patient the site is.
        rescue: section.or("rescue", &Span(SECOND * 5, SECOND * 15), usual.rescue, out),
    };
    section.finish(&[], out);
    patience
}

/// `[account]`: what is not a matter of a zone.
pub(super) fn account(mut section: Section<'_>, out: &mut Findings) -> inside::Rules {
    let usual = inside::Rules::default();
    let review_at = section.or("review_at", &Whole(1, 100), i64::from(usual.review_at), out);
    let rules = inside::Rules {
        review_at: u32::try_from(review_at).unwrap_or(usual.review_at),
        review_within: section.or("review_within", &Span(DAY, DAY * 366), usual.review_within, out),
        ..usual
    };
    section.finish(&[], out);
    rules
}

/// `[register]`: approvals, papers, validity, how long what is kept.
pub(super) fn register(
    mut section: Section<'_>,
    proved: Option<&BTreeSet<&str>>,
    out: &mut Findings,
) -> (Rules, BTreeSet<String>) {
    let mut rules = Rules::default();
    let kinds = List(PermitKind::from_name, || words_wanted(PermitKind::ALL, PermitKind::zh));
    if let Some(got) = section.read("delegated", &kinds, out) {
        rules.delegated = got.value.into_iter().collect();
        if let Some(kind) =
            rules.delegated.iter().find(|kind| matches!(kind, PermitKind::Hazmat | PermitKind::HazWaste))
        {
            let what = say!("`{kind}` 须由园区审批", "`{kind}` needs the approval of the park");
            let instead = say!("请从 delegated 中去掉", "take it out of `delegated`");
            out.error(got.spot, Wrong::new(what, instead));
        }
    }
    rules.warn_days = days(section.or("warn", &Span(DAY, DAY * 366), DAY * rules.warn_days, out));
    let papers = List(PaperKind::from_name, || words_wanted(PaperKind::ALL, PaperKind::zh));
    let of = section.section("papers", out);
    let places: BTreeMap<VehicleClass, Spot> =
        VehicleClass::ALL.iter().map(|class| (*class, of.spot_of(class.as_str()))).collect();
    let needed = by_word(of, ("车辆类别", "class of vehicles"), VehicleClass::ALL, &papers, out);
    for (class, papers) in &needed {
        check_papers(*class, papers, places.get(class), out);
    }
    rules.papers.extend(needed.into_iter().map(|(class, papers)| (class, papers.into_iter().collect())));
    let of = section.section("longest", out);
    let span = Span(DAY, DAY * 366 * 5);
    let longest = by_word(of, ("预约类别", "kind of permits"), PermitKind::ALL, &span, out);
    rules.longest_days.extend(longest.into_iter().map(|(kind, span)| (kind, days(span))));
    let of = section.section("keep", out);
    let span = Span(DAY, Duration::from_secs(86_400 * LONGEST_DAYS));
    let keep = by_word(of, ("人员类别", "kind of persons"), PersonKind::ALL, &span, out);
    rules.keep_days.extend(keep.into_iter().map(|(kind, span)| (kind, days(span))));
    rules.keep_permits_days = days(section.or("keep_permits", &span, DAY * rules.keep_permits_days, out));
    let issuers = issuers(&mut section, proved, out);
    section.finish(&[], out);
    (rules, issuers)
}

/// What the law names for dangerous goods is looked at, and asked of nobody else.
fn check_papers(class: VehicleClass, papers: &[PaperKind], spot: Option<&Spot>, out: &mut Findings) {
    let Some(spot) = spot else { return };
    if class.is_hazmat() && !papers.contains(&PaperKind::Transport) {
        let what = say!("`{class}` 不查道路运输证", "the transport permit of `{class}` would not be looked at");
        let instead = say!("危险货物运输必查：请加上 \"transport\"", "dangerous goods need it: add \"transport\"");
        out.error(spot.clone(), Wrong::new(what, instead));
    }
    if !class.is_hazmat() && papers.contains(&PaperKind::CarrierLicence) {
        let what = say!("`{class}` 不运危险货物", "`{class}` carries no dangerous goods");
        let instead = say!(
            "carrier_licence 只用于 hazmat、hazwaste：请删去",
            "carrier_licence is for hazmat and hazwaste: remove it"
        );
        out.error(spot.clone(), Wrong::new(what, instead));
    }
}

/// Who may fill the register by signed commands: whoever has no key is never heard.
fn issuers(section: &mut Section<'_>, proved: Option<&BTreeSet<&str>>, out: &mut Findings) -> BTreeSet<String> {
    let Some(got) = section.read("issuers", &Codes, out) else { return BTreeSet::new() };
    for issuer in got.value.iter().filter(|issuer| proved.is_some_and(|proved| !proved.contains(issuer.as_str()))) {
        let what = say!(
            "签发方 `{issuer}` 没有命令密钥，它的名单一概拒收",
            "issuer `{issuer}` has no command key: every list of it is refused"
        );
        let instead = say!(
            "请在 uplink.toml 加一节 [[mqtt.command_key]]，写 issuer = \"{issuer}\"",
            "add a section [[mqtt.command_key]] with issuer = \"{issuer}\" to uplink.toml"
        );
        out.warn(got.spot.clone(), Wrong::new(what, instead));
    }
    got.value.into_iter().collect()
}

/// Whole days of a span; a part of a day counts as one.
fn days(span: Duration) -> u32 {
    u32::try_from(span.as_secs().div_ceil(86_400)).unwrap_or(u32::MAX)
}
