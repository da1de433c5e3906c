//! Who is it: proofs of devices that call the gateway. Pure; refused ones are counted by their reason.
//!
//! | proof | what | replay |
//! |---|---|---|
//! | digest | RFC 7616 with the device's own user and password; the nonce is ours, known and younger than [`NONCE_LIFE`] | `nc` must grow within a nonce; without `qop` a nonce serves once |
//! | HMAC | `X-Parkgate-Time` (ms since 1970), `X-Parkgate-Nonce`, `X-Parkgate-Signature` = hexadecimal HMAC-SHA-256 of `METHOD\nPATH\nTIME\nNONCE\nsha256hex(body)` | the time is within [`WINDOW`], the nonce was not there before |
//!
//! With a clock that cannot be trusted the window cannot be judged: the signature still says who it is, the nonces of this
//! run still stop a replay, but the push counts as without a proven time ([`Proved::timed`]), and nothing opens by it alone.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::super::coding::{Key, Password, hex, same, unhex};
use super::digest::{Algorithm, Question, field, fields, response};
use crate::domain::time::{ClockTrust, Mono, Now};

/// A nonce of ours serves for so long.
pub const NONCE_LIFE: Duration = Duration::from_secs(300);
/// Nonces that are kept for each device: a camera has a few connections. The oldest is forgotten, and its bearer asked again.
const NONCES: usize = 64;
/// A signed time may differ by so much from the gateway's.
pub const WINDOW: Duration = Duration::from_secs(60);
/// Signed nonces that are kept for each device; they are as many as its pushes within twice the window. When it is full, more
/// are refused rather than let through unseen.
const SIGNED: usize = 4096;
/// Longest nonce of a device.
const MAX_NONCE: usize = 64;
/// What the challenge calls us.
const REALM: &str = "parkgate";

/// How a device proves who it is.
#[derive(Clone, Debug)]
pub enum Auth {
    /// Digest.
    Digest {
        /// User.
        user: String,
        /// Password.
        password: Password,
        /// Hash that it is asked for.
        algorithm: Algorithm,
    },
    /// Signed requests.
    Hmac {
        /// Its key.
        key: Key,
    },
}

/// What a request shows of itself before its body.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// Method.
    pub method: String,
    /// Path and query.
    pub path: String,
    /// `Authorization`.
    pub authorization: Option<String>,
    /// `X-Parkgate-Time`.
    pub time: Option<String>,
    /// `X-Parkgate-Nonce`.
    pub nonce: Option<String>,
    /// `X-Parkgate-Signature`.
    pub signature: Option<String>,
}

/// It is who it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Proved {
    /// That it is of now was proved too.
    pub timed: bool,
}

/// Why a request is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// It shows nothing, or a nonce that is over: the challenge to be answered. The ordinary first step of digest.
    Challenge(String),
    /// It shows what is wrong.
    Wrong,
    /// It was here before.
    Replayed,
    /// Its time is too far off.
    OutOfWindow,
    /// More signed requests than can be remembered.
    TooMany,
}

/// The guard of one device.
#[derive(Debug)]
pub struct Guard {
    auth: Auth,
    /// For our own nonces.
    key: Key,
    issued: VecDeque<Issued>,
    numbers: u64,
    signed: BTreeMap<String, Mono>,
}

#[derive(Debug)]
struct Issued {
    nonce: String,
    at: Mono,
    /// Highest count that came with it.
    count: u64,
}

impl Guard {
    /// Begins. `secret` is random and new for each start: nonces of an earlier one are worth nothing.
    pub fn new(auth: Auth, secret: &[u8]) -> Self {
        Self { auth, key: Key::new(secret), issued: VecDeque::new(), numbers: 0, signed: BTreeMap::new() }
    }

    /// Judges what can be judged without the body. `Ok(None)`: the body is needed, for [`Guard::body`].
    ///
    /// # Errors
    /// Why it is refused.
    pub fn head(&mut self, head: &Head, now: Now) -> Result<Option<Proved>, Refused> {
        match self.auth.clone() {
            Auth::Digest { user, password, algorithm } => {
                let Some(header) = &head.authorization else { return Err(self.challenge(algorithm, false, now.mono)) };
                self.digest(header, head, (&user, &password), algorithm, now.mono)
                    .map(|()| Some(Proved { timed: true }))
            }
            Auth::Hmac { .. } if head.signature.is_none() => Err(Refused::Wrong),
            Auth::Hmac { .. } => Ok(None),
        }
    }

