//! Owns what a store must do with time series, whatever its backend: each execution counted once, from the ledger to the
//! days.
//! It must not know more of a backend than its messages, and a subject that takes the steps of its threads one by one.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::subject::{Subject, also_on_postgres, turns};
use super::{Answer, Distribution, Keep, Query, Series, SeriesPoint};
use crate::core::{Change, Class, ExecutionKey, JobChange, LedgerRow, Persist, Seq, Status};
use crate::job::{Context, Definition, JobId, JobKey, JobSpec, Revision};
use crate::mix::mix;
use crate::time::{Instant, WallUs};

const HOUR: i64 = 3_600;
const DAY: i64 = 86_400;
/// A midnight.
const MIDNIGHT: i64 = 19_700 * DAY;
const AGE: Duration = Duration::from_secs(u32::MAX as u64);
const EVERYTHING: Keep = Keep { age: AGE, rows_per_job: u64::MAX, bytes: u64::MAX, audit_age: AGE };

fn job(key: u64) -> JobId {
    JobId::new(JobKey(key), [7; 10])
}

fn change(job: JobChange) -> Persist {
    Persist::Change(Box::new(Change { job, remove: Vec::new(), rows: Vec::new() }))
}

fn put(key: u64) -> Persist {
    let definition = Definition::plain("* * * * * *", "http://localhost/");
    let spec = JobSpec::compile(&definition, &Context::at(Instant::from_secs(0))).expect("it is valid");
    change(JobChange::Put(Arc::new(Revision::first(job(key), spec, WallUs(1)))))
}

/// A finished row, whose values follow from its number.
fn row(seq: u64, key: u64, second: i64) -> LedgerRow {
    let key = ExecutionKey::scheduled(JobKey(key), Instant::from_secs(second));
    // Several may have one instant.
    let key = ExecutionKey { number: u32::try_from(seq % (1 << 32)).expect("32 bits"), ..key };
    let mut row = LedgerRow::pending(Seq(seq), key, Class::OnTime);
    row.record.status = match mix(seq) % 10 {
        0 => Status::Skipped,
        1 => Status::Failed,
        _ => Status::Success,
    };
    if row.record.status != Status::Skipped {
        row.record.executed =
            Some(WallUs::of(key.instant).plus_us(i64::try_from(mix(seq + 1) % 4_000).expect("small")));
        row.record.duration_us = Some(800 + mix(seq + 2) % 9_000);
    }
    row
}

/// Rows of four jobs within so many hours from `first` on.
fn rows(seed: u64, length: u64, first: i64, hours: u64) -> Vec<LedgerRow> {
    let row_of = |turn: u64| {
        let draw = mix(seed << 32 ^ turn);
        row((seed << 24) + turn + 1, draw % 4 + 1, first + i64::try_from(draw / 4 % (hours * 3_600)).expect("small"))
    };
    (0..length).map(row_of).collect()
}

fn open(folder: &tempfile::TempDir) -> Subject {
    let mut store = Subject::open(folder.path());
    store.write((1..=4).map(put));
    store
}

fn write(store: &mut Subject, rows: &[LedgerRow]) {
    store.write(rows.iter().map(|row| Persist::Row(row.clone(), None)));
}

fn query(key: Option<u64>, range: (i64, i64), step_s: i64) -> Query {
    let (from, to) = (Instant::from_secs(range.0), Instant::from_secs(range.1));
    Query::Series { job: key.map(job), from, to, step_s: u32::try_from(step_s).expect("small") }
}

fn series(store: &mut Subject, key: Option<u64>, range: (i64, i64), step_s: i64) -> Series {
    match store.ask(&query(key, range, step_s)) {
        Answer::Series(of, series) => {
            assert_eq!((of, series.complete_through), (key.map(job), None));
            series
        }
        other => panic!("a series was asked for: {other:?}"),
    }
}

/// What is exact in a series: where, and success, failed, skipped, how many drifts and the highest, durations likewise.
type Exact = (i64, i64, [u64; 7]);

