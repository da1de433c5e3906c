//! `hazmat.toml`: dangerous goods: checks, the parking and its bays, what must be apart, dispatch, stay, weights, how
//! positions are judged. No file, the defaults: no parking, no map. The map is read by `hazmat_map.rs`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::hazmat_map;
use super::problem::{Findings, Spot, Words, Wrong, say};
use super::section::{Got, Page, Section};
use super::site::{at_most, missing, once};
use super::value::{Choice, Code, Ids, Kind, Label, Ratio, Span, Whole, Yes, not_allowed};
use crate::domain::audit::Digest;
use crate::domain::daybook::calendar::Date;
use crate::domain::gate::hazmat::apart::{MAX_RULES, Side, Signature, Table};
use crate::domain::gate::hazmat::checks::{CheckItem, MAX_ITEMS};
use crate::domain::gate::hazmat::goods::FireGroup;
use crate::domain::gate::hazmat::lot::{Area, BAYS_WITH_ONE_ENTRANCE, BaySpec, MAX_BAYS, Promises};
use crate::domain::gate::hazmat::rules::Rules;
use crate::domain::gate::hazmat::track::TrackRules;
use crate::domain::gate::hazmat::visit::Tolerance;
use crate::domain::gate::word::{BayId, ZoneId};

/// Percents below are taken for a fraction that was meant: no weighbridge of a gate is that exact.
const LEAST_PERCENT: f64 = 0.2;
const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);
/// Rule 32: the carrier keeps a waybill for 12 months, and so does the park.
const YEAR: Duration = Duration::from_secs(366 * 86_400);

/// A list of words, each read by a function.
pub(super) struct List<T>(pub(super) fn(&str) -> Option<T>, pub(super) fn() -> Words);

impl<T> Kind for List<T> {
    type Out = Vec<T>;

    fn read(&self, value: &DeValue<'_>) -> Result<Vec<T>, Wrong> {
        let wrong = || Wrong::new(say!("不是文字的列表", "not a list of texts"), (self.1)());
        let items = value.as_array().ok_or_else(wrong)?;
        let item = |item: &Spanned<DeValue<'_>>| {
            let text = item.get_ref().as_str().ok_or_else(wrong)?;
            (self.0)(text).ok_or_else(|| not_allowed(text, (self.1)()))
        };
        items.iter().map(item).collect()
    }
}

/// A list of words that must name something: an empty one would mean the opposite of what it looks like.
pub(super) struct Filled<T>(pub(super) List<T>);

impl<T> Kind for Filled<T> {
    type Out = Vec<T>;

    fn read(&self, value: &DeValue<'_>) -> Result<Vec<T>, Wrong> {
        let read = self.0.read(value)?;
        if read.is_empty() {
            Err(Wrong::new(say!("列表是空的", "the list is empty"), (self.0.1)()))
        } else {
            Ok(read)
        }
    }
}

/// One word, read by a function.
pub(super) struct Word<T>(pub(super) fn(&str) -> Option<T>, pub(super) fn() -> Words);

impl<T> Kind for Word<T> {
    type Out = T;

    fn read(&self, value: &DeValue<'_>) -> Result<T, Wrong> {
        let wrong = || Wrong::new(say!("不是文字", "not a text"), (self.1)());
        let text = value.as_str().ok_or_else(wrong)?.trim();
        (self.0)(text).ok_or_else(|| not_allowed(text, (self.1)()))
    }
}

/// Lists words of the domain with their Chinese, for "what to write".
pub(super) fn words_wanted<T: Copy + Display>(all: &[T], zh: fn(T) -> &'static str) -> Words {
    let both = all.iter().map(|one| format!("\"{one}\" {}", zh(*one))).collect::<Vec<_>>().join("、");
    let en = all.iter().map(|one| format!("\"{one}\"")).collect::<Vec<_>>().join(", ");
    say!("请写 {both} 之一", "write one of {en}")
}

