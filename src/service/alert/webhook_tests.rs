//! Owns the tests of the alerts' delivery: order, backoff, bound, end, restart, late reports.
//! It must not send anything or wait: the time is what the tests say it is.

use super::*;
use crate::core::{ExecutionId, Kind};
use crate::job::{Content, JobId, JobKey};
use crate::time::Instant;

fn alerts() -> Alerts {
    Alerts::new(Some(TargetUrl::parse("https://example.com/hook").unwrap()))
}

/// A moment, in seconds since all of them began.
fn at(seconds: u64) -> Now {
    Now { wall: WallUs(1_767_229_831_000_000).plus_us(us(seconds).cast_signed()), mono: MonoUs(us(seconds)) }
}

fn us(seconds: u64) -> u64 {
    seconds * 1_000_000
}

fn execution() -> ExecutionId {
    let job = JobId::new(JobKey(7), [1; 10]);
    ExecutionId { job, instant: Instant::from_secs(1_767_229_831), kind: Kind::Scheduled, number: 0 }
}

fn record(seq: u64, at: Now) -> AlertRecord {
    AlertRecord {
        seq: Seq(seq),
        execution: execution(),
        api: "http://localhost/a".into(),
        schedule: "* * * * * *".into(),
        error: "the target answered \"no\"".into(),
        at: at.wall,
    }
}

fn stored(seq: u64, at: Now, attempts: u32) -> StoredAlert {
    let record = record(seq, at);
    StoredAlert {
        seq: record.seq,
        job: record.execution.job,
        execution: record.execution.to_string(),
        api: record.api.into(),
        schedule: record.schedule.into(),
        error: record.error.into(),
        at: record.at,
        state: AlertState::Pending,
        delivered_at: None,
        attempts,
        delivery_error: None,
    }
}

fn report(attempt: &AlertAttempt, outcome: Outcome) -> AlertReport {
    AlertReport { seq: attempt.seq, attempt: attempt.number, outcome }
}

/// The attempt that is due now, as (alert, number).
fn due(alerts: &mut Alerts, now: Now) -> Option<(u64, u32)> {
    alerts.next_attempt(now.mono).map(|attempt| (attempt.seq.0, attempt.number))
}

/// What the attempt under way comes to.
fn end(alerts: &mut Alerts, (seq, attempt): (u64, u32), outcome: Outcome, now: Now) -> AlertUpdate {
    alerts.report(AlertReport { seq: Seq(seq), attempt, outcome }, now).expect("it is under way")
}

#[test]
fn one_after_the_other_is_delivered_in_the_order_they_came() {
    let mut alerts = alerts();
    assert_eq!((alerts.deadline(), due(&mut alerts, at(0))), (None, None));
    for seq in [5, 3, 9] {
        assert!(alerts.tell(&record(seq, at(0))).is_none());
    }
    for (left, seq) in [(2, 5), (1, 3), (0, 9)] {
        assert!(alerts.deadline().is_some_and(|by| by <= at(0).mono), "one is to be sent at once");
        assert_eq!(due(&mut alerts, at(1)), Some((seq, 1)));
        assert_eq!((due(&mut alerts, at(1)), alerts.deadline()), (None, None), "one at a time");
        assert_eq!(alerts.waiting(), left);
        let told = end(&mut alerts, (seq, 1), Outcome::Answered(204), at(2));
        assert_eq!((told.seq, told.state, told.at), (Seq(seq), AlertState::Delivered, at(2).wall));
        assert_eq!((told.attempts, told.error), (1, None));
    }
    assert_eq!((alerts.deadline(), due(&mut alerts, at(3))), (None, None));
}

