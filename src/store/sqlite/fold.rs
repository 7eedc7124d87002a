//! Owns the fold: finished rows move from the ledger into history, sorted by job, in slices of one transaction each.
//! It must not move a row that can still change, and a crash between any two steps must leave each row in one place.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rusqlite::{Connection, OptionalExtension, TransactionBehavior};

use super::rows;
use crate::core::{Persist, Seq, Status, Totals};
use crate::job::JobKey;
use crate::limits::{FOLD_EVERY, FOLD_SLICE_ROWS};

/// Which rows are to be folded, and how far that is.
#[derive(Debug)]
pub(super) struct Fold {
    /// Finished rows as `(job, seq)`, collected until the next fold begins.
    waiting: Vec<(JobKey, Seq)>,
    /// The rows of the present fold, sorted so that the last is next.
    plan: Vec<(JobKey, Seq)>,
    begins: Instant,
    /// When the next slice is to be moved, and how far apart slices are.
    next: Instant,
    pace: Duration,
}

impl Fold {
    /// A fold that begins with what an earlier process left.
    pub(super) fn new(left: Vec<(JobKey, Seq)>) -> Fold {
        let now = Instant::now();
        Fold { waiting: left, plan: Vec::new(), begins: now + FOLD_EVERY, next: now, pace: Duration::ZERO }
    }

    /// Notes what a committed item finished.
    pub(super) fn note(&mut self, item: &Persist) {
        match item {
            Persist::Row(row, _) if row.record.status != Status::Pending => self.waiting.push((row.key.job, row.seq)),
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
fn fold(connection: &mut Connection, slice: &[(JobKey, Seq)]) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    {
        let mut read = transaction.prepare_cached(rows::SELECT_FINISHED)?;
        let mut insert = transaction.prepare_cached(rows::PUT_HISTORY)?;
        let mut delete = transaction.prepare_cached("DELETE FROM ledger WHERE seq = ?1")?;
        let mut totals: BTreeMap<JobKey, Totals> = BTreeMap::new();
        let mut highest = 0;
        for &(job, seq) in slice.iter().rev() {
            let seq = rows::integer(seq.0);
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

fn add_totals(connection: &Connection, job: JobKey, recent: &Totals) -> rusqlite::Result<()> {
    let mut read = connection.prepare_cached(rows::SELECT_TOTALS)?;
    let found = read.query_row([rows::integer(job.0)], rows::read_kept_totals).optional()?;
    let (mut totals, kept) = found.unwrap_or_default();
    totals.merge(recent);
    let kept = kept + recent.tally.counters.total() + recent.tally.counters.skipped;
    rows::write_totals(&mut *connection.prepare_cached(rows::PUT_TOTALS)?, job, &totals, kept)?;
    Ok(())
}
