//! The map of `hazmat.toml`: routes, yards, restrictions. Coordinates are pairs as in GeoJSON, longitude first; the datum of
//! the map is written, never guessed.

use std::collections::{BTreeMap, BTreeSet};

use toml::Spanned;
use toml::de::DeValue;

use super::hazmat::{CONVERSION, Filled, List, Word, words_wanted};
use super::problem::{Findings, Spot, Words, Wrong, say};
use super::section::{Got, Section};
use super::site::{at_most, once};
use super::value::{Code, Kind, Ratio, Yes, not_allowed};
use crate::domain::daybook::calendar::{Date, Minute};
use crate::domain::gate::hardware::Datum;
use crate::domain::gate::hazmat::geo::{Coordinates, Shape};
use crate::domain::gate::hazmat::goods::HazardClass;
use crate::domain::gate::hazmat::map::{
    Leg, MAX_POINTS, MAX_SHAPES, Map, Restriction, RestrictionKind, RoadKind, Route, Window, Yard,
};

const WEEKDAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
/// Width of a route in metres where none is written: two lanes and their shoulders.
const ROUTE_M: f64 = 20.0;
/// Widest corridor, in metres.
const MAX_WIDTH_M: f64 = 500.0;
/// Points of one park's map are no further apart than this, in degrees (some 100 km): beyond it a digit was mistaken.
const MAX_DEGREES: f64 = 1.0;

/// A line or an outline.
struct Points(usize);

impl Kind for Points {
    type Out = Vec<Coordinates>;

    fn read(&self, value: &DeValue<'_>) -> Result<Vec<Coordinates>, Wrong> {
        let least = self.0;
        let wanted = || {
            say!(
                "请写 {least} 到 {MAX_POINTS} 个点，先经度后纬度：[[118.0531, 36.8012], [118.0544, 36.8013], …]",
                "write {least} to {MAX_POINTS} points, longitude first: [[118.0531, 36.8012], [118.0544, 36.8013], …]"
            )
        };
        let wrong = || Wrong::new(say!("不是点的列表", "not a list of points"), wanted());
        let items = value.as_array().filter(|items| (least..=MAX_POINTS).contains(&items.len())).ok_or_else(wrong)?;
        let point = |item: &Spanned<DeValue<'_>>| {
            let pair = item.get_ref().as_array().filter(|pair| pair.len() == 2).ok_or_else(wrong)?;
            let mut numbers = pair.iter().map(|n| number(n.get_ref()));
            let (Some(Some(lon)), Some(Some(lat))) = (numbers.next(), numbers.next()) else { return Err(wrong()) };
            // Every longitude of China is above 73, every latitude below 54: a pair the other way round is seen.
            if lat > 73.0 && (3.0..54.0).contains(&lon) {
                return Err(Wrong::new(say!("纬度写在了前面", "latitude stands first"), wanted()));
            }
            Coordinates::new(lat, lon).ok_or_else(wrong)
        };
        let points: Vec<Coordinates> = items.iter().map(point).collect::<Result<_, _>>()?;
        if let Some(first) = points.first()
            && let Some(n) = points.iter().position(|point| far(*first, *point))
        {
            let n = n + 1;
            let what =
                say!("第 {n} 点离第 1 点一度（约 100 公里）以上", "point {n} is more than a degree from point 1");
            return Err(Wrong::new(what, say!("请改正此点的数字", "correct the digits of that point")));
        }
        if points.windows(2).any(|two| two.first() == two.last()) {
            let what = say!("相邻两点相同", "two points in a row are the same");
            return Err(Wrong::new(
                what,
                say!("请删去其中一点；场区首尾不必重复", "remove one of them; an outline closes by itself"),
            ));
        }
        Ok(points)
    }
}

fn far(one: Coordinates, other: Coordinates) -> bool {
    (one.lat - other.lat).abs() > MAX_DEGREES || (one.lon - other.lon).abs() > MAX_DEGREES
}

fn number(value: &DeValue<'_>) -> Option<f64> {
    let text = value.as_float().map(|n| n.as_str().to_owned()).or_else(|| value.as_integer().map(ToString::to_string));
    text.and_then(|text| text.parse().ok())
}

/// One limit for a whole route, or one for each leg; in km/h.
struct Limits;

impl Kind for Limits {
    type Out = Vec<f64>;

    fn read(&self, value: &DeValue<'_>) -> Result<Vec<f64>, Wrong> {
        let wanted = || {
            say!(
                "请写 5 到 120 的数，或每段一个：kmh = [30, 15]",
                "write a number 5..=120, or one for each leg: kmh = [30, 15]"
            )
        };
        let one = |value: &DeValue<'_>| number(value).filter(|kmh| (5.0..=120.0).contains(kmh));
        let read = match value.as_array() {
            Some(items) => items.iter().map(|item| one(item.get_ref())).collect(),
            None => one(value).map(|kmh| vec![kmh]),
        };
        read.ok_or_else(|| Wrong::new(say!("不是限速", "no limit of speed"), wanted()))
    }
}

