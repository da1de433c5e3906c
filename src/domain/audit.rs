//! The audit as a chain (`domain.md` rule 142): every action of a person, and every refusal, is an entry that carries the hash
//! of the one before it. Whoever holds the newest hash can tell whether any entry behind it was changed, taken out or put in.
//!
//! ```text
//! hash(n) = SHA-256( hash(n-1) ‖ seq ‖ boot ‖ time ‖ actor ‖ action ‖ object ‖ before ‖ after ‖ result ‖ detail )
//! ```
//!
//! Fields are hashed with their lengths in front, not as JSON: two different entries never give the same bytes. The head goes
//! into the daily report, so that it is also kept where the gateway cannot reach it.
//!
//! After a crash the newest entries may be lost with the records that carried them; the chain then goes on from the newest
//! one that is left. `boot` tells such a second entry of a number from the first, and the store's gap record says why.

use std::fmt;

use ring::digest;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::actor::{Actor, Via};
use super::time::Timestamp;

/// A SHA-256 hash; hexadecimal, lower case, where people read it.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(pub [u8; 32]);

impl Digest {
    /// Returns the hash of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        let mut digest = Self::default();
        digest.0.iter_mut().zip(digest::digest(&digest::SHA256, bytes).as_ref()).for_each(|(to, from)| *to = *from);
        digest
    }

    /// Reads 64 hexadecimal digits.
    pub fn parse(text: &str) -> Option<Self> {
        let mut digest = Self::default();
        let mut digits = text.chars().map(|digit| digit.to_digit(16).and_then(|digit| u8::try_from(digit).ok()));
        for byte in &mut digest.0 {
            *byte = digits.next()?? << 4 | digits.next()??;
        }
        digits.next().is_none().then_some(digest)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| D::Error::custom("not 64 hexadecimal digits"))
    }
}

/// How an action ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AuditResult {
    /// Carried out.
    Done,
    /// Refused.
    Refused,
    /// Tried, and it did not come about.
    Failed,
}

/// What somebody did, before it is an entry.
#[derive(Clone, Debug, PartialEq)]
pub struct Deed {
    /// Who.
    pub actor: Actor,
    /// The action, a word such as `ack`.
    pub action: String,
    /// What it was done to: an alarm, a zone, a report.
    pub object: String,
    /// Hash of the object's state before, where there is one.
    pub before: Option<Digest>,
    /// Hash of its state afterwards.
    pub after: Option<Digest>,
    /// How it ended.
    pub result: AuditResult,
    /// Comment, or why it was refused; may be empty.
    pub detail: String,
}

/// One entry of the chain: the object of an `audit` document.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AuditEntry {
    /// From 1, contiguous.
    pub seq: u64,
    /// Start counter of the gateway.
    pub boot: u32,
    /// Wall time; never rewritten.
    pub time: Timestamp,
    /// Who. Roles are not recorded.
    pub actor: Actor,
    /// See [`Deed`].
    pub action: String,
    /// See [`Deed`].
    pub object: String,
    /// See [`Deed`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Digest>,
    /// See [`Deed`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Digest>,
    /// How it ended.
    pub result: AuditResult,
    /// See [`Deed`].
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
    /// Hash of the entry before; zeros before the first.
    pub prev_hash: Digest,
    /// Hash of this one.
    pub hash: Digest,
}

impl AuditEntry {
    /// Returns the hash that the entry should carry.
    pub fn computed_hash(&self) -> Digest {
        let mut bytes = Vec::with_capacity(256);
        let mut put = |field: &[u8]| {
            bytes.extend_from_slice(&(field.len() as u64).to_be_bytes());
            bytes.extend_from_slice(field);
        };
        put(&self.prev_hash.0);
        put(&self.seq.to_be_bytes());
        put(&self.boot.to_be_bytes());
        put(&self.time.0.to_be_bytes());
        put(self.actor.name.as_bytes());
        put(via(self.actor.via).as_bytes());
        put(self.action.as_bytes());
        put(self.object.as_bytes());
        // A missing digest is shorter than any that is there.
        put(self.before.as_ref().map_or(&[][..], |digest| &digest.0));
        put(self.after.as_ref().map_or(&[][..], |digest| &digest.0));
        put(result(self.result).as_bytes());
        put(self.detail.as_bytes());
        Digest::of(&bytes)
    }
}

fn via(via: Via) -> &'static str {
    match via {
        Via::Machine => "machine",
        Via::Page => "page",
        Via::Platform => "platform",
        Via::Panel => "panel",
        Via::Gateway => "gateway",
    }
}

fn result(result: AuditResult) -> &'static str {
    match result {
        AuditResult::Done => "done",
        AuditResult::Refused => "refused",
        AuditResult::Failed => "failed",
    }
}

/// The newest entry, by number and hash: what is kept to go on, and to prove.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// Its number; 0 before the first.
    pub seq: u64,
    /// Its hash; zeros before the first.
    pub hash: Digest,
}

/// The chain's end, to which entries are added.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chain {
    boot: u32,
    head: Head,
}

impl Chain {
    /// Goes on after `head`, which is `Head::default()` for a chain that begins.
    pub fn new(boot: u32, head: Head) -> Self {
        Self { boot, head }
    }

    /// Returns the newest entry's number and hash.
    pub fn head(&self) -> Head {
        self.head
    }

    /// Adds an entry and returns it.
    pub fn add(&mut self, deed: Deed, time: Timestamp) -> AuditEntry {
        let Deed { actor, action, object, before, after, result, detail } = deed;
        let mut entry = AuditEntry {
            seq: self.head.seq.saturating_add(1),
            boot: self.boot,
            time,
            actor,
            action,
            object,
            before,
            after,
            result,
            detail,
            prev_hash: self.head.hash,
            hash: Digest::default(),
        };
        entry.hash = entry.computed_hash();
        self.head = Head { seq: entry.seq, hash: entry.hash };
        entry
    }

