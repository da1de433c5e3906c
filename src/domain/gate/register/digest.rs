//! How a person is found without his number being kept: a keyed digest (HMAC-SHA-256) of it.
//!
//! Without the key a list of digests says nothing; with it, all identity numbers could be tried in an hour. So the key lies
//! with the persons' other keys, never in a record, and is never sent.

use std::fmt;

use ring::hmac;

use crate::domain::gate::identity::IdNumber;
use crate::domain::gate::presented::Credential;
use crate::domain::gate::wiegand::Card;

/// The key of the digests.
#[derive(Clone)]
pub struct LookUpKey(hmac::Key);

impl LookUpKey {
    /// Takes the key's bytes.
    pub fn new(bytes: &[u8; 32]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, bytes))
    }

    /// Returns the credential that a card is.
    pub fn card(&self, card: Card) -> Credential {
        Credential::Card { digest: self.digest("card", &card.0.to_string()) }
    }

    /// Returns the credential that a document's number is.
    pub fn document(&self, id: &IdNumber) -> Credential {
        Credential::IdCard { digest: self.digest(id.kind().as_str(), id.number()) }
    }

    /// Returns the digest of a driver's qualification, as his card at a terminal gives its number.
    pub fn qualification(&self, number: &str) -> String {
        self.digest("qualification", number)
    }

    fn digest(&self, kind: &str, text: &str) -> String {
        let tag = hmac::sign(&self.0, format!("{kind}\0{text}").as_bytes());
        tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

impl fmt::Debug for LookUpKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LookUpKey")
    }
}