#[test]
fn the_webhook_gets_json_within_a_time_limit_of_its_own() {
    let mut alerts = alerts();
    alerts.tell(&record(1, at(0)));
    let attempt = alerts.next_attempt(at(0).mono).unwrap();
    assert_eq!(attempt.post.url.to_string(), "https://example.com/hook");
    assert_eq!(attempt.post.timeout(), Some(ALERT_TIMEOUT));
    let (job, execution) = (execution().job, execution());
    let expected = format!(
        "{{\"type\":\"JOB_FAILURE\",\"jobId\":\"{job}\",\"executionId\":\"{execution}\",\"api\":\"http://localhost/a\",\
         \"schedule\":\"* * * * * *\",\"errorMessage\":\"the target answered \\\"no\\\"\",\
         \"timestamp\":\"2026-01-01T01:10:31.000Z\"}}"
    );
    let Content::Fixed(body, "application/json") = attempt.post.content() else { panic!("{:?}", attempt.post) };
    assert_eq!(str::from_utf8(body), Ok(expected.as_str()));
    alerts.report(report(&attempt, Outcome::Answered(200)), at(0));
    alerts.resume(&stored(1, at(0), 3), at(0).wall);
    let again = alerts.next_attempt(at(0).mono).unwrap();
    assert_eq!(again.post, attempt.post, "the same after a restart");
}

#[test]
fn failures_are_told_and_tried_again_after_waits_that_double() {
    let mut alerts = alerts();
    alerts.tell(&record(1, at(0)));
    let mut now = at(0);
    for (number, outcome, why) in [
        (1, Outcome::Answered(500), "the webhook answered 500"),
        (2, Outcome::Answered(302), "the webhook answered 302"),
        (3, Outcome::TimedOut("no answer".to_owned()), "the webhook could not be reached: no answer"),
        (4, Outcome::ConnectionFailed("refused".to_owned()), "the webhook could not be reached: refused"),
        (5, Outcome::WorkerFailed("a fault".to_owned()), "the webhook could not be reached: a fault"),
    ] {
        assert_eq!(due(&mut alerts, now), Some((1, number)));
        let told = end(&mut alerts, (1, number), outcome, now);
        assert_eq!((told.state, told.attempts, told.error.as_deref()), (AlertState::Pending, number, Some(why)));
        let again = alerts.deadline().unwrap();
        let wait = again.0 - now.mono.0;
        let plain = us(1) << (number - 1);
        assert!((plain * 9 / 10..=plain * 11 / 10).contains(&wait), "{wait}");
        assert_eq!(due(&mut alerts, Now { mono: MonoUs(again.0 - 1), ..now }), None, "not before its time");
        now = Now { wall: now.wall.plus_us(wait.cast_signed()), mono: again };
    }
}

#[test]
fn a_retry_whose_time_has_come_goes_before_fresh_alerts_and_others_go_on_meanwhile() {
    let mut alerts = alerts();
    for seq in 1..=3 {
        alerts.tell(&record(seq, at(0)));
    }
    assert_eq!(due(&mut alerts, at(0)), Some((1, 1)));
    end(&mut alerts, (1, 1), Outcome::Answered(500), at(0));
    assert_eq!(due(&mut alerts, at(0)), Some((2, 1)));
    end(&mut alerts, (2, 1), Outcome::Answered(200), at(2));
    assert_eq!(due(&mut alerts, at(2)), Some((1, 2)));
    end(&mut alerts, (1, 2), Outcome::Answered(200), at(2));
    assert_eq!(due(&mut alerts, at(2)), Some((3, 1)));
}

#[test]
fn an_alert_is_given_up_by_its_age() {
    let day = ALERT_AGE_MAX.as_secs();
    let mut alerts = alerts();
    alerts.tell(&record(1, at(0)));
    assert_eq!(due(&mut alerts, at(0)), Some((1, 1)));
    assert_eq!(end(&mut alerts, (1, 1), Outcome::Answered(500), at(day)).state, AlertState::Pending);
    assert_eq!(due(&mut alerts, at(day + 2)), Some((1, 2)));
    let told = end(&mut alerts, (1, 2), Outcome::Answered(500), at(day + 2));
    assert_eq!((told.state, told.attempts), (AlertState::Failed, 2));
    assert_eq!(told.error.as_deref(), Some("the webhook answered 500"));
    assert_eq!((alerts.waiting(), alerts.deadline()), (0, None));
}

#[test]
fn what_an_earlier_process_left_goes_on_unless_it_is_too_old() {
    let mut alerts = alerts();
    let day = ALERT_AGE_MAX.as_secs();
    let told = alerts.resume(&stored(1, at(0), 7), at(day + 1).wall).unwrap();
    assert_eq!((told.state, told.attempts), (AlertState::Failed, 7));
    assert_eq!(told.error.as_deref(), Some("given up: it is too old"));
    assert!(alerts.resume(&stored(2, at(2), 3), at(day + 1).wall).is_none());
    assert_eq!(due(&mut alerts, at(day + 1)), Some((2, 4)), "its attempts are counted on");
    end(&mut alerts, (2, 4), Outcome::Answered(503), at(day + 1));
    let wait = alerts.deadline().unwrap().0 - at(day + 1).mono.0;
    assert!((us(7)..us(9)).contains(&wait), "{wait}");
}

