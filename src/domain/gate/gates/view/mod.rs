//! The gates as people see them: one value for the page, the command line and the control socket. Plates stand in it in full,
//! because guards work by them; persons stand in it by their references, and whoever may see names looks them up.
//!
//! Lists are bounded by [`MAX_LISTED`], those of persons by [`MAX_BY_NAME`]; each says how many more there are.

mod look;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::domain::gate::desk::{Addressee, TicketKind};
use crate::domain::gate::facts::WaybillFact;
use crate::domain::gate::hazmat::goods::HazardClass;
use crate::domain::gate::hazmat::lot::BayStatus;
use crate::domain::gate::hazmat::visit::Stage;
use crate::domain::gate::hazmat::waybill::WaybillState;
use crate::domain::gate::inside::{Conflict, EventId, Subject, Through};
use crate::domain::gate::lane::LaneView;
use crate::domain::gate::muster::{Numbers, Position, RowState};
use crate::domain::gate::picture::Picture;
use crate::domain::gate::verdict::{Decision, Reason, Verdict};
use crate::domain::gate::word::{
    BayId, CompanyId, DecisionId, Direction, GatewayId, LaneId, PassageId, PersonRef, VehicleClass, WaybillNo,
    ZoneClass, ZoneId,
};
use crate::domain::time::{ClockTrust, Timestamp};

/// Rows of one list: more than a screen shows, less than a page can carry; the whole is in records and reports.
pub const MAX_LISTED: usize = 500;
/// Rows of who is inside a zone, and of a roll that is printed: more than a large park has inside at once.
pub const MAX_BY_NAME: usize = 5_000;
/// Passages in doubt are looked for so far back: what is older was handed over with its shift, and is in the day's account.
const DOUBT_BACK: Duration = Duration::from_secs(24 * 3600);

/// See the module.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct GatesView {
    /// This gateway.
    pub gateway: GatewayId,
    /// When it was so.
    pub at: Timestamp,
    /// Trust of the clock.
    pub clock: ClockTrust,
    /// Revision of the policies in force.
    pub policy_rev: String,
    /// Revision of the register.
    pub register_rev: u64,
    /// The lanes.
    pub lanes: Vec<LaneNow>,
    /// Open tickets, the oldest first.
    pub tickets: Vec<TicketView>,
    /// Who is inside.
    pub inside: InsideView,
    /// Dangerous goods.
    pub hazmat: HazmatView,
    /// Musters that run.
    pub musters: Vec<MusterView>,
}

/// A lane with what was decided there last.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LaneNow {
    /// The lane itself.
    #[serde(flatten)]
    pub lane: LaneView,
    /// Vehicles that stand before it, as far as its loops see; absent: they cannot say, or it is not watched.
    pub queue: Option<u16>,
    /// That queue grows towards the public road.
    pub queue_alarm: bool,
    /// What was decided there last.
    pub last: Option<Decided>,
    /// Pictures of that passage, as long as it is not long over; they are asked for by passage and number.
    pub pictures: Vec<Picture>,
    /// The way back that a driver is told, Chinese.
    pub turn_back: String,
    /// English.
    pub turn_back_en: String,
}

/// A decision, as far as people need it beside the lane.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Decided {
    /// Its id: the record has all of it.
    pub decision: DecisionId,
    /// The passage.
    pub passage: PassageId,
    /// When.
    pub at: Timestamp,
    /// Trust of the clock.
    pub clock: ClockTrust,
    /// Which way.
    pub direction: Direction,
    /// The vehicle: plate and its colour.
    pub vehicle: Option<String>,
    /// Its class.
    pub class: Option<VehicleClass>,
    /// Persons who showed something.
    pub persons: Vec<PersonRef>,
    /// For whom.
    pub company: Option<CompanyId>,
    /// The waybill.
    pub waybill: Option<WaybillNo>,
    /// What was decided.
    pub verdict: Verdict,
    /// What became of it at the lane, where a trouble or the rule of the site made it stricter.
    pub at_lane: Option<Verdict>,
    /// Every reason, the strongest first, Chinese and English.
    pub reasons: Vec<Reason>,
}

