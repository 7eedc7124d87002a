//! Owns tests of what a node finds of others: rows that were theirs, what they had in flight, calendars they changed.
//! It must not look into the core: inputs and outputs only.

use super::node_tests::{EVERY_SECOND, TRIED_AGAIN, acquired, among_others, in_flight, row, skew_us};
use super::stage_tests::{START, Stage, id, stored};
use super::*;
use crate::schedule::Dates;
use crate::time::{Instant, WallUs};

#[test]
fn what_is_known_is_not_doubted_and_what_is_not_is_so_by_any_clock() {
    let once = r#""schedule":"* * * * * *","type":"ATMOST_ONCE""#;
    let again = |seq, due_us| {
        let mut row = row(seq, 2, -seq.cast_signed());
        (row.record.attempt, row.due) = (2, WallUs::of(Instant::from_secs(START)).plus_us(due_us));
        row
    };
    let rows = vec![
        (row(1, 1, -1), Known::Unsent),
        (row(2, 1, 0), Known::Nothing),
        (again(3, 400_000), Known::Nothing),
        (again(4, 400_000), Known::Unsent),
        (again(5, 600_000), Known::Nothing),
    ];
    let mut stage = among_others(&[once, TRIED_AGAIN], rows);
    stage.settle();
    let ended = |seq| stage.rows.iter().rfind(|row| row.seq == Seq(seq)).map(|row| row.record.status);
    assert_eq!((ended(1), ended(2)), (None, Some(Status::Failed)), "what may have been sent once is not sent again");
    let sent: Vec<(u64, u32)> = stage.fired.iter().map(|attempt| (attempt.handle.seq.0, attempt.number)).collect();
    assert_eq!(sent, [(1, 1), (3, 3)], "what is known and due, and what was due by a clock that is ahead");
    stage.fired.clear();
    stage.pass(1);
    let sent = stage.fired.iter().filter(|attempt| attempt.number > 1);
    let sent: Vec<(u64, u32)> = sent.map(|attempt| (attempt.handle.seq.0, attempt.number)).collect();
    assert_eq!(sent, [(4, 2), (5, 2)]);
}

#[test]
fn numbers_of_others_in_the_ledger_do_not_raise_ours() {
    let theirs = (9 << 40) | 7;
    let mut stage = among_others(&[EVERY_SECOND], Vec::new());
    stage.feed(Input::RestoreJob(Box::new(stored(77, EVERY_SECOND))));
    stage.feed(Input::RestoreRow(Box::new(row(theirs, 77, 1)), Known::Unsent));
    stage.feed(acquired(Shards::NONE, (3 << 40) | 1));
    stage.settle();
    stage.pass(1);
    let seqs: Vec<u64> = stage.rows.iter().map(|row| row.seq.0).filter(|seq| *seq > 1 << 40).collect();
    assert!(!seqs.is_empty() && seqs.iter().all(|seq| seq >> 40 == 3), "{seqs:?}");
    assert_eq!(stage.fired().len(), 2);
}

#[test]
fn what_is_in_flight_elsewhere_runs_until_it_comes_home() {
    let job = r#""schedule":"* * * * * *","type":"ATLEAST_ONCE","maxRuns":2,"overlap":"skip"#;
    let job = format!("{job}\"");
    let theirs = row(700, 1, 1);
    let mut stage = among_others(&[&job], vec![(theirs.clone(), Known::InFlight)]);
    stage.settle();
    stage.pass(2);
    assert_eq!(stage.fired(), [], "another one of it runs");
    let mut ended = theirs;
    (ended.record.status, ended.record.executed) = (Status::Success, Some(stage.now.wall));
    stage.feed(Input::RestoreRow(Box::new(ended.clone()), Known::Unsent));
    stage.feed(acquired(Shards::NONE, 1));
    stage.settle();
    assert!(stage.rows.contains(&ended), "its end is written here");
    let counters = stage.core.job(id(1), stage.now.wall).expect("there").tally.counters;
    assert_eq!((counters.success, counters.runs), (1, 1));
    stage.pass(3);
    let fired = stage.fired.clone();
    assert_eq!(fired.len(), 1, "it had two runs, and one was theirs");
    stage.answer(&fired[0], Outcome::Answered(200), true);
    stage.pass(3);
    assert_eq!(stage.fired.len(), 1);
}

