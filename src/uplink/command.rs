//! Commands from the platform: what is refused, what is done, how it is answered. Pure.
//!
//! A command is published on `cmd/{name}`, not retained, as (`config/command.schema.json`):
//!
//! ```json
//! {"id":"c-17","issuer":"city","key":"k1","alg":"HMAC-SHA256","issued_at":"2026-11-23T08:00:00Z",
//!  "expires":"2026-11-23T08:05:00Z","target_rev":42,"nonce":"f3a9","name":"resend",
//!  "args":{"stream":"telemetry","from":1,"to":100},"sig":"<64 hex digits>"}
//! ```
//!
//! `sig` is HMAC-SHA256 under the key `key` over these lines, joined by `\n` (no newline at the end), each exactly as it
//! stands in the message; `target_rev` empty when absent; `args` is the JSON text as sent, byte for byte, `{}` if absent:
//!
//! ```text
//! parkgate-cmd-v1 ⏎ {park}/{gateway} ⏎ id ⏎ issuer ⏎ key ⏎ alg ⏎ issued_at ⏎ expires ⏎ target_rev ⏎ nonce ⏎ name ⏎ args
//! ```
//!
//! ```text
//! message ─▶ size ─▶ retained? ─▶ form ─▶ key, issuer, signature ─▶ clock, times ─▶ id new? ─▶ revision ─▶ name, args
//!                └────────┴──────────┴────────────┘ refused, counted, no answer     └──────┴─ refused with an answer
//! ```
//!
//! An id is remembered (durably, before anything is done) until its command has expired, so a command is done at most
//! once; what has expired is refused for its time, also when the clock was set back ([`Gate`] keeps the latest time it
//! purged). Without a trusted clock no command can be judged, so all are refused. Who holds no key gets no answer.
//!
//! Answers travel as records on `event`: `{"id","name","state":"accepted"|"done"|"failed","code","detail"}`.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::time::Duration;

use ring::hmac;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use super::feed::Feed;
use super::settings::CommandKey;
use crate::domain::daybook::HazardAction;
use crate::domain::daybook::hazard::Listing;
use crate::domain::gate::hazmat::book::Update;
use crate::domain::gate::hazmat::named::Named;
use crate::domain::gate::parts::Part;
use crate::domain::gate::picture::PictureKind;
use crate::domain::gate::register::change::Message;
use crate::domain::gate::word::PassageId;
use crate::domain::site::{CityCommand, CityOrder};
use crate::domain::time::{ClockTrust, Mono, Now, Timestamp};

/// Longest command that is looked at.
pub const MAX_BYTES: usize = 64 << 10;
/// Ids remembered at once; more commands than this within their own validity are refused as `busy`. At most
/// 512 × (64 + 25) bytes are saved.
pub const MAX_IDS: usize = 512;
/// Longest validity of a command: bounds how long ids are kept.
pub const MAX_VALIDITY: Duration = Duration::from_secs(24 * 3600);
/// How far the platform's clock may be ahead of ours.
pub const SKEW: Duration = Duration::from_secs(30);
/// Refusals that are answered per minute; the rest is counted only. A replayed command must not fill the event stream.
pub const ANSWERS_PER_MINUTE: u32 = 10;
/// Longest id, nonce, key or name; printable ASCII without spaces.
const MAX_WORD: usize = 64;
/// Most tags in one question for values.
const MAX_TAGS: usize = 1000;

