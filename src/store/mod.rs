//! Owns the SQLite file: schema, the writer thread, the reader threads, history.
//! It must not decide: it writes what the core asks for, and reads what clients ask for.

mod alerts;
mod checkpoint;
mod fold;
mod history;
mod load;
mod migrations;
mod open;
mod reader;
mod retention;
mod rows;
mod tail;
mod writer;

#[cfg(test)]
mod tests;

pub use alerts::{AlertPage, AlertState, AlertUpdate, PendingAlert, StoredAlert};
pub use history::{Answer, ExecutionPage, ExecutionRecord, Query, ReadError};
pub use load::{Loaded, load};
pub use open::{OpenError, Store};
pub use reader::Readers;
pub use retention::Keep;
pub use writer::{Batch, Writer, WriterEvent};
