//! Owns the fold: finished rows move from the ledger into history, sorted by job, in slices of one transaction each.
//! It must not move a row that can still change, and a crash between any two steps must leave each row in one place.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rusqlite::{Connection, OptionalExtension, TransactionBehavior};

use super::Store;
use super::chore::{is_damage, is_of_page};
use super::index::IndexWriter;
use super::rollups::{self, Recent};
use super::rows;
use crate::core::{Seq, Totals};
use crate::job::JobKey;
use crate::limits::{FOLD_EARLY_ROWS, FOLD_SLICE_ROWS, FOLD_SLICE_TIME, READ_TIME_MAX};
use crate::store::Housekeeping;
use crate::store::sql::integer;
use crate::store::tables::rows::{SELECT_TOTALS, put_totals, raise_mark};

/// Rows between two looks at the clock.
const ROWS_PER_LOOK: usize = 64;

/// Which rows are to be folded, and how far that is.
#[derive(Debug)]
pub(super) struct Fold {
    /// The rows of the present fold, sorted so that the last is next.
    plan: Vec<(JobKey, Seq)>,
    begins: Instant,
    every: Duration,
    /// How many rows a slice may have.
    slice_rows: u32,
    /// When the next slice is to be moved, and how far apart slices are.
    next: Instant,
    pace: Duration,
    /// How many it may have now: fewer after a damaged page was met, until what is on it is found.
    slice_max: usize,
    /// A rollup that could not be read. It is told of once in a fold: of each row it concerns would be too often.
    unread: Unread,
}

/// What is known of rollups that could not be read.
#[derive(Debug)]
enum Unread {
    None,
    Met(rusqlite::Error),
    Told,
}

impl Fold {
    /// A fold that begins with what an earlier process left: at once if that is a lot.
    pub(super) fn new(left: usize, housekeeping: &Housekeeping) -> Fold {
        let now = Instant::now();
        let Housekeeping { fold_every: every, fold_slice_rows: slice_rows, .. } = *housekeeping;
        assert!(
            (1..=FOLD_SLICE_ROWS).contains(&slice_rows),
            "a slice holds a row, and no more than the index's lots do"
        );
        let begins = if left >= FOLD_EARLY_ROWS { now } else { now + every };
        Fold {
            plan: Vec::new(),
            begins,
            every,
            slice_rows,
            next: now,
            pace: Duration::ZERO,
            slice_max: slice_rows as usize,
            unread: Unread::None,
        }
    }

    /// When there is something to do.
    pub(super) fn due(&self) -> Instant {
        if self.plan.is_empty() { self.begins } else { self.next }
    }

    /// Whether the present fold is done.
    #[cfg(test)]
    pub(super) fn is_done(&self) -> bool {
        self.plan.is_empty()
    }

    /// Moves a slice, if one is due. Slices are spread over half the time until the next fold, so that batches and
    /// firing hardly notice them.
    pub(super) fn slice(
        &mut self,
        connection: &mut Connection,
        index: &mut IndexWriter,
        now: Instant,
    ) -> rusqlite::Result<()> {
        if self.due() > now {
            return Ok(());
        }
        if self.plan.is_empty() {
            self.begin(index, now);
            if self.plan.is_empty() {
                return Ok(());
            }
        }
        let length = self.plan.len().min(self.slice_max);
        let slice = &self.plan[self.plan.len() - length..];
        let until = || now.max(Instant::now()) + FOLD_SLICE_TIME;
        let done = match fold(connection, slice, until(), true) {
            // What met a damaged page cannot be committed, whatever else is in it.
            Err(Failure::OfRollups(why)) => {
                fold(connection, slice, until(), false).map(|(moved, _)| (moved, Some(why)))
            }
            done => done,
        };
        let (moved, unread) = done.map_err(|(Failure::OfRollups(why) | Failure::Other(why))| why)?;
        if let (Some(why), Unread::None) = (unread, &self.unread) {
            self.unread = Unread::Met(why);
        }
        index.fold(self.plan.drain(self.plan.len() - moved..).map(|(_, seq)| seq));
        if self.plan.is_empty() {
            // However long this one took: whoever began to read before its last slice still looks for its rows in the ledger.
            let rest = self.every.min(READ_TIME_MAX * 2);
            self.begins = self.begins.max(now.max(Instant::now()) + rest);
        }
        self.slice_max = (self.slice_max * 2).min(self.slice_rows as usize);
        // A slice that was cut short by the clock has less rest behind it.
        let share = u32::try_from(moved).unwrap_or(u32::MAX);
        self.next = now + self.pace.saturating_mul(share) / self.slice_rows;
        Ok(())
    }