/// What the application must do for the platform.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// Record this answer on `event`.
    Answer {
        /// JSON text of the answer.
        json: String,
    },
    /// Answer with the current values (a [`answer`] with state `done` and the values as detail).
    Values {
        /// Id of the command.
        id: String,
        /// Which.
        selection: Selection,
    },
    /// Record the whole active set of alarms, then answer.
    ActiveAlarms {
        /// Id of the command.
        id: String,
    },
    /// Ask whether somebody is on duty (查岗), and answer with the number of the check.
    DutyCheck {
        /// Id of the command: the asker's own number of the check.
        id: String,
        /// Who asks.
        issuer: String,
        /// Minutes for the answer.
        limit_min: u8,
    },
    /// Put a hidden hazard under the authority's supervision (挂牌督办), or take it off, and answer with what became of it.
    Hazard {
        /// Id of the command.
        id: String,
        /// Who lists.
        issuer: String,
        /// [`HazardAction::List`] or [`HazardAction::Unlist`].
        what: HazardAction,
    },
    /// Give to the state of the site what the city asks, and answer with its word.
    Site(CityCommand),
    /// Take a table of the register, or a part of one, and answer with what became of it.
    Register {
        /// Id of the command.
        id: String,
        /// Who sends it.
        issuer: String,
        /// The table.
        part: Box<Part<Message>>,
    },
    /// The same with the waybills.
    Waybills {
        /// Id of the command.
        id: String,
        /// Who sends them.
        issuer: String,
        /// The waybills.
        part: Box<Part<Update<Named>>>,
    },
    /// Answer with who and what is inside.
    Inside {
        /// Id of the command.
        id: String,
        /// Which part of it.
        ask: AskInside,
    },
    /// Send a picture of a passage, once more or at last; answer whether it is there.
    Attachment {
        /// Id of the command.
        id: String,
        /// Which.
        ask: AskPicture,
    },
    /// Record revision `rev` on `registry` once more, then answer.
    Registry {
        /// Id of the command.
        id: String,
        /// Which.
        rev: u32,
    },
}

/// Who and what inside is asked for: all of it, or one zone; `skip` goes on where the last answer left off.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AskInside {
    /// One zone alone.
    pub zone: Option<String>,
    /// So many of the list are known already.
    pub skip: usize,
}

/// A picture that is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AskPicture {
    /// The passage.
    pub passage: PassageId,
    /// What it shows.
    pub kind: PictureKind,
}

/// Which values are asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selection {
    /// These points.
    Tags(Vec<String>),
    /// All points of this device.
    Device(String),
}

/// A command that is to be done, once its id is saved.
#[derive(Clone, Debug, PartialEq)]
pub struct Accepted {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Who issued it.
    pub issuer: String,
    /// What to do.
    pub action: Action,
}

/// What a command asks for.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Send these numbers again, as history.
    Resend(Feed, RangeInclusive<u64>),
    /// Publish `state` now.
    State,
    /// Record this revision again.
    Registry(u32),
    /// Tell the current values.
    Values(Selection),
    /// Record the whole active set of alarms.
    ActiveAlarms,
    /// Tell who and what is inside.
    Inside(AskInside),
    /// Send a picture of a passage.
    Attachment(AskPicture),
    /// A duty check, with so many minutes for its answer.
    DutyCheck(u8),
    /// A hidden hazard is listed by the authority, or taken off; nothing else of it is the platform's.
    Hazard(HazardAction),
    /// A state or a warning for the site, which judges whether it is enabled for this issuer.
    Site(CityOrder),
    /// A table of the register, or a part of one; whether this issuer may fill it the application judges.
    Register(Box<Part<Message>>),
    /// Waybills, the same.
    Waybills(Box<Part<Update<Named>>>),
}

/// The word on a command.
#[derive(Clone, Debug, PartialEq)]
pub enum Judgement {
    /// To be done.
    Accept(Accepted),
    /// Not to be done.
    Refuse {
        /// Name under which it is counted, `command_*`.
        counter: &'static str,
        /// The answer to be recorded, for a signed command.
        answer: Option<String>,
    },
}

/// Why a command is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Longer than [`MAX_BYTES`].
    #[error("longer than {MAX_BYTES} bytes")]
    Oversized,
    /// Kept by the broker: it would come again at every connect.
    #[error("retained")]
    Retained,
    /// Not of this form.
    #[error("not a command")]
    Garbage,
    /// The key is not configured or speaks for another issuer.
    #[error("unknown key")]
    Key,
    /// The signature does not fit.
    #[error("bad signature")]
    Signature,
    /// Our clock is not trusted.
    #[error("the gateway's clock is not synchronised")]
    Clock,
    /// Too late.
    #[error("expired")]
    Expired,
    /// Issued in the future, or valid for longer than [`MAX_VALIDITY`].
    #[error("issued in the future or valid for too long")]
    Times,
    /// The id was there before.
    #[error("repeated")]
    Repeated,
    /// Too many ids are remembered.
    #[error("too many commands at once")]
    Busy,
    /// For another registry revision.
    #[error("meant for another registry revision")]
    Target,
    /// No such command.
    #[error("no such command")]
    Unknown,
    /// The arguments do not fit the command.
    #[error("arguments do not fit")]
    Arguments,
}

