//! `site.toml`, continued: fire linkage, keys, wind, rules, the city, and what people may do.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::problem::{Findings, Spot, Words, Wrong, say};
use super::section::{Got, Section};
use super::site::{Around, Codes, MAX_ZONES, at_most, missing, once, zone_of};
use super::value::{Choice, Code, Label, Pair, Ratio, Span, Whole, Yes};
use crate::domain::actor::Role;
use crate::domain::registry::{Commissioning, PointSpec};
use crate::domain::site::State;
use crate::domain::site::book::{FireInput, Hands, Key, Line, Rule, SiteBook, WindStation};

/// A contact that is read more slowly than this is a slow alarm (`domain.md`, rule 106: gate inputs at most 1 s).
const SLOW_CONTACT: Duration = Duration::from_secs(1);
const SECOND: Duration = Duration::from_secs(1);
const EMERGENCIES: [&str; 3] = ["lockdown_in", "shelter", "evacuate"];

/// Reads these parts of the file into the book.
pub(super) fn read(root: &mut Section<'_>, book: &mut SiteBook, around: &Around<'_>, out: &mut Findings) {
    book.wind = wind(root, around, out);
    let mut seen = BTreeMap::new();
    let sections = root.each("fire", out);
    at_most(sections.len(), MAX_ZONES, "fire", &root.spot(), out);
    book.fire = sections.into_iter().filter_map(|section| fire(section, book, around, &mut seen, out)).collect();
    let mut seen = BTreeMap::new();
    let sections = root.each("key", out);
    at_most(sections.len(), MAX_ZONES, "key", &root.spot(), out);
    book.keys = sections.into_iter().filter_map(|section| key(section, book, around, &mut seen, out)).collect();
    let mut seen = BTreeMap::new();
    let sections = root.each("rule", out);
    at_most(sections.len(), MAX_ZONES, "rule", &root.spot(), out);
    book.rules = sections.into_iter().filter_map(|section| rule(section, book, &mut seen, out)).collect();
    city(root, book, out);
    hands(root, book, out);
}

fn wind(root: &mut Section<'_>, around: &Around<'_>, out: &mut Findings) -> Option<WindStation> {
    let mut section = root.section("wind", out);
    let present = section.is_present();
    let speed = section.need("speed", &Label(64), "\"WS101\"", out);
    let direction = section.need("direction", &Label(64), "\"WD101\"", out);
    let calm = section.or("calm", &Ratio(0.1, 5.0), 0.5, out);
    let stale = section.or("stale", &Span(SECOND, 3600 * SECOND), 120 * SECOND, out);
    section.finish(&[], out);
    if !present {
        return None;
    }
    let (speed, direction) = (speed?, direction?);
    let (speed_point, direction_point) = (around.point(&speed, out), around.point(&direction, out));
    if let Some(point) = speed_point.filter(|point| !["", "m/s", "米/秒"].contains(&point.unit.as_str())) {
        let unit = &point.unit;
        let what = say!("风速的单位是 {unit}", "the wind speed is in {unit}");
        let instead = say!("请用单位为 m/s 的测点", "use a point in m/s");
        out.error(speed.spot, Wrong::new(what, instead));
    }
    Some(WindStation { speed: speed_point?.uid.clone(), direction: direction_point?.uid.clone(), calm, stale })
}

fn fire(
    mut section: Section<'_>,
    book: &SiteBook,
    around: &Around<'_>,
    seen: &mut BTreeMap<String, Spot>,
    out: &mut Findings,
) -> Option<FireInput> {
    let id = section.need("id", &Code(64), "\"fire-gate-1\"", out);
    let name = section.read("name", &Label(64), out);
    let zone = zone_of(&mut section, &book.zones, out);
    let lanes = lanes(&mut section, book, out);
    let line = line(&mut section, around, out);
    let settle = section.or("settle", &Span(100 * SECOND / 1000, 10 * SECOND), SECOND, out);
    let spot = section.spot_of("silence");
    let silence = section.or("silence", &Span(SECOND, 60 * SECOND), 10 * SECOND, out);
    let evacuates = section.or("evacuates", &Yes, true, out);
    section.finish(&[], out);
    once(("消防输入", "fire input"), id.as_ref(), seen, out);
    let (line, points) = line?;
    for (got, point) in points {
        check_contact(&got, point, silence, &spot, out);
    }
    let id = id?.value;
    let name = name.map_or_else(|| id.clone(), |got| got.value);
    Some(FireInput { id, name, zone: zone?, lanes, line, settle, silence, evacuates })
}

