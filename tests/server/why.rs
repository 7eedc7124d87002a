//! Owns finding executions, and the answer to why there is one or none, on the real binary.
//! It must not test how pages are put together: the store's own tests do.

use serde_json::{Value, json};

use super::support::api::job;
use super::support::receiver::Script;
use super::support::until;
use super::{Setup, error_of, this_second, time_at};

fn create(test: &Setup, schedule: &str, path: &str, members: Value) -> String {
    let mut body = job(schedule, &test.receiver.url(path));
    body.as_object_mut().expect("an object").extend(members.as_object().expect("an object").clone());
    let answer = test.api().send("POST", "/api/jobs", Some(&body.to_string()));
    assert_eq!(answer.status, 201, "{}", answer.text);
    answer.json()["jobId"].as_str().expect("a text").to_owned()
}

/// The verdict and the reason.
fn why(test: &Setup, job: &str, at: &str) -> (String, String) {
    let found = test.api().get(&format!("/api/jobs/{job}/why?at={at}"));
    let text = |member: &str| found[member].as_str().expect("a text").to_owned();
    (text("verdict"), text("reason"))
}

#[test]
fn what_became_of_a_second_is_said_also_if_it_was_never_due() {
    let test = Setup::new(&["--retries", "0"]);
    test.receiver.script("/bad", Script::Status(500));
    let good = create(
        &test,
        "* * * * * *",
        "/good",
        json!({"excludeDates": ["2030-01-01"], "endsAt": "2031-01-01T00:00:00Z"}),
    );
    let bad = create(&test, "* * * * * *", "/bad", json!({}));
    let rare = create(&test, "0 0 12 * * *", "/rare", json!({}));
    let second = until("both were sent", || {
        let sent = |path: &str| test.receiver.posts_to(path).first().map(|post| post.second);
        Some(sent("/good")?.max(sent("/bad")?))
    });
    let at = time_at(second);
    until("the end is on disk", || (why(&test, &good, &at).0 == "success").then_some(()));
    until("the end is on disk", || (why(&test, &bad, &at).0 == "failed").then_some(()));
    assert_eq!(why(&test, &bad, &at).1, "it failed: the target answered 500");
    for (job, at, verdict, reason) in [
        (&rare, at.as_str(), "not_due", "the schedule does not say this time"),
        (&rare, "2001-01-01T12:00:00Z", "changed", "the job was created later"),
        (&good, "2030-01-01T05:00:00Z", "left_out", "2030-01-01 is left out by excludeDates"),
        (&good, "2031-06-01T05:00:00Z", "left_out", "it lies behind endsAt, 2031-01-01T00:00:00"),
        (&good, "2029-12-31T05:00:00Z", "ahead", "it is due then"),
    ] {
        let (found, said) = why(&test, job, at);
        assert_eq!(found, verdict, "{at}: {said}");
        assert!(said.starts_with(reason), "{at}: {said}");
    }
    let found = test.api().get(&format!("/api/jobs/{rare}/why?at=2029-12-31T13:00:00Z"));
    assert_eq!(found["previousTime"], "2029-12-31T12:00:00.000Z");
    assert_eq!(found["nextTime"], "2030-01-01T12:00:00.000Z");

    // Paused, and then gone.
    test.api().send("POST", &format!("/api/jobs/{good}/pause"), Some(r#"{"note":"holidays"}"#));
    let later = time_at(this_second() + 5);
    let (verdict, reason) = why(&test, &good, &later);
    assert!(verdict == "paused" && reason.ends_with(": holidays"), "{reason}");
    test.api().send("DELETE", &format!("/api/jobs/{bad}"), None);
    assert_eq!(why(&test, &bad, &at).0, "failed", "its history stays");
    assert_eq!(why(&test, &bad, &later).0, "not_kept");
    for (query, why) in [("", "at: it is missing"), ("?at=now", "at: expected a whole second")] {
        let answer = test.api().send("GET", &format!("/api/jobs/{good}/why{query}"), None);
        assert_eq!(answer.status, 400);
        assert!(error_of(&answer.json()).starts_with(why), "{}", answer.text);
    }
}

#[test]
fn a_second_that_a_row_of_others_stands_for_is_found() {
    let test = Setup::new(&["--misfire", "skip"]);
    let id = create(&test, "* * * * * *", "/a", json!({}));
    until("it fires", || test.receiver.posts_to("/a").pop());
    let folder = test.kill();
    let down = this_second();
    until("some time has passed", || (this_second() > down + 4).then_some(()));
    let test = folder.start(&["--misfire", "skip"]);
    until("it goes on", || test.receiver.posts_to("/a").into_iter().find(|post| post.second > down + 4));
    let (verdict, reason) = why(&test, &id, &time_at(down + 2));
    assert_eq!(verdict, "missed", "{reason}");
    assert!(reason.contains("one row stands for"), "{reason}");
}

#[test]
fn executions_are_found_by_what_is_known_of_them() {
    let test = Setup::new(&["--retries", "0"]);
    test.receiver.script("/bad", Script::Status(500));
    let (one, two) = (create(&test, "@yearly", "/good", json!({})), create(&test, "@yearly", "/bad", json!({})));
    let from = this_second();
    for id in [&one, &one, &two] {
        let answer = test.api().send("POST", &format!("/api/jobs/{id}/run"), Some(r#"{"wait":true}"#));
        assert_eq!(answer.status, 200, "{}", answer.text);
    }
    let stretch = json!({"from": "2024-01-01T00:00:00Z", "to": "2025-01-01T00:00:00Z"}).to_string();
    assert_eq!(test.api().send("POST", &format!("/api/jobs/{one}/backfill"), Some(&stretch)).status, 202);
    let count = |query: &str| test.api().pages(&format!("/api/executions?{query}"), "executions").len();
    until("all have ended", || (count("status=SUCCESS") == 4).then_some(()));
    let (from, then) = (time_at(from), "2024-06-01T00:00:00Z");
    for (query, expected) in [
        (format!("jobId={one}"), 4),
        (format!("jobId={two}"), 1),
        (format!("jobId={one}&kind=backfill"), 2),
        (format!("jobId={one}&kind=scheduled"), 0),
        ("kind=manual".to_owned(), 3),
        ("kind=manual&status=FAILED".to_owned(), 1),
        (format!("from={from}"), 3),
        (format!("to={then}"), 1),
        (format!("from={then}&to={from}&kind=backfill"), 1),
        (format!("jobId={one}&from={from}&status=SUCCESS&limit=1"), 2),
    ] {
        assert_eq!(count(&query), expected, "{query}");
    }
    for (query, status, why) in [
        ("kind=odd", 400, "kind: expected scheduled, manual, replay or backfill, got \"odd\""),
        ("jobId=1", 400, "jobId: expected the id of a job"),
        ("from=yesterday", 400, "from: expected a whole second"),
        ("jobId=00000000-0000-8000-8000-000000000000", 404, "Job not found"),
    ] {
        let answer = test.api().send("GET", &format!("/api/executions?{query}"), None);
        assert_eq!((answer.status, error_of(&answer.json()).starts_with(why)), (status, true), "{}", answer.text);
    }
}
