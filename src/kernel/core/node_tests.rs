//! Owns tests of a node among others: what it owns, when it may send, what it gives away and takes over, what it loses.
//! It must not look into the core: inputs and outputs only.

use std::sync::Arc;
use std::time::Duration;

use super::stage_tests::{START, Stage, id, put, run, spec, stored};
use super::*;
use crate::job::{AlertPolicy, JobKey};
use crate::limits::SKEW_MAX;
use crate::schedule::{Calendars, Dates};
use crate::time::{Instant, WallUs};

const EVERY_SECOND: &str = r#""schedule":"* * * * * *","type":"ATLEAST_ONCE""#;
const TRIED_AGAIN: &str =
    r#""schedule":"* * * * * *","type":"ATLEAST_ONCE","retry":{"maxAttempts":4,"initialDelayMs":2000,"jitter":0}"#;
const OTHER: NodeId = NodeId(9);

fn skew_us() -> Option<i64> {
    i64::try_from(SKEW_MAX.as_micros()).ok()
}

fn among_others(jobs: &[&str], rows: Vec<(LedgerRow, Known)>) -> Stage {
    Stage::of_node(START, skew_us(), Shards::ALL, jobs, rows)
}

fn row(seq: u64, job: u64, second: i64) -> LedgerRow {
    let key = ExecutionKey::scheduled(JobKey(job), Instant::from_secs(START + second));
    LedgerRow::pending(Seq(seq), key, Class::OnTime)
}

fn acquired(shards: Shards, next_seq: u64) -> Input {
    let epochs = shards.iter().map(|shard| (shard, 5)).collect();
    Input::Acquired(Restored { shards, epochs, next_seq, next_job: 1, next_incident: 1, newest: None })
}

fn release(stage: &mut Stage) {
    stage.feed(Input::Release { shards: Shards::ALL, to: OTHER });
}

/// The first attempt of the only job is in flight.
fn in_flight(job: &str) -> (Stage, Attempt) {
    let mut stage = among_others(&[job], Vec::new());
    stage.settle();
    stage.pass(1);
    let attempt = stage.fired[0].clone();
    (stage, attempt)
}

