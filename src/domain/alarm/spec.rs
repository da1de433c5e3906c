//! What is to be watched: the validated configuration of all alarms. `config` builds an [`AlarmBook`], [`super::Alarms`]
//! works by it. Points are named by where they stand in the registry, so that a reading finds its alarms in one step.
//!
//! One alarm is one direction of one thing, with up to [`MAX_LEVELS`] levels: a rise from level 1 to level 2 is a higher
//! priority within the same occurrence, not a second alarm. So 高报 and 高高报 of a point are one alarm with two levels.
//!
//! | condition | subject | levels' `limit` | word |
//! |---|---|---|---|
//! | [`Condition::High`], [`Condition::Low`] | point | in the point's unit | `high`, `low` |
//! | [`Condition::Rate`] | point | in the point's unit per minute, > 0 | `rate` |
//! | [`Condition::Deviation`] | point | distance in the point's unit, > 0 | `deviation` |
//! | [`Condition::Digital`], [`Condition::All`] | point | none | `digital`, `combined` |
//! | [`Condition::Quality`], [`Condition::Flatline`] | point | none | `quality`, `flatline` |
//! | [`Condition::Comm`] | device | none | `comm` |
//! | [`Condition::Gas`] | point | in the point's unit; none of a second level that only a controller's bit raises | `gas`, or `gas_low` for oxygen deficiency |
//! | [`Condition::GasFault`], [`Condition::Disagreement`], [`Condition::StateTooLong`] | point | none | same words |
//! | [`Condition::RollUp`] | gateway | none | `roll_up` |
//! | [`Condition::Channel`], [`Condition::External`] | gateway | none | `channel`, `external` |
//!
//! [`AlarmBook::problems`] (`problem.rs`) names what no book may contain; the finer rules (clauses, ceilings, units) belong to `config`.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::super::id::{DeviceId, PointUid, Tag};
use super::super::instrument::InstrumentState;
use super::super::phone::Phones;
use super::super::reading::Quality;
use super::super::record::Mode;
use super::ask::{PointCondition, Test};
use super::severity::{Class, Priority, Recipient, Shelving};

/// Most levels of one alarm: the blue, yellow, orange and red of a tailings pond (A17, 137). Others have one or two.
pub const MAX_LEVELS: usize = 4;
/// Longest single shelving (rule 94).
pub const SHELF_MAX: Duration = Duration::from_secs(8 * 3600);
/// Longest time on the shelf, extensions included (rule 94).
pub const SHELF_TOTAL_MAX: Duration = Duration::from_secs(12 * 3600);
/// Longest time out of service at a time: a month, then somebody must decide again.
pub const SERVICE_MAX: Duration = Duration::from_secs(31 * 24 * 3600);

/// How long controller and gateway may differ about a level before that is an alarm, unless the site knows better: two polls
/// of a bus with thirty detectors, and the controller's own filter.
pub const SETTLE: Duration = Duration::from_secs(5);
/// Most steps of a ladder: control room, shift leader, duty leader, three responsible persons, each by two channels.
pub const STEPS_MAX: usize = 12;

/// All alarms of one revision of the configuration.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AlarmBook {
    /// Revision of the limits, told in every record: the registry's revision under which they were read.
    pub rev: u32,
    /// The alarms; ids unique.
    pub alarms: Vec<AlarmSpec>,
    /// Instruments whose states, and controllers whose bits, are watched; conditions refer to them by index.
    pub detectors: Vec<Detector>,
    /// Ladders of telling people; alarms refer to them by index.
    pub escalations: Vec<Escalation>,
    /// Horns and lamps; alarms refer to them by index.
    pub annunciators: Vec<Annunciator>,
    /// Major hazard sources with their responsible persons; alarms refer to them by index.
    pub hazard_sources: Vec<HazardSource>,
}

/// Where a point stands: index of its device in the registry, and its ordinal there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PointRef {
    /// Index of the device in the registry.
    pub device: usize,
    /// Ordinal of the point within the device.
    pub ordinal: u16,
}

