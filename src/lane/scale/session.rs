//! Reads a weighbridge and says its weight: at each change, and once a second while it stands.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::super::modbus::request::{Reply, Request};
use super::super::modbus::session::Link;
use super::{Scale, Stillness, shown};
use crate::clock::Clock;
use crate::domain::gate::hardware::{LaneDevice, LaneEvent, Seen, Weight};

/// How often it is read: a truck takes seconds to stand.
const READ_EVERY: Duration = Duration::from_millis(200);
/// A weight that stays is said again after this.
const REPEAT: Duration = Duration::from_secs(1);
/// Pause after a connection that failed.
const RETRY: Duration = Duration::from_secs(1);
/// From 0 to the state word.
const REGISTERS: u16 = 5;

/// Runs a weighbridge until `stop`, or until nobody listens any more.
pub async fn run(scale: Scale, events: mpsc::Sender<LaneEvent>, clock: Clock, stop: CancellationToken) {
    let (mut bridge, mut link) = (Stillness::new(scale.rule), None);
    let (mut said, mut said_at, mut up) = (None, clock.mono(), None);
    let request = Request::Read { function: 3, start: 0, count: REGISTERS };
    while !stop.is_cancelled() {
        let asked = async {
            let open = match link.take() {
                Some(open) => open,
                None => Link::connect(&scale.address).await?,
            };
            let (open, reply) = open.ask(&request).await?;
            match reply {
                Reply::Words(words) => Ok((open, shown(&words))),
                Reply::Exception(code) => Err(format!("exception {code:02X}")),
                Reply::Bits(_) | Reply::Written => Err("an answer of another kind".to_owned()),
            }
        };
        let (read, why): (_, String) = match asked.await {
            Ok((open, read)) => {
                link = Some(open);
                (read, String::new())
            }
            Err(why) => (None, why),
        };
        let (now, heard) = (clock.mono(), link.is_some());
        let weight = bridge.judge(read, now);
        let mut news = Vec::new();
        if up.replace(heard) != Some(heard) {
            news.push(Seen::Device { device: scale.device.clone(), kind: LaneDevice::Scale, up: heard, why });
        }
        if said != Some(weight) || (weight != Weight::Dead && now.since(said_at) >= REPEAT) {
            (said, said_at) = (Some(weight), now);
            news.push(Seen::Weight(weight));
        }
        for what in news {
            if events.send(LaneEvent { lane: scale.lane.clone(), at: now, what }).await.is_err() {
                return;
            }
        }
        let pause = if heard { READ_EVERY } else { RETRY };
        tokio::select! {
            () = stop.cancelled() => {}
            () = clock.sleep_until(now + pause) => {}
        }
    }
}