    /// Takes an entry that is already recorded, after a restart from an older head.
    ///
    /// # Errors
    /// Where it does not follow; the head then stays where it was.
    pub fn follow(&mut self, entry: &AuditEntry) -> Result<(), Broken> {
        self.head = next(self.head, entry)?;
        Ok(())
    }
}

/// Where a chain does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// An entry is missing, doubled or out of order.
    #[error("entry {found} stands where {expected} was expected")]
    Number {
        /// The number that should have come.
        expected: u64,
        /// The number that came.
        found: u64,
    },
    /// The entry does not follow the one before it.
    #[error("entry {0} does not carry the hash of the one before it")]
    Link(u64),
    /// The entry's text is not the one that was hashed.
    #[error("entry {0} was changed")]
    Changed(u64),
}

/// Checks entries that follow `from`, and returns the head they lead to.
///
/// # Errors
/// The first place where the chain does not hold.
pub fn verify<'a>(from: Head, entries: impl IntoIterator<Item = &'a AuditEntry>) -> Result<Head, Broken> {
    entries.into_iter().try_fold(from, next)
}

fn next(head: Head, entry: &AuditEntry) -> Result<Head, Broken> {
    let expected = head.seq.saturating_add(1);
    if entry.seq != expected {
        return Err(Broken::Number { expected, found: entry.seq });
    }
    if entry.prev_hash != head.hash {
        return Err(Broken::Link(entry.seq));
    }
    if entry.computed_hash() != entry.hash {
        return Err(Broken::Changed(entry.seq));
    }
    Ok(Head { seq: entry.seq, hash: entry.hash })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn deed(n: usize) -> Deed {
        Deed {
            actor: Actor { name: format!("li.{n}"), via: Via::Machine, roles: BTreeSet::new() },
            action: "ack".into(),
            object: "AT701.gas".into(),
            before: n.is_multiple_of(2).then(|| Digest::of(b"before")),
            after: Some(Digest::of(b"after")),
            result: AuditResult::Done,
            detail: "已到现场".into(),
        }
    }

    fn chain(n: usize) -> (Vec<AuditEntry>, Head) {
        let mut chain = Chain::new(3, Head::default());
        let entries = (0..n).map(|n| chain.add(deed(n), Timestamp(1_795_507_200_000))).collect();
        (entries, chain.head())
    }

    #[test]
    fn sha_256_is_the_one_of_the_standard() {
        // FIPS 180-2, example B.1.
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(Digest::of(b"abc").to_string(), abc);
        assert_eq!(Digest::parse(abc), Some(Digest::of(b"abc")));
        let longer = format!("{abc}0");
        for wrong in ["", "ba78", longer.as_str(), "zz"] {
            assert_eq!(Digest::parse(wrong), None);
        }
    }

    #[test]
    fn a_chain_that_nobody_touched_holds_and_ends_at_its_head() {
        let (entries, head) = chain(20);
        assert_eq!(verify(Head::default(), &entries), Ok(head));
        assert_eq!(verify(Head { seq: 5, hash: entries[4].hash }, &entries[5..]), Ok(head));
        let read_back: Vec<AuditEntry> =
            entries.iter().map(|e| serde_json::from_str(&serde_json::to_string(e).unwrap()).unwrap()).collect();
        assert_eq!(verify(Head::default(), &read_back), Ok(head));
    }

    #[test]
    fn any_field_of_any_entry_changed_breaks_it() {
        let changes: [fn(&mut AuditEntry); 10] = [
            |e| e.boot += 1,
            |e| e.time.0 += 1,
            |e| e.actor.name.push('x'),
            |e| e.actor.via = Via::Page,
            |e| e.action = "reset".into(),
            |e| e.object.push('x'),
            |e| e.before = None,
            |e| e.after = None,
            |e| e.result = AuditResult::Refused,
            |e| e.detail.clear(),
        ];
        for change in changes {
            let (mut entries, _) = chain(5);
            change(&mut entries[2]);
            assert_eq!(verify(Head::default(), &entries), Err(Broken::Changed(3)));
        }
    }

    #[test]
    fn a_letter_moved_from_one_field_to_the_next_is_seen() {
        let (mut entries, _) = chain(1);
        entries[0].action = "ackA".into();
        entries[0].object = "T701.gas".into();
        assert_eq!(verify(Head::default(), &entries), Err(Broken::Changed(1)));
    }

    #[test]
    fn an_entry_taken_out_put_in_or_hashed_anew_breaks_it() {
        let (whole, _) = chain(5);
        let mut short = whole.clone();
        short.remove(2);
        assert_eq!(verify(Head::default(), &short), Err(Broken::Number { expected: 3, found: 4 }));
        let mut forged = whole;
        forged[2].detail = "没有这回事".into();
        forged[2].hash = forged[2].computed_hash();
        assert_eq!(verify(Head::default(), &forged), Err(Broken::Link(4)));
    }

    #[test]
    fn after_a_restart_it_goes_on_from_the_records_that_are_left() {
        let (entries, head) = chain(9);
        let mut chain = Chain::new(4, Head { seq: 6, hash: entries[5].hash });
        for entry in &entries[6..] {
            chain.follow(entry).unwrap();
        }
        assert_eq!(chain.head(), head);
        assert_eq!(chain.follow(&entries[3]), Err(Broken::Number { expected: 10, found: 4 }));
        let entry = chain.add(deed(9), Timestamp(0));
        assert_eq!((entry.seq, entry.boot, entry.prev_hash), (10, 4, head.hash));
    }
}
