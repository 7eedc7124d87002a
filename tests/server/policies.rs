//! Owns a job's policies on the real binary: at most once, overlap, retries, keys, runs, pauses.
//! It must not test every mix: the simulation does.

use serde_json::{Value, json};

use super::support::receiver::Script;
use super::support::server::Server;
use super::support::{second_of, until};
use super::{Setup, once_at, this_second, with_few_workers};

/// Registers a job with these members beside schedule, URL and type; its id.
fn create(test: &Setup, schedule: &str, path: &str, members: Value) -> String {
    let mut body = json!({"schedule": schedule, "api": test.receiver.url(path), "type": "ATLEAST_ONCE"});
    let all = body.as_object_mut().expect("it is an object");
    all.extend(members.as_object().expect("it is an object").clone());
    let answer = test.api().send("POST", "/api/jobs", Some(&body.to_string()));
    assert_eq!(answer.status, 201, "{}", answer.text);
    let answer = answer.json();
    for (name, value) in members.as_object().expect("it is an object") {
        assert_eq!(answer["job"][name], *value, "it is answered as it was sent");
    }
    answer["jobId"].as_str().expect("it is a text").to_owned()
}

/// The only execution of a job, once it has this status.
fn only(test: &Setup, job: &str, status: &str) -> Value {
    until(&format!("{job} is {status}"), || {
        test.api().executions(job).into_iter().find(|execution| execution["status"] == status)
    })
}

/// Executions of a job once so many of them are finished, oldest first.
fn finished(test: &Setup, job: &str, count: usize) -> Vec<Value> {
    until(&format!("{count} executions of {job} are finished"), || {
        let mut found = test.api().executions(job);
        found.retain(|execution| execution["status"] != "PENDING");
        found.reverse();
        (found.len() >= count).then_some(found)
    })
}

fn text<'a>(value: &'a Value, member: &str) -> &'a str {
    value[member].as_str().unwrap_or_else(|| panic!("{member} is a text in {value}"))
}

#[test]
fn what_may_have_arrived_is_not_sent_again_at_most_once() {
    let test = Setup::new(&["--retries", "3", "--retry-delay-ms", "10"]);
    test.receiver.script("/bad", Script::Status(500));
    let job = create(&test, &once_at(this_second() + 2), "/bad", json!({"type": "ATMOST_ONCE"}));
    let execution = only(&test, &job, "FAILED");
    assert_eq!((&execution["retryCount"], test.receiver.posts_to("/bad").len()), (&json!(0), 1));

    // Nobody listens there: no byte is written, so it is tried again.
    let body = json!({"schedule": once_at(this_second() + 2), "api": "http://127.0.0.1:1/", "type": "ATMOST_ONCE"});
    let answer = test.api().send("POST", "/api/jobs", Some(&body.to_string()));
    let job = text(&answer.json(), "jobId").to_owned();
    assert_eq!(only(&test, &job, "FAILED")["retryCount"], 3);
}

#[test]
fn after_a_crash_what_is_at_most_once_is_closed_and_the_rest_is_sent_again() {
    let mut test = Setup::new(&[]);
    test.receiver.script("/hang", Script::Hang);
    let at = this_second() + 2;
    let once = create(&test, &once_at(at), "/hang", json!({"type": "ATMOST_ONCE"}));
    let again = create(&test, &once_at(at), "/hang", json!({}));
    until("both are in flight", || (test.receiver.posts_to("/hang").len() == 2).then_some(()));
    test.receiver.script("/hang", Script::Status(200));
    let db = test.db();
    std::mem::replace(&mut test.server, Server::start(&test.folder.path().join("other.db"), &[])).kill();
    test.server = Server::start(&db, &with_few_workers(&[]));

    let closed = only(&test, &once, "FAILED");
    assert!(text(&closed, "errorMessage").contains("at most once"), "{closed}");
    assert_eq!(text(&only(&test, &again, "SUCCESS"), "late"), "recovered");
    let keys: Vec<String> = test.receiver.posts_to("/hang").into_iter().map(|post| post.key).collect();
    assert_eq!(keys.iter().filter(|key| key.starts_with(&once)).count(), 1, "{keys:?}");
    assert_eq!(keys.iter().filter(|key| key.starts_with(&again)).count(), 2, "{keys:?}");
}

