//! Owns retention: what is too old or too much, and its deletion in small slices: alerts, incidents, history, tombstones.
//! It must not touch the ledger or the counters: what happened stays counted.

use std::sync::Arc;
use std::time::Instant;

use rusqlite::{Connection, TransactionBehavior, params};

use super::index::Index;
use super::rows;
use super::tombstones::Tombstones;
use crate::clock;
use crate::job::JobKey;
use crate::limits::{
    ALERTS_SHARE_PER_CENT, AUDIT_SHARE_PER_CENT, RETENTION_PACE, RETENTION_SLICE_JOBS, RETENTION_SLICE_TIME,
};
use crate::store::sql::{integer, small};
use crate::store::tables::{alerts, audit, deliveries, incidents, keys, tokens};
use crate::store::{Housekeeping, Keep};
use crate::time::{Instant as Second, Steady, WallUs};

/// How far below the limit a sweep for bytes aims, so that it does not begin again at once.
const BYTES_AIM_PER_CENT: u64 = 90;

/// How far a sweep of history has come.
#[derive(Clone, Copy, Debug)]
struct Reached {
    /// The last job that is done with.
    job: i64,
    /// A job that is not: how many rows it may keep. Asked again, its share of what is too much would be taken again.
    begun: Option<(i64, u64)>,
}

/// What is being swept. Alerts come before history, so that they do not push it out.
#[derive(Debug)]
enum Phase {
    /// Nothing, until it is time to look again.
    Rest,
    /// Alerts: of which jobs how many are too many.
    Alerts(Vec<(i64, u64)>),
    /// History, over all jobs, in order.
    History(Reached),
    /// Deleted jobs.
    Tombstones(Tombstones),
}

/// The sweep, in slices.
#[derive(Debug)]
pub(super) struct Retention {
    keep: Keep,
    housekeeping: Housekeeping,
    index: Arc<Index>,
    phase: Phase,
    /// When the next slice is due, or the next look at the size of the database.
    next: Instant,
    /// When history is swept next, whatever its size.
    sweep_by: Instant,
    /// When history is swept next because of its size, at the earliest.
    excess_by: Instant,
    /// When tombstones are swept next.
    bury_by: Instant,
    /// Of each job's rows, so many per mille are to go in this sweep because of the bytes.
    excess_per_mille: u64,
    /// What is left over of that, in thousandths of a row: of many jobs with few rows each, some lose one.
    excess_left: u64,
    /// How many rows this sweep has deleted.
    swept: u64,
    /// What age counts from.
    steady: Option<Steady>,
    /// Before this, in microseconds, everything is too old.
    oldest_us: i64,
    /// The job whose history was being looked at.
    looking_at: i64,
}

impl Retention {
    pub(super) fn new(keep: Keep, index: Arc<Index>, housekeeping: Housekeeping) -> Retention {
        // Not at once: a start has better things to do.
        let first = Instant::now() + housekeeping.retain_every / 10;
        Retention {
            keep,
            housekeeping,
            index,
            phase: Phase::Rest,
            next: first,
            sweep_by: first,
            excess_by: first,
            bury_by: first,
            excess_per_mille: 0,
            excess_left: 0,
            swept: 0,
            steady: None,
            oldest_us: i64::MIN,
            looking_at: -1,
        }
    }

    /// From now on so much is kept. A sweep that is under way goes on by it; if none is, one begins.
    pub(super) fn keep_from_now(&mut self, keep: Keep, now: Instant) {
        self.keep = keep;
        if matches!(self.phase, Phase::Rest) {
            (self.next, self.sweep_by, self.excess_by) = (now, now, now);
        }
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
        if matches!(self.phase, Phase::Rest) {
            let age_us = i64::try_from(self.keep.age.as_micros()).unwrap_or(i64::MAX);
            self.oldest_us = self.surely(connection)?.0.saturating_sub(age_us);
            let bytes = self.keep.bytes / 100 * ALERTS_SHARE_PER_CENT;
            self.phase = Phase::Alerts(alerts::surplus(connection, bytes)?);
        }
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let is_over = self.delete(&transaction, now)?;
        transaction.commit()?;
        if is_over {
            self.phase = self.following(connection, now)?;
        }
        // A rest after it, however long it took: batches come first.
        let rest = if matches!(self.phase, Phase::Rest) { self.housekeeping.retain_look_every } else { RETENTION_PACE };
        self.next = now.max(Instant::now()) + rest;
        Ok(())
    }

