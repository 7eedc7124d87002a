//! What happened, through the API: executions, alerts, metrics, health, and paging while it goes on happening.
//! It must not test the jobs themselves.

use std::collections::BTreeSet;

use punctual::telemetry::{Figures, Kind};
use serde_json::{Value, json};

use super::support::api::Api;
use super::support::receiver::Script;
use super::support::{second_of, until};
use super::{Setup, error_of, is_time, members, this_second};

const EXECUTION_MEMBERS: [&str; 10] = [
    "driftMs",
    "duration",
    "errorMessage",
    "executedTime",
    "executionId",
    "httpStatus",
    "kind",
    "retryCount",
    "scheduledTime",
    "status",
];

fn scheduled(execution: &Value) -> i64 {
    second_of(execution["scheduledTime"].as_str().expect("it is a text"))
}

fn ids(executions: &[Value]) -> Vec<String> {
    executions.iter().map(|one| one["executionId"].as_str().expect("it is a text").to_owned()).collect()
}

/// The members that every execution has.
fn usual_members(execution: &Value) -> Vec<&str> {
    let rare = ["attempts", "response", "timings", "waitsFor"];
    members(execution).into_iter().filter(|name| !rare.contains(name)).collect()
}

#[test]
fn executions_are_listed_newest_first_and_armed_ones_are_not() {
    let test = Setup::new(&[]);
    let id = test.api().create("* * * * * *", &test.receiver.url("/a"));
    let executions = until("three executions", || {
        let found = test.api().executions(&id);
        let latest = found.iter().map(scheduled).max().unwrap_or_default();
        // The next one is armed all the time, but it has not happened.
        assert!(latest <= this_second(), "{latest} is in the future");
        (found.len() >= 3).then_some(found)
    });
    assert!(executions.iter().map(scheduled).rev().is_sorted(), "{executions:?}");
    let oldest = executions.last().expect("there are three");
    assert_eq!(usual_members(oldest), EXECUTION_MEMBERS);
    // The first one had to connect; those after it are answered as they always were.
    assert_eq!(members(&oldest["timings"]), ["connectMs", "firstByteMs", "nameMs", "tlsMs"]);
    assert!(executions.iter().any(|execution| members(execution) == EXECUTION_MEMBERS), "{executions:?}");
    assert!(is_time(&oldest["scheduledTime"]) && is_time(&oldest["executedTime"]), "{oldest}");
    assert_eq!((&oldest["status"], &oldest["httpStatus"]), (&json!("SUCCESS"), &json!(200)));
    assert_eq!((&oldest["errorMessage"], &oldest["retryCount"]), (&Value::Null, &json!(0)));
    assert!(oldest["driftMs"].as_f64().is_some_and(|ms| ms >= 0.0), "{oldest}");
    assert!(oldest["duration"].as_f64().is_some_and(|ms| ms > 0.0), "{oldest}");
    let posts = test.receiver.posts_to("/a");
    assert_eq!(oldest["executionId"], json!(posts[0].key), "what was sent is what is listed");
    assert_eq!((posts[0].body.as_str(), &posts[0].headers["punctual-job-id"]), ("{}", &id));
    assert_eq!((posts[0].attempt, posts[0].headers["content-type"].as_str()), (1, "application/json"));
    assert_eq!((posts[0].second, posts[0].late), (scheduled(oldest), false));

    let page = test.api().get(&format!("/api/jobs/{id}/executions"));
    assert_eq!(members(&page), ["executions", "jobId", "nextCursor"]);
    assert_eq!(page["jobId"], json!(id));
    until("more than the default page", || (test.api().executions(&id).len() > 5).then_some(()));
    let page = test.api().get(&format!("/api/jobs/{id}/executions"));
    assert_eq!(page["executions"].as_array().map(Vec::len), Some(5), "5 unless asked otherwise");
    let stats = test.api().get(&format!("/api/jobs/{id}"))["stats"].clone();
    assert!(stats["success"].as_u64().is_some_and(|count| count >= 5), "{stats}");
    assert!(stats["avgDuration"].as_f64().is_some_and(|ms| ms > 0.0), "{stats}");
}

