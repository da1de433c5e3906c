//! Does what the platform's commands ask of the application, and has every answer recorded: an answer is an event like
//! any other, with a number, and is delivered like one.

use std::collections::BTreeSet;

use serde_json::{Map, Value as Json, json};
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

use super::engine::Request;
use super::gates;
use super::lanes::pictures::Shelf;
use super::lists::Lists;
use crate::domain::actor::{Actor, Via};
use crate::domain::danger::Action;
use crate::domain::daybook::{self, DutyAction, HazardAction};
use crate::domain::gate::gates::view::GatesView;
use crate::domain::reading::{Quality, Value};
use crate::domain::site::CityCommand;
use crate::domain::snapshot::Snapshot;
use crate::state::registry::RegistryBook;
use crate::uplink::Command;
use crate::uplink::command::{AskInside, AskPicture, Selection, answer};

/// Values in one answer at most: it must fit an envelope. A platform that wants all of them has the telemetry.
const MAX_VALUES: usize = 500;
/// The same of who is inside: a line of it has some 250 bytes. The platform goes on with `skip`.
const MAX_INSIDE: usize = 200;

/// The task.
pub(super) struct Answerer {
    pub(super) requests: mpsc::Sender<Request>,
    pub(super) book: RegistryBook,
    /// The lists that the platform may fill.
    pub(super) lists: Lists,
    /// Where pictures wait for the platform, while there is a way for them.
    pub(super) pictures: watch::Receiver<Option<Shelf>>,
}

impl Answerer {
    /// Runs until `stop`, or until the engine is gone.
    pub(super) async fn run(
        mut self,
        mut commands: mpsc::Receiver<Command>,
        stop: CancellationToken,
    ) -> Result<(), String> {
        loop {
            let command = tokio::select! {
                biased;
                command = commands.recv() => command,
                // What was accepted before the stop is answered: its id is spent.
                () = stop.cancelled() => return Ok(()),
            };
            let Some(command) = command else { return Ok(()) };
            if !self.answer(command).await {
                return Ok(());
            }
        }
    }

    /// Returns whether the engine took the answer.
    async fn answer(&mut self, command: Command) -> bool {
        let request = match command {
            Command::Answer { json } => Request::Answer(json),
            Command::Values { id, selection } => Request::Answer(self.values(&id, &selection).await),
            Command::Registry { id, rev } => self.registry(&id, rev).await,
            Command::ActiveAlarms { id } => {
                drop(self.requests.send(Request::ActiveSet).await);
                Request::Answer(answer(&id, "active_alarms", "done", "ok", None))
            }
            Command::Inside { id, ask } => Request::Answer(self.inside(&id, &ask).await),
            Command::Attachment { id, ask } => Request::Answer(self.picture(&id, ask).await),
            Command::DutyCheck { id, issuer, limit_min } => self.duty_check(id, issuer, limit_min).await,
            Command::Hazard { id, issuer, what } => self.hazard(&id, issuer, what).await,
            Command::Site(command) => self.site(command).await,
            Command::Register { id, issuer, part } => Request::Answer(self.lists.register(&id, &issuer, *part).await),
            Command::Waybills { id, issuer, part } => Request::Answer(self.lists.waybills(&id, &issuer, *part).await),
        };
        self.requests.send(request).await.is_ok()
    }

    async fn values(&self, id: &str, selection: &Selection) -> String {
        let (answer_tx, answer_rx) = oneshot::channel();
        drop(self.requests.send(Request::Snapshot(answer_tx)).await);
        match answer_rx.await {
            Ok(snapshot) => done_with_values(id, select(&snapshot, selection)),
            Err(_) => answer(id, "values", "failed", "stopping", None),
        }
    }

    async fn inside(&self, id: &str, ask: &AskInside) -> String {
        let (answer_tx, answer_rx) = oneshot::channel();
        drop(self.requests.send(Request::Gates(gates::Ask::View(answer_tx))).await);
        // Where there are no gates nobody answers.
        match answer_rx.await {
            Ok(view) => told_inside(id, &view, ask),
            Err(_) => answer(id, "inside", "failed", "no_gates", None),
        }
    }

