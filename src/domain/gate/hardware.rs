//! What the hardware of a lane says, what it is told to do, and what became of that. Plain values: `lane/` makes and takes
//! them on the wire, the state machine of the lane and the terminals' book read and write them here.
//!
//! ```text
//!  loops, limits, buttons ─┐                                   ┌─▶ relay module, barrier, or the camera's answer
//!  camera, reader, scale ──┼─ LaneEvent ─▶ lane ─ LaneCommand ─┤
//!  barrier's own state ────┘     ▲                             └─▶ board (text and voice)
//!                                └───────── LaneReceipt ◀──────────┘
//!  terminals (JT/T 808) ─ TerminalEvent ─▶ hazmat
//! ```
//!
//! # What holds
//!
//! - **A dead input is not an input at rest.** [`Seen::Input`] has `on: None` when its module, camera or wire says nothing;
//!   what was known before is not repeated. An input that is alive is said again within [`INPUT_REPEAT`], changed or not, so
//!   that its age is known: the event's `at` is when the hardware was last heard to say so, not when it was passed on.
//! - **A command has a life.** Nothing is sent after its `not_after`; a command that came too late is a receipt
//!   ([`Carried::Expired`]), never a movement. A key is carried out at most once.
//! - **Carried is not moved.** [`Carried::Sent`] says that the device took the command. That the arm moved is only ever an
//!   [`Seen::Input`] of a limit switch or a [`Seen::Barrier`].
//! - **Only the first answer of a live read may move anything.** [`PlateSeen::live`] says whether it may still be answered
//!   with an opening; a record that the camera kept while it was offline is never live.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::plate::Plate;
use super::presented::{Credential, PlateRead};
use super::word::{Direction, LaneId, TerminalId, words};
use crate::domain::time::{Mono, Timestamp};

/// An input that is alive is said again within this, so that "clear" can be fresh by the 500 ms that closing asks for.
pub const INPUT_REPEAT: Duration = Duration::from_millis(200);

/// Something that the hardware of a lane said.
#[derive(Clone, Debug, PartialEq)]
pub struct LaneEvent {
    /// Where.
    pub lane: LaneId,
    /// When the gateway heard it from the hardware.
    pub at: Mono,
    /// What.
    pub what: Seen,
}

/// What was said.
#[derive(Clone, Debug, PartialEq)]
pub enum Seen {
    /// A camera read a plate, or saw a vehicle without one.
    Plate(PlateSeen),
    /// A camera that looks after a plate saw what the vehicle did then.
    Moved {
        /// The camera's id in the configuration.
        device: String,
        /// What it did.
        how: Moved,
    },
    /// An input is at rest, on, or dead.
    Input {
        /// Which.
        input: Input,
        /// Whether what it stands for holds, after contacts that are closed at rest were turned round; `None`: dead.
        on: Option<bool>,
    },
    /// A person showed something.
    Shown {
        /// The reader's id in the configuration.
        reader: String,
        /// Which way the reader looks.
        direction: Direction,
        /// What was shown; numbers are keyed digests already.
        credential: Credential,
    },
    /// Something was shown that is no credential: parity wrong, token forged, run out, shown before.
    NotShown {
        /// The reader's id in the configuration.
        reader: String,
        /// Which way the reader looks.
        direction: Direction,
        /// Why; says nothing of the number.
        why: Unreadable,
    },
    /// The weighbridge.
    Weight(Weight),
    /// The barrier's own controller says how the arm stands.
    Barrier(ArmState),
    /// A device of the lane is heard of, or is not any more.
    Device {
        /// Its id in the configuration.
        device: String,
        /// What it is.
        kind: LaneDevice,
        /// Whether it is up.
        up: bool,
        /// Why it is not, for people; empty when it is.
        why: String,
    },
}

/// A read of a plate.
#[derive(Clone, Debug, PartialEq)]
pub struct PlateSeen {
    /// The camera's id in the configuration.
    pub device: String,
    /// Which event of which camera this is: the same never comes twice.
    pub event: CameraEvent,
    /// What was read.
    pub read: PlateRead,
    /// Which way the vehicle went, where the camera can say.
    pub direction: Option<Direction>,
    /// The camera's own time, which nothing is decided by.
    pub device_time: Option<Timestamp>,
    /// It may be answered with an opening: it came for the first time, as it happened, from a camera that is believed.
    pub live: bool,
    /// The camera had kept it while it was offline: to be entered at its own time, marked as late.
    pub offline: bool,
    /// The camera opened by its own list already (`ctrltype` 2): a hazmat lane is not armed any more.
    pub opened_by_camera: bool,
    /// What is wrong with it, if anything.
    pub flags: BTreeSet<ReadFlag>,
}

