//! Owns what a store must do, whatever its backend: batches, pages, totals, retention, a start.
//! It must not know more of it than its messages, and a subject that takes the steps of its threads one by one.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::subject::{Subject, also_on_postgres};
use super::{AlertState, AlertUpdate, Answer, ExecutionRecord, Filter, Keep, Query};
use crate::clock;
use crate::core::{
    AlertRecord, Change, Class, ExecutionId, ExecutionKey, JobChange, Kind, LedgerRow, Persist, RowNews, Seq, Status,
};
use crate::job::{Context, Definition, JobId, JobKey, JobSpec, Revision};
use crate::limits::RETENTION_SLICE_ROWS;
use crate::time::{Instant, WallUs};

const EVERYTHING: Keep = Keep {
    age: Duration::from_secs(u32::MAX as u64),
    rows_per_job: u64::MAX,
    bytes: u64::MAX,
    audit_age: Duration::from_secs(u32::MAX as u64),
};

fn job(key: u64) -> JobId {
    JobId::new(JobKey(key), [7; 10])
}

fn put(key: u64) -> Persist {
    let definition = Definition::plain("* * * * * *", "http://localhost/");
    let spec = JobSpec::compile(&definition, &Context::at(Instant::from_secs(0))).expect("it is valid");
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

/// Every page of a query, one after the other.
fn pages(
    store: &mut Subject,
    limit: usize,
    query: impl Fn(usize, Option<ExecutionKey>) -> Query,
) -> Vec<ExecutionRecord> {
    let mut all = Vec::new();
    let mut before = None;
    loop {
        let page = match store.ask(&query(limit, before)) {
            Answer::OfJob(_, page) | Answer::OfAll(page) => page,
            Answer::NoSuchJob
            | Answer::InTheWay(_)
            | Answer::One(_)
            | Answer::Jobs(_)
            | Answer::Views(_)
            | Answer::Placing(_)
            | Answer::ToReplay(_)
            | Answer::Why(..)
            | Answer::Key(_)
            | Answer::Series(..)
            | Answer::Strips(_)
            | Answer::Tokens(_)
            | Answer::Audit(_)
            | Answer::Incidents(_)
            | Answer::Incident(_)
            | Answer::Alerts(_) => {
                panic!("executions were asked for")
            }
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
    move |limit, before| Query::OfAll {
        limit,
        before,
        filter: Filter { status, ..Filter::default() },
        now: WallUs(1_000_000_000),
    }
}

#[test]
fn a_page_shows_each_execution_once_whether_folded_or_not() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut store = Subject::open(folder.path());
    store.write((1..=3).map(put));
    let rows = |seconds: std::ops::Range<i64>| {
        seconds.flat_map(|second| {
            (1..=3).map(move |key| {
                let status = if second % 10 == 0 { Status::Failed } else { Status::Success };
                Persist::Row(row(second as u64 * 3 + key, key, second, status), None)
            })
        })
    };
    store.write(rows(0..50));
    store.fold();
    store.write(rows(50..100));
    // One armed row lies ahead, one is in flight.
    let ahead = [row(9_000, 1, 1_001, Status::Pending), row(9_001, 1, 999, Status::Pending)];
    store.write(ahead.map(|row| Persist::Row(row, None)));
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
    assert!(matches!(store.ask(&unknown), Answer::NoSuchJob));
}

#[test]
fn executions_of_one_instant_follow_each_other_over_pages() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut store = Subject::open(folder.path());
    store.write([put(1)]);
    // A job that was released has several of one instant.
    let era = |number: u32| {
        let mut row = row(u64::from(number) + 1, 1, 5, Status::Success);
        row.key.number = number;
        Persist::Row(row, None)
    };
    store.write([era(0), era(1), era(2)]);
    store.fold();
    store.write([era(3), era(4)]);
    for limit in [1, 2, 3, 9] {
        for query in [&of_job(1) as &dyn Fn(usize, Option<ExecutionKey>) -> Query, &of_all(None)] {
            let numbers: Vec<u32> = pages(&mut store, limit, query).iter().map(|record| record.id.number).collect();
            assert_eq!(numbers, [4, 3, 2, 1, 0], "{limit} on a page");
        }
    }
}

#[test]
fn executions_of_one_instant_and_several_kinds_follow_each_other_over_pages() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut store = Subject::open(folder.path());
    store.write([put(1)]);
    // The highest kind came first, and many of a lower one behind it.
    let of = |seq: u64, kind: Kind, number: u32| {
        let mut row = row(seq, 1, 5, Status::Success);
        (row.key.kind, row.key.number) = (kind, number);
        Persist::Row(row, None)
    };
    let replays = (0..9).map(|number| of(2 + u64::from(number), Kind::Replay, number));
    store.write([of(1, Kind::Backfill, 0)].into_iter().chain(replays).chain([of(20, Kind::Scheduled, 0)]));
    let expected: Vec<(Kind, u32)> = [(Kind::Backfill, 0)]
        .into_iter()
        .chain((0..9).rev().map(|number| (Kind::Replay, number)))
        .chain([(Kind::Scheduled, 0)])
        .collect();
    for limit in [1, 2, 3, 20] {
        for query in [&of_job(1) as &dyn Fn(usize, Option<ExecutionKey>) -> Query, &of_all(None)] {
            let found: Vec<_> = pages(&mut store, limit, query).iter().map(|of| (of.id.kind, of.id.number)).collect();
            assert_eq!(found, expected, "{limit} on a page");
        }
    }
}

