//! The state of the site: park and zones, what waits for a person, what is ordered of lanes and signals and what became of
//! it, the fire linkage, the wind, the city's warnings, and what was put into or out of service at run time.

use super::alarms::table;
use super::{Align, Block, Cell, Look, Page, Panel, Tone, Viewer, page};
use crate::domain::danger::view::DangerView;
use crate::domain::order::LaneRule;
use crate::domain::site::fire::LineState;
use crate::domain::site::view::{ServiceView, ZoneView};
use crate::domain::site::{ServiceSubject, SiteView, State};
use crate::web::format;
use crate::web::lang::{Lang, Text};
use crate::web::park::Gates;

/// Places of lists that come and go.
const PLACES: usize = 8;

/// Returns the page of the site.
pub fn site(look: &Look, v: &Viewer<'_>) -> Page {
    let mut blocks = Vec::new();
    if let Some(snapshot) = &look.snapshot {
        let site = &snapshot.danger.site;
        blocks.push(Block::Panels(vec![summary(&snapshot.danger, v)]));
        blocks.push(Block::Table(zones(site, v)));
        blocks.push(Block::Table(proposals(site, v)));
        if !site.lanes.is_empty() {
            let undriven = undriven(site, &look.gates);
            if !undriven.is_empty() {
                let text = format!("{}: {}", v.t(Text::LanesNotDriven), undriven.join(", "));
                blocks.push(Block::Notice(Cell::fixed(text)));
            }
            blocks.push(Block::Table(lanes(site, v)));
        }
        if !site.signals.is_empty() {
            blocks.push(Block::Table(signals(site, v)));
        }
        if !site.fire.is_empty() {
            blocks.push(Block::Table(fire(site, v)));
        }
        blocks.push(Block::Table(warnings(site, v)));
        blocks.push(Block::Table(service(site, v)));
    }
    page(look, v, "/site", v.t(Text::SiteState).to_owned(), "/events?page=site", blocks)
}

/// The lanes whose rules people must carry out; none is named while nobody knows how the gates stand.
fn undriven<'a>(site: &'a SiteView, gates: &Gates) -> Vec<&'a str> {
    let driven = |id: &str| match gates {
        Gates::Absent => false,
        Gates::Silent => true,
        Gates::View(view) => view.lanes.iter().any(|now| now.lane.id.as_str() == id),
    };
    site.lanes.iter().map(|lane| lane.id.as_str()).filter(|id| !driven(id)).collect()
}

/// The site in a few facts, for the overview too.
pub(super) fn summary(danger: &DangerView, v: &Viewer<'_>) -> Panel {
    let site = &danger.site;
    let drill = match &site.drill {
        Some(drill) => {
            Cell::toned(Tone::Warn, format!("{} {} {}", drill.zone, state_words(drill.rehearses, v), drill.by))
        }
        None => Cell::live("—").dim(),
    };
    let rows = vec![
        (v.t(Text::SiteState).to_owned(), state(site.strongest, v)),
        (
            v.t(Text::Proposals).to_owned(),
            Cell::bad_if(!site.proposals.is_empty(), format::count(site.proposals.len() as u64)),
        ),
        (v.t(Text::Drill).to_owned(), drill),
        (v.t(Text::Wind).to_owned(), wind(site, v)),
        (v.t(Text::Warnings).to_owned(), Cell::warn_if(!site.warnings.is_empty(), site.warnings.len().to_string())),
        (v.t(Text::Bypasses).to_owned(), Cell::warn_if(!site.bypasses.is_empty(), site.bypasses.len().to_string())),
    ];
    Panel { title: v.t(Text::SiteState).to_owned(), href: None, rows }
}

fn state_words(state: State, v: &Viewer<'_>) -> String {
    v.lang().pick(state.zh(), &state.as_str().replace('_', " ")).to_owned()
}

fn state(state: State, v: &Viewer<'_>) -> Cell {
    let words = state_words(state, v);
    match state {
        State::Normal => Cell::live(format!("● {words}")),
        State::Drill | State::Recovery => Cell::toned(Tone::Warn, words),
        State::LockdownIn | State::Shelter | State::Evacuate => Cell::toned(Tone::Bad, words),
    }
}

