//! Owns the SQLite file: schema, the writer thread, the reader threads, fold and retention.
//! It must not be known outside the store but by its doors.
//!
//! In reading order: `open` (which file is ours), `migrations` and `rows` (what is in it), `load` (a start), `writer`
//! with `commit`, and `fold`, `retention`, `ageing`, `checkpoint` beside it, each a `chore`, `reader` with `history`
//! (pages), `strips`, `single` executions and `series`; `index` with `chunk` and `stand`, `rollups`,
//! `tombstones`, `secrets`, which `reseal` gives another key, and tokens in a `token_file`. `spoken` is how SQLite carries out what the other tables say. A `backup` is a copy of all of it, made as `copying` says, out of a `part`, with a `seal`;
//! `whole` tells whether a file is one, `look` what is in it and whether its tables fit together (`invariants`, `sums`), and `restore`
//! puts it in place of a database. Into a file, or out of it, everything is `moving` in a migration. `fill` makes a long history for measurements, `alone` measures SQLite itself, `subject` takes the steps of the threads one by one for tests.

mod ageing;
mod alone;
mod backup;
#[cfg(test)]
mod backup_tests;
mod checkpoint;
mod chore;
mod chunk;
mod commit;
mod copying;
mod fill;
mod fold;
mod history;
mod index;
mod invariants;
mod load;
mod look;
mod migrations;
mod moving;
mod open;
mod part;
#[cfg(test)]
mod plan_tests;
mod reader;
mod reseal;
mod restore;
mod retention;
mod rollups;
mod rows;
mod seal;
mod secrets;
mod series;
mod single;
mod spoken;
mod stand;
mod strips;
mod sums;
mod token_file;
mod tombstones;
mod whole;
mod writer;

#[cfg(test)]
mod subject;

pub use alone::creations_alone;
pub use backup::{BackedUp, BackupSource};
pub use copying::{CopyError, Progress, Watch};
pub use fill::fill;
pub use look::{Examined, Look, SecretsState};
pub(in crate::store) use moving::FileSide;
pub use open::{Looked, OpenError, Store};
pub use reseal::{ResealError, Resealed};
pub use restore::{Prepared, Replaced};
#[cfg(test)]
pub(in crate::store) use subject::Subject;
pub use token_file::TokenFile;
