//! Does what the platform's commands ask of the application, and has every answer recorded: an answer is an event like
//! any other, with a number, and is delivered like one.

use std::sync::Arc;

use serde_json::{Map, Value as Json, json};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::engine::Request;
use crate::domain::reading::{Quality, Value};
use crate::domain::snapshot::Snapshot;
use crate::state::registry::RegistryBook;
use crate::uplink::Command;
use crate::uplink::command::{Selection, answer};

/// Values in one answer at most: it must fit an envelope. A platform that wants all of them has the telemetry.
const MAX_VALUES: usize = 500;

/// The task.
pub(super) struct Answerer {
    pub(super) requests: mpsc::Sender<Request>,
    pub(super) book: RegistryBook,
}

impl Answerer {
    /// Runs until `stop`, or until the engine is gone.
    pub(super) async fn run(
        self,
        mut commands: mpsc::Receiver<Command>,
        stop: CancellationToken,
    ) -> Result<(), String> {
        loop {
            let command = tokio::select! {
                () = stop.cancelled() => return Ok(()),
                command = commands.recv() => command,
            };
            let Some(command) = command else { return Ok(()) };
            let request = match command {
                Command::Answer { json } => Request::Answer(json),
                Command::Values { id, selection } => Request::Answer(self.values(&id, &selection).await),
                Command::Registry { id, rev } => self.registry(&id, rev).await,
            };
            if self.requests.send(request).await.is_err() {
                return Ok(());
            }
        }
    }

    async fn values(&self, id: &str, selection: &Selection) -> String {
        let (answer_tx, answer_rx) = oneshot::channel();
        drop(self.requests.send(Request::Snapshot(answer_tx)).await);
        match answer_rx.await {
            Ok(snapshot) => done_with(id, "values", "values", select(&snapshot, selection)),
            Err(_) => answer(id, "values", "failed", "stopping", None),
        }
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

fn done_with(id: &str, name: &str, key: &str, detail: Json) -> String {
    let mut object = Map::new();
    for (k, v) in
        [("id", json!(id)), ("name", json!(name)), ("state", json!("done")), ("code", json!("ok")), (key, detail)]
    {
        object.insert(k.to_owned(), v);
    }
    Json::Object(object).to_string()
}

/// Returns `{tag: {value, quality, t}}` of the points selected; unknown tags are left out, so that they are seen missing.
fn select(snapshot: &Arc<Snapshot>, selection: &Selection) -> Json {
    let wanted = |device: &str, tag: &str| match selection {
        Selection::Tags(tags) => tags.iter().any(|t| t == tag),
        Selection::Device(id) => id == device,
    };
    let mut values = Map::new();
    for (spec, view) in snapshot.registry.devices.iter().zip(&snapshot.devices) {
        for (point, state) in spec.points.iter().zip(&view.points) {
            if values.len() < MAX_VALUES && wanted(spec.id.as_str(), point.tag.as_str()) {
                let t = state.at.map(|at| snapshot.now.wall_at(at).to_string());
                let value = state.reading.and_then(|r| r.value).map_or(Json::Null, json_of);
                let quality = state.reading.map_or(Quality::Stale, |r| r.quality).as_str();
                values.insert(point.tag.to_string(), json!({ "value": value, "quality": quality, "t": t }));
            }
        }
    }
    Json::Object(values)
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
