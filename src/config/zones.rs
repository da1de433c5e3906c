//! Zones as the account of who is inside has them: class, how many and how long, what a second entry means. Written at the zone
//! itself, in `site.toml`, under `[park]` and each `[[zone]]`.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::time::Duration;

use super::hazmat::{Word, words_wanted};
use super::problem::{Findings, Spot, Words, Wrong, say};
use super::section::{Got, Section};
use super::site::missing;
use super::value::{Choice, Kind, Span, Whole, Yes, show_duration};
use crate::domain::gate::facts::AntiPassback;
use crate::domain::gate::inside::rules::{MAX_DEPTH, ZoneRule};
use crate::domain::gate::word::{VehicleClass, ZoneClass, ZoneId};
use crate::domain::site::book::{PARK, Zone};

/// Zones by their id.
pub type Zones = BTreeMap<ZoneId, ZoneRule>;

/// Persons or vehicles of a class in a zone: more is a mistake of writing.
const MOST: i64 = 100_000;
const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(86_400);
/// Longest stay that can be asked: beyond it nobody counts hours.
const LONGEST_STAY: Duration = Duration::from_secs(366 * 86_400);

/// A zone as it is written, with the place of its class, by which it is judged beside the zone around it.
pub(super) struct Row {
    rule: ZoneRule,
    class: Option<Got<ZoneClass>>,
    spots: Spots,
}

/// Where a zone says what is judged beside those around it: the section's own place where it says nothing.
struct Spots {
    section: Spot,
    persons_max: Spot,
    persons_stay: Spot,
    vehicles_max: Spot,
    vehicles_stay: Spot,
}

/// Returns the zones where no file names any: the park.
pub(super) fn bare() -> Zones {
    [(ZoneId::new(PARK), ZoneRule::of(ZoneClass::General))].into()
}

/// Reads what a zone's section says of the account.
pub(super) fn read(section: &mut Section<'_>, out: &mut Findings) -> Row {
    let class = section.read("class", &Word(ZoneClass::from_name, || words_wanted(ZoneClass::ALL, ZoneClass::zh)), out);
    let usual = ZoneRule::of(class.as_ref().map_or(ZoneClass::General, |got| got.value));
    let anti_passback = section.read("anti_passback", &Choice(&["off", "soft", "hard"]), out);
    let anti_passback = anti_passback.map_or(usual.anti_passback, |got| match got.value {
        "off" => AntiPassback::Off,
        "hard" => AntiPassback::Hard,
        _ => AntiPassback::Soft,
    });
    let spots = Spots {
        section: section.spot(),
        persons_max: section.spot_of("persons_max"),
        persons_stay: section.spot_of("persons_stay"),
        vehicles_max: section.spot_of("vehicles_max"),
        vehicles_stay: section.spot_of("vehicles_stay"),
    };
    let count = |n: i64| u32::try_from(n).unwrap_or(u32::MAX);
    let vehicles = section.section("vehicles_max", out);
    let stays = section.section("vehicles_stay", out);
    let vehicles_max = by_class(vehicles, &Whole(0, MOST), out).into_iter().map(|(class, n)| (class, count(n)));
    let rule = ZoneRule {
        anti_passback,
        training_needed: section.or("training_needed", &Yes, usual.training_needed, out),
        persons_max: section.read("persons_max", &Whole(0, MOST), out).map(|got| count(got.value)),
        vehicles_max: vehicles_max.collect(),
        persons_stay: section.read("persons_stay", &Span(MINUTE, LONGEST_STAY), out).map(|got| got.value),
        vehicles_stay: by_class(stays, &Span(MINUTE, LONGEST_STAY), out),
        overstay_again: section.or("overstay_again", &Span(MINUTE, DAY), usual.overstay_again, out),
        ..usual
    };
    Row { rule, class, spots }
}

/// Puts zones and what was read of them together: both in the same order, those around a zone before it.
pub(super) fn joined(zones: &[Zone], rows: Vec<Row>, out: &mut Findings) -> Zones {
    let mut all = Zones::new();
    for (zone, row) in zones.iter().zip(rows) {
        let parent = zone.parent.and_then(|at| zones.get(at)).map(|parent| ZoneId::new(parent.id.as_str()));
        check(zone, &row, parent.as_ref(), zones, &all, out);
        beyond(zone, &row, parent.as_ref(), &all, out);
        all.insert(ZoneId::new(zone.id.as_str()), ZoneRule { parent, ..row.rule });
    }
    all
}

