//! What the daybook is told of the other machines' words.

use super::super::alarm::record::AlarmRecord;
use super::super::daybook::{AlarmFact, Fact};
use super::super::record::Mode;
use super::super::site::SiteRecord;

/// Returns what a transition means for the day's account; `None` for a note within a state.
pub(super) fn alarm_fact(record: &AlarmRecord) -> Option<Fact> {
    (!record.cause.is_note()).then(|| Fact::Alarm(AlarmFact::from(record)))
}

/// Returns what a record of the site means for it.
pub(super) fn site_fact(record: SiteRecord, mode: Mode) -> Option<Fact> {
    let SiteRecord::State { zone, to, .. } = record else { return None };
    Some(Fact::Site { zone, state: to.as_str().to_owned(), drill: mode == Mode::Drill })
}
