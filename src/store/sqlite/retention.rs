//! Owns retention: which history is too old or too much, and its deletion in small slices.
//! It must not touch the ledger or the counters: what happened stays counted.

use std::time::Instant;

use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};

use super::rows;
use crate::clock;
use crate::limits::{
    ALERTS_KEPT_MAX, RETENTION_EVERY, RETENTION_LOOK_EVERY, RETENTION_PACE, RETENTION_SLICE_JOBS, RETENTION_SLICE_ROWS,
};
use crate::store::Keep;

/// How far below the limit a sweep for bytes aims, so that it does not begin again at once.
const BYTES_AIM_PER_CENT: u64 = 90;

/// How far a sweep has come.
#[derive(Clone, Copy, Debug)]
struct Reached {
    /// The last job that is done with.
    job: i64,
    /// A job that is not: how many rows it may keep. Asked again, its share of what is too much would be taken again.
    begun: Option<(i64, u64)>,
}

/// Before the first job.
const BEGIN: Reached = Reached { job: -1, begun: None };

/// The sweep: over all jobs, in order, in slices.
#[derive(Debug)]
pub(super) struct Retention {
    keep: Keep,
    /// Where the present sweep is; None between sweeps.
    at: Option<Reached>,
    /// When the next slice is due, or the next look at the size of the database.
    next: Instant,
    /// When the next sweep is due, whatever the size.
    sweep_by: Instant,
    /// Of each job's rows, so many per mille are to go in this sweep because of the bytes.
    excess_per_mille: u64,
}

impl Retention {
    pub(super) fn new(keep: Keep) -> Retention {
        // Not at once: a start has better things to do.
        let first = Instant::now() + RETENTION_EVERY / 10;
        Retention { keep, at: None, next: first, sweep_by: first, excess_per_mille: 0 }
    }

    /// When there is something to do.
    pub(super) fn due(&self) -> Instant {
        self.next
    }

    /// Deletes a slice, if one is due.
    pub(super) fn slice(&mut self, connection: &mut Connection, now: Instant) -> rusqlite::Result<()> {
        if self.next > now {
            return Ok(());
        }
        let at = match self.at {
            Some(at) => at,
            None => {
                self.excess_per_mille = excess_per_mille(connection, self.keep.bytes)?;
                if self.excess_per_mille == 0 && now < self.sweep_by {
                    self.next = now + RETENTION_LOOK_EVERY;
                    return Ok(());
                }
                self.sweep_by = now + RETENTION_EVERY.min(self.keep.age / 10);
                BEGIN
            }
        };
        let reached = self.sweep(connection, at)?;
        self.at = reached;
        // A rest after it, however long it took: batches come first.
        let rest = if reached.is_some() { RETENTION_PACE } else { RETENTION_LOOK_EVERY };
        self.next = now.max(Instant::now()) + rest;
        Ok(())
    }

    /// One transaction: jobs from behind `at` on, until enough was deleted or looked at. Where it stopped; None at
    /// the end.
    fn sweep(&self, connection: &mut Connection, at: Reached) -> rusqlite::Result<Option<Reached>> {
        let age_us = i64::try_from(self.keep.age.as_micros()).unwrap_or(i64::MAX);
        let oldest_us = clock::wall().0.saturating_sub(age_us);
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut room = RETENTION_SLICE_ROWS;
        let mut reached = Reached { job: at.job, begun: None };
        let mut ended = true;
        {
            let mut jobs = transaction
                .prepare_cached("SELECT job_id, kept FROM job_totals WHERE job_id > ?1 ORDER BY job_id LIMIT ?2")?;
            let jobs: Vec<(i64, u64)> = jobs
                .query_map(params![at.job, RETENTION_SLICE_JOBS], |row| Ok((row.get(0)?, rows::unsigned(row, 1)?)))?
                .collect::<rusqlite::Result<_>>()?;
            for &(job, kept) in &jobs {
                let most = match at.begun {
                    Some((begun, most)) if begun == job => most,
                    _ => self.keep.rows_per_job.min(kept - kept * self.excess_per_mille / 1000),
                };
                let surplus = kept.saturating_sub(most);
                room -= delete_oldest(&transaction, job, kept, surplus, oldest_us / 1_000_000, room)?;
                if room == 0 {
                    // The same job again, it may have more.
                    reached.begun = Some((job, most));
                    ended = false;
                    break;
                }
                reached.job = job;
            }
            ended &= jobs.len() < RETENTION_SLICE_JOBS as usize;
        }
        if ended {
            delete_alerts(&transaction, oldest_us)?;
            delete_tombstones(&transaction)?;
        }
        transaction.commit()?;
        Ok(if ended { None } else { Some(reached) })
    }
}

