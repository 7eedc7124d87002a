//! Owns what clients ask to be run, on the real binary: runs, replays, backfills, and waiting for their end.
//! It must not test how they mix with policies: the simulation does.

use serde_json::{Value, json};

use super::support::receiver::Script;
use super::support::{second_of, until};
use super::{Setup, error_of, this_second};

/// A job that is never due in the life of a test.
fn create(test: &Setup, path: &str, members: Value) -> String {
    let mut body = json!({"schedule": "0 0 0 1 1 *", "api": test.receiver.url(path), "type": "ATLEAST_ONCE"});
    body.as_object_mut().expect("an object").extend(members.as_object().expect("an object").clone());
    let answer = test.api().send("POST", "/api/jobs", Some(&body.to_string()));
    assert_eq!(answer.status, 201, "{}", answer.text);
    answer.json()["jobId"].as_str().expect("a text").to_owned()
}

fn post(test: &Setup, path: &str, body: Option<Value>) -> (u16, Value) {
    let answer = test.api().send("POST", path, body.map(|body| body.to_string()).as_deref());
    (answer.status, answer.json())
}

/// An execution once it is no more pending.
fn ended(test: &Setup, id: &str) -> Value {
    until(&format!("{id} has ended"), || {
        let found = test.api().get(&format!("/api/executions/{id}"));
        (found["status"] != "PENDING").then_some(found)
    })
}

#[test]
fn a_job_is_run_now_with_its_own_body_or_another() {
    let test = Setup::new(&[]);
    let job = create(&test, "/run", json!({"json": {"of": "{{jobId}}"}}));
    let before = this_second();
    let answer = test.api().send("POST", &format!("/api/jobs/{job}/run"), None);
    assert_eq!(answer.status, 202, "{}", answer.text);
    let started = answer.json();
    let id = started["executionId"].as_str().expect("a text");
    assert_eq!(answer.header("location"), format!("/api/executions/{id}"));
    assert_eq!((&started["jobId"], id.starts_with(&job)), (&json!(job), true));
    let execution = ended(&test, id);
    assert_eq!((&execution["status"], &execution["kind"]), (&json!("SUCCESS"), &json!("manual")));
    assert!((before..=this_second()).contains(&second_of(execution["scheduledTime"].as_str().expect("a text"))));
    assert_eq!(execution["driftMs"], Value::Null, "nothing was late");

    let (status, execution) =
        post(&test, &format!("/api/jobs/{job}/run"), Some(json!({"body": "{{attempt}}!", "wait": true})));
    assert_eq!((status, &execution["status"], &execution["jobId"]), (200, &json!("SUCCESS"), &json!(job)));
    let posts = test.receiver.posts_to("/run");
    assert_eq!(posts[0].key, id);
    assert_eq!((posts[0].body.as_str(), posts[1].body.as_str()), (&*format!("{{\"of\":\"{job}\"}}"), "1!"));
    assert_eq!(posts[1].headers["content-type"], "text/plain; charset=utf-8");
    assert_eq!(test.api().executions(&job).len(), 2);
    assert_eq!(test.api().get(&format!("/api/jobs/{job}"))["stats"]["success"], 2);
}

