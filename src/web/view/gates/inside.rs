//! Who is inside: numbers by zone, what does not fit together, who stays too long, and the roll of a muster.

use super::{dash, listed, masked, or_dash, seconds, when, word, zone_name};
use crate::domain::gate::gates::view::{Count, Doubt, GatesView, Guest, MusterView, RowView, ZoneView};
use crate::domain::gate::inside::{Conflict, Through};
use crate::domain::gate::muster::{How, RowState};
use crate::domain::gate::word::ZoneId;
use crate::web::lang::{Lang, Text};
use crate::web::view::{Align, Block, Cell, Look, Panel, Table, Tone, Viewer};

/// Passages in doubt, conflicts and violations together.
const UNCLEAR: usize = 20;
/// Those who stay too long.
const OVERSTAYS: usize = 20;
/// Rows of a roll: who is unaccounted for stands first; the whole is printed.
const ROLL: usize = 40;
/// Zones lie in one another only so deep; a configuration that is a circle is refused.
const DEEPEST: usize = 8;

/// Numbers by zone, with what is allowed.
pub(super) fn zones(view: &GatesView, look: &Look, v: &Viewer<'_>) -> Table {
    let columns = [
        (Text::Zone, Align::Left),
        (Text::ZoneClass, Align::Left),
        (Text::Persons, Align::Right),
        (Text::Vehicles, Align::Lines),
        (Text::GasAlarm, Align::Left),
    ];
    let inside = &view.inside;
    let title = match (inside.known, inside.counted_at) {
        (true, Some(at)) => format!("{} {}", v.t(Text::CountedAt), when(at, look, v)),
        (true, None) => v.t(Text::CountsKnown).to_owned(),
        (false, _) => v.t(Text::NotCounted).to_owned(),
    };
    let counted = if inside.known { Cell::live(title).dim() } else { Cell::toned(Tone::None, title) };
    let mut zones: Vec<&ZoneView> = inside.zones.iter().collect();
    zones.sort_by_key(|zone| path(zone, view));
    let mut rows: Vec<Vec<Cell>> = zones.into_iter().map(|zone| zone_row(zone, view, look, v)).collect();
    let list = Cell::fixed(v.t(Text::InsideList)).to(v.link("/inside"));
    rows.push(vec![counted, Cell::live(""), list, Cell::live(""), Cell::live("")]);
    let places = rows.len();
    listed(v, Text::WhoIsInside, &columns, rows, (places, 0), Text::None)
}

fn zone_row(zone: &ZoneView, view: &GatesView, look: &Look, v: &Viewer<'_>) -> Vec<Cell> {
    let known = view.inside.known;
    let indent = "　".repeat(path(zone, view).len().saturating_sub(1));
    let number = |count: &Count| {
        let most = count.most.map(|most| format!(" / {most}")).unwrap_or_default();
        let missing = match count.missing {
            0 => String::new(),
            n => format!(" ({} {n})", v.t(Text::MoreOutThanIn)),
        };
        format!("{}{most}{missing}", count.now)
    };
    let worst = zone.vehicles.values().any(|count| count.over);
    let vehicles: Vec<String> = zone
        .vehicles
        .iter()
        .map(|(class, count)| format!("{} {}", word(class.zh(), class.as_str(), v), number(count)))
        .collect();
    let vehicles = if vehicles.is_empty() { "0".to_owned() } else { vehicles.join("\n") };
    let gas = match zone.gas_level {
        0 => dash(),
        level => Cell::toned(Tone::Bad, format!("{} {level}", v.t(Text::Level))),
    };
    vec![
        Cell::live(format!("{indent}{}", zone_name(&zone.zone, look, v))),
        Cell::live(word(zone.class.zh(), zone.class.as_str(), v)),
        super::counted(known, zone.persons.over, number(&zone.persons)),
        super::counted(known, worst, vehicles),
        gas,
    ]
}

/// From the outermost zone to this one: in this order each zone stands below the one that it lies in.
fn path<'a>(zone: &'a ZoneView, view: &'a GatesView) -> Vec<&'a ZoneId> {
    let around = |zone: &&'a ZoneView| {
        let parent = zone.parent.as_ref()?;
        view.inside.zones.iter().find(|one| one.zone == *parent)
    };
    let mut path: Vec<&ZoneId> = std::iter::successors(Some(zone), around).take(DEEPEST).map(|one| &one.zone).collect();
    path.reverse();
    path
}