/// One event of a camera, by the numbers that the camera itself gave it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct CameraEvent {
    /// The camera's serial number.
    pub serial: String,
    /// Its number of the event.
    pub number: u64,
}

words! {
    /// What is wrong with a read. It is passed on with it, never dropped for it.
    ReadFlag {
        /// The text can be no plate.
        Impossible = "impossible", "号牌不合规则";
        /// The camera takes it for a forged one.
        Fake = "fake", "疑似假牌";
        /// The camera is less sure than the lane asks for.
        LowConfidence = "low_confidence", "置信度低";
        /// There is no plate, or it could not be read.
        NoPlate = "no_plate", "无牌";
        /// The message gives a time far from the gateway's.
        ClockOff = "clock_off", "相机时钟偏差";
    }
}

words! {
    /// What a vehicle did after it was read (trigger types 64, 65, 66).
    Moved {
        /// It stays.
        Staying = "staying", "滞留";
        /// It has gone on.
        Gone = "gone", "滞留恢复";
        /// It turned back.
        TurnedBack = "turned_back", "折返";
    }
}

words! {
    /// An input of a lane (`domain.md` rule 67).
    Input {
        /// Loop before the arm: something has come.
        Approach = "approach", "来车地感";
        /// Loop under the arm (防砸).
        UnderArm = "under_arm", "防砸地感";
        /// Light beam or radar under the arm: the second of the two means.
        Beam = "beam", "防砸红外";
        /// Loop behind the arm: it has crossed.
        Exit = "exit", "过车地感";
        /// The arm is up.
        OpenLimit = "open_limit", "开到位";
        /// The arm is down.
        CloseLimit = "close_limit", "关到位";
        /// The arm was knocked off, or hit something.
        ArmOff = "arm_off", "断杆/撞杆";
        /// Somebody opens by hand: remote control or button of the barrier.
        ManualOpen = "manual_open", "手动开闸";
        /// Button of the guard.
        GuardButton = "guard_button", "值守按钮";
        /// Call button of a driver or a person.
        CallButton = "call_button", "呼叫按钮";
        /// Exit button of a door.
        ExitButton = "exit_button", "出门按钮";
        /// Contact of the fire linkage: on = release. Closed at rest, so that a cut wire releases.
        Fire = "fire", "消防联动";
        /// A door stands open.
        DoorOpen = "door_open", "门开";
        /// A person went through (turnstile).
        Passed = "passed", "通行到位";
    }
}

impl Input {
    /// Returns it in English, as a person says it.
    pub fn en(self) -> &'static str {
        match self {
            Self::Approach => "loop before the arm",
            Self::UnderArm => "loop under the arm",
            Self::Beam => "beam under the arm",
            Self::Exit => "loop behind the arm",
            Self::OpenLimit => "limit switch of the open arm",
            Self::CloseLimit => "limit switch of the closed arm",
            Self::ArmOff => "switch of a broken arm",
            Self::ManualOpen => "hand control of the barrier",
            Self::GuardButton => "guard's button",
            Self::CallButton => "call button",
            Self::ExitButton => "exit button",
            Self::Fire => "fire linkage",
            Self::DoorOpen => "contact of the door",
            Self::Passed => "contact of the turnstile",
        }
    }
}

words! {
    /// Why something that was shown is no credential.
    Unreadable {
        /// Parity or length is wrong.
        Garbled = "garbled", "读卡校验错";
        /// Its signature is not the park's.
        Forged = "forged", "二维码签名无效";
        /// Its time is over, or has not begun.
        OutOfTime = "out_of_time", "二维码已过期";
        /// It was shown before.
        Replayed = "replayed", "二维码重复使用";
        /// Its time cannot be judged: the clock cannot be trusted.
        Undated = "undated", "时钟不可信，二维码无法核验";
    }
}

/// What a weighbridge shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weight {
    /// Nothing that is a weight: silent, in calibration, faulty, overloaded.
    Dead,
    /// It moves.
    Moving,
    /// It has stood still as long as its rule asks; kilograms, never below zero.
    Still(u32),
}