/// One alarm.
#[derive(Clone, Debug, PartialEq)]
pub struct AlarmSpec {
    /// `<tag or device>.<kind>`, stable over reloads; the `alarm` of records, the word by which people act on it.
    pub id: Arc<str>,
    /// What it is about.
    pub subject: Subject,
    /// When it is active.
    pub condition: Condition,
    /// What kind of danger.
    pub class: Class,
    /// 1..=[`MAX_LEVELS`], mildest first.
    pub levels: Vec<Level>,
    /// How long the condition must last before the alarm is raised, or its level rises; 0 for gas and fire.
    pub on_delay: Duration,
    /// How long the condition must be gone before the alarm is cleared, or its level falls.
    pub off_delay: Duration,
    /// Whether it stays until it is reset by hand.
    pub latching: bool,
    /// First-out group: of the alarms of one group, the first is marked.
    pub group: Option<Arc<str>>,
    /// Suppression by design: while this holds, by a measurement, the alarm is not raised. Never for gas and fire.
    pub suppressed_when: Option<PointCondition>,
    /// Index of the ladder by which people are told; none for those that only stand in the list.
    pub escalation: Option<usize>,
    /// Indices of its horns and lamps.
    pub annunciators: Vec<usize>,
    /// Index of the major hazard source it belongs to.
    pub hazard_source: Option<usize>,
    /// Zone (区域) of what it is about.
    pub zone: Option<Arc<str>>,
    /// What it says, Chinese first: `T-101 液位高`.
    pub text: String,
    /// What may be behind it; empty when nobody wrote it.
    pub likely_cause: String,
    /// What to do; empty when nobody wrote it.
    pub response: String,
    /// `Real`; `Commissioning` for a point under loop test: recorded and shown, nobody is woken, no horn.
    pub mode: Mode,
}

/// What an alarm is about.
#[derive(Clone, Debug, PartialEq)]
pub enum Subject {
    /// A point.
    Point {
        /// Where it stands.
        at: PointRef,
        /// Immutable identity.
        uid: PointUid,
        /// Tag (位号).
        tag: Tag,
        /// Its device.
        device: DeviceId,
        /// Its unit, empty when it has none.
        unit: Arc<str>,
    },
    /// A device.
    Device {
        /// Its index in the registry.
        index: usize,
        /// Its id.
        device: DeviceId,
    },
    /// The gateway itself.
    Gateway,
}

impl Subject {
    /// Returns where the point stands, of a point.
    pub fn point(&self) -> Option<PointRef> {
        match self {
            Self::Point { at, .. } => Some(*at),
            Self::Device { .. } | Self::Gateway => None,
        }
    }
}

/// When an alarm is active. The limits stand in its levels.
#[derive(Clone, Debug, PartialEq)]
pub enum Condition {
    /// At or above the limit.
    High,
    /// At or below the limit.
    Low,
    /// Changes too fast.
    Rate {
        /// The span over which the change is taken, ≥ two poll intervals.
        window: Duration,
        /// Which change.
        change: Change,
    },
    /// Too far from where it should be.
    Deviation {
        /// Where it should be.
        from: Reference,
    },
    /// The point's value is what it should not be.
    Digital {
        /// What it is when the alarm is active.
        test: Test,
    },
    /// All of these hold, each by a measurement; the subject is the point that people look at.
    All {
        /// The conditions, at least one.
        conditions: Vec<PointCondition>,
    },
    /// The point has one of these qualities. `comm` and `stale` do not count while its device does not answer: that is
    /// one alarm of the device.
    Quality {
        /// Which.
        of: BTreeSet<Quality>,
    },
    /// The value stands still or stays below what the instrument can mean (`flatline.rs`).
    Flatline,
    /// The device does not answer. The retry limit is the alarm's on-delay.
    Comm,
    /// Gas, by the controller's bits and by the value; see `gas.rs`.
    Gas {
        /// Index of the detector.
        detector: usize,
        /// `Low` for oxygen deficiency.
        side: Side,
        /// Whether the value is compared with the levels; otherwise only the controller's bits count.
        compare: bool,
    },
    /// The detector is faulty, silent, frozen, or has drifted below zero.
    GasFault {
        /// Index of the detector.
        detector: usize,
    },
    /// Controller and gateway do not agree on the level; the settling time is the alarm's on-delay
    /// ([`SETTLE`] unless the site knows better).
    Disagreement {
        /// Index of the detector.
        detector: usize,
    },
    /// The instrument is calibrated, tested, inhibited … for longer than it may be.
    StateTooLong {
        /// Index of the detector.
        detector: usize,
        /// How long each state may last; a state that is not named here may last for ever.
        limits: Vec<(InstrumentState, Duration)>,
    },
    /// Enough other alarms are at some level (tailings ponds, rule 137).
    RollUp {
        /// Ids of the alarms; those unknown to the book never count.
        members: Vec<Arc<str>>,
        /// Which number of them gives which level; the highest level that is given counts.
        rules: Vec<RollUp>,
    },
    /// A channel by which people are told fails.
    Channel {
        /// Its id.
        channel: Arc<str>,
    },
    /// Somebody else in the gateway knows: [`super::Alarms::handle_external`].
    External,
}