    /// A job is about to be deleted.
    pub(super) fn note_deleted(&mut self, job: JobKey) {
        if let Phase::Tombstones(tombstones) = &mut self.phase {
            tombstones.note_deleted(job);
        }
    }

    /// Passes over what could not be read: the next slice goes on behind it.
    pub(super) fn skip(&mut self, now: Instant) {
        self.phase = match &self.phase {
            Phase::History(_) => Phase::History(Reached { job: self.looking_at, begun: None }),
            Phase::Rest | Phase::Alerts(_) | Phase::Tombstones(_) => Phase::Rest,
        };
        self.next = now + self.housekeeping.retain_look_every;
    }

    /// What time it surely is: a clock set to another year must not erase history. It begins at the newest
    /// row of history, or of what somebody did.
    fn surely(&mut self, connection: &Connection) -> rusqlite::Result<WallUs> {
        let now = clock::now();
        let steady = match &mut self.steady {
            Some(steady) => steady,
            none @ None => {
                let newest = |sql: &str| connection.query_row(sql, [], |row| row.get::<_, Option<i64>>(0));
                let executed = newest("SELECT max(scheduled_time) FROM job_executions")?;
                let executed = executed.map(|newest| WallUs::of(Second::from_secs(newest)));
                let noted = newest("SELECT max(at) FROM audit")?.map(WallUs);
                none.insert(Steady::new(executed.max(noted), now))
            }
        };
        Ok(steady.now(now))
    }

    /// Deletes until the slice is full or its time is up. Whether the phase is over.
    fn delete(&mut self, transaction: &Connection, now: Instant) -> rusqlite::Result<bool> {
        let until = now.max(Instant::now()) + RETENTION_SLICE_TIME;
        let surely = self.surely(transaction)?;
        match &mut self.phase {
            Phase::Rest => Ok(true),
            Phase::Alerts(surplus) => {
                let mut room = self.housekeeping.retain_slice_rows;
                while let Some((job, count)) = surplus.last_mut() {
                    let gone = alerts::delete_oldest(transaction, *job, room.min(small(*count)))?;
                    *count -= u64::from(gone);
                    room -= gone;
                    // Fewer than asked for: those that are left are still to be delivered.
                    if *count == 0 || gone == 0 {
                        surplus.pop();
                    }
                    if room == 0 || Instant::now() >= until {
                        return Ok(false);
                    }
                }
                let keys = keys::delete_old(transaction, clock::wall(), room)?;
                let room = room - keys;
                let bytes = self.keep.bytes / 100 * AUDIT_SHARE_PER_CENT;
                let room = room - tokens::delete_old(transaction, clock::wall(), room)?;
                let room = room - audit::delete_old(transaction, self.keep.audit_age, bytes, surely, room)?;
                // Messages first: an incident goes when none of it is left.
                let room = room - deliveries::delete_before(transaction, self.oldest_us, room)?;
                let room = room - incidents::delete_old(transaction, self.oldest_us, self.keep.bytes, room)?;
                Ok(room > 0 && alerts::delete_before(transaction, self.oldest_us, room)? < room)
            }
            &mut Phase::History(at) => {
                let reached = self.delete_history(transaction, at, until)?;
                let is_over = reached.is_none();
                self.phase = Phase::History(reached.unwrap_or(at));
                Ok(is_over)
            }
            Phase::Tombstones(tombstones) => tombstones.slice(transaction, until).map(|more| !more),
        }
    }