/// An open ticket.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TicketView {
    /// Its id: an answer names it.
    pub ticket: String,
    /// Where.
    pub lane: LaneId,
    /// Which way.
    pub direction: Direction,
    /// What is asked.
    pub kind: TicketKind,
    /// About which passage.
    pub passage: Option<PassageId>,
    /// Who or what waits.
    pub subject: Option<String>,
    /// Why.
    pub reasons: Vec<Reason>,
    /// Who is asked now.
    pub to: Addressee,
    /// The same, Chinese.
    pub to_zh: String,
    /// English.
    pub to_en: String,
    /// Nobody is left to ask after him.
    pub last: bool,
    /// How often he was asked again.
    pub again: u32,
    /// How often the call button was pressed.
    pub presses: u32,
    /// Since when.
    pub opened_at: Timestamp,
    /// So many seconds until the next one is asked.
    pub left_s: u64,
}

/// Who is inside.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct InsideView {
    /// The counts are known without a break since the last signed one.
    pub known: bool,
    /// When that was.
    pub counted_at: Option<Timestamp>,
    /// Other gateways of the park are heard; absent: there are none.
    pub peers_heard: Option<bool>,
    /// The zones.
    pub zones: Vec<ZoneView>,
    /// Who stays longer than he may.
    pub overstays: Vec<Guest>,
    /// Passages of which nobody knows whether they crossed, and that nobody has cleared up.
    pub in_doubt: Vec<Doubt>,
    /// What cannot both be so.
    pub conflicts: Vec<ConflictView>,
    /// Whose violations wait for a person.
    pub reviews: Vec<String>,
}

/// A zone.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ZoneView {
    /// Which.
    pub zone: ZoneId,
    /// Its class.
    pub class: ZoneClass,
    /// The zone around it.
    pub parent: Option<ZoneId>,
    /// Persons, on foot and in vehicles, also in the zones within.
    pub persons: Count,
    /// Vehicles by class: those that are there, or may only be there in a number.
    pub vehicles: BTreeMap<VehicleClass, Count>,
    /// Highest level of a gas alarm in it.
    pub gas_level: u8,
    /// Who and what is there and in no zone within, by name; the longest there first.
    pub guests: Vec<Guest>,
    /// So many more are there by name than are listed.
    pub more: usize,
}

/// A number with what it may be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Count {
    /// Now.
    pub now: u32,
    /// At most; absent: no limit.
    pub most: Option<u32>,
    /// It is more than may be.
    pub over: bool,
    /// So many went out more than were inside: a count is due.
    pub missing: u32,
}

/// Somebody or something inside.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Guest {
    /// Who or what.
    pub subject: Subject,
    /// The innermost zone.
    pub zone: ZoneId,
    /// Since when.
    pub since: Timestamp,
    /// Gate, lane and passage that it came through; absent: counted in.
    pub through: Option<Through>,
    /// Class, of a vehicle.
    pub class: Option<VehicleClass>,
    /// The vehicle that a person came with.
    pub with: Option<String>,
    /// Persons in the vehicle who are not known.
    pub unidentified: u16,
    /// For whom.
    pub company: Option<CompanyId>,
    /// It stays longer than it may.
    pub overstays: bool,
}

/// A passage of which nobody knows the end.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Doubt {
    /// By this a person settles it.
    pub event: EventId,
    /// The passage.
    pub passage: PassageId,
    /// When.
    pub at: Timestamp,
    /// Who, where known.
    pub subject: Option<String>,
    /// Which way it would have gone.
    pub direction: Direction,
    /// Why it is not known.
    pub why: String,
}

/// A conflict, and by what it is settled.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ConflictView {
    /// By this a person settles it.
    pub event: EventId,
    /// What.
    pub conflict: Conflict,
}

