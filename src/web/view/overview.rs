//! The overview: alarms and the state of the site first, four panels, the devices, the streams.

use std::collections::BTreeMap;
use std::time::Duration;

use super::bus;
use super::{ACK_LATE, Align, Block, Cell, Look, Page, Panel, Row, Table, Tone, Viewer};
use super::{alarms, gates, instruments, lasting, opcua, page, sheets, site, tone_of, trust, waiting_total};
use crate::domain::field_event::LinkState;
use crate::domain::reading::Quality;
use crate::domain::registry::DeviceSpec;
use crate::domain::snapshot::{ClassView, DeviceView, Snapshot};
use crate::web::format;
use crate::web::lang::{self, Text};
use crate::web::request::encode;

/// Names of devices that are down, listed in the panel; the table has all.
const NAMES_LISTED: usize = 3;

/// Returns the overview.
pub fn overview(look: &Look, viewer: &Viewer<'_>) -> Page {
    let danger = look.snapshot.as_ref().map(|snapshot| {
        let site = Panel { href: Some(viewer.link("/site")), ..site::summary(&snapshot.danger, viewer) };
        let gates = gates::summary(look, viewer);
        Block::Panels([alarms::summary(&snapshot.danger, viewer), site].into_iter().chain(gates).collect())
    });
    let panels = vec![field(look, viewer), uplink(look, viewer), store(look, viewer), clock(look, viewer)];
    let mut blocks: Vec<Block> = danger.into_iter().chain([Block::Panels(panels)]).collect();
    if let Some(snapshot) = &look.snapshot {
        blocks.extend(instruments::table(look, snapshot, viewer).map(Block::Table));
        blocks.push(Block::Table(devices(look, snapshot, viewer)));
    }
    blocks.extend(opcua::tables(look, viewer));
    if !look.buses.is_empty() {
        blocks.push(Block::Table(bus::table(look, viewer)));
    }
    blocks.push(Block::Table(sheets::streams(look, viewer)));
    page(look, viewer, "/", viewer.t(Text::Overview).to_owned(), "/events", blocks)
}

fn field(look: &Look, v: &Viewer<'_>) -> Panel {
    let title = v.t(Text::Field).to_owned();
    let Some(snapshot) = &look.snapshot else {
        let nothing = vec![(v.t(Text::Devices).to_owned(), Cell::toned(Tone::None, v.t(Text::NoData)))];
        return Panel { title, href: None, rows: nothing };
    };
    let total = snapshot.devices.len();
    let up = snapshot.devices.iter().filter(|d| d.link == LinkState::Up).count();
    let points: usize = snapshot.devices.iter().map(|d| d.points.len()).sum();
    let good: usize = snapshot.devices.iter().map(good_points).sum();
    let totals = &snapshot.totals;
    let mut rows = vec![
        (v.t(Text::DevicesUp).to_owned(), Cell::bad_if(up < total, format!("{up} / {total}"))),
        (v.t(Text::DevicesDown).to_owned(), down_names(snapshot)),
        (v.t(Text::PointsGood).to_owned(), Cell::warn_if(good < points, format!("{good} / {points}"))),
        (v.t(Text::PollsTotal).to_owned(), Cell::count(totals.polls_due)),
        (v.t(Text::PollsSkipped).to_owned(), Cell::count(totals.polls_skipped)),
        (v.t(Text::WorstLate).to_owned(), Cell::live(v.span(totals.worst_late))),
        (v.t(Text::Readings).to_owned(), Cell::count(totals.readings)),
        (v.t(Text::ReadingsBad).to_owned(), Cell::count(totals.readings_bad)),
    ];
    let (idle, instruments) = instruments::counts(snapshot);
    if instruments > 0 {
        let cell = Cell::warn_if(idle > 0, format!("{idle} / {instruments}"));
        rows.insert(3, (v.t(Text::NotMonitoring).to_owned(), cell));
    }
    Panel { title, href: None, rows }
}

fn down_names(snapshot: &Snapshot) -> Cell {
    let down: Vec<&str> = snapshot
        .devices
        .iter()
        .zip(&snapshot.registry.devices)
        .filter(|(view, _)| matches!(view.link, LinkState::Down { .. }))
        .map(|(_, spec)| spec.name.as_str())
        .collect();
    let more = down.len().saturating_sub(NAMES_LISTED);
    let mut text = down.into_iter().take(NAMES_LISTED).collect::<Vec<_>>().join(", ");
    if more > 0 {
        text.push_str(&format!(" +{more}"));
    }
    if text.is_empty() { Cell::live("—").dim() } else { Cell::toned(Tone::Bad, text) }
}

