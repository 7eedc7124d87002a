//! Owns tests of a node among others: what it owns, when it may send, what it gives away and takes over, what it loses.
//! It must not look into the core: inputs and outputs only.

use std::sync::Arc;
use std::time::Duration;

use super::stage_tests::{START, Stage, id, put, run, spec, stored};
use super::*;
use crate::job::{AlertPolicy, JobKey};
use crate::limits::SKEW_MAX;
use crate::schedule::Calendars;
use crate::time::Instant;

pub(super) const EVERY_SECOND: &str = r#""schedule":"* * * * * *","type":"ATLEAST_ONCE""#;
pub(super) const TRIED_AGAIN: &str =
    r#""schedule":"* * * * * *","type":"ATLEAST_ONCE","retry":{"maxAttempts":4,"initialDelayMs":2000,"jitter":0}"#;
pub(super) const OTHER: NodeId = NodeId(9);

pub(super) fn skew_us() -> Option<i64> {
    i64::try_from(SKEW_MAX.as_micros()).ok()
}

pub(super) fn among_others(jobs: &[&str], rows: Vec<(LedgerRow, Known)>) -> Stage {
    Stage::of_node(START, skew_us(), Shards::ALL, jobs, rows)
}

pub(super) fn row(seq: u64, job: u64, second: i64) -> LedgerRow {
    let key = ExecutionKey::scheduled(JobKey(job), Instant::from_secs(START + second));
    LedgerRow::pending(Seq(seq), key, Class::OnTime)
}

pub(super) fn acquired(shards: Shards, next_seq: u64) -> Input {
    let epochs = shards.iter().map(|shard| (shard, 5)).collect();
    Input::Acquired(Restored { shards, epochs, next_seq, next_job: 1, next_incident: 1, newest: None })
}

pub(super) fn release(stage: &mut Stage) {
    stage.feed(Input::Release { shards: Shards::ALL, to: OTHER });
}

/// The first attempt of the only job is in flight.
pub(super) fn in_flight(job: &str) -> (Stage, Attempt) {
    let mut stage = among_others(&[job], Vec::new());
    stage.settle();
    stage.pass(1);
    let attempt = stage.fired[0].clone();
    (stage, attempt)
}

