//! Full values follow each time the platform can be reached anew: it then holds the park as it stands, however long the
//! backlog behind it still takes.
//!
//! Watches the session that carries telemetry, and asks the engine. A link that comes and goes does not multiply the
//! traffic: the next full values are [`AT_LEAST_APART`] after the last ones.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::engine::Request;
use crate::clock::Clock;
use crate::domain::snapshot::UplinkStatus;
use crate::domain::time::Mono;
use crate::uplink::feed::Session;

/// The longest delay between two session attempts unless configured: a link that holds for less gains nothing by more.
const AT_LEAST_APART: Duration = Duration::from_secs(10);

/// Runs until `stop`, or until the engine is gone.
pub(super) async fn run(
    clock: Clock,
    mut uplink: watch::Receiver<Arc<UplinkStatus>>,
    requests: mpsc::Sender<Request>,
    stop: CancellationToken,
) -> Result<(), String> {
    let mut reconnects = Reconnects::default();
    loop {
        reconnects.look(&uplink.borrow_and_update(), clock.mono());
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            changed = uplink.changed() => if changed.is_err() {
                stop.cancelled().await;
            },
            () = clock.sleep_until_opt(reconnects.due) => {
                reconnects.answered(clock.mono());
                if requests.send(Request::Refresh).await.is_err() {
                    return Err("the engine takes no more requests".to_owned());
                }
            }
        }
    }
}

/// Which session was seen last, and when full values are due.
#[derive(Debug, Default)]
struct Reconnects {
    /// Since when the last session seen was up: that is what tells it from the one before.
    session: Option<Mono>,
    last: Option<Mono>,
    due: Option<Mono>,
}

impl Reconnects {
    fn look(&mut self, status: &UplinkStatus, now: Mono) {
        let bulk = status.sessions.iter().find(|s| s.name == Session::Bulk.as_str() && s.up);
        let Some(since) = bulk.and_then(|s| s.since) else { return };
        if self.session.replace(since) != Some(since) {
            self.due = Some(self.last.map_or(now, |last| now.max(last + AT_LEAST_APART)));
        }
    }

    fn answered(&mut self, now: Mono) {
        self.due = None;
        self.last = Some(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::snapshot::SessionStatus;

    fn bulk(up: bool, since: u64) -> UplinkStatus {
        let session =
            |name| SessionStatus { name, up, since: Some(Mono::from_secs(since)), ..SessionStatus::default() };
        UplinkStatus { sessions: vec![session("urgent"), session("bulk")], ..UplinkStatus::default() }
    }

    #[test]
    fn each_session_asks_once_and_one_that_flaps_not_more_than_each_ten_seconds() {
        let mut reconnects = Reconnects::default();
        let mut asked = Vec::new();
        for secs in 0..60 {
            let status = match secs {
                0..3 => UplinkStatus::default(),
                3..20 => bulk(true, 3),
                // Up and down each second.
                20..30 => bulk(secs % 2 == 0, secs),
                30..45 => bulk(false, 29),
                _ => bulk(true, 45),
            };
            let now = Mono::from_secs(secs);
            reconnects.look(&status, now);
            if reconnects.due.is_some_and(|due| due <= now) {
                reconnects.answered(now);
                asked.push(secs);
            }
        }
        assert_eq!(asked, [3, 20, 30, 45]);
    }

    #[tokio::test]
    async fn the_engine_is_asked_when_the_session_comes_up_again() {
        let status = watch::Sender::new(Arc::new(UplinkStatus::default()));
        let (requests, mut asked) = mpsc::channel(4);
        let stop = CancellationToken::new();
        let running = run(Clock::system(), status.subscribe(), requests, stop.clone());
        let story = async {
            status.send_replace(Arc::new(bulk(true, 1)));
            assert!(matches!(asked.recv().await, Some(Request::Refresh)));
            stop.cancel();
        };
        let (ended, ()) = tokio::join!(running, story);
        assert_eq!(ended, Ok(()));
        assert!(asked.recv().await.is_none(), "asked once");
    }
}
