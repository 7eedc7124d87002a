//! Jobs through the API: create, read, change, pause, list, delete, with the names clients rely on.
//! It must not test what is sent, only that it starts and stops.

use serde_json::{Value, json};

use super::support::api::job;
use super::support::server::Server;
use super::support::{second_of, until};
use super::{Setup, error_of, is_time, members, this_second, with_few_workers};

const JOB_MEMBERS: [&str; 10] =
    ["active", "api", "createdAt", "jobId", "lastOutcome", "nextExecution", "schedule", "stats", "type", "updatedAt"];

fn check_job(job: &Value, schedule: &str, url: &str) {
    assert_eq!(members(job), JOB_MEMBERS);
    assert_eq!((&job["schedule"], &job["api"], &job["type"]), (&json!(schedule), &json!(url), &json!("ATLEAST_ONCE")));
    assert!(is_time(&job["createdAt"]) && is_time(&job["updatedAt"]), "{job}");
    assert_eq!(members(&job["stats"]), ["avgDuration", "failed", "skipped", "success", "total"]);
}

#[test]
fn a_job_is_created_read_and_changed() {
    let test = Setup::new(&[]);
    let (schedule, url) = ("31 10-15 1 * * MON-FRI", test.receiver.url("/a"));
    let answer = test.api().send("POST", "/api/jobs", Some(&job(schedule, &url).to_string()));
    assert_eq!((answer.status, answer.header("content-type")), (201, "application/json"));
    let created = answer.json();
    assert_eq!(members(&created), ["job", "jobId", "message", "nextExecutions", "preview"]);
    assert_eq!(created["message"], "Job created successfully");
    check_job(&created["job"], schedule, &url);
    let next = created["nextExecutions"].as_array().expect("it is a list");
    let seconds: Vec<i64> = next.iter().map(|time| second_of(time.as_str().expect("it is a text"))).collect();
    assert!(next.len() == 5 && next.iter().all(is_time) && seconds.is_sorted(), "{created}");
    assert!(seconds.iter().all(|second| second % 60 == 31 && second / 3600 % 24 == 1), "{created}");

    let id = created["jobId"].as_str().expect("it is a text");
    let read = test.api().get(&format!("/api/jobs/{id}"));
    check_job(&read, schedule, &url);
    assert_eq!((&read["jobId"], &read["active"]), (&json!(id), &json!(true)));
    assert_eq!(read["nextExecution"], next[0]);
    assert_eq!(read["stats"], json!({"total": 0, "success": 0, "failed": 0, "skipped": 0, "avgDuration": null}));
    assert_eq!(read["lastOutcome"], Value::Null);

    let url = test.receiver.url("/b");
    let answer = test.api().send("PUT", &format!("/api/jobs/{id}"), Some(&job("@daily", &url).to_string()));
    assert_eq!(answer.status, 200);
    assert_eq!((&answer.json()["message"], &answer.json()["jobId"]), (&json!("Job updated successfully"), &json!(id)));
    let changed = test.api().get(&format!("/api/jobs/{id}"));
    check_job(&changed, "@daily", &url);
    assert_eq!(changed["createdAt"], read["createdAt"]);
    assert!(changed["nextExecution"].as_str().is_some_and(|time| time.ends_with("T00:00:00.000Z")), "{changed}");
}

#[test]
fn an_id_that_names_no_job_is_404_whatever_is_asked() {
    let test = Setup::new(&[]);
    let id = test.api().create("@daily", &test.receiver.url("/a"));
    // The same key inside, and another secret.
    let (first, end) = id.split_at(1);
    let other = format!("{}{end}", if first == "0" { "1" } else { "0" });
    let body = job("@daily", &test.receiver.url("/a")).to_string();
    for id in ["abc", "1", "00000000-0000-0000-0000-000000000000", "%2e%2e", "' OR 1=1", &other] {
        let path = format!("/api/jobs/{}", id.replace(' ', "%20"));
        let executions = format!("{path}/executions");
        for (method, path, body) in [
            ("GET", &path, None),
            ("PUT", &path, Some(body.as_str())),
            ("DELETE", &path, None),
            ("GET", &executions, None),
        ] {
            let answer = test.api().send(method, path, body);
            assert_eq!((answer.status, error_of(&answer.json())), (404, "Job not found"), "{method} {path}");
        }
    }
    assert_eq!(test.api().get(&format!("/api/jobs/{id}"))["active"], true);
}