/// Reads the file, and where it says which zones are entered by dispatch. `zones` are the ids of `site.toml`; `None` when that file cannot be read.
pub(super) fn read(
    page: &Page<'_>,
    table: &Spanned<DeTable<'_>>,
    zones: Option<&BTreeSet<String>>,
    out: &mut Findings,
) -> (Rules, Spot) {
    let mut root = Section::root(page, table);
    let default = Rules::default();
    let items = checks(&mut root, out).unwrap_or(default.items);
    let (bays, promises) = parking(&mut root, out);
    let table = apart(&mut root, !bays.is_empty(), out);
    let mut section = root.section("dispatch", out);
    let dispatch_zones = dispatch_zones(&mut section, zones, !bays.is_empty(), out);
    let arrive_within = section.or("arrive_within", &Span(MINUTE, DAY), default.arrive_within, out);
    let quota_valid = section.or("places_valid", &Span(MINUTE, DAY * 30), default.quota_valid, out);
    let dispatch = section.spot_of("zones");
    section.finish(&[], out);
    let mut section = root.section("stay", out);
    let stay = section.or("limit", &Span(MINUTE * 10, DAY * 30), default.stay, out);
    let percent = section.or("warn_at", &Whole(1, 99), i64::from(default.stay_warn_percent), out);
    let stay_repeat = section.or("repeat", &Span(MINUTE, DAY), default.stay_repeat, out);
    if arrive_within >= stay {
        late_dispatch(section.spot_of("limit"), out);
    }
    section.finish(&[("hours", say!("请写 limit = \"6h\"", "write limit = \"6h\""))], out);
    let tolerance = tolerance(root.section("weight", out), default.tolerance, out);
    let mut section = root.section("waybill", out);
    let keep = section.or("keep", &Span(YEAR, DAY * 3650), default.keep, out);
    section.finish(&[], out);
    let (convert, map) = hazmat_map::read(&mut root, out);
    let track = TrackRules { convert, ..track(root.section("track", out), out) };
    root.finish(&[("bay", say!("请写 [[row]]：一排泊位一节", "write [[row]]: a section for each row of bays"))], out);
    let rules = Rules {
        items,
        bays,
        table,
        promises,
        dispatch_zones,
        arrive_within,
        quota_valid,
        stay,
        stay_warn_percent: u32::try_from(percent).unwrap_or(default.stay_warn_percent),
        stay_repeat,
        tolerance,
        keep,
        track,
        map,
    };
    (rules, dispatch)
}

fn late_dispatch(spot: Spot, out: &mut Findings) {
    let what = say!("停留限时不长于 [dispatch] arrive_within", "the stay is no longer than [dispatch] arrive_within");
    let instead = say!(
        "调度后还没到就先算滞留：请写更长的 limit，或更短的 arrive_within",
        "a vehicle overstays before it is overdue: write a longer `limit`, or a shorter `arrive_within`"
    );
    out.error(spot, Wrong::new(what, instead));
}

fn tolerance(mut section: Section<'_>, default: Tolerance, out: &mut Findings) -> Tolerance {
    let percent = section.or("percent", &Ratio(0.0, 50.0), default.percent, out);
    let kg = section.or("kg", &Ratio(0.0, 10_000.0), default.kg, out);
    if percent > 0.0 && percent < LEAST_PERCENT {
        let what = say!("percent = {percent} 是百分之 {percent}", "percent = {percent} is {percent} in a hundred");
        let instead = say!("单位是百分数：百分之三写 3，不写 0.03", "the unit is percent: write 3 for 3 %, not 0.03");
        out.error(section.spot_of("percent"), Wrong::new(what, instead));
    }
    if percent <= 0.0 && kg <= 0.0 {
        let what = say!("没有任何允差：每辆车都会被扣下", "nothing may differ: every vehicle would be held");
        let instead = say!("请写地磅的误差，例如 kg = 300", "write the error of the weighbridge, e.g. kg = 300");
        out.error(section.spot_of("kg"), Wrong::new(what, instead));
    }
    section.finish(&[], out);
    Tolerance { percent, kg }
}