impl Refusal {
    /// Returns the name under which it is counted; without `command_` it is the code of the answer.
    pub fn counter(self) -> &'static str {
        match self {
            Self::Oversized => "command_oversized",
            Self::Retained => "command_retained",
            Self::Garbage => "command_garbage",
            Self::Key => "command_key",
            Self::Signature => "command_signature",
            Self::Clock => "command_clock",
            Self::Expired => "command_expired",
            Self::Times => "command_times",
            Self::Repeated => "command_repeated",
            Self::Busy => "command_busy",
            Self::Target => "command_target",
            Self::Unknown => "command_unknown",
            Self::Arguments => "command_arguments",
        }
    }
}

/// The message as sent.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Frame<'a> {
    id: String,
    issuer: String,
    key: String,
    alg: String,
    issued_at: String,
    expires: String,
    #[serde(default)]
    target_rev: Option<u32>,
    nonce: String,
    name: String,
    #[serde(borrow, default)]
    args: Option<&'a RawValue>,
    sig: String,
}

impl Frame<'_> {
    fn args(&self) -> &str {
        self.args.map_or("{}", RawValue::get)
    }

    fn words_fit(&self) -> bool {
        [&self.id, &self.issuer, &self.key, &self.alg, &self.issued_at, &self.expires, &self.nonce, &self.name]
            .into_iter()
            .all(|w| (1..=MAX_WORD).contains(&w.len()) && w.bytes().all(|b| b.is_ascii_graphic()))
    }
}

/// Judges commands and remembers their ids.
#[derive(Debug)]
pub struct Gate {
    target: String,
    keys: Vec<CommandKey>,
    /// Id → when it expires.
    seen: BTreeMap<String, Timestamp>,
    /// What expired at or before this was purged and is refused for good.
    floor: Timestamp,
    answered: (Mono, u32),
}

impl Gate {
    /// Returns the gate of a gateway, with the ids saved before (an unreadable blob is an empty one).
    pub fn new(park: &str, gateway: &str, keys: Vec<CommandKey>, saved: &[u8]) -> Self {
        let (floor, seen): (i64, BTreeMap<String, i64>) =
            serde_json::from_slice(saved).unwrap_or((i64::MIN, BTreeMap::new()));
        let seen = seen.into_iter().map(|(id, t)| (id, Timestamp(t))).collect();
        Self {
            target: format!("{park}/{gateway}"),
            keys,
            seen,
            floor: Timestamp(floor),
            answered: (Mono::default(), 0),
        }
    }

    /// Returns the ids to be saved.
    pub fn save(&self) -> Vec<u8> {
        let seen: BTreeMap<&str, i64> = self.seen.iter().map(|(id, t)| (id.as_str(), t.0)).collect();
        serde_json::to_vec(&(self.floor.0, seen)).unwrap_or_default()
    }

