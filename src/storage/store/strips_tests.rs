//! Owns what strips must do, whatever the backend: the same executions as the page of each job has, in one answer.
//! It must not know more of the store than its messages.

use std::sync::Arc;

use super::subject::{Subject, also_on_postgres};
use super::{Answer, Query, Strip, StripRun};
use crate::core::{Change, Class, ExecutionKey, JobChange, LedgerRow, Persist, Seq, Status};
use crate::job::{Context, Definition, JobId, JobKey, JobSpec, Revision};
use crate::time::{Instant, WallUs};

const NOW: WallUs = WallUs(1_000_000_000);

fn job(key: u64) -> JobId {
    JobId::new(JobKey(key), [7; 10])
}

fn put(key: u64) -> Persist {
    let definition = Definition::plain("* * * * * *", "http://localhost/");
    let spec = JobSpec::compile(&definition, &Context::at(Instant::from_secs(0))).expect("it is valid");
    let job = JobChange::Put(Arc::new(Revision::first(job(key), spec, WallUs(1))));
    Persist::Change(Box::new(Change { job, remove: Vec::new(), rows: Vec::new() }))
}

fn row(seq: u64, key: u64, second: i64, status: Status) -> Persist {
    let key = ExecutionKey::scheduled(JobKey(key), Instant::from_secs(second));
    let mut row = LedgerRow::pending(Seq(seq), key, Class::OnTime);
    row.record.status = status;
    if status != Status::Pending {
        row.record.executed = Some(WallUs::of(key.instant).plus_us(second));
        row.record.duration_us = Some(seq);
    }
    Persist::Row(row, None)
}

fn ask(store: &mut Subject, jobs: &[JobId], limit: usize) -> Vec<Strip> {
    match store.ask(&Query::Strips { jobs: jobs.into(), limit, now: NOW }) {
        Answer::Strips(strips) => strips,
        other => panic!("strips were asked for, not {other:?}"),
    }
}

/// What the page of a job says of the same executions.
fn page(store: &mut Subject, job: JobId, limit: usize) -> Vec<StripRun> {
    let Answer::OfJob(_, page) = store.ask(&Query::OfJob { job, limit, before: None, now: NOW }) else {
        panic!("a page of a job was asked for")
    };
    let run = |found: super::ExecutionRecord| StripRun {
        instant: found.id.instant,
        kind: found.id.kind,
        number: found.id.number,
        status: found.record.status,
        executed: found.record.executed,
        duration_us: found.record.duration_us,
    };
    page.executions.into_iter().map(run).collect()
}

#[test]
fn a_strip_is_the_page_of_its_job_whether_folded_or_not_and_an_unknown_one_is_empty() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut store = Subject::open(folder.path());
    store.write((1..=4).map(put));
    let mut seq = 0;
    // One that is busy, one that is not, and one that never was.
    let mut rows = |seconds: std::ops::Range<i64>| {
        let mut rows = Vec::new();
        for second in seconds {
            for key in if second % 20 == 0 { vec![1, 2] } else { vec![1] } {
                seq += 1;
                rows.push(row(seq, key, second, if second % 7 == 0 { Status::Failed } else { Status::Success }));
            }
        }
        rows
    };
    let stranger = JobId::new(JobKey(2), [8; 10]);
    let asked = [job(2), stranger, job(1), job(3), job(9), job(2)];
    let compare = |store: &mut Subject| {
        for limit in [1, 3, 60, 100] {
            let strips = ask(store, &asked, limit);
            assert_eq!(strips.iter().map(|strip| strip.job).collect::<Vec<_>>(), asked);
            for (strip, is_known) in strips.iter().zip([true, false, true, true, false, true]) {
                let expected = if is_known { page(store, strip.job, limit) } else { Vec::new() };
                assert_eq!(strip.runs, expected, "{:?}, {limit}", strip.job);
            }
        }
    };
    compare(&mut store);
    let first = rows(0..300);
    store.write(first);
    compare(&mut store);
    store.fold();
    compare(&mut store);
    let second = rows(300..340);
    store.write(second);
    // One is in flight, and one lies ahead.
    store.write([row(9_000, 3, 999, Status::Pending), row(9_001, 3, 1_001, Status::Pending)]);
    compare(&mut store);
    assert_eq!(ask(&mut store, &[job(3)], 60)[0].runs.len(), 1, "what lies ahead has not happened");
    store.fold();
    compare(&mut store);
}

#[test]
fn a_strip_is_full_whatever_lies_ahead_or_has_moved() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut store = Subject::open(folder.path());
    store.write([put(1)]);
    store.write((0..20).map(|second| row(second as u64 + 1, 1, second, Status::Success)));
    store.fold();
    // The clock was ahead once: more rows lie ahead than a strip has, and behind them what has just happened.
    store.write((20..40).map(|second| row(second as u64 + 1, 1, second, Status::Failed)));
    store.write((0..30).map(|second| row(1_000 + second as u64, 1, 2_000 + second, Status::Pending)));
    for limit in [1, 5, 19, 20, 21, 40, 60] {
        let runs = &ask(&mut store, &[job(1)], limit)[0].runs;
        assert_eq!(runs.len(), limit.min(40), "{limit}");
        assert_eq!(*runs, page(&mut store, job(1), limit), "{limit}");
    }
    // The index knows of some that are not on disk yet.
    store.meddle("DELETE FROM ledger WHERE seq BETWEEN 36 AND 40");
    for limit in [1, 3, 5, 20, 60] {
        let runs = &ask(&mut store, &[job(1)], limit)[0].runs;
        let seconds: Vec<i64> = runs.iter().map(|run| run.instant.as_secs()).collect();
        assert_eq!(seconds, (0..35).rev().take(limit).collect::<Vec<_>>(), "{limit}");
    }
}

also_on_postgres!(a_strip_is_the_page_of_its_job_whether_folded_or_not_and_an_unknown_one_is_empty,);