fn checks(root: &mut Section<'_>, out: &mut Findings) -> Option<Vec<CheckItem>> {
    let mut seen = BTreeMap::new();
    let sections = root.each("check", out);
    at_most(sections.len(), MAX_ITEMS, "check", &root.spot_of("check"), out);
    let mut items = Vec::new();
    for mut section in sections {
        let id = section.need("id", &Code(32), "\"placards\"", out);
        let zh = section.need("zh", &Label(100), "\"标志灯、标志牌齐全\"", out);
        let en = section.read("en", &Label(200), out);
        section.finish(&[], out);
        once(("检查项", "check"), id.as_ref(), &mut seen, out);
        let (Some(id), Some(zh)) = (id, zh) else { continue };
        let en = en.map_or_else(|| id.value.clone(), |en| en.value);
        items.push(CheckItem { id: id.value, zh: zh.value, en });
    }
    root.has("check").then_some(items)
}

fn area_wanted() -> Words {
    words_wanted(Area::ALL, Area::zh)
}

fn fire_wanted() -> Words {
    words_wanted(FireGroup::ALL, FireGroup::zh)
}

fn parking(root: &mut Section<'_>, out: &mut Findings) -> (Vec<BaySpec>, Promises) {
    let default = Promises::default();
    let mut section = root.section("parking", out);
    let entrances = section.read("entrances", &Whole(1, 20), out);
    let promises = Promises {
        enter_within: section.or("enter_within", &Span(SECOND * 10, HOUR), default.enter_within, out),
        come_within: section.or("come_within", &Span(MINUTE, DAY), default.come_within, out),
    };
    let spot = section.spot_of("entrances");
    section.finish(&[], out);
    if entrances.is_some() && !root.has("row") {
        let what = say!("有出入口而没有泊位", "there are entrances and no bays");
        out.error(
            spot.clone(),
            Wrong::new(what, say!("请写 [[row]]，或删去 entrances", "write [[row]], or remove it")),
        );
    }
    let mut bays: BTreeMap<String, BaySpec> = BTreeMap::new();
    let mut seen = BTreeMap::new();
    for section in root.each("row", out) {
        row(section, &mut bays, &mut seen, out);
    }
    for section in root.each("beside", out) {
        beside(section, &mut bays, &seen, out);
    }
    at_most(bays.len(), MAX_BAYS, "row", &spot, out);
    let count = bays.len();
    if count > BAYS_WITH_ONE_ENTRANCE && entrances.is_none_or(|got| got.value < 2) {
        let what = say!("{count} 个泊位，出入口少于 2 个", "{count} bays and fewer than 2 entrances");
        let max = BAYS_WITH_ONE_ENTRANCE;
        let instead = say!(
            "超过 {max} 个泊位须有至少两个出入口；有则写 entrances = 2",
            "more than {max} bays need at least two; if there are, write entrances = 2"
        );
        out.warn(spot, Wrong::new(what, instead));
    }
    (bays.into_values().collect(), promises)
}

/// A row of bays, each beside the next one.
fn row(
    mut section: Section<'_>,
    bays: &mut BTreeMap<String, BaySpec>,
    seen: &mut BTreeMap<String, Spot>,
    out: &mut Findings,
) {
    let ids = section.need("bays", &Ids, "[\"A1\", \"A2\"]", out);
    if let Some(ids) = ids.as_ref().filter(|ids| ids.value.is_empty()) {
        let what = say!("这一排没有泊位", "there is no bay in this row");
        let instead = say!("请写 bays = [\"A1\"]，或删去此节", "write bays = [\"A1\"], or remove the section");
        out.error(ids.spot.clone(), Wrong::new(what, instead));
    }
    let area = section.need("area", &Word(Area::from_name, area_wanted), "\"loaded\"", out);
    let ordinary = area.as_ref().is_some_and(|area| area.value == Area::Ordinary);
    let kind = Word(FireGroup::from_name, fire_wanted);
    let fire = if ordinary {
        for key in ["fire", "toxic"].into_iter().filter(|key| section.has(key)) {
            let what = say!("普通车区没有 {key}", "ordinary bays have no `{key}`");
            let instead = say!(
                "请删去；停危险货物的泊位写 area = \"loaded\" 或 \"empty\"",
                "remove it; for bays of dangerous goods write area = \"loaded\" or \"empty\""
            );
            out.error(section.spot_of(key), Wrong::new(what, instead));
        }
        section.ignore("fire");
        Some(FireGroup::E)
    } else {
        section.need("fire", &kind, "\"2\"", out).map(|got| got.value)
    };
    let toxic = section.or("toxic", &Yes, false, out);
    section.finish(&[], out);
    let Some(ids) = ids else { return };
    for id in &ids.value {
        let got = Got { value: id.clone(), spot: ids.spot.clone() };
        once(("泊位", "bay"), Some(&got), seen, out);
    }
    let (Some(area), Some(fire)) = (area, fire) else { return };
    for (n, id) in ids.value.iter().enumerate() {
        let next = ids.value.get(n + 1).map(|next| BayId::new(next.as_str()));
        let spec =
            BaySpec { id: BayId::new(id.as_str()), area: area.value, fire, toxic, beside: next.into_iter().collect() };
        bays.insert(id.clone(), spec);
    }
}