#[test]
fn paging_gives_each_execution_once_while_firing_goes_on() {
    let test = Setup::new(&[]);
    let jobs: Vec<String> =
        (0..4).map(|number| test.api().create("* * * * * *", &test.receiver.url(&format!("/{number}")))).collect();
    let all = |limit: usize| test.api().pages(&format!("/api/executions?limit={limit}"), "executions");
    until("a dozen executions", || (all(500).len() >= 12).then_some(()));
    for page_size in [1, 3] {
        let before: BTreeSet<String> = ids(&all(500)).into_iter().collect();
        let found = ids(&all(page_size));
        let each: BTreeSet<String> = found.iter().cloned().collect();
        assert_eq!(each.len(), found.len(), "something came twice");
        assert!(each.is_superset(&before), "missing: {:?}", before.difference(&each));
        let before: BTreeSet<String> = ids(&test.api().executions(&jobs[0])).into_iter().collect();
        let found =
            ids(&test.api().pages(&format!("/api/jobs/{}/executions?limit={page_size}", jobs[0]), "executions"));
        let each: BTreeSet<String> = found.iter().cloned().collect();
        assert!(each.len() == found.len() && each.is_superset(&before), "{before:?} {found:?}");
    }
}

#[test]
fn executions_of_all_jobs_have_the_job_and_filter_by_status() {
    let test = Setup::new(&["--retries", "0"]);
    test.receiver.script("/bad", Script::Status(503));
    test.receiver.script("/hang", Script::Hang);
    let good = test.api().create("* * * * * *", &test.receiver.url("/good"));
    let bad = test.api().create("* * * * * *", &test.receiver.url("/bad"));
    let hanging = test.api().create("* * * * * *", &test.receiver.url("/hang"));
    for (status, job) in [("SUCCESS", &good), ("FAILED", &bad), ("PENDING", &hanging)] {
        let page = until(status, || {
            let page = test.api().get(&format!("/api/executions?status={status}&limit=50"));
            (page["executions"].as_array().is_some_and(|list| !list.is_empty())).then_some(page)
        });
        assert_eq!(members(&page), ["executions", "nextCursor"]);
        for execution in page["executions"].as_array().expect("it is a list") {
            let mut expected = EXECUTION_MEMBERS.to_vec();
            expected.push("jobId");
            expected.sort_unstable();
            assert_eq!(usual_members(execution), expected);
            assert_eq!(execution["status"], status);
            assert!(status == "PENDING" || execution["jobId"] == json!(job), "{execution}");
        }
    }
    let failed = &test.api().get("/api/executions?status=FAILED&limit=1")["executions"][0];
    assert_eq!((&failed["httpStatus"], &failed["retryCount"]), (&json!(503), &json!(0)));
    assert!(failed["errorMessage"].as_str().is_some_and(|text| text.contains("503")), "{failed}");
    assert_eq!(test.api().get("/api/executions?status=SKIPPED"), json!({"executions": [], "nextCursor": null}));
}

