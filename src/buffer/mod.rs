//! The durable store.

mod appender;
mod batch;
mod delivered;
mod files;
mod journal;
mod keeper;
mod ledger;
mod manifest;
mod marks;
mod mend;
mod reader;
mod recovery;
mod retention;
mod salvage;
mod segment;
pub mod settings;
mod shared;
mod shelf;
mod store;
mod writer;

pub use appender::Appender;
pub use batch::MAX_BODY;
pub use reader::{Page, ReadError};
pub use recovery::OpenError;
pub use store::{CloseError, LastSeen, Opened, Start, Store, open};
