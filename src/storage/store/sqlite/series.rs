//! Owns the reads of series: rollups, and what is finished but in none of them yet.
//! It must not read history.

use std::time::Instant as Clock;

use rusqlite::{Connection, OptionalExtension, params};

use super::index::Index;
use super::rollups::{self, ALL, Table};
use super::rows;
use super::stand::Settled;
use crate::job::JobKey;
use crate::limits::{READ_TIME_MAX, SERIES_UNFOLDED_MAX};
use crate::store::Series;
use crate::store::sql::integer;
use crate::store::steps::Steps;
use crate::time::Instant;

/// The series of a job or of all, from one state of the store: a row is in the ledger or in a rollup, and never in both.
/// What the index had settled before that state was chosen is in a rollup.
pub(super) fn series(
    snapshot: &Connection,
    index: (&Index, Settled),
    job: Option<JobKey>,
    (from, to): (Instant, Instant),
    step_s: u32,
) -> rusqlite::Result<Series> {
    let mut steps = Steps::new(from, to, step_s, rollups::edge(snapshot)?);
    for table in [Table::Days, Table::Hours] {
        add_rollups(snapshot, table, job.unwrap_or(ALL), &mut steps)?;
    }
    let now = Clock::now();
    let (most, until) = match job {
        Some(_) => (usize::MAX, now + READ_TIME_MAX),
        None => (SERIES_UNFOLDED_MAX, now + READ_TIME_MAX / 2),
    };
    let complete_through = add_unfolded(snapshot, index, job, (most, until), &mut steps)?;
    Ok(steps.finish(complete_through))
}

/// Looks for the job in each stretch that there is. Hours before the edge are on their way to their day.
fn add_rollups(snapshot: &Connection, table: Table, owner: JobKey, steps: &mut Steps) -> rusqlite::Result<()> {
    let sql = match table {
        Table::Hours => "SELECT start FROM series_hours WHERE start >= ?1 AND start < ?2 ORDER BY start LIMIT 1",
        Table::Days => "SELECT start FROM series_days WHERE start >= ?1 AND start < ?2 ORDER BY start LIMIT 1",
    };
    let mut next = snapshot.prepare_cached(sql)?;
    let (from, to) = steps.range();
    let mut from = from.as_secs();
    while let Some(start) = next.query_row(params![from, to.as_secs()], |row| row.get(0)).optional()? {
        let start = Instant::from_secs(start);
        if let Some(rollup) = table.read(snapshot, (start, owner))? {
            steps.add(start, &rollup);
        }
        from = start.as_secs().saturating_add(1);
    }
    Ok(())
}

/// Adds the rows of the ledger, oldest first. Those of one job are all looked at; of all jobs, as many as there is time
/// for: then returns through which instant there are all.
fn add_unfolded(
    snapshot: &Connection,
    index: (&Index, Settled),
    job: Option<JobKey>,
    (most, until): (usize, Clock),
    steps: &mut Steps,
) -> rusqlite::Result<Option<Instant>> {
    let listed = index.0.oldest_finished(job, steps.range(), index.1, most.saturating_add(1));
    let mut read = snapshot.prepare_cached(rows::SELECT_FINISHED)?;
    // What is cut off is cut off with all that has its instant.
    let cut = listed.get(most).map(|entry| entry.instant());
    let mut at = Instant::FIRST;
    for entry in &listed {
        if entry.instant() != at {
            at = entry.instant();
            let is_late = Clock::now() >= until;
            if is_late && job.is_some() {
                return Err(interrupted());
            }
            if is_late || cut == Some(at) {
                return Ok(Some(Instant::from_secs(at.as_secs() - 1)));
            }
        }
        // The index may be ahead of what is seen here.
        if let Some(row) = read.query_row([integer(entry.seq.0)], rows::read_ledger).optional()? {
            steps.add_execution(&row.key, &row.record);
        }
    }
    Ok(None)
}