/// Bays of different rows that are beside one another.
fn beside(
    mut section: Section<'_>,
    bays: &mut BTreeMap<String, BaySpec>,
    named: &BTreeMap<String, Spot>,
    out: &mut Findings,
) {
    let ids = section.need("bays", &Ids, "[\"A3\", \"B1\"]", out);
    section.finish(&[], out);
    let Some(ids) = ids else { return };
    for id in ids.value.iter().filter(|id| !named.contains_key(*id)) {
        let got = Got { value: id.clone(), spot: ids.spot.clone() };
        missing("泊位", "bay", &got, named.keys().map(String::as_str), out);
    }
    let twice = ids.value.iter().enumerate().find(|(n, id)| ids.value.iter().take(*n).any(|other| other == *id));
    if let Some((_, id)) = twice {
        let what = say!("泊位 `{id}` 与自己相邻", "bay `{id}` would be beside itself");
        let instead = say!("请写相邻的两个泊位", "write the two bays that are beside one another");
        out.error(ids.spot, Wrong::new(what, instead));
        return;
    }
    if ids.value.len() < 2 {
        let what = say!("少于两个泊位", "fewer than two bays");
        out.error(ids.spot, Wrong::new(what, say!("请写相邻的两个", "write the two that are beside one another")));
        return;
    }
    for (n, id) in ids.value.iter().enumerate() {
        let others = ids.value.iter().enumerate().filter(|(m, _)| *m != n).map(|(_, id)| BayId::new(id.as_str()));
        if let Some(bay) = bays.get_mut(id) {
            bay.beside.extend(others);
        }
    }
}

fn side_wanted() -> Words {
    say!(
        "请写类别 \"3\"、\"5.1\"，或 \"acid\" 酸、\"alkali\" 碱、\"watery\" 含水、\"cyanide\" 氰化物、\"sulphide\" 硫化物，或 \"*\" 全部",
        "write classes \"3\", \"5.1\", or \"acid\", \"alkali\", \"watery\", \"cyanide\", \"sulphide\", or \"*\" for all"
    )
}

fn apart(root: &mut Section<'_>, parking: bool, out: &mut Findings) -> Table {
    let kind = Filled(List(Side::parse, side_wanted));
    let (mut rules, before) = (Vec::new(), out.errors());
    for mut section in root.each("apart", out) {
        let these = section.need("these", &kind, "[\"5.1\", \"5.2\"]", out);
        let those = section.need("those", &kind, "[\"3\", \"4.1\"]", out);
        section.finish(&[], out);
        let (Some(these), Some(those)) = (these, those) else { continue };
        rules.extend(these.value.iter().flat_map(|one| those.value.iter().map(|other| (*one, *other))));
    }
    at_most(rules.len(), MAX_RULES, "apart", &root.spot_of("apart"), out);
    if !root.has("apart") {
        rules = Table::default_rules();
    }
    let bare = Table::new(rules.iter().copied(), None);
    // Of a table with mistakes in it nobody can say whether it is the signed one.
    let whole = out.errors() == before;
    let signed = signature(root.section("signature", out), bare.digest(), whole, out);
    if parking && whole && !root.has("signature") {
        unsigned(bare.digest(), root.spot_of("apart"), out);
    }
    Table::new(rules, signed)
}

