//! Owns what a page shows of everything at once, on the real binary: which jobs fail, targets, strips, the timeline.
//! It must not test how much of it costs.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::support::api::job;
use super::support::receiver::Script;
use super::support::{second_of, until};
use super::{Setup, error_of, is_time, members, this_second};

fn create(test: &Setup, schedule: &str, url: &str, more: &Value) -> String {
    let mut body = job(schedule, url);
    body.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
    let answer = test.api().send("POST", "/api/jobs", Some(&body.to_string()));
    assert_eq!(answer.status, 201, "{}", answer.text);
    answer.json()["jobId"].as_str().expect("a text").to_owned()
}

/// Runs a job, and waits until it has ended.
fn run(test: &Setup, id: &str) {
    let answer = test.api().send("POST", &format!("/api/jobs/{id}/run"), Some(r#"{"wait":true}"#));
    assert_eq!(answer.status, 200, "{}", answer.text);
}

fn list<'a>(value: &'a Value, member: &str) -> &'a [Value] {
    value[member].as_array().expect("it is a list")
}

/// The sum of a member.
fn sum(values: &[Value], member: &str) -> u64 {
    values.iter().map(|value| value[member].as_u64().expect("a count")).sum()
}

#[test]
fn jobs_are_found_that_fail_and_those_that_their_policy_paused() {
    let test = Setup::new(&["--retries", "0"]);
    test.receiver.script("/bad", Script::Status(500));
    let make = |path: &str, more: &Value| create(&test, "@yearly", &test.receiver.url(path), more);
    let (good, bad) = (make("/good", &json!({})), make("/bad", &json!({})));
    let paused = make("/bad", &json!({"pauseOn": ["500"]}));
    let rests = make("/bad", &json!({}));
    make("/never", &json!({}));
    for id in [&good, &bad, &paused, &rests] {
        run(&test, id);
    }
    test.api().send("POST", &format!("/api/jobs/{rests}/pause"), None);
    let ids = |state: &str| -> Vec<String> {
        let jobs = test.api().pages(&format!("/api/jobs?state={state}&limit=1"), "jobs");
        jobs.iter().map(|job| job["jobId"].as_str().expect("a text").to_owned()).collect()
    };
    until("its policy has paused it", || (ids("autoPaused") == [&*paused]).then_some(()));
    assert_eq!(ids("failing"), [&*bad], "one that is paused is not told as failing");
    assert_eq!(ids("paused"), [&*paused, &*rests], "those who paused it, too");
    test.receiver.script("/bad", Script::Status(200));
    run(&test, &bad);
    assert!(ids("failing").is_empty(), "its last outcome is what counts");
    test.api().send("POST", &format!("/api/jobs/{rests}/resume"), None);
    test.api().send("POST", &format!("/api/jobs/{paused}/resume"), None);
    assert_eq!((ids("failing"), ids("autoPaused")), (vec![paused, rests], vec![]));
}