fn wind(site: &SiteView, v: &Viewer<'_>) -> Cell {
    match (site.wind.speed, site.wind.from) {
        (Some(speed), Some(from)) => {
            Cell::live(format!("{} m/s {} {}°", format::number(speed), v.t(Text::From), format::number(from)))
        }
        _ => Cell::toned(Tone::None, no_wind(site.wind.why, v)),
    }
}

/// Why nothing is said of the wind.
fn no_wind(why: Option<&str>, v: &Viewer<'_>) -> &'static str {
    let (zh, en) = match why {
        Some("no_station") => ("没有气象站", "no weather station"),
        Some("bad") => ("测量无效", "no measurement"),
        Some("stale") => ("数据过期", "stale"),
        Some("calm") => ("静风", "calm"),
        Some(_) | None => ("无数据", "no data"),
    };
    v.lang().pick(zh, en)
}

fn zones(site: &SiteView, v: &Viewer<'_>) -> super::Table {
    let columns = [
        (Text::Zone, Align::Left),
        (Text::SiteState, Align::Left),
        (Text::Holds, Align::Left),
        (Text::BeganAt, Align::Right),
        (Text::Who, Align::Left),
        (Text::Held, Align::Cut),
    ];
    let row = |zone: &ZoneView| {
        let name = match v.lang() {
            Lang::Zh => &zone.name,
            Lang::En => &zone.name_en,
        };
        vec![
            Cell::fixed(format!("{name} {}", zone.id)),
            state(zone.state, v),
            state(zone.holds, v),
            Cell::live(v.zone.time(zone.since)),
            Cell::live(if zone.by.is_empty() { "—" } else { &zone.by }),
            Cell::live(if zone.held.is_empty() { "—".to_owned() } else { zone.held.join(", ") }),
        ]
    };
    table(v, Text::Zones, &columns, site.zones.iter().map(row).collect(), site.zones.len())
}

fn proposals(site: &SiteView, v: &Viewer<'_>) -> super::Table {
    let columns = [
        (Text::Number, Align::Right),
        (Text::Zone, Align::Left),
        (Text::SiteState, Align::Left),
        (Text::Who, Align::Left),
        (Text::Reason, Align::Cut),
        (Text::Left, Align::Right),
    ];
    let rows = site.proposals.iter().take(PLACES).map(|one| {
        let left = one.lapses_s.map_or_else(|| "—".to_owned(), |s| v.span(std::time::Duration::from_secs(s)));
        vec![
            Cell::live(one.proposal.to_string()),
            Cell::live(&one.zone),
            state(one.state, v),
            Cell::live(&one.by),
            Cell::live(&one.reason),
            Cell::live(left),
        ]
    });
    table(v, Text::Proposals, &columns, rows.collect(), PLACES)
}

/// What a rule of the site means for a lane, in a few words.
pub(super) fn rule_words<'a>(rule: LaneRule, v: &Viewer<'_>) -> &'a str {
    let (zh, en) = match rule {
        LaneRule::Normal => ("正常", "normal"),
        LaneRule::NoEntry => ("禁入", "no entry"),
        LaneRule::Open => ("常开", "held open"),
        LaneRule::RescueOnly => ("仅救援可入", "rescue only"),
        LaneRule::Guarded => ("人工放行", "by the guard"),
    };
    v.lang().pick(zh, en)
}

fn rule(rule: LaneRule, v: &Viewer<'_>) -> Cell {
    Cell::warn_if(rule != LaneRule::Normal, rule_words(rule, v))
}

fn order(word: Option<&str>, v: &Viewer<'_>) -> Cell {
    match word {
        Some("done") => Cell::live(v.lang().pick("● 已执行", "● done")),
        Some("failed") => Cell::toned(Tone::Bad, v.lang().pick("未执行", "failed")),
        Some("waiting") => Cell::toned(Tone::None, v.lang().pick("等待回执", "waiting")),
        Some(other) => Cell::live(other),
        None => Cell::live("—").dim(),
    }
}

fn lanes(site: &SiteView, v: &Viewer<'_>) -> super::Table {
    let columns = [
        (Text::Lane, Align::Left),
        (Text::Name, Align::Cut),
        (Text::Zone, Align::Left),
        (Text::LaneRule, Align::Left),
        (Text::Order, Align::Left),
        (Text::State, Align::Left),
    ];
    let rows = site.lanes.iter().map(|lane| {
        vec![
            Cell::fixed(&lane.id),
            Cell::fixed(v.lang().pick(&lane.name, &lane.name_en)),
            Cell::fixed(&lane.zone),
            rule(lane.rule, v),
            order(lane.order, v),
            Cell::live(v.lang().pick(lane.service.zh(), lane.service.as_str())),
        ]
    });
    table(v, Text::Lanes, &columns, rows.collect(), site.lanes.len())
}

