//! Owns the SQLite file: schema, the writer thread, the reader threads, fold and retention.
//! It must not be known outside the store but by its doors.
//!
//! In reading order: `open` (which file is ours), `migrations` and `rows` (what is in it), `load` (a start), `writer`
//! with `fold`, `retention`, `ageing`, `checkpoint` beside it, each a `chore`, `reader` with `history`
//! (pages), `strips`, `single` executions, `found` jobs and `series`; `index` with `stand`, `rollups`, `alerts`, `calendars`,
//! idempotency `keys`, `tombstones`, `secrets`, which `reseal` gives another key, `tokens` and the `audit` log. `fill` makes a long history for measurements, `subject` takes the steps of the threads one by one for tests.

mod ageing;
mod alerts;
mod audit;
mod calendars;
mod checkpoint;
mod chore;
mod fill;
mod fold;
mod found;
mod history;
mod index;
mod keys;
mod load;
mod migrations;
mod open;
mod reader;
mod reseal;
mod retention;
mod rollups;
mod rows;
mod secrets;
mod series;
mod single;
mod stand;
mod strips;
mod tokens;
mod tombstones;
mod writer;

#[cfg(test)]
mod subject;

pub use fill::fill;
pub use open::{Looked, OpenError, Store};
pub use reader::Readers;
pub use reseal::{ResealError, Resealed};
#[cfg(test)]
pub(in crate::store) use subject::Subject;
pub use tokens::TokenFile;
pub use writer::Writer;
