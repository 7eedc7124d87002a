//! Owns tests of policies that meet: one job or a few, a disk that is quick, and what is fired when.
//! It must not look into the core: inputs and outputs only.

use std::time::Duration;

use super::stage_tests::{START, Stage, id, put, run, spec, stored};
use super::*;
use crate::job::{JobKey, Misfire, Pause, RetryPolicy};
use crate::schedule::{Calendars, Dates};
use crate::time::{Instant, Now, WallUs};

const TODAY: &str = "2026-01-01";

const AT_MOST_ONCE: &str = r#""schedule":"* * * * * *","type":"ATMOST_ONCE","overlap":"queue_one""#;

#[test]
fn what_a_stop_finds_waiting_is_sent_at_the_next_start() {
    let mut stage = Stage::of(&[AT_MOST_ONCE], Vec::new());
    stage.pass(2);
    let first = stage.fired[0].clone();
    assert_eq!(stage.fired(), [(1, 1)], "the next one waits");
    stage.feed(Input::Drain);
    stage.settle();
    stage.answer(&first, Outcome::Answered(200), true);
    assert!(stage.core.is_drained());
    let rows = stage.unfinished();
    assert_eq!(rows.len(), 1, "{rows:?}");
    let mut next = Stage::at(START + 60, &[AT_MOST_ONCE], rows);
    next.settle();
    assert_eq!(next.fired(), [(1, 2)], "{:?}", next.ended());
}