/// How many per mille of the rows must go for the database to be small enough.
fn excess_per_mille(connection: &Connection, bytes_max: u64) -> rusqlite::Result<u64> {
    let number = |name: &str| -> rusqlite::Result<u64> {
        connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0)).map(i64::unsigned_abs)
    };
    let used = (number("page_count")? - number("freelist_count")?) * number("page_size")?;
    if used <= bytes_max {
        return Ok(0);
    }
    let aim = bytes_max / 100 * BYTES_AIM_PER_CENT;
    Ok(((used - aim) * 1000 / used).max(1))
}

/// Deletes a job's oldest rows: `surplus` of them, and those before `oldest`; at most `room`. They are neighbours,
/// so whole pages become free.
fn delete_oldest(
    connection: &Connection,
    job: i64,
    kept: u64,
    surplus: u64,
    oldest: i64,
    room: u32,
) -> rusqlite::Result<u32> {
    let most = i64::from(room);
    let mut delete = connection.prepare_cached(
        "DELETE FROM job_executions WHERE job_id = ?1 AND (scheduled_time, kind, number) IN \
         (SELECT scheduled_time, kind, number FROM job_executions WHERE job_id = ?1 AND scheduled_time < ?2 \
         ORDER BY scheduled_time LIMIT ?3)",
    )?;
    let mut gone = delete.execute(params![job, oldest, most])?;
    let surplus = rows::integer(surplus).min(most) - rows::integer(gone as u64);
    if surplus > 0 {
        gone += delete.execute(params![job, i64::MAX, surplus])?;
    }
    if gone > 0 {
        let mut count = connection.prepare_cached("UPDATE job_totals SET kept = ?2 WHERE job_id = ?1")?;
        count.execute(params![job, rows::integer(kept.saturating_sub(gone as u64))])?;
    }
    Ok(u32::try_from(gone).expect("at most `room` rows are deleted"))
}

/// Deletes a slice of the alert log from its old end; never one that is still to be delivered.
fn delete_alerts(connection: &Connection, oldest_us: i64) -> rusqlite::Result<()> {
    let surplus: i64 = connection.query_row(
        "SELECT ifnull((SELECT seq FROM alerts ORDER BY seq DESC LIMIT 1 OFFSET ?1), -1)",
        [rows::integer(ALERTS_KEPT_MAX)],
        |row| row.get(0),
    )?;
    connection.execute(
        "DELETE FROM alerts WHERE delivery <> 'PENDING' AND (created_at < ?1 OR seq <= ?2) AND seq IN \
         (SELECT seq FROM alerts ORDER BY seq LIMIT ?3)",
        params![oldest_us, surplus, RETENTION_SLICE_ROWS],
    )?;
    Ok(())
}

/// Deletes tombstones that no row needs any more. Their highest key is marked first: keys are not used twice.
fn delete_tombstones(connection: &Connection) -> rusqlite::Result<()> {
    let mut find = connection.prepare_cached(
        "SELECT id FROM jobs WHERE deleted_at IS NOT NULL \
         AND NOT EXISTS (SELECT 1 FROM job_executions e WHERE e.job_id = jobs.id) \
         AND id NOT IN (SELECT job_id FROM ledger) LIMIT ?1",
    )?;
    let gone: Vec<i64> = find.query_map([RETENTION_SLICE_JOBS], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
    let Some(highest) = gone.iter().max() else { return Ok(()) };
    connection.execute(
        "INSERT INTO marks (name, value) VALUES ('job', ?1) \
         ON CONFLICT (name) DO UPDATE SET value = max(value, excluded.value)",
        [highest],
    )?;
    for id in gone {
        connection.execute("DELETE FROM job_totals WHERE job_id = ?1", [id])?;
        connection.execute("DELETE FROM jobs WHERE id = ?1", [id]).optional()?;
    }
    Ok(())
}