#[test]
fn active_pauses_and_resumes() {
    let test = Setup::new(&[]);
    let url = test.receiver.url("/paused");
    let id = test.api().create("* * * * * *", &url);
    test.api().create("* * * * * *", &test.receiver.url("/other"));
    until("a first POST", || test.receiver.posts_to("/paused").pop());
    let set = |active: bool| {
        let mut body = job("* * * * * *", &url);
        body["active"] = json!(active);
        let answer = test.api().send("PUT", &format!("/api/jobs/{id}"), Some(&body.to_string()));
        assert_eq!((answer.status, &answer.json()["job"]["active"]), (200, &json!(active)));
        this_second()
    };
    let paused = set(false);
    assert_eq!(test.api().get(&format!("/api/jobs/{id}"))["active"], false);
    // PUT without the member leaves it as it is.
    let answer = test.api().send("PUT", &format!("/api/jobs/{id}"), Some(&job("* * * * * *", &url).to_string()));
    assert_eq!((answer.status, &answer.json()["job"]["active"]), (200, &json!(false)));
    until("the other job goes on", || test.receiver.posts_to("/other").pop().filter(|post| post.second > paused + 2));
    let latest = test.receiver.posts_to("/paused").pop().expect("there was one");
    assert!(latest.second <= paused, "{latest:?} came after the pause at {paused}");
    let resumed = set(true);
    let first =
        until("it goes on", || test.receiver.posts_to("/paused").into_iter().find(|post| post.second > latest.second));
    assert!(first.second >= resumed, "{first:?} belongs to the pause, which ended at {resumed}");
}

#[test]
fn a_job_that_starts_paused_fires_when_it_is_made_active() {
    let test = Setup::new(&[]);
    let mut body = job("* * * * * *", &test.receiver.url("/a"));
    body["active"] = json!(false);
    let created = test.api().send("POST", "/api/jobs", Some(&body.to_string()));
    assert_eq!((created.status, &created.json()["job"]["active"]), (201, &json!(false)));
    let id = created.json()["jobId"].as_str().expect("it is a text").to_owned();
    body["active"] = json!(true);
    assert_eq!(test.api().send("PUT", &format!("/api/jobs/{id}"), Some(&body.to_string())).status, 200);
    until("a POST", || test.receiver.posts_to("/a").pop());
}

#[test]
fn all_pages_of_jobs_together_hold_each_job_once_in_order_of_creation() {
    let test = Setup::new(&[]);
    assert_eq!(test.api().get("/api/jobs"), json!({"jobs": [], "nextCursor": null}));
    let ids: Vec<String> =
        (0..25).map(|number| test.api().create("@daily", &test.receiver.url(&format!("/{number}")))).collect();
    let page = test.api().get("/api/jobs?limit=10");
    assert_eq!(members(&page), ["jobs", "nextCursor"]);
    assert_eq!(page["jobs"].as_array().map(Vec::len), Some(10));
    let found = test.api().pages("/api/jobs?limit=10", "jobs");
    let found: Vec<&str> = found.iter().map(|job| job["jobId"].as_str().expect("it is a text")).collect();
    assert_eq!(found, ids);
    // A page that ends with the last job is the last page.
    assert_eq!(test.api().get("/api/jobs?limit=25")["nextCursor"], Value::Null);
    check_job(&test.api().get("/api/jobs?limit=1")["jobs"][0], "@daily", &test.receiver.url("/0"));
}

#[test]
fn a_deleted_job_is_gone_and_its_history_stays() {
    let test = Setup::new(&[]);
    let id = test.api().create("* * * * * *", &test.receiver.url("/a"));
    let path = format!("/api/jobs/{id}");
    until("a success", || test.api().executions(&id).into_iter().find(|execution| execution["status"] == "SUCCESS"));
    let answer = test.api().send("DELETE", &path, None);
    assert_eq!((answer.status, answer.text.as_str()), (204, ""));
    for method in ["GET", "DELETE"] {
        let answer = test.api().send(method, &path, None);
        assert_eq!((answer.status, error_of(&answer.json())), (404, "Job not found"), "{method}");
    }
    let update = test.api().send("PUT", &path, Some(&job("@daily", "http://a/").to_string()));
    assert_eq!(update.status, 404);
    assert!(test.api().executions(&id).iter().any(|execution| execution["status"] == "SUCCESS"));
    assert_eq!(test.api().get("/api/jobs")["jobs"], json!([]));
    test.is_well();
}

