//! Owns tests of what is wrong with a job, and that it is over: pauses by its own policy, no success for too long, failures
//! in a row.
//! It must not look into the core: inputs and outputs only.

use std::sync::Arc;

use super::stage_tests::{START, Stage, id};
use super::*;
use crate::channel::Channel;
use crate::job::{AlertDefinition, AlertPolicy};
use crate::time::{Instant, Now, WallUs};

const OFTEN: &str = r#""schedule":"* * * * * *","type":"ATLEAST_ONCE""#;

fn set_policy(stage: &mut Stage, policy: &str) {
    let definition: AlertDefinition = serde_json::from_str(policy).expect("a definition");
    let policy = Arc::new(AlertPolicy::compile_of_server(&definition).expect("valid"));
    stage.ask(Action::Set(Setting::Policy(PolicyScope::Server, Some(policy))));
    stage.pass(1);
}

/// The causes of what is open of the job.
fn open(stage: &Stage) -> Vec<Cause> {
    let open = |cause: &Cause| stage.core.open_one(&Subject::Job(id(1)), *cause).is_some();
    Cause::ALL.into_iter().filter(open).collect()
}

/// A second passes, and each attempt is answered like this.
fn second(stage: &mut Stage, status: u16) {
    stage.pass(1);
    for attempt in std::mem::take(&mut stage.fired) {
        stage.answer(&attempt, Outcome::Answered(status), true);
    }
}

