//! The waybills and what was looked at for them, as they are kept over a restart: line by line as they change, because there are a
//! year's of them, and writing them all anew with each vehicle that passes would hold up the next one.
//!
//! A line says how one thing stands from now on, so that of each thing only the last one counts, and one that is read twice does no
//! harm.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::book::Entry;
use super::checks::Answer;
use crate::domain::gate::word::{ManifestNo, WaybillNo};

/// How one thing stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Line {
    /// The version of the platform's list.
    Version(u64),
    /// A waybill.
    Waybill(Arc<Entry>),
    /// One that was taken away, with its manifest: neither number is ever used again.
    Gone {
        /// Its number.
        number: WaybillNo,
        /// That of its manifest.
        manifest: Option<ManifestNo>,
    },
    /// What was found for a waybill, by item.
    Checks {
        /// The waybill.
        number: WaybillNo,
        /// The answers.
        answers: BTreeMap<String, Answer>,
    },
}

/// What a line is about; in this order they are read back.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Thing {
    /// The version.
    Version,
    /// A waybill, whether it is there or gone.
    Waybill(WaybillNo),
    /// What was found for it.
    Checks(WaybillNo),
}

impl Line {
    /// Returns what it is about.
    pub fn thing(&self) -> Thing {
        match self {
            Self::Version(_) => Thing::Version,
            Self::Waybill(entry) => Thing::Waybill(entry.waybill.number.clone()),
            Self::Gone { number, .. } => Thing::Waybill(number.clone()),
            Self::Checks { number, .. } => Thing::Checks(number.clone()),
        }
    }
}

/// Leaves of each thing the last line. What was found for a waybill goes with it.
pub fn folded(lines: impl IntoIterator<Item = Line>) -> Vec<Line> {
    let mut last: BTreeMap<Thing, Line> = BTreeMap::new();
    for line in lines {
        if let Line::Gone { number, .. } = &line {
            last.remove(&Thing::Checks(number.clone()));
        }
        last.insert(line.thing(), line);
    }
    last.into_values().collect()
}