    /// What comes after a phase that is over.
    fn following(&mut self, connection: &Connection, now: Instant) -> rusqlite::Result<Phase> {
        let is_after_alerts = matches!(self.phase, Phase::Alerts(_));
        if is_after_alerts {
            self.excess_per_mille = excess_per_mille(connection, self.keep.bytes)?;
            if (self.excess_per_mille > 0 && now >= self.excess_by) || now >= self.sweep_by {
                (self.excess_left, self.swept) = (0, 0);
                self.sweep_by = now + self.housekeeping.retain_every.min(self.keep.age / 10);
                return Ok(Phase::History(Reached { job: -1, begun: None }));
            }
        }
        if matches!(self.phase, Phase::History(_)) && self.excess_per_mille > 0 && self.swept == 0 {
            // What takes the room is nothing that a sweep could delete: one after the other would come to as little.
            self.excess_by = self.sweep_by;
        }
        if !matches!(self.phase, Phase::Tombstones(_)) && now >= self.bury_by {
            self.bury_by = now + self.housekeeping.tombstones_every;
            return Ok(Phase::Tombstones(Tombstones::new(&self.index, self.housekeeping.retain_slice_rows)));
        }
        Ok(Phase::Rest)
    }

    /// Jobs from behind `at` on. Where it stopped; None at the end.
    fn delete_history(
        &mut self,
        transaction: &Connection,
        at: Reached,
        until: Instant,
    ) -> rusqlite::Result<Option<Reached>> {
        let mut room = self.housekeeping.retain_slice_rows;
        let mut reached = Reached { job: at.job, begun: None };
        let mut jobs = transaction
            .prepare_cached("SELECT job_id, kept FROM job_totals WHERE job_id > ?1 ORDER BY job_id LIMIT ?2")?;
        let jobs: Vec<(i64, u64)> = jobs
            .query_map(params![at.job, RETENTION_SLICE_JOBS], |row| Ok((row.get(0)?, rows::unsigned(row, 1)?)))?
            .collect::<rusqlite::Result<_>>()?;
        for &(job, kept) in &jobs {
            self.looking_at = job;
            let most = match at.begun {
                Some((begun, most)) if begun == job => most,
                _ => {
                    let excess = kept * self.excess_per_mille + self.excess_left;
                    self.excess_left = excess % 1000;
                    self.keep.rows_per_job.min(kept - excess / 1000)
                }
            };
            let surplus = kept.saturating_sub(most);
            let gone = delete_oldest(transaction, job, kept, surplus, self.oldest_us, room)?;
            self.swept += u64::from(gone);
            room -= gone;
            if room == 0 {
                // The same job again, it may have more.
                reached.begun = Some((job, most));
                return Ok(Some(reached));
            }
            reached.job = job;
            if Instant::now() >= until {
                return Ok(Some(reached));
            }
        }
        Ok((jobs.len() == RETENTION_SLICE_JOBS as usize).then_some(reached))
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

/// Deletes a job's oldest rows: `surplus` of them, and those of before `oldest_us`; at most `room`. They are neighbours, so
/// whole pages become free. What was sent later is as young as that: a backfill of last year is not a year old.
fn delete_oldest(
    connection: &Connection,
    job: i64,
    kept: u64,
    surplus: u64,
    oldest_us: i64,
    room: u32,
) -> rusqlite::Result<u32> {
    let most = i64::from(room);
    let mut delete = connection.prepare_cached(
        "DELETE FROM job_executions WHERE job_id = ?1 AND (scheduled_time, kind, number) IN \
         (SELECT scheduled_time, kind, number FROM job_executions WHERE job_id = ?1 AND scheduled_time < ?2 \
         AND scheduled_time * 1000000 + ifnull(executed_after, 0) < ?3 ORDER BY scheduled_time LIMIT ?4)",
    )?;
    let mut gone = delete.execute(params![job, oldest_us / 1_000_000, oldest_us, most])?;
    let surplus = integer(surplus).min(most) - integer(gone as u64);
    if surplus > 0 {
        gone += delete.execute(params![job, i64::MAX, i64::MAX, surplus])?;
    }
    if gone > 0 {
        let mut count = connection.prepare_cached("UPDATE job_totals SET kept = ?2 WHERE job_id = ?1")?;
        count.execute(params![job, integer(kept.saturating_sub(gone as u64))])?;
    }
    Ok(u32::try_from(gone).expect("at most `room` rows are deleted"))
}
