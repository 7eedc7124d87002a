//! Owns tests of executions that must not run side by side: those of one job, and those of one concurrency key.
//! It must not look into the core: inputs and outputs only.

use std::collections::BTreeMap;

use super::stage_tests::{START, Stage, id, run, run_of, spec};
use super::*;
use crate::job::JobKey;
use crate::schedule::Calendars;
use crate::time::{Instant, WallUs};

fn every_second(overlap: &str) -> String {
    format!(r#""schedule":"* * * * * *","type":"ATLEAST_ONCE","overlap":"{overlap}""#)
}

/// A run that is not asked whether it may.
fn forced() -> Action {
    Action::Run(Box::new(Run { id: id(1), of: RunOf::Now, own_body: None, force: true, wait: None }))
}

fn backfill(from: i64, to: i64) -> Action {
    let (from, to) = (Instant::from_secs(START + from), Instant::from_secs(START + to));
    run(RunOf::Past { from, to }, None)
}

/// The seconds whose executions were skipped.
fn skipped(stage: &Stage) -> Vec<i64> {
    let skipped = stage.ended().into_iter().filter(|(_, status, _)| *status == Status::Skipped);
    skipped.map(|(second, ..)| second).collect()
}

/// All that was sent is answered, one after the other, as long as more follows: the seconds in the order of their turns.
fn turns(stage: &mut Stage) -> Vec<i64> {
    let mut turns = Vec::new();
    while !stage.fired.is_empty() {
        assert_eq!(stage.fired.len(), 1, "they run side by side: {:?}", stage.fired);
        let attempt = stage.fired.remove(0);
        turns.push(attempt.id.instant.as_secs() - START);
        stage.answer(&attempt, Outcome::Answered(200), true);
    }
    turns
}

#[test]
fn while_one_runs_the_next_ones_are_sent_or_skipped_or_one_of_them_waits() {
    for (overlap, fired, expected) in
        [("allow", vec![1, 2, 3, 4], vec![]), ("skip", vec![1], vec![2, 3, 4]), ("queue_one", vec![1], vec![3, 4])]
    {
        let mut stage = Stage::of(&[&every_second(overlap)], Vec::new());
        stage.pass(4);
        let sent: Vec<i64> = stage.fired.iter().map(|attempt| attempt.id.instant.as_secs() - START).collect();
        assert_eq!((sent, skipped(&stage)), (fired, expected), "{overlap}");
    }
}

#[test]
fn a_backfill_that_waits_is_in_the_way_of_none_that_comes_on_time() {
    for (overlap, expected) in [("skip", vec![1, 2]), ("queue_one", vec![2])] {
        let mut stage = Stage::of(&[&every_second(overlap)], Vec::new());
        stage.ask(forced());
        stage.ask(backfill(-2, -1));
        stage.pass(2);
        assert_eq!((stage.fired.len(), skipped(&stage)), (1, expected), "{overlap}");
        let mut stage = Stage::of(&[&every_second(overlap)], Vec::new());
        stage.ask(forced());
        stage.ask(backfill(-2, -1));
        let first = stage.fired.remove(0);
        // Its end is on its way to the disk, and two wait for it that nobody is to wait for.
        stage.report(&first, Outcome::Answered(200), true);
        stage.now.wall = stage.now.wall.plus_us(1_000_000);
        stage.feed(Input::Tick);
        assert_eq!((stage.fired.len(), skipped(&stage)), (0, vec![]), "{overlap}");
        stage.settle();
        assert_eq!(stage.fired(), [(1, -2)], "{overlap}: behind one that was no backfill it is its turn");
    }
}

#[test]
fn none_is_sent_beside_one_that_runs_though_another_one_just_ends() {
    let mut stage = Stage::of(&[&every_second("skip")], Vec::new());
    stage.pass(1);
    let first = stage.fired.remove(0);
    // The next two are on disk.
    stage.now.wall = stage.now.wall.plus_us(900_000);
    stage.feed(Input::Tick);
    stage.settle();
    stage.begin(forced());
    let asked = stage.asked;
    stage.report(&first, Outcome::Answered(200), true);
    stage.now.wall = stage.now.wall.plus_us(1_000_000);
    stage.feed(Input::Tick);
    assert_eq!(skipped(&stage), [0; 0], "the one that ends is waited for");
    stage.feed(Input::Committed { through: asked, rejected: Vec::new() });
    assert_eq!(stage.fired.len(), 1, "the forced one runs");
    stage.now.wall = stage.now.wall.plus_us(1_000_000);
    stage.feed(Input::Tick);
    assert_eq!(skipped(&stage), [3], "that one runs");
}

#[test]
fn what_is_in_doubt_comes_first_then_who_waits_longest() {
    let row = |seq: u64, second: i64, wait: Option<Wait>| {
        let key = ExecutionKey::scheduled(JobKey(1), Instant::from_secs(START + second));
        let class = if wait.is_some() { Class::Waited } else { Class::OnTime };
        let mut row = LedgerRow::pending(Seq(seq), key, class);
        row.record.note_wait(wait);
        row
    };
    let rows = [row(1, 7, None), row(2, 5, Some(Wait::Overlap)), row(3, 3, None), row(4, 9, Some(Wait::Overlap))];
    let job = r#""schedule":"@yearly","type":"ATLEAST_ONCE","overlap":"queue_one""#;
    // However they are found. One machine goes on in the order in which it armed them, nodes go by time.
    for order in [[0, 1, 2, 3], [3, 2, 1, 0], [2, 3, 0, 1]] {
        for (skew_us, expected) in [(None, [7, 3, 5, 9]), (Some(10_000), [3, 7, 5, 9])] {
            let found = order.map(|place| (rows[place].clone(), Known::Nothing)).to_vec();
            let mut stage = Stage::of_node(START + 60, skew_us, Shards::ALL, &[job], found);
            stage.feed(Input::Lease(stage.now.mono.plus_us(60_000_000)));
            stage.settle();
            assert_eq!(turns(&mut stage), expected, "{order:?} {skew_us:?}");
            assert_eq!(stage.core.counts().recovered, 2);
        }
    }
}

#[test]
fn who_asks_again_when_the_end_of_the_last_is_on_its_way_is_heard() {
    let mut stage = Stage::of(&[r#""schedule":"@yearly","type":"ATLEAST_ONCE","overlap":"skip""#], Vec::new());
    stage.ask(run(RunOf::Now, None));
    let first = stage.fired.remove(0);
    stage.report(&first, Outcome::Answered(200), true);
    stage.ask(run(RunOf::Now, None));
    assert_eq!((stage.started, stage.fired.len()), (2, 1));
}

#[test]
fn a_backfill_is_known_to_run_one_after_the_other_and_says_so_in_its_rows() {
    for overlap in ["allow", "skip"] {
        let job = format!(r#""schedule":"* * * * * *","type":"ATLEAST_ONCE","overlap":"{overlap}","active":false"#);
        let mut stage = Stage::of(&[&job], Vec::new());
        stage.begin(backfill(-3, -1));
        let waits = |row: &LedgerRow| row.record.details.as_ref().and_then(|details| details.waits_for);
        let told: Vec<Option<Wait>> = stage.rows.iter().map(waits).collect();
        assert_eq!(told, [None, Some(Wait::Overlap), Some(Wait::Overlap)], "{overlap}");
        stage.settle();
        assert_eq!(turns(&mut stage), [-3, -2, -1], "{overlap}");
    }
}

#[test]
fn what_was_begun_goes_on_when_its_job_comes_to_run_alone() {
    let key = r#""concurrencyKey":{"name":"k","limit":2},"type":"ATLEAST_ONCE""#;
    let retry = r#""retry":{"maxAttempts":3,"initialDelayMs":2000,"jitter":0}"#;
    let job = |overlap: &str| format!(r#""schedule":"*/2 * * * * *","overlap":"{overlap}",{key},{retry}"#);
    let mut stage = Stage::of(&[&job("allow"), &format!(r#""schedule":"3 * * * * *",{key}"#)], Vec::new());
    stage.pass(2);
    let first = stage.fired.remove(0);
    stage.answer(&first, Outcome::Answered(500), true);
    stage.pass(2);
    // The other job and the next execution of this one have the key, and the retry waits for it.
    let other = stage.fired[0].clone();
    assert_eq!(stage.fired(), [(2, 3), (1, 4)]);
    let spec = spec(&job("skip"), &Calendars::default());
    stage.ask(Action::Update { id: id(1), spec, keep_active: false, expected: None });
    stage.answer(&other, Outcome::Answered(200), true);
    assert_eq!(stage.fired(), [(1, 2)], "beside the one that runs");
}

#[test]
fn a_backfill_and_the_others_take_turns() {
    let mut stage = Stage::of(&[&every_second("queue_one")], Vec::new());
    stage.pass(1);
    stage.ask(backfill(-3, -1));
    stage.pass(1);
    stage.ask(Action::Pause { id: id(1), until: None, note: None, expected: None });
    assert_eq!(turns(&mut stage), [1, -3, 2, -2, -1]);
}

#[test]
fn who_comes_to_wait_for_another_key_is_not_served_by_the_one_before() {
    let job = |key: &str| {
        format!(r#""schedule":"@yearly","type":"ATLEAST_ONCE","concurrencyKey":{{"name":"{key}","limit":1}}"#)
    };
    let mut stage = Stage::of(&[&job("k"), &job("k"), &job("l")], Vec::new());
    [2, 3, 1].into_iter().for_each(|key| stage.ask(run_of(key, RunOf::Now)));
    let (second, third) = (stage.fired[0].clone(), stage.fired[1].clone());
    assert_eq!(stage.fired(), [(2, 0), (3, 0)]);
    let spec = spec(&job("l"), &Calendars::default());
    stage.ask(Action::Update { id: id(1), spec, keep_active: false, expected: None });
    stage.answer(&second, Outcome::Answered(200), true);
    assert_eq!(stage.fired(), []);
    stage.answer(&third, Outcome::Answered(200), true);
    assert_eq!(stage.fired(), [(1, 0)]);
}

#[test]
fn a_run_that_is_skipped_is_none_of_those_that_a_job_has() {
    let mut stage = Stage::of(&[&format!(r#"{},"maxRuns":2"#, every_second("skip"))], Vec::new());
    stage.pass(4);
    let first = stage.fired.remove(0);
    assert_eq!(skipped(&stage), [2, 3, 4]);
    stage.answer(&first, Outcome::Answered(200), true);
    stage.pass(3);
    assert_eq!(stage.fired(), [(1, 5)]);
}

#[test]
fn every_second_of_a_job_with_runs_left_is_told_of_though_one_is_skipped_in_a_gap() {
    let mut stage = Stage::of(&[&format!(r#"{},"maxRuns":100"#, every_second("skip"))], Vec::new());
    stage.pass(1);
    stage.sleep(10);
    stage.feed(Input::Tick);
    stage.settle();
    let through = stage.now.wall.floor().as_secs() - START;
    let count = |row: &LedgerRow| i64::from(row.record.covers.map_or(1, |covers| covers.count));
    let told: BTreeMap<Seq, i64> = stage.rows.iter().map(|row| (row.seq, count(row))).collect();
    let ahead = stage.unfinished().iter().filter(|row| row.due > stage.now.wall).count();
    assert_eq!(told.values().sum::<i64>() - i64::try_from(ahead).expect("few"), through, "{:?}", stage.rows);
}

#[test]
fn none_may_be_asked_for_while_one_waits_for_another_that_just_ends() {
    let mut stage = Stage::of(&[&every_second("queue_one")], Vec::new());
    stage.pass(2);
    let first = stage.fired.remove(0);
    stage.report(&first, Outcome::Answered(200), true);
    assert_eq!(stage.conflict(run(RunOf::Now, None)), 1);
}

#[test]
fn who_waited_for_a_key_just_as_long_as_its_job_allows_is_sent() {
    for (late_us, sent) in [(5_000_000, true), (5_000_001, false)] {
        let key = r#""concurrencyKey":{"name":"k","limit":1},"type":"ATLEAST_ONCE""#;
        let job = format!(r#""schedule":"1 * * * * *",{key},"misfire":{{"maxLatenessMs":5000}}"#);
        let mut stage = Stage::of(&[&format!(r#""schedule":"@yearly",{key}"#), &job], Vec::new());
        stage.ask(run(RunOf::Now, None));
        let first = stage.fired.remove(0);
        stage.pass(1);
        stage.now.wall = WallUs::of(Instant::from_secs(START + 1)).plus_us(late_us);
        stage.answer(&first, Outcome::Answered(200), true);
        assert_eq!((stage.fired.len(), skipped(&stage)), if sent { (1, vec![]) } else { (0, vec![1]) }, "{late_us}");
    }
}

#[test]
fn the_disk_is_asked_to_be_quick_if_only_an_end_on_its_way_is_waited_for() {
    let mut stage = Stage::of(&[&every_second("queue_one")], Vec::new());
    stage.pass(2);
    assert_eq!((stage.hurries, stage.unfinished().len()), (0, 3), "one runs, one waits, and one lies ahead");
    let mut stage = Stage::of(&[&every_second("queue_one")], Vec::new());
    stage.pass(1);
    let first = stage.fired.remove(0);
    stage.report(&first, Outcome::Answered(200), true);
    stage.now.wall = stage.now.wall.plus_us(1_000_000);
    stage.feed(Input::Tick);
    assert_eq!(stage.hurries, 1);
}

#[test]
fn what_is_skipped_as_it_is_too_late_is_waited_for_by_none() {
    let job = format!(r#"{},"misfire":{{"maxLatenessMs":5000}}"#, every_second("queue_one"));
    let mut stage = Stage::of(&[&job], Vec::new());
    stage.now.wall = WallUs::of(Instant::from_secs(START)).plus_us(600_000);
    stage.feed(Input::Tick);
    stage.settle();
    stage.now.wall = WallUs::of(Instant::from_secs(START)).plus_us(6_500_000);
    stage.feed(Input::Tick);
    assert!(skipped(&stage).contains(&1));
    assert_eq!(stage.fired(), [(1, 2)], "that one may be late by 4.5 seconds");
}

#[test]
fn those_that_wait_keep_their_turns_when_their_job_has_another_policy() {
    let bounds = Bounds { target_share_per_cent: 2, reserve_per_cent: 1, few_per_cent: 0, ..Bounds::default() };
    let bounds = Bounds { failing_target_share_per_cent: 2, ..bounds };
    let yearly = |overlap: &str| format!(r#""schedule":"@yearly","type":"ATLEAST_ONCE","overlap":"{overlap}""#);
    let jobs = [yearly("queue_one"), yearly("allow"), yearly("allow")];
    let mut stage = Stage::loading(bounds, None, START + 60, &jobs.each_ref().map(String::as_str));
    let row = |seq: u64, second: i64| {
        let key = ExecutionKey::scheduled(JobKey(1), Instant::from_secs(START + second));
        (LedgerRow::pending(Seq(seq), key, Class::OnTime), Known::Nothing)
    };
    stage = stage.acquiring(Shards::ALL, vec![row(1, 3), row(2, 5)]);
    // The target is busy before their rows are on disk.
    [2, 3].into_iter().for_each(|key| stage.begin(run_of(key, RunOf::Now)));
    stage.settle();
    let spec = spec(&yearly("skip"), &Calendars::default());
    stage.ask(Action::Update { id: id(1), spec, keep_active: false, expected: None });
    let mut sent = Vec::new();
    while let Some(attempt) = stage.fired.pop() {
        sent.extend((attempt.id.job == id(1)).then(|| attempt.id.instant.as_secs() - START));
        stage.answer(&attempt, Outcome::Answered(200), true);
    }
    assert_eq!(sent, [3, 5]);
}
