//! The pages of one device and of one point.

use std::time::Duration;

use super::bus;
use super::{Align, Block, Cell, Look, Page, Panel, Row, Table, Tone, Viewer};
use super::{instruments, lasting, overview, page, tone_of};
use crate::domain::field_event::LinkState;
use crate::domain::reading::Quality;
use crate::domain::registry::{Deadband, DeviceSpec, PointSpec};
use crate::domain::snapshot::{DeviceView, PointView, Snapshot};
use crate::web::format;
use crate::web::lang::{self, Text};
use crate::web::request::encode;

/// Grace beyond three intervals before a value counts as overdue: a poll takes time, and so does a page.
const OVERDUE_GRACE: Duration = Duration::from_secs(1);

/// Returns the page of the device with this id, or `None` when there is none (or the engine does not answer).
pub fn device(look: &Look, v: &Viewer<'_>, id: &str) -> Option<Page> {
    let snapshot = look.snapshot.as_ref()?;
    let (spec, view) = pairs(snapshot).find(|(spec, _)| spec.id.as_str() == id)?;
    let panels = std::iter::once(connection(look, v, spec, view)).chain(bus::panels(look, v, &spec.id)).collect();
    let blocks = vec![Block::Panels(panels), Block::Table(classes(v, view)), Block::Table(points(look, v, spec, view))];
    let path = format!("/device/{}", encode(id));
    Some(page(look, v, &path, spec.name.clone(), &format!("/events?device={}", encode(id)), blocks))
}

fn pairs(snapshot: &Snapshot) -> impl Iterator<Item = (&DeviceSpec, &DeviceView)> {
    snapshot.registry.devices.iter().map(AsRef::as_ref).zip(&snapshot.devices)
}

fn connection(look: &Look, v: &Viewer<'_>, spec: &DeviceSpec, view: &DeviceView) -> Panel {
    let retry = match &view.link {
        LinkState::Down { retry, .. } => Cell::live(v.span(*retry)),
        LinkState::Up | LinkState::Connecting => Cell::live("—").dim(),
    };
    let rows = vec![
        (v.t(Text::Device).to_owned(), Cell::fixed(spec.id.as_str())),
        (v.t(Text::Connection).to_owned(), overview::link_state(&view.link, v)),
        (v.t(Text::Since).to_owned(), lasting(look, v, view.link_since)),
        (v.t(Text::Retry).to_owned(), retry),
        (v.t(Text::Points).to_owned(), Cell::fixed(view.points.len().to_string())),
    ];
    Panel { title: spec.name.clone(), href: None, rows }
}

fn classes(v: &Viewer<'_>, view: &DeviceView) -> Table {
    let columns = [
        Text::Class,
        Text::P50,
        Text::P95,
        Text::P99,
        Text::WorstLate,
        Text::PollsOk,
        Text::PollsBad,
        Text::PollsSkipped,
    ];
    let up = view.link == LinkState::Up;
    Table {
        title: v.t(Text::ClassName).to_owned(),
        columns: columns.map(|text| (v.t(text).to_owned(), Align::Right)).into(),
        rows: view.classes.iter().map(|c| Row { first: true, cells: overview::class_cells(c, up, v) }).collect(),
    }
}

fn points(look: &Look, v: &Viewer<'_>, spec: &DeviceSpec, view: &DeviceView) -> Table {
    let columns = [
        (Text::Tag, Align::Left),
        (Text::Name, Align::Left),
        (Text::Value, Align::Right),
        (Text::Unit, Align::Left),
        (Text::Quality, Align::Left),
        (Text::Age, Align::Right),
        (Text::RangePosition, Align::Bar),
        (Text::Range, Align::Right),
    ];
    let rows = spec
        .points
        .iter()
        .zip(&view.points)
        .map(|(spec, view)| Row { first: true, cells: point_row(look, v, spec, view) });
    Table {
        title: v.t(Text::Points).to_owned(),
        columns: columns.map(|(text, align)| (v.t(text).to_owned(), align)).into(),
        rows: rows.collect(),
    }
}

fn point_row(look: &Look, v: &Viewer<'_>, spec: &PointSpec, view: &PointView) -> Vec<Cell> {
    let range = spec.range.map_or_else(|| Cell::fixed("—").dim(), |r| Cell::fixed(range_text(r)));
    vec![
        Cell::fixed(spec.tag.as_str()).to(v.link(&format!("/point/{}", encode(spec.tag.as_str())))),
        Cell::fixed(&spec.name),
        value(look, v, spec, view),
        Cell::fixed(&spec.unit),
        quality(v, view),
        age(look, v, spec, view),
        bar(look, spec, view),
        range,
    ]
}

fn range_text((low, high): (f64, f64)) -> String {
    format!("{} … {}", format::number(low), format::number(high))
}

/// The value: "no data" never looks like a number, an old one never like a fresh one.
fn value(look: &Look, v: &Viewer<'_>, spec: &PointSpec, view: &PointView) -> Cell {
    let Some((reading, value)) = view.reading.and_then(|r| r.value().map(|value| (r, value))) else {
        return Cell::toned(Tone::None, v.t(Text::NoData));
    };
    let text = format::value(value, format::decimals(spec));
    let tone = if overdue(look, spec, view) { Tone::Stale } else { tone_of(reading.quality) };
    Cell::toned(tone, text)
}

fn quality(v: &Viewer<'_>, view: &PointView) -> Cell {
    match view.reading {
        None => Cell::toned(Tone::None, v.t(Text::NotYetRead)),
        Some(reading) => Cell::toned(tone_of(reading.quality), lang::quality(reading.quality, v.lang())),
    }
}

