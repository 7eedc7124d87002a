//! Owns the readers' list of the ledger's rows, by job and by time: the ledger itself has no index but its order.
//! It must not be believed: it says where a row may be, and the row itself is read from the store.

use std::collections::BTreeSet;
use std::time::Instant;

use rusqlite::Connection;

use super::rows;
use crate::core::{ExecutionKey, Seq};
use crate::job::JobKey;
use crate::limits::TAIL_AGE_MAX;

/// The ledger's rows, as far as some reader has seen them. Rows that were folded or taken back since may still be
/// listed; new ones are added before each use.
#[derive(Debug, Default)]
pub(super) struct Tail {
    by_job: BTreeSet<(JobKey, Seq)>,
    by_time: BTreeSet<(ExecutionKey, Seq)>,
    through: i64,
    made: Option<Instant>,
}

impl Tail {
    /// Adds what came since; now and then begins anew, which drops what is no longer there.
    pub(super) fn refresh(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        if self.made.is_none_or(|made| made.elapsed() > TAIL_AGE_MAX) {
            *self = Tail { made: Some(Instant::now()), ..Tail::default() };
        }
        let mut statement = connection.prepare_cached(rows::SELECT_KEYS)?;
        let mut found = statement.query([self.through])?;
        while let Some(row) = found.next()? {
            let (seq, key) = (Seq(rows::unsigned(row, 0)?), rows::read_key(row, 1)?);
            self.by_job.insert((key.job, seq));
            self.by_time.insert((key, seq));
            self.through = rows::integer(seq.0);
        }
        Ok(())
    }

    /// The numbers of a job's rows.
    pub(super) fn of_job(&self, job: JobKey) -> Vec<Seq> {
        self.by_job.range((job, Seq(0))..=(job, Seq(u64::MAX))).map(|&(_, seq)| seq).collect()
    }

    /// Up to `most` rows older than `before`, newest first.
    pub(super) fn newest(&self, before: ExecutionKey, most: usize) -> Vec<(ExecutionKey, Seq)> {
        self.by_time.range(..(before, Seq(0))).rev().take(most).copied().collect()
    }
}
