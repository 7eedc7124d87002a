//! Owns tests of changes that clients make: what a job is after one, and what it owes.
//! It must not look into the core: inputs and outputs only.

use std::sync::Arc;
use std::time::Duration;

use super::stage_tests::{START, Stage, id, run, run_of, spec};
use super::*;
use crate::job::{JobId, JobKey};
use crate::schedule::Calendars;
use crate::time::{Instant, WallUs};

const OFTEN: &str = r#""schedule":"* * * * * *","type":"ATLEAST_ONCE""#;
const HOURLY: &str = r#""schedule":"@hourly","type":"ATLEAST_ONCE""#;

fn update(key: u64, job: &str, keep_active: bool) -> Action {
    Action::Update { id: id(key), spec: spec(job, &Calendars::default()), keep_active, expected: None }
}

fn pause(until: Option<i64>) -> Action {
    let until = until.map(|second| Instant::from_secs(START + second));
    Action::Pause { id: id(1), until, note: None, expected: None }
}

#[test]
fn who_goes_on_after_a_pause_owes_what_was_missed_if_that_is_said() {
    for (missed, sent) in [(false, vec![]), (true, vec![(1, 15)])] {
        let mut stage = Stage::of(&[OFTEN], Vec::new());
        stage.pass(5);
        stage.ask(pause(None));
        stage.pass(10);
        stage.fired();
        stage.ask(Action::Resume { id: id(1), missed, expected: None });
        assert_eq!(stage.fired(), sent, "{missed}");
        let job = stage.core.job(id(1), stage.now.wall).expect("it is there");
        assert!(job.revision.spec.active && job.revision.pause.is_none());
        let covers: Vec<u32> = stage.rows.iter().filter_map(|row| row.record.covers).map(|it| it.count).collect();
        assert_eq!(covers.first().copied(), missed.then_some(10));
        stage.pass(2);
        assert_eq!(stage.fired(), [(1, 16), (1, 17)]);
    }
}

#[test]
fn a_change_is_written_together_with_what_is_due_next() {
    let mut stage = Stage::of(&[HOURLY], Vec::new());
    let before = stage.rows.len();
    stage.begin(update(1, OFTEN, false));
    let armed: Vec<i64> = stage.rows[before..].iter().map(|row| row.key.instant.as_secs() - START).collect();
    assert_eq!((stage.changes, armed), (1, vec![1]), "a crash behind the change finds the row, too");
}

