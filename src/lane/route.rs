//! Which device of a lane a command is for: pure.
//!
//! ```text
//!  Open that answers a read ──camera has the relay──▶ camera ──gone, too late, hung up──▶ relay, else barrier
//!                           └─it has none──▶ relay, else barrier; and the camera is told to stop sending
//!  Open, Close, Stop        ──▶ relay with that contact, else barrier         HoldOpen, EndHold ──▶ relay
//!  Dismiss                  ──▶ camera                      Show ──▶ board
//! ```
//!
//! One command is one actuation: another device is asked only when the first said that nothing went out (`Expired`, `Failed`,
//! `Refused`), never after `Sent` or `Unanswered`; and only within the command's own life. The lane gets one receipt.

use std::collections::BTreeMap;

use crate::domain::gate::hardware::{Act, Carried, LaneCommand, LaneReceipt};
use crate::domain::time::Mono;

/// Commands that may yet be given to another device. A lane has one or two under way; the oldest gives way.
const UNDER_WAY: usize = 16;
/// End of the key of a `Dismiss` that the router adds by itself.
const BESIDE: &str = "#dismiss";

/// A device of the lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum To {
    /// The camera that waits for an answer.
    Camera,
    /// The module of relays.
    Relay,
    /// The barrier with a controller of its own.
    Barrier,
    /// The board.
    Board,
}

/// What a lane has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Equipment {
    /// A camera that waits for answers.
    pub camera: bool,
    /// Its answer fires its relay, which is wired to the barrier.
    pub camera_opens: bool,
    /// The contacts of its module.
    pub relay: Contacts,
    /// A barrier with a controller of its own.
    pub barrier: bool,
    /// A board.
    pub board: bool,
}

/// Which contacts a module has for the lane.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Contacts {
    /// One that opens.
    pub open: bool,
    /// One that closes.
    pub close: bool,
    /// One that stops.
    pub stop: bool,
    /// One that holds open.
    pub hold: bool,
}

/// What comes of a receipt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// It goes to the lane.
    Receipt(LaneReceipt),
    /// Another device is asked.
    Again(To, LaneCommand),
    /// Nothing: it is of a command that the router added.
    Nothing,
}

/// The router of one lane.
#[derive(Debug)]
pub struct Router {
    has: Equipment,
    /// By key, with their order.
    open: BTreeMap<String, (u64, LaneCommand)>,
    count: u64,
}

impl Router {
    /// Begins.
    pub fn new(has: Equipment) -> Self {
        Self { has, open: BTreeMap::new(), count: 0 }
    }

    /// Returns what it was made with.
    pub fn has(&self) -> Equipment {
        self.has
    }

    fn mover(&self, contact: bool) -> Option<To> {
        if contact { Some(To::Relay) } else { self.has.barrier.then_some(To::Barrier) }
    }

    /// Returns whom a command is for, and what goes out beside it.
    ///
    /// # Errors
    /// The receipt, when the lane has nothing that could do it.
    pub fn handle_command(&mut self, command: LaneCommand, now: Mono) -> Result<Vec<(To, LaneCommand)>, LaneReceipt> {
        let to = match &command.act {
            Act::Open { answers: Some(_) } if self.has.camera_opens => Some(To::Camera),
            Act::Open { .. } => self.mover(self.has.relay.open),
            Act::Close => self.mover(self.has.relay.close),
            Act::Stop => self.mover(self.has.relay.stop),
            Act::HoldOpen | Act::EndHold => self.has.relay.hold.then_some(To::Relay),
            Act::Dismiss { .. } => self.has.camera.then_some(To::Camera),
            Act::Show(_) => self.has.board.then_some(To::Board),
        };
        let Some(to) = to else {
            let why = "车道没有能执行的设备 / the lane has no device for it".to_owned();
            let LaneCommand { key, lane, .. } = command;
            return Err(LaneReceipt { key, lane, at: now, carried: Carried::Refused(why) });
        };
        let mut out = Vec::new();
        if let Act::Open { answers: Some(event) } = &command.act {
            if to == To::Camera {
                self.note(command.clone());
            } else if self.has.camera {
                let (key, act) = (format!("{}{BESIDE}", command.key), Act::Dismiss { answers: event.clone() });
                out.push((To::Camera, LaneCommand { key, act, ..command.clone() }));
            }
        }
        out.insert(0, (to, command));
        Ok(out)
    }

    fn note(&mut self, command: LaneCommand) {
        if self.open.len() >= UNDER_WAY {
            let oldest = self.open.iter().min_by_key(|(_, (count, _))| *count).map(|(key, _)| key.clone());
            oldest.and_then(|key| self.open.remove(&key));
        }
        self.count += 1;
        self.open.insert(command.key.clone(), (self.count, command));
    }

