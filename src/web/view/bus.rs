//! The field buses: planned against measured, as a table of all and as panels of one device.

use std::time::Duration;

use super::{Align, Cell, Look, Panel, Row, Table, Tone, Viewer};
use crate::domain::id::DeviceId;
use crate::domain::snapshot::BusStatus;
use crate::web::format;
use crate::web::lang::Text;

/// A bus busier than this keeps its intervals only by luck.
const TIGHT: f64 = 0.9;

/// Returns the table of all buses.
pub(super) fn table(look: &Look, v: &Viewer<'_>) -> Table {
    let columns = [
        (Text::Bus, Align::Cut),
        (Text::BusPlace, Align::Cut),
        (Text::BusLine, Align::Right),
        (Text::Devices, Align::Right),
        (Text::PlannedLoad, Align::Right),
        (Text::BusyMinute, Align::Right),
        (Text::BusyQuarter, Align::Right),
        (Text::PlannedCycle, Align::Right),
        (Text::BusRequests, Align::Right),
        (Text::AskedAgain, Align::Right),
        (Text::BusSilent, Align::Right),
        (Text::BusGarbled, Align::Right),
        (Text::BusStrays, Align::Right),
    ];
    let rows = look.buses.iter().map(|bus| Row {
        first: true,
        cells: vec![
            Cell::fixed(&bus.id),
            place(bus),
            Cell::fixed(&bus.line),
            Cell::fixed(bus.slaves.len().to_string()),
            planned(bus),
            share(bus.busy_minute),
            share(bus.busy_quarter),
            Cell::fixed(v.span(bus.planned_cycle)),
            Cell::count(bus.requests),
            Cell::count(bus.asked_again),
            Cell::count(bus.silent),
            Cell::count(bus.garbled),
            Cell::count(bus.strays),
        ],
    });
    Table {
        title: v.t(Text::Buses).to_owned(),
        columns: columns.map(|(text, align)| (v.t(text).to_owned(), align)).into(),
        rows: rows.collect(),
    }
}

/// Returns the panel of the bus that a device is on, if it is on one.
pub(super) fn panels(look: &Look, v: &Viewer<'_>, device: &DeviceId) -> Vec<Panel> {
    let on_it = |bus: &&BusStatus| bus.slaves.iter().any(|slave| slave.device == *device);
    look.buses.iter().map(AsRef::as_ref).filter(on_it).map(|bus| panel(v, bus, device)).collect()
}

fn panel(v: &Viewer<'_>, bus: &BusStatus, device: &DeviceId) -> Panel {
    let mut rows = vec![
        (v.t(Text::BusPlace).to_owned(), place(bus)),
        (v.t(Text::BusLine).to_owned(), Cell::fixed(&bus.line)),
        (v.t(Text::PlannedLoad).to_owned(), planned(bus)),
        (v.t(Text::BusyMinute).to_owned(), share(bus.busy_minute)),
        (v.t(Text::BusyQuarter).to_owned(), share(bus.busy_quarter)),
    ];
    for class in bus.classes.iter().filter(|class| class.device == *device) {
        let label = format!("{} {}", v.t(Text::PlannedTime), format::interval(class.interval));
        let load = class.time.as_secs_f64() / class.interval.as_secs_f64().max(1e-3);
        rows.push((label, Cell::fixed(format!("{} × {} = {}", class.requests, millis(class.time), percent(load)))));
    }
    if let Some(slave) = bus.slaves.iter().find(|slave| slave.device == *device) {
        let seen = slave.turnaround.map_or_else(|| Cell::live("—").dim(), |seen| Cell::live(millis(seen)));
        rows.push((v.t(Text::PlannedTurnaround).to_owned(), Cell::fixed(millis(slave.planned_turnaround))));
        rows.push((v.t(Text::Turnaround).to_owned(), seen));
        rows.push((v.t(Text::DeadTime).to_owned(), Cell::fixed(v.span(slave.dead_time))));
    }
    Panel { title: format!("{} {}", v.t(Text::Bus), bus.id), href: None, rows }
}

fn place(bus: &BusStatus) -> Cell {
    match &bus.trouble {
        Some(trouble) => Cell::toned(Tone::Bad, format!("{} · {trouble}", bus.place)),
        None => Cell::live(&bus.place),
    }
}

fn planned(bus: &BusStatus) -> Cell {
    Cell::warn_if(bus.planned_load > 1.0, percent(bus.planned_load))
}

fn share(share: Option<f64>) -> Cell {
    share.map_or_else(|| Cell::live("—").dim(), |share| Cell::warn_if(share > TIGHT, percent(share)))
}

fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

fn millis(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1000.0)
}