    /// Judges a signed request by the SHA-256 of its body in hexadecimal digits.
    ///
    /// # Errors
    /// Why it is refused.
    pub fn body(&mut self, head: &Head, sha256: &str, now: Now) -> Result<Proved, Refused> {
        let Auth::Hmac { key } = &self.auth else { return Err(Refused::Wrong) };
        let (Some(time), Some(nonce), Some(signature)) = (&head.time, &head.nonce, &head.signature) else {
            return Err(Refused::Wrong);
        };
        let message = format!("{}\n{}\n{time}\n{nonce}\n{sha256}", head.method, head.path);
        let signature = unhex(signature).ok_or(Refused::Wrong)?;
        if !key.verify(message.as_bytes(), &signature) || !(1..=MAX_NONCE).contains(&nonce.len()) {
            return Err(Refused::Wrong);
        }
        let timed = now.trust != ClockTrust::Unsynced;
        let time: i64 = time.parse().map_err(|_| Refused::Wrong)?;
        let off = Duration::from_millis(time.abs_diff(now.wall.0));
        if timed && off > WINDOW {
            return Err(Refused::OutOfWindow);
        }
        self.signed.retain(|_, until| *until > now.mono);
        if self.signed.contains_key(nonce) {
            return Err(Refused::Replayed);
        }
        if self.signed.len() >= SIGNED {
            return Err(Refused::TooMany);
        }
        // Signed up to a window ahead, it would be good for a window after that.
        self.signed.insert(nonce.clone(), now.mono + WINDOW * 2);
        Ok(Proved { timed })
    }

    fn challenge(&mut self, algorithm: Algorithm, stale: bool, now: Mono) -> Refused {
        self.numbers += 1;
        let seed = format!("{}:{}", self.numbers, now.nanos());
        let tag = hex(&self.key.sign(seed.as_bytes()));
        let nonce: String = tag.chars().take(32).collect();
        if self.issued.len() >= NONCES {
            self.issued.pop_front();
        }
        let text = format!(
            "Digest realm=\"{REALM}\", qop=\"auth\", algorithm={}, nonce=\"{nonce}\", stale={stale}",
            algorithm.name()
        );
        self.issued.push_back(Issued { nonce, at: now, count: 0 });
        Refused::Challenge(text)
    }

