//! Names, numbers and phones of persons, apart from everything else: encrypted with a key for each person, so that a person is
//! forgotten by destroying his key, while records with his reference stay whole.
//!
//! ```text
//! dir/persons.key   0600: the look-up key, and the master keys (one; two while they are being changed)
//! dir/00 … dir/3f   one file for a 64th of the persons: each with his key, wrapped by the master key, and his data
//! dir/pending       data that belongs to a revision of the register that is not committed yet
//! ```
//!
//! # Promises
//!
//! 1. **Nothing in clear**: data is sealed with ChaCha20-Poly1305 under the person's own key, that key under the master key,
//!    both bound to the reference. Numbers are found by a keyed digest ([`LookUpKey`]) that stands in the register.
//! 2. **All or nothing**: data is staged with the revision that it belongs to ([`Vault::stage`], durable), and kept
//!    ([`Vault::keep`]) or dropped when that revision was committed or not; after a crash the register's revision decides.
//! 3. **Forgotten is forgotten**: [`Vault::destroy`] removes a person's key and data, and then changes the master key: what is
//!    left of the old files on the medium cannot be unwrapped by any key that is kept. (A flash medium may keep the old master
//!    key's block for a while; only an encrypted medium helps against who takes it apart.)
//! 4. **A lost key file is told, never replaced**: without it nothing can be read, and a new one would hide that. It belongs
//!    into the backup, apart from the data.
//!
//! Files are replaced as a whole (write, fsync, rename, fsync of the folder) and end in a CRC32C. Faces are never here.

mod file;
pub(super) mod keys;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

use self::file::{Contents, Sealed};
use self::keys::{KeyFile, MasterKey};
use crate::domain::gate::register::digest::LookUpKey;
use crate::domain::gate::register::draft::{Masked, Private};
use crate::domain::gate::word::PersonRef;
use crate::sys::disk;

/// Files over which the persons are spread: one change writes a 64th of them, some 400 KB with 100,000 persons.
const N_FILES: u8 = 64;
const KEY_FILE: &str = "persons.key";
const PENDING: &str = "pending";

/// Why the persons' store could not be used.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// The file system refused.
    #[error("`{path}`: {source}")]
    Io {
        /// On which file.
        path: PathBuf,
        /// Its answer.
        #[source]
        source: io::Error,
    },
    /// There is data, and no key for it.
    #[error("`{0}` is missing or damaged, and there is data that only it opens: restore it from the backup")]
    KeyLost(PathBuf),
    /// Others may read the key.
    #[error("`{0}` may be read by others: chmod 600")]
    KeyOpen(PathBuf),
    /// Encryption failed; ring says no more.
    #[error("encryption failed")]
    Cipher,
}

/// Returns the key of the digests by which persons are found, of the store in `dir`, for who only reads cards: the key file is
/// made where there is neither key nor data.
///
/// # Errors
/// [`VaultError`]; a key file that is missing where there is data is one.
pub fn look_up_key(dir: &Path) -> Result<LookUpKey, VaultError> {
    let keys = KeyFile::open(&dir.join(KEY_FILE), prepared(dir)?)?;
    Ok(LookUpKey::new(&keys.look_up))
}

/// Makes the folder where it is missing, and returns whether there is data in it.
fn prepared(dir: &Path) -> Result<bool, VaultError> {
    super::State::open(dir)
        .map_err(|error| VaultError::Io { path: dir.to_owned(), source: io::Error::other(error) })?;
    Ok((0..N_FILES).map(name_of).chain([PENDING.to_owned()]).any(|name| dir.join(name).exists()))
}

/// The store.
#[derive(Debug)]
pub struct Vault {
    dir: PathBuf,
    keys: KeyFile,
    people: BTreeMap<PersonRef, Sealed>,
    pending: Option<(u64, BTreeMap<PersonRef, Sealed>)>,
    lost: usize,
}