#[test]
fn metrics_have_the_promised_members() {
    let test = Setup::new(&[]);
    let id = test.api().create("* * * * * *", &test.receiver.url("/a"));
    test.api().create("@daily", &test.receiver.url("/b"));
    let metrics = until("an execution is counted", || {
        let metrics = test.api().get("/api/metrics");
        metrics["scheduler"]["totalExecutions"].as_u64().filter(|&count| count > 0).map(|_| metrics)
    });
    let scheduler = &metrics["scheduler"];
    for member in ["isRunning", "activeJobs", "activeExecutions", "totalExecutions", "averageDrift"] {
        assert!(members(scheduler).contains(&member), "{member}: {scheduler}");
    }
    assert_eq!((&scheduler["isRunning"], &scheduler["activeJobs"]), (&json!(true), &json!(2)));
    assert!(scheduler["averageDrift"].as_f64().is_some_and(|ms| ms >= 0.0), "{scheduler}");
    for job in metrics["jobs"].as_array().expect("it is a list") {
        assert_eq!(members(job), ["api", "jobId", "name", "nextExecution", "schedule"]);
        assert!(is_time(&job["nextExecution"]), "{job}");
    }
    assert_eq!(metrics["jobs"].as_array().map(Vec::len), Some(2));
    assert_eq!(metrics["jobs"][0]["jobId"], json!(id), "what fires next comes first");
    assert_eq!(test.api().get("/api/metrics?limit=1")["jobs"].as_array().map(Vec::len), Some(1));
}

#[test]
fn metrics_have_every_figure_that_is_measured() {
    let test = Setup::new(&[]);
    // The disk is looked at by a thread of its own.
    let metrics = until("the disk is measured", || {
        Some(test.api().get("/api/metrics")).filter(|metrics| metrics["store"]["diskBytes"].is_number())
    });
    let list = Figures::default().list();
    assert!(list.len() > 40, "{}", list.len());
    for figure in list {
        let found = metrics.pointer(&format!("/{}", figure.path.replace('.', "/")));
        let found = found.unwrap_or_else(|| panic!("{} is missing: {metrics}", figure.path));
        let fits = match figure.kind {
            // Of time a part may have passed.
            Kind::Counter => found.is_u64() || (figure.path == "process.cpuSeconds" && found.is_f64()),
            // Without executions there is no average, and without other nodes no lease and no other clock.
            Kind::Gauge => {
                let may_lack = ["scheduler.averageDrift", "nodes.leaseSeconds", "nodes.clockAheadSeconds"];
                found.is_number() || (may_lack.contains(&figure.path) && found.is_null())
            }
            Kind::Distribution => found["count"].is_u64() && found["p999Ms"].is_f64(),
            Kind::Flag => found.is_boolean(),
        };
        assert!(fits, "{}: {found}", figure.path);
    }
}

