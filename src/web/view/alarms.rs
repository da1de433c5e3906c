//! The alarms: what must be acknowledged first, then the worst; what is hidden and until when; instruments that are not
//! measuring; what people were told. A priority is a shape and a word, never colour alone.
//!
//! The list has a fixed number of places ([`PLACES`]), all live: an alarm appears in the event stream itself, without a page
//! to be loaded anew. Beyond them the head counts.

use super::{Align, Block, Cell, Look, Page, Panel, Row, Table, Tone, Viewer, page};
use crate::domain::alarm::severity::Priority;
use crate::domain::alarm::state::State;
use crate::domain::alarm::view::ActiveAlarm;
use crate::domain::danger::view::DangerView;
use crate::domain::instrument::InstrumentState;
use crate::domain::record::Mode;
use crate::domain::time::Timestamp;
use crate::web::format;
use crate::web::lang::{self, Lang, Text};

/// Places of the list: what fits a screen, and more than a person can act on.
const PLACES: usize = 40;
/// Places of the other lists.
const FEW: usize = 12;

/// Returns the page of the alarms.
pub fn alarms(look: &Look, v: &Viewer<'_>) -> Page {
    let mut blocks = Vec::new();
    if let Some(snapshot) = &look.snapshot {
        let danger = &snapshot.danger;
        blocks.push(Block::Panels(vec![counts(danger, v)]));
        blocks.push(Block::Table(list(danger, v)));
        blocks.push(Block::Table(hidden(danger, v)));
        blocks.push(Block::Table(instruments(danger, v)));
        blocks.push(Block::Table(notices(danger, v)));
    }
    page(look, v, "/alarms", v.t(Text::Alarms).to_owned(), "/events?page=alarms", blocks)
}

/// The alarms in a few figures, for the overview too.
pub(super) fn summary(danger: &DangerView, v: &Viewer<'_>) -> Panel {
    let mut panel = counts(danger, v);
    panel.href = Some(v.link("/alarms"));
    panel.rows.truncate(5);
    let worst = shown(danger).into_iter().next().map(|alarm| priority(alarm, v));
    panel.rows.insert(0, (v.t(Text::Worst).to_owned(), worst.unwrap_or_else(|| Cell::live("—").dim())));
    panel
}

fn counts(danger: &DangerView, v: &Viewer<'_>) -> Panel {
    let counts = &danger.counts;
    let number = |n: usize| format::count(n as u64);
    let flood = if counts.flood { format!(" {}", v.t(Text::Flood)) } else { String::new() };
    let rows = vec![
        (v.t(Text::Unacked).to_owned(), Cell::bad_if(counts.unacked > 0, number(counts.unacked))),
        (v.t(Text::Active).to_owned(), Cell::warn_if(counts.active > 0, number(counts.active))),
        (v.t(Text::Latched).to_owned(), Cell::warn_if(counts.latched > 0, number(counts.latched))),
        (v.t(Text::Hidden).to_owned(), Cell::live(number(counts.shelved + counts.suppressed + counts.out_of_service))),
        (
            v.t(Text::LastTenMinutes).to_owned(),
            Cell::bad_if(counts.flood, format!("{}{flood}", format::count(counts.last_10_min))),
        ),
        (v.t(Text::Chattering).to_owned(), Cell::warn_if(counts.chattering > 0, number(counts.chattering))),
        (v.t(Text::LongStanding).to_owned(), Cell::warn_if(counts.stale > 0, number(counts.stale))),
    ];
    Panel { title: v.t(Text::Alarms).to_owned(), href: None, rows }
}

/// What must be acknowledged first, then the worst, then the newest.
fn shown(danger: &DangerView) -> Vec<&ActiveAlarm> {
    let mut shown: Vec<_> = danger.alarms.iter().filter(|alarm| !alarm.last.to.is_hidden()).collect();
    shown.sort_by_key(|alarm| {
        let last = &alarm.last;
        (!last.to.is_unacked(), std::cmp::Reverse(last.priority), std::cmp::Reverse(last.t_active))
    });
    shown
}