impl Vault {
    /// Opens the folder, making it where it is missing. `rev`: the register's revision, which decides what becomes of data that
    /// was staged before a crash.
    ///
    /// # Errors
    /// [`VaultError`]; a key file that is missing where there is data is one.
    pub fn open(dir: &Path, rev: u64) -> Result<Self, VaultError> {
        let keys = KeyFile::open(&dir.join(KEY_FILE), prepared(dir)?)?;
        let mut vault = Self { dir: dir.to_owned(), keys, people: BTreeMap::new(), pending: None, lost: 0 };
        for n in 0..N_FILES {
            vault.load(n)?;
        }
        vault.settle(rev)?;
        // A change of the master key that a crash cut off is finished.
        if vault.keys.masters.len() > 1 {
            vault.rewrap()?;
        }
        Ok(vault)
    }

    fn load(&mut self, n: u8) -> Result<(), VaultError> {
        let path = self.dir.join(name_of(n));
        let Some(contents) = file::read(&path).map_err(at(&path))? else { return Ok(()) };
        let Contents::Whole(_, people) = contents else {
            let aside = path.with_extension("damaged");
            tracing::error!(path = %path.display(), "A file of the persons' store is damaged; their names are lost.");
            self.lost += 1;
            return std::fs::rename(&path, &aside).map_err(at(&path));
        };
        let (known, unknown): (Vec<_>, Vec<_>) =
            people.into_iter().partition(|(_, sealed)| self.keys.master(sealed.master).is_some());
        self.lost += unknown.len();
        self.people.extend(known);
        Ok(())
    }

    /// Decides over what was staged before a crash.
    fn settle(&mut self, rev: u64) -> Result<(), VaultError> {
        let path = self.dir.join(PENDING);
        if let Some(Contents::Whole(of, people)) = file::read(&path).map_err(at(&path))? {
            self.pending = Some((of, people));
            if of <= rev {
                return self.keep();
            }
        }
        self.drop_staged()
    }

    /// Returns the key of the digests by which persons are found.
    pub fn look_up_key(&self) -> LookUpKey {
        LookUpKey::new(&self.keys.look_up)
    }

    /// Makes a reference that was never given: 128 random bits.
    ///
    /// # Errors
    /// [`VaultError::Cipher`] when the machine gives no random numbers.
    pub fn new_ref(&self) -> Result<PersonRef, VaultError> {
        let bytes: [u8; 16] = keys::random()?;
        Ok(PersonRef::new(format!("p-{}", keys::hex(&bytes))))
    }

    /// Does work that needs new references; what it did is void where the machine gave no random numbers.
    ///
    /// # Errors
    /// As [`Vault::new_ref`].
    pub fn with_refs<T>(&self, work: impl FnOnce(&mut dyn FnMut() -> PersonRef) -> T) -> Result<T, VaultError> {
        let mut failed = None;
        let mut make_ref = || {
            self.new_ref().unwrap_or_else(|error| {
                failed = Some(error);
                PersonRef::new("")
            })
        };
        let done = work(&mut make_ref);
        failed.map_or(Ok(done), Err)
    }

    /// Returns how many persons there are.
    pub fn len(&self) -> usize {
        self.people.len()
    }

    /// Returns whether there is nobody.
    pub fn is_empty(&self) -> bool {
        self.people.is_empty()
    }

    /// Returns the references of all persons.
    pub fn people(&self) -> impl Iterator<Item = &PersonRef> {
        self.people.keys()
    }

    /// Returns how many persons, or whole files of them, could not be read when it was opened.
    pub fn lost(&self) -> usize {
        self.lost
    }

    /// Returns a person as anybody may see him; `None`: there is none, or his data was destroyed.
    pub fn masked(&self, person: &PersonRef) -> Option<Masked> {
        self.reveal(person).map(|private| private.masked())
    }

    /// Returns what identifies a person, in clear. Who asks must be allowed to, and each use is one for the audit.
    pub fn reveal(&self, person: &PersonRef) -> Option<Private> {
        let staged = self.pending.as_ref().and_then(|(_, people)| people.get(person));
        let sealed = staged.or_else(|| self.people.get(person))?;
        let clear = sealed.open(self.keys.master(sealed.master)?, person)?;
        serde_json::from_slice(&clear).ok()
    }