fn datum_wanted() -> Words {
    say!(
        "请写 \"wgs84\"（卫星坐标）、\"cgcs2000\"、\"gcj02\"（国内地图）或 \"bd09\"（百度地图）",
        "write \"wgs84\" (satellites), \"cgcs2000\", \"gcj02\" (maps of China) or \"bd09\" (Baidu)"
    )
}

fn road_wanted() -> Words {
    words_wanted(RoadKind::ALL, RoadKind::zh)
}

fn restriction_wanted() -> Words {
    words_wanted(RestrictionKind::ALL, RestrictionKind::zh)
}

fn class_wanted() -> Words {
    say!("请写类别，例如 [\"2.1\", \"3\"]", "write classes, e.g. [\"2.1\", \"3\"]")
}

/// Returns whether positions of another datum are converted, and the map.
pub(super) fn read(root: &mut Section<'_>, out: &mut Findings) -> (bool, Map) {
    let mut section = root.section("map", out);
    let datum = section.read("datum", &Word(Datum::from_name, datum_wanted), out);
    let other = section.or("other_datum", &CONVERSION, "refuse", out);
    let written = section.has("datum");
    let spot = section.spot();
    section.finish(&[], out);
    let shapes = ["route", "yard", "restriction"];
    let first = shapes.into_iter().find(|key| root.has(key));
    if let Some(key) = first.filter(|_| !written) {
        let what = say!("没有写坐标系", "the datum is not written");
        let instead = say!(
            "请加一节 [map]，写 datum = \"gcj02\" 或实际的坐标系",
            "add a section [map] with datum = \"gcj02\", or whichever it is"
        );
        let spot = if root.has("map") { spot } else { root.spot_of(key) };
        out.error(spot, Wrong::new(what, instead));
    }
    // A wrong word was told already; the shapes are checked all the same.
    let datum = datum.map_or(Datum::Wgs84, |got| got.value);
    let mut seen = BTreeMap::new();
    let routes = sections(root, "route", out).into_iter().filter_map(|one| route(one, datum, &mut seen, out)).collect();
    let mut seen = BTreeMap::new();
    let yards = sections(root, "yard", out).into_iter().filter_map(|one| yard(one, datum, &mut seen, out)).collect();
    let mut seen = BTreeMap::new();
    let restrictions = sections(root, "restriction", out)
        .into_iter()
        .filter_map(|one| restriction(one, datum, &mut seen, out))
        .collect();
    (other == "convert", Map { routes, yards, restrictions })
}

fn sections<'a>(root: &mut Section<'a>, key: &'static str, out: &mut Findings) -> Vec<Section<'a>> {
    let sections = root.each(key, out);
    at_most(sections.len(), MAX_SHAPES, key, &root.spot_of(key), out);
    sections
}

fn route(
    mut section: Section<'_>,
    datum: Datum,
    seen: &mut BTreeMap<String, Spot>,
    out: &mut Findings,
) -> Option<Route> {
    let id = section.need("id", &Code(64), "\"hazmat-road\"", out);
    let line = section.need("line", &Points(2), "[[118.0531, 36.8012], [118.0544, 36.8013]]", out);
    let width = section.or("width", &Ratio(2.0, MAX_WIDTH_M), ROUTE_M, out);
    let road = section.or("road", &Word(RoadKind::from_name, road_wanted), RoadKind::Park, out);
    let limits = section.read("kmh", &Limits, out);
    let common = section.or("common", &Yes, false, out);
    section.finish(&[], out);
    once(("路线", "route"), id.as_ref(), seen, out);
    let (id, line) = (id?, line?);
    let legs = line.value.len() - 1;
    if let Some(got) = limits.as_ref().filter(|got| got.value.len() != 1 && got.value.len() != legs) {
        let count = got.value.len();
        let what = say!("{count} 个限速，{legs} 段", "{count} limits for {legs} legs");
        let instead = say!("请写一个，或每段一个", "write one, or one for each leg");
        out.error(got.spot.clone(), Wrong::new(what, instead));
    }
    let limit = |n: usize| limits.as_ref().and_then(|got| got.value.get(n).or(got.value.first())).copied();
    let legs = (0..legs).map(|n| Leg { road, posted_kmh: limit(n) }).collect();
    Some(Route { id: id.value, datum, line: line.value, half_width_m: width / 2.0, legs, common })
}

fn yard(mut section: Section<'_>, datum: Datum, seen: &mut BTreeMap<String, Spot>, out: &mut Findings) -> Option<Yard> {
    let id = section.need("id", &Code(64), "\"parking\"", out);
    let outline = section.need("outline", &Points(3), "[[118.05, 36.80], [118.06, 36.80], [118.06, 36.81]]", out);
    let kmh = section.or("kmh", &Ratio(5.0, 60.0), RoadKind::Gate.kmh(), out);
    section.finish(&[], out);
    once(("场区", "yard"), id.as_ref(), seen, out);
    Some(Yard { id: id?.value, datum, shape: Shape::Area { outline: outline?.value }, kmh })
}

