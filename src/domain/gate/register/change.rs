//! How the register changes: a set of changes is prepared against the register as it is, made durable by the caller, and then
//! committed. What cannot be prepared changes nothing.
//!
//! # Who owns a row
//!
//! | row is of | the platform puts it | the platform takes it away | a person here puts or takes it |
//! |---|---|---|---|
//! | nobody | the platform's | – | local |
//! | the platform | newer form | gone | refused: change it at the platform |
//! | local | becomes the platform's | stays: it is not the platform's to take | newer form |
//!
//! Uses of a permit are the gateway's own count in every row. Persons who are only named in a permit are local.
//!
//! # Versions
//!
//! Each table has the platform's version, which never goes back. A whole list replaces what the platform owns in it; a delta
//! that is not based on the version that is held asks for the whole, and changes nothing.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::draft::{Draft, KeyDraft};
use super::row::{Key, Row, Table};
use crate::domain::actor::{Actor, Refused};
use crate::domain::audit::{AuditResult, Deed, Digest};
use crate::domain::time::{ClockTrust, Timestamp};

/// Most rows of one message or file; a park's largest table fits.
pub const MAX_ROWS: usize = 100_000;
/// Most bytes of one row in its stored form.
pub const MAX_ROW_BYTES: usize = 64 * 1024;
/// Most keys that a refusal names; it says how many there are.
const MAX_NAMED: usize = 5;

/// Whose row it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Owner {
    /// People at the gateway: files, the page, the command line.
    Local,
    /// The platform.
    Platform,
}

/// By which way changes come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// People at the gateway.
    Local,
    /// The platform.
    Platform,
    /// The gateway's own account: uses of permits, what is over.
    Gateway,
}

/// A change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A row as it shall be.
    Put(Row),
    /// A row that shall be gone.
    Remove(Key),
}

impl Change {
    /// Returns the key that it is about.
    pub fn key(&self) -> Key {
        match self {
            Self::Put(row) => row.key(),
            Self::Remove(key) => key.clone(),
        }
    }
}

/// Changes that hold together: all of them or none.
#[derive(Clone, Debug, PartialEq)]
pub struct ChangeSet {
    /// Who.
    pub by: Actor,
    /// By which way.
    pub origin: Origin,
    /// What for: a file's name, a message's version.
    pub why: String,
    /// The changes.
    pub changes: Vec<Change>,
    /// Persons who are only named, added where they are not known.
    pub named: Vec<Row>,
    /// Version that a message brings.
    pub version: Option<(Table, Version)>,
}

/// What version of a table is held.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Version {
    /// The platform's number; 0: the table is filled here alone.
    pub version: u64,
    /// When it was current; absent when the clock could not be trusted.
    pub as_of: Option<Timestamp>,
    /// Digest of the message.
    pub digest: Digest,
}

/// A list from the platform. Signed, and verified before it comes here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Message {
    /// Which table.
    pub table: Table,
    /// Its version.
    pub version: u64,
    /// Of a delta, the version that it is to be laid over; absent: this is the whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<u64>,
    /// When it was current.
    pub as_of: Timestamp,
    /// Rows as they are; of a delta, those that are new or changed.
    #[serde(default)]
    pub rows: Vec<Draft>,
    /// Of a delta, what is gone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub removed: Vec<KeyDraft>,
}

/// What a message leads to.
#[derive(Debug)]
pub enum Received {
    /// Changes.
    Changes(Box<(ChangeSet, super::draft::Resolved)>),
    /// It is held already.
    Held,
    /// The whole list is needed; this version is held.
    AskWhole {
        /// Of which table.
        table: Table,
        /// 0: none.
        have: u64,
    },
}

/// One change as it is recorded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Which row.
    pub key: Key,
    /// The row afterwards; absent: it is gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub row: Option<Row>,
    /// Whose it is afterwards.
    pub owner: Owner,
    /// Digest before; absent: it was not there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Digest>,
    /// Digest afterwards.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Digest>,
}

/// A set of changes that fits the register, and becomes its next revision.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Prepared {
    /// The revision that it makes.
    pub rev: u64,
    /// When.
    pub at: Timestamp,
    /// Trust of the clock.
    pub clock: ClockTrust,
    /// Who.
    pub by: Actor,
    /// By which way.
    pub origin: Origin,
    /// What for.
    pub why: String,
    /// What changes.
    pub entries: Vec<Entry>,
    /// Versions that are held afterwards, where they change.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub versions: BTreeMap<Table, Version>,
}