    fn digest(
        &mut self,
        header: &str,
        head: &Head,
        (user, password): (&str, &Password),
        algorithm: Algorithm,
        now: Mono,
    ) -> Result<(), Refused> {
        let fields = fields(header).ok_or(Refused::Wrong)?;
        let of = |name| field(&fields, name);
        let (Some(nonce), Some(uri), Some(given)) = (of("nonce"), of("uri"), of("response")) else {
            return Err(Refused::Wrong);
        };
        let count = match (of("qop"), of("nc"), of("cnonce")) {
            (None, _, _) => None,
            (Some("auth"), Some(nc), Some(cnonce)) => Some((nc, cnonce)),
            _ => return Err(Refused::Wrong),
        };
        let named = of("algorithm").is_none_or(|name| Algorithm::from_name(name) == Some(algorithm));
        if uri != head.path || !named || of("username") != Some(user) {
            return Err(Refused::Wrong);
        }
        let question = Question { algorithm, method: &head.method, uri, realm: REALM, nonce, count };
        if !same(&response(&question, user, password.expose()), given) {
            return Err(Refused::Wrong);
        }
        let Some(issued) =
            self.issued.iter_mut().find(|issued| issued.nonce == nonce && now.since(issued.at) < NONCE_LIFE)
        else {
            return Err(self.challenge(algorithm, true, now));
        };
        let number = match count {
            Some((nc, _)) => u64::from_str_radix(nc, 16).map_err(|_| Refused::Wrong)?,
            None => u64::MAX,
        };
        if number <= issued.count {
            return Err(Refused::Replayed);
        }
        issued.count = number;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::time::Timestamp;
    use crate::lane::coding::sha256;

    const WALL: i64 = 1_772_337_600_000;

    fn at(secs: u64) -> Now {
        let wall = Timestamp(WALL + i64::try_from(secs).unwrap() * 1000);
        Now { mono: Mono::from_secs(secs), wall, trust: ClockTrust::Synced }
    }

    fn digest(algorithm: Algorithm) -> Guard {
        let auth = Auth::Digest { user: "cam".to_owned(), password: Password::new("pw"), algorithm };
        Guard::new(auth, b"of this start")
    }

    fn head(authorization: Option<String>) -> Head {
        Head { method: "POST".to_owned(), path: "/vzenith/cam-1".to_owned(), authorization, ..Head::default() }
    }

    fn answered(challenge: &Refused, nc: Option<&str>, password: &str) -> String {
        let Refused::Challenge(text) = challenge else { panic!("{challenge:?}") };
        let fields = fields(text).unwrap();
        let algorithm = Algorithm::from_name(field(&fields, "algorithm").unwrap()).unwrap();
        let nonce = field(&fields, "nonce").unwrap();
        let count = nc.map(|nc| (nc, "0a4f113b"));
        let question = Question { algorithm, method: "POST", uri: "/vzenith/cam-1", realm: "parkgate", nonce, count };
        let response = response(&question, "cam", password);
        let more = nc.map(|nc| format!(", qop=auth, nc={nc}, cnonce=\"0a4f113b\"")).unwrap_or_default();
        format!(
            "Digest username=\"cam\", realm=\"parkgate\", nonce=\"{nonce}\", uri=\"/vzenith/cam-1\", response=\"{response}\"{more}"
        )
    }

    #[test]
    fn a_camera_that_answers_the_challenge_is_let_in_once_for_each_count() {
        for algorithm in [Algorithm::Md5, Algorithm::Sha256] {
            let mut guard = digest(algorithm);
            let challenge = guard.head(&head(None), at(0)).unwrap_err();
            let first = head(Some(answered(&challenge, Some("00000001"), "pw")));
            assert_eq!(guard.head(&first, at(1)), Ok(Some(Proved { timed: true })));
            assert_eq!(guard.head(&first, at(2)), Err(Refused::Replayed));
            let second = head(Some(answered(&challenge, Some("00000002"), "pw")));
            assert!(guard.head(&second, at(3)).is_ok());
            let late = head(Some(answered(&challenge, Some("00000003"), "pw")));
            assert!(matches!(guard.head(&late, at(300)), Err(Refused::Challenge(text)) if text.contains("stale=true")));
        }
    }

    #[test]
    fn the_old_form_without_counts_serves_once_a_nonce() {
        let mut guard = digest(Algorithm::Md5);
        let challenge = guard.head(&head(None), at(0)).unwrap_err();
        let old = head(Some(answered(&challenge, None, "pw")));
        assert!(guard.head(&old, at(1)).is_ok());
        assert_eq!(guard.head(&old, at(1)), Err(Refused::Replayed));
    }

    #[test]
    fn what_is_wrong_is_refused() {
        let mut guard = digest(Algorithm::Md5);
        let challenge = guard.head(&head(None), at(0)).unwrap_err();
        let wrong = head(Some(answered(&challenge, Some("00000001"), "guess")));
        assert_eq!(guard.head(&wrong, at(1)), Err(Refused::Wrong));
        let right = answered(&challenge, Some("00000001"), "pw");
        let elsewhere = Head { path: "/vzenith/cam-2".to_owned(), ..head(Some(right.clone())) };
        assert_eq!(guard.head(&elsewhere, at(1)), Err(Refused::Wrong));
        let other_start = Guard::new(guard.auth.clone(), b"of another start").head(&head(Some(right)), at(1));
        assert!(matches!(other_start, Err(Refused::Challenge(_))));
        assert_eq!(guard.head(&head(Some("Basic eA==".to_owned())), at(1)), Err(Refused::Wrong));
    }

    fn signed(key: &Key, nonce: &str, ms: i64, body: &str) -> Head {
        let message = format!("POST\n/vzenith/cam-1\n{ms}\n{nonce}\n{}", sha256(body.as_bytes()));
        let signature = Some(hex(&key.sign(message.as_bytes())));
        Head { time: Some(ms.to_string()), nonce: Some(nonce.to_owned()), signature, ..head(None) }
    }

    #[test]
    fn a_signed_push_is_taken_within_its_window_and_once() {
        let key = Key::new(b"of the camera");
        let mut guard = Guard::new(Auth::Hmac { key: key.clone() }, b"x");
        let push = signed(&key, "n1", WALL, "body");
        assert_eq!(guard.head(&push, at(0)), Ok(None));
        assert_eq!(guard.body(&push, &sha256(b"body"), at(0)), Ok(Proved { timed: true }));
        assert_eq!(guard.body(&push, &sha256(b"body"), at(59)), Err(Refused::Replayed));
        assert_eq!(guard.body(&push, &sha256(b"body"), at(61)), Err(Refused::OutOfWindow));
        assert_eq!(guard.body(&signed(&key, "n2", WALL, "body"), &sha256(b"forged"), at(0)), Err(Refused::Wrong));
        assert_eq!(
            guard.body(&signed(&Key::new(b"?"), "n3", WALL, "body"), &sha256(b"body"), at(0)),
            Err(Refused::Wrong)
        );
        assert_eq!(guard.head(&head(None), at(0)), Err(Refused::Wrong));
    }

    #[test]
    fn without_a_clock_a_push_is_known_but_not_of_now() {
        let key = Key::new(b"of the camera");
        let mut guard = Guard::new(Auth::Hmac { key: key.clone() }, b"x");
        let now = Now { trust: ClockTrust::Unsynced, ..at(5000) };
        let push = signed(&key, "n1", WALL, "body");
        assert_eq!(guard.body(&push, &sha256(b"body"), now), Ok(Proved { timed: false }));
        assert_eq!(guard.body(&push, &sha256(b"body"), now), Err(Refused::Replayed));
    }

    #[test]
    fn more_signed_pushes_than_can_be_remembered_are_refused() {
        let key = Key::new(b"of the camera");
        let mut guard = Guard::new(Auth::Hmac { key: key.clone() }, b"x");
        let sha = sha256(b"");
        let outcomes: Vec<_> =
            (0..=SIGNED).map(|n| guard.body(&signed(&key, &n.to_string(), WALL, ""), &sha, at(0))).collect();
        assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), SIGNED);
        assert_eq!(outcomes.last(), Some(&Err(Refused::TooMany)));
        assert!(guard.body(&signed(&key, "later", WALL + 121_000, ""), &sha, at(121)).is_ok());
    }
}
