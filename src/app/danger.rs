//! What the configuration says of danger, as the engine takes it, and the days of the park.

use std::sync::Arc;

use jiff::civil::Time;
use jiff::tz::TimeZone;

use super::links::Links;
use crate::config::Config;
use crate::config::alarms::{Channel, Via};
use crate::domain::alarm::spec::AlarmBook;
use crate::domain::danger::channels::{Channels, Way};
use crate::domain::danger::{Days, Rules};
use crate::domain::daybook::{Calendar, Date, FixedOffset, Minute};
use crate::domain::engine::Plan;
use crate::domain::time::Timestamp;
use crate::state::registry::Revision;

/// Returns the rules of a configuration under a registry revision, which is told with every alarm.
pub(super) fn rules_of(config: &Config, rev: u32) -> Rules {
    Rules {
        alarms: Arc::new(AlarmBook { rev, ..(*config.alarms.book).clone() }),
        site: Arc::new(config.site.clone()),
        daybook: Arc::clone(&config.duty),
        calendar: days_of(&config.gateway.timezone),
        channels: Channels::new(config.alarms.channels.iter().map(channel)),
        lanes: config.gates.lanes.iter().map(|lane| lane.id.to_string()).collect(),
    }
}

/// Returns the plan of a configuration under a registry revision.
pub(super) fn plan_of(links: &mut Links, config: &Config, revision: Revision) -> Plan {
    let danger = rules_of(config, revision.registry.rev);
    Plan { danger, ..links.plan(&config.devices, &config.specs, revision) }
}

/// Returns the plan that a start of the gateway begins with. For whoever runs an engine without the rest: `benches/`.
pub fn first_plan(config: &Config, revision: Revision) -> Plan {
    plan_of(&mut Links::new(), config, revision)
}

fn channel(channel: &Channel) -> (String, Way) {
    let way = match &channel.via {
        Via::Page => Way::Page,
        Via::Platform => Way::Platform,
        Via::Text(_) => Way::Text,
        Via::Output { output, value } => Way::Output { output: output.clone(), value: value.clone() },
    };
    (channel.id.to_string(), way)
}

/// The days of a zone; Beijing's where the machine does not know it (the configuration has said so).
fn days_of(name: &str) -> Days {
    let calendar: Arc<dyn Calendar> = match TimeZone::get(name) {
        Ok(zone) => Arc::new(Zone(zone)),
        Err(_) => Arc::new(FixedOffset::BEIJING),
    };
    Days { zone: name.to_owned(), calendar }
}

/// A zone of the tz database.
#[derive(Debug)]
struct Zone(TimeZone);

impl Calendar for Zone {
    fn date_at(&self, at: Timestamp) -> Date {
        let local = jiff::Timestamp::from_millisecond(at.0).map(|at| self.0.to_datetime(at).date());
        let date = local.map(|date| (date.year().into(), date.month().into(), date.day().into()));
        date.ok().and_then(Date::of).unwrap_or_else(|| FixedOffset::BEIJING.date_at(at))
    }

    fn instant(&self, date: Date, time: Minute) -> Timestamp {
        let civil = |(year, month, day): (i64, i64, i64)| {
            let (month, day) = (i8::try_from(month).ok()?, i8::try_from(day).ok()?);
            jiff::civil::Date::new(i16::try_from(year).ok()?, month, day).ok()
        };
        let found = civil(date.parts()).and_then(|date| {
            let (hour, minute) = (i8::try_from(time.minutes() / 60).ok()?, i8::try_from(time.minutes() % 60).ok()?);
            let local = date.to_datetime(Time::new(hour, minute, 0, 0).ok()?);
            Some(self.0.to_ambiguous_zoned_datetime(local).compatible().ok()?.timestamp().as_millisecond())
        });
        found.map_or_else(|| FixedOffset::BEIJING.instant(date, time), Timestamp)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_of_the_park_is_the_one_on_its_clocks() {
        let days = days_of("Europe/Berlin");
        let summer = Date::parse("2026-07-01").unwrap();
        let noon = days.calendar.instant(summer, Minute::new(12, 0).unwrap());
        assert_eq!(noon.to_string(), "2026-07-01T10:00:00.000Z");
        assert_eq!(days.calendar.date_at(noon), summer);
        let late = Timestamp::parse("2026-07-01T22:30:00.000Z").unwrap();
        assert_eq!(days.calendar.date_at(late), summer.plus(1));
        // A time that the clocks leave out is the instant of the change.
        let left_out = days.calendar.instant(Date::parse("2026-03-29").unwrap(), Minute::new(2, 30).unwrap());
        assert_eq!(left_out.to_string(), "2026-03-29T01:30:00.000Z");
        assert_eq!(days_of("Asia/Shanghai"), days_of("Asia/Shanghai"));
        assert_ne!(days_of("Asia/Shanghai"), days);
    }
}
