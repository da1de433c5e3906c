//! What drives and walks through the park, step by step.

use std::collections::BTreeSet;

use parkgate::domain::gate::hardware::{CameraEvent, Input, PlateSeen, Seen, Weight};
use parkgate::domain::gate::plate::Plate;
use parkgate::domain::gate::presented::PlateRead;
use parkgate::domain::gate::verdict::Decision;
use parkgate::domain::gate::word::{Direction, LaneId};

use super::Park;
use crate::papers;

impl Park {
    /// What a camera reads now.
    pub(crate) fn read(&mut self, lane: &str, plate: Option<Plate>) -> PlateSeen {
        self.reads += 1;
        PlateSeen {
            device: format!("{lane}-cam"),
            event: CameraEvent { serial: lane.into(), number: self.reads },
            read: PlateRead { plate, confidence: 96, fake: false, exempt: false },
            direction: None,
            device_time: Some(self.now().wall),
            live: true,
            offline: false,
            opened_by_camera: false,
            flags: BTreeSet::new(),
        }
    }

    /// Somebody shows a card.
    pub(crate) fn shows(&mut self, lane: &str, person: &str, direction: Direction) {
        let reader = format!("{lane}-{direction}");
        self.event(&LaneId::new(lane), Seen::Shown { reader, direction, credential: papers::card(person) });
    }

    /// It stands on the scale.
    pub(crate) fn weighs(&mut self, lane: &str, kg: u32) {
        self.event(&LaneId::new(lane), Seen::Weight(Weight::Still(kg)));
    }

    /// A vehicle comes to a lane and is read, after its people showed their cards. Returns what was decided last.
    pub(crate) fn comes(&mut self, lane: &str, plate: &str, people: &[&str]) -> Decision {
        self.set(lane, Input::Approach, Some(true));
        let direction = if lane.ends_with("out") { Direction::Out } else { Direction::In };
        people.iter().for_each(|person| self.shows(lane, person, direction));
        self.run(300);
        let seen = self.read(lane, Some(papers::yellow(plate)));
        self.event(&LaneId::new(lane), Seen::Plate(seen));
        self.run(600);
        self.seen.last.clone().expect("something is decided")
    }

    /// The steps of a vehicle under an arm.
    pub(crate) const WAY: [(Input, bool); 7] = [
        (Input::UnderArm, true),
        (Input::Beam, true),
        (Input::Approach, false),
        (Input::Exit, true),
        (Input::UnderArm, false),
        (Input::Beam, false),
        (Input::Exit, false),
    ];

    /// It drives through an open arm, and the arm closes behind it.
    pub(crate) fn crosses(&mut self, lane: &str) {
        for (input, on) in Self::WAY {
            self.set(lane, input, Some(on));
            self.run(600);
        }
        self.run(6_000);
    }

    /// It comes, and goes through if it may.
    pub(crate) fn drives(&mut self, lane: &str, plate: &str, people: &[&str]) -> Decision {
        let decision = self.comes(lane, plate, people);
        self.run(2_000);
        if self.is_up(lane) {
            self.crosses(lane);
        } else {
            self.set(lane, Input::Approach, Some(false));
            self.run(2_000);
        }
        decision
    }

    /// A tank lorry with its crew, over the scale.
    pub(crate) fn drives_loaded(&mut self, lane: &str, plate: &str, kg: u32) -> Decision {
        self.set(lane, Input::Approach, Some(true));
        self.weighs(lane, kg);
        self.drives(lane, plate, &["driver", "escort"])
    }

    /// A person goes through a door that is held open, and shows his card.
    pub(crate) fn leaves_freely(&mut self, lane: &str, person: &str) {
        self.shows(lane, person, Direction::Out);
        for (input, on) in [(Input::Passed, true), (Input::Passed, false)] {
            self.set(lane, input, Some(on));
            self.run(300);
        }
    }

    /// A person shows a card, and walks through if the door is released. Returns what was decided.
    pub(crate) fn walks(&mut self, lane: &str, person: &str, direction: Direction) -> Decision {
        let before = self.moves(lane).len();
        self.shows(lane, person, direction);
        self.run(1_000);
        if self.moves(lane).len() > before {
            self.set(lane, Input::DoorOpen, Some(true));
            self.run(1_000);
            self.set(lane, Input::Passed, Some(true));
            self.run(300);
            self.set(lane, Input::Passed, Some(false));
            self.set(lane, Input::DoorOpen, Some(false));
            self.run(2_000);
        }
        self.seen.last.clone().expect("something is decided")
    }
}
