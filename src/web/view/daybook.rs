//! The daybook: the open day so far, who is on duty, hazards, accidents, reports made.

use std::time::Duration;

use super::alarms::table;
use super::{Align, Block, Cell, Look, Page, Panel, Tone, Viewer, page};
use crate::domain::danger::view::DaybookView;
use crate::domain::daybook::report::{DailyReport, Times};
use crate::web::format;
use crate::web::lang::Text;

/// Places of lists that come and go.
const PLACES: usize = 12;

/// Returns the page of the daybook.
pub fn daybook(look: &Look, v: &Viewer<'_>) -> Page {
    let mut blocks = Vec::new();
    if let Some(snapshot) = &look.snapshot {
        let (book, today) = (&snapshot.danger.daybook, snapshot.danger.today.as_deref());
        blocks.push(Block::Panels(vec![day(today, book.undated, v), alarms(today, v), duty(book, v)]));
        blocks.push(Block::Table(not_nil(today, v)));
        blocks.push(Block::Table(coverage(today, v)));
        blocks.push(Block::Table(hazards(book, v)));
        blocks.push(Block::Table(accidents(book, v)));
        blocks.push(Block::Table(reports(book, v)));
    }
    page(look, v, "/daybook", v.t(Text::Daybook).to_owned(), "/events?page=daybook", blocks)
}

fn dash() -> Cell {
    Cell::live("—").dim()
}

fn day(today: Option<&DailyReport>, undated: bool, v: &Viewer<'_>) -> Panel {
    let title = v.t(Text::DaySoFar).to_owned();
    let Some(report) = today else {
        let nothing = vec![(v.t(Text::Day).to_owned(), Cell::toned(Tone::Warn, v.t(Text::DayUnknown)))];
        return Panel { title, href: None, rows: nothing };
    };
    let percent = |pct: Option<f64>| pct.map_or_else(dash, |pct| Cell::live(format!("{pct:.2} %")));
    let low = report.coverage.pct.is_some_and(|pct| pct < report.coverage.nil_pct);
    let covered = match report.coverage.pct {
        Some(pct) => Cell::warn_if(low, format!("{pct:.2} %")),
        None => dash(),
    };
    let silent = report.coverage.silent.len() as u64 + report.coverage.more_silent;
    let rows = vec![
        if undated {
            (v.t(Text::Day).to_owned(), Cell::toned(Tone::Warn, v.t(Text::DayUndated)))
        } else {
            (v.t(Text::Day).to_owned(), Cell::live(report.day.to_string()))
        },
        (v.t(Text::ReportDue).to_owned(), if undated { dash() } else { Cell::live(v.zone.date_time(report.due_at)) }),
        (v.t(Text::Coverage).to_owned(), covered),
        (v.t(Text::NilNeeds).to_owned(), percent(Some(report.coverage.nil_pct))),
        (v.t(Text::SilentDevices).to_owned(), Cell::bad_if(silent > 0, format::count(silent))),
        (v.t(Text::Boots).to_owned(), Cell::count(report.running.boots)),
        (v.t(Text::Unwatched).to_owned(), Cell::live(v.span(Duration::from_millis(report.running.unwatched_ms)))),
        (
            v.t(Text::OutputsFailed).to_owned(),
            Cell::warn_if(report.outputs_failed > 0, format::count(report.outputs_failed)),
        ),
    ];
    Panel { title, href: None, rows }
}

fn alarms(today: Option<&DailyReport>, v: &Viewer<'_>) -> Panel {
    let times = |times: &Times| match times.median_ms {
        Some(ms) => Cell::live(format!("{} · {}", times.count, v.span(Duration::from_millis(ms)))),
        None => Cell::count(times.count),
    };
    let rows = today.map(|report| {
        let alarms = &report.alarms;
        vec![
            (v.t(Text::AlarmsRaised).to_owned(), Cell::count(alarms.raised)),
            (v.t(Text::AcknowledgedIn).to_owned(), times(&alarms.acknowledged)),
            (v.t(Text::ClearedIn).to_owned(), times(&alarms.cleared)),
            (v.t(Text::StillOpen).to_owned(), Cell::warn_if(alarms.n_open > 0, format::count(alarms.n_open))),
            (v.t(Text::Shelvings).to_owned(), Cell::count(alarms.shelved)),
            (v.t(Text::Floods).to_owned(), Cell::count(alarms.floods)),
        ]
    });
    Panel { title: v.t(Text::Alarms).to_owned(), href: Some(v.link("/alarms")), rows: rows.unwrap_or_default() }
}

