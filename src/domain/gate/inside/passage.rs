//! A passage: one object from the first detection to its end, with a version for each step. This is what is recorded and sent
//! as document `passage`; what the counts need of it is the event [`super::event::Crossed`].
//!
//! ```text
//!            Decided               Passing        Completed
//!  detected ─────────▶ decided ───────────▶ passing ──────▶ completed
//!      │                  │ ▲ Answered (guard)  │               ▲
//!      │ Ended            ▼ │     nobody crossed│               │ it crossed all the same
//!      └────────────▶ ended: not entered, turned back, refused, in doubt
//! ```
//!
//! Only *completed* changes counts. What the world shows outranks what was expected: a vehicle that crosses after its passage
//! was ended as not entered has crossed.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::event::{Crossing, VehicleSeen};
use crate::domain::actor::Actor;
use crate::domain::gate::hardware::CameraEvent;
use crate::domain::gate::picture::{Picture, PictureKind};
use crate::domain::gate::presented::PlateRead;
use crate::domain::gate::verdict::Verdict;
use crate::domain::gate::word::{
    CompanyId, DecisionId, Direction, GateId, GatewayId, LaneId, LaneKind, ManifestNo, PassageId, PermitId, PersonRef,
    VehicleClass, WaybillNo, words,
};
use crate::domain::time::{ClockTrust, Mono, Timestamp};

/// Pictures that a passage names: one of each kind.
pub const MAX_PICTURES: usize = PictureKind::ALL.len();
/// Persons that a passage names: a shuttle bus.
pub const MAX_PERSONS: usize = 80;

words! {
    /// How far a passage is.
    Phase {
        /// Something has come.
        Detected = "detected", "到达";
        /// What is to be done with it is decided.
        Decided = "decided", "已判定";
        /// It is under way through the lane.
        Passing = "passing", "通过中";
        /// It has crossed.
        Completed = "completed", "已通过";
        /// It is over, and nothing crossed.
        Ended = "ended", "未通过";
    }
}

words! {
    /// How a passage ended.
    Outcome {
        /// It crossed.
        Crossed = "crossed", "已通过";
        /// It might have, and did not.
        NotEntered = "not_entered", "开闸未进";
        /// It turned back.
        TurnedBack = "turned_back", "折返";
        /// It was refused, and is gone.
        Refused = "refused", "拒绝离开";
        /// It followed another one, or the arm was forced: it crossed, and nobody had let it.
        Unauthorised = "unauthorised", "擅自通过";
        /// The gateway cannot say: it was off, or the sensors were.
        InDoubt = "in_doubt", "去向不明";
    }
}

/// A passage, as it is recorded.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Passage {
    /// Its id, from the first detection on.
    pub passage: PassageId,
    /// Step, from 1.
    pub version: u32,
    /// Who saw it.
    pub gateway: GatewayId,
    /// Gate.
    pub gate: GateId,
    /// Lane.
    pub lane: LaneId,
    /// Who uses the lane.
    pub lane_kind: LaneKind,
    /// Which way.
    pub direction: Direction,
    /// The city's code for it: 1 out, 2 in (`domain.md` rule 56).
    pub direction_code: u8,
    /// The city's kind: 1 person, 2 ordinary vehicle, 3 dangerous goods, 4 hazardous waste.
    pub kind_code: u8,
    /// Zones entered and left.
    pub crossing: Crossing,
    /// How far it is.
    pub phase: Phase,
    /// How it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    /// Who and what.
    pub who: Who,
    /// What it belongs to.
    pub links: Links,
    /// What was decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<Verdict>,
    /// Codes of all reasons, the strongest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<String>,
    /// What a person answered, where one was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<Answered>,
    /// What the camera read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read: Option<PlateRead>,
    /// The camera's number of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub camera: Option<CameraEvent>,
    /// The camera's own time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_time: Option<Timestamp>,
    /// The camera was offline when it saw it.
    pub offline: bool,
    /// It was entered afterwards.
    pub late: bool,
    /// In an emergency: recorded, not controlled (rule 77).
    pub released: bool,
    /// First detection; of a late one, the camera's time.
    pub detected_at: Timestamp,
    /// Decision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decided_at: Option<Timestamp>,
    /// Crossing, or end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
    /// Trust of the gateway's clock at this step.
    pub clock: ClockTrust,
    /// Gross weight, kilograms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gross_kg: Option<u32>,
    /// Its pictures, one of each kind, also those that could not be kept.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pictures: Vec<Picture>,
    /// The passage that brought in what goes out with this one, or the other way round, as far as known at this step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pair: Option<PassageId>,
    /// Monotonic time of the last step; not recorded.
    #[serde(skip)]
    pub touched: Mono,
}

