//! Dangerous goods: the bays of the parking, the vehicles inside with their time, and the waybills under way.

use std::cmp::Reverse;

use super::{dash, listed, or_dash, seconds, share, when, word, zone_name};
use crate::domain::gate::facts::WaybillFact;
use crate::domain::gate::gates::view::{BayNow, HazmatView, VisitView, WaybillView};
use crate::domain::gate::hazmat::lot::BayStatus;
use crate::web::lang::{Lang, Text};
use crate::web::view::{Align, Cell, Look, Table, Tone, Viewer};

/// Vehicles inside: more than a public parking has bays.
const VISITS: usize = 32;
/// Waybills under way.
const WAYBILLS: usize = 24;

/// Returns the tables; none where the park has no parking and nothing under way.
pub(super) fn tables(hazmat: &HazmatView, look: &Look, v: &Viewer<'_>) -> Vec<Table> {
    if hazmat.bays.is_empty() && hazmat.visits.is_empty() && hazmat.waybills.is_empty() {
        return Vec::new();
    }
    let bays = if hazmat.bays.is_empty() { Vec::new() } else { vec![bays(hazmat, v)] };
    bays.into_iter().chain([visits(hazmat, look, v), waybills(hazmat, v)]).collect()
}

fn bays(hazmat: &HazmatView, v: &Viewer<'_>) -> Table {
    let columns = [
        (Text::Bay, Align::Left),
        (Text::AlarmState, Align::Left),
        (Text::Vehicle, Align::Left),
        (Text::Goods, Align::Left),
        (Text::Inside, Align::Right),
        (Text::OfAllowed, Align::Bar),
    ];
    let mut rows: Vec<Vec<Cell>> = hazmat.bays.iter().map(|bay| bay_row(bay, hazmat, v)).collect();
    let waiting = hazmat.queue.iter().map(|plate| {
        let none = || Cell::live("");
        vec![none(), Cell::live(v.t(Text::WaitsForBay)), Cell::live(plate), none(), none(), none()]
    });
    // The queue has as many places as there are bays: a longer one is on the board of the duty room long before.
    rows.extend(waiting);
    listed(v, Text::HazmatParking, &columns, rows, (hazmat.bays.len() * 2, 0), Text::None)
}

fn bay_row(bay: &BayNow, hazmat: &HazmatView, v: &Viewer<'_>) -> Vec<Cell> {
    let words = word(bay.status.zh(), bay.status.as_str(), v);
    let status = match bay.status {
        BayStatus::Wrong => Cell::toned(Tone::Bad, words),
        BayStatus::Free => Cell::live(words).dim(),
        BayStatus::Waiting | BayStatus::Parked => Cell::live(words),
    };
    let visit = bay.plate.as_ref().and_then(|plate| hazmat.visits.iter().find(|visit| visit.plate == *plate));
    let (goods, inside, bar) = match visit {
        Some(visit) => (goods(visit, v), stay(visit, v), share(visit.inside_s, visit.stay_s, tone(visit))),
        None => (dash(), or_dash(bay.inside_s.map(|s| seconds(s, v))), Cell::live("")),
    };
    vec![Cell::live(bay.bay.to_string()), status, or_dash(bay.plate.as_deref()), goods, inside, bar]
}

fn tone(visit: &VisitView) -> Tone {
    match (visit.overstays, visit.warned) {
        (true, _) => Tone::Bad,
        (false, true) => Tone::Warn,
        (false, false) => Tone::Plain,
    }
}

/// How long it has been inside, and how long it may.
fn stay(visit: &VisitView, v: &Viewer<'_>) -> Cell {
    Cell::toned(tone(visit), format!("{} / {}", seconds(visit.inside_s, v), seconds(visit.stay_s, v)))
}