fn restriction(
    mut section: Section<'_>,
    datum: Datum,
    seen: &mut BTreeMap<String, Spot>,
    out: &mut Findings,
) -> Option<Restriction> {
    let id = section.need("id", &Code(64), "\"north-bridge\"", out);
    let kind = section.need("kind", &Word(RestrictionKind::from_name, restriction_wanted), "\"bridge\"", out);
    let shape = shape(&mut section, out);
    let classes = section.read("classes", &Filled(List(HazardClass::parse, class_wanted)), out);
    let windows = windows(&mut section, out);
    section.finish(&[], out);
    once(("限行", "restriction"), id.as_ref(), seen, out);
    let classes = classes.map(|got| got.value.into_iter().collect()).unwrap_or_default();
    Some(Restriction { id: id?.value, kind: kind?.value, datum, shape: shape?, classes, windows })
}

/// An outline, or a line with its width.
fn shape(section: &mut Section<'_>, out: &mut Findings) -> Option<Shape> {
    let both = section.has("line") == section.has("outline");
    let line = section.read("line", &Points(2), out);
    let outline = section.read("outline", &Points(3), out);
    let width = section.read("width", &Ratio(2.0, MAX_WIDTH_M), out);
    if let Some(width) = width.as_ref().filter(|_| section.has("outline") && !both) {
        let what = say!("区域没有 width", "an area has no `width`");
        out.error(width.spot.clone(), Wrong::new(what, say!("请删去，或写 line", "remove it, or write `line`")));
    }
    if both {
        let what = say!("须写 line 或 outline 之一", "either `line` or `outline` is needed");
        let instead = say!(
            "桥、隧道写 line 和 width（米），区域写 outline",
            "for bridges and tunnels write `line` and `width` (metres), for areas `outline`"
        );
        out.error(section.spot(), Wrong::new(what, instead));
        return None;
    }
    let half_width_m = width.map_or(ROUTE_M, |got| got.value) / 2.0;
    let corridor = line.map(|line| Shape::Corridor { line: line.value, half_width_m });
    corridor.or_else(|| outline.map(|outline| Shape::Area { outline: outline.value }))
}

fn hours(text: &str) -> Option<(u16, u16)> {
    let (from, until) = text.split_once('-')?;
    let until = until.trim();
    let end = if until == "24:00" { Some(1440) } else { Minute::parse(until).map(Minute::minutes) };
    // Until midnight is until the end of the day.
    let end = end.map(|end| if end == 0 { 1440 } else { end });
    Minute::parse(from.trim()).map(Minute::minutes).zip(end)
}

fn hours_wanted() -> Words {
    say!("请写 [\"22:00-06:00\"]，可跨零点", "write [\"22:00-06:00\"]; they may cross midnight")
}

fn weekday(text: &str) -> Option<u8> {
    (0_u8..).zip(WEEKDAYS).find(|(_, name)| *name == text).map(|(day, _)| day)
}

fn days_wanted() -> Words {
    say!("请写 \"mon\" 到 \"sun\"", "write \"mon\" to \"sun\"")
}

fn date(text: &str) -> Option<i32> {
    Date::parse(text).map(|date| date.0)
}

fn dates_wanted() -> Words {
    say!("请写日期，例如 [\"2026-10-01\"]", "write dates, e.g. [\"2026-10-01\"]")
}

/// Hours, each on the same days. Days without hours are whole days.
fn windows(section: &mut Section<'_>, out: &mut Findings) -> Vec<Window> {
    let hours = section.read("hours", &Filled(List(hours, hours_wanted)), out);
    let days: Option<Got<Vec<u8>>> = section.read("days", &Filled(List(weekday, days_wanted)), out);
    let dates: Option<Got<Vec<i32>>> = section.read("dates", &Filled(List(date, dates_wanted)), out);
    if let Some(got) = hours.as_ref().filter(|got| got.value.iter().any(|(from, until)| from == until)) {
        let wrong = not_allowed("00:00-00:00", hours_wanted());
        let what = say!("起止相同", "they end when they begin");
        out.error(got.spot.clone(), Wrong::new(what, wrong.instead));
    }
    let weekdays: BTreeSet<u8> = days.map(|got| got.value.into_iter().collect()).unwrap_or_default();
    let dates: BTreeSet<i32> = dates.map(|got| got.value.into_iter().collect()).unwrap_or_default();
    let whole = !weekdays.is_empty() || !dates.is_empty();
    let hours = hours.map_or_else(|| if whole { vec![(0, 1440)] } else { Vec::new() }, |got| got.value);
    let window = |(from, until)| Window { from, until, weekdays: weekdays.clone(), dates: dates.clone() };
    hours.into_iter().map(window).collect()
}
