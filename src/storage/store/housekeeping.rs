//! Owns how often the store keeps house, and how much at once.
//! It must not say how: each chore does.

use std::time::Duration;

use crate::limits;

/// How often the store keeps house, and how much at once. What suits a server is the default.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Housekeeping {
    /// How long finished rows rest in the ledger before they are folded.
    pub fold_every: Duration,
    /// Finished rows that one slice of the fold moves, at most [`limits::FOLD_SLICE_ROWS`].
    pub fold_slice_rows: u32,
    /// The rest between two sweeps of retention.
    pub retain_every: Duration,
    /// How often it is looked whether the database is larger than it may be.
    pub retain_look_every: Duration,
    /// Rows that one slice of retention deletes.
    pub retain_slice_rows: u32,
    /// How often deleted jobs that no row needs are looked for.
    pub tombstones_every: Duration,
    /// How often it is looked whether hours of series are to become days.
    pub series_look_every: Duration,
    /// How often the checkpointer looks at the write-ahead log.
    pub checkpoint_every: Duration,
    /// The size of the write-ahead log from which it is worth a checkpoint, in bytes.
    pub checkpoint_wal_min: u64,
    /// The size of the write-ahead log above which the writer truncates it itself, in bytes.
    pub wal_len_max: u64,
    /// The wait between two tries of a batch that failed.
    pub write_retry_wait: Duration,
    /// The rest of a chore that failed before it is tried again; it doubles.
    pub chore_rest: Duration,
}

impl Default for Housekeeping {
    fn default() -> Housekeeping {
        Housekeeping {
            fold_every: limits::FOLD_EVERY,
            fold_slice_rows: limits::FOLD_SLICE_ROWS,
            retain_every: limits::RETENTION_EVERY,
            retain_look_every: limits::RETENTION_LOOK_EVERY,
            retain_slice_rows: limits::RETENTION_SLICE_ROWS,
            tombstones_every: limits::TOMBSTONES_EVERY,
            series_look_every: limits::SERIES_LOOK_EVERY,
            checkpoint_every: limits::CHECKPOINT_EVERY,
            checkpoint_wal_min: limits::CHECKPOINT_WAL_MIN,
            wal_len_max: limits::WAL_LEN_MAX,
            write_retry_wait: limits::WRITE_RETRY_WAIT,
            chore_rest: limits::CHORE_REST,
        }
    }
}
