//! Owns what is kept: it has one door for writing and one for reading, and behind them a backend.
//! It must not decide: it writes what the core asks for, and reads what clients ask for.
//!
//! A `database` is a file or on a server, `writing` and `reading` are its doors, and `sharing` that of what has to do with other servers. `messages` is all that the house knows of it, with `audit` (who did what), `incidents` (what was wrong, and who was told),
//! `views` (jobs as they are shown from the database)
//! and `housekeeping` (how often old things are moved and go). `sqlite` and `postgres` are the backends: nobody else knows SQL. What any backend
//! keeps of time series is pure: `steps` (which of them there are), `rollup` (what is known of one, and its bytes),
//! `sketch` (how values are distributed), `varint`. What any backend keeps in `tables` is written and read once, over `sql`: what the
//! two databases have in common. A `migration` moves all of it from one to the other. A `finding` is what a look at a database may find wrong; a
//! `subject` is a store under test, whichever backend it has.

mod audit;
mod database;
mod finding;
mod housekeeping;
mod incidents;
#[cfg(test)]
mod incidents_tests;
mod messages;
mod migration;
mod postgres;
mod reading;
mod rollup;
#[cfg(test)]
mod secrets_tests;
#[cfg(test)]
mod series_tests;
#[cfg(test)]
mod settings_tests;
mod sharing;
mod sketch;
mod sql;
mod sqlite;
mod steps;
#[cfg(test)]
mod strips_tests;
#[cfg(test)]
mod subject;
mod tables;
#[cfg(test)]
mod tests;
mod varint;
mod views;
#[cfg(test)]
mod views_tests;
mod writing;

pub use audit::{
    AuditPage, AuditQuery, AuditRecord, AuditRow, Difference, Differing, members_between, shown, values_between,
};
pub use database::{Database, DatabaseError, Location};
pub use finding::Finding;
pub use housekeeping::Housekeeping;
pub use incidents::{ChannelHealth, Delivery, IncidentPage, IncidentQuery, SentMessage, UndeliveredMessage};
pub use messages::{
    AlertPage, AlertState, AlertUpdate, Answer, Batch, Called, Distribution, ExecutionPage, ExecutionRecord, Filter,
    FoundJobs, JobSearch, Keep, KeyedAnswer, Loaded, Obstacle, Query, ReadError, SearchPlace, Series, SeriesPoint,
    StoredAlert, StoredAnswer, Strip, StripRun, WriterEvent,
};
pub use migration::{Compared, Migrated, MigrationError, Moving, migrate};
pub use postgres::{Became, Borrowed, ServerLook, Usable, look_at};
pub use reading::Readers;
pub use sharing::{Ask, Forwarded, NodeInfo, Owner, SharedConfig, SharedEvent, Sharing, Sight, Taken, Unplaced};
pub use sqlite::{
    BackedUp, BackupSource, CopyError, Examined, Look, Looked, OpenError, Prepared, Progress, Replaced, ResealError,
    Resealed, SecretsState, Store, TokenFile, Watch, creations_alone, fill,
};
pub use views::{JobsAsked, JobsFound, NextJobs};
pub use writing::Writer;
