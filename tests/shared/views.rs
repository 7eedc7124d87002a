//! The real binary on a database in which there are jobs that it has not in memory, as where several nodes share one: each
//! way of reading them answers what it answers once they are in memory.

use std::time::Duration;

use crate::support::api::Api;
use crate::support::postgres::Postgres;
use crate::support::server::{Server, command};
use punctual::clock;
use punctual::job::{JobId, JobKey};
use punctual::postgres::{Connection, Url};
use serde_json::{Value, json};

/// Far from when this runs, so that what is due next stays so.
const SCHEDULE: &str = "0 0 0 1 1 * 2098";
const AT: &str = "2098-01-01T00:00:00Z";

/// A server on this database.
fn serve(url: &str) -> Server {
    let mut command = command(&["--listen", "127.0.0.1:0", "--log", "error"]);
    command.env("PUNCTUAL_STORE", url).env("PUNCTUAL_NODE", "first");
    Server::spawn(command)
}

/// A job like another one, under another key, written by somebody else.
fn copy(connection: &mut Connection, from: &str, key: u64, definition: &Value) -> String {
    let soon = || clock::mono().plus(Duration::from_secs(30));
    let from: JobId = from.parse().expect("the id of a job");
    let to = JobId::new(JobKey(key), [9; 10]);
    let number = |id: JobId| i64::try_from(id.key().0).expect("keys are small");
    let copy = "INSERT INTO jobs (id, shard, public_id, revision, definition, anchor, since, created_at, updated_at, era) \
                SELECT $1, $1 & 255, $2, 7, CAST($3 AS TEXT)::json, anchor, since, created_at, updated_at, era FROM jobs \
                WHERE id = $4";
    let (definition, bytes) = (definition.to_string(), to.as_bytes().to_vec());
    let copied = connection.execute(copy, &[&number(to), &bytes, &definition, &number(from)], soon());
    assert_eq!(copied.expect("it can be written"), 1);
    let totals = "INSERT INTO job_totals (job_id, finished_era, success, failed, skipped, duration, timed, runs, \
                  failures_in_row, kept, last_scheduled_time, last_status) VALUES ($1, 0, 3, 2, 1, 7000, 5, 5, 1, 6, 1000, 2)";
    connection.execute(totals, &[&number(to)], soon()).expect("it can be written");
    let tag = "INSERT INTO job_tags VALUES ($1, 'far')";
    connection.execute(tag, &[&number(to)], soon()).expect("it can be written");
    to.to_string()
}

/// All that can be read of some jobs, with how it was asked for.
fn read(api: &Api, ids: &[String]) -> Vec<(String, u16, String, String)> {
    let mut paths: Vec<String> =
        ["", "?sort=next", "?sort=name", "?limit=2", "?state=failing", "?state=active&limit=3"]
            .into_iter()
            .chain(["?target=elsewhere", "?tag=far", "?q=else", "?tag=far&state=paused", "?sort=next&limit=2"])
            .map(|query| format!("/api/jobs{query}"))
            .chain(["/api/export".to_owned()])
            .collect();
    for id in ids {
        let of_job = ["", "/policy", "/executions", &format!("/why?at={AT}"), "/why?at=2020-01-01T00:00:00Z"];
        paths.extend(of_job.map(|path| format!("/api/jobs/{id}{path}")));
    }
    paths.push(format!("/api/strips?jobId={}", ids.join(",")));
    let mut all = Vec::new();
    for path in paths {
        let answer = api.send("GET", &path, None);
        all.push((path, answer.status, answer.header("etag").to_owned() + answer.header("link"), answer.text));
    }
    for id in ids {
        let past = json!({ "from": "2020-01-01T00:00:00Z", "to": "2020-01-02T00:00:00Z", "dryRun": true }).to_string();
        let path = format!("/api/jobs/{id}/backfill");
        let answer = api.send("POST", &path, Some(&past));
        all.push((path, answer.status, String::new(), answer.text));
    }
    let path = format!("/metrics?jobId={}", ids.join(","));
    let answer = api.send("GET", &path, None);
    let of_jobs = answer.text.lines().filter(|line| line.contains("job_id=")).collect::<Vec<_>>().join("\n");
    all.push((path, answer.status, String::new(), of_jobs));
    all
}

#[test]
fn jobs_that_are_in_no_memory_are_read_as_if_they_were() {
    let Some(url) = Postgres::database() else { return };
    let server = serve(&url);
    let own = server.api.create(SCHEDULE, "http://localhost:9/own");
    let calendar = json!({ "dates": ["2099-01-01"] }).to_string();
    assert!(server.api.send("PUT", "/api/calendars/closed", Some(&calendar)).status < 300);
    let mut connection = {
        let url = Url::parse(&url).expect("it is the URL of a database");
        Connection::connect(&url, clock::mono().plus(Duration::from_secs(30))).expect("it listens")
    };
    let job = |members: Value| {
        let mut job =
            json!({ "schedule": SCHEDULE, "api": "http://elsewhere:81/x", "type": "ATLEAST_ONCE", "tags": ["far"] });
        let members = members.as_object().expect("an object").clone();
        job.as_object_mut().expect("an object").extend(members);
        job
    };
    let others = [
        job(json!({ "name": "b", "alerts": { "after": 4 } })),
        job(json!({ "timeZone": "Europe/Berlin", "schedule": "0 0 3 1 1 * 2098" })),
        job(json!({ "schedule": "0 0 0 1 1 *", "excludeCalendars": ["closed"], "body": "x".repeat(60_000) })),
        job(json!({ "name": "a", "maxRuns": 5 })),
    ];
    let mut ids: Vec<String> =
        (100_001..).zip(&others).map(|(key, job)| copy(&mut connection, &own, key, job)).collect();
    ids.push(own);
    let unknown = JobId::new(JobKey(100_001), [8; 10]).to_string();
    ids.push(unknown.clone());
    let found = read(&server.api, &ids);
    server.stop();
    let again = serve(&url);
    assert!(again.greeting.contains("(5 jobs loaded)"), "{}", again.greeting);
    for (found, known) in found.iter().zip(read(&again.api, &ids)) {
        assert_eq!(*found, known);
        let is_of_unknown = found.0.contains(&format!("/{unknown}"));
        assert_eq!(found.1, if is_of_unknown { 404 } else { 200 }, "{found:?}");
    }
    let text_of = |path: &str| &found.iter().find(|(found, ..)| found == path).expect("it was asked for").3;
    let jobs: Value = serde_json::from_str(text_of("/api/jobs")).expect("it is JSON");
    let listed: Vec<&str> =
        jobs["jobs"].as_array().expect("a list").iter().filter_map(|job| job["jobId"].as_str()).collect();
    assert_eq!(listed, [&ids[4], &ids[0], &ids[1], &ids[2], &ids[3]].map(String::as_str));
    let exported = text_of("/api/export").lines().filter(|line| line.contains("\"job\":")).count();
    assert_eq!(exported, 5, "none is left out, none is there twice");
    let shown: Value = serde_json::from_str(text_of(&format!("/api/jobs/{}", ids[3]))).expect("it is JSON");
    assert_eq!((&shown["nextExecution"], &shown["stats"]["success"]), (&Value::Null, &json!(3)), "it had its runs");
    again.stop();
}
