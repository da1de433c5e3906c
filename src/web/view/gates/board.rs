//! What is not normal at the gates, worst first, each in one line that can be read from two metres.

use super::lanes::{Condition, lane_name};
use super::{count, seconds, zone_name};
use crate::domain::gate::desk::TicketKind;
use crate::domain::gate::gates::view::{GatesView, HazmatView, InsideView, MusterView, TicketView};
use crate::domain::gate::hazmat::lot::BayStatus;
use crate::web::lang::{Lang, Text};
use crate::web::view::{Cell, Look, Tone, Viewer};

/// Lines: more than a guard can act on at once, and the lanes below still begin on a small screen.
const LINES: usize = 8;

/// Returns the lines; the first says that nothing is wrong where nothing is.
pub(super) fn board(view: &GatesView, look: &Look, v: &Viewer<'_>) -> Vec<Cell> {
    let mut lines: Vec<(Tone, String)> = view.musters.iter().map(|muster| muster_line(muster, look, v)).collect();
    let (rescue, others): (Vec<_>, Vec<_>) =
        view.tickets.iter().partition(|ticket| matches!(ticket.kind, TicketKind::Rescue));
    lines.extend(rescue.into_iter().map(|ticket| ticket_line(ticket, view, v)));
    for lane in &view.lanes {
        let condition = Condition::of(lane, v);
        if condition.tone != Tone::Plain {
            lines.push((condition.tone, format!("{} {}", lane_name(&lane.lane, v), condition.words.join(" · "))));
        }
    }
    lines.extend(others.into_iter().map(|ticket| ticket_line(ticket, view, v)));
    lines.extend(inside(&view.inside, look, v));
    lines.extend(hazmat(&view.hazmat, v));
    lines.sort_by_key(|(tone, _)| *tone != Tone::Bad);
    let more = lines.len().saturating_sub(LINES);
    let mut cells: Vec<Cell> = lines.iter().take(LINES).map(|(tone, text)| Cell::toned(*tone, text)).collect();
    if cells.is_empty() {
        cells.push(Cell::live(format!("● {}", v.t(Text::NothingToDo))));
    }
    if let Some(last) = cells.last_mut().filter(|_| more > 0) {
        *last = Cell::toned(Tone::Bad, format!("+{}", more + 1));
    }
    cells.resize(LINES, Cell::live(""));
    cells
}

fn muster_line(muster: &MusterView, look: &Look, v: &Viewer<'_>) -> (Tone, String) {
    let n = &muster.numbers;
    let drill = if muster.drill { format!(" {}", v.t(Text::Drill)) } else { String::new() };
    let zone = zone_name(&muster.zone, look, v);
    let text = match v.lang() {
        Lang::Zh => format!(
            "人员清点{drill} {zone}：未到 {}（未识别 {}，求救 {}），安全 {} / 应到 {}",
            n.unaccounted, n.unidentified, n.sos, n.safe, n.listed
        ),
        Lang::En => format!(
            "Muster{drill} {zone}: {} unaccounted ({} unidentified, {} SOS), {} safe of {}",
            n.unaccounted, n.unidentified, n.sos, n.safe, n.listed
        ),
    };
    (if muster.drill { Tone::Warn } else { Tone::Bad }, text)
}

fn ticket_line(ticket: &TicketView, view: &GatesView, v: &Viewer<'_>) -> (Tone, String) {
    let lane = view.lanes.iter().find(|lane| lane.lane.id == ticket.lane);
    let lane = lane.map_or_else(|| ticket.lane.to_string(), |lane| lane_name(&lane.lane, v));
    let kind = super::word(ticket.kind.zh(), ticket.kind.as_str(), v);
    let subject = ticket.subject.as_deref().unwrap_or_default();
    let to = v.lang().pick(&ticket.to_zh, &ticket.to_en);
    let left = format!("{} {}", v.t(Text::Left), seconds(ticket.left_s, v));
    (super::lanes::ticket_tone(ticket), format!("{lane} {kind} {subject} → {to} · {left}"))
}

/// What is wrong with the account as a whole. Rows say the rest.
fn inside(inside: &InsideView, look: &Look, v: &Viewer<'_>) -> Vec<(Tone, String)> {
    let mut lines = Vec::new();
    if inside.peers_heard == Some(false) {
        lines.push((Tone::Bad, v.t(Text::PeersCut).to_owned()));
    }
    if !inside.known {
        lines.push((Tone::Warn, v.t(Text::NotCounted).to_owned()));
    }
    for zone in &inside.zones {
        let name = zone_name(&zone.zone, look, v);
        if zone.gas_level > 0 {
            lines.push((Tone::Bad, format!("{name} {} {}", v.t(Text::GasAlarm), zone.gas_level)));
        }
        if zone.persons.over || zone.vehicles.values().any(|count| count.over) {
            lines.push((Tone::Bad, format!("{name} {}", v.t(Text::TooMany))));
        }
    }
    let lists = [
        (Text::Conflicts, inside.conflicts.len()),
        (Text::InDoubt, inside.in_doubt.len()),
        (Text::Overstays, inside.overstays.len()),
        (Text::Reviews, inside.reviews.len()),
    ];
    lines.extend(lists.iter().filter(|(_, n)| *n > 0).map(|(t, n)| (Tone::Warn, format!("{} {}", v.t(*t), count(*n)))));
    lines
}

fn hazmat(hazmat: &HazmatView, v: &Viewer<'_>) -> Vec<(Tone, String)> {
    let mut lines = Vec::new();
    for bay in hazmat.bays.iter().filter(|bay| bay.status == BayStatus::Wrong) {
        let plate = bay.plate.as_deref().unwrap_or_default();
        lines.push((Tone::Bad, format!("{} {} {} {plate}", v.t(Text::Bay), bay.bay, v.t(Text::ParkedWrong))));
    }
    for visit in hazmat.visits.iter().filter(|visit| visit.overstays) {
        lines.push((Tone::Bad, format!("{} {}", visit.plate, v.t(Text::Overstays))));
    }
    let warned = hazmat.visits.iter().filter(|visit| visit.warned && !visit.overstays).count();
    if warned > 0 {
        lines.push((Tone::Warn, format!("{} {}", v.t(Text::StayWarned), count(warned))));
    }
    if !hazmat.bays.is_empty() && !hazmat.table_signed {
        lines.push((Tone::Warn, v.t(Text::TableNotSigned).to_owned()));
    }
    lines
}
