//! What follows from a push: pure, with `now` as an argument.
//!
//! ```text
//!  push ──seen before──────────────────────────────────────────────▶ still answer, nothing else
//!    │  ──offline record──▶ event (late) ─────────────────────────▶ still answer that asks for the next one
//!    │  ──too old, undated, what a vehicle did──▶ event ──────────▶ still answer
//!    └──live──▶ event ─▶ waiting ──Open before its end, and the answer goes out──▶ MOVING answer, receipt Sent
//!                          │  └──Dismiss────────────────────────────────────────▶ still answer, receipt Sent
//!                          └──the limit, or the camera hangs up──▶ still answer; a later Open is refused: Expired
//! ```
//!
//! # What holds
//!
//! - **At most one moving answer for an event**, for ever: it is taken out of `waiting` when it is given, and a resend finds
//!   the event among those seen, also after a restart ([`Remembered`]).
//! - Seen events are bounded: [`SEEN`] for each camera, the oldest forgotten first. A camera that counts anew (its number is
//!   known, its time is another) is taken for new: else each vehicle after its reset would be a resend.
//! - A camera that is silent has dead inputs, and after it is back they stay dead until it says them again: an edge may have
//!   been missed.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::super::vzenith::answer::{HEARTBEAT_TAKEN, INPUT_TAKEN, NO_MOVE, SERIAL_TAKEN, offline_taken, opening};
use super::{Camera, Make, Picture, PlatePush, Push, Remembered, What};
use crate::domain::gate::hardware::{
    Act, CameraEvent, Carried, LaneCommand, LaneDevice, LaneEvent, LaneReceipt, PlateSeen, ReadFlag, Seen,
};
use crate::domain::time::{ClockTrust, Mono, Now, Timestamp};

/// Events that are remembered of each camera: the 9,000 records of its offline cache, and those of a day beside them.
pub const SEEN: usize = 10_000;
/// The same number with times that differ by more than this, in seconds, is another event: the camera counts anew.
const COUNTS_ANEW: i64 = 60;
/// A camera whose time differs by more than this, in milliseconds, is flagged.
const CLOCK_OFF_MS: u64 = 30_000;

/// What is to be done.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// To the lane.
    Event(LaneEvent),
    /// To the camera, on the connection that this ticket stands for.
    Answer(Answer),
    /// Keep that this was seen, and forget these; before the lane hears of it.
    Remember(Remembered, Vec<CameraEvent>),
    /// What became of a command.
    Receipt(LaneReceipt),
    /// To where pictures are kept.
    Picture(Picture),
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The connection.
    pub ticket: u64,
    /// The body that moves nothing.
    pub still: String,
    /// The body that moves something, if it goes out before its end; [`Desk::handle_handed`] is told which of them went out.
    pub moving: Option<Moving>,
}

/// A body that moves something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moving {
    /// The body.
    pub body: String,
    /// The event; its memory is durable before the body goes out, where the store can.
    pub event: CameraEvent,
    /// It does not go out after this.
    pub not_after: Mono,
}

/// Why a push that may well be the device's own is not believed: a mistake in its settings or in ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TurnedAway {
    /// Wrong user, password or signature.
    Wrong,
    /// Signed for another time.
    OutOfWindow,
    /// From an address that is not the configured one.
    Elsewhere,
    /// It names another serial number than the configured one.
    Stranger,
}

impl TurnedAway {
    /// Returns it in words, Chinese / English.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Wrong => "推送被拒：用户、密码或签名不对 / it pushes, but with a wrong user, password or signature",
            Self::OutOfWindow => {
                "推送被拒：签名时间不对，请校准相机时钟 / it pushes, but signs for another time: set its clock"
            }
            Self::Elsewhere => "推送被拒：来自另一地址 / it pushes, but from another address than the configured one",
            Self::Stranger => "推送被拒：序列号与配置不符 / it pushes, but its serial number is not the configured one",
        }
    }
}

