//! Who went out in a vehicle when nobody said: those who came in with it and had not left otherwise. The gateway of the exit
//! takes what it knows at that moment; when it hears more (the entry was at another gate, and the line was cut; a late record
//! says that the escort had walked out before), it writes its own event anew, as a further version. No other gateway does, so
//! that no two ever say it differently.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::event::{Body, Crossed, Event, Subject};
use super::{Inside, Order};
use crate::domain::gate::plate::Plate;
use crate::domain::gate::word::{Direction, PersonRef};
use crate::domain::time::Now;

impl Inside {
    /// Looks again at the exits of this gateway that the change of `subjects` says something about.
    pub(super) fn settle_assumed(&mut self, subjects: &BTreeSet<Subject>, now: Now) {
        let mut plates: BTreeSet<Plate> = BTreeSet::new();
        for subject in subjects {
            match subject {
                Subject::Vehicle(plate) => drop(plates.insert(plate.clone())),
                Subject::Person(_) => {
                    plates.extend(self.account.events_of(subject).filter_map(|event| plate_of(event)))
                }
            }
        }
        let mut anew = Vec::new();
        for plate in &plates {
            let exits = self.account.events_of(&Subject::Vehicle(plate.clone()));
            let own = exits.filter(|event| event.id.source.gateway == self.source.gateway);
            for exit in own {
                let Some(crossed) =
                    exit.crossed().filter(|crossed| crossed.assumed && crossed.direction == Direction::Out)
                else {
                    continue;
                };
                let Some((persons, unidentified)) = self.came_with(plate, exit, crossed) else { continue };
                if (&persons, unidentified) != (&crossed.persons, crossed.unidentified) {
                    anew.push((exit.clone(), Crossed { persons, unidentified, ..crossed.clone() }));
                }
            }
        }
        for (exit, crossed) in anew {
            self.write_version(exit.id.clone(), exit.version.saturating_add(1), Body::Crossed(crossed), exit.at, now);
        }
    }

    /// Returns who came in with a vehicle and had not passed otherwise before its exit; `None`: its entry is not known.
    fn came_with(&self, plate: &Plate, exit: &Arc<Event>, out: &Crossed) -> Option<(Vec<PersonRef>, u16)> {
        let until = exit.order();
        let vehicle = Subject::Vehicle(plate.clone());
        let passages = self.account.events_of(&vehicle).filter(|event| event.crossed().is_some());
        let entry = passages.take_while(|event| event.order() < until).last()?;
        let came = entry.crossed()?;
        let since = entry.order();
        let here =
            |crossed: &Crossed| crossed.enters.iter().chain(&crossed.leaves).any(|zone| out.leaves.contains(zone));
        let counted_since = self.account.lists().any(|order: &Order| since < *order && *order < until);
        if !came.enters.iter().any(|zone| out.leaves.contains(zone)) || counted_since {
            return None;
        }
        let stayed = |person: &&PersonRef| {
            let of = self.account.events_of(&Subject::Person((*person).clone()));
            !of.into_iter()
                .any(|event| since < event.order() && event.order() < until && event.crossed().is_some_and(here))
        };
        let persons: Vec<PersonRef> = came.persons.iter().filter(stayed).cloned().collect();
        let unidentified = came.unidentified.max(u16::from(persons.is_empty()));
        Some((persons, unidentified))
    }
}

fn plate_of(event: &Event) -> Option<Plate> {
    event.crossed()?.vehicle.as_ref()?.plate.clone()
}
