//! A simulated 臻识 camera (`domain.md` B7): pushes what it sees, sends again what is not answered, keeps records while it is
//! offline, opens by a white list of its own, and does with each answer what the vendor's rule says, whoever wrote it.

use std::collections::{BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::lane::coding::{Password, base64};
use crate::lane::isapi::http::{Answer, Challenge, Request, read};

/// What it photographs: a drawing, as a real JPEG.
const VEHICLE: &[u8] = include_bytes!("vehicle.jpg");
/// Longest comment of a JPEG, with its mark and length.
const COMMENT: usize = 65_537;
/// Times that a push is sent again.
const RESENDS: usize = 4;

/// Why its relay was pulsed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pulse {
    /// By the answer to this push, for so many milliseconds on this output.
    Answer {
        /// Its number.
        plate_id: u64,
        /// Output.
        io: u64,
        /// Length.
        ms: u64,
    },
    /// By its own list.
    OwnList(String),
}

/// The camera.
#[derive(Debug)]
pub struct SimCamera {
    to: SocketAddr,
    path: String,
    serial: String,
    user: String,
    password: Password,
    challenge: Option<Challenge>,
    next: u64,
    cache: VecDeque<(u64, i64, String)>,
    /// Plates that it opens for when its server does not answer.
    pub white_list: BTreeSet<String>,
    /// Pulses of its relay.
    pub pulses: Vec<Pulse>,
    /// It gives up an answer after this.
    pub patience: Duration,
    /// It hangs up right after each push, so many times: the answer is lost, and the push sent again.
    pub hang_ups: usize,
    /// Bytes of its pictures, at least those of the drawing that they are.
    pub picture: usize,
    /// Its picture of the plate.
    pub fragment: Vec<u8>,
    /// Its clock, seconds since 1970.
    pub clock: i64,
    /// Colour of the plates that it sees, as it codes it: 1 blue, 2 yellow.
    pub colour: u8,
}

impl SimCamera {
    /// A camera that pushes to this device's path.
    pub fn new(to: SocketAddr, device: &str, serial: &str, user: &str, password: &str, clock: i64) -> Self {
        Self {
            to,
            path: format!("/vzenith/{device}"),
            serial: serial.to_owned(),
            user: user.to_owned(),
            password: Password::new(password),
            challenge: None,
            next: 1,
            cache: VecDeque::new(),
            white_list: BTreeSet::new(),
            pulses: Vec::new(),
            patience: Duration::from_secs(10),
            hang_ups: 0,
            picture: 8000,
            fragment: VEHICLE.to_vec(),
            clock,
            colour: 1,
        }
    }

    /// The same camera, on another network: its server is there now.
    pub fn reconnected(self, to: SocketAddr) -> Self {
        Self { to, challenge: None, patience: Duration::from_secs(10), ..self }
    }

    /// Sees a plate: pushes it, again and again until it is answered; unanswered it opens by its own list and keeps a record.
    /// Returns the number of the event and the answers that came.
    pub async fn see(&mut self, plate: &str) -> (u64, Vec<String>) {
        let plate_id = self.next;
        self.next += 1;
        let (mut answers, clock) = (Vec::new(), self.clock);
        for _ in 0..=RESENDS {
            let body = self.plate(plate_id, clock, plate, false, 0);
            if let Some(answer) = self.push("application/json", body.as_bytes()).await
                && answer.status == 200
            {
                let text = String::from_utf8_lossy(&answer.body).into_owned();
                let stop = self.obey(plate_id, &text);
                answers.push(text);
                if stop {
                    return (plate_id, answers);
                }
            }
        }
        if self.white_list.contains(plate) {
            self.pulses.push(Pulse::OwnList(plate.to_owned()));
        }
        self.cache.push_back((plate_id, clock, plate.to_owned()));
        (plate_id, answers)
    }

    /// Sends the records that it kept, one after the other, as long as it is told to go on. Returns how many went out.
    pub async fn send_kept(&mut self) -> usize {
        let mut sent = 0;
        while let Some((plate_id, clock, plate)) = self.cache.front().cloned() {
            let by_own = if self.white_list.contains(&plate) { 2 } else { 0 };
            let body = self.plate(plate_id, clock, &plate, true, by_own);
            let Some(answer) = self.push("application/json", body.as_bytes()).await else { break };
            let text = String::from_utf8_lossy(&answer.body).into_owned();
            self.obey(plate_id, &text);
            let told: Value = serde_json::from_str(&text).unwrap_or_default();
            let on = told.pointer("/Response_AlarmInfoPlate/ContinuePushOffline");
            if on != Some(&json!({ "plateid": plate_id, "continue": 1 })) {
                break;
            }
            self.cache.pop_front();
            sent += 1;
        }
        sent
    }

    /// Sends the same event once more, as after an answer that was lost.
    pub async fn send_again(&mut self, plate_id: u64, plate: &str) -> Option<String> {
        let body = self.plate(plate_id, self.clock, plate, false, 0);
        let answer = self.push("application/json", body.as_bytes()).await?;
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        self.obey(plate_id, &text);
        Some(text)
    }

