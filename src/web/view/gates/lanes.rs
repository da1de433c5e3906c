//! Lanes with what is wrong with them, whom they ask, and why they decided as they did.

use std::cmp::Reverse;
use std::time::Duration;

use super::{dash, listed, seconds, short, when, word};
use crate::domain::gate::desk::{Addressee, TicketKind};
use crate::domain::gate::gates::view::{Decided, GatesView, LaneNow, TicketView};
use crate::domain::gate::lane::LaneView;
use crate::domain::gate::lane::spec::{Service, Trouble};
use crate::domain::gate::lane::told::LaneFault;
use crate::domain::gate::picture::Picture;
use crate::domain::gate::verdict::{Reason, Verdict};
use crate::domain::gate::word::{Direction, LaneKind};
use crate::domain::order::LaneRule;
use crate::domain::time::ClockTrust;
use crate::web::lang::{self, Lang, Text};
use crate::web::request::encode;
use crate::web::view::site::rule_words;
use crate::web::view::{Align, Cell, Look, Table, Tone, Viewer};

/// Open tickets: more than a shift can answer at once.
const TICKETS: usize = 16;
/// Reasons in both languages: those of the last decisions of a dozen lanes.
const REASONS: usize = 32;

/// What is wrong with a lane. Plain only where it has all that it needs to decide well and nothing holds it.
pub(super) struct Condition {
    /// `Plain`, `Warn` or `Bad`.
    pub(super) tone: Tone,
    /// Each thing by itself, the worst first; empty where nothing is.
    pub(super) words: Vec<String>,
}

impl Condition {
    pub(super) fn of(now: &LaneNow, v: &Viewer<'_>) -> Self {
        let mut found = dangers(now, v);
        found.extend(lacks(&now.lane, v));
        found.extend(arranged(&now.lane, v));
        found.sort_by_key(|(tone, _)| *tone != Tone::Bad);
        let tone = found.first().map_or(Tone::Plain, |(tone, _)| *tone);
        Self { tone, words: found.into_iter().map(|(_, words)| words).collect() }
    }

    fn rank(&self) -> u8 {
        match self.tone {
            Tone::Bad => 0,
            Tone::Warn => 1,
            Tone::Plain
            | Tone::Dim
            | Tone::None
            | Tone::Stale
            | Tone::Red
            | Tone::Orange
            | Tone::Yellow
            | Tone::Blue => 2,
        }
    }
}

/// What is or may become dangerous.
fn dangers(now: &LaneNow, v: &Viewer<'_>) -> Vec<(Tone, String)> {
    let lane = &now.lane;
    let mut found = Vec::new();
    if lane.fire && !lane.faults.iter().any(|fault| fault.fault == LaneFault::Fire) {
        found.push((Tone::Bad, word(LaneFault::Fire.zh(), LaneFault::Fire.en(), v)));
    }
    for fault in &lane.faults {
        found.push((Tone::Bad, v.lang().pick(&fault.zh, &fault.en).to_owned()));
    }
    if now.queue_alarm {
        found.push((Tone::Bad, v.t(Text::QueueGrows).to_owned()));
    }
    if lane.disarmed {
        found.push((Tone::Bad, v.t(Text::Disarmed).to_owned()));
    }
    found
}

/// What it lacks, and what it does because of that.
fn lacks(lane: &LaneView, v: &Viewer<'_>) -> Vec<(Tone, String)> {
    let mut found = Vec::new();
    for trouble in &lane.troubles {
        let tone = match trouble.trouble {
            Trouble::Camera | Trouble::Reader | Trouble::Loop => Tone::Bad,
            Trouble::Clock | Trouble::Lists | Trouble::Restart | Trouble::Peers => Tone::Warn,
        };
        found.push((tone, v.lang().pick(&trouble.zh, &trouble.en).to_owned()));
    }
    if lane.kind == LaneKind::Vehicle && lane.arm.is_none() {
        found.push((Tone::Warn, format!("{}: {}", v.t(Text::Arm), v.lang().pick(lane.arm_zh, lane.arm_en))));
    }
    found
}