    /// Judges a message published on `cmd/{name}`. An accepted id counts as seen from here on; it is to be saved
    /// before the command is done.
    pub fn judge(&mut self, name: &str, payload: &[u8], retained: bool, rev: u32, now: Now) -> Judgement {
        if payload.len() > MAX_BYTES {
            return silent(Refusal::Oversized);
        }
        if retained {
            return silent(Refusal::Retained);
        }
        let frame: Frame<'_> = match serde_json::from_slice(payload) {
            Ok(frame) => frame,
            Err(_) => return silent(Refusal::Garbage),
        };
        if let Err(refusal) = self.authentic(&frame, name) {
            return silent(refusal);
        }
        match self.acceptable(&frame, rev, now) {
            Ok(action) => Judgement::Accept(Accepted { id: frame.id, name: frame.name, issuer: frame.issuer, action }),
            Err(refusal) => self.refuse(&frame, refusal, now),
        }
    }

    fn authentic(&self, frame: &Frame<'_>, name: &str) -> Result<(), Refusal> {
        if !frame.words_fit() || frame.name != name || frame.alg != "HMAC-SHA256" {
            return Err(Refusal::Garbage);
        }
        let key = self.keys.iter().find(|k| k.id == frame.key && k.issuer == frame.issuer).ok_or(Refusal::Key)?;
        let signature = unhex(&frame.sig).ok_or(Refusal::Garbage)?;
        let key = hmac::Key::new(hmac::HMAC_SHA256, &key.secret);
        hmac::verify(&key, self.signed_text(frame).as_bytes(), &signature).map_err(|_| Refusal::Signature)
    }

    fn signed_text(&self, f: &Frame<'_>) -> String {
        let rev = f.target_rev.map(|r| r.to_string()).unwrap_or_default();
        let lines = [
            "parkgate-cmd-v1",
            &self.target,
            &f.id,
            &f.issuer,
            &f.key,
            &f.alg,
            &f.issued_at,
            &f.expires,
            &rev,
            &f.nonce,
            &f.name,
            f.args(),
        ];
        lines.join("\n")
    }

    fn acceptable(&mut self, frame: &Frame<'_>, rev: u32, now: Now) -> Result<Action, Refusal> {
        let expires = self.in_time(frame, now)?;
        self.purge(now);
        if self.seen.contains_key(&frame.id) {
            return Err(Refusal::Repeated);
        }
        if self.seen.len() >= MAX_IDS {
            return Err(Refusal::Busy);
        }
        self.seen.insert(frame.id.clone(), expires);
        if frame.target_rev.is_some_and(|target| target != rev) {
            return Err(Refusal::Target);
        }
        action_of(&frame.name, frame.args())
    }

    fn in_time(&self, frame: &Frame<'_>, now: Now) -> Result<Timestamp, Refusal> {
        if now.trust == ClockTrust::Unsynced {
            return Err(Refusal::Clock);
        }
        let issued = time_of(&frame.issued_at)?;
        let expires = time_of(&frame.expires)?;
        if expires <= now.wall || expires <= self.floor {
            return Err(Refusal::Expired);
        }
        if issued > now.wall.after(SKEW) || expires > issued.after(MAX_VALIDITY) {
            return Err(Refusal::Times);
        }
        Ok(expires)
    }

    /// Forgets ids whose commands are refused for their time anyway.
    fn purge(&mut self, now: Now) {
        let floor = now.wall;
        let before = self.seen.len();
        self.seen.retain(|_, expires| *expires > floor);
        if self.seen.len() != before {
            self.floor = self.floor.max(floor);
        }
    }

    fn refuse(&mut self, frame: &Frame<'_>, refusal: Refusal, now: Now) -> Judgement {
        if now.mono.since(self.answered.0) >= Duration::from_secs(60) {
            self.answered = (now.mono, 0);
        }
        self.answered.1 = self.answered.1.saturating_add(1);
        let code = refusal.counter().trim_start_matches("command_");
        let answer = (self.answered.1 <= ANSWERS_PER_MINUTE)
            .then(|| answer(&frame.id, &frame.name, "failed", code, Some(&refusal.to_string())));
        Judgement::Refuse { counter: refusal.counter(), answer }
    }
}

/// Returns the JSON of an answer. `state` is `accepted`, `done` or `failed`; `code` is `ok` or the reason's name.
pub fn answer(id: &str, name: &str, state: &str, code: &str, detail: Option<&str>) -> String {
    let mut json = serde_json::json!({ "id": id, "name": name, "state": state, "code": code });
    if let (Some(detail), Some(object)) = (detail, json.as_object_mut()) {
        object.insert("detail".into(), detail.into());
    }
    json.to_string()
}

fn silent(refusal: Refusal) -> Judgement {
    Judgement::Refuse { counter: refusal.counter(), answer: None }
}

fn time_of(text: &str) -> Result<Timestamp, Refusal> {
    text.parse::<jiff::Timestamp>().map(|t| Timestamp(t.as_millisecond())).map_err(|_| Refusal::Times)
}

