//! Owns tests of what the tables of jobs and executions promise beside their cursors: names, keys, schedules that are shared,
//! what may have been sent, and what the load tells of them.
//! It must not look into the core: inputs and outputs only.

use std::sync::Arc;

use super::stage_tests::{START, Stage, id, spec};
use super::*;
use crate::job::JobKey;
use crate::schedule::Calendars;
use crate::time::{Instant, Now};

const OFTEN: &str = r#""schedule":"* * * * * *","type":"ATLEAST_ONCE""#;
const HOURLY: &str = r#""schedule":"@hourly","type":"ATLEAST_ONCE""#;

fn named(name: &str) -> String {
    format!(r#"{HOURLY},"name":"{name}""#)
}

fn create(members: &str) -> Action {
    Action::Create { spec: spec(members, &Calendars::default()), entropy: [0; 10], pause: None }
}

fn update(members: &str) -> Action {
    let spec = spec(members, &Calendars::default());
    Action::Update { id: id(1), spec, keep_active: false, expected: None }
}

fn acquired(next_job: u64) -> Input {
    let (shards, epochs) = (Shards::ALL, Vec::new());
    Input::Acquired(Restored { shards, epochs, next_seq: 9, next_job, next_incident: 1, newest: None })
}

/// The last change comes to nothing.
fn reject(stage: &mut Stage) {
    stage.feed(Input::Committed { through: stage.asked, rejected: vec![stage.asked] });
}

/// The keys of the jobs that were created since this was asked last.
fn created(stage: &mut Stage) -> Vec<u64> {
    let key = |reply| match reply {
        Reply::Created(view) => Some(view.revision.id.key().0),
        _ => None,
    };
    std::mem::take(&mut stage.replies).into_iter().filter_map(key).collect()
}

#[test]
fn a_name_is_taken_from_when_it_is_asked_for_until_no_job_has_it() {
    let is_taken = |stage: &mut Stage, name: &str| {
        let is_taken = stage.conflict(create(&named(name))) == 1;
        if !is_taken {
            // Nobody is to have it by this.
            reject(stage);
        }
        is_taken
    };
    let mut stage = Stage::of(&[&named("a")], Vec::new());
    assert!(is_taken(&mut stage, "a") && !is_taken(&mut stage, "b"));
    assert!(!is_taken(&mut stage, "b"), "the one that was to have it was never created");
    stage.begin(update(&named("b")));
    assert!(is_taken(&mut stage, "a") && is_taken(&mut stage, "b"), "either may be");
    reject(&mut stage);
    assert!(is_taken(&mut stage, "a") && !is_taken(&mut stage, "b"));
    stage.ask(update(&named("b")));
    assert!(!is_taken(&mut stage, "a") && is_taken(&mut stage, "b"));
    stage.ask(update(HOURLY));
    assert!(!is_taken(&mut stage, "b"));
}

#[test]
fn a_name_that_another_job_has_by_now_is_left_to_it() {
    for given_away in [false, true] {
        let often = format!(r#"{OFTEN},"name":"n""#);
        let mut stage = Stage::of(&[&often], Vec::new());
        stage.pass(1);
        let attempt = stage.fired.pop().expect("it is due");
        stage.feed(Input::Tick);
        if given_away {
            stage.feed(Input::Release { shards: Shards::ALL, to: NodeId(9) });
            stage.feed(acquired(1_000));
        } else {
            stage.ask(Action::Delete { id: id(1), expected: None });
        }
        stage.ask(create(&named("n")));
        assert_eq!(created(&mut stage).len(), 1, "given away: {given_away}");
        // Only now nothing of the first one is left.
        stage.answer(&attempt, Outcome::Answered(200), true);
        assert_eq!(stage.core.load(stage.now.wall).jobs, 1);
        assert_eq!(stage.conflict(create(&named("n"))), 1, "given away: {given_away}");
    }
}

#[test]
fn equal_schedules_are_kept_once_and_as_long_as_a_job_has_them() {
    let mut stage = Stage::of(&[HOURLY, HOURLY], Vec::new());
    let schedule = |stage: &Stage, key: u64| {
        let keys = std::iter::once(JobKey(key));
        let view = stage.core.views_of(keys, stage.now.wall).remove(0).expect("it is there");
        Arc::clone(&view.revision.spec.schedule)
    };
    assert!(Arc::ptr_eq(&schedule(&stage, 1), &schedule(&stage, 2)));
    stage.ask(Action::Delete { id: id(1), expected: None });
    stage.ask(create(HOURLY));
    let third = created(&mut stage)[0];
    assert!(Arc::ptr_eq(&schedule(&stage, 2), &schedule(&stage, third)), "the second one has it still");
    let left = Arc::downgrade(&schedule(&stage, 2));
    stage.ask(Action::Delete { id: id(2), expected: None });
    assert!(left.upgrade().is_some());
    let id = stage.core.jobs_after(None, 1, stage.now.wall)[0].revision.id;
    stage.ask(Action::Delete { id, expected: None });
    assert!(left.upgrade().is_none(), "nobody has it");
}

#[test]
fn keys_of_jobs_that_were_found_or_lost_are_used_up() {
    let mut stage = Stage::loading(Bounds::default(), None, START, &[HOURLY; 7]);
    stage.feed(acquired(1));
    stage.feed(Input::Tick);
    stage.ask(create(HOURLY));
    assert_eq!(created(&mut stage), [8]);
    stage.feed(Input::Lost);
    stage.feed(acquired(1));
    stage.feed(Input::Tick);
    stage.ask(create(HOURLY));
    assert_eq!(created(&mut stage), [9]);
}

#[test]
fn a_job_whose_change_is_on_its_way_wakes_nobody() {
    let mut stage = Stage::of(&[HOURLY], Vec::new());
    assert!(stage.core.poll_timeout().wall.is_some());
    stage.begin(Action::Delete { id: id(1), expected: None });
    assert_eq!(stage.core.poll_timeout().wall, None);
    reject(&mut stage);
    assert!(stage.core.poll_timeout().wall.is_some());
}

#[test]
fn nothing_of_a_job_is_sent_while_its_deletion_is_on_its_way() {
    let retry = r#""retry":{"maxAttempts":2,"initialDelayMs":1000,"jitter":0}"#;
    let job = format!(r#""schedule":"*/2 * * * * *","type":"ATLEAST_ONCE","endsAt":"2026-01-01T00:00:02Z",{retry}"#);
    let bounds = Bounds { target_share_per_cent: 2, reserve_per_cent: 1, few_per_cent: 0, ..Bounds::default() };
    let bounds = Bounds { failing_target_share_per_cent: 2, ..bounds };
    // One that waits for its retry, and one that waits for its target.
    for (waits, attempt) in [(1, 2), (3, 1)] {
        let mut stage = Stage::bounded(bounds, START, &[job.as_str(); 3], Vec::new());
        stage.pass(2);
        let [first, _] = <[Attempt; 2]>::try_from(std::mem::take(&mut stage.fired)).expect("two at a time");
        if waits == 1 {
            stage.answer(&first, Outcome::Answered(500), true);
            stage.answer(&stage.fired[0].clone(), Outcome::Answered(200), true);
            stage.fired.clear();
        }
        stage.begin(Action::Delete { id: id(waits), expected: None });
        let deletion = stage.asked;
        stage.report(&first, Outcome::Answered(200), true);
        stage.now = Now { wall: stage.now.wall.plus_us(2_000_000), mono: stage.now.mono.plus_us(2_000_000) };
        stage.feed(Input::Tick);
        assert_eq!(stage.fired(), []);
        stage.feed(Input::Committed { through: stage.asked, rejected: vec![deletion] });
        let sent: Vec<_> = stage.fired.iter().map(|sent| (sent.id.job.key().0, sent.number)).collect();
        assert_eq!(sent, [(waits, attempt)], "it is there still");
    }
}

#[test]
fn a_forecast_that_looks_at_some_jobs_looks_at_no_more() {
    let bounds = Bounds { forecast_jobs_max: 2, ..Bounds::default() };
    let stage = Stage::bounded(bounds, START, &[HOURLY; 8], Vec::new());
    let mut forecast = Forecast::new(&stage.core, stage.now.wall);
    while !forecast.advance(&stage.core, 1_000, stage.now.wall) {}
    let ahead = forecast.end();
    assert_eq!((ahead.jobs, ahead.looked_at), (8, 2));
}

#[test]
fn what_may_have_been_sent_at_another_node_is_not_sent_again_if_its_job_does_not_want_that() {
    let job = r#""schedule":"@yearly","type":"ATMOST_ONCE""#;
    let row = |attempt: u32, waits_for: Option<Wait>| {
        let key = ExecutionKey::scheduled(JobKey(1), Instant::from_secs(START - 2));
        let mut row = LedgerRow::pending(Seq(1), key, Class::OnTime);
        row.record.attempt = attempt;
        if waits_for.is_some() {
            row.record.details_mut().waits_for = waits_for;
        }
        row
    };
    // With a wait for a retry a row says that the attempt before was not sent.
    for (attempt, waits_for, is_sent) in [(1, None, true), (2, None, false), (2, Some(Wait::Retry), true)] {
        let found = row(attempt, waits_for);
        let stage = |rows| Stage::of_node(START, Some(500_000), Shards::ALL, &[job], rows);
        let at_once = stage(vec![(found.clone(), Known::Unsent)]);
        let mut later = stage(vec![(row(1, None), Known::InFlight)]);
        later.settle();
        later.feed(Input::RestoreRow(Box::new(found), Known::Unsent));
        later.feed(acquired(1));
        for mut stage in [at_once, later] {
            stage.feed(Input::Tick);
            stage.settle();
            let sent = (stage.fired.len(), stage.ended().len());
            assert_eq!(sent, if is_sent { (1, 0) } else { (0, 1) }, "attempt {attempt}, {waits_for:?}");
        }
    }
}

#[test]
fn the_load_tells_how_many_jobs_go_on_rest_or_are_held() {
    let rests = format!(r#"{OFTEN},"active":false"#);
    let mut stage = Stage::of(&[OFTEN, OFTEN, OFTEN, &rests, &rests], Vec::new());
    stage.pass(3);
    let load = |stage: &Stage| {
        let load = stage.core.load(stage.now.wall);
        (load.active_jobs, load.paused_jobs, load.held_jobs)
    };
    assert_eq!(load(&stage), (3, 2, 0));
    stage.ask(Action::Pause { id: id(1), until: None, note: None, expected: None });
    assert_eq!(load(&stage), (2, 3, 0));
    stage.ask(Action::Delete { id: id(4), expected: None });
    assert_eq!(load(&stage), (2, 2, 0));
    stage.now.wall = stage.now.wall.plus_us(-60_000_000);
    stage.feed(Input::ClockStep(-60_000_000));
    assert_eq!(load(&stage), (2, 2, 2));
}

#[test]
fn the_load_tells_what_waits_for_its_target_and_since_when() {
    let bounds = Bounds { target_share_per_cent: 2, reserve_per_cent: 1, few_per_cent: 0, ..Bounds::default() };
    let bounds = Bounds { failing_target_share_per_cent: 2, ..bounds };
    let mut stage = Stage::bounded(bounds, START, &[r#""schedule":"*/2 * * * * *","type":"ATLEAST_ONCE""#; 5], vec![]);
    let load = |stage: &Stage| {
        let load = stage.core.load(stage.now.wall);
        (load.in_flight, load.queued, load.oldest_due.map(|due| due.as_secs() - START))
    };
    stage.pass(1);
    assert_eq!(load(&stage), (0, 0, None));
    stage.pass(1);
    assert_eq!(load(&stage), (2, 3, Some(2)), "two at a time");
    stage.pass(2);
    assert_eq!(load(&stage), (2, 8, Some(2)));
    for left in (0..8).rev() {
        let attempt = stage.fired.remove(0);
        stage.answer(&attempt, Outcome::Answered(200), true);
        let oldest = [None, Some(4), Some(2)][usize::from(left > 0) + usize::from(left > 5)];
        assert_eq!(load(&stage), (2, left, oldest));
    }
}

#[test]
fn who_stops_has_nothing_left_to_arm() {
    let bounds = Bounds { unwritten_max: 2, ..Bounds::default() };
    let mut stage = Stage::bounded(bounds, START, &[OFTEN; 6], Vec::new());
    let stalled = |stage: &Stage| stage.core.load(stage.now.wall).arming_stalled;
    assert!(stalled(&stage) > 0, "they wait for the disk");
    stage.feed(Input::Drain);
    assert_eq!((stalled(&stage), stage.core.next_to_fire(10, stage.now.wall).len()), (0, 0));
}
