//! Owns the sweep of tombstones: deleted jobs that no row needs any more.
//! It must not look through the ledger: the index knows whose rows it holds; nor touch rollups, which age out: those of
//! one job lie on as many pages as it has hours and days.

use std::collections::HashSet;
use std::time::Instant;

use rusqlite::{Connection, params};

use super::index::Index;
use crate::job::JobKey;
use crate::store::tables::rows::raise_mark;

/// A sweep over all tombstones, in the order of their deletion, in slices.
#[derive(Debug)]
pub(super) struct Tombstones {
    /// Jobs whose rows are in the ledger: those stay.
    owners: HashSet<JobKey>,
    /// Jobs that were deleted since it began. They may have rows in the ledger that they had not then.
    since: HashSet<JobKey>,
    /// The last one that was looked at: when it was deleted, and its key.
    after: (i64, i64),
    /// How many a slice looks at.
    slice_rows: u32,
}

impl Tombstones {
    pub(super) fn new(index: &Index, slice_rows: u32) -> Tombstones {
        let (owners, since) = (index.owners().collect(), HashSet::new());
        Tombstones { owners, since, after: (i64::MIN, i64::MIN), slice_rows }
    }

    /// A job is about to be deleted: this sweep passes over it.
    pub(super) fn note_deleted(&mut self, job: JobKey) {
        self.since.insert(job);
    }

    /// Deletes some, until the time is up. Whether there are more to look at.
    pub(super) fn slice(&mut self, connection: &Connection, until: Instant) -> rusqlite::Result<bool> {
        let mut find = connection.prepare_cached(
            "SELECT deleted_at, id, EXISTS (SELECT 1 FROM job_executions e WHERE e.job_id = jobs.id) FROM jobs \
             WHERE deleted_at IS NOT NULL AND (deleted_at, id) > (?1, ?2) ORDER BY deleted_at, id LIMIT ?3",
        )?;
        let most = self.slice_rows;
        let found = find.query_map(params![self.after.0, self.after.1, most], |row| {
            Ok(((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?), row.get::<_, bool>(2)?))
        })?;
        let found: Vec<((i64, i64), bool)> = found.collect::<rusqlite::Result<_>>()?;
        let mut highest = None;
        for (at, has_history) in &found {
            self.after = *at;
            let key = JobKey(at.1.unsigned_abs());
            if !has_history && !self.owners.contains(&key) && !self.since.contains(&key) {
                connection.prepare_cached("DELETE FROM job_totals WHERE job_id = ?1")?.execute([at.1])?;
                connection.prepare_cached("DELETE FROM jobs WHERE id = ?1")?.execute([at.1])?;
                highest = highest.max(Some(at.1));
            }
            if Instant::now() >= until {
                break;
            }
        }
        if let Some(highest) = highest {
            // Keys are not used twice.
            raise_mark(connection, "job", highest)?;
        }
        Ok(found.last().is_some_and(|(last, _)| *last != self.after) || found.len() == most as usize)
    }
}