    /// Stages data that belongs to revision `rev` of the register; durable when it returns. What a person's data does not say
    /// stays as it was.
    ///
    /// # Errors
    /// [`VaultError`]; nothing is staged then.
    pub fn stage(&mut self, rev: u64, private: BTreeMap<PersonRef, Private>) -> Result<(), VaultError> {
        if private.is_empty() {
            return Ok(());
        }
        let mut people = BTreeMap::new();
        for (person, newer) in private {
            let before = self.reveal(&person);
            let all = before.clone().unwrap_or_default().updated(newer);
            if before.as_ref() != Some(&all) {
                let clear = serde_json::to_vec(&all).map_err(|_| VaultError::Cipher)?;
                people.insert(person.clone(), Sealed::new(self.keys.newest()?, &person, clear)?);
            }
        }
        let path = self.dir.join(PENDING);
        file::write(&path, rev, &people).map_err(at(&path))?;
        self.pending = Some((rev, people));
        Ok(())
    }

    /// Keeps what was staged: its revision is committed.
    ///
    /// # Errors
    /// [`VaultError`]; what was staged stays so, is readable, and is kept by the next start.
    pub fn keep(&mut self) -> Result<(), VaultError> {
        let Some((_, people)) = self.pending.clone() else { return Ok(()) };
        let touched: BTreeSet<u8> = people.keys().map(file_of).collect();
        self.people.extend(people);
        touched.into_iter().try_for_each(|n| self.save(n))?;
        self.drop_staged()
    }

    /// Drops what was staged: its revision was not committed.
    ///
    /// # Errors
    /// [`VaultError::Io`]; the next start drops it.
    pub fn drop_staged(&mut self) -> Result<(), VaultError> {
        self.pending = None;
        let path = self.dir.join(PENDING);
        disk::remove_file_if_there(&path).and_then(|()| disk::sync_dir(&self.dir)).map_err(at(&path))
    }

    /// Destroys the keys and data of persons, and changes the master key.
    ///
    /// # Errors
    /// [`VaultError`]; done again it finishes what is left.
    pub fn destroy(&mut self, persons: &[PersonRef]) -> Result<(), VaultError> {
        persons.iter().for_each(|person| {
            self.people.remove(person);
        });
        self.change_master()
    }

    /// Changes the master key: all keys of persons are wrapped anew.
    ///
    /// # Errors
    /// [`VaultError`]; both master keys stay until all is wrapped anew.
    pub fn change_master(&mut self) -> Result<(), VaultError> {
        self.keys.masters.push(MasterKey::new(self.keys.next_id())?);
        self.keys.save()?;
        self.rewrap()
    }

    fn rewrap(&mut self) -> Result<(), VaultError> {
        let newest = self.keys.newest()?;
        for (person, sealed) in &mut self.people {
            if let Some(old) = self.keys.master(sealed.master).filter(|old| old.id != newest.id) {
                sealed.rewrap(old, newest, person)?;
            }
        }
        (0..N_FILES).try_for_each(|n| self.save(n))?;
        let newest = newest_only(&mut self.keys);
        tracing::info!(master = newest, "The master key of the persons' store was changed.");
        self.keys.save()
    }

    fn save(&self, n: u8) -> Result<(), VaultError> {
        let path = self.dir.join(name_of(n));
        let people = self.people.iter().filter(|(person, _)| file_of(person) == n);
        let people: BTreeMap<PersonRef, Sealed> =
            people.map(|(person, sealed)| (person.clone(), sealed.clone())).collect();
        if people.is_empty() && !path.exists() {
            return Ok(());
        }
        file::write(&path, 0, &people).map_err(at(&path))
    }
}

/// Forgets all master keys but the newest, and returns its id.
fn newest_only(keys: &mut KeyFile) -> u32 {
    let newest = keys.masters.pop();
    keys.masters = newest.into_iter().collect();
    keys.masters.first().map_or(0, |master| master.id)
}

fn name_of(n: u8) -> String {
    format!("{n:02x}")
}

/// The file of a person: by a checksum of his reference, which is random.
fn file_of(person: &PersonRef) -> u8 {
    u8::try_from(crc32c::crc32c(person.as_str().as_bytes()) % u32::from(N_FILES)).unwrap_or(0)
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> VaultError {
    let path = path.to_owned();
    move |source| VaultError::Io { path, source }
}