fn duty(book: &DaybookView, v: &Viewer<'_>) -> Panel {
    let shift = book.shift.as_ref();
    let name = |name: Option<&String>| name.map_or_else(dash, Cell::live);
    let taken = match (&book.taken_by, book.not_taken) {
        (Some(by), _) => Cell::live(by),
        (None, true) => Cell::toned(Tone::Bad, v.t(Text::NobodyTookOver)),
        (None, false) => dash(),
    };
    let left = book.checks.iter().map(|(_, left)| *left).min();
    let checks = left.map_or_else(dash, |s| {
        Cell::toned(Tone::Bad, format!("{} · {}", book.checks.len(), v.span(Duration::from_secs(s))))
    });
    let rows = vec![
        (v.t(Text::Shift).to_owned(), name(shift.map(|s| &s.shift))),
        (v.t(Text::DutyOperator).to_owned(), name(shift.and_then(|s| s.operator.as_ref()))),
        (v.t(Text::DutyLeader).to_owned(), name(shift.and_then(|s| s.leader.as_ref()))),
        (v.t(Text::TakenBy).to_owned(), taken),
        (v.t(Text::DutyChecks).to_owned(), checks),
    ];
    Panel { title: v.t(Text::Duty).to_owned(), href: None, rows }
}

fn not_nil(today: Option<&DailyReport>, v: &Viewer<'_>) -> super::Table {
    let whys = today.map(|report| report.why_not_nil.as_slice()).unwrap_or_default();
    let rows = whys.iter().take(PLACES).map(|why| vec![Cell::live(v.lang().pick(&why.zh, &why.en))]);
    table(v, Text::NotNil, &[(Text::Reason, Align::Left)], rows.collect(), PLACES)
}

fn coverage(today: Option<&DailyReport>, v: &Viewer<'_>) -> super::Table {
    let columns = [
        (Text::Device, Align::Left),
        (Text::Coverage, Align::Right),
        (Text::PollsDue, Align::Right),
        (Text::PollsOk, Align::Right),
        (Text::PollsBad, Align::Right),
    ];
    let devices = today.map(|report| report.coverage.devices.as_slice()).unwrap_or_default();
    let rows = devices.iter().take(PLACES).map(|device| {
        vec![
            Cell::live(&device.device),
            device.pct.map_or_else(dash, |pct| Cell::live(format!("{pct:.2} %"))),
            Cell::count(device.expected),
            Cell::count(device.received),
            Cell::count(device.bad),
        ]
    });
    table(v, Text::WorstCoverage, &columns, rows.collect(), PLACES)
}

fn hazards(book: &DaybookView, v: &Viewer<'_>) -> super::Table {
    let columns = [
        (Text::Number, Align::Left),
        (Text::HazardState, Align::Left),
        (Text::Place, Align::Left),
        (Text::AlarmText, Align::Cut),
        (Text::Who, Align::Left),
        (Text::Deadline, Align::Right),
    ];
    let rows = book.hazards.iter().take(PLACES).map(|hazard| {
        let state = v.lang().pick(hazard.state.zh(), &format!("{:?}", hazard.state)).to_owned();
        vec![
            Cell::live(&hazard.id),
            if hazard.overdue > 0 { Cell::toned(Tone::Bad, state) } else { Cell::live(state) },
            Cell::live(&hazard.place),
            Cell::live(&hazard.text),
            hazard.assigned.as_ref().map_or_else(dash, Cell::live),
            hazard.five.as_ref().map_or_else(dash, |five| Cell::live(five.deadline.to_string())),
        ]
    });
    table(v, Text::Hazards, &columns, rows.collect(), PLACES)
}

fn accidents(book: &DaybookView, v: &Viewer<'_>) -> super::Table {
    let columns = [
        (Text::Number, Align::Left),
        (Text::Place, Align::Left),
        (Text::BeganAt, Align::Right),
        (Text::FirstReportLeft, Align::Right),
    ];
    let rows = book.accidents.iter().take(PLACES).map(|one| {
        let left = match one.left_s {
            Some(0) => Cell::toned(Tone::Bad, v.t(Text::Late)),
            Some(s) => Cell::toned(Tone::Warn, v.span(Duration::from_secs(s))),
            None => dash(),
        };
        vec![
            Cell::live(&one.accident.id),
            Cell::live(&one.accident.place),
            Cell::live(v.zone.date_time(one.accident.occurred_at)),
            left,
        ]
    });
    table(v, Text::Accidents, &columns, rows.collect(), PLACES)
}

fn reports(book: &DaybookView, v: &Viewer<'_>) -> super::Table {
    let columns = [(Text::Day, Align::Left), (Text::Version, Align::Right)];
    let rows = book.reports.iter().rev().take(PLACES);
    let rows = rows.map(|(day, version)| vec![Cell::live(day.to_string()), Cell::live(version.to_string())]);
    table(v, Text::Reports, &columns, rows.collect(), PLACES)
}