/// A digest.
struct Sha;

impl Kind for Sha {
    type Out = Digest;

    fn read(&self, value: &DeValue<'_>) -> Result<Digest, Wrong> {
        let wanted = || say!("请写 64 位十六进制数", "write 64 hexadecimal digits");
        let text = value.as_str().unwrap_or_default().trim();
        Digest::parse(text).ok_or_else(|| not_allowed(text, wanted()))
    }
}

/// Nobody refuses or admits by a table that the site has not signed: somebody must look at each.
fn unsigned(own: Digest, spot: Spot, out: &mut Findings) {
    let what = say!(
        "禁忌表没有签署：相邻泊位是否相容算未知，危险货物进场都要门岗确认",
        "the table of what must be apart is not signed: whether neighbours agree is not known, and the guard confirms each vehicle"
    );
    let instead = say!(
        "请核对后加一节 [signature]，写 by、on 和 digest = \"{own}\"",
        "look at it, then add a section [signature] with by, on and digest = \"{own}\""
    );
    out.warn(spot, Wrong::new(what, instead));
}

fn date(text: &str) -> Option<String> {
    Date::parse(text).map(|date| date.to_string())
}

fn date_wanted() -> Words {
    say!("请写日期 \"2026-12-01\"", "write a date \"2026-12-01\"")
}

/// A signature is of one table: another table than the signed one is an error, so that nobody believes it to be armed.
fn signature(mut section: Section<'_>, own: Digest, whole: bool, out: &mut Findings) -> Option<Signature> {
    if !section.is_present() {
        section.finish(&[], out);
        return None;
    }
    let by = section.need("by", &Label(64), "\"李四\"", out);
    let on = section.need("on", &Word(date, date_wanted), "\"2026-12-01\"", out);
    let example = if whole { own.to_string() } else { "…".to_owned() };
    let digest = section.need("digest", &Sha, &format!("\"{example}\""), out);
    section.finish(&[], out);
    let (by, on, digest) = (by?, on?, digest?);
    if !whole {
        return None;
    }
    if digest.value != own {
        let what = say!("签署的不是现在这张禁忌表", "what was signed is another table than this one");
        let instead = say!(
            "请核对 [[apart]] 后重新签署：digest = \"{own}\"；或删去 [signature]",
            "look at [[apart]] and sign again: digest = \"{own}\"; or remove [signature]"
        );
        out.error(digest.spot, Wrong::new(what, instead));
        return None;
    }
    Some(Signature { by: by.value, on: on.value, digest: own })
}

fn dispatch_zones(
    section: &mut Section<'_>,
    zones: Option<&BTreeSet<String>>,
    parking: bool,
    out: &mut Findings,
) -> BTreeSet<ZoneId> {
    let Some(got) = section.read("zones", &Ids, out) else { return BTreeSet::new() };
    for name in &got.value {
        if let Some(zones) = zones.filter(|zones| !zones.contains(name)) {
            let got = Got { value: name.clone(), spot: got.spot.clone() };
            missing("区域", "zone", &got, zones.iter().map(String::as_str), out);
        }
    }
    if !parking && !got.value.is_empty() {
        let what = say!("有须调度进入的区域，没有停车场", "there are zones of dispatch, and no parking");
        let instead = say!(
            "先停车后调度：请写 [[row]]，或删去 zones",
            "parking comes first and dispatch second: write [[row]], or remove `zones`"
        );
        out.error(got.spot.clone(), Wrong::new(what, instead));
    }
    got.value.iter().map(|name| ZoneId::new(name.as_str())).collect()
}

