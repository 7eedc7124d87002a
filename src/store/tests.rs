//! Tests of the store against real SQLite files: batches, fold, pages, retention, reopening.
//! They must go through the same functions as the threads do.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant as Mono};

use super::fold::Fold;
use super::retention::{Keep, Retention};
use super::tail::Tail;
use super::writer::{Batch, commit};
use super::{Answer, ExecutionRecord, Loaded, Query, Store, history, load};
use crate::clock;
use crate::core::{
    AlertRecord, Change, Class, ExecutionId, ExecutionKey, JobChange, Kind, LedgerRow, Persist, Seq, Status, StoredJob,
};
use crate::job::{Definition, JobId, JobKey, JobSpec, Revision};
use crate::limits::RETENTION_SLICE_ROWS;
use crate::time::{Instant, WallUs};

const EVERYTHING: Keep = Keep { age: Duration::from_secs(u32::MAX as u64), rows_per_job: u64::MAX, bytes: u64::MAX };

fn job(key: u64) -> JobId {
    JobId::new(JobKey(key), [7; 10])
}

fn put(key: u64) -> Persist {
    let definition = Definition::plain("* * * * * *", "http://localhost/");
    let spec = JobSpec::compile(&definition, Instant::from_secs(0)).expect("it is valid");
    change(JobChange::Put(Arc::new(Revision::first(job(key), spec, WallUs(1)))))
}

fn change(job: JobChange) -> Persist {
    Persist::Change(Box::new(Change { job, remove: Vec::new(), rows: Vec::new() }))
}

fn row(seq: u64, key: u64, second: i64, status: Status) -> LedgerRow {
    let finished = matches!(status, Status::Success | Status::Failed);
    let key = ExecutionKey::scheduled(JobKey(key), Instant::from_secs(second));
    let mut row = LedgerRow::pending(Seq(seq), key, Class::OnTime);
    (row.record.status, row.record.attempt) = (status, 2);
    if finished {
        row.record.executed = Some(WallUs::of(key.instant).plus_us(250));
        (row.record.http_status, row.record.duration_us) = (Some(200), Some(1_500));
    }
    row.record.error = (status == Status::Failed).then(|| "the target answered 500".into());
    row
}

fn write(store: &mut Store, items: impl IntoIterator<Item = Persist>) {
    let items = items.into_iter().enumerate().map(|(index, item)| (index as u64 + 1, item)).collect();
    commit(&mut store.connection, &Batch { items, alerts: Vec::new() }, false).expect("it can be written");
}

/// Folds all that is finished.
fn fold_all(store: &mut Store) {
    let mut fold = Fold::new(load(store, |_| (), |_| ()).expect("it can be read").finished);
    let begin = fold.due().unwrap_or_else(Mono::now);
    for hours in 0.. {
        if fold.due().is_none() {
            return;
        }
        let later = begin + Duration::from_secs(3600 * hours);
        fold.slice(&mut store.connection, later).expect("it can be folded");
    }
}

fn open(path: &Path) -> Store {
    Store::open(path).expect("it opens")
}

fn reload(store: &Store) -> (Vec<StoredJob>, Vec<LedgerRow>, Loaded) {
    let (mut jobs, mut rows) = (Vec::new(), Vec::new());
    let loaded = load(store, |job| jobs.push(job), |row| rows.push(row)).expect("it can be read");
    (jobs, rows, loaded)
}

fn ask(store: &mut Store, query: &Query) -> Answer {
    history::answer(&mut store.connection, &Mutex::new(Tail::default()), query).expect("it can be read")
}

/// Every page of a query, one after the other.
fn pages(
    store: &mut Store,
    limit: usize,
    query: impl Fn(usize, Option<ExecutionKey>) -> Query,
) -> Vec<ExecutionRecord> {
    let mut all = Vec::new();
    let mut before = None;
    loop {
        let page = match ask(store, &query(limit, before)) {
            Answer::OfJob(_, page) | Answer::OfAll(page) => page,
            Answer::NoSuchJob | Answer::Alerts(_) => panic!("executions were asked for"),
        };
        assert!(page.executions.len() <= limit);
        all.extend(page.executions);
        before = page.next;
        if before.is_none() {
            return all;
        }
    }
}

fn of_job(key: u64) -> impl Fn(usize, Option<ExecutionKey>) -> Query {
    move |limit, before| Query::OfJob { job: job(key), limit, before, now: WallUs(1_000_000_000) }
}

fn of_all(status: Option<Status>) -> impl Fn(usize, Option<ExecutionKey>) -> Query {
    move |limit, before| Query::OfAll { limit, before, status, now: WallUs(1_000_000_000) }
}

