//! Real messages, as mosquitto handed them to a subscriber, against the published JSON Schemas: all record kinds.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test may")]

#[path = "wire_mqtt/support.rs"]
#[expect(dead_code, reason = "each test file uses its part")]
mod support;

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use parkgate::domain::document::DocumentKind;
use parkgate::domain::output::{LoopTest, OutputWrite, WriteResult};
use parkgate::domain::reading::{Quality, Reading, Value};
use parkgate::domain::record::{Basis, Body, Boot, ClockChange, Coverage, Gap, GapReason, Mode, Samples, Stream};
use parkgate::domain::time::ClockTrust;
use parkgate::uplink::settings::{AckMode, CommandKey};
use support::*;

/// A hazard that the authority lists.
const LIST: &str = r#"{"hazard":"hz-1-1","list":{"level":"city","body":"市应急局","notice":"2026-11-24"}}"#;
/// Reads lines `schema file, tab, message` and names what does not fit.
const CHECK: &str = r#"
import json, sys, pathlib
from jsonschema import Draft202012Validator as V
folder, seen, bad = pathlib.Path(sys.argv[1]), {}, 0
for line in sys.stdin:
    name, text = line.rstrip("\n").split("\t", 1)
    if name not in seen:
        schema = json.loads((folder / name).read_text())
        V.check_schema(schema)
        seen[name] = V(schema)
    for error in seen[name].iter_errors(json.loads(text)):
        bad += 1
        print(name, error.json_path, error.message[:200], file=sys.stderr)
sys.exit(1 if bad else 0)
"#;

fn python() -> Option<PathBuf> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let named = std::env::var_os("PARKGATE_PYTHON").map(PathBuf::from);
    let python = named.unwrap_or_else(|| root.join(".venv/bin/python"));
    let able = Command::new(&python).args(["-c", "import jsonschema"]).stderr(Stdio::null()).status();
    able.is_ok_and(|s| s.success()).then_some(python)
}

