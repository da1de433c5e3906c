//! What alarms have where neither the table nor `alarms.toml` says otherwise: starting values of `domain.md` A11 93 and 94.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::domain::alarm::severity::{Class, Priority, Recipient, Shelving};
use crate::domain::alarm::spec::{Annunciator, Escalation, HazardSource, Step};
use crate::domain::instrument::InstrumentState;
use crate::sms::settings::Gateway;

/// Name of the ladder that alarms have unless their class names another.
pub(super) const STANDARD: &str = "standard";
/// Name of the ladder that ends in the control room.
pub(super) const QUIET: &str = "quiet";

/// What the alarms of one class have in common.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct ClassRule {
    /// Of the first and the second level.
    pub(super) priority: (Priority, Priority),
    /// Of the first and the second level.
    pub(super) shelving: (Shelving, Shelving),
    /// Name of the ladder.
    pub(super) escalation: Arc<str>,
}

/// What process alarms of one kind of point have in common (rule 93).
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct KindRule {
    /// Of the range.
    pub(super) deadband_percent: f64,
    /// Before it is raised.
    pub(super) on_delay: Duration,
    /// Before it clears.
    pub(super) off_delay: Duration,
}

/// An annunciator with the alarms it serves.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Horn {
    pub(super) annunciator: Annunciator,
    /// Empty: all.
    pub(super) classes: Vec<Class>,
    /// Empty: all.
    pub(super) zones: Vec<String>,
}

impl Horn {
    /// Returns whether its failures are told by this name.
    pub(super) fn is_of(&self, channel: &str) -> bool {
        *self.annunciator.channel == *channel
    }
}

/// How somebody is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Channel {
    /// Its id, by which ladders and orders name it.
    pub id: Arc<str>,
    /// The way.
    pub via: Via,
}

/// The way of a channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Via {
    /// The list of alarms on the page.
    Page,
    /// The event stream to the platform.
    Platform,
    /// A value of an output: a broadcast that plays a recorded text, a pager relay.
    Output {
        /// Id of the output.
        output: String,
        /// Name of the value.
        value: String,
    },
    /// Text messages.
    Text(Gateway),
}

/// Everything of `alarms.toml` that alarms have in common.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Rules {
    pub(super) classes: BTreeMap<Class, ClassRule>,
    /// By kind of point; the last word is for all others.
    pub(super) kinds: BTreeMap<String, KindRule>,
    pub(super) other: KindRule,
    /// How long a device may be silent.
    pub(super) comm_delay: Duration,
    /// How long a quality may be bad.
    pub(super) quality_delay: Duration,
    /// How long each state of an instrument may last.
    pub(super) states: Vec<(InstrumentState, Duration)>,
    /// Temperature of ppm and mg/m³, in ℃.
    pub(super) celsius: f64,
    pub(super) channels: Vec<Channel>,
    pub(super) escalations: Vec<Escalation>,
    pub(super) horns: Vec<Horn>,
    pub(super) sources: Vec<HazardSource>,
}

const fn minutes(n: u64) -> Duration {
    Duration::from_secs(n * 60)
}