#[test]
fn targets_come_in_the_order_in_which_they_matter() {
    let test = Setup::new(&["--retries", "5", "--retry-delay-ms", "3600000"]);
    // It hangs, one is refused, and one has nothing to do.
    test.receiver.script("/hang", Script::Hang);
    let hanging = create(&test, "@yearly", &test.receiver.url("/hang"), &json!({}));
    let dead = create(&test, "@yearly", "http://127.0.0.1:1/dead", &json!({}));
    for number in 0..25 {
        create(&test, "@yearly", &format!("http://127.0.0.1:{}/", 20_000 + number % 23), &json!({}));
    }
    test.api().send("POST", &format!("/api/jobs/{hanging}/run"), None);
    for _ in 0..3 {
        test.api().send("POST", &format!("/api/jobs/{dead}/run"), None);
    }
    let found = until("the dead one fails, and one is in flight", || {
        let found = test.api().get("/api/targets");
        let (first, second) = (&found["targets"][0], &found["targets"][1]);
        (first["retries"] == 3 && second["inFlight"] == 1).then_some(found)
    });
    assert_eq!(
        (members(&found), &found["total"], list(&found, "targets").len()),
        (vec!["targets", "total"], &json!(25), 20)
    );
    let first = json!({
        "target": "http://127.0.0.1:1", "jobs": 1, "inFlight": 0, "waiting": 3, "retries": 3, "stalledJobs": 0,
        "failing": true, "failuresInARow": 3,
    });
    assert_eq!(found["targets"][0], first);
    let base = test.receiver.url("");
    assert_eq!(found["targets"][1]["target"], json!(base.trim_end_matches('/')));
    assert_eq!((&found["targets"][1]["waiting"], &found["targets"][1]["failing"]), (&json!(0), &json!(false)));
    let rest: Vec<(&str, &Value)> = list(&found, "targets")[2..]
        .iter()
        .map(|one| (one["target"].as_str().expect("a text"), &one["jobs"]))
        .collect();
    let expected =
        |number: u32| (format!("http://127.0.0.1:{}", 20_000 + number), json!(if number < 2 { 2 } else { 1 }));
    let expected: Vec<(String, Value)> = (0..18).map(expected).collect();
    assert!(rest.iter().zip(&expected).all(|(found, wanted)| *found == (&*wanted.0, &wanted.1)), "{rest:?}");
    assert_eq!(list(&test.api().get("/api/targets?limit=3"), "targets"), &list(&found, "targets")[..3]);
    assert_eq!(list(&test.api().get("/api/targets?limit=1000"), "targets").len(), 25);
    assert_eq!(test.api().send("HEAD", "/api/targets", None).status, 200);
    for (query, why) in [("limit=0", "limit: expected a number from 1 to 1000"), ("cursor=1", "cursor: unknown")] {
        let answer = test.api().send("GET", &format!("/api/targets?{query}"), None);
        assert!(answer.status == 400 && error_of(&answer.json()).starts_with(why), "{}", answer.text);
    }
}

#[test]
fn strips_are_what_the_pages_of_their_jobs_are() {
    let test = Setup::new(&["--retries", "0"]);
    test.receiver.script("/bad", Script::Status(500));
    let busy = create(&test, "* * * * * *", &test.receiver.url("/good"), &json!({"maxRuns": 3}));
    let asked = create(&test, "@yearly", &test.receiver.url("/bad"), &json!({}));
    let never = create(&test, "@yearly", &test.receiver.url("/never"), &json!({}));
    run(&test, &asked);
    run(&test, &asked);
    until("it has ended", || {
        let ended = test.api().executions(&busy);
        (ended.iter().filter(|one| one["status"] == "SUCCESS").count() == 3).then_some(())
    });
    let unknown = "00000000-0000-8000-8000-000000000000";
    let strips = |test: &Setup, query: &str| {
        let found = test.api().get(&format!("/api/strips?jobId={asked},{unknown},{busy},{never}{query}"));
        assert_eq!(members(&found), ["strips"]);
        list(&found, "strips").to_vec()
    };
    let found = strips(&test, "");
    let jobs: Vec<&Value> = found.iter().map(|strip| &strip["jobId"]).collect();
    assert_eq!(jobs, [&json!(asked), &json!(unknown), &json!(busy), &json!(never)]);
    // What each is called by people: none of these has a name, and one is not there.
    let urls: Vec<&Value> = found.iter().map(|strip| &strip["api"]).collect();
    let (good, bad, other) = (test.receiver.url("/good"), test.receiver.url("/bad"), test.receiver.url("/never"));
    assert_eq!(urls, [&json!(bad), &Value::Null, &json!(good), &json!(other)]);
    let lengths = |strips: &[Value]| strips.iter().map(|strip| list(strip, "runs").len()).collect::<Vec<_>>();
    assert_eq!(lengths(&found), [2, 0, 3, 0]);
    for (strip, job) in [(&found[0], &asked), (&found[2], &busy)] {
        let executions = test.api().executions(job);
        for (run, execution) in list(strip, "runs").iter().zip(&executions) {
            assert_eq!(members(run), ["driftMs", "duration", "executionId", "kind", "scheduledTime", "status"]);
            for member in members(run) {
                assert_eq!(run[member], execution[member], "{member}");
            }
        }
    }
    assert_eq!((&found[0]["runs"][0]["status"], &found[0]["runs"][0]["driftMs"]), (&json!("FAILED"), &Value::Null));
    assert_eq!(lengths(&strips(&test, "&limit=1")), [1, 0, 1, 0]);
    let test = test.killed_and_started();
    assert_eq!(strips(&test, ""), found);
    let many = vec![unknown; 51].join(",");
    for (query, why) in [
        (String::new(), "jobId: it is missing"),
        ("?jobId=".to_owned(), "jobId: expected ids of jobs, with commas between them, got \"\""),
        (format!("?jobId={busy},x"), "jobId: expected ids of jobs, with commas between them, got \"x\""),
        (format!("?jobId={many}"), "jobId: expected up to 50 ids of jobs"),
        (format!("?jobId={busy}&limit=101"), "limit: expected a number from 1 to 100"),
    ] {
        let answer = test.api().send("GET", &format!("/api/strips{query}"), None);
        assert!(answer.status == 400 && error_of(&answer.json()).starts_with(why), "{}", answer.text);
    }
}

