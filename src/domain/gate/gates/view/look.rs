//! Looks at the parts of the gates and puts together what people see of them.

use std::collections::BTreeMap;

use super::{
    BayNow, ConflictView, Count, DOUBT_BACK, Doubt, GatesView, Guest, HazmatView, InsideView, LaneNow, MAX_BY_NAME,
    MAX_LISTED, MusterView, RowView, TicketView, VisitView, WaybillView, ZoneView,
};
use crate::domain::gate::desk::{Ticket, by_age};
use crate::domain::gate::gates::Gates;
use crate::domain::gate::hazmat::lot::BayView;
use crate::domain::gate::hazmat::visit::Visit;
use crate::domain::gate::inside::event::{Body, Loose};
use crate::domain::gate::inside::{Place, Stay, Stock, Subject, ZoneRule};
use crate::domain::gate::muster::{Occupant, Roll, Row};
use crate::domain::gate::word::{LaneId, VehicleClass, ZoneId};
use crate::domain::time::Now;
use std::time::Duration;

impl Gates {
    /// Returns what people see. Reads everything and changes nothing; a few milliseconds in a full park.
    pub fn view(&self, now: Now) -> GatesView {
        let mut tickets: Vec<&Ticket> = self.desk.open().collect();
        tickets.sort_by(|one, other| by_age(one).cmp(&by_age(other)));
        GatesView {
            gateway: self.settings.gateway.clone(),
            at: now.wall,
            clock: now.trust,
            policy_rev: self.policies.revision().to_owned(),
            register_rev: self.register.rev(),
            lanes: self.lanes.keys().filter_map(|lane| self.lane_now(lane, now)).collect(),
            tickets: tickets.into_iter().map(|ticket| ticket_view(ticket, now)).collect(),
            inside: self.inside_view(now),
            hazmat: self.hazmat_view(now),
            musters: self.musters.running().map(muster_view).collect(),
        }
    }

    fn lane_now(&self, id: &LaneId, now: Now) -> Option<LaneNow> {
        let queue = self.desk.queue_of(id);
        let (turn_back, turn_back_en) = self.desk.turn_back(id);
        let last = self.decided.get(id);
        let passage = last.and_then(|last| self.inside.passage(&last.passage));
        Some(LaneNow {
            lane: self.lanes.get(id)?.view(now),
            queue: queue.and_then(|queue| queue.vehicles),
            queue_alarm: queue.is_some_and(|queue| queue.alarm),
            last: last.cloned(),
            pictures: passage.map(|passage| passage.pictures.clone()).unwrap_or_default(),
            turn_back: turn_back.to_owned(),
            turn_back_en: turn_back_en.to_owned(),
        })
    }

    fn inside_view(&self, now: Now) -> InsideView {
        let account = self.inside.account();
        let mut guests: BTreeMap<ZoneId, Vec<Guest>> = BTreeMap::new();
        for (subject, place) in account.places() {
            if let Some(guest) = self.guest(subject, place, now) {
                guests.entry(guest.zone.clone()).or_default().push(guest);
            }
        }
        let mut overstays: Vec<Guest> = guests.values().flatten().filter(|guest| guest.overstays).cloned().collect();
        overstays.sort_by_key(|guest| guest.since);
        overstays.truncate(MAX_LISTED);
        let rules = &self.inside.rules().zones;
        let zones =
            rules.iter().map(|(zone, rule)| self.zone_view(zone, rule, guests.remove(zone).unwrap_or_default()));
        InsideView {
            zones: zones.collect(),
            known: self.inside.inside_known(),
            counted_at: account.last_count(),
            peers_heard: self.inside.peers_heard(now.mono),
            overstays,
            in_doubt: self.doubts(now),
            conflicts: self
                .inside
                .conflicts()
                .into_iter()
                .take(MAX_LISTED)
                .map(|conflict| ConflictView { event: conflict.event(), conflict })
                .collect(),
            reviews: self.inside.reviews().take(MAX_LISTED).map(ToString::to_string).collect(),
        }
    }

    /// Somebody inside, in the innermost of the zones that he is in.
    fn guest(&self, subject: &Subject, place: &Place, now: Now) -> Option<Guest> {
        let rules = self.inside.rules();
        let depth = |zone: &ZoneId| rules.around(Some(zone)).len();
        let (zone, stay) = place.zones.iter().max_by_key(|(zone, _)| depth(zone))?;
        let at = self.inside.time(now);
        let too_long = |(zone, stay): (&ZoneId, &Stay)| {
            let longest = rules.zones.get(zone).and_then(|rule| rule.longest(subject, stay.class, stay.with.is_some()));
            longest.is_some_and(|longest| stay.since.after(longest) <= at)
        };
        Some(Guest {
            subject: subject.clone(),
            zone: zone.clone(),
            since: stay.since,
            through: place.seen.clone().or_else(|| stay.through.clone()),
            class: stay.class,
            with: stay.with.as_ref().map(ToString::to_string),
            unidentified: stay.unidentified,
            company: stay.company.clone(),
            overstays: place.zones.iter().any(too_long),
        })
    }

    fn zone_view(&self, zone: &ZoneId, rule: &ZoneRule, mut guests: Vec<Guest>) -> ZoneView {
        let count = |stock: Stock| {
            let (now, missing) = self.inside.account().count(zone, stock);
            let most = rule.most(stock);
            Count { now, most, over: most.is_some_and(|most| now > most), missing }
        };
        let vehicles = VehicleClass::ALL.iter().map(|class| (*class, count(Stock::Vehicles(*class))));
        guests.sort_by_key(|guest| guest.since);
        let more = guests.len().saturating_sub(MAX_BY_NAME);
        guests.truncate(MAX_BY_NAME);
        ZoneView {
            zone: zone.clone(),
            class: rule.class,
            parent: rule.parent.clone(),
            persons: count(Stock::Persons),
            vehicles: vehicles.filter(|(_, count)| *count != Count::default()).collect(),
            gas_level: self.around.gas.get(zone).copied().unwrap_or(0),
            guests,
            more,
        }
    }