fn exact(series: &Series) -> Vec<Exact> {
    let pair = |values: Option<Distribution>| {
        values.map_or([0, 0], |Distribution { count, p50_us, p99_us, max_us }| {
            assert!(p50_us <= p99_us && p99_us <= max_us);
            [count, max_us]
        })
    };
    let exact_of = |point: &SeriesPoint| {
        let ([drifts, drift], [durations, duration]) = (pair(point.drift), pair(point.duration));
        let figures = [point.success, point.failed, point.skipped, drifts, drift, durations, duration];
        (point.start.as_secs(), point.seconds.into(), figures)
    };
    series.points.iter().map(exact_of).collect()
}

/// The same, from the rows; before the edge in days.
fn expected(rows: &[LedgerRow], key: Option<u64>, range: (i64, i64), step: i64, edge: i64) -> Vec<Exact> {
    let mut found: BTreeMap<(i64, i64), [u64; 7]> = BTreeMap::new();
    for row in rows.iter().filter(|row| key.is_none_or(|key| row.key.job.0 == key)) {
        let second = row.key.instant.as_secs();
        let length = if second < edge { step.max(DAY) } else { step };
        let start = second.div_euclid(length) * length;
        if start + length <= range.0 || start >= range.1 {
            continue;
        }
        let [success, failed, skipped, drifts, drift, durations, duration] = found.entry((start, length)).or_default();
        match row.record.status {
            Status::Pending => continue,
            Status::Success => *success += 1,
            Status::Failed => *failed += 1,
            Status::Skipped => *skipped += 1,
        }
        if let (Some(executed), Some(took)) = (row.record.executed, row.record.duration_us) {
            (*drifts, *durations) = (*drifts + 1, *durations + 1);
            *drift = (*drift).max(executed.since_us(WallUs::of(row.key.instant)).unsigned_abs());
            *duration = (*duration).max(took);
        }
    }
    found.into_iter().map(|((start, length), figures)| (start, length, figures)).collect()
}

/// Each job and all of them, by steps of several lengths.
fn check(store: &mut Subject, rows: &[LedgerRow], range: (i64, i64), edge: i64, what: &str) {
    for key in [None, Some(1), Some(4)] {
        for step in [HOUR, 6 * HOUR, DAY, 3 * DAY] {
            let found = exact(&series(store, key, range, step));
            assert_eq!(found, expected(rows, key, range, step, edge), "{what}: job {key:?} by {step} s");
        }
    }
}

#[test]
fn each_row_is_counted_once_folded_or_not_over_midnight_and_after_a_crash() {
    for seed in 1..=turns(24) {
        let folder = tempfile::tempdir().expect("a folder");
        let mut store = open(&folder);
        let first = MIDNIGHT - 5 * HOUR;
        let all = rows(seed, 400, first, 9);
        let range = (first, first + 9 * HOUR);
        let mut written = 0;
        while written < all.len() {
            let more = usize::try_from(mix(seed ^ written as u64) % 150 + 1).expect("small").min(all.len() - written);
            write(&mut store, &all[written..written + more]);
            written += more;
            match mix(seed + written as u64) % 4 {
                0 => assert_eq!(store.fold(), None),
                1 => store.reopen(),
                // A batch that was written and is written again.
                2 => store.write_again(all[written - more..written].iter().map(|row| Persist::Row(row.clone(), None))),
                _ => {}
            }
            check(&mut store, &all[..written], range, i64::MIN, &format!("seed {seed}, {written} rows"));
        }
        store.fold();
        store.reopen();
        check(&mut store, &all, range, i64::MIN, "at the end");
        let part = (MIDNIGHT - HOUR + 1, MIDNIGHT + HOUR - 1);
        check(&mut store, &all, part, i64::MIN, "a part: its steps are whole");
    }
}

#[test]
fn what_is_armed_or_in_flight_is_in_no_series() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut store = open(&folder);
    let pending = LedgerRow::pending(Seq(1), ExecutionKey::scheduled(JobKey(1), Instant::from_secs(9)), Class::OnTime);
    write(&mut store, &[pending]);
    assert_eq!(series(&mut store, Some(1), (0, 10), 1).points, []);
    assert_eq!(series(&mut store, None, (0, 10), 1).points, []);
    assert!(matches!(store.ask(&query(Some(9), (0, 10), 1)), Answer::NoSuchJob));
}