#[test]
fn a_job_that_is_wrong_is_refused_by_the_name_of_what_is_wrong() {
    let test = Setup::new(&[]);
    let good = job("@daily", "http://a/");
    let with = |member: &str, value: Value| {
        let mut body = good.clone();
        body[member] = value;
        body.to_string()
    };
    for (body, why) in [
        (String::new(), "body"),
        ("{".to_owned(), "body"),
        ("[]".to_owned(), "body"),
        (json!(["@daily", "http://a/", "ATLEAST_ONCE"]).to_string(), "body"),
        ("null".to_owned(), "body"),
        ("\u{0}\u{ff}".to_owned(), "body"),
        ("[".repeat(60_000), "body"),
        ("{}".to_owned(), "api"),
        (with("schedule", json!("61 * * * * *")), "schedule: second"),
        (with("schedule", json!("* * *")), "schedule"),
        (with("schedule", json!("")), "schedule"),
        (with("schedule", json!("0 0 0 30 2 *")), "schedule"),
        (with("schedule", json!("0 0 0 1 1 * 1999")), "schedule"),
        (with("schedule", json!("@every 0s")), "schedule"),
        (with("schedule", json!("*,".repeat(9_000))), "schedule"),
        (with("schedule", json!(7)), "schedule"),
        (with("api", json!("ftp://a/")), "api: expected the scheme"),
        (with("api", json!("file:///etc/passwd")), "api"),
        (with("api", json!("javascript:alert(1)")), "api"),
        (with("api", json!("/relative")), "api"),
        (with("api", json!("http://user:secret@a/")), "api"),
        (with("api", json!("http://a/\r\nX: y")), "api"),
        (with("api", json!(format!("http://a/{}", "x".repeat(3_000)))), "api"),
        (with("type", json!("ONCE")), "type"),
        (with("overlap", json!("never")), "overlap: expected \"allow\", \"skip\" or \"queue_one\""),
        (with("retry", json!({"maxAttempts": 0})), "retry.maxAttempts"),
        (with("retry", json!({"attempts": 1})), "retry.attempts"),
        (with("maxRuns", json!(0)), "maxRuns"),
        (with("pauseOn", json!(["4x"])), "pauseOn"),
        (with("concurrencyKey", json!({"name": "k", "rate": "1"})), "concurrencyKey.rate"),
        (with("active", json!("yes")), "active"),
        (with("retries", json!(3)), "retries"),
        (with("Schedule", json!("@daily")), "Schedule"),
    ] {
        let answer = test.api().send("POST", "/api/jobs", Some(&body));
        assert_eq!(answer.status, 400, "{body:.80}: {}", answer.text);
        let error = answer.json();
        assert!(error_of(&error).contains(why) && answer.text.len() < 1_000, "{body:.80}: {error}");
    }
    assert_eq!(test.api().get("/api/jobs")["jobs"], json!([]));
    test.is_well();
}

#[test]
fn a_jobs_own_misfire_policy_counts_before_the_servers() {
    let test = Setup::new(&["--misfire", "once"]);
    let url = test.receiver.url("/own");
    let mut own = job("* * * * * *", &url);
    own["misfire"] = json!({"policy": "skip"});
    let created = test.api().send("POST", "/api/jobs", Some(&own.to_string())).json();
    assert_eq!(created["job"]["misfire"], json!({"policy": "skip"}));
    let own = created["jobId"].as_str().expect("a text").to_owned();
    let plain = test.api().create("* * * * * *", &url);
    assert_eq!(test.api().get(&format!("/api/jobs/{plain}"))["misfire"], Value::Null, "left out, as it was given");

    let db = test.db();
    let Setup { server, receiver, folder } = test;
    server.stop();
    let down = this_second();
    until("some instants have passed", || (this_second() > down + 3).then_some(()));
    let again = Server::start(&db, &with_few_workers(&["--misfire", "once"]));
    let covering = |id: &str| {
        until("the row that covers the gap", || {
            again
                .api
                .executions(id)
                .into_iter()
                .find(|row| row["covers"]["count"].as_u64().is_some_and(|count| count > 1))
        })
    };
    assert_eq!(covering(&own)["status"], "SKIPPED");
    let run = covering(&plain);
    assert_eq!((run["late"].as_str(), run["status"] == "SKIPPED"), (Some("missed"), false), "{run}");

    // PUT replaces all of the job, so its policy goes.
    let path = format!("/api/jobs/{own}");
    let changed = again.api.send("PUT", &path, Some(&job("@daily", &url).to_string())).json();
    assert_eq!(changed["job"]["misfire"], Value::Null);
    let mut wrong = job("@daily", &url);
    wrong["misfire"] = json!("skip");
    let answer = again.api.send("PUT", &path, Some(&wrong.to_string()));
    assert_eq!(answer.status, 400);
    assert!(
        error_of(&answer.json()).starts_with("misfire: invalid type: string \"skip\", expected an object"),
        "{answer:?}"
    );
    drop((receiver, folder));
}
