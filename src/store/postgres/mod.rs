//! Owns the database on a PostgreSQL server: schema, the writer of a node, readers, retention.
//! It must not be known outside the store but by its doors.
//!
//! In reading order: `schema` (what is in it), `session` (how statements get there), `open` (which database, and this server's
//! place among its nodes), `load` (a start), `writer` with `batch`, whose executions are `columns` and whose jobs have `homes`, history's `partitions`,
//! and a `keeper` with `counts` of what ended, `retention` and `ageing`; `reader` with `history` (pages), `single` executions, `strips` and `series`.
//! Out of a database or into it everything is `moving` in a migration, by `packing` rows.
//! `subject` takes the steps of the threads one by one for tests.

mod ageing;
mod batch;
mod columns;
mod counts;
mod history;
mod homes;
mod keeper;
mod load;
mod moving;
mod open;
mod packing;
mod partitions;
mod reader;
mod retention;
mod schema;
mod series;
mod session;
mod single;
mod strips;
mod writer;

#[cfg(test)]
mod subject;
#[cfg(test)]
mod tests;

pub(in crate::store) use moving::ServerSide;
pub use open::{OpenError, Store};
pub(in crate::store) use reader::readers;
#[cfg(test)]
pub(in crate::store) use subject::Subject;
pub(in crate::store) use writer::start;
