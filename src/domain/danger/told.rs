//! What the daybook is told of the other machines' words.

use super::super::alarm::record::AlarmRecord;
use super::super::alarm::state::{Cause, State};
use super::super::daybook::{AlarmFact, AlarmStep, Fact};
use super::super::document::Document;
use super::super::record::Mode;
use super::super::site::SiteRecord;

/// Returns what a transition means for the day's account; `None` for a note within a state.
pub(super) fn alarm_fact(record: &AlarmRecord) -> Option<Fact> {
    Some(Fact::Alarm(AlarmFact {
        alarm: record.alarm.to_string(),
        occ: record.occ.to_string(),
        class: record.class.as_str().to_owned(),
        level: record.level,
        step: step(record)?,
        over: record.to == State::Normal,
        mode: record.mode,
    }))
}

fn step(record: &AlarmRecord) -> Option<AlarmStep> {
    Some(match record.cause {
        cause if cause.is_note() => return None,
        Cause::Active if record.from == State::Normal => AlarmStep::Raised,
        Cause::Active => AlarmStep::Again,
        Cause::LevelUp => AlarmStep::Worse,
        Cause::Ack => AlarmStep::Acknowledged,
        Cause::Clear => AlarmStep::Cleared,
        Cause::Shelved => AlarmStep::Shelved,
        Cause::LevelDown
        | Cause::Reset
        | Cause::ResetRefused
        | Cause::Unshelved
        | Cause::ShelfExpired
        | Cause::ShelfBroken
        | Cause::OutOfService
        | Cause::Returned
        | Cause::ServiceExpired
        | Cause::Suppressed
        | Cause::Unsuppressed
        | Cause::Removed
        | Cause::Escalated
        | Cause::Receipt => AlarmStep::Other,
    })
}

/// Returns what a document of the site means for it.
pub(super) fn site_fact(document: &Document) -> Option<Fact> {
    let record: SiteRecord = serde_json::from_str(&document.json).ok()?;
    let SiteRecord::State { zone, to, .. } = record else { return None };
    Some(Fact::Site { zone, state: to.as_str().to_owned(), drill: document.mode == Mode::Drill })
}
