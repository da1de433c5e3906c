//! What the parts of the gates say of themselves, as danger takes it: room, word and subject of an alarm. Pure.

use crate::domain::danger::gates::{GateFact, Room};
use crate::domain::gate::desk::DeskFact;
use crate::domain::gate::hazmat::record::{Phase, Violation, ViolationKind};
use crate::domain::gate::inside::InsideFact;
use crate::domain::gate::lane::LaneFact;
use crate::domain::gate::muster::{MusterFact, MusterFault};
use crate::domain::gate::word::PassageId;

pub(super) fn of_lane(fact: LaneFact) -> GateFact {
    let LaneFact { lane, fault, subject, active, zh, en } = fact;
    GateFact { room: Room::Lane(lane.to_string()), word: fault.to_string(), subject, active, zh, en }
}

pub(super) fn of_inside(fact: InsideFact) -> GateFact {
    let InsideFact { fault, subject, zone, active, zh, en } = fact;
    GateFact {
        room: Room::Inside,
        word: fault.as_str().to_owned(),
        subject: format!("{zone}:{subject}"),
        active,
        zh,
        en,
    }
}

pub(super) fn of_desk(fact: DeskFact) -> GateFact {
    let DeskFact { fault, subject, active, zh, en } = fact;
    GateFact { room: Room::Desk, word: fault.as_str().to_owned(), subject, active, zh, en }
}

/// `None` for a drill: people are told, and nothing is an alarm.
pub(super) fn of_muster(fact: &MusterFact) -> Option<GateFact> {
    let (word, subject) = match fact.what {
        MusterFault::Unaccounted(_) => ("unaccounted", fact.muster.clone()),
        MusterFault::Sos(row) => ("sos", format!("{}:{row}", fact.muster)),
    };
    let (active, zh, en) = (fact.active, fact.zh.clone(), fact.en.clone());
    (!fact.drill).then(|| GateFact { room: Room::Muster, word: word.to_owned(), subject, active, zh, en })
}

/// What has no duration begins and is over at once: its alarm stands until it is acknowledged.
pub(super) fn of_violation(violation: &Violation) -> Vec<GateFact> {
    let Violation { kind, phase, plate, terminal, subject, value, limit, .. } = violation;
    let who = plate.as_ref().map(ToString::to_string).or_else(|| terminal.as_ref().map(ToString::to_string));
    let who = who.unwrap_or_default();
    let about = subject.clone().unwrap_or_default();
    let measured = match (value, limit) {
        (Some(value), Some(limit)) => format!(" {value}/{limit}"),
        (Some(value), None) => format!(" {value}"),
        (None, _) => String::new(),
    };
    let fact = |active: bool| GateFact {
        room: Room::Hazmat,
        word: kind.to_string(),
        subject: format!("{who}:{about}"),
        active,
        zh: format!("{who} {} {about}{measured}", kind.zh()),
        en: format!("{who} {kind} {about}{measured}"),
    };
    match phase {
        Phase::Begins if lasts(*kind) => vec![fact(true)],
        Phase::Begins => vec![fact(true), fact(false)],
        // Told again; after a restart it is the first that is heard of it.
        Phase::GoesOn => vec![fact(true)],
        Phase::Over => vec![fact(false)],
    }
}

/// Whether somebody says when it is over.
fn lasts(kind: ViolationKind) -> bool {
    match kind {
        ViolationKind::Overstay
        | ViolationKind::OffRoute
        | ViolationKind::Restricted
        | ViolationKind::Speeding
        | ViolationKind::StoppedOutside
        | ViolationKind::PositionLost
        | ViolationKind::DatumMismatch
        | ViolationKind::Sos
        | ViolationKind::DriverAlarm
        | ViolationKind::VehicleAlarm
        | ViolationKind::TerminalRule
        | ViolationKind::TerminalFault
        | ViolationKind::TerminalMismatch => true,
        ViolationKind::StayWarning
        | ViolationKind::WrongBay
        | ViolationKind::NoBay
        | ViolationKind::Incompatible
        | ViolationKind::DispatchOverdue
        | ViolationKind::NotDispatched
        | ViolationKind::NoWaybill
        | ViolationKind::ExitUnseen
        | ViolationKind::TerminalKept
        | ViolationKind::WeightMismatch
        | ViolationKind::PositionJump => false,
    }
}

/// What no machine can settle: told, and over at once.
pub(super) fn unsettled(passage: &PassageId, zh: &str, en: &str) -> [GateFact; 2] {
    [true, false].map(|active| GateFact {
        room: Room::Gates,
        word: "unsettled".to_owned(),
        subject: passage.to_string(),
        active,
        zh: format!("{passage}：{zh}"),
        en: format!("{passage}: {en}"),
    })
}
