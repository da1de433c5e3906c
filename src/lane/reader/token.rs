//! QR codes that the park signs: short-lived, each good for one showing.
//!
//! ```text
//!  PG1.<payload>.<signature>     both base64 for URLs without padding
//!  payload   {"s":"<what it names>","n":"<nonce>","b":<from, s since 1970>,"e":<to, s since 1970>}
//!  signature HMAC-SHA-256 of "PG1.<payload>" with a key of the park
//! ```
//!
//! With a clock that cannot be trusted a code is refused as undated: who leaves needs none. A nonce is remembered to the end
//! of its code; when [`REMEMBERED`] are open, more are refused, and people go to the guard.
//! A restart forgets them: until its end a code is then good once more, and anti-passback is what still tells.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;

use super::super::coding::{Key, base64, unbase64};
use crate::domain::gate::hardware::Unreadable;
use crate::domain::time::{ClockTrust, Now};

/// Longest life of a code.
pub const LONGEST: Duration = Duration::from_secs(24 * 3600);
/// Clocks of the phone's server and of the gateway may differ by this, in seconds.
const SLACK: i64 = 5;
/// Codes that are remembered: a shift change of a few thousand people, all within one life of a code.
pub const REMEMBERED: usize = 8192;
/// Longest text of a code.
const MAX_TEXT: usize = 512;
/// Longest name and nonce.
const MAX_NAME: usize = 64;
const MARK: &str = "PG1";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Payload {
    s: String,
    n: String,
    b: i64,
    e: i64,
}

/// Judges codes.
#[derive(Debug)]
pub struct Judge {
    keys: Vec<Key>,
    /// Nonces with the end of their codes, seconds since 1970.
    seen: BTreeMap<String, i64>,
}

impl Judge {
    /// Begins. Several keys while one follows the other.
    pub fn new(keys: Vec<Key>) -> Self {
        Self { keys, seen: BTreeMap::new() }
    }

    /// Takes other keys; what was shown before stays shown.
    pub fn take_keys(&mut self, keys: Vec<Key>) {
        self.keys = keys;
    }

    /// Returns what a code names.
    ///
    /// # Errors
    /// Why it is worth nothing.
    pub fn judge(&mut self, text: &str, now: Now) -> Result<String, Unreadable> {
        let (signed, signature) = text.rsplit_once('.').ok_or(Unreadable::Garbled)?;
        let payload = signed.strip_prefix(MARK).and_then(|rest| rest.strip_prefix('.')).ok_or(Unreadable::Garbled)?;
        if text.len() > MAX_TEXT {
            return Err(Unreadable::Garbled);
        }
        let tag = unbase64(signature).ok_or(Unreadable::Garbled)?;
        if !self.keys.iter().any(|key| key.verify(signed.as_bytes(), &tag)) {
            return Err(Unreadable::Forged);
        }
        let payload = unbase64(payload).ok_or(Unreadable::Garbled)?;
        let Payload { s, n, b, e } = serde_json::from_slice(&payload).map_err(|_| Unreadable::Garbled)?;
        if !(1..=MAX_NAME).contains(&s.len()) || !(1..=MAX_NAME).contains(&n.len()) {
            return Err(Unreadable::Garbled);
        }
        if now.trust == ClockTrust::Unsynced {
            return Err(Unreadable::Undated);
        }
        let wall = now.wall.0.div_euclid(1000);
        let life = e.checked_sub(b).and_then(|life| u64::try_from(life).ok()).ok_or(Unreadable::Garbled)?;
        let within = wall >= b.saturating_sub(SLACK) && wall < e;
        if !within || life > LONGEST.as_secs() {
            return Err(Unreadable::OutOfTime);
        }
        self.seen.retain(|_, end| *end > wall);
        if self.seen.contains_key(&n) || self.seen.len() >= REMEMBERED {
            return Err(Unreadable::Replayed);
        }
        self.seen.insert(n, e);
        Ok(s)
    }
}