#[test]
fn overlap_is_skipped_or_queued() {
    let test = Setup::new(&[]);
    test.receiver.script("/skip", Script::SlowMs(2_500));
    test.receiver.script("/queue", Script::SlowMs(2_500));
    test.receiver.script("/allow", Script::SlowMs(2_500));
    let skip = create(&test, "* * * * * *", "/skip", json!({"overlap": "skip"}));
    let queue = create(&test, "* * * * * *", "/queue", json!({"overlap": "queue_one"}));
    let allow = create(&test, "* * * * * *", "/allow", json!({}));
    for (job, path) in [(&skip, "/skip"), (&queue, "/queue")] {
        let all = finished(&test, job, 6);
        let skipped: Vec<&Value> = all.iter().filter(|execution| execution["status"] == "SKIPPED").collect();
        assert!(!skipped.is_empty(), "{all:?}");
        assert!(skipped.iter().all(|execution| text(execution, "reason").starts_with("skipped: ")), "{skipped:?}");
        // Never two at once: each came after the one before was answered.
        let mut posts = test.receiver.posts_to(path);
        posts.sort_by_key(|post| post.at_us);
        let apart = posts.windows(2).all(|pair| pair[1].at_us - pair[0].at_us >= 2_500_000);
        assert!(apart && posts.len() >= 2, "{path}: {posts:?}");
    }
    let waited = finished(&test, &queue, 8).iter().any(|execution| execution["late"] == "waited");
    assert!(waited, "one that waited says so");
    assert!(finished(&test, &allow, 4).iter().all(|execution| execution["status"] == "SUCCESS"));
}

#[test]
fn a_job_says_how_it_is_retried() {
    let test = Setup::new(&["--retries", "3", "--retry-delay-ms", "10"]);
    for (path, status) in [("/500", 500), ("/404", 404), ("/more", 500), ("/long", 500)] {
        test.receiver.script(path, Script::Status(status));
    }
    let at = || once_at(this_second() + 2);
    let on = json!({"retry": {"on": ["timeout", "connection", "5xx"]}});
    let (retried, given_up) = (create(&test, &at(), "/500", on.clone()), create(&test, &at(), "/404", on));
    let more = json!({"retry": {"maxAttempts": 6, "initialDelayMs": 5, "multiplier": 1.5, "jitter": 0.0}});
    let more = create(&test, &at(), "/more", more);
    let long = create(&test, &at(), "/long", json!({"retry": {"initialDelayMs": 60000, "maxElapsedMs": 1000}}));
    assert_eq!(only(&test, &retried, "FAILED")["retryCount"], 3);
    assert_eq!(only(&test, &given_up, "FAILED")["retryCount"], 0);
    assert_eq!(only(&test, &more, "FAILED")["retryCount"], 5);
    let long = only(&test, &long, "FAILED");
    assert_eq!(long["retryCount"], 0);
    assert_eq!(text(&long, "errorMessage"), "the target answered 500; the time for retries was over");
}

/// More than a turn of the loop takes on a busy machine, in microseconds.
const TURN_US: i64 = 100_000;

#[test]
fn a_target_is_left_alone_for_as_long_as_it_asks() {
    let test = Setup::new(&["--retry-delay-ms", "1"]);
    test.receiver.script("/busy", Script::Busy(2));
    let job = create(&test, &once_at(this_second() + 2), "/busy", json!({}));
    let execution = only(&test, &job, "SUCCESS");
    assert_eq!(execution["attempts"][0]["httpStatus"], 503);
    let posts = test.receiver.posts_to("/busy");
    // The loop reads the clock once a turn, which may be a little before it hears of the answer.
    let least_us = 2_000_000 - TURN_US;
    assert!(posts.len() == 2 && posts[1].at_us - posts[0].at_us >= least_us, "{posts:?}");
}

#[test]
fn retries_give_way_to_the_next_execution() {
    let test = Setup::new(&[]);
    test.receiver.script("/bad", Script::Status(500));
    let retry = json!({"initialDelayMs": 1500, "multiplier": 1.0, "jitter": 0.0, "untilNext": true});
    let job = create(&test, "* * * * * *", "/bad", json!({"retry": retry}));
    let all = finished(&test, &job, 3);
    let gave_way = |execution: &Value| text(execution, "errorMessage").ends_with("gave way to the next execution");
    assert!(all.iter().all(gave_way), "{all:?}");
    assert!(test.receiver.posts_to("/bad").iter().all(|post| post.attempt == 1));
}

#[test]
fn a_key_bounds_what_its_jobs_have_under_way() {
    let test = Setup::new(&[]);
    test.receiver.script("/slow", Script::SlowMs(300));
    let schedule = once_at(this_second() + 3);
    let key = json!({"concurrencyKey": {"name": "billing", "limit": 1}});
    let jobs: Vec<String> = (0..4).map(|_| create(&test, &schedule, "/slow", key.clone())).collect();
    let waits = until("one says what it waits for", || {
        let found = jobs.iter().flat_map(|job| test.api().executions(job));
        found.into_iter().find(|execution| execution.get("waitsFor").is_some_and(|wait| !wait.is_null()))
    });
    assert_eq!((&waits["waitsFor"], &waits["status"]), (&json!("concurrencyKey"), &json!("PENDING")));
    for job in &jobs {
        only(&test, job, "SUCCESS");
    }
    let mut posts = test.receiver.posts_to("/slow");
    posts.sort_by_key(|post| post.at_us);
    assert_eq!(posts.len(), 4);
    assert!(posts.windows(2).all(|pair| pair[1].at_us - pair[0].at_us >= 300_000), "{posts:?}");
}