fn action_of(name: &str, args: &str) -> Result<Action, Refusal> {
    match name {
        "resend" => resend_of(args),
        "state" => Ok(Action::State),
        "registry" => registry_of(args),
        "values" => values_of(args),
        "active_alarms" => Ok(Action::ActiveAlarms),
        "inside" => serde_json::from_str(args).map(Action::Inside).map_err(|_| Refusal::Arguments),
        "attachment" => attachment_of(args),
        "duty_check" => duty_check_of(args),
        "hazard_listing" => hazard_listing_of(args),
        "site" => serde_json::from_str(args).map(Action::Site).map_err(|_| Refusal::Arguments),
        "register" => part_of(args).map(Action::Register),
        "waybills" => part_of(args).map(Action::Waybills),
        _ => Err(Refusal::Unknown),
    }
}

fn part_of<T: DeserializeOwned>(args: &str) -> Result<Box<Part<T>>, Refusal> {
    let part: Part<T> = serde_json::from_str(args).map_err(|_| Refusal::Arguments)?;
    if part.is_sound() { Ok(Box::new(part)) } else { Err(Refusal::Arguments) }
}

fn resend_of(args: &str) -> Result<Action, Refusal> {
    #[derive(Deserialize)]
    struct Args {
        stream: String,
        from: u64,
        to: u64,
    }
    let args: Args = serde_json::from_str(args).map_err(|_| Refusal::Arguments)?;
    let feed = Feed::from_name(&args.stream).ok_or(Refusal::Arguments)?;
    if args.from == 0 || args.from > args.to {
        return Err(Refusal::Arguments);
    }
    Ok(Action::Resend(feed, args.from..=args.to))
}

fn registry_of(args: &str) -> Result<Action, Refusal> {
    #[derive(Deserialize)]
    struct Args {
        rev: u32,
    }
    serde_json::from_str(args).map(|a: Args| Action::Registry(a.rev)).map_err(|_| Refusal::Arguments)
}

fn attachment_of(args: &str) -> Result<Action, Refusal> {
    let ask: AskPicture = serde_json::from_str(args).map_err(|_| Refusal::Arguments)?;
    if ask.passage.as_str().len() > MAX_WORD { Err(Refusal::Arguments) } else { Ok(Action::Attachment(ask)) }
}

fn duty_check_of(args: &str) -> Result<Action, Refusal> {
    #[derive(Deserialize)]
    struct Args {
        limit_min: u8,
    }
    let args: Args = serde_json::from_str(args).map_err(|_| Refusal::Arguments)?;
    if args.limit_min == 0 { Err(Refusal::Arguments) } else { Ok(Action::DutyCheck(args.limit_min)) }
}

fn hazard_listing_of(args: &str) -> Result<Action, Refusal> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Args {
        hazard: String,
        #[serde(default)]
        list: Option<Listing>,
        #[serde(default)]
        unlist: Option<String>,
    }
    let args: Args = serde_json::from_str(args).map_err(|_| Refusal::Arguments)?;
    let Args { hazard: id, list, unlist } = args;
    if !(1..=MAX_WORD).contains(&id.len()) {
        return Err(Refusal::Arguments);
    }
    match (list, unlist) {
        (Some(listing), None) => Ok(Action::Hazard(HazardAction::List { id, listing })),
        (None, Some(comment)) => Ok(Action::Hazard(HazardAction::Unlist { id, comment })),
        _ => Err(Refusal::Arguments),
    }
}

