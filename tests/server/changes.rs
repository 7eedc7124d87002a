//! Owns changes of jobs on the real binary: names, patches, revisions as ETags, pauses.
//! It must not test what a job is due for: others do.

use serde_json::{Value, json};

use super::support::api::{Answer, job};
use super::support::{second_of, until};
use super::{Setup, error_of, this_second};

fn create(test: &Setup, members: Value) -> String {
    let mut body = job("@hourly", &test.receiver.url("/a"));
    body.as_object_mut().expect("an object").extend(members.as_object().expect("an object").clone());
    let answer = test.api().send("POST", "/api/jobs", Some(&body.to_string()));
    assert_eq!((answer.status, answer.header("etag")), (201, "\"1\""), "{}", answer.text);
    let id = answer.json()["jobId"].as_str().expect("a text").to_owned();
    assert_eq!(answer.header("location"), format!("/api/jobs/{id}"));
    id
}

fn patch(test: &Setup, id: &str, patch: Value) -> Answer {
    test.api().send("PATCH", &format!("/api/jobs/{id}"), Some(&patch.to_string()))
}

#[test]
fn a_name_belongs_to_one_job_until_it_gives_it_back() {
    let test = Setup::new(&[]);
    let labels = json!({"name": "report", "tags": ["nightly", "billing"], "owner": "ops"});
    let first = create(&test, labels.clone());
    let shown = test.api().get(&format!("/api/jobs/{first}"));
    for (name, value) in labels.as_object().expect("an object") {
        assert_eq!(shown[name], *value);
    }
    let mut other = job("@daily", &test.receiver.url("/b"));
    other["name"] = json!("report");
    let answer = test.api().send("POST", "/api/jobs", Some(&other.to_string()));
    assert_eq!((answer.status, error_of(&answer.json())), (409, "name: another job is called \"report\""));
    let second = create(&test, json!({}));
    assert_eq!(patch(&test, &second, json!({"name": "report"})).status, 409);
    assert_eq!(patch(&test, &first, json!({"name": "weekly"})).status, 200);
    assert_eq!(patch(&test, &second, json!({"name": "report"})).status, 200);
    assert_eq!(test.api().send("DELETE", &format!("/api/jobs/{second}"), None).status, 204);
    create(&test, json!({"name": "report"}));
    // The same after a restart.
    let test = test.killed_and_started();
    assert_eq!(test.api().send("POST", "/api/jobs", Some(&other.to_string())).status, 409);
    assert_eq!(test.api().get(&format!("/api/jobs/{first}"))["name"], "weekly");
}

#[test]
fn a_patch_touches_what_it_names_and_nothing_else() {
    let test = Setup::new(&[]);
    let json = r#"{"b":12345678901234567890123,"a":1.50}"#;
    let text = format!(
        r#"{{"schedule":"@hourly","api":"{}","type":"ATLEAST_ONCE","json":{json},"retry":{{"maxAttempts":3,"jitter":0.2}},"active":false,"spreadSeconds":60}}"#,
        test.receiver.url("/a")
    );
    let made = test.api().send("POST", "/api/jobs", Some(&text));
    let id = made.json()["jobId"].as_str().expect("a text").to_owned();
    let seed = made.json()["job"]["spreadSeed"].clone();
    let answer = patch(&test, &id, json!({"retry": {"maxAttempts": 5, "jitter": null}, "tags": ["x"]}));
    assert_eq!((answer.status, answer.header("etag")), (200, "\"2\""), "{}", answer.text);
    assert!(answer.text.contains(json), "numbers and order stay: {}", answer.text);
    let job = &answer.json()["job"];
    assert_eq!((&job["retry"], &job["tags"]), (&json!({"maxAttempts": 5}), &json!(["x"])));
    assert_eq!((&job["active"], &job["spreadSeed"]), (&json!(false), &seed), "it stays paused, at its times");
    let answer = patch(&test, &id, json!({"tags": null, "json": null, "body": "b", "active": true}));
    let job = &answer.json()["job"];
    assert_eq!(
        (&job["tags"], &job["json"], &job["body"], &job["active"]),
        (&Value::Null, &Value::Null, &json!("b"), &json!(true))
    );
    for (body, status, why) in [
        (json!({"schedule": null}), 400, "schedule: expected"),
        (json!({"nothing": 1}), 400, "nothing: unknown field"),
        (json!({"nothing": null}), 400, "nothing: unknown field"),
        (json!({"retry": {"nothing": null}}), 400, "retry.nothing: unknown field"),
        (json!({"api": null}), 400, "api: invalid type: null"),
        (json!({"retry": 7}), 400, "retry: invalid type"),
        (json!({"retry": [3]}), 400, "retry: invalid type"),
        (json!([1]), 400, "body: expected a JSON object"),
    ] {
        let answer = patch(&test, &id, body);
        assert_eq!(answer.status, status);
        assert!(error_of(&answer.json()).starts_with(why), "{}", answer.text);
    }
}