#[test]
fn counters_and_cursor_are_the_same_before_and_after_a_fold_and_a_reopening() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut store = Subject::open(folder.path());
    store.write([put(1), put(2)]);
    let statuses = [Status::Success, Status::Failed, Status::Skipped, Status::Success];
    for (index, status) in statuses.into_iter().enumerate() {
        store.write([Persist::Row(row(index as u64 + 1, 1, index as i64 + 10, status), None)]);
    }
    store.write([Persist::Row(row(5, 1, 14, Status::Pending), None)]);
    let facts = |store: &mut Subject| {
        let (jobs, rows, loaded) = store.load();
        let first = &jobs[0];
        let counters = first.totals.tally.counters;
        assert_eq!(jobs.len(), 2);
        assert_eq!(rows.iter().map(|row| row.seq.0).collect::<Vec<_>>(), [5]);
        assert!(loaded.restored.next_seq > 5, "no number is used twice");
        assert_eq!(loaded.restored.next_job, 3);
        (counters, first.totals.finished_through, first.totals.tally.last)
    };
    let before = facts(&mut store);
    assert_eq!((before.0.success, before.0.failed, before.0.skipped), (2, 1, 1));
    assert_eq!((before.0.timed, before.0.duration_us), (3, 4_500));
    assert_eq!(before.1, Some((0, Instant::from_secs(13))));
    store.fold();
    assert_eq!(facts(&mut store), before);
    store.fold();
    store.reopen();
    assert_eq!(facts(&mut store), before);
}

#[test]
fn writing_a_batch_again_changes_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut store = Subject::open(folder.path());
    let alert = alert(1, 1);
    for _ in 0..2 {
        let failure = Persist::Row(row(1, 1, 5, Status::Failed), Some(failed(alert.clone())));
        store.write([put(1), failure, Persist::Remove(Seq(99))]);
    }
    assert_eq!(pages(&mut store, 10, of_job(1)).len(), 1);
    let Answer::Alerts(page) = store.ask(&Query::Alerts { limit: 10, before: None }) else {
        panic!("alerts were asked for")
    };
    assert_eq!((page.alerts.len(), page.alerts[0].job, page.next), (1, job(1), None));
    assert_eq!(store.load().2.alerts.len(), 1, "it is still to be delivered");
}

