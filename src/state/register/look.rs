//! What people look at in the register ([`Look`]), as one value or as rows: the same for who asks the running gateway and for
//! who looks into its folder while none runs.

use serde::Serialize;

use super::{RegisterError, RegisterStore};
use crate::domain::gate::register::Held;
use crate::domain::gate::register::change::Prepared;
use crate::domain::gate::register::look::{Look, TableView};

/// Changes of one row that are told, the newest first.
const MAX_HISTORY: usize = 20;

/// What was found.
#[derive(Debug)]
pub enum Looked {
    /// How the register stands.
    Tables(Standing),
    /// One row with its changes; more than one of a plate with several colours.
    Row(Vec<Past>),
    /// Rows.
    Rows(Vec<Held>),
}

/// How the register stands.
#[derive(Debug, Serialize)]
pub struct Standing {
    /// Its revision.
    pub rev: u64,
    /// Its tables.
    pub tables: Vec<TableView>,
}

/// A row with who changed it, and when.
#[derive(Debug, Serialize)]
pub struct Past {
    /// The row as it is held.
    #[serde(flatten)]
    pub held: Held,
    /// Its changes, the newest first.
    pub history: Vec<Step>,
}

/// A change of a row.
#[derive(Debug, Serialize)]
pub struct Step {
    /// The revision that it made.
    pub rev: u64,
    /// When, UTC.
    pub at: String,
    /// Who.
    pub by: String,
    /// What for.
    pub why: String,
}

impl Looked {
    /// Returns it as JSON, a value for each line of an answer.
    ///
    /// # Errors
    /// In words: it is no JSON.
    pub fn lines(self) -> impl Iterator<Item = Result<serde_json::Value, String>> {
        let (tables, past, rows) = match self {
            Self::Tables(tables) => (Some(tables), Vec::new(), Vec::new()),
            Self::Row(past) => (None, past, Vec::new()),
            Self::Rows(rows) => (None, Vec::new(), rows),
        };
        let tables = tables.into_iter().map(serde_json::to_value);
        let past = past.into_iter().map(serde_json::to_value);
        let rows = rows.into_iter().map(serde_json::to_value);
        tables.chain(past).chain(rows).map(|value| value.map_err(|error| error.to_string()))
    }
}

impl RegisterStore {
    /// Looks at the register.
    ///
    /// # Errors
    /// [`RegisterError`]: the history of a row cannot be read.
    pub fn look(&self, look: &Look) -> Result<Looked, RegisterError> {
        let register = self.register();
        Ok(match look {
            Look::Tables => Looked::Tables(Standing { rev: register.rev(), tables: register.tables() }),
            Look::Permits { stage } => Looked::Rows(register.permits_in(*stage).cloned().collect()),
            Look::Rows { table } => Looked::Rows(register.rows_of(*table).cloned().collect()),
            Look::Row { table, id } => {
                let past = |held: &Held| {
                    let history = self.history(&held.row.key(), MAX_HISTORY)?;
                    Ok(Past { held: held.clone(), history: history.into_iter().map(step).collect() })
                };
                let found: Result<Vec<Past>, RegisterError> =
                    register.meant(*table, id).into_iter().map(past).collect();
                Looked::Row(found?)
            }
        })
    }
}

fn step(set: Prepared) -> Step {
    let Prepared { rev, at, by, why, .. } = set;
    Step { rev, at: at.to_string(), by: by.name, why }
}