#[test]
fn a_job_that_has_ended_can_still_be_tagged() {
    let test = Setup::new(&[]);
    let id = create(&test, json!({"schedule": null, "runAt": super::time_at(this_second() + 2)}));
    until("it has run", || test.receiver.posts_to("/a").pop());
    assert_eq!(patch(&test, &id, json!({"tags": ["done"]})).status, 200);
    assert_eq!(patch(&test, &id, json!({"runAt": "2001-01-01T00:00:00Z"})).status, 400);
}

#[test]
fn a_change_may_depend_on_the_revision() {
    let test = Setup::new(&[]);
    let id = create(&test, json!({}));
    let path = format!("/api/jobs/{id}");
    let with = |method: &str, tag: &str, path: &str, body: Option<&str>| {
        test.api().send_with(method, path, &[("If-Match", tag)], body)
    };
    let tags = r#"{"tags":["a"]}"#;
    assert_eq!(test.api().send("GET", &path, None).header("etag"), "\"1\"");
    assert_eq!(with("PATCH", "\"2\"", &path, Some(tags)).status, 412);
    assert_eq!(with("PATCH", "W/\"1\"", &path, Some(tags)).status, 412, "a weak one never matches");
    assert_eq!(with("PATCH", "\"7\", \"1\"", &path, Some(tags)).header("etag"), "\"2\"");
    let stale = with("PUT", "\"1\"", &path, Some(&job("@daily", &test.receiver.url("/a")).to_string()));
    assert_eq!((stale.status, error_of(&stale.json())), (412, "the job has changed: its ETag is \"2\""));
    assert_eq!(with("POST", "\"1\"", &format!("{path}/pause"), None).status, 412);
    assert_eq!(with("PATCH", "2", &path, Some(tags)).status, 400);
    assert_eq!(with("DELETE", "\"1\"", &path, None).status, 412);
    assert_eq!(with("PATCH", "*", &path, Some(tags)).status, 200);
    assert_eq!(with("DELETE", "\"3\"", &path, None).status, 204);
}

