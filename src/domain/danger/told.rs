//! What the daybook is told of the other machines' words.

use serde::Deserialize;

use super::super::alarm::record::AlarmRecord;
use super::super::daybook::{AlarmFact, Fact};
use super::super::document::DocumentKind;
use super::super::gate::inside::Event;
use super::super::record::Mode;
use super::super::site::SiteRecord;

/// Returns what a transition means for the day's account; `None` for a note within a state.
pub(super) fn alarm_fact(record: &AlarmRecord) -> Option<Fact> {
    (!record.cause.is_note()).then(|| Fact::Alarm(AlarmFact::from(record)))
}

/// Returns what a record of the site means for it.
pub(super) fn site_fact(record: SiteRecord, mode: Mode) -> Option<Fact> {
    let SiteRecord::State { zone, to, .. } = record else { return None };
    Some(Fact::Site { zone, state: to.as_str().to_owned(), drill: mode == Mode::Drill })
}

/// Returns what a document of the gates means for it: each crossing once, by the event that the account of who is inside has.
pub(super) fn passage_fact(kind: DocumentKind, json: &str) -> Option<Fact> {
    #[derive(Deserialize)]
    struct Told {
        event: Event,
    }
    if kind != DocumentKind::Inside {
        return None;
    }
    // What is no event, a conflict or the account of a day, does not read as one.
    let Told { event } = serde_json::from_str(json).ok()?;
    let crossed = event.crossed().filter(|_| event.version == 1)?;
    let class = crossed.vehicle.as_ref().map_or("person", |vehicle| vehicle.class.as_str());
    Some(Fact::Passage { counter: format!("{}.{class}", crossed.direction.as_str()) })
}

#[cfg(test)]
mod tests {
    use super::super::super::gate::inside::InsideRecord;
    use super::super::super::gate::inside::event::{Body, Crossed, EventId, Source, VehicleSeen};
    use super::super::super::gate::word::{Direction, GateId, GatewayId, LaneId, PassageId, VehicleClass};
    use super::super::super::time::{ClockTrust, Timestamp};
    use super::*;

    fn crossing(version: u32, vehicle: Option<VehicleSeen>) -> String {
        let source = Source { gateway: GatewayId::new("east"), boot: 1 };
        let crossed = Crossed {
            passage: PassageId::new("p-1"),
            gate: GateId::new("east"),
            lane: LaneId::new("east-in"),
            direction: Direction::In,
            enters: Vec::new(),
            leaves: Vec::new(),
            vehicle,
            persons: Vec::new(),
            unidentified: 1,
            assumed: false,
            company: None,
            camera: None,
            late: false,
            authorised: true,
        };
        let event = Event {
            id: EventId { source: source.clone(), n: 1 },
            source,
            seq: 1,
            version,
            at: Timestamp(1_795_651_200_000),
            clock: ClockTrust::Synced,
            body: Body::Crossed(crossed),
        };
        serde_json::to_string(&InsideRecord::Event(&event)).unwrap()
    }

    #[test]
    fn each_crossing_is_a_passage_of_the_day_once() {
        let counted = |json: &str| match passage_fact(DocumentKind::Inside, json) {
            Some(Fact::Passage { counter }) => Some(counter),
            _ => None,
        };
        let hazmat = Some(VehicleSeen { plate: None, class: VehicleClass::Hazmat });
        assert_eq!(counted(&crossing(1, hazmat)).as_deref(), Some("in.hazmat"));
        assert_eq!(counted(&crossing(1, None)).as_deref(), Some("in.person"));
        assert_eq!(counted(&crossing(2, None)), None, "a later version is the same crossing");
        assert_eq!(counted(r#"{"conflict":{}}"#), None);
        assert_eq!(passage_fact(DocumentKind::Passage, &crossing(1, None)), None);
    }
}
