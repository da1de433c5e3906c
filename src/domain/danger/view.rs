//! What stands of danger, for page and command line.

use serde::Serialize;

use super::super::alarm::view::{ActiveAlarm, Counts, InstrumentView};
use super::super::audit::Head;
use super::super::daybook::accident::{AccidentLine, Stage};
use super::super::daybook::duty::{CheckLine, ShiftLine};
use super::super::daybook::{self, DailyReport, Date, Hazard, LocalDay};
use super::super::registry::Registry;
use super::super::site::SiteView;
use super::super::time::Now;
use super::channels::Notice;
use super::{ChannelView, Danger, Rules};

/// See the module.
#[derive(Clone, Debug, Serialize)]
pub struct DangerView {
    /// Alarms that are not normal, in order of their ids.
    pub alarms: Vec<ActiveAlarm>,
    /// How many of them stand how.
    pub counts: Counts,
    /// Instruments that are not measuring.
    pub instruments: Vec<InstrumentView>,
    /// The state of the site.
    pub site: SiteView,
    /// Duty, hazards, accidents, reports.
    pub daybook: DaybookView,
    /// The account of the open day, so far; `None` while nobody knows what day it is.
    pub today: Option<Box<DailyReport>>,
    /// What people were told on the page, newest first.
    pub notices: Vec<Notice>,
    /// The channels, and how those stand that are watched.
    pub channels: Vec<ChannelView>,
    /// End of the audit chain.
    pub audit: Head,
}

/// The daybook as it stands.
#[derive(Clone, Debug, Default, Serialize)]
pub struct DaybookView {
    /// The current shift.
    pub shift: Option<ShiftLine>,
    /// Who took it over.
    pub taken_by: Option<String>,
    /// Whether nobody did, although it was time.
    pub not_taken: bool,
    /// Duty checks that wait, each with the seconds left.
    pub checks: Vec<(CheckLine, u64)>,
    /// Hazards on the list.
    pub hazards: Vec<Hazard>,
    /// Accidents.
    pub accidents: Vec<Accident>,
    /// The next report.
    pub next: Option<LocalDay>,
    /// Reports made: day and version, the newest last.
    pub reports: Vec<(Date, u32)>,
    /// Reports that have not reached the platform.
    pub undelivered: usize,
    /// Whether facts are held for which no day is known.
    pub undated: bool,
}

/// An accident as it stands.
#[derive(Clone, Debug, Serialize)]
pub struct Accident {
    /// What is known.
    pub accident: AccidentLine,
    /// The last confirmed report.
    pub last: Option<Stage>,
    /// Seconds left for the first report; `None` once it is confirmed.
    pub left_s: Option<u64>,
    /// Number of the draft that waits for a confirmation.
    pub draft: Option<u32>,
}

impl DangerView {
    /// Returns what a gateway shows that watches nothing.
    pub fn quiet(now: Now) -> Self {
        Danger::new(Rules::default(), &Registry { rev: 0, devices: Vec::new() }, 0, now).view(now)
    }
}

impl From<daybook::View> for DaybookView {
    fn from(view: daybook::View) -> Self {
        let accident = |one: daybook::AccidentView| Accident {
            accident: one.accident,
            last: one.last,
            left_s: one.left.map(|left| left.as_secs()),
            draft: one.draft,
        };
        Self {
            shift: view.duty.shift,
            taken_by: view.duty.taken_by,
            not_taken: view.duty.not_taken,
            checks: view.duty.waiting.into_iter().map(|(check, left)| (check, left.as_secs())).collect(),
            hazards: view.hazards,
            accidents: view.accidents.into_iter().map(accident).collect(),
            next: view.next,
            reports: view.reports.into_iter().map(|(day, version, _)| (day, version)).collect(),
            undelivered: view.undelivered,
            undated: view.undated,
        }
    }
}
