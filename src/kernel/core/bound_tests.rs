//! Owns tests of what the core does at its bounds: what does not fit into a turn, waits for room, or is more than a target
//! takes.
//! It must not look into the core: inputs and outputs only.

use std::collections::BTreeMap;
use std::time::Duration;

use super::stage_tests::{START, Stage, id, listen, run_of, set_policy, spec};
use super::*;
use crate::limits::ARM_LEAD_US;
use crate::schedule::Calendars;
use crate::time::{Instant, Now, WallUs};

/// Bounds that leave a target two at a time, and let so many wait for it.
fn narrow(backlog: usize) -> Bounds {
    let bounds = Bounds { target_share_per_cent: 2, reserve_per_cent: 1, few_per_cent: 0, ..Bounds::default() };
    Bounds { failing_target_share_per_cent: 2, target_backlog_max: backlog, stalled_at_once: 2, ..bounds }
}

/// All that was sent is answered, and what follows from that is, too; at most so many.
fn answer(stage: &mut Stage, most: usize) -> Vec<u64> {
    let mut answered = Vec::new();
    while answered.len() < most && !stage.fired.is_empty() {
        let attempt = stage.fired.remove(0);
        stage.answer(&attempt, Outcome::Answered(200), true);
        answered.push(attempt.id.job.key().0);
    }
    answered
}

const OFTEN: &str = r#""schedule":"* * * * * *","type":"ATLEAST_ONCE""#;
const YEARLY: &str = r#""schedule":"@yearly","type":"ATLEAST_ONCE""#;

#[test]
fn a_target_with_too_much_to_do_stays_busy_and_every_job_has_its_share() {
    let mut stage = Stage::bounded(narrow(8), START, &[OFTEN; 12], Vec::new());
    stage.settle();
    let mut shares: BTreeMap<u64, usize> = BTreeMap::new();
    // It takes six a second, of twelve.
    for second in 1..=40 {
        stage.pass(1);
        let answered = answer(&mut stage, 6);
        assert_eq!(answered.len(), 6, "second {second}: it has less to do than it can");
        answered.into_iter().for_each(|job| *shares.entry(job).or_default() += 1);
    }
    assert_eq!(shares.len(), 12);
    let (least, most) = (shares.values().min(), shares.values().max());
    assert!(least.zip(most).is_some_and(|(least, most)| *least >= 15 && *most <= 25), "{shares:?}");
    // More is due than it takes. A row of one instant stands for itself.
    let passed_over: Vec<_> = stage.rows.iter().filter(|row| row.record.status == Status::Skipped).collect();
    let is_of_one = |covers: Option<Covers>| covers.is_none_or(|covers| covers.count == 1 && !covers.more);
    let of_one: Vec<_> = passed_over.iter().filter(|row| is_of_one(row.record.covers)).collect();
    assert!(!of_one.is_empty() && of_one.iter().all(|row| row.record.covers.is_none()), "{passed_over:?}");
}

