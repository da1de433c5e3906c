//! Positions and alarms of terminals: whose they are, and what of them is a violation.

use std::collections::BTreeSet;

use super::book::same_plate;
use super::geo::Coordinates;
use super::map::Local;
use super::record::{Phase, Violation, ViolationKind};
use super::track::{Change, Fix, Scene, Subject, Track};
use super::{Hazmat, MAX_TRACKS, violation};
use crate::domain::gate::hardware::{Position, TerminalAlarm};
use crate::domain::gate::plate::Plate;
use crate::domain::gate::word::TerminalId;
use crate::domain::time::{Mono, Now};

/// What an alarm of a terminal is about.
fn kind(alarm: TerminalAlarm) -> ViolationKind {
    match alarm {
        TerminalAlarm::Sos => ViolationKind::Sos,
        TerminalAlarm::Speeding
        | TerminalAlarm::Fatigue
        | TerminalAlarm::Phone
        | TerminalAlarm::Smoking
        | TerminalAlarm::Distracted
        | TerminalAlarm::NoDriver
        | TerminalAlarm::LaneDeparture
        | TerminalAlarm::TooClose => ViolationKind::DriverAlarm,
        TerminalAlarm::Danger | TerminalAlarm::Moved | TerminalAlarm::CollisionWarning | TerminalAlarm::Rollover => {
            ViolationKind::VehicleAlarm
        }
        TerminalAlarm::Area | TerminalAlarm::Route | TerminalAlarm::OffRoute | TerminalAlarm::Parked => {
            ViolationKind::TerminalRule
        }
        TerminalAlarm::GnssFault
        | TerminalAlarm::AntennaCut
        | TerminalAlarm::AntennaShort
        | TerminalAlarm::PowerLow
        | TerminalAlarm::PowerOff => ViolationKind::TerminalFault,
    }
}

impl Hazmat {
    /// Takes a position that was heard at `at`. `fixed` is the vehicle that the register has the terminal in; one that was
    /// handed out is with who has it. `local` is the park's local time, `None` with a clock that cannot be trusted. What was
    /// sent late is not judged: nobody can act on it, and its place in time is the terminal's word.
    pub fn handle_position(
        &mut self,
        terminal: &TerminalId,
        fixed: Option<&Plate>,
        position: &Position,
        at: Mono,
        local: Option<Local>,
        now: Now,
    ) {
        if position.late {
            return;
        }
        self.take_alarms(terminal, fixed, &position.alarms, now);
        let degrees = |millionths: i32| f64::from(millionths) / 1e6;
        let coordinates = Coordinates::new(degrees(position.lat_e6), degrees(position.lon_e6));
        let fix = Fix {
            at,
            position: coordinates.filter(|_| position.fixed),
            datum: Some(position.datum),
            kmh: Some(f64::from(position.speed_dkmh) / 10.0),
        };
        self.handle_fix(terminal, fixed, &fix, local, now);
    }

    /// Takes a position in the machine's own form.
    pub fn handle_fix(
        &mut self,
        terminal: &TerminalId,
        fixed: Option<&Plate>,
        fix: &Fix,
        local: Option<Local>,
        now: Now,
    ) {
        let plate = self.bearer(terminal).or(fixed).cloned();
        self.begin_track(terminal.clone(), fix.at);
        let rules = std::sync::Arc::clone(&self.rules);
        let visit = plate.as_ref().and_then(|plate| self.visit(plate));
        let entry = match visit {
            Some(visit) => visit.waybill.as_ref().and_then(|number| self.waybills.get(number)),
            None => plate.as_ref().and_then(|plate| self.waybills.of_plate(plate)),
        };
        let waybill = entry.map(|entry| &entry.waybill);
        let classes: Option<BTreeSet<_>> = waybill.map(|waybill| waybill.load().classes);
        let route = waybill.and_then(|waybill| waybill.route.clone());
        let inside = visit.is_some();
        let scene = Scene { route: route.as_deref(), classes: classes.as_ref(), inside, local };
        let Some(track) = self.tracks.get_mut(terminal) else { return };
        let changes = track.take(fix, scene, &rules.map, &rules.track);
        self.tell_changes(terminal, plate.as_ref(), changes, now);
    }