fn lanes(section: &mut Section<'_>, book: &SiteBook, out: &mut Findings) -> Vec<usize> {
    let Some(got) = section.need("lanes", &Codes, "[\"gate-1-in\", \"gate-1-out\"]", out) else { return Vec::new() };
    if got.value.is_empty() {
        let what = say!("没有要释放的车道", "there is no lane to release");
        out.error(got.spot.clone(), Wrong::new(what, say!("请写此卡口的车道", "write the lanes of its gate")));
    }
    let mut lanes = Vec::new();
    for name in got.value {
        match book.lane(&name) {
            Some(at) => lanes.push(at),
            None => {
                let got = Got { value: name, spot: got.spot.clone() };
                missing("车道", "lane", &got, book.lanes.iter().map(|lane| lane.id.as_str()), out);
            }
        }
    }
    lanes
}

/// A point with the place where it is named.
type Named<'a> = (Got<String>, &'a PointSpec);

fn line<'a>(section: &mut Section<'_>, around: &'a Around<'_>, out: &mut Findings) -> Option<(Line, Vec<Named<'a>>)> {
    let (no, nc) = (section.read("no", &Label(64), out), section.read("nc", &Label(64), out));
    let point = section.read("point", &Label(64), out);
    let (normal, fire) = (window(section, "normal", out), window(section, "fire", out));
    match (no, nc, point) {
        (Some(no), Some(nc), None) => {
            let (no_point, nc_point) = (around.point(&no, out), around.point(&nc, out));
            let (no_point, nc_point) = (no_point?, nc_point?);
            if no_point.uid == nc_point.uid {
                let what = say!("常开与常闭是同一测点，查不出断线", "one point for both contacts shows no broken wire");
                let instead = say!("请写两个触点各自的测点", "write a point for each of the two contacts");
                out.error(nc.spot.clone(), Wrong::new(what, instead));
            }
            let line = Line::Pair { no: no_point.uid.clone(), nc: nc_point.uid.clone() };
            Some((line, vec![(no, no_point), (nc, nc_point)]))
        }
        (None, None, Some(point)) => {
            let found = around.point(&point, out);
            let ((normal, _), (fire, spot)) = (normal?, fire?);
            if normal.0 <= fire.1 && fire.0 <= normal.1 {
                let what = say!("火警区间与正常区间重叠", "the windows of fire and rest overlap");
                out.error(spot, Wrong::new(what, say!("请把两个区间分开", "keep them apart")));
            }
            let found = found?;
            Some((Line::Resistor { point: found.uid.clone(), normal, fire }, vec![(point, found)]))
        }
        (..) => {
            let what = say!("消防输入没有监视", "the fire input is not supervised");
            out.error(section.spot(), Wrong::new(what, supervised()));
            None
        }
    }
}

fn supervised() -> Words {
    say!(
        "请写 no 和 nc 两个触点，或 point 加 normal、fire 两个区间（末端电阻）",
        "write both contacts `no` and `nc`, or `point` with the windows `normal` and `fire` (end-of-line resistor)"
    )
}

fn window(section: &mut Section<'_>, key: &'static str, out: &mut Findings) -> Option<((f64, f64), Spot)> {
    if !section.has(key) {
        let resistor = section.has("point");
        section.ignore(key);
        if resistor {
            let what = say!("缺少 `{key}`", "`{key}` is missing");
            out.error(section.spot(), Wrong::new(what, supervised()));
        }
        return None;
    }
    let got = section.read(key, &Pair, out)?;
    let number = |text: &str| text.parse::<f64>().ok().filter(|n| n.is_finite());
    match (number(&got.value.0), number(&got.value.1)) {
        (Some(low), Some(high)) if low < high => Some(((low, high), got.spot)),
        _ => {
            let what = say!("不是从小到大的两个数", "not two numbers, the smaller first");
            out.error(got.spot, Wrong::new(what, say!("例如 {key} = [4, 8]", "e.g. {key} = [4, 8]")));
            None
        }
    }
}

fn check_contact(got: &Got<String>, point: &PointSpec, silence: Duration, spot: &Spot, out: &mut Findings) {
    let (tag, every) = (point.tag.as_str(), point.interval.as_millis());
    if point.interval.saturating_mul(2) > silence {
        let what = say!(
            "`{tag}` 每 {every} ms 读一次，silence 短于两次",
            "`{tag}` is read every {every} ms, silence is shorter than two of them"
        );
        let instead = say!("请加长 silence，或用更快的轮询类", "write a longer silence, or use a faster class");
        out.error(spot.clone(), Wrong::new(what, instead));
    } else if point.interval > SLOW_CONTACT {
        let what = say!("`{tag}` 每 {every} ms 才读一次", "`{tag}` is read every {every} ms only");
        let instead = say!("消防触点请用 1s 或更快的轮询类", "use a class of 1s or faster for fire contacts");
        out.warn(got.spot.clone(), Wrong::new(what, instead));
    }
    if point.commissioning != Commissioning::InService {
        let state = point.commissioning.as_str();
        let what =
            say!("`{tag}` 未投用（{state}）：会被当作断线", "`{tag}` is {state}: it will be taken for a broken line");
        let instead = say!("请先投用此测点", "put the point into service first");
        out.error(got.spot.clone(), Wrong::new(what, instead));
    }
}

