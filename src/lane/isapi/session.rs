//! Drives a barrier by ISAPI and says how it stands.
//!
//! - One request at a time, on a connection of its own. A command goes before the next look.
//! - **Never late**: nothing is sent after a command's end, also not the second request that digest asks for. A request that
//!   was sent and not answered is [`Carried::Unanswered`], and never sent again.
//! - `200` is [`Carried::Sent`]: a device in its `lock` state says that too, and does nothing. How the arm stands is asked
//!   every [`LOOK_EVERY`], and is what tells.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::super::coding::{Password, hex};
use super::barrier::{Profile, status};
use super::http::{Answer, Challenge, MAX_ANSWER, Request, read, written};
use crate::clock::Clock;
use crate::domain::gate::hardware::{Act, ArmState, Carried, LaneCommand, LaneDevice, LaneEvent, LaneReceipt, Seen};
use crate::domain::gate::word::LaneId;
use crate::domain::time::Mono;

/// How often the barrier is asked how it stands; an arm takes 1 to 6 s.
pub const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Looks without an answer after which the device is down: 3 s at most with the pause between them.
const LOST_AFTER: u32 = 3;

/// A barrier.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Barrier {
    /// Its id in the configuration.
    pub device: String,
    /// Its lane.
    pub lane: LaneId,
    /// Host and port.
    pub address: String,
    /// What is sent to it.
    pub profile: Profile,
    /// User.
    pub user: String,
    /// Password.
    pub password: Password,
    /// Time for one request.
    pub within: Duration,
}

/// Runs a barrier until `stop`, or until nobody listens any more.
pub async fn run(
    barrier: Barrier,
    mut commands: mpsc::Receiver<LaneCommand>,
    events: mpsc::Sender<LaneEvent>,
    receipts: mpsc::Sender<LaneReceipt>,
    clock: Clock,
    stop: CancellationToken,
) {
    let mut link = Link { barrier, challenge: None, clock: clock.clone() };
    let (mut up, mut misses, mut look_at) = (None, 0_u32, clock.mono());
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            command = commands.recv() => {
                let Some(command) = command else { return };
                let carried = link.carry(&command).await;
                let receipt = LaneReceipt { key: command.key, lane: command.lane, at: clock.mono(), carried };
                if receipts.send(receipt).await.is_err() {
                    return;
                }
            }
            () = clock.sleep_until(look_at) => {
                let looked = link.look().await;
                look_at = clock.mono() + LOOK_EVERY;
                misses = if looked.is_ok() { 0 } else { misses.saturating_add(1) };
                let mut said = Vec::new();
                let (is_up, why) = match &looked {
                    Ok(_) => (true, String::new()),
                    Err(why) => (up == Some(true) && misses < LOST_AFTER, why.clone()),
                };
                if up != Some(is_up) {
                    up = Some(is_up);
                    let device = link.barrier.device.clone();
                    said.push(Seen::Device { device, kind: LaneDevice::Barrier, up: is_up, why });
                }
                if link.barrier.profile.status.is_some() {
                    said.push(Seen::Barrier(looked.unwrap_or(ArmState::Unknown)));
                }
                for what in said {
                    let event = LaneEvent { lane: link.barrier.lane.clone(), at: clock.mono(), what };
                    if events.send(event).await.is_err() {
                        return;
                    }
                }
            }
        }
    }
}

struct Link {
    barrier: Barrier,
    challenge: Option<Challenge>,
    clock: Clock,
}

/// Why there is no answer.
enum Fault {
    /// Nothing was sent: its time was over.
    TooLate,
    /// Nothing was sent.
    NotSent(String),
    /// It was sent, and nothing that is an answer came.
    Unanswered(String),
}