fn list(danger: &DangerView, v: &Viewer<'_>) -> Table {
    let columns = [
        (Text::Priority, Align::Left),
        (Text::AlarmState, Align::Left),
        (Text::Alarm, Align::Left),
        (Text::AlarmText, Align::Cut),
        (Text::Value, Align::Right),
        (Text::Limit, Align::Right),
        (Text::Raised, Align::Right),
        (Text::Acknowledged, Align::Left),
        (Text::Occurrence, Align::Right),
    ];
    let shown = shown(danger);
    let more = shown.len().saturating_sub(PLACES);
    let mut rows: Vec<Vec<Cell>> = shown.into_iter().take(PLACES).map(|alarm| row(alarm, v)).collect();
    if rows.is_empty() {
        let mut none = blank(columns.len());
        if let Some(cell) = none.get_mut(1) {
            *cell = Cell::live(v.t(Text::NoAlarm)).dim();
        }
        rows.push(none);
    }
    if let Some(last) = rows.last_mut().filter(|_| more > 0) {
        let mut cells = blank(columns.len());
        if let Some(cell) = cells.first_mut() {
            *cell = Cell::toned(Tone::Bad, format!("+{}", more + 1));
        }
        *last = cells;
    }
    table(v, Text::Alarms, &columns, rows, PLACES)
}

fn row(alarm: &ActiveAlarm, v: &Viewer<'_>) -> Vec<Cell> {
    let last = &alarm.last;
    let unit = last.unit.as_deref().unwrap_or_default();
    let number = |n: Option<f64>| match n {
        Some(n) => Cell::live(format!("{} {unit}", format::number(n)).trim_end()),
        None => Cell::live("—").dim(),
    };
    let value = if alarm.stale { Cell { tone: Tone::Stale, ..number(last.value) } } else { number(last.value) };
    vec![
        priority(alarm, v),
        state(alarm, v),
        Cell::live(&*last.alarm),
        Cell::live(text(alarm, v)),
        value,
        number(last.limit),
        Cell::live(time(last.t_active, v)),
        acknowledged(alarm, v),
        Cell::live(last.occ.to_string()).dim(),
    ]
}

/// Shape and word, and whether the world means it.
fn priority(alarm: &ActiveAlarm, v: &Viewer<'_>) -> Cell {
    let (tone, en) = match alarm.last.priority {
        Priority::Red => (Tone::Red, "red"),
        Priority::Orange => (Tone::Orange, "orange"),
        Priority::Yellow => (Tone::Yellow, "yellow"),
        Priority::Blue => (Tone::Blue, "blue"),
    };
    let mode = match (alarm.last.mode, v.lang()) {
        (Mode::Real, _) => "",
        (Mode::Drill, Lang::Zh) => " 演练",
        (Mode::Drill, Lang::En) => " drill",
        (Mode::Test | Mode::Commissioning, Lang::Zh) => " 联调",
        (Mode::Test | Mode::Commissioning, Lang::En) => " test",
    };
    let mut level = if alarm.last.level > 1 { format!(" {}", alarm.last.level) } else { String::new() };
    if let Some(now) = alarm.last.now_level {
        level += &match v.lang() {
            Lang::Zh => format!("（现 {now} 级）"),
            Lang::En => format!(" (now {now})"),
        };
    }
    Cell::toned(tone, format!("{}{level}{mode}", v.lang().pick(alarm.last.priority.zh(), en)))
}

fn state(alarm: &ActiveAlarm, v: &Viewer<'_>) -> Cell {
    let state = alarm.last.to;
    let unknown = if alarm.stale { v.lang().pick("，失去测量", ", no measurement") } else { "" };
    let first = if alarm.last.first_out { v.lang().pick("，首出", ", first out") } else { "" };
    let words = format!("{}{unknown}{first}", v.lang().pick(state.zh(), &words(state)));
    match (state.is_unacked(), state.is_active()) {
        (true, _) => Cell::toned(Tone::Bad, words),
        (false, true) => Cell::toned(Tone::Warn, words),
        (false, false) => Cell::live(words),
    }
}

fn words(state: State) -> String {
    state.as_str().replace('_', " ")
}

/// The half of the text in the viewer's language, where it has two.
fn text<'a>(alarm: &'a ActiveAlarm, v: &Viewer<'_>) -> &'a str {
    match alarm.last.text.split_once(" | ") {
        Some((zh, en)) => v.lang().pick(zh, en),
        None => &alarm.last.text,
    }
}

