//! Owns tests of what follows when an attempt fails: when it is repeated, when that ends, and what its row tells.
//! It must not look into the core: inputs and outputs only.

use std::collections::BTreeSet;
use std::time::Duration;

use super::stage_tests::{START, Stage, run, run_of, spec};
use super::*;
use crate::job::{Misfire, RetryPolicy};
use crate::schedule::Calendars;
use crate::time::{Instant, Now, WallUs};

const YEARLY: &str = r#""schedule":"@yearly","type":"ATLEAST_ONCE""#;

/// An asked-for execution that fails: after how many milliseconds each attempt came, and whether it has ended.
fn delays(retry: &str) -> (Vec<u64>, bool) {
    let mut stage = Stage::of(&[&format!(r#"{YEARLY},"retry":{{"jitter":0,{retry}}}"#)], Vec::new());
    stage.ask(run(RunOf::Now, None));
    let mut delays = Vec::new();
    while let Some(attempt) = stage.fired.pop() {
        stage.answer(&attempt, Outcome::Answered(500), true);
        let Some(due) = stage.core.poll_timeout().mono.filter(|_| stage.ended().is_empty()) else { break };
        delays.push((due.0 - stage.now.mono.0) / 1_000);
        let waits = due.0 - stage.now.mono.0;
        stage.now.mono = due;
        stage.now.wall = stage.now.wall.plus_us(i64::try_from(waits).expect("soon"));
        stage.feed(Input::Tick);
        stage.settle();
    }
    (delays, !stage.ended().is_empty())
}

#[test]
fn the_first_retry_waits_for_the_first_delay_and_each_for_longer() {
    assert_eq!(delays(r#""maxAttempts":4,"initialDelayMs":3000,"multiplier":2"#), (vec![3_000, 6_000, 12_000], true));
    assert_eq!(delays(r#""maxAttempts":1"#), (vec![], true));
}

#[test]
fn a_retry_may_come_at_the_very_end_of_the_time_for_retries() {
    for (elapsed_max, expected) in [
        (2_999, vec![]),
        (3_000, vec![3_000]),
        (5_999, vec![3_000]),
        (6_000, vec![3_000, 3_000]),
        (6_001, vec![3_000, 3_000]),
    ] {
        let retry = format!(r#""maxAttempts":9,"initialDelayMs":3000,"multiplier":1,"maxElapsedMs":{elapsed_max}"#);
        assert_eq!(delays(&retry), (expected, true), "{elapsed_max}");
    }
}

#[test]
fn what_fails_at_one_moment_is_not_repeated_at_one_moment() {
    let retry = r#""retry":{"maxAttempts":2,"initialDelayMs":60000,"jitter":1}"#;
    let job = format!(r#""schedule":"1 * * * * *","type":"ATLEAST_ONCE",{retry}"#);
    let mut stage = Stage::of(&[&*job; 40], Vec::new());
    stage.pass(1);
    for attempt in std::mem::take(&mut stage.fired) {
        stage.answer(&attempt, Outcome::Answered(500), true);
    }
    let due: BTreeSet<WallUs> = stage.unfinished().iter().map(|row| row.due).collect();
    assert!(due.len() > 35, "{due:?}");
}

#[test]
fn only_a_retry_of_the_schedule_gives_way_to_the_next_instant() {
    let retry = r#""retry":{"maxAttempts":9,"initialDelayMs":1000,"jitter":0,"untilNext":true}"#;
    let key = r#""concurrencyKey":{"name":"k","limit":1},"type":"ATLEAST_ONCE""#;
    let job = format!(r#""schedule":"*/5 * * * * *",{key},{retry}"#);
    let mut stage = Stage::of(&[&job, &format!(r#""schedule":"@yearly",{key}"#)], Vec::new());
    stage.ask(run(RunOf::Now, None));
    let asked = stage.fired.remove(0);
    stage.ask(run_of(2, RunOf::Now));
    stage.answer(&asked, Outcome::Answered(500), true);
    assert_eq!(stage.fired(), [(2, 0)], "it has the key from now on");
    // A retry of what was asked for, and the first attempts of what is due, wait for the key.
    stage.pass(12);
    assert_eq!(stage.ended(), [], "neither gives way");
}

#[test]
fn what_waits_for_one_whose_instant_lies_ahead_again_does_not_wait_for_that() {
    let bounds = Bounds { target_share_per_cent: 2, reserve_per_cent: 1, few_per_cent: 0, ..Bounds::default() };
    let bounds = Bounds { failing_target_share_per_cent: 2, ..bounds };
    let jobs = [r#""schedule":"10 0 0 * * *","type":"ATLEAST_ONCE","overlap":"queue_one""#, YEARLY, YEARLY];
    let mut stage = Stage::bounded(bounds, START, &jobs, Vec::new());
    for key in [2, 3] {
        stage.ask(run_of(key, RunOf::Now));
    }
    let busy = std::mem::take(&mut stage.fired);
    assert_eq!(busy.len(), 2);
    stage.pass(10);
    let past = Instant::from_secs(START - 86_400 + 10);
    stage.ask(run_of(1, RunOf::Past { from: past, to: past }));
    stage.now.wall = stage.now.wall.plus_us(-5_000_000);
    stage.feed(Input::ClockStep(-5_000_000));
    for attempt in &busy {
        stage.answer(attempt, Outcome::Answered(200), true);
    }
    assert_eq!(stage.fired(), [(1, 10 - 86_400)]);
    stage.pass(5);
    assert_eq!(stage.fired(), [], "one at a time");
}

#[test]
fn what_the_answer_told_is_in_the_row() {
    let mut stage = Stage::of(&[YEARLY], Vec::new());
    let timings = Some(Timings { name_us: 1, connect_us: 2, tls_us: 3, first_byte_us: 4 });
    let response = Some("no".into());
    for answer in [
        Answer { timings, ..Answer::default() },
        Answer { response, ..Answer::default() },
        Answer { timings: None, ..Answer::default() },
    ] {
        stage.ask(run(RunOf::Now, None));
        let attempt = stage.fired.remove(0);
        stage.report_all(&attempt, Outcome::Answered(200), true, Some(answer.clone()));
        let row = stage.rows.last().expect("it is written");
        let told = row.record.details.as_ref().map(|details| (details.timings, details.response.clone()));
        let expected = (answer.timings, answer.response);
        assert_eq!(told, (expected != (None, None)).then_some(expected));
        stage.settle();
    }
}

#[test]
fn the_row_tells_when_the_last_attempt_left_if_there_were_others() {
    let retry = r#""retry":{"maxAttempts":2,"initialDelayMs":5000,"jitter":0}"#;
    let mut stage = Stage::of(&[&format!("{YEARLY},{retry}")], Vec::new());
    stage.ask(run(RunOf::Now, None));
    let mut told = Vec::new();
    for _ in 0..2 {
        let attempt = stage.fired.remove(0);
        let answer = Answer { response: Some("no".into()), ..Answer::default() };
        stage.report_all(&attempt, Outcome::Answered(500), true, Some(answer));
        told.push(stage.rows.last().and_then(|row| row.record.details.as_ref()?.last_dispatched));
        stage.settle();
        stage.pass(5);
    }
    assert_eq!(told, [None, Some(stage.now.wall.plus_us(-5_000_000))]);
}

#[test]
fn a_retry_gives_way_to_an_instant_that_has_no_row_yet() {
    let bounds = Bounds { unwritten_max: 2, ..Bounds::default() };
    for (wait_ms, gives_way) in [(70_000, true), (50_000, false)] {
        let retry = format!(r#""retry":{{"maxAttempts":3,"initialDelayMs":{wait_ms},"jitter":0,"untilNext":true}}"#);
        let job = format!(r#""schedule":"0 * * * * *","type":"ATLEAST_ONCE",{retry}"#);
        let mut stage = Stage::bounded(bounds, START + 59, &[&job], Vec::new());
        stage.pass(2);
        let attempt = stage.fired.remove(0);
        stage.answer(&attempt, Outcome::Answered(500), true);
        // From here on the disk takes nothing, and there is no room for what comes.
        (0..2).for_each(|_| {
            stage.begin(Action::Create { spec: spec(YEARLY, &Calendars::default()), entropy: [0; 10], pause: None });
        });
        for _ in 0..wait_ms / 1_000 {
            stage.now = Now { wall: stage.now.wall.plus_us(1_000_000), mono: stage.now.mono.plus_us(1_000_000) };
            stage.feed(Input::Tick);
        }
        let ended: Vec<i64> = stage.ended().into_iter().map(|(second, ..)| second).collect();
        assert_eq!((ended, stage.fired.len()), if gives_way { (vec![60], 0) } else { (vec![], 1) }, "{wait_ms}");
    }
}

#[test]
fn what_is_missed_goes_by_what_the_server_came_to_say() {
    for (lateness_s, expected) in [(2, vec![]), (600, vec![(1, 2)])] {
        let mut stage = Stage::of(&[r#""schedule":"* * * * * *","type":"ATLEAST_ONCE""#], Vec::new());
        let retry = RetryPolicy::doubling(0, Duration::from_secs(1));
        let (misfire, lateness_max) = (Misfire::Skip, Duration::from_secs(lateness_s));
        stage.feed(Input::Defaults(Defaults { retry, misfire, lateness_max }));
        stage.pass(1);
        stage.fired.clear();
        stage.sleep(30);
        stage.feed(Input::Tick);
        stage.settle();
        assert_eq!((stage.fired(), stage.core.counts().caught_up), (expected, 0), "what was armed may be late");
    }
}