#[test]
fn a_pause_stays_with_its_end_when_the_job_is_to_stay_as_active_as_it_is() {
    let mut stage = Stage::of(&[OFTEN], Vec::new());
    stage.ask(pause(Some(10)));
    stage.ask(update(1, r#""schedule":"*/2 * * * * *","type":"ATLEAST_ONCE""#, true));
    stage.pass(12);
    assert_eq!(stage.fired(), [(1, 12)]);
}

#[test]
fn what_was_asked_for_is_sent_though_a_change_behind_it_is_not_written() {
    let mut stage = Stage::of(&[HOURLY], Vec::new());
    stage.begin(run(RunOf::Now, None));
    stage.begin(update(1, OFTEN, false));
    stage.feed(Input::Committed { through: stage.asked, rejected: vec![stage.asked] });
    assert_eq!((stage.fired.len(), stage.refused, stage.started), (1, 1, 1));
}

#[test]
fn one_that_is_not_written_is_told_apart_from_the_one_before() {
    let mut stage = Stage::of(&[HOURLY, HOURLY], Vec::new());
    stage.begin(run(RunOf::Now, None));
    stage.begin(run_of(2, RunOf::Now));
    stage.feed(Input::Committed { through: stage.asked, rejected: vec![stage.asked] });
    assert_eq!((stage.fired(), stage.refused), (vec![(1, 0)], 1));
}

#[test]
fn who_waits_for_a_run_hears_how_it_ended() {
    let mut stage = Stage::of(&[HOURLY], Vec::new());
    stage.ask(run(RunOf::Now, Some(Duration::from_secs(60))));
    let attempt = stage.fired.remove(0);
    stage.report(&attempt, Outcome::Answered(204), true);
    assert!(stage.replies.is_empty(), "that is on no disk yet");
    stage.settle();
    let [Reply::Ended(execution, record)] = &stage.replies[..] else { panic!("{:?}", stage.replies) };
    assert_eq!((execution, record.status, record.http_status), (&attempt.id, Status::Success, Some(204)));
}

#[test]
fn there_are_no_more_executions_that_are_asked_for_than_a_bound_allows() {
    let again = |count: i64| {
        let of = |second| ExecutionKey::scheduled(JobKey(1), Instant::from_secs(START - second)).of(id(1));
        Action::ReplayAll((1..=count).map(|second| (of(second), None)).collect())
    };
    for (bounds, most) in [
        (Bounds { executions_max: 4, ..Bounds::default() }, 4),
        (Bounds { asked_per_job_max: 3, backfill_max: 3, ..Bounds::default() }, 3),
    ] {
        for (count, refused) in [(most, 0), (most + 1, 1)] {
            let mut stage = Stage::bounded(bounds, START, &[HOURLY], Vec::new());
            stage.ask(again(count));
            assert_eq!(
                (stage.refused, stage.fired.len()),
                (refused, (1 - refused) * usize::try_from(most).expect("few"))
            );
        }
        let mut stage = Stage::bounded(bounds, START, &[HOURLY], Vec::new());
        (0..most).for_each(|_| stage.ask(run(RunOf::Now, None)));
        assert_eq!(stage.refused, 0, "{most}");
        stage.ask(run(RunOf::Now, None));
        assert_eq!(stage.refused, 1, "{most}");
    }
}

#[test]
fn there_are_no_more_changes_on_their_way_than_a_bound_allows() {
    let bounds = Bounds { changes_pending_max: 2, ..Bounds::default() };
    let mut stage = Stage::bounded(bounds, START, &[], Vec::new());
    let create = || Action::Create { spec: spec(HOURLY, &Calendars::default()), entropy: [0; 10], pause: None };
    for refused in [0, 0, 1, 2] {
        stage.begin(create());
        assert_eq!(stage.refused, refused);
    }
    stage.settle();
    stage.begin(create());
    assert_eq!(stage.refused, 2);
}

/// A declaration of a job, with these beside it.
fn declare(id: Option<JobId>, job: &str, names: &[&str], ids: &[JobId]) -> Action {
    let beside = Meant { names: names.iter().map(|&name| name.into()).collect(), ids: ids.iter().copied().collect() };
    Action::Apply(Box::new(Apply {
        id,
        spec: spec(job, &Calendars::default()),
        keep_active: false,
        runs: 0,
        entropy: [0; 10],
        beside: Arc::new(beside),
    }))
}

#[test]
fn a_declared_job_is_the_one_with_its_name_or_the_one_with_its_id_that_nobody_else_means() {
    let named = |name: &str| format!(r#"{HOURLY},"name":"{name}""#);
    let (old, new) = (named("old"), named("new"));
    let there = |stage: &Stage| {
        let jobs = stage.core.jobs_after(None, 10, stage.now.wall);
        let name = |view: &JobView| (view.revision.id.key().0, view.revision.spec.name().map(String::from));
        jobs.iter().map(name).collect::<Vec<_>>()
    };
    let some = |name: &str| Some(name.to_owned());
    for (known, job, names, ids, expected) in [
        (None, &old, &[][..], &[][..], vec![(1, some("old"))]),
        (Some(1), &new, &[], &[], vec![(1, some("new"))]),
        (Some(1), &new, &["old"], &[], vec![(1, some("old")), (1_000, some("new"))]),
        (Some(1), &new, &["other"], &[], vec![(1, some("new"))]),
        (Some(1), &new, &[], &[id(1)], vec![(1, some("old")), (1_000, some("new"))]),
        (Some(1), &new, &[], &[id(2)], vec![(1, some("new"))]),
        (None, &new, &[], &[], vec![(1, some("old")), (1_000, some("new"))]),
    ] {
        let mut stage = Stage::of(&[&old], Vec::new());
        stage.ask(declare(known.map(id), job, names, ids));
        assert_eq!(there(&stage), expected, "{known:?} {job} {names:?} {ids:?}");
    }
}

#[test]
fn a_declared_job_must_have_a_future_if_its_schedule_is_another_one() {
    let at = |second: &str, more: &str| {
        format!(r#""runAt":"2026-01-01T00:00:{second}Z","type":"ATLEAST_ONCE","name":"n"{more}"#)
    };
    let mut stage = Stage::of(&[&at("05", "")], Vec::new());
    stage.pass(10);
    for (job, is_refused) in [(at("07", ""), 1), (at("05", r#","tags":["t"]"#), 0), (at("55", ""), 0)] {
        assert_eq!(stage.conflict(declare(None, &job, &[], &[])), is_refused, "{job}");
        stage.settle();
    }
}

#[test]
fn who_says_that_a_job_is_active_ends_its_pause() {
    for until in [None, Some(100)] {
        let mut stage = Stage::of(&[OFTEN], Vec::new());
        stage.ask(pause(until));
        stage.pass(3);
        let paused = |stage: &Stage| stage.core.job(id(1), stage.now.wall).is_some_and(|view| view.paused);
        assert!(paused(&stage) && stage.fired().is_empty());
        stage.ask(update(1, OFTEN, false));
        let job = stage.core.job(id(1), stage.now.wall).expect("it is there");
        assert!(!job.paused && job.revision.pause.is_none(), "{until:?}");
        stage.pass(2);
        assert_eq!(stage.fired(), [(1, 4), (1, 5)], "{until:?}");
    }
}

#[test]
fn a_job_that_has_another_policy_is_looked_at_by_that() {
    let alerts = |after: u32| format!(r#"{OFTEN},"alerts":{{"after":{after}}}"#);
    let mut stage = Stage::of(&[&alerts(1)], Vec::new());
    stage.pass(1);
    let attempt = stage.fired.remove(0);
    stage.answer(&attempt, Outcome::Answered(500), true);
    assert_eq!(stage.core.open_incidents(), 1);
    stage.ask(update(1, &alerts(2), false));
    assert_eq!(stage.core.open_incidents(), 0, "one failure is allowed");
}

#[test]
fn what_is_asked_for_runs_beside_nothing_that_only_lies_ahead() {
    let mut stage = Stage::of(&[&format!(r#"{OFTEN},"overlap":"skip""#)], Vec::new());
    stage.settle();
    assert!(!stage.unfinished().is_empty(), "the next second has its row");
    stage.ask(run(RunOf::Now, None));
    assert_eq!(stage.started, 1);
}

#[test]
fn what_is_done_again_has_come_when_its_second_has() {
    let mut stage = Stage::of(&[HOURLY], Vec::new());
    stage.now.wall = WallUs::of(Instant::from_secs(START + 1));
    let again = ExecutionKey::scheduled(JobKey(1), Instant::from_secs(START + 1)).of(id(1));
    stage.ask(run(RunOf::Again(again), None));
    assert_eq!(stage.started, 1);
}

#[test]
fn what_is_written_during_a_drain_leaves_no_row_of_what_lies_ahead_and_all_of_what_was_asked_for() {
    let mut stage = Stage::of(&[HOURLY], Vec::new());
    stage.begin(update(1, OFTEN, false));
    let change = stage.asked;
    let origin = ExecutionKey::scheduled(JobKey(1), Instant::from_secs(START - 3_600)).of(id(1));
    stage.begin(Action::ReplayAll(vec![(origin, None)]));
    stage.feed(Input::Drain);
    stage.feed(Input::Committed { through: change, rejected: Vec::new() });
    stage.settle();
    let left: Vec<Kind> = stage.unfinished().iter().map(|row| row.key.kind).collect();
    assert_eq!(left, [Kind::Replay]);
}

#[test]
fn a_job_is_paused_by_how_an_execution_ended_unless_it_is_gone() {
    for (gone, paused) in [("here", 1), ("deleted", 0), ("given away", 0), ("at rest", 0), ("stopping", 0)] {
        let job = format!(r#"{OFTEN},"pauseOn":[410]"#);
        let mut stage = Stage::of_node(START, Some(10_000), Shards::ALL, &[&job], Vec::new());
        stage.feed(Input::Lease(stage.now.mono.plus_us(60_000_000)));
        stage.settle();
        stage.pass(1);
        let attempt = stage.fired.remove(0);
        match gone {
            "deleted" => stage.ask(Action::Delete { id: id(1), expected: None }),
            "given away" => stage.feed(Input::Release { shards: Shards::ALL, to: NodeId(2) }),
            "at rest" => stage.ask(pause(None)),
            "stopping" => stage.feed(Input::Drain),
            _ => {}
        }
        let before = stage.changes;
        stage.answer(&attempt, Outcome::Answered(410), true);
        assert_eq!(stage.changes - before, paused, "{gone}");
    }
}

#[test]
fn what_is_planned_is_what_is_answered() {
    for (clock_us, is_held) in [(0, false), (-20_000_000, true)] {
        let mut stage = Stage::of(&[OFTEN], Vec::new());
        stage.pass(30);
        stage.now.wall = stage.now.wall.plus_us(clock_us);
        stage.feed(Input::ClockStep(clock_us));
        let read_at = stage.now.wall.floor();
        let action = update(1, &format!("{OFTEN},\"tags\":[\"t\"]"), false);
        let command = Command { request: RequestId(1), action, plans: true, read_at };
        stage.core.handle_input(Input::Command(Box::new(command)), stage.now);
        let mut planned = Vec::new();
        while let Some(output) = stage.core.poll_output() {
            if let Output::Planned(number, _, Reply::Updated(view)) = output {
                stage.asked = number;
                planned.push((view.paused, view.held, view.next));
            }
        }
        stage.settle();
        let [Reply::Updated(view)] = &stage.replies[..] else { panic!("{:?}", stage.replies) };
        assert_eq!((planned, view.held), (vec![(view.paused, view.held, view.next)], is_held));
    }
}

#[test]
fn what_is_due_at_this_very_moment_is_not_taken_back_by_a_change() {
    let mut stage = Stage::of(&[OFTEN], Vec::new());
    stage.settle();
    stage.now.wall = WallUs::of(Instant::from_secs(START + 1));
    stage.ask(update(1, HOURLY, false));
    stage.feed(Input::Tick);
    stage.settle();
    assert_eq!(stage.fired(), [(1, 1)]);
}

#[test]
fn what_a_change_withheld_is_taken_back_by_a_drain_though_it_is_not_written() {
    let mut stage = Stage::of(&[OFTEN], Vec::new());
    stage.settle();
    stage.begin(update(1, HOURLY, false));
    stage.feed(Input::Drain);
    stage.feed(Input::Committed { through: stage.asked, rejected: vec![stage.asked] });
    assert_eq!((stage.refused, stage.core.load(stage.now.wall).executions), (1, 0));
}

#[test]
fn nothing_is_done_again_of_a_job_that_is_just_being_deleted() {
    let mut stage = Stage::of(&[HOURLY, HOURLY], Vec::new());
    let of = |key| ExecutionKey::scheduled(JobKey(key), Instant::from_secs(START - 3_600)).of(id(key));
    stage.begin(Action::Delete { id: id(1), expected: None });
    stage.begin(Action::ReplayAll(vec![(of(1), None), (of(2), None)]));
    stage.settle();
    let [Reply::Deleted, Reply::StartedAll(started, 1)] = &stage.replies[..] else { panic!("{:?}", stage.replies) };
    assert_eq!((started.len(), stage.fired()), (1, vec![(2, -3_600)]));
}