#[test]
fn percentiles_are_about_right() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut store = open(&folder);
    let rows: Vec<LedgerRow> = (0..3_000).map(|seq| row(seq + 1, 1, MIDNIGHT + seq as i64)).collect();
    let mut durations: Vec<u64> = rows.iter().filter_map(|row| row.record.duration_us).collect();
    durations.sort_unstable();
    for part in rows.chunks(500) {
        write(&mut store, part);
        store.fold();
    }
    for (key, off) in [(Some(1), 0.12), (None, 0.032)] {
        let point = series(&mut store, key, (MIDNIGHT, MIDNIGHT + 1), HOUR).points[0];
        let told = point.duration.expect("there are some");
        for (told, per_cent) in [(told.p50_us, 50), (told.p99_us, 99)] {
            let exact = durations[(durations.len() * per_cent).div_ceil(100) - 1] as f64;
            assert!((told as f64 - exact).abs() <= exact * off, "{key:?}, {per_cent} %: {told} for {exact}");
        }
    }
}

#[test]
fn hours_become_days_that_are_their_sum_whenever_it_is_cut_short() {
    for seed in 1..8 {
        let folder = tempfile::tempdir().expect("a folder");
        let mut store = open(&folder);
        let first = MIDNIGHT - 10 * DAY;
        let mut all = rows(seed, 1_500, first, 10 * 24 + 1);
        // The newest: an hour after midnight. So the edge is seven days before that midnight.
        all.push(row(1, 1, MIDNIGHT + HOUR / 2));
        let edge = MIDNIGHT - 7 * DAY;
        write(&mut store, &all[..1_000]);
        store.fold();
        let range = (first, MIDNIGHT + 2 * HOUR);
        write(&mut store, &all[1_000..]);
        store.fold();
        check(&mut store, &all, range, i64::MIN, "before it aged");
        let hours = store.count("SELECT count(*) FROM series_hours");
        // The first slice moves the edge only; each further one moves at most 500 hours.
        for slices in [1, 2, 2, 100] {
            let (failures, _) = store.age(slices);
            assert_eq!(failures, 0);
            if slices == 2 {
                store.reopen();
            }
            check(&mut store, &all, range, edge, &format!("seed {seed}, after {slices} slices"));
        }
        assert_eq!(store.age(100), (0, true));
        let left = store.count("SELECT count(*) FROM series_hours");
        assert!(left < hours && left > 7 * 24, "{left} of {hours} hours are left");
        assert_eq!(store.count(&format!("SELECT count(*) FROM series_hours WHERE start < {edge}")), 0);
        // Late rows: into a day, and into an hour.
        let late = [row(2, 2, edge - 1), row(3, 2, edge), row(4, 4, first), row(5, 4, first - 25 * DAY)];
        write(&mut store, &late);
        all.extend(late);
        let range = (first - 30 * DAY, range.1);
        check(&mut store, &all, range, edge, "not folded");
        store.fold();
        assert_eq!(store.count(&format!("SELECT count(*) FROM series_hours WHERE start < {edge}")), 0);
        check(&mut store, &all, range, edge, "folded");
    }
}

#[test]
fn days_go_when_they_are_too_old_and_not_because_of_retention() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut store = open(&folder);
    let all: Vec<LedgerRow> = (0..600).map(|age| row(age + 1, age % 4 + 1, MIDNIGHT - age as i64 * DAY)).collect();
    write(&mut store, &all);
    store.fold();
    store.sweep(Keep { bytes: 1, age: Duration::from_secs(1), rows_per_job: 1, ..EVERYTHING });
    assert!(store.count("SELECT count(*) FROM job_executions") < 5);
    let range = (0, MIDNIGHT + DAY);
    let found = exact(&series(&mut store, None, range, 30 * DAY));
    assert_eq!(found, expected(&all, None, range, 30 * DAY, i64::MIN), "history is gone, and series are not");
    assert_eq!(store.age(100), (0, true));
    let days = series(&mut store, None, (MIDNIGHT - 700 * DAY, range.1), DAY).points;
    assert_eq!(days.len(), 401, "400 days, and the one that has begun");
    assert_eq!(days[0].start.as_secs(), MIDNIGHT - 400 * DAY);
}