/// What was counted since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Pushes of plates, all of them.
    pub plates: u64,
    /// Of them: seen before.
    pub resent: u64,
    /// Of them: kept by the camera while it was offline.
    pub offline: u64,
    /// Of them: too old to be decided by.
    pub stale: u64,
    /// Live ones that were answered after the limit, without a decision.
    pub undecided: u64,
    /// Answers that move something.
    pub opened: u64,
    /// Pushes with a serial number that is not the device's.
    pub strangers: u64,
    /// Pictures that were too large, or none.
    pub pictures_refused: u64,
}

/// The desk that all pushes come to.
#[derive(Debug)]
pub struct Desk {
    cameras: BTreeMap<String, Seat>,
    waiting: BTreeMap<CameraEvent, Waiting>,
    /// Moving answers on their way out.
    going: BTreeMap<u64, Going>,
    out: VecDeque<Output>,
    counts: Counts,
}

#[derive(Debug)]
struct Seat {
    camera: Camera,
    seen: BTreeMap<u64, Mark>,
    order: VecDeque<(u64, u64)>,
    marks: u64,
    heard: Option<Mono>,
    up: bool,
    /// Why its pushes are not believed, since it was heard last.
    turned_away: Option<TurnedAway>,
    inputs: BTreeMap<u8, bool>,
}

#[derive(Clone, Copy, Debug)]
struct Mark {
    sec: Option<i64>,
    mark: u64,
}

#[derive(Debug)]
struct Waiting {
    device: String,
    ticket: u64,
    until: Mono,
}

#[derive(Debug)]
struct Going {
    key: String,
    device: String,
}

impl Desk {
    /// Begins with what was remembered. All inputs are dead and all cameras down until they are heard.
    pub fn new(cameras: Vec<Camera>, remembered: Vec<Remembered>, now: Now) -> Self {
        let seats = cameras.into_iter().map(|camera| (camera.device.clone(), Seat::new(camera)));
        let mut desk = Self {
            cameras: seats.collect(),
            waiting: BTreeMap::new(),
            going: BTreeMap::new(),
            out: VecDeque::new(),
            counts: Counts::default(),
        };
        for Remembered { event, sec } in remembered {
            for seat in desk.cameras.values_mut().filter(|seat| seat.camera.serial == event.serial) {
                seat.note(event.number, sec);
            }
        }
        for seat in desk.cameras.values_mut() {
            desk.out.extend(seat.dead(now.mono, "尚未收到心跳 / not heard yet"));
        }
        desk
    }

    /// Returns the camera of this id.
    pub fn camera(&self, device: &str) -> Option<&Camera> {
        self.cameras.get(device).map(|seat| &seat.camera)
    }

