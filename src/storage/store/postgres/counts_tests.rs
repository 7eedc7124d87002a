//! Owns the tests of counting what ended: each execution once, whoever counts it, and whoever counts beside him.
//! It must not test what totals and series are of: `store/series_tests.rs` does.

use super::counts::{self, ALL};
use super::open::{connect, soon};
use super::session::Session;
use super::tests::{batch, count, database, newcomer, node, put, row, rows};
use super::writer::Writing;
use crate::clock;
use crate::core::Status;
use crate::store::sql::{Sql, integer, values};

/// What a node had not counted, through this batch.
fn flush(writing: &mut Writing, (recent, through): &(counts::Recent, i64), node: i64) {
    let session = Session::new(&mut writing.store().connection, soon());
    recent.flush(&session, node, *through, clock::wall()).expect("it can be counted");
}

#[test]
fn what_ended_is_counted_once_although_an_answer_was_lost_and_another_one_counted_too() {
    let Some(url) = database() else { return };
    let mut first = node(&url, "first");
    first.write(&batch([put(1, "")])).expect("it lives");
    first.write(&rows((1..=5).map(|seq| row(seq, 1, seq as i64, Status::Success)))).expect("it lives");
    let recent = first.take_recent().expect("it is history");
    let id = first.store().node;
    flush(&mut first, &recent, id);
    flush(&mut first, &recent, id);
    let success = "SELECT success FROM job_totals WHERE job_id = 1";
    assert_eq!(count(&mut first, success), 5, "the second try finds it done");
    first.write(&rows((6..=7).map(|seq| row(seq, 1, seq as i64, Status::Success)))).expect("it lives");
    let recent = first.take_recent().expect("it is history");
    let mut second = node(&url, "second");
    assert_eq!(count(&mut second, success), 7);
    flush(&mut first, &recent, id);
    assert_eq!(count(&mut second, success), 7, "who was taken for dead counts nothing any more");
}

#[test]
fn nodes_that_count_a_job_for_the_first_time_at_once_both_count() {
    let Some(url) = database() else { return };
    let (mut first, mut second) = (node(&url, "first"), newcomer(&url));
    first.write(&batch([put(1, "")])).expect("it lives");
    first.write(&rows([row(1, 1, 1, Status::Success)])).expect("it lives");
    second.write(&rows([row(2, 1, 2, Status::Success)])).expect("it lives");
    let (early, _) = first.take_recent().expect("it is history");
    let late = second.take_recent().expect("it is history");
    let session = Session::new(&mut first.store().connection, soon());
    session.run("BEGIN", &[]).and_then(|()| early.write(&session)).expect("it can be counted");
    std::thread::scope(|scope| {
        let behind = scope.spawn(|| {
            let id = second.store().node;
            flush(&mut second, &late, id);
        });
        let mut other = connect(&url).expect("it listens");
        let waits =
            "SELECT 1::int8 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()";
        while !behind.is_finished() && other.query(waits, &[], soon()).expect("it can be read").is_empty() {}
        session.run("COMMIT", &[]).and_then(|()| session.flush()).expect("it can be counted");
    });
    drop(session);
    assert_eq!(count(&mut first, "SELECT success FROM job_totals WHERE job_id = 1"), 2);
    let session = Session::new(&mut first.store().connection, soon());
    let find = "SELECT rollup FROM series_hours WHERE job_id = ?1";
    for owner in [1, integer(ALL.0)] {
        let rollup = session.first(find, values![owner], |row| counts::rollup_in(row, 0)).expect("it can be read");
        assert_eq!(rollup.map(|rollup| rollup.success), Some(2), "{owner}");
    }
}