#[test]
fn an_execution_is_done_again_as_it_was() {
    let test = Setup::new(&["--retries", "0"]);
    test.receiver.script("/again", Script::Status(500));
    let job = create(&test, "/again", json!({}));
    let run = Some(json!({"json": {"n": 1}, "wait": true}));
    let (_, failed) = post(&test, &format!("/api/jobs/{job}/run"), run);
    assert_eq!(failed["status"], "FAILED");
    test.receiver.script("/again", Script::Status(200));
    let origin = failed["executionId"].as_str().expect("a text");
    let (status, replay) = post(&test, &format!("/api/executions/{origin}/replay"), Some(json!({"wait": true})));
    assert_eq!((status, &replay["status"], &replay["kind"]), (200, &json!("SUCCESS"), &json!("replay")));
    assert_eq!((&replay["replayOf"], &replay["scheduledTime"]), (&json!(origin), &failed["scheduledTime"]));
    let posts = test.receiver.posts_to("/again");
    assert_eq!(
        (posts[1].body.as_str(), posts[1].key.as_str()),
        (r#"{"n":1}"#, replay["executionId"].as_str().expect("a text"))
    );
    // Another body, and an execution that is none.
    let (_, other) = post(&test, &format!("/api/executions/{origin}/replay"), Some(json!({"body": "x", "wait": true})));
    assert_eq!((&other["status"], test.receiver.posts_to("/again")[2].body.as_str()), (&json!("SUCCESS"), "x"));
    for id in [format!("{job}-1"), "abc".to_owned()] {
        let (status, problem) = post(&test, &format!("/api/executions/{id}/replay"), None);
        assert_eq!((status, error_of(&problem)), (404, "Execution not found"));
    }
}

#[test]
fn times_of_the_past_are_run_one_after_the_other_and_planned_first() {
    let test = Setup::new(&[]);
    test.receiver.script("/past", Script::Status(200));
    let job = create(&test, "/past", json!({"schedule": "0 0 3 * * *", "timeZone": "Europe/Berlin"}));
    let path = format!("/api/jobs/{job}/backfill");
    let stretch = json!({"from": "2026-03-27T00:00:00Z", "to": "2026-03-31T00:00:00Z", "dryRun": true});
    let (status, plan) = post(&test, &path, Some(stretch.clone()));
    let times = json!([
        "2026-03-27T02:00:00.000Z",
        "2026-03-28T02:00:00.000Z",
        "2026-03-29T01:00:00.000Z",
        "2026-03-30T01:00:00.000Z"
    ]);
    assert_eq!((status, &plan["scheduledTimes"], &plan["count"]), (200, &times, &json!(4)));
    assert_eq!(test.api().executions(&job).len(), 0, "nothing was begun");
    let mut really = stretch;
    really["dryRun"] = json!(false);
    let (status, started) = post(&test, &path, Some(really));
    assert_eq!((status, &started["count"]), (202, &json!(4)));
    let ids: Vec<String> = started["executionIds"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|id| id.as_str().expect("a text").to_owned())
        .collect();
    for id in &ids {
        let execution = ended(&test, id);
        assert_eq!((&execution["status"], &execution["kind"]), (&json!("SUCCESS"), &json!("backfill")));
    }
    let posts = test.receiver.posts_to("/past");
    assert_eq!(posts.iter().map(|post| post.key.clone()).collect::<Vec<_>>(), ids, "in the order of their times");
    for (from, to, status, why) in [
        ("2026-03-27T00:00:00Z", "2096-03-31T00:00:00Z", 400, "to: expected a time that has passed"),
        ("2026-03-27T00:00:00Z", "2026-03-26T00:00:00Z", 400, "from: expected no time behind to"),
        ("2020-01-01T00:00:00Z", "2026-01-01T00:00:00Z", 400, "to: expected at most 1000 times of the schedule"),
        ("2026-03-27T04:00:00Z", "2026-03-27T05:00:00Z", 409, "the schedule has no time between"),
        ("tomorrow", "2026-03-27T05:00:00Z", 400, "from: expected"),
    ] {
        let (found, problem) = post(&test, &path, Some(json!({"from": from, "to": to})));
        assert_eq!(found, status, "{problem}");
        assert!(error_of(&problem).starts_with(why), "{problem}");
    }
}

#[test]
fn all_that_failed_is_done_again() {
    let test = Setup::new(&["--retries", "0"]);
    test.receiver.script("/bad", Script::Status(500));
    let jobs = [create(&test, "/bad", json!({})), create(&test, "/bad", json!({"overlap": "queue_one"}))];
    let good = create(&test, "/good", json!({}));
    for job in [&jobs[0], &jobs[1], &jobs[1], &good] {
        post(&test, &format!("/api/jobs/{job}/run"), Some(json!({"wait": true, "body": job.as_str()})));
    }
    let (status, plan) = post(&test, "/api/executions/replay", Some(json!({"status": "FAILED", "dryRun": true})));
    assert_eq!((status, &plan["count"], plan["executionIds"].as_array().map(Vec::len)), (200, &json!(3), Some(3)));
    test.receiver.script("/bad", Script::Status(200));
    let (status, started) = post(&test, "/api/executions/replay", Some(json!({"status": "FAILED"})));
    assert_eq!((status, &started["count"], &started["skipped"]), (202, &json!(3), &json!(0)));
    for id in started["executionIds"].as_array().expect("a list") {
        let execution = ended(&test, id.as_str().expect("a text"));
        assert_eq!((&execution["status"], &execution["kind"]), (&json!("SUCCESS"), &json!("replay")));
    }
    let bodies: Vec<String> = test.receiver.posts_to("/bad").into_iter().map(|post| post.body).collect();
    assert_eq!(bodies[..3], [jobs[0].clone(), jobs[1].clone(), jobs[1].clone()]);
    assert_eq!(bodies.len(), 6, "each with its own body again: {bodies:?}");
    // What was done again is not done a third time: what its replay came to counts.
    let (_, third) = post(&test, "/api/executions/replay", Some(json!({"status": "FAILED"})));
    assert_eq!(third["count"], 0, "{third}");
    test.receiver.script("/bad", Script::Status(500));
    post(&test, &format!("/api/jobs/{}/run", jobs[0]), Some(json!({"wait": true})));
    let (_, fourth) = post(&test, "/api/executions/replay", Some(json!({"status": "FAILED"})));
    assert_eq!(ended(&test, fourth["executionIds"][0].as_str().expect("one"))["status"], "FAILED");
    let (_, fifth) = post(&test, "/api/executions/replay", Some(json!({"status": "FAILED", "dryRun": true})));
    assert_eq!((&fifth["count"], &fifth["executionIds"]), (&json!(1), &fourth["executionIds"]), "of both the replay");
    // Of one job only, the newest, and of a job that is gone.
    let of = |job: &str| json!({"jobId": job, "limit": 1});
    let (_, one) = post(&test, "/api/executions/replay", Some(of(&good)));
    assert_eq!(one["count"], 1, "{one}");
    ended(&test, one["executionIds"][0].as_str().expect("one"));
    test.api().send("DELETE", &format!("/api/jobs/{good}"), None);
    let (_, gone) = post(&test, "/api/executions/replay", Some(of(&good)));
    assert_eq!((&gone["count"], &gone["skipped"]), (&json!(0), &json!(1)));
    for (body, why) in [
        (json!({}), "expected at least one of status, jobId, from and to"),
        (json!({"status": "PENDING"}), "status: expected SUCCESS, FAILED or SKIPPED"),
        (json!({"jobId": "x"}), "jobId: expected the id of a job"),
        (json!({"status": "FAILED", "limit": 1001}), "limit: expected a number from 1 to 1000"),
    ] {
        let (status, problem) = post(&test, "/api/executions/replay", Some(body));
        assert_eq!(status, 400);
        assert!(error_of(&problem).starts_with(why), "{problem}");
    }
}

#[test]
fn a_run_obeys_the_overlap_policy_unless_it_is_forced() {
    let test = Setup::new(&[]);
    test.receiver.script("/one", Script::SlowMs(3_000));
    let job = create(&test, "/one", json!({"overlap": "skip"}));
    let path = format!("/api/jobs/{job}/run");
    let (status, first) = post(&test, &path, None);
    assert_eq!(status, 202);
    let (status, problem) = post(&test, &path, None);
    assert_eq!(status, 409, "{problem}");
    assert!(error_of(&problem).starts_with("another execution of this job is running"), "{problem}");
    let pending = first["executionId"].as_str().expect("a text");
    let (status, problem) = post(&test, &format!("/api/executions/{pending}/replay"), None);
    assert_eq!((status, error_of(&problem)), (409, "the execution has not ended yet"));
    let (status, second) = post(&test, &path, Some(json!({"force": true})));
    assert_eq!(status, 202);
    until("both are under way", || (test.receiver.posts_to("/one").len() == 2).then_some(()));
    for started in [first, second] {
        assert_eq!(ended(&test, started["executionId"].as_str().expect("a text"))["status"], "SUCCESS");
    }
}

#[test]
fn what_was_asked_for_survives_a_kill_with_its_body() {
    let test = Setup::new(&["--retries", "0"]);
    test.receiver.script("/kill", Script::Hang);
    let job = create(&test, "/kill", json!({}));
    let (_, started) = post(&test, &format!("/api/jobs/{job}/run"), Some(json!({"json": [1, 2]})));
    until("it is under way", || (test.receiver.posts_to("/kill").len() == 1).then_some(()));
    test.receiver.script("/kill", Script::Status(200));
    let test = test.killed_and_started();
    let execution = ended(&test, started["executionId"].as_str().expect("a text"));
    assert_eq!((&execution["status"], &execution["late"]), (&json!("SUCCESS"), &json!("recovered")));
    let posts = test.receiver.posts_to("/kill");
    assert_eq!((posts.len(), posts[1].body.as_str(), posts[1].attempt), (2, "[1,2]", 2));
    assert_eq!(posts[0].key, posts[1].key);
}

#[test]
fn what_is_wrong_about_a_run_is_named() {
    let test = Setup::new(&[]);
    let job = create(&test, "/get", json!({"method": "GET"}));
    for (body, why) in [
        (json!({"body": "x"}), "body: expected none with the method GET"),
        (json!({"body": "x", "json": 1}), "json: expected body or json, got both"),
        (json!({"json": "{{nothing}}"}), "json: expected one of the placeholders"),
        (json!({"wait": 5}), "wait: invalid type"),
        (json!({"weit": true}), "weit: unknown field"),
    ] {
        let (status, problem) = post(&test, &format!("/api/jobs/{job}/run"), Some(body));
        assert_eq!(status, 400, "{problem}");
        assert!(error_of(&problem).starts_with(why), "{problem}");
    }
    let nobody = job.replace(&job[..8], "00000000");
    let (status, problem) = post(&test, &format!("/api/jobs/{nobody}/run"), None);
    assert_eq!((status, error_of(&problem)), (404, "Job not found"));
}

#[test]
fn a_json_body_nests_as_deep_as_everything_that_reads_it_can() {
    let test = Setup::new(&[]);
    let text = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
    let deep = |levels: usize| -> serde_json::Value { serde_json::from_str(&text(levels)).expect("it is JSON") };
    let job = create(&test, "/deep", json!({"json": deep(100)}));
    let (status, _) = post(&test, &format!("/api/jobs/{job}/run"), Some(json!({"json": deep(100), "wait": true})));
    assert_eq!((status, test.receiver.posts_to("/deep")[0].body.len()), (200, 200));
    let why = "json: expected at most 100 levels of arrays and objects, got 2000";
    // Deeper than a value can be made of here.
    let body = |members: &str| format!(r#"{{{members}"json":{}}}"#, text(2_000));
    let new = body(r#""schedule":"@yearly","api":"http://a.example","type":"ATLEAST_ONCE","#);
    let from_to = r#""from":"2026-01-01T00:00:00Z","to":"2026-01-01T00:01:00Z","#;
    for (method, path, body) in [
        ("POST", "/api/jobs".to_owned(), new.clone()),
        ("PUT", format!("/api/jobs/{job}"), new.clone()),
        ("PATCH", format!("/api/jobs/{job}"), body("")),
        ("POST", format!("/api/jobs/{job}/run"), body("")),
        ("POST", format!("/api/jobs/{job}/backfill"), body(from_to)),
    ] {
        let answer = test.api().send(method, &path, Some(&body));
        assert_eq!((answer.status, answer.text.contains(why)), (400, true), "{method} {path}: {answer:?}");
    }
    let lines = format!("{{\"create\":{}}}\n{{\"delete\":{{\"jobId\":\"{job}\"}}}}\n", new);
    let ndjson = [("Content-Type", "application/x-ndjson")];
    let answer = test.api().send_with("POST", "/api/jobs/batch", &ndjson, Some(&lines));
    assert!(answer.text.contains(why) && answer.text.contains(r#""done":1,"refused":1"#), "{answer:?}");
}