/// What somebody has arranged.
fn arranged(lane: &LaneView, v: &Viewer<'_>) -> Vec<(Tone, String)> {
    let mut found = Vec::new();
    if let Some(hold) = &lane.hold {
        let left = v.span(Duration::from_millis(hold.left_ms));
        let text = format!("{} {}: {} · {} {left}", v.t(Text::HeldBy), hold.by, hold.why, v.t(Text::Left));
        found.push((Tone::Warn, text));
    }
    if lane.rule != LaneRule::Normal {
        found.push((Tone::Warn, format!("{}: {}", v.t(Text::SiteState), rule_words(lane.rule, v))));
    }
    if lane.service != Service::InService {
        found.push((Tone::Warn, word(lane.service.zh(), lane.service.as_str(), v)));
    }
    if lane.testing {
        found.push((Tone::Warn, v.t(Text::UnderTest).to_owned()));
    }
    found
}

/// A lane as people call it, and which way it leads now.
pub(super) fn lane_name(lane: &LaneView, v: &Viewer<'_>) -> String {
    let name = match v.lang() {
        Lang::Zh => &lane.name,
        Lang::En => &lane.name_en,
    };
    if name.is_empty() { lane.id.to_string() } else { name.clone() }
}

fn way(direction: Direction, v: &Viewer<'_>) -> String {
    word(direction.zh(), direction.as_str(), v)
}

/// The lanes: what is not normal first, then in the order of their ids.
pub(super) fn lanes(view: &GatesView, look: &Look, v: &Viewer<'_>) -> Table {
    let columns = [
        (Text::Lane, Align::Lines),
        (Text::Condition, Align::Lines),
        (Text::AlarmState, Align::Left),
        (Text::Arm, Align::Lines),
        (Text::BeforeIt, Align::Lines),
        (Text::LastVerdict, Align::Lines),
        (Text::Pictures, Align::Left),
    ];
    let mut lanes: Vec<(Condition, &LaneNow)> = view.lanes.iter().map(|lane| (Condition::of(lane, v), lane)).collect();
    lanes.sort_by_key(|(condition, _)| condition.rank());
    let rows = lanes.iter().map(|(condition, now)| row(condition, now, look, v)).collect();
    listed(v, Text::Lanes, &columns, rows, (view.lanes.len().max(1), 0), Text::None)
}

fn row(condition: &Condition, now: &LaneNow, look: &Look, v: &Viewer<'_>) -> Vec<Cell> {
    let lane = &now.lane;
    let manned = if lane.manned { Text::Manned } else { Text::Unmanned };
    let name = format!("{} · {}\n{} {}", lane_name(lane, v), way(lane.direction, v), lane.id, v.t(manned));
    let condition = match condition.words.as_slice() {
        [] => Cell::live(format!("● {}", v.t(Text::Normal))),
        words => Cell::toned(condition.tone, words.join("\n")),
    };
    let phase = word(lane.phase.zh(), lane.phase.as_str(), v);
    vec![
        Cell::live(name),
        condition,
        Cell::live(format!("{phase} {}", v.span(Duration::from_secs(lane.for_ms / 1000)))),
        arm(lane, v),
        before(now, v),
        last(now, look, v),
        picture(now),
    ]
}

/// Where the arm is, and whether anything is under it. A door has neither to show.
fn arm(lane: &LaneView, v: &Viewer<'_>) -> Cell {
    let place = match lane.arm {
        Some("up") => Some(v.lang().pick("抬起", "up")),
        Some("down") => Some(v.lang().pick("落下", "down")),
        Some("between") => Some(v.lang().pick("途中", "between")),
        Some(other) => Some(other),
        None => None,
    };
    if lane.kind == LaneKind::Person {
        return super::or_dash(place);
    }
    let under = match lane.under_arm {
        Some(true) => v.t(Text::UnderArm),
        Some(false) => "",
        None => v.t(Text::UnderArmUnknown),
    };
    let text = format!("{}\n{under}", place.unwrap_or(v.t(Text::Unknown)));
    let known = place.is_some() && lane.under_arm.is_some();
    if known { Cell::live(text.trim_end()) } else { Cell::toned(Tone::None, text.trim_end()) }
}