    /// Returns what was counted.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// Returns the next thing to be done.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.out.pop_front()
    }

    /// Returns when [`Desk::handle_timeout`] is due.
    pub fn poll_timeout(&self) -> Option<Mono> {
        let answers = self.waiting.values().map(|waiting| waiting.until);
        let silence = self.cameras.values().filter_map(Seat::silent_at);
        answers.chain(silence).min()
    }

    /// Takes a push of a device that was believed; `timed` says whether its time was proved with it. Each push is answered
    /// exactly once, under its ticket. Returns `false`, and answers nothing, when it is none of that device's.
    pub fn handle_push(&mut self, device: &str, push: Push, ticket: u64, timed: bool, now: Now) -> bool {
        let Some(seat) = self.cameras.get_mut(device) else { return false };
        if seat.camera.serial != push.serial {
            self.counts.strangers += 1;
            return false;
        }
        self.out.extend(seat.alive(now.mono));
        match push.what {
            What::Plate(plate) => self.plate(device, *plate, ticket, timed, now),
            What::Input { source, on } => {
                let event = seat.input(source, on, now.mono);
                self.out.extend(event);
                self.still(ticket, INPUT_TAKEN.to_owned());
            }
            What::Serial { .. } => self.still(ticket, SERIAL_TAKEN.to_owned()),
            What::Heartbeat => self.still(ticket, HEARTBEAT_TAKEN.to_owned()),
        }
        true
    }

    /// Takes that pushes in a device's name are not believed. While it is heard, that is somebody else's doing; while it is not,
    /// this is why. Returns whether that is new.
    pub fn handle_turned_away(&mut self, device: &str, why: TurnedAway, now: Now) -> bool {
        let Some(seat) = self.cameras.get_mut(device) else { return false };
        let is_new = seat.turned_away.replace(why) != Some(why);
        if is_new && !seat.up {
            let event = seat.device(now.mono, false, why.as_str());
            self.out.push_back(event);
        }
        is_new
    }

    fn plate(&mut self, device: &str, plate: PlatePush, ticket: u64, timed: bool, now: Now) {
        let Some(seat) = self.cameras.get_mut(device) else { return };
        self.counts.plates += 1;
        let event = CameraEvent { serial: seat.camera.serial.clone(), number: plate.number };
        let still = match (seat.camera.make, plate.offline) {
            (Make::Vzenith, true) => offline_taken(plate.number),
            (Make::Vzenith, false) => NO_MOVE.to_owned(),
            (Make::Isapi, _) => String::new(),
        };
        if seat.knows(plate.number, plate.sec) {
            self.counts.resent += 1;
            self.still(ticket, still);
            return;
        }
        let forget = seat.note(plate.number, plate.sec);
        let forget = forget.into_iter().map(|number| CameraEvent { serial: event.serial.clone(), number }).collect();
        self.out.push_back(Output::Remember(Remembered { event: event.clone(), sec: plate.sec }, forget));
        self.counts.offline += u64::from(plate.offline);
        let seen = judged(&seat.camera, &plate, event.clone(), timed, now);
        self.counts.stale += u64::from(!seen.live && !plate.offline && plate.moved.is_none());
        let (lane, live, device_time) = (seat.camera.lane.clone(), seen.live, seen.device_time);
        let waits = seat.camera.make == Make::Vzenith && live;
        let until = now.mono + seat.camera.answer_within;
        let what = plate.moved.map_or(Seen::Plate(seen), |how| Seen::Moved { device: device.to_owned(), how });
        self.out.push_back(Output::Event(LaneEvent { lane: lane.clone(), at: now.mono, what }));
        for pushed in plate.pictures {
            self.counts.pictures_refused += u64::from(pushed.content.is_err());
            let (lane, device, event) = (lane.clone(), device.to_owned(), event.clone());
            self.out.push_back(Output::Picture(Picture { lane, device, event, device_time, pushed }));
        }
        if waits {
            self.waiting.insert(event, Waiting { device: device.to_owned(), ticket, until });
        } else {
            self.still(ticket, still);
        }
    }

    fn still(&mut self, ticket: u64, still: String) {
        self.out.push_back(Output::Answer(Answer { ticket, still, moving: None }));
    }

    /// Returns whether a command is for a camera that opens by its answer: `Open` that answers one of its reads, `Dismiss`.
    pub fn takes(&self, act: &Act) -> bool {
        let of = |event: &CameraEvent| self.cameras.values().find(|seat| seat.camera.serial == event.serial);
        match act {
            Act::Open { answers: Some(event) } => of(event).is_some_and(|seat| seat.camera.fire.is_some()),
            Act::Dismiss { answers } => of(answers).is_some(),
            Act::Open { answers: None } | Act::Close | Act::Stop | Act::HoldOpen | Act::EndHold | Act::Show(_) => false,
        }
    }

    /// Carries out a command. Each gives one receipt, an `Open` when its answer has gone out.
    pub fn handle_command(&mut self, command: LaneCommand, now: Now) {
        let (event, opens) = match &command.act {
            Act::Open { answers: Some(event) } => (event.clone(), true),
            Act::Dismiss { answers } => (answers.clone(), false),
            Act::Open { answers: None } | Act::Close | Act::Stop | Act::HoldOpen | Act::EndHold | Act::Show(_) => {
                let why = "相机不能执行 / not what a camera can do".to_owned();
                return self.receipt(command.key, command.lane, now.mono, Carried::Refused(why));
            }
        };
        let of_lane =
            |waiting: &Waiting| self.cameras.get(&waiting.device).is_some_and(|seat| seat.camera.lane == command.lane);
        let waiting = match self.waiting.get(&event) {
            Some(waiting) if of_lane(waiting) => self.waiting.remove(&event),
            Some(_) | None => None,
        };
        let Some(Waiting { device, ticket, .. }) = waiting else {
            // Answered already, hung up, never here: a read that is dismissed late needs nothing more.
            let carried = if opens { Carried::Expired } else { Carried::Sent };
            return self.receipt(command.key, command.lane, now.mono, carried);
        };
        let fire = self.cameras.get(&device).and_then(|seat| seat.camera.fire).filter(|_| opens);
        if opens && (now.mono > command.not_after || fire.is_none()) {
            let why = "相机未接道闸 / the camera has no relay that is used".to_owned();
            let carried = if fire.is_some() { Carried::Expired } else { Carried::Refused(why) };
            self.receipt(command.key, command.lane, now.mono, carried);
            return self.still(ticket, NO_MOVE.to_owned());
        }
        let Some(fire) = fire else {
            self.still(ticket, NO_MOVE.to_owned());
            return self.receipt(command.key, command.lane, now.mono, Carried::Sent);
        };
        self.going.insert(ticket, Going { key: command.key, device });
        let moving = Moving { body: opening(fire), event, not_after: command.not_after };
        self.out.push_back(Output::Answer(Answer { ticket, still: NO_MOVE.to_owned(), moving: Some(moving) }));
    }

    /// An answer has gone out: the moving one, or the still one because its time was over.
    pub fn handle_handed(&mut self, ticket: u64, moved: bool, now: Now) {
        self.counts.opened += u64::from(moved);
        self.gone(ticket, if moved { Carried::Sent } else { Carried::Expired }, now);
    }

    /// The camera hung up before it was answered.
    pub fn handle_gone(&mut self, ticket: u64, now: Now) {
        self.waiting.retain(|_, waiting| waiting.ticket != ticket);
        self.gone(ticket, Carried::Failed("相机已断开 / the camera hung up before it was answered".to_owned()), now);
    }

    fn gone(&mut self, ticket: u64, carried: Carried, now: Now) {
        if let Some(Going { key, device }) = self.going.remove(&ticket)
            && let Some(seat) = self.cameras.get(&device)
        {
            let lane = seat.camera.lane.clone();
            self.receipt(key, lane, now.mono, carried);
        }
    }

    fn receipt(&mut self, key: String, lane: crate::domain::gate::word::LaneId, at: Mono, carried: Carried) {
        self.out.push_back(Output::Receipt(LaneReceipt { key, lane, at, carried }));
    }

    /// What time alone brings: answers whose decision did not come, cameras that are not heard any more.
    pub fn handle_timeout(&mut self, now: Now) {
        let over: Vec<CameraEvent> = self
            .waiting
            .iter()
            .filter(|(_, waiting)| waiting.until <= now.mono)
            .map(|(event, _)| event.clone())
            .collect();
        for event in over {
            if let Some(waiting) = self.waiting.remove(&event) {
                self.counts.undecided += 1;
                self.still(waiting.ticket, NO_MOVE.to_owned());
            }
        }
        for seat in self.cameras.values_mut().filter(|seat| seat.silent_at().is_some_and(|at| at <= now.mono)) {
            let silent = || format!("{} 秒无心跳 / not heard for as long", seat.camera.silent_after.as_secs());
            // One whose password was changed still pushes.
            let why = seat.turned_away.map_or_else(silent, |why| why.as_str().to_owned());
            self.out.extend(seat.dead(now.mono, &why));
        }
    }
}

