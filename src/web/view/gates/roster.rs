//! Everybody inside, by pages, and the roll of a muster as it is printed: both are made of what this gateway knows itself, so that
//! they are there with every link down.

use std::cmp::Reverse;

use super::inside::{gate, number_of, roll_table};
use super::{dash, masked, or_dash, seconds, when, word, zone_name};
use crate::domain::gate::gates::view::{GatesView, Guest, MusterView};
use crate::domain::gate::inside::Subject;
use crate::web::lang::Text;
use crate::web::park::Gates;
use crate::web::view::alarms::table;
use crate::web::view::{Align, Block, Cell, Look, Page, Panel, Table, Tone, Viewer, frame, page};

/// Rows of one page of the list: two screens of it, and no burden for the stream.
const PER_PAGE: usize = 50;

/// Returns a page of the list of everybody inside, counted from 1; a number beyond the last one is the last one's. `None` where
/// no gates are configured.
pub fn inside(look: &Look, v: &Viewer<'_>, n: usize) -> Option<Page> {
    let view = match &look.gates {
        Gates::Absent => return None,
        Gates::Silent => return Some(silent(look, v, "/inside", Text::InsideList)),
        Gates::View(view) => view,
    };
    let mut guests: Vec<&Guest> = view.inside.zones.iter().flat_map(|zone| &zone.guests).collect();
    guests.sort_by_key(|guest| (Reverse(guest.overstays), guest.since));
    let last = guests.len().div_ceil(PER_PAGE).max(1);
    let n = n.clamp(1, last);
    let shown = guests.iter().skip((n - 1) * PER_PAGE).take(PER_PAGE);
    let rows = shown.map(|guest| row(guest, view, look, v)).collect();
    let columns = [
        (Text::Who, Align::Left),
        (Text::Zone, Align::Left),
        (Text::BeganAt, Align::Right),
        (Text::Since, Align::Right),
        (Text::CameThrough, Align::Left),
        (Text::CameWith, Align::Left),
        (Text::ForWhom, Align::Left),
        (Text::AlarmState, Align::Lines),
    ];
    let title = v.t(Text::InsideList).to_owned();
    let blocks = vec![
        Block::Panels(vec![summary(view, &guests, v), places(n, last, view, v)]),
        Block::Table(table(v, Text::InsideList, &columns, rows, PER_PAGE)),
    ];
    let path = if n > 1 { format!("/inside?p={n}") } else { "/inside".to_owned() };
    Some(page(look, v, &path, title, &format!("/events?page=inside&p={n}"), blocks))
}

fn silent(look: &Look, v: &Viewer<'_>, path: &str, title: Text) -> Page {
    let notice = Block::Notice(Cell::toned(Tone::Bad, v.t(Text::GatesSilent)));
    page(look, v, path, v.t(title).to_owned(), "/events?page=inside", vec![notice])
}

/// How many are there, as far as they are known by name.
fn summary(view: &GatesView, guests: &[&Guest], v: &Viewer<'_>) -> Panel {
    let persons = guests.iter().filter(|guest| matches!(guest.subject, Subject::Person(_))).count();
    let unidentified: u64 = guests.iter().map(|guest| u64::from(guest.unidentified)).sum();
    let more: usize = view.inside.zones.iter().map(|zone| zone.more).sum();
    let overstays = guests.iter().filter(|guest| guest.overstays).count();
    let known = view.inside.known;
    let number = |n: usize| super::counted(known, false, super::count(n));
    let counted =
        if known { Cell::live(v.t(Text::CountsKnown)).dim() } else { Cell::toned(Tone::None, v.t(Text::NotCounted)) };
    let rows = vec![
        (v.t(Text::Persons).to_owned(), number(persons)),
        (v.t(Text::Vehicles).to_owned(), number(guests.len() - persons)),
        (v.t(Text::Unidentified).to_owned(), Cell::warn_if(unidentified > 0, unidentified.to_string())),
        (v.t(Text::Overstays).to_owned(), Cell::warn_if(overstays > 0, overstays.to_string())),
        (v.t(Text::NotListed).to_owned(), Cell::warn_if(more > 0, more.to_string())),
        (v.t(Text::Counts).to_owned(), counted),
    ];
    Panel { title: v.t(Text::KnownByName).to_owned(), href: None, rows }
}