/// What nobody knows the end of, what cannot both be so, and what waits for a person's judgement.
pub(super) fn unclear(view: &GatesView, look: &Look, v: &Viewer<'_>) -> Table {
    let columns = [
        (Text::What, Align::Left),
        (Text::Told, Align::Right),
        (Text::Who, Align::Left),
        (Text::Reason, Align::Lines),
        (Text::SettledBy, Align::Left),
    ];
    let inside = &view.inside;
    let conflicts = inside.conflicts.iter().map(|one| {
        let (what, whose) = conflict(&one.conflict, v);
        vec![
            Cell::toned(Tone::Warn, v.t(Text::Conflicts)),
            dash(),
            Cell::live(whose),
            Cell::live(what),
            Cell::live(one.event.to_string()),
        ]
    });
    let doubts = inside.in_doubt.iter().map(|doubt| doubt_row(doubt, look, v));
    let reviews = inside
        .reviews
        .iter()
        .map(|who| vec![Cell::toned(Tone::Warn, v.t(Text::Reviews)), dash(), Cell::live(who), dash(), dash()]);
    let rows = conflicts.chain(doubts).chain(reviews).collect();
    listed(v, Text::Unclear, &columns, rows, (UNCLEAR, 0), Text::None)
}

fn doubt_row(doubt: &Doubt, look: &Look, v: &Viewer<'_>) -> Vec<Cell> {
    let who = match &doubt.subject {
        Some(who) => Cell::live(format!("{who} · {}", word(doubt.direction.zh(), doubt.direction.as_str(), v))),
        None => Cell::toned(Tone::None, v.t(Text::Unidentified)),
    };
    vec![
        Cell::toned(Tone::Warn, v.t(Text::InDoubt)),
        Cell::live(when(doubt.at, look, v)),
        who,
        Cell::live(&doubt.why),
        Cell::live(doubt.event.to_string()),
    ]
}

/// What is in conflict, and whose word it is.
fn conflict(conflict: &Conflict, v: &Viewer<'_>) -> (&'static str, String) {
    let pick = |zh, en| v.lang().pick(zh, en);
    match conflict {
        Conflict::TwoVersions { id, version } => (
            pick("断网期间两侧都改了同一条记录", "one entry was changed on both sides of a cut"),
            format!("{} v{version}", id.source.gateway),
        ),
        Conflict::TwoOfOneName { source, .. } => (
            pick("两台网关用了同一名称，或存储被复制", "two gateways bear one name, or a store was copied"),
            source.gateway.to_string(),
        ),
        Conflict::SameRead { kept, other } => (
            pick("同一次抓拍到了两台网关，只计一次", "one read reached two gateways, and counts once"),
            format!("{} / {}", kept.source.gateway, other.source.gateway),
        ),
        Conflict::BeyondHorizon { id } => (
            pick("到得太晚，所属时段已经结账，未计入", "came too late: its time is closed, it is not counted"),
            id.source.gateway.to_string(),
        ),
    }
}

/// Who stays longer than he may.
pub(super) fn overstays(view: &GatesView, look: &Look, v: &Viewer<'_>) -> Table {
    let columns = [
        (Text::Who, Align::Lines),
        (Text::Zone, Align::Left),
        (Text::BeganAt, Align::Right),
        (Text::Since, Align::Right),
        (Text::CameThrough, Align::Left),
    ];
    let rows = view.inside.overstays.iter().map(|guest| guest_row(guest, view, look, v)).collect();
    listed(v, Text::Overstays, &columns, rows, (OVERSTAYS, 0), Text::None)
}

fn guest_row(guest: &Guest, view: &GatesView, look: &Look, v: &Viewer<'_>) -> Vec<Cell> {
    let class = guest.class.map(|class| format!(" {}", word(class.zh(), class.as_str(), v))).unwrap_or_default();
    let unidentified = match guest.unidentified {
        0 => String::new(),
        n => format!(" +{n} {}", v.t(Text::Unidentified)),
    };
    let ms = u64::try_from(view.at.0.saturating_sub(guest.since.0)).unwrap_or(0);
    vec![
        Cell::toned(Tone::Warn, format!("{}{class}{unidentified}", masked(&guest.subject))),
        Cell::live(zone_name(&guest.zone, look, v)),
        Cell::live(when(guest.since, look, v)),
        Cell::live(seconds(ms / 1000, v)),
        or_dash(guest.through.as_ref().map(gate)),
    ]
}

pub(super) fn gate(through: &Through) -> String {
    format!("{} / {}", through.gate, through.lane)
}

/// A muster that runs: its numbers, and its roll with the unaccounted first.
pub(super) fn muster(muster: &MusterView, look: &Look, v: &Viewer<'_>) -> Vec<Block> {
    let numbers = Panel { href: Some(v.link("/muster")), ..number_of(muster, look, v) };
    vec![Block::Panels(vec![numbers]), Block::Table(roll_table(muster, ROLL, look, v))]
}

