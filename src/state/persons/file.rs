//! One file of sealed persons:
//!
//! ```text
//! magic "PGPV" | version u8 = 1 | 3 zero bytes | rev u64 | count u32
//! count × ( len u16, reference | master u32 | nonce 12, wrapped key 48 | nonce 12 | len u32, sealed data )
//! CRC32C u32 of all before
//! ```
//! Little-endian. `rev` is 0 but in `pending`.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use super::VaultError;
use super::keys::{MasterKey, open, random, replace_private, seal};
use crate::domain::gate::word::PersonRef;

const MAGIC: &[u8; 8] = b"PGPV\x01\0\0\0";
/// Bytes of a wrapped key: the key and its tag.
const WRAPPED: usize = 48;

/// A person's data and key, sealed.
#[derive(Clone)]
pub(super) struct Sealed {
    pub(super) master: u32,
    key_nonce: [u8; 12],
    key: Vec<u8>,
    nonce: [u8; 12],
    data: Vec<u8>,
}

impl std::fmt::Debug for Sealed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Sealed({} bytes)", self.data.len())
    }
}

impl Sealed {
    /// Seals data under a new key.
    pub(super) fn new(master: &MasterKey, person: &PersonRef, clear: Vec<u8>) -> Result<Self, VaultError> {
        let own: [u8; 32] = random()?;
        let (nonce, data) = seal(&own, person.as_str().as_bytes(), clear)?;
        let (key_nonce, key) = seal(&master.key, &bound(person), own.to_vec())?;
        Ok(Self { master: master.id, key_nonce, key, nonce, data })
    }

    /// Opens the data.
    pub(super) fn open(&self, master: &MasterKey, person: &PersonRef) -> Option<Vec<u8>> {
        open(&self.own(master, person)?, person.as_str().as_bytes(), self.nonce, &self.data)
    }

    /// Wraps the key by another master key.
    pub(super) fn rewrap(&mut self, old: &MasterKey, new: &MasterKey, person: &PersonRef) -> Result<(), VaultError> {
        // A key that cannot be unwrapped stays as it is: it is lost either way.
        let Some(own) = self.own(old, person) else { return Ok(()) };
        let (key_nonce, key) = seal(&new.key, &bound(person), own.to_vec())?;
        (self.master, self.key_nonce, self.key) = (new.id, key_nonce, key);
        Ok(())
    }

    fn own(&self, master: &MasterKey, person: &PersonRef) -> Option<[u8; 32]> {
        open(&master.key, &bound(person), self.key_nonce, &self.key)?.try_into().ok()
    }
}

fn bound(person: &PersonRef) -> Vec<u8> {
    [b"key\0", person.as_str().as_bytes()].concat()
}

/// What a file holds.
#[derive(Debug)]
pub(super) enum Contents {
    /// All of it: revision and persons.
    Whole(u64, BTreeMap<PersonRef, Sealed>),
    /// Its checksum does not fit.
    Damaged,
}

/// Reads a file; `None`: it is not there.
pub(super) fn read(path: &Path) -> io::Result<Option<Contents>> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(Some(parse(&bytes).map_or(Contents::Damaged, |(rev, people)| Contents::Whole(rev, people)))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Replaces a file, durably.
pub(super) fn write(path: &Path, rev: u64, people: &BTreeMap<PersonRef, Sealed>) -> io::Result<()> {
    let mut bytes = MAGIC.to_vec();
    bytes.extend(rev.to_le_bytes());
    bytes.extend(length(people.len())?.to_le_bytes());
    for (person, sealed) in people {
        let name = person.as_str().as_bytes();
        let len = u16::try_from(name.len()).map_err(io::Error::other)?;
        bytes.extend(len.to_le_bytes());
        bytes.extend(name);
        bytes.extend(sealed.master.to_le_bytes());
        bytes.extend(sealed.key_nonce);
        bytes.extend(&sealed.key);
        bytes.extend(sealed.nonce);
        bytes.extend(length(sealed.data.len())?.to_le_bytes());
        bytes.extend(&sealed.data);
    }
    bytes.extend(crc32c::crc32c(&bytes).to_le_bytes());
    replace_private(path, &bytes)
}

fn length(n: usize) -> io::Result<u32> {
    u32::try_from(n).map_err(io::Error::other)
}

fn parse(bytes: &[u8]) -> Option<(u64, BTreeMap<PersonRef, Sealed>)> {
    let (body, crc) = bytes.split_at_checked(bytes.len().checked_sub(4)?)?;
    if crc != crc32c::crc32c(body).to_le_bytes() {
        return None;
    }
    let mut rest = body.strip_prefix(MAGIC)?;
    let rev = u64::from_le_bytes(take(&mut rest)?);
    let count = u32::from_le_bytes(take(&mut rest)?);
    let mut people = BTreeMap::new();
    for _ in 0..count {
        let len = usize::from(u16::from_le_bytes(take(&mut rest)?));
        let person = PersonRef::new(std::str::from_utf8(cut(&mut rest, len)?).ok()?);
        let master = u32::from_le_bytes(take(&mut rest)?);
        let key_nonce = take(&mut rest)?;
        let key = cut(&mut rest, WRAPPED)?.to_vec();
        let nonce = take(&mut rest)?;
        let len = usize::try_from(u32::from_le_bytes(take(&mut rest)?)).ok()?;
        let data = cut(&mut rest, len)?.to_vec();
        people.insert(person, Sealed { master, key_nonce, key, nonce, data });
    }
    rest.is_empty().then_some((rev, people))
}

fn cut<'b>(rest: &mut &'b [u8], n: usize) -> Option<&'b [u8]> {
    let (taken, left) = rest.split_at_checked(n)?;
    *rest = left;
    Some(taken)
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    cut(rest, N)?.try_into().ok()
}