    /// It is sent as pictures are: after its record, when nothing that matters more waits.
    async fn picture(&self, id: &str, ask: AskPicture) -> String {
        let shelf = self.pictures.borrow().clone();
        let Some(shelf) = shelf else { return answer(id, "attachment", "failed", "not_configured", None) };
        match shelf.want(ask.passage, ask.kind).await {
            Ok(Some(sha256)) => answer(id, "attachment", "done", "ok", Some(&sha256)),
            Ok(None) => answer(id, "attachment", "failed", "unknown_attachment", None),
            Err(why) => {
                tracing::error!(error = why, "A picture that the platform asks for cannot be marked to be sent.");
                answer(id, "attachment", "failed", "failed", Some(&why))
            }
        }
    }

    /// The answer has the number of the check; what becomes of it is told on `report`.
    async fn duty_check(&self, id: String, issuer: String, limit_min: u8) -> Request {
        let ask = DutyAction::Ask { limit_min, reference: id.clone() };
        self.to_daybook((id.as_str(), "duty_check"), issuer, daybook::Action::Duty(ask)).await
    }

    /// The answer has the id of the hazard; its step is told on `report`, as every step of it is.
    async fn hazard(&self, id: &str, issuer: String, what: HazardAction) -> Request {
        self.to_daybook((id, "hazard_listing"), issuer, daybook::Action::Hazard(what)).await
    }

    /// Has the daybook do what the platform wants, done or refused; both are in the audit.
    async fn to_daybook(&self, (id, name): (&str, &str), issuer: String, action: daybook::Action) -> Request {
        let (answer_tx, answer_rx) = oneshot::channel();
        let actor = Actor { name: issuer, via: Via::Platform, roles: BTreeSet::new() };
        let action = Box::new(Action::Daybook(action));
        drop(self.requests.send(Request::Act(action, actor, answer_tx)).await);
        Request::Answer(match answer_rx.await {
            Ok(Ok(done)) => answer(id, name, "done", "ok", done.id.as_deref()),
            Ok(Err(refused)) => answer(id, name, "failed", "refused", Some(&refused.to_string())),
            Err(_) => answer(id, name, "failed", "stopping", None),
        })
    }

    /// What the site makes of it, done or refused.
    async fn site(&self, command: CityCommand) -> Request {
        let (id, (answer_tx, answer_rx)) = (command.id.clone(), oneshot::channel());
        drop(self.requests.send(Request::City(command, answer_tx)).await);
        Request::Answer(match answer_rx.await {
            Ok(Ok(done)) => answer(&id, "site", "done", "ok", Some(&format!("{} / {}", done.zh, done.en))),
            Ok(Err(refused)) => answer(&id, "site", "failed", "refused", Some(&refused.to_string())),
            Err(_) => answer(&id, "site", "failed", "stopping", None),
        })
    }

    /// Records the revision again; its record is followed by the answer.
    async fn registry(&self, id: &str, rev: u32) -> Request {
        match self.book.json(rev) {
            Some(json) => {
                drop(self.requests.send(Request::Registry(json)).await);
                Request::Answer(answer(id, "registry", "done", "ok", None))
            }
            None => Request::Answer(answer(id, "registry", "failed", "unknown_revision", Some(&rev.to_string()))),
        }
    }
}

/// Who and what is inside: the counts of each zone, and the list, oldest first by zone; `left_off` says how many of it did not fit.
fn told_inside(id: &str, view: &GatesView, ask: &AskInside) -> String {
    let inside = &view.inside;
    let wanted = |zone: &str| ask.zone.as_deref().is_none_or(|one| one == zone);
    let zones: Vec<_> = inside.zones.iter().filter(|zone| wanted(zone.zone.as_str())).collect();
    if zones.is_empty() && ask.zone.is_some() {
        return answer(id, "inside", "failed", "unknown_zone", ask.zone.as_deref());
    }
    let counts = zones.iter().map(|zone| {
        json!({ "zone": zone.zone, "parent": zone.parent, "class": zone.class, "persons": zone.persons,
                "vehicles": zone.vehicles, "gas_level": zone.gas_level })
    });
    let all: usize = zones.iter().map(|zone| zone.guests.len() + zone.more).sum();
    let list: Vec<_> = zones.iter().flat_map(|zone| &zone.guests).skip(ask.skip).take(MAX_INSIDE).collect();
    let left_off = all.saturating_sub(ask.skip.saturating_add(list.len()));
    json!({
        "id": id, "name": "inside", "state": "done", "code": "ok",
        "at": view.at, "clock": view.clock, "known": inside.known, "counted_at": inside.counted_at,
        "peers_heard": inside.peers_heard, "zones": counts.collect::<Vec<_>>(), "inside": list, "left_off": left_off,
    })
    .to_string()
}