/// One step of a roll-up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RollUp {
    /// Members at this level or above …
    pub level: u8,
    /// … at least this many …
    pub count: usize,
    /// … give this level of the roll-up.
    pub gives: u8,
}

impl Condition {
    /// Returns the word by which the alarm's kind is known: the last part of its id, and the `rule` of records.
    pub fn word(&self) -> &'static str {
        match self {
            Self::High => "high",
            Self::Low => "low",
            Self::Rate { .. } => "rate",
            Self::Deviation { .. } => "deviation",
            Self::Digital { .. } => "digital",
            Self::All { .. } => "combined",
            Self::Quality { .. } => "quality",
            Self::Flatline => "flatline",
            Self::Comm => "comm",
            Self::Gas { side: Side::High, .. } => "gas",
            Self::Gas { side: Side::Low, .. } => "gas_low",
            Self::GasFault { .. } => "gas_fault",
            Self::Disagreement { .. } => "disagreement",
            Self::StateTooLong { .. } => "state_too_long",
            Self::RollUp { .. } => "roll_up",
            Self::Channel { .. } => "channel",
            Self::External => "external",
        }
    }

    /// Returns by what it is judged.
    pub fn basis(&self) -> Basis {
        match self {
            Self::High
            | Self::Low
            | Self::Rate { .. }
            | Self::Deviation { .. }
            | Self::Digital { .. }
            | Self::All { .. }
            | Self::Quality { .. }
            | Self::Flatline => Basis::Point,
            Self::Gas { detector, .. }
            | Self::GasFault { detector }
            | Self::Disagreement { detector }
            | Self::StateTooLong { detector, .. } => Basis::Detector(*detector),
            Self::Comm => Basis::Link,
            Self::RollUp { .. } | Self::Channel { .. } | Self::External => Basis::Told,
        }
    }

    /// Returns the detector it is about.
    pub fn detector(&self) -> Option<usize> {
        if let Basis::Detector(index) = self.basis() { Some(index) } else { None }
    }

    /// Returns whether its levels need limits.
    pub fn has_limits(&self) -> bool {
        match self {
            Self::High | Self::Low | Self::Rate { .. } | Self::Deviation { .. } => true,
            Self::Gas { compare, .. } => *compare,
            Self::Digital { .. }
            | Self::All { .. }
            | Self::Quality { .. }
            | Self::Flatline
            | Self::Comm
            | Self::GasFault { .. }
            | Self::Disagreement { .. }
            | Self::StateTooLong { .. }
            | Self::RollUp { .. }
            | Self::Channel { .. }
            | Self::External => false,
        }
    }

    /// Returns whether the limits of its levels descend.
    pub fn is_low(&self) -> bool {
        matches!(self, Self::Low | Self::Gas { side: Side::Low, .. })
    }
}

/// By what a condition is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Basis {
    /// What stands of its point, perhaps of others beside it.
    Point,
    /// A detector, by index in the book: its point, its state, the bits of its controller.
    Detector(usize),
    /// Whether its device answers.
    Link,
    /// What another alarm, a channel or another machine says.
    Told,
}

/// Which change is too fast.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// Upwards.
    Rise,
    /// Downwards.
    Fall,
    /// Either.
    Any,
}

/// Which side of the limit is dangerous.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// Above.
    High,
    /// Below.
    Low,
}

/// Where a value should be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Reference {
    /// At this value.
    Value(f64),
    /// Where this point is; while that is no measurement, nothing is said.
    Point(PointRef),
}