fn uplink(look: &Look, v: &Viewer<'_>) -> Panel {
    let mut rows = Vec::new();
    if look.uplink.configured {
        rows.extend(
            look.uplink
                .sessions
                .iter()
                .map(|s| (lang::session(s.name, v.lang()).to_owned(), sheets::session_state(look, v, s))),
        );
    } else {
        rows.push((v.t(Text::Sessions).to_owned(), Cell::live(v.t(Text::NotConfigured)).dim()));
    }
    let waiting = waiting_total(look);
    let age = look.uplink.last_ack.map(|at| look.now.mono.since(at));
    let late = look.uplink.configured && waiting > 0 && age.is_none_or(|age| age > ACK_LATE);
    rows.push((v.t(Text::Waiting).to_owned(), Cell::warn_if(late, format::count(waiting))));
    rows.push((v.t(Text::LastAck).to_owned(), last_ack(age, late, v)));
    rows.push((v.t(Text::LiveAge).to_owned(), optional(look.uplink.live_age, v)));
    rows.push((v.t(Text::GapsOpen).to_owned(), sheets::gaps(look)));
    Panel { title: v.t(Text::Uplink).to_owned(), href: Some(v.link("/uplink")), rows }
}

/// The age of the last acknowledgement, in whole words.
pub(super) fn last_ack(age: Option<Duration>, late: bool, v: &Viewer<'_>) -> Cell {
    match age {
        Some(age) => Cell::warn_if(late, format!("{} {}", format::age(age, v.lang()), v.t(Text::Ago))),
        None => Cell { tone: if late { Tone::Warn } else { Tone::Dim }, ..Cell::warn_if(late, v.t(Text::Never)) },
    }
}

fn optional(span: Option<Duration>, v: &Viewer<'_>) -> Cell {
    span.map_or_else(|| Cell::live("—").dim(), |span| Cell::live(v.span(span)))
}

fn store(look: &Look, v: &Viewer<'_>) -> Panel {
    let store = &look.store;
    let lost = store.lost.iter().map(|(_, n)| *n).fold(0, u64::saturating_add);
    let mut rows = vec![
        (v.t(Text::Health).to_owned(), sheets::health(look, v)),
        (v.t(Text::Used).to_owned(), sheets::used(look)),
        (v.t(Text::WorstCommit).to_owned(), Cell::live(v.span(store.worst_commit))),
        (v.t(Text::Commits).to_owned(), Cell::count(store.commits)),
        (v.t(Text::Quarantined).to_owned(), Cell::warn_if(store.quarantined > 0, format::count(store.quarantined))),
        (v.t(Text::LostRecords).to_owned(), sheets::lost(look, lost)),
    ];
    rows.insert(2, (v.t(Text::DiskFree).to_owned(), sheets::disk_free(look, v)));
    Panel { title: v.t(Text::Store).to_owned(), href: Some(v.link("/store")), rows }
}

fn clock(look: &Look, v: &Viewer<'_>) -> Panel {
    let clock = &look.clock;
    let step = clock.last_step_ms.map_or_else(|| Cell::live("—").dim(), |ms| Cell::live(format!("{ms:+} ms")));
    let running = look.snapshot.as_ref().map(|s| s.started);
    let rows = vec![
        (v.t(Text::Trust).to_owned(), trust(clock.trust, v.lang())),
        (v.t(Text::SinceSynced).to_owned(), optional(clock.since_synced, v)),
        (v.t(Text::Utc).to_owned(), Cell::live(format::utc(look.now.wall))),
        (v.t(Text::MaxError).to_owned(), optional(clock.max_error, v)),
        (v.t(Text::Steps).to_owned(), Cell::count(clock.steps)),
        (v.t(Text::LastStep).to_owned(), step),
        (v.t(Text::Running).to_owned(), lasting(look, v, running)),
        (v.t(Text::Boot).to_owned(), Cell::live(look.identity.boot.to_string())),
        (v.t(Text::Version).to_owned(), Cell::fixed(look.version)),
    ];
    Panel { title: v.t(Text::Clock).to_owned(), href: None, rows }
}