impl Link {
    async fn carry(&mut self, command: &LaneCommand) -> Carried {
        let profile = self.barrier.profile.clone();
        let body = match &command.act {
            Act::Open { .. } => Some(profile.open),
            Act::Close => Some(profile.close),
            Act::Stop => profile.stop,
            Act::HoldOpen | Act::EndHold | Act::Dismiss { .. } | Act::Show(_) => None,
        };
        let Some(body) = body else {
            return Carried::Refused("道闸无此命令 / not a command of this barrier".to_owned());
        };
        match self.ask("PUT", &profile.control, &body, Some(command.not_after)).await {
            Ok(answer) if answer.status == 200 => Carried::Sent,
            Ok(answer) => Carried::Failed(format!("道闸拒绝 / the barrier answered {}", answer.status)),
            Err(Fault::TooLate) => Carried::Expired,
            Err(Fault::NotSent(why)) => Carried::Failed(why),
            Err(Fault::Unanswered(why)) => Carried::Unanswered(why),
        }
    }

    async fn look(&mut self) -> Result<ArmState, String> {
        let path = self.barrier.profile.status.clone();
        // Without a status the control's own path tells whether the device is there.
        let (path, reads) = path.map_or((self.barrier.profile.control.clone(), false), |path| (path, true));
        match self.ask("GET", &path, "", None).await {
            Ok(answer) if answer.status == 200 && reads => Ok(status(&answer.body)),
            Ok(answer) if answer.status == 401 => Err("用户名或密码不对 / wrong user or password".to_owned()),
            Ok(answer) if reads => Err(format!("状态查询应答 {} / the status was answered so", answer.status)),
            Ok(_) => Ok(ArmState::Unknown),
            Err(Fault::NotSent(why) | Fault::Unanswered(why)) => Err(why),
            Err(Fault::TooLate) => Err("no time".to_owned()),
        }
    }

    /// Asks, and once more with the proof when it is asked for: what was answered with a challenge was not done.
    async fn ask(&mut self, method: &str, path: &str, body: &str, before: Option<Mono>) -> Result<Answer, Fault> {
        let host = self.barrier.address.clone();
        let request = Request { method, path, host: &host, body };
        let proof = self.proof(&request);
        let answer = self.once(&request, proof.as_deref(), before).await?;
        if answer.status != 401 {
            return Ok(answer);
        }
        let Some(challenge) = answer.challenge.clone() else { return Ok(answer) };
        self.challenge = Some(challenge);
        let proof = self.proof(&request);
        self.once(&request, proof.as_deref(), before).await
    }

    fn proof(&mut self, request: &Request<'_>) -> Option<String> {
        let cnonce = hex(&self.clock.mono().nanos().to_be_bytes());
        let (user, password) = (&self.barrier.user, &self.barrier.password);
        self.challenge.as_mut().map(|challenge| challenge.answer(request, user, password, &cnonce))
    }

    async fn once(&self, request: &Request<'_>, proof: Option<&str>, before: Option<Mono>) -> Result<Answer, Fault> {
        let late = || before.is_some_and(|before| self.clock.mono() > before);
        if late() {
            return Err(Fault::TooLate);
        }
        let within = self.barrier.within;
        let stream = match timeout(within, TcpStream::connect(&self.barrier.address)).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return Err(Fault::NotSent(format!("no connection: {error}"))),
            Err(_) => return Err(Fault::NotSent(format!("no connection within {within:?}"))),
        };
        // What the network did not take in time is thrown away with the connection.
        let socket = socket2::SockRef::from(&stream);
        let prepared = stream.set_nodelay(true).and_then(|()| socket.set_linger(Some(Duration::ZERO)));
        prepared.map_err(|error| Fault::NotSent(format!("no connection: {error}")))?;
        if late() {
            return Err(Fault::TooLate);
        }
        match timeout(within, exchanged(stream, &written(request, proof))).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(why)) => Err(Fault::Unanswered(why)),
            Err(_) => Err(Fault::Unanswered(format!("no answer within {within:?}"))),
        }
    }
}

async fn exchanged(mut stream: TcpStream, request: &[u8]) -> Result<Answer, String> {
    stream.write_all(request).await.map_err(|error| error.to_string())?;
    let (mut bytes, mut part) = (Vec::new(), [0; 2048]);
    loop {
        let count = stream.read(&mut part).await.map_err(|error| error.to_string())?;
        bytes.extend_from_slice(part.get(..count).unwrap_or_default());
        if let Some(answer) = read(&bytes, count == 0)? {
            return Ok(answer);
        }
        if bytes.len() > MAX_ANSWER {
            return Err("longer than an answer is".to_owned());
        }
    }
}