#[test]
fn retention_takes_the_oldest_and_leaves_the_counters() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut store = Subject::open(folder.path());
    let now = clock::wall().floor().as_secs();
    store.write([put(1), put(2)]);
    for key in 1..=2 {
        let rows = (0..3_000).map(|age| row(age as u64 * 2 + key, key, now - age * 60, Status::Success));
        store.write(rows.map(|row| Persist::Row(row, None)));
    }
    store.fold();
    store.sweep(EVERYTHING);
    let kept = |store: &mut Subject| {
        pages(store, 1_000, |limit, before| Query::OfJob { job: job(1), limit, before, now: clock::wall() })
    };
    assert_eq!(kept(&mut store).len(), 3_000);
    store.sweep(Keep { age: Duration::from_secs(60 * 1_000), ..EVERYTHING });
    let left = kept(&mut store);
    assert!((999..=1_001).contains(&left.len()), "{} rows are young enough", left.len());
    store.sweep(Keep { rows_per_job: 10, ..EVERYTHING });
    let left = kept(&mut store);
    assert_eq!(left.len(), 10);
    assert_eq!(left[0].id.instant.as_secs(), now, "the newest stay");
    assert_eq!(store.load().0[0].totals.tally.counters.success, 3_000, "what happened stays counted");
    store.sweep(Keep { bytes: 1, ..EVERYTHING });
    assert!(kept(&mut store).len() < 10);
}

#[test]
fn retention_goes_by_what_it_is_told_last_and_does_not_wait() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut store = Subject::open(folder.path());
    let now = clock::wall().floor().as_secs();
    store.write([put(1)]);
    store.write((0..50).map(|age| Persist::Row(row(age as u64 + 1, 1, now - age * 60, Status::Success), None)));
    store.fold();
    let rest = store.sweep_from_now_on(EVERYTHING, Keep { rows_per_job: 7, ..EVERYTHING });
    let kept = pages(&mut store, 100, |limit, before| Query::OfJob { job: job(1), limit, before, now: clock::wall() });
    assert_eq!((rest, kept.len()), (Duration::ZERO, 7));
}

#[test]
fn an_execution_is_as_old_as_its_first_attempt_whatever_instant_it_belongs_to() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut store = Subject::open(folder.path());
    let now = clock::wall().floor().as_secs();
    let mut backfilled = row(1, 1, now - 1_000_000, Status::Success);
    backfilled.key.kind = Kind::Backfill;
    backfilled.record.executed = Some(WallUs::of(Instant::from_secs(now - 1_000)));
    let old = row(2, 1, now - 500_000, Status::Success);
    let new = row(3, 1, now - 30, Status::Success);
    store.write([put(1)].into_iter().chain([backfilled, old, new].map(|row| Persist::Row(row, None))));
    store.fold();
    let mut kept = |age| {
        store.sweep(Keep { age: Duration::from_secs(age), ..EVERYTHING });
        let query = |limit, before| Query::OfJob { job: job(1), limit, before, now: clock::wall() };
        pages(&mut store, 10, query).iter().map(|kept| kept.id.instant.as_secs() - now).collect::<Vec<_>>()
    };
    assert_eq!(kept(3_600), [-30, -1_000_000]);
    assert_eq!(kept(500), [-30]);
}

#[test]
fn a_sweep_for_bytes_takes_its_share_of_a_long_history_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut store = Subject::open(folder.path());
    let rows = i64::from(RETENTION_SLICE_ROWS) * 20;
    store.write([put(1)]);
    store.write((0..rows).map(|age| Persist::Row(row(age as u64 + 1, 1, 1_000_000 - age, Status::Success), None)));
    store.fold();
    let before = store.bytes();
    store.sweep(Keep { bytes: before / 2, ..EVERYTHING });
    let (after, limit) = (store.bytes(), before / 2);
    assert!(after <= limit, "{after} bytes are still more than {limit}");
    assert!(after > limit * 7 / 10, "{after} bytes of {limit}: more went than was too much");
}

#[test]
fn a_sweep_for_bytes_takes_its_share_of_jobs_with_one_execution_each() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut store = Subject::open(folder.path());
    store.write((1..=2_000).map(put));
    store.write((1..=2_000).map(|key| Persist::Row(row(key, key, 1_000_000, Status::Success), None)));
    store.fold();
    let bytes = store.bytes() * 9 / 10;
    store.sweep_once(Keep { bytes, ..EVERYTHING });
    let query = |limit, before| Query::OfAll { filter: Filter::default(), limit, before, now: clock::wall() };
    let left = pages(&mut store, 1_000, query).len();
    assert!((1_500..1_800).contains(&left), "{left} of 2,000 are left, where a fifth was too much");
}