    fn begin(&mut self, index: &mut IndexWriter, now: Instant) {
        self.begins = now + self.every;
        self.unread = Unread::None;
        index.clear_folded();
        // The list keeps its room: megabytes that come and go would stay with the allocator.
        let finished = index.index().finished();
        self.plan.extend(finished);
        self.plan.sort_unstable_by(|left, right| right.cmp(left));
        let slices = self.plan.len().div_ceil(self.slice_rows as usize);
        self.pace = (self.every / 2).checked_div(u32::try_from(slices).unwrap_or(u32::MAX)).unwrap_or_default();
    }

    /// What was wrong with a rollup that could not be read, once in a fold. What belongs to it was moved all the same.
    pub(super) fn take_unread(&mut self) -> Option<rusqlite::Error> {
        match std::mem::replace(&mut self.unread, Unread::Told) {
            Unread::Met(why) => Some(why),
            same @ (Unread::None | Unread::Told) => {
                self.unread = same;
                None
            }
        }
    }

    /// A slice could not be read or written because of damage: smaller ones, until the row is found that cannot be
    /// moved; that one stays in the ledger.
    pub(super) fn skip(&mut self, index: &mut IndexWriter) {
        if self.slice_max > 1 {
            self.slice_max = self.plan.len().min(self.slice_max).div_ceil(2);
        } else if let Some((_, seq)) = self.plan.pop() {
            index.give_up(seq);
        }
    }
}

/// Moves all that is finished, in a database that no server has. How many rows cannot be moved.
pub(super) fn fold_all(store: &mut Store) -> rusqlite::Result<u64> {
    {
        let mut find = store.connection.prepare(rows::SELECT_ALL)?;
        let mut found = find.query([])?;
        while let Some(row) = found.next()? {
            let row = rows::read_ledger(row)?;
            store.index.note(row.seq, &row.key, row.record.status);
        }
    }
    let mut fold = Fold::new(0, &Housekeeping::default());
    loop {
        // Whenever it would rest, it is time.
        let done = fold.slice(&mut store.connection, &mut store.index, fold.due());
        match done {
            Ok(()) if fold.plan.is_empty() => break,
            Ok(()) => {}
            Err(why) if is_damage(&why) => fold.skip(&mut store.index),
            Err(why) => return Err(why),
        }
    }
    let left = "SELECT count(*) FROM ledger WHERE status <> 1";
    store.connection.query_row(left, [], |row| rows::unsigned(row, 0))
}

/// Why a slice is not in history.
#[derive(Debug)]
enum Failure {
    /// A page of the rollups is damaged: without them it can be.
    OfRollups(rusqlite::Error),
    Other(rusqlite::Error),
}

impl From<rusqlite::Error> for Failure {
    fn from(why: rusqlite::Error) -> Failure {
        Failure::Other(why)
    }
}

/// Moves rows from the end of the slice on, until the time is up. How many; rows that are no longer in the ledger
/// count. And what was wrong with a rollup.
fn fold(
    connection: &mut Connection,
    slice: &[(JobKey, Seq)],
    until: Instant,
    with_rollups: bool,
) -> Result<(usize, Option<rusqlite::Error>), Failure> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let mut moved = 0;
    let mut recent = Recent::new(rollups::edge(&transaction)?);
    {
        let mut read = transaction.prepare_cached(rows::SELECT_FINISHED)?;
        let mut insert = transaction.prepare_cached(rows::PUT_HISTORY)?;
        let mut delete = transaction.prepare_cached("DELETE FROM ledger WHERE seq = ?1")?;
        let mut totals: BTreeMap<JobKey, Totals> = BTreeMap::new();
        let mut highest = 0;
        for &(job, seq) in slice.iter().rev() {
            if moved > 0 && moved % ROWS_PER_LOOK == 0 && Instant::now() >= until {
                break;
            }
            moved += 1;
            let seq = integer(seq.0);
            let Some(row) = read.query_row([seq], rows::read_ledger).optional()? else { continue };
            rows::write_history(&mut insert, &row.key, &row.record)?;
            delete.execute([seq])?;
            totals.entry(job).or_default().add(&row);
            recent.add(&row);
            highest = highest.max(seq);
        }
        for (job, recent) in &totals {
            add_totals(&transaction, *job, recent)?;
        }
        raise_mark(&*transaction, "seq", highest)?;
    }
    let unread = if with_rollups { recent.write(&transaction).map_err(of_rollups)? } else { None };
    transaction.commit()?;
    Ok((moved, unread))
}