#[test]
fn who_had_it_in_flight_and_died_leaves_it_in_doubt() {
    let theirs = row(700, 1, 1);
    let mut stage = among_others(&[EVERY_SECOND], vec![(theirs.clone(), Known::InFlight)]);
    stage.settle();
    stage.feed(Input::RestoreRow(Box::new(theirs), Known::Nothing));
    stage.feed(acquired(Shards::NONE, 1));
    // Its instant lies a second ahead of this clock, and was reached by none that is near it.
    stage.pass(1);
    let mine: Vec<(u64, u32)> = stage.fired.iter().map(|attempt| (attempt.handle.seq.0, attempt.number)).collect();
    assert_eq!(mine, [(700, 1)]);
    assert_eq!(stage.core.counts().recovered, 0);
}

#[test]
fn a_row_that_comes_to_a_job_at_work_is_part_of_its_course() {
    let mut stage = among_others(&[EVERY_SECOND], Vec::new());
    stage.settle();
    // One ahead of what is armed here, and one behind it, which moves nothing back.
    for theirs in [row(700, 1, 6), row(701, 1, -3)] {
        stage.feed(Input::RestoreRow(Box::new(theirs), Known::Unsent));
        stage.feed(acquired(Shards::NONE, 1));
        stage.settle();
    }
    stage.pass(8);
    let mut fired: Vec<i64> = stage.fired().into_iter().map(|(_, second)| second).collect();
    fired.sort_unstable();
    assert_eq!(fired, [-3, 1, 6, 7, 8], "what lies between is in rows of others");
}