fn title_of(muster: &MusterView, look: &Look, v: &Viewer<'_>) -> String {
    let drill = if muster.drill { format!(" · {}", v.t(Text::Drill)) } else { String::new() };
    format!("{}{drill} · {} · {}", v.t(Text::Muster), zone_name(&muster.zone, look, v), muster.muster)
}

/// How many are what.
pub(super) fn number_of(muster: &MusterView, look: &Look, v: &Viewer<'_>) -> Panel {
    let n = &muster.numbers;
    let rows = vec![
        (v.t(Text::BeganAt).to_owned(), Cell::live(when(muster.at, look, v))),
        (v.t(Text::Unaccounted).to_owned(), Cell::bad_if(n.unaccounted > 0, n.unaccounted.to_string())),
        (v.t(Text::Unidentified).to_owned(), Cell::warn_if(n.unidentified > 0, n.unidentified.to_string())),
        (v.t(Text::CallsForHelp).to_owned(), Cell::bad_if(n.sos > 0, n.sos.to_string())),
        (v.t(Text::Safe).to_owned(), Cell::live(format!("{} / {}", n.safe, n.listed))),
        (v.t(Text::UnreadOut).to_owned(), Cell::warn_if(n.unread_out > 0, n.unread_out.to_string())),
        (v.t(Text::CameAfter).to_owned(), Cell::live(n.after.to_string())),
    ];
    Panel { title: title_of(muster, look, v), href: None, rows }
}

/// The roll in so many places.
pub(super) fn roll_table(muster: &MusterView, places: usize, look: &Look, v: &Viewer<'_>) -> Table {
    let title = title_of(muster, look, v);
    let columns = [
        (Text::Number, Align::Right),
        (Text::AlarmState, Align::Left),
        (Text::Who, Align::Left),
        (Text::Zone, Align::Left),
        (Text::CameThrough, Align::Left),
        (Text::Told, Align::Right),
        (Text::Position, Align::Lines),
    ];
    let rows = muster.rows.iter().map(|row| roll_row(row, look, v)).collect();
    Table { title, ..listed(v, Text::Muster, &columns, rows, (places, muster.more), Text::None) }
}

fn roll_row(row: &RowView, look: &Look, v: &Viewer<'_>) -> Vec<Cell> {
    let who = match &row.person {
        Some(person) => Cell::live(person.to_string()),
        None => Cell::toned(Tone::None, v.t(Text::Unidentified)),
    };
    let with = row.with.as_deref().map(|plate| format!(" [{plate}]")).unwrap_or_default();
    let who = Cell { text: format!("{}{with}", who.text), ..who };
    let position = row.position.as_ref().map(|at| format!("{} {}", at.place, when(at.at, look, v)));
    vec![
        Cell::live((row.n + 1).to_string()),
        roll_state(row, look, v),
        who,
        Cell::live(zone_name(&row.zone, look, v)),
        or_dash(row.last.as_ref().map(gate)),
        or_dash(row.last.as_ref().map(|last| when(last.at, look, v))),
        or_dash(position),
    ]
}

fn roll_state(row: &RowView, look: &Look, v: &Viewer<'_>) -> Cell {
    match &row.state {
        RowState::Unaccounted if row.sos.is_some() => {
            Cell::toned(Tone::Bad, format!("{} · {}", v.t(Text::Unaccounted), v.t(Text::CallsForHelp)))
        }
        RowState::Unaccounted => Cell::toned(Tone::Bad, v.t(Text::Unaccounted)),
        RowState::Safe { how, at } => {
            let how = match (how, v.lang()) {
                (How::Exit { gate, .. }, Lang::Zh) => format!("已出园 {gate}"),
                (How::Exit { gate, .. }, Lang::En) => format!("left by {gate}"),
                (How::Corrected, Lang::Zh) => "更正：不在园内".to_owned(),
                (How::Corrected, Lang::En) => "corrected: not inside".to_owned(),
                (How::CheckIn { point, .. }, Lang::Zh) => format!("集合点 {point}"),
                (How::CheckIn { point, .. }, Lang::En) => format!("at {point}"),
                (How::Warden { by, .. }, Lang::Zh) => format!("{by} 担保"),
                (How::Warden { by, .. }, Lang::En) => format!("{by} answers for it"),
            };
            Cell::live(format!("{} {} {how}", v.t(Text::Safe), when(*at, look, v)))
        }
    }
}