fn key(
    mut section: Section<'_>,
    book: &SiteBook,
    around: &Around<'_>,
    seen: &mut BTreeMap<String, Spot>,
    out: &mut Findings,
) -> Option<Key> {
    let id = section.need("id", &Code(64), "\"key-control-room\"", out);
    let name = section.read("name", &Label(64), out);
    let zone = zone_of(&mut section, &book.zones, out);
    let state = section.need("state", &Choice(&EMERGENCIES), "\"evacuate\"", out);
    let point = section.need("point", &Label(64), "\"HS101\"", out);
    let turned = section.or("turned", &Yes, true, out);
    section.finish(&[], out);
    once(("按钮", "key"), id.as_ref(), seen, out);
    let point = around.point(&point?, out)?.uid.clone();
    let state = State::from_name(state?.value)?;
    let id = id?.value;
    let name = name.map_or_else(|| id.clone(), |got| got.value);
    Some(Key { id, name, point, turned, zone: zone?, state })
}

fn rule(
    mut section: Section<'_>,
    book: &SiteBook,
    seen: &mut BTreeMap<String, Spot>,
    out: &mut Findings,
) -> Option<Rule> {
    let id = section.need("id", &Code(64), "\"two-detectors\"", out);
    let written = section.has("zone");
    let zone = zone_of(&mut section, &book.zones, out)?;
    let detectors = section.or("detectors", &Whole(1, 20), 2, out);
    let level = section.or("level", &Whole(1, 2), 2, out);
    let state = section.need("state", &Choice(&EMERGENCIES), "\"evacuate\"", out);
    let acts = section.read("acts", &Yes, out);
    section.finish(&[], out);
    once(("规则", "rule"), id.as_ref(), seen, out);
    if let Some(got) = acts.as_ref().filter(|got| got.value && detectors < 2) {
        let what = say!("单个探测器不能直接改变站区状态", "one detector alone cannot change the state of the site");
        let instead = say!("请写 acts = false，或 detectors = 2", "write acts = false, or detectors = 2");
        out.error(got.spot.clone(), Wrong::new(what, instead));
    }
    Some(Rule {
        id: id?.value,
        zone: written.then_some(zone),
        detectors: usize::try_from(detectors).unwrap_or(2),
        level: u8::try_from(level).unwrap_or(2),
        state: State::from_name(state?.value)?,
        acts: acts.is_some_and(|got| got.value),
    })
}

fn city(root: &mut Section<'_>, book: &mut SiteBook, out: &mut Findings) {
    let mut section = root.section("city", out);
    book.city.issuers = section.or("issuers", &Codes, Vec::new(), out).into_iter().collect();
    let states = section.read("states", &Codes, out);
    book.city.acts = section.or("acts", &Yes, false, out);
    section.finish(&[], out);
    let Some(states) = states else { return };
    // What is written is all there is: the default stands for a file that says nothing.
    book.city.states.clear();
    for name in states.value {
        match State::from_name(&name).filter(|state| state.is_emergency()) {
            Some(state) => {
                book.city.states.insert(state);
            }
            None => missing("状态", "state", &Got { value: name, spot: states.spot.clone() }, EMERGENCIES, out),
        }
    }
}

fn hands(root: &mut Section<'_>, book: &mut SiteBook, out: &mut Findings) {
    let mut section = root.section("hands", out);
    let Hands { propose, confirm, end, drill, two_persons, confirm_within } = &mut book.hands;
    for (key, roles) in [("propose", propose), ("confirm", confirm), ("end", end), ("drill", drill)] {
        if let Some(got) = section.read(key, &Codes, out) {
            *roles = read_roles(got, out);
        }
    }
    *two_persons = section.or("two_persons", &Yes, *two_persons, out);
    *confirm_within = section.or("confirm_within", &Span(5 * SECOND, 600 * SECOND), *confirm_within, out);
    section.finish(&[], out);
}

fn read_roles(got: Got<Vec<String>>, out: &mut Findings) -> BTreeSet<Role> {
    let mut roles = BTreeSet::new();
    let none = got.value.is_empty();
    for name in got.value {
        match Role::from_name(&name) {
            Some(role) => {
                roles.insert(role);
            }
            None => {
                let got = Got { value: name, spot: got.spot.clone() };
                missing("角色", "role", &got, Role::ALL.into_iter().map(Role::as_str), out);
            }
        }
    }
    if none {
        let what = say!("没有人可以做这件事", "nobody may do it");
        let instead = say!("请写角色，例如 [\"supervisor\"]", "write roles, e.g. [\"supervisor\"]");
        out.error(got.spot, Wrong::new(what, instead));
    }
    roles
}
