//! Commissioning, bypasses, warnings of the city, and a new configuration under a standing state.
#![expect(clippy::wildcard_enum_match_arm, reason = "a test looks at what it is about")]

use super::*;
use crate::domain::site::record::{Cause, WarningStep};
use crate::domain::site::service::BypassStep;
use crate::domain::site::warning::{MAX_WARNINGS, WarningKind};

fn shift(subject: ServiceSubject, to: ServiceState, reason: &str) -> Action {
    Action::Service(ServiceAction::Move { subject, to, reason: reason.into() })
}

fn lane(id: &str) -> ServiceSubject {
    ServiceSubject::Lane(id.into())
}

#[test]
fn a_point_goes_through_its_commissioning_along_the_table_with_reasons() {
    use ServiceState::{Commissioning, InService, Planned, Removed, Stopped};
    let mut planned = book();
    planned.points.get_mut(&PointUid::new("u-1")).unwrap().service = Planned;
    let mut park = Park::quiet(planned);
    let point = || ServiceSubject::Point("u-1".into());
    let operator = Actor { name: "zhao".into(), via: Via::Machine, roles: [Role::Operator].into() };
    assert!(park.act(shift(point(), Commissioning, "接线完成"), &operator).is_err(), "not an operator");
    assert!(park.act(shift(point(), InService, "x"), &lead()).is_err(), "not without a loop test");
    for (to, reason) in [
        (Commissioning, "接线完成"),
        (InService, "联调单 LT-17"),
        (Stopped, "换探头"),
        (InService, "已换"),
        (Stopped, "拆"),
        (Removed, "拆除"),
    ] {
        assert!(park.act(shift(point(), to, " "), &lead()).is_err(), "say why");
        park.act(shift(point(), to, reason), &lead()).unwrap();
        assert_eq!(park.site.service_of(&point()), Some(to));
    }
    for to in ServiceState::ALL {
        assert!(park.act(shift(point(), to, "x"), &lead()).is_err(), "removed is for good");
    }
    let steps: Vec<_> = park
        .papers
        .iter()
        .map(|paper| match paper {
            ServiceRecord::State { name, from, to, actor, .. } => (name.as_str(), *from, *to, actor.name.as_str()),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(steps.len(), 6);
    assert_eq!(steps[2], ("TT101", InService, Stopped, "li"));
    assert!(steps.windows(2).all(|pair| pair[0].2 == pair[1].1));
    let changed = &park.site.view(park.now()).service[0].changed;
    assert_eq!((changed.state, changed.by.as_str(), changed.reason.as_str()), (Removed, "li", "拆除"));
}

#[test]
fn a_stopped_lane_goes_by_a_guard_and_people_leave_by_theirs_all_the_same() {
    let mut park = Park::quiet(book());
    for id in ["main-out", "tank-door"] {
        park.act(shift(lane(id), ServiceState::Stopped, "检修"), &lead()).unwrap();
    }
    assert_eq!(park.lane("main-out"), LaneRule::Guarded);
    assert_eq!(park.lane("tank-door"), LaneRule::NoEntry, "out is free");
    park.contacts(true, false);
    assert_eq!(park.lane("main-out"), LaneRule::Open, "out of service is no reason to stay shut on fire");
    park.restart(book());
    assert_eq!(park.site.service_of(&lane("main-out")), Some(ServiceState::Stopped), "over a restart");
}

#[test]
fn what_somebody_changed_stands_until_the_file_itself_changes_along_the_table() {
    let mut park = Park::quiet(book());
    let point = || ServiceSubject::Point("u-1".into());
    let with = |service| {
        let mut book = book();
        book.points.get_mut(&PointUid::new("u-1")).unwrap().service = service;
        Arc::new(book)
    };
    park.act(shift(point(), ServiceState::Stopped, "换探头"), &lead()).unwrap();
    let mut other = book();
    other.rules.clear();
    park.site.install(Arc::new(other), at(0));
    assert_eq!(park.site.service_of(&point()), Some(ServiceState::Stopped), "the file says what it said before");
    park.site.install(with(ServiceState::Planned), at(0));
    assert_eq!(park.site.service_of(&point()), Some(ServiceState::Stopped), "not along the table");
    park.site.install(with(ServiceState::Commissioning), at(0));
    assert_eq!(park.site.service_of(&point()), Some(ServiceState::Commissioning));
    let mut gone = book();
    gone.points.clear();
    park.site.install(Arc::new(gone), at(0));
    park.drain();
    assert_eq!(park.site.service_of(&point()), None);
    let last = park.papers.last().unwrap();
    assert!(matches!(last, ServiceRecord::State { to: ServiceState::Removed, .. }), "{last:?}");
    assert!(park.papers.iter().any(|paper| matches!(paper, ServiceRecord::Kept { .. })));
}

fn steps(park: &Park) -> Vec<BypassStep> {
    let step = |paper: &ServiceRecord| if let ServiceRecord::Bypass { step, .. } = paper { Some(*step) } else { None };
    park.papers.iter().filter_map(step).collect()
}

#[test]
fn a_bypass_needs_two_persons_and_alarms_when_it_outlasts_its_time_also_with_the_gateway_off() {
    let mut park = Park::quiet(book());
    let service = Action::Service;
    let request = |minutes| {
        service(ServiceAction::RequestBypass {
            interlock: "R-101 高温联锁".into(), reason: "校验".into(), minutes
        })
    };
    assert!(park.act(request(0), &lead()).is_err());
    assert!(park.act(request(60 * 24 * 30), &lead()).is_err(), "longer than the site allows");
    let bypass = park.act(request(120), &lead()).unwrap().number.unwrap();
    assert!(park.act(request(120), &other()).is_err(), "one at a time for an interlock");
    assert!(park.act(service(ServiceAction::ApproveBypass { bypass }), &lead()).is_err(), "who asked cannot approve");
    park.act(service(ServiceAction::ApproveBypass { bypass }), &other()).unwrap();
    park.wait(3_600_000);
    let overdue =
        |park: &Park, active| park.facts.iter().any(|fact| fact.fault == SiteFault::Bypass && fact.active == active);
    assert!(!overdue(&park, true));

    // The machine is off for two hours: its monotonic clock begins anew, the wall clock has gone on.
    let saved = park.site.saved(park.now());
    let later = Now { mono: Mono::from_secs(5), ..at(3 * 3_600_000) };
    park.site = Site::restore(Arc::new(book()), 2, Some(saved), &[], None, later);
    park.site.handle_timeout(later);
    park.drain();
    assert!(overdue(&park, true), "its time was over while the gateway was off");
    let restore = service(ServiceAction::RestoreBypass { bypass, reason: "已投用并试验".into() });
    park.act(restore, &lead()).unwrap();
    assert!(overdue(&park, false));
    use BypassStep::{Active, Overdue, Requested, Restored};
    assert_eq!(steps(&park), [Requested, Active, Overdue, Restored]);
}

#[test]
fn a_bypass_that_nobody_approves_lapses_and_a_rejected_one_is_over() {
    let mut park = Park::quiet(book());
    let request = |interlock: &str| {
        let (interlock, reason) = (interlock.to_owned(), "校验".to_owned());
        Action::Service(ServiceAction::RequestBypass { interlock, reason, minutes: 60 })
    };
    park.act(request("A"), &lead()).unwrap();
    let second = park.act(request("B"), &lead()).unwrap().number.unwrap();
    let reject = ServiceAction::RejectBypass { bypass: second, reason: "不同意".into() };
    park.act(Action::Service(reject), &other()).unwrap();
    for _ in 0..8 * 720 {
        park.wait(5_000);
        park.rest();
    }
    use BypassStep::{Lapsed, Rejected, Requested};
    assert_eq!(steps(&park), [Requested, Requested, Rejected, Lapsed]);
    assert!(park.site.view(park.now()).bypasses.is_empty());
}

fn warn(id: &str, until: Option<i64>) -> CityCommand {
    let warning = Warning {
        id: id.into(),
        kind: WarningKind::Flood,
        level: Some(3),
        issuer: "防汛办".into(),
        text: "防汛Ⅲ级应急响应".into(),
        until: until.map(|ms| Timestamp(at(0).wall.0 + ms)),
    };
    CityCommand { id: format!("c-{id}"), issuer: "city".into(), what: CityOrder::Warn(warning) }
}

#[test]
fn a_warning_of_the_city_is_shown_acknowledged_and_ends_with_its_validity() {
    let mut park = Park::quiet(book());
    park.site.handle_command(warn("flood", Some(60_000)), at(0)).unwrap();
    park.site.handle_command(warn("flood", Some(60_000)), at(0)).unwrap();
    let standing = park.site.warnings();
    assert_eq!((standing.len(), standing[0].acknowledged.as_deref()), (1, None));
    park.act(Action::AcknowledgeWarning { id: "flood".into() }, &lead()).unwrap();
    assert_eq!(park.site.warnings()[0].acknowledged.as_deref(), Some("li"));
    // The wall clock jumps ten years ahead: the warning is as valid as before.
    park.clock_off = 315_360_000_000;
    park.restart(book());
    park.clock_off = 0;
    park.site.handle_command(warn("fire-ban", None), at(0)).unwrap();
    park.drain();
    let steps: Vec<WarningStep> = park
        .records
        .iter()
        .filter_map(|(_, record)| match record {
            SiteRecord::Warning { step, .. } => Some(*step),
            _ => None,
        })
        .collect();
    assert_eq!(steps[..2], [WarningStep::Received, WarningStep::Acknowledged]);

    let mut park = Park::quiet(book());
    park.site.handle_command(warn("flood", Some(60_000)), at(0)).unwrap();
    park.wait(59_999);
    park.clock_off = -3_600_000;
    assert_eq!(park.site.warnings().len(), 1);
    park.wait(1);
    assert!(park.site.warnings().is_empty());
    let withdraw =
        CityCommand { id: "w".into(), issuer: "city".into(), what: CityOrder::Withdraw { id: "flood".into() } };
    assert!(park.site.handle_command(withdraw, at(0)).is_err(), "it is over already");
}

#[test]
fn warnings_are_bounded_and_what_nobody_has_read_stays_longest() {
    let mut park = Park::quiet(book());
    for n in 0..MAX_WARNINGS {
        park.site.handle_command(warn(&format!("w{n:03}"), None), at(0)).unwrap();
    }
    park.act(Action::AcknowledgeWarning { id: "w005".into() }, &lead()).unwrap();
    park.site.handle_command(warn("new", None), at(0)).unwrap();
    let ids: Vec<_> = park.site.warnings().iter().map(|standing| standing.warning.id.clone()).collect();
    assert!(ids.len() == MAX_WARNINGS && ids.contains(&"new".to_owned()) && !ids.contains(&"w005".to_owned()));
}

#[test]
fn a_new_configuration_under_an_evacuation_shuts_nothing() {
    let mut park = Park::quiet(book());
    park.declare("store", State::Evacuate).unwrap();
    let number =
        park.act(Action::Propose { zone: "office".into(), state: State::Shelter, reason: String::new() }, &lead());
    let number = number.unwrap().number.unwrap();
    let before = park.lanes.clone();
    let mut smaller = book();
    // The store is no zone any more; its door is now the tank farm's.
    smaller.zones.retain(|zone| zone.id != "store");
    for lane in &mut smaller.lanes {
        lane.zone = [0, 1, 1, 2][lane.zone];
    }
    park.site.install(Arc::new(smaller), at(0));
    park.drain();
    assert_eq!(park.site.state_of("tanks"), State::Evacuate, "the zone around it takes the state over");
    for (lane, rule) in before {
        assert!(strength(park.lane(&lane)) >= strength(rule), "{lane}");
    }
    park.act(Action::Confirm { proposal: number }, &other()).unwrap();
    assert_eq!(park.site.state_of("office"), State::Shelter, "a proposal keeps its number");
    let cause = park.records.iter().find_map(|(_, record)| match record {
        SiteRecord::State { zone, cause, .. } if zone == "tanks" => Some(cause.clone()),
        _ => None,
    });
    assert_eq!(cause, Some(Cause::Removed));
}

#[test]
fn a_fire_input_that_is_removed_while_it_holds_lanes_leaves_them_to_be_given_back() {
    let mut park = Park::quiet(book());
    park.give("nc", lost());
    park.wait(1_000);
    assert_eq!(park.lane("main-in"), LaneRule::Open);
    let mut without = book();
    without.fire.remove(0);
    park.site.install(Arc::new(without), at(park.now));
    park.drain();
    assert_eq!(park.lane("main-in"), LaneRule::Open);
    assert_eq!(park.site.state_of("park"), State::Recovery);
    park.act(Action::GiveBack { lane: "main-in".into() }, &lead()).unwrap();
    assert_eq!(park.lane("main-in"), LaneRule::Normal);
}

#[test]
fn a_fault_that_stands_is_told_again_after_a_restart() {
    let mut park = Park::quiet(book());
    park.answers = false;
    park.contacts(true, false);
    park.wait(11_000);
    park.facts.clear();
    park.restart(book());
    let told = |fault, subject: &str| {
        park.facts.iter().any(|fact| (fact.fault, fact.subject.as_str(), fact.active) == (fault, subject, true))
    };
    assert!(told(SiteFault::Order, "lane.main-out") && told(SiteFault::FireLine, "fire-tanks"), "{:?}", park.facts);
    assert!(!park.texts.is_empty(), "what no channel took is said again");
}

#[test]
fn a_point_is_stopped_by_its_tag_and_the_fire_linkage_stays_in_service() {
    let mut wired = book();
    wired.points.insert(PointUid::new("no"), ServicePoint { tag: "XS-FIRE".into(), service: ServiceState::InService });
    let mut park = Park::quiet(wired);
    let stop = |name: &str| {
        let subject = ServiceSubject::Point(name.into());
        Action::Service(ServiceAction::Move { subject, to: ServiceState::Stopped, reason: "检修".into() })
    };
    park.act(stop("TT101"), &lead()).unwrap();
    assert_eq!(park.site.service_of(&ServiceSubject::Point("u-1".into())), Some(ServiceState::Stopped));
    let refused = park.act(stop("XS-FIRE"), &lead()).unwrap_err();
    assert!(refused.en.contains("fire linkage"), "{refused}");
    assert!(park.act(stop("TT999"), &lead()).is_err());
}
