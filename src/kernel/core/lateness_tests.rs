//! Owns tests of lateness, quiet and pauses that are told: when each begins, what is said of it, and what ends it or does not.
//! It must not look into the core: inputs and outputs only.

use super::stage_tests::{START, Stage, id, set_policy, stored};
use super::*;
use crate::job::Pause;
use crate::time::{Instant, Now, WallUs};

const OFTEN: &str = r#""schedule":"* * * * * *","type":"ATLEAST_ONCE""#;
const YEARLY: &str = r#""schedule":"@yearly","type":"ATLEAST_ONCE""#;

/// The causes of what is open of the job.
fn open(stage: &Stage) -> Vec<Cause> {
    let open = |cause: &Cause| stage.core.open_one(&Subject::Job(id(1)), *cause).is_some();
    Cause::ALL.into_iter().filter(open).collect()
}

/// The clock steps by so many seconds.
fn step(stage: &mut Stage, seconds: i64) {
    stage.now.wall = stage.now.wall.plus_us(seconds * 1_000_000);
    stage.feed(Input::ClockStep(seconds * 1_000_000));
}

/// A success of an attempt that began so many seconds after the start.
fn succeed(stage: &mut Stage, attempt: &Attempt, began: i64) {
    stage.feed(Input::Report(Report {
        handle: attempt.handle,
        attempt: attempt.number,
        outcome: Outcome::Answered(200),
        dispatched: WallUs::of(Instant::from_secs(START + began)),
        duration_us: 1,
        was_sent: true,
        answer: None,
    }));
    stage.settle();
}

