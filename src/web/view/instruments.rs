//! The instruments that are not measuring now: what each is doing, and since when (`domain.md` A10 rule 83).

use super::{Align, Cell, Look, Row, Table, Tone, Viewer};
use crate::domain::instrument::InstrumentState;
use crate::domain::registry::{DeviceSpec, PointSpec};
use crate::domain::snapshot::{PointView, Snapshot};
use crate::domain::time::Mono;
use crate::web::lang::{self, Text};
use crate::web::request::encode;

/// Rows listed: more than these are not read by a person; the panel counts all.
const LISTED: usize = 40;

/// How many instruments tell their state, and how many of them are not monitoring.
pub(super) fn counts(snapshot: &Snapshot) -> (usize, usize) {
    let states = || points(snapshot).filter_map(|(_, _, view)| view.state);
    (states().filter(|(state, _)| *state != InstrumentState::Monitoring).count(), states().count())
}

/// Returns the list, `None` when all are monitoring.
pub(super) fn table(look: &Look, snapshot: &Snapshot, v: &Viewer<'_>) -> Option<Table> {
    let rows: Vec<Row> = points(snapshot)
        .filter_map(|(device, point, view)| Some((device, point, view.state?)))
        .filter(|(_, _, (state, _))| *state != InstrumentState::Monitoring)
        .take(LISTED)
        .map(|(device, point, state)| Row { first: true, cells: row(look, v, device, point, state) })
        .collect();
    let columns = [
        (Text::Tag, Align::Left),
        (Text::Name, Align::Cut),
        (Text::InstrumentState, Align::Left),
        (Text::Since, Align::Right),
        (Text::Device, Align::Cut),
    ];
    (!rows.is_empty()).then(|| Table {
        title: v.t(Text::NotMonitoring).to_owned(),
        columns: columns.map(|(text, align)| (v.t(text).to_owned(), align)).into(),
        rows,
    })
}

fn points(snapshot: &Snapshot) -> impl Iterator<Item = (&DeviceSpec, &PointSpec, &PointView)> {
    let devices = snapshot.registry.devices.iter().map(AsRef::as_ref).zip(&snapshot.devices);
    devices.flat_map(|(spec, view)| spec.points.iter().zip(&view.points).map(move |(point, view)| (spec, point, view)))
}

fn row(
    look: &Look,
    v: &Viewer<'_>,
    device: &DeviceSpec,
    point: &PointSpec,
    (state, since): (InstrumentState, Mono),
) -> Vec<Cell> {
    vec![
        Cell::fixed(point.tag.as_str()).to(v.link(&format!("/point/{}", encode(point.tag.as_str())))),
        Cell::fixed(&point.name),
        self::state(state, v),
        super::lasting(look, v, Some(since)),
        Cell::fixed(&device.name),
    ]
}

/// A state as a cell: a fault is to be mended, an unknown one to be looked at, the others are arranged by a person.
pub(super) fn state(state: InstrumentState, v: &Viewer<'_>) -> Cell {
    let tone = match state {
        InstrumentState::Monitoring => Tone::Plain,
        InstrumentState::Fault => Tone::Bad,
        InstrumentState::Unknown => Tone::Warn,
        InstrumentState::Inhibited
        | InstrumentState::Maintenance
        | InstrumentState::WarmUp
        | InstrumentState::BumpTest
        | InstrumentState::Calibration
        | InstrumentState::Simulation => Tone::None,
    };
    Cell::toned(tone, lang::instrument(state, v.lang()))
}
