//! What is known of something that wants to pass: the only thing that a decision looks at.
//!
//! A fact is known, or it is `None`: not known. An unknown fact is never taken for a good one; what follows from it is the
//! policies' to say. Facts are plain values, so that a decision can be stored with them and made again.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::hazmat::goods::SmallQuantity;
use super::plate::Plate;
use super::word::{
    CompanyId, Direction, GateClass, GateId, LaneId, LaneKind, ManifestNo, PaperKind, PermitId, PersonKind, PersonRef,
    VehicleClass, WaybillNo, ZoneClass, ZoneId,
};
use crate::domain::order::LaneRule;
use crate::domain::site::State;
use crate::domain::time::ClockTrust;

/// All of them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Facts {
    /// Of the lane.
    pub lane: LaneFacts,
    /// Of the zone that a passage leads into (`In`) or out of (`Out`).
    pub zone: ZoneFacts,
    /// Of the site.
    pub site: SiteFacts,
    /// Of what the gateway itself knows, and how well.
    pub gateway: GatewayFacts,
    /// Of who or what wants to pass.
    pub subject: Subject,
}

/// Who or what wants to pass.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[expect(clippy::large_enum_variant, reason = "one at a time, never in a collection")]
pub enum Subject {
    /// A person on foot.
    Person(PersonFacts),
    /// A vehicle with everybody in it.
    Vehicle(VehicleFacts),
}

/// The lane.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LaneFacts {
    /// Its id.
    pub lane: LaneId,
    /// Its gate.
    pub gate: GateId,
    /// Class of the gate.
    pub gate_class: GateClass,
    /// Who uses it.
    pub kind: LaneKind,
    /// Which way the passage goes.
    pub direction: Direction,
    /// Whether the lane takes this direction now.
    pub direction_ok: bool,
    /// Classes of vehicles that it takes.
    pub classes: BTreeSet<VehicleClass>,
    /// Whether somebody is there.
    pub manned: bool,
    /// Whether it is in service.
    pub in_service: bool,
    /// Whether something is under the arm; `None` when the sensors cannot say.
    pub under_arm: Option<bool>,
    /// Whether the lane's time window for this class is open; `None` with a clock that cannot be trusted.
    pub window_open: Option<bool>,
    /// A hazmat lane whose camera opened by its own list, and that nobody has armed again.
    pub disarmed: bool,
}

/// The zone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ZoneFacts {
    /// Its id.
    pub zone: ZoneId,
    /// Its class.
    pub class: ZoneClass,
    /// Persons inside, and how many may be.
    pub persons: u32,
    /// Absent: no limit.
    pub persons_max: Option<u32>,
    /// Vehicles of the subject's class inside, and how many may be.
    pub vehicles: u32,
    /// Absent: no limit.
    pub vehicles_max: Option<u32>,
    /// Highest level of a gas alarm in it: 0, 1 or 2.
    pub gas_level: u8,
    /// Whether a second entry without an exit is a refusal (`Hard`), a warning (`Soft`), or nothing (`Off`).
    pub anti_passback: AntiPassback,
    /// Whether persons need a valid training to enter.
    pub training_needed: bool,
}

/// What a second entry without an exit means (`domain.md` rule 16).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AntiPassback {
    /// Nothing.
    Off,
    /// It is let in and told.
    #[default]
    Soft,
    /// It is refused.
    Hard,
}

/// The site.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SiteFacts {
    /// State that holds at this lane.
    pub state: State,
    /// What that state orders this lane to do.
    pub rule: LaneRule,
    /// Fire linkage of this lane's gate is on, or its line is broken.
    pub fire: bool,
    /// City warnings in force, by their kind and level (rule of the site): `flood: 2`, `fire_ban: 1`.
    pub warnings: BTreeMap<String, u8>,
}

/// What the gateway itself knows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GatewayFacts {
    /// How far its clock can be trusted.
    pub clock: ClockTrust,
    /// Age of the permits in seconds; `None` when there never were any, or their age is not known.
    pub permits_age_s: Option<u64>,
    /// Age of the block list in seconds.
    pub block_list_age_s: Option<u64>,
    /// Other gates of the park that share their passages are heard of; `None` where there are none.
    pub peers_heard: Option<bool>,
    /// The store takes what is written.
    pub store_ok: bool,
    /// This gateway has known who is inside without a break since its last signed count.
    pub inside_known: bool,
}

/// Whether a permit is good.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PermitFacts {
    /// The best permit that was found for this subject.
    pub permit: Option<PermitId>,
    /// How it stands.
    pub state: PermitState,
    /// Whether it names this gate or lane.
    pub gate_ok: Option<bool>,
    /// Whether its own time of day is now.
    pub window_open: Option<bool>,
    /// The company that it is for.
    pub company: Option<CompanyId>,
}

/// How a permit stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PermitState {
    /// There is none.
    None,
    /// Not approved by all who must.
    NotApproved,
    /// Refused by one of them.
    Refused,
    /// Approved, not yet valid.
    NotYetValid,
    /// Valid now.
    Valid,
    /// No longer valid.
    Expired,
    /// Every use of it was used.
    UsedUp,
    /// Approved, but whether it is valid now cannot be said: the clock cannot be trusted.
    Undated,
}