/// The second execution waits for the first for so long that it is late.
fn late() -> (Stage, Attempt) {
    let key = r#""concurrencyKey":{"name":"k","limit":1}"#;
    let mut stage = Stage::of(&[&format!(r#"{OFTEN},{key},"alerts":{{"lateBy":"2s"}}"#)], Vec::new());
    stage.pass(1);
    let first = stage.fired.pop().expect("it is due");
    stage.pass(3);
    assert_eq!(open(&stage), [Cause::Late]);
    (stage, first)
}

#[test]
fn only_an_execution_behind_the_late_one_tells_that_it_is_over() {
    let (mut stage, first) = late();
    succeed(&mut stage, &first, 1);
    assert_eq!(open(&stage), [Cause::Late], "it began in time, and was due before");

    // By a clock that steps back the late one itself begins in time.
    let (mut stage, first) = late();
    step(&mut stage, -10);
    succeed(&mut stage, &first, 1);
    stage.pass(8);
    let [again] = &stage.fired[..] else { panic!("one at a time: {:?}", stage.fired) };
    let (again, began) = (again.clone(), 2);
    assert_eq!(again.id.instant, Instant::from_secs(START + 2));
    succeed(&mut stage, &again, began);
    assert_eq!(open(&stage), [Cause::Late]);
}

#[test]
fn a_job_that_was_late_is_so_until_it_is_due_again() {
    let daily = r#""schedule":"1 0 0 * * *","type":"ATLEAST_ONCE","alerts":{"lateBy":"2s"}"#;
    let mut stage = Stage::of(&[daily], Vec::new());
    stage.pass(6);
    let attempt = stage.fired.pop().expect("it is due");
    succeed(&mut stage, &attempt, 5);
    assert_eq!(open(&stage), [Cause::Late], "nothing of it is under way, and tomorrow it is due");
    stage.now = Now { wall: stage.now.wall.plus_us(86_390_000_000), mono: stage.now.mono.plus_us(86_390_000_000) };
    stage.pass(6);
    let attempt = stage.fired.pop().expect("it is due");
    succeed(&mut stage, &attempt, 86_401);
    assert_eq!(open(&stage), []);
}

#[test]
fn what_is_decided_is_not_late_while_that_is_on_its_way_to_the_disk() {
    let mut stage = Stage::of(&[&format!(r#"{OFTEN},"overlap":"skip","alerts":{{"lateBy":"5s"}}"#)], Vec::new());
    stage.pass(1);
    let tick = |stage: &mut Stage| {
        stage.now = Now { wall: stage.now.wall.plus_us(1_000_000), mono: stage.now.mono.plus_us(1_000_000) };
        stage.feed(Input::Tick);
    };
    (2..=7).for_each(|_| tick(&mut stage));
    assert!(stage.ended().iter().any(|end| (end.0, end.1) == (2, Status::Skipped)), "the first one runs");
    assert_eq!(open(&stage), []);
    tick(&mut stage);
    assert_eq!(open(&stage), [Cause::Late], "the third one waits for the disk");
}

#[test]
fn a_policy_that_allows_more_ends_what_it_allows_and_nothing_else() {
    // It was created ten seconds before the start.
    for (quiet_us, closed) in [(119_000_000, 1), (119_999_999, 1), (120_000_000, 0), (121_000_000, 0)] {
        let mut stage = Stage::of(&[YEARLY], Vec::new());
        set_policy(&mut stage, r#"{"noSuccessFor":"60s"}"#);
        stage.pass(60);
        assert_eq!(open(&stage), [Cause::NoSuccess]);
        let wall = WallUs::of(Instant::from_secs(START - 10)).plus_us(quiet_us);
        let passed = u64::try_from(wall.since_us(stage.now.wall)).expect("it is later");
        stage.now = Now { wall, mono: stage.now.mono.plus_us(passed) };
        set_policy(&mut stage, r#"{"noSuccessFor":"120s"}"#);
        stage.feed(Input::Tick);
        stage.settle();
        assert_eq!(stage.core.counts().incidents_closed, closed, "quiet for {quiet_us} us");
    }
}

#[test]
fn a_success_counts_of_a_job_that_nobody_has_looked_at_since_a_policy_changed() {
    let bounds = Bounds { reconsidered_per_turn: 1, ..Bounds::default() };
    let mut stage = Stage::bounded(bounds, START, &[YEARLY, OFTEN], Vec::new());
    stage.pass(1);
    let attempt = stage.fired.pop().expect("it is due");
    stage.answer(&attempt, Outcome::Answered(500), true);
    assert_eq!(stage.core.open_incidents(), 1);
    stage.pass(1);
    let attempt = stage.fired.pop().expect("it is due");
    set_policy(&mut stage, r#"{"noSuccessFor":"60s"}"#);
    stage.answer(&attempt, Outcome::Answered(200), true);
    assert_eq!(stage.core.open_incidents(), 0);
    let is_quiet = |stage: &Stage| stage.core.open_one(&Subject::Job(id(2)), Cause::NoSuccess).is_some();
    stage.pass(59);
    assert!(!is_quiet(&stage), "since it had one");
    stage.pass(2);
    assert!(is_quiet(&stage));
}

#[test]
fn why_nothing_succeeds_is_said_as_far_as_it_is_known() {
    let pause = || Action::Pause { id: id(1), until: None, note: None, expected: None };
    let ended = r#","endsAt":"2026-01-01T00:00:05Z""#;
    for (ends, paused, held, why) in [
        ("", false, false, None),
        ("", true, false, Some("it is paused")),
        ("", false, true, Some("a clock that stepped back holds it")),
        (ended, false, true, Some("a clock that stepped back holds it")),
        (ended, false, false, Some("it is not due any more")),
    ] {
        let mut stage = Stage::of(&[&format!(r#"{OFTEN}{ends},"alerts":{{"noSuccessFor":"60s"}}"#)], Vec::new());
        stage.pass(10);
        if paused {
            stage.ask(pause());
        }
        if held {
            step(&mut stage, -3_600);
        }
        stage.pass(50);
        let incident = stage.core.open_one(&Subject::Job(id(1)), Cause::NoSuccess).expect("there was none");
        let said = incident.summary.split_once("; ").map(|(_, why)| why);
        assert_eq!(said, why, "{}", incident.summary);
    }
}

#[test]
fn a_start_finds_out_whether_a_job_is_paused_by_its_policy_still() {
    let mut stage = Stage::of(&[&format!(r#"{OFTEN},"autoPauseAfter":1,"alerts":{{"after":9}}"#)], Vec::new());
    stage.pass(1);
    let attempt = stage.fired.pop().expect("it is due");
    stage.answer(&attempt, Outcome::Answered(500), true);
    let incident = stage.core.open_one(&Subject::Job(id(1)), Cause::AutoPaused).expect("it is paused").clone();
    for (paused, by_policy, told, left) in [
        (true, true, true, true),
        (true, true, false, true),
        (true, false, true, false),
        (true, false, false, false),
        (false, false, true, false),
        (false, false, false, false),
    ] {
        let mut job = stored(1, &format!(r#"{YEARLY},"active":{}"#, !paused));
        let since = Pause::since(Instant::from_secs(START));
        let pause = Pause { reason: by_policy.then(|| "an execution failed".into()), ..since };
        job.revision.pause = paused.then(|| Box::new(pause));
        let mut next = Stage::loading(Bounds::default(), None, START + 5, &[]);
        next.feed(Input::RestoreJob(Box::new(job)));
        if told {
            next.feed(Input::RestoreIncident(Box::new((*incident).clone())));
        }
        let next = next.acquiring(Shards::ALL, Vec::new());
        let left: &[Cause] = if left { &[Cause::AutoPaused] } else { &[] };
        assert_eq!(open(&next), left, "paused: {paused}, by its policy: {by_policy}, told: {told}");
    }
}
