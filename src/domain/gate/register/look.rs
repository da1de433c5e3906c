//! What people look at in the register: how its tables stand, the permits that wait for them, one row, a whole table.
//!
//! Rows are told as they are held: persons by reference, what they show by digest. Names and numbers stand apart, and are not
//! told here.

use serde::{Deserialize, Serialize};

use super::permit::PermitStage;
use super::row::{Key, Row, Table};
use super::{Held, Register};
use crate::domain::gate::plate::{Plate, PlateColour};
use crate::domain::gate::word::{CompanyId, ListingId, PermitId, PersonRef};
use crate::domain::time::Timestamp;

/// What is looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "snake_case", deny_unknown_fields)]
pub enum Look {
    /// How the tables stand.
    Tables,
    /// Permits in a stage of their approval; where none is named, those that wait for somebody.
    Permits {
        /// The stage.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        stage: Option<PermitStage>,
    },
    /// One row.
    Row {
        /// Of this table.
        table: Table,
        /// Its id: number of a permit or of an entry of a list, plate, USCC, reference of a person.
        id: String,
    },
    /// A whole table.
    Rows {
        /// Which.
        table: Table,
    },
}

/// How a table stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableView {
    /// Which.
    pub table: Table,
    /// Rows that it has.
    pub rows: usize,
    /// Version of the platform's list; 0 where the table is filled here, absent where it never was.
    pub version: Option<u64>,
    /// When it was current; absent where a clock could not be trusted.
    pub as_of: Option<Timestamp>,
    /// Whether rows of it were lost: it takes a whole list only.
    pub damaged: bool,
}

impl Register {
    /// Returns how its tables stand.
    pub fn tables(&self) -> Vec<TableView> {
        let view = |table: &Table| {
            let held = self.versions.get(table);
            TableView {
                table: *table,
                rows: self.count(*table),
                version: held.map(|held| held.version),
                as_of: held.and_then(|held| held.as_of),
                damaged: self.damaged.contains(table),
            }
        };
        Table::ALL.iter().map(view).collect()
    }

    /// Returns the rows of a table, by key.
    pub fn rows_of(&self, table: Table) -> impl Iterator<Item = &Held> {
        self.rows.iter().filter(move |(key, _)| key.table() == table).map(|(_, held)| held)
    }

    /// Returns the permits in this stage; where none is named, those that wait for somebody.
    pub fn permits_in(&self, stage: Option<PermitStage>) -> impl Iterator<Item = &Held> {
        let wanted = move |held: &&Held| {
            held.row.as_permit().is_some_and(|permit| match stage {
                Some(stage) => permit.stage == stage,
                None => matches!(permit.stage, PermitStage::WaitingEnterprise | PermitStage::WaitingPark),
            })
        };
        self.rows_of(Table::Permits).filter(wanted)
    }

    /// Returns the rows of a table that this may mean: of a plate, as many as there are colours of it.
    pub fn meant(&self, table: Table, id: &str) -> Vec<&Held> {
        let key = match table {
            Table::Companies => Key::Company(CompanyId::new(id)),
            Table::Persons => Key::Person(PersonRef::new(id)),
            Table::Lists => Key::Listing(ListingId::new(id)),
            Table::Permits => Key::Permit(PermitId::new(id)),
            Table::Vehicles => {
                let plate = Plate::new(id, PlateColour::Unknown);
                let keys = self.vehicles(&plate).map(|vehicle| Row::Vehicle(vehicle.clone()).key());
                return keys.filter_map(|key| self.get(&key)).collect();
            }
        };
        self.get(&key).into_iter().collect()
    }
}