#[test]
fn what_jobs_do_that_do_not_say_may_change_while_they_run() {
    let mut stage = Stage::of(&[r#""schedule":"* * * * * *","type":"ATLEAST_ONCE""#], Vec::new());
    let with_retries = |count: u32| {
        let retry = RetryPolicy::doubling(count, Duration::from_secs(1));
        Input::Defaults(Defaults { retry, misfire: Misfire::Skip, lateness_max: Duration::from_secs(600) })
    };
    let failed = |stage: &Stage| {
        let ended = stage.ended();
        ended.iter().filter(|(_, status, _)| *status == Status::Failed).map(|(second, ..)| *second).collect::<Vec<_>>()
    };
    stage.pass(2);
    let (first, second) = (stage.fired[0].clone(), stage.fired[1].clone());
    stage.answer(&first, Outcome::Answered(500), true);
    assert_eq!(failed(&stage), [1], "there are no retries");
    stage.feed(with_retries(5));
    stage.answer(&second, Outcome::Answered(500), true);
    assert_eq!(failed(&stage), [1], "the next failure is repeated");
    // What waits keeps its place; what becomes of it is decided when it has come.
    stage.feed(with_retries(0));
    stage.pass(3);
    let again =
        stage.fired.iter().find(|attempt| attempt.id == second.id && attempt.number == 2).expect("a retry").clone();
    stage.answer(&again, Outcome::Answered(500), true);
    assert_eq!(failed(&stage), [1, 2]);
}

#[test]
fn what_a_stop_finds_on_its_way_to_the_disk_is_sent_at_the_next_start() {
    let job = r#""schedule":"* * * * * *","type":"ATMOST_ONCE""#;
    let mut stage = Stage::of(&[job], Vec::new());
    // Due, but the disk is slow.
    stage.now.wall = stage.now.wall.plus_us(1_000_000);
    stage.feed(Input::Tick);
    assert_eq!(stage.fired(), []);
    stage.feed(Input::Drain);
    stage.settle();
    assert!(stage.core.is_drained());
    let mut next = Stage::at(START + 60, &[job], stage.unfinished());
    next.settle();
    assert_eq!(next.fired().first(), Some(&(1, 1)), "{:?}", next.ended());
}

#[test]
fn who_is_gone_uses_up_nothing_of_a_rate() {
    let job = |second: u32| {
        format!(r#""schedule":"{second} * * * * *","type":"ATLEAST_ONCE","concurrencyKey":{{"name":"k","rate":"6/m"}}"#)
    };
    let jobs = [1, 2, 3, 4, 5].map(job);
    let mut stage = Stage::of(&jobs.each_ref().map(String::as_str), Vec::new());
    stage.pass(5);
    assert_eq!(stage.fired(), [(1, 1)], "one in ten seconds");
    for key in 2..=4 {
        stage.ask(Action::Delete { id: id(key), expected: None });
    }
    stage.pass(7);
    assert_eq!(stage.fired(), [(5, 5)], "its turn is ten seconds after the first");
}

#[test]
fn who_comes_too_late_uses_up_nothing_of_a_rate() {
    let job = r#""schedule":"*/5 * * * * *","type":"ATLEAST_ONCE","concurrencyKey":{"name":"k","rate":"6/m"},"misfire":{"maxLatenessMs":7000}"#;
    let mut stage = Stage::of(&[job], Vec::new());
    stage.pass(60);
    let fired = stage.fired();
    assert!(fired.len() >= 5, "one in ten seconds is sent, if not always the same: {fired:?}, {:?}", stage.ended());
}

#[test]
fn a_date_that_a_calendar_gives_back_is_not_made_up_for() {
    let job = r#""schedule":"0 0 * * * *","type":"ATLEAST_ONCE","excludeCalendars":["closed"]"#;
    let mut stage = Stage::of(&[job], Vec::new());
    stage.ask(put("closed", &[TODAY]));
    stage.pass(2);
    for _ in 0..5 {
        stage.now = Now { wall: stage.now.wall.plus_us(3_600_000_000), mono: stage.now.mono.plus_us(3_600_000_000) };
        stage.pass(1);
    }
    assert_eq!(stage.fired(), [], "it is closed today");
    stage.ask(put("closed", &[]));
    stage.pass(3);
    assert_eq!((stage.fired(), stage.ended()), (Vec::new(), Vec::new()), "what is past was left out");
    let next = stage.core.job(id(1), stage.now.wall).and_then(|view| view.next);
    assert_eq!(next, Some(Instant::from_secs(START + 6 * 3_600)));
}

#[test]
fn passing_over_thousands_of_dates_counts_in_the_budget_of_a_turn() {
    let jobs: Vec<String> = (0..40)
        .map(|minute| {
            format!(r#""schedule":"0 {minute} 9 * * MON","type":"ATLEAST_ONCE","excludeCalendars":["closed"]"#)
        })
        .collect();
    let mut stage = Stage::of(&jobs.iter().map(String::as_str).collect::<Vec<_>>(), vec![]);
    // 2026-01-05 is a Monday.
    let monday = |week: i64| Instant::from_secs(START + (4 + 7 * week) * 86_400).to_string()[..10].to_owned();
    let mondays: Vec<String> = (0..3_800).map(monday).collect();
    let dates = Dates::parse(mondays.iter().map(String::as_str), 4_000).expect("dates").into();
    stage.ask(Action::PutCalendar { name: "closed".into(), dates });
    let followed = |stage: &Stage| {
        let views = stage.core.jobs_after(None, 100, stage.now.wall);
        views.iter().filter(|view| view.next.is_some_and(|next| next.to_string().starts_with("2098-11-0"))).count()
    };
    // Of jobs whose next instant lies behind all these dates a turn takes about five.
    assert!((1..=10).contains(&followed(&stage)), "{} follow it", followed(&stage));
    stage.pass(10);
    assert_eq!((followed(&stage), stage.core.load(stage.now.wall).arming_stalled), (40, 0));
}

#[test]
fn a_calendar_that_changes_while_a_change_is_written_counts() {
    let job =
        |hour: u32| format!(r#""schedule":"0 30 {hour} * * *","type":"ATLEAST_ONCE","excludeCalendars":["closed"]"#);
    for together in [true, false] {
        let mut stage = Stage::of(&[&job(1)], Vec::new());
        stage.ask(put("closed", &[]));
        let spec = spec(&job(2), stage.core.calendars());
        stage.begin(put("closed", &[TODAY]));
        let calendar = stage.asked;
        stage.begin(Action::Update { id: id(1), spec, keep_active: false, expected: None });
        if !together {
            stage.feed(Input::Committed { through: calendar, rejected: Vec::new() });
        }
        stage.settle();
        let next = stage.core.job(id(1), stage.now.wall).and_then(|view| view.next);
        assert_eq!(next, Some(Instant::from_secs(START + 86_400 + 2 * 3_600 + 1_800)), "together: {together}");
    }
}

#[test]
fn what_passes_while_a_change_waits_is_owed_if_it_was_the_last() {
    let once = |second: i64| {
        let at = Instant::from_secs(START + second);
        format!(r#""runAt":"{}","type":"ATLEAST_ONCE""#, at)
    };
    let mut stage = Stage::of(&[r#""schedule":"@yearly","type":"ATLEAST_ONCE""#], Vec::new());
    let calendars = Calendars::default();
    let (new, changed) = (spec(&once(1), &calendars), spec(&once(2), &calendars));
    let often = spec(r#""schedule":"* * * * * *","type":"ATLEAST_ONCE""#, &calendars);
    let read_at = stage.now.wall.floor();
    stage.pass(3);
    stage.fired();
    let create = |spec| Action::Create { spec, entropy: [0; 10], pause: None };
    let update = Action::Update { id: id(1), spec: changed, keep_active: false, expected: None };
    for action in [create(new), create(often), update] {
        stage.feed(Input::Command(Box::new(Command { request: RequestId(1), action, plans: false, read_at })));
    }
    stage.settle();
    stage.feed(Input::Tick);
    let mut fired = stage.fired();
    fired.sort_unstable();
    assert_eq!(fired, [(1, 2), (1_000, 1)], "one that goes on begins now");
    stage.pass(1);
    assert_eq!(stage.fired(), [(1_001, 4)]);
}

#[test]
fn calendars_on_their_way_to_the_disk_count() {
    let mut stage = Stage::of(&[], Vec::new());
    for number in 0..crate::limits::CALENDARS_MAX - 1 {
        stage.begin(put(&format!("c{number}"), &[]));
    }
    stage.settle();
    stage.begin(Action::DeleteCalendar { name: "c0".into() });
    stage.begin(put("one", &[]));
    assert_eq!(stage.refused, 0);
    stage.begin(put("more", &[]));
    assert_eq!(stage.refused, 1);
    stage.settle();
    stage.ask(put("more", &[]));
    assert_eq!((stage.refused, stage.core.calendars().len()), (1, crate::limits::CALENDARS_MAX));
}

#[test]
fn an_attempt_that_is_repeated_is_no_failure_in_a_row() {
    let job = r#""schedule":"* * * * * *","type":"ATLEAST_ONCE","autoPauseAfter":2,"retry":{"maxAttempts":2,"initialDelayMs":1000,"jitter":0}"#;
    let mut failed = stored(1, job);
    failed.totals.tally.failures_in_row = 2;
    let mut stage = Stage::of(&[], Vec::new());
    stage.feed(Input::RestoreJob(Box::new(failed)));
    stage.feed(Input::Acquired(Restored {
        shards: Shards::ALL,
        epochs: Vec::new(),
        next_seq: 1,
        next_job: 1_000,
        next_incident: 1,
        newest: None,
    }));
    stage.feed(Input::Tick);
    stage.settle();
    stage.pass(1);
    let first = stage.fired[0].clone();
    stage.answer(&first, Outcome::Answered(500), true);
    assert_eq!(stage.changes, 0, "it may yet succeed");
    stage.fired.clear();
    stage.pass(1);
    let again = stage.fired.iter().find(|attempt| attempt.number == 2).expect("it is repeated").clone();
    stage.answer(&again, Outcome::Answered(500), true);
    assert_eq!(stage.changes, 1, "now it is one more");
}

#[test]
fn what_is_in_doubt_is_not_sent_again_for_a_job_that_came_to_send_at_most_once() {
    let job = |delivery: &str| format!(r#""schedule":"0 0 0 1 1 *","type":"{delivery}""#);
    let key = ExecutionKey::scheduled(JobKey(1), Instant::from_secs(START + 5));
    let row = LedgerRow::pending(Seq(1), key, Class::OnTime);
    let mut stage = Stage::at(START + 60, &[&job("ATLEAST_ONCE")], vec![row]);
    // Its new attempt is not on disk yet.
    let spec = spec(&job("ATMOST_ONCE"), stage.core.calendars());
    let asked = stage.asked;
    stage.begin(Action::Update { id: id(1), spec, keep_active: false, expected: None });
    let (first, change) = (asked, stage.asked);
    // Both at once: the change is in force when it would be sent.
    assert!(first < change);
    stage.feed(Input::Committed { through: change, rejected: Vec::new() });
    stage.settle();
    assert_eq!(stage.fired(), []);
    assert!(matches!(&stage.ended()[..], [(5, Status::Failed, Some(_))]), "{:?}", stage.ended());
}

#[test]
fn a_retry_that_waits_for_its_key_gives_way_too() {
    let key = r#""concurrencyKey":{"name":"k","limit":1},"type":"ATLEAST_ONCE""#;
    let retry = r#""retry":{"maxAttempts":3,"initialDelayMs":1000,"jitter":0,"untilNext":true}"#;
    let gives_way = format!(r#""schedule":"*/5 * * * * *",{key},{retry}"#);
    let holds = format!(r#""schedule":"6 * * * * *",{key}"#);
    let mut stage = Stage::of(&[&gives_way, &holds], Vec::new());
    stage.pass(5);
    let first = stage.fired[0].clone();
    stage.pass(1);
    stage.answer(&first, Outcome::Answered(500), true);
    assert_eq!(stage.fired(), [(1, 5), (2, 6)], "the other one has the key now");
    stage.pass(3);
    assert_eq!(stage.unfinished().iter().filter(|row| row.record.attempt == 2).count(), 1, "it waits");
    stage.pass(1);
    let ended = stage.ended();
    assert!(matches!(&ended[..], [(5, Status::Failed, Some(why))] if why.contains("gave way")), "{ended:?}");
    assert!(stage.rows.iter().all(|row| row.record.status == Status::Pending
        || row.record.details.as_ref().is_none_or(|details| details.waits_for.is_none())));
}

#[test]
fn a_retry_that_was_not_sent_gives_way_at_a_start_if_the_next_instant_has_come() {
    let tried = |second: i64, due: i64| {
        let key = ExecutionKey::scheduled(JobKey(1), Instant::from_secs(START + second));
        let mut row = LedgerRow::pending(Seq(1), key, Class::OnTime);
        (row.record.attempt, row.due) = (2, WallUs::of(Instant::from_secs(START + due)));
        row.record.details_mut().waits_for = Some(Wait::Retry);
        row
    };
    // The last one is due later, as the target asked for.
    for (until_next, start, due, is_over) in
        [(true, 59, 30, false), (true, 60, 30, true), (false, 60, 30, false), (true, 70, 90, true)]
    {
        let retry = format!(r#""retry":{{"maxAttempts":3,"initialDelayMs":1000,"untilNext":{until_next}}}"#);
        let job = format!(r#""schedule":"0 * * * * *","type":"ATMOST_ONCE",{retry}"#);
        let mut stage = Stage::at(START + start, &[&job], vec![tried(0, due)]);
        stage.settle();
        let ended = stage.ended();
        assert_eq!(ended.len(), usize::from(is_over), "{until_next} {start}: {ended:?}");
        assert!(
            ended.iter().all(|(_, _, why)| why.as_deref().is_some_and(|why| why.contains("gave way"))),
            "{ended:?}"
        );
        assert_eq!(stage.fired().contains(&(1, 0)), !is_over, "{until_next} {start}");
    }
}

#[test]
fn a_retry_gives_way_at_a_start_to_a_next_instant_that_has_a_row() {
    let row = |seq: u64, second: i64| {
        let key = ExecutionKey::scheduled(JobKey(1), Instant::from_secs(START + second));
        LedgerRow::pending(Seq(seq), key, Class::OnTime)
    };
    let mut tried = row(1, 0);
    (tried.record.attempt, tried.due) = (2, WallUs::of(Instant::from_secs(START + 90)));
    tried.record.details_mut().waits_for = Some(Wait::Retry);
    let retry = r#""retry":{"maxAttempts":3,"initialDelayMs":1000,"untilNext":true}"#;
    let job = format!(r#""schedule":"0 * * * * *","type":"ATMOST_ONCE",{retry}"#);
    let mut stage = Stage::at(START + 65, &[&job], vec![tried, row(2, 60)]);
    stage.settle();
    let ended = stage.ended();
    let gave_way = |why: &Option<Box<str>>| why.as_deref().is_some_and(|why| why.contains("gave way"));
    assert!(ended.iter().any(|(second, _, why)| *second == 0 && gave_way(why)), "{ended:?}");
}

#[test]
fn what_was_tried_is_never_skipped() {
    // Nothing of it was sent, and its turn had come before; now another one runs.
    let job = r#""schedule":"0 0 0 1 1 *","type":"ATMOST_ONCE","overlap":"skip""#;
    let tried = |seq: u64, second: i64| {
        let key = ExecutionKey::scheduled(JobKey(1), Instant::from_secs(START + second));
        let mut row = LedgerRow::pending(Seq(seq), key, Class::OnTime);
        row.record.attempt = 2;
        row.record.details_mut().waits_for = Some(Wait::Retry);
        row
    };
    let mut stage = Stage::at(START + 60, &[job], vec![tried(1, 1), tried(2, 2)]);
    stage.settle();
    assert_eq!(stage.fired(), [(1, 1)]);
    assert_eq!(stage.ended(), [], "it waits");
}

#[test]
fn what_waited_over_a_stop_is_too_late_when_its_job_says_so() {
    let job =
        r#""schedule":"0 0 0 1 1 *","type":"ATLEAST_ONCE","overlap":"queue_one","misfire":{"maxLatenessMs":50000}"#;
    let waits = |seq: u64, second: i64| {
        let key = ExecutionKey::scheduled(JobKey(1), Instant::from_secs(START + second));
        let mut row = LedgerRow::pending(Seq(seq), key, Class::Waited);
        row.record.details_mut().waits_for = Some(Wait::Overlap);
        row
    };
    let mut stage = Stage::at(START + 60, &[job], vec![waits(1, 5), waits(2, 15)]);
    stage.settle();
    assert_eq!(stage.fired(), [(1, 15)]);
    assert!(matches!(&stage.ended()[..], [(5, Status::Skipped, Some(_))]), "{:?}", stage.ended());
}

/// The start of a job that is paused until some second.
fn paused_until(key: u64, members: &str, until: i64) -> StoredJob {
    let mut stored = stored(key, members);
    let since = Instant::from_secs(START - 10);
    stored.revision.pause = Some(Box::new(Pause { until: Some(Instant::from_secs(until)), ..Pause::since(since) }));
    stored.revision.since = Instant::from_secs(until);
    stored
}

#[test]
fn a_pause_with_an_end_says_nothing_of_the_time_at_a_start() {
    let hourly = r#""schedule":"@hourly","type":"ATLEAST_ONCE""#;
    let mut stage = Stage::of(&[], Vec::new());
    stage.feed(Input::RestoreJob(Box::new(stored(11, hourly))));
    stage.feed(Input::RestoreJob(Box::new(stored(12, r#""schedule":"* * * * * *","type":"ATMOST_ONCE""#))));
    stage.feed(Input::RestoreJob(Box::new(paused_until(13, hourly, START + 7 * 86_400))));
    let mut retry =
        LedgerRow::pending(Seq(1), ExecutionKey::scheduled(JobKey(11), Instant::from_secs(START)), Class::OnTime);
    (retry.record.attempt, retry.due) = (2, WallUs::of(Instant::from_secs(START + 3)));
    stage.feed(Input::RestoreRow(Box::new(retry), Known::Nothing));
    let key = ExecutionKey::scheduled(JobKey(12), Instant::from_secs(START + 1));
    stage.feed(Input::RestoreRow(Box::new(LedgerRow::pending(Seq(2), key, Class::OnTime)), Known::Nothing));
    stage.feed(Input::Acquired(Restored {
        shards: Shards::ALL,
        epochs: Vec::new(),
        next_seq: 3,
        next_job: 1_000,
        next_incident: 1,
        newest: None,
    }));
    stage.settle();
    assert_eq!((stage.ended(), stage.fired()), (Vec::new(), Vec::new()), "neither was due before");
    stage.pass(1);
    assert_eq!(stage.fired(), [(12, 1)]);
    stage.pass(2);
    assert!(stage.fired().contains(&(11, 0)), "the retry comes at its time");
}

#[test]
fn a_release_ends_no_pause() {
    let mut stage = Stage::of(&[r#""schedule":"* * * * * *","type":"ATLEAST_ONCE""#], Vec::new());
    stage.pass(30);
    stage.now = Now { wall: stage.now.wall.plus_us(-20_000_000), mono: stage.now.mono.plus_us(1) };
    stage.feed(Input::ClockStep(-20_000_000));
    let until = Some(Instant::from_secs(START + 60));
    stage.ask(Action::Pause { id: id(1), until, note: None, expected: None });
    stage.ask(Action::Release { id: id(1) });
    let since = stage.core.job(id(1), stage.now.wall).map(|view| view.revision.since);
    assert_eq!(since, until, "what a start goes by");
    stage.fired();
    stage.pass(50);
    assert_eq!(stage.fired(), [], "it is paused through that second");
    stage.pass(1);
    assert_eq!(stage.fired(), [(1, 61)]);
}

#[test]
fn a_pause_with_an_end_keeps_it_when_the_job_is_put_as_it_is_shown() {
    let members = r#""schedule":"* * * * * *","type":"ATLEAST_ONCE""#;
    let mut stage = Stage::of(&[members], Vec::new());
    let until = Some(Instant::from_secs(START + 10));
    stage.ask(Action::Pause { id: id(1), until, note: None, expected: None });
    let spec = spec(&format!(r#"{members},"active":false"#), &Calendars::default());
    stage.ask(Action::Update { id: id(1), spec, keep_active: false, expected: None });
    stage.fired();
    stage.pass(11);
    assert_eq!(stage.fired(), [(1, 11)]);
}

#[test]
fn who_waits_hears_of_a_run_that_is_written_during_a_drain() {
    let mut stage = Stage::of(&[r#""schedule":"@yearly","type":"ATLEAST_ONCE""#], Vec::new());
    stage.begin(run(RunOf::Now, Some(Duration::from_secs(60))));
    stage.feed(Input::Drain);
    assert_eq!(stage.started, 0, "its row is on no disk yet");
    stage.settle();
    assert!(stage.core.is_drained());
    assert_eq!(stage.started, 1);
}

#[test]
fn two_runs_at_once_are_one_too_many_where_none_may_overlap() {
    let mut stage = Stage::of(&[r#""schedule":"@yearly","type":"ATLEAST_ONCE","overlap":"skip""#], Vec::new());
    stage.begin(run(RunOf::Now, None));
    stage.core.handle_input(
        Input::Command(Box::new(Command {
            request: RequestId(2),
            action: run(RunOf::Now, None),
            plans: false,
            read_at: Instant::FIRST,
        })),
        stage.now,
    );
    let outputs: Vec<Output> = std::iter::from_fn(|| stage.core.poll_output()).collect();
    let is_refused = |output: &Output| matches!(output, Output::Reply(RequestId(2), Reply::Conflict(_)));
    assert!(outputs.iter().any(is_refused), "{outputs:?}");
}

#[test]
fn a_planned_answer_of_a_job_without_runs_left_has_no_next_execution() {
    let mut stage = Stage::of(&[r#""schedule":"* * * * * *","type":"ATLEAST_ONCE","maxRuns":1"#], Vec::new());
    stage.pass(2);
    let attempt = stage.fired.pop().expect("its only one");
    stage.answer(&attempt, Outcome::Answered(200), true);
    let until = Some(Instant::from_secs(START + 100));
    let action = Action::Pause { id: id(1), until, note: None, expected: None };
    stage.core.handle_input(
        Input::Command(Box::new(Command {
            request: RequestId(1),
            action,
            plans: true,
            read_at: stage.now.wall.floor(),
        })),
        stage.now,
    );
    let outputs: Vec<Output> = std::iter::from_fn(|| stage.core.poll_output()).collect();
    let planned = outputs.iter().find_map(|output| match output {
        Output::Planned(_, _, Reply::Updated(view)) => Some(view.next),
        _ => None,
    });
    assert_eq!(planned, Some(None), "{outputs:?}");
}

#[test]
fn so_many_executions_of_a_job_may_be_asked_for_and_no_more() {
    for overlap in ["allow", "skip"] {
        let members = format!(r#""schedule":"* * * * * *","type":"ATLEAST_ONCE","active":false,"overlap":"{overlap}""#);
        let mut stage = Stage::of(&[&members], Vec::new());
        let past = || RunOf::Past { from: Instant::from_secs(START - 1_000), to: Instant::from_secs(START - 1) };
        stage.ask(run(past(), None));
        // The end of the first is not on disk while others come.
        let attempt = stage.fired.pop().expect("the first");
        stage.begin(run(past(), None));
        stage.begin(run(past(), None));
        assert_eq!(stage.refused, 1, "there is room for two backfills");
        stage.answer(&attempt, Outcome::Answered(200), true);
        assert_eq!(stage.fired.len(), 1, "one after the other");
    }
}

/// A job at ten past midnight, due and not on disk yet when the clock steps back by a minute.
fn due_as_the_clock_steps_back(members: &str) -> Stage {
    let mut stage = Stage::of(&[&format!(r#""schedule":"10 0 0 * * *"{members}"#)], vec![]);
    stage.pass(8);
    for _ in 0..2 {
        stage.now = Now { wall: stage.now.wall.plus_us(1_000_000), mono: stage.now.mono.plus_us(1_000_000) };
        stage.feed(Input::Tick);
    }
    stage.now.wall = stage.now.wall.plus_us(-60_000_000);
    stage.feed(Input::ClockStep(-60_000_000));
    stage.settle();
    stage
}

#[test]
fn what_was_due_and_has_not_begun_waits_for_its_instant_again() {
    let mut stage = due_as_the_clock_steps_back(r#","type":"ATLEAST_ONCE""#);
    assert_eq!(stage.fired(), [], "its row is on disk by now, and its instant lies ahead");
    stage.pass(59);
    assert_eq!(stage.fired(), []);
    stage.pass(1);
    assert_eq!(stage.fired(), [(1, 10)]);
    stage.pass(3);
    assert_eq!(stage.fired(), [], "once");
}

#[test]
fn what_waits_for_its_instant_again_is_kept_over_a_stop() {
    let mut stage = due_as_the_clock_steps_back(r#","type":"ATMOST_ONCE""#);
    stage.feed(Input::Drain);
    stage.settle();
    let left = stage.unfinished();
    let [row] = &left[..] else { panic!("one row is left: {left:?}") };
    let waits_for = row.record.details.as_ref().and_then(|details| details.waits_for);
    assert_eq!(waits_for, Some(Wait::Start), "the next start knows that it was not sent");
}

#[test]
fn what_is_in_doubt_waits_for_a_retry_of_its_job_whichever_was_armed_first() {
    for (armed, asked) in [(1, 2), (2, 1)] {
        let job = r#""schedule":"@hourly","type":"ATLEAST_ONCE","overlap":"queue_one""#;
        let key = ExecutionKey::scheduled(JobKey(1), Instant::from_secs(START + 3));
        let in_doubt = LedgerRow::pending(Seq(armed), key, Class::OnTime);
        let key = ExecutionKey { kind: Kind::Manual, number: 7, ..key };
        let mut retry = LedgerRow::pending(Seq(asked), key, Class::Manual);
        (retry.record.attempt, retry.due) = (2, WallUs::of(Instant::from_secs(START + 8)));
        let mut stage = Stage::at(START + 5, &[job], vec![in_doubt, retry]);
        stage.settle();
        assert_eq!(stage.fired.len(), 0, "the retry was begun, and its time has not come");
        stage.pass(3);
        let retry = stage.fired.pop().expect("its time has come");
        assert_eq!((retry.id.kind, stage.fired.len()), (Kind::Manual, 0), "one at a time");
        stage.answer(&retry, Outcome::Answered(200), true);
        assert_eq!(stage.fired(), [(1, 3)]);
    }
}