/// The beginning of each minute as a Unix second; they follow one another.
fn starts(minutes: &[Value]) -> Vec<i64> {
    assert!(minutes.iter().all(|minute| is_time(&minute["start"])));
    let starts: Vec<i64> = minutes.iter().map(|one| second_of(one["start"].as_str().expect("a text"))).collect();
    assert!(starts.len() == 60 && starts.windows(2).all(|two| two[1] == two[0] + 60), "{starts:?}");
    starts
}

#[test]
fn the_timeline_has_what_ended_and_what_the_schedules_have() {
    let test = Setup::new(&["--retries", "0"]);
    test.receiver.script("/bad", Script::Status(500));
    let began = this_second();
    let (good, bad) = (test.receiver.url("/good"), test.receiver.url("/bad"));
    let asked = create(&test, "@yearly", &bad, &json!({}));
    // Twenty meet at each full hour, and two at each half.
    for number in 0..20 {
        create(&test, "0 0 * * * *", &format!("{good}{number}"), &json!({}));
    }
    for _ in 0..2 {
        create(&test, "0 30 * * * *", &good, &json!({}));
    }
    create(&test, "15 * * * * *", &good, &json!({}));
    create(&test, "* * * * * *", &good, &json!({"active": false}));
    let second = create(&test, "* * * * * *", &good, &json!({"maxRuns": 2}));
    run(&test, &asked);
    // The one with 15 may be among what succeeds.
    until("both runs of the last one have ended", || {
        let ended = test.api().get(&format!("/api/jobs/{second}/executions"));
        let ended = list(&ended, "executions").iter().filter(|execution| execution["status"] == "SUCCESS");
        (ended.count() == 2).then_some(())
    });
    let found = until("three have ended", || {
        let found = test.api().get("/api/timeline");
        let past = list(&found, "past");
        (sum(past, "success") >= 2 && sum(past, "failed") >= 1).then_some(found)
    });
    let expected = ["countedSince", "jobs", "lookedAt", "next", "now", "past", "peaks", "stepSeconds"];
    assert_eq!((members(&found), &found["stepSeconds"]), (expected.to_vec(), &json!(60)));
    let (past, next) = (list(&found, "past"), list(&found, "next"));
    assert_eq!(members(&past[0]), ["driftMaxMs", "failed", "skipped", "start", "success"]);
    assert_eq!(members(&next[0]), ["due", "start"]);
    let now = second_of(found["now"].as_str().expect("a text"));
    assert_eq!((starts(past)[59], starts(next)[0]), (now / 60 * 60, now / 60 * 60 + 60));
    let since = second_of(found["countedSince"].as_str().expect("a text"));
    assert!(is_time(&found["countedSince"]) && (began - 60..=now).contains(&since), "{since}");
    assert_eq!((sum(past, "failed"), sum(past, "skipped")), (1, 0));
    // A minute may have turned meanwhile, in which the one with 15 was due.
    let success = sum(past, "success");
    assert!((2..=24).contains(&success), "{success}");
    let drift: Vec<f64> = past.iter().filter_map(|minute| minute["driftMaxMs"].as_f64()).collect();
    assert!(!drift.is_empty() && drift.iter().all(|ms| *ms >= 0.0), "{drift:?}");

    assert_eq!((&found["jobs"], &found["lookedAt"]), (&json!(26), &json!(26)));
    for minute in next {
        let start = second_of(minute["start"].as_str().expect("a text"));
        let expected = 1 + match start / 60 % 60 {
            0 => 20,
            30 => 2,
            _ => 0,
        };
        assert_eq!(minute["due"], expected, "{minute}");
    }
    let peaks: BTreeMap<u64, i64> = list(&found, "peaks")
        .iter()
        .map(|peak| (peak["due"].as_u64().expect("a count"), second_of(peak["time"].as_str().expect("a text")) % 3_600))
        .collect();
    assert_eq!(peaks, BTreeMap::from([(20, 0), (2, 1_800)]), "what one alone is due for is no peak");
    assert_eq!(found["peaks"][0]["due"], 20);
    assert_eq!(test.api().send("HEAD", "/api/timeline", None).status, 200);
    // Another process begins to count anew.
    let test = test.killed_and_started();
    let found = test.api().get("/api/timeline");
    assert!(second_of(found["countedSince"].as_str().expect("a text")) >= since);
    assert_eq!(sum(list(&found, "past"), "failed"), 0);
}