/// What the instrument is doing and for how long; a dash where no state word tells it.
fn instrument(look: &Look, v: &Viewer<'_>, view: &PointView) -> Cell {
    let Some((state, since)) = view.state else { return Cell::live("—").dim() };
    let mut cell = instruments::state(state, v);
    cell.text.push_str(&format!(" · {}", v.span(look.now.mono.since(since))));
    cell
}

fn age(look: &Look, v: &Viewer<'_>, spec: &PointSpec, view: &PointView) -> Cell {
    let Some(at) = view.at else {
        return Cell::live("—").dim();
    };
    let text = format::age(look.now.mono.since(at), v.lang());
    if overdue(look, spec, view) {
        return Cell::toned(Tone::Stale, format!("{text} {}", v.t(Text::Late)));
    }
    Cell::live(text)
}

/// Whether the last reading is older than it should be.
fn overdue(look: &Look, spec: &PointSpec, view: &PointView) -> bool {
    view.at.is_some_and(|at| look.now.mono.since(at) > spec.interval.saturating_mul(3) + OVERDUE_GRACE)
}

fn bar(look: &Look, spec: &PointSpec, view: &PointView) -> Cell {
    let Some((low, high)) = spec.range.filter(|(low, high)| high > low) else {
        return Cell::live("").dim();
    };
    let reading = view.reading.filter(|r| r.value().is_some());
    let percent = reading.and_then(|r| r.as_f64()).map(|value| (value - low) / (high - low) * 100.0);
    let quality = reading.map_or(Quality::Good, |r| r.quality);
    let tone = if overdue(look, spec, view) { Tone::Stale } else { tone_of(quality) };
    Cell::meter(percent, tone)
}

/// Returns the page of the point with this tag, around its drawn trend, or `None` when there is none.
pub fn point(look: &Look, v: &Viewer<'_>, tag: &str, trend: String) -> Option<Page> {
    let snapshot = look.snapshot.as_ref()?;
    let (device, spec, view) = pairs(snapshot).find_map(|(device, views)| {
        let found = device.points.iter().zip(&views.points).find(|(spec, _)| spec.tag.as_str() == tag);
        found.map(|(spec, view)| (device, spec, view))
    })?;
    let name = encode(tag);
    let blocks = vec![
        Block::Panels(vec![now_panel(look, v, spec, view), meaning(v, device, spec), codes(v, spec)]),
        Block::Trend {
            href: v.link(&format!("/trend/{name}")),
            title: titled(v.t(Text::LastHour), &spec.unit),
            html: trend,
        },
    ];
    let title = format!("{tag} {}", spec.name);
    Some(page(look, v, &format!("/point/{name}"), title, &format!("/events?point={name}"), blocks))
}

/// A unit stands behind the title where there is one.
fn titled(title: &str, unit: &str) -> String {
    if unit.is_empty() { title.to_owned() } else { format!("{title} · {unit}") }
}

fn now_panel(look: &Look, v: &Viewer<'_>, spec: &PointSpec, view: &PointView) -> Panel {
    let range = spec.range.map_or_else(|| Cell::fixed("—").dim(), |r| Cell::fixed(range_text(r)));
    let rows = vec![
        (format!("{} {}", v.t(Text::Value), spec.unit), value(look, v, spec, view)),
        (v.t(Text::Quality).to_owned(), quality(v, view)),
        (v.t(Text::InstrumentState).to_owned(), instrument(look, v, view)),
        (v.t(Text::Age).to_owned(), age(look, v, spec, view)),
        (v.t(Text::Range).to_owned(), range),
        (v.t(Text::RangePosition).to_owned(), bar(look, spec, view)),
    ];
    Panel { title: format!("{} {}", spec.tag, spec.name), href: None, rows }
}

fn meaning(v: &Viewer<'_>, device: &DeviceSpec, spec: &PointSpec) -> Panel {
    let deadband = match spec.deadband {
        Deadband::Off => v.t(Text::DeadbandOff).to_owned(),
        Deadband::Absolute(d) => format!("{} {}", format::number(d), spec.unit),
    };
    let href = v.link(&format!("/device/{}", encode(device.id.as_str())));
    let rows = vec![
        (v.t(Text::Device).to_owned(), Cell::fixed(&device.name).to(href)),
        (v.t(Text::ClassName).to_owned(), Cell::fixed(format::interval(spec.interval))),
        (v.t(Text::Deadband).to_owned(), Cell::fixed(deadband)),
        (v.t(Text::MaxSilence).to_owned(), Cell::fixed(v.span(spec.max_silence))),
        (v.t(Text::State).to_owned(), Cell::fixed(lang::commissioning(spec.commissioning, v.lang()))),
    ];
    Panel { title: v.t(Text::Point).to_owned(), href: None, rows }
}

fn codes(v: &Viewer<'_>, spec: &PointSpec) -> Panel {
    let p = &spec.platform;
    let given = [
        (Text::Equipment, &p.equipment),
        (Text::Kind, &p.kind),
        (Text::PlatformCode, &p.code),
        (Text::Company, &p.company),
        (Text::HazardSource, &p.hazard_source),
    ];
    let mut rows = vec![(v.t(Text::Uid).to_owned(), Cell::fixed(spec.uid.as_str()))];
    rows.extend(given.map(|(text, code)| {
        let cell = code.as_deref().map_or_else(|| Cell::fixed("—").dim(), Cell::fixed);
        (v.t(text).to_owned(), cell)
    }));
    Panel { title: v.t(Text::PlatformCode).to_owned(), href: None, rows }
}