/// Who and what passes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Who {
    /// The vehicle; `None`: on foot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vehicle: Option<VehicleSeen>,
    /// Persons who are known: on foot, driver, escort, passengers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub persons: Vec<PersonRef>,
    /// Persons beside them who are not.
    #[serde(default)]
    pub unidentified: u16,
    /// Nobody said who was in the vehicle: what is known of its entry is taken, or one unidentified driver.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub assumed: bool,
    /// For whom.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub company: Option<CompanyId>,
}

/// What a passage belongs to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Links {
    /// The decision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision: Option<DecisionId>,
    /// The permit that was used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub permit: Option<PermitId>,
    /// The waybill.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waybill: Option<WaybillNo>,
    /// The waste manifest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manifest: Option<ManifestNo>,
    /// The weighing, by its id at the scale.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weighing: Option<String>,
    /// Occurrences of alarms that it raised, or that were open in its zone.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub alarms: BTreeSet<String>,
    /// Episode of the site's state, when it was not normal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub episode: Option<String>,
    /// The passage that it followed through.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub followed: Option<PassageId>,
}

/// What a person answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answered {
    /// Who.
    pub actor: Actor,
    /// What now holds.
    pub verdict: Verdict,
    /// Why.
    pub reason: String,
}

/// The first detection of something that wants to pass, or has passed.
#[derive(Clone, Debug, PartialEq)]
pub struct Begin {
    /// Id of the passage, new.
    pub passage: PassageId,
    /// Gate.
    pub gate: GateId,
    /// Lane.
    pub lane: LaneId,
    /// Who uses the lane.
    pub lane_kind: LaneKind,
    /// Which way.
    pub direction: Direction,
    /// Borders that it crosses; [`super::rules::Rules::crossing`] says which.
    pub crossing: Crossing,
    /// Who and what, as far as known.
    pub who: Who,
    /// Nobody can say who is in the vehicle: what came in with it is taken to go out with it.
    pub occupants_unknown: bool,
    /// What the camera read.
    pub read: Option<PlateRead>,
    /// The camera's number of it.
    pub camera: Option<CameraEvent>,
    /// The camera's time.
    pub device_time: Option<Timestamp>,
    /// Its pictures.
    pub pictures: Vec<Picture>,
    /// Gross weight, kilograms.
    pub gross_kg: Option<u32>,
    /// The site's episode, in an emergency.
    pub episode: Option<String>,
}

/// What a decision says of a passage.
#[derive(Clone, Debug, PartialEq)]
pub struct Decided {
    /// The verdict.
    pub verdict: Verdict,
    /// Codes of all reasons.
    pub reasons: Vec<String>,
    /// What it belongs to.
    pub links: Links,
}

/// A step of a passage.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// More is known of who and what it is; what is unknown here does not take back what is known.
    Identified {
        /// Who and what.
        who: Who,
        /// Nobody can say who is in the vehicle.
        occupants_unknown: bool,
    },
    /// Which way it goes, where the lane knew better than at its first detection.
    Goes {
        /// Which way.
        direction: Direction,
        /// Borders that it crosses.
        crossing: Crossing,
    },
    /// What a camera read of it; of several reads the last one stands.
    Seen {
        /// What was read.
        read: Option<PlateRead>,
        /// The camera's number of it.
        camera: Option<CameraEvent>,
        /// The camera's time.
        device_time: Option<Timestamp>,
    },
    /// The way is open for everybody: by fire, by the state of the site, by hand at the barrier. Recorded, not controlled.
    Released,
    /// It followed another passage through, as far as is known which.
    Followed(Option<PassageId>),
    /// It was decided.
    Decided(Decided),
    /// A person answered.
    Answered(Answered),
    /// It is under way through the lane.
    Passing,
    /// It has crossed.
    Completed,
    /// Nothing crossed.
    Ended(Outcome),
    /// A picture came: of each kind the first that is kept stands.
    Picture(Picture),
    /// It was weighed: id at the scale, kilograms.
    Weighed(String, u32),
    /// An alarm that belongs to it: its occurrence.
    Alarm(String),
}