#[test]
fn a_rate_spreads_what_is_due_together() {
    let test = Setup::new(&[]);
    let at = this_second() + 3;
    let key = json!({"concurrencyKey": {"name": "slowly", "rate": "5/s"}});
    let jobs: Vec<String> = (0..5).map(|_| create(&test, &once_at(at), "/rate", key.clone())).collect();
    for job in &jobs {
        only(&test, job, "SUCCESS");
    }
    let mut posts = test.receiver.posts_to("/rate");
    posts.sort_by_key(|post| post.at_us);
    let whole_us = posts[4].at_us - posts[0].at_us;
    // Each of them may be late by itself; all together they take no less than the rate says, but for the first's delay.
    assert!(whole_us >= 700_000, "five began within {whole_us} us");
    assert!(posts.iter().all(|post| post.at_us >= at * 1_000_000));
}

#[test]
fn a_job_ends_after_its_runs() {
    let test = Setup::new(&[]);
    let job = create(&test, "* * * * * *", "/three", json!({"maxRuns": 3}));
    let path = format!("/api/jobs/{job}");
    let ended = until("the job has no runs left", || {
        Some(test.api().get(&path)).filter(|job| job["active"] == false && job["stats"]["total"] == 3)
    });
    assert_eq!(ended["nextExecution"], Value::Null);
    let last = test.receiver.posts_to("/three").iter().map(|post| post.second).max();
    until("two more seconds have passed", || (Some(this_second()) > last.map(|last| last + 2)).then_some(()));
    assert_eq!(test.receiver.posts_to("/three").len(), 3);
}

#[test]
fn failures_and_a_goodbye_pause_a_job() {
    let mut test = Setup::new(&["--retries", "0"]);
    test.receiver.script("/gone", Script::Status(410));
    test.receiver.script("/bad", Script::Status(500));
    let gone = create(&test, "* * * * * *", "/gone", json!({"pauseOn": [410]}));
    let bad = create(&test, "* * * * * *", "/bad", json!({"autoPauseAfter": 2}));
    let paused = |test: &Setup, job: &str| {
        let path = format!("/api/jobs/{job}");
        until("the job is paused", || Some(test.api().get(&path)).filter(|job| job["active"] == false))
    };
    assert_eq!(paused(&test, &gone)["paused"]["reason"], "the target answered 410");
    assert_eq!(paused(&test, &bad)["paused"]["reason"], "2 executions in a row failed");
    // It is on disk, and a change that makes it active takes the reason away.
    let db = test.db();
    let old = std::mem::replace(&mut test.server, Server::start(&test.folder.path().join("other.db"), &[]));
    old.kill();
    test.server = Server::start(&db, &with_few_workers(&["--retries", "0"]));
    assert_eq!(paused(&test, &gone)["paused"]["reason"], "the target answered 410");
    let body = json!({"schedule": "@daily", "api": test.receiver.url("/a"), "type": "ATLEAST_ONCE", "active": true});
    let answer = test.api().send("PUT", &format!("/api/jobs/{gone}"), Some(&body.to_string()));
    assert_eq!((answer.status, &answer.json()["job"]["paused"]), (200, &Value::Null));
}

#[test]
fn a_jobs_own_lateness_counts_for_what_was_missed() {
    let mut test = Setup::new(&[]);
    let late = json!({"misfire": {"policy": "all", "maxLatenessMs": 2000}});
    let job = create(&test, "* * * * * *", "/late", late);
    finished(&test, &job, 1);
    let db = test.db();
    std::mem::replace(&mut test.server, Server::start(&test.folder.path().join("other.db"), &[])).kill();
    let down = this_second();
    until("the server was down for some time", || (this_second() > down + 6).then_some(()));
    test.server = Server::start(&db, &with_few_workers(&[]));
    let gap = until("the gap is in a row", || {
        let found = test.api().executions(&job).into_iter();
        found.into_iter().find(|execution| execution["status"] == "SKIPPED")
    });
    assert!(text(&gap, "reason").contains("maximum lateness"), "{gap}");
    let through = second_of(text(&gap["covers"], "to"));
    let caught_up = test.receiver.posts_to("/late").into_iter().filter(|post| post.late && post.attempt == 1);
    assert!(caught_up.into_iter().all(|post| post.second > through), "what was too late was not sent");
}

#[test]
fn only_a_held_job_is_released() {
    let test = Setup::new(&[]);
    let job = create(&test, "@daily", "/a", json!({}));
    let answer = test.api().send("POST", &format!("/api/jobs/{job}/release"), None);
    assert_eq!(answer.status, 409, "{}", answer.text);
    assert!(answer.text.contains("not held"), "{}", answer.text);
    assert_eq!(test.api().send("POST", "/api/jobs/nothing/release", None).status, 404);
}