/// What the lists say (`domain.md` rules 23, 24).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listed {
    /// On the block list now, with the reason given there.
    pub blocked: Option<String>,
    /// On the allow list now.
    pub allowed: bool,
}

/// A person on foot, or one in a vehicle.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PersonFacts {
    /// Who; `None` when the credential names nobody that is known.
    pub person: Option<PersonRef>,
    /// Kind.
    pub person_kind: Option<PersonKind>,
    /// What the lists say.
    pub listed: Listed,
    /// The permit.
    pub permit: PermitFacts,
    /// Whether the training is valid; `None`: not known.
    pub training_valid: Option<bool>,
    /// Whether he is inside already, as far as is known.
    pub inside: Option<bool>,
}

/// A vehicle.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct VehicleFacts {
    /// Its plate as read; `None`: there is none, or it could not be read.
    pub plate: Option<Plate>,
    /// Sure enough to be decided by.
    pub readable: bool,
    /// Taken for a forged one by the camera, or impossible as a plate.
    pub fake: bool,
    /// Plate type or registry speak of rescue services.
    pub exempt: bool,
    /// Class; `None`: not known.
    pub class: Option<VehicleClass>,
    /// What the lists say.
    pub listed: Listed,
    /// The permit.
    pub permit: PermitFacts,
    /// Each paper that this class needs, and how it stands.
    pub papers: BTreeMap<PaperKind, PaperState>,
    /// Gross weight that the scale says, kilograms.
    pub gross_kg: Option<u32>,
    /// Gross weight that it may have.
    pub gross_max_kg: Option<u32>,
    /// Whether it is inside already, as far as is known.
    pub inside: Option<bool>,
    /// Persons in it who need a training and have none that is valid.
    pub untrained: u32,
    /// At an exit: what is left to be cleared up (terminal not returned, overstay), as codes.
    pub unsettled: BTreeSet<String>,
    /// Dangerous goods; present when the class carries them, or a waybill was found.
    pub hazmat: Option<HazmatFacts>,
}

impl VehicleFacts {
    /// Returns whether it passes as a vehicle of dangerous goods: by its class, or by a waybill for more than what may travel as
    /// ordinary goods.
    pub fn is_dangerous(&self) -> bool {
        let declared = self.hazmat.as_ref().is_some_and(|goods| goods.small_quantity != SmallQuantity::AsOrdinary);
        self.class.is_some_and(VehicleClass::is_hazmat) || declared
    }
}

/// How a paper stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PaperState {
    /// Valid.
    Valid,
    /// Valid, for no more than the days that the site warns before.
    Expiring,
    /// No longer valid.
    Expired,
    /// None is known.
    Missing,
    /// Whether it is valid cannot be said: the clock cannot be trusted.
    Undated,
}

/// Dangerous goods (`domain.md` A4, A5).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HazmatFacts {
    /// The waybill, if there is one.
    pub waybill: Option<WaybillNo>,
    /// How it stands.
    pub waybill_state: WaybillFact,
    /// The waste manifest, where the goods are waste.
    pub manifest: Option<ManifestNo>,
    /// Whether plates, driver and consignee of the waybill are those that came; `None`: not known.
    pub waybill_matches: Option<bool>,
    /// Whether the waybill declares limited or excepted quantities, which may travel as ordinary goods (rule 36).
    #[serde(default)]
    pub small_quantity: SmallQuantity,
    /// Whether the goods lie within the scope of carrier and vehicle (Art. 22).
    pub scope_ok: Option<bool>,
    /// Whether the goods are among the approved media of the tank (Art. 23); `None` also where there is no tank.
    pub tank_medium_ok: Option<bool>,
    /// Whether there is a tank.
    pub tank: bool,
    /// Whether the driver is qualified for the goods.
    pub driver_ok: Option<bool>,
    /// Whether an escort is present, and how he stands.
    pub escort: EscortFact,
    /// Whether the weight agrees with the waybill within the site's tolerance; `None`: not weighed.
    pub weight_ok: Option<bool>,
    /// Whether it has been dispatched to where this lane leads.
    pub dispatched: Option<bool>,
    /// Free bays that fit its goods and its load.
    pub bays_free: Option<u32>,
    /// Whether one of them is beside nothing that its goods must not stand beside.
    pub bay_compatible: Option<bool>,
    /// Unloading places that the consignee has free; `None`: not published.
    pub unloading_free: Option<i64>,
    /// Whether its approved route and times allow it here and now; `None`: it has none, or the clock cannot be trusted.
    pub route_ok: Option<bool>,
    /// Checks (五必查) that failed, by their ids; and those that nobody has answered.
    pub checks_failed: BTreeSet<String>,
    /// Not answered.
    pub checks_open: BTreeSet<String>,
}

/// How a waybill stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WaybillFact {
    /// There is none.
    Missing,
    /// Not verified, or not dispatched.
    NotReady,
    /// Under way, not used.
    Ready,
    /// Used for an entry already.
    Used,
    /// Ended or given up.
    Over,
}

/// How the escort stands (rule 30).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EscortFact {
    /// Present, qualified, another person than the driver.
    Present,
    /// Nobody.
    Missing,
    /// The driver himself.
    IsDriver,
    /// Present, not qualified.
    Unqualified,
}