/// A read as the lane is told of it.
fn judged(camera: &Camera, plate: &PlatePush, event: CameraEvent, timed: bool, now: Now) -> PlateSeen {
    let mut flags = BTreeSet::new();
    match &plate.read.plate {
        None => drop(flags.insert(ReadFlag::NoPlate)),
        Some(text) if !text.is_possible() => drop(flags.insert(ReadFlag::Impossible)),
        Some(_) => {}
    }
    if plate.read.fake {
        flags.insert(ReadFlag::Fake);
    }
    if plate.read.plate.is_some() && plate.read.confidence < camera.min_confidence {
        flags.insert(ReadFlag::LowConfidence);
    }
    let device_time = plate.sec.and_then(|sec| sec.checked_mul(1000)).map(Timestamp);
    let clock_known = now.trust != ClockTrust::Unsynced;
    let off_ms = device_time.filter(|_| clock_known).map(|time| time.0.abs_diff(now.wall.0));
    if !timed || (!plate.offline && off_ms.is_some_and(|ms| ms > CLOCK_OFF_MS)) {
        flags.insert(ReadFlag::ClockOff);
    }
    let limit_ms = camera.max_age.map(|age| u64::try_from(age.as_millis()).unwrap_or(u64::MAX));
    let old = off_ms.zip(limit_ms).is_some_and(|(off, limit)| off > limit);
    let live = !plate.offline && plate.moved.is_none() && !old && timed;
    PlateSeen {
        device: camera.device.clone(),
        event,
        read: plate.read.clone(),
        direction: camera.looks,
        device_time,
        live,
        offline: plate.offline,
        opened_by_camera: plate.opened_by_camera,
        flags,
    }
}