fn check(zone: &Zone, row: &Row, parent: Option<&ZoneId>, zones: &[Zone], all: &Zones, out: &mut Findings) {
    let spot = row.class.as_ref().map_or(&row.spots.section, |class| &class.spot);
    let around = parent.and_then(|parent| all.get(parent));
    if let (Some(parent), Some(around)) = (parent, around)
        && around.class < row.rule.class
    {
        let (id, class_of, inner) = (&zone.id, around.class, row.rule.class);
        let what = say!(
            "区域 `{id}`（{inner}）比外面的 `{parent}`（{class_of}）管得松",
            "zone `{id}` ({inner}) is controlled less strictly than `{parent}` around it ({class_of})"
        );
        let instead =
            say!("核心在关键之内，关键在一般之内：请改 class", "core lies in key, key in general: change `class`");
        out.warn(spot.clone(), Wrong::new(what, instead));
    }
    let depth = std::iter::successors(Some(zone), |zone| zone.parent.and_then(|at| zones.get(at))).count();
    if depth > MAX_DEPTH {
        let what = say!("区域套了 {depth} 层，超过 {MAX_DEPTH}", "zones {depth} deep are more than {MAX_DEPTH}");
        out.error(spot.clone(), Wrong::new(what, say!("请少套几层", "nest them less deeply")));
    }
}

/// What a zone takes, or for how long, beyond what a zone around it does: whoever is within it is within that one too, which is
/// full, or alarms, first.
fn beyond(zone: &Zone, row: &Row, parent: Option<&ZoneId>, all: &Zones, out: &mut Findings) {
    let id = &zone.id;
    let around: Vec<(&ZoneId, &ZoneRule)> = std::iter::successors(parent, |id| all.get(*id)?.parent.as_ref())
        .filter_map(|id| Some((id, all.get(id)?)))
        .collect();
    let mut say = |spot: &Spot, key: &str, outer: &ZoneId, inner: String, most: String| {
        let what = say!(
            "区域 `{id}` 的 {key} 为 {inner}，而外面的 `{outer}` 只有 {most}",
            "{key} of zone `{id}` is {inner}, and that of `{outer}` around it only {most}"
        );
        let instead: Words =
            say!("里面的不能多于外面的：请改其中一个", "what lies within cannot have more: change one of them");
        out.warn(spot.clone(), Wrong::new(what, instead));
    };
    let (rule, spots) = (&row.rule, &row.spots);
    for (outer, of) in around {
        if let (Some(inner), Some(most)) = (rule.persons_max, of.persons_max)
            && inner > most
        {
            say(&spots.persons_max, "persons_max", outer, inner.to_string(), most.to_string());
        }
        if let (Some(inner), Some(most)) = (rule.persons_stay, of.persons_stay)
            && inner > most
        {
            say(&spots.persons_stay, "persons_stay", outer, show_duration(inner), show_duration(most));
        }
        for (class, inner) in &rule.vehicles_max {
            if let Some(most) = of.vehicles_max.get(class).filter(|most| *most < inner) {
                say(&spots.vehicles_max, &format!("vehicles_max.{class}"), outer, inner.to_string(), most.to_string());
            }
        }
        for (class, inner) in &rule.vehicles_stay {
            if let Some(most) = of.vehicles_stay.get(class).filter(|most| *most < inner) {
                let key = format!("vehicles_stay.{class}");
                say(&spots.vehicles_stay, &key, outer, show_duration(*inner), show_duration(*most));
            }
        }
    }
}

fn by_class<K: Kind>(section: Section<'_>, kind: &K, out: &mut Findings) -> BTreeMap<VehicleClass, K::Out> {
    by_word(section, ("车辆类别", "class of vehicles"), VehicleClass::ALL, kind, out)
}

/// Reads a table whose keys are words of a closed list: `{ hazmat = 20, goods = 50 }`.
pub(super) fn by_word<T: Copy + Ord + Display, K: Kind>(
    section: Section<'_>,
    (zh, en): (&str, &str),
    all: &[T],
    kind: &K,
    out: &mut Findings,
) -> BTreeMap<T, K::Out> {
    let mut found = BTreeMap::new();
    for (name, got) in section.all(kind, out) {
        match all.iter().find(|one| one.to_string() == name) {
            Some(one) => found.extend(got.value.map(|value| (*one, value))),
            None => {
                let words: Vec<String> = all.iter().map(ToString::to_string).collect();
                let named = Got { value: name, spot: got.spot };
                missing(zh, en, &named, words.iter().map(String::as_str), out);
            }
        }
    }
    found
}