#[test]
fn a_sweep_for_bytes_takes_the_same_share_of_each_job() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut store = Subject::open(folder.path());
    let (long, short) = (i64::from(RETENTION_SLICE_ROWS) * 7 / 2, 400);
    store.write((1..=3).map(put));
    let mut seq = 0;
    for (key, rows) in [(1, long), (2, short), (3, long)] {
        store.write((0..rows).map(|age| {
            seq += 1;
            Persist::Row(row(seq, key, 1_000_000 - age, Status::Success), None)
        }));
    }
    store.fold();
    let bytes = store.bytes() / 4 * 3;
    store.sweep_once(Keep { bytes, ..EVERYTHING });
    let mut kept = |key: u64, rows: i64| {
        let kept = store.count(&format!("SELECT count(*) FROM job_executions WHERE job_id = {key}"));
        assert_eq!(kept, store.count(&format!("SELECT kept FROM job_totals WHERE job_id = {key}")));
        kept * 100 / rows
    };
    let shares = [kept(1, long), kept(2, short), kept(3, long)];
    assert!(shares.iter().all(|share| (55..75).contains(share)), "{shares:?} per cent are left");
    assert!(shares.iter().max().zip(shares.iter().min()).is_some_and(|(most, least)| most - least <= 1), "{shares:?}");
}

#[test]
fn a_page_of_few_among_many_is_as_full_as_it_can_be() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut store = Subject::open(folder.path());
    store.write([put(1)]);
    // One in ten succeeds; the newest does not.
    let status = |second: i64| if second % 10 == 5 { Status::Success } else { Status::Failed };
    store.write((0..400).map(|second| Persist::Row(row(second as u64 + 1, 1, second, status(second)), None)));
    store.fold();
    for (owner, limit) in [(None, 7), (Some(job(1)), 7), (None, 40), (Some(job(1)), 100)] {
        let filter = Filter { status: Some(Status::Success), job: owner, ..Filter::default() };
        let query = Query::OfAll { limit, before: None, filter, now: WallUs(1_000_000_000) };
        let Answer::OfAll(page) = store.ask(&query) else { panic!("executions were asked for") };
        assert_eq!((page.executions.len(), page.next.is_some()), (limit.min(40), limit < 40), "{filter:?}");
    }
}

#[test]
fn a_tombstone_stays_while_there_is_history_and_its_key_is_not_used_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut store = Subject::open(folder.path());
    store.write([put(1), put(7), Persist::Row(row(1, 7, 5, Status::Success), None)]);
    store.write([change(JobChange::Delete(JobKey(7), WallUs(9)))]);
    assert_eq!(store.load().0.len(), 1);
    // Age counts from the newest row.
    store.write([Persist::Row(row(2, 1, 50, Status::Success), None)]);
    store.fold();
    assert_eq!(pages(&mut store, 10, of_job(7)).len(), 1, "history of a deleted job is readable");
    store.sweep(Keep { age: Duration::from_secs(1), ..EVERYTHING });
    let query = Query::OfJob { job: job(7), limit: 1, before: None, now: WallUs(0) };
    assert!(matches!(store.ask(&query), Answer::NoSuchJob));
    let restored = store.load().2.restored;
    assert_eq!(restored.next_job, 8);
    assert!(restored.next_seq > 2, "no number is used twice");
}

#[test]
fn tombstones_without_rows_go_as_fast_as_they_come_and_those_with_rows_stay() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut store = Subject::open(folder.path());
    let many = u64::from(RETENTION_SLICE_ROWS) * 3;
    store.write((1..=many).map(put));
    // One has a row that is under way, one has one that is finished and not folded.
    store.write([Persist::Row(row(1, 5, 5, Status::Pending), None), Persist::Row(row(2, 6, 5, Status::Success), None)]);
    store.write((1..=many).map(|key| change(JobChange::Delete(JobKey(key), WallUs(9)))));
    store.sweep_once(EVERYTHING);
    let left: Vec<u64> = (1..=many)
        .filter(|&key| {
            let query = Query::OfJob { job: job(key), limit: 1, before: None, now: WallUs(0) };
            !matches!(store.ask(&query), Answer::NoSuchJob)
        })
        .collect();
    assert!(left == [5, 6], "{} tombstones are left", left.len());
    assert_eq!(store.load().2.restored.next_job, many + 1);
}