/// Returns whether all messages fit their schema.
fn fit(python: &PathBuf, messages: &[(String, String)]) -> bool {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("config");
    let mut child = Command::new(python).args(["-c", CHECK]).arg(folder).stdin(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    for (schema, text) in messages {
        writeln!(stdin, "{schema}\t{text}").unwrap();
    }
    drop(stdin);
    child.wait().unwrap().success()
}

/// The least that a document of this kind says.
fn told_in(kind: DocumentKind) -> String {
    if kind == DocumentKind::Message {
        r#"{"key":"m-1","channel":"page","zh":"撤离","en":"evacuate"}"#.to_owned()
    } else if kind == DocumentKind::Attachment {
        format!(r#"{{"why":"displaced","missing":["{}"]}}"#, "0a".repeat(32))
    } else {
        r#"{"id":"一"}"#.to_owned()
    }
}

fn every_kind(gateway: &Gateway) {
    let cells = [
        (0, Reading::good(Value::Number(23.4))),
        (1, Reading::good(Value::Single(5.71))),
        (2, Reading::good(Value::Integer(-9_007_199_254_740_993))),
        (3, Reading::good(Value::Counter(u64::MAX))),
        (4, Reading::good(Value::Bool(true))),
        (5, Reading::missing(Quality::Comm)),
        (6, Reading::new(Some(Value::Number(1e300)), Quality::OverRange)),
    ];
    gateway.make(
        Stream::Telemetry,
        &Body::Samples(Samples {
            device: 0,
            basis: Basis::Source,
            t: None,
            historical: false,
            mode: Mode::Drill,
            cells: cells.into_iter().collect(),
        }),
    );
    gateway.sample(7);
    let coverage = Coverage { device: 0, from: wall(), due: 60, ok: 58, bad: 1, skipped: 1 };
    gateway.make(Stream::Telemetry, &Body::Coverage(coverage));
    let boot = Boot { software: "0.1.0".into(), last_seen: Some(wall()), off_ms: None, clean: false };
    gateway.make(Stream::Event, &Body::Boot(boot));
    let step = ClockChange { from: ClockTrust::Unsynced, to: ClockTrust::Synced, offset_ms: -5 };
    gateway.make(Stream::Event, &Body::Clock(step));
    gateway.make(Stream::Event, &Body::Link { device: 0, up: false, reason: "no answer within 1 s".into() });
    gateway.make(Stream::Event, &Body::Answer { json: "not json".into() });
    let asked = OutputWrite {
        output: "gate-1-open".into(),
        device: "io-gate-1".into(),
        value: "open".into(),
        raw: Some(1),
        seen: None,
        issuer: "duty".into(),
        key: "k-1".into(),
        result: WriteResult::NotConfirmed,
        detail: "no answer within 1 s".into(),
        elapsed_ms: 1_000,
        mode: Mode::Real,
    };
    gateway.make(Stream::Event, &Body::Write(Box::new(OutputWrite { mode: Mode::Commissioning, ..asked.clone() })));
    gateway.make(Stream::Event, &Body::Write(Box::new(asked)));
    gateway.make(
        Stream::Event,
        &Body::LoopTest(Box::new(LoopTest {
            tag: "TT101".into(),
            device: "plc-1".into(),
            issuer: "张工".into(),
            expected: "50".into(),
            read: "49.9".into(),
            quality: "good".into(),
            passed: true,
            detail: String::new(),
        })),
    );
    gateway.make(Stream::Registry, &Body::Registry { json: "{\"rev\":1,\"devices\":[]}".into() });
    let large = format!("{{\"rev\":2,\"text\":\"{}\"}}", "罐\\n".repeat(20_000));
    gateway.make(Stream::Registry, &Body::Registry { json: large });
    for (kind, mode) in DocumentKind::ALL.into_iter().zip(Mode::ALL.into_iter().cycle()) {
        gateway.make(kind.stream(), &Body::Document { kind, mode, json: told_in(kind) });
    }
    gateway.make_unstored(Stream::Alarm, &Body::Answer { json: "{}".into() });
    gateway.store.add_gap(Gap {
        no: 1,
        stream: Stream::Telemetry,
        seqs: 100..=200,
        from_t: None,
        to_t: None,
        count: 101,
        exact: false,
        reason: GapReason::CrashUncommitted,
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn every_message_on_the_wire_fits_its_published_schema() {
    let Some(python) = python() else { return skip("no Python with jsonschema") };
    let dir = tempfile::tempdir().unwrap();
    let Some(broker) = Mosquitto::start(dir.path(), "") else { return };
    let mut platform = Platform::start(broker.port, Habit::Acks);
    platform.ready().await;
    let mut gateway = Gateway::start(settings(broker.port, AckMode::Platform));
    gateway.all_up().await;
    every_kind(&gateway);
    platform
        .until("every kind", |h| {
            let n = |s| h.seqs(s).len();
            let documents = |s| DocumentKind::ALL.into_iter().filter(|kind| kind.stream() == s).count();
            (n("telemetry"), n("registry"), n("gap")) == (3, 2, 1)
                && n("event") == 7 + documents(Stream::Event)
                && n("alarm") == 1 + documents(Stream::Alarm)
                && n("passage") == documents(Stream::Passage)
                && n("report") == documents(Stream::Report)
        })
        .await;
    gateway.task.abort();
    platform.until("the last will", |h| h.states.last().is_some_and(|s| s["state"] == "offline")).await;
    let held = platform.held.lock().unwrap();
    let schema = |topic: &str| if topic.ends_with("/state") { "state.schema.json" } else { "envelope.schema.json" };
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let messages: Vec<_> = held.envelopes.iter().map(|(t, m)| (schema(t).to_owned(), text(m))).collect();
    assert!(messages.iter().any(|(_, m)| m.contains("\"part\":")), "the large revision travels in parts");
    assert!(messages.iter().all(|(_, m)| m.len() <= 16 << 10));
    assert!(fit(&python, &messages));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_accepted_downwards_fits_and_what_does_not_fit_is_refused() {
    let Some(python) = python() else { return skip("no Python with jsonschema") };
    let ack = format!("{{\"epoch\":\"{EPOCH}\",\"stream\":\"gap\",\"stored\":[[1,3]]}}");
    let key = CommandKey { id: "k1".into(), secret: b"sixteen bytes at least".to_vec(), issuer: "city".into() };
    let command = signed_command(&key, "c-1", "resend", "{\"stream\":\"telemetry\",\"from\":1,\"to\":9}");
    let good = [("ack.schema.json".to_owned(), ack), ("command.schema.json".to_owned(), command)];
    assert!(fit(&python, &good));
    for (name, args, fits) in [
        ("inside", "{}", true),
        ("inside", r#"{"zone":"core","skip":200}"#, true),
        ("inside", r#"{"skip":-1}"#, false),
        ("attachment", r#"{"passage":"g.1.7","kind":"plate"}"#, true),
        ("attachment", r#"{"passage":"g.1.7","kind":"face"}"#, false),
        ("hazard_listing", LIST, true),
        ("hazard_listing", r#"{"hazard":"hz-1-1","unlist":"验收合格"}"#, true),
        ("hazard_listing", r#"{"hazard":"hz-1-1"}"#, false),
        ("hazard_listing", r#"{"hazard":"hz-1-1","list":{"level":"village","body":"b","notice":"2026-11-24"}}"#, false),
    ] {
        let command = signed_command(&key, "c-1", name, args);
        assert_eq!(fit(&python, &[("command.schema.json".to_owned(), command)]), fits, "{name} {args}");
    }
    for bad in [
        "{\"epoch\":\"e\",\"stream\":\"weather\",\"stored\":[]}",
        "{\"epoch\":\"e\",\"stream\":\"gap\",\"stored\":[[0,1]]}",
    ] {
        assert!(!fit(&python, &[("ack.schema.json".to_owned(), bad.to_owned())]), "{bad}");
    }
    let short = "{\"v\":1,\"gateway\":\"g\",\"records\":[]}".to_owned();
    assert!(!fit(&python, &[("envelope.schema.json".to_owned(), short)]));
}