#[test]
fn a_target_with_too_much_to_do_takes_the_disk_from_no_other() {
    let other = format!(r#"{OFTEN},"api":"http://b/""#);
    let jobs: Vec<&str> = [[OFTEN; 20].as_slice(), &[other.as_str(); 2]].concat();
    let bounds = Bounds { unwritten_max: 12, target_backlog_max: 8, stalled_at_once: 8, ..Bounds::default() };
    let mut stage = Stage::bounded(bounds, START, &jobs, Vec::new());
    stage.settle();
    // The disk takes thirty rows a second, of which those of the other target are four.
    let mut written = stage.asked;
    let mut posts: BTreeMap<u64, usize> = BTreeMap::new();
    for _ in 0..40 * 10 {
        stage.now = Now { wall: stage.now.wall.plus_us(100_000), mono: stage.now.mono.plus_us(100_000) };
        while stage.core.poll_timeout().is_reached(stage.now) {
            stage.feed(Input::Tick);
        }
        written = stage.asked.min(written + 3);
        stage.feed(Input::Committed { through: written, rejected: Vec::new() });
        for attempt in std::mem::take(&mut stage.fired) {
            *posts.entry(attempt.id.job.key().0).or_default() += 1;
            stage.report(&attempt, Outcome::Answered(200), true);
        }
    }
    let posts_of = |job: u64| posts.get(&job).copied().unwrap_or_default();
    let (many, few): (Vec<usize>, Vec<usize>) = ((1..=20).map(posts_of).collect(), (21..=22).map(posts_of).collect());
    assert!(many.iter().sum::<usize>() < 20 * 30, "the disk was fast enough for all: {many:?}");
    assert!(few.iter().all(|posts| *posts >= 38), "{few:?} of 40, beside {many:?}");
}

#[test]
fn a_job_that_waits_for_its_target_and_goes_leaves_its_place_to_the_next() {
    let mut stage = Stage::bounded(narrow(8), START, &[OFTEN; 12], Vec::new());
    stage.settle();
    stage.pass(3);
    // Those that wait longest are gone or somewhere else when it has room again.
    for key in [1, 2, 3, 4] {
        stage.ask(Action::Delete { id: id(key), expected: None });
    }
    let other = spec(&format!(r#"{OFTEN},"api":"http://b/""#), &Calendars::default());
    stage.ask(Action::Update { id: id(5), spec: other, keep_active: false, expected: None });
    let mut shares: BTreeMap<u64, usize> = BTreeMap::new();
    for _ in 0..40 {
        stage.pass(1);
        answer(&mut stage, 6).into_iter().for_each(|job| *shares.entry(job).or_default() += 1);
    }
    assert!((6..=12).all(|job| shares.get(&job).is_some_and(|&share| share > 10)), "{shares:?}");
}

#[test]
fn what_is_due_is_sent_as_it_is_taken_up_unless_something_may_be_silent() {
    let bounds = Bounds { due_per_tick: 2, ..Bounds::default() };
    let mut stage = Stage::bounded(bounds, START, &[OFTEN; 6], Vec::new());
    stage.settle();
    for (second, pieces) in [(1, [2, 4, 6]), (2, [0, 0, 6])] {
        stage.settle();
        stage.now = Now { wall: WallUs::of(Instant::from_secs(START + second)), ..stage.now };
        stage.fired.clear();
        for sent in pieces {
            assert!(stage.core.poll_timeout().is_reached(stage.now));
            stage.feed(Input::Tick);
            // What was sent in the first second nobody has answered when the second one begins.
            assert_eq!(stage.fired.len(), sent, "second {second}");
        }
        assert!(!stage.core.poll_timeout().is_reached(stage.now));
    }
}

#[test]
fn more_than_is_armed_in_a_turn_is_armed_in_the_next() {
    let bounds = Bounds { missed_count_max: 1, misfire_all_max: 1, arm_steps_per_turn: 8, ..Bounds::default() };
    let mut stage =
        Stage::bounded(bounds, START + 30, &[r#""schedule":"0 * * * * *","type":"ATLEAST_ONCE""#; 40], vec![]);
    stage.settle();
    stage.now.wall = WallUs::of(Instant::from_secs(START + 60)).plus_us(-ARM_LEAD_US);
    stage.rows.clear();
    let mut turns = Vec::new();
    while stage.rows.len() < 40 {
        let before = stage.rows.len();
        assert!(stage.core.poll_timeout().is_reached(stage.now), "nobody goes on after {before}");
        stage.feed(Input::Tick);
        turns.push(stage.rows.len() - before);
        stage.now.mono = stage.core.poll_timeout().mono.filter(|_| stage.rows.len() < 40).unwrap_or(stage.now.mono);
    }
    // One job takes a step to be looked at, and one for its instant.
    assert_eq!((turns, stage.core.counts().armed), (vec![4; 10], 40));
    assert_eq!(stage.core.load(stage.now.wall).arming_stalled, 0);
}

#[test]
fn what_a_gap_costs_counts_in_the_budget_of_a_turn() {
    let bounds = Bounds { arm_steps_per_turn: 3_000, ..Bounds::default() };
    // Each has a schedule of its own, so nothing is found once for all of them.
    let jobs: Vec<String> =
        (0..40).map(|job| format!(r#""schedule":"{job}-59 * * * * *","type":"ATLEAST_ONCE""#)).collect();
    let jobs: Vec<&str> = jobs.iter().map(String::as_str).collect();
    // A gap of a thousand instants costs as many steps, and some more.
    let stage = Stage::bounded(bounds, START + 3_600, &jobs, Vec::new());
    assert_eq!(stage.core.load(stage.now.wall).arming_stalled, 37);
}

#[test]
fn a_target_is_left_alone_for_as_long_as_it_asks() {
    let retry = r#""retry":{"maxAttempts":2,"initialDelayMs":3000,"jitter":0}"#;
    let job = format!(r#""schedule":"0 * * * * *","type":"ATLEAST_ONCE",{retry}"#);
    // Not less than the job says either, and not for ever.
    for (asked, waits) in [(0, 3), (2, 3), (3, 3), (8, 8), (20, 10)] {
        let bounds = Bounds { retry_after_max: Duration::from_secs(10), ..Bounds::default() };
        let mut stage = Stage::bounded(bounds, START + 59, &[&job], Vec::new());
        stage.pass(1);
        let attempt = stage.fired.pop().expect("it is due");
        let answer = Answer { retry_after_s: Some(asked), ..Answer::default() };
        stage.report_all(&attempt, Outcome::Answered(503), true, Some(answer));
        stage.settle();
        stage.pass(waits - 1);
        assert_eq!(stage.fired(), [], "asked for {asked} s");
        stage.pass(1);
        assert_eq!(stage.fired(), [(1, 60)], "asked for {asked} s");
    }
}

/// How many incidents are open, turn by turn, until nobody asks for another turn at once.
fn opened_in_turns(stage: &mut Stage) -> Vec<usize> {
    let mut turns = Vec::new();
    for _ in 0..20 {
        stage.feed(Input::Tick);
        stage.settle();
        turns.push(stage.core.open_incidents());
        match stage.core.poll_timeout().mono {
            Some(due) if due <= stage.now.mono.plus_us(200_000) => stage.now.mono = due.max(stage.now.mono),
            Some(_) | None => return turns,
        }
    }
    panic!("it never comes to rest: {turns:?}");
}

#[test]
fn more_jobs_than_are_looked_at_in_a_turn_are_looked_at_in_the_next() {
    let bounds = Bounds { reconsidered_per_turn: 2, ..Bounds::default() };
    let mut stage = Stage::bounded(bounds, START, &[OFTEN; 5], Vec::new());
    stage.pass(1);
    for attempt in std::mem::take(&mut stage.fired) {
        stage.answer(&attempt, Outcome::Answered(500), true);
    }
    assert_eq!(stage.core.open_incidents(), 5);
    set_policy(&mut stage, r#"{"after":2}"#);
    assert_eq!(opened_in_turns(&mut stage), [3, 1, 0], "one failure is allowed now");
}

#[test]
fn more_jobs_without_a_success_than_are_looked_at_in_a_turn_are_told_in_the_next() {
    for (jobs, turns) in [(4, &[2, 4][..]), (5, &[2, 4, 5][..])] {
        let bounds = Bounds { reconsidered_per_turn: 2, ..Bounds::default() };
        let mut stage = Stage::bounded(bounds, START, &vec![YEARLY; jobs], Vec::new());
        set_policy(&mut stage, r#"{"noSuccessFor":"60s"}"#);
        stage.pass(5);
        assert_eq!(stage.core.open_incidents(), 0);
        stage.now = Now { wall: stage.now.wall.plus_us(60_000_000), mono: stage.now.mono.plus_us(60_000_000) };
        assert_eq!(opened_in_turns(&mut stage), turns);
    }
}

#[test]
fn a_turn_that_looks_at_jobs_for_a_policy_tells_of_those_without_a_success_as_far_as_there_is_room() {
    let bounds = Bounds { reconsidered_per_turn: 2, ..Bounds::default() };
    // They were created longer ago than the policy allows.
    let mut stage = Stage::bounded(bounds, START + 60, &[YEARLY; 5], Vec::new());
    set_policy(&mut stage, r#"{"noSuccessFor":"60s"}"#);
    assert_eq!(opened_in_turns(&mut stage), [0, 0, 1, 3, 5]);
}

#[test]
fn more_late_executions_than_are_looked_at_in_a_turn_are_told_in_the_next() {
    let bounds = Bounds { reconsidered_per_turn: 2, ..narrow(100) };
    let mut stage =
        Stage::bounded(bounds, START + 58, &[r#""schedule":"0 * * * * *","type":"ATLEAST_ONCE""#; 7], vec![]);
    set_policy(&mut stage, r#"{"lateBy":"5s"}"#);
    stage.pass(6);
    assert_eq!((stage.fired.len(), stage.core.open_incidents()), (2, 0), "the others wait for them");
    stage.now = Now { wall: stage.now.wall.plus_us(1_000_000), mono: stage.now.mono.plus_us(1_000_000) };
    assert_eq!(opened_in_turns(&mut stage), [2, 4, 5]);
}

#[test]
fn more_than_is_told_again_in_a_turn_is_told_in_the_next() {
    let bounds = Bounds { incidents_per_turn: 2, ..Bounds::default() };
    let mut stage =
        Stage::bounded(bounds, START + 59, &[r#""schedule":"0 * * * * *","type":"ATLEAST_ONCE""#; 5], vec![]);
    set_policy(&mut stage, r#"{"remindEvery":"1h"}"#);
    stage.pass(1);
    for attempt in std::mem::take(&mut stage.fired) {
        stage.answer(&attempt, Outcome::Answered(500), true);
    }
    assert_eq!((stage.core.open_incidents(), stage.told.len()), (5, 0), "there is nobody to be told");
    listen(&mut stage);
    let told = |stage: &mut Stage| {
        let mut turns = Vec::new();
        while turns.len() < 4 {
            stage.feed(Input::Tick);
            stage.settle();
            turns.push(std::mem::take(&mut stage.told));
            // The disk has taken what was told.
            stage.now.mono = stage.now.mono.plus_us(100_000);
        }
        turns.into_iter().map(|told| (told.len(), told.first().copied())).collect::<Vec<_>>()
    };
    let turns = |event| [2, 2, 1, 0].map(|told| (told, (told > 0).then_some((Cause::Failing, event))));
    assert_eq!(told(&mut stage), turns(Event::Opened));
    stage.now.mono = stage.now.mono.plus_us(3_600_000_000);
    assert_eq!(told(&mut stage), turns(Event::Reminded));
}

#[test]
fn an_error_is_cut_where_a_character_ends() {
    for (most, kept) in
        [(1, ""), (2, "\u{e4}"), (5, "\u{e4}\u{e4}"), (6, "\u{e4}\u{e4}\u{e4}"), (9, "\u{e4}\u{e4}\u{e4}")]
    {
        let bounds = Bounds { error_len_max: most, ..Bounds::default() };
        let mut stage = Stage::bounded(bounds, START, &[OFTEN], Vec::new());
        stage.pass(1);
        let attempt = stage.fired.pop().expect("it is due");
        stage.answer(&attempt, Outcome::TimedOut("\u{e4}\u{e4}\u{e4}".to_owned()), true);
        assert_eq!(stage.ended(), [(1, Status::Failed, Some(kept.into()))], "{most} bytes");
    }
}

#[test]
fn backfills_leave_room_for_what_is_asked_for_now() {
    let bounds = Bounds { recovery_share_per_cent: 3, ..Bounds::default() };
    let hour = Instant::from_secs(START - 3_600);
    for (of, sent) in [(RunOf::Past { from: hour, to: hour }, 3), (RunOf::Now, 8)] {
        let mut stage =
            Stage::bounded(bounds, START, &[r#""schedule":"@hourly","type":"ATLEAST_ONCE""#; 8], Vec::new());
        (1..=8).for_each(|key| stage.ask(run_of(key, of)));
        assert_eq!(stage.fired.len(), sent, "{of:?}");
    }
}