fn failed(alert: AlertRecord) -> Box<RowNews> {
    Box::new(RowNews { alert: Some(alert), ..RowNews::default() })
}

fn alert(seq: u64, key: u64) -> AlertRecord {
    let execution = ExecutionKey::scheduled(JobKey(key), Instant::from_secs(5)).of(job(key));
    let (api, schedule) = ("http://localhost/".into(), "* * * * * *".into());
    AlertRecord { seq: Seq(seq), execution, api, schedule, error: "down".into(), at: WallUs(6_000_000) }
}

#[test]
fn alerts_keep_to_their_share_and_a_job_that_fails_all_the_time_pushes_out_its_own() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut store = Subject::open(folder.path());
    store.write([put(1), put(2)]);
    let failure =
        |seq: u64, key: u64| Persist::Row(row(seq, key, seq as i64, Status::Failed), Some(failed(alert(seq, key))));
    store.write((1..=20).map(|seq| failure(seq, 1)));
    store.write((21..=5_000).map(|seq| failure(seq, 2)));
    let told = (1..=5_000).map(|seq| AlertUpdate {
        seq: Seq(seq),
        // One is still to be delivered.
        state: if seq == 21 { AlertState::Pending } else { AlertState::Logged },
        at: WallUs(7),
        attempts: 0,
        error: None,
    });
    store.write_alerts(told);
    // A tenth of this is room for about 500 of them.
    let bytes = 1 << 20;
    store.sweep_once(Keep { bytes, ..EVERYTHING });
    let Answer::Alerts(page) = store.ask(&Query::Alerts { limit: 10_000, before: None }) else {
        panic!("alerts were asked for")
    };
    let of = |key| page.alerts.iter().filter(|alert| alert.job == job(key)).count();
    assert_eq!(of(1), 20, "those of a job that rarely fails stay");
    assert!((200..1_000).contains(&of(2)), "{} alerts of the other are left", of(2));
    assert_eq!(page.alerts[0].seq, Seq(5_000), "the newest stay");
    assert!(page.alerts.iter().any(|alert| alert.seq == Seq(21)), "what is still to be delivered stays");
}

#[test]
fn a_clock_that_is_years_ahead_erases_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut store = Subject::open(folder.path());
    let now = clock::wall().floor().as_secs();
    // Seen from there, now is forty days ahead.
    let then = now - 40 * 86_400;
    store.write([put(1)]);
    store.write((0..100).map(|age| Persist::Row(row(age + 1, 1, then - age as i64 * 86_400, Status::Success), None)));
    store.fold();
    store.sweep(Keep { age: Duration::from_secs(30 * 86_400), ..EVERYTHING });
    let query = |limit, before| Query::OfJob { job: job(1), limit, before, now: clock::wall() };
    let left = pages(&mut store, 1_000, query).len();
    assert!((30..=32).contains(&left), "{left} of the newest thirty days are left");
}

also_on_postgres!(
    a_page_shows_each_execution_once_whether_folded_or_not,
    executions_of_one_instant_follow_each_other_over_pages,
    executions_of_one_instant_and_several_kinds_follow_each_other_over_pages,
    counters_and_cursor_are_the_same_before_and_after_a_fold_and_a_reopening,
    writing_a_batch_again_changes_nothing,
    retention_takes_the_oldest_and_leaves_the_counters,
    an_execution_is_as_old_as_its_first_attempt_whatever_instant_it_belongs_to,
    a_tombstone_stays_while_there_is_history_and_its_key_is_not_used_again,
    tombstones_without_rows_go_as_fast_as_they_come_and_those_with_rows_stay,
    alerts_keep_to_their_share_and_a_job_that_fails_all_the_time_pushes_out_its_own,
    a_clock_that_is_years_ahead_erases_nothing,
);