/// The error of a read that took too long.
fn interrupted() -> rusqlite::Error {
    rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_INTERRUPT), None)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::super::Store;
    use super::super::commit::commit;
    use super::super::fold::Fold;
    use super::super::open::open_reader;
    use super::*;
    use crate::core::{Class, ExecutionKey, LedgerRow, Persist, Seq, Status};
    use crate::mix::mix;
    use crate::store::steps::Edge;
    use crate::store::{Batch, Housekeeping};

    const NOON: i64 = 1_700_049_600;

    fn write(store: &mut Store, rows: impl Iterator<Item = (u64, u64, i64)>) {
        let row = |(seq, job, second)| {
            let key = ExecutionKey::scheduled(JobKey(job), Instant::from_secs(second));
            let mut row = LedgerRow::pending(Seq(seq), key, Class::OnTime);
            (row.record.status, row.record.duration_us) = (Status::Success, Some(seq));
            (seq, Persist::Row(row, None))
        };
        let items: Vec<(u64, Persist)> = rows.map(row).collect();
        items.iter().for_each(|(_, item)| store.index.expect(item));
        commit(&mut store.connection, None, &Batch { items, ..Batch::default() }).expect("writing works");
    }

    fn total(series: &Series) -> u64 {
        series.points.iter().map(|point| point.success).sum()
    }

    #[test]
    fn a_row_is_counted_once_whatever_the_fold_does_meanwhile() {
        for seed in 0..3 {
            let folder = tempfile::tempdir().expect("a folder");
            let mut store = Store::open(&folder.path().join("p.db")).expect("it opens");
            let (begun, written) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
            let reads = Arc::new(AtomicU64::new(0));
            let (begun_too, written_too, reads_too) = (Arc::clone(&begun), Arc::clone(&written), Arc::clone(&reads));
            let index = Arc::clone(store.index.index());
            let mut connection = open_reader(store.path()).expect("it can be read");
            let reader = std::thread::spawn(move || {
                while written_too.load(Ordering::Acquire) < 30_000 {
                    for job in [None, Some(JobKey(3))] {
                        let before = written_too.load(Ordering::Acquire);
                        let settled = index.settled();
                        let snapshot = connection.transaction().expect("a snapshot");
                        snapshot.query_row("SELECT count(*) FROM marks", [], |_| Ok(())).expect("its first read");
                        let range = (Instant::from_secs(NOON), Instant::from_secs(NOON + 100_000));
                        let found = series(&snapshot, (&index, settled), job, range, 3_600).expect("it can be read");
                        let after = begun_too.load(Ordering::Acquire);
                        let share = |rows: u64| if job.is_some() { rows / 5 } else { rows };
                        let (least, most) = (share(before), share(after));
                        assert!((least..=most).contains(&total(&found)), "{job:?}: {least} to {most}");
                        assert_eq!(found.complete_through, None);
                        reads_too.fetch_add(1, Ordering::Release);
                    }
                }
            });
            let mut fold = Fold::new(0, &Housekeeping::default());
            let (mut rows, mut later) = (0, fold.due());
            while rows < 30_000 {
                let more = (mix(seed ^ rows << 8) % 600 + 1) * 5;
                begun.store(rows + more, Ordering::Release);
                let second = |seq: u64| NOON + i64::try_from(mix(seq) % 10_000).expect("small");
                write(&mut store, (rows..rows + more).map(|seq| (seq + 1, seq % 5 + 1, second(seq))));
                rows += more;
                written.store(rows, Ordering::Release);
                for _ in 0..mix(rows) % 4 {
                    fold.slice(&mut store.connection, &mut store.index, later).expect("it can be folded");
                    later += std::time::Duration::from_secs(60);
                    // Between two folds is more time than a read may take.
                    let reads_before = reads.load(Ordering::Acquire);
                    while fold.is_done() && reads.load(Ordering::Acquire) < reads_before + 2 && !reader.is_finished() {
                        std::thread::yield_now();
                    }
                }
            }
            reader.join().expect("every read was right");
            assert!(reads.load(Ordering::Acquire) > 10, "seed {seed}");
        }
    }

    #[test]
    fn what_there_is_no_room_or_no_time_for_is_left_out_from_an_instant_on() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut store = Store::open(&folder.path().join("p.db")).expect("it opens");
        // Three of each second, the latest first.
        write(&mut store, (0..30).map(|seq| (seq + 1, seq % 3 + 1, NOON + 9 - i64::try_from(seq / 3).expect("small"))));
        let index = Arc::clone(store.index.index());
        let read = |job: Option<u64>, most, until| {
            let (from, to) = (Instant::from_secs(NOON), Instant::from_secs(NOON + 10));
            let mut steps = Steps::new(from, to, 1, Edge::NONE);
            let through =
                add_unfolded(&store.connection, (&index, index.settled()), job.map(JobKey), (most, until), &mut steps)?;
            Ok::<_, rusqlite::Error>((total(&steps.finish(None)), through.map(|through| through.as_secs() - NOON)))
        };
        let (past, soon) = (Clock::now(), Clock::now() + READ_TIME_MAX);
        assert_eq!(read(None, 30, soon), Ok((30, None)));
        assert_eq!(read(None, 29, soon), Ok((27, Some(8))), "what has the last instant is not all there");
        assert_eq!(read(None, 27, soon), Ok((27, Some(8))));
        assert_eq!(read(None, 2, soon), Ok((0, Some(-1))));
        assert_eq!(read(None, 30, past), Ok((0, Some(-1))));
        assert_eq!(read(Some(2), usize::MAX, soon), Ok((10, None)));
        assert_eq!(read(Some(2), usize::MAX, past), Err(interrupted()), "of one job it is all or nothing");
    }
}