#[test]
fn a_clock_that_is_years_ahead_makes_no_days_of_what_is_new() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut store = open(&folder);
    // Seen from there, now is a year ahead.
    let then = (crate::clock::wall().floor().as_secs() / DAY - 365) * DAY;
    let all = rows(3, 500, then, 24);
    write(&mut store, &all);
    store.fold();
    assert_eq!(store.age(100), (0, true));
    check(&mut store, &all, (then, then + DAY), i64::MIN, "aged");
    assert_eq!(store.count("SELECT count(*) FROM series_days"), 0);
}

#[test]
fn a_deleted_job_has_its_series_while_there_is_history_and_stays_in_the_sum() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut store = open(&folder);
    let all = rows(5, 300, MIDNIGHT, 4);
    write(&mut store, &all);
    store.fold();
    store.write([change(JobChange::Delete(JobKey(1), WallUs(9)))]);
    let range = (MIDNIGHT, MIDNIGHT + DAY);
    check(&mut store, &all, range, i64::MIN, "deleted");
    store.sweep(Keep { rows_per_job: 0, ..EVERYTHING });
    assert!(matches!(store.ask(&query(Some(1), range, HOUR)), Answer::NoSuchJob));
    assert_eq!(exact(&series(&mut store, None, range, HOUR)), expected(&all, None, range, HOUR, i64::MIN));
}

#[test]
fn a_rollup_that_cannot_be_read_keeps_no_execution_from_history_and_no_other_from_being_counted() {
    for (damaged, table) in [(0, "series_hours"), (1, "series_hours"), (0, "series_days"), (1, "series_days")] {
        let folder = tempfile::tempdir().expect("a folder");
        let mut store = open(&folder);
        // The newest of them moves the edge behind all others.
        let newest = row(1, 4, MIDNIGHT + 9 * DAY);
        let mut all = rows(7, 300, MIDNIGHT, 2);
        all.push(newest);
        write(&mut store, &all);
        store.fold();
        let is_aged = table == "series_days";
        if is_aged {
            assert_eq!(store.age(100), (0, true));
        }
        let start = format!("start BETWEEN {MIDNIGHT} AND {}", MIDNIGHT + HOUR - 1);
        store.meddle(&format!("UPDATE {table} SET rollup = x'00ff' WHERE job_id = {damaged} AND {start}"));
        let late = rows(8, 300, MIDNIGHT, 1);
        write(&mut store, &late);
        let why = store.fold().expect("it is told");
        assert!(why.contains("rollup"), "{why}");
        assert_eq!(store.count("SELECT count(*) FROM ledger"), 0, "all is in history");
        assert_eq!(store.count("SELECT count(*) FROM job_executions"), 601);
        all.extend(late);
        let range = (MIDNIGHT, MIDNIGHT + 10 * DAY);
        let key = (damaged > 0).then_some(damaged);
        store.try_ask(&query(key, range, HOUR)).expect_err("it cannot be read");
        let edge = if is_aged { MIDNIGHT + 2 * DAY } else { i64::MIN };
        let whole = |store: &mut Subject, edge: i64| {
            for key in [None, Some(1), Some(2), Some(4)].into_iter().filter(|key| key.unwrap_or(0) != damaged) {
                let found = exact(&series(store, key, range, HOUR));
                assert_eq!(found, expected(&all, key, range, HOUR, edge), "{table}, {damaged}: job {key:?}");
            }
        };
        whole(&mut store, edge);
        let (failures, is_at_rest) = store.age(100);
        assert!(is_at_rest && failures == usize::from(!is_aged), "{failures} failures");
        whole(&mut store, MIDNIGHT + 2 * DAY);
        let stays = store.count(&format!("SELECT count(*) FROM series_hours WHERE {start}"));
        assert_eq!(stays, i64::from(!is_aged), "what cannot be moved stays");
    }
}

also_on_postgres!(
    each_row_is_counted_once_folded_or_not_over_midnight_and_after_a_crash,
    what_is_armed_or_in_flight_is_in_no_series,
    percentiles_are_about_right,
    days_go_when_they_are_too_old_and_not_because_of_retention,
    a_clock_that_is_years_ahead_makes_no_days_of_what_is_new,
    a_deleted_job_has_its_series_while_there_is_history_and_stays_in_the_sum,
);
