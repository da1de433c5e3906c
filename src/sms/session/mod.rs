//! Runs one sender: takes texts, keeps the line to the modem or the gateway, looks whether it could send, says what became of each.

mod modem;
mod request;

use std::time::Duration;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use self::modem::Modem;
use super::queue::{Queue, Sending};
use super::settings::{Gateway, Kind};
use super::{Said, Trouble};
use crate::clock::Clock;
use crate::domain::danger::{ChannelState, Text};
use crate::domain::time::Mono;

/// Longest answer to a command or a request. The network takes a second or three for a text; TS 27.005 knows no limit.
pub const ANSWER: Duration = Duration::from_secs(15);
/// How long it must be bad before that is said: a modem that hands over between cells is not lost.
pub const DOWN_AFTER: Duration = Duration::from_secs(10);
/// How often a good one is looked at.
const LOOK: Duration = Duration::from_secs(60);
/// How often a bad one is.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

/// Texts on their way here, each with the time of its order: what the queue takes, and a turn of the engine.
pub type Texts = mpsc::Receiver<(Text, Mono)>;

/// Runs until `stop`, or until nobody listens any more.
pub async fn run(gateway: Gateway, texts: Texts, said: mpsc::Sender<Said>, clock: Clock, stop: CancellationToken) {
    let sender = match &gateway.kind {
        Kind::Modem(settings) => Sender::Modem(Box::new(Modem::new(settings.clone(), clock.clone()))),
        Kind::Http(settings) => Sender::Http(settings.clone()),
    };
    let look_at = clock.mono();
    let desk =
        Desk { channel: gateway.channel, sender, queue: Queue::default(), said, clock, look_at, bad: None, told: None };
    tokio::select! {
        biased;
        () = stop.cancelled() => {}
        () = desk.serve(texts) => {}
    }
}

/// What sends.
enum Sender {
    Modem(Box<Modem>),
    Http(Box<super::settings::Http>),
}

impl Sender {
    /// Looks whether it could send now.
    async fn look(&mut self) -> Result<ChannelState, Trouble> {
        match self {
            Self::Modem(modem) => modem.look().await,
            Self::Http(settings) => request::look(settings).await,
        }
    }

    /// Ends when the line breaks while nothing is asked. Cancel safe.
    async fn lost(&mut self) {
        match self {
            Self::Modem(modem) => modem.lost().await,
            Self::Http(_) => std::future::pending().await,
        }
    }

    async fn send(&mut self, sending: &Sending, clock: &Clock) -> Result<String, Trouble> {
        match self {
            Self::Modem(modem) => modem.send(&sending.phone, &sending.text, sending.until).await,
            Self::Http(settings) => {
                let within = sending.until.since(clock.mono()).min(ANSWER);
                request::send(settings, &sending.phone, &sending.text, within).await
            }
        }
    }
}

/// Nobody listens any more.
struct Unheard;

struct Desk {
    channel: String,
    sender: Sender,
    queue: Queue,
    said: mpsc::Sender<Said>,
    clock: Clock,
    look_at: Mono,
    /// Since when it could not send.
    bad: Option<Mono>,
    told: Option<ChannelState>,
}

impl Desk {
    async fn serve(mut self, mut texts: Texts) {
        loop {
            match self.turn().await {
                Ok(()) => {}
                Err(Unheard) => return,
            }
            let due = self.queue.deadline().map_or(self.look_at, |due| due.min(self.look_at));
            tokio::select! {
                biased;
                text = texts.recv() => match text {
                    Some(text) => if self.take(text).await.is_err() { return },
                    None => return,
                },
                // It is looked at, and found gone.
                () = self.sender.lost() => self.look_at = self.clock.mono(),
                () = self.clock.sleep_until(due) => {}
            }
            while let Ok(text) = texts.try_recv() {
                if self.take(text).await.is_err() {
                    return;
                }
            }
        }
    }

    async fn take(&mut self, (text, placed): (Text, Mono)) -> Result<(), Unheard> {
        match self.queue.push(text, placed) {
            Some((key, receipt)) => self.say(Said::Receipt(key, receipt)).await,
            None => Ok(()),
        }
    }

    /// One text, or one look.
    async fn turn(&mut self) -> Result<(), Unheard> {
        let over = self.queue.expire(self.clock.mono());
        self.say_receipts(over).await?;
        if let Some(sending) = self.queue.next(self.clock.mono()) {
            let outcome = self.sender.send(&sending, &self.clock).await;
            if let Err(trouble) = &outcome {
                tracing::warn!(channel = %self.channel, phone = %sending.phone, orders = sending.orders(), %trouble, "A text message was not accepted.");
                // Whether it is the modem or this text a look will tell.
                self.look_at = self.clock.mono();
            }
            let receipts = self.queue.ended(sending, outcome, self.clock.mono());
            self.say_receipts(receipts).await?;
        }
        if self.clock.mono() >= self.look_at {
            self.look().await?;
        }
        Ok(())
    }

    async fn look(&mut self) -> Result<(), Unheard> {
        let looked = self.sender.look().await;
        let now = self.clock.mono();
        let state = match looked {
            Ok(state) => {
                self.bad = None;
                self.look_at = now + LOOK;
                state
            }
            Err(trouble) => {
                self.look_at = now + LOOK_AGAIN;
                let since = *self.bad.get_or_insert(now);
                self.queue.hindered(trouble.clone());
                if now.since(since) < DOWN_AFTER {
                    return Ok(());
                }
                ChannelState { up: false, zh: trouble.zh, en: trouble.en }
            }
        };
        if self.told.as_ref() == Some(&state) {
            return Ok(());
        }
        if self.told.as_ref().map(|told| told.up) != Some(state.up) {
            match state.up {
                true => tracing::info!(channel = %self.channel, state = %state.en, "Text messages can be sent."),
                false => tracing::error!(channel = %self.channel, why = %state.en, "Text messages cannot be sent."),
            }
        }
        self.told = Some(state.clone());
        self.say(Said::State(self.channel.clone(), state)).await
    }

    async fn say_receipts(&self, receipts: Vec<(String, crate::domain::order::Receipt)>) -> Result<(), Unheard> {
        for (key, receipt) in receipts {
            self.say(Said::Receipt(key, receipt)).await?;
        }
        Ok(())
    }

    async fn say(&self, said: Said) -> Result<(), Unheard> {
        self.said.send(said).await.map_err(|_| Unheard)
    }
}