#[test]
fn what_comes_in_doubt_waits_for_one_of_its_job_that_runs_here() {
    let (mut stage, running) = in_flight(&format!(r#"{EVERY_SECOND},"overlap":"queue_one""#));
    stage.fired.clear();
    stage.feed(Input::RestoreRow(Box::new(row(700, 1, -3)), Known::Nothing));
    stage.feed(acquired(Shards::NONE, 1));
    stage.settle();
    assert_eq!(stage.fired(), [], "the other one runs");
    stage.answer(&running, Outcome::Answered(200), true);
    assert_eq!(stage.fired(), [(1, -3)], "what is in doubt goes before what waits since");
}

#[test]
fn a_failure_elsewhere_is_told_of_here() {
    let job = r#""schedule":"* * * * * *","type":"ATLEAST_ONCE","autoPauseAfter":1"#;
    let theirs = row(700, 1, 1);
    let mut stage = among_others(&[job], vec![(theirs.clone(), Known::InFlight)]);
    stage.settle();
    let mut failed = theirs;
    failed.record.status = Status::Failed;
    failed.record.error = Some("it failed".into());
    stage.feed(Input::RestoreRow(Box::new(failed), Known::Unsent));
    stage.feed(acquired(Shards::NONE, 1));
    stage.settle();
    assert_eq!(stage.core.open_incidents(), 2, "that it fails, and that it is paused by its policy");
    assert!(stage.core.job(id(1), stage.now.wall).expect("there").paused);
}

#[test]
fn what_its_node_left_unsent_for_too_long_is_missed_unless_it_was_asked_for() {
    for (kind, fired, skipped) in [(Kind::Scheduled, 0, 1), (Kind::Manual, 1, 0)] {
        let mut row = row(1, 1, 60);
        (row.key.kind, row.key.number) = (kind, u32::from(kind != Kind::Scheduled));
        row.due = WallUs::of(row.key.instant);
        let job = r#""schedule":"@yearly","type":"ATLEAST_ONCE","misfire":{"policy":"skip"}"#;
        let mut stage = Stage::of_node(START + 3_600, skew_us(), Shards::ALL, &[job], vec![(row, Known::Unsent)]);
        stage.feed(Input::Lease(stage.now.mono.plus_us(60_000_000)));
        stage.settle();
        stage.pass(1);
        let ended = stage.ended().into_iter().filter(|(_, status, _)| *status == Status::Skipped).count();
        assert_eq!((stage.fired.len(), ended), (fired, skipped), "{kind:?}");
    }
}

#[test]
fn what_is_in_doubt_may_run_already_and_the_next_one_waits_for_it() {
    let rows = vec![(row(1, 1, 1), Known::Nothing), (row(2, 1, 2), Known::Unsent)];
    let job = format!(r#"{EVERY_SECOND},"overlap":"queue_one""#);
    let mut stage = Stage::of_node(START + 2, skew_us(), Shards::ALL, &[&job], rows);
    stage.feed(Input::Lease(stage.now.mono.plus_us(60_000_000)));
    // The disk is slow.
    stage.feed(Input::Tick);
    assert_eq!((stage.fired.len(), stage.ended()), (0, vec![]));
    stage.settle();
    let first = stage.fired.remove(0);
    stage.answer(&first, Outcome::Answered(200), true);
    assert_eq!(stage.fired(), [(1, 2)]);
}

#[test]
fn a_calendar_that_another_node_changed_is_followed_and_one_that_it_deleted_stays_for_who_follows_it() {
    let change = |dates: Option<&[&str]>| {
        let dates = dates.map(|dates| Dates::parse(dates.iter().copied(), 10).expect("dates").into());
        Input::RestoreCalendar(CalendarChange { name: "closed".into(), dates })
    };
    let follows = r#""schedule":"0 0 12 * * *","type":"ATLEAST_ONCE","excludeCalendars":["closed"]"#;
    for (job, is_there) in [(follows, true), (EVERY_SECOND, false)] {
        let mut stage = among_others(&[], Vec::new());
        stage.feed(change(Some(&[])));
        stage.feed(Input::RestoreJob(Box::new(stored(1, job))));
        stage.feed(acquired(Shards::ALL, 1));
        let next = |stage: &Stage| stage.core.job(id(1), stage.now.wall).and_then(|view| view.next);
        let before = next(&stage);
        stage.feed(change(Some(&["2026-01-01"])));
        stage.pass(1);
        let noon = Instant::from_secs(START + 36 * 3_600);
        assert!(before < next(&stage) && (!is_there || next(&stage) == Some(noon)), "{:?}", next(&stage));
        stage.feed(change(None));
        assert_eq!(stage.core.calendars().len(), usize::from(is_there));
    }
}

#[test]
fn a_retry_whose_instant_lies_ahead_tells_that_the_clock_has_been_there() {
    for (attempt, held) in [(1, false), (2, true)] {
        let mut row = row(1, 1, 30);
        (row.record.attempt, row.due) = (attempt, WallUs::of(row.key.instant).plus_us(1_000_000));
        let stage = Stage::of_node(START, skew_us(), Shards::ALL, &[EVERY_SECOND], vec![(row, Known::Nothing)]);
        assert_eq!(stage.core.job(id(1), stage.now.wall).map(|view| view.held), Some(held), "{attempt}");
    }
}

#[test]
fn a_row_that_is_found_of_what_is_here_already_changes_nothing() {
    let mut stage = among_others(&[EVERY_SECOND], Vec::new());
    stage.feed(Input::Lease(stage.now.mono.plus_us(60_000_000)));
    stage.settle();
    let [armed] = &stage.unfinished()[..] else { panic!("the next second has its row") };
    stage.feed(Input::RestoreRow(Box::new(armed.clone()), Known::Unsent));
    stage.feed(acquired(Shards::NONE, 1));
    stage.pass(1);
    assert_eq!(stage.fired(), [(1, 1)]);
}