#[test]
fn a_pause_ends_by_itself_or_by_somebody_and_what_was_missed_may_count() {
    let test = Setup::new(&[]);
    let id = create(&test, json!({"schedule": "* * * * * *", "misfire": {"policy": "all"}}));
    let path = |verb: &str| format!("/api/jobs/{id}/{verb}");
    until("it fires", || test.receiver.posts_to("/a").pop());
    let until_second = this_second() + 3;
    let body = json!({"until": super::time_at(until_second), "note": "maintenance"}).to_string();
    let paused = test.api().send("POST", &path("pause"), Some(&body)).json();
    let (pause, first) = (&paused["job"]["paused"], test.receiver.posts_to("/a").len());
    assert_eq!((&pause["note"], &paused["job"]["active"]), (&json!("maintenance"), &json!(false)));
    assert_eq!(second_of(paused["job"]["nextExecution"].as_str().expect("a text")), until_second + 1);
    until("it goes on", || test.receiver.posts_to("/a").into_iter().find(|post| post.second == until_second + 1));
    let posts = test.receiver.posts_to("/a");
    let since = second_of(pause["since"].as_str().expect("a text"));
    assert!(posts.iter().all(|post| post.second <= since || post.second > until_second), "{since} {first} {posts:?}");
    assert_eq!(test.api().get(&format!("/api/jobs/{id}"))["paused"], Value::Null);

    // Over a kill, and with what was missed.
    let paused = test.api().send("POST", &path("pause"), None).json();
    let since = second_of(paused["job"]["paused"]["since"].as_str().expect("a text"));
    let test = test.killed_and_started();
    until("some time has passed", || (this_second() > since + 2).then_some(()));
    let resumed = test.api().send("POST", &path("resume"), Some(r#"{"missed":true}"#));
    assert_eq!((resumed.status, &resumed.json()["job"]["active"]), (200, &json!(true)));
    for second in since + 1..since + 3 {
        until("it is caught up", || test.receiver.posts_to("/a").into_iter().find(|post| post.second == second));
    }
    // And without: what is due after that is all.
    let paused = test.api().send("POST", &path("pause"), None).json();
    let since = second_of(paused["job"]["paused"]["since"].as_str().expect("a text"));
    until("some time has passed", || (this_second() > since + 2).then_some(()));
    let resumed_at = this_second();
    assert_eq!(test.api().send("POST", &path("resume"), None).status, 200);
    until("it goes on", || test.receiver.posts_to("/a").into_iter().find(|post| post.second > resumed_at));
    let between = |second: i64| second > since && second < resumed_at;
    assert!(test.receiver.posts_to("/a").iter().all(|post| !between(post.second)));
    assert_eq!(
        test.api().send("POST", &path("resume"), None).status,
        200,
        "it is not paused, which is what was asked for"
    );
    let answer = test.api().send("POST", &path("pause"), Some(r#"{"until":"2020-01-01T00:00:00Z"}"#));
    assert_eq!((answer.status, error_of(&answer.json())), (400, "until: expected a time in the future"));
}

#[test]
fn a_number_that_no_program_can_hold_is_kept_as_it_is_written_everywhere() {
    let test = Setup::new(&[]);
    let body = |exponent: u32| {
        let api = test.receiver.url("/a");
        format!(r#"{{"schedule":"@yearly","api":"{api}","type":"ATLEAST_ONCE","json":{{"e":1e{exponent}}}}}"#)
    };
    // Answers with such a number are no JSON to this test: it goes by their text.
    let made = test.api().send("POST", "/api/jobs", Some(&body(400)));
    assert_eq!(made.status, 201, "{}", made.text);
    let start = made.text.find(r#""jobId":""#).expect("it has an id") + r#""jobId":""#.len();
    let path = format!("/api/jobs/{}", &made.text[start..start + 36]);
    let lines = format!("{{\"create\":{}}}\n", body(403));
    for (method, at, sent, number) in [
        ("PATCH", path.as_str(), r#"{"json":{"e":1e401}}"#, "1e401"),
        ("PUT", &path, &body(402), "1e402"),
        ("POST", "/api/jobs/batch", &lines, "1e403"),
        ("POST", "/api/import", &format!("{{\"job\":{}}}\n", body(404)), "1e404"),
    ] {
        let answer = test.api().send(method, at, Some(sent));
        assert!((200..=201).contains(&answer.status), "{method} {at}: {}", answer.text);
        let export = test.api().send("GET", "/api/export", None);
        assert!(export.text.contains(number), "{number}: {}", export.text);
    }
    let audit = test.api().send("GET", "/api/audit", None);
    assert!(audit.text.contains(r#""json":[{"e":1e401},{"e":1e402}]"#), "{}", audit.text);
}
