//! Files of released versions: each opens with this build, and everything in it is there.
//! It must not change a version's content once it is released: that is what users have on their disks.

use rusqlite::Connection;
use serde_json::{Value, json};

use super::support::server::Server;
use super::support::until;
use super::with_few_workers;

/// Version 1. Its text must never change, which is why the migration itself is what is run.
const VERSION_1: &str = include_str!("../../migrations/0001_initial.sql");

/// A job that runs daily, a paused one and a deleted one; executions in the ledger and in the history; alerts.
const VERSION_1_ROWS: &str = "
PRAGMA application_id = 0x506e6374;
PRAGMA user_version = 1;
INSERT INTO jobs (id, public_id, revision, definition, anchor, created_at, updated_at, deleted_at) VALUES
    (1, x'1b5fa94c7d3e8000800a000000000001', 1,
     '{\"schedule\":\"@yearly\",\"api\":\"http://127.0.0.1:1/one\",\"type\":\"ATLEAST_ONCE\",\"active\":true}',
     1767225600, 1767225600000000, 1767225600000000, NULL),
    (2, x'2b5fa94c7d3e8000800a000000000002', 3,
     '{\"schedule\":\"0 0 12 * * MON-FRI\",\"api\":\"https://localhost:1/two\",\"type\":\"ATLEAST_ONCE\",\"active\":false}',
     1767225600, 1767225601000000, 1767225700000000, NULL),
    (3, x'3b5fa94c7d3e8000800a000000000003', 2,
     '{\"schedule\":\"@daily\",\"api\":\"http://127.0.0.1:1/three\",\"type\":\"ATLEAST_ONCE\",\"active\":true}',
     1767225600, 1767225602000000, 1767225800000000, 1767225800000000);
INSERT INTO ledger VALUES
    (9, 2, 1767355200, 0, 0, 0, 0, 1, 0, 1767355200000000, 1767355200000500, 204, 2500, NULL, NULL, NULL, NULL);
INSERT INTO job_executions VALUES
    (1, 1767225600, 0, 0, 0, 0, 1, 0, 1500, 200, 4000, NULL, NULL, NULL, NULL),
    (2, 1767268800, 0, 0, 2, 0, 4, 0, 900, 500, 3000, 'the target answered 500', NULL, NULL, NULL),
    (3, 1767225600, 0, 0, 3, 2, 0, 0, NULL, NULL, NULL, 'missed', 1767139200, 2, 0);
INSERT INTO job_totals VALUES
    (1, 1767225600, 1, 0, 0, 4000, 1, 1, 1767225600, 0, 200),
    (2, 1767268800, 0, 1, 0, 3000, 1, 1, 1767268800, 2, 500),
    (3, 1767225600, 0, 0, 1, 0, 0, 1, 1767225600, 3, NULL);
INSERT INTO alerts VALUES
    (7, 2, '2b5fa94c-7d3e-8000-800a-000000000002-1767268800', 'https://localhost:1/two', '0 0 12 * * MON-FRI',
     'the target answered 500', 1767268815000000, 'DELIVERED', 1767268816000000, 2, NULL),
    (8, 2, '2b5fa94c-7d3e-8000-800a-000000000002-1767268801', 'https://localhost:1/two', '0 0 12 * * MON-FRI',
     'the target answered 502', 1767268817000000, 'LOGGED', NULL, 0, NULL);
INSERT INTO marks VALUES ('seq', 20), ('job', 12);
";

fn check(server: &Server) {
    let api = &server.api;
    let jobs = api.pages("/api/jobs?limit=1", "jobs");
    let names: Vec<&Value> = jobs.iter().map(|job| &job["jobId"]).collect();
    assert_eq!(names, ["1b5fa94c-7d3e-8000-800a-000000000001", "2b5fa94c-7d3e-8000-800a-000000000002"]);
    assert_eq!((&jobs[0]["schedule"], &jobs[0]["active"]), (&json!("@yearly"), &json!(true)));
    assert_eq!((&jobs[1]["api"], &jobs[1]["active"]), (&json!("https://localhost:1/two"), &json!(false)));
    assert_eq!(jobs[0]["createdAt"], "2026-01-01T00:00:00.000Z");
    assert_eq!(jobs[0]["stats"], json!({"total": 1, "success": 1, "failed": 0, "skipped": 0, "avgDuration": 4.0}));
    assert_eq!((&jobs[1]["stats"]["success"], &jobs[1]["stats"]["failed"]), (&json!(1), &json!(1)));

    let executions = api.executions("2b5fa94c-7d3e-8000-800a-000000000002");
    assert_eq!(executions.len(), 2, "{executions:?}");
    assert_eq!(executions[0]["executionId"], "2b5fa94c-7d3e-8000-800a-000000000002-1767355200");
    assert_eq!((&executions[0]["status"], &executions[0]["httpStatus"]), (&json!("SUCCESS"), &json!(204)));
    assert_eq!((&executions[0]["driftMs"], &executions[0]["duration"]), (&json!(0.5), &json!(2.5)));
    assert_eq!((&executions[1]["status"], &executions[1]["retryCount"]), (&json!("FAILED"), &json!(3)));
    assert_eq!(executions[1]["errorMessage"], "the target answered 500");
    let skipped = &api.executions("3b5fa94c-7d3e-8000-800a-000000000003")[0];
    assert_eq!((&skipped["status"], &skipped["reason"]), (&json!("SKIPPED"), &json!("missed")));
    assert_eq!(skipped["covers"]["count"], 2);

    let alerts = api.pages("/api/alerts?limit=1", "alerts");
    let states: Vec<(&Value, &Value)> =
        alerts.iter().map(|alert| (&alert["alertId"], &alert["delivery"]["status"])).collect();
    assert_eq!(states, [(&json!("8"), &json!("LOGGED")), (&json!("7"), &json!("DELIVERED"))]);
    assert_eq!(alerts[1]["delivery"]["deliveredAt"], "2026-01-01T12:00:16.000Z");
}

#[test]
fn a_database_of_version_1_opens_with_everything_in_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let db = folder.path().join("p.db");
    let connection = Connection::open(&db).expect("it can be made");
    connection.execute_batch(VERSION_1).expect("it is the schema");
    connection.execute_batch(VERSION_1_ROWS).expect("the rows fit it");
    connection.close().expect("it can be closed");

    let server = Server::start(&db, &with_few_workers(&["--misfire", "skip", "--keep-days", "3650"]));
    assert!(server.greeting.contains("(2 jobs loaded)"), "{}", server.greeting);
    check(&server);
    // What is new gets numbers that were never used.
    let new = server.api.create("* * * * * *", "http://127.0.0.1:1/new");
    assert!(new.ends_with("-00000000000d"), "{new}");
    until("it fires", || server.api.executions(&new).pop());
    assert_eq!(server.api.send("DELETE", &format!("/api/jobs/{new}"), None).status, 204);
    // What version 1 has counted are runs.
    let mut job = json!({"schedule": "@yearly", "api": "http://127.0.0.1:1/one", "type": "ATLEAST_ONCE"});
    for (runs, is_due) in [(1, false), (2, true)] {
        job["maxRuns"] = json!(runs);
        let path = "/api/jobs/1b5fa94c-7d3e-8000-800a-000000000001";
        let answer = server.api.send("PUT", path, Some(&job.to_string()));
        assert_eq!(answer.json()["job"]["nextExecution"].is_string(), is_due, "{}", answer.json());
    }
    server.stop();
    check(&Server::start(&db, &with_few_workers(&["--misfire", "skip", "--keep-days", "3650"])));
}