words! {
    /// How an arm stands by its controller's word.
    ArmState {
        /// It cannot say (also ISAPI's `0`, no signal).
        Unknown = "unknown", "未知";
        /// Down.
        Closed = "closed", "关";
        /// Up.
        Open = "open", "开";
        /// On its way.
        Moving = "moving", "运行中";
    }
}

words! {
    /// What a device of a lane is.
    LaneDevice {
        /// Plate camera.
        Camera = "camera", "车牌相机";
        /// Card or QR reader.
        Reader = "reader", "读卡器";
        /// Module of relays and inputs.
        Relay = "relay", "继电器模块";
        /// Barrier with a controller of its own.
        Barrier = "barrier", "道闸";
        /// Board with text and voice.
        Board = "board", "显示语音屏";
        /// Weighbridge.
        Scale = "scale", "地磅";
    }
}

/// Something that the hardware of a lane is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LaneCommand {
    /// Its key: carried out at most once.
    pub key: String,
    /// Where.
    pub lane: LaneId,
    /// What.
    pub act: Act,
    /// Nothing is sent after this.
    pub not_after: Mono,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    /// Raise the arm (release the door) once, by a pulse. Where the lane's camera has the relay, the answer to this event
    /// carries it; without an event, or where its answer has gone, the lane's own relay does it.
    Open {
        /// The read that this answers.
        answers: Option<CameraEvent>,
    },
    /// Lower the arm. The lane orders it only with a fresh "clear"; the module looks once more before it pulses.
    Close,
    /// Stop the arm.
    Stop,
    /// Hold it open: the contact is kept until [`Act::EndHold`].
    HoldOpen,
    /// End the hold. The arm does not close by it; where the controller would, the lane says [`Act::Close`].
    EndHold,
    /// Answer this read so that the camera stops sending it, and move nothing.
    Dismiss {
        /// The read.
        answers: CameraEvent,
    },
    /// Show and say.
    Show(Sign),
}

/// A text for the board.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sign {
    /// At most four lines; what a board cannot show is cut at a whole character.
    pub lines: Vec<String>,
    /// What the voice says; empty for nothing.
    pub voice: String,
}

/// What became of a command. One for each, also for those that were refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LaneReceipt {
    /// Key of the command.
    pub key: String,
    /// Where.
    pub lane: LaneId,
    /// When.
    pub at: Mono,
    /// What became of it.
    pub carried: Carried,
}

/// What became of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Carried {
    /// The device took it, and said so.
    Sent,
    /// Its time was over before it could be sent; nothing was sent.
    Expired,
    /// Not allowed here: no such device, the other contact is on, the key was used. Nothing was sent.
    Refused(String),
    /// The device could not be reached, or said no. Nothing moves by it.
    Failed(String),
    /// It was sent and nobody answered: it may have been done. Never sent again.
    Unanswered(String),
}

/// Something that another system of the park said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// Vehicles that stand before a lane.
    Queue {
        /// The lane.
        lane: LaneId,
        /// How many; `None`: it cannot say.
        vehicles: Option<u16>,
    },
    /// Where a person is.
    Person {
        /// His card or tag.
        credential: Credential,
        /// Where, in the system's words.
        place: String,
        /// When.
        at: Timestamp,
    },
    /// A person calls for help, or does no longer.
    Sos {
        /// His card or tag.
        credential: Credential,
        /// Whether he calls.
        on: bool,
        /// When.
        at: Timestamp,
    },
}

/// Something that a terminal said.
#[derive(Clone, Debug, PartialEq)]
pub struct TerminalEvent {
    /// Which.
    pub terminal: TerminalId,
    /// The vehicle that it is built into, by the configuration; `None` for one that is handed out.
    pub plate: Option<Plate>,
    /// When the gateway heard it.
    pub at: Mono,
    /// What.
    pub said: Said,
}

/// What a terminal said.
#[derive(Clone, Debug, PartialEq)]
pub enum Said {
    /// It is connected and known.
    Online,
    /// Its connection ended, or nothing was heard of it for the time set.
    Offline,
    /// Which vehicle it says that it is in, as it registers.
    InVehicle(Plate),
    /// Where it is.
    Position(Position),
    /// A driver's card was put in or taken out.
    Driver(DriverCard),
    /// An electronic waybill, as the terminal has it; its form is the carrier's.
    Waybill(String),
}