#[test]
fn no_more_wait_than_a_limit_allows() {
    let mut alerts = alerts();
    let max = ALERTS_PENDING_MAX as u64;
    // Whether for their first attempt or for another makes no difference.
    alerts.tell(&record(0, at(0)));
    assert_eq!(due(&mut alerts, at(0)), Some((0, 1)));
    end(&mut alerts, (0, 1), Outcome::Answered(500), at(0));
    for seq in 1..max {
        assert!(alerts.tell(&record(seq, at(0))).is_none());
    }
    for told in [alerts.tell(&record(max, at(1))), alerts.resume(&stored(max, at(0), 0), at(1).wall)] {
        let told = told.expect("it is too much");
        assert_eq!((told.seq, told.state, told.attempts), (Seq(max), AlertState::Failed, 0));
        assert_eq!(told.error, Some(format!("given up: {max} alerts already wait")));
    }
    assert!(due(&mut alerts, at(1)).is_some());
    assert!(alerts.tell(&record(max, at(1))).is_none(), "one less waits");
}

#[test]
fn without_a_webhook_alerts_are_logged() {
    let mut alerts = Alerts::new(None);
    let told = alerts.tell(&record(1, at(3))).unwrap();
    assert_eq!((told.seq, told.state, told.at, told.attempts), (Seq(1), AlertState::Logged, at(3).wall, 0));
    let told = alerts.resume(&stored(2, at(3), 4), at(5).wall).unwrap();
    assert_eq!((told.seq, told.state, told.at, told.attempts), (Seq(2), AlertState::Logged, at(5).wall, 4));
    assert_eq!((due(&mut alerts, at(9)), alerts.waiting()), (None, 0));
}

#[test]
fn late_reports_change_nothing() {
    let mut alerts = alerts();
    alerts.tell(&record(1, at(0)));
    let first = alerts.next_attempt(at(0).mono).unwrap();
    let failed = report(&first, Outcome::Answered(500));
    assert!(alerts.report(failed.clone(), at(0)).is_some());
    assert!(alerts.report(failed.clone(), at(0)).is_none(), "nothing is under way");
    let second = alerts.next_attempt(at(2).mono).unwrap();
    assert!(alerts.report(failed, at(2)).is_none(), "another attempt is under way");
    let other = AlertReport { seq: Seq(8), ..report(&second, Outcome::Answered(200)) };
    assert!(alerts.report(other, at(2)).is_none(), "another alert is under way");
    assert!(alerts.report(report(&second, Outcome::Answered(200)), at(2)).is_some());
    assert_eq!(alerts.waiting(), 0);
}

#[test]
fn what_waits_of_jobs_that_another_node_has_is_forgotten_and_what_is_in_flight_ends_here() {
    let mut alerts = alerts();
    let of_job = |seq: u64, key: u64| {
        let job = JobId::new(JobKey(key), [1; 10]);
        AlertRecord { execution: ExecutionId { job, ..execution() }, ..record(seq, at(0)) }
    };
    for (seq, key) in [(1, 7), (2, 7), (3, 8)] {
        alerts.tell(&of_job(seq, key));
    }
    assert_eq!(due(&mut alerts, at(0)), Some((1, 1)));
    end(&mut alerts, (1, 1), Outcome::Answered(500), at(0));
    assert_eq!(due(&mut alerts, at(0)), Some((2, 1)));
    // One waits for its retry, one is in flight, one is another job's.
    alerts.give_away(|job| job == JobKey(7));
    assert_eq!(alerts.waiting(), 1);
    end(&mut alerts, (2, 1), Outcome::Answered(200), at(1));
    assert_eq!(due(&mut alerts, at(60)), Some((3, 1)));
    end(&mut alerts, (3, 1), Outcome::Answered(200), at(61));
    assert_eq!((due(&mut alerts, at(99)), alerts.waiting()), (None, 0));
}