    /// Says that an input changed.
    pub async fn input(&mut self, source: u8, on: bool) -> Option<Answer> {
        let trigger = json!({ "TriggerResult": { "source": source, "value": u8::from(on) } });
        let body = json!({ "AlarmGioIn": { "serialno": self.serial, "result": trigger } }).to_string();
        self.push("application/json", body.as_bytes()).await
    }

    /// Says that it is there, with its password, as they do.
    pub async fn heartbeat(&mut self) -> Option<Answer> {
        let fields = [("device_name", "IVS"), ("user_name", "admin"), ("pass_wd", "secret-of-the-camera")];
        let mut body = String::new();
        for (name, value) in fields.into_iter().chain([("serialno", self.serial.as_str())]) {
            body.push_str(&format!("--B\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n"));
        }
        body.push_str("--B--\r\n");
        self.push("multipart/form-data; boundary=B", body.as_bytes()).await
    }

    fn plate(&self, plate_id: u64, clock: i64, plate: &str, offline: bool, by_own: u8) -> String {
        let result = json!({
            "license": plate, "colorType": self.colour, "type": 1, "confidence": 97, "direction": 4, "plateid": plate_id,
            "isoffline": u8::from(offline), "is_fake_plate": 0, "triggerType": 8,
            "timeStamp": { "Timeval": { "sec": clock, "usec": 0 } },
            "imageFile": base64(&jpeg(self.picture)), "imageFragmentFile": base64(&self.fragment),
            "gioouts": [{ "ionum": 0, "ctrltype": by_own }],
        });
        let inner =
            json!({ "channel": 0, "deviceName": "IVS", "serialno": self.serial, "result": { "PlateResult": result } });
        json!({ "AlarmInfoPlate": inner }).to_string()
    }

    /// Does what an answer says, by the vendor's rule. Returns whether it ends the resends.
    fn obey(&mut self, plate_id: u64, answer: &str) -> bool {
        let told: Value = serde_json::from_str(answer).unwrap_or_default();
        let Some(inner) = told.get("Response_AlarmInfoPlate") else { return false };
        if let Some(control) = inner.get("ivs_ioctrl") {
            let number = |key: &str| control.get(key).and_then(Value::as_u64).unwrap_or(0);
            if number("value") > 0 {
                self.pulses.push(Pulse::Answer { plate_id, io: number("io"), ms: number("delay") });
            }
        } else if inner.get("info") == Some(&json!("ok")) {
            self.pulses.push(Pulse::Answer { plate_id, io: 0, ms: 500 });
        }
        inner.get("content") == Some(&json!("retransfer_stop"))
    }

    /// Posts a body, with the proof that it is asked for.
    pub async fn push(&mut self, kind: &str, body: &[u8]) -> Option<Answer> {
        let answer = self.post(kind, body).await?;
        if answer.status != 401 {
            return Some(answer);
        }
        self.challenge = Some(answer.challenge.clone()?);
        self.post(kind, body).await
    }

    async fn post(&mut self, kind: &str, body: &[u8]) -> Option<Answer> {
        let request = Request { method: "POST", path: &self.path, host: "gateway", body: "" };
        let proof =
            self.challenge.as_mut().map(|challenge| challenge.answer(&request, &self.user, &self.password, "c0ffee"));
        let proof = proof.map(|proof| format!("Authorization: {proof}\r\n")).unwrap_or_default();
        let head = format!(
            "POST {} HTTP/1.1\r\nHost: gateway\r\nConnection: close\r\n{proof}Content-Type: {kind}\r\nContent-Length: {}\r\n\r\n",
            self.path,
            body.len()
        );
        let patience = self.patience;
        let hangs_up = self.challenge.is_some() && self.hang_ups > 0;
        self.hang_ups -= usize::from(hangs_up);
        let exchange = async {
            let mut stream = TcpStream::connect(self.to).await.ok()?;
            stream.write_all(head.as_bytes()).await.ok()?;
            stream.write_all(body).await.ok()?;
            if hangs_up {
                return None;
            }
            let (mut bytes, mut part) = (Vec::new(), [0; 2048]);
            loop {
                let count = stream.read(&mut part).await.ok()?;
                bytes.extend_from_slice(part.get(..count)?);
                if let Some(answer) = read(&bytes, count == 0).ok()? {
                    return Some(answer);
                }
            }
        };
        timeout(patience, exchange).await.ok().flatten()
    }
}

/// The drawing, with comments in it that bring it to this length.
fn jpeg(length: usize) -> Vec<u8> {
    let (begin, rest) = VEHICLE.split_at(2);
    let mut missing = length.saturating_sub(VEHICLE.len());
    let mut out = begin.to_vec();
    while missing >= 4 {
        let left = missing.saturating_sub(COMMENT);
        // What is left must be long enough for a comment of its own.
        let bytes = if (1..4).contains(&left) { missing - 4 } else { missing - left };
        let says = u16::try_from(bytes - 2).unwrap_or(u16::MAX);
        out.extend([0xFF, 0xFE]);
        out.extend(says.to_be_bytes());
        out.resize(out.len() + bytes - 4, b' ');
        missing -= bytes;
    }
    out.extend_from_slice(rest);
    out
}