words! {
    /// The datum of coordinates, declared for each source and never converted in silence.
    Datum {
        /// WGS 84, as a receiver gives it.
        Wgs84 = "wgs84", "WGS-84";
        /// CGCS2000; for a gate the same as WGS 84 to the metre.
        Cgcs2000 = "cgcs2000", "CGCS2000";
        /// GCJ-02, shifted by some hundred metres.
        Gcj02 = "gcj02", "GCJ-02";
        /// BD-09.
        Bd09 = "bd09", "BD-09";
    }
}

/// A position.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Position {
    /// Millionths of a degree, north positive.
    pub lat_e6: i32,
    /// Millionths of a degree, east positive.
    pub lon_e6: i32,
    /// As declared for this terminal.
    pub datum: Datum,
    /// The terminal has a fix; without one the coordinates are its last.
    pub fixed: bool,
    /// Tenths of a kilometre an hour.
    pub speed_dkmh: u16,
    /// Degrees from north, clockwise.
    pub course: u16,
    /// Metres.
    pub altitude_m: i16,
    /// The terminal's own time; `None` when it gives none that exists.
    pub time: Option<Timestamp>,
    /// The terminal sent it later than it was (batch, blind area).
    pub late: bool,
    /// Ignition on.
    pub ignition: bool,
    /// What it alarms.
    pub alarms: BTreeSet<TerminalAlarm>,
}

words! {
    /// What a terminal alarms (bits of JT/T 808 table 24, and the driver's monitoring of T/JSATL 12).
    TerminalAlarm {
        /// Emergency button.
        Sos = "sos", "紧急报警";
        /// Over its speed limit.
        Speeding = "speeding", "超速";
        /// Tired driver.
        Fatigue = "fatigue", "疲劳驾驶";
        /// It warns of danger.
        Danger = "danger", "危险预警";
        /// Receiver of positions faulty.
        GnssFault = "gnss_fault", "定位模块故障";
        /// Antenna cut.
        AntennaCut = "antenna_cut", "天线未接或剪断";
        /// Antenna shorted.
        AntennaShort = "antenna_short", "天线短路";
        /// Main power low.
        PowerLow = "power_low", "主电源欠压";
        /// Main power off.
        PowerOff = "power_off", "主电源掉电";
        /// Went into or out of an area.
        Area = "area", "进出区域";
        /// Went into or out of a route.
        Route = "route", "进出路线";
        /// Off its route.
        OffRoute = "off_route", "路线偏离";
        /// Parked too long.
        Parked = "parked", "超时停车";
        /// Moved without permission.
        Moved = "moved", "非法位移";
        /// Collision is warned of.
        CollisionWarning = "collision_warning", "碰撞预警";
        /// It rolls over, or is about to.
        Rollover = "rollover", "侧翻预警";
        /// Telephone at the wheel.
        Phone = "phone", "接打电话";
        /// Smoking at the wheel.
        Smoking = "smoking", "抽烟";
        /// Not looking at the road.
        Distracted = "distracted", "分神驾驶";
        /// No driver is seen.
        NoDriver = "no_driver", "驾驶员异常";
        /// Leaves its track.
        LaneDeparture = "lane_departure", "车道偏离";
        /// Too near the one ahead.
        TooClose = "too_close", "车距过近";
    }
}

/// A driver's card. Number and name do not come here: the number as its keyed digest, the name not at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DriverCard {
    /// Put in (`true`) or taken out.
    pub inserted: bool,
    /// When, by the terminal's time.
    pub time: Option<Timestamp>,
    /// The card could be read.
    pub read: bool,
    /// Keyed digest (HMAC-SHA-256, hexadecimal) of the number of the qualification.
    pub digest: Option<String>,
    /// The same number as the credential that it is where it is that of an identity card, as most are: by it the register
    /// knows the person.
    pub document: Option<Credential>,
    /// Year, month and day on which the qualification ends.
    pub valid_to: Option<(u16, u8, u8)>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_as_they_are_written_in_both_languages() {
        for input in Input::ALL {
            assert_eq!(Input::from_name(input.as_str()), Some(*input));
            assert_eq!(Input::from_name(input.zh()), Some(*input));
        }
        for alarm in TerminalAlarm::ALL {
            assert_eq!(TerminalAlarm::from_name(alarm.as_str()), Some(*alarm));
        }
    }
}