/// One level of an alarm.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Level {
    /// The limit, where the condition has one; see the table of the module.
    pub limit: Option<f64>,
    /// How far the value must come back behind the limit before the level is left, ≥ 0, in the limit's unit.
    pub deadband: f64,
    /// How bad it is.
    pub priority: Priority,
    /// Who may put it on the shelf at this level.
    pub shelving: Shelving,
}

/// An instrument whose state is watched, and what its controller says about it. Other points tell both.
#[derive(Clone, Debug, PartialEq)]
pub struct Detector {
    /// The point of its value.
    pub at: PointRef,
    /// Identity of that point.
    pub uid: PointUid,
    /// Tag of that point.
    pub tag: Tag,
    /// Its device.
    pub device: DeviceId,
    /// The controller's alarm bits.
    pub bits: Vec<ControllerBit>,
    /// The controller's fault bits: any.
    pub fault: Vec<PointCondition>,
    /// The controller's inhibit bits: any.
    pub inhibit: Vec<PointCondition>,
    /// Whether the controller's alarm bits stay until they are reset there, as GB 16808 wants: then a bit that stays
    /// after the value has gone is no disagreement.
    pub bits_latch: bool,
    /// How far value and set point must be apart before a difference with the controller is one, ≥ 0, in the point's unit.
    pub margin: f64,
    /// From here up to the low end of the range the signal only swings around its zero; below, it has drifted away (rule 89).
    /// In the point's unit; infinite where the range is not known.
    pub drift: f64,
}

/// One alarm bit of a controller.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ControllerBit {
    /// The level that it means, from 1.
    pub level: u8,
    /// Which alarm, where a detector has two (oxygen).
    pub side: Side,
    /// When it is set.
    pub when: PointCondition,
}

/// A ladder by which people are told until somebody acknowledges.
#[derive(Clone, Debug, PartialEq)]
pub struct Escalation {
    /// Its name.
    pub name: Arc<str>,
    /// Steps by time, at most [`STEPS_MAX`].
    pub steps: Vec<Step>,
}

/// One step of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// How long after the alarm was raised, not acknowledged until then; ascending.
    pub after: Duration,
    /// The channel: `page`, `platform`, `broadcast`, or one that the configuration names.
    pub channel: Arc<str>,
    /// Who is meant.
    pub to: Recipient,
}

/// A major hazard source with its three responsible persons (rule 101).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HazardSource {
    /// Its code.
    pub code: Arc<str>,
    /// Its name.
    pub name: String,
    /// Main responsible person (主要负责人), as the messages name him.
    pub main: String,
    /// Technical one (技术负责人).
    pub technical: String,
    /// Operating one (操作负责人).
    pub operating: String,
    /// Their telephones, where they stand beside their names.
    pub phones: Phones,
}

impl HazardSource {
    /// Returns the name of one of the three; `None` for anybody else.
    pub fn person(&self, who: Recipient) -> Option<&str> {
        match who {
            Recipient::Main => Some(&self.main),
            Recipient::Technical => Some(&self.technical),
            Recipient::Operating => Some(&self.operating),
            Recipient::ControlRoom | Recipient::ShiftLeader | Recipient::DutyLeader => None,
        }
    }
}

/// A horn or a lamp.
#[derive(Clone, Debug, PartialEq)]
pub struct Annunciator {
    /// Id of the output.
    pub output: Arc<str>,
    /// By which name its failures are an alarm ([`Condition::Channel`]): that of the output, or of the channel that writes
    /// to the same output.
    pub channel: Arc<str>,
    /// Name of the output's value that switches it on.
    pub on: Arc<str>,
    /// Name of the value that switches it off.
    pub off: Arc<str>,
    /// When it is on.
    pub follows: Follows,
}

/// When an annunciator is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Follows {
    /// While an alarm of it is not acknowledged, and the horn is not silenced: a horn.
    Unacknowledged,
    /// While an alarm of it stands, active or latched: a lamp.
    Standing,
}

impl AlarmSpec {
    /// Whether it tells of the instrument, not of what it measures: such an alarm of class gas may wait and need not latch.
    pub fn is_about_the_instrument(&self) -> bool {
        matches!(
            self.condition,
            Condition::GasFault { .. }
                | Condition::Disagreement { .. }
                | Condition::StateTooLong { .. }
                | Condition::Quality { .. }
                | Condition::Flatline
                | Condition::Comm
                | Condition::Channel { .. }
        )
    }
}