/// Dangerous goods.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct HazmatView {
    /// The site has signed its table of what must be apart.
    pub table_signed: bool,
    /// Bays of the parking.
    pub bays: Vec<BayNow>,
    /// Who waits for a bay, the first to be served first.
    pub queue: Vec<String>,
    /// Vehicles inside.
    pub visits: Vec<VisitView>,
    /// Waybills that are not over; the oldest numbers first.
    pub waybills: Vec<WaybillView>,
    /// So many more of them are not listed.
    pub more_waybills: usize,
}

/// A bay.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct BayNow {
    /// Which.
    pub bay: BayId,
    /// How it stands.
    pub status: BayStatus,
    /// Who stands in it, or is to.
    pub plate: Option<String>,
    /// How long the vehicle has been in the park, seconds.
    pub inside_s: Option<u64>,
}

/// A vehicle with dangerous goods inside.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct VisitView {
    /// Its plate.
    pub plate: String,
    /// With which waybill.
    pub waybill: Option<WaybillNo>,
    /// Where it is on its way through.
    pub stage: Stage,
    /// In which zone.
    pub zone: ZoneId,
    /// In which bay.
    pub bay: Option<BayId>,
    /// Classes of what it carries; absent: not known.
    pub classes: Option<BTreeSet<HazardClass>>,
    /// Since when it is inside.
    pub entered_at: Timestamp,
    /// For how long, seconds.
    pub inside_s: u64,
    /// For how long it may be, seconds.
    pub stay_s: u64,
    /// Its stay is to be warned of.
    pub warned: bool,
    /// It stays longer than it may.
    pub overstays: bool,
    /// The zone that it was dispatched to.
    pub sent_to: Option<ZoneId>,
    /// Whom it is for.
    pub host: Option<CompanyId>,
    /// Loading or unloading is done.
    pub done: bool,
}

/// A waybill under way.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct WaybillView {
    /// Its number.
    pub number: WaybillNo,
    /// How it stands.
    pub state: WaybillState,
    /// Whether a vehicle may enter with it.
    pub fact: WaybillFact,
    /// The vehicle.
    pub plate: String,
    /// The goods.
    pub goods: Vec<String>,
    /// Whom it is for.
    pub host: CompanyId,
}

/// A muster.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct MusterView {
    /// Its id.
    pub muster: String,
    /// The site's episode.
    pub episode: String,
    /// It is a drill.
    pub drill: bool,
    /// Whose people.
    pub zone: ZoneId,
    /// T0.
    pub at: Timestamp,
    /// How many are what.
    pub numbers: Numbers,
    /// The rows: who is unaccounted for first.
    pub rows: Vec<RowView>,
    /// So many more are on the list.
    pub more: usize,
}

/// One of the list.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RowView {
    /// Number on the list.
    pub n: u32,
    /// Who; absent: somebody who is not known.
    pub person: Option<PersonRef>,
    /// For whom.
    pub company: Option<CompanyId>,
    /// Zone.
    pub zone: ZoneId,
    /// Where he was seen last.
    pub last: Option<Through>,
    /// With which vehicle.
    pub with: Option<String>,
    /// Safe, and how that is known; or not.
    pub state: RowState,
    /// Calls for help since.
    pub sos: Option<Timestamp>,
    /// Where a positioning system saw him last.
    pub position: Option<Position>,
}

impl Decided {
    /// Takes what people need of a decision.
    pub(super) fn of(decision: &Decision, about: &super::follow::About) -> Self {
        Self {
            decision: decision.id.clone(),
            passage: decision.passage.clone(),
            at: decision.at,
            clock: decision.clock,
            direction: decision.direction,
            vehicle: about.vehicle.as_ref().and_then(|vehicle| vehicle.plate.as_ref()).map(ToString::to_string),
            class: about.vehicle.as_ref().map(|vehicle| vehicle.class),
            persons: about.persons.clone(),
            company: about.company.clone(),
            waybill: about.waybill.clone(),
            verdict: decision.verdict,
            at_lane: None,
            reasons: decision.reasons.clone(),
        }
    }
}