#[test]
fn a_pause_by_its_own_policy_is_told_until_it_is_over() {
    let resume = || Action::Resume { id: id(1), missed: false, expected: None };
    let mut stage = Stage::of(&[&format!(r#"{OFTEN},"autoPauseAfter":1,"alerts":{{"after":9}}"#)], Vec::new());
    second(&mut stage, 500);
    assert_eq!(open(&stage), [Cause::AutoPaused]);
    stage.ask(resume());
    assert_eq!(open(&stage), []);
    second(&mut stage, 500);
    assert_eq!(open(&stage), [Cause::AutoPaused]);
    // Nobody wants to hear of it any more, and then somebody does again.
    set_policy(&mut stage, r#"{"onAutoPause":false}"#);
    assert_eq!(open(&stage), []);
    set_policy(&mut stage, "{}");
    assert_eq!(open(&stage), [Cause::AutoPaused]);
    set_policy(&mut stage, r#"{"onAutoPause":false}"#);
    stage.ask(resume());
    second(&mut stage, 500);
    assert!(stage.core.job(id(1), stage.now.wall).is_some_and(|view| view.paused));
    assert_eq!(open(&stage), []);
}

#[test]
fn what_a_job_says_of_its_alerts_goes_before_what_the_server_says() {
    for (alerts, failures) in [("", 1), (r#","alerts":{"after":3}"#, 3)] {
        let mut stage = Stage::of(&[&format!("{OFTEN}{alerts}")], Vec::new());
        for _ in 1..failures {
            second(&mut stage, 500);
            assert_eq!(open(&stage), []);
        }
        second(&mut stage, 500);
        assert_eq!(open(&stage), [Cause::Failing]);
        second(&mut stage, 200);
        assert_eq!(open(&stage), []);
    }
}

#[test]
fn no_success_for_too_long_is_noticed_each_time() {
    let mut stage = Stage::of(&[&format!(r#"{OFTEN},"alerts":{{"after":99,"noSuccessFor":"60s"}}"#)], Vec::new());
    for status in [None, None, Some(500), Some(500)] {
        second(&mut stage, 200);
        assert_eq!(open(&stage), []);
        // Within a second of the time.
        for since in 1..=61 {
            // They fail, or come to no end.
            match status {
                Some(status) => second(&mut stage, status),
                None => stage.pass(1),
            }
            assert!(since >= 60 || open(&stage).is_empty(), "{since} s without a success");
        }
        assert_eq!(open(&stage), [Cause::NoSuccess]);
    }
}

#[test]
fn an_execution_that_begins_late_is_told_until_one_begins_in_time() {
    let key = r#""concurrencyKey":{"name":"k","limit":1}"#;
    let mut stage = Stage::of(&[&format!(r#"{OFTEN},{key},"alerts":{{"lateBy":"2s"}}"#)], Vec::new());
    stage.pass(1);
    let first = stage.fired.pop().expect("it is due");
    stage.pass(2);
    assert_eq!(open(&stage), [], "the second waits for a second");
    stage.pass(1);
    assert_eq!(open(&stage), [Cause::Late], "nobody knows yet when it begins");
    stage.answer(&first, Outcome::Answered(200), true);
    assert_eq!(open(&stage), [Cause::Late], "the first one began in time, but it was due before");
    while stage.unfinished().iter().any(|row| row.key.instant < stage.now.wall.floor()) {
        let attempt = stage.fired.remove(0);
        stage.answer(&attempt, Outcome::Answered(200), true);
    }
    second(&mut stage, 200);
    assert_eq!(open(&stage), []);
}

#[test]
fn a_job_that_is_not_due_any_more_is_not_late() {
    let members = r#""concurrencyKey":{"name":"k","limit":1},"endsAt":"2026-01-01T00:00:02Z","alerts":{"lateBy":"2s"}"#;
    let mut stage = Stage::of(&[&format!("{OFTEN},{members}")], Vec::new());
    stage.pass(5);
    assert_eq!(open(&stage), [Cause::Late], "the second and last one waits for the first");
    for left in [&[Cause::Late][..], &[]] {
        let attempt = stage.fired.pop().expect("one at a time");
        stage.answer(&attempt, Outcome::Answered(200), true);
        assert_eq!(open(&stage), left);
    }
}

#[test]
fn what_is_wrong_is_told_at_the_moment_at_which_a_silence_ends() {
    let daily = r#""schedule":"1 0 0 * * *","type":"ATLEAST_ONCE""#;
    let mut stage = Stage::of(&[daily], Vec::new());
    let definition = serde_json::from_str(r#"{"kind":"webhook","url":"http://a/"}"#).expect("a definition");
    let channel = Arc::new(Channel::compile(&definition, None, true).expect("valid"));
    stage.ask(Action::Set(Setting::Channel("ops".into(), Some(channel))));
    let (of, ends_at) = (Silenced::Job(id(1)), Instant::from_secs(START + 9));
    let silence = Silence { of, note: "".into(), ends_at, created_at: stage.now.wall, by: None };
    stage.ask(Action::Silence(silence));
    second(&mut stage, 500);
    assert_eq!((open(&stage), stage.told.len()), (vec![Cause::Failing], 0), "it is silenced");
    assert_eq!(stage.core.poll_timeout().wall, Some(WallUs::of(ends_at)));
    let left = u64::try_from(WallUs::of(ends_at).since_us(stage.now.wall)).expect("it is to come");
    stage.now = Now { wall: WallUs::of(ends_at), mono: stage.now.mono.plus_us(left) };
    stage.feed(Input::Tick);
    stage.settle();
    assert_eq!(stage.told, [(Cause::Failing, Event::Opened)]);
}

#[test]
fn the_core_is_to_be_woken_when_something_is_to_be_told_again() {
    let daily = r#""schedule":"1 0 0 * * *","type":"ATLEAST_ONCE","alerts":{"remindEvery":"1m","channels":["ops"]}"#;
    let mut stage = Stage::of(&[daily], Vec::new());
    let definition = serde_json::from_str(r#"{"kind":"webhook","url":"http://a/"}"#).expect("a definition");
    let channel = Arc::new(Channel::compile(&definition, None, true).expect("valid"));
    stage.ask(Action::Set(Setting::Channel("ops".into(), Some(channel))));
    second(&mut stage, 500);
    assert_eq!(stage.told, [(Cause::Failing, Event::Opened)]);
    let due = stage.core.poll_timeout().mono.expect("something is to be done");
    assert_eq!(due, stage.now.mono.plus_us(60_000_000));
    stage.pass(61);
    assert_eq!(stage.told, [(Cause::Failing, Event::Opened), (Cause::Failing, Event::Reminded)]);
}

#[test]
fn that_it_is_over_is_told_to_whom_it_was_told_that_it_began_unless_nobody_wants_to_know() {
    let channel = |put: bool| {
        let definition = serde_json::from_str(r#"{"kind":"webhook","url":"http://a/"}"#).expect("a definition");
        let channel = Arc::new(Channel::compile(&definition, None, true).expect("valid"));
        Action::Set(Setting::Channel("ops".into(), put.then_some(channel)))
    };
    let (opened, closed) = ((Cause::Failing, Event::Opened), (Cause::Failing, Event::Closed));
    for (recovery, stays, told) in
        [(true, true, &[opened, closed][..]), (false, true, &[opened]), (true, false, &[opened])]
    {
        let mut stage = Stage::of(&[&format!(r#"{OFTEN},"alerts":{{"recovery":{recovery}}}"#)], Vec::new());
        stage.ask(channel(true));
        second(&mut stage, 500);
        if !stays {
            stage.ask(channel(false));
        }
        second(&mut stage, 200);
        assert_eq!((open(&stage), &stage.told[..]), (Vec::new(), told), "{recovery} {stays}");
    }
}

#[test]
fn a_start_leaves_what_is_wrong_with_a_job_that_is_there() {
    let mut stage = Stage::of(&[OFTEN], Vec::new());
    second(&mut stage, 500);
    let failing = stage.core.open_one(&Subject::Job(id(1)), Cause::Failing).expect("it fails").clone();
    for (jobs, left) in [(&[OFTEN][..], &[Cause::Failing][..]), (&[], &[])] {
        let mut next = Stage::loading(Bounds::default(), None, START + 5, jobs);
        next.feed(Input::RestoreIncident(Box::new((*failing).clone())));
        next.feed(Input::Acquired(Restored {
            shards: Shards::ALL,
            epochs: Vec::new(),
            next_seq: 9,
            next_job: 1_000,
            next_incident: 1,
            newest: None,
        }));
        next.settle();
        assert_eq!((open(&next), next.core.open_incidents()), (left.to_vec(), left.len()));
    }
}

#[test]
fn a_start_leaves_what_is_wrong_with_a_target_that_a_job_has() {
    let mut stage = Stage::of(&[OFTEN], Vec::new());
    second(&mut stage, 500);
    let failing = stage.core.open_one(&Subject::Job(id(1)), Cause::Failing).expect("it fails").clone();
    for (target, left) in [("http://a:80", true), ("http://b:80", false)] {
        let subject = Subject::Target(target.into());
        let mut next = Stage::loading(Bounds::default(), None, START + 5, &[OFTEN]);
        let incident = Incident { subject: subject.clone(), cause: Cause::TargetFailing, ..(*failing).clone() };
        next.feed(Input::RestoreIncident(Box::new(incident)));
        next = next.acquiring(Shards::ALL, Vec::new());
        assert_eq!(next.core.open_one(&subject, Cause::TargetFailing).is_some(), left, "{target}");
    }
}

#[test]
fn a_message_is_a_row_for_each_of_its_channels() {
    let channels = |count: usize| vec![Box::from("ops"); count].into_boxed_slice();
    let incident = Arc::new(Incident {
        id: IncidentId(1),
        cause: Cause::Failing,
        subject: Subject::Job(id(1)),
        label: None,
        summary: "it failed".into(),
        execution: None,
        opened_at: WallUs::of(Instant::from_secs(START)),
        closed: None,
        acknowledged: None,
        messages: 1,
        told: true,
        told_at: None,
    });
    let change = |told: Option<usize>| {
        let message = told.map(|count| Message {
            incident: Arc::clone(&incident),
            number: 1,
            event: Event::Opened,
            at: incident.opened_at,
            channels: channels(count),
        });
        IncidentChange { incident: Arc::clone(&incident), message }
    };
    for (told, rows) in [(None, 1), (Some(1), 2), (Some(3), 4)] {
        assert_eq!(Persist::Incident(Box::new(change(told))).rows(), rows);
        let key = ExecutionKey::scheduled(id(1).key(), Instant::from_secs(START));
        let news = RowNews { alert: None, incidents: vec![change(told), change(None)] };
        let row = LedgerRow::pending(Seq(1), key, Class::OnTime);
        assert_eq!(Persist::Row(row, Some(Box::new(news))).rows(), rows + 2);
    }
}
