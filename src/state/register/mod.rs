//! The register of the gates on the disk: every revision in sled, its persons apart, encrypted ([`super::persons`]).
//!
//! ```text
//! dir/lock            flock of the one process: a gateway, or an import while none runs
//! dir/head.state      which generation is in force, and what must be in it
//! dir/<generation>/   one sled database: snapshot, changes, older changes (log.rs)
//! dir/ballast         room that is given up when a full disk would not let the log be opened
//! dir/persons/        names and numbers
//! ```
//!
//! # Promises
//!
//! 1. **A change is durable before it counts** ([`RegisterStore::apply`]): persons' data is staged, the changes are inserted,
//!    flushed and fsynced, the head is replaced; only then is the revision committed, and the data kept. A process that is
//!    killed anywhere leaves the revision before or the one after, never half of either.
//! 2. **What is lost is told**: the head says which revision must be there. Where it is not whole, every table counts as
//!    damaged: it has no age any more, and takes a whole list only. Versions and the number of the revision stand in the head
//!    too, and never go back.
//! 3. **History is kept**: who changed what, when, with digests before and after, for the newest [`MAX_PAST`] sets. What rows
//!    said is kept until the log is written anew ([`RegisterStore::compact`]), which also is done after persons were forgotten.
//! 4. **A full disk** refuses changes and keeps what there is; the handle is opened anew before the next attempt.
//!
//! Everything here blocks; the gateway runs it on a thread of its own.

mod log;
mod look;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use nix::fcntl::Flock;
use serde::{Deserialize, Serialize};

use self::log::{Log, LogError, Tree};
pub use self::look::Looked;
use super::persons::{Vault, VaultError};
use super::{State, StateError};
use crate::domain::actor::Actor;
use crate::domain::gate::register::change::{Entry, Origin, Prepared, Version};
use crate::domain::gate::register::draft::Private;
use crate::domain::gate::register::row::{Key, Table};
use crate::domain::gate::register::{Held, Register};
use crate::domain::gate::word::PersonRef;
use crate::domain::time::{ClockTrust, Timestamp};
use crate::sys::disk;

/// Older sets of changes whose history is kept: years of ordinary days.
pub const MAX_PAST: usize = 20_000;
/// Entries in the log beyond which it is written anew, beside twice the rows there are.
const MIN_COMPACT: usize = 20_000;
/// Room that is given up on a full disk: what sled writes when it opens a log.
const BALLAST_BYTES: u64 = 4 << 20;
const HEAD: &str = "head";

