//! Owns tests of what the core counts: what happened so far, what a turn costs, and what was passed over.
//! It must not look into the core: inputs and outputs only.

use super::stage_tests::{START, Stage, run, stored};
use super::*;
use crate::limits::OVERLOAD_NOTICE_US;
use crate::schedule::Dates;
use crate::time::Now;

const OFTEN: &str = r#""schedule":"* * * * * *","type":"ATLEAST_ONCE""#;

#[test]
fn whatever_happens_counts_each_time() {
    let retry = r#""retry":{"maxAttempts":3,"initialDelayMs":1000,"jitter":0}"#;
    let mut stage = Stage::of(&[&format!(r#""schedule":"5 * * * * *","type":"ATLEAST_ONCE",{retry}"#)], Vec::new());
    stage.ask(run(RunOf::Now, None));
    for _ in 0..6 {
        while let Some(attempt) = stage.fired.pop() {
            stage.answer(&attempt, Outcome::Answered(500), true);
            let stale = stage.core.counts().stale;
            // Whoever says it twice says nothing.
            stage.report(&attempt, Outcome::Answered(500), true);
            assert_eq!(stage.core.counts().stale, stale + 1);
        }
        stage.pass(2);
    }
    let counts = *stage.core.counts();
    let ended = counts.ended.all(Status::Failed);
    assert_eq!((counts.armed, counts.asked_for, counts.fired, counts.retried, ended), (1, 1, 6, 4, 2), "{counts:?}");
    assert_eq!((counts.refused, counts.missed, counts.attempts.answered_5xx), (0, 0, 6), "{counts:?}");
    stage.feed(Input::Committed { through: 1, rejected: Vec::new() });
    assert_eq!(stage.core.counts().stale, counts.stale + 1);
    // One incident of the job, which its success closes.
    stage.pass(55);
    let attempt = stage.fired.pop().expect("the next minute");
    stage.answer(&attempt, Outcome::Answered(200), true);
    let counts = *stage.core.counts();
    let incidents = (counts.incidents_opened, counts.incidents_closed);
    assert_eq!((counts.attempts.success, counts.attempts.answered_5xx, incidents), (1, 6, (1, 1)), "{counts:?}");
    // Nobody looks at the clock for three minutes.
    stage.sleep(180);
    stage.pass(1);
    let counts = *stage.core.counts();
    assert_eq!((counts.missed, counts.caught_up), (3, 1), "{counts:?}");
    stage.feed(Input::Drain);
    (0..2).for_each(|_| stage.begin(run(RunOf::Now, None)));
    assert_eq!(stage.core.counts().refused, 2);
}

const CLOSED: &str = r#","excludeCalendars":["closed"]"#;

/// How many steps a start takes for ten jobs, so many seconds after the last: with one step more, the turn takes an eleventh
/// as well.
fn steps_of_ten(job: &str, seconds: i64) -> u32 {
    let takes_all = |steps: u32| {
        let bounds = Bounds { missed_count_max: 8, misfire_all_max: 4, ..Bounds::default() };
        let bounds = Bounds { arm_steps_per_turn: steps, ..bounds };
        let mut stage = Stage::loading(bounds, None, START + seconds, &[]);
        let dates = Dates::parse(["2026-01-02", "2026-01-03", "2026-01-06"].into_iter(), 10).expect("dates").into();
        stage.feed(Input::RestoreCalendar(CalendarChange { name: "closed".into(), dates: Some(dates) }));
        for number in 0..11 {
            stage.feed(Input::RestoreJob(Box::new(stored(number + 1, &job.replace("NUMBER", &number.to_string())))));
        }
        let stage = stage.acquiring(Shards::ALL, Vec::new());
        stage.core.load(stage.now.wall).arming_stalled == 0
    };
    let all: Vec<u32> = (9..20_000).collect();
    all[all.partition_point(|&steps| !takes_all(steps))] - 1
}

#[test]
fn a_turn_is_over_after_so_many_steps() {
    let late = r#","misfire":{"maxLatenessMs":1000}"#;
    // One for the look at the job, 32 for a gap that nobody had asked for, one for each instant that is counted, left out, run
    // or armed, and 64 for each of those that are looked for by halving.
    let cases = [
        ("all have one gap", 3_590, r#""schedule":"0 */20 * * * *""#, "", 1 + 34 + 9 * 2),
        ("each has its own", 3_590, r#""schedule":"NUMBER */20 * * * *""#, "", 10 * (1 + 35)),
        (
            "all are run",
            3_590,
            r#""schedule":"NUMBER */20 * * * *""#,
            r#","misfire":{"policy":"all"}"#,
            10 * (1 + 35 + 3),
        ),
        ("four are run", 3_590, r#""schedule":"NUMBER */10 * * * *""#, r#","misfire":{"policy":"all"}"#, 3_010),
        ("all are too late", 3_590, r#""schedule":"NUMBER */20 * * * *""#, late, 10 * (1 + 35 + 1)),
        ("the next two are closed", 43_199, r#""schedule":"0 0 12 * * *""#, CLOSED, 10 * (1 + 1 + 2)),
        ("three days are closed", 400_000, r#""schedule":"NUMBER 0 12 * * *""#, CLOSED, 10 * (1 + 37 + 1)),
    ];
    let told = cases.map(|(name, seconds, schedule, more, _)| {
        (name, steps_of_ten(&format!(r#"{schedule},"type":"ATLEAST_ONCE"{more}"#), seconds))
    });
    assert_eq!(told, cases.map(|(name, _, _, _, steps)| (name, steps)));
    let closed_and_late = format!(r#""schedule":"NUMBER 0 12 * * *","type":"ATLEAST_ONCE"{CLOSED}{late}"#);
    assert_eq!(steps_of_ten(&closed_and_late, 400_000), 10 * (1 + 37 + 1 + 1));
}

#[test]
fn what_is_passed_over_is_told_once_a_second_and_all_of_it() {
    let bounds = Bounds { target_share_per_cent: 2, reserve_per_cent: 1, few_per_cent: 0, ..Bounds::default() };
    let bounds = Bounds { failing_target_share_per_cent: 2, target_backlog_max: 8, stalled_at_once: 2, ..bounds };
    let mut stage = Stage::bounded(bounds, START, &[OFTEN; 12], Vec::new());
    stage.settle();
    assert_eq!(stage.notices, [], "nothing is passed over");
    let mut told_at = Vec::new();
    for _ in 0..400 {
        stage.now = Now { wall: stage.now.wall.plus_us(100_000), mono: stage.now.mono.plus_us(100_000) };
        stage.feed(Input::Tick);
        stage.settle();
        let overloads = stage.notices.iter().filter(|notice| matches!(notice, Notice::Overload { .. })).count();
        told_at.resize(overloads, stage.now.mono.0);
        if let Some(attempt) = stage.fired.pop() {
            stage.answer(&attempt, Outcome::Answered(200), true);
        }
    }
    let of =
        |notice: &Notice| if let Notice::Overload { jobs, instants } = *notice { (jobs, instants) } else { (0, 0) };
    let (jobs, instants) = stage.notices.iter().map(of).fold((0, 0), |sum, told| (sum.0 + told.0, sum.1 + told.1));
    let counts = stage.core.counts();
    assert!(jobs > 10 && jobs <= instants && instants <= counts.missed && instants * 10 > counts.missed * 9);
    assert!(told_at.windows(2).all(|pair| pair[1] - pair[0] >= OVERLOAD_NOTICE_US), "{told_at:?}");
    assert!(told_at.windows(2).any(|pair| pair[1] - pair[0] == OVERLOAD_NOTICE_US), "{told_at:?}");
}

#[test]
fn what_comes_too_late_out_of_its_queue_counts_as_missed() {
    let bounds = Bounds { target_share_per_cent: 2, reserve_per_cent: 1, few_per_cent: 0, ..Bounds::default() };
    let bounds = Bounds { failing_target_share_per_cent: 2, ..bounds };
    let job = r#""schedule":"1 * * * * *","type":"ATLEAST_ONCE","misfire":{"maxLatenessMs":5000}"#;
    // It may have waited for just as long.
    for (seconds, sent, missed) in [(6, 1, 0), (7, 0, 2)] {
        let mut stage = Stage::bounded(bounds, START, &[job; 4], Vec::new());
        stage.pass(seconds);
        assert_eq!((stage.fired.len(), stage.core.counts().missed), (2, 0));
        let first = stage.fired.remove(0);
        stage.answer(&first, Outcome::Answered(200), true);
        assert_eq!((stage.fired.len(), stage.core.counts().missed), (1 + sent, missed));
    }
}
