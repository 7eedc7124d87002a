//! Owns the database on a PostgreSQL server: schema, the writer of a node, readers, retention.
//! It must not be known outside the store but by its doors.
//!
//! In reading order: `schema` (what is in it), `session` (how statements get there), `open` (which database, and being one of
//! its nodes); the threads of a `node` are the `writer` with `batch`, whose executions are `columns` and whose jobs have `homes`, and with `taking` over;
//! a `loader` that can `load` what was taken; the `lookout` for the other nodes, with `requests` that they pass on, and a `listener`;
//! and, beside history's `partitions`, a `keeper` with `counts` of what ended, `retention` and `ageing`. There is a `reader` with `history` (pages), `single` executions, `strips`, `series`, and `placing` (who has which jobs).
//! A database may be `borrowed` for a while, to measure with; a `look` tells what its server is.
//! Out of a database or into it everything is `moving` in a migration, by `packing` rows.
//! `subject` takes the steps of the threads one by one for tests.

mod ageing;
mod batch;
mod borrowed;
mod columns;
mod counts;
mod history;
mod homes;
mod keeper;
mod listener;
mod load;
mod loader;
mod look;
mod lookout;
mod moving;
mod node;
mod open;
mod packing;
mod partitions;
mod placing;
mod reader;
mod requests;
mod retention;
mod schema;
mod series;
mod session;
mod single;
mod strips;
mod taking;
mod writer;

#[cfg(test)]
mod counts_tests;
#[cfg(test)]
mod lookout_tests;
#[cfg(test)]
mod subject;
#[cfg(test)]
mod tests;

pub use borrowed::{Became, Borrowed};
pub use look::{ServerLook, Usable, look_at};
pub(in crate::store) use moving::ServerSide;
pub(in crate::store) use node::start;
pub use open::{OpenError, Store};
pub(in crate::store) use reader::readers;
#[cfg(test)]
pub(in crate::store) use subject::Subject;