    /// Takes the alarms that stand at a terminal. What is said again is told once; what is no longer said is over.
    fn take_alarms(
        &mut self,
        terminal: &TerminalId,
        fixed: Option<&Plate>,
        standing: &BTreeSet<TerminalAlarm>,
        now: Now,
    ) {
        let plate = self.bearer(terminal).or(fixed).cloned();
        let before: BTreeSet<_> =
            self.alarms.iter().filter(|(of, _)| of == terminal).map(|(_, alarm)| *alarm).collect();
        let changes = before.symmetric_difference(standing).copied().collect::<Vec<_>>();
        for alarm in changes {
            let key = (terminal.clone(), alarm);
            let phase = if standing.contains(&alarm) { Phase::Begins } else { Phase::Over };
            if phase == Phase::Begins {
                self.alarms.insert(key);
            } else {
                self.alarms.remove(&key);
            }
            let subject = Some(alarm.as_str().to_owned());
            let said = violation(kind(alarm), plate.clone(), now);
            self.accuse(Violation { phase, subject, terminal: Some(terminal.clone()), ..said }, now);
        }
    }

    /// Returns what a terminal's vehicle violates now, by positions.
    pub fn track(&self, terminal: &TerminalId) -> Option<&Track> {
        self.tracks.get(terminal)
    }

    pub(super) fn bearer(&self, terminal: &TerminalId) -> Option<&Plate> {
        self.terminals.get(terminal).map(|handed| &handed.plate)
    }

    pub(super) fn is_off_route(&self, plate: &Plate) -> bool {
        let of = self.terminals.iter().filter(|(_, handed)| same_plate(&handed.plate, plate));
        let mut tracks = of.filter_map(|(terminal, _)| self.tracks.get(terminal));
        tracks.any(|track| track.on().any(|subject| *subject == Subject::Route))
    }

    pub(super) fn begin_track(&mut self, terminal: TerminalId, now: Mono) {
        if self.tracks.contains_key(&terminal) {
            return;
        }
        if self.tracks.len() >= MAX_TRACKS {
            let idle = |(id, _): &(&TerminalId, &Track)| !self.terminals.contains_key(*id);
            let oldest = self.tracks.iter().filter(idle).min_by_key(|(_, track)| track.heard());
            let Some(oldest) = oldest.map(|(id, _)| id.clone()) else { return };
            self.tracks.remove(&oldest);
            self.alarms.retain(|(of, _)| *of != oldest);
        }
        self.tracks.insert(terminal, Track::new(now, []));
    }

    /// The terminal was given back: what was violated is over, and it lies in a drawer.
    pub(super) fn end_track(&mut self, terminal: &TerminalId, plate: &Plate, now: Now) {
        let track = self.tracks.remove(terminal);
        let kinds: Vec<_> = track.iter().flat_map(Track::on).map(|subject| (subject.kind(), about(subject))).collect();
        let alarms = self
            .alarms
            .iter()
            .filter(|(of, _)| of == terminal)
            .map(|(_, alarm)| (kind(*alarm), Some(alarm.as_str().to_owned())));
        let over: Vec<_> = kinds.into_iter().chain(alarms).collect();
        self.alarms.retain(|(of, _)| of != terminal);
        self.end_mismatches(plate, now);
        for (kind, subject) in over {
            let over = violation(kind, Some(plate.clone()), now);
            self.accuse(Violation { phase: Phase::Over, subject, terminal: Some(terminal.clone()), ..over }, now);
        }
    }

    /// A terminal that was handed out must be heard of; one that is fixed in a vehicle on its way need not be.
    pub(super) fn track_due(&self, terminal: &TerminalId, track: &Track) -> Option<Mono> {
        self.terminals.contains_key(terminal).then(|| track.lost_at(&self.rules.track)).flatten()
    }

    pub(super) fn wake_tracks(&mut self, now: Now) {
        let due = |(id, track): &(&TerminalId, &Track)| self.track_due(id, track).is_some_and(|at| at <= now.mono);
        let lost: Vec<_> = self.tracks.iter().filter(due).map(|(id, _)| id.clone()).collect();
        let rules = std::sync::Arc::clone(&self.rules);
        for terminal in lost {
            let plate = self.bearer(&terminal).cloned();
            let change = self.tracks.get_mut(&terminal).and_then(|track| track.wake(now.mono, &rules.track));
            self.tell_changes(&terminal, plate.as_ref(), change.into_iter().collect(), now);
        }
    }

    fn tell_changes(&mut self, terminal: &TerminalId, plate: Option<&Plate>, changes: Vec<Change>, now: Now) {
        for change in changes {
            let said = violation(change.kind, plate.cloned(), now);
            let said = Violation {
                phase: if change.begins { Phase::Begins } else { Phase::Over },
                terminal: Some(terminal.clone()),
                subject: change.subject,
                value: change.value,
                limit: change.limit,
                position: change.position,
                converted: change.converted,
                ..said
            };
            self.accuse(said, now);
        }
    }
}

fn about(subject: &Subject) -> Option<String> {
    match subject {
        Subject::Restriction(id) => Some(id.clone()),
        Subject::Route | Subject::Speed | Subject::Stop | Subject::Position | Subject::Datum => None,
    }
}
