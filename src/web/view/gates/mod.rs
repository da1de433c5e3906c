//! The gates: what is not normal first and large, for a guard two metres away; then whom the gates ask, the lanes, who is
//! inside, dangerous goods, and the reasons of what was decided.
//!
//! - **Nothing and not known never look alike.** A list without rows says so in words; a count without a signed one before it, an
//!   arm whose place nobody sees, a queue that no loop sees are marked `◇`; an engine that does not answer leaves no lane on the
//!   page at all.
//! - **A lane is quiet only when nothing is wrong with it**: whatever it lacks stands in its own column, and puts it on the board
//!   and before the others ([`lanes::Condition`]).
//! - **Who is shown how** (`domain.md` rule 140; the page has no roles yet): numbers and telephones are not here at all;
//!   persons stand by their references; plates stand in full where somebody must compare them with the vehicle before him (lanes,
//!   tickets, passages in doubt, dangerous goods) and masked in lists of who is inside ([`masked`]). The picture of a vehicle
//!   stands beside the decision about it, under a right of its own in the route table.
//!
//! Lists have a fixed number of places, all live, as those of `alarms.rs`; a muster that begins or ends loads the page anew.

mod board;
mod hazmat;
mod inside;
mod lanes;
mod roster;

use std::time::Duration;

pub use roster::{inside as inside_list, muster as muster_roll};

use super::alarms::table;
use super::{Align, Block, Cell, Look, Page, Panel, Table, Tone, Viewer, page};
use crate::domain::gate::gates::view::GatesView;
use crate::domain::gate::inside::Subject;
use crate::domain::gate::plate::Plate;
use crate::domain::gate::word::{PersonRef, ZoneId};
use crate::domain::time::Timestamp;
use crate::web::format;
use crate::web::lang::{Lang, Text};
use crate::web::park::Gates;

/// A time of day says which day it is of for so long.
const SAME_DAY: Duration = Duration::from_secs(12 * 3600);

/// Returns the page of the gates; `None` where none are configured.
pub fn gates(look: &Look, v: &Viewer<'_>) -> Option<Page> {
    let mut blocks = Vec::new();
    match &look.gates {
        Gates::Absent => return None,
        Gates::Silent => blocks.push(Block::Notice(Cell::toned(Tone::Bad, v.t(Text::GatesSilent)))),
        Gates::View(view) => {
            blocks.push(Block::Board(board::board(view, look, v)));
            blocks.extend(view.musters.iter().flat_map(|muster| inside::muster(muster, look, v)));
            blocks.push(Block::Table(lanes::tickets(view, look, v)));
            blocks.push(Block::Table(lanes::lanes(view, look, v)));
            blocks.push(Block::Table(inside::zones(view, look, v)));
            blocks.push(Block::Table(inside::unclear(view, look, v)));
            blocks.push(Block::Table(inside::overstays(view, look, v)));
            blocks.extend(hazmat::tables(&view.hazmat, look, v).into_iter().map(Block::Table));
            blocks.push(Block::Table(lanes::reasons(view, look, v)));
        }
    }
    Some(page(look, v, "/gates", v.t(Text::Gates).to_owned(), "/events?page=gates", blocks))
}

/// The gates in a few figures, for the overview; `None` where none are configured.
pub(super) fn summary(look: &Look, v: &Viewer<'_>) -> Option<Panel> {
    let rows = match &look.gates {
        Gates::Absent => return None,
        Gates::Silent => vec![(v.t(Text::Lanes).to_owned(), Cell::toned(Tone::Bad, v.t(Text::NoData)))],
        Gates::View(view) => figures(view, v),
    };
    Some(Panel { title: v.t(Text::Gates).to_owned(), href: Some(v.link("/gates")), rows })
}

fn figures(view: &GatesView, v: &Viewer<'_>) -> Vec<(String, Cell)> {
    let conditions: Vec<_> = view.lanes.iter().map(|lane| lanes::Condition::of(lane, v)).collect();
    let count = |tone| conditions.iter().filter(|condition| condition.tone == tone).count();
    let (bad, abnormal) = (count(Tone::Bad), count(Tone::Bad) + count(Tone::Warn));
    let tone = if bad > 0 { Tone::Bad } else { Tone::Warn };
    let lanes = match abnormal {
        0 => Cell::live(format!("● {} {}", view.lanes.len(), v.t(Text::Normal))),
        _ => Cell::toned(tone, format!("{abnormal} / {}", view.lanes.len())),
    };
    let outer = view.inside.zones.iter().filter(|zone| zone.parent.is_none());
    let persons: u32 = outer.clone().map(|zone| zone.persons.now).fold(0, u32::saturating_add);
    let over = view.inside.zones.iter().any(|zone| zone.persons.over);
    let unaccounted: u32 = view.musters.iter().map(|muster| muster.numbers.unaccounted).fold(0, u32::saturating_add);
    let muster = match view.musters.len() {
        0 => Cell::live("—").dim(),
        _ => Cell::toned(Tone::Bad, format!("{} {unaccounted}", v.t(Text::Unaccounted))),
    };
    let unclear = view.inside.in_doubt.len() + view.inside.conflicts.len();
    vec![
        (v.t(Text::LanesNotNormal).to_owned(), lanes),
        (v.t(Text::Tickets).to_owned(), Cell::bad_if(!view.tickets.is_empty(), view.tickets.len().to_string())),
        (v.t(Text::PersonsInside).to_owned(), counted(view.inside.known, over, persons.to_string())),
        (v.t(Text::Unclear).to_owned(), Cell::warn_if(unclear > 0, unclear.to_string())),
        (v.t(Text::HazmatInside).to_owned(), Cell::live(view.hazmat.visits.len().to_string())),
        (v.t(Text::Muster).to_owned(), muster),
    ]
}

