//! The papers of the demo's tank trucks, trip by trip: the platform sends their waybills, somebody answers the checks, and a guard
//! says where they stand.

use std::path::Path;
use std::time::Duration;

use super::story::{CYCLE, GateNews};
use super::{desk, papers};
use crate::domain::gate::gates::view::GatesView;
use crate::sim::orders::Order;

/// The papers of a trip are there so long before it begins.
const AHEAD: Duration = Duration::from_secs(8);
/// A list that the gateway does not take is not sent for ever.
const TRIES: u32 = 10;

/// See the module.
#[derive(Debug, Default)]
pub struct Trips {
    /// The trip under way, from 1; 0 before the first.
    trip: u64,
    tries: u32,
    checked: bool,
    /// Where the tanker stands.
    bay: Option<String>,
}

impl Trips {
    /// Goes on, `since` the story began; returns what the platform is to send.
    pub async fn follow(&mut self, since: Duration, view: &GatesView, folder: &Path) -> Option<Order> {
        let wanted = (since + AHEAD).as_secs() / CYCLE.as_secs() + 1;
        if wanted > self.trip {
            *self = Self { trip: self.trip + 1, bay: self.bay.take(), ..Self::default() };
        }
        let numbers = papers::numbers(self.trip);
        let known = view.hazmat.waybills.iter().any(|one| numbers.iter().any(|number| one.number.as_str() == number));
        if self.checked || self.tries >= TRIES {
            return None;
        }
        self.tries += 1;
        if known {
            let [good, bad] = &numbers;
            let done = [desk::check(folder, good, None).await, desk::check(folder, bad, Some("inspection")).await];
            self.checked = done.iter().all(Result::is_ok);
            return None;
        }
        Some(Order { name: "waybills", args: format!("{{\"list\":{}}}", papers::waybills(self.trip)) })
    }

    /// Takes what is over at a lane: a tanker that came in is parked where it was sent to, one that left has left its bay.
    pub async fn take(&mut self, news: &GateNews, view: &GatesView, folder: &Path) {
        let plate = papers::plate(news.plate);
        match news.lane {
            "chem-in" if news.passed => {
                let sent = |bay: &&crate::domain::gate::gates::view::BayNow| bay.plate == Some(plate.to_string());
                self.bay = view.hazmat.bays.iter().find(sent).map(|bay| bay.bay.to_string());
                if let Some(bay) = &self.bay {
                    // Where it is not taken the page goes on saying that the bay waits for it.
                    drop(desk::parked(folder, bay, &plate).await);
                }
            }
            "chem-out" if news.passed => {
                if let Some(bay) = self.bay.take() {
                    drop(desk::left(folder, &bay).await);
                }
            }
            _ => {}
        }
    }
}