/// Why the register could not be opened or changed.
#[derive(Debug, thiserror::Error)]
pub enum RegisterError {
    /// Another process has it.
    #[error("`{0}` is in use by another process: a gateway, or an import")]
    Locked(PathBuf),
    /// The file system refused.
    #[error("`{path}`: {source}")]
    Io {
        /// On which file.
        path: PathBuf,
        /// Its answer.
        #[source]
        source: io::Error,
    },
    /// The head cannot be read or replaced.
    #[error(transparent)]
    Head(#[from] StateError),
    /// The log refused.
    #[error("the log of the register: {0}")]
    Log(#[from] LogError),
    /// The persons' store refused.
    #[error("the persons' store: {0}")]
    Persons(#[from] VaultError),
    /// The changes were prepared against another revision.
    #[error("the changes belong to another revision of the register")]
    Outdated,
}

/// What must be in the log.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Head {
    generation: u64,
    /// Revision of the generation's snapshot.
    base: u64,
    rev: u64,
    versions: BTreeMap<Table, Version>,
    damaged: BTreeSet<Table>,
}

/// Head of a set of changes: all of [`Prepared`] but its entries.
#[derive(Serialize, Deserialize)]
struct SetHead {
    rev: u64,
    at: Timestamp,
    clock: ClockTrust,
    by: Actor,
    origin: Origin,
    why: String,
    versions: BTreeMap<Table, Version>,
}

/// Head of a snapshot.
#[derive(Serialize, Deserialize)]
struct Base {
    rev: u64,
    versions: BTreeMap<Table, Version>,
    rows: usize,
}

/// The open register.
#[derive(Debug)]
pub struct RegisterStore {
    dir: PathBuf,
    state: State,
    head: Head,
    log: Option<Log>,
    logged: usize,
    register: Register,
    vault: Vault,
    _lock: Flock<File>,
}

impl RegisterStore {
    /// Opens the register in `dir`, making it where it is missing.
    ///
    /// # Errors
    /// [`RegisterError`]: another process has it, its disk refuses, or the key of the persons' store is lost. A damaged log is
    /// none: it is put aside, and its tables are marked.
    pub fn open(dir: &Path) -> Result<Self, RegisterError> {
        let state = State::open(dir)?;
        let lock = disk::lock_exclusive(&dir.join("lock")).map_err(at(dir))?;
        let lock = lock.ok_or_else(|| RegisterError::Locked(dir.to_owned()))?;
        let (head, head_lost) = load_head(dir, &state)?;
        let Loaded { register, log, logged, whole } = load(dir, &head)?;
        let vault = Vault::open(&dir.join("persons"), register.rev())?;
        let mut store = Self { dir: dir.to_owned(), state, head, log, logged, register, vault, _lock: lock };
        if head_lost || !whole {
            tracing::error!("Rows of the register were lost; every list is needed anew.");
            Table::ALL.iter().for_each(|table| store.register.mark_damaged(*table));
            store.compact()?;
        }
        store.clear_away();
        let swept = store.sweep()?;
        if swept > 0 {
            tracing::info!(swept, "Persons whom the register does not know any more were destroyed.");
        }
        store.keep_ballast();
        Ok(store)
    }

    /// Returns the register.
    pub fn register(&self) -> &Register {
        &self.register
    }

    /// Returns the persons' store.
    pub fn persons(&self) -> &Vault {
        &self.vault
    }

    /// Returns the persons' store, for changing its master key.
    pub fn persons_mut(&mut self) -> &mut Vault {
        &mut self.vault
    }

    /// Makes changes durable, with what identifies the persons in them, and commits them.
    ///
    /// # Errors
    /// [`RegisterError`]; then nothing is changed. A set that reached a failing disk whole all the same is found by the next
    /// start, unless another one takes its number before.
    pub fn apply(&mut self, prepared: &Prepared, private: BTreeMap<PersonRef, Private>) -> Result<(), RegisterError> {
        if prepared.rev != self.register.rev().saturating_add(1) {
            return Err(RegisterError::Outdated);
        }
        // What an earlier revision could not put in its place goes there now.
        self.vault.keep()?;
        self.vault.stage(prepared.rev, private)?;
        if let Err(error) = self.write(prepared) {
            // A handle that failed stays so: sled's is opened anew, ours with it.
            self.log.take().into_iter().for_each(Log::close);
            self.vault.drop_staged()?;
            return Err(error);
        }
        let committed = self.register.commit(prepared);
        debug_assert!(committed, "the revision was checked");
        if let Err(error) = self.vault.keep() {
            tracing::error!(%error, "Names of persons are staged, not in their place yet; the next change does it.");
        }
        if self.logged > MIN_COMPACT.max(2 * self.register.rows().count())
            && let Err(error) = self.compact()
        {
            tracing::warn!(%error, "The register's log could not be written anew; it goes on growing.");
        }
        Ok(())
    }

    fn write(&mut self, prepared: &Prepared) -> Result<(), RegisterError> {
        let path = self.path(self.head.generation);
        let log = match self.log.take() {
            Some(log) => log,
            None => Log::open(&path)?,
        };
        let log = self.log.insert(log);
        let Prepared { rev, at, clock, by, origin, why, entries, versions } = prepared;
        let (by, why, versions) = (by.clone(), why.clone(), versions.clone());
        let head = SetHead { rev: *rev, at: *at, clock: *clock, by, origin: *origin, why, versions };
        log.put(Tree::Log, *rev, head, entries.iter())?;
        log.sync()?;
        self.logged += entries.len().max(1);
        let mut head = self.head.clone();
        head.rev = *rev;
        head.versions.extend(prepared.versions.clone());
        // What these changes heal is healed with them.
        let healed = |table: &Table| prepared.versions.contains_key(table);
        head.damaged = self.register.damaged().iter().copied().filter(|table| !healed(table)).collect();
        self.save_head(head)
    }

    fn save_head(&mut self, head: Head) -> Result<(), RegisterError> {
        let json =
            serde_json::to_vec(&head).map_err(|error| RegisterError::Log(LogError::Io(io::Error::other(error))))?;
        self.state.save(HEAD, &json)?;
        self.head = head;
        Ok(())
    }

    /// Forgets persons: commits the changes that take them away, destroys their keys, and writes the log anew without them.
    ///
    /// # Errors
    /// [`RegisterError`]; what is left is done by [`RegisterStore::sweep`].
    pub fn forget(&mut self, prepared: &Prepared, persons: &[PersonRef]) -> Result<(), RegisterError> {
        self.apply(prepared, BTreeMap::new())?;
        self.vault.destroy(persons)?;
        self.compact()
    }

    /// Destroys the data of persons whom the register does not know (a crash came between its forgetting and theirs). Returns
    /// how many.
    ///
    /// # Errors
    /// [`RegisterError`].
    pub fn sweep(&mut self) -> Result<usize, RegisterError> {
        if !self.register.damaged().is_empty() {
            return Ok(0); // their rows may come back with the list
        }
        let orphans = self.vault.people().filter(|person| self.register.person(person).is_none());
        let orphans: Vec<PersonRef> = orphans.cloned().collect();
        if !orphans.is_empty() {
            self.vault.destroy(&orphans)?;
        }
        Ok(orphans.len())
    }

    /// Writes the log anew: a snapshot of the rows, and of what was before only who changed what.
    ///
    /// # Errors
    /// [`RegisterError`]; the old log stays in force.
    pub fn compact(&mut self) -> Result<(), RegisterError> {
        let generation = self.head.generation + 1;
        let path = self.path(generation);
        remove_folder(&path).map_err(at(&path))?;
        let fresh = Log::open(&path)?;
        let (rev, versions) = (self.register.rev(), self.register.versions().clone());
        let base = Base { rev, versions, rows: self.register.rows().count() };
        fresh.put(Tree::Rows, 0, base, self.register.rows())?;
        self.copy_past(&fresh)?;
        fresh.sync()?;
        let damaged = self.register.damaged().clone();
        let mut versions = self.head.versions.clone();
        versions.extend(self.register.versions().clone());
        let old = self.path(self.head.generation);
        self.save_head(Head { generation, base: rev, rev, versions, damaged })?;
        self.log.replace(fresh).into_iter().for_each(Log::close);
        self.logged = 0;
        remove_folder(&old).map_err(at(&old))
    }

    fn copy_past(&self, fresh: &Log) -> Result<(), RegisterError> {
        let Some(log) = &self.log else { return Ok(()) };
        let past = [Tree::Past, Tree::Log].map(|tree| log.revs(tree).map(|revs| (tree, revs)));
        let mut all = Vec::new();
        for found in past {
            let (tree, revs) = found?;
            all.extend(revs.into_iter().filter(|rev| *rev <= self.register.rev()).map(|rev| (tree, rev)));
        }
        let skip = all.len().saturating_sub(MAX_PAST);
        for (tree, rev) in all.into_iter().skip(skip) {
            if let Some((head, entries)) = log.get::<SetHead, Entry>(tree, rev)? {
                let bare = entries.into_iter().map(|entry| Entry { row: None, ..entry });
                fresh.put(Tree::Past, rev, head, bare)?;
            }
        }
        Ok(())
    }

    /// Returns who changed a row, and when, the newest first, at most so many: each with the entry of that row alone. Its
    /// `row` is absent where the log was written anew since; the digests stay.
    ///
    /// # Errors
    /// [`RegisterError`].
    pub fn history(&self, key: &Key, most: usize) -> Result<Vec<Prepared>, RegisterError> {
        let Some(log) = &self.log else { return Ok(Vec::new()) };
        let mut found = Vec::new();
        for tree in [Tree::Log, Tree::Past] {
            for rev in log.revs(tree)?.into_iter().rev() {
                if found.len() >= most {
                    return Ok(found);
                }
                let Some((head, entries)) = log.get::<SetHead, Entry>(tree, rev)? else { continue };
                let entries: Vec<Entry> = entries.into_iter().filter(|entry| entry.key == *key).collect();
                if !entries.is_empty() && rev <= self.register.rev() {
                    found.push(prepared_of(head, entries));
                }
            }
        }
        Ok(found)
    }

    /// Removes generations that are not in force: a crash came between the new one and the end of the old one.
    fn clear_away(&self) {
        for old in generations(&self.dir).into_iter().filter(|generation| *generation != self.head.generation) {
            if let Err(error) = remove_folder(&self.path(old)) {
                tracing::warn!(%error, "An old log of the register cannot be removed.");
            }
        }
    }

    fn path(&self, generation: u64) -> PathBuf {
        self.dir.join(name_of(generation))
    }

    fn keep_ballast(&self) {
        let path = self.dir.join("ballast");
        if !path.exists()
            && let Err(error) = disk::allocate(&path, BALLAST_BYTES)
        {
            tracing::warn!(%error, "There is no room for the register's ballast.");
        }
    }
}

/// What was found on the disk.
struct Loaded {
    register: Register,
    log: Option<Log>,
    logged: usize,
    whole: bool,
}

/// Returns the head, and whether both of its files were lost: then the newest generation is looked through.
fn load_head(dir: &Path, state: &State) -> Result<(Head, bool), RegisterError> {
    let found = match state.load(HEAD) {
        Ok(None) => return Ok((Head::default(), false)),
        Ok(Some(bytes)) => serde_json::from_slice(&bytes).ok(),
        Err(StateError::Damaged { .. }) => None,
        Err(error) => return Err(error.into()),
    };
    let newest = || Head { generation: generations(dir).into_iter().max().unwrap_or(0), ..Head::default() };
    Ok(found.map_or_else(|| (newest(), true), |head| (head, false)))
}

/// The generations that have a folder.
fn generations(dir: &Path) -> Vec<u64> {
    let Ok(entries) = std::fs::read_dir(dir) else { return Vec::new() };
    let names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
    names.filter(|name| name.len() == 8).filter_map(|name| u64::from_str_radix(&name, 16).ok()).collect()
}

fn load(dir: &Path, head: &Head) -> Result<Loaded, RegisterError> {
    let path = dir.join(name_of(head.generation));
    let nothing = |whole| Loaded { register: bare(head), log: None, logged: 0, whole };
    if head.rev > 0 && !path.exists() {
        return Ok(nothing(false));
    }
    let log = match open_with_room(dir, &path) {
        Ok(log) => log,
        Err(LogError::Io(source)) => return Err(RegisterError::Io { path, source }),
        Err(LogError::Sled(why)) => {
            tracing::error!(%why, "The register's log is damaged and put aside.");
            put_aside(&path).map_err(at(&path))?;
            return Ok(nothing(false));
        }
    };
    match read_all(&log, head) {
        Ok((register, logged, whole)) => Ok(Loaded { register, log: Some(log), logged, whole }),
        Err(LogError::Io(source)) => Err(RegisterError::Io { path, source }),
        Err(LogError::Sled(why)) => {
            tracing::error!(%why, "The register's log is damaged and put aside.");
            log.close();
            put_aside(&path).map_err(at(&path))?;
            Ok(nothing(false))
        }
    }
}

/// A register without rows that goes on with the numbers that the head remembers.
fn bare(head: &Head) -> Register {
    Register::restore(head.rev, head.versions.clone(), [])
}

fn read_all(log: &Log, head: &Head) -> Result<(Register, usize, bool), LogError> {
    let (mut register, mut whole) = match log.get::<Base, Held>(Tree::Rows, 0)? {
        Some((base, rows)) if base.rows == rows.len() => (Register::restore(base.rev, base.versions, rows), true),
        _ => (Register::restore(head.base, BTreeMap::new(), []), head.base == 0),
    };
    let mut logged = 0;
    for rev in log.revs(Tree::Log)? {
        let Some((head_of_set, entries)) = log.get::<SetHead, Entry>(Tree::Log, rev)? else {
            // Beyond the head it is a set that was cut off, and never was one.
            whole &= rev > head.rev;
            break;
        };
        logged += entries.len().max(1);
        let prepared = prepared_of(head_of_set, entries);
        if !register.commit(&prepared) {
            whole = false;
            break;
        }
    }
    head.damaged.iter().for_each(|table| register.mark_damaged(*table));
    if register.rev() < head.rev {
        // What is missing is lost; the numbers go on where they were.
        let rows: Vec<Held> = register.rows().cloned().collect();
        return Ok((Register::restore(head.rev, head.versions.clone(), rows), logged, false));
    }
    Ok((register, logged, whole))
}

fn prepared_of(head: SetHead, entries: Vec<Entry>) -> Prepared {
    let SetHead { rev, at, clock, by, origin, why, versions } = head;
    Prepared { rev, at, clock, by, origin, why, entries, versions }
}

/// On a full disk sled cannot even be opened: then the ballast is given up.
fn open_with_room(dir: &Path, path: &Path) -> Result<Log, LogError> {
    match Log::open(path) {
        Err(LogError::Io(error)) if disk::is_full(&error) => {
            disk::remove_file_if_there(&dir.join("ballast"))?;
            Log::open(path)
        }
        other => other,
    }
}

fn name_of(generation: u64) -> String {
    format!("{generation:08x}")
}

/// Puts a damaged log aside, for who wants to look into it; one, the newest.
fn put_aside(path: &Path) -> io::Result<()> {
    let aside = path.with_file_name("damaged");
    remove_folder(&aside)?;
    match std::fs::rename(path, &aside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn remove_folder(path: &Path) -> io::Result<()> {
    match std::fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> RegisterError {
    let path = path.to_owned();
    move |source| RegisterError::Io { path, source }
}