/// Signs a code, as the park's own service does: for tests, and for a desk that prints one for a visitor.
pub fn signed(key: &Key, subject: &str, nonce: &str, from: i64, to: i64) -> String {
    let payload = serde_json::json!({ "s": subject, "n": nonce, "b": from, "e": to }).to_string();
    let url = |bytes: &[u8]| base64(bytes).trim_end_matches('=').replace('+', "-").replace('/', "_");
    let text = format!("{MARK}.{}", url(payload.as_bytes()));
    let tag = url(&key.sign(text.as_bytes()));
    format!("{text}.{tag}")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::time::{Mono, Timestamp};

    const NOON: i64 = 1_772_337_600;

    fn at(sec: i64, trust: ClockTrust) -> Now {
        Now { mono: Mono::default(), wall: Timestamp(sec * 1000), trust }
    }

    fn now(sec: i64) -> Now {
        at(sec, ClockTrust::Synced)
    }

    fn key() -> Key {
        Key::new(b"of the park")
    }

    #[test]
    fn a_code_of_the_park_is_good_once_within_its_time() {
        let mut judge = Judge::new(vec![Key::new(b"the next one"), key()]);
        let code = signed(&key(), "permit-7", "n1", NOON, NOON + 60);
        assert_eq!(judge.judge(&code, now(NOON - 6)), Err(Unreadable::OutOfTime));
        assert_eq!(judge.judge(&code, now(NOON - 5)), Ok("permit-7".to_owned()));
        assert_eq!(judge.judge(&code, now(NOON + 1)), Err(Unreadable::Replayed));
        assert_eq!(judge.judge(&code, now(NOON + 60)), Err(Unreadable::OutOfTime));
        assert!(judge.judge(&signed(&key(), "permit-7", "n2", NOON, NOON + 60), now(NOON + 59)).is_ok());
    }

    #[test]
    fn what_is_forged_garbled_or_too_long_lived_is_refused() {
        let mut judge = Judge::new(vec![key()]);
        let code = signed(&key(), "permit-7", "n1", NOON, NOON + 60);
        let other = signed(&Key::new(b"?"), "permit-7", "n1", NOON, NOON + 60);
        assert_eq!(judge.judge(&other, now(NOON)), Err(Unreadable::Forged));
        let (signed_part, _) = code.rsplit_once('.').unwrap();
        let (_, tag) = other.rsplit_once('.').unwrap();
        assert_eq!(judge.judge(&format!("{signed_part}.{tag}"), now(NOON)), Err(Unreadable::Forged));
        assert_eq!(judge.judge("PG1.x", now(NOON)), Err(Unreadable::Garbled));
        assert_eq!(judge.judge("", now(NOON)), Err(Unreadable::Garbled));
        let day = signed(&key(), "s", "n", NOON, NOON + 86_401);
        assert_eq!(judge.judge(&day, now(NOON)), Err(Unreadable::OutOfTime));
        let back = signed(&key(), "s", "n", NOON, NOON - 1);
        assert_eq!(judge.judge(&back, now(NOON)), Err(Unreadable::Garbled));
        assert_eq!(judge.judge(&code, at(NOON, ClockTrust::Unsynced)), Err(Unreadable::Undated));
    }

    #[test]
    fn more_codes_than_can_be_remembered_are_refused() {
        let mut judge = Judge::new(vec![key()]);
        for n in 0..REMEMBERED {
            assert!(judge.judge(&signed(&key(), "s", &n.to_string(), NOON, NOON + 60), now(NOON)).is_ok());
        }
        let more = signed(&key(), "s", "more", NOON, NOON + 600);
        assert_eq!(judge.judge(&more, now(NOON)), Err(Unreadable::Replayed));
        assert!(judge.judge(&more, now(NOON + 60)).is_ok());
    }

    proptest! {
        #[test]
        fn whatever_is_shown_it_is_judged(text in ".{0,80}", changed in any::<prop::sample::Index>(), to in any::<u8>()) {
            let mut judge = Judge::new(vec![key()]);
            let _any = judge.judge(&text, now(NOON));
            let mut bytes = signed(&key(), "s", "n", NOON, NOON + 60).into_bytes();
            let at = changed.index(bytes.len());
            let same = bytes[at] == to;
            bytes[at] = to;
            if let Ok(text) = String::from_utf8(bytes) {
                let taken = judge.judge(&text, now(NOON)).is_ok();
                // The last character of base64 has bits that are not part of the signature.
                prop_assert!(!taken || same || at == text.len() - 1 || text.trim_end() != text);
            }
        }
    }
}