impl Prepared {
    /// Returns whether nothing changes.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.versions.is_empty()
    }

    /// Returns it as a deed for the audit's chain: one for the whole set, whose digests are those over all of its rows.
    pub fn deed(&self) -> Deed {
        let over = |digest: fn(&Entry) -> Option<Digest>| {
            let all: Vec<u8> = self.entries.iter().flat_map(|entry| digest(entry).unwrap_or_default().0).collect();
            Some(Digest::of(&all))
        };
        let tables: BTreeSet<&str> = self.entries.iter().map(|entry| entry.key.table().as_str()).collect();
        Deed {
            actor: self.by.clone(),
            action: "register".into(),
            object: tables.into_iter().collect::<Vec<_>>().join(","),
            before: over(|entry| entry.before),
            after: over(|entry| entry.after),
            result: AuditResult::Done,
            detail: format!("rev {}: {} rows; {}", self.rev, self.entries.len(), self.why),
        }
    }

    /// Counts rows added, changed, and taken away.
    pub fn counts(&self) -> (usize, usize, usize) {
        let count = |kind: fn(&Entry) -> bool| self.entries.iter().filter(|entry| kind(entry)).count();
        (
            count(|e| e.before.is_none() && e.row.is_some()),
            count(|e| e.before.is_some() && e.row.is_some()),
            count(|e| e.row.is_none()),
        )
    }
}

/// Why changes are refused as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// These rows are the platform's.
    Owned(Vec<Key>),
    /// The table would hold more than it may.
    TooMany(Table),
    /// One set has more rows than it may.
    TooLarge,
    /// This row is longer than it may be, or has more uses than are counted.
    TooLong(Key),
    /// The same row twice in one set.
    Twice(Key),
    /// Two persons have the same credential.
    Shared(Key, Key),
    /// The message's version is older than what is held, or the same with other contents.
    Stale {
        /// Of which table.
        table: Table,
        /// What is held.
        have: u64,
    },
    /// A row of the message belongs to another table.
    Misplaced(Table),
    /// The state machine of a permit refused.
    Permit(Refused),
    /// There is no such row.
    Missing(Key),
}

impl Refusal {
    /// Returns it in words.
    pub fn words(&self) -> Refused {
        match self {
            Self::Owned(keys) => owned(keys),
            Self::TooMany(table) => {
                let most = table.most();
                Refused::new(
                    format!("“{}”超过 {most} 行", table.zh()),
                    format!("`{table}` would hold more than {most} rows"),
                )
            }
            Self::TooLarge => {
                Refused::new(format!("一次超过 {MAX_ROWS} 行"), format!("more than {MAX_ROWS} rows at once"))
            }
            Self::TooLong(key) => Refused::new(format!("{key} 内容过长"), format!("{key} is too long")),
            Self::Twice(key) => Refused::new(format!("{key} 出现两次"), format!("{key} is there twice")),
            Self::Shared(one, two) => Refused::new(
                format!("{one} 与 {two} 使用同一张卡或同一证件"),
                format!("{one} and {two} have the same card or document"),
            ),
            Self::Stale { table, have } => Refused::new(
                format!("“{}”已有版本 {have}，不能退回", table.zh()),
                format!("version {have} of `{table}` is held; it never goes back"),
            ),
            Self::Misplaced(table) => Refused::new(
                format!("“{}”的消息中有其他表的行", table.zh()),
                format!("a message of `{table}` has rows of another table"),
            ),
            Self::Permit(refused) => refused.clone(),
            Self::Missing(key) => Refused::new(format!("没有 {key}"), format!("there is no {key}")),
        }
    }
}

fn owned(keys: &[Key]) -> Refused {
    let some: Vec<String> = keys.iter().take(MAX_NAMED).map(ToString::to_string).collect();
    let (n, some) = (keys.len(), some.join(", "));
    Refused::new(
        format!("{n} 行由平台管理，请在平台修改：{some}"),
        format!("{n} rows are the platform's, change them there: {some}"),
    )
}

/// The newest form of each change, by key; a key twice is refused.
pub(super) fn by_key(changes: Vec<Change>) -> Result<BTreeMap<Key, Option<Row>>, Refusal> {
    let mut all = BTreeMap::new();
    for change in changes {
        let key = change.key();
        let row = match change {
            Change::Put(row) => Some(row),
            Change::Remove(_) => None,
        };
        if all.insert(key.clone(), row).is_some() {
            return Err(Refusal::Twice(key));
        }
    }
    Ok(all)
}
