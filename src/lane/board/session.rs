//! Sends signs to a board. The newest counts: a sign that is still waiting when another comes is not shown any more.

use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::frame::sign;
use crate::clock::Clock;
use crate::domain::gate::hardware::{Act, Carried, LaneCommand, LaneDevice, LaneEvent, LaneReceipt, Seen};
use crate::domain::gate::word::LaneId;

/// A board.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Board {
    /// Its id in the configuration.
    pub device: String,
    /// Its lane.
    pub lane: LaneId,
    /// Host and port of its converter.
    pub host: String,
    /// Time for connecting and for writing.
    pub within: Duration,
}

/// Runs a board until `stop`, or until nobody listens any more.
pub async fn run(
    board: Board,
    mut commands: mpsc::Receiver<LaneCommand>,
    events: mpsc::Sender<LaneEvent>,
    receipts: mpsc::Sender<LaneReceipt>,
    clock: Clock,
    stop: CancellationToken,
) {
    let (mut link, mut up) = (None, None);
    loop {
        let command = tokio::select! {
            biased;
            () = stop.cancelled() => return,
            command = commands.recv() => command,
        };
        let Some(mut command) = command else { return };
        let mut done = Vec::new();
        while let Ok(newer) = commands.try_recv() {
            let older = std::mem::replace(&mut command, newer);
            done.push((older, Carried::Refused("有更新的内容 / a newer sign came".to_owned())));
        }
        let carried = carry(&board, &command, &mut link, &clock).await;
        let heard = !matches!(carried, Carried::Failed(_));
        if up.replace(heard) != Some(heard) {
            let why = if let Carried::Failed(why) = &carried { why.clone() } else { String::new() };
            let what = Seen::Device { device: board.device.clone(), kind: LaneDevice::Board, up: heard, why };
            if events.send(LaneEvent { lane: board.lane.clone(), at: clock.mono(), what }).await.is_err() {
                return;
            }
        }
        done.push((command, carried));
        for (LaneCommand { key, lane, .. }, carried) in done {
            if receipts.send(LaneReceipt { key, lane, at: clock.mono(), carried }).await.is_err() {
                return;
            }
        }
    }
}

async fn carry(board: &Board, command: &LaneCommand, link: &mut Option<TcpStream>, clock: &Clock) -> Carried {
    let Act::Show(shown) = &command.act else {
        return Carried::Refused("显示屏不能执行 / not what a board can do".to_owned());
    };
    let Some(bytes) = sign(shown) else {
        return Carried::Refused("内容为空 / nothing to show".to_owned());
    };
    // A connection that broke since the last sign is found out by the first write or the second: one more try is harmless.
    let mut why = String::new();
    for _ in 0..2 {
        if clock.mono() > command.not_after {
            return Carried::Expired;
        }
        match sent(board, link.take(), &bytes).await {
            Ok(open) => {
                *link = Some(open);
                return Carried::Sent;
            }
            Err(error) => why = error,
        }
    }
    Carried::Failed(why)
}

async fn sent(board: &Board, link: Option<TcpStream>, bytes: &[u8]) -> Result<TcpStream, String> {
    let within = board.within;
    let write = async {
        let mut stream = match link {
            Some(stream) if still_open(&stream) => stream,
            Some(_) | None => {
                TcpStream::connect(&board.host).await.map_err(|error| format!("no connection: {error}"))?
            }
        };
        stream.write_all(bytes).await.map_err(|error| error.to_string())?;
        Ok(stream)
    };
    timeout(within, write).await.unwrap_or_else(|_| Err(format!("not within {within:?}")))
}

/// Whatever a board sends is thrown away; the end of its connection is not.
fn still_open(stream: &TcpStream) -> bool {
    let mut thrown_away = [0; 256];
    loop {
        match stream.try_read(&mut thrown_away) {
            Ok(0) => return false,
            Ok(_) => {}
            Err(error) => return error.kind() == std::io::ErrorKind::WouldBlock,
        }
    }
}
