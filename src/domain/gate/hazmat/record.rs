//! What happened with dangerous goods, for the record; what was violated, for alarms and for who counts violations; and what
//! others are asked to do.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::book::Refused;
use super::geo::Spot;
use super::goods::HazardClass;
use super::lot::{BayStatus, Place};
use super::visit::Reconciled;
use super::waybill::WaybillState;
use crate::domain::document::Document;
use crate::domain::gate::plate::Plate;
use crate::domain::gate::word::{BayId, CompanyId, PassageId, PersonRef, TerminalId, WaybillNo, ZoneId, words};
use crate::domain::time::{ClockTrust, Timestamp};

words! {
    /// What a vehicle or its driver did against the rules, or what befell it.
    ViolationKind {
        /// Most of the time that it may stay is over: a warning.
        StayWarning = "stay_warning", "停留预警";
        /// Inside longer than it may (rule 41).
        Overstay = "overstay", "超时停留";
        /// Stands in a bay that it was not sent to.
        WrongBay = "wrong_bay", "违停";
        /// Inside, and there is no bay for it.
        NoBay = "no_bay", "无泊位";
        /// Stands beside goods that must be apart from its own.
        Incompatible = "incompatible", "禁忌相邻";
        /// Dispatched, and not there in time.
        DispatchOverdue = "dispatch_overdue", "调度超时未到";
        /// Went where it had not been dispatched to.
        NotDispatched = "not_dispatched", "未经调度进入";
        /// Let in without a waybill that is good for an entry.
        NoWaybill = "no_waybill", "无有效运单入园";
        /// Came in again, and nobody saw it leave.
        ExitUnseen = "exit_unseen", "漏记出园";
        /// Left, and its terminal was not given back.
        TerminalKept = "terminal_kept", "定位终端未归还";
        /// The weighings do not agree with the waybill.
        WeightMismatch = "weight_mismatch", "重量不符";
        /// Left its corridor.
        OffRoute = "off_route", "偏离路线";
        /// Where it must not be, or not now.
        Restricted = "restricted", "进入限行区域";
        /// Faster than the limit.
        Speeding = "speeding", "超速";
        /// Stands where no vehicle may stand.
        StoppedOutside = "stopped_outside", "违规停车";
        /// Its position has not been heard of for too long (rule 55).
        PositionLost = "position_lost", "定位丢失";
        /// It is said to be where it cannot have got to; such a position is not believed.
        PositionJump = "position_jump", "定位跳变";
        /// Its positions are of another datum than the map's, and no conversion is configured.
        DatumMismatch = "datum_mismatch", "坐标系不符";
        /// Its terminal calls for help.
        Sos = "sos", "求救";
        /// Its terminal says something of the driver: tired, distracted, too fast; the subject says what.
        DriverAlarm = "driver_alarm", "驾驶行为报警";
        /// Its terminal warns of a collision or of turning over, or says that it is moved unlawfully.
        VehicleAlarm = "vehicle_alarm", "车辆报警";
        /// Its terminal says itself that it left a route or an area, or stands too long.
        TerminalRule = "terminal_rule", "终端围栏报警";
        /// Its terminal has a fault: antenna, receiver or supply.
        TerminalFault = "terminal_fault", "终端故障";
        /// What its terminal says does not agree with what is known: another vehicle, another waybill.
        TerminalMismatch = "terminal_mismatch", "终端申报不符";
    }
}

/// Whether a violation begins, goes on, or is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// It begins. What has no duration only begins.
    Begins,
    /// It goes on: told again.
    GoesOn,
    /// It is over.
    Over,
}