#[test]
fn a_page_shows_each_execution_once_whether_folded_or_not() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut store = open(&folder.path().join("p.db"));
    write(&mut store, (1..=3).map(put));
    let rows = |seconds: std::ops::Range<i64>| {
        seconds.flat_map(|second| {
            (1..=3).map(move |key| {
                let status = if second % 10 == 0 { Status::Failed } else { Status::Success };
                Persist::Row(row(second as u64 * 3 + key, key, second, status), None)
            })
        })
    };
    write(&mut store, rows(0..50));
    fold_all(&mut store);
    write(&mut store, rows(50..100));
    // One armed row lies ahead, one is in flight.
    let ahead = [row(9_000, 1, 1_001, Status::Pending), row(9_001, 1, 999, Status::Pending)];
    write(&mut store, ahead.map(|row| Persist::Row(row, None)));
    for limit in [1, 7, 1_000] {
        let seen = pages(&mut store, limit, of_job(1));
        assert_eq!((seen.len(), seen[0].record.status), (101, Status::Pending), "the armed row ahead is not shown");
        let all = pages(&mut store, limit, of_all(None));
        assert_eq!(all.len(), 301);
        assert_eq!(all.iter().map(|record| record.id).collect::<BTreeSet<_>>().len(), 301, "each once");
        assert!(all.windows(2).all(|pair| pair[0].id.instant >= pair[1].id.instant), "newest first");
        assert_eq!(pages(&mut store, limit, of_all(Some(Status::Failed))).len(), 30);
        assert_eq!(pages(&mut store, limit, of_all(Some(Status::Pending))).len(), 1);
    }
    let folded = pages(&mut store, 1_000, of_job(2)).pop().expect("the oldest is folded");
    let id = ExecutionId { job: job(2), instant: Instant::from_secs(0), kind: Kind::Scheduled, number: 0 };
    assert_eq!((folded.id, folded.record.executed, folded.record.retry_count()), (id, Some(WallUs(250)), 1));
    assert_eq!(
        (folded.record.duration_us, folded.record.error.as_deref()),
        (Some(1_500), Some("the target answered 500"))
    );
    let unknown = Query::OfJob { job: job(9), limit: 1, before: None, now: WallUs(0) };
    assert!(matches!(ask(&mut store, &unknown), Answer::NoSuchJob));
}

#[test]
fn counters_and_cursor_are_the_same_before_and_after_a_fold_and_a_reopening() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("p.db");
    let mut store = open(&path);
    write(&mut store, [put(1), put(2)]);
    let statuses = [Status::Success, Status::Failed, Status::Skipped, Status::Success];
    for (index, status) in statuses.into_iter().enumerate() {
        write(&mut store, [Persist::Row(row(index as u64 + 1, 1, index as i64 + 10, status), None)]);
    }
    write(&mut store, [Persist::Row(row(5, 1, 14, Status::Pending), None)]);
    let facts = |store: &Store| {
        let (jobs, rows, loaded) = reload(store);
        let first = &jobs[0];
        let counters = first.totals.tally.counters;
        assert_eq!(jobs.len(), 2);
        assert_eq!(rows.iter().map(|row| row.seq.0).collect::<Vec<_>>(), [5]);
        assert_eq!((loaded.restored.next_seq, loaded.restored.next_job), (6, 3));
        (counters, first.totals.finished_through, first.totals.tally.last)
    };
    let before = facts(&store);
    assert_eq!((before.0.success, before.0.failed, before.0.skipped), (2, 1, 1));
    assert_eq!((before.0.timed, before.0.duration_us), (3, 4_500));
    assert_eq!(before.1, Some(Instant::from_secs(13)));
    fold_all(&mut store);
    assert_eq!(facts(&store), before);
    fold_all(&mut store);
    drop(store);
    assert_eq!(facts(&open(&path)), before);
}

#[test]
fn writing_a_batch_again_changes_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut store = open(&folder.path().join("p.db"));
    let alert = AlertRecord {
        seq: Seq(1),
        execution: ExecutionId { job: job(1), instant: Instant::from_secs(5), kind: Kind::Scheduled, number: 0 },
        api: "http://localhost/".into(),
        schedule: "* * * * * *".into(),
        error: "down".into(),
        at: WallUs(6_000_000),
    };
    for _ in 0..2 {
        let failure = Persist::Row(row(1, 1, 5, Status::Failed), Some(Box::new(alert.clone())));
        write(&mut store, [put(1), failure, Persist::Remove(Seq(99))]);
    }
    assert_eq!(pages(&mut store, 10, of_job(1)).len(), 1);
    let Answer::Alerts(page) = ask(&mut store, &Query::Alerts { limit: 10, before: None }) else {
        panic!("alerts were asked for")
    };
    assert_eq!((page.alerts.len(), page.alerts[0].job, page.next), (1, job(1), None));
    assert_eq!(reload(&store).2.alerts.len(), 1, "it is still to be delivered");
}