/// The answer; `left_off` says how many values did not fit, where any did not.
fn done_with_values(id: &str, (values, left_off): (Map<String, Json>, usize)) -> String {
    let mut answer = json!({ "id": id, "name": "values", "state": "done", "code": "ok", "values": values });
    if let (Some(answer), true) = (answer.as_object_mut(), left_off > 0) {
        answer.insert("left_off".to_owned(), json!(left_off));
    }
    answer.to_string()
}

/// Returns `{tag: {value, quality, t}}` of the points selected, and how many of them are left off; unknown tags are not
/// in it, so that they are seen missing.
fn select(snapshot: &Snapshot, selection: &Selection) -> (Map<String, Json>, usize) {
    let tags: BTreeSet<&str> = match selection {
        Selection::Tags(tags) => tags.iter().map(String::as_str).collect(),
        Selection::Device(_) => BTreeSet::new(),
    };
    let wanted = |device: &str, tag: &str| match selection {
        Selection::Tags(_) => tags.contains(tag),
        Selection::Device(id) => id == device,
    };
    let (mut values, mut left_off) = (Map::new(), 0);
    for (spec, view) in snapshot.registry.devices.iter().zip(&snapshot.devices) {
        for (point, state) in spec.points.iter().zip(&view.points) {
            if !wanted(spec.id.as_str(), point.tag.as_str()) {
                continue;
            }
            if values.len() < MAX_VALUES {
                let t = state.at.map(|at| snapshot.now.wall_at(at).to_string());
                let value = state.reading.and_then(|r| r.value()).map_or(Json::Null, json_of);
                let quality = state.reading.map_or(Quality::Stale, |r| r.quality).as_str();
                values.insert(point.tag.to_string(), json!({ "value": value, "quality": quality, "t": t }));
            } else {
                left_off += 1;
            }
        }
    }
    (values, left_off)
}

