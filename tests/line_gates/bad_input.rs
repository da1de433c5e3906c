//! Bad input through the running gateway: forged, replayed, unsure and impossible plates, pictures too large, a file of permits
//! with every mistake. Each is refused, explained and counted, nothing moves, and the next honest vehicle is let in.

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};

use parkgate::lane::coding::{Key, Password, hex, sha256};
use parkgate::lane::isapi::http::{Challenge, Request};
use parkgate::lane::vzenith::answer::NO_MOVE;
use parkgate::sim::gatehouse::module::Plant;
use serde_json::{Value, json};

use super::support::process::Gateway;
use super::support::root;
use super::support::wait::{SOON, eventually, now, wall_ms};
use super::yard::{KNOWN, Plan, SIGNED_WITH, Yard, drives_through, ended, is, other, shows};

/// What is counted at the doors that devices call.
const CALLS: &str = "parkgate_gate_calls_total";
/// Bytes of a picture that no push may carry, as base64.
const PICTURE: usize = 10 << 20;

/// Posts to the cameras' door; returns status, challenge and body of the answer.
pub(crate) fn post(yard: &Yard, path: &str, headers: &[(&str, &str)], body: &[u8]) -> (u16, String, String) {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, yard.cameras)).unwrap();
    stream.set_read_timeout(Some(SOON)).unwrap();
    let more: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let length = body.len();
    write!(
        stream,
        "POST {path} HTTP/1.1\r\nHost: gateway\r\nConnection: close\r\nContent-Type: application/json\r\n\
         Content-Length: {length}\r\n{more}\r\n"
    )
    .unwrap();
    stream.write_all(body).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split_whitespace().nth(1).unwrap().parse().unwrap();
    let challenge = head.lines().find_map(|line| {
        let (name, value) = line.split_once(": ")?;
        name.eq_ignore_ascii_case("www-authenticate").then(|| value.to_owned())
    });
    (status, challenge.unwrap_or_default(), body.to_owned())
}

/// A push of a plate as a camera makes it, changed by `more`.
pub(crate) fn plate(serial: &str, number: u64, plate: &str, more: &[(&str, Value)]) -> String {
    let mut result = json!({
        "license": plate, "colorType": 1, "type": 1, "confidence": 97, "direction": 4, "plateid": number, "isoffline": 0,
        "is_fake_plate": 0, "triggerType": 8, "timeStamp": { "Timeval": { "sec": wall_ms() / 1000, "usec": 0 } },
    });
    for (name, value) in more {
        result[*name] = value.clone();
    }
    json!({ "AlarmInfoPlate": { "channel": 0, "serialno": serial, "result": { "PlateResult": result } } }).to_string()
}

/// The camera `cam-in`, as somebody makes it who speaks its protocol by himself.
struct Own<'a> {
    yard: &'a Yard,
    challenge: Challenge,
    proof: String,
}

impl<'a> Own<'a> {
    const PATH: &'static str = "/vzenith/cam-in";

    fn asked(yard: &'a Yard) -> Self {
        let (status, challenge, _) = post(yard, Self::PATH, &[], b"{}");
        assert_eq!(status, 401);
        Self { yard, challenge: Challenge::parse(&challenge).unwrap(), proof: String::new() }
    }

    /// Pushes with a proof of its own; returns status and body of the answer.
    fn push(&mut self, password: &str, body: &[u8]) -> (u16, String) {
        let request = Request { method: "POST", path: Self::PATH, host: "gateway", body: "" };
        self.proof = self.challenge.answer(&request, "cam", &Password::new(password), "c0ffee");
        self.again(body)
    }

    /// The same proof once more.
    fn again(&self, body: &[u8]) -> (u16, String) {
        let (status, _, answer) = post(self.yard, Self::PATH, &[("Authorization", &self.proof)], body);
        (status, answer)
    }

    fn honest(&mut self, body: &str) -> (u16, String) {
        self.push("x7Kp-221b", body.as_bytes())
    }
}

/// A signed push of `cam-key`.
fn signed(yard: &Yard, key: &str, at_ms: i64, nonce: &str, body: &str) -> u16 {
    let (path, time) = ("/vzenith/cam-key", at_ms.to_string());
    let message = format!("POST\n{path}\n{time}\n{nonce}\n{}", sha256(body.as_bytes()));
    let signature = hex(&Key::new(key.as_bytes()).sign(message.as_bytes()));
    let headers =
        [("X-Parkgate-Time", time.as_str()), ("X-Parkgate-Nonce", nonce), ("X-Parkgate-Signature", &signature)];
    post(yard, path, &headers, body.as_bytes()).0
}

fn counted(gateway: &Gateway, what: &str, n: f64) {
    let label = format!("what=\"{what}\"");
    eventually(SOON, &format!("{n} {what} are counted"), || {
        gateway.metric(CALLS, &["door=\"cameras\"", &label]) == Some(n)
    });
}

