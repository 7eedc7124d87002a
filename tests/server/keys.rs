//! Owns idempotency keys on the real binary: the same answer for the same key, whatever happens in between.
//! It must not test what is asked for under one.

use serde_json::{Value, json};

use super::support::api::{Answer, job};
use super::support::receiver::Script;
use super::support::{self, until};
use super::{Setup, error_of};

fn post(test: &Setup, path: &str, key: &str, body: &Value) -> Answer {
    test.api().send_with("POST", path, &[("Idempotency-Key", key)], Some(&body.to_string()))
}

#[test]
fn the_same_key_has_the_same_answer_also_after_a_kill() {
    let test = Setup::new(&[]);
    let body = job("@hourly", &test.receiver.url("/a"));
    let first = post(&test, "/api/jobs", "order-1", &body);
    assert_eq!((first.status, first.header("idempotency-replayed")), (201, ""));
    let again = post(&test, "/api/jobs", "\"order-1\"", &body);
    assert_eq!((again.status, &again.text, again.header("idempotency-replayed")), (201, &first.text, "true"));
    for name in ["etag", "location", "content-type"] {
        assert_eq!(again.header(name), first.header(name), "{name}");
    }
    let test = test.killed_and_started();
    assert_eq!(post(&test, "/api/jobs", "order-1", &body).text, first.text);
    assert_eq!(test.api().get("/api/jobs")["jobs"].as_array().expect("a list").len(), 1);

    // Another body, or another path.
    let other = post(&test, "/api/jobs", "order-1", &job("@daily", &test.receiver.url("/a")));
    assert_eq!(
        (other.status, error_of(&other.json())),
        (422, "Idempotency-Key: this key was used for another request")
    );
    let id = first.json()["jobId"].as_str().expect("a text").to_owned();
    assert_eq!(post(&test, &format!("/api/jobs/{id}/pause"), "order-1", &json!({})).status, 422);
}

#[test]
fn runs_pauses_replays_and_backfills_have_keys_too() {
    let test = Setup::new(&[]);
    let made = post(&test, "/api/jobs", "a", &job("@yearly", &test.receiver.url("/a")));
    let id = made.json()["jobId"].as_str().expect("a text").to_owned();
    let run = |key: &str| post(&test, &format!("/api/jobs/{id}/run"), key, &json!({}));
    let first = run("b");
    assert_eq!((first.status, run("b").text), (202, first.text.clone()));
    assert_ne!(run("c").text, first.text);
    let execution = first.json()["executionId"].as_str().expect("a text").to_owned();
    until("both have ended", || (test.receiver.posts_to("/a").len() == 2).then_some(()));
    let path = format!("/api/executions/{execution}");
    until("it has ended", || (test.api().get(&path)["status"] == "SUCCESS").then_some(()));
    let replay = || post(&test, &format!("{path}/replay"), "d", &json!({}));
    assert_eq!((replay().status, replay().text), (202, replay().text));
    let stretch = json!({"from": "2020-01-01T00:00:00Z", "to": "2022-01-01T00:00:00Z"});
    let backfill = || post(&test, &format!("/api/jobs/{id}/backfill"), "e", &stretch);
    assert_eq!((backfill().status, backfill().text), (202, backfill().text));
    let pause = || post(&test, &format!("/api/jobs/{id}/pause"), "f", &json!({}));
    assert_eq!((pause().header("etag").to_owned(), pause().text), ("\"2\"".to_owned(), pause().text));
    assert_eq!(test.api().get(&format!("/api/jobs/{id}"))["paused"]["since"], pause().json()["job"]["paused"]["since"]);
    until("all have ended", || (test.receiver.posts_to("/a").len() == 6).then_some(()));
}

