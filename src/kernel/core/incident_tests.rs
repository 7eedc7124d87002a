//! Owns tests of open incidents: when they are told again, how many are told in a turn, and how they are counted.
//! It must not look into the core: inputs and outputs only.

use super::stage_tests::{START, Stage, id, listen, set_policy};
use super::*;
use crate::time::Instant;

const OFTEN: &str = r#""schedule":"* * * * * *","type":"ATLEAST_ONCE""#;
const DAILY: &str = r#""schedule":"1 0 0 * * *","type":"ATLEAST_ONCE""#;

/// A second passes, and each attempt is answered like this.
fn second(stage: &mut Stage, status: u16) {
    stage.pass(1);
    for attempt in std::mem::take(&mut stage.fired) {
        stage.answer(&attempt, Outcome::Answered(status), true);
    }
}

fn pass_mono(stage: &mut Stage, us: u64) {
    stage.now.mono = stage.now.mono.plus_us(us);
    stage.feed(Input::Tick);
}

#[test]
fn what_is_opened_and_closed_and_what_finds_no_room_is_counted() {
    let bounds = Bounds { incidents_open_max: 2, ..Bounds::default() };
    let mut stage = Stage::bounded(bounds, START, &[OFTEN; 4], Vec::new());
    for (status, counted) in [(500, (2, 0, 2)), (200, (2, 2, 2)), (500, (4, 2, 4)), (200, (4, 4, 4))] {
        second(&mut stage, status);
        let counts = stage.core.counts();
        let found = (counts.incidents_opened, counts.incidents_closed, counts.incidents_passed_over);
        assert_eq!(found, counted);
    }
}

#[test]
fn what_was_told_is_told_again_when_the_policy_of_now_says() {
    let opened = |cause| (cause, Event::Opened);
    for cause in [Cause::Failing, Cause::DiskNearlyFull, Cause::TargetFailing] {
        let bounds = Bounds { failing_after: 1, ..Bounds::default() };
        let mut stage = Stage::bounded(bounds, START, &[DAILY], Vec::new());
        let policy = |remind: &str| format!(r#"{{"after":{},{remind}}}"#, if cause == Cause::Failing { 1 } else { 9 });
        set_policy(&mut stage, &policy(r#""remindEvery":"1h""#));
        listen(&mut stage);
        stage.pass(1);
        let attempt = stage.fired.pop().expect("it is due");
        match cause {
            Cause::Failing => stage.answer(&attempt, Outcome::Answered(500), true),
            Cause::TargetFailing => stage.answer(&attempt, Outcome::ConnectionFailed("refused".to_owned()), false),
            cause => stage.feed(Input::Trouble(Trouble { cause, why: Some("a tenth is left".to_owned()) })),
        }
        stage.settle();
        assert_eq!(stage.told, [opened(cause)]);
        stage.pass(10);
        set_policy(&mut stage, &policy(r#""remindEvery":"1m""#));
        stage.pass(49);
        assert_eq!(stage.told, [opened(cause)], "a minute after it was told");
        stage.pass(1);
        assert_eq!(stage.told, [opened(cause), (cause, Event::Reminded)]);
        set_policy(&mut stage, &policy(r#""remindEvery":"never""#));
        stage.pass(120);
        assert_eq!(stage.told.len(), 2, "{cause:?}: nobody wants to hear of it again");
    }
}

#[test]
fn nobody_is_reminded_by_a_policy_that_has_changed() {
    let bounds = Bounds { reconsidered_per_turn: 1, ..Bounds::default() };
    let mut stage = Stage::bounded(bounds, START, &[DAILY; 3], Vec::new());
    set_policy(&mut stage, r#"{"remindEvery":"1m"}"#);
    listen(&mut stage);
    stage.pass(1);
    second(&mut stage, 500);
    assert_eq!(stage.told.len(), 3);
    // It is time to tell them again when that is wanted no more, and a turn looks at one of them.
    stage.now.mono = stage.now.mono.plus_us(60_000_000);
    set_policy(&mut stage, "{}");
    for _ in 0..10 {
        pass_mono(&mut stage, 100_000);
        stage.settle();
    }
    assert_eq!(stage.told.len(), 3);
}

#[test]
fn one_that_is_silenced_keeps_no_other_from_being_told() {
    let bounds = Bounds { incidents_per_turn: 1, ..Bounds::default() };
    let mut stage = Stage::bounded(bounds, START, &[DAILY; 3], Vec::new());
    for job in [1, 2] {
        let (of, ends_at) = (Silenced::Job(id(job)), Instant::from_secs(START + 3_600));
        stage.ask(Action::Silence(Silence { of, note: "".into(), ends_at, created_at: stage.now.wall, by: None }));
    }
    second(&mut stage, 500);
    assert_eq!((stage.core.open_incidents(), stage.told.len()), (3, 0), "there is nobody to be told");
    listen(&mut stage);
    for _ in 0..10 {
        pass_mono(&mut stage, 100_000);
        stage.settle();
    }
    assert_eq!(stage.told, [(Cause::Failing, Event::Opened)]);
}

#[test]
fn who_tells_of_many_waits_until_the_disk_has_taken_it() {
    let bounds = Bounds { incidents_per_turn: 2, ..Bounds::default() };
    let mut stage = Stage::bounded(bounds, START, &[DAILY; 5], Vec::new());
    second(&mut stage, 500);
    listen(&mut stage);
    let mut asked = vec![stage.asked];
    for _ in 0..3 {
        stage.feed(Input::Tick);
        asked.push(stage.asked);
        let again = stage.now.mono.plus_us(100_000);
        assert_eq!(stage.core.poll_timeout().mono, Some(again), "it is looked again whether it has");
        stage.now.mono = again;
    }
    assert!(asked[1] == asked[0] + 2 && asked[1..].iter().all(|&number| number == asked[1]), "{asked:?}");
    stage.settle();
    stage.feed(Input::Tick);
    assert_eq!((stage.asked, stage.told.len()), (asked[1] + 2, 2));
}

#[test]
fn what_the_store_itself_is_the_matter_of_is_told_at_once_and_once() {
    for (cause, at_once) in [(Cause::StoreFailing, 1), (Cause::DiskNearlyFull, 0)] {
        let mut stage = Stage::of(&[], Vec::new());
        listen(&mut stage);
        stage.feed(Input::Trouble(Trouble { cause, why: Some("it is full".to_owned()) }));
        assert_eq!(stage.told.len(), at_once, "{cause:?}");
        stage.settle();
        assert_eq!(stage.told, [(cause, Event::Opened)]);
        stage.feed(Input::Trouble(Trouble { cause, why: None }));
        assert_eq!(stage.told.len(), 1, "that it is over can wait for the disk");
        stage.settle();
        assert_eq!(stage.told.len(), 2);
    }
}