fn with_key(name: &str) -> String {
    format!(r#"{EVERY_SECOND},"concurrencyKey":{{"name":"{name}","limit":1}}"#)
}

fn create(job: &str) -> Action {
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
fn what_is_known_is_not_doubted_and_what_is_not_is_so_by_any_clock() {
    let once = r#""schedule":"* * * * * *","type":"ATMOST_ONCE""#;
    let again = |seq, due_us| {
        let mut row = row(seq, 2, -seq.cast_signed());
        (row.record.attempt, row.due) = (2, WallUs::of(Instant::from_secs(START)).plus_us(due_us));
        row
    };
    let rows = vec![
        (row(1, 1, -1), Known::Unsent),
        (row(2, 1, 0), Known::Nothing),
        (again(3, 400_000), Known::Nothing),
        (again(4, 400_000), Known::Unsent),
        (again(5, 600_000), Known::Nothing),
    ];
    let mut stage = among_others(&[once, TRIED_AGAIN], rows);
    stage.settle();
    let ended = |seq| stage.rows.iter().rfind(|row| row.seq == Seq(seq)).map(|row| row.record.status);
    assert_eq!((ended(1), ended(2)), (None, Some(Status::Failed)), "what may have been sent once is not sent again");
    let sent: Vec<(u64, u32)> = stage.fired.iter().map(|attempt| (attempt.handle.seq.0, attempt.number)).collect();
    assert_eq!(sent, [(1, 1), (3, 3)], "what is known and due, and what was due by a clock that is ahead");
    stage.fired.clear();
    stage.pass(1);
    let sent = stage.fired.iter().filter(|attempt| attempt.number > 1);
    let sent: Vec<(u64, u32)> = sent.map(|attempt| (attempt.handle.seq.0, attempt.number)).collect();
    assert_eq!(sent, [(4, 2), (5, 2)]);
}

#[test]
fn numbers_of_others_in_the_ledger_do_not_raise_ours() {
    let theirs = (9 << 40) | 7;
    let mut stage = among_others(&[EVERY_SECOND], Vec::new());
    stage.feed(Input::RestoreJob(Box::new(stored(77, EVERY_SECOND))));
    stage.feed(Input::RestoreRow(Box::new(row(theirs, 77, 1)), Known::Unsent));
    stage.feed(acquired(Shards::NONE, (3 << 40) | 1));
    stage.settle();
    stage.pass(1);
    let seqs: Vec<u64> = stage.rows.iter().map(|row| row.seq.0).filter(|seq| *seq > 1 << 40).collect();
    assert!(!seqs.is_empty() && seqs.iter().all(|seq| seq >> 40 == 3), "{seqs:?}");
    assert_eq!(stage.fired().len(), 2);
}

#[test]
fn what_is_in_flight_elsewhere_runs_until_it_comes_home() {
    let job = r#""schedule":"* * * * * *","type":"ATLEAST_ONCE","maxRuns":2,"overlap":"skip"#;
    let job = format!("{job}\"");
    let theirs = row(700, 1, 1);
    let mut stage = among_others(&[&job], vec![(theirs.clone(), Known::InFlight)]);
    stage.settle();
    stage.pass(2);
    assert_eq!(stage.fired(), [], "another one of it runs");
    let mut ended = theirs;
    (ended.record.status, ended.record.executed) = (Status::Success, Some(stage.now.wall));
    stage.feed(Input::RestoreRow(Box::new(ended.clone()), Known::Unsent));
    stage.feed(acquired(Shards::NONE, 1));
    stage.settle();
    assert!(stage.rows.contains(&ended), "its end is written here");
    let counters = stage.core.job(id(1), stage.now.wall).expect("there").tally.counters;
    assert_eq!((counters.success, counters.runs), (1, 1));
    stage.pass(3);
    let fired = stage.fired.clone();
    assert_eq!(fired.len(), 1, "it had two runs, and one was theirs");
    stage.answer(&fired[0], Outcome::Answered(200), true);
    stage.pass(3);
    assert_eq!(stage.fired.len(), 1);
}

#[test]
fn who_had_it_in_flight_and_died_leaves_it_in_doubt() {
    let theirs = row(700, 1, 1);
    let mut stage = among_others(&[EVERY_SECOND], vec![(theirs.clone(), Known::InFlight)]);
    stage.settle();
    stage.feed(Input::RestoreRow(Box::new(theirs), Known::Nothing));
    stage.feed(acquired(Shards::NONE, 1));
    // Its instant lies a second ahead of this clock, and was reached by none that is near it.
    stage.pass(1);
    let mine: Vec<(u64, u32)> = stage.fired.iter().map(|attempt| (attempt.handle.seq.0, attempt.number)).collect();
    assert_eq!(mine, [(700, 1)]);
    assert_eq!(stage.core.counts().recovered, 0);
}

#[test]
fn a_row_that_comes_to_a_job_at_work_is_part_of_its_course() {
    let mut stage = among_others(&[EVERY_SECOND], Vec::new());
    stage.settle();
    // One ahead of what is armed here, and one behind it, which moves nothing back.
    for theirs in [row(700, 1, 6), row(701, 1, -3)] {
        stage.feed(Input::RestoreRow(Box::new(theirs), Known::Unsent));
        stage.feed(acquired(Shards::NONE, 1));
        stage.settle();
    }
    stage.pass(8);
    let mut fired: Vec<i64> = stage.fired().into_iter().map(|(_, second)| second).collect();
    fired.sort_unstable();
    assert_eq!(fired, [-3, 1, 6, 7, 8], "what lies between is in rows of others");
}

#[test]
fn what_comes_in_doubt_waits_for_one_of_its_job_that_runs_here() {
    let (mut stage, running) = in_flight(&format!(r#"{EVERY_SECOND},"overlap":"queue_one""#));
    stage.fired.clear();
    stage.feed(Input::RestoreRow(Box::new(row(700, 1, -3)), Known::Nothing));
    stage.feed(acquired(Shards::NONE, 1));
    stage.settle();
    assert_eq!(stage.fired(), [], "the other one runs");
    stage.answer(&running, Outcome::Answered(200), true);
    assert_eq!(stage.fired(), [(1, -3)], "what is in doubt goes before what waits since");
}

#[test]
fn a_failure_elsewhere_is_told_of_here() {
    let job = r#""schedule":"* * * * * *","type":"ATLEAST_ONCE","autoPauseAfter":1"#;
    let theirs = row(700, 1, 1);
    let mut stage = among_others(&[job], vec![(theirs.clone(), Known::InFlight)]);
    stage.settle();
    let mut failed = theirs;
    failed.record.status = Status::Failed;
    failed.record.error = Some("it failed".into());
    stage.feed(Input::RestoreRow(Box::new(failed), Known::Unsent));
    stage.feed(acquired(Shards::NONE, 1));
    stage.settle();
    assert_eq!(stage.core.open_incidents(), 2, "that it fails, and that it is paused by its policy");
    assert!(stage.core.job(id(1), stage.now.wall).expect("there").paused);
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
fn what_its_node_left_unsent_for_too_long_is_missed_unless_it_was_asked_for() {
    for (kind, fired, skipped) in [(Kind::Scheduled, 0, 1), (Kind::Manual, 1, 0)] {
        let mut row = row(1, 1, 60);
        (row.key.kind, row.key.number) = (kind, u32::from(kind != Kind::Scheduled));
        row.due = WallUs::of(row.key.instant);
        let job = r#""schedule":"@yearly","type":"ATLEAST_ONCE","misfire":{"policy":"skip"}"#;
        let mut stage = Stage::of_node(START + 3_600, skew_us(), Shards::ALL, &[job], vec![(row, Known::Unsent)]);
        stage.feed(Input::Lease(stage.now.mono.plus_us(60_000_000)));
        stage.settle();
        stage.pass(1);
        let ended = stage.ended().into_iter().filter(|(_, status, _)| *status == Status::Skipped).count();
        assert_eq!((stage.fired.len(), ended), (fired, skipped), "{kind:?}");
    }
}

#[test]
fn what_is_in_doubt_may_run_already_and_the_next_one_waits_for_it() {
    let rows = vec![(row(1, 1, 1), Known::Nothing), (row(2, 1, 2), Known::Unsent)];
    let job = format!(r#"{EVERY_SECOND},"overlap":"queue_one""#);
    let mut stage = Stage::of_node(START + 2, skew_us(), Shards::ALL, &[&job], rows);
    stage.feed(Input::Lease(stage.now.mono.plus_us(60_000_000)));
    // The disk is slow.
    stage.feed(Input::Tick);
    assert_eq!((stage.fired.len(), stage.ended()), (0, vec![]));
    stage.settle();
    let first = stage.fired.remove(0);
    stage.answer(&first, Outcome::Answered(200), true);
    assert_eq!(stage.fired(), [(1, 2)]);
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

#[test]
fn a_calendar_that_another_node_changed_is_followed_and_one_that_it_deleted_stays_for_who_follows_it() {
    let change = |dates: Option<&[&str]>| {
        let dates = dates.map(|dates| Dates::parse(dates.iter().copied(), 10).expect("dates").into());
        Input::RestoreCalendar(CalendarChange { name: "closed".into(), dates })
    };
    let follows = r#""schedule":"0 0 12 * * *","type":"ATLEAST_ONCE","excludeCalendars":["closed"]"#;
    for (job, is_there) in [(follows, true), (EVERY_SECOND, false)] {
        let mut stage = among_others(&[], Vec::new());
        stage.feed(change(Some(&[])));
        stage.feed(Input::RestoreJob(Box::new(stored(1, job))));
        stage.feed(acquired(Shards::ALL, 1));
        let next = |stage: &Stage| stage.core.job(id(1), stage.now.wall).and_then(|view| view.next);
        let before = next(&stage);
        stage.feed(change(Some(&["2026-01-01"])));
        stage.pass(1);
        let noon = Instant::from_secs(START + 36 * 3_600);
        assert!(before < next(&stage) && (!is_there || next(&stage) == Some(noon)), "{:?}", next(&stage));
        stage.feed(change(None));
        assert_eq!(stage.core.calendars().len(), usize::from(is_there));
    }
}

#[test]
fn a_retry_whose_instant_lies_ahead_tells_that_the_clock_has_been_there() {
    for (attempt, held) in [(1, false), (2, true)] {
        let mut row = row(1, 1, 30);
        (row.record.attempt, row.due) = (attempt, WallUs::of(row.key.instant).plus_us(1_000_000));
        let stage = Stage::of_node(START, skew_us(), Shards::ALL, &[EVERY_SECOND], vec![(row, Known::Nothing)]);
        assert_eq!(stage.core.job(id(1), stage.now.wall).map(|view| view.held), Some(held), "{attempt}");
    }
}

#[test]
fn a_row_that_is_found_of_what_is_here_already_changes_nothing() {
    let mut stage = among_others(&[EVERY_SECOND], Vec::new());
    stage.feed(Input::Lease(stage.now.mono.plus_us(60_000_000)));
    stage.settle();
    let [armed] = &stage.unfinished()[..] else { panic!("the next second has its row") };
    stage.feed(Input::RestoreRow(Box::new(armed.clone()), Known::Unsent));
    stage.feed(acquired(Shards::NONE, 1));
    stage.pass(1);
    assert_eq!(stage.fired(), [(1, 1)]);
}