    /// Returns what comes of a device's receipt.
    pub fn handle_receipt(&mut self, receipt: LaneReceipt, now: Mono) -> Next {
        if receipt.key.ends_with(BESIDE) {
            return Next::Nothing;
        }
        let Some((_, command)) = self.open.remove(&receipt.key) else { return Next::Receipt(receipt) };
        let nothing_went_out = match receipt.carried {
            Carried::Expired | Carried::Failed(_) | Carried::Refused(_) => true,
            Carried::Sent | Carried::Unanswered(_) => false,
        };
        match self.mover(self.has.relay.open).filter(|_| nothing_went_out && now <= command.not_after) {
            Some(to) => Next::Again(to, command),
            None => Next::Receipt(receipt),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::gate::hardware::{CameraEvent, Sign};
    use crate::domain::gate::word::LaneId;

    fn at(ms: u64) -> Mono {
        Mono::from_millis(ms)
    }

    fn event() -> CameraEvent {
        CameraEvent { serial: "abc-1".to_owned(), number: 7 }
    }

    fn command(act: Act) -> LaneCommand {
        LaneCommand { key: "k1".to_owned(), lane: LaneId::new("east-in"), act, not_after: at(3000) }
    }

    fn receipt(carried: Carried) -> LaneReceipt {
        LaneReceipt { key: "k1".to_owned(), lane: LaneId::new("east-in"), at: at(100), carried }
    }

    fn open() -> LaneCommand {
        command(Act::Open { answers: Some(event()) })
    }

    const ALL: Equipment = Equipment { camera: true, camera_opens: true, relay: WIRED, barrier: true, board: true };
    const WIRED: Contacts = Contacts { open: true, close: true, stop: true, hold: true };
    const BARE: Contacts = Contacts { open: false, close: false, stop: false, hold: false };

    #[test]
    fn the_camera_opens_and_the_relay_only_where_nothing_went_out() {
        let mut router = Router::new(ALL);
        assert_eq!(router.handle_command(open(), at(0)), Ok(vec![(To::Camera, open())]));
        assert_eq!(router.handle_receipt(receipt(Carried::Sent), at(100)), Next::Receipt(receipt(Carried::Sent)));
        for carried in [Carried::Expired, Carried::Failed("hung up".to_owned())] {
            router.handle_command(open(), at(0)).unwrap();
            assert_eq!(router.handle_receipt(receipt(carried), at(100)), Next::Again(To::Relay, open()));
            let second = receipt(Carried::Sent);
            assert_eq!(router.handle_receipt(second.clone(), at(200)), Next::Receipt(second));
        }
        let unsure = receipt(Carried::Unanswered("?".to_owned()));
        router.handle_command(open(), at(0)).unwrap();
        assert_eq!(router.handle_receipt(unsure.clone(), at(100)), Next::Receipt(unsure));
        router.handle_command(open(), at(0)).unwrap();
        assert!(matches!(router.handle_receipt(receipt(Carried::Expired), at(3001)), Next::Receipt(_)), "too late");
    }

    #[test]
    fn a_camera_without_a_relay_is_told_to_stop_sending() {
        let mut router = Router::new(Equipment { camera_opens: false, ..ALL });
        let out = router.handle_command(open(), at(0)).unwrap();
        assert_eq!(out[0], (To::Relay, open()));
        assert_eq!((out[1].0, &out[1].1.act), (To::Camera, &Act::Dismiss { answers: event() }));
        let beside = LaneReceipt { key: out[1].1.key.clone(), ..receipt(Carried::Sent) };
        assert_eq!(router.handle_receipt(beside, at(1)), Next::Nothing);
    }

    #[test]
    fn each_command_goes_to_what_can_do_it_or_is_refused() {
        let to =
            |has, act| Router::new(has).handle_command(command(act), at(0)).map(|out| out[0].0).map_err(|one| one.key);
        assert_eq!(to(ALL, Act::Close), Ok(To::Relay));
        assert_eq!(to(Equipment { relay: BARE, ..ALL }, Act::Stop), Ok(To::Barrier));
        assert_eq!(to(ALL, Act::Open { answers: None }), Ok(To::Relay));
        let holds = Equipment { relay: Contacts { hold: true, ..BARE }, ..ALL };
        assert_eq!(to(holds, Act::Open { answers: None }), Ok(To::Barrier), "a contact that only holds opens nothing");
        assert_eq!(to(holds, Act::HoldOpen), Ok(To::Relay));
        assert_eq!(to(ALL, Act::HoldOpen), Ok(To::Relay));
        assert_eq!(to(Equipment { relay: BARE, ..ALL }, Act::HoldOpen), Err("k1".to_owned()));
        assert_eq!(to(ALL, Act::Dismiss { answers: event() }), Ok(To::Camera));
        assert_eq!(to(ALL, Act::Show(Sign::default())), Ok(To::Board));
        assert_eq!(to(Equipment::default(), Act::Open { answers: None }), Err("k1".to_owned()));
    }

    #[test]
    fn what_is_under_way_is_bounded() {
        let mut router = Router::new(ALL);
        for n in 0..100 {
            router.handle_command(LaneCommand { key: n.to_string(), ..open() }, at(0)).unwrap();
        }
        assert_eq!(router.open.len(), UNDER_WAY);
        assert!(router.open.contains_key("99"));
    }
}
