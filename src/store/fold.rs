//! Owns the fold: finished rows move from the ledger into history, sorted by job, in slices of one transaction each.
//! It must not move a row that can still change, and a crash between any two steps must leave each row in one place.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};

use super::load::read_totals;
use super::rows;
use crate::core::{Persist, Status, Tally, Totals};
use crate::limits::{FOLD_EVERY, FOLD_SLICE_ROWS};

/// Which rows are to be folded, and how far that is.
#[derive(Debug)]
pub(super) struct Fold {
    /// Finished rows as `(job, seq)`, collected until the next fold begins.
    waiting: Vec<(u64, u64)>,
    /// The rows of the present fold, sorted so that the last is next.
    plan: Vec<(u64, u64)>,
    begins: Instant,
    /// When the next slice is to be moved, and how far apart slices are.
    next: Instant,
    pace: Duration,
}

impl Fold {
    /// A fold that begins with what an earlier process left.
    pub(super) fn new(left: Vec<(u64, u64)>) -> Fold {
        let now = Instant::now();
        Fold { waiting: left, plan: Vec::new(), begins: now + FOLD_EVERY, next: now, pace: Duration::ZERO }
    }

    /// Notes what a committed item finished.
    pub(super) fn note(&mut self, item: &Persist) {
        match item {
            Persist::Row(row, _) if row.record.status != Status::Pending => {
                self.waiting.push((row.key.job.0, row.seq.0))
            }
            Persist::Row(..) | Persist::Remove(_) | Persist::Change(_) => {}
        }
    }

    /// When there is something to do, if there is.
    pub(super) fn due(&self) -> Option<Instant> {
        match (self.plan.is_empty(), self.waiting.is_empty()) {
            (false, _) => Some(self.next),
            (true, false) => Some(self.begins),
            (true, true) => None,
        }
    }

    /// Moves a slice, if one is due. Slices are spread over half the time until the next fold, so that batches and
    /// firing hardly notice them.
    pub(super) fn slice(&mut self, connection: &mut Connection, now: Instant) -> rusqlite::Result<()> {
        if self.due().is_none_or(|due| due > now) {
            return Ok(());
        }
        if self.plan.is_empty() {
            self.begins = now + FOLD_EVERY;
            // The lists change places and keep their room: megabytes that come and go would stay with the allocator.
            std::mem::swap(&mut self.plan, &mut self.waiting);
            self.waiting.shrink_to(self.plan.len() * 2);
            self.plan.sort_unstable_by(|left, right| right.cmp(left));
            let slices = self.plan.len().div_ceil(FOLD_SLICE_ROWS as usize);
            self.pace = (FOLD_EVERY / 2).checked_div(u32::try_from(slices).unwrap_or(u32::MAX)).unwrap_or_default();
        }
        let length = self.plan.len().min(FOLD_SLICE_ROWS as usize);
        let slice = &self.plan[self.plan.len() - length..];
        fold(connection, slice)?;
        self.plan.truncate(self.plan.len() - length);
        self.next = now + self.pace;
        Ok(())
    }
}

/// Moves these rows. Rows that are no longer in the ledger are passed over.
fn fold(connection: &mut Connection, slice: &[(u64, u64)]) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    {
        let mut read = transaction.prepare_cached(rows::SELECT_FINISHED)?;
        let mut insert = transaction.prepare_cached(rows::PUT_HISTORY)?;
        let mut delete = transaction.prepare_cached("DELETE FROM ledger WHERE seq = ?1")?;
        let mut totals: BTreeMap<u64, Totals> = BTreeMap::new();
        let mut highest = 0;
        for &(job, seq) in slice.iter().rev() {
            let seq = rows::integer(seq);
            let Some(row) = read.query_row([seq], rows::read_ledger).optional()? else { continue };
            rows::write_history(&mut insert, &row.key, &row.record)?;
            delete.execute([seq])?;
            totals.entry(job).or_default().add(&row);
            highest = highest.max(seq);
        }
        for (job, recent) in &totals {
            add_totals(&transaction, *job, recent)?;
        }
        let mut mark = transaction.prepare_cached(
            "INSERT INTO marks (name, value) VALUES ('seq', ?1) \
             ON CONFLICT (name) DO UPDATE SET value = max(value, excluded.value)",
        )?;
        mark.execute([highest])?;
    }
    transaction.commit()
}

fn add_totals(connection: &Connection, job: u64, recent: &Totals) -> rusqlite::Result<()> {
    let mut read = connection.prepare_cached(
        "SELECT finished_through, success, failed, skipped, duration, timed, last_scheduled_time, last_status, \
         last_http_status, kept FROM job_totals WHERE job_id = ?1",
    )?;
    let found = read.query_row([rows::integer(job)], |row| Ok((read_totals(row, 0)?, rows::unsigned(row, 9)?)));
    let (mut total, kept) = found.optional()?.unwrap_or_default();
    total.merge(recent);
    let kept = kept + recent.tally.counters.total() + recent.tally.counters.skipped;
    let Tally { counters, last } = total.tally;
    let last = last.expect("at least one row was counted");
    let mut write = connection.prepare_cached(
        "INSERT OR REPLACE INTO job_totals (job_id, finished_through, success, failed, skipped, duration, timed, \
         last_scheduled_time, last_status, last_http_status, kept) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
    )?;
    write.execute(params![
        rows::integer(job),
        total.finished_through.map(crate::time::Instant::as_secs),
        rows::integer(counters.success),
        rows::integer(counters.failed),
        rows::integer(counters.skipped),
        rows::integer(counters.duration_us),
        rows::integer(counters.timed),
        last.instant.as_secs(),
        last.status.code(),
        last.http_status,
        rows::integer(kept),
    ])?;
    Ok(())
}