/// What stands before it.
fn before(now: &LaneNow, v: &Viewer<'_>) -> Cell {
    let lane = &now.lane;
    let plate = lane.plate.as_deref().unwrap_or("—");
    let verdict = lane.verdict.map(|verdict| format!("\n{}", verdict_words(verdict, v))).unwrap_or_default();
    let queue = match (lane.kind, now.queue) {
        (LaneKind::Person, _) | (LaneKind::Vehicle, Some(0)) => String::new(),
        (LaneKind::Vehicle, Some(n)) => format!("\n{} {n}", v.t(Text::Queue)),
        (LaneKind::Vehicle, None) => format!("\n◇ {} {}", v.t(Text::Queue), v.t(Text::Unknown)),
    };
    Cell::bad_if(now.queue_alarm, format!("{plate}{verdict}{queue}"))
}

/// The picture of the last decision's passage, as long as it is kept: the vehicle, else its plate.
fn picture(now: &LaneNow) -> Cell {
    let kept = now.pictures.iter().filter(|picture| picture.is_kept()).min_by_key(|picture| picture.kind);
    let address = |(last, picture): (&Decided, &Picture)| {
        format!("/picture/{}.{}", encode(last.passage.as_str()), picture.kind.number())
    };
    Cell::picture(now.last.as_ref().zip(kept).map(address))
}

fn verdict_words(verdict: Verdict, v: &Viewer<'_>) -> String {
    word(verdict.zh(), verdict.as_str(), v)
}

/// What was decided there last, with every reason. It has a colour only while it is what the lane is about.
fn last(now: &LaneNow, look: &Look, v: &Viewer<'_>) -> Cell {
    let Some(decided) = &now.last else {
        return Cell::live(v.t(Text::Never)).dim();
    };
    let holds = decided.at_lane.unwrap_or(decided.verdict);
    let mut lines = vec![format!("{} {}", ruling(decided, v), made_at(decided, look, v)), about(decided, v)];
    lines.retain(|line| !line.is_empty());
    lines.extend(decided.reasons.iter().map(|reason| v.lang().pick(&reason.zh, &reason.en).to_owned()));
    let tone = match holds {
        _ if now.lane.verdict.is_none() => Tone::Plain,
        Verdict::Allow => Tone::Plain,
        Verdict::Refer => Tone::Warn,
        Verdict::Hold | Verdict::Deny => Tone::Bad,
    };
    Cell::toned(tone, lines.join("\n"))
}

/// The verdict, and what became of it at the lane where that is stricter.
fn ruling(decided: &Decided, v: &Viewer<'_>) -> String {
    let verdict = verdict_words(decided.verdict, v);
    match decided.at_lane.filter(|at_lane| *at_lane != decided.verdict) {
        Some(at_lane) => format!("{verdict} → {} {}", v.t(Text::AtLane), verdict_words(at_lane, v)),
        None => verdict,
    }
}

fn made_at(decided: &Decided, look: &Look, v: &Viewer<'_>) -> String {
    let at = when(decided.at, look, v);
    match decided.clock {
        ClockTrust::Synced => at,
        ClockTrust::Holdover | ClockTrust::Unsynced => {
            format!("{at} ({} {})", v.t(Text::Clock), lang::trust(decided.clock, v.lang()))
        }
    }
}

/// Whom it was about: vehicle, class, persons by their references, waybill.
fn about(decided: &Decided, v: &Viewer<'_>) -> String {
    let class = decided.class.map(|class| word(class.zh(), class.as_str(), v));
    let persons = decided.persons.iter().map(short);
    let waybill = decided.waybill.as_ref().map(ToString::to_string);
    let parts = decided.vehicle.clone().into_iter().chain(class).chain(persons).chain(waybill);
    std::iter::once(way(decided.direction, v)).chain(parts).collect::<Vec<_>>().join(" ")
}

/// How pressing a ticket is: a rescue vehicle, a driver held, and whoever has no one left to be asked, before all others.
pub(super) fn ticket_tone(ticket: &TicketView) -> Tone {
    let pressing = matches!(ticket.kind, TicketKind::Rescue | TicketKind::Hold) || ticket.again > 0;
    if pressing { Tone::Bad } else { Tone::Warn }
}

