//! What becomes of a POST that fails: retries, the failure, the alert, its delivery.
//! It must not test what succeeds at once.

use std::net::TcpListener;

use serde_json::{Value, json};

use super::support::receiver::{Receiver, Script};
use super::support::server::Server;
use super::support::until;
use super::{Setup, is_time, members, once_at, this_second, with_few_workers};

/// The only execution of a job, once it has this status.
fn execution(test: &Setup, job: &str, status: &str) -> Value {
    until(status, || test.api().executions(job).into_iter().find(|execution| execution["status"] == status))
}

/// The address of a port on which nobody listens.
fn nobody() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
    format!("http://{}/gone", listener.local_addr().expect("it is bound"))
}

#[test]
fn a_receiver_that_fails_three_times_gets_a_fourth_attempt() {
    let test = Setup::new(&["--retry-delay-ms", "100"]);
    test.receiver.script("/a", Script::FailTimes(3));
    let job = test.api().create(&once_at(this_second() + 3), &test.receiver.url("/a"));
    let execution = execution(&test, &job, "SUCCESS");
    assert_eq!((&execution["retryCount"], &execution["httpStatus"]), (&json!(3), &json!(200)));
    assert_eq!(execution["errorMessage"], Value::Null);
    let posts = test.receiver.posts_to("/a");
    assert!(posts.iter().all(|post| json!(post.key) == execution["executionId"] && !post.late), "{posts:?}");
    assert_eq!(posts.iter().map(|post| post.attempt).collect::<Vec<_>>(), [1, 2, 3, 4]);
    // 100, 200 and 400 ms, each within 10 %; a slow machine can only add to that.
    let waits: Vec<i64> = posts.windows(2).map(|pair| pair[1].at_us - pair[0].at_us).collect();
    assert!(waits.iter().zip([90_000, 180_000, 360_000]).all(|(&wait, least)| wait >= least), "{waits:?}");
    assert_eq!(test.api().get("/api/alerts")["alerts"], json!([]), "nothing failed in the end");
    assert_eq!(test.api().get(&format!("/api/jobs/{job}"))["stats"]["success"], 1);
}

#[test]
fn a_receiver_that_is_down_is_a_failure_that_is_told() {
    // The webhook fails twice, too.
    let (folder, receiver) = (tempfile::tempdir().expect("a folder"), Receiver::start());
    receiver.script("/hook", Script::FailFirst(2));
    let hook = receiver.url("/hook");
    let flags = ["--retries", "1", "--retry-delay-ms", "50", "--alert-webhook", &hook];
    let server = Server::start(&folder.path().join("p.db"), &with_few_workers(&flags));
    let test = Setup { server, receiver, folder };
    let (schedule, url) = (once_at(this_second() + 3), nobody());
    let job = test.api().create(&schedule, &url);

    let execution = execution(&test, &job, "FAILED");
    assert_eq!((&execution["retryCount"], &execution["httpStatus"]), (&json!(1), &Value::Null));
    let why = execution["errorMessage"].as_str().expect("it says why");
    assert!(!why.is_empty() && !why.contains('\n'), "{why}");
    let alert = until("the alert is delivered", || {
        let alert = test.api().get("/api/alerts")["alerts"][0].clone();
        (alert["delivery"]["status"] == "DELIVERED").then_some(alert)
    });
    let expected = ["alertId", "api", "delivery", "errorMessage", "executionId", "jobId", "schedule", "timestamp"];
    assert_eq!(members(&alert), [&expected[..], &["type"]].concat());
    assert_eq!(members(&alert["delivery"]), ["attempts", "deliveredAt", "error", "status"]);
    assert_eq!(alert["delivery"]["attempts"], 3);
    assert!(is_time(&alert["delivery"]["deliveredAt"]) && is_time(&alert["timestamp"]), "{alert}");

    let told = test.receiver.posts_to("/hook");
    assert_eq!(told.iter().map(|post| post.status).collect::<Vec<_>>(), [Some(500), Some(500), Some(200)]);
    assert!(told.iter().all(|post| post.body == told[0].body), "the same each time");
    let payload: Value = serde_json::from_str(&told[0].body).expect("it is JSON");
    assert_eq!(members(&payload), ["api", "errorMessage", "executionId", "jobId", "schedule", "timestamp", "type"]);
    assert_eq!(payload["type"], "JOB_FAILURE");
    assert_eq!(
        (&payload["jobId"], &payload["api"], &payload["schedule"]),
        (&json!(job), &json!(url), &json!(schedule))
    );
    assert_eq!((&payload["executionId"], &payload["errorMessage"]), (&execution["executionId"], &json!(why)));
    for member in members(&payload) {
        assert_eq!(payload[member], alert[member], "{member}");
    }
    let job = test.api().get(&format!("/api/jobs/{job}"));
    assert_eq!((&job["stats"]["failed"], &job["lastOutcome"]["status"]), (&json!(1), &json!("FAILED")));
}

#[test]
fn without_a_webhook_alerts_are_listed_newest_first() {
    let test = Setup::new(&["--retries", "0"]);
    test.receiver.script("/a", Script::Status(404));
    let job = test.api().create("* * * * * *", &test.receiver.url("/a"));
    until("three alerts", || (test.api().pages("/api/alerts?limit=2", "alerts").len() >= 3).then_some(()));
    assert_eq!(test.api().send("DELETE", &format!("/api/jobs/{job}"), None).status, 204);
    let settled = until("all are logged", || {
        let alerts = test.api().pages("/api/alerts?limit=2", "alerts");
        alerts.iter().all(|alert| alert["delivery"]["status"] == "LOGGED").then_some(alerts)
    });
    let numbers: Vec<u64> = settled
        .iter()
        .map(|alert| alert["alertId"].as_str().and_then(|id| id.parse().ok()).expect("a number"))
        .collect();
    assert!(numbers.windows(2).all(|pair| pair[0] > pair[1]), "{numbers:?}");
    assert!(settled.iter().all(|alert| alert["delivery"]["attempts"] == 0), "{settled:?}");
}

#[test]
fn a_redirect_and_a_timeout_are_failures() {
    let test = Setup::new(&["--retries", "0", "--timeout-ms", "300"]);
    test.receiver.script("/moved", Script::Status(302));
    test.receiver.script("/hang", Script::Hang);
    let at = this_second() + 3;
    let moved = test.api().create(&once_at(at), &test.receiver.url("/moved"));
    let hanging = test.api().create(&once_at(at), &test.receiver.url("/hang"));
    assert_eq!(execution(&test, &moved, "FAILED")["httpStatus"], 302);
    let timed_out = execution(&test, &hanging, "FAILED");
    assert_eq!(timed_out["httpStatus"], Value::Null);
    assert!(timed_out["duration"].as_f64().is_some_and(|ms| ms >= 290.0), "{timed_out}");
    assert_eq!(test.receiver.posts_to("/moved").len(), 1, "redirects are not followed");
}