fn of_rollups(why: rusqlite::Error) -> Failure {
    if is_of_page(&why) { Failure::OfRollups(why) } else { Failure::Other(why) }
}

fn add_totals(connection: &Connection, job: JobKey, recent: &Totals) -> rusqlite::Result<()> {
    let mut read = connection.prepare_cached(SELECT_TOTALS)?;
    let found = read.query_row([integer(job.0)], rows::read_kept_totals).optional()?;
    let (mut totals, kept) = found.unwrap_or_default();
    totals.merge(recent);
    let kept = kept + recent.tally.counters.total() + recent.tally.counters.skipped;
    put_totals(connection, job, &totals, kept)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;
    use std::sync::Arc;

    use super::super::ageing::Ageing;
    use super::super::commit::commit;
    use super::*;
    use crate::core::{Change, Class, ExecutionKey, JobChange, LedgerRow, Persist, Status};
    use crate::job::{Context, Definition, JobId, JobSpec, Revision};
    use crate::store::Batch;
    use crate::time::{Instant as Second, WallUs};

    const JOBS: u64 = 400;

    fn write(store: &mut Store, items: Vec<Persist>) {
        let items: Vec<(u64, Persist)> = (1..).zip(items).collect();
        items.iter().for_each(|(_, item)| store.index.expect(item));
        commit(&mut store.connection, None, &Batch { items, ..Batch::default() }).expect("writing works");
    }

    fn put(key: u64) -> Persist {
        let definition = Definition::plain("* * * * * *", "http://localhost/");
        let spec = JobSpec::compile(&definition, &Context::at(Second::from_secs(0))).expect("valid");
        let revision = Revision::first(JobId::new(JobKey(key), [7; 10]), spec, WallUs(1));
        Persist::Change(Box::new(Change {
            job: JobChange::Put(Arc::new(revision)),
            remove: Vec::new(),
            rows: Vec::new(),
        }))
    }

    /// One finished row of each job.
    fn finished(second: i64) -> Vec<Persist> {
        let row = |key: u64| {
            let seq = Seq(u64::try_from(second).expect("positive") * JOBS + key);
            let key = ExecutionKey::scheduled(JobKey(key), Second::from_secs(second));
            let mut row = LedgerRow::pending(seq, key, Class::OnTime);
            row.record.status = Status::Success;
            Persist::Row(row, None)
        };
        (1..=JOBS).map(row).collect()
    }

    /// Folds as the writer does; how often it failed.
    fn fold_all(store: &mut Store) -> u32 {
        let mut fold = Fold::new(0, &Housekeeping::default());
        let (mut later, mut failures) = (fold.due(), 0);
        loop {
            match fold.slice(&mut store.connection, &mut store.index, later) {
                Ok(()) if fold.is_done() => return failures,
                Ok(()) => {}
                Err(_) => {
                    failures += 1;
                    fold.skip(&mut store.index);
                }
            }
            later += Duration::from_secs(60);
        }
    }

    /// Scrambles a leaf of a table without rowid, the last or the first one
    /// (https://sqlite.org/fileformat2.html, section 1.6).
    fn damage(path: &Path, root: usize, is_last: bool) {
        let mut bytes = fs::read(path).expect("it is there");
        let size = usize::from(u16::from_be_bytes([bytes[16], bytes[17]]));
        let mut page = root;
        loop {
            let at = (page - 1) * size;
            if bytes[at] == 10 {
                bytes[at + 8..at + size].fill(0xff);
                break;
            }
            // The last child stands in the head of the page, the others in its cells, to which pointers follow the head.
            let first = at + usize::from(u16::from_be_bytes([bytes[at + 12], bytes[at + 13]]));
            let child = if is_last { at + 8 } else { first };
            let child = bytes[child..child + 4].try_into().expect("four bytes");
            page = usize::try_from(u32::from_be_bytes(child)).expect("a page of this file");
        }
        fs::write(path, bytes).expect("it can be written");
    }

    #[test]
    fn a_long_ledger_is_folded_at_once_after_a_start() {
        let (now, usual) = (Instant::now(), Housekeeping::default());
        assert!(
            Fold::new(FOLD_EARLY_ROWS, &usual).due() <= Instant::now(),
            "a process that ends each minute would never fold"
        );
        assert!(Fold::new(FOLD_EARLY_ROWS - 1, &usual).due() >= now + usual.fold_every);
    }

    /// A store with some seconds of each job in history, and one page of this table scrambled.
    fn damaged(folder: &Path, table: &str, is_last: bool) -> Store {
        let path = folder.join("p.db");
        let mut store = Store::open(&path).expect("it opens");
        write(&mut store, (1..=JOBS).map(put).collect());
        for second in 0..20 {
            write(&mut store, finished(second));
        }
        assert_eq!(fold_all(&mut store), 0);
        let root = format!("SELECT rootpage FROM sqlite_schema WHERE name = '{table}'");
        let root: i64 = store.connection.query_row(&root, [], |row| row.get(0)).expect("it is a table");
        store.connection.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").expect("it can be copied");
        drop(store);
        damage(&path, usize::try_from(root).expect("positive"), is_last);
        let mut store = Store::open(&path).expect("what is needed to go on is whole");
        store.load(&Context::at(Second::FIRST), |_| (), |_| ()).expect("it loads");
        store
    }

    fn left(store: &Store) -> i64 {
        store.connection.query_row("SELECT count(*) FROM ledger", [], |row| row.get(0)).expect("it can be read")
    }

    #[test]
    fn a_slice_whose_time_is_up_moves_some_rows_all_the_same() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut store = Store::open(&folder.path().join("p.db")).expect("it can be made");
        store.load(&Context::at(Second::FIRST), drop, drop).expect("it can be read");
        write(&mut store, (1..=JOBS).map(put).chain(finished(1)).collect());
        let mut slice: Vec<(JobKey, Seq)> = store.index.index().finished();
        let mut fold = |slice: &[(JobKey, Seq)], until: Instant| match fold(&mut store.connection, slice, until, true) {
            Ok((moved, None)) => moved,
            other => panic!("{:?}", other.map_err(|_| "it failed")),
        };
        let now = Instant::now();
        let all = slice.len();
        assert_eq!(fold(&slice, now), ROWS_PER_LOOK);
        slice.truncate(all - ROWS_PER_LOOK);
        assert_eq!(fold(&slice[..10], now), 10, "there are no more");
        assert_eq!(fold(&slice, now + Duration::from_secs(600)), all - ROWS_PER_LOOK);
    }

    #[test]
    fn a_damaged_page_of_history_keeps_its_own_rows_only_and_no_change() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut store = damaged(folder.path(), "job_executions", true);
        write(&mut store, finished(100));
        assert!(fold_all(&mut store) > 0, "the damage was met");
        // Changes are made as before.
        write(&mut store, vec![put(JOBS + 1)]);
        assert!((1..200).contains(&left(&store)), "{} rows could not be moved", left(&store));
        assert_eq!(fold_all(&mut store), 0, "what cannot be moved is not tried again and again");
    }

    #[test]
    fn a_damaged_page_of_rollups_keeps_no_row_and_no_other_hour() {
        let count = |store: &Store, sql: &str| -> i64 {
            store.connection.query_row(sql, [], |row| row.get(0)).expect("it can be counted")
        };
        for is_last in [true, false] {
            let folder = tempfile::tempdir().expect("a folder");
            let mut store = damaged(folder.path(), "series_hours", is_last);
            for second in [100, 3_600, 8 * 86_400] {
                write(&mut store, finished(second));
                assert_eq!((fold_all(&mut store), left(&store)), (0, 0), "{second}");
            }
            let mut ageing = Ageing::new(&Housekeeping::default());
            let (mut due, mut failures) = (ageing.due(), 0);
            // A slice ends when its time is over: how many it takes depends on the machine.
            for _ in 0..20_000 {
                if ageing.slice(&mut store.connection, due).is_err() {
                    failures += 1;
                    ageing.skip(due);
                }
                due = due.max(ageing.due());
            }
            assert!(failures > 0, "the damage was met");
            // What comes last cannot be found out if the last page is damaged.
            let (jobs, all) =
                (count(&store, "SELECT count(*) FROM series_days"), i64::try_from(JOBS).expect("few") + 1);
            assert_eq!(jobs, if is_last { 0 } else { all }, "as many have their day");
        }
    }
}