#[test]
fn retention_takes_the_oldest_and_leaves_the_counters() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut store = open(&folder.path().join("p.db"));
    let now = clock::wall().floor().as_secs();
    write(&mut store, [put(1), put(2)]);
    for key in 1..=2 {
        let rows = (0..3_000).map(|age| row(age as u64 * 2 + key, key, now - age * 60, Status::Success));
        write(&mut store, rows.map(|row| Persist::Row(row, None)));
    }
    fold_all(&mut store);
    let sweep = |store: &mut Store, keep: Keep| {
        let mut retention = Retention::new(keep);
        for hours in 1..200 {
            let later = Mono::now() + Duration::from_secs(3600 * hours);
            retention.slice(&mut store.connection, later).expect("it can be swept");
        }
    };
    sweep(&mut store, EVERYTHING);
    let kept = |store: &mut Store| {
        pages(store, 1_000, |limit, before| Query::OfJob { job: job(1), limit, before, now: clock::wall() })
    };
    assert_eq!(kept(&mut store).len(), 3_000);
    sweep(&mut store, Keep { age: Duration::from_secs(60 * 1_000), ..EVERYTHING });
    let left = kept(&mut store);
    assert!((999..=1_001).contains(&left.len()), "{} rows are young enough", left.len());
    sweep(&mut store, Keep { rows_per_job: 10, ..EVERYTHING });
    let left = kept(&mut store);
    assert_eq!(left.len(), 10);
    assert_eq!(left[0].id.instant.as_secs(), now, "the newest stay");
    assert_eq!(reload(&store).0[0].totals.tally.counters.success, 3_000, "what happened stays counted");
    sweep(&mut store, Keep { bytes: 1, ..EVERYTHING });
    assert!(kept(&mut store).len() < 10);
}

#[test]
fn a_sweep_for_bytes_takes_its_share_of_a_long_history_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut store = open(&folder.path().join("p.db"));
    let rows = i64::from(RETENTION_SLICE_ROWS) * 20;
    write(&mut store, [put(1)]);
    write(
        &mut store,
        (0..rows).map(|age| Persist::Row(row(age as u64 + 1, 1, 1_000_000 - age, Status::Success), None)),
    );
    fold_all(&mut store);
    let used = |store: &Store| {
        let number = |name| store.connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0)).expect("known");
        (number("page_count") - number("freelist_count")) * number("page_size")
    };
    let before = used(&store);
    let mut retention = Retention::new(Keep { bytes: before.unsigned_abs() / 2, ..EVERYTHING });
    for hours in 1..200 {
        let later = Mono::now() + Duration::from_secs(3600 * hours);
        retention.slice(&mut store.connection, later).expect("it can be swept");
    }
    let (after, limit) = (used(&store), before / 2);
    assert!(after <= limit, "{after} bytes are still more than {limit}");
    assert!(after > limit * 7 / 10, "{after} bytes of {limit}: more went than was too much");
}

#[test]
fn a_tombstone_stays_while_there_is_history_and_its_key_is_not_used_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut store = open(&folder.path().join("p.db"));
    write(&mut store, [put(1), put(7), Persist::Row(row(1, 7, 5, Status::Success), None)]);
    write(&mut store, [change(JobChange::Delete(JobKey(7), WallUs(9)))]);
    assert_eq!(reload(&store).0.len(), 1);
    fold_all(&mut store);
    assert_eq!(pages(&mut store, 10, of_job(7)).len(), 1, "history of a deleted job is readable");
    let mut retention = Retention::new(Keep { age: Duration::from_secs(1), ..EVERYTHING });
    for hours in 1..10 {
        let later = Mono::now() + Duration::from_secs(3600 * hours);
        retention.slice(&mut store.connection, later).expect("it can be swept");
    }
    let query = Query::OfJob { job: job(7), limit: 1, before: None, now: WallUs(0) };
    assert!(matches!(ask(&mut store, &query), Answer::NoSuchJob));
    let restored = reload(&store).2.restored;
    assert_eq!((restored.next_job, restored.next_seq), (8, 2));
}