fn values_of(args: &str) -> Result<Action, Refusal> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Args {
        #[serde(default)]
        tags: Option<Vec<String>>,
        #[serde(default)]
        device: Option<String>,
    }
    let args: Args = serde_json::from_str(args).map_err(|_| Refusal::Arguments)?;
    match (args.tags, args.device) {
        (Some(tags), None) if (1..=MAX_TAGS).contains(&tags.len()) => Ok(Action::Values(Selection::Tags(tags))),
        (None, Some(device)) => Ok(Action::Values(Selection::Device(device))),
        _ => Err(Refusal::Arguments),
    }
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> = text.chars().map(|c| c.to_digit(16).and_then(|d| u8::try_from(d).ok())).collect();
    let digits = digits.filter(|d| d.len() == 64)?;
    Some(digits.chunks_exact(2).filter_map(|pair| Some(pair.first()? << 4 | pair.last()?)).collect())
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::domain::daybook::Date;
    use crate::domain::daybook::hazard::ListingLevel;
    use proptest::prelude::*;

    const SECRET: &[u8] = b"sixteen bytes at least";
    const LIST: &str = r#"{"hazard":"hz-1-1","list":{"level":"city","body":"市应急局","notice":"2026-11-24"}}"#;

    pub(in crate::uplink) fn key() -> CommandKey {
        CommandKey { id: "k1".into(), secret: SECRET.to_vec(), issuer: "city".into() }
    }

    fn gate() -> Gate {
        Gate::new("demo-park", "gw-east", vec![key()], &[])
    }

    fn now(text: &str) -> Now {
        let wall = Timestamp(text.parse::<jiff::Timestamp>().unwrap().as_millisecond());
        Now { mono: Mono::from_secs(1000), wall, trust: ClockTrust::Synced }
    }

    pub(in crate::uplink) fn at_eight() -> Now {
        now("2026-11-23T08:01:00Z")
    }

    /// A signed command; `id`, `name`, arguments and gateway vary.
    fn signed_for(target: &str, id: &str, name: &str, args: &str) -> Vec<u8> {
        let (issued, expires) = ("2026-11-23T08:00:00Z", "2026-11-23T08:05:00Z");
        let text = format!(
            "parkgate-cmd-v1\n{target}\n{id}\ncity\nk1\nHMAC-SHA256\n{issued}\n{expires}\n\nf3a9\n{name}\n{args}"
        );
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, SECRET), text.as_bytes());
        let sig: String = tag.as_ref().iter().map(|b| format!("{b:02x}")).collect();
        format!(
            r#"{{"id":"{id}","issuer":"city","key":"k1","alg":"HMAC-SHA256","issued_at":"{issued}","expires":"{expires}","nonce":"f3a9","name":"{name}","args":{args},"sig":"{sig}"}}"#
        )
        .into_bytes()
    }

    pub(in crate::uplink) fn signed(id: &str, name: &str, args: &str) -> Vec<u8> {
        signed_for("demo-park/gw-east", id, name, args)
    }

    fn counter(judgement: Judgement) -> &'static str {
        match judgement {
            Judgement::Accept(_) => "accepted",
            Judgement::Refuse { counter, .. } => counter,
        }
    }

    #[test]
    fn a_signed_command_is_accepted_once_even_over_a_restart() {
        let mut gate = gate();
        let command = signed("c-1", "resend", r#"{"stream":"telemetry","from":1,"to":100}"#);
        let judged = gate.judge("resend", &command, false, 42, at_eight());
        let telemetry = Feed::from_name("telemetry").unwrap();
        assert_eq!(
            judged,
            Judgement::Accept(Accepted {
                id: "c-1".into(),
                name: "resend".into(),
                issuer: "city".into(),
                action: Action::Resend(telemetry, 1..=100)
            })
        );
        assert_eq!(counter(gate.judge("resend", &command, false, 42, at_eight())), "command_repeated");
        let mut restarted = Gate::new("demo-park", "gw-east", vec![key()], &gate.save());
        assert_eq!(counter(restarted.judge("resend", &command, false, 42, at_eight())), "command_repeated");
    }

    #[test]
    fn who_is_inside_and_a_picture_are_asked_for_by_their_arguments() {
        let judged = |name: &str, args: &str| gate().judge(name, &signed("c-1", name, args), false, 42, at_eight());
        let action = |name: &str, args: &str| match judged(name, args) {
            Judgement::Accept(accepted) => Ok(accepted.action),
            Judgement::Refuse { counter, .. } => Err(counter),
        };
        assert_eq!(action("inside", "{}"), Ok(Action::Inside(AskInside::default())));
        let ask = AskInside { zone: Some("core".into()), skip: 200 };
        assert_eq!(action("inside", r#"{"zone":"core","skip":200}"#), Ok(Action::Inside(ask)));
        let ask = AskPicture { passage: PassageId::new("g.1.7"), kind: PictureKind::Plate };
        assert_eq!(action("attachment", r#"{"passage":"g.1.7","kind":"plate"}"#), Ok(Action::Attachment(ask)));
        let long = format!(r#"{{"passage":"{}","kind":"plate"}}"#, "x".repeat(65));
        let wrong = [r#"{"passage":"p"}"#, r#"{"passage":"p","kind":"face"}"#, &long];
        assert!(wrong.iter().all(|args| action("attachment", args) == Err("command_arguments")));
        assert_eq!(action("inside", r#"{"skip":-1}"#), Err("command_arguments"));
    }

    #[test]
    fn duty_is_checked_and_a_hazard_is_listed_and_taken_off_by_what_stands_in_the_arguments() {
        let judged = |name: &str, args: &str| gate().judge(name, &signed("c-1", name, args), false, 42, at_eight());
        let action = |name: &str, args: &str| match judged(name, args) {
            Judgement::Accept(accepted) => Ok(accepted.action),
            Judgement::Refuse { counter, .. } => Err(counter),
        };
        assert_eq!(action("duty_check", r#"{"limit_min":5}"#), Ok(Action::DutyCheck(5)));
        let wrong = ["{}", r#"{"limit_min":0}"#, r#"{"limit_min":256}"#];
        assert!(wrong.iter().all(|args| action("duty_check", args) == Err("command_arguments")));

        let notice = Date::parse("2026-11-24").unwrap();
        let listing = Listing { level: ListingLevel::City, body: "市应急局".into(), notice };
        assert_eq!(
            action("hazard_listing", LIST),
            Ok(Action::Hazard(HazardAction::List { id: "hz-1-1".into(), listing }))
        );
        let unlist = HazardAction::Unlist { id: "hz-1-1".into(), comment: "验收合格".into() };
        assert_eq!(action("hazard_listing", r#"{"hazard":"hz-1-1","unlist":"验收合格"}"#), Ok(Action::Hazard(unlist)));
        let both = LIST.replace("\"list\"", "\"unlist\":\"\",\"list\"");
        let wrong = [
            "{}".to_owned(),
            r#"{"hazard":"hz-1-1"}"#.to_owned(),
            both,
            LIST.replace("hz-1-1", ""),
            LIST.replace("hz-1-1", &"x".repeat(65)),
            LIST.replace("city", "village"),
            LIST.replace("2026-11-24", "2026-11-31"),
            LIST.replace("\"list\"", "\"close\""),
        ];
        for args in wrong {
            assert_eq!(action("hazard_listing", &args), Err("command_arguments"), "{args}");
        }
    }

    #[test]
    fn a_listing_that_is_forged_expired_or_repeated_is_refused() {
        let name = "hazard_listing";
        let command = signed("c-1", name, LIST);
        let forged = String::from_utf8(command.clone()).unwrap().replace("hz-1-1", "hz-1-2");
        assert_eq!(counter(gate().judge(name, forged.as_bytes(), false, 42, at_eight())), "command_signature");
        assert_eq!(counter(gate().judge(name, &command, true, 42, at_eight())), "command_retained");
        let late = now("2026-11-23T08:05:00Z");
        assert_eq!(counter(gate().judge(name, &command, false, 42, late)), "command_expired");
        let mut gate = gate();
        assert_eq!(counter(gate.judge(name, &command, false, 42, at_eight())), "accepted");
        assert_eq!(counter(gate.judge(name, &command, false, 42, at_eight())), "command_repeated");
    }

    #[test]
    fn what_must_not_be_done_is_refused_by_name() {
        let state = signed("c-1", "state", "{}");
        let refused = |name: &str, payload: &[u8], retained, at| counter(gate().judge(name, payload, retained, 42, at));
        assert_eq!(refused("state", &state, true, at_eight()), "command_retained");
        assert_eq!(refused("values", &state, false, at_eight()), "command_garbage");
        assert_eq!(refused("state", b"hello", false, at_eight()), "command_garbage");
        assert_eq!(refused("state", &vec![b' '; MAX_BYTES + 1], false, at_eight()), "command_oversized");
        assert_eq!(refused("state", &state, false, now("2026-11-23T08:05:00Z")), "command_expired");
        assert_eq!(refused("state", &state, false, now("2026-11-23T07:59:29Z")), "command_times");
        let unsynced = Now { trust: ClockTrust::Unsynced, ..at_eight() };
        assert_eq!(refused("state", &state, false, unsynced), "command_clock");
        let other = signed_for("demo-park/gw-west", "c-1", "state", "{}");
        assert_eq!(refused("state", &other, false, at_eight()), "command_signature");
        let changed = String::from_utf8(signed("c-1", "state", "{}")).unwrap().replace("f3a9", "f3aa");
        assert_eq!(refused("state", changed.as_bytes(), false, at_eight()), "command_signature");
        let key = String::from_utf8(signed("c-1", "state", "{}")).unwrap().replace("\"k1\"", "\"k2\"");
        assert_eq!(refused("state", key.as_bytes(), false, at_eight()), "command_key");
        assert_eq!(refused("open", &signed("c-1", "open", "{}"), false, at_eight()), "command_unknown");
        let backwards = signed("c-1", "resend", r#"{"stream":"telemetry","from":9,"to":1}"#);
        assert_eq!(refused("resend", &backwards, false, at_eight()), "command_arguments");
    }

    #[test]
    fn a_command_for_another_revision_is_refused() {
        let text = "parkgate-cmd-v1\ndemo-park/gw-east\nc\ncity\nk1\nHMAC-SHA256\n2026-11-23T08:00:00Z\n2026-11-23T08:05:00Z\n41\nn\nstate\n{}";
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, SECRET), text.as_bytes());
        let sig: String = tag.as_ref().iter().map(|b| format!("{b:02X}")).collect();
        let json = format!(
            r#"{{"id":"c","issuer":"city","key":"k1","alg":"HMAC-SHA256","issued_at":"2026-11-23T08:00:00Z","expires":"2026-11-23T08:05:00Z","target_rev":41,"nonce":"n","name":"state","sig":"{sig}"}}"#
        );
        assert_eq!(counter(gate().judge("state", json.as_bytes(), false, 42, at_eight())), "command_target");
        assert_eq!(counter(gate().judge("state", json.as_bytes(), false, 41, at_eight())), "accepted");
    }

    #[test]
    fn a_purged_id_stays_refused_when_the_clock_is_set_back() {
        let mut gate = gate();
        let command = signed("c-1", "state", "{}");
        assert_eq!(counter(gate.judge("state", &command, false, 42, at_eight())), "accepted");
        gate.purge(now("2026-11-23T09:00:00Z"));
        let mut restarted = Gate::new("demo-park", "gw-east", vec![key()], &gate.save());
        assert_eq!(counter(restarted.judge("state", &command, false, 42, at_eight())), "command_expired");
    }

    #[test]
    fn ids_and_answers_are_bounded() {
        let mut gate = gate();
        let mut answers = 0;
        for i in 0..MAX_IDS + 50 {
            match gate.judge("state", &signed(&format!("c-{i}"), "state", "{}"), false, 42, at_eight()) {
                Judgement::Accept(_) => assert!(i < MAX_IDS),
                Judgement::Refuse { counter, answer } => {
                    assert_eq!(counter, "command_busy");
                    answers += u32::from(answer.is_some());
                }
            }
        }
        assert_eq!(answers, ANSWERS_PER_MINUTE);
        assert!(gate.save().len() <= 64 << 10);
    }

    proptest! {
        #[test]
        fn no_bytes_panic_or_pass(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let accepted = matches!(gate().judge("state", &bytes, false, 1, at_eight()), Judgement::Accept(_));
            prop_assert!(!accepted);
        }

        #[test]
        fn a_changed_byte_never_passes(at in 0usize..250, byte in any::<u8>()) {
            let mut command = signed("c-1", "resend", r#"{"stream":"telemetry","from":1,"to":100}"#);
            let changed = command.get_mut(at).is_some_and(|b| std::mem::replace(b, byte) != byte);
            let passes = matches!(gate().judge("resend", &command, false, 42, at_eight()), Judgement::Accept(_));
            // White space between members and the case of hex digits are no part of what is signed.
            let same = serde_json::from_slice::<serde_json::Value>(&command).is_ok_and(|v| {
                let original: serde_json::Value =
                    serde_json::from_slice(&signed("c-1", "resend", r#"{"stream":"telemetry","from":1,"to":100}"#)).unwrap();
                v.to_string().to_lowercase() == original.to_string().to_lowercase()
            });
            prop_assert!(!passes || !changed || same);
        }
    }
}