fn devices(look: &Look, snapshot: &Snapshot, v: &Viewer<'_>) -> Table {
    let columns = [
        (Text::Device, Align::Cut),
        (Text::Connection, Align::Cut),
        (Text::Since, Align::Right),
        (Text::Good, Align::Right),
        (Text::NotGood, Align::Cut),
        (Text::Class, Align::Right),
        (Text::P50, Align::Right),
        (Text::P95, Align::Right),
        (Text::P99, Align::Right),
        (Text::WorstLate, Align::Right),
        (Text::PollsOk, Align::Right),
        (Text::PollsBad, Align::Right),
        (Text::PollsSkipped, Align::Right),
    ];
    let pairs = snapshot.registry.devices.iter().zip(&snapshot.devices);
    Table {
        title: v.t(Text::Devices).to_owned(),
        columns: columns.map(|(text, align)| (v.t(text).to_owned(), align)).into(),
        rows: pairs.flat_map(|(spec, view)| device_rows(look, v, spec, view)).collect(),
    }
}

/// A device's name; with its id before it where another has the same.
fn name_of(look: &Look, spec: &DeviceSpec) -> String {
    let devices = look.snapshot.iter().flat_map(|s| &s.registry.devices);
    let alike = devices.filter(|other| other.name == spec.name).count();
    if alike > 1 { format!("{} {}", spec.id, spec.name) } else { spec.name.clone() }
}

fn device_rows(look: &Look, v: &Viewer<'_>, spec: &DeviceSpec, view: &DeviceView) -> Vec<Row> {
    let rows = view.classes.len().max(1);
    let good = good_points(view);
    let mut first = vec![
        Cell::fixed(name_of(look, spec)).to(v.link(&format!("/device/{}", encode(spec.id.as_str())))),
        link_state(&view.link, v),
        lasting(look, v, view.link_since),
        Cell::live(format!("{good} / {}", view.points.len())),
        not_good(view, v),
    ];
    first.iter_mut().for_each(|cell| cell.span = rows);
    let up = view.link == LinkState::Up;
    let mut classes = view.classes.iter().map(|class| class_cells(class, up, v));
    first.extend(classes.next().unwrap_or_else(|| vec![Cell::live("—").dim(); 8]));
    let rest = classes.map(|cells| Row { first: false, cells });
    std::iter::once(Row { first: true, cells: first }).chain(rest).collect()
}

/// The eight cells of a poll class: configured, achieved, worst, account.
pub(super) fn class_cells(class: &ClassView, up: bool, v: &Viewer<'_>) -> Vec<Cell> {
    let achieved = |span: Option<Duration>| match span {
        // More than a tenth beyond its interval, and more than a scheduler's grain: not kept.
        Some(got) => {
            let late = up && got > class.interval.mul_f64(1.1) + Duration::from_millis(10);
            Cell::warn_if(late, format::achieved(got, class.interval))
        }
        None => Cell::live("—").dim(),
    };
    vec![
        Cell::fixed(format::interval(class.interval)),
        achieved(class.p50),
        achieved(class.p95),
        achieved(class.p99),
        Cell::live(v.span(class.worst_late)),
        Cell::count(class.ok),
        Cell::count(class.bad),
        Cell::count(class.skipped),
    ]
}

/// The state of a connection: symbol, word, reason.
pub(super) fn link_state(link: &LinkState, v: &Viewer<'_>) -> Cell {
    match link {
        LinkState::Up => Cell::live(format!("● {}", v.t(Text::Up))),
        LinkState::Connecting => Cell::toned(Tone::None, v.t(Text::Connecting)),
        LinkState::Down { reason, .. } => Cell::toned(Tone::Bad, format!("{} · {reason}", v.t(Text::Down))),
    }
}

fn good_points(view: &DeviceView) -> usize {
    view.points.iter().filter(|p| p.reading.is_some_and(|r| r.quality == Quality::Good)).count()
}

/// What is not good, counted by quality, the worst tone of all.
fn not_good(view: &DeviceView, v: &Viewer<'_>) -> Cell {
    let mut unread = 0_usize;
    let mut counts: BTreeMap<Quality, usize> = BTreeMap::new();
    for point in &view.points {
        match point.reading {
            None => unread += 1,
            Some(reading) if reading.quality != Quality::Good => *counts.entry(reading.quality).or_default() += 1,
            Some(_) => {}
        }
    }
    let mut words: Vec<String> = counts.iter().map(|(q, n)| format!("{} {n}", lang::quality(*q, v.lang()))).collect();
    if unread > 0 {
        words.push(format!("{} {unread}", v.t(Text::NotYetRead)));
    }
    let tones: Vec<Tone> = counts.keys().map(|q| tone_of(*q)).collect();
    let tone = [Tone::Bad, Tone::Warn].into_iter().find(|tone| tones.contains(tone)).unwrap_or(Tone::None);
    if words.is_empty() { Cell::live("—").dim() } else { Cell::toned(tone, words.join(", ")) }
}
