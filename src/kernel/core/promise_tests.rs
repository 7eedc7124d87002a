//! Owns tests of promises that mutants or a wide sweep showed nothing to hold: code that broke one passed every other test.
//! It must not look into the core: inputs and outputs only.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::stage_tests::{START, Stage, id, put, run, spec, stored};
use super::*;
use crate::channel::Channel;
use crate::job::{AlertPolicy, JobKey};
use crate::limits::{BACKFILL_MAX, SILENCES_MAX};
use crate::schedule::Calendars;
use crate::time::{Instant, Now, WallUs};

#[test]
fn a_calendar_that_a_change_on_its_way_may_follow_is_not_deleted() {
    let job = r#""schedule":"0 30 2 * * *","type":"ATLEAST_ONCE","excludeCalendars":["closed"]"#;
    for together in [false, true] {
        let mut stage = Stage::of(&[r#""schedule":"@yearly","type":"ATLEAST_ONCE""#], Vec::new());
        stage.ask(put("closed", &[]));
        let spec = spec(job, stage.core.calendars());
        let action = Action::Update { id: id(1), spec, keep_active: false, expected: None };
        let command =
            Box::new(Command { request: RequestId(1), action, plans: false, read_at: stage.now.wall.floor() });
        stage.feed(if together { Input::Gather(command) } else { Input::Command(command) });
        stage.begin(Action::DeleteCalendar { name: "closed".into() });
        assert_eq!((stage.refused, stage.core.calendars().len()), (1, 1), "together: {together}");
    }
}

#[test]
fn every_instant_of_a_gap_ends_in_a_row_that_counts_it_once() {
    for policy in ["once", "all", "skip"] {
        let misfire = format!(r#""misfire":{{"policy":"{policy}","maxLatenessMs":1000}}"#);
        let job = format!(r#""schedule":"* * * * * *","type":"ATLEAST_ONCE",{misfire}"#);
        let mut stage = Stage::of(&[&job], Vec::new());
        stage.pass(1);
        // Nobody looks at the clock for a minute.
        stage.now = Now { wall: stage.now.wall.plus_us(60_000_000), mono: stage.now.mono.plus_us(60_000_000) };
        stage.pass(3);
        let counts = |row: &LedgerRow| (row.seq, row.record.covers.map_or(1, |covers| covers.count));
        let counted: BTreeMap<Seq, u32> = stage.rows.iter().map(counts).collect();
        let armed = stage.unfinished().iter().filter(|row| row.due > stage.now.wall).count();
        assert_eq!(counted.values().sum::<u32>() as usize - armed, 64, "{policy}: {:?}", stage.ended());
    }
}

#[test]
fn so_many_silences_there_may_be_those_on_their_way_included() {
    let mut stage = Stage::of(&[], Vec::new());
    let silence = |stage: &Stage| {
        let (of, ends_at) = (Silenced::Tag("t".into()), Instant::from_secs(START + 3_600));
        Action::Silence(Silence { of, note: "".into(), ends_at, created_at: stage.now.wall, by: None })
    };
    stage.ask(silence(&stage));
    for _ in 2..SILENCES_MAX {
        stage.begin(silence(&stage));
    }
    stage.settle();
    stage.begin(silence(&stage));
    assert_eq!(stage.refused, 0);
    stage.begin(silence(&stage));
    assert_eq!(stage.refused, 1, "the last one is on its way");
    stage.settle();
    assert_eq!(stage.core.settings().silences().count(), SILENCES_MAX, "each has an id of its own");
    // Their time is up.
    stage.pass(1);
    stage.now = Now { wall: stage.now.wall.plus_us(3_600_000_000), mono: stage.now.mono.plus_us(3_600_000_000) };
    stage.pass(5);
    stage.ask(silence(&stage));
    assert_eq!((stage.refused, stage.core.settings().silences().count()), (1, 1));
}

#[test]
fn what_is_asked_for_is_told_apart_by_the_end_of_its_number_in_the_ledger() {
    let key = ExecutionKey::scheduled(JobKey(1), Instant::from_secs(START + 3_600));
    let many = LedgerRow::pending(Seq((5 << 32) + 41), key, Class::OnTime);
    let mut stage = Stage::of(&[r#""schedule":"@hourly","type":"ATLEAST_ONCE""#], vec![many]);
    stage.ask(run(RunOf::Now, None));
    stage.ask(run(RunOf::Now, None));
    let asked = stage.rows.iter().filter(|row| row.key.kind == Kind::Manual);
    let mut numbers: Vec<u64> = asked
        .map(|row| (u64::from(row.key.number), row.seq.0))
        .map(|(number, seq)| {
            assert_eq!((5 << 32) + number, seq);
            number
        })
        .collect();
    numbers.dedup();
    assert!(numbers.len() == 2 && numbers.iter().all(|number| (42..50).contains(number)), "{numbers:?}");
}

#[test]
fn a_row_that_lies_ahead_at_a_start_was_never_due() {
    let job = r#""schedule":"*/2 * * * * *","type":"ATLEAST_ONCE""#;
    let key = ExecutionKey::scheduled(JobKey(1), Instant::from_secs(START + 2));
    let ahead = LedgerRow::pending(Seq(1), key, Class::OnTime);
    let mut stage = Stage::at(START + 1, &[job], vec![ahead]);
    assert!(!stage.core.job(id(1), stage.now.wall).expect("it is there").held);
    // So another schedule owes what comes before it.
    let spec = spec(r#""schedule":"* * * * * *","type":"ATLEAST_ONCE""#, &Calendars::default());
    stage.ask(Action::Update { id: id(1), spec, keep_active: false, expected: None });
    stage.pass(3);
    assert_eq!(stage.fired(), [(1, 2), (1, 3), (1, 4)]);
}

#[test]
fn a_channel_stays_while_a_policy_names_it() {
    let mut stage = Stage::of(&[], Vec::new());
    let definition = serde_json::from_str(r#"{"kind":"webhook","url":"http://a/"}"#).expect("a definition");
    let channel = Arc::new(Channel::compile(&definition, None, true).expect("valid"));
    let policy = serde_json::from_str(r#"{"channels":["named"]}"#).expect("a definition");
    let policy = Arc::new(AlertPolicy::compile(&policy).expect("valid"));
    let there = |stage: &Stage| stage.core.settings().channels().map(|(name, _)| name.to_string()).collect::<Vec<_>>();
    for name in ["idle", "named"] {
        stage.ask(Action::Set(Setting::Channel(name.into(), Some(Arc::clone(&channel)))));
    }
    stage.ask(Action::Set(Setting::Policy(PolicyScope::Tag("t".into()), Some(policy))));
    assert_eq!(stage.conflict(Action::Set(Setting::Channel("named".into(), None))), 1);
    assert_eq!(stage.conflict(Action::Set(Setting::Channel("idle".into(), None))), 0);
    stage.settle();
    assert_eq!(there(&stage), ["named"]);
    stage.ask(Action::Set(Setting::Policy(PolicyScope::Tag("t".into()), None)));
    assert_eq!(stage.conflict(Action::Set(Setting::Channel("named".into(), None))), 0);
    stage.settle();
    assert_eq!(there(&stage), [""; 0]);
}

#[test]
fn what_a_clock_that_leaps_makes_due_is_caught_up_and_no_drift() {
    let mut stage = Stage::of(&[r#""schedule":"* * * * * *","type":"ATLEAST_ONCE""#], Vec::new());
    stage.pass(1);
    stage.fired.clear();
    stage.now.wall = stage.now.wall.plus_us(10_000_000);
    stage.feed(Input::ClockStep(10_000_000));
    stage.feed(Input::Tick);
    stage.settle();
    assert!(stage.fired.iter().all(|attempt| attempt.class == Class::CatchUp), "{:?}", stage.fired);
    assert_eq!(stage.fired().first(), Some(&(1, 2)), "it was armed before");
    assert_eq!(stage.core.counts().clock_steps, 1);
}

#[test]
fn what_is_wrong_with_the_server_is_one_incident_until_it_is_well() {
    let mut stage = Stage::of(&[], Vec::new());
    let mut tell = |cause, why: Option<&str>| {
        stage.feed(Input::Trouble(Trouble { cause, why: why.map(String::from) }));
        stage.settle();
        stage.core.open_incidents()
    };
    assert_eq!(tell(Cause::StoreFailing, Some("it is full")), 1);
    assert_eq!(tell(Cause::StoreFailing, Some("it is full still")), 1);
    assert_eq!(tell(Cause::DiskNearlyFull, Some("a tenth is left")), 2);
    assert_eq!(tell(Cause::StoreFailing, None), 1);
    assert_eq!(tell(Cause::DiskNearlyFull, None), 0);
    assert_eq!(tell(Cause::DiskNearlyFull, None), 0);
}

#[test]
fn the_name_of_a_deleted_job_is_free_again() {
    let named = r#""schedule":"@yearly","type":"ATLEAST_ONCE","name":"n""#;
    let mut stage = Stage::of(&[named], Vec::new());
    let create = || Action::Create { spec: spec(named, &Calendars::default()), entropy: [0; 10], pause: None };
    assert_eq!(stage.conflict(create()), 1);
    stage.ask(Action::Delete { id: id(1), expected: None });
    assert_eq!(stage.conflict(create()), 0);
    stage.settle();
    assert_eq!(stage.conflict(create()), 1, "another one has it");
}

#[test]
fn a_stretch_of_the_past_has_the_instants_of_the_schedule_both_ends_included() {
    let jobs = [r#""schedule":"@hourly","type":"ATLEAST_ONCE""#, r#""schedule":"* * * * * *","type":"ATLEAST_ONCE""#];
    let stage = Stage::of(&jobs, Vec::new());
    let past = |key, from: i64, to: i64| {
        let (from, to) = (Instant::from_secs(START + from), Instant::from_secs(START + to));
        let job = stage.core.job(id(key), stage.now.wall)?;
        let instants = stage.core.past_instants(&job.revision.spec.schedule, from, to, stage.now.wall);
        Some(instants.map(|all| all.iter().map(|instant| instant.as_secs() - START).collect::<Vec<i64>>()))
    };
    let found = |key, from, to| past(key, from, to).expect("it is there").expect("it is the past");
    assert_eq!(found(1, -7_200, 0), [-7_200, -3_600, 0]);
    assert_eq!(found(1, -7_199, -1), [-3_600]);
    assert_eq!(found(1, -3_600, -3_600), [-3_600]);
    assert_eq!(found(1, -10, -1), [0; 0]);
    assert!(past(9, -10, -1).is_none(), "there is no such job");
    let refused = |key, from, to| past(key, from, to).expect("it is there").expect_err("it is refused");
    assert_eq!((refused(1, -10, 1).member, refused(1, -1, -2).member), ("to", "from"));
    let most = i64::try_from(BACKFILL_MAX).expect("small");
    assert_eq!(found(2, 1 - most, 0).len(), BACKFILL_MAX);
    let why = refused(2, -most, 0).to_string();
    let last = Instant::from_secs(START - 1).to_string();
    assert!(why.contains(last.trim_end_matches('Z')), "{why} names {last}");
}

#[test]
fn nothing_is_done_again_before_its_time() {
    let mut stage = Stage::of(&[r#""schedule":"@hourly","type":"ATLEAST_ONCE""#], Vec::new());
    let again = |second| RunOf::Again(ExecutionKey::scheduled(JobKey(1), Instant::from_secs(START + second)).of(id(1)));
    assert_eq!(stage.conflict(run(again(1), None)), 1);
    assert_eq!(stage.conflict(run(again(0), None)), 0);
}

#[test]
fn who_waits_for_a_run_hears_when_the_wait_is_over_that_it_was_begun() {
    let mut stage = Stage::of(&[r#""schedule":"@yearly","type":"ATLEAST_ONCE""#], Vec::new());
    stage.ask(run(RunOf::Now, Some(Duration::from_secs(5))));
    assert_eq!(stage.core.poll_timeout().mono, Some(stage.now.mono.plus_us(5_000_000)));
    stage.pass(4);
    assert_eq!(stage.started, 0);
    stage.pass(1);
    assert_eq!(stage.started, 1);
}

#[test]
fn a_target_that_fails_is_forgotten_with_its_last_job() {
    let mut stage = Stage::of(&[r#""schedule":"* * * * * *","type":"ATLEAST_ONCE""#], Vec::new());
    for _ in 0..3 {
        stage.pass(1);
        let attempt = stage.fired.pop().expect("one a second");
        stage.answer(&attempt, Outcome::ConnectionFailed("refused".to_owned()), false);
    }
    stage.settle();
    let failing = |stage: &Stage| stage.core.load(stage.now.wall).failing_targets;
    assert_eq!((failing(&stage), stage.core.open_incidents()), (1, 2), "the job and its target fail");
    stage.ask(Action::Delete { id: id(1), expected: None });
    stage.pass(2);
    assert_eq!((failing(&stage), stage.core.open_incidents()), (0, 0));
}

#[test]
fn what_is_wrong_with_the_server_is_told_again_once_a_policy_asks_for_it() {
    let mut stage = Stage::of(&[], Vec::new());
    let policy = |told| {
        let policy = AlertPolicy { on_server_trouble: Some(told), ..AlertPolicy::default() };
        Action::Set(Setting::Policy(PolicyScope::Server, Some(Arc::new(policy))))
    };
    stage.ask(policy(false));
    stage.feed(Input::Trouble(Trouble { cause: Cause::StoreFailing, why: Some("it is full".to_owned()) }));
    stage.settle();
    assert_eq!(stage.core.open_incidents(), 0, "nobody asks");
    stage.ask(policy(true));
    assert_eq!(stage.core.open_incidents(), 1);
    stage.ask(policy(false));
    assert_eq!(stage.core.open_incidents(), 0);
}

#[test]
fn a_planned_answer_of_a_job_with_runs_left_has_its_next_execution() {
    let job = r#""schedule":"0 * * * * *","type":"ATLEAST_ONCE","maxRuns":2"#;
    for (seconds, runs_left) in [(30, true), (61, true), (121, false)] {
        let mut stage = Stage::of(&[job], Vec::new());
        stage.pass(seconds);
        let spec = spec(job, &Calendars::default());
        let action = Action::Update { id: id(1), spec, keep_active: false, expected: None };
        let read_at = stage.now.wall.floor();
        let command = Command { request: RequestId(1), action, plans: true, read_at };
        stage.core.handle_input(Input::Command(Box::new(command)), stage.now);
        let outputs: Vec<Output> = std::iter::from_fn(|| stage.core.poll_output()).collect();
        let next = outputs.iter().find_map(|output| match output {
            Output::Planned(_, _, Reply::Updated(view)) => Some(view.next),
            _ => None,
        });
        let minute = Instant::from_secs(START + (seconds / 60 + 1) * 60);
        assert_eq!(next, Some(runs_left.then_some(minute)), "after {seconds} s");
    }
}

#[test]
fn what_was_sent_before_a_release_is_in_doubt_at_a_start() {
    for is_at_most_once in [false, true] {
        let delivery = if is_at_most_once { "ATMOST_ONCE" } else { "ATLEAST_ONCE" };
        let job = format!(r#""schedule":"* * * * * *","type":"{delivery}""#);
        let mut stage = Stage::of(&[&job], Vec::new());
        stage.pass(30);
        stage.now = Now { wall: stage.now.wall.plus_us(-20_000_000), mono: stage.now.mono.plus_us(1) };
        stage.feed(Input::ClockStep(-20_000_000));
        stage.ask(Action::Release { id: id(1) });
        let sent = stage.fired.last().expect("one a second").id.key();
        // The process dies before it hears of that one.
        let mut left = stage.unfinished();
        left.retain(|row| row.key == sent || row.key.number == 1);
        assert_eq!(left.len(), 2, "that one, and what the release owes: {left:?}");

        let mut next = Stage::loading(Bounds::default(), None, START + 10, &[]);
        let mut released = stored(1, &job);
        (released.revision.era, released.totals.finished_through) = (1, None);
        next.feed(Input::RestoreJob(Box::new(released)));
        let mut next = next.acquiring(Shards::ALL, left.into_iter().map(|row| (row, Known::Nothing)).collect());
        let spec = spec(r#""schedule":"@yearly","type":"ATLEAST_ONCE""#, &Calendars::default());
        next.ask(Action::Update { id: id(1), spec, keep_active: false, expected: None });
        let row = next.rows.iter().rfind(|row| row.key == sent).expect("a change does not take it back");
        let (attempt, status) = if is_at_most_once { (1, Status::Failed) } else { (2, Status::Pending) };
        assert_eq!((row.record.attempt, row.record.status), (attempt, status), "{delivery}");
    }
}

#[test]
fn what_tells_a_start_that_the_clock_is_behind() {
    // What is to be sent at most once and was not due is given up only if nobody knows what time it was.
    let jobs = [r#""schedule":"@hourly","type":"ATLEAST_ONCE""#, r#""schedule":"@yearly","type":"ATMOST_ONCE""#];
    let tells = |second: i64, kind: Kind, attempt: u32| {
        let key = |job, kind| ExecutionKey { kind, ..ExecutionKey::scheduled(JobKey(job), at(second + 1)) };
        let mut other = LedgerRow::pending(Seq(1), key(1, kind), Class::OnTime);
        (other.record.attempt, other.due) = (attempt, WallUs::of(at(second + 1)));
        let armed = LedgerRow::pending(Seq(2), key(2, Kind::Scheduled), Class::OnTime);
        let stage = Stage::at(START + second, &jobs, vec![other, armed]);
        stage.ended().len() == 1
    };
    assert!(!tells(5, Kind::Scheduled, 1), "a row is armed ahead");
    assert!(!tells(5, Kind::Scheduled, 2) && !tells(5, Kind::Manual, 2), "a retry is due later");
    assert!(tells(5, Kind::Manual, 1), "what a client asked for was due when it asked");
    // The instant at the start of the test has ended, as the jobs say.
    assert!(!tells(-1, Kind::Scheduled, 1) && tells(-10, Kind::Scheduled, 1), "what has ended was armed");
}

/// So many seconds after the start.
fn at(second: i64) -> Instant {
    Instant::from_secs(START + second)
}

#[test]
fn what_was_armed_and_comes_too_late_runs_only_if_it_is_the_latest_and_no_run_must_be_in_time() {
    let (daily, often) =
        (r#""schedule":"30 0 0 * * *","type":"ATLEAST_ONCE""#, r#""schedule":"30 * * * * *","type":"ATLEAST_ONCE""#);
    let in_time = format!(r#"{daily},"misfire":{{"policy":"once","maxLatenessMs":5000}}"#);
    // Nobody looks at the clock from the 30th second on, for longer than an execution may be late.
    for (job, fired, passed_over) in [(daily, Some(30), false), (often, Some(630), true), (&*in_time, None, true)] {
        let mut stage = Stage::of(&[job], Vec::new());
        stage.pass(29);
        assert_eq!(stage.unfinished().len(), 1, "{job} is armed");
        stage.now = Now { wall: stage.now.wall.plus_us(602_000_000), mono: stage.now.mono.plus_us(602_000_000) };
        stage.feed(Input::Tick);
        stage.settle();
        assert_eq!(stage.fired(), Vec::from_iter(fired.map(|second| (1, second))), "{job}");
        let is_skipped = |row: &(i64, Status, Option<Box<str>>)| row.0 == 30 && row.1 == Status::Skipped;
        assert_eq!(stage.ended().iter().any(is_skipped), passed_over, "{job}");
    }
}

#[test]
fn there_are_no_more_channels_than_a_bound_allows_nor_more_of_them_of_mail() {
    let bounds = Bounds { channels_max: 3, mail_channels_max: 1, ..Bounds::default() };
    let set = |stage: &mut Stage, name: &str, definition: &str| {
        let definition = serde_json::from_str(definition).expect("a definition");
        let channel = Arc::new(Channel::compile(&definition, None, true).expect("valid"));
        stage.refused = 0;
        stage.ask(Action::Set(Setting::Channel(name.into(), Some(channel))));
        stage.refused == 0
    };
    let hook = r#"{"kind":"webhook","url":"http://a/"}"#;
    let mail = r#"{"kind":"email","url":"smtp://mail.example:25","from":"a@a.example","to":["b@b.example"]}"#;
    let mut stage = Stage::bounded(bounds, START, &[], Vec::new());
    assert!(set(&mut stage, "a", hook) && set(&mut stage, "b", mail));
    assert!(!set(&mut stage, "c", mail), "one of mail is enough");
    assert!(set(&mut stage, "c", hook));
    assert!(!set(&mut stage, "d", hook), "three are enough");
    assert!(set(&mut stage, "c", hook), "one that is there may be set again");
}

#[test]
fn the_load_tells_what_waits_for_others_and_what_for_a_retry() {
    let alone = r#""schedule":"* * * * * *","type":"ATLEAST_ONCE","concurrencyKey":{"name":"k","limit":1}"#;
    let again =
        r#""schedule":"1 0 0 * * *","type":"ATLEAST_ONCE","retry":{"maxAttempts":2,"initialDelayMs":60000,"jitter":0}"#;
    let mut stage = Stage::of(&[alone, again, again], Vec::new());
    stage.pass(1);
    let (fails, hangs): (Vec<_>, Vec<_>) = stage.fired.drain(..).partition(|attempt| attempt.id.job != id(1));
    assert_eq!((fails.len(), hangs.len()), (2, 1));
    for attempt in fails {
        stage.answer(&attempt, Outcome::Answered(500), true);
    }
    stage.pass(2);
    let load = stage.core.load(stage.now.wall);
    assert_eq!((load.in_flight, load.waiting, load.backing_off), (1, 2, 2), "{load:?}");
}

#[test]
fn a_target_that_fails_is_told_of_as_long_as_somebody_wants_to_know() {
    let bounds = Bounds { failing_after: 1, ..Bounds::default() };
    let job = r#""schedule":"* * * * * *","type":"ATLEAST_ONCE""#;
    let mut stage = Stage::bounded(bounds, START, &[job], Vec::new());
    stage.pass(1);
    let attempt = stage.fired.pop().expect("it is due");
    stage.answer(&attempt, Outcome::ConnectionFailed("refused".to_owned()), false);
    let subject = Subject::Target("http://a:80".into());
    let is_open = |stage: &Stage| stage.core.open_one(&subject, Cause::TargetFailing).is_some();
    assert!(is_open(&stage));
    for (wanted, policy) in [(false, r#"{"onServerTrouble":false}"#), (true, "{}")] {
        let definition = serde_json::from_str(policy).expect("a definition");
        let policy = Arc::new(AlertPolicy::compile_of_server(&definition).expect("valid"));
        stage.ask(Action::Set(Setting::Policy(PolicyScope::Server, Some(policy))));
        stage.feed(Input::Tick);
        stage.settle();
        assert_eq!(is_open(&stage), wanted);
    }
}

#[test]
fn the_limit_of_a_key_goes_with_the_last_job_that_names_it_so() {
    let of = |limit: u32| {
        format!(r#""schedule":"* * * * * *","type":"ATLEAST_ONCE","concurrencyKey":{{"name":"k","limit":{limit}}}"#)
    };
    for replaced in [false, true] {
        let mut stage = Stage::of(&[&of(1), &of(3)], Vec::new());
        stage.ask(match replaced {
            false => Action::Delete { id: id(1), expected: None },
            true => {
                let spec = spec(r#""schedule":"@yearly","type":"ATLEAST_ONCE""#, &Calendars::default());
                Action::Update { id: id(1), spec, keep_active: false, expected: None }
            }
        });
        stage.pass(4);
        assert_eq!(stage.fired(), [(2, 1), (2, 2), (2, 3)], "three at a time, as the other one says");
    }
}

#[test]
fn what_is_just_as_late_as_it_may_be_is_sent() {
    let policy = |policy: &str, schedule: &str, max_ms: u32| {
        let misfire = format!(r#""misfire":{{"policy":"{policy}","maxLatenessMs":{max_ms}}}"#);
        format!(r#""schedule":"{schedule}","type":"ATLEAST_ONCE",{misfire}"#)
    };
    // One that is armed, and some that nobody looked at in time.
    for (job, second, late_us, expected) in [
        (policy("skip", "5 * * * * *", 4_000), 9, 0, vec![5]),
        (policy("skip", "5 * * * * *", 4_000), 9, 1, vec![]),
        (policy("all", "* * * * * *", 4_000), 30, 0, vec![26, 27, 28, 29, 30]),
        (policy("all", "* * * * * *", 4_000), 30, 1, vec![27, 28, 29, 30]),
    ] {
        let mut stage = Stage::of(&[&job], Vec::new());
        stage.pass(4);
        stage.fired.clear();
        stage.now.wall = WallUs::of(at(second)).plus_us(late_us);
        stage.now.mono = stage.now.mono.plus_us(u64::try_from(second - 4).expect("later") * 1_000_000);
        stage.feed(Input::Tick);
        stage.settle();
        let mut fired: Vec<i64> = stage.fired().into_iter().map(|(_, second)| second).collect();
        fired.sort_unstable();
        assert_eq!(fired, expected, "{job} {late_us}");
    }
}

#[test]
fn of_what_was_armed_and_what_is_due_at_this_very_moment_only_the_latest_runs() {
    let mut stage = Stage::of(&[r#""schedule":"0 */20 * * * *","type":"ATLEAST_ONCE""#], Vec::new());
    stage.now.wall = WallUs::of(at(1_199));
    stage.feed(Input::Tick);
    stage.settle();
    assert_eq!(stage.unfinished().len(), 1, "it is armed");
    stage.now.wall = WallUs::of(at(2_400));
    stage.now.mono = stage.now.mono.plus_us(1_201_000_000);
    stage.feed(Input::Tick);
    stage.settle();
    assert_eq!((stage.fired(), stage.core.counts().missed), (vec![(1, 2_400)], 2));
}