/// Where this page is among the others.
fn places(n: usize, last: usize, view: &GatesView, v: &Viewer<'_>) -> Panel {
    let to = |n: usize| Cell::fixed(n.to_string()).to(v.link(&format!("/inside?p={n}")));
    let mut rows = vec![(v.t(Text::PageOf).to_owned(), Cell::live(format!("{n} / {last}")))];
    rows.push((v.t(Text::PageBefore).to_owned(), if n > 1 { to(n - 1) } else { Cell::fixed("—").dim() }));
    rows.push((v.t(Text::PageAfter).to_owned(), if n < last { to(n + 1) } else { Cell::fixed("—").dim() }));
    let musters = match view.musters.len() {
        0 => Cell::fixed("—").dim(),
        some => Cell::fixed(some.to_string()).to(v.link("/muster")),
    };
    rows.push((v.t(Text::Muster).to_owned(), musters));
    Panel { title: v.t(Text::PageOf).to_owned(), href: None, rows }
}

fn row(guest: &Guest, view: &GatesView, look: &Look, v: &Viewer<'_>) -> Vec<Cell> {
    let class = guest.class.map(|class| format!(" {}", word(class.zh(), class.as_str(), v))).unwrap_or_default();
    let ms = u64::try_from(view.at.0.saturating_sub(guest.since.0)).unwrap_or(0);
    let mut state = Vec::new();
    if guest.overstays {
        state.push(v.t(Text::Overstays).to_owned());
    }
    if guest.unidentified > 0 {
        state.push(format!("+{} {}", guest.unidentified, v.t(Text::Unidentified)));
    }
    vec![
        Cell::live(format!("{}{class}", masked(&guest.subject))),
        Cell::live(zone_name(&guest.zone, look, v)),
        Cell::live(when(guest.since, look, v)),
        Cell::live(seconds(ms / 1000, v)),
        guest.through.as_ref().map_or_else(|| Cell::live(v.t(Text::CountedIn)).dim(), |way| Cell::live(gate(way))),
        or_dash(guest.with.as_deref()),
        or_dash(guest.company.as_ref().map(ToString::to_string)),
        if state.is_empty() { dash() } else { Cell::toned(Tone::Warn, state.join("\n")) },
    ]
}

/// Returns the rolls of the musters that run, whole, as they stood when the page was asked for: nothing on it moves while it is
/// printed. `None` where no gates are configured.
pub fn muster(look: &Look, v: &Viewer<'_>) -> Option<Page> {
    let view = match &look.gates {
        Gates::Absent => return None,
        Gates::Silent => return Some(silent(look, v, "/muster", Text::Muster)),
        Gates::View(view) => view,
    };
    let mut blocks = Vec::new();
    if view.musters.is_empty() {
        blocks.push(Block::Notice(Cell::fixed(v.t(Text::NoMuster))));
        blocks.push(Block::Notice(Cell::fixed(v.t(Text::InsideList)).to(v.link("/inside"))));
    }
    for muster in &view.musters {
        blocks.push(Block::Panels(vec![number_of(muster, look, v)]));
        blocks.push(Block::Table(sheet(muster, look, v)));
    }
    blocks.iter_mut().for_each(still);
    Some(Page {
        title: v.t(Text::Muster).to_owned(),
        frame: frame(look, v, "/muster"),
        blocks,
        events: None,
        refresh: None,
    })
}

/// The whole roll, with a box for a pen.
fn sheet(muster: &MusterView, look: &Look, v: &Viewer<'_>) -> Table {
    let mut roll = roll_table(muster, muster.rows.len().max(1), look, v);
    roll.columns.insert(0, (v.t(Text::Ticked).to_owned(), Align::Left));
    for row in &mut roll.rows {
        row.cells.insert(0, Cell::fixed("□"));
    }
    roll
}

/// Nothing on the page is live.
fn still(block: &mut Block) {
    match block {
        Block::Panels(panels) => {
            panels.iter_mut().flat_map(|panel| &mut panel.rows).for_each(|(_, cell)| cell.live = false);
        }
        Block::Table(table) => table.rows.iter_mut().flat_map(|row| &mut row.cells).for_each(|cell| cell.live = false),
        Block::Notice(cell) => cell.live = false,
        Block::Board(lines) => lines.iter_mut().for_each(|cell| cell.live = false),
        Block::Trend { .. } => {}
    }
}
