//! Sends attachments one after another, each request over a connection of its own.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use super::{Answer, Attachment, Ended, Inputs, MAX_ANSWER, Shelf, head, judge, may_send, part_of};
use crate::domain::time::Mono;
use crate::mqtt::tls::{Line, connect};

/// How often it is looked for one where there was none.
const LOOK: Duration = Duration::from_secs(1);
/// Time for TCP and TLS.
const CONNECT: Duration = Duration::from_secs(10);
/// Time for a slice to go, and for the answer to come.
const PATIENCE: Duration = Duration::from_secs(30);
/// Bytes that are written at once: at the usual pace a quarter of a second.
const SLICE: usize = 16 << 10;
/// First pause after trouble; doubles up to the longest.
const PAUSE: Duration = Duration::from_secs(1);
/// Longest pause: an outage costs a request a minute.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// So often the platform may say "not now" to one attachment before others come first: it may be about this one alone.
const PATIENT_FOR: u32 = 3;

/// Sends until `stop` is cancelled.
pub async fn run<S: Shelf>(inputs: Inputs<S>) {
    let stop = inputs.stop.clone();
    tokio::select! {
        biased;
        () = stop.cancelled() => {}
        () = Sender { inputs, stands: None, pause: PAUSE, put_off: None }.serve() => {}
    }
}

struct Sender<S> {
    inputs: Inputs<S>,
    /// How far the one has come that was under way last.
    stands: Option<(String, usize)>,
    pause: Duration,
    /// To which one "not now" was said last, and how often.
    put_off: Option<(String, u32)>,
}

impl<S: Shelf> Sender<S> {
    async fn serve(mut self) {
        loop {
            if self.turn().await.is_err() {
                // The uplink is gone, and nobody will say that the line is there.
                return;
            }
            let Some(next) = self.inputs.shelf.next().await else {
                self.wait(LOOK).await;
                continue;
            };
            match self.send_part(&next).await {
                Answer::Taken => self.taken(next).await,
                Answer::FromTheFirst if self.from(&next) > 0 => self.stands = None,
                Answer::FromTheFirst => self.trouble("the platform lacks parts before the first").await,
                Answer::Never(status) => {
                    tracing::warn!(sha256 = next.sha256, status, "The platform refuses a picture for good.");
                    (self.stands, self.pause) = (None, PAUSE);
                    self.inputs.shelf.ended(next.sha256, Ended::Refused).await;
                }
                Answer::NotNow(status) => self.not_now(next.sha256, status).await,
                Answer::Trouble(why) => self.trouble(&why).await,
            }
        }
    }

    /// Waits until nothing that matters more waits.
    async fn turn(&mut self) -> Result<(), tokio::sync::watch::error::RecvError> {
        self.inputs.status.wait_for(|status| may_send(status)).await.map(drop)
    }

    fn from(&self, next: &Attachment) -> usize {
        self.stands.as_ref().filter(|(sha256, _)| *sha256 == next.sha256).map_or(0, |(_, from)| *from)
    }

    async fn taken(&mut self, next: Attachment) {
        self.pause = PAUSE;
        let part = part_of(next.bytes.len(), self.from(&next));
        if part.end < next.bytes.len() {
            self.stands = Some((next.sha256, part.end));
            return;
        }
        self.stands = None;
        self.inputs.shelf.ended(next.sha256, Ended::Held).await;
    }

    /// A platform that cannot take one of them may take the others.
    async fn not_now(&mut self, sha256: String, status: u16) {
        let before = self.put_off.take().filter(|(of, _)| *of == sha256).map_or(0, |(_, times)| times);
        if before + 1 < PATIENT_FOR {
            self.put_off = Some((sha256, before + 1));
            return self.trouble(&format!("the platform answers {status}")).await;
        }
        tracing::warn!(sha256, status, "The platform does not take a picture; others come first.");
        self.stands = None;
        self.inputs.shelf.ended(sha256, Ended::Aside).await;
    }

    async fn trouble(&mut self, why: &str) {
        if self.pause == PAUSE {
            // The first of a row; an outage is not told each minute.
            tracing::warn!(%why, "Pictures do not reach the platform; they are tried again.");
        }
        self.wait(self.pause).await;
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
    }

    async fn wait(&self, time: Duration) {
        let until = self.inputs.clock.mono() + time;
        self.inputs.clock.sleep_until(until).await;
    }

    async fn send_part(&self, next: &Attachment) -> Answer {
        let settings = &self.inputs.settings;
        let (park, gateway) = &self.inputs.of;
        let part = part_of(next.bytes.len(), self.from(next));
        let head = head(settings, (park, gateway), &next.sha256, &part, next.bytes.len());
        let body = next.bytes.get(part).unwrap_or_default();
        match timeout(CONNECT, connect(&settings.host, settings.port, settings.tls.as_ref())).await {
            Ok(Ok(stream)) => self.exchange(stream, head.as_bytes(), body).await,
            Ok(Err(why)) => Answer::Trouble(why),
            Err(_) => Answer::Trouble("no connection within the time allowed".to_owned()),
        }
    }

    /// Writes a request at the pace configured, and reads the answer. One that comes early, while the platform does not want the
    /// rest, counts as well.
    async fn exchange(&self, mut stream: Box<dyn Line>, head: &[u8], body: &[u8]) -> Answer {
        let written = self.write(&mut stream, head, body).await;
        let mut answer = Vec::new();
        let read = timeout(PATIENCE, (&mut stream).take(MAX_ANSWER as u64).read_to_end(&mut answer)).await;
        match (answer.is_empty(), written, read) {
            (false, ..) => judge(&answer),
            (true, Err(why), _) => Answer::Trouble(why),
            (true, Ok(()), Ok(Err(error))) => Answer::Trouble(error.to_string()),
            (true, Ok(()), Ok(Ok(_)) | Err(_)) => Answer::Trouble("no answer".to_owned()),
        }
    }

    async fn write(&self, stream: &mut Box<dyn Line>, head: &[u8], body: &[u8]) -> Result<(), String> {
        let clock = &self.inputs.clock;
        let began: Mono = clock.mono();
        let mut sent = 0_usize;
        for slice in std::iter::once(head).chain(body.chunks(SLICE)) {
            let all = async {
                stream.write_all(slice).await?;
                stream.flush().await
            };
            match timeout(PATIENCE, all).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => return Err(error.to_string()),
                Err(_) => return Err("the platform takes no bytes".to_owned()),
            }
            sent = sent.saturating_add(slice.len());
            clock.sleep_until(began + due(sent, self.inputs.settings.rate)).await;
        }
        Ok(())
    }
}

/// Returns how long so many bytes take at this rate.
fn due(bytes: usize, rate: u32) -> Duration {
    let ms = u64::try_from(bytes).unwrap_or(u64::MAX).saturating_mul(1000) / u64::from(rate.max(1));
    Duration::from_millis(ms)
}

#[cfg(test)]
#[path = "session_tests.rs"]
mod tests;