fn json_of(value: Value) -> Json {
    match value {
        Value::Number(v) => json!(v),
        Value::Single(v) => v.to_string().parse::<f64>().map_or(Json::Null, |v| json!(v)),
        Value::Integer(v) => json!(v.to_string()),
        Value::Counter(v) => json!(v.to_string()),
        Value::Bool(v) => json!(v),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::domain::actor::Refused;
    use crate::domain::danger::Done;
    use crate::domain::danger::view::DangerView;
    use crate::domain::field_event::LinkState;
    use crate::domain::gate::picture::PictureKind;
    use crate::domain::gate::word::PassageId;
    use crate::domain::id::DeviceSlot;
    use crate::domain::reading::Reading;
    use crate::domain::registry::testing::registry_with;
    use crate::domain::snapshot::{DeviceView, PointView, Totals};
    use crate::domain::time::{ClockTrust, Mono, Now, Timestamp};

    fn snapshot(n_points: usize) -> Snapshot {
        let reading = Reading::good(Value::Counter(u64::MAX));
        let device = DeviceView {
            slot: DeviceSlot(1),
            link: LinkState::Up,
            link_since: None,
            classes: Vec::new(),
            points: vec![PointView { reading: Some(reading), at: Some(Mono::from_secs(9)), state: None }; n_points],
        };
        let now = Now { mono: Mono::from_secs(10), wall: Timestamp(10_000), trust: ClockTrust::Synced };
        Snapshot {
            now,
            boot: 1,
            started: Mono::default(),
            registry: Arc::new(registry_with(2, n_points, |_| None)),
            devices: vec![device.clone(), device],
            totals: Totals::default(),
            danger: DangerView::quiet(now),
        }
    }

    #[test]
    fn values_are_given_by_tag_and_unknown_tags_are_seen_missing() {
        let tags = Selection::Tags(vec!["d1.p0".into(), "nobody".into()]);
        let answer: Json = serde_json::from_str(&done_with_values("7", select(&snapshot(2), &tags))).unwrap();
        let expected = json!({ "id": "7", "name": "values", "state": "done", "code": "ok", "values": {
            "d1.p0": { "value": u64::MAX.to_string(), "quality": "good", "t": "1970-01-01T00:00:09.000Z" } } });
        assert_eq!(answer, expected);
    }

    #[test]
    fn an_answer_that_leaves_values_off_says_how_many() {
        let (values, left_off) = select(&snapshot(620), &Selection::Device("d0".into()));
        assert_eq!((values.len(), left_off), (MAX_VALUES, 120));
        let answer: Json = serde_json::from_str(&done_with_values("7", (values, left_off))).unwrap();
        assert_eq!(answer["left_off"], json!(120));
    }

    fn no_pictures() -> watch::Receiver<Option<Shelf>> {
        watch::Sender::new(None).subscribe()
    }

    /// A gateway without gates and without a way for pictures says so.
    #[tokio::test]
    async fn what_this_gateway_does_not_have_is_answered_too() {
        let dir = tempfile::tempdir().unwrap();
        let book = RegistryBook::new(crate::state::State::open(dir.path()).unwrap());
        let (requests, mut asked) = mpsc::channel(4);
        let lists = Lists::new(None, requests.clone(), BTreeSet::new());
        let answerer = Answerer { requests, book, lists, pictures: no_pictures() };
        let ask = AskPicture { passage: PassageId::new("p1"), kind: PictureKind::Plate };
        assert!(answerer.picture("7", ask).await.contains("not_configured"));
        let all = AskInside::default();
        let (told, ()) = tokio::join!(answerer.inside("8", &all), async {
            // The engine drops what nobody answers.
            drop(asked.recv().await);
        });
        assert!(told.contains("no_gates"), "{told}");
    }

    /// What the daybook says to a listing, done or refused, is the answer.
    #[tokio::test]
    async fn a_hazard_is_listed_in_the_name_of_the_platform_and_answered_by_what_became_of_it() {
        let dir = tempfile::tempdir().unwrap();
        let book = RegistryBook::new(crate::state::State::open(dir.path()).unwrap());
        let (requests, mut asked) = mpsc::channel(4);
        let lists = Lists::new(None, requests.clone(), BTreeSet::new());
        let answerer = Answerer { requests, book, lists, pictures: no_pictures() };
        let unlist = || HazardAction::Unlist { id: "hz-1-1".into(), comment: "验收合格".into() };
        let done = Done { zh: "隐患".into(), en: "hazard".into(), id: Some("hz-1-1".into()) };
        let words = [
            (Some(Ok(done)), ["done", "ok", "hz-1-1"]),
            (Some(Err(Refused::new("未挂牌", "it is not listed"))), ["failed", "refused", "it is not listed"]),
            (None, ["failed", "stopping", ""]),
        ];
        for (word, expected) in words {
            let (told, ()) = tokio::join!(answerer.hazard("7", "city".into(), unlist()), async {
                let Some(Request::Act(action, actor, answer)) = asked.recv().await else { panic!("no action") };
                assert_eq!((actor.name.as_str(), actor.via), ("city", Via::Platform));
                let Action::Daybook(action) = *action else { panic!("not for the daybook") };
                assert_eq!(action, daybook::Action::Hazard(unlist()));
                if let Some(word) = word {
                    answer.send(word).unwrap();
                }
            });
            let Request::Answer(json) = told else { panic!("no answer") };
            let told: Json = serde_json::from_str(&json).unwrap();
            assert_eq!((&told["id"], &told["name"]), (&json!("7"), &json!("hazard_listing")));
            let [state, code, detail] = expected;
            assert_eq!((&told["state"], &told["code"]), (&json!(state), &json!(code)));
            assert!(told["detail"].as_str().unwrap_or_default().contains(detail), "{told}");
        }
    }

    #[tokio::test]
    async fn what_was_accepted_before_the_stop_is_answered() {
        let dir = tempfile::tempdir().unwrap();
        let book = RegistryBook::new(crate::state::State::open(dir.path()).unwrap());
        let (requests, mut asked) = mpsc::channel(4);
        let (commands, given) = mpsc::channel(4);
        let stop = CancellationToken::new();
        commands.try_send(Command::Answer { json: "{}".into() }).unwrap();
        commands.try_send(Command::Registry { id: "8".into(), rev: 9 }).unwrap();
        stop.cancel();
        Answerer {
            requests: requests.clone(),
            book,
            lists: Lists::new(None, requests, BTreeSet::new()),
            pictures: no_pictures(),
        }
        .run(given, stop)
        .await
        .unwrap();
        assert!(matches!(asked.recv().await, Some(Request::Answer(json)) if json == "{}"));
        assert!(matches!(asked.recv().await, Some(Request::Answer(json)) if json.contains("unknown_revision")));
    }
}