/// Classes of what it carries: nobody knows, and nothing, are two things.
fn goods(visit: &VisitView, v: &Viewer<'_>) -> Cell {
    match &visit.classes {
        None => Cell::toned(Tone::None, v.t(Text::Unknown)),
        Some(classes) if classes.is_empty() => Cell::live(v.t(Text::Empty)),
        Some(classes) => {
            let name = |class: &crate::domain::gate::hazmat::goods::HazardClass| match v.lang() {
                Lang::Zh => format!("{} {}", class.as_str(), class.zh()),
                Lang::En => format!("class {}", class.as_str()),
            };
            Cell::live(classes.iter().map(name).collect::<Vec<_>>().join(", "))
        }
    }
}

fn visits(hazmat: &HazmatView, look: &Look, v: &Viewer<'_>) -> Table {
    let columns = [
        (Text::Vehicle, Align::Left),
        (Text::Inside, Align::Right),
        (Text::OfAllowed, Align::Bar),
        (Text::Goods, Align::Left),
        (Text::AlarmState, Align::Left),
        (Text::Place, Align::Left),
        (Text::SentTo, Align::Left),
        (Text::Waybill, Align::Left),
        (Text::BeganAt, Align::Right),
    ];
    let mut visits: Vec<&VisitView> = hazmat.visits.iter().collect();
    visits.sort_by_key(|visit| Reverse((visit.overstays, visit.warned, visit.inside_s)));
    let rows = visits.into_iter().map(|visit| visit_row(visit, look, v)).collect();
    listed(v, Text::HazmatInside, &columns, rows, (VISITS, 0), Text::None)
}

fn visit_row(visit: &VisitView, look: &Look, v: &Viewer<'_>) -> Vec<Cell> {
    let bay = visit.bay.as_ref().map(|bay| format!(" · {} {bay}", v.t(Text::Bay))).unwrap_or_default();
    let done = if visit.done { format!(" · {}", v.t(Text::WorkDone)) } else { String::new() };
    let waybill = match &visit.waybill {
        Some(number) => Cell::live(number.to_string()),
        None => Cell::toned(Tone::Warn, v.t(Text::NoWaybill)),
    };
    vec![
        Cell::live(&visit.plate),
        stay(visit, v),
        share(visit.inside_s, visit.stay_s, tone(visit)),
        goods(visit, v),
        Cell::live(format!("{}{done}", word(visit.stage.zh(), visit.stage.as_str(), v))),
        Cell::live(format!("{}{bay}", zone_name(&visit.zone, look, v))),
        or_dash(visit.sent_to.as_ref().map(|zone| zone_name(zone, look, v))),
        waybill,
        Cell::live(when(visit.entered_at, look, v)),
    ]
}

fn waybills(hazmat: &HazmatView, v: &Viewer<'_>) -> Table {
    let columns = [
        (Text::Waybill, Align::Left),
        (Text::AlarmState, Align::Left),
        (Text::MayEnter, Align::Left),
        (Text::Vehicle, Align::Left),
        (Text::Goods, Align::Lines),
        (Text::ForWhom, Align::Left),
    ];
    let rows = hazmat.waybills.iter().map(|one| waybill_row(one, v)).collect();
    listed(v, Text::WaybillsUnderWay, &columns, rows, (WAYBILLS, hazmat.more_waybills), Text::None)
}

fn waybill_row(one: &WaybillView, v: &Viewer<'_>) -> Vec<Cell> {
    let (zh, en) = match one.fact {
        WaybillFact::Missing => ("无运单", "no waybill"),
        WaybillFact::NotReady => ("未核验或未派车", "not verified or not dispatched"),
        WaybillFact::Ready => ("可以入园", "may enter"),
        WaybillFact::Used => ("已入园使用", "used for an entry"),
        WaybillFact::Over => ("已结束", "over"),
    };
    vec![
        Cell::live(one.number.to_string()),
        Cell::live(word(one.state.zh(), one.state.as_str(), v)),
        Cell::live(v.lang().pick(zh, en)),
        Cell::live(&one.plate),
        Cell::live(one.goods.join("\n")),
        Cell::live(one.host.to_string()),
    ]
}
