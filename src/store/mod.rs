//! Owns what is kept: it has one door for writing and one for reading, and behind them a backend.
//! It must not decide: it writes what the core asks for, and reads what clients ask for.
//!
//! `messages` is all that the house knows of it. `sqlite` is the backend: the only place that knows SQL.

mod messages;
#[cfg(test)]
mod secrets_tests;
mod sqlite;
#[cfg(test)]
mod tests;

pub use messages::{
    AlertPage, AlertState, AlertUpdate, Answer, Batch, ExecutionPage, ExecutionRecord, Filter, FoundJobs, JobSearch,
    Keep, KeyedAnswer, Loaded, Query, ReadError, SearchPlace, StoredAlert, StoredAnswer, WriterEvent,
};
pub use sqlite::{OpenError, Readers, Store, Writer, fill};