impl Default for Rules {
    fn default() -> Self {
        use Priority::{Blue, Orange, Red, Yellow};
        use Shelving::{Allowed, SecondPerson};
        let class = |class, priority, shelving, ladder: &str| {
            (class, ClassRule { priority, shelving, escalation: ladder.into() })
        };
        let kind = |kind: &str, deadband_percent, seconds| {
            let delay = Duration::from_secs(seconds);
            (kind.to_owned(), KindRule { deadband_percent, on_delay: delay, off_delay: delay })
        };
        let usual = (Allowed, Allowed);
        Self {
            classes: BTreeMap::from([
                class(Class::Gas, (Orange, Red), (Allowed, SecondPerson), STANDARD),
                class(Class::Fire, (Red, Red), (SecondPerson, SecondPerson), STANDARD),
                class(Class::MajorHazard, (Orange, Red), (Allowed, SecondPerson), STANDARD),
                class(Class::Process, (Yellow, Orange), usual, STANDARD),
                class(Class::Utility, (Yellow, Orange), usual, STANDARD),
                class(Class::Equipment, (Blue, Yellow), usual, QUIET),
                class(Class::System, (Yellow, Orange), usual, QUIET),
            ]),
            kinds: BTreeMap::from([
                kind("flow", 5.0, 15),
                kind("level", 5.0, 60),
                kind("pressure", 2.0, 15),
                kind("temperature", 1.0, 60),
            ]),
            other: KindRule { deadband_percent: 1.0, on_delay: Duration::ZERO, off_delay: Duration::ZERO },
            comm_delay: Duration::from_secs(30),
            quality_delay: Duration::from_secs(60),
            states: vec![
                (InstrumentState::WarmUp, minutes(30)),
                (InstrumentState::BumpTest, minutes(30)),
                (InstrumentState::Calibration, minutes(120)),
                (InstrumentState::Simulation, minutes(60)),
                (InstrumentState::Inhibited, minutes(240)),
                (InstrumentState::Maintenance, minutes(480)),
            ],
            celsius: super::oel::CELSIUS,
            channels: built_in(),
            escalations: vec![ladder(STANDARD, &STANDARD_STEPS), ladder(QUIET, STANDARD_STEPS.get(..1).unwrap_or(&[]))],
            horns: Vec::new(),
            sources: Vec::new(),
        }
    }
}

/// Channels that need no configuration.
pub(super) fn built_in() -> Vec<Channel> {
    vec![Channel { id: "page".into(), via: Via::Page }, Channel { id: "platform".into(), via: Via::Platform }]
}

/// Control room, shift leader, leader on duty, then the three responsible persons (issue 4, rule 101).
const STANDARD_STEPS: [(u64, &str, Recipient); 6] = [
    (0, "page", Recipient::ControlRoom),
    (2, "page", Recipient::ShiftLeader),
    (5, "page", Recipient::DutyLeader),
    (10, "platform", Recipient::Operating),
    (15, "platform", Recipient::Technical),
    (20, "platform", Recipient::Main),
];

fn ladder(name: &str, steps: &[(u64, &str, Recipient)]) -> Escalation {
    let step = |(after, channel, to): &(u64, &str, Recipient)| Step {
        after: minutes(*after),
        channel: (*channel).into(),
        to: *to,
    };
    Escalation { name: name.into(), steps: steps.iter().map(step).collect() }
}

impl Rules {
    /// Returns what the alarms of a class have in common.
    pub(super) fn class(&self, class: Class) -> ClassRule {
        self.classes.get(&class).cloned().unwrap_or(ClassRule {
            priority: (Priority::Yellow, Priority::Orange),
            shelving: (Shelving::Allowed, Shelving::Allowed),
            escalation: STANDARD.into(),
        })
    }

    /// Returns what process alarms of this kind of point have in common.
    pub(super) fn kind(&self, kind: Option<&str>) -> KindRule {
        kind.and_then(|kind| self.kinds.get(kind)).copied().unwrap_or(self.other)
    }

    /// Returns the index of a ladder.
    pub(super) fn escalation(&self, name: &str) -> Option<usize> {
        self.escalations.iter().position(|ladder| &*ladder.name == name)
    }

    /// Returns the index of a hazard source.
    pub(super) fn source(&self, code: &str) -> Option<usize> {
        self.sources.iter().position(|source| &*source.code == code)
    }

    /// Returns the indices of the horns and lamps of an alarm.
    pub(super) fn horns_of(&self, class: Class, zone: Option<&str>) -> Vec<usize> {
        let serves = |horn: &Horn| {
            (horn.classes.is_empty() || horn.classes.contains(&class))
                && (horn.zones.is_empty() || zone.is_some_and(|zone| horn.zones.iter().any(|known| known == zone)))
        };
        (0..).zip(&self.horns).filter(|(_, horn)| serves(horn)).map(|(index, _)| index).collect()
    }
}