#[test]
fn many_jobs_are_looked_at_in_pieces_and_clients_that_leave_end_that() {
    let test = Setup::new(&[]);
    // Each has a schedule of its own, with an instant in each minute.
    let lines: Vec<String> = (0..1_200)
        .map(|number| {
            let mut job = job("30 * * * * *", &format!("http://127.0.0.1:{}/", 10_000 + number));
            job["endsAt"] = json!(format!("2090-01-01T{:02}:{:02}:00Z", number / 60 % 24, number % 60));
            job["spreadSeconds"] = json!(60);
            job["spreadSeed"] = json!(number);
            json!({ "create": job }).to_string()
        })
        .collect();
    let kind = [("Content-Type", "application/x-ndjson")];
    let answer = test.api().send_with("POST", "/api/jobs/batch", &kind, Some(&lines.join("\n")));
    assert_eq!((answer.status, &answer.json()["done"]), (200, &json!(1_200)), "{}", answer.text);
    let found = test.api().get("/api/timeline");
    assert_eq!((&found["jobs"], &found["lookedAt"]), (&json!(1_200), &json!(1_200)));
    assert!(list(&found, "next").iter().all(|minute| minute["due"] == 1_200), "{}", found["next"]);
    assert_eq!(list(&found, "peaks").len(), 10);
    // Several at once are given the same, and one after the other.
    let answers: Vec<Value> = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..4).map(|_| scope.spawn(|| test.api().get("/api/timeline"))).collect();
        clients.into_iter().map(|client| client.join().expect("it is answered")).collect()
    });
    assert!(answers.iter().all(|answer| answer["lookedAt"] == 1_200));
    let all = test.api().get("/api/targets?limit=1000");
    assert_eq!((&all["total"], list(&all, "targets").len()), (&json!(1_200), 1_000));
    let names: BTreeSet<&str> =
        list(&all, "targets").iter().map(|target| target["target"].as_str().expect("a text")).collect();
    assert_eq!(names.len(), 1_000, "each is met once");
    for _ in 0..3 {
        let mut client = std::net::TcpStream::connect(&test.server.api.address).expect("it listens");
        let request = format!("GET /api/timeline HTTP/1.1\r\nHost: {}\r\n\r\n", test.server.api.address);
        std::io::Write::write_all(&mut client, request.as_bytes()).expect("it is taken");
        drop(client);
    }
    test.is_well();
}