/// A violation, with what shows it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Violation {
    /// What.
    pub kind: ViolationKind,
    /// Begins, goes on, over.
    pub phase: Phase,
    /// Whose, as far as is known.
    pub plate: Option<Plate>,
    /// The terminal that said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub terminal: Option<TerminalId>,
    /// When.
    pub at: Timestamp,
    /// Trust in that time.
    pub clock: ClockTrust,
    /// What it is about: a bay, a route, a restriction, a zone, a passage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// What was measured: km/h, minutes, kilograms, metres.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<f64>,
    /// What would have been allowed, in the same unit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<f64>,
    /// Where, as the terminal said it, with its datum.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position: Option<Spot>,
    /// The position was converted into the datum of the map before it was judged.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub converted: bool,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "snake_case")]
#[expect(missing_docs, reason = "the fields are named in full; each variant says what happened")]
pub enum Happened {
    /// The platform's list was taken.
    Waybills { version: u64, refused: Vec<Refused> },
    /// A waybill was taken, or went one step on, by hand.
    Waybill { state: WaybillState, by: String },
    /// An item was looked at.
    Check { item: String, passed: bool, by: String, note: String },
    /// A vehicle asked for a bay.
    Bay { place: Place },
    /// A promise ran out.
    BayLapsed { bay: BayId },
    /// A vehicle stands in a bay.
    Parked { bay: BayId, status: BayStatus },
    /// It stands there no longer.
    LeftBay { bay: BayId },
    /// It came in.
    Entered { passage: PassageId, zone: ZoneId, gross_kg: Option<u32> },
    /// It went from zone to zone.
    Went { passage: PassageId, from: ZoneId, to: ZoneId },
    /// A company published how many places it has.
    Quota { company: CompanyId, places: u32 },
    /// It was dispatched.
    Sent { zone: ZoneId, host: CompanyId, by: String },
    /// It was called back.
    Recalled { by: String },
    /// Loading or unloading is done.
    Done { by: String },
    /// A terminal was handed out.
    TerminalOut { terminal: TerminalId },
    /// A terminal was given back.
    TerminalBack { terminal: TerminalId },
    /// A terminal said which vehicle it is in.
    TerminalIn { terminal: TerminalId, claimed: Plate },
    /// A driver's card was put into a terminal or taken out; his number is not recorded.
    DriverCard { terminal: TerminalId, inserted: bool, read: bool, person: Option<PersonRef>, valid_to: Option<String> },
    /// A terminal showed a waybill: whether it is the one that is known.
    TerminalWaybill { terminal: TerminalId, agrees: bool },
    /// It left; what the scales say.
    Left { passage: PassageId, stayed_ms: u64, weights: Reconciled, unsettled: Vec<String> },
    /// A rule was violated.
    Violation(Violation),
}

/// The record: of whom, and when.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HazmatRecord {
    /// When.
    pub t: Timestamp,
    /// Trust in it.
    pub clock: ClockTrust,
    /// Whose.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plate: Option<Plate>,
    /// With which waybill.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waybill: Option<WaybillNo>,
    /// What.
    #[serde(flatten)]
    pub happened: Happened,
}

/// Goods that came into a zone or went out of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Movement {
    /// The zone.
    pub zone: ZoneId,
    /// Loaded vehicles: 1 in, -1 out, 0 where only the goods moved.
    pub vehicles: i32,
    /// Kilograms by class, out of the zone negative; what is not known in mass is left out and counted below.
    pub kg: BTreeMap<HazardClass, f64>,
    /// Kinds of goods of which the mass is not known.
    pub unweighed: i32,
}

/// What comes out of the machine.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// To be recorded.
    Document(Document),
    /// To alarms, and to who counts violations.
    Violation(Violation),
    /// Ask the platform for the whole list.
    AskWhole {
        /// Version that is here.
        have: u64,
    },
    /// A vehicle outside may come: this bay is kept for it for a while.
    Call {
        /// The vehicle.
        plate: Plate,
        /// The bay.
        bay: BayId,
    },
    /// A vehicle inside is to go to this bay.
    Guide {
        /// The vehicle.
        plate: Plate,
        /// The bay.
        bay: BayId,
    },
    /// Goods moved.
    Moved(Movement),
}