fn signals(site: &SiteView, v: &Viewer<'_>) -> super::Table {
    let columns = [(Text::Output, Align::Left), (Text::Value, Align::Left), (Text::Order, Align::Left)];
    let rows = site.signals.iter().map(|signal| {
        vec![Cell::fixed(&signal.output), Cell::live(signal.value.as_deref().unwrap_or("—")), order(signal.order, v)]
    });
    table(v, Text::Signals, &columns, rows.collect(), site.signals.len())
}

fn fire(site: &SiteView, v: &Viewer<'_>) -> super::Table {
    let columns = [
        (Text::FireInput, Align::Left),
        (Text::Name, Align::Cut),
        (Text::Line, Align::Left),
        (Text::Reason, Align::Left),
        (Text::Latched, Align::Left),
    ];
    let rows = site.fire.iter().map(|input| {
        let line = match input.line {
            LineState::Unknown => Cell::toned(Tone::None, v.t(Text::NotYetRead)),
            LineState::Clear => Cell::live(v.lang().pick("● 正常", "● at rest")),
            LineState::Signal => Cell::toned(Tone::Bad, v.lang().pick("火警", "fire")),
            LineState::Broken => Cell::toned(Tone::Bad, v.lang().pick("线路故障", "broken")),
        };
        vec![
            Cell::fixed(&input.id),
            Cell::fixed(&input.name),
            line,
            Cell::live(input.why.unwrap_or("—")),
            Cell::warn_if(input.latched, if input.latched { v.lang().pick("是", "yes") } else { "—" }),
        ]
    });
    table(v, Text::FireLinkage, &columns, rows.collect(), site.fire.len())
}

fn warnings(site: &SiteView, v: &Viewer<'_>) -> super::Table {
    let columns = [(Text::BeganAt, Align::Right), (Text::Warnings, Align::Left), (Text::Acknowledged, Align::Left)];
    let rows = site.warnings.iter().take(PLACES).map(|one| {
        let level = one.warning.level.map(|level| format!("{level} ")).unwrap_or_default();
        let text = format!("{level}{} {}", one.warning.text, one.warning.issuer);
        vec![
            Cell::live(v.zone.time(one.since)),
            Cell::toned(Tone::Warn, text.trim_end()),
            Cell::live(one.acknowledged.as_deref().unwrap_or("—")),
        ]
    });
    table(v, Text::Warnings, &columns, rows.collect(), PLACES)
}

/// The newest first; where there are more than places, the last one counts them.
fn service(site: &SiteView, v: &Viewer<'_>) -> super::Table {
    let columns = [
        (Text::Name, Align::Left),
        (Text::State, Align::Left),
        (Text::Who, Align::Left),
        (Text::BeganAt, Align::Right),
        (Text::Reason, Align::Cut),
    ];
    let mut newest: Vec<&ServiceView> = site.service.iter().collect();
    newest.sort_by_key(|one| std::cmp::Reverse(one.changed.since));
    let row = |one: &&ServiceView| {
        let kind = match one.subject {
            ServiceSubject::Point(_) => "",
            ServiceSubject::Lane(_) => v.lang().pick("车道 ", "lane "),
        };
        let state = one.changed.state;
        vec![
            Cell::live(format!("{kind}{}", one.name)),
            Cell::toned(Tone::Warn, v.lang().pick(state.zh(), state.as_str())),
            Cell::live(&one.changed.by),
            Cell::live(v.zone.time(one.changed.since)),
            Cell::live(&one.changed.reason),
        ]
    };
    let shown = if newest.len() > PLACES { PLACES - 1 } else { PLACES };
    let mut rows: Vec<Vec<Cell>> = newest.iter().take(shown).map(row).collect();
    if newest.len() > shown {
        let more = newest.len() - shown;
        let words = format!("+{more} parkgate service");
        let blank = (1..columns.len()).map(|_| Cell::live("—").dim());
        rows.push(std::iter::once(Cell::live(words)).chain(blank).collect());
    }
    table(v, Text::ServiceChanges, &columns, rows, PLACES)
}
