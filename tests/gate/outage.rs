//! The outage of the day: the gateway loses its supply with one truck under the arm of the way in. At the way out the guard opens
//! by hand, and the camera keeps what it reads. Afterwards people settle what the gateway cannot know, and count by name.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use parkgate::domain::gate::hardware::{Input, Seen};
use parkgate::domain::gate::inside::{InsideAction, Subject};
use parkgate::domain::gate::lane::Hand;
use parkgate::domain::gate::word::{LaneId, ZoneId};
use parkgate::domain::time::Timestamp;

use super::super::papers::yellow;
use super::super::park::{guard, supervisor};
use super::{Day, Goer, LOADED, Leg, MINUTE, OUTAGE, is_car};

/// Cars that leave meanwhile.
const UNSEEN: usize = 4;

impl Day {
    pub(super) fn outage(&mut self) {
        self.say("网关断电 20 分钟，一辆危化车正在闸下", "the gateway loses its supply, with a truck under the arm");
        let victim = self.next_truck();
        // Whatever is at a lane finishes first.
        self.shut = true;
        while !self.at.is_empty() {
            let to = self.time() + 1_000;
            self.pass(to);
        }
        self.shut = false;
        let (name, people) = (self.goers[victim].name.clone(), self.goers[victim].people.clone());
        self.park.set("h-in", Input::Approach, Some(true));
        self.park.weighs("h-in", LOADED);
        self.park.comes("h-in", &name, &people.iter().map(String::as_str).collect::<Vec<_>>());
        self.park.run(2_000);
        assert!(self.park.is_up("h-in"), "{:?}", self.park.seen.last);
        self.park.set("h-in", Input::UnderArm, Some(true));
        self.park.run(400);
        let cars = self.leave_unseen();
        self.park.quietly("h-in", &[Input::UnderArm, Input::Approach]);
        self.account.look(&mut self.park);
        self.park.restart(OUTAGE.1);
        self.park.run(20_000);
        let at = self.park.now();
        // Nothing closes by itself after a restart: the guard sees that nobody stands there.
        self.park.gates.handle_hand(&LaneId::new("h-in"), &Hand::Close, &guard(), "已看过，无车", at).unwrap();
        self.park.drain();
        self.park.run(10_000);
        self.crossed("h-in", victim);
        self.kept_by_the_camera(&cars);
        let doubts = self.settle();
        self.say(
            &format!("恢复供电：补录 {UNSEEN} 条相机离线记录；{doubts} 次通行去向不明，值班长核对：车已入园"),
            &format!("back: {UNSEEN} records that a camera kept are entered; {doubts} passage in doubt is settled"),
        );
    }

    fn next_truck(&mut self) -> usize {
        let comes = |goer: &Goer| {
            goer.unwelcome.is_none() && goer.legs.front().is_some_and(|(leg, _)| *leg == Leg::Through("h-in"))
        };
        let victim = self.goers.iter().position(comes).unwrap();
        self.lanes.values_mut().for_each(|queue| queue.retain(|(_, who)| *who != victim));
        victim
    }

    /// Cars that leave while the gateway is off, and when.
    fn leave_unseen(&mut self) -> Vec<(usize, Timestamp)> {
        let ready = |goer: &Goer| goer.legs.len() == 1 && goer.legs[0].0 == Leg::Through("g-out");
        let cars: Vec<usize> = (0..self.goers.len()).filter(|who| ready(&self.goers[*who])).take(UNSEEN).collect();
        let base = self.park.now().wall;
        self.lanes.get_mut("g-out").unwrap().retain(|(_, who)| !cars.contains(who));
        let left = |(n, who)| (who, base.after(Duration::from_millis((n as u64 + 1) * 3 * MINUTE)));
        cars.into_iter().enumerate().map(left).collect()
    }

    fn kept_by_the_camera(&mut self, cars: &[(usize, Timestamp)]) {
        for (who, at) in cars {
            let name = self.goers[*who].name.clone();
            let mut seen = self.park.read("g-out", Some(yellow(&name)));
            (seen.live, seen.offline, seen.device_time) = (false, true, Some(*at));
            self.park.event(&LaneId::new("g-out"), Seen::Plate(seen));
            self.crossed("g-out", *who);
        }
    }

    /// The supervisor has looked: what was in doubt came in. Returns how many there were.
    fn settle(&mut self) -> u64 {
        let doubts = self.park.gates.view(self.park.now()).inside.in_doubt;
        for doubt in &doubts {
            let reason = "现场核对，车已入园".to_owned();
            let settle = InsideAction::Settle { event: doubt.event.clone(), crossed: true, reason };
            self.park.gates.handle_inside(settle, &supervisor(), self.park.now()).unwrap();
        }
        self.park.drain();
        self.account.doubts += doubts.len() as u64;
        doubts.len() as u64
    }

    /// After a gap nobody claims to know who is inside: it is counted by name, and signed.
    pub(super) fn count(&mut self) {
        let mut names: BTreeMap<ZoneId, BTreeSet<Subject>> = BTreeMap::new();
        names.insert(ZoneId::new("park"), self.truth.clone());
        names.insert(ZoneId::new("works"), self.in_works.clone());
        let unnamed = self.truth.iter().filter(|one| is_car(one)).count();
        self.park.count(names, &[(ZoneId::new("park"), u32::try_from(unnamed).unwrap())].into());
        let (n, persons) = (self.truth.len() - self.persons_of(&self.truth) + unnamed, self.persons_of(&self.truth));
        self.say(
            &format!("按名清点并签字：{n} 车、{persons} 人在园"),
            &format!("counted by name, and signed: {n} vehicles, {persons} persons"),
        );
    }
}