/// Whom the gates ask, and until when.
pub(super) fn tickets(view: &GatesView, look: &Look, v: &Viewer<'_>) -> Table {
    let columns = [
        (Text::Asked, Align::Left),
        (Text::What, Align::Left),
        (Text::Lane, Align::Left),
        (Text::WhoWaits, Align::Left),
        (Text::Left, Align::Right),
        (Text::Until, Align::Right),
        (Text::BeganAt, Align::Right),
        (Text::Reason, Align::Lines),
    ];
    let mut tickets: Vec<&TicketView> = view.tickets.iter().collect();
    tickets.sort_by_key(|ticket| Reverse(ticket.kind == TicketKind::Rescue));
    let rows = tickets.into_iter().map(|ticket| ticket_row(ticket, view, look, v)).collect();
    listed(v, Text::Tickets, &columns, rows, (TICKETS, 0), Text::NobodyWaits)
}

fn ticket_row(ticket: &TicketView, view: &GatesView, look: &Look, v: &Viewer<'_>) -> Vec<Cell> {
    let lane = view.lanes.iter().find(|lane| lane.lane.id == ticket.lane);
    let lane = lane.map_or_else(|| ticket.lane.to_string(), |lane| lane_name(&lane.lane, v));
    let whom = match &ticket.to {
        Addressee::Guard(gate) => format!(" {gate}"),
        Addressee::Enterprise(company) => format!(" {company}"),
        Addressee::DutyRoom => String::new(),
    };
    let again = if ticket.again > 0 { format!(" {} {}", v.t(Text::AskedAgain), ticket.again) } else { String::new() };
    let presses = if ticket.presses > 1 { format!(" ×{}", ticket.presses) } else { String::new() };
    let kind = word(ticket.kind.zh(), ticket.kind.as_str(), v);
    let reasons: Vec<&str> = ticket.reasons.iter().map(|reason| v.lang().pick(&reason.zh, &reason.en)).collect();
    let until = look.now.wall.after(Duration::from_secs(ticket.left_s));
    vec![
        Cell::toned(ticket_tone(ticket), format!("{}{whom}{again}", v.lang().pick(&ticket.to_zh, &ticket.to_en))),
        Cell::live(format!("{kind}{presses}")),
        Cell::live(format!("{lane} · {}", way(ticket.direction, v))),
        super::or_dash(ticket.subject.as_deref()),
        Cell::live(seconds(ticket.left_s, v)),
        Cell::live(v.zone.time(until)),
        Cell::live(when(ticket.opened_at, look, v)),
        if reasons.is_empty() { dash() } else { Cell::live(reasons.join("\n")) },
    ]
}

/// The reasons of the last decisions, the newest first, in both languages: for a driver who reads the other one, and with the
/// code that records and the city have for them.
pub(super) fn reasons(view: &GatesView, look: &Look, v: &Viewer<'_>) -> Table {
    let columns = [
        (Text::Lane, Align::Left),
        (Text::Told, Align::Right),
        (Text::Verdict, Align::Left),
        (Text::Code, Align::Left),
        (Text::InChinese, Align::Lines),
        (Text::InEnglish, Align::Lines),
    ];
    let mut decided: Vec<(&LaneNow, &Decided)> =
        view.lanes.iter().filter_map(|lane| lane.last.as_ref().map(|last| (lane, last))).collect();
    decided.sort_by_key(|(_, decided)| Reverse(decided.at));
    let rows = decided.into_iter().flat_map(|(lane, decided)| {
        (0..).zip(&decided.reasons).map(move |(i, reason)| {
            let first = |text: String| if i == 0 { Cell::live(text) } else { Cell::live("〃").dim() };
            reason_row([lane_name(&lane.lane, v), made_at(decided, look, v)].map(first), reason, v)
        })
    });
    listed(v, Text::ReasonsOfVerdicts, &columns, rows.collect(), (REASONS, 0), Text::Never)
}

fn reason_row([lane, at]: [Cell; 2], reason: &Reason, v: &Viewer<'_>) -> Vec<Cell> {
    let texts = [reason.code.as_str(), &reason.zh, &reason.en].map(Cell::live);
    let [code, zh, en] = texts;
    vec![lane, at, Cell::live(verdict_words(reason.verdict, v)), code, zh, en]
}
