//! Owns the readers' list of the ledger's rows, by job and by time: the ledger itself has no index but its order.
//! It must not be believed: it says where a row may be, and the row itself is read from the store.

use std::collections::BTreeSet;
use std::time::Instant;

use rusqlite::Connection;

use super::rows;
use crate::limits::TAIL_AGE_MAX;

/// Where an unfolded row stands in the order of pages: instant, job, kind, number, and its place in the ledger.
type Place = (i64, u64, u8, u32, u64);

/// The ledger's rows, as far as some reader has seen them. Rows that were folded or taken back since may still be
/// listed; new ones are added before each use.
#[derive(Debug, Default)]
pub(super) struct Tail {
    by_job: BTreeSet<(u64, u64)>,
    by_time: BTreeSet<Place>,
    through: i64,
    made: Option<Instant>,
}

impl Tail {
    /// Adds what came since; now and then begins anew, which drops what is no longer there.
    pub(super) fn refresh(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        if self.made.is_none_or(|made| made.elapsed() > TAIL_AGE_MAX) {
            *self = Tail { made: Some(Instant::now()), ..Tail::default() };
        }
        let mut statement = connection.prepare_cached(
            "SELECT seq, scheduled_time, job_id, kind, number FROM ledger WHERE seq > ?1 ORDER BY seq",
        )?;
        let mut found = statement.query([self.through])?;
        while let Some(row) = found.next()? {
            let seq = rows::unsigned(row, 0)?;
            let (time, job, kind, number) = (row.get(1)?, rows::unsigned(row, 2)?, row.get(3)?, row.get(4)?);
            self.by_job.insert((job, seq));
            self.by_time.insert((time, job, kind, number, seq));
            self.through = rows::integer(seq);
        }
        Ok(())
    }

    /// The places of a job's rows.
    pub(super) fn of_job(&self, job: u64) -> Vec<u64> {
        self.by_job.range((job, 0)..=(job, u64::MAX)).map(|&(_, seq)| seq).collect()
    }

    /// Up to `most` places of rows older than `before`, newest first.
    pub(super) fn newest(&self, before: (i64, u64, u8, u32), most: usize) -> Vec<(u64, Place)> {
        let (time, job, kind, number) = before;
        let older = self.by_time.range(..(time, job, kind, number, 0)).rev();
        older.take(most).map(|&place| (place.4, place)).collect()
    }
}