/// The reasons of each decision that did not let somebody in.
fn refused_for(yard: &Yard) -> Vec<Vec<Value>> {
    let decisions = yard.city.objects("passage", "decision").into_iter();
    let refused = decisions.filter(|decision| decision["verdict"] != "allow");
    refused.map(|decision| decision["reasons"].as_array().cloned().unwrap_or_default()).collect()
}

/// A reason says itself in both languages.
fn is_explained(reason: &Value) -> bool {
    let says = |language: &str| reason[language].as_str().unwrap_or_default().to_owned();
    !says("zh").is_ascii() && says("en").chars().filter(char::is_ascii_alphabetic).count() > 3
}

/// The page shows why, with its code and in both languages, and what came from the field as text.
fn guard_sees(gateway: &Gateway, code: &str, reason: &Value) {
    let text = |language: &str| reason[language].as_str().unwrap().replace('<', "&lt;").replace('>', "&gt;");
    guard_reads(gateway, &[code.to_owned(), text("zh"), text("en")]);
}

/// The page shows these words, and nothing that runs.
fn guard_reads(gateway: &Gateway, words: &[String]) {
    let mut last = String::new();
    let began = now();
    while !words.iter().all(|words| last.contains(words.as_str())) {
        assert!(began.elapsed() < SOON, "{words:?} never on the page: {last}");
        last = gateway.get("/gates").map(|(_, html)| html).unwrap_or_default();
        assert!(!last.to_lowercase().contains("<script>alert"), "{last}");
    }
}

#[test]
fn forged_replayed_unsure_and_impossible_pushes_are_refused_explained_and_counted_and_the_next_vehicle_is_let_in() {
    let Some(yard) = Yard::set_with(Plan { signs: true, ..Plan::default() }) else { return };
    let gateway = yard.gateway();
    let mut camera = yard.camera("cam-in");
    yard.heard(&mut camera);
    is(&yard.east_in, "the module is read", |plant| plant.reads > 3);
    let known = |number| plate("g-cam-in", number, KNOWN, &[]);

    // Forged: a wrong password, a wrong key, another camera's number, a camera that is none.
    let mut own = Own::asked(&yard);
    assert_eq!(own.push("guess", known(1).as_bytes()).0, 403);
    assert_eq!(signed(&yard, "a key of somebody else's", wall_ms(), "n1", &plate("cam-key", 1, KNOWN, &[])), 403);
    counted(&gateway, "wrong_proof", 2.0);
    // It was not heard yet, and its lane says why.
    guard_reads(&gateway, &["（cam-key）：推送被拒：用户、密码或签名不对".to_owned()]);
    own.honest(&plate("g-cam-out", 2, KNOWN, &[]));
    counted(&gateway, "strangers", 1.0);
    assert_eq!(post(&yard, "/vzenith/nobody", &[], known(3).as_bytes()).0, 404);
    counted(&gateway, "nowhere", 1.0);

    // Replayed: a proof that was used, a signed push that was, one that is an hour old.
    let heartbeat = json!({ "heartbeat": {} }).to_string();
    own.honest(&heartbeat);
    counted(&gateway, "no_push", 1.0);
    assert_eq!(own.again(known(4).as_bytes()).0, 403);
    let nothing = json!({}).to_string();
    signed(&yard, SIGNED_WITH, wall_ms(), "n2", &nothing);
    counted(&gateway, "no_push", 2.0);
    assert_eq!(signed(&yard, SIGNED_WITH, wall_ms(), "n2", &nothing), 403);
    counted(&gateway, "replayed", 2.0);
    assert_eq!(signed(&yard, SIGNED_WITH, wall_ms() - 3_600_000, "n3", &plate("cam-key", 5, KNOWN, &[])), 403);
    counted(&gateway, "out_of_window", 1.0);

    // Whoever signs properly is heard: the lane has both of its cameras from here on.
    let beat = json!({ "heartbeat": { "serialno": "cam-key" } }).to_string();
    assert_eq!(signed(&yard, SIGNED_WITH, wall_ms(), "n4", &beat), 200);

    // A picture of 10 MB: refused as it comes; the camera is told so.
    let mut large = known(6);
    large.truncate(large.len() - 1);
    large += &format!(",\"x\":\"{}\"}}", "A".repeat(PICTURE));
    assert_eq!(own.honest(&large).0, 413);
    counted(&gateway, "too_large", 1.0);

    // Unsure and impossible: at best a person decides, and is told why.
    let (one, another) = (other(2), other(3));
    let unsure = [
        (one.as_str(), vec![("confidence", json!(41))], "PLATE_UNREADABLE"),
        ("_无_", vec![], "PLATE_UNREADABLE"),
        ("皖RO0I23", vec![], "PLATE_FAKE"),
        ("ABC", vec![], "PLATE_FAKE"),
        // What is longer than any plate is cut.
        ("<script>alert(1)</script>", vec![], "PLATE_FAKE"),
        (another.as_str(), vec![("is_fake_plate", json!(1))], "PLATE_FAKE"),
    ];
    for (n, (shown, more, code)) in unsure.into_iter().enumerate() {
        shows(&yard.east_in, |plant| plant.approach = true);
        let (status, answer) = own.honest(&plate("g-cam-in", 10 + n as u64, shown, &more));
        assert_eq!((status, answer.as_str()), (200, NO_MOVE), "{shown} {more:?}");
        eventually(SOON, &format!("{shown} is not let in"), || refused_for(&yard).len() == n + 1);
        let told = refused_for(&yard)[n].clone();
        let reason = told.iter().find(|reason| reason["code"] == code);
        let reason = reason.unwrap_or_else(|| panic!("{shown} {more:?}: {told:?}"));
        assert!(is_explained(reason), "{reason}");
        guard_sees(&gateway, code, reason);
        if shown.starts_with('<') {
            let html = gateway.get("/gates").unwrap().1;
            assert!(html.contains("&lt;SCRIPT&gt;ALERT(1)"), "{html}");
        }
        shows(&yard.east_in, |plant| plant.approach = false);
        yard.phase("east-in", "idle");
    }

    counted(&gateway, "plates", 6.0);

    // Numbers and texts beyond any measure.
    let beyond =
        plate("g-cam-in", u64::MAX, &"皖".repeat(100_000), &[("confidence", json!(-1e300)), ("type", json!([]))]);
    assert!(!own.honest(&beyond).1.contains("\"ok\""));
    counted(&gateway, "no_push", 3.0);
    own.honest("{\"AlarmInfoPlate\":");
    counted(&gateway, "no_push", 4.0);

    let plant = yard.east_in.as_ref().unwrap().look();
    assert_eq!(plant.pulses, [0; 3], "nothing moved");

    // A file of permits with every mistake, while it runs.
    every_mistake_is_told(&yard);

    // The next honest vehicle is let in.
    yard.phase("east-in", "idle");
    let mut camera = yard.camera("cam-in");
    camera.clock += 60;
    yard.heard(&mut camera);
    shows(&yard.east_in, |plant| plant.approach = true);
    let passages = yard.passages("east-in").len();
    yard.sees(&mut camera, &other(1));
    drives_through(&yard.east_in);
    is(&yard.east_in, "the arm is down again", |plant| plant.pulses == [1, 1, 0] && Plant::is_down(plant));
    ended(&yard, "east-in", passages + 1, "crossed");
    assert_eq!(gateway.sigterm(), Some(0));
}