pub(super) fn with_key(name: &str) -> String {
    format!(r#"{EVERY_SECOND},"concurrencyKey":{{"name":"{name}","limit":1}}"#)
}

pub(super) fn create(job: &str) -> Action {
    Action::Create { spec: spec(job, &Calendars::default()), entropy: [0; 10], pause: None }
}

#[test]
fn keys_end_like_the_shards_that_are_owned() {
    let shards = [3, 7].map(Shard).into_iter().collect();
    let mut stage = Stage::of_node(START, skew_us(), shards, &[], Vec::new());
    (0..3).for_each(|_| stage.ask(create(EVERY_SECOND)));
    let keys: Vec<u64> = stage
        .replies
        .iter()
        .map(|reply| match reply {
            Reply::Created(view) => view.revision.id.key().0,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(keys, [4 * 256 + 3, 4 * 256 + 7, 5 * 256 + 3]);
}

#[test]
fn jobs_with_a_concurrency_key_of_another_node_are_refused() {
    let theirs = Shard::of_name("theirs");
    let shards = Shards::ALL.without(&[theirs].into_iter().collect());
    let mut stage = Stage::of_node(START, skew_us(), shards, &[EVERY_SECOND], Vec::new());
    stage.ask(create(&with_key("theirs")));
    assert!(matches!(stage.replies[..], [Reply::Refused(Refusal::NotOwned)]), "{:?}", stage.replies);
    let update = |name: &str| {
        let spec = spec(&with_key(name), &Calendars::default());
        Action::Update { id: id(1), spec, keep_active: false, expected: None }
    };
    stage.ask(update("theirs"));
    assert!(matches!(stage.replies[1..], [Reply::OwnedElsewhere]), "{:?}", stage.replies);
    stage.ask(update("ours"));
    assert!(matches!(stage.replies[2..], [Reply::Updated(_)]), "{:?}", stage.replies);
    // It is in that shard from now on, and goes with it.
    stage.feed(Input::Release { shards: [Shard::of_name("ours")].into_iter().collect(), to: OTHER });
    assert!(stage.core.job(id(1), stage.now.wall).is_none());
}

#[test]
fn nothing_is_sent_once_the_lease_has_ended_and_all_of_it_with_the_next() {
    let keyed = r#""schedule":"* * * * * *","type":"ATLEAST_ONCE","concurrencyKey":{"name":"k","rate":"1/s"}"#;
    let mut stage = among_others(&[EVERY_SECOND, keyed], Vec::new());
    stage.settle();
    stage.pass(1);
    assert_eq!(stage.fired(), [(1, 1), (2, 1)]);
    let ends = stage.now.mono.plus_us(1_000_000);
    stage.feed(Input::Lease(ends));
    // Each tick asserts that it left nothing due behind.
    stage.pass(3);
    assert_eq!(stage.fired(), [], "its end is not part of it");
    stage.feed(Input::Lease(stage.now.mono.plus_us(1)));
    let fired = stage.fired();
    assert_eq!(fired.iter().filter(|(job, _)| *job == 1).collect::<Vec<_>>(), [&(1, 2), &(1, 3), &(1, 4)]);
}

#[test]
fn an_attempt_that_was_not_begun_is_none() {
    let (mut stage, attempt) = in_flight(TRIED_AGAIN);
    let rows = stage.rows.clone();
    stage.feed(Input::Lease(stage.now.mono));
    stage.fired.clear();
    stage.answer(&attempt, Outcome::Withheld, false);
    assert!(stage.fired.is_empty() && stage.rows == rows, "nothing is written of it");
    stage.feed(Input::Lease(crate::time::MonoUs(u64::MAX)));
    let again = stage.fired[0].clone();
    assert_eq!((again.id, again.number, again.handle), (attempt.id, 1, attempt.handle));
    assert_eq!((stage.core.counts().withheld, stage.core.counts().attempts), (1, AttemptCounts::default()));
    stage.answer(&again, Outcome::Answered(200), true);
    let ended = stage.rows.last().expect("it ended");
    assert_eq!((ended.record.status, ended.record.attempt), (Status::Success, 1));
}

#[test]
fn what_is_not_begun_when_its_job_is_gone_goes_with_it() {
    let (mut stage, attempt) = in_flight(EVERY_SECOND);
    stage.ask(Action::Delete { id: id(1), expected: None });
    stage.answer(&attempt, Outcome::Withheld, false);
    assert_eq!(stage.rows.last().expect("it ended").record.status, Status::Failed);
    let (mut stage, attempt) = in_flight(EVERY_SECOND);
    release(&mut stage);
    stage.answer(&attempt, Outcome::Withheld, false);
    let handed = &stage.handed_over[..];
    assert!(matches!(handed, [row] if row.record.status == Status::Pending && row.record.attempt == 1), "{handed:?}");
}

#[test]
fn what_is_released_is_forgotten_at_once_but_for_what_is_in_flight() {
    let (mut stage, attempt) = in_flight(TRIED_AGAIN);
    stage.pass(2);
    let asked = stage.rows.len();
    let seqs: Vec<Seq> = stage.fired.iter().map(|attempt| attempt.handle.seq).collect();
    release(&mut stage);
    assert_eq!(stage.released, [(Shards::ALL, OTHER, seqs)]);
    assert!(stage.core.job(id(1), stage.now.wall).is_none() && stage.core.shards().is_empty());
    stage.fired.clear();
    stage.pass(5);
    assert_eq!((stage.fired(), stage.rows.len()), (Vec::new(), asked), "it arms and sends nothing");

    // How it ended is for the other node to count.
    let others = stage.core.load(stage.now.wall).in_flight;
    stage.answer(&attempt, Outcome::Answered(200), true);
    assert_eq!(stage.handed_over.pop().map(|row| (row.seq, row.record.status)), Some((Seq(1), Status::Success)));
    let (seq, number) = (Seq(2), 1);
    let attempt = Attempt { handle: Handle { seq, ..attempt.handle }, number, ..attempt };
    let slot = (0..9).find(|&slot| {
        stage.answer(&Attempt { handle: Handle { slot, seq }, ..attempt.clone() }, Outcome::Answered(500), true);
        !stage.handed_over.is_empty()
    });
    assert!(slot.is_some());
    let again = stage.handed_over.pop().expect("handed over");
    assert_eq!((again.record.status, again.record.attempt), (Status::Pending, 2), "it is tried again there");
    assert_eq!(again.due, stage.now.wall.plus_us(2_000_000));
    assert_eq!(stage.core.load(stage.now.wall).in_flight, others - 2);
}

#[test]
fn who_waits_for_something_that_is_given_away_is_answered() {
    let mut stage = among_others(&[EVERY_SECOND, EVERY_SECOND], Vec::new());
    // One is on disk and waited for, another on its way to the disk, as a change is, and one waits for that.
    stage.feed(Input::Lease(stage.now.mono));
    stage.ask(run(RunOf::Now, Some(Duration::from_secs(60))));
    stage.begin(run(RunOf::Now, None));
    let update = || Action::Pause { id: id(2), until: None, note: None, expected: None };
    stage.begin(update());
    stage.begin(update());
    stage.begin(create(EVERY_SECOND));
    let before = stage.started;
    release(&mut stage);
    assert_eq!(stage.started - before, 1);
    assert!(matches!(stage.replies[..], [Reply::Refused(Refusal::NotOwned)]), "{:?}", stage.replies);
    stage.settle();
    assert_eq!(stage.started - before, 2);
    assert!(matches!(stage.replies[1..], [Reply::Updated(_), Reply::Created(_)]), "{:?}", stage.replies);
    let load = stage.core.load(stage.now.wall);
    assert_eq!((load.jobs, load.executions, load.active_jobs, load.paused_jobs), (0, 0, 0, 0));
}

#[test]
fn changes_that_are_gathered_are_given_up_if_one_of_them_is_not_here_any_more() {
    let mut stage = among_others(&[EVERY_SECOND], Vec::new());
    let gather = |stage: &mut Stage, action| {
        let read_at = stage.now.wall.floor();
        stage.feed(Input::Gather(Box::new(Command { request: RequestId(7), action, plans: false, read_at })));
    };
    gather(&mut stage, Action::Delete { id: id(1), expected: None });
    release(&mut stage);
    gather(&mut stage, create(EVERY_SECOND));
    stage.feed(Input::WriteGathered(RequestId(7)));
    assert_eq!(stage.changes, 0);
    assert!(
        matches!(stage.replies[..], [Reply::Refused(Refusal::NotOwned), Reply::Refused(Refusal::NotOwned)]),
        "{:?}",
        stage.replies
    );
}

#[test]
fn an_attempt_says_how_often_its_job_was_taken_from_the_dead() {
    let mut stage = among_others(&[], Vec::new());
    stage.feed(Input::RestoreJob(Box::new(stored(77, EVERY_SECOND))));
    stage.feed(acquired([Shard(77)].into_iter().collect(), 1));
    stage.feed(Input::Tick);
    stage.settle();
    stage.pass(2);
    assert!(!stage.fired.is_empty() && stage.fired.iter().all(|attempt| attempt.epoch == 5));
}

#[test]
fn who_is_taken_for_dead_forgets_everything_and_begins_anew() {
    let (mut stage, attempt) = in_flight(EVERY_SECOND);
    stage.begin(create(EVERY_SECOND));
    stage.begin(run(RunOf::Now, None));
    let asked = stage.asked;
    stage.feed(Input::Lost);
    assert!(
        matches!(stage.replies[..], [Reply::Refused(Refusal::Unknown), Reply::Refused(Refusal::Unknown)]),
        "{:?}",
        stage.replies
    );
    assert_eq!(stage.asked, asked, "nothing is asked for");
    // What comes late is nothing to it.
    stage.feed(Input::Committed { through: asked, rejected: Vec::new() });
    stage.answer(&attempt, Outcome::Answered(200), true);
    stage.begin(create(EVERY_SECOND));
    assert!(matches!(stage.replies[2..], [Reply::Refused(Refusal::NotOwned)]), "{:?}", stage.replies);
    let load = stage.core.load(stage.now.wall);
    assert_eq!((load.jobs, load.executions, load.unwritten, load.in_flight), (0, 0, 0, 0));

    stage.feed(Input::RestoreJob(Box::new(stored(1, EVERY_SECOND))));
    stage.feed(acquired(Shards::ALL, 1 << 40));
    stage.feed(Input::Tick);
    assert!(stage.asked > asked, "the numbers of items go on");
    stage.settle();
    stage.fired.clear();
    stage.pass(2);
    assert_eq!(stage.fired(), [], "what was trusted was said of another incarnation");
    stage.feed(Input::Lease(stage.now.mono.plus_us(10)));
    assert!(!stage.fired().is_empty());
}

#[test]
fn whoever_waits_for_the_disk_hears_that_nobody_knows() {
    let mut stage = among_others(&[EVERY_SECOND], Vec::new());
    stage.feed(Input::Lease(stage.now.mono.plus_us(60_000_000)));
    stage.settle();
    stage.pass(1);
    let attempt = stage.fired.remove(0);
    stage.answer(&attempt, Outcome::Answered(500), true);
    let incident = IncidentId(u64::try_from(stage.now.wall.0).expect("since 1970"));
    assert!(stage.core.has_open_incident(incident));
    stage.begin(put("days", &[]));
    stage.begin(Action::Acknowledge { id: incident, by: None, note: None });
    let policy = Some(Arc::new(AlertPolicy::default()));
    stage.begin(Action::Set(Setting::Policy(PolicyScope::Server, policy)));
    stage.feed(Input::Lost);
    assert_eq!(stage.refused, 3, "{:?}", stage.replies);
    assert!(stage.replies.iter().all(|reply| matches!(reply, Reply::Refused(Refusal::Unknown))), "{:?}", stage.replies);
}