fn acknowledged(alarm: &ActiveAlarm, v: &Viewer<'_>) -> Cell {
    let last = &alarm.last;
    match (last.t_ack, &last.actor) {
        (Some(t), Some(actor)) => Cell::live(format!("{} {}", time(Some(t), v), actor.name)),
        (Some(t), None) => Cell::live(time(Some(t), v)),
        (None, _) => Cell::live("—").dim(),
    }
}

fn time(t: Option<Timestamp>, v: &Viewer<'_>) -> String {
    t.map_or_else(|| "—".to_owned(), |t| v.zone.time(t))
}

fn hidden(danger: &DangerView, v: &Viewer<'_>) -> Table {
    let columns = [
        (Text::AlarmState, Align::Left),
        (Text::Alarm, Align::Left),
        (Text::AlarmText, Align::Cut),
        (Text::Left, Align::Right),
        (Text::Who, Align::Left),
        (Text::Reason, Align::Cut),
    ];
    let hidden = danger.alarms.iter().filter(|alarm| alarm.last.to.is_hidden());
    let rows = hidden.take(FEW).map(|alarm| {
        let last = &alarm.last;
        let left = alarm.left_s.map(|s| v.span(std::time::Duration::from_secs(s)));
        let active = if alarm.active { Tone::Warn } else { Tone::None };
        vec![
            Cell::toned(active, v.lang().pick(last.to.zh(), &words(last.to))),
            Cell::live(&*last.alarm),
            Cell::live(text(alarm, v)),
            Cell::live(left.unwrap_or_else(|| "—".to_owned())),
            Cell::live(last.actor.as_ref().map_or("—", |actor| &actor.name)),
            Cell::live(last.comment.as_deref().unwrap_or("—")),
        ]
    });
    table(v, Text::Hidden, &columns, rows.collect(), FEW)
}

fn instruments(danger: &DangerView, v: &Viewer<'_>) -> Table {
    let columns = [
        (Text::Tag, Align::Left),
        (Text::InstrumentState, Align::Left),
        (Text::Since, Align::Right),
        (Text::MayLast, Align::Right),
    ];
    let span = |s: u64| v.span(std::time::Duration::from_secs(s));
    let rows = danger.instruments.iter().take(FEW).map(|one| {
        let late = one.may_s.is_some_and(|may| one.for_s > may);
        vec![
            Cell::live(&*one.tag),
            Cell::toned(if late { Tone::Bad } else { Tone::None }, instrument(&one.state, v)),
            Cell::live(span(one.for_s)),
            Cell::live(one.may_s.map_or_else(|| "—".to_owned(), span)),
        ]
    });
    table(v, Text::NotMonitoring, &columns, rows.collect(), FEW)
}

/// What an instrument is doing, by the word of records.
fn instrument<'a>(word: &'a str, v: &Viewer<'_>) -> &'a str {
    let named = InstrumentState::NAMED.iter().find(|(_, en, _)| *en == word);
    named.map_or(word, |(state, ..)| lang::instrument(*state, v.lang()))
}

fn notices(danger: &DangerView, v: &Viewer<'_>) -> Table {
    let columns = [(Text::Told, Align::Left), (Text::Message, Align::Left)];
    let rows = danger.notices.iter().take(FEW).map(|notice| {
        let text = v.lang().pick(&notice.zh, &notice.en);
        vec![Cell::live(v.zone.time(notice.t)), Cell::live(text)]
    });
    table(v, Text::Messages, &columns, rows.collect(), FEW)
}

/// A table with a fixed number of places: what comes and goes is a change of cells, not of the page.
pub(super) fn table(
    v: &Viewer<'_>,
    title: Text,
    columns: &[(Text, Align)],
    rows: Vec<Vec<Cell>>,
    places: usize,
) -> Table {
    let empty = std::iter::repeat_with(|| blank(columns.len()));
    Table {
        title: v.t(title).to_owned(),
        columns: columns.iter().map(|(text, align)| (v.t(*text).to_owned(), *align)).collect(),
        rows: rows.into_iter().chain(empty).take(places).map(|cells| Row { first: true, cells }).collect(),
    }
}

fn blank(n: usize) -> Vec<Cell> {
    vec![Cell::live(""); n]
}