impl Seat {
    fn new(camera: Camera) -> Self {
        let (seen, order, inputs) = (BTreeMap::new(), VecDeque::new(), BTreeMap::new());
        Self { camera, seen, order, marks: 0, heard: None, up: false, turned_away: None, inputs }
    }

    fn knows(&self, number: u64, sec: Option<i64>) -> bool {
        let anew = |known: i64, sec: i64| known.abs_diff(sec) > COUNTS_ANEW.unsigned_abs();
        self.seen.get(&number).is_some_and(|mark| !mark.sec.zip(sec).is_some_and(|(known, sec)| anew(known, sec)))
    }

    /// Notes an event, and returns those that are forgotten for it.
    fn note(&mut self, number: u64, sec: Option<i64>) -> Vec<u64> {
        self.marks += 1;
        self.seen.insert(number, Mark { sec, mark: self.marks });
        self.order.push_back((number, self.marks));
        let mut forgotten = Vec::new();
        while self.order.len() > SEEN {
            let Some((old, mark)) = self.order.pop_front() else { break };
            if self.seen.get(&old).is_some_and(|known| known.mark == mark) {
                self.seen.remove(&old);
                forgotten.push(old);
            }
        }
        forgotten
    }

    fn event(&self, at: Mono, what: Seen) -> Output {
        Output::Event(LaneEvent { lane: self.camera.lane.clone(), at, what })
    }

    fn device(&self, at: Mono, up: bool, why: &str) -> Output {
        let (device, kind, why) = (self.camera.device.clone(), LaneDevice::Camera, why.to_owned());
        self.event(at, Seen::Device { device, kind, up, why })
    }

    fn silent_at(&self) -> Option<Mono> {
        self.heard.filter(|_| self.up).map(|heard| heard + self.camera.silent_after)
    }

    /// Heard: it is up, and what its inputs said still holds.
    fn alive(&mut self, now: Mono) -> Vec<Output> {
        (self.heard, self.turned_away) = (Some(now), None);
        let mut out = Vec::new();
        if !std::mem::replace(&mut self.up, true) {
            out.push(self.device(now, true, ""));
        }
        let known = self.inputs.iter().filter_map(|(source, on)| Some((self.camera.inputs.get(source)?, *on)));
        out.extend(
            known.map(|(wired, on)| self.event(now, Seen::Input { input: wired.input, on: Some(wired.means(on)) })),
        );
        out
    }

    fn input(&mut self, source: u8, on: bool, now: Mono) -> Option<Output> {
        let wired = *self.camera.inputs.get(&source)?;
        self.inputs.insert(source, on);
        Some(self.event(now, Seen::Input { input: wired.input, on: Some(wired.means(on)) }))
    }

    fn dead(&mut self, now: Mono, why: &str) -> Vec<Output> {
        self.up = false;
        self.inputs.clear();
        let inputs = self.camera.inputs.values();
        let mut out: Vec<Output> =
            inputs.map(|wired| self.event(now, Seen::Input { input: wired.input, on: None })).collect();
        out.push(self.device(now, false, why));
        out
    }
}

#[cfg(test)]
#[path = "desk_tests.rs"]
mod tests;