impl Passage {
    /// Begins one.
    pub(super) fn begin(gateway: GatewayId, begin: Begin, at: Timestamp, clock: ClockTrust, mono: Mono) -> Self {
        let kind_code = kind_code(begin.lane_kind, begin.who.vehicle.as_ref());
        let mut pictures = begin.pictures;
        pictures.truncate(MAX_PICTURES);
        Self {
            passage: begin.passage,
            version: 1,
            gateway,
            gate: begin.gate,
            lane: begin.lane,
            lane_kind: begin.lane_kind,
            direction: begin.direction,
            direction_code: direction_code(begin.direction),
            kind_code,
            crossing: begin.crossing,
            phase: Phase::Detected,
            outcome: None,
            who: begin.who,
            links: Links { episode: begin.episode.clone(), ..Links::default() },
            verdict: None,
            reasons: Vec::new(),
            answer: None,
            read: begin.read,
            camera: begin.camera,
            device_time: begin.device_time,
            offline: false,
            late: false,
            released: begin.episode.is_some(),
            detected_at: at,
            decided_at: None,
            ended_at: None,
            clock,
            gross_kg: begin.gross_kg,
            pictures,
            pair: None,
            touched: mono,
        }
    }

    /// Returns whether something may come through: it was allowed, or a person let it.
    pub fn let_through(&self) -> bool {
        match &self.answer {
            Some(answer) => answer.verdict == Verdict::Allow,
            None => self.verdict == Some(Verdict::Allow) || self.released,
        }
    }

    /// Takes a picture; of each kind the first that is kept stands. Returns whether it was taken.
    pub(super) fn take_picture(&mut self, picture: Picture) -> bool {
        match self.pictures.iter_mut().find(|other| other.kind == picture.kind) {
            Some(other) if other.is_kept() || !picture.is_kept() => return false,
            Some(other) => *other = picture,
            None => self.pictures.push(picture),
        }
        true
    }

    /// Takes over what more is known of who and what it is.
    pub(super) fn identify(&mut self, who: Who) {
        if who.vehicle.is_some() {
            self.who.vehicle = who.vehicle;
        }
        if !who.persons.is_empty() || who.unidentified > 0 {
            self.who.persons = who.persons;
            self.who.persons.truncate(MAX_PERSONS);
            self.who.unidentified = who.unidentified;
            self.who.assumed = who.assumed;
        }
        if who.company.is_some() {
            self.who.company = who.company;
        }
        self.kind_code = kind_code(self.lane_kind, self.who.vehicle.as_ref());
    }

    /// Takes over what it belongs to; what is not named stays.
    pub(super) fn link(&mut self, links: Links) {
        let own = &mut self.links;
        own.decision = links.decision.or(own.decision.take());
        own.permit = links.permit.or(own.permit.take());
        own.waybill = links.waybill.or(own.waybill.take());
        own.manifest = links.manifest.or(own.manifest.take());
        own.weighing = links.weighing.or(own.weighing.take());
        own.episode = links.episode.or(own.episode.take());
        own.followed = links.followed.or(own.followed.take());
        own.alarms.extend(links.alarms);
    }
}

/// Returns the city's code of a direction (`domain.md` rule 56: the order is theirs).
pub fn direction_code(direction: Direction) -> u8 {
    match direction {
        Direction::Out => 1,
        Direction::In => 2,
    }
}

/// Returns the city's kind of a passage: 1 person, 2 ordinary vehicle, 3 dangerous goods, 4 hazardous waste.
pub fn kind_code(lane: LaneKind, vehicle: Option<&VehicleSeen>) -> u8 {
    match (lane, vehicle.map(|vehicle| vehicle.class)) {
        (_, Some(VehicleClass::Hazmat)) => 3,
        (_, Some(VehicleClass::HazWaste)) => 4,
        (LaneKind::Person, None) => 1,
        (_, Some(_)) | (LaneKind::Vehicle, None) => 2,
    }
}