/// Every row that the golden list of the file names is named, nothing is imported of it, and its good rows are where that is asked
/// for.
fn every_mistake_is_told(yard: &Yard) {
    let of = |name: &str| fs::read_to_string(root().join("tests/fixtures/register").join(name)).unwrap();
    let (file, golden) = (of("permits-mistakes.csv"), of("permits-mistakes.txt"));
    let row = |line: &str| line.split_once("permits-mistakes.csv:")?.1.split(':').next()?.parse::<u32>().ok();
    // Its last row is one of the platform's, of which this register knows nothing.
    let last = u32::try_from(file.lines().count()).unwrap();
    // And one names a company that nobody knows but this register.
    let is_bad_here = |row: &u32| *row < last && *row != 3;
    let bad: BTreeSet<u32> = golden.lines().filter_map(row).filter(is_bad_here).collect();
    assert!(bad.len() > 30, "{bad:?}");
    let before = yard.stands()["register_rev"].clone();
    let refused = yard.imports("permits-mistakes.csv", &file, &[]);
    assert!(!refused.status.success());
    let told = String::from_utf8_lossy(&refused.stderr).into_owned();
    let lines = |language: &str| told.lines().filter(|line| line.contains(language)).count();
    assert!(lines("错误") >= bad.len() && lines("error: ") >= bad.len(), "each in both languages: {told}");
    let rows: BTreeSet<u32> = told.lines().filter_map(row).collect();
    assert!(bad.is_subset(&rows), "not told: {:?} of {told}", bad.difference(&rows));
    assert_eq!(yard.stands()["register_rev"], before, "nothing was imported");
    let partial = yard.imports("permits-mistakes.csv", &file, &["--partial"]);
    let sum = String::from_utf8_lossy(&partial.stdout).into_owned();
    assert!(partial.status.success() && sum.contains("拒绝"), "{sum}");
    assert_ne!(yard.stands()["register_rev"], before, "its good rows were");
}