#[test]
fn health_and_info_answer_and_every_listed_endpoint_exists() {
    let test = Setup::new(&[]);
    let health = test.api().get("/api/health");
    assert_eq!(members(&health), ["status", "timestamp"]);
    assert!(health["status"] == "healthy" && is_time(&health["timestamp"]), "{health}");
    assert_eq!(test.api().get("/api/alerts"), json!({"alerts": [], "nextCursor": null}));
    let info = test.api().get("/api/info");
    assert_eq!(members(&info), ["description", "endpoints", "name", "version", "zoneData"]);
    assert_eq!((&info["name"], &info["version"]), (&json!("punctual"), &json!(env!("CARGO_PKG_VERSION"))));
    let id = test.api().create("@daily", &test.receiver.url("/a"));
    let body = super::support::api::job("@hourly", &test.receiver.url("/a")).to_string();
    let channel = json!({"kind": "webhook", "url": test.receiver.url("/told")}).to_string();
    // A silence and an incident are there, too.
    test.receiver.script("/fails", Script::Status(500));
    let failing = test.api().create("@daily", &test.receiver.url("/fails"));
    test.api().send("POST", &format!("/api/jobs/{failing}/run"), Some(r#"{"wait":true}"#));
    let incident = until("an incident", || {
        test.api().get("/api/incidents")["incidents"][0]["incidentId"].as_str().map(str::to_owned)
    });
    let ends_at = chrono::Utc::now() + chrono::TimeDelta::days(30);
    let silence = json!({"tag": "x", "note": "a while", "endsAt": ends_at.format("%Y-%m-%dT%H:%M:%SZ").to_string()});
    let silence = silence.to_string();
    let made = test.api().send("POST", "/api/silences", Some(&silence)).json();
    let made = made["silenceId"].as_str().expect("an id");
    let endpoints = info["endpoints"].as_array().expect("it is a list").iter();
    let mut endpoints: Vec<&str> = endpoints.map(|endpoint| endpoint.as_str().expect("it is a text")).collect();
    // What is deleted cannot be asked for afterwards.
    endpoints.sort_by_key(|endpoint| endpoint.starts_with("DELETE"));
    // These are about whoever asks: without tokens, that is everybody.
    let asks_for_tokens = |endpoint: &&str| endpoint.contains("/api/tokens") || *endpoint == "POST /api/session";
    for endpoint in endpoints.into_iter().filter(|endpoint| !asks_for_tokens(endpoint)) {
        let (method, path) = endpoint.split_once(' ').expect("a method and a path");
        let body = match path {
            "/api/schedules/preview" => r#"{"schedule":"@hourly"}"#,
            "/api/calendars/:name" => r#"{"dates":[]}"#,
            "/api/channels/:name" => &channel,
            "/api/silences" => &silence,
            path if path.starts_with("/api/policies/") => "{}",
            path if path.ends_with("/acknowledge") => "{}",
            "/api/jobs/:id/backfill" => r#"{"from":"2026-01-01T00:00:00Z","to":"2026-01-02T00:00:00Z"}"#,
            "/api/executions/replay" => r#"{"status":"FAILED"}"#,
            path if path.ends_with("/run") || path.ends_with("/replay") => r#"{"wait":true}"#,
            path if path.ends_with("/pause") || path.ends_with("/resume") => "{}",
            _ => &body,
        };
        let is_execution = path.starts_with("/api/executions/");
        let id = if is_execution { execution_of(test.api(), &id) } else { id.clone() };
        let id = match path {
            path if path.starts_with("/api/incidents/") => incident.clone(),
            path if path.starts_with("/api/silences/") => made.to_owned(),
            _ => id,
        };
        let path = path.replace(":id", &id).replace(":name", "holidays").replace(":tag", "demo");
        let path = match path.as_str() {
            "/api/strips" => format!("{path}?jobId={id}"),
            _ if path.ends_with("/why") => format!("{path}?at=2026-01-01T00:00:00Z"),
            _ => path,
        };
        // What has no end is asked for its head.
        let method = if path == "/api/events" { "HEAD" } else { method };
        let answer = test.api().send(method, &path, matches!(method, "POST" | "PUT" | "PATCH").then_some(body));
        let is_answered = match path.as_str() {
            path if path.ends_with("/release") => answer.status < 300 || answer.status == 409,
            // This server shares its database with no other.
            path if path.starts_with("/api/nodes/") => answer.status == 404 && answer.text.contains("Node not found"),
            _ => answer.status < 300,
        };
        assert!(is_answered, "{endpoint}: {} {}", answer.status, answer.text);
    }
}

/// The newest execution of a job.
fn execution_of(api: &Api, job: &str) -> String {
    api.executions(job)[0]["executionId"].as_str().expect("it is a text").to_owned()
}

#[test]
fn wrong_parameters_are_refused_by_name() {
    let test = Setup::new(&[]);
    for (path, why) in [
        ("/api/jobs?limit=0", "limit"),
        ("/api/jobs?limit=1001", "limit"),
        ("/api/jobs?cursor=x", "cursor"),
        ("/api/jobs?page=2", "page"),
        ("/api/executions?status=success", "status"),
        ("/api/executions?cursor=1.2.3", "cursor"),
        ("/api/alerts?limit=-1", "limit"),
        ("/api/metrics?limit=ten", "limit"),
        ("/api/health?x=1", "x"),
    ] {
        let answer = test.api().send("GET", path, None);
        assert_eq!(answer.status, 400, "{path}");
        assert!(error_of(&answer.json()).contains(why), "{path}: {}", answer.text);
    }
}