    fn doubts(&self, now: Now) -> Vec<Doubt> {
        let account = self.inside.account();
        let to = self.inside.time(now).after(Duration::from_millis(1));
        let open = account.between(to.before(DOUBT_BACK), to).filter(|event| !account.is_settled(&event.id));
        let doubt = open.filter_map(|event| match &event.body {
            Body::Loose(Loose::InDoubt { passage, subject, direction, why }) => Some(Doubt {
                event: event.id.clone(),
                passage: passage.clone(),
                at: event.at,
                subject: subject.as_ref().map(ToString::to_string),
                direction: *direction,
                why: why.clone(),
            }),
            Body::Loose(_)
            | Body::Crossed(_)
            | Body::Void { .. }
            | Body::Corrected(_)
            | Body::Counted(_)
            | Body::Violated(_)
            | Body::Reviewed { .. }
            | Body::Settled { .. } => None,
        });
        doubt.take(MAX_LISTED).collect()
    }

    fn hazmat_view(&self, now: Now) -> HazmatView {
        let hazmat = &self.hazmat;
        let bay = |bay: BayView| {
            let visit = bay.plate.as_ref().and_then(|plate| hazmat.visit(plate));
            BayNow {
                inside_s: visit.map(|visit| visit.inside.elapsed(now.mono).as_secs()),
                plate: bay.plate.as_ref().map(ToString::to_string),
                bay: bay.bay,
                status: bay.status,
            }
        };
        let open: Vec<_> = hazmat.waybills().iter().filter(|entry| !entry.waybill.state.is_over()).collect();
        let waybills = open.iter().take(MAX_LISTED).map(|entry| WaybillView {
            number: entry.waybill.number.clone(),
            state: entry.waybill.state,
            fact: hazmat.waybills().fact(&entry.waybill.number),
            plate: entry.waybill.tractor.to_string(),
            goods: entry.waybill.goods.iter().map(ToString::to_string).collect(),
            host: entry.waybill.host().clone(),
        });
        HazmatView {
            table_signed: hazmat.rules().table.is_armed(),
            bays: hazmat.lot().view().into_iter().map(bay).collect(),
            queue: hazmat.lot().queue().map(ToString::to_string).collect(),
            visits: hazmat.visits().map(|visit| self.visit_view(visit, now)).collect(),
            waybills: waybills.collect(),
            more_waybills: open.len().saturating_sub(MAX_LISTED),
        }
    }

    fn visit_view(&self, visit: &Visit, now: Now) -> VisitView {
        let rules = self.hazmat.rules();
        let inside = visit.inside.elapsed(now.mono);
        let waybill = visit.waybill.as_ref().and_then(|number| self.hazmat.waybills().get(number));
        let host = visit.sent.as_ref().map(|sent| &sent.host).or(waybill.map(|entry| entry.waybill.host()));
        VisitView {
            plate: visit.plate.to_string(),
            waybill: visit.waybill.clone(),
            stage: visit.stage,
            zone: visit.zone.clone(),
            bay: self.hazmat.lot().stands(&visit.plate).map(|(bay, _)| bay.clone()),
            classes: visit.load.as_ref().map(|load| load.classes.clone()),
            entered_at: visit.entered_at,
            inside_s: inside.as_secs(),
            stay_s: rules.stay.as_secs(),
            warned: inside >= rules.stay_warning(),
            overstays: inside >= rules.stay,
            sent_to: visit.sent.as_ref().map(|sent| sent.to.clone()),
            host: host.cloned(),
            done: visit.done,
        }
    }
}

fn ticket_view(ticket: &Ticket, now: Now) -> TicketView {
    let to = ticket.addressee();
    TicketView {
        ticket: ticket.ticket.clone(),
        lane: ticket.ask.lane.clone(),
        direction: ticket.ask.direction,
        kind: ticket.ask.kind,
        passage: ticket.ask.passage.clone(),
        subject: ticket.ask.subject.as_ref().map(ToString::to_string),
        reasons: ticket.ask.reasons.clone(),
        to_zh: to.zh().to_owned(),
        to_en: to.en().to_owned(),
        to: to.clone(),
        last: ticket.is_last(),
        again: ticket.again,
        presses: ticket.presses,
        opened_at: ticket.opened_at,
        left_s: ticket.left(now.mono).as_secs(),
    }
}

fn muster_view(roll: &Roll) -> MusterView {
    let row = |row: &Row| RowView {
        n: row.n,
        person: match &row.who {
            Occupant::Person(person) => Some(person.clone()),
            Occupant::Unidentified => None,
        },
        company: row.company.clone(),
        zone: row.zone.clone(),
        last: row.last.clone(),
        with: row.with.as_ref().map(ToString::to_string),
        state: row.state.clone(),
        sos: row.sos,
        position: row.position.clone(),
    };
    MusterView {
        muster: roll.muster.clone(),
        episode: roll.episode.clone(),
        drill: roll.drill,
        zone: roll.zone.clone(),
        at: roll.at,
        numbers: roll.numbers(),
        rows: roll.in_order().into_iter().take(MAX_BY_NAME).map(row).collect(),
        more: roll.rows.len().saturating_sub(MAX_BY_NAME),
    }
}