fn track(mut section: Section<'_>, out: &mut Findings) -> TrackRules {
    let default = TrackRules::default();
    let points = section.or("points", &Whole(2, 20), i64::from(default.points), out);
    let rules = TrackRules {
        convert: default.convert,
        points: u32::try_from(points).unwrap_or(default.points),
        hold: section.or("hold", &Span(SECOND * 5, MINUTE * 10), default.hold, out),
        margin_m: section.or("margin", &Ratio(0.0, 200.0), default.margin_m, out),
        speed_margin_kmh: section.or("speed_margin", &Ratio(0.0, 20.0), default.speed_margin_kmh, out),
        stop_after: section.or("stop_after", &Span(SECOND * 30, DAY), default.stop_after, out),
        lost_after: section.or("lost_after", &Span(SECOND * 30, DAY), default.lost_after, out),
        plausible_kmh: section.or("plausible_kmh", &Ratio(80.0, 300.0), default.plausible_kmh, out),
    };
    section.finish(&[], out);
    rules
}

/// `true` and `false` under names that say what they mean.
pub(super) const CONVERSION: Choice = Choice(&["refuse", "convert"]);

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::section::parse;

    fn walk(text: &str) -> (Rules, Vec<String>) {
        let page = Page::new(Path::new("hazmat.toml"), text);
        let mut out = Findings::default();
        let table = parse(&page, text, &mut out).unwrap();
        let zones = ["park".to_owned(), "works".to_owned()].into();
        let (rules, _) = read(&page, &table, Some(&zones), &mut out);
        let shown = |p: super::super::problem::Problem| format!("{}: {}; {}", p.at, p.what.en, p.instead.en);
        (rules, out.sorted(&[]).into_iter().map(shown).collect())
    }

    #[test]
    fn an_empty_file_is_the_defaults() {
        assert_eq!(walk(""), (Rules::default(), vec![]));
    }

    #[test]
    fn the_shipped_file_shows_the_defaults() {
        let (rules, problems) = walk(include_str!("../../config/hazmat.toml"));
        assert_eq!(problems, [""; 0]);
        assert_eq!(rules, Rules::default());
    }

    #[test]
    fn rows_make_bays_that_are_beside_one_another_and_the_table_is_armed_by_its_signature() {
        let rows = "[[row]]\nbays = [\"A1\", \"A2\"]\narea = \"loaded\"\nfire = \"2\"\n[[row]]\nbays = [\"O1\"]\narea = \"普通车区\"\n\
                    [[beside]]\nbays = [\"A2\", \"O1\"]\n[dispatch]\nzones = [\"works\"]\n\
                    [[apart]]\nthese = [\"5.1\"]\nthose = [\"3\", \"酸\"]\n";
        let (rules, problems) = walk(rows);
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert!(problems[0].contains("the table of what must be apart is not signed"), "{problems:?}");
        let names = |bay: &BaySpec| (bay.id.to_string(), bay.beside.iter().map(BayId::to_string).collect::<Vec<_>>());
        let bays: Vec<_> = rules.bays.iter().map(names).collect();
        assert_eq!(
            bays,
            [("A1".into(), vec!["A2".into()]), ("A2".into(), vec!["O1".into()]), ("O1".into(), vec!["A2".into()])]
        );
        assert!(!rules.table.is_armed());
        let digest = rules.table.digest();
        let signed = format!("{rows}[signature]\nby = \"李四\"\non = \"2026-12-01\"\ndigest = \"{digest}\"\n");
        let (rules, problems) = walk(&signed);
        assert!(rules.table.is_armed() && problems.is_empty(), "{problems:?}");
        let (rules, problems) = walk(&signed.replace("\"3\", ", ""));
        assert!(!rules.table.is_armed());
        assert!(problems[0].contains("what was signed is another table"), "{problems:?}");
    }

    #[test]
    fn more_than_thirty_bays_ask_for_two_entrances() {
        let ids = (0..31).map(|n| format!("\"B{n}\"")).collect::<Vec<_>>().join(", ");
        let row = format!("[[row]]\nbays = [{ids}]\narea = \"empty\"\nfire = \"6\"\n");
        assert!(walk(&row).1.iter().any(|one| one.contains("31 bays and fewer than 2 entrances")));
        let told = walk(&format!("{row}[parking]\nentrances = 2\n")).1;
        assert!(!told.iter().any(|one| one.contains("entrances")), "{told:?}");
    }
}