#[test]
fn who_asks_while_the_first_is_under_way_is_told_so() {
    let test = Setup::new(&[]);
    test.receiver.script("/slow", Script::SlowMs(2_000));
    let made = post(&test, "/api/jobs", "a", &job("@yearly", &test.receiver.url("/slow")));
    let id = made.json()["jobId"].as_str().expect("a text").to_owned();
    let path = format!("/api/jobs/{id}/run");
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| post(&test, &path, "b", &json!({"wait": true})));
        until("it is under way", || test.receiver.posts_to("/slow").pop());
        let meanwhile = post(&test, &path, "b", &json!({"wait": true}));
        assert_eq!(meanwhile.status, 409, "{}", meanwhile.text);
        assert!(error_of(&meanwhile.json()).contains("under way"));
        assert_eq!(waiting.join().expect("it is answered").json()["status"], "SUCCESS");
    });
    // What was refused keeps no key.
    let wrong = post(&test, "/api/jobs", "c", &json!({"api": "x"}));
    assert_eq!(wrong.status, 400);
    assert_eq!(post(&test, "/api/jobs", "c", &job("@yearly", &test.receiver.url("/slow"))).status, 201);
    for key in ["", "a\"b", &"x".repeat(256)] {
        let refused = post(&test, "/api/jobs", key, &job("@yearly", &test.receiver.url("/slow")));
        assert_eq!(refused.status, 400, "{key:?}");
    }
}

#[test]
fn what_was_right_when_it_came_first_is_answered_as_then() {
    let test = Setup::new(&[]);
    let due = support::wall_us() / 1_000_000 + 2;
    let moment = |second: i64| chrono::DateTime::from_timestamp(second, 0).expect("near").format("%FT%TZ").to_string();
    let once = json!({ "runAt": moment(due), "api": test.receiver.url("/once"), "type": "ATLEAST_ONCE" });
    let first = post(&test, "/api/jobs", "once", &once);
    assert_eq!(first.status, 201, "{}", first.text);
    until("its time is past", || (support::wall_us() > (due + 1) * 1_000_000).then_some(()));
    let again = post(&test, "/api/jobs", "once", &once);
    assert_eq!((again.status, &again.text, again.header("idempotency-replayed")), (201, &first.text, "true"));
    // Under another key it is what it is now, and keeps nothing.
    for _ in 0..2 {
        let late = post(&test, "/api/jobs", "late", &once);
        assert_eq!((late.status, late.header("idempotency-replayed")), (400, ""), "{}", late.text);
    }
    let repaired = json!({ "runAt": moment(due + 3_600), "api": test.receiver.url("/once"), "type": "ATLEAST_ONCE" });
    assert_eq!(post(&test, "/api/jobs", "late", &repaired).status, 201);
    // What makes a change depend on a revision is part of what is asked.
    let id = first.json()["jobId"].as_str().expect("a text").to_owned();
    let pause = |expected: &str| {
        let headers = [("Idempotency-Key", "pause"), ("If-Match", expected)];
        test.api().send_with("POST", &format!("/api/jobs/{id}/pause"), &headers, Some("{}")).status
    };
    assert_eq!([pause("\"1\""), pause("\"1\""), pause("\"9\"")], [200, 200, 422]);
}

#[test]
fn a_batch_of_calendars_keeps_its_key() {
    let test = Setup::new(&[]);
    let send = |key: &str, dates: &[&str]| {
        let line = json!({ "apply": { "calendar": { "name": "closed", "dates": dates } } });
        let headers = [("Idempotency-Key", key), ("Content-Type", "application/x-ndjson")];
        test.api().send_with("POST", "/api/jobs/batch", &headers, Some(&line.to_string()))
    };
    let first = send("a", &["2031-01-01"]);
    assert_eq!(
        (first.status, first.json()["results"][0]["outcome"].clone()),
        (200, json!("created")),
        "{}",
        first.text
    );
    assert_eq!(send("b", &["2032-01-01"]).status, 200);
    let again = send("a", &["2031-01-01"]);
    assert_eq!((&again.text, again.header("idempotency-replayed")), (&first.text, "true"));
    assert_eq!(test.api().get("/api/calendars/closed")["dates"], json!(["2032-01-01"]), "nothing was done again");
}