/// A number of those inside: what nobody has counted is no plain number.
fn counted(known: bool, over: bool, text: String) -> Cell {
    match (over, known) {
        (true, _) => Cell::toned(Tone::Bad, text),
        (false, true) => Cell::live(text),
        (false, false) => Cell::toned(Tone::None, text),
    }
}

/// A list with a fixed number of places. Without rows it says `none` in its first cell. What has no place, and the `hidden` ones
/// that the view itself has left out, are counted in the last.
fn listed(
    v: &Viewer<'_>,
    title: Text,
    columns: &[(Text, Align)],
    mut rows: Vec<Vec<Cell>>,
    (places, hidden): (usize, usize),
    none: Text,
) -> Table {
    let only = |cell| std::iter::once(cell).chain(std::iter::repeat(Cell::live(""))).take(columns.len()).collect();
    if rows.is_empty() && hidden == 0 {
        rows.push(only(Cell::live(v.t(none)).dim()));
    }
    if hidden > 0 || rows.len() > places {
        let shown = rows.len().min(places.saturating_sub(1));
        let more = rows.len() - shown + hidden;
        rows.truncate(shown);
        rows.push(only(Cell::toned(Tone::Warn, format!("+{more}"))));
    }
    table(v, title, columns, rows, places)
}

fn dash() -> Cell {
    Cell::live("—").dim()
}

fn or_dash(text: Option<impl AsRef<str>>) -> Cell {
    text.map_or_else(dash, |text| Cell::live(text.as_ref()))
}

/// A word of a closed list: Chinese as it is, English without its underscores.
fn word(zh: &str, en: &str, v: &Viewer<'_>) -> String {
    v.lang().pick(zh, &en.replace('_', " ")).to_owned()
}

/// The time of day, with its date where that is not today's for certain.
fn when(at: Timestamp, look: &Look, v: &Viewer<'_>) -> String {
    let near = at >= look.now.wall.before(SAME_DAY) && at <= look.now.wall.after(SAME_DAY);
    if near { v.zone.time(at) } else { v.zone.date_time(at) }
}

fn seconds(s: u64, v: &Viewer<'_>) -> String {
    v.span(Duration::from_secs(s))
}

/// A zone by the name that the site gives it.
fn zone_name(zone: &ZoneId, look: &Look, v: &Viewer<'_>) -> String {
    let site = look.snapshot.as_ref().map(|snapshot| &snapshot.danger.site);
    let named = site.and_then(|site| site.zones.iter().find(|one| one.id == zone.as_str()));
    let name = named.map(|one| match v.lang() {
        Lang::Zh => one.name.as_str(),
        Lang::En => one.name_en.as_str(),
    });
    name.filter(|name| !name.is_empty()).unwrap_or(zone.as_str()).to_owned()
}

/// Who or what, for lists that nobody compares with a vehicle before him.
fn masked(subject: &Subject) -> String {
    match subject {
        Subject::Vehicle(plate) => masked_plate(plate),
        Subject::Person(person) => short(person),
    }
}

/// A reference as far as people need it to tell one from another; commands take the whole one, and `parkgate inside` shows it.
fn short(person: &PersonRef) -> String {
    const SHOWN: usize = 10;
    let whole = person.to_string();
    if whole.chars().count() <= SHOWN { whole } else { whole.chars().take(SHOWN).chain(['…']).collect() }
}

/// A plate with its province and its last three signs.
fn masked_plate(plate: &Plate) -> String {
    let n = plate.text.chars().count();
    let hide = |(i, c): (usize, char)| if (2..n.saturating_sub(3)).contains(&i) { '*' } else { c };
    plate.text.chars().enumerate().map(hide).collect()
}

/// A bar of a share of what may be.
fn share(now: u64, most: u64, tone: Tone) -> Cell {
    let (now, most) = (Duration::from_secs(now).as_secs_f64(), Duration::from_secs(most).as_secs_f64());
    if most > 0.0 { Cell::meter(Some(now / most * 100.0), tone) } else { Cell::meter(None, tone) }
}

fn count(n: usize) -> String {
    format::count(u64::try_from(n).unwrap_or(u64::MAX))
}
